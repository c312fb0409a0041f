// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <dirent.h>
#include <err.h>

#include "capture.h"
#include "proc.h"
#include "select.h"
#include "util.h"

/*
 * Nanoseconds between two scans for processes that no followed one has forked: so many
 * times as long as a scan takes, at least the first and at most the second.
 */
#define SCAN_PAUSE 50
#define MIN_SCAN_NS NSEC_PER_SEC
#define MAX_SCAN_NS (10 * NSEC_PER_SEC)

/*
 * Unregisters this program, which a followed process may have started: its
 * records would cause new ones forever.
 */
static void leave_out_self(const struct selection *selection)
{
	mp3_capture_unregister(selection->capture, getpid());
}

/*
 * Returns the process id that records of this program have, or 0 if that is
 * unknown. In another pid namespace than the initial one, it is not getpid().
 */
static __u32 find_own_pid(struct source *source)
{
	struct mp3_record record = {};
	__u32 pid = 0;

	if (!mp3_capture_register(&source->reader, getpid()))
		mp3_capture_unregister(&source->reader, getpid());
	while (mp3_reader_next_record(&source->reader, &record))
		pid = record.pid;
	source->start = source->reader.next;

	return pid;
}

/* Registers the processes of -p. Exits if one cannot be registered. */
static void register_pids(const struct selection *selection)
{
	const struct ring_options *options = selection->options;
	char command = options->follow ? 'F' : 'R';
	pid_t pid;
	size_t i;
	int error;

	for (i = 0; i < options->nr_pids; i++) {
		pid = (pid_t)options->pids[i];
		error = mp3_capture_command(selection->capture, command, pid);
		/* It was given twice, or descends from another one. */
		if (error && error != -EEXIST)
			errx(1, "process %d: %s", pid, mp3_strerror(error));
	}
}

/* Follows a process if that is allowed. Returns whether it was not followed yet. */
static bool follow_if_allowed(const struct selection *selection, pid_t pid)
{
	int error = capture_add(selection->capture, pid);

	switch (-error) {
	case 0:
		return true;
	case EPERM:
		if (selection->options->all)
			errx(1, "-a requires root or CAP_PERFMON");
		return false;
	case EEXIST:
		if (selection->found)
			selection->found(selection->data, pid);
		return false;
	case EINVAL:	/* a kernel thread */
	case ESRCH:	/* it has exited */
		return false;
	default:
		errx(1, "process %d: %s", pid, mp3_strerror(error));
	}
}

/*
 * Follows every process that the caller may profile and that is not followed
 * yet. Returns whether there was any. /proc lists processes in the order of
 * their ids, so that most of them have been found as descendants.
 */
static bool follow_all(const struct selection *selection)
{
	struct dirent *entry;
	bool found = false;
	DIR *dir = opendir("/proc");
	pid_t pid;

	if (!dir)
		err(1, "/proc");
	while ((entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid == getpid() ||
		    (selection->is_followed &&
		     selection->is_followed(selection->data, pid)))
			continue;
		if (follow_if_allowed(selection, pid))
			found = true;
	}
	closedir(dir);
	if (found)
		leave_out_self(selection);

	return found;
}

/**
 * selection_start() - register the processes that the user has selected
 * @selection: filled
 * @source:    a new capture; it skips what this program does from now on
 * @options:   of the command
 *
 * Exits with status 1 if a process of -p cannot be registered, or if -a is not
 * permitted.
 *
 * Return: whether any process has been registered.
 */
bool selection_start(struct selection *selection, struct source *source,
		     const struct ring_options *options)
{
	bool found = false;

	if (!options->nr_pids || options->follow)
		check_may_follow();
	*selection = (struct selection){
		.options = options,
		.capture = &source->reader,
		.scan_ns = MP3_NEVER,
	};
	source->own_pid = find_own_pid(source);
	if (options->nr_pids) {
		register_pids(selection);
		if (options->follow)
			leave_out_self(selection);
		return true;
	}

	if (!proc_is_own())
		errx(1, "/proc is of another pid namespace (see unshare --mount-proc); use -p");
	/* Even if /proc hides it, this shows whether -a is permitted. */
	if (options->all)
		found = follow_if_allowed(selection, 1);
	/* A process that was not followed yet may have forked during a pass. */
	while (follow_all(selection))
		found = true;
	selection->scan_ns = initial_monotonic_ns() + MIN_SCAN_NS;

	return found;
}

/*
 * Registers processes that have appeared since the last scan, if it is time for
 * the next one: a new login, for example, whose parent the caller may not follow.
 */
void selection_scan(struct selection *selection, __u64 now_ns)
{
	__u64 end_ns, pause_ns;

	if (now_ns < selection->scan_ns)
		return;
	follow_all(selection);
	end_ns = initial_monotonic_ns();
	pause_ns = SCAN_PAUSE * (end_ns - now_ns);
	if (pause_ns < MIN_SCAN_NS)
		pause_ns = MIN_SCAN_NS;
	if (pause_ns > MAX_SCAN_NS)
		pause_ns = MAX_SCAN_NS;
	selection->scan_ns = end_ns + pause_ns;
}
