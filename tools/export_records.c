// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "format.h"
#include "output.h"
#include "print_progress.h"
#include "progress.h"
#include "recording.h"

static struct layout layout = { .records = true };

/* Notes what the time of a record is relative to. */
static void note_info(void *data, const char *key, const char *value)
{
	static bool has_base;

	(void)data;
	/* An older recorder leaves out base_ns; times then start at 0. */
	if (!strcmp(key, "base_ns"))
		has_base = true;
	else if (has_base || strcmp(key, "start_ns"))
		return;
	layout.base_ns = strtoull(value, NULL, 10);
}

/* Exits if the record cannot be written. */
static void print_record(void *data, const struct mp3_record *record)
{
	struct entry entry = { .time_ns = record->time_ns, .record = *record };

	(void)data;
	if (record->flags & MP3_IDENTITY && !layout.identity)
		return;
	output_begin_line();
	format_put_entry(&layout, &entry, NULL);
}

bool export_records_read(const struct export *export)
{
	static const struct recording_visitor info = {
		.info = note_info,
		.progress = progress,
	};
	bool good = recording_read(export->path, &info, NULL);

	progress_end();

	return good;
}

bool export_records_print(const struct export *export, const char *format)
{
	static const struct recording_visitor records = {
		.record = print_record,
		.progress = print_progress,
		.again = true,
	};
	bool good;

	layout.format = format_find(format);
	layout.identity = export->identity;
	output_begin_line();
	format_put_header(&layout);
	good = recording_read(export->path, &records, NULL);
	progress_end();

	return output_flush() && good;
}
