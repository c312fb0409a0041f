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
#include "../../tools/cgroup.c"
#include "../../tools/csv.c"
#include "../../tools/emit.c"
#include "../../tools/filter.c"
#include "../../tools/fit.c"
#include "../../tools/format.c"
#include "../../tools/interval.c"
#include "../../tools/json.c"
#include "../../tools/live.c"
#include "../../tools/metric.c"
#include "../../tools/name.c"
#include "../../tools/names.c"
#include "../../tools/options.c"
#define write write_part
#include "../../tools/output.c"
#undef write
#include "../../tools/proc.c"
#include "../../tools/progress.c"
#include "../../tools/recorded.c"
#include "../../tools/recording.c"
#include "../../tools/report.c"
#include "../../tools/rows.c"
#include "../../tools/rows_tree.c"
#include "../../tools/select.c"
#include "../../tools/set.c"
#include "../../tools/source.c"
#include "../../tools/table.c"
#include "../../tools/user.c"
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
	format_put_entry(layout, entry, NULL);
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
	format_put_entry(&layout, &entry, NULL);
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
	sleep_ms(300);
	return runs_still(&run);
}

static void test_until_idle(void)
{
	struct fake_ring ring;
	bool waited;

	fake_open(&ring, sizeof(struct mp3_record), 64);
	fake_publish_record(&ring, FAKE_BASE_NS, 4190001, "old");
	start_watch(&ring, "--until-idle", RLIM_INFINITY);
	wait_for_signals(&run);
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
	wait_for_signals(&run);
	waited = is_running_still();
	fake_publish_record(&ring, FAKE_BASE_NS, 4190003, "short");
	finish_run(&run);
	ok(waited && run.status == 0,
	   "mp3ctl watch --until-idle ends after a process that it never saw registered");

	start_watch(&ring, "--until-idle --since 0", RLIM_INFINITY);
	wait_for_signals(&run);
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

/* ---- Intervals ---- */

#define MS 1000000ULL

/* Publishes records with counts, at milliseconds after the base. */
static void publish_counts(struct fake_ring *ring, __u64 ms, __u32 pid,
			   const char *name, __u64 min_flt, __u32 flags)
{
	struct mp3_record record = {
		.time_ns = FAKE_BASE_NS + ms * MS,
		.pid = pid,
		.flags = flags,
		.min_flt = min_flt,
		.maj_flt = min_flt / 10,
		.cpu_ns = 1000 * min_flt,
		.rss_bytes = flags & MP3_LAST ? 0 : 4096 * (ms + 1),
	};

	strncpy(record.comm, name, sizeof(record.comm) - 1);
	fake_publish(ring, &record);
}

static void publish_identity(struct fake_ring *ring, __u64 ms, __u32 pid,
			     __u32 ppid, __u32 uid)
{
	struct mp3_record record = {
		.time_ns = FAKE_BASE_NS + ms * MS,
		.pid = pid,
		.flags = MP3_IDENTITY,
		.ppid = ppid,
		.uid = uid,
		.start_ns = FAKE_BASE_NS + ms * MS,
		.cgroup_id = 4000000000000000000ULL + uid,
		.comm = "born",
	};

	fake_publish(ring, &record);
}

static void test_edges(void)
{
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_record), 64);
	publish_counts(&ring, 0, 4190001, "a", 1, MP3_FIRST);
	publish_counts(&ring, 999, 4190001, "a", 10, 0);
	publish_counts(&ring, 1000, 4190001, "a", 100, 0);
	publish_counts(&ring, 1000, 4190002, "b", 20000, MP3_FIRST);
	publish_counts(&ring, 1001, 4190001, "a", 1000, 0);
	publish_counts(&ring, 1500, 4190003, "idle", 0, MP3_FIRST);
	publish_counts(&ring, 5200, 4190001, "a2", 10000, MP3_LAST);
	ok(watch(&ring, "--history -i 1",
		 "0.000000 4190001 F 1 0 1000 4096 a\n"
		 "1.000000 4190002 F 20000 2000 20000000 4100096 b\n"
		 "1.000000 4190001 - 110 11 110000 4100096 a\n"
		 "2.000000 4190001 - 1000 100 1000000 4104192 a\n"
		 "6.000000 4190001 L 10000 1000 10000000 0 a2\n"
		 "# 7 records read, 0 lost, hz 250\n", ""),
	   "mp3ctl watch -i adds a record to the interval that ends at or after its tick");
	ok(watch(&ring, "--history -i 2.5",
		 "0.000000 4190001 F 1 0 1000 4096 a\n"
		 "2.500000 4190002 F 20000 2000 20000000 4100096 b\n"
		 "2.500000 4190001 - 1110 111 1110000 4104192 a\n"
		 "7.500000 4190001 L 10000 1000 10000000 0 a2\n"
		 "# 7 records read, 0 lost, hz 250\n", ""),
	   "mp3ctl watch -i takes intervals with a fraction");
	ok(watch(&ring, "--history 2.5 -p 4190002 --format csv",
		 "seconds,pid,flags,min_flt,maj_flt,cpu_ns,rss_bytes,comm\n"
		 "2.500000,4190002,\"F\",20000,2000,20000000,4100096,\"b\"\n",
		 "mp3ctl watch: 1 records read, 0 lost, hz 250\n"),
	   "an interval of mp3ctl watch can be an argument, as that of pidstat");
	fake_close(&ring);
}

/* Returns the sum of a column of numbers in text lines. */
static __u64 sum_column(const char *text, unsigned int column)
{
	char *lines = strdup(text), *rest = lines, *line, *word;
	unsigned int i;
	__u64 sum = 0;

	while ((line = strsep(&rest, "\n"))) {
		if (!line[0] || line[0] == '#')
			continue;
		for (i = 0; i <= column; i++)
			word = strsep(&line, " ");
		sum += strtoull(word, NULL, 10);
	}
	free(lines);

	return sum;
}

/* Random records: whatever the interval and the groups are, the sums are the same. */
static void test_sums(void)
{
	static const char *const arguments[] = {
		"-i 0.001", "-i 0.05", "-i 1", "-i 3600", "--by name",
		"--by user -i 0.2", "--by cgroup -i 0.01", "--by tree",
		"--by tree -i 0.013",
	};
	static const unsigned int columns[] = { 3, 3, 3, 3, 2, 2, 2, 3, 3 };
	__u64 sum = 0, ms = 0, seed = 1, min_flt;
	struct fake_ring ring;
	unsigned int i, wrong = 0;
	char line[64], name[16];
	__u32 pid;

	fake_open(&ring, sizeof(struct mp3_record), 8192);
	for (i = 0; i < 3000; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		ms += (seed >> 33) % 4 * 25;
		pid = 4190000 + (seed >> 35) % 40;
		min_flt = (seed >> 41) % 1000;
		if ((seed >> 51) % 8 == 0)
			publish_identity(&ring, ms, pid, pid - 1,
					 4000000000u + pid % 5);
		snprintf(name, sizeof(name), "n%u", pid % 7);
		publish_counts(&ring, ms, pid, name, min_flt,
			       (seed >> 54) % 8 ? 0 : MP3_LAST);
		sum += min_flt;
	}
	snprintf(line, sizeof(line), "# 3000 records read, 0 lost, hz 250\n");
	for (i = 0; i < ARRAY_SIZE(arguments); i++) {
		char words[64];

		snprintf(words, sizeof(words), "--history %s", arguments[i]);
		start_watch(&ring, words, RLIM_INFINITY);
		finish_run(&run);
		if (sum_column(run.out, columns[i]) == sum &&
		    strstr(run.out, line) && !run.errors[0])
			continue;
		diag("%s: %s", arguments[i], run.errors);
		wrong++;
	}
	ok_eq(wrong, 0,
	      "the rows of mp3ctl watch sum up to all records, for each interval and group");
	fake_close(&ring);
}

static void test_groups(void)
{
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_record), 64);
	publish_identity(&ring, 10, 4190001, 1, 4000000001u);
	publish_counts(&ring, 10, 4190001, "sh", 1, MP3_FIRST);
	publish_identity(&ring, 100, 4190002, 4190001, 4000000001u);
	publish_counts(&ring, 100, 4190002, "a b", 20, MP3_FIRST);
	publish_identity(&ring, 200, 4190003, 4190002, 4000000002u);
	publish_counts(&ring, 200, 4190003, "a b", 300, MP3_FIRST | MP3_LAST);
	publish_counts(&ring, 300, 4190004, "old", 4000, 0);
	publish_counts(&ring, 1100, 4190002, "a b", 5, 0);
	ok(watch(&ring, "--history --by name",
		 "1.000000 1 4000 400 4000000 1232896 old\n"
		 "1.000000 2 320 32 320000 413696 a\\x20b\n"
		 "1.000000 1 1 0 1000 45056 sh\n"
		 "2.000000 1 5 0 5000 4509696 a\\x20b\n"
		 "# 5 records read, 0 lost, hz 250\n", ""),
	   "mp3ctl watch --by name prints a row for each name and second");
	ok(watch(&ring, "--history --by user --format csv",
		 "seconds,processes,min_flt,maj_flt,cpu_ns,rss_bytes,user\n"
		 "1.000000,1,4000,400,4000000,1232896,\"unknown\"\n"
		 "1.000000,1,300,30,300000,0,\"4000000002\"\n"
		 "1.000000,2,21,2,21000,458752,\"4000000001\"\n"
		 "2.000000,2,5,0,5000,4554752,\"4000000001\"\n",
		 "mp3ctl watch: 5 records read, 0 lost, hz 250\n"),
	   "mp3ctl watch --by user prints a row for each user, with its idle processes");
	ok(watch(&ring, "--history --by cgroup -i 10 --format json",
		 "{\"seconds\":10.000000,\"processes\":1,\"min_flt\":4000,\"maj_flt\":400,\"cpu_ns\":4000000,\"rss_bytes\":1232896,\"cgroup\":\"unknown\"}\n"
		 "{\"seconds\":10.000000,\"processes\":1,\"min_flt\":300,\"maj_flt\":30,\"cpu_ns\":300000,\"rss_bytes\":0,\"cgroup\":\"cgroup 4000000004000000002\"}\n"
		 "{\"seconds\":10.000000,\"processes\":2,\"min_flt\":26,\"maj_flt\":2,\"cpu_ns\":26000,\"rss_bytes\":4554752,\"cgroup\":\"cgroup 4000000004000000001\"}\n",
		 "mp3ctl watch: 5 records read, 0 lost, hz 250\n"),
	   "mp3ctl watch --by cgroup prints a row for each cgroup");
	ok(watch(&ring, "--history --by tree",
		 "1.000000 4190004 - 4000 400 4000000 1232896 0 old\n"
		 "1.000000 4190001 F 1 0 1000 45056 0 sh\n"
		 "1.000000 4190002 F 20 2 20000 413696 1   a\\x20b\n"
		 "1.000000 4190003 FL 300 30 300000 0 2     a\\x20b\n"
		 "2.000000 4190001 - 0 0 0 45056 0 sh\n"
		 "2.000000 4190002 - 5 0 5000 4509696 1   a\\x20b\n"
		 "# 5 records read, 0 lost, hz 250\n", ""),
	   "mp3ctl watch --by tree indents each process below its parent, also an idle one");
	ok(watch(&ring, "--history --by tree --filter min_flt>=300 --format csv",
		 "seconds,pid,flags,min_flt,maj_flt,cpu_ns,rss_bytes,depth,comm\n"
		 "1.000000,4190004,\"-\",4000,400,4000000,1232896,0,\"old\"\n"
		 "1.000000,4190001,\"F\",1,0,1000,45056,0,\"sh\"\n"
		 "1.000000,4190002,\"F\",20,2,20000,413696,1,\"a b\"\n"
		 "1.000000,4190003,\"FL\",300,30,300000,0,2,\"a b\"\n",
		 "mp3ctl watch: 5 records read, 0 lost, hz 250\n"),
	   "mp3ctl watch --by tree prints the depth as csv, and ancestors of what a filter accepts");
	fake_close(&ring);
}

/* ---- Filters ---- */

/* Returns whether a filter leaves the records with these process ids. */
static bool leaves(struct fake_ring *ring, const char *arguments,
		   const char *pids)
{
	char words[128], got[64] = "", *rest = run.out, *line;

	snprintf(words, sizeof(words), "--history %s", arguments);
	start_watch(ring, words, RLIM_INFINITY);
	finish_run(&run);
	while ((line = strsep(&rest, "\n")) && line[0] && line[0] != '#')
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.1s",
			 strchr(line, ' ') + 7);
	if (run.status == 0 && !strcmp(got, pids))
		return true;
	diag("%s: status %d, got %s %s", arguments, run.status, got, run.errors);
	return false;
}

static void test_filters(void)
{
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_record), 64);
	publish_identity(&ring, 0, 4190001, 1, 0);
	publish_counts(&ring, 0, 4190001, "sh", 1, MP3_FIRST);
	publish_identity(&ring, 100, 4190002, 4190001, 1);
	publish_counts(&ring, 100, 4190002, "sort", 20, MP3_FIRST);
	publish_counts(&ring, 300, 4190003, "a/b", 4000, 0);
	ok(leaves(&ring, "--filter name=s*", "12") &&
	   leaves(&ring, "--filter name!=s*", "3") &&
	   leaves(&ring, "--filter name=*b", "3") &&
	   leaves(&ring, "--filter name=s", "") &&
	   leaves(&ring, "--filter pid=4190002", "2") &&
	   leaves(&ring, "--filter pid>4190001", "23"),
	   "mp3ctl watch --filter selects processes by name and process id");
	ok(leaves(&ring, "--filter user=root", "1") &&
	   leaves(&ring, "--filter user=0", "1") &&
	   leaves(&ring, "--filter user!=root", "2") &&
	   leaves(&ring, "--filter uid>=1", "2") &&
	   leaves(&ring, "--filter cgroup=cgroup*1", "2") &&
	   leaves(&ring, "--filter cgroup!=/", "12"),
	   "mp3ctl watch --filter selects processes by user and cgroup, if they are known");
	ok(leaves(&ring, "--filter min_flt>1", "23") &&
	   leaves(&ring, "--filter maj_flt>=2", "23") &&
	   leaves(&ring, "--filter min_flt=20", "2") &&
	   leaves(&ring, "--filter cpu_ns<=20000", "12") &&
	   leaves(&ring, "--filter rss_bytes<4097", "1"),
	   "mp3ctl watch --filter selects records by their counts");
	ok(leaves(&ring, "--filter name=s* --filter min_flt>1", "2") &&
	   leaves(&ring, "--filter name=s* --filter name!=sh", "2") &&
	   leaves(&ring, "--filter name=s* -p 4190003", ""),
	   "each of several filters of mp3ctl watch must hold");
	ok(refuses("--filter x=1") && refuses("--filter name") &&
	   refuses("--filter name>a") && refuses("--filter min_flt=x") &&
	   refuses("--filter min_flt") && refuses("--filter pid=-1") &&
	   refuses("--filter user=nobody-has-this-name") &&
	   refuses("--filter =1") && refuses("--samples --filter min_flt>1"),
	   "mp3ctl watch refuses a filter that is no expression with one line and status 2");
	fake_close(&ring);

	/* A shell that becomes sort within an interval */
	fake_open(&ring, sizeof(struct mp3_record), 64);
	publish_counts(&ring, 100, 4190001, "sh", 1, MP3_FIRST);
	publish_counts(&ring, 200, 4190001, "sort", 20, 0);
	publish_counts(&ring, 1100, 4190001, "sort", 300, 0);
	ok(watch(&ring, "--history -i 1 --filter name=sh",
		 "1.000000 4190001 F 1 0 1000 823296 sh\n"
		 "# 1 records read, 0 lost, hz 250\n", "") &&
	   watch(&ring, "--history --by name --filter name=sort --filter min_flt>20",
		 "2.000000 1 300 30 300000 4509696 sort\n"
		 "# 2 records read, 0 lost, hz 250\n", ""),
	   "a row has the counts of the selected records, and filters of counts apply to it");
	fake_close(&ring);
}

/* ---- Templates ---- */

static void test_templates(void)
{
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_record), 64);
	publish_identity(&ring, 0, 4190001, 17, 0);
	publish_counts(&ring, 0, 4190001, "a\033b", 1, MP3_FIRST);
	publish_counts(&ring, 500, 4190002, "=x", 20, 0);
	ok(watch(&ring, "--history --format {pid}\\t{comm}|{min_flt}{maj_flt}\\n",
		 "4190001\ta\\x1bb|10\n4190002\t=x|202\n",
		 "mp3ctl watch: 2 records read, 0 lost, hz 250\n"),
	   "mp3ctl watch --format prints a template with fields, escapes and escaped names");
	ok(watch(&ring, "--history --format {ppid},{uid},{user},{cgroup}\\n",
		 "17,0,root,cgroup\\x204000000000000000000\n"
		 "unknown,unknown,unknown,unknown\n",
		 "mp3ctl watch: 2 records read, 0 lost, hz 250\n") &&
	   watch(&ring, "--history --format {start_seconds},{cgroup_id}\\n",
		 "0.000000,4000000000000000000\nunknown,unknown\n",
		 "mp3ctl watch: 2 records read, 0 lost, hz 250\n"),
	   "a template of mp3ctl watch can contain the identity of the process");
	ok(watch(&ring, "--history --by name --format {seconds}:{processes}:{comm}:{rss_bytes}\\n",
		 "0.000000:1:a\\x1bb:4096\n1.000000:1:=x:2052096\n",
		 "mp3ctl watch: 2 records read, 0 lost, hz 250\n") &&
	   watch(&ring, "--history --format \\{\\\\{flags}}\\n", "{\\F}\n{\\-}\n",
		 "mp3ctl watch: 2 records read, 0 lost, hz 250\n"),
	   "a template of mp3ctl watch can contain the fields of rows, and braces");
	ok(refuses("--format {}") && refuses("--format {x}") &&
	   refuses("--format {pid") && refuses("--format \\x{pid}") &&
	   refuses("--format {pid}\\") && refuses("--format {processes}") &&
	   refuses("--by user --format {pid}") && refuses("--format pid") &&
	   refuses("--samples --format {comm}") &&
	   refuses("--identity --format {comm}"),
	   "mp3ctl watch refuses a template with an unknown field or escape with one line and status 2");
	fake_close(&ring);
}

/* ---- Cells of csv ---- */

/* Returns whether python's csv reads these names from the last column. */
static bool python_reads(const char *csv, const char *names)
{
	static const char program[] =
		"import csv, sys\n"
		"rows = list(csv.DictReader(open(sys.argv[1], newline='')))\n"
		"assert all(r['min_flt'] == '1' for r in rows)\n"
		"got = '|'.join(r['comm'] for r in rows)\n"
		"sys.exit(got != sys.argv[2] and 'got ' + got)\n";
	int fd = memfd_create("csv", 0), status;
	char path[32];
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	if (write(fd, csv, strlen(csv)) != (ssize_t)strlen(csv))
		err(1, "memfd");
	pid = fork_child();
	if (!pid) {
		execlp("python3", "python3", "-c", program, path, names, NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0)
		err(1, "waitpid");
	close(fd);

	return !status;
}

static void test_cells(void)
{
	static const char *const names[] = {
		"=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "a=1", "=\"a\",b",
		"", "-",
	};
	struct fake_ring ring;
	unsigned int i;

	fake_open(&ring, sizeof(struct mp3_record), 64);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		publish_counts(&ring, 0, 4190001 + i, names[i], 1, 0);
	start_watch(&ring, "--history --format csv", RLIM_INFINITY);
	finish_run(&run);
	ok(python_reads(run.out,
			"'=1+1|'+1|'-1|'@x|\\x09x|\\x0dx|''=1|a=1|'=\"a\",b||'-"),
	   "a name in csv that a spreadsheet would execute starts with an apostrophe");
	ok(strstr(run.out, "0.000000,4190001,\"-\",1,0,1000,4096,\"'=1+1\"\n"),
	   "the numbers and flags in csv have no apostrophe");
	start_watch(&ring, "--history --format json --filter name==*", RLIM_INFINITY);
	finish_run(&run);
	ok(strstr(run.out, "\"comm\":\"=1+1\"}\n"),
	   "a name in json is exact");
	ok(!strcmp(csv_guard("\tx"), "'") && !strcmp(csv_guard("\rx"), "'") &&
	   !strcmp(csv_guard("=x"), "'") && !strcmp(csv_guard("x=\t"), "") &&
	   !strcmp(csv_guard(""), ""),
	   "a tab or a carriage return at the start of a cell gets an apostrophe, too");
	fake_close(&ring);
}

/* ---- Live intervals ---- */

/* Waits until a run has printed this. */
static void wait_for_output(const struct run *run, const char *output)
{
	char text[64] = "";

	while (strcmp(text, output)) {
		sleep_ms(10);
		if (pread(run->fds[0], text, sizeof(text) - 1, 0) < 0)
			err(1, "pread");
	}
}

static void test_live_intervals(void)
{
	__u64 start_ns = initial_monotonic_ns(), ns;
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_record), 64);
	fake_publish_record(&ring, start_ns, 4190001, "a");
	fake_publish_record(&ring, start_ns, 4190001, "a");
	fake_publish_record(&ring, start_ns, 4190001, "a");
	start_watch(&ring, "-i 0.3 3 --format {pid},{min_flt}\\n",
		    RLIM_INFINITY);
	finish_run(&run);
	ok(run.status == 0 && !strcmp(run.out, "4190001,3\n") &&
	   initial_monotonic_ns() >= start_ns + 900 * MS &&
	   strstr(run.errors, "3 records read, 0 lost"),
	   "mp3ctl watch ends after a count of intervals, and not earlier");

	/* The row is printed while nothing else happens, and the late record later. */
	ns = initial_monotonic_ns();
	fake_publish_record(&ring, ns, 4190003, "c");
	start_watch(&ring, "-p 4190003 -i 0.2 --format {min_flt}\\n",
		    RLIM_INFINITY);
	wait_for_output(&run, "3\n");
	fake_publish_record(&ring, ns, 4190003, "c");
	wait_for_output(&run, "3\n4\n");
	kill(run.pid, SIGINT);
	finish_run(&run);
	ok(run.status == 0 && !strcmp(run.out, "3\n4\n") &&
	   strstr(run.errors, "2 records read, 0 lost"),
	   "mp3ctl watch prints a row soon after its interval, and a late record in the next one");

	/* Records that the interval which starts now contains, however late that is */
	ns = initial_monotonic_ns() + 500 * NSEC_PER_SEC;
	fake_publish_record(&ring, ns, 4190002, "b");
	fake_publish_record(&ring, ns, 4190002, "b");
	start_watch(&ring, "-p 4190002 -i 1000 --format {pid},{min_flt}\\n",
		    RLIM_INFINITY);
	wait_for_signals(&run);
	kill(run.pid, SIGINT);
	finish_run(&run);
	ok(run.status == 0 && !strcmp(run.out, "4190002,11\n") &&
	   strstr(run.errors, "2 records read, 0 lost"),
	   "mp3ctl watch prints the sums of the last interval when a signal ends it");
	fake_close(&ring);
}

/* ---- Recordings ---- */

#define RECORDED_PATH "/proc/self/fd/%d"
#define RECORDED_NS (100 * NSEC_PER_SEC)

static const char recorded_info[] =
	"version=" MP3_VERSION "\nhz=100\ninterval_ns=50000000\n"
	"start_ns=100000000000\n%s";

/*
 * Writes a recording of 10 s into a file in memory: a shell starts the process @pid.
 * Sets @path. Returns the file.
 */
static int make_recording(char path[32], pid_t pid, const char *names,
			  const char *time)
{
	const struct mp3_record records[] = {
		{ .time_ns = RECORDED_NS, .pid = 11, .flags = MP3_IDENTITY,
		  .ppid = 1, .uid = 0, .start_ns = RECORDED_NS - NSEC_PER_SEC,
		  .cgroup_id = 1, .comm = "sh" },
		{ .time_ns = RECORDED_NS, .pid = 11, .flags = MP3_FIRST,
		  .min_flt = 1, .rss_bytes = 4096, .comm = "sh" },
		{ .time_ns = RECORDED_NS + NSEC_PER_SEC, .pid = 11,
		  .min_flt = 10, .rss_bytes = 8192, .comm = "sh" },
		{ .time_ns = RECORDED_NS + NSEC_PER_SEC + 1, .pid = 11,
		  .min_flt = 100, .rss_bytes = 8192, .comm = "sh" },
		{ .time_ns = RECORDED_NS + 4 * NSEC_PER_SEC, .pid = (__u32)pid,
		  .flags = MP3_IDENTITY, .ppid = 11, .uid = 0,
		  .start_ns = RECORDED_NS + 3 * NSEC_PER_SEC, .cgroup_id = 1,
		  .comm = "sh" },
		{ .time_ns = RECORDED_NS + 4 * NSEC_PER_SEC, .pid = (__u32)pid,
		  .flags = MP3_FIRST, .min_flt = 1000, .comm = "sort" },
		{ .time_ns = RECORDED_NS + 9500 * MS, .pid = (__u32)pid,
		  .flags = MP3_LAST, .min_flt = 10000, .comm = "sort" },
	};
	const struct mp3_recording_totals totals = {
		.end_ns = RECORDED_NS + 9750 * MS,
		.lost_records = 5,
		.denied = 1,
	};
	struct recording recording;
	char info[512];
	int fd = memfd_create("recording", 0);

	snprintf(path, 32, RECORDED_PATH, fd);
	snprintf(info, sizeof(info), recorded_info, time);
	if (fd < 0 || !recording_create(&recording, path))
		errx(1, "recording");
	recording_write(&recording, MP3_RECORDING_INFO, info, strlen(info));
	recording_write(&recording, MP3_RECORDING_RECORDS, records,
			sizeof(records));
	recording_write(&recording, MP3_RECORDING_TOTALS, &totals,
			sizeof(totals));
	if (names[0])
		recording_write(&recording, MP3_RECORDING_NAMES, names,
				strlen(names));
	if (!recording_close(&recording))
		errx(1, "recording");

	return fd;
}

/* Returns whether mp3ctl watch prints this for a recording. */
static bool replays(const char *path, const char *arguments, const char *output)
{
	char words[256];

	snprintf(words, sizeof(words), "%s %s", path, arguments);
	start_watch(NULL, words, RLIM_INFINITY);
	finish_run(&run);
	if (run.status == 0 && !strcmp(run.out, output))
		return true;
	diag("%s: status %d, got: %.300s errors: %s", arguments, run.status,
	     run.out, run.errors);
	return false;
}

#define DENIED "mp3ctl watch: 1 process gained privileges and was unregistered\n"

static void test_recordings(void)
{
	char path[32], words[128];
	int fd = make_recording(path, 12, "", "start_time=1700000000.25\n");

	ok(replays(path, "--identity",
		   "0.000000 11 I 1 0 -1.000000 1 sh\n"
		   "0.000000 11 F 1 0 0 4096 sh\n"
		   "1.000000 11 - 10 0 0 8192 sh\n"
		   "1.000000 11 - 100 0 0 8192 sh\n"
		   "4.000000 12 I 11 0 3.000000 1 sh\n"
		   "4.000000 12 F 1000 0 0 0 sort\n"
		   "9.500000 12 L 10000 0 0 0 sort\n"
		   "# 7 records read, 5 lost, hz 100\n") &&
	   !strcmp(run.errors, DENIED),
	   "mp3ctl watch prints the records of a recording, and what was lost then");
	ok(replays(path, "--time wall -p 12 --format csv",
		   "time,pid,flags,min_flt,maj_flt,cpu_ns,rss_bytes,comm\n"
		   "\"2023-11-14T22:13:24.250000+00:00\",12,\"F\",1000,0,0,0,\"sort\"\n"
		   "\"2023-11-14T22:13:29.750000+00:00\",12,\"L\",10000,0,0,0,\"sort\"\n"),
	   "mp3ctl watch --time wall prints the date at which a recording was made");
	ok(replays(path, "-i 1",
		   "1.000000 11 F 11 0 0 8192 sh\n"
		   "2.000000 11 - 100 0 0 8192 sh\n"
		   "4.000000 12 F 1000 0 0 0 sort\n"
		   "9.750000 12 L 10000 0 0 0 sort\n"
		   "# 5 records read, 5 lost, hz 100\n"),
	   "the intervals of a recording start with it, and the last one ends with it");
	ok(replays(path, "2 2",
		   "2.000000 11 F 111 0 0 8192 sh\n"
		   "4.000000 12 F 1000 0 0 0 sort\n"
		   "# 4 records read, 5 lost, hz 100\n"),
	   "mp3ctl watch prints a count of intervals of a recording");
	ok(replays(path, "--since 6",
		   "4.000000 12 F 1000 0 0 0 sort\n"
		   "9.500000 12 L 10000 0 0 0 sort\n"
		   "# 2 records read, 5 lost, hz 100\n") &&
	   replays(path, "--since 9 --for 2",
		   "1.000000 11 - 10 0 0 8192 sh\n"
		   "1.000000 11 - 100 0 0 8192 sh\n"
		   "# 2 records read, 5 lost, hz 100\n") &&
	   replays(path, "--for 1",
		   "0.000000 11 F 1 0 0 4096 sh\n"
		   "1.000000 11 - 10 0 0 8192 sh\n"
		   "# 2 records read, 5 lost, hz 100\n"),
	   "--since and --for of mp3ctl watch are on the time of a recording");
	ok(replays(path, "--by tree -i 5 --since 6",
		   "8.750000 11 - 0 0 0 8192 0 sh\n"
		   "8.750000 12 F 1000 0 0 0 1   sort\n"
		   "9.750000 11 - 0 0 0 8192 0 sh\n"
		   "9.750000 12 L 10000 0 0 0 1   sort\n"
		   "# 2 records read, 5 lost, hz 100\n") &&
	   replays(path, "--by tree -i 60",
		   "9.750000 11 F 111 0 0 8192 0 sh\n"
		   "9.750000 12 FL 11000 0 0 0 1   sort\n"
		   "# 5 records read, 5 lost, hz 100\n"),
	   "mp3ctl watch --by tree prints the tree of a recording");
	ok(replays(path, "--by user -i 60",
		   "9.750000 2 11111 0 0 8192 0\n"
		   "# 5 records read, 5 lost, hz 100\n") &&
	   replays(path, "--by cgroup -i 60",
		   "9.750000 2 11111 0 0 8192 cgroup\\x201\n"
		   "# 5 records read, 5 lost, hz 100\n"),
	   "a recording's users and cgroups without a name are not looked up here");
	ok(replays(path, "--samples --time load",
		   "0.000000 1 0 0\n1.000000 10 0 0\n1.000000 100 0 0\n"
		   "4.000000 1000 0 0\n9.500000 10000 0 0\n"
		   "# 5 samples read, 5 lost, hz 100\n"),
	   "mp3ctl watch --samples prints the samples of a recording");

	snprintf(words, sizeof(words), "%s -f -p 11", path);
	ok(refuses(words), "mp3ctl watch refuses -f with a recording");
	snprintf(words, sizeof(words), "%s --until-idle", path);
	ok(refuses(words), "mp3ctl watch refuses --until-idle with a recording");
	snprintf(words, sizeof(words), "-d %s", path);
	start_watch(NULL, words, RLIM_INFINITY);
	finish_run(&run);
	ok(run.status == 1 && strstr(run.errors, "is a recording"),
	   "mp3ctl watch -d refuses a recording with status 1");
	close(fd);

	fd = make_recording(path, 12, "user\t0\talice\ncgroup\t1\t/a b\n", "");
	snprintf(words, sizeof(words), "%s --time wall", path);
	start_watch(NULL, words, RLIM_INFINITY);
	finish_run(&run);
	ok(run.status == 1 && !run.out[0] && strstr(run.errors, "no date"),
	   "mp3ctl watch --time wall refuses a recording without a date");
	ok(replays(path, "--by user -i 60 --filter user=alice",
		   "9.750000 2 11111 0 0 8192 alice\n"
		   "# 5 records read, 5 lost, hz 100\n") &&
	   replays(path, "--by cgroup -i 60 --filter cgroup=/a*",
		   "9.750000 2 11111 0 0 8192 /a\\x20b\n"
		   "# 5 records read, 5 lost, hz 100\n"),
	   "mp3ctl watch prints the names of users and cgroups that a recording contains");
	close(fd);

	fd = make_recording(path, 12, "cgroup\t1\t/a\\\\x2db\n", "");
	ok(replays(path, "--by cgroup -i 60 --filter cgroup=/a\\\\x2d?",
		   "9.750000 2 11111 0 0 8192 /a\\\\x2db\n"
		   "# 5 records read, 5 lost, hz 100\n"),
	   "mp3ctl watch --filter selects cgroups by their paths, not as they are printed");
	close(fd);
}

/* A thread other than the first of its process. */
static void *print_own(void *arg)
{
	pid_t *thread = arg;
	struct fake_ring ring;
	char arguments[64], line[128], path[32];
	int fd;

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
	fd = make_recording(path, *thread, "", "");
	snprintf(arguments, sizeof(arguments), "-p %d", *thread);
	snprintf(line, sizeof(line),
		 "4.000000 %d F 1000 0 0 0 sort\n"
		 "9.500000 %d L 10000 0 0 0 sort\n"
		 "# 2 records read, 5 lost, hz 100\n", *thread, *thread);
	ok(replays(path, arguments, line),
	   "mp3ctl watch -p with a recording does not take its ids for threads of this machine");
	close(fd);

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

static void test_arguments(void)
{
	ok(refuses("1 2 3") && refuses("-i 1 2 3") && refuses("0") &&
	   refuses("-i x") && refuses("-i 1 0") && refuses("-i 1 1.5") &&
	   refuses("1 x") && refuses("-i 1 5 --for 3") &&
	   refuses("--by pid") && refuses("--by name --by user") &&
	   refuses("--samples -i 1") && refuses("--samples --by name") &&
	   refuses("--identity --by name") && refuses("--history 1 5") &&
	   refuses("/dev/null /dev/null"),
	   "mp3ctl watch refuses wrong intervals and counts with one line and status 2");
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
	test_edges();
	test_sums();
	test_groups();
	test_filters();
	test_templates();
	test_cells();
	test_live_intervals();
	test_recordings();
	test_arguments();

	return done();
}
