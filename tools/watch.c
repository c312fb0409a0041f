// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl watch: prints records of a capture, or records or samples of a ring, as
 * they are published, or those that a ring holds. Consumes nothing.
 */
#include <err.h>
#include <stdlib.h>

#include "format.h"
#include "live.h"
#include "mp3ctl.h"
#include "output.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl watch [OPTION]...\n"
	"Prints the records of every process that you may profile, as they come, until a\n"
	"signal ends it. A line is:\n"
	"seconds pid flags min_flt maj_flt cpu_ns rss_bytes comm\n"
	"\n"
	"  -p, --pid PID         only this process; may be repeated\n"
	"  -f, --follow          with -p: its descendants, too\n"
	"  -a, --all             every process of the machine; requires root or\n"
	"                        CAP_PERFMON\n"
	"      --identity        print identity records, too:\n"
	"                        seconds pid I ppid uid start_seconds cgroup_id comm\n"
	"\n"
	"Of the processes registered in " MP3_STATUS_PATH ", which need root:\n"
	"  -d, --device DEVICE   print what this ring holds, then new records;\n"
	"                        " MP3_PROCS_PATH ", with --samples " MP3_DEVICE_PATH "\n"
	"      --samples         print samples, the sums over all of them:\n"
	"                        jiffies min_flt maj_flt cpu_percent\n"
	"      --history         print what the ring holds and exit\n"
	"\n"
	"      --format FORMAT   text (default), csv with a header line, or json\n"
	"      --time CLOCK      load: seconds since the module was loaded\n"
	"                        wall: date and time\n"
	"      --since SECONDS   start with what is at most this old\n"
	"      --for SECONDS     end this long after the start, or after --since\n"
	"      --until-idle      end when all these processes have exited\n"
	"  -h, --help            show this help\n"
	"  -V, --version         show the version\n";

enum {
	OPT_FORMAT = OPT_OWN,
	OPT_HISTORY,
	OPT_IDENTITY,
	OPT_SAMPLES,
	OPT_SINCE,
	OPT_TIME,
};

/**
 * struct watch - the command
 * @options:	  options shared with other commands
 * @samples:	  --samples
 * @history:	  --history
 * @has_since:	  --since was given
 * @since_ns:	  --since
 * @layout:	  how entries are printed
 * @from_ns:	  print nothing older, CLOCK_MONOTONIC of the initial time
 *		  namespace
 * @to_ns:	  print nothing newer
 * @live:	  the capture or ring
 * @missed:	  ticks that the module had missed at the start
 * @start_known:  @maybe_lost is known
 * @maybe_lost:	  entries that were overwritten before the start, if it cannot
 *		  be known whether a reader had consumed them
 */
struct watch {
	struct ring_options options;
	bool samples;
	bool history;
	bool has_since;
	__u64 since_ns;
	struct layout layout;
	__u64 from_ns;
	__u64 to_ns;
	struct live live;
	__u64 missed;
	bool start_known;
	__u64 maybe_lost;
};

/* ---- Entries ---- */

/*
 * Checks, at the first entry that --since includes, whether entries before it
 * may be lost. Readers consume from old to new: if the oldest entry in the ring
 * has not been consumed, then those before it, which were overwritten, may not
 * have been either. A live watch counts only what is lost after its start.
 */
static void check_start(struct watch *watch, const struct entry *entry)
{
	const struct source *source = &watch->live.source;

	if (watch->start_known || entry->time_ns < watch->from_ns)
		return;
	watch->start_known = true;
	if (watch->history &&
	    entry->number - source->start <=
	    source->reader.lost + source->nr_skipped)
		watch->maybe_lost = source->start;
}

static bool is_wanted(const struct watch *watch, const struct entry *entry)
{
	return entry->time_ns >= watch->from_ns &&
	       entry->time_ns <= watch->to_ns &&
	       (watch->samples ||
		wants_pid(&watch->options, entry->record.pid));
}

/* Prints the entries of a pass. Returns false if the command has to end. */
static bool print_entries(struct watch *watch)
{
	struct entry entry;

	watch->layout.wall_ns = clock_ns(CLOCK_REALTIME) -
				initial_monotonic_ns();
	while (live_next(&watch->live, &entry)) {
		check_start(watch, &entry);
		if (!is_wanted(watch, &entry))
			continue;
		if (!output_begin_line())
			return false;
		format_put_entry(&watch->layout, &entry);
	}

	return output_flush();
}

/* ---- Summary ---- */

/* Prints the last line: as a comment where the format has comments. */
static void print_summary(const struct watch *watch)
{
	const struct source *source = &watch->live.source;
	const struct mp3_reader *reader = &source->reader;
	char text[128];

	/* Entries that are still to be written count, if that is possible. */
	output_flush();
	snprintf(text, sizeof(text), "%llu %s read, %s%llu lost, hz %u",
		 (unsigned long long)output_entries(), source_entries(source),
		 watch->maybe_lost ? "at most " : "",
		 (unsigned long long)(reader->lost + watch->maybe_lost),
		 reader->header->hz);
	if (!format_has_comments(watch->layout.format)) {
		warnx("%s", text);
	} else if (output_begin_line()) {
		output_put("# %s\n", text);
		output_flush();
	}
}

/* Reports what makes the output incomplete other than lost entries. */
static void report_gaps(const struct watch *watch)
{
	const struct source *source = &watch->live.source;
	__u64 consumed = source_consumed(source);
	__u64 missed = source_missed(source) - watch->missed;

	if (consumed)
		warnx("%llu %s consumed by other readers",
		      (unsigned long long)consumed, source_entries(source));
	if (missed)
		warnx("%llu ticks missed", (unsigned long long)missed);
}

/* ---- Command ---- */

/*
 * Sets the times that entries are printed of. Processes may take some time to be
 * registered in a capture, which is not part of --for.
 */
static void set_window(struct watch *watch, __u64 start_ns)
{
	__u64 from_ns = initial_monotonic_ns();

	if (watch->has_since) {
		watch->from_ns = start_ns > watch->since_ns ?
			start_ns - watch->since_ns : 0;
		if (watch->options.ring)
			from_ns = watch->from_ns;
	}
	watch->to_ns = watch->options.has_span ?
		from_ns + watch->options.span_ns : MP3_NEVER;
}

static void start(struct watch *watch)
{
	__u64 start_ns = initial_monotonic_ns();
	struct source *source = &watch->live.source;

	if (watch->history) {
		output_open(-1);
		source_open(source, watch->options.device, !watch->samples);
	} else {
		live_start(&watch->live, &watch->options, !watch->samples);
		watch->missed = source_missed(source);
	}
	set_window(watch, start_ns);
	source->identity = watch->layout.identity;
	watch->layout.records = !watch->samples;
	watch->layout.base_ns = source->reader.header->base_ns;
}

static void watch_ring(struct watch *watch)
{
	const struct wait wait = {
		.until_ns = MP3_NEVER,
		.input_fd = -1,
		.watch_output = true,
	};
	bool more;

	do {
		live_begin_pass(&watch->live);
		more = print_entries(watch);
		if (!watch->history)
			source_report_lost(&watch->live.source);
	} while (more && !watch->history && !live_is_over(&watch->live) &&
		 live_wait(&watch->live, &wait));
}

static const struct format *parse_format(const char *text)
{
	const struct format *format = format_find(text);

	if (!format)
		errx(2, "unknown format '%s': not text, csv or json", text);

	return format;
}

static enum time_column parse_clock(const char *text)
{
	if (!strcmp(text, "load"))
		return TIME_LOAD;
	if (!strcmp(text, "wall"))
		return TIME_WALL;
	errx(2, "unknown clock '%s': neither load nor wall", text);
}

/* Exits with status 2 if options contradict each other. */
static void validate_options(const struct watch *watch, const char *argument)
{
	if (argument)
		errx(2, "unexpected argument '%s'", argument);
	validate_ring_options(&watch->options);
	if (watch->samples && watch->layout.identity)
		errx(2, "--identity selects records, and --samples prints none");
	if (watch->samples && watch->options.nr_pids)
		errx(2, "-p selects records, and --samples prints none");
	if (watch->history && watch->options.until_idle)
		errx(2, "--history does not wait: omit --until-idle");
	if (watch->history && watch->options.has_span && !watch->has_since)
		errx(2, "--for with --history requires --since");
}

static void parse_options(struct watch *watch, int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "device", required_argument, NULL, 'd' },
		{ "follow", no_argument, NULL, 'f' },
		{ "for", required_argument, NULL, OPT_FOR },
		{ "format", required_argument, NULL, OPT_FORMAT },
		{ "help", no_argument, NULL, 'h' },
		{ "history", no_argument, NULL, OPT_HISTORY },
		{ "identity", no_argument, NULL, OPT_IDENTITY },
		{ "pid", required_argument, NULL, 'p' },
		{ "samples", no_argument, NULL, OPT_SAMPLES },
		{ "since", required_argument, NULL, OPT_SINCE },
		{ "time", required_argument, NULL, OPT_TIME },
		{ "until-idle", no_argument, NULL, OPT_UNTIL_IDLE },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	int option;

	while ((option = next_option(argc, argv, "ad:fhp:V", options,
				     "p")) >= 0) {
		switch (option) {
		case OPT_FORMAT:
			watch->layout.format = parse_format(optarg);
			break;
		case OPT_HISTORY:
			watch->history = true;
			watch->options.ring = true;
			break;
		case OPT_IDENTITY:
			watch->layout.identity = true;
			break;
		case OPT_SAMPLES:
			watch->samples = true;
			watch->options.ring = true;
			break;
		case OPT_SINCE:
			watch->has_since = true;
			watch->since_ns = parse_seconds("--since", optarg);
			break;
		case OPT_TIME:
			watch->layout.time = parse_clock(optarg);
			break;
		default:
			parse_ring_option(&watch->options, option, help);
		}
	}
	validate_options(watch, argv[optind]);
}

int cmd_watch(int argc, char **argv)
{
	static struct watch watch;

	watch.layout.format = format_find("text");
	parse_options(&watch, argc, argv);
	start(&watch);
	if (output_begin_line())
		format_put_header(&watch.layout);
	if (output_flush())
		watch_ring(&watch);
	print_summary(&watch);
	report_gaps(&watch);
	live_finish(&watch.live);

	return 0;
}
