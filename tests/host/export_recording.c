// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: export_recording FILE <LINES
 *        export_recording --progress FILE
 *
 * Writes a recording for tests, a chunk for each line of standard input:
 *
 *	info KEY=VALUE
 *	identity MS PID PPID START_MS COMM
 *	member CGROUP MS PID PPID START_MS COMM
 *	cgroup ID PATH
 *	record MS PID FLAGS MIN_FLT MAJ_FLT CPU_MS RSS_KIB COMM
 *	fault MS PID TID FLAGS STALL_US FILE [FRAME...]
 *	file NUMBER PATH
 *	symbol FILE OFFSET FUNCTION
 *	totals END_MS [LOST_RECORDS LOST_FAULTS DROPPED DENIED RUNNING]
 *
 * Times are after second 100 of the clock of records. FLAGS of a record is - F L or FL,
 * and of a fault a number. A STALL_US of - is unknown. FRAME is FILE:OFFSET. COMM
 * and PATH end with the line, and \xNN in them is a byte.
 *
 * With --progress, prints the progress of reading a recording instead. Compile it
 * together with tools/recording.c.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/recording.h"
#include "../../tools/util.h"

#define START_NS (100 * 1000000000ULL)

static struct recording recording;

static __u64 ns_of(double ms)
{
	return START_NS + (__u64)(ms * 1e6 + 0.5);
}

/* Copies a name, in which \xNN is a byte, as far as it fits. */
static void copy_name(char *to, size_t size, const char *from)
{
	size_t i;
	unsigned int byte;

	memset(to, 0, size);
	for (i = 0; *from && i < size - 1; i++) {
		if (sscanf(from, "\\x%2x", &byte) == 1) {
			to[i] = (char)byte;
			from += 4;
		} else {
			to[i] = *from++;
		}
	}
}

static void write_chunk(__u32 type, const void *data, size_t size)
{
	if (!recording_write(&recording, type, data, size))
		exit(1);
}

static void write_text(__u32 type, const char *line)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s\n", line);
	write_chunk(type, text, strlen(text));
}

/* Returns whether an identity record with these words was written. */
static bool write_member(__u64 cgroup_id, const char *words)
{
	struct mp3_record record = { .flags = MP3_IDENTITY };
	double ms, start_ms;
	int at = 0;

	if (sscanf(words, "%lf %u %u %lf %n", &ms, &record.pid, &record.ppid,
		   &start_ms, &at) < 4)
		return false;
	record.time_ns = ns_of(ms);
	record.start_ns = ns_of(start_ms);
	record.uid = 1000;
	record.cgroup_id = cgroup_id;
	copy_name(record.comm, sizeof(record.comm), words + at);
	write_chunk(MP3_RECORDING_RECORDS, &record, sizeof(record));

	return true;
}

static bool write_identity(const char *words)
{
	return write_member(0, words);
}

static bool write_cgroup_member(const char *words)
{
	char *rest;
	__u64 cgroup_id = strtoull(words, &rest, 10);

	return write_member(cgroup_id, rest);
}

static bool write_cgroup(const char *words)
{
	char text[1024];
	unsigned long long id;
	int at = 0;

	if (sscanf(words, "%llu %n", &id, &at) < 1)
		return false;
	snprintf(text, sizeof(text), "cgroup\t%llu\t%s", id, words + at);
	write_text(MP3_RECORDING_NAMES, text);

	return true;
}

static bool write_record(const char *words)
{
	struct mp3_record record = {};
	unsigned long long min, maj, rss;
	char flags[4];
	double ms, cpu_ms;
	int at = 0;

	if (sscanf(words, "%lf %u %3s %llu %llu %lf %llu %n", &ms, &record.pid,
		   flags, &min, &maj, &cpu_ms, &rss, &at) < 7)
		return false;
	record.time_ns = ns_of(ms);
	record.flags = (strchr(flags, 'F') ? MP3_FIRST : 0) |
		       (strchr(flags, 'L') ? MP3_LAST : 0);
	record.min_flt = min;
	record.maj_flt = maj;
	record.cpu_ns = (__u64)(cpu_ms * 1e6);
	record.rss_bytes = rss * 1024;
	copy_name(record.comm, sizeof(record.comm), words + at);
	write_chunk(MP3_RECORDING_RECORDS, &record, sizeof(record));

	return true;
}

static bool write_fault(const char *words)
{
	struct mp3_fault fault = { .address = 0x7f0000001234 };
	static __u64 seq;
	unsigned long long offset;
	unsigned int nr = 0, file;
	char stall[32];
	double ms;
	int at = 0, next;

	if (sscanf(words, "%lf %u %u %x %31s %u%n", &ms, &fault.pid, &fault.tid,
		   &fault.flags, stall, &fault.file, &at) < 6)
		return false;
	for (; sscanf(words + at, " %u:%llx%n", &file, &offset, &next) == 2;
	     at += next)
		fault.frames[nr++] = (__u64)file << 48 | offset;
	fault.seq = ++seq;
	fault.time_ns = ns_of(ms);
	fault.flags |= nr << 28;
	fault.stall_ns = strcmp(stall, "-") ?
		(__u64)(strtod(stall, NULL) * 1e3) : MP3_NO_STALL;
	write_chunk(MP3_RECORDING_FAULTS, &fault, sizeof(fault));

	return true;
}

static bool write_file(const char *words)
{
	struct mp3_file file = { .inode = 1 };
	int at = 0;

	if (sscanf(words, "%u %n", &file.number, &at) < 1)
		return false;
	copy_name(file.path, sizeof(file.path), words + at);
	write_chunk(MP3_RECORDING_FILES, &file, sizeof(file));

	return true;
}

static bool write_symbol(const char *words)
{
	unsigned long long offset;
	unsigned int file;
	char text[1024];
	int at = 0;

	if (sscanf(words, "%u %llx %n", &file, &offset, &at) < 2)
		return false;
	snprintf(text, sizeof(text), "%u\t%llx\t%s\t\t0", file, offset,
		 words + at);
	write_text(MP3_RECORDING_SYMBOLS, text);

	return true;
}

static bool write_totals(const char *words)
{
	struct mp3_recording_totals totals = { .flags = MP3_RECORDING_COMPLETE };

	unsigned long long figures[4] = {};
	double end_ms;

	if (sscanf(words, "%lf %llu %llu %llu %llu %u", &end_ms, &figures[0],
		   &figures[1], &figures[2], &figures[3], &totals.running) < 1)
		return false;
	totals.end_ns = ns_of(end_ms);
	totals.lost_records = figures[0];
	totals.lost_faults = figures[1];
	totals.dropped = figures[2];
	totals.denied = figures[3];
	write_chunk(MP3_RECORDING_TOTALS, &totals, sizeof(totals));

	return true;
}

static bool write_info(const char *words)
{
	write_text(MP3_RECORDING_INFO, words);
	return true;
}

static void print_part(const char *path, double done)
{
	(void)path;
	printf("%.6f\n", done);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *word;
		bool (*write)(const char *words);
	} kinds[] = {
		{ "info ", write_info },
		{ "identity ", write_identity },
		{ "member ", write_cgroup_member },
		{ "cgroup ", write_cgroup },
		{ "record ", write_record },
		{ "fault ", write_fault },
		{ "file ", write_file },
		{ "symbol ", write_symbol },
		{ "totals ", write_totals },
	};
	static const struct recording_visitor visitor = {
		.progress = print_part,
	};
	const size_t nr_kinds = ARRAY_SIZE(kinds);
	char line[1024];
	size_t i;

	if (argc == 3 && !strcmp(argv[1], "--progress"))
		return !recording_read(argv[2], &visitor, NULL);
	if (argc != 2)
		errx(2, "usage: export_recording FILE");
	if (!recording_create(&recording, argv[1]))
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		for (i = 0; i < nr_kinds; i++)
			if (!strncmp(line, kinds[i].word, strlen(kinds[i].word)))
				break;
		if (i == nr_kinds ||
		    !kinds[i].write(line + strlen(kinds[i].word)))
			errx(1, "not a line: %s", line);
	}

	return !recording_close(&recording);
}
