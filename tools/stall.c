// SPDX-License-Identifier: GPL-2.0
#include <err.h>

#include "capture.h"
#include "set.h"
#include "stall.h"
#include "util.h"

/* How long to wait at the end for faults that are being written. */
#define PATIENCE_NS	NSEC_PER_SEC

/**
 * struct owner - a process that faults are those of
 * @pid:      its process id
 * @older:    index of the process that had the id before it, plus one; or 0
 * @start_ns: when it was forked; 0 until its identity record was read
 * @process:  in the session's table; NULL until its first record was read
 * @stall_ns: time for which its faults have stalled it
 */
struct owner {
	__u32 pid;
	__u32 older;
	__u64 start_ns;
	struct process *process;
	__u64 stall_ns;
};

/**
 * struct newest - the newest process that has had an id
 * @pid:   the process id
 * @index: of the owner
 */
struct newest {
	__u32 pid;
	__u32 index;
};

static const struct set no_newest = {
	.item_size = sizeof(struct newest),
	.key_size = sizeof(__u32),
};

/*
 * @faults:    the ring of faults
 * @batch:     faults that were read before the records of the same pass
 * @nr_batch:  how many
 * @owners:    processes, also those that have exited
 * @nr_owners: how many
 * @newest:    struct newest
 * @nr_unknown: faults without a stalled time
 */
static struct {
	struct mp3_faults faults;
	struct mp3_fault *batch;
	size_t nr_batch;
	struct owner *owners;
	size_t nr_owners;
	struct set newest;
	__u64 nr_unknown;
} stall;

/* Adds a process, which has its id from now on. Exits if there is no memory. */
static struct owner *add_owner(__u32 pid)
{
	struct newest *newest;
	struct owner *owner;
	bool added;

	/* A power of two: no room is left. */
	if (!(stall.nr_owners & (stall.nr_owners - 1)))
		stall.owners = reallocarray(stall.owners,
					    2 * stall.nr_owners + 1,
					    sizeof(*stall.owners));
	if (!stall.owners)
		err(1, "table of processes");
	newest = set_get(&stall.newest, &pid, &added);
	owner = &stall.owners[stall.nr_owners];
	*owner = (struct owner){
		.pid = pid,
		.older = added ? 0 : newest->index + 1,
	};
	newest->index = (__u32)stall.nr_owners++;

	return owner;
}

/* Returns the process that had an id at a time. Exits if there is no memory. */
static struct owner *find_owner(__u32 pid, __u64 time_ns)
{
	const struct newest *newest = set_find(&stall.newest, &pid);
	struct owner *owner;

	/* Its faults may be read before its first record. */
	if (!newest)
		return add_owner(pid);
	owner = &stall.owners[newest->index];
	while (owner->start_ns > time_ns && owner->older)
		owner = &stall.owners[owner->older - 1];

	return owner;
}

/* Reads the faults, before the kernel overwrites them. */
static void read_faults(struct session *session)
{
	(void)session;
	stall.nr_batch = 0;
	while (stall.nr_batch < stall.faults.capacity &&
	       mp3_faults_next(&stall.faults, &stall.batch[stall.nr_batch]) > 0)
		stall.nr_batch++;
}

/* Notes which process of the table the next faults of its id are those of. */
static void note_process(struct session *session,
			 const struct mp3_record *record)
{
	struct owner *owner = find_owner(record->pid, MP3_NEVER);

	if (!(record->flags & MP3_IDENTITY))
		return;
	if (owner->start_ns && owner->start_ns != record->start_ns)
		owner = add_owner(record->pid);
	owner->start_ns = record->start_ns;
	owner->process = table_find(&session->table, record->pid);
}

/* Adds the faults up, after the records that show which processes had their ids. */
static void add_faults(struct session *session)
{
	const struct mp3_fault *fault;
	size_t i;

	(void)session;
	for (i = 0; i < stall.nr_batch; i++) {
		fault = &stall.batch[i];
		if (fault->stall_ns == MP3_NO_STALL)
			stall.nr_unknown++;
		else
			find_owner(fault->pid, fault->time_ns)->stall_ns +=
				fault->stall_ns;
	}
}

static const struct session_observer observer = {
	.before = read_faults,
	.record = note_process,
	.after = add_faults,
};

/*
 * Has the faults of a session located: to be called before a process is registered.
 * Exits with one line if that is impossible. Only one session is open at a time.
 */
void stall_open(struct session *session)
{
	capture_locate_or_exit(&session->capture, 1, 0, &stall.faults);
	stall.batch = reallocarray(NULL, stall.faults.capacity,
				   sizeof(*stall.batch));
	if (!stall.batch)
		err(1, "faults");
	stall.newest = no_newest;
	stall.nr_unknown = 0;
	session->observer = &observer;
}

/* Stops locating. Called before the last records are read. */
void stall_stop(struct session *session)
{
	/* Counts what was not counted yet: nothing is located from here on. */
	mp3_capture_locate(&session->capture, 0, 0);
}

static __u64 nr_unread(void)
{
	return __atomic_load_n(&stall.faults.header->head, __ATOMIC_ACQUIRE) -
	       stall.faults.next;
}

/*
 * Adds the stalled times to the processes of the table, and how many faults were lost
 * to the losses of the report. Called after the last records were read.
 */
void stall_close(struct session *session)
{
	__u64 until_ns = initial_monotonic_ns() + PATIENCE_NS;
	struct owner *owner;
	size_t i;

	while (nr_unread() && initial_monotonic_ns() < until_ns &&
	       !session_wait(session))
		;
	session->report.losses.lost_faults = stall.faults.lost + nr_unread();
	session->report.losses.unknown_stalls = stall.nr_unknown;
	for (i = 0; i < stall.nr_owners; i++) {
		owner = &stall.owners[i];
		/* Its identity record was lost. */
		if (!owner->process && owner->stall_ns)
			owner->process = table_get(&session->table, owner->pid);
		if (owner->process)
			owner->process->stall_ns += owner->stall_ns;
	}
	mp3_faults_close(&stall.faults);
	free(stall.batch);
	free(stall.owners);
	set_free(&stall.newest);
	stall.owners = NULL;
	stall.nr_owners = 0;
	session->observer = NULL;
}
