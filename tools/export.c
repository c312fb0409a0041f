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
#include "recording.h"
#include "util.h"
#include "where_csv.h"

static const char help[] =
	"usage: mp3ctl export --format FORMAT [OPTION]... RECORDING\n"
	"Converts a recording to a file format of another program, on standard output.\n"
	"\n"
	"      --format FORMAT  trace: for Perfetto and Chrome's trace viewer\n"
	"                       collapsed: stacks of faults for flame graph tools\n"
	"                       speedscope: the same for speedscope\n"
	"                       csv: a line for each record\n"
	"                       json: the same as a JSON object for each\n"
	"      --faults         csv and json: located faults instead of records\n"
	"      --identity       csv and json: identity records, too\n"
	"  -o, --output FILE    write to a file\n"
	"      --width KEY      numbers of collapsed: faults (the default) or stall\n"
	"  -h, --help           show this help\n"
	"  -V, --version        show the version\n";

enum {
	OPT_FORMAT = 256,
	OPT_FAULTS,
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
};

static const struct format *parse_format(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(formats[i].name, name))
			return &formats[i];
	errx(2, "--format: '%s' is not trace, collapsed, speedscope, csv or json",
	     name);
}

/* Has standard output refer to a file. Exits if that fails. */
static void open_output(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
		err(1, "%s", path);
	if (fd != STDOUT_FILENO)
		close(fd);
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

int cmd_export(int argc, char **argv)
{
	static const struct option options[] = {
		{ "faults", no_argument, NULL, OPT_FAULTS },
		{ "format", required_argument, NULL, OPT_FORMAT },
		{ "help", no_argument, NULL, 'h' },
		{ "identity", no_argument, NULL, OPT_IDENTITY },
		{ "output", required_argument, NULL, 'o' },
		{ "version", no_argument, NULL, 'V' },
		{ "width", required_argument, NULL, OPT_WIDTH },
		{}
	};
	const struct format *format = NULL;
	struct export export = {};
	const char *output = NULL, *rows, *width = NULL;
	bool good;
	int option;

	while ((option = next_option(argc, argv, "ho:V", options, "")) >= 0) {
		switch (option) {
		case OPT_FORMAT:
			format = parse_format(optarg);
			break;
		case OPT_FAULTS:
			export.faults = true;
			break;
		case OPT_IDENTITY:
			export.identity = true;
			break;
		case OPT_WIDTH:
			width = optarg;
			export.by = parse_flame_by(width);
			break;
		case 'o':
			output = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			puts("mp3ctl " MP3_VERSION);
			return 0;
		}
	}
	if (!format)
		errx(2, "--format is required (see mp3ctl export --help)");
	if (!argv[optind])
		errx(2, "a recording is required (see mp3ctl export --help)");
	if (argv[optind + 1])
		errx(2, "unexpected argument '%s'", argv[optind + 1]);
	rows = export.faults ? "--faults" : export.identity ? "--identity" : NULL;
	if (rows && format->read != read_rows)
		errx(2, "%s requires --format csv or json", rows);
	if (export.faults && export.identity)
		errx(2, "--faults and --identity exclude each other");
	if (width && format->print != print_collapsed)
		errx(2, "--width requires --format collapsed");
	export.path = argv[optind];
	if (output)
		recording_keep(export.path, output);

	if (!format->read(&export))
		return 1;
	if (output)
		open_output(output);
	good = format->print(&export);
	if (output)
		close_output(output);

	return !good;
}
