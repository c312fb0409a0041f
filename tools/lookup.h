/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions and lines of code addresses, looked up in a child process with limited
 * memory and time. Any user can own a profiled program, and what it contains can have
 * elfutils, or the demangler of C++, take any amount of memory, crash, or never return:
 * that costs the names of its functions, and nothing else.
 */
#ifndef MP3_TOOLS_LOOKUP_H
#define MP3_TOOLS_LOOKUP_H

#include "symbols.h"

void lookup_symbol(const struct mp3_file *file, __u64 offset,
		   struct symbol *symbol);

#endif /* MP3_TOOLS_LOOKUP_H */
