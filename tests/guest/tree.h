/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of followed processes share: both rings, a log of what each
 * process has used according to wait4(2), its comparison with the records and
 * samples, and processes that act on request.
 */
#ifndef MP3_TREE_H
#define MP3_TREE_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "fail.h"
#include "module.h"
#include "process.h"
#include "test.h"

#define PID_MAX_PATH	"/proc/sys/kernel/pid_max"

/* ---- The module and its two rings ---- */

/* The ring of records, mapped: both regions are read-only. */
struct procs {
	int fd;
	volatile struct mp3_header *header;
	const volatile struct mp3_record *records;
	size_t data_size;
	uint32_t capacity;
};

static struct ring ring;
static struct procs procs;

static inline struct procs procs_open(void)
{
	struct procs p = { .fd = open(MP3_PROCS_PATH, O_RDONLY | O_CLOEXEC) };
	size_t page = sysconf(_SC_PAGESIZE), size;

	if (p.fd < 0)
		err(1, "%s", MP3_PROCS_PATH);
	p.header = mmap(NULL, page, PROT_READ, MAP_SHARED, p.fd,
			MP3_OFF_HEADER);
	if (p.header == MAP_FAILED)
		err(1, "mmap %s", MP3_PROCS_PATH);
	p.capacity = p.header->capacity;
	size = p.capacity * sizeof(struct mp3_record);
	p.data_size = (size + page - 1) / page * page;
	p.records = mmap(NULL, p.data_size, PROT_READ, MAP_SHARED, p.fd, 0);
	if (p.records == MAP_FAILED)
		err(1, "mmap %s", MP3_PROCS_PATH);

	return p;
}

static inline uint64_t procs_head(void)
{
	return __atomic_load_n(&procs.header->head, __ATOMIC_ACQUIRE);
}

static inline struct mp3_record record_at(uint64_t number)
{
	return *(const struct mp3_record *)
		&procs.records[number % procs.capacity];
}

/*
 * Check that an identity record comes directly before the first record of a
 * process, with the same pid and time, and before no other. @before: the record
 * before @record, or zeros if there is none.
 */
static inline bool identity_precedes(const struct mp3_record *before,
				     const struct mp3_record *record)
{
	if (before->flags != MP3_IDENTITY)
		return !(record->flags & MP3_FIRST);
	return record->flags & MP3_FIRST && before->pid == record->pid &&
	       before->time_ns == record->time_ns;
}

static inline void close_rings(void)
{
	munmap((void *)ring.samples, ring.data_size);
	munmap((void *)ring.header, sysconf(_SC_PAGESIZE));
	close(ring.fd);
	munmap((void *)procs.records, procs.data_size);
	munmap((void *)procs.header, sysconf(_SC_PAGESIZE));
	close(procs.fd);
}

static inline void open_rings(void)
{
	ring = ring_open();
	procs = procs_open();
}

/* Load mp3 again, with other parameters and empty rings. */
static inline void reload(const char *params)
{
	close_rings();
	unload_or_die();
	load_or_die(params);
	open_rings();
}

static inline uint32_t nr_registered(void)
{
	return __atomic_load_n(&ring.header->processes, __ATOMIC_ACQUIRE);
}

/* Wait until @nr processes are registered: a fork may only show at the next tick. */
static inline bool becomes_registered(unsigned int nr)
{
	int i;

	for (i = 0; i < 6000 && nr_registered() != nr; i++)
		sleep_ms(10);
	return nr_registered() == nr;
}

/*
 * Check that exactly these processes are registered, and that each is listed
 * once. Prints any difference.
 */
static inline bool lists(const pid_t *pids, unsigned int nr)
{
	char *text = status_text(), *line;
	unsigned int i, lines = 0;
	bool same = true;

	for (line = text; *line; line = strchr(line, '\n') + 1)
		lines++;
	free(text);
	for (i = 0; i < nr; i++) {
		int times = listed(pids[i]);

		if (times == 1)
			continue;
		diag("process %u of %u, pid %d, is listed %d times", i, nr,
		     pids[i], times);
		same = false;
	}
	if (same && lines == nr && becomes_registered(nr))
		return true;
	diag("%u are listed and %u registered, want %u", lines,
	     nr_registered(), nr);
	return false;
}

#define LISTS(...)	lists((const pid_t[]){ __VA_ARGS__ },		\
			      sizeof((const pid_t[]){ __VA_ARGS__ }) /	\
			      sizeof(pid_t))

/* Wait until the rings contain everything that happened before the call. */
static inline void wait_tick(void)
{
	uint64_t head = ring_head(&ring);
	int i;

	/* Two ticks: the first may have begun before the call. */
	for (i = 0; i < 6000; i++) {
		if (ring_head(&ring) >= head + 2)
			return;
		sleep_ms(10);
	}
	errx(1, "no ticks in a minute");
}

/* ---- The usage log ---- */

/*
 * Where the usage of a process comes from. If there are several entries for a
 * process, the one with the highest source counts.
 */
enum usage_source {
	USAGE_NONE,		/* the writer was killed while it wrote */
	USAGE_FORKED,		/* none yet: the process was just forked */
	USAGE_REGISTERED,	/* getrusage(2) when it was registered */
	USAGE_EXITED,		/* getrusage(2) when it exited, if not waited for */
	USAGE_WAITED,		/* wait4(2): includes children it waited for */
	USAGE_UNREGISTERED,	/* getrusage(2) when it was unregistered */
};

/**
 * struct usage_entry - what a process had used at some point
 * @pid:          the process, in the test's pid namespace
 * @waiter:       the process that waited for it; USAGE_FORKED: its parent
 * @source:       where @usage comes from
 * @after_follow: it was forked after F of its tree had returned
 * @usage:        page faults and CPU time
 */
struct usage_entry {
	pid_t pid;
	pid_t waiter;
	enum usage_source source;
	bool after_follow;
	struct usage usage;
};

#define MAX_ENTRIES	262144

/* In shared memory: every process of a test appends to it. */
static struct usage_log {
	unsigned int nr;
	struct usage_entry entries[MAX_ENTRIES];
} *usage_log;

static inline void usage_log_create(void)
{
	usage_log = shared_memory(sizeof(*usage_log));
}

static inline void usage_log_clear(void)
{
	memset(usage_log->entries, 0,
	       usage_log->nr * sizeof(*usage_log->entries));
	usage_log->nr = 0;
}

static inline struct usage_entry *usage_log_claim(void)
{
	unsigned int i = __atomic_fetch_add(&usage_log->nr, 1,
					    __ATOMIC_RELAXED);

	if (i >= MAX_ENTRIES)
		errx(1, "more than %d usage entries", MAX_ENTRIES);
	return &usage_log->entries[i];
}

static inline void log_usage(enum usage_source source, pid_t pid, pid_t waiter,
			     struct usage usage, bool after_follow)
{
	struct usage_entry *entry = usage_log_claim();

	entry->usage = usage;
	entry->pid = pid;
	entry->waiter = waiter;
	entry->after_follow = after_follow;
	entry->source = source;
}

/*
 * Wait for a child, or for any if @pid is -1, and log its usage. Returns its
 * pid, or 0 if there is none.
 */
static inline pid_t wait_and_log(pid_t pid, int options)
{
	struct rusage rusage;

	do {
		pid = wait4(pid, NULL, __WALL | options, &rusage);
	} while (pid < 0 && errno == EINTR);
	if (pid <= 0)
		return 0;
	log_usage(USAGE_WAITED, pid, getpid(), usage_of(&rusage), false);

	return pid;
}

/*
 * Log this process's usage and exit, for processes that nobody waits for. The
 * first round brings in every page that the second needs, so that no fault
 * follows the last getrusage().
 */
static inline void __attribute__((noreturn)) log_and_exit(void)
{
	struct usage_entry *entry = usage_log_claim();
	struct rusage rusage;
	int i;

	for (i = 0; i < 2; i++) {
		syscall(SYS_getrusage, RUSAGE_SELF, &rusage);
		entry->usage = usage_of(&rusage);
		entry->pid = syscall(SYS_getpid);
		entry->source = USAGE_EXITED;
	}
	syscall(SYS_exit_group, 0);
	__builtin_unreachable();
}

/* Write a command for this process, and log its usage at that moment. */
static inline void command_self(char letter)
{
	struct usage usage = command_own_usage(letter);

	log_usage(letter == 'U' ? USAGE_UNREGISTERED : USAGE_REGISTERED,
		  getpid(), 0, usage, false);
}

/* ---- Expected and recorded counts ---- */

struct fault_counts {
	long min_flt, maj_flt;
};

/**
 * struct process_counts - the usage log and the records of one process
 * @pid:          its pid
 * @source:       where @expected comes from
 * @after_follow: as in struct usage_entry
 * @expected:     faults that its records have to add up to
 * @recorded:     faults that they do add up to
 * @records:      number of its records, without identity records
 * @first:        number of those with MP3_FIRST
 * @last:         number of those with MP3_LAST
 * @ordered:      MP3_FIRST is set in its first record only, directly after an
 *                identity record, and no record follows one with MP3_LAST
 * @ended:        its latest record has MP3_LAST
 * @rss_bytes:    of its latest record
 */
struct process_counts {
	pid_t pid;
	enum usage_source source;
	bool after_follow;
	struct usage expected;
	struct fault_counts recorded;
	unsigned int records, first, last;
	bool ordered, ended;
	uint64_t rss_bytes;
};

/**
 * struct expected_counts - the usage log against the rings
 * @nr:           number of processes
 * @processes:    the processes, sorted by pid
 * @unknown:      number of records of any other process
 * @first_record: head of the ring of records at expected_begin()
 * @first_sample: head of the ring of samples at expected_begin()
 * @recorded:     sum of all records since
 * @sampled:      sum of all samples since
 * @total:        sum of what is expected of the processes
 */
struct expected_counts {
	unsigned int nr;
	struct process_counts *processes;
	unsigned int unknown;
	uint64_t first_record, first_sample;
	struct fault_counts recorded, sampled, total;
};

static inline int compare_processes(const void *a, const void *b)
{
	const struct process_counts *left = a, *right = b;

	if (left->pid != right->pid)
		return left->pid < right->pid ? -1 : 1;
	/* Of the same process, the highest source comes first. */
	return (int)right->source - (int)left->source;
}

/* Returns NULL if the usage log has no such process. */
static inline struct process_counts *
expected_find(const struct expected_counts *expected, pid_t pid)
{
	struct process_counts *at = expected->processes;
	unsigned int nr = expected->nr;

	while (nr) {
		struct process_counts *middle = at + nr / 2;

		if (middle->pid == pid)
			return middle;
		if (middle->pid < pid) {
			at = middle + 1;
			nr -= nr / 2 + 1;
		} else {
			nr /= 2;
		}
	}
	return NULL;
}

/* Compare from here on: note the heads, and clear the usage log. */
static inline void expected_begin(struct expected_counts *expected)
{
	memset(expected, 0, sizeof(*expected));
	expected->first_record = procs_head();
	expected->first_sample = ring_head(&ring);
	usage_log_clear();
}

static inline void expected_free(struct expected_counts *expected)
{
	free(expected->processes);
	expected->processes = NULL;
}

/* Make one struct process_counts of the entries of each process. */
static inline void expected_list(struct expected_counts *expected)
{
	unsigned int i, nr = 0, kept = 0;
	struct process_counts *processes;

	processes = calloc(usage_log->nr + 1, sizeof(*processes));
	if (!processes)
		err(1, "calloc");
	for (i = 0; i < usage_log->nr; i++) {
		const struct usage_entry *entry = &usage_log->entries[i];

		if (entry->source != USAGE_NONE)
			processes[nr++] = (struct process_counts){
				.pid = entry->pid,
				.source = entry->source,
				.after_follow = entry->after_follow,
				.expected = entry->usage,
			};
	}
	qsort(processes, nr, sizeof(*processes), compare_processes);
	for (i = 0; i < nr; i++)
		if (kept && processes[kept - 1].pid == processes[i].pid)
			processes[kept - 1].after_follow |=
				processes[i].after_follow;
		else
			processes[kept++] = processes[i];
	expected->processes = processes;
	expected->nr = kept;
}

/*
 * Subtract what a process had used before it was registered, and what wait4(2)
 * added to it for the children that it waited for.
 */
static inline void expected_reduce(struct expected_counts *expected)
{
	unsigned int i;

	for (i = 0; i < usage_log->nr; i++) {
		const struct usage_entry *entry = &usage_log->entries[i];
		struct process_counts *process = NULL;

		if (entry->source == USAGE_REGISTERED)
			process = expected_find(expected, entry->pid);
		else if (entry->source == USAGE_WAITED)
			process = expected_find(expected, entry->waiter);
		if (!process || process->source == USAGE_REGISTERED ||
		    (entry->source == USAGE_WAITED &&
		     process->source != USAGE_WAITED))
			continue;
		usage_add(&process->expected, entry->usage, -1);
	}
}

/* Add a record, which comes after @before, to those of its process. */
static inline void expected_add(struct expected_counts *expected,
				const struct mp3_record *before,
				const struct mp3_record *record)
{
	struct process_counts *process = expected_find(expected, record->pid);
	bool first = record->flags & MP3_FIRST, last = record->flags & MP3_LAST;
	bool identity = record->flags == MP3_IDENTITY;

	/* An identity record has no counts. */
	if (!identity) {
		expected->recorded.min_flt += record->min_flt;
		expected->recorded.maj_flt += record->maj_flt;
	}
	if (!process) {
		if (!expected->unknown++)
			diag("a record of %u, %s, which is not in the usage log",
			     record->pid, record->comm);
		return;
	}
	if (!process->records)
		process->ordered = true;
	if (!identity_precedes(before, record) || process->ended)
		process->ordered = false;
	if (identity)
		return;
	if (first != !process->records)
		process->ordered = false;
	process->records++;
	process->first += first;
	process->last += last;
	process->ended = last;
	process->rss_bytes = record->rss_bytes;
	process->recorded.min_flt += record->min_flt;
	process->recorded.maj_flt += record->maj_flt;
}

/* Add up the usage log and both rings since expected_begin(). */
static inline void expected_finish(struct expected_counts *expected)
{
	uint64_t i, head = procs_head();
	struct mp3_record before = { 0 };
	struct totals samples;
	unsigned int n;

	if (head - expected->first_record > procs.capacity - 2)
		errx(1, "the ring of records has lapped");
	expected_list(expected);
	expected_reduce(expected);
	for (i = expected->first_record; i < head; i++) {
		struct mp3_record record = record_at(i);

		expected_add(expected, &before, &record);
		before = record;
	}
	if (before.flags == MP3_IDENTITY)
		expected->unknown++;
	samples = ring_sum(&ring, expected->first_sample);
	expected->sampled.min_flt = samples.min_flt;
	expected->sampled.maj_flt = samples.maj_flt;
	for (n = 0; n < expected->nr; n++) {
		struct process_counts *process = &expected->processes[n];

		expected->total.min_flt += process->expected.min_flt;
		expected->total.maj_flt += process->expected.maj_flt;
	}
}

/* Check that samples and records both add up to what is expected, or print. */
static inline bool totals_match(const struct expected_counts *expected)
{
	if (expected->sampled.min_flt == expected->total.min_flt &&
	    expected->sampled.maj_flt == expected->total.maj_flt &&
	    expected->recorded.min_flt == expected->total.min_flt &&
	    expected->recorded.maj_flt == expected->total.maj_flt)
		return true;

	diag("minor faults: samples %ld, records %ld, expected %ld",
	     expected->sampled.min_flt, expected->recorded.min_flt,
	     expected->total.min_flt);
	diag("major faults: samples %ld, records %ld, expected %ld",
	     expected->sampled.maj_flt, expected->recorded.maj_flt,
	     expected->total.maj_flt);
	return false;
}

/*
 * Check the records of a process that has ended: complete, in order, exact, and
 * without memory in the last one.
 */
static inline bool process_matches(const struct process_counts *process)
{
	return process->recorded.min_flt == process->expected.min_flt &&
	       process->recorded.maj_flt == process->expected.maj_flt &&
	       process->ordered && process->ended && process->first == 1 &&
	       process->last == 1 &&
	       (process->source == USAGE_UNREGISTERED || !process->rss_bytes);
}

static inline void process_diag(const struct process_counts *process)
{
	diag("%d: %u records, %u first, %u last%s; minor %ld of %ld, major %ld of %ld, rss %lu",
	     process->pid, process->records, process->first, process->last,
	     process->ordered ? "" : ", out of order",
	     process->recorded.min_flt, process->expected.min_flt,
	     process->recorded.maj_flt, process->expected.maj_flt,
	     (unsigned long)process->rss_bytes);
}

/* Check each process, and that no other has a record. Prints the first five. */
static inline bool processes_match(const struct expected_counts *expected)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < expected->nr; i++) {
		if (process_matches(&expected->processes[i]))
			continue;
		if (wrong++ < 5)
			process_diag(&expected->processes[i]);
	}
	if (wrong || expected->unknown)
		diag("%u of %u processes are wrong, %u records of unknown processes",
		     wrong, expected->nr, expected->unknown);

	return !wrong && !expected->unknown;
}

/* ---- Actors ---- */

#define ACTORS	16

/*
 * An actor is a process at one end of a socket pair. It reads requests, a letter
 * and a number each, and answers each with a number. The first actor is a child
 * of the test; the others are forked on request.
 */
static int actor_sockets[ACTORS][2];

struct actor_message {
	int letter, number;
};

static void actor_run(int self);

struct fork_args {
	int self;
	pid_t pid;
	bool stays;
};

static inline void *actor_thread(void *data)
{
	struct fork_args *args = data;
	pid_t pid = fork_child();

	if (!pid)
		actor_run(args->self);
	__atomic_store_n(&args->pid, pid, __ATOMIC_RELEASE);
	while (args->stays)
		pause();
	return NULL;
}

/* Fork an actor in a new thread, which then stays or ends. Returns its pid. */
static inline pid_t fork_by_thread(int self, bool stays)
{
	static struct fork_args all_args[ACTORS];
	struct fork_args *args = &all_args[self];
	pthread_t thread;

	*args = (struct fork_args){ .self = self, .stays = stays };
	if (pthread_create(&thread, NULL, actor_thread, args))
		errx(1, "pthread_create");
	if (!stays)
		pthread_join(thread, NULL);
	while (!__atomic_load_n(&args->pid, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	return args->pid;
}

/* Do what an actor was requested to do. Returns the answer. */
static inline int actor_handle(char letter, int number)
{
	pid_t pid;

	switch (letter) {
	case 'f':	/* fork actor @number */
		pid = fork_child();
		break;
	case 'p':	/* fork it as a sibling, by CLONE_PARENT */
		pid = clone_with(CLONE_PARENT | SIGCHLD);
		break;
	case 'n':	/* fork it into a new pid namespace */
		pid = clone_with(CLONE_NEWPID | SIGCHLD);
		break;
	case 't':	/* fork it in a thread that stays */
		return fork_by_thread(number, true);
	case 'e':	/* fork it in a thread that ends */
		return fork_by_thread(number, false);
	case 'm':	/* touch @number pages */
		touch(number);
		return 0;
	case 'S':	/* start a setuid program */
		pid = vfork();
		if (!pid) {
			execl("/tmp/mp3-follow", "follow", "hold", NULL);
			_exit(127);
		}
		return pid;
	case 's':	/* become a subreaper */
		return prctl(PR_SET_CHILD_SUBREAPER, 1);
	case 'w':	/* wait for child @number */
		return waitpid(number, NULL, 0);
	case 'u':	/* become user and group @number, dumpable */
		return setresgid(number, number, number) ||
		       setresuid(number, number, number) ||
		       prctl(PR_SET_DUMPABLE, 1);
	case 'l':	/* count the lines of pid @number in the status file */
		return listed(number);
	case 'F':	/* write a command for pid @number */
	case 'R':
	case 'U':
		return command(letter, number);
	default:	/* 'x': exit */
		_exit(0);
	}
	if (!pid)
		actor_run(number);
	return pid;
}

static inline void __attribute__((noreturn)) actor_run(int self)
{
	int fd = actor_sockets[self][1];
	struct actor_message message;

	prctl(PR_SET_NAME, "actor");
	while (read(fd, &message, sizeof(message)) == sizeof(message)) {
		int answer = actor_handle(message.letter, message.number);

		if (write(fd, &answer, sizeof(answer)) < 0)
			break;
	}
	_exit(0);
}

static inline void actor_send(int actor, char letter, int number)
{
	struct actor_message message = { letter, number };

	if (write(actor_sockets[actor][0], &message, sizeof(message)) < 0)
		errx(1, "actor %d does not read '%c'", actor, letter);
}

static inline int actor_answer(int actor)
{
	int answer;

	if (read(actor_sockets[actor][0], &answer, sizeof(answer)) !=
	    sizeof(answer))
		errx(1, "actor %d does not answer", actor);
	return answer;
}

/* Have an actor do something, and return its answer; 0 for 'x', exit. */
static inline int actor_request(int actor, char letter, int number)
{
	actor_send(actor, letter, number);
	return letter == 'x' ? 0 : actor_answer(actor);
}

/* Start actor 0, from which the others descend. Returns its pid. */
static inline pid_t start_actors(void)
{
	pid_t pid;
	int i;

	for (i = 0; i < ACTORS; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
			       actor_sockets[i]))
			err(1, "socketpair");
	pid = fork_child();
	if (!pid)
		actor_run(0);
	return pid;
}

/* Kill these actors, and reap all that are children of the test. */
static inline void end_actors(const pid_t *pids, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	for (i = 0; i < ACTORS; i++) {
		close(actor_sockets[i][0]);
		close(actor_sockets[i][1]);
	}
}

#endif /* MP3_TREE_H */
