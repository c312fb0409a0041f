/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sparklines: a rate over the last minute, in a few characters.
 */
#ifndef MP3_TOOLS_SPARK_H
#define MP3_TOOLS_SPARK_H

#include <stdbool.h>

#include <linux/types.h>

/* What a sparkline shows, in seconds. */
#define SPARK_SECONDS 60

/* Most bytes of a sparkline of so many characters, its NUL included. */
#define SPARK_SIZE(width) (3 * (width) + 1)

/**
 * struct spark - the rate in each of the last seconds
 * @rates: that of second s is element s % SPARK_SECONDS; starts with zeros
 */
struct spark {
	float rates[SPARK_SECONDS];
};

void spark_add(struct spark *spark, __u64 from_ns, __u64 to_ns, double rate);
void spark_text(const struct spark *spark, __u64 now_ns, unsigned int width,
		bool unicode, char *text);

#endif /* MP3_TOOLS_SPARK_H */
