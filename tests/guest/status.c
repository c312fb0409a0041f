// SPDX-License-Identifier: GPL-2.0
/*
 * The status file: which commands it accepts, the errno of those it refuses,
 * what it lists, and that all of this holds under concurrent use.
 */
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "process.h"

#define PID_LIMIT	4194304	/* no pid is ever as high */

static long page_size;

/* Checks one part of a result, and prints it if it is wrong. */
static bool expect(long got, long want, const char *what)
{
	if (got != want)
		diag("%s: got %ld, want %ld", what, got, want);
	return got == want;
}

/* ---- Processes ---- */

static void make_zombie(pid_t pid)
{
	siginfo_t info;

	kill(pid, SIGKILL);
	if (waitid(P_PID, pid, &info, WEXITED | WNOWAIT))
		err(1, "waitid");
}

/* The thread ids of a process; the first one is the process id. */
struct threads {
	pid_t first, second;
};

static void *report_tid(void *write_end)
{
	pid_t self = gettid();

	if (write(*(int *)write_end, &self, sizeof(self)) != sizeof(self))
		_exit(1);
	for (;;)
		pause();
}

/* Starts a process of two threads, of which the first may have exited. */
static struct threads start_two_threads(bool first_exits)
{
	struct threads threads;
	pthread_t thread;
	int fds[2];

	if (pipe(fds))
		err(1, "pipe");
	threads.first = fork();
	if (!threads.first) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pthread_create(&thread, NULL, report_tid, &fds[1]))
			_exit(1);
		if (first_exits)
			syscall(SYS_exit, 0);
		for (;;)
			pause();
	}
	close(fds[1]);
	if (read(fds[0], &threads.second, sizeof(pid_t)) != sizeof(pid_t))
		errx(1, "no second thread");
	close(fds[0]);
	if (first_exits)
		wait_state(threads.first, 'Z');

	return threads;
}

/* ---- One command ---- */

/* Bytes to write: "@" stands for a pid, and "R" for the letter of a command. */
struct form {
	const char *text;
	size_t size;
};

#define FORM(text)	{ text, sizeof(text) - 1 }

static size_t fill_in(char *line, const struct form *form, char letter,
		      pid_t pid)
{
	size_t i, size = 0;

	for (i = 0; i < form->size; i++) {
		if (form->text[i] == '@')
			size += sprintf(line + size, "%d", pid);
		else
			line[size++] = form->text[i] == 'R' ? letter :
							      form->text[i];
	}
	return size;
}

static void test_well_formed(pid_t pid)
{
	static const struct form forms[] = {
		FORM("R,@"), FORM("R,@\n"), FORM("R,@\0"), FORM("R,@\n\0"),
		FORM("R @"), FORM("R @\n"), FORM("R    @"), FORM("R\t@\n"),
		FORM("R \t @"), FORM("\nR,@"), FORM("R,@\n\n\n"),
	};
	bool good = true;
	char line[100];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		size_t size = fill_in(line, &forms[i], 'R', pid);

		good &= expect(status_write(line, size), size, forms[i].text);
		good &= expect(listed(pid), 1, forms[i].text);
		size = fill_in(line, &forms[i], 'U', pid);
		good &= expect(status_write(line, size), size, forms[i].text);
		good &= expect(listed(pid), 0, forms[i].text);
	}
	ok(good, "each well-formed command is accepted whole");
}

static const struct form malformed[] = {
	FORM("R, @"), FORM("R@"), FORM("R,"), FORM("R"), FORM("R "),
	FORM("r,@"), FORM("@"), FORM(",@"), FORM(" R,@"), FORM("X,@"),
	FORM("RR,@"), FORM("R,,@"), FORM("R ,@"), FORM("R;@"),
	FORM("R\v@"), FORM("R,+@"), FORM("R,-@"), FORM("R,-1"),
	FORM("R,0"), FORM("R,00"), FORM("R,0x1"), FORM("R,@a"),
	FORM("R,@ "), FORM("R,@,"), FORM("R,@\r\n"), FORM("R,@ R,@"),
	FORM("R,2147483648"), FORM("R,4294967297"),
	FORM("R,99999999999999999999"), FORM("R,18446744073709551617"),
	FORM("\n"), FORM("\n\n\n"), FORM("\0"), FORM("\0\n\0"),
	FORM("R\n@"), FORM("R,\n@"), FORM("R,\0@"), FORM("R\0,@"),
};

static void test_malformed(pid_t pid)
{
	const struct form *form;
	bool good = true;
	char line[100];

	for (form = malformed; form < malformed + ARRAY_SIZE(malformed);
	     form++) {
		size_t size = fill_in(line, form, 'R', pid);

		good &= expect(status_write(line, size), -EINVAL, form->text);
		good &= expect(listed(pid) + listed(1), 0, form->text);
		good &= expect(command('R', pid), 0, form->text);
		size = fill_in(line, form, 'U', pid);
		good &= expect(status_write(line, size), -EINVAL, form->text);
		size = fill_in(line, form, 'F', pid);
		good &= expect(status_write(line, size), -EINVAL, form->text);
		good &= expect(command('U', pid), 0, form->text);
	}
	ok(good, "each malformed command is EINVAL and changes nothing");
	ok_eq(status_write("R", 0), 0, "a write of no bytes returns 0");
}

/* Only the file's side of F: follow.c tests what following does. */
static void test_follow(pid_t pid)
{
	struct threads threads = start_two_threads(false);
	pid_t zombie = sleeper();
	bool good = true;
	char line[64];
	int size;

	ok(command('F', pid) == 0 && command('F', pid) == -EEXIST &&
	   command('R', pid) == -EEXIST && listed(pid) == 1 &&
	   command('U', pid) == 0 && !listed(pid),
	   "F registers a process, and a second F or R is EEXIST");
	ok(command('R', pid) == 0 && command('F', pid) == 0 &&
	   listed(pid) == 1 && command('F', pid) == -EEXIST &&
	   command('U', pid) == 0 && !listed(pid),
	   "F of a process that R registered is accepted once");
	ok(command('F', threads.second) == 0 && listed(threads.first) == 1 &&
	   command('F', threads.first) == -EEXIST &&
	   command('U', threads.second) == 0,
	   "F of a thread id registers its process");
	kill_and_reap(threads.first);

	good &= expect(command('F', 2), -EINVAL, "F of a kernel thread");
	good &= expect(command('F', PID_LIMIT), -ESRCH, "F of an unused pid");
	make_zombie(zombie);
	good &= expect(command('F', zombie), -ESRCH, "F of a zombie");
	kill_and_reap(zombie);
	good &= expect(command('F', zombie), -ESRCH, "F of a reaped process");
	ok(good && !listed(pid), "F fails with the same errnos as R");

	size = sprintf(line, "F,%d\nU %d\nF\t%d\n", pid, pid, pid);
	sprintf(line + size, "F %d", pid);
	good = expect(status_write(line, strlen(line)), size, "F, U, F and F");
	ok(good && listed(pid) == 1 && command('U', pid) == 0,
	   "F is accepted in a write of several lines");
}

/* Truncated, each of these lines would name process 1. */
static void test_long_lines(void)
{
	bool good = true;
	char line[100];
	int size;

	for (size = 20; size <= 90; size++) {
		int ret;

		snprintf(line, sizeof(line), "R%*d\n", size - 1, 1999999999);
		ret = status_write(line, size + 1);
		if (size <= 40)
			good &= expect(ret, -ESRCH, "many blanks");
		else if (size >= 70)
			good &= expect(ret, -EINVAL, "too many blanks");
		else
			good &= ret == -ESRCH || ret == -EINVAL;
		good &= expect(listed(1), 0, "listings of process 1");
	}
	ok(good, "a line that is too long is EINVAL, and is not truncated");
}

static void test_exited(void)
{
	pid_t pid = sleeper();
	bool good;
	int i;

	/* Process 2 is the parent of all kernel threads. */
	ok(command('R', 2) == -EINVAL && command('U', 2) == -EINVAL,
	   "R and U of a kernel thread are EINVAL");

	kill_and_reap(pid);
	ok(command('R', pid) == -ESRCH && command('U', pid) == -ESRCH &&
	   command('R', PID_LIMIT) == -ESRCH &&
	   command('U', PID_LIMIT) == -ESRCH,
	   "R and U of a pid without a process are ESRCH");

	pid = sleeper();
	ok_eq(command('U', pid), -ESRCH,
	      "U of a process that is not registered is ESRCH");
	make_zombie(pid);
	ok(command('R', pid) == -ESRCH && command('U', pid) == -ESRCH &&
	   !listed(pid), "R and U of a zombie are ESRCH");
	kill_and_reap(pid);

	/* Keep a tick from unregistering the zombie too early. */
	pid = sleeper();
	set_interval("10000");
	good = command('R', pid) == 0;
	make_zombie(pid);
	ok(good && command('U', pid) == -ESRCH && listed(pid) == 1,
	   "U of a registered zombie is ESRCH");
	set_interval("50");
	/* Give up after a minute. */
	for (i = 0; i < 6000 && listed(pid); i++)
		sleep_ms(10);
	ok(!listed(pid), "a zombie is unregistered before it is reaped");
	kill_and_reap(pid);
}

static void test_threads(bool first_exits)
{
	const char *what = first_exits ?
			   "a process whose first thread has exited" :
			   "a process of two threads";
	struct threads threads = start_two_threads(first_exits);
	pid_t ids[] = { threads.first, threads.second };
	bool good = true;
	int i;

	for (i = 0; i < 2; i++) {
		good &= expect(command('R', ids[i]), 0, "R");
		good &= expect(listed(threads.first), 1, "first id after R");
		good &= expect(listed(threads.second), 0, "second id after R");
		good &= expect(command('R', ids[0]), -EEXIST, "R of first id");
		good &= expect(command('R', ids[1]), -EEXIST, "R of second id");
		good &= expect(command('U', ids[!i]), 0, "U of the other id");
		good &= expect(listed(threads.first), 0, "first id after U");
		good &= expect(command('U', ids[i]), -ESRCH, "U again");
	}
	ok(good, "both thread ids name %s", what);

	make_zombie(threads.first);
	ok(command('R', threads.first) == -ESRCH &&
	   command('R', threads.second) == -ESRCH,
	   "R of %s is ESRCH once both threads have exited", what);
	kill_and_reap(threads.first);
}

static pid_t sleeper_with_pid(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};
	pid_t child = syscall(SYS_clone3, &args, sizeof(args));

	if (child < 0)
		err(1, "clone3");
	while (!child)
		pause();
	return child;
}

/* A reaped process stays registered until the next tick, 10 s later. */
static void test_pid_reuse(const struct ring *ring)
{
	pid_t pid = sleeper();
	bool good = true;

	set_interval("10000");
	good &= expect(command('R', pid), 0, "R");
	kill_and_reap(pid);
	good &= expect(listed(pid), 0, "listings of the old process");
	good &= expect(ring->header->processes, 1, "processes");
	sleeper_with_pid(pid);
	good &= expect(listed(pid), 0, "listings of the new process");
	good &= expect(command('U', pid), -ESRCH, "U before R");
	good &= expect(command('R', pid), 0, "R of the new process");
	good &= expect(listed(pid), 1, "listings of the new process after R");
	good &= expect(command('U', pid), 0, "U of the new process");
	good &= expect(listed(pid), 0, "listings of the new process after U");
	ok(good, "a reused pid stands for the new process only");
	kill_and_reap(pid);
	set_interval("50");
	wait_idle(ring);
}

/* ---- Several commands in a write ---- */

static void test_lines(pid_t a, pid_t b, pid_t c)
{
	static const struct {
		struct form form;
		int error;
	} bad[] = {
		{ FORM("X"), EINVAL }, { FORM("R,2"), EINVAL },
		{ FORM("R,@"), EEXIST }, { FORM("R,4194304"), ESRCH },
		{ FORM("U,4194304"), ESRCH }, { FORM("R,1 "), EINVAL },
	};
	bool good = true;
	char text[200];
	size_t i;
	int size;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *what = bad[i].form.text;
		int before = sprintf(text, "R,%d\nR %d\n\n", a, b);

		size = before + fill_in(text + before, &bad[i].form, 'R', a);
		size += sprintf(text + size, "\nR,%d\n", c);
		good &= expect(status_write(text, size), before, what);
		good &= expect(listed(a) + listed(b), 2, "the lines before");
		good &= expect(listed(c), 0, "the line after");
		good &= expect(status_write(text + before, size - before),
			       -bad[i].error, what);
		good &= expect(listed(c), 0, "the line after");
		size = sprintf(text, "U,%d\nU\t%d", a, b);
		good &= expect(status_write(text, size), size, "U and U");
	}
	ok(good, "the lines before a failing one take effect and are counted");

	size = sprintf(text, "R,%d%cR,%d%c%c", a, 0, b, 0, 0);
	good = expect(status_write(text, size), size, "R and R");
	size = sprintf(text, "U,%d%cU,%d", a, 0, b);
	good &= expect(status_write(text, size), size, "U and U");
	ok(good, "a NUL ends a line as a newline does");
}

static void test_split(void)
{
	int fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	bool good = true;

	good &= expect(write(fd, "R,1", 3), 3, "R,1");
	good &= expect(write(fd, "234", 3), -1, "234");
	good &= expect(write(fd, "U,", 2), -1, "U,");
	good &= expect(write(fd, "1", 1), -1, "1");
	good &= expect(listed(1), 1, "listings of process 1");
	good &= expect(write(fd, "U,1", 3), 3, "U,1");
	ok(good, "a command is not joined from two writes");
	close(fd);
}

/* Fills a page with R and U of this process. Returns the number of pairs. */
static int fill_with_pairs(char *text)
{
	long size = 0;
	int nr;

	for (nr = 0; size < page_size - 40; nr++)
		size += sprintf(text + size, "R,%d\nU %d\n", getpid(),
				getpid());
	memset(text + size, '\n', page_size - size);

	return nr;
}

static void test_page(void)
{
	char *text = malloc(page_size + 1);
	long size;

	if (!text)
		err(1, "malloc");
	fill_with_pairs(text);
	ok_eq(status_write(text, page_size), page_size,
	      "a write of one page is accepted");

	size = sprintf(text, "R,%d", getpid());
	memset(text + size, '\n', page_size + 1 - size);
	ok(status_write(text, page_size + 1) == -EINVAL && !listed(getpid()),
	   "a write of one page and a byte is EINVAL and changes nothing");
	free(text);
}

/*
 * Each U publishes a sample. The first one wakes this process, which preempts
 * the writer on their CPU and kills it in the middle of its page.
 */
static void test_killed(const struct ring *ring)
{
	static const struct sched_param fifo = { .sched_priority = 1 }, normal;
	struct pollfd pollfd = { .fd = ring->fd, .events = POLLIN };
	char *text = malloc(page_size);
	cpu_set_t all;
	unsigned long nr, completed;
	uint64_t head;
	pid_t pid;

	if (!text || sched_getaffinity(0, sizeof(all), &all))
		err(1, "malloc or sched_getaffinity");
	pin_to(0);
	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &fifo))
		err(1, "sched_setscheduler");
	wait_idle(ring);
	head = ring_head(ring);
	pid = fork_child();
	if (!pid) {
		fill_with_pairs(text);
		status_write(text, page_size);
		_exit(0);
	}
	nr = fill_with_pairs(text);
	while (ring_head(ring) == head)
		if (poll(&pollfd, 1, 60000) <= 0)
			errx(1, "no sample in a minute");
	kill_and_reap(pid);
	wait_idle(ring);
	completed = ring_head(ring) - head;
	if (!ok(completed < nr, "a killed writer stops in mid-page"))
		diag("%lu of %lu pairs of R and U took effect", completed, nr);
	sched_setscheduler(0, SCHED_OTHER, &normal);
	sched_setaffinity(0, sizeof(all), &all);
	free(text);
}

/* Writes from memory of which the last byte cannot be read. */
static void test_fault(void)
{
	char *map = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *text, *end = map + page_size;
	char pair[40];
	int size, ret;

	if (map == MAP_FAILED || munmap(end, page_size))
		err(1, "mmap");
	ok_eq(status_write(end, 8), -EFAULT,
	      "a write from unreadable memory is EFAULT");

	size = sprintf(pair, "R,%d\nU,%d\n", getpid(), getpid());
	for (text = end; text - size >= map + size;) {
		text -= size;
		memcpy(text, pair, size);
	}
	size = end - text + 1;
	ret = status_write(text, size);
	ok(ret > 0 && ret < size && text[ret - 1] == '\n' &&
	   listed(getpid()) == (text + ret < end && text[ret] == 'U'),
	   "the lines before unreadable memory take effect and are counted");
	ok_eq(status_write(text + ret, size - ret), -EFAULT,
	      "a line that runs into unreadable memory is EFAULT");
	command('U', getpid());
	munmap(map, page_size);
}

/* ---- Side effects ---- */

static void write_malformed(int times)
{
	char line[100];
	int i;

	for (i = 0; i < times; i++) {
		size_t size = fill_in(line, &malformed[i % ARRAY_SIZE(malformed)],
				      i % 2 ? 'R' : 'U', getpid());

		status_write(line, size);
	}
}

/* Runs commands that succeed, commands that fail, and ticks, for a second. */
static bool run_commands(void)
{
	pid_t pid = sleeper(), stranger;
	bool good;
	int status;

	good = command('R', pid) == 0 && command('R', pid) == -EEXIST &&
	       command('U', pid) == 0 && command('U', pid) == -ESRCH &&
	       command('F', pid) == 0 && command('U', pid) == 0;
	stranger = fork_child();
	if (!stranger)
		_exit(setresuid(1000, 1000, 1000) || command('R', 1) != -EPERM);
	waitpid(stranger, &status, 0);
	good &= !status;
	set_interval("1");
	good &= command('R', pid) == 0;
	sleep_ms(1000);
	good &= command('U', pid) == 0;
	set_interval("50");
	kill_and_reap(pid);

	return good;
}

static void test_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int records = 0, ours = 0;
	char record[8192];
	bool good;
	ssize_t size;

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		err(1, "/dev/kmsg");
	write_malformed(5000);
	good = run_commands();
	while ((size = read(fd, record, sizeof(record) - 1)) > 0 ||
	       errno == EPIPE) {
		record[size > 0 ? size : 0] = '\0';
		records++;
		ours += !!strstr(record, "mp3");
	}
	close(fd);
	/* Other parts of the kernel may log something in the meantime. */
	ok(good && !ours && records < 100,
	   "neither commands nor ticks write anything to the kernel log");
}

/*
 * F fills the reserve of half a megabyte for forks to come. All followed
 * processes share it: it is not charged to the first caller of F.
 */
static void test_uncharged(void)
{
	int status;
	pid_t pid;

	make_cgroup();
	write_file(CGROUP "/memory.max", "256K");
	pid = fork_child();
	if (!pid) {
		enter_cgroup();
		_exit(command('F', getpid()) != 0);
	}
	waitpid(pid, &status, 0);
	ok_eq(status, 0, "F does not charge its reserve to the caller's cgroup");
	rmdir(CGROUP);
}

/* Only a leak grows in each of ten rounds; delayed frees and others do not. */
static void test_memory(pid_t pid)
{
	long grown = 0;
	int round, i;

	for (round = 0; round < 10; round++) {
		long before = slab_kb();

		for (i = 0; i < 20000; i++) {
			command('R', pid);
			command('R', pid);
			command('U', pid);
		}
		grown = slab_kb() - before;
		if (grown < 1000)
			break;
	}
	if (!ok(round < 10, "repeated R and U leak no memory"))
		diag("the last 20000 pairs kept %ld kB", grown);
}

/* ---- The listing ---- */

static int count_in(const char *text, pid_t pid)
{
	int count = 0;

	for (; *text; text = strchr(text, '\n') + 1)
		count += atoi(text) == pid;

	return count;
}

/* Returns the rest of a listing, read @piece bytes at a time, to be freed. */
static char *read_rest(int fd, size_t piece)
{
	size_t size = 0, capacity = 1 << 20;
	char *text = malloc(capacity);
	ssize_t got;

	if (!text)
		err(1, "malloc");
	while (size + piece < capacity &&
	       (got = read(fd, text + size, piece)) > 0)
		size += got;
	text[size] = '\0';

	return text;
}

static bool rest_is(int fd, size_t piece, const char *want)
{
	char *text = read_rest(fd, piece);
	bool same = !strcmp(text, want);

	free(text);
	return same;
}

static int open_listing(void)
{
	int fd = open(MP3_STATUS_PATH, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, MP3_STATUS_PATH);
	return fd;
}

static void test_listing(void)
{
	static const size_t pieces[] = { 1, 7, 4096 };
	static pid_t pids[1000];
	int fd = open_listing();
	char *whole, *line, *rest;
	bool good = true;
	size_t i, lines = 0;
	char byte;

	for (i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = sleeper();
		good &= command('R', pids[i]) == 0;
	}
	whole = status_text();
	for (line = whole; *line; line = strchr(line, '\n') + 1)
		lines++;
	for (i = 0; i < ARRAY_SIZE(pids); i++)
		good &= count_in(whole, pids[i]) == 1;
	ok(good && lines == ARRAY_SIZE(pids),
	   "each of 1000 processes is listed once");
	ok(rest_is(fd, 4096, whole),
	   "a file opened before 1000 registrations lists all of them");
	close(fd);

	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		fd = open_listing();
		ok(rest_is(fd, pieces[i], whole),
		   "the listing is the same when read %zu bytes at a time",
		   pieces[i]);
		close(fd);
	}

	fd = open_listing();
	good = read(fd, &byte, 1) == 1 && !command('U', pids[500]);
	rest = read_rest(fd, 100);
	if (asprintf(&line, "%c%s", byte, rest) < 0)
		err(1, "asprintf");
	for (i = 0; i < ARRAY_SIZE(pids); i++)
		good &= i == 500 ? count_in(line, pids[i]) <= 1 :
				   count_in(line, pids[i]) == 1;
	ok(good, "U in the middle of a listing has each other process listed once");
	free(line);
	free(rest);
	free(whole);
	whole = status_text();
	ok(!lseek(fd, 0, SEEK_SET) && rest_is(fd, 100, whole) &&
	   !count_in(whole, pids[500]),
	   "a listing read again from its start shows the effect of U");
	free(whole);
	close(fd);
	for (i = 0; i < ARRAY_SIZE(pids); i++)
		kill_and_reap(pids[i]);
}

/* ---- Concurrent use ---- */

#define WORKERS		8
#define BYSTANDERS	48

/* Processes that each worker may register and unregister at any time. */
struct targets {
	volatile pid_t workers[WORKERS];
	volatile pid_t children[WORKERS];	/* one of each worker */
	volatile pid_t bystanders[BYSTANDERS];
};

static bool listing_is_valid(void)
{
	char *text = status_text(), *line;
	bool valid = true;

	for (line = text; *line; line = strchr(line, '\n') + 1)
		valid &= atoi(line) > 0 && count_in(text, atoi(line)) == 1;
	free(text);

	return valid;
}

/* Forks a child that exits at once, or stays until it is killed. */
static pid_t start_child(bool stays)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (stays)
		pause();
	_exit(0);
}

static void run_worker(struct targets *targets, unsigned int self)
{
	const volatile pid_t *pids = (const volatile pid_t *)targets;
	const size_t nr = sizeof(*targets) / sizeof(*pids);
	time_t end = time(NULL) + 5;
	unsigned int seed = self;

	while (time(NULL) < end) {
		pid_t pid = pids[rand_r(&seed) % nr];
		int ret;

		switch (rand_r(&seed) % 4) {
		case 0:
			ret = command('R', pid);
			if (ret && ret != -EEXIST && ret != -ESRCH)
				errx(1, "R,%d: %s", pid, strerror(-ret));
			break;
		case 1:
			ret = command('U', pid);
			if (ret && ret != -ESRCH)
				errx(1, "U,%d: %s", pid, strerror(-ret));
			break;
		case 2:
			if (!listing_is_valid())
				errx(1, "a process is listed twice");
			break;
		case 3:
			kill_and_reap(targets->children[self]);
			pid = start_child(rand_r(&seed) % 2);
			targets->children[self] = pid;
			break;
		}
	}
	kill_and_reap(targets->children[self]);
}

static void test_stress(const struct ring *ring)
{
	struct targets *targets = shared_memory(sizeof(*targets));
	int i, start[2], status;
	bool good = true;
	char *text;
	pid_t pid;

	set_interval("1");
	for (i = 0; i < BYSTANDERS; i++)
		targets->bystanders[i] = sleeper();
	/* After the bystanders, which would keep its write end open. */
	if (pipe(start))
		err(1, "pipe");
	for (i = 0; i < WORKERS; i++) {
		pid = fork();
		if (pid < 0)
			err(1, "fork");
		if (pid) {
			targets->workers[i] = pid;
			continue;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(start[1]);
		targets->children[i] = start_child(true);
		/* Wait until this process closes the write end. */
		if (read(start[0], &status, 1))
			_exit(1);
		run_worker(targets, i);
		_exit(0);
	}
	for (i = 0; i < WORKERS; i++)
		while (!targets->children[i])
			sleep_ms(1);
	close(start[1]);
	close(start[0]);

	for (i = 0; i < WORKERS; i++) {
		pid = waitpid(targets->workers[i], &status, 0);
		good &= pid > 0 && status == 0;
	}
	ok(good, "%d concurrent users of the status file see no wrong result",
	   WORKERS);
	for (i = 0; i < BYSTANDERS; i++)
		kill_and_reap(targets->bystanders[i]);
	wait_idle(ring);
	text = status_text();
	ok(!*text, "nothing is registered after concurrent use");
	free(text);
	set_interval("50");
}

int main(void)
{
	struct ring ring = ring_open();
	pid_t a = sleeper(), b = sleeper(), c = sleeper();

	page_size = sysconf(_SC_PAGESIZE);
	/* First, since the first F fills the reserve. */
	test_uncharged();
	wait_idle(&ring);
	test_well_formed(a);
	test_malformed(a);
	test_follow(a);
	test_long_lines();
	test_exited();
	test_threads(false);
	test_threads(true);
	test_pid_reuse(&ring);
	test_lines(a, b, c);
	test_split();
	test_page();
	test_killed(&ring);
	test_fault();
	test_log();
	test_memory(a);
	kill_and_reap(a);
	kill_and_reap(b);
	kill_and_reap(c);
	test_listing();
	wait_idle(&ring);
	test_stress(&ring);

	return done();
}
