// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"

/*
 * Escapes at most @length bytes of @name, or those before its NUL. @text has room
 * for four times as many, and a NUL.
 */
static void escape(char *text, const char *name, size_t length,
		   const char *special)
{
	size_t i, size = 0;

	for (i = 0; i < length && name[i]; i++) {
		unsigned char byte = (unsigned char)name[i];

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
	escape(text, comm, COMM_SIZE - 1, "");
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
	escape(text, comm, COMM_SIZE - 1, " ,");
	if (!text[0])
		strcpy(text, "\\x00");
}

/**
 * text_escape() - make a text safe to display, such as the path of a file
 * @name:    ends with a NUL
 * @special: further bytes to escape
 *
 * As name_escape(), for any length. Exits if there is no memory.
 *
 * Return: the escaped text, to be freed.
 */
char *text_escape(const char *name, const char *special)
{
	size_t length = strlen(name);
	char *text = malloc(4 * length + 1);

	if (!text)
		err(1, "name");
	escape(text, name, length, special);

	return text;
}
