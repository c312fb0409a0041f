// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lookup.h"
#include "name.h"
#include "util.h"

/*
 * Limits of the child: memory in addition to what this process has, and the time of
 * one look-up. The first one of a large program takes seconds, and can wait for
 * debuginfod.
 */
#define MAX_BYTES	(4ULL << 30)
#define MAX_CPU_SECONDS	10
#define MAX_SECONDS	120

/**
 * struct request - a look-up
 * @file:   the file
 * @offset: of the code in it
 */
struct request {
	struct mp3_file file;
	__u64 offset;
};

/**
 * struct reply - its result; longer names are cut
 * @is_known: names of the file can be found
 * @line:     as in struct symbol
 * @function: likewise, or empty
 * @source:   likewise, or empty
 */
struct reply {
	bool is_known;
	unsigned int line;
	char function[16384];
	char source[4096];
};

static pid_t child;		/* 0: none */
static int channel;		/* to the child */
static int signals = -1;	/* signalfd of those that stop it */
static bool stopped;		/* nothing is looked up from now on */
static bool lost[MP3_FILES];	/* files of which nothing can be found */

/* ---- The child ---- */

/* Sets a soft limit, which cannot exceed the hard one. */
static void set_limit(int resource, rlim_t wanted)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(resource, &limit);
}

/* Returns the bytes of the address space of this process that are in use. */
static rlim_t used_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	fclose(file);

	return (rlim_t)pages * (rlim_t)getpagesize();
}

/* Limits the memory: at most half of the machine's, and none that others need. */
static void limit_memory(void)
{
	rlim_t half = (rlim_t)sysconf(_SC_PHYS_PAGES) / 2 *
		      (rlim_t)getpagesize();
	FILE *file = fopen("/proc/self/oom_score_adj", "we");

	if (file) {
		fputs("1000", file);
		fclose(file);
	}
	set_limit(RLIMIT_AS, used_bytes() + (half < MAX_BYTES ? half : MAX_BYTES));
	set_limit(RLIMIT_CORE, 0);
}

/* Ends without what exit(3) does: the buffers of files are those of the parent, too. */
static void leave(void)
{
	_exit(1);
}

/* Looks up what is requested, until the parent has closed the socket. */
static void serve(int fd)
{
	static struct request request;
	static struct reply reply;
	struct symbol symbol;

	atexit(leave);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	limit_memory();
	while (recv(fd, &request, sizeof(request), 0) == sizeof(request)) {
		set_limit(RLIMIT_CPU, clock_ns(CLOCK_PROCESS_CPUTIME_ID) /
					      NSEC_PER_SEC + MAX_CPU_SECONDS);
		reply.is_known = symbols_find(&request.file, request.offset,
					      &symbol);
		reply.line = symbol.line;
		snprintf(reply.function, sizeof(reply.function), "%s",
			 symbol.function ? symbol.function : "");
		snprintf(reply.source, sizeof(reply.source), "%s",
			 symbol.source ? symbol.source : "");
		free(symbol.function);
		free(symbol.source);
		if (send(fd, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

/* ---- The parent ---- */

/* Starts the child. Returns false, with errno, if that is impossible. */
static bool start_child(void)
{
	sigset_t mask;
	int fds[2];

	termination_signals(&mask);
	sigaddset(&mask, SIGQUIT);
	if (signals < 0)
		signals = signalfd(-1, &mask, SFD_CLOEXEC);
	if (signals < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return false;
	child = fork();
	if (!child) {
		close(fds[0]);
		serve(fds[1]);
	}
	close(fds[1]);
	channel = fds[0];
	if (child < 0)
		close(channel);

	return child > 0;
}

/* Ends the child, without waiting: it can be in a system call that never returns. */
static void end_child(void)
{
	kill(child, SIGKILL);
	close(channel);
	waitpid(child, NULL, WNOHANG);
	child = 0;
}

/*
 * Has the child look up a file. Returns false if there is no reply, after one line, or
 * because of a signal of the user, which stays pending. A signal that is not blocked
 * ends this process instead, and with it the child.
 */
static bool ask(const struct request *request, struct reply *reply)
{
	struct pollfd fds[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = channel, .events = POLLIN },
	};
	char *name;

	send(channel, request, sizeof(*request), MSG_NOSIGNAL);
	poll(fds, 2, MAX_SECONDS * 1000);
	if (!fds[0].revents &&
	    recv(channel, reply, sizeof(*reply), MSG_DONTWAIT) == sizeof(*reply))
		return true;

	end_child();
	stopped = fds[0].revents;
	if (!stopped) {
		name = text_escape(request->file.path, "");
		warnx("%s: its functions are unknown: finding them takes too much time or memory",
		      name);
		free(name);
	}

	return false;
}

/* Returns a copy of a name, or NULL if it is empty. Exits if there is no memory. */
static char *copy_name(const char *name)
{
	return name[0] ? text_format("%s", name) : NULL;
}

/**
 * lookup_symbol() - find the function and the line of a code address
 * @file:   the file
 * @offset: of the code in it
 * @symbol: filled; with zeros if nothing is known
 *
 * Prints a line the first time that nothing of a file can be found. After a pending
 * signal of the user, finds nothing, at once. Exits if there is no memory.
 */
void lookup_symbol(const struct mp3_file *file, __u64 offset,
		   struct symbol *symbol)
{
	const struct request request = { *file, offset };
	static struct reply reply;

	*symbol = (struct symbol){};
	if (stopped || lost[file->number - 1] || !symbols_supported())
		return;
	if (!child && !start_child()) {
		warn("no functions are looked up");
		stopped = true;
		return;
	}
	if (!ask(&request, &reply) || !reply.is_known) {
		lost[file->number - 1] = true;
		return;
	}
	symbol->function = copy_name(reply.function);
	symbol->source = copy_name(reply.source);
	symbol->line = reply.line;
}
