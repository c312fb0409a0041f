/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Names of cgroups v2, printable.
 */
#ifndef MP3_TOOLS_CGROUP_H
#define MP3_TOOLS_CGROUP_H

#include <stdbool.h>

#include <linux/types.h>

const char *cgroup_name(__u64 id);
void cgroup_forget(void);
bool cgroup_memory_limit(const char *path, __u64 *bytes);
void cgroup_recorded(__u64 id, const char *name);

#endif /* MP3_TOOLS_CGROUP_H */
