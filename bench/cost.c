// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of a tick per process, for mp3, for tools that do the same from user
 * space, and for a bare loop over the counters.
 *
 * Usage: cost PASSES KIND:N...
 *
 * Runs in a guest with the module loaded. For N processes of each KIND (idle,
 * running, faulting, threaded, with 1,000 threads that all sleep, or one of which
 * runs) and for one tool at a time, prints "kind processes
 * tool passes median lower_quartile upper_quartile", in nanoseconds per process
 * and pass: the cost of a pass, from cost_ns in the header or from the CPU time of
 * the tool, divided by the number of processes. There are 20 passes per second;
 * pidstat has one per second. In a guest that executes one instruction per
 * nanosecond, the unit is instructions.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "bench.h"

#define THREADS		8
#define MANY_THREADS	1000
#define MAX_PASSES	1000
#define SETTLING	3	/* passes before the measured ones */
#define PIDSTAT_MOST	1000	/* with more it cannot keep up */
#define PIDSTAT_PASSES	3
#define OUTPUT		"/tmp/output"
#define EVENTS		"minor-faults,major-faults,task-clock"

static struct ring ring;

/* Touch one page in each tick. */
static void faulting(void)
{
	char *page = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (;;) {
		*(volatile char *)page = 1;
		madvise(page, getpagesize(), MADV_DONTNEED);
		sleep_ms(MOMENT_MS);
	}
}

static void *asleep_thread(void *arg)
{
	asleep();
	return arg;
}

/* Have the process consist of @nr threads, of which all but the caller sleep. */
static void start_threads(unsigned int nr)
{
	pthread_attr_t attr;
	pthread_t thread;
	unsigned int i;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 1 << 16);
	for (i = 1; i < nr; i++)
		if (pthread_create(&thread, &attr, asleep_thread, NULL))
			errx(1, "pthread_create");
}

static void threaded(void)
{
	start_threads(THREADS);
	asleep();
}

static void many_threads(void)
{
	start_threads(MANY_THREADS);
	asleep();
}

static void one_runs(void)
{
	start_threads(MANY_THREADS);
	running();
}

/**
 * struct kind - what the processes do
 * @name: as printed
 * @body: runs in each process until that is killed
 */
static const struct kind {
	const char *name;
	void (*body)(void);
} kinds[] = {
	{ "idle", asleep },
	{ "running", running },
	{ "faulting", faulting },
	{ "threaded", threaded },
	{ "many-threads", many_threads },
	{ "one-runs", one_runs },
};

static unsigned int passes;
static double costs[MAX_PASSES];

static void print(const struct kind *kind, unsigned int nr, const char *tool,
		  unsigned int measured)
{
	sort(costs, measured);
	printf("%s %u %s %u %.1f %.1f %.1f\n", kind->name, nr, tool, measured,
	       quantile(costs, measured, 0.5) / nr,
	       quantile(costs, measured, 0.25) / nr,
	       quantile(costs, measured, 0.75) / nr);
	fflush(stdout);
}

/*
 * Fill costs[] with the growth of @cost per step of @count, after the first passes
 * have settled.
 */
static void measure(uint64_t (*count)(pid_t), uint64_t (*cost)(pid_t), pid_t tool,
		    unsigned int measured)
{
	uint64_t last_count = 0, last_cost = 0;
	unsigned int i;

	for (i = 0; i < measured + SETTLING + 1; i++) {
		uint64_t now, now_cost;

		while ((now = count(tool)) == last_count) {
			if (tool)
				check_tool(tool);
			sleep_ms(5);
		}
		/* Let the pass that was just counted end. */
		sleep_ms(5);
		now_cost = cost(tool);
		if (i > SETTLING)
			costs[i - SETTLING - 1] = (double)(now_cost - last_cost) /
				       (now - last_count);
		last_count = now;
		last_cost = now_cost;
	}
}

static uint64_t mp3_count(pid_t tool)
{
	(void)tool;
	return ring.header->ticks;
}

static uint64_t mp3_cost(pid_t tool)
{
	(void)tool;
	return ring.header->cost_ns;
}

static void measure_mp3(const struct kind *kind, unsigned int nr,
			const pid_t *pids)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		command_or_die('R', pids[i]);
	measure(mp3_count, mp3_cost, 0, passes);
	print(kind, nr, "mp3", passes);
	for (i = 0; i < nr; i++)
		command_or_die('U', pids[i]);
	wait_idle(&ring);
}

static void measure_floor(const struct kind *kind, unsigned int nr)
{
	int module = open("/mp3/floor.ko", O_RDONLY | O_CLOEXEC);
	char words[64];
	FILE *file;

	snprintf(words, sizeof(words), "parent=%d passes=%u", getpid(), passes);
	if (syscall(SYS_finit_module, module, words, 0))
		err(1, "floor.ko");
	close(module);
	file = fopen("/sys/module/floor/parameters/ns", "r");
	if (!file || fscanf(file, "%lf", costs) != 1)
		err(1, "floor.ko's parameter ns");
	fclose(file);
	if (syscall(SYS_delete_module, "floor", 0))
		err(1, "floor.ko");
	print(kind, nr, "floor", 1);
}

/* A pass is one line of the poller, and three of perf stat. */
static uint64_t poller_count(pid_t tool)
{
	wait_lines(tool, OUTPUT, 1);
	return lines_of(OUTPUT);
}

static uint64_t perf_count(pid_t tool)
{
	wait_lines(tool, OUTPUT, 3);
	return lines_of(OUTPUT) / 3;
}

/* The output of pidstat is irregular, so a pass is one second. */
static uint64_t pidstat_count(pid_t tool)
{
	(void)tool;
	return now_ns() / 1000000000;
}

static void measure_tool(const struct kind *kind, unsigned int nr,
			 const char *name, uint64_t (*count)(pid_t),
			 unsigned int measured, const char *const argv[])
{
	pid_t tool = start_tool(OUTPUT, argv);

	measure(count, cpu_ns, tool, measured);
	end(tool, SIGKILL);
	print(kind, nr, name, measured);
}

static void run(const struct kind *kind, unsigned int nr)
{
	pid_t *pids = start_many(kind->body, nr);
	char *list = join(pids, nr);

	sleep_ms(100);
	measure_floor(kind, nr);
	measure_mp3(kind, nr, pids);
	measure_tool(kind, nr, "poller", poller_count, passes,
		     (const char *[]){ "/mp3/poller", list, NULL });
	measure_tool(kind, nr, "perf-stat", perf_count, passes,
		     (const char *[]){ "perf", "stat", "-x,", "-I", "50", "-e",
				       EVENTS, "-p", list, NULL });
	if (nr <= PIDSTAT_MOST)
		measure_tool(kind, nr, "pidstat", pidstat_count, PIDSTAT_PASSES,
			     (const char *[]){ "pidstat", "-r", "-u", "-p", list,
					       "1", NULL });
	end_many(pids, nr);
	free(list);
}

static const struct kind *kind_of(const char *name, size_t length)
{
	size_t k;

	for (k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
		if (strlen(kinds[k].name) == length &&
		    !memcmp(kinds[k].name, name, length))
			return &kinds[k];
	errx(2, "no such kind: %.*s", (int)length, name);
}

int main(int argc, char **argv)
{
	struct rlimit files = { 200000, 200000 };
	int i;

	if (argc < 3)
		errx(2, "usage: cost PASSES KIND:N...");
	passes = parse_number(argv[1]);
	if (passes > MAX_PASSES)
		errx(2, "at most %d passes", MAX_PASSES);
	/* perf uses three descriptors per process. */
	if (setrlimit(RLIMIT_NOFILE, &files))
		err(1, "setrlimit");
	ring = ring_open();
	describe();
	printf("# kind processes tool passes median lower_quartile upper_quartile\n");
	for (i = 2; i < argc; i++) {
		const char *colon = strchrnul(argv[i], ':');

		run(kind_of(argv[i], colon - argv[i]),
		    parse_number(colon + (*colon == ':')));
	}
	return 0;
}
