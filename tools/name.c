// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <err.h>
#include <stdarg.h>
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

/* Undoes text_escape(), in place. */
void text_unescape(char *text)
{
	char *end = text;
	unsigned int byte;

	while (*text) {
		if (text[0] == '\\' && text[1] == 'x' && isxdigit(text[2]) &&
		    isxdigit(text[3]) && sscanf(text, "\\x%2x", &byte) == 1) {
			*end++ = (char)byte;
			text += 4;
		} else {
			text += text[0] == '\\' && text[1] == '\\';
			*end++ = *text++;
		}
	}
	*end = '\0';
}

/* Returns a text as it was before text_escape(), to be freed. Exits without memory. */
char *text_original(const char *escaped)
{
	char *text = text_format("%s", escaped);

	text_unescape(text);

	return text;
}

/*
 * Returns the bytes of the printable character that @text starts with, or 0 if it
 * starts with a control character or with what is not UTF-8.
 */
static size_t character_length(const char *text)
{
	/* By length. Two bytes below 0xa0 are control characters. */
	static const __u32 least[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	unsigned char first = (unsigned char)text[0];
	size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4, i;
	__u32 code = first & 0x7f >> length;

	if (first < 0x80)
		return first >= ' ' && first <= '~';
	if (first < 0xc0 || first >= 0xf8)
		return 0;
	for (i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least[length] || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;

	return length;
}

/**
 * text_label() - make a name the label of a row for other programs
 * @name: ends with a NUL
 *
 * Printable UTF-8 stays as it is. A byte of anything else becomes \xNN, and an empty
 * name \x00. Names can have the same label. Exits if there is no memory.
 *
 * Return: the label, to be freed.
 */
char *text_label(const char *name)
{
	char *label = malloc(4 * strlen(name) + 5);
	size_t length, size = 0;

	if (!label)
		err(1, "name");
	if (!name[0])
		size = (size_t)sprintf(label, "\\x00");
	while (*name) {
		length = character_length(name);
		if (length)
			memcpy(label + size, name, length);
		else
			sprintf(label + size, "\\x%02x", (unsigned char)*name);
		size += length ? length : 4;
		name += length ? length : 1;
	}
	label[size] = '\0';

	return label;
}

/**
 * number_text() - format a number, as %llu does, but in a tenth of the time
 * @text:   filled, ends with a NUL: NUMBER_SIZE bytes
 * @number: the number
 *
 * Return: the length of the text.
 */
size_t number_text(char *text, __u64 number)
{
	char digits[NUMBER_SIZE];
	size_t length = 0, i;

	do
		digits[length++] = (char)('0' + number % 10);
	while (number /= 10);
	for (i = 0; i < length; i++)
		text[i] = digits[length - 1 - i];
	text[length] = '\0';

	return length;
}

/* Returns a text, to be freed. Exits if there is no memory. */
char *text_format(const char *format, ...)
{
	va_list args;
	char *text;
	int size;

	va_start(args, format);
	size = vasprintf(&text, format, args);
	va_end(args);
	if (size < 0)
		err(1, "text");

	return text;
}
