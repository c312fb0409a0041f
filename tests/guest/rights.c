// SPDX-License-Identifier: GPL-2.0
/*
 * Who may do what: each kind of caller tries each command, on the status file and
 * in a capture, on each kind of process, and opens each node; and captures of
 * several openers receive what a process does after it has changed. The results are
 * compared with three tables below, from which those in docs/security.md are made.
 *
 * Usage: rights [table NAME | observed]
 *
 * "table" prints an expected table as Markdown, and needs no module. "observed"
 * also prints what was observed. "dumpable" and "change ..." are programs that the
 * test starts.
 */
#include <linux/sched.h>

#include "credentials.h"
#include "located.h"

#define USER_FOLLOW_PATH "/sys/module/mp3/parameters/user_follow"
#define SETUID_PROGRAM	"/tmp/mp3-setuid"	/* the same, set-user-ID root */

/* The capabilities of root in a container, by default */
#define CONTAINER_CAPS							\
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER) |	\
	 CAP(CAP_FSETID) | CAP(CAP_KILL) | CAP(CAP_SETGID) |		\
	 CAP(CAP_SETUID) | CAP(CAP_SETPCAP) | CAP(CAP_NET_BIND_SERVICE) |\
	 CAP(CAP_NET_RAW) | CAP(CAP_SYS_CHROOT) | CAP(CAP_MKNOD) |	\
	 CAP(CAP_AUDIT_WRITE) | CAP(CAP_SETFCAP))

/* ---- The expected tables ---- */

/* Cells */
#define YES		'+'
#define NO		'-'	/* EPERM, or EACCES if it is a node */
#define UNSEEN		'.'	/* ESRCH: outside the pid namespace */
#define ALL		'a'	/* records and faults */
#define RECORDS		'r'
#define NOTHING		'n'
#define MIXED		'?'	/* never expected */
#define MAX_CELLS	8	/* in a row */

/* Processes that a caller may profile or not */
enum target {
	SELF, OWNERS, UNDUMPABLE, CAPABLE, SETUID, ROOTS, NAMESPACED, CONTAINED,
	NR_TARGETS
};

static const char * const target_names[NR_TARGETS] = {
	"itself", "the owner's process", "the owner's undumpable process",
	"the owner's process with a capability",
	"the owner's set-user-ID root program", "root's process",
	"a process in the user namespace", "a process in the container",
};

/* What a caller may open or do with no process, or one that is its own */
enum node {
	SAMPLES, RECORD_RING, CAPTURE, FOLLOW, LOCATE, LOCATE_ALLOWED, PARAMETERS,
	NR_NODES
};

static const char * const node_names[NR_NODES] = {
	"map `/dev/mp3`", "map `/dev/mp3_procs`", "map `/dev/mp3_capture`",
	"write `F` with `user_follow=N`", "write `L`",
	"write `L` with `user_faults=Y`",
	"set a parameter",
};

enum place { HERE, USER_NAMESPACE, CONTAINER };

/**
 * struct caller - a kind of process that uses mp3
 * @name:      what the tables call it
 * @cred:      its credentials, inside its namespace
 * @place:     where it is
 * @opener:    credentials of the process that opens files for it; NULL: itself
 * @processes: what it may do with each target
 * @nodes:     what it may do with each node
 */
struct caller {
	const char *name;
	struct credentials cred;
	enum place place;
	const struct credentials *opener;
	const char processes[NR_TARGETS + 1];
	const char nodes[NR_NODES + 1];
};

/* A real, effective and saved id: of the owner, another user, and user 1 */
#define OWNER		{ 1000, 1000, 1000 }
#define OTHER		{ 1001, 1001, 1001 }
#define SECOND		{ 1, 1, 1 }

/* The owner is user 1000, and has created the user namespace. */
static const struct caller callers[] = {
	{ "root", { .effective = ALL_CAPS }, HERE, NULL,
	  "++++++++", "+++++++" },
	{ "the owner", { .uid = OWNER, .gid = OWNER }, HERE, NULL,
	  "++----+-", "--+--+-" },
	{ "the owner in another group", { .uid = OWNER, .gid = OTHER }, HERE,
	  NULL,
	  "+-----+-", "--+--+-" },
	{ "another user", { .uid = OTHER, .gid = OTHER }, HERE, NULL,
	  "+-------", "--+--+-" },
	{ "another user with `CAP_PERFMON`",
	  { .uid = OTHER, .gid = OTHER, .effective = CAP(CAP_PERFMON) }, HERE,
	  NULL,
	  "++++++++", "--++++-" },
	{ "another user with `CAP_SYS_PTRACE`",
	  { .uid = OTHER, .gid = OTHER, .effective = CAP(CAP_SYS_PTRACE) },
	  HERE, NULL,
	  "++++++++", "--+--+-" },
	{ "root of the owner's user namespace", { .effective = ALL_CAPS },
	  USER_NAMESPACE, NULL,
	  "+-----+-", "--+--+-" },
	{ "a user in that namespace", { .uid = SECOND, .gid = SECOND },
	  USER_NAMESPACE, NULL,
	  "+-----+-", "--+--+-" },
	{ "root in a container", { .effective = CONTAINER_CAPS }, CONTAINER,
	  NULL,
	  "+......+", "+++--++" },
	{ "root with a descriptor from another user",
	  { .effective = ALL_CAPS }, HERE, &stranger,
	  "+-------", "--+--+-" },
	{ "another user with a descriptor from root",
	  { .uid = OTHER, .gid = OTHER }, HERE, &root,
	  "+-------", "+++--++" },
};

#define NR_CALLERS	ARRAY_SIZE(callers)

/* What a process of the owner does while it is registered */
enum change { UNCHANGED, HIDE, EXECUTE, COME_BACK, OTHER_USER, NR_CHANGES };

static const char * const change_names[NR_CHANGES] = {
	"it has gone on as before", "it has made itself undumpable",
	"it has executed a set-user-ID root program",
	"such a program has become the owner's again",
	"such a program has become another user's",
};

/**
 * struct receiver - a file that receives what a process does
 * @name:      what the table calls it
 * @opener:    credentials of its opener; NULL: the status file
 * @writer:    credentials of the process that writes F, and L
 * @delivered: what it receives after each change
 */
struct receiver {
	const char *name;
	const struct credentials *opener, *writer;
	const char delivered[NR_CHANGES + 1];
};

static const struct receiver receivers[] = {
	{ "the status file, written by the owner, read by root", NULL, &user,
	  "rrrrr" },
	{ "a capture of root", &root, &root, "aaaaa" },
	{ "a capture of the owner", &user, &user, "annnn" },
	{ "a capture of the owner, to which root writes", &user, &root,
	  "annnn" },
	{ "a capture of root, to which the owner writes", &root, &user,
	  "aaaaa" },
	{ "a capture of another user with `CAP_PERFMON`", &callers[4].cred,
	  &callers[4].cred, "aaaaa" },
	{ "a capture of another user with `CAP_SYS_PTRACE`", &callers[5].cred,
	  &callers[5].cred, "rrrrr" },
};

#define NR_RECEIVERS	ARRAY_SIZE(receivers)

/* What was observed */
static char processes[NR_CALLERS][MAX_CELLS + 1];
static char nodes[NR_CALLERS][MAX_CELLS + 1];
static char delivered[NR_RECEIVERS][MAX_CELLS + 1];

/* ---- Printing ---- */

static const char *cell_text(char cell)
{
	switch (cell) {
	case YES:
		return "yes";
	case NO:
		return "–";
	case UNSEEN:
		return "unseen";
	case ALL:
		return "records, faults";
	case RECORDS:
		return "records";
	case NOTHING:
		return "nothing";
	default:
		return "mixed";
	}
}

static void print_heading(const char *before, const char *corner,
			  const char * const *columns, int nr)
{
	int i;

	printf("%s| %s |", before, corner);
	for (i = 0; i < nr; i++)
		printf(" %s |", columns[i]);
	printf("\n%s|---|", before);
	for (i = 0; i < nr; i++)
		printf("---|");
	putchar('\n');
}

static void print_row(const char *before, const char *name, const char *cells)
{
	printf("%s| %s |", before, name);
	for (; *cells; cells++)
		printf(" %s |", cell_text(*cells));
	putchar('\n');
}

/*
 * Print a table as Markdown, expected or observed, each line after @before. Returns
 * false if there is no such table.
 */
static bool print_table(const char *name, bool observed, const char *before)
{
	size_t i;

	if (!strcmp(name, "processes")) {
		print_heading(before, "caller", target_names, NR_TARGETS);
		for (i = 0; i < NR_CALLERS; i++)
			print_row(before, callers[i].name, observed ?
				  processes[i] : callers[i].processes);
	} else if (!strcmp(name, "nodes")) {
		print_heading(before, "caller", node_names, NR_NODES);
		for (i = 0; i < NR_CALLERS; i++)
			print_row(before, callers[i].name, observed ?
				  nodes[i] : callers[i].nodes);
	} else if (!strcmp(name, "delivered")) {
		print_heading(before, "receiver", change_names, NR_CHANGES);
		for (i = 0; i < NR_RECEIVERS; i++)
			print_row(before, receivers[i].name, observed ?
				  delivered[i] : receivers[i].delivered);
	} else {
		return false;
	}
	return true;
}

/* Remove the backquotes of Markdown from a name. */
static const char *plain(char *text, const char *name)
{
	char *to = text;

	do {
		if (*name != '`')
			*to++ = *name;
	} while (*name++);

	return text;
}

/* ---- Namespaces ---- */

/*
 * A process in each: in a user namespace of the owner, as its user 1; and process 1
 * of a container, as root.
 */
static pid_t namespaced, contained;
static int place_fds[3];	/* their pidfds, by enum place */

static void start_namespaced(void)
{
	static const struct credentials second = { .uid = SECOND, .gid = SECOND };
	int ready[2], go[2], euid_pipe[2];
	char byte;

	if (pipe(go) || pipe(euid_pipe))
		err(1, "pipe");
	namespaced = fork_with_pipe(ready);
	if (!namespaced) {
		set_credentials(&user);
		if (unshare(CLONE_NEWUSER) || write(ready[1], "", 1) != 1 ||
		    read(go[0], &byte, 1) != 1)
			err(1, "unshare");
		set_credentials(&second);
		/* Only then does its memory belong to the namespace. */
		execute_program(PROGRAM, "dumpable", euid_pipe[1]);
	}
	wait_ready(ready);
	write_maps(namespaced, 1000, 1002);
	if (write(go[1], "", 1) != 1)
		err(1, "write");
	wait_program(euid_pipe, 1);
	place_fds[USER_NAMESPACE] = pidfd_open(namespaced, 0);
}

static void start_contained(void)
{
	static const struct credentials cred = { .effective = CONTAINER_CAPS };
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS,
		.exit_signal = SIGCHLD,
	};
	int ready[2];

	if (pipe(ready))
		err(1, "pipe");
	fflush(stdout);
	contained = syscall(SYS_clone3, &args, sizeof(args));
	if (contained < 0)
		err(1, "clone3");
	if (!contained) {
		mount_proc();
		set_credentials(&cred);
		if (prctl(PR_SET_DUMPABLE, DUMPABLE))
			err(1, "prctl");
		report_ready(ready[1]);
	}
	wait_ready(ready);
	place_fds[CONTAINER] = pidfd_open(contained, 0);
}

/*
 * Call @act in a child that is @caller. @fds are files that its opener has opened
 * for it.
 */
static void run_caller(const struct caller *caller,
		       void (*act)(const int *fds, void *arg), const int *fds,
		       void *arg)
{
	int fd = place_fds[caller->place], status;
	pid_t pid, inside;

	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		if (caller->place == USER_NAMESPACE && setns(fd, CLONE_NEWUSER))
			err(1, "setns");
		if (caller->place == CONTAINER) {
			if (setns(fd, CLONE_NEWPID | CLONE_NEWNS))
				err(1, "setns");
			/* Only a child is in the pid namespace. */
			inside = fork_child();
			if (inside)
				_exit(waitpid(inside, &status, 0) != inside ||
				      status);
		}
		set_credentials(&caller->cred);
		act(fds, arg);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "%s: a child ended with status %#x", caller->name,
		     status);
}

/* ---- Processes ---- */

/* What a caller does with one target, once unregistered and once registered */
enum try {
	TRY_R, TRY_LIST, TRY_U, TRY_F, TRY_U_FOLLOWED,
	TRY_CAPTURE_R, TRY_CAPTURE_U, TRY_CAPTURE_F, TRY_CAPTURE_U_FOLLOWED,
	TRY_R_AGAIN, TRY_LIST_REGISTERED, TRY_F_REGISTERED, TRY_U_REGISTERED,
	NR_TRIES
};

static const char * const try_names[NR_TRIES] = {
	"R", "list after R", "U", "F", "U after F", "R in a capture",
	"U in a capture", "F in a capture", "U in a capture after F",
	"R of a registered process", "list of a registered process",
	"F of a registered process", "U of a registered process",
};

/**
 * struct attempt - a caller and a process; shared with the caller
 * @caller:     the caller
 * @pid:        the process, as its pid namespace has it; 0: the caller itself
 * @registered: root has registered it in the status file
 * @results:    0 or -errno, or of a list 1 or 0
 */
struct attempt {
	const struct caller *caller;
	pid_t pid;
	bool registered;
	int results[NR_TRIES];
};

/* Runs as the caller. @fds are an open status file and capture. */
static void try_commands(const int *fds, void *arg)
{
	struct attempt *attempt = arg;
	pid_t pid = attempt->pid ?: getpid();
	int status = attempt->caller->opener ? fds[0] :
					       open(MP3_STATUS_PATH, O_RDWR);
	int capture = attempt->caller->opener ? fds[1] : capture_try_open();
	int *results = attempt->results;

	if (status < 0 || capture < 0)
		err(1, "%s", MP3_STATUS_PATH);
	if (attempt->pid == getpid())
		errx(1, "pid %d has two meanings", attempt->pid);
	if (attempt->registered) {
		results[TRY_R_AGAIN] = command_by_fd(status, 'R', pid);
		results[TRY_LIST_REGISTERED] = listed_by_fd(status, pid);
		results[TRY_F_REGISTERED] = command_by_fd(status, 'F', pid);
		results[TRY_U_REGISTERED] = command_by_fd(status, 'U', pid);
		return;
	}
	results[TRY_R] = command_by_fd(status, 'R', pid);
	results[TRY_LIST] = listed_by_fd(status, pid);
	results[TRY_U] = command_by_fd(status, 'U', pid);
	results[TRY_F] = command_by_fd(status, 'F', pid);
	results[TRY_U_FOLLOWED] = command_by_fd(status, 'U', pid);
	results[TRY_CAPTURE_R] = command_by_fd(capture, 'R', pid);
	results[TRY_CAPTURE_U] = command_by_fd(capture, 'U', pid);
	results[TRY_CAPTURE_F] = command_by_fd(capture, 'F', pid);
	results[TRY_CAPTURE_U_FOLLOWED] = command_by_fd(capture, 'U', pid);
}

/* Convert the result of an attempt to a cell. */
static char verdict(const struct attempt *attempt, enum try try)
{
	int result = attempt->results[try];

	if (try == TRY_LIST || try == TRY_LIST_REGISTERED) {
		if (result)
			return result == 1 ? YES : MIXED;
		return verdict(attempt, TRY_R) == YES ? MIXED :
							verdict(attempt, TRY_R);
	}
	if (try == TRY_R_AGAIN && !result)
		return MIXED;
	if (try == TRY_R_AGAIN && result == -EEXIST)
		return YES;
	return result == 0 ? YES : result == -EPERM ? NO :
	       result == -ESRCH ? UNSEEN : MIXED;
}

/* Have a caller try all commands on a process. Returns the cell of the table. */
static char try_process(const struct caller *caller, struct attempt *attempt,
			pid_t pid, pid_t pid_inside)
{
	int fds[2] = { -1, -1 }, try, nr_tries = TRY_R_AGAIN;
	char cell;

	memset(attempt, 0x55, sizeof(*attempt));
	attempt->caller = caller;
	attempt->pid = pid_inside;
	if (caller->opener) {
		fds[0] = open_as(caller->opener, MP3_STATUS_PATH, O_RDWR);
		fds[1] = open_as(caller->opener, MP3_CAPTURE_PATH, O_RDWR);
		if (fds[0] < 0 || fds[1] < 0)
			errx(1, "%s: cannot open a file", caller->name);
	}
	attempt->registered = false;
	run_caller(caller, try_commands, fds, attempt);
	if (pid) {
		command_or_die('R', pid);
		attempt->registered = true;
		run_caller(caller, try_commands, fds, attempt);
		nr_tries = NR_TRIES;
		command('U', pid);
	}
	if (caller->opener) {
		close(fds[0]);
		close(fds[1]);
	}

	cell = verdict(attempt, TRY_R);
	for (try = 0; try < nr_tries; try++)
		if (verdict(attempt, try) != verdict(attempt, TRY_R))
			cell = MIXED;
	for (try = 0; cell == MIXED && try < nr_tries; try++)
		diag("%s: %d", try_names[try], attempt->results[try]);

	return cell;
}

static void test_processes(void)
{
	static const struct credentials capable = {
		.uid = OWNER, .gid = OWNER, .effective = CAP(CAP_NET_RAW),
	};
	pid_t pids[NR_TARGETS] = {
		[OWNERS] = start_target(&user, DUMPABLE),
		[UNDUMPABLE] = start_target(&user, !DUMPABLE),
		[CAPABLE] = start_target(&capable, DUMPABLE),
		[SETUID] = run_program(SETUID_PROGRAM, &user, 0, "dumpable"),
		[ROOTS] = start_target(&root, DUMPABLE),
		[NAMESPACED] = namespaced, [CONTAINED] = contained,
	};
	struct attempt *attempt = shared_memory(sizeof(*attempt));
	const struct caller *caller;
	char name[80], target_name[80];
	int target, inside;
	char cell;

	for (caller = callers; caller < callers + NR_CALLERS; caller++) {
		for (target = 0; target < NR_TARGETS; target++) {
			inside = pids[target];
			if (caller->place == CONTAINER && target == CONTAINED)
				inside = 1;
			cell = try_process(caller, attempt, pids[target], inside);
			processes[caller - callers][target] = cell;
			plain(name, caller->name);
			plain(target_name, target_names[target]);
			ok(cell == caller->processes[target],
			   caller->processes[target] == YES ?
			   "%s can profile %s by R, F and U, and has it listed" :
			   caller->processes[target] == NO ?
			   "%s cannot profile %s by R, F or U, nor have it listed" :
			   "%s cannot name %s in R, F and U, nor have it listed",
			   name, target_name);
		}
	}
	for (target = OWNERS; target <= ROOTS; target++)
		kill_and_reap(pids[target]);
	munmap(attempt, sizeof(*attempt));
}

/* ---- Nodes ---- */

/**
 * struct node_attempt - a caller and a node; shared with the caller
 * @caller: the caller
 * @node:   what it tries
 * @cell:   the result
 */
struct node_attempt {
	const struct caller *caller;
	enum node node;
	char cell;
};

static const char *node_path(enum node node)
{
	switch (node) {
	case SAMPLES:
		return MP3_DEVICE_PATH;
	case RECORD_RING:
		return MP3_PROCS_PATH;
	case PARAMETERS:
		return USER_FOLLOW_PATH;
	default:
		return MP3_CAPTURE_PATH;
	}
}

static int node_flags(enum node node)
{
	return node == RECORD_RING ? O_RDONLY :
	       node == PARAMETERS ? O_WRONLY : O_RDWR;
}

static char result_cell(int result)
{
	return result == 0 ? YES :
	       result == -EPERM || result == -EACCES ? NO : MIXED;
}

static char try_map(enum node node, int fd)
{
	int prot = node == SAMPLES ? PROT_READ | PROT_WRITE : PROT_READ;

	if (mmap(NULL, PAGE, prot, MAP_SHARED, fd, 0) == MAP_FAILED ||
	    mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, MP3_OFF_HEADER) ==
	    MAP_FAILED)
		return MIXED;
	return YES;
}

/* Follow this process in a capture and in the status file: both have to agree. */
static char try_follow(int capture, int status)
{
	int result = command_by_fd(capture, 'F', getpid());

	if (command_by_fd(status, 'F', getpid()) != result ||
	    (result && (command_by_fd(capture, 'R', getpid()) ||
			command_by_fd(status, 'R', getpid()))) ||
	    command_by_fd(status, 'U', getpid()))
		return MIXED;
	return result_cell(result);
}

/* Runs as the caller. @fds are the open file of the node, or -errno, and status. */
static void try_node(const int *fds, void *arg)
{
	struct node_attempt *attempt = arg;
	int fd = fds[0], status = fds[1];

	if (!attempt->caller->opener) {
		fd = open(node_path(attempt->node), node_flags(attempt->node));
		fd = fd < 0 ? -errno : fd;
		status = open(MP3_STATUS_PATH, O_RDWR);
	}
	if (fd < 0) {
		attempt->cell = result_cell(fd);
		return;
	}
	switch (attempt->node) {
	case FOLLOW:
		attempt->cell = try_follow(fd, status);
		break;
	case LOCATE:
	case LOCATE_ALLOWED:
		attempt->cell = result_cell(locate(fd, 1, 0));
		break;
	case PARAMETERS:
		attempt->cell = write(fd, "Y", 1) == 1 ? YES : NO;
		break;
	default:
		attempt->cell = try_map(attempt->node, fd);
	}
}

static void test_node(const struct caller *caller, enum node node,
		      struct node_attempt *attempt)
{
	char name[80], node_name[80];
	int fds[2] = { -1, -1 };
	char want = caller->nodes[node];

	*attempt = (struct node_attempt){ caller, node, MIXED };
	if (caller->opener) {
		fds[0] = open_as(caller->opener, node_path(node),
				 node_flags(node));
		fds[1] = open_as(caller->opener, MP3_STATUS_PATH, O_RDWR);
	}
	run_caller(caller, try_node, fds, attempt);
	close(fds[0]);
	close(fds[1]);
	nodes[caller - callers][node] = attempt->cell;
	ok(attempt->cell == want, "%s %s %s", plain(name, caller->name),
	   want == YES ? "can" : "cannot",
	   plain(node_name, node_names[node]));
}

static void test_nodes(void)
{
	struct node_attempt *attempt = shared_memory(sizeof(*attempt));
	const struct caller *caller;
	int node;

	for (caller = callers; caller < callers + NR_CALLERS; caller++) {
		for (node = 0; node < NR_NODES; node++) {
			write_file(USER_FOLLOW_PATH, node == FOLLOW ? "N" : "Y");
			write_file(USER_FAULTS_PATH,
				   node == LOCATE_ALLOWED ? "Y" : "N");
			test_node(caller, node, attempt);
		}
	}
	munmap(attempt, sizeof(*attempt));
}

/* ---- What is delivered ---- */

/* Fault, report the time before that, and wait until killed. */
static void __attribute__((noreturn)) act(int report)
{
	uint64_t now = now_ns();

	touch(20);
	if (write(report, &now, sizeof(now)) != sizeof(now))
		_exit(1);
	for (;;)
		pause();
}

/* A program that a changing process runs: "change CHANGE FD". */
static int change_main(char **argv)
{
	enum change change = atoi(argv[0]);

	if (change == COME_BACK || change == OTHER_USER) {
		uid_t uid = change == COME_BACK ? 1000 : 1001;

		if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid) ||
		    prctl(PR_SET_DUMPABLE, DUMPABLE))
			return 1;
	}
	if (change == COME_BACK) {
		execl(PROGRAM, PROGRAM, "change", "0", argv[1], NULL);
		return 1;
	}
	act(atoi(argv[1]));
}

/* Start a process of the owner that changes after a byte from @go. */
static pid_t start_changing(enum change change, int go, int report)
{
	int ready[2];
	pid_t pid = fork_with_pipe(ready);
	char number[12], fd[12], byte;

	if (pid) {
		wait_ready(ready);
		return pid;
	}
	set_credentials(&user);
	if (prctl(PR_SET_DUMPABLE, DUMPABLE) || write(ready[1], "", 1) != 1 ||
	    read(go, &byte, 1) != 1)
		_exit(1);
	if (change == HIDE && prctl(PR_SET_DUMPABLE, !DUMPABLE))
		_exit(1);
	if (change <= HIDE)
		act(report);
	snprintf(number, sizeof(number), "%d", change);
	snprintf(fd, sizeof(fd), "%d", report);
	execl(SETUID_PROGRAM, SETUID_PROGRAM, "change", number, fd, NULL);
	_exit(1);
}

/* Runs as the writer: locate in a capture, and follow a process. */
static void write_commands(const int *fds, void *arg)
{
	if (fds[1])
		locate_or_die(fds[0], 1, 0);
	if (command_by_fd(fds[0], 'F', *(pid_t *)arg))
		err(1, "F");
}

/* Count the records of a process from @from to @to, in nanoseconds. */
static int count_records(const struct capture *c, pid_t pid, uint64_t from,
			 uint64_t to)
{
	uint64_t i, head = capture_head(c);
	int count = 0;

	for (i = head > c->capacity ? head - c->capacity + 1 : 0; i < head; i++) {
		struct mp3_record r = capture_at(c, i);

		count += r.pid == (uint32_t)pid && r.time_ns >= from &&
			 r.time_ns < to;
	}
	return count;
}

static int count_faults(const struct fault_ring *r, pid_t pid, uint64_t from)
{
	struct mp3_fault fault;
	uint64_t i;
	int count = 0;

	for (i = 0; i < fault_head(r); i++)
		count += fault_read(r, i, &fault) &&
			 fault.pid == (uint32_t)pid && fault.time_ns >= from;

	return count;
}

/*
 * Register a process, have it change, and look at what a receiver has of it after
 * that. Returns the cell of the table.
 */
static char try_delivery(const struct receiver *receiver, enum change change)
{
	struct caller writer = { .name = "a writer", .cred = *receiver->writer };
	bool is_capture = receiver->opener;
	int fds[2] = { -1, is_capture }, go[2], report[2];
	int before, records, nr_faults = 0;
	struct fault_ring faults;
	struct capture c;
	uint64_t moment;
	pid_t pid;

	if (pipe(go) || pipe(report))
		err(1, "pipe");
	pid = start_changing(change, go[0], report[1]);
	fds[0] = is_capture ?
		 open_as(receiver->opener, MP3_CAPTURE_PATH, O_RDWR) :
		 open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);
	run_caller(&writer, write_commands, fds, &pid);
	c = is_capture ? capture_map(fds[0]) : classic_open();
	if (is_capture)
		faults = fault_ring_map(fds[0]);
	wait_ticks(&c);
	if (write(go[1], "", 1) != 1 ||
	    read(report[0], &moment, sizeof(moment)) != sizeof(moment))
		errx(1, "a process did not change");
	wait_ticks(&c);
	before = count_records(&c, pid, 0, moment);
	records = count_records(&c, pid, moment, UINT64_MAX);
	if (is_capture) {
		nr_faults = count_faults(&faults, pid, moment);
		fault_ring_unmap(&faults);
	}
	capture_unmap(&c);
	if (!is_capture)
		close(c.fd);
	kill_and_reap(pid);
	close(fds[0]);
	close(go[0]);
	close(go[1]);
	close(report[0]);
	close(report[1]);
	if (!before || (nr_faults && !records)) {
		diag("%d records before, %d records and %d faults after", before,
		     records, nr_faults);
		return MIXED;
	}
	return nr_faults ? ALL : records ? RECORDS : NOTHING;
}

static void test_delivery(void)
{
	const struct receiver *receiver;
	char name[80];
	int change;
	char cell;

	write_file(USER_FAULTS_PATH, "Y");
	set_interval("10");
	for (receiver = receivers; receiver < receivers + NR_RECEIVERS;
	     receiver++) {
		for (change = 0; change < NR_CHANGES; change++) {
			char want = receiver->delivered[change];

			cell = try_delivery(receiver, change);
			delivered[receiver - receivers][change] = cell;
			ok(cell == want, "%s receives %s of a process after %s",
			   plain(name, receiver->name),
			   want == ALL ? "records and faults" :
			   want == RECORDS ? "records and no faults" : "nothing",
			   change_names[change]);
		}
	}
	write_file(USER_FAULTS_PATH, "N");
	set_interval("50");
}

int main(int argc, char **argv)
{
	static const char * const tables[] = {
		"processes", "nodes", "delivered",
	};
	struct ring ring;
	pid_t anchor;
	size_t i;

	if (argc == 3 && !strcmp(argv[1], "table"))
		return print_table(argv[2], false, "") ? 0 : 2;
	if (argc == 4 && !strcmp(argv[1], "change"))
		return change_main(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "dumpable"))
		return program_main(true);

	ring = ring_open();
	copy_program(PROGRAM, 0755);
	copy_program(SETUID_PROGRAM, 04755);
	/* Ticks go on, and no U is the last one: that could have to wait for 50 ms. */
	anchor = sleeper();
	command_or_die('R', anchor);
	start_namespaced();
	start_contained();
	test_processes();
	test_nodes();
	test_delivery();
	if (test_failed || argc > 1)
		for (i = 0; i < ARRAY_SIZE(tables); i++)
			print_table(tables[i], true, "# ");
	kill_and_reap(namespaced);
	kill_and_reap(contained);
	kill_and_reap(anchor);
	wait_idle(&ring);
	unlink(PROGRAM);
	unlink(SETUID_PROGRAM);

	return done();
}
