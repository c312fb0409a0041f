// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>

#include "trace.h"
#include "util.h"

/* Without records for longer than this many intervals, a process has done nothing. */
#define IDLE_INTERVALS 4

/* Begins a value of a counter, of a process or, if @track is NULL, of all. */
static void begin_counter(const struct track *track, const char *name,
			  __u64 time_ns)
{
	trace_begin_event('C');
	trace_put_time("ts", time_ns);
	fputs(",\"cat\":\"counter\",\"name\":\"", stdout);
	if (track) {
		trace_put_process(track);
		putchar(' ');
		/* A reused process id is another counter. */
		if (track->tid >= PID_LIMIT)
			printf("(%u) ", track->tid / PID_LIMIT + 1);
	} else {
		/* Viewers sort counters by name: these come first. */
		fputs("(all) ", stdout);
	}
	printf("%s\",\"args\":{", name);
}

static void put_faults(const struct track *track, __u64 time_ns, double minor,
		       double major)
{
	begin_counter(track, "faults/s", time_ns);
	printf("\"minor\":%.9g,\"major\":%.9g}}", minor, major);
}

static void put_cpu(__u64 time_ns, double percent)
{
	begin_counter(NULL, "CPU %", time_ns);
	printf("\"CPU\":%.9g}}", percent);
}

static void put_rss(const struct track *track, __u64 time_ns, __u64 bytes)
{
	begin_counter(track, "resident bytes", time_ns);
	printf("\"rss_bytes\":%llu}}", (unsigned long long)bytes);
}

/* Returns when the interval of counts began that were read at @time_ns. */
static __u64 interval_begin(__u64 last_ns, __u64 time_ns)
{
	__u64 interval_ns = trace.interval_ns;

	return interval_ns && time_ns - last_ns > IDLE_INTERVALS * interval_ns ?
		time_ns - interval_ns : last_ns;
}

/*
 * Returns events per second in an interval. One that is short, since it ends with an
 * exit or follows a late tick, counts as half of the sampling interval: otherwise, a
 * few faults would make the highest rate of all.
 */
static double per_second(__u64 count, __u64 begin_ns, __u64 end_ns)
{
	__u64 ns = end_ns - begin_ns;

	if (ns < trace.interval_ns / 2)
		ns = trace.interval_ns / 2;

	return ns ? (double)count * 1e9 / (double)ns : 0;
}

/*
 * Moves a counter to an interval. Returns whether it has to be set to 0 at @zero_ns,
 * the end of its last value, and sets @is_new unless it is and stays 0.
 */
static bool rate_advance(struct trace_rate *rate, __u64 begin_ns, __u64 end_ns,
			 bool is_set, __u64 *zero_ns, bool *is_new)
{
	bool zero = rate->is_set && (rate->until_ns < begin_ns || !is_set);

	*zero_ns = rate->until_ns;
	*is_new = is_set;
	rate->is_set = is_set;
	rate->until_ns = end_ns;

	return zero;
}

/* Sets faults per second, of a process or of all, for an interval. */
static void set_faults(const struct track *track, struct trace_rate *rate,
		       __u64 begin_ns, __u64 end_ns, __u64 min_flt, __u64 maj_flt)
{
	__u64 zero_ns;
	bool is_new;

	if (rate_advance(rate, begin_ns, end_ns, min_flt || maj_flt, &zero_ns,
			 &is_new))
		put_faults(track, zero_ns, 0, 0);
	if (is_new)
		put_faults(track, begin_ns,
			   per_second(min_flt, begin_ns, end_ns),
			   per_second(maj_flt, begin_ns, end_ns));
}

/* Prints the counters of all processes for the tick whose records were read. */
static void put_tick(void)
{
	struct trace_tick *tick = &trace.tick;
	__u64 begin_ns, zero_ns;
	bool is_new;

	if (!tick->time_ns)
		return;
	begin_ns = interval_begin(tick->last_ns, tick->time_ns);
	set_faults(NULL, &trace.faults, begin_ns, tick->time_ns, tick->min_flt,
		   tick->maj_flt);
	if (rate_advance(&trace.cpu, begin_ns, tick->time_ns, tick->cpu_ns,
			 &zero_ns, &is_new))
		put_cpu(zero_ns, 0);
	if (is_new)
		put_cpu(begin_ns,
			per_second(tick->cpu_ns, begin_ns, tick->time_ns) / 1e7);
	if (trace.shown_rss_bytes != trace.rss_bytes)
		put_rss(NULL, tick->time_ns, trace.rss_bytes);
	trace.shown_rss_bytes = trace.rss_bytes;
	*tick = (struct trace_tick){ .last_ns = tick->time_ns };
}

/* Prints the counters of a record's process. */
void trace_put_record(void *data, const struct mp3_record *record)
{
	struct track *track = trace_find_track(record);
	struct trace_tick *tick = &trace.tick;
	__u64 begin_ns;

	(void)data;
	if (record->flags & MP3_IDENTITY)
		return;
	if (tick->time_ns && tick->time_ns < record->time_ns)
		put_tick();
	if (!tick->last_ns || tick->last_ns > record->time_ns)
		tick->last_ns = track->start_ns;
	tick->time_ns = record->time_ns;
	tick->min_flt += record->min_flt;
	tick->maj_flt += record->maj_flt;
	tick->cpu_ns += record->cpu_ns;

	if (track->last_ns > record->time_ns)
		track->last_ns = record->time_ns;
	begin_ns = interval_begin(track->last_ns, record->time_ns);
	set_faults(track, &track->faults, begin_ns, record->time_ns,
		   record->min_flt, record->maj_flt);
	track->last_ns = record->time_ns;
	if (record->rss_bytes != track->rss_bytes) {
		trace.rss_bytes += record->rss_bytes - track->rss_bytes;
		track->rss_bytes = record->rss_bytes;
		put_rss(track, record->time_ns, record->rss_bytes);
	}
	if (record->flags & MP3_LAST)
		set_faults(track, &track->faults, record->time_ns,
			   record->time_ns, 0, 0);
}

/* Ends the counters that are not 0. */
void trace_put_ends(void)
{
	size_t i;

	put_tick();
	for (i = 0; i < trace.data.nr_processes; i++) {
		struct track *track = &trace.tracks[i];

		set_faults(track, &track->faults, track->end_ns, track->end_ns,
			   0, 0);
	}
	set_faults(NULL, &trace.faults, ~0ULL, ~0ULL, 0, 0);
	if (trace.cpu.is_set)
		put_cpu(trace.cpu.until_ns, 0);
}
