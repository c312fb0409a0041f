// SPDX-License-Identifier: GPL-2.0
#include <err.h>

#include "source.h"

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
	struct mp3_reader *reader = &source->reader;
	int error;

	*source = (struct source){ .records = records };
	if (!device)
		device = records ? MP3_PROCS_PATH : MP3_DEVICE_PATH;
	error = records ? mp3_reader_open_records(reader, device) :
			  mp3_reader_open(reader, device, false);
	if (error && reader->version && reader->version != MP3_ABI_VERSION)
		errx(1, "%s: has ABI version %u, this program reads version %u",
		     device, reader->version, MP3_ABI_VERSION);
	if (error)
		errx(1, "%s: %s", device, mp3_strerror(error));
	source->start = reader->next;
}

/* Ignores the entries that are in the ring now. */
void source_skip(struct source *source)
{
	source->reader.next = mp3_reader_head(&source->reader);
	source->start = source->reader.next;
}

/* Reads the next entry below @end. Returns false if there is none. */
bool source_next(struct source *source, __u64 end, struct entry *entry)
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
