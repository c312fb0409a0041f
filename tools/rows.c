// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "rows.h"

/* Adds the counts of one process to a sum, of which the peak is the largest one. */
void add_counts(struct process *sum, const struct process *process)
{
	sum->rss_bytes += process->rss_bytes;
	sum->min_flt += process->min_flt;
	sum->maj_flt += process->maj_flt;
	sum->cpu_ns += process->cpu_ns;
	sum->stall_ns += process->stall_ns;
	if (sum->peak_rss_bytes < process->peak_rss_bytes)
		sum->peak_rss_bytes = process->peak_rss_bytes;
}

/* Compares by faults, then by CPU time: the largest first. */
int compare_counts(const struct process *a, const struct process *b)
{
	__u64 a_faults = a->min_flt + a->maj_flt;
	__u64 b_faults = b->min_flt + b->maj_flt;

	if (a_faults != b_faults)
		return a_faults < b_faults ? 1 : -1;
	return (a->cpu_ns < b->cpu_ns) - (a->cpu_ns > b->cpu_ns);
}

static int compare_names(const void *one, const void *other)
{
	const struct row *a = one, *b = other;

	return strcmp(a->process->comm, b->process->comm);
}

/* Processes without an identity come first. */
static int compare_users(const void *one, const void *other)
{
	const struct process *a = ((const struct row *)one)->process;
	const struct process *b = ((const struct row *)other)->process;

	if (a->identified != b->identified)
		return a->identified - b->identified;
	return (a->uid > b->uid) - (a->uid < b->uid);
}

static int compare_cgroups(const void *one, const void *other)
{
	const struct process *a = ((const struct row *)one)->process;
	const struct process *b = ((const struct row *)other)->process;

	if (a->identified != b->identified)
		return a->identified - b->identified;
	return (a->cgroup_id > b->cgroup_id) - (a->cgroup_id < b->cgroup_id);
}

static int compare_rows(const void *one, const void *other)
{
	const struct row *a = one, *b = other;
	int order = compare_counts(&a->sum, &b->sum);

	if (order)
		return order;
	return (a->process->pid > b->process->pid) -
	       (a->process->pid < b->process->pid);
}

/* Sums up each run of rows that @compare finds equal. Returns how many remain. */
static size_t merge(struct row *rows, size_t nr,
		    int (*compare)(const void *, const void *))
{
	size_t i, merged = 0;

	if (!nr)
		return 0;
	qsort(rows, nr, sizeof(*rows), compare);
	for (i = 1; i < nr; i++) {
		if (compare(&rows[merged], &rows[i])) {
			rows[++merged] = rows[i];
			continue;
		}
		rows[merged].nr++;
		add_counts(&rows[merged].sum, rows[i].process);
	}

	return merged + 1;
}

/**
 * group_rows() - group processes, and sort the groups by what they have done
 * @rows:  filled; has space for all processes
 * @table: the processes
 * @by:	   what a group is; not BY_TREE
 *
 * Return: how many groups there are.
 */
size_t group_rows(struct row *rows, struct table *table, enum report_by by)
{
	size_t i, nr = table->nr;

	for (i = 0; i < nr; i++)
		rows[i] = (struct row){
			.process = table->rows[i],
			.nr = 1,
			.sum = *table->rows[i],
		};
	if (by == BY_NAME)
		nr = merge(rows, nr, compare_names);
	else if (by == BY_USER)
		nr = merge(rows, nr, compare_users);
	else if (by == BY_CGROUP)
		nr = merge(rows, nr, compare_cgroups);
	qsort(rows, nr, sizeof(*rows), compare_rows);

	return nr;
}
