// SPDX-License-Identifier: GPL-2.0
/* mp3ctl where: locates the faults of a command or of running processes. */
#include <err.h>
#include <sys/stat.h>

#include "mp3ctl.h"
#include "targets.h"
#include "util.h"
#include "where_csv.h"
#include "where_flame.h"
#include "where_live.h"

static const char help[] =
	"usage: mp3ctl where [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"       mp3ctl where [OPTION]... -p PID [-p PID]...\n"
	"       mp3ctl where [OPTION]... FILE\n"
	"       mp3ctl where --csv FILE\n"
	"       mp3ctl where [--width KEY] --flame SVG FILE\n"
	"       mp3ctl where [--width KEY] --collapsed FILE\n"
	"Locates the page faults of a command, or of running processes until they exit or\n"
	"until Ctrl-C. Reports the files, functions and processes that they come from,\n"
	"their kinds, and the time for which they stalled the program, to standard error.\n"
	"Reports a FILE that -o has recorded to standard output.\n"
	"\n"
	"      --collapsed     print the stacks of a recording for other flame graph tools\n"
	"      --csv           print the faults of a recording, one per line\n"
	"  -e, --every N       locate one minor fault in N, a power of two (default 1)\n"
	"      --flame SVG     draw the stacks of a recording as a flame graph, file SVG\n"
	"  -f, --follow        profile descendants, too (the default)\n"
	"      --no-follow     do not profile descendants\n"
	"  -n, --rows N        show N rows of each table (default 10)\n"
	"  -o, --output FILE   record the faults in a file, too\n"
	"  -p, --pid PID       process to profile, or any thread of it; repeatable\n"
	"      --sort KEY      sort by stall (the default), faults or major\n"
	"      --stacks        record the callers, and show the call paths\n"
	"      --width KEY     width of a flame graph: faults (the default) or stall\n"
	"  -h, --help          show this help\n"
	"  -V, --version       show the version\n";

enum {
	OPT_COLLAPSED = OPT_NO_FOLLOW + 1,
	OPT_CSV,
	OPT_FLAME,
	OPT_SORT,
	OPT_STACKS,
	OPT_WIDTH,
};

/* Callers that --stacks requests: as many as the module records. */
#define CALLERS (MP3_FRAMES - 1)

/**
 * struct options - options of mp3ctl where
 * @session: the capture; its report is not used
 * @live:    how to locate
 * @report:  what to print
 * @stacks:  --stacks
 * @csv:     --csv
 * @collapsed: --collapsed
 * @flame:   --flame; or NULL
 * @width:   --width
 * @has_width: --width was given
 * @locates: an option was given that does not apply to a recording
 * @pids:    processes of -p
 * @nr_pids: how many
 */
struct options {
	struct session session;
	struct where_live live;
	struct where_report report;
	bool stacks;
	bool csv;
	bool collapsed;
	const char *flame;
	enum flame_by width;
	bool has_width;
	bool locates;
	pid_t *pids;
	size_t nr_pids;
};

/* What a recording contains */
static struct where_data data;
static struct where_count count;

static unsigned int parse_every(const char *text)
{
	__u64 every = parse_number("--every", text, 1, 65536);

	if (every & (every - 1))
		errx(2, "--every: '%s' is not a power of two", text);
	return (unsigned int)every;
}

static void parse_option(struct options *options, int option)
{
	struct session *session = &options->session;

	switch (option) {
	case OPT_WIDTH:
		options->width = parse_flame_by(optarg);
		options->has_width = true;
		return;
	case OPT_COLLAPSED:
		options->collapsed = true;
		return;
	case OPT_CSV:
		options->csv = true;
		return;
	case OPT_FLAME:
		options->flame = optarg;
		return;
	case OPT_SORT:
		options->report.sort = parse_where_sort(optarg);
		return;
	case OPT_STACKS:
		options->stacks = true;
		return;
	case 'n':
		session_option(session, option, help);
		options->report.nr_rows = session->report.nr_rows;
		return;
	case 'e':
		options->live.every = parse_every(optarg);
		break;
	case 'o':
		options->live.output = optarg;
		break;
	case 'p':
		add_target_pid(&options->pids, &options->nr_pids, optarg);
		break;
	default:
		session_option(session, option, help);
	}
	options->locates = true;
}

/* ---- Recordings ---- */

/* Returns whether the only argument is a recording: no command has that name. */
static bool is_recording(char **argv)
{
	const char *word = argv[optind];
	struct stat info;

	return word && !argv[optind + 1] && strcmp(argv[optind - 1], "--") &&
	       !stat(word, &info) && !S_ISDIR(info.st_mode) &&
	       !(info.st_mode & 0111);
}

static void add_fault(void *unused, const struct mp3_fault *fault)
{
	(void)unused;
	count_fault(&count, &data, fault);
}

/* Reports a recording. Returns the exit status. */
static int report_recording(struct options *options, const char *path)
{
	static const struct recording_visitor all_but_faults = {
		.info = data_info,
		.record = data_record,
		.file = data_file,
		.totals = data_totals,
		.symbol = data_symbol,
	};
	static const struct recording_visitor faults = {
		.fault = add_fault,
		.again = true,
	};

	data_init(&data);
	count_init(&count, options->stacks);
	if (!recording_read(path, &all_but_faults, &data) ||
	    !recording_read(path, &faults, NULL))
		return 1;
	options->report.file = stdout;
	where_title(stdout, &data);
	where_report(&options->report, &count, &data);

	return 0;
}

/* ---- Captures ---- */

/**
 * struct start - what the child needs to register itself
 * @session: the capture
 * @command: to be started
 */
struct start {
	struct session *session;
	struct command *command;
};

/*
 * In the child: registers itself. It then takes no fault at the same time, so that
 * each is either counted and located, or neither. Returns 0 or -errno.
 */
static int register_self(void *data)
{
	const struct start *start = data;

	/* A fault on it later would be one of the command. */
	*(volatile bool *)&start->command->startup->prepared = false;

	return session_register(start->session, getpid());
}

/* Runs a command and reports its faults. Returns the exit status. */
static int run_command(struct options *options, char **argv)
{
	struct session *session = &options->session;
	struct command command;
	struct start start = { session, &command };

	options->live.is_command = true;
	where_open(&options->live, session, argv);
	command_start(&command, argv, register_self, &start);
	session_run_command(session, &command);
	if (command_failed(&command, MP3_CAPTURE_PATH))
		where_cancel(session);
	else if (!where_finish(session, &options->report))
		command.status += !command.status;

	return command_finish(&command);
}

/* Reports the faults of running processes. Returns the exit status. */
static int attach(struct options *options)
{
	struct session *session = &options->session;
	char **words, **word;
	size_t i;

	/* What the recording contains in place of a command */
	words = calloc(2 * options->nr_pids + 1, sizeof(*words));
	if (!words)
		err(1, "list of processes");
	for (i = 0, word = words; i < options->nr_pids; i++) {
		*word++ = "-p";
		if (asprintf(word++, "%d", options->pids[i]) < 0)
			err(1, "list of processes");
	}

	where_open(&options->live, session, words);
	session->signals = open_termination_signals();
	session_attach(session, options->pids, options->nr_pids);
	session_wait_for_targets(session);
	session->report.end_ns = initial_monotonic_ns();

	return !where_finish(session, &options->report);
}

int cmd_where(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "width", required_argument, NULL, OPT_WIDTH },
		{ "collapsed", no_argument, NULL, OPT_COLLAPSED },
		{ "csv", no_argument, NULL, OPT_CSV },
		{ "every", required_argument, NULL, 'e' },
		{ "flame", required_argument, NULL, OPT_FLAME },
		{ "follow", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "no-follow", no_argument, NULL, OPT_NO_FOLLOW },
		{ "output", required_argument, NULL, 'o' },
		{ "pid", required_argument, NULL, 'p' },
		{ "rows", required_argument, NULL, 'n' },
		{ "sort", required_argument, NULL, OPT_SORT },
		{ "stacks", no_argument, NULL, OPT_STACKS },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	struct options options = {
		.live.every = 1,
		.report = { .file = stderr, .nr_rows = DEFAULT_ROWS },
	};
	const char *convert;
	bool recorded;
	int option;

	session_init(&options.session);
	/* +: the options after the command belong to the command. */
	while ((option = next_option(argc, argv, "+e:fhn:o:p:V", long_options,
				     "p")) >= 0)
		parse_option(&options, option);
	options.live.callers = options.stacks ? CALLERS : 0;
	recorded = is_recording(argv);
	convert = options.csv ? "--csv" : options.collapsed ? "--collapsed" :
		  options.flame ? "--flame" : NULL;
	if (convert && (options.locates || options.stacks || !argv[optind] ||
			argv[optind + 1]))
		errx(2, "%s requires one recording, and no other options",
		     convert);
	if (options.csv + options.collapsed + !!options.flame > 1)
		errx(2, "--csv, --collapsed and --flame exclude each other");
	if (options.has_width && !options.collapsed && !options.flame)
		errx(2, "--width requires --flame or --collapsed");
	if (options.nr_pids && argv[optind])
		errx(2, "unexpected argument '%s': -p excludes a command",
		     argv[optind]);
	if (!options.nr_pids && !argv[optind])
		errx(2, "a command, -p or a recording is required (see mp3ctl where --help)");
	if (recorded && options.locates)
		errx(2, "'%s' is a recording, to which -e, -f, --no-follow, -o and -p do not apply",
		     argv[optind]);

	if (options.csv)
		return !where_csv(argv[optind]);
	if (convert)
		return !where_flame(argv[optind], options.flame, options.width);
	if (recorded)
		return report_recording(&options, argv[optind]);
	if (options.nr_pids)
		return attach(&options);

	return run_command(&options, argv + optind);
}
