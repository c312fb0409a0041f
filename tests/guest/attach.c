// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl attach: it reports as many faults of running processes as wait4(2) does,
 * and leaves registered what others have registered, and nothing else.
 */
#include <pthread.h>

#include "report.h"

/* ---- Processes to attach to ---- */

static void run_tree(struct target *target)
{
	struct rusage usage;
	int i;

	(void)target;
	for (i = 0; i < 50; i++) {
		wait4(start_toucher(10), NULL, 0, &usage);
		shared[0] += usage.ru_minflt;
	}
	touch(100);
}

static void touch_and_exit(struct target *target)
{
	(void)target;
	touch(300);
}

/* Has a child, with its process id in shared[0], until it is released. */
static void run_family(struct target *target)
{
	pid_t child = fork_child();

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	shared[0] = child;
	wait_release(target);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void fork_forever(void)
{
	for (;;)
		touch_in_child(3);
}

/* Indices of "shared", for run_forks(): process ids and two events */
#define OTHER		0	/* a child that is followed by another tool */
#define OTHER_CHILD	1	/* the child that it forks after attach */
#define FORKS		2	/* this and the next child fork continuously */
#define OTHER_READY	4
#define ATTACHED	5

static void run_other(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (command('F', getpid()))
		_exit(1);
	shared[OTHER_READY] = 1;
	while (!shared[ATTACHED])
		sleep_ms(5);
	shared[OTHER_CHILD] = sleeper();
	for (;;)
		pause();
}

static void run_forks(struct target *target)
{
	pid_t other = fork_child();
	int i;

	if (!other)
		run_other();
	shared[OTHER] = other;
	while (!shared[OTHER_READY])
		sleep_ms(5);
	for (i = FORKS; i < FORKS + 2; i++) {
		pid_t pid = fork_child();

		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			fork_forever();
		}
		shared[i] = pid;
	}
	wait_release(target);
	shared[ATTACHED] = 1;
	fork_forever();
}

static void *wait_in_thread(void *arg)
{
	shared[0] = syscall(SYS_gettid);
	wait_release(arg);
	touch(200);
	return NULL;
}

static void run_thread(struct target *target)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, wait_in_thread, target))
		pthread_join(thread, NULL);
}

/* The first thread exits and becomes a zombie; the other one goes on. */
static void leave_to_thread(struct target *target)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, wait_in_thread, target))
		syscall(SYS_exit, 0);
}

static char state_of(pid_t pid)
{
	char path[32], text[256], *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (!file || !fgets(text, sizeof(text), file))
		return '\0';
	fclose(file);
	end = strrchr(text, ')');
	return end ? end[2] : '\0';
}

static long min_flt_of(pid_t pid)
{
	char path[32], stat[1024], *end;
	FILE *file;
	long value = -1;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (!file || !fgets(stat, sizeof(stat), file))
		err(1, "%s", path);
	fclose(file);
	end = strrchr(stat, ')');
	if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %ld", &value) != 1)
		errx(1, "%s: %s", path, stat);

	return value;
}

static bool alive(pid_t pid)
{
	return !kill(pid, 0);
}

static const char *number(long value)
{
	static char text[4][24];
	static unsigned int next;
	char *at = text[next++ % 4];

	snprintf(at, sizeof(text[0]), "%ld", value);
	return at;
}

/* ---- Attaching ---- */

/* Returns whether the tool has reported that it profiles its targets. */
static bool is_attached(void)
{
	char text[80] = "";
	FILE *file = fopen(REPORT, "r");
	bool attached = file && fgets(text, sizeof(text), file) &&
			strstr(text, "until");

	if (file)
		fclose(file);
	return attached;
}

/* Starts a tool; returns once it has attached to a process. */
static pid_t start_attached(int how, pid_t target, const char *const argv[])
{
	pid_t tool;

	unlink(REPORT);
	tool = start(how, argv);
	if (!UNTIL(is_attached() || has_exited(tool)) ||
	    !listed(target))
		diag("the tool has not registered its target");
	return tool;
}

/* Attaches to a process, with or without its descendants. */
static pid_t attach(int how, bool follow, const struct target *target)
{
	const char *pid = number(target->pid);

	return start_attached(how, target->pid, follow ? ATTACH("-f", "-p", pid) :
							 ATTACH("-p", pid));
}

/* Starts run_forks(), attaches to it, and releases it. */
static pid_t attach_to_forks(int how, struct target *target)
{
	pid_t tool;

	*target = launch(run_forks, how);
	release(target);
	wait_ready(target);
	tool = attach(how, true, target);
	release(target);
	if (!UNTIL(shared[OTHER_CHILD]))
		diag("the other child does not fork");
	after_ticks(5);

	return tool;
}

/* ---- Cases ---- */

static void check_usage(void)
{
	struct target target = launch(run_thread, 0);

	ok(refused(0, 2, ARGS("mp3ctl", "attach")) &&
	   refused(0, 2, ATTACH("-p", "0")) && refused(0, 2, ATTACH("-p", "1x")) &&
	   refused(0, 2, ATTACH("-p", "1", "true")),
	   "attach refuses bad usage in one line");
	ok(refused(0, 1, ATTACH("-p", "999999")) &&
	   refused(0, 1, ATTACH("-f", "-p", "999999")),
	   "attach fails with one line if there is no such process");
	release(&target);
	wait_ready(&target);
	ok(refused(0, 2, ATTACH("-p", number(target.pid), "-p",
				number(shared[0]))) && mentions("more than once"),
	   "attach refuses two threads of one process in one line");
	kill_target(&target, NULL);
	ok(refused(0, 1, ATTACH("-p", "2")) && mentions("kernel thread"),
	   "attach names a kernel thread as the reason of its failure");
	target = launch(sleep_forever, 0);
	ok(refused(0, 1, ATTACH("-p", number(target.pid), "-p", "999999")) &&
	   !nr_listed() &&
	   refused(0, 1, ATTACH("-f", "-p", number(target.pid), "-p", "999999")) &&
	   !nr_listed(),
	   "attach leaves nothing registered if one of its processes is refused");
	kill_target(&target, NULL);
}

static void check_exit(void)
{
	struct target target, other;
	struct rusage usage;
	pid_t tool;
	long base, children;

	begin();
	target = launch(run_tree, 0);
	base = min_flt_of(target.pid);
	tool = attach(0, true, &target);
	release(&target);
	ok(finish(tool) == 0 && mentions("until it exits") && adds_up() &&
	   report.total.pid == 51, "attach -f ends when its process exits");
	kill_target(&target, &usage);
	ok_eq(report.total.min_flt, usage.ru_minflt - base,
	      "attach -f prints a total that is what wait4 reports of the tree");
	ok(total_is_the_rings(),
	   "attach -f prints a total that the records and the samples add up to");

	begin();
	target = launch(run_tree, 0);
	base = min_flt_of(target.pid);
	tool = attach(0, false, &target);
	release(&target);
	ok(finish(tool) == 0 && adds_up() && report.nr == 1 &&
	   report.rows[0].pid == (unsigned int)target.pid,
	   "attach without -f prints one row");
	kill_target(&target, &usage);
	children = shared[0];
	ok_eq(report.total.min_flt, usage.ru_minflt - base - children,
	      "attach without -f counts what wait4 reports without the children");

	begin();
	target = launch(touch_and_exit, 0);
	other = launch(touch_and_exit, 0);
	base = min_flt_of(target.pid) + min_flt_of(other.pid);
	tool = start_attached(0, other.pid,
			      ATTACH("-p", number(target.pid), "-p",
				     number(other.pid)));
	release(&target);
	after_ticks(3);
	release(&other);
	ok(finish(tool) == 0 && mentions("2 processes until they exit") &&
	   adds_up() && report.nr == 2 && row_of(target.pid) &&
	   row_of(other.pid),
	   "attach to two processes ends when both have exited");
	kill_target(&target, &usage);
	base = usage.ru_minflt - base;
	kill_target(&other, &usage);
	ok_eq(report.total.min_flt, usage.ru_minflt + base,
	      "attach to two processes counts what wait4 reports of both");

	begin();
	target = launch(run_family, 0);
	release(&target);
	wait_ready(&target);
	tool = start_attached(0, target.pid,
			      ATTACH("-f", "-p", number(target.pid), "-p",
				     number(shared[0])));
	release(&target);
	ok(finish(tool) == 0 && adds_up() && report.nr == 2 &&
	   row_of(target.pid) && row_of((unsigned int)shared[0]),
	   "attach -f accepts a process and its descendant");
	kill_target(&target, NULL);

	begin();
	target = launch(sleep_forever, 0);
	tool = attach(NO_PIDFD, true, &target);
	kill(target.pid, SIGKILL);
	ok(finish(tool) == 0 && adds_up(),
	   "attach -f notices an exit without pidfd_open");
	kill_target(&target, NULL);
}

static void check_threads(void)
{
	struct target target;
	struct rusage usage;
	pid_t tool;
	long base;

	begin();
	target = launch(run_thread, 0);
	release(&target);
	wait_ready(&target);
	tool = start_attached(0, target.pid, ATTACH("-p", number(shared[0])));
	release(&target);
	ok(finish(tool) == 0 && report.nr == 1 &&
	   report.rows[0].pid == (unsigned int)target.pid,
	   "attach takes a thread's id for that of its process");
	kill_target(&target, NULL);

	begin();
	target = launch(leave_to_thread, 0);
	release(&target);
	wait_ready(&target);
	if (!UNTIL(state_of(target.pid) == 'Z'))
		diag("the first thread does not exit");
	base = min_flt_of(target.pid);
	tool = attach(0, false, &target);
	after_ticks(5);
	release(&target);
	ok(finish(tool) == 0 && adds_up() && report.nr == 1 &&
	   !strstr(report.text, "another process"),
	   "attach profiles a process without its first thread to its end");
	kill_target(&target, &usage);
	ok_eq(report.total.min_flt, usage.ru_minflt - base,
	      "attach counts the threads that outlive the first one");

	begin();
	target = launch(leave_to_thread, 0);
	release(&target);
	wait_ready(&target);
	if (!UNTIL(state_of(target.pid) == 'Z'))
		diag("the first thread does not exit");
	tool = attach(0, false, &target);
	command('U', target.pid);
	ok(finish(tool) == 0 && mentions("unregistered by another process"),
	   "attach treats a process without its first thread as running");
	kill_target(&target, NULL);
}

static void check_detach(void)
{
	struct target target, before, later;
	bool pass;
	pid_t tool;

	begin();
	before = launch(sleep_forever, 0);
	later = launch(sleep_forever, 0);
	command('R', before.pid);
	tool = attach_to_forks(0, &target);
	command('R', later.pid);
	kill(tool, SIGINT);
	ok(finish(tool) == 0 && adds_up() &&
	   mentions("still running (unregistered): ") &&
	   mentions("still registered (by others, or of unknown origin): 2"),
	   "attach -f reports and exits at SIGINT");
	pass = UNTIL(nr_listed() == 4);
	after_ticks(3);
	ok(pass && nr_listed() == 4 && listed(before.pid) &&
	   listed(later.pid) && listed(shared[OTHER]) &&
	   listed(shared[OTHER_CHILD]),
	   "attach -f unregisters its tree at SIGINT, and nothing else");
	ok(alive(target.pid) && alive(shared[FORKS]) && alive(shared[FORKS + 1]),
	   "attach -f leaves its tree running at SIGINT");
	kill_target(&target, NULL);
	kill_target(&before, NULL);
	kill_target(&later, NULL);

	begin();
	target = launch(sleep_forever, 0);
	tool = attach(0, false, &target);
	kill(tool, SIGTERM);
	ok(finish(tool) == 0 && adds_up() && !nr_listed() &&
	   report.rows[0].lifetime[0] == '>' && total_is_the_rings(),
	   "attach reports at SIGTERM a lifetime that is longer than it has seen");
	kill_target(&target, NULL);

	begin();
	target = launch(sleep_forever, 0);
	tool = attach(0, true, &target);
	command('U', target.pid);
	ok(finish(tool) == 0 && mentions("unregistered by another process") &&
	   alive(target.pid),
	   "attach -f ends when another process unregisters its target");
	kill_target(&target, NULL);
}

static void check_registered(void)
{
	struct target target;

	begin();
	target = launch(sleep_forever, 0);
	command('R', target.pid);
	ok(refused(0, 1, ATTACH("-p", number(target.pid))) &&
	   mentions("lready registered") && listed(target.pid),
	   "attach refuses a registered process and leaves it registered");
	ok(refused(0, 1, ATTACH("-f", "-p", number(target.pid))) &&
	   mentions("lready registered") && listed(target.pid),
	   "attach -f refuses a registered process and leaves it registered");
	ok_eq(command('F', target.pid), 0,
	      "attach -f does not follow a process that it refuses");
	kill_target(&target, NULL);
}

static void check_permission(void)
{
	struct target target;
	struct rusage usage;
	pid_t tool;
	long base;

	begin();
	target = launch(sleep_forever, 0);
	ok(refused(AS_USER, 1, ATTACH("-p", number(target.pid))) &&
	   mentions("not permitted") && !nr_listed(),
	   "attach refuses another user's process in one line");
	kill_target(&target, NULL);

	begin();
	target = launch(run_tree, AS_USER);
	base = min_flt_of(target.pid);
	tool = attach(AS_USER, false, &target);
	release(&target);
	finish(tool);
	/* It is not reaped yet: /proc showed all that it has done. */
	kill_target(&target, &usage);
	ok(!report.status && mentions("table         - ") &&
	   reported("minor faults  ") == usage.ru_minflt - base - shared[0],
	   "attach reports the counts in /proc if the records may not be read");

	begin();
	tool = attach_to_forks(AS_USER, &target);
	kill(tool, SIGINT);
	ok(finish(tool) == 0 && UNTIL(nr_listed() == 2) &&
	   listed(shared[OTHER]) && listed(shared[OTHER_CHILD]),
	   "attach -f unregisters its tree even if the records may not be read");
	kill_target(&target, NULL);
}

/* ---- Namespaces: the target is a process of the namespace, too ---- */

/* In a pid namespace: attaches to a child. Returns 0 if the report is exact. */
static int attach_in_namespace(void)
{
	struct target target = launch(touch_and_exit, 0);
	pid_t tool = attach(0, false, &target);
	unsigned long want;

	release(&target);
	finish(tool);
	kill_target(&target, NULL);
	wait_idle(&ring);
	want = ring_sum(&ring, from).min_flt;
	if (!report.status && want >= 300 &&
	    reported("minor faults  ") == (long)want)
		return 0;
	diag("want %lu, status %d: %s", want, report.status, report.text);
	return 1;
}

static void check_namespaces(void)
{
	struct target target;
	pid_t pid, tool;
	int status;

	begin();
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		enter_namespace(FOREIGN_PROC);
		_exit(attach_in_namespace());
	}
	waitpid(pid, &status, 0);
	ok(status == 0,
	   "attach is exact in a pid namespace without a /proc of its own");

	begin();
	target = launch(touch_forever, 0);
	release(&target);
	tool = attach(TIME_NAMESPACE, false, &target);
	after_ticks(5);
	kill(tool, SIGTERM);
	ok(finish(tool) == 0 && adds_up() && report.nr == 1 &&
	   report.total.min_flt >= 50 && total_is_the_rings() &&
	   atof(report.rows[0].lifetime + 1) < 500,
	   "attach counts its process in another time namespace");
	kill_target(&target, NULL);
}

/* ---- hidepid: with CAP_PERFMON, a user may profile what /proc hides ---- */

static void check_hidepid(void)
{
	struct target target = launch(sleep_forever, 0);
	pid_t tool;

	begin();
	tool = start(AS_PERFMON | HIDEPID, ATTACH("-p", number(target.pid)));
	if (!UNTIL(has_exited(tool)))
		kill(tool, SIGTERM);
	ok(finish(tool) == 1 && report.lines == 1 && mentions("/proc") &&
	   !nr_listed(), "attach refuses a process whose counts hidepid=2 hides");
	kill_target(&target, NULL);
}

int main(void)
{
	open_rings();

	check_usage();
	check_exit();
	check_threads();
	check_detach();
	check_registered();
	check_permission();
	check_namespaces();
	check_hidepid();

	return done();
}
