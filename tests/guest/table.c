// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl run: its table is what wait4(2) and a capture of the test's own report, to
 * the fault, also for an ordinary user; the classic registry does not notice it.
 *
 * "table ROLE" is the command that it runs.
 */
#include <dirent.h>

#include "report.h"

#define PROGRAM		"/mp3/table"
#define SETUID_PROGRAM	"/tmp/setuid"
#define LAST_PID_PATH	"/proc/sys/kernel/ns_last_pid"
#define READY		"/tmp/ready"

/* ---- Commands ---- */

static int role_tree(void)
{
	int i;

	for (i = 1; i <= 20; i++)
		touch_in_child(100 * i);
	return 3;
}

static int role_short_lived(void)
{
	int i;

	for (i = 0; i < 2000; i++)
		touch_in_child(2);
	return 0;
}

/* Orphans that stay: each loses its parent before the tool can see it. */
static int role_daemons(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		pid_t pid = fork_child();

		if (!pid) {
			setsid();
			if (!fork())
				for (;;)
					pause();
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	return 5;
}

static int role_names(void)
{
	static const char *const names[] = { "\033[2J\r) (\n\x9b\xc3\xbc", "" };
	int i;

	for (i = 0; i < 2; i++) {
		pid_t pid = fork_child();

		if (!pid) {
			prctl(PR_SET_NAME, names[i]);
			touch(2000 - 500 * i);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	return 0;
}

/*
 * Two processes with the same id, each of which lives for several intervals.
 * Returns 1 if there are.
 */
static int role_reuse(void)
{
	pid_t first = fork_child(), second;
	FILE *file;

	if (!first) {
		prctl(PR_SET_NAME, "first");
		touch(1000);
		sleep_ms(200);
		_exit(0);
	}
	waitpid(first, NULL, 0);
	file = fopen(LAST_PID_PATH, "w");
	if (file) {
		fprintf(file, "%d", first - 1);
		fclose(file);
	}
	second = fork_child();
	if (!second) {
		prctl(PR_SET_NAME, "second");
		touch(2000);
		sleep_ms(200);
		_exit(0);
	}
	waitpid(second, NULL, 0);

	return first == second;
}

/* As a setuid program: becomes root's, and waits for a signal. */
static int role_setuid(void)
{
	if (setresuid(0, 0, 0))
		err(1, "setresuid");
	close(open(READY, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	pause();
	return 0;
}

/* As a setuid program: exits at once, as a process that /proc may hide. */
static int role_exit(void)
{
	return 0;
}

/* Leaves a setuid program running. */
static int role_leave_setuid(void)
{
	pid_t pid = fork_child();

	if (!pid) {
		execl(SETUID_PROGRAM, SETUID_PROGRAM, "setuid", NULL);
		err(1, SETUID_PROGRAM);
	}
	return !UNTIL(!access(READY, F_OK));
}

static const struct {
	const char *name;
	int (*run)(void);
} roles[] = {
	{ "tree", role_tree },
	{ "short-lived", role_short_lived },
	{ "daemons", role_daemons },
	{ "names", role_names },
	{ "reuse", role_reuse },
	{ "setuid", role_setuid },
	{ "leave-setuid", role_leave_setuid },
	{ "exit", role_exit },
};

/* Copies this program to one that runs as root for every user. */
static void make_setuid_program(void)
{
	if (system("cp " PROGRAM " " SETUID_PROGRAM " && chmod 4755 "
		   SETUID_PROGRAM))
		errx(1, "cp");
}

/* ---- Cases ---- */

static void check_usage(void)
{
	ok(refused(0, 2, ARGS("mp3ctl", "run")) && refused(0, 2, RUN("-f")),
	   "run without a command is refused in one line");
	ok(refused(0, 2, RUN("-n", "x", "true")) &&
	   refused(0, 2, RUN("-n", "-1", "true")),
	   "run refuses a number of rows that is none in one line");
	ok(refused(0, 2, RUN("-n", "3", "-n", "4", "true")) &&
	   refused(0, 2, RUN("-f", "-f", "true")),
	   "run refuses an option that is given twice in one line");
	ok(refused(0, 2, RUN("--by", "color", "true")),
	   "run refuses an unknown argument of --by in one line");
	ok(refused(0, 1, RUN("-o", "/no/such/file", "true")),
	   "run refuses a file that it cannot create in one line");
}

static bool row_is_its_records(const struct row *row)
{
	struct row want = records_of(row->pid);

	return row->min_flt == want.min_flt && row->maj_flt == want.maj_flt &&
	       same_time(row->cpu, want.cpu, 1) &&
	       !strcmp(row->lifetime, want.lifetime);
}

static void check_tree(int how, const char *who)
{
	bool sorted = true, same = true;
	unsigned int i;

	ok(run_observed(how, RUN(PROGRAM, "tree")) == 3,
	   "run by %s exits with the status of its command", who);
	ok(adds_up() && report.total.pid == 21 && report.nr == 10 &&
	   report.others.pid == 11,
	   "run by %s prints ten rows, the others, and the total of 21 processes",
	   who);
	ok(total_is_the_records(),
	   "run by %s prints a total that the records add up to", who);
	ok(total_is_wait4(),
	   "run by %s prints a total that is what wait4 reports", who);
	for (i = 0; i < report.nr; i++) {
		sorted = sorted && (!i || report.rows[i].min_flt <=
				    report.rows[i - 1].min_flt) &&
			 report.rows[i].min_flt >= 1100 &&
			 !strcmp(report.rows[i].name, "table");
		same = same && row_is_its_records(&report.rows[i]);
	}
	ok(sorted && report.nr,
	   "run by %s sorts its table by faults, and names each process", who);
	ok(same && report.nr,
	   "run by %s prints in each row what the records of the process add up to",
	   who);
	ok(mentions("nothing was dropped or lost"),
	   "run by %s reports that nothing is missing", who);
}

static void check_options(void)
{
	unsigned long children, all;
	struct row base;

	ok(run(0, RUN("--", "true")) == 0 && adds_up() && report.total.pid == 1,
	   "run accepts -- before its command");
	ok(run_observed(0, RUN("-f", PROGRAM, "tree")) == 3 && adds_up() &&
	   report.total.pid == 21 && total_is_wait4(),
	   "run follows with -f as it does without");
	/* What the command has done as a child of the tool */
	ok(run_observed(0, RUN("--no-follow", PROGRAM, "tree")) == 3 &&
	   adds_up() && report.total.pid == 1 && report.nr == 1,
	   "run --no-follow prints one row");
	all = records_of_tree().min_flt;
	children = all - records_of(report.rows[0].pid).min_flt;
	ok(children >= 21000 && all == report.waited.min_flt,
	   "the observer has what wait4 reports of the tree");
	ok(command_base(&base) && report.total.min_flt ==
	   report.waited.min_flt - children - base.min_flt,
	   "run --no-follow counts what wait4 reports without the children");
}

static void check_short_lived(void)
{
	ok(run_observed(0, RUN("-n", "5", PROGRAM, "short-lived")) == 0 &&
	   adds_up() && report.total.pid == 2001 && report.nr == 5,
	   "run -n 5 prints five rows of 2,001 processes");
	ok(total_is_wait4() && total_is_the_records() &&
	   report.total.min_flt >= 4000,
	   "run counts the faults of 2,000 short-lived children");
	ok(run(0, RUN("-n", "0", "true")) == 0 && !report.nr && adds_up() &&
	   report.total.pid == 1, "run -n 0 prints only the total");
}

static void check_statuses(void)
{
	ok(run(0, RUN("sh", "-c", "kill $$")) == 143 &&
	   run(0, RUN("--no-follow", "sh", "-c", "kill $$")) == 143,
	   "run exits with 128 plus the signal that killed its command");
	ok(refused(0, 127, RUN("/no/such")) &&
	   refused(0, 127, RUN("--no-follow", "/no/such")),
	   "run exits with 127 and one line if the command does not exist");
}

static void check_unregistered(void)
{
	bool good = refused(NO_COMMANDS, 1, RUN("touch", READY));

	/* Time enough for a command that does not wait. */
	sleep_ms(500);
	ok(good && access(READY, F_OK),
	   "run does not start a command that it cannot register");
	unlink(READY);
}

/* Kills the daemons that this program has left running. Returns how many. */
static int kill_daemons(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[300], comm[32];
	FILE *file;
	int nr = 0;
	pid_t pid;

	while (dir && (entry = readdir(dir))) {
		pid = atoi(entry->d_name);
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		file = pid > 0 && pid != getpid() && getpgid(pid) != getpgrp() ?
		       fopen(path, "r") : NULL;
		if (!file)
			continue;
		if (fgets(comm, sizeof(comm), file) && !strcmp(comm, "table\n"))
			nr += !kill(pid, SIGKILL);
		fclose(file);
	}
	if (dir)
		closedir(dir);

	return nr;
}

static void check_daemons(void)
{
	/* 3 daemons, 3 processes that started them, and the command */
	ok(run_observed(0, RUN(PROGRAM, "daemons")) == 5 && adds_up() &&
	   report.total.pid == 7 && total_is_the_records(),
	   "run counts daemons in its table");
	ok(mentions("still running (unregistered): 3"),
	   "run exits with its command and reports the daemons that it leaves");
	begin();	/* ends the observer, which has them registered, too */
	ok(UNTIL(grid_stands_still()),
	   "run unregisters the daemons that it leaves");
	ok(kill_daemons() == 3, "run leaves daemons running");
}

/* ---- Other profilers ---- */

static void check_registry(void)
{
	struct target before;
	pid_t tool;

	begin();
	before = launch(touch_forever, 0);
	command('R', before.pid);
	release(&before);
	tool = start(0, RUN(PROGRAM, "daemons"));
	ok(finish(tool) == 5 && nr_listed() == 1 && listed(before.pid) &&
	   adds_up() && report.total.pid == 7 && !row_of(before.pid),
	   "run leaves the classic registry as it is");
	kill_target(&before, NULL);
	kill_daemons();

	before = launch(sleep_forever, 0);
	command('F', before.pid);
	ok(run_observed(0, RUN(PROGRAM, "tree")) == 3 && total_is_wait4() &&
	   listed(before.pid),
	   "run is exact while another process is followed");
	kill_target(&before, NULL);
}

static void check_nested(void)
{
	struct row outer;

	ok(run_observed(0, RUN("-n", "50", "mp3ctl", "run", "-o", "/tmp/inner",
			       PROGRAM, "tree")) == 3 &&
	   adds_up() && report.total.pid == 22 && total_is_wait4() &&
	   total_is_the_records(), "run of run is exact");
	outer = report.total;
	memset(&report, 0, sizeof(report));
	read_report("/tmp/inner");
	ok(adds_up() && report.total.pid == 21 &&
	   report.total.min_flt > 21000 &&
	   report.total.min_flt < outer.min_flt &&
	   mentions("nothing was dropped or lost"),
	   "run in run prints its own table");
}

/* ---- Groups, and the tree ---- */

static const struct row *row_named(const char *name)
{
	unsigned int i;

	for (i = 0; i < report.nr; i++)
		if (!strcmp(report.rows[i].name, name))
			return &report.rows[i];
	return NULL;
}

static void check_groups(void)
{
	const struct row *row;

	ok(run_observed(0, RUN("--by", "name", PROGRAM, "names")) == 0 &&
	   adds_up() && report.total.pid == 3 && report.nr == 3 &&
	   row_named("table") && row_named("table")->pid == 1 &&
	   total_is_wait4(), "run --by name prints one row for each name");
	ok(run_observed(0, RUN("--by", "name", PROGRAM, "tree")) == 3 &&
	   adds_up() && report.nr == 1 && report.rows[0].pid == 21 &&
	   report.rows[0].min_flt == report.total.min_flt && total_is_wait4(),
	   "run --by name sums up the processes of one name");
	ok(run(AS_USER, RUN("--by", "user", PROGRAM, "tree")) == 3 &&
	   adds_up() && report.nr == 1 && row_named("user") &&
	   row_named("user")->pid == 21,
	   "run --by user prints the user's name");
	ok(run(0, RUN("--by", "user", "sh", "-c",
		      PROGRAM " tree; su user -c '" PROGRAM " tree'; :")) == 0 &&
	   adds_up() && report.nr == 2 && row_named("root") &&
	   row_named("user") && row_named("user")->pid >= 20,
	   "run --by user prints one row for each user");

	if (mkdir(CGROUPS "/table", 0755) || mkdir(CGROUPS "/removed", 0755))
		err(1, CGROUPS);
	run(0, RUN("--by", "cgroup", "sh", "-c",
		   "echo 0 >" CGROUPS "/table/cgroup.procs; " PROGRAM " tree; :"));
	row = row_named("/table");
	ok(adds_up() && report.total.pid == 22 && row && row->pid >= 21 &&
	   row->min_flt > 21000,
	   "run --by cgroup prints the path of a cgroup");
	rmdir(CGROUPS "/table");
	/* At the only tick, it is gone. */
	set_interval("3000");
	run(0, RUN("--by", "cgroup", "sh", "-c",
		   "echo 0 >" CGROUPS "/removed/cgroup.procs; " PROGRAM " exit; "
		   "echo 0 >" CGROUPS "/cgroup.procs; rmdir " CGROUPS "/removed"));
	set_interval("50");
	ok(adds_up() && report.nr == 2 &&
	   (!strncmp(report.rows[0].name, "cgroup ", 7) ||
	    !strncmp(report.rows[1].name, "cgroup ", 7)),
	   "run --by cgroup prints the id of a cgroup that has been removed");
}

static void check_forest(void)
{
	ok(run_observed(0, RUN("--by", "tree", "-n", "50", "sh", "-c",
			       PROGRAM " names; (sleep 0.2; (sleep 0.2; :)); :")) == 0 &&
	   adds_up() && total_is_wait4(), "run --by tree is exact");
	ok(report.nr >= 6 && !strcmp(report.rows[0].name, "sh") &&
	   !strcmp(report.rows[1].name, "  table") &&
	   !strncmp(report.rows[2].name, "    \\x1b", 8) &&
	   !report.rows[3].name[0] && row_named("  sh") && row_named("    sleep"),
	   "run --by tree indents each process below its parent");
	ok(run(0, RUN("--by", "tree", "-n", "2", PROGRAM, "tree")) == 3 &&
	   adds_up() && report.nr == 2 && report.others.pid == 19 &&
	   !strcmp(report.rows[0].name, "table") &&
	   !strcmp(report.rows[1].name, "  table") &&
	   report.rows[1].min_flt >= 2000,
	   "run --by tree -n 2 prints the process with most faults, and its parent");
	/* Each daemon's parent has exited before it is drawn. */
	run(0, RUN("--by", "tree", PROGRAM, "daemons"));
	ok(adds_up() && report.nr == 7 &&
	   !strcmp(report.rows[0].name, "table") &&
	   !strcmp(report.rows[1].name, "  table") &&
	   !strcmp(report.rows[2].name, "    table"),
	   "run --by tree puts a daemon below the parent that started it");
	kill_daemons();
}

static void check_output(void)
{
	unlink("/tmp/out");
	ok(run(0, RUN("-o", "/tmp/out", PROGRAM, "tree")) == 3 &&
	   !report.text[0], "run -o prints nothing to standard error");
	read_report("/tmp/out");
	ok(adds_up() && report.total.pid == 21,
	   "run -o writes its report to the file");
	ok(refused(0, 1, RUN("-o", "/dev/full", "true")) &&
	   run(0, RUN("-o", "/dev/full", PROGRAM, "tree")) == 3,
	   "run reports a file that it cannot write in one line");
}

/* ---- Permissions and limits ---- */

static void hold_captures(struct target *target)
{
	int i;

	(void)target;
	for (i = 0; i < 8; i++)
		shared[0] += open(MP3_CAPTURE_PATH, O_RDWR) >= 0;
	for (;;)
		pause();
}

static void check_limit(void)
{
	struct target target = launch(hold_captures, AS_USER);

	release(&target);
	ok(UNTIL(shared[0] == 8) && refused(AS_USER, 1, RUN("true")) &&
	   mentions("oo many captures of this user (8)"),
	   "run reports in one line that a user has too many captures");
	ok(run(0, RUN("true")) == 0,
	   "run by root does not depend on the captures of a user");
	kill_target(&target, NULL);
	ok(run(AS_USER, RUN("true")) == 0,
	   "run succeeds after another capture of the user has ended");
}

static void check_namespaces(void)
{
	ok(run_observed(PID_NAMESPACE, RUN(PROGRAM, "tree")) == 3 && adds_up() &&
	   report.total.pid == 21 && total_is_the_records() &&
	   mentions("ids are those of the initial pid namespace"),
	   "run is exact in a pid namespace, and names the namespace of its ids");
	ok(run_observed(FOREIGN_PROC, RUN(PROGRAM, "tree")) == 3 && adds_up() &&
	   report.total.pid == 21 && total_is_the_records(),
	   "run is exact in a pid namespace without a /proc of its own");
	ok(run(FOREIGN_PROC, ARGS("userapp", PROGRAM, "exit")) == 0 &&
	   reported("minor faults  ") > 0,
	   "userapp reports in a pid namespace without a /proc of its own");
	ok(run_observed(TIME_NAMESPACE, RUN(PROGRAM, "tree")) == 3 &&
	   adds_up() && report.total.pid == 21 && total_is_the_records() &&
	   atof(report.total.lifetime) < 500,
	   "run counts every process in another time namespace");
}

static void check_setuid(void)
{
	pid_t tool;

	make_setuid_program();
	unlink(READY);
	tool = start(AS_USER, RUN(SETUID_PROGRAM, "setuid"));
	if (!UNTIL(!access(READY, F_OK)))
		diag("the command has not become root");
	kill(tool, SIGTERM);
	sleep_ms(100);
	ok(!kill(tool, 0) && !system("killall setuid") && finish(tool) == 143 &&
	   mentions("SIGTERM was not forwarded"),
	   "run reports that SIGTERM cannot be forwarded to a setuid command");
	ok(mentions("1 process gained privileges and was unregistered") &&
	   report.total.pid <= 1,
	   "run by a user reports that its setuid command was unregistered");

	unlink(READY);
	ok(run(AS_USER, RUN(PROGRAM, "leave-setuid")) == 0 && adds_up() &&
	   mentions("1 process gained privileges and was unregistered"),
	   "run by a user reports that a setuid child was unregistered");
	if (system("killall setuid"))
		diag("no setuid process is left");
	unlink(READY);
	ok(run(AS_PERFMON, RUN(PROGRAM, "leave-setuid")) == 0 && adds_up() &&
	   report.total.pid == 2 && !strstr(report.text, "privileges"),
	   "run with CAP_PERFMON counts a setuid child");
	if (system("killall setuid"))
		diag("no setuid process is left");
	ok(run_observed(AS_USER | HIDEPID, RUN(PROGRAM, "tree")) == 3 &&
	   adds_up() && report.total.pid == 21 && total_is_the_records(),
	   "run is exact under hidepid=2");
	ok(run(AS_USER | HIDEPID, ARGS("userapp", SETUID_PROGRAM, "exit")) == 1 &&
	   report.lines == 1 && mentions("/proc does not show"),
	   "userapp fails if hidepid=2 hides what a setuid command has done");
}

static void check_names(void)
{
	const char *at;

	run(0, RUN(PROGRAM, "names"));
	for (at = report.text; *at == '\n' || (*at >= ' ' && *at <= '~'); at++)
		;
	ok(!*at && report.nr == 3 && adds_up(),
	   "run prints no byte of a name that could control a terminal");
	ok(!strcmp(report.rows[0].name,
		   "\\x1b[2J\\x0d) (\\x0a\\x9b\\xc3\\xbc") &&
	   !strcmp(report.rows[1].name, ""),
	   "run prints names with blanks and brackets, and an empty name");
}

static void check_reuse(void)
{
	const char *name = "run prints two rows for two processes with one id";
	int status;

	status = run_observed(0, RUN(PROGRAM, "reuse"));
	if (!status) {
		skip(name, "another process has taken the id");
		return;
	}
	ok(status == 1 && report.nr == 3 && total_is_wait4() &&
	   !strcmp(report.rows[0].name, "second") &&
	   !strcmp(report.rows[1].name, "first") &&
	   report.rows[0].pid == report.rows[1].pid &&
	   report.rows[0].min_flt >= 2000 && report.rows[1].min_flt >= 1000 &&
	   report.rows[1].min_flt < 2000, "%s", name);
}

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < ARRAY_SIZE(roles); i++)
		if (!strcmp(argv[1], roles[i].name))
			return roles[i].run();

	open_rings();

	check_usage();
	check_tree(0, "root");
	check_tree(AS_USER, "a user");
	check_options();
	check_short_lived();
	check_statuses();
	check_unregistered();
	check_names();
	check_reuse();
	check_daemons();
	check_registry();
	check_nested();
	check_groups();
	check_forest();
	check_output();
	check_limit();
	check_namespaces();
	check_setuid();

	return done();
}
