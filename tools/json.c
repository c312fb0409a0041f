// SPDX-License-Identifier: GPL-2.0
#include "json.h"

/* Prints what stands between the quotes of a string: printable ASCII and tabs. */
void json_put_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\' || *text == '\t')
			putc('\\', file);
		putc(*text == '\t' ? 't' : *text, file);
	}
}
