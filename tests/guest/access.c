// SPDX-License-Identifier: GPL-2.0
/*
 * Permission to profile a process. The caller's real ids have to equal the real,
 * effective and saved ids of the target, which has to be dumpable, be in the same
 * user namespace, and have no permitted capability that the caller lacks;
 * otherwise the caller needs CAP_SYS_PTRACE in the target's user namespace, or
 * CAP_PERFMON in the initial one. Children with various credentials try R, F and
 * U on others, and read the status file, which lists what they may profile.
 *
 * "access dumpable" and "access undumpable" are programs that the test starts.
 */
#include <linux/sched.h>
#include <pthread.h>
#include <sys/stat.h>

#include "credentials.h"

/* What the commands of a child returned; shared with it. */
static volatile int *results;

/* ---- Commands ---- */

/*
 * Write a command with other credentials, to the open status file @fd or, if that
 * is -1, to one that the writer opens. Returns 0 or -errno.
 */
static int command_as(const struct credentials *cred, int fd, char letter,
		      pid_t pid)
{
	int status;
	pid_t self;

	fflush(stdout);
	self = fork_child();
	if (!self) {
		set_credentials(cred);
		_exit(-(fd < 0 ? command(letter, pid) :
				 command_by_fd(fd, letter, pid)));
	}
	if (waitpid(self, &status, 0) != self || !WIFEXITED(status))
		errx(1, "the child that writes %c failed", letter);
	return -WEXITSTATUS(status);
}

/* Compare a result, 0 or -errno, and print it if it is wrong. */
static bool check_result(int got, int want, const char *what)
{
	if (got != want)
		diag("%s: got %s, want %s", what, strerrorname_np(-got),
		     strerrorname_np(-want));
	return got == want;
}

static bool is_allowed(const struct credentials *cred, pid_t pid)
{
	return check_result(command_as(cred, -1, 'R', pid), 0, "R") &
	       (listed(pid) == 1) &
	       check_result(command_as(cred, -1, 'U', pid), 0, "U") &
	       (listed(pid) == 0) &
	       check_result(command_as(cred, -1, 'F', pid), 0, "F") &
	       (listed(pid) == 1) &
	       check_result(command_as(cred, -1, 'U', pid), 0, "U after F") &
	       (listed(pid) == 0);
}

/* The error is the same whether or not the process is registered. */
static bool is_refused_by_fd(const struct credentials *cred, int fd, pid_t pid)
{
	return check_result(command_as(cred, fd, 'R', pid), -EPERM, "R") &
	       check_result(command_as(cred, fd, 'U', pid), -EPERM, "U") &
	       check_result(command_as(cred, fd, 'F', pid), -EPERM, "F") &
	       check_result(command('R', pid), 0, "root's R") &
	       check_result(command_as(cred, fd, 'R', pid), -EPERM, "R if registered") &
	       check_result(command_as(cred, fd, 'U', pid), -EPERM, "U if registered") &
	       check_result(command_as(cred, fd, 'F', pid), -EPERM, "F if registered") &
	       (listed(pid) == 1) &
	       check_result(command('U', pid), 0, "root's U");
}

static bool is_refused(const struct credentials *cred, pid_t pid)
{
	return is_refused_by_fd(cred, -1, pid);
}

static void test_modes(void)
{
	static const char * const paths[] = {
		MP3_DEVICE_PATH, MP3_PROCS_PATH,
	};
	struct stat device, status;
	int ready[2], code, i;
	pid_t pid;

	if (stat(MP3_STATUS_PATH, &status))
		err(1, "stat");
	ok(status.st_mode == (S_IFREG | 0666),
	   "the status file is readable and writable by everyone");
	for (i = 0; i < 2; i++) {
		if (stat(paths[i], &device))
			err(1, "stat");
		ok(device.st_mode == (S_IFCHR | 0600) && !device.st_uid &&
		   !device.st_gid, "%s has mode 0600 and belongs to root",
		   paths[i]);
		pid = fork_with_pipe(ready);
		if (!pid) {
			set_credentials(&stranger);
			_exit(open(paths[i], O_RDONLY) < 0 ? errno : 0);
		}
		waitpid(pid, &code, 0);
		ok(WEXITSTATUS(code) == EACCES,
		   "open of %s by a user other than root fails with EACCES",
		   paths[i]);
	}

	if (stat(MP3_CAPTURE_PATH, &device))
		err(1, "stat");
	ok(device.st_mode == (S_IFCHR | 0666) && !device.st_uid &&
	   !device.st_gid, "%s has mode 0666 and belongs to root",
	   MP3_CAPTURE_PATH);
	pid = fork_with_pipe(ready);
	if (!pid) {
		set_credentials(&stranger);
		_exit(open(MP3_CAPTURE_PATH, O_RDWR) < 0 ? errno : 0);
	}
	waitpid(pid, &code, 0);
	ok_eq(code, 0, "every user can open " MP3_CAPTURE_PATH);
}

static void test_users(void)
{
	static const struct credentials other_group = {
		.uid = { 1000, 1000, 1000 }, .gid = { 1001, 1001, 1001 },
	}, real = {
		.uid = { 1000, 1001, 1001 }, .gid = { 1000, 1001, 1001 },
	}, effective_uid = {
		.uid = { 1001, 1000, 1000 }, .gid = { 1000, 1000, 1000 },
	}, effective_gid = {
		.uid = { 1000, 1000, 1000 }, .gid = { 1001, 1000, 1000 },
	};
	pid_t pid = start_target(&user, DUMPABLE);

	ok(is_allowed(&user, pid), "a user can profile its own process");
	ok(is_refused(&stranger, pid),
	   "a stranger cannot profile a user's process, nor learn whether it is registered");
	ok(is_refused(&other_group, pid),
	   "a process with the target's user id but another group id cannot profile it");
	ok(is_allowed(&real, pid),
	   "real ids that equal the target's suffice to profile it, whatever the effective ones");
	ok(is_refused(&effective_uid, pid),
	   "an effective user id that equals the target's does not suffice to profile it");
	ok(is_refused(&effective_gid, pid),
	   "an effective group id that equals the target's does not suffice to profile it");
	ok(is_allowed(&root, pid), "root can profile a user's process");
	kill_and_reap(pid);
}

/* Each target has one of its six ids from root, and the others from the user. */
static void test_ids(void)
{
	static const char * const names[] = {
		"real user id", "effective user id", "saved user id",
		"real group id", "effective group id", "saved group id",
	};
	struct credentials cred;
	pid_t pid;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		cred = user;
		*(i < 3 ? &cred.uid[i] : &cred.gid[i - 3]) = 0;
		pid = start_target(&cred, DUMPABLE);
		ok(is_refused(&user, pid),
		   "a user cannot profile a process with root's %s",
		   names[i]);
		kill_and_reap(pid);
	}
}

static void test_dumpable(void)
{
	int ready[2], code;
	pid_t pid = start_target(&user, !DUMPABLE);

	ok(is_refused(&user, pid),
	   "a user cannot profile its own process if that is not dumpable");
	ok(is_allowed(&root, pid), "root can profile a process that is not dumpable");
	kill_and_reap(pid);

	pid = fork_with_pipe(ready);
	if (!pid) {
		set_credentials(&user);
		if (prctl(PR_SET_DUMPABLE, !DUMPABLE))
			_exit(1);
		_exit(-command('R', getpid()) | -command('U', getpid()));
	}
	waitpid(pid, &code, 0);
	ok_eq(WEXITSTATUS(code), 0,
	      "a process that is not dumpable can register itself");
}

static void test_suid_dumpable(void)
{
	static const char pattern[] = "/proc/sys/kernel/core_pattern";
	static const char dumpable[] = "/proc/sys/fs/suid_dumpable";
	int ready[2];
	pid_t pid;

	/* With a relative core_pattern the kernel warns about suid_dumpable=2. */
	write_file(pattern, "/core");
	write_file(dumpable, "2");
	pid = fork_with_pipe(ready);
	if (!pid) {
		set_credentials(&user);
		report_ready(ready[1]);
	}
	wait_ready(ready);
	write_file(dumpable, "0");
	write_file(pattern, "core");
	ok(is_refused(&user, pid),
	   "a user cannot profile its own process if only root may read its dumps");
	kill_and_reap(pid);
}

/* ---- Programs ---- */

static void test_setuid(void)
{
	pid_t pid;

	copy_program(PROGRAM, 04755);
	pid = run_program(PROGRAM, &user, 0, "dumpable");
	ok(is_refused(&user, pid),
	   "a user cannot profile a setuid root program that it runs");
	kill_and_reap(pid);
	unlink(PROGRAM);
}

/* ---- Capabilities ---- */

static void test_capabilities(void)
{
	static const struct {
		const char *name;
		uint64_t cap;
	} caps[] = {
		{ "CAP_PERFMON", CAP(CAP_PERFMON) },
		{ "CAP_SYS_PTRACE", CAP(CAP_SYS_PTRACE) },
	};
	pid_t pids[] = {
		start_target(&user, DUMPABLE), start_target(&user, !DUMPABLE),
		start_target(&root, DUMPABLE), start_target(&root, !DUMPABLE),
	};
	struct credentials cred = stranger;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		bool good = true;

		cred.effective = caps[i].cap;
		for (j = 0; j < ARRAY_SIZE(pids); j++)
			good &= is_allowed(&cred, pids[j]);
		ok(good, "%s alone suffices to profile any process",
		   caps[i].name);
		cred.effective = 0;
		cred.permitted = caps[i].cap;
		ok(is_refused(&cred, pids[0]),
		   "%s that is permitted but not effective does not suffice to profile a process",
		   caps[i].name);
	}
	cred.effective = ALL_CAPS & ~(caps[0].cap | caps[1].cap);
	ok(is_refused(&cred, pids[0]),
	   "all capabilities but CAP_PERFMON and CAP_SYS_PTRACE do not suffice to profile a process");
	for (j = 0; j < ARRAY_SIZE(pids); j++)
		kill_and_reap(pids[j]);
}

/*
 * The permitted capabilities of the target have to be a subset of the caller's
 * permitted ones; which of them are effective does not matter.
 */
static void test_subset(void)
{
	static const uint64_t one = CAP(CAP_NET_RAW);
	static const uint64_t two = CAP(CAP_NET_RAW) | CAP(CAP_SYS_NICE);
	struct credentials target = user, cred = user;
	pid_t effective, permitted, plain;
	bool good = true;

	target.effective = two;
	effective = start_target(&target, DUMPABLE);
	target.effective = 0;
	target.permitted = two;
	permitted = start_target(&target, DUMPABLE);
	plain = start_target(&user, DUMPABLE);

	ok(is_refused(&user, effective),
	   "a user cannot profile its own process that has a capability");
	ok(is_refused(&user, permitted),
	   "a user cannot profile its own process with a capability that is not effective");
	cred.effective = one;
	ok(is_refused(&cred, effective) && is_refused(&cred, permitted),
	   "a user cannot profile its own process that has one more capability");
	ok(is_allowed(&cred, plain),
	   "a user can profile its own process that has fewer capabilities");
	cred.effective = two;
	good &= is_allowed(&cred, effective) & is_allowed(&cred, permitted);
	cred.effective = 0;
	cred.permitted = two;
	good &= is_allowed(&cred, effective) & is_allowed(&cred, permitted);
	cred.permitted = two | CAP(CAP_CHOWN);
	good &= is_allowed(&cred, effective) & is_allowed(&cred, permitted);
	ok(good, "a user can profile its own process if the user has all its capabilities");
	cred = stranger;
	cred.effective = two;
	ok(is_refused(&cred, effective),
	   "a stranger cannot profile a process whose capabilities it has");

	cred = user;
	cred.effective = CAP(CAP_SYS_PTRACE);
	good = is_allowed(&cred, effective) & is_allowed(&cred, permitted);
	cred.effective = CAP(CAP_PERFMON);
	good &= is_allowed(&cred, effective) & is_allowed(&cred, permitted);
	ok(good, "CAP_SYS_PTRACE or CAP_PERFMON suffices for a process with other capabilities");
	kill_and_reap(effective);
	kill_and_reap(permitted);
	kill_and_reap(plain);
}

/* ---- Processes that have exited, and threads ---- */

static void test_exited(void)
{
	pid_t pid = start_target(&user, DUMPABLE);
	siginfo_t info;

	kill(pid, SIGKILL);
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	ok(command_as(&user, -1, 'R', pid) == -ESRCH &&
	   command_as(&stranger, -1, 'R', pid) == -EPERM,
	   "registering a zombie is ESRCH for its user and EPERM for a stranger");
	kill_and_reap(pid);
	ok(command_as(&stranger, -1, 'R', pid) == -ESRCH &&
	   command_as(&stranger, -1, 'R', 2) == -EINVAL,
	   "registering no process is ESRCH and a kernel thread EINVAL for a stranger");
}

/**
 * struct threads - a process with two threads
 * @first:  pid of the process, and its first thread
 * @second: id of its second thread
 * @cred:   credentials that only the second thread takes on, or NULL
 * @fd:     where the second thread reports its id
 */
struct threads {
	pid_t first, second;
	const struct credentials *cred;
	int fd;
};

static void *second_thread(void *arg)
{
	struct threads *threads = arg;
	const struct credentials *cred = threads->cred;
	pid_t self = gettid();

	/* The C library's functions would change the ids of all threads. */
	if (cred && (syscall(SYS_setresgid, cred->gid[0], cred->gid[1],
			     cred->gid[2]) ||
		     syscall(SYS_setresuid, cred->uid[0], cred->uid[1],
			     cred->uid[2])))
		_exit(1);
	if (write(threads->fd, &self, sizeof(self)) != sizeof(self))
		_exit(1);
	for (;;)
		pause();
}

/*
 * Start a process with two threads. The second changes its credentials to
 * @second; if that is NULL, the first thread exits instead.
 */
static struct threads two_threads(const struct credentials *first, int dumpable,
				  const struct credentials *second)
{
	struct threads threads = { .cred = second };
	char path[40], link[4096];
	pthread_t thread;
	int id_pipe[2];

	threads.first = fork_with_pipe(id_pipe);
	if (!threads.first) {
		set_credentials(first);
		threads.fd = id_pipe[1];
		if (prctl(PR_SET_DUMPABLE, dumpable) ||
		    prctl(PR_SET_PDEATHSIG, SIGKILL) ||
		    pthread_create(&thread, NULL, second_thread, &threads))
			_exit(1);
		if (!second)
			syscall(SYS_exit, 0);
		for (;;)
			pause();
	}
	close(id_pipe[1]);
	if (read(id_pipe[0], &threads.second, sizeof(pid_t)) != sizeof(pid_t))
		errx(1, "no second thread");
	close(id_pipe[0]);
	/* A thread that has exited has no executable. */
	snprintf(path, sizeof(path), "/proc/%d/exe", threads.first);
	while (!second && readlink(path, link, sizeof(link)) >= 0)
		sleep_ms(1);

	return threads;
}

static void test_threads(void)
{
	struct threads threads = two_threads(&user, DUMPABLE, NULL);

	ok(is_allowed(&user, threads.first),
	   "a user can profile its own process after its first thread has exited");
	ok(is_refused(&stranger, threads.first),
	   "a stranger cannot profile a process whose first thread has exited");
	kill_and_reap(threads.first);
	threads = two_threads(&user, !DUMPABLE, NULL);
	ok(is_refused(&user, threads.first),
	   "a user cannot profile an undumpable process whose first thread has exited");
	kill_and_reap(threads.first);

	threads = two_threads(&root, DUMPABLE, &user);
	ok(is_refused(&user, threads.first) &&
	   check_result(command_as(&user, -1, 'R', threads.second), -EPERM, "R"),
	   "a user cannot profile root's process by a thread that became the user");
	kill_and_reap(threads.first);
}

/* ---- Passed descriptors ---- */

/* Start a process of the user's that has a child of root's. */
static pid_t start_parent(pid_t *child)
{
	pid_t *shared = shared_memory(sizeof(*shared));
	int ready[2];
	pid_t pid = fork_with_pipe(ready);

	if (!pid) {
		*shared = start_target(&root, DUMPABLE);
		set_credentials(&user);
		if (prctl(PR_SET_DUMPABLE, DUMPABLE))
			err(1, "prctl");
		report_ready(ready[1]);
	}
	wait_ready(ready);
	*child = *shared;
	munmap(shared, sizeof(*shared));

	return pid;
}

/* F is executed by the kernel, not by the writer. */
static void test_follow_by_fd(void)
{
	int root_fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);
	pid_t child, parent = start_parent(&child);

	ok(!command_as(&user, root_fd, 'F', parent) && listed(parent) == 1 &&
	   !listed(child),
	   "a user cannot follow root's process by a status file that root opened");
	command('U', parent);
	close(root_fd);
	kill(child, SIGKILL);
	kill_and_reap(parent);
}

static void test_descriptors(void)
{
	static const struct credentials capable = {
		.uid = { 1001, 1001, 1001 }, .gid = { 1001, 1001, 1001 },
		.effective = CAP(CAP_PERFMON) | CAP(CAP_SYS_PTRACE),
	};
	pid_t user_pid = start_target(&user, DUMPABLE);
	pid_t root_pid = start_target(&root, DUMPABLE);
	int stranger_fd = open_as(&stranger, MP3_STATUS_PATH, O_RDWR);
	int capable_fd = open_as(&capable, MP3_STATUS_PATH, O_RDWR);
	int root_fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);

	ok(is_refused_by_fd(&root, stranger_fd, user_pid) &&
	   is_refused_by_fd(&capable, stranger_fd, user_pid),
	   "a writer's capabilities do not count if a stranger opened the status file");
	ok(is_refused_by_fd(&root, stranger_fd, root_pid),
	   "root cannot profile its own process by a status file that a stranger opened");
	ok(is_refused_by_fd(&stranger, root_fd, user_pid) &&
	   is_refused_by_fd(&stranger, capable_fd, user_pid),
	   "an opener's capabilities do not count if a stranger writes to the status file");
	ok(!command_as(&root, capable_fd, 'R', user_pid) &&
	   !command_as(&capable, root_fd, 'U', user_pid) &&
	   !command_as(&user, root_fd, 'R', user_pid) &&
	   !command_as(&user, capable_fd, 'U', user_pid),
	   "a writer with permission can use a status file that another opened with permission");
	close(stranger_fd);
	close(root_fd);
	close(capable_fd);
	kill_and_reap(user_pid);
	kill_and_reap(root_pid);
}

/* ---- What the status file lists ---- */

/*
 * Count how often a pid is listed for a reader with other credentials, in the
 * open status file @fd or, if that is -1, in one that the reader opens.
 */
static int listed_as(const struct credentials *cred, int fd, pid_t pid)
{
	int status;
	pid_t self;

	fflush(stdout);
	self = fork_child();
	if (!self) {
		set_credentials(cred);
		if (fd < 0)
			fd = open(MP3_STATUS_PATH, O_RDONLY | O_CLOEXEC);
		_exit(listed_by_fd(fd, pid));
	}
	if (waitpid(self, &status, 0) != self || !WIFEXITED(status) ||
	    WEXITSTATUS(status) == 255)
		errx(1, "the child that reads the status file failed");
	return WEXITSTATUS(status);
}

/* Compare how often each process is listed. @want has a bit for each that is. */
static bool lists_as(const struct credentials *cred, int fd, const pid_t *pids,
		     int nr, unsigned int want)
{
	unsigned int got = 0;
	int i;

	for (i = 0; i < nr; i++) {
		int times = listed_as(cred, fd, pids[i]);

		if (times > 1)
			return false;
		got |= times << i;
	}
	if (got != want)
		diag("listed: %#x, want %#x", got, want);
	return got == want;
}

static void test_listing(void)
{
	static const struct credentials capable = {
		.uid = { 1000, 1000, 1000 }, .gid = { 1000, 1000, 1000 },
		.effective = CAP(CAP_NET_RAW),
	};
	pid_t pids[] = {
		start_target(&user, DUMPABLE), start_target(&user, !DUMPABLE),
		start_target(&capable, DUMPABLE),
		start_target(&stranger, DUMPABLE), start_target(&root, DUMPABLE),
	};
	enum { NR = ARRAY_SIZE(pids), ALL = (1 << NR) - 1 };
	int root_fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);
	int stranger_fd = open_as(&stranger, MP3_STATUS_PATH, O_RDWR);
	struct credentials cred = stranger;
	siginfo_t info;
	int ready[2], code, i;
	bool good;
	pid_t pid;

	/* Keep a tick from unregistering the zombie below. */
	set_interval("10000");
	for (i = 0; i < NR; i++)
		if (command('R', pids[i]))
			errx(1, "R");
	ok(lists_as(&root, -1, pids, NR, ALL),
	   "the status file lists all registered processes for root");
	ok(lists_as(&user, -1, pids, NR, 1),
	   "the status file lists for a user only the processes that it may profile");
	ok(lists_as(&capable, -1, pids, NR, 1 | 4),
	   "the status file lists a process with capabilities for a user that has them");
	ok(lists_as(&stranger, -1, pids, NR, 8),
	   "the status file does not list a user's processes for a stranger");
	cred.effective = CAP(CAP_PERFMON);
	good = lists_as(&cred, -1, pids, NR, ALL);
	cred.effective = CAP(CAP_SYS_PTRACE);
	good &= lists_as(&cred, -1, pids, NR, ALL);
	ok(good, "the status file lists all for a reader with CAP_PERFMON or CAP_SYS_PTRACE");
	cred.effective = 0;
	cred.permitted = ALL_CAPS;
	ok(lists_as(&cred, -1, pids, NR, 8),
	   "a capability that is not effective does not add to the list of the status file");
	ok(lists_as(&stranger, root_fd, pids, NR, 8),
	   "the status file lists for a reader what it may profile, even if root opened it");
	ok(lists_as(&root, stranger_fd, pids, NR, 8),
	   "the status file lists for root what its opener may profile");

	kill(pids[0], SIGKILL);
	waitid(P_PID, pids[0], &info, WEXITED | WNOWAIT);
	ok(listed_as(&user, -1, pids[0]) == 1 &&
	   listed_as(&stranger, -1, pids[0]) == 0,
	   "the status file lists a zombie for its user and not for a stranger");

	pid = fork_with_pipe(ready);
	if (!pid) {
		set_credentials(&stranger);
		if (prctl(PR_SET_DUMPABLE, !DUMPABLE))
			_exit(1);
		_exit(command('R', getpid()) || listed(getpid()) != 1 ||
		      command('U', getpid()));
	}
	waitpid(pid, &code, 0);
	ok_eq(code, 0, "the status file lists an undumpable process for itself");

	set_interval("50");
	for (i = 0; i < NR; i++) {
		command('U', pids[i]);
		kill_and_reap(pids[i]);
	}
	close(root_fd);
	close(stranger_fd);
}

/* ---- User namespaces ---- */

/* Results of root of a user namespace; user 1 inside is user 1002 outside. */
enum {
	NS_INIT, NS_USER, NS_OWN, NS_OWN_UNDUMPABLE, NS_INSIDE, NS_POWERLESS,
	NS_INSIDE_UNDUMPABLE, NS_FROM_OUTSIDE, NS_RESULTS
};

/* Runs as root of the namespace, which is the stranger outside. */
static void user_namespace(pid_t user_pid, pid_t own, pid_t own_undumpable)
{
	static const struct credentials first = { .effective = 0 }, second = {
		.uid = { 1, 1, 1 }, .gid = { 1, 1, 1 },
	};
	pid_t inside, undumpable, from_outside;
	int ready[2];

	results[NS_INIT] = command('R', 1);
	results[NS_USER] = command('R', user_pid);
	results[NS_OWN] = command('R', own);
	results[NS_OWN_UNDUMPABLE] = command('R', own_undumpable);

	inside = run_program(PROGRAM, &second, 1, "dumpable");
	undumpable = run_program(PROGRAM, &second, 1, "undumpable");
	from_outside = fork_with_pipe(ready);
	if (!from_outside) {
		set_credentials(&second);
		report_ready(ready[1]);
	}
	wait_ready(ready);
	results[NS_POWERLESS] = command_as(&first, -1, 'R', inside);
	results[NS_INSIDE] = command('R', inside) | command('U', inside);
	results[NS_INSIDE_UNDUMPABLE] = command('R', undumpable) |
					command('U', undumpable);
	results[NS_FROM_OUTSIDE] = command('R', from_outside);
	kill_and_reap(inside);
	kill_and_reap(undumpable);
	kill_and_reap(from_outside);
}

static void test_user_namespace(void)
{
	/* What root of a user namespace can do or not. */
	static const struct {
		int want;
		const char *name;
	} expected[NS_RESULTS] = {
		[NS_INIT] = { -EPERM, "cannot profile process 1" },
		[NS_USER] = { -EPERM,
			"cannot profile another user's process outside" },
		[NS_OWN] = { -EPERM,
			"cannot profile its own user's process outside" },
		[NS_OWN_UNDUMPABLE] = { -EPERM,
			"cannot profile its own user's undumpable process outside" },
		[NS_INSIDE] = { 0, "can profile any user's process inside" },
		[NS_POWERLESS] = { -EPERM,
			"without capabilities cannot profile another user's process inside" },
		[NS_INSIDE_UNDUMPABLE] = { 0,
			"can profile an undumpable process inside" },
		[NS_FROM_OUTSIDE] = { -EPERM,
			"cannot profile a process that has its memory from outside" },
	};
	/* Only the effective user id makes a process the owner of a namespace. */
	static const struct credentials same_ids = {
		.uid = { 1001, 1000, 1000 }, .gid = { 1001, 1000, 1000 },
	};
	char name[120];
	pid_t user_pid = start_target(&user, DUMPABLE);
	pid_t own = start_target(&stranger, DUMPABLE);
	pid_t own_undumpable = start_target(&stranger, !DUMPABLE);
	int ready[2], go[2], status, i;
	pid_t pid;
	char byte;

	copy_program(PROGRAM, 0755);
	if (pipe(go))
		err(1, "pipe");
	pid = fork_with_pipe(ready);
	if (!pid) {
		set_credentials(&stranger);
		if (unshare(CLONE_NEWUSER) || prctl(PR_SET_DUMPABLE, DUMPABLE))
			err(1, "unshare");
		if (write(ready[1], "", 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		user_namespace(user_pid, own, own_undumpable);
		_exit(0);
	}
	wait_ready(ready);
	write_maps(pid, 1001, 1002);
	ok(is_allowed(&stranger, pid),
	   "the owner of a user namespace can profile a process inside");
	ok(is_refused(&same_ids, pid) && is_refused(&user, pid),
	   "the same ids do not suffice to profile a process in another user namespace");
	memset((void *)results, 0x55, NS_RESULTS * sizeof(*results));
	if (write(go[1], "", 1) != 1)
		err(1, "write");
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "root of a user namespace: status %d", status);
	for (i = 0; i < NS_RESULTS; i++) {
		snprintf(name, sizeof(name), "root of a user namespace %s",
			 expected[i].name);
		ok_eq(results[i], expected[i].want, name);
	}
	unlink(PROGRAM);
	kill_and_reap(user_pid);
	kill_and_reap(own);
	kill_and_reap(own_undumpable);
}

/* ---- Pid namespaces ---- */

/* Compare the text of the status file, and print it if it differs. */
static bool status_is(const char *want)
{
	char *text = status_text();
	bool same = !strcmp(text, want);

	if (!same)
		diag("listed: %s", text);
	free(text);

	return same;
}

enum {
	PID_SELF, PID_LIST, PID_SECOND, PID_LISTS, PID_OUTSIDE_R, PID_OUTSIDE_U,
	PID_BY_FD, PID_RESULTS
};

/* Runs as process 1 of a pid namespace, and mounts /proc for it. */
static void pid_namespace(pid_t outside, int fd)
{
	pid_t second;

	mount_proc();
	results[PID_SELF] = command('R', 1);
	results[PID_LIST] = status_is("1\n");
	second = fork_child();
	while (!second)
		pause();
	results[PID_SECOND] = command('R', second);
	results[PID_LISTS] = second == 2 &&
			     (status_is("1\n2\n") || status_is("2\n1\n"));
	results[PID_OUTSIDE_R] = command('R', outside);
	results[PID_OUTSIDE_U] = command('U', outside);
	results[PID_BY_FD] = command_by_fd(fd, 'U', 2) || !status_is("1\n");
}

static void test_pid_namespace(void)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS,
		.exit_signal = SIGCHLD,
	};
	int fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);
	pid_t outside = start_target(&user, DUMPABLE), pid;
	int ready[2];

	if (pipe(ready) || command('R', outside))
		err(1, "pipe");
	fflush(stdout);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		err(1, "clone3");
	if (!pid) {
		pid_namespace(outside, fd);
		report_ready(ready[1]);
	}
	wait_ready(ready);
	ok(!results[PID_SELF] && results[PID_LIST],
	   "in a pid namespace a process registers and lists itself as 1");
	ok(!results[PID_SECOND] && results[PID_LISTS],
	   "in a pid namespace a process registers others and lists only those inside");
	ok(results[PID_OUTSIDE_R] == -ESRCH && results[PID_OUTSIDE_U] == -ESRCH,
	   "in a pid namespace R and U of a process outside are ESRCH");
	ok(!results[PID_BY_FD],
	   "pids are those of the writer's namespace, not of the opener's");
	ok(listed(pid) == 1 && listed(outside) == 1 && !listed(1) && !listed(2),
	   "a process registered in a pid namespace is listed outside by its pid there");
	ok(!command('U', pid) && !listed(pid),
	   "a process registered in a pid namespace is unregistered outside by its pid there");
	command('U', outside);
	kill_and_reap(pid);
	kill_and_reap(outside);
	close(fd);
}

int main(int argc, char **argv)
{
	struct ring ring;
	pid_t anchor;

	if (argc > 1)
		return program_main(!strcmp(argv[1], "dumpable"));

	ring = ring_open();
	results = shared_memory(sysconf(_SC_PAGESIZE));
	/* No U is the last one: that could have to wait for 50 ms. */
	anchor = sleeper();
	command_or_die('R', anchor);
	test_modes();
	test_users();
	test_ids();
	test_dumpable();
	test_suid_dumpable();
	test_setuid();
	test_capabilities();
	test_subset();
	test_exited();
	test_threads();
	test_descriptors();
	test_follow_by_fd();
	test_listing();
	test_user_namespace();
	test_pid_namespace();
	kill_and_reap(anchor);
	wait_idle(&ring);

	return done();
}
