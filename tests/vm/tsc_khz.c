// SPDX-License-Identifier: GPL-2.0
/*
 * Prints how fast this machine's TSC counts, in kHz.
 *
 * QEMU's TCG shows its guest the host's TSC. Linux would find out the rate by
 * timing it against emulated hardware, and be off by a factor where QEMU has
 * to wait for a busy machine; then its clock is off as much.
 */
#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

struct moment {
	unsigned long long tsc;
	unsigned long long ns;
};

/* Of some tries the one that was interrupted least */
static struct moment now(void)
{
	unsigned long long shortest = ULLONG_MAX;
	struct moment best = { 0 };

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
	struct moment start = now(), end;

	usleep(20000);
	end = now();
	printf("%.0f\n", (end.tsc - start.tsc) * 1e6 / (end.ns - start.ns));
	return 0;
}
