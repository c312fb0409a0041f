// SPDX-License-Identifier: GPL-2.0
/*
 * Failing allocations: for each action that a user can request of the module, its
 * first allocation fails, then its second, and so on until none is left. An action
 * that fails returns an errno and leaves nothing; then it succeeds.
 *
 * The kernel makes them fail by /proc/thread-self/fail-nth, if it is built with
 * fault injection. It treats copies from and to user space as allocations. Its
 * kmemleak finds memory that an action has left behind.
 *
 * Usage: faults [captures]
 *
 * "faults captures" leaves out the classic registry and rings. "faults exit" is
 * what a process executes to call the exec probe.
 *
 * vm: -t 900
 */
#include <linux/capability.h>
#include <signal.h>

#include "capture.h"
#include "tree.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define DEBUGFS		"/sys/kernel/debug"
#define CHILDREN	3
#define MAX_CAPTURES	63
#define NR_SINGLE_STEPS	40	/* larger steps follow: F fills a reserve */

/**
 * struct action - an action that a user can request of the module
 * @name:              its name in test results
 * @perform:           performs it; returns 0 or an errno
 * @undo:              reverts it after it has succeeded
 * @must_not_allocate: nothing but the copy of its command, which is tried again,
 *	may fail
 * @attaches_probe:    it attaches a probe that is detached a second after @undo
 */
struct action {
	const char *name;
	int (*perform)(void);
	void (*undo)(void);
	bool must_not_allocate;
	bool attaches_probe;
};

static int fail_fd, status_fd, device;
static struct capture capture = { .fd = -1 };	/* for the actions on one */
static pid_t pid;		/* a process with CHILDREN children */
static size_t page;
static void *mapping;
static char *data;		/* a mapping for do_touch() */
static int pipe_fds[2];

/* From here on, make the @nth allocation of this thread fail; 0: none. */
static void fail_nth(int nth)
{
	char text[20];
	int len = snprintf(text, sizeof(text), "%d", nth), i;

	/* The old number may make the copy of the new one fail. */
	for (i = 0; i < 2; i++)
		if (pwrite(fail_fd, text, len, 0) == len)
			return;
	err(1, FAIL_NTH);
}

/* Let no allocation fail. Returns how many were left to go before the failure. */
static int fail_none(void)
{
	char text[20] = "1";

	/* The read itself may be what fails: then one was left. */
	if (pread(fail_fd, text, sizeof(text) - 1, 0) < 0 && errno != EFAULT)
		err(1, FAIL_NTH);
	fail_nth(0);

	return atoi(text);
}

static int write_command(char letter)
{
	return -command_by_fd(status_fd, letter, pid);
}

static int do_register(void)
{
	return write_command('R');
}

static int do_follow(void)
{
	return write_command('F');
}

static void undo_register(void)
{
	char *text = status_text(), *line;

	for (line = text; *line; line = strchr(line, '\n') + 1)
		command_or_die('U', atoi(line));
	free(text);
}

static int do_unregister(void)
{
	return write_command('U');
}

static void undo_unregister(void)
{
	command_or_die('R', pid);
}

static int do_open(void)
{
	device = open(MP3_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	return device < 0 ? errno : 0;
}

static void undo_open(void)
{
	close(device);
}

static void *map_data(void)
{
	return mmap(NULL, 128 * page, PROT_READ | PROT_WRITE, MAP_SHARED,
		    ring.fd, 0);
}

static int do_mmap(void)
{
	mapping = map_data();
	return mapping == MAP_FAILED ? errno : 0;
}

static void undo_mmap(void)
{
	munmap(mapping, 128 * page);
}

/* A system call, since the kernel would retry an access until it succeeds. */
static int do_touch(void)
{
	return write(pipe_fds[1], data, 1) == 1 ? 0 : errno;
}

/* Map again, so that the next access allocates the page and its tables. */
static void undo_touch(void)
{
	munmap(data, 128 * page);
	data = map_data();
	if (data == MAP_FAILED)
		err(1, "mmap");
}

static int do_list(void)
{
	int fd = open(MP3_STATUS_PATH, O_RDONLY | O_CLOEXEC), ret;
	char text[64];

	if (fd < 0)
		return errno;
	ret = read(fd, text, sizeof(text)) < 0 ? errno : 0;
	close(fd);

	return ret;
}

static void undo_list(void)
{
}

/* ---- Captures ---- */

/* Gain or drop what makes the opener of a capture a privileged one. */
static void set_privileged(bool on)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	const int caps[] = { CAP_PERFMON, CAP_SYS_PTRACE };
	struct __user_cap_data_struct data[2];
	size_t i;

	if (syscall(SYS_capget, &header, data))
		err(1, "capget");
	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		__u32 bit = 1u << caps[i] % 32;

		if (on)
			data[caps[i] / 32].effective |= bit;
		else
			data[caps[i] / 32].effective &= ~bit;
	}
	if (syscall(SYS_capset, &header, data))
		err(1, "capset");
}

static int do_open_capture(void)
{
	device = open(CAPTURE_PATH, O_RDWR | O_CLOEXEC);
	return device < 0 ? errno : 0;
}

static int do_capture_register(void)
{
	return -capture_command(&capture, 'R', pid);
}

static int do_capture_follow(void)
{
	return -capture_command(&capture, 'F', pid);
}

static int do_capture_unregister(void)
{
	return -capture_command(&capture, 'U', pid);
}

static void undo_capture_register(void)
{
	capture_command_or_die(&capture, 'U', pid);
}

static void undo_capture_follow(void)
{
	capture_close(&capture);
	capture = capture_open();
}

static void undo_capture_unregister(void)
{
	capture_command_or_die(&capture, 'R', pid);
}

static int do_capture_mmap(void)
{
	mapping = mmap(NULL, capture.data_size, PROT_READ, MAP_SHARED,
		       capture.fd, 0);
	return mapping == MAP_FAILED ? errno : 0;
}

static void undo_capture_mmap(void)
{
	munmap(mapping, capture.data_size);
}

static int do_capture_touch(void)
{
	return write(pipe_fds[1], (void *)capture.records, 1) == 1 ? 0 : errno;
}

static void undo_capture_touch(void)
{
	capture_unmap(&capture);
	capture = capture_map(capture.fd);
}

/* ---- Failures ---- */

/* How many processes the classic registry and the capture hold together. */
static unsigned int nr_held(void)
{
	return nr_registered() +
	       (capture.fd < 0 ? 0 : capture_processes(&capture));
}

/*
 * Make one allocation of an action after another fail. Returns how many there are,
 * or -1 if something went wrong.
 */
static int fail_each(const struct action *action, unsigned int registered)
{
	int nth, left, ret, nr_failed = 0;
	bool good = true;

	for (nth = 1;; nth += nth < NR_SINGLE_STEPS ? 1 : nth / 8) {
		fail_nth(nth);
		ret = action->perform();
		left = fail_none();
		nr_failed += ret != 0;
		if (ret && left) {
			diag("%s fails although no allocation did: %s",
			     action->name, strerror(ret));
			return -1;
		}
		/* EFAULT: a copy failed. Some failures have a fallback. */
		if (ret && ret != EFAULT &&
		    (ret != ENOMEM || action->must_not_allocate)) {
			diag("allocation %d: %s", nth, strerror(ret));
			good = false;
		}
		if (ret && nr_held() != registered) {
			diag("allocation %d: %u are registered, want %u", nth,
			     nr_held(), registered);
			good = false;
		}
		if (!ret)
			action->undo();
		if (left)
			break;
		/* Wait until the probe is detached and its reserve is freed. */
		if (action->attaches_probe)
			sleep_ms(1100);
	}
	ret = action->perform();
	if (ret)
		return -1;
	action->undo();
	diag("%s: up to allocation %d, %d failures", action->name, nth, nr_failed);

	if (action->must_not_allocate)
		return good && !nr_failed && nth == 2 ? nth : -1;

	return good && nr_failed ? nth : -1;
}

/* Start the process that the actions are about, with its children. */
static void start_processes(void)
{
	int i;

	pid = fork_child();
	setpgid(pid, 0);
	if (pid)
		return;
	for (i = 0; i < CHILDREN; i++)
		if (!fork_child())
			break;
	for (;;)
		pause();
}

/*
 * Make every allocation eligible to fail, and silence the warnings: the runner
 * takes a warning in the log for a failure. Returns false without fail-nth.
 */
static bool enable_failures(void)
{
	static const char *const knobs[][2] = {
		{ DEBUGFS "/failslab/ignore-gfp-wait", "N" },
		{ DEBUGFS "/failslab/verbose", "0" },
		{ DEBUGFS "/fail_page_alloc/ignore-gfp-wait", "N" },
		{ DEBUGFS "/fail_page_alloc/ignore-gfp-highmem", "N" },
		{ DEBUGFS "/fail_page_alloc/min-order", "0" },
		{ DEBUGFS "/fail_page_alloc/verbose", "0" },
		{ DEBUGFS "/fail_usercopy/verbose", "0" },
	};
	size_t i;

	fail_fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fail_fd < 0)
		return false;
	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		write_file(knobs[i][0], knobs[i][1]);
	return true;
}

static void test_actions(const struct action *actions, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		ok(fail_each(&actions[i], 0) > 0,
		   "%s fails cleanly whichever of its allocations fails",
		   actions[i].name);
}

/* Close a capture that follows, while the nth allocation would fail. */
static void test_capture_close(void)
{
	bool good = true, ended;
	int nth, left = 0, ret;

	for (nth = 1; !left && nth < NR_SINGLE_STEPS; nth++) {
		capture = capture_open();
		capture_command_or_die(&capture, 'F', pid);
		capture_unmap(&capture);
		fail_nth(nth);
		ret = close(capture.fd);
		left = fail_none();
		ended = sampler_stops(&ring);
		if (ret || !ended)
			diag("allocation %d: close returned %d, %s", nth, ret,
			     ended ? "nothing is registered" :
			     "the sampler still ticks");
		good &= !ret && ended;
	}
	capture.fd = -1;
	ok(good && nth == 2,
	   "close of a capture allocates nothing, and unregisters its processes");
}

/* How often a process calls a function while it runs: to fork, and to exec. */
static int calls_in_child(const char *symbol)
{
	int go[2], calls;
	pid_t child;
	char byte;

	if (pipe2(go, O_CLOEXEC))
		err(1, "pipe2");
	fflush(stdout);
	child = fork_child();
	if (!child) {
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		if (!fork_child())
			_exit(0);
		execl("/proc/self/exe", "faults", "exit", NULL);
		_exit(1);
	}
	if (!fail_load(child, symbol, 0, 0))
		errx(1, "no kprobe at %s", symbol);
	if (write(go[1], "", 1) != 1 || waitpid(child, NULL, 0) != child)
		err(1, "a child that calls %s", symbol);
	calls = probe_calls();
	fail_unload();
	close(go[0]);
	close(go[1]);

	return calls;
}

/* Wait until a probe is not called, which takes a second or so. */
static bool becomes_detached(const char *symbol)
{
	int i;

	for (i = 0; i < 60 && calls_in_child(symbol); i++)
		sleep_ms(500);
	return i < 60;
}

/* What the actions on captures have left. */
static void test_captures_left(void)
{
	static const char name[] =
		"both probes are attached for a capture, and detached after actions that failed";
	int fds[MAX_CAPTURES], nr;
	bool called;

	for (nr = 0; nr < MAX_CAPTURES; nr++) {
		fds[nr] = capture_try_open();
		if (fds[nr] < 0)
			break;
	}
	ok_eq(nr, MAX_CAPTURES, "63 captures can be opened after actions that failed");
	while (nr-- > 0)
		close(fds[nr]);
	ok(sampler_stops(&ring), "nothing is registered after actions that failed");
	if (!have_kprobes()) {
		skip(name, "no kprobes");
		return;
	}
	set_privileged(false);
	capture = capture_open();
	capture_command_or_die(&capture, 'F', getpid());
	called = calls_in_child("mp3_on_fork") && calls_in_child("mp3_on_exec");
	capture_close(&capture);
	capture.fd = -1;
	set_privileged(true);
	ok(called && becomes_detached("mp3_on_fork") &&
	   becomes_detached("mp3_on_exec"), "%s", name);
}

/* A ring of one page has few allocations: none is skipped. */
static void test_captures(void)
{
	static const struct action open_large = {
		"open of a capture of 257 pages", do_open_capture, undo_open,
		false, false
	};
	static const struct action opens[] = {
		{ "open of a capture", do_open_capture, undo_open, false,
		  false },
		{ "open of a capture by a user", do_open_capture, undo_open,
		  false, true },
	};
	static const struct action actions[] = {
		{ "R in a capture", do_capture_register, undo_capture_register,
		  false, false },
		{ "mmap of a capture", do_capture_mmap, undo_capture_mmap,
		  false, false },
		{ "the first access to a page of a capture", do_capture_touch,
		  undo_capture_touch, false, false },
	};
	static const struct action follow = {
		"F in a capture", do_capture_follow, undo_capture_follow,
		false, false
	};
	static const struct action unregister = {
		"U in a capture", do_capture_unregister,
		undo_capture_unregister, true, false
	};

	test_actions(&open_large, 1);
	close(status_fd);
	reload("capture_records=64");
	set_interval("20");
	test_actions(&opens[0], 1);
	set_privileged(false);
	sleep_ms(1100);
	test_actions(&opens[1], 1);

	capture = capture_open();
	test_actions(actions, ARRAY_SIZE(actions));
	/* With a tree followed, the probe is attached, the reserve full. */
	command_or_die('F', pid);
	ok(fail_each(&follow, CHILDREN + 1) > 0,
	   "F in a capture fails cleanly whichever of its allocations fails");
	undo_register();
	capture_command_or_die(&capture, 'R', pid);
	ok(fail_each(&unregister, 1) > 0,
	   "U in a capture allocates nothing, and copies its command again");
	capture_close(&capture);
	test_capture_close();
	set_privileged(true);
	test_captures_left();
}

static void test_classic(void)
{
	static const struct action actions[] = {
		{ "R", do_register, undo_register, false, false },
		{ "F", do_follow, undo_register, false, true },
		{ "a read of the status file", do_list, undo_list, false,
		  false },
		{ "open of " MP3_DEVICE_PATH, do_open, undo_open, false,
		  false },
		{ "mmap of " MP3_DEVICE_PATH, do_mmap, undo_mmap, false,
		  false },
		{ "the first access to a mapped page", do_touch, undo_touch,
		  false, false },
	};
	static const struct action unregister = {
		"U", do_unregister, undo_unregister, true, false
	};

	data = map_data();
	if (data == MAP_FAILED)
		err(1, "mmap");
	test_actions(actions, ARRAY_SIZE(actions));
	command_or_die('R', pid);
	ok(fail_each(&unregister, 1) > 0,
	   "U allocates nothing, and copies its command again");
	command_or_die('U', pid);
	munmap(data, 128 * page);
}

int main(int argc, char **argv)
{
	bool captures_only = argc > 1 && !strcmp(argv[1], "captures");

	if (argc > 1 && !captures_only)
		return strcmp(argv[1], "exit") != 0;

	page = getpagesize();
	/* First: what they inherited would keep the module loaded. */
	start_processes();
	open_rings();
	status_fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);
	if (status_fd < 0 || pipe(pipe_fds))
		err(1, MP3_STATUS_PATH);
	if (!enable_failures()) {
		skip("an action fails cleanly whichever of its allocations fails",
		     "no fail-nth in this kernel");
		return done();
	}
	if (!captures_only)
		test_classic();
	test_captures();
	kill(-pid, SIGKILL);

	return done();
}
