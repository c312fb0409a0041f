// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "cgroup.h"
#include "name.h"
#include "util.h"

/**
 * struct cgroup - a cgroup that was looked up
 * @id:   inode number of its directory
 * @name: its path below the root of the hierarchy, or "cgroup ID"
 */
struct cgroup {
	__u64 id;
	char *name;
};

static struct cgroup *cgroups;
static size_t nr_cgroups;
static bool are_recorded;	/* they are those of a recording */

/* nftw(3) has no argument for the caller. */
static const char *root;
static __u64 wanted;
static char *found;

/* Returns where the hierarchy of cgroups v2 is mounted, or NULL. */
static const char *find_root(void)
{
	static const char *const paths[] = {
		"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
	};
	struct statfs info;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (!statfs(paths[i], &info) &&
		    info.f_type == CGROUP2_SUPER_MAGIC)
			return paths[i];
	return NULL;
}

static int check_directory(const char *path, const struct stat *info, int type,
			   struct FTW *ftw)
{
	(void)ftw;
	if (type != FTW_D || info->st_ino != wanted)
		return 0;
	path += strlen(root);
	found = text_escape(path[0] ? path : "/", "");

	return 1;
}

/* Returns the name of a cgroup. Exits if there is no memory. */
static char *look_up(__u64 id)
{
	root = are_recorded ? NULL : find_root();
	wanted = id;
	found = NULL;
	if (root)
		nftw(root, check_directory, 16, FTW_PHYS | FTW_MOUNT);
	if (!found && asprintf(&found, "cgroup %llu",
			       (unsigned long long)id) < 0)
		err(1, "name of a cgroup");

	return found;
}

/* Adds a cgroup. Returns its name. Exits if there is no memory. */
static const char *add_cgroup(__u64 id, char *name)
{
	cgroups = reallocarray(cgroups, nr_cgroups + 1, sizeof(*cgroups));
	if (!cgroups)
		err(1, "names of cgroups");
	cgroups[nr_cgroups] = (struct cgroup){ .id = id, .name = name };

	return cgroups[nr_cgroups++].name;
}

/**
 * cgroup_name() - look up the name of a cgroup, while it exists
 * @id: its id, from an identity record
 *
 * The first call for an @id looks it up, later ones return the same name.
 *
 * Return: its path below the root of the hierarchy, printable, or "cgroup ID" if it
 * has been removed. Exits if there is no memory.
 */
const char *cgroup_name(__u64 id)
{
	size_t i;

	for (i = 0; i < nr_cgroups; i++)
		if (cgroups[i].id == id)
			return cgroups[i].name;

	return add_cgroup(id, look_up(id));
}

/*
 * Reads the memory limit of a cgroup with a path below the root of the hierarchy.
 * Returns false if it has none.
 */
bool cgroup_memory_limit(const char *path, __u64 *bytes)
{
	const char *mount = find_root();
	unsigned long long limit;
	bool found = false;
	FILE *file = NULL;
	char *name;

	if (!mount || asprintf(&name, "%s%s/memory.max", mount, path) < 0)
		return false;
	file = fopen(name, "re");
	free(name);
	if (!file)
		return false;
	/* Without a limit, it contains "max". */
	if (fscanf(file, "%llu", &limit) == 1) {
		*bytes = limit;
		found = true;
	}
	fclose(file);

	return found;
}

/* Frees the names that were looked up: they can be looked up again. */
void cgroup_forget(void)
{
	if (are_recorded)
		return;
	while (nr_cgroups)
		free(cgroups[--nr_cgroups].name);
}

/**
 * cgroup_recorded() - add the name of a cgroup from a recording
 * @id:   its id
 * @name: its name, printable; NULL: none
 *
 * From now on, cgroup_name() looks up no cgroup of this machine. Exits if there is
 * no memory.
 */
void cgroup_recorded(__u64 id, const char *name)
{
	char *copy;

	are_recorded = true;
	if (!name)
		return;
	copy = strdup(name);
	if (!copy)
		err(1, "names of cgroups");
	add_cgroup(id, copy);
}
