// SPDX-License-Identifier: GPL-2.0
/*
 * Exact counts: what the samples add up to is what wait4(2) says of a process,
 * less what it had done when it registered, to the fault.
 *
 * Usage: exact [SEED [NR]], which runs NR (1) of the random mixes, from SEED on.
 *
 * vm: -s 128
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

#define MAX_PROCESSES	8
#define MAX_THREADS	1000
#define ROW		200	/* threads behind which another one ends */
#define EXEC_PAGES	300
#define CHILD_PAGES	5000
#define MIXES		20

/* Behind the name: min_flt, maj_flt, utime and stime. */
#define STAT_FORMAT	" %*c %*d %*d %*d %*d %*d %*u %ld %*u %ld %*u %ld %ld"

struct counts {
	long min_flt, maj_flt, cpu_us;
};

/**
 * struct slot - what a process tells its parent
 * @due:	what the samples have to count of it; at its end less what
 *		wait4 will say, if it is still registered then
 * @registered:	it is
 * @inexact:	it faulted while it registered: @due is not exact
 * @start_ns:	CLOCK_MONOTONIC when it registered
 */
struct slot {
	struct counts due;
	bool registered;
	bool inexact;
	uint64_t start_ns;
};

static struct ring ring;
static uint64_t from;		/* head when the case began */
static struct slot *slots;	/* shared, touched before anyone registers */
static struct slot *self;
static pid_t pids[MAX_PROCESSES];
static pthread_t threads[MAX_THREADS];
static pthread_barrier_t barrier;
static pid_t spinners[64];
static int cpus;
static unsigned int seed;

static struct counts counts_of(const struct rusage *usage)
{
	return (struct counts){
		.min_flt = usage->ru_minflt,
		.maj_flt = usage->ru_majflt,
		.cpu_us = (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) *
			  1000000 + usage->ru_utime.tv_usec +
			  usage->ru_stime.tv_usec,
	};
}

static struct counts done_so_far(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return counts_of(&usage);
}

static void add(struct counts *to, struct counts what, int sign)
{
	to->min_flt += sign * what.min_flt;
	to->maj_flt += sign * what.maj_flt;
	to->cpu_us += sign * what.cpu_us;
}

/*
 * Gives a command for this process, and says what it had done at that moment.
 * The first round is a dry run (there is no command X): it brings in every page
 * that the second one needs, so that nothing faults in between.
 */
static struct counts command_self(char letter)
{
	struct counts before, after;
	int i, ret;

	for (i = 0; i < 2; i++) {
		before = done_so_far();
		ret = command(i ? letter : 'X', getpid());
		after = done_so_far();
	}
	if (ret)
		errx(1, "%c: %s", letter, strerror(-ret));
	if (before.min_flt != after.min_flt || before.maj_flt != after.maj_flt)
		self->inexact = true;

	return after;
}

static void enter(void)
{
	struct counts base;

	self->start_ns = now_ns();
	base = command_self('R');
	add(&self->due, base, -1);
	self->registered = true;
}

static void leave(void)
{
	struct counts end = command_self('U');

	add(&self->due, end, 1);
	self->registered = false;
}

static void touch_for_samples(unsigned int samples)
{
	uint64_t head = ring_head(&ring);

	while (ring_head(&ring) < head + samples)
		touch(16);
}

/* ---- What processes do ---- */

static void spawn(int i, void *(*start)(void *), void *arg)
{
	int ret = pthread_create(&threads[i], NULL, start, arg);

	if (ret)
		errx(1, "pthread_create: %s", strerror(ret));
}

static void spawn_all(int nr, void *(*start)(void *))
{
	int i;

	for (i = 0; i < nr; i++)
		spawn(i, start, NULL);
}

static void join_all(int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

static void *touch_at_once(void *arg)
{
	pthread_barrier_wait(&barrier);
	touch(500);
	return arg;
}

static void *touch_a_little(void *arg)
{
	touch(3);
	return arg;
}

static void *touch_some(void *arg)
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

static void *touch_for_ever(void *arg)
{
	for (;;)
		touch(16);
	return arg;
}

static void *execute(void *arg)
{
	/* Not /proc/self/exe: a leader that has exited has none. */
	execl("/proc/thread-self/exe", "exact", "touch", NULL);
	err(1, "exec");
	return arg;
}

static void single(int nr)
{
	(void)nr;
	enter();
	touch(1000);
}

static void threaded(int nr)
{
	(void)nr;
	enter();
	pthread_barrier_init(&barrier, NULL, 8);
	spawn_all(8, touch_at_once);
	join_all(8);
}

static void short_lived(int nr)
{
	(void)nr;
	enter();
	spawn_all(200, touch_a_little);
	join_all(200);
}

/* One thread after another ends, each behind a long row of others. */
static void ending(int nr)
{
	int i;

	pthread_barrier_init(&barrier, NULL, ROW);
	spawn_all(ROW - 1, wait_at_barrier);
	for (i = 0; i < 2000; i++) {
		spawn(ROW - 1, touch_some, NULL);
		pthread_join(threads[ROW - 1], NULL);
	}
	pthread_barrier_wait(&barrier);
	(void)nr;
}

static void leader_first(int nr)
{
	(void)nr;
	enter();
	spawn_all(4, touch_through_samples);
	syscall(SYS_exit, 0);
}

static void exec_leader(int nr)
{
	(void)nr;
	enter();
	touch(200);
	execute(NULL);
}

/* The thread takes the leader's place and pid, in the same struct signal. */
static void exec_thread(int nr)
{
	(void)nr;
	enter();
	spawn_all(4, touch_for_ever);
	touch_for_samples(2);
	spawn(4, execute, NULL);
	join_all(1);
}

static void killed(int nr)
{
	(void)nr;
	enter();
	spawn_all(4, touch_for_ever);
	touch_for_samples(2);
	kill(getpid(), SIGKILL);
	pause();
}

static void unregistered(int nr)
{
	(void)nr;
	enter();
	touch(500);
	leave();
	touch(700);
}

/*
 * Once it has waited at the barrier, a thread has all that it needs to wait
 * again: so it faults only where it touches.
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

/* Counted are the 4 times 300 faults in the middle. */
static void threads_alive(int nr)
{
	pthread_barrier_init(&barrier, NULL, 5);
	spawn_all(4, touch_in_steps);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	enter();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	leave();
	pthread_barrier_wait(&barrier);
	join_all(4);
	(void)nr;
}

static void registered_again(int nr)
{
	unregistered(nr);
	enter();
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
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		touch(pages);
		_exit(0);
	}
	return pid;
}

/* wait4's rusage of a process has the children that it has waited for. */
static void forking(int nr)
{
	struct rusage usage;

	(void)nr;
	enter();
	touch(100);
	wait4(fork_touching(CHILD_PAGES), NULL, 0, &usage);
	touch(100);
	add(&self->due, counts_of(&usage), -1);
}

static void page_out_and_in(void)
{
	long page = sysconf(_SC_PAGESIZE), i, try, pages = 1024;
	char *area = mmap(NULL, pages * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct counts start = done_so_far();

	if (area == MAP_FAILED)
		err(1, "mmap");
	memset(area, 1, pages * page);
	/*
	 * Once written, a page is still there, and comes back by a minor fault.
	 * The next time it need not be written, and is gone at once.
	 */
	for (try = 0; try < 100; try++) {
		if (madvise(area, pages * page, MADV_PAGEOUT))
			err(1, "MADV_PAGEOUT");
		for (i = 0; i < pages; i++)
			((volatile char *)area)[i * page];
		if (done_so_far().maj_flt - start.maj_flt >= 20)
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
	enter();
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
			if (!pthread_create(&thread, NULL, touch_a_little, NULL))
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
	/* Children that nobody can wait for are in nobody's rusage. */
	signal(SIGCHLD, SIG_IGN);
	enter();
	for (round = 0; round < rounds; round++) {
		nr = 1 + rand_r(&state) % (rand_r(&state) % 16 ? 50 : MAX_THREADS);
		for (i = 0; i < nr; i++)
			spawn(i, mix_thread, (void *)(uintptr_t)rand_r(&state));
		join_all(nr);
		if (rand_r(&state) % 3)
			continue;
		leave();
		touch(1 + rand_r(&state) % 200);
		if (rand_r(&state) % 2)
			return;
		enter();
	}

	nr = rand_r(&state) % 8;
	for (i = 0; i < nr; i++)
		spawn(i, touch_for_ever, NULL);
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
		/* The others end by exec, too: in a process without its leader. */
		spawn(nr, execute, NULL);
		syscall(SYS_exit, 0);
		break;
	}
}

/* ---- Cases ---- */

static void start(int nr, void (*body)(int))
{
	int i;

	memset(slots, 0, MAX_PROCESSES * sizeof(*slots));
	from = ring_head(&ring);
	for (i = 0; i < nr; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			err(1, "fork");
		if (!pids[i]) {
			self = &slots[i];
			body(i);
			_exit(0);
		}
	}
}

/* Waits for all of them; false when one of them could not do its part. */
static bool reap(int nr, struct counts *due)
{
	struct rusage usage;
	bool good = true;
	int i, status;

	*due = (struct counts){ 0 };
	for (i = 0; i < nr; i++) {
		if (wait4(pids[i], &status, 0, &usage) < 0)
			err(1, "wait4");
		if (slots[i].inexact || (WIFEXITED(status) && WEXITSTATUS(status)))
			good = false;
		add(due, slots[i].due, 1);
		if (slots[i].registered)
			add(due, counts_of(&usage), 1);
	}
	return good;
}

/* False, with the numbers, when the samples say something else. */
static bool agree(bool good, struct counts due)
{
	struct totals sum = ring_sum(&ring, from);

	if (!good)
		diag("a process failed, or faulted while it registered");
	if (sum.min_flt == (unsigned long)due.min_flt &&
	    sum.maj_flt == (unsigned long)due.maj_flt)
		return good;

	diag("minor faults: samples %lu, wait4 %ld; major: %lu and %ld",
	     sum.min_flt, due.min_flt, sum.maj_flt, due.maj_flt);
	return false;
}

static bool run(int nr, void (*body)(int), struct counts *due)
{
	bool good;

	start(nr, body);
	good = reap(nr, due);
	wait_idle(&ring);

	return agree(good, *due);
}

/* @least: faults that there must have been, lest nothing was tried. */
static void agreement(const char *name, int nr, void (*body)(int), long least)
{
	struct counts due;
	bool good = run(nr, body, &due);

	if (!ok(good && due.min_flt >= least,
		"wait4 and the samples agree: %s", name))
		diag("%ld minor faults, at least %ld wanted", due.min_flt, least);
}

static void reaped_between_ticks(void)
{
	bool good, unseen = false;
	struct counts due;
	int try;

	/* Only a machine that stood still for ten seconds needs another try. */
	for (try = 0; !unseen && try < 5; try++) {
		set_interval("10000");
		start(3, threaded);
		good = reap(3, &due);
		unseen = ring_head(&ring) == from && ring.header->processes == 3;
		set_interval("50");
		wait_idle(&ring);
		good = agree(good, due);
	}
	ok(good && unseen,
	   "wait4 and the samples agree: ended and reaped between two ticks");
}

/*
 * A thread that ends between the look at the totals and the look at the threads
 * must not be met in neither of them: the difference to the last look would be
 * negative. Registering and unregistering looks far more often than the tick.
 */
static void looked_at_while_ending(void)
{
	unsigned long faults, counted = 0;
	struct rusage usage;
	bool good = true;
	uint64_t i;

	start(1, ending);
	while (!command('R', pids[0]) && !command('U', pids[0])) {
		for (i = from; i < ring_head(&ring); i++) {
			faults = ring.samples[i % MP3_SAMPLES].min_flt;
			if (faults > 1000000)
				good = false;
			counted += faults;
		}
		from = i;
	}
	if (wait4(pids[0], NULL, 0, &usage) < 0)
		err(1, "wait4");
	wait_idle(&ring);
	counted += ring_sum(&ring, from).min_flt;
	ok(good && counted <= (unsigned long)usage.ru_minflt,
	   "no thread is missed while it ends, nor counted twice");
}

static void child_not_counted(void)
{
	struct counts due;
	bool good = run(1, forking, &due);

	ok(good && due.min_flt < CHILD_PAGES,
	   "wait4 and the samples agree: a child is not counted for its parent");
}

static void major_faults(void)
{
	static const char name[] = "wait4 and the samples agree: major faults";
	FILE *swaps = fopen("/proc/swaps", "r");
	struct counts due;
	char line[256];
	int lines = 0;
	bool good;

	while (swaps && fgets(line, sizeof(line), swaps))
		lines++;
	if (swaps)
		fclose(swaps);
	if (lines < 2) {
		skip(name, "no swap in this guest");
		return;
	}
	good = run(1, swapping, &due);
	if (!ok(good && due.maj_flt >= 40, "%s", name))
		diag("%ld major faults, at least 40 wanted", due.maj_flt);
}

static void load(bool on)
{
	int i, status;

	for (i = 0; i < cpus; i++) {
		if (!on) {
			kill(spinners[i], SIGKILL);
			waitpid(spinners[i], &status, 0);
			continue;
		}
		spinners[i] = fork();
		if (spinners[i] < 0)
			err(1, "fork");
		while (!spinners[i])
			;
	}
}

static void random_mixes(unsigned int first, unsigned int nr)
{
	struct counts due;
	unsigned int i;
	bool all = true;

	diag("random mixes: seeds %u to %u", first, first + nr - 1);
	for (i = 0; i < nr; i++) {
		seed = first + i;
		if (run(1, mix, &due) && due.min_flt > 0)
			continue;
		diag("seed %u: %ld minor faults", seed, due.min_flt);
		all = false;
	}
	ok(all, "wait4 and the samples agree: %u random mixes", nr);
}

/* ---- The process's own numbers ---- */

/* /proc/self/stat: minor faults and, in clock ticks of 10 ms, CPU time. */
static struct counts stat_self(int fd)
{
	static char text[1024];
	struct counts counts = { 0 };
	long utime, stime;
	ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
	char *fields;

	text[size < 0 ? 0 : size] = '\0';
	fields = strrchr(text, ')');
	if (!fields || sscanf(fields + 1, STAT_FORMAT, &counts.min_flt,
			      &counts.maj_flt, &utime, &stime) != 4)
		errx(1, "/proc/self/stat");
	counts.cpu_us = (utime + stime) * (1000000 / sysconf(_SC_CLK_TCK));

	return counts;
}

static bool own_faults(int fd)
{
	struct counts start, end, stat;
	int i, rounds = 41;	/* the first one brings in what all need */
	uint64_t head = 0;

	for (i = 0; i < rounds; i++) {
		if (i < 2) {
			head = ring_head(&ring);
			start = done_so_far();
		}
		touch(50);
		sleep_ms(10);
		end = done_so_far();
		stat = stat_self(fd);
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

static bool own_cpu_time(int fd)
{
	struct counts last = done_so_far(), last_stat = stat_self(fd);
	struct counts now, now_stat;
	uint64_t head = ring_head(&ring);
	long tick_us = 1000000 / sysconf(_SC_CLK_TCK);

	while (ring_head(&ring) < head + 6) {
		now_stat = stat_self(fd);
		now = done_so_far();
		/* User and system time are rounded down, each by itself. */
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

/* _exit(1) is for what failed: 2 and 3 say whose numbers were wrong. */
static void looking_at_itself(int nr)
{
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	(void)nr;
	enter();
	if (!own_faults(fd))
		_exit(2);
	if (!own_cpu_time(fd))
		_exit(3);
}

static void own_numbers(void)
{
	int status;

	start(1, looking_at_itself);
	if (waitpid(pids[0], &status, 0) < 0)
		err(1, "waitpid");
	wait_idle(&ring);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	ok(status == 0 || status == 3,
	   "a process's own fault counts are untouched by being profiled");
	ok(status == 0,
	   "a process's own CPU time is untouched by being profiled");
}

/* ---- CPU time ---- */

static void spin_us(long us)
{
	long start = done_so_far().cpu_us;

	while (done_so_far().cpu_us - start < us)
		;
}

static void *spin_in_thread(void *arg)
{
	spin_us(1000000);
	return arg;
}

/* Half of it in the leader, half in a thread that is gone at the end. */
static void spinning(int nr)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(nr, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
	/*
	 * Having slept, it has no CPU time that the scheduler has yet to add.
	 * So long, that it would show if this time were taken for a sample's.
	 */
	sleep_ms(1000);
	enter();
	spawn_all(1, spin_in_thread);
	join_all(1);
	spin_us(1000000);
}

/*
 * A sample's percentage stands for that part of the time since the sample
 * before. It is rounded to half a percent, and the time is known to two clock
 * ticks: one for each of its ends.
 */
static bool cpu_time_agrees(int nr, unsigned long *peak)
{
	double tick_ns = 1e9 / ring.header->hz, sum = 0, error = 0, ns;
	uint64_t i, before, begin, head;
	struct counts due;
	bool good;

	*peak = 0;
	start(nr, spinning);
	good = reap(nr, &due);
	wait_idle(&ring);
	head = ring_head(&ring);
	begin = slots[0].start_ns;
	if (nr > 1 && slots[1].start_ns < begin)
		begin = slots[1].start_ns;
	before = ring.header->base_jiffies +
		 (begin - ring.header->base_ns) / tick_ns;
	for (i = from; i < head; i++) {
		volatile struct mp3_sample *s = &ring.samples[i % MP3_SAMPLES];

		ns = (s->jiffies - before) * tick_ns;
		if (ns < ring.header->interval_ns)
			ns = ring.header->interval_ns;
		sum += s->cpu_percent * ns / 100;
		error += ns / 200 + s->cpu_percent * 2 * tick_ns / 100;
		if (s->cpu_percent > *peak)
			*peak = s->cpu_percent;
		before = s->jiffies;
	}
	diag("CPU time: samples %.0f ms, wait4 %.0f ms, rounding %.0f ms, peak %lu %%",
	     sum / 1e6, due.cpu_us / 1e3, error / 1e6, *peak);

	return good && sum - error <= due.cpu_us * 1e3 &&
	       sum + error >= due.cpu_us * 1e3;
}

static void cpu_time(void)
{
	static const char name[] = "two processes on two CPUs make over 100 percent";
	bool good = false;
	unsigned long peak;
	int try;

	/* Long enough for the rounding to be small beside it. */
	set_interval("500");
	/* Not so lucky is who loses a CPU while the clock's interrupt waits. */
	for (try = 0; !good && try < 3; try++)
		good = cpu_time_agrees(1, &peak);
	ok(good, "wait4 and the samples agree: CPU time, but for rounding");

	if (cpus < 2) {
		skip(name, "one CPU");
	} else {
		good = false;
		for (try = 0; !good && try < 3; try++)
			good = cpu_time_agrees(2, &peak) && peak > 100;
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
	slots = mmap(NULL, MAX_PROCESSES * sizeof(*slots),
		     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (slots == MAP_FAILED)
		err(1, "mmap");

	if (argc > 1) {
		random_mixes(strtoul(argv[1], NULL, 10),
			     argc > 2 ? atoi(argv[2]) : 1);
		return done();
	}

	agreement("one thread", 1, single, 1000);
	agreement("8 threads at once", 1, threaded, 8 * 500);
	agreement("200 short-lived threads", 1, short_lived, 200 * 3);
	agreement("the leader exits first", 1, leader_first, 4 * 16);
	agreement("the leader executes a program", 1, exec_leader,
		  200 + EXEC_PAGES);
	agreement("another thread executes a program", 1, exec_thread,
		  EXEC_PAGES);
	agreement("SIGKILL amid faults of 5 threads", 1, killed, 16);
	agreement("unregistered on the way", 1, unregistered, 500);
	agreement("unregistered while threads are alive", 1, threads_alive,
		  4 * 300);
	agreement("registered again", 1, registered_again, 500 + 300);
	agreement("8 processes of all these kinds at once", 8, all_kinds, 5000);
	looked_at_while_ending();
	child_not_counted();
	reaped_between_ticks();
	major_faults();

	load(true);
	agreement("8 threads at once, all CPUs busy", 1, threaded, 8 * 500);
	agreement("200 short-lived threads, all CPUs busy", 1, short_lived,
		  200 * 3);
	agreement("8 processes of all kinds, all CPUs busy", 8, all_kinds, 5000);
	load(false);

	random_mixes(first, MIXES);
	own_numbers();
	cpu_time();

	return done();
}
