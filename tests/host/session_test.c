// SPDX-License-Identifier: GPL-2.0
/*
 * What mp3ctl run and attach wait for and add up, against a capture in a file: more
 * processes than files can be open, the stalled time of a process id that was used
 * twice, and Ctrl-C before and after the exit of a command.
 */
#include "../../tools/capture.h"

/* The capture is open already. */
#define capture_open_or_exit(capture) ((void)(capture))

/* A file locates no faults, but has their ring. */
static void open_faults(const struct mp3_reader *capture,
			struct mp3_faults *faults);

#define capture_locate_or_exit(capture, n, callers, faults) \
	open_faults(capture, faults)

#include "../../tools/cgroup.c"
#include "../../tools/command.c"
#include "../../tools/csv.c"
#include "../../tools/emit.c"
#include "../../tools/fit.c"
#include "../../tools/json.c"
#include "../../tools/limit.c"
#include "../../tools/metric.c"
#include "../../tools/name.c"
#include "../../tools/names.c"
#include "../../tools/proc.c"
#include "../../tools/report.c"
#include "../../tools/rows.c"
#include "../../tools/rows_tree.c"
#include "../../tools/session.c"
#include "../../tools/set.c"
#include "../../tools/stall.c"
#include "../../tools/table.c"
#include "../../tools/timeout.c"
#include "../../tools/user.c"
#include "../../tools/util.c"

#undef capture_open_or_exit
#undef capture_locate_or_exit
#include "../../tools/capture.c"

#include "fake_ring.h"

#define CAPACITY 64
#define PID 1000

/* The capture, and its ring of faults */
static struct fake_ring ring;
static struct mp3_header *faults_header;
static struct mp3_fault *faults;

static void *map_at(off_t offset, size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
			 offset);

	if (map == MAP_FAILED)
		err(1, "mmap");
	return map;
}

static void open_faults(const struct mp3_reader *capture,
			struct mp3_faults *reader)
{
	int error = mp3_faults_open(reader, capture);

	if (error)
		errx(1, "mp3_faults_open: %s", mp3_strerror(error));
}

/* Creates the file, and opens a session with it. */
static void begin(struct session *session)
{
	size_t page = (size_t)getpagesize();
	off_t size = MP3_OFF_FILES + MP3_FILES * (off_t)sizeof(struct mp3_file);
	int error;

	fake_open(&ring, sizeof(struct mp3_record), CAPACITY);
	if (ftruncate(ring.fd, size))
		err(1, "ftruncate");
	faults_header = map_at(MP3_OFF_FAULTS_HEADER, page);
	*faults_header = (struct mp3_header){
		.magic = MP3_MAGIC,
		.version = MP3_ABI_VERSION,
		.entry_size = sizeof(struct mp3_fault),
		.capacity = CAPACITY,
	};
	faults = map_at(MP3_OFF_FAULTS, CAPACITY * sizeof(*faults));

	session_init(session);
	error = mp3_reader_open_records(&session->capture, ring.path);
	if (error)
		errx(1, "mp3_reader_open_records: %s", mp3_strerror(error));
	table_init(&session->table);
}

static void end(struct session *session)
{
	mp3_reader_close(&session->capture);
	table_free(&session->table);
	munmap(faults, CAPACITY * sizeof(*faults));
	munmap(faults_header, (size_t)getpagesize());
	fake_close(&ring);
}

/* Publishes an identity record. */
static void publish_identity(__u32 pid, __u64 time_ns, __u64 start_ns)
{
	struct mp3_record record = {
		.time_ns = time_ns,
		.pid = pid,
		.flags = MP3_IDENTITY,
		.start_ns = start_ns,
	};

	fake_publish(&ring, &record);
}

/* Publishes a record with counts. */
static void publish_counts(__u32 pid, __u64 time_ns, __u32 flags)
{
	struct mp3_record record = {
		.time_ns = time_ns,
		.pid = pid,
		.flags = flags,
		.min_flt = 1,
	};

	fake_publish(&ring, &record);
}

static void publish_fault(__u64 time_ns, __u64 stall_ns)
{
	__u64 nr = faults_header->head;

	faults[nr] = (struct mp3_fault){
		.seq = nr + 1,
		.time_ns = time_ns,
		.pid = PID,
		.tid = PID,
		.stall_ns = stall_ns,
	};
	__atomic_store_n(&faults_header->head, nr + 1, __ATOMIC_RELEASE);
}

/* ---- Stalled times ---- */

static void test_reused_pid(void)
{
	const struct process *const *rows;
	struct session session;

	begin(&session);
	stall_open(&session);
	publish_identity(PID, 100, 90);
	publish_counts(PID, 100, MP3_FIRST);
	publish_fault(110, 1);
	session_wait(&session);

	/* All of this is read in one pass. */
	publish_fault(150, 10);
	publish_counts(PID, 200, MP3_LAST);
	publish_identity(PID, 200, 180);
	publish_counts(PID, 200, MP3_FIRST);
	publish_fault(185, 100);
	session_wait(&session);
	publish_fault(210, 1000);
	session_wait(&session);
	stall_close(&session);

	rows = (const struct process *const *)session.table.rows;
	ok(session.table.nr == 2 && rows[0]->start_ns == 90 &&
	   rows[0]->stall_ns == 11 && rows[1]->stall_ns == 1100,
	   "stalled time is that of the process that had the id at the time of the fault");
	ok(!session.report.losses.lost_faults &&
	   !session.report.losses.unknown_stalls,
	   "no stalled time is missing if all faults were read");
	end(&session);
}

static void test_missing(void)
{
	struct session session;
	char *text;
	size_t size;

	begin(&session);
	stall_open(&session);
	publish_identity(PID, 100, 90);
	publish_counts(PID, 100, MP3_FIRST);
	publish_fault(110, 5);
	publish_fault(120, MP3_NO_STALL);
	publish_fault(130, MP3_NO_STALL);
	/* A fault whose slot was busy is not written. */
	faults_header->head++;
	faults_header->dropped++;
	session_wait(&session);
	stall_close(&session);
	ok(session.table.nr == 1 && session.table.rows[0]->stall_ns == 5 &&
	   session.report.losses.unknown_stalls == 2,
	   "faults whose stalled time is unknown are counted, and add nothing to it");
	ok_eq((long long)session.report.losses.lost_faults, 1,
	      "a fault that was not written is counted as lost once");

	session.report.file = open_memstream(&text, &size);
	report_losses(&session.report);
	fclose(session.report.file);
	ok(strstr(text, "stalled time unknown: 2 faults\n") &&
	   !strstr(text, "nothing was dropped or lost"),
	   "the report states how many stalled times are unknown");
	free(text);
	end(&session);
}

/* ---- Waiting ---- */

/* Returns the id of a process that has exited and was reaped. */
static pid_t exited_pid(void)
{
	pid_t pid = fork_child();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);

	return pid;
}

static void test_many_targets(void)
{
	struct rlimit old, few = { 32, 32 };
	struct session session;
	bool all = true;
	size_t i;

	begin(&session);
	getrlimit(RLIMIT_NOFILE, &old);
	few.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	for (i = 0; i < 100; i++)
		session_add_target(&session, i == 99 ? exited_pid() : getpid());
	publish_identity(PID, 100, 90);
	session_wait(&session);
	ok(session.table.nr == 1,
	   "records are read while more processes are attached than files can be open");
	for (i = 0; i < 99; i++)
		all = all && !session.targets[i].exited;
	ok(all && session.targets[99].exited,
	   "an exit is noticed while more processes are attached than files can be open");
	setrlimit(RLIMIT_NOFILE, &old);
	for (i = 0; i < 100; i++)
		if (session.targets[i].pidfd >= 0)
			close(session.targets[i].pidfd);
	free(session.targets);
	end(&session);
}

/* Of several processes, the one that exits is not the first that is polled. */
static void test_one_exit(void)
{
	struct session session;
	pid_t pid = fork_child();

	if (!pid) {
		pause();
		_exit(0);
	}
	begin(&session);
	session_add_target(&session, exited_pid());
	session_add_target(&session, getpid());
	session_add_target(&session, pid);
	session_add_target(&session, getppid());
	session_wait(&session);
	ok(session.targets[0].exited && !session.targets[1].exited &&
	   !session.targets[2].exited && !session.targets[3].exited,
	   "only the process that has exited counts as exited");
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT);
	session_wait(&session);
	ok(session.targets[2].exited && !session.targets[1].exited &&
	   !session.targets[3].exited,
	   "the exit of one of several processes is noticed after that of another");
	waitpid(pid, NULL, 0);
	free(session.targets);
	end(&session);
}

/* ---- The end of a command ---- */

static int prepare_nothing(void *unused)
{
	(void)unused;
	return 0;
}

/*
 * Runs a command that SIGINT ends, while a process in the capture goes on. Its exit
 * is noticed before the signal is read.
 */
static void run_interrupted(struct session *session, struct command *command,
			    char **argv)
{
	ring.header->processes = 1;
	command_start(command, argv, prepare_nothing, NULL);
	command_wait(command);
	kill(getpid(), SIGINT);
	session_run_command(session, command);
}

/*
 * Has a child send a signal to this process after a moment, and then publish ticks until
 * it is killed: this process may take long to start to wait for them.
 */
static pid_t end_later(int number, unsigned int ticks)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	/* The test may end before it kills this process. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	usleep(300000);
	kill(getppid(), number);
	for (;;) {
		usleep(300000);
		__atomic_add_fetch(&ring.header->ticks, ticks, __ATOMIC_RELEASE);
	}
}

/* An orphan's exit and the signals that have ended the command come first. */
static void test_collection(void)
{
	char *argv[4] = { "sh", "-c", "kill -INT $$" };
	struct command command;
	struct session session;
	pid_t pid;

	/* Without what is tested here, the test would never end. */
	alarm(300);
	/* A shell that starts this test in the background ignores it. */
	signal(SIGINT, SIG_DFL);
	begin(&session);
	run_interrupted(&session, &command, argv);
	ok_eq(command.status, 130, "a command ends by the signal of Ctrl-C");
	pid = end_later(SIGCHLD, 2);
	session_collect(&session);
	ok(ring.header->ticks >= 2,
	   "the Ctrl-C that ends a command does not end the collection");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	/* No tick follows. */
	pid = end_later(SIGINT, 0);
	session_collect(&session);
	ok(session_is_interrupted(&session),
	   "Ctrl-C after the exit of a command ends the collection");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	alarm(0);
	command_finish(&command);
	end(&session);
}

int main(void)
{
	test_reused_pid();
	test_missing();
	test_many_targets();
	test_one_exit();
	test_collection();

	return done();
}
