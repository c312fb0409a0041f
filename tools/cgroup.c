// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <err.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cgroup.h"
#include "name.h"
#include "set.h"
#include "util.h"

/**
 * struct cgroup - a cgroup that was looked up
 * @id:   inode number of its directory; first, as the key
 * @name: its path below the root of the hierarchy, or "cgroup ID"
 */
struct cgroup {
	__u64 id;
	char *name;
};

static struct set cgroups = {
	.item_size = sizeof(struct cgroup),
	.key_size = sizeof(__u64),
};

static bool are_recorded;	/* they are those of a recording */

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

static struct cgroup *known_cgroup(__u64 id)
{
	return set_find(&cgroups, &id);
}

/*
 * Adds a cgroup with a name, which it takes over; one that is known keeps the name that
 * it has. Returns its name. Exits if there is no memory.
 */
static const char *add_cgroup(__u64 id, char *name)
{
	struct cgroup *cgroup;
	bool added;

	cgroup = set_get(&cgroups, &id, &added);
	if (added)
		cgroup->name = name;
	else
		free(name);

	return cgroup->name;
}

/*
 * Adds the cgroups in a directory that are not known, and those below them. One can be
 * removed at any time. @root_length bytes of @path precede a name. Exits if there is no
 * memory.
 */
static void walk(const char *path, size_t root_length)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char *child;

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		if (entry->d_type != DT_DIR || !strcmp(entry->d_name, ".") ||
		    !strcmp(entry->d_name, ".."))
			continue;
		if (asprintf(&child, "%s/%s", path, entry->d_name) < 0)
			err(1, "name of a cgroup");
		if (!known_cgroup(entry->d_ino))
			add_cgroup(entry->d_ino,
				   text_escape(child + root_length, ""));
		walk(child, root_length);
		free(child);
	}
	closedir(directory);
}

/* Adds the cgroups that exist. */
static void walk_all(void)
{
	const char *root = find_root();
	struct stat info;

	if (!root)
		return;
	if (!stat(root, &info) && !known_cgroup(info.st_ino))
		add_cgroup(info.st_ino, text_escape("/", ""));
	walk(root, strlen(root));
}

/**
 * cgroup_name() - look up the name of a cgroup, while it exists
 * @id: its id, from an identity record
 *
 * The first call for an @id looks it up, later ones return the same name. All
 * cgroups that exist are looked up with it.
 *
 * Return: its path below the root of the hierarchy, printable, or "cgroup ID" if it
 * has been removed. Exits if there is no memory.
 */
const char *cgroup_name(__u64 id)
{
	struct cgroup *cgroup = known_cgroup(id);

	if (!cgroup && !are_recorded)
		walk_all();
	cgroup = known_cgroup(id);

	return cgroup ? cgroup->name :
			add_cgroup(id, text_format("cgroup %llu",
						   (unsigned long long)id));
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
	size_t i;

	if (are_recorded)
		return;
	for (i = 0; i < cgroups.nr; i++)
		free(((struct cgroup *)set_item(&cgroups, i))->name);
	set_free(&cgroups);
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
