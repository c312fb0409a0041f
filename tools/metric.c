// SPDX-License-Identifier: GPL-2.0
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metric.h"
#include "util.h"

const struct metric_info metric_infos[NR_METRICS] = {
	[METRIC_MINOR] = { "minor", "min_flt", "minor faults" },
	[METRIC_MAJOR] = { "major", "maj_flt", "major faults" },
	[METRIC_CPU] = { "cpu", "cpu_ns", "CPU time" },
	[METRIC_TIME] = { "time", "elapsed_ns", "elapsed time" },
	[METRIC_STALL] = { "stall", "stall_ns", "stalled time" },
	[METRIC_RSS] = { "rss", "rss_bytes", "peak RSS" },
};

/**
 * struct unit - a unit of some metrics
 * @name:  as it is printed and parsed
 * @scale: nanoseconds or bytes
 */
struct unit {
	const char *name;
	double scale;
};

/* From the largest to the smallest one */
static const struct unit times[] = {
	{ "s", 1e9 }, { "ms", 1e6 }, { "us", 1e3 }, { "ns", 1 },
};

static const struct unit sizes[] = {
	{ "T", 1ULL << 40 }, { "G", 1ULL << 30 }, { "M", 1ULL << 20 },
	{ "K", 1ULL << 10 }, { "B", 1 },
};

/* Returns the units of a metric, or NULL, and sets @nr to how many there are. */
static const struct unit *units_of(enum metric metric, size_t *nr)
{
	*nr = 0;
	if (metric == METRIC_MINOR || metric == METRIC_MAJOR)
		return NULL;
	*nr = metric == METRIC_RSS ? ARRAY_SIZE(sizes) : ARRAY_SIZE(times);

	return metric == METRIC_RSS ? sizes : times;
}

/* Fills @values with those of a process, or of a sum; the elapsed time is 0. */
void metric_of_process(double values[NR_METRICS], const struct process *process)
{
	values[METRIC_MINOR] = (double)process->min_flt;
	values[METRIC_MAJOR] = (double)process->maj_flt;
	values[METRIC_CPU] = (double)process->cpu_ns;
	values[METRIC_TIME] = 0;
	values[METRIC_STALL] = (double)process->stall_ns;
	values[METRIC_RSS] = (double)process->peak_rss_bytes;
}

/**
 * metric_text() - format a value
 * @text:   filled
 * @metric: of the value
 * @value:  a value, a mean, a difference or a deviation
 * @like:   the unit is the one that suits this value
 */
void metric_text(char text[METRIC_TEXT], enum metric metric, double value,
		 double like)
{
	const struct unit *unit;
	double shown, size;
	size_t nr;

	unit = units_of(metric, &nr);
	if (!unit) {
		snprintf(text, METRIC_TEXT, "%.*f", value == floor(value) ? 0 : 1,
			 value);
		return;
	}
	while (nr-- > 1 && fabs(like) < unit->scale)
		unit++;
	shown = value / unit->scale;
	size = fabs(like) / unit->scale;
	snprintf(text, METRIC_TEXT, "%.*f%s%s",
		 unit->scale == 1 || size >= 100 ? 0 : size >= 10 ? 1 : 2,
		 shown, metric == METRIC_RSS ? "" : " ", unit->name);
}

/**
 * metric_parse() - parse a value, as in 1e6, 2s or 1.5G
 * @metric: of the value
 * @text:   all of it has to be the value
 * @value:  set, if it is one
 *
 * A time without a unit is in seconds, a size without a unit in bytes.
 *
 * Return: whether @text is a value that is not negative.
 */
bool metric_parse(enum metric metric, const char *text, double *value)
{
	const struct unit *units;
	double number;
	size_t nr, i;
	char *end;

	number = scan_decimal(text, &end);
	if (end == text || !isfinite(number))
		return false;
	units = units_of(metric, &nr);
	if (units && !*end)
		number *= metric == METRIC_RSS ? 1 : 1e9;
	for (i = 0; i < nr && *end; i++) {
		if (strcmp(end, units[i].name))
			continue;
		number *= units[i].scale;
		end += strlen(end);
	}
	*value = number;

	return !*end;
}
