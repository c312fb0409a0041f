// SPDX-License-Identifier: GPL-2.0
/*
 * Forks as fast as possible: no child is dropped and each is counted, whether ticks
 * are frequent or there are none. Then the reserve of entries for the fork probe is
 * kept from being refilled: the children that find it empty count as dropped.
 */
#include "tree.h"

#define SECONDS		3	/* at least */
#define MIN_FORKS	6000	/* more than the 4096 entries of the reserve */
#define FORKERS		4

static bool *stopped;

static bool is_stopped(void)
{
	return __atomic_load_n(stopped, __ATOMIC_ACQUIRE);
}

/* The cheapest child: it exits at once, in its parent's memory. */
static void vfork_once(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	if (pid < 0)
		err(1, "vfork");
	waitpid(pid, NULL, 0);
}

static void fork_once(void)
{
	pid_t pid = fork_child();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static unsigned long *fork_count;	/* of all forkers, shared */

static unsigned long read_fork_count(void)
{
	return __atomic_load_n(fork_count, __ATOMIC_RELAXED);
}

static void *fork_loop(void *arg)
{
	void (*fork_one)(void) = arg;

	while (!is_stopped()) {
		fork_one();
		__atomic_add_fetch(fork_count, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Fork in two threads: forks of one process can be concurrent as well. */
static void fork_in_two_threads(void (*fork_one)(void))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fork_loop, fork_one))
		errx(1, "pthread_create");
	fork_loop(fork_one);
	pthread_join(thread, NULL);
	_exit(0);
}

/* Count first and last records, and add up the faults of all. */
static void count_records(unsigned long *first, unsigned long *last,
			  long *min_flt)
{
	uint64_t i, head = procs_head();

	*first = 0;
	*last = 0;
	*min_flt = 0;
	for (i = 0; i < head; i++) {
		struct mp3_record record = record_at(i);

		*first += !!(record.flags & MP3_FIRST);
		*last += !!(record.flags & MP3_LAST);
		/* An identity record has no counts. */
		if (record.flags != MP3_IDENTITY)
			*min_flt += record.min_flt;
	}
}

/*
 * Run the forkers for some seconds, and until there were @min_forks or two minutes
 * have passed.
 */
static void test_forks(const char *name, const char *params,
		       void (*fork_one)(void), unsigned long min_forks)
{
	unsigned long forks, first, last;
	struct rusage usage;
	long expected = 0, min_flt;
	struct totals sum;
	pid_t pids[FORKERS];
	time_t begin;
	int i;

	reload(params);
	*stopped = false;
	*fork_count = 0;
	fflush(stdout);
	for (i = 0; i < FORKERS; i++) {
		pids[i] = fork_child();
		if (!pids[i]) {
			/* The few faults before F are tolerated below. */
			command('F', getpid());
			fork_in_two_threads(fork_one);
		}
	}
	begin = time(NULL);
	do {
		sleep(SECONDS);
	} while (read_fork_count() < min_forks && time(NULL) - begin < 120);
	__atomic_store_n(stopped, true, __ATOMIC_RELEASE);
	for (i = 0; i < FORKERS; i++) {
		wait4(pids[i], NULL, 0, &usage);
		expected += usage.ru_minflt;
	}
	forks = read_fork_count();
	/* If ticks are rare, the next one is far away. */
	set_interval("50");
	wait_idle(&ring);
	if (procs_head() > procs.capacity - 2)
		errx(1, "the ring of records has lapped");
	count_records(&first, &last, &min_flt);
	sum = ring_sum(&ring, 0);
	diag("%s: %lu forks", name, forks);
	ok(!ring.header->dropped && !procs.header->dropped,
	   "no child is dropped during %s", name);
	if (!ok(first == forks + FORKERS && last == first && forks,
		"each child has a first and a last record during %s", name))
		diag("%lu first, %lu last, %llu dropped", first, last,
		     (unsigned long long)procs.header->dropped);
	/* wait4 includes what the forkers had used before they were followed. */
	if (!ok((unsigned long)min_flt == sum.min_flt && min_flt <= expected &&
		min_flt + FORKERS * 200 >= expected,
		"samples and records have the same faults during %s", name))
		diag("samples %lu, records %ld, wait4 %ld", sum.min_flt,
		     min_flt, expected);
}

/* ---- An empty reserve ---- */

/* Fork as many children as requested, and answer when that is done. */
static void __attribute__((noreturn)) forker_main(int from, int to)
{
	int nr;

	while (read(from, &nr, sizeof(nr)) == sizeof(nr)) {
		while (nr--)
			vfork_once();
		if (write(to, "", 1) != 1)
			break;
	}
	_exit(0);
}

/* Its second allocation is for the reserve: the status file is open before. */
static void __attribute__((noreturn)) follower_main(int from)
{
	int fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	char byte;

	if (read(from, &byte, 1) != 1 ||
	    command_by_fd(fd, 'F', getpid()) != -ENOMEM)
		warnx("F did not fail with ENOMEM");
	_exit(0);
}

/* Have the forker fork. Returns how many milliseconds that took. */
static long time_forks(int nr, int to, int from)
{
	uint64_t begin = now_ns();
	char byte;

	if (write(to, &nr, sizeof(nr)) < 0 || read(from, &byte, 1) != 1)
		err(1, "pipe");

	return (now_ns() - begin) / 1000000;
}

/*
 * F fills the reserve under a lock that a refill needs as well. An allocation of F
 * sleeps with the lock held, so that forks use up the reserve.
 */
static void test_reserve_exhausted(void)
{
	static const char name[] =
		"a child that finds the reserve empty is counted as dropped";
	/* The reserve has 4096 entries, and is refilled below half of them. */
	const int nr_warmup = 500, nr_forks = 5000;
	unsigned long first, last, dropped;
	int requests[2], answers[2], go[2];
	pid_t forker, follower;
	long min_flt, ms;
	bool delayed;

	reload("records=1000000");
	if (pipe2(requests, O_CLOEXEC) || pipe2(answers, O_CLOEXEC) ||
	    pipe2(go, O_CLOEXEC))
		err(1, "pipe");
	fflush(stdout);
	forker = fork_child();
	if (!forker)
		forker_main(requests[0], answers[1]);
	follower = fork_child();
	if (!follower)
		follower_main(go[0]);
	command_or_die('F', forker);
	ms = time_forks(nr_warmup, requests[1], answers[0]);
	delayed = fail_reserve(1, 1000 + 2 * ms * nr_forks / nr_warmup);
	if (write(go[1], "", 1) != 1)
		err(1, "pipe");
	sleep_ms(300);
	time_forks(nr_forks, requests[1], answers[0]);
	waitpid(follower, NULL, 0);
	kill_and_reap(forker);
	if (!delayed) {
		skip(name, "no kprobes");
		return;
	}
	wait_idle(&ring);
	count_records(&first, &last, &min_flt);
	dropped = procs.header->dropped;
	if (!ok(dropped && first == last &&
		first + dropped == (unsigned long)nr_warmup + nr_forks + 1 &&
		ring.header->dropped == dropped, "%s", name))
		diag("%lu first, %lu last, %lu dropped", first, last, dropped);
	/*
	 * Fill the reserve first: no refill may run the probed function while the
	 * probe is removed, since patching running code is not safe in an emulator.
	 */
	command_or_die('F', getpid());
	command_or_die('U', getpid());
	fail_unload();
}

int main(void)
{
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	write_file(PID_MAX_PATH, "4194304");
	open_rings();
	stopped = shared_memory(sizeof(*stopped));
	fork_count = shared_memory(sizeof(*fork_count));

	test_forks("vforks", "records=1000000", vfork_once, MIN_FORKS);
	test_forks("forks", "records=1000000", fork_once, 1);
	test_forks("vforks without ticks", "records=1000000 interval_ms=10000",
		   vfork_once, MIN_FORKS);
	test_reserve_exhausted();
	reload("");

	return done();
}
