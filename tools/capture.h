/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Opening a capture or a ring, following and locating, or explaining in one line why
 * that is impossible.
 */
#ifndef MP3_TOOLS_CAPTURE_H
#define MP3_TOOLS_CAPTURE_H

#include "../mp3_client.h"

void capture_open_or_exit(struct mp3_reader *capture);
bool has_perfmon(void);
void check_may_follow(void);
unsigned int parse_every(const char *option, const char *text);
void capture_locate_or_exit(const struct mp3_reader *capture, unsigned int n,
			    unsigned int callers, struct mp3_faults *faults);
bool capture_has(const struct mp3_reader *capture, pid_t pid);
int capture_add(const struct mp3_reader *capture, pid_t pid);
__attribute__((noreturn))
void reader_open_failed(const struct mp3_reader *reader, const char *path,
			int error);

#endif /* MP3_TOOLS_CAPTURE_H */
