// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs that go and come while all is sampled, at intervals that change all the
 * time, and a machine that sleeps: no fault is lost, and the grid goes on.
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
#define ROUNDS		200	/* of CPU 1 going and coming */
#define WORKERS		4	/* that fault all the time */

static volatile sig_atomic_t over;

static void end(int signal)
{
	(void)signal;
	over = 1;
}

/* Faults and forks, wherever the scheduler has it. */
static void work(void)
{
	signal(SIGTERM, end);
	command_self('F');
	while (!over) {
		if (!fork_child()) {
			touch(5);
			_exit(0);
		}
		touch(20);
		wait_noted(-1, 0);
	}
	exit_noted();
}

static void start_workers(pid_t *pids)
{
	int i;

	for (i = 0; i < WORKERS; i++) {
		pids[i] = fork_child();
		if (!pids[i])
			work();
	}
}

static void end_workers(const pid_t *pids)
{
	int i;

	for (i = 0; i < WORKERS; i++)
		kill(pids[i], SIGTERM);
	for (i = 0; i < WORKERS; i++)
		wait_noted(pids[i], 0);
	wait_idle(&ring);
}

static bool agree(struct account *account)
{
	bool good;

	account_close(account);
	good = sums_agree(account) & each_agrees(account);
	account_free(account);

	return good && !procs.header->dropped;
}

static void cpu_comes_and_goes(unsigned int seed)
{
	struct account account;
	pid_t pids[WORKERS];
	uint64_t ticks;
	char ms[12];
	int i;

	diag("seed %u", seed);
	account_open(&account);
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
	ok(agree(&account) && ticks,
	   "a CPU goes and comes %d times: wait4, samples and records agree",
	   ROUNDS / 2);
	diag("%lu ticks meanwhile", (unsigned long)ticks);
}

static bool writes(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) > 0;

	close(fd);

	return written;
}

/* Sleeps for two seconds; false where the guest cannot. */
static bool sleep_and_wake(void)
{
	/* Of the other depths QEMU's clock does not wake it. */
	return writes(DEPTH_PATH, "deep") && writes(ALARM_PATH, "+2") &&
	       writes(POWER_PATH, "mem");
}

static void machine_sleeps(void)
{
	static const char name[] = "the machine sleeps: wait4, samples and records agree";
	struct account account;
	pid_t pids[WORKERS];
	bool slept, good;

	account_open(&account);
	start_workers(pids);
	wait_tick();
	slept = sleep_and_wake();
	wait_tick();
	end_workers(pids);
	good = agree(&account);
	if (slept || !good)
		ok(good, "%s", name);
	else
		skip(name, "no such sleep, or no clock that wakes, in this guest");
}

int main(int argc, char **argv)
{
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	open_rings();
	table_make();
	if (access(ONLINE_PATH, W_OK))
		skip("a CPU goes and comes", "no second CPU that can");
	else
		cpu_comes_and_goes(argc > 1 ? atoi(argv[1]) : time(NULL));
	machine_sleeps();

	return done();
}
