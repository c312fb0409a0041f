/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The names of users and cgroups that a recording contains.
 */
#ifndef MP3_TOOLS_NAMES_H
#define MP3_TOOLS_NAMES_H

#include <stdbool.h>

#include <linux/types.h>

void names_start(void);
void names_add(void *data, bool is_user, __u64 id, const char *name);

#endif /* MP3_TOOLS_NAMES_H */
