/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The options that watch, top and alert share.
 */
#ifndef MP3_TOOLS_OPTIONS_H
#define MP3_TOOLS_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

/* A time that does not come, in nanoseconds. */
#define MP3_NEVER (~0ULL)

/* Options without a letter. A command's own ones start at OPT_OWN. */
enum {
	OPT_FOR = 256,
	OPT_UNTIL_IDLE,
	OPT_OWN,
};

/**
 * struct ring_options - options of a command that reads a capture or a ring
 * @device:	-d, or the recording; NULL if none was given
 * @ring:	read a ring of the classic registry or a recording, not a capture
 * @recording:	read a recording
 * @pids:	processes of -p
 * @nr_pids:	how many; 0: all processes
 * @follow:	-f
 * @all:	-a
 * @until_idle:	--until-idle
 * @has_span:	--for was given
 * @span_ns:	--for
 */
struct ring_options {
	const char *device;
	bool ring;
	bool recording;
	__u32 *pids;
	size_t nr_pids;
	bool follow;
	bool all;
	bool until_idle;
	bool has_span;
	__u64 span_ns;
};

__u64 parse_seconds(const char *what, const char *text);
void parse_ring_option(struct ring_options *options, int option,
		       const char *help);
void parse_ring_options(struct ring_options *options, int argc, char **argv,
			const char *help);
void validate_ring_options(struct ring_options *options);
bool wants_pid(const struct ring_options *options, __u32 pid);

#endif /* MP3_TOOLS_OPTIONS_H */
