/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Totals as metrics: the text format of Prometheus, or OpenMetrics.
 */
#ifndef MP3_TOOLS_PROMETHEUS_H
#define MP3_TOOLS_PROMETHEUS_H

#include <stdio.h>

#include "totals.h"

/**
 * struct profiler - what is known of the profiler itself
 * @live:	  it is profiling: the fields down to @cost_ns are known
 * @ticks:	  of struct mp3_header
 * @missed:	  of struct mp3_header
 * @cost_ns:	  of struct mp3_header
 * @dropped:	  of struct mp3_header
 * @denied:	  of struct mp3_header
 * @lost_records: records that were overwritten before they were read
 * @lost_faults:  faults that were overwritten before they were read, or not written
 * @processes:	  of struct mp3_header
 * @interval_ns:  of struct mp3_header
 */
struct profiler {
	bool live;
	__u64 ticks;
	__u64 missed;
	__u64 cost_ns;
	__u64 dropped;
	__u64 denied;
	__u64 lost_records;
	__u64 lost_faults;
	__u64 processes;
	__u64 interval_ns;
};

void prometheus_print(FILE *file, bool openmetrics, const struct totals *totals,
		      const struct profiler *profiler);

#endif /* MP3_TOOLS_PROMETHEUS_H */
