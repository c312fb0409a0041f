// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "rows.h"
#include "summary.h"
#include "util.h"

/* Initializes a summary of no runs. */
void summary_init(struct summary *summary, bool located)
{
	*summary = (struct summary){
		.located = located,
		.rows = {
			.item_size = sizeof(struct summary_row),
			.key_size = offsetof(struct summary_row, label),
		},
	};
}

/* Returns the row of a label. Exits if there is no memory. */
static struct summary_row *get_row(struct summary *summary, const char *label)
{
	__u64 key[] = { set_hash(label, strlen(label)), 0 };
	struct summary_row *row;
	bool added;

	do {
		row = set_get(&summary->rows, key, &added);
		key[1]++;
	} while (!added && strcmp(row->label, label));
	if (added)
		row->label = text_format("%s", label);

	return row;
}

/* Returns the row of a label, or NULL. */
const struct summary_row *summary_find(const struct summary *summary,
				       const char *label)
{
	__u64 key[] = { set_hash(label, strlen(label)), 0 };
	const struct summary_row *row;

	do {
		row = set_find(&summary->rows, key);
		key[1]++;
	} while (row && strcmp(row->label, label));

	return row;
}

/* Adds to the values of a row in the only run. Exits if there is no memory. */
void summary_increase(struct summary *summary, const char *label,
		      const double values[NR_METRICS])
{
	struct summary_row *row = get_row(summary, label);
	double value;
	enum metric i;

	for (i = 0; i < NR_METRICS; i++) {
		value = row->values[i].mean + values[i];
		row->values[i] = (struct stats){};
		stats_add(&row->values[i], value);
	}
}

/* Adds a run: its processes and its total. Exits if there is no memory. */
void summary_add_run(struct summary *summary, struct table *table,
		     const double total[NR_METRICS])
{
	struct row *rows = calloc(table->nr + 1, sizeof(*rows));
	struct summary_row *row;
	double values[NR_METRICS];
	char name[NAME_SIZE];
	size_t nr, i;
	enum metric m;

	if (!rows)
		err(1, "summary");
	nr = group_rows(rows, table, BY_NAME);
	for (i = 0; i < nr; i++) {
		name_escape(name, rows[i].process->comm);
		metric_of_process(values, &rows[i].sum);
		row = get_row(summary, name);
		for (m = 0; m < NR_METRICS; m++)
			stats_add(&row->values[m], values[m]);
	}
	free(rows);
	for (m = 0; m < NR_METRICS; m++)
		stats_add(&summary->total[m], total[m]);
	summary->nr_runs++;
}

/*
 * Returns the values of a row in all runs, 0 in those without it. @row is NULL for the
 * total.
 */
struct stats summary_values(const struct summary *summary,
			    const struct summary_row *row, enum metric metric)
{
	struct stats stats = row ? row->values[metric] : summary->total[metric];

	while (stats.nr < summary->nr_runs)
		stats_add(&stats, 0);

	return stats;
}

/* Returns whether a metric is known of the rows, or of the total. */
bool summary_shows(const struct summary *summary, enum metric metric,
		   bool is_total)
{
	if (metric == METRIC_STALL)
		return summary->located;

	return metric != METRIC_TIME || is_total;
}

/*
 * Emits statistics, or an empty cell for each if @stats is NULL. A single value has no
 * deviation.
 */
void emit_stats(struct emitter *emitter, const char *key,
		const struct stats *stats)
{
	static const char *const keys[] = { "mean", "stddev", "min", "max" };
	double values[ARRAY_SIZE(keys)];
	size_t i;

	if (!stats && !emitter->csv)
		return;
	if (stats) {
		values[0] = stats->mean;
		values[1] = stats->nr > 1 ? stats_sigma(stats) : NAN;
		values[2] = stats->min;
		values[3] = stats->max;
	}
	emit_object(emitter, key);
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (stats)
			emit_number(emitter, keys[i], values[i]);
		else
			emit_empty(emitter, keys[i]);
	}
	emit_object_end(emitter);
}

/* ---- Text ---- */

/* Returns the faults of a row in all runs. */
static double all_faults(const struct summary_row *row)
{
	const struct stats *minor = &row->values[METRIC_MINOR];
	const struct stats *major = &row->values[METRIC_MAJOR];

	return minor->mean * (double)minor->nr + major->mean * (double)major->nr;
}

/* By faults: the row with most is the first. */
static int compare_faults(const void *a, const void *b)
{
	const struct summary_row *row = a, *other = b;
	double faults = all_faults(row), others = all_faults(other);

	if (faults != others)
		return faults < others ? 1 : -1;
	return strcmp(row->label, other->label);
}

/* Prints the metrics of a row; those of the total if @row is NULL. */
static void print_row(FILE *file, const struct summary *summary,
		      const struct summary_row *row)
{
	char mean[METRIC_TEXT], sigma[METRIC_TEXT];
	char min[METRIC_TEXT], max[METRIC_TEXT];
	struct stats stats;
	enum metric i;

	fprintf(file, "%s\n", row ? row->label : "total");
	for (i = 0; i < NR_METRICS; i++) {
		if (!summary_shows(summary, i, !row))
			continue;
		stats = summary_values(summary, row, i);
		metric_text(mean, i, stats.mean, stats.mean);
		metric_text(sigma, i, stats_sigma(&stats), stats.mean);
		metric_text(min, i, stats.min, stats.mean);
		metric_text(max, i, stats.max, stats.mean);
		fprintf(file, "  %-14s %12s +- %-10s", metric_infos[i].name,
			mean, sigma);
		if (stats.mean > 0)
			fprintf(file, " (%5.1f%%)", 100 * stats_sigma(&stats) /
				stats.mean);
		else
			fprintf(file, " %8s", "");
		fprintf(file, " %12s %12s\n", min, max);
	}
}

/* Prints the total, and the @nr_rows names with most faults. */
void summary_print(FILE *file, struct summary *summary, size_t nr_rows)
{
	size_t nr = summary->rows.nr, i;

	fprintf(file, "%-16s %12s +- %-10s %8s %12s %12s\n", "", "mean",
		"sigma", "", "min", "max");
	print_row(file, summary, NULL);
	qsort(summary->rows.items, nr, sizeof(struct summary_row),
	      compare_faults);
	for (i = 0; i < nr && i < nr_rows; i++)
		print_row(file, summary, set_item(&summary->rows, i));
	if (i < nr)
		fprintf(file, "%zu more name%s (see -n)\n", nr - i,
			nr - i == 1 ? "" : "s");
}

/* ---- JSON and csv ---- */

static void emit_row_of(struct emitter *emitter, const struct summary *summary,
			const struct summary_row *row,
			const struct losses *losses)
{
	struct stats stats;
	enum metric i;

	emit_text(emitter, "row", row ? "name" : "total");
	if (row)
		emit_text(emitter, "comm", row->label);
	else
		emit_empty(emitter, "comm");
	emit_integer(emitter, "runs", summary->nr_runs);
	for (i = 0; i < NR_METRICS; i++) {
		if (summary_shows(summary, i, !row)) {
			stats = summary_values(summary, row, i);
			emit_stats(emitter, metric_infos[i].key, &stats);
		} else {
			emit_stats(emitter, metric_infos[i].key, NULL);
		}
	}
	emit_losses(emitter, losses);
}

/* Emits all names, and the total with what is missing. */
void summary_emit(struct emitter *emitter, struct summary *summary,
		  const struct losses *losses)
{
	size_t i;

	qsort(summary->rows.items, summary->rows.nr, sizeof(struct summary_row),
	      compare_faults);
	emit_array(emitter, "rows");
	for (i = 0; i < summary->rows.nr; i++) {
		emit_row(emitter, NULL);
		emit_row_of(emitter, summary, set_item(&summary->rows, i),
			    NULL);
		emit_row_end(emitter);
	}
	emit_array_end(emitter);
	emit_row(emitter, "total");
	emit_row_of(emitter, summary, NULL, losses);
	emit_row_end(emitter);
}
