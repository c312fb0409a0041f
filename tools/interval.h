/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sums of records over intervals, for mp3ctl watch: a row for each process, or each
 * group of processes, that has a record in the interval.
 */
#ifndef MP3_TOOLS_INTERVAL_H
#define MP3_TOOLS_INTERVAL_H

#include "filter.h"
#include "format.h"

/**
 * struct interval - the interval that records are added to
 * @length_ns: its length; 0: records are not summed up
 * @origin_ns: where the first interval starts; earlier records belong to it, too
 * @end_ns:    its end, which is part of it; 0 before the first record
 * @closed_ns: end of the newest interval that was printed
 * @newest_ns: time of its newest record; 0 if it has none
 * @table:     the processes, with what they did in the interval
 */
struct interval {
	__u64 length_ns;
	__u64 origin_ns;
	__u64 end_ns;
	__u64 closed_ns;
	__u64 newest_ns;
	struct table table;
};

void interval_sweep(struct interval *interval);
void interval_count(struct interval *interval, struct process *process,
		    const struct mp3_record *record);
bool interval_put(struct interval *interval, const struct layout *layout,
		  const struct filters *filters, __u64 time_ns);

#endif /* MP3_TOOLS_INTERVAL_H */
