// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl alert: runs a command when a rate has held for some time.
 */
#include <err.h>
#include <stdlib.h>

#include "condition.h"
#include "live.h"
#include "mp3ctl.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl alert [OPTION]... CONDITION... -- COMMAND [ARGUMENT]...\n"
	"Runs a command when a rate has held for some time, at most once a minute for\n"
	"each condition. The rate is that of all processes that you may profile\n"
	"together, or of those that the options select.\n"
	"\n"
	"Conditions:\n"
	"  major=100/s:2s        100 major faults per second for 2 seconds\n"
	"  minor=5000/s:1s       5000 minor faults per second for 1 second\n"
	"  cpu=90%:10s           90% of one CPU for 10 seconds\n"
	"\n"
	"  -p, --pid PID         only this process; may be repeated\n"
	"  -f, --follow          with -p: its descendants, too\n"
	"  -a, --all             every process of the machine; requires root or\n"
	"                        CAP_PERFMON\n"
	"  -d, --device DEVICE   the processes registered in " MP3_STATUS_PATH ":\n"
	"                        their ring of records, " MP3_PROCS_PATH "\n"
	"      --for SECONDS     end this long after the start\n"
	"      --until-idle      end when all these processes have exited\n"
	"  -h, --help            show this help\n"
	"  -V, --version         show the version\n";

/**
 * struct alert - the command
 * @options:	   options shared with other commands
 * @conditions:	   conditions
 * @nr_conditions: how many
 * @command:	   words of the command to run, and a NULL
 * @live:	   the capture or ring
 */
struct alert {
	struct ring_options options;
	struct condition *conditions;
	size_t nr_conditions;
	char **command;
	struct live live;
};

/* ---- Running the command ---- */

/* Sets MP3_PID to the processes of -p, with blanks between them. */
static void set_pids(const struct ring_options *options)
{
	char *text = NULL;
	size_t i, size;
	FILE *stream;

	unsetenv("MP3_PID");
	if (!options->nr_pids)
		return;
	stream = open_memstream(&text, &size);
	if (!stream)
		err(1, "MP3_PID");
	for (i = 0; i < options->nr_pids; i++)
		fprintf(stream, "%s%u", i ? " " : "", options->pids[i]);
	fclose(stream);
	setenv("MP3_PID", text, true);
	free(text);
}

static void set_number(const char *name, const char *format, double value)
{
	char text[32];

	snprintf(text, sizeof(text), format, value);
	setenv(name, text, true);
}

/* Becomes the command, in a child for which nobody waits. */
__attribute__((noreturn))
static void run_command(const struct alert *alert,
			const struct condition *condition, double seconds)
{
	sigprocmask(SIG_SETMASK, &alert->live.mask, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* So that a caller's pipe does not stay open as long as the command. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	setenv("MP3_ALERT", condition->text, true);
	setenv("MP3_METRIC", condition->metric->name, true);
	set_number("MP3_RATE", "%.1f", condition_rate(condition, seconds));
	set_number("MP3_SECONDS", "%.2f", seconds);
	set_pids(&alert->options);
	execvp(alert->command[0], alert->command);
	warn("%s", alert->command[0]);
	_exit(127);
}

static void raise_alert(const struct alert *alert,
			const struct condition *condition, double seconds)
{
	pid_t pid;

	warnx("%s: %.1f%s for %.2f s, running %s", condition->metric->name,
	      condition_rate(condition, seconds), condition->metric->unit,
	      seconds, alert->command[0]);
	pid = fork();
	if (pid < 0)
		warn("fork");
	else if (!pid)
		run_command(alert, condition, seconds);
}

/* ---- Records ---- */

static void count_records(struct alert *alert)
{
	struct entry entry;
	size_t i;

	while (live_next(&alert->live, &entry)) {
		if (!wants_pid(&alert->options, entry.record.pid))
			continue;
		for (i = 0; i < alert->nr_conditions; i++)
			condition_count(&alert->conditions[i], &entry.record);
	}
}

static void check_conditions(struct alert *alert)
{
	const struct mp3_reader *reader = &alert->live.source.reader;
	double seconds;
	size_t i;

	for (i = 0; i < alert->nr_conditions; i++) {
		seconds = condition_alert(&alert->conditions[i],
					  alert->live.now_ns,
					  reader->header->interval_ns);
		if (seconds > 0)
			raise_alert(alert, &alert->conditions[i], seconds);
	}
}

static void watch_conditions(struct alert *alert)
{
	const struct wait wait = { .until_ns = MP3_NEVER, .input_fd = -1 };

	do {
		live_begin_pass(&alert->live);
		count_records(alert);
		source_report_lost(&alert->live.source);
		check_conditions(alert);
	} while (!live_is_over(&alert->live) &&
		 live_wait(&alert->live, &wait));
}

/* ---- Command ---- */

/* Stores the conditions and the command, which are separated by "--". */
static void parse_arguments(struct alert *alert, char **conditions,
			    char **command)
{
	size_t i;

	while (conditions[alert->nr_conditions])
		alert->nr_conditions++;
	if (!alert->nr_conditions)
		errx(2, "a condition is required, like major=100/s:2s");
	if (!command || !command[0])
		errx(2, "a command is required after '--'");
	alert->command = command;
	alert->conditions = calloc(alert->nr_conditions,
				   sizeof(*alert->conditions));
	if (!alert->conditions)
		err(1, "conditions");
	for (i = 0; i < alert->nr_conditions; i++)
		condition_parse(&alert->conditions[i], conditions[i]);
}

static void parse_options(struct alert *alert, int argc, char **argv)
{
	char **command = NULL;
	int i;

	/* getopt(3) would not report where "--" was. */
	for (i = 1; i < argc && !command; i++)
		if (!strcmp(argv[i], "--"))
			command = &argv[i + 1];
	if (command) {
		command[-1] = NULL;
		argc = i - 1;
	}
	parse_ring_options(&alert->options, argc, argv, help);
	parse_arguments(alert, argv + optind, command);
	validate_ring_options(&alert->options);
}

int cmd_alert(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = SIG_DFL,
				    .sa_flags = SA_NOCLDWAIT };
	static struct alert alert;

	parse_options(&alert, argc, argv);
	live_start(&alert.live, &alert.options, true);
	/* A rate that held before the start is none of now. */
	if (alert.options.ring)
		source_skip(&alert.live.source);
	/* Nobody waits for the commands. */
	sigaction(SIGCHLD, &action, NULL);
	watch_conditions(&alert);
	live_finish(&alert.live);

	return 0;
}
