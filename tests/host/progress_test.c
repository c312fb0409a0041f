// SPDX-License-Identifier: GPL-2.0
/*
 * The progress line of mp3ctl: when it is printed, and what the terminal receives.
 * The clock is artificial, and standard error is one end of a pseudo-terminal.
 */
#include <sys/ioctl.h>

#include "../../tools/progress.c"
#include "../guest/test.h"

static double seconds;
static int terminal;	/* the end that receives what is printed */

/* In place of the one in tools/util.c */
__u64 clock_ns(clockid_t clock)
{
	(void)clock;
	return (__u64)(seconds * 1e9);
}

static void set_columns(unsigned short columns)
{
	struct winsize size = { .ws_row = 24, .ws_col = columns };

	if (ioctl(terminal, TIOCSWINSZ, &size))
		err(1, "size of the terminal");
}

/* Makes standard error a terminal with so many columns. */
static void open_terminal(unsigned short columns)
{
	int slave;

	terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (terminal < 0 || grantpt(terminal) || unlockpt(terminal))
		err(1, "pseudo-terminal");
	set_columns(columns);
	slave = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || dup2(slave, STDERR_FILENO) < 0)
		err(1, "pseudo-terminal");
	close(slave);
}

/* Returns whether exactly this was printed since the last call. */
static bool received(const char *expected)
{
	char text[1024];
	ssize_t size = read(terminal, text, sizeof(text) - 1);

	text[size > 0 ? size : 0] = '\0';
	if (!strcmp(text, expected))
		return true;
	for (char *byte = text; *byte; byte++)
		if (*byte == '\r')
			*byte = '<';
	diag("got '%s' ('<' is a carriage return)", text);
	return false;
}

static void at(double time, const char *what, double done)
{
	seconds = time;
	progress(what, done);
}

static void test_times(void)
{
	int i, lines = 0;
	char byte;

	at(100, "reading", 0.01);
	at(101.9, "reading", 0.40);
	ok(received(""), "an operation prints nothing in its first two seconds");
	at(102, "reading", 0.429);
	ok(received("reading: 42 %\r"), "after two seconds a line shows the part that is done");
	at(102.1, "reading", 0.45);
	ok(received(""), "a second line does not follow within a fifth of a second");
	at(102.2, "reading", 1);
	ok(received("reading: 100 %\r"), "a second line follows a fifth of a second later");
	at(102.5, "read", 0.05);
	ok(received("read: 5 %     \r"), "a shorter line clears the rest of the longer one");
	progress_end();
	ok(received("         \r"), "the end clears the line");
	progress_end();
	ok(received(""), "a second end prints nothing");

	at(110, "next", 0.5);
	ok(received(""), "the next operation has two seconds of its own");
	for (i = 0; i < 1000; i++)
		at(112 + i / 1000.0, "next", 0.5);
	while (read(terminal, &byte, 1) == 1)
		lines += byte == '\r';
	ok_eq(lines, 5, "a thousand calls in a second print five lines");
	progress_end();
	received("          \r");
}

static void test_values(void)
{
	at(200, "x", 0);
	at(203, "x", 1.5);
	ok(received("x: 100 %\r"), "more than everything is shown as 100 %%");
	at(204, "x", -1);
	ok(received("x: 0 %  \r"), "a negative part is shown as 0 %%");
	at(205, "x", 0.0 / 0.0);
	ok(received("x: 0 %\r"), "an undefined part is shown as 0 %%");
	progress_end();
	received("      \r");
}

/* The terminal breaks a line that is longer than it is wide. */
static void test_sizes(void)
{
	/* Seven characters of three bytes */
	static const char text[] =
		"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x83\x97"
		"\xe3\x83\xad\xe3\x82\xb7\xe3\x82\xb9";

	open_terminal(40);
	at(250, "a long operation", 0);
	at(253, "a long operation", 0.5);
	received("a long operation: 50 %\r");
	set_columns(12);
	at(254, "a long operation", 0.6);
	ok(received("\033[Ja long oper\r"),
	   "a line that was broken by a narrower terminal is cleared");
	set_columns(40);
	progress_end();
	ok(received("           \r"), "the end clears a line that was cut");

	set_columns(20);
	at(260, text, 0);
	at(263, text, 0.5);
	ok(received("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x83\x97"
		    "\xe3\x83\xad\xe3\x82\xb7\r"),
	   "a line is not cut within a character");
	progress_end();
	received("                  \r");
	at(270, "a\033[2J\nb", 0);
	at(273, "a\033[2J\nb", 0.5);
	ok(received("a?[2J?b: 50 %\r"),
	   "a terminal gets no control character of a file's name");
	progress_end();
}

static void test_elsewhere(void)
{
	char text[1024];
	int pipes[2];

	open_terminal(12);
	at(300, "a long operation", 0);
	at(303, "a long operation", 0.5);
	ok(received("a long oper\r"), "a narrow terminal gets a line that does not wrap");
	progress_end();

	if (pipe2(pipes, O_NONBLOCK | O_CLOEXEC) || dup2(pipes[1], STDERR_FILENO) < 0)
		err(1, "pipe");
	at(400, "reading", 0);
	at(403, "reading", 0.5);
	progress_end();
	ok(read(pipes[0], text, sizeof(text)) < 0 && errno == EAGAIN,
	   "a pipe receives nothing");
}

int main(void)
{
	open_terminal(80);
	test_times();
	test_values();
	test_sizes();
	test_elsewhere();
	return done();
}
