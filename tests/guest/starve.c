// SPDX-License-Identifier: GPL-2.0
/*
 * vm: --icount -c 2 -t 1200
 *
 * What one user does neither delays the sampler nor another user for long. Runs on
 * two CPUs that share a clock of instructions, so that other load on the host has no
 * effect: on the kernels that are tested, 64 processes that only use the CPU delay
 * nothing. Where they do, as on debug kernels, results are skipped. bench/hostile has
 * the other attacks.
 */
#include <poll.h>
#include <sys/epoll.h>

#include "attack.h"

#define MEASURED_MS	1000
#define MEASURED_TICKS	15
#define NR_POLLERS	200

/* Check what an attack must not exceed, unless its control does. */
static void check(double measured, double control, double limit, const char *unit,
		  const char *name)
{
	char reason[80];

	if (control > limit) {
		snprintf(reason, sizeof(reason),
			 "the control alone causes %.0f%s", control, unit);
		skip(name, reason);
		return;
	}
	if (!ok(measured <= limit, "%s", name))
		diag("%.0f%s, at most %.0f; control %.0f", measured, unit, limit,
		     control);
}

static void test(const char *name, const char *what)
{
	const struct attack *attack = attack_find(name);
	struct result result = attack_run(attack, false, MEASURED_MS);
	struct result control = attack_run(attack, true, MEASURED_MS);
	char text[120];

	snprintf(text, sizeof(text), "%s have the sampler miss no deadline", what);
	check(result.missed, control.missed, 0, "", text);
	snprintf(text, sizeof(text), "%s delay no sample by more than 50 ms", what);
	check(result.gap_ms, control.gap_ms, 50 + 50, " ms", text);
	snprintf(text, sizeof(text),
		 "%s delay a stranger's commands and reads by at most 20 ms in the median",
		 what);
	check(largest_ms(result.median_ms), largest_ms(control.median_ms), 20, " ms",
	      text);
	snprintf(text, sizeof(text),
		 "%s delay a stranger's commands and reads by at most 100 ms", what);
	check(largest_ms(result.longest_ms), largest_ms(control.longest_ms), 100,
	      " ms", text);
	snprintf(text, sizeof(text), "%s take at most 8 MiB of slab memory", what);
	check(result.slab_kib, control.slab_kib, 8192, " KiB", text);
	snprintf(text, sizeof(text), "%s cost a stranger no last record", what);
	ok_eq(result.ended, result.forks, text);
}

/* Poll a file all the time. */
static void *poll_file(void *arg)
{
	struct pollfd pollfd = { .fd = *(int *)arg, .events = POLLIN };

	for (;;)
		poll(&pollfd, 1, -1);
	return NULL;
}

static void start_pollers(int *fd, unsigned int nr)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, SMALL_STACK);
	while (nr--)
		if (pthread_create(&thread, &attributes, poll_file, fd))
			errx(1, "pthread_create");
	/* Until they have begun to wait. */
	sleep_ms(300);
}

static int compare_costs(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Returns the median of what a tick costs, in instructions. */
static uint64_t tick_cost(const struct capture *c)
{
	const volatile struct mp3_header *header = c->header;
	uint64_t costs[MEASURED_TICKS], before, ticks;
	unsigned int i;

	for (i = 0; i < MEASURED_TICKS; i++) {
		before = header->cost_ns;
		ticks = header->ticks;
		while (header->ticks == ticks)
			sleep_ms(5);
		costs[i] = (header->cost_ns - before) / (header->ticks - ticks);
	}
	qsort(costs, MEASURED_TICKS, sizeof(*costs), compare_costs);

	return costs[MEASURED_TICKS / 2];
}

/* What a tick costs with one thread that polls a capture, and with many. */
struct costs {
	uint64_t one, many;
};

/* In each tick, the capture receives a record, and has its pollers woken. */
static void measure_pollers(struct costs *costs)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct capture c;
	pid_t pid;

	become_user(ATTACKER);
	c = capture_open();
	pid = fork_child();
	while (!pid) {
		touch(1);
		sleep_ms(10);
	}
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, c.fd, &event))
		err(1, "epoll");
	capture_command_or_die(&c, 'R', pid);
	start_pollers(&c.fd, 1);
	costs->one = tick_cost(&c);
	start_pollers(&c.fd, NR_POLLERS / 2);
	start_pollers(&epoll, NR_POLLERS / 2);
	costs->many = tick_cost(&c);
	kill_and_reap(pid);
}

/* A user has any number of pollers: the tick leaves it to a work item to wake them. */
static void test_pollers(void)
{
	struct costs *costs = shared_memory(sizeof(*costs));
	pid_t pid = fork_child();
	int status;

	if (!pid) {
		measure_pollers(costs);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the threads that poll fail");
	if (!ok(costs->many < 2 * costs->one + 20000,
		"200 pollers of a capture, half of them through epoll, do not lengthen the tick"))
		diag("%lu instructions, with one thread %lu",
		     (unsigned long)costs->many, (unsigned long)costs->one);
}

int main(void)
{
	/* Enough for 64 readers to need more than an interval. */
	crowd_size = 3000;
	test_pollers();
	attack_init();
	test("read-list", "64 readers of a list of 3,000 processes");
	test("write-fu", "64 writers of F and U next to 3,000 processes");
	test("write-ru-300", "300 writers of R and U");

	return done();
}
