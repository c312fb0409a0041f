// SPDX-License-Identifier: GPL-2.0
/*
 * monitor, against a ring in a file: what it prints, consumes and counts as lost.
 */
#define main monitor_main
#include "../../monitor.c"
#undef main
#include "../../tools/util.c"
#include "fake_ring.h"

static struct run run;

static bool monitor(struct fake_ring *ring, const char *arguments)
{
	start_run(&run, monitor_main, "monitor", arguments, ring->path,
		  RLIM_INFINITY);
	finish_run(&run);

	return run.status == 0;
}

/* Returns whether the run printed @nr samples from number @first, and @last. */
static bool printed(__u64 first, unsigned int nr, const char *last)
{
	char line[LINE_SIZE];
	const char *at = run.out;

	for (; nr; nr--, first++) {
		snprintf(line, sizeof(line), "%llu %llu 5 100\n",
			 FAKE_JIFFIES + first, (unsigned long long)first);
		if (strncmp(at, line, strlen(line)))
			break;
		at += strlen(line);
	}
	if (!nr && !strcmp(at, last) && !run.errors[0])
		return true;
	diag("got: %.200s want: %s errors: %s", at, last, run.errors);
	return false;
}

static void test_print(void)
{
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_sample), MP3_SAMPLES);
	fake_publish_samples(&ring, 1000);
	ok(monitor(&ring, "--keep") &&
	   printed(0, 1000, "# 1000 samples read, 0 lost, hz 250\n"),
	   "monitor --keep prints the ring, oldest first, and counts it");
	ok(monitor(&ring, "-k") &&
	   printed(0, 1000, "# 1000 samples read, 0 lost, hz 250\n"),
	   "monitor --keep consumes nothing");
	ok(monitor(&ring, "") &&
	   printed(0, 1000, "# 1000 samples read, 0 lost, hz 250\n"),
	   "monitor prints the ring, oldest first, and counts it");
	ok(monitor(&ring, "") &&
	   printed(0, 0, "# 0 samples read, 0 lost, hz 250\n"),
	   "monitor consumes what it has printed");
	fake_publish_samples(&ring, 10);
	ok(monitor(&ring, "") &&
	   printed(1000, 10, "# 10 samples read, 0 lost, hz 250\n"),
	   "monitor prints what was published since it consumed the ring");
	fake_close(&ring);
}

static void test_lost(void)
{
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_sample), MP3_SAMPLES);
	fake_publish_samples(&ring, MP3_SAMPLES + 1956);
	ok(monitor(&ring, "--keep") &&
	   printed(1958, 11998, "# 11998 samples read, at most 1958 lost, hz 250\n"),
	   "monitor --keep reports what may be lost after an overwrite");
	ok(monitor(&ring, "") &&
	   printed(1958, 11998, "# 11998 samples read, at most 1958 lost, hz 250\n"),
	   "monitor reports what may be lost after an overwrite");
	fake_publish_samples(&ring, 100);
	ok(monitor(&ring, "") &&
	   printed(13956, 100, "# 100 samples read, 0 lost, hz 250\n"),
	   "monitor reports no loss if only consumed samples were overwritten");
	fake_close(&ring);
}

/* A disk that is full at any byte of a line. */
static void test_full_disk(void)
{
	static char first[sizeof(run.out)];
	struct fake_ring ring;
	unsigned int bad = 0;
	rlim_t limit;
	char *end;

	fake_open(&ring, sizeof(struct mp3_sample), MP3_SAMPLES);
	for (limit = 9950; limit < 9990; limit++) {
		__u64 start = ring.header->head;
		unsigned int complete = 0;

		fake_publish_samples(&ring, 1000);
		start_run(&run, monitor_main, "monitor", "", ring.path, limit);
		finish_run(&run);
		strcpy(first, run.out);
		for (end = first; strchr(end, '\n'); complete++)
			end = strchr(end, '\n') + 1;
		bad += run.status != 1 || strlen(first) != limit ||
			strcmp(run.errors, "monitor: standard output: File too large\n");
		bad += !monitor(&ring, "") || atoll(run.out) != (long long)
			(FAKE_JIFFIES + start + complete) ||
			!strstr(run.out, "lost") ||
			(unsigned int)atoi(strrchr(run.out, '#') + 1) !=
			1000 - complete;
	}
	ok_eq(bad, 0,
	      "after a full disk, monitor prints the samples that were not written, and no other");
	fake_close(&ring);
}

static void test_errors(void)
{
	struct fake_ring ring;

	fake_open(&ring, sizeof(struct mp3_record), 64);
	ok(!monitor(&ring, "") && run.status == 1 && !run.out[0] &&
	   strchr(run.errors, '\n') == strrchr(run.errors, '\n'),
	   "monitor refuses a ring of records with one line and status 1");
	ring.header->version = MP3_ABI_VERSION + 1;
	ok(!monitor(&ring, "") && run.status == 1 &&
	   strstr(run.errors, "has ABI version"),
	   "monitor names the version of a ring that it cannot read");
	fake_close(&ring);

	fake_open(&ring, sizeof(struct mp3_sample), MP3_SAMPLES);
	ok(!monitor(&ring, "-d /dev/mp3") && run.status == 2 && run.errors[0],
	   "monitor refuses two devices with status 2");
	ok(!monitor(&ring, "x") && run.status == 2 && run.errors[0],
	   "monitor refuses an argument with status 2");

	/* A process with CAP_DAC_OVERRIDE can write any file. */
	if (fchmod(ring.fd, 0444) || (!geteuid() && seteuid(65534)))
		err(1, "the ring without permission to write it");
	ok(!monitor(&ring, "") && run.status == 1 &&
	   strstr(run.errors, "Permission denied"),
	   "monitor refuses to print a ring that it cannot consume");
	ok(monitor(&ring, "--keep") && strstr(run.out, "# 0 samples"),
	   "monitor --keep prints a ring that it cannot consume");
	if (!getuid() && seteuid(0))
		err(1, "seteuid");
	fake_close(&ring);
}

int main(void)
{
	test_print();
	test_lost();
	test_full_disk();
	test_errors();

	return done();
}
