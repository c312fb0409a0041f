// SPDX-License-Identifier: GPL-2.0
/*
 * The grid: while a process is registered, samples are taken at absolute deadlines,
 * one interval apart. A deadline that passes unserved counts as missed, and no burst
 * makes up for it. Most checks use the clock ticks recorded in the samples: that a
 * busy machine serves a deadline late is no error.
 *
 * Takes about a minute, half of which measures the rate over 30 s.
 */
#include <poll.h>
#include <sys/prctl.h>

#include "process.h"
#include "test.h"

#define RT_RUNTIME_PATH	"/proc/sys/kernel/sched_rt_runtime_us"
#define THREADS_PATH	"/proc/sys/kernel/threads-max"

static struct ring ring;
static pid_t self;
static int cpus;

/* Read a small file of sysfs or procfs. */
static void read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (got < 0)
		err(1, "%s", path);
	text[got] = '\0';
	close(fd);
}

static volatile struct mp3_sample *sample_at(uint64_t number)
{
	return &ring.samples[number % MP3_SAMPLES];
}

/* Wait until entry @number has been published. */
static void wait_sample(uint64_t number)
{
	struct pollfd pollfd = { .fd = ring.fd, .events = POLLIN };

	while (ring_head(&ring) <= number)
		if (poll(&pollfd, 1, 60000) <= 0)
			errx(1, "no sample for a minute");
}

/* ---- Deadlines and clock ticks ---- */

/**
 * struct grid - a grid that was just started; times in clock ticks
 * @begin:  time before the registration that started it
 * @slack:  the registration was at most so much later
 * @step:   the interval
 * @head:   number of the entry that will be its first sample
 * @ticks:  the header's ticks before it
 * @missed: the header's missed deadlines before it
 */
struct grid {
	unsigned long begin;
	long slack;
	double step;
	uint64_t head;
	uint64_t ticks;
	uint64_t missed;
};

/* The kernel's current clock tick, from a line of its list of timers. */
static unsigned long jiffies_now(void)
{
	static const char path[] = "/proc/timer_list";
	FILE *list = fopen(path, "re");
	unsigned long jiffies = 0;
	char line[256];

	if (!list)
		err(1, "%s", path);
	while (!jiffies && fgets(line, sizeof(line), list))
		sscanf(line, "jiffies: %lu", &jiffies);
	fclose(list);
	if (!jiffies)
		errx(1, "%s has no jiffies", path);

	return jiffies;
}

/*
 * Register this process, if possible in the same clock tick as the last sample
 * before, so that the start of the grid is known exactly.
 */
static struct grid start_grid(void)
{
	struct grid grid;
	int try = 0;

	command_or_die('R', self);
	do {
		command_or_die('U', self);
		grid.head = ring_head(&ring);
		grid.ticks = ring.header->ticks;
		grid.missed = ring.header->missed;
		grid.begin = sample_at(grid.head - 1)->jiffies;
		grid.step = ring.header->interval_ns / 1e9 * ring.header->hz;
		command_or_die('R', self);
		grid.slack = jiffies_now() - grid.begin;
	} while (grid.slack && ++try < 100);

	return grid;
}

/**
 * struct observation - a sample, and the header at the time when it was observed
 * @number:   number of its entry
 * @deadline: number of deadlines of its grid that were served or missed so far
 * @jiffies:  its clock tick
 * @late:     clock ticks after its deadline, including the grid's slack
 * @ns:       CLOCK_MONOTONIC when it was observed
 */
struct observation {
	uint64_t number;
	uint64_t deadline;
	unsigned long jiffies;
	double late;
	uint64_t ns;
};

/*
 * Wait for entry @from, and observe the newest one. While another is being
 * published, the header is ahead of the head: then observe again.
 */
static struct observation observe(const struct grid *grid, uint64_t from)
{
	struct observation observed;

	do {
		wait_sample(from);
		observed.number = ring_head(&ring) - 1;
		observed.jiffies = sample_at(observed.number)->jiffies;
		observed.deadline = observed.number - grid->head + 1 +
				ring.header->missed - grid->missed;
		observed.ns = now_ns();
	} while (ring.header->ticks - grid->ticks != observed.number - grid->head + 1);

	observed.late = observed.jiffies - grid->begin - observed.deadline * grid->step;

	return observed;
}

/*
 * Check for samples that come faster than deadlines do. One that follows a late
 * one may come early, but only by an interval or two.
 */
static bool has_burst(uint64_t from, uint64_t to, double step)
{
	double latest = 0, tick;
	uint64_t i;

	for (i = from; i < to; i++) {
		tick = (double)(sample_at(i)->jiffies - sample_at(from)->jiffies) -
		       (i - from) * step;
		if (tick < latest - 5 * step)
			return true;
		if (tick > latest)
			latest = tick;
	}
	return false;
}

/**
 * struct least_late - the least late of some samples
 * @late:     lateness in clock ticks
 * @observed: the sample that was observed least late, by CLOCK_MONOTONIC
 */
struct least_late {
	double late;
	struct observation observed;
};

static void keep_least(struct least_late *least, const struct observation *observed)
{
	double interval = ring.header->interval_ns;
	double apart = (double)observed->ns - (double)least->observed.ns;

	if (observed->late < least->late)
		least->late = observed->late;
	if (!least->observed.ns ||
	    apart < (observed->deadline - least->observed.deadline) * interval)
		least->observed = *observed;
}

/*
 * Lateness varies, but drift accumulates: compare the least late of the first
 * samples with that of the last ones.
 */
static void test_rate(unsigned int seconds, const char *when)
{
	struct grid grid = start_grid();
	struct observation observed = { .number = grid.head - 1 };
	struct least_late first = { .late = 1e9 }, last = { .late = 1e9 };
	unsigned int ticks = seconds * ring.header->hz, window = ticks / 5;
	double least_late = 1e9, rate;
	unsigned long age;

	do {
		observed = observe(&grid, observed.number + 1);
		age = observed.jiffies - grid.begin;
		if (observed.late < least_late)
			least_late = observed.late;
		if (age < window)
			keep_least(&first, &observed);
		if (age >= ticks - window)
			keep_least(&last, &observed);
	} while (age < ticks);
	command_or_die('U', self);
	if (!first.observed.ns || !last.observed.ns)
		errx(1, "no sample for seconds");

	rate = (last.observed.deadline - first.observed.deadline) * 1e9 /
	       (last.observed.ns - first.observed.ns);
	diag("%.3f deadlines a second, %lu served, %lu missed; late by %.1f to %.1f clock ticks",
	     rate, (unsigned long)(observed.number - grid.head + 1),
	     (unsigned long)(ring.header->missed - grid.missed),
	     first.late, last.late);
	/* Within 0.05 over 30 s; over less, the least late is known less exactly. */
	ok(rate > 20 - 1.5 / seconds && rate < 20 + 1.5 / seconds,
	   "20.00 deadlines a second are served or missed, %s", when);
	ok(least_late >= 0, "no sample is taken before its deadline, %s", when);
	/* With so many samples, one is on time on any machine. */
	ok(least_late - grid.slack < 1,
	   "a sample is taken in the clock tick of its deadline, %s", when);
	ok(last.late - first.late < grid.step / 2 &&
	   first.late - last.late < grid.step / 2,
	   "the grid does not drift, %s", when);
}

static int compare_late(const void *a, const void *b)
{
	const struct observation *left = a, *right = b;

	return (left->late > right->late) - (left->late < right->late);
}

/*
 * The kernel rounds distant timers up: to 8 clock ticks from a distance of 64 on,
 * and to 64 from 512 on.
 */
static void test_long_interval(const char *ms, unsigned int samples)
{
	struct observation observed[8] = { 0 };
	struct grid grid;
	unsigned int i;
	bool good = false;
	int try;

	set_interval(ms);
	/* A busy machine may serve most deadlines late, but hardly three times. */
	for (try = 0; !good && try < 3; try++) {
		grid = start_grid();
		for (i = 0; i < samples; i++) {
			observed[i] = observe(&grid, i ?
					      observed[i - 1].number + 1 :
					      grid.head);
			observed[i].late -= grid.slack;
		}
		command_or_die('U', self);
		qsort(observed, samples, sizeof(*observed), compare_late);
		diag("late by %.0f, %.0f, %.0f clock ticks, least to most, less %ld of slack",
		     observed[0].late, observed[samples / 2].late,
		     observed[samples - 1].late, grid.slack);
		good = grid.slack <= 3 && observed[samples / 2].late <= 8;
	}
	ok(good, "half of the samples are on time at an interval of %s ms", ms);
	set_interval("50");
}

/* ---- The first and the last sample ---- */

/* No process is registered: the last one was unregistered, or has exited. */
static void test_idle(void)
{
	pid_t child = sleeper();
	uint64_t head, ticks;

	command_or_die('R', self);
	command_or_die('U', self);
	command_or_die('R', child);
	kill_and_reap(child);
	wait_idle(&ring);
	head = ring_head(&ring);
	ticks = ring.header->ticks;
	sleep_ms(1000);
	ok(ring_head(&ring) == head && ring.header->ticks == ticks,
	   "no tick and no sample occurs in a second with nothing registered");
}

/*
 * The memory for a new thread may take long to get: the tick needs none. A busy
 * machine misses deadlines, but not one of any ten for a minute. Call this before
 * any other registration: a workqueue may keep the threads that it has created.
 */
static void test_no_thread(void)
{
	struct observation observed;
	uint64_t start = now_ns(), missed = ring.header->missed;
	unsigned int in_row = 0;
	char threads[32];
	struct grid grid;

	read_file(THREADS_PATH, threads, sizeof(threads));
	write_file(THREADS_PATH, "1");
	if (fork() >= 0 || errno != EAGAIN)
		errx(1, "a thread could be created");
	grid = start_grid();
	observed.number = grid.head - 1;
	while (in_row < 10 && now_ns() - start < 60000000000ULL) {
		observed = observe(&grid, observed.number + 1);
		in_row = ring.header->missed == missed ? in_row + 1 : 0;
		missed = ring.header->missed;
	}
	command_or_die('U', self);
	write_file(THREADS_PATH, threads);
	ok(in_row >= 10,
	   "the deadlines are met while the kernel can create no thread");
}

static void test_first_sample(void)
{
	struct grid grid;
	bool good = true;
	int i;

	for (i = 0; i < 10; i++) {
		grid = start_grid();
		wait_sample(grid.head);
		if (sample_at(grid.head)->jiffies - grid.begin < grid.step)
			good = false;
		command_or_die('U', self);
	}
	ok(good,
	   "the first sample comes at least an interval after the registration");
}

/*
 * With an interval of ten seconds no tick comes between the two commands, unless
 * the machine stands still: then another round follows. The first round brings in
 * what the second needs, so that this has no other faults.
 */
static void test_last_sample(void)
{
	unsigned long faults = 0;
	uint64_t head, before;
	struct usage start, end;
	bool one_sample = false, counted = false, unregistered = false;
	int round;

	set_interval("10000");
	for (round = 0; round < 5 && (round < 2 || !one_sample); round++) {
		head = ring_head(&ring);
		command_or_die('R', self);
		start = own_usage();
		touch(100);
		before = ring_head(&ring);
		end = own_usage();
		command_or_die('U', self);
		one_sample = before == head && ring_head(&ring) == head + 1;
		unregistered = ring.header->processes == 0;
		faults = sample_at(head)->min_flt;
		counted = faults == (unsigned long)(end.min_flt - start.min_flt) &&
			  faults >= 100;
	}
	set_interval("50");
	ok(one_sample && unregistered,
	   "U takes exactly one last sample before it returns");
	if (!ok(counted, "the last sample has all faults since the sample before"))
		diag("%lu faults, getrusage %ld", faults,
		     end.min_flt - start.min_flt);
}

/* U of one of two registered processes. */
static void test_one_of_two(void)
{
	bool silent = false, counted = false;
	unsigned long faults = 0;
	struct usage start, end;
	pid_t child = sleeper();
	uint64_t head;
	int round;

	for (round = 0; round < 5 && (round < 2 || !silent); round++) {
		set_interval("10000");
		head = ring_head(&ring);
		command_or_die('R', self);
		start = own_usage();
		touch(100);
		end = own_usage();
		/* The child sleeps, and has no faults from here on. */
		command_or_die('R', child);
		command_or_die('U', self);
		silent = ring_head(&ring) == head && ring.header->processes == 1;
		set_interval("50");
		wait_sample(head);
		faults = sample_at(head)->min_flt;
		counted = faults == (unsigned long)(end.min_flt - start.min_flt) &&
			  faults >= 100;
		command_or_die('U', child);
	}
	kill_and_reap(child);
	ok(silent, "U of one of two registered processes takes no sample");
	if (!ok(counted,
		"the next sample has the last faults of a process that U removed"))
		diag("%lu faults, getrusage %ld", faults,
		     end.min_flt - start.min_flt);
}

/*
 * A second of CPU time in an interval of ten is 10 percent, even if the sample is
 * taken after that second, when the process is unregistered.
 */
static void test_early_last_sample(void)
{
	unsigned long percent, want = 0;
	struct usage start;
	uint64_t head;
	int round;

	set_interval("10000");
	for (round = 0; round < 5; round++) {
		/* After a sleep, the scheduler has no CPU time left to account. */
		sleep_ms(1);
		head = ring_head(&ring);
		command_or_die('R', self);
		start = own_usage();
		while (own_usage().cpu_us - start.cpu_us < 1000000)
			;
		command_or_die('U', self);
		want = (own_usage().cpu_us - start.cpu_us + 50000) / 100000;
		if (ring_head(&ring) == head + 1)
			break;
	}
	set_interval("50");
	percent = sample_at(head)->cpu_percent;
	if (!ok(percent + 1 >= want && percent <= want + 1,
		"the CPU time of an early last sample is relative to a whole interval"))
		diag("%lu percent, want %lu", percent, want);
}

/* ---- interval_ms ---- */

static void test_interval_bounds(void)
{
	static const char *const invalid[] = { "0", "10001", "-1", "x", "\n", "50x" };
	static const char *const valid[] = {
		"1", "2", "3", "4", "5", "9999", "10000", "50",
	};
	uint64_t ns = ring.header->interval_ns, want, tick;
	char text[32];
	bool good = true;
	size_t i;

	for (i = 0; i < sizeof(invalid) / sizeof(*invalid); i++) {
		int ret = try_write(INTERVAL_PATH, invalid[i]);

		read_file(INTERVAL_PATH, text, sizeof(text));
		if (ret == -EINVAL && atoi(text) == 50 &&
		    ring.header->interval_ns == ns)
			continue;
		diag("\"%s\": %s, interval_ms %d", invalid[i], strerror(-ret),
		     atoi(text));
		good = false;
	}
	ok(good,
	   "an interval_ms that is malformed or beyond 1..10000 is EINVAL and changes nothing");

	good = true;
	tick = 1000000000 / ring.header->hz;
	for (i = 0; i < sizeof(valid) / sizeof(*valid); i++) {
		want = atoi(valid[i]) * 1000000ULL;
		if (want < tick)
			want = tick;
		set_interval(valid[i]);
		read_file(INTERVAL_PATH, text, sizeof(text));
		if (atoi(text) == atoi(valid[i]) &&
		    ring.header->interval_ns == want)
			continue;
		diag("%s ms: interval_ms %d, interval_ns %lu", valid[i],
		     atoi(text), (unsigned long)ring.header->interval_ns);
		good = false;
	}
	ok(good, "interval_ns is interval_ms, but not shorter than a clock tick");
}

static void test_interval_changes(void)
{
	struct grid grid;
	uint64_t head;
	double elapsed;

	set_interval("10000");
	grid = start_grid();
	set_interval("20");
	wait_sample(grid.head);
	elapsed = sample_at(grid.head)->jiffies - grid.begin;
	ok(elapsed < grid.step / 2, "a shorter interval takes effect at once");

	/* Right after a sample, no tick is under way: the next is ten seconds away. */
	wait_sample(grid.head + 5);
	set_interval("10000");
	head = ring_head(&ring);
	sleep_ms(1000);
	ok(ring_head(&ring) == head, "a longer interval takes effect at once");
	command_or_die('U', self);
	set_interval("50");
}

/* A busy machine may miss many deadlines, but each has to be counted. */
static void test_shortest_interval(void)
{
	unsigned long deadlines, ticks;
	unsigned int in_a_row = 0;
	struct grid grid;
	uint64_t i, last;

	set_interval("1");
	grid = start_grid();
	wait_sample(grid.head + 300);
	command_or_die('U', self);
	deadlines = ring.header->ticks + ring.header->missed - grid.ticks -
		    grid.missed;
	/* The last entry is U's sample; the one before it is on the grid. */
	last = ring_head(&ring) - 2;
	ticks = sample_at(last)->jiffies - grid.begin;
	set_interval("50");
	for (i = grid.head; i < last; i++) {
		unsigned long gap = sample_at(i + 1)->jiffies - sample_at(i)->jiffies;

		in_a_row += gap == 1;
	}
	diag("%u of %lu samples come one clock tick after another one", in_a_row,
	     last - grid.head);
	if (!ok(deadlines + 2 + grid.slack >= ticks && deadlines <= ticks,
		"at an interval of one clock tick each deadline is served or missed"))
		diag("%lu deadlines in %lu clock ticks", deadlines, ticks);
}

/* ---- Missed deadlines ---- */

/* Register, and occupy a CPU once all others do as well. */
static void occupy_cpu(int cpu, int ready, int *arrived, long ms)
{
	struct sched_param param = { .sched_priority = 99 };
	uint64_t end;
	cpu_set_t set;
	char byte;

	command_or_die('R', getpid());
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) ||
	    sched_setscheduler(0, SCHED_FIFO, &param))
		err(1, "cannot take CPU %d", cpu);
	if (read(ready, &byte, 1))
		err(1, "read");
	__atomic_add_fetch(arrived, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(arrived, __ATOMIC_SEQ_CST) < cpus)
		;
	end = now_ns() + ms * 1000000;
	while (now_ns() < end)
		;
	_exit(0);
}

/* Let no other task run on any CPU, not even the kernel's workers. */
static void occupy_all_cpus(long ms)
{
	int *arrived = mmap(NULL, sizeof(*arrived), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char throttle[32];
	pid_t pids[MAX_CPUS];
	int ready[2], i, status;

	if (arrived == MAP_FAILED || pipe(ready))
		err(1, "mmap or pipe");
	read_file(RT_RUNTIME_PATH, throttle, sizeof(throttle));
	write_file(RT_RUNTIME_PATH, "-1");
	for (i = 0; i < cpus; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			err(1, "fork");
		if (!pids[i]) {
			close(ready[1]);
			occupy_cpu(i, ready[0], arrived, ms);
		}
	}
	/* The others wait in read(), which returns at the end of the pipe. */
	close(ready[1]);
	for (i = 0; i < cpus; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			errx(1, "the process on CPU %d failed", i);
	write_file(RT_RUNTIME_PATH, throttle);
	close(ready[0]);
	munmap(arrived, sizeof(*arrived));
}

static void test_missed_deadlines(void)
{
	struct grid grid = start_grid();
	struct observation before, after;
	unsigned long missed, peak_percent = 0;
	uint64_t i;

	before = observe(&grid, grid.head + 5);
	occupy_all_cpus(600);
	after = observe(&grid, ring_head(&ring) + 20);
	command_or_die('U', self);

	missed = (after.deadline - before.deadline) -
		 (after.number - before.number);
	/* 12 intervals contain 11 deadlines, the last of which is served. */
	if (!ok(missed >= 10,
		"deadlines that pass while all CPUs are occupied are missed"))
		diag("%lu missed", missed);
	/* A deadline that was not counted would make the later ones seem late. */
	if (!ok(after.late >= 0 && after.late - grid.slack < 2 * grid.step,
		"each deadline counts as served or missed after CPUs were occupied"))
		diag("late by %.1f clock ticks before, %.1f after", before.late,
		     after.late);
	ok(!has_burst(grid.head, after.number + 1, grid.step),
	   "no burst of samples makes up for missed deadlines");

	for (i = before.number; i <= after.number; i++)
		if (sample_at(i)->cpu_percent > peak_percent)
			peak_percent = sample_at(i)->cpu_percent;
	/* Relative to an interval it would be ten times as much. */
	if (!ok(peak_percent < 400UL * cpus,
		"the CPU time of a late sample is relative to the time since the one before"))
		diag("%lu percent of %d CPUs", peak_percent, cpus);
}

int main(void)
{
	/* One fault for each page, and no khugepaged that moves them. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	self = getpid();
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus > MAX_CPUS)
		cpus = MAX_CPUS;
	ring = ring_open();

	test_no_thread();
	test_idle();
	test_first_sample();
	test_last_sample();
	test_one_of_two();
	test_early_last_sample();
	test_interval_bounds();
	test_interval_changes();
	test_shortest_interval();
	test_missed_deadlines();
	test_long_interval("1000", 5);
	test_long_interval("2500", 3);
	keep_cpus_busy(true);
	test_rate(6, "while all CPUs are busy");
	keep_cpus_busy(false);
	test_rate(30, "over 30 s");

	return done();
}
