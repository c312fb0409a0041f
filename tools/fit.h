/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Labels that fit into a line of a terminal. They are printable ASCII before that:
 * each byte takes one column.
 */
#ifndef MP3_TOOLS_FIT_H
#define MP3_TOOLS_FIT_H

#include <stddef.h>
#include <stdio.h>

/* Columns that a label has at least: lines of a narrower terminal wrap. */
#define FIT_LEAST 12

size_t fit_columns(FILE *file);
size_t fit_rest(size_t columns, size_t used);
size_t fit_width(const char *label);
char *fit_end(const char *text, size_t columns);
char *fit_path(const char *path, size_t columns);
char *fit_label(const char *label, size_t columns);

#endif /* MP3_TOOLS_FIT_H */
