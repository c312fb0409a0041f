// SPDX-License-Identifier: GPL-2.0
/*
 * Prints the frequency of this machine's TSC in kHz.
 *
 * QEMU's TCG passes the host's TSC through to the guest. Linux would calibrate it
 * against emulated timers; on a busy host the result, and with it the guest's
 * clock, can be wrong by a factor.
 */
#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

struct instant {
	unsigned long long tsc;
	unsigned long long ns;
};

/* Returns the TSC and the clock, read together: the closest pair of 100 tries. */
static struct instant now(void)
{
	unsigned long long shortest = ULLONG_MAX;
	struct instant best = { 0 };

	for (int i = 0; i < 100; i++) {
		struct timespec ts;
		unsigned long long before, after;

		before = __rdtsc();
		if (clock_gettime(CLOCK_MONOTONIC_RAW, &ts))
			err(1, "clock_gettime");
		after = __rdtsc();
		if (after - before < shortest) {
			shortest = after - before;
			best.tsc = before + shortest / 2;
			best.ns = ts.tv_sec * 1000000000ull + ts.tv_nsec;
		}
	}
	return best;
}

int main(void)
{
	struct instant start = now(), end;

	usleep(20000);
	end = now();
	printf("%.0f\n", (end.tsc - start.tsc) * 1e6 / (end.ns - start.ns));
	return 0;
}
