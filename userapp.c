// SPDX-License-Identifier: GPL-2.0
/*
 * userapp: runs a command as a registered process and says what it cost,
 * registers a process that runs already, or shows how registering works.
 */
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "mp3_client.h"

static const char help[] =
	"usage: userapp [command [argument...]]\n"
	"       userapp -p PID\n"
	"Runs a command while mp3 profiles it, and says what it cost. Without one,\n"
	"shows step by step how a process registers itself.\n"
	"\n"
	"  -p, --pid PID   register a process that runs already\n"
	"  -h, --help      show this help\n"
	"  -V, --version   show the version\n";

/**
 * enum stage - how far the child has come
 * @STAGE_START:    it runs
 * @STAGE_REGISTER: it registers itself
 * @STAGE_CHECK:    it looks whether it is listed
 * @STAGE_EXEC:	    it becomes the command
 */
enum stage {
	STAGE_START,
	STAGE_REGISTER,
	STAGE_CHECK,
	STAGE_EXEC,
};

/**
 * struct counts - what a process has done since its first instruction
 * @min_flt: minor faults
 * @maj_flt: major faults
 * @cpu:     CPU time
 */
struct counts {
	unsigned long min_flt;
	unsigned long maj_flt;
	struct timespec cpu;
};

/**
 * struct shared - what the child tells its parent, in memory that both see
 * @stage: how far it has come
 * @error: what went wrong there, a negative errno, or 0
 * @begin: when it was registered
 * @base:  what it had done until then
 */
struct shared {
	enum stage stage;
	int error;
	struct timespec begin;
	struct counts base;
};

static double elapsed(struct timespec from, struct timespec to)
{
	return (double)(to.tv_sec - from.tv_sec) +
	       (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* Faults first: those of the calls behind it are the module's as well. */
static void take_base(struct shared *shared)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &shared->base.cpu);
	clock_gettime(CLOCK_MONOTONIC, &shared->begin);
	shared->base.min_flt = (unsigned long)usage.ru_minflt;
	shared->base.maj_flt = (unsigned long)usage.ru_majflt;
}

/* Registers itself and becomes the command; returns when it could not. */
static void run(struct shared *shared, char **command)
{
	/*
	 * The module takes its base inside the call that registers, we take
	 * ours behind it, and between the two no page may fault: a refused
	 * command first touches all that the true one will.
	 */
	mp3_command('R', 0);
	take_base(shared);

	shared->stage = STAGE_REGISTER;
	shared->error = mp3_register(getpid());
	take_base(shared);
	if (shared->error)
		return;

	shared->stage = STAGE_CHECK;
	shared->error = mp3_registered(getpid());
	if (shared->error != 1) {
		shared->error = shared->error ? shared->error : -ESRCH;
		return;
	}

	shared->stage = STAGE_EXEC;
	shared->error = 0;
	execvp(command[0], command);
	shared->error = -errno;
}

/*
 * All that a process has done that has ended and is not reaped yet. Not
 * wait4()'s rusage, which adds the children that the process has reaped.
 */
static bool read_counts(pid_t pid, struct counts *counts)
{
	char path[32], stat[1024], *end;
	clockid_t clock;
	size_t size;
	FILE *file;

	if (clock_getcpuclockid(pid, &clock) ||
	    clock_gettime(clock, &counts->cpu))
		return false;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	size = fread(stat, 1, sizeof(stat) - 1, file);
	fclose(file);
	stat[size] = '\0';

	/* The second field, the name, may hold blanks and parentheses. */
	end = strrchr(stat, ')');
	return end && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %lu %*u %lu",
			     &counts->min_flt, &counts->maj_flt) == 2;
}

/*
 * Waits until the module has collected the last of a process that has ended.
 * Each tick collects and then publishes. Of three samples the first may have
 * been there before, and the second begun before the end: not the third.
 */
static void wait_collected(const struct mp3_reader *reader, pid_t pid)
{
	__u64 interval_ms = reader->header->interval_ns / 1000000;
	int i;

	for (i = 0; i < 3 && mp3_registered(pid) == 1; i++)
		mp3_reader_wait(reader, (int)(2 * interval_ms + 1000));
}

/**
 * struct ring - the ring, if it may be read
 * @reader: open when @error is 0
 * @error:  why it is not
 * @head:   its head before the command
 */
struct ring {
	struct mp3_reader reader;
	int error;
	__u64 head;
};

/* The command has ended, and is a zombie still: what the module goes by. */
static void report(const struct shared *shared, struct ring *ring, pid_t pid)
{
	struct counts counts;
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	if (!read_counts(pid, &counts)) {
		warnx("/proc does not say what process %d did", pid);
		return;
	}

	fprintf(stderr, "minor faults  %lu\n",
		counts.min_flt - shared->base.min_flt);
	fprintf(stderr, "major faults  %lu\n",
		counts.maj_flt - shared->base.maj_flt);
	fprintf(stderr, "CPU           %.6f s\n",
		elapsed(shared->base.cpu, counts.cpu));
	fprintf(stderr, "elapsed       %.3f s\n", elapsed(shared->begin, end));
	if (ring->error) {
		fprintf(stderr, "samples       - %s: %s\n", MP3_DEVICE_PATH,
			mp3_strerror(ring->error));
		return;
	}
	wait_collected(&ring->reader, pid);
	fprintf(stderr, "samples       %llu\n", (unsigned long long)
		(mp3_reader_head(&ring->reader) - ring->head));
}

/* Says in one line why the child failed; returns the status to end with. */
static int explain(const struct shared *shared, const char *command)
{
	if (shared->stage == STAGE_EXEC) {
		warnx("%s: %s", command, strerror(-shared->error));
		return shared->error == -ENOENT ? 127 : 126;
	}
	warnx("%s: %s", MP3_STATUS_PATH, shared->stage == STAGE_CHECK &&
	      shared->error == -ESRCH ? "does not list what was registered" :
					mp3_strerror(shared->error));
	return 1;
}

static int run_command(char **command)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, sigint, sigquit;
	struct shared *shared;
	siginfo_t info;
	struct ring ring = {};
	pid_t pid;
	int status;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	ring.error = mp3_reader_open(&ring.reader, MP3_DEVICE_PATH, false);
	if (!ring.error)
		ring.head = mp3_reader_head(&ring.reader);

	/* The keyboard's signals are for the command; its end is for us. */
	sigaction(SIGINT, &ignore, &sigint);
	sigaction(SIGQUIT, &ignore, &sigquit);
	signal(SIGCHLD, SIG_DFL);

	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		sigaction(SIGINT, &sigint, NULL);
		sigaction(SIGQUIT, &sigquit, NULL);
		run(shared, command);
		_exit(1);
	}

	/* Not reaped yet: it keeps its counts, and its number. */
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT))
		err(1, "waitid");
	status = info.si_status;
	if (info.si_code != CLD_EXITED)
		status += 128;
	if (shared->error)
		status = explain(shared, command[0]);
	else if (shared->stage == STAGE_EXEC)
		report(shared, &ring, pid);
	waitpid(pid, NULL, 0);

	return status;
}

static int register_pid(const char *text)
{
	char *end;
	long pid;
	int error;

	errno = 0;
	pid = strtol(text, &end, 10);
	if (end == text || *end || errno || pid < 1 || pid > 0x7fffffff)
		errx(2, "'%s' is not a process id", text);

	error = mp3_register((pid_t)pid);
	if (error == -ENOENT)
		errx(1, "%s: %s", MP3_STATUS_PATH, mp3_strerror(error));
	if (error)
		errx(1, "%ld: %s", pid, mp3_strerror(error));
	printf("process %ld is registered\n", pid);

	return 0;
}

static void check(int error)
{
	if (error)
		errx(1, "%s: %s", MP3_STATUS_PATH, mp3_strerror(error));
}

static bool listed(pid_t pid)
{
	int found = mp3_registered(pid);

	if (found < 0)
		check(found);
	return found == 1;
}

/* Touches new pages; returns how many. */
static size_t touch_pages(void)
{
	const size_t size = 4 << 20, page = (size_t)getpagesize();
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t at;

	if (memory == MAP_FAILED)
		err(1, "mmap");
	/* So that a page is a fault; a kernel without huge pages refuses. */
	madvise(memory, size, MADV_NOHUGEPAGE);
	for (at = 0; at < size; at += page)
		__atomic_store_n(&memory[at], 1, __ATOMIC_RELAXED);

	return size / page;
}

/* The protocol at work, a line for each step. */
static int demonstrate(void)
{
	pid_t pid = getpid();

	check(mp3_register(pid));
	printf("wrote \"R,%d\" to %s: this process is registered\n", pid,
	       MP3_STATUS_PATH);
	if (!listed(pid))
		errx(1, "%s: does not list %d", MP3_STATUS_PATH, pid);
	printf("read %s: it lists %d\n", MP3_STATUS_PATH, pid);

	printf("touched %zu new pages: as many minor faults and a few more\n",
	       touch_pages());

	check(mp3_unregister(pid));
	printf("wrote \"U,%d\": it is registered no more\n", pid);
	if (listed(pid))
		errx(1, "%s: still lists %d", MP3_STATUS_PATH, pid);
	printf("read %s: it lists %d no more; monitor prints what it did\n",
	       MP3_STATUS_PATH, pid);

	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "pid", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	const char *pid = NULL;
	int option;

	/* +: the options behind the command are the command's. */
	while ((option = getopt_long(argc, argv, "+p:hV", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			pid = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			puts("userapp (mp3) " MP3_TOOLS_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (pid && argv[optind])
		errx(2, "either -p or a command");
	if (pid)
		return register_pid(pid);
	if (argv[optind])
		return run_command(argv + optind);

	return demonstrate();
}
