// SPDX-License-Identifier: GPL-2.0
/*
 * The grid: samples are taken at absolute deadlines, one interval apart, while
 * anything is registered; a deadline that passes unserved is missed, and never
 * made up for. Most of it is measured in the clock ticks that the samples
 * themselves carry: how late a busy machine serves a deadline proves nothing.
 *
 * Takes about a minute, half of it to measure the rate over 30 s.
 */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "test.h"

#define RT_RUNTIME_PATH	"/proc/sys/kernel/sched_rt_runtime_us"
#define MAX_CPUS	64

static struct ring ring;
static pid_t self;
static int cpus;

/* The whole of a small file of sysfs or procfs. */
static void read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (got < 0)
		err(1, "%s", path);
	text[got] = '\0';
	close(fd);
}

static volatile struct mp3_sample *sample(uint64_t number)
{
	return &ring.samples[number % MP3_SAMPLES];
}

/* Waits until entry @number is there. */
static void wait_sample(uint64_t number)
{
	struct pollfd pollfd = { .fd = ring.fd, .events = POLLIN };

	while (ring_head(&ring) <= number)
		if (poll(&pollfd, 1, 60000) <= 0)
			errx(1, "no sample for a minute");
}

/* A child that does nothing, to be registered. */
static pid_t idle_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	while (!pid)
		pause();
	return pid;
}

static void end_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static void load(bool on)
{
	static pid_t spinners[MAX_CPUS];
	int i;

	for (i = 0; i < cpus; i++) {
		if (!on) {
			end_child(spinners[i]);
			continue;
		}
		spinners[i] = fork();
		if (spinners[i] < 0)
			err(1, "fork");
		while (!spinners[i])
			;
	}
}

/* ---- Deadlines and clock ticks ---- */

/**
 * struct grid - a grid that has just been started, in clock ticks
 * @begin:  before the registration that started it
 * @slack:  the registration was at most so much later
 * @step:   the interval
 * @head:   the entry that will be its first sample
 * @ticks:  of the header, before it
 * @missed: likewise
 */
struct grid {
	unsigned long begin;
	long slack;
	double step;
	uint64_t head;
	uint64_t ticks;
	uint64_t missed;
};

/* The clock tick now: some line of the kernel's list of timers has it. */
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
 * Registers this process, in the clock tick of the last sample before it if that
 * can be had.
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
		grid.begin = sample(grid.head - 1)->jiffies;
		grid.step = ring.header->interval_ns / 1e9 * ring.header->hz;
		command_or_die('R', self);
		grid.slack = jiffies_now() - grid.begin;
	} while (grid.slack && ++try < 100);

	return grid;
}

/**
 * struct seen - a sample, and what the header said then
 * @number:   of the entry
 * @deadline: how many deadlines of its grid were served or missed with it
 * @jiffies:  its clock tick
 * @late:     clock ticks after its deadline, and the grid's slack
 * @ns:	      CLOCK_MONOTONIC when it was seen
 */
struct seen {
	uint64_t number;
	uint64_t deadline;
	unsigned long jiffies;
	double late;
	uint64_t ns;
};

/*
 * Waits for entry @from, and looks at the newest there is. Where another one is
 * on its way, the header is ahead of the head: then it looks again.
 */
static struct seen see(const struct grid *grid, uint64_t from)
{
	struct seen seen;

	do {
		wait_sample(from);
		seen.number = ring_head(&ring) - 1;
		seen.jiffies = sample(seen.number)->jiffies;
		seen.deadline = seen.number - grid->head + 1 +
				ring.header->missed - grid->missed;
		seen.ns = now_ns();
	} while (ring.header->ticks - grid->ticks != seen.number - grid->head + 1);

	seen.late = seen.jiffies - grid->begin - seen.deadline * grid->step;

	return seen;
}

/*
 * Samples that follow each other faster than deadlines do: a late one is
 * followed by one on time, but that makes up for one or two intervals only.
 */
static bool burst(uint64_t from, uint64_t to, double step)
{
	double latest = 0, tick;
	uint64_t i;

	for (i = from; i < to; i++) {
		tick = (double)(sample(i)->jiffies - sample(from)->jiffies) -
		       (i - from) * step;
		if (tick < latest - 5 * step)
			return true;
		if (tick > latest)
			latest = tick;
	}
	return false;
}

/**
 * struct least - the least late of some samples
 * @late: clock ticks, by its own clock tick
 * @seen: the one that was seen the least late
 */
struct least {
	double late;
	struct seen seen;
};

static void keep_least(struct least *least, const struct seen *seen)
{
	double interval = ring.header->interval_ns;
	double apart = (double)seen->ns - (double)least->seen.ns;

	if (seen->late < least->late)
		least->late = seen->late;
	if (!least->seen.ns ||
	    apart < (seen->deadline - least->seen.deadline) * interval)
		least->seen = *seen;
}

/*
 * Lateness comes and goes, drift stays: so what is compared is the least late
 * of the first and of the last samples.
 */
static void grid_holds(unsigned int seconds, const char *when)
{
	struct grid grid = start_grid();
	struct seen seen = { .number = grid.head - 1 };
	struct least first = { .late = 1e9 }, last = { .late = 1e9 };
	unsigned int ticks = seconds * ring.header->hz, window = ticks / 5;
	double least_late = 1e9, rate;
	unsigned long age;

	do {
		seen = see(&grid, seen.number + 1);
		age = seen.jiffies - grid.begin;
		if (seen.late < least_late)
			least_late = seen.late;
		if (age < window)
			keep_least(&first, &seen);
		if (age >= ticks - window)
			keep_least(&last, &seen);
	} while (age < ticks);
	command_or_die('U', self);
	if (!first.seen.ns || !last.seen.ns)
		errx(1, "no sample for seconds");

	rate = (last.seen.deadline - first.seen.deadline) * 1e9 /
	       (last.seen.ns - first.seen.ns);
	diag("%.3f deadlines a second, %lu served, %lu missed; late by %.1f to %.1f clock ticks",
	     rate, (unsigned long)(seen.number - grid.head + 1),
	     (unsigned long)(ring.header->missed - grid.missed),
	     first.late, last.late);
	/* To 0.05 over 30 s; the least late is known no better over less. */
	ok(rate > 20 - 1.5 / seconds && rate < 20 + 1.5 / seconds,
	   "20.00 deadlines a second are served or missed, %s", when);
	ok(least_late >= 0, "no sample lies before its deadline, %s", when);
	/* Of so many, one is in time on any machine. */
	ok(least_late - grid.slack < 1, "and some in the clock tick of theirs, %s", when);
	ok(last.late - first.late < grid.step / 2 &&
	   first.late - last.late < grid.step / 2,
	   "the grid does not drift, %s", when);
}

static int compare_late(const void *a, const void *b)
{
	const struct seen *left = a, *right = b;

	return (left->late > right->late) - (left->late < right->late);
}

/*
 * The kernel's timers are rounded up over long distances: to 8 clock ticks from
 * 64 on, to 64 from 512 on.
 */
static void long_intervals_hold(const char *ms, unsigned int samples)
{
	struct seen seen[8] = { 0 };
	struct grid grid;
	unsigned int i;
	bool good = false;
	int try;

	set_interval(ms);
	/* Three times a busy machine may serve most of them late. */
	for (try = 0; !good && try < 3; try++) {
		grid = start_grid();
		for (i = 0; i < samples; i++) {
			seen[i] = see(&grid, i ? seen[i - 1].number + 1 : grid.head);
			seen[i].late -= grid.slack;
		}
		command_or_die('U', self);
		qsort(seen, samples, sizeof(*seen), compare_late);
		diag("late by %.0f, %.0f, %.0f clock ticks, less %ld of slack: least, median, most",
		     seen[0].late, seen[samples / 2].late,
		     seen[samples - 1].late, grid.slack);
		good = grid.slack <= 3 && seen[samples / 2].late <= 8;
	}
	ok(good, "half of the samples are on time at %s ms", ms);
	set_interval("50");
}

/* ---- The first and the last sample ---- */

/* Whether the last one has been unregistered, or has ended. */
static void silence(void)
{
	pid_t child = idle_child();
	uint64_t head, ticks;

	command_or_die('R', self);
	command_or_die('U', self);
	command_or_die('R', child);
	end_child(child);
	wait_idle(&ring);
	head = ring_head(&ring);
	ticks = ring.header->ticks;
	sleep_ms(1000);
	ok(ring_head(&ring) == head && ring.header->ticks == ticks,
	   "nothing is registered: no tick and no sample in a second");
}

static void first_sample(void)
{
	struct grid grid;
	bool good = true;
	int i;

	for (i = 0; i < 10; i++) {
		grid = start_grid();
		wait_sample(grid.head);
		if (sample(grid.head)->jiffies - grid.begin < grid.step)
			good = false;
		command_or_die('U', self);
	}
	ok(good, "the first sample comes an interval after registering, or later");
}

struct usage {
	long min_flt, cpu_us;
};

static struct usage own_usage(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (struct usage){
		.min_flt = usage.ru_minflt,
		.cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
			  1000000 + usage.ru_utime.tv_usec +
			  usage.ru_stime.tv_usec,
	};
}

/*
 * With an interval of ten seconds no tick comes between the two commands, but
 * where the machine stands still: then the next round is as good. The first
 * round brings in all that the second needs, which so has no other faults.
 */
static void last_sample(void)
{
	unsigned long faults = 0;
	uint64_t head, before;
	struct usage start, end;
	bool one = false, counted = false, none = false;
	int round;

	set_interval("10000");
	for (round = 0; round < 5 && (round < 2 || !one); round++) {
		head = ring_head(&ring);
		command_or_die('R', self);
		start = own_usage();
		touch(100);
		before = ring_head(&ring);
		end = own_usage();
		command_or_die('U', self);
		one = before == head && ring_head(&ring) == head + 1;
		none = ring.header->processes == 0;
		faults = sample(head)->min_flt;
		counted = faults == (unsigned long)(end.min_flt - start.min_flt) &&
			  faults >= 100;
	}
	set_interval("50");
	ok(one && none, "the last sample is there when U returns, and only that");
	if (!ok(counted, "it has the faults since the sample before"))
		diag("%lu faults, getrusage says %ld", faults,
		     end.min_flt - start.min_flt);
}

static void one_of_two(void)
{
	bool silent = false, counted = false;
	unsigned long faults = 0;
	struct usage start, end;
	pid_t child = idle_child();
	uint64_t head;
	int round;

	for (round = 0; round < 5 && (round < 2 || !silent); round++) {
		set_interval("10000");
		head = ring_head(&ring);
		command_or_die('R', self);
		start = own_usage();
		touch(100);
		end = own_usage();
		/* It has no fault from here on: it was at rest before. */
		command_or_die('R', child);
		command_or_die('U', self);
		silent = ring_head(&ring) == head && ring.header->processes == 1;
		set_interval("50");
		wait_sample(head);
		faults = sample(head)->min_flt;
		counted = faults == (unsigned long)(end.min_flt - start.min_flt) &&
			  faults >= 100;
		command_or_die('U', child);
	}
	end_child(child);
	ok(silent, "U of one of two makes no sample");
	if (!ok(counted, "its last faults are in the next sample"))
		diag("%lu faults, getrusage says %ld", faults,
		     end.min_flt - start.min_flt);
}

/*
 * A second of CPU time in an interval of ten: 10 percent, and not 100, though
 * the sample comes after a second.
 */
static void early_last_sample(void)
{
	unsigned long percent, want = 0;
	struct usage start;
	uint64_t head;
	int round;

	set_interval("10000");
	for (round = 0; round < 5; round++) {
		/* Who has slept has no CPU time that is yet to be added. */
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
	percent = sample(head)->cpu_percent;
	if (!ok(percent + 1 >= want && percent <= want + 1,
		"an early last sample's CPU time is over a whole interval"))
		diag("%lu percent, want %lu", percent, want);
}

/* ---- interval_ms ---- */

static void interval_bounds(void)
{
	static const char *const wrong[] = { "0", "10001", "-1", "x", "\n", "50x" };
	static const char *const right[] = {
		"1", "2", "3", "4", "5", "9999", "10000", "50",
	};
	uint64_t ns = ring.header->interval_ns, want, tick;
	char text[32];
	bool good = true;
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		int ret = try_write(INTERVAL_PATH, wrong[i]);

		read_file(INTERVAL_PATH, text, sizeof(text));
		if (ret == -EINVAL && atoi(text) == 50 &&
		    ring.header->interval_ns == ns)
			continue;
		diag("\"%s\": %s, interval_ms %d", wrong[i], strerror(-ret),
		     atoi(text));
		good = false;
	}
	ok(good, "a malformed interval_ms, or one beyond 1..10000, is EINVAL and no change");

	good = true;
	tick = 1000000000 / ring.header->hz;
	for (i = 0; i < sizeof(right) / sizeof(*right); i++) {
		want = atoi(right[i]) * 1000000ULL;
		if (want < tick)
			want = tick;
		set_interval(right[i]);
		read_file(INTERVAL_PATH, text, sizeof(text));
		if (atoi(text) == atoi(right[i]) &&
		    ring.header->interval_ns == want)
			continue;
		diag("%s ms: interval_ms %d, interval_ns %lu", right[i],
		     atoi(text), (unsigned long)ring.header->interval_ns);
		good = false;
	}
	ok(good, "interval_ns is interval_ms, and no shorter than a clock tick");
}

static void interval_changes(void)
{
	struct grid grid;
	uint64_t head;
	double took;

	set_interval("10000");
	grid = start_grid();
	set_interval("20");
	wait_sample(grid.head);
	took = sample(grid.head)->jiffies - grid.begin;
	ok(took < grid.step / 2, "a shorter interval takes effect at once");

	/* Ten seconds from now on, though a tick is under way at any moment. */
	wait_sample(grid.head + 5);
	set_interval("10000");
	head = ring_head(&ring);
	sleep_ms(1000);
	ok(ring_head(&ring) == head, "a longer interval takes effect at once");
	command_or_die('U', self);
	set_interval("50");
}

/* A busy machine may miss many of them, but all are accounted for. */
static void shortest_interval(void)
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
	/* The last sample on the grid is the one before U's. */
	last = ring_head(&ring) - 2;
	ticks = sample(last)->jiffies - grid.begin;
	set_interval("50");
	for (i = grid.head; i < last; i++) {
		unsigned long gap = sample(i + 1)->jiffies - sample(i)->jiffies;

		in_a_row += gap == 1;
	}
	diag("%u of %lu samples come one clock tick after another", in_a_row,
	     last - grid.head);
	if (!ok(deadlines + 2 + grid.slack >= ticks && deadlines <= ticks,
		"an interval of one clock tick: each one is served or missed"))
		diag("%lu deadlines in %lu clock ticks", deadlines, ticks);
}

/* ---- Missed deadlines ---- */

/* Takes a CPU from everyone, once all CPUs are to be taken; registered. */
static void hog(int cpu, int ready, int *arrived, long ms)
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

/* Nobody else runs for so long, on any CPU: no worker of the kernel either. */
static void stop_the_world(long ms)
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
			hog(i, ready[0], arrived, ms);
		}
	}
	/* All of them read the end of file now, where they wait. */
	close(ready[1]);
	for (i = 0; i < cpus; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			errx(1, "hog %d failed", i);
	write_file(RT_RUNTIME_PATH, throttle);
	close(ready[0]);
	munmap(arrived, sizeof(*arrived));
}

static void missed_deadlines(void)
{
	struct grid grid = start_grid();
	struct seen before, after;
	unsigned long missed, peak = 0;
	uint64_t i;

	before = see(&grid, grid.head + 5);
	stop_the_world(600);
	after = see(&grid, ring_head(&ring) + 20);
	command_or_die('U', self);

	missed = (after.deadline - before.deadline) -
		 (after.number - before.number);
	/* 12 intervals: 11 deadlines lie in them, and the last one is served. */
	if (!ok(missed >= 10, "deadlines that nobody could serve are missed"))
		diag("%lu missed", missed);
	/* Else they would be so late that their number is a wrong one. */
	if (!ok(after.late >= 0 && after.late - grid.slack < 2 * grid.step,
		"each deadline is either served or missed"))
		diag("late by %.1f clock ticks before, %.1f after", before.late,
		     after.late);
	ok(!burst(grid.head, after.number + 1, grid.step),
	   "missed deadlines are not made up for by a burst");

	for (i = before.number; i <= after.number; i++)
		if (sample(i)->cpu_percent > peak)
			peak = sample(i)->cpu_percent;
	/* Over an interval it would be ten times as much. */
	if (!ok(peak < 400UL * cpus,
		"a late sample's CPU time is over the time since the one before"))
		diag("%lu percent of %d CPUs", peak, cpus);
}

int main(void)
{
	/* A fault for each page, and no thread of the kernel that moves them. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	self = getpid();
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus > MAX_CPUS)
		cpus = MAX_CPUS;
	ring = ring_open();

	silence();
	first_sample();
	last_sample();
	one_of_two();
	early_last_sample();
	interval_bounds();
	interval_changes();
	shortest_interval();
	missed_deadlines();
	long_intervals_hold("1000", 5);
	long_intervals_hold("2500", 3);
	load(true);
	grid_holds(6, "while all CPUs are busy");
	load(false);
	grid_holds(30, "over 30 s");

	return done();
}
