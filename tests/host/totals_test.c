// SPDX-License-Identifier: GPL-2.0
/*
 * The totals of mp3ctl export and serve: names of cgroups, processes whose last record
 * is late or lost, faults of a process id that is used again, and rows that are.
 */
/* The structure of that name there is another one. */
#define totals guest_totals
#include "../guest/test.h"
#undef totals
#include "../../tools/cgroup.c"
#include "../../tools/name.c"
#include "../../tools/prometheus.c"
#include "../../tools/set.c"
#include "../../tools/totals.c"
#include "../../tools/util.c"

#define PATIENCE_NS NSEC_PER_SEC
#define PID 7

/* ---- Names ---- */

static void test_unescape(void)
{
	static const char *const cut[] = {
		"\\x4", "\\x", "\\x4\0zz", "\\x\0004141", "\\x 4", "\\x+4",
	};
	char text[16];
	bool good = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cut); i++) {
		memset(text, 'z', sizeof(text));
		memcpy(text, cut[i], strlen(cut[i]) + 1);
		text_unescape(text);
		good = good && !strcmp(text, cut[i]);
	}
	ok(good, "a name with half an escape stays as it is, and ends where it did");
	strcpy(text, "\\x41\\\\x42\\xff");
	text_unescape(text);
	ok(!strcmp(text, "A\\x42\xff"), "a name has the bytes that were escaped");
}

/* ---- Cgroups ---- */

static void test_walk(void)
{
	char path[] = "/tmp/totals_test.XXXXXX", child[64], file[96];
	struct stat outer, inner;

	if (!mkdtemp(path))
		err(1, "%s", path);
	snprintf(child, sizeof(child), "%s/a.slice", path);
	snprintf(file, sizeof(file), "%s/b\x01", child);
	if (mkdir(child, 0700) || mkdir(file, 0700) ||
	    stat(child, &outer) || stat(file, &inner))
		err(1, "%s", child);
	walk(path, strlen(path));
	walk("/nonexistent", 0);
	ok(cgroups.nr == 2 && !strcmp(cgroup_name(outer.st_ino), "/a.slice") &&
	   !strcmp(cgroup_name(inner.st_ino), "/a.slice/b\\x01"),
	   "one walk finds each cgroup");
	walk(path, strlen(path));
	ok_eq(cgroups.nr, 2, "a second walk adds no cgroup again");
	rmdir(file);
	rmdir(child);
	rmdir(path);
	cgroup_forget();
}

/* ---- Processes ---- */

static const char *gone = "";

static bool has_gone(void *data, __u32 pid)
{
	(void)data;
	return strchr(gone, (int)pid);
}

/* Adds both records of another process that has ended, or goes on. */
static void run(struct totals *totals, __u32 pid, __u64 time_ns, __u64 cgroup_id,
		const char *name, __u32 flags)
{
	struct mp3_record record = {
		.time_ns = time_ns,
		.pid = pid,
		.flags = MP3_IDENTITY,
		.start_ns = time_ns,
		.cgroup_id = cgroup_id,
	};

	strcpy(record.comm, name);
	totals_record(totals, &record);
	record = (struct mp3_record){
		.time_ns = time_ns,
		.pid = pid,
		.flags = MP3_FIRST | flags,
		.min_flt = 10,
		.maj_flt = 1,
		.cpu_ns = NSEC_PER_SEC,
		.rss_bytes = flags ? 0 : 4096,
	};
	strcpy(record.comm, name);
	totals_record(totals, &record);
}

static void identity(struct totals *totals, __u64 start_ns, __u64 cgroup_id)
{
	const struct mp3_record record = {
		.time_ns = start_ns + 1,
		.pid = PID,
		.flags = MP3_IDENTITY,
		.start_ns = start_ns,
		.cgroup_id = cgroup_id,
		.comm = "name",
	};

	totals_record(totals, &record);
}

static void count(struct totals *totals, __u64 time_ns, __u32 flags)
{
	const struct mp3_record record = {
		.time_ns = time_ns,
		.pid = PID,
		.flags = flags,
		.min_flt = 10,
		.rss_bytes = flags & MP3_LAST ? 0 : 4096,
		.comm = "name",
	};

	totals_record(totals, &record);
}

/* Starts totals with a process in /a. */
static void start(struct totals *totals)
{
	totals_init(totals, 10, 10);
	totals->every = 1;
	totals->since_ns = 100;
	gone = "";
	identity(totals, 1000, 1);
	count(totals, 2000, MP3_FIRST);
}

static void test_late_last_record(void)
{
	const char pid[] = { PID, '\0' };
	struct totals totals;

	start(&totals);
	totals_sweep(&totals, 3000, has_gone, NULL);
	ok_eq(totals.cgroups.rows[1].rss_bytes, 4096,
	      "a sweep keeps the memory of a process that is registered");
	gone = pid;
	totals_sweep(&totals, 3000, has_gone, NULL);
	ok(!totals.names.rows[1].rss_bytes && !totals.cgroups.rows[1].rss_bytes,
	   "a sweep leaves out the memory of a process that is gone");
	totals_settle(&totals, 3000 + PATIENCE_NS / 2);
	count(&totals, 4000, MP3_LAST);
	ok(totals.cgroups.rows[1].min_flt == 20 && !totals.cgroups.rows[0].min_flt,
	   "a last record that follows a sweep is counted in the cgroup of its process");
	totals_settle(&totals, 4001 + 2 * PATIENCE_NS);
	ok(!totals.nr_members && !totals.nr_ended && !totals.by_pid[PID],
	   "a process that has exited is forgotten");
}

static void test_lost_last_record(void)
{
	const char pid[] = { PID, '\0' };
	struct totals totals;

	start(&totals);
	gone = pid;
	totals_sweep(&totals, 3000, has_gone, NULL);
	identity(&totals, 1000, 1);
	count(&totals, 4000, MP3_FIRST);
	ok(totals.names.rows[1].started == 1 &&
	   totals.names.rows[1].rss_bytes == 4096 && !totals.nr_ended,
	   "a process that is followed again after a sweep has started once");
	totals_sweep(&totals, 5000, has_gone, NULL);
	totals_sweep(&totals, 6000, has_gone, NULL);
	totals_settle(&totals, 5000 + 2 * PATIENCE_NS);
	ok_eq(totals.nr_members, 1, "a process that is gone is remembered at first");
	totals_settle(&totals, 5001 + 2 * PATIENCE_NS);
	ok(!totals.nr_members && !totals.nr_ended && !totals.by_pid[PID],
	   "a process whose last record is lost is forgotten");
}

/* ---- Faults ---- */

static void test_reused_id(void)
{
	const struct mp3_fault fault = {
		.time_ns = 5000,
		.pid = PID,
		.stall_ns = 70,
	};
	struct totals totals;

	start(&totals);
	count(&totals, 3000, MP3_LAST);
	totals_fault(&totals, &fault);
	totals_settle(&totals, 6000);
	ok_eq(totals.nr_waiting, 1,
	      "a fault after the last record of a process waits for the next one");
	identity(&totals, 4000, 2);
	totals_settle(&totals, 7000);
	ok(totals.cgroups.rows[2].stall_ns == 70 && !totals.nr_waiting,
	   "a fault is that of the process that has its id by then");

	start(&totals);
	count(&totals, 3000, MP3_LAST);
	totals_fault(&totals, &fault);
	totals_settle(&totals, 5000 + PATIENCE_NS);
	ok_eq(totals.nr_waiting, 1, "a fault waits for as long as it is to");
	totals_settle(&totals, 5001 + PATIENCE_NS);
	ok(totals.cgroups.rows[1].stall_ns == 70 && !totals.nr_waiting,
	   "a fault is that of the process that has exited if no other one comes");
}

/* ---- Rows that are used again ---- */

#define KEEP_NS (1000 * NSEC_PER_SEC)

/* Returns what a page of the totals has, in static memory. */
static const char *page(const struct totals *totals)
{
	static const struct profiler profiler = { .live = true };
	static char text[16384];
	FILE *file = fmemopen(text, sizeof(text), "w");

	if (!file)
		err(1, "page");
	prometheus_print(file, false, totals, &profiler);
	if (fclose(file))
		err(1, "page");

	return text;
}

/* Returns whether a page has a line. */
static bool page_has(const struct totals *totals, const char *line)
{
	const char *found = page(totals);
	size_t length = strlen(line);

	while ((found = strstr(found, line))) {
		if (found[-1] == '\n' && found[length] == '\n')
			return true;
		found++;
	}
	return false;
}

/* Sums a counter over rows, and over those that were dropped. */
static __u64 sum(const struct total_rows *rows, size_t offset)
{
	__u64 sum, value;
	size_t i;

	memcpy(&sum, (const char *)&rows->former + offset, sizeof(sum));
	for (i = 0; i < rows->nr; i++) {
		memcpy(&value, (const char *)&rows->rows[i] + offset,
		       sizeof(value));
		sum += value;
	}

	return sum;
}

static bool sums_are_exact(const struct totals *totals, __u64 runs)
{
	const struct total_rows *tables[] = { &totals->names, &totals->cgroups };
	bool good = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tables); i++)
		good = good &&
		       sum(tables[i], offsetof(struct total, min_flt)) == 10 * runs &&
		       sum(tables[i], offsetof(struct total, maj_flt)) == runs &&
		       sum(tables[i], offsetof(struct total, cpu_ns)) ==
		       NSEC_PER_SEC * runs &&
		       sum(tables[i], offsetof(struct total, started)) == runs;
	return good;
}

/*
 * There are two rows. A name that ran once has one, a process that goes on has the
 * other, and a second one finds no room.
 */
static void start_rows(struct totals *totals, __u64 keep_ns)
{
	totals_init(totals, 2, 2);
	totals->keep_ns = keep_ns;
	totals_settle(totals, 1000);
	run(totals, 1, 2000, 1, "once", MP3_LAST);
	run(totals, 2, 2000, 2, "stays", 0);
	run(totals, 3, 3000, 3, "late", 0);
	run(totals, 4, 3000, 4, "late over", MP3_LAST);
	/* The processes that have ended are forgotten in the second. */
	totals_settle(totals, 4000);
	totals_settle(totals, 4000 + 2 * PATIENCE_NS);
}

static void test_reused_rows(void)
{
	const __u64 begin_ns = 4000 + 2 * PATIENCE_NS;
	struct totals totals;

	start_rows(&totals, KEEP_NS);
	totals_settle(&totals, begin_ns + KEEP_NS - 1);
	ok(page_has(&totals, "mp3_minor_faults_total{comm=\"once\"} 10") &&
	   page_has(&totals, "mp3_cgroup_minor_faults_total{cgroup=\"/a\"} 10") &&
	   page_has(&totals, "mp3_minor_faults_total{comm=\"other\"} 20") &&
	   page_has(&totals, "mp3_former_minor_faults_total 0"),
	   "a row whose processes have ended is kept for a while, though others need it");
	totals_settle(&totals, begin_ns + KEEP_NS + REUSE_NS);
	ok(!strstr(page(&totals), "\"once\"") && !strstr(page(&totals), "\"/a\"") &&
	   page_has(&totals, "mp3_minor_faults_total{comm=\"late\"} 0") &&
	   page_has(&totals, "mp3_resident_memory_bytes{comm=\"late\"} 4096") &&
	   page_has(&totals, "mp3_cgroup_resident_memory_bytes{cgroup=\"/c\"} 4096") &&
	   page_has(&totals, "mp3_resident_memory_bytes{comm=\"other\"} 0"),
	   "a row that was unused for that long becomes that of a running process without one");
	ok(page_has(&totals, "mp3_minor_faults_total{comm=\"other\"} 20") &&
	   page_has(&totals, "mp3_former_minor_faults_total 10") &&
	   page_has(&totals, "mp3_former_major_faults_total 1") &&
	   page_has(&totals, "mp3_former_cpu_seconds_total 1.000000000") &&
	   page_has(&totals, "mp3_former_processes_started_total 1") &&
	   page_has(&totals, "mp3_former_cgroup_minor_faults_total 10"),
	   "what a dropped row has counted moves to the former rows, and not to \"other\"");
	ok(page_has(&totals, "mp3_minor_faults_total{comm=\"stays\"} 10") &&
	   page_has(&totals, "mp3_cgroup_minor_faults_total{cgroup=\"/b\"} 10"),
	   "a row is kept as long as a process has its name or is in its cgroup");
	run(&totals, 1, begin_ns + 2 * KEEP_NS, 1, "once", MP3_LAST);
	ok(!strstr(page(&totals), "\"once\"") &&
	   page_has(&totals, "mp3_minor_faults_total{comm=\"other\"} 30") &&
	   page_has(&totals, "mp3_cgroup_minor_faults_total{cgroup=\"other\"} 30") &&
	   sums_are_exact(&totals, 5),
	   "sums over the rows and the former ones are exact, with new names in \"other\"");
}

static void test_rows_return(void)
{
	const __u64 begin_ns = 4000 + 2 * PATIENCE_NS;
	struct totals totals;

	start_rows(&totals, KEEP_NS);
	run(&totals, 3, begin_ns + 1, 3, "late", MP3_LAST);
	run(&totals, 2, begin_ns + 1, 2, "stays", MP3_LAST);
	totals_settle(&totals, begin_ns + 2);
	totals_settle(&totals, begin_ns + 2 + 2 * PATIENCE_NS);
	totals_settle(&totals, begin_ns + 2 * KEEP_NS);
	ok(!totals.names.rows[1].label && !totals.cgroups.rows[2].label,
	   "processes that have ended get no row");
	run(&totals, 1, begin_ns + 2 * KEEP_NS + 1, 1, "once", MP3_LAST);
	ok(page_has(&totals, "mp3_minor_faults_total{comm=\"once\"} 10") &&
	   page_has(&totals, "mp3_cgroup_minor_faults_total{cgroup=\"/a\"} 10") &&
	   sums_are_exact(&totals, 7),
	   "a name and a cgroup whose rows were dropped get others, which start at 0");
}

static void test_kept_rows(void)
{
	struct totals totals;

	start_rows(&totals, 0);
	totals_settle(&totals, 10 * KEEP_NS);
	ok(page_has(&totals, "mp3_minor_faults_total{comm=\"once\"} 10") &&
	   page_has(&totals, "mp3_cgroup_minor_faults_total{cgroup=\"/a\"} 10"),
	   "the rows of a recording are kept");

	totals_init(&totals, 2, 2);
	totals.keep_ns = KEEP_NS;
	run(&totals, 1, 2000, 1, "once", MP3_LAST);
	run(&totals, 2, 2000, 2, "stays", 0);
	totals_settle(&totals, 4000);
	totals_settle(&totals, 10 * KEEP_NS);
	totals_settle(&totals, 20 * KEEP_NS);
	ok(page_has(&totals, "mp3_minor_faults_total{comm=\"once\"} 10"),
	   "a row that nothing else needs is kept");
}

int main(void)
{
	test_walk();
	cgroup_recorded(1, "/a");
	cgroup_recorded(2, "/b");
	cgroup_recorded(3, "/c");
	cgroup_recorded(4, "/d");
	test_unescape();
	test_late_last_record();
	test_lost_last_record();
	test_reused_id();
	test_reused_rows();
	test_rows_return();
	test_kept_rows();

	return done();
}
