// SPDX-License-Identifier: GPL-2.0
/* The lines of mp3ctl top, as wide as there is space. */
#include <err.h>
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

	*start = 0;
	for (i = 0; i < layout->nr; i++) {
		if (i)
			*start += columns[layout->columns[i]].gap;
		*width = width_of(layout->columns[i], i + 1 == layout->nr);
		if (layout->columns[i] == column)
			return true;
		*start += *width;
	}

	return false;
}

/* ---- Their contents ---- */

/* Fills @text with a size in at most 6 characters. */
static void size_text(char text[16], double bytes)
{
	static const char units[] = "BKMGTPE";
	size_t unit = 0;

	while (bytes >= 1000 && units[unit + 1]) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, 16, "%.*f%c", unit && bytes < 100, bytes, units[unit]);
}

/* Fills @text with a rate in at most @width characters, which are 7 or more. */
static void rate_text(char text[16], double rate, size_t width)
{
	/* Most rates of many processes: spare them the time. */
	if (rate == 0)
		strcpy(text, "0.0");
	else if (snprintf(text, 16, "%.1f", rate) > (int)width &&
		 snprintf(text, 16, "%.0f", rate) > (int)width)
		snprintf(text, 16, "%.1e", rate);
}

/* Fills @text with the name of a process' user, or its number. */
static void user_text(char text[16], const struct process *process)
{
	const char *name = process->identified ? user_name(process->uid) : "-";

	if (!name)
		snprintf(text, 16, "%u", process->uid);
	else if (snprintf(text, 16, "%s", name) > (int)columns[TOP_USER].width)
		text[columns[TOP_USER].width - 1] = '+';
}

/* Fills @text with a cell. */
static void cell_text(char text[TOP_LINE], const struct top *top,
		      const struct top_row *row, enum top_column column)
{
	const struct process *process = row->process;
	const struct top_process *state = top_state(process);
	char name[NAME_SIZE];

	switch (column) {
	case TOP_PID:
		snprintf(text, TOP_LINE, "%u", process->pid);
		break;
	case TOP_USER:
		user_text(text, process);
		break;
	case TOP_RSS:
		size_text(text, (double)process->rss_bytes);
		break;
	case TOP_HISTORY:
		spark_text(&state->history, top->base_ns, HISTORY_WIDTH,
			   top->unicode, text);
		break;
	case TOP_NAME:
		name_escape(name, process->comm);
		snprintf(text, TOP_LINE, "%*s%s", 2 * (int)row->depth, "",
			 name);
		break;
	default:
		rate_text(text, state->rates[column],
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
	line[used + length] = '\0';

	return used + length;
}

static size_t put_blanks(char line[TOP_LINE], size_t used, size_t length)
{
	while (length-- && used < TOP_LINE - 1)
		line[used++] = ' ';
	line[used] = '\0';

	return used;
}

/*
 * Appends a cell to a line. The last one is not filled up with blanks. Not with
 * printf(3), which would be most of the time that many rows take.
 */
static void append_cell(const struct top_layout *layout, size_t i,
			char line[TOP_LINE], const char *text)
{
	enum top_column column = layout->columns[i];
	bool last = i + 1 == layout->nr;
	bool left = column == TOP_USER || column == TOP_NAME ||
		    column == TOP_HISTORY;
	size_t start, width, length, used = strlen(line);

	top_find_cell(layout, column, &start, &width);
	if (last && column == TOP_NAME)
		width = layout->width > start ? layout->width - start : 0;
	/* A sparkline fills its cell: its characters are not bytes. */
	if (column == TOP_HISTORY && text != columns[column].header)
		width = strlen(text);
	length = strnlen(text, width);
	used = put_blanks(line, used, i ? columns[column].gap : 0);
	if (!left)
		used = put_blanks(line, used, width - length);
	used = put_bytes(line, used, text, length);
	if (left && !last)
		put_blanks(line, used, width - length);
}

/* Cuts a line after its first characters, as many as it has space for. */
static void cut_line(char *line, size_t width)
{
	for (; *line; line++) {
		/* The first byte of a character */
		if ((*line & 0xc0) == 0x80)
			continue;
		if (!width--) {
			*line = '\0';
			return;
		}
	}
}

/* Fills @line with the headers of the columns. */
void top_header(const struct top_layout *layout, char line[TOP_LINE])
{
	size_t i;

	line[0] = '\0';
	for (i = 0; i < layout->nr; i++)
		append_cell(layout, i, line,
			    columns[layout->columns[i]].header);
	cut_line(line, layout->width);
}

/* Fills @line with a row. */
void top_row(const struct top *top, const struct top_layout *layout,
	     const struct top_row *row, char line[TOP_LINE])
{
	char text[TOP_LINE];
	size_t i;

	line[0] = '\0';
	for (i = 0; i < layout->nr; i++) {
		cell_text(text, top, row, layout->columns[i]);
		append_cell(layout, i, line, text);
	}
	cut_line(line, layout->width);
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
