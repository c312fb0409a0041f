// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl run: its table is what the rings contain, to the fault, and it leaves
 * registered what was registered before, and nothing else.
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

/* Leaves a setuid program behind. */
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
	ok(refused(0, 2, RUN("-n", "3", "true")),
	   "run refuses -n without -f in one line");
	ok(refused(0, 2, RUN("-f", "-n", "x", "true")) &&
	   refused(0, 2, RUN("-f", "-n", "-1", "true")),
	   "run refuses a number of rows that is none in one line");
	ok(refused(0, 2, RUN("-f", "-n", "3", "-n", "4", "true")) &&
	   refused(0, 2, RUN("-f", "-f", "true")),
	   "run refuses an option that is given twice in one line");
}

static bool row_is_its_records(const struct row *row)
{
	struct row want = records_of(row->pid);

	return row->min_flt == want.min_flt && row->maj_flt == want.maj_flt &&
	       same_time(row->cpu, want.cpu, 1) &&
	       !strcmp(row->lifetime, want.lifetime);
}

static void check_tree(void)
{
	bool sorted = true, same = true;
	unsigned int i;

	begin();
	ok(run(0, RUN("-f", PROGRAM, "tree")) == 3,
	   "run -f exits with the status of its command");
	ok(adds_up() && report.total.pid == 21 && report.nr == 10 &&
	   report.others.pid == 11,
	   "run -f prints ten rows, the others, and the total of 21 processes");
	ok(total_is_the_rings(),
	   "run -f prints a total that the records and the samples add up to");
	for (i = 0; i < report.nr; i++) {
		sorted = sorted && (!i || report.rows[i].min_flt <=
				    report.rows[i - 1].min_flt) &&
			 report.rows[i].min_flt >= 1100 &&
			 !strcmp(report.rows[i].name, "table");
		same = same && row_is_its_records(&report.rows[i]);
	}
	ok(sorted && report.nr,
	   "run -f sorts its table by faults, and names each process");
	ok(same && report.nr,
	   "run -f prints in each row what the records of the process add up to");
	ok(mentions("nothing was dropped or lost"),
	   "run -f reports that nothing is missing");
	ok(run(0, RUN("-f", "--", "true")) == 0 && adds_up(),
	   "run -f accepts -- before its command");
}

static void check_short_lived(void)
{
	begin();
	ok(run(0, RUN("-f", "-n", "5", PROGRAM, "short-lived")) == 0 &&
	   adds_up() && report.total.pid == 2001 && report.nr == 5,
	   "run -n 5 prints five rows of 2,001 processes");
	ok(total_is_the_rings() && report.total.min_flt >= 4000,
	   "run -f counts the faults of 2,000 short-lived children");
	ok(run(0, RUN("-f", "-n", "0", "true")) == 0 && !report.nr &&
	   adds_up() && report.total.pid == 1, "run -n 0 prints only the total");
}

static void check_statuses(void)
{
	ok(run(0, RUN("-f", "sh", "-c", "kill $$")) == 143 &&
	   run(0, RUN("sh", "-c", "kill $$")) == 143,
	   "run exits with 128 plus the signal that killed its command");
	ok(refused(0, 127, RUN("-f", "/no/such")) &&
	   refused(0, 127, RUN("/no/such")),
	   "run exits with 127 and one line if the command does not exist");
	begin();
	ok(run(0, RUN(PROGRAM, "exit")) == 0 && (wait_idle(&ring), true) &&
	   reported("minor faults  ") == (long)ring_sum(&ring, from).min_flt,
	   "run without -f reports the faults that the samples add up to");
}

/* Kills the daemons that this program has left behind. Returns how many. */
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
	struct target before;
	pid_t tool;

	begin();
	ok(run(0, RUN("-f", PROGRAM, "daemons")) == 5 &&
	   mentions("still running (unregistered): 3"),
	   "run -f exits with its command and reports the daemons left behind");
	/* 3 daemons, 3 processes that started them, and the command */
	ok(adds_up() && report.total.pid == 7 && total_is_the_rings(),
	   "run -f counts daemons in its table");
	ok(UNTIL(!nr_listed()), "run -f unregisters the daemons left behind");
	ok(kill_daemons() == 3, "run -f leaves daemons running");

	begin();
	before = launch(touch_forever, 0);
	command('R', before.pid);
	release(&before);
	tool = start(0, RUN("-f", PROGRAM, "daemons"));
	ok(finish(tool) == 5 && UNTIL(nr_listed() == 1) && listed(before.pid) &&
	   adds_up() && report.total.pid == 7 && !row_of(before.pid),
	   "run -f neither counts nor unregisters a process registered before");
	kill_target(&before, NULL);
	kill_daemons();

	/* It is no longer listed, but its last record is still to come. */
	begin();
	set_interval("2000");
	before = launch(touch_forever, 0);
	command('R', before.pid);
	release(&before);
	if (!UNTIL(records_head() > records_from))
		diag("the process has no record");
	kill_target(&before, NULL);
	ok(run(0, RUN("-f", "true")) == 0 && report.total.pid == 1 && adds_up(),
	   "run -f does not count a process that has exited before it started");
	set_interval("50");
}

static void check_permission(void)
{
	ok(run(AS_USER, RUN("-f", PROGRAM, "tree")) == 3 &&
	   reported("minor faults  ") > 0 &&
	   mentions("table         - " MP3_PROCS_PATH ": Permission"),
	   "run -f reports the command alone if the records may not be read");
	ok(run(AS_USER, RUN("-f", PROGRAM, "daemons")) == 5 &&
	   mentions("still running (unregistered): 3") && UNTIL(!nr_listed()),
	   "run -f unregisters daemons even if the records may not be read");
	kill_daemons();
}

/* The report of a command alone is what the samples add up to. */
static bool is_exact(int how, const char *const argv[])
{
	long faults;

	begin();
	if (run(how, argv)) {
		diag("status %d: %s", report.status, report.text);
		return false;
	}
	faults = reported("minor faults  ");
	wait_idle(&ring);
	if (faults > 0 && faults == (long)ring_sum(&ring, from).min_flt)
		return true;
	diag("reported %ld, want %lu", faults, ring_sum(&ring, from).min_flt);
	return false;
}

static void check_namespaces(void)
{
	ok(run(PID_NAMESPACE, RUN("-f", PROGRAM, "tree")) == 3 &&
	   mentions("pid namespace"),
	   "run -f in a pid namespace reports why there is no table");
	ok(is_exact(FOREIGN_PROC, RUN(PROGRAM, "exit")),
	   "run is exact in a pid namespace without a /proc of its own");
	ok(is_exact(FOREIGN_PROC, ARGS("userapp", PROGRAM, "exit")),
	   "userapp is exact in a pid namespace without a /proc of its own");
	begin();
	ok(refused(FOREIGN_PROC, 1, RUN("-f", PROGRAM, "exit")) &&
	   mentions("/proc") && ring_head(&ring) == from,
	   "run -f is refused in a pid namespace without a /proc of its own");
	begin();
	ok(run(TIME_NAMESPACE, RUN("-f", PROGRAM, "tree")) == 3 && adds_up() &&
	   report.total.pid == 21 && total_is_the_rings() &&
	   atof(report.total.lifetime) < 500,
	   "run -f counts every process in another time namespace");
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

	ok(run(AS_USER | HIDEPID, RUN(SETUID_PROGRAM, "exit")) == 1 &&
	   report.lines == 1 && mentions("/proc does not show"),
	   "run fails if hidepid=2 hides what a setuid command has done");
	ok(run(AS_USER | HIDEPID, ARGS("userapp", SETUID_PROGRAM, "exit")) == 1 &&
	   report.lines == 1 && mentions("/proc does not show"),
	   "userapp fails if hidepid=2 hides what a setuid command has done");
	begin();
	unlink(READY);
	ok(run(AS_PERFMON | HIDEPID, RUN("-f", PROGRAM, "leave-setuid")) == 1 &&
	   mentions("hidden by /proc, of unknown origin: 1"),
	   "run -f fails if hidepid=2 hides a process that may be in its tree");
	if (system("killall setuid"))
		diag("no setuid process is left");
	ok(run(AS_USER | HIDEPID, RUN(PROGRAM, "exit")) == 0,
	   "run reports the user's own command under hidepid=2");
}

static void check_names(void)
{
	const char *at;

	begin();
	run(0, RUN("-f", PROGRAM, "names"));
	for (at = report.text; *at == '\n' || (*at >= ' ' && *at <= '~'); at++)
		;
	ok(!*at && report.nr == 3 && adds_up(),
	   "run -f prints no byte of a name that could control a terminal");
	ok(!strcmp(report.rows[0].name,
		   "\\x1b[2J\\x0d) (\\x0a\\x9b\\xc3\\xbc") &&
	   !strcmp(report.rows[1].name, ""),
	   "run -f prints names with blanks and brackets, and an empty name");
}

static void check_reuse(void)
{
	const char *name = "run -f prints two rows for two processes with one id";
	int status;

	begin();
	status = run(0, RUN("-f", PROGRAM, "reuse"));
	if (!status) {
		skip(name, "another process has taken the id");
		return;
	}
	ok(status == 1 && report.nr == 3 && total_is_the_rings() &&
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
	check_tree();
	check_short_lived();
	check_statuses();
	check_names();
	check_reuse();
	check_daemons();
	check_permission();
	check_namespaces();
	check_setuid();

	return done();
}
