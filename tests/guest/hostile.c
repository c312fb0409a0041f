// SPDX-License-Identifier: GPL-2.0
/*
 * Hostile users: what one user does with commands, forks and its own memory is
 * bounded, and others go on. These checks count, or use limits far from what they
 * measure; "starve" measures delays.
 *
 * Takes about a minute.
 */
#include <linux/fuse.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "hostile.h"
#include "located.h"

#define LOOP_MS		2000
#define PER_S		40	/* entries that a user can cause per second */
#define MAX_HELD	1024	/* exited processes that are held */
#define MAX_HELD_KB	65536	/* and their memory */
#define NR_FORKS	6000
#define NR_LOOKED_FOR	512	/* so many are looked for every 50 ms */
#define NR_AT_ONCE	560
#define NR_LOOP		360	/* so few are not looked for */
#define NR_BEFORE	300	/* pages */
#define NR_WAITING	60	/* commands of one user that wait at once */
#define NR_THREADS	300	/* of a process for which R and U read many counts */
#define LOOP_KB		1536	/* of slab memory; their tasks take 3 MiB */

/* ---- Functions with a time limit ---- */

/* What takes longer, hangs, also on a slow machine. */
static unsigned int timeout_ms = 30000;

/* Wait for a child. Returns false if it has not exited in time. */
static bool exits(pid_t pid, int *status)
{
	unsigned int ms;

	for (ms = 0; ms < timeout_ms; ms += 10) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		sleep_ms(10);
	}
	return false;
}

/* Kill a child. Returns false if it has not exited in time. */
static bool dies(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	return exits(pid, &status);
}

/* Start a child that is this user, and runs a function that returns 0..127. */
static pid_t start_as(uid_t uid, int (*function)(void *arg), void *arg)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	if (uid)
		log_in(uid);
	_exit(function(arg));
}

/* Returns whether a function returns 0 in time. Prints what it does instead. */
static bool completes_as(uid_t uid, int (*function)(void *arg), void *arg)
{
	pid_t pid = start_as(uid, function, arg);
	int status;

	if (!exits(pid, &status)) {
		diag("it hangs");
		kill(pid, SIGKILL);
		return false;
	}
	if (status)
		diag("step %d failed", WEXITSTATUS(status));

	return !status;
}

/* All commands but F, the list, and a capture. */
static int use_without_f(void *unused)
{
	pid_t pid = sleeper();
	int fd;

	(void)unused;
	if (command('R', pid) || listed(pid) != 1 || command('U', pid))
		return 1;
	fd = capture_try_open();
	if (fd < 0)
		return 2;
	if (command_by_fd(fd, 'R', pid) || command_by_fd(fd, 'U', pid))
		return 3;
	close(fd);

	return 0;
}

static int use_f(void *unused)
{
	pid_t pid = sleeper();
	int ret;

	(void)unused;
	ret = command('F', pid);
	if (ret)
		diag("F: %s", strerror(-ret));
	return ret || command('U', pid);
}

static int use_all(void *unused)
{
	return use_without_f(unused) ?: use_f(unused) ? 4 : 0;
}

/* ---- Loops of commands ---- */

static int sleep_forever(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return 0;
}

/**
 * struct loop - commands that a process writes again and again
 * @path:   to which file
 * @letter: the command, in turn with U
 * @target: for which process
 */
struct loop {
	const char *path;
	char letter;
	pid_t target;
};

static int write_loop(void *arg)
{
	static char page[COMMANDS_SIZE];
	const struct loop *loop = arg;
	int fd = open(loop->path, O_RDWR | O_CLOEXEC);
	ssize_t size = commands_in_turn(page, loop->letter, loop->target);

	while (write(fd, page, size) == size)
		;
	return 1;
}

/*
 * Have a capture of this process's own hold it for moments, with something to report
 * each time.
 */
static int join_loop(void *letter)
{
	int fd = capture_try_open();

	while (fd >= 0) {
		touch(1);
		if (command_by_fd(fd, *(char *)letter, getpid()))
			return 1;
		touch(1);
		if (command_by_fd(fd, 'U', getpid()))
			return 2;
	}
	return 3;
}

/* The same, but have the close of the capture end it. */
static int reopen_loop(void *letter)
{
	for (;;) {
		int fd = capture_try_open();

		if (fd < 0)
			return 1;
		touch(1);
		if (command_by_fd(fd, *(char *)letter, getpid()))
			return 2;
		close(fd);
	}
}

/* The same of locating, in a capture that holds it all the time. */
static int locate_loop(void *unused)
{
	int fd = capture_try_open();

	(void)unused;
	if (fd < 0 || command_by_fd(fd, 'R', getpid()))
		return 1;
	for (;;) {
		touch(1);
		if (locate(fd, 1, 0))
			return 2;
		touch(1);
		if (locate(fd, 0, 0))
			return 3;
	}
}

/* Check the number of entries that a loop, and the sampler, have made. */
static void check_rate(uint64_t made, uint64_t start_ns, const char *name)
{
	double seconds = (now_ns() - start_ns) / 1e9;

	if (!ok(made && made <= seconds * PER_S + 2, "%s", name))
		diag("%llu in %.1f s", (unsigned long long)made, seconds);
}

/* Loops of the first command and U, while nothing else is registered. */
static void test_samples(char letter, const char *name, const char *killed)
{
	struct ring ring = ring_open();
	pid_t target = start_as(ATTACKER, sleep_forever, NULL), writer;
	struct loop loop = { MP3_STATUS_PATH, letter, target };
	uint64_t head, start_ns;

	sleep_ms(100);
	wait_idle(&ring);
	head = ring_head(&ring);
	start_ns = now_ns();
	writer = start_as(ATTACKER, write_loop, &loop);
	sleep_ms(LOOP_MS);
	check_rate(ring_head(&ring) - head, start_ns, name);
	ok(dies(writer), "%s", killed);
	dies(target);
	wait_idle(&ring);
}

/* A process that has records made in its own capture, while another one holds it. */
static void test_records(int (*loop)(void *arg), char letter, const char *name)
{
	struct capture capture = capture_open();
	pid_t target = start_as(ATTACKER, loop, &letter);
	uint64_t head, start_ns;
	int status;

	sleep_ms(100);
	capture_command_or_die(&capture, 'R', target);
	wait_ticks(&capture);
	start_ns = now_ns();
	head = capture_head(&capture);
	sleep_ms(LOOP_MS);
	check_rate(capture_head(&capture) - head, start_ns, name);
	if (waitpid(target, &status, WNOHANG))
		errx(1, "the loop fails with status %d", status);
	dies(target);
	capture_close(&capture);
}

/*
 * R of a registered process fails. Its new entry has been in no table: the kernel
 * need not wait until its readers have gone.
 */
static void test_free_at_once(void)
{
	static const char name[] = "R that fails leaves no memory to RCU";
	pid_t target = sleeper();
	int fd = status_open(O_WRONLY), i, calls;

	if (fail_call(getpid(), "kvfree_call_rcu", 0, 0, 0)) {
		skip(name, "no kprobe at kvfree_call_rcu");
		return;
	}
	command_by_fd(fd, 'R', target);
	calls = probe_calls();
	for (i = 0; i < 1000; i++)
		if (command_by_fd(fd, 'R', target) != -EEXIST)
			errx(1, "R does not fail");
	calls = probe_calls() - calls;
	if (!ok(calls < 10, "%s", name))
		diag("%d entries of 1000", calls);
	fail_unload();
	command_by_fd(fd, 'U', target);
	close(fd);
	dies(target);
}

/* ---- Forks ---- */

/*
 * A function of its own: the child shares the stack of its parent, so it could count
 * in a loop's variable.
 */
static __attribute__((noinline)) bool vfork_once(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	return waitpid(pid, NULL, 0) == pid;
}

static int fork_storm(void *pipe)
{
	char byte;
	int i;

	if (read(*(int *)pipe, &byte, 1) != 1)
		return 1;
	for (i = 0; i < NR_FORKS / 2; i++)
		if (!vfork_once())
			return 2;
	return 0;
}

/* Returns the number of last records from entry @from on. */
static unsigned int count_last(const struct capture *c, uint64_t from,
			       pid_t except)
{
	uint64_t head = capture_head(c);
	unsigned int last = 0;

	if (head - from > c->capacity - 2)
		errx(1, "the ring has lapped");
	for (; from < head; from++) {
		struct mp3_record record = capture_at(c, from);

		last += record.flags & MP3_LAST && record.pid != (uint32_t)except;
	}
	return last;
}

/*
 * Follow two processes that fork, in the classic registry or a capture, without a
 * tick: to set the interval restarts it. That also has the module look how many
 * processes there are, which it must do without, so it is rare. The commands for
 * another process update the header.
 */
static void test_storm(bool in_capture, const char *held, const char *last)
{
	struct capture ring = in_capture ? capture_open() : classic_open();
	struct ring samples = ring_open();
	pid_t other = sleeper(), forkers[2];
	int fd = in_capture ? ring.fd : status_open(O_WRONLY), pipes[2], status;
	unsigned int max = 0, i, running = 2;
	uint64_t head = capture_head(&ring), set_ns;
	long free = free_kib(), kb = 0;

	if (pipe(pipes))
		err(1, "pipe");
	set_interval("10000");
	set_ns = now_ns();
	for (i = 0; i < 2; i++) {
		forkers[i] = start_as(ATTACKER, fork_storm, &pipes[0]);
		if (command_by_fd(fd, 'F', forkers[i]))
			errx(1, "F");
	}
	if (write(pipes[1], "ab", 2) != 2)
		err(1, "write");
	while (running) {
		if (now_ns() - set_ns > 7000000000ull) {
			set_interval("10000");
			set_ns = now_ns();
		}
		command_by_fd(fd, 'R', other);
		if (capture_processes(&ring) > max)
			max = capture_processes(&ring);
		if (free - free_kib() > kb)
			kb = free - free_kib();
		command_by_fd(fd, 'U', other);
		sleep_ms(5);
		for (i = 0; i < 2; i++)
			if (forkers[i] &&
			    waitpid(forkers[i], &status, WNOHANG) > 0) {
				if (status)
					errx(1, "a forker failed");
				forkers[i] = 0;
				running--;
			}
	}
	/* Half as many may die until a sampler that is late has its turn. */
	if (!access(KMEMLEAK_PATH, F_OK))
		kb = 0;		/* A debug kernel uses more memory. */
	if (!ok(max <= MAX_HELD + MAX_HELD / 2 && kb <= MAX_HELD_KB, "%s", held))
		diag("%u were held, in %ld kB", max, kb);
	set_interval("20");
	if (!in_capture) {
		wait_idle(&samples);
		if (!ok_eq(count_last(&ring, head, other), NR_FORKS + 2, last))
			diag("%lu entries, %lu dropped",
			     (unsigned long)(capture_head(&ring) - head),
			     (unsigned long)ring.header->dropped);
	}
	kill_and_reap(other);
	sampler_stops(&samples);
	set_interval("50");
	capture_close(&ring);
	close(samples.fd);
	munmap((void *)samples.header, PAGE);
	munmap((void *)samples.samples, samples.data_size);
}

static int fork_loop(void *pipe)
{
	char byte;
	int i;

	if (read(*(int *)pipe, &byte, 1) != 1)
		return 1;
	for (i = 0; i < NR_LOOP; i++)
		if (!vfork_once())
			return 2;
	return 0;
}

/* Touches pages, and exits when it may. */
static int touch_before(void *pipe)
{
	char byte;

	touch(NR_BEFORE);
	return read(*(int *)pipe, &byte, 1) != 1;
}

/* Returns the minor faults in the records of a process from entry @from on. */
static unsigned long recorded_faults(const struct capture *c, uint64_t from,
				     pid_t pid)
{
	unsigned long faults = 0;

	for (; from < capture_head(c); from++) {
		struct mp3_record record = capture_at(c, from);

		if (record.pid == (uint32_t)pid && !(record.flags & MP3_IDENTITY))
			faults += record.min_flt;
	}
	return faults;
}

/* Let a process begin that waits for a byte, and wait until it has exited. */
static void let_run(int fd, pid_t pid)
{
	int status;

	if (write(fd, "", 1) != 1 || waitpid(pid, &status, 0) < 0 || status)
		errx(1, "process %d fails", pid);
}

/*
 * Register a process, and follow one that forks in a loop, and waits for each child.
 * All exit without a tick. They are registered until the next one, but need little
 * memory.
 */
static void test_loop(void)
{
	struct capture ring = classic_open();
	uint64_t head = capture_head(&ring);
	static const char name[] =
		"360 exited children of a loop hold less than 1.5 MiB until the next tick";
	struct ring samples = ring_open();
	int fd = status_open(O_WRONLY), pipes[2], others[2];
	pid_t forker, other;
	long kb;

	if (pipe(pipes) || pipe(others))
		err(1, "pipe");
	forker = start_as(0, fork_loop, &pipes[0]);
	other = start_as(0, touch_before, &others[0]);
	wait_state(other, 'S');
	set_interval("10000");
	if (command_by_fd(fd, 'F', forker) || command_by_fd(fd, 'R', other))
		errx(1, "F, R");
	let_run(others[1], other);
	kb = slab_kb();
	let_run(pipes[1], forker);
	kb = slab_kb() - kb;
	/* Its quarantine has what is free. */
	if (!access(KMEMLEAK_PATH, F_OK))
		skip(name, "KASAN");
	else if (!ok(kb < LOOP_KB, "%s", name))
		diag("%ld kB", kb);
	set_interval("20");
	wait_idle(&samples);
	ok(recorded_faults(&ring, head, other) < NR_BEFORE,
	   "the record of a process that exits next to a loop has no faults from before R");
	set_interval("50");
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	close(others[0]);
	close(others[1]);
	capture_close(&ring);
	close(samples.fd);
	munmap((void *)samples.header, PAGE);
	munmap((void *)samples.samples, samples.data_size);
}

/* Touches pages when it may, and exits. */
static int touch_once(void *pipe)
{
	char byte;

	if (read(*(int *)pipe, &byte, 1) != 1)
		return 1;
	touch(10);
	return 0;
}

/*
 * Wait without a tick until at most one process is held, or fewer than are looked for
 * between two ticks and no longer fewer. Returns how many are.
 */
static unsigned int wait_collected(const struct ring *ring)
{
	unsigned int nr = NR_AT_ONCE, before, same = 0;
	uint64_t set_ns = 0;
	int i;

	for (i = 0; i < 6000 && nr > 1 && same < 30; i++) {
		before = nr;
		nr = __atomic_load_n(&ring->header->processes, __ATOMIC_ACQUIRE);
		same = nr < NR_LOOKED_FOR && nr == before ? same + 1 : 0;
		if (now_ns() - set_ns > 7000000000ull) {
			set_interval("10000");
			set_ns = now_ns();
		}
		sleep_ms(10);
	}
	return nr;
}

/*
 * Let a process touch pages, and it and many others exit between two ticks. Returns
 * how many are held then.
 */
static unsigned int exit_at_once(const struct ring *samples, int fd)
{
	pid_t *pids, toucher;
	int pipes[2], status;
	unsigned int i;

	if (pipe(pipes))
		err(1, "pipe");
	set_interval("10000");
	toucher = start_as(0, touch_once, &pipes[0]);
	pids = crowd_start(NR_AT_ONCE);
	command_many(fd, 'R', &toucher, 1);
	command_many(fd, 'R', pids, NR_AT_ONCE);
	if (write(pipes[1], "", 1) != 1 || waitpid(toucher, &status, 0) < 0 || status)
		errx(1, "a process that touches pages fails");
	for (i = 0; i < NR_AT_ONCE; i++)
		kill_and_reap(pids[i]);
	free(pids);
	close(pipes[0]);
	close(pipes[1]);

	return wait_collected(samples);
}

/*
 * All registered processes exit between two ticks, with a sample still to come. If the
 * machine is too slow for all of them to exit between two looks for exited processes,
 * try again.
 */
static void test_exit_at_once(void)
{
	struct capture ring = classic_open();
	struct ring samples = ring_open();
	uint64_t entry = capture_head(&ring), sample = ring_head(&samples);
	unsigned int nr, most = 0, attempt = 0;
	int fd = status_open(O_WRONLY);
	unsigned long faults = 0;

	do {
		nr = exit_at_once(&samples, fd);
		most = nr > most ? nr : most;
		set_interval("20");
		wait_idle(&samples);
	} while (nr > 1 && ++attempt < 10);
	if (nr > 1)
		diag("in no attempt did all processes exit between two looks");
	ok(most < NR_LOOKED_FOR,
	   "of 560 processes that exit at once, fewer than 512 are held before the next tick");

	for (; entry < capture_head(&ring); entry++)
		faults += capture_at(&ring, entry).min_flt *
			  !(capture_at(&ring, entry).flags & MP3_IDENTITY);
	if (!ok(faults >= 10 && ring_sum(&samples, sample).min_flt == faults,
		"the sample of processes that are collected before a tick has their faults"))
		diag("%lu in the records, %lu in %lu samples", faults,
		     ring_sum(&samples, sample).min_flt,
		     ring_sum(&samples, sample).samples);
	set_interval("50");
	close(fd);
	close(samples.fd);
	munmap((void *)samples.header, PAGE);
	munmap((void *)samples.samples, samples.data_size);
	capture_close(&ring);
}

/*
 * Let processes have a record, and exit between two ticks. Each has memory of its own and
 * a session, so that they hold more than others.
 */
static void test_memory(void)
{
	static const char name[] =
		"the exited processes that are held at once hold at most 64 MiB after a record";
	const long max_held = PAGE < 65536 ? MAX_HELD : MAX_HELD * 3 / 4;
	struct ring samples = ring_open();
	int fd = status_open(O_WRONLY);
	pid_t pids[NR_LOOP];
	unsigned int i, nr;
	long kb;

	for (i = 0; i < NR_LOOP; i++)
		pids[i] = start_as(ATTACKER, sleep_forever, NULL);
	set_interval("20");
	command_many(fd, 'R', pids, NR_LOOP);
	/* Several ticks. */
	sleep_ms(500);
	for (i = 0; i < NR_LOOP; i++) {
		/* Without a tick, on a slow machine as well. */
		if (i % 64 == 0)
			set_interval("10000");
		kill_and_reap(pids[i]);
	}
	set_interval("10000");
	/* Until what they do not hold is free. */
	sleep_ms(1000);
	nr = samples.header->processes;
	kb = free_kib();
	set_interval("20");
	wait_idle(&samples);
	sleep_ms(1000);
	kb = free_kib() - kb;
	if (!access(KMEMLEAK_PATH, F_OK))
		skip(name, "KASAN");
	else if (!ok(nr > NR_LOOP / 2 && kb * max_held <= MAX_HELD_KB * (long)nr,
		     "%s", name))
		diag("%u hold %ld kB", nr, kb);
	set_interval("50");
	close(fd);
	close(samples.fd);
	munmap((void *)samples.header, PAGE);
	munmap((void *)samples.samples, samples.data_size);
}

/* ---- Memory that the kernel waits for ---- */

/**
 * struct blocked - a system call that waits for memory
 * @what:   the caller, for the names of the results
 * @path:   of the file
 * @text:   what is written before the page that is missing; NULL: a read
 * @follow: write F for a sleeping process before that
 * @fuse:   the page is one of a file, which no server of FUSE delivers
 */
static const struct blocked {
	const char *what;
	const char *path;
	const char *text;
	bool follow, fuse;
} blocked_calls[] = {
	{ "a writer of the status file", MP3_STATUS_PATH, "", false, false },
	{ "a writer of F and then nothing", MP3_STATUS_PATH, "", true, false },
	{ "a reader of the status file", MP3_STATUS_PATH, NULL, false, false },
	{ "a writer of a capture", CAPTURE_PATH, "", false, false },
	{ "a writer of F and then a file in FUSE", CAPTURE_PATH, "", true, true },
};

/* Write a byte to a pipe once the page has been accessed. */
static void *wait_fault(void *fds)
{
	struct uffd_msg message;
	int uffd = ((int *)fds)[0], out = ((int *)fds)[1];

	if (read(uffd, &message, sizeof(message)) != sizeof(message) ||
	    write(out, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
	return NULL;
}

/*
 * Serve a file of one page by FUSE. Never answer a read of it, but write a byte to a
 * pipe.
 */
static void __attribute__((noreturn)) serve_file(int fuse, int pipe)
{
	static char request[1 << 16];
	const struct fuse_in_header *in = (const struct fuse_in_header *)request;

	while (read(fuse, request, sizeof(request)) > 0) {
		struct {
			struct fuse_out_header header;
			union {
				struct fuse_init_out init;
				struct fuse_attr_out attr;
				struct fuse_open_out open;
			};
		} out = { .header = { sizeof(out.header), 0, in->unique } };

		if (in->opcode == FUSE_READ) {
			if (write(pipe, "", 1) != 1)
				_exit(1);
			continue;
		} else if (in->opcode == FUSE_INIT) {
			out.init.major = FUSE_KERNEL_VERSION;
			out.init.minor = FUSE_KERNEL_MINOR_VERSION;
			out.init.max_write = PAGE;
			out.header.len += sizeof(out.init);
		} else if (in->opcode == FUSE_GETATTR) {
			out.attr.attr.size = PAGE;
			out.attr.attr.mode = S_IFREG | 0666;
			out.header.len += sizeof(out.attr);
		} else if (in->opcode == FUSE_OPEN) {
			out.header.len += sizeof(out.open);
		} else {
			out.header.error = -EIO;
		}
		/* Fails for a request that has no answer. */
		if (write(fuse, &out, out.header.len) < 0 && errno != ENOENT)
			break;
	}
	_exit(0);
}

/* Map a page of such a file. Returns false if there is no FUSE. */
static bool map_fuse(char *page, int *fds)
{
	static const char path[] = "/tmp/mp3-fuse";
	char options[80];
	struct stat st;
	pid_t server;
	int fd;

	fds[0] = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fds[0] < 0)
		return false;
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=100000,user_id=0,group_id=0", fds[0]);
	close(open(path, O_CREAT | O_CLOEXEC, 0600));
	if (mount("fuse", path, "fuse", 0, options))
		err(1, "FUSE");
	server = fork_child();
	if (!server) {
		log_in(ATTACKER);
		serve_file(fds[0], fds[1]);
	}
	close(fds[0]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || mmap(page, PAGE, PROT_READ,
					     MAP_PRIVATE | MAP_FIXED, fd,
					     0) != page ||
	    umount2(path, MNT_DETACH))
		err(1, "%s", path);

	return true;
}

/* Have accesses of a page wait. Returns false if there is no userfaultfd. */
static bool map_missing(char *page, int *fds)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register missing = {
		.range = { (uintptr_t)page, PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	pthread_t thread;

	fds[0] = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fds[0] < 0)
		return false;
	if (ioctl(fds[0], UFFDIO_API, &api) ||
	    ioctl(fds[0], UFFDIO_REGISTER, &missing) ||
	    pthread_create(&thread, NULL, wait_fault, fds))
		err(1, "userfaultfd");

	return true;
}

/*
 * Start a process of the attacker that is stuck in a system call, in a page that
 * is never delivered. Returns it, or 0 if the kernel has no such pages.
 */
static pid_t start_blocked(const struct blocked *call)
{
	int pipes[2], fds[2], fd;
	size_t before;
	char *pages, byte;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		err(1, "pipe");
	pid = fork_child();
	if (pid) {
		close(pipes[1]);
		if (read(pipes[0], &byte, 1) != 1)
			errx(1, "%s does not block", call->what);
		close(pipes[0]);
		if (byte) {
			waitpid(pid, NULL, 0);
			return 0;
		}
		return pid;
	}

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fds[1] = pipes[1];
	if (!(call->fuse ? map_fuse : map_missing)(pages + PAGE, fds))
		_exit(write(pipes[1], "x", 1) != 1);
	log_in(ATTACKER);
	fd = open(call->path, O_RDWR | O_CLOEXEC);
	/* Empty lines do nothing. The module copies a line at a time. */
	memset(pages, '\n', PAGE);
	before = 0;
	if (call->follow) {
		before = 70;
		sprintf(pages + PAGE - before, "F,%d", sleeper());
		*strchr(pages + PAGE - before, '\0') = '\n';
	}
	if (call->text) {
		if (write(fd, pages + PAGE - before, before + 16) < 0)
			err(1, "write");
	} else {
		command_or_die('R', getpid());
		if (read(fd, pages + PAGE, 16) < 0)
			err(1, "read");
	}
	_exit(0);
}

static int unload_busy(void *unused)
{
	int ret = unload();

	(void)unused;
	return ret != -EBUSY && ret != -EWOULDBLOCK;
}

static void test_blocked(const struct blocked *call)
{
	pid_t pid = start_blocked(call), unloader;
	int status;

	if (!pid) {
		skip(call->what, call->fuse ? "no FUSE" : "no userfaultfd");
		return;
	}
	ok(completes_as(STRANGER, use_all, NULL),
	   "%s that waits for its memory does not stop a stranger", call->what);
	ok(completes_as(ATTACKER, use_all, NULL),
	   "%s that waits for its memory does not stop its own user", call->what);
	unloader = start_as(0, unload_busy, NULL);
	ok(exits(unloader, &status) && !status,
	   "%s that waits for its memory has the unloading refused", call->what);
	/* FUSE has a reader wait for the answer, also one that is killed. */
	if (call->fuse)
		kill_user(ATTACKER);
	ok(dies(pid), "%s that waits for its memory can be killed%s", call->what,
	   call->fuse ? " with the server" : "");
	waitpid(unloader, NULL, 0);
	kill_user(ATTACKER);
	/* The unloading may have continued. */
	if (access(MP3_STATUS_PATH, F_OK))
		load_or_die("");
}

/* ---- Waiting for F ---- */

/*
 * Start a caller of F whose attaching of the fork probe is delayed: the probe must have
 * been detached, which happens a second after nothing is followed, and no capture may
 * have its own probe attached first.
 */
static pid_t start_slow_f(uid_t uid)
{
	pid_t pid = 0;

	while (!probe_calls()) {
		if (!pid || waitpid(pid, NULL, WNOHANG) == pid) {
			sleep_ms(timeout_ms / 10);
			pid = start_as(uid, use_f, NULL);
		}
		sleep_ms(10);
	}
	return pid;
}

/*
 * The first F after a pause attaches the fork probe. Delay that, and let others
 * wait for it.
 */
static void test_waiting_f(void)
{
	static const char *const names[] = {
		"the caller of a slow F can be killed",
		"a caller of F that waits for one of its own user can be killed",
		"a caller of F that waits for one of another user can be killed",
	};
	static const uid_t uids[] = { ATTACKER, ATTACKER, STRANGER };
	struct ring ring = ring_open();
	const unsigned int delay_ms = 10 * timeout_ms;	/* until fail_unload() */
	pid_t pids[ARRAY_SIZE(uids)];
	bool dead[ARRAY_SIZE(uids)];
	unsigned int i;
	int status;

	wait_idle(&ring);
	if (fail_call(0, "tracepoint_probe_register", 1, -ENOMEM, delay_ms)) {
		skip(names[0], "no kprobe at tracepoint_probe_register");
		return;
	}
	for (i = 0; i < ARRAY_SIZE(uids); i++) {
		pids[i] = i ? start_as(uids[i], use_f, NULL) :
			      start_slow_f(uids[i]);
		sleep_ms(timeout_ms / 150);
	}
	ok(completes_as(STRANGER, use_without_f, NULL),
	   "a slow F stops no R, U, list or capture");
	for (i = ARRAY_SIZE(uids); i-- > 0;) {
		if (waitpid(pids[i], &status, WNOHANG))
			errx(1, "F %u does not wait", i);
		/* The last one first: none of them has another one begin. */
		dead[i] = dies(pids[i]);
		ok(dead[i], "%s", names[i]);
	}
	fail_unload();
	for (i = 0; i < ARRAY_SIZE(uids); i++)
		if (!dead[i])
			waitpid(pids[i], NULL, 0);
	ok(completes_as(STRANGER, use_f, NULL),
	   "F works after its callers have been killed");
	kill_user(ATTACKER);
	kill_user(STRANGER);
	wait_idle(&ring);
	ok_eq(ring.header->processes, 0,
	      "F of callers that have been killed leaves nothing registered");
	close(ring.fd);
	munmap((void *)ring.header, PAGE);
	munmap((void *)ring.samples, ring.data_size);
}

/*
 * Kill the caller of an F that is at work, a delayed attaching of the fork probe, and
 * have another one begin at once: it waits for the end of the first, and for a pause of
 * the same length.
 */
static void test_killed_f(void)
{
	static const char name[] =
		"F waits for the pause after one of its user whose caller was killed";
	const unsigned int delay_ms = timeout_ms / 10;
	struct ring ring = ring_open();
	uint64_t start_ns;
	pid_t pid;

	wait_idle(&ring);
	if (fail_call(0, "tracepoint_probe_register", 1, -ENOMEM, delay_ms)) {
		skip(name, "no kprobe at tracepoint_probe_register");
		return;
	}
	pid = start_slow_f(ATTACKER);
	start_ns = now_ns();
	dies(pid);
	completes_as(ATTACKER, use_f, NULL);
	/* start_slow_f() has seen the begin 10 ms later, or more. */
	ok(now_ns() - start_ns >= 1500000ULL * delay_ms, "%s", name);
	fail_unload();
	kill_user(ATTACKER);
	wait_idle(&ring);
	close(ring.fd);
	munmap((void *)ring.header, PAGE);
	munmap((void *)ring.samples, ring.data_size);
}

/* ---- Waiting for a turn ---- */

/**
 * struct turns - what the attacker's processes count
 * @ready:  of them
 * @nr:     commands that had to wait, and are complete
 */
struct turns {
	unsigned int ready;
	unsigned int nr;
};

/*
 * Have two captures hold this process, so that each R or U in the second one has to wait
 * for its turn. Returns the second, or -1.
 */
static int hold_twice(int first, int second)
{
	pid_t pid = getpid();

	return first < 0 || second < 0 || command_by_fd(first, 'R', pid) ||
	       command_by_fd(second, 'R', pid) ? -1 : second;
}

/* Write commands that have to wait for their turn, in many processes at once. */
static int wait_for_turns(void *arg)
{
	int first = capture_try_open(), second = capture_try_open(), i, j, fd;
	struct turns *turns = arg;
	pid_t pid;

	for (i = 0; i < NR_WAITING; i++) {
		pid = fork_child();
		if (pid)
			continue;
		fd = hold_twice(first, second);
		__atomic_fetch_add(&turns->ready, 1, __ATOMIC_RELAXED);
		for (j = 0; fd >= 0 && !command_by_fd(fd, "UR"[j % 2], getpid()); j++)
			__atomic_fetch_add(&turns->nr, 1, __ATOMIC_RELAXED);
		_exit(1);
	}
	return sleep_forever(NULL);
}

/*
 * Returns how many commands of the attacker are executed during two of the caller. One
 * alone may arrive when the gate is just free, and overtake those that wait.
 */
static int turns_of_others(void *arg)
{
	int fd = hold_twice(capture_try_open(), capture_try_open());
	const struct turns *turns = arg;
	unsigned int before = __atomic_load_n(&turns->nr, __ATOMIC_RELAXED);

	if (fd < 0 || command_by_fd(fd, 'U', getpid()))
		return 127;
	/* Until one of those that wait has the gate again. */
	sleep_ms(20);
	if (command_by_fd(fd, 'R', getpid()))
		return 127;
	before = __atomic_load_n(&turns->nr, __ATOMIC_RELAXED) - before;
	return before < 126 ? before : 126;
}

static void *wait_thread(void *unused)
{
	return sleep_forever(unused) ? unused : NULL;
}

/* The same for R and U of a process of many threads in the classic registry. */
static int turns_with_threads(void *arg)
{
	const struct turns *turns = arg;
	unsigned int before, i;
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	for (i = 0; i < NR_THREADS; i++)
		if (pthread_create(&thread, &attr, wait_thread, NULL))
			return 127;
	before = __atomic_load_n(&turns->nr, __ATOMIC_RELAXED);
	if (command('R', getpid()))
		return 127;
	sleep_ms(20);
	if (command('U', getpid()))
		return 127;
	before = __atomic_load_n(&turns->nr, __ATOMIC_RELAXED) - before;
	return before < 126 ? before : 126;
}

static int turns_in_namespace(void *arg)
{
	return unshare(CLONE_NEWUSER) ? 127 : turns_of_others(arg);
}

/* The same as a user, or -1 if that fails. */
static int turns_as(uid_t uid, int (*function)(void *arg), struct turns *turns)
{
	pid_t pid = start_as(uid, function, turns);
	int status;

	if (!exits(pid, &status) || !WIFEXITED(status) || WEXITSTATUS(status) == 127) {
		diag("user %u cannot write its commands", uid);
		dies(pid);
		return -1;
	}
	return WEXITSTATUS(status);
}

/*
 * Returns a user whose id has the same hash of 8 bits, by hash_32() of the kernel, as that
 * of another one.
 */
static uid_t with_hash_of(uid_t other)
{
	uid_t uid = other + 2;

	while ((uint32_t)(uid * 0x61C88647u) >> 24 !=
	       (uint32_t)(other * 0x61C88647u) >> 24)
		uid++;
	return uid;
}

/* Commands of one user that wait for their turns are executed one by one. */
static void test_turns(void)
{
	struct turns *turns = shared_memory(sizeof(*turns));
	pid_t attacker = start_as(ATTACKER, wait_for_turns, turns);
	unsigned int before, i;
	int nr;

	for (i = 0; i < 6000 && turns->ready < NR_WAITING; i++)
		sleep_ms(10);
	before = turns->nr;
	for (i = 0; i < 6000 && turns->nr < before + 4; i++)
		sleep_ms(10);
	nr = turns_as(STRANGER, turns_of_others, turns);
	if (!ok(nr >= 0 && nr < NR_WAITING / 4,
		"a command that waits for its turn does not wait for those of another user"))
		diag("%d", nr);
	nr = turns_as(with_hash_of(ATTACKER), turns_of_others, turns);
	if (!ok(nr >= 0 && nr < NR_WAITING / 4,
		"a command that waits does not wait for a user whose id has the same hash"))
		diag("%d", nr);
	nr = turns_as(ATTACKER, turns_in_namespace, turns);
	if (!ok(nr > NR_WAITING / 2,
		"a command that waits for its turn in a user namespace waits for the owner's"))
		diag("%d", nr);
	nr = turns_as(ATTACKER, turns_with_threads, turns);
	if (!ok(nr > NR_WAITING / 2,
		"R and U of a process of many threads wait for commands of its user"))
		diag("%d", nr);
	nr = turns_as(STRANGER, turns_with_threads, turns);
	if (!ok(nr >= 0 && nr < NR_WAITING / 4,
		"R and U of a process of many threads do not wait for those of another user"))
		diag("%d", nr);
	dies(attacker);
	kill_user(ATTACKER);
	kill_user(STRANGER);
}

int main(void)
{
	unsigned int i;

	raise_limits();
	/* A debug kernel takes ten times as long. */
	if (!access(KMEMLEAK_PATH, F_OK))
		timeout_ms *= 10;
	/* While no device is open, only the status file can pin the module. */
	for (i = 0; i < ARRAY_SIZE(blocked_calls); i++)
		test_blocked(&blocked_calls[i]);
	test_waiting_f();
	test_killed_f();
	test_turns();
	test_free_at_once();
	test_samples('R', "R and U in a loop make at most 40 samples per second",
		     "a process that writes R and U in a loop can be killed");
	test_samples('F', "F and U in a loop make at most 40 samples per second",
		     "a process that writes F and U in a loop can be killed");
	test_records(join_loop, 'R',
		     "a process that joins and leaves a capture by R makes at most 40 records per second in another");
	test_records(join_loop, 'F',
		     "a process that joins and leaves a capture by F makes at most 40 records per second in another");
	test_records(reopen_loop, 'R',
		     "a process that joins a capture by R and closes it makes at most 40 records per second in another");
	test_records(reopen_loop, 'F',
		     "a process that joins a capture by F and closes it makes at most 40 records per second in another");
	write_file(USER_FAULTS_PATH, "1");
	test_records(locate_loop, 'L',
		     "a process that L in a loop locates makes at most 40 records per second in another capture");
	write_file(USER_FAULTS_PATH, "0");
	test_storm(false,
		   "the classic registry holds at most 1,024 of 6,000 children that exit between two ticks, in 64 MiB",
		   "each of 6,000 children that exit between two ticks has a last record");
	test_storm(true,
		   "a capture holds at most 1,024 of 6,000 children that exit between two ticks, in 64 MiB",
		   NULL);
	test_loop();
	test_memory();
	test_exit_at_once();

	return done();
}
