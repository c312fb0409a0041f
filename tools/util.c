// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

/* Inodes of the initial namespaces: PROC_PID_INIT_INO, PROC_TIME_INIT_INO. */
#define INITIAL_PID_NAMESPACE 0xeffffffc
#define INITIAL_TIME_NAMESPACE 0xeffffffa

/* One more than any value of an option. */
#define OPTION_LIMIT 512

const char *(*option_hint)(const char *option);

/**
 * parse_number() - parse a whole decimal number
 * @what: name of the number in the error message
 * @text: all of it has to be the number
 * @min:  smallest value allowed
 * @max:  largest value allowed
 *
 * Return: the number. Exits with status 2 if @text is something else.
 */
__u64 parse_number(const char *what, const char *text, __u64 min, __u64 max)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	/* strtoull() accepts blanks and signs, and turns -1 into a huge number. */
	if (text[0] < '0' || text[0] > '9' || *end || errno || value < min ||
	    value > max)
		errx(2, "%s: '%s' is not a whole number from %llu to %llu",
		     what, text, (unsigned long long)min,
		     (unsigned long long)max);

	return value;
}

/**
 * scan_decimal() - read the decimal number that a text starts with, as in 1.5s or 1e6
 * @text: the text
 * @end:  set to what follows the number; to @text if there is none
 *
 * Return: the number, infinite if it is too large, or 0.
 */
double scan_decimal(const char *text, char **end)
{
	*end = (char *)text;
	/* strtod() accepts blanks, signs, "inf", "nan" and hexadecimal numbers, too. */
	if (!strspn(text, "0123456789.") || !strncasecmp(text, "0x", 2))
		return 0;

	return strtod(text, end);
}

/**
 * parse_decimal() - parse a decimal number that may have a fraction
 * @what: name of the number in the error message
 * @text: all of it has to be the number
 * @min:  smallest value allowed
 * @max:  largest value allowed
 *
 * Return: the number. Exits with status 2 if @text is something else.
 */
double parse_decimal(const char *what, const char *text, double min, double max)
{
	char *end;
	double value = scan_decimal(text, &end);

	if (end == text || *end || !(value >= min && value <= max))
		errx(2, "%s: '%s' is not a number from %g to %g", what, text,
		     min, max);

	return value;
}

/**
 * parse_duration() - parse a time, in seconds unless a unit follows: ms, s, m or h
 * @what: name of the time in the error message
 * @text: all of it has to be the time
 * @min:  smallest value allowed
 * @max:  largest value allowed
 *
 * Return: the time in seconds. Exits with status 2 if @text is something else.
 */
double parse_duration(const char *what, const char *text, double min, double max)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = { { "", 1 }, { "s", 1 }, { "ms", 0.001 }, { "m", 60 }, { "h", 3600 } };
	double value;
	char *end;
	size_t i;

	value = scan_decimal(text, &end);
	for (i = 0; i < ARRAY_SIZE(units); i++)
		if (end != text && !strcmp(end, units[i].name) &&
		    value * units[i].seconds >= min &&
		    value * units[i].seconds <= max)
			return value * units[i].seconds;
	errx(2, "%s: '%s' is not a time from %g to %g seconds, like 2, 1.5s, 100ms or 5m",
	     what, text, min, max);
}

/* Parses a process id. Exits with status 2 if @text is none. */
pid_t parse_pid(const char *text)
{
	return (pid_t)parse_number("process id", text, 1, PID_LIMIT - 1);
}

/* Calls @add with each of the process ids in a list with commas. Exits likewise. */
void parse_pids(const char *text, void (*add)(void *data, pid_t pid), void *data)
{
	char *list = strdup(text), *rest = list, *pid;

	if (!list)
		err(1, "process ids");
	while ((pid = strsep(&rest, ",")))
		add(data, parse_pid(pid));
	free(list);
}

/*
 * Returns the option with a value whose long name begins as @word does, up to an equals
 * sign; NULL if there is none. Adds to @nr how many names begin so.
 */
static const struct option *find_long(const struct option *options,
				      const char *word, int value, int *nr)
{
	const struct option *found = NULL;

	if (strncmp(word, "--", 2))
		return NULL;
	for (word += 2; options->name; options++) {
		if (strncmp(options->name, word, strcspn(word, "=")))
			continue;
		(*nr)++;
		if (options->val == value)
			found = options;
	}

	return found;
}

/*
 * Exits with status 2 after one line: getopt_long(3) has refused an option, which is
 * in @word if it is a long one.
 */
__attribute__((noreturn))
static void refuse_option(const char *word, const char *letters,
			  const struct option *options)
{
	char letter[] = { '-', (char)optopt, '\0' };
	int nr = 0;
	const struct option *option = find_long(options, word, optopt, &nr);
	const char *hint;

	word = optopt && !option ? letter :
				   strndup(word, strcspn(word, "="));
	if (!word)
		err(1, "options");
	if (option && option->has_arg == no_argument)
		errx(2, "option '%s' takes no argument", word);
	if (option || (optopt && strchr(letters, optopt)))
		errx(2, "option '%s' requires an argument", word);
	if (!optopt && nr)
		errx(2, "option '%s' is ambiguous (see %s --help)", word,
		     program_invocation_short_name);
	hint = option_hint ? option_hint(word) : NULL;
	if (hint)
		errx(2, "unrecognized option '%s': %s", word, hint);
	errx(2, "unrecognized option '%s' (see %s --help)", word,
	     program_invocation_short_name);
}

/**
 * next_option() - getopt_long(3) that refuses repeated options
 * @argc:	arguments
 * @argv:	arguments
 * @letters:	as for getopt_long(3)
 * @options:	as for getopt_long(3); contains every letter, without flags
 * @repeatable: letters of the options that may be given more than once
 *
 * Return: the option, or -1 after the last one. Prints one line and exits with
 * status 2 if an option is unknown, lacks its argument or is given twice.
 */
int next_option(int argc, char **argv, const char *letters,
		const struct option *options, const char *repeatable)
{
	static bool given[OPTION_LIMIT];
	int option;

	opterr = 0;
	option = getopt_long(argc, argv, letters, options, NULL);
	if (option == '?')
		refuse_option(argv[optind - 1], letters, options);
	if (option < 0 || option >= OPTION_LIMIT)
		return option;
	if (given[option] && !(option < 128 && strchr(repeatable, option))) {
		while (options->val != option)
			options++;
		errx(2, "--%s is given more than once", options->name);
	}
	given[option] = true;

	return option;
}

/*
 * Opens the standard files that are closed, so that no file that is opened later takes
 * the place of one, and gets its messages. Reading and writing still fail with EBADF,
 * and a command still has them closed.
 */
void open_standard_files(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) |
				      O_CLOEXEC) != fd)
			_exit(1);
}

/* Reports output that could not be written; for atexit(3). */
void flush_output(void)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return;
	/* If an earlier write failed, its errno is lost. */
	if (errno)
		warn("standard output");
	else
		warnx("standard output: write error");
	_exit(1);
}

/* Returns whether SIGHUP is ignored, as it is under nohup(1). */
bool ignores_hangup(void)
{
	struct sigaction action;

	return !sigaction(SIGHUP, NULL, &action) &&
	       action.sa_handler == SIG_IGN;
}

/* Fills @signals with the signals by which a user ends a tool. */
void termination_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	if (!ignores_hangup())
		sigaddset(signals, SIGHUP);
}

/* Returns the time of a clock in nanoseconds. */
__u64 clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (__u64)now.tv_sec * NSEC_PER_SEC + (__u64)now.tv_nsec;
}

/*
 * Returns what this time namespace adds to CLOCK_MONOTONIC, in nanoseconds.
 * Exits if the kernel does not reveal it.
 */
static __s64 monotonic_offset_ns(void)
{
	struct stat own, children;
	long long seconds = 0;
	long nanoseconds = 0;
	FILE *file;

	/* A kernel without time namespaces has none of the files. */
	if (stat("/proc/self/ns/time", &own) ||
	    own.st_ino == INITIAL_TIME_NAMESPACE)
		return 0;
	/* timens_offsets describes the namespace of future children. */
	file = fopen("/proc/self/timens_offsets", "re");
	if (!file || stat("/proc/self/ns/time_for_children", &children) ||
	    own.st_ino != children.st_ino)
		errx(1, "the offset of this time namespace is unknown");
	if (fscanf(file, " monotonic %lld %ld", &seconds, &nanoseconds) != 2)
		errx(1, "/proc/self/timens_offsets: unexpected contents");
	fclose(file);

	return seconds * (__s64)NSEC_PER_SEC + nanoseconds;
}

/*
 * Returns CLOCK_MONOTONIC of the initial time namespace, in nanoseconds: the
 * clock of records and headers.
 */
__u64 initial_monotonic_ns(void)
{
	static __s64 offset_ns;
	static bool known;

	if (!known) {
		offset_ns = monotonic_offset_ns();
		known = true;
	}

	return clock_ns(CLOCK_MONOTONIC) - (__u64)offset_ns;
}

/* Returns whether process ids here are those of the records. */
bool in_initial_pid_namespace(void)
{
	struct stat stat_ns;

	return !stat("/proc/self/ns/pid", &stat_ns) &&
	       stat_ns.st_ino == INITIAL_PID_NAMESPACE;
}
