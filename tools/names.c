// SPDX-License-Identifier: GPL-2.0
#include <stddef.h>

#include "cgroup.h"
#include "names.h"
#include "user.h"

/*
 * From now on, users and cgroups have the names that names_add() adds, and none of
 * this machine, which may be others.
 */
void names_start(void)
{
	user_recorded(0, NULL);
	cgroup_recorded(0, NULL);
}

/* A visitor of recording_read(). Exits if there is no memory. */
void names_add(void *data, bool is_user, __u64 id, const char *name)
{
	(void)data;
	if (is_user)
		user_recorded((__u32)id, name);
	else
		cgroup_recorded(id, name);
}
