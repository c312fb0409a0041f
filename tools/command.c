// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "command.h"
#include "util.h"

/* ---- The child ---- */

/*
 * Fills what the process has done until now. Takes the faults first: the module
 * counts those of the later calls, so they belong to the command.
 */
static void take_base(struct startup *startup)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	startup->base.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	startup->start_ns = initial_monotonic_ns();
	startup->base.min_flt = (__u64)usage.ru_minflt;
	startup->base.maj_flt = (__u64)usage.ru_majflt;
}

/* Registers the calling process and becomes the command. Returns on failure. */
static void become(struct startup *startup, char **argv, char letter)
{
	/*
	 * The module takes its base in the call that registers, this function
	 * takes its own after it, and no page may fault in between. So touch
	 * all pages that both need, with a command that the module refuses.
	 */
	mp3_command(letter, 0);
	take_base(startup);

	startup->stage = STAGE_REGISTER;
	startup->error = mp3_command(letter, getpid());
	take_base(startup);
	if (startup->error)
		return;

	startup->stage = STAGE_CHECK;
	startup->error = mp3_registered(getpid());
	if (startup->error != 1) {
		startup->error = startup->error ? startup->error : -ESRCH;
		return;
	}

	startup->stage = STAGE_EXEC;
	startup->error = 0;
	execvp(argv[0], argv);
	startup->error = -errno;
}

/* ---- The parent ---- */

/**
 * command_start() - start a command as a registered process
 * @command: filled
 * @argv:    words of the command, ends with NULL
 * @letter:  command to the module, R or F
 *
 * From here on, SIGTERM and SIGHUP are forwarded to the command by
 * command_handle_signals(). The signals of the keyboard are ignored: the command
 * receives its own.
 */
void command_start(struct command *command, char **argv, char letter)
{
	sigset_t signals, mask;

	*command = (struct command){ .argv = argv };
	command->startup = mmap(NULL, sizeof(*command->startup),
				PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (command->startup == MAP_FAILED)
		err(1, "mmap");
	command->samples_error = mp3_reader_open(&command->samples,
						 MP3_DEVICE_PATH, false);
	if (!command->samples_error)
		command->head = mp3_reader_head(&command->samples);

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
	/* Reads the offset of the time namespace; take_base() must not fault. */
	initial_monotonic_ns();

	command->pid = fork();
	if (command->pid < 0)
		err(1, "fork");
	if (!command->pid) {
		sigprocmask(SIG_SETMASK, &mask, NULL);
		become(command->startup, argv, letter);
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

/* Reaps orphans, and notes whether the command has exited. */
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
 * sets the exit status. The command must have exited.
 */
bool command_failed(struct command *command)
{
	const struct startup *startup = command->startup;

	if (startup->error && startup->stage == STAGE_EXEC) {
		warnx("%s: %s", command->argv[0], strerror(-startup->error));
		command->status = startup->error == -ENOENT ? 127 : 126;
	} else if (startup->error == -ESRCH && startup->stage == STAGE_CHECK) {
		warnx("%s: does not list the registered process",
		      MP3_STATUS_PATH);
		command->status = 1;
	} else if (startup->error) {
		warnx("%s: %s", MP3_STATUS_PATH, mp3_strerror(startup->error));
		command->status = 1;
	}

	return startup->error || startup->stage != STAGE_EXEC;
}

/*
 * Waits until the module has collected the last counts of the command, which
 * has exited. Each tick collects first and publishes then. Of three samples, the
 * first may have been published before this function was called, and the second
 * may have been collected before the command exited; the third was not.
 */
static void wait_collected(const struct command *command)
{
	const struct mp3_reader *reader = &command->samples;
	__u64 interval_ms = reader->header->interval_ns / 1000000;
	int i;

	for (i = 0; i < 3 && mp3_registered(command->pid) == 1; i++)
		mp3_reader_wait(reader, (int)(2 * interval_ms + 1000));
}

/*
 * Prints what a process has done since @base. Returns whether it makes sense:
 * counts never decrease.
 */
bool print_counts(const struct counts *base, const struct counts *counts,
		  __u64 elapsed_ns)
{
	if (counts->min_flt < base->min_flt ||
	    counts->maj_flt < base->maj_flt || counts->cpu_ns < base->cpu_ns)
		return false;
	fprintf(stderr, "minor faults  %llu\n", (unsigned long long)
		(counts->min_flt - base->min_flt));
	fprintf(stderr, "major faults  %llu\n", (unsigned long long)
		(counts->maj_flt - base->maj_flt));
	fprintf(stderr, "CPU           %.6f s\n",
		(double)(counts->cpu_ns - base->cpu_ns) / 1e9);
	fprintf(stderr, "elapsed       %.3f s\n", (double)elapsed_ns / 1e9);

	return true;
}

/*
 * Prints what the command has cost, by the counts that proc(5) reports. If they
 * cannot be read, prints one line and turns a status of 0 into 1. The command
 * must have exited.
 */
void command_report(struct command *command)
{
	const struct startup *startup = command->startup;
	struct counts counts;

	if (!read_counts(command->pid, &counts) ||
	    !print_counts(&startup->base, &counts,
			  command->end_ns - startup->start_ns)) {
		warnx("/proc does not show the counts of process %d (see hidepid in proc(5))",
		      command->pid);
		command->status += !command->status;
		return;
	}
	if (command->samples_error) {
		fprintf(stderr, "samples       - %s: %s\n", MP3_DEVICE_PATH,
			mp3_strerror(command->samples_error));
		return;
	}
	wait_collected(command);
	fprintf(stderr, "samples       %llu\n", (unsigned long long)
		(mp3_reader_head(&command->samples) - command->head));
}

/* Reaps the command. Returns the status to exit with. */
int command_finish(struct command *command)
{
	mp3_reader_close(&command->samples);
	waitpid(command->pid, NULL, 0);

	return command->status;
}
