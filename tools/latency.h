/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A histogram of times, from which quantiles are computed to within 1 %.
 */
#ifndef MP3_TOOLS_LATENCY_H
#define MP3_TOOLS_LATENCY_H

#include <linux/types.h>

/* Buckets of equal width between two powers of two, and log2 of their number */
#define LATENCY_BITS	6
#define LATENCY_BUCKETS	((65 - LATENCY_BITS) << LATENCY_BITS)

/**
 * struct latency - a histogram of times
 * @buckets: how many times are in each bucket
 * @nr:	     how many times
 * @sum_ns:  their sum
 * @max_ns:  the longest one
 */
struct latency {
	__u64 buckets[LATENCY_BUCKETS];
	__u64 nr;
	__u64 sum_ns;
	__u64 max_ns;
};

void latency_add(struct latency *latency, __u64 ns);
__u64 latency_quantile(const struct latency *latency, double quantile);
void latency_powers(const struct latency *latency, __u64 powers[64]);

#endif /* MP3_TOOLS_LATENCY_H */
