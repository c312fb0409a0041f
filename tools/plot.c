// SPDX-License-Identifier: GPL-2.0
/* mp3ctl plot: draws a picture with the scripts in analysis/. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../mp3_uapi.h"
#include "mp3ctl.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl plot [OPTION]... [FILE]\n"
	"Draws a picture of a recording, or of what mp3ctl watch or monitor has printed,\n"
	"with gnuplot (default: mp3.data or profile.data, whichever is newer).\n"
	"\n"
	"  -k, --kind KIND      rates: faults per second and CPU time, stacked by process\n"
	"                       unless FILE contains samples (the default)\n"
	"                       accumulated: faults so far, a curve per process\n"
	"                       latency: histogram of the stalls of located faults\n"
	"                       map: address of each located fault over time\n"
	"  -o, --output FILE    the picture, which ends in .png, .svg or .html (default:\n"
	"                       named after FILE, .png)\n"
	"      --title TEXT     heading of the picture\n"
	"      --by-name        rates, accumulated: all processes of one name together\n"
	"      --top N          rates, accumulated: the N processes with most faults\n"
	"  -p, --pid PID        map: the process (default: the one with most faults)\n"
	"      --file PATH      map: the offsets in this file, of all processes\n"
	"      --hz N           rates: clock ticks per second of samples without them\n"
	"      --terminal       rates: draw on the terminal only\n"
	"  -h, --help           show this help\n"
	"  -V, --version        show the version\n";

enum {
	OPT_BY_NAME = 256,
	OPT_FILE,
	OPT_HZ,
	OPT_TERMINAL,
	OPT_TITLE,
	OPT_TOP,
};

/* The kinds that an option applies to */
#define RATES		1u
#define ACCUMULATED	2u
#define LATENCY		4u
#define MAP		8u
#define ALL		(RATES | ACCUMULATED | LATENCY | MAP)

/**
 * struct kind - a kind of picture
 * @name:   as the user gives it
 * @script: draws it
 * @bit:    for the options
 */
static const struct kind {
	const char *name;
	const char *script;
	unsigned int bit;
} kinds[] = {
	{ "rates", "plot", RATES },
	{ "accumulated", "accumulated", ACCUMULATED },
	{ "latency", "latency", LATENCY },
	{ "map", "faultmap", MAP },
};

static const struct kind *parse_kind(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	errx(2, "--kind: '%s' is not rates, accumulated, latency or map", name);
}

/* Returns the kinds that an option applies to. */
static unsigned int kinds_of(int option)
{
	switch (option) {
	case OPT_HZ:
	case OPT_TERMINAL:
		return RATES;
	case OPT_BY_NAME:
	case OPT_TOP:
		return RATES | ACCUMULATED;
	case OPT_FILE:
	case 'p':
		return MAP;
	default:
		return ALL;
	}
}

/*
 * Returns the path of a script: below the folder of this program in the source tree,
 * and below PREFIX/share when it is installed in PREFIX/bin. Exits if there is none.
 */
static char *find_script(const char *name)
{
	static const char *const folders[] = { "analysis", "../share/mp3/analysis" };
	char self[PATH_MAX], *folder, *path;
	ssize_t size;
	size_t i;

	size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (size < 0)
		err(1, "/proc/self/exe");
	self[size] = '\0';
	/* The scripts read recordings with this program. */
	setenv("MP3CTL", self, 1);
	folder = dirname(self);
	for (i = 0; i < ARRAY_SIZE(folders); i++) {
		if (asprintf(&path, "%s/%s/%s", folder, folders[i], name) < 0)
			err(1, "plot");
		if (!access(path, X_OK))
			return path;
		free(path);
	}
	errx(1, "the scripts that draw are in neither %s/%s nor %s/%s: run make install",
	     folder, folders[0], folder, folders[1]);
}

/* Returns what is drawn if no file is named. Exits if there is nothing. */
static const char *default_file(void)
{
	static const char *const names[] = { "mp3.data", "profile.data" };
	const struct timespec *time, *newest = NULL;
	struct stat info[ARRAY_SIZE(names)];
	const char *found = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (stat(names[i], &info[i]) || !S_ISREG(info[i].st_mode))
			continue;
		time = &info[i].st_mtim;
		if (newest && (time->tv_sec < newest->tv_sec ||
			       (time->tv_sec == newest->tv_sec &&
				time->tv_nsec < newest->tv_nsec)))
			continue;
		newest = time;
		found = names[i];
	}
	if (!found)
		errx(1, "no mp3.data (see mp3ctl record) and no profile.data: name a file");

	return found;
}

int cmd_plot(int argc, char **argv)
{
	static const struct option options[] = {
		{ "by-name", no_argument, NULL, OPT_BY_NAME },
		{ "file", required_argument, NULL, OPT_FILE },
		{ "help", no_argument, NULL, 'h' },
		{ "hz", required_argument, NULL, OPT_HZ },
		{ "kind", required_argument, NULL, 'k' },
		{ "output", required_argument, NULL, 'o' },
		{ "pid", required_argument, NULL, 'p' },
		{ "terminal", no_argument, NULL, OPT_TERMINAL },
		{ "title", required_argument, NULL, OPT_TITLE },
		{ "top", required_argument, NULL, OPT_TOP },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	/* The script, two words for each option, the file, NULL */
	char *words[2 * ARRAY_SIZE(options) + 3], **word = words + 1;
	const struct option *given[ARRAY_SIZE(options)], *known;
	const struct kind *kind = &kinds[0];
	size_t nr_given = 0, i;
	const char *file;
	int option;

	while ((option = next_option(argc, argv, "hk:o:p:V", options, "")) >= 0) {
		switch (option) {
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			puts("mp3ctl " MP3_VERSION);
			return 0;
		case 'k':
			kind = parse_kind(optarg);
			continue;
		case 'o':
			*word++ = "-o";
			*word++ = optarg;
			continue;
		}
		for (known = options; known->val != option; known++)
			;
		given[nr_given++] = known;
		if (asprintf(word++, "--%s", known->name) < 0)
			err(1, "plot");
		if (known->has_arg)
			*word++ = optarg;
	}
	for (i = 0; i < nr_given; i++)
		if (!(kinds_of(given[i]->val) & kind->bit))
			errx(2, "--%s does not apply to --kind %s",
			     given[i]->name, kind->name);
	if (argv[optind] && argv[optind + 1])
		errx(2, "unexpected argument '%s'", argv[optind + 1]);
	file = argv[optind] ? argv[optind] : default_file();
	/* The scripts take what starts with '-' for an option. */
	if (asprintf(word++, "%s%s", file[0] == '-' ? "./" : "", file) < 0)
		err(1, "plot");
	*word = NULL;

	words[0] = find_script(kind->script);
	/* How the script names itself in messages */
	setenv("MP3_NAME", program_invocation_short_name, 1);
	execv(words[0], words);
	err(1, "%s", words[0]);
}
