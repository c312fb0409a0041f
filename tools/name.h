/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Names of processes and files, made safe to print. A process chooses its own
 * name, so it may contain anything: escape sequences, blanks, nothing at all.
 * Other texts.
 */
#ifndef MP3_TOOLS_NAME_H
#define MP3_TOOLS_NAME_H

#include <stddef.h>

#include "../mp3_uapi.h"

#define COMM_SIZE sizeof(((struct mp3_record *)0)->comm)

/* Longest escaped name, with its NUL. */
#define NAME_SIZE (4 * COMM_SIZE)

void name_escape(char text[NAME_SIZE], const char comm[COMM_SIZE]);
void name_escape_word(char text[NAME_SIZE], const char comm[COMM_SIZE]);
char *text_escape(const char *name, const char *special);
void text_unescape(char *text);
char *text_original(const char *escaped);
char *text_label(const char *name);

/* Bytes of the longest number, its NUL included. */
#define NUMBER_SIZE 21

size_t number_text(char *text, __u64 number);
__attribute__((format(printf, 1, 2)))
char *text_format(const char *format, ...);

#endif /* MP3_TOOLS_NAME_H */
