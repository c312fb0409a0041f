// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

const char *output_name = "standard output";

/*
 * @stop_fd: readable once the command has to end; -1 if nothing ends it
 * @stopped: @stop_fd was readable
 * @entries: entries that were written
 * @pending: entries in @text
 * @size:    bytes in @text
 * @line:    those before the last line
 */
static struct {
	int stop_fd;
	bool stopped;
	__u64 entries;
	__u64 pending;
	size_t size;
	size_t line;
	char text[16 * PIPE_BUF];
} out = { .stop_fd = -1 };

/**
 * output_open() - prepare standard output
 * @stop_fd: becomes readable when the command has to end; -1: none, and SIGPIPE
 *	     ends it if a pipe is closed
 *
 * Exits if standard output is closed, or cannot be written.
 */
void output_open(int stop_fd)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	if (flags >= 0 && (flags & O_ACCMODE) == O_RDONLY)
		errno = EBADF;
	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		err(1, "%s", output_name);
	if (stop_fd >= 0)
		signal(SIGPIPE, SIG_IGN);
	out.stop_fd = stop_fd;
}

/*
 * Waits until standard output can be written. Returns false if the command has
 * to end and standard output still cannot be written.
 */
static bool wait_writable(void)
{
	struct pollfd fds[] = {
		{ .fd = out.stop_fd, .events = POLLIN },
		{ .fd = STDOUT_FILENO, .events = POLLOUT },
	};

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			err(1, "poll");
	out.stopped = fds[0].revents;

	return fds[1].revents;
}

/**
 * output_flush() - write the lines that were put
 *
 * Exits with status 1 on an error. No byte is written twice, whatever happens.
 *
 * Return: false if the command has to end, since a signal arrived or, if it has
 * a stop_fd, the reader closed the pipe.
 */
bool output_flush(void)
{
	ssize_t written;
	size_t size;

	while (out.size) {
		if (!wait_writable())
			return false;
		size = out.size < PIPE_BUF ? out.size : PIPE_BUF;
		written = write(STDOUT_FILENO, out.text, size);
		if (written < 0 && errno != EINTR && errno != EAGAIN) {
			out.size = 0;
			out.pending = 0;
			if (errno == EPIPE && out.stop_fd >= 0)
				return false;
			err(1, "%s", output_name);
		}
		if (written > 0) {
			out.size -= (size_t)written;
			memmove(out.text, out.text + written, out.size);
		}
	}
	out.entries += out.pending;
	out.pending = 0;

	/* There may be many more lines, and each piece may be slow. */
	return !out.stopped;
}

static bool has_room(void)
{
	return out.size + OUTPUT_LINE <= PIPE_BUF;
}

/* Makes room for a line. Returns false if the command has to end. */
bool output_begin_line(void)
{
	bool more = has_room() || output_flush();

	out.line = out.size;

	return more;
}

/*
 * Makes room for one of the last lines of a command that has to end. Returns false
 * if standard output cannot be written.
 */
bool output_begin_last_line(void)
{
	return output_begin_line() || has_room();
}

/*
 * Appends a text to the line that output_begin_line() made room for. printf(3) would be
 * most of the time that many lines take.
 */
void output_put_text(const char *text, size_t length)
{
	if (length >= sizeof(out.text) - out.size)
		errx(1, "a line of output is too long");
	memcpy(out.text + out.size, text, length);
	out.size += length;
}

/* Appends likewise. */
void output_put(const char *format, ...)
{
	size_t room = sizeof(out.text) - out.size;
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(out.text + out.size, room, format, args);
	va_end(args);
	if (size < 0 || (size_t)size >= room)
		errx(1, "a line of output is too long");
	out.size += (size_t)size;
}

/* Returns how many bytes the line has that output_begin_line() made room for. */
size_t output_line_size(void)
{
	return out.size - out.line;
}

/* Counts entries. Their lines are complete. */
void output_end_entries(__u64 entries)
{
	out.pending += entries;
}

/* Returns how many entries were written. */
__u64 output_entries(void)
{
	return out.entries;
}
