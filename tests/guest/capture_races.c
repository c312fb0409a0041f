// SPDX-License-Identifier: GPL-2.0
/*
 * Captures against forks: the close of a capture whose tree forks all the time,
 * and commands for a child that has appeared but that the fork probe has not seen
 * yet. Nothing stays registered, and each header has the right number of processes.
 *
 * Usage: capture_races [SECONDS [SEED]]
 *
 * vm: -m 2048
 */
#include "capture.h"

#define SECONDS		5
#define NR_CLOSES	10
#define NR_SLEEPERS	500	/* a close visits these before those that fork */
#define NR_FORKERS	3
#define NR_COMMANDERS	2

static struct ring ring;
static struct capture classic;
static unsigned int seed = 1;

/**
 * struct forks - what the processes that fork share with the test
 * @nr:     how often they have forked
 * @newest: the newest child of each
 */
static volatile struct forks {
	unsigned int nr;
	pid_t newest[NR_FORKERS];
} *forks;

static void __attribute__((noreturn)) fork_forever(int number)
{
	for (;;) {
		/* Faster than fork(), and the same to the fork probe. */
		pid_t pid = vfork();

		if (!pid)
			_exit(0);
		forks->newest[number] = pid;
		__atomic_add_fetch(&forks->nr, 1, __ATOMIC_RELAXED);
		waitpid(pid, NULL, 0);
	}
}

/*
 * Start a process with children: first those that sleep, then those that fork.
 * They are one process group. Returns their parent.
 */
static pid_t start_load(int nr_sleepers)
{
	unsigned int before = forks->nr;
	pid_t pid;
	int i;

	fflush(stdout);
	pid = fork_child();
	if (pid) {
		while (forks->nr - before < 10)
			sleep_ms(1);
		return pid;
	}
	setpgid(0, 0);
	for (i = 0; i < nr_sleepers + NR_FORKERS; i++) {
		if (fork_child())
			continue;
		if (i >= nr_sleepers)
			fork_forever(i - nr_sleepers);
		for (;;)
			pause();
	}
	for (;;)
		pause();
}

static void end_load(pid_t pid)
{
	/* Processes may be forked while others are killed. */
	while (!kill(-pid, SIGKILL))
		while (waitpid(-pid, NULL, WNOHANG) > 0)
			;
}

/* ---- Close ---- */

static void test_close(void)
{
	pid_t pid = start_load(NR_SLEEPERS);
	unsigned int i, before, nr_forks = 0, left = 0;
	uint64_t ns, max_ns = 0;
	struct capture c;

	set_interval("1");
	for (i = 0; i < NR_CLOSES && !left; i++) {
		c = capture_open();
		capture_command_or_die(&c, 'F', pid);
		capture_unmap(&c);
		before = forks->nr;
		ns = now_ns();
		close(c.fd);
		ns = now_ns() - ns;
		nr_forks += forks->nr - before;
		if (ns > max_ns)
			max_ns = ns;
		left += !comes_to_rest(&ring, 30);
	}
	diag("%u forks during %u closes, which took up to %lu us", nr_forks,
	     NR_CLOSES, (unsigned long)(max_ns / 1000));
	ok(nr_forks, "a followed tree forks while its capture is closed");
	if (!ok(!left, "close of a capture leaves no process of a tree that forks all the time"))
		diag("after close %u of %u", i, NR_CLOSES);
	end_load(pid);
	set_interval("10");
}

/* ---- A child between its appearance and the fork probe ---- */

/* The last step of a fork before the tracepoint; the child is listed by then. */
#define LAST_STEP	"uprobe_copy_process"

/**
 * struct window - a fork that is delayed right before the fork probe
 * @worker: the process that forks
 * @before: its counts before
 * @child:  the child, which other processes can find already
 */
struct window {
	struct worker *worker;
	struct stat_line before;
	pid_t child;
};

/* Have a worker fork a child that touches pages, and delay that. */
static struct window window_open(struct worker *w, int pages)
{
	int request[2] = { 'f', pages };
	struct window window = { .worker = w };
	char path[64];
	FILE *file;
	int i;

	wait_state(w->pid, 'S');
	stat_of(w->pid, &window.before);
	if (!fail_load(w->pid, LAST_STEP, 1, 2000))
		errx(1, "no kprobe at %s", LAST_STEP);
	if (write(w->socket, request, sizeof(request)) != sizeof(request))
		err(1, "worker %d", w->pid);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", w->pid,
		 w->pid);
	for (i = 0; i < 60000 && !window.child; i++) {
		file = fopen(path, "re");
		if (!file)
			err(1, "%s", path);
		if (fscanf(file, "%d", &window.child) != 1)
			usleep(100);
		fclose(file);
	}
	if (!window.child)
		errx(1, "worker %d does not fork", w->pid);
	wait_state(w->pid, 'D');

	return window;
}

/*
 * Wait until the child has run and exited, and until the next ticks. Returns what
 * it has used. Dies if the fork probe came while the window was open.
 */
static struct usage window_close(const struct window *window,
				 const struct capture *c)
{
	struct stat_line stat;
	int answer;

	/* In the uninterruptible sleep of the delay, it is in the window. */
	if (!stat_of(window->worker->pid, &stat) || stat.state != 'D')
		errx(1, "the fork was not delayed long enough");
	if (read(window->worker->socket, &answer, sizeof(answer)) !=
	    sizeof(answer) || answer != window->child)
		errx(1, "worker %d does not answer", window->worker->pid);
	fail_unload();
	wait_state(window->worker->pid, 'S');
	stat_of(window->worker->pid, &stat);
	set_interval("10");
	wait_ticks(c);

	return (struct usage){
		.min_flt = stat.flt[1] - window->before.flt[1],
		.maj_flt = stat.flt[3] - window->before.flt[3],
	};
}

/* A command for the child gives it a holder that follows its parent. */
static void test_register_twice(void)
{
	struct worker w = worker_start();
	struct capture c = capture_open();
	struct window window;
	struct usage total;
	struct history h;
	int ret;

	set_interval("10");
	capture_command_or_die(&c, 'F', w.pid);
	window = window_open(&w, 50);
	ret = capture_command(&c, 'R', window.child);
	total = window_close(&window, &c);
	ok(!ret && capture_processes(&c) == 1,
	   "a child that R has registered before the fork probe counts as one process");
	h = history_of(&c, window.child);
	ok(history_matches(&h, 1, total, "the child"),
	   "a child that R has registered before the fork probe is exact");
	worker_end(&w);
	ok(capture_has(&c, 0), "no process is counted after the last one has exited");
	capture_close(&c);
}

/* R and U in one capture, while another follows the parent. */
static void test_unregister_before_probe(void)
{
	struct worker w = worker_start();
	struct capture a = capture_open(), b = capture_open();
	struct window window;
	struct usage total;
	struct history h;
	bool good;

	set_interval("10");
	capture_command_or_die(&a, 'F', w.pid);
	window = window_open(&w, 60);
	capture_command_or_die(&b, 'R', window.child);
	good = capture_processes(&b) == 1;
	capture_command_or_die(&b, 'U', window.child);
	good &= capture_processes(&b) == 0;
	total = window_close(&window, &a);
	good &= capture_processes(&a) == 1 && capture_processes(&b) == 0;
	h = history_of(&a, window.child);
	good &= history_matches(&h, 1, total, "the capture that follows");
	h = history_of(&b, window.child);
	good &= history_matches(&h, 1, (struct usage){ 0 }, "the other capture");
	ok(good,
	   "a child that a capture held only before the fork probe is exact in another that follows");

	/* Held by both when the probe comes. */
	window = window_open(&w, 70);
	capture_command_or_die(&b, 'R', window.child);
	total = window_close(&window, &a);
	good = capture_processes(&a) == 1 && capture_processes(&b) == 0;
	h = history_of(&a, window.child);
	good &= history_matches(&h, 1, total, "the capture that follows");
	h = history_of(&b, window.child);
	good &= history_matches(&h, 1, total, "the other capture");
	ok(good,
	   "a child that R has registered before the fork probe is exact there and in a capture that follows");
	worker_end(&w);
	capture_close(&a);
	capture_close(&b);
}

/* U in the classic registry waits for a tick, which must not be in the window. */
static void test_classic_unregistered(void)
{
	struct worker w = worker_start();
	struct capture c = capture_open();
	uint64_t from = capture_head(&classic);
	struct window window;
	struct usage total;
	struct history h;
	bool good;

	set_interval("10000");
	command_or_die('F', w.pid);
	capture_command_or_die(&c, 'F', w.pid);
	window = window_open(&w, 80);
	command_or_die('R', window.child);
	command_or_die('U', window.child);
	total = window_close(&window, &c);
	good = ring.header->processes == 1 && capture_processes(&c) == 1;
	h = history_from(&classic, from, window.child);
	good &= history_matches(&h, 1, (struct usage){ 0 }, "classic");
	h = history_of(&c, window.child);
	good &= history_matches(&h, 1, total, "the capture");
	ok(good,
	   "a child that U has removed from the classic registry before the fork probe stays out of it");
	worker_end(&w);
	wait_idle(&ring);
	capture_close(&c);
}

static void test_windows(void)
{
	if (!have_kprobes()) {
		skip("commands for a child before the fork probe", "no kprobes");
		return;
	}
	test_register_twice();
	test_unregister_before_probe();
	test_classic_unregistered();
}

/* ---- The number of processes ---- */

/* A new capture has the number of the one that was closed last. */
static void test_numbers(void)
{
	struct worker w = worker_start(), other = worker_start();
	struct capture a = capture_open(), b = capture_open();

	capture_command_or_die(&a, 'R', other.pid);
	capture_command_or_die(&b, 'R', w.pid);
	capture_close(&b);
	b = capture_open();
	capture_command_or_die(&b, 'R', w.pid);
	ok(capture_processes(&a) == 1 && capture_processes(&b) == 1,
	   "a capture counts its own processes alone after another was closed");
	capture_close(&a);
	capture_close(&b);
	worker_end(&w);
	worker_end(&other);
}

/* Write R, F and U for the newest processes and for the next pids, forever. */
static void __attribute__((noreturn))
command_forever(const struct capture *captures, unsigned int random)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		pid_t pid = forks->newest[rand_r(&random) % NR_FORKERS];

		capture_command(&captures[rand_r(&random) % 2],
				"RFUU"[rand_r(&random) % 4],
				pid + rand_r(&random) % 4);
	}
}

static void test_random_commands(int seconds)
{
	struct capture captures[2] = { capture_open(), capture_open() };
	pid_t pid = start_load(0), commanders[NR_COMMANDERS];
	unsigned int before = forks->nr;
	bool good = true;
	int i;

	set_interval("1");
	for (i = 0; i < 2; i++)
		capture_command_or_die(&captures[i], 'F', pid);
	fflush(stdout);
	for (i = 0; i < NR_COMMANDERS; i++) {
		commanders[i] = fork_child();
		if (!commanders[i])
			command_forever(captures, seed + i);
	}
	sleep_ms(1000 * seconds);
	for (i = 0; i < NR_COMMANDERS; i++)
		kill_and_reap(commanders[i]);
	diag("%u forks, seed %u", forks->nr - before, seed);
	end_load(pid);
	set_interval("10");
	for (i = 0; i < 2; i++)
		good &= capture_has(&captures[i], 0);
	ok(good,
	   "each capture counts 0 processes after commands for processes that were being forked");
	ok(sampler_stops(&ring),
	   "nothing is registered after commands for processes that were being forked");
	for (i = 0; i < 2; i++)
		capture_close(&captures[i]);
}

int main(int argc, char **argv)
{
	if (argc > 2)
		seed = strtoul(argv[2], NULL, 10);
	forks = shared_memory(PAGE);
	/* No pid is used again: a later one is not that of an older process. */
	write_file("/proc/sys/kernel/pid_max", "4194304");
	ring = ring_open();
	classic = classic_open();
	test_close();
	test_windows();
	test_numbers();
	test_random_commands(argc > 1 ? atoi(argv[1]) : SECONDS);
	ok(sampler_stops(&ring), "nothing is registered at the end");

	return done();
}
