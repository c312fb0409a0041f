// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of a tick per process and holder: the classic registry, or captures.
 *
 * Usage: captures PASSES NR
 *
 * Runs in a guest with the module loaded, as root. For NR processes that sleep or
 * run in each tick, prints "kind holders median": the cost of a tick from cost_ns in
 * the header, in nanoseconds per process. In a guest that executes one instruction
 * per nanosecond, the unit is instructions.
 */
#include "bench.h"

#define MAX_PASSES	100
#define MAX_CAPTURES	63
#define SETTLING	3	/* ticks before the measured ones */

static struct ring ring;

static void wait_tick(void)
{
	uint64_t ticks = ring.header->ticks;

	while (ring.header->ticks == ticks)
		sleep_ms(5);
	/* Let the tick that was just counted end. */
	sleep_ms(5);
}

static double median_cost(unsigned int passes)
{
	static double costs[MAX_PASSES];
	unsigned int i;

	for (i = 0; i < SETTLING; i++)
		wait_tick();
	for (i = 0; i < passes; i++) {
		uint64_t ticks = ring.header->ticks, cost = ring.header->cost_ns;

		wait_tick();
		costs[i] = (double)(ring.header->cost_ns - cost) /
			   (ring.header->ticks - ticks);
	}
	sort(costs, passes);
	return quantile(costs, passes, 0.5);
}

/* Measure with @nr_captures as holders, or with the classic registry if it is 0. */
static void measure(const char *kind, const pid_t *pids, unsigned int nr,
		    unsigned int nr_captures, unsigned int passes)
{
	int captures[MAX_CAPTURES];
	unsigned int i, c;
	char line[32];

	for (i = 0; i < nr && !nr_captures; i++)
		command_or_die('R', pids[i]);
	for (c = 0; c < nr_captures; c++) {
		captures[c] = open(MP3_CAPTURE_PATH, O_RDWR | O_CLOEXEC);
		if (captures[c] < 0)
			err(1, MP3_CAPTURE_PATH);
		for (i = 0; i < nr; i++) {
			int size = snprintf(line, sizeof(line), "R,%d", pids[i]);

			if (write(captures[c], line, size) != size)
				err(1, "%s", line);
		}
	}
	printf("%s %s%u %.1f\n", kind, nr_captures ? "captures-" : "classic-",
	       nr_captures ? nr_captures : 1, median_cost(passes) / nr);
	fflush(stdout);
	for (c = 0; c < nr_captures; c++)
		close(captures[c]);
	for (i = 0; i < nr && !nr_captures; i++)
		command_or_die('U', pids[i]);
}

int main(int argc, char **argv)
{
	static const unsigned int holders[] = { 0, 1, 2, 8, MAX_CAPTURES };
	unsigned int passes, nr, i;
	pid_t *pids;

	if (argc != 3)
		errx(2, "usage: captures PASSES NR");
	passes = parse_number(argv[1]);
	nr = parse_number(argv[2]);
	if (passes > MAX_PASSES)
		errx(2, "at most %d passes", MAX_PASSES);
	ring = ring_open();
	describe();
	printf("# kind holders median\n");
	pids = start_many(asleep, nr);
	for (i = 0; i < sizeof(holders) / sizeof(*holders); i++)
		measure("idle", pids, nr, holders[i], passes);
	end_many(pids, nr);
	pids = start_many(running, nr);
	for (i = 0; i < sizeof(holders) / sizeof(*holders); i++)
		measure("running", pids, nr, holders[i], passes);
	end_many(pids, nr);

	return 0;
}
