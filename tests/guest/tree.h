/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of followed processes share: the ring of records, processes
 * that do as they are told, and a table of what wait4(2) has said of each
 * process, which is what its records have to say, too.
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
#include "test.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MODULE_PATH	"/mp3/mp3.ko"
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

static inline void must_unload(void)
{
	if (syscall(SYS_delete_module, "mp3", O_NONBLOCK))
		err(1, "unload");
}

static inline void must_load(const char *params)
{
	int fd = open(MODULE_PATH, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, params, 0))
		err(1, "load %s %s", MODULE_PATH, params);
	close(fd);
}

/* Fresh rings, and these parameters. */
static inline void reload(const char *params)
{
	close_rings();
	must_unload();
	must_load(params);
	open_rings();
}

static inline uint32_t nr_registered(void)
{
	return __atomic_load_n(&ring.header->processes, __ATOMIC_ACQUIRE);
}

/* The header may learn of a child by the next tick only. */
static inline bool becomes_registered(unsigned int nr)
{
	int i;

	for (i = 0; i < 6000 && nr_registered() != nr; i++)
		sleep_ms(10);
	return nr_registered() == nr;
}

/* Exactly these are registered, and listed, once each; tells what is not so. */
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
		diag("process %u of %u, %d, is listed %d times", i, nr, pids[i],
		     times);
		same = false;
	}
	if (same && lines == nr && becomes_registered(nr))
		return true;
	diag("%u are listed and %u registered, not %u", lines, nr_registered(),
	     nr);
	return false;
}

#define LISTS(...)	lists((const pid_t[]){ __VA_ARGS__ },		\
			      sizeof((const pid_t[]){ __VA_ARGS__ }) /	\
			      sizeof(pid_t))

/* Waits until all that was done before is in the rings. */
static inline void wait_tick(void)
{
	uint64_t head = ring_head(&ring);
	int i;

	/* The first of them may have been under way. */
	for (i = 0; i < 6000; i++) {
		if (ring_head(&ring) >= head + 2)
			return;
		sleep_ms(10);
	}
	errx(1, "no ticks in a minute");
}

/* ---- What processes do ---- */

static inline void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	return memory;
}

static inline void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* Where there is but one, this is it. */
	sched_setaffinity(0, sizeof(set), &set);
}

static inline void kill_and_reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- The table ---- */

/* How a number of the table came about, in the order of their weight. */
enum source {
	UNSEEN,		/* the entry's maker was killed at it */
	AT_BIRTH,	/* there are no numbers yet, but a parent */
	AT_BASE,	/* what it had done when it was registered */
	BY_ITSELF,	/* at its end, of itself, where nobody may wait for it */
	BY_WAITER,	/* by wait4(2): with the children that it waited for */
	AT_LEAVE,	/* of itself, when it was unregistered */
};

/**
 * struct entry - what somebody says of a process
 * @pid:     of whom, in the test's pid namespace
 * @waiter:  who waited for it; AT_BIRTH: its parent
 * @source:  who says it
 * @late:    it was born when all that were there before it were followed
 * @min_flt: minor faults
 * @maj_flt: major faults
 * @cpu_us:  CPU time, microseconds
 */
struct entry {
	pid_t pid;
	pid_t waiter;
	enum source source;
	bool late;
	long min_flt;
	long maj_flt;
	long cpu_us;
};

#define MAX_ENTRIES	262144

static struct table {
	unsigned int nr;
	struct entry entries[MAX_ENTRIES];
} *table;

static inline void table_make(void)
{
	table = shared_memory(sizeof(*table));
}

static inline void table_clear(void)
{
	memset(table->entries, 0, table->nr * sizeof(*table->entries));
	table->nr = 0;
}

static inline struct entry *table_claim(void)
{
	unsigned int i = __atomic_fetch_add(&table->nr, 1, __ATOMIC_RELAXED);

	if (i >= MAX_ENTRIES)
		errx(1, "more than %d entries", MAX_ENTRIES);
	return &table->entries[i];
}

static inline void entry_fill(struct entry *entry, const struct rusage *usage)
{
	entry->min_flt = usage->ru_minflt;
	entry->maj_flt = usage->ru_majflt;
	entry->cpu_us = (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) *
			1000000 + usage->ru_utime.tv_usec +
			usage->ru_stime.tv_usec;
}

static inline void note(enum source source, pid_t pid, pid_t waiter,
			const struct rusage *usage, bool late)
{
	struct entry *entry = table_claim();

	entry_fill(entry, usage);
	entry->pid = pid;
	entry->waiter = waiter;
	entry->late = late;
	entry->source = source;
}

/* Waits for a child, or any for -1: its pid, or 0 if there is none. */
static inline pid_t wait_noted(pid_t pid, int options)
{
	struct rusage usage;

	do {
		pid = wait4(pid, NULL, __WALL | options, &usage);
	} while (pid < 0 && errno == EINTR);
	if (pid <= 0)
		return 0;
	note(BY_WAITER, pid, getpid(), &usage, false);

	return pid;
}

/*
 * The end of a process that nobody can wait for. The first round brings in all
 * that the second needs, and so there is no fault that it does not tell of.
 */
static inline void __attribute__((noreturn)) exit_noted(void)
{
	struct entry *entry = table_claim();
	struct rusage usage;
	int i;

	for (i = 0; i < 2; i++) {
		syscall(SYS_getrusage, RUSAGE_SELF, &usage);
		entry_fill(entry, &usage);
		entry->pid = syscall(SYS_getpid);
		entry->source = BY_ITSELF;
	}
	syscall(SYS_exit_group, 0);
	__builtin_unreachable();
}

/*
 * A command for this process, and what it had done at that moment. The first
 * round is a dry run (there is no command X), so that nothing faults in between.
 */
static inline void command_self(char letter)
{
	enum source source = letter == 'U' ? AT_LEAVE : AT_BASE;
	struct rusage before, after;
	int i, ret;

	for (i = 0; i < 2; i++) {
		getrusage(RUSAGE_SELF, &before);
		ret = command(i ? letter : 'X', getpid());
		getrusage(RUSAGE_SELF, &after);
	}
	if (ret)
		errx(1, "%c: %s", letter, strerror(-ret));
	if (before.ru_minflt != after.ru_minflt ||
	    before.ru_majflt != after.ru_majflt)
		errx(1, "%c: there was a fault in between", letter);
	note(source, getpid(), 0, &after, false);
}

/* Behind the name: min_flt, cmin_flt, maj_flt and cmaj_flt. */
#define STAT_FORMAT	" %c %d %d %*d %*d %*d %*u %ld %ld %ld %ld"

/**
 * struct stat_line - of /proc/<pid>/stat
 * @state:  R, S, Z ...
 * @parent: pid of its parent
 * @group:  process group
 * @flt:    min_flt, cmin_flt, maj_flt, cmaj_flt
 */
struct stat_line {
	char state;
	pid_t parent;
	pid_t group;
	long flt[4];
};

/* False if there is no such process any more. */
static inline bool stat_of(pid_t pid, struct stat_line *stat)
{
	char path[32], text[1024], *fields;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size <= 0)
		return false;
	text[size] = '\0';
	fields = strrchr(text, ')');
	if (!fields || sscanf(fields + 1, STAT_FORMAT, &stat->state,
			      &stat->parent, &stat->group, &stat->flt[0],
			      &stat->flt[1], &stat->flt[2], &stat->flt[3]) != 7)
		errx(1, "%s: %s", path, text);
	return true;
}

/* Waits until a process sleeps: S, for something to come, or D, where it was told to. */
static inline void await_state(pid_t pid, char state)
{
	struct stat_line stat;
	int i;

	for (i = 0; i < 60000; i++) {
		if (stat_of(pid, &stat) && stat.state == state)
			return;
		sleep_ms(1);
	}
	errx(1, "%d is never in state %c", pid, state);
}

/* ---- The comparison ---- */

/**
 * struct tally - what is due of a process, and what its records say
 * @pid:      its pid
 * @source:   where @due is from
 * @late:     as in struct entry
 * @due:      faults that have to be counted
 * @seen:     faults in its records
 * @cpu_ns:   CPU time in its records
 * @records:  how many there are
 * @first:    of these, those with MP3_FIRST
 * @last:     of these, those with MP3_LAST
 * @ordered:  the first one is the first, and the last one is the last
 * @over:     one with MP3_LAST came last so far
 * @resident: memory that the last one says it has
 */
struct tally {
	pid_t pid;
	enum source source;
	bool late;
	struct {
		long min_flt, maj_flt, cpu_us;
	} due;
	struct {
		long min_flt, maj_flt;
	} seen;
	uint64_t cpu_ns;
	unsigned int records, first, last;
	bool ordered, over;
	uint64_t resident;
};

/**
 * struct account - of all processes
 * @nr:       how many there are
 * @tallies:  sorted by pid
 * @unknown:  records of others
 * @from_record, @from_sample: where the rings stood when it was opened
 * @records:  what all records add up to
 * @samples:  what all samples add up to
 * @due:      what is due
 */
struct account {
	unsigned int nr;
	struct tally *tallies;
	unsigned int unknown;
	uint64_t from_record, from_sample;
	struct {
		long min_flt, maj_flt;
	} records, samples, due;
};

static inline int compare_tallies(const void *a, const void *b)
{
	const struct tally *left = a, *right = b;

	if (left->pid != right->pid)
		return left->pid < right->pid ? -1 : 1;
	/* Of two, the one that weighs more comes first. */
	return (int)right->source - (int)left->source;
}

static inline struct tally *account_find(const struct account *account,
					 pid_t pid)
{
	struct tally *at = account->tallies;
	unsigned int nr = account->nr;

	while (nr) {
		struct tally *middle = at + nr / 2;

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

static inline void account_open(struct account *account)
{
	memset(account, 0, sizeof(*account));
	account->from_record = procs_head();
	account->from_sample = ring_head(&ring);
	table_clear();
}

static inline void account_free(struct account *account)
{
	free(account->tallies);
	account->tallies = NULL;
}

/* One tally for each process that the table knows, by its weightiest entry. */
static inline void account_list(struct account *account)
{
	unsigned int i, nr = 0, kept = 0;
	struct tally *tallies = calloc(table->nr + 1, sizeof(*tallies));

	if (!tallies)
		err(1, "calloc");
	for (i = 0; i < table->nr; i++) {
		const struct entry *entry = &table->entries[i];

		if (entry->source != UNSEEN)
			tallies[nr++] = (struct tally){
				.pid = entry->pid,
				.source = entry->source,
				.late = entry->late,
				.due = { entry->min_flt, entry->maj_flt,
					 entry->cpu_us },
			};
	}
	qsort(tallies, nr, sizeof(*tallies), compare_tallies);
	for (i = 0; i < nr; i++)
		if (kept && tallies[kept - 1].pid == tallies[i].pid)
			tallies[kept - 1].late |= tallies[i].late;
		else
			tallies[kept++] = tallies[i];
	account->tallies = tallies;
	account->nr = kept;
}

/* Takes off what a process had done before, and what its children did. */
static inline void account_reduce(struct account *account)
{
	unsigned int i;

	for (i = 0; i < table->nr; i++) {
		const struct entry *entry = &table->entries[i];
		struct tally *tally = NULL;

		if (entry->source == AT_BASE)
			tally = account_find(account, entry->pid);
		else if (entry->source == BY_WAITER)
			tally = account_find(account, entry->waiter);
		if (!tally || tally->source == AT_BASE ||
		    (entry->source == BY_WAITER && tally->source != BY_WAITER))
			continue;
		tally->due.min_flt -= entry->min_flt;
		tally->due.maj_flt -= entry->maj_flt;
		tally->due.cpu_us -= entry->cpu_us;
	}
}

static inline void account_add(struct account *account,
			       const struct mp3_record *record)
{
	struct tally *tally = account_find(account, record->pid);
	bool first = record->flags & MP3_FIRST, last = record->flags & MP3_LAST;

	account->records.min_flt += record->min_flt;
	account->records.maj_flt += record->maj_flt;
	if (!tally) {
		if (!account->unknown++)
			diag("a record of %u, %s, whom nobody knows",
			     record->pid, record->comm);
		return;
	}
	if (!tally->records)
		tally->ordered = true;
	if (first != !tally->records || tally->over)
		tally->ordered = false;
	tally->records++;
	tally->first += first;
	tally->last += last;
	tally->over = last;
	tally->resident = record->rss_bytes;
	tally->seen.min_flt += record->min_flt;
	tally->seen.maj_flt += record->maj_flt;
	tally->cpu_ns += record->cpu_ns;
}

/* All that the table, the records and the samples say since account_open(). */
static inline void account_close(struct account *account)
{
	uint64_t i, head = procs_head();
	struct totals samples;
	unsigned int n;

	if (head - account->from_record > procs.capacity - 2)
		errx(1, "the ring of records has lapped");
	account_list(account);
	account_reduce(account);
	for (i = account->from_record; i < head; i++) {
		struct mp3_record record = record_at(i);

		account_add(account, &record);
	}
	samples = ring_sum(&ring, account->from_sample);
	account->samples.min_flt = samples.min_flt;
	account->samples.maj_flt = samples.maj_flt;
	for (n = 0; n < account->nr; n++) {
		account->due.min_flt += account->tallies[n].due.min_flt;
		account->due.maj_flt += account->tallies[n].due.maj_flt;
	}
}

/* Samples and records have in sum what wait4 says; tells what they do not. */
static inline bool sums_agree(const struct account *account)
{
	if (account->samples.min_flt == account->due.min_flt &&
	    account->samples.maj_flt == account->due.maj_flt &&
	    account->records.min_flt == account->due.min_flt &&
	    account->records.maj_flt == account->due.maj_flt)
		return true;

	diag("minor faults: samples %ld, records %ld, due %ld",
	     account->samples.min_flt, account->records.min_flt,
	     account->due.min_flt);
	diag("major faults: samples %ld, records %ld, due %ld",
	     account->samples.maj_flt, account->records.maj_flt,
	     account->due.maj_flt);
	return false;
}

/* A process that has ended: all of its records, and nothing but them. */
static inline bool tally_is_right(const struct tally *tally)
{
	return tally->seen.min_flt == tally->due.min_flt &&
	       tally->seen.maj_flt == tally->due.maj_flt &&
	       tally->ordered && tally->over && tally->first == 1 &&
	       tally->last == 1 &&
	       (tally->source == AT_LEAVE || !tally->resident);
}

static inline void tally_diag(const struct tally *tally)
{
	diag("%d: %u records, %u first, %u last%s; minor %ld of %ld, major %ld of %ld, rss %lu",
	     tally->pid, tally->records, tally->first, tally->last,
	     tally->ordered ? "" : ", in no order", tally->seen.min_flt,
	     tally->due.min_flt, tally->seen.maj_flt, tally->due.maj_flt,
	     (unsigned long)tally->resident);
}

/* Each process has its records, from its first to its last; tells who not. */
static inline bool each_agrees(const struct account *account)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < account->nr; i++) {
		if (tally_is_right(&account->tallies[i]))
			continue;
		if (wrong++ < 5)
			tally_diag(&account->tallies[i]);
	}
	if (wrong || account->unknown)
		diag("%u of %u processes are wrong, %u records are nobody's",
		     wrong, account->nr, account->unknown);

	return !wrong && !account->unknown;
}

/* ---- Processes that do as they are told ---- */

#define ACTORS	16

/*
 * An actor has a socket, whose other end tells it, letter by letter, what to
 * do; it answers with a number.
 */
static int stage[ACTORS][2];

static void act(int self);

struct part {
	int self;
	pid_t pid;
	bool stays;
};

static inline void *thread_forks(void *arg)
{
	struct part *part = arg;
	pid_t pid = fork_child();

	if (!pid)
		act(part->self);
	__atomic_store_n(&part->pid, pid, __ATOMIC_RELEASE);
	while (part->stays)
		pause();
	return NULL;
}

/* A child of another thread than the first, which may stay or go. */
static inline pid_t fork_by_thread(int self, bool stays)
{
	static struct part parts[ACTORS];
	struct part *part = &parts[self];
	pthread_t thread;

	*part = (struct part){ .self = self, .stays = stays };
	if (pthread_create(&thread, NULL, thread_forks, part))
		errx(1, "pthread_create");
	if (!stays)
		pthread_join(thread, NULL);
	while (!__atomic_load_n(&part->pid, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	return part->pid;
}

static inline int perform(char letter, int number)
{
	pid_t pid;

	switch (letter) {
	case 'f':	/* fork an actor */
		pid = fork_child();
		break;
	case 'p':	/* fork one that is its parent's child */
		pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		break;
	case 'n':	/* fork one in a pid namespace of its own */
		pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
		break;
	case 't':	/* have a thread fork one, and stay */
		return fork_by_thread(number, true);
	case 'e':	/* the same, but it ends */
		return fork_by_thread(number, false);
	case 'm':	/* fault */
		touch(number);
		return 0;
	case 'S':	/* fork what is root's from then on */
		pid = vfork();
		if (!pid) {
			execl("/tmp/mp3-follow", "follow", "hold", NULL);
			_exit(127);
		}
		return pid;
	case 's':	/* adopt orphans */
		return prctl(PR_SET_CHILD_SUBREAPER, 1);
	case 'w':	/* wait for a child */
		return waitpid(number, NULL, 0);
	case 'u':	/* be another user */
		return setresgid(number, number, number) ||
		       setresuid(number, number, number) ||
		       prctl(PR_SET_DUMPABLE, 1);
	case 'l':	/* look who is listed */
		return listed(number);
	case 'F':	/* give a command */
	case 'R':
	case 'U':
		return command(letter, number);
	default:	/* exit */
		_exit(0);
	}
	if (!pid)
		act(number);
	return pid;
}

static inline void __attribute__((noreturn)) act(int self)
{
	struct {
		int letter, number;
	} order;

	prctl(PR_SET_NAME, "actor");
	while (read(stage[self][1], &order, sizeof(order)) == sizeof(order)) {
		int answer = perform(order.letter, order.number);

		if (write(stage[self][1], &answer, sizeof(answer)) < 0)
			break;
	}
	_exit(0);
}

/* Tells an actor to do something, and gives what it answers. */
static inline int tell(int actor, char letter, int number)
{
	int order[2] = { letter, number }, answer = 0;

	if (write(stage[actor][0], order, sizeof(order)) < 0 ||
	    (letter != 'x' &&
	     read(stage[actor][0], &answer, sizeof(answer)) != sizeof(answer)))
		errx(1, "actor %d does not answer to %c", actor, letter);
	return answer;
}

/* The first actor; the others are for him, or for those after him, to fork. */
static inline pid_t open_stage(void)
{
	pid_t pid;
	int i;

	for (i = 0; i < ACTORS; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stage[i]))
			err(1, "socketpair");
	pid = fork_child();
	if (!pid)
		act(0);
	return pid;
}

/* Ends them all, and waits for those who are the test's to wait for. */
static inline void close_stage(const pid_t *pids, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	for (i = 0; i < ACTORS; i++) {
		close(stage[i][0]);
		close(stage[i][1]);
	}
}

#endif /* MP3_TREE_H */
