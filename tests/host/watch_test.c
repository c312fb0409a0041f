// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl watch: the lines of each format, and the command against a ring in a
 * file, so that times and counts are known exactly.
 */
#include <unistd.h>

#include "../../tools/util.h"

/* The test itself may run in a container. */
static bool in_initial_namespace = true;
#define in_initial_pid_namespace() in_initial_namespace

/* Files may take only a part of what is written. */
static bool writes_parts;

static ssize_t write_part(int fd, const void *data, size_t size)
{
	return write(fd, data, writes_parts ? (size + 1) / 2 : size);
}

#include "../../tools/capture.c"
#include "../../tools/format.c"
#include "../../tools/live.c"
#include "../../tools/name.c"
#include "../../tools/options.c"
#define write write_part
#include "../../tools/output.c"
#undef write
#include "../../tools/proc.c"
#include "../../tools/select.c"
#include "../../tools/source.c"
#include "../../tools/watch.c"
#undef in_initial_pid_namespace
#include "../../tools/util.c"
#include <pthread.h>

#include "fake_ring.h"

static struct run run;

/* ---- Lines ---- */

/* Returns whether an entry is printed as @line. */
static bool prints(struct layout *layout, const char *format,
		   const struct entry *entry, const char *line)
{
	layout->format = format_find(format);
	out.size = 0;
	format_put_entry(layout, entry);
	out.text[out.size] = '\0';
	out.size = 0;
	out.pending = 0;
	if (!strcmp(out.text, line))
		return true;
	diag("got  %s# want %s", out.text, line);
	return false;
}

/* Returns whether a name is this word in a text record. */
static bool is_word(struct layout *layout, const char *name, const char *word)
{
	struct entry entry = {
		.time_ns = FAKE_BASE_NS,
		.record = {
			.pid = 1,
			.min_flt = 2,
			.maj_flt = 3,
			.cpu_ns = 4,
			.rss_bytes = 5,
		},
	};
	char line[OUTPUT_LINE];

	memcpy(entry.record.comm, name,
	       strnlen(name, sizeof(entry.record.comm)));
	snprintf(line, sizeof(line), "0.000000 1 - 2 3 4 5 %s\n", word);
	return prints(layout, "text", &entry, line);
}

static void test_record_lines(void)
{
	struct layout layout = { .records = true, .base_ns = FAKE_BASE_NS };
	struct entry entry = {
		.time_ns = FAKE_BASE_NS + 61000345678ULL,
		.record = {
			.pid = 42,
			.flags = MP3_FIRST | MP3_LAST,
			.min_flt = 1,
			.maj_flt = 2,
			.cpu_ns = 3,
			.rss_bytes = 4096,
			.comm = "a \"\\,\033[1m\n\xc3\xa4",
		},
	};
	char line[OUTPUT_LINE];

	ok(prints(&layout, "text", &entry,
		  "61.000345 42 FL 1 2 3 4096 a\\x20\"\\\\\\x2c\\x1b[1m\\x0a\\xc3\\xa4\n"),
	   "a text record escapes the process name");
	ok(prints(&layout, "csv", &entry,
		  "61.000345,42,\"FL\",1,2,3,4096,\"a \"\"\\\\,\\x1b[1m\\x0a\\xc3\\xa4\"\n"),
	   "a csv record quotes strings and doubles their quotes");
	strcpy(entry.record.comm, "\"\\\033");
	snprintf(line, sizeof(line), "%s%s",
		 "{\"seconds\":61.000345,\"pid\":42,\"flags\":\"FL\",\"min_flt\":1,\"maj_flt\":2,",
		 "\"cpu_ns\":3,\"rss_bytes\":4096,\"comm\":\"\\\"\\\\\\\\\\\\x1b\"}\n");
	ok(prints(&layout, "json", &entry, line),
	   "a json record is an object with escaped strings");
	ok(is_word(&layout, "a b", "a\\x20b") &&
	   is_word(&layout, "   ", "\\x20\\x20\\x20") &&
	   is_word(&layout, "a,b", "a\\x2cb") && is_word(&layout, "", "\\x00") &&
	   is_word(&layout, "a\\x20b", "a\\\\x20b"),
	   "each process name is one unmistakable word in a text record");
	ok(is_word(&layout, "123456789abcdefg", "123456789abcdef"),
	   "a process name without a NUL is cut off");

	memset(&entry.record, 0xff, sizeof(entry.record));
	entry.time_ns = ~0ULL;
	layout.base_ns = 0;
	layout.time = TIME_WALL;
	memset(entry.record.comm, '"', sizeof(entry.record.comm));
	out.size = 0;
	layout.format = format_find("json");
	format_put_entry(&layout, &entry);
	ok(out.size > 200 && out.size < OUTPUT_LINE,
	   "the longest record fits into a line of output");
	out.size = 0;
	out.pending = 0;
}

static void test_identity_lines(void)
{
	struct layout layout = { .records = true, .base_ns = FAKE_BASE_NS };
	struct entry entry = {
		.time_ns = FAKE_BASE_NS + 61000345678ULL,
		.record = {
			.pid = 42,
			.flags = MP3_IDENTITY,
			.ppid = 7,
			.uid = 1000,
			.start_ns = FAKE_BASE_NS + 60000345678ULL,
			.cgroup_id = 1234,
			.comm = "a b",
		},
	};
	char line[OUTPUT_LINE];

	ok(prints(&layout, "text", &entry,
		  "61.000345 42 I 7 1000 60.000345 1234 a\\x20b\n"),
	   "a text identity record has eight words and the flag I");
	ok(prints(&layout, "csv", &entry,
		  "61.000345,42,\"I\",7,1000,60.000345,1234,\"a b\"\n"),
	   "a csv identity record has as many columns as other records");
	snprintf(line, sizeof(line), "%s%s",
		 "{\"seconds\":61.000345,\"pid\":42,\"flags\":\"I\",\"ppid\":7,\"uid\":1000,",
		 "\"start_seconds\":60.000345,\"cgroup_id\":1234,\"comm\":\"a b\"}\n");
	ok(prints(&layout, "json", &entry, line),
	   "a json identity record is an object with names of its own");
	entry.record.start_ns = FAKE_BASE_NS - 500000000;
	ok(prints(&layout, "text", &entry,
		  "61.000345 42 I 7 1000 -0.500000 1234 a\\x20b\n"),
	   "the start of a process before the module's load is negative");
	layout.time = TIME_WALL;
	layout.wall_ns = 1700000000 * NSEC_PER_SEC - FAKE_BASE_NS;
	snprintf(line, sizeof(line), "%s%s%s",
		 "{\"time\":\"2023-11-14T22:14:21.000345+00:00\",\"pid\":42,",
		 "\"flags\":\"I\",\"ppid\":7,\"uid\":1000,\"start_time\":",
		 "\"2023-11-14T22:13:19.500000+00:00\",\"cgroup_id\":1234,\"comm\":\"a b\"}\n");
	ok(prints(&layout, "json", &entry, line),
	   "--time wall prints the start of a process as date and time");
}

static void test_sample_lines(void)
{
	struct layout layout = { .base_ns = FAKE_BASE_NS };
	struct entry entry = {
		.time_ns = FAKE_BASE_NS + 61000345678ULL,
		.sample = { 4294893570, 5, 6, 200 },
	};

	ok(prints(&layout, "text", &entry, "4294893570 5 6 200\n"),
	   "a text sample is its four numbers");
	layout.time = TIME_LOAD;
	ok(prints(&layout, "json", &entry,
		  "{\"seconds\":61.000345,\"min_flt\":5,\"maj_flt\":6,\"cpu_percent\":200}\n"),
	   "--time load prints seconds since the module's load");
	layout.time = TIME_WALL;
	layout.wall_ns = 1700000000 * NSEC_PER_SEC - FAKE_BASE_NS;
	ok(prints(&layout, "csv", &entry,
		  "\"2023-11-14T22:14:21.000345+00:00\",5,6,200\n"),
	   "--time wall prints the date and time");
	setenv("TZ", "XXX+03:30", true);
	tzset();
	ok(prints(&layout, "text", &entry,
		  "2023-11-14T18:44:21.000345-03:30 5 6 200\n"),
	   "--time wall prints the time zone with a colon, as ISO 8601 has it");
	setenv("TZ", "UTC", true);
	tzset();
}

/* ---- The command ---- */

static void start_watch(struct fake_ring *ring, const char *arguments,
			rlim_t limit)
{
	start_run(&run, cmd_watch, "mp3ctl watch", arguments,
		  ring ? ring->path : NULL, limit);
}

/* Runs mp3ctl watch and returns whether it printed exactly this. */
static bool watch(struct fake_ring *ring, const char *arguments,
		  const char *output, const char *errors)
{
	start_watch(ring, arguments, RLIM_INFINITY);
	finish_run(&run);
	if (run.status == 0 && !strcmp(run.out, output) &&
	    !strcmp(run.errors, errors))
		return true;
	diag("%s: status %d, got: %.300s errors: %s", arguments, run.status,
	     run.out, run.errors);
	return false;
}

static bool refuses(const char *arguments)
{
	start_watch(NULL, arguments, RLIM_INFINITY);
	finish_run(&run);
	if (run.status == 2 && !run.out[0] && run.errors[0] &&
	    strchr(run.errors, '\n') == strrchr(run.errors, '\n'))
		return true;
	diag("%s: status %d: %s", arguments, run.status, run.errors);
	return false;
}

static void test_usage(void)
{
	ok(refuses("--format xml") && refuses("--time never") &&
	   refuses("--since x") && refuses("--since -1") &&
	   refuses("--since nan") && refuses("-p 0") && refuses("-p 1x") &&
	   refuses("-p 4194304") && refuses("--what") && refuses("x"),
	   "mp3ctl watch refuses a bad argument with one line and status 2");
	ok(refuses("-f") && refuses("-a -p 1") && refuses("-a --samples") &&
	   refuses("-f -p 1 --history") && refuses("-a -d /dev/mp3_procs") &&
	   refuses("--identity --samples"),
	   "mp3ctl watch refuses a contradictory selection with one line and status 2");
	ok(refuses("--history --for 3") && refuses("--history --until-idle") &&
	   refuses("--samples -p 1"),
	   "mp3ctl watch refuses contradictory options with one line and status 2");
	in_initial_namespace = false;
	start_watch(NULL, "--history -p 1", RLIM_INFINITY);
	finish_run(&run);
	ok(run.status == 1 && !run.out[0] &&
	   !strcmp(run.errors,
		   "mp3ctl watch: -p: this is not the pid namespace of the records' process ids\n"),
	   "mp3ctl watch refuses -p in another pid namespace with one line and status 1");
	in_initial_namespace = true;
	ok(refuses("-d a -d b") && refuses("--since 1 --since 2") &&
	   refuses("--format csv --format json") && refuses("--history --history"),
	   "mp3ctl watch refuses an option that is given twice");
}

static void test_history(void)
{
	struct fake_ring ring;
	__u64 now = initial_monotonic_ns();

	fake_open(&ring, sizeof(struct mp3_record), 64);
	ring.header->base_ns = now - 100 * NSEC_PER_SEC;
	ring.header->missed = 3;
	fake_publish_record(&ring, now - 70 * NSEC_PER_SEC, 4190001, "a");
	fake_publish_record(&ring, now - 50 * NSEC_PER_SEC, 4190002, "b");
	fake_publish_record(&ring, now - 30 * NSEC_PER_SEC, 4190003, "c");
	fake_publish_record(&ring, now - 30 * NSEC_PER_SEC, 4190001, "a");
	ok(watch(&ring, "--history",
		 "30.000000 4190001 - 0 0 0 0 a\n"
		 "50.000000 4190002 - 1 0 0 0 b\n"
		 "70.000000 4190003 - 2 0 0 0 c\n"
		 "70.000000 4190001 - 3 0 0 0 a\n"
		 "# 4 records read, 0 lost, hz 250\n",
		 "mp3ctl watch: 3 ticks missed\n"),
	   "mp3ctl watch --history prints the ring, oldest first, and reports missed ticks");
	ring.header->missed = 0;
	ok(watch(&ring, "--history -p 4190001 -p 4190003",
		 "30.000000 4190001 - 0 0 0 0 a\n"
		 "70.000000 4190003 - 2 0 0 0 c\n"
		 "70.000000 4190001 - 3 0 0 0 a\n"
		 "# 3 records read, 0 lost, hz 250\n", ""),
	   "mp3ctl watch -p prints the records of each of several processes");
	ok(watch(&ring, "--history --since 60 --format csv",
		 "seconds,pid,flags,min_flt,maj_flt,cpu_ns,rss_bytes,comm\n"
		 "50.000000,4190002,\"-\",1,0,0,0,\"b\"\n"
		 "70.000000,4190003,\"-\",2,0,0,0,\"c\"\n"
		 "70.000000,4190001,\"-\",3,0,0,0,\"a\"\n",
		 "mp3ctl watch: 3 records read, 0 lost, hz 250\n"),
	   "mp3ctl watch --format csv prints a header line, and the summary to stderr");
	ok(watch(&ring, "--history --since 60 --for 20",
		 "50.000000 4190002 - 1 0 0 0 b\n"
		 "# 1 records read, 0 lost, hz 250\n", ""),
	   "mp3ctl watch --for ends that long after --since");
	ok(watch(&ring, "--history --since 1e9 --for 0",
		 "# 0 records read, 0 lost, hz 250\n", ""),
	   "mp3ctl watch --since starts no earlier than the clock");
	fake_close(&ring);
}

/* Publishes a process' identity record and its first record. */
static void publish_first(struct fake_ring *ring, __u32 pid)
{
	struct mp3_record record = {
		.time_ns = FAKE_BASE_NS,
		.pid = pid,
		.flags = MP3_IDENTITY,
		.ppid = 1,
		.comm = "a",
	};

	fake_publish(ring, &record);
	record.flags = MP3_FIRST;
	record.min_flt = 2;
	fake_publish(ring, &record);
}

static void test_identity(void)
{
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_record), 64);
	publish_first(&ring, 4190001);
	publish_first(&ring, 4190002);
	ok(watch(&ring, "--history",
		 "0.000000 4190001 F 2 0 0 0 a\n"
		 "0.000000 4190002 F 2 0 0 0 a\n"
		 "# 2 records read, 0 lost, hz 250\n", ""),
	   "mp3ctl watch prints no identity records by default");
	ok(watch(&ring, "--history --identity --format csv -p 4190002",
		 "seconds,pid,flags,min_flt,maj_flt,cpu_ns,rss_bytes,comm\n"
		 "seconds,pid,flags,ppid,uid,start_seconds,cgroup_id,comm\n"
		 "0.000000,4190002,\"I\",1,0,-5.000000,0,\"a\"\n"
		 "0.000000,4190002,\"F\",2,0,0,0,\"a\"\n",
		 "mp3ctl watch: 2 records read, 0 lost, hz 250\n"),
	   "mp3ctl watch --identity prints identity records, with a csv header of their own");
	fake_close(&ring);
}

static void test_lost(void)
{
	struct fake_ring ring;
	unsigned int i;

	fake_open(&ring, sizeof(struct mp3_sample), 64);
	fake_publish_samples(&ring, 100);
	start_watch(&ring, "--history --samples", RLIM_INFINITY);
	finish_run(&run);
	ok(strstr(run.out, "\n# 62 samples read, at most 38 lost, hz 250\n"),
	   "mp3ctl watch --history reports what may be lost after an overwrite");
	fake_close(&ring);

	fake_open(&ring, sizeof(struct mp3_record), 64);
	for (i = 0; i < 100; i++)
		fake_publish_record(&ring, FAKE_BASE_NS + i * NSEC_PER_SEC,
				    4190001 + i % 2, "a");
	start_watch(&ring, "--history -p 4190002", RLIM_INFINITY);
	finish_run(&run);
	ok(strstr(run.out, "\n# 31 records read, at most 38 lost, hz 250\n"),
	   "mp3ctl watch --history -p reports what may be lost of all processes");
	for (i = 0; i < 100; i++)
		publish_first(&ring, 4190001);
	start_watch(&ring, "--history", RLIM_INFINITY);
	finish_run(&run);
	ok(strstr(run.out, "\n# 31 records read, at most 238 lost, hz 250\n"),
	   "mp3ctl watch --history reports what may be lost before an identity record");
	ok(watch(&ring, "--since 0 --for 0 --format json", "",
		 "mp3ctl watch: 0 records read, 0 lost, hz 250\n"),
	   "a live mp3ctl watch does not report what was lost before its start");
	fake_close(&ring);
}

static void test_full_disk(void)
{
	static char whole[sizeof(run.out)];
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_sample), MP3_SAMPLES);
	fake_publish_samples(&ring, 1000);
	start_watch(&ring, "--history --samples", RLIM_INFINITY);
	finish_run(&run);
	strcpy(whole, run.out);
	start_watch(&ring, "--history --samples", 9999);
	finish_run(&run);
	ok(run.status == 1 && strlen(run.out) == 9999 &&
	   !strncmp(run.out, whole, 9999) &&
	   !strcmp(run.errors, "mp3ctl watch: standard output: File too large\n"),
	   "mp3ctl watch prints nothing twice when the disk is full");
	fake_close(&ring);
}

static void test_parts(void)
{
	static char whole[sizeof(run.out)];
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_sample), MP3_SAMPLES);
	fake_publish_samples(&ring, 1000);
	start_watch(&ring, "--history --samples", RLIM_INFINITY);
	finish_run(&run);
	strcpy(whole, run.out);
	writes_parts = true;
	start_watch(&ring, "--history --samples", RLIM_INFINITY);
	finish_run(&run);
	writes_parts = false;
	ok(run.status == 0 && !strcmp(run.out, whole),
	   "mp3ctl watch prints everything once to a file that takes parts of it");
	fake_close(&ring);
}

static bool is_running_still(void)
{
	siginfo_t info = {};

	sleep_ms(300);
	return !waitid(P_PID, (id_t)run.pid, &info,
		       WEXITED | WNOHANG | WNOWAIT) && !info.si_pid;
}

static void test_until_idle(void)
{
	struct fake_ring ring;
	bool waited;

	fake_open(&ring, sizeof(struct mp3_record), 64);
	fake_publish_record(&ring, FAKE_BASE_NS, 4190001, "old");
	start_watch(&ring, "--until-idle", RLIM_INFINITY);
	waited = is_running_still();
	ring.header->processes = 1;
	waited = waited && is_running_still();
	fake_publish_record(&ring, FAKE_BASE_NS, 4190002, "new");
	__atomic_store_n(&ring.header->processes, 0, __ATOMIC_RELEASE);
	finish_run(&run);
	ok(waited && run.status == 0 &&
	   !strcmp(run.out,
		   "0.000000 4190001 - 0 0 0 0 old\n"
		   "0.000000 4190002 - 1 0 0 0 new\n"
		   "# 2 records read, 0 lost, hz 250\n"),
	   "mp3ctl watch --until-idle waits for a process, and ends after its last record");

	start_watch(&ring, "--until-idle --since 0", RLIM_INFINITY);
	waited = is_running_still();
	fake_publish_record(&ring, FAKE_BASE_NS, 4190003, "short");
	finish_run(&run);
	ok(waited && run.status == 0,
	   "mp3ctl watch --until-idle ends after a process that it never saw registered");

	start_watch(&ring, "--until-idle --since 0", RLIM_INFINITY);
	ring.header->ticks += 20;
	waited = is_running_still();
	ring.header->processes = 1;
	waited = waited && is_running_still();
	ring.header->processes = 0;
	finish_run(&run);
	ok(waited && run.status == 0,
	   "mp3ctl watch --until-idle does not take the ticks of a capture for a process");
	fake_close(&ring);
}

/* A thread other than the first of its process. */
static void *print_own(void *arg)
{
	pid_t *thread = arg;
	struct fake_ring ring;
	char arguments[64], line[64];

	*thread = gettid();
	fake_open(&ring, sizeof(struct mp3_record), 64);
	fake_publish_record(&ring, FAKE_BASE_NS, (__u32)getpid(), "a");
	snprintf(arguments, sizeof(arguments), "--history -p %d", *thread);
	snprintf(line, sizeof(line),
		 "0.000000 %d - 0 0 0 0 a\n# 1 records read, 0 lost, hz 250\n",
		 getpid());
	ok(*thread != getpid() && watch(&ring, arguments, line, ""),
	   "mp3ctl watch -p with a thread id prints the records of its process");
	fake_close(&ring);

	return NULL;
}

static void test_thread_id(void)
{
	pthread_t thread;
	pid_t id;

	if (pthread_create(&thread, NULL, print_own, &id) ||
	    pthread_join(thread, NULL))
		errx(1, "pthread");
}

int main(void)
{
	setenv("TZ", "UTC", true);
	test_record_lines();
	test_identity_lines();
	test_sample_lines();
	test_usage();
	test_history();
	test_identity();
	test_lost();
	test_full_disk();
	test_parts();
	test_until_idle();
	test_thread_id();

	return done();
}
