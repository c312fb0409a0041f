// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "fit.h"

/* Columns that a terminal has for labels, or the differences are left out */
#define LABEL_WIDTH 15

/**
 * struct pair - a row of both sides
 * @label:  of the row; NULL for the total
 * @values: of the sides
 */
struct pair {
	const char *label;
	struct stats values[2];
};

/**
 * struct pair_layout - the columns of a table
 * @repeated:	    the sides have been repeated: deviations, and p
 * @has_difference: differences, not only in percent
 * @label:	    columns for the label
 */
struct pair_layout {
	bool repeated;
	bool has_difference;
	size_t label;
};

/* ---- Pairs ---- */

static double difference(const struct pair *pair)
{
	return pair->values[1].mean - pair->values[0].mean;
}

/* The largest difference is the first. */
static int compare_pairs(const void *a, const void *b)
{
	const struct pair *pair = a, *other = b;
	double size = fabs(difference(pair)), others = fabs(difference(other));

	if (size != others)
		return size < others ? 1 : -1;
	if (pair->values[0].mean != other->values[0].mean)
		return pair->values[0].mean < other->values[0].mean ? 1 : -1;
	return strcmp(pair->label, other->label);
}

/*
 * Fills @pairs with the rows of which a side is not 0, by their differences. Returns
 * how many there are. @pairs has space for all rows of both sides.
 */
static size_t fill_pairs(struct pair *pairs, const struct summary *const sides[2],
			 enum metric metric)
{
	static const struct summary_row nothing;
	const struct summary_row *row, *other;
	size_t side, i, nr = 0;
	struct pair pair;

	for (side = 0; side < 2; side++) {
		for (i = 0; i < sides[side]->rows.nr; i++) {
			row = set_item(&sides[side]->rows, i);
			other = summary_find(sides[!side], row->label);
			/* The first side has had it. */
			if (side && other)
				continue;
			if (!other)
				other = &nothing;
			pair.label = row->label;
			pair.values[side] = summary_values(sides[side], row,
							   metric);
			pair.values[!side] = summary_values(sides[!side], other,
							    metric);
			if (pair.values[0].max > 0 || pair.values[1].max > 0)
				pairs[nr++] = pair;
		}
	}
	qsort(pairs, nr, sizeof(*pairs), compare_pairs);

	return nr;
}

/* Returns pairs with space for all rows. Exits if there is no memory. */
static struct pair *alloc_pairs(const struct summary *const sides[2])
{
	struct pair *pairs = calloc(sides[0]->rows.nr + sides[1]->rows.nr + 1,
				    sizeof(*pairs));

	if (!pairs)
		err(1, "diff");
	return pairs;
}

static struct pair total_of(const struct summary *const sides[2],
			    enum metric metric)
{
	return (struct pair){
		.values = {
			summary_values(sides[0], NULL, metric),
			summary_values(sides[1], NULL, metric),
		},
	};
}

/* Returns whether both sides have measured a metric. */
static bool has_metric(const struct summary *const sides[2], enum metric metric,
		       bool is_total)
{
	return summary_shows(sides[0], metric, is_total) &&
	       summary_shows(sides[1], metric, is_total);
}

/* ---- Text ---- */

/* Chooses the columns that a terminal has space for. */
static struct pair_layout choose_layout(const struct compare *compare,
					bool repeated)
{
	size_t columns = fit_columns(compare->file);
	/* The values, percent and mark; deviations and p */
	size_t used = 39 + (repeated ? 25 : 0), difference = 11;
	struct pair_layout layout = { .repeated = repeated };

	layout.has_difference = columns >= used + difference + LABEL_WIDTH;
	if (layout.has_difference)
		used += difference;
	layout.label = fit_rest(columns, used);

	return layout;
}

/* Prints a value, and with repeats its deviation. */
static void print_value(FILE *file, const struct stats *stats,
			enum metric metric, bool repeated)
{
	char text[METRIC_TEXT], sigma[METRIC_TEXT] = "0%";
	double percent;

	metric_text(text, metric, stats->mean, stats->mean);
	fprintf(file, "%10s", text);
	if (!repeated)
		return;
	if (stats->mean > 0) {
		percent = 100 * stats_sigma(stats) / stats->mean;
		snprintf(sigma, sizeof(sigma), "%.*f%%", percent < 99.95,
			 percent);
	}
	fprintf(file, " +- %-5s", sigma);
}

/* Fills @text with the difference in percent of the first side, in at most 8 columns. */
static void percent_text(char text[METRIC_TEXT], const struct pair *pair)
{
	double from = pair->values[0].mean, percent;

	if (from <= 0) {
		strcpy(text, difference(pair) > 0 ? "new" : "");
		return;
	}
	percent = 100 * difference(pair) / from;
	snprintf(text, METRIC_TEXT, percent < 9999.95 ? "%+.1f%%" :
		 percent < 999999.5 ? "%+.0f%%" : "%+.0e%%", percent);
}

static void print_pair(const struct compare *compare,
		       const struct pair_layout *layout,
		       const struct pair *pair, enum metric metric)
{
	double change = difference(pair);
	double p = welch_p(&pair->values[0], &pair->values[1]);
	const char *mark = change > 0 ? "worse" : change < 0 ? "better" : "=";
	const char *color = change > 0 ? "\033[31m" : "\033[32m";
	char text[METRIC_TEXT], percent[METRIC_TEXT];
	char signed_text[METRIC_TEXT + 1], *label;
	bool colored;

	if (p >= SIGNIFICANT && change != 0)
		mark = "~";
	colored = compare->color && (mark[0] == 'w' || mark[0] == 'b');
	print_value(compare->file, &pair->values[0], metric, !isnan(p));
	print_value(compare->file, &pair->values[1], metric, !isnan(p));
	/* In the unit of the larger side, and with a sign */
	metric_text(text, metric, fabs(change),
		    fmax(pair->values[0].mean, pair->values[1].mean));
	snprintf(signed_text, sizeof(signed_text), "%s%s",
		 change > 0 ? "+" : change < 0 ? "-" : "", text);
	percent_text(percent, pair);
	fputs(colored ? color : "", compare->file);
	if (layout->has_difference)
		fprintf(compare->file, " %10s", signed_text);
	fprintf(compare->file, " %8s", percent);
	if (!isnan(p))
		fprintf(compare->file, p < 0.001 ? " <0.001" : " %6.3f", p);
	label = fit_label(pair->label ? pair->label : "total", layout->label);
	fprintf(compare->file, "  %-6s%s  %s\n", mark, colored ? "\033[m" : "",
		label);
	free(label);
}

static void print_header(FILE *file, const struct pair_layout *layout)
{
	int gap = layout->repeated ? 9 : 0;

	fprintf(file, "%10s%*s%10s%*s", "A", gap, "", "B", gap, "");
	if (layout->has_difference)
		fprintf(file, " %10s", "difference");
	fprintf(file, " %8s%s\n", "percent", layout->repeated ? "      p" : "");
}

/* Prints a table, unless all of it is 0, the total included if there is one. */
static void print_table(const struct compare *compare,
			const struct summary *const sides[2], const char *what,
			enum metric metric, bool has_total)
{
	struct pair_layout layout = choose_layout(compare,
						  sides[0]->nr_runs > 1 &&
						  sides[1]->nr_runs > 1);
	struct pair *pairs = alloc_pairs(sides);
	struct pair total = total_of(sides, metric);
	size_t nr = 0, i;

	if (has_metric(sides, metric, false))
		nr = fill_pairs(pairs, sides, metric);
	if (nr || (has_total && (total.values[0].max > 0 ||
				 total.values[1].max > 0))) {
		fprintf(compare->file, "\n%s%s\n", metric_infos[metric].name,
			what);
		print_header(compare->file, &layout);
		for (i = 0; i < nr && i < compare->nr_rows; i++)
			print_pair(compare, &layout, &pairs[i], metric);
		if (i < nr)
			fprintf(compare->file, "%zu more (see -n)\n", nr - i);
		if (has_total)
			print_pair(compare, &layout, &total, metric);
	}
	free(pairs);
}

static void print_losses(FILE *file, char side, const struct losses *losses)
{
	if (losses->dropped || losses->lost_records || losses->lost_faults)
		fprintf(file, "%c: dropped: %llu processes, lost: %llu records, %llu faults\n",
			side, (unsigned long long)losses->dropped,
			(unsigned long long)losses->lost_records,
			(unsigned long long)losses->lost_faults);
	if (losses->unknown_stalls)
		fprintf(file, "%c: stalled time unknown: %llu faults\n", side,
			(unsigned long long)losses->unknown_stalls);
}

/* Prints the tables of two sides. Exits if there is no memory. */
void compare_print(const struct compare *compare, const struct side sides[2])
{
	const struct summary *const names[] = { &sides[0].names, &sides[1].names };
	const struct summary *const functions[] = {
		&sides[0].functions, &sides[1].functions,
	};
	enum metric i;

	fprintf(compare->file, "A: %s\nB: %s\n", sides[0].title, sides[1].title);
	for (i = 0; i < NR_METRICS; i++)
		if (has_metric(names, i, true))
			print_table(compare, names, "", i, true);
	if (names[0]->located && names[1]->located) {
		print_table(compare, functions, " of functions", METRIC_MINOR,
			    false);
		print_table(compare, functions, " of functions", METRIC_MAJOR,
			    false);
		print_table(compare, functions, " of functions", METRIC_STALL,
			    false);
	}
	fputc('\n', compare->file);
	if (names[0]->nr_runs > 1 && names[1]->nr_runs > 1)
		fputs("~: such a difference may be chance (p of Welch's t-test is at least 0.05)\n",
		      compare->file);
	print_losses(compare->file, 'A', &sides[0].losses);
	print_losses(compare->file, 'B', &sides[1].losses);
}

/* ---- JSON and csv ---- */

static void emit_pair(struct emitter *emitter, const char *row,
		      const struct pair *pair, enum metric metric)
{
	double from = pair->values[0].mean;

	emit_row(emitter, NULL);
	emit_text(emitter, "row", row);
	if (!strcmp(row, "name"))
		emit_text(emitter, "comm", pair->label);
	else
		emit_empty(emitter, "comm");
	if (!strcmp(row, "function"))
		emit_text(emitter, "function", pair->label);
	else
		emit_empty(emitter, "function");
	emit_text(emitter, "metric", metric_infos[metric].key);
	emit_stats(emitter, "a", &pair->values[0]);
	emit_stats(emitter, "b", &pair->values[1]);
	emit_number(emitter, "difference", difference(pair));
	emit_number(emitter, "percent",
		    from > 0 ? 100 * difference(pair) / from : NAN);
	emit_number(emitter, "p", welch_p(&pair->values[0], &pair->values[1]));
	emit_row_end(emitter);
}

static void emit_pairs(struct emitter *emitter,
		       const struct summary *const sides[2], const char *row,
		       enum metric metric)
{
	struct pair *pairs = alloc_pairs(sides);
	size_t nr = fill_pairs(pairs, sides, metric), i;

	for (i = 0; i < nr; i++)
		emit_pair(emitter, row, &pairs[i], metric);
	free(pairs);
}

static void emit_side(struct emitter *emitter, const char *key,
		      const struct side *side)
{
	char *path;

	/* In csv, there are rows only. */
	if (emitter->csv)
		return;
	emit_object(emitter, key);
	if (side->words) {
		emit_command(emitter, "command", side->words);
	} else {
		path = text_escape(side->recording, "");
		emit_text(emitter, "recording", path);
		free(path);
	}
	emit_integer(emitter, "runs", side->names.nr_runs);
	emit_losses(emitter, &side->losses);
	emit_object_end(emitter);
}

/* Emits all rows of two sides. Exits if there is no memory. */
void compare_emit(struct emitter *emitter, const struct side sides[2])
{
	const struct summary *const names[] = { &sides[0].names, &sides[1].names };
	const struct summary *const functions[] = {
		&sides[0].functions, &sides[1].functions,
	};
	struct pair total;
	enum metric i;

	emit_side(emitter, "a", &sides[0]);
	emit_side(emitter, "b", &sides[1]);
	emit_array(emitter, "rows");
	for (i = 0; i < NR_METRICS; i++) {
		if (has_metric(names, i, false))
			emit_pairs(emitter, names, "name", i);
		total = total_of(names, i);
		if (has_metric(names, i, true))
			emit_pair(emitter, "total", &total, i);
	}
	if (names[0]->located && names[1]->located) {
		emit_pairs(emitter, functions, "function", METRIC_MINOR);
		emit_pairs(emitter, functions, "function", METRIC_MAJOR);
		emit_pairs(emitter, functions, "function", METRIC_STALL);
	}
	emit_array_end(emitter);
}
