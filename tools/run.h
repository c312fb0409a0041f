/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Running a command in a session, for run and diff.
 */
#ifndef MP3_TOOLS_RUN_H
#define MP3_TOOLS_RUN_H

#include "session.h"
#include "summary.h"

/**
 * struct runs - several runs of a command
 * @words:    the command, ends with NULL
 * @summary:  what they have cost
 * @losses:   the sums of what is missing
 * @status:   of the last one that has failed, or 0
 * @stopped:  the command could not be started
 */
struct runs {
	char **words;
	struct summary summary;
	struct losses losses;
	int status;
	bool stopped;
};

void runs_init(struct runs *runs, char **words, bool located);
void runs_add(struct runs *runs, struct session *session);

#endif /* MP3_TOOLS_RUN_H */
