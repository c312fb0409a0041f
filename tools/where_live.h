/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Collecting the faults of a capture for mp3ctl where: they are added up as they
 * come, and recorded if requested.
 */
#ifndef MP3_TOOLS_WHERE_LIVE_H
#define MP3_TOOLS_WHERE_LIVE_H

#include "session.h"
#include "where_report.h"

/**
 * struct where_live - how to locate faults
 * @every:	one minor fault in this many, a power of two
 * @callers:	how many callers are recorded
 * @output:	recording to create, or NULL
 * @is_command: a command is started; else, processes are running already
 */
struct where_live {
	unsigned int every;
	unsigned int callers;
	const char *output;
	bool is_command;
};

void where_open(const struct where_live *live, struct session *session,
		char **words);
bool where_finish(struct session *session, const struct where_report *report);
void where_cancel(struct session *session);

#endif /* MP3_TOOLS_WHERE_LIVE_H */
