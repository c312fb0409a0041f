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

/* Makes standard error a terminal with so many columns. */
static void open_terminal(unsigned short columns)
{
	struct winsize size = { .ws_row = 24, .ws_col = columns };
	int slave;

	terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (terminal < 0 || grantpt(terminal) || unlockpt(terminal) ||
	    ioctl(terminal, TIOCSWINSZ, &size))
		err(1, "pseudo-terminal");
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
	ok(received("\rreading: 42 %"), "after two seconds a line shows the part that is done");
	at(102.1, "reading", 0.45);
	ok(received(""), "a second line does not follow within a fifth of a second");
	at(102.2, "reading", 1);
	ok(received("\rreading: 100 %"), "a second line follows a fifth of a second later");
	at(102.5, "read", 0.05);
	ok(received("\rread: 5 %     "), "a shorter line clears the rest of the longer one");
	progress_end();
	ok(received("\r         \r"), "the end clears the line");
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
	received("\r          \r");
}

static void test_values(void)
{
	at(200, "x", 0);
	at(203, "x", 1.5);
	ok(received("\rx: 100 %"), "more than everything is shown as 100 %%");
	at(204, "x", -1);
	ok(received("\rx: 0 %  "), "a negative part is shown as 0 %%");
	at(205, "x", 0.0 / 0.0);
	ok(received("\rx: 0 %"), "an undefined part is shown as 0 %%");
	progress_end();
	received("\r      \r");
}

static void test_elsewhere(void)
{
	char text[1024];
	int pipes[2];

	open_terminal(12);
	at(300, "a long operation", 0);
	at(303, "a long operation", 0.5);
	ok(received("\ra long oper"), "a narrow terminal gets a line that does not wrap");
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
	test_elsewhere();
	return done();
}
