// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "name.h"
#include "report.h"
#include "rows.h"
#include "user.h"
#include "util.h"

/* Width of the first column, if no label is longer. */
#define LABEL_WIDTH 15

/* Generations that are indented: deeper ones are not indented further. */
#define MAX_DEPTH 20

/* By enum report_by: the option's argument, and the header of the table. */
static const struct {
	const char *name;
	const char *label;
	const char *number;
} kinds[] = {
	[BY_PROCESS] = { "process", "process", "pid" },
	[BY_NAME] = { "name", "name", "processes" },
	[BY_USER] = { "user", "user", "processes" },
	[BY_CGROUP] = { "cgroup", "cgroup", "processes" },
	[BY_TREE] = { "tree", "process", "pid" },
};

/* Parses the argument of --by. Exits with status 2 if it is none. */
enum report_by parse_report_by(const char *text)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(text, kinds[i].name))
			return i;
	errx(2, "--by: '%s' is not process, name, user, cgroup or tree", text);
}

/* Returns the name of a user, to be freed. Exits if there is no memory. */
static char *user_label(__u32 uid)
{
	const char *user = user_name(uid);
	char *name;

	if ((user ? asprintf(&name, "%s", user) :
		    asprintf(&name, "user %u", uid)) < 0)
		err(1, "report");

	return name;
}

/* Returns the label of a row, to be freed. Exits if there is no memory. */
static char *make_label(const struct report *report, const struct row *row)
{
	const struct process *process = row->process;
	unsigned int depth = row->depth < MAX_DEPTH ? row->depth : MAX_DEPTH;
	char name[NAME_SIZE], *label;

	name_escape(name, process->comm);
	if (report->by == BY_USER && process->identified)
		return user_label(process->uid);
	if (report->by == BY_USER || (report->by == BY_CGROUP &&
				      !process->identified))
		label = strdup("unknown");
	else if (report->by == BY_CGROUP)
		label = strdup(cgroup_name(process->cgroup_id));
	else if (asprintf(&label, "%*s%s", 2 * (int)depth, "", name) < 0)
		label = NULL;
	if (!label)
		err(1, "report");

	return label;
}

static void print_counts(FILE *file, const struct process *counts,
			 const char *lifetime)
{
	fprintf(file, " %12llu %8llu %11.3f s%s%*s\n",
		(unsigned long long)counts->min_flt,
		(unsigned long long)counts->maj_flt,
		(double)counts->cpu_ns / 1e9, lifetime[0] ? " " : "",
		lifetime[0] ? 12 : 0, lifetime);
}

/* Prints the lifetime of a process, as far as records and ticks show it. */
static void format_lifetime(char text[32], const struct report *report,
			    const struct process *process)
{
	__u64 last_ns = process->last_ns;
	double seconds;

	/* The tick of the newest record may be later than the end. */
	if (!process->exited && last_ns < report->end_ns)
		last_ns = report->end_ns;
	seconds = (double)(last_ns - process->first_ns) / 1e9;
	/* A process that has exited has no memory. */
	if (!process->exited || process->rss_bytes)
		snprintf(text, 32, ">%.2f s", seconds);
	else if (process->last_ns == process->first_ns)
		snprintf(text, 32, "<%g s", (double)report->interval_ns / 1e9);
	else
		snprintf(text, 32, "%.2f s", seconds);
}

/* Prints the header and some rows. Returns the width of the first column. */
static int print_rows(const struct report *report, struct row *rows, size_t nr)
{
	bool processes = report->by == BY_PROCESS || report->by == BY_TREE;
	size_t i, width = LABEL_WIDTH;
	char lifetime[32];

	for (i = 0; i < nr; i++) {
		rows[i].label = make_label(report, &rows[i]);
		if (width < strlen(rows[i].label))
			width = strlen(rows[i].label);
	}
	fprintf(report->file, "%-*s %10s %12s %8s %13s%s\n", (int)width,
		kinds[report->by].label, kinds[report->by].number, "minor",
		"major", "CPU", processes ? "     lifetime" : "");
	for (i = 0; i < nr; i++) {
		lifetime[0] = '\0';
		if (processes)
			format_lifetime(lifetime, report, rows[i].process);
		fprintf(report->file, "%-*s %10zu", (int)width, rows[i].label,
			processes ? rows[i].process->pid : rows[i].nr);
		print_counts(report->file, &rows[i].sum, lifetime);
		free(rows[i].label);
	}

	return (int)width;
}

/* Prints a line with the sum of some rows, with a first column of @width. */
static void print_sum(const struct report *report, int width, const char *what,
		      const struct row *rows, size_t nr, const char *lifetime)
{
	struct process sum = {};
	size_t i, processes = 0;
	char label[64];

	for (i = 0; i < nr; i++) {
		add_counts(&sum, &rows[i].sum);
		processes += rows[i].nr;
	}
	snprintf(label, sizeof(label), "%s (%zu process%s)", what, processes,
		 processes == 1 ? "" : "es");
	fprintf(report->file, "%-*s", width + 11, label);
	print_counts(report->file, &sum, lifetime);
}

/* Prints the rows that have done most, the sum of the others, and the total. */
void report_table(const struct report *report, struct table *table)
{
	struct row *rows = calloc(table->nr + 1, sizeof(*rows));
	size_t nr, nr_rows = report->nr_rows;
	char lifetime[32];
	int width;

	if (!rows)
		err(1, "report");
	nr = report->by == BY_TREE ? tree_rows(rows, table, nr_rows) :
				     group_rows(rows, table, report->by);
	if (nr_rows > nr)
		nr_rows = nr;

	width = print_rows(report, rows, nr_rows);
	if (nr_rows < nr)
		print_sum(report, width, "others", rows + nr_rows, nr - nr_rows,
			  "");
	snprintf(lifetime, sizeof(lifetime), "%.2f s",
		 (double)(report->end_ns - report->start_ns) / 1e9);
	print_sum(report, width, "total", rows, nr, lifetime);
	free(rows);
}
