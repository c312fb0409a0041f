// SPDX-License-Identifier: GPL-2.0
/*
 * How mp3ctl watch, top and alert look for processes that are not followed yet: the
 * commands that they write to a made-up capture, and when. Directories stand for
 * processes.
 */
#include <dirent.h>

#include "../../mp3_client.h"

static char directory[32] = "/tmp/mp3-select-XXXXXX";

static DIR *open_directory(const char *path)
{
	(void)path;
	return opendir(directory);
}

static int write_command(const struct mp3_reader *capture, char letter,
			 pid_t pid);

static __u64 time_ns = 1000000000;

/* The time passes during commands only, however busy this machine is. */
static __u64 test_time(void)
{
	return time_ns;
}

#define opendir open_directory
#define mp3_capture_register(capture, pid) write_command(capture, 'R', pid)
#define mp3_capture_follow(capture, pid) write_command(capture, 'F', pid)
#define mp3_capture_unregister(capture, pid) write_command(capture, 'U', pid)

#include "../../tools/capture.c"
#include "../../tools/options.c"
#include "../../tools/proc.c"
#include "../../tools/source.c"
#include "../../tools/util.c"

#define initial_monotonic_ns() test_time()

#include "../../tools/select.c"
#include "../guest/test.h"

#define NR_PIDS	10

static bool registered[NR_PIDS], followed[NR_PIDS];
static int follow_error;	/* what F returns */
static __u64 delay_ns;		/* how long a command takes */
static char commands[1024];	/* those that were written */

static int write_command(const struct mp3_reader *capture, char letter,
			 pid_t pid)
{
	size_t used = strlen(commands);

	(void)capture;
	/* This program leaves itself out. */
	if (pid >= NR_PIDS)
		return 0;
	snprintf(commands + used, sizeof(commands) - used, " %c%d", letter, pid);
	time_ns += delay_ns;
	if (letter == 'F') {
		if (followed[pid])
			return -EEXIST;
		if (!follow_error)
			followed[pid] = true;
		return follow_error;
	}
	if (letter == 'U') {
		registered[pid] = false;
		return 0;
	}
	if (registered[pid])
		return -EEXIST;
	registered[pid] = true;

	return 0;
}

static void make_process(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%d", directory, pid);
	if (mkdir(path, 0755))
		err(1, "%s", path);
}

/* Adds up the ids of processes that are followed already. */
static void add_up(void *data, pid_t pid)
{
	*(int *)data += pid;
}

static int found;		/* the sum of these ids */
static const struct ring_options options;
static struct selection selection = {
	.options = &options,
	.found = add_up,
	.data = &found,
};

/* Scans at once. Returns for how many nanoseconds there is no other scan. */
static __u64 scan(void)
{
	commands[0] = '\0';
	found = 0;
	selection.scan_ns = 0;
	selection_scan(&selection, initial_monotonic_ns());

	return selection.scan_ns - initial_monotonic_ns();
}

int main(void)
{
	__u64 pause_ns;

	if (!mkdtemp(directory))
		err(1, "%s", directory);
	make_process(7);

	pause_ns = scan();
	ok(!strcmp(commands, " R7 F7") && registered[7] && followed[7] && !found,
	   "mp3ctl top follows a process that its capture does not have");
	ok(pause_ns == NSEC_PER_SEC,
	   "mp3ctl top looks for new processes every second");
	commands[0] = '\0';
	selection_scan(&selection, time_ns + NSEC_PER_SEC - 1);
	ok(!commands[0], "mp3ctl top looks for no process before it is time");

	scan();
	ok(!strcmp(commands, " R7") && found == 7,
	   "mp3ctl top does not follow again what its capture has");
	registered[7] = false;
	followed[7] = false;
	scan();
	ok(!strcmp(commands, " R7 F7") && followed[7],
	   "mp3ctl top follows a new process that has the id of one that has exited");

	make_process(5);
	follow_error = -EPERM;
	scan();
	ok(strstr(commands, " R5 F5 U5") && !registered[5],
	   "a process that mp3ctl top may not follow does not stay registered");
	follow_error = 0;
	scan();
	ok(strstr(commands, " R5 F5") && followed[5],
	   "mp3ctl top follows a process once it may");

	delay_ns = 30000000;
	pause_ns = scan();
	ok(pause_ns == 3 * NSEC_PER_SEC,
	   "a search of 60 ms is not repeated for 3 s");
	delay_ns = 150000000;
	pause_ns = scan();
	ok(pause_ns == 10 * NSEC_PER_SEC,
	   "a search that takes long is repeated after 10 s");

	rmdir(strcat(strcpy(commands, directory), "/5"));
	rmdir(strcat(strcpy(commands, directory), "/7"));
	rmdir(directory);

	return done();
}
