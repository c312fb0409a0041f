/* SPDX-License-Identifier: GPL-2.0 */
/*
 * When a recording was made, for commands that read it like a ring.
 */
#ifndef MP3_TOOLS_RECORDED_H
#define MP3_TOOLS_RECORDED_H

#include <stdbool.h>

#include <linux/types.h>

/**
 * struct recorded - when a recording was made
 * @start_ns: its start, on the clock of its records; that of its first record if it
 *	      does not contain the start
 * @end_ns:   its end: that of its newest totals or record
 * @wall_ns:  CLOCK_REALTIME at its start less @start_ns
 * @has_wall: @wall_ns is known
 */
struct recorded {
	__u64 start_ns;
	__u64 end_ns;
	__u64 wall_ns;
	bool has_wall;
};

void recorded_read(struct recorded *recorded, const char *path);

#endif /* MP3_TOOLS_RECORDED_H */
