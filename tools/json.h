/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Strings of JSON.
 */
#ifndef MP3_TOOLS_JSON_H
#define MP3_TOOLS_JSON_H

#include <stdio.h>

void json_put_text(FILE *file, const char *text);

#endif /* MP3_TOOLS_JSON_H */
