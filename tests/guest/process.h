/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What several tests do with processes: share memory with children, keep the
 * CPUs busy, read what a process has used so far, and wait for its state.
 */
#ifndef MP3_PROCESS_H
#define MP3_PROCESS_H

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "test.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_CPUS	64

/* Zeroed memory that the children forked from here on share. */
static inline void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	return memory;
}

/* Move this process to a CPU, if there is such a CPU. */
static inline void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Kill and reap a child. Returns true if it was alive until then. */
static inline bool kill_and_reap(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

/* Fork a child with the flags of clone(2), and the exit signal, in @flags. */
static inline pid_t clone_with(uint64_t flags)
{
	/* The order of the arguments of clone(2) depends on the architecture. */
	struct clone_args args = {
		.flags = flags & ~(uint64_t)CSIGNAL,
		.exit_signal = flags & CLONE_PARENT ? 0 : flags & CSIGNAL,
	};
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		err(1, "clone3");
	return pid;
}

/* Start, or end, one busy process for each CPU. */
static inline void keep_cpus_busy(bool on)
{
	static pid_t spinners[MAX_CPUS];
	int i, cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (i = 0; i < cpus && i < MAX_CPUS; i++) {
		if (!on) {
			kill_and_reap(spinners[i]);
			continue;
		}
		spinners[i] = fork_child();
		while (!spinners[i])
			;
	}
}

/* Copy this program to @path, owned by root. */
static inline void copy_program(const char *path, mode_t mode)
{
	char line[80];

	snprintf(line, sizeof(line), "cp -f /proc/%d/exe %s", getpid(), path);
	if (system(line) || chown(path, 0, 0) || chmod(path, mode))
		errx(1, "%s", line);
}

/* Write a command to an open status file. Returns 0 or -errno. */
static inline int command_by_fd(int fd, char letter, pid_t pid)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "%c,%d", letter, pid);

	return write(fd, line, len) < 0 ? -errno : 0;
}

/* ---- What a process has used ---- */

struct usage {
	long min_flt, maj_flt, cpu_us;
};

static inline struct usage usage_of(const struct rusage *rusage)
{
	return (struct usage){
		.min_flt = rusage->ru_minflt,
		.maj_flt = rusage->ru_majflt,
		.cpu_us = (rusage->ru_utime.tv_sec + rusage->ru_stime.tv_sec) *
			  1000000 + rusage->ru_utime.tv_usec +
			  rusage->ru_stime.tv_usec,
	};
}

static inline struct usage own_usage(void)
{
	struct rusage rusage;

	getrusage(RUSAGE_SELF, &rusage);
	return usage_of(&rusage);
}

/* Add to, or with a @sign of -1 subtract from, what a process has used. */
static inline void usage_add(struct usage *to, struct usage what, int sign)
{
	to->min_flt += sign * what.min_flt;
	to->maj_flt += sign * what.maj_flt;
	to->cpu_us += sign * what.cpu_us;
}

/*
 * Write a command for this process, and return what the process had used when it
 * took effect. There is no command X: the first round only brings in every page
 * that the second needs, so that nothing faults in between.
 */
static inline struct usage command_own_usage(char letter)
{
	struct usage before, after;
	int i, ret;

	for (i = 0; i < 2; i++) {
		before = own_usage();
		ret = command(i ? letter : 'X', getpid());
		after = own_usage();
	}
	if (ret)
		errx(1, "%c: %s", letter, strerror(-ret));
	if (before.min_flt != after.min_flt || before.maj_flt != after.maj_flt)
		errx(1, "%c: a page fault occurred during the command", letter);

	return after;
}

/* ---- /proc/<pid>/stat ---- */

/* After the name: from the state to the system time. */
#define STAT_FORMAT							\
	" %c %d %d %*d %*d %*d %*u %ld %ld %ld %ld %ld %ld"

/**
 * struct stat_line - fields of /proc/<pid>/stat
 * @state:  R, S, Z ...
 * @parent: pid of its parent
 * @group:  process group
 * @flt:    min_flt, cmin_flt, maj_flt, cmaj_flt
 * @utime:  user time, clock ticks of sysconf(_SC_CLK_TCK)
 * @stime:  system time, in the same unit
 */
struct stat_line {
	char state;
	pid_t parent;
	pid_t group;
	long flt[4];
	long utime, stime;
};

/* Parse the text of a stat file, which ends with a NUL. */
static inline void stat_parse(const char *text, struct stat_line *stat)
{
	const char *fields = strrchr(text, ')');

	if (!fields || sscanf(fields + 1, STAT_FORMAT, &stat->state,
			      &stat->parent, &stat->group, &stat->flt[0],
			      &stat->flt[1], &stat->flt[2], &stat->flt[3],
			      &stat->utime, &stat->stime) != 9)
		errx(1, "cannot parse /proc/<pid>/stat: %s", text);
}

/* Returns false if there is no such process. */
static inline bool stat_of(pid_t pid, struct stat_line *stat)
{
	char path[32], text[1024];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size <= 0)
		return false;
	text[size] = '\0';
	stat_parse(text, stat);

	return true;
}

/* Wait until a process is in a state: S if it waits, D in a delayed call. */
static inline void wait_state(pid_t pid, char state)
{
	struct stat_line stat;
	int i;

	for (i = 0; i < 60000; i++) {
		if (stat_of(pid, &stat) && stat.state == state)
			return;
		sleep_ms(1);
	}
	errx(1, "process %d did not reach state %c in a minute", pid, state);
}

/* Only the kernel with KASAN has it. */
#define KMEMLEAK_PATH	"/sys/kernel/debug/kmemleak"

/* Slab memory that is in use, in kB, after what can be freed has been. */
static inline long slab_kb(void)
{
	static const char * const files[] = {
		"/proc/sys/vm/drop_caches", "/proc/sys/vm/stat_refresh",
	};
	char line[100];
	FILE *meminfo;
	long kb = -1;

	write_file(files[0], "3");
	write_file(files[1], "1");
	meminfo = fopen("/proc/meminfo", "re");
	while (meminfo && fgets(line, sizeof(line), meminfo))
		if (sscanf(line, "SUnreclaim: %ld kB", &kb) == 1)
			break;
	if (kb < 0)
		err(1, "/proc/meminfo");
	fclose(meminfo);

	return kb;
}

#endif /* MP3_PROCESS_H */
