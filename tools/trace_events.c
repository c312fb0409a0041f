// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "name.h"
#include "trace.h"
#include "util.h"

/* Prints a key of an event and its text. */
void trace_put_string(const char *key, const char *text)
{
	printf(",\"%s\":\"", key);
	json_put_text(stdout, text);
	putchar('"');
}

/* Prints a key and a time in microseconds. */
void trace_put_us(const char *key, __u64 ns)
{
	printf(",\"%s\":%llu.%03u", key, (unsigned long long)(ns / 1000),
	       (unsigned int)(ns % 1000));
}

/* Prints a key and a time since the start. */
void trace_put_time(const char *key, __u64 time_ns)
{
	__u64 start_ns = trace.data.start_ns;

	trace_put_us(key, time_ns > start_ns ? time_ns - start_ns : 0);
}

/* Begins an event. */
void trace_begin_event(char phase)
{
	printf("%s{\"ph\":\"%c\",\"pid\":%d", trace.comma ? ",\n" : "\n", phase,
	       TRACE_PID);
	trace.comma = true;
}

/* Begins an event of a thread. */
void trace_begin_thread_event(char phase, __u32 tid)
{
	trace_begin_event(phase);
	printf(",\"tid\":%u", tid);
}

/* Prints the name of a process and its process id. */
void trace_put_process(const struct track *track)
{
	const struct located_process *process = trace_process(track);
	char name[NAME_SIZE];

	name_escape(name, process->comm);
	json_put_text(stdout, name);
	printf(" %u", process->pid);
}

static void put_metadata(const char *key, const char *value)
{
	static bool comma;

	if (!value)
		return;
	printf("%s\"%s\":\"", comma ? "," : "", key);
	json_put_text(stdout, value);
	putchar('"');
	comma = true;
}

static void put_labels(const char *name, const char *arg, const char *text)
{
	trace_begin_event('M');
	printf(",\"name\":\"%s\",\"args\":{\"%s\":\"", name, arg);
	json_put_text(stdout, text);
	fputs("\"}}", stdout);
}

/* Prints what the trace is about. */
void trace_put_head(void)
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
void trace_put_thread(const struct track *track, __u32 tid, __u32 fault_tid)
{
	trace_begin_thread_event('M', tid);
	fputs(",\"name\":\"thread_name\",\"args\":{\"name\":\"", stdout);
	trace_put_process(track);
	if (fault_tid && fault_tid != trace_process(track)->pid)
		printf("/%u", fault_tid);
	printf("%s\"}}", fault_tid ? " faults" : "");
	trace_begin_thread_event('M', tid);
	printf(",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%u}}",
	       2 * track->order + !!fault_tid);
}

/* Begins a slice, which its arguments complete. */
static void put_slice(const struct track *track, const char comm[COMM_SIZE],
		      __u64 start_ns, __u64 end_ns)
{
	char name[NAME_SIZE];

	name_escape(name, comm);
	trace_begin_thread_event('X', track->tid);
	trace_put_time("ts", start_ns);
	trace_put_us("dur", end_ns > start_ns ? end_ns - start_ns : 0);
	trace_put_string("cat", "process");
	trace_put_string("name", name);
}

/* Prints one end of the arrow from a parent to its child. */
static void put_arrow(char phase, const struct track *track,
		      const struct track *child)
{
	trace_begin_thread_event(phase, track->tid);
	trace_put_time("ts", child->start_ns);
	printf(",\"cat\":\"fork\",\"name\":\"fork\",\"id\":%u%s}", child->tid,
	       phase == 'f' ? ",\"bp\":\"e\"" : "");
}

/* Prints the life of a process: slices, and the arrow to it. */
void trace_put_track(const struct track *track)
{
	const struct located_process *process = trace_process(track);
	const struct track *parent;
	size_t i;

	trace_put_thread(track, track->tid, 0);
	put_slice(track, process->comm, track->start_ns, track->end_ns);
	printf(",\"args\":{\"pid\":%u,\"ppid\":%u,\"uid\":%u", process->pid,
	       process->ppid, track->uid);
	printf(",\"min_flt\":%llu,\"maj_flt\":%llu,\"cpu_ns\":%llu}}",
	       (unsigned long long)track->sums.min_flt,
	       (unsigned long long)track->sums.maj_flt,
	       (unsigned long long)track->sums.cpu_ns);
	for (i = 0; i < track->nr_names && track->nr_names > 1; i++) {
		const struct trace_name *name = &track->names[i];
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
