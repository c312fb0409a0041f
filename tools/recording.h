/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Recordings: what a capture has published, in one file.
 *
 * A recording starts with struct recording_header. Chunks follow: each is a
 * struct recording_chunk, @bytes bytes of contents, and zeros up to a multiple of
 * 8 bytes. All numbers have the byte order of the machine that has recorded.
 *
 *	RECORDING_INFO		text, lines of KEY=VALUE: see below
 *	RECORDING_RECORDS	struct mp3_record[]: records and identity records, in
 *				the order of the ring
 *	RECORDING_FAULTS	struct mp3_fault[]: faults, in the order of the ring
 *	RECORDING_FILES		struct mp3_file[]: files that faults and frames refer
 *				to by number; a file can follow its first fault
 *	RECORDING_TOTALS	struct recording_totals; each replaces the previous
 *				one
 *	RECORDING_SYMBOLS	text, a line for each code address that was resolved
 *				on the machine that has recorded: see below
 *
 * A chunk is written by one system call, and the file ends with a whole chunk
 * unless the machine or the recorder has crashed. A reader
 *
 *	1. refuses a file with another magic, byte order or a newer version;
 *	2. ignores an incomplete last chunk;
 *	3. skips a chunk of an unknown type: a type can be added without a new
 *	   version. A change of what a chunk contains needs one, except that
 *	   RECORDING_TOTALS can grow;
 *	4. refuses contents that are not a multiple of their element's size;
 *	5. refuses text with a byte that is not printable ASCII, a tab or a newline:
 *	   printed, it could control a terminal.
 *
 * The keys of RECORDING_INFO; a reader ignores others. Values are printable
 * ASCII: a backslash is \\, any other byte \xNN.
 *
 *	version		MP3_VERSION of the recorder
 *	release		of the kernel, as uname -r prints it
 *	machine		its architecture, as uname -m prints it
 *	host		its name, as uname -n prints it
 *	page_size	bytes
 *	hz		clock ticks per second of the kernel
 *	interval_ns	sampling interval
 *	command		its words, separated by blanks; or -p and the process ids
 *	start_ns	start, on the clock of records and faults
 *	start_time	the same in seconds since 1970, with a fraction
 *	n		one minor fault in n was located; 0: none was
 *	callers		callers requested per fault
 *
 * A line of RECORDING_SYMBOLS has five fields, separated by tabs, escaped as
 * above, and a semicolon in the function is \x3b: the number of the file; the
 * offset in it, hexadecimal; the function, empty if it is unknown; the source
 * file, empty if it is unknown; and the line, 0 if it is unknown. A return address
 * is looked up one byte before: at the call.
 */
#ifndef MP3_TOOLS_RECORDING_H
#define MP3_TOOLS_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../mp3_uapi.h"

#define RECORDING_MAGIC		"MP3REC\r\n"	/* 8 bytes, without the NUL */
#define RECORDING_ORDER		0x01020304u
#define RECORDING_VERSION	1

/**
 * struct recording_header - the start of a recording
 * @magic:   RECORDING_MAGIC
 * @order:   RECORDING_ORDER, as the recorder's machine stores it
 * @version: RECORDING_VERSION
 */
struct recording_header {
	char magic[8];
	__u32 order;
	__u32 version;
};

/* @type of struct recording_chunk */
enum {
	RECORDING_INFO = 1,
	RECORDING_RECORDS,
	RECORDING_FAULTS,
	RECORDING_FILES,
	RECORDING_TOTALS,
	RECORDING_SYMBOLS,
};

/**
 * struct recording_chunk - precedes the contents of a chunk
 * @type:     RECORDING_*
 * @reserved: 0
 * @bytes:    size of the contents, without the zeros after them
 */
struct recording_chunk {
	__u32 type;
	__u32 reserved;
	__u64 bytes;
};

/* @flags of struct recording_totals */
#define RECORDING_COMPLETE	1u	/* profiling has ended */
#define RECORDING_CLOSED	2u	/* each process was registered before it ran
					 * and has exited: the counts are exact
					 */

/**
 * struct recording_totals - what the headers of the capture contain
 * @end_ns:	 when profiling ended, or when this was written; on the clock of
 *		 records
 * @counted:	 of struct mp3_header
 * @located:	 of struct mp3_header
 * @sampled_out: @missed of the header of faults: left out because n is not 1
 * @not_written: @dropped of the header of faults
 * @lost_faults: faults that were overwritten before they were read, or not
 *		 written
 * @lost_records: records that were overwritten before they were read
 * @dropped:	 @dropped of the header of records: processes
 * @denied:	 of struct mp3_header: processes
 * @running:	 processes that were still registered at the end
 * @flags:	 RECORDING_COMPLETE and RECORDING_CLOSED
 */
struct recording_totals {
	__u64 end_ns;
	__u64 counted;
	__u64 located;
	__u64 sampled_out;
	__u64 not_written;
	__u64 lost_faults;
	__u64 lost_records;
	__u64 dropped;
	__u64 denied;
	__u32 running;
	__u32 flags;
};

/**
 * struct recording - a recording that is being written
 * @path:   its name
 * @fd:	    the file, or -1
 * @end:    size of the whole chunks in it
 * @failed: a chunk could not be written
 */
struct recording {
	const char *path;
	int fd;
	off_t end;
	bool failed;
};

bool recording_create(struct recording *recording, const char *path);
bool recording_write(struct recording *recording, __u32 type, const void *data,
		     size_t bytes);
bool recording_close(struct recording *recording);

/**
 * struct recording_symbol - a resolved code address
 * @file:     number of the file
 * @offset:   in the file
 * @function: its name; empty if unknown
 * @source:   source file; empty if unknown
 * @line:     line in it; 0 if unknown
 */
struct recording_symbol {
	__u32 file;
	__u64 offset;
	const char *function;
	const char *source;
	unsigned int line;
};

/**
 * struct recording_visitor - functions that recording_read() calls
 * @info:   with a key and its value
 * @record: with a record; its name ends with a NUL
 * @fault:  with a fault; MP3_FAULT_FRAMES() of its flags is at most MP3_FRAMES
 * @file:   with a file; its number is 1..MP3_FILES, its path ends with a NUL
 * @totals: with totals
 * @symbol: with a symbol
 * @again:  the recording has been read before: do not report a missing end again
 *
 * Any can be NULL. What the pointers refer to is valid during the call.
 */
struct recording_visitor {
	void (*info)(void *data, const char *key, const char *value);
	void (*record)(void *data, const struct mp3_record *record);
	void (*fault)(void *data, const struct mp3_fault *fault);
	void (*file)(void *data, const struct mp3_file *file);
	void (*totals)(void *data, const struct recording_totals *totals);
	void (*symbol)(void *data, const struct recording_symbol *symbol);
	bool again;
};

bool recording_read(const char *path, const struct recording_visitor *visitor,
		    void *data);

#endif /* MP3_TOOLS_RECORDING_H */
