/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Totals of records and located faults, by the names and the cgroups of processes,
 * for programs that store them: counters never decrease, and the number of rows is
 * limited. The sum over the rows, and over those that were dropped, is the sum over the
 * records.
 *
 * A row whose name no process has had for some time is dropped when another name needs
 * it. What it has counted does not become part of "other": a program that computes the
 * increase of each counter has already seen it, and would count it again.
 */
#ifndef MP3_TOOLS_TOTALS_H
#define MP3_TOOLS_TOTALS_H

#include <stdbool.h>
#include <stddef.h>

#include "name.h"
#include "set.h"

/* How many rows there are unless other numbers are given, and at most */
#define TOTALS_ROWS	200
#define TOTALS_MAX_ROWS	10000

/* How long exporters keep a row that no process has referred to */
#define TOTALS_KEEP_NS	(3600 * NSEC_PER_SEC)

/* Finite buckets of the histogram of stalls */
#define STALL_BUCKETS	15

/**
 * struct total - what all processes of one name, or of one cgroup, have done
 * @label:     the name, as text_label() returns it; NULL: the row is not used
 * @min_flt:   minor faults
 * @maj_flt:   major faults
 * @cpu_ns:    CPU time
 * @started:   processes that were forked after the start
 * @stall_ns:  stalled time of located faults
 * @rss_bytes: resident memory of the processes that have not exited
 * @nr_members: processes that refer to it
 * @unused_ns: when the last one no longer did
 *
 * A process has the name of its newest record, and the cgroup of its identity record.
 */
struct total {
	char *label;
	__u64 min_flt;
	__u64 maj_flt;
	__u64 cpu_ns;
	__u64 started;
	__u64 stall_ns;
	__u64 rss_bytes;
	size_t nr_members;
	__u64 unused_ns;
};

/**
 * struct total_rows - totals by names, or by cgroups
 * @rows:    the first is "other"; they do not move
 * @nr:	     how many, with those that are not used
 * @limit:   at most
 * @former:  sums over the rows that were dropped
 * @refused: a name has found no room since rows were last dropped
 */
struct total_rows {
	struct total *rows;
	size_t nr;
	size_t limit;
	struct total former;
	bool refused;
};

/**
 * struct stalls - a histogram of the stalled times of faults
 * @buckets: faults by totals_stall_ns[], and those that took longer
 * @sum_ns:  sum of the times
 */
struct stalls {
	__u64 buckets[STALL_BUCKETS + 1];
	__u64 sum_ns;
};

/**
 * struct member - a process that totals refer to
 * @pid:       its process id
 * @named:     @name and @comm are known
 * @exited:    its last record was counted
 * @comm:      name in its newest record
 * @start_ns:  when it was forked; 0 if its identity record was lost
 * @end_ns:    time of its last record, or when it was found to be gone; 0: neither
 * @rss_bytes: resident memory that is part of @name and @cgroup
 * @name:      row of its name
 * @cgroup:    row of its cgroup
 * @cgroup_id: of its identity record; 0: unknown
 * @older:     the process that had the id before it, while that is remembered
 */
struct member {
	__u32 pid;
	bool named;
	bool exited;
	char comm[COMM_SIZE];
	__u64 start_ns;
	__u64 end_ns;
	__u64 rss_bytes;
	struct total *name;
	struct total *cgroup;
	__u64 cgroup_id;
	struct member *older;
};

/**
 * struct totals - totals of a capture or of a recording
 * @names:	by names
 * @cgroups:	by cgroups
 * @stalls:	of minor and of major faults
 * @since_ns:	processes that were forked later have started
 * @every:	one minor fault in this many is located, and stands for as many; 0: none
 * @patience_ns: how long a fault waits for the first record of its process; one that
 *		has ended is remembered for twice as long
 * @keep_ns:	how long a row that no process refers to is kept; 0: forever
 * @now_ns:	the newest time that totals_settle() was given
 * @reuse_ns:	when rows can be dropped again
 * @by_pid:	the newest process of each id, or NULL
 * @members:	the processes, and for a while those that have ended
 * @nr_members:	how many
 * @max_members: how many @members has memory for
 * @nr_ended:	how many of them have an @end_ns
 * @cgroup_ids:	rows of cgroups, by their ids
 * @waiting:	faults whose process may have no record yet
 * @nr_waiting:	how many
 * @max_waiting: how many @waiting has memory for
 */
struct totals {
	struct total_rows names;
	struct total_rows cgroups;
	struct stalls stalls[2];
	__u64 since_ns;
	unsigned int every;
	__u64 patience_ns;
	__u64 keep_ns;
	__u64 now_ns;
	__u64 reuse_ns;
	struct member **by_pid;
	struct member **members;
	size_t nr_members;
	size_t max_members;
	size_t nr_ended;
	struct set cgroup_ids;
	struct waiting_fault *waiting;
	size_t nr_waiting;
	size_t max_waiting;
};

extern const __u64 totals_stall_ns[STALL_BUCKETS];

void totals_init(struct totals *totals, size_t nr_names, size_t nr_cgroups);
void totals_record(struct totals *totals, const struct mp3_record *record);
void totals_fault(struct totals *totals, const struct mp3_fault *fault);
bool totals_has(const struct totals *totals, __u32 pid);
void totals_settle(struct totals *totals, __u64 now_ns);
void totals_sweep(struct totals *totals, __u64 now_ns,
		  bool (*is_gone)(void *data, __u32 pid), void *data);

#endif /* MP3_TOOLS_TOTALS_H */
