// SPDX-License-Identifier: GPL-2.0
/* mp3ctl record: records what a command or running processes do. */
#include <err.h>

#include "capture.h"
#include "collect.h"
#include "mp3ctl.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl record [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"       mp3ctl record [OPTION]... -p PID [-p PID]... [[--] COMMAND...]\n"
	"       mp3ctl record [OPTION]... -a [[--] COMMAND...]\n"
	"Records the page faults, the CPU time and the memory of a command, or of running\n"
	"processes until they exit, until Ctrl-C or, with a COMMAND, while it runs. The\n"
	"recording is a file for mp3ctl report.\n"
	"\n"
	"  -a, --all           record all processes of the machine\n"
	"      --faults[=N]    locate each fault, or one minor fault in N, a power of two\n"
	"  -f, --follow        record descendants, too (the default)\n"
	"      --no-follow     do not record descendants\n"
	"  -o, --output FILE   the recording (default " DEFAULT_RECORDING ")\n"
	"  -p, --pid PID       process to record, or any thread of it; repeatable\n"
	"      --stacks        locate faults, each with its callers\n"
	"  -h, --help          show this help\n"
	"  -V, --version       show the version\n";

enum {
	OPT_FAULTS = OPT_NO_FOLLOW + 1,
	OPT_STACKS,
};

int cmd_record(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "faults", optional_argument, NULL, OPT_FAULTS },
		{ "follow", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "no-follow", no_argument, NULL, OPT_NO_FOLLOW },
		{ "output", required_argument, NULL, 'o' },
		{ "pid", required_argument, NULL, 'p' },
		{ "stacks", no_argument, NULL, OPT_STACKS },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	struct collect options = {
		.output = DEFAULT_RECORDING,
		.keeps_old = true,
	};
	struct targets targets = {};
	struct session session;
	int option;

	session_init(&session);
	/* +: the options after the command belong to the command. */
	while ((option = next_option(argc, argv, "+afho:p:V", long_options,
				     "p")) >= 0) {
		if (targets_option(&targets, option))
			continue;
		if (option == 'o')
			options.output = optarg;
		else if (option == OPT_FAULTS)
			options.every = optarg ?
				parse_every("--faults", optarg) : 1;
		else if (option == OPT_STACKS)
			options.callers = MAX_CALLERS;
		else
			session_option(&session, option, help);
	}
	if (options.callers && !options.every)
		options.every = 1;
	if (targets_check(&targets, &session))
		return collect_processes(&options, &session, &targets,
					 argv + optind);
	if (!argv[optind])
		errx(2, "a command, -p or -a is required (see mp3ctl record --help)");

	return collect_command(&options, &session, argv + optind);
}
