/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The time for which faults stall each process of a session.
 */
#ifndef MP3_TOOLS_STALL_H
#define MP3_TOOLS_STALL_H

#include "session.h"

void stall_open(struct session *session);
void stall_stop(struct session *session);
void stall_close(struct session *session);

#endif /* MP3_TOOLS_STALL_H */
