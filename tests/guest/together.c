// SPDX-License-Identifier: GPL-2.0
/*
 * All that can be asked of the module at once, as fast as it goes: for a debug
 * kernel to find what must not come together, data races above all. The rings
 * agree all the same.
 */
#include <poll.h>

#include "tree.h"

#define SECONDS	20

/* Registered, it faults by two threads. */
static void *touch_on(void *arg)
{
	for (;;)
		touch(64);
	return arg;
}

static void fault(pid_t other)
{
	pthread_t thread;

	(void)other;
	command('R', getpid());
	if (pthread_create(&thread, NULL, touch_on, NULL))
		errx(1, "pthread_create");
	touch_on(NULL);
}

/* Followed, it forks. */
static void fork_on(pid_t other)
{
	(void)other;
	command('F', getpid());
	for (;;) {
		if (!fork_child()) {
			touch(4);
			_exit(0);
		}
		wait(NULL);
	}
}

/* What it asks for may be the case already, or not yet. */
static void give_commands(pid_t other)
{
	for (;;) {
		command('F', other);
		command('R', getpid());
		free(status_text());
		command('U', other);
		command('U', getpid());
	}
}

static void poll_on(pid_t other)
{
	struct pollfd fd = { .events = POLLIN };

	(void)other;
	fd.fd = open(MP3_PROCS_PATH, O_RDONLY);
	if (fd.fd < 0)
		err(1, MP3_PROCS_PATH);
	for (;;)
		poll(&fd, 1, 0);
}

static void change_interval(pid_t other)
{
	(void)other;
	for (;;) {
		set_interval("1");
		sleep_ms(40);
		set_interval("11");
		sleep_ms(10);
	}
}

int main(void)
{
	static void (*const acts[])(pid_t) = {
		fault, fork_on, give_commands, poll_on, change_interval,
	};
	pid_t pids[ARRAY_SIZE(acts)];
	uint64_t i, min_flt = 0;
	struct totals sum;

	open_rings();
	fflush(stdout);
	for (i = 0; i < ARRAY_SIZE(acts); i++) {
		pids[i] = fork_child();
		if (!pids[i])
			acts[i](pids[0]);
	}
	sleep(SECONDS);
	for (i = ARRAY_SIZE(acts); i--;)
		kill_and_reap(pids[i]);
	set_interval("50");
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
