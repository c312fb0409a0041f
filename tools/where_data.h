/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What mp3ctl where reads of a capture or a recording, apart from its faults: what
 * was recorded, files, processes and symbols.
 */
#ifndef MP3_TOOLS_WHERE_DATA_H
#define MP3_TOOLS_WHERE_DATA_H

#include "name.h"
#include "recording.h"
#include "set.h"

/**
 * struct located_process - a process whose faults were located
 * @pid:      process id in the initial pid namespace
 * @older:    index of the process that had the id before it, plus one; or 0
 * @start_ns: when it was forked, from its identity record; 0 if that was lost
 * @ppid:     parent, from its identity record
 * @comm:     its last name
 */
struct located_process {
	__u32 pid;
	__u32 older;
	__u64 start_ns;
	__u32 ppid;
	char comm[COMM_SIZE];
};

/* The mapping of a fault, if it has no file */
enum {
	MAPPING_ANONYMOUS = MP3_FILES + 1,
	MAPPING_HEAP,
	MAPPING_STACK,
	MAPPING_UNKNOWN,
	NR_MAPPINGS,
};

/**
 * struct where_data - a recording or a capture
 * @n:		one minor fault in n was located; 0 if unknown
 * @callers:	callers requested per fault
 * @command:	what was profiled, printable; or NULL
 * @host:	name of the machine; or NULL
 * @release:	of its kernel; or NULL
 * @time:	seconds since 1970 at the start, as text; or NULL
 * @start_ns:	start, on the clock of faults
 * @local:	the files may be those of this machine
 * @files:	table of files; their number is 0 if they are unknown
 * @processes:	struct located_process, in the order of their records
 * @nr_processes: how many
 * @capacity:	how many @processes has memory for
 * @newest:	struct newest: the newest process of each id
 * @symbols:	struct stored_symbol: those of the recording, and those found since
 * @has_symbols: a symbol was recorded
 * @texts:	struct frame_text: those of frame_text()
 * @totals:	the newest
 * @nr_faults:	faults that data_fault() was called with
 */
struct where_data {
	unsigned int n;
	unsigned int callers;
	char *command;
	char *host;
	char *release;
	char *time;
	__u64 start_ns;
	bool local;
	struct mp3_file files[MP3_FILES];
	struct located_process *processes;
	size_t nr_processes;
	size_t capacity;
	struct set newest;
	struct set symbols;
	bool has_symbols;
	struct set texts;
	struct mp3_recording_totals totals;
	__u64 nr_faults;
};

/**
 * struct stored_symbol - where a code address is
 * @file:     see struct recording_symbol
 * @offset:   see struct recording_symbol
 * @function: owned; NULL if unknown
 * @source:   owned; NULL if unknown
 * @line:     0 if unknown
 */
struct stored_symbol {
	__u64 file;
	__u64 offset;
	char *function;
	char *source;
	unsigned int line;
};

void data_init(struct where_data *data);
void data_info(void *data, const char *key, const char *value);
void data_record(void *data, const struct mp3_record *record);
void data_file(void *data, const struct mp3_file *file);
void data_totals(void *data, const struct mp3_recording_totals *totals);
void data_symbol(void *data, const struct recording_symbol *symbol);
void data_fault(void *data, const struct mp3_fault *fault);
__u64 data_end_ns(const struct where_data *data, __u64 last_ns);
bool data_is_located(const struct where_data *data, const char *path);

size_t data_process(struct where_data *data, __u32 pid, __u64 time_ns);
const struct mp3_file *data_find_file(const struct where_data *data,
				      __u32 number);

unsigned int fault_mapping(const struct mp3_fault *fault);
char *mapping_name(const struct where_data *data, unsigned int mapping);

struct stored_symbol frame_symbol(struct where_data *data, __u64 frame,
				  bool is_caller);
const char *frame_text(struct where_data *data, __u64 frame, bool is_caller);

#endif /* MP3_TOOLS_WHERE_DATA_H */
