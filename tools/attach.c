// SPDX-License-Identifier: GPL-2.0
/* mp3ctl attach: profiles running processes until they exit. */
#include <err.h>

#include "mp3ctl.h"
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

int cmd_attach(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "pid", required_argument, NULL, 'p' },
		{ "by", required_argument, NULL, OPT_BY },
		{ "csv", no_argument, NULL, OPT_EMIT_CSV },
		{ "follow", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, OPT_EMIT_JSON },
		{ "limit", required_argument, NULL, OPT_LIMIT },
		{ "no-follow", no_argument, NULL, OPT_NO_FOLLOW },
		{ "output", required_argument, NULL, 'o' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "rows", required_argument, NULL, 'n' },
		{ "stall", no_argument, NULL, OPT_STALL },
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
				     "p" SESSION_REPEATABLE)) >= 0) {
		if (option == 'a')
			all = true;
		else if (option == 'p')
			add_target_pid(&pids, &nr_pids, optarg);
		else
			session_option(&session, option, help);
	}
	session_check_options(&session);
	if (argv[optind])
		errx(2, "unexpected argument '%s'", argv[optind]);
	if (all && (nr_pids || session.no_follow))
		errx(2, "-a excludes -p and --no-follow");
	if (!all && !nr_pids)
		errx(2, "-p or -a is required (see mp3ctl attach --help)");

	session_open(&session);
	session.signals = open_termination_signals();
	if (all)
		session_attach_all(&session);
	else
		session_attach(&session, pids, nr_pids);
	session_wait_for_targets(&session);
	session.report.end_ns = initial_monotonic_ns();

	return session_finish(&session);
}
