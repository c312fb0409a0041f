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
 * needs no change to be profiled: userapp forks, the child takes steps 1 and 2 in
 * register_self() and then becomes the command, since exec changes the program of
 * a process, but not its id. monitor prints the samples.
 */
#include <err.h>
#include <getopt.h>
#include <sys/resource.h>

#include "mp3_client.h"
#include "tools/command.h"
#include "tools/proc.h"
#include "tools/util.h"

static const char help[] =
	"usage: userapp [COMMAND [ARGUMENT]...]\n"
	"Runs a command while mp3 profiles it, and reports its page faults and CPU time\n"
	"to standard error. Without a command, demonstrates how a process registers\n"
	"itself. mp3ctl run and attach can do more.\n"
	"\n"
	"  -h, --help      show this help\n"
	"  -V, --version   show the version\n";

/* ---- Running a command ---- */

/**
 * struct registration - what the child reports, in memory shared with the parent
 * @start_ns: when it was registered, see initial_monotonic_ns()
 * @base:     what it had done until then
 */
struct registration {
	__u64 start_ns;
	struct counts base;
};

/*
 * Fills what the process has done until now. Takes the faults first: the module
 * counts those of the later calls, so they belong to the command.
 */
static void take_base(struct registration *registration)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	registration->base.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	registration->start_ns = initial_monotonic_ns();
	registration->base.min_flt = (__u64)usage.ru_minflt;
	registration->base.maj_flt = (__u64)usage.ru_majflt;
}

/*
 * Registers the calling process, and checks that it is listed: steps 1 and 2.
 * Returns 0 or a negative errno.
 */
static int register_self(void *data)
{
	struct registration *registration = data;
	int error;

	/*
	 * The module takes its base in the call that registers, this function
	 * takes its own after it, and no page may fault in between. So touch
	 * all pages that both need, with a command that the module refuses.
	 */
	mp3_command('R', 0);
	take_base(registration);

	error = mp3_register(getpid());
	take_base(registration);
	if (error)
		return error;

	error = mp3_registered(getpid());
	return error == 1 ? 0 : error ? error : -ESRCH;
}

/*
 * Returns how many samples were published since number @from, up to the one with
 * the last counts of @pid, which has exited. Each tick collects first and
 * publishes then. Of three samples, the first may have been published before this
 * function was called, and the second may have been collected before the process
 * exited; the third was not.
 */
static __u64 count_samples(const struct mp3_reader *reader, pid_t pid,
			   __u64 from)
{
	__u64 interval_ms = reader->header->interval_ns / 1000000;
	int i;

	for (i = 0; i < 3 && mp3_registered(pid) == 1; i++)
		mp3_reader_wait(reader, (int)(2 * interval_ms + 1000));

	return mp3_reader_head(reader) - from;
}

/*
 * Prints what the command has cost since its registration, by the counts that
 * proc(5) reports until it is reaped. Returns whether they could be read.
 */
static bool report(const struct command *command,
		   const struct registration *registration)
{
	const struct counts *base = &registration->base;
	struct counts counts;

	if (!read_counts(command->pid, &counts)) {
		warnx("/proc does not show the counts of process %d (see hidepid in proc(5))",
		      command->pid);
		return false;
	}
	fprintf(stderr, "minor faults  %llu\n",
		(unsigned long long)(counts.min_flt - base->min_flt));
	fprintf(stderr, "major faults  %llu\n",
		(unsigned long long)(counts.maj_flt - base->maj_flt));
	fprintf(stderr, "CPU           %.6f s\n",
		(double)(counts.cpu_ns - base->cpu_ns) / 1e9);
	fprintf(stderr, "elapsed       %.3f s\n",
		(double)(command->end_ns - registration->start_ns) / 1e9);

	return true;
}

/* Runs a command. Returns the exit status: that of the command. */
static int run_command(char **argv)
{
	struct registration *registration = shared_memory(sizeof(*registration));
	struct mp3_reader samples;
	struct command command;
	int error = mp3_reader_open(&samples, MP3_DEVICE_PATH, false);
	__u64 head = error ? 0 : mp3_reader_head(&samples);

	/* Reads the offset of the time namespace; take_base() must not fault. */
	initial_monotonic_ns();
	command_start(&command, argv, register_self, registration);
	command_wait(&command);
	if (command_failed(&command, MP3_STATUS_PATH))
		return command_finish(&command);

	if (!report(&command, registration))
		command.status += !command.status;
	else if (error)
		fprintf(stderr, "samples       - %s: %s\n", MP3_DEVICE_PATH,
			mp3_strerror(error));
	else
		fprintf(stderr, "samples       %llu\n", (unsigned long long)
			count_samples(&samples, command.pid, head));
	mp3_reader_close(&samples);

	return command_finish(&command);
}

/* ---- The demonstration ---- */

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
