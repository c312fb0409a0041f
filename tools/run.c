// SPDX-License-Identifier: GPL-2.0
/* mp3ctl run: runs a command in a capture and reports its cost. */
#include <err.h>

#include "command.h"
#include "mp3ctl.h"
#include "session.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl run [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"Runs a command, and reports the page faults and the CPU time of the command and\n"
	"of its descendants to standard error.\n"
	"\n"
	SESSION_HELP;

/* In the child: waits until the parent has registered it. 0 or -errno. */
static int wait_registered(void *data)
{
	const int *gate = data;
	char byte;

	close(gate[1]);
	/* If the parent has exited, so does the child. */
	if (read(gate[0], &byte, 1) != 1)
		_exit(1);
	return 0;
}

/*
 * Starts the command, registered before its first instruction. Exits if that is
 * impossible.
 */
static void start_registered(struct session *session, struct command *command,
			     char **argv)
{
	int gate[2], error;

	if (pipe2(gate, O_CLOEXEC))
		err(1, "pipe");
	command_start(command, argv, wait_registered, gate);
	error = session_register(session, command->pid);
	/* A signal may have killed the child while it waited. */
	if (error && error != -ESRCH)
		errx(1, "%s: %s", MP3_CAPTURE_PATH, mp3_strerror(error));
	session->report.start_ns = initial_monotonic_ns();
	if (write(gate[1], "", 1) != 1)
		err(1, "pipe");
	close(gate[0]);
	close(gate[1]);
}

int cmd_run(int argc, char **argv)
{
	static const struct option options[] = {
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
	struct command command;
	int option;

	session_init(&session);
	/* +: the options after the command belong to the command. */
	while ((option = next_option(argc, argv, "+" SESSION_LETTERS, options,
				     "")) >= 0)
		session_option(&session, option, help);
	if (!argv[optind])
		errx(2, "a command is required (see mp3ctl run --help)");

	session_open(&session);
	start_registered(&session, &command, argv + optind);
	session_run_command(&session, &command);
	if (!command_failed(&command, MP3_CAPTURE_PATH) &&
	    !session_finish(&session))
		command.status += !command.status;

	return command_finish(&command);
}
