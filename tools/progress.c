// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "progress.h"
#include "util.h"

/* An operation that is shorter shows no line. */
#define PROGRESS_DELAY_NS	(2 * NSEC_PER_SEC)
/* Time between two lines */
#define PROGRESS_INTERVAL_NS	(NSEC_PER_SEC / 5)

/*
 * The operation that is in progress:
 * @is_running: progress() was called since the last progress_end()
 * @shows:	standard error is a terminal
 * @next_ns:	when to print the next line
 */
static struct {
	bool is_running;
	bool shows;
	__u64 next_ns;
} operation;

/* Length of the line that the terminal shows; 0 if there is none */
static int shown;

/* Returns the columns of the terminal that a line can fill without a wrap. */
static int line_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 2)
		return 79;
	return size.ws_col - 1;
}

/**
 * progress_line() - show a line on standard error, which is a terminal
 * @text: the line, in UTF-8; empty: none
 *
 * Replaces the line before. Cut, so that the terminal does not break it. The cursor
 * stays at its start, where it is also after a terminal that was made narrower has
 * broken the line.
 */
void progress_line(const char *text)
{
	int length, columns = line_columns();
	char line[256], *byte;

	snprintf(line, sizeof(line), "%s", text);
	for (byte = line; *byte; byte++)
		if (iscntrl((unsigned char)*byte))
			*byte = '?';
	length = (int)(byte - line);
	if (length > columns)
		length = columns;
	/* Not within a character */
	while (length && (line[length] & 0xc0) == 0x80)
		length--;

	if (shown > columns) {
		fputs("\033[J", stderr);
		shown = 0;
	}
	fprintf(stderr, "%.*s%*s\r", length, line,
		shown > length ? shown - length : 0, "");
	shown = length;
}

/**
 * progress() - show how far an operation is
 * @what: name of the operation, printable
 * @done: the part that is done, 0 to 1
 *
 * Prints "what: 42 %" on standard error, over the line before. Prints nothing
 * unless standard error is a terminal and two seconds have passed since the
 * operation's first call, and at most five lines a second. It is cheap enough to be
 * called for each of many small steps.
 */
void progress(const char *what, double done)
{
	__u64 now_ns = clock_ns(CLOCK_MONOTONIC);
	char line[256];

	if (!operation.is_running) {
		operation.is_running = true;
		operation.shows = isatty(STDERR_FILENO);
		operation.next_ns = now_ns + PROGRESS_DELAY_NS;
	}
	if (!operation.shows || now_ns < operation.next_ns)
		return;
	operation.next_ns = now_ns + PROGRESS_INTERVAL_NS;

	if (!(done > 0))
		done = 0;
	if (done > 1)
		done = 1;
	/* Round down: 100 % is the end. */
	snprintf(line, sizeof(line), "%s: %d %%", what, (int)(100 * done));
	progress_line(line);
}

/*
 * Ends the operation: removes its line from the terminal. To be called before
 * anything else is printed there. Does nothing if there is no operation.
 */
void progress_end(void)
{
	if (shown)
		progress_line("");
	operation.is_running = false;
}
