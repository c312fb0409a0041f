/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A command in a child process, for userapp and mp3ctl run.
 */
#ifndef MP3_TOOLS_COMMAND_H
#define MP3_TOOLS_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

#include <linux/types.h>

/**
 * struct startup - what the child reports, in memory shared with the parent
 * @prepared: it is about to become the command
 * @error:    why it failed, a negative errno, or 0
 */
struct startup {
	bool prepared;
	int error;
};

/**
 * struct command - a command and its process
 * @argv:	its words, ends with NULL
 * @pid:	its process; a zombie from its exit to command_finish()
 * @signals:	signalfd of SIGCHLD, and of the signals of users
 * @exited:	it has exited
 * @status:	exit status, or 128 plus the signal that killed it
 * @end_ns:	when it exited, see initial_monotonic_ns()
 * @maxrss_bytes: largest resident memory of itself or of a descendant that was waited
 *		for, as wait4(2) reports it
 * @startup:	filled by the child
 */
struct command {
	char **argv;
	pid_t pid;
	int signals;
	bool exited;
	int status;
	__u64 end_ns;
	__u64 maxrss_bytes;
	struct startup *startup;
};

void *shared_memory(size_t size);

void command_start(struct command *command, char **argv,
		   int (*prepare)(void *data), void *data);
void command_handle_signals(struct command *command);
void command_ignore_children(struct command *command);
void command_wait(struct command *command);
bool command_failed(struct command *command, const char *path);
int command_finish(struct command *command);
bool command_interrupted(void);

#endif /* MP3_TOOLS_COMMAND_H */
