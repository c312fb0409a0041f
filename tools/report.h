/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The report of mp3ctl run and attach: a table of processes, of groups of them,
 * or their tree.
 */
#ifndef MP3_TOOLS_REPORT_H
#define MP3_TOOLS_REPORT_H

#include <stdio.h>

#include "table.h"

/* Rows that a report shows by default. */
#define DEFAULT_ROWS 10

/**
 * enum report_by - what a row of a report is
 * @BY_PROCESS: a process
 * @BY_NAME:	all processes of one name
 * @BY_USER:	all processes of one user
 * @BY_CGROUP:	all processes that were registered or forked in one cgroup
 * @BY_TREE:	a process, indented below its parent
 */
enum report_by {
	BY_PROCESS,
	BY_NAME,
	BY_USER,
	BY_CGROUP,
	BY_TREE,
};

/**
 * struct report - what to print, and where
 * @by:		 what a row is
 * @nr_rows:	 how many to print; one line sums up the others
 * @file:	 where to print
 * @interval_ns: length of the sampling interval
 * @start_ns:	 when profiling started
 * @end_ns:	 when it ended
 */
struct report {
	enum report_by by;
	size_t nr_rows;
	FILE *file;
	__u64 interval_ns;
	__u64 start_ns;
	__u64 end_ns;
};

enum report_by parse_report_by(const char *text);
void report_table(const struct report *report, struct table *table);

#endif /* MP3_TOOLS_REPORT_H */
