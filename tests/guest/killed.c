// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl run and attach, killed at random instants: nothing stays registered, and
 * the profiled processes continue unharmed.
 *
 * "killed command" is the command that mp3ctl runs.
 *
 * vm: -t 1200
 */
#include <poll.h>

#include "report.h"

#define PROGRAM		"/mp3/killed"
#define NR_KILLS	200

/* Signals that end the tool at once */
static const int signals[] = { SIGKILL, SIGPIPE, SIGALRM };

static uint64_t seed;
static unsigned int max_delay_us;	/* twice as long as a tool takes to start */

static unsigned int random_below(unsigned int limit)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned int)(seed >> 33) % limit;
}

/*
 * The command: writes "b", forks children until its standard input ends, writes
 * "e" and exits.
 */
static int run_command(void)
{
	struct pollfd pollfd = { .fd = STDIN_FILENO, .events = POLLIN };

	if (write(STDOUT_FILENO, "b", 1) != 1)
		return 1;
	while (!poll(&pollfd, 1, 1))
		touch_in_child(1);
	return write(STDOUT_FILENO, "e", 1) != 1;
}

/* Kills a tool at a random instant. Returns whether it was alive until then. */
static bool kill_tool(pid_t tool, int number)
{
	unsigned int us = random_below(max_delay_us);
	struct timespec delay = { us / 1000000, us % 1000000 * 1000L };
	int status;

	nanosleep(&delay, NULL);
	kill(tool, signals[number % ARRAY_SIZE(signals)]);
	if (waitpid(tool, &status, 0) != tool)
		err(1, "wait");
	return WIFSIGNALED(status);
}

/* Returns whether nothing is registered, within several seconds. */
static bool nothing_registered(void)
{
	int i;

	for (i = 0; i < 100; i++)
		if (grid_stands_still())
			return true;
	return false;
}

/* Reads what a command has written until its end. */
static void read_output(int fd, char text[8])
{
	ssize_t got;
	int size = 0;

	memset(text, 0, 8);
	while (size < 7 && (got = read(fd, text + size, 7 - size)) > 0)
		size += (int)got;
}

/* Starts run. Returns it, and the ends of pipes to and from its command. */
static pid_t start_run(int *to, int *from)
{
	int in[2], out[2], saved[2];
	pid_t tool;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		err(1, "pipe");
	saved[0] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	saved[1] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
	fflush(stdout);
	if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0)
		err(1, "dup2");
	tool = start(AS_USER, RUN(PROGRAM, "command"));
	if (dup2(saved[0], STDIN_FILENO) < 0 || dup2(saved[1], STDOUT_FILENO) < 0)
		err(1, "dup2");
	close(saved[0]);
	close(saved[1]);
	close(in[0]);
	close(out[1]);
	*to = in[1];
	*from = out[0];

	return tool;
}

/* Sets max_delay_us. */
static void measure_start(void)
{
	uint64_t begin_ns = now_ns();
	int to, from;
	char byte;
	pid_t tool = start_run(&to, &from);

	if (read(from, &byte, 1) != 1)
		errx(1, "the command does not start");
	max_delay_us = (unsigned int)((now_ns() - begin_ns) / 500);
	close(to);
	close(from);
	finish(tool);
	diag("kill within %u us", max_delay_us);
}

/* Starts run, kills it, and checks. Returns whether its command has started. */
static bool kill_run(int number, bool *clean, bool *unharmed)
{
	char text[8];
	int to, from;
	pid_t tool = start_run(&to, &from);

	if (!kill_tool(tool, number))
		diag("run has ended by itself");
	*clean = *clean && nothing_registered();
	close(to);
	read_output(from, text);
	close(from);
	if (text[0] && strcmp(text, "be")) {
		diag("a command has written \"%s\"", text);
		*unharmed = false;
	}

	return text[0];
}

static void check_run(void)
{
	bool clean = true, unharmed = true;
	int i, started = 0;

	for (i = 0; i < NR_KILLS; i++)
		started += kill_run(i, &clean, &unharmed);
	diag("%d of %d commands had started", started, NR_KILLS);
	ok(clean, "run leaves nothing registered, whatever kills it and when");
	ok(unharmed, "the command continues after run was killed");
	ok(started > NR_KILLS / 10 && started < NR_KILLS,
	   "run was killed before and after its command had started");
}

static void fork_until_released(struct target *target)
{
	struct pollfd pollfd = { .fd = target->go[0], .events = POLLIN };

	while (!poll(&pollfd, 1, 1))
		touch_in_child(1);
}

static void check_attach(void)
{
	struct target target = launch(fork_until_released, AS_USER);
	bool clean = true, alive = true;
	char pid[16];
	int i, status;

	release(&target);
	snprintf(pid, sizeof(pid), "%d", target.pid);
	for (i = 0; i < NR_KILLS; i++) {
		alive = kill_tool(start(AS_USER, ATTACH("-p", pid)), i) && alive;
		clean = clean && nothing_registered();
	}
	ok(alive, "attach lasts until it is killed");
	ok(clean, "attach leaves nothing registered, whatever kills it and when");
	release(&target);
	ok(waitpid(target.pid, &status, 0) == target.pid && status == 0,
	   "the process continues after attach was killed");
}

static void check_limits(void)
{
	bool pass = true;
	int i;

	for (i = 0; i < 16; i++)
		pass = run(AS_USER, RUN("true")) == 0 && pass;
	ok(pass, "killed tools leave no captures that count for their user");
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "command"))
		return run_command();

	open_rings();
	seed = now_ns();
	diag("seed %llu", (unsigned long long)seed);
	set_interval("5");

	/* The first start is slower: it reads the files. */
	measure_start();
	measure_start();
	check_run();
	check_attach();
	check_limits();

	return done();
}
