// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl top: shows a table of processes, on a screen or as plain lines: a live one,
 * or that of a recording.
 */
#include <err.h>
#include <langinfo.h>
#include <locale.h>

#include "capture.h"
#include "live.h"
#include "mp3ctl.h"
#include "output.h"
#include "screen.h"
#include "top_options.h"
#include "user.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl top [OPTION]... [FILE]\n"
	"Shows the fault rates, memory and CPU time of every process that you may\n"
	"profile, and refreshes them every second; or plays a recording. On a terminal,\n"
	"keys sort the table and move in the recording: ? lists them; q quits.\n"
	"\n"
	"  -s, --sort KEY        sort by major (default), minor, cpu, stall, rss, pid or\n"
	"                        name\n"
	"  -i, --interval SECONDS  refresh this often (default 1)\n"
	"  -n, --count N         end after N refreshes\n"
	"  -b, --batch           print lines in place of a screen\n"
	"      --tree            show each process below its parent\n"
	"      --name PATTERN    only names that contain this; with *, ? or [: names that\n"
	"                        match\n"
	"      --user USER       only processes of this user, a name or a number\n"
	"      --cgroup CGROUP   only processes of this cgroup and those below it, a path\n"
	"                        or a number\n"
	"      --columns LIST    show these columns, separated by commas\n"
	"\n"
	"  -p, --pid PID         only this process; may be repeated\n"
	"  -f, --follow          with -p: its descendants, too\n"
	"  -a, --all             every process of the machine; requires root or\n"
	"                        CAP_PERFMON\n"
	"  -d, --device DEVICE   the processes registered in " MP3_STATUS_PATH ":\n"
	"                        their ring of records, " MP3_PROCS_PATH "\n"
	"      --faults[=N]      locate faults: show stalled time and kinds of faults, of\n"
	"                        one minor fault in N (default 1); requires CAP_PERFMON\n"
	"                        or the module's user_faults=1\n"
	"      --for SECONDS     end this long after the start\n"
	"      --until-idle      end when all these processes have exited\n"
	"  -h, --help            show this help\n"
	"  -V, --version         show the version\n";

enum {
	OPT_CGROUP = OPT_OWN,
	OPT_COLUMNS,
	OPT_FAULTS,
	OPT_NAME,
	OPT_TREE,
	OPT_USER,
};

/* ---- Output ---- */

static bool print_line(const char *line, size_t length)
{
	if (!output_begin_line())
		return false;
	output_put_text(line, length);
	output_put_text("\n", 1);

	return true;
}

/* Prints the table as plain lines. Returns false if the command has to end. */
bool top_print(struct top *top)
{
	struct top_layout layout;
	char line[TOP_LINE];
	size_t i;

	top_sort(top);
	top_layout(top, TOP_UNLIMITED, &layout);
	top_title(top, TOP_UNLIMITED, line);
	if (!print_line(line, strlen(line)) ||
	    !print_line(line, top_header(&layout, line)))
		return false;
	for (i = 0; i < top->nr_rows; i++)
		if (!print_line(line, top_row(top, &layout, &top->rows[i],
					      line)))
			return false;

	return print_line("", 0) && output_flush();
}

/* ---- Live ---- */

/* Counts the faults and records of a pass. */
static void count_pass(struct top *top, struct live *live,
		       struct mp3_faults *faults)
{
	struct mp3_fault fault;
	struct entry entry;

	/* First: the kernel overwrites faults sooner than records. */
	if (top->every) {
		while (mp3_faults_next(faults, &fault) > 0)
			top_count_fault(top, &fault);
		top->lost_faults = faults->lost;
	}
	live_begin_pass(live);
	while (live_next(live, &entry))
		top_count(top, &entry.record);
}

static bool handle_keys(struct top *top)
{
	int key;

	while ((key = screen_read_key(top)) != SCREEN_NO_KEY)
		if (key == 'q')
			return false;

	return true;
}

/* Shows the table until the command has to end. */
static void follow(struct top *top, const struct top_options *options,
		   struct live *live, struct mp3_faults *faults,
		   bool has_screen)
{
	__u64 interval_ns = options->interval_ns, left = options->count;
	bool shown = false;
	struct wait wait = {
		.until_ns = live->now_ns + interval_ns,
		.input_fd = has_screen ? STDIN_FILENO : -1,
		.watch_output = true,
	};

	while (live_wait(live, &wait)) {
		if (has_screen && !handle_keys(top))
			return;
		count_pass(top, live, faults);
		/* An end before the first refresh is one, too. */
		if (live->now_ns >= wait.until_ns ||
		    (live_is_over(live) && (live->is_idle || !shown))) {
			shown = true;
			top_refresh(top, &live->source, live->now_ns);
			wait.until_ns += interval_ns;
			if (wait.until_ns <= live->now_ns)
				wait.until_ns = live->now_ns + interval_ns;
			if (has_screen)
				screen_show(top);
			else if (!top_print(top))
				return;
			if (!--left)
				return;
		}
		if (live_is_over(live))
			return;
	}
}

static void show_live(struct top *top, const struct top_options *options)
{
	struct mp3_faults faults = {};
	static struct live live;
	bool has_screen;

	live_start(&live, &options->ring, true);
	live.source.identity = true;
	if (in_initial_pid_namespace()) {
		live.selection.data = top;
		live.selection.found = top_add;
	}
	if (top->every)
		capture_locate_or_exit(&live.source.reader, top->every, 0,
				       &faults);
	/* What the ring holds shows which processes are registered. */
	count_pass(top, &live, &faults);
	top_start(top, &live.source, live.now_ns);
	has_screen = !options->batch && screen_open(false);
	if (!options->columns)
		top_default_columns(top, has_screen);
	if (has_screen)
		screen_show(top);
	follow(top, options, &live, &faults, has_screen);
	if (has_screen)
		screen_close();
	mp3_faults_close(&faults);
	live_finish(&live);
}

/* ---- Options ---- */

/* Parses the path of a cgroup, also of its directory, or its number. */
static const char *parse_cgroup(const char *text)
{
	static const char mount[] = "/sys/fs/cgroup";
	size_t size = strlen(mount);

	if (text[0] != '/')
		parse_number("--cgroup", text, 0, ~0ULL);
	if (strncmp(text, mount, size) || (text[size] && text[size] != '/'))
		return text;

	return text[size] ? text + size : "/";
}

static void parse_option(struct top_options *options, int option)
{
	switch (option) {
	case 'b':
		options->batch = true;
		return;
	case 'i':
		options->interval_ns = (__u64)(1e9 *
			parse_duration("--interval", optarg, 0.01, 86400));
		return;
	case 'n':
		options->count = parse_number("--count", optarg, 1, ~0ULL);
		return;
	case 's':
		options->sort = top_parse_sort(optarg);
		return;
	case OPT_CGROUP:
		options->filter.cgroup = parse_cgroup(optarg);
		return;
	case OPT_COLUMNS:
		options->columns = optarg;
		return;
	case OPT_FAULTS:
		options->every = optarg ? parse_every("--faults", optarg) : 1;
		return;
	case OPT_NAME:
		options->filter.name = optarg;
		return;
	case OPT_TREE:
		options->tree = true;
		return;
	case OPT_USER:
		options->filter.user = optarg;
		return;
	}
	parse_ring_option(&options->ring, option, help);
}

static void validate_options(struct top_options *options)
{
	struct ring_options *ring = &options->ring;
	const char *user = options->filter.user;

	validate_ring_options(ring);
	if (options->path && (ring->all || ring->ring || ring->nr_pids ||
			      ring->until_idle || ring->has_span ||
			      options->every))
		errx(2, "'%s' is a recording: omit -a, -d, -p, --faults, --for and --until-idle",
		     options->path);
	if (ring->ring && ring->nr_pids)
		errx(2, "-p selects processes of a capture: omit -d");
	if (ring->ring && options->every)
		errx(2, "--faults locates the faults of a capture: omit -d");
	/* The users of a recording are its own. */
	if (!options->path && user && !user_exists(user))
		errx(2, "--user: there is no user '%s'", user);
	if (!options->path && options->sort == TOP_STALL && !options->every)
		errx(2, "--sort stall requires --faults");
}

static void parse_options(struct top_options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "batch", no_argument, NULL, 'b' },
		{ "cgroup", required_argument, NULL, OPT_CGROUP },
		{ "columns", required_argument, NULL, OPT_COLUMNS },
		{ "count", required_argument, NULL, 'n' },
		{ "device", required_argument, NULL, 'd' },
		{ "faults", optional_argument, NULL, OPT_FAULTS },
		{ "follow", no_argument, NULL, 'f' },
		{ "for", required_argument, NULL, OPT_FOR },
		{ "help", no_argument, NULL, 'h' },
		{ "interval", required_argument, NULL, 'i' },
		{ "name", required_argument, NULL, OPT_NAME },
		{ "pid", required_argument, NULL, 'p' },
		{ "sort", required_argument, NULL, 's' },
		{ "tree", no_argument, NULL, OPT_TREE },
		{ "until-idle", no_argument, NULL, OPT_UNTIL_IDLE },
		{ "user", required_argument, NULL, OPT_USER },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	int option;

	*options = (struct top_options){
		.interval_ns = NSEC_PER_SEC,
		.sort = TOP_MAJOR,
	};
	while ((option = next_option(argc, argv, "abd:fhi:n:p:s:V", known,
				     "p")) >= 0)
		parse_option(options, option);
	options->path = argv[optind];
	if (options->path && argv[optind + 1])
		errx(2, "unexpected argument '%s'", argv[optind + 1]);
	validate_options(options);
}

int cmd_top(int argc, char **argv)
{
	static struct top_options options;
	static struct top top;

	parse_options(&options, argc, argv);
	setlocale(LC_CTYPE, "");
	top_init(&top);
	top.sort = options.sort;
	top.tree = options.tree;
	top.filter = options.filter;
	top.every = options.every;
	top.unicode = !strcmp(nl_langinfo(CODESET), "UTF-8");
	if (options.path)
		return !top_replay(&top, &options);
	if (options.columns)
		top_parse_columns(&top, options.columns);
	show_live(&top, &options);

	return 0;
}
