/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The conditions of mp3ctl alert, such as major=100/s:2s: whether a rate has
 * held for some time.
 */
#ifndef MP3_TOOLS_CONDITION_H
#define MP3_TOOLS_CONDITION_H

#include <stddef.h>

#include "../mp3_uapi.h"

/* Nanoseconds between two alerts of a condition. */
#define ALERT_PAUSE_NS (60 * NSEC_PER_SEC)

/**
 * struct metric - what a condition can be about
 * @name:   as the user gives it
 * @unit:   of its rate, as the user gives it
 * @scale:  what is counted per second at a rate of one unit
 * @offset: of the count in a record
 */
struct metric {
	const char *name;
	const char *unit;
	double scale;
	size_t offset;
};

/**
 * struct condition - a condition, and how long it has held
 * @text:     as the user gave it
 * @metric:   what it is about
 * @rate:     counts per second that are required
 * @seconds:  how long the rate has to hold
 * @surplus:  counts in excess of the rate since @since_ns
 * @count:    counts since @since_ns
 * @since_ns: the tick since which the rate holds
 * @last_ns:  the tick of the newest record; 0 if there was none
 * @quiet_ns: no alert before this time
 *
 * Times are CLOCK_MONOTONIC of the initial time namespace.
 */
struct condition {
	const char *text;
	const struct metric *metric;
	double rate;
	double seconds;
	double surplus;
	double count;
	__u64 since_ns;
	__u64 last_ns;
	__u64 quiet_ns;
};

void condition_parse(struct condition *condition, const char *text);
void condition_count(struct condition *condition,
		     const struct mp3_record *record);
double condition_alert(struct condition *condition, __u64 now_ns,
		       __u64 interval_ns);
double condition_rate(const struct condition *condition, double seconds);

#endif /* MP3_TOOLS_CONDITION_H */
