// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "spark.h"
#include "util.h"

/* From no rate to the largest one */
static const char *const blocks[] = {
	" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█",
};

static const char *const letters[] = {
	" ", ".", ":", "-", "=", "+", "*", "%", "#",
};

#define NR_LEVELS (ARRAY_SIZE(blocks) - 1)

/**
 * spark_add() - note a rate
 * @spark:   it contains the rates until @from_ns
 * @from_ns: start of the time that had the rate
 * @to_ns:   end of this time
 * @rate:    the rate
 *
 * A second with several rates has the largest of them.
 */
void spark_add(struct spark *spark, __u64 from_ns, __u64 to_ns, double rate)
{
	__u64 from = from_ns / NSEC_PER_SEC, to = to_ns / NSEC_PER_SEC;
	float *last = &spark->rates[to % SPARK_SECONDS];

	if (from >= to) {
		if (*last < (float)rate)
			*last = (float)rate;
		return;
	}
	if (to - from > SPARK_SECONDS)
		from = to - SPARK_SECONDS;
	while (from < to)
		spark->rates[++from % SPARK_SECONDS] = (float)rate;
}

/**
 * spark_text() - draw the last minute
 * @spark:   the rates until @now_ns
 * @now_ns:  end of the minute
 * @width:   characters, a divisor of SPARK_SECONDS: each shows the largest rate of
 *	     some seconds, in relation to the largest of the minute
 * @unicode: draw with blocks, not with ASCII
 * @text:    filled: SPARK_SIZE(@width) bytes
 */
void spark_text(const struct spark *spark, __u64 now_ns, unsigned int width,
		bool unicode, char *text)
{
	const char *const *levels = unicode ? blocks : letters;
	__u64 now = now_ns / NSEC_PER_SEC, step = SPARK_SECONDS / width;
	__u64 first = now + 1 > SPARK_SECONDS ? now + 1 - SPARK_SECONDS : 0;
	float heights[SPARK_SECONDS] = {}, largest = 0, rate;
	__u64 second, group;
	unsigned int i;

	for (second = first; second <= now; second++) {
		/* The same seconds stay together while the time passes. */
		group = second / step + width - 1;
		if (group < now / step)
			continue;
		group -= now / step;
		rate = spark->rates[second % SPARK_SECONDS];
		if (heights[group] < rate)
			heights[group] = rate;
		if (largest < rate)
			largest = rate;
	}
	for (i = 0; i < width; i++) {
		/* Even the smallest rate is visible. */
		size_t level = heights[i] > 0 ? 1 + (size_t)
			(heights[i] / largest * (NR_LEVELS - 1)) : 0;

		text = stpcpy(text, levels[level]);
	}
}
