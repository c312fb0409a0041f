// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"
#include "util.h"

/* Makes as many tracks as there are processes. */
void trace_add_tracks(void)
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
	struct trace_name *name;

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
void trace_note_record(void *data, const struct mp3_record *record)
{
	struct track *track;
	size_t index;

	(void)data;
	data_record(&trace.data, record);
	trace_add_tracks();
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
struct track *trace_find_track(const struct mp3_record *record)
{
	size_t index = data_process(&trace.data, record->pid, ~0ULL);

	/* A recording that has been replaced since can have other processes. */
	trace_add_tracks();

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

const struct located_process *trace_process(const struct track *track)
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
void trace_complete_tracks(void)
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
