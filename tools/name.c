// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "name.h"

static void escape(char text[NAME_SIZE], const char comm[COMM_SIZE],
		   const char *special)
{
	size_t i, size = 0;

	for (i = 0; i < COMM_SIZE - 1 && comm[i]; i++) {
		unsigned char byte = (unsigned char)comm[i];

		if (byte == '\\')
			size += (size_t)sprintf(text + size, "\\\\");
		else if (byte < ' ' || byte > '~' || strchr(special, byte))
			size += (size_t)sprintf(text + size, "\\x%02x", byte);
		else
			text[size++] = (char)byte;
	}
	text[size] = '\0';
}

/**
 * name_escape() - make a process name safe to display
 * @text: filled with printable ASCII, ends with a NUL
 * @comm: name, ends with a NUL or after COMM_SIZE bytes
 *
 * A backslash becomes \\ and a byte that is not printable ASCII \xNN.
 */
void name_escape(char text[NAME_SIZE], const char comm[COMM_SIZE])
{
	escape(text, comm, "");
}

/**
 * name_escape_word() - make a process name one word of a line of data
 * @text: filled with printable ASCII, ends with a NUL
 * @comm: name, ends with a NUL or after COMM_SIZE bytes
 *
 * As name_escape(), and a blank becomes \x20, a comma \x2c, an empty name \x00.
 */
void name_escape_word(char text[NAME_SIZE], const char comm[COMM_SIZE])
{
	escape(text, comm, " ,");
	if (!text[0])
		strcpy(text, "\\x00");
}
