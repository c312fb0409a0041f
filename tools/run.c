// SPDX-License-Identifier: GPL-2.0
/* mp3ctl run: runs a command in a capture and reports its cost. */
#include <err.h>

#include "command.h"
#include "mp3ctl.h"
#include "progress.h"
#include "run.h"
#include "timeout.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl run [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"Runs a command, and reports the page faults and the CPU time of the command and\n"
	"of its descendants to standard error.\n"
	"\n"
	"  -r, --repeat N      run the command N times, and report means and deviations\n"
	"      --timeout SECONDS  end the command after this time, with status 124\n"
	SESSION_HELP;

enum {
	OPT_TIMEOUT = OPT_NO_FOLLOW + 1,
};

/* Initializes runs of a command. */
void runs_init(struct runs *runs, char **words, bool located)
{
	*runs = (struct runs){ .words = words };
	summary_init(&runs->summary, located);
}

static void add_losses(struct losses *losses, const struct losses *other)
{
	losses->running += other->running;
	losses->denied += other->denied;
	losses->dropped += other->dropped;
	losses->lost_records += other->lost_records;
	losses->lost_faults += other->lost_faults;
	losses->unknown_stalls += other->unknown_stalls;
}

/*
 * Runs the command once more, in the open capture of a session, and adds what it has
 * cost. The session is stopped then.
 */
void runs_add(struct runs *runs, struct session *session)
{
	struct command command;
	double total[NR_METRICS];
	int status;

	session->timed_out = false;
	session->report.start_ns = initial_monotonic_ns();
	session_start_command(session, &command, runs->words);
	session_run_command(session, &command);
	session->report.maxrss_bytes = command.maxrss_bytes;
	runs->stopped = command_failed(&command, MP3_CAPTURE_PATH);
	session_stop(session);
	status = command_finish(&command);
	if (session->timed_out)
		status = TIMEOUT_STATUS;
	if (status)
		runs->status = status;
	if (runs->stopped)
		return;
	/* A run that a user has ended is no measurement, unless it is the only one. */
	if (status && command_interrupted() && runs->summary.nr_runs)
		return;

	report_total(&session->report, &session->table, total);
	summary_add_run(&runs->summary, &session->table, total);
	add_losses(&runs->losses, &session->report.losses);
}

/* Prints the report of several runs. Returns false if that has failed. */
static bool print_runs(struct session *session, struct runs *runs,
		       const double most[NR_METRICS])
{
	struct report *report = &session->report;
	struct emitter emitter;

	report->losses = runs->losses;
	if (session->format) {
		emit_begin(&emitter, report->file, session->format);
		emit_command(&emitter, "command", runs->words);
		emit_integer(&emitter, "status", (__u64)runs->status);
		emit_integer(&emitter, "interval_ns", report->interval_ns);
		summary_emit(&emitter, &runs->summary, &runs->losses);
		limits_emit(&emitter, &session->limits, most);
		emit_end(&emitter);
	} else if (!session->quiet) {
		fprintf(report->file, "%zu run%s\n", runs->summary.nr_runs,
			runs->summary.nr_runs == 1 ? "" : "s");
		summary_print(report->file, &runs->summary, report->nr_rows);
		report_losses(report);
	}

	return session_close_output(session);
}

int cmd_run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "by", required_argument, NULL, OPT_BY },
		{ "csv", no_argument, NULL, OPT_EMIT_CSV },
		{ "follow", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, OPT_EMIT_JSON },
		{ "limit", required_argument, NULL, OPT_LIMIT },
		{ "no-follow", no_argument, NULL, OPT_NO_FOLLOW },
		{ "output", required_argument, NULL, 'o' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "repeat", required_argument, NULL, 'r' },
		{ "rows", required_argument, NULL, 'n' },
		{ "stall", no_argument, NULL, OPT_STALL },
		{ "timeout", required_argument, NULL, OPT_TIMEOUT },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	double most[NR_METRICS];
	struct session session;
	bool repeats = false;
	struct runs runs;
	__u64 nr = 1, i;
	enum metric m;
	int option;
	bool good;

	session_init(&session);
	/* +: the options after the command belong to the command. */
	while ((option = next_option(argc, argv, "+r:" SESSION_LETTERS, options,
				     SESSION_REPEATABLE)) >= 0) {
		if (option == 'r') {
			nr = parse_number("--repeat", optarg, 1, 1000000);
			repeats = true;
		} else if (option == OPT_TIMEOUT) {
			session.timeout_ns = parse_seconds("--timeout", optarg);
		} else {
			session_option(&session, option, help);
		}
	}
	if (!argv[optind])
		errx(2, "a command is required (see mp3ctl run --help)");
	session_check_options(&session);
	if (repeats && session.report.by != BY_NAME &&
	    session.report.by != BY_PROCESS)
		errx(2, "--repeat reports by name, and excludes --by");

	session_open(&session);
	runs_init(&runs, argv + optind, session.report.located);
	for (i = 0; i < nr && !runs.stopped && (!i || !command_interrupted());
	     i++) {
		if (i)
			session_open_capture(&session);
		/* Not between the lines of a command on the same terminal */
		if (nr > 1 && !isatty(STDOUT_FILENO))
			progress("run", (double)i / (double)nr);
		runs_add(&runs, &session);
	}
	progress_end();
	if (runs.stopped)
		return runs.status;

	for (m = 0; m < NR_METRICS; m++)
		most[m] = runs.summary.total[m].max;
	good = repeats ? print_runs(&session, &runs, most) :
			 session_print(&session, runs.words, runs.status);
	if (session_check_limits(&session, most) && !runs.status)
		runs.status = LIMIT_STATUS;
	if (!good && !runs.status)
		runs.status = 1;

	return runs.status;
}
