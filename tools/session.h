/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What mp3ctl run, attach and where share: their options, and a capture of
 * processes until they have exited. All that is registered ends with the capture, whatever
 * ends the tool.
 */
#ifndef MP3_TOOLS_SESSION_H
#define MP3_TOOLS_SESSION_H

#include "../mp3_client.h"
#include "command.h"
#include "limit.h"
#include "options.h"
#include "report.h"
#include "table.h"

struct session;

/* The options of run and attach: their letters, those to repeat, and help */
#define SESSION_LETTERS "fhn:o:qV"
#define SESSION_REPEATABLE "l"
#define SESSION_HELP \
	"      --by WHAT       sum up by name, user or cgroup, or show the tree\n" \
	"      --csv           write the report as csv, a line per row\n" \
	"  -f, --follow        profile descendants, too (the default)\n" \
	"      --json          write the report as JSON\n" \
	"      --limit LIMIT   exit with status 3 if the total exceeds it; repeatable:\n" \
	"                      minor=N, major=N, cpu=TIME, time=TIME, stall=TIME, rss=SIZE\n" \
	"      --no-follow     do not profile descendants\n" \
	"  -n, --rows N        show the N rows with most faults (default 10)\n" \
	"  -o, --output FILE   write the report to a file\n" \
	"  -q, --quiet         write no report\n" \
	"      --stall         locate faults, and report how long they stall the program\n" \
	"  -h, --help          show this help\n" \
	"  -V, --version       show the version\n"

enum {
	OPT_BY = OPT_OWN,
	OPT_EMIT_CSV,
	OPT_EMIT_JSON,
	OPT_STALL,
	OPT_NO_FOLLOW,
	/* A letter, since it can be given more than once */
	OPT_LIMIT = 'l',
};

/**
 * struct target - a process whose exit ends the session
 * @pid:    its process id
 * @pidfd:  to poll for its exit; -1 if there is none, and after the exit
 * @exited: it has exited
 */
struct target {
	pid_t pid;
	int pidfd;
	bool exited;
};

/**
 * struct session_observer - functions that are called whenever records are read
 * @before: before the first one
 * @record: with each record
 * @after:  after the last one; also if there is none
 */
struct session_observer {
	void (*before)(struct session *session);
	void (*record)(struct session *session,
		       const struct mp3_record *record);
	void (*after)(struct session *session);
};

/**
 * struct session - a capture, and what its records contain
 * @no_follow:	--no-follow: the targets' descendants are not profiled
 * @output:	-o, or NULL
 * @format:	--json or --csv
 * @quiet:	-q
 * @limits:	--limit
 * @report:	what to print; start_ns and end_ns are set by the caller
 * @targets:	the processes
 * @nr_targets:	how many
 * @signals:	signalfd to poll, or -1
 * @capture:	the capture
 * @table:	built from its records
 * @observer:	what else is done with the records, or NULL
 * @timeout_ns: how long a command may run, or 0
 * @timed_out:	it has run for longer
 * @kill_ns:	if so, when what is left is killed
 */
struct session {
	bool no_follow;
	const char *output;
	enum emit_format format;
	bool quiet;
	struct limits limits;
	struct report report;
	struct target *targets;
	size_t nr_targets;
	int signals;
	struct mp3_reader capture;
	struct table table;
	const struct session_observer *observer;
	__u64 timeout_ns;
	bool timed_out;
	__u64 kill_ns;
};

void session_init(struct session *session);
void session_option(struct session *session, int option, const char *help);
void session_check_options(const struct session *session);

void session_open(struct session *session);
void session_open_output(struct session *session);
void session_open_capture(struct session *session);
int session_register(struct session *session, pid_t pid);
void session_add_target(struct session *session, pid_t pid);
bool session_wait(struct session *session);
bool session_is_interrupted(const struct session *session);
bool session_is_empty(const struct session *session);
void session_start_command(struct session *session, struct command *command,
			   char **argv);
void session_run_command(struct session *session, struct command *command);
void session_collect(struct session *session);
void session_stop(struct session *session);
bool session_print(struct session *session, char **words, int status);
bool session_close_output(struct session *session);
bool session_check_limits(const struct session *session,
			  const double values[NR_METRICS]);
int session_finish(struct session *session, char **words, int status);

#endif /* MP3_TOOLS_SESSION_H */
