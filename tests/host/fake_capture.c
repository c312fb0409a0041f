// SPDX-License-Identifier: GPL-2.0
/*
 * Linked with the tools and -Wl,--wrap=open,--wrap=write, this has mp3ctl open a ring
 * in a file, $FAKE_CAPTURE, instead of a capture. Every command that is written to it
 * succeeds, but nothing is registered. With --wrap=poll, it counts the calls of poll(2) in
 * the file.
 */
#include <poll.h>
#include <sys/syscall.h>

#include "fake_ring.h"

static int capture = -1;

int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	if (strcmp(path, MP3_CAPTURE_PATH))
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	capture = (int)syscall(SYS_openat, AT_FDCWD, getenv("FAKE_CAPTURE"),
			       flags);

	return capture;
}

int __wrap_poll(struct pollfd *fds, nfds_t nr, int timeout)
{
	__u64 polls = 0;

	if (capture >= 0 &&
	    pread(capture, &polls, sizeof(polls), FAKE_OFF_POLLS) > 0) {
		polls++;
		pwrite(capture, &polls, sizeof(polls), FAKE_OFF_POLLS);
	}

	return (int)syscall(SYS_poll, fds, nr, timeout);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	return fd >= 0 && fd == capture ? (ssize_t)size :
					  syscall(SYS_write, fd, data, size);
}
