// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "latency.h"

/* Returns the exponent of the largest power of two that is at most @ns, or 0. */
static unsigned int exponent(__u64 ns)
{
	return ns ? 63 - (unsigned int)__builtin_clzll(ns) : 0;
}

/*
 * Returns the bucket of a time. Up to 2^LATENCY_BITS, each nanosecond has a bucket
 * of its own.
 */
static unsigned int bucket_of(__u64 ns)
{
	unsigned int shift;

	if (ns < 1 << LATENCY_BITS)
		return (unsigned int)ns;
	shift = exponent(ns) - LATENCY_BITS;

	/* The first bit of the quotient is always set: it adds one row. */
	return (shift << LATENCY_BITS) + (unsigned int)(ns >> shift);
}

/* Returns the shortest time of a bucket, and sets @width_ns to its width. */
static __u64 bucket_start(unsigned int bucket, __u64 *width_ns)
{
	unsigned int shift = bucket >> LATENCY_BITS;

	*width_ns = 1;
	if (!shift)
		return bucket;
	shift--;
	*width_ns <<= shift;

	return (__u64)(bucket - (shift << LATENCY_BITS)) << shift;
}

/* Adds a time. */
void latency_add(struct latency *latency, __u64 ns)
{
	latency->buckets[bucket_of(ns)]++;
	latency->nr++;
	latency->sum_ns += ns;
	if (latency->max_ns < ns)
		latency->max_ns = ns;
}

/**
 * latency_quantile() - compute a quantile
 * @latency:  the histogram
 * @quantile: 0..1
 *
 * Return: the shortest time such that this part of all times is not longer, to
 * within 1 %; 0 if there are none.
 */
__u64 latency_quantile(const struct latency *latency, double quantile)
{
	double exact = quantile * (double)latency->nr;
	__u64 rank = (__u64)exact, sum = 0, start_ns, width_ns, ns;
	unsigned int i;

	if ((double)rank < exact)
		rank++;
	for (i = 0; i < LATENCY_BUCKETS; i++) {
		sum += latency->buckets[i];
		if (!sum || sum < rank)
			continue;
		start_ns = bucket_start(i, &width_ns);
		ns = start_ns + width_ns / 2;
		return ns < latency->max_ns ? ns : latency->max_ns;
	}

	return 0;
}

/*
 * Sets @powers[i] to how many times are at least 2^i ns and below 2^(i + 1) ns;
 * those of 0 ns are in the first.
 */
void latency_powers(const struct latency *latency, __u64 powers[64])
{
	__u64 width_ns;
	unsigned int i;

	memset(powers, 0, 64 * sizeof(powers[0]));
	for (i = 0; i < LATENCY_BUCKETS; i++)
		powers[exponent(bucket_start(i, &width_ns))] +=
			latency->buckets[i];
}
