// SPDX-License-Identifier: GPL-2.0
/*
 * A process alone on a CPU with nohz_full, which stops its clock tick: the faults are
 * in the samples of the time when they occur, and the CPU time, which the scheduler
 * records now and then, is complete in the end.
 *
 * vm: -a nohz_full=1
 */
#include "located.h"

#define CPU	1
#define ROUNDS	8
#define NR	50		/* pages touched in a round, which then spins */
#define TICKS	5		/* of the sampler */

static const volatile struct mp3_header *header;
static char *area;

static void prepare(void *arg)
{
	const struct capture *c = arg;

	pin_to(CPU);
	header = map_or_die(c->fd, PAGE, MP3_OFF_HEADER);
	(void)header->ticks;
	area = map_anonymous(ROUNDS * NR);
}

static void act(void *arg)
{
	uint64_t ticks;
	int i, round;

	(void)arg;
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR; i++)
			store_byte(area + (round * NR + i) * PAGE);
		ticks = header->ticks;
		while (header->ticks < ticks + TICKS)
			;
	}
}

/* Returns the CPU time of a process that does not run, in nanoseconds. */
static uint64_t cpu_ns_of(pid_t pid)
{
	unsigned long ns;
	char path[40];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%lu", &ns) != 1)
		err(1, "%s", path);
	fclose(file);

	return ns;
}

int main(void)
{
	struct capture c = capture_open();
	unsigned int with_faults = 0;
	uint64_t i, cpu_ns, recorded = 0, largest = 0, previous = 0;
	char cpus[16] = "";
	struct history h;
	uint64_t before;
	FILE *file;
	pid_t pid;

	file = fopen("/sys/devices/system/cpu/nohz_full", "re");
	if (!file || !fgets(cpus, sizeof(cpus), file) || atoi(cpus) != CPU) {
		skip("a CPU with nohz_full", "no nohz_full");
		return done();
	}
	fclose(file);
	set_interval("50");
	pid = subject_start(prepare, act, &c);
	before = faults_of(pid);
	cpu_ns = cpu_ns_of(pid);
	subject_profile(&c, pid);
	cpu_ns = cpu_ns_of(pid) - cpu_ns;

	for (i = 0; i < capture_head(&c); i++) {
		struct mp3_record r = capture_at(&c, i);

		if (r.flags & MP3_IDENTITY)
			continue;
		recorded += r.cpu_ns;
		with_faults += r.min_flt > 0;
		if (previous && r.cpu_ns > largest)
			largest = r.cpu_ns;
		previous = r.time_ns;
	}
	h = history_of(&c, pid);
	diag("%u records, %u with faults; one has %lu ms of CPU time", h.records,
	     with_faults, (unsigned long)largest / 1000000);
	ok_eq(h.counts.min_flt, faults_of(pid) - before, "each fault is counted");
	ok(with_faults >= ROUNDS, "the faults are in samples of their time");
	ok_eq(recorded, cpu_ns, "the CPU time is complete in the end");
	capture_close(&c);

	return done();
}
