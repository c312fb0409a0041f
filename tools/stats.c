// SPDX-License-Identifier: GPL-2.0
#include <float.h>
#include <math.h>

#include "stats.h"

/* Terms of the continued fraction; some dozens suffice */
#define MAX_TERMS 100000

/* Adds a value. */
void stats_add(struct stats *stats, double value)
{
	double distance = value - stats->mean;

	if (!stats->nr || value < stats->min)
		stats->min = value;
	if (!stats->nr || value > stats->max)
		stats->max = value;
	stats->nr++;
	/* Welford's method: large values that are close together stay exact. */
	stats->mean += distance / (double)stats->nr;
	stats->m2 += distance * (value - stats->mean);
}

/* Returns the standard deviation of the sample, or 0 if it has one value. */
double stats_sigma(const struct stats *stats)
{
	return stats->nr > 1 ? sqrt(stats->m2 / (double)(stats->nr - 1)) : 0;
}

static double not_zero(double value)
{
	return value == 0 ? DBL_MIN : value;
}

/*
 * Returns the regularized incomplete beta function I_x(a, b), given @y = 1 - @x,
 * from the continued fraction in https://dlmf.nist.gov/8.17#v. It converges fast if
 * @x < (@a + 1) / (@a + @b + 2).
 */
static double beta_fraction(double a, double b, double x, double y)
{
	double log_front, c = 1, d = 0, fraction = 1, term, m;
	unsigned int i;

	log_front = lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) +
		    b * log(y);
	/* Lentz's method */
	for (i = 1; i < MAX_TERMS; i++) {
		m = (double)(i / 2);
		term = i % 2 ? -(a + m) * (a + b + m) * x /
			       ((a + 2 * m) * (a + 2 * m + 1)) :
			       m * (b - m) * x /
			       ((a + 2 * m - 1) * (a + 2 * m));
		d = 1 / not_zero(1 + term * d);
		c = not_zero(1 + term / c);
		fraction *= c * d;
		if (fabs(c * d - 1) < DBL_EPSILON)
			break;
	}

	return exp(log_front) / (a * fraction);
}

/**
 * student_p() - the probability that chance makes a difference this large
 * @t:	     of Student's t-distribution
 * @degrees: of freedom, larger than 0
 *
 * Return: the two-sided p value.
 */
double student_p(double t, double degrees)
{
	double a = degrees / 2, b = 0.5;
	double x = degrees / (degrees + t * t), y = t * t / (degrees + t * t);

	/* In this order: of an infinite square, y is not a number. */
	if (!(x > 0))
		return 0;
	if (!(y > 0))
		return 1;

	return x < (a + 1) / (a + b + 2) ? beta_fraction(a, b, x, y) :
					   1 - beta_fraction(b, a, y, x);
}

/**
 * welch_p() - the probability that chance makes two means differ this much
 * @a: values
 * @b: other values
 *
 * Welch's t-test: the two deviations need not be equal.
 *
 * Return: the two-sided p value; NAN if one of them has less than two values. If
 * neither of them varies, 0 if they differ, otherwise 1.
 */
double welch_p(const struct stats *a, const struct stats *b)
{
	double nr_a = (double)a->nr, nr_b = (double)b->nr;
	double error_a, error_b, sum;

	if (a->nr < 2 || b->nr < 2)
		return NAN;
	error_a = a->m2 / (nr_a - 1) / nr_a;
	error_b = b->m2 / (nr_b - 1) / nr_b;
	sum = error_a + error_b;
	if (!(sum > 0))
		return a->mean == b->mean;

	return student_p((a->mean - b->mean) / sqrt(sum), sum * sum /
			 (error_a * error_a / (nr_a - 1) +
			  error_b * error_b / (nr_b - 1)));
}
