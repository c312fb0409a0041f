// SPDX-License-Identifier: GPL-2.0
/* mp3ctl run: runs a command as a registered process and reports its cost. */
#include <err.h>
#include <getopt.h>
#include <sys/prctl.h>

#include "command.h"
#include "mp3ctl.h"
#include "session.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl run [-f [-n ROWS]] [--] COMMAND [ARGUMENT]...\n"
	"Runs a command while mp3 profiles it, and reports its page faults and CPU time\n"
	"to standard error.\n"
	"\n"
	"  -f, --follow    profile its descendants, too, and print a table of processes\n"
	"  -n, --rows N    show the N processes with most faults (default 10)\n"
	"  -h, --help      show this help\n"
	"  -V, --version   show the version\n";

/* Profiles the command only. Returns the exit status. */
static int run_alone(char **argv)
{
	struct command command;

	command_start(&command, argv, 'R');
	command_wait(&command);
	if (!command_failed(&command))
		command_report(&command);

	return command_finish(&command);
}

/* Profiles the command and its descendants. Returns the exit status. */
static int run_followed(char **argv, size_t nr_rows)
{
	struct session session;
	struct command command;

	/* Orphans become children of this process, and so stay in the tree. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* If the status file cannot be read, the child reports it. */
	session_init(&session, true);
	tree_add_root(&session.tree, getpid());

	command_start(&command, argv, 'F');
	session_add_target(&session, command.pid);
	session.signals = command.signals;
	while (!command.exited) {
		session_wait(&session);
		command_handle_signals(&command);
	}

	/* From here on, SIGCHLD of an orphan must not end a wait. */
	session.signals = -1;
	if (!command_failed(&command)) {
		session.start_ns = command.startup->start_ns;
		session.end_ns = command.end_ns;
		if (session.records_error)
			command_report(&command);
		if (!session_finish(&session, nr_rows))
			command.status += !command.status;
	}

	return command_finish(&command);
}

int cmd_run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "follow", no_argument, NULL, 'f' },
		{ "rows", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	bool follow = false, rows_given = false;
	size_t nr_rows = DEFAULT_ROWS;
	int option;

	/* +: the options after the command belong to the command. */
	while ((option = next_option(argc, argv, "+fn:hV", options, "")) >= 0) {
		switch (option) {
		case 'f':
			follow = true;
			break;
		case 'n':
			nr_rows = parse_number("rows", optarg, 0, 1000000);
			rows_given = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			puts("mp3ctl " MP3_VERSION);
			return 0;
		}
	}
	if (!argv[optind])
		errx(2, "a command is required (see mp3ctl run --help)");
	if (rows_given && !follow)
		errx(2, "-n requires -f");

	return follow ? run_followed(argv + optind, nr_rows) :
			run_alone(argv + optind);
}
