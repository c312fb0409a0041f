/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mean and deviation of repeated measurements, and whether two of them differ.
 */
#ifndef MP3_TOOLS_STATS_H
#define MP3_TOOLS_STATS_H

#include <stddef.h>

/**
 * struct stats - values that were added one by one
 * @nr:	  how many
 * @mean: their mean
 * @m2:	  sum of the squares of their distances from the mean
 * @min:  the smallest one
 * @max:  the largest one
 *
 * All zero: without values.
 */
struct stats {
	size_t nr;
	double mean;
	double m2;
	double min;
	double max;
};

void stats_add(struct stats *stats, double value);
double stats_sigma(const struct stats *stats);
double student_p(double t, double degrees);
double welch_p(const struct stats *a, const struct stats *b);

#endif /* MP3_TOOLS_STATS_H */
