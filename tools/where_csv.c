// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "json.h"
#include "print_progress.h"
#include "progress.h"
#include "where_csv.h"
#include "where_data.h"
#include "where_kind.h"

static struct where_data recorded;

/* Names of mappings, as they are printed; NULL if they are not known yet. */
static char *mappings[NR_MAPPINGS];

/* Print objects of JSON, not lines of csv. */
static bool as_json;

/* Prints what stands between quotes. */
static void put_text(const char *text)
{
	if (as_json)
		json_put_text(stdout, text);
	else
		csv_put_text(stdout, text);
}

/* Returns what precedes a name: a program could execute a cell of csv. */
static const char *guard(const char *text)
{
	return as_json ? "" : csv_guard(text);
}

/* Prints what precedes the value of a column. */
static void put_name(const char *name)
{
	/* The first column of csv has nothing before it. */
	static const char first[] = "time_ns";

	if (as_json)
		printf("%c\"%s\":", strcmp(name, first) ? ',' : '{', name);
	else if (strcmp(name, first))
		putchar(',');
}

static void put_string(const char *name, const char *text)
{
	put_name(name);
	printf("\"%s", guard(text));
	put_text(text);
	putchar('"');
}

static void put_number(const char *name, __u64 number)
{
	put_name(name);
	printf("%llu", (unsigned long long)number);
}

/* Prints a word: no word needs quotes in csv. */
static void put_word(const char *name, const char *word)
{
	put_name(name);
	printf(as_json ? "\"%s\"" : "%s", word);
}

static const char *mapping_text(unsigned int mapping)
{
	if (!mappings[mapping])
		mappings[mapping] = mapping_name(&recorded, mapping);
	return mappings[mapping];
}

/* Prints the code that caused a fault and its callers. */
static void put_frames(const struct mp3_fault *fault)
{
	const char *text;
	unsigned int i;

	put_name("frames");
	putchar('"');
	for (i = 0; i < MP3_FAULT_FRAMES(fault->flags); i++) {
		text = frame_text(&recorded, fault->frames[i], i);
		fputs(i ? ";" : guard(text), stdout);
		put_text(text);
	}
	putchar('"');
}

static void print_fault(void *data, const struct mp3_fault *fault)
{
	size_t process = data_process(&recorded, fault->pid, fault->time_ns);
	bool major = fault->flags & MP3_FAULT_MAJOR;
	char name[NAME_SIZE], address[32];

	(void)data;
	name_escape(name, recorded.processes[process].comm);
	snprintf(address, sizeof(address), "0x%llx",
		 (unsigned long long)fault->address);
	put_number("time_ns", fault->time_ns);
	put_number("pid", fault->pid);
	put_number("tid", fault->tid);
	put_string("comm", name);
	put_word("address", address);
	put_string("mapping", mapping_text(fault_mapping(fault)));
	put_number("offset", fault->offset);
	put_word("kind", kind_word(fault_kind(fault)));
	put_number("major", major);
	put_word("access", access_word(fault_access(fault)));
	if (fault->stall_ns != MP3_NO_STALL) {
		put_number("stall_ns", fault->stall_ns);
	} else {
		put_name("stall_ns");
		fputs(as_json ? "null" : "", stdout);
	}
	put_number("faults", major || !recorded.n ? 1 : recorded.n);
	put_frames(fault);
	puts(as_json ? "}" : "");
}

/*
 * Reads all of a recording but its faults. Returns false after one line on standard
 * error.
 */
bool where_csv_read(const char *path)
{
	static const struct recording_visitor names = {
		.info = data_info,
		.record = data_record,
		.fault = data_fault,
		.file = data_file,
		.symbol = data_symbol,
		.progress = progress,
	};
	bool good;

	data_init(&recorded);
	good = recording_read(path, &names, &recorded);
	progress_end();

	return good && data_is_located(&recorded, path);
}

/**
 * where_csv_print() - print the faults of a recording to standard output
 * @path: the recording, which where_csv_read() has read
 * @json: a JSON object for each, not a line of csv
 *
 * Return: true, or false after one line on standard error.
 */
bool where_csv_print(const char *path, bool json)
{
	static const struct recording_visitor faults = {
		.fault = print_fault,
		.progress = print_progress,
		.again = true,
	};
	bool good;

	as_json = json;
	if (!json) {
		fputs("time_ns,pid,tid,comm,address,mapping,offset,kind,major,",
		      stdout);
		puts("access,stall_ns,faults,frames");
	}
	good = recording_read(path, &faults, NULL);
	progress_end();

	return good;
}

/**
 * where_csv() - print the faults of a recording to standard output, as csv
 * @path: the recording
 *
 * Return: true, or false after one line on standard error.
 */
bool where_csv(const char *path)
{
	return where_csv_read(path) && where_csv_print(path, false);
}
