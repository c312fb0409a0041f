// SPDX-License-Identifier: GPL-2.0
/*
 * The totals of mp3ctl export and serve: names of cgroups, processes whose last record
 * is late or lost, and faults of a process id that is used again.
 */
/* The structure of that name there is another one. */
#define totals guest_totals
#include "../guest/test.h"
#undef totals
#include "../../tools/cgroup.c"
#include "../../tools/name.c"
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
	ok(nr_cgroups == 2 && !strcmp(cgroup_name(outer.st_ino), "/a.slice") &&
	   !strcmp(cgroup_name(inner.st_ino), "/a.slice/b\\x01"),
	   "one walk finds each cgroup");
	walk(path, strlen(path));
	ok_eq(nr_cgroups, 2, "a second walk adds no cgroup again");
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

int main(void)
{
	test_walk();
	cgroup_recorded(1, "/a");
	cgroup_recorded(2, "/b");
	test_unescape();
	test_late_last_record();
	test_lost_last_record();
	test_reused_id();

	return done();
}
