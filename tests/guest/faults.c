// SPDX-License-Identifier: GPL-2.0
/*
 * Failing allocations: for each action that a user can request of the module, its
 * first allocation fails, then its second, and so on until none is left. An action
 * that fails returns an errno and leaves nothing; then it succeeds.
 *
 * The kernel makes them fail by /proc/thread-self/fail-nth, if it is built with
 * fault injection. It treats copies from and to user space as allocations.
 */
#include <signal.h>

#include "tree.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define DEBUGFS		"/sys/kernel/debug"
#define CHILDREN	3
#define NR_SINGLE_STEPS	40	/* larger steps follow: F fills a reserve */

/**
 * struct action - an action that a user can request of the module
 * @name:              its name in test results
 * @perform:           performs it; returns 0 or an errno
 * @undo:              reverts it after it has succeeded
 * @must_not_allocate: nothing but the copy of its command may fail
 */
struct action {
	const char *name;
	int (*perform)(void);
	void (*undo)(void);
	bool must_not_allocate;
};

static int fail_fd, status_fd, device;
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
		if (ret && nr_registered() != registered) {
			diag("allocation %d: %u are registered, want %u", nth,
			     nr_registered(), registered);
			good = false;
		}
		if (!ret)
			action->undo();
		if (left)
			break;
		/* Wait until the reserve is freed, so that F fills it again. */
		if (action->perform == do_follow)
			sleep_ms(1100);
	}
	ret = action->perform();
	if (ret)
		return -1;
	action->undo();
	diag("%s: up to allocation %d, %d failures", action->name, nth, nr_failed);

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

int main(void)
{
	static const struct action actions[] = {
		{ "R", do_register, undo_register, false },
		{ "F", do_follow, undo_register, false },
		{ "a read of the status file", do_list, undo_list, false },
		{ "open of " MP3_DEVICE_PATH, do_open, undo_open, false },
		{ "mmap of " MP3_DEVICE_PATH, do_mmap, undo_mmap, false },
		{ "the first access to a mapped page", do_touch, undo_touch,
		  false },
	};
	size_t i;

	page = getpagesize();
	open_rings();
	start_processes();
	status_fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);
	if (status_fd < 0)
		err(1, MP3_STATUS_PATH);
	if (!enable_failures()) {
		skip("an action fails cleanly whichever of its allocations fails",
		     "no fail-nth in this kernel");
		return done();
	}
	data = map_data();
	if (data == MAP_FAILED || pipe(pipe_fds))
		err(1, "mmap or pipe");
	for (i = 0; i < ARRAY_SIZE(actions); i++)
		ok(fail_each(&actions[i], 0) > 0,
		   "%s fails cleanly whichever of its allocations fails",
		   actions[i].name);
	command_or_die('R', pid);
	ok(fail_each(&(struct action){ "U", do_unregister, undo_unregister, true },
		     1) > 0,
	   "U allocates nothing");
	command_or_die('U', pid);
	kill(-pid, SIGKILL);

	return done();
}
