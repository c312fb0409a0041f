/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The report of mp3ctl where.
 */
#ifndef MP3_TOOLS_WHERE_REPORT_H
#define MP3_TOOLS_WHERE_REPORT_H

#include <stdio.h>

#include "where_count.h"

/**
 * enum where_sort - what rows are sorted by
 * @SORT_STALL:  stalled time
 * @SORT_FAULTS: faults
 * @SORT_MAJOR:  major faults
 */
enum where_sort {
	SORT_STALL,
	SORT_FAULTS,
	SORT_MAJOR,
};

/**
 * struct where_report - what to print, and where
 * @file:    where to print
 * @nr_rows: rows of a table; one more line sums up the others
 * @sort:    what they are sorted by
 */
struct where_report {
	FILE *file;
	size_t nr_rows;
	enum where_sort sort;
};

enum where_sort parse_where_sort(const char *text);
void where_title(FILE *file, const struct where_data *data);
void where_report(const struct where_report *report,
		  const struct where_count *count, struct where_data *data);
bool where_losses(FILE *file, const struct mp3_recording_totals *totals);
void where_proof(FILE *file, const struct mp3_recording_totals *totals);

#endif /* MP3_TOOLS_WHERE_REPORT_H */
