/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A recording for tests, as mp3ctl where writes it: a shell starts sort, which reads
 * a file in order and writes its heap in random order. Its faults depend on nothing
 * but the arguments.
 */
#ifndef MP3_SAMPLE_RECORDING_H
#define MP3_SAMPLE_RECORDING_H

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/recording.h"
#include "../../tools/util.h"

#define SAMPLE_START_NS	(100 * 1000000000ULL)
#define SAMPLE_SHELL	4000
#define SAMPLE_SORT	4001

/* Files of the sample, by their numbers */
enum {
	SAMPLE_FILE_SORT = 1,
	SAMPLE_FILE_LIBC,
	SAMPLE_FILE_DATA,
	SAMPLE_FILE_SHELL,
};

/**
 * struct sample - what a fault of the sample is drawn from
 * @weight:  how many of 100 faults are like this
 * @pid:     process
 * @file:    file of the mapping, or MP3_NO_FILE
 * @flags:   of the fault, without the number of frames
 * @base:    start of the mapping
 * @pages:   of the mapping
 * @random:  pages are accessed in random order
 * @stall_ns: of most faults; one in 50 takes ten times as long
 * @frames:  code, and its callers; 0 ends the list
 */
struct sample {
	unsigned int weight;
	__u32 pid;
	__u32 file;
	__u32 flags;
	__u64 base;
	__u64 pages;
	bool random;
	__u64 stall_ns;
	__u64 frames[4];
};

#define SAMPLE_FRAME(file, offset) ((__u64)(file) << 48 | (offset))
#define SAMPLE_MAIN SAMPLE_FRAME(SAMPLE_FILE_SORT, 0x3000)
#define SAMPLE_READ SAMPLE_FRAME(SAMPLE_FILE_SORT, 0x4100)
#define SAMPLE_MERGE SAMPLE_FRAME(SAMPLE_FILE_SORT, 0x5200)
#define SAMPLE_MEMCPY SAMPLE_FRAME(SAMPLE_FILE_LIBC, 0x9000)
#define SAMPLE_MALLOC SAMPLE_FRAME(SAMPLE_FILE_LIBC, 0xa000)

#define SAMPLE_USER (MP3_FAULT_USER | MP3_FAULT_ACCESS_KNOWN)

static const struct sample samples[] = {
	{ 3, SAMPLE_SHELL, MP3_NO_FILE,
	  SAMPLE_USER | MP3_FAULT_WRITE | MP3_FAULT_PRESENT | MP3_FAULT_STACK,
	  0x7ffc00000000, 8, true, 900,
	  { SAMPLE_FRAME(SAMPLE_FILE_SHELL, 0x2000) } },
	{ 2, SAMPLE_SHELL, SAMPLE_FILE_SHELL, SAMPLE_USER | MP3_FAULT_EXEC,
	  0x560000000000, 30, false, 700,
	  { SAMPLE_FRAME(SAMPLE_FILE_SHELL, 0x1000) } },
	{ 5, SAMPLE_SORT, SAMPLE_FILE_SORT,
	  SAMPLE_USER | MP3_FAULT_EXEC | MP3_FAULT_MAJOR, 0x550000000000, 25,
	  false, 150000, { SAMPLE_MAIN } },
	{ 10, SAMPLE_SORT, SAMPLE_FILE_LIBC, SAMPLE_USER, 0x7f0000000000, 400,
	  false, 600, { SAMPLE_MEMCPY, SAMPLE_READ, SAMPLE_MAIN } },
	{ 10, SAMPLE_SORT, SAMPLE_FILE_DATA, SAMPLE_USER | MP3_FAULT_MAJOR,
	  0x7e0000000000, 20000, false, 400000, { SAMPLE_READ, SAMPLE_MAIN } },
	{ 25, SAMPLE_SORT, SAMPLE_FILE_DATA, SAMPLE_USER | MP3_FAULT_SHARED,
	  0x7e0000000000, 20000, false, 800, { SAMPLE_READ, SAMPLE_MAIN } },
	{ 35, SAMPLE_SORT, MP3_NO_FILE,
	  SAMPLE_USER | MP3_FAULT_WRITE | MP3_FAULT_HEAP, 0x551000000000,
	  30000, true, 1200, { SAMPLE_MERGE, SAMPLE_MAIN } },
	{ 8, SAMPLE_SORT, MP3_NO_FILE, SAMPLE_USER | MP3_FAULT_WRITE,
	  0x7d0000000000, 5000, false, 1100,
	  { SAMPLE_MALLOC, SAMPLE_MERGE, SAMPLE_MAIN } },
	{ 1, SAMPLE_SORT, MP3_NO_FILE, MP3_FAULT_MAJOR | SAMPLE_USER,
	  0x7d0000000000, 5000, true, 2000000, { SAMPLE_MERGE, SAMPLE_MAIN } },
	{ 1, SAMPLE_SORT, MP3_NO_FILE, MP3_FAULT_ACCESS_KNOWN | MP3_FAULT_WRITE |
	  MP3_FAULT_STACK, 0x7ffd00000000, 16, false, 5000, { } },
};

#define SAMPLE_KINDS ARRAY_SIZE(samples)

static inline __u64 sample_random(__u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* Fills fault number @i. @next has the next page of each kind. */
static inline void sample_fault(struct mp3_fault *fault, __u64 i,
				__u64 *state, __u64 next[SAMPLE_KINDS])
{
	__u64 drawn = sample_random(state) % 100, page;
	const struct sample *sample = samples;
	unsigned int nr = 0;

	while (drawn >= sample->weight)
		drawn -= sample++->weight;
	page = (sample->random ? sample_random(state) :
		next[sample - samples]++) % sample->pages;
	while (nr < 4 && sample->frames[nr])
		nr++;
	*fault = (struct mp3_fault){
		.seq = i + 1,
		.time_ns = SAMPLE_START_NS + 1000000 + 5000 * i,
		.pid = sample->pid,
		.tid = sample->pid,
		.address = sample->base + 4096 * page +
			   sample_random(state) % 4096,
		.stall_ns = sample->stall_ns / 2 +
			    sample_random(state) % sample->stall_ns,
		.file = sample->file,
		.flags = sample->flags | nr << 28,
	};
	fault->offset = fault->address - sample->base;
	if (sample_random(state) % 50 == 0)
		fault->stall_ns *= 10;
	memcpy(fault->frames, sample->frames, sizeof(sample->frames));
	/* Some instructions of the same function */
	if (nr)
		fault->frames[0] += 4 * (sample_random(state) % 3);
}

static inline void sample_records(struct recording *recording)
{
	const struct mp3_record records[] = {
		{ .time_ns = SAMPLE_START_NS, .pid = SAMPLE_SHELL,
		  .flags = MP3_IDENTITY, .ppid = 1, .uid = 1000,
		  .start_ns = SAMPLE_START_NS - 1000000, .comm = "sh" },
		{ .time_ns = SAMPLE_START_NS, .pid = SAMPLE_SHELL,
		  .flags = MP3_FIRST, .comm = "sh" },
		{ .time_ns = SAMPLE_START_NS, .pid = SAMPLE_SORT,
		  .flags = MP3_IDENTITY, .ppid = SAMPLE_SHELL, .uid = 1000,
		  .start_ns = SAMPLE_START_NS, .comm = "sort" },
		{ .time_ns = SAMPLE_START_NS, .pid = SAMPLE_SORT,
		  .flags = MP3_FIRST, .comm = "sort" },
	};

	recording_write(recording, MP3_RECORDING_RECORDS, records, sizeof(records));
}

static inline void sample_files(struct recording *recording)
{
	static const struct mp3_file files[] = {
		{ .number = SAMPLE_FILE_SORT, .device = 2049, .inode = 11,
		  .path = "/usr/bin/sort" },
		{ .number = SAMPLE_FILE_LIBC, .device = 2049, .inode = 12,
		  .path = "/usr/lib/x86_64-linux-gnu/libc.so.6" },
		{ .number = SAMPLE_FILE_DATA, .device = 2049, .inode = 13,
		  .path = "/home/user/big \"data\", 1;2.txt" },
		{ .number = SAMPLE_FILE_SHELL, .device = 2049, .inode = 14,
		  .path = "/usr/bin/dash" },
	};

	recording_write(recording, MP3_RECORDING_FILES, files, sizeof(files));
}

static inline void sample_symbols(struct recording *recording)
{
	static const struct {
		__u64 frame;
		const char *text;
	} functions[] = {
		{ SAMPLE_MAIN, "main\tsort.c\t4300" },
		{ SAMPLE_READ, "fillbuf\tsort.c\t1780" },
		{ SAMPLE_MERGE, "sequential_sort\tsort.c\t3200" },
		{ SAMPLE_MEMCPY, "memcpy\t\t0" },
		{ SAMPLE_MALLOC, "operator new(unsigned long)\tnew.cc\t50" },
	};
	char text[4096];
	size_t size = 0, i, j;

	/* Instructions 4 bytes apart, and as return addresses */
	for (i = 0; i < ARRAY_SIZE(functions); i++)
		for (j = 0; j < 4; j++)
			size += (size_t)sprintf(text + size, "%u\t%llx\t%s\n",
				MP3_FRAME_FILE(functions[i].frame),
				MP3_FRAME_OFFSET(functions[i].frame) +
				(j < 3 ? 4 * j : -1ULL), functions[i].text);
	recording_write(recording, MP3_RECORDING_SYMBOLS, text, size);
}

/**
 * sample_recording() - write the sample
 * @path: the file
 * @nr:   number of faults
 * @n:    that the recording is said to have located one minor fault in
 *
 * Exits if that fails.
 */
static inline void sample_recording(const char *path, __u64 nr, unsigned int n)
{
	struct mp3_recording_totals totals = {
		.end_ns = SAMPLE_START_NS + 2000000 + 5000 * nr,
		.counted = nr * n + 17,
		.located = nr,
		.sampled_out = nr * (n - 1),
		.flags = MP3_RECORDING_COMPLETE | MP3_RECORDING_CLOSED,
	};
	static struct mp3_fault faults[1024];
	__u64 state = 1, next[SAMPLE_KINDS] = {}, i, length;
	struct recording recording;
	char info[512];

	snprintf(info, sizeof(info),
		 "version=" MP3_VERSION "\nrelease=6.1.0\nmachine=x86_64\nhost=sample\n"
		 "page_size=4096\nhz=250\ninterval_ns=50000000\n"
		 "command=sh -c sort big.txt\nstart_ns=%llu\n"
		 "start_time=1764201600.250000000\nn=%u\ncallers=3\n",
		 SAMPLE_START_NS, n);
	if (!recording_create(&recording, path))
		exit(1);
	recording_write(&recording, MP3_RECORDING_INFO, info, strlen(info));
	sample_records(&recording);
	for (i = 0; i < nr; i += length) {
		for (length = 0; length < 1024 && i + length < nr; length++)
			sample_fault(&faults[length], i + length, &state, next);
		recording_write(&recording, MP3_RECORDING_FAULTS, faults,
				length * sizeof(faults[0]));
	}
	sample_files(&recording);
	sample_symbols(&recording);
	recording_write(&recording, MP3_RECORDING_TOTALS, &totals, sizeof(totals));
	if (!recording_close(&recording))
		exit(1);
}

#endif /* MP3_SAMPLE_RECORDING_H */
