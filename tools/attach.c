// SPDX-License-Identifier: GPL-2.0
/* mp3ctl attach: profiles running processes until they exit. */
#include <err.h>

#include "mp3ctl.h"
#include "targets.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl attach [OPTION]... -p PID [-p PID]... [[--] COMMAND...]\n"
	"       mp3ctl attach [OPTION]... -a [[--] COMMAND...]\n"
	"Profiles running processes and their descendants until the processes exit, until\n"
	"Ctrl-C or, with a COMMAND, while it runs. Reports their page faults and CPU time\n"
	"to standard error.\n"
	"\n"
	"  -a, --all           profile all processes of the machine\n"
	"  -p, --pid PID       process to profile, or any thread of it; repeatable\n"
	SESSION_HELP;

/* Profiles the targets while a command runs. Returns the status to exit with. */
static int attach_command(struct session *session,
			  const struct targets *targets, char **argv)
{
	struct command command;
	int status;

	session_attach(session, targets);
	start_alongside(&command, argv);
	session_run_command(session, &command);
	if (command_failed(&command, MP3_CAPTURE_PATH))
		return command_finish(&command);
	status = session_finish(session, argv, command.status);
	command_finish(&command);

	return status;
}

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
	struct targets targets = {};
	struct session session;
	int option;

	session_init(&session);
	/* +: the options after the command belong to the command. */
	while ((option = next_option(argc, argv, "+ap:" SESSION_LETTERS,
				     options, "p" SESSION_REPEATABLE)) >= 0)
		if (!targets_option(&targets, option))
			session_option(&session, option, help);
	session_check_options(&session);
	if (!targets_check(&targets, &session))
		errx(2, "-p or -a is required (see mp3ctl attach --help)");

	session_open(&session);
	if (argv[optind])
		return attach_command(&session, &targets, argv + optind);
	session.signals = open_termination_signals();
	session_attach(&session, &targets);
	session_wait_for_targets(&session);

	return session_finish(&session, NULL, 0);
}
