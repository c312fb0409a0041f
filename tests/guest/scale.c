// SPDX-License-Identifier: GPL-2.0
/*
 * Many processes, and numbers that come again: ten thousand are registered,
 * followed, listed, collected and swept, one of them is found as fast as one
 * alone, and a pid that is given away again stands for its new process only.
 *
 * vm: -m 2048
 */
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "fail.h"
#include "test.h"

#define THREADS_PATH	"/proc/sys/kernel/threads-max"
#define LAST_PID_PATH	"/proc/sys/kernel/ns_last_pid"
#define PROCESSES	10000
#define STACK_SIZE	4096
#define PAIRS		200
#define FAULTS		3	/* pages that each of them touches at its end */
#define LINES		400	/* of at most 10 bytes: less than a page */

static struct ring ring;
static pid_t pids[PROCESSES];
static char *memory;		/* FAULTS pages for each */
static size_t page;
/* One futex each: debug kernels walk all who wait for one, for each more. */
static int go[PROCESSES];
static int arrived;

/* ---- Ten thousand processes ---- */

/*
 * They share all memory with this one, so that they take no more than the
 * kernel needs for a process: of their own they have a stack and their faults.
 */
static int process(void *arg)
{
	char *pages = memory + (uintptr_t)arg * FAULTS * page;
	int *mine = &go[(uintptr_t)arg], i;

	__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(mine, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, mine, FUTEX_WAIT, 0, NULL);
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

	/* The first call of a function links it, on more stack than they have. */
	syscall(SYS_futex, go, FUTEX_WAKE, 0);
	/* The kernel's own limit follows from the memory there is. */
	write_file(THREADS_PATH, "20000");
	memory = mmap(NULL, PROCESSES * FAULTS * page, PROT_READ | PROT_WRITE,
		      map, -1, 0);
	if (stacks == MAP_FAILED || memory == MAP_FAILED)
		err(1, "mmap");
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = clone(process, stacks + (i + 1) * STACK_SIZE,
				CLONE_VM | SIGCHLD, (void *)i);
		if (pids[i] < 0)
			err(1, "process %lu of %d: more memory?", i, PROCESSES);
	}
	for (i = 0; __atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < PROCESSES; i++) {
		if (i == 6000)
			errx(1, "%d of %d processes run after a minute", arrived,
			     PROCESSES);
		sleep_ms(10);
	}
}

/* Waits for all of them; returns what they have done in all. */
static void end_processes(long *min_flt, long *maj_flt)
{
	struct rusage usage;
	int i, status;

	for (i = 0; i < PROCESSES; i++) {
		__atomic_store_n(&go[i], 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &go[i], FUTEX_WAKE, 1);
	}
	for (i = 0; i < PROCESSES; i++) {
		if (wait4(pids[i], &status, 0, &usage) < 0)
			err(1, "wait4");
		*min_flt += usage.ru_minflt;
		*maj_flt += usage.ru_majflt;
	}
}

/* What a process that does nothing now has done so far. */
static void count_so_far(pid_t pid, long *min_flt, long *maj_flt)
{
	char path[32], text[512], *fields;
	long minor, major;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (size < 0)
		err(1, "%s", path);
	close(fd);
	text[size] = '\0';
	fields = strrchr(text, ')');
	if (!fields || sscanf(fields + 1, " %*c %*d %*d %*d %*d %*d %*u %ld %*u %ld",
			      &minor, &major) != 2)
		errx(1, "%s", path);
	*min_flt += minor;
	*maj_flt += major;
}

/* Many lines a write, as one who has many would do it. */
static void give_all(char letter)
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
			errx(1, "%c: not all of %d processes", letter, PROCESSES);
		size = 0;
	}
}

static int compare_pids(const void *a, const void *b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

/* Exactly the @nr pids of the sorted @want are listed, each of them once. */
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

	diag("%d listed, %d wanted", count, nr);
	return false;
}

static int compare_ns(const void *a, const void *b)
{
	const long *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* CPU time of this thread for R and U of this process, in the median. */
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

/* As of a tick from now. */
static uint64_t dropped(void)
{
	uint64_t head = ring_head(&ring);

	write_file(INTERVAL_PATH, "50");
	while (ring_head(&ring) == head)
		sleep_ms(10);
	write_file(INTERVAL_PATH, "10000");

	return ring.header->dropped;
}

/*
 * All are this one's children: more than there is a reserve for. Where it cannot
 * be filled up, who is left out is counted; and in the end nobody is.
 */
static void follow_all(void)
{
	unsigned long left_out;

	/* One amid the second filling. */
	if (!fail_allocation(getpid(), 5000, 0)) {
		skip("followed or dropped, where there is no memory",
		     "no kprobes");
	} else {
		command_or_die('F', getpid());
		left_out = dropped();
		if (!ok(left_out && ring.header->processes + left_out ==
			PROCESSES + 1,
			"followed or dropped, where there is no memory"))
			diag("%u are registered, %lu dropped",
			     ring.header->processes, left_out);
		command_or_die('U', getpid());
		fail_unload();
	}
	/* Those who were left out are found again. */
	command_or_die('F', getpid());
	command_or_die('U', getpid());
	ok(lists(pids, PROCESSES), "F takes 10,000 children at once");
}

static long charged(void)
{
	FILE *file = fopen(CGROUP "/memory.current", "re");
	long bytes;

	if (!file || fscanf(file, "%ld", &bytes) != 1)
		err(1, CGROUP "/memory.current");
	fclose(file);

	return bytes;
}

/* Has all registered by a child, which pays for it: 100 bytes each or more. */
static void register_charged(void)
{
	int status;
	pid_t pid;

	make_cgroup();
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		long before;

		enter_cgroup();
		before = charged();
		give_all('R');
		_exit(charged() - before < PROCESSES * 100L);
	}
	waitpid(pid, &status, 0);
	ok_eq(status, 0, "10,000 registrations are charged to who asked for them");
	rmdir(CGROUP);
}

static void ten_thousand(void)
{
	long min_flt = 0, maj_flt = 0, alone, among;
	struct totals sum;
	uint64_t from;
	int i;

	start_processes();
	/* No tick is to take the lock, and so CPU time, in between. */
	write_file(INTERVAL_PATH, "10000");
	command_or_die('R', pids[0]);
	alone = pair_ns();
	command_or_die('U', pids[0]);

	from = ring_head(&ring);
	register_charged();
	ok_eq(ring.header->processes, PROCESSES, "10,000 processes are registered");
	qsort(pids, PROCESSES, sizeof(*pids), compare_pids);
	ok(lists(pids, PROCESSES), "each of 10,000 is listed, and once");

	among = pair_ns();
	diag("R and U of a process: %ld ns beside one other, %ld ns beside 10,000: %.2f times",
	     alone, among, (double)among / alone);
	ok(among < 4 * alone,
	   "R and U take the same time beside 10,000 as beside one, but for a factor of 4");

	command_or_die('U', pids[PROCESSES - 1]);
	ok(lists(pids, PROCESSES - 1), "one of 10,000 is unregistered, and no other");
	command_or_die('R', pids[PROCESSES - 1]);
	ok(lists(pids, PROCESSES), "and it is listed when registered again");

	give_all('U');
	follow_all();
	/* What this one did meanwhile is none of theirs. */
	dropped();
	from = ring_head(&ring);
	for (i = 0; i < PROCESSES; i++)
		count_so_far(pids[i], &min_flt, &maj_flt);
	/* What they have done so far is their base. */
	min_flt = -min_flt;
	maj_flt = -maj_flt;
	write_file(INTERVAL_PATH, "50");
	end_processes(&min_flt, &maj_flt);
	wait_idle(&ring);
	ok(lists(pids, 0), "10,000 that have ended at once are swept");
	sum = ring_sum(&ring, from);
	if (!ok(sum.min_flt == (unsigned long)min_flt &&
		sum.maj_flt == (unsigned long)maj_flt &&
		min_flt >= PROCESSES * FAULTS,
		"wait4 and the samples agree: 10,000 processes"))
		diag("minor faults: samples %lu, wait4 %ld; major: %lu and %ld",
		     sum.min_flt, min_flt, sum.maj_flt, maj_flt);
}

/* ---- A pid given away again ---- */

/* A child that touches some pages when it is told to, and ends. */
static pid_t waiting_child(int *tell)
{
	char *area = mmap(NULL, 100 * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ends[2], i;
	pid_t pid;
	char byte;

	if (area == MAP_FAILED || pipe(ends))
		err(1, "mmap or pipe");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
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
	*tell = ends[1];

	return pid;
}

/* Waits until it does nothing: what it has done so far is its base. */
static void wait_asleep(pid_t pid)
{
	char path[32], text[512], *fields;
	ssize_t size;
	int fd, i;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	for (i = 0; i < 6000; i++) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (size < 0)
			err(1, "%s", path);
		close(fd);
		text[size] = '\0';
		fields = text;
		if (strtol(fields, &fields, 10) == SYS_read && fields != text)
			return;
		sleep_ms(10);
	}
	errx(1, "the child does not wait");
}

static void end_child(pid_t pid, int tell, long *min_flt, long *maj_flt)
{
	struct rusage usage;
	int status;

	close(tell);
	if (wait4(pid, &status, 0, &usage) < 0 || status)
		errx(1, "the child failed");
	*min_flt += usage.ru_minflt;
	*maj_flt += usage.ru_majflt;
}

/* A child with the pid wanted: another one may come before it now and then. */
static pid_t child_with_pid(pid_t want, int *tell)
{
	long min_flt = 0, maj_flt = 0;
	char text[16];
	pid_t pid;
	int try;

	snprintf(text, sizeof(text), "%d", want - 1);
	for (try = 0; try < 100; try++) {
		write_file(LAST_PID_PATH, text);
		pid = waiting_child(tell);
		if (pid == want)
			return pid;
		end_child(pid, *tell, &min_flt, &maj_flt);
	}
	errx(1, "pid %d does not come again", want);
}

/* False when a tick came in between: a machine that took ten seconds for it. */
static bool pid_comes_again(void)
{
	long min_flt = 0, maj_flt = 0, ignore = 0;
	bool no_trace, registered, left, undisturbed;
	struct totals sum;
	uint64_t from;
	int tell;
	pid_t pid;

	write_file(INTERVAL_PATH, "10000");
	from = ring_head(&ring);
	pid = waiting_child(&tell);
	wait_asleep(pid);
	count_so_far(pid, &min_flt, &maj_flt);
	min_flt = -min_flt;
	maj_flt = -maj_flt;
	command_or_die('R', pid);
	end_child(pid, tell, &min_flt, &maj_flt);

	child_with_pid(pid, &tell);
	wait_asleep(pid);
	no_trace = listed(pid) == 0 && command('U', pid) == -ESRCH &&
		   ring.header->processes == 1;
	registered = command('R', pid) == 0 && listed(pid) == 1 &&
		     command('R', pid) == -EEXIST &&
		     ring.header->processes == 2;
	left = command('U', pid) == 0 && listed(pid) == 0 &&
	       ring.header->processes == 1;
	undisturbed = ring_head(&ring) == from;
	write_file(INTERVAL_PATH, "50");
	wait_idle(&ring);
	sum = ring_sum(&ring, from);
	end_child(pid, tell, &ignore, &ignore);
	if (!undisturbed)
		return false;

	ok(no_trace, "a pid of one that was registered is not listed when it comes again");
	ok(registered, "the new process of a pid is registered as any other");
	ok(left, "U of the new process takes out the new one alone");
	if (!ok(sum.min_flt == (unsigned long)min_flt &&
		sum.maj_flt == (unsigned long)maj_flt && min_flt >= 100,
		"wait4 and the samples agree: a process whose pid has come again"))
		diag("minor faults: samples %lu, wait4 %ld; major: %lu and %ld",
		     sum.min_flt, min_flt, sum.maj_flt, maj_flt);
	return true;
}

static void pid_again(void)
{
	while (!pid_comes_again())
		diag("once more, it took ten seconds");
}

int main(void)
{
	/* A fault for each page, and no thread of the kernel that moves them. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	page = sysconf(_SC_PAGESIZE);
	ring = ring_open();

	if (access(LAST_PID_PATH, W_OK))
		skip("a pid that comes again", "the kernel has no ns_last_pid");
	else
		pid_again();
	ten_thousand();

	return done();
}
