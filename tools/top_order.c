// SPDX-License-Identifier: GPL-2.0
/* Which rows mp3ctl top shows, and their order. */
#include <err.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "top.h"
#include "user.h"
#include "util.h"

/* Deeper processes of a tree are not indented further. */
#define MAX_DEPTH 20

/* By column: the argument of --sort, and the key. */
static const struct {
	const char *word;
	char key;
} sort_keys[TOP_COLUMNS] = {
	[TOP_MAJOR] = { "major", 'M' },
	[TOP_MINOR] = { "minor", 'm' },
	[TOP_CPU] = { "cpu", 'c' },
	[TOP_STALL] = { "stall", 's' },
	[TOP_RSS] = { "rss", 'r' },
	[TOP_PID] = { "pid", 'p' },
	[TOP_NAME] = { "name", 'n' },
};

/*
 * Sorts by the column of a key from now on. Returns whether it has one that is
 * known.
 */
bool top_sort_by(struct top *top, int key)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sort_keys); i++) {
		if (!sort_keys[i].key || sort_keys[i].key != key ||
		    (i == TOP_STALL && !top->every))
			continue;
		top->sort = (enum top_column)i;
		return true;
	}

	return false;
}

/* Parses the argument of --sort. Exits with status 2 if it is none. */
enum top_column top_parse_sort(const char *text)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sort_keys); i++)
		if (sort_keys[i].word && !strcmp(text, sort_keys[i].word))
			return (enum top_column)i;
	errx(2, "--sort: '%s' is not major, minor, cpu, stall, rss, pid or name",
	     text);
}

/* ---- Filters ---- */

static bool matches_name(const char *pattern, const char *name)
{
	if (strpbrk(pattern, "*?["))
		return !fnmatch(pattern, name, 0);
	return strstr(name, pattern);
}

/* Returns whether a path is the given one, or below it. */
static bool is_below(const char *path, const char *name)
{
	size_t length = strlen(path);

	while (length && path[length - 1] == '/')
		length--;

	return name[0] == '/' && !strncmp(name, path, length) &&
	       (!length || name[length] == '/' || !name[length]);
}

/*
 * Returns whether a cgroup is the given one, or below it: its path, as it is or as it is
 * printed, or its number.
 */
static bool matches_cgroup(const char *cgroup, __u64 id)
{
	const char *name;
	char *original;
	bool matches;

	if (cgroup[0] != '/')
		return strtoull(cgroup, NULL, 10) == id;
	name = cgroup_name(id);
	original = text_original(name);
	matches = is_below(cgroup, original) || is_below(cgroup, name);
	free(original);

	return matches;
}

/* Returns whether the filter accepts a process. */
static bool is_accepted(const struct top_filter *filter,
			const struct process *process)
{
	if (filter->name && !matches_name(filter->name, process->comm))
		return false;
	if (filter->user && !(process->identified &&
			      user_is(process->uid, filter->user)))
		return false;
	return !filter->cgroup ||
	       (process->identified &&
		matches_cgroup(filter->cgroup, process->cgroup_id));
}

/* ---- Order ---- */

static double value_of(const struct process *process, enum top_column column)
{
	return column == TOP_RSS ? (double)process->rss_bytes :
				   top_state(process)->rates[column];
}

static int compare(const void *left, const void *right, void *arg)
{
	const struct process *a = *(struct process * const *)left;
	const struct process *b = *(struct process * const *)right;
	const struct top *top = arg;
	const enum top_column order[] = { top->sort, TOP_MAJOR, TOP_MINOR };
	double difference;
	int names;
	size_t i;

	if (top->sort == TOP_NAME) {
		names = strcmp(a->comm, b->comm);
		if (names)
			return names;
	}
	for (i = top->sort == TOP_NAME; i < ARRAY_SIZE(order) &&
	     top->sort != TOP_PID; i++) {
		difference = value_of(b, order[i]) - value_of(a, order[i]);
		if (difference != 0)
			return difference > 0 ? 1 : -1;
	}

	return a->pid < b->pid ? -1 : a->pid > b->pid;
}

/*
 * Returns whether a process can be the parent of another. A parent is older, and
 * it precedes its child in an order of all processes: no process is its own
 * ancestor, whatever records contain.
 */
static bool can_be_parent(const struct process *parent,
			  const struct process *child)
{
	if (parent->start_ns != child->start_ns)
		return parent->start_ns < child->start_ns;
	return parent->pid < child->pid;
}

/**
 * struct holder - the process that has, or was the last to have, a process id
 * @pid:     process id
 * @process: the process
 */
struct holder {
	__u32 pid;
	struct process *process;
};

/* Fills @holders, also with processes that have exited and are still shown. */
static void find_holders(const struct top *top, struct set *holders)
{
	struct process *process;
	struct holder *holder;
	size_t i;

	for (i = 0; i < top->table.nr; i++) {
		process = top->table.rows[i];
		holder = set_get(holders, &process->pid, NULL);
		if (!holder->process || !process->exited)
			holder->process = process;
	}
}

/* Returns the closest ancestor that is visible, or NULL. */
static struct process *find_parent(const struct set *holders,
				   const struct process *process)
{
	const struct holder *holder;

	do {
		if (!process->identified)
			return NULL;
		holder = set_find(holders, &process->ppid);
		if (!holder || !can_be_parent(holder->process, process))
			return NULL;
		process = holder->process;
	} while (!top_state(process)->visible);

	return holder->process;
}

static void add_row(struct top *top, struct process *process,
		    unsigned int depth)
{
	top->rows[top->nr_rows++] = (struct top_row){
		.process = process,
		.depth = depth < MAX_DEPTH ? depth : MAX_DEPTH,
	};
}

/* Adds all visible processes, each before those below it. */
static void add_tree(struct top *top)
{
	struct set holders = {
		.item_size = sizeof(struct holder),
		.key_size = sizeof(__u32),
	};
	struct process *process, *parent, *roots = NULL, **list;
	unsigned int depth = 0;
	size_t i;

	find_holders(top, &holders);
	for (i = top->table.nr; i--;) {
		process = top->table.rows[i];
		if (!top_state(process)->visible)
			continue;
		parent = find_parent(&holders, process);
		list = parent ? &top_state(parent)->child : &roots;
		top_state(process)->parent = parent;
		top_state(process)->sibling = *list;
		*list = process;
	}
	set_free(&holders);
	for (process = roots; process;) {
		add_row(top, process, depth);
		if (top_state(process)->child) {
			process = top_state(process)->child;
			depth++;
			continue;
		}
		while (process && !top_state(process)->sibling) {
			process = top_state(process)->parent;
			depth--;
		}
		if (process)
			process = top_state(process)->sibling;
	}
}

/* Sorts the processes, and chooses the rows. Exits if there is no memory. */
void top_sort(struct top *top)
{
	struct table *table = &top->table;
	struct top_process *state;
	size_t i;

	if (top->capacity < table->nr) {
		top->capacity = table->capacity;
		top->rows = reallocarray(top->rows, top->capacity,
					 sizeof(*top->rows));
		if (!top->rows)
			err(1, "rows");
	}
	for (i = 0; i < table->nr; i++) {
		state = top_state(table->rows[i]);
		state->visible = is_accepted(&top->filter, table->rows[i]);
		state->child = NULL;
	}
	top->nr_rows = 0;
	/* An empty table has no memory that could be sorted. */
	if (!table->nr)
		return;
	qsort_r(table->rows, table->nr, sizeof(table->rows[0]), compare, top);
	if (top->tree) {
		add_tree(top);
		return;
	}
	for (i = 0; i < table->nr; i++)
		if (top_state(table->rows[i])->visible)
			add_row(top, table->rows[i], 0);
}
