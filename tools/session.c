// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <sys/syscall.h>

#include "capture.h"
#include "cgroup.h"
#include "proc.h"
#include "session.h"
#include "stall.h"
#include "timeout.h"
#include "util.h"

/* Milliseconds between two polls if nothing wakes the tool earlier. */
#define POLL_MS 100

/* Initializes a session with the defaults of its options. */
void session_init(struct session *session)
{
	*session = (struct session){
		.report = { .nr_rows = DEFAULT_ROWS, .file = stderr },
		.signals = -1,
	};
	session->capture.fd = -1;
}

/**
 * session_option() - store an option that next_option() returned
 * @session: the option is stored here
 * @option:  the option
 * @help:    what -h prints
 *
 * Exits if its argument is wrong, or after -h and -V.
 */
void session_option(struct session *session, int option, const char *help)
{
	switch (option) {
	case 'f':
		session->no_follow = false;
		return;
	case OPT_NO_FOLLOW:
		session->no_follow = true;
		return;
	case 'n':
		session->report.nr_rows = parse_number("rows", optarg, 0,
						       1000000);
		return;
	case 'o':
		session->output = optarg;
		return;
	case 'q':
		session->quiet = true;
		return;
	case OPT_BY:
		session->report.by = parse_report_by(optarg);
		return;
	case OPT_EMIT_CSV:
	case OPT_EMIT_JSON:
		if (session->format)
			errx(2, "--csv and --json exclude each other");
		session->format = option == OPT_EMIT_CSV ? EMIT_CSV : EMIT_JSON;
		return;
	case OPT_LIMIT:
		limits_parse(&session->limits, optarg);
		if (session->limits.given[METRIC_STALL])
			session->report.located = true;
		return;
	case OPT_STALL:
		session->report.located = true;
		return;
	case 'h':
		fputs(help, stdout);
		exit(0);
	case 'V':
		puts("mp3ctl " MP3_VERSION);
		exit(0);
	}
}

/* Exits with status 2 if options exclude each other. */
void session_check_options(const struct session *session)
{
	if (session->quiet && (session->format || session->output))
		errx(2, "--quiet excludes --csv, --json and -o");
}

/* Opens the file of the report and a capture. Exits if that is impossible. */
void session_open(struct session *session)
{
	session_open_capture(session);
	session_open_output(session);
}

/* Opens the file of the report. Exits if that is impossible. */
void session_open_output(struct session *session)
{
	if (!session->output)
		return;
	session->report.file = fopen(session->output, "we");
	if (!session->report.file)
		err(1, "%s", session->output);
}

/* Opens a capture, after session_stop() another one. Exits if that is impossible. */
void session_open_capture(struct session *session)
{
	capture_open_or_exit(&session->capture);
	if (!session->no_follow)
		check_may_follow();
	table_free(&session->table);
	table_init(&session->table);
	if (session->report.located)
		stall_open(session);
}

/*
 * Registers a process, and its descendants unless --no-follow was given. Returns
 * 0 or a negative errno.
 */
int session_register(struct session *session, pid_t pid)
{
	return session->no_follow ?
	       mp3_capture_register(&session->capture, pid) :
	       mp3_capture_follow(&session->capture, pid);
}

/*
 * Adds a process to wait for. To be called before the process is registered:
 * should another one have got its id, it has exited. Exits if there is no memory.
 */
void session_add_target(struct session *session, pid_t pid)
{
	session->targets = reallocarray(session->targets,
					session->nr_targets + 1,
					sizeof(*session->targets));
	if (!session->targets)
		err(1, "list of processes");
	session->targets[session->nr_targets++] = (struct target){
		.pid = pid,
		.pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
	};
}

static void read_records(struct session *session)
{
	const struct session_observer *observer = session->observer;
	struct mp3_record record;

	if (observer)
		observer->before(session);
	while (mp3_reader_next_record(&session->capture, &record)) {
		table_count(&session->table, &record);
		if (observer)
			observer->record(session, &record);
		/* Look it up while it exists. */
		if (record.flags & MP3_IDENTITY &&
		    session->report.by == BY_CGROUP)
			cgroup_name(record.cgroup_id);
	}
	if (observer)
		observer->after(session);
}

/* Notes whether a target has exited, given the events of its pidfd. */
static void check_target(struct target *target, short revents)
{
	if (target->exited || (target->pidfd >= 0 && !revents) ||
	    (target->pidfd < 0 && is_running(target->pid)))
		return;
	target->exited = true;
	if (target->pidfd >= 0)
		close(target->pidfd);
	target->pidfd = -1;
}

/*
 * Sleeps until records are published, a process exits, a signal arrives or
 * POLL_MS have passed, and reads the records. Returns whether a signal is
 * pending on @session->signals.
 */
bool session_wait(struct session *session)
{
	struct pollfd fds[session->nr_targets + 2];
	struct target *target;
	size_t nr = 2, i;

	fds[0] = (struct pollfd){ .fd = session->signals, .events = POLLIN };
	fds[1] = (struct pollfd){
		.fd = session->capture.fd,
		.events = POLLIN,
	};
	/* poll(2) takes at most as many entries as files can be open. */
	for (i = 0; i < session->nr_targets; i++)
		if (session->targets[i].pidfd >= 0)
			fds[nr++] = (struct pollfd){
				.fd = session->targets[i].pidfd,
				.events = POLLIN,
			};
	if (poll(fds, nr, POLL_MS) < 0)
		return false;

	read_records(session);
	for (i = 0, nr = 2; i < session->nr_targets; i++) {
		target = &session->targets[i];
		check_target(target,
			     target->pidfd >= 0 ? fds[nr++].revents : 0);
	}

	return fds[0].revents;
}

/* Returns whether a signal is pending on @session->signals. */
bool session_is_interrupted(const struct session *session)
{
	struct pollfd pollfd = { .fd = session->signals, .events = POLLIN };

	return poll(&pollfd, 1, 0) > 0;
}

/* Returns whether nothing is registered in the capture. */
bool session_is_empty(const struct session *session)
{
	/* Pairs with the release store in mp3.c: at 0, all records are there. */
	return !__atomic_load_n(&session->capture.header->processes,
				__ATOMIC_ACQUIRE);
}

/*
 * In the child: registers itself. It then takes no fault at the same time, so that
 * each is either counted and located, or neither. Returns 0 or -errno.
 */
static int register_self(void *data)
{
	return session_register(data, getpid());
}

/*
 * Starts a command that is registered before its first instruction. If that is
 * impossible, it has failed: see command_failed().
 */
void session_start_command(struct session *session, struct command *command,
			   char **argv)
{
	command_start(command, argv, register_self, session);
}

/*
 * Waits until a command that was started has exited, and if it has timed out, all that
 * it has started. From then on, a user's signal ends each wait of the session, up to
 * command_finish().
 */
void session_run_command(struct session *session, struct command *command)
{
	session->signals = command->signals;
	while (!command->exited || timeout_is_pending(session)) {
		session_wait(session);
		command_handle_signals(command);
		timeout_handle(session, command);
	}

	/* What has ended the command must not end session_collect(), too. */
	command_ignore_children(command);
	session->report.end_ns = command->end_ns;
}

/*
 * Reads the records up to the last one of each process that has exited, and what
 * the others have done until now. The next tick publishes them; a tick may be in
 * progress, so wait for two. A signal ends the wait.
 */
void session_collect(struct session *session)
{
	const struct mp3_header *header = session->capture.header;
	__u64 ticks = __atomic_load_n(&header->ticks, __ATOMIC_ACQUIRE);

	while (!session_is_empty(session) &&
	       __atomic_load_n(&header->ticks, __ATOMIC_ACQUIRE) - ticks < 2 &&
	       !session_wait(session))
		;
	read_records(session);
}

static __u64 load(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Stops profiling, and completes the table and the report, except its end_ns. */
void session_stop(struct session *session)
{
	const struct mp3_header *header = session->capture.header;
	struct report *report = &session->report;

	if (report->located)
		stall_stop(session);
	session_collect(session);
	report->losses = (struct losses){};
	if (report->located)
		stall_close(session);
	report->interval_ns = load(&header->interval_ns);
	report->losses.running = __atomic_load_n(&header->processes,
						 __ATOMIC_RELAXED);
	report->losses.denied = load(&header->denied);
	report->losses.dropped = load(&header->dropped);
	report->losses.lost_records = session->capture.lost;
	mp3_capture_close(&session->capture);
}

/*
 * Closes the file of the report. Returns false if that or a write has failed: after one
 * line, unless that cannot be written, either.
 */
bool session_close_output(struct session *session)
{
	FILE *file = session->report.file;
	int failed;

	if (!session->output)
		return !ferror(file);
	errno = 0;
	failed = ferror(file);
	failed |= fclose(file);
	if (!failed)
		return true;
	if (errno)
		warn("%s", session->output);
	else
		warnx("%s: write error", session->output);

	return false;
}

/**
 * session_print() - print the report of a stopped session, unless it is quiet
 * @session: the session
 * @words:   the command, ends with NULL; or NULL
 * @status:  of the command
 *
 * Return: false if the file of the report could not be written; prints one line.
 */
bool session_print(struct session *session, char **words, int status)
{
	struct report *report = &session->report;
	double total[NR_METRICS];
	struct emitter emitter;

	if (session->format) {
		report_total(report, &session->table, total);
		emit_begin(&emitter, report->file, session->format);
		if (words)
			emit_command(&emitter, "command", words);
		if (words)
			emit_integer(&emitter, "status", (__u64)status);
		emit_integer(&emitter, "interval_ns", report->interval_ns);
		report_emit(&emitter, report, &session->table);
		limits_emit(&emitter, &session->limits, total);
		emit_end(&emitter);
	} else if (!session->quiet) {
		report_table(report, &session->table);
		report_losses(report);
	}

	return session_close_output(session);
}

/*
 * Prints a line for each limit that is exceeded. Without a report, also a line if
 * counts are missing. Returns whether a limit is exceeded.
 */
bool session_check_limits(const struct session *session,
			  const double values[NR_METRICS])
{
	if (session->quiet && limits_given(&session->limits) &&
	    !report_is_complete(&session->report))
		warnx("counts were lost: a limit may have been exceeded without notice");

	return limits_check(&session->limits, values);
}

/**
 * session_finish() - stop profiling and print the report
 * @session: the session
 * @words:   the command, ends with NULL; or NULL
 * @status:  of the command
 *
 * Return: the status to exit with.
 */
int session_finish(struct session *session, char **words, int status)
{
	double total[NR_METRICS];

	session_stop(session);
	report_total(&session->report, &session->table, total);
	if (!session_print(session, words, status) && !status)
		status = 1;
	if (session_check_limits(session, total) && !status)
		status = LIMIT_STATUS;

	return status;
}
