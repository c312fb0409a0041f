// SPDX-License-Identifier: GPL-2.0
/*
 * How punctual the samples are, for mp3 and for two other tools with an interval of
 * 50 ms, all at the same time.
 *
 * Usage: punctual IDLE_SECONDS BUSY_SECONDS
 *
 * Runs in a guest with the module loaded and a swap disk. Measures the gaps between
 * samples while the guest is idle, while one process per CPU spins, and while one
 * process per CPU thrashes. Prints "state tool gaps per_second median p99 longest
 * percent_under_2_intervals missed", times in ms; then, as a second block, points of
 * the distributions, "state tool share ms". A missed deadline is one without a
 * sample: mp3 counts them in its header, and for the other tools they are computed
 * from the time that the gaps cover.
 */
#include "bench.h"

#define INTERVAL_MS	50.0
#define NS_PER_MS	1e6
#define MAX_GAPS	100000
#define POINTS		100
#define POLLER		"/tmp/poller"
#define PERF_STAT	"/tmp/stat"

static unsigned int idle_seconds, busy_seconds;
static struct ring ring, records;
static char points[1 << 18], *point = points;

/* Have something to report in each tick. */
static void pinging(void)
{
	/* The delays of this process itself must not be measured. */
	if (mlockall(MCL_CURRENT))
		err(1, "mlockall");
	for (;;)
		sleep_ms(10);
}

static void thrashing(void)
{
	thrash(get_nprocs());
}

static const struct state {
	const char *name;
	void (*body)(void);
} states[] = {
	{ "idle", asleep },
	{ "cpu-bound", spinning },
	{ "thrashing", thrashing },
};

static void report(const char *state, const char *tool, const double *times,
		   unsigned int nr, long missed)
{
	static double gaps[MAX_GAPS];
	double covered = times[nr - 1] - times[0];
	unsigned int i, under = 0, nr_gaps = nr - 1;

	for (i = 0; i < nr_gaps; i++) {
		gaps[i] = times[i + 1] - times[i];
		under += gaps[i] < 2 * INTERVAL_MS;
	}
	if (missed < 0)
		missed = (long)(covered / INTERVAL_MS + 0.5) - nr_gaps;
	sort(gaps, nr_gaps);
	printf("%s %s %u %.4f %.3f %.3f %.3f %.2f %ld\n", state, tool, nr_gaps,
	       nr_gaps * 1000 / covered, quantile(gaps, nr_gaps, 0.5),
	       quantile(gaps, nr_gaps, 0.99), gaps[nr_gaps - 1],
	       100.0 * under / nr_gaps, missed > 0 ? missed : 0);
	fflush(stdout);
	for (i = 0; i <= POINTS; i++)
		point += sprintf(point, "%s %s %.2f %.3f\n", state, tool,
				 (double)i / POINTS,
				 quantile(gaps, nr_gaps, (double)i / POINTS));
}

/*
 * Fill @times with the first column of the output of a tool, each number once. @unit
 * is the unit of that column in ms. Returns the number of times.
 */
static unsigned int times_of(const char *path, double unit, double *times)
{
	FILE *file = fopen(path, "re");
	unsigned int nr = 0;
	char *line = NULL;
	size_t size = 0;

	if (!file)
		err(1, "%s", path);
	while (getline(&line, &size, file) > 0 && nr < MAX_GAPS) {
		double time = strtod(line, NULL) * unit;

		if (time > 0 && (!nr || time != times[nr - 1]))
			times[nr++] = time;
	}
	free(line);
	fclose(file);
	if (nr < 2)
		errx(1, "%s: no samples", path);

	return nr;
}

/* The same for the ticks that have made records, from entry @from on. */
static unsigned int times_of_records(uint64_t from, double *times)
{
	volatile struct mp3_record *data = (void *)records.samples;
	uint64_t i, head = ring_head(&records);
	unsigned int nr = 0, capacity = records.header->capacity;

	if (head - from > capacity - 2)
		errx(1, "the ring of records was overwritten");
	for (i = from; i < head && nr < MAX_GAPS; i++) {
		double time = data[i % capacity].time_ns / NS_PER_MS;

		if (!nr || time != times[nr - 1])
			times[nr++] = time;
	}
	return nr;
}

static void run(const struct state *state)
{
	unsigned int i, nr, nr_loads = get_nprocs();
	static double times[MAX_GAPS];
	pid_t ping = start(pinging), *pids, poller, stat;
	uint64_t head, first, missed, ticks;
	char list[16];

	snprintf(list, sizeof(list), "%d", ping);
	poller = start_tool(POLLER, (const char *[]){ "/mp3/poller", list, NULL });
	stat = start_tool(PERF_STAT, (const char *[]){
		"perf", "stat", "-x,", "-I", "50", "-e",
		"minor-faults,major-faults,task-clock", "-p", list, NULL });
	wait_lines(stat, PERF_STAT, 3);
	pids = start_many(state->body, nr_loads);
	command_or_die('R', ping);
	for (i = 0; i < nr_loads; i++)
		command_or_die('R', pids[i]);
	/* Thrashing does not start at once. */
	sleep_ms(state->body == thrashing ? 10000 : 1000);

	/* Drop the output of the tools so far. */
	if (truncate(POLLER, 0) || truncate(PERF_STAT, 0))
		err(1, "truncate");
	head = ring_head(&records);
	first = ring_head(&ring);
	missed = ring.header->missed;
	ticks = ring.header->ticks;
	sleep_ms((state->body == asleep ? idle_seconds : busy_seconds) * 1000);
	missed = ring.header->missed - missed;
	ticks = ring.header->ticks - ticks;
	nr = times_of_records(head, times);
	if (state->body == thrashing) {
		/* The idle state can last longer than the ring of samples. */
		struct totals totals = ring_sum(&ring, first);

		printf("# thrashing: %lu major faults, %lu minor\n",
		       totals.maj_flt, totals.min_flt);
		if (totals.maj_flt < 10 * busy_seconds)
			errx(1, "the guest does not thrash");
	}
	end(poller, SIGKILL);
	end(stat, SIGKILL);
	end_many(pids, nr_loads);
	end(ping, SIGKILL);
	wait_idle(&ring);

	report(state->name, "mp3", times, nr, missed);
	if (nr + 1 < ticks || nr > ticks + 1)
		printf("# %s: %u of %llu ticks made records\n", state->name,
		       nr, (unsigned long long)ticks);
	nr = times_of(POLLER, 1 / NS_PER_MS, times);
	report(state->name, "poller", times, nr, -1);
	nr = times_of(PERF_STAT, 1e3, times);
	report(state->name, "perf-stat", times, nr, -1);
}

int main(int argc, char **argv)
{
	size_t size;
	unsigned int i;

	if (argc != 3)
		errx(2, "usage: punctual IDLE_SECONDS BUSY_SECONDS");
	idle_seconds = parse_number(argv[1]);
	busy_seconds = parse_number(argv[2]);
	/* This program must not thrash itself. */
	if (mlockall(MCL_CURRENT))
		err(1, "mlockall");
	ring = ring_open();
	records.fd = open(MP3_PROCS_PATH, O_RDONLY | O_CLOEXEC);
	records.header = mmap(NULL, getpagesize(), PROT_READ, MAP_SHARED,
			      records.fd, MP3_OFF_HEADER);
	if (records.header == MAP_FAILED)
		err(1, "%s", MP3_PROCS_PATH);
	size = records.header->capacity * sizeof(struct mp3_record);
	records.samples = mmap(NULL, size, PROT_READ, MAP_SHARED, records.fd, 0);
	if (records.samples == MAP_FAILED)
		err(1, "%s", MP3_PROCS_PATH);
	describe();
	printf("# state tool gaps per_second median p99 longest %s missed\n",
	       "percent_under_2_intervals");
	for (i = 0; i < sizeof(states) / sizeof(*states); i++)
		run(&states[i]);
	printf("\n\n# state tool share ms\n%s", points);

	return 0;
}
