// SPDX-License-Identifier: GPL-2.0
/*
 * What userapp makes of what each process did: its table is what the rings and
 * wait4(2) say, to the fault; and it leaves registered what it found so, and
 * nothing else.
 *
 * "table ROLE" is the command that userapp runs.
 */
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define PROGRAM		"/mp3/table"
#define REPORT		"/tmp/report"
#define LAST_PID_PATH	"/proc/sys/kernel/ns_last_pid"
#define MAX_ROWS	64
#define ARGS(...)	((const char *const[]){ "userapp", __VA_ARGS__, NULL })

/* How userapp is started. */
#define AS_USER		1	/* as one who may not read the rings */
#define NO_PIDFD	2	/* in a sandbox without pidfd_open(2) */
#define IN_NAMESPACE	4	/* in a pid namespace of its own */

/**
 * struct row - a line of the table, or a sum of records
 * @name:     as printed, blanks at its end gone
 * @pid:      process id, or how many processes
 * @lifetime: as printed
 */
struct row {
	char name[32];
	unsigned int pid;
	unsigned long min_flt, maj_flt;
	double cpu;
	char lifetime[32];
};

/**
 * struct report - what userapp said on stderr, and how it ended
 * @text:   all of it
 * @lines:  in it
 * @status: exit status, or 128 and the signal
 * @rows:   of the table, one a process
 * @nr:	    of them
 * @others: those that have no row
 * @total:  the last line of the table
 */
struct report {
	char text[1 << 16];
	int lines;
	int status;
	struct row rows[MAX_ROWS];
	unsigned int nr;
	struct row others;
	struct row total;
};

static struct ring ring;
static struct report report;
static const struct mp3_header *records_header;
static const struct mp3_record *records;
static uint64_t from, records_from;	/* heads when the case began */

/* What children find out, for their parent. */
#define SEEN		8
static volatile long *seen;

/* ---- The rings, by themselves ---- */

static void records_open(void)
{
	int fd = open(MP3_PROCS_PATH, O_RDONLY | O_CLOEXEC);
	void *map;

	if (fd < 0)
		err(1, "%s", MP3_PROCS_PATH);
	map = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd,
		   MP3_OFF_HEADER);
	if (map == MAP_FAILED)
		err(1, "mmap of the header");
	records_header = map;
	map = mmap(NULL, records_header->capacity * sizeof(*records), PROT_READ,
		   MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "mmap of the records");
	records = map;
}

static uint64_t records_head(void)
{
	return __atomic_load_n(&records_header->head, __ATOMIC_ACQUIRE);
}

/* A new case: nothing is registered, and so the heads stay. */
static void begin(void)
{
	wait_idle(&ring);
	from = ring_head(&ring);
	records_from = records_head();
}

/* What the records since the case began say of a process, or of all (0). */
static struct row records_of(unsigned int pid)
{
	struct row row = { .pid = pid };
	uint64_t i, head = records_head(), first = 0, cpu_ns = 0;

	if (head - records_from >= records_header->capacity - 1)
		errx(1, "the ring of records has lapped");
	for (i = records_from; i < head; i++) {
		const struct mp3_record *r = &records[i % records_header->capacity];

		if (pid && r->pid != pid)
			continue;
		if (!first)
			first = r->time_ns;
		row.min_flt += r->min_flt;
		row.maj_flt += r->maj_flt;
		cpu_ns += r->cpu_ns;
		if (r->flags & MP3_LAST && r->time_ns == first)
			strcpy(row.lifetime, "<0.05 s");
		else
			snprintf(row.lifetime, sizeof(row.lifetime), "%.2f s",
				 (double)(r->time_ns - first) / 1e9);
	}
	row.cpu = cpu_ns / 1e9;

	return row;
}

/* ---- Running userapp, and reading what it says ---- */

/* Only that: the program behind it may have the others. */
static void forbid_pidfd(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		err(1, "seccomp");
}

/* Its first process: the caller becomes the one that waits for it. */
static void enter_namespace(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		err(1, "unshare");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid) {
		waitpid(pid, &status, 0);
		_exit(WEXITSTATUS(status));
	}
	if (mount("proc", "/proc", "proc", 0, NULL))
		err(1, "mount /proc");
}

static pid_t start(int how, const char *const argv[])
{
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(REPORT, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0 || dup2(fd, 2) < 0)
		err(1, "%s", REPORT);
	close(fd);
	if (how & IN_NAMESPACE)
		enter_namespace();
	if (how & NO_PIDFD)
		forbid_pidfd();
	if (how & AS_USER && (setresgid(1000, 1000, 1000) ||
			      setresuid(1000, 1000, 1000)))
		err(1, "change of ids");
	execv("/mp3/userapp", (char *const *)argv);
	err(1, "userapp");
}

/* "label (N processes) ...": the counts of more than one. */
static bool parse_sum(const char *line, const char *label, struct row *row)
{
	size_t len = strlen(label);

	if (strncmp(line, label, len))
		return false;
	return sscanf(line + len, " (%u %*[a-z]) %lu %lu %lf s %31[^\n]",
		      &row->pid, &row->min_flt, &row->maj_flt, &row->cpu,
		      row->lifetime) >= 4;
}

static bool parse_row(const char *line, struct row *row)
{
	size_t len = 15;

	if (strlen(line) < len ||
	    sscanf(line + len, " %u %lu %lu %lf s %31[^\n]", &row->pid,
		   &row->min_flt, &row->maj_flt, &row->cpu, row->lifetime) != 5)
		return false;
	while (len && line[len - 1] == ' ')
		len--;
	memcpy(row->name, line, len);
	row->name[len] = '\0';

	return true;
}

static void parse(void)
{
	char text[sizeof(report.text)], *line, *rest;
	bool table = false;

	strcpy(text, report.text);
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		report.lines++;
		if (!strncmp(line, "process    ", 11))
			table = true;
		else if (table && parse_sum(line, "total", &report.total))
			table = false;
		else if (table && !parse_sum(line, "others", &report.others) &&
			 report.nr < MAX_ROWS &&
			 parse_row(line, &report.rows[report.nr]))
			report.nr++;
	}
}

/* Waits for userapp's end; its report is in "report". */
static int finish(pid_t userapp)
{
	FILE *file;
	int status;

	if (waitpid(userapp, &status, 0) != userapp)
		err(1, "wait");
	memset(&report, 0, sizeof(report));
	report.status = WIFEXITED(status) ? WEXITSTATUS(status) :
					    128 + WTERMSIG(status);
	file = fopen(REPORT, "r");
	if (!file || !fread(report.text, 1, sizeof(report.text) - 1, file))
		diag("userapp is silent");
	if (file)
		fclose(file);
	parse();

	return report.status;
}

static int run(int how, const char *const argv[])
{
	return finish(start(how, argv));
}

static bool mentions(const char *words)
{
	if (strstr(report.text, words))
		return true;
	diag("lacks '%s'; status %d, and it said:", words, report.status);
	for (char *line = strtok(report.text, "\n"); line; line = strtok(NULL, "\n"))
		diag("%s", line);
	return false;
}

static const struct row *row_of(unsigned int pid)
{
	unsigned int i;

	for (i = 0; i < report.nr; i++)
		if (report.rows[i].pid == pid)
			return &report.rows[i];
	return NULL;
}

/* A printed time has three digits behind the point. */
static bool same_time(double a, double b, int terms)
{
	return a - b < 0.0006 * terms && b - a < 0.0006 * terms;
}

/* The rows, the others and the total fit each other. */
static bool adds_up(void)
{
	struct row sum = report.others;
	unsigned int i;

	for (i = 0; i < report.nr; i++) {
		sum.pid++;
		sum.min_flt += report.rows[i].min_flt;
		sum.maj_flt += report.rows[i].maj_flt;
		sum.cpu += report.rows[i].cpu;
	}
	return report.total.pid && sum.pid == report.total.pid &&
	       sum.min_flt == report.total.min_flt &&
	       sum.maj_flt == report.total.maj_flt &&
	       same_time(sum.cpu, report.total.cpu, report.nr + 2);
}

/* The total is what the records and the samples of this case add up to. */
static bool total_is_the_rings(void)
{
	struct totals samples;
	struct row all;

	wait_idle(&ring);
	samples = ring_sum(&ring, from);
	all = records_of(0);
	if (report.total.min_flt == all.min_flt &&
	    report.total.maj_flt == all.maj_flt &&
	    report.total.min_flt == samples.min_flt &&
	    report.total.maj_flt == samples.maj_flt &&
	    same_time(report.total.cpu, all.cpu, 1))
		return true;
	diag("total %lu, records %lu, samples %lu", report.total.min_flt,
	     all.min_flt, samples.min_flt);
	return false;
}

/* ---- What is profiled ---- */

static pid_t toucher(size_t pages)
{
	pid_t pid = fork_child();

	if (!pid) {
		touch(pages);
		_exit(0);
	}
	return pid;
}

static void touch_in_child(size_t pages)
{
	waitpid(toucher(pages), NULL, 0);
}

static int role_tree(void)
{
	int i;

	for (i = 1; i <= 20; i++)
		touch_in_child(100 * i);
	return 3;
}

static int role_storm(void)
{
	int i;

	for (i = 0; i < 2000; i++)
		touch_in_child(2);
	return 0;
}

/* Orphans that stay: their parent is gone before anyone has looked. */
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

/* Two processes of one id, each in more than one interval; 1 if there are. */
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

static const struct {
	const char *name;
	int (*play)(void);
} roles[] = {
	{ "tree", role_tree },
	{ "storm", role_storm },
	{ "daemons", role_daemons },
	{ "names", role_names },
	{ "reuse", role_reuse },
};

/**
 * struct target - a process that runs before userapp comes
 * @pid:   process id
 * @ready: it writes a byte here,
 * @go:    and waits for one from here
 */
struct target {
	pid_t pid;
	int ready[2];
	int go[2];
};

/* In the target. Its end follows when the test has closed its side. */
static void tell_and_wait(struct target *target)
{
	char byte = 0;

	if (write(target->ready[1], &byte, 1) != 1 ||
	    read(target->go[0], &byte, 1) != 1)
		_exit(1);
}

/* In the test: the target waits. */
static void await(struct target *target)
{
	char byte;

	if (read(target->ready[0], &byte, 1) != 1)
		errx(1, "a target has died");
}

static void release(struct target *target)
{
	if (write(target->go[1], "", 1) != 1)
		err(1, "write to a target");
}

/*
 * Waits twice: the second time all that waiting needs is there, and it faults
 * no more until it is released.
 */
static struct target launch(void (*play)(struct target *target), int how)
{
	struct target target;

	memset((void *)seen, 0, SEEN * sizeof(*seen));
	if (pipe2(target.ready, O_CLOEXEC) || pipe2(target.go, O_CLOEXEC))
		err(1, "pipe");
	target.pid = fork_child();
	if (!target.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(target.ready[0]);
		close(target.go[1]);
		if (how & AS_USER && (setresgid(1000, 1000, 1000) ||
				      setresuid(1000, 1000, 1000) ||
				      prctl(PR_SET_DUMPABLE, 1)))
			err(1, "change of ids");
		tell_and_wait(&target);
		tell_and_wait(&target);
		play(&target);
		_exit(0);
	}
	close(target.ready[1]);
	close(target.go[0]);
	await(&target);
	release(&target);
	await(&target);

	return target;
}

static void forget(struct target *target, struct rusage *usage)
{
	kill(target->pid, SIGKILL);
	if (wait4(target->pid, NULL, 0, usage) != target->pid)
		err(1, "wait4");
	close(target->ready[0]);
	close(target->go[1]);
}

static void play_tree(struct target *target)
{
	struct rusage usage;
	int i;

	(void)target;
	for (i = 0; i < 50; i++) {
		wait4(toucher(10), NULL, 0, &usage);
		seen[0] += usage.ru_minflt;
	}
	touch(100);
}

static void play_sleep(struct target *target)
{
	(void)target;
	for (;;)
		pause();
}

static void play_touch(struct target *target)
{
	(void)target;
	for (;;) {
		touch(50);
		sleep_ms(10);
	}
}

static void fork_for_ever(void)
{
	for (;;)
		touch_in_child(3);
}

/* In "seen", of play_forks(): process ids, and two that are told each other */
#define OTHER		0	/* somebody else follows it, before */
#define OTHER_CHILD	1	/* it has this child, meanwhile */
#define FORKS		2	/* this one and the next fork like their parent */
#define OTHER_READY	4
#define ATTACHED	5

static void play_other(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (command('F', getpid()))
		_exit(1);
	seen[OTHER_READY] = 1;
	while (!seen[ATTACHED])
		sleep_ms(5);
	seen[OTHER_CHILD] = sleeper();
	for (;;)
		pause();
}

static void play_forks(struct target *target)
{
	pid_t other = fork_child();
	int i;

	if (!other)
		play_other();
	seen[OTHER] = other;
	while (!seen[OTHER_READY])
		sleep_ms(5);
	for (i = FORKS; i < FORKS + 2; i++) {
		pid_t pid = fork_child();

		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			fork_for_ever();
		}
		seen[i] = pid;
	}
	tell_and_wait(target);
	seen[ATTACHED] = 1;
	fork_for_ever();
}

static void *wait_in_thread(void *arg)
{
	seen[0] = syscall(SYS_gettid);
	tell_and_wait(arg);
	return NULL;
}

static void play_thread(struct target *target)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, wait_in_thread, target))
		pthread_join(thread, NULL);
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

/* ---- Waiting: a minute is a hang, and no measure of anything ---- */

#define UNTIL(condition) ({						\
	int left_ = 6000;						\
									\
	while (!(condition) && --left_)					\
		sleep_ms(10);						\
	left_ > 0; })

static int nr_listed(void)
{
	char *text = status_text(), *at;
	int nr = 0;

	for (at = text; *at; at++)
		nr += *at == '\n';
	free(text);

	return nr;
}

static bool after_ticks(unsigned int nr)
{
	uint64_t ticks = records_header->ticks;

	return UNTIL(records_header->ticks >= ticks + nr ||
		     !records_header->processes);
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

/* It has said so, and has taken its base. */
static bool attached(void)
{
	char text[64] = "";
	FILE *file = fopen(REPORT, "r");
	bool done = file && fgets(text, sizeof(text), file) &&
		    strstr(text, "is profiled until");

	if (file)
		fclose(file);
	return done;
}

/* Attaches; returns userapp once its target is registered. */
static pid_t attach(int how, bool follow, pid_t target, long number_given)
{
	pid_t userapp;

	unlink(REPORT);
	userapp = start(how, follow ?
			ARGS("-f", "-p", number(number_given)) :
			ARGS("-p", number(number_given)));
	if (!UNTIL(attached() || waitpid(userapp, NULL, WNOHANG)) ||
	    !listed(target))
		diag("userapp has not registered its target");
	return userapp;
}

/* Attaches to play_forks(), and lets it go on. */
static pid_t attach_to_forks(int how, struct target *target)
{
	pid_t userapp;

	*target = launch(play_forks, how);
	release(target);
	await(target);
	userapp = attach(how, true, target->pid, target->pid);
	release(target);
	if (!UNTIL(seen[OTHER_CHILD]))
		diag("its other child does not come");
	after_ticks(5);

	return userapp;
}

/* ---- Cases ---- */

static void check_usage(void)
{
	bool pass = run(0, ARGS("-f")) == 2 && report.lines == 1;

	pass = pass && run(0, ARGS("-n", "3", "true")) == 2 && report.lines == 1;
	pass = pass && run(0, ARGS("-f", "-n", "x", "true")) == 2 &&
	       report.lines == 1;
	pass = pass && run(0, ARGS("-f", "-n", "-1", "true")) == 2 &&
	       report.lines == 1;
	pass = pass && run(0, ARGS("-p", "0")) == 2 && report.lines == 1;
	pass = pass && run(0, ARGS("-f", "-p", "1", "true")) == 2 &&
	       report.lines == 1;
	ok(pass, "bad usage is one line and status 2");
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
	ok(run(0, ARGS("-f", PROGRAM, "tree")) == 3,
	   "-f: ends as its command did");
	ok(adds_up() && report.total.pid == 21 && report.nr == 10 &&
	   report.others.pid == 11, "-f: ten rows, the others, and the total");
	ok(total_is_the_rings(), "-f: the total is that of the records and of the samples");
	for (i = 0; i < report.nr; i++) {
		sorted = sorted && (!i || report.rows[i].min_flt <=
				    report.rows[i - 1].min_flt) &&
			 report.rows[i].min_flt >= 1100 &&
			 !strcmp(report.rows[i].name, "table");
		same = same && row_is_its_records(&report.rows[i]);
	}
	ok(sorted && report.nr, "-f: those that faulted most, first, by their names");
	ok(same && report.nr, "-f: each row is what its records say");
	ok(mentions("nothing was dropped or lost"), "-f: says that nothing is missing");
}

static void check_storm(void)
{
	begin();
	ok(run(0, ARGS("-f", "-n", "5", PROGRAM, "storm")) == 0 && adds_up() &&
	   report.total.pid == 2001 && report.nr == 5, "-n: 2,000 short children, five rows");
	ok(total_is_the_rings() && report.total.min_flt >= 4000,
	   "none of them is missed");
	ok(run(0, ARGS("-f", "-n", "0", "true")) == 0 && !report.nr &&
	   adds_up() && report.total.pid == 1, "-n 0: the total alone");
}

static void check_statuses(void)
{
	ok(run(0, ARGS("-f", "sh", "-c", "kill $$")) == 143,
	   "-f: killed, 128 and the signal");
	ok(run(0, ARGS("-f", "/no/such")) == 127 && report.lines == 1,
	   "-f: no such command, one line and 127");
	ok(run(0, ARGS("-f", "-p", "999999")) == 1 && report.lines == 1 &&
	   run(0, ARGS("-p", "999999")) == 1 && report.lines == 1,
	   "-p: no such process, one line and 1");
}

/* Kills the processes of this program's name but itself; returns how many. */
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
	pid_t userapp;

	begin();
	ok(run(0, ARGS("-f", PROGRAM, "daemons")) == 5 &&
	   mentions("profiled no more: 3"), "daemons left behind: -f ends with its command");
	/* Their number: 3 daemons, 3 that started them, and the command */
	ok(adds_up() && report.total.pid == 7 && total_is_the_rings(),
	   "daemons: they are in the table");
	ok(UNTIL(!nr_listed()), "daemons: they are registered no more");
	ok(kill_daemons() == 3, "daemons: they run on");

	begin();
	before = launch(play_touch, 0);
	command('R', before.pid);
	release(&before);
	userapp = start(0, ARGS("-f", PROGRAM, "daemons"));
	ok(finish(userapp) == 5 && UNTIL(nr_listed() == 1) && listed(before.pid) &&
	   adds_up() && report.total.pid == 7 && !row_of(before.pid),
	   "who was registered before stays so, and is not in the table");
	forget(&before, NULL);
	kill_daemons();

	/* It is listed no more, and its last record is still to come. */
	begin();
	set_interval("2000");
	before = launch(play_touch, 0);
	command('R', before.pid);
	release(&before);
	if (!UNTIL(records_head() > records_from))
		diag("no record of it");
	forget(&before, NULL);
	ok(run(0, ARGS("-f", "true")) == 0 && report.total.pid == 1 && adds_up(),
	   "nor is one that has just ended");
	set_interval("50");
}

static void check_attach(void)
{
	struct target target;
	struct rusage usage;
	pid_t userapp;
	long base, children;

	begin();
	target = launch(play_tree, 0);
	base = min_flt_of(target.pid);
	userapp = attach(0, true, target.pid, target.pid);
	release(&target);
	ok(finish(userapp) == 0 && mentions("until it ends") && adds_up() &&
	   report.total.pid == 51, "-f -p: up to the end of the process");
	forget(&target, &usage);
	ok_eq(report.total.min_flt, usage.ru_minflt - base,
	      "-f -p: the total is what wait4 says of it and its children");
	ok(total_is_the_rings(), "-f -p: and what the rings say");

	begin();
	target = launch(play_tree, 0);
	base = min_flt_of(target.pid);
	userapp = attach(0, false, target.pid, target.pid);
	release(&target);
	ok(finish(userapp) == 0 && adds_up() && report.nr == 1 &&
	   report.rows[0].pid == (unsigned int)target.pid,
	   "-p: the process alone");
	forget(&target, &usage);
	children = seen[0];
	ok_eq(report.total.min_flt, usage.ru_minflt - base - children,
	      "-p: the total is what wait4 says, without its children");

	begin();
	target = launch(play_sleep, 0);
	userapp = attach(NO_PIDFD, true, target.pid, target.pid);
	kill(target.pid, SIGKILL);
	ok(finish(userapp) == 0 && adds_up(), "-p: without pidfd_open, too");
	forget(&target, NULL);

	begin();
	target = launch(play_thread, 0);
	release(&target);
	await(&target);
	userapp = attach(0, false, target.pid, seen[0]);
	release(&target);
	ok(finish(userapp) == 0 && report.nr == 1 &&
	   report.rows[0].pid == (unsigned int)target.pid,
	   "-p: a thread's id stands for its process");
	forget(&target, NULL);
}

static void check_detach(void)
{
	struct target target, before, meanwhile;
	bool pass;
	pid_t userapp;

	begin();
	before = launch(play_sleep, 0);
	meanwhile = launch(play_sleep, 0);
	command('R', before.pid);
	userapp = attach_to_forks(0, &target);
	command('R', meanwhile.pid);
	kill(userapp, SIGINT);
	ok(finish(userapp) == 0 && adds_up() && mentions("profiled no more: ") &&
	   mentions("not ours to stop: 2"), "Ctrl-C: reports and ends");
	pass = UNTIL(nr_listed() == 4);
	after_ticks(3);
	ok(pass && nr_listed() == 4 && listed(before.pid) &&
	   listed(meanwhile.pid) && listed(seen[OTHER]) &&
	   listed(seen[OTHER_CHILD]),
	   "Ctrl-C: unregistered is what came by it, and nothing else");
	ok(alive(target.pid) && alive(seen[FORKS]) && alive(seen[FORKS + 1]),
	   "Ctrl-C: what was profiled runs on");
	forget(&target, NULL);
	forget(&before, NULL);
	forget(&meanwhile, NULL);

	begin();
	target = launch(play_sleep, 0);
	userapp = attach(0, false, target.pid, target.pid);
	kill(userapp, SIGTERM);
	ok(finish(userapp) == 0 && adds_up() && !nr_listed() &&
	   report.rows[0].lifetime[0] == '>' && total_is_the_rings(),
	   "SIGTERM: the same; its life was longer than what was seen of it");
	forget(&target, NULL);

	begin();
	target = launch(play_sleep, 0);
	userapp = attach(0, true, target.pid, target.pid);
	command('U', target.pid);
	ok(finish(userapp) == 0 && mentions("unregistered by somebody else") &&
	   alive(target.pid), "unregistered by somebody else: says so and ends");
	forget(&target, NULL);
}

static void check_registered(void)
{
	struct target target;

	begin();
	target = launch(play_sleep, 0);
	command('R', target.pid);
	ok(run(0, ARGS("-p", number(target.pid))) == 1 && report.lines == 1 &&
	   mentions("lready registered") && listed(target.pid),
	   "registered already: one line, status 1, and it stays so");
	ok(run(0, ARGS("-f", "-p", number(target.pid))) == 1 &&
	   report.lines == 1 && mentions("lready registered") &&
	   listed(target.pid), "the same with -f");
	ok_eq(command('F', target.pid), 0, "which has not made it followed");
	forget(&target, NULL);
}

static void check_permission(void)
{
	struct target target;
	struct rusage usage;
	pid_t userapp;
	char text[64];
	long base;

	begin();
	target = launch(play_sleep, 0);
	ok(run(AS_USER, ARGS("-p", number(target.pid))) == 1 &&
	   report.lines == 1 && mentions("not permitted") && !nr_listed(),
	   "not permitted: one line and status 1");
	forget(&target, NULL);

	ok(run(AS_USER, ARGS("-f", PROGRAM, "tree")) == 3 &&
	   mentions("minor faults  ") &&
	   mentions("table         - " MP3_PROCS_PATH ": Permission"),
	   "records that may not be read: runs, and says so");
	ok(run(AS_USER, ARGS("-f", PROGRAM, "daemons")) == 5 &&
	   mentions("profiled no more: 3") && UNTIL(!nr_listed()),
	   "and leaves nothing registered");
	kill_daemons();

	begin();
	target = launch(play_tree, AS_USER);
	base = min_flt_of(target.pid);
	userapp = attach(AS_USER, false, target.pid, target.pid);
	release(&target);
	finish(userapp);
	/* It was not reaped yet: what /proc says of it at last is all. */
	forget(&target, &usage);
	snprintf(text, sizeof(text), "minor faults  %ld\n",
		 usage.ru_minflt - base - seen[0]);
	ok(!report.status && mentions(text) && mentions("table         - "),
	   "and attaches, and counts by /proc");

	begin();
	userapp = attach_to_forks(AS_USER, &target);
	kill(userapp, SIGINT);
	ok(finish(userapp) == 0 && UNTIL(nr_listed() == 2) &&
	   listed(seen[OTHER]) && listed(seen[OTHER_CHILD]), "and detaches");
	forget(&target, NULL);

	begin();
	ok(run(IN_NAMESPACE, ARGS("-f", PROGRAM, "tree")) == 3 &&
	   mentions("pid namespace"),
	   "in another pid namespace: runs, and says why there is no table");
}

static void check_names(void)
{
	const char *at;

	begin();
	run(0, ARGS("-f", PROGRAM, "names"));
	for (at = report.text; *at == '\n' || (*at >= ' ' && *at <= '~'); at++)
		;
	ok(!*at && report.nr == 3 && adds_up(), "no name says anything to a terminal");
	ok(!strcmp(report.rows[0].name, "?[2J?) (????") &&
	   !strcmp(report.rows[1].name, ""), "blanks, brackets and no name at all are names");
}

static void check_reuse(void)
{
	const char *name = "two processes of one id are two rows";
	int status;

	begin();
	status = run(0, ARGS("-f", PROGRAM, "reuse"));
	if (!status) {
		skip(name, "it was taken in between");
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
			return roles[i].play();

	seen = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		err(1, "mmap");
	ring = ring_open();
	records_open();

	check_usage();
	check_tree();
	check_storm();
	check_statuses();
	check_names();
	check_reuse();
	check_daemons();
	check_attach();
	check_detach();
	check_registered();
	check_permission();

	return done();
}
