/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Standard output of the commands that print lines until a signal ends them.
 *
 * Lines are written in pieces of whole lines and at most PIPE_BUF bytes. A pipe
 * that poll(2) reports as writable takes such a piece without blocking, so a
 * reader that stopped reading cannot keep the command from ending; and it takes
 * it at once, so no line of up to OUTPUT_LINE bytes is torn.
 */
#ifndef MP3_TOOLS_OUTPUT_H
#define MP3_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

/* Room for a line, its newline included. Only names of cgroups make longer ones. */
#define OUTPUT_LINE 2048

/* What standard output is called in messages */
extern const char *output_name;

void output_open(int stop_fd);
bool output_begin_line(void);
bool output_begin_last_line(void);
void output_put_text(const char *text, size_t length);
__attribute__((format(printf, 1, 2)))
void output_put(const char *format, ...);
size_t output_line_size(void);
void output_end_entries(__u64 entries);
bool output_flush(void);
__u64 output_entries(void);

#endif /* MP3_TOOLS_OUTPUT_H */
