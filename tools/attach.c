// SPDX-License-Identifier: GPL-2.0
/* mp3ctl attach: profiles running processes until they exit. */
#include <dirent.h>
#include <err.h>

#include "mp3ctl.h"
#include "proc.h"
#include "targets.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl attach [OPTION]... -p PID [-p PID]...\n"
	"       mp3ctl attach [OPTION]... -a\n"
	"Profiles running processes and their descendants until the processes exit or\n"
	"until Ctrl-C, and reports their page faults and CPU time to standard error.\n"
	"\n"
	"  -a, --all           profile all processes, until Ctrl-C\n"
	"  -p, --pid PID       process to profile, or any thread of it; repeatable\n"
	SESSION_HELP;

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
	session->report.start_ns = initial_monotonic_ns();
	fprintf(stderr, "profiling all processes until Ctrl-C\n");
}

int cmd_attach(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "pid", required_argument, NULL, 'p' },
		{ "by", required_argument, NULL, OPT_BY },
		{ "follow", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "no-follow", no_argument, NULL, OPT_NO_FOLLOW },
		{ "output", required_argument, NULL, 'o' },
		{ "rows", required_argument, NULL, 'n' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	struct session session;
	pid_t *pids = NULL;
	size_t nr_pids = 0;
	bool all = false;
	int option;

	session_init(&session);
	while ((option = next_option(argc, argv, "ap:" SESSION_LETTERS, options,
				     "p")) >= 0) {
		if (option == 'a')
			all = true;
		else if (option == 'p')
			add_target_pid(&pids, &nr_pids, optarg);
		else
			session_option(&session, option, help);
	}
	if (argv[optind])
		errx(2, "unexpected argument '%s'", argv[optind]);
	if (all && (nr_pids || session.no_follow))
		errx(2, "-a excludes -p and --no-follow");
	if (!all && !nr_pids)
		errx(2, "-p or -a is required (see mp3ctl attach --help)");

	session_open(&session);
	session.signals = open_termination_signals();
	if (all)
		attach_all(&session);
	else
		session_attach(&session, pids, nr_pids);
	session_wait_for_targets(&session);
	session.report.end_ns = initial_monotonic_ns();

	return !session_finish(&session);
}
