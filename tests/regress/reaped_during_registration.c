// SPDX-License-Identifier: GPL-2.0
/*
 * A process that ends and is reaped just when it is registered, or adopted, is
 * left out: it has no number any more.
 *
 * The bugs: its struct pid was looked up outside of an RCU read section, and
 * could be freed before there was a reference on it; and an adopted one made a
 * record of process 0.
 */
#include "../guest/tree.h"

#define ROUNDS 100

/* Lives for up to 2 ms; this process reaps by ignoring SIGCHLD. */
static pid_t start_short(unsigned int number)
{
	pid_t pid = fork_child();

	if (!pid) {
		usleep(number % 5 * 500);
		_exit(0);
	}
	return pid;
}

static void register_reaped(void)
{
	unsigned int i, other = 0, registered = 0;

	for (i = 0; i < ROUNDS; i++) {
		int ret = command('R', start_short(i));

		registered += !ret;
		other += ret && ret != -ESRCH;
	}
	diag("%u of %d were registered before their end", registered, ROUNDS);
	ok(!other, "one that ends meanwhile is registered, or there is none such");
	wait_idle(&ring);
	ok(lists(NULL, 0), "and none of them stays");
}

static void adopt_reaped(void)
{
	uint64_t from = procs_head(), i;
	unsigned int nameless = 0;
	pid_t parent = fork_child();

	if (!parent) {
		for (i = 0;; i++)
			start_short((unsigned int)i);
	}
	for (i = 0; i < ROUNDS; i++) {
		if (command('F', parent) || command('U', parent))
			errx(1, "F or U");
		sleep_ms(5);
	}
	kill(parent, SIGKILL);
	wait_idle(&ring);
	if (procs_head() - from > procs.capacity - 2)
		from = procs_head() - procs.capacity + 2;
	for (i = from; i < procs_head(); i++)
		nameless += !record_at(i).pid;
	diag("%llu records", (unsigned long long)(procs_head() - from));
	ok_eq(nameless, 0, "no record is one of process 0");
}

int main(void)
{
	open_rings();
	signal(SIGCHLD, SIG_IGN);
	register_reaped();
	adopt_reaped();

	return done();
}
