// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl top: the rates that it computes from records and faults, its rows and
 * lines, and recordings. The records are made up, so that their times and counts
 * are known exactly.
 */
#include <math.h>

#include "../../mp3_uapi.h"

/* The processes of this system do not matter. */
#undef MP3_STATUS_PATH
#define MP3_STATUS_PATH "/nonexistent"

#include "../../tools/capture.c"
#include "../../tools/cgroup.c"
#include "../../tools/live.c"
#include "../../tools/name.c"
#include "../../tools/names.c"
#include "../../tools/options.c"
#include "../../tools/output.c"
#include "../../tools/proc.c"
#include "../../tools/progress.c"
#include "../../tools/recording.c"
#include "../../tools/screen.c"
#include "../../tools/select.c"
#include "../../tools/set.c"
#include "../../tools/source.c"
#include "../../tools/spark.c"
#include "../../tools/table.c"
#include "../../tools/top.c"
#include "../../tools/top_columns.c"
#include "../../tools/top_faults.c"
#include "../../tools/top_order.c"
#include "../../tools/top_replay.c"
#include "../../tools/top_rows.c"
#include "../../tools/user.c"
#include "../../tools/util.c"
#include "../../tools/where_kind.c"
#include "fake_ring.h"

#define START_NS	(1000 * NSEC_PER_SEC)

/* Columns, and those of a row without faults of any kind but major ones of files */
#define COUNTS "    PID    MAJOR/s    MINOR/s    RSS    CPU%"
#define USERS  "    PID USER        MAJOR/s    MINOR/s    RSS    CPU%"
#define RATES "  1 process  2.0 major/s  20.0 minor/s  CPU 20.0%  stalled 50.0%"
#define KINDS  "  TOUCH/s  SWAP/s  CACHE/s  DISK/s  COPY/s CLEAN/s  HINT/s OTHER/s"
#define DISK_2 "      0.0     0.0      0.0     2.0     0.0     0.0     0.0     0.0"

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

	if (process && is_about(top_state(process)->rates[TOP_MAJOR], major) &&
	    is_about(top_state(process)->rates[TOP_MINOR], minor) &&
	    is_about(top_state(process)->rates[TOP_CPU], minor / 10))
		return true;
	diag("process %u: %f major and %f minor faults per second", pid,
	     process ? top_state(process)->rates[TOP_MAJOR] : -1,
	     process ? top_state(process)->rates[TOP_MINOR] : -1);
	return false;
}

/* Sorts by a key and returns whether the rows are these three. */
static bool sorts(struct top *top, char key, const __u32 *pids)
{
	if (!top_sort_by(top, key))
		return false;
	top_sort(top);
	return top->nr_rows == 3 && top->rows[0].process->pid == pids[0] &&
	       top->rows[1].process->pid == pids[1] &&
	       top->rows[2].process->pid == pids[2];
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

/* Fills @line with the first row that is wide enough for @width. */
static void first_row(const struct top *top, size_t width, char line[TOP_LINE])
{
	struct top_layout layout;

	top_layout(top, width, &layout);
	top_row(top, &layout, &top->rows[0], line);
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
	top_sort_by(top, 'r');
	top_sort(top);
	first_row(top, TOP_UNLIMITED, line);
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
	top_sort(top);
	top_title(top, TOP_UNLIMITED, line);
	ok(strstr(line, "  3 processes  ") && strstr(line, "  12 records lost"),
	   "the title of top counts processes and lost records");
}

/* A process whose first record was lost, this one, and then one of its records */
static void test_unseen(void)
{
	const struct process *process;
	struct top top;

	top_init(&top);
	record(&top, 0, 7, MP3_FIRST, 1, 0);
	top_add(&top, 7);
	top_add(&top, getpid());
	top_add(&top, getpid());
	process = find(&top, (__u32)getpid());
	ok(top.table.nr == 2 && process && !strcmp(process->comm, "top_test") &&
	   process->rss_bytes,
	   "top shows the name and the memory of a process without a record");
	refresh(&top, 1);
	record(&top, 2, (__u32)getpid(), 0, 10, 2);
	refresh(&top, 2);
	ok(top.table.nr == 2 && shows(&top, (__u32)getpid(), 1, 5),
	   "top counts the first record of a process that it has added");
	record(&top, 2.5, (__u32)getpid(), MP3_LAST, 0, 0);
	refresh(&top, 3);
	refresh(&top, 4);
	ok(top.table.nr == 1,
	   "top removes a process that it has added once it has exited");
}

static bool has_size(double bytes, const char *expected)
{
	char text[TOP_LINE];

	return put_size(text, bytes) == strlen(expected) &&
	       !strcmp(text, expected);
}

/* Returns whether a number and its decimal are formatted as by printf(3). */
static bool is_decimal(double number)
{
	char text[TOP_LINE], expected[TOP_LINE];
	size_t length = put_decimal(text, number);

	snprintf(expected, sizeof(expected), "%.1f", number);
	if (length == strlen(expected) && !strcmp(text, expected))
		return true;
	diag("%a: got '%s', want '%s'", number, text, expected);
	return false;
}

static void test_numbers(void)
{
	/* Halves that are exact, and some that a product only seems to be */
	const double numbers[] = {
		0, 0.04, 0.05, 0.15, 0.25, 0.35, 0.75, 0.95, 9.95, 99.95,
		1.25e10, 1e14 - 0.05, 1e15, 1.5e19, 1e300, -1, INFINITY,
	};
	unsigned int i, j;
	bool good = true;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		good = good && is_decimal(numbers[i]);
	for (i = 1; i < 3000; i++)
		for (j = 1; j < 64; j++)
			good = good && is_decimal(i / (j * 0.05)) &&
			       is_decimal(nextafter(i * 0.05, j % 2 * 1e9));
	ok(good, "top rounds rates as printf(3) does");
	ok(has_size(0, "0B") && has_size(5.0 * (1 << 20), "5.0M") &&
	   has_size(4095.0 * (1 << 20), "4.0G") && has_size(998.5, "998B") &&
	   has_size(1.25 * (1 << 20), "1.2M") &&
	   has_size(100.5 * (1 << 20), "100M") &&
	   has_size(99.96 * (1 << 20), "100.0M"),
	   "top shows memory in at most six characters");
}

/* ---- Order, filters, tree ---- */

/* Adds a process, which has an identity, and has faulted. */
static void identify(struct top *top, __u32 pid, __u32 ppid, __u32 uid,
		     const char *name)
{
	struct mp3_record identity = {
		.time_ns = START_NS,
		.pid = pid,
		.flags = MP3_IDENTITY,
		.ppid = ppid,
		.uid = uid,
		.start_ns = pid,
		.cgroup_id = 100 + uid,
	};
	struct mp3_record counts = {
		.time_ns = START_NS + NSEC_PER_SEC,
		.pid = pid,
		.min_flt = pid,
		.maj_flt = pid % 10,
	};

	strcpy(identity.comm, name);
	strcpy(counts.comm, name);
	top_count(top, &identity);
	top_count(top, &counts);
}

/* Fills @top with six processes. */
static void fill(struct top *top)
{
	top_init(top);
	top->base_ns = START_NS;
	identify(top, 10, 1, 0, "init");
	identify(top, 21, 10, 1000, "worker-b");
	identify(top, 22, 10, 1000, "worker-a");
	identify(top, 33, 21, 33, "child");
	identify(top, 44, 33, 1000, "grandchild");
	identify(top, 50, 45, 0, "orphan");
	top_advance(top, header.interval_ns, START_NS + NSEC_PER_SEC, true);
}

/* Returns whether the rows are those of the listed processes, indented by depth. */
static bool lists(struct top *top, const char *expected)
{
	char text[256] = "";
	size_t i;

	top_sort(top);
	for (i = 0; i < top->nr_rows; i++)
		sprintf(text + strlen(text), " %*s%u",
			(int)top->rows[i].depth, "",
			top->rows[i].process->pid);
	if (!strcmp(text, expected))
		return true;
	diag("got '%s', want '%s'", text, expected);
	return false;
}

static void test_sort_keys(void)
{
	struct top top;

	fill(&top);
	top.sort = top_parse_sort("name");
	ok(lists(&top, " 33 44 10 50 22 21"), "top sorts by name");
	top.sort = top_parse_sort("pid");
	ok(lists(&top, " 10 21 22 33 44 50"), "top sorts by process id");
	top.sort = top_parse_sort("minor");
	ok(lists(&top, " 50 44 33 22 21 10"), "top sorts by minor faults");
	ok(!top_sort_by(&top, 's') && top.sort == TOP_MINOR,
	   "top does not sort by stalled time without faults");
}

static void test_filters(void)
{
	struct top top;

	fill(&top);
	top.filter.name = "child";
	ok(lists(&top, " 44 33"), "--name of top selects a part of a name");
	top.filter.name = "child*";
	ok(lists(&top, " 33"), "--name of top selects names by a pattern");
	top.filter.name = "*-[a-b]";
	top.sort = TOP_PID;
	ok(lists(&top, " 21 22"), "--name of top selects by a set of characters");
	top.filter = (struct top_filter){ .user = "0" };
	ok(lists(&top, " 10 50"), "--user of top selects by user id");
	user_recorded(33, "www-data");
	user_recorded(1000, "EXAMPLE\\\\ada");
	top.filter = (struct top_filter){ .user = "www-data" };
	ok(lists(&top, " 33"), "--user of top selects by name");
	top.filter = (struct top_filter){ .user = "EXAMPLE\\ada" };
	ok(lists(&top, " 21 22 44"), "--user of top selects a name with a backslash");
	top.filter = (struct top_filter){ .cgroup = "133" };
	ok(lists(&top, " 33"), "--cgroup of top selects by number");
	top.filter = (struct top_filter){ .cgroup = "1100", .name = "r-b" };
	ok(lists(&top, " 21"), "top shows processes that all filters select");
	top.filter = (struct top_filter){ .name = "no such name" };
	ok(lists(&top, ""), "top shows no process if its filter selects none");
}

static void test_cgroup_paths(void)
{
	cgroup_recorded(7, "/web/api");
	cgroup_recorded(8, "/webapi");
	cgroup_recorded(1, "/");
	ok(matches_cgroup("/web/api", 7) && matches_cgroup("/web", 7) &&
	   matches_cgroup("/web/", 7) && matches_cgroup("/", 7) &&
	   matches_cgroup("/", 1),
	   "--cgroup of top selects a path and those below it");
	ok(!matches_cgroup("/web", 8) && !matches_cgroup("/web/api/x", 7) &&
	   !matches_cgroup("/web", 1) && !matches_cgroup("/", 9),
	   "--cgroup of top does not select other paths");
	ok(!strcmp(parse_cgroup("/sys/fs/cgroup/web"), "/web") &&
	   !strcmp(parse_cgroup("/sys/fs/cgroup/"), "/") &&
	   !strcmp(parse_cgroup("/sys/fs/cgroup"), "/") &&
	   !strcmp(parse_cgroup("/web"), "/web"),
	   "--cgroup of top takes the directory of a cgroup");
	ok(!strcmp(parse_cgroup("/sys/fs/cgroups/web"), "/sys/fs/cgroups/web"),
	   "--cgroup of top takes no other directory for that of a cgroup");
	cgroup_recorded(2, "/a.slice/serial\\\\x2dgetty\\xc3\\xa9");
	ok(matches_cgroup("/a.slice/serial\\x2dgetty\xc3\xa9", 2) &&
	   matches_cgroup("/a.slice/serial\\\\x2dgetty\\xc3\\xa9", 2) &&
	   !matches_cgroup("/a.slice/serial-getty\xc3\xa9", 2),
	   "--cgroup of top selects a path with a backslash, also as it is printed");
	set_free(&cgroups);
}

static void test_tree(void)
{
	struct top top;
	__u32 pid;

	fill(&top);
	top.tree = true;
	ok(lists(&top, " 50 10  22  21   33    44"),
	   "the tree of top puts each process below its parent, sorted");
	top.filter.name = "r";
	ok(lists(&top, " 22 21  44 50"),
	   "the tree of top leaves out a parent that the filter does not select");

	top.filter.name = NULL;
	record(&top, 2, 10, MP3_LAST, 0, 0);
	record(&top, 2, 21, MP3_LAST, 0, 0);
	refresh(&top, 2);
	ok(lists(&top, " 10  21   33    44  22 50"),
	   "the tree of top has a process that has exited as long as it shows it");

	/* Each is the parent of the other. */
	top_restart(&top, START_NS);
	top.filter.name = NULL;
	identify(&top, 7, 8, 0, "a");
	identify(&top, 8, 7, 0, "b");
	identify(&top, 9, 9, 0, "c");
	top.sort = TOP_PID;
	ok(lists(&top, " 7  8 9"),
	   "the tree of top ends although records contain a cycle");

	top_restart(&top, START_NS);
	for (pid = 1; pid < 200000; pid++)
		identify(&top, pid, pid - 1, 0, "deep");
	top_sort(&top);
	ok_eq((long long)top.nr_rows, 199999,
	      "the tree of top can be 200000 generations deep");
}

/* ---- Faults ---- */

static void fault(struct top *top, __u32 pid, __u32 file, __u32 flags,
		  __u64 stall_ns)
{
	top_count_fault(top, &(struct mp3_fault){
		.pid = pid,
		.file = file,
		.flags = flags,
		.stall_ns = stall_ns,
	});
}

static double rate(struct top *top, __u32 pid, size_t column)
{
	const struct process *process = find(top, pid);

	return process ? top_state(process)->rates[column] : -1;
}

static void test_faults(void)
{
	const size_t touch = TOP_KIND + KIND_FIRST_TOUCH;
	const size_t disk = TOP_KIND + KIND_DISK;
	struct top top;

	top_init(&top);
	top.every = 4;
	top.base_ns = START_NS;
	record(&top, 2, 7, 0, 8, 2);
	fault(&top, 7, 0, MP3_FAULT_ACCESS_KNOWN, 1000000);
	fault(&top, 7, 0, MP3_FAULT_ACCESS_KNOWN, MP3_NO_STALL);
	fault(&top, 7, 3, MP3_FAULT_MAJOR, 500000000);
	fault(&top, 7, 3, MP3_FAULT_MAJOR, 496000000);
	fault(&top, 8, 0, MP3_FAULT_ACCESS_KNOWN, 1000000);
	fault(&top, 9, 0, MP3_FAULT_ACCESS_KNOWN, 1000000);
	refresh(&top, 2);
	ok(is_about(rate(&top, 7, touch), 4) && is_about(rate(&top, 7, disk), 1),
	   "top shows the rates of the kinds of faults, each minor one for n");
	ok(is_about(rate(&top, 7, TOP_STALL), 50),
	   "top shows stalled time in percent of the time that has passed");

	record(&top, 3, 7, MP3_LAST, 0, 0);
	record(&top, 3, 8, MP3_FIRST, 1, 0);
	fault(&top, 7, 0, MP3_FAULT_ACCESS_KNOWN, 1000);
	header.ticks++;
	refresh(&top, 3);
	ok(is_about(rate(&top, 8, touch), 4),
	   "top keeps the faults of a process until its first record");
	ok(is_about(rate(&top, 7, touch), 4) && is_about(rate(&top, 7, disk), 0),
	   "top shows the last faults of a process that has exited");
	record(&top, 4, 9, MP3_FIRST, 0, 0);
	refresh(&top, 4);
	ok(is_about(rate(&top, 9, touch), 0) && is_about(rate(&top, 8, touch), 0),
	   "top does not show a fault twice or long after it was read");
}

/* ---- Sparklines ---- */

static struct spark spark;

static bool draws(__u64 seconds, unsigned int width, bool unicode,
		  const char *expected)
{
	char text[SPARK_SIZE(SPARK_SECONDS)];

	spark_text(&spark, seconds * NSEC_PER_SEC, width, unicode, text);
	if (!strcmp(text, expected))
		return true;
	diag("got '%s', want '%s'", text, expected);
	return false;
}

static void add(double from, double to, double value)
{
	spark_add(&spark, (__u64)(from * 1e9), (__u64)(to * 1e9), value);
}

static void test_spark(void)
{
	unsigned int i;

	ok(draws(0, 10, false, "          ") && draws(5, 10, true, "          "),
	   "a sparkline without rates is empty");
	for (i = 0; i < 8; i++)
		add(1019 + 6 * i, 1025 + 6 * i, 10 * (i + 1));
	ok(draws(1067, 10, true, "  ▁▂▃▄▅▆▇█") &&
	   draws(1067, 2, true, "▅█"),
	   "a sparkline shows rates as blocks of eight heights");
	add(1067, 1077, 0);
	add(1077.1, 1077.2, 80);
	add(1077.2, 1077.3, 5);
	ok(draws(1077, 10, false, ".:-=+*%# #"),
	   "a sparkline has the largest of several rates in a second");
	add(1077.3, 1200, 0);
	add(1200, 1201, 3);
	ok(draws(1201, 10, false, "         #"),
	   "a sparkline forgets what is older than a minute");
}

/* ---- Lines ---- */

/* Returns how many characters a line has. */
static size_t length(const char *line)
{
	size_t characters = 0;

	for (; *line; line++)
		characters += (*line & 0xc0) != 0x80;
	return characters;
}

/* Returns whether the header for a width is this. */
static bool has_header(struct top *top, size_t width, const char *expected)
{
	struct top_layout layout;
	char line[TOP_LINE];

	top_layout(top, width, &layout);
	top_header(&layout, line);
	if (!strcmp(line, expected))
		return true;
	diag("got '%s', want '%s'", line, expected);
	return false;
}

/* Returns whether all lines, with everything in them, fit into this width. */
static bool fits(struct top *top, size_t width)
{
	size_t columns = 0, start, cell, i, lines_that_fit = 0;
	struct top_layout layout;
	char lines[3][TOP_LINE];

	top_layout(top, width, &layout);
	top_title(top, width, lines[0]);
	top_header(&layout, lines[1]);
	top_row(top, &layout, &top->rows[0], lines[2]);
	for (i = 0; i < 3; i++)
		lines_that_fit += length(lines[i]) <= width;
	for (i = 0; i < layout.nr; i++)
		if (top_find_cell(&layout, layout.columns[i], &start, &cell) &&
		    start < width && start < length(lines[1]))
			columns++;
	if (layout.nr && columns == layout.nr && lines_that_fit == 3)
		return true;
	diag("width %zu: '%s' '%s' '%s'", width, lines[0], lines[1], lines[2]);
	return false;
}

static void test_widths(void)
{
	enum top_column sort;
	size_t width;
	struct top top;
	bool good = true;

	fill(&top);
	top_default_columns(&top, true);
	ok(has_header(&top, 76, USERS "  HISTORY     COMMAND"),
	   "top shows users and sparklines on a screen");
	ok(has_header(&top, 74, USERS "  COMMAND") &&
	   has_header(&top, 60, COUNTS "  COMMAND") &&
	   has_header(&top, 40, "    PID    MAJOR/s    MINOR/s  COMMAND") &&
	   has_header(&top, 30, "    PID    MAJOR/s  COMMAND") &&
	   has_header(&top, 20, "   MAJOR/s  COMMAND") &&
	   has_header(&top, 10, "COMMAND") && has_header(&top, 3, "COM"),
	   "columns leave a narrow screen of top one by one, the name last");
	top.sort = TOP_RSS;
	ok(has_header(&top, 20, "   RSS  COMMAND"),
	   "a narrow screen of top keeps the column that rows are sorted by");

	top.every = 1;
	top.unicode = true;
	top.lost = 123456;
	top_default_columns(&top, true);
	strcpy(top.position, "1000.0 of 1000.0 s");
	strcpy(top.state, "x2  paused");
	identify(&top, 99, 50, 1234567890, "\033[31mred \\ \xff\xff\xff");
	find(&top, 99);
	top.tree = true;
	top_sort(&top);
	for (width = 0; width < top.nr_rows; width++)
		if (top.rows[width].process->pid == 99)
			top.rows[0] = top.rows[width];
	top.rows[0].depth = 20;
	for (sort = 0; sort < TOP_RATES; sort++)
		top_state(top.rows[0].process)->rates[sort] = 1.5e19;
	top.rows[0].process->rss_bytes = ~0ULL;
	for (sort = 0; sort < TOP_COLUMNS; sort++) {
		top.sort = sort;
		for (width = 1; width < 300; width++)
			good = good && fits(&top, width);
	}
	top_parse_columns(&top, "history,pid,name,user,stall");
	for (width = 1; width < 100; width++)
		good = good && fits(&top, width);
	ok(good, "no line of top is wider than its screen, whatever it contains");
}

static void test_columns(void)
{
	char line[TOP_LINE];
	struct top top;

	fill(&top);
	top_sort(&top);
	top_parse_columns(&top, "name,pid,rss");
	ok(has_header(&top, TOP_UNLIMITED, "COMMAND            PID    RSS"),
	   "--columns of top selects columns and their order");
	first_row(&top, TOP_UNLIMITED, line);
	ok(!strcmp(line, "grandchild          44     0B"),
	   "top formats a row of the columns that were selected");
}

/* ---- Recordings ---- */

static struct run run;
static char recording_path[32];

static void put(struct recording *recording, __u32 type, const void *data,
		size_t size)
{
	if (!recording_write(recording, type, data, size))
		exit(1);
}

static void put_record(struct recording *recording, double seconds, __u32 pid,
		       __u32 flags, __u64 min_flt, __u64 maj_flt)
{
	struct mp3_record record = {
		.time_ns = START_NS + (__u64)(seconds * 1e9),
		.pid = pid,
		.flags = flags,
		.comm = "work",
	};

	if (flags & MP3_IDENTITY) {
		record.ppid = 1;
		record.uid = 4294967;
		record.start_ns = 1;
		record.cgroup_id = pid;
	} else {
		record.min_flt = min_flt;
		record.maj_flt = maj_flt;
		record.cpu_ns = 10000000 * min_flt;
		record.rss_bytes = 4096 * pid;
	}
	put(recording, MP3_RECORDING_RECORDS, &record, sizeof(record));
}

static void put_fault(struct recording *recording, double seconds, __u32 pid)
{
	struct mp3_fault fault = {
		.time_ns = START_NS + (__u64)(seconds * 1e9),
		.pid = pid,
		.file = 1,
		.flags = MP3_FAULT_MAJOR,
		.stall_ns = 250000000,
	};

	put(recording, MP3_RECORDING_FAULTS, &fault, sizeof(fault));
}

/*
 * Writes a recording of 2.5 seconds: process 7, which is idle in the second one,
 * and process 8, which exits in it.
 */
static void make_recording(unsigned int n, bool complete)
{
	static const char names[] = "user\t4294967\tsomebody-else\n"
				    "cgroup\t8\t/web/api\n";
	struct mp3_recording_totals totals = {
		.end_ns = START_NS + 2500000000,
		.lost_records = 3,
		.flags = complete ? MP3_RECORDING_COMPLETE : 0,
	};
	static int fd = -1;
	struct recording recording;
	char info[512];

	if (fd >= 0)
		close(fd);
	fd = memfd_create("recording", 0);
	snprintf(recording_path, sizeof(recording_path), "/proc/self/fd/%d", fd);
	snprintf(info, sizeof(info),
		 "interval_ns=50000000\nstart_ns=%llu\nn=%u\n", START_NS, n);
	if (!recording_create(&recording, recording_path))
		exit(1);
	put(&recording, MP3_RECORDING_INFO, info, strlen(info));
	put_record(&recording, 0, 7, MP3_IDENTITY, 0, 0);
	put_record(&recording, 0, 7, MP3_FIRST, 0, 0);
	put_record(&recording, 0, 8, MP3_IDENTITY, 0, 0);
	put(&recording, MP3_RECORDING_NAMES, names, strlen(names));
	put_record(&recording, 0, 8, MP3_FIRST, 0, 0);
	put_record(&recording, 0.5, 7, 0, 10, 1);
	if (n) {
		/* Not in the order of their times. The tick at 1 s counts both. */
		put_fault(&recording, 0.97, 7);
		put_fault(&recording, 0.45, 7);
	}
	put_record(&recording, 1, 7, 0, 10, 1);
	put_record(&recording, 1.5, 8, MP3_LAST, 6, 0);
	put_record(&recording, 2.5, 7, 0, 30, 0);
	if (complete)
		put(&recording, MP3_RECORDING_TOTALS, &totals, sizeof(totals));
	recording_close(&recording);
}

/* Runs top on the recording, with further arguments. Returns the status. */
static int play_recording(const char *arguments)
{
	char words[256];

	snprintf(words, sizeof(words), "%s %s", recording_path, arguments);
	start_run(&run, cmd_top, "mp3ctl top", words, NULL, RLIM_INFINITY);
	finish_run(&run);

	return run.status;
}

static bool printed(const char *out, const char *errors)
{
	if (!strcmp(run.out, out) && !strcmp(run.errors, errors))
		return true;
	diag("status %d, got '%s', '%s'", run.status, run.out, run.errors);
	return false;
}

static void test_replay(void)
{
	make_recording(0, true);
	ok(!play_recording("") &&
	   printed("1.0 of 2.5 s  2 processes  2.0 major/s  20.0 minor/s  CPU 20.0%\n"
		   "    PID    MAJOR/s    MINOR/s    RSS    CPU%  COMMAND\n"
		   "      7        2.0       20.0  28.0K    20.0  work\n"
		   "      8        0.0        0.0  32.0K     0.0  work\n"
		   "\n"
		   "2.0 of 2.5 s  2 processes  0.0 major/s  12.0 minor/s  CPU 12.0%\n"
		   "    PID    MAJOR/s    MINOR/s    RSS    CPU%  COMMAND\n"
		   "      8        0.0       12.0  32.0K    12.0  work\n"
		   "      7        0.0        0.0  28.0K     0.0  work\n"
		   "\n"
		   "2.5 of 2.5 s  1 process  0.0 major/s  30.0 minor/s  CPU 30.0%  3 records lost\n"
		   "    PID    MAJOR/s    MINOR/s    RSS    CPU%  COMMAND\n"
		   "      7        0.0       30.0  28.0K    30.0  work\n"
		   "\n", ""),
	   "top prints a table for each second of a recording without faults");
	ok(!play_recording("-n 1 -i 0.5 --columns pid,user,name --user 4294967 --cgroup /web") &&
	   printed("0.5 of 2.5 s  1 process  0.0 major/s  0.0 minor/s  CPU 0.0%\n"
		   "    PID USER      COMMAND\n"
		   "      8 somebod+  work\n"
		   "\n", ""),
	   "top selects the interval, columns and processes of a recording");

	ok(!play_recording("-n 1 --columns pid --user somebody-else --cgroup 7") &&
	   strstr(run.out, "\n      7\n") && !play_recording("--user root") &&
	   !strstr(run.out, "work"),
	   "the users of a recording are those of its machine");

	make_recording(1, true);
	ok(!play_recording("-n 1 --cgroup 7 -s stall") &&
	   printed("1.0 of 2.5 s" RATES "\n"
		   COUNTS "   STALL%" KINDS "  COMMAND\n"
		   "      7        2.0       20.0  28.0K    20.0     50.0" DISK_2 "  work\n"
		   "\n", ""),
	   "top prints stalled time and kinds of a recording with faults");
	ok(!play_recording("-n 1 -i 0.98 --columns disk --cgroup 7") &&
	   printed("0.98 of 2.50 s" RATES "\n"
		   " DISK/s\n"
		   "    2.0\n"
		   "\n", ""),
	   "top shows a fault of a recording in the interval that counts it");
}

/* A recording that is broken: its interval is 0, and time goes back. */
static void test_replay_zero(void)
{
	static const char info[] = "interval_ns=0\nn=0\n";
	struct recording recording;
	int fd = memfd_create("recording", 0);

	snprintf(recording_path, sizeof(recording_path), "/proc/self/fd/%d", fd);
	if (!recording_create(&recording, recording_path))
		exit(1);
	put(&recording, MP3_RECORDING_INFO, info, strlen(info));
	put_record(&recording, 0, 7, 0, 0, 0);
	put_record(&recording, 0.5, 7, 0, 10, 1);
	put_record(&recording, 0, 7, 0, 10, 1);
	put_record(&recording, 2, 7, 0, 10, 1);
	ok(!play_recording("-n 1 --columns minor,history") &&
	   strstr(run.out, "\n     400.0  ") && !strstr(run.out, "nan"),
	   "top shows finite rates, whatever a recording contains");
	close(fd);
}

static void test_replay_errors(void)
{
	char expected[256];

	make_recording(0, false);
	snprintf(expected, sizeof(expected),
		 "mp3ctl top: %s: ends too early: its recorder was killed, or the disk was full\n",
		 recording_path);
	ok(!play_recording("-n 1") && !strcmp(run.errors, expected) &&
	   strstr(run.out, "1.0 of 2.5 s  2 processes"),
	   "top plays a recording whose end is missing, and reports that");
	ok(play_recording("-s stall") == 2 && !run.out[0] &&
	   strstr(run.errors, "contains no faults"),
	   "top does not sort a recording without faults by stalled time");
	ok(play_recording("--columns disk") == 2 && !run.out[0] &&
	   strstr(run.errors, "'disk' requires"),
	   "top does not show kinds of faults of a recording without faults");
	ok(play_recording("-a") == 2 &&
	   strstr(run.errors, "is a recording: omit -a"),
	   "top refuses a recording together with options of a capture");
	strcpy(recording_path, "/dev/null");
	ok(play_recording("") == 1 && !run.out[0] &&
	   printed("", "mp3ctl top: /dev/null: not a regular file\n"),
	   "top refuses a file that is no recording");
}

/* Returns the lines of a replay, in a buffer that the next call reuses. */
static const char *show_step(const struct replay *replay)
{
	static char text[8192];
	struct top_layout layout;
	struct top *top = replay->top;
	size_t i;

	text[0] = '\0';
	top_sort(top);
	top_layout(top, TOP_UNLIMITED, &layout);
	for (i = 0; i < top->nr_rows; i++) {
		top_row(top, &layout, &top->rows[i], text + strlen(text));
		strcat(text, "\n");
	}

	return text;
}

static void test_seek(void)
{
	enum { STEPS = 26 };
	struct top top;
	struct replay replay = {
		.top = &top,
		.tick_ns = 50000000,
		.interval_ns = 100000000,
		.speed = 1,
	};
	char *steps[STEPS];
	bool back = true, forward = true;
	__u64 i;

	make_recording(1, true);
	top_init(&top);
	if (!load(&replay, recording_path))
		exit(1);
	top_default_columns(&top, true);
	ok_eq((long long)replay.nr_steps, 25, "a recording has a step for each interval");
	go_to_start(&replay);
	for (i = 0; i < STEPS; i++) {
		steps[i] = strdup(show_step(&replay));
		if (i < replay.nr_steps)
			go_step(&replay);
	}
	for (i = STEPS; i--;) {
		go_to(&replay, i);
		back = back && !strcmp(show_step(&replay), steps[i]);
		go_to(&replay, 0);
		go_to(&replay, i);
		forward = forward && !strcmp(show_step(&replay), steps[i]);
	}
	ok(back, "going back in a recording shows what was shown there");
	ok(forward, "going forward in a recording shows what playing it shows");

	jump(&replay, 0);
	jump_by(&replay, 1);
	ok(replay.step == 10 && replay.position_ns == NSEC_PER_SEC,
	   "a jump goes a second forward, whatever the interval");
	jump_by(&replay, -10);
	jump_by(&replay, -1);
	ok_eq((long long)replay.step, 0, "a jump ends at the start of the recording");
	jump_by(&replay, 10);
	ok_eq((long long)replay.step, 25, "a jump ends at the end of the recording");
	replay.position_ns = 2300000000;
	ok_eq((long long)current_step(&replay), 23,
	      "a recording is at the step that its position is in");
	replay.position_ns = 1ULL << 60;
	ok_eq((long long)current_step(&replay), 25,
	      "a recording that has been played is at its last step");
	handle_replay_key(&replay, ' ');
	ok(replay.step == 0 && is_playing(&replay),
	   "the space bar plays a recording from the start after its end");
	handle_replay_key(&replay, ' ');
	handle_replay_key(&replay, '+');
	handle_replay_key(&replay, '+');
	ok(!is_playing(&replay) && !strcmp(top.state, "x4  paused") &&
	   !strcmp(top.position, "0.0 of 2.5 s"),
	   "the space bar pauses a recording, and + doubles the speed");
	for (i = 0; i < 20; i++)
		handle_replay_key(&replay, '-');
	ok(!strcmp(top.state, "x0.125  paused"),
	   "a recording plays at an eighth of its speed at least");
	ok(!handle_replay_key(&replay, 'q') && handle_replay_key(&replay, 'x'),
	   "key q ends a replay, and no other one does");
}

/* A time that ends before the first refresh, of processes that are all idle */
static void test_short_time(void)
{
	struct fake_ring ring;
	char words[96];

	fake_open(&ring, sizeof(struct mp3_record), 64);
	fake_publish_record(&ring, initial_monotonic_ns(), 4190001, "work");
	ring.header->processes = 1;
	snprintf(words, sizeof(words), "--for 0.05 -i 1000 -d %s", ring.path);
	start_run(&run, cmd_top, "mp3ctl top", words, NULL, RLIM_INFINITY);
	finish_run(&run);
	ok(!run.status && strstr(run.out, "  1 process  ") &&
	   strstr(run.out, "4190001        0.0        0.0     0B     0.0  work\n\n") ==
	   strchr(strchr(run.out, '\n') + 1, '\n') + 1,
	   "top shows the processes once if its time ends before the first refresh");
	fake_close(&ring);
}

/* Records whose times do not ascend, or are as large as they can be */
static void test_hostile_recording(void)
{
	struct recording recording;
	char info[] = "n=4000000000\nstart_ns=5\ninterval_ns=0\n";

	make_recording(0, true);
	if (!recording_create(&recording, recording_path))
		exit(1);
	put(&recording, MP3_RECORDING_INFO, info, strlen(info));
	put_record(&recording, 10e9, 7, 0, ~0ULL, ~0ULL);
	put_record(&recording, -999, 7, MP3_LAST, ~0ULL, ~0ULL);
	put_record(&recording, 17e9, 7, MP3_IDENTITY, 0, 0);
	put_fault(&recording, 17e9, 7);
	put_fault(&recording, 0, ~0u);
	recording_close(&recording);
	ok(!play_recording("-n 2") && strstr(run.out, "2.0 of "),
	   "top plays a recording with impossible times");
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
	test_unseen();
	test_sort_keys();
	test_filters();
	test_cgroup_paths();
	test_tree();
	test_faults();
	test_spark();
	test_widths();
	test_columns();
	test_replay();
	test_replay_zero();
	test_replay_errors();
	test_seek();
	test_hostile_recording();
	test_short_time();
	test_numbers();

	return done();
}
