// SPDX-License-Identifier: GPL-2.0
/*
 * What many idle processes cost: the module, and mp3ctl.
 *
 * Usage: scale SECONDS N WHAT...
 *
 * Runs in a guest with the module loaded, and with mp3ctl, ps and the poller in /mp3.
 * Another process has N children, which sleep. Prints "processes what value unit" for
 * each WHAT: the module, a tool, the start of tools, ps, or the poller. In a guest that
 * executes one instruction per nanosecond, a nanosecond is an instruction. Tools are
 * measured for SECONDS, after some time: their own CPU time, and for how long the CPU
 * was busy, which includes the ticks, and what the kernel's workers do for them.
 */
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>

#include "bench.h"

#define MAX_PROCESSES	200000
#define STACK_SIZE	4096
#define TICKS		20	/* of which the cost is the median */
#define POLLER_PASSES	3
#define OUTPUT		"/tmp/output"
#define USER_ID		1000

/**
 * struct nursery - the process whose children are counted
 * @pid:    its process id
 * @nr:	    how many children it has
 * @wanted: how many it is to have
 * @pids:   the children
 */
static struct nursery {
	pid_t pid;
	unsigned int nr;
	unsigned int wanted;
	pid_t pids[MAX_PROCESSES];
} *nursery;

static struct ring ring;
static unsigned int seconds;
static int terminal = -1;	/* that a tool runs on */

/* ---- Processes ---- */

/* The processes share all but their stacks, so that many of them fit. */
static int sleep_forever(void *unused)
{
	(void)unused;
	for (;;)
		syscall(SYS_pause);
	return 0;
}

static void run_nursery(void)
{
	char *stacks = mmap(NULL, (size_t)MAX_PROCESSES * STACK_SIZE,
			    PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (stacks == MAP_FAILED)
		err(1, "mmap");
	/* Bind the function now: lazy binding needs more than STACK_SIZE. */
	syscall(SYS_getpid);
	if (setresgid(USER_ID, USER_ID, USER_ID) ||
	    setresuid(USER_ID, USER_ID, USER_ID) ||
	    prctl(PR_SET_DUMPABLE, 1))
		err(1, "user %d", USER_ID);
	for (;; sleep_ms(50))
		while (nursery->nr < nursery->wanted) {
			char *stack = stacks +
				      ((size_t)nursery->nr + 1) * STACK_SIZE;
			pid_t pid = clone(sleep_forever, stack,
					  CLONE_VM | CLONE_FS | CLONE_FILES |
					  SIGCHLD, NULL);

			if (pid < 0)
				err(1, "process %u", nursery->nr);
			nursery->pids[nursery->nr] = pid;
			__atomic_add_fetch(&nursery->nr, 1, __ATOMIC_SEQ_CST);
		}
}

/* Have the nursery start processes until there are @nr. */
static void grow(unsigned int nr)
{
	__atomic_store_n(&nursery->wanted, nr, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&nursery->nr, __ATOMIC_SEQ_CST) < nr) {
		check_tool(nursery->pid);
		sleep_ms(10);
	}
	sleep_ms(100);
}

/* ---- The module ---- */

static void print(const char *what, double value, const char *unit)
{
	printf("%u %s %.1f %s\n", nursery->nr, what, value, unit);
	fflush(stdout);
}

/* Return the longest time between two samples from number @from on, in ms. */
static double longest_gap_ms(uint64_t from)
{
	uint64_t i, head = ring_head(&ring);
	unsigned long gap = 0;

	for (i = from + 1; i < head; i++) {
		unsigned long step =
			ring.samples[i % MP3_SAMPLES].jiffies -
			ring.samples[(i - 1) % MP3_SAMPLES].jiffies;

		if (step > gap)
			gap = step;
	}
	return gap * 1e3 / ring.header->hz;
}

/* Measure a command for each child; return nanoseconds. */
static double command_each(char letter)
{
	int fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	uint64_t start = now_ns();
	unsigned int i;

	for (i = 0; i < nursery->nr; i++) {
		char line[16];
		int len = snprintf(line, sizeof(line), "%c,%d", letter,
				   nursery->pids[i]);

		if (write(fd, line, len) != len)
			err(1, "%s", line);
	}
	start = now_ns() - start;
	close(fd);

	return start;
}

static void wait_tick(void)
{
	uint64_t ticks = ring.header->ticks;

	while (ring.header->ticks == ticks)
		sleep_ms(1);
	sleep_ms(10);
}

/*
 * Measure F of the nursery, while another process is followed, so that there are
 * samples, whose times show whether the tick was late.
 */
static void measure_follow(void)
{
	uint64_t from, missed, start;
	pid_t other = start_many(asleep, 1)[0];

	/* The first F waits until the kernel has attached the fork probe. */
	command_or_die('F', other);
	wait_tick();
	from = ring_head(&ring) - 1;
	missed = ring.header->missed;
	start = now_ns();
	command_or_die('F', nursery->pid);
	start = now_ns() - start;
	wait_tick();
	wait_tick();
	print("follow", (double)start / nursery->nr, "ns/process");
	print("follow_gap", longest_gap_ms(from), "ms");
	print("follow_missed", ring.header->missed - missed, "ticks");
	command_or_die('U', nursery->pid);
	command_or_die('U', other);
	end(other, SIGKILL);
	if (ring.header->processes != nursery->nr)
		errx(1, "%u of %u processes are registered",
		     ring.header->processes, nursery->nr);
}

static void measure_tick(void)
{
	uint64_t from = ring_head(&ring), missed = ring.header->missed;
	double costs[TICKS];
	unsigned int i;

	for (i = 0; i < TICKS; i++) {
		uint64_t ticks = ring.header->ticks;
		uint64_t cost_ns = ring.header->cost_ns;

		wait_tick();
		costs[i] = (double)(ring.header->cost_ns - cost_ns) /
			   (ring.header->ticks - ticks);
	}
	sort(costs, TICKS);
	print("tick", quantile(costs, TICKS, 0.5) / nursery->nr, "ns/process");
	print("tick_gap", longest_gap_ms(from), "ms");
	print("tick_missed", ring.header->missed - missed, "ticks");
}

static void measure_list(void)
{
	uint64_t start = now_ns();
	char *text = status_text(), *at;
	unsigned int lines = 0;

	start = now_ns() - start;
	for (at = text; (at = strchr(at, '\n')); at++)
		lines++;
	if (lines != nursery->nr)
		errx(1, "%u of %u processes are listed", lines, nursery->nr);
	free(text);
	print("list", (double)start / lines, "ns/process");
}

static void measure_module(void)
{
	measure_follow();
	measure_tick();
	measure_list();
	print("unregister", command_each('U') / nursery->nr, "ns/process");
	wait_idle(&ring);
	print("register", command_each('R') / nursery->nr, "ns/process");
	wait_tick();
	command_each('U');
	wait_idle(&ring);
}

/* ---- Tools ---- */

/* Return the time that the only CPU has not been idle, in seconds. */
static double busy_s(void)
{
	return (double)now_ns() / 1e9 -
	       number_by("awk '$1 == \"cpu\" { print ($5 + $6) / 100 }' /proc/stat");
}

/* Return the largest resident memory of a process so far, in MiB. */
static double memory_mib(pid_t pid)
{
	char line[80];

	snprintf(line, sizeof(line),
		 "awk '/^VmHWM/ { print $2 / 1024 }' /proc/%d/status", pid);
	return number_by(line);
}

/* Run a command to its end; print how long that takes. */
static void measure_run(const char *what, const char *const argv[])
{
	uint64_t start = now_ns();
	pid_t tool = start_tool(OUTPUT, argv);
	int status;

	if (waitpid(tool, &status, 0) != tool || status)
		errx(1, "%s has failed", what);
	print(what, (now_ns() - start) / 1e6, "ms");
}

/**
 * struct tool - a sub-command of mp3ctl
 * @name:	 as printed
 * @by_user:	 run it as the user that has the processes, not as root
 * @on_terminal: its output is a terminal
 * @arguments:	 its arguments
 */
static const struct tool {
	const char *name;
	bool by_user;
	bool on_terminal;
	const char *arguments;
} tools[] = {
	{ "top", false, true, "top -a" },
	{ "top-user", true, true, "top" },
	{ "top-tree", false, true, "top -a --tree" },
	{ "top-plain", false, false, "top -a" },
	{ "watch", true, false, "watch" },
	{ "alert", true, false, "alert cpu=99999%:9999s -- true" },
	{ "serve", false, false, "serve -a --listen 0.0.0.0:9423" },
};

/* Start a tool on a terminal of its own. Returns its pid. */
static pid_t start_on_terminal(const char *const argv[])
{
	const struct winsize size = { .ws_row = 24, .ws_col = 80 };
	pid_t pid;

	terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0 || grantpt(terminal) || unlockpt(terminal) ||
	    ioctl(terminal, TIOCSWINSZ, &size))
		err(1, "terminal");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		int fd, i;

		setsid();
		setenv("TERM", "linux", 1);
		fd = open(ptsname(terminal), O_RDWR);
		for (i = 0; i < 3; i++)
			dup2(fd, i);
		execvp(argv[0], (char *const *)argv);
		err(1, "%s", argv[0]);
	}

	return pid;
}

/* Sleep, and read what a tool writes to its terminal. */
static void wait_ms(long ms)
{
	struct pollfd fd = { .fd = terminal, .events = POLLIN };
	uint64_t end = now_ns() + ms * 1000000ULL, now;
	char text[4096];

	while ((now = now_ns()) < end)
		if (poll(&fd, 1, (end - now) / 1000000 + 1) > 0 &&
		    read(terminal, text, sizeof(text)) < 0)
			errx(1, "a tool has left its terminal");
}

/*
 * Print what a tool costs once it has run for some time: its own CPU time, and the time
 * that the CPU was busy, in percent, and its memory.
 */
static void measure_tool(const struct tool *command)
{
	char line[128], what[48];
	const char *const as_user[] = { "su", "user", "-c", line, NULL };
	const char *const as_root[] = { "sh", "-c", line, NULL };
	const char *const *argv;
	uint64_t start, used;
	double busy;
	pid_t tool;

	snprintf(line, sizeof(line), "exec /mp3/mp3ctl %s",
		 command->arguments);
	argv = command->by_user ? as_user : as_root;
	tool = command->on_terminal ? start_on_terminal(argv) :
	       start_tool("/dev/null", argv);
	wait_ms(3000 + nursery->nr / 10);
	check_tool(tool);
	start = now_ns();
	used = cpu_ns(tool);
	busy = busy_s();
	wait_ms(seconds * 1000);
	check_tool(tool);
	used = cpu_ns(tool) - used;
	busy = busy_s() - busy;
	start = now_ns() - start;
	snprintf(what, sizeof(what), "%s_own", command->name);
	print(what, 100.0 * used / start, "%");
	snprintf(what, sizeof(what), "%s_busy", command->name);
	print(what, 100e9 * busy / start, "%");
	snprintf(what, sizeof(what), "%s_memory", command->name);
	print(what, memory_mib(tool), "MiB");
	end(tool, SIGKILL);
	if (terminal >= 0)
		close(terminal);
	terminal = -1;
	sleep_ms(1000);
}

static void measure_poller(void)
{
	char *list = join(nursery->pids, nursery->nr);
	pid_t tool;
	uint64_t used;

	tool = start_tool(OUTPUT, (const char *[]){ "/mp3/poller", list, NULL });
	wait_lines(tool, OUTPUT, 1);
	used = cpu_ns(tool);
	wait_lines(tool, OUTPUT, 1 + POLLER_PASSES);
	print("poller_pass", (double)(cpu_ns(tool) - used) /
	      (lines_of(OUTPUT) - 1) / nursery->nr, "ns/process");
	end(tool, SIGKILL);
	free(list);
}

static void measure_starts(void)
{
	measure_run("top_start", (const char *[]){
		"/mp3/mp3ctl", "top", "-a", "-i", "0.01", "-n", "1", NULL });
	measure_run("top-user_start", (const char *[]){
		"su", "user", "-c", "exec /mp3/mp3ctl top -i 0.01 -n 1", NULL });
}

static void measure_ps(void)
{
	measure_run("ps", (const char *[]){
		"/mp3/ps", "-e", "-o", "pid,min_flt,maj_flt,rss,cputimes,comm",
		NULL });
}

/* Measure the idle CPU, to compare tools with. */
static void measure_none(void)
{
	uint64_t start = now_ns();
	double busy = busy_s();

	sleep_ms(seconds * 1000);
	print("none_busy", 100e9 * (busy_s() - busy) / (now_ns() - start), "%");
}

static void measure(const char *what)
{
	static const struct {
		const char *name;
		void (*function)(void);
	} others[] = {
		{ "module", measure_module }, { "none", measure_none },
		{ "starts", measure_starts }, { "ps", measure_ps },
		{ "poller", measure_poller },
	};
	size_t i;

	for (i = 0; i < sizeof(tools) / sizeof(*tools); i++)
		if (!strcmp(what, tools[i].name)) {
			measure_tool(&tools[i]);
			return;
		}
	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (!strcmp(what, others[i].name)) {
			others[i].function();
			return;
		}
	errx(2, "unknown: %s", what);
}

int main(int argc, char **argv)
{
	const struct rlimit files = { 200000, 200000 };
	/* Also for the tools of the user whose processes these are */
	const struct rlimit processes = { RLIM_INFINITY, RLIM_INFINITY };
	unsigned int nr;
	int i;

	if (argc < 4)
		errx(2, "usage: scale SECONDS N WHAT...");
	seconds = parse_number(argv[1]);
	nr = parse_number(argv[2]);
	if (nr > MAX_PROCESSES)
		errx(2, "at most %d processes", MAX_PROCESSES);
	if (setrlimit(RLIMIT_NOFILE, &files) || setrlimit(RLIMIT_NPROC, &processes))
		err(1, "setrlimit");
	write_file("/proc/sys/kernel/threads-max", "400000");
	write_file("/proc/sys/kernel/pid_max", "4194304");
	/* Where mp3ctl serve finds its library. */
	setenv("LD_LIBRARY_PATH", "/mp3", 1);
	if (chmod("/mp3", 0755))
		err(1, "/mp3");
	nursery = mmap(NULL, sizeof(*nursery), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (nursery == MAP_FAILED)
		err(1, "mmap");
	ring = ring_open();
	nursery->pid = start(run_nursery);
	describe();
	printf("# processes what value unit\n");
	grow(nr);
	for (i = 3; i < argc; i++)
		measure(argv[i]);
	/* The guest ends with them. */
	return 0;
}
