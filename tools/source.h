/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A ring of either kind, a capture, or a recording, as a source of entries, none of
 * which is consumed.
 */
#ifndef MP3_TOOLS_SOURCE_H
#define MP3_TOOLS_SOURCE_H

#include "../mp3_client.h"

/**
 * struct entry - a sample or a record
 * @number:  its number in the ring
 * @time_ns: when it was taken, CLOCK_MONOTONIC of the initial time namespace
 * @sample:  the entry of a ring of samples
 * @record:  the entry of a ring of records
 */
struct entry {
	__u64 number;
	__u64 time_ns;
	union {
		struct mp3_sample sample;
		struct mp3_record record;
	};
};

/**
 * struct source - an open ring or recording
 * @reader:	   the ring
 * @records:	   it is a ring of records
 * @capture:	   it is a capture
 * @identity:	   identity records are wanted; by default they are skipped,
 *		   since they have no counts
 * @own_pid:	   process id whose records are skipped, or 0
 * @start:	   number of its oldest entry when it was opened
 * @nr_read:	   entries read, those skipped included
 * @nr_skipped:	   entries skipped
 * @lost_reported: lost entries that source_report_lost() has reported
 */
struct source {
	struct mp3_reader reader;
	bool records;
	bool capture;
	bool identity;
	__u32 own_pid;
	__u64 start;
	__u64 nr_read;
	__u64 nr_skipped;
	__u64 lost_reported;
};

void source_open(struct source *source, const char *device, bool records);
void source_open_recording(struct source *source, const char *path,
			   bool records);
void source_open_capture(struct source *source);
void source_skip(struct source *source);
bool source_next(struct source *source, __u64 end, struct entry *entry);
const char *source_entries(const struct source *source);
void source_report_lost(struct source *source);
__u64 source_consumed(const struct source *source);
__u64 source_ticks(const struct source *source);
__u64 source_missed(const struct source *source);
__u64 source_denied(const struct source *source);
void source_report_denied(const struct source *source);

#endif /* MP3_TOOLS_SOURCE_H */
