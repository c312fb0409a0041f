// SPDX-License-Identifier: GPL-2.0
/*
 * What a hostile user can do to the sampler and to another user.
 *
 * Usage: hostile MS CROWD [ATTACK]...
 *
 * Runs in a guest with the module loaded, as root. Each attack is run by one user
 * (uid 1000), most of them with a crowd of registered processes, while another (uid
 * 1001) has a followed process, a followed process that forks, and loops of R and U,
 * of F and U, and of reading the list. Next to each attack runs a control, with as many
 * processes that only use the CPU. Both are measured for MS milliseconds. Prints
 * "attack role deadlines missed gap OPERATION:median/longest ... slab dead entries",
 * times in milliseconds: slab is the growth of the kernel's slab memory in KiB, dead
 * the number of exited processes that are held, and entries those per second in a ring
 * that is not the attacker's. As a second block, prints each target, what was
 * measured, and whether the target is met.
 */
#include "bench.h"
#include "../tests/guest/attack.h"

static const char *const operations[NR_OPERATIONS] = {
	[OP_R] = "R", [OP_U] = "U", [OP_F] = "F", [OP_READ] = "read", [OP_L] = "L",
};

static void print_result(const struct attack *attack, bool control,
			 const struct result *result)
{
	unsigned int i;

	printf("%s %s %llu %llu %.0f", attack->name,
	       control ? "control" : "attack",
	       (unsigned long long)result->deadlines,
	       (unsigned long long)result->missed, result->gap_ms);
	for (i = 0; i < NR_OPERATIONS; i++) {
		if (result->median_ms[i] < 0) {
			printf(" %s:-", operations[i]);
			continue;
		}
		printf(" %s:%.1f/%.1f", operations[i], result->median_ms[i],
		       result->longest_ms[i]);
	}
	printf(" %ld %ld", result->slab_kib, result->dead);
	if (result->per_s < 0)
		printf(" -\n");
	else
		printf(" %.0f\n", result->per_s);
	if (!control)
		printf("# %s: repeated %llu times\n", attack->name,
		       (unsigned long long)shared->rounds);
	if (result->ended != result->forks)
		printf("# %s: %llu last records of %llu, %llu were overwritten\n",
		       attack->name, (unsigned long long)result->ended,
		       (unsigned long long)result->forks,
		       (unsigned long long)result->lost);
	fflush(stdout);
}

/* ---- Targets ---- */

static char verdicts[1 << 16], *verdict = verdicts;

static void judge(const struct attack *attack, const char *what, double limit,
		  double measured, double control)
{
	verdict += sprintf(verdict, "%s %s %.0f %.1f %.1f %s\n", attack->name,
			   what, limit, measured, control,
			   measured <= limit ? "met" :
			   control <= limit ? "missed" : "missed-by-both");
}

static void judge_all(const struct attack *attack, const struct result *result,
		      const struct result *control)
{
	if (!attack->alone) {
		judge(attack, "missed", 0, result->missed, control->missed);
		judge(attack, "gap", (attack->interval_ms ?: 50) + 50,
		      result->gap_ms, control->gap_ms);
		judge(attack, "median", 20, largest_ms(result->median_ms),
		      largest_ms(control->median_ms));
		judge(attack, "longest", 100, largest_ms(result->longest_ms),
		      largest_ms(control->longest_ms));
	}
	judge(attack, "slab", attack->forks ? 65536 : 8192, result->slab_kib,
	      control->slab_kib);
	judge(attack, "dead", 1024 + 512, result->dead, control->dead);
	if (result->per_s >= 0)
		judge(attack, "entries", 41, result->per_s, control->per_s);
}

static void run(const struct attack *attack, unsigned int ms)
{
	struct result result, control;

	result = attack_run(attack, false, ms);
	print_result(attack, false, &result);
	control = attack_run(attack, true, ms);
	print_result(attack, true, &control);
	judge_all(attack, &result, &control);
}

int main(int argc, char **argv)
{
	unsigned int ms, i;

	if (argc < 3)
		errx(2, "usage: hostile MS CROWD [ATTACK]...");
	ms = parse_number(argv[1]);
	crowd_size = parse_number(argv[2]);
	for (i = 3; i < (unsigned int)argc; i++)
		if (!attack_find(argv[i]))
			errx(2, "no attack '%s'", argv[i]);
	attack_init();
	describe();
	printf("# attack role deadlines missed gap %s slab dead entries\n",
	       "OPERATION:median/longest ...");
	for (i = 0; i < ARRAY_SIZE(attacks) && argc == 3; i++)
		run(&attacks[i], ms);
	for (i = 3; i < (unsigned int)argc; i++)
		run(attack_find(argv[i]), ms);
	printf("\n\n# attack target limit measured control verdict\n%s", verdicts);

	return 0;
}
