// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation that fails: for each thing one can ask of the module, its
 * first allocation fails, then its second, and so on until none is left. What
 * is refused is refused by an errno and leaves nothing; then the same works.
 *
 * The kernel fails them, by /proc/thread-self/fail-nth, where it is built to;
 * copies from and to user space count as allocations there.
 */
#include <signal.h>

#include "tree.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define DEBUGFS		"/sys/kernel/debug"
#define CHILDREN	3
#define ONE_BY_ONE	40	/* then in growing steps: F fills a reserve */

/**
 * struct act - something that one can ask of the module
 * @name: what it is
 * @act:  does it: 0 or an errno
 * @undo: takes back what succeeded
 * @needs_none: only the copy of its line can fail
 */
struct act {
	const char *name;
	int (*act)(void);
	void (*undo)(void);
	bool needs_none;
};

static int fail_fd, status_fd, device;
static pid_t pid;		/* a process with CHILDREN */
static size_t page;
static void *mapping;
static char *data;		/* for the first touch */
static int pipe_fds[2];

/* From here on, the @nth allocation of this thread fails; 0: none. */
static void fail_nth(int nth)
{
	char text[20];
	int len = snprintf(text, sizeof(text), "%d", nth), i;

	/* The copy of the new number may be the one that the old one fails. */
	for (i = 0; i < 2; i++)
		if (pwrite(fail_fd, text, len, 0) == len)
			return;
	err(1, FAIL_NTH);
}

/* None fails any more; returns how many were still to go. */
static int fail_none(void)
{
	char text[20] = "1";

	/* Likewise: then that one was left. */
	if (pread(fail_fd, text, sizeof(text) - 1, 0) < 0 && errno != EFAULT)
		err(1, FAIL_NTH);
	fail_nth(0);

	return atoi(text);
}

static int give(char letter)
{
	char line[20];
	int len = snprintf(line, sizeof(line), "%c,%d", letter, pid);

	return write(status_fd, line, len) == len ? 0 : errno;
}

static int do_register(void)
{
	return give('R');
}

static int do_follow(void)
{
	return give('F');
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
	return give('U');
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

/* By a system call: an access would be tried again until it succeeds. */
static int do_touch(void)
{
	return write(pipe_fds[1], data, 1) == 1 ? 0 : errno;
}

/* The page, and the tables that led there, come anew the next time. */
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

static void undo_nothing(void)
{
}

/* One allocation after another: how many there were, or -1 if one went wrong. */
static int fail_each(const struct act *act, unsigned int registered)
{
	int nth, left, ret, failed = 0;
	bool good = true;

	for (nth = 1;; nth += nth < ONE_BY_ONE ? 1 : nth / 8) {
		fail_nth(nth);
		ret = act->act();
		left = fail_none();
		failed += ret != 0;
		if (ret && left) {
			diag("%s fails by itself: %s", act->name, strerror(ret));
			return -1;
		}
		/* EFAULT: a copy. A failure may also be made good for. */
		if (ret && ret != EFAULT && (ret != ENOMEM || act->needs_none)) {
			diag("allocation %d: %s", nth, strerror(ret));
			good = false;
		}
		if (ret && nr_registered() != registered) {
			diag("allocation %d: %u are registered, %u were", nth,
			     nr_registered(), registered);
			good = false;
		}
		if (!ret)
			act->undo();
		if (left)
			break;
		/* The reserve is kept for a second, and then tried anew. */
		if (act->act == do_follow)
			sleep_ms(1100);
	}
	ret = act->act();
	if (ret)
		return -1;
	act->undo();
	diag("%s: up to allocation %d, %d times refused", act->name, nth, failed);

	return good && failed ? nth : -1;
}

static void start_family(void)
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

/* Warnings of each failure would look like trouble in the log. */
static bool prepare(void)
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
	static const struct act acts[] = {
		{ "R", do_register, undo_register, false },
		{ "F", do_follow, undo_register, false },
		{ "the list", do_list, undo_nothing, false },
		{ "open", do_open, undo_open, false },
		{ "mmap", do_mmap, undo_mmap, false },
		{ "first touch", do_touch, undo_touch, false },
	};
	size_t i;

	page = getpagesize();
	open_rings();
	start_family();
	status_fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);
	if (status_fd < 0)
		err(1, MP3_STATUS_PATH);
	if (!prepare()) {
		skip("each allocation fails once", "no fail-nth in this kernel");
		return done();
	}
	data = map_data();
	if (data == MAP_FAILED || pipe(pipe_fds))
		err(1, "mmap or pipe");
	for (i = 0; i < ARRAY_SIZE(acts); i++)
		ok(fail_each(&acts[i], 0) > 0,
		   "%s: each of its allocations fails once, and nothing stays",
		   acts[i].name);
	command_or_die('R', pid);
	ok(fail_each(&(struct act){ "U", do_unregister, undo_unregister, true },
		     1) > 0,
	   "U: allocates nothing");
	command_or_die('U', pid);
	kill(-pid, SIGKILL);

	return done();
}
