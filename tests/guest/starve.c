// SPDX-License-Identifier: GPL-2.0
/*
 * vm: --icount -c 2 -t 1200
 *
 * What one user does neither delays the sampler nor another user for long. Runs on
 * two CPUs that share a clock of instructions, so that other load on the host has no
 * effect: on the kernels that are tested, 64 processes that only use the CPU delay
 * nothing. Where they do, as on debug kernels, results are skipped. bench/hostile has
 * the other attacks.
 */
#include "attack.h"

#define MEASURED_MS	1000

/* Check what an attack must not exceed, unless its control does. */
static void check(double measured, double control, double limit, const char *unit,
		  const char *name)
{
	char reason[80];

	if (control > limit) {
		snprintf(reason, sizeof(reason),
			 "the control alone causes %.0f%s", control, unit);
		skip(name, reason);
		return;
	}
	if (!ok(measured <= limit, "%s", name))
		diag("%.0f%s, at most %.0f; control %.0f", measured, unit, limit,
		     control);
}

static double longest_command(const struct result *result)
{
	double longest = 0;
	unsigned int i;

	for (i = 0; i <= OP_F; i++)
		if (result->longest_ms[i] > longest)
			longest = result->longest_ms[i];
	return longest;
}

static void test(const char *name, const char *what)
{
	const struct attack *attack = attack_find(name);
	struct result result = attack_run(attack, false, MEASURED_MS);
	struct result control = attack_run(attack, true, MEASURED_MS);
	char text[120];

	snprintf(text, sizeof(text), "%s have the sampler miss no deadline", what);
	check(result.missed, control.missed, 0, "", text);
	snprintf(text, sizeof(text), "%s delay a stranger's command by at most 100 ms",
		 what);
	check(longest_command(&result), longest_command(&control), 100, " ms",
	      text);
	snprintf(text, sizeof(text), "%s take at most 8 MiB of slab memory", what);
	check(result.slab_kib, control.slab_kib, 8192, " KiB", text);
	snprintf(text, sizeof(text), "%s cost a stranger no last record", what);
	ok_eq(result.ended, result.forks, text);
}

int main(void)
{
	/* Enough for 64 readers to need more than an interval. */
	crowd_size = 3000;
	attack_init();
	test("read-list", "64 readers of a list of 3,000 processes");
	test("write-fu", "64 writers of F and U next to 3,000 processes");
	test("write-ru-300", "300 writers of R and U");

	return done();
}
