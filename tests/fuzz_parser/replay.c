// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: PROGRAM FILE...
 *
 * Runs a fuzz target once for each file, without a fuzzer. Prints the name of each
 * file before, so that the last one is the cause of a crash.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "libfuzzer.h"

/* Runs the target with the contents of a file. Returns whether it was read. */
static bool replay(const char *path)
{
	FILE *file = fopen(path, "re");
	uint8_t *data;
	long size;
	bool good;

	if (!file)
		return false;
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	/* Of the exact size, so that access beyond it is detected. */
	data = malloc((size_t)size);
	good = fread(data, 1, (size_t)size, file) == (size_t)size;
	fclose(file);
	if (good)
		LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);

	return good;
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		fprintf(stderr, "%s\n", argv[i]);
		if (!replay(argv[i]))
			err(1, "%s", argv[i]);
	}

	return 0;
}
