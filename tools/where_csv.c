// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "where_csv.h"
#include "where_data.h"
#include "where_kind.h"

static struct where_data recorded;

/* Names of mappings, as they are printed; NULL if they are not known yet. */
static char *mappings[NR_MAPPINGS];

/* Prints what stands between quotes. */
static void put_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
}

/* Prints a string. */
static void put_string(const char *text)
{
	printf("\"%s", csv_guard(text));
	put_text(text);
	putchar('"');
}

static const char *mapping_text(unsigned int mapping)
{
	if (!mappings[mapping])
		mappings[mapping] = mapping_name(&recorded, mapping);
	return mappings[mapping];
}

/* Prints the code that caused a fault and its callers. */
static void print_frames(const struct mp3_fault *fault)
{
	const char *text;
	unsigned int i;

	putchar('"');
	for (i = 0; i < MP3_FAULT_FRAMES(fault->flags); i++) {
		text = frame_text(&recorded, fault->frames[i], i);
		fputs(i ? ";" : csv_guard(text), stdout);
		put_text(text);
	}
	puts("\"");
}

static void print_fault(void *data, const struct mp3_fault *fault)
{
	size_t process = data_process(&recorded, fault->pid, fault->time_ns);
	bool major = fault->flags & MP3_FAULT_MAJOR;
	char name[NAME_SIZE];

	(void)data;
	name_escape(name, recorded.processes[process].comm);
	printf("%llu,%u,%u,", (unsigned long long)fault->time_ns, fault->pid,
	       fault->tid);
	put_string(name);
	printf(",%#llx,", (unsigned long long)fault->address);
	put_string(mapping_text(fault_mapping(fault)));
	printf(",%llu,%s,%d,%s,", (unsigned long long)fault->offset,
	       kind_word(fault_kind(fault)), major,
	       access_word(fault_access(fault)));
	if (fault->stall_ns != MP3_NO_STALL)
		printf("%llu", (unsigned long long)fault->stall_ns);
	printf(",%u,", major || !recorded.n ? 1 : recorded.n);
	print_frames(fault);
}

/**
 * where_csv() - print the faults of a recording to standard output
 * @path: the recording
 *
 * Return: true, or false after one line on standard error.
 */
bool where_csv(const char *path)
{
	static const struct recording_visitor names = {
		.info = data_info,
		.record = data_record,
		.file = data_file,
		.symbol = data_symbol,
	};
	static const struct recording_visitor faults = {
		.fault = print_fault,
		.again = true,
	};

	data_init(&recorded);
	if (!recording_read(path, &names, &recorded))
		return false;
	fputs("time_ns,pid,tid,comm,address,mapping,offset,kind,major,", stdout);
	puts("access,stall_ns,faults,frames");

	return recording_read(path, &faults, NULL);
}
