/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rows of a report: which ones, and in which order.
 */
#ifndef MP3_TOOLS_ROWS_H
#define MP3_TOOLS_ROWS_H

#include "report.h"

/**
 * struct row - a row of a report
 * @process: the process, or one of the group
 * @nr:	     processes in the group, or 1
 * @sum:     what they have done, and their resident memory
 * @depth:   generations that the process is below a root of the tree
 * @label:   while it is printed: its first column
 */
struct row {
	const struct process *process;
	size_t nr;
	struct process sum;
	unsigned int depth;
	char *label;
};

void add_counts(struct process *sum, const struct process *process);
int compare_counts(const struct process *a, const struct process *b);

size_t group_rows(struct row *rows, struct table *table, enum report_by by);
size_t tree_rows(struct row *rows, struct table *table, size_t nr_rows);

#endif /* MP3_TOOLS_ROWS_H */
