// SPDX-License-Identifier: GPL-2.0
/* mp3ctl report: prints what a recording contains, as mp3ctl run does. */
#include <err.h>

#include "mp3ctl.h"
#include "names.h"
#include "progress.h"
#include "session.h"
#include "util.h"
#include "where_report.h"

static const char help[] =
	"usage: mp3ctl report [OPTION]... [FILE]\n"
	"Prints the page faults and the CPU time in a recording of mp3ctl record or where\n"
	"(default " DEFAULT_RECORDING ").\n"
	"\n"
	"      --by WHAT       sum up by name, user or cgroup, or show the tree\n"
	"  -n, --rows N        show the N rows with most faults (default 10)\n"
	"  -h, --help          show this help\n"
	"  -V, --version       show the version\n";

/**
 * struct recorded - what a recording contains
 * @data:   information and totals; without processes and symbols
 * @table:  built from its records
 * @interval_ns: sampling interval
 * @end_ns: time of the newest record
 */
static struct recorded {
	struct where_data data;
	struct table table;
	__u64 interval_ns;
	__u64 end_ns;
} recorded;

static void add_info(void *unused, const char *key, const char *value)
{
	(void)unused;
	data_info(&recorded.data, key, value);
	if (!strcmp(key, "interval_ns"))
		recorded.interval_ns = strtoull(value, NULL, 10);
}

static void add_record(void *unused, const struct mp3_record *record)
{
	(void)unused;
	table_count(&recorded.table, record);
	recorded.end_ns = record->time_ns;
}

static void add_totals(void *unused, const struct mp3_recording_totals *totals)
{
	(void)unused;
	data_totals(&recorded.data, totals);
}

/* Prints what the table lacks, and where faults are shown. */
static void print_rest(const char *path)
{
	const struct mp3_recording_totals *totals = &recorded.data.totals;

	if (!where_losses(stdout, totals) &&
	    totals->flags & MP3_RECORDING_COMPLETE)
		puts("nothing was dropped or lost");
	if (!(totals->flags & MP3_RECORDING_COMPLETE))
		puts("the end is missing: the recording was not completed");
	if (recorded.data.n)
		printf("%llu faults were located: see mp3ctl where %s\n",
		       (unsigned long long)totals->located, path);
}

static int report_recording(struct report *report, const char *path)
{
	static const struct recording_visitor visitor = {
		.info = add_info,
		.record = add_record,
		.totals = add_totals,
		.name = names_add,
		.progress = progress,
	};
	bool good;

	data_init(&recorded.data);
	table_init(&recorded.table);
	names_start();
	good = recording_read(path, &visitor, NULL);
	progress_end();
	if (!good)
		return 1;

	report->file = stdout;
	report->interval_ns = recorded.interval_ns;
	report->start_ns = recorded.data.start_ns;
	report->end_ns = data_end_ns(&recorded.data, recorded.end_ns);
	where_title(stdout, &recorded.data);
	putchar('\n');
	report_table(report, &recorded.table);
	print_rest(path);

	return 0;
}

int cmd_report(int argc, char **argv)
{
	static const struct option options[] = {
		{ "by", required_argument, NULL, OPT_BY },
		{ "help", no_argument, NULL, 'h' },
		{ "rows", required_argument, NULL, 'n' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	struct session session;
	const char *path = DEFAULT_RECORDING;
	int option;

	session_init(&session);
	while ((option = next_option(argc, argv, "hn:V", options, "")) >= 0)
		session_option(&session, option, help);
	if (argv[optind])
		path = argv[optind++];
	if (argv[optind])
		errx(2, "unexpected argument '%s'", argv[optind]);

	return report_recording(&session.report, path);
}
