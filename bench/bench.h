/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the benchmark programs in the guest share: times, medians, processes to be
 * profiled, and other programs that profile them.
 */
#ifndef MP3_BENCH_H
#define MP3_BENCH_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "../tests/guest/test.h"

/* Return the CPU time that a process has used so far, with all its threads. */
static inline uint64_t cpu_ns(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &ts))
		errx(1, "process %d has exited", pid);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* ---- Numbers ---- */

static inline int compare_doubles(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static inline void sort(double *values, size_t nr)
{
	qsort(values, nr, sizeof(*values), compare_doubles);
}

static inline double quantile(const double *sorted, size_t nr, double q)
{
	return sorted[(size_t)((nr - 1) * q + 0.5)];
}

/* Print the first line of each data file, the machine that was measured. */
static inline void describe(void)
{
	struct utsname uts;

	uname(&uts);
	printf("# Linux %s, %d CPUs, %s, QEMU TCG\n", uts.release, get_nprocs(),
	       uts.machine);
}

/* Return the number that an argument contains, or exit with a usage error. */
static inline unsigned int parse_number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || !value || value > 1000000)
		errx(2, "'%s' is not a number from 1 to 1000000", text);
	return value;
}

/* The start of a command that sums @what over the lines of a file that match */
#define SUM(match, what) \
	"awk '" match " { n += " what " } END { printf \"%.0f\", n }' "

/* Return the number that a command prints. */
static inline double number_by(const char *command)
{
	FILE *pipe = popen(command, "re");
	double value;

	if (!pipe || fscanf(pipe, "%lf", &value) != 1)
		errx(1, "no number from: %s", command);
	pclose(pipe);

	return value;
}

/* ---- Processes ---- */

/* Start a process that runs @body until it is killed. Returns its pid. */
static inline pid_t start(void (*body)(void))
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body();
		_exit(0);
	}
	return pid;
}

/* Never use the CPU. */
static inline void asleep(void)
{
	for (;;)
		pause();
}

#define MOMENT_MS	45	/* once in each interval */

/* Run briefly in each tick, without faults. */
static inline void running(void)
{
	for (;;)
		sleep_ms(MOMENT_MS);
}

/* Always use the CPU. */
static inline void spinning(void)
{
	for (;;)
		;
}

/* Use a third more memory than there is, together with @nr - 1 other processes. */
static inline void thrash(unsigned int nr)
{
	struct sysinfo info;
	size_t page = getpagesize(), pages;
	char *memory;

	sysinfo(&info);
	pages = info.totalram / page * 4 / 3 / nr;
	memory = mmap(NULL, pages * page, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	srandom(getpid());
	for (;;)
		((volatile char *)memory)[random() % pages * page]++;
}

static inline pid_t *start_many(void (*body)(void), unsigned int nr)
{
	pid_t *pids = calloc(nr, sizeof(*pids));
	unsigned int i;

	if (!pids)
		err(1, "calloc");
	for (i = 0; i < nr; i++)
		pids[i] = start(body);
	return pids;
}

static inline void end(pid_t pid, int sig)
{
	if (kill(pid, sig) || waitpid(pid, NULL, 0) != pid)
		err(1, "kill process %d", pid);
}

static inline void end_many(pid_t *pids, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		end(pids[i], SIGKILL);
	free(pids);
}

/* ---- Other profilers ---- */

/*
 * Start a program with its output in a file. It must run until end() or a signal.
 * Returns its pid.
 */
static inline pid_t start_tool(const char *output, const char *const argv[])
{
	pid_t pid;
	int fd;

	fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
		  0600);
	if (fd < 0)
		err(1, "%s", output);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		err(1, "%s", argv[0]);
	}
	close(fd);

	return pid;
}

/* Exit with an error if a tool has exited. */
static inline void check_tool(pid_t tool)
{
	if (waitpid(tool, NULL, WNOHANG))
		errx(1, "a tool has exited unexpectedly");
}

/* Return the pids separated by commas, in memory that the caller frees. */
static inline char *join(const pid_t *pids, unsigned int nr)
{
	char *text = malloc(nr * 12 + 1), *at = text;
	unsigned int i;

	if (!text)
		err(1, "malloc");
	*at = '\0';
	for (i = 0; i < nr; i++)
		at += sprintf(at, i ? ",%d" : "%d", pids[i]);
	return text;
}

/* Return the number of lines that a file has so far. */
static inline unsigned int lines_of(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned int lines = 0;
	int c;

	if (!file)
		err(1, "%s", path);
	while ((c = getc_unlocked(file)) != EOF)
		lines += c == '\n';
	fclose(file);

	return lines;
}

/* Wait until a tool has written @lines lines to @output. */
static inline void wait_lines(pid_t tool, const char *output, unsigned int lines)
{
	while (lines_of(output) < lines) {
		check_tool(tool);
		sleep_ms(20);
	}
}

#endif /* MP3_BENCH_H */
