// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "proc.h"
#include "util.h"

/**
 * struct stat_line - the fields of /proc/PID/stat that the tools use
 * @state:   as ps(1) shows it
 * @min_flt: minor faults
 * @maj_flt: major faults
 */
struct stat_line {
	char state;
	unsigned long min_flt;
	unsigned long maj_flt;
};

/* Reads whether /proc numbers processes as this pid namespace does. */
static bool read_proc_is_own(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	bool own = file;
	char line[256];
	int outer, inner;

	/* The ids of a process, from the namespace of /proc down to its own. */
	while (own && fgets(line, sizeof(line), file))
		if (sscanf(line, "NSpid: %d %d", &outer, &inner) == 2)
			own = false;
	if (file)
		fclose(file);

	return own;
}

/*
 * Returns whether /proc numbers processes as this pid namespace does, and not as
 * an outer one.
 */
bool proc_is_own(void)
{
	static bool known, own;

	if (!known) {
		own = read_proc_is_own();
		known = true;
	}

	return own;
}

/*
 * Returns the value of a field of a "Name:\tvalue" file, or 0 if there is no
 * such file or field.
 */
static pid_t read_field(const char *path, const char *format)
{
	FILE *file = fopen(path, "re");
	char line[256];
	int value = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, format, &value) == 1)
			break;
	if (file)
		fclose(file);

	return value;
}

/*
 * Returns the number that /proc gives a process, or 0 if it has none there. If
 * /proc belongs to another pid namespace, a pidfd translates the number.
 */
static pid_t proc_number(pid_t pid)
{
	char path[48];
	pid_t number;
	int fd;

	if (proc_is_own())
		return pid;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	number = read_field(path, "Pid: %d");
	close(fd);

	return number > 0 ? number : 0;
}

/* Parses a stat file of a process or thread. Returns whether it could be read. */
static bool read_stat_line(const char *path, struct stat_line *line)
{
	char text[1024], *end;
	FILE *file = fopen(path, "re");
	size_t size;

	if (!file)
		return false;
	size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[size] = '\0';

	/* The second field, the name, may contain blanks and parentheses. */
	end = strrchr(text, ')');
	return end && sscanf(end + 1, " %c %*d %*d %*d %*d %*d %*u %lu %*u %lu",
			     &line->state, &line->min_flt,
			     &line->maj_flt) == 3;
}

static bool read_stat(pid_t pid, struct stat_line *line)
{
	pid_t number = proc_number(pid);
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", number);
	return number && read_stat_line(path, line);
}

/*
 * Returns the id of the process that a thread belongs to, or @thread itself if
 * /proc does not contain it.
 */
pid_t process_of(pid_t thread)
{
	char path[32];
	pid_t pid;

	if (!proc_is_own())
		return thread;
	snprintf(path, sizeof(path), "/proc/%d/status", thread);
	pid = read_field(path, "Tgid: %d");

	return pid ? pid : thread;
}

static bool has_exited(char state)
{
	return state == 'Z' || state == 'X';
}

/* Returns whether any thread of a process, as /proc numbers it, is alive. */
static bool has_living_thread(pid_t number)
{
	struct stat_line line;
	struct dirent *entry;
	bool alive = false;
	char path[320];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", number);
	dir = opendir(path);
	while (dir && !alive && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", number,
			 entry->d_name);
		alive = read_stat_line(path, &line) && !has_exited(line.state);
	}
	if (dir)
		closedir(dir);

	return alive;
}

/*
 * Returns whether a process is alive. A process whose first thread is a zombie
 * is, while another of its threads is. Of a process that /proc hides, only its
 * existence is known.
 */
bool is_running(pid_t pid)
{
	struct stat_line line;

	if (!read_stat(pid, &line))
		return !kill(pid, 0) || errno == EPERM;
	return !has_exited(line.state) || has_living_thread(proc_number(pid));
}

/**
 * read_counts() - read what a process has done
 * @pid:    process id; a zombie has its counts until it is reaped
 * @counts: filled
 *
 * wait4(2) would add the counts of the children that the process has reaped.
 *
 * Return: whether both the CPU clock and /proc could be read.
 */
bool read_counts(pid_t pid, struct counts *counts)
{
	struct stat_line line;
	struct timespec cpu;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &cpu) ||
	    !read_stat(pid, &line))
		return false;
	*counts = (struct counts){
		.min_flt = line.min_flt,
		.maj_flt = line.maj_flt,
		.cpu_ns = (__u64)cpu.tv_sec * NSEC_PER_SEC +
			  (__u64)cpu.tv_nsec,
	};

	return true;
}
