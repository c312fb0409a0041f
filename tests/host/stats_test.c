// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl run and diff without the module: the statistics of repeats against published
 * examples and closed forms, the values of --limit, and how values are printed.
 */
#include <float.h>
#include <math.h>

#include "../../tools/csv.c"
#include "../../tools/emit.c"
#include "../../tools/json.c"
#include "../../tools/limit.c"
#include "../../tools/metric.c"
#include "../../tools/name.c"
#include "../../tools/stats.c"
#include "../../tools/util.c"
#include "../guest/test.h"

static struct stats stats_of(const double *values, size_t nr)
{
	struct stats stats = {};
	size_t i;

	for (i = 0; i < nr; i++)
		stats_add(&stats, values[i]);

	return stats;
}

#define STATS(...) stats_of((const double[]){ __VA_ARGS__ }, \
		sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))

/* Returns whether @value is @expected to some decimal digits. */
static bool is_near(double value, double expected, int digits)
{
	if (fabs(value - expected) <= pow(10, -digits) * fabs(expected))
		return true;
	diag("got %.17g, want %.17g", value, expected);
	return false;
}

/* ---- Statistics ---- */

static void test_moments(void)
{
	struct stats one = STATS(7), five = STATS(2, 4, 4, 5, 10), large;

	ok(five.nr == 5 && five.mean == 5 && five.min == 2 && five.max == 10 &&
	   is_near(stats_sigma(&five), 3, 15),
	   "mean, deviation of the sample, minimum and maximum of five values are right");
	ok(one.mean == 7 && !stats_sigma(&one) && one.min == 7 && one.max == 7,
	   "one value has no deviation");
	large = STATS(1e15 + 1, 1e15 + 2, 1e15 + 3);
	ok(stats_sigma(&large) == 1 && large.mean == 1e15 + 2,
	   "the deviation of large values that are close together is exact");
	five = STATS(-3, -1);
	ok(five.min == -3 && five.max == -1,
	   "minimum and maximum of negative values are right");
}

static void test_student(void)
{
	bool good = true;
	double t, x;

	for (t = 0.001; t < 1e5 && good; t *= 1.7) {
		x = t / sqrt(2 + t * t);
		good = is_near(student_p(t, 1), 2 / M_PI * atan(1 / t), 13) &&
		       fabs(student_p(t, 2) - (1 - x)) < 4 * DBL_EPSILON &&
		       student_p(-t, 3.3) == student_p(t, 3.3);
		x = t / sqrt(4 + t * t);
		good = good && fabs(student_p(t, 4) -
				    (1 - x * (1 + 2 / (4 + t * t)))) <
			       4 * DBL_EPSILON;
	}
	ok(good, "Student's p is that of the closed forms for 1, 2 and 4 degrees of freedom");
	/* From tables of the distribution, and of the normal distribution */
	ok(is_near(student_p(2.2281388520, 10), 0.05, 9) &&
	   is_near(student_p(3.1692726726, 10), 0.01, 9) &&
	   is_near(student_p(2.0422724563, 30), 0.05, 9) &&
	   is_near(student_p(1.9599639845, 1e6), 0.05, 5),
	   "Student's p is that of tables");
	ok(student_p(0, 5) == 1 && student_p(1e300, 5) == 0 &&
	   student_p(50, 17.7) > 0 && student_p(50, 17.7) < pow(10, -19),
	   "Student's p of no difference is 1, and of a huge one almost 0");
}

static void test_welch(void)
{
	/* R: t.test(extra ~ group, data = sleep) prints p-value = 0.07939. */
	struct stats a = STATS(0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0,
			       2.0);
	struct stats b = STATS(1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6,
			       3.4);
	double p = welch_p(&a, &b);

	ok(p > 0.079385 && p < 0.079395 && welch_p(&b, &a) == p,
	   "Welch's test of Student's sleep data has the p value that R prints");
	a = STATS(27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6,
		  23.1, 19.6, 19.0, 21.7, 21.4);
	b = STATS(27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2,
		  21.9, 22.1, 22.9, 20.5, 24.4);
	p = welch_p(&a, &b);
	ok(p > 0.0205 && p < 0.0215,
	   "Welch's test has the published p value for equal sizes and variances");
	a = STATS(5, 5, 5);
	b = STATS(5, 5);
	ok(welch_p(&a, &b) == 1, "equal values that do not vary have p 1");
	b = STATS(6, 6);
	ok(welch_p(&a, &b) == 0, "different values that do not vary have p 0");
	b = STATS(5, 7);
	ok(is_near(welch_p(&a, &b), 0.5, 12),
	   "a side that does not vary is compared with one that does");
	b = STATS(6);
	ok(isnan(welch_p(&a, &b)), "a single value has no p value");
}

/* ---- Limits, and how values are printed ---- */

/* Parses in a child. Returns its exit status: 0 if all @limits are accepted. */
static int parse_status(const char *limit, const char *other)
{
	struct limits limits = {};
	int status;
	pid_t pid = fork();

	if (!pid) {
		close(STDERR_FILENO);
		limits_parse(&limits, limit);
		if (other)
			limits_parse(&limits, other);
		_exit(0);
	}
	waitpid(pid, &status, 0);

	return WEXITSTATUS(status);
}

static bool is_limit(const char *text, enum metric metric, double expected)
{
	struct limits limits = {};

	limits_parse(&limits, text);
	if (limits.given[metric] && limits.max[metric] == expected)
		return true;
	diag("%s: %g", text, limits.max[metric]);
	return false;
}

static void test_limits(void)
{
	static const char *const refused[] = {
		"", "major", "major=", "=100", "majors=1", "maj=1", "major=-1",
		"major= 1", "major=1x", "major=1s", "major=1K", "major=inf",
		"major=nan", "major=0x10", "major=1e999", "stall=1h", "stall=2S",
		"stall=s", "rss=1GB", "rss=1g", "rss=G", "rss=1s", "faults=1",
	};
	struct limits limits = {}, none = {};
	double values[NR_METRICS] = {};
	bool good = true;
	size_t i;

	ok(is_limit("major=100", METRIC_MAJOR, 100) &&
	   is_limit("minor=1e6", METRIC_MINOR, 1e6) &&
	   is_limit("major=0", METRIC_MAJOR, 0),
	   "--limit takes numbers of faults, also with an exponent");
	ok(is_limit("stall=2s", METRIC_STALL, 2e9) &&
	   is_limit("cpu=1.5", METRIC_CPU, 1.5e9) &&
	   is_limit("time=500ms", METRIC_TIME, 5e8) &&
	   is_limit("stall=20us", METRIC_STALL, 20000) &&
	   is_limit("stall=7ns", METRIC_STALL, 7),
	   "--limit takes times in s, ms, us and ns, and without a unit in seconds");
	ok(is_limit("rss=1G", METRIC_RSS, 1 << 30) &&
	   is_limit("rss=1.5M", METRIC_RSS, 3 << 19) &&
	   is_limit("rss=4K", METRIC_RSS, 4096) &&
	   is_limit("rss=1000", METRIC_RSS, 1000) &&
	   is_limit("rss=1000B", METRIC_RSS, 1000),
	   "--limit takes sizes in powers of 1024, and without a unit in bytes");
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		if (parse_status(refused[i], NULL) == 2)
			continue;
		diag("accepted: '%s'", refused[i]);
		good = false;
	}
	ok(good, "--limit refuses what is no limit with status 2");
	ok(parse_status("major=1", "minor=1") == 0 &&
	   parse_status("major=1", "major=2") == 2,
	   "--limit refuses a second limit of one metric with status 2");

	limits_parse(&limits, "major=100");
	values[METRIC_MAJOR] = 100;
	close(STDERR_FILENO);
	good = !limits_check(&limits, values) && limits_given(&limits);
	values[METRIC_MAJOR] = 101;
	ok(good && limits_check(&limits, values) && !limits_given(&none) &&
	   !limits_check(&none, values),
	   "a value that equals its limit does not exceed it, and a larger one does");
}

static bool prints(enum metric metric, double value, double like,
		   const char *expected)
{
	char text[METRIC_TEXT];

	metric_text(text, metric, value, like);
	if (!strcmp(text, expected))
		return true;
	diag("got '%s', want '%s'", text, expected);
	return false;
}

static void test_texts(void)
{
	ok(prints(METRIC_MINOR, 1234, 0, "1234") &&
	   prints(METRIC_MINOR, 1234.25, 0, "1234.2") &&
	   prints(METRIC_MAJOR, 0, 0, "0"),
	   "numbers of faults are printed whole, and means with a digit");
	ok(prints(METRIC_CPU, 1.5e9, 1.5e9, "1.50 s") &&
	   prints(METRIC_CPU, 2e6, 1.5e9, "0.00 s") &&
	   prints(METRIC_CPU, 123.4e6, 123.4e6, "123 ms") &&
	   prints(METRIC_STALL, 12.34e3, 12.34e3, "12.3 us") &&
	   prints(METRIC_STALL, 0, 0, "0 ns"),
	   "times are printed to three digits, in the unit that suits");
	ok(prints(METRIC_RSS, 1536, 1536, "1.50K") &&
	   prints(METRIC_RSS, 5e9, 5e9, "4.66G") &&
	   prints(METRIC_RSS, 0, 0, "0B"),
	   "sizes are printed to three digits, in the unit that suits");
}

int main(void)
{
	test_moments();
	test_student();
	test_welch();
	test_limits();
	test_texts();

	return done();
}
