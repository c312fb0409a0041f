/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What mp3's own tools share, and no part of the interface: that is
 * mp3_client.h.
 */
#ifndef MP3_TOOLS_H
#define MP3_TOOLS_H

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MP3_TOOLS_VERSION "0.1.0"

/* Inode of the initial pid namespace: the kernel's PROC_PID_INIT_INO. */
#define MP3_INITIAL_PID_NAMESPACE 0xeffffffc

/* For atexit(3): what was printed and did not get out is a failure. */
static inline void flush_output(void)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return;
	/* Of a line that failed before, the reason is gone. */
	if (errno)
		warn("standard output");
	else
		warnx("standard output: write error");
	_exit(1);
}

/* Whether process ids here are those of the records. */
static inline bool in_initial_pid_namespace(void)
{
	struct stat stat_ns;

	return !stat("/proc/self/ns/pid", &stat_ns) &&
	       stat_ns.st_ino == MP3_INITIAL_PID_NAMESPACE;
}

/* Started by nohup(1), or as if: then SIGHUP stays without effect. */
static inline bool ignores_hangup(void)
{
	struct sigaction action;

	return !sigaction(SIGHUP, NULL, &action) &&
	       action.sa_handler == SIG_IGN;
}

/* Signals by which a user ends a tool. */
static inline void ending_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	if (!ignores_hangup())
		sigaddset(signals, SIGHUP);
}

#endif /* MP3_TOOLS_H */
