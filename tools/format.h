/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fields of samples, records and rows, and the formats that print them.
 */
#ifndef MP3_TOOLS_FORMAT_H
#define MP3_TOOLS_FORMAT_H

#include "report.h"
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
struct template;

/**
 * struct layout - how entries are printed
 * @format:  one of format_find()'s
 * @template: what each line is instead, or NULL
 * @time:    what the first column contains
 * @records: the entries are records, not samples
 * @by:      what a line is about, if they are records
 * @identity: identity records are printed, too
 * @columns: of the terminal that text is printed to; 0: no limit
 * @base_ns: the module's load, on the clock of the entries
 * @wall_ns: CLOCK_REALTIME less the clock of the entries
 */
struct layout {
	const struct format *format;
	struct template *template;
	enum time_column time;
	bool records;
	enum report_by by;
	bool identity;
	size_t columns;
	__u64 base_ns;
	__u64 wall_ns;
};

/**
 * struct line - what a line is about
 * @entry:	 a sample, a record, or the sum of several records
 * @identified:	 the fields from @ppid to @cgroup_id are known
 * @ppid:	 parent of the process
 * @uid:	 real user id of the process or the group
 * @start_ns:	 when the process was forked
 * @cgroup_id:	 cgroup of the process or the group
 * @nr_processes: processes in the group
 * @depth:	 generations that the process is below a root of the tree
 */
struct line {
	struct entry entry;
	bool identified;
	__u32 ppid;
	__u32 uid;
	__u64 start_ns;
	__u64 cgroup_id;
	__u64 nr_processes;
	__u32 depth;
};

const struct format *format_find(const char *name);
bool format_has_comments(const struct layout *layout);
void format_set_template(struct layout *layout, const char *text);
void format_put_header(const struct layout *layout);
void line_identify(struct line *line, const struct process *process);
void format_put_line(const struct layout *layout, const struct line *line);
void format_put_entry(const struct layout *layout, const struct entry *entry,
		      const struct process *process);

#endif /* MP3_TOOLS_FORMAT_H */
