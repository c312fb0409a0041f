/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Profiling running processes, for mp3ctl attach, record and where.
 */
#ifndef MP3_TOOLS_TARGETS_H
#define MP3_TOOLS_TARGETS_H

#include "session.h"

int open_termination_signals(void);
void add_target_pid(pid_t **pids, size_t *nr_pids, const char *text);
void session_attach(struct session *session, const pid_t *pids, size_t nr_pids);
void session_attach_all(struct session *session);
void session_wait_for_targets(struct session *session);

#endif /* MP3_TOOLS_TARGETS_H */
