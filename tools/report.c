// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "fit.h"
#include "name.h"
#include "report.h"
#include "rows.h"
#include "user.h"
#include "util.h"

/* Width of the first column, if no label is longer; and the least in a terminal */
#define LABEL_WIDTH 15
#define LABEL_LEAST 4

/* Generations that are indented: deeper ones are not indented further. */
#define MAX_DEPTH 20

/* By enum report_by: the option's argument, the header of the table, and the key. */
static const struct {
	const char *name;
	const char *label;
	const char *number;
	const char *key;
} kinds[] = {
	[BY_PROCESS] = { "process", "process", "pid", "comm" },
	[BY_NAME] = { "name", "name", "processes", "comm" },
	[BY_USER] = { "user", "user", "processes", "user" },
	[BY_CGROUP] = { "cgroup", "cgroup", "processes", "cgroup" },
	[BY_TREE] = { "tree", "process", "pid", "comm" },
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

	return user ? text_format("%s", user) : text_format("user %u", uid);
}

/* Returns the label of a row, to be freed. Exits if there is no memory. */
static char *make_label(const struct report *report, const struct row *row)
{
	const struct process *process = row->process;
	unsigned int depth = row->depth < MAX_DEPTH ? row->depth : MAX_DEPTH;
	char name[NAME_SIZE];

	name_escape(name, process->comm);
	if (report->by == BY_USER && process->identified)
		return user_label(process->uid);
	if (report->by == BY_USER || (report->by == BY_CGROUP &&
				      !process->identified))
		return text_format("unknown");
	if (report->by == BY_CGROUP)
		return text_format("%s", cgroup_name(process->cgroup_id));

	return text_format("%*s%s", 2 * (int)depth, "", name);
}

/**
 * struct row_layout - which columns the table has
 * @width:    of the first one
 * @lifetime: lifetimes, of processes and of the whole
 * @rss:      peak RSS
 * @number:   process ids, or how many processes
 * @cpu:      CPU time
 */
struct row_layout {
	int width;
	bool lifetime;
	bool rss;
	bool number;
	bool cpu;
};

/* Returns the width of all columns but the first one. */
static size_t other_width(const struct report *report,
			  const struct row_layout *layout)
{
	return 20 + (report->located ? 13 : 0) + (layout->cpu ? 12 : 0) +
	       (layout->number ? 10 : 0) + (layout->rss ? 9 : 0) +
	       (layout->lifetime ? 13 : 0);
}

/*
 * Chooses the columns that a terminal has space for: the least important ones are left
 * out first, and the first one is cut. Groups have no lifetimes: for that of the total
 * alone, no label is cut.
 */
static void fit_layout(const struct report *report, struct row_layout *layout,
		       bool processes)
{
	bool *const optional[] = {
		&layout->lifetime, &layout->rss, &layout->number, &layout->cpu,
	};
	size_t columns = fit_columns(report->file), others, i;

	if (!processes &&
	    (size_t)layout->width + other_width(report, layout) > columns)
		layout->lifetime = false;
	for (i = 0; i < ARRAY_SIZE(optional); i++)
		if (LABEL_WIDTH + other_width(report, layout) > columns)
			*optional[i] = false;
	others = other_width(report, layout);
	if ((size_t)layout->width + others <= columns)
		return;
	layout->width = columns > others + LABEL_LEAST ?
			(int)(columns - others) : LABEL_LEAST;
}

static void print_counts(const struct report *report,
			 const struct row_layout *layout,
			 const struct process *counts, const char *lifetime)
{
	double rss = (double)counts->peak_rss_bytes;
	char text[METRIC_TEXT] = "-";

	/* A process that lived between two ticks: unknown */
	if (counts->peak_rss_bytes)
		metric_text(text, METRIC_RSS, rss, rss);
	fprintf(report->file, " %10llu %8llu",
		(unsigned long long)counts->min_flt,
		(unsigned long long)counts->maj_flt);
	if (layout->cpu)
		fprintf(report->file, " %9.3f s",
			(double)counts->cpu_ns / 1e9);
	if (layout->rss)
		fprintf(report->file, " %8s", text);
	if (report->located)
		fprintf(report->file, " %10.6f s",
			(double)counts->stall_ns / 1e9);
	if (layout->lifetime && lifetime[0])
		fprintf(report->file, " %12s", lifetime);
	putc('\n', report->file);
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

/* Prints the header of the table. */
static void print_header(const struct report *report,
			 const struct row_layout *layout, bool processes)
{
	FILE *file = report->file;

	fprintf(file, "%-*.*s", layout->width, layout->width,
		kinds[report->by].label);
	if (layout->number)
		fprintf(file, " %9s", kinds[report->by].number);
	fprintf(file, " %10s %8s", "minor", "major");
	if (layout->cpu)
		fprintf(file, " %11s", "CPU");
	if (layout->rss)
		fprintf(file, " %8s", "peak RSS");
	if (report->located)
		fprintf(file, " %12s", "stalled");
	if (layout->lifetime && processes)
		fprintf(file, " %12s", "lifetime");
	putc('\n', file);
}

/* Prints the first column. */
static void print_label(const struct report *report,
			const struct row_layout *layout, const char *label)
{
	size_t width = (size_t)layout->width;
	char *text = report->by == BY_CGROUP ? fit_path(label, width) :
					       fit_end(label, width);

	fprintf(report->file, "%s%*s", text,
		(int)(width - fit_width(text)), "");
	free(text);
}

/* Prints the header and some rows, and sets the layout of the table. */
static void print_rows(const struct report *report, struct row_layout *layout,
		       struct row *rows, size_t nr)
{
	bool processes = report->by == BY_PROCESS || report->by == BY_TREE;
	size_t i, width = LABEL_WIDTH;
	char lifetime[32];

	for (i = 0; i < nr; i++) {
		rows[i].label = make_label(report, &rows[i]);
		if (width < strlen(rows[i].label))
			width = strlen(rows[i].label);
	}
	*layout = (struct row_layout){
		.width = (int)width,
		.lifetime = true,
		.rss = true,
		.number = true,
		.cpu = true,
	};
	fit_layout(report, layout, processes);
	print_header(report, layout, processes);
	for (i = 0; i < nr; i++) {
		lifetime[0] = '\0';
		if (processes)
			format_lifetime(lifetime, report, rows[i].process);
		print_label(report, layout, rows[i].label);
		if (layout->number)
			fprintf(report->file, " %9zu", processes ?
				rows[i].process->pid : rows[i].nr);
		print_counts(report, layout, &rows[i].sum, lifetime);
		free(rows[i].label);
	}
}

/* Prints a line with the sum of some rows. Its peak is at least @maxrss_bytes. */
static void print_sum(const struct report *report, const struct row_layout *layout,
		      const char *what, const struct row *rows, size_t nr,
		      const char *lifetime, __u64 maxrss_bytes)
{
	struct process sum = { .peak_rss_bytes = maxrss_bytes };
	int width = layout->width + (layout->number ? 10 : 0);
	size_t i, processes = 0;
	char label[64];

	for (i = 0; i < nr; i++) {
		add_counts(&sum, &rows[i].sum);
		processes += rows[i].nr;
	}
	snprintf(label, sizeof(label), "%s (%zu process%s)", what, processes,
		 processes == 1 ? "" : "es");
	if (strlen(label) > (size_t)width)
		label[strlen(what)] = '\0';
	fprintf(report->file, "%-*.*s", width, width, label);
	print_counts(report, layout, &sum, lifetime);
}

/* Prints the rows that have done most, the sum of the others, and the total. */
void report_table(const struct report *report, struct table *table)
{
	struct row *rows = calloc(table->nr + 1, sizeof(*rows));
	size_t nr, nr_rows = report->nr_rows;
	struct row_layout layout;
	char lifetime[32];

	if (!rows)
		err(1, "report");
	nr = report->by == BY_TREE ? tree_rows(rows, table, nr_rows) :
				     group_rows(rows, table, report->by);
	if (nr_rows > nr)
		nr_rows = nr;

	print_rows(report, &layout, rows, nr_rows);
	if (nr_rows < nr)
		print_sum(report, &layout, "others", rows + nr_rows,
			  nr - nr_rows, "", 0);
	snprintf(lifetime, sizeof(lifetime), "%.2f s",
		 (double)(report->end_ns - report->start_ns) / 1e9);
	print_sum(report, &layout, "total", rows, nr, lifetime,
		  report->maxrss_bytes);
	free(rows);
}

/* Returns whether no count is missing. */
bool report_is_complete(const struct report *report)
{
	const struct losses *losses = &report->losses;

	return !losses->dropped && !losses->lost_records &&
	       !losses->lost_faults && !losses->unknown_stalls;
}

/* Prints what the table does not contain. */
void report_losses(const struct report *report)
{
	unsigned long long running = report->losses.running;
	unsigned long long denied = report->losses.denied;
	unsigned long long dropped = report->losses.dropped;
	unsigned long long lost = report->losses.lost_records;
	FILE *file = report->file;

	if (running)
		fprintf(file, "still running (unregistered): %llu\n", running);
	if (denied)
		fprintf(file, "%llu process%s gained privileges and %s unregistered\n",
			denied, denied == 1 ? "" : "es",
			denied == 1 ? "was" : "were");
	if (dropped)
		fprintf(file, "dropped: %llu processes, not followed for lack of memory\n",
			dropped);
	if (lost)
		fprintf(file, "lost: %llu records, overwritten before they were read\n",
			lost);
	if (report->losses.lost_faults)
		fprintf(file, "lost: %llu faults, of which the stalled time is unknown\n",
			(unsigned long long)report->losses.lost_faults);
	if (report->losses.unknown_stalls)
		fprintf(file, "stalled time unknown: %llu faults\n",
			(unsigned long long)report->losses.unknown_stalls);
	if (report_is_complete(report))
		fputs("nothing was dropped or lost\n", file);
	if (!in_initial_pid_namespace())
		fputs("process ids are those of the initial pid namespace\n",
		      file);
}

/* ---- JSON and csv ---- */

/* Returns the counts of the whole table. */
static struct process sum_table(const struct report *report,
				const struct table *table)
{
	struct process sum = { .peak_rss_bytes = report->maxrss_bytes };
	size_t i;

	for (i = 0; i < table->nr; i++)
		add_counts(&sum, table->rows[i]);

	return sum;
}

/* Fills @values with those of the whole table. */
void report_total(const struct report *report, const struct table *table,
		  double values[NR_METRICS])
{
	struct process sum = sum_table(report, table);

	metric_of_process(values, &sum);
	values[METRIC_TIME] = (double)(report->end_ns - report->start_ns);
}

static void emit_counts(struct emitter *emitter, const struct report *report,
			const struct process *counts)
{
	emit_integer(emitter, "min_flt", counts->min_flt);
	emit_integer(emitter, "maj_flt", counts->maj_flt);
	emit_integer(emitter, "cpu_ns", counts->cpu_ns);
	if (counts->peak_rss_bytes)
		emit_integer(emitter, "rss_bytes", counts->peak_rss_bytes);
	else
		emit_null(emitter, "rss_bytes");
	if (report->located)
		emit_integer(emitter, "stall_ns", counts->stall_ns);
}

/* Emits the losses, or empty cells if @losses is NULL. */
void emit_losses(struct emitter *emitter, const struct losses *losses)
{
	static const char *const keys[] = {
		"running", "denied", "dropped", "lost_records", "lost_faults",
		"unknown_stalls",
	};
	__u64 values[ARRAY_SIZE(keys)];
	size_t i;

	if (losses)
		memcpy(values, losses, sizeof(values));
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (losses)
			emit_integer(emitter, keys[i], values[i]);
		else
			emit_empty(emitter, keys[i]);
	}
}

/* Emits a process or a group. Both have the same cells of csv. */
static void emit_process(struct emitter *emitter, const struct report *report,
			 const struct row *row)
{
	const struct process *process = row->process;
	bool alone = report->by == BY_PROCESS || report->by == BY_TREE;
	char *label = make_label(report, row), name[NAME_SIZE];

	name_escape(name, process->comm);
	emit_row(emitter, NULL);
	emit_text(emitter, "row", kinds[alone ? BY_PROCESS : report->by].name);
	emit_text(emitter, kinds[report->by].key, alone ? name : label);
	free(label);
	emit_integer(emitter, "processes", row->nr);
	if (alone) {
		emit_integer(emitter, "pid", process->pid);
		if (process->identified) {
			emit_integer(emitter, "ppid", process->ppid);
			emit_integer(emitter, "uid", process->uid);
		} else {
			emit_null(emitter, "ppid");
			emit_null(emitter, "uid");
		}
	}
	emit_counts(emitter, report, &row->sum);
	emit_empty(emitter, "elapsed_ns");
	emit_losses(emitter, NULL);
	emit_row_end(emitter);
}

static void emit_total(struct emitter *emitter, const struct report *report,
		       const struct table *table)
{
	struct process sum = sum_table(report, table);

	emit_row(emitter, "total");
	emit_text(emitter, "row", "total");
	emit_empty(emitter, kinds[report->by].key);
	emit_integer(emitter, "processes", table->nr);
	if (report->by == BY_PROCESS || report->by == BY_TREE) {
		emit_empty(emitter, "pid");
		emit_empty(emitter, "ppid");
		emit_empty(emitter, "uid");
	}
	emit_counts(emitter, report, &sum);
	emit_integer(emitter, "elapsed_ns", report->end_ns - report->start_ns);
	emit_losses(emitter, &report->losses);
	emit_row_end(emitter);
}

/* Emits all rows, the total, and what is missing. */
void report_emit(struct emitter *emitter, const struct report *report,
		 struct table *table)
{
	struct row *rows = calloc(table->nr + 1, sizeof(*rows));
	size_t nr, i;

	if (!rows)
		err(1, "report");
	nr = report->by == BY_TREE ? tree_rows(rows, table, table->nr) :
				     group_rows(rows, table, report->by);
	emit_array(emitter, "rows");
	for (i = 0; i < nr; i++)
		emit_process(emitter, report, &rows[i]);
	emit_array_end(emitter);
	emit_total(emitter, report, table);
	free(rows);
}
