/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The report of mp3ctl run and attach: a table of processes, of groups of them,
 * or their tree.
 */
#ifndef MP3_TOOLS_REPORT_H
#define MP3_TOOLS_REPORT_H

#include <stdio.h>

#include "emit.h"
#include "metric.h"

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
 * struct losses - what a report does not contain
 * @running:	  processes that had not exited at the end
 * @denied:	  processes unregistered because they gained privileges
 * @dropped:	  processes that were not followed for lack of memory
 * @lost_records: records that were overwritten before they were read
 * @lost_faults:  faults whose stalled time is missing: they were overwritten before
 *		  they were read, or not written
 * @unknown_stalls: faults that were read, whose stalled time the module does not know
 */
struct losses {
	__u64 running;
	__u64 denied;
	__u64 dropped;
	__u64 lost_records;
	__u64 lost_faults;
	__u64 unknown_stalls;
};

/**
 * struct report - what to print, and where
 * @by:		 what a row is
 * @nr_rows:	 how many to print; one line sums up the others
 * @file:	 where to print
 * @interval_ns: length of the sampling interval
 * @start_ns:	 when profiling started
 * @end_ns:	 when it ended
 * @located:	 faults were located: print the stalled time
 * @maxrss_bytes: largest resident memory of one process that is known apart from the
 *		 table, or 0
 * @losses:	 what is missing
 */
struct report {
	enum report_by by;
	size_t nr_rows;
	FILE *file;
	__u64 interval_ns;
	__u64 start_ns;
	__u64 end_ns;
	bool located;
	__u64 maxrss_bytes;
	struct losses losses;
};

enum report_by parse_report_by(const char *text);
void report_table(const struct report *report, struct table *table);
void report_losses(const struct report *report);
bool report_is_complete(const struct report *report);
void report_total(const struct report *report, const struct table *table,
		  double values[NR_METRICS]);
void report_emit(struct emitter *emitter, const struct report *report,
		 struct table *table);
void emit_losses(struct emitter *emitter, const struct losses *losses);

#endif /* MP3_TOOLS_REPORT_H */
