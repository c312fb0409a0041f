// SPDX-License-Identifier: GPL-2.0
/*
 * A good poller of /proc/<pid>/stat to compare mp3 with: it opens each file once and
 * reads it with pread(2), 20 times per second on an absolute grid.
 *
 * Usage: poller PID,...
 *        poller -c PID
 *
 * Prints one line per pass: CLOCK_MONOTONIC in nanoseconds at its start, and the
 * minor faults, the major faults and the clock ticks of CPU time since the previous
 * pass. With -c it polls the children of PID, and looks for new ones in each pass.
 */
#include "bench.h"
#include "floor/mark.h"

#define INTERVAL_NS	50000000L
#define MAX_PIDS	4194304

/**
 * struct polled - one process
 * @fd:   its stat file, -1 after it has exited
 * @last: its counts in the previous pass
 */
struct polled {
	int fd;
	unsigned long last[3];
};

static struct polled *processes;
static unsigned int nr_processes, capacity;
static bool known[MAX_PIDS];

static void add(pid_t pid)
{
	char path[32];
	int fd;

	if (known[pid])
		return;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	known[pid] = true;
	if (nr_processes == capacity) {
		capacity = capacity ? 2 * capacity : 64;
		processes = realloc(processes, capacity * sizeof(*processes));
		if (!processes)
			err(1, "realloc");
	}
	processes[nr_processes++] = (struct polled){ .fd = fd };
}

/* Add the processes in a list, separated by one character. */
static void add_list(const char *list)
{
	char *next;
	pid_t pid;

	while ((pid = strtol(list, &next, 10)) > 0) {
		add(pid);
		list = next + (*next == ',');
	}
}

static void add_children(int fd)
{
	static char text[1 << 20];
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	if (got < 0)
		return;
	text[got] = '\0';
	add_list(text);
}

/* Add to @sum what a process has counted since the previous pass. */
static void poll_process(struct polled *process, unsigned long *sum)
{
	/* Fields 10, 12, and 14 plus 15 of stat; the name ends field 2. */
	static const int which[16] = { [10] = 1, [12] = 2, [14] = 3, [15] = 3 };
	unsigned long counts[4] = { 0 };
	char text[1024], *at;
	ssize_t got;
	int field, i;

	got = pread(process->fd, text, sizeof(text) - 1, 0);
	if (got <= 0) {
		close(process->fd);
		process->fd = -1;
		return;
	}
	text[got] = '\0';
	at = strrchr(text, ')') + 2;
	for (field = 3; field <= 15; field++) {
		unsigned long value = 0;

		while (*at > ' ')
			value = value * 10 + (*at++ - '0');
		at++;
		counts[which[field]] += value;
	}
	for (i = 0; i < 3; i++) {
		sum[i] += counts[i + 1] - process->last[i];
		process->last[i] = counts[i + 1];
	}
}

/* Poll all processes, and print the sums. */
static __attribute__((noinline)) void poll_all(int children)
{
	uint64_t now = now_ns();
	unsigned long sum[3] = { 0 };
	unsigned int p;

	if (children >= 0)
		add_children(children);
	for (p = 0; p < nr_processes; p++)
		if (processes[p].fd >= 0)
			poll_process(&processes[p], sum);
	printf("%llu %lu %lu %lu\n", (unsigned long long)now, sum[0], sum[1],
	       sum[2]);
}

int main(int argc, char **argv)
{
	struct timespec deadline;
	int children = -1;

	if (argc == 3 && !strcmp(argv[1], "-c")) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%s/task/%s/children",
			 argv[2], argv[2]);
		children = open(path, O_RDONLY | O_CLOEXEC);
		if (children < 0)
			err(1, "%s", path);
	} else if (argc == 2) {
		add_list(argv[1]);
	} else {
		errx(2, "usage: poller PID,... | poller -c PID");
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	mark((uintptr_t)poll_all, "poller");
	for (;;) {
		uint64_t now;

		poll_all(children);
		/* Skip deadlines that have passed. */
		now = now_ns();
		do {
			deadline.tv_nsec += INTERVAL_NS;
			if (deadline.tv_nsec >= 1000000000) {
				deadline.tv_nsec -= 1000000000;
				deadline.tv_sec++;
			}
		} while (deadline.tv_sec * 1000000000ULL + deadline.tv_nsec <= now);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
	}
}
