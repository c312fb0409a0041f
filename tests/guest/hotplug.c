// SPDX-License-Identifier: GPL-2.0
/*
 * CPU hotplug and suspend: workers fault and fork while a CPU goes offline and
 * comes online again, at intervals that change all the time, and while the
 * machine is suspended. No fault is lost, and sampling continues.
 *
 * Usage: hotplug [SEED]
 */
#include <signal.h>
#include <sys/prctl.h>

#include "tree.h"

#define ONLINE_PATH	"/sys/devices/system/cpu/cpu1/online"
#define DEPTH_PATH	"/sys/power/mem_sleep"
#define POWER_PATH	"/sys/power/state"
#define ALARM_PATH	"/sys/class/rtc/rtc0/wakealarm"
#define ROUNDS		200	/* of CPU 1 going offline or online */
#define WORKERS		4

static volatile sig_atomic_t stopped;

static void handle_term(int signal)
{
	(void)signal;
	stopped = 1;
}

/* Fault and fork until SIGTERM, on whichever CPU the scheduler chooses. */
static void fault_and_fork(void)
{
	signal(SIGTERM, handle_term);
	command_self('F');
	while (!stopped) {
		if (!fork_child()) {
			touch(5);
			_exit(0);
		}
		touch(20);
		wait_and_log(-1, 0);
	}
	log_and_exit();
}

static void start_workers(pid_t *pids)
{
	int i;

	for (i = 0; i < WORKERS; i++) {
		pids[i] = fork_child();
		if (!pids[i])
			fault_and_fork();
	}
}

static void end_workers(const pid_t *pids)
{
	int i;

	for (i = 0; i < WORKERS; i++)
		kill(pids[i], SIGTERM);
	for (i = 0; i < WORKERS; i++)
		wait_and_log(pids[i], 0);
	wait_idle(&ring);
}

static bool counts_match(struct expected_counts *counts)
{
	bool good;

	expected_finish(counts);
	good = totals_match(counts) & processes_match(counts);
	expected_free(counts);

	return good && !procs.header->dropped;
}

static void test_cpu_hotplug(unsigned int seed)
{
	struct expected_counts counts;
	pid_t pids[WORKERS];
	uint64_t ticks;
	char ms[12];
	int i;

	diag("seed %u", seed);
	expected_begin(&counts);
	start_workers(pids);
	ticks = ring.header->ticks;
	for (i = 0; i < ROUNDS; i++) {
		snprintf(ms, sizeof(ms), "%d", 1 + rand_r(&seed) % 100);
		set_interval(ms);
		write_file(ONLINE_PATH, i % 2 ? "1" : "0");
		usleep(rand_r(&seed) % 20000);
	}
	ticks = ring.header->ticks - ticks;
	set_interval("50");
	end_workers(pids);
	ok(counts_match(&counts) && ticks,
	   "samples and records match wait4 while a CPU goes offline and online %d times",
	   ROUNDS / 2);
	diag("%lu ticks", (unsigned long)ticks);
}

/* Suspend for two seconds. Returns false if the guest cannot. */
static bool suspend(void)
{
	/* QEMU's clock only wakes it from this state. */
	return !try_write(DEPTH_PATH, "deep") &&
	       !try_write(ALARM_PATH, "+2") && !try_write(POWER_PATH, "mem");
}

static void test_suspend(void)
{
	static const char name[] =
		"samples and records match wait4 across a suspend";
	struct expected_counts counts;
	pid_t pids[WORKERS];
	bool slept, good;

	expected_begin(&counts);
	start_workers(pids);
	wait_tick();
	slept = suspend();
	wait_tick();
	end_workers(pids);
	good = counts_match(&counts);
	if (slept || !good)
		ok(good, "%s", name);
	else
		skip(name, "no suspend to RAM, or no clock that ends it");
}

int main(int argc, char **argv)
{
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	open_rings();
	usage_log_create();
	if (access(ONLINE_PATH, W_OK))
		skip("samples and records match wait4 while a CPU goes offline and online",
		     "CPU 1 cannot go offline");
	else
		test_cpu_hotplug(argc > 1 ? atoi(argv[1]) : time(NULL));
	test_suspend();

	return done();
}
