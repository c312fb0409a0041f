/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The faults of a recording as csv, for programs.
 */
#ifndef MP3_TOOLS_WHERE_CSV_H
#define MP3_TOOLS_WHERE_CSV_H

#include <stdbool.h>

bool where_csv(const char *path);

#endif /* MP3_TOOLS_WHERE_CSV_H */
