/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ending a command that takes too long, and what it has started.
 */
#ifndef MP3_TOOLS_TIMEOUT_H
#define MP3_TOOLS_TIMEOUT_H

#include "session.h"

/* Exit status after a time-out, as that of timeout(1) */
#define TIMEOUT_STATUS 124

bool timeout_is_pending(const struct session *session);
void timeout_handle(struct session *session, const struct command *command);

#endif /* MP3_TOOLS_TIMEOUT_H */
