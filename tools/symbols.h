/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions and source lines of code addresses, found with elfutils: in the file
 * itself or in its debug information, which can be in a file of its own, named by
 * a debug link or a build id, or cached by debuginfod. Without elfutils, nothing is
 * found. Programs of any user are looked up in a child process: see lookup.h.
 */
#ifndef MP3_TOOLS_SYMBOLS_H
#define MP3_TOOLS_SYMBOLS_H

#include <stdbool.h>

#include "../mp3_uapi.h"

/**
 * struct symbol - where a code address is
 * @function: the function, demangled. If it has no symbol, "~SYMBOL+0xOFFSET": the
 *	      dynamic symbol before it, and how far after that the function starts,
 *	      if that is known; or "FILE+0xOFFSET" if there is no symbol: the offset
 *	      of the function in the file. NULL if unknown. To be freed
 * @source:   the source file, or NULL. To be freed
 * @line:     line in it, or 0
 */
struct symbol {
	char *function;
	char *source;
	unsigned int line;
};

bool symbols_supported(void);
bool symbols_find(const struct mp3_file *file, __u64 offset,
		  struct symbol *symbol);

#endif /* MP3_TOOLS_SYMBOLS_H */
