/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The report of mp3ctl diff: two sides, metric by metric.
 */
#ifndef MP3_TOOLS_COMPARE_H
#define MP3_TOOLS_COMPARE_H

#include "summary.h"

/* A difference with a larger p value may be chance. */
#define SIGNIFICANT 0.05

/**
 * struct side - what is compared with another one
 * @title:     one line of text that describes it
 * @words:     the command, ends with NULL; or NULL
 * @recording: path of the recording, or NULL
 * @names:     by the names of processes, and the total
 * @functions: by functions; without rows if no fault was located
 * @losses:    what is missing
 */
struct side {
	char *title;
	char **words;
	const char *recording;
	struct summary names;
	struct summary functions;
	struct losses losses;
};

/**
 * struct compare - what to print, and where
 * @file:    where to print
 * @nr_rows: rows of each table
 * @color:   mark rows by colors, too
 */
struct compare {
	FILE *file;
	size_t nr_rows;
	bool color;
};

void compare_print(const struct compare *compare, const struct side sides[2]);
void compare_emit(struct emitter *emitter, const struct side sides[2]);

#endif /* MP3_TOOLS_COMPARE_H */
