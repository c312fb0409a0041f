// SPDX-License-Identifier: GPL-2.0
/*
 * A capture locates each fault after L has returned, even if another capture begins
 * to locate at the same time, while the handlers for both are just being detached.
 *
 * The bug: L has a work item attach the handlers, and waits for it. L of the other
 * capture had the same work item begin later, and the first L no longer waited for
 * it: the faults until then were counted, but not located.
 */
#include "../guest/located.h"

#define PAGES		200
#define DELAY_MS	2000	/* of the detaching */
#define LATER_MS	500	/* from the first L to the second one */

/* Locate the faults of this process with the capture @arg, from the first one on. */
static void act(void *arg)
{
	const int *fd = arg;

	locate_or_die(*fd, 1, 0);
	touch(PAGES);
	locate_or_die(*fd, 0, 0);
}

/* Stop locating, and wait until the handlers are being detached, which takes long. */
static bool detach_slowly(const struct capture *c)
{
	int i;

	if (fail_call_of("caller=mp3_", "synchronize_rcu", 1, 0, DELAY_MS)) {
		no_kprobes("synchronize_rcu");
		return false;
	}
	locate_or_die(c->fd, 0, 0);
	for (i = 0; i < 10000 && !probe_calls(); i++)
		sleep_ms(1);
	if (!probe_calls())
		errx(1, "the handlers stay attached");

	return true;
}

static void test(void)
{
	static const char name[] =
		"each fault is located if two captures begin to locate at the same time";
	struct capture c = capture_open(), other = capture_open();
	struct fault_ring r;
	pid_t pid;

	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(NULL, act, &c.fd);
	capture_command_or_die(&c, 'R', pid);
	if (!detach_slowly(&c)) {
		skip(name, "no kprobes");
		return;
	}
	kill(pid, SIGCONT);
	sleep_ms(LATER_MS);
	locate_or_die(other.fd, 1, 0);
	if (!wait_stopped(pid))
		errx(1, "a subject has exited");
	fail_unload();
	capture_command_or_die(&c, 'U', pid);
	ok(counts_add_up(&c, &r, 0) && r.header->counted >= PAGES, "%s", name);
	kill_and_reap(pid);
}

int main(void)
{
	test();

	return done();
}
