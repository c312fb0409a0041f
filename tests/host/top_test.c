// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl top: the rates that it computes from records, and its rows. The records
 * are made up, so that their times and counts are known exactly.
 */
#include <math.h>

#include "../../mp3_uapi.h"

/* The processes of this system do not matter. */
#undef MP3_STATUS_PATH
#define MP3_STATUS_PATH "/nonexistent"

#include "../../tools/capture.c"
#include "../../tools/name.c"
#include "../../tools/source.c"
#include "../../tools/table.c"
#include "../../tools/top_rows.c"
#include "../../tools/util.c"
#include "../guest/test.h"

#define START_NS	(1000 * NSEC_PER_SEC)

static struct mp3_header header = { .interval_ns = NSEC_PER_SEC / 20 };
static const struct source source = { .reader.header = &header };

static void record(struct top *top, double seconds, __u32 pid, __u32 flags,
		   __u64 min_flt, __u64 maj_flt)
{
	struct mp3_record record = {
		.time_ns = START_NS + (__u64)(seconds * 1e9),
		.pid = pid,
		.flags = flags,
		.min_flt = min_flt,
		.maj_flt = maj_flt,
		.cpu_ns = min_flt * 1000000,
		.rss_bytes = 1000 * pid,
		.comm = "name",
	};

	top_count(top, &record);
}

static void refresh(struct top *top, double seconds)
{
	top_refresh(top, &source, START_NS + (__u64)(seconds * 1e9));
}

/* Returns the newest row of a process id, or NULL. */
static const struct process *find(const struct top *top, __u32 pid)
{
	size_t i;

	for (i = top->table.nr; i; i--)
		if (top->table.rows[i - 1]->pid == pid)
			return top->table.rows[i - 1];
	return NULL;
}

static bool is_about(double value, double expected)
{
	return fabs(value - expected) < 0.001;
}

static bool shows(const struct top *top, __u32 pid, double major, double minor)
{
	const struct process *process = find(top, pid);

	if (process && is_about(process->top.rates[TOP_MAJOR], major) &&
	    is_about(process->top.rates[TOP_MINOR], minor) &&
	    is_about(process->top.rates[TOP_CPU], minor / 10))
		return true;
	diag("process %u: %f major and %f minor faults per second", pid,
	     process ? process->top.rates[TOP_MAJOR] : -1,
	     process ? process->top.rates[TOP_MINOR] : -1);
	return false;
}

/* Sorts by a key and returns whether the rows are these three. */
static bool sorts(struct top *top, char key, const __u32 *pids)
{
	struct process **rows = top->table.rows;

	if (!top_sort_by(top, key))
		return false;
	top_sort(top);
	return top->table.nr == 3 && rows[0]->pid == pids[0] &&
	       rows[1]->pid == pids[1] && rows[2]->pid == pids[2];
}

static void test_rates(struct top *top)
{
	/* The ring held one process that has exited, and one from long ago. */
	record(top, 1, 999901, MP3_FIRST, 1000, 0);
	record(top, 2, 999901, MP3_LAST, 1000, 0);
	record(top, 3, 7, MP3_FIRST, 1000, 0);
	top_start(top, &source, START_NS + 10 * NSEC_PER_SEC);
	ok(!find(top, 999901),
	   "top does not show a process that exited before the start");

	record(top, 10.5, 7, 0, 10, 1);
	record(top, 10.5, 8, MP3_FIRST, 30, 0);
	record(top, 11, 7, 0, 10, 1);
	header.ticks = 20;
	refresh(top, 11);
	ok(shows(top, 7, 2, 20) && shows(top, 8, 0, 30),
	   "top divides the counts since the start by the time since then");
	refresh(top, 12);
	ok(shows(top, 7, 2, 20), "top keeps its rates until the next tick");

	/* The machine was busy: one tick in four seconds. */
	record(top, 15, 7, 0, 400, 4);
	header.ticks++;
	refresh(top, 15.1);
	ok(shows(top, 7, 1, 100) && shows(top, 8, 0, 0),
	   "top divides counts by the time between ticks, not between refreshes");
	header.ticks += 20;
	refresh(top, 16);
	ok(shows(top, 7, 0, 0), "top shows 0 after ticks without records");
	record(top, 16.5, 7, 0, 30, 0);
	header.ticks += 10;
	refresh(top, 17);
	ok(shows(top, 7, 0, 60),
	   "top divides counts after an idle time by the time since then");
	record(top, 16.51, 7, 0, 1, 0);
	refresh(top, 17.1);
	ok(shows(top, 7, 0, 20), "top divides counts by at least one interval");
}

static void test_exit(struct top *top)
{
	record(top, 18.51, 8, MP3_LAST, 100, 0);
	refresh(top, 19);
	ok(shows(top, 8, 0, 50), "top shows a process that exited once more");
	refresh(top, 20);
	ok(!find(top, 8) && top->table.nr == 1,
	   "top shows a process that exited only once more");
	record(top, 20.51, 8, MP3_LAST, 0, 0);
	record(top, 20.51, 8, MP3_FIRST, 100, 0);
	refresh(top, 21);
	refresh(top, 22);
	ok(find(top, 8) && top->table.nr == 2,
	   "top shows a new process that has the id of one that exited");
}

static void test_order(struct top *top)
{
	char line[TOP_LINE];

	record(top, 23, 7, 0, 10, 5);
	record(top, 23, 8, 0, 20, 5);
	record(top, 23, 3000, MP3_FIRST, 15, 1);
	refresh(top, 23);
	ok(sorts(top, 'M', (__u32[]){ 8, 7, 3000 }) &&
	   sorts(top, 'm', (__u32[]){ 8, 3000, 7 }) &&
	   sorts(top, 'r', (__u32[]){ 3000, 8, 7 }) &&
	   sorts(top, 'c', (__u32[]){ 8, 3000, 7 }) &&
	   sorts(top, 'p', (__u32[]){ 7, 8, 3000 }) && !top_sort_by(top, 'x'),
	   "top sorts its rows by each column");
	top_row(find(top, 3000), line);
	ok(!strcmp(line, "   3000        0.4        6.0   2.9M     0.6  name"),
	   "top formats a row");
}

static void test_many(struct top *top)
{
	__u32 pid;

	for (pid = 10000; pid < 15000; pid++)
		record(top, 24, pid, MP3_FIRST, 1, 0);
	refresh(top, 24);
	ok_eq((long long)top->table.nr, 5003, "top shows 5000 new processes");
	for (pid = 10000; pid < 15000; pid++)
		record(top, 25, pid, MP3_LAST, 0, 0);
	refresh(top, 25);
	refresh(top, 26);
	ok(top->table.nr == 3 && find(top, 3000),
	   "top removes 5000 processes that exited");
}

static void test_lost(struct top *top)
{
	struct source lossy = source;
	char line[TOP_LINE];

	lossy.reader.lost = 12;
	top_refresh(top, &lossy, START_NS + 27 * NSEC_PER_SEC);
	top_title(top, line);
	ok(strstr(line, "  3 processes  ") && strstr(line, "  12 records lost"),
	   "the title of top counts processes and lost records");
}

static bool has_size(double bytes, const char *expected)
{
	char text[16];

	size_text(text, bytes);
	return !strcmp(text, expected);
}

int main(void)
{
	struct top top;

	top_init(&top);
	test_rates(&top);
	test_exit(&top);
	test_order(&top);
	test_many(&top);
	test_lost(&top);
	ok(has_size(0, "0B") && has_size(5.0 * (1 << 20), "5.0M") &&
	   has_size(4095.0 * (1 << 20), "4.0G"),
	   "top shows memory in at most six characters");

	return done();
}
