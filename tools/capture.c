// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include "capture.h"
#include "util.h"

#define USER_FOLLOW_PATH "/sys/module/mp3/parameters/user_follow"

/* Creates a capture. Exits with status 1 and one line if that is impossible. */
void capture_open_or_exit(struct mp3_reader *capture)
{
	int error = mp3_capture_open(capture);

	if (error)
		reader_open_failed(capture, MP3_CAPTURE_PATH, error);
}

/* Returns whether this process has CAP_PERFMON, as far as it can find out. */
bool has_perfmon(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	return !syscall(SYS_capget, &header, data) &&
	       (data[CAP_TO_INDEX(CAP_PERFMON)].effective &
		CAP_TO_MASK(CAP_PERFMON));
}

/*
 * Exits with status 1 and one line if the module does not let this process follow
 * any other. To be called before the first one is followed.
 */
void check_may_follow(void)
{
	int fd = open(USER_FOLLOW_PATH, O_RDONLY | O_CLOEXEC);
	char value = 'Y';

	/* If it cannot be read, the module decides when a process is followed. */
	if (fd >= 0 && read(fd, &value, 1) != 1)
		value = 'Y';
	if (fd >= 0)
		close(fd);
	if (value == 'N' && !has_perfmon())
		errx(1, "following requires CAP_PERFMON, or the module's user_follow=1");
}

/**
 * parse_every() - parse how many minor faults there are for each that is located
 * @option: its name
 * @text:   its argument
 *
 * Return: a power of two. Exits with status 2 if @text is none.
 */
unsigned int parse_every(const char *option, const char *text)
{
	__u64 every = parse_number(option, text, 1, 65536);

	if (every & (every - 1))
		errx(2, "%s: '%s' is not a power of two", option, text);
	return (unsigned int)every;
}

/*
 * Has the faults of a capture located, one minor fault in @n, and maps their ring.
 * Exits with status 1 and one line if that is impossible.
 */
void capture_locate_or_exit(const struct mp3_reader *capture, unsigned int n,
			    unsigned int callers, struct mp3_faults *faults)
{
	int error = mp3_capture_locate(capture, n, callers);

	if (error == -EPERM)
		errx(1, "locating requires CAP_PERFMON, or the module's user_faults=1");
	if (error == -EOPNOTSUPP)
		errx(1, "this kernel cannot locate faults: it lacks perf events");
	if (error)
		errx(1, "%s: %s", MP3_CAPTURE_PATH, mp3_strerror(error));
	error = mp3_faults_open(faults, capture);
	if (error)
		errx(1, "%s: the ring of faults: %s", MP3_CAPTURE_PATH,
		     mp3_strerror(error));
}

/*
 * Returns whether a capture has a process. If it has not, the process id is no
 * longer in use, or it is another process' and must not be added.
 */
bool capture_has(const struct mp3_reader *capture, pid_t pid)
{
	int error = mp3_capture_register(capture, pid);

	if (!error)
		mp3_capture_unregister(capture, pid);
	return error == -EEXIST;
}

/*
 * Follows a process that may be part of a capture already, because it descends from
 * another one: R finds that out faster than F, which other tasks execute, one at a
 * time. Returns 0, -EEXIST if it is part of the capture, or another negative errno.
 */
int capture_add(const struct mp3_reader *capture, pid_t pid)
{
	int error = mp3_capture_register(capture, pid);

	if (error)
		return error;
	error = mp3_capture_follow(capture, pid);
	if (error)
		mp3_capture_unregister(capture, pid);

	return error;
}

/**
 * reader_open_failed() - explain why a ring or a capture cannot be opened, and
 *			  exit with status 1
 * @reader: as the function of mp3_client.h that failed has left it
 * @path:   path of the device
 * @error:  negative errno that it has returned
 */
void reader_open_failed(const struct mp3_reader *reader, const char *path,
			int error)
{
	if (reader->version && reader->version != MP3_ABI_VERSION)
		errx(1, "%s: has ABI version %u, this program reads version %u: see mp3ctl doctor",
		     path, reader->version, MP3_ABI_VERSION);
	errx(1, "%s: %s", path, mp3_strerror(error));
}
