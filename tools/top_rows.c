// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>

#include "capture.h"
#include "top.h"
#include "util.h"

/* ---- Processes ---- */

/* Initializes rows without any process. */
void top_init(struct top *top)
{
	*top = (struct top){ .sort = TOP_MAJOR };
	table_init(&top->table);
	top->table.extra = sizeof(struct top_process);
	top_default_columns(top, false);
}

/* Counts a record, or notes the identity in it. */
void top_count(struct top *top, const struct mp3_record *record)
{
	table_count(&top->table, record);
	if (record->flags & MP3_IDENTITY)
		return;
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
 * Adds a process of the capture, unless a record of it has been read: many that are
 * registered at once can have lost theirs. @data is the rows.
 */
void top_add(void *data, pid_t pid)
{
	struct top *top = data;
	struct process *process;

	if (table_find(&top->table, (__u32)pid))
		return;
	process = table_get(&top->table, (__u32)pid);
	if (process)
		read_proc(process);
}

/* Ends the processes that a capture no longer has. */
static void end_uncaptured(struct top *top, const struct mp3_reader *capture)
{
	struct table *table = &top->table;
	size_t i;

	for (i = 0; i < table->nr; i++)
		if (!table->rows[i]->exited &&
		    !capture_has(capture, (pid_t)table->rows[i]->pid))
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
	return top_state(process)->shown;
}

/* After this, the next refresh removes the processes that have exited. */
static void mark_shown(struct top *top)
{
	size_t i;

	for (i = 0; i < top->table.nr; i++)
		top_state(top->table.rows[i])->shown =
			top->table.rows[i]->exited;
}

/* Sets a process' rates to what it has done since the last time. */
static void set_rates(struct top *top, struct process *process, double seconds)
{
	struct top_process *state = top_state(process);
	__u64 kinds[NR_KINDS] = {}, stall_ns = 0;
	double *rates = state->rates;
	size_t i;

	rates[TOP_MINOR] = (double)(process->min_flt - state->min_flt) / seconds;
	rates[TOP_MAJOR] = (double)(process->maj_flt - state->maj_flt) / seconds;
	rates[TOP_CPU] = (double)(process->cpu_ns - state->cpu_ns) / seconds /
		1e9 * 100;
	state->min_flt = process->min_flt;
	state->maj_flt = process->maj_flt;
	state->cpu_ns = process->cpu_ns;

	top_take_faults(top, process, kinds, &stall_ns);
	rates[TOP_STALL] = (double)stall_ns / seconds / 1e9 * 100;
	for (i = 0; i < NR_KINDS; i++)
		rates[TOP_KIND + i] = (double)kinds[i] / seconds;
}

static void set_all_rates(struct top *top, double seconds)
{
	size_t i;

	for (i = 0; i < top->table.nr; i++)
		set_rates(top, top->table.rows[i], seconds);
	top_forget_faults(top);
}

/* Sets all rates to 0. */
static void clear_rates(struct top *top)
{
	set_all_rates(top, 1);
	set_all_rates(top, 1);
}

/* Notes the rates since the last refresh in the history of each process. */
static void note_history(struct top *top, __u64 now_ns)
{
	struct top_process *state;
	size_t i;

	for (i = 0; i < top->table.nr; i++) {
		state = top_state(top->table.rows[i]);
		spark_add(&state->history, top->base_ns, now_ns,
			  state->rates[TOP_MAJOR] + state->rates[TOP_MINOR]);
	}
	top->base_ns = now_ns;
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

static bool is_any(const struct process *process)
{
	(void)process;
	return true;
}

/* Forgets all processes, and computes rates since @now_ns from now on. */
void top_restart(struct top *top, __u64 now_ns)
{
	table_sweep(&top->table, is_any);
	set_free(&top->faults);
	top->fresh = false;
	top->base_ns = now_ns;
	top->newest_ns = now_ns;
}

/**
 * top_advance() - compute the rates since the last time
 * @top:	 the records until @now_ns have been counted
 * @interval_ns: sampling interval
 * @now_ns:	 CLOCK_MONOTONIC of the initial time namespace
 * @ticked:	 there was a tick since the last time
 *
 * Rates are over the time between the newest ticks of two refreshes, however
 * long that was. Without a tick in between, nothing is known yet; a tick without
 * records means that all processes were idle. A process that has exited is
 * shown once more.
 */
void top_advance(struct top *top, __u64 interval_ns, __u64 now_ns, bool ticked)
{
	__u64 span_ns = interval_ns;

	table_sweep(&top->table, was_shown);
	if (top->fresh) {
		/* As in samples: the CPU time of at least one interval. */
		if (top->newest_ns > top->base_ns + span_ns)
			span_ns = top->newest_ns - top->base_ns;
		set_all_rates(top, (double)span_ns / 1e9);
		note_history(top, top->newest_ns);
	} else if (ticked) {
		clear_rates(top);
		note_history(top, now_ns);
	}
	top->fresh = false;
	mark_shown(top);
}

/**
 * top_refresh() - compute the rates since the last time, from a ring
 * @top:    all records that are published have been counted
 * @source: the ring
 * @now_ns: CLOCK_MONOTONIC of the initial time namespace
 */
void top_refresh(struct top *top, const struct source *source, __u64 now_ns)
{
	__u64 ticks = source_ticks(source), denied = source_denied(source);

	/* Neither a lost record nor a denied one can end a process. */
	if (source->reader.lost != top->lost || denied != top->denied) {
		top->lost = source->reader.lost;
		top->denied = denied;
		synchronize(top, source);
	}
	top_advance(top, source->reader.header->interval_ns, now_ns,
		    ticks != top->ticks);
	top->ticks = ticks;
}
