// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "live.h"
#include "output.h"
#include "util.h"

/* How long --until-idle takes to notice that nothing is registered. */
#define POLL_NS (NSEC_PER_SEC / 10)

/*
 * Blocks the signals that end the command and returns a signalfd of them. @mask is
 * set to the signal mask before, unless it is NULL. SIGQUIT is one of them: it would
 * leave a terminal without echo.
 */
int catch_signals(sigset_t *mask)
{
	sigset_t signals;
	int fd;

	termination_signals(&signals);
	sigaddset(&signals, SIGQUIT);
	sigprocmask(SIG_BLOCK, &signals, mask);
	fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (fd < 0)
		err(1, "signalfd");

	return fd;
}

/**
 * live_start() - open a capture, a ring or a recording, and prepare standard output
 * @live:    filled
 * @options: of the command; the caller keeps them
 * @records: follow records, not samples
 *
 * Registers the selected processes in a capture. Exits with status 1 if any of
 * this is impossible.
 */
void live_start(struct live *live, const struct ring_options *options,
		bool records)
{
	*live = (struct live){
		.until_idle = options->until_idle,
		.until_ns = MP3_NEVER,
	};
	output_open(-1);
	if (options->recording)
		source_open_recording(&live->source, options->device, records);
	else if (options->ring)
		source_open(&live->source, options->device, records);
	else
		source_open_capture(&live->source);
	live->signals = catch_signals(&live->mask);
	output_open(live->signals);
	if (!options->ring)
		live->was_active = selection_start(&live->selection,
						   &live->source, options);
	if (options->has_span)
		live->until_ns = initial_monotonic_ns() + options->span_ns;
	live->start_head = mp3_reader_head(&live->source.reader);
}

/* Reports processes that were denied, and closes the capture or the ring. */
void live_finish(struct live *live)
{
	if (live->source.capture)
		source_report_denied(&live->source);
	mp3_reader_close(&live->source.reader);
}

/*
 * Starts a pass over the entries that are published now. The time is read before
 * the ring, so that all entries older than it are part of the pass.
 */
void live_begin_pass(struct live *live)
{
	const struct mp3_reader *reader = &live->source.reader;
	__u32 processes;

	live->now_ns = initial_monotonic_ns();
	if (live->source.capture)
		selection_scan(&live->selection, live->now_ns);
	/*
	 * Checked before the processes: one that has come and gone since the
	 * start has moved the head.
	 */
	if (mp3_reader_head(reader) != live->start_head)
		live->was_active = true;
	/* If this is 0, the head that is loaded after it is final. */
	processes = __atomic_load_n(&reader->header->processes,
				    __ATOMIC_ACQUIRE);
	if (processes)
		live->was_active = true;
	live->is_idle = live->was_active && !processes;
	live->end = mp3_reader_head(reader);
}

/* Reads the next entry of this pass. Returns false if there is none. */
bool live_next(struct live *live, struct entry *entry)
{
	return source_next(&live->source, live->end, entry);
}

/* Returns whether this pass was the last one. */
bool live_is_over(const struct live *live)
{
	return (live->until_idle && live->is_idle) ||
	       live->now_ns >= live->until_ns;
}

/* Returns the timeout for poll(2) in milliseconds, rounded up. */
static int timeout_ms(__u64 now_ns, __u64 until_ns)
{
	__u64 ms;

	if (until_ns == MP3_NEVER)
		return -1;
	if (until_ns <= now_ns)
		return 0;
	ms = (until_ns - now_ns + 999999) / 1000000;

	return ms < 3600000 ? (int)ms : 3600000;
}

static void set_earlier(__u64 *ns, __u64 other_ns)
{
	if (other_ns < *ns)
		*ns = other_ns;
}

/*
 * Waits for the next pass: for new entries, the end of the time, or what @wait
 * lists. Returns false if the command has to end.
 */
bool live_wait(const struct live *live, const struct wait *wait)
{
	struct pollfd fds[] = {
		{ .fd = live->signals, .events = POLLIN },
		{ .fd = wait->watch_output ? STDOUT_FILENO : -1 },
		{ .fd = wait->input_fd, .events = POLLIN },
		{ .fd = live->source.reader.fd, .events = POLLIN },
	};
	__u64 now_ns = initial_monotonic_ns(), until_ns = wait->until_ns;

	set_earlier(&until_ns, live->until_ns);
	if (live->source.capture)
		set_earlier(&until_ns, live->selection.scan_ns);
	/* The last entry wakes a poller before the processes are 0. */
	if (live->until_idle)
		set_earlier(&until_ns, now_ns + POLL_NS);
	if (poll(fds, 4, timeout_ms(now_ns, until_ns)) < 0) {
		/* The size of the terminal has changed. */
		if (errno == EINTR)
			return true;
		err(1, "poll");
	}

	return !(fds[0].revents || fds[1].revents || fds[2].revents & ~POLLIN);
}

/* Takes a signal that has ended live_wait(): only another one ends the next wait. */
void live_take_signal(const struct live *live)
{
	struct signalfd_siginfo info;

	if (read(live->signals, &info, sizeof(info)) != sizeof(info))
		err(1, "signalfd");
}
