// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "where_data.h"
#include "where_flame.h"

/* The process, the code, the kernel and the mapping */
#define MAX_STACK (1 + MP3_FRAMES + 1 + 1)

static struct where_data recorded;

/* Names of mappings; NULL if they have not been used yet. */
static char *mappings[NR_MAPPINGS];

static struct flame *flame;

/* Parses the argument of --width. Exits with status 2 if it is none. */
enum flame_by parse_flame_by(const char *text)
{
	if (!strcmp(text, "faults"))
		return FLAME_BY_FAULTS;
	if (!strcmp(text, "stall"))
		return FLAME_BY_STALL;
	errx(2, "--width: '%s' is not faults or stall", text);
}

static void add_fault(void *data, const struct mp3_fault *fault)
{
	size_t process = data_process(&recorded, fault->pid, fault->time_ns);
	unsigned int mapping = fault_mapping(fault);
	bool major = fault->flags & MP3_FAULT_MAJOR;
	__u64 weight = major || !recorded.n ? 1 : recorded.n;
	bool stalled = fault->stall_ns != MP3_NO_STALL;
	struct flame_count count = {
		.faults = weight,
		.major = major,
		.stall_ns = stalled ? weight * fault->stall_ns : 0,
	};
	const char *stack[MAX_STACK];
	char name[NAME_SIZE];
	size_t depth = 0;
	unsigned int i;

	(void)data;
	name_escape(name, recorded.processes[process].comm);
	stack[depth++] = name;
	for (i = MP3_FAULT_FRAMES(fault->flags); i--;)
		stack[depth++] = frame_text(&recorded, fault->frames[i], i);
	if (!MP3_FAULT_FRAMES(fault->flags))
		stack[depth++] = "[no user code]";
	else if (!(fault->flags & MP3_FAULT_USER))
		stack[depth++] = "[kernel]";
	if (!mappings[mapping])
		mappings[mapping] = mapping_name(&recorded, mapping);
	stack[depth++] = mappings[mapping];
	flame_add(flame, stack, depth, fault_kind(fault), &count);
}

/* Returns the heading of a graph, to be freed. */
static char *get_title(const char *what)
{
	return text_format("%s of %s", what, recorded.command ?
			   recorded.command : "all processes");
}

/* Writes a picture. Returns false after one line on standard error. */
static bool write_svg(const char *path, enum flame_by by)
{
	FILE *file = fopen(path, "we");
	bool good = file;
	char *title;

	title = get_title(by == FLAME_BY_STALL ? "Time stalled in page faults" :
						 "Page faults");
	if (good) {
		flame_print_svg(flame, by, title, file);
		good = !ferror(file);
		good = !fclose(file) && good;
	}
	if (!good)
		warn("%s", path);
	free(title);

	return good;
}

/* Reads the faults of a recording. Returns false after one line on standard error. */
bool where_flame_read(const char *path)
{
	static const struct recording_visitor names = {
		.info = data_info,
		.record = data_record,
		.fault = data_fault,
		.file = data_file,
		.symbol = data_symbol,
		.progress = progress,
	};
	static const struct recording_visitor faults = {
		.fault = add_fault,
		.progress = progress,
		.again = true,
	};
	bool good;

	data_init(&recorded);
	flame = flame_new();
	good = recording_read(path, &names, &recorded) &&
	       recording_read(path, &faults, NULL);
	progress_end();

	return good && data_is_located(&recorded, path);
}

/* Prints the stacks that where_flame_read() has read, a line for each. */
void where_flame_print_collapsed(enum flame_by by)
{
	flame_print_collapsed(flame, by, stdout);
}

/* Prints them in the file format of speedscope. */
void where_flame_print_speedscope(void)
{
	char *title = get_title("Page faults");

	flame_print_speedscope(flame, title, stdout);
	free(title);
}

/**
 * where_flame() - make a flame graph of a recording
 * @path: the recording
 * @svg:  name of the picture; or NULL: print collapsed stacks to standard output
 * @by:	  what the widths mean
 *
 * Return: true, or false after one line on standard error.
 */
bool where_flame(const char *path, const char *svg, enum flame_by by)
{
	bool good;

	if (svg)
		recording_keep(path, svg);
	good = where_flame_read(path);
	if (good && svg)
		good = write_svg(svg, by);
	else if (good)
		where_flame_print_collapsed(by);
	flame_free(flame);

	return good;
}
