/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Standard output of the commands that print lines until a signal ends them.
 *
 * Lines are written in pieces of whole lines and at most PIPE_BUF bytes. A pipe
 * that poll(2) reports as writable takes such a piece without blocking, so a
 * reader that stopped reading cannot keep the command from ending; and it takes
 * it at once, so no line is torn.
 */
#ifndef MP3_TOOLS_OUTPUT_H
#define MP3_TOOLS_OUTPUT_H

#include <stdbool.h>

#include <linux/types.h>

/* No line is longer, its newline included. */
#define OUTPUT_LINE 512

void output_open(int stop_fd);
bool output_begin_line(void);
__attribute__((format(printf, 1, 2)))
void output_put(const char *format, ...);
void output_end_entry(void);
bool output_flush(void);
__u64 output_entries(void);

#endif /* MP3_TOOLS_OUTPUT_H */
