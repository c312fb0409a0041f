/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The processes that watch, top and alert register in their capture.
 */
#ifndef MP3_TOOLS_SELECT_H
#define MP3_TOOLS_SELECT_H

#include "options.h"
#include "source.h"

/**
 * struct selection - the processes of a capture
 * @options: -p, -f and -a; without -p, all processes that the caller may profile
 * @capture: the capture
 * @scan_ns: when to look for new processes, CLOCK_MONOTONIC of the initial time
 *	     namespace; MP3_NEVER: do not
 * @is_followed: returns whether a process is known to be followed, which saves the
 *	     system call of a command; or NULL
 * @found:   called with each process that a scan finds to be followed; or NULL
 * @data:    passed to @is_followed and @found
 */
struct selection {
	const struct ring_options *options;
	const struct mp3_reader *capture;
	__u64 scan_ns;
	bool (*is_followed)(const void *data, pid_t pid);
	void (*found)(void *data, pid_t pid);
	void *data;
};

bool selection_start(struct selection *selection, struct source *source,
		     const struct ring_options *options);
void selection_scan(struct selection *selection, __u64 now_ns);

#endif /* MP3_TOOLS_SELECT_H */
