/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The options of mp3ctl top, and what it does for a recording.
 */
#ifndef MP3_TOOLS_TOP_OPTIONS_H
#define MP3_TOOLS_TOP_OPTIONS_H

#include "options.h"
#include "top.h"

/**
 * struct top_options - options of mp3ctl top
 * @ring:	 options shared with other commands
 * @path:	 recording to play, or NULL
 * @interval_ns: -i
 * @batch:	 -b
 * @count:	 -n; 0: without end
 * @sort:	 -s
 * @tree:	 --tree
 * @filter:	 --name, --user and --cgroup
 * @columns:	 --columns, or NULL
 * @every:	 --faults; 0: none
 */
struct top_options {
	struct ring_options ring;
	const char *path;
	__u64 interval_ns;
	bool batch;
	__u64 count;
	enum top_column sort;
	bool tree;
	struct top_filter filter;
	const char *columns;
	unsigned int every;
};

bool top_print(struct top *top);

bool top_replay(struct top *top, const struct top_options *options);

#endif /* MP3_TOOLS_TOP_OPTIONS_H */
