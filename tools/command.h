/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A command that runs as a registered process, for userapp and mp3ctl run.
 */
#ifndef MP3_TOOLS_COMMAND_H
#define MP3_TOOLS_COMMAND_H

#include "../mp3_client.h"
#include "proc.h"

/**
 * enum stage - how far the child has come
 * @STAGE_REGISTER: it registers itself
 * @STAGE_CHECK:    it checks that the status file lists it
 * @STAGE_EXEC:	    it becomes the command
 */
enum stage {
	STAGE_REGISTER,
	STAGE_CHECK,
	STAGE_EXEC,
};

/**
 * struct startup - what the child reports, in memory shared with the parent
 * @stage:    how far it has come
 * @error:    why it failed there, a negative errno, or 0
 * @start_ns: when it was registered, see initial_monotonic_ns()
 * @base:     what it had done until then
 */
struct startup {
	enum stage stage;
	int error;
	__u64 start_ns;
	struct counts base;
};

/**
 * struct command - a command and its process
 * @argv:	its words, ends with NULL
 * @pid:	its process; a zombie from its exit to command_finish()
 * @signals:	signalfd of SIGCHLD and the signals to forward
 * @exited:	it has exited
 * @status:	exit status, or 128 plus the signal that killed it
 * @end_ns:	when it exited, see initial_monotonic_ns()
 * @startup:	filled by the child
 * @samples:	the ring of samples, open if @samples_error is 0
 * @samples_error: why the ring cannot be read, a negative errno
 * @head:	head of the ring before the command was started
 */
struct command {
	char **argv;
	pid_t pid;
	int signals;
	bool exited;
	int status;
	__u64 end_ns;
	struct startup *startup;
	struct mp3_reader samples;
	int samples_error;
	__u64 head;
};

void command_start(struct command *command, char **argv, char letter);
void command_handle_signals(struct command *command);
void command_wait(struct command *command);
bool command_failed(struct command *command);
void command_report(struct command *command);
int command_finish(struct command *command);

bool print_counts(const struct counts *base, const struct counts *counts,
		  __u64 elapsed_ns);

#endif /* MP3_TOOLS_COMMAND_H */
