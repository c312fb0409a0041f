// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>

#include "json.h"
#include "trace.h"
#include "where_kind.h"

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
	trace_add_tracks();
	thread = set_get(&trace.threads, key, &added);
	*tid = FAULT_TID + (__u32)(((char *)thread - trace.threads.items) /
				   sizeof(*thread));
	if (added)
		trace_put_thread(&trace.tracks[key[0]], *tid, fault->tid);

	return thread;
}

static const char *mapping_text(unsigned int mapping)
{
	if (!trace.mappings[mapping])
		trace.mappings[mapping] = mapping_name(&trace.data, mapping);
	return trace.mappings[mapping];
}

/* Prints a fault: a slice, or an instant event if its stalled time is unknown. */
void trace_put_fault(void *data, const struct mp3_fault *fault)
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

	trace_begin_thread_event(stalled ? 'X' : 'i', tid);
	trace_put_time("ts", start_ns);
	if (stalled)
		trace_put_us("dur", thread->end_ns - start_ns);
	else
		trace_put_string("s", "t");
	trace_put_string("cat", major ? "major" : "minor");
	trace_put_string("name", kind_word(fault_kind(fault)));
	printf(",\"args\":{\"address\":\"0x%llx\"",
	       (unsigned long long)fault->address);
	trace_put_string("mapping", mapping_text(fault_mapping(fault)));
	printf(",\"offset\":%llu", (unsigned long long)fault->offset);
	trace_put_string("access", access_word(fault_access(fault)));
	printf(",\"faults\":%u,\"frames\":\"",
	       major || !trace.data.n ? 1 : trace.data.n);
	for (i = 0; i < MP3_FAULT_FRAMES(fault->flags); i++) {
		if (i)
			putchar(';');
		json_put_text(stdout, frame_text(&trace.data, fault->frames[i], i));
	}
	fputs("\"}}", stdout);
}
