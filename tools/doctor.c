// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl doctor: reports whether this user can use mp3 on this machine and, if not,
 * what to do next.
 */
#include <err.h>
#include <getopt.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"
#include "mp3ctl.h"
#include "name.h"
#include "symbols.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl doctor [OPTION]...\n"
	"Reports whether you can use mp3 on this machine, what is wrong, and the next\n"
	"command to type. Exits with status 0 if you can, with 1 if not.\n"
	"\n"
	"      --root DIR      examine the files below DIR instead of those below /\n"
	"  -h, --help          show this help\n"
	"  -V, --version       show the version\n";

/* ---- Output ---- */

static void print_line(const char *kind, const char *what, const char *format,
		       va_list args)
{
	printf("%-8s %s: ", kind, what);
	vprintf(format, args);
	putchar('\n');
}

/* Reports that something is as it should be. */
void doctor_ok(const char *what, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line("ok", what, format, args);
	va_end(args);
}

/*
 * Reports a limitation. @command removes it: it is freed, and is NULL if there is
 * none.
 */
void doctor_note(const char *what, char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line("note", what, format, args);
	va_end(args);
	if (command)
		printf("         try: %s\n", command);
	free(command);
}

/*
 * Reports a reason why mp3 cannot be used. @command is the next step: the caller
 * gives it away.
 */
void doctor_problem(struct doctor *doctor, const char *what, char *command,
		    const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line("problem", what, format, args);
	va_end(args);
	printf("         next: %s\n", command);
	doctor->nr_problems++;
	if (doctor->next)
		free(command);
	else
		doctor->next = command;
}

/* ---- Files ---- */

/* Returns what precedes a command that only root may run. */
const char *doctor_sudo(void)
{
	return geteuid() ? "sudo " : "";
}

/* Returns the path of a file of the machine that is examined, to be freed. */
char *doctor_path(const struct doctor *doctor, const char *path)
{
	return text_format("%s%s", doctor->root, path);
}

/*
 * Returns the first line of a file, printable, to be freed; or NULL if it cannot be
 * read.
 */
char *doctor_read(const struct doctor *doctor, const char *path)
{
	char *name = doctor_path(doctor, path), *line = NULL, *text = NULL;
	FILE *file = fopen(name, "re");
	size_t size = 0;

	if (file && getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		text = text_escape(line, "");
	}
	if (file)
		fclose(file);
	free(line);
	free(name);

	return text;
}

bool doctor_has(const struct doctor *doctor, const char *path)
{
	char *name = doctor_path(doctor, path);
	bool has = !access(name, F_OK);

	free(name);
	return has;
}

/*
 * Returns whether this process is in another namespace of a kind than the machine's
 * first process, whose namespace has the number @initial.
 */
bool doctor_has_namespace(const struct doctor *doctor, const char *kind,
			  unsigned int initial)
{
	char *path = text_format("%s/proc/self/ns/%s", doctor->root, kind);
	char *want = text_format("%s:[%u]", kind, initial), target[64];
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	bool other;

	target[length > 0 ? length : 0] = '\0';
	other = length > 0 && strcmp(target, want);
	free(path);
	free(want);

	return other;
}

/* Returns whether a program is in PATH. */
bool doctor_has_program(const struct doctor *doctor, const char *name)
{
	const char *variable = getenv("PATH");
	char *rest, *list, *directory, *path;
	bool has = false;

	list = text_format("%s", variable ? variable : "/usr/bin:/bin");
	rest = list;
	while (!has && (directory = strsep(&rest, ":"))) {
		path = text_format("%s%s/%s", doctor->root, directory, name);
		has = !access(path, X_OK);
		free(path);
	}
	free(list);

	return has;
}

/* ---- What the tools can do ---- */

static void check_features(const struct doctor *doctor)
{
	const char *servers = getenv("DEBUGINFOD_URLS");

#ifndef MP3_HAVE_CURSES
	doctor_note("top", NULL,
		    "built without ncurses: it prints lines, and has no keys");
#endif
	if (!symbols_supported())
		doctor_note("functions", NULL,
			    "built without elfutils: where prints no functions");
	else if (servers && servers[0])
		doctor_ok("functions", "found with elfutils, and DEBUGINFOD_URLS is set");
	else if (doctor_has(doctor, "/usr/lib/debug/.build-id"))
		doctor_ok("functions", "found with elfutils, also in /usr/lib/debug");
	else
		doctor_note("functions",
			    text_format("export DEBUGINFOD_URLS=%s",
					doctor_debuginfod(doctor)),
			    "no debug information for libraries: where finds only exported functions");

	if (doctor_has_program(doctor, "gnuplot"))
		doctor_ok("pictures", "gnuplot is installed");
	else
		doctor_note("pictures", doctor_install(doctor, PACKAGE_GNUPLOT),
			    "gnuplot is not installed: mp3ctl plot needs it");
}

/* ---- The command ---- */

/* Returns whether a cgroup of this process is that of a container of Kubernetes. */
static bool is_in_pod(const struct doctor *doctor)
{
	static const char *const parts[] = {
		"/kubepods", "/cri-containerd-", "/crio-",
	};
	char *name = doctor_path(doctor, "/proc/self/cgroup"), *line = NULL;
	FILE *file = fopen(name, "re");
	bool found = false;
	size_t size = 0, i;

	while (file && getline(&line, &size, file) > 0)
		for (i = 0; i < ARRAY_SIZE(parts); i++)
			found = found || strstr(line, parts[i]);
	if (file)
		fclose(file);
	free(line);
	free(name);

	return found;
}

/*
 * Not every container has one of the files: those of containerd and CRI-O have a cgroup
 * namespace or, with cgroups v1, show their cgroup.
 */
static bool is_container(const struct doctor *doctor)
{
	return doctor_has(doctor, "/run/systemd/container") ||
	       doctor_has(doctor, "/run/.containerenv") ||
	       doctor_has(doctor, "/.dockerenv") ||
	       doctor_has_namespace(doctor, "cgroup", 0xeffffffb) ||
	       is_in_pod(doctor);
}

static void parse_options(struct doctor *doctor, int argc, char **argv)
{
	enum { OPT_ROOT = 256 };
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "root", required_argument, NULL, OPT_ROOT },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	struct stat info;
	int option;

	while ((option = next_option(argc, argv, "hV", options, "")) >= 0) {
		switch (option) {
		case 'h':
			fputs(help, stdout);
			exit(0);
		case 'V':
			puts("mp3ctl " MP3_VERSION);
			exit(0);
		case OPT_ROOT:
			doctor->root = optarg;
			if (stat(optarg, &info))
				err(1, "%s", optarg);
			if (!S_ISDIR(info.st_mode))
				errx(1, "%s: not a directory", optarg);
			break;
		}
	}
	if (argv[optind])
		errx(2, "unexpected argument '%s'", argv[optind]);
}

/* Prints the result. Returns the exit status. */
static int conclude(const struct doctor *doctor)
{
	const struct passwd *passwd = getpwuid(geteuid());
	char *user;

	user = passwd ? text_escape(passwd->pw_name, "") :
			text_format("%u", geteuid());
	if (!doctor->nr_problems) {
		printf("\nUser %s can use mp3 on this machine.\n", user);
	} else {
		printf("\nUser %s cannot use mp3 on this machine yet: %u problem%s. Next:\n",
		       user, doctor->nr_problems,
		       doctor->nr_problems == 1 ? "" : "s");
		printf("    %s\n", doctor->next);
	}
	free(user);

	return doctor->nr_problems ? 1 : 0;
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor doctor = { .root = "" };
	int status;

	parse_options(&doctor, argc, argv);
	doctor.distribution = doctor_distribution(&doctor);
	doctor.container = is_container(&doctor);
	doctor_load(&doctor);
	if (doctor.loaded)
		doctor_use(&doctor);
	check_features(&doctor);
	status = conclude(&doctor);
	free(doctor.release);
	free(doctor.installed);
	free(doctor.next);

	return status;
}
