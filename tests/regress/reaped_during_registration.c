// SPDX-License-Identifier: GPL-2.0
/*
 * A process that exits and is reaped while it is being registered or adopted is
 * left out, since it no longer has a pid.
 *
 * The bugs: its struct pid was looked up outside of an RCU read-side section,
 * and could be freed before a reference was taken; and an adopted process of
 * this kind produced a record with pid 0.
 */
#include "../guest/tree.h"

#define ROUNDS 100

/*
 * Starts a child that lives for up to 2 ms. SIGCHLD is ignored, which reaps it.
 */
static pid_t start_short_lived(unsigned int number)
{
	pid_t pid = fork_child();

	if (!pid) {
		usleep(number % 5 * 500);
		_exit(0);
	}
	return pid;
}

static void test_register(void)
{
	unsigned int i, unexpected = 0, registered = 0;

	for (i = 0; i < ROUNDS; i++) {
		int ret = command('R', start_short_lived(i));

		registered += !ret;
		unexpected += ret && ret != -ESRCH;
	}
	diag("%u of %d processes were registered before their exit", registered,
	     ROUNDS);
	ok(!unexpected, "R of a process that exits concurrently is 0 or ESRCH");
	wait_idle(&ring);
	ok(lists(NULL, 0), "no process that was reaped stays registered");
}

static void test_adopt(void)
{
	uint64_t from = procs_head(), i;
	unsigned int nr_pid_0 = 0;
	pid_t parent = fork_child();

	if (!parent) {
		for (i = 0;; i++)
			start_short_lived((unsigned int)i);
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
		nr_pid_0 += !record_at(i).pid;
	diag("%llu records", (unsigned long long)(procs_head() - from));
	ok_eq(nr_pid_0, 0, "no record of a reaped process has pid 0");
}

int main(void)
{
	open_rings();
	signal(SIGCHLD, SIG_IGN);
	test_register();
	test_adopt();

	return done();
}
