// SPDX-License-Identifier: GPL-2.0
/*
 * Trace events for Perfetto and Chrome's trace viewer.
 *
 * The trace has one process, whose threads are the recorded processes, in the order
 * of their tree: a trace viewer shows all of them in one group. A slice is the life
 * of a process; slices in it are its names, if exec or prctl has changed it. An arrow
 * leads from a parent to its child. Counters are faults per second and resident
 * memory, of each process and of all. Located faults are slices of their stalled
 * time, in a thread of their own below the process, since a slice of a name can start
 * in the middle of a fault.
 *
 * The recording is read twice, since the first event of a process contains its last
 * name and the sums of its records.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "print_progress.h"
#include "progress.h"
#include "recording.h"
#include "util.h"
#include "where_data.h"
#include "where_kind.h"

/* The process of the trace. Not 0: that is the idle process. */
#define TRACE_PID 1

/*
 * Thread ids of the trace: the process id; PID_LIMIT more for each earlier process
 * with that id; from FAULT_TID on, threads with located faults. Perfetto takes 32
 * bits.
 */
#define FAULT_TID 0x80000000u

/* Without records for longer than this many intervals, a process has done nothing. */
#define IDLE_INTERVALS 4

/**
 * struct name - a name that a process has had
 * @comm:    the name
 * @from_ns: when it was first seen, less the interval before
 */
struct name {
	char comm[COMM_SIZE];
	__u64 from_ns;
};

/**
 * struct rate - a counter that is 0 unless it was set
 * @until_ns: end of the interval that its last value is for
 * @is_set:   that value is not 0
 */
struct rate {
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
	struct name *names;
	size_t nr_names;
	size_t parent;
	size_t child;
	size_t newest;
	size_t next;
	struct rate faults;
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
 * struct tick - what all processes did in one interval
 * @time_ns: when their counters were read; 0: there is none
 * @last_ns: the same of the tick before
 * @min_flt: their minor faults
 * @maj_flt: their major faults
 * @cpu_ns:  their CPU time
 */
struct tick {
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
static struct {
	struct where_data data;
	__u64 interval_ns;
	char *version;
	struct track *tracks;
	size_t nr_tracks;
	__u64 nr_records;
	__u64 last_ns;
	struct set threads;
	char *mappings[NR_MAPPINGS];
	struct tick tick;
	struct rate faults;
	struct rate cpu;
	__u64 rss_bytes;
	__u64 shown_rss_bytes;
	bool comma;
} trace = {
	.threads = {
		.item_size = sizeof(struct fault_track),
		.key_size = 2 * sizeof(__u64),
	},
};

/* ---- Processes ---- */

/* Makes as many tracks as there are processes. */
static void add_tracks(void)
{
	size_t nr = trace.data.capacity;

	if (trace.nr_tracks >= trace.data.nr_processes)
		return;
	trace.tracks = reallocarray(trace.tracks, nr, sizeof(*trace.tracks));
	if (!trace.tracks)
		err(1, "trace");
	memset(trace.tracks + trace.nr_tracks, 0,
	       (nr - trace.nr_tracks) * sizeof(*trace.tracks));
	trace.nr_tracks = nr;
}

/* Notes the name of a process in a record. */
static void note_name(struct track *track, const struct mp3_record *record)
{
	__u64 from_ns = record->time_ns - trace.interval_ns;
	struct name *name;

	if (track->nr_names &&
	    !strcmp(track->names[track->nr_names - 1].comm, record->comm))
		return;
	track->names = reallocarray(track->names, track->nr_names + 1,
				    sizeof(*track->names));
	if (!track->names)
		err(1, "trace");
	/* It had the name before at the time of its last record. */
	if (!track->nr_names || from_ns > record->time_ns ||
	    from_ns < track->last_ns)
		from_ns = track->last_ns;
	name = &track->names[track->nr_names++];
	memcpy(name->comm, record->comm, sizeof(name->comm));
	name->from_ns = from_ns;
}

/* Notes a record: when its process started and ended, its names, and its sums. */
static void note_record(void *data, const struct mp3_record *record)
{
	struct track *track;
	size_t index;

	(void)data;
	data_record(&trace.data, record);
	add_tracks();
	/* The newest process that has the id. */
	index = data_process(&trace.data, record->pid, ~0ULL);
	track = &trace.tracks[index];
	if (!track->first) {
		track->first = trace.nr_records + 1;
		track->start_ns = record->time_ns;
		track->last_ns = record->time_ns;
	}
	trace.nr_records++;
	if (record->flags & MP3_IDENTITY) {
		track->start_ns = record->start_ns;
		if (track->start_ns < trace.data.start_ns)
			track->start_ns = trace.data.start_ns;
		if (track->start_ns > record->time_ns)
			track->start_ns = record->time_ns;
		track->last_ns = track->start_ns;
		track->uid = record->uid;
	} else {
		track->sums.min_flt += record->min_flt;
		track->sums.maj_flt += record->maj_flt;
		track->sums.cpu_ns += record->cpu_ns;
	}
	note_name(track, record);
	if (!(record->flags & MP3_IDENTITY))
		track->last_ns = record->time_ns;
	/* A process can be registered again. */
	track->exited = record->flags & MP3_LAST;
	track->end_ns = record->time_ns;
	trace.last_ns = record->time_ns;
}

/* Returns the track of the process of a record that is read again. */
static struct track *find_track(const struct mp3_record *record)
{
	size_t index = data_process(&trace.data, record->pid, ~0ULL);

	trace.nr_records++;
	while (trace.tracks[index].first > trace.nr_records &&
	       trace.data.processes[index].older)
		index = trace.data.processes[index].older - 1;

	return &trace.tracks[index];
}

static size_t index_of(const struct track *track)
{
	return (size_t)(track - trace.tracks);
}

static const struct located_process *track_process(const struct track *track)
{
	return &trace.data.processes[index_of(track)];
}

/*
 * Returns the index of a process's parent plus one, or 0. A parent is older, so that
 * nothing is its own ancestor, whatever the recording contains.
 */
static size_t find_parent(size_t index)
{
	const struct located_process *child = &trace.data.processes[index];
	const struct located_process *parent;
	size_t found;

	if (!child->start_ns || !set_find(&trace.data.newest, &child->ppid))
		return 0;
	found = data_process(&trace.data, child->ppid, child->start_ns);
	parent = &trace.data.processes[found];
	if (parent->start_ns > child->start_ns ||
	    (parent->start_ns == child->start_ns && found >= index))
		return 0;

	return found + 1;
}

/* Numbers the threads from a process on: first its children, then its siblings. */
static void order_tree(size_t root)
{
	static __u32 order;
	size_t at = root;

	for (;;) {
		struct track *track = &trace.tracks[at];

		track->order = order++;
		if (track->child) {
			at = track->child - 1;
			continue;
		}
		while (!trace.tracks[at].next && at != root)
			at = trace.tracks[at].parent - 1;
		if (at == root)
			return;
		at = trace.tracks[at].next - 1;
	}
}

/* Completes the tracks: their ends, ids, tree and order. */
static void complete_tracks(void)
{
	const struct where_data *data = &trace.data;
	__u64 end_ns = data->totals.end_ns;
	size_t i;

	if (end_ns < trace.last_ns)
		end_ns = trace.last_ns;
	for (i = 0; i < data->nr_processes; i++) {
		struct track *track = &trace.tracks[i], *parent;
		size_t older = data->processes[i].older;

		if (!track->exited)
			track->end_ns = end_ns;
		track->tid = data->processes[i].pid;
		if (older)
			track->tid = trace.tracks[older - 1].tid + PID_LIMIT;
		track->parent = find_parent(i);
		if (!track->parent)
			continue;
		parent = &trace.tracks[track->parent - 1];
		if (parent->newest)
			trace.tracks[parent->newest - 1].next = i + 1;
		else
			parent->child = i + 1;
		parent->newest = i + 1;
	}
	for (i = 0; i < data->nr_processes; i++)
		if (!trace.tracks[i].parent)
			order_tree(i);
}

/* ---- Printing ---- */

/* Prints what stands between quotes: printable ASCII and tabs. */
static void put_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\' || *text == '\t')
			putchar('\\');
		putchar(*text == '\t' ? 't' : *text);
	}
}

/* Prints a key of an event and its text. */
static void put_string(const char *key, const char *text)
{
	printf(",\"%s\":\"", key);
	put_text(text);
	putchar('"');
}

/* Prints a key and a time in microseconds. */
static void put_us(const char *key, __u64 ns)
{
	printf(",\"%s\":%llu.%03u", key, (unsigned long long)(ns / 1000),
	       (unsigned int)(ns % 1000));
}

/* Prints a key and a time since the start. */
static void put_time(const char *key, __u64 time_ns)
{
	__u64 start_ns = trace.data.start_ns;

	put_us(key, time_ns > start_ns ? time_ns - start_ns : 0);
}

/* Begins an event. */
static void begin_event(char phase)
{
	printf("%s{\"ph\":\"%c\",\"pid\":%d", trace.comma ? ",\n" : "\n", phase,
	       TRACE_PID);
	trace.comma = true;
}

/* Begins an event of a thread. */
static void begin_thread_event(char phase, __u32 tid)
{
	begin_event(phase);
	printf(",\"tid\":%u", tid);
}

/* Prints the name of a process and its process id. */
static void put_process(const struct track *track)
{
	const struct located_process *process = track_process(track);
	char name[NAME_SIZE];

	name_escape(name, process->comm);
	put_text(name);
	printf(" %u", process->pid);
}

static void put_metadata(const char *key, const char *value)
{
	static bool comma;

	if (!value)
		return;
	printf("%s\"%s\":\"", comma ? "," : "", key);
	put_text(value);
	putchar('"');
	comma = true;
}

static void put_labels(const char *name, const char *arg, const char *text)
{
	begin_event('M');
	printf(",\"name\":\"%s\",\"args\":{\"%s\":\"", name, arg);
	put_text(text);
	fputs("\"}}", stdout);
}

/* Prints what the trace is about. */
static void put_head(void)
{
	const struct where_data *data = &trace.data;
	char *labels;

	fputs("{\"displayTimeUnit\":\"ms\",\"otherData\":{", stdout);
	put_metadata("command", data->command);
	put_metadata("host", data->host);
	put_metadata("kernel", data->release);
	put_metadata("start_time", data->time);
	put_metadata("version", trace.version);
	fputs("},\n\"traceEvents\":[", stdout);
	put_labels("process_name", "name",
		   data->command ? data->command : "recording");
	labels = text_format("%s, Linux %s", data->host ? data->host : "?",
			     data->release ? data->release : "?");
	put_labels("process_labels", "labels", labels);
	free(labels);
}

/* Names and places a thread, which shows faults or the life of a process. */
static void put_thread(const struct track *track, __u32 tid, __u32 fault_tid)
{
	begin_thread_event('M', tid);
	fputs(",\"name\":\"thread_name\",\"args\":{\"name\":\"", stdout);
	put_process(track);
	if (fault_tid && fault_tid != track_process(track)->pid)
		printf("/%u", fault_tid);
	printf("%s\"}}", fault_tid ? " faults" : "");
	begin_thread_event('M', tid);
	printf(",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%u}}",
	       2 * track->order + !!fault_tid);
}

/* Begins a slice, which its arguments complete. */
static void put_slice(const struct track *track, const char comm[COMM_SIZE],
		      __u64 start_ns, __u64 end_ns)
{
	char name[NAME_SIZE];

	name_escape(name, comm);
	begin_thread_event('X', track->tid);
	put_time("ts", start_ns);
	put_us("dur", end_ns > start_ns ? end_ns - start_ns : 0);
	put_string("cat", "process");
	put_string("name", name);
}

/* Prints one end of the arrow from a parent to its child. */
static void put_arrow(char phase, const struct track *track,
		      const struct track *child)
{
	begin_thread_event(phase, track->tid);
	put_time("ts", child->start_ns);
	printf(",\"cat\":\"fork\",\"name\":\"fork\",\"id\":%u%s}", child->tid,
	       phase == 'f' ? ",\"bp\":\"e\"" : "");
}

/* Prints the life of a process: slices, and the arrow to it. */
static void put_track(const struct track *track)
{
	const struct located_process *process = track_process(track);
	const struct track *parent;
	size_t i;

	put_thread(track, track->tid, 0);
	put_slice(track, process->comm, track->start_ns, track->end_ns);
	printf(",\"args\":{\"pid\":%u,\"ppid\":%u,\"uid\":%u", process->pid,
	       process->ppid, track->uid);
	printf(",\"min_flt\":%llu,\"maj_flt\":%llu,\"cpu_ns\":%llu}}",
	       (unsigned long long)track->sums.min_flt,
	       (unsigned long long)track->sums.maj_flt,
	       (unsigned long long)track->sums.cpu_ns);
	for (i = 0; i < track->nr_names && track->nr_names > 1; i++) {
		const struct name *name = &track->names[i];
		bool last = i == track->nr_names - 1;

		put_slice(track, name->comm, name->from_ns,
			  last ? track->end_ns : name[1].from_ns);
		putchar('}');
	}
	if (!track->parent)
		return;
	parent = &trace.tracks[track->parent - 1];
	if (track->start_ns < parent->start_ns ||
	    track->start_ns > parent->end_ns)
		return;
	put_arrow('s', parent, track);
	put_arrow('f', track, track);
}

/* ---- Counters ---- */

/* Begins a value of a counter, of a process or, if @track is NULL, of all. */
static void begin_counter(const struct track *track, const char *name,
			  __u64 time_ns)
{
	begin_event('C');
	put_time("ts", time_ns);
	fputs(",\"cat\":\"counter\",\"name\":\"", stdout);
	if (track) {
		put_process(track);
		putchar(' ');
		/* A reused process id is another counter. */
		if (track->tid >= PID_LIMIT)
			printf("(%u) ", track->tid / PID_LIMIT + 1);
	} else {
		/* Viewers sort counters by name: these come first. */
		fputs("(all) ", stdout);
	}
	printf("%s\",\"args\":{", name);
}

static void put_faults(const struct track *track, __u64 time_ns, double minor,
		       double major)
{
	begin_counter(track, "faults/s", time_ns);
	printf("\"minor\":%.9g,\"major\":%.9g}}", minor, major);
}

static void put_cpu(__u64 time_ns, double percent)
{
	begin_counter(NULL, "CPU %", time_ns);
	printf("\"CPU\":%.9g}}", percent);
}

static void put_rss(const struct track *track, __u64 time_ns, __u64 bytes)
{
	begin_counter(track, "resident bytes", time_ns);
	printf("\"rss_bytes\":%llu}}", (unsigned long long)bytes);
}

/* Returns when the interval of counts began that were read at @time_ns. */
static __u64 interval_begin(__u64 last_ns, __u64 time_ns)
{
	__u64 interval_ns = trace.interval_ns;

	return interval_ns && time_ns - last_ns > IDLE_INTERVALS * interval_ns ?
		time_ns - interval_ns : last_ns;
}

/*
 * Returns events per second in an interval. One that is short, since it ends with an
 * exit or follows a late tick, counts as half of the sampling interval: otherwise, a
 * few faults would make the highest rate of all.
 */
static double per_second(__u64 count, __u64 begin_ns, __u64 end_ns)
{
	__u64 ns = end_ns - begin_ns;

	if (ns < trace.interval_ns / 2)
		ns = trace.interval_ns / 2;

	return ns ? (double)count * 1e9 / (double)ns : 0;
}

/*
 * Moves a counter to an interval. Returns whether it has to be set to 0 at @zero_ns,
 * the end of its last value, and sets @is_new unless it is and stays 0.
 */
static bool rate_advance(struct rate *rate, __u64 begin_ns, __u64 end_ns,
			 bool is_set, __u64 *zero_ns, bool *is_new)
{
	bool zero = rate->is_set && (rate->until_ns < begin_ns || !is_set);

	*zero_ns = rate->until_ns;
	*is_new = is_set;
	rate->is_set = is_set;
	rate->until_ns = end_ns;

	return zero;
}

/* Sets faults per second, of a process or of all, for an interval. */
static void set_faults(const struct track *track, struct rate *rate,
		       __u64 begin_ns, __u64 end_ns, __u64 min_flt, __u64 maj_flt)
{
	__u64 zero_ns;
	bool is_new;

	if (rate_advance(rate, begin_ns, end_ns, min_flt || maj_flt, &zero_ns,
			 &is_new))
		put_faults(track, zero_ns, 0, 0);
	if (is_new)
		put_faults(track, begin_ns,
			   per_second(min_flt, begin_ns, end_ns),
			   per_second(maj_flt, begin_ns, end_ns));
}

/* Prints the counters of all processes for the tick whose records were read. */
static void put_tick(void)
{
	struct tick *tick = &trace.tick;
	__u64 begin_ns, zero_ns;
	bool is_new;

	if (!tick->time_ns)
		return;
	begin_ns = interval_begin(tick->last_ns, tick->time_ns);
	set_faults(NULL, &trace.faults, begin_ns, tick->time_ns, tick->min_flt,
		   tick->maj_flt);
	if (rate_advance(&trace.cpu, begin_ns, tick->time_ns, tick->cpu_ns,
			 &zero_ns, &is_new))
		put_cpu(zero_ns, 0);
	if (is_new)
		put_cpu(begin_ns,
			per_second(tick->cpu_ns, begin_ns, tick->time_ns) / 1e7);
	if (trace.shown_rss_bytes != trace.rss_bytes)
		put_rss(NULL, tick->time_ns, trace.rss_bytes);
	trace.shown_rss_bytes = trace.rss_bytes;
	*tick = (struct tick){ .last_ns = tick->time_ns };
}

/* Prints the counters of a record's process. */
static void put_record(void *data, const struct mp3_record *record)
{
	struct track *track = find_track(record);
	struct tick *tick = &trace.tick;
	__u64 begin_ns;

	(void)data;
	if (record->flags & MP3_IDENTITY)
		return;
	if (tick->time_ns && tick->time_ns < record->time_ns)
		put_tick();
	if (!tick->last_ns || tick->last_ns > record->time_ns)
		tick->last_ns = track->start_ns;
	tick->time_ns = record->time_ns;
	tick->min_flt += record->min_flt;
	tick->maj_flt += record->maj_flt;
	tick->cpu_ns += record->cpu_ns;

	if (track->last_ns > record->time_ns)
		track->last_ns = record->time_ns;
	begin_ns = interval_begin(track->last_ns, record->time_ns);
	set_faults(track, &track->faults, begin_ns, record->time_ns,
		   record->min_flt, record->maj_flt);
	track->last_ns = record->time_ns;
	if (record->rss_bytes != track->rss_bytes) {
		trace.rss_bytes += record->rss_bytes - track->rss_bytes;
		track->rss_bytes = record->rss_bytes;
		put_rss(track, record->time_ns, record->rss_bytes);
	}
	if (record->flags & MP3_LAST)
		set_faults(track, &track->faults, record->time_ns,
			   record->time_ns, 0, 0);
}

/* Ends the counters that are not 0. */
static void put_ends(void)
{
	size_t i;

	put_tick();
	for (i = 0; i < trace.data.nr_processes; i++) {
		struct track *track = &trace.tracks[i];

		set_faults(track, &track->faults, track->end_ns, track->end_ns,
			   0, 0);
	}
	set_faults(NULL, &trace.faults, ~0ULL, ~0ULL, 0, 0);
	if (trace.cpu.is_set)
		put_cpu(trace.cpu.until_ns, 0);
}

/* ---- Located faults ---- */

/* Returns the thread of the trace that has the faults of a thread. */
static struct fault_track *get_fault_track(const struct mp3_fault *fault,
					   __u32 *tid)
{
	__u64 key[] = {
		data_process(&trace.data, fault->pid, fault->time_ns),
		fault->tid,
	};
	struct fault_track *thread;
	bool added;

	/* A process without a record has no thread of its own. */
	add_tracks();
	thread = set_get(&trace.threads, key, &added);
	*tid = FAULT_TID + (__u32)(((char *)thread - trace.threads.items) /
				   sizeof(*thread));
	if (added)
		put_thread(&trace.tracks[key[0]], *tid, fault->tid);

	return thread;
}

static const char *mapping_text(unsigned int mapping)
{
	if (!trace.mappings[mapping])
		trace.mappings[mapping] = mapping_name(&trace.data, mapping);
	return trace.mappings[mapping];
}

/* Prints a fault: a slice, or an instant event if its stalled time is unknown. */
static void put_fault(void *data, const struct mp3_fault *fault)
{
	bool stalled = fault->stall_ns != MP3_NO_STALL &&
		       fault->stall_ns <= fault->time_ns;
	bool major = fault->flags & MP3_FAULT_MAJOR;
	struct fault_track *thread;
	__u64 start_ns;
	unsigned int i;
	__u32 tid;

	(void)data;
	thread = get_fault_track(fault, &tid);
	start_ns = stalled ? fault->time_ns - fault->stall_ns : fault->time_ns;
	/* Slices of one thread must not overlap. */
	if (start_ns < thread->end_ns)
		start_ns = thread->end_ns;
	if (start_ns < trace.data.start_ns)
		start_ns = trace.data.start_ns;
	thread->end_ns = fault->time_ns > start_ns ? fault->time_ns : start_ns;

	begin_thread_event(stalled ? 'X' : 'i', tid);
	put_time("ts", start_ns);
	if (stalled)
		put_us("dur", thread->end_ns - start_ns);
	else
		put_string("s", "t");
	put_string("cat", major ? "major" : "minor");
	put_string("name", kind_word(fault_kind(fault)));
	printf(",\"args\":{\"address\":\"%#llx\"",
	       (unsigned long long)fault->address);
	put_string("mapping", mapping_text(fault_mapping(fault)));
	printf(",\"offset\":%llu", (unsigned long long)fault->offset);
	put_string("access", access_word(fault_access(fault)));
	printf(",\"faults\":%u,\"frames\":\"",
	       major || !trace.data.n ? 1 : trace.data.n);
	for (i = 0; i < MP3_FAULT_FRAMES(fault->flags); i++) {
		if (i)
			putchar(';');
		put_text(frame_text(&trace.data, fault->frames[i], i));
	}
	fputs("\"}}", stdout);
}

/* ---- The whole trace ---- */

static void note_info(void *data, const char *key, const char *value)
{
	(void)data;
	data_info(&trace.data, key, value);
	if (!strcmp(key, "interval_ns"))
		trace.interval_ns = strtoull(value, NULL, 10);
	if (!strcmp(key, "version") && !trace.version)
		trace.version = strdup(value);
}

static void note_file(void *data, const struct mp3_file *file)
{
	(void)data;
	data_file(&trace.data, file);
}

static void note_totals(void *data, const struct mp3_recording_totals *totals)
{
	(void)data;
	data_totals(&trace.data, totals);
}

static void note_symbol(void *data, const struct recording_symbol *symbol)
{
	(void)data;
	data_symbol(&trace.data, symbol);
}

bool export_trace_read(const struct export *export)
{
	static const struct recording_visitor all_but_faults = {
		.info = note_info,
		.record = note_record,
		.file = note_file,
		.totals = note_totals,
		.symbol = note_symbol,
		.progress = progress,
	};
	bool good;

	data_init(&trace.data);
	good = recording_read(export->path, &all_but_faults, NULL);
	progress_end();
	complete_tracks();

	return good;
}

bool export_trace_print(const struct export *export)
{
	static const struct recording_visitor events = {
		.record = put_record,
		.fault = put_fault,
		.progress = print_progress,
		.again = true,
	};
	bool good;
	size_t i;

	put_head();
	for (i = 0; i < trace.data.nr_processes; i++)
		put_track(&trace.tracks[i]);
	trace.nr_records = 0;
	for (i = 0; i < trace.data.nr_processes; i++)
		trace.tracks[i].last_ns = trace.tracks[i].start_ns;
	good = recording_read(export->path, &events, NULL);
	progress_end();
	put_ends();
	puts("\n]}");

	return good;
}
