/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The registered processes, and which of them are in the tree that a tool
 * follows: the tool unregisters those at the end, and no others.
 */
#ifndef MP3_TOOLS_TREE_H
#define MP3_TOOLS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * enum owner - why a process is registered
 * @OWNER_NONE:	  it is not registered, as far as is known
 * @OWNER_BEFORE: it was registered before the tool started
 * @OWNER_OTHER:  it was registered since, but is not known to be in the tree
 * @OWNER_TREE:	  it is in the tree
 * @OWNER_DONE:	  it is in the tree, and the tool has tried to unregister it
 * @OWNER_LISTED: flag in addition to these, used within one refresh
 */
enum owner {
	OWNER_NONE,
	OWNER_BEFORE,
	OWNER_OTHER,
	OWNER_TREE,
	OWNER_DONE,
	OWNER_LISTED = 0x80,
};

/**
 * struct tree - the registered processes, and which of them are in the tree
 * @roots:    the tree is these processes and their descendants
 * @nr_roots: how many
 * @owners:   enum owner by process id; pages that are never used take no memory
 * @listed:   process ids that the status file contained at the last refresh
 * @nr:	      how many
 * @hidden:   registered processes whose parents /proc did not show
 */
struct tree {
	pid_t *roots;
	size_t nr_roots;
	unsigned char *owners;
	pid_t *listed;
	size_t nr;
	unsigned int hidden;
};

int tree_init(struct tree *tree);
void tree_add_root(struct tree *tree, pid_t root);
bool tree_contains(const struct tree *tree, pid_t pid);
bool tree_was_registered(const struct tree *tree, pid_t pid);
int tree_refresh(struct tree *tree);
unsigned int tree_detach(struct tree *tree);
unsigned int tree_count_left(struct tree *tree);

#endif /* MP3_TOOLS_TREE_H */
