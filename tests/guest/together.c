// SPDX-License-Identifier: GPL-2.0
/*
 * All that can be asked of the module at once, as fast as it goes: for a debug
 * kernel to find what must not come together, data races above all. The rings
 * agree all the same.
 *
 * KCSAN watches one access in 500 here, not in 4,000: what is written once a tick
 * is hardly ever met otherwise.
 *
 * vm: -a kcsan.skip_watch=500
 */
#include <poll.h>

#include "tree.h"

#define SECONDS	20
#define NR_ACTS	5

static pid_t pids[NR_ACTS];	/* who does what, in the order of main() */

/* Registered, it faults by two threads. */
static void *touch_on(void *arg)
{
	for (;;)
		touch(64);
	return arg;
}

static void fault(void)
{
	pthread_t thread;

	command('R', getpid());
	if (pthread_create(&thread, NULL, touch_on, NULL))
		errx(1, "pthread_create");
	touch_on(NULL);
}

/* Followed, it forks. */
static void fork_on(void)
{
	command('F', getpid());
	for (;;) {
		if (!fork_child()) {
			touch(4);
			_exit(0);
		}
		wait(NULL);
	}
}

/*
 * To the first two, whose pids are there when it starts, in turn. What it asks
 * for may be the case already, or not yet.
 */
static void give_commands(void)
{
	unsigned int i;

	for (i = 0;; i = !i) {
		command('F', pids[i]);
		command('R', getpid());
		free(status_text());
		command('U', pids[i]);
		command('U', getpid());
	}
}

static void poll_on(void)
{
	struct pollfd fd = { .events = POLLIN };

	fd.fd = open(MP3_PROCS_PATH, O_RDONLY);
	if (fd.fd < 0)
		err(1, MP3_PROCS_PATH);
	for (;;)
		poll(&fd, 1, 0);
}

static void change_interval(void)
{
	for (;;) {
		set_interval("1");
		sleep_ms(40);
		set_interval("11");
		sleep_ms(10);
	}
}

int main(void)
{
	static void (*const acts[NR_ACTS])(void) = {
		fault, fork_on, give_commands, poll_on, change_interval,
	};
	uint64_t i, min_flt = 0;
	struct totals sum;

	open_rings();
	/* With nothing registered each U would make a sample of its own. */
	command_or_die('R', getpid());
	fflush(stdout);
	for (i = 0; i < NR_ACTS; i++) {
		pids[i] = fork_child();
		if (!pids[i])
			acts[i]();
	}
	sleep(SECONDS);
	for (i = NR_ACTS; i--;)
		kill_and_reap(pids[i]);
	set_interval("50");
	command_or_die('U', getpid());
	wait_idle(&ring);

	sum = ring_sum(&ring, 0);
	if (procs_head() > procs.capacity - 2)
		errx(1, "the ring of records has lapped");
	for (i = 0; i < procs_head(); i++)
		min_flt += record_at(i).min_flt;
	diag("%lu samples, %llu records, %lu minor faults", sum.samples,
	     (unsigned long long)procs_head(), sum.min_flt);
	ok(sum.samples && sum.min_flt, "it was sampled");
	ok_eq(min_flt, sum.min_flt, "records and samples have the same faults");
	ok_eq(procs.header->dropped, 0, "nobody was dropped");

	return done();
}
