// SPDX-License-Identifier: GPL-2.0
/*
 * A process that U unregisters while a tick is at work has its last record and its
 * sample when the status file is empty, even if that tick finds all others exited.
 *
 * The bug: a tick pauses after 256 processes. What U unregistered in a pause waited
 * for the next tick, and there was none if this one removed all other processes. The
 * last record and its counts were missing until another process was registered.
 *
 * vm: -m 1024
 */
#include "../guest/capture.h"

#define NR_OTHERS	300	/* more than 256, too few for a look before the tick */
#define PAGES		50
#define ATTEMPTS	5	/* on a busy machine, U may come after the tick */
#define STEP		"mp3_pin_mm"	/* the tick calls it for an exited process */

static struct ring ring;
static struct capture classic;

/* Wait until the tick has called STEP, which delays it. */
static void wait_delayed(void)
{
	int i;

	for (i = 0; i < 10000 && !probe_calls(); i++)
		sleep_ms(1);
	if (!probe_calls())
		errx(1, "no tick finds the processes exited");
}

/* Sum of the faults in all records from number @from on. */
static unsigned long sum_of_records(uint64_t from)
{
	uint64_t i, head = capture_head(&classic);
	unsigned long sum = 0;

	for (i = from; i < head; i++) {
		struct mp3_record record = capture_at(&classic, i);

		if (record.flags != MP3_IDENTITY)
			sum += record.min_flt;
	}
	return sum;
}

/*
 * Unregister a process during the tick that finds all others exited. Sets @last and
 * @exact to whether it has a last record, and the samples have what the records have.
 * Returns 1, 0 if U came after that tick, or -1 without kprobes.
 */
static int attempt(bool *last, bool *exact)
{
	struct worker w = worker_start();
	uint64_t records, samples, ticks;
	pid_t pids[NR_OTHERS];
	struct history h;
	bool hit;
	int i;

	set_interval("10");
	command_or_die('R', w.pid);
	for (i = 0; i < NR_OTHERS; i++) {
		pids[i] = sleeper();
		command_or_die('R', pids[i]);
	}
	wait_ticks(&classic);
	set_interval("10000");
	records = capture_head(&classic);
	samples = ring_head(&ring);
	for (i = 0; i < NR_OTHERS; i++)
		kill_and_reap(pids[i]);
	worker_request(&w, 'm', PAGES);
	wait_state(w.pid, 'S');
	ticks = classic.header->ticks;
	if (fail_call_of("busy=1", STEP, 1, 0, 2000)) {
		no_kprobes(STEP);
		return -1;
	}
	set_interval("100");
	wait_delayed();
	/* It waits for the lock, which it gets in the pause. */
	command_or_die('U', w.pid);
	fail_unload();
	wait_idle(&ring);
	hit = classic.header->ticks == ticks + 1;
	h = history_from(&classic, records, w.pid);
	*last = h.last == 1;
	*exact = ring_sum(&ring, samples).min_flt == sum_of_records(records);
	worker_end(&w);

	return hit;
}

static void test(void)
{
	bool last = true, exact = true;
	int i, hit = 0;

	for (i = 0; i < ATTEMPTS && !hit && last && exact; i++)
		hit = attempt(&last, &exact);
	if (hit < 0) {
		skip("U during a tick", "no kprobes");
		return;
	}
	ok(hit, "one tick removes all processes, while one is unregistered");
	ok(last,
	   "the last record of a process that U unregisters during the last tick is in the ring");
	ok(exact,
	   "the samples have the faults of all records, with U during the last tick");
}

int main(void)
{
	ring = ring_open();
	classic = classic_open();
	test();

	return done();
}
