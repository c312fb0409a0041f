// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../mp3_client.h"
#include "command.h"
#include "util.h"

/* A signal of a user has arrived while a command was running. */
static bool interrupted;

/* Returns zeroed memory that is shared with children. Exits if there is none. */
void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	return memory;
}

/* Becomes the command, in the child. Returns on failure. */
static void become(struct command *command, int (*prepare)(void *data),
		   void *data)
{
	struct startup *startup = command->startup;

	/* What @prepare starts to count must not include a fault on this page. */
	*(volatile bool *)&startup->prepared = false;
	startup->error = prepare(data);
	if (startup->error)
		return;
	startup->prepared = true;
	execvp(command->argv[0], command->argv);
	startup->error = -errno;
}

/* Fills @signals with those that a user sends while a command runs. */
static void command_signals(sigset_t *signals)
{
	termination_signals(signals);
	sigaddset(signals, SIGQUIT);
}

/**
 * command_start() - start a command in a child process
 * @command: filled
 * @argv:    words of the command, ends with NULL
 * @prepare: called in the child; the command starts when it returns 0, and does
 *	     not if it returns a negative errno
 * @data:    passed to @prepare
 *
 * From here on, SIGTERM and SIGHUP are forwarded to the command by
 * command_handle_signals(). The signals of the keyboard are only noted: the command
 * receives its own. They stay blocked when it has exited.
 */
void command_start(struct command *command, char **argv,
		   int (*prepare)(void *data), void *data)
{
	static sigset_t mask;
	static bool blocked;
	sigset_t signals;

	*command = (struct command){
		.argv = argv,
		.startup = shared_memory(sizeof(*command->startup)),
	};

	/* If SIGCHLD was ignored, the kernel would reap the command. */
	signal(SIGCHLD, SIG_DFL);
	command_signals(&signals);
	sigaddset(&signals, SIGCHLD);
	/* Each command starts with the mask that this process was started with. */
	sigprocmask(SIG_BLOCK, &signals, blocked ? NULL : &mask);
	blocked = true;
	command->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (command->signals < 0)
		err(1, "signalfd");

	command->pid = fork();
	if (command->pid < 0)
		err(1, "fork");
	if (!command->pid) {
		sigprocmask(SIG_SETMASK, &mask, NULL);
		become(command, prepare, data);
		_exit(1);
	}
}

/* Forwards a signal to the command, or reports why that is impossible. */
static void forward_signal(const struct command *command, int number)
{
	if (!command->exited && kill(command->pid, number))
		warn("%s was not forwarded to process %d",
		     number == SIGTERM ? "SIGTERM" : "SIGHUP", command->pid);
}

/*
 * Notes whether the command has exited. Reaps orphans, which process 1 of a pid
 * namespace has.
 */
static void reap(struct command *command)
{
	struct rusage usage;
	siginfo_t info;

	while (!command->exited) {
		info.si_pid = 0;
		/* waitid(3) has no last argument. */
		if (syscall(SYS_waitid, P_ALL, 0, &info,
			    WEXITED | WNOHANG | WNOWAIT, &usage) ||
		    !info.si_pid)
			return;
		if (info.si_pid != command->pid) {
			waitpid(info.si_pid, NULL, 0);
			continue;
		}
		/* It is not reaped yet: it keeps its counts and its number. */
		command->exited = true;
		command->end_ns = initial_monotonic_ns();
		command->maxrss_bytes = (__u64)usage.ru_maxrss * 1024;
		command->status = info.si_status;
		if (info.si_code != CLD_EXITED)
			command->status += 128;
	}
}

/* Handles the signals that @command->signals has received, without blocking. */
void command_handle_signals(struct command *command)
{
	struct signalfd_siginfo info;

	while (read(command->signals, &info, sizeof(info)) == sizeof(info)) {
		interrupted = interrupted || info.ssi_signo != SIGCHLD;
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGHUP)
			forward_signal(command, (int)info.ssi_signo);
	}
	reap(command);
}

/*
 * Has @command->signals become readable only when a user sends a signal: the exit of
 * an orphan does not. Signals that have ended the command are handled first. The
 * command must have exited.
 */
void command_ignore_children(struct command *command)
{
	sigset_t signals;

	command_handle_signals(command);
	command_signals(&signals);
	if (signalfd(command->signals, &signals, 0) < 0)
		err(1, "signalfd");
}

/* Waits until the command has exited. */
void command_wait(struct command *command)
{
	struct pollfd pollfd = { .fd = command->signals, .events = POLLIN };

	while (!command->exited) {
		poll(&pollfd, 1, -1);
		command_handle_signals(command);
	}
}

/* Returns whether a command is one word, but looks like several. */
static bool is_shell_line(char **argv)
{
	return !argv[1] && strchr(argv[0], ' ');
}

/*
 * Returns whether the command could not be started. If so, prints one line and
 * sets the exit status; @path names what @prepare has failed for. The command
 * must have exited.
 */
bool command_failed(struct command *command, const char *path)
{
	const struct startup *startup = command->startup;

	if (startup->error && startup->prepared) {
		warnx("%s: %s%s", command->argv[0], strerror(-startup->error),
		      is_shell_line(command->argv) ?
		      " (a line for a shell is: sh -c '...')" : "");
		command->status = startup->error == -ENOENT ? 127 : 126;
	} else if (startup->error) {
		warnx("%s: %s", path, mp3_strerror(startup->error));
		command->status = 1;
	}

	return startup->error || !startup->prepared;
}

/* Reaps the command. Returns the status to exit with. */
int command_finish(struct command *command)
{
	waitpid(command->pid, NULL, 0);
	munmap(command->startup, sizeof(*command->startup));
	close(command->signals);

	return command->status;
}

/* Returns whether a user has sent a signal since the first command was started. */
bool command_interrupted(void)
{
	sigset_t pending;

	sigpending(&pending);

	return interrupted || sigismember(&pending, SIGINT) == 1 ||
	       sigismember(&pending, SIGQUIT) == 1 ||
	       sigismember(&pending, SIGTERM) == 1 ||
	       sigismember(&pending, SIGHUP) == 1;
}
