/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The faults of a recording as a flame graph.
 */
#ifndef MP3_TOOLS_WHERE_FLAME_H
#define MP3_TOOLS_WHERE_FLAME_H

#include <stdbool.h>

#include "flame.h"

enum flame_by parse_flame_by(const char *text);
bool where_flame(const char *path, const char *svg, enum flame_by by);
bool where_flame_read(const char *path);
void where_flame_print_collapsed(enum flame_by by);
void where_flame_print_speedscope(void);

#endif /* MP3_TOOLS_WHERE_FLAME_H */
