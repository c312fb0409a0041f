// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl where FILE and top FILE with recordings that were not written by mp3ctl: each is read and
 * printed in every way, and opened with mp3_client.h. Aborts if the output is not
 * printable, if a recording is refused without one line of reasons, if a sum lacks a
 * fault, or if mp3_client.h finds other records than mp3ctl.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libfuzzer.h"
#include "recordings.h"

/* ---- What the tools use, replaced ---- */

/* Names of files that are in memory */
#define INPUT_PATH "recording"
#define PICTURE_PATH "picture"

#define fopen(path, mode) open_memory(path, mode)
#define fstat(fd, info) stat_memory(fd, info)
#define warn(...) count_warning(__VA_ARGS__)
#define warnx(...) count_warning(__VA_ARGS__)
#define gethostname(name, size) get_sample_host(name, size)

static const uint8_t *input;
static size_t input_size;
static char *picture;
static size_t picture_size;
static unsigned int nr_warnings;

/* Faults of the recording; they were located, even if there are none. */
static __u64 nr_faults;
static bool is_located;

/* Inputs are small. */
void progress(const char *what, double done)
{
	(void)what;
	(void)done;
}

void print_progress(const char *path, double done)
{
	progress(path, done);
}

void progress_end(void)
{
}

static FILE *open_memory(const char *path, const char *mode)
{
	(void)mode;
	return strcmp(path, INPUT_PATH) ?
		open_memstream(&picture, &picture_size) :
		fmemopen((void *)input, input_size, "r");
}

static int stat_memory(int fd, struct stat *info)
{
	(void)fd;
	*info = (struct stat){
		.st_mode = S_IFREG,
		.st_size = (off_t)input_size,
	};

	return 0;
}

__attribute__((format(printf, 1, 2)))
static void count_warning(const char *format, ...)
{
	(void)format;
	nr_warnings++;
}

/* The host of the sample, so that its symbols are looked up. */
static int get_sample_host(char *name, size_t size)
{
	snprintf(name, size, "sample");
	return 0;
}

#include "../../tools/csv.c"
/* <search.h> has a struct entry of its own. */
#define entry search_entry
#include "../../tools/fit.c"
#include "../../tools/flame.c"
#undef entry
#include "../../tools/json.c"
#include "../../tools/latency.c"
#include "../../tools/name.c"
#include "../../tools/recording.c"
#include "../../tools/set.c"
#include "../../tools/where_count.c"
#include "../../tools/where_data.c"
#include "../../tools/where_kind.c"
#include "../../tools/where_report.c"

#undef BLOCK
#define add_fault flame_fault
#define mappings flame_mappings
#define recorded flame_recorded
#include "../../tools/where_flame.c"
#undef add_fault
#undef mappings
#undef recorded

#define mappings csv_mappings
#define recorded csv_recorded
#include "../../tools/where_csv.c"
#undef mappings
#undef recorded

#include "../../tools/trace_tracks.c"
#include "../../tools/trace_events.c"
#include "../../tools/trace_counters.c"
#define mapping_text trace_mapping_text
#include "../../tools/trace_faults.c"
#undef mapping_text
#include "../../tools/export_trace.c"

bool symbols_supported(void)
{
	return true;
}

/* The names in a file are as untrusted as the recording. */
void lookup_symbol(const struct mp3_file *file, __u64 offset,
		   struct symbol *symbol)
{
	(void)file;
	*symbol = (struct symbol){};
	if (offset % 4 == 0)
		return;
	symbol->function = strdup(offset % 4 == 1 ? "f(\033[2J;\n)" : "main");
	symbol->source = offset % 4 == 2 ? NULL : strdup("/src/\tmain.c\377");
	symbol->line = (unsigned int)offset;
}

/* ---- Checks ---- */

/* Aborts unless a text consists of lines of printable ASCII, and frees it. */
void check_text(char *text, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if ((text[i] >= ' ' && text[i] <= '~') || text[i] == '\n' ||
		    text[i] == '\t')
			continue;
		fprintf(stderr, "byte %zu is %#x in:\n%.*s\n", i,
			(unsigned char)text[i], (int)size, text);
		abort();
	}
	free(text);
}

/* Aborts unless a result of the tools comes with the right number of warnings. */
static bool check_result(bool good)
{
	/* The missing end of a recording is reported once. */
	require(good ? nr_warnings <= 1 : nr_warnings == 1);
	nr_warnings = 0;

	return good;
}

/* The same of a result that is to contain located faults. */
static bool check_faults(bool good)
{
	/* If there are none, a line reports that. */
	if (!nr_faults) {
		require(nr_warnings);
		nr_warnings--;
	}
	require(good == is_located);
	check_result(true);

	return good;
}

static __u64 nr_of(const struct sums *sums, size_t nr)
{
	__u64 faults = 0;

	while (nr--)
		faults += sums[nr].minor + sums[nr].major;

	return faults;
}

static __u64 nr_of_set(const struct set *set, size_t offset)
{
	__u64 faults = 0;
	size_t i;

	for (i = 0; i < set->nr; i++)
		faults += nr_of((void *)((char *)set_item(set, i) + offset), 1);

	return faults;
}

/* Aborts unless every fault is in each of the sums. */
static void check_sums(const struct where_count *count, __u64 faults)
{
	require(nr_of(&count->total, 1) == faults);
	require(nr_of(count->kinds, NR_KINDS) == faults);
	require(nr_of(count->accesses, NR_ACCESSES) == faults);
	require(nr_of(count->mappings, NR_MAPPINGS) == faults);
	require(nr_of(count->processes, count->nr_processes) == faults);
	require(nr_of_set(&count->code, offsetof(struct code_sums, sums)) ==
		faults);
	require(nr_of_set(&count->stacks, offsetof(struct stack_sums, sums)) ==
		faults);
	require(count->minor.nr + count->major.nr + count->no_stall == faults);
}

/* ---- What the tools leave to the end of the process ---- */

static void free_count(struct where_count *count)
{
	free(count->processes);
	set_free(&count->code);
	set_free(&count->stacks);
}

static void free_data(struct where_data *where)
{
	size_t i;

	free(where->command);
	free(where->host);
	free(where->release);
	free(where->time);
	free(where->processes);
	for (i = 0; i < where->symbols.nr; i++) {
		struct stored_symbol *symbol = set_item(&where->symbols, i);

		free(symbol->function);
		free(symbol->source);
	}
	for (i = 0; i < where->texts.nr; i++)
		free(((struct frame_text *)set_item(&where->texts, i))->text);
	set_free(&where->newest);
	set_free(&where->symbols);
	set_free(&where->texts);
}

static void free_names(char *names[NR_MAPPINGS])
{
	size_t i;

	for (i = 0; i < NR_MAPPINGS; i++) {
		free(names[i]);
		names[i] = NULL;
	}
}

static void free_trace(void)
{
	size_t i;

	for (i = 0; i < trace.data.nr_processes; i++)
		free(trace.tracks[i].names);
	free(trace.tracks);
	free(trace.version);
	set_free(&trace.threads);
	free_names(trace.mappings);
	free_data(&trace.data);
	memset(&trace, 0, offsetof(typeof(trace), threads));
	memset(&trace.tick, 0, sizeof(trace) - offsetof(typeof(trace), tick));
}

/* ---- The ways to print a recording ---- */

static struct where_data reported;
static struct where_count reported_count;

static void add_fault(void *unused, const struct mp3_fault *fault)
{
	(void)unused;
	count_fault(&reported_count, &reported, fault);
	nr_faults++;
}

/* As mp3ctl where FILE. Returns whether the recording can be read. */
static bool print_report(enum where_sort sort, size_t nr_rows)
{
	static const struct recording_visitor all_but_faults = {
		.info = data_info,
		.record = data_record,
		.file = data_file,
		.totals = data_totals,
		.symbol = data_symbol,
	};
	static const struct recording_visitor faults = {
		.fault = add_fault,
		.again = true,
	};
	struct where_report what = { .nr_rows = nr_rows, .sort = sort };
	size_t size;
	bool good;
	char *text;

	nr_faults = 0;
	data_init(&reported);
	count_init(&reported_count, true);
	good = recording_read(INPUT_PATH, &all_but_faults, &reported) &&
	       recording_read(INPUT_PATH, &faults, NULL);
	is_located = nr_faults || reported.n;
	if (check_result(good)) {
		check_sums(&reported_count, nr_faults);
		what.file = open_memstream(&text, &size);
		require(what.file);
		where_title(what.file, &reported);
		where_report(&what, &reported_count, &reported);
		fclose(what.file);
		check_text(text, size);
	}
	free_count(&reported_count);
	free_data(&reported);

	return good;
}

/* As mp3ctl where --csv, --collapsed and --flame, and as mp3ctl export. */
static void print_others(void)
{
	const struct export export = { .path = INPUT_PATH };
	FILE *terminal = stdout;
	size_t size;
	char *text;

	/* The C library prints to what this variable refers to. */
	stdout = open_memstream(&text, &size);
	require(stdout);
	if (check_faults(where_csv(INPUT_PATH)))
		require(check_result(where_csv_print(INPUT_PATH, true)));
	free_data(&csv_recorded);
	free_names(csv_mappings);
	check_faults(where_flame(INPUT_PATH, NULL, FLAME_BY_FAULTS));
	free_data(&flame_recorded);
	if (check_faults(where_flame_read(INPUT_PATH)))
		where_flame_print_speedscope();
	flame_free(flame);
	free_data(&flame_recorded);
	require(check_result(export_trace_read(&export)));
	require(check_result(export_trace_print(&export)));
	free_trace();
	fclose(stdout);
	stdout = terminal;
	check_text(text, size);

	picture = NULL;
	picture_size = 0;
	check_faults(where_flame(INPUT_PATH, PICTURE_PATH, FLAME_BY_STALL));
	free_data(&flame_recorded);
	free_names(flame_mappings);
	check_text(picture, picture_size);
}

/* ---- mp3_client.h ---- */

static __u64 nr_records;

static void add_record(void *unused, const struct mp3_record *record)
{
	(void)unused;
	(void)record;
	nr_records++;
}

/* Opens the recording as records and as samples, and reads them. */
static void read_like_rings(void)
{
	static const struct recording_visitor records = { .record = add_record };
	static char path[32];
	static int fd = -1;
	struct mp3_reader reader;
	struct mp3_record record;
	struct mp3_sample sample;
	bool good;

	if (fd < 0) {
		fd = memfd_create("recording", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	require(!ftruncate(fd, 0) &&
		pwrite(fd, input, input_size, 0) == (ssize_t)input_size);
	nr_records = 0;
	good = check_result(recording_read(INPUT_PATH, &records, NULL));
	if (mp3_reader_open_records(&reader, path))
		return;
	require(!good || mp3_reader_head(&reader) == nr_records);
	nr_records = mp3_reader_head(&reader);
	while (mp3_reader_next_record(&reader, &record))
		;
	require(reader.next == nr_records);
	mp3_reader_close(&reader);

	require(!mp3_reader_open(&reader, path, false));
	require(mp3_reader_head(&reader) <= nr_records);
	while (mp3_reader_next(&reader, &sample))
		mp3_reader_time(&reader, &sample);
	mp3_reader_close(&reader);
}

/* Reads and prints one recording. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_size = size;
	read_like_rings();
	if (!print_report(SORT_STALL, 3))
		return 0;
	require(print_report(SORT_FAULTS, 100));
	print_others();
	play_recording(INPUT_PATH, 1000000000);
	play_recording(INPUT_PATH, 1000000);
	nr_warnings = 0;

	return 0;
}

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION

/* ---- Mutations that keep the other chunks of a recording intact ---- */

static size_t element_size(__u32 type)
{
	switch (type) {
	case MP3_RECORDING_RECORDS: return sizeof(struct mp3_record);
	case MP3_RECORDING_FAULTS: return sizeof(struct mp3_fault);
	case MP3_RECORDING_FILES: return sizeof(struct mp3_file);
	default: return 1;
	}
}

/* Returns the size of the chunk at @at, or 0 if there is no whole one. */
static size_t chunk_size(const uint8_t *data, size_t size, size_t at)
{
	struct mp3_recording_chunk chunk;

	if (at > size || size - at < sizeof(chunk))
		return 0;
	memcpy(&chunk, data + at, sizeof(chunk));
	if (chunk.bytes > size - at - sizeof(chunk) ||
	    padding(chunk.bytes) > size - at - sizeof(chunk) - chunk.bytes)
		return 0;

	return sizeof(chunk) + chunk.bytes + padding(chunk.bytes);
}

/*
 * Mutates the contents of one chunk, or doubles the chunk. Of every fourth seed, or
 * if that is impossible, mutates anything. Returns the new size.
 */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
			       unsigned int seed)
{
	const size_t first = sizeof(struct mp3_recording_header);
	size_t nr = 0, at, length, next, tail, room;
	struct mp3_recording_chunk chunk;
	uint8_t *result;

	for (at = first; (length = chunk_size(data, size, at)); at += length)
		nr++;
	if (seed % 4 == 0 || !nr)
		return LLVMFuzzerMutate(data, size, max_size);

	nr = seed / 32 % nr;
	for (at = first; nr--; at += chunk_size(data, size, at))
		;
	length = chunk_size(data, size, at);
	next = at + length;
	tail = size - next;
	room = max_size - tail - at - sizeof(chunk);
	result = malloc(max_size);
	require(result);
	memcpy(result, data, next);
	memcpy(&chunk, data + at, sizeof(chunk));
	if (seed / 4 % 8 == 0) {
		tail = size - at;
	} else if (room) {
		chunk.bytes = LLVMFuzzerMutate(result + at + sizeof(chunk),
					       chunk.bytes, room);
		chunk.bytes -= chunk.bytes % element_size(chunk.type);
		memcpy(result + at, &chunk, sizeof(chunk));
		next = at + sizeof(chunk) + chunk.bytes + padding(chunk.bytes);
	}
	if (next + tail <= max_size) {
		memcpy(result + next, data + size - tail, tail);
		size = next + tail;
		memcpy(data, result, size);
	} else {
		size = LLVMFuzzerMutate(data, size, max_size);
	}
	free(result);

	return size;
}

#endif /* FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION */
