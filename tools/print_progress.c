// SPDX-License-Identifier: GPL-2.0
#include <unistd.h>

#include "print_progress.h"
#include "progress.h"

/* Shows the progress of reading @path, unless the terminal gets the output. */
void print_progress(const char *path, double done)
{
	if (!isatty(STDOUT_FILENO))
		progress(path, done);
}
