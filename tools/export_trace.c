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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "print_progress.h"
#include "progress.h"
#include "recording.h"
#include "trace.h"

struct trace trace = {
	.threads = {
		.item_size = sizeof(struct fault_track),
		.key_size = 2 * sizeof(__u64),
	},
};

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
		.record = trace_note_record,
		.file = note_file,
		.totals = note_totals,
		.symbol = note_symbol,
		.progress = progress,
	};
	bool good;

	data_init(&trace.data);
	good = recording_read(export->path, &all_but_faults, NULL);
	progress_end();
	trace_complete_tracks();

	return good;
}

bool export_trace_print(const struct export *export)
{
	static const struct recording_visitor events = {
		.record = trace_put_record,
		.fault = trace_put_fault,
		.progress = print_progress,
		.again = true,
	};
	bool good;
	size_t i;

	trace_put_head();
	for (i = 0; i < trace.data.nr_processes; i++)
		trace_put_track(&trace.tracks[i]);
	trace.nr_records = 0;
	for (i = 0; i < trace.data.nr_processes; i++)
		trace.tracks[i].last_ns = trace.tracks[i].start_ns;
	good = recording_read(export->path, &events, NULL);
	progress_end();
	trace_put_ends();
	puts("\n]}");

	return good;
}
