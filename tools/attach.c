// SPDX-License-Identifier: GPL-2.0
/* mp3ctl attach: profiles running processes until they exit. */
#include <err.h>
#include <getopt.h>
#include <sys/signalfd.h>

#include "command.h"
#include "mp3ctl.h"
#include "session.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl attach [-f] [-n ROWS] -p PID [-p PID]...\n"
	"Profiles running processes until they exit or until Ctrl-C, and reports their\n"
	"page faults and CPU time to standard error.\n"
	"\n"
	"  -f, --follow    profile their descendants, too\n"
	"  -n, --rows N    show the N processes with most faults (default 10)\n"
	"  -p, --pid PID   process to profile, or any thread of it; repeatable\n"
	"  -h, --help      show this help\n"
	"  -V, --version   show the version\n";

/*
 * Returns a signalfd of the signals that end the profiling. Blocked signals can
 * be read from it even if a shell has made this process ignore them.
 */
static int open_signals(void)
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

/* Registers a target. Returns 0 or a negative errno. */
static int register_target(const struct session *session, pid_t pid)
{
	int error;

	if (!session->follow)
		return mp3_register(pid);
	/* F would take over its registration, which is not this tool's to end. */
	if (tree_was_registered(&session->tree, pid))
		return -EEXIST;
	error = mp3_follow(pid);
	/* It may be a descendant of another target. */
	if (error == -EEXIST && tree_contains(&session->tree, pid))
		error = 0;

	return error;
}

/* Unregisters the targets, prints one line and exits: nothing was profiled. */
static __attribute__((noreturn)) void give_up(struct session *session,
					      pid_t pid, const char *reason)
{
	size_t i;

	if (session->follow)
		tree_detach(&session->tree);
	for (i = 0; !session->follow && i < session->nr_targets; i++)
		mp3_unregister(session->targets[i].pid);
	errx(1, "%d: %s", pid, reason);
}

/* Registers a process and takes its base. Exits if that is impossible. */
static void attach_target(struct session *session, pid_t pid)
{
	struct target *target;
	int error = register_target(session, pid);

	if (error == -ENOENT)
		errx(1, "%s: %s", MP3_STATUS_PATH, mp3_strerror(error));
	if (error == -EINVAL && is_kernel_thread(pid))
		give_up(session, pid, "a kernel thread, which cannot be profiled");
	if (error)
		give_up(session, pid, mp3_strerror(error));

	target = session_add_target(session, pid);
	if (session->follow)
		tree_add_root(&session->tree, pid);
	if (!read_counts(pid, &target->base) && session->records_error)
		give_up(session, pid, "neither its records nor its counts in /proc can be read");
	target->counts = target->base;
}

/*
 * Notes what a target has done so far. Once it is reaped, /proc does not show
 * it, so the counts that were read last are final.
 */
static void refresh_counts(struct target *target)
{
	struct counts counts;

	if (read_counts(target->pid, &counts) &&
	    counts.cpu_ns >= target->counts.cpu_ns)
		target->counts = counts;
}

/* Notes whether a target has exited or was unregistered by another process. */
static void check_stopped(struct target *target)
{
	if (target->stopped ||
	    (!target->exited && mp3_registered(target->pid) == 1))
		return;
	target->stopped = true;
	if (!target->exited && is_running(target->pid))
		warnx("process %d was unregistered by another process",
		      target->pid);
}

/* Waits until all targets have stopped or a signal arrives. */
static void wait_for_targets(struct session *session)
{
	struct signalfd_siginfo info;
	size_t i, running;
	bool signaled;

	do {
		signaled = session_wait(session) &&
			   read(session->signals, &info, sizeof(info)) ==
			   sizeof(info);
		if (session->follow)
			tree_refresh(&session->tree);
		running = 0;
		for (i = 0; i < session->nr_targets; i++) {
			refresh_counts(&session->targets[i]);
			if (!signaled)
				check_stopped(&session->targets[i]);
			running += !session->targets[i].stopped;
		}
	} while (running && !signaled);
}

/* Prints what the targets have done, by /proc. Returns whether it is known. */
static bool report_targets(const struct session *session)
{
	bool complete = true;
	size_t i;

	for (i = 0; i < session->nr_targets; i++) {
		const struct target *target = &session->targets[i];

		if (session->nr_targets > 1)
			fprintf(stderr, "process       %d\n", target->pid);
		if (print_counts(&target->base, &target->counts,
				 session->end_ns - session->start_ns))
			continue;
		warnx("/proc does not show the counts of process %d",
		      target->pid);
		complete = false;
	}

	return complete;
}

static int attach(struct session *session, const pid_t *pids, size_t nr_pids,
		  size_t nr_rows)
{
	bool complete = true;
	size_t i;

	session->signals = open_signals();
	for (i = 0; i < nr_pids; i++)
		attach_target(session, pids[i]);
	session->start_ns = initial_monotonic_ns();
	if (nr_pids == 1)
		fprintf(stderr, "profiling process %d until it exits (Ctrl-C to stop)\n",
			pids[0]);
	else
		fprintf(stderr, "profiling %zu processes until they exit (Ctrl-C to stop)\n",
			nr_pids);
	if (session->follow)
		tree_refresh(&session->tree);

	wait_for_targets(session);
	session->end_ns = initial_monotonic_ns();
	if (session->records_error)
		complete = report_targets(session);

	return !(session_finish(session, nr_rows) && complete);
}

/* Adds a process id to the list, unless the process is in it already. */
static void add_pid(pid_t **pids, size_t *nr_pids, const char *text)
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

int cmd_attach(int argc, char **argv)
{
	static const struct option options[] = {
		{ "follow", no_argument, NULL, 'f' },
		{ "rows", required_argument, NULL, 'n' },
		{ "pid", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	size_t nr_rows = DEFAULT_ROWS, nr_pids = 0;
	struct session session;
	bool follow = false;
	pid_t *pids = NULL;
	int option, error;

	while ((option = next_option(argc, argv, "fn:p:hV", options, "p")) >= 0) {
		switch (option) {
		case 'f':
			follow = true;
			break;
		case 'n':
			nr_rows = parse_number("rows", optarg, 0, 1000000);
			break;
		case 'p':
			add_pid(&pids, &nr_pids, optarg);
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			puts("mp3ctl " MP3_VERSION);
			return 0;
		}
	}
	if (argv[optind])
		errx(2, "unexpected argument '%s'", argv[optind]);
	if (!nr_pids)
		errx(2, "-p is required (see mp3ctl attach --help)");

	error = session_init(&session, follow);
	if (error)
		errx(1, "%s: %s", MP3_STATUS_PATH, mp3_strerror(error));

	return attach(&session, pids, nr_pids, nr_rows);
}
