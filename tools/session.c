// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <sys/syscall.h>

#include "report.h"
#include "session.h"
#include "util.h"

/* Milliseconds between two polls if nothing wakes the tool earlier. */
#define POLL_MS 100

/* Opens the ring of records. Returns NULL, or why it cannot be read. */
static const char *open_records(struct mp3_reader *reader)
{
	int error;

	if (!in_initial_pid_namespace())
		return "its process ids are not those of this pid namespace";

	error = mp3_reader_open_records(reader, MP3_PROCS_PATH);
	return error ? mp3_strerror(error) : NULL;
}

/**
 * session_init() - prepare for profiling, before anything is registered
 * @session: filled
 * @follow:  descendants will be profiled, too
 *
 * Return: 0, or a negative errno if the status file could not be read. Exits if
 * there is no memory, or if descendants cannot be found.
 */
int session_init(struct session *session, bool follow)
{
	int error = 0;
	size_t i;

	*session = (struct session){ .follow = follow, .signals = -1 };
	if (follow && !proc_is_own())
		errx(1, "-f needs a /proc of this pid namespace (see unshare --mount-proc)");

	/*
	 * The order matters. Head first: a process that is listed after it has
	 * its last record after it. Clock last: a process that is no longer
	 * listed has no record with a later time.
	 */
	session->records_error = open_records(&session->records);
	if (!session->records_error) {
		session->records.next = mp3_reader_head(&session->records);
		session->dropped =
			__atomic_load_n(&session->records.header->dropped,
					__ATOMIC_RELAXED);
	}
	table_init(&session->table);
	session->foreign = calloc(PID_LIMIT, sizeof(*session->foreign));
	if (!session->foreign)
		err(1, "table of processes");
	if (follow)
		error = tree_init(&session->tree);
	for (i = 0; i < session->tree.nr; i++)
		session->foreign[session->tree.listed[i]] = true;
	session->init_ns = initial_monotonic_ns();

	return error;
}

/* Adds a process to wait for. Returns it. Exits if there is no memory. */
struct target *session_add_target(struct session *session, pid_t pid)
{
	struct target *target;

	session->targets = reallocarray(session->targets,
					session->nr_targets + 1,
					sizeof(*session->targets));
	if (!session->targets)
		err(1, "list of processes");
	target = &session->targets[session->nr_targets++];
	*target = (struct target){
		.pid = pid,
		.pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
	};

	return target;
}

static struct target *find_target(struct session *session, __u32 pid)
{
	size_t i;

	for (i = 0; i < session->nr_targets; i++)
		if (session->targets[i].pid == (pid_t)pid)
			return &session->targets[i];
	return NULL;
}

/*
 * Returns whether a record is of a process that this session profiles. A process
 * without a row whose record lacks MP3_FIRST had exited before the session
 * started: it was no longer listed. If records were lost, that is not certain.
 */
static bool is_counted(struct session *session, const struct mp3_record *record)
{
	struct target *target;

	if (record->pid >= PID_LIMIT || session->foreign[record->pid])
		return false;
	if (!session->follow) {
		target = find_target(session, record->pid);
		if (!target || target->ended)
			return false;
	}

	return table_find(&session->table, record->pid) ||
	       (record->time_ns >= session->init_ns &&
		(record->flags & MP3_FIRST || session->records.lost));
}

static void count_record(struct session *session,
			 const struct mp3_record *record)
{
	struct target *target;

	if (is_counted(session, record)) {
		table_count(&session->table, record);
		target = find_target(session, record->pid);
		if (target && record->flags & MP3_LAST)
			target->ended = true;
	}
	/* The next process with this id is another one. */
	if (record->flags & MP3_LAST && record->pid < PID_LIMIT)
		session->foreign[record->pid] = false;
}

static void read_records(struct session *session)
{
	struct mp3_record record;

	while (!session->records_error &&
	       mp3_reader_next_record(&session->records, &record))
		count_record(session, &record);
}

/*
 * Sleeps until records are published, a process exits, a signal arrives or
 * POLL_MS have passed, and reads the records. Returns whether a signal is
 * pending on @session->signals.
 */
bool session_wait(struct session *session)
{
	size_t nr = session->nr_targets + 2, i;
	struct pollfd fds[nr];

	fds[0] = (struct pollfd){ .fd = session->signals, .events = POLLIN };
	fds[1] = (struct pollfd){
		.fd = session->records_error ? -1 : session->records.fd,
		.events = POLLIN,
	};
	for (i = 2; i < nr; i++)
		fds[i] = (struct pollfd){
			.fd = session->targets[i - 2].pidfd,
			.events = POLLIN,
		};
	if (poll(fds, nr, POLL_MS) < 0)
		return false;

	read_records(session);
	for (i = 2; i < nr; i++) {
		struct target *target = &session->targets[i - 2];

		if (!fds[i].revents)
			continue;
		target->exited = true;
		close(target->pidfd);
		target->pidfd = -1;
	}

	return fds[0].revents;
}

/*
 * Reads the records up to the last one of each process that has exited or was
 * unregistered. The next tick publishes it; a tick may be in progress, so wait
 * for two. A signal ends the wait.
 */
static void collect_records(struct session *session)
{
	const struct mp3_header *header = session->records.header;
	__u64 ticks;

	if (session->records_error)
		return;
	ticks = __atomic_load_n(&header->ticks, __ATOMIC_ACQUIRE);
	/* Pairs with the release store in mp3.c: at 0, all records are there. */
	while (__atomic_load_n(&header->processes, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&header->ticks, __ATOMIC_ACQUIRE) - ticks < 2 &&
	       !session_wait(session))
		;
	read_records(session);
}

/* Prints whether anything is missing from the table. */
static void print_losses(const struct session *session)
{
	unsigned long long lost = session->records.lost;
	unsigned long long dropped =
		__atomic_load_n(&session->records.header->dropped,
				__ATOMIC_RELAXED) - session->dropped;

	if (!dropped && !lost)
		fputs("nothing was dropped or lost\n", stderr);
	if (dropped)
		fprintf(stderr, "dropped: %llu processes, not followed for lack of memory\n",
			dropped);
	if (lost)
		fprintf(stderr, "lost: %llu records, overwritten before they were read\n",
			lost);
}

/**
 * session_finish() - stop profiling and print the table
 * @session: its start_ns and end_ns are set
 * @nr_rows: how many processes the table shows
 *
 * Unregisters only what this session has registered.
 *
 * Return: false if /proc has hidden processes that may belong to the tree.
 */
bool session_finish(struct session *session, size_t nr_rows)
{
	unsigned int stopped = 0, left = 0;
	size_t i;

	if (session->follow)
		stopped = tree_detach(&session->tree);
	for (i = 0; !session->follow && i < session->nr_targets; i++)
		if (!session->targets[i].stopped && !session->targets[i].exited)
			mp3_unregister(session->targets[i].pid);
	collect_records(session);
	if (session->follow)
		left = tree_count_left(&session->tree);

	if (session->records_error)
		fprintf(stderr, "table         - %s: %s\n", MP3_PROCS_PATH,
			session->records_error);
	else
		report_table(&session->table, nr_rows,
			     session->records.header->interval_ns,
			     session->start_ns, session->end_ns);
	if (stopped)
		fprintf(stderr, "still running (unregistered): %u\n", stopped);
	if (left)
		fprintf(stderr, "still registered (by others, or of unknown origin): %u\n",
			left);
	if (session->tree.hidden)
		fprintf(stderr, "hidden by /proc, of unknown origin: %u (see hidepid in proc(5))\n",
			session->tree.hidden);
	if (!session->records_error)
		print_losses(session);

	return !session->tree.hidden;
}
