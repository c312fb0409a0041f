// SPDX-License-Identifier: GPL-2.0
/*
 * How many of the faults of short-lived processes each tool reports. All tools
 * profile the same processes at the same time.
 *
 * Usage: complete PROCESSES
 *
 * Runs in a guest with the module loaded. A process starts PROCESSES children,
 * several at once, that live for 1 to 40 ms and touch some pages. Prints "tool
 * faults percent", the count of wait4(2) first. Fails if mp3 reports a different
 * count.
 */
#include "bench.h"

#define AT_ONCE		16
#define MAX_PAGES	64
#define HERD		"herd"	/* the name of all these processes */

/* The output of each tool */
#define PERF_STAT	"/tmp/stat"
#define PERF_RECORD	"/tmp/record"
#define POLLER		"/tmp/poller"
#define PIDSTAT		"/tmp/pidstat"
#define BPFTRACE	"/tmp/bpftrace"

static void child(unsigned int seed)
{
	size_t size = (1 + seed % MAX_PAGES) * getpagesize(), at;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		_exit(1);
	for (at = 0; at < size; at += getpagesize())
		((volatile char *)memory)[at] = 1;
	sleep_ms(seed / MAX_PAGES % 40 + 1);
	_exit(0);
}

static void herd(int go, unsigned int processes)
{
	unsigned int i;
	char byte;

	prctl(PR_SET_NAME, HERD);
	if (read(go, &byte, 1) != 1)
		err(1, "read");
	srandom(1);
	for (i = 0; i < processes + AT_ONCE; i++) {
		int status;

		if (i >= AT_ONCE && (wait(&status) < 0 || status))
			errx(1, "a child failed");
		if (i < processes) {
			unsigned int seed = random();
			pid_t pid = fork();

			if (pid < 0)
				err(1, "fork");
			if (!pid)
				child(seed);
		}
	}
	_exit(0);
}

/* Return the faults of a process so far. */
static double faults_of(pid_t pid)
{
	unsigned long min_flt, maj_flt;
	char path[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %lu %*u %lu",
			    &min_flt, &maj_flt) != 2)
		err(1, "%s", path);
	fclose(file);

	return min_flt + maj_flt;
}

static void report(const char *tool, double faults, double truth)
{
	printf("%s %.0f %.3f\n", tool, faults, faults * 100 / truth);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct ring ring = ring_open();
	uint64_t head = ring_head(&ring);
	pid_t pid, poller, stat, record, pidstat, bpftrace;
	struct totals totals;
	struct rusage usage;
	double truth, mp3;
	char list[16];
	int go[2], status;

	if (argc != 2)
		errx(2, "usage: complete PROCESSES");
	if (pipe(go))
		err(1, "pipe");
	describe();
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		herd(go[0], parse_number(argv[1]));
	snprintf(list, sizeof(list), "%d", pid);

	poller = start_tool(POLLER, (const char *[]){
		"/mp3/poller", "-c", list, NULL });
	stat = start_tool(PERF_STAT, (const char *[]){
		"perf", "stat", "-x,", "-I", "50", "-e",
		"minor-faults,major-faults", "-p", list, NULL });
	record = start_tool("/tmp/log", (const char *[]){
		"perf", "record", "-e", "faults", "-c", "1", "-o", PERF_RECORD,
		"-p", list, NULL });
	pidstat = start_tool(PIDSTAT, (const char *[]){
		"pidstat", "-r", "-p", "ALL", "-C", HERD, "1", NULL });
	bpftrace = start_tool(BPFTRACE, (const char *[]){
		"bpftrace", "-e", "software:page-faults:1 /comm == \"" HERD
		"\"/ { @ = count(); }", NULL });
	wait_lines(bpftrace, BPFTRACE, 1);	/* the slowest to start */
	wait_lines(stat, PERF_STAT, 2);
	sleep_ms(1000);

	truth = -faults_of(pid);
	command_or_die('F', pid);
	if (write(go[1], "", 1) != 1 || wait4(pid, &status, 0, &usage) != pid ||
	    status)
		errx(1, "the processes failed");
	truth += usage.ru_minflt + usage.ru_majflt;
	wait_idle(&ring);
	totals = ring_sum(&ring, head);
	mp3 = totals.min_flt + totals.maj_flt;
	sleep_ms(1500);
	/* perf and pidstat may have exited with the process they profile. */
	kill(stat, SIGINT);
	kill(record, SIGINT);
	kill(pidstat, SIGINT);
	kill(bpftrace, SIGINT);
	kill(poller, SIGKILL);
	while (wait(NULL) > 0)
		;

	printf("# tool faults percent\n");
	report("wait4", truth, truth);
	report("mp3", mp3, truth);
	report("perf-stat", number_by(SUM("/-faults,/ && gsub(\",\", \" \")", "$2")
				      PERF_STAT), truth);
	report("perf-record", number_by("perf script -i " PERF_RECORD
					" -F comm 2>/dev/null | wc -l"), truth);
	report("bpftrace", number_by("awk '/^@/ { print $2 }' " BPFTRACE), truth);
	report("poller", number_by(SUM("", "$2 + $3") POLLER), truth);
	/* Rates per second, in one line per second */
	report("pidstat", number_by(SUM("$NF == \"" HERD "\" && !/^Average/",
					"$4 + $5") PIDSTAT), truth);
	if (mp3 != truth)
		errx(1, "mp3 reported %.0f faults, wait4 %.0f", mp3, truth);

	return 0;
}
