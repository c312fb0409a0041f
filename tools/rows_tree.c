// SPDX-License-Identifier: GPL-2.0
/* The rows of a report that are a tree, from the processes' identities. */
#include <err.h>
#include <stdlib.h>

#include "rows.h"

/**
 * struct node - a process in the tree
 * @process: the process
 * @order:   its place among all processes, sorted by their start
 * @parent:  its parent, or NULL if that is not in the table
 * @depth:   generations below a root
 * @chosen:  it is to be shown
 * @subtree: what it and its descendants have done
 * @child:   its first child to show, or NULL
 * @sibling: the next child of its parent to show, or NULL
 */
struct node {
	const struct process *process;
	size_t order;
	struct node *parent;
	unsigned int depth;
	bool chosen;
	struct process subtree;
	struct node *child;
	struct node *sibling;
};

/* Sorts by start; processes that started at once stay as they are. */
static int compare_starts(const void *one, const void *other)
{
	const struct node *a = one, *b = other;

	if (a->process->start_ns != b->process->start_ns)
		return a->process->start_ns < b->process->start_ns ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

/* Sorts by process id, then by start. */
static int compare_pids(const void *one, const void *other)
{
	const struct node *a = *(struct node *const *)one;
	const struct node *b = *(struct node *const *)other;

	if (a->process->pid != b->process->pid)
		return a->process->pid < b->process->pid ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

/*
 * Sorts by what the subtrees have done. A process precedes its descendants: its
 * subtree has done as much, or more.
 */
static int compare_subtrees(const void *one, const void *other)
{
	const struct node *a = *(struct node *const *)one;
	const struct node *b = *(struct node *const *)other;
	int order = compare_counts(&a->subtree, &b->subtree);

	if (order)
		return order;
	return (a->order > b->order) - (a->order < b->order);
}

/*
 * Returns the parent of a node, or NULL: the newest process with the parent's id
 * that is older than the node. @by_pid has all nodes, sorted.
 */
static struct node *find_parent(struct node *const *by_pid, size_t nr,
				const struct node *node)
{
	__u32 ppid = node->process->ppid;
	size_t low = 0, high = nr, middle;

	if (!node->process->identified)
		return NULL;
	/* The first node after those that qualify */
	while (low < high) {
		const struct node *at;

		middle = low + (high - low) / 2;
		at = by_pid[middle];
		if (at->process->pid < ppid ||
		    (at->process->pid == ppid && at->order < node->order))
			low = middle + 1;
		else
			high = middle;
	}

	return low && by_pid[low - 1]->process->pid == ppid ? by_pid[low - 1] :
							       NULL;
}

/* Links the nodes, which are sorted by their start, so parents come first. */
static void link_nodes(struct node *nodes, struct node **pointers, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		nodes[i].order = i;
		pointers[i] = &nodes[i];
	}
	qsort(pointers, nr, sizeof(*pointers), compare_pids);
	for (i = 0; i < nr; i++) {
		struct node *node = &nodes[i];

		node->parent = find_parent(pointers, nr, node);
		node->depth = node->parent ? node->parent->depth + 1 : 0;
		node->subtree = *node->process;
	}
	for (i = nr; i--;)
		if (nodes[i].parent)
			add_counts(&nodes[i].parent->subtree,
				   &nodes[i].subtree);
}

/* Returns the node to show after @node: its child, or the next of an ancestor. */
static const struct node *next_node(const struct node *node)
{
	if (node->child)
		return node->child;
	while (node && !node->sibling)
		node = node->parent;
	return node ? node->sibling : NULL;
}

/**
 * tree_rows() - choose processes, and put each below its parent
 * @rows:    filled with the chosen processes, then with the others; has space for
 *	     all processes
 * @table:   the processes
 * @nr_rows: how many processes to choose: those whose subtrees have done most
 *
 * Return: how many processes there are. Exits if there is no memory.
 */
size_t tree_rows(struct row *rows, struct table *table, size_t nr_rows)
{
	size_t nr = table->nr, i;
	struct node *nodes = calloc(nr + 1, sizeof(*nodes));
	struct node **pointers = calloc(nr + 1, sizeof(*pointers));
	const struct node *node;
	struct node *roots = NULL;

	if (!nodes || !pointers)
		err(1, "tree of processes");
	for (i = 0; i < nr; i++)
		nodes[i] = (struct node){ .process = table->rows[i], .order = i };
	qsort(nodes, nr, sizeof(*nodes), compare_starts);
	link_nodes(nodes, pointers, nr);

	qsort(pointers, nr, sizeof(*pointers), compare_subtrees);
	if (nr_rows > nr)
		nr_rows = nr;
	for (i = 0; i < nr_rows; i++)
		pointers[i]->chosen = true;
	for (i = nr_rows; i--;) {
		struct node **first = &roots;

		/* It is not if a sum has overflowed, in a broken recording. */
		if (pointers[i]->parent && !pointers[i]->parent->chosen)
			pointers[i]->parent = NULL;
		if (pointers[i]->parent)
			first = &pointers[i]->parent->child;
		pointers[i]->sibling = *first;
		*first = pointers[i];
	}

	node = roots;
	for (i = 0; i < nr; i++) {
		if (i >= nr_rows)
			node = pointers[i];
		rows[i] = (struct row){
			.process = node->process,
			.nr = 1,
			.sum = *node->process,
			.depth = node->depth,
		};
		if (i < nr_rows)
			node = next_node(node);
	}
	free(pointers);
	free(nodes);

	return nr;
}
