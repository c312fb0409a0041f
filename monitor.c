// SPDX-License-Identifier: GPL-2.0
/*
 * monitor: prints the samples in mp3's ring, oldest first, and consumes them.
 *
 *	./monitor > profile.data
 *
 * The kernel writes a sample into the ring at each tick at which a registered
 * process did something. The ring is mapped into this program's memory, so
 * reading it takes no system call. A line is one sample, the sum over all
 * registered processes:
 *
 *	jiffies min_flt maj_flt cpu_percent
 *
 * A sample is consumed only after it was written, so it stays in the ring if the
 * disk is full. The last line is a comment with the number of samples read, the
 * number of samples that were overwritten before that, and the clock ticks per
 * second (hz) in which jiffies count.
 *
 * mp3_client.h contains the protocol of the ring; mp3ctl watch has formats, the
 * records of each process, and more.
 */
#include <err.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include "mp3_client.h"
#include "tools/util.h"

/* Bytes of the longest line, its NUL included. */
#define LINE_SIZE 128

static const char help[] =
	"usage: monitor [OPTION]... > profile.data\n"
	"Prints the samples in mp3's ring, oldest first, and consumes them.\n"
	"A line is: jiffies min_flt maj_flt cpu_percent\n"
	"\n"
	"  -d, --device DEVICE   ring to read (default " MP3_DEVICE_PATH ")\n"
	"  -k, --keep            do not consume the samples\n"
	"  -f, --follow          print new samples, too, until a signal ends it;\n"
	"                        implies --keep\n"
	"  -h, --help            show this help\n"
	"  -V, --version         show the version\n"
	"\n"
	"'mp3ctl watch' prints records of each process, and has more options.\n";

/**
 * struct monitor - the state of the program
 * @device:	ring
 * @keep:	do not consume samples
 * @follow:	print new samples until a signal arrives
 * @reader:	ring, open
 * @signals:	signalfd of the signals that end the program; -1 unless it follows
 * @stopped:	one of them arrived, or the reader of what it follows is gone
 * @start:	number of the ring's oldest sample at the start
 * @nr_printed:	samples printed
 * @maybe_lost:	samples that were overwritten before the start, if it cannot be
 *		known whether another reader had consumed them
 */
struct monitor {
	const char *device;
	bool keep;
	bool follow;
	struct mp3_reader reader;
	int signals;
	bool stopped;
	__u64 start;
	__u64 nr_printed;
	__u64 maybe_lost;
};

/* ---- Output ---- */

/*
 * Waits until standard output can be written. Returns false if a signal arrived
 * and standard output still cannot be written: its reader may never read again.
 */
static bool wait_writable(struct monitor *monitor)
{
	struct pollfd fds[] = {
		{ .fd = monitor->signals, .events = POLLIN },
		{ .fd = STDOUT_FILENO, .events = POLLOUT },
	};

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			err(1, "poll");
	monitor->stopped = fds[0].revents;

	return fds[1].revents;
}

/*
 * Writes a line to standard output. Returns false if that is impossible because
 * the program has to end; exits with status 1 after an error.
 */
static bool write_line(struct monitor *monitor, const char *line, size_t size)
{
	ssize_t written;

	while (size) {
		if (!wait_writable(monitor))
			return false;
		written = write(STDOUT_FILENO, line, size);
		if (written >= 0) {
			line += written;
			size -= (size_t)written;
		} else if (errno == EPIPE && monitor->follow) {
			monitor->stopped = true;
			return false;
		} else if (errno != EINTR && errno != EAGAIN) {
			err(1, "standard output");
		}
	}

	return true;
}

/* ---- The ring ---- */

/*
 * Opens a file that must not be written, if it is a recording: nothing is consumed from
 * it. Returns @error if it is a ring, or another error if it is neither.
 */
static int open_read_only(struct monitor *monitor, int error)
{
	struct mp3_reader *reader = &monitor->reader;
	int read_error = mp3_reader_open(reader, monitor->device, false);

	/* The contents of a recording are in memory. */
	if (read_error || reader->fd < 0)
		return read_error;
	mp3_reader_close(reader);

	return error;
}

static void open_ring(struct monitor *monitor)
{
	struct mp3_reader *reader = &monitor->reader;
	int error = mp3_reader_open(reader, monitor->device, !monitor->keep);

	if (error == -EACCES || error == -EROFS)
		error = open_read_only(monitor, error);
	if (error && reader->version && reader->version != MP3_ABI_VERSION)
		errx(1, "%s: has ABI version %u, this program reads version %u",
		     monitor->device, reader->version, MP3_ABI_VERSION);
	if (error)
		errx(1, "%s: %s", monitor->device, mp3_strerror(error));
	monitor->start = reader->next;
}

static bool print_sample(struct monitor *monitor,
			 const struct mp3_sample *sample)
{
	char line[LINE_SIZE];
	int size = snprintf(line, sizeof(line), "%lu %lu %lu %lu\n",
			    sample->jiffies, sample->min_flt, sample->maj_flt,
			    sample->cpu_percent);

	return write_line(monitor, line, (size_t)size);
}

/* Prints the samples in the ring, and consumes each after it was written. */
static void print_ring(struct monitor *monitor)
{
	struct mp3_reader *reader = &monitor->reader;
	__u64 head = mp3_reader_head(reader), number;
	struct mp3_sample sample;

	/* Up to this head: more may be published faster than it is printed. */
	while (!monitor->stopped && reader->next < head &&
	       mp3_reader_next(reader, &sample)) {
		number = reader->next - 1;
		/*
		 * Readers consume from old to new. If the oldest sample has not
		 * been consumed, then those before it, which were overwritten,
		 * may not have been either.
		 */
		if (!monitor->nr_printed && !monitor->follow &&
		    number - monitor->start <= reader->lost)
			monitor->maybe_lost = monitor->start;
		if (!print_sample(monitor, &sample))
			return;
		monitor->nr_printed++;
		if (!monitor->keep)
			mp3_reader_consume(reader, number, &sample);
	}
}

static void print_summary(struct monitor *monitor)
{
	__u64 lost = monitor->reader.lost + monitor->maybe_lost;
	char line[LINE_SIZE];
	int size = snprintf(line, sizeof(line),
			    "# %llu samples read, %s%llu lost, hz %u\n",
			    (unsigned long long)monitor->nr_printed,
			    monitor->maybe_lost ? "at most " : "",
			    (unsigned long long)lost,
			    monitor->reader.header->hz);

	write_line(monitor, line, (size_t)size);
}

/* ---- Following ---- */

/* From now on, signals that would end the program are for poll(2). */
static void catch_signals(struct monitor *monitor)
{
	sigset_t signals;

	termination_signals(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	monitor->signals = signalfd(-1, &signals, SFD_CLOEXEC);
	if (monitor->signals < 0)
		err(1, "signalfd");
}

/*
 * Waits until a sample is published. Returns false if a signal arrived, or the
 * reader of standard output closed it.
 */
static bool wait_samples(const struct monitor *monitor)
{
	struct pollfd fds[] = {
		{ .fd = monitor->signals, .events = POLLIN },
		{ .fd = STDOUT_FILENO },
		{ .fd = monitor->reader.fd, .events = POLLIN },
	};

	if (monitor->stopped)
		return false;
	while (poll(fds, 3, -1) < 0)
		if (errno != EINTR)
			err(1, "poll");

	return !fds[0].revents && !fds[1].revents;
}

/* ---- The command line ---- */

static void parse_options(struct monitor *monitor, int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "follow", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "keep", no_argument, NULL, 'k' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	int option;

	while ((option = next_option(argc, argv, "d:fhkV", options,
				     "")) >= 0) {
		switch (option) {
		case 'd':
			monitor->device = optarg;
			break;
		case 'f':
			monitor->follow = true;
			break;
		case 'k':
			monitor->keep = true;
			break;
		case 'h':
			fputs(help, stdout);
			exit(0);
		case 'V':
			puts("monitor (mp3) " MP3_VERSION);
			exit(0);
		}
	}
	if (optind < argc)
		errx(2, "unexpected argument '%s'", argv[optind]);
}

int main(int argc, char **argv)
{
	struct monitor monitor = { .signals = -1 };

	atexit(flush_output);
	parse_options(&monitor, argc, argv);
	if (!monitor.device)
		monitor.device = MP3_DEVICE_PATH;
	if (monitor.follow)
		monitor.keep = true;
	/* Otherwise the ring would be opened as standard output. */
	if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
		err(1, "standard output");
	/* A closed pipe is an error of write(2) like any other. */
	signal(SIGPIPE, SIG_IGN);
	open_ring(&monitor);

	if (monitor.follow)
		catch_signals(&monitor);
	print_ring(&monitor);
	while (monitor.follow && wait_samples(&monitor))
		print_ring(&monitor);
	print_summary(&monitor);
	mp3_reader_close(&monitor.reader);

	return 0;
}
