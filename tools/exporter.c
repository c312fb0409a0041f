// SPDX-License-Identifier: GPL-2.0
#include "capture.h"
#include "exporter.h"
#include "prometheus.h"
#include "util.h"

/* The least time between two comparisons of the processes with the capture */
#define SWEEP_NS NSEC_PER_SEC

/* How often exporter_last_pass() checks whether there was a tick. */
#define POLL_NS (NSEC_PER_SEC / 10)

/* Sets the defaults of options. */
void exporter_init(struct exporter_options *options)
{
	*options = (struct exporter_options){
		.nr_names = TOTALS_ROWS,
		.nr_cgroups = TOTALS_ROWS,
	};
}

/**
 * exporter_option() - store an option that next_option() returned
 * @options: the option is stored here
 * @option:  an option of struct exporter_options, or -h or -V
 * @help:    what -h prints
 *
 * Exits if its argument is wrong, or after -h and -V.
 */
void exporter_option(struct exporter_options *options, int option,
		     const char *help)
{
	switch (option) {
	case OPT_LOCATE:
		options->every = optarg ? parse_every("--faults", optarg) : 1;
		return;
	case OPT_NAMES:
		options->nr_names = parse_number("--names", optarg, 0,
						 TOTALS_MAX_ROWS);
		return;
	case OPT_CGROUPS:
		options->nr_cgroups = parse_number("--cgroups", optarg, 0,
						   TOTALS_MAX_ROWS);
		return;
	}
	parse_ring_option(&options->ring, option, help);
}

static bool is_followed(const void *data, pid_t pid)
{
	return totals_has(data, (__u32)pid);
}

/*
 * Creates a capture of the processes that were selected. Exits with one line if that
 * is impossible.
 */
void exporter_start(struct exporter *exporter,
		    const struct exporter_options *options)
{
	const struct mp3_reader *reader = &exporter->live.source.reader;

	*exporter = (struct exporter){};
	totals_init(&exporter->totals, options->nr_names, options->nr_cgroups);
	exporter->totals.since_ns = initial_monotonic_ns();
	exporter->totals.now_ns = exporter->totals.since_ns;
	exporter->totals.keep_ns = TOTALS_KEEP_NS;
	exporter->totals.every = options->every;
	live_start(&exporter->live, &options->ring, true);
	exporter->live.source.identity = true;
	if (in_initial_pid_namespace()) {
		exporter->live.selection.data = &exporter->totals;
		exporter->live.selection.is_followed = is_followed;
	}
	exporter->totals.patience_ns += 2 * reader->header->interval_ns;
	if (options->every)
		capture_locate_or_exit(reader, options->every, 0,
				       &exporter->faults);
}

/* Returns whether a process that has exited, or was denied, had a process id. */
static bool is_gone(void *data, __u32 pid)
{
	return !capture_has(data, (pid_t)pid);
}

/*
 * Ends the processes whose last record is lost, or that were denied. Outside the
 * initial pid namespace, process ids are not those of the records.
 */
static void sweep(struct exporter *exporter)
{
	struct source *source = &exporter->live.source;
	__u64 denied = source_denied(source);

	if ((source->reader.lost == exporter->lost &&
	     denied == exporter->denied) ||
	    exporter->live.now_ns < exporter->sweep_ns)
		return;
	exporter->lost = source->reader.lost;
	exporter->denied = denied;
	exporter->sweep_ns = exporter->live.now_ns + SWEEP_NS;
	if (in_initial_pid_namespace())
		totals_sweep(&exporter->totals, exporter->live.now_ns, is_gone,
			     &source->reader);
}

/* Adds up what has been published, without what this program does. */
void exporter_pass(struct exporter *exporter)
{
	const __u32 own_pid = exporter->live.source.own_pid;
	struct totals *totals = &exporter->totals;
	struct mp3_fault fault;
	struct entry entry;
	__u32 left = exporter->faults.capacity;

	/* Before the records, which show whose the faults are. */
	while (left-- && mp3_faults_next(&exporter->faults, &fault) > 0)
		if (!own_pid || fault.pid != own_pid)
			totals_fault(totals, &fault);
	live_begin_pass(&exporter->live);
	while (live_next(&exporter->live, &entry))
		totals_record(totals, &entry.record);
	totals_settle(totals, exporter->live.now_ns);
	sweep(exporter);
}

/*
 * Adds up what has happened until a signal, which has ended live_wait(). The next tick
 * publishes it; a tick may be in progress, so this waits for two. Another signal ends
 * the wait.
 */
void exporter_last_pass(struct exporter *exporter)
{
	const struct live *live = &exporter->live;
	const struct source *source = &live->source;
	const __u32 *processes = &source->reader.header->processes;
	struct wait wait = { .input_fd = -1 };
	__u64 ticks = source_ticks(source);

	live_take_signal(live);
	do {
		exporter_pass(exporter);
		wait.until_ns = live->now_ns + POLL_NS;
	} while (__atomic_load_n(processes, __ATOMIC_ACQUIRE) &&
		 source_ticks(source) - ticks < 2 && live_wait(live, &wait));
	exporter_pass(exporter);
}

/* Prints the totals, and what the header of the capture contains. */
void exporter_print(const struct exporter *exporter, FILE *file,
		    bool openmetrics)
{
	const struct source *source = &exporter->live.source;
	const struct mp3_header *header = source->reader.header;
	const struct profiler profiler = {
		.live = true,
		.ticks = source_ticks(source),
		.missed = source_missed(source),
		.cost_ns = __atomic_load_n(&header->cost_ns, __ATOMIC_RELAXED),
		.dropped = __atomic_load_n(&header->dropped, __ATOMIC_RELAXED),
		.denied = source_denied(source),
		.lost_records = source->reader.lost,
		.lost_faults = exporter->faults.lost,
		.processes = __atomic_load_n(&header->processes,
					     __ATOMIC_RELAXED),
		.interval_ns = header->interval_ns,
	};

	prometheus_print(file, openmetrics, &exporter->totals, &profiler);
}

/* Ends the capture. */
void exporter_finish(struct exporter *exporter)
{
	mp3_faults_close(&exporter->faults);
	live_finish(&exporter->live);
}
