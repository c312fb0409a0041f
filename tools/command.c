// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "../mp3_client.h"
#include "command.h"
#include "util.h"

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

	startup->error = prepare(data);
	if (startup->error)
		return;
	startup->prepared = true;
	execvp(command->argv[0], command->argv);
	startup->error = -errno;
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
 * command_handle_signals(). The signals of the keyboard are ignored: the command
 * receives its own.
 */
void command_start(struct command *command, char **argv,
		   int (*prepare)(void *data), void *data)
{
	sigset_t signals, mask;

	*command = (struct command){
		.argv = argv,
		.startup = shared_memory(sizeof(*command->startup)),
	};

	/* If SIGCHLD was ignored, the kernel would reap the command. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	if (!ignores_hangup())
		sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, &mask);
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
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
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
	siginfo_t info;

	while (!command->exited) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) ||
		    !info.si_pid)
			return;
		if (info.si_pid != command->pid) {
			waitpid(info.si_pid, NULL, 0);
			continue;
		}
		/* It is not reaped yet: it keeps its counts and its number. */
		command->exited = true;
		command->end_ns = initial_monotonic_ns();
		command->status = info.si_status;
		if (info.si_code != CLD_EXITED)
			command->status += 128;
	}
}

/* Handles the signals that @command->signals has received, without blocking. */
void command_handle_signals(struct command *command)
{
	struct signalfd_siginfo info;

	while (read(command->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			forward_signal(command, (int)info.ssi_signo);
	reap(command);
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

/*
 * Returns whether the command could not be started. If so, prints one line and
 * sets the exit status; @path names what @prepare has failed for. The command
 * must have exited.
 */
bool command_failed(struct command *command, const char *path)
{
	const struct startup *startup = command->startup;

	if (startup->error && startup->prepared) {
		warnx("%s: %s", command->argv[0], strerror(-startup->error));
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

	return command->status;
}
