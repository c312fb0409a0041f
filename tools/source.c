// SPDX-License-Identifier: GPL-2.0
#include <err.h>

#include "capture.h"
#include "source.h"

/* Returns whether a source is a recording, which is all in memory. */
static bool is_recording(const struct source *source)
{
	return source->reader.fd < 0;
}

/* Opens a ring or a recording. Exits with status 1 if that is impossible. */
static void open_file(struct source *source, const char *device, bool records)
{
	struct mp3_reader *reader = &source->reader;
	int error;

	*source = (struct source){ .records = records };
	error = records ? mp3_reader_open_records(reader, device) :
			  mp3_reader_open(reader, device, false);
	if (error)
		reader_open_failed(reader, device, error);
	source->start = reader->next;
}

/**
 * source_open() - open a ring at its oldest entry
 * @source:  filled
 * @device:  path of the ring; NULL for the default one
 * @records: open a ring of records, not of samples
 *
 * Exits with status 1 if the ring cannot be opened.
 */
void source_open(struct source *source, const char *device, bool records)
{
	if (!device)
		device = records ? MP3_PROCS_PATH : MP3_DEVICE_PATH;
	open_file(source, device, records);
	if (is_recording(source))
		errx(1, "%s is a recording: use mp3ctl watch %s", device, device);
}

/**
 * source_open_recording() - open a recording at its first entry
 * @source:  filled
 * @path:    the file
 * @records: read records, not samples
 *
 * Exits with status 1 if it cannot be opened.
 */
void source_open_recording(struct source *source, const char *path,
			   bool records)
{
	open_file(source, path, records);
}

/* Opens a new capture. Exits with status 1 if that is impossible. */
void source_open_capture(struct source *source)
{
	*source = (struct source){ .records = true, .capture = true };
	capture_open_or_exit(&source->reader);
}

/* Ignores the entries that are in the ring now. */
void source_skip(struct source *source)
{
	source->reader.next = mp3_reader_head(&source->reader);
	source->start = source->reader.next;
}

/* Returns whether an entry that was read is not wanted. */
static bool is_skipped(const struct source *source, const struct entry *entry)
{
	return source->records &&
	       ((entry->record.flags & MP3_IDENTITY && !source->identity) ||
		(source->own_pid && entry->record.pid == source->own_pid));
}

/* Reads the next entry below @end, whatever it is. */
static bool read_entry(struct source *source, __u64 end, struct entry *entry)
{
	struct mp3_reader *reader = &source->reader;

	if (reader->next >= end)
		return false;
	if (source->records) {
		if (!mp3_reader_next_record(reader, &entry->record))
			return false;
		entry->time_ns = entry->record.time_ns;
	} else {
		if (!mp3_reader_next(reader, &entry->sample))
			return false;
		entry->time_ns = mp3_reader_time(reader, &entry->sample);
	}
	entry->number = reader->next - 1;
	source->nr_read++;

	return true;
}

/* Reads the next entry below @end. Returns false if there is none. */
bool source_next(struct source *source, __u64 end, struct entry *entry)
{
	while (read_entry(source, end, entry)) {
		if (!is_skipped(source, entry))
			return true;
		source->nr_skipped++;
	}

	return false;
}

/* Returns the name of the ring's entries. */
const char *source_entries(const struct source *source)
{
	return source->records ? "records" : "samples";
}

/* Warns of entries that were overwritten unread since the last call. */
void source_report_lost(struct source *source)
{
	__u64 lost = source->reader.lost - source->lost_reported;

	if (lost)
		warnx("%llu %s lost", (unsigned long long)lost,
		      source_entries(source));
	source->lost_reported += lost;
}

/* Returns how many entries other readers had consumed before they were read. */
__u64 source_consumed(const struct source *source)
{
	const struct mp3_reader *reader = &source->reader;

	/* What was lost when it was recorded has no numbers. */
	if (is_recording(source))
		return 0;
	return reader->next - source->start - reader->lost - source->nr_read;
}

/* Returns how many ticks the module has served since its load. */
__u64 source_ticks(const struct source *source)
{
	return __atomic_load_n(&source->reader.header->ticks, __ATOMIC_RELAXED);
}

/* Returns how many ticks the module has missed since its load. */
__u64 source_missed(const struct source *source)
{
	return __atomic_load_n(&source->reader.header->missed,
			       __ATOMIC_RELAXED);
}

/* Returns how many processes the capture's opener may no longer profile. */
__u64 source_denied(const struct source *source)
{
	return __atomic_load_n(&source->reader.header->denied,
			       __ATOMIC_RELAXED);
}

/* Warns of processes that were unregistered because of their privileges. */
void source_report_denied(const struct source *source)
{
	__u64 denied = source_denied(source);

	if (denied)
		warnx("%llu process%s gained privileges and %s unregistered",
		      (unsigned long long)denied, denied == 1 ? "" : "es",
		      denied == 1 ? "was" : "were");
}
