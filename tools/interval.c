// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "interval.h"
#include "options.h"
#include "output.h"
#include "rows.h"

/* Sets the end of the interval that a record belongs to. */
static void set_end(struct interval *interval, __u64 time_ns)
{
	__u64 nr = 0;

	/* A record that arrives after its interval was printed is in the next one. */
	if (time_ns <= interval->closed_ns)
		time_ns = interval->closed_ns + 1;
	if (time_ns > interval->origin_ns)
		nr = (time_ns - interval->origin_ns - 1) / interval->length_ns;
	if (__builtin_mul_overflow(nr + 1, interval->length_ns,
				   &interval->end_ns) ||
	    __builtin_add_overflow(interval->end_ns, interval->origin_ns,
				   &interval->end_ns))
		interval->end_ns = MP3_NEVER;
}

/**
 * interval_count() - note that a record is part of the interval
 * @interval: the previous one has been printed if the record is after its end
 * @process:  its process, to which table_count() has added the counts
 * @record:   the record
 */
void interval_count(struct interval *interval, struct process *process,
		    const struct mp3_record *record)
{
	if (!interval->newest_ns)
		set_end(interval, record->time_ns);
	interval->newest_ns = record->time_ns;
	process->watch.flags |= record->flags;
	process->watch.nr_records++;
}

/* Returns the line of a row. */
static struct line make_line(const struct row *row, __u64 time_ns)
{
	struct line line = {
		.entry = {
			.time_ns = time_ns,
			.record = {
				.time_ns = time_ns,
				.pid = row->process->pid,
				.flags = row->sum.watch.flags,
				.min_flt = row->sum.min_flt,
				.maj_flt = row->sum.maj_flt,
				.cpu_ns = row->sum.cpu_ns,
				.rss_bytes = row->sum.rss_bytes,
			},
		},
		.nr_processes = row->nr,
		.depth = row->depth,
	};

	memcpy(line.entry.record.comm, row->process->comm,
	       sizeof(line.entry.record.comm));
	line_identify(&line, row->process);

	return line;
}

/* Returns whether a line is shown for its own sake. */
static bool is_shown(const struct filters *filters, const struct line *line)
{
	const struct mp3_record *sum = &line->entry.record;

	return (sum->min_flt || sum->maj_flt || sum->cpu_ns) &&
	       filter_shows(filters, sum);
}

/*
 * Fills @lines with the lines of @rows that are shown: those that did something and
 * meet the filters, and in a tree their ancestors. Returns how many there are.
 */
static size_t choose_lines(struct line *lines, const struct row *rows, size_t nr,
			   const struct filters *filters, __u64 time_ns)
{
	size_t i, chosen = 0;
	__u32 depth = 0;

	/* From the end: the parent of the row before this one is chosen with it. */
	for (i = nr; i--;) {
		lines[i] = make_line(&rows[i], time_ns);
		if (rows[i].depth < depth ||
		    is_shown(filters, &lines[i]))
			depth = rows[i].depth;
		else
			lines[i].nr_processes = 0;
	}
	for (i = 0; i < nr; i++)
		if (lines[i].nr_processes)
			lines[chosen++] = lines[i];

	return chosen;
}

static bool is_past(const struct process *process)
{
	return process->exited;
}

/* Removes the processes that have exited. */
void interval_sweep(struct interval *interval)
{
	table_sweep(&interval->table, is_past);
}

/* Starts the next interval. */
static void clear(struct interval *interval)
{
	struct process *process;
	size_t i;

	interval_sweep(interval);
	for (i = 0; i < interval->table.nr; i++) {
		process = interval->table.rows[i];
		process->min_flt = 0;
		process->maj_flt = 0;
		process->cpu_ns = 0;
		process->watch.flags = 0;
		process->watch.nr_records = 0;
	}
	interval->closed_ns = interval->end_ns;
	interval->newest_ns = 0;
}

/**
 * interval_put() - print the rows of the interval, and start the next one
 * @interval: has a record
 * @layout:   how to print; what a row is
 * @filters:  which rows to print
 * @time_ns:  time to print
 *
 * All rows are printed, even if the command has to end, unless standard output
 * cannot be written. Each record counts as an entry of the output.
 *
 * Return: false if the command has to end. Exits if there is no memory.
 */
bool interval_put(struct interval *interval, const struct layout *layout,
		  const struct filters *filters, __u64 time_ns)
{
	struct table *table = &interval->table, selected = {};
	struct row *rows = calloc(table->nr, sizeof(*rows));
	struct line *lines = calloc(table->nr, sizeof(*lines));
	struct process *process;
	__u64 nr_records = 0;
	size_t i, nr;

	selected.rows = calloc(table->nr, sizeof(*selected.rows));
	if (!rows || !lines || !selected.rows)
		err(1, "rows");
	for (i = 0; i < table->nr; i++) {
		process = table->rows[i];
		nr_records += process->watch.nr_records;
		if (process->watch.selected || process->watch.nr_records)
			selected.rows[selected.nr++] = process;
	}
	nr = layout->by == BY_TREE ?
	     tree_rows(rows, &selected, selected.nr) :
	     group_rows(rows, &selected, layout->by);
	nr = choose_lines(lines, rows, nr, filters, time_ns);
	for (i = 0; i < nr && output_begin_last_line(); i++)
		format_put_line(layout, &lines[i]);
	output_end_entries(nr_records);
	clear(interval);
	free(selected.rows);
	free(lines);
	free(rows);

	return i == nr;
}
