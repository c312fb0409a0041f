// SPDX-License-Identifier: GPL-2.0
/*
 * Who may profile whom: everyone their own processes, by real ids that equal
 * all of the target's, if it is dumpable; else only with CAP_SYS_PTRACE in the
 * target's user namespace, or CAP_PERFMON in the first one.
 *
 * "access run" is the program that the test lets others execute.
 */
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "test.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define CAP(cap)		(1ull << (cap))
#define ALL_CAPS		(~0ull)
#define DUMPABLE		1
#define PROGRAM			"/tmp/mp3-access"	/* a copy of this one */

/* Real, effective and saved ids, capabilities in effect, and those at hand. */
struct who {
	uid_t uid[3];
	gid_t gid[3];
	uint64_t caps, idle;
};

static const struct who root = {
	.caps = ALL_CAPS,
}, user = {
	.uid = { 1000, 1000, 1000 }, .gid = { 1000, 1000, 1000 },
}, stranger = {
	.uid = { 1001, 1001, 1001 }, .gid = { 1001, 1001, 1001 },
};

/* What children find out, for their parent. */
static volatile int *seen;

/* ---- Processes ---- */

static void set_caps(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2], now[2];
	int i;

	if (syscall(SYS_capget, &header, now))
		err(1, "capget");
	for (i = 0; i < 2; i++) {
		data[i].permitted = now[i].permitted & (permitted >> 32 * i);
		data[i].effective = now[i].permitted & (effective >> 32 * i);
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data))
		err(1, "capset");
}

static void become(const struct who *who)
{
	if (setgroups(0, NULL) || prctl(PR_SET_KEEPCAPS, 1) ||
	    setresgid(who->gid[0], who->gid[1], who->gid[2]) ||
	    setresuid(who->uid[0], who->uid[1], who->uid[2]))
		err(255, "change of ids");
	set_caps(who->caps | who->idle, who->caps);
}

/* A child that may tell that it is ready, by a byte in ready[1]. */
static pid_t child(int ready[2])
{
	pid_t pid;

	fflush(stdout);
	if (pipe(ready))
		err(1, "pipe");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	return pid;
}

static void tell_and_wait(int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void wait_ready(int ready[2])
{
	char byte;

	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		errx(1, "a child failed");
	close(ready[0]);
}

static pid_t target(const struct who *who, int dumpable)
{
	int ready[2];
	pid_t pid = child(ready);

	if (!pid) {
		become(who);
		if (prctl(PR_SET_DUMPABLE, dumpable))
			err(1, "prctl");
		tell_and_wait(ready[1]);
	}
	wait_ready(ready);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- Who may ---- */

/* One command through a descriptor, or through one of its own: 0 or -errno. */
static int give(int fd, char letter, pid_t pid)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "%c,%d", letter, pid);

	if (fd < 0)
		return command(letter, pid);
	return write(fd, line, len) < 0 ? -errno : 0;
}

/* What a process with those rights gets for a command. */
static int result(const struct who *who, int fd, char letter, pid_t pid)
{
	int status;
	pid_t self;

	fflush(stdout);
	self = fork();
	if (!self) {
		become(who);
		_exit(-give(fd, letter, pid));
	}
	if (waitpid(self, &status, 0) != self || !WIFEXITED(status))
		errx(1, "a child failed");
	return -WEXITSTATUS(status);
}

/* Compares a part of a result, 0 or -errno, and says what was wrong. */
static bool expect(int got, int want, const char *what)
{
	if (got != want)
		diag("%s: got %s, want %s", what, strerrorname_np(-got),
		     strerrorname_np(-want));
	return got == want;
}

static bool may(const struct who *who, pid_t pid)
{
	return expect(result(who, -1, 'R', pid), 0, "R") &
	       (listed(pid) == 1) &
	       expect(result(who, -1, 'U', pid), 0, "U") &
	       (listed(pid) == 0) &
	       expect(result(who, -1, 'F', pid), 0, "F") &
	       (listed(pid) == 1) &
	       expect(result(who, -1, 'U', pid), 0, "U after F") &
	       (listed(pid) == 0);
}

/* Whether the process is registered is not told, either. */
static bool may_not_by(const struct who *who, int fd, pid_t pid)
{
	return expect(result(who, fd, 'R', pid), -EPERM, "R") &
	       expect(result(who, fd, 'U', pid), -EPERM, "U") &
	       expect(result(who, fd, 'F', pid), -EPERM, "F") &
	       expect(command('R', pid), 0, "root's R") &
	       expect(result(who, fd, 'R', pid), -EPERM, "R of a registered") &
	       expect(result(who, fd, 'U', pid), -EPERM, "U of a registered") &
	       expect(result(who, fd, 'F', pid), -EPERM, "F of a registered") &
	       (listed(pid) == 1) &
	       expect(command('U', pid), 0, "root's U");
}

static bool may_not(const struct who *who, pid_t pid)
{
	return may_not_by(who, -1, pid);
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
	ok(status.st_mode == (S_IFREG | 0666), "the status file is everyone's");
	for (i = 0; i < 2; i++) {
		if (stat(paths[i], &device))
			err(1, "stat");
		ok(device.st_mode == (S_IFCHR | 0600) && !device.st_uid &&
		   !device.st_gid, "%s is root's alone", paths[i]);
		pid = child(ready);
		if (!pid) {
			become(&stranger);
			_exit(open(paths[i], O_RDONLY) < 0 ? errno : 0);
		}
		waitpid(pid, &code, 0);
		ok(WEXITSTATUS(code) == EACCES, "%s: a user's open is EACCES",
		   paths[i]);
	}
}

static void test_users(void)
{
	static const struct who other_group = {
		.uid = { 1000, 1000, 1000 }, .gid = { 1001, 1001, 1001 },
	}, real = {
		.uid = { 1000, 1001, 1001 }, .gid = { 1000, 1001, 1001 },
	}, effective_uid = {
		.uid = { 1001, 1000, 1000 }, .gid = { 1000, 1000, 1000 },
	}, effective_gid = {
		.uid = { 1000, 1000, 1000 }, .gid = { 1001, 1000, 1000 },
	};
	pid_t pid = target(&user, DUMPABLE);

	ok(may(&user, pid), "users may profile their processes");
	ok(may_not(&stranger, pid), "a stranger may not, nor learn of it");
	ok(may_not(&other_group, pid), "nor the same user in another group");
	ok(may(&real, pid), "the real ids decide");
	ok(may_not(&effective_uid, pid), "an effective user id is no key");
	ok(may_not(&effective_gid, pid), "an effective group id is no key");
	ok(may(&root, pid), "root may");
	end(pid);
}

/* In each of them another one of the six ids is root's. */
static void test_ids(void)
{
	static const char * const names[] = {
		"real user id", "effective user id", "saved user id",
		"real group id", "effective group id", "saved group id",
	};
	struct who who;
	pid_t pid;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		who = user;
		*(i < 3 ? &who.uid[i] : &who.gid[i - 3]) = 0;
		pid = target(&who, DUMPABLE);
		ok(may_not(&user, pid), "a process with root's %s is not the user's",
		   names[i]);
		end(pid);
	}
}

static void test_dumpable(void)
{
	int ready[2], code;
	pid_t pid = target(&user, !DUMPABLE);

	ok(may_not(&user, pid), "a process that is not dumpable is not its user's");
	ok(may(&root, pid), "but root's");
	end(pid);

	pid = child(ready);
	if (!pid) {
		become(&user);
		if (prctl(PR_SET_DUMPABLE, !DUMPABLE))
			_exit(1);
		_exit(-command('R', getpid()) | -command('U', getpid()));
	}
	waitpid(pid, &code, 0);
	ok_eq(WEXITSTATUS(code), 0, "and its own");
}

static void test_suid_dumpable(void)
{
	static const char pattern[] = "/proc/sys/kernel/core_pattern";
	static const char dumpable[] = "/proc/sys/fs/suid_dumpable";
	int ready[2];
	pid_t pid;

	/* The kernel warns of such dumps where their place is not fixed. */
	write_file(pattern, "/core");
	write_file(dumpable, "2");
	pid = child(ready);
	if (!pid) {
		become(&user);
		tell_and_wait(ready[1]);
	}
	wait_ready(ready);
	write_file(dumpable, "0");
	write_file(pattern, "core");
	ok(may_not(&user, pid), "nor is one whose dumps only root may read");
	end(pid);
}

/* ---- Programs ---- */

/* Makes a copy of this program for others to run. */
static void make_program(mode_t mode)
{
	char line[80];

	snprintf(line, sizeof(line), "cp -f /proc/%d/exe " PROGRAM, getpid());
	if (system(line) || chown(PROGRAM, 0, 0) || chmod(PROGRAM, mode))
		errx(1, "%s", line);
}

static int run_main(bool dumpable)
{
	int euid = geteuid();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!dumpable)
		prctl(PR_SET_DUMPABLE, !DUMPABLE);
	if (write(1, &euid, sizeof(euid)) != sizeof(euid))
		return 1;
	for (;;)
		pause();
}

/* Has @who run it, and waits until it does so with that effective id. */
static pid_t run(const struct who *who, uid_t want, const char *how)
{
	int tell[2];
	pid_t pid = child(tell);
	uid_t euid;

	if (!pid) {
		become(who);
		dup2(tell[1], 1);
		execl(PROGRAM, PROGRAM, how, NULL);
		_exit(1);
	}
	close(tell[1]);
	if (read(tell[0], &euid, sizeof(euid)) != sizeof(euid) || euid != want)
		errx(1, "%s: wrong start", PROGRAM);
	close(tell[0]);

	return pid;
}

static void test_setuid(void)
{
	pid_t pid;

	make_program(04755);
	pid = run(&user, 0, "dumpable");
	ok(may_not(&user, pid), "a setuid program is not the user's who runs it");
	end(pid);
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
		target(&user, DUMPABLE), target(&user, !DUMPABLE),
		target(&root, DUMPABLE), target(&root, !DUMPABLE),
	};
	struct who who = stranger;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		bool good = true;

		who.caps = caps[i].cap;
		for (j = 0; j < ARRAY_SIZE(pids); j++)
			good &= may(&who, pids[j]);
		ok(good, "%s alone opens every process", caps[i].name);
		who.caps = 0;
		who.idle = caps[i].cap;
		ok(may_not(&who, pids[0]), "%s not in effect opens none",
		   caps[i].name);
	}
	who.caps = ALL_CAPS & ~(caps[0].cap | caps[1].cap);
	ok(may_not(&who, pids[0]), "all the others together open none");
	for (j = 0; j < ARRAY_SIZE(pids); j++)
		end(pids[j]);
}

/* ---- Processes that have ended, and threads ---- */

static void test_ended(void)
{
	pid_t pid = target(&user, DUMPABLE);
	siginfo_t info;

	kill(pid, SIGKILL);
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	ok(result(&user, -1, 'R', pid) == -ESRCH &&
	   result(&stranger, -1, 'R', pid) == -EPERM,
	   "a zombie is ESRCH to its user, EPERM to a stranger");
	end(pid);
	ok(result(&stranger, -1, 'R', pid) == -ESRCH &&
	   result(&stranger, -1, 'R', 2) == -EINVAL,
	   "no process is ESRCH, a kernel thread EINVAL to a stranger too");
}

struct threads {
	pid_t first, second;
	const struct who *who;	/* whom the second becomes, without the first */
	int tell;
};

static void *second_thread(void *arg)
{
	struct threads *threads = arg;
	const struct who *who = threads->who;
	pid_t self = gettid();

	/* The bare system calls: the C library's change all threads. */
	if (who && (syscall(SYS_setresgid, who->gid[0], who->gid[1],
			    who->gid[2]) ||
		    syscall(SYS_setresuid, who->uid[0], who->uid[1],
			    who->uid[2])))
		_exit(1);
	if (write(threads->tell, &self, sizeof(self)) != sizeof(self))
		_exit(1);
	for (;;)
		pause();
}

/* A process whose first thread has ended, or whose second is another's. */
static struct threads two_threads(const struct who *first, int dumpable,
				  const struct who *second)
{
	struct threads threads = { .who = second };
	char path[40], link[4096];
	pthread_t thread;
	int tell[2];

	threads.first = child(tell);
	if (!threads.first) {
		become(first);
		threads.tell = tell[1];
		if (prctl(PR_SET_DUMPABLE, dumpable) ||
		    prctl(PR_SET_PDEATHSIG, SIGKILL) ||
		    pthread_create(&thread, NULL, second_thread, &threads))
			_exit(1);
		if (!second)
			syscall(SYS_exit, 0);
		for (;;)
			pause();
	}
	close(tell[1]);
	if (read(tell[0], &threads.second, sizeof(pid_t)) != sizeof(pid_t))
		errx(1, "no second thread");
	close(tell[0]);
	/* A thread that has ended has no program left. */
	snprintf(path, sizeof(path), "/proc/%d/exe", threads.first);
	while (!second && readlink(path, link, sizeof(link)) >= 0)
		sleep_ms(1);

	return threads;
}

static void test_threads(void)
{
	struct threads threads = two_threads(&user, DUMPABLE, NULL);

	ok(may(&user, threads.first),
	   "a process whose first thread has ended is its user's");
	ok(may_not(&stranger, threads.first), "and not a stranger's");
	end(threads.first);
	threads = two_threads(&user, !DUMPABLE, NULL);
	ok(may_not(&user, threads.first), "nor its user's, if not dumpable");
	end(threads.first);

	threads = two_threads(&root, DUMPABLE, &user);
	ok(may_not(&user, threads.first) &&
	   expect(result(&user, -1, 'R', threads.second), -EPERM, "R"),
	   "a thread that dropped its rights does not open its process");
	end(threads.first);
}

/* ---- Descriptors that change hands ---- */

/* The status file, opened by another. */
static int opened_by(const struct who *who)
{
	int ready[2], pidfd, fd;
	pid_t pid = child(ready);

	if (!pid) {
		become(who);
		if (dup2(open(MP3_STATUS_PATH, O_RDWR), 100) != 100)
			_exit(1);
		tell_and_wait(ready[1]);
	}
	wait_ready(ready);
	pidfd = pidfd_open(pid, 0);
	fd = pidfd_getfd(pidfd, 100, 0);
	if (fd < 0)
		err(1, "pidfd_getfd");
	close(pidfd);
	end(pid);

	return fd;
}

static void test_deputies(void)
{
	static const struct who able = {
		.uid = { 1001, 1001, 1001 }, .gid = { 1001, 1001, 1001 },
		.caps = CAP(CAP_PERFMON) | CAP(CAP_SYS_PTRACE),
	};
	pid_t users = target(&user, DUMPABLE), roots = target(&root, DUMPABLE);
	int strangers_fd = opened_by(&stranger), able_fd = opened_by(&able);
	int roots_fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);

	ok(may_not_by(&root, strangers_fd, users) &&
	   may_not_by(&able, strangers_fd, users),
	   "capabilities do not count in what a stranger opened");
	ok(may_not_by(&root, strangers_fd, roots),
	   "nor does it that the writer owns the process");
	ok(may_not_by(&stranger, roots_fd, users) &&
	   may_not_by(&stranger, able_fd, users),
	   "nor what a stranger's descriptor was opened with");
	ok(!result(&root, able_fd, 'R', users) &&
	   !result(&able, roots_fd, 'U', users) &&
	   !result(&user, roots_fd, 'R', users) &&
	   !result(&user, able_fd, 'U', users),
	   "who may themselves may also through what root opened");
	close(strangers_fd);
	close(roots_fd);
	close(able_fd);
	end(users);
	end(roots);
}

/* ---- User namespaces ---- */

static void write_map(pid_t pid, const char *name)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	write_file(path, "0 1001 1\n1 1002 1\n");
}

/* What root of a user namespace sees; user 1 in it is 1002 outside. */
enum {
	NS_INIT, NS_USER, NS_OWN, NS_OWN_UNDUMPABLE, NS_INSIDE, NS_POWERLESS,
	NS_INSIDE_UNDUMPABLE, NS_FROM_OUTSIDE, NS_RESULTS
};

static void user_namespace(pid_t users, pid_t own, pid_t own_undumpable)
{
	static const struct who first = { .caps = 0 }, second = {
		.uid = { 1, 1, 1 }, .gid = { 1, 1, 1 },
	};
	pid_t inside, undumpable, from_outside;
	int ready[2];

	seen[NS_INIT] = command('R', 1);
	seen[NS_USER] = command('R', users);
	seen[NS_OWN] = command('R', own) | command('U', own);
	seen[NS_OWN_UNDUMPABLE] = command('R', own_undumpable);

	inside = run(&second, 1, "dumpable");
	undumpable = run(&second, 1, "undumpable");
	from_outside = child(ready);
	if (!from_outside) {
		become(&second);
		tell_and_wait(ready[1]);
	}
	wait_ready(ready);
	seen[NS_POWERLESS] = result(&first, -1, 'R', inside);
	seen[NS_INSIDE] = command('R', inside) | command('U', inside);
	seen[NS_INSIDE_UNDUMPABLE] = command('R', undumpable) |
				     command('U', undumpable);
	seen[NS_FROM_OUTSIDE] = command('R', from_outside);
	end(inside);
	end(undumpable);
	end(from_outside);
}

static void test_user_namespace(void)
{
	static const struct {
		int want;
		const char *name;
	} results[NS_RESULTS] = {
		[NS_INIT] = { -EPERM, "a user namespace's root may not process 1" },
		[NS_USER] = { -EPERM, "nor another user's process outside" },
		[NS_OWN] = { 0, "but its own user's outside" },
		[NS_OWN_UNDUMPABLE] = { -EPERM, "unless it is not dumpable" },
		[NS_INSIDE] = { 0, "and any user's inside" },
		[NS_POWERLESS] = { -EPERM, "with its capabilities alone" },
		[NS_INSIDE_UNDUMPABLE] = { 0, "if it is not dumpable, too" },
		[NS_FROM_OUTSIDE] = { -EPERM, "but not if its memory is from outside" },
	};
	pid_t users = target(&user, DUMPABLE);
	pid_t own = target(&stranger, DUMPABLE);
	pid_t own_undumpable = target(&stranger, !DUMPABLE);
	int ready[2], go[2], status, i;
	pid_t pid;
	char byte;

	make_program(0755);
	if (pipe(go))
		err(1, "pipe");
	pid = child(ready);
	if (!pid) {
		become(&stranger);
		if (unshare(CLONE_NEWUSER))
			err(1, "unshare");
		if (write(ready[1], "", 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		user_namespace(users, own, own_undumpable);
		_exit(0);
	}
	wait_ready(ready);
	write_map(pid, "uid_map");
	write_map(pid, "gid_map");
	memset((void *)seen, 0x55, NS_RESULTS * sizeof(*seen));
	if (write(go[1], "", 1) != 1)
		err(1, "write");
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "root of a user namespace: status %d", status);
	for (i = 0; i < NS_RESULTS; i++)
		ok_eq(seen[i], results[i].want, results[i].name);
	unlink(PROGRAM);
	end(users);
	end(own);
	end(own_undumpable);
}

/* ---- Pid namespaces ---- */

static bool list_is(const char *want)
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

/* Process 1 of a pid namespace, with a /proc of its own. */
static void pid_namespace(pid_t outside, int fd)
{
	pid_t second;

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", 0, NULL))
		err(1, "mount");
	seen[PID_SELF] = command('R', 1);
	seen[PID_LIST] = list_is("1\n");
	second = fork();
	while (!second)
		pause();
	seen[PID_SECOND] = command('R', second);
	seen[PID_LISTS] = second == 2 && (list_is("1\n2\n") || list_is("2\n1\n"));
	seen[PID_OUTSIDE_R] = command('R', outside);
	seen[PID_OUTSIDE_U] = command('U', outside);
	seen[PID_BY_FD] = give(fd, 'U', 2) || !list_is("1\n");
}

static void test_pid_namespace(void)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS,
		.exit_signal = SIGCHLD,
	};
	int fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);
	pid_t outside = target(&user, DUMPABLE), pid;
	int ready[2];

	if (pipe(ready) || command('R', outside))
		err(1, "pipe");
	fflush(stdout);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		err(1, "clone3");
	if (!pid) {
		pid_namespace(outside, fd);
		tell_and_wait(ready[1]);
	}
	wait_ready(ready);
	ok(!seen[PID_SELF] && seen[PID_LIST],
	   "in a pid namespace a process registers and lists itself as 1");
	ok(!seen[PID_SECOND] && seen[PID_LISTS],
	   "and others by its numbers, without those outside");
	ok(seen[PID_OUTSIDE_R] == -ESRCH && seen[PID_OUTSIDE_U] == -ESRCH,
	   "outside's pids name nothing in it");
	ok(!seen[PID_BY_FD], "who opened the file does not matter to that");
	ok(listed(pid) == 1 && listed(outside) == 1 && !listed(1) && !listed(2),
	   "outside it is listed by its number there");
	ok(!command('U', pid) && !listed(pid), "which unregisters it, too");
	command('U', outside);
	end(pid);
	end(outside);
	close(fd);
}

int main(int argc, char **argv)
{
	struct ring ring;

	if (argc > 1)
		return run_main(!strcmp(argv[1], "dumpable"));

	ring = ring_open();
	seen = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		err(1, "mmap");
	test_modes();
	test_users();
	test_ids();
	test_dumpable();
	test_suid_dumpable();
	test_setuid();
	test_capabilities();
	test_ended();
	test_threads();
	test_deputies();
	test_user_namespace();
	test_pid_namespace();
	wait_idle(&ring);

	return done();
}
