/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the C tests: KTAP output, and access to the module's interface with
 * bare system calls, independent of mp3_client.h, which is itself under test.
 *
 * A test program calls ok() or skip() for each result and returns done(). The
 * plan is printed last: a program that dies early prints none, and so fails.
 */
#ifndef MP3_TEST_H
#define MP3_TEST_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../mp3_uapi.h"

#ifndef MP3_CAPTURE_PATH
#define MP3_CAPTURE_PATH	"/dev/mp3_capture"
#endif

#define INTERVAL_PATH	"/sys/module/mp3/parameters/interval_ms"

static int test_nr, test_failed;

/* Print the KTAP version line, once, before anything else. */
static inline void test_begin(void)
{
	static bool begun;

	if (!begun)
		puts("KTAP version 1");
	begun = true;
}

#define diag(fmt, ...) \
	(test_begin(), printf("# " fmt "\n", ##__VA_ARGS__), fflush(stdout))

/* Print a result. Returns @pass. */
__attribute__((format(printf, 2, 3)))
static inline bool ok(bool pass, const char *fmt, ...)
{
	va_list args;

	test_begin();
	printf("%s %d ", pass ? "ok" : "not ok", ++test_nr);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	test_failed += !pass;

	return pass;
}

/* Print a result, which passes if @got equals @want. Prints both if not. */
static inline bool ok_eq(long long got, long long want, const char *name)
{
	if (!ok(got == want, "%s", name)) {
		diag("got %lld, want %lld", got, want);
		return false;
	}
	return true;
}

static inline void skip(const char *name, const char *reason)
{
	test_begin();
	printf("ok %d %s # SKIP %s\n", ++test_nr, name, reason);
	fflush(stdout);
}

/* Print the plan. Returns the exit status. */
static inline int done(void)
{
	test_begin();
	printf("1..%d\n", test_nr);
	return test_failed ? 1 : 0;
}

/* Write @text to a sysfs, procfs or cgroup file. Returns 0 or -errno. */
static inline int try_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);

	return ret;
}

static inline void write_file(const char *path, const char *text)
{
	int ret = try_write(path, text);

	if (ret)
		errx(1, "%s: %s", path, strerror(-ret));
}

static inline void set_interval(const char *ms)
{
	write_file(INTERVAL_PATH, ms);
}

/*
 * Write to the status file with a single write(2). Returns the number of bytes
 * accepted, or -errno.
 */
static inline int status_write(const void *text, size_t size)
{
	int fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, size);
	if (ret < 0)
		ret = -errno;
	close(fd);

	return ret;
}

/* Write a single command to the status file. Returns 0 or -errno. */
static inline int command(char letter, pid_t pid)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "%c,%d", letter, pid);
	int ret = status_write(line, len);

	return ret < 0 ? ret : 0;
}

static inline void command_or_die(char letter, pid_t pid)
{
	int ret = command(letter, pid);

	if (ret)
		errx(1, "%c,%d: %s", letter, pid, strerror(-ret));
}

/* Returns the contents of the status file, which the caller frees. */
static inline char *status_text(void)
{
	size_t size = 0, capacity = 1 << 16;
	char *text = malloc(capacity);
	int fd = open(MP3_STATUS_PATH, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0 || !text)
		err(1, "%s", MP3_STATUS_PATH);
	while ((got = read(fd, text + size, capacity - size - 1)) > 0) {
		size += got;
		if (capacity - size > 4096)
			continue;
		capacity *= 2;
		text = realloc(text, capacity);
		if (!text)
			err(1, "realloc");
	}
	if (got < 0)
		err(1, "read %s", MP3_STATUS_PATH);
	close(fd);
	text[size] = '\0';

	return text;
}

/* Returns the number of lines of the status file that contain @pid. */
static inline int listed(pid_t pid)
{
	char *text = status_text(), *line;
	int count = 0;

	for (line = text; *line; line = strchr(line, '\n') + 1)
		count += atoi(line) == pid;
	free(text);

	return count;
}

/* The mapped ring of samples: writable data, read-only header. */
struct ring {
	int fd;
	volatile struct mp3_header *header;
	volatile struct mp3_sample *samples;
	size_t data_size;
};

static inline struct ring ring_open(void)
{
	struct ring ring = { .fd = open(MP3_DEVICE_PATH, O_RDWR | O_CLOEXEC) };
	long page = sysconf(_SC_PAGESIZE);

	ring.data_size = MP3_DATA_PAGES * page;
	if (ring.fd < 0)
		err(1, "%s", MP3_DEVICE_PATH);
	ring.header = mmap(NULL, page, PROT_READ, MAP_SHARED, ring.fd,
			   MP3_OFF_HEADER);
	ring.samples = mmap(NULL, ring.data_size, PROT_READ | PROT_WRITE,
			    MAP_SHARED, ring.fd, 0);
	if (ring.header == MAP_FAILED || ring.samples == MAP_FAILED)
		err(1, "mmap %s", MP3_DEVICE_PATH);

	return ring;
}

static inline uint64_t ring_head(const struct ring *ring)
{
	return __atomic_load_n(&ring->header->head, __ATOMIC_ACQUIRE);
}

struct totals {
	unsigned long samples, min_flt, maj_flt, cpu_percent;
};

/*
 * Returns the sum of the samples from entry @from to the head, none of which may
 * have been overwritten.
 */
static inline struct totals ring_sum(const struct ring *ring, uint64_t from)
{
	struct totals sum = { 0 };
	uint64_t i, head = ring_head(ring);

	if (head - from > MP3_SAMPLES - 2)
		errx(1, "samples were overwritten");
	for (i = from; i < head; i++) {
		volatile struct mp3_sample *s = &ring->samples[i % MP3_SAMPLES];

		sum.samples++;
		sum.min_flt += s->min_flt;
		sum.maj_flt += s->maj_flt;
		sum.cpu_percent += s->cpu_percent;
	}
	return sum;
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static inline void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* Wait until nothing is registered; from then on, head does not change. */
static inline void wait_idle(const struct ring *ring)
{
	int i;

	/* Generous: only a hang takes a minute. */
	for (i = 0; i < 6000; i++) {
		if (!__atomic_load_n(&ring->header->processes, __ATOMIC_ACQUIRE))
			return;
		sleep_ms(10);
	}
	errx(1, "still registered after a minute: %u processes",
	     ring->header->processes);
}

/* ---- Workloads ---- */

/* Take exactly @pages minor faults. */
static inline void touch(size_t pages)
{
	long page = sysconf(_SC_PAGESIZE);
	char *area;
	size_t i;

	if (!pages)
		return;
	area = mmap(NULL, pages * page, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		err(1, "mmap");
	/* Ignore the error of a kernel without transparent huge pages. */
	madvise(area, pages * page, MADV_NOHUGEPAGE);
	for (i = 0; i < pages; i++)
		((volatile char *)area)[i * page] = 1;
	munmap(area, pages * page);
}

static inline pid_t fork_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	return pid;
}

/* Fork a child that sleeps until it is killed or its parent exits. */
static inline pid_t sleeper(void)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

/* ---- Memory cgroup ---- */

#define CGROUPS	"/sys/fs/cgroup"
#define CGROUP	CGROUPS "/mp3"

static inline void make_cgroup(void)
{
	write_file(CGROUPS "/cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0755))
		err(1, CGROUP);
}

static inline void enter_cgroup(void)
{
	write_file(CGROUP "/cgroup.procs", "0");
}

#endif /* MP3_TEST_H */
