// SPDX-License-Identifier: GPL-2.0
/*
 * userapp: runs a command while mp3 profiles it, and reports its cost. Without a
 * command, demonstrates step by step how a process registers itself.
 *
 * The protocol is three steps, and any process can take them:
 *
 *	1. write "R,<pid>" to /proc/mp3/status: mp3 profiles the process
 *	2. read /proc/mp3/status: it lists the registered processes
 *	3. write "U,<pid>", or exit: mp3 no longer profiles it
 *
 * demonstrate() below takes them with the functions of mp3_client.h. A command
 * needs no change to be profiled: userapp forks, the child takes steps 1 and 2
 * and then becomes the command (see become() in tools/command.c), since exec
 * changes the program of a process, but not its id. monitor prints the samples.
 */
#include <err.h>
#include <getopt.h>

#include "mp3_client.h"
#include "tools/command.h"
#include "tools/util.h"

static const char help[] =
	"usage: userapp [COMMAND [ARGUMENT]...]\n"
	"Runs a command while mp3 profiles it, and reports its page faults and CPU time\n"
	"to standard error. Without a command, demonstrates how a process registers\n"
	"itself. mp3ctl run and attach can do more.\n"
	"\n"
	"  -h, --help      show this help\n"
	"  -V, --version   show the version\n";

/* Runs a command. Returns the exit status: that of the command. */
static int run_command(char **argv)
{
	struct command command;

	command_start(&command, argv, 'R');
	command_wait(&command);
	if (!command_failed(&command))
		command_report(&command);

	return command_finish(&command);
}

/* Exits if a function of mp3_client.h has failed. */
static void check(int error)
{
	if (error)
		errx(1, "%s: %s", MP3_STATUS_PATH, mp3_strerror(error));
}

/* Returns whether the status file lists a process. Exits if it is unreadable. */
static bool is_listed(pid_t pid)
{
	int found = mp3_registered(pid);

	if (found < 0)
		check(found);
	return found == 1;
}

/* Touches new pages, each of which is a minor fault. Returns how many. */
static size_t touch_pages(void)
{
	const size_t size = 4 << 20, page = (size_t)getpagesize();
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t offset;

	if (memory == MAP_FAILED)
		err(1, "mmap");
	/* A huge page would be one fault. A kernel without them returns EINVAL. */
	madvise(memory, size, MADV_NOHUGEPAGE);
	/* Compilers may omit a plain store, since nothing reads it. */
	for (offset = 0; offset < size; offset += page)
		__atomic_store_n(&memory[offset], 1, __ATOMIC_RELAXED);

	return size / page;
}

/* Registers this process, faults, unregisters it; prints a line for each step. */
static int demonstrate(void)
{
	pid_t pid = getpid();

	check(mp3_register(pid));
	printf("wrote \"R,%d\" to %s: this process is registered\n", pid,
	       MP3_STATUS_PATH);
	if (!is_listed(pid))
		errx(1, "%s: does not list %d", MP3_STATUS_PATH, pid);
	printf("read %s: it lists %d\n", MP3_STATUS_PATH, pid);

	printf("touched %zu new pages: as many minor faults, and a few more\n",
	       touch_pages());

	check(mp3_unregister(pid));
	printf("wrote \"U,%d\": this process is no longer registered\n", pid);
	if (is_listed(pid))
		errx(1, "%s: still lists %d", MP3_STATUS_PATH, pid);
	printf("read %s: it no longer lists %d; monitor prints the samples\n",
	       MP3_STATUS_PATH, pid);

	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};

	atexit(flush_output);
	/* +: the options after the command belong to the command. */
	switch (next_option(argc, argv, "+hV", options, "")) {
	case 'h':
		fputs(help, stdout);
		return 0;
	case 'V':
		puts("userapp (mp3) " MP3_VERSION);
		return 0;
	}

	return argv[optind] ? run_command(argv + optind) : demonstrate();
}
