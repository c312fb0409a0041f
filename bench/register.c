// SPDX-License-Identifier: GPL-2.0
/*
 * How long it takes to register and unregister a process, depending on the number of
 * registered processes.
 *
 * Usage: register ROUNDS N...
 *
 * Runs in a guest with the module loaded. For each N it registers N processes with
 * one write(2) each, follows a process with N children, and unregisters them all,
 * ROUNDS times. Prints "processes what median_us lowest_us highest_us", times per
 * process.
 */
#include "bench.h"

#define MAX_ROUNDS	101

enum what { REGISTER, UNREGISTER, ADOPT, NR_WHAT };

static const char *const names[NR_WHAT] = { "register", "unregister", "adopt" };
static double times[NR_WHAT][MAX_ROUNDS];

static double us_each(char letter, const pid_t *pids, unsigned int nr)
{
	int fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	uint64_t start = now_ns();
	unsigned int i;

	for (i = 0; i < nr; i++) {
		char line[16];
		int len = snprintf(line, sizeof(line), "%c,%d", letter, pids[i]);

		if (write(fd, line, len) != len)
			err(1, "%s", line);
	}
	start = now_ns() - start;
	close(fd);

	return start / 1e3 / nr;
}

int main(int argc, char **argv)
{
	unsigned int rounds, round, what;
	struct ring ring = ring_open();
	int i;

	if (argc < 3)
		errx(2, "usage: register ROUNDS N...");
	rounds = parse_number(argv[1]);
	if (rounds > MAX_ROUNDS)
		errx(2, "at most %d rounds", MAX_ROUNDS);
	describe();
	printf("# processes what median_us lowest_us highest_us\n");
	for (i = 2; i < argc; i++) {
		unsigned int nr = parse_number(argv[i]);
		pid_t *pids = start_many(asleep, nr), self = getpid();

		for (round = 0; round < rounds; round++) {
			times[REGISTER][round] = us_each('R', pids, nr);
			times[UNREGISTER][round] = us_each('U', pids, nr);
			wait_idle(&ring);
			times[ADOPT][round] = us_each('F', &self, 1) / nr;
			us_each('U', pids, nr);
			command_or_die('U', self);
			wait_idle(&ring);
		}
		for (what = 0; what < NR_WHAT; what++) {
			sort(times[what], rounds);
			printf("%u %s %.2f %.2f %.2f\n", nr, names[what],
			       quantile(times[what], rounds, 0.5),
			       times[what][0], times[what][rounds - 1]);
		}
		fflush(stdout);
		end_many(pids, nr);
	}
	return 0;
}
