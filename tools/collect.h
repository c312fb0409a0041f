/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Collecting what a capture publishes, for mp3ctl where and record: its records and
 * located faults are recorded as they come, and the faults added up.
 */
#ifndef MP3_TOOLS_COLLECT_H
#define MP3_TOOLS_COLLECT_H

#include "session.h"
#include "targets.h"
#include "where_report.h"

/* Callers that --stacks requests: as many as the module records. */
#define MAX_CALLERS (MP3_FRAMES - 1)

/**
 * struct collect - what to collect
 * @every:     one minor fault in this many is located, a power of two; 0: none
 * @callers:   how many callers are recorded with each
 * @output:    recording to create, or NULL
 * @keeps_old: a file that has the name of the recording is renamed first
 * @report:    of where; NULL: print a line about the recording, for record
 */
struct collect {
	unsigned int every;
	unsigned int callers;
	const char *output;
	bool keeps_old;
	const struct where_report *report;
};

int collect_command(const struct collect *options, struct session *session,
		    char **argv);
int collect_processes(const struct collect *options, struct session *session,
		      const struct targets *targets, char **argv);

#endif /* MP3_TOOLS_COLLECT_H */
