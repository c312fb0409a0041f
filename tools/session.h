/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What mp3ctl run and attach share: following the records of some processes,
 * until they have exited.
 */
#ifndef MP3_TOOLS_SESSION_H
#define MP3_TOOLS_SESSION_H

#include "../mp3_client.h"
#include "proc.h"
#include "table.h"
#include "tree.h"

/* Processes that the table shows by default. */
#define DEFAULT_ROWS 10

/**
 * struct target - a process that the user has named
 * @pid:    its process id
 * @pidfd:  to poll for its exit; -1 if there is none, and after the exit
 * @exited: it has exited, as the pidfd reports
 * @ended:  its last record was read
 * @stopped: it has exited, or was unregistered by another process
 * @base:   what it had done when it was registered
 * @counts: what it had done when /proc was last read
 */
struct target {
	pid_t pid;
	int pidfd;
	bool exited;
	bool ended;
	bool stopped;
	struct counts base;
	struct counts counts;
};

/**
 * struct session - processes that are profiled, and what is known of them
 * @follow:	   their descendants are profiled, too
 * @targets:	   the processes
 * @nr_targets:	   how many
 * @signals:	   signalfd to poll, or -1
 * @records:	   the ring of records, open if there is no @records_error
 * @records_error: why the records cannot be read, or NULL
 * @dropped:	   dropped of the ring's header at the start
 * @init_ns:	   before anything was registered, see initial_monotonic_ns(): a
 *		   record with an older time is not of this session
 * @start_ns:	   when the processes were registered
 * @end_ns:	   when they had exited, or profiling ended
 * @foreign:	   by process id: its records are not counted, up to the last one
 * @table:	   built from the records
 * @tree:	   the followed processes
 */
struct session {
	bool follow;
	struct target *targets;
	size_t nr_targets;
	int signals;
	struct mp3_reader records;
	const char *records_error;
	__u64 dropped;
	__u64 init_ns;
	__u64 start_ns;
	__u64 end_ns;
	bool *foreign;
	struct table table;
	struct tree tree;
};

int session_init(struct session *session, bool follow);
struct target *session_add_target(struct session *session, pid_t pid);
bool session_wait(struct session *session);
bool session_finish(struct session *session, size_t nr_rows);

#endif /* MP3_TOOLS_SESSION_H */
