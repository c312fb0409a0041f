// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <err.h>
#include <sys/signalfd.h>

#include "proc.h"
#include "targets.h"
#include "util.h"

/*
 * Returns a signalfd of the signals that end the profiling. Blocked signals can
 * be read from it even if a shell has made this process ignore them.
 */
int open_termination_signals(void)
{
	sigset_t set;
	int fd;

	termination_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		err(1, "signalfd");

	return fd;
}

/* Adds a process id to the list, unless the process is in it already. */
void add_target_pid(pid_t **pids, size_t *nr_pids, const char *text)
{
	pid_t pid = process_of(parse_pid(text));
	size_t i;

	for (i = 0; i < *nr_pids; i++)
		if ((*pids)[i] == pid)
			errx(2, "process %d is given more than once", pid);
	*pids = reallocarray(*pids, *nr_pids + 1, sizeof(**pids));
	if (!*pids)
		err(1, "list of processes");
	(*pids)[(*nr_pids)++] = pid;
}

/* Registers a process. Exits if that is impossible. */
static void attach_target(struct session *session, pid_t pid)
{
	int error;

	session_add_target(session, pid);
	error = session_register(session, pid);
	/* It may be a descendant of another target. */
	if (error && error != -EEXIST)
		errx(1, "%d: %s", pid, mp3_strerror(error));
}

/* Registers processes, and reports that. Exits if that is impossible. */
void session_attach(struct session *session, const pid_t *pids, size_t nr_pids)
{
	size_t i;

	for (i = 0; i < nr_pids; i++)
		attach_target(session, pids[i]);
	session->report.start_ns = initial_monotonic_ns();
	if (nr_pids == 1)
		fprintf(stderr, "profiling process %d until it exits (Ctrl-C to stop)\n",
			pids[0]);
	else
		fprintf(stderr, "profiling %zu processes until they exit (Ctrl-C to stop)\n",
			nr_pids);
}

/*
 * Follows a process for -a. Returns whether it was not followed before. Exits if
 * that is impossible.
 */
static bool attach_any(struct session *session, pid_t pid)
{
	int error = session_register(session, pid);

	if (error == -EPERM)
		errx(1, "-a requires root or CAP_PERFMON");
	/* A kernel thread, or a process that has exited since */
	if (error && error != -EEXIST && error != -EINVAL && error != -ESRCH)
		errx(1, "%d: %s", pid, mp3_strerror(error));

	return !error;
}

/*
 * Follows all processes, and reports that. Almost all descend from process 1; the
 * others have been started by the kernel. Exits if that is impossible.
 */
void session_attach_all(struct session *session)
{
	struct dirent *entry;
	bool again;
	pid_t pid;
	DIR *dir;

	if (!proc_is_own())
		errx(1, "-a requires a /proc of this pid namespace (see unshare --mount-proc)");
	attach_any(session, 1);
	dir = opendir("/proc");
	if (!dir)
		err(1, "/proc");
	/* Until a pass finds only processes that are followed already. */
	do {
		again = false;
		rewinddir(dir);
		while ((entry = readdir(dir))) {
			pid = atoi(entry->d_name);
			if (pid > 0 && attach_any(session, pid))
				again = true;
		}
	} while (again);
	closedir(dir);
	session->report.start_ns = initial_monotonic_ns();
	fprintf(stderr, "profiling all processes until Ctrl-C\n");
}

/* Waits until all targets have exited, nothing is left, or a signal arrives. */
void session_wait_for_targets(struct session *session)
{
	struct signalfd_siginfo info;
	size_t i, running;

	do {
		if (session_wait(session) &&
		    read(session->signals, &info, sizeof(info)) == sizeof(info))
			return;
		/* With -a, there are no targets. */
		running = !session->nr_targets;
		for (i = 0; i < session->nr_targets; i++)
			running += !session->targets[i].exited;
	} while (running && !session_is_empty(session));
}
