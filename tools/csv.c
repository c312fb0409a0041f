// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "csv.h"

/* Prints what stands between the quotes of a cell, after what csv_guard() returns. */
void csv_put_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '"')
			putc('"', file);
		putc(*text, file);
	}
}

/**
 * csv_guard() - find what must precede a text in its cell
 * @text: a name that a process, a user or a program has chosen
 *
 * A spreadsheet takes a cell that starts with = + - @, a tab or a carriage return
 * for a formula, also if it is in quotes. An apostrophe before it makes it a text.
 * A text that starts with an apostrophe gets another one, so that a reader who
 * removes the first apostrophe of a cell always gets the text.
 *
 * Return: an apostrophe, or an empty string.
 */
const char *csv_guard(const char *text)
{
	return text[0] && strchr("=+-@\t\r'", text[0]) ? "'" : "";
}
