/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a hostile user has: crowds of processes, pages of commands, and captures.
 * Shared by the test of hostile users and the benchmark.
 */
#ifndef MP3_HOSTILE_H
#define MP3_HOSTILE_H

#include <grp.h>
#include <sched.h>
#include <sys/syscall.h>

#include "capture.h"

#define ATTACKER	1000	/* uid of the hostile user */
#define STRANGER	1001	/* uid of another user */
#define COMMANDS_SIZE	4096	/* of the longest write */

/* Returns the number in a line of a file that begins with @key, or 0. */
static inline long number_in(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[256];
	long number = 0;

	if (!file)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			sscanf(line + strlen(key), "%ld", &number);
	fclose(file);

	return number;
}

/*
 * Returns how much memory is free in KiB, with the pages that each CPU keeps for its
 * next allocations: these can be tens of MiB, which MemFree does not include.
 */
static inline long free_kib(void)
{
	FILE *zones = fopen("/proc/zoneinfo", "re");
	long kib = number_in("/proc/meminfo", "MemFree:"), pages;
	char line[256];

	if (!zones)
		err(1, "/proc/zoneinfo");
	while (fgets(line, sizeof(line), zones))
		if (sscanf(line, " count: %ld", &pages) == 1)
			kib += pages * (PAGE / 1024);
	fclose(zones);

	return kib;
}

/* Returns the size of the kernel's slab memory in KiB. */
static inline long slab_kib(void)
{
	return number_in("/proc/meminfo", "Slab:");
}

/*
 * Returns how many task structures the kernel has beyond those of living threads:
 * the dead that something still holds, and some hundred that are cached.
 */
static inline long dead_tasks(void)
{
	FILE *file = fopen("/proc/loadavg", "re");
	long living;

	if (!file || fscanf(file, "%*s %*s %*s %*d/%ld", &living) != 1)
		errx(1, "/proc/loadavg has no number of threads");
	fclose(file);

	return number_in("/proc/slabinfo", "task_struct ") - living;
}

/* Let a user have many processes. */
static inline void raise_limits(void)
{
	struct rlimit limit = { 100000, 100000 };

	if (setrlimit(RLIMIT_NPROC, &limit))
		err(1, "setrlimit");
}

/* Become a user in a session of its own, which ends with this process's parent. */
static inline void log_in(uid_t uid)
{
	setsid();
	if (setgroups(0, NULL))
		err(1, "setgroups");
	become_user(uid);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static inline int kill_all(void *unused)
{
	(void)unused;
	return kill(-1, SIGKILL) && errno != ESRCH;
}

/* Kill all processes of a user. */
static inline void kill_user(uid_t uid)
{
	if (run_as(uid, kill_all, NULL))
		errx(1, "cannot kill the processes of user %u", uid);
}

static inline int crowd_body(void *unused)
{
	(void)unused;
	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
	return 0;
}

/*
 * Start @nr children that sleep, and share the memory of this process, so that
 * they are cheap. Returns their pids.
 */
static inline pid_t *crowd_start(unsigned int nr)
{
	const size_t stack = 4096;
	pid_t *pids = calloc(nr, sizeof(*pids));
	char *stacks = mmap(NULL, nr * stack, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	if (!pids || stacks == MAP_FAILED)
		err(1, "crowd");
	for (i = 0; i < nr; i++) {
		pids[i] = clone(crowd_body, stacks + (i + 1) * stack,
				CLONE_VM | SIGCHLD, NULL);
		if (pids[i] < 0)
			err(1, "clone %u", i);
	}
	return pids;
}

/*
 * Fill a page with a command for each pid, as far as they fit. Returns the number
 * of pids, and in @size the bytes.
 */
static inline unsigned int commands_for(char *page, size_t *size, char letter,
					const pid_t *pids, unsigned int nr)
{
	unsigned int i;

	*size = 0;
	for (i = 0; i < nr && *size < COMMANDS_SIZE - 16; i++)
		*size += sprintf(page + *size, "%c,%d\n", letter, pids[i]);
	return i;
}

/* Write a command for each pid to an open status file or capture. */
static inline void command_many(int fd, char letter, const pid_t *pids,
				unsigned int nr)
{
	static char page[COMMANDS_SIZE];
	unsigned int taken;
	size_t size;

	for (; nr; pids += taken, nr -= taken) {
		taken = commands_for(page, &size, letter, pids, nr);
		if (write(fd, page, size) != (ssize_t)size)
			err(1, "%c for %u processes", letter, taken);
	}
}

/*
 * Fill a page with the command @letter and U for a process, again and again.
 * Returns the bytes.
 */
static inline size_t commands_in_turn(char *page, char letter, pid_t pid)
{
	size_t size = 0;

	while (size < COMMANDS_SIZE - 32)
		size += sprintf(page + size, "%c,%d\nU,%d\n", letter, pid, pid);
	return size;
}

/* Open the status file. Exits on failure. */
static inline int status_open(int flags)
{
	int fd = open(MP3_STATUS_PATH, flags | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", MP3_STATUS_PATH);
	return fd;
}

#endif /* MP3_HOSTILE_H */
