/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of captures share: a capture or the ring of records of the
 * classic registry, mapped; what a ring has of one process; and workers, which
 * are processes that act on request.
 */
#ifndef MP3_CAPTURE_H
#define MP3_CAPTURE_H

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "fail.h"
#include "module.h"
#include "process.h"
#include "test.h"

#define CAPTURE_PATH	"/dev/mp3_capture"
#define PAGE		((size_t)getpagesize())

/* ---- Rings of records ---- */

/**
 * struct capture - a ring of records, mapped
 * @fd:        the open file
 * @header:    its header page
 * @records:   its data
 * @data_size: bytes of @records that are mapped
 * @capacity:  entries
 */
struct capture {
	int fd;
	volatile struct mp3_header *header;
	const volatile struct mp3_record *records;
	size_t data_size;
	uint32_t capacity;
};

/* Map the ring of an open file. */
static inline struct capture capture_map(int fd)
{
	struct capture c = { .fd = fd };

	c.header = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, MP3_OFF_HEADER);
	if (c.header == MAP_FAILED)
		err(1, "mmap of a header");
	c.capacity = c.header->capacity;
	c.data_size = (c.capacity * sizeof(struct mp3_record) + PAGE - 1) /
		      PAGE * PAGE;
	c.records = mmap(NULL, c.data_size, PROT_READ, MAP_SHARED, fd, 0);
	if (c.records == MAP_FAILED)
		err(1, "mmap of records");

	return c;
}

/* Create a capture. Returns its descriptor or -errno. */
static inline int capture_try_open(void)
{
	int fd = open(CAPTURE_PATH, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static inline struct capture capture_open(void)
{
	int fd = capture_try_open();

	if (fd < 0)
		errx(1, "%s: %s", CAPTURE_PATH, strerror(-fd));
	return capture_map(fd);
}

/* Open the ring of records of the classic registry. */
static inline struct capture classic_open(void)
{
	int fd = open(MP3_PROCS_PATH, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", MP3_PROCS_PATH);
	return capture_map(fd);
}

static inline void capture_unmap(struct capture *c)
{
	munmap((void *)c->records, c->data_size);
	munmap((void *)c->header, PAGE);
}

static inline void capture_close(struct capture *c)
{
	capture_unmap(c);
	close(c->fd);
}

static inline uint64_t capture_head(const struct capture *c)
{
	return __atomic_load_n(&c->header->head, __ATOMIC_ACQUIRE);
}

static inline uint32_t capture_processes(const struct capture *c)
{
	return __atomic_load_n(&c->header->processes, __ATOMIC_ACQUIRE);
}

static inline struct mp3_record capture_at(const struct capture *c,
					   uint64_t number)
{
	return *(const struct mp3_record *)&c->records[number % c->capacity];
}

/* Write a command to a capture. Returns 0 or -errno. */
static inline int capture_command(const struct capture *c, char letter,
				  pid_t pid)
{
	return command_by_fd(c->fd, letter, pid);
}

static inline void capture_command_or_die(const struct capture *c, char letter,
					  pid_t pid)
{
	int ret = capture_command(c, letter, pid);

	if (ret)
		errx(1, "%c,%d: %s", letter, pid, strerror(-ret));
}

/*
 * Wait until the sampler has served a deadline that began after the call. One
 * process at least has to be registered, anywhere.
 */
static inline void wait_ticks(const struct capture *c)
{
	uint64_t ticks = c->header->ticks;
	int i;

	for (i = 0; i < 60000; i++) {
		if (c->header->ticks >= ticks + 2)
			return;
		sleep_ms(1);
	}
	errx(1, "no ticks in a minute");
}

/* Wait until a capture has @nr processes. Returns false after a minute. */
static inline bool capture_has(const struct capture *c, unsigned int nr)
{
	int i;

	for (i = 0; i < 60000 && capture_processes(c) != nr; i++)
		sleep_ms(1);
	if (capture_processes(c) == nr)
		return true;
	diag("%u processes are registered, want %u", capture_processes(c), nr);
	return false;
}

/*
 * Wait until no process is registered anywhere: the sampler then handles no
 * deadline. Needs an interval of 20 ms or less. A busy machine may delay a tick, so
 * wait for five periods without one. Returns false after a minute.
 */
static inline bool sampler_stops(const struct ring *ring)
{
	unsigned int still = 0;
	uint64_t ticks;
	int i;

	for (i = 0; i < 400 && still < 5; i++) {
		ticks = ring->header->ticks;
		sleep_ms(150);
		still = ring->header->ticks == ticks ? still + 1 : 0;
	}
	if (still < 5)
		diag("the sampler still ticks after a minute");

	return still == 5;
}

/* ---- What a ring has of one process ---- */

/**
 * struct history - the records of one process in a ring
 * @records:    records, without identity records
 * @identities: identity records
 * @first:      records with MP3_FIRST
 * @last:       records with MP3_LAST
 * @empty:      records with neither a count nor a flag
 * @ordered:    each registration begins with an identity record, directly
 *              followed by MP3_FIRST; nothing follows MP3_LAST but another
 * @ended:      the latest record has MP3_LAST
 * @counts:     sum of the faults; CPU time in microseconds
 * @identity:   the latest identity record
 * @latest:     the latest record
 */
struct history {
	unsigned int records, identities, first, last, empty;
	bool ordered, ended;
	struct usage counts;
	struct mp3_record identity, latest;
};

/* Add one record. @previous is the entry before it in the ring. */
static inline void history_add(struct history *h, const struct mp3_record *r,
			       const struct mp3_record *previous)
{
	bool begun = h->identities && !h->ended;

	if (r->flags & MP3_IDENTITY) {
		/* The registration before has ended. */
		h->ordered &= r->flags == MP3_IDENTITY && !begun;
		h->identities++;
		h->ended = false;
		h->identity = *r;
		return;
	}
	if (r->flags & MP3_FIRST) {
		h->ordered &= begun && previous->flags == MP3_IDENTITY &&
			      previous->pid == r->pid &&
			      previous->time_ns == r->time_ns;
		h->first++;
	}
	h->ordered &= begun && h->first == h->identities;
	if (h->records)
		h->ordered &= r->time_ns >= h->latest.time_ns;
	h->records++;
	h->empty += !r->flags && !(r->min_flt | r->maj_flt | r->cpu_ns);
	h->last += !!(r->flags & MP3_LAST);
	h->ended = r->flags & MP3_LAST;
	h->counts.min_flt += r->min_flt;
	h->counts.maj_flt += r->maj_flt;
	h->counts.cpu_us += r->cpu_ns / 1000;
	h->latest = *r;
}

/* Collect the records of a process from number @from on. */
static inline struct history history_from(const struct capture *c,
					  uint64_t from, pid_t pid)
{
	struct history h = { .ordered = true };
	uint64_t i, head = capture_head(c);

	if (head - from > c->capacity - 2)
		errx(1, "the ring has lapped");
	for (i = from; i < head; i++) {
		struct mp3_record record = capture_at(c, i), previous = { 0 };

		if (record.pid != (uint32_t)pid)
			continue;
		if (i > from)
			previous = capture_at(c, i - 1);
		history_add(&h, &record, &previous);
	}
	return h;
}

static inline struct history history_of(const struct capture *c, pid_t pid)
{
	return history_from(c, 0, pid);
}

/*
 * Check that the records of one process are complete registrations, @times of
 * them, and add up to @want. Prints any difference.
 */
static inline bool history_matches(const struct history *h, unsigned int times,
				   struct usage want, const char *what)
{
	if (h->ordered && h->ended && h->identities == times &&
	    h->first == times && h->last == times && !h->empty &&
	    h->counts.min_flt == want.min_flt &&
	    h->counts.maj_flt == want.maj_flt)
		return true;
	diag("%s: %u records, %u identity, %u first, %u last, %u empty%s%s",
	     what, h->records, h->identities, h->first, h->last, h->empty,
	     h->ordered ? "" : ", out of order", h->ended ? "" : ", not ended");
	diag("minor faults %ld of %ld, major faults %ld of %ld",
	     h->counts.min_flt, want.min_flt, h->counts.maj_flt, want.maj_flt);
	return false;
}

static inline struct usage usage_between(struct usage from, struct usage to)
{
	usage_add(&to, from, -1);
	return to;
}

/* Wait for a child. Returns its usage, with that of the children it waited for. */
static inline struct usage wait_usage(pid_t pid)
{
	struct rusage rusage;

	if (wait4(pid, NULL, 0, &rusage) != pid)
		err(1, "wait4");
	return usage_of(&rusage);
}

/* What a process has used so far, without its children. */
static inline struct usage usage_of_pid(pid_t pid)
{
	struct stat_line stat;

	if (!stat_of(pid, &stat))
		errx(1, "no process %d", pid);
	return (struct usage){
		.min_flt = stat.flt[0],
		.maj_flt = stat.flt[2],
	};
}

/*
 * Write a command to a capture, or with -1 to the status file, for a process
 * that waits. Returns what it had used when the command took effect.
 */
static inline struct usage command_usage(int fd, char letter, pid_t pid)
{
	struct usage before, after;
	int ret;

	wait_state(pid, 'S');
	before = usage_of_pid(pid);
	ret = fd < 0 ? command(letter, pid) : command_by_fd(fd, letter, pid);
	after = usage_of_pid(pid);
	if (ret)
		errx(1, "%c,%d: %s", letter, pid, strerror(-ret));
	if (before.min_flt != after.min_flt || before.maj_flt != after.maj_flt)
		errx(1, "%d faulted during a command", pid);

	return after;
}

/*
 * Write a command to a capture for this process. Returns what it had used when
 * the command took effect. There is no command X: the first round brings in
 * every page that the second needs, so that nothing faults in between.
 */
static inline struct usage command_own_usage_by_fd(int fd, char letter)
{
	struct usage before, after;
	int i, ret;

	for (i = 0; i < 2; i++) {
		before = own_usage();
		ret = command_by_fd(fd, i ? letter : 'X', getpid());
		after = own_usage();
	}
	if (ret)
		errx(1, "%c: %s", letter, strerror(-ret));
	if (before.min_flt != after.min_flt || before.maj_flt != after.maj_flt)
		errx(1, "%c: a page fault occurred during the command", letter);

	return after;
}

/* ---- Users ---- */

static inline void become_user(uid_t uid)
{
	if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid) ||
	    prctl(PR_SET_DUMPABLE, 1))
		err(1, "cannot become user %u", uid);
}

/*
 * Run a function in a child that is this user. Returns what the function does,
 * 0..127.
 */
static inline int run_as(uid_t uid, int (*function)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		become_user(uid);
		_exit(function(arg));
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		errx(1, "a child ended with status %#x", status);
	return WEXITSTATUS(status);
}

/* ---- Workers ---- */

/**
 * struct worker - a process that acts on request
 * @pid:    its pid
 * @socket: this process's end of its socket
 */
struct worker {
	pid_t pid;
	int socket;
};

/* Answers requests until the other end is closed. */
static inline void __attribute__((noreturn)) worker_run(int socket);

static inline void *worker_touch(void *pages)
{
	touch((size_t)pages);
	return NULL;
}

/* Touch pages in as many threads, which end. */
static inline void worker_threads(int pages)
{
	pthread_t threads[4];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		if (pthread_create(&threads[i], NULL, worker_touch,
				   (void *)(size_t)pages))
			errx(1, "pthread_create");
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

/* Fork a child that touches pages and exits, and reap it. Returns its pid. */
static inline pid_t worker_child(int pages)
{
	pid_t pid = fork_child();

	if (!pid) {
		touch(pages);
		_exit(0);
	}
	waitpid(pid, NULL, 0);

	return pid;
}

static inline int worker_handle(char letter, int number)
{
	pid_t pid;

	switch (letter) {
	case 'm':	/* touch @number pages */
		touch(number);
		return 0;
	case 't':	/* touch @number pages in each of four threads */
		worker_threads(number);
		return 0;
	case 'f':	/* a child that touches @number pages, exits, is reaped */
		return worker_child(number);
	case 'w':	/* fork a worker that uses the socket @number */
		pid = fork_child();
		if (!pid)
			worker_run(number);
		return pid;
	case 'n':	/* a long name, and then a short one */
		return prctl(PR_SET_NAME, "a-longer-name-1") |
		       prctl(PR_SET_NAME, "ab");
	default:	/* 'x': exit */
		_exit(0);
	}
}

static inline void __attribute__((noreturn)) worker_run(int socket)
{
	int request[2], answer;

	while (read(socket, request, sizeof(request)) == sizeof(request)) {
		answer = worker_handle(request[0], request[1]);
		if (write(socket, &answer, sizeof(answer)) < 0)
			break;
	}
	_exit(0);
}

/* Have a worker do something. Returns its answer; 0 for 'x', exit. */
static inline int worker_request(const struct worker *worker, char letter,
				 int number)
{
	int request[2] = { letter, number }, answer = 0;

	if (write(worker->socket, request, sizeof(request)) < 0)
		err(1, "worker %d does not read", worker->pid);
	if (letter != 'x' &&
	    read(worker->socket, &answer, sizeof(answer)) != sizeof(answer))
		errx(1, "worker %d does not answer", worker->pid);

	return answer;
}

static inline struct worker worker_start(void)
{
	struct worker worker;
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		err(1, "socketpair");
	fflush(stdout);
	worker.pid = fork_child();
	if (!worker.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(sockets[0]);
		worker_run(sockets[1]);
	}
	close(sockets[1]);
	worker.socket = sockets[0];
	/* What it faults at first, it does not fault later. */
	worker_request(&worker, 'm', 1);

	return worker;
}

/* Kill a worker. Returns what it has used. */
static inline struct usage worker_end(struct worker *worker)
{
	kill(worker->pid, SIGKILL);
	close(worker->socket);
	return wait_usage(worker->pid);
}

/*
 * Return whether the sampler handles no deadline for @ms, which are several
 * intervals, once a tick or an F that was at work has ended: no process is
 * registered then. Gives up after 500 attempts.
 */
static inline bool comes_to_rest(const struct ring *ring, int ms)
{
	uint64_t ticks;
	int i;

	for (i = 0; i < 500; i++) {
		ticks = ring->header->ticks;
		sleep_ms(ms);
		if (ring->header->ticks == ticks)
			return true;
	}
	return false;
}

#endif /* MP3_CAPTURE_H */
