// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <string.h>

#include "limit.h"

/**
 * limits_parse() - parse the argument of --limit, METRIC=VALUE
 * @limits: the limit is stored here
 * @text:   as the user gave it
 *
 * Exits with status 2 if @text is something else, or if the metric has a limit.
 */
void limits_parse(struct limits *limits, const char *text)
{
	const char *value = strchr(text, '=');
	enum metric i;

	for (i = 0; value && i < NR_METRICS; i++) {
		const char *option = metric_infos[i].option;

		if (strlen(option) != (size_t)(value - text) ||
		    strncmp(text, option, strlen(option)) ||
		    !metric_parse(i, value + 1, &limits->max[i]))
			continue;
		if (limits->given[i])
			errx(2, "--limit %s is given more than once", option);
		limits->given[i] = true;
		return;
	}
	errx(2, "--limit: '%s' is not a limit like major=100, cpu=1.5s or rss=1G (see --help)",
	     text);
}

/* Returns whether there is a limit. */
bool limits_given(const struct limits *limits)
{
	size_t i = 0;

	while (i < NR_METRICS && !limits->given[i])
		i++;

	return i < NR_METRICS;
}

static bool is_exceeded(const struct limits *limits, const double *values,
			enum metric metric)
{
	return limits->given[metric] && values[metric] > limits->max[metric];
}

/* Prints a line for each limit that is exceeded. Returns whether there is one. */
bool limits_check(const struct limits *limits, const double values[NR_METRICS])
{
	char value[METRIC_TEXT], max[METRIC_TEXT];
	bool exceeded = false;
	enum metric i;

	for (i = 0; i < NR_METRICS; i++) {
		if (!is_exceeded(limits, values, i))
			continue;
		exceeded = true;
		metric_text(value, i, values[i], values[i]);
		metric_text(max, i, limits->max[i], limits->max[i]);
		/* Rounded to the same text: in nanoseconds or bytes */
		if (!strcmp(value, max)) {
			snprintf(value, sizeof(value), "%.0f", values[i]);
			snprintf(max, sizeof(max), "%.0f", limits->max[i]);
		}
		warnx("%s: %s, limit %s", metric_infos[i].name, value, max);
	}

	return exceeded;
}

/* Emits the limits that are exceeded. */
void limits_emit(struct emitter *emitter, const struct limits *limits,
		 const double values[NR_METRICS])
{
	enum metric i;

	emit_array(emitter, "exceeded");
	for (i = 0; i < NR_METRICS; i++)
		if (is_exceeded(limits, values, i))
			emit_text(emitter, NULL, metric_infos[i].key);
	emit_array_end(emitter);
}
