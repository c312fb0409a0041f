/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The operations of the fuzz test with processes, which are registered while they
 * change or exit, and on the machine: parameters, CPUs, the module.
 */
#ifndef MP3_FUZZ_PROCESSES_H
#define MP3_FUZZ_PROCESSES_H

#include <sys/time.h>

#include "fuzz_files.h"

#define PROGRAM		"/tmp/mp3-fuzz"
#define SETUID_PROGRAM	"/tmp/mp3-fuzz-setuid"
#define LAST_PID_PATH	"/proc/sys/kernel/ns_last_pid"
#define INTERVAL	"interval_ms"
#define PARAMETERS	"/sys/module/mp3/parameters/"
#define ONLINE_PATH	"/sys/devices/system/cpu/cpu1/online"
#define LOAD_FORMAT	"capture_records=4096 capture_faults=1024 "	\
			"records=%u interval_ms=%u"

/* Fault a few pages, if there is memory. */
static inline void fault(unsigned int pages)
{
	char *area = mmap(NULL, (pages + 1) * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	if (area == MAP_FAILED)
		return;
	for (i = 0; i < pages; i++)
		store_byte(area + i * PAGE);
	munmap(area, (pages + 1) * PAGE);
}

/*
 * Open the status file or a new capture for commands. The caller closes it.
 */
static inline int open_commanded(bool *is_capture)
{
	int fd = -1;

	*is_capture = chance(60);
	if (*is_capture)
		fd = capture_try_open();
	if (fd >= 0)
		return fd;
	*is_capture = false;
	return open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
}

/*
 * Register and unregister a few processes, dead or alive, many times: rarely by F, for
 * which the kernel waits.
 */
static inline void op_many_writes(void)
{
	unsigned int nr = 1 + below(phase_now() == RELOADED ? 50 : 1000), i;
	pid_t pids[4] = { getpid() }, pid;
	bool is_capture;
	int fd = open_commanded(&is_capture);
	char letter;

	for (i = 1; i < ARRAY_SIZE(pids); i++)
		pids[i] = own_board()->pids[below(BOARD_PIDS)];
	for (i = 0; i < nr && fd >= 0; i++) {
		pid = pids[below(ARRAY_SIZE(pids))];
		letter = below(500) ? "RU"[below(2)] : 'F';
		write_line(fd, letter, pid, is_capture);
	}
	if (fd >= 0)
		close(fd);
}

/* Write commands for a child while it does something. */
static inline void command_child(pid_t pid, unsigned int times)
{
	bool is_capture;
	int fd = open_commanded(&is_capture);

	if (fd < 0)
		return;
	if (is_capture && chance(20))
		result(locate(fd, 1, below(9)));
	while (times--) {
		write_line(fd, "RFU"[below(3)], pid, is_capture);
		if (chance(30))
			short_sleep(2000);
	}
	close(fd);
}

/* Do random operations in a child, which inherits all that this process has. */
static void do_operations(unsigned int nr);

static inline void op_inherit(void)
{
	unsigned int nr = 1 + below(5), i;
	bool is_killed = chance(30);
	pid_t pid = try_fork();

	if (!pid) {
		/* The io_uring belongs to the parent. */
		if (uring.fd > 0)
			close(uring.fd);
		uring.fd = -1;
		for (i = 0; i < NR_MAPS; i++)
			if (!maps[i].forked)
				maps[i].pages = 0;
		do_operations(nr);
		_exit(0);
	}
	if (pid < 0)
		return;
	if (is_killed) {
		short_sleep(5000);
		kill(pid, SIGKILL);
	}
	reap(pid);
}

static inline void op_child(void)
{
	unsigned int pages = below(12);
	pid_t pid = try_fork();

	if (!pid) {
		fault(pages);
		_exit(0);
	}
	if (pid < 0)
		return;
	if (chance(60))
		command_child(pid, 1 + below(4));
	reap(pid);
}

/* Register a child again and again until it has exited, and is reaped. */
static inline void op_race(void)
{
	unsigned int pages = below(6), i;
	bool is_capture, is_reaped = false;
	int fd = open_commanded(&is_capture);
	pid_t pid = fd < 0 ? -1 : try_fork();
	long ret = 0;

	if (!pid) {
		fault(pages);
		_exit(0);
	}
	if (pid > 0)
		count_one(RACES);
	/* What follows it may be somebody else's, or nobody's. */
	for (i = 0; i < 40 && pid > 0 && !(is_reaped && ret == -ESRCH); i++) {
		ret = write_line(fd, "RFUR"[i % 4], pid, is_capture);
		if (!is_reaped)
			is_reaped = waitpid(pid, NULL, WNOHANG) == pid;
	}
	if (pid > 0 && !is_reaped)
		reap(pid);
	if (fd >= 0)
		close(fd);
}

/* A child that shares the memory of its parent, also what errno is: it calls nothing. */
static inline int store_and_exit(void *page)
{
	store_byte(page);
	return 0;
}

/* Fork a child that faults and exits, with memory of its own or not. */
static inline pid_t try_short_child(bool shares, char *page, char *stack_end)
{
	pid_t pid;

	if (shares) {
		pid = clone(store_and_exit, stack_end, CLONE_VM | SIGCHLD, page);
		if (pid > 0) {
			count_one(FORKS);
			publish_pid(pid);
		}
		return pid;
	}
	pid = try_fork();
	if (!pid) {
		store_byte(page);
		_exit(0);
	}
	return pid;
}

#define MAX_SHORT_CHILDREN 16

/*
 * Register many children while they exit: each at least once before it is reaped, and
 * once after that.
 */
static inline void op_many_races(void)
{
	size_t size = 2 * MAX_SHORT_CHILDREN * PAGE;
	unsigned int nr = 2 + below(MAX_SHORT_CHILDREN - 1), i, j;
	bool is_capture, shares = chance(90);
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open_commanded(&is_capture);
	pid_t pids[MAX_SHORT_CHILDREN];

	for (i = 0; i < nr && fd >= 0 && area != MAP_FAILED; i++) {
		/* A stack and a page that it touches. */
		char *pages = area + 2 * i * PAGE;

		pids[i] = try_short_child(shares, pages, pages + 2 * PAGE);
		if (pids[i] < 0)
			break;
		count_one(RACES);
		/* Those that have been forked before may be exiting now. */
		for (j = 1 + below(4); j; j--)
			write_line(fd, "RRU"[j % 3], pids[below(i + 1)],
				   is_capture);
	}
	for (nr = i, i = 0; i < nr && fd >= 0; i++) {
		write_line(fd, 'R', pids[i], is_capture);
		reap(pids[i]);
		write_line(fd, 'R', pids[i], is_capture);
	}
	if (fd >= 0)
		close(fd);
	if (area != MAP_FAILED)
		munmap(area, size);
}

static inline void op_vfork(void)
{
	static const char *program;	/* A register could be clobbered. */
	pid_t pid;

	program = chance(30) ? SETUID_PROGRAM : PROGRAM;
	pid = vfork();
	if (!pid) {
		execl(program, "fuzz", "program", NULL);
		_exit(127);
	}
	if (pid < 0)
		return;
	count_one(FORKS);
	count_one(EXECS);
	publish_pid(pid);
	command_child(pid, 1 + below(4));
	if (chance(30))
		kill(pid, SIGKILL);
	reap(pid);
}

static inline void *thread_faults(void *pages)
{
	publish_pid(gettid());
	fault((size_t)pages);
	return NULL;
}

static inline void *thread_executes(void *program)
{
	execl(program, "fuzz", "program", NULL);
	return NULL;
}

/*
 * A child with threads. In the end its first thread exits before the others, or
 * one of the others executes a program, or all exit at once.
 */
static inline void op_threads(void)
{
	unsigned int nr = 1 + below(4), pages = below(12), end = below(4), i;
	pid_t pid = try_fork();
	pthread_t thread;

	if (!pid) {
		for (i = 0; i < nr; i++)
			pthread_create(&thread, NULL, thread_faults,
				       (void *)(size_t)pages);
		if (end < 2 && !pthread_create(&thread, NULL, thread_executes,
					       end ? SETUID_PROGRAM : PROGRAM))
			count_one(EXECS);
		fault(pages);
		if (end < 3)
			syscall(SYS_exit, 0);
		_exit(0);
	}
	if (pid < 0)
		return;
	command_child(pid, 1 + below(6));
	if (chance(20))
		kill(pid, SIGKILL);
	reap(pid);
}

/* A child changes its credentials or its dumpability while it is registered. */
static inline void op_setuid(void)
{
	unsigned int change = below(4), pages = below(12);
	bool is_capture;
	pid_t pid = try_fork();

	if (!pid) {
		int fd = open_commanded(&is_capture);

		write_line(fd, 'F', getpid(), is_capture);
		fault(pages);
		if (change == 0)
			result(prctl(PR_SET_DUMPABLE, 0));
		else if (change == 1)
			result(setresuid(-1, 1001, -1));
		else if (change == 2)
			result(setresuid(1000, 1000, 1000));
		fault(pages);
		if (change == 3) {
			count_one(EXECS);
			execl(SETUID_PROGRAM, "fuzz", "program", NULL);
		}
		write_line(fd, "RFU"[pages % 3], getpid(), is_capture);
		_exit(0);
	}
	if (pid < 0)
		return;
	command_child(pid, 1 + below(5));
	if (chance(20))
		kill(pid, SIGKILL);
	reap(pid);
}

/* A child in namespaces of its own registers itself and what it starts. */
static inline void op_namespaces(void)
{
	static const int flags[] = {
		CLONE_NEWUSER, CLONE_NEWUSER | CLONE_NEWPID, CLONE_NEWNS,
		CLONE_NEWPID, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS,
	};
	int what = pick(flags, ARRAY_SIZE(flags));
	pid_t pid = try_fork(), child;

	if (!pid) {
		bool is_capture;
		int fd;

		result(unshare(what));
		fd = open_commanded(&is_capture);
		write_line(fd, 'F', getpid(), is_capture);
		child = fork();
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			write_line(fd, 'R', getpid(), is_capture);
			write_line(fd, 'U', getppid() ? getppid() : 1,
				   is_capture);
			fault(4);
			_exit(0);
		}
		if (child > 0)
			reap(child);
		_exit(0);
	}
	if (pid < 0)
		return;
	command_child(pid, 1 + below(3));
	reap(pid);
}

/* Signals to a child that faults: it stops, continues, or dies. */
static inline void op_signals(void)
{
	static const int signals[] = {
		SIGSTOP, SIGCONT, SIGSTOP, SIGCONT, SIGUSR1, SIGSEGV, SIGPIPE,
		SIGABRT,
	};
	unsigned int i, nr = 1 + below(6);
	pid_t pid = try_fork();

	if (!pid) {
		signal(SIGUSR1, SIG_IGN);
		for (;;)
			fault(3);
	}
	if (pid < 0)
		return;
	for (i = 0; i < nr; i++) {
		kill(pid, pick(signals, ARRAY_SIZE(signals)));
		command_child(pid, 1 + below(2));
	}
	kill_child(pid);
}

static inline void grow_tree(unsigned int depth, unsigned int width)
{
	while (depth && width--) {
		if (!try_fork()) {
			fault(2);
			grow_tree(depth - 1, width);
			_exit(0);
		}
	}
}

/* F of a tree that forks, and whose middle exits before its leaves. */
static inline void op_tree(void)
{
	unsigned int depth = 1 + below(4), width = 1 + below(3), us = below(3000);
	pid_t pid = try_fork();

	if (!pid) {
		grow_tree(depth, width);
		usleep(us);
		_exit(0);
	}
	if (pid < 0)
		return;
	command_child(pid, 1 + below(5));
	reap(pid);
}

static inline void ignore_alarm(int signal_nr)
{
	(void)signal_nr;
}

/* A signal interrupts one of the next operations. */
static inline void op_timer(void)
{
	struct itimerval timer = { .it_value.tv_usec = 1 + below(5000) };
	struct sigaction action = { .sa_handler = ignore_alarm };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- Reused pids ---- */

/* Fork a child that waits to be killed. Returns -1 if that is not possible. */
static inline pid_t try_sleeper(void)
{
	pid_t pid = try_fork();

	while (!pid)
		pause();
	return pid;
}

/*
 * A registered child exits, and another one gets its pid: the new one is not
 * registered, and can be.
 */
static inline void op_reuse(void)
{
	int fd = capture_try_open(), i;
	pid_t pid = fd < 0 ? -1 : try_sleeper(), new;
	char text[16];
	long ret;

	if (pid < 0)
		goto out;
	write_line(fd, chance(50) ? 'R' : 'F', pid, true);
	kill_child(pid);
	snprintf(text, sizeof(text), "%d", pid - 1);
	for (i = 0; i < 4; i++) {
		if (try_write(LAST_PID_PATH, text))
			break;
		new = try_sleeper();
		if (new == pid) {
			ret = write_line(fd, 'U', pid, true);
			if (ret != -ESRCH)
				complain("U of a reused pid: %ld", ret);
			ret = write_line(fd, 'R', pid, true);
			if (ret < 0 && ret != -ENOMEM)
				complain("R of a reused pid: %ld", ret);
		}
		if (new > 0)
			kill_child(new);
		if (new == pid)
			break;
	}
out:
	if (fd >= 0)
		close(fd);
}

/* ---- The machine ---- */

static inline void op_parameters(void)
{
	static const struct {
		const char *name, *value;
		int error;	/* for root */
	} writes[] = {
		{ INTERVAL, "1", 0 }, { INTERVAL, "2", 0 },
		{ INTERVAL, "5\n", 0 }, { INTERVAL, "20", 0 },
		{ INTERVAL, "100", 0 }, { INTERVAL, "0", EINVAL },
		{ INTERVAL, "-1", EINVAL }, { INTERVAL, "10001", EINVAL },
		{ INTERVAL, "5 5", EINVAL }, { "user_faults", "1", 0 },
		{ "user_faults", "Y", 0 }, { "user_faults", "0", 0 },
		{ "user_faults", "maybe", EINVAL },
		{ "capture_records", "64", EACCES }, { "major", "1", EACCES },
	};
	unsigned int i = below(ARRAY_SIZE(writes));
	int want = self.is_root ? writes[i].error : EACCES;
	char path[80];
	long ret;

	snprintf(path, sizeof(path), PARAMETERS "%s", writes[i].name);
	ret = try_write(path, writes[i].value);
	if (ret != -want && phase_now() != RELOADED)
		complain("%s of %s: %ld", writes[i].value, path, ret);
}

/* Take a CPU offline for a moment. */
static inline void op_cpu(void)
{
	if (phase_now() == RELOADED || self.in_pid_ns ||
	    access(ONLINE_PATH, W_OK))
		return;
	if (!expect("offline", try_write(ONLINE_PATH, "0"), ERRORS(EBUSY)))
		count_one(OFFLINE);
	short_sleep(5000);
	expect("online", try_write(ONLINE_PATH, "1"), ERRORS(EBUSY));
}

/* The module in use cannot be unloaded, nor loaded twice. */
static inline void op_module(void)
{
	long ret;

	if (phase_now() == RELOADED)
		return;
	ret = unload();
	if (ret != -EWOULDBLOCK && ret != -EBUSY)
		complain("unloading while it is in use: %ld", ret);
	if (chance(20)) {
		ret = load("");
		if (ret != -EEXIST)
			complain("loading it a second time: %ld", ret);
	}
}

#endif /* MP3_FUZZ_PROCESSES_H */
