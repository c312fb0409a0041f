// SPDX-License-Identifier: GPL-2.0
/*
 * How much slower a program is while it is profiled.
 *
 * Usage: slowdown ROUNDS
 *
 * Runs in a guest with the module loaded. For each load, round and profiler, prints
 * "load profiler round elapsed_us cpu_us": the duration of the load and the CPU time
 * of its processes. On a guest with one CPU, the duration includes all the work of
 * the profiler, and the CPU time is what the load itself pays. The profilers take
 * turns within a round. At the end of each load, comments give the ratios of the
 * medians to those without a profiler. Each load executes about 100 to 300 million
 * instructions.
 */
#include "bench.h"

#define MAX_ROUNDS	101
#define WARM_UP		10	/* a tenth of a load runs before it */
#define ATTACH_MS	1000	/* until the slowest profiler has attached */

/* Only minor faults */
static void load_faults(unsigned int part)
{
	size_t page = getpagesize(), size = 1000 * page, at;
	unsigned int i;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	for (i = 0; i < 40 / part; i++) {
		for (at = 0; at < size; at += page)
			((volatile char *)memory)[at] = 1;
		madvise(memory, size, MADV_DONTNEED);
	}
	munmap(memory, size);
}

static void load_fork(unsigned int part)
{
	unsigned int i;

	for (i = 0; i < 240 / part; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			err(1, "fork");
	}
}

static void load_cpu(unsigned int part)
{
	volatile unsigned int i;

	for (i = 0; i < 25000000 / part; i++)
		;
}

static const struct load {
	const char *name;
	void (*run)(unsigned int part);
} loads[] = {
	{ "faults", load_faults },
	{ "fork", load_fork },
	{ "cpu", load_cpu },
};

enum profiler { NONE, MP3, PERF_STAT, PERF_RECORD, PERF_TRACE, NR_PROFILERS };

static const char *const names[NR_PROFILERS] = {
	"none", "mp3", "perf-stat", "perf-record", "perf-trace",
};

/* The command of each profiler, without the pid at its end */
static const char *const commands[NR_PROFILERS][12] = {
	[PERF_STAT] = { "perf", "stat", "-x,", "-I", "50", "-e",
			"minor-faults,major-faults,task-clock", "-p" },
	[PERF_RECORD] = { "perf", "record", "-e", "faults", "-o", "/tmp/data",
			  "-p" },
	[PERF_TRACE] = { "perf", "trace", "-F", "all", "-o", "/tmp/trace", "-p" },
};

struct result {
	double elapsed_us, cpu_us;
};

static double rusage_us(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	       usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void subject(const struct load *load, int go, struct result *result)
{
	double cpu;
	uint64_t time;
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(1);
	load->run(WARM_UP);
	cpu = rusage_us(RUSAGE_SELF) + rusage_us(RUSAGE_CHILDREN);
	time = now_ns();
	load->run(1);
	result->elapsed_us = (now_ns() - time) / 1e3;
	result->cpu_us = rusage_us(RUSAGE_SELF) + rusage_us(RUSAGE_CHILDREN) - cpu;
	_exit(0);
}

static pid_t attach(enum profiler profiler, pid_t pid)
{
	const char *argv[13];
	char text[16];
	int i;

	if (profiler == MP3)
		command_or_die('F', pid);
	if (!commands[profiler][0])
		return 0;
	snprintf(text, sizeof(text), "%d", pid);
	for (i = 0; commands[profiler][i]; i++)
		argv[i] = commands[profiler][i];
	argv[i++] = text;
	argv[i] = NULL;
	return start_tool("/tmp/output", argv);
}

static struct result measure(const struct load *load, enum profiler profiler)
{
	struct result *shared = mmap(NULL, sizeof(*shared),
				     PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct result result;
	int go[2], status;
	pid_t pid, tool;

	if (shared == MAP_FAILED || pipe(go))
		err(1, "measure");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		subject(load, go[0], shared);
	tool = attach(profiler, pid);
	sleep_ms(ATTACH_MS);
	if (tool)
		check_tool(tool);
	if (write(go[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid || status)
		errx(1, "the load %s failed", load->name);
	if (tool) {
		kill(tool, SIGINT);
		waitpid(tool, NULL, 0);
	}
	close(go[0]);
	close(go[1]);
	result = *shared;
	munmap(shared, sizeof(*shared));

	return result;
}

int main(int argc, char **argv)
{
	static double elapsed[NR_PROFILERS][MAX_ROUNDS];
	static double cpu[NR_PROFILERS][MAX_ROUNDS];
	unsigned int rounds, round, i, p;

	if (argc != 2)
		errx(2, "usage: slowdown ROUNDS");
	rounds = parse_number(argv[1]);
	if (rounds > MAX_ROUNDS)
		errx(2, "at most %d rounds", MAX_ROUNDS);
	describe();
	printf("# load profiler round elapsed_us cpu_us\n");
	for (i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
		for (round = 0; round < rounds; round++) {
			for (p = 0; p < NR_PROFILERS; p++) {
				struct result result = measure(&loads[i], p);

				elapsed[p][round] = result.elapsed_us;
				cpu[p][round] = result.cpu_us;
				printf("%s %s %u %.0f %.0f\n", loads[i].name,
				       names[p], round, result.elapsed_us,
				       result.cpu_us);
				fflush(stdout);
			}
		}
		for (p = 0; p < NR_PROFILERS; p++) {
			sort(elapsed[p], rounds);
			sort(cpu[p], rounds);
			printf("# %-6s %-11s elapsed %.4f cpu %.4f\n",
			       loads[i].name, names[p],
			       quantile(elapsed[p], rounds, 0.5) /
			       quantile(elapsed[NONE], rounds, 0.5),
			       quantile(cpu[p], rounds, 0.5) /
			       quantile(cpu[NONE], rounds, 0.5));
		}
	}
	return 0;
}
