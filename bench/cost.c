// SPDX-License-Identifier: GPL-2.0
/*
 * What a tick costs for each registered process, by the module's own account.
 *
 * Usage: cost [TICKS [N...]]
 *
 * Runs in a guest with the module loaded. For each number of processes and each
 * kind of them prints "kind processes nanoseconds_a_process_and_tick": the
 * header's cost_ns over TICKS ticks, less that of a tick with one process.
 * Where a guest executes one instruction a nanosecond, that is instructions.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include "../tests/guest/test.h"

#define THREADS 8

/**
 * struct kind - what the processes do
 * @name: as printed
 * @body: runs in each of them, until it is killed
 */
struct kind {
	const char *name;
	void (*body)(void);
};

static struct ring ring;

/* Off the CPU all the time. */
static void asleep(void)
{
	for (;;)
		pause();
}

/* Runs a moment in each tick, and does not fault. */
static void awake(void)
{
	for (;;)
		sleep_ms(20);
}

/* One page in each tick. */
static void faulting(void)
{
	char *page = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (;;) {
		*(volatile char *)page = 1;
		madvise(page, getpagesize(), MADV_DONTNEED);
		sleep_ms(20);
	}
}

static void *asleep_thread(void *arg)
{
	asleep();
	return arg;
}

static void threaded(void)
{
	pthread_t thread;
	int i;

	for (i = 1; i < THREADS; i++)
		if (pthread_create(&thread, NULL, asleep_thread, NULL))
			errx(1, "pthread_create");
	asleep();
}

static const struct kind kinds[] = {
	{ "asleep", asleep },
	{ "awake", awake },
	{ "faulting", faulting },
	{ "8-threads-asleep", threaded },
};

static pid_t start(const struct kind *kind)
{
	pid_t pid = fork();
	int ret;

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		kind->body();
	}
	ret = command('R', pid);
	if (ret)
		errx(1, "R: %s", strerror(-ret));
	return pid;
}

static void wait_ticks(uint64_t nr)
{
	uint64_t ticks = ring.header->ticks;

	while (ring.header->ticks < ticks + nr)
		sleep_ms(20);
}

/* Nanoseconds a tick, over @ticks of them, when things have settled. */
static double measure(unsigned int ticks)
{
	uint64_t cost, first;

	wait_ticks(3);
	first = ring.header->ticks;
	cost = ring.header->cost_ns;
	wait_ticks(ticks);
	cost = ring.header->cost_ns - cost;

	return (double)cost / (ring.header->ticks - first);
}

static void run(const struct kind *kind, unsigned int nr, unsigned int ticks)
{
	pid_t *pids = calloc(nr, sizeof(*pids));
	double one, all;
	unsigned int i;

	if (!pids)
		err(1, "calloc");
	pids[0] = start(&kinds[0]);
	one = measure(ticks);
	kill(pids[0], SIGKILL);
	waitpid(pids[0], NULL, 0);
	wait_idle(&ring);

	for (i = 0; i < nr; i++)
		pids[i] = start(kind);
	all = measure(ticks);
	printf("%s %u %.1f\n", kind->name, nr, nr > 1 ? (all - one) / (nr - 1) : one);
	fflush(stdout);
	for (i = 0; i < nr; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	wait_idle(&ring);
	free(pids);
}

int main(int argc, char **argv)
{
	unsigned int ticks = argc > 1 ? atoi(argv[1]) : 20;
	unsigned int k;
	int i;

	ring = ring_open();
	printf("# kind processes nanoseconds_a_process_and_tick\n");
	for (k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		if (argc < 3)
			run(&kinds[k], 400, ticks);
		for (i = 2; i < argc; i++)
			run(&kinds[k], atoi(argv[i]), ticks);
	}
	return 0;
}
