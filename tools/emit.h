/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Results as JSON or csv. The same calls make both: in JSON, each key and value is
 * printed where it stands; in csv, only those of rows are. The rows of one file have
 * the same keys.
 */
#ifndef MP3_TOOLS_EMIT_H
#define MP3_TOOLS_EMIT_H

#include <stdbool.h>
#include <stdio.h>

#include <linux/types.h>

/**
 * enum emit_format - what is printed
 * @EMIT_NOTHING: the report is text
 * @EMIT_JSON:	  --json: one object
 * @EMIT_CSV:	  --csv: a line with the names of the columns, and a line per row
 */
enum emit_format {
	EMIT_NOTHING,
	EMIT_JSON,
	EMIT_CSV,
};

/**
 * struct emitter - a file of results that is being written
 * @file:    where to print
 * @csv:     as csv, not as JSON
 * @comma:   JSON: the next element follows another one
 * @depth:   JSON: objects and arrays around the next element
 * @in_row:  csv: a row is being written
 * @prefix:  csv: of the names of columns, or empty
 * @names:   csv: names of the columns, while the first row is written; then NULL
 * @cells:   csv: cells of the row
 * @buffers: csv: memory of @names and @cells
 * @sizes:   csv: its sizes
 * @has_names: csv: the line with the names was printed
 */
struct emitter {
	FILE *file;
	bool csv;
	bool comma;
	unsigned int depth;
	bool in_row;
	const char *prefix;
	FILE *names;
	FILE *cells;
	char *buffers[2];
	size_t sizes[2];
	bool has_names;
};

void emit_begin(struct emitter *emitter, FILE *file, enum emit_format format);
void emit_end(struct emitter *emitter);

void emit_array(struct emitter *emitter, const char *key);
void emit_array_end(struct emitter *emitter);
void emit_row(struct emitter *emitter, const char *key);
void emit_row_end(struct emitter *emitter);
void emit_object(struct emitter *emitter, const char *key);
void emit_object_end(struct emitter *emitter);

void emit_text(struct emitter *emitter, const char *key, const char *text);
void emit_integer(struct emitter *emitter, const char *key, __u64 value);
void emit_number(struct emitter *emitter, const char *key, double value);
void emit_command(struct emitter *emitter, const char *key, char **words);
void emit_null(struct emitter *emitter, const char *key);
void emit_empty(struct emitter *emitter, const char *key);

#endif /* MP3_TOOLS_EMIT_H */
