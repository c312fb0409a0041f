/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Names of users.
 */
#ifndef MP3_TOOLS_USER_H
#define MP3_TOOLS_USER_H

#include <stdbool.h>

#include <linux/types.h>

const char *user_name(__u32 uid);
bool user_is(__u32 uid, const char *text);
bool user_exists(const char *text);
void user_recorded(__u32 uid, const char *name);

#endif /* MP3_TOOLS_USER_H */
