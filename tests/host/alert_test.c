// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl alert: when a condition calls for an alert, by records that are made up,
 * and the command against a ring in a file.
 */
#include <math.h>

#include "../../tools/util.h"

/* The test itself may run in a container. */
#define in_initial_pid_namespace() true

#include "../../tools/alert.c"
#include "../../tools/capture.c"
#include "../../tools/condition.c"
#include "../../tools/live.c"
#include "../../tools/options.c"
#include "../../tools/output.c"
#include "../../tools/proc.c"
#include "../../tools/select.c"
#include "../../tools/source.c"
#undef in_initial_pid_namespace
#include "../../tools/util.c"
#include "fake_ring.h"

#define START_NS	(1000 * NSEC_PER_SEC)

/**
 * struct fixture - a condition that is fed records
 * @condition: the condition
 * @now_ns:    time of the newest record
 * @fired:     how often there was an alert
 * @first:     seconds until the first one
 */
struct fixture {
	struct condition condition;
	__u64 now_ns;
	unsigned int fired;
	double first;
};

static struct fixture new_fixture(const char *condition)
{
	struct fixture fixture = { .now_ns = START_NS };

	condition_parse(&fixture.condition, condition);
	return fixture;
}

/* Counts a record, so many seconds after the one before. */
static void count(struct fixture *fixture, double seconds, __u64 count)
{
	struct mp3_record record = {
		.maj_flt = count,
		.cpu_ns = count * 1000000,
	};

	fixture->now_ns += (__u64)(seconds * 1e9);
	record.time_ns = fixture->now_ns;
	condition_count(&fixture->condition, &record);
}

static void check(struct fixture *fixture, __u64 now_ns)
{
	if (condition_alert(&fixture->condition, now_ns, FAKE_INTERVAL_NS) <= 0)
		return;
	if (!fixture->fired++)
		fixture->first = (double)(fixture->now_ns - START_NS) / 1e9;
}

/* Counts a record that is read at once. */
static void feed(struct fixture *fixture, double seconds, __u64 counts)
{
	count(fixture, seconds, counts);
	check(fixture, fixture->now_ns);
}

/* Feeds ticks so far apart, with a record of each of ten processes. */
static void feed_ten(struct fixture *fixture, unsigned int ticks,
		     double seconds, __u64 counts)
{
	while (ticks--)
		for (int i = 0; i < 10; i++)
			feed(fixture, i ? 0 : seconds, counts);
}

/* Feeds records each tick for so long, of which every @nth has a count. */
static void feed_for(struct fixture *fixture, double seconds, unsigned int nth,
		     __u64 counts)
{
	__u64 end_ns = fixture->now_ns + (__u64)(seconds * 1e9);

	for (unsigned int i = 1; fixture->now_ns < end_ns; i++)
		feed(fixture, 0.05, i % nth ? 0 : counts);
}

static void test_rate(void)
{
	struct fixture fixture = new_fixture("major=100/s:2s");

	feed_for(&fixture, 600, 1, 4);
	ok_eq(fixture.fired, 0, "there is no alert below the rate");

	fixture = new_fixture("major=100/s:2s");
	feed(&fixture, 0, 0);
	feed_for(&fixture, 1.95, 1, 6);
	ok_eq(fixture.fired, 0, "there is no alert before the rate has held long enough");
	feed(&fixture, 0.05, 6);
	ok(fixture.fired == 1 && fabs(fixture.first - 2) < 0.001,
	   "there is an alert once the rate has held long enough");
	feed_for(&fixture, 59.9, 1, 6);
	ok_eq(fixture.fired, 1, "there is no second alert within a minute");
	feed_for(&fixture, 120, 1, 6);
	ok_eq(fixture.fired, 3, "there is an alert after each minute that the rate holds");

	fixture = new_fixture("cpu=90%:10s");
	feed_for(&fixture, 20, 1, 44);
	ok_eq(fixture.fired, 0, "88% of a CPU do not hold a rate of 90%");
	feed_for(&fixture, 11, 1, 46);
	ok_eq(fixture.fired, 1, "92% of a CPU hold a rate of 90%");
}

static void test_bursts(void)
{
	struct fixture fixture = new_fixture("major=100/s:2s");

	feed(&fixture, 0, 0);
	feed_for(&fixture, 2.05, 4, 24);
	feed_for(&fixture, 0.2, 4, 24);
	ok_eq(fixture.fired, 1, "bursts that keep up with a rate hold it");

	fixture = new_fixture("major=100/s:2s");
	feed(&fixture, 0, 0);
	feed(&fixture, 0.05, 100000);
	feed_for(&fixture, 10, 1, 0);
	ok_eq(fixture.fired, 0, "one burst does not hold a rate");

	fixture = new_fixture("major=100/s:2s");
	feed(&fixture, 0, 0);
	feed_for(&fixture, 0.9, 1, 50);
	feed_for(&fixture, 1.5, 1, 0);
	feed_for(&fixture, 1.9, 1, 50);
	ok_eq(fixture.fired, 0, "bursts with a long pause do not hold a rate");
}

static void test_ticks(void)
{
	struct fixture fixture = new_fixture("major=100/s:2s");

	feed(&fixture, 0, 0);
	for (int i = 0; i < 20; i++)
		feed(&fixture, 3, 290);
	ok_eq(fixture.fired, 0, "a rate is over the time between two ticks");

	fixture = new_fixture("major=100/s:2s");
	feed(&fixture, 0, 1000000);
	feed_for(&fixture, 3, 1, 4);
	ok_eq(fixture.fired, 0, "the counts of the first tick are no rate");

	fixture = new_fixture("major=500/s:1s");
	feed_ten(&fixture, 60, 1, 49);
	ok_eq(fixture.fired, 0, "ten processes together do not reach a higher rate");
	feed_ten(&fixture, 3, 1, 60);
	ok_eq(fixture.fired, 1, "ten processes together hold a rate, at a tick each second");
	fixture = new_fixture("major=500/s:10s");
	feed_ten(&fixture, 6, 2, 120);
	ok(fixture.fired == 1 && fabs(fixture.first - 12) < 0.001,
	   "ten processes together hold a rate for a long time, at long ticks");
	fixture = new_fixture("major=500/s:0.08s");
	feed_ten(&fixture, 2, 0.05, 3);
	ok_eq(fixture.fired, 0, "there is no alert at the first tick");
	feed_ten(&fixture, 1, 0.05, 3);
	ok_eq(fixture.fired, 1, "there is an alert for less time than two ticks");
}

/* Counts records each tick for so long, which are read later. */
static void count_for(struct fixture *fixture, double seconds, __u64 counts)
{
	__u64 end_ns = fixture->now_ns + (__u64)(seconds * 1e9);

	while (fixture->now_ns < end_ns)
		count(fixture, 0.05, counts);
}

static void test_backlog(void)
{
	struct fixture fixture = new_fixture("major=100/s:2s");

	count_for(&fixture, 150, 6);
	check(&fixture, fixture.now_ns);
	ok_eq(fixture.fired, 1, "a backlog of minutes raises one alert if its rate still holds");
	feed_for(&fixture, 59.9, 1, 6);
	ok_eq(fixture.fired, 1, "there is no second alert within a minute after a backlog");
	feed_for(&fixture, 1, 1, 6);
	ok_eq(fixture.fired, 2,
	      "there is an alert a minute after a backlog if its rate still holds");

	fixture = new_fixture("major=100/s:2s");
	count_for(&fixture, 100, 6);
	count_for(&fixture, 10, 0);
	check(&fixture, fixture.now_ns);
	ok_eq(fixture.fired, 0, "a backlog raises no alert if its rate ended with records of 0");

	fixture = new_fixture("major=100/s:2s");
	count_for(&fixture, 100, 6);
	check(&fixture, fixture.now_ns + 3 * NSEC_PER_SEC);
	ok_eq(fixture.fired, 0, "a backlog raises no alert if its last record is old");
}

/* ---- The command ---- */

static struct run run;

static bool refuses(const char *arguments)
{
	start_run(&run, cmd_alert, "mp3ctl alert", arguments, NULL,
		  RLIM_INFINITY);
	finish_run(&run);
	if (run.status == 2 && !run.out[0] && run.errors[0] &&
	    strchr(run.errors, '\n') == strrchr(run.errors, '\n'))
		return true;
	diag("%s: status %d: %s", arguments, run.status, run.errors);
	return false;
}

static void test_usage(void)
{
	static const char *const bad[] = {
		"major", "major=100", "major=100/s", "major=100/s:2",
		"major=100/s:2sx", "major=100%:2s", "cpu=9/s:2s", "rss=9/s:2s",
		"major=-1/s:2s", "major=0/s:2s", "major=nan/s:2s",
		"major=1/s:0s", "major=1/s:infs", "=1/s:2s",
		"major=0x10/s:2s", "major=1/s:0x2s", "major=\t1/s:2s",
		"major=1/s:\t2s", "major=+1/s:2s", "major=1e999/s:2s",
		"major=/s:2s", "major=1/s:s", "majo=1/s:2s",
	};
	const char *accepted = NULL;
	char arguments[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(arguments, sizeof(arguments), "%s -- true", bad[i]);
		if (!refuses(arguments))
			accepted = bad[i];
	}
	if (!ok(!accepted, "mp3ctl alert refuses a bad condition with one line and status 2"))
		diag("accepted: %s", accepted);
	ok(refuses("major=1/s:1s") && refuses("major=1/s:1s --") &&
	   refuses("-- true") && refuses("-p 0 major=1/s:1s -- true") &&
	   refuses("--what major=1/s:1s -- true"),
	   "mp3ctl alert refuses a missing condition or command with one line and status 2");
	ok(refuses("-d a -d b major=1/s:1s -- true") &&
	   refuses("--until-idle --until-idle major=1/s:1s -- true"),
	   "mp3ctl alert refuses an option that is given twice");
}

/*
 * Publishes a record of each of three processes, taken now. Since the time of
 * the last records, each has spent 5 % of a CPU, two of them have taken 100
 * faults per second, and the third a million.
 */
static void publish(struct fake_ring *ring, __u64 *last_ns)
{
	__u64 now_ns = initial_monotonic_ns(), span_ns = now_ns - *last_ns;
	__u32 pid;

	for (pid = 4190001; pid <= 4190003; pid++) {
		struct mp3_record record = {
			.time_ns = now_ns,
			.pid = pid,
			.min_flt = pid == 4190003 ? 1000000 : span_ns / 10000000,
			.cpu_ns = span_ns / 20,
		};

		fake_publish(ring, &record);
	}
	*last_ns = now_ns;
}

static void test_command(void)
{
	static const char options[] =
		"minor=50/s:0.3s cpu=1%:0.3s cpu=900%:0.3s minor=250/s:0.3s -p 4190001 -p 4190002";
	char script[] = "/tmp/alert_test.XXXXXX", arguments[256];
	struct fake_ring ring;
	int i, fd = mkstemp(script);
	__u64 last_ns;

	if (fd < 0 || dprintf(fd, "echo \"$MP3_METRIC of $MP3_PID: $MP3_ALERT\"\n") < 0)
		err(1, "%s", script);
	close(fd);
	fake_open(&ring, sizeof(struct mp3_record), 4096);
	ring.header->processes = 3;
	snprintf(arguments, sizeof(arguments), "%s --until-idle -d %s -- sh %s", options,
		 ring.path, script);
	start_run(&run, cmd_alert, "mp3ctl alert", arguments, NULL,
		  RLIM_INFINITY);
	wait_for_signals(&run);
	last_ns = initial_monotonic_ns();
	for (i = 0; i < 60; i++) {
		sleep_ms(50);
		publish(&ring, &last_ns);
	}
	ring.header->processes = 0;
	finish_run(&run);
	if (!ok(run.status == 0 && !run.out[0] &&
		strstr(run.errors, "\nminor of 4190001 4190002: minor=50/s:0.3s\n") &&
		strstr(run.errors, "\ncpu of 4190001 4190002: cpu=1%:0.3s\n"),
		"mp3ctl alert runs its command for each of several conditions") |
	    !ok(!strstr(run.errors, "900%") && !strstr(run.errors, "250/s"),
		"mp3ctl alert counts only the processes that -p selects"))
		diag("errors: %s", run.errors);
	fake_close(&ring);
	unlink(script);
}

int main(void)
{
	test_rate();
	test_bursts();
	test_ticks();
	test_backlog();
	test_usage();
	test_command();

	return done();
}
