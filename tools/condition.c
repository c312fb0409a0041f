// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdbool.h>
#include <string.h>

#include "condition.h"
#include "util.h"

static const struct metric metrics[] = {
	{ "major", "/s", 1, offsetof(struct mp3_record, maj_flt) },
	{ "minor", "/s", 1, offsetof(struct mp3_record, min_flt) },
	/* Percent of one CPU, counted in nanoseconds. */
	{ "cpu", "%", 1e7, offsetof(struct mp3_record, cpu_ns) },
};

/* Returns what follows @prefix in a text that starts with it, or NULL. */
static const char *skip_prefix(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);

	return text && !strncmp(text, prefix, length) ? text + length : NULL;
}

/* Fills a condition about a metric. Returns false if @text is none. */
static bool parse(struct condition *condition, const struct metric *metric,
		  const char *text)
{
	const char *at = skip_prefix(skip_prefix(text, metric->name), "=");
	char *end;

	if (!at)
		return false;
	*condition = (struct condition){ .text = text, .metric = metric };
	condition->rate = scan_decimal(at, &end);
	at = skip_prefix(skip_prefix(end, metric->unit), ":");
	if (!at)
		return false;
	condition->seconds = scan_decimal(at, &end);

	return !strcmp(end, "s") &&
	       condition->rate > 0 && condition->rate <= 1e12 &&
	       condition->seconds > 0 && condition->seconds <= 1e6;
}

/**
 * condition_parse() - parse METRIC=RATE:SECONDSs, as in major=100/s:2s
 * @condition: filled
 * @text:      as the user gave it
 *
 * Exits with status 2 if @text is something else.
 */
void condition_parse(struct condition *condition, const char *text)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(metrics) && !parse(condition, &metrics[i], text))
		i++;
	if (i == ARRAY_SIZE(metrics))
		errx(2, "'%s' is not a condition like major=100/s:2s or cpu=90%%:10s (see --help)",
		     text);
	condition->rate *= condition->metric->scale;
}

/*
 * Closes the newest tick, whose records have all been counted. A rate holds as
 * long as the counts since its start keep up with it. Faults come in bursts, so
 * many intervals have none: the excess of a burst makes up for a pause, but not
 * for more than a second, or than half of the time that the rate has to hold if
 * that is less.
 */
static void close_tick(struct condition *condition)
{
	double pause = condition->seconds / 2, most;

	most = condition->rate * (pause < 1 ? pause : 1);
	if (condition->surplus > most)
		condition->surplus = most;
	if (condition->surplus < 0) {
		condition->surplus = 0;
		condition->count = 0;
		condition->since_ns = condition->last_ns;
	}
}

/**
 * condition_count() - count a record
 * @condition: condition
 * @record:    the next record; those of one tick have the same time
 *
 * The first tick only starts the clock: how long its counts took is unknown.
 */
void condition_count(struct condition *condition,
		     const struct mp3_record *record)
{
	__u64 time_ns = record->time_ns, count;

	if (!condition->last_ns) {
		condition->last_ns = time_ns;
		condition->since_ns = time_ns;
	}
	if (time_ns == condition->since_ns)
		return;
	if (time_ns != condition->last_ns) {
		close_tick(condition);
		condition->surplus -= condition->rate *
			(double)(time_ns - condition->last_ns) / 1e9;
		condition->last_ns = time_ns;
	}
	memcpy(&count, (const char *)record + condition->metric->offset,
	       sizeof(count));
	condition->count += (double)count;
	condition->surplus += (double)count;
}

/**
 * condition_alert() - check whether a condition calls for an alert
 * @condition:	 condition, with all records counted that are published
 * @now_ns:	 time before those records were read
 * @interval_ns: between two ticks
 *
 * The rate has to hold now: at the end of a backlog that is read late, it may
 * have ended long ago. After an alert there is none for ALERT_PAUSE_NS.
 *
 * Return: how many seconds the rate has held, or 0: no alert.
 */
double condition_alert(struct condition *condition, __u64 now_ns,
		       __u64 interval_ns)
{
	double seconds =
		(double)(condition->last_ns - condition->since_ns) / 1e9;

	if (seconds < condition->seconds || condition->surplus < 0 ||
	    now_ns < condition->quiet_ns ||
	    now_ns > condition->last_ns + interval_ns + NSEC_PER_SEC)
		return 0;
	condition->quiet_ns = now_ns + ALERT_PAUSE_NS;

	return seconds;
}

/* Returns the average rate of some seconds, in the unit of its metric. */
double condition_rate(const struct condition *condition, double seconds)
{
	return condition->count / seconds / condition->metric->scale;
}
