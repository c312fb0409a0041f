// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "report.h"
#include "util.h"

/* Width of the name and the process id. */
#define LABEL_WIDTH 26

/* Adds the counts of one process to a sum. */
static void add_counts(struct process *sum, const struct process *process)
{
	sum->min_flt += process->min_flt;
	sum->maj_flt += process->maj_flt;
	sum->cpu_ns += process->cpu_ns;
}

/* Sorts by faults, then by CPU time, the largest first; then by process id. */
static int compare_rows(const void *one, const void *other)
{
	const struct process *a = *(struct process *const *)one;
	const struct process *b = *(struct process *const *)other;
	__u64 a_faults = a->min_flt + a->maj_flt;
	__u64 b_faults = b->min_flt + b->maj_flt;

	if (a_faults != b_faults)
		return a_faults < b_faults ? 1 : -1;
	if (a->cpu_ns != b->cpu_ns)
		return a->cpu_ns < b->cpu_ns ? 1 : -1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

static void print_line(const char *label, const struct process *counts,
		       const char *lifetime)
{
	fprintf(stderr, "%-*s %12llu %8llu %11.3f s%s%*s\n", LABEL_WIDTH, label,
		(unsigned long long)counts->min_flt,
		(unsigned long long)counts->maj_flt,
		(double)counts->cpu_ns / 1e9, lifetime[0] ? " " : "",
		lifetime[0] ? 12 : 0, lifetime);
}

static void print_row(const struct process *process, __u64 interval_ns,
		      __u64 end_ns)
{
	char label[NAME_SIZE + LABEL_WIDTH], name[NAME_SIZE], lifetime[32];
	__u64 last_ns = process->last_ns;
	int width;
	double seconds;

	name_escape(name, process->comm);
	width = LABEL_WIDTH - (int)strlen(name);
	snprintf(label, sizeof(label), "%s%*u", name,
		 width > 11 ? width : 11, process->pid);

	/* The tick of the newest record may be later than the end. */
	if (!process->exited && last_ns < end_ns)
		last_ns = end_ns;
	seconds = (double)(last_ns - process->first_ns) / 1e9;
	/* A process that has exited has no memory. */
	if (!process->exited || process->rss_bytes)
		snprintf(lifetime, sizeof(lifetime), ">%.2f s", seconds);
	else if (process->last_ns == process->first_ns)
		snprintf(lifetime, sizeof(lifetime), "<%g s",
			 (double)interval_ns / 1e9);
	else
		snprintf(lifetime, sizeof(lifetime), "%.2f s", seconds);

	print_line(label, process, lifetime);
}

/* Prints a line with the sum of some rows. */
static void print_sum(const char *what, struct process *const *rows, size_t nr,
		      const char *lifetime)
{
	struct process sum = {};
	char label[64];
	size_t i;

	for (i = 0; i < nr; i++)
		add_counts(&sum, rows[i]);
	snprintf(label, sizeof(label), "%s (%zu process%s)", what, nr,
		 nr == 1 ? "" : "es");
	print_line(label, &sum, lifetime);
}

/**
 * report_table() - print the processes that faulted most, and the total
 * @table:	 its rows are sorted
 * @nr_rows:	 how many processes to print; one line sums up the others
 * @interval_ns: length of the sampling interval
 * @start_ns:	 when profiling started
 * @end_ns:	 when it ended
 */
void report_table(struct table *table, size_t nr_rows, __u64 interval_ns,
		  __u64 start_ns, __u64 end_ns)
{
	char lifetime[32];
	size_t i;

	if (table->nr)
		qsort(table->rows, table->nr, sizeof(*table->rows),
		      compare_rows);
	if (nr_rows > table->nr)
		nr_rows = table->nr;

	fprintf(stderr, "%-15s %10s %12s %8s %13s %12s\n", "process", "pid",
		"minor", "major", "CPU", "lifetime");
	for (i = 0; i < nr_rows; i++)
		print_row(table->rows[i], interval_ns, end_ns);
	if (nr_rows < table->nr)
		print_sum("others", table->rows + nr_rows, table->nr - nr_rows,
			  "");
	snprintf(lifetime, sizeof(lifetime), "%.2f s",
		 (double)(end_ns - start_ns) / 1e9);
	print_sum("total", table->rows, table->nr, lifetime);
}
