// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl: the command that users install. Dispatches to the sub-commands, each
 * of which has a file of its own in this directory.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../mp3_uapi.h"
#include "habits.h"
#include "mp3ctl.h"
#include "util.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{ "run", cmd_run, "run a command and report its page faults" },
	{ "attach", cmd_attach, "profile running processes until they exit" },
	{ "record", cmd_record, "record what processes do in a file" },
	{ "report", cmd_report, "print what a recording contains" },
	{ "diff", cmd_diff, "compare the cost of two commands or recordings" },
	{ "top", cmd_top, "show a live table of processes, or play a recording" },
	{ "watch", cmd_watch, "print records or samples as they are published" },
	{ "alert", cmd_alert, "run a command when a fault rate persists" },
	{ "where", cmd_where, "show where page faults come from, and what they cost" },
	{ "export", cmd_export, "convert a recording for other programs" },
	{ "serve", cmd_serve, "serve totals over HTTP, for Prometheus" },
	{ "plot", cmd_plot, "draw a picture of a recording or of samples" },
	{ "doctor", cmd_doctor, "check whether mp3 can be used on this machine" },
};

static void print_usage(FILE *stream)
{
	size_t i;

	fputs("usage: mp3ctl COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Profiles page faults and CPU time with the mp3 kernel module.\n\n",
	      stream);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stream, "  %-8s %s\n", commands[i].name,
			commands[i].summary);
	fputs("\n"
	      "  -h, --help       show this help\n"
	      "  -V, --version    show the version\n"
	      "\n"
	      "'mp3ctl COMMAND --help' describes one command.\n", stream);
}

int main(int argc, char **argv)
{
	static char name[32], help[] = "--help";
	const char *hint;
	size_t i;

	open_standard_files();
	atexit(flush_output);
	option_hint = habit_of_option;
	if (argc > 1 && !strcmp(argv[1], "help")) {
		/* "help run" is "run --help", and "help" is "--help". */
		argv[1] = argc > 2 ? argv[2] : help;
		argv[2] = argc > 2 ? help : NULL;
		argc = argc > 2 ? 3 : 2;
	}
	if (argc < 2) {
		print_usage(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		print_usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		puts("mp3ctl " MP3_VERSION);
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		/* The prefix of err(3)'s and getopt(3)'s messages. */
		snprintf(name, sizeof(name), "mp3ctl %s", commands[i].name);
		program_invocation_short_name = name;
		argv[1] = name;
		return commands[i].run(argc - 1, argv + 1);
	}
	hint = habit_of_command(argv[1]);
	if (hint)
		errx(2, "unknown command '%s': %s", argv[1], hint);
	if (argv[1][0] == '-')
		errx(2, "'%s': options follow a command (see mp3ctl --help)",
		     argv[1]);
	errx(2, "unknown command '%s' (see mp3ctl --help)", argv[1]);
}
