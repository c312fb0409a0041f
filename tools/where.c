// SPDX-License-Identifier: GPL-2.0
/* mp3ctl where: locates the faults of a command or of running processes. */
#include <err.h>
#include <sys/stat.h>

#include "capture.h"
#include "collect.h"
#include "mp3ctl.h"
#include "util.h"
#include "where_csv.h"
#include "where_flame.h"

static const char help[] =
	"usage: mp3ctl where [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"       mp3ctl where [OPTION]... -a | -p PID [-p PID]... [[--] COMMAND...]\n"
	"       mp3ctl where [OPTION]... FILE\n"
	"       mp3ctl where --csv FILE\n"
	"       mp3ctl where [--width KEY] --flame SVG FILE\n"
	"       mp3ctl where [--width KEY] --collapsed FILE\n"
	"Locates the page faults of a command, or of running processes until they exit,\n"
	"until Ctrl-C or, with a COMMAND, while it runs. Reports the files, functions and\n"
	"processes that they come from, their kinds, and the time for which they stalled\n"
	"the program, to standard error. Reports a FILE that -o has recorded to standard\n"
	"output.\n"
	"\n"
	"  -a, --all           profile all processes of the machine\n"
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

/**
 * struct options - options of mp3ctl where
 * @session: the capture; its report is not used
 * @collect: how to locate
 * @report:  what to print
 * @stacks:  --stacks
 * @csv:     --csv
 * @collapsed: --collapsed
 * @flame:   --flame; or NULL
 * @width:   --width
 * @has_width: --width was given
 * @reports: an option of the report was given: -n, --sort or --stacks
 * @locates: an option was given that does not apply to a recording
 * @targets: -a and -p
 */
struct options {
	struct session session;
	struct collect collect;
	struct where_report report;
	bool stacks;
	bool csv;
	bool collapsed;
	const char *flame;
	enum flame_by width;
	bool has_width;
	bool reports;
	bool locates;
	struct targets targets;
};

/* What a recording contains */
static struct where_data data;
static struct where_count count;

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
		options->reports = true;
		return;
	case OPT_STACKS:
		options->stacks = true;
		options->reports = true;
		return;
	case 'n':
		session_option(session, option, help);
		options->report.nr_rows = session->report.nr_rows;
		options->reports = true;
		return;
	case 'e':
		options->collect.every = parse_every("--every", optarg);
		break;
	case 'o':
		options->collect.output = optarg;
		break;
	default:
		if (!targets_option(&options->targets, option))
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
		.fault = data_fault,
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
	if (!recording_read(path, &all_but_faults, &data))
		return 1;
	if (!data.n && !data_is_located(&data, path))
		return 1;
	if (!recording_read(path, &faults, NULL))
		return 1;
	options->report.file = stdout;
	where_title(stdout, &data);
	where_report(&options->report, &count, &data);

	return 0;
}

int cmd_where(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "all", no_argument, NULL, 'a' },
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
		.collect.every = 1,
		.report = { .file = stderr, .nr_rows = DEFAULT_ROWS },
	};
	const char *convert;
	bool recorded, attaches;
	int option;

	session_init(&options.session);
	/* +: the options after the command belong to the command. */
	while ((option = next_option(argc, argv, "+ae:fhn:o:p:V", long_options,
				     "p")) >= 0)
		parse_option(&options, option);
	options.collect.callers = options.stacks ? MAX_CALLERS : 0;
	recorded = is_recording(argv);
	convert = options.csv ? "--csv" : options.collapsed ? "--collapsed" :
		  options.flame ? "--flame" : NULL;
	if (convert && (options.locates || options.reports || !argv[optind] ||
			argv[optind + 1]))
		errx(2, "%s requires one recording, and no other options",
		     convert);
	if (options.csv + options.collapsed + !!options.flame > 1)
		errx(2, "--csv, --collapsed and --flame exclude each other");
	if (options.has_width && !options.collapsed && !options.flame)
		errx(2, "--width requires --flame or --collapsed");
	attaches = targets_check(&options.targets, &options.session);
	if (!attaches && !argv[optind])
		errx(2, "a command, -p, -a or a recording is required (see mp3ctl where --help)");
	if (recorded && options.locates)
		errx(2, "'%s' is a recording: omit -a, -e, -f, --no-follow, -o and -p",
		     argv[optind]);

	if (options.csv)
		return !where_csv(argv[optind]);
	if (convert)
		return !where_flame(argv[optind], options.flame, options.width);
	if (recorded)
		return report_recording(&options, argv[optind]);
	options.collect.report = &options.report;
	if (attaches)
		return collect_processes(&options.collect, &options.session,
					 &options.targets, argv + optind);

	return collect_command(&options.collect, &options.session,
			       argv + optind);
}
