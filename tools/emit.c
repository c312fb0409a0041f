// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "emit.h"
#include "json.h"
#include "name.h"

/* Starts a new line of JSON, or separates two elements on one. */
static void separate(struct emitter *emitter)
{
	if (emitter->comma)
		fputc(',', emitter->file);
	/* Deeper elements share the line of their row. */
	if (emitter->depth < 3)
		fprintf(emitter->file, "\n%*s", 2 * (int)emitter->depth, "");
	else if (emitter->comma)
		fputc(' ', emitter->file);
	emitter->comma = true;
}

static void open_element(struct emitter *emitter, const char *key, char bracket)
{
	if (emitter->csv)
		return;
	separate(emitter);
	if (key)
		fprintf(emitter->file, "\"%s\": ", key);
	fputc(bracket, emitter->file);
	emitter->depth++;
	emitter->comma = false;
}

static void close_element(struct emitter *emitter, char bracket)
{
	if (emitter->csv)
		return;
	emitter->depth--;
	if (emitter->depth < 2)
		fprintf(emitter->file, "\n%*s", 2 * (int)emitter->depth, "");
	fputc(bracket, emitter->file);
	emitter->comma = true;
}

static FILE *open_buffer(struct emitter *emitter, int i)
{
	FILE *file = open_memstream(&emitter->buffers[i], &emitter->sizes[i]);

	if (!file)
		err(1, "report");
	return file;
}

/* Begins a file of results. Exits if there is no memory. */
void emit_begin(struct emitter *emitter, FILE *file, enum emit_format format)
{
	*emitter = (struct emitter){
		.file = file,
		.csv = format == EMIT_CSV,
		.prefix = "",
	};
	if (emitter->csv)
		return;
	fputc('{', file);
	emitter->depth = 1;
}

/* Ends a file of results. */
void emit_end(struct emitter *emitter)
{
	if (emitter->csv)
		return;
	close_element(emitter, '}');
	fputc('\n', emitter->file);
}

/* Begins an array of rows or values. */
void emit_array(struct emitter *emitter, const char *key)
{
	open_element(emitter, key, '[');
}

void emit_array_end(struct emitter *emitter)
{
	close_element(emitter, ']');
}

/* Begins a row, whose key is NULL in an array. */
void emit_row(struct emitter *emitter, const char *key)
{
	open_element(emitter, key, '{');
	if (!emitter->csv)
		return;
	emitter->in_row = true;
	emitter->comma = false;
	emitter->cells = open_buffer(emitter, 0);
	if (!emitter->has_names)
		emitter->names = open_buffer(emitter, 1);
}

/* Prints the line in a buffer, and frees it. */
static void print_buffer(struct emitter *emitter, FILE *buffer, int i)
{
	if (fclose(buffer))
		err(1, "report");
	fprintf(emitter->file, "%s\n", emitter->buffers[i]);
	free(emitter->buffers[i]);
}

void emit_row_end(struct emitter *emitter)
{
	close_element(emitter, '}');
	if (!emitter->csv)
		return;
	if (emitter->names)
		print_buffer(emitter, emitter->names, 1);
	emitter->names = NULL;
	emitter->has_names = true;
	print_buffer(emitter, emitter->cells, 0);
	emitter->in_row = false;
}

/* Begins an object in a row; in csv, its key and a "_" precede those inside. */
void emit_object(struct emitter *emitter, const char *key)
{
	open_element(emitter, key, '{');
	emitter->prefix = key;
}

void emit_object_end(struct emitter *emitter)
{
	close_element(emitter, '}');
	emitter->prefix = "";
}

/*
 * Prints what precedes a value. Returns where the value is to be printed, or NULL:
 * nowhere.
 */
static FILE *begin_value(struct emitter *emitter, const char *key)
{
	const char *comma = emitter->comma ? "," : "";

	if (!emitter->csv) {
		separate(emitter);
		if (key)
			fprintf(emitter->file, "\"%s\": ", key);
		return emitter->file;
	}
	if (!emitter->in_row)
		return NULL;
	if (emitter->names)
		fprintf(emitter->names, "%s%s%s%s", comma, emitter->prefix,
			emitter->prefix[0] ? "_" : "", key);
	fputs(comma, emitter->cells);
	emitter->comma = true;

	return emitter->cells;
}

/*
 * Prints a text in quotes. It is printable: what processes have chosen was escaped.
 * In csv, an apostrophe precedes what a spreadsheet would execute.
 */
void emit_text(struct emitter *emitter, const char *key, const char *text)
{
	FILE *file = begin_value(emitter, key);

	if (!file)
		return;
	fputc('"', file);
	if (emitter->csv) {
		fputs(csv_guard(text), file);
		csv_put_text(file, text);
	} else {
		json_put_text(file, text);
	}
	fputc('"', file);
}

/* Prints the words of a command, any bytes, as an array; in csv, nothing. */
void emit_command(struct emitter *emitter, const char *key, char **words)
{
	char *escaped;

	emit_array(emitter, key);
	for (; *words; words++) {
		escaped = text_escape(*words, "");
		emit_text(emitter, NULL, escaped);
		free(escaped);
	}
	emit_array_end(emitter);
}

void emit_integer(struct emitter *emitter, const char *key, __u64 value)
{
	FILE *file = begin_value(emitter, key);

	if (file)
		fprintf(file, "%llu", (unsigned long long)value);
}

/* Prints a number, or null if it is not finite. */
void emit_number(struct emitter *emitter, const char *key, double value)
{
	FILE *file;

	if (!isfinite(value)) {
		emit_null(emitter, key);
		return;
	}
	file = begin_value(emitter, key);
	if (file)
		fprintf(file, "%.15g", value);
}

/* Prints null; in csv, an empty cell. */
void emit_null(struct emitter *emitter, const char *key)
{
	FILE *file = begin_value(emitter, key);

	if (file && !emitter->csv)
		fputs("null", file);
}

/* Leaves a key out; in csv, prints an empty cell. */
void emit_empty(struct emitter *emitter, const char *key)
{
	if (emitter->csv)
		emit_null(emitter, key);
}
