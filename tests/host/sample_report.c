// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: sample_report json|csv [process|name|runs]
 *        sample_report diff
 *
 * Prints the report of processes with hostile names, as mp3ctl run does, or a
 * comparison, as mp3ctl diff does. Compile it together with the files in tools, except
 * mp3ctl.c.
 */
#include <err.h>
#include <string.h>

#include "../../tools/compare.h"
#include "../../tools/report.h"
#include "../../tools/util.h"

#define START_NS (100 * NSEC_PER_SEC)

static const char *const names[] = {
	"plain", "a\"b", "c\\d", "e,f", "=1+1", "'quoted", "\033[2J\r\n\t",
	"\xff\xfe\xc3\xbc", "", "{}[]:", "-1", "@x", "a b",
};

/* Adds a process with records of two ticks, the second one after it has exited. */
static void add_process(struct table *table, __u32 i)
{
	struct mp3_record record = {
		.time_ns = START_NS,
		.pid = 1000 + i,
		.flags = MP3_IDENTITY,
	};

	strcpy(record.comm, names[i]);
	record.ppid = 1;
	record.uid = 1000;
	table_count(table, &record);
	record.flags = MP3_FIRST;
	record.min_flt = i;
	record.maj_flt = 1;
	record.cpu_ns = 10;
	record.rss_bytes = 4096 * i;
	table_count(table, &record);
	record.time_ns += NSEC_PER_SEC;
	record.flags = MP3_LAST;
	record.rss_bytes = 0;
	table_count(table, &record);
}

/* Adds three runs: the second one without the last process. */
static void add_runs(struct summary *summary, const struct report *report)
{
	double total[NR_METRICS];
	struct table table;
	__u32 run, i;

	summary_init(summary, false);
	for (run = 0; run < 3; run++) {
		table_init(&table);
		for (i = 0; i < ARRAY_SIZE(names) - (run == 1); i++)
			add_process(&table, i);
		report_total(report, &table, total);
		summary_add_run(summary, &table, total);
		table_free(&table);
	}
}

/* Compares three runs with themselves, each of them of one process. */
static void print_diff(const struct report *report)
{
	const struct compare compare = { .file = stdout, .nr_rows = 3 };
	struct side sides[2] = { { .title = "runs" }, { .title = "the same" } };
	double total[NR_METRICS];
	struct table table;
	__u32 run;

	summary_init(&sides[0].names, false);
	summary_init(&sides[0].functions, false);
	for (run = 0; run < 3; run++) {
		table_init(&table);
		add_process(&table, run);
		report_total(report, &table, total);
		summary_add_run(&sides[0].names, &table, total);
		table_free(&table);
	}
	sides[1].names = sides[0].names;
	sides[1].functions = sides[0].functions;
	compare_print(&compare, sides);
}

int main(int argc, char **argv)
{
	const char *const command[] = {
		"sh", "-c", "echo \"x\" \\\n\033[1m", "=1", "\xff", "", NULL,
	};
	struct report report = {
		.start_ns = START_NS,
		.end_ns = START_NS + 2 * NSEC_PER_SEC,
		.maxrss_bytes = 1 << 20,
		.losses = { .running = 1, .denied = 2, .dropped = 3,
			    .lost_records = 4, .lost_faults = 5,
			    .unknown_stalls = 6 },
	};
	const char *what = argc > 2 ? argv[2] : "process";
	struct summary summary;
	struct emitter emitter;
	struct table table;
	__u32 i;

	if (argc < 2)
		errx(2, "usage: sample_report json|csv [process|name|runs], or diff");
	if (!strcmp(argv[1], "diff")) {
		print_diff(&report);
		return 0;
	}
	emit_begin(&emitter, stdout, strcmp(argv[1], "csv") ? EMIT_JSON : EMIT_CSV);
	emit_command(&emitter, "command", (char **)command);
	if (!strcmp(what, "runs")) {
		add_runs(&summary, &report);
		summary_emit(&emitter, &summary, &report.losses);
	} else {
		table_init(&table);
		for (i = 0; i < ARRAY_SIZE(names); i++)
			add_process(&table, i);
		report.by = parse_report_by(what);
		report_emit(&emitter, &report, &table);
	}
	emit_end(&emitter);

	return 0;
}
