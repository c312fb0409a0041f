/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cells of csv that a spreadsheet must not execute.
 */
#ifndef MP3_TOOLS_CSV_H
#define MP3_TOOLS_CSV_H

const char *csv_guard(const char *text);

#endif /* MP3_TOOLS_CSV_H */
