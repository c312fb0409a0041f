// SPDX-License-Identifier: GPL-2.0
/*
 * What monitor makes of entries, by itself: lines, rates, a table, an alarm.
 * The entries are made up, so that their times and counts are known exactly.
 */
#include "../../mp3_client.h"

/* This system's processes are none of these. */
#undef MP3_STATUS_PATH
#define MP3_STATUS_PATH "/nonexistent"

#define main monitor_main
#include "../../monitor.c"
#undef main
#include "../guest/test.h"

#define TICK_NS		(NSEC_PER_SEC / 20)
#define BEGIN_NS	(1000 * NSEC_PER_SEC)

static struct mp3_header header = {
	.interval_ns = TICK_NS,
	.base_ns = BEGIN_NS,
};

static struct monitor new_monitor(void)
{
	return (struct monitor){
		.format = formats,
		.reader.header = &header,
		.records = true,
	};
}

/* ---- Lines ---- */

/* Whether that is the line, or how it begins. */
static bool prints(const struct monitor *monitor, const struct entry *entry,
		   const struct format *format, const char *line)
{
	struct row row;

	out.size = 0;
	fill_row(&row, monitor, entry);
	format->row(&row);
	if (!strncmp(out.text, line, strlen(line)))
		return true;
	diag("got  %s# want %s", out.text, line);
	return false;
}

static void test_lines(void)
{
	struct monitor monitor = new_monitor();
	struct entry entry = {
		.time_ns = BEGIN_NS + 61000345678ULL,
		.record = { 0, 42, MP3_FIRST | MP3_LAST, 1, 2, 3, 4096,
			    "a \"\\,\033[1m\n\xc3\xa4" },
	};

	setenv("TZ", "UTC", true);
	ok(prints(&monitor, &entry, &formats[0],
		  "61.000345 42 FL 1 2 3 4096 a \"\\\\,\\x1b[1m\\x0a\\xc3\\xa4\n"),
	   "text: a name does nothing to a terminal");
	ok(prints(&monitor, &entry, &formats[1],
		  "61.000345,42,\"FL\",1,2,3,4096,\"a \"\"\\\\,\\x1b[1m\\x0a\\xc3\\xa4\"\n"),
	   "csv: quotes are doubled, what needs them is quoted");
	ok(prints(&monitor, &entry, &formats[2], "{\"seconds\":61.000345,\"pid\":42,") &&
	   strstr(out.text, ",\"flags\":\"FL\",\"min_flt\":1,\"maj_flt\":2,\"cpu_ns\":3,") &&
	   strstr(out.text, ",\"rss_bytes\":4096,\"comm\":\"a \\\"\\\\\\\\,") &&
	   strstr(out.text, ",\\\\x1b[1m\\\\x0a\\\\xc3\\\\xa4\"}\n"),
	   "json: an object, its strings escaped");
	memset(entry.record.comm, 'x', sizeof(entry.record.comm));
	ok(prints(&monitor, &entry, &formats[0],
		  "61.000345 42 FL 1 2 3 4096 xxxxxxxxxxxxxxx\n"),
	   "text: a name without an end has one");

	monitor.records = false;
	entry.sample = (struct mp3_sample){ 4294893570, 5, 6, 200 };
	ok(prints(&monitor, &entry, &formats[0], "4294893570 5 6 200\n"),
	   "text: a sample is its four numbers");
	monitor.clock = TIME_LOAD;
	ok(prints(&monitor, &entry, &formats[2],
		  "{\"seconds\":61.000345,\"min_flt\":5,\"maj_flt\":6,\"cpu_percent\":200}\n"),
	   "json: seconds since load");
	monitor.clock = TIME_WALL;
	monitor.wall_ns = 1700000000 * NSEC_PER_SEC - BEGIN_NS;
	ok(prints(&monitor, &entry, &formats[1],
		  "\"2023-11-14T22:14:21.000345+0000\",5,6,200\n"),
	   "csv: the date and time");
	out.size = 0;
	monitor.format = &formats[1];
	put_header(&monitor);
	ok(!strcmp(out.text, "time,min_flt,maj_flt,cpu_percent\n"),
	   "csv: a header line");
	out.size = 0;
}

static bool wants(const struct monitor *monitor, double seconds)
{
	struct entry entry = {
		.time_ns = monitor->begun_ns + (__u64)(long long)(seconds * 1e9)
	};

	return is_wanted(monitor, &entry);
}

static void test_times(void)
{
	struct arguments arguments = {};
	struct monitor monitor = new_monitor();

	set_times(&monitor, &arguments);
	ok(wants(&monitor, -1000) && wants(&monitor, 1000), "times: all");
	arguments.since = "0.5";
	set_times(&monitor, &arguments);
	ok(!wants(&monitor, -0.6) && wants(&monitor, -0.4) &&
	   wants(&monitor, 1000), "times: since");
	arguments.span = "0.2";
	set_times(&monitor, &arguments);
	ok(!wants(&monitor, -0.6) && wants(&monitor, -0.4) &&
	   !wants(&monitor, -0.2), "times: for so long since then");
	arguments.since = NULL;
	set_times(&monitor, &arguments);
	ok(wants(&monitor, 0.1) && !wants(&monitor, 0.3),
	   "times: for so long from now");
	arguments.since = "1e9";
	set_times(&monitor, &arguments);
	ok_eq((long long)monitor.from_ns, 0, "times: since before the system began");
}

/* ---- The table ---- */

static void record(struct top *top, double seconds, __u32 pid, __u32 flags,
		   __u64 min_flt, __u64 maj_flt)
{
	struct mp3_record record = {
		.time_ns = BEGIN_NS + (__u64)(seconds * 1e9),
		.pid = pid,
		.flags = flags,
		.min_flt = min_flt,
		.maj_flt = maj_flt,
		.cpu_ns = min_flt * 1000000,
		.rss_bytes = 1000 * pid,
		.comm = "name",
	};

	top_add(top, &record);
}

static void tick(struct top *top, const struct mp3_reader *reader,
		 double seconds)
{
	top_refresh(top, reader, BEGIN_NS + (__u64)(seconds * 1e9));
}

static const struct top_process *find(const struct top *top, __u32 pid)
{
	for (size_t i = 0; i < top->nr; i++)
		if (top->rows[i]->pid == pid)
			return top->rows[i];
	return NULL;
}

static bool about(double value, double expected)
{
	return fabs(value - expected) < 0.001;
}

static bool shows(const struct top *top, __u32 pid, double major, double minor)
{
	const struct top_process *process = find(top, pid);

	if (process && about(process->values[TOP_MAJOR], major) &&
	    about(process->values[TOP_MINOR], minor) &&
	    about(process->values[TOP_CPU], minor / 10))
		return true;
	diag("process %u: %f major and %f minor faults a second", pid,
	     process ? process->values[TOP_MAJOR] : -1,
	     process ? process->values[TOP_MINOR] : -1);
	return false;
}

/* Sorts by the key and returns whether the rows are these three. */
static bool sorted(struct top *top, char key, const __u32 *pids)
{
	const char *found = strchr(top_keys, key);

	top->sort = (enum top_value)(found - top_keys);
	top_sort(top);
	return top->nr == 3 && top->rows[0]->pid == pids[0] &&
	       top->rows[1]->pid == pids[1] && top->rows[2]->pid == pids[2];
}

static void test_top(void)
{
	struct mp3_reader reader = { .header = &header };
	struct top top = {};
	char line[TOP_LINE], size[16];

	/* What the ring held: one that has ended, and one long ago. */
	record(&top, 1, 999901, MP3_FIRST, 1000, 0);
	record(&top, 2, 999901, MP3_LAST, 1000, 0);
	record(&top, 3, 7, MP3_FIRST, 1000, 0);
	top_start(&top, &reader, BEGIN_NS + 10 * NSEC_PER_SEC);
	ok(!find(&top, 999901), "top: who ended before is not shown");

	record(&top, 10.5, 7, 0, 10, 1);
	record(&top, 10.5, 8, MP3_FIRST, 30, 0);
	record(&top, 11, 7, 0, 10, 1);
	header.ticks = 20;
	tick(&top, &reader, 11);
	ok(shows(&top, 7, 2, 20) && shows(&top, 8, 0, 30),
	   "top: counts since the start, by the time since then");
	tick(&top, &reader, 12);
	ok(shows(&top, 7, 2, 20), "top: without a tick nothing is known anew");

	/* The machine was busy: one tick for four seconds. */
	record(&top, 15, 7, 0, 400, 4);
	header.ticks++;
	tick(&top, &reader, 15.1);
	ok(shows(&top, 7, 1, 100) && shows(&top, 8, 0, 0),
	   "top: rates are by the time that passed, not by the refreshes");
	header.ticks += 20;
	tick(&top, &reader, 16);
	ok(shows(&top, 7, 0, 0), "top: ticks without records say idle");
	record(&top, 16.5, 7, 0, 30, 0);
	header.ticks += 10;
	tick(&top, &reader, 17);
	ok(shows(&top, 7, 0, 60), "top: counts after idleness begin there");
	record(&top, 16.51, 7, 0, 1, 0);
	tick(&top, &reader, 17.1);
	ok(shows(&top, 7, 0, 20), "top: a part of an interval counts as one");

	record(&top, 18.51, 8, MP3_LAST, 100, 0);
	tick(&top, &reader, 19);
	ok(shows(&top, 8, 0, 50), "top: who ended is shown once more");
	tick(&top, &reader, 20);
	ok(!find(&top, 8) && top.nr == 1, "top: and then no more");
	record(&top, 20.51, 8, MP3_LAST, 0, 0);
	record(&top, 20.51, 8, MP3_FIRST, 100, 0);
	tick(&top, &reader, 21);
	tick(&top, &reader, 22);
	ok(find(&top, 8), "top: a number that came back stays");

	record(&top, 23, 7, 0, 10, 5);
	record(&top, 23, 8, 0, 20, 5);
	record(&top, 23, 3000, MP3_FIRST, 15, 1);
	tick(&top, &reader, 23);
	ok(sorted(&top, 'M', (__u32[]){ 8, 7, 3000 }) &&
	   sorted(&top, 'm', (__u32[]){ 8, 3000, 7 }) &&
	   sorted(&top, 'r', (__u32[]){ 3000, 8, 7 }) &&
	   sorted(&top, 'c', (__u32[]){ 8, 3000, 7 }) &&
	   sorted(&top, 'p', (__u32[]){ 7, 8, 3000 }),
	   "top: sorted by each of its keys");
	top_row(find(&top, 3000), line);
	ok(!strcmp(line, "   3000        0.4        6.0   2.9M     0.6  name"),
	   "top: a row");

	for (__u32 pid = 10000; pid < 15000; pid++)
		record(&top, 24, pid, MP3_FIRST, 1, 0);
	tick(&top, &reader, 24);
	ok_eq((long long)top.nr, 5003, "top: thousands of processes");
	for (__u32 pid = 10000; pid < 15000; pid++)
		record(&top, 25, pid, MP3_LAST, 0, 0);
	tick(&top, &reader, 25);
	tick(&top, &reader, 26);
	ok(top.nr == 3 && find(&top, 3000), "top: and they are gone again");

	top_size(size, 0);
	ok(!strcmp(size, "0B"), "top: no bytes");
	top_size(size, 5.0 * (1 << 20));
	ok(!strcmp(size, "5.0M"), "top: 5 MiB");
	top_size(size, 4095.0 * (1 << 20));
	ok(!strcmp(size, "4.0G"), "top: nearly 4 GiB");
}

/* ---- Alarms ---- */

/**
 * struct alarm - a monitor with an alert, and what it did
 * @monitor: it
 * @now:     time of the newest entry, ns
 * @fired:   how often it ran its command
 * @first:   seconds until it did so first
 */
struct alarm {
	struct monitor monitor;
	__u64 now;
	unsigned int fired;
	double first;
};

static struct alarm new_alarm(const char *condition)
{
	static char *command[2];
	struct alarm alarm = { .monitor = new_monitor(), .now = BEGIN_NS };

	alarm.monitor.alert = parse_alert(condition);
	command[0] = "true";
	alarm.monitor.command = command;
	sigprocmask(SIG_BLOCK, NULL, &alarm.monitor.mask);

	return alarm;
}

/* An entry, so long after the one before. */
static void feed(struct alarm *alarm, double seconds, __u64 count)
{
	__u64 quiet_ns = alarm->monitor.alert.quiet_ns;
	struct entry entry = { .record = { .maj_flt = count,
					   .cpu_ns = count * 1000000 } };

	alarm->now += (__u64)(seconds * 1e9);
	entry.time_ns = alarm->now;
	check_alert(&alarm->monitor, &entry);
	if (alarm->monitor.alert.quiet_ns == quiet_ns)
		return;
	if (!alarm->fired++)
		alarm->first = (double)(alarm->now - BEGIN_NS) / 1e9;
}

/* Ticks so far apart, with a record of each of ten processes. */
static void feed_ten(struct alarm *alarm, unsigned int ticks, double seconds,
		     __u64 count)
{
	while (ticks--)
		for (int i = 0; i < 10; i++)
			feed(alarm, i ? 0 : seconds, count);
}

/* Entries each tick for so long, of which every @nth has a count. */
static void feed_for(struct alarm *alarm, double seconds, unsigned int nth,
		     __u64 count)
{
	__u64 end = alarm->now + (__u64)(seconds * 1e9);

	for (unsigned int i = 1; alarm->now < end; i++)
		feed(alarm, 0.05, i % nth ? 0 : count);
}

static void test_alarms(void)
{
	struct alarm alarm = new_alarm("major=100/s:2s");

	feed_for(&alarm, 600, 1, 4);
	ok_eq(alarm.fired, 0, "alert: never below the rate");

	alarm = new_alarm("major=100/s:2s");
	feed(&alarm, 0, 0);
	feed_for(&alarm, 1.95, 1, 6);
	ok_eq(alarm.fired, 0, "alert: not before the time");
	feed(&alarm, 0.05, 6);
	ok(alarm.fired == 1 && about(alarm.first, 2),
	   "alert: once it has held that long");
	feed_for(&alarm, 59.9, 1, 6);
	ok_eq(alarm.fired, 1, "alert: not a second time in a minute");
	feed_for(&alarm, 120, 1, 6);
	ok_eq(alarm.fired, 3, "alert: but again after each minute");

	alarm = new_alarm("major=100/s:2s");
	feed(&alarm, 0, 0);
	feed_for(&alarm, 2.05, 4, 24);
	feed_for(&alarm, 0.2, 4, 24);
	ok_eq(alarm.fired, 1, "alert: bursts that keep up the rate hold it");

	alarm = new_alarm("major=100/s:2s");
	feed(&alarm, 0, 0);
	feed(&alarm, 0.05, 100000);
	feed_for(&alarm, 10, 1, 0);
	ok_eq(alarm.fired, 0, "alert: a burst alone does not");

	alarm = new_alarm("major=100/s:2s");
	feed(&alarm, 0, 0);
	feed_for(&alarm, 0.9, 1, 50);
	feed_for(&alarm, 1.5, 1, 0);
	feed_for(&alarm, 1.9, 1, 50);
	ok_eq(alarm.fired, 0, "alert: nor with a longer pause in between");

	alarm = new_alarm("major=100/s:2s");
	feed(&alarm, 0, 0);
	for (int i = 0; i < 20; i++)
		feed(&alarm, 3, 290);
	ok_eq(alarm.fired, 0,
	      "alert: the rate is by the time that passed between two ticks");

	alarm = new_alarm("major=100/s:2s");
	feed(&alarm, 0, 1000000);
	feed_for(&alarm, 3, 1, 4);
	ok_eq(alarm.fired, 0, "alert: what was before the first tick is no rate");

	alarm = new_alarm("major=500/s:1s");
	feed_ten(&alarm, 60, 1, 49);
	ok_eq(alarm.fired, 0, "alert: ten processes, below the rate in sum");
	feed_ten(&alarm, 3, 1, 60);
	ok_eq(alarm.fired, 1, "alert: and above it, at a tick each second");
	alarm = new_alarm("major=500/s:10s");
	feed_ten(&alarm, 6, 2, 120);
	ok(alarm.fired == 1 && about(alarm.first, 12),
	   "alert: and with long ticks, for a long time");
	alarm = new_alarm("major=500/s:0.08s");
	feed_ten(&alarm, 2, 0.05, 3);
	ok_eq(alarm.fired, 0, "alert: not at the first tick");
	feed_ten(&alarm, 1, 0.05, 3);
	ok_eq(alarm.fired, 1, "alert: for less time than two ticks");

	alarm = new_alarm("cpu=90%:10s");
	feed_for(&alarm, 20, 1, 44);
	ok_eq(alarm.fired, 0, "alert: 88% of a CPU is less than 90%");
	feed_for(&alarm, 11, 1, 46);
	ok_eq(alarm.fired, 1, "alert: 92% is more");

	alarm = new_alarm("cpu=90%:10s");
	alarm.monitor.records = false;
	for (int i = 0; i < 300; i++) {
		struct entry entry = { .time_ns = alarm.now,
				       .sample.cpu_percent = i < 60 ? 89 : 91 };

		check_alert(&alarm.monitor, &entry);
		alarm.fired += alarm.monitor.alert.quiet_ns ==
			alarm.now + ALERT_PAUSE;
		alarm.now += TICK_NS;
	}
	ok_eq(alarm.fired, 1, "alert: the same of samples");
}

/* ---- The last line ---- */

static void test_summary(void)
{
	struct monitor monitor = new_monitor();
	char text[200] = "";
	int fd = memfd_create("errors", MFD_CLOEXEC);
	int errors = dup(STDERR_FILENO);

	if (fd < 0 || errors < 0 || dup2(fd, STDERR_FILENO) < 0)
		err(1, "standard error");
	header.missed = 7;
	summarize(&monitor);
	monitor.missed = 5;
	summarize(&monitor);
	monitor.missed = 7;
	summarize(&monitor);
	dup2(errors, STDERR_FILENO);
	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		err(1, "read");
	ok(!strcmp(text, "monitor: 0 records read, 0 lost, 7 ticks missed\n"
		   "monitor: 0 records read, 0 lost, 2 ticks missed\n"
		   "monitor: 0 records read, 0 lost\n"),
	   "missed ticks are told of, while following those since the start");
}

int main(void)
{
	struct sigaction reap = { .sa_handler = SIG_DFL,
				  .sa_flags = SA_NOCLDWAIT };

	sigaction(SIGCHLD, &reap, NULL);
	test_lines();
	test_times();
	test_top();
	test_alarms();
	test_summary();

	return done();
}
