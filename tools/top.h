/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rows of mp3ctl top: rates of processes, computed from their records, and
 * the lines that show them on a screen or elsewhere.
 */
#ifndef MP3_TOOLS_TOP_H
#define MP3_TOOLS_TOP_H

#include "source.h"
#include "table.h"

/* No line is longer, its NUL included. */
#define TOP_LINE 256

/* Columns that rows can be sorted by. The first ones are process.top.rates. */
enum top_column {
	TOP_MAJOR,
	TOP_MINOR,
	TOP_CPU,
	TOP_RATES,
	TOP_RSS = TOP_RATES,
	TOP_PID,
	TOP_COLUMNS
};

/**
 * struct top - the rows
 * @table:     the processes
 * @sort:      what the rows are sorted by
 * @base_ns:   the tick that the counts were shown up to, CLOCK_MONOTONIC of the
 *	       initial time namespace
 * @newest_ns: the tick of the newest record
 * @fresh:     there were records since the last refresh
 * @ticks:     that the module had served at the last refresh
 * @lost:      records that were lost up to the last refresh
 * @denied:    processes that were denied up to the last refresh
 */
struct top {
	struct table table;
	enum top_column sort;
	__u64 base_ns;
	__u64 newest_ns;
	bool fresh;
	__u64 ticks;
	__u64 lost;
	__u64 denied;
};

void top_init(struct top *top);
void top_count(struct top *top, const struct mp3_record *record);
void top_start(struct top *top, const struct source *source, __u64 now_ns);
void top_refresh(struct top *top, const struct source *source, __u64 now_ns);
bool top_sort_by(struct top *top, int key);
void top_sort(struct top *top);

extern const char top_header[];
void top_title(const struct top *top, char line[TOP_LINE]);
void top_row(const struct process *process, char line[TOP_LINE]);

#endif /* MP3_TOOLS_TOP_H */
