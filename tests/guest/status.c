// SPDX-License-Identifier: GPL-2.0
/*
 * The status file: which commands it takes, with which errno it refuses the
 * others, what it lists, and that all this holds while many use it at once.
 */
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "test.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define PID_LIMIT		4194304	/* no pid is ever as high */

static long page_size;

/* Compares a part of a result, and says what was wrong. */
static bool expect(long got, long want, const char *what)
{
	if (got != want)
		diag("%s: got %ld, want %ld", what, got, want);
	return got == want;
}

/* ---- Processes ---- */

static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void make_zombie(pid_t pid)
{
	siginfo_t info;

	kill(pid, SIGKILL);
	if (waitid(P_PID, pid, &info, WEXITED | WNOWAIT))
		err(1, "waitid");
}

/* A process of two threads; the first one's id is the process's. */
struct threads {
	pid_t first, second;
};

static void *tell_id(void *pipe)
{
	pid_t self = gettid();

	if (write(*(int *)pipe, &self, sizeof(self)) != sizeof(self))
		_exit(1);
	for (;;)
		pause();
}

static bool is_zombie(pid_t pid)
{
	char path[40], text[512] = "";
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	stat = fopen(path, "re");
	if (!stat || !fgets(text, sizeof(text), stat))
		err(1, "%s", path);
	fclose(stat);

	return strstr(text, ") Z ");
}

static struct threads two_threads(bool first_ends)
{
	struct threads threads;
	pthread_t thread;
	int tell[2];

	if (pipe(tell))
		err(1, "pipe");
	threads.first = fork();
	if (!threads.first) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pthread_create(&thread, NULL, tell_id, &tell[1]))
			_exit(1);
		if (first_ends)
			syscall(SYS_exit, 0);
		for (;;)
			pause();
	}
	close(tell[1]);
	if (read(tell[0], &threads.second, sizeof(pid_t)) != sizeof(pid_t))
		errx(1, "no second thread");
	close(tell[0]);
	while (first_ends && !is_zombie(threads.first))
		sleep_ms(1);

	return threads;
}

/* ---- One command ---- */

/* A text to be written, NULs and all: "@" in it is a pid, "R" the letter. */
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
	ok(good, "well-formed commands are taken whole");
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
	ok(good, "malformed commands are EINVAL and change nothing");
	ok_eq(status_write("R", 0), 0, "a write of no bytes does nothing");
}

/* What following does is told by follow.c. */
static void test_follow(pid_t pid)
{
	struct threads threads = two_threads(false);
	pid_t zombie = sleeper();
	bool good = true;
	char line[64];
	int size;

	ok(command('F', pid) == 0 && command('F', pid) == -EEXIST &&
	   command('R', pid) == -EEXIST && listed(pid) == 1 &&
	   command('U', pid) == 0 && !listed(pid),
	   "F registers, and twice it is EEXIST");
	ok(command('R', pid) == 0 && command('F', pid) == 0 &&
	   listed(pid) == 1 && command('F', pid) == -EEXIST &&
	   command('U', pid) == 0 && !listed(pid), "F follows who R registered");
	ok(command('F', threads.second) == 0 && listed(threads.first) == 1 &&
	   command('F', threads.first) == -EEXIST &&
	   command('U', threads.second) == 0, "F of a thread is of its process");
	reap(threads.first);

	good &= expect(command('F', 2), -EINVAL, "F of a kernel thread");
	good &= expect(command('F', PID_LIMIT), -ESRCH, "F of nobody");
	make_zombie(zombie);
	good &= expect(command('F', zombie), -ESRCH, "F of a zombie");
	reap(zombie);
	good &= expect(command('F', zombie), -ESRCH, "F of one that was reaped");
	ok(good && !listed(pid), "F has R's errors");

	size = sprintf(line, "F,%d\nU %d\nF\t%d\n", pid, pid, pid);
	sprintf(line + size, "F %d", pid);
	good = expect(status_write(line, strlen(line)), size, "F, U, F and F");
	ok(good && listed(pid) == 1 && command('U', pid) == 0,
	   "F is a line as others are");
}

/* Cut short, each line here would name process 1. */
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
		good &= expect(listed(1), 0, "process 1");
	}
	ok(good, "an over-long line is EINVAL, and is never cut short");
}

static void test_ended(void)
{
	pid_t pid = sleeper();
	bool good;
	int i;

	/* Process 2 is the parent of all kernel threads. */
	ok(command('R', 2) == -EINVAL && command('U', 2) == -EINVAL,
	   "a kernel thread is EINVAL");

	reap(pid);
	ok(command('R', pid) == -ESRCH && command('U', pid) == -ESRCH &&
	   command('R', PID_LIMIT) == -ESRCH &&
	   command('U', PID_LIMIT) == -ESRCH, "no such process is ESRCH");

	pid = sleeper();
	ok_eq(command('U', pid), -ESRCH, "U of one not registered is ESRCH");
	make_zombie(pid);
	ok(command('R', pid) == -ESRCH && command('U', pid) == -ESRCH &&
	   !listed(pid), "a zombie is ESRCH");
	reap(pid);

	/* No tick may take it away meanwhile. */
	pid = sleeper();
	set_interval("10000");
	good = command('R', pid) == 0;
	make_zombie(pid);
	ok(good && command('U', pid) == -ESRCH && listed(pid) == 1,
	   "U of a registered zombie is ESRCH");
	set_interval("50");
	/* Only a hang gets to the end of this. */
	for (i = 0; i < 6000 && listed(pid); i++)
		sleep_ms(10);
	ok(!listed(pid), "it leaves by itself, reaped or not");
	reap(pid);
}

static void test_threads(bool first_ends)
{
	const char *what = first_ends ? "a process whose first thread ended" :
					"a process of two threads";
	struct threads threads = two_threads(first_ends);
	pid_t ids[] = { threads.first, threads.second };
	bool good = true;
	int i;

	for (i = 0; i < 2; i++) {
		good &= expect(command('R', ids[i]), 0, "R");
		good &= expect(listed(threads.first), 1, "the process");
		good &= expect(listed(threads.second), 0, "the thread");
		good &= expect(command('R', ids[0]), -EEXIST, "R again");
		good &= expect(command('R', ids[1]), -EEXIST, "R again");
		good &= expect(command('U', ids[!i]), 0, "U");
		good &= expect(listed(threads.first), 0, "the process");
		good &= expect(command('U', ids[i]), -ESRCH, "U again");
	}
	ok(good, "%s: either id names it", what);

	make_zombie(threads.first);
	ok(command('R', threads.first) == -ESRCH &&
	   command('R', threads.second) == -ESRCH,
	   "%s: ESRCH once both ended", what);
	reap(threads.first);
}

/* A child with that pid. */
static pid_t sleeper_named(pid_t pid)
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

/* The dead one stays registered until the next tick, which is far away. */
static void test_pid_reuse(const struct ring *ring)
{
	pid_t pid = sleeper();
	bool good = true;

	set_interval("10000");
	good &= expect(command('R', pid), 0, "R");
	reap(pid);
	good &= expect(listed(pid), 0, "the dead one");
	good &= expect(ring->header->processes, 1, "registered");
	sleeper_named(pid);
	good &= expect(listed(pid), 0, "the new one");
	good &= expect(command('U', pid), -ESRCH, "U of the new one");
	good &= expect(command('R', pid), 0, "R of the new one");
	good &= expect(listed(pid), 1, "the new one");
	good &= expect(command('U', pid), 0, "U of the new one");
	good &= expect(listed(pid), 0, "the new one");
	ok(good, "a pid used again is another process");
	reap(pid);
	set_interval("50");
	wait_idle(ring);
}

/* ---- Several commands a write ---- */

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
		good &= expect(listed(a) + listed(b), 2, "those before it");
		good &= expect(listed(c), 0, "the one after it");
		good &= expect(status_write(text + before, size - before),
			       -bad[i].error, what);
		good &= expect(listed(c), 0, "the one after it");
		size = sprintf(text, "U,%d\nU\t%d", a, b);
		good &= expect(status_write(text, size), size, "U and U");
	}
	ok(good, "lines before a failing one take effect, and are counted");

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
	good &= expect(listed(1), 1, "process 1");
	good &= expect(write(fd, "U,1", 3), 3, "U,1");
	ok(good, "a command is never joined from two writes");
	close(fd);
}

/* Fills @text, a page, with R and U of this process; returns how often. */
static int fill_with_moves(char *text)
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
	fill_with_moves(text);
	ok_eq(status_write(text, page_size), page_size, "a page of commands is taken");

	size = sprintf(text, "R,%d", getpid());
	memset(text + size, '\n', page_size + 1 - size);
	ok(status_write(text, page_size + 1) == -EINVAL && !listed(getpid()),
	   "one byte more is EINVAL, and changes nothing");
	free(text);
}

/*
 * Each U makes a sample, of which the first wakes this process: it takes the CPU
 * from the writer, and kills it in the middle of its page.
 */
static void test_killed(const struct ring *ring)
{
	static const struct sched_param first = { .sched_priority = 1 }, normal;
	struct pollfd pollfd = { .fd = ring->fd, .events = POLLIN };
	char *text = malloc(page_size);
	cpu_set_t one, all;
	unsigned long nr, moves;
	uint64_t head;
	pid_t pid;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (!text || sched_getaffinity(0, sizeof(all), &all) ||
	    sched_setaffinity(0, sizeof(one), &one) ||
	    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first))
		err(1, "a CPU for two");
	wait_idle(ring);
	head = ring_head(ring);
	pid = fork_child();
	if (!pid) {
		fill_with_moves(text);
		status_write(text, page_size);
		_exit(0);
	}
	nr = fill_with_moves(text);
	while (ring_head(ring) == head)
		if (poll(&pollfd, 1, 60000) <= 0)
			errx(1, "no sample for a minute");
	reap(pid);
	wait_idle(ring);
	moves = ring_head(ring) - head;
	if (!ok(moves < nr, "a writer that is killed stops in mid-page"))
		diag("%lu of %lu times registered", moves, nr);
	sched_setscheduler(0, SCHED_OTHER, &normal);
	sched_setaffinity(0, sizeof(all), &all);
	free(text);
}

/* What a write returns is what took effect, wherever the memory ends. */
static void test_fault(void)
{
	char *map = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *text, *end = map + page_size;
	char pair[40];
	int size, ret;

	if (map == MAP_FAILED || munmap(end, page_size))
		err(1, "mmap");
	ok_eq(status_write(end, 8), -EFAULT, "a bad address is EFAULT");

	size = sprintf(pair, "R,%d\nU,%d\n", getpid(), getpid());
	for (text = end; text - size >= map + size;) {
		text -= size;
		memcpy(text, pair, size);
	}
	size = end - text + 1;
	ret = status_write(text, size);
	ok(ret > 0 && ret < size && text[ret - 1] == '\n' &&
	   listed(getpid()) == (text + ret < end && text[ret] == 'U'),
	   "lines before the end of memory take effect");
	ok_eq(status_write(text + ret, size - ret), -EFAULT,
	      "the next one is EFAULT");
	command('U', getpid());
	munmap(map, page_size);
}

/* ---- What is not seen ---- */

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

/* Commands that are carried out, others that are refused, and ticks. */
static bool give_commands(void)
{
	pid_t pid = sleeper(), stranger;
	bool given;
	int status;

	given = command('R', pid) == 0 && command('R', pid) == -EEXIST &&
		command('U', pid) == 0 && command('U', pid) == -ESRCH &&
		command('F', pid) == 0 && command('U', pid) == 0;
	stranger = fork_child();
	if (!stranger)
		_exit(setresuid(1000, 1000, 1000) || command('R', 1) != -EPERM);
	waitpid(stranger, &status, 0);
	given &= !status;
	set_interval("1");
	given &= command('R', pid) == 0;
	sleep_ms(1000);
	given &= command('U', pid) == 0;
	set_interval("50");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	return given;
}

static void test_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int records = 0, ours = 0;
	char record[8192];
	bool given;
	ssize_t size;

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		err(1, "/dev/kmsg");
	write_malformed(5000);
	given = give_commands();
	while ((size = read(fd, record, sizeof(record) - 1)) > 0 ||
	       errno == EPIPE) {
		record[size > 0 ? size : 0] = '\0';
		records++;
		ours += !!strstr(record, "mp3");
	}
	close(fd);
	/* The rest of the kernel may have its say meanwhile. */
	ok(given && !ours && records < 100,
	   "neither commands, 5000 of them malformed, nor ticks leave a word in the kernel's log");
}

static long slab_kb(void)
{
	FILE *file = fopen("/proc/sys/vm/stat_refresh", "we");
	char line[100];
	long kb = -1;

	/* Else each CPU keeps some of it to itself for a while. */
	if (file && (fputs("1", file), fclose(file)))
		err(1, "stat_refresh");
	file = fopen("/proc/meminfo", "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "SUnreclaim: %ld kB", &kb) == 1)
			break;
	if (kb < 0)
		err(1, "/proc/meminfo");
	fclose(file);

	return kb;
}

/*
 * F has half a megabyte set aside for the forks to come, which is everybody's:
 * it takes nothing from the memory cgroup of the first who uses it.
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
	ok_eq(status, 0, "F takes no memory from its caller's cgroup for others");
	rmdir(CGROUP);
}

/* Others allocate too, and some kernels free late; a leak never stops. */
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
	if (!ok(round < 10, "registering in vain keeps no memory"))
		diag("the last 20000 kept %ld kB", grown);
}

/* ---- The listing ---- */

static int count_in(const char *text, pid_t pid)
{
	int count = 0;

	for (; *text; text = strchr(text, '\n') + 1)
		count += atoi(text) == pid;

	return count;
}

/* The rest of a listing, read in pieces; to be freed. */
static char *read_rest(int fd, size_t piece)
{
	size_t size = 0, room = 1 << 20;
	char *text = malloc(room);
	ssize_t got;

	if (!text)
		err(1, "malloc");
	while (size + piece < room && (got = read(fd, text + size, piece)) > 0)
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
	char *whole, *line;
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
	ok(good && lines == ARRAY_SIZE(pids), "1000 processes are listed once");
	ok(rest_is(fd, 4096, whole), "and in a file opened before they came");
	close(fd);

	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		fd = open_listing();
		ok(rest_is(fd, pieces[i], whole),
		   "the list is the same, read by %zu", pieces[i]);
		close(fd);
	}

	fd = open_listing();
	good = read(fd, &byte, 1) == 1 && !command('U', pids[500]);
	ok(good && rest_is(fd, 100, whole + 1),
	   "a list once begun is read to its end as it was");
	free(whole);
	whole = status_text();
	ok(!lseek(fd, 0, SEEK_SET) && rest_is(fd, 100, whole) &&
	   !count_in(whole, pids[500]), "from its start it is read anew");
	free(whole);
	close(fd);
	for (i = 0; i < ARRAY_SIZE(pids); i++)
		reap(pids[i]);
}

/* ---- Many at once ---- */

#define WORKERS	8
#define OTHERS	48

/* Whom each may register and unregister at any time. */
struct crowd {
	volatile pid_t workers[WORKERS];
	volatile pid_t visitors[WORKERS];	/* a child of each */
	volatile pid_t others[OTHERS];
};

static bool listing_is_sane(void)
{
	char *text = status_text(), *line;
	bool sane = true;

	for (line = text; *line; line = strchr(line, '\n') + 1)
		sane &= atoi(line) > 0 && count_in(text, atoi(line)) == 1;
	free(text);

	return sane;
}

/* A child that comes for a while, or just goes. */
static pid_t visitor(bool stays)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (stays)
		pause();
	_exit(0);
}

static void work(struct crowd *crowd, unsigned int self)
{
	const volatile pid_t *pids = (const volatile pid_t *)crowd;
	time_t end = time(NULL) + 5;
	unsigned int seed = self;

	while (time(NULL) < end) {
		pid_t pid = pids[rand_r(&seed) % (sizeof(*crowd) / sizeof(pid))];
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
			if (!listing_is_sane())
				errx(1, "a process is listed twice");
			break;
		case 3:
			reap(crowd->visitors[self]);
			crowd->visitors[self] = visitor(rand_r(&seed) % 2);
			break;
		}
	}
	reap(crowd->visitors[self]);
}

static void test_stress(const struct ring *ring)
{
	struct crowd *crowd = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i, go[2], status;
	bool good = true;
	char *text;
	pid_t pid;

	if (crowd == MAP_FAILED)
		err(1, "mmap");
	set_interval("1");
	for (i = 0; i < OTHERS; i++)
		crowd->others[i] = sleeper();
	/* After these, who would hold its writing end open. */
	if (pipe(go))
		err(1, "pipe");
	for (i = 0; i < WORKERS; i++) {
		pid = fork();
		if (pid < 0)
			err(1, "fork");
		if (pid) {
			crowd->workers[i] = pid;
			continue;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		crowd->visitors[i] = visitor(true);
		/* Its end is the sign that all are there. */
		if (read(go[0], &status, 1))
			_exit(1);
		work(crowd, i);
		_exit(0);
	}
	for (i = 0; i < WORKERS; i++)
		while (!crowd->visitors[i])
			sleep_ms(1);
	close(go[1]);
	close(go[0]);

	for (i = 0; i < WORKERS; i++) {
		pid = waitpid(crowd->workers[i], &status, 0);
		good &= pid > 0 && status == 0;
	}
	ok(good, "8 processes at it, with children that come and go");
	for (i = 0; i < OTHERS; i++)
		reap(crowd->others[i]);
	wait_idle(ring);
	text = status_text();
	ok(!*text, "nothing is registered in the end");
	free(text);
	set_interval("50");
}

int main(void)
{
	struct ring ring = ring_open();
	pid_t a = sleeper(), b = sleeper(), c = sleeper();

	page_size = sysconf(_SC_PAGESIZE);
	/* Before any other F. */
	test_uncharged();
	wait_idle(&ring);
	test_well_formed(a);
	test_malformed(a);
	test_follow(a);
	test_long_lines();
	test_ended();
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
	reap(a);
	reap(b);
	reap(c);
	test_listing();
	wait_idle(&ring);
	test_stress(&ring);

	return done();
}
