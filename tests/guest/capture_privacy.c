// SPDX-License-Identifier: GPL-2.0
/*
 * What a user's capture must not show: a followed process that has become
 * somebody else's, more capable or undumpable leaves the capture, and no record
 * of it comes after that moment. Nor does a descriptor grant what its opener and
 * its writer may not both do. Root's capture of the same processes is complete.
 *
 * Usage: capture_privacy [ROUNDS [SEED]]
 *
 * 17 rounds of each change are 1,020 processes.
 *
 * "capture_privacy program ..." and "capture_privacy drop ..." are what followed
 * processes run, and "capture_privacy opener ..." is what the opener of a capture
 * runs.
 */
#include <grp.h>
#include <linux/capability.h>
#include <sys/xattr.h>

#include "capture.h"

#define CAP(cap)	(1ull << (cap))
#define USER		1000
#define STRANGER	1001
#define SETUID_PROGRAM	"/tmp/mp3-setuid"
#define CAPABLE_PROGRAM	"/tmp/mp3-capable"
#define PLAIN_PROGRAM	"/tmp/mp3-plain"
#define STRANGER_PROGRAM "/tmp/mp3-stranger"	/* set-user-ID, of STRANGER */
#define UNREADABLE_PROGRAM "/tmp/mp3-unreadable"
#define REPORT_FD	200	/* where a program reports its moment */
#define RELEASE_FD	201	/* at whose end it goes on */
#define BATCH		10
#define ROUNDS		3
#define ROUND_SECONDS	20	/* after which no further round begins */

static struct ring ring;

/* ---- Credentials ---- */

/* Become a user with these capabilities, permitted and effective, and dumpable. */
static void become(uid_t uid, uint64_t caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .permitted = caps, .effective = caps },
		{ .permitted = caps >> 32, .effective = caps >> 32 },
	};

	if (setgroups(0, NULL) || prctl(PR_SET_KEEPCAPS, 1) ||
	    setresgid(uid, uid, uid) || setresuid(uid, uid, uid) ||
	    syscall(SYS_capset, &header, data) || prctl(PR_SET_DUMPABLE, 1))
		err(1, "cannot change credentials");
}

/* Copy this program with CAP_NET_RAW in its file. Returns false if impossible. */
static bool copy_capable(void)
{
	struct vfs_cap_data caps = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data[0].permitted = CAP(CAP_NET_RAW),
	};

	copy_program(CAPABLE_PROGRAM, 0755);
	return !setxattr(CAPABLE_PROGRAM, "security.capability", &caps,
			 XATTR_CAPS_SZ_2, 0);
}

/* ---- Programs of the followed processes ---- */

/* What a process reports when it has changed. */
struct moment {
	pid_t pid;
	uint64_t time_ns;
};

static void report_moment(void)
{
	struct moment moment = { getpid(), now_ns() };

	if (write(REPORT_FD, &moment, sizeof(moment)) != sizeof(moment))
		_exit(1);
}

/* Fault and use the CPU until released: until RELEASE_FD ends. */
static void work_until_released(void)
{
	char byte;

	if (fcntl(RELEASE_FD, F_SETFL, O_NONBLOCK))
		_exit(1);
	do {
		touch(8);
		usleep(1000);
	} while (read(RELEASE_FD, &byte, 1));
}

/**
 * enum change - how a followed process stops being its user's
 * @SETUID:       it runs a setuid root program until that is released
 * @SETUID_SHORT: the same for up to 20 ms, perhaps between two ticks
 * @OTHER_USER:   it runs such a program, which becomes another user
 * @UNDUMPABLE:   it makes itself undumpable
 * @FILE_CAPS:    it runs a program with capabilities, which is dumpable
 * @BACK:         it runs a setuid root program, which becomes the user again
 *                and runs another program once it has been removed
 * @ORDINARY:     it changes nothing, and exits at once
 */
enum change {
	SETUID, SETUID_SHORT, OTHER_USER, UNDUMPABLE, FILE_CAPS, BACK, ORDINARY,
	NR_CHANGES
};

static const char * const change_names[] = {
	"runs a setuid program", "runs a setuid program for a short time",
	"runs a setuid program that becomes another user",
	"makes itself undumpable", "runs a program with file capabilities",
	"runs a setuid program and becomes its user's again",
};

static int program_main(char **argv)
{
	enum change change = atoi(argv[0]);

	switch (change) {
	case SETUID:
	case SETUID_SHORT:
	case BACK:
		if (geteuid())
			return 1;
		break;
	case OTHER_USER:
		if (setresuid(STRANGER, STRANGER, STRANGER) ||
		    prctl(PR_SET_DUMPABLE, 1))
			return 1;
		break;
	case FILE_CAPS:
		if (prctl(PR_SET_DUMPABLE, 1))
			return 1;
		break;
	default:
		/* It came back: nothing may be seen of it. */
		touch(100);
		usleep(20000);
		touch(100);
		return 0;
	}
	report_moment();
	if (change == SETUID_SHORT) {
		touch(atoi(argv[1]) % 50);
		usleep(atoi(argv[1]));
		touch(7);
		return 0;
	}
	work_until_released();
	if (change != BACK)
		return 0;
	if (setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		return 1;
	execl(PLAIN_PROGRAM, "plain", "program", "99", NULL);
	return 1;
}

/* Runs as the user, followed: change as requested. */
static void __attribute__((noreturn)) change_self(enum change change, int delay)
{
	const char *path = change == FILE_CAPS ? CAPABLE_PROGRAM :
						 SETUID_PROGRAM;
	char number[12], text[12];

	touch(delay % 20);
	if (delay % 3 == 0)
		usleep(delay);
	if (change == UNDUMPABLE) {
		if (prctl(PR_SET_DUMPABLE, 0))
			_exit(1);
		report_moment();
		work_until_released();
		_exit(0);
	}
	if (change == ORDINARY)
		_exit(0);
	snprintf(number, sizeof(number), "%d", change);
	snprintf(text, sizeof(text), "%d", delay);
	execl(path, path, "program", number, text, NULL);
	_exit(1);
}

/* ---- A batch of followed processes ---- */

/**
 * struct batch - the processes of one round; shared with the user
 * @nr_moments: how many have reported their moment
 * @moments:    what they have reported
 * @pids:       the ordinary ones among them
 * @usage:      what wait4(2) reports of those
 * @changed:    those that change
 * @total:      what wait4(2) reports of those
 * @denied:     of the capture's header, at the end
 * @leaked:     records after the moment, in the user's capture
 * @last:       records with MP3_LAST of processes that change
 * @exact:      the ordinary ones are exact
 * @status:     a process failed
 */
struct batch {
	unsigned int nr_moments;
	struct moment moments[BATCH];
	pid_t pids[BATCH], changed[BATCH];
	struct usage usage[BATCH], total[BATCH];
	uint64_t denied;
	unsigned int leaked, last;
	bool exact, status;
};

static void check_records(const struct capture *c, struct batch *batch)
{
	uint64_t i, head = capture_head(c);
	int j;

	batch->exact = true;
	for (i = 0; i < head; i++) {
		struct mp3_record r = capture_at(c, i);

		for (j = 0; j < BATCH; j++) {
			if (r.pid != (uint32_t)batch->moments[j].pid)
				continue;
			batch->leaked += r.time_ns >= batch->moments[j].time_ns;
			batch->last += !!(r.flags & MP3_LAST);
		}
	}
	for (j = 0; j < BATCH; j++) {
		struct history h = history_of(c, batch->pids[j]);

		batch->exact &= history_matches(&h, 1, batch->usage[j],
						"an ordinary child");
	}
}

/* Wait for a child, note its usage, and whether it failed. */
static struct usage reap(pid_t pid, struct batch *batch)
{
	struct rusage rusage;
	int status;

	if (wait4(pid, &status, 0, &rusage) != pid || status)
		batch->status = true;
	return usage_of(&rusage);
}

/*
 * Runs as the user: follow this process, have children change, and release them
 * once all have been removed from the capture. @go is closed when root's capture
 * follows this process as well.
 */
static void run_batch(struct batch *batch, enum change change, int seed, int go,
		      uint64_t caps)
{
	int report[2], release[2], i, tries;
	unsigned int random = seed;
	struct capture c;
	pid_t pid;
	char byte;

	become(USER, caps);
	c = capture_open();
	if (read(go, &byte, 1) || pipe(report) || pipe(release))
		err(1, "pipe");
	capture_command_or_die(&c, 'F', getpid());
	for (i = 0; i < BATCH; i++) {
		/* The child shares @batch: it must not store its 0 there. */
		pid = fork_child();
		if (!pid) {
			close(release[1]);
			if (dup2(report[1], REPORT_FD) < 0 ||
			    dup2(release[0], RELEASE_FD) < 0)
				_exit(1);
			change_self(change, rand_r(&random) % 20000);
		}
		batch->changed[i] = pid;
		rand_r(&random);
		pid = fork_child();
		if (!pid)
			change_self(ORDINARY, rand_r(&random) % 20);
		batch->pids[i] = pid;
		rand_r(&random);
		batch->usage[i] = reap(batch->pids[i], batch);
	}
	close(report[1]);
	for (i = 0; i < BATCH; i++)
		if (read(report[0], &batch->moments[i],
			 sizeof(struct moment)) == sizeof(struct moment))
			batch->nr_moments++;
	/* All of them, and this process remains. */
	for (tries = 0; !caps && tries < 20000; tries++) {
		if (c.header->denied == BATCH && capture_processes(&c) == 1)
			break;
		/* What is not removed must not fill the ring. */
		if (capture_head(&c) > c.capacity / 2)
			break;
		sleep_ms(1);
	}
	close(release[1]);
	for (i = 0; i < BATCH; i++)
		batch->total[i] = reap(batch->changed[i], batch);
	wait_ticks(&c);
	wait_ticks(&c);
	batch->denied = c.header->denied;
	check_records(&c, batch);
	_exit(0);
}

/*
 * Have a user with these capabilities run a batch. Returns whether root's
 * capture of it is complete and exact.
 */
static bool run_user(struct batch *batch, enum change change, int seed,
		     uint64_t caps)
{
	struct capture root;
	bool good = true;
	int go[2], i, status;
	pid_t pid;

	memset(batch, 0, sizeof(*batch));
	if (pipe(go))
		err(1, "pipe");
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		close(go[1]);
		run_batch(batch, change, seed, go[0], caps);
	}
	close(go[0]);
	root = capture_open();
	capture_command_or_die(&root, 'F', pid);
	close(go[1]);
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the user's process ended with status %#x", status);
	good &= capture_has(&root, 0) && !root.header->denied;
	for (i = 0; i < BATCH; i++) {
		struct history h = history_of(&root, batch->changed[i]);

		good &= history_matches(&h, 1, batch->total[i], "root's");
	}
	capture_close(&root);

	return good;
}

static void test_change(enum change change, unsigned int rounds,
			unsigned int *seed)
{
	static const char * const intervals[] = { "1", "2", "5", "10" };
	struct batch *batch = shared_memory(sizeof(*batch));
	bool denied = true, silent = true, exact = true, complete = true;
	unsigned int i, leaked = 0;
	time_t end = time(NULL) + ROUND_SECONDS * (rounds / ROUNDS + 1);

	for (i = 0; i < rounds && time(NULL) < end; i++) {
		set_interval(intervals[i % ARRAY_SIZE(intervals)]);
		complete &= run_user(batch, change, (*seed)++, 0);
		if (batch->status || batch->nr_moments != BATCH)
			errx(1, "a process failed to change: %s",
			     change_names[change]);
		denied &= batch->denied == BATCH;
		if (batch->denied != BATCH)
			diag("%lu of %d were denied",
			     (unsigned long)batch->denied, BATCH);
		silent &= !batch->leaked && !batch->last;
		leaked += batch->leaked;
		exact &= batch->exact;
	}
	diag("%u processes", i * BATCH);
	ok(denied, "each followed process that %s is removed and counted in denied",
	   change_names[change]);
	if (!ok(silent, "no record follows the moment at which a process %s",
		change_names[change]))
		diag("%u records", leaked);
	ok(exact, "ordinary children stay exact next to one that %s",
	   change_names[change]);
	ok(complete, "root's capture of a process that %s is complete and exact",
	   change_names[change]);
	munmap(batch, sizeof(*batch));
}

/* ---- Privileges that are dropped before a tick ---- */

/*
 * "drop": run as a setuid root program, become the user's again, fork a child, and
 * have both run another program: "wait".
 */
static int drop_main(const char *role)
{
	if (!strcmp(role, "wait")) {
		report_moment();
		work_until_released();
		return 0;
	}
	if (geteuid() || setresgid(USER, USER, USER) ||
	    setresuid(USER, USER, USER))
		return 1;
	fork_child();
	execl(PLAIN_PROGRAM, "plain", "drop", "wait", NULL);
	return 1;
}

/**
 * struct dropping - how privileges are dropped
 * @fd:	   file of the interval
 * @exits: both processes exit before the first tick, and enough others that their
 *	   tasks are released
 */
struct dropping {
	int fd;
	bool exits;
};

/* Let the program exit that drops its privileges. */
static void release_dropper(pid_t pid, int fd)
{
	close(fd);
	if (waitpid(pid, NULL, 0) != pid)
		err(1, "the program that drops its privileges");
}

static void fork_ordinary(unsigned int nr)
{
	pid_t pid;

	while (nr--) {
		pid = fork_child();
		if (!pid)
			_exit(0);
		if (waitpid(pid, NULL, 0) != pid)
			err(1, "waitpid");
	}
}

/*
 * Runs as the user, while there are no ticks: follow this process, and have a
 * child run the program that drops its privileges. Then there are ticks. Returns how
 * many processes were denied, or 127 if there is a record of one.
 */
static int follow_dropper(void *arg)
{
	const struct dropping *dropping = arg;
	struct moment moments[2];
	int report[2], release[2], i;
	struct capture c = capture_open();
	bool leaked = false;
	pid_t pid;

	if (pipe(report) || pipe(release))
		err(1, "pipe");
	capture_command_or_die(&c, 'F', getpid());
	pid = fork_child();
	if (!pid) {
		close(release[1]);
		if (dup2(report[1], REPORT_FD) < 0 ||
		    dup2(release[0], RELEASE_FD) < 0)
			_exit(1);
		execl(SETUID_PROGRAM, "setuid", "drop", "drop", NULL);
		_exit(1);
	}
	close(report[1]);
	for (i = 0; i < 2; i++)
		if (read(report[0], &moments[i], sizeof(moments[i])) !=
		    sizeof(moments[i]))
			errx(1, "the program that drops its privileges failed");
	if (dropping->exits) {
		release_dropper(pid, release[1]);
		/* Nothing waits for the other one. */
		sleep_ms(200);
		fork_ordinary(64);
		sleep_ms(200);
	}
	if (pwrite(dropping->fd, "10", 2, 0) != 2)
		err(1, INTERVAL_PATH);
	wait_ticks(&c);
	if (!dropping->exits)
		release_dropper(pid, release[1]);
	if (!capture_has(&c, 1))
		err(1, "the capture has others");
	for (i = 0; i < 2; i++) {
		struct history h = history_of(&c, moments[i].pid);

		leaked |= h.records || h.identities;
	}

	return leaked ? 127 : c.header->denied;
}

static void test_dropped(void)
{
	struct dropping dropping = {
		.fd = open(INTERVAL_PATH, O_WRONLY | O_CLOEXEC),
	};

	if (dropping.fd < 0)
		err(1, INTERVAL_PATH);
	set_interval("10000");
	ok_eq(run_as(USER, follow_dropper, &dropping), 2,
	      "no record of a process whose setuid program drops its privileges before a tick, or of its child");
	dropping.exits = true;
	set_interval("10000");
	ok_eq(run_as(USER, follow_dropper, &dropping), 2,
	      "no record of a process that has executed a setuid program, or of its child, if both exit before a tick");
	close(dropping.fd);
}

/* An opener with a capability keeps what it follows. */
static void test_capable_opener(void)
{
	static const struct {
		const char *name;
		uint64_t caps;
	} cases[] = {
		{ "CAP_SYS_PTRACE", CAP(CAP_SYS_PTRACE) },
		{ "CAP_PERFMON", CAP(CAP_PERFMON) },
	};
	struct batch *batch = shared_memory(sizeof(*batch));
	size_t i;

	set_interval("5");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		run_user(batch, SETUID_SHORT, i + 1, cases[i].caps);
		ok(!batch->denied && batch->last == BATCH,
		   "the capture of a user with %s keeps processes that run a setuid program",
		   cases[i].name);
	}
	munmap(batch, sizeof(*batch));
}

/* ---- Passed descriptors ---- */

/* Start a process of a user, which waits until it is killed. */
static pid_t start_target(uid_t uid, uint64_t caps)
{
	int ready[2];
	pid_t pid;
	char byte;

	fflush(stdout);
	if (pipe(ready))
		err(1, "pipe");
	pid = fork_child();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		become(uid, caps);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		errx(1, "a target did not start");
	close(ready[0]);

	return pid;
}

/*
 * Write a command as a user with capabilities, to the open file @fd or, if that
 * is -1 or -2, to a status file or a capture that the writer opens. Returns 0 or
 * -errno.
 */
static int command_as(uid_t uid, uint64_t caps, int fd, char letter, pid_t pid)
{
	int status;
	pid_t self;

	fflush(stdout);
	self = fork_child();
	if (!self) {
		become(uid, caps);
		if (fd == -2)
			fd = capture_try_open();
		_exit(-(fd == -1 ? command(letter, pid) :
				   command_by_fd(fd, letter, pid)));
	}
	if (waitpid(self, &status, 0) != self || !WIFEXITED(status))
		errx(1, "the child that writes %c failed", letter);
	return -WEXITSTATUS(status);
}

/* Open a file as a user, in a process that remains root's. */
static int open_as(uid_t uid, const char *path)
{
	int fd;

	if (setresgid(uid, uid, 0) || setresuid(uid, uid, 0))
		err(1, "setresuid");
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (setresuid(0, 0, 0) || setresgid(0, 0, 0))
		err(1, "setresuid");
	if (fd < 0)
		err(1, "%s", path);
	prctl(PR_SET_DUMPABLE, 1);

	return fd;
}

static void test_descriptors(void)
{
	pid_t roots = start_target(0, 0), users = start_target(USER, 0);
	struct capture c = capture_map(open_as(USER, CAPTURE_PATH));
	struct capture root = capture_open();
	struct history h;
	pid_t pid;

	set_interval("10");
	ok(capture_command(&c, 'R', roots) == -EPERM &&
	   capture_command(&c, 'F', roots) == -EPERM,
	   "root cannot register root's process in a capture that a user opened");
	ok(!capture_command(&c, 'R', users) && !capture_command(&c, 'U', users),
	   "root can register a user's process in a capture that the user opened");
	ok(command_as(USER, 0, root.fd, 'R', roots) == -EPERM &&
	   command_as(STRANGER, 0, root.fd, 'F', users) == -EPERM &&
	   command_as(STRANGER, 0, c.fd, 'F', users) == -EPERM,
	   "a user cannot register another's process in a capture that root or that user opened");
	ok(!command_as(USER, 0, root.fd, 'R', users) &&
	   command_as(STRANGER, 0, root.fd, 'U', users) == -EPERM &&
	   !command_as(USER, 0, root.fd, 'U', users),
	   "a user can register its own process in a capture that root opened");

	/* A process may name itself: but the opener gets no record of it. */
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		capture_command(&c, 'F', getpid());
		touch(100);
		sleep_ms(100);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	h = history_of(&c, pid);
	ok(!h.records && !h.identities && capture_has(&c, 0),
	   "a user's capture has no record of a root process that registers itself in it");
	capture_close(&c);
	capture_close(&root);
	kill_and_reap(roots);
	kill_and_reap(users);
}

/* ---- The status file ---- */

/* Which of the two the status file lists: 1 the user's, 2 root's, 4 others. */
static int list_as(uid_t uid, uint64_t caps, int fd, pid_t users, pid_t roots)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		char text[4096], *line;
		int found = 0;
		ssize_t size;

		become(uid, caps);
		if (fd < 0)
			fd = open(MP3_STATUS_PATH, O_RDONLY);
		size = pread(fd, text, sizeof(text) - 1, 0);
		if (size < 0)
			_exit(64);
		text[size] = '\0';
		for (line = text; *line; line = strchr(line, '\n') + 1)
			found |= atoi(line) == users ? 1 :
				 atoi(line) == roots ? 2 : 4;
		_exit(found);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void test_status(void)
{
	pid_t users = start_target(USER, 0), roots = start_target(0, 0);
	int fd = open_as(STRANGER, MP3_STATUS_PATH);
	int root_fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);

	set_interval("10");
	command_or_die('R', users);
	command_or_die('R', roots);
	ok_eq(list_as(0, ~0ull >> 24, -1, users, roots), 3,
	      "the status file lists all processes to root");
	ok_eq(list_as(USER, 0, -1, users, roots), 1,
	      "the status file lists a user's processes to the user, and no other's");
	ok_eq(list_as(STRANGER, 0, -1, users, roots), 0,
	      "the status file lists no other user's processes to a user");
	ok(list_as(STRANGER, CAP(CAP_PERFMON), -1, users, roots) == 3 &&
	   list_as(STRANGER, CAP(CAP_SYS_PTRACE), -1, users, roots) == 3,
	   "the status file lists all processes to a reader with CAP_PERFMON or CAP_SYS_PTRACE");
	ok(!list_as(0, ~0ull >> 24, fd, users, roots) &&
	   !list_as(STRANGER, 0, root_fd, users, roots) &&
	   list_as(USER, 0, root_fd, users, roots) == 1,
	   "the status file lists what both its opener and its reader may profile");
	close(fd);
	close(root_fd);
	kill_and_reap(users);
	kill_and_reap(roots);
	wait_idle(&ring);
}

/* ---- Permitted capabilities ---- */

static void test_capabilities(void)
{
	pid_t pid = start_target(USER, CAP(CAP_NET_RAW) | CAP(CAP_SYSLOG));
	bool good = true;
	int fd;

	set_interval("10");
	for (fd = -2; fd <= -1; fd++)
		good &= command_as(USER, 0, fd, 'R', pid) == -EPERM &&
			command_as(USER, 0, fd, 'F', pid) == -EPERM &&
			command_as(USER, 0, fd, 'U', pid) == -EPERM &&
			command_as(USER, CAP(CAP_NET_RAW), fd, 'R', pid) ==
			-EPERM;
	ok(good, "a user cannot register its own process that has more capabilities");
	for (fd = -2, good = true; fd <= -1; fd++) {
		good &= !command_as(USER, CAP(CAP_NET_RAW) | CAP(CAP_SYSLOG),
				    fd, 'R', pid);
		if (fd == -1)
			good &= !command('U', pid);
	}
	ok(good, "a user can register its own process that has the same permitted capabilities");
	for (fd = -2, good = true; fd <= -1; fd++) {
		good &= !command_as(USER, CAP(CAP_SYS_PTRACE), fd, 'R', pid);
		if (fd == -1)
			good &= !command('U', pid);
		good &= !command_as(USER, CAP(CAP_PERFMON), fd, 'F', pid);
		if (fd == -1)
			good &= !command('U', pid);
	}
	ok(good, "CAP_SYS_PTRACE or CAP_PERFMON suffices to register a more capable process");
	kill_and_reap(pid);
	wait_idle(&ring);
}

/* ---- The opener itself ---- */

/* A user's process that is undumpable has itself in its capture: 0 or a failure. */
static int capture_itself(void *arg)
{
	struct mp3_record record, last = { 0 };
	uint64_t i, min_flt = 0;
	struct capture c;

	(void)arg;
	if (prctl(PR_SET_DUMPABLE, 0))
		return 1;
	c = capture_open();
	capture_command_or_die(&c, 'R', getpid());
	touch(100);
	wait_ticks(&c);
	touch(100);
	capture_command_or_die(&c, 'U', getpid());
	for (i = 0; i < capture_head(&c); i++) {
		record = capture_at(&c, i);
		if (record.flags == MP3_IDENTITY)
			continue;
		min_flt += record.min_flt;
		last = record;
	}

	return min_flt < 200 || !(last.flags & MP3_LAST) || c.header->denied;
}

/* What a capture has of its opener: the exit status of opener_main(). */
enum own_records { OWN_COMPLETE, OWN_DENIED, OWN_WRONG };

/*
 * Fault, and look for that in the capture of this process after @since_ns: 100
 * faults in two intervals, or nothing. Another process keeps the sampler at work.
 */
static enum own_records own_records(const struct capture *c, uint64_t since_ns)
{
	uint64_t i, records = 0, min_flt = 0;
	struct mp3_record record;

	touch(50);
	wait_ticks(c);
	touch(50);
	wait_ticks(c);
	for (i = 0; i < capture_head(c); i++) {
		record = capture_at(c, i);
		if (record.flags == MP3_IDENTITY || record.time_ns < since_ns)
			continue;
		records++;
		min_flt += record.min_flt;
	}
	if (min_flt >= 100 && !c->header->denied && capture_processes(c) == 1)
		return OWN_COMPLETE;
	if (!records && c->header->denied == 1 && !capture_processes(c))
		return OWN_DENIED;
	return OWN_WRONG;
}

/*
 * Runs a program. "exec FD": it was executed by the opener of the capture FD, in
 * which it is registered. "open", "change": it opens a capture, registers itself,
 * and in the second case becomes its user's again.
 */
static int opener_main(char **argv)
{
	uint64_t now = now_ns();
	struct capture c;

	if (!strcmp(argv[0], "exec")) {
		c = capture_map(atoi(argv[1]));
		return own_records(&c, now);
	}
	if (geteuid() != STRANGER)
		return OWN_WRONG;
	c = capture_open();
	capture_command_or_die(&c, 'R', getpid());
	if (!strcmp(argv[0], "open"))
		return own_records(&c, now);
	if (own_records(&c, now) != OWN_COMPLETE || seteuid(getuid()))
		return OWN_WRONG;
	return own_records(&c, now_ns());
}

/* Open a capture of this process, and execute a program. */
static int capture_and_execute(void *path)
{
	int fd = open(CAPTURE_PATH, O_RDWR);
	char number[12];

	if (fd < 0 || command_by_fd(fd, 'R', getpid()))
		return OWN_WRONG;
	snprintf(number, sizeof(number), "%d", fd);
	execl(path, path, "opener", "exec", number, NULL);
	return OWN_WRONG;
}

/* Execute a set-user-ID program that opens a capture. */
static int execute_opener(void *role)
{
	execl(STRANGER_PROGRAM, "opener", "opener", role, "", NULL);
	return OWN_WRONG;
}

static void test_own(void)
{
	pid_t pid = sleeper();

	set_interval("10");
	command_or_die('R', pid);
	ok(!run_as(USER, capture_itself, NULL),
	   "an undumpable process has its own records in its capture");
	ok_eq(run_as(USER, execute_opener, "open"), OWN_COMPLETE,
	      "a set-user-ID program has its own records in its capture");
	ok_eq(run_as(USER, execute_opener, "change"), OWN_DENIED,
	      "a set-user-ID program that changes its credentials leaves its capture");
	ok_eq(run_as(USER, capture_and_execute, PLAIN_PROGRAM), OWN_COMPLETE,
	      "the opener of a capture keeps its records when it executes an ordinary program");
	ok_eq(run_as(USER, capture_and_execute, STRANGER_PROGRAM), OWN_DENIED,
	      "the opener of a capture leaves it by executing a set-user-ID program");
	ok_eq(run_as(USER, capture_and_execute, UNREADABLE_PROGRAM), OWN_DENIED,
	      "the opener of a capture leaves it by executing a program that it cannot read");
	kill_and_reap(pid);
	wait_idle(&ring);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	unsigned int seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
	bool capable;
	int change;

	if (argc > 2 && !strcmp(argv[1], "program"))
		return program_main(argv + 2);
	if (argc > 2 && !strcmp(argv[1], "drop"))
		return drop_main(argv[2]);
	if (argc > 3 && !strcmp(argv[1], "opener"))
		return opener_main(argv + 2);

	ring = ring_open();
	copy_program(SETUID_PROGRAM, 04755);
	copy_program(PLAIN_PROGRAM, 0755);
	copy_program(UNREADABLE_PROGRAM, 0711);
	copy_program(STRANGER_PROGRAM, 0755);
	if (chown(STRANGER_PROGRAM, STRANGER, 0) ||
	    chmod(STRANGER_PROGRAM, 04755))
		err(1, "%s", STRANGER_PROGRAM);
	capable = copy_capable();
	for (change = 0; change < ORDINARY; change++) {
		if (change == FILE_CAPS && !capable)
			skip("no record follows the exec of a program with capabilities",
			     "no extended attributes");
		else
			test_change(change, rounds, &seed);
	}
	test_dropped();
	test_capable_opener();
	test_descriptors();
	test_status();
	test_capabilities();
	test_own();
	ok(sampler_stops(&ring), "nothing is registered at the end");
	unlink(SETUID_PROGRAM);
	unlink(PLAIN_PROGRAM);
	unlink(CAPABLE_PROGRAM);
	unlink(STRANGER_PROGRAM);
	unlink(UNREADABLE_PROGRAM);

	return done();
}
