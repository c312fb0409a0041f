// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl attach: it reports as many faults of running processes as wait4(2) does,
 * and does not affect other profilers of them.
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

/* Indices of "shared", for run_forks(): process ids */
#define FORKS		0	/* this and the next child fork continuously */

static void run_forks(struct target *target)
{
	int i;

	for (i = FORKS; i < FORKS + 2; i++) {
		pid_t pid = fork_child();

		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			fork_forever();
		}
		shared[i] = pid;
	}
	wait_release(target);
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

/* Starts a tool; returns once it has attached. */
static pid_t start_attached(int how, const char *const argv[])
{
	pid_t tool;

	unlink(REPORT);
	tool = start(how, argv);
	if (!UNTIL(is_attached() || has_exited(tool)) || has_exited(tool))
		diag("the tool has not attached");
	return tool;
}

/* Attaches to a process, with or without its descendants. */
static pid_t attach(int how, bool follow, const struct target *target)
{
	const char *pid = number(target->pid);

	return start_attached(how, follow ? ATTACH("-p", pid) :
					    ATTACH("--no-follow", "-p", pid));
}

/*
 * Returns whether the total is what the records of the observer add up to, which
 * registered the same processes while they were blocked.
 */
static bool total_is_the_observers(void)
{
	struct row all = records_of(0);

	if (report.total.min_flt == all.min_flt &&
	    report.total.maj_flt == all.maj_flt &&
	    same_time(report.total.cpu, all.cpu, 1))
		return true;
	diag("total %lu, records %lu", report.total.min_flt, all.min_flt);
	return false;
}

/* ---- Cases ---- */

static void check_usage(void)
{
	struct target target = launch(run_thread, 0);

	ok(refused(0, 2, ARGS("mp3ctl", "attach")) &&
	   refused(0, 2, ATTACH("-p", "0")) && refused(0, 2, ATTACH("-p", "1x")) &&
	   refused(0, 2, ATTACH("true")) &&
	   refused(0, 2, ATTACH("-a", "-p", "1")) &&
	   refused(0, 2, ATTACH("-a", "--no-follow")),
	   "attach refuses bad usage in one line");
	ok(refused(0, 1, ATTACH("-p", "999999")) &&
	   refused(0, 1, ATTACH("--no-follow", "-p", "999999")),
	   "attach fails with one line if there is no such process");
	release(&target);
	wait_ready(&target);
	ok(refused(0, 2, ATTACH("-p", number(target.pid), "-p",
				number(shared[0]))) && mentions("more than once"),
	   "attach refuses two threads of one process in one line");
	kill_target(&target, NULL);
	ok(refused(0, 1, ATTACH("-p", "2")) && mentions("ernel thread"),
	   "attach names a kernel thread as the reason of its failure");
	target = launch(sleep_forever, 0);
	ok(refused(0, 1, ATTACH("-p", number(target.pid), "-p", "999999")) &&
	   UNTIL(grid_stands_still()),
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
	observe('F', target.pid);
	tool = attach(0, true, &target);
	release(&target);
	ok(finish(tool) == 0 && mentions("until it exits") && adds_up() &&
	   report.total.pid == 51, "attach ends when its process exits");
	kill_target(&target, &usage);
	ok_eq(report.total.min_flt, usage.ru_minflt - base,
	      "attach prints a total that is what wait4 reports of the tree");
	ok(total_is_the_observers(),
	   "attach prints a total that the records add up to");

	begin();
	target = launch(run_tree, 0);
	base = min_flt_of(target.pid);
	observe('R', target.pid);
	tool = attach(0, false, &target);
	release(&target);
	ok(finish(tool) == 0 && adds_up() && report.nr == 1 &&
	   report.rows[0].pid == (unsigned int)target.pid,
	   "attach --no-follow prints one row");
	kill_target(&target, &usage);
	children = shared[0];
	ok_eq(report.total.min_flt, usage.ru_minflt - base - children,
	      "attach --no-follow counts what wait4 reports without the children");
	ok(total_is_the_observers(),
	   "attach --no-follow prints a total that the records add up to");

	target = launch(touch_and_exit, 0);
	other = launch(touch_and_exit, 0);
	base = min_flt_of(target.pid) + min_flt_of(other.pid);
	tool = start_attached(0, ATTACH("-p", number(target.pid), "-p",
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

	target = launch(run_family, 0);
	release(&target);
	wait_ready(&target);
	tool = start_attached(0, ATTACH("--by", "tree", "-p", number(shared[0]),
					"-p", number(target.pid)));
	release(&target);
	ok(finish(tool) == 0 && adds_up() && report.nr == 2 &&
	   row_of(target.pid) && row_of((unsigned int)shared[0]) &&
	   !strcmp(report.rows[1].name, "  attach"),
	   "attach accepts a process and its descendant in any order");
	kill_target(&target, NULL);

	target = launch(sleep_forever, 0);
	tool = attach(NO_PIDFD, true, &target);
	kill(target.pid, SIGKILL);
	ok(finish(tool) == 0 && adds_up(),
	   "attach notices an exit without pidfd_open");
	kill_target(&target, NULL);
}

static void check_threads(void)
{
	struct target target;
	struct rusage usage;
	pid_t tool;
	long base;
	int how;

	target = launch(run_thread, 0);
	release(&target);
	wait_ready(&target);
	tool = start_attached(0, ATTACH("-p", number(shared[0])));
	release(&target);
	ok(finish(tool) == 0 && report.nr == 1 &&
	   report.rows[0].pid == (unsigned int)target.pid,
	   "attach takes a thread's id for that of its process");
	kill_target(&target, NULL);

	for (how = 0; how <= NO_PIDFD; how += NO_PIDFD) {
		const char *without = how ? ", without pidfd_open" : "";

		target = launch(leave_to_thread, 0);
		release(&target);
		wait_ready(&target);
		if (!UNTIL(state_of(target.pid) == 'Z'))
			diag("the first thread does not exit");
		base = min_flt_of(target.pid);
		tool = attach(how, true, &target);
		after_ticks(5);
		release(&target);
		ok(finish(tool) == 0 && adds_up() && report.nr == 1,
		   "attach profiles a process without its first thread to its end%s",
		   without);
		kill_target(&target, &usage);
		ok(report.total.min_flt ==
		   (unsigned long)(usage.ru_minflt - base),
		   "attach counts the threads that outlive the first one%s",
		   without);
	}
}

static void check_detach(void)
{
	struct target target;
	pid_t tool;

	target = launch(run_forks, 0);
	release(&target);
	wait_ready(&target);
	tool = attach(0, true, &target);
	release(&target);
	after_ticks(5);
	kill(tool, SIGINT);
	ok(finish(tool) == 0 && adds_up() && report.total.pid >= 3 &&
	   mentions("still running (unregistered): "),
	   "attach reports and exits at SIGINT");
	ok(UNTIL(grid_stands_still()),
	   "attach leaves nothing registered at SIGINT");
	ok(alive(target.pid) && alive(shared[FORKS]) && alive(shared[FORKS + 1]),
	   "attach leaves its tree running at SIGINT");
	kill_target(&target, NULL);

	target = launch(sleep_forever, 0);
	tool = attach(0, false, &target);
	kill(tool, SIGTERM);
	ok(finish(tool) == 0 && adds_up() && UNTIL(grid_stands_still()) &&
	   report.rows[0].lifetime[0] == '>',
	   "attach reports at SIGTERM a lifetime that is longer than it has seen");
	kill_target(&target, NULL);
}

/* ---- Several profilers of one process ---- */

static void check_together(void)
{
	struct target target;
	struct rusage usage;
	pid_t tool, other;
	long base;

	/* Each begins at another time, and both are exact. */
	target = launch(run_tree, 0);
	command('F', target.pid);
	base = min_flt_of(target.pid);
	other = start_attached(0, ATTACH("-o", "/tmp/other", "-p",
					 number(target.pid)));
	tool = attach(0, true, &target);
	after_ticks(5);
	ok(listed(target.pid) == 1,
	   "attach leaves a process in the classic registry");
	release(&target);
	ok(finish(tool) == 0 && adds_up() && report.total.pid == 51,
	   "attach profiles a process that others profile");
	kill_target(&target, &usage);
	ok_eq(report.total.min_flt, usage.ru_minflt - base,
	      "attach is exact for a process that others profile");
	waitpid(other, NULL, 0);
	memset(&report, 0, sizeof(report));
	read_report("/tmp/other");
	ok(adds_up() && report.total.pid == 51 &&
	   report.total.min_flt == (unsigned long)(usage.ru_minflt - base),
	   "a second attach to the same process is exact");

	target = launch(run_forks, 0);
	release(&target);
	wait_ready(&target);
	command('R', target.pid);
	tool = attach(0, true, &target);
	release(&target);
	command('U', target.pid);
	after_ticks(5);
	ok(!has_exited(tool),
	   "attach continues when the status file unregisters its process");
	kill(tool, SIGINT);
	finish(tool);
	kill_target(&target, NULL);
}

/* Reads the process id that a command has written to /tmp/pid, or 0. */
static pid_t read_pid(void)
{
	FILE *file = fopen("/tmp/pid", "r");
	int pid = 0;

	if (file) {
		if (fscanf(file, "%d", &pid) != 1)
			pid = 0;
		fclose(file);
	}
	return pid;
}

static void check_below_run(void)
{
	static const char script[] =
		"echo $$ >/tmp/pid\n"
		"while [ -e /tmp/pid ]; do (:); usleep 10000; done\n"
		"exit 7";
	pid_t outer, tool, command;

	unlink("/tmp/pid");
	outer = start(0, RUN("-o", "/tmp/outer", "sh", "-c", script));
	if (!UNTIL(read_pid()))
		diag("the command of mp3ctl run does not start");
	command = read_pid();
	unlink(REPORT);
	tool = start_attached(0, ATTACH("-p", number(command)));
	after_ticks(5);
	kill(tool, SIGINT);
	ok(command && finish(tool) == 0 && adds_up() && report.total.pid > 1 &&
	   row_of((unsigned int)command),
	   "attach profiles a process under mp3ctl run");
	unlink("/tmp/pid");
	ok(finish(outer) == 7, "mp3ctl run continues after attach to its command");
	memset(&report, 0, sizeof(report));
	read_report("/tmp/outer");
	ok(adds_up() && mentions("nothing was dropped or lost"),
	   "mp3ctl run reports after attach to its command");
}

/* ---- The whole machine ---- */

static void check_all(void)
{
	struct target before = launch(run_tree, 0), after;
	struct rusage usage, later;
	pid_t tool;
	long base;

	base = min_flt_of(before.pid);
	tool = start_attached(0, ATTACH("-a", "-n", "200"));
	after = launch(run_tree, 0);
	release(&after);
	if (!UNTIL(has_exited(after.pid)))
		diag("a process does not exit");
	base += shared[0];	/* of the children, which have rows of their own */
	shared[0] = 0;
	release(&before);
	if (!UNTIL(has_exited(before.pid)))
		diag("a process does not exit");
	base += shared[0];
	after_ticks(3);
	kill(tool, SIGINT);
	kill_target(&before, &usage);
	kill_target(&after, &later);
	ok(finish(tool) == 0 && adds_up() && mentions("all processes") &&
	   row_of(getpid()) && row_of(1) && row_of((unsigned int)tool),
	   "attach -a profiles every process, itself included");
	ok(row_of(before.pid) && row_of(after.pid) &&
	   (long)(row_of(before.pid)->min_flt + row_of(after.pid)->min_flt) ==
	   usage.ru_minflt + later.ru_minflt - base,
	   "attach -a counts what wait4 reports of two processes");
	ok(UNTIL(grid_stands_still()), "attach -a leaves nothing registered");
	ok(refused(AS_USER, 1, ATTACH("-a")) && mentions("CAP_PERFMON") &&
	   UNTIL(grid_stands_still()),
	   "attach -a is refused to an ordinary user in one line");
	tool = start_attached(AS_PERFMON, ATTACH("-a"));
	after_ticks(3);
	kill(tool, SIGINT);
	ok(finish(tool) == 0 && adds_up() && report.total.pid >= 3,
	   "attach -a is allowed to a user with CAP_PERFMON");
	tool = start(0, ATTACH("-a", "-n", "200", "sh", "-c", "exit 7"));
	ok(finish(tool) == 7 && adds_up() &&
	   row_of(1) && row_of((unsigned int)tool) &&
	   UNTIL(grid_stands_still()),
	   "attach -a profiles the machine while a command runs, and passes on its status");
	ok(finish(start(0, ATTACH("-a", "--limit", "minor=1", "true"))) == 3 &&
	   mentions("limit"),
	   "attach -a exits with status 3 if a limit was exceeded while a command ran");
}

/* ---- Permission ---- */

static void check_permission(void)
{
	struct target target;
	struct rusage usage;
	pid_t tool;
	long base;

	target = launch(sleep_forever, 0);
	ok(refused(AS_USER, 1, ATTACH("-p", number(target.pid))) &&
	   mentions("not permitted") && UNTIL(grid_stands_still()),
	   "attach refuses another user's process in one line");
	kill_target(&target, NULL);

	target = launch(run_tree, AS_USER);
	base = min_flt_of(target.pid);
	tool = attach(AS_USER, true, &target);
	release(&target);
	ok(finish(tool) == 0 && adds_up() && report.total.pid == 51,
	   "attach prints the table of a user's own processes");
	kill_target(&target, &usage);
	ok_eq(report.total.min_flt, usage.ru_minflt - base,
	      "attach by a user prints what wait4 reports of the tree");

	target = launch(sleep_forever, 0);
	tool = attach(AS_PERFMON | HIDEPID, false, &target);
	kill(target.pid, SIGKILL);
	ok(finish(tool) == 0 && adds_up() && report.nr == 1,
	   "attach with CAP_PERFMON profiles a process that hidepid=2 hides");
	kill_target(&target, NULL);
}

/* ---- Namespaces: the target is a process of the namespace, too ---- */

/* In a pid namespace: attaches to a child. Returns 0 if the report is exact. */
static int attach_in_namespace(void)
{
	struct target target = launch(run_tree, 0);
	pid_t tool;

	observe('F', target.pid);
	tool = attach(0, true, &target);
	release(&target);
	finish(tool);
	kill_target(&target, NULL);
	if (!report.status && adds_up() && report.total.pid == 51 &&
	    total_is_the_observers() &&
	    mentions("ids are those of the initial pid namespace"))
		return 0;
	diag("status %d: %s", report.status, report.text);
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

	target = launch(touch_forever, 0);
	release(&target);
	tool = attach(TIME_NAMESPACE, false, &target);
	after_ticks(5);
	kill(tool, SIGTERM);
	ok(finish(tool) == 0 && adds_up() && report.nr == 1 &&
	   report.total.min_flt >= 50 &&
	   atof(report.rows[0].lifetime + 1) < 500,
	   "attach counts its process in another time namespace");
	kill_target(&target, NULL);
}

int main(void)
{
	open_rings();

	check_usage();
	check_exit();
	check_threads();
	check_detach();
	check_together();
	check_below_run();
	check_all();
	check_permission();
	check_namespaces();

	return done();
}
