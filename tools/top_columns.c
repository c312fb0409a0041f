// SPDX-License-Identifier: GPL-2.0
/* The lines of mp3ctl top, as wide as there is space. */
#include <err.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "top.h"
#include "user.h"
#include "util.h"

/* Characters of a sparkline */
#define HISTORY_WIDTH 10

/**
 * struct column - how a column is shown
 * @word:   its name in --columns
 * @header: its header
 * @gap:    blanks before it, unless it is the first one
 * @width:  characters; of names: the least
 */
struct column {
	const char *word;
	const char *header;
	size_t gap;
	size_t width;
};

static const struct column columns[TOP_COLUMNS] = {
	[TOP_PID] = { "pid", "PID", 0, 7 },
	[TOP_USER] = { "user", "USER", 1, 8 },
	[TOP_MAJOR] = { "major", "MAJOR/s", 1, 10 },
	[TOP_MINOR] = { "minor", "MINOR/s", 1, 10 },
	[TOP_RSS] = { "rss", "RSS", 1, 6 },
	[TOP_CPU] = { "cpu", "CPU%", 1, 7 },
	[TOP_STALL] = { "stall", "STALL%", 1, 8 },
	[TOP_KIND + KIND_FIRST_TOUCH] = { "first-touch", "TOUCH/s", 1, 8 },
	[TOP_KIND + KIND_SWAP_IN] = { "swap-in", "SWAP/s", 1, 7 },
	[TOP_KIND + KIND_PAGE_CACHE] = { "page-cache", "CACHE/s", 1, 8 },
	[TOP_KIND + KIND_DISK] = { "disk", "DISK/s", 1, 7 },
	[TOP_KIND + KIND_COPY] = { "copy", "COPY/s", 1, 7 },
	[TOP_KIND + KIND_CLEAN] = { "clean", "CLEAN/s", 1, 7 },
	[TOP_KIND + KIND_HINT] = { "hint", "HINT/s", 1, 7 },
	[TOP_KIND + KIND_UNKNOWN] = { "unknown", "OTHER/s", 1, 7 },
	[TOP_HISTORY] = { "history", "HISTORY", 2, HISTORY_WIDTH },
	[TOP_NAME] = { "name", "COMMAND", 2, 8 },
};

/* Columns by default, from left to right; the kinds of faults follow STALL% */
static const enum top_column defaults[] = {
	TOP_PID, TOP_USER, TOP_MAJOR, TOP_MINOR, TOP_RSS, TOP_CPU, TOP_STALL,
	TOP_KIND + KIND_FIRST_TOUCH, TOP_KIND + KIND_SWAP_IN,
	TOP_KIND + KIND_PAGE_CACHE, TOP_KIND + KIND_DISK,
	TOP_KIND + KIND_COPY, TOP_KIND + KIND_CLEAN, TOP_KIND + KIND_HINT,
	TOP_KIND + KIND_UNKNOWN, TOP_HISTORY, TOP_NAME,
};

/* What a narrow line keeps first, after the name and what rows are sorted by */
static const enum top_column ranks[] = {
	TOP_PID, TOP_MAJOR, TOP_MINOR, TOP_CPU, TOP_RSS, TOP_STALL,
	TOP_KIND + KIND_DISK, TOP_KIND + KIND_SWAP_IN,
	TOP_KIND + KIND_FIRST_TOUCH, TOP_KIND + KIND_PAGE_CACHE,
	TOP_KIND + KIND_COPY, TOP_KIND + KIND_CLEAN, TOP_KIND + KIND_HINT,
	TOP_KIND + KIND_UNKNOWN, TOP_USER, TOP_HISTORY,
};

/* ---- Which columns ---- */

static bool needs_faults(enum top_column column)
{
	return column >= TOP_STALL && column < TOP_KIND + NR_KINDS;
}

static enum top_column parse_column(const char *word)
{
	size_t i;

	for (i = 0; i < TOP_COLUMNS; i++)
		if (!strcmp(word, columns[i].word))
			return (enum top_column)i;
	errx(2, "--columns: no column '%s' (see man mp3ctl)", word);
}

/*
 * Parses the argument of --columns. Exits with status 2 if it is wrong, or if a
 * column requires faults, which are not located.
 */
void top_parse_columns(struct top *top, const char *text)
{
	char *words = strdup(text), *rest = words, *word;
	enum top_column column;
	bool given[TOP_COLUMNS] = {};

	if (!words)
		err(1, "--columns");
	top->nr_columns = 0;
	while ((word = strsep(&rest, ","))) {
		column = parse_column(word);
		if (given[column])
			errx(2, "--columns: '%s' is given more than once", word);
		if (needs_faults(column) && !top->every)
			errx(2, "--columns: '%s' requires --faults", word);
		given[column] = true;
		top->columns[top->nr_columns++] = column;
	}
	free(words);
}

/*
 * Shows the columns that there are by default: plain lines, which a program may
 * read, have those that they always had.
 */
void top_default_columns(struct top *top, bool has_screen)
{
	enum top_column column;
	size_t i;

	top->nr_columns = 0;
	for (i = 0; i < ARRAY_SIZE(defaults); i++) {
		column = defaults[i];
		if (needs_faults(column) ? top->every != 0 : has_screen ||
		    (column != TOP_USER && column != TOP_HISTORY))
			top->columns[top->nr_columns++] = column;
	}
}

/* Returns the characters of a column, which is the last one or not. */
static size_t width_of(enum top_column column, bool last)
{
	return column == TOP_NAME && !last ? COMM_SIZE - 1 :
					     columns[column].width;
}

/* Returns the width of a line with the chosen columns. */
static size_t line_width(const struct top *top, const bool *chosen)
{
	size_t i, width = 0;

	for (i = 0; i < top->nr_columns; i++) {
		enum top_column column = top->columns[i];

		if (chosen[column])
			width += (width ? columns[column].gap : 0) +
				 width_of(column, i + 1 == top->nr_columns);
	}

	return width;
}

/* Notes where the columns of a layout are. */
static void place_columns(struct top_layout *layout)
{
	size_t i, start = 0;

	for (i = 0; i < layout->nr; i++) {
		if (i)
			start += columns[layout->columns[i]].gap;
		layout->starts[i] = start;
		layout->widths[i] = width_of(layout->columns[i],
					     i + 1 == layout->nr);
		start += layout->widths[i];
	}
}

/**
 * top_layout() - choose the columns that a line has space for
 * @top:    the rows
 * @width:  characters of the line
 * @layout: filled; its first column can be wider than the line
 */
void top_layout(const struct top *top, size_t width, struct top_layout *layout)
{
	enum top_column order[ARRAY_SIZE(ranks) + 2] = { TOP_NAME, top->sort };
	bool wanted[TOP_COLUMNS] = {}, chosen[TOP_COLUMNS] = {};
	size_t i;

	memcpy(order + 2, ranks, sizeof(ranks));
	for (i = 0; i < top->nr_columns; i++)
		wanted[top->columns[i]] = true;
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		bool first = !line_width(top, chosen);

		if (!wanted[order[i]] || chosen[order[i]])
			continue;
		chosen[order[i]] = true;
		if (first || line_width(top, chosen) <= width)
			continue;
		chosen[order[i]] = false;
		break;
	}

	*layout = (struct top_layout){ .width = width };
	for (i = 0; i < top->nr_columns; i++)
		if (chosen[top->columns[i]])
			layout->columns[layout->nr++] = top->columns[i];
	place_columns(layout);
}

/**
 * top_find_cell() - find a column
 * @layout: the columns
 * @column: the column
 * @start:  set to its first character
 * @width:  set to how many characters it has
 *
 * Return: whether @layout has it.
 */
bool top_find_cell(const struct top_layout *layout, enum top_column column,
		   size_t *start, size_t *width)
{
	size_t i;

	for (i = 0; i < layout->nr; i++) {
		*start = layout->starts[i];
		*width = layout->widths[i];
		if (layout->columns[i] == column)
			return true;
	}

	return false;
}

/*
 * ---- Their contents ----
 *
 * Numbers are formatted here, since printf(3) would be most of the time that many rows
 * take.
 */

/* Fills @text with a number and one decimal, as %.1f does, and returns its length. */
static size_t put_decimal(char text[TOP_LINE], double number)
{
	double scaled = number * 10, rest;
	__u64 tenths;
	size_t length;

	if (!(scaled >= 0 && scaled < 1e15))
		return (size_t)snprintf(text, TOP_LINE, "%.1f", number);
	tenths = (__u64)scaled;
	rest = scaled - (double)tenths;
	/* The product may have been rounded to this. */
	if (rest == 0.5)
		return (size_t)snprintf(text, TOP_LINE, "%.1f", number);
	tenths += rest > 0.5;
	length = number_text(text, tenths / 10);
	text[length++] = '.';
	text[length++] = (char)('0' + tenths % 10);
	text[length] = '\0';

	return length;
}

/* Fills @text with a size in at most 6 characters. */
static size_t put_size(char text[TOP_LINE], double bytes)
{
	static const char units[] = "BKMGTPE";
	size_t unit = 0, length;

	while (bytes >= 1000 && units[unit + 1]) {
		bytes /= 1024;
		unit++;
	}
	if (unit && bytes < 100)
		length = put_decimal(text, bytes);
	else
		length = number_text(text, (__u64)rint(bytes));
	text[length++] = units[unit];
	text[length] = '\0';

	return length;
}

/* Fills @text with a rate in at most @width characters, which are 7 or more. */
static size_t put_rate(char text[TOP_LINE], double rate, size_t width)
{
	size_t length = put_decimal(text, rate);

	if (length > width)
		length = (size_t)snprintf(text, TOP_LINE, "%.0f", rate);
	if (length > width)
		length = (size_t)snprintf(text, TOP_LINE, "%.1e", rate);

	return length;
}

/* Fills @text with the name of a process' user, or its number. */
static size_t put_user(char text[TOP_LINE], const struct process *process)
{
	const char *name = process->identified ? user_name(process->uid) : "-";
	size_t width = columns[TOP_USER].width, length;

	if (!name)
		return number_text(text, process->uid);
	length = strnlen(name, width + 1);
	memcpy(text, name, length);
	if (length > width) {
		length = width;
		text[width - 1] = '+';
	}
	text[length] = '\0';

	return length;
}

/* Fills @text with a name, which is indented in the tree. */
static size_t put_name(char text[TOP_LINE], const struct top_row *row)
{
	size_t indent = 2 * row->depth;

	memset(text, ' ', indent);
	name_escape(text + indent, row->process->comm);

	return indent + strlen(text + indent);
}

/* Fills @text with a cell, and returns its length in bytes. */
static size_t put_cell(char text[TOP_LINE], const struct top *top,
		       const struct top_row *row, enum top_column column)
{
	const struct process *process = row->process;
	const struct top_process *state = top_state(process);

	switch (column) {
	case TOP_PID:
		return number_text(text, process->pid);
	case TOP_USER:
		return put_user(text, process);
	case TOP_RSS:
		return put_size(text, (double)process->rss_bytes);
	case TOP_HISTORY:
		spark_text(&state->history, top->base_ns, HISTORY_WIDTH,
			   top->unicode, text);
		return strlen(text);
	case TOP_NAME:
		return put_name(text, row);
	default:
		return put_rate(text, state->rates[column],
				columns[column].width);
	}
}

/* ---- Lines ---- */

/*
 * Appends bytes to the first @used ones of a line, as far as they fit. Returns how many
 * there are then.
 */
static size_t put_bytes(char line[TOP_LINE], size_t used, const char *bytes,
			size_t length)
{
	if (length > TOP_LINE - 1 - used)
		length = TOP_LINE - 1 - used;
	memcpy(line + used, bytes, length);

	return used + length;
}

static size_t put_blanks(char line[TOP_LINE], size_t used, size_t length)
{
	if (length > TOP_LINE - 1 - used)
		length = TOP_LINE - 1 - used;
	memset(line + used, ' ', length);

	return used + length;
}

/*
 * Appends a cell to the first @used bytes of a line. The last one is not filled up with
 * blanks. Returns how many bytes there are then.
 */
static size_t append_cell(const struct top_layout *layout, size_t i,
			  char line[TOP_LINE], size_t used, const char *text,
			  size_t length)
{
	enum top_column column = layout->columns[i];
	bool last = i + 1 == layout->nr;
	bool left = column == TOP_USER || column == TOP_NAME ||
		    column == TOP_HISTORY;
	size_t start = layout->starts[i], width = layout->widths[i];

	if (last && column == TOP_NAME)
		width = layout->width > start ? layout->width - start : 0;
	/* A sparkline fills its cell: its characters are not bytes. */
	if (column == TOP_HISTORY && text != columns[column].header)
		width = length;
	if (length > width)
		length = width;
	used = put_blanks(line, used, i ? columns[column].gap : 0);
	if (!left)
		used = put_blanks(line, used, width - length);
	used = put_bytes(line, used, text, length);
	if (left && !last)
		used = put_blanks(line, used, width - length);

	return used;
}

/*
 * Ends a line of @used bytes, after its first characters, as many as it has space for.
 * Returns how many bytes it has then.
 */
static size_t end_line(const struct top_layout *layout, char line[TOP_LINE],
		       size_t used)
{
	size_t i, left = layout->width;

	line[used] = '\0';
	if (used <= left)
		return used;
	for (i = 0; i < used; i++)
		/* The first byte of a character */
		if ((line[i] & 0xc0) != 0x80 && !left--)
			break;
	line[i] = '\0';

	return i;
}

/* Fills @line with the headers of the columns. Returns its length in bytes. */
size_t top_header(const struct top_layout *layout, char line[TOP_LINE])
{
	const char *text;
	size_t i, used = 0;

	for (i = 0; i < layout->nr; i++) {
		text = columns[layout->columns[i]].header;
		used = append_cell(layout, i, line, used, text, strlen(text));
	}

	return end_line(layout, line, used);
}

/* Fills @line with a row. Returns its length in bytes. */
size_t top_row(const struct top *top, const struct top_layout *layout,
	       const struct top_row *row, char line[TOP_LINE])
{
	char text[TOP_LINE];
	size_t i, length, used = 0;

	for (i = 0; i < layout->nr; i++) {
		length = put_cell(text, top, row, layout->columns[i]);
		used = append_cell(layout, i, line, used, text, length);
	}

	return end_line(layout, line, used);
}

/*
 * Appends a field to a title, after two blanks, if there is space for all of it.
 * Returns whether there was.
 */
__attribute__((format(printf, 3, 4)))
static bool append_field(char line[TOP_LINE], size_t width, const char *format,
			 ...)
{
	size_t used = strlen(line);
	char text[TOP_LINE];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (used + (used ? 2 : 0) + (size_t)size > width)
		return false;
	snprintf(line + used, TOP_LINE - used, "%s%s", used ? "  " : "", text);

	return true;
}

/**
 * top_title() - sum up the rows
 * @top:   the rows
 * @width: characters of a line; what does not fit is left out
 * @line:  filled
 */
void top_title(const struct top *top, size_t width, char line[TOP_LINE])
{
	double sums[TOP_RATES] = {};
	time_t now = time(NULL);
	size_t i, column, nr = top->nr_rows;
	char clock[16];
	struct tm tm;

	for (i = 0; i < nr; i++)
		for (column = 0; column < TOP_RATES; column++)
			sums[column] +=
				top_state(top->rows[i].process)->rates[column];
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));

	line[0] = '\0';
	if (append_field(line, width, "%s",
			 top->position[0] ? top->position : clock) &&
	    (!top->state[0] || append_field(line, width, "%s", top->state)) &&
	    append_field(line, width, "%zu process%s", nr,
			 nr == 1 ? "" : "es") &&
	    append_field(line, width, "%.1f major/s", sums[TOP_MAJOR]) &&
	    append_field(line, width, "%.1f minor/s", sums[TOP_MINOR]) &&
	    append_field(line, width, "CPU %.1f%%", sums[TOP_CPU]) &&
	    top->every)
		append_field(line, width, "stalled %.1f%%", sums[TOP_STALL]);
	if (top->lost)
		append_field(line, width, "%llu records lost",
			     (unsigned long long)top->lost);
	if (top->lost_faults)
		append_field(line, width, "%llu faults lost",
			     (unsigned long long)top->lost_faults);
}
