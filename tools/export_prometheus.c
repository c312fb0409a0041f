// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl export --format prometheus: the totals of a recording or, again and again,
 * those of a capture, in a file that is replaced as a whole.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export.h"
#include "names.h"
#include "options.h"
#include "progress.h"
#include "prometheus.h"
#include "recording.h"
#include "util.h"

/* ---- Recordings ---- */

/*
 * @totals:    of the recording
 * @profiler:  what it contains of the profiler
 * @newest_ns: time of its newest record
 * @unsettled: faults were read since the last record
 */
static struct {
	struct totals totals;
	struct profiler profiler;
	__u64 newest_ns;
	bool unsettled;
} recorded;

static void note_info(void *data, const char *key, const char *value)
{
	__u64 number = strtoull(value, NULL, 10);

	(void)data;
	if (!strcmp(key, "start_ns"))
		recorded.totals.since_ns = number;
	else if (!strcmp(key, "interval_ns"))
		recorded.profiler.interval_ns = number;
	else if (!strcmp(key, "n"))
		recorded.totals.every = (unsigned int)number;
}

/* The faults of a pass follow its records. */
static void add_record(void *data, const struct mp3_record *record)
{
	(void)data;
	if (recorded.unsettled)
		totals_settle(&recorded.totals, recorded.newest_ns);
	recorded.unsettled = false;
	recorded.newest_ns = record->time_ns;
	totals_record(&recorded.totals, record);
}

static void add_fault(void *data, const struct mp3_fault *fault)
{
	(void)data;
	recorded.unsettled = true;
	totals_fault(&recorded.totals, fault);
}

static void note_totals(void *data, const struct mp3_recording_totals *totals)
{
	(void)data;
	recorded.profiler.dropped = totals->dropped;
	recorded.profiler.denied = totals->denied;
	recorded.profiler.lost_records = totals->lost_records;
	recorded.profiler.lost_faults = totals->lost_faults;
	recorded.profiler.processes = totals->running;
}

bool export_prometheus_read(const struct export *export)
{
	static const struct recording_visitor names = {
		.name = names_add,
	};
	static const struct recording_visitor visitor = {
		.info = note_info,
		.record = add_record,
		.fault = add_fault,
		.totals = note_totals,
		.progress = progress,
		.again = true,
	};
	bool good;

	totals_init(&recorded.totals, export->live.nr_names,
		    export->live.nr_cgroups);
	names_start();
	/* Names of cgroups can follow their first records. */
	good = recording_read(export->path, &names, NULL) &&
	       recording_read(export->path, &visitor, NULL);
	progress_end();
	totals_settle(&recorded.totals, MP3_NEVER);

	return good;
}

/* ---- Files ---- */

/*
 * Writes @text to a new file. @name ends with XXXXXX, which its name has something
 * else in place of. Returns false, with errno set, if that is impossible: nothing is
 * left of it.
 */
static bool write_file(char *name, const char *text, size_t size)
{
	int fd = mkostemp(name, O_CLOEXEC), error = 0;

	if (fd < 0)
		return false;
	errno = ENOSPC;
	/* Readable for all, whatever the umask is: the reader is another user. */
	if (write(fd, text, size) != (ssize_t)size || fchmod(fd, 0644))
		error = errno;
	if (close(fd) && !error)
		error = errno;
	if (!error)
		return true;
	unlink(name);
	errno = error;

	return false;
}

/*
 * Replaces a file by what @print prints, as a whole: a reader finds the old contents
 * or the new ones. Returns false, after one line if it @warns, if that is impossible:
 * the file is as it was.
 */
static bool replace_file(const char *path, bool warns,
			 void (*print)(FILE *file, const void *data),
			 const void *data)
{
	/* Hidden, in the same directory: collectors read *.prom. */
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	sigset_t signals, mask;
	struct stat info;
	char *text, *name;
	size_t size;
	FILE *file;
	bool good;

	/* A device, for example, must not become a file. */
	if (!lstat(path, &info) && !S_ISREG(info.st_mode)) {
		if (warns)
			warnx("%s: not a regular file", path);
		return false;
	}
	file = open_memstream(&text, &size);
	if (file)
		print(file, data);
	if (!file || fclose(file) ||
	    asprintf(&name, "%.*s.%s.XXXXXX", (int)(base - path), path, base) < 0)
		err(1, "%s", path);
	/* They must not leave the other file. */
	termination_signals(&signals);
	sigprocmask(SIG_BLOCK, &signals, &mask);
	good = write_file(name, text, size);
	if (good && rename(name, path)) {
		unlink(name);
		good = false;
	}
	if (!good && warns)
		warn("%s", path);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	free(name);
	free(text);

	return good;
}

static void print_recorded(FILE *file, const void *data)
{
	(void)data;
	prometheus_print(file, false, &recorded.totals, &recorded.profiler);
}

bool export_prometheus_print(const struct export *export)
{
	(void)export;
	print_recorded(stdout, NULL);
	return true;
}

/*
 * Prints the totals of a recording that was read to the output. Returns false after
 * one line if that is impossible.
 */
bool export_prometheus_replace(const struct export *export)
{
	return replace_file(export->output, true, print_recorded, NULL);
}

/* ---- Live ---- */

static void print_live(FILE *file, const void *data)
{
	exporter_print(data, file, false);
}

/**
 * export_prometheus_live() - write the totals of a capture until a signal
 * @export: what to export
 *
 * Exits with one line if the capture cannot be created. Ends if the first file cannot
 * be written; later ones are tried again, after one line.
 *
 * Return: the exit status.
 */
int export_prometheus_live(const struct export *export)
{
	static struct exporter exporter;
	struct wait wait = { .input_fd = -1 };
	const struct live *live = &exporter.live;
	bool good = true, started = false;

	exporter_start(&exporter, &export->live);
	do {
		exporter_pass(&exporter);
		if (live->now_ns < wait.until_ns)
			continue;
		good = replace_file(export->output, good, print_live,
				    &exporter);
		/* The counters would start again: a disk can be full for a while. */
		if (!good && !started)
			break;
		started = true;
		wait.until_ns = live->now_ns + export->interval_ns;
	} while (live_wait(live, &wait));
	if (started) {
		exporter_last_pass(&exporter);
		good = replace_file(export->output, good, print_live, &exporter);
	}
	exporter_finish(&exporter);

	return !good;
}
