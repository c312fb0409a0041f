// SPDX-License-Identifier: GPL-2.0
/* mp3ctl export: converts a recording to the file formats of other programs. */
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../mp3_uapi.h"
#include "export.h"
#include "mp3ctl.h"
#include "output.h"
#include "recording.h"
#include "util.h"
#include "where_csv.h"

#define FORMATS "trace, collapsed, speedscope, csv, json or prometheus"

static const char help[] =
	"usage: mp3ctl export --format FORMAT [OPTION]... RECORDING\n"
	"   or: mp3ctl export --format prometheus -o FILE [OPTION]... -a|-p PID...\n"
	"Converts a recording to a file format of another program, on standard output; or\n"
	"writes the totals of running processes to a file until a signal ends it.\n"
	"\n"
	"      --format FORMAT  trace: for Perfetto and Chrome's trace viewer\n"
	"                       collapsed: stacks of faults for flame graph tools\n"
	"                       speedscope: the same for speedscope\n"
	"                       csv: a line for each record\n"
	"                       json: the same as a JSON object for each\n"
	"                       prometheus: totals by name and by cgroup\n"
	"      --faults         csv and json: located faults instead of records\n"
	"      --identity       csv and json: identity records, too\n"
	"  -o, --output FILE    write to a file\n"
	"      --width KEY      numbers of collapsed: faults (the default) or stall\n"
	"\n"
	"Prometheus:\n"
	EXPORTER_ROWS_HELP
	EXPORTER_HELP
	"  -i, --interval SECONDS  write the file this often (default 15)\n"
	"      --faults[=N]      locate faults, one minor fault in N (default 1): stalled\n"
	"                        time, and a histogram; requires CAP_PERFMON or the\n"
	"                        module's user_faults=1\n"
	"\n"
	"  -h, --help           show this help\n"
	"  -V, --version        show the version\n";

/* The shortest and the usual time between two files */
#define MIN_INTERVAL_S 0.1
#define DEFAULT_NS (15 * NSEC_PER_SEC)

enum {
	OPT_FORMAT = OPT_EXPORTER_OWN,
	OPT_IDENTITY,
	OPT_WIDTH,
};

static bool read_stacks(const struct export *export)
{
	return where_flame_read(export->path);
}

static bool print_collapsed(const struct export *export)
{
	where_flame_print_collapsed(export->by);
	return true;
}

static bool print_speedscope(const struct export *export)
{
	(void)export;
	where_flame_print_speedscope();
	return true;
}

static bool read_rows(const struct export *export)
{
	return export->faults ? where_csv_read(export->path) :
				export_records_read(export);
}

static bool print_csv(const struct export *export)
{
	return export->faults ? where_csv_print(export->path, false) :
				export_records_print(export, "csv");
}

static bool print_json(const struct export *export)
{
	return export->faults ? where_csv_print(export->path, true) :
				export_records_print(export, "json");
}

/**
 * struct format - a format that a recording can be exported to
 * @name:  as the user gives it
 * @read:  see export.h
 * @print: see export.h
 */
static const struct format {
	const char *name;
	bool (*read)(const struct export *export);
	bool (*print)(const struct export *export);
} formats[] = {
	{ "trace", export_trace_read, export_trace_print },
	{ "collapsed", read_stacks, print_collapsed },
	{ "speedscope", read_stacks, print_speedscope },
	{ "csv", read_rows, print_csv },
	{ "json", read_rows, print_json },
	{ "prometheus", export_prometheus_read, export_prometheus_print },
};

static const struct format *parse_format(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(formats[i].name, name))
			return &formats[i];
	errx(2, "--format: '%s' is not " FORMATS, name);
}

/* Has standard output refer to a file. Exits if that fails. */
static void open_output(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
		err(1, "%s", path);
	if (fd != STDOUT_FILENO)
		close(fd);
	output_name = path;
}

/* Returns whether all was written; otherwise, exits after one line. */
static void close_output(const char *path)
{
	if (!fflush(stdout) && !ferror(stdout) && !close(STDOUT_FILENO))
		return;
	warn("%s", path);
	/* Without flush_output(), which would report it again. */
	_exit(1);
}

/**
 * struct options - the command
 * @export: what to export
 * @format: --format
 * @width:  --width, or NULL
 * @rows:   --names or --cgroups was given
 */
struct options {
	struct export export;
	const struct format *format;
	const char *width;
	bool rows;
};

static void parse_option(struct options *options, int option)
{
	struct export *export = &options->export;

	switch (option) {
	case OPT_FORMAT:
		options->format = parse_format(optarg);
		return;
	case OPT_IDENTITY:
		export->identity = true;
		return;
	case OPT_WIDTH:
		options->width = optarg;
		export->by = parse_flame_by(optarg);
		return;
	case 'i':
		export->interval_ns = (__u64)(parse_duration("interval", optarg,
							 MIN_INTERVAL_S,
							 1e9) * 1e9);
		return;
	case 'o':
		export->output = optarg;
		return;
	case OPT_LOCATE:
		export->faults = true;
		break;
	case OPT_NAMES:
	case OPT_CGROUPS:
		options->rows = true;
		break;
	}
	exporter_option(&export->live, option, help);
}

/* Checks the options of a format other than prometheus. */
static void validate_rows(const struct options *options)
{
	const struct export *export = &options->export;
	const char *rows = export->faults ? "--faults" :
			   export->identity ? "--identity" : NULL;

	if (rows && options->format->read != read_rows)
		errx(2, "%s requires --format csv or json", rows);
	if (export->faults && export->identity)
		errx(2, "--faults and --identity exclude each other");
	if (options->width && options->format->print != print_collapsed)
		errx(2, "--width requires --format collapsed");
	if (options->rows)
		errx(2, "--names and --cgroups require --format prometheus");
	if (export->live.every > 1)
		errx(2, "--faults=N requires --format prometheus");
}

/* Exits with status 2 if options contradict each other. */
static void validate_options(struct options *options)
{
	bool is_prometheus = options->format->read == export_prometheus_read;
	struct export *export = &options->export;
	struct ring_options *ring = &export->live.ring;
	bool is_live = ring->all || ring->nr_pids || ring->follow ||
		       export->interval_ns;

	if (!is_prometheus && is_live)
		errx(2, "-a, -f, -i and -p require --format prometheus");
	if (!is_prometheus)
		validate_rows(options);
	else if (export->identity || options->width)
		errx(2, "%s requires another format",
		     options->width ? "--width" : "--identity");
	if (export->path && is_live)
		errx(2, "'%s' is a recording: omit -a, -f, -i and -p",
		     export->path);
	if (is_prometheus && export->path && export->faults)
		errx(2, "'%s' is a recording, and its located faults are included: omit --faults",
		     export->path);
	if (export->path)
		return;
	if (!is_live)
		errx(2, "a recording is required (see mp3ctl export --help)");
	validate_ring_options(ring);
	if (!ring->all && !ring->nr_pids)
		errx(2, "-i requires -a or -p");
	if (!export->output)
		errx(2, "without a recording, -o is required");
}

/* Exports a recording. Returns the exit status. */
static int export_recording(const struct options *options)
{
	const struct export *export = &options->export;
	const struct format *format = options->format;
	bool good;

	if (export->output)
		recording_keep(export->path, export->output);
	if (!format->read(export))
		return 1;
	if (export->output && format->print == export_prometheus_print)
		return !export_prometheus_replace(export);
	if (export->output)
		open_output(export->output);
	good = format->print(export);
	if (export->output)
		close_output(export->output);

	return !good;
}

int cmd_export(int argc, char **argv)
{
	static const struct option known[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "cgroups", required_argument, NULL, OPT_CGROUPS },
		{ "faults", optional_argument, NULL, OPT_LOCATE },
		{ "follow", no_argument, NULL, 'f' },
		{ "format", required_argument, NULL, OPT_FORMAT },
		{ "help", no_argument, NULL, 'h' },
		{ "identity", no_argument, NULL, OPT_IDENTITY },
		{ "interval", required_argument, NULL, 'i' },
		{ "names", required_argument, NULL, OPT_NAMES },
		{ "output", required_argument, NULL, 'o' },
		{ "pid", required_argument, NULL, 'p' },
		{ "version", no_argument, NULL, 'V' },
		{ "width", required_argument, NULL, OPT_WIDTH },
		{}
	};
	static struct options options;
	struct export *export = &options.export;
	int option;

	exporter_init(&export->live);
	while ((option = next_option(argc, argv, "afhi:o:p:V", known,
				     "p")) >= 0)
		parse_option(&options, option);
	if (!options.format)
		errx(2, "--format is required: " FORMATS);
	export->path = argv[optind];
	if (export->path && argv[optind + 1])
		errx(2, "unexpected argument '%s'", argv[optind + 1]);
	validate_options(&options);
	if (export->path)
		return export_recording(&options);
	if (!export->interval_ns)
		export->interval_ns = DEFAULT_NS;

	return export_prometheus_live(export);
}
