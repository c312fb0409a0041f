/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the fuzz target of recordings share. */
#ifndef MP3_FUZZ_PARSER_RECORDINGS_H
#define MP3_FUZZ_PARSER_RECORDINGS_H

#include <stdio.h>
#include <stdlib.h>

#include <linux/types.h>

/* Abort unless @condition holds. */
#define require(condition) do { \
	if (!(condition)) { \
		fprintf(stderr, "%s(): %s does not hold\n", __func__, \
			#condition); \
		abort(); \
	} \
} while (0)

void check_text(char *text, size_t size);
void play_recording(const char *path, __u64 interval_ns);

#endif /* MP3_FUZZ_PARSER_RECORDINGS_H */
