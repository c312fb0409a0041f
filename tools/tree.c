// SPDX-License-Identifier: GPL-2.0
#include <err.h>

#include "../mp3_client.h"
#include "proc.h"
#include "tree.h"
#include "util.h"

/* A limit for the rounds of tree_detach(), in case a fork bomb never ends. */
#define DETACH_ROUNDS 100

/* Reads the registered processes; the caller frees @listed. 0 or -errno. */
static int read_listed(pid_t **listed, size_t *nr)
{
	int error = mp3_list(listed, nr);
	size_t i, kept = 0;

	/* Drop what would not fit into @owners; there should be none. */
	for (i = 0; i < *nr; i++)
		if ((*listed)[i] > 0 && (*listed)[i] < (pid_t)PID_LIMIT)
			(*listed)[kept++] = (*listed)[i];
	*nr = kept;

	return error;
}

/**
 * tree_init() - note which processes are registered already
 * @tree: filled, without roots
 *
 * Return: 0 or a negative errno. Exits if there is no memory.
 */
int tree_init(struct tree *tree)
{
	int error;
	size_t i;

	*tree = (struct tree){ .owners = calloc(PID_LIMIT, 1) };
	if (!tree->owners)
		err(1, "tree of processes");
	error = read_listed(&tree->listed, &tree->nr);
	for (i = 0; i < tree->nr; i++)
		tree->owners[tree->listed[i]] = OWNER_BEFORE;

	return error;
}

/* Adds a process and its descendants to the tree. Exits if there is no memory. */
void tree_add_root(struct tree *tree, pid_t root)
{
	tree->roots = reallocarray(tree->roots, tree->nr_roots + 1,
				   sizeof(*tree->roots));
	if (!tree->roots)
		err(1, "tree of processes");
	tree->roots[tree->nr_roots++] = root;
}

static bool is_root(const struct tree *tree, pid_t pid)
{
	size_t i;

	for (i = 0; i < tree->nr_roots; i++)
		if (tree->roots[i] == pid)
			return true;
	return false;
}

/*
 * Returns the owner of a process that has just been registered: that of its
 * nearest known ancestor. @hidden is set if /proc does not show an ancestor.
 */
static enum owner find_owner(const struct tree *tree, pid_t pid, bool *hidden)
{
	pid_t child;

	*hidden = false;
	while (pid > 1 && pid < (pid_t)PID_LIMIT) {
		enum owner owner = tree->owners[pid] & ~OWNER_LISTED;

		if (owner == OWNER_BEFORE || owner == OWNER_OTHER)
			return OWNER_OTHER;
		if (owner == OWNER_TREE || owner == OWNER_DONE ||
		    is_root(tree, pid))
			return OWNER_TREE;
		child = pid;
		pid = parent_of(child);
		*hidden = pid < 0 && is_running(child);
	}

	return OWNER_OTHER;
}

/* Returns whether a process is a root or a known descendant of one. */
bool tree_contains(const struct tree *tree, pid_t pid)
{
	bool hidden;

	return find_owner(tree, pid, &hidden) == OWNER_TREE;
}

/* Returns whether a process was registered before the tool started. */
bool tree_was_registered(const struct tree *tree, pid_t pid)
{
	return tree->owners[pid] == OWNER_BEFORE;
}

/*
 * Reads which processes are registered now. Call it often: a process that has
 * lost its parent cannot be attributed to the tree any longer. Returns 0 or a
 * negative errno.
 */
int tree_refresh(struct tree *tree)
{
	unsigned char *owners = tree->owners;
	pid_t *listed;
	size_t nr, i;
	int error = read_listed(&listed, &nr);
	bool hidden;

	if (error) {
		free(listed);
		return error;
	}

	for (i = 0; i < nr; i++)
		owners[listed[i]] |= OWNER_LISTED;
	/* Other processes may get the ids of those that are gone. */
	for (i = 0; i < tree->nr; i++)
		if (!(owners[tree->listed[i]] & OWNER_LISTED))
			owners[tree->listed[i]] = OWNER_NONE;
	for (i = 0; i < nr; i++)
		owners[listed[i]] &= (unsigned char)~OWNER_LISTED;
	free(tree->listed);
	tree->listed = listed;
	tree->nr = nr;

	for (i = 0; i < nr; i++) {
		if (owners[listed[i]] != OWNER_NONE)
			continue;
		owners[listed[i]] = find_owner(tree, listed[i], &hidden);
		tree->hidden += hidden;
	}

	return 0;
}

/*
 * Unregisters the processes of the tree. Returns how many were still registered.
 * Followed processes may fork in the meantime, so repeat until a refresh finds
 * no new ones.
 */
unsigned int tree_detach(struct tree *tree)
{
	unsigned int stopped = 0;
	bool again = true;
	int round;
	size_t i;

	for (round = 0; again && round < DETACH_ROUNDS; round++) {
		again = false;
		if (tree_refresh(tree))
			break;
		for (i = 0; i < tree->nr; i++) {
			if (tree->owners[tree->listed[i]] != OWNER_TREE)
				continue;
			tree->owners[tree->listed[i]] = OWNER_DONE;
			stopped += !mp3_unregister(tree->listed[i]);
			again = true;
		}
	}

	return stopped;
}

/*
 * Returns how many processes that were not registered when the tool started are
 * still running and registered.
 */
unsigned int tree_count_left(struct tree *tree)
{
	unsigned int left = 0;
	size_t i;

	if (tree_refresh(tree))
		return 0;
	for (i = 0; i < tree->nr; i++)
		left += tree->owners[tree->listed[i]] != OWNER_BEFORE &&
			is_running(tree->listed[i]);

	return left;
}
