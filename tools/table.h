/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table of processes that run, attach and top build from records.
 */
#ifndef MP3_TOOLS_TABLE_H
#define MP3_TOOLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "name.h"

/**
 * struct process - what the records report of one process
 * @pid:	process id in the initial pid namespace
 * @exited:	its last record was counted, or the caller found it gone
 * @watch:	what mp3ctl watch notes of it; unused elsewhere
 * @watch.selected: its newest record was selected
 * @watch.flags: those of its records in this interval
 * @watch.nr_records: how many these are
 * @comm:	its name in the newest record, ends with a NUL
 * @min_flt:	minor faults in all its records
 * @maj_flt:	major faults in all its records
 * @cpu_ns:	CPU time in all its records, nanoseconds
 * @stall_ns:	stalled time of its faults, if they were located
 * @rss_bytes:	resident memory in its newest record
 * @peak_rss_bytes: the largest one in a record
 * @identified:	its identity record was counted
 * @ppid:	parent, from its identity record
 * @uid:	real user id, from its identity record
 * @start_ns:	when it was forked, from its identity record
 * @cgroup_id:	cgroup, from its identity record
 * @first_ns:	time of its first record, CLOCK_MONOTONIC of the initial time
 *		namespace; 0 if it has none
 * @last_ns:	time of its newest record
 */
struct process {
	__u32 pid;
	bool exited;
	struct {
		bool selected;
		__u32 flags;
		__u64 nr_records;
	} watch;
	char comm[COMM_SIZE];
	__u64 min_flt;
	__u64 maj_flt;
	__u64 cpu_ns;
	__u64 stall_ns;
	__u64 rss_bytes;
	__u64 peak_rss_bytes;
	bool identified;
	__u32 ppid;
	__u32 uid;
	__u64 start_ns;
	__u64 cgroup_id;
	__u64 first_ns;
	__u64 last_ns;
};

/**
 * struct table - processes, those that have exited included
 * @rows:     the processes; the caller may sort them
 * @nr:	      how many
 * @capacity: how many @rows has memory for
 * @extra:    bytes of the caller that follow each process, 0 at first
 * @by_pid:   the process that has a process id now, or NULL; pages of it that
 *	      are never used take no memory
 */
struct table {
	struct process **rows;
	size_t nr;
	size_t capacity;
	size_t extra;
	struct process **by_pid;
};

void table_init(struct table *table);
void table_free(struct table *table);
struct process *table_find(const struct table *table, __u32 pid);
struct process *table_get(struct table *table, __u32 pid);
struct process *table_count(struct table *table,
			    const struct mp3_record *record);
void table_end(struct table *table, struct process *process);
void table_sweep(struct table *table,
		 bool (*is_stale)(const struct process *process));

#endif /* MP3_TOOLS_TABLE_H */
