// SPDX-License-Identifier: GPL-2.0
/*
 * What a user's capture must not locate: of a followed process that has become
 * somebody else's, more capable or undumpable, not one fault is recorded after
 * that moment, even if the process returns to its user. Root's capture of the
 * same processes has these faults.
 *
 * Usage: located_privacy [ROUNDS [SEED]]
 *
 * ROUNDS are batches of each kind of change. By default, 1,024 processes run a setuid
 * program, which took 18 s on 6.1, and each other change has one batch. With 16, each
 * change but that with a thread has as many processes.
 *
 * Of 1,024 processes each that ran a setuid program, made themselves undumpable, did so
 * for a moment, or took the ids of another user for a moment, no fault was located on
 * 6.1, twice.
 *
 * "located_privacy program ..." is what the followed processes run.
 *
 * vm: -m 2048
 */
#include <sys/xattr.h>

#include "located.h"

#define USER		1000
#define STRANGER	1001
#define SETUID_PROGRAM	"/tmp/located-setuid"
#define CAPABLE_PROGRAM	"/tmp/located-capable"
#define PLAIN_PROGRAM	"/tmp/located-plain"
#define MAX_BATCH	64
#define NR_ORDINARY	8	/* in each batch; divides its size */

static struct ring ring;

/**
 * enum change - how a followed process stops being its user's
 * @SETUID:      it runs a setuid root program
 * @OTHER_USER:  it runs such a program, which becomes another user
 * @BACK:        it runs such a program, which becomes the user again and runs
 *               another program
 * @FILE_CAPS:   it runs a program with capabilities, which is dumpable
 * @UNDUMPABLE:  it makes itself undumpable
 * @THREADS:     the same, with a second thread that faults all the time
 * @DUMPABLE:    it makes itself undumpable, faults, and is dumpable again
 * @IDS:         it takes the ids of another user, faults, and takes its own again
 */
enum change {
	SETUID, OTHER_USER, BACK, FILE_CAPS, UNDUMPABLE, THREADS, DUMPABLE, IDS,
	NR_CHANGES
};

/**
 * struct kind - one kind of change, by enum change
 * @name:   what a process does
 * @rounds: batches by default
 * @batch:  processes in one
 */
static const struct kind {
	const char *name;
	unsigned int rounds, batch;
} kinds[NR_CHANGES] = {
	{ "runs a setuid program", 16, MAX_BATCH },
	{ "runs a setuid program that becomes another user", 1, MAX_BATCH },
	{ "runs a setuid program and becomes its user's again", 1, MAX_BATCH },
	{ "runs a program with file capabilities", 1, MAX_BATCH },
	{ "makes itself undumpable", 1, MAX_BATCH },
	/* Its faults would lap the ring if there were more of them. */
	{ "makes itself undumpable while another thread faults", 1, 8 },
	{ "makes itself undumpable for a moment", 1, MAX_BATCH },
	{ "takes the ids of another user for a moment", 1, MAX_BATCH },
};

/* ---- What the followed processes do ---- */

static int program_main(char **argv)
{
	enum change change = atoi(argv[0]);

	touch(20);
	switch (change) {
	case OTHER_USER:
		if (setresuid(STRANGER, STRANGER, STRANGER) ||
		    prctl(PR_SET_DUMPABLE, 1))
			return 1;
		break;
	case BACK:
		if (setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
			return 1;
		execl(PLAIN_PROGRAM, "plain", "program", "99", NULL);
		return 1;
	case FILE_CAPS:
		if (prctl(PR_SET_DUMPABLE, 1))
			return 1;
		break;
	default:
		break;
	}
	touch(20);
	/* Over several ticks */
	usleep(20000);
	touch(20);

	return 0;
}

static volatile bool thread_runs;

static void *fault_forever(void *arg)
{
	for (;;) {
		touch(4);
		thread_runs = true;
	}
	return arg;
}

/**
 * struct moment - when a process changed; shared
 * @pid:     the process
 * @time_ns: no fault may be recorded from here on
 */
struct moment {
	pid_t pid;
	uint64_t time_ns;
};

/* Run a program, with nothing left to fault between the moment and exec. */
static void __attribute__((noreturn))
run_program(enum change change, struct moment *moment)
{
	const char *path = change == FILE_CAPS ? CAPABLE_PROGRAM :
						 SETUID_PROGRAM;
	char number[12];
	const char * const argv[] = { path, "program", number, NULL };
	static char *const environment[] = { NULL };
	int i;

	snprintf(number, sizeof(number), "%d", change);
	for (i = 0; i < 2; i++) {
		moment->time_ns = now_ns();
		call_kernel(SYS_execve, (long)(i ? path : "/nowhere"),
			    (long)argv, (long)environment, 0, 0, 0);
	}
	_exit(1);
}

/* Runs as the user, followed: change, note the moment, and fault. */
static void __attribute__((noreturn))
change_self(enum change change, int delay, struct moment *moment)
{
	pthread_t thread;

	moment->pid = getpid();
	touch(delay % 20);
	if (delay % 3 == 0)
		usleep(delay);
	if (change == THREADS) {
		if (pthread_create(&thread, NULL, fault_forever, NULL))
			_exit(1);
		while (!thread_runs)
			usleep(100);
	}
	switch (change) {
	case SETUID:
	case OTHER_USER:
	case BACK:
	case FILE_CAPS:
		run_program(change, moment);
	case IDS:
		if (setresuid(STRANGER, STRANGER, STRANGER) ||
		    prctl(PR_SET_DUMPABLE, 1))
			_exit(1);
		break;
	default:
		if (prctl(PR_SET_DUMPABLE, 0))
			_exit(1);
	}
	moment->time_ns = now_ns();
	touch(10);
	if (change == IDS && setresuid(USER, USER, USER))
		_exit(1);
	if (change >= DUMPABLE && prctl(PR_SET_DUMPABLE, 1))
		_exit(1);
	touch(10);
	usleep(delay);
	touch(10);
	_exit(0);
}

/* ---- A batch of followed processes ---- */

/**
 * struct batch - the processes of one round; shared with the user
 * @nr:        how many change
 * @moments:   of those that change
 * @ordinary:  those that change nothing
 * @faults:    of these, by wait4(2)
 * @self:      the user's process, which follows itself
 * @failed:    a process could not change
 * @exact:     the ordinary ones have all their faults located
 * @leaked:    faults that the user's capture has after the moments
 * @before:    faults that it has before
 * @strangers: faults of any other process
 * @roots:     faults that root's capture has after the moments
 */
struct batch {
	unsigned int nr;
	struct moment moments[MAX_BATCH];
	pid_t ordinary[NR_ORDINARY];
	uint64_t faults[NR_ORDINARY];
	pid_t self;
	bool failed, exact;
	unsigned int leaked, before, strangers, roots;
};

/* Return whether @pid is one that changes, and if so, whether it had at @time. */
static bool find_moment(const struct batch *batch, uint32_t pid, uint64_t time,
			bool *changed)
{
	unsigned int i;

	for (i = 0; i < batch->nr; i++) {
		if (batch->moments[i].pid != (pid_t)pid)
			continue;
		*changed = time >= batch->moments[i].time_ns;
		return true;
	}
	return false;
}

static void check_user(const struct fault_ring *r, struct batch *batch)
{
	uint64_t located[NR_ORDINARY] = { 0 }, i;
	bool changed, own;
	unsigned int j;

	for (i = 0; i < fault_head(r); i++) {
		struct mp3_fault f = fault_at(r, i);

		own = f.pid == (uint32_t)batch->self;
		for (j = 0; j < NR_ORDINARY; j++) {
			own |= f.pid == (uint32_t)batch->ordinary[j];
			located[j] += f.pid == (uint32_t)batch->ordinary[j];
		}
		if (!find_moment(batch, f.pid, f.time_ns, &changed)) {
			batch->strangers += !own;
			continue;
		}
		batch->before += !changed;
		if (!changed)
			continue;
		if (!batch->leaked++)
			diag_fault("leaked", &f);
	}
	batch->exact = true;
	for (j = 0; j < NR_ORDINARY; j++)
		batch->exact &= located[j] == batch->faults[j];
}

static void check_root(const struct fault_ring *r, struct batch *batch)
{
	bool changed;
	uint64_t i;

	for (i = 0; i < fault_head(r); i++) {
		struct mp3_fault f = fault_at(r, i);

		if (find_moment(batch, f.pid, f.time_ns, &changed))
			batch->roots += changed;
	}
}

/*
 * Runs as the user: follow and locate this process, and have children change.
 * @go is closed when root's capture follows this process as well.
 */
static void __attribute__((noreturn))
run_batch(struct batch *batch, enum change change, unsigned int seed, int go)
{
	pid_t pids[MAX_BATCH];
	struct usage usage;
	struct fault_ring r;
	struct capture c;
	unsigned int i, nr = 0;
	int status;
	pid_t pid;
	char byte;

	become(USER, change == IDS ? CAP(CAP_SETUID) : 0);
	batch->self = getpid();
	c = capture_open();
	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	if (read(go, &byte, 1))
		err(1, "read");
	capture_command_or_die(&c, 'F', getpid());
	for (i = 0; i < batch->nr; i++) {
		pids[i] = fork_child();
		if (!pids[i])
			change_self(change, rand_r(&seed) % 20000,
				    &batch->moments[i]);
		rand_r(&seed);
		if (i % (batch->nr / NR_ORDINARY))
			continue;
		pid = fork_child();
		if (!pid) {
			touch(nr);
			_exit(0);
		}
		usage = wait_usage(pid);
		batch->faults[nr] = usage.min_flt + usage.maj_flt;
		batch->ordinary[nr++] = pid;
	}
	for (i = 0; i < batch->nr; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status)
			batch->failed = true;
	capture_command_or_die(&c, 'U', getpid());
	fault_ring_settle(&r);
	check_user(&r, batch);
	_exit(0);
}

static void run_user(struct batch *batch, enum change change, unsigned int seed)
{
	struct capture root = capture_open();
	struct fault_ring r;
	int go[2], status;
	pid_t pid;

	memset(batch, 0, sizeof(*batch));
	batch->nr = kinds[change].batch;
	if (pipe(go))
		err(1, "pipe");
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		close(go[1]);
		/* What it inherits would keep root's capture alive. */
		capture_close(&root);
		run_batch(batch, change, seed, go[0]);
	}
	close(go[0]);
	locate_or_die(root.fd, 1, 0);
	r = fault_ring_map(root.fd);
	capture_command_or_die(&root, 'F', pid);
	close(go[1]);
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the user's process ended with status %#x", status);
	fault_ring_settle(&r);
	check_root(&r, batch);
	fault_ring_unmap(&r);
	capture_close(&root);
}

static void test_change(enum change change, unsigned int rounds,
			unsigned int *seed)
{
	static const char * const intervals[] = { "50", "10", "2", "1000" };
	const char *name = kinds[change].name;
	uint64_t start = now_ns();
	struct batch *batch = shared_memory(sizeof(*batch));
	unsigned int i, leaked = 0, strangers = 0, processes = 0;
	bool exact = true, seen = true;

	if (!rounds)
		rounds = kinds[change].rounds;
	for (i = 0; i < rounds; i++) {
		set_interval(intervals[i % ARRAY_SIZE(intervals)]);
		run_user(batch, change, (*seed)++);
		if (batch->failed)
			errx(1, "a process failed to change: %s", name);
		leaked += batch->leaked;
		strangers += batch->strangers;
		processes += batch->nr;
		exact &= batch->exact;
		seen &= batch->before && batch->roots >= 10 * batch->nr;
	}
	diag("%u processes in %lu ms", processes,
	     (unsigned long)((now_ns() - start) / 1000000));
	if (!ok(!leaked, "no fault is located after a process %s", name))
		diag("%u faults", leaked);
	ok(seen, "root's capture locates the faults of a process that %s", name);
	ok(exact && !strangers,
	   "a user's capture has its own children's faults, and no others, next to one that %s",
	   name);
	munmap(batch, sizeof(*batch));
}

/*
 * Run as a user with CAP_SYS_PTRACE, but without CAP_PERFMON: locate @pid, a
 * stranger's. Exits with 0 if its faults were counted, and none was located.
 */
static void __attribute__((noreturn)) locate_stranger(pid_t pid)
{
	struct fault_ring r;
	struct capture c;
	int i;

	become(USER, CAP(CAP_SYS_PTRACE));
	c = capture_open();
	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	capture_command_or_die(&c, 'R', pid);
	for (i = 0; i < 1000 && !(r.header->counted && r.header->denied); i++)
		sleep_ms(10);
	capture_command_or_die(&c, 'U', pid);
	fault_ring_settle(&r);
	_exit(!(r.header->counted && !r.header->located &&
		r.header->denied == 1 && !c.header->denied));
}

static void test_ptrace_capability(pid_t stranger)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork_child();
	if (!pid)
		locate_stranger(stranger);
	ok(waitpid(pid, &status, 0) == pid && !status,
	   "with CAP_SYS_PTRACE alone, a stranger's faults are counted, not located, and the header of faults counts the process");
}

/* ---- Files and programs ---- */

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

/* A stranger that faults all the time. */
static pid_t start_stranger(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork_child();
	if (pid)
		return pid;
	become(STRANGER, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		_exit(1);
	for (;;) {
		touch(10);
		usleep(1000);
	}
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 1 ? atoi(argv[1]) : 0;
	unsigned int seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
	bool capable;
	int change;
	pid_t pid;

	if (argc > 2 && !strcmp(argv[1], "program"))
		return program_main(argv + 2);

	ring = ring_open();
	write_file(USER_FAULTS_PATH, "1");
	copy_program(SETUID_PROGRAM, 04755);
	copy_program(PLAIN_PROGRAM, 0755);
	capable = copy_capable();
	pid = start_stranger();
	for (change = 0; change < NR_CHANGES; change++) {
		if (change == FILE_CAPS && !capable)
			skip("no fault is located after the exec of a program with capabilities",
			     "no extended attributes");
		else
			test_change(change, rounds, &seed);
	}
	set_interval("10");
	test_ptrace_capability(pid);
	kill_and_reap(pid);
	ok(sampler_stops(&ring), "nothing is registered at the end");
	unlink(SETUID_PROGRAM);
	unlink(PLAIN_PROGRAM);
	unlink(CAPABLE_PROGRAM);

	return done();
}
