// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "options.h"
#include "progress.h"
#include "recorded.h"
#include "recording.h"
#include "util.h"

/**
 * struct notes - a recording that is being read
 * @recorded:	what is known of it
 * @has_start:	its start is known
 * @real_ns:	CLOCK_REALTIME at its start; 0 if unknown
 */
struct notes {
	struct recorded *recorded;
	bool has_start;
	__u64 real_ns;
};

/* Returns seconds with a fraction in nanoseconds, or 0 if they are none. */
static __u64 parse_time(const char *text)
{
	char *end;
	__u64 ns = strtoull(text, &end, 10), unit = NSEC_PER_SEC;

	if (!isdigit((unsigned char)text[0]) || ns >= MP3_NEVER / NSEC_PER_SEC)
		return 0;
	ns *= NSEC_PER_SEC;
	if (*end == '.')
		while (isdigit((unsigned char)*++end)) {
			unit /= 10;
			ns += unit * (__u64)(*end - '0');
		}

	return *end ? 0 : ns;
}

static void learn_info(void *data, const char *key, const char *value)
{
	struct notes *notes = data;

	if (!strcmp(key, "start_ns")) {
		notes->recorded->start_ns = strtoull(value, NULL, 10);
		notes->has_start = true;
	} else if (!strcmp(key, "start_time")) {
		notes->real_ns = parse_time(value);
	}
}

static void learn_record(void *data, const struct mp3_record *record)
{
	struct notes *notes = data;
	struct recorded *recorded = notes->recorded;

	if (!notes->has_start) {
		recorded->start_ns = record->time_ns;
		notes->has_start = true;
	}
	if (recorded->end_ns < record->time_ns)
		recorded->end_ns = record->time_ns;
}

static void learn_totals(void *data, const struct mp3_recording_totals *totals)
{
	struct recorded *recorded = ((struct notes *)data)->recorded;

	if (recorded->end_ns < totals->end_ns)
		recorded->end_ns = totals->end_ns;
}

/**
 * recorded_read() - find out when a recording was made
 * @recorded: filled
 * @path:     the recording
 *
 * From now on, users and cgroups have the names that the recording contains. Exits
 * with status 1 if it cannot be read.
 */
void recorded_read(struct recorded *recorded, const char *path)
{
	static const struct recording_visitor visitor = {
		.info = learn_info,
		.record = learn_record,
		.totals = learn_totals,
		.name = names_add,
		.progress = progress,
	};
	struct notes notes = { .recorded = recorded };
	bool good;

	*recorded = (struct recorded){};
	names_start();
	good = recording_read(path, &visitor, &notes);
	progress_end();
	if (!good)
		exit(1);
	recorded->has_wall = notes.real_ns;
	recorded->wall_ns = notes.real_ns - recorded->start_ns;
}
