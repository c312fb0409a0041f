/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Profiling running processes, for mp3ctl attach, record and where.
 */
#ifndef MP3_TOOLS_TARGETS_H
#define MP3_TOOLS_TARGETS_H

#include "session.h"

/**
 * struct targets - running processes to profile
 * @all:  -a: all of the machine
 * @pids: those of -p
 * @nr:	  how many
 */
struct targets {
	bool all;
	pid_t *pids;
	size_t nr;
};

int open_termination_signals(void);
bool targets_option(struct targets *targets, int option);
bool targets_check(const struct targets *targets,
		   const struct session *session);
void session_attach(struct session *session, const struct targets *targets);
void session_wait_for_targets(struct session *session);
void start_alongside(struct command *command, char **argv);

#endif /* MP3_TOOLS_TARGETS_H */
