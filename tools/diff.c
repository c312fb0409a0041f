// SPDX-License-Identifier: GPL-2.0
/* mp3ctl diff: compares the cost of two recordings, or of two commands. */
#include <err.h>
#include <string.h>

#include "compare.h"
#include "mp3ctl.h"
#include "progress.h"
#include "recording.h"
#include "run.h"
#include "util.h"
#include "where_report.h"

/* Runs of each command by default */
#define DEFAULT_RUNS 10

static const char help[] =
	"usage: mp3ctl diff [OPTION]... FILE FILE\n"
	"       mp3ctl diff [OPTION]... [--] COMMAND [ARGUMENT]... --vs COMMAND [ARGUMENT]...\n"
	"Compares the page faults, the times and the memory of two recordings, A and B, to\n"
	"standard output; or runs two commands several times, in turns, and compares them,\n"
	"to standard error.\n"
	"\n"
	"      --csv           write the report as csv, a line per row\n"
	"  -f, --follow        profile descendants, too (the default)\n"
	"      --json          write the report as JSON\n"
	"      --no-follow     do not profile descendants\n"
	"  -n, --rows N        show the N rows that differ most (default 10)\n"
	"  -o, --output FILE   write the report to a file\n"
	"  -r, --repeat N      run each command N times (default 10)\n"
	"      --stall         locate faults, and compare how long they stall the commands\n"
	"  -h, --help          show this help\n"
	"  -V, --version       show the version\n";

/* ---- Recordings ---- */

/**
 * struct recorded - the contents of a recording
 * @data:  what is known of its faults; first, so that its functions can be visitors
 * @table: built from its records
 * @count: its faults
 */
struct recorded {
	struct where_data data;
	struct table table;
	struct where_count count;
	__u64 end_ns;
};

static void read_record(void *pointer, const struct mp3_record *record)
{
	struct recorded *recorded = pointer;

	table_count(&recorded->table, record);
	data_record(&recorded->data, record);
	recorded->end_ns = record->time_ns;
}

static void read_fault(void *pointer, const struct mp3_fault *fault)
{
	struct recorded *recorded = pointer;

	count_fault(&recorded->count, &recorded->data, fault);
}

/* Fills @values with located faults, of which minor ones stand for @weight. */
static void sums_values(double values[NR_METRICS], const struct sums *sums,
			unsigned int weight)
{
	memset(values, 0, NR_METRICS * sizeof(*values));
	values[METRIC_MINOR] = (double)sums->minor * weight;
	values[METRIC_MAJOR] = (double)sums->major;
	values[METRIC_STALL] = (double)sums->minor_ns * weight +
			       (double)sums->major_ns;
}

/* Returns the label of the code at a frame, to be freed. */
static char *code_label(struct where_data *data, __u64 frame)
{
	char *path, *label;

	if (frame == CODE_KERNEL || frame == CODE_OTHER)
		return text_format(frame == CODE_KERNEL ? "[no user code]" :
							  "[other code]");
	if (!MP3_FRAME_FILE(frame))
		return text_format("%s", frame_text(data, frame, false));
	path = mapping_name(data, MP3_FRAME_FILE(frame));
	label = text_format("%s  %s", frame_text(data, frame, false), path);
	free(path);

	return label;
}

/* Adds the located faults to the stalled times of names, and sums up functions. */
static void add_faults(struct side *side, struct recorded *recorded)
{
	const struct where_count *count = &recorded->count;
	struct where_data *data = &recorded->data;
	unsigned int weight = data->n ? data->n : 1;
	double values[NR_METRICS], stall;
	const struct code_sums *code;
	char name[NAME_SIZE], *label;
	size_t i;

	for (i = 0; i < count->nr_processes && i < data->nr_processes; i++) {
		sums_values(values, &count->processes[i], weight);
		stall = values[METRIC_STALL];
		memset(values, 0, sizeof(values));
		values[METRIC_STALL] = stall;
		name_escape(name, data->processes[i].comm);
		if (stall > 0)
			summary_increase(&side->names, name, values);
	}
	for (i = 0; i < count->code.nr; i++) {
		code = set_item(&count->code, i);
		sums_values(values, &code->sums, weight);
		label = code_label(data, code->frame);
		summary_increase(&side->functions, label, values);
		free(label);
	}
	side->functions.nr_runs = 1;
}

/* Returns the line that describes a recording. */
static char *recording_title(const struct where_data *data)
{
	size_t size;
	char *title;
	FILE *file;

	file = open_memstream(&title, &size);
	if (!file)
		err(1, "diff");
	where_title(file, data);
	if (fclose(file))
		err(1, "diff");
	title[strcspn(title, "\n")] = '\0';

	return title;
}

/* Reads a recording. Returns false after one line if that fails. */
static bool read_side(struct side *side, const char *path)
{
	static const struct recording_visitor all_but_faults = {
		.info = data_info,
		.record = read_record,
		.file = data_file,
		.totals = data_totals,
		.symbol = data_symbol,
	};
	static const struct recording_visitor faults = {
		.fault = read_fault,
		.again = true,
	};
	struct recorded *recorded = calloc(1, sizeof(*recorded));
	struct where_data *data;
	struct report report = {};
	double total[NR_METRICS], located[NR_METRICS];

	if (!recorded)
		err(1, "diff");
	data = &recorded->data;
	table_init(&recorded->table);
	data_init(data);
	count_init(&recorded->count, false);
	if (!recording_read(path, &all_but_faults, recorded) ||
	    !recording_read(path, &faults, recorded))
		return false;

	*side = (struct side){ .recording = path };
	side->title = recording_title(data);
	report.start_ns = data->start_ns;
	report.end_ns = data_end_ns(data, recorded->end_ns);
	if (!(data->totals.flags & MP3_RECORDING_COMPLETE))
		warnx("%s: the end is missing: the recording was not completed",
		      path);
	report_total(&report, &recorded->table, total);
	sums_values(located, &recorded->count.total, data->n ? data->n : 1);
	total[METRIC_STALL] = located[METRIC_STALL];
	summary_init(&side->names, data->n || recorded->count.code.nr);
	summary_init(&side->functions, true);
	summary_add_run(&side->names, &recorded->table, total);
	add_faults(side, recorded);
	side->losses = (struct losses){
		.running = data->totals.running,
		.denied = data->totals.denied,
		.dropped = data->totals.dropped,
		.lost_records = data->totals.lost_records,
		.lost_faults = data->totals.lost_faults,
		.unknown_stalls = recorded->count.no_stall,
	};

	return true;
}

/* ---- Commands ---- */

/* Returns the line that describes runs of a command. */
static char *command_title(const struct runs *runs)
{
	char *title, *word, **words;
	size_t size;
	FILE *file;

	file = open_memstream(&title, &size);
	if (!file)
		err(1, "diff");
	for (words = runs->words; *words; words++) {
		word = text_escape(*words, "");
		fprintf(file, "%s%s", words == runs->words ? "" : " ", word);
		free(word);
	}
	fprintf(file, " (%zu run%s)", runs->summary.nr_runs,
		runs->summary.nr_runs == 1 ? "" : "s");
	if (fclose(file))
		err(1, "diff");

	return title;
}

/*
 * Runs two commands @nr times each, in turns, until one cannot be started or a user
 * sends a signal. Returns the status of the last one that has failed, or 0.
 */
static int run_sides(struct side sides[2], struct session *session,
		     char **words[2], __u64 nr)
{
	/* Not between the lines of a command on the same terminal */
	bool shows_progress = !isatty(STDOUT_FILENO);
	struct runs runs[2];
	int status = 0, i;
	__u64 run;

	for (i = 0; i < 2; i++)
		runs_init(&runs[i], words[i], session->report.located);
	for (run = 0; run < 2 * nr && (!run || !command_interrupted()); run++) {
		if (run)
			session_open_capture(session);
		if (shows_progress)
			progress("diff", (double)run / (double)(2 * nr));
		/* Of this run only: the other side may have failed since. */
		runs[run % 2].status = 0;
		runs_add(&runs[run % 2], session);
		if (runs[run % 2].stopped)
			exit(runs[run % 2].status);
		if (runs[run % 2].status)
			status = runs[run % 2].status;
	}
	progress_end();
	if (!runs[1].summary.nr_runs)
		errx(status ? status : 1,
		     "nothing to compare: the second command was not run");

	for (i = 0; i < 2; i++) {
		sides[i] = (struct side){
			.title = command_title(&runs[i]),
			.words = words[i],
			.names = runs[i].summary,
			.losses = runs[i].losses,
		};
		summary_init(&sides[i].functions, false);
	}

	return status;
}

/* ---- The command ---- */

static bool print_sides(struct session *session, const struct side sides[2])
{
	const char *no_color = getenv("NO_COLOR"), *type = getenv("TERM");
	struct compare compare = {
		.file = session->report.file,
		.nr_rows = session->report.nr_rows,
	};
	struct emitter emitter;

	compare.color = isatty(fileno(compare.file)) &&
			!(no_color && no_color[0]) &&
			type && strcmp(type, "dumb");
	if (session->format) {
		emit_begin(&emitter, compare.file, session->format);
		compare_emit(&emitter, sides);
		emit_end(&emitter);
	} else {
		compare_print(&compare, sides);
	}

	return session_close_output(session);
}

int cmd_diff(int argc, char **argv)
{
	static const struct option options[] = {
		{ "csv", no_argument, NULL, OPT_EMIT_CSV },
		{ "follow", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, OPT_EMIT_JSON },
		{ "no-follow", no_argument, NULL, OPT_NO_FOLLOW },
		{ "output", required_argument, NULL, 'o' },
		{ "repeat", required_argument, NULL, 'r' },
		{ "rows", required_argument, NULL, 'n' },
		{ "stall", no_argument, NULL, OPT_STALL },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	char **words[2] = {}, **word;
	bool live = false;
	struct session session;
	__u64 nr = DEFAULT_RUNS;
	struct side sides[2];
	int option, status = 0, i;

	session_init(&session);
	/* +: the options after the command belong to the command. */
	while ((option = next_option(argc, argv, "+fhn:o:r:V", options,
				     "")) >= 0) {
		if (option == 'r')
			nr = parse_number("--repeat", optarg, 1, 1000000);
		else
			session_option(&session, option, help);
		if (option == 'r' || option == 'f' || option == OPT_NO_FOLLOW ||
		    option == OPT_STALL)
			live = true;
	}
	words[0] = argv + optind;
	for (word = words[0]; *word && !words[1]; word++) {
		if (strcmp(*word, "--vs"))
			continue;
		*word = NULL;
		words[1] = word + 1;
	}

	if (words[1]) {
		if (!words[0][0] || !words[1][0])
			errx(2, "--vs requires a command before it and one after it");
		session_open(&session);
		status = run_sides(sides, &session, words, nr);
	} else {
		if (argc - optind != 2)
			errx(2, "two recordings, or two commands and --vs, are required");
		if (live)
			errx(2, "-f, --no-follow, -r and --stall require commands");
		session.report.file = stdout;
		for (i = 0; i < 2 && session.output; i++)
			recording_keep(words[0][i], session.output);
		if (!read_side(&sides[0], words[0][0]) ||
		    !read_side(&sides[1], words[0][1]))
			return 1;
		session_open_output(&session);
	}
	if (!print_sides(&session, sides) && !status)
		status = 1;

	return status;
}
