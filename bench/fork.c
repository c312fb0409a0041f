// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of following a process: how long a fork-heavy load takes while the module
 * is idle, while another process is followed, and while it is followed itself.
 *
 * Usage: fork ROUNDS FORKS
 *
 * Runs in a guest with the module loaded. Prints "load variant round
 * microseconds_per_fork", and at the end of each load, as comments, the medians with
 * their quartiles and their ratios to the idle variant. Each round measures all
 * variants in turn, so that a slow phase of the machine affects all of them.
 */
#include <spawn.h>

#include "bench.h"

#define MAX_ROUNDS 101

enum variant {
	IDLE,		/* nothing is followed, the fork probe is detached */
	OTHER,		/* another process is followed: one look-up per fork */
	FOLLOWED,	/* each child is registered, sampled and recorded */
	NR_VARIANTS,
};

static const char *const names[NR_VARIANTS] = { "idle", "other", "followed" };

static double us[NR_VARIANTS][MAX_ROUNDS];

static void reap(pid_t pid)
{
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		err(1, "fork");
}

static void load_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	reap(pid);
}

/* The cheapest child: it shares the memory of its parent. */
static void load_vfork(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	reap(pid);
}

static void load_exec(void)
{
	static char *const argv[] = { "/bin/true", NULL };
	pid_t pid;

	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, NULL))
		errx(1, "spawn %s", argv[0]);
	reap(pid);
}

static const struct load {
	const char *name;
	void (*run)(void);
	unsigned int divisor;	/* of FORKS, because some loads take longer */
} loads[] = {
	{ "vfork", load_vfork, 1 },
	{ "fork", load_fork, 2 },
	{ "fork+exec", load_exec, 4 },
};

/*
 * Run @load in a process of its own, which is followed in variant FOLLOWED.
 * Returns microseconds per fork.
 */
static double measure(const struct load *load, enum variant variant,
		      unsigned int forks, pid_t other)
{
	double *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double elapsed;
	unsigned int i;
	pid_t pid;

	if (result == MAP_FAILED)
		err(1, "mmap");
	if (variant == OTHER)
		command_or_die('F', other);
	pid = fork();
	if (!pid) {
		uint64_t start;

		if (variant == FOLLOWED)
			command_or_die('F', getpid());
		for (i = 0; i < forks / 10; i++)
			load->run();
		start = now_ns();
		for (i = 0; i < forks; i++)
			load->run();
		*result = (now_ns() - start) / 1e3 / forks;
		_exit(0);
	}
	reap(pid);
	if (variant == OTHER)
		command_or_die('U', other);
	elapsed = *result;
	munmap(result, sizeof(*result));
	if (!elapsed)
		errx(1, "%s, %s: nothing measured", load->name,
		     names[variant]);

	return elapsed;
}

int main(int argc, char **argv)
{
	unsigned int rounds, forks;
	struct ring ring = ring_open();
	uint64_t dropped = ring.header->dropped;
	double median[NR_VARIANTS];
	unsigned int i, round, variant;
	pid_t other = start(asleep);

	if (argc != 3)
		errx(2, "usage: fork ROUNDS FORKS");
	rounds = parse_number(argv[1]);
	forks = parse_number(argv[2]);
	if (rounds > MAX_ROUNDS || forks < 40)
		errx(2, "at most %d rounds, at least 40 forks", MAX_ROUNDS);

	describe();
	printf("# load variant round microseconds_per_fork\n");
	for (i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
		for (round = 0; round < rounds; round++) {
			for (variant = 0; variant < NR_VARIANTS; variant++) {
				us[variant][round] =
					measure(&loads[i], variant,
						forks / loads[i].divisor, other);
				printf("%s %s %u %.3f\n", loads[i].name,
				       names[variant], round,
				       us[variant][round]);
				/* The probe is detached a second later. */
				if (variant != IDLE)
					sleep_ms(variant == FOLLOWED ? 1500 : 0);
			}
		}
		for (variant = 0; variant < NR_VARIANTS; variant++) {
			sort(us[variant], rounds);
			median[variant] = quantile(us[variant], rounds, 0.5);
			printf("# %-9s %-8s %9.2f us per fork (%.2f..%.2f) %.3f times idle\n",
			       loads[i].name, names[variant], median[variant],
			       quantile(us[variant], rounds, 0.25),
			       quantile(us[variant], rounds, 0.75),
			       median[variant] / median[IDLE]);
		}
		fflush(stdout);
	}
	printf("# children that were not followed: %llu\n",
	       (unsigned long long)(ring.header->dropped - dropped));
	end(other, SIGKILL);

	return 0;
}
