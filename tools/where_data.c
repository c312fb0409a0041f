// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lookup.h"
#include "where_data.h"

/* The last second of the year 9999: a later time is none that was recorded. */
#define MAX_TIME 253402300799LL

/**
 * struct newest - the newest process of an id
 * @pid:   the id
 * @index: of the process
 */
struct newest {
	__u32 pid;
	__u32 index;
};

/**
 * struct frame_text - the name of a frame
 * @frame:     see struct mp3_fault
 * @is_caller: it is a return address
 * @text:      its name, owned
 */
struct frame_text {
	__u64 frame;
	__u64 is_caller;
	char *text;
};

/* Initializes data without contents. */
void data_init(struct where_data *data)
{
	*data = (struct where_data){
		.newest = {
			.item_size = sizeof(struct newest),
			.key_size = sizeof(__u32),
		},
		.symbols = {
			.item_size = sizeof(struct stored_symbol),
			.key_size = 2 * sizeof(__u64),
		},
		.texts = {
			.item_size = sizeof(struct frame_text),
			.key_size = 2 * sizeof(__u64),
		},
	};
}

static char *copy(const char *text)
{
	char *copied = strdup(text);

	if (!copied)
		err(1, "recording");
	return copied;
}

static void replace(char **text, const char *value)
{
	free(*text);
	*text = copy(value);
}

/* Stores a key of a recording and its value. */
void data_info(void *pointer, const char *key, const char *value)
{
	struct where_data *data = pointer;
	char host[256] = "";
	long long seconds;

	if (!strcmp(key, "n")) {
		data->n = (unsigned int)strtoul(value, NULL, 10);
	} else if (!strcmp(key, "callers")) {
		data->callers = (unsigned int)strtoul(value, NULL, 10);
	} else if (!strcmp(key, "start_ns")) {
		data->start_ns = strtoull(value, NULL, 10);
	} else if (!strcmp(key, "command")) {
		replace(&data->command, value);
	} else if (!strcmp(key, "release")) {
		replace(&data->release, value);
	} else if (!strcmp(key, "start_time")) {
		seconds = strtoll(value, NULL, 10);
		if (seconds >= 0 && seconds <= MAX_TIME)
			replace(&data->time, value);
	} else if (!strcmp(key, "host")) {
		replace(&data->host, value);
		gethostname(host, sizeof(host) - 1);
		data->local = !strcmp(host, value);
	}
}

static struct newest *get_newest(struct where_data *data, __u32 pid,
				 bool *added)
{
	return set_get(&data->newest, &pid, added);
}

/* Adds a process, which has the process id from now on. */
static struct located_process *add_process(struct where_data *data, __u32 pid)
{
	struct located_process *process;
	struct newest *newest;
	bool added;

	if (data->nr_processes == data->capacity) {
		data->capacity = data->capacity ? 2 * data->capacity : 64;
		data->processes = reallocarray(data->processes, data->capacity,
					       sizeof(*data->processes));
		if (!data->processes)
			err(1, "table of processes");
	}
	newest = get_newest(data, pid, &added);
	process = &data->processes[data->nr_processes];
	*process = (struct located_process){
		.pid = pid,
		.older = added ? 0 : newest->index + 1,
	};
	newest->index = (__u32)data->nr_processes++;

	return process;
}

/* Notes the process of a record. */
void data_record(void *pointer, const struct mp3_record *record)
{
	struct where_data *data = pointer;
	struct newest *newest = set_find(&data->newest, &record->pid);
	bool identity = record->flags & MP3_IDENTITY;
	struct located_process *process;

	process = newest ? &data->processes[newest->index] :
			   add_process(data, record->pid);
	/* Its faults may have been read before its first record. */
	if (identity && process->start_ns &&
	    process->start_ns != record->start_ns)
		process = add_process(data, record->pid);
	if (identity) {
		process->start_ns = record->start_ns;
		process->ppid = record->ppid;
	}
	memcpy(process->comm, record->comm, sizeof(process->comm));
}

/* Notes a file. */
void data_file(void *pointer, const struct mp3_file *file)
{
	struct where_data *data = pointer;

	data->files[file->number - 1] = *file;
}

/* Notes totals, which replace earlier ones. */
void data_totals(void *pointer, const struct mp3_recording_totals *totals)
{
	struct where_data *data = pointer;

	data->totals = *totals;
}

/*
 * Returns when the profiling of a recording has ended, for its report. @last_ns is the
 * time of its newest record: if it was not completed, its totals can be older.
 */
__u64 data_end_ns(const struct where_data *data, __u64 last_ns)
{
	__u64 end_ns = data->totals.end_ns;

	if (!(data->totals.flags & MP3_RECORDING_COMPLETE) && end_ns < last_ns)
		end_ns = last_ns;

	return end_ns < data->start_ns ? data->start_ns : end_ns;
}

/* Counts a fault. */
void data_fault(void *pointer, const struct mp3_fault *fault)
{
	struct where_data *data = pointer;

	(void)fault;
	data->nr_faults++;
}

/*
 * Returns whether the faults of a recording were located. All of it was read. Prints a
 * line if it contains none.
 */
bool data_is_located(const struct where_data *data, const char *path)
{
	if (data->nr_faults)
		return true;
	if (data->n)
		warnx("%s: contains no faults", path);
	else
		warnx("%s: no faults were located (mp3ctl record --faults locates them)",
		      path);

	return data->n;
}

/* Notes a symbol. */
void data_symbol(void *pointer, const struct recording_symbol *symbol)
{
	struct where_data *data = pointer;
	__u64 key[] = { symbol->file, symbol->offset };
	struct stored_symbol *stored;
	bool added;

	data->has_symbols = true;
	stored = set_get(&data->symbols, key, &added);
	if (!added)
		return;
	stored->function = symbol->function[0] ? copy(symbol->function) : NULL;
	stored->source = symbol->source[0] ? copy(symbol->source) : NULL;
	stored->line = symbol->line;
}

/*
 * Returns the index of the process that had an id at a time. If it has no record
 * yet, adds it.
 */
size_t data_process(struct where_data *data, __u32 pid, __u64 time_ns)
{
	struct newest *newest = set_find(&data->newest, &pid);
	size_t index;

	if (!newest) {
		add_process(data, pid);
		return data->nr_processes - 1;
	}
	index = newest->index;
	while (data->processes[index].start_ns > time_ns &&
	       data->processes[index].older)
		index = data->processes[index].older - 1;

	return index;
}

/* Returns a file by its number, or NULL if it is unknown. */
const struct mp3_file *data_find_file(const struct where_data *data,
				      __u32 number)
{
	return number >= 1 && number <= MP3_FILES &&
	       data->files[number - 1].number ? &data->files[number - 1] : NULL;
}

/* Returns the mapping of a fault: the number of its file, or MAPPING_*. */
unsigned int fault_mapping(const struct mp3_fault *fault)
{
	if (fault->file >= 1 && fault->file <= MP3_FILES)
		return fault->file;
	if (fault->file != MP3_NO_FILE)
		return MAPPING_UNKNOWN;
	if (fault->flags & MP3_FAULT_HEAP)
		return MAPPING_HEAP;

	return fault->flags & MP3_FAULT_STACK ? MAPPING_STACK :
						MAPPING_ANONYMOUS;
}

/* Returns the printable name of a mapping, to be freed. Exits without memory. */
char *mapping_name(const struct where_data *data, unsigned int mapping)
{
	static const char *const names[NR_MAPPINGS] = {
		[MAPPING_ANONYMOUS] = "[anon]",
		[MAPPING_HEAP] = "[heap]",
		[MAPPING_STACK] = "[stack]",
		[MAPPING_UNKNOWN] = "[unknown]",
	};
	const struct mp3_file *file = data_find_file(data, mapping);
	char *name, *path;

	if (mapping < NR_MAPPINGS && names[mapping])
		return copy(names[mapping]);
	if (!file)
		return text_format("[file %u]", mapping);
	path = text_escape(file->path, "");
	if (!(file->flags & MP3_FILE_TRUNCATED))
		return path;
	name = text_format("...%s", path);
	free(path);

	return name;
}

/**
 * frame_symbol() - find the function and the line of a frame
 * @data:      a symbol that is looked up is added
 * @frame:     of struct mp3_fault, with a file
 * @is_caller: the frame is a return address: look up the call before it
 *
 * Return: the symbol, whose texts are printable and belong to @data.
 */
struct stored_symbol frame_symbol(struct where_data *data, __u64 frame,
				  bool is_caller)
{
	__u64 key[] = {
		MP3_FRAME_FILE(frame),
		MP3_FRAME_OFFSET(frame) - is_caller,
	};
	const struct mp3_file *file = data_find_file(data, (__u32)key[0]);
	struct stored_symbol *stored;
	struct symbol symbol;
	bool added;

	stored = set_get(&data->symbols, key, &added);
	if (!added || !file || !data->local)
		return *stored;
	lookup_symbol(file, key[1], &symbol);
	if (symbol.function)
		stored->function = text_escape(symbol.function, ";");
	if (symbol.source)
		stored->source = text_escape(symbol.source, "");
	stored->line = symbol.line;
	free(symbol.function);
	free(symbol.source);

	return *stored;
}

/* Returns the name of a frame, as frame_text() does, to be freed. */
static char *frame_name(struct where_data *data, __u64 frame, bool is_caller)
{
	unsigned long long offset = MP3_FRAME_OFFSET(frame);
	struct stored_symbol symbol;
	const struct mp3_file *file;
	char *path, *slash, *name;
	int size;

	if (!MP3_FRAME_FILE(frame)) {
		size = asprintf(&name, "%#llx", offset);
	} else {
		symbol = frame_symbol(data, frame, is_caller);
		if (symbol.function)
			return copy(symbol.function);
		file = data_find_file(data, MP3_FRAME_FILE(frame));
		path = file ? text_escape(file->path, ";") :
			      mapping_name(data, MP3_FRAME_FILE(frame));
		slash = strrchr(path, '/');
		size = asprintf(&name, "%s+%#llx", slash ? slash + 1 : path,
				offset);
		free(path);
	}
	if (size < 0)
		err(1, "name");

	return name;
}

/**
 * frame_text() - name a frame
 * @data:      as for frame_symbol()
 * @frame:     of struct mp3_fault
 * @is_caller: as for frame_symbol()
 *
 * Exits if there is no memory.
 *
 * Return: the function, or if it is unknown, the last part of the file's path and
 * the offset in the file, or the address if it is in no file. Printable, and
 * without a semicolon. Belongs to @data.
 */
const char *frame_text(struct where_data *data, __u64 frame, bool is_caller)
{
	__u64 key[] = { frame, is_caller };
	struct frame_text *text;
	bool added;

	text = set_get(&data->texts, key, &added);
	if (added)
		text->text = frame_name(data, frame, is_caller);

	return text->text;
}
