/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs of one command, summed up by the names of their processes. A recording is
 * one run.
 */
#ifndef MP3_TOOLS_SUMMARY_H
#define MP3_TOOLS_SUMMARY_H

#include "emit.h"
#include "metric.h"
#include "report.h"
#include "set.h"
#include "stats.h"

/**
 * struct summary_row - what the processes of one name cost, or one function
 * @hash:   of @label
 * @nr:     labels that have the same hash and were added before
 * @label:  the name, printable
 * @values: of the runs
 */
struct summary_row {
	__u64 hash;
	__u64 nr;
	char *label;
	struct stats values[NR_METRICS];
};

/**
 * struct summary - some runs
 * @nr_runs: how many
 * @located: the stalled time is known
 * @total:   of each run
 * @rows:    struct summary_row
 */
struct summary {
	size_t nr_runs;
	bool located;
	struct stats total[NR_METRICS];
	struct set rows;
};

void summary_init(struct summary *summary, bool located);
const struct summary_row *summary_find(const struct summary *summary,
				       const char *label);
void summary_increase(struct summary *summary, const char *label,
		      const double values[NR_METRICS]);
void summary_add_run(struct summary *summary, struct table *table,
		     const double total[NR_METRICS]);
struct stats summary_values(const struct summary *summary,
			    const struct summary_row *row, enum metric metric);
bool summary_shows(const struct summary *summary, enum metric metric,
		   bool is_total);
void emit_stats(struct emitter *emitter, const char *key,
		const struct stats *stats);
void summary_print(FILE *file, struct summary *summary, size_t nr_rows);
void summary_emit(struct emitter *emitter, struct summary *summary,
		  const struct losses *losses);

#endif /* MP3_TOOLS_SUMMARY_H */
