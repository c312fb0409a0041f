/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the tests of mp3ctl run and attach: running the tools, parsing their
 * reports, and processes to attach to.
 */
#ifndef MP3_REPORT_H
#define MP3_REPORT_H

#include <endian.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "process.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME	0x80
#endif

#define REPORT		"/tmp/report"
#define MAX_ROWS	256
#define MAX_ARGS	16

/* RUN("-f", "true") is "mp3ctl run -f true". */
#define ARGS(...)	((const char *const[]){ __VA_ARGS__, NULL })
#define RUN(...)	ARGS("mp3ctl", "run", __VA_ARGS__)
#define ATTACH(...)	ARGS("mp3ctl", "attach", __VA_ARGS__)

/* How a tool is started. */
#define AS_USER		1	/* as an ordinary user */
#define NO_PIDFD	2	/* in a sandbox without pidfd_open(2) */
#define PID_NAMESPACE	4	/* in a pid namespace, with a /proc of its own */
#define FOREIGN_PROC	8	/* in a pid namespace, with the /proc of another */
#define TIME_NAMESPACE	16	/* in a time namespace 1000 seconds ahead */
#define HIDEPID		32	/* with a /proc that hides others' processes */
#define AS_PERFMON	64	/* as a user with CAP_PERFMON */
#define NO_COMMANDS	128	/* in a sandbox that refuses commands to a capture */

/**
 * struct row - a line of the table, or a sum of records
 * @name:     as printed, without trailing blanks
 * @pid:      process id, or how many processes
 * @lifetime: as printed
 */
struct row {
	char name[80];
	unsigned int pid;
	unsigned long min_flt, maj_flt;
	double cpu;
	char lifetime[32];
};

/**
 * struct report - what a tool printed to standard error, and how it exited
 * @text:   all of it
 * @lines:  in it
 * @status: exit status, or 128 plus the signal that killed it
 * @groups: a row of the table is a group of processes, and @pid how many
 * @rows:   of the table
 * @nr:	    how many
 * @others: sum of the processes without a row
 * @total:  last line of the table
 * @waited: min_flt and maj_flt: what the tool's children and theirs have done, as
 *	    the kernel adds it up in wait4(2)
 */
struct report {
	char text[1 << 16];
	int lines;
	int status;
	bool groups;
	struct row rows[MAX_ROWS];
	unsigned int nr;
	struct row others;
	struct row total;
	struct row waited;
};

static struct report report;

/* Numbers that children report to the test. */
#define NR_SHARED	8
static volatile long *shared;

/* ---- The observer: a capture of this test, read without the code under test ---- */

/**
 * struct observer - the capture
 * @fd:	     its descriptor
 * @header:  its header
 * @records: its records, from the first one on
 * @size:    of the records, in bytes
 * @tool:    the process that was to become the tool
 * @in_namespace: the tool is a child of that process
 */
static struct observer {
	int fd;
	const struct mp3_header *header;
	const struct mp3_record *records;
	size_t size;
	pid_t tool;
	bool in_namespace;
} observer = { .fd = -1 };

static const volatile struct mp3_header *classic;

static inline const void *map_or_die(int fd, size_t size, off_t offset)
{
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, offset);

	if (fd < 0 || map == MAP_FAILED)
		err(1, "ring");
	return map;
}

static inline void open_rings(void)
{
	int fd = open(MP3_DEVICE_PATH, O_RDONLY | O_CLOEXEC);
	void *map;

	classic = map_or_die(fd, sysconf(_SC_PAGESIZE), MP3_OFF_HEADER);
	map = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		err(1, "mmap of shared memory");
	shared = map;
}

/* Starts a case: with a new and empty capture. */
static inline void begin(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (observer.fd >= 0) {
		munmap((void *)observer.header, page);
		munmap((void *)observer.records, observer.size);
		close(observer.fd);
	}
	observer.fd = open(MP3_CAPTURE_PATH, O_RDWR | O_CLOEXEC);
	observer.header = map_or_die(observer.fd, page, MP3_OFF_HEADER);
	observer.size = observer.header->capacity * sizeof(*observer.records);
	observer.records = map_or_die(observer.fd, observer.size, 0);
}

/* Registers a process in the observer. */
static inline void observe(char letter, pid_t pid)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "%c,%d", letter, pid);

	if (write(observer.fd, line, len) < 0)
		err(1, "%s: %s", MP3_CAPTURE_PATH, line);
}

static inline uint64_t records_head(void)
{
	uint64_t head = __atomic_load_n(&observer.header->head,
					__ATOMIC_ACQUIRE);

	if (head >= observer.header->capacity - 1)
		errx(1, "the observer's ring has lapped");
	return head;
}

static inline void add_record(struct row *sum, const struct mp3_record *record)
{
	sum->min_flt += record->min_flt;
	sum->maj_flt += record->maj_flt;
	sum->cpu += record->cpu_ns / 1e9;
}

/* Sums the records of a process, or of all processes (0). */
static inline struct row records_of(unsigned int pid)
{
	uint64_t i, head = records_head(), first = 0;
	struct row row = { .pid = pid };

	for (i = 0; i < head; i++) {
		const struct mp3_record *r = &observer.records[i];

		if (r->flags & MP3_IDENTITY || (pid && r->pid != pid))
			continue;
		if (!first)
			first = r->time_ns;
		add_record(&row, r);
		if (r->flags & MP3_LAST && r->time_ns == first)
			strcpy(row.lifetime, "<0.05 s");
		else
			snprintf(row.lifetime, sizeof(row.lifetime), "%.2f s",
				 (double)(r->time_ns - first) / 1e9);
	}

	return row;
}

/*
 * Sums the records of all processes but the tool, which have identities, and
 * counts them in @pid.
 */
static inline struct row records_of_tree(void)
{
	unsigned int tool = (unsigned int)observer.tool;
	uint64_t i, head = records_head();
	struct row row = {};

	for (i = 0; i < head; i++) {
		const struct mp3_record *r = &observer.records[i];

		if (r->flags & MP3_IDENTITY && observer.in_namespace &&
		    r->ppid == (unsigned int)observer.tool)
			tool = r->pid;
		if (r->flags & MP3_IDENTITY || r->pid == tool ||
		    r->pid == (unsigned int)observer.tool)
			continue;
		add_record(&row, r);
		row.pid += r->flags & MP3_FIRST;
	}

	return row;
}

/* ---- Running a tool ---- */

static inline void install_filter(struct sock_filter *code, unsigned short len)
{
	struct sock_fprog program = { .len = len, .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		err(1, "seccomp");
}

/* Makes pidfd_open(2) fail, and nothing else. */
static inline void forbid_pidfd(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install_filter(code, ARRAY_SIZE(code));
}

/* Returns the offset of the low word of an argument of a system call. */
static inline unsigned int low_word(unsigned int nr)
{
	return offsetof(struct seccomp_data, args) + 8 * nr +
	       (htobe16(1) == 1 ? 4 : 0);
}

/* Makes write(2) of more than one byte fail, except to the standard streams. */
static inline void forbid_commands(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low_word(0)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 2, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low_word(2)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install_filter(code, ARRAY_SIZE(code));
}

static volatile pid_t namespace_child;

static inline void forward_to_child(int number)
{
	kill(namespace_child, number);
}

/*
 * Creates namespaces, and returns in a child that lives in them. The calling
 * process forwards signals to the child and exits with its status.
 */
static inline void enter_namespace(int how)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWNS |
		    (how & (PID_NAMESPACE | FOREIGN_PROC) ? CLONE_NEWPID : 0) |
		    (how & TIME_NAMESPACE ? CLONE_NEWTIME : 0)) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		err(1, "unshare");
	if (how & TIME_NAMESPACE)
		write_file("/proc/self/timens_offsets", "monotonic 1000 0");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid) {
		namespace_child = pid;
		signal(SIGINT, forward_to_child);
		signal(SIGTERM, forward_to_child);
		while (waitpid(pid, &status, 0) < 0)
			;
		_exit(WEXITSTATUS(status));
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if ((how & PID_NAMESPACE && mount("proc", "/proc", "proc", 0, NULL)) ||
	    (how & HIDEPID && mount("proc", "/proc", "proc", 0, "hidepid=2")))
		err(1, "mount /proc");
}

/* Becomes a user. What it executes keeps CAP_PERFMON. */
static inline void become_perfmon(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {};

	data[CAP_PERFMON / 32].permitted = 1u << CAP_PERFMON % 32;
	data[CAP_PERFMON / 32].inheritable = 1u << CAP_PERFMON % 32;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) ||
	    setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000) ||
	    syscall(SYS_capset, &header, data) ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_PERFMON, 0, 0))
		err(1, "CAP_PERFMON");
}

/* Starts a tool. With @observed, the observer follows it from the start. */
static inline pid_t start_tool(int how, const char *const argv[], bool observed)
{
	char path[32], byte;
	int fd, gate[2];
	pid_t pid;

	if (pipe2(gate, O_CLOEXEC))
		err(1, "pipe");
	pid = fork_child();
	if (pid) {
		if (observed)
			observe('F', pid);
		if (write(gate[1], "", 1) != 1)
			err(1, "pipe");
		close(gate[0]);
		close(gate[1]);
		return pid;
	}

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(gate[0], &byte, 1) != 1)
		err(1, "pipe");
	fd = open(REPORT, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0 || dup2(fd, 2) < 0)
		err(1, "%s", REPORT);
	close(fd);
	if (how & (PID_NAMESPACE | FOREIGN_PROC | TIME_NAMESPACE | HIDEPID))
		enter_namespace(how);
	if (how & NO_PIDFD)
		forbid_pidfd();
	if (how & NO_COMMANDS)
		forbid_commands();
	if (how & AS_USER && (setresgid(1000, 1000, 1000) ||
			      setresuid(1000, 1000, 1000)))
		err(1, "change of ids");
	if (how & AS_PERFMON)
		become_perfmon();
	snprintf(path, sizeof(path), "/mp3/%s", argv[0]);
	execv(path, (char *const *)argv);
	err(1, "%s", path);
}

static inline pid_t start(int how, const char *const argv[])
{
	return start_tool(how, argv, false);
}

/* ---- Parsing its report ---- */

/* "label (N processes) ...": the sum of several processes. %*s is the peak RSS. */
static inline bool parse_sum(const char *line, const char *label,
			     struct row *row)
{
	size_t len = strlen(label);

	if (strncmp(line, label, len))
		return false;
	return sscanf(line + len, " (%u %*[a-z]) %lu %lu %lf s %*s %31[^\n]",
		      &row->pid, &row->min_flt, &row->maj_flt, &row->cpu,
		      row->lifetime) >= 4;
}

/*
 * The label ends before the last columns, of which a group lacks the lifetime, and
 * may contain blanks.
 */
static inline bool parse_row(const char *line, struct row *row)
{
	const char *end = strstr(line, " s");
	int column;

	/* After the CPU time, not in a name */
	while (end && (end == line || end[-1] < '0' || end[-1] > '9'))
		end = strstr(end + 1, " s");
	if (!end)
		return false;
	/* Back over CPU time, major faults, minor faults and the process id. */
	for (column = 0; column < 4; column++) {
		while (end > line && end[-1] == ' ')
			end--;
		while (end > line && end[-1] != ' ')
			end--;
	}
	if (sscanf(end, "%u %lu %lu %lf s %*s %31[^\n]", &row->pid,
		   &row->min_flt, &row->maj_flt, &row->cpu, row->lifetime) < 4)
		return false;
	while (end > line && end[-1] == ' ')
		end--;
	snprintf(row->name, sizeof(row->name), "%.*s", (int)(end - line), line);

	return true;
}

static inline void parse(void)
{
	char text[sizeof(report.text)], *line, *rest;
	bool table = false;

	strcpy(text, report.text);
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		report.lines++;
		if (strstr(line, " minor    major ")) {
			table = true;
			report.groups = !strstr(line, "lifetime");
		} else if (table && parse_sum(line, "total", &report.total)) {
			table = false;
		} else if (table && !parse_sum(line, "others", &report.others) &&
			 report.nr < MAX_ROWS &&
			 parse_row(line, &report.rows[report.nr])) {
			report.nr++;
		}
	}
}

/* Returns whether a child has exited. It is not reaped. */
static inline bool has_exited(pid_t pid)
{
	siginfo_t info = {};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
	       info.si_pid;
}

/* Reads what the children that a zombie has reaped have done. */
static inline void read_waited(pid_t pid, struct row *waited)
{
	char path[32], text[1024] = "", *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	end = file && fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
	if (end)
		sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %lu %*u %lu",
		       &waited->min_flt, &waited->maj_flt);
	if (file)
		fclose(file);
}

/* Reads the report of a tool from a file. */
static inline void read_report(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file || !fread(report.text, 1, sizeof(report.text) - 1, file))
		diag("the report is empty");
	if (file)
		fclose(file);
	parse();
}

/* Waits until a tool exits, and reads its report. Returns its status. */
static inline int finish(pid_t tool)
{
	siginfo_t info;
	int status;

	memset(&report, 0, sizeof(report));
	if (waitid(P_PID, (id_t)tool, &info, WEXITED | WNOWAIT))
		err(1, "wait");
	read_waited(tool, &report.waited);
	if (waitpid(tool, &status, 0) != tool)
		err(1, "wait");
	report.status = WIFEXITED(status) ? WEXITSTATUS(status) :
					    128 + WTERMSIG(status);
	read_report(REPORT);

	return report.status;
}

static inline int run(int how, const char *const argv[])
{
	return finish(start(how, argv));
}

#define UNTIL(condition) ({						\
	int left_ = 6000;						\
									\
	while (!(condition) && --left_)					\
		sleep_ms(10);						\
	left_ > 0; })

/*
 * Runs a command in the observer, too. No tick comes before the tool registers the
 * command, which publishes what the command has done until then: the observer's
 * first record with counts. Then total_is_the_records() can be checked.
 */
static inline int run_observed(int how, const char *const argv[])
{
	pid_t tool;

	begin();
	set_interval("10000");
	tool = start_tool(how, argv, true);
	observer.tool = tool;
	observer.in_namespace = how & (PID_NAMESPACE | FOREIGN_PROC |
				       TIME_NAMESPACE | HIDEPID);
	if (!UNTIL(records_head() || has_exited(tool)))
		diag("the tool has not registered its command");
	set_interval("50");

	return finish(tool);
}

/*
 * Sums up what the command had done when the tool registered it. Returns whether
 * that was before its first instruction: it has the name of the tool.
 */
static inline bool command_base(struct row *base)
{
	const struct mp3_record *records = observer.records;

	*base = (struct row){};
	if (records_head() < 2 || records[0].flags != MP3_IDENTITY ||
	    records[1].flags != MP3_FIRST ||
	    records[1].pid == (unsigned int)observer.tool ||
	    strcmp(records[1].comm, "mp3ctl")) {
		diag("the observer's first record is not that of the command, but of '%s'",
		     records[1].comm);
		return false;
	}
	add_record(base, &records[1]);

	return true;
}

/* Returns whether the report is one line, with this exit status. */
static inline bool refused(int how, int status, const char *const argv[])
{
	int i;

	if (run(how, argv) == status && report.lines == 1)
		return true;
	for (i = 0; argv[i]; i++)
		diag("argument %s", argv[i]);
	diag("status %d, %d lines: %s", report.status, report.lines, report.text);
	return false;
}

static inline bool mentions(const char *words)
{
	char text[sizeof(report.text)], *line;

	if (strstr(report.text, words))
		return true;
	diag("status %d, and the report lacks '%s':", report.status, words);
	strcpy(text, report.text);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		diag("%s", line);
	return false;
}

/* Returns the number after a label, or -1. */
static inline long reported(const char *label)
{
	const char *at = strstr(report.text, label);

	return at ? strtol(at + strlen(label), NULL, 10) : -1;
}

static inline const struct row *row_of(unsigned int pid)
{
	unsigned int i;

	for (i = 0; i < report.nr; i++)
		if (report.rows[i].pid == pid)
			return &report.rows[i];
	return NULL;
}

/* Printed times have three digits after the point. */
static inline bool same_time(double a, double b, int terms)
{
	return a - b < 0.0006 * terms && b - a < 0.0006 * terms;
}

/* Returns whether the rows and the others add up to the total. */
static inline bool adds_up(void)
{
	struct row sum = report.others;
	unsigned int i;

	for (i = 0; i < report.nr; i++) {
		sum.pid += report.groups ? report.rows[i].pid : 1;
		sum.min_flt += report.rows[i].min_flt;
		sum.maj_flt += report.rows[i].maj_flt;
		sum.cpu += report.rows[i].cpu;
	}
	return report.total.pid && sum.pid == report.total.pid &&
	       sum.min_flt == report.total.min_flt &&
	       sum.maj_flt == report.total.maj_flt &&
	       same_time(sum.cpu, report.total.cpu, report.nr + 2);
}

/*
 * After run_observed(): returns whether the total is what the observer's records
 * of all processes but the tool add up to, without what the command had done when
 * it was registered.
 */
static inline bool total_is_the_records(void)
{
	struct row all = records_of_tree(), base;

	if (command_base(&base) && report.total.pid == all.pid &&
	    report.total.min_flt == all.min_flt - base.min_flt &&
	    report.total.maj_flt == all.maj_flt - base.maj_flt &&
	    same_time(report.total.cpu, all.cpu - base.cpu, 1))
		return true;
	diag("total %lu of %u, records %lu of %u, base %lu",
	     report.total.min_flt, report.total.pid, all.min_flt, all.pid,
	     base.min_flt);
	return false;
}

/*
 * The same, by what wait4(2) has reported to the tool. All processes of the tree
 * must have been reaped by their parents.
 */
static inline bool total_is_wait4(void)
{
	struct row base;

	if (command_base(&base) &&
	    report.total.min_flt + base.min_flt == report.waited.min_flt &&
	    report.total.maj_flt + base.maj_flt == report.waited.maj_flt)
		return true;
	diag("total %lu, base %lu, wait4 %lu", report.total.min_flt,
	     base.min_flt, report.waited.min_flt);
	return false;
}

/*
 * Returns whether nothing is registered in any capture or in the status file: the
 * grid stands still.
 */
static inline bool grid_stands_still(void)
{
	uint64_t interval_ns = classic->interval_ns, ticks = classic->ticks;

	sleep_ms((long)(10 * interval_ns / 1000000));
	return classic->ticks == ticks;
}

static inline int nr_listed(void)
{
	char *text = status_text(), *at;
	int nr = 0;

	for (at = text; *at; at++)
		nr += *at == '\n';
	free(text);

	return nr;
}

static inline bool after_ticks(unsigned int nr)
{
	uint64_t ticks = classic->ticks;

	return UNTIL(classic->ticks >= ticks + nr);
}

/* ---- Processes to profile ---- */

static inline pid_t start_toucher(size_t pages)
{
	pid_t pid = fork_child();

	if (!pid) {
		touch(pages);
		_exit(0);
	}
	return pid;
}

static inline void touch_in_child(size_t pages)
{
	waitpid(start_toucher(pages), NULL, 0);
}

/**
 * struct target - a process that runs before the tool starts
 * @pid:   process id
 * @ready: the target writes a byte here,
 * @go:    and waits for one from here
 */
struct target {
	pid_t pid;
	int ready[2];
	int go[2];
};

/* In the target: waits for release(). If the test has exited, so does it. */
static inline void wait_release(struct target *target)
{
	char byte = 0;

	if (write(target->ready[1], &byte, 1) != 1 ||
	    read(target->go[0], &byte, 1) != 1)
		_exit(1);
}

/* In the test: waits until the target is in wait_release(). */
static inline void wait_ready(struct target *target)
{
	char byte;

	if (read(target->ready[0], &byte, 1) != 1)
		errx(1, "a target has exited");
}

static inline void release(struct target *target)
{
	if (write(target->go[1], "", 1) != 1)
		err(1, "write to a target");
}

static inline bool is_asleep(pid_t pid)
{
	struct stat_line stat;

	return stat_of(pid, &stat) && stat.state == 'S';
}

/*
 * Starts a target. It waits twice before it calls @body: the second time, all
 * pages that waiting needs are present, so it does not fault until release().
 */
static inline struct target launch(void (*body)(struct target *target), int how)
{
	struct target target;

	memset((void *)shared, 0, NR_SHARED * sizeof(*shared));
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
		wait_release(&target);
		wait_release(&target);
		body(&target);
		_exit(0);
	}
	close(target.ready[1]);
	close(target.go[0]);
	wait_ready(&target);
	release(&target);
	wait_ready(&target);
	/* Two that register it have the same base only if it does not run. */
	if (!UNTIL(is_asleep(target.pid)))
		errx(1, "a process to attach to does not wait");

	return target;
}

static inline void kill_target(struct target *target, struct rusage *usage)
{
	kill(target->pid, SIGKILL);
	if (wait4(target->pid, NULL, 0, usage) != target->pid)
		err(1, "wait4");
	close(target->ready[0]);
	close(target->go[1]);
}

static inline void sleep_forever(struct target *target)
{
	(void)target;
	for (;;)
		pause();
}

static inline void touch_forever(struct target *target)
{
	(void)target;
	for (;;) {
		touch(50);
		sleep_ms(10);
	}
}

#endif /* MP3_REPORT_H */
