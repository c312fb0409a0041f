/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the operations of the fuzz test share: the state that all processes see,
 * random numbers that can be replayed, checks of results, and the pids and the
 * commands that the operations use.
 */
#ifndef MP3_FUZZ_H
#define MP3_FUZZ_H

#include <ctype.h>

#include "located.h"

#define MAX_WORKERS	8
#define MAX_OPERATIONS	64
#define MAX_COMPLAINTS	12
#define BOARD_PIDS	64
#define NR_BOARDS	(MAX_WORKERS + 1)
#define MAX_PID		65536
#define MAX_TEXT	(2 * 65536)	/* of one write: two pages at most */

/**
 * enum phase - what the workers may expect of the module
 * @STOP: they are to exit
 * @LOADED: it is loaded, and in use
 * @RELOADED: it is unloaded and loaded again all the time
 */
enum phase { STOP, LOADED, RELOADED };

/* What is counted besides the operations. */
enum count {
	STATUS_WRITES, CAPTURE_WRITES, URING_REQUESTS, MAPPING_CALLS, RACES,
	REUSED_PIDS, FORKS, EXECS, OFFLINE, LOADS, KILLED_WORKERS, NO_URING,
	NR_COUNTS
};

static const char * const count_names[NR_COUNTS] = {
	"writes to the status file", "writes to captures",
	"requests to io_uring", "calls for mappings",
	"registrations that race an exit", "pids that were used before",
	"forks", "programs executed", "CPUs taken offline", "loads",
	"workers killed", "operations without io_uring",
};

/* Pids of the newest children in one pid namespace, also of exited ones. */
struct board {
	unsigned int next;
	pid_t pids[BOARD_PIDS];
	bool used[MAX_PID];
};

/* A result that must not occur. */
struct complaint {
	int worker;
	uint64_t number;
	const char *operation;
	char text[160];
};

/**
 * struct shared - what the test and its workers share
 * @phase:	    what the workers may expect
 * @paused:	    they are to use nothing of the module
 * @next:	    number of each worker's operation in progress, or the next
 * @operation:	    its index in the table
 * @performed:	    how often each operation was completed
 * @counts:	    what enum count names
 * @own_pids:	    the first process of each worker, in the initial pid namespace
 * @root_bystander: a process of root's in the status file, or -1
 * @records:	    entries of /dev/mp3_procs
 * @nr_complaints:  how many, also those that found no place in @complaints
 */
struct shared {
	enum phase phase;
	bool paused;
	uint64_t next[MAX_WORKERS];
	int operation[MAX_WORKERS];
	unsigned long performed[MAX_OPERATIONS];
	unsigned long counts[NR_COUNTS];
	pid_t own_pids[MAX_WORKERS];
	pid_t root_bystander;
	unsigned int records;
	unsigned int nr_complaints;
	struct complaint complaints[MAX_COMPLAINTS];
	struct board boards[NR_BOARDS];
};

static struct shared *shared;

/**
 * struct self - the worker that this process is, or descends from
 * @index:	   in the table of workers
 * @uid:	   its user
 * @in_pid_ns:	   it is in a pid namespace of its own
 * @is_root:	   it has all capabilities in the initial user namespace
 * @is_privileged: it may profile every process
 * @nested:	   this is a child of the worker
 * @number:	   of its operation
 * @operation:	   its name
 */
static struct self {
	int index;
	uid_t uid;
	bool in_pid_ns, is_root, is_privileged, nested;
	uint64_t number;
	const char *operation;
} self;

static inline void count_one(enum count count)
{
	__atomic_add_fetch(&shared->counts[count], 1, __ATOMIC_RELAXED);
}

static inline enum phase phase_now(void)
{
	return __atomic_load_n(&shared->phase, __ATOMIC_RELAXED);
}

/* ---- Random numbers ---- */

static uint64_t random_state;

static inline uint64_t mix(uint64_t x)
{
	/* The finalizer of splitmix64 */
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/*
 * Start a stream of random numbers that depends on these three only: what an
 * operation does is the same, however many numbers those before it have used.
 */
static inline void random_start(uint64_t seed, uint64_t stream, uint64_t number)
{
	random_state = mix(mix(mix(seed) + stream) + number);
}

static inline uint64_t random_bits(void)
{
	random_state += 0x9e3779b97f4a7c15;
	return mix(random_state);
}

/* Returns a number below @n, which is not 0. */
static inline unsigned int below(unsigned int n)
{
	return random_bits() % n;
}

static inline int pick(const int *numbers, size_t nr)
{
	return numbers[below(nr)];
}

static inline bool chance(unsigned int percent)
{
	return below(100) < percent;
}

/* ---- Checks ---- */

#define ERRORS(...)	((const int[]){ __VA_ARGS__, 0 })

/* Errors of commands that can be read; L has one more. */
static const int command_errors[] = {
	EINVAL, ESRCH, EEXIST, EPERM, ENOMEM, EOPNOTSUPP, 0
};

/* Note something that must not occur. The main process prints it. */
__attribute__((format(printf, 1, 2)))
static inline void complain(const char *fmt, ...)
{
	unsigned int i = __atomic_fetch_add(&shared->nr_complaints, 1,
					    __ATOMIC_RELAXED);
	struct complaint *complaint = &shared->complaints[i];
	va_list args;

	if (i >= MAX_COMPLAINTS)
		return;
	complaint->worker = self.index;
	complaint->number = self.number;
	va_start(args, fmt);
	vsnprintf(complaint->text, sizeof(complaint->text), fmt, args);
	va_end(args);
	__atomic_store_n(&complaint->operation, self.operation, __ATOMIC_RELEASE);
}

/* Make one number of what a system call returned: @ret, or -errno for -1. */
static inline long result(long ret)
{
	return ret == -1 ? -errno : ret;
}

static inline bool is_among(long error, const int *errors)
{
	while (*errors && *errors != error)
		errors++;
	return *errors;
}

/*
 * Returns whether @ret is not an error or, as -errno, is among @errors. While the
 * module is loaded and unloaded, its files may be missing, or belong to the last
 * one; and devtmpfs creates a node a moment before it sets its mode.
 */
static inline bool is_expected(long ret, const int *errors)
{
	return ret >= 0 || is_among(-ret, errors) ||
	       (phase_now() == RELOADED &&
		is_among(-ret, ERRORS(ENOENT, ENXIO, ENODEV, EIO, EACCES)));
}

/* Check a result by is_expected(), and return it. */
static inline long expect(const char *what, long ret, const int *errors)
{
	if (!is_expected(ret, errors))
		complain("%s: %s", what, strerror(-ret));
	return ret;
}

/* ---- Children ---- */

static inline struct board *own_board(void)
{
	return &shared->boards[self.in_pid_ns ? self.index : MAX_WORKERS];
}

/* Make a pid known to all workers in the same pid namespace. */
static inline void publish_pid(pid_t pid)
{
	struct board *board = own_board();
	unsigned int i = __atomic_fetch_add(&board->next, 1, __ATOMIC_RELAXED);

	__atomic_store_n(&board->pids[i % BOARD_PIDS], pid, __ATOMIC_RELAXED);
	if (pid > 0 && pid < MAX_PID &&
	    __atomic_exchange_n(&board->used[pid], true, __ATOMIC_RELAXED))
		count_one(REUSED_PIDS);
}

/*
 * Fork a child that ends with its parent, and publish its pid. Returns -1 if that
 * is not possible: pids may be scarce.
 */
static inline pid_t try_fork(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		self.nested = true;
		return 0;
	}
	if (pid > 0) {
		count_one(FORKS);
		publish_pid(pid);
	}
	return pid;
}

static inline void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static inline void kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
	reap(pid);
}

/* Sleep for up to @us microseconds. A signal ends it. */
static inline void short_sleep(unsigned int us)
{
	usleep(below(us + 1));
}

/* ---- Commands ---- */

/* Choose a pid: mostly of a child of some worker, dead or alive. */
static inline int pick_pid(void)
{
	static const int odd[] = {
		0, 1, 2, -1, 299, 300, 32768, 4194304, 2147483647, -2147483647,
	};
	unsigned int choice = below(20);

	if (choice < 12)
		return __atomic_load_n(&own_board()->pids[below(BOARD_PIDS)],
				       __ATOMIC_RELAXED);
	if (choice < 15)
		return getpid();
	if (choice < 16)
		return getppid();
	if (choice < 18)
		return shared->own_pids[below(MAX_WORKERS)];
	if (choice < 19)
		return 1 + below(4096);
	return pick(odd, ARRAY_SIZE(odd));
}

/*
 * Compose one command, mostly a correct one. Returns its length. @size is at least
 * 40.
 */
static inline size_t compose_line(char *line, size_t size, bool for_capture)
{
	static const char * const separators[] = {
		",", ",", ",", ",", ",", " ", "\t", "  \t", ",,", ", ", "",
	};
	const char *separator = separators[below(ARRAY_SIZE(separators))];
	char letter = "RRRFUUUU"[below(8)];

	if (for_capture && chance(12))
		return snprintf(line, size, "L%s%u,%u", separator,
				chance(90) ? 1u << below(18) >> 1 : below(70000),
				below(10));
	return snprintf(line, size, "%c%s%d", letter, separator, pick_pid());
}

/* Make the pid of the bystander in the status file malformed. */
static inline void spare_bystander(char *text, size_t size)
{
	size_t i = 0;

	while (i < size) {
		uint64_t number = 0;
		size_t start = i;

		for (; i < size && isdigit((unsigned char)text[i]); i++)
			if (number < UINT32_MAX)
				number = 10 * number + text[i] - '0';
		if (i > start && number == (uint64_t)shared->root_bystander)
			text[start] = 'x';
		i += i == start;
	}
}

/*
 * Compose what is written with one write(2): commands that are correct, wrong,
 * or neither. Returns its size, which exceeds a page rarely.
 */
static inline size_t compose(char *text, bool for_capture)
{
	static const char noise[] = "RFUL,\n\n\t -+0123456789xX";
	unsigned int kind = below(20), lines = 1;
	size_t size = 0, i, limit = PAGE;

	if (kind == 0) {
		size = below(200);
		for (i = 0; i < size; i++)
			text[i] = random_bits();
	} else if (kind == 1) {
		limit = 2 * PAGE;
		size = PAGE + 1 + below(PAGE - 1);
		memset(text, '\n', size);
		text[compose_line(text, size, for_capture)] = '\n';
	} else if (kind < 6) {
		lines = 2 + below(12);
	}
	while (kind > 1 && lines-- && size + 80 < limit) {
		size += compose_line(text + size, 80, for_capture);
		if (lines || chance(70))
			text[size++] = chance(95) ? '\n' : '\0';
	}
	if (kind >= 16)
		for (i = 1 + below(3); i && size; i--)
			text[below(size)] = noise[below(sizeof(noise))];
	if (self.is_privileged && !for_capture)
		spare_bystander(text, size);

	return size;
}

/*
 * Write a single command to an open file, if @fd is one. Returns the number of bytes,
 * or -errno, which has to be a documented one.
 */
static inline long write_line(int fd, char letter, pid_t pid, bool to_capture)
{
	char line[40];
	int size = snprintf(line, sizeof(line), "%c,%d", letter, pid);

	if (fd < 0)
		return -EBADF;
	count_one(to_capture ? CAPTURE_WRITES : STATUS_WRITES);
	return expect(line, result(write(fd, line, size)), command_errors);
}

#endif /* MP3_FUZZ_H */
