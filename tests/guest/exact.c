// SPDX-License-Identifier: GPL-2.0
/*
 * Exact counts: the minor and major faults of all samples add up to exactly what
 * wait4(2) reports of a process, less what it had used when it registered. Each
 * case starts processes with one behavior; the cases differ in threads, exec,
 * exits, and in when they register.
 *
 * Usage: exact [SEED [NR]], which runs NR (1) random mixes, with seeds from SEED.
 *
 * vm: -s 128
 */
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "process.h"
#include "test.h"

#define MAX_PROCESSES	8
#define MAX_THREADS	1000
#define ROW_THREADS	200	/* threads that stay while others exit */
#define EXEC_PAGES	300
#define CHILD_PAGES	5000
#define NR_MIXES	20

/**
 * struct report - what a process reports to its parent
 * @expected:   what the samples have to count. If the process is registered when
 *              it exits, the parent adds what wait4 reports.
 * @registered: it is registered
 * @start_ns:   CLOCK_MONOTONIC when it registered
 */
struct report {
	struct usage expected;
	bool registered;
	uint64_t start_ns;
};

static struct ring ring;
static uint64_t first_sample;	/* head when the case began */
static struct report *reports;	/* shared; touched before a process registers */
static struct report *self;
static pid_t pids[MAX_PROCESSES];
static pthread_t threads[MAX_THREADS];
static pthread_barrier_t barrier;
static int cpus;
static unsigned int seed;

static void register_self(void)
{
	struct usage base;

	self->start_ns = now_ns();
	base = command_own_usage('R');
	usage_add(&self->expected, base, -1);
	self->registered = true;
}

static void unregister_self(void)
{
	struct usage end = command_own_usage('U');

	usage_add(&self->expected, end, 1);
	self->registered = false;
}

/* Touch pages until there are so many more samples. */
static void touch_for_samples(unsigned int samples)
{
	uint64_t head = ring_head(&ring);

	while (ring_head(&ring) < head + samples)
		touch(16);
}

/* ---- What processes do ---- */

static void spawn(int i, void *(*thread_main)(void *), void *arg)
{
	int ret = pthread_create(&threads[i], NULL, thread_main, arg);

	if (ret)
		errx(1, "pthread_create: %s", strerror(ret));
}

static void spawn_all(int nr, void *(*thread_main)(void *))
{
	int i;

	for (i = 0; i < nr; i++)
		spawn(i, thread_main, NULL);
}

static void join_all(int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

static void *touch_after_barrier(void *arg)
{
	pthread_barrier_wait(&barrier);
	touch(500);
	return arg;
}

static void *touch_3_pages(void *arg)
{
	touch(3);
	return arg;
}

static void *touch_20_pages(void *arg)
{
	touch(20);
	return arg;
}

static void *wait_at_barrier(void *arg)
{
	pthread_barrier_wait(&barrier);
	return arg;
}

static void *touch_through_samples(void *arg)
{
	touch_for_samples(3);
	return arg;
}

static void *touch_forever(void *arg)
{
	for (;;)
		touch(16);
	return arg;
}

static void *execute(void *arg)
{
	/* Not /proc/self/exe: a leader that has exited has no executable. */
	execl("/proc/thread-self/exe", "exact", "touch", NULL);
	err(1, "exec");
	return arg;
}

static void single(int nr)
{
	(void)nr;
	register_self();
	touch(1000);
}

static void threaded(int nr)
{
	(void)nr;
	register_self();
	pthread_barrier_init(&barrier, NULL, 8);
	spawn_all(8, touch_after_barrier);
	join_all(8);
}

static void short_lived(int nr)
{
	(void)nr;
	register_self();
	spawn_all(200, touch_3_pages);
	join_all(200);
}

/* One thread after another exits, while a long list of others stays. */
static void exiting_threads(int nr)
{
	int i;

	pthread_barrier_init(&barrier, NULL, ROW_THREADS);
	spawn_all(ROW_THREADS - 1, wait_at_barrier);
	for (i = 0; i < 2000; i++) {
		spawn(ROW_THREADS - 1, touch_20_pages, NULL);
		pthread_join(threads[ROW_THREADS - 1], NULL);
	}
	pthread_barrier_wait(&barrier);
	(void)nr;
}

static void leader_first(int nr)
{
	(void)nr;
	register_self();
	spawn_all(4, touch_through_samples);
	syscall(SYS_exit, 0);
}

static void exec_leader(int nr)
{
	(void)nr;
	register_self();
	touch(200);
	execute(NULL);
}

/* The thread takes over the leader's pid, and stays in the same thread group. */
static void exec_thread(int nr)
{
	(void)nr;
	register_self();
	spawn_all(4, touch_forever);
	touch_for_samples(2);
	spawn(4, execute, NULL);
	join_all(1);
}

static void killed(int nr)
{
	(void)nr;
	register_self();
	spawn_all(4, touch_forever);
	touch_for_samples(2);
	kill(getpid(), SIGKILL);
	pause();
}

static void unregistered(int nr)
{
	(void)nr;
	register_self();
	touch(500);
	unregister_self();
	touch(700);
}

/*
 * Having waited at the barrier once, a thread can wait again without a fault:
 * from then on it faults only where it touches.
 */
static void *touch_in_steps(void *arg)
{
	static const int pages[] = { 0, 200, 0, 300, 0, 100 };
	int i;

	for (i = 0; i < 6; i++) {
		if (pages[i])
			touch(pages[i]);
		if (i < 5)
			pthread_barrier_wait(&barrier);
	}
	return arg;
}

/* The process is registered while the 4 threads touch 300 pages each. */
static void threads_alive(int nr)
{
	pthread_barrier_init(&barrier, NULL, 5);
	spawn_all(4, touch_in_steps);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	register_self();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	unregister_self();
	pthread_barrier_wait(&barrier);
	join_all(4);
	(void)nr;
}

static void registered_again(int nr)
{
	unregistered(nr);
	register_self();
	touch(300);
}

static void all_kinds(int nr)
{
	static void (*const kinds[])(int) = {
		single, threaded, short_lived, leader_first,
		exec_leader, exec_thread, killed, registered_again,
	};

	kinds[nr](nr);
}

static pid_t fork_touching(size_t pages)
{
	pid_t pid = fork_child();

	if (!pid) {
		touch(pages);
		_exit(0);
	}
	return pid;
}

/* What wait4 reports includes the children that the process has waited for. */
static void forking(int nr)
{
	struct rusage usage;

	(void)nr;
	register_self();
	touch(100);
	wait4(fork_touching(CHILD_PAGES), NULL, 0, &usage);
	touch(100);
	usage_add(&self->expected, usage_of(&usage), -1);
}

static void page_out_and_in(void)
{
	long page = sysconf(_SC_PAGESIZE), i, try, pages = 1024;
	char *area = mmap(NULL, pages * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct usage start = own_usage();

	if (area == MAP_FAILED)
		err(1, "mmap");
	memset(area, 1, pages * page);
	/*
	 * A dirty page is still in memory after it has been written, and comes
	 * back by a minor fault. The next time it is clean, and leaves at once.
	 */
	for (try = 0; try < 100; try++) {
		if (madvise(area, pages * page, MADV_PAGEOUT))
			err(1, "MADV_PAGEOUT");
		for (i = 0; i < pages; i++)
			((volatile char *)area)[i * page];
		if (own_usage().maj_flt - start.maj_flt >= 20)
			break;
	}
	munmap(area, pages * page);
}

static void *page_in_thread(void *arg)
{
	page_out_and_in();
	return arg;
}

static void swapping(int nr)
{
	(void)nr;
	register_self();
	spawn_all(1, page_in_thread);
	join_all(1);
	page_out_and_in();
}

/* ---- Random mixes ---- */

static void *mix_thread(void *arg)
{
	unsigned int state = (uintptr_t)arg;
	pthread_t thread;
	int i;

	for (i = rand_r(&state) % 3; i >= 0; i--) {
		switch (rand_r(&state) % 8) {
		case 0:
			fork_touching(20);
			break;
		case 1:
			if (!pthread_create(&thread, NULL, touch_3_pages, NULL))
				pthread_join(thread, NULL);
			break;
		case 2:
			sleep_ms(rand_r(&state) % 30);
			break;
		default:
			touch(1 + rand_r(&state) % 100);
		}
	}
	return NULL;
}

static void mix(int nr)
{
	unsigned int state = seed;
	int i, round, rounds = 1 + rand_r(&state) % 2;

	(void)nr;
	/* Children that are not waited for do not count in wait4's usage. */
	signal(SIGCHLD, SIG_IGN);
	register_self();
	for (round = 0; round < rounds; round++) {
		nr = 1 + rand_r(&state) % (rand_r(&state) % 16 ? 50 : MAX_THREADS);
		for (i = 0; i < nr; i++)
			spawn(i, mix_thread, (void *)(uintptr_t)rand_r(&state));
		join_all(nr);
		if (rand_r(&state) % 3)
			continue;
		unregister_self();
		touch(1 + rand_r(&state) % 200);
		if (rand_r(&state) % 2)
			return;
		register_self();
	}

	nr = rand_r(&state) % 8;
	for (i = 0; i < nr; i++)
		spawn(i, touch_forever, NULL);
	sleep_ms(rand_r(&state) % 100);
	switch (rand_r(&state) % 5) {
	case 0:
		kill(getpid(), SIGKILL);
		pause();
		break;
	case 1:
		execute(NULL);
		break;
	case 2:
		spawn(nr, execute, NULL);
		pthread_join(threads[nr], NULL);
		break;
	case 3:
		/* The other threads end by exec, in a process without a leader. */
		spawn(nr, execute, NULL);
		syscall(SYS_exit, 0);
		break;
	}
}

/* ---- Cases ---- */

static void start_case(int nr, void (*behavior)(int))
{
	int i;

	memset(reports, 0, MAX_PROCESSES * sizeof(*reports));
	first_sample = ring_head(&ring);
	for (i = 0; i < nr; i++) {
		pids[i] = fork_child();
		if (!pids[i]) {
			self = &reports[i];
			behavior(i);
			_exit(0);
		}
	}
}

/* Wait for all processes. Returns false if one could not do its part. */
static bool reap_case(int nr, struct usage *expected)
{
	struct rusage usage;
	bool good = true;
	int i, status;

	*expected = (struct usage){ 0 };
	for (i = 0; i < nr; i++) {
		if (wait4(pids[i], &status, 0, &usage) < 0)
			err(1, "wait4");
		if (WIFEXITED(status) && WEXITSTATUS(status))
			good = false;
		usage_add(expected, reports[i].expected, 1);
		if (reports[i].registered)
			usage_add(expected, usage_of(&usage), 1);
	}
	return good;
}

/* Compare the samples of a case, and print the difference. */
static bool samples_match(bool good, struct usage expected)
{
	struct totals sum = ring_sum(&ring, first_sample);

	if (!good)
		diag("a process failed");
	if (sum.min_flt == (unsigned long)expected.min_flt &&
	    sum.maj_flt == (unsigned long)expected.maj_flt)
		return good;

	diag("minor faults: samples %lu, wait4 %ld; major faults: %lu and %ld",
	     sum.min_flt, expected.min_flt, sum.maj_flt, expected.maj_flt);
	return false;
}

static bool run_case(int nr, void (*behavior)(int), struct usage *expected)
{
	bool good;

	start_case(nr, behavior);
	good = reap_case(nr, expected);
	wait_idle(&ring);

	return samples_match(good, *expected);
}

/* Run a case that has to have at least @min_faults, so that it tests something. */
static void test_samples(const char *name, int nr, void (*behavior)(int),
			 long min_faults)
{
	struct usage expected;
	bool good = run_case(nr, behavior, &expected);

	if (!ok(good && expected.min_flt >= min_faults,
		"the samples match wait4 for %s", name))
		diag("%ld minor faults, want at least %ld", expected.min_flt,
		     min_faults);
}

static void test_reaped_between_ticks(void)
{
	bool good, unseen = false;
	struct usage expected;
	int try;

	/* Try again only if the machine stood still for ten seconds. */
	for (try = 0; !unseen && try < 5; try++) {
		set_interval("10000");
		start_case(3, threaded);
		good = reap_case(3, &expected);
		unseen = ring_head(&ring) == first_sample &&
			 ring.header->processes == 3;
		set_interval("50");
		wait_idle(&ring);
		good = samples_match(good, expected);
	}
	ok(good && unseen,
	   "the samples match wait4 for processes reaped between two ticks");
}

/*
 * A thread that exits after the totals were read, but before its own counters
 * are, must not be missed: the difference to the last values would be negative.
 * Repeated R and U read the counters far more often than the tick does.
 */
static void test_exiting_threads(void)
{
	unsigned long faults, counted = 0;
	struct rusage usage;
	bool good = true;
	uint64_t i;

	start_case(1, exiting_threads);
	while (!command('R', pids[0]) && !command('U', pids[0])) {
		for (i = first_sample; i < ring_head(&ring); i++) {
			faults = ring.samples[i % MP3_SAMPLES].min_flt;
			if (faults > 1000000)
				good = false;
			counted += faults;
		}
		first_sample = i;
	}
	if (wait4(pids[0], NULL, 0, &usage) < 0)
		err(1, "wait4");
	wait_idle(&ring);
	counted += ring_sum(&ring, first_sample).min_flt;
	ok(good && counted <= (unsigned long)usage.ru_minflt,
	   "no thread is missed or counted twice while it exits");
}

static void test_child_not_counted(void)
{
	struct usage expected;
	bool good = run_case(1, forking, &expected);

	ok(good && expected.min_flt < CHILD_PAGES,
	   "the samples match wait4 for a process without the faults of its child");
}

static void test_major_faults(void)
{
	static const char name[] = "the samples match wait4 for major faults";
	FILE *swaps = fopen("/proc/swaps", "r");
	struct usage expected;
	char line[256];
	int lines = 0;
	bool good;

	while (swaps && fgets(line, sizeof(line), swaps))
		lines++;
	if (swaps)
		fclose(swaps);
	if (lines < 2) {
		skip(name, "no swap");
		return;
	}
	good = run_case(1, swapping, &expected);
	if (!ok(good && expected.maj_flt >= 40, "%s", name))
		diag("%ld major faults, want at least 40", expected.maj_flt);
}

static void test_random_mixes(unsigned int first, unsigned int nr)
{
	struct usage expected;
	unsigned int i;
	bool all = true;

	diag("random mixes: seeds %u to %u", first, first + nr - 1);
	for (i = 0; i < nr; i++) {
		seed = first + i;
		if (run_case(1, mix, &expected) && expected.min_flt > 0)
			continue;
		diag("seed %u: %ld minor faults", seed, expected.min_flt);
		all = false;
	}
	ok(all, "the samples match wait4 for %u random mixes", nr);
}

/* ---- The process's own counters ---- */

/* What an open /proc/self/stat contains; its CPU time is in clock ticks. */
static struct usage read_own_stat(int fd)
{
	static char text[1024];
	struct stat_line stat;
	ssize_t size = pread(fd, text, sizeof(text) - 1, 0);

	text[size < 0 ? 0 : size] = '\0';
	stat_parse(text, &stat);

	return (struct usage){
		.min_flt = stat.flt[0],
		.maj_flt = stat.flt[2],
		.cpu_us = (stat.utime + stat.stime) *
			  (1000000 / sysconf(_SC_CLK_TCK)),
	};
}

static bool own_faults_match(int fd)
{
	struct usage start, end, stat;
	int i, rounds = 41;	/* the first brings in what the others need */
	uint64_t head = 0;

	for (i = 0; i < rounds; i++) {
		if (i < 2) {
			head = ring_head(&ring);
			start = own_usage();
		}
		touch(50);
		sleep_ms(10);
		end = own_usage();
		stat = read_own_stat(fd);
		if (i && (stat.min_flt != end.min_flt ||
			  stat.maj_flt != end.maj_flt)) {
			diag("getrusage %ld minor, %ld major, stat %ld and %ld",
			     end.min_flt, end.maj_flt, stat.min_flt,
			     stat.maj_flt);
			return false;
		}
	}
	if (end.min_flt - start.min_flt == 50 * (rounds - 1) &&
	    ring_head(&ring) > head)
		return true;

	diag("%ld faults of %d pages in %lu samples", end.min_flt - start.min_flt,
	     50 * (rounds - 1), (unsigned long)(ring_head(&ring) - head));
	return false;
}

static bool own_cpu_time_matches(int fd)
{
	struct usage last = own_usage(), last_stat = read_own_stat(fd);
	struct usage now, now_stat;
	uint64_t head = ring_head(&ring);
	long tick_us = 1000000 / sysconf(_SC_CLK_TCK);

	while (ring_head(&ring) < head + 6) {
		now_stat = read_own_stat(fd);
		now = own_usage();
		/* User and system time are each rounded down. */
		if (now.cpu_us < last.cpu_us ||
		    now_stat.cpu_us < last_stat.cpu_us ||
		    now_stat.cpu_us > now.cpu_us ||
		    now_stat.cpu_us + 2 * tick_us < last.cpu_us)
			return false;
		last = now;
		last_stat = now_stat;
	}
	return true;
}

/* Exit with 2 if the fault counts differ, and with 3 if the CPU time does. */
static void compare_own_usage(int nr)
{
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	(void)nr;
	register_self();
	if (!own_faults_match(fd))
		_exit(2);
	if (!own_cpu_time_matches(fd))
		_exit(3);
}

static void test_own_usage(void)
{
	int status;

	start_case(1, compare_own_usage);
	if (waitpid(pids[0], &status, 0) < 0)
		err(1, "waitpid");
	wait_idle(&ring);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	ok(status == 0 || status == 3,
	   "profiling does not change a process's own fault counts");
	ok(status == 0,
	   "profiling does not change a process's own CPU time");
}

/* ---- CPU time ---- */

static void spin_us(long us)
{
	long start = own_usage().cpu_us;

	while (own_usage().cpu_us - start < us)
		;
}

static void *spin_in_thread(void *arg)
{
	spin_us(1000000);
	return arg;
}

/* Half of the CPU time is the leader's, and half that of a thread that exits. */
static void spinning(int nr)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(nr, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
	/*
	 * After a sleep there is no CPU time left that the scheduler has yet to
	 * account. The sleep is long enough to show if it were sampled.
	 */
	sleep_ms(1000);
	register_self();
	spawn_all(1, spin_in_thread);
	join_all(1);
	spin_us(1000000);
}

/*
 * Add up the CPU time of the samples: each percentage is of the time since the
 * sample before. It is rounded by up to half a percent, and that time is known to
 * two clock ticks, one for each end.
 */
static bool cpu_time_matches(int nr, unsigned long *peak_percent)
{
	double tick_ns = 1e9 / ring.header->hz, sum = 0, error = 0, ns;
	uint64_t i, before, begin, head;
	struct usage expected;
	bool good;

	*peak_percent = 0;
	start_case(nr, spinning);
	good = reap_case(nr, &expected);
	wait_idle(&ring);
	head = ring_head(&ring);
	begin = reports[0].start_ns;
	if (nr > 1 && reports[1].start_ns < begin)
		begin = reports[1].start_ns;
	before = ring.header->base_jiffies +
		 (begin - ring.header->base_ns) / tick_ns;
	for (i = first_sample; i < head; i++) {
		volatile struct mp3_sample *s = &ring.samples[i % MP3_SAMPLES];

		ns = (s->jiffies - before) * tick_ns;
		if (ns < ring.header->interval_ns)
			ns = ring.header->interval_ns;
		sum += s->cpu_percent * ns / 100;
		error += ns / 200 + s->cpu_percent * 2 * tick_ns / 100;
		if (s->cpu_percent > *peak_percent)
			*peak_percent = s->cpu_percent;
		before = s->jiffies;
	}
	diag("CPU time: samples %.0f ms, wait4 %.0f ms, rounding %.0f ms, highest %lu %%",
	     sum / 1e6, expected.cpu_us / 1e3, error / 1e6, *peak_percent);

	return good && sum - error <= expected.cpu_us * 1e3 &&
	       sum + error >= expected.cpu_us * 1e3;
}

static void test_cpu_time(void)
{
	static const char name[] =
		"two processes on two CPUs make a sample of over 100 percent";
	bool good = false;
	unsigned long peak_percent;
	int try;

	/* Long enough for the rounding to be small in comparison. */
	set_interval("500");
	/* An attempt fails if the host takes a CPU away during a clock tick. */
	for (try = 0; !good && try < 3; try++)
		good = cpu_time_matches(1, &peak_percent);
	ok(good, "the CPU time of the samples matches wait4's within rounding");

	if (cpus < 2) {
		skip(name, "one CPU");
	} else {
		good = false;
		for (try = 0; !good && try < 3; try++)
			good = cpu_time_matches(2, &peak_percent) &&
			       peak_percent > 100;
		ok(good, "%s", name);
	}
	set_interval("50");
}

int main(int argc, char **argv)
{
	unsigned int first = time(NULL);

	if (argc == 2 && !strcmp(argv[1], "touch")) {
		touch(EXEC_PAGES);
		return 0;
	}

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	ring = ring_open();
	reports = shared_memory(MAX_PROCESSES * sizeof(*reports));

	if (argc > 1) {
		test_random_mixes(strtoul(argv[1], NULL, 10),
				  argc > 2 ? atoi(argv[2]) : 1);
		return done();
	}

	test_samples("one thread", 1, single, 1000);
	test_samples("8 threads that fault at once", 1, threaded, 8 * 500);
	test_samples("200 short-lived threads", 1, short_lived, 200 * 3);
	test_samples("a process whose leader exits first", 1, leader_first,
		     4 * 16);
	test_samples("an exec by the leader", 1, exec_leader, 200 + EXEC_PAGES);
	test_samples("an exec by another thread", 1, exec_thread, EXEC_PAGES);
	test_samples("a process killed while 5 threads fault", 1, killed, 16);
	test_samples("a process that unregisters and goes on", 1, unregistered,
		     500);
	test_samples("a process registered and unregistered while threads live",
		     1, threads_alive, 4 * 300);
	test_samples("a process registered a second time", 1, registered_again,
		     500 + 300);
	test_samples("8 different processes at once", 8, all_kinds, 5000);
	test_exiting_threads();
	test_child_not_counted();
	test_reaped_between_ticks();
	test_major_faults();

	keep_cpus_busy(true);
	test_samples("8 threads that fault at once, with all CPUs busy", 1,
		     threaded, 8 * 500);
	test_samples("200 short-lived threads, with all CPUs busy", 1,
		     short_lived, 200 * 3);
	test_samples("8 different processes at once, with all CPUs busy", 8,
		     all_kinds, 5000);
	keep_cpus_busy(false);

	test_random_mixes(first, NR_MIXES);
	test_own_usage();
	test_cpu_time();

	return done();
}
