// SPDX-License-Identifier: GPL-2.0
/*
 * Many processes, and reused pids: 10,000 processes are registered, followed,
 * listed, sampled and removed, finding one of them takes no longer than finding
 * one of two, and a pid that is used again stands for its new process only.
 *
 * vm: -m 3072
 */
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "fail.h"
#include "process.h"

#define THREADS_PATH	"/proc/sys/kernel/threads-max"
#define LAST_PID_PATH	"/proc/sys/kernel/ns_last_pid"
#define PROCESSES	10000
#define STACK_SIZE	4096
#define PAIRS		200	/* of R and U, of which the median counts */
#define FAULTS		3	/* pages that each process touches at its end */
#define LINES		400	/* of at most 10 bytes: less than a page */

static struct ring ring;
static pid_t pids[PROCESSES];
static char *memory;		/* FAULTS pages for each process */
static size_t page;
/*
 * A futex for each process: debug kernels walk all waiters of a futex whenever
 * another one joins them.
 */
static int release[PROCESSES];
static int nr_started;

/* ---- Ten thousand processes ---- */

/*
 * The processes share their memory with this one, so that they cost no more
 * than the kernel's own data. Only their stacks and FAULTS pages are separate.
 */
static int run_process(void *arg)
{
	char *pages = memory + (uintptr_t)arg * FAULTS * page;
	int *released = &release[(uintptr_t)arg], i;

	__atomic_add_fetch(&nr_started, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(released, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, released, FUTEX_WAIT, 0, NULL);
	for (i = 0; i < FAULTS; i++)
		((volatile char *)pages)[i * page] = 1;
	syscall(SYS_exit_group, 0);
	return 0;
}

static void start_processes(void)
{
	int map = MAP_PRIVATE | MAP_ANONYMOUS;
	char *stacks = mmap(NULL, PROCESSES * STACK_SIZE,
			    PROT_READ | PROT_WRITE, map, -1, 0);
	uintptr_t i;

	/* Bind the function now: lazy binding needs more than STACK_SIZE. */
	syscall(SYS_futex, release, FUTEX_WAKE, 0);
	/* The kernel's default limit depends on the size of its memory. */
	write_file(THREADS_PATH, "20000");
	memory = mmap(NULL, PROCESSES * FAULTS * page, PROT_READ | PROT_WRITE,
		      map, -1, 0);
	if (stacks == MAP_FAILED || memory == MAP_FAILED)
		err(1, "mmap");
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = clone(run_process, stacks + (i + 1) * STACK_SIZE,
				CLONE_VM | SIGCHLD, (void *)i);
		if (pids[i] < 0)
			err(1, "clone of process %lu of %d", i, PROCESSES);
	}
	for (i = 0;
	     __atomic_load_n(&nr_started, __ATOMIC_SEQ_CST) < PROCESSES; i++) {
		if (i == 6000)
			errx(1, "only %d of %d processes run after a minute",
			     nr_started, PROCESSES);
		sleep_ms(10);
	}
}

/* Waits for a process, and adds what it has used to @usage. */
static void reap_counted(pid_t pid, struct usage *usage)
{
	struct rusage rusage;
	int status;

	if (wait4(pid, &status, 0, &rusage) < 0 || status)
		errx(1, "process %d failed", pid);
	usage_add(usage, usage_of(&rusage), 1);
}

/* Ends all processes, and adds up what they have used. */
static void end_processes(struct usage *usage)
{
	int i;

	for (i = 0; i < PROCESSES; i++) {
		__atomic_store_n(&release[i], 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &release[i], FUTEX_WAKE, 1);
	}
	for (i = 0; i < PROCESSES; i++)
		reap_counted(pids[i], usage);
}

/* Subtracts the faults that a process takes before it is registered. */
static void subtract_base(pid_t pid, struct usage *usage)
{
	struct stat_line stat;

	if (!stat_of(pid, &stat))
		errx(1, "/proc/%d/stat", pid);
	usage->min_flt -= stat.flt[0];
	usage->maj_flt -= stat.flt[2];
}

/* Checks that the samples from @from on add up to the faults from wait4(2). */
static void ok_samples(uint64_t from, const struct usage *usage, long least,
		       const char *name)
{
	struct totals sum = ring_sum(&ring, from);

	if (!ok(sum.min_flt == (unsigned long)usage->min_flt &&
		sum.maj_flt == (unsigned long)usage->maj_flt &&
		usage->min_flt >= least, "%s", name))
		diag("minor faults: samples %lu, wait4 %ld; major: %lu and %ld",
		     sum.min_flt, usage->min_flt, sum.maj_flt, usage->maj_flt);
}

/* Gives a command for each process, LINES of them in one write(2). */
static void command_all(char letter)
{
	char text[LINES * 10 + 1];
	size_t size = 0;
	int i;

	for (i = 0; i < PROCESSES; i++) {
		size += snprintf(text + size, sizeof(text) - size, "%c,%d\n",
				 letter, pids[i]);
		if ((i + 1) % LINES && i + 1 < PROCESSES)
			continue;
		if (status_write(text, size) != (int)size)
			errx(1, "%c of %d processes failed", letter, PROCESSES);
		size = 0;
	}
}

static int compare_pids(const void *a, const void *b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

/* Returns whether exactly the first @nr of the sorted @want are listed. */
static bool lists(const pid_t *want, int nr)
{
	static pid_t found[PROCESSES + 1];
	char *text = status_text(), *line;
	bool same = true;
	int i, count = 0;

	for (line = text; *line && count <= nr; line = strchr(line, '\n') + 1)
		found[count++] = atoi(line);
	free(text);
	qsort(found, count, sizeof(*found), compare_pids);
	for (i = 0; i < nr && i < count; i++)
		same = same && found[i] == want[i];
	if (same && count == nr)
		return true;

	diag("%d are listed, want %d", count, nr);
	return false;
}

static int compare_ns(const void *a, const void *b)
{
	const long *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* Returns the median CPU time for R and U of this process. */
static long pair_ns(void)
{
	static long took[PAIRS];
	struct timespec start, end;
	int i;

	for (i = 0; i < PAIRS; i++) {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
		command_or_die('R', getpid());
		command_or_die('U', getpid());
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
		took[i] = (end.tv_sec - start.tv_sec) * 1000000000 +
			  end.tv_nsec - start.tv_nsec;
	}
	qsort(took, PAIRS, sizeof(*took), compare_ns);

	return took[PAIRS / 2];
}

/* Returns the number of dropped children, as of a tick from now. */
static uint64_t dropped_at_tick(void)
{
	uint64_t head = ring_head(&ring);

	write_file(INTERVAL_PATH, "50");
	while (ring_head(&ring) == head)
		sleep_ms(10);
	write_file(INTERVAL_PATH, "10000");

	return ring.header->dropped;
}

/*
 * All processes are children of this one: more than F has preallocated entries
 * for. If these cannot be replaced, the children left out are counted as
 * dropped, and the next F finds them again.
 */
static void test_follow(void)
{
	const char *name = "F counts the children that it has no memory for";
	unsigned long nr_dropped;

	/* Fail an allocation in the middle of the second refill. */
	if (!fail_reserve(5000, 0)) {
		skip(name, "no kprobes");
	} else {
		command_or_die('F', getpid());
		nr_dropped = dropped_at_tick();
		if (!ok(nr_dropped && ring.header->processes + nr_dropped ==
			PROCESSES + 1, "%s", name))
			diag("%u registered, %lu dropped",
			     ring.header->processes, nr_dropped);
		command_or_die('U', getpid());
		fail_unload();
	}
	command_or_die('F', getpid());
	command_or_die('U', getpid());
	ok(lists(pids, PROCESSES), "F takes 10,000 children at once");
}

/* The kernel charges pages in batches of up to 64, but counts objects as they are. */
static long cgroup_bytes(void)
{
	FILE *file = fopen(CGROUP "/memory.stat", "re");
	char line[80];
	long bytes = -1;

	while (file && bytes < 0 && fgets(line, sizeof(line), file))
		sscanf(line, "slab_unreclaimable %ld", &bytes);
	if (bytes < 0)
		err(1, CGROUP "/memory.stat");
	fclose(file);

	return bytes;
}

/* Registers all processes from a child in a cgroup: at least 100 bytes each. */
static void register_from_cgroup(void)
{
	int status;
	pid_t pid;

	make_cgroup();
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		long before;

		enter_cgroup();
		before = cgroup_bytes();
		command_all('R');
		_exit(cgroup_bytes() - before < PROCESSES * 100L);
	}
	waitpid(pid, &status, 0);
	ok_eq(status, 0,
	      "10,000 registrations are charged to the caller's cgroup");
	rmdir(CGROUP);
}

static void test_ten_thousand(void)
{
	struct usage usage = { 0 };
	long few_ns, many_ns;
	uint64_t from;
	int i;

	start_processes();
	/* A tick in between would take the lock, and so CPU time. */
	write_file(INTERVAL_PATH, "10000");
	command_or_die('R', pids[0]);
	few_ns = pair_ns();
	command_or_die('U', pids[0]);

	from = ring_head(&ring);
	register_from_cgroup();
	ok_eq(ring.header->processes, PROCESSES,
	      "10,000 processes are registered");
	qsort(pids, PROCESSES, sizeof(*pids), compare_pids);
	ok(lists(pids, PROCESSES), "each of 10,000 processes is listed once");

	many_ns = pair_ns();
	diag("R and U: %ld ns next to 1 process, %ld ns among 10,000 (%.2f)",
	     few_ns, many_ns, (double)many_ns / few_ns);
	ok(many_ns < 4 * few_ns,
	   "R and U take less than 4 times as long among 10,000 processes");

	command_or_die('U', pids[PROCESSES - 1]);
	ok(lists(pids, PROCESSES - 1),
	   "U of one of 10,000 processes unregisters only this one");
	command_or_die('R', pids[PROCESSES - 1]);
	ok(lists(pids, PROCESSES),
	   "one of 10,000 processes is listed again after R");

	command_all('U');
	test_follow();
	/* What this process did while it was followed is not to be counted. */
	dropped_at_tick();
	from = ring_head(&ring);
	for (i = 0; i < PROCESSES; i++)
		subtract_base(pids[i], &usage);
	write_file(INTERVAL_PATH, "50");
	end_processes(&usage);
	wait_idle(&ring);
	ok(lists(pids, 0),
	   "10,000 processes that exit at once are all unregistered");
	ok_samples(from, &usage, PROCESSES * FAULTS,
		   "the samples equal wait4 for 10,000 processes");
}

/* ---- A reused pid ---- */

/* Forks a child that touches 100 pages and exits once @release_fd is closed. */
static pid_t waiting_child(int *release_fd)
{
	char *area = mmap(NULL, 100 * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ends[2], i;
	pid_t pid;
	char byte;

	if (area == MAP_FAILED || pipe(ends))
		err(1, "mmap or pipe");
	pid = fork_child();
	if (!pid) {
		close(ends[1]);
		if (read(ends[0], &byte, 1))
			_exit(1);
		for (i = 0; i < 100; i++)
			((volatile char *)area)[i * page] = 1;
		_exit(0);
	}
	close(ends[0]);
	munmap(area, 100 * page);
	*release_fd = ends[1];

	return pid;
}

/* Waits until a child sleeps in read(2), so that it takes no more faults. */
static void wait_until_reading(pid_t pid)
{
	char path[32];
	FILE *file;
	int i, nr;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	for (i = 0; i < 6000; i++) {
		file = fopen(path, "re");
		if (!file)
			err(1, "%s", path);
		/* A running process has "running" in place of the number. */
		if (fscanf(file, "%d", &nr) != 1)
			nr = -1;
		fclose(file);
		if (nr == SYS_read)
			return;
		sleep_ms(10);
	}
	errx(1, "child %d does not wait", pid);
}

static void end_child(pid_t pid, int release_fd, struct usage *usage)
{
	close(release_fd);
	reap_counted(pid, usage);
}

/* Forks until a child gets @want: other processes may take that pid first. */
static pid_t child_with_pid(pid_t want, int *release_fd)
{
	struct usage ignored = { 0 };
	char text[16];
	pid_t pid;
	int try;

	snprintf(text, sizeof(text), "%d", want - 1);
	for (try = 0; try < 100; try++) {
		write_file(LAST_PID_PATH, text);
		pid = waiting_child(release_fd);
		if (pid == want)
			return pid;
		end_child(pid, *release_fd, &ignored);
	}
	errx(1, "pid %d was not assigned again in 100 attempts", want);
}

/* Returns false if this took 10 s, so that a tick came in between. */
static bool run_pid_reuse(void)
{
	struct usage usage = { 0 }, ignored = { 0 };
	bool unknown, registered, unregistered, undisturbed;
	uint64_t from;
	int release_fd;
	pid_t pid;

	write_file(INTERVAL_PATH, "10000");
	from = ring_head(&ring);
	pid = waiting_child(&release_fd);
	wait_until_reading(pid);
	subtract_base(pid, &usage);
	command_or_die('R', pid);
	end_child(pid, release_fd, &usage);

	child_with_pid(pid, &release_fd);
	wait_until_reading(pid);
	unknown = listed(pid) == 0 && command('U', pid) == -ESRCH &&
		  ring.header->processes == 1;
	registered = command('R', pid) == 0 && listed(pid) == 1 &&
		     command('R', pid) == -EEXIST &&
		     ring.header->processes == 2;
	unregistered = command('U', pid) == 0 && listed(pid) == 0 &&
		       ring.header->processes == 1;
	undisturbed = ring_head(&ring) == from;
	write_file(INTERVAL_PATH, "50");
	wait_idle(&ring);
	end_child(pid, release_fd, &ignored);
	if (!undisturbed)
		return false;

	ok(unknown, "a new process with a reused pid is not registered");
	ok(registered, "a new process with a reused pid can be registered");
	ok(unregistered, "U of a reused pid unregisters the new process only");
	ok_samples(from, &usage, 100,
		   "the samples equal wait4 for a process whose pid is reused");
	return true;
}

static void test_pid_reuse(void)
{
	while (!run_pid_reuse())
		diag("a tick came in between: try again");
}

int main(void)
{
	/*
	 * One fault per page: no huge pages, which khugepaged could make, too.
	 */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	page = sysconf(_SC_PAGESIZE);
	ring = ring_open();

	if (access(LAST_PID_PATH, W_OK))
		skip("a reused pid stands for its new process only",
		     "the kernel has no ns_last_pid");
	else
		test_pid_reuse();
	test_ten_thousand();

	return done();
}
