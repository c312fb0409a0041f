/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A trace for Perfetto, while it is being written.
 *
 *	export_trace.c	 the whole trace; what it consists of
 *	trace_tracks.c	 processes: their times, names and tree
 *	trace_events.c	 events, and those of a process's life
 *	trace_counters.c values of counters
 *	trace_faults.c	 located faults
 */
#ifndef MP3_TOOLS_TRACE_H
#define MP3_TOOLS_TRACE_H

#include "set.h"
#include "where_data.h"

/* The process of the trace. Not 0: that is the idle process. */
#define TRACE_PID 1

/*
 * Thread ids of the trace: the process id; PID_LIMIT more for each earlier process
 * with that id; from FAULT_TID on, threads with located faults. Perfetto takes 32
 * bits.
 */
#define FAULT_TID 0x80000000u

/**
 * struct trace_name - a name that a process has had
 * @comm:    the name
 * @from_ns: when it was first seen, less the interval before
 */
struct trace_name {
	char comm[COMM_SIZE];
	__u64 from_ns;
};

/**
 * struct trace_rate - a counter that is 0 unless it was set
 * @until_ns: end of the interval that its last value is for
 * @is_set:   that value is not 0
 */
struct trace_rate {
	__u64 until_ns;
	bool is_set;
};

/**
 * struct track - a process in the trace
 * @first:    number of its first record in the recording
 * @start_ns: when its slice starts
 * @end_ns:   when its slice ends
 * @last_ns:  time of its newest record
 * @exited:   its newest record is its last one
 * @tid:      thread id in the trace
 * @order:    position of the thread
 * @uid:      real user
 * @sums:     the sums of its records
 * @names:    names that it has had
 * @nr_names: how many
 * @parent:   index of its parent plus one; or 0
 * @child:    index of its oldest child plus one; or 0
 * @newest:   index of its youngest child plus one; or 0
 * @next:     index of its next sibling plus one; or 0
 * @faults:   its faults per second
 * @rss_bytes: last value of its resident memory
 */
struct track {
	__u64 first;
	__u64 start_ns;
	__u64 end_ns;
	__u64 last_ns;
	bool exited;
	__u32 tid;
	__u32 order;
	__u32 uid;
	struct {
		__u64 min_flt;
		__u64 maj_flt;
		__u64 cpu_ns;
	} sums;
	struct trace_name *names;
	size_t nr_names;
	size_t parent;
	size_t child;
	size_t newest;
	size_t next;
	struct trace_rate faults;
	__u64 rss_bytes;
};

/**
 * struct fault_track - a thread with located faults in the trace
 * @process: index of its process
 * @tid:     its thread id
 * @end_ns:  end of its last slice
 */
struct fault_track {
	__u64 process;
	__u64 tid;
	__u64 end_ns;
};

/**
 * struct trace_tick - what all processes did in one interval
 * @time_ns: when their counters were read; 0: there is none
 * @last_ns: the same of the tick before
 * @min_flt: their minor faults
 * @maj_flt: their major faults
 * @cpu_ns:  their CPU time
 */
struct trace_tick {
	__u64 time_ns;
	__u64 last_ns;
	__u64 min_flt;
	__u64 maj_flt;
	__u64 cpu_ns;
};

/**
 * struct trace - the trace that is being written
 * @data:	 what was recorded, apart from what follows
 * @interval_ns: sampling interval
 * @version:	 of the recorder; or NULL
 * @tracks:	 by the index of the process in @data
 * @nr_tracks:	 how many
 * @nr_records:	 records that were read so far
 * @last_ns:	 time of the newest record
 * @threads:	 struct fault_track
 * @mappings:	 names of mappings; NULL if they have not been used yet
 * @tick:	 the tick whose records are being read
 * @faults:	 faults per second of all processes
 * @cpu:	 CPU time of all processes
 * @rss_bytes:	 resident memory of all processes
 * @shown_rss_bytes: the last value of its counter
 * @comma:	 an event precedes the next one
 */
struct trace {
	struct where_data data;
	__u64 interval_ns;
	char *version;
	struct track *tracks;
	size_t nr_tracks;
	__u64 nr_records;
	__u64 last_ns;
	struct set threads;
	char *mappings[NR_MAPPINGS];
	struct trace_tick tick;
	struct trace_rate faults;
	struct trace_rate cpu;
	__u64 rss_bytes;
	__u64 shown_rss_bytes;
	bool comma;
};

extern struct trace trace;

void trace_note_record(void *unused, const struct mp3_record *record);
void trace_add_tracks(void);
void trace_complete_tracks(void);
struct track *trace_find_track(const struct mp3_record *record);
const struct located_process *trace_process(const struct track *track);

void trace_begin_event(char phase);
void trace_begin_thread_event(char phase, __u32 tid);
void trace_put_string(const char *key, const char *text);
void trace_put_us(const char *key, __u64 ns);
void trace_put_time(const char *key, __u64 time_ns);
void trace_put_process(const struct track *track);
void trace_put_head(void);
void trace_put_thread(const struct track *track, __u32 tid, __u32 fault_tid);
void trace_put_track(const struct track *track);

void trace_put_record(void *unused, const struct mp3_record *record);
void trace_put_ends(void);

void trace_put_fault(void *unused, const struct mp3_fault *fault);

#endif /* MP3_TOOLS_TRACE_H */
