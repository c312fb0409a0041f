// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../mp3_uapi.h"
#include "options.h"
#include "proc.h"
#include "util.h"

/* Parses a time, see parse_duration(). Returns it in nanoseconds. */
__u64 parse_seconds(const char *what, const char *text)
{
	return (__u64)(parse_duration(what, text, 0, 1e9) * 1e9);
}

static void add_pid(void *data, pid_t pid)
{
	struct ring_options *options = data;

	options->pids = reallocarray(options->pids, options->nr_pids + 1,
				     sizeof(*options->pids));
	if (!options->pids)
		err(1, "process ids");
	options->pids[options->nr_pids++] = (__u32)pid;
}

/**
 * parse_ring_option() - store an option that next_option() returned
 * @options: the option is stored here
 * @option:  an option of struct ring_options, or -h or -V
 * @help:    what -h prints
 *
 * Exits if its argument is wrong, or after -h and -V.
 */
void parse_ring_option(struct ring_options *options, int option,
		       const char *help)
{
	switch (option) {
	case 'a':
		options->all = true;
		return;
	case 'd':
		/* A delay, for the programs that are called top */
		if (strspn(optarg, "0123456789.") == strlen(optarg))
			errx(2, "-d: '%s' is not a device (an interval is -i)",
			     optarg);
		options->device = optarg;
		options->ring = true;
		return;
	case 'f':
		options->follow = true;
		return;
	case 'p':
		parse_pids(optarg, add_pid, options);
		return;
	case OPT_FOR:
		options->has_span = true;
		options->span_ns = parse_seconds("--for", optarg);
		return;
	case OPT_UNTIL_IDLE:
		options->until_idle = true;
		return;
	case 'h':
		fputs(help, stdout);
		exit(0);
	case 'V':
		puts("mp3ctl " MP3_VERSION);
		exit(0);
	}
}

/**
 * parse_ring_options() - parse the options of a command without others
 * @options: stored here
 * @argc:    arguments of the command
 * @argv:    its arguments
 * @help:    what -h prints
 *
 * Sets optind to the first argument that is not an option. Exits if an option is
 * wrong, or after -h and -V.
 */
void parse_ring_options(struct ring_options *options, int argc, char **argv,
			const char *help)
{
	static const struct option known[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "device", required_argument, NULL, 'd' },
		{ "follow", no_argument, NULL, 'f' },
		{ "for", required_argument, NULL, OPT_FOR },
		{ "help", no_argument, NULL, 'h' },
		{ "pid", required_argument, NULL, 'p' },
		{ "until-idle", no_argument, NULL, OPT_UNTIL_IDLE },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	int option;

	while ((option = next_option(argc, argv, "ad:fhp:V", known, "p")) >= 0)
		parse_ring_option(options, option, help);
}

/* Replaces ids of threads by those of their processes. */
static void find_processes(struct ring_options *options)
{
	size_t i;

	for (i = 0; i < options->nr_pids; i++)
		options->pids[i] =
			(__u32)process_of((pid_t)options->pids[i]);
}

/**
 * validate_ring_options() - check options that depend on each other
 * @options: all of them have been parsed
 *
 * Replaces ids of threads in -p, but not with a recording, which may be that of
 * another machine. Exits with status 2 if options contradict each other, or with
 * status 1 if -p cannot select records here: a ring has process ids of the initial
 * namespace.
 */
void validate_ring_options(struct ring_options *options)
{
	if (options->recording && (options->follow || options->all))
		errx(2, "-%c selects processes of a capture: omit '%s'",
		     options->follow ? 'f' : 'a', options->device);
	if (options->ring && (options->follow || options->all))
		errx(2, "-%c selects processes of a capture: omit -d, --samples and --history",
		     options->follow ? 'f' : 'a');
	if (options->all && options->nr_pids)
		errx(2, "-a selects all processes: omit -p");
	if (options->follow && !options->nr_pids)
		errx(2, "-f requires -p PID");
	if (options->recording)
		return;
	find_processes(options);
	if (options->ring && options->nr_pids && !in_initial_pid_namespace())
		errx(1, "-p: this is not the pid namespace of the records' process ids");
}

/*
 * Returns whether entries of a process are wanted. A capture has no others.
 */
bool wants_pid(const struct ring_options *options, __u32 pid)
{
	size_t i;

	if (!options->ring)
		return true;
	for (i = 0; i < options->nr_pids; i++)
		if (options->pids[i] == pid)
			return true;

	return !options->nr_pids;
}
