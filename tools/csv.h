/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cells of csv, which a spreadsheet must not execute.
 */
#ifndef MP3_TOOLS_CSV_H
#define MP3_TOOLS_CSV_H

#include <stdio.h>

void csv_put_text(FILE *file, const char *text);
const char *csv_guard(const char *text);

#endif /* MP3_TOOLS_CSV_H */
