/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writing recordings and reading them whole. mp3_client.h describes the file.
 */
#ifndef MP3_TOOLS_RECORDING_H
#define MP3_TOOLS_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../mp3_client.h"

/* The name of a recording unless another one is given. */
#define DEFAULT_RECORDING "mp3.data"

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
 * @name:   with the name of a cgroup or a user, and its id: see struct mp3_record
 * @progress: with @path, and the part of the file that was read, 0 to 1
 * @again:  the recording was the last one that was read: read as much of it as then,
 *	    and do not report a missing end again
 *
 * Any can be NULL. What the pointers refer to is valid during the call.
 */
struct recording_visitor {
	void (*info)(void *data, const char *key, const char *value);
	void (*record)(void *data, const struct mp3_record *record);
	void (*fault)(void *data, const struct mp3_fault *fault);
	void (*file)(void *data, const struct mp3_file *file);
	void (*totals)(void *data, const struct mp3_recording_totals *totals);
	void (*symbol)(void *data, const struct recording_symbol *symbol);
	void (*name)(void *data, bool is_user, __u64 id, const char *name);
	void (*progress)(const char *path, double done);
	bool again;
};

void recording_keep(const char *recording, const char *output);
bool recording_read(const char *path, const struct recording_visitor *visitor,
		    void *data);

#endif /* MP3_TOOLS_RECORDING_H */
