/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Following a capture or a ring: passes over what was published, and waiting in
 * between.
 *
 *	live_start(&live, &options, true);
 *	do {
 *		live_begin_pass(&live);
 *		while (live_next(&live, &entry))
 *			...
 *	} while (!live_is_over(&live) && live_wait(&live, &wait));
 *	live_finish(&live);
 */
#ifndef MP3_TOOLS_LIVE_H
#define MP3_TOOLS_LIVE_H

#include <signal.h>

#include "options.h"
#include "select.h"
#include "source.h"

/**
 * struct live - a capture or a ring that is followed
 * @source:	the capture or ring
 * @selection:	processes of the capture; unused with a ring
 * @signals:	signalfd of the signals that end the command
 * @mask:	signal mask that the command was started with
 * @until_idle: end when nothing is registered
 * @until_ns:	end at this time; MP3_NEVER: do not
 * @start_head:	head of the ring at the start
 * @was_active:	something was registered or published since the start
 * @is_idle:	in this pass: nothing is registered, but has been
 * @now_ns:	time at the start of this pass
 * @end:	number of the first entry after this pass
 *
 * Times are CLOCK_MONOTONIC of the initial time namespace.
 */
struct live {
	struct source source;
	struct selection selection;
	int signals;
	sigset_t mask;
	bool until_idle;
	__u64 until_ns;
	__u64 start_head;
	bool was_active;
	bool is_idle;
	__u64 now_ns;
	__u64 end;
};

/**
 * struct wait - what ends a wait, in addition to new entries and signals
 * @until_ns:	  a time; MP3_NEVER: none
 * @input_fd:	  a file that becomes readable, which ends the command if it
 *		  fails; -1: none
 * @watch_output: end the command when the reader of standard output closes it
 */
struct wait {
	__u64 until_ns;
	int input_fd;
	bool watch_output;
};

int catch_signals(sigset_t *mask);

void live_start(struct live *live, const struct ring_options *options,
		bool records);
void live_begin_pass(struct live *live);
bool live_next(struct live *live, struct entry *entry);
bool live_is_over(const struct live *live);
bool live_wait(const struct live *live, const struct wait *wait);
void live_take_signal(const struct live *live);
void live_finish(struct live *live);

#endif /* MP3_TOOLS_LIVE_H */
