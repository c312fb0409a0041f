// SPDX-License-Identifier: GPL-2.0
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "recording.h"

/* Contents of a chunk end at a multiple of this. */
#define ALIGNMENT 8

/* Bytes of a chunk's contents that are read at once. */
#define BLOCK (64 * sizeof(struct mp3_file))

static_assert(sizeof(struct mp3_recording_header) == 16, "layout of recordings");
static_assert(sizeof(struct mp3_recording_chunk) == 16, "layout of recordings");
static_assert(sizeof(struct mp3_record) == 64, "layout of recordings");
static_assert(sizeof(struct mp3_fault) == 128, "layout of recordings");
static_assert(sizeof(struct mp3_file) == 256, "layout of recordings");

static size_t padding(__u64 bytes)
{
	return (size_t)(-bytes % ALIGNMENT);
}

/* ---- Writing ---- */

/*
 * Writes @parts at the end of the recording, or nothing. Prints one line on
 * failure.
 */
static bool append(struct recording *recording, const struct iovec *parts,
		   int nr_parts)
{
	size_t size = 0;
	ssize_t written;
	int i, error;

	if (recording->failed)
		return false;
	if (recording->fd < 0)
		return true;
	for (i = 0; i < nr_parts; i++)
		size += parts[i].iov_len;
	do {
		written = writev(recording->fd, parts, nr_parts);
	} while (written < 0 && errno == EINTR);
	if (written == (ssize_t)size) {
		recording->end += written;
		return true;
	}

	/* A full disk takes a part. */
	error = written < 0 ? errno : ENOSPC;
	recording->failed = true;
	if (written > 0 && !ftruncate(recording->fd, recording->end))
		lseek(recording->fd, recording->end, SEEK_SET);
	warnx("%s: %s; the recording ends here", recording->path,
	      strerror(error));

	return false;
}

/**
 * recording_create() - create a recording, or replace a file by one
 * @recording: filled
 * @path:      name of the file; the caller keeps it
 *
 * Return: true, or false after one line on standard error.
 */
bool recording_create(struct recording *recording, const char *path)
{
	struct mp3_recording_header header = {
		.magic = MP3_RECORDING_MAGIC,
		.order = MP3_RECORDING_ORDER,
		.version = MP3_RECORDING_VERSION,
	};
	struct iovec part = { &header, sizeof(header) };

	*recording = (struct recording){
		.path = path,
		.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666),
	};
	if (recording->fd < 0) {
		warn("%s", path);
		return false;
	}

	return append(recording, &part, 1);
}

/**
 * recording_write() - append a chunk
 * @recording: created by recording_create(); if its fd is -1, nothing is written
 * @type:      MP3_RECORDING_*
 * @data:      contents of the chunk
 * @bytes:     size of the contents; if 0, nothing is written
 *
 * Return: true, or false if this chunk or an earlier one could not be written:
 * the first failure prints one line, and the recording ends with the last chunk
 * before it.
 */
bool recording_write(struct recording *recording, __u32 type, const void *data,
		     size_t bytes)
{
	static const char zeros[ALIGNMENT];
	struct mp3_recording_chunk chunk = { .type = type, .bytes = bytes };
	struct iovec parts[] = {
		{ &chunk, sizeof(chunk) },
		{ (void *)data, bytes },
		{ (void *)zeros, padding(bytes) },
	};

	return !bytes || append(recording, parts, 3);
}

/*
 * Closes a recording. Returns false if it is incomplete: if that is news, after
 * one line on standard error.
 */
bool recording_close(struct recording *recording)
{
	bool failed = recording->failed;

	if (recording->fd < 0)
		return !failed;
	if (close(recording->fd) && !failed) {
		warn("%s", recording->path);
		failed = true;
	}
	recording->fd = -1;

	return !failed;
}

/* ---- Reading ---- */

/**
 * struct reading - a recording that is being read
 * @path:    its name
 * @file:    the file
 * @size:    how much of it is read
 * @visitor: called with what it contains
 * @data:    passed to @visitor
 */
struct reading {
	const char *path;
	FILE *file;
	__u64 size;
	const struct recording_visitor *visitor;
	void *data;
};

static bool refuse(const struct reading *reading)
{
	warnx("%s: broken recording (before byte %lld)", reading->path,
	      (long long)ftello(reading->file));
	return false;
}

static bool read_bytes(struct reading *reading, void *data, size_t size)
{
	if (fread(data, 1, size, reading->file) == size)
		return true;
	if (ferror(reading->file))
		warn("%s", reading->path);
	else
		warnx("%s: became shorter while it was read", reading->path);
	return false;
}

/* Visits a line of MP3_RECORDING_INFO. Returns false if it is none. */
static bool visit_info(struct reading *reading, char *line)
{
	char *value = strchr(line, '=');

	if (!value)
		return false;
	*value++ = '\0';
	if (reading->visitor->info)
		reading->visitor->info(reading->data, line, value);

	return true;
}

/* Visits a line of MP3_RECORDING_SYMBOLS. Returns false if it is none. */
static bool visit_symbol(struct reading *reading, char *line)
{
	struct recording_symbol symbol;
	char *fields[5], *end;
	size_t i;

	for (i = 0; i < 5; i++) {
		fields[i] = strsep(&line, "\t");
		if (!fields[i])
			return false;
	}
	symbol.file = (__u32)strtoul(fields[0], &end, 10);
	if (line || !fields[0][0] || *end)
		return false;
	symbol.offset = strtoull(fields[1], &end, 16);
	if (!fields[1][0] || *end)
		return false;
	symbol.function = fields[2];
	symbol.source = fields[3];
	symbol.line = (unsigned int)strtoul(fields[4], &end, 10);
	if (!fields[4][0] || *end)
		return false;
	if (reading->visitor->symbol)
		reading->visitor->symbol(reading->data, &symbol);

	return true;
}

/* Visits a line of MP3_RECORDING_NAMES. Returns false if it is none. */
static bool visit_name(struct reading *reading, char *line)
{
	char *kind = strsep(&line, "\t"), *id = strsep(&line, "\t"), *end;
	__u64 number;

	if (!line || strchr(line, '\t') || !id[0])
		return false;
	number = strtoull(id, &end, 10);
	if (*end)
		return false;
	if (reading->visitor->name &&
	    (!strcmp(kind, "user") || !strcmp(kind, "cgroup")))
		reading->visitor->name(reading->data, !strcmp(kind, "user"),
				       number, line);

	return true;
}

/*
 * Returns whether a text consists of whole lines of printable ASCII and tabs. It is
 * printed as it is: any other byte could control a terminal.
 */
static bool is_text(const char *text, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if ((text[i] < ' ' || text[i] > '~') && text[i] != '\n' &&
		    text[i] != '\t')
			return false;

	return text[size - 1] == '\n';
}

/* Reads the lines of a chunk of text. */
static bool read_text(struct reading *reading, __u64 bytes,
		      bool (*visit)(struct reading *reading, char *line))
{
	char *text = malloc(bytes + 1), *rest = text, *line;
	bool good = true;

	if (!text) {
		warn("%s", reading->path);
		return false;
	}
	if (!read_bytes(reading, text, bytes)) {
		free(text);
		return false;
	}
	text[bytes] = '\0';
	if (!is_text(text, bytes))
		good = refuse(reading);
	while (good && (line = strsep(&rest, "\n")) && rest)
		if (!visit(reading, line))
			good = refuse(reading);
	free(text);

	return good;
}

static bool visit_record(struct reading *reading, void *element)
{
	struct mp3_record *record = element;

	record->comm[sizeof(record->comm) - 1] = '\0';
	if (reading->visitor->record)
		reading->visitor->record(reading->data, record);

	return true;
}

static bool visit_fault(struct reading *reading, void *element)
{
	struct mp3_fault *fault = element;

	if (MP3_FAULT_FRAMES(fault->flags) > MP3_FRAMES)
		return false;
	if (reading->visitor->fault)
		reading->visitor->fault(reading->data, fault);

	return true;
}

static bool visit_file(struct reading *reading, void *element)
{
	struct mp3_file *file = element;

	file->path[sizeof(file->path) - 1] = '\0';
	if (file->number < 1 || file->number > MP3_FILES)
		return false;
	if (reading->visitor->file)
		reading->visitor->file(reading->data, file);

	return true;
}

/* Reads the elements of a chunk, each of @size bytes. */
static bool read_array(struct reading *reading, __u64 bytes, size_t size,
		       bool (*visit)(struct reading *reading, void *element))
{
	char block[BLOCK] __attribute__((aligned(8)));
	size_t length, i;

	if (bytes % size)
		return refuse(reading);
	while (bytes) {
		length = BLOCK / size * size;
		if (length > bytes)
			length = bytes;
		if (!read_bytes(reading, block, length))
			return false;
		for (i = 0; i < length; i += size)
			if (!visit(reading, block + i))
				return refuse(reading);
		bytes -= length;
	}

	return true;
}

static bool read_totals(struct reading *reading, __u64 bytes)
{
	struct mp3_recording_totals totals = {};
	size_t size = bytes < sizeof(totals) ? bytes : sizeof(totals);

	if (!read_bytes(reading, &totals, size))
		return false;
	if (reading->visitor->totals)
		reading->visitor->totals(reading->data, &totals);

	return true;
}

static bool read_chunk(struct reading *reading,
		       const struct mp3_recording_chunk *chunk)
{
	switch (chunk->type) {
	case MP3_RECORDING_INFO:
		return read_text(reading, chunk->bytes, visit_info);
	case MP3_RECORDING_RECORDS:
		return read_array(reading, chunk->bytes,
				  sizeof(struct mp3_record), visit_record);
	case MP3_RECORDING_FAULTS:
		return read_array(reading, chunk->bytes,
				  sizeof(struct mp3_fault), visit_fault);
	case MP3_RECORDING_FILES:
		return read_array(reading, chunk->bytes,
				  sizeof(struct mp3_file), visit_file);
	case MP3_RECORDING_TOTALS:
		return read_totals(reading, chunk->bytes);
	case MP3_RECORDING_SYMBOLS:
		return read_text(reading, chunk->bytes, visit_symbol);
	case MP3_RECORDING_NAMES:
		return read_text(reading, chunk->bytes, visit_name);
	}

	return true;
}

/* Reads the whole chunks of a recording. */
static bool read_chunks(struct reading *reading)
{
	struct mp3_recording_chunk chunk;
	__u64 at = sizeof(struct mp3_recording_header), left;

	while ((left = reading->size - at)) {
		if (left >= sizeof(chunk)) {
			if (!read_bytes(reading, &chunk, sizeof(chunk)))
				return false;
			left -= sizeof(chunk);
			if (!chunk.type || chunk.reserved || !chunk.bytes ||
			    chunk.bytes > ~0ULL - ALIGNMENT)
				return refuse(reading);
			if (chunk.bytes + padding(chunk.bytes) <= left) {
				at = reading->size - left + chunk.bytes +
				     padding(chunk.bytes);
				if (reading->visitor->progress)
					reading->visitor->progress(reading->path,
						(double)at / (double)reading->size);
				if (!read_chunk(reading, &chunk))
					return false;
				if (!fseeko(reading->file, (off_t)at, SEEK_SET))
					continue;
				warn("%s", reading->path);
				return false;
			}
		}
		if (!reading->visitor->again)
			warnx("%s: its end is missing: %llu bytes of a chunk are ignored",
			      reading->path,
			      (unsigned long long)(reading->size - at));
		break;
	}

	return true;
}

static bool check_header(struct reading *reading)
{
	struct mp3_recording_header header;

	if (reading->size < sizeof(header) ||
	    fread(&header, 1, sizeof(header), reading->file) < sizeof(header) ||
	    memcmp(header.magic, MP3_RECORDING_MAGIC, sizeof(header.magic)))
		warnx("%s: not a recording of mp3ctl", reading->path);
	else if (header.order == __builtin_bswap32(MP3_RECORDING_ORDER))
		warnx("%s: was recorded on a machine of another byte order",
		      reading->path);
	else if (header.order != MP3_RECORDING_ORDER || !header.version)
		return refuse(reading);
	else if (header.version > MP3_RECORDING_VERSION)
		warnx("%s: has version %u, this program reads version %u",
		      reading->path, header.version, MP3_RECORDING_VERSION);
	else
		return true;

	return false;
}

/**
 * recording_read() - read a recording
 * @path:    name of the file, not a pipe
 * @visitor: called with what the recording contains, in its order
 * @data:    passed to @visitor
 *
 * An incomplete last chunk is ignored after a line on standard error. Chunks that a
 * recorder appends while the recording is read, once or again, are ignored.
 *
 * Return: true, or false after one line on standard error; some of the recording
 * may have been visited.
 */
bool recording_read(const char *path, const struct recording_visitor *visitor,
		    void *data)
{
	static __u64 size;	/* of the recording that was read last */
	struct reading reading = {
		.path = path,
		.visitor = visitor,
		.data = data,
		.file = fopen(path, "re"),
	};
	struct stat info;
	bool good;

	if (!reading.file) {
		warn("%s", path);
		return false;
	}
	if (fstat(fileno(reading.file), &info) || !S_ISREG(info.st_mode)) {
		warnx("%s: not a regular file", path);
		fclose(reading.file);
		return false;
	}
	if (!visitor->again || size > (__u64)info.st_size)
		size = (__u64)info.st_size;
	reading.size = size;
	good = check_header(&reading) && read_chunks(&reading);
	fclose(reading.file);

	return good;
}

/* Exits with status 2 if a file to be written is the recording to be read. */
void recording_keep(const char *recording, const char *output)
{
	struct stat from, to;

	if (!stat(recording, &from) && !stat(output, &to) &&
	    from.st_dev == to.st_dev && from.st_ino == to.st_ino)
		errx(2, "%s: the output would replace the recording", output);
}
