// SPDX-License-Identifier: GPL-2.0
/*
 * Forks as fast as they go: nobody is dropped, and each is counted, whether
 * ticks come often or not at all.
 */
#include "tree.h"

#define SECONDS	3	/* at least */
#define REFILL	6000	/* forks that take more than the reserve's 4096 entries */
#define FORKERS	4

static bool *over;

static bool is_over(void)
{
	return __atomic_load_n(over, __ATOMIC_ACQUIRE);
}

/* The cheapest child there is: it does nothing, in its parent's memory. */
static void by_vfork(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	if (pid < 0)
		err(1, "vfork");
	waitpid(pid, NULL, 0);
}

static void by_fork(void)
{
	pid_t pid = fork_child();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static unsigned long *nr_forks;	/* of all forkers */

static unsigned long forks_so_far(void)
{
	return __atomic_load_n(nr_forks, __ATOMIC_RELAXED);
}

static void *fork_on(void *arg)
{
	void (*fork_one)(void) = arg;

	while (!is_over()) {
		fork_one();
		__atomic_add_fetch(nr_forks, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Half of them are threads of one process, for whom one lock is not enough. */
static void fork_with_thread(void (*fork_one)(void))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fork_on, fork_one))
		errx(1, "pthread_create");
	fork_on(fork_one);
	pthread_join(thread, NULL);
	_exit(0);
}

/* Each of the forks has one record or more: the first and the last of it. */
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
		*min_flt += record.min_flt;
	}
}

/* For some seconds, and until there were so many or it has been two minutes. */
static void run(const char *name, const char *params, void (*fork_one)(void),
		unsigned long least)
{
	unsigned long forks, first, last;
	struct rusage usage;
	long due = 0, min_flt;
	struct totals sum;
	pid_t pids[FORKERS];
	time_t begin;
	int i;

	reload(params);
	*over = false;
	*nr_forks = 0;
	fflush(stdout);
	for (i = 0; i < FORKERS; i++) {
		pids[i] = fork_child();
		if (!pids[i]) {
			/* Its faults so far are no matter: it is all or none. */
			command('F', getpid());
			fork_with_thread(fork_one);
		}
	}
	begin = time(NULL);
	do {
		sleep(SECONDS);
	} while (forks_so_far() < least && time(NULL) - begin < 120);
	__atomic_store_n(over, true, __ATOMIC_RELEASE);
	for (i = 0; i < FORKERS; i++) {
		wait4(pids[i], NULL, 0, &usage);
		due += usage.ru_minflt;
	}
	forks = forks_so_far();
	/* Where ticks are rare, the last of them is still to come. */
	set_interval("50");
	wait_idle(&ring);
	if (procs_head() > procs.capacity - 2)
		errx(1, "the ring of records has lapped");
	count_records(&first, &last, &min_flt);
	sum = ring_sum(&ring, 0);
	diag("%s: %lu forks", name, forks);
	ok(!ring.header->dropped && !procs.header->dropped,
	   "%s: nobody is dropped", name);
	if (!ok(first == forks + FORKERS && last == first && forks,
		"%s: each has its first and its last record", name))
		diag("%lu first, %lu last, %llu dropped", first, last,
		     (unsigned long long)procs.header->dropped);
	/* All but what the forkers had done before they were followed. */
	if (!ok((unsigned long)min_flt == sum.min_flt && min_flt <= due &&
		min_flt + FORKERS * 200 >= due,
		"%s: and its faults", name))
		diag("samples %lu, records %ld, wait4 %ld", sum.min_flt,
		     min_flt, due);
}

/* ---- Faster than entries can be had ---- */

/* Forks as many as it is told to, and says when that is done. */
static void __attribute__((noreturn)) fork_when_told(int from, int to)
{
	int nr;

	while (read(from, &nr, sizeof(nr)) == sizeof(nr)) {
		while (nr--)
			by_vfork();
		if (write(to, "", 1) != 1)
			break;
	}
	_exit(0);
}

/* Its second allocation is one for the reserve: the file is open before. */
static void __attribute__((noreturn)) follow_when_told(int from)
{
	int fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	char line[20], byte;
	int len = snprintf(line, sizeof(line), "F,%d", getpid());

	if (read(from, &byte, 1) != 1 || write(fd, line, len) >= 0 ||
	    errno != ENOMEM)
		warn("F that fails");
	_exit(0);
}

/* Has it fork: how many milliseconds that took. */
static long fork_some(int nr, int to, int from)
{
	struct timespec begin, end;
	char byte;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	if (write(to, &nr, sizeof(nr)) < 0 || read(from, &byte, 1) != 1)
		err(1, "pipe");
	clock_gettime(CLOCK_MONOTONIC, &end);

	return (end.tv_sec - begin.tv_sec) * 1000 +
	       (end.tv_nsec - begin.tv_nsec) / 1000000;
}

/*
 * Who follows others fills up the reserve of entries, and nobody else can
 * meanwhile; if that takes long, forks come to the end of the reserve.
 */
static void run_out(void)
{
	static const char name[] = "who finds no entry left is counted as dropped";
	/* The reserve has 4096 entries, and is filled up from half of it on. */
	const int some = 500, many = 5000;
	unsigned long first, last, dropped;
	int order[2], answer[2], go[2];
	pid_t forker, follower;
	long min_flt, ms;
	bool delayed;

	reload("records=1000000");
	if (pipe2(order, O_CLOEXEC) || pipe2(answer, O_CLOEXEC) ||
	    pipe2(go, O_CLOEXEC))
		err(1, "pipe");
	fflush(stdout);
	forker = fork_child();
	if (!forker)
		fork_when_told(order[0], answer[1]);
	follower = fork_child();
	if (!follower)
		follow_when_told(go[0]);
	command_or_die('F', forker);
	ms = fork_some(some, order[1], answer[0]);
	delayed = fail_allocation(follower, 2, 1000 + 2 * ms * many / some);
	if (write(go[1], "", 1) != 1)
		err(1, "pipe");
	sleep_ms(300);
	fork_some(many, order[1], answer[0]);
	waitpid(follower, NULL, 0);
	kill_and_reap(forker);
	if (!delayed) {
		skip(name, "no kprobes");
		return;
	}
	wait_idle(&ring);
	count_records(&first, &last, &min_flt);
	dropped = procs.header->dropped;
	if (!ok(dropped && first + dropped == (unsigned long)some + many + 1 &&
		first == last && ring.header->dropped == dropped, "%s", name))
		diag("%lu first, %lu last, %lu dropped", first, last, dropped);
	/*
	 * With the reserve full nothing passes by the probe when it is taken
	 * out: what is patched meanwhile is not safe to run in an emulator.
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
	over = shared_memory(sizeof(*over));
	nr_forks = shared_memory(sizeof(*nr_forks));

	run("vfork", "records=1000000", by_vfork, REFILL);
	run("fork", "records=1000000", by_fork, 1);
	run("vfork without ticks", "records=1000000 interval_ms=10000",
	    by_vfork, REFILL);
	run_out();
	reload("");

	return done();
}
