/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The report of mp3ctl run and attach: a table of processes.
 */
#ifndef MP3_TOOLS_REPORT_H
#define MP3_TOOLS_REPORT_H

#include "table.h"

void report_table(struct table *table, size_t nr_rows, __u64 interval_ns,
		  __u64 start_ns, __u64 end_ns);

#endif /* MP3_TOOLS_REPORT_H */
