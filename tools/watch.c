// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl watch: prints records of a capture, or records or samples of a ring, as
 * they are published, those that a ring holds, or those of a recording; or sums of
 * records. Consumes nothing.
 */
#include <err.h>
#include <stdlib.h>

#include "filter.h"
#include "fit.h"
#include "format.h"
#include "interval.h"
#include "live.h"
#include "mp3ctl.h"
#include "output.h"
#include "recorded.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl watch [OPTION]... [FILE] [INTERVAL [COUNT]]\n"
	"Prints the records of every process that you may profile, as they come, until a\n"
	"signal ends it; or those of a recording. A line is:\n"
	"seconds pid flags min_flt maj_flt cpu_ns rss_bytes comm\n"
	"\n"
	"  -p, --pid PID         only this process; may be repeated\n"
	"  -f, --follow          with -p: its descendants, too\n"
	"  -a, --all             every process of the machine; requires root or\n"
	"                        CAP_PERFMON\n"
	"      --identity        print identity records, too:\n"
	"                        seconds pid I ppid uid start_seconds cgroup_id comm\n"
	"\n"
	"  -i, --interval SECONDS  print a line for each process and interval of this\n"
	"                        length, with the sums of its records; COUNT intervals\n"
	"      --by WHAT         print a line for each name, user or cgroup and interval,\n"
	"                        or the tree of processes; implies -i 1\n"
	"      --filter EXPR     only what this holds for; may be repeated: name=GLOB,\n"
	"                        user=USER, uid=N, pid=N, cgroup=GLOB, min_flt>0,\n"
	"                        maj_flt>=10, cpu_ns>0, rss_bytes>0\n"
	"\n"
	"Of the processes registered in " MP3_STATUS_PATH ", which need root:\n"
	"  -d, --device DEVICE   print what this ring holds, then new records;\n"
	"                        " MP3_PROCS_PATH ", with --samples " MP3_DEVICE_PATH "\n"
	"      --samples         print samples, the sums over all of them:\n"
	"                        jiffies min_flt maj_flt cpu_percent\n"
	"      --history         print what the ring holds and exit\n"
	"\n"
	"      --format FORMAT   text (default), csv with a header line, json, or a\n"
	"                        template such as '{pid} {comm}\\n'\n"
	"      --time CLOCK      load: seconds since the module was loaded\n"
	"                        wall: date and time\n"
	"      --since SECONDS   start with what is at most this old\n"
	"      --for SECONDS     end this long after the start, or after --since\n"
	"      --until-idle      end when all these processes have exited\n"
	"  -h, --help            show this help\n"
	"  -V, --version         show the version\n";

/* The interval of --by without -i */
#define DEFAULT_NS NSEC_PER_SEC

/*
 * A tick can publish its records some time after it has read the counters. Rows are
 * printed so long after the end of their interval, unless a later record has come.
 */
#define DELAY_NS (NSEC_PER_SEC / 10)

/* The longest interval and time, as that of parse_seconds() */
#define MAX_NS (1000000000 * NSEC_PER_SEC)

/* A value that is no letter on the command line; next_option() lets it repeat. */
#define OPT_FILTER 'F'

enum {
	OPT_BY = OPT_OWN,
	OPT_FORMAT,
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
 * @has_by:	  --by was given
 * @count:	  intervals to print; 0: no limit
 * @template:	  --format, if it is a template
 * @layout:	  how entries are printed
 * @filters:	  --filter
 * @interval:	  the interval of -i and its table of processes, which is also used
 *		  without -i
 * @nr_exited:	  processes in the table that have exited
 * @recorded:	  when the recording was made
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
	bool has_by;
	__u64 count;
	const char *template;
	struct layout layout;
	struct filters filters;
	struct interval interval;
	size_t nr_exited;
	struct recorded recorded;
	__u64 from_ns;
	__u64 to_ns;
	struct live live;
	__u64 missed;
	bool start_known;
	__u64 maybe_lost;
};

/* Returns whether the command prints what there is, and exits. */
static bool is_finite(const struct watch *watch)
{
	return watch->history || watch->options.recording;
}

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

static bool is_in_window(const struct watch *watch, const struct entry *entry)
{
	return entry->time_ns >= watch->from_ns &&
	       entry->time_ns <= watch->to_ns;
}

static bool is_identity(const struct watch *watch, const struct entry *entry)
{
	return !watch->samples && entry->record.flags & MP3_IDENTITY;
}

/*
 * Notes what a record with counts shows of its process. If the process is not
 * selected, this excludes its name: a row has the last name that was selected. If
 * @counts is false, it excludes the counts. Returns the process, or NULL if the
 * process id is out of range.
 */
static struct process *note_record(struct watch *watch, struct mp3_record record,
				   bool selected, bool counts)
{
	struct table *table = &watch->interval.table;
	struct process *process = table_find(table, record.pid);

	if (!selected && process)
		memcpy(record.comm, process->comm, sizeof(record.comm));
	if (!counts) {
		record.min_flt = 0;
		record.maj_flt = 0;
		record.cpu_ns = 0;
	}
	process = table_count(table, &record);
	if (!process)
		return NULL;
	process->watch.selected = selected;
	watch->nr_exited += process->exited;

	return process;
}

/* Returns whether the interval has records, and a time is after its end. */
static bool is_over(const struct watch *watch, __u64 time_ns)
{
	return watch->interval.newest_ns && time_ns > watch->interval.end_ns;
}

static bool put_rows(struct watch *watch, __u64 time_ns)
{
	if (time_ns > watch->to_ns)
		time_ns = watch->to_ns;

	return interval_put(&watch->interval, &watch->layout, &watch->filters,
			    time_ns);
}

/* Prints an entry. Returns false if the command has to end. */
static bool print_entry(const struct watch *watch, const struct entry *entry,
			const struct process *process)
{
	if (!watch->samples && !is_identity(watch, entry) &&
	    !filter_shows(&watch->filters, &entry->record))
		return true;
	if (!output_begin_line())
		return false;
	format_put_entry(&watch->layout, entry, process);

	return true;
}

/*
 * Prints a record, or adds it to its interval. Returns false if the command has to
 * end.
 */
static bool handle_record(struct watch *watch, const struct entry *entry)
{
	const struct mp3_record *record = &entry->record;
	bool in_window = is_in_window(watch, entry), selected;
	struct process *process;

	if (is_over(watch, entry->time_ns) &&
	    !put_rows(watch, watch->interval.end_ns))
		return false;
	process = is_identity(watch, entry) ?
		  table_count(&watch->interval.table, record) :
		  table_find(&watch->interval.table, record->pid);
	selected = wants_pid(&watch->options, record->pid) &&
		   filter_selects(&watch->filters, record, process);
	if (is_identity(watch, entry)) {
		watch->live.source.nr_skipped += !watch->layout.identity;
		return !selected || !in_window || !watch->layout.identity ||
		       print_entry(watch, entry, process);
	}

	process = note_record(watch, *record, selected, selected && in_window);
	if (!selected || !in_window)
		return true;
	if (!watch->interval.length_ns)
		return print_entry(watch, entry, process);
	if (process)
		interval_count(&watch->interval, process, record);

	return true;
}

/* Prints the entries of a pass. Returns false if the command has to end. */
static bool print_entries(struct watch *watch)
{
	struct interval *interval = &watch->interval;
	struct entry entry;
	bool more = true;

	watch->layout.columns = fit_columns(stdout);
	if (!watch->options.recording)
		watch->layout.wall_ns = clock_ns(CLOCK_REALTIME) -
					initial_monotonic_ns();
	while (more && live_next(&watch->live, &entry)) {
		if (!is_identity(watch, &entry) || watch->layout.identity)
			check_start(watch, &entry);
		if (!watch->samples)
			more = handle_record(watch, &entry);
		else if (is_in_window(watch, &entry))
			more = print_entry(watch, &entry, NULL);
	}
	if (more && !is_finite(watch) &&
	    is_over(watch, watch->live.now_ns - DELAY_NS))
		more = put_rows(watch, interval->end_ns);
	if (watch->nr_exited && !interval->length_ns) {
		interval_sweep(interval);
		watch->nr_exited = 0;
	}

	return output_flush() && more;
}

/*
 * Prints the rows of the last interval, which may not be over. The time is then that
 * of the end.
 */
static void print_last_rows(struct watch *watch)
{
	struct interval *interval = &watch->interval;
	__u64 end_ns = watch->options.recording ? watch->recorded.end_ns :
						  watch->live.now_ns;

	if (!interval->newest_ns)
		return;
	if (end_ns < interval->newest_ns)
		end_ns = interval->newest_ns;
	if (end_ns > interval->end_ns)
		end_ns = interval->end_ns;
	put_rows(watch, end_ns);
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
	if (!format_has_comments(&watch->layout)) {
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
		warnx("%llu tick%s missed", (unsigned long long)missed,
		      missed == 1 ? "" : "s");
	if (watch->options.recording)
		source_report_denied(source);
}

/* ---- Command ---- */

/*
 * Sets where the first interval starts: at the start of a capture or a recording, or
 * where --since does. In a ring it starts early, and such that one starts now or,
 * with --history, at the load of the module.
 */
static void set_origin(struct watch *watch, __u64 from_ns)
{
	struct interval *interval = &watch->interval;

	interval->origin_ns = from_ns;
	if (!interval->length_ns || !watch->options.ring || watch->has_since ||
	    watch->options.recording)
		return;
	if (watch->history)
		from_ns = watch->live.source.reader.header->base_ns;
	interval->origin_ns = from_ns % interval->length_ns;
}

/*
 * Sets the times that entries are printed of, and where intervals start. Processes
 * may take some time to be registered in a capture, which is not part of --for. The
 * time of a recording ends with it.
 */
static void set_window(struct watch *watch, __u64 start_ns)
{
	__u64 from_ns = initial_monotonic_ns();

	if (watch->options.recording) {
		start_ns = watch->recorded.end_ns;
		from_ns = watch->recorded.start_ns;
	}
	if (watch->has_since) {
		watch->from_ns = start_ns > watch->since_ns ?
			start_ns - watch->since_ns : 0;
		if (watch->options.ring)
			from_ns = watch->from_ns;
	}
	watch->to_ns = watch->options.has_span ?
		from_ns + watch->options.span_ns : MP3_NEVER;
	set_origin(watch, from_ns);
}

/* Reads when a recording was made, and prepares what depends on that. */
static void start_recording(struct watch *watch)
{
	struct recorded *recorded = &watch->recorded;

	recorded_read(recorded, watch->options.device);
	if (watch->layout.time == TIME_WALL && !recorded->has_wall)
		errx(1, "%s: contains no date: omit --time wall",
		     watch->options.device);
	watch->layout.wall_ns = recorded->wall_ns;
}

static void start(struct watch *watch)
{
	__u64 start_ns = initial_monotonic_ns();
	struct source *source = &watch->live.source;

	if (watch->options.recording)
		start_recording(watch);
	if (watch->history) {
		output_open(-1);
		source_open(source, watch->options.device, !watch->samples);
	} else {
		live_start(&watch->live, &watch->options, !watch->samples);
		watch->missed = source_missed(source);
	}
	set_window(watch, start_ns);
	/* Records in the last interval can come after its end. */
	if (watch->interval.length_ns && watch->options.has_span)
		watch->live.until_ns = watch->to_ns + DELAY_NS;
	table_init(&watch->interval.table);
	source->identity = true;
	watch->layout.base_ns = source->reader.header->base_ns;
}

static void watch_ring(struct watch *watch)
{
	struct wait wait = {
		.input_fd = -1,
		.watch_output = true,
	};
	bool more;

	do {
		live_begin_pass(&watch->live);
		more = print_entries(watch);
		if (!is_finite(watch))
			source_report_lost(&watch->live.source);
		wait.until_ns = watch->interval.newest_ns ?
				watch->interval.end_ns + DELAY_NS : MP3_NEVER;
	} while (more && !is_finite(watch) && !live_is_over(&watch->live) &&
		 live_wait(&watch->live, &wait));
	print_last_rows(watch);
}

/* A template has a field, or an escape at least. */
static void parse_format(struct watch *watch, const char *text)
{
	const struct format *format = format_find(text);

	if (format)
		watch->layout.format = format;
	else if (strpbrk(text, "{\\"))
		watch->template = text;
	else
		errx(2, "unknown format '%s': not text, csv, json or a template with {FIELD}",
		     text);
}

static enum time_column parse_clock(const char *text)
{
	if (!strcmp(text, "load"))
		return TIME_LOAD;
	if (!strcmp(text, "wall"))
		return TIME_WALL;
	errx(2, "unknown clock '%s': neither load nor wall", text);
}

static void parse_interval(struct watch *watch, const char *text)
{
	watch->interval.length_ns =
		(__u64)(parse_duration("interval", text, 0.001, 1e9) * 1e9);
}

static bool is_decimal(const char *text)
{
	char *end;

	scan_decimal(text, &end);
	return end != text && !*end;
}

/* Sets the recording to read. Exits with status 2 if there cannot be one. */
static void set_recording(struct watch *watch, const char *path)
{
	size_t digits = strspn(path, "0123456789.");

	/* A time such as 500ms */
	if (access(path, F_OK) && digits && strlen(path + digits) <= 2)
		errx(2, "unexpected argument '%s': an interval with a unit is -i %s",
		     path, path);
	if (access(path, F_OK))
		errx(2, "unexpected argument '%s': neither a number nor a file",
		     path);
	if (watch->options.device)
		errx(2, "unexpected argument '%s': there is one ring or recording",
		     path);
	watch->options.recording = true;
	watch->options.ring = true;
	watch->options.device = path;
	/* A recording is always read like that. */
	watch->history = false;
}

/* Parses the arguments: a recording, an interval unless it is known, a count. */
static void parse_arguments(struct watch *watch, char **arguments)
{
	for (; *arguments; arguments++) {
		if (!is_decimal(*arguments))
			set_recording(watch, *arguments);
		else if (!watch->interval.length_ns)
			parse_interval(watch, *arguments);
		else if (!watch->count)
			watch->count = parse_number("count", *arguments, 1,
						    1000000000);
		else
			errx(2, "unexpected argument '%s'", *arguments);
	}
}

/* Exits with status 2 if options contradict each other. */
static void validate_options(struct watch *watch)
{
	const char *reader = watch->history ? "--history" : "a recording";

	validate_ring_options(&watch->options);
	if (!watch->options.recording)
		filter_check_users(&watch->filters);
	if (watch->samples && watch->layout.identity)
		errx(2, "--identity selects records, and --samples prints none");
	if (watch->samples && watch->options.nr_pids)
		errx(2, "-p selects records, and --samples prints none");
	if (watch->samples && watch->filters.nr)
		errx(2, "--filter selects records, and --samples prints none");
	if (watch->samples && (watch->interval.length_ns || watch->has_by))
		errx(2, "an interval sums up records, and --samples prints none");
	if (watch->layout.identity && watch->layout.by != BY_PROCESS)
		errx(2, "--identity prints processes, and --by sums them up");
	if (watch->layout.identity && watch->template)
		errx(2, "--identity has lines of its own: use fields such as {ppid} instead");
	if (is_finite(watch) && watch->options.until_idle)
		errx(2, "%s does not wait: omit --until-idle", reader);
	if (watch->count && watch->options.has_span)
		errx(2, "a count of intervals and --for exclude each other");
	if (watch->history && !watch->options.recording && !watch->has_since &&
	    (watch->options.has_span || watch->count))
		errx(2, "%s with --history requires --since",
		     watch->count ? "a count" : "--for");
}

/* Completes options by what others imply. */
static void complete_options(struct watch *watch)
{
	watch->layout.records = !watch->samples;
	if (watch->has_by && !watch->interval.length_ns)
		watch->interval.length_ns = DEFAULT_NS;
	if (watch->count) {
		watch->options.has_span = true;
		if (__builtin_mul_overflow(watch->count,
					   watch->interval.length_ns,
					   &watch->options.span_ns) ||
		    watch->options.span_ns > MAX_NS)
			watch->options.span_ns = MAX_NS;
	}
	if (watch->template)
		format_set_template(&watch->layout, watch->template);
}

static void parse_options(struct watch *watch, int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "by", required_argument, NULL, OPT_BY },
		{ "device", required_argument, NULL, 'd' },
		{ "filter", required_argument, NULL, OPT_FILTER },
		{ "follow", no_argument, NULL, 'f' },
		{ "for", required_argument, NULL, OPT_FOR },
		{ "format", required_argument, NULL, OPT_FORMAT },
		{ "help", no_argument, NULL, 'h' },
		{ "history", no_argument, NULL, OPT_HISTORY },
		{ "identity", no_argument, NULL, OPT_IDENTITY },
		{ "interval", required_argument, NULL, 'i' },
		{ "pid", required_argument, NULL, 'p' },
		{ "samples", no_argument, NULL, OPT_SAMPLES },
		{ "since", required_argument, NULL, OPT_SINCE },
		{ "time", required_argument, NULL, OPT_TIME },
		{ "until-idle", no_argument, NULL, OPT_UNTIL_IDLE },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	int option;

	while ((option = next_option(argc, argv, "ad:fhi:p:V", options,
				     (const char[]){ 'p', OPT_FILTER, 0 })) >= 0) {
		switch (option) {
		case 'i':
			parse_interval(watch, optarg);
			break;
		case OPT_BY:
			watch->layout.by = parse_report_by(optarg);
			watch->has_by = true;
			break;
		case OPT_FILTER:
			filter_add(&watch->filters, optarg);
			break;
		case OPT_FORMAT:
			parse_format(watch, optarg);
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
	parse_arguments(watch, argv + optind);
	validate_options(watch);
	complete_options(watch);
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
