/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Totals of records and located faults, by the names and the cgroups of processes,
 * for programs that store them: counters never decrease, and the number of rows is
 * limited. The sum over the rows is the sum over the records.
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

/* Finite buckets of the histogram of stalls */
#define STALL_BUCKETS	15

/**
 * struct total - what all processes of one name, or of one cgroup, have done
 * @label:     the name, as text_label() returns it
 * @min_flt:   minor faults
 * @maj_flt:   major faults
 * @cpu_ns:    CPU time
 * @started:   processes that were forked after the start
 * @stall_ns:  stalled time of located faults
 * @rss_bytes: resident memory of the processes that have not exited
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
};

/**
 * struct total_rows - totals by names, or by cgroups
 * @rows:  the first is "other"; they do not move
 * @nr:	   how many
 * @limit: at most
 */
struct total_rows {
	struct total *rows;
	size_t nr;
	size_t limit;
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
