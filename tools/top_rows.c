// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <time.h>

#include "top.h"
#include "util.h"

/* Keys that sort by each column. */
static const char keys[] = {
	[TOP_MAJOR] = 'M',
	[TOP_MINOR] = 'm',
	[TOP_CPU] = 'c',
	[TOP_RSS] = 'r',
	[TOP_PID] = 'p',
};

/* ---- Processes ---- */

/* Initializes rows without any process. */
void top_init(struct top *top)
{
	*top = (struct top){ .sort = TOP_MAJOR };
	table_init(&top->table);
}

/* Counts a record. */
void top_count(struct top *top, const struct mp3_record *record)
{
	table_count(&top->table, record);
	top->newest_ns = record->time_ns;
	top->fresh = true;
}

/* Reads the name and the memory of a process without a record from /proc. */
static void read_proc(struct process *process)
{
	unsigned long pages;
	char path[32];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/comm", process->pid);
	file = fopen(path, "re");
	if (file) {
		/* It ends with a newline, and may contain others. */
		size = fread(process->comm, 1, sizeof(process->comm), file);
		process->comm[size ? size - 1 : 0] = '\0';
		fclose(file);
	}
	snprintf(path, sizeof(path), "/proc/%u/statm", process->pid);
	file = fopen(path, "re");
	if (file) {
		if (fscanf(file, "%*s %lu", &pages) == 1)
			process->rss_bytes = pages * (__u64)getpagesize();
		fclose(file);
	}
}

/*
 * Returns whether a capture has a process. If it has not, the process id is no
 * longer in use, or it is another process' and must not be added.
 */
static bool is_captured(const struct mp3_reader *capture, pid_t pid)
{
	int error = mp3_capture_register(capture, pid);

	if (!error)
		mp3_capture_unregister(capture, pid);
	return error == -EEXIST;
}

/* Ends the processes that a capture no longer has. */
static void end_uncaptured(struct top *top, const struct mp3_reader *capture)
{
	struct table *table = &top->table;
	size_t i;

	for (i = 0; i < table->nr; i++)
		if (!table->rows[i]->exited &&
		    !is_captured(capture, (pid_t)table->rows[i]->pid))
			table_end(table, table->rows[i]);
}

/*
 * Adds the processes that the status file lists, and ends the others. It is
 * needed at the start, when the ring no longer holds the records of a process
 * that has been idle for long, and after records were lost.
 */
static void synchronize_list(struct top *top)
{
	struct table *table = &top->table;
	struct process *process;
	bool *listed;
	pid_t *pids = NULL;
	size_t i, nr;

	if (mp3_list(&pids, &nr)) {
		free(pids);
		return;
	}
	listed = calloc(PID_LIMIT, sizeof(*listed));
	if (!listed)
		err(1, "registered processes");
	for (i = 0; i < nr; i++) {
		process = table_get(table, (__u32)pids[i]);
		if (!process)
			continue;
		listed[process->pid] = true;
		if (!process->first_ns && !process->comm[0])
			read_proc(process);
	}
	for (i = 0; i < table->nr; i++)
		if (!listed[table->rows[i]->pid])
			table_end(table, table->rows[i]);
	free(listed);
	free(pids);
}

/*
 * Makes the table agree with what is registered. Outside the initial pid
 * namespace, process ids are not those of the records: it stays as it is.
 */
static void synchronize(struct top *top, const struct source *source)
{
	if (!in_initial_pid_namespace())
		return;
	if (source->capture)
		end_uncaptured(top, &source->reader);
	else
		synchronize_list(top);
}

/* ---- Rates ---- */

static bool was_shown(const struct process *process)
{
	return process->top.shown;
}

/* After this, the next refresh removes the processes that have exited. */
static void mark_shown(struct top *top)
{
	size_t i;

	for (i = 0; i < top->table.nr; i++)
		top->table.rows[i]->top.shown = top->table.rows[i]->exited;
}

/* Sets a process' rates to what it counted since the last time. */
static void set_rates(struct process *process, double seconds)
{
	double *rates = process->top.rates;

	rates[TOP_MINOR] =
		(double)(process->min_flt - process->top.min_flt) / seconds;
	rates[TOP_MAJOR] =
		(double)(process->maj_flt - process->top.maj_flt) / seconds;
	rates[TOP_CPU] = (double)(process->cpu_ns - process->top.cpu_ns) /
		seconds / 1e9 * 100;
	process->top.min_flt = process->min_flt;
	process->top.maj_flt = process->maj_flt;
	process->top.cpu_ns = process->cpu_ns;
}

static void set_all_rates(struct top *top, double seconds)
{
	size_t i;

	for (i = 0; i < top->table.nr; i++)
		set_rates(top->table.rows[i], seconds);
}

/* Sets all rates to 0. */
static void clear_rates(struct top *top)
{
	set_all_rates(top, 1);
	set_all_rates(top, 1);
}

/**
 * top_start() - start to compute rates
 * @top:    the records that the ring held at the start have been counted: they
 *	    show which processes are registered, but are too old for rates
 * @source: the ring
 * @now_ns: CLOCK_MONOTONIC of the initial time namespace
 */
void top_start(struct top *top, const struct source *source, __u64 now_ns)
{
	synchronize(top, source);
	mark_shown(top);
	table_sweep(&top->table, was_shown);
	clear_rates(top);
	top->fresh = false;
	top->ticks = source_ticks(source);
	top->lost = source->reader.lost;
	top->denied = source_denied(source);
	top->base_ns = top->newest_ns + NSEC_PER_SEC > now_ns ?
		top->newest_ns : now_ns;
}

/**
 * top_refresh() - compute the rates since the last time
 * @top:    all records that are published have been counted
 * @source: the ring
 * @now_ns: CLOCK_MONOTONIC of the initial time namespace
 *
 * Rates are over the time between the newest ticks of two refreshes, however
 * long that was. Without a tick in between, nothing is known yet; a tick without
 * records means that all processes were idle. A process that has exited is
 * shown once more.
 */
void top_refresh(struct top *top, const struct source *source, __u64 now_ns)
{
	__u64 span_ns = source->reader.header->interval_ns;
	__u64 ticks = source_ticks(source), denied = source_denied(source);

	/* Neither a lost record nor a denied one can end a process. */
	if (source->reader.lost != top->lost || denied != top->denied) {
		top->lost = source->reader.lost;
		top->denied = denied;
		synchronize(top, source);
	}
	table_sweep(&top->table, was_shown);
	if (top->fresh) {
		/* As in samples: the CPU time of at least one interval. */
		if (top->newest_ns > top->base_ns + span_ns)
			span_ns = top->newest_ns - top->base_ns;
		set_all_rates(top, (double)span_ns / 1e9);
		top->base_ns = top->newest_ns;
	} else if (ticks != top->ticks) {
		clear_rates(top);
		top->base_ns = now_ns;
	}
	top->fresh = false;
	top->ticks = ticks;
	mark_shown(top);
}

/* ---- Order ---- */

/* Sorts by the column of a key from now on. Returns whether it has one. */
bool top_sort_by(struct top *top, int key)
{
	size_t i;

	for (i = 0; i < sizeof(keys); i++) {
		if (keys[i] == key) {
			top->sort = (enum top_column)i;
			return true;
		}
	}

	return false;
}

static double value_of(const struct process *process, enum top_column column)
{
	return column == TOP_RSS ? (double)process->rss_bytes :
				   process->top.rates[column];
}

static int compare(const void *left, const void *right, void *arg)
{
	const struct process *a = *(struct process * const *)left;
	const struct process *b = *(struct process * const *)right;
	const struct top *top = arg;
	const enum top_column order[] = { top->sort, TOP_MAJOR, TOP_MINOR };
	double difference;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(order) && top->sort != TOP_PID; i++) {
		difference = value_of(b, order[i]) - value_of(a, order[i]);
		if (difference != 0)
			return difference > 0 ? 1 : -1;
	}

	return a->pid < b->pid ? -1 : a->pid > b->pid;
}

/* Sorts the rows. */
void top_sort(struct top *top)
{
	qsort_r(top->table.rows, top->table.nr, sizeof(top->table.rows[0]),
		compare, top);
}

/* ---- Lines ---- */

const char top_header[] =
	"    PID    MAJOR/s    MINOR/s    RSS    CPU%  COMMAND";

/* Fills @text with a size in at most 6 characters. */
static void size_text(char text[16], double bytes)
{
	static const char units[] = "BKMGT";
	size_t unit = 0;

	while (bytes >= 1000 && units[unit + 1]) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, 16, "%.*f%c", unit && bytes < 100, bytes, units[unit]);
}

/* Fills @line with the sums over all processes. */
void top_title(const struct top *top, char line[TOP_LINE])
{
	double sums[TOP_RATES] = {};
	time_t now = time(NULL);
	size_t i, column, nr = top->table.nr;
	char clock[16];
	struct tm tm;
	int size;

	for (i = 0; i < nr; i++)
		for (column = 0; column < TOP_RATES; column++)
			sums[column] += top->table.rows[i]->top.rates[column];
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
	size = snprintf(line, TOP_LINE,
			"%s  %zu process%s  %.1f major/s  %.1f minor/s  CPU %.1f%%",
			clock, nr, nr == 1 ? "" : "es", sums[TOP_MAJOR],
			sums[TOP_MINOR], sums[TOP_CPU]);
	if (top->lost && size > 0 && size < TOP_LINE)
		snprintf(line + size, (size_t)(TOP_LINE - size),
			 "  %llu records lost", (unsigned long long)top->lost);
}

/* Fills @line with the row of a process. */
void top_row(const struct process *process, char line[TOP_LINE])
{
	const double *rates = process->top.rates;
	char rss[16], name[NAME_SIZE];

	size_text(rss, (double)process->rss_bytes);
	name_escape(name, process->comm);
	snprintf(line, TOP_LINE, "%7u %10.1f %10.1f %6s %7.1f  %s",
		 process->pid, rates[TOP_MAJOR], rates[TOP_MINOR], rss,
		 rates[TOP_CPU], name);
}
