// SPDX-License-Identifier: GPL-2.0
/*
 * Everything that a user can request of the module, concurrently and as fast as
 * possible, so that a debug kernel can find what must not happen concurrently: data
 * races above all. Records and samples still have to match.
 *
 * KCSAN checks one access in 500 here instead of one in 4,000: otherwise it would
 * hardly ever meet data that is written once a tick.
 *
 * vm: -a kcsan.skip_watch=500
 */
#include <poll.h>

#include "tree.h"

#define SECONDS	20
#define NR_ACTIONS	5

static pid_t pids[NR_ACTIONS];	/* one process for each of main()'s actions */

/* Register, and fault in two threads. */
static void *touch_forever(void *arg)
{
	for (;;)
		touch(64);
	return arg;
}

static void fault_in_threads(void)
{
	pthread_t thread;

	command('R', getpid());
	if (pthread_create(&thread, NULL, touch_forever, NULL))
		errx(1, "pthread_create");
	touch_forever(NULL);
}

/* Follow this process, and fork. */
static void fork_forever(void)
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
 * Write commands for this process and, in turn, for the first two, which are started
 * before it. Commands may fail: a process can be registered already, or not yet.
 */
static void write_commands(void)
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

static void poll_forever(void)
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
	static void (*const actions[NR_ACTIONS])(void) = {
		fault_in_threads, fork_forever, write_commands, poll_forever,
		change_interval,
	};
	uint64_t i, min_flt = 0;
	struct totals sum;

	open_rings();
	/* Otherwise a U of the only registered process would make a sample. */
	command_or_die('R', getpid());
	fflush(stdout);
	for (i = 0; i < NR_ACTIONS; i++) {
		pids[i] = fork_child();
		if (!pids[i])
			actions[i]();
	}
	sleep(SECONDS);
	for (i = NR_ACTIONS; i--;)
		kill_and_reap(pids[i]);
	set_interval("50");
	command_or_die('U', getpid());
	wait_idle(&ring);

	sum = ring_sum(&ring, 0);
	if (procs_head() > procs.capacity - 2)
		errx(1, "the ring of records has lapped");
	for (i = 0; i < procs_head(); i++)
		/* An identity record has no counts. */
		if (record_at(i).flags != MP3_IDENTITY)
			min_flt += record_at(i).min_flt;
	diag("%lu samples, %llu records, %lu minor faults", sum.samples,
	     (unsigned long long)procs_head(), sum.min_flt);
	ok(sum.samples && sum.min_flt,
	   "samples with faults are taken during concurrent commands");
	ok_eq(min_flt, sum.min_flt,
	      "records and samples have the same minor faults after concurrent commands");
	ok_eq(procs.header->dropped, 0,
	      "no process is dropped during concurrent commands");

	return done();
}
