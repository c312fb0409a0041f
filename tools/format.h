/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fields of samples and records, and the formats that print them.
 */
#ifndef MP3_TOOLS_FORMAT_H
#define MP3_TOOLS_FORMAT_H

#include "source.h"

/**
 * enum time_column - what the first column contains
 * @TIME_ENTRY: a sample's jiffies; a record's seconds since the module's load
 * @TIME_LOAD:	seconds since the module's load
 * @TIME_WALL:	date and time
 */
enum time_column {
	TIME_ENTRY,
	TIME_LOAD,
	TIME_WALL,
};

struct format;

/**
 * struct layout - how entries are printed
 * @format:  one of format_find()'s
 * @time:    what the first column contains
 * @records: the entries are records, not samples
 * @identity: identity records are printed, too
 * @base_ns: the module's load, on the clock of the entries
 * @wall_ns: CLOCK_REALTIME less the clock of the entries
 */
struct layout {
	const struct format *format;
	enum time_column time;
	bool records;
	bool identity;
	__u64 base_ns;
	__u64 wall_ns;
};

const struct format *format_find(const char *name);
bool format_has_comments(const struct format *format);
void format_put_header(const struct layout *layout);
void format_put_entry(const struct layout *layout, const struct entry *entry);

#endif /* MP3_TOOLS_FORMAT_H */
