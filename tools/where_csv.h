/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The faults of a recording for programs: as csv, or as lines of JSON.
 */
#ifndef MP3_TOOLS_WHERE_CSV_H
#define MP3_TOOLS_WHERE_CSV_H

#include <stdbool.h>

bool where_csv(const char *path);
bool where_csv_read(const char *path);
bool where_csv_print(const char *path, bool json);

#endif /* MP3_TOOLS_WHERE_CSV_H */
