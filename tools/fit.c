// SPDX-License-Identifier: GPL-2.0
#include <langinfo.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fit.h"
#include "name.h"

static const char *dots;	/* see ellipsis() */

/* Returns what takes the place of a text that is left out. */
static const char *ellipsis(void)
{
	locale_t locale;

	if (dots)
		return dots;
	dots = "...";
	locale = newlocale(LC_CTYPE_MASK, "", NULL);
	if (!locale)
		return dots;
	if (!strcmp(nl_langinfo_l(CODESET, locale), "UTF-8"))
		dots = "…";
	freelocale(locale);

	return dots;
}

/* Returns the columns of a terminal, or SIZE_MAX for another file. */
size_t fit_columns(FILE *file)
{
	struct winsize size;
	int fd = fileno(file);

	if (fd < 0 || !isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) || !size.ws_col)
		return SIZE_MAX;
	return size.ws_col;
}

/* Returns the columns for a label after @used of a line's @columns. */
size_t fit_rest(size_t columns, size_t used)
{
	return columns > used + FIT_LEAST ? columns - used : FIT_LEAST;
}

/* Returns how many columns a label takes. */
size_t fit_width(const char *label)
{
	size_t width = 0;

	/* Count the first byte of each character. */
	for (; *label; label++)
		width += (*label & 0xc0) != 0x80;

	return width;
}

/*
 * Returns a text that is cut to some columns, to be freed. Keeps the offset of an
 * instruction, "+0x2030", or what follows the last blank, as the id of a process, if
 * there is space: they distinguish rows.
 */
char *fit_end(const char *text, size_t columns)
{
	size_t width = fit_width(ellipsis());
	const char *tail = strrchr(text, '+');

	if (strlen(text) <= columns)
		return text_format("%s", text);
	if (!tail)
		tail = strrchr(text, ' ');
	if (!tail || strlen(tail) + width >= columns)
		tail = "";
	width += strlen(tail);
	return text_format("%.*s%s%s",
			   columns > width ? (int)(columns - width) : 0, text,
			   ellipsis(), tail);
}

/**
 * fit_path() - shorten a path to some columns
 * @path:    a path
 * @columns: how many
 *
 * Keeps the name of the file, and as many of the first directories as fit. Exits if
 * there is no memory.
 *
 * Return: the path, to be freed: "/usr/…/libc.so.6", "…/libc.so.6", or "libc.so…".
 */
char *fit_path(const char *path, size_t columns)
{
	const char *name = strrchr(path, '/'), *next = path;
	size_t rest, kept = 0;

	if (strlen(path) <= columns || !name)
		return fit_end(path, columns);
	rest = fit_width(ellipsis()) + strlen(name);
	if (rest > columns)
		return fit_end(name + 1, columns);
	while ((next = strchr(next, '/')) && next < name &&
	       (size_t)(++next - path) + rest <= columns)
		kept = (size_t)(next - path);

	return text_format("%.*s%s%s", (int)kept, path, ellipsis(), name);
}

/**
 * fit_label() - shorten a label to some columns
 * @label:   "PATH", "NAME", "NAME  PATH", or "NAME  SOURCE:LINE  PATH"
 * @columns: how many
 *
 * Shortens the path, then leaves out the line of source code, and then cuts the name.
 * Exits if there is no memory.
 *
 * Return: the label, to be freed.
 */
char *fit_label(const char *label, size_t columns)
{
	const char *gap = strstr(label, "  "), *path, *next;
	char *name, *file, *text;
	size_t least;

	if (strlen(label) <= columns)
		return text_format("%s", label);
	if (label[0] == '/')
		return fit_path(label, columns);
	if (!gap)
		return fit_end(label, columns);
	/* A path can contain blanks. Nothing before it has a slash after two of them. */
	path = strstr(gap, "  /");
	if (!path)
		for (path = gap; (next = strstr(path + 2, "  "));)
			path = next;
	/* What the path takes without directories */
	next = strrchr(path, '/');
	least = next ? fit_width(ellipsis()) + strlen(next) : strlen(path + 2);
	if (least > columns / 2)
		least = columns / 2;
	if ((size_t)(path - label) + 2 + least <= columns)
		gap = path;

	text = text_format("%.*s", (int)(gap - label), label);
	name = fit_end(text, columns - least - 2);
	file = fit_path(path + 2, columns - fit_width(name) - 2);
	free(text);
	text = text_format("%s  %s", name, file);
	free(name);
	free(file);

	return text;
}
