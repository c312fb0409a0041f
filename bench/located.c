// SPDX-License-Identifier: GPL-2.0
/*
 * What locating faults costs the program whose faults are located, and others.
 *
 * Usage: located ROUNDS OPERATIONS
 *
 * Runs in a guest without the module, as root, and loads /mp3/mp3.ko. For each load
 * and profiler, prints "load profiler cpu above elapsed bytes", medians of ROUNDS
 * rounds, per operation: a fault, a fork, a thread, or a switch to another process and
 * back.
 *
 *	cpu	CPU time of the load, in nanoseconds
 *	above	the same, less that of the load before the module was loaded
 *	elapsed	duration, which on one CPU includes the work of all processes
 *	bytes	what the profiler has written
 *
 * In a guest that executes one instruction per nanosecond, the unit is instructions.
 * Every fault of a load has eight callers with frame pointers. A profiler that does
 * not run in the guest is reported in a comment.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "../mp3_client.h"
#include "bench.h"

#define MAX_ROUNDS	101
#define CALLERS		(MP3_FRAMES - 1)
#define AROUND		16	/* pages that a read fault in a file maps */
#define SETTLE_MS	1000	/* until the slowest profiler has attached */
#define FLUSH_MS	200	/* until mp3's last faults have been read */
#define RELEASE_MS	2500	/* until mp3's events have been released */
#define READER_FAULTS	512	/* that mp3's reader writes at once */

#define DATA		"/tmp/data"	/* what a profiler records */
#define LOG		"/tmp/log"	/* its standard output and errors */
#define MAPPED		"/tmp/mapped"
#define NAME		"load"		/* of the processes of a load */

static unsigned int rounds, operations;

/* ---- Loads ---- */

/* Make the calling function one that frame pointers lead to. */
static inline __attribute__((always_inline)) void keep_frame(void)
{
	__asm__ volatile("" : : "r" (__builtin_frame_address(0)));
}

static char *area;
static size_t area_size, area_step;
static bool area_write;

static __attribute__((noinline)) void access_area(void)
{
	volatile char *at, *end = area + area_size;

	keep_frame();
	for (at = area; at < end; at += area_step) {
		if (area_write)
			*at = 1;
		else
			(void)*at;
	}
}

/* Access the area with @depth callers that have frame pointers. */
static __attribute__((noinline)) void access_below(unsigned int depth)
{
	if (depth)
		access_below(depth - 1);
	else
		access_area();
	/* After the calls, so that the compiler does not turn them into jumps */
	keep_frame();
}

static void run_faults(unsigned int nr)
{
	area_size = nr * area_step;
	access_below(CALLERS - 1);
}

/* Map the area, or release its pages and keep its page tables. */
static void prepare_area(bool write, int fd, unsigned int pages)
{
	area_write = write;
	area_step = pages * getpagesize();
	area_size = operations * area_step;
	if (!area) {
		area = mmap(NULL, area_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
		if (area == MAP_FAILED)
			err(1, "mmap");
		/* Ignore the error of a kernel without transparent huge pages. */
		madvise(area, area_size, MADV_NOHUGEPAGE);
	}
	if (madvise(area, area_size, MADV_DONTNEED))
		err(1, "madvise");
}

static void prepare_write(void)
{
	prepare_area(true, -1, 1);
}

static void prepare_zero(void)
{
	prepare_area(false, -1, 1);
}

static void prepare_file(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(MAPPED, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, MAPPED);
	prepare_area(false, fd, AROUND);
}

/* Create the file that the load "file" maps, in the page cache. */
static void create_mapped(void)
{
	static char page[4096];
	int fd = open(MAPPED, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t left = operations * AROUND;

	if (fd < 0)
		err(1, MAPPED);
	while (left--)
		if (write(fd, page, sizeof(page)) != sizeof(page))
			err(1, MAPPED);
	close(fd);
}

static void run_fork(unsigned int nr)
{
	while (nr--) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			err(1, "fork");
	}
}

static void *thread(void *arg)
{
	return arg;
}

static void run_thread(unsigned int nr)
{
	while (nr--) {
		pthread_t id;

		if (pthread_create(&id, NULL, thread, NULL))
			errx(1, "pthread_create");
		pthread_join(id, NULL);
	}
}

static int to_partner[2], from_partner[2];
static pid_t partner;

static void echo(void)
{
	char byte;

	while (read(to_partner[0], &byte, 1) == 1 &&
	       write(from_partner[1], &byte, 1) == 1)
		;
}

static void prepare_switch(void)
{
	if (partner)
		return;
	if (pipe(to_partner) || pipe(from_partner))
		err(1, "pipe");
	partner = start(echo);
}

static void run_switch(unsigned int nr)
{
	char byte = 0;

	while (nr--)
		if (write(to_partner[1], &byte, 1) != 1 ||
		    read(from_partner[0], &byte, 1) != 1)
			errx(1, "the partner has exited");
}

/**
 * struct load - what the measured program does
 * @name:    as printed
 * @prepare: called before each round, which does not include it; or NULL
 * @run:     does an operation @nr times
 * @divisor: of OPERATIONS, because some take longer
 * @faults:  each operation is exactly one fault
 */
static const struct load {
	const char *name;
	void (*prepare)(void);
	void (*run)(unsigned int nr);
	unsigned int divisor;
	bool faults;
} loads[] = {
	{ "write", prepare_write, run_faults, 1, true },
	{ "zero", prepare_zero, run_faults, 1, true },
	{ "file", prepare_file, run_faults, 1, true },
	{ "fork", NULL, run_fork, 16, false },
	{ "thread", NULL, run_thread, 4, false },
	{ "switch", prepare_switch, run_switch, 1, false },
};

#define NR_LOADS (sizeof(loads) / sizeof(*loads))

/* ---- Profilers ---- */

#define PERF(n, ...) { "perf", "record", "-q", "--no-buildid", "-o", DATA, "-e", \
		       "minor-faults,major-faults", "-d", "-c", n, \
		       ##__VA_ARGS__, "-p", "PID" }

/* A program for bpftrace: print the address and the code of each fault of @comm. */
#define BPFTRACE(comm) { "bpftrace", "-e", \
			 "tracepoint:exceptions:page_fault_user /comm == \"" \
			 comm "\"/ {" \
			 " printf(\"%lx %lx\\n\", args->address, args->ip); }" }

/**
 * struct profiler - what profiles a load
 * @name:    as printed
 * @n:	     mp3 locates one fault in @n; 0 if this is another profiler, or none
 * @callers: mp3 records them
 * @command: of the profiler; "PID" is replaced
 * @prints:  lines that it prints before it is ready
 * @other:   it profiles another process, which sleeps
 * @trees:   is also run for the loads that do more than fault
 */
static const struct profiler {
	const char *name;
	unsigned int n, callers;
	const char *command[20];
	unsigned int prints;
	bool other, trees;
} profilers[] = {
	{ .name = "unloaded", .trees = true },
	{ .name = "off", .trees = true },
	{ .name = "mp3-other", .n = 1, .other = true, .trees = true },
	{ .name = "mp3-1", .n = 1, .trees = true },
	{ .name = "mp3-16", .n = 16 },
	{ .name = "mp3-64", .n = 64, .trees = true },
	{ .name = "mp3-1-callers", .n = 1, .callers = CALLERS, .trees = true },
	{ .name = "mp3-16-callers", .n = 16, .callers = CALLERS },
	{ .name = "mp3-64-callers", .n = 64, .callers = CALLERS },
	{ .name = "perf-other", .command = PERF("1"), .other = true,
	  .trees = true },
	{ .name = "perf-1", .command = PERF("1"), .trees = true },
	{ .name = "perf-16", .command = PERF("16") },
	{ .name = "perf-64", .command = PERF("64"), .trees = true },
	{ .name = "perf-1-g", .command = PERF("1", "-g"), .trees = true },
	{ .name = "perf-16-g", .command = PERF("16", "-g") },
	{ .name = "perf-64-g", .command = PERF("64", "-g") },
	{ .name = "perf-trace",
	  .command = { "perf", "trace", "-F", "all", "--no-syscalls", "-o", DATA,
		       "-p", "PID" } },
	{ .name = "bpftrace-other", .prints = 1, .other = true,
	  .command = BPFTRACE("other") },
	{ .name = "bpftrace", .prints = 1,
	  .command = BPFTRACE(NAME) },
	{ .name = "off-again", .trees = true },
};

#define NR_PROFILERS (sizeof(profilers) / sizeof(*profilers))

/* Locate the faults of a process and its descendants, and write them to a file. */
static void read_faults(const struct profiler *profiler, pid_t pid)
{
	static struct mp3_fault faults[READER_FAULTS];
	struct mp3_reader capture;
	struct mp3_faults reader;
	int fd = open(DATA, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int ret = fd < 0 ? -errno : mp3_capture_open(&capture);

	if (!ret)
		ret = mp3_capture_follow(&capture, pid);
	if (!ret)
		ret = mp3_capture_locate(&capture, profiler->n, profiler->callers);
	if (!ret)
		ret = mp3_faults_open(&reader, &capture);
	if (ret)
		errx(1, "mp3: %s", mp3_strerror(ret));
	for (;;) {
		size_t nr = 0, size;

		while (nr < READER_FAULTS && mp3_faults_next(&reader, &faults[nr]))
			nr++;
		size = nr * sizeof(*faults);
		if (write(fd, faults, size) != (ssize_t)size || reader.lost)
			errx(1, "mp3: faults were lost");
		if (!nr)
			mp3_reader_wait(&capture, -1);
	}
}

/* Start a profiler. Returns its pid, or 0 if there is none to start. */
static pid_t attach(const struct profiler *profiler, pid_t pid)
{
	const char *argv[21];
	char text[16];
	pid_t tool;
	int i;

	unlink(DATA);
	unlink(LOG);
	if (profiler->n) {
		tool = fork();
		if (tool < 0)
			err(1, "fork");
		if (!tool) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			read_faults(profiler, pid);
		}
		return tool;
	}
	if (!profiler->command[0])
		return 0;
	snprintf(text, sizeof(text), "%d", pid);
	for (i = 0; profiler->command[i]; i++)
		argv[i] = strcmp(profiler->command[i], "PID") ?
			  profiler->command[i] : text;
	argv[i] = NULL;
	return start_tool(LOG, argv);
}

/* Wait until a profiler is ready. Returns false if it has exited. */
static bool settle(const struct profiler *profiler, pid_t tool)
{
	bool running = true;

	while (running && profiler->prints && lines_of(LOG) < profiler->prints) {
		sleep_ms(20);
		running = !waitpid(tool, NULL, WNOHANG);
	}
	sleep_ms(SETTLE_MS);

	return running && (!tool || !waitpid(tool, NULL, WNOHANG));
}

static double size_of(const char *path)
{
	struct stat status;

	return stat(path, &status) ? 0 : status.st_size;
}

/* Return how many faults of mp3's output have all that was to be recorded. */
static unsigned int complete_faults(unsigned int callers)
{
	FILE *file = fopen(DATA, "re");
	struct mp3_fault fault;
	unsigned int nr = 0;

	if (!file)
		err(1, DATA);
	while (fread(&fault, sizeof(fault), 1, file) == 1)
		nr += MP3_FAULT_FRAMES(fault.flags) == callers + 1 &&
		      MP3_FRAME_FILE(fault.frames[callers]) &&
		      fault.flags & MP3_FAULT_ACCESS_KNOWN &&
		      fault.stall_ns != MP3_NO_STALL &&
		      fault.file != MP3_UNKNOWN_FILE;
	fclose(file);

	return nr;
}

/* ---- Measuring ---- */

struct result {
	double cpu, elapsed, bytes;
};

/* Return the CPU time of this process, its partner, and its children that ended. */
static double own_cpu(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return cpu_ns(getpid()) + (partner ? cpu_ns(partner) : 0) +
	       (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static long own_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static void subject(const struct load *load, int go, struct result *result)
{
	double cpu[MAX_ROUNDS], elapsed[MAX_ROUNDS];
	unsigned int i, nr = operations / load->divisor;
	long faults;
	char byte;

	prctl(PR_SET_NAME, NAME);
	if (read(go, &byte, 1) != 1)
		_exit(1);
	/* One more round, to warm up */
	for (i = 0; i <= rounds; i++) {
		unsigned int at = i ? i - 1 : 0;

		if (load->prepare)
			load->prepare();
		faults = own_faults();
		cpu[at] = own_cpu();
		elapsed[at] = now_ns();
		load->run(nr);
		elapsed[at] = (now_ns() - elapsed[at]) / nr;
		cpu[at] = (own_cpu() - cpu[at]) / nr;
		faults = own_faults() - faults;
		if (i && load->faults && faults != nr)
			errx(1, "%s: %ld faults instead of %u", load->name, faults, nr);
	}
	sort(cpu, rounds);
	sort(elapsed, rounds);
	result->cpu = quantile(cpu, rounds, 0.5);
	result->elapsed = quantile(elapsed, rounds, 0.5);
	_exit(0);
}

/* End a profiler, after it has written what the load has done. */
static void detach(const struct profiler *profiler, pid_t tool)
{
	sleep_ms(FLUSH_MS);
	kill(tool, profiler->n ? SIGKILL : SIGINT);
	if (waitpid(tool, NULL, 0) != tool)
		err(1, "%s", profiler->name);
}

/* Measure a load. Returns false if the profiler does not run here. */
static bool measure(const struct load *load, const struct profiler *profiler,
		    pid_t other, struct result *result)
{
	struct result *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int all = (rounds + 1) * (operations / load->divisor);
	int go[2], status;
	pid_t pid, tool;

	if (shared == MAP_FAILED || pipe(go))
		err(1, "measure");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		subject(load, go[0], shared);
	tool = attach(profiler, profiler->other ? other : pid);
	if (!settle(profiler, tool)) {
		end(pid, SIGKILL);
		return false;
	}
	if (write(go[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid || status)
		errx(1, "the load %s failed", load->name);
	if (tool) {
		detach(profiler, tool);
		shared->bytes = (size_of(DATA) + size_of(LOG)) / all;
	}
	if (load->faults && profiler->n && !profiler->other &&
	    complete_faults(profiler->callers) < all / profiler->n)
		errx(1, "%s: faults are incomplete or missing", profiler->name);
	close(go[0]);
	close(go[1]);
	*result = *shared;
	munmap(shared, sizeof(*shared));
	/* mp3's events remain for a second. */
	if (profiler->n)
		sleep_ms(RELEASE_MS);

	return true;
}

/* Print why a profiler does not run: the first line of what it has printed. */
static void print_failure(const struct load *load, const struct profiler *profiler)
{
	FILE *file = fopen(LOG, "re");
	char line[256] = "";

	if (!file || !fgets(line, sizeof(line), file))
		strcpy(line, "it printed nothing");
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = '\0';
	printf("# %s: %s does not run in this guest: %s\n", load->name, profiler->name,
	       line);
}

static void load_module(void)
{
	int fd = open("/mp3/mp3.ko", O_RDONLY | O_CLOEXEC);

	if (syscall(SYS_finit_module, fd, "", 0))
		err(1, "mp3.ko");
	close(fd);
}

int main(int argc, char **argv)
{
	double plain[NR_LOADS];
	unsigned int i, p;
	pid_t other;

	if (argc != 3)
		errx(2, "usage: located ROUNDS OPERATIONS");
	rounds = parse_number(argv[1]);
	operations = parse_number(argv[2]);
	if (rounds > MAX_ROUNDS || operations < 160)
		errx(2, "at most %d rounds, at least 160 operations", MAX_ROUNDS);
	create_mapped();
	other = start(asleep);
	describe();
	printf("# load profiler cpu above elapsed bytes\n");
	for (p = 0; p < NR_PROFILERS; p++) {
		const struct profiler *profiler = &profilers[p];

		for (i = 0; i < NR_LOADS; i++) {
			struct result result;

			if (!loads[i].faults && !profiler->trees)
				continue;
			if (!measure(&loads[i], profiler, other, &result)) {
				print_failure(&loads[i], profiler);
				continue;
			}
			if (!p)
				plain[i] = result.cpu;
			printf("%s %s %.1f %.1f %.1f %.1f\n", loads[i].name,
			       profiler->name, result.cpu, result.cpu - plain[i],
			       result.elapsed, result.bytes);
			fflush(stdout);
		}
		if (!p)
			load_module();
	}
	end(other, SIGKILL);
	if (syscall(SYS_delete_module, "mp3", 0))
		err(1, "delete_module");

	return 0;
}
