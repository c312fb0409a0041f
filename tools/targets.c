// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <err.h>
#include <sys/signalfd.h>

#include "capture.h"
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

/* Adds the process of a thread. Exits with status 2 if it has been added before. */
static void add_pid(void *data, pid_t pid)
{
	struct targets *targets = data;
	size_t i;

	pid = process_of(pid);
	for (i = 0; i < targets->nr; i++)
		if (targets->pids[i] == pid)
			errx(2, "process %d is given more than once", pid);
	targets->pids = reallocarray(targets->pids, targets->nr + 1,
				     sizeof(*targets->pids));
	if (!targets->pids)
		err(1, "list of processes");
	targets->pids[targets->nr++] = pid;
}

/*
 * Stores -a or -p, which next_option() returned. Returns false if it was another
 * option. Exits if the argument of -p is wrong.
 */
bool targets_option(struct targets *targets, int option)
{
	if (option == 'a')
		targets->all = true;
	else if (option == 'p')
		parse_pids(optarg, add_pid, targets);
	else
		return false;

	return true;
}

/*
 * Returns whether -a or -p was given. Exits with status 2 if they exclude each other
 * or an option of the session.
 */
bool targets_check(const struct targets *targets,
		   const struct session *session)
{
	if (targets->all && (targets->nr || session->no_follow))
		errx(2, "-a excludes -p and --no-follow");

	return targets->all || targets->nr;
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

/*
 * Follows a process for -a. Returns whether it was not followed before. Exits if
 * that is impossible.
 */
static bool attach_any(struct session *session, pid_t pid)
{
	int error = capture_add(&session->capture, pid);

	if (error == -EPERM)
		errx(1, "-a requires root or CAP_PERFMON");
	/* A kernel thread, or a process that has exited since */
	if (error && error != -EEXIST && error != -EINVAL && error != -ESRCH)
		errx(1, "%d: %s", pid, mp3_strerror(error));

	return !error;
}

/*
 * Follows all processes. Almost all descend from process 1; the others have been
 * started by the kernel. Exits if that is impossible.
 */
static void attach_all(struct session *session)
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
}

/* Registers the targets. Exits if that is impossible. */
void session_attach(struct session *session, const struct targets *targets)
{
	size_t i;

	if (targets->all)
		attach_all(session);
	for (i = 0; i < targets->nr; i++)
		attach_target(session, targets->pids[i]);
	session->report.start_ns = initial_monotonic_ns();
}

/*
 * Reports what is profiled. Waits until all targets have exited, nothing is left, or a
 * signal arrives.
 */
void session_wait_for_targets(struct session *session)
{
	struct signalfd_siginfo info;
	size_t i, running;

	/* With -a, there are no targets. */
	if (!session->nr_targets)
		fputs("profiling all processes until Ctrl-C\n", stderr);
	else if (session->nr_targets == 1)
		fprintf(stderr, "profiling process %d until it exits (Ctrl-C to stop)\n",
			session->targets[0].pid);
	else
		fprintf(stderr, "profiling %zu processes until they exit (Ctrl-C to stop)\n",
			session->nr_targets);
	do {
		if (session_wait(session) &&
		    read(session->signals, &info, sizeof(info)) == sizeof(info))
			break;
		running = !session->nr_targets;
		for (i = 0; i < session->nr_targets; i++)
			running += !session->targets[i].exited;
	} while (running && !session_is_empty(session));
	session->report.end_ns = initial_monotonic_ns();
}

static int prepare_nothing(void *unused)
{
	(void)unused;

	return 0;
}

/*
 * Starts a command whose run limits the time for which targets are profiled. It is
 * profiled only if they include it.
 */
void start_alongside(struct command *command, char **argv)
{
	command_start(command, argv, prepare_nothing, NULL);
}
