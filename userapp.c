// SPDX-License-Identifier: GPL-2.0
/*
 * userapp: runs a command as a registered process, or attaches to a process
 * that runs already, and says what it cost, with -f together with all that it
 * started. Or shows how registering works.
 */
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "mp3_client.h"
#include "mp3_tools.h"

/* More than any process id: the kernel's PID_MAX_LIMIT on 64 bits. */
#define PID_LIMIT (4 << 20)

/* Milliseconds between two looks when nothing wakes us before. */
#define LOOK_MS 100

/* Looks for what is left to unregister, against a storm that never ends. */
#define DETACH_ROUNDS 100

static const char help[] =
	"usage: userapp [-f [-n ROWS]] command [argument...]\n"
	"       userapp [-f] [-n ROWS] -p PID\n"
	"       userapp\n"
	"Runs a command while mp3 profiles it, and says what it cost. With -p,\n"
	"profiles a process that runs already, until it ends or until Ctrl-C.\n"
	"With neither, shows step by step how a process registers itself.\n"
	"\n"
	"  -f, --follow    profile all that it starts, too, and list by process\n"
	"  -n, --rows N    list the N that faulted most (default 10)\n"
	"  -p, --pid PID   attach to a process that runs already\n"
	"  -h, --help      show this help\n"
	"  -V, --version   show the version\n";

static double elapsed(struct timespec from, struct timespec to)
{
	return (double)(to.tv_sec - from.tv_sec) +
	       (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

static __u64 to_ns(struct timespec time)
{
	return (__u64)time.tv_sec * 1000000000 + (__u64)time.tv_nsec;
}

static void check(int error)
{
	if (error)
		errx(1, "%s: %s", MP3_STATUS_PATH, mp3_strerror(error));
}

/* ---- What /proc says of one process ---- */

/**
 * struct counts - what a process has done since its first instruction
 * @min_flt: minor faults
 * @maj_flt: major faults
 * @cpu:     CPU time
 */
struct counts {
	unsigned long min_flt;
	unsigned long maj_flt;
	struct timespec cpu;
};

/* Its state, as ps(1) has it, or NUL where there is no such process. */
static char read_stat(pid_t pid, struct counts *counts, pid_t *parent)
{
	char path[32], stat[1024], *end, state;
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return '\0';
	size = fread(stat, 1, sizeof(stat) - 1, file);
	fclose(file);
	stat[size] = '\0';

	/* The second field, the name, may hold blanks and parentheses. */
	end = strrchr(stat, ')');
	if (!end || sscanf(end + 1, " %c %d %*d %*d %*d %*d %*u %lu %*u %lu",
			   &state, parent, &counts->min_flt,
			   &counts->maj_flt) != 4)
		return '\0';

	return state;
}

/*
 * All that a process has done, until it is reaped. Not wait4()'s rusage, which
 * adds the children that the process has reaped.
 */
static bool read_counts(pid_t pid, struct counts *counts)
{
	clockid_t clock;
	pid_t parent;

	return !clock_getcpuclockid(pid, &clock) &&
	       !clock_gettime(clock, &counts->cpu) &&
	       read_stat(pid, counts, &parent);
}

static bool runs(pid_t pid)
{
	struct counts counts;
	pid_t parent;
	char state = read_stat(pid, &counts, &parent);

	return state && state != 'Z' && state != 'X';
}

/* The process that a thread belongs to; any other number as it is. */
static pid_t process_of(pid_t thread)
{
	char path[32], line[256];
	pid_t pid = thread;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", thread);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			break;
	if (file)
		fclose(file);

	return pid;
}

static void print_counts(const struct counts *base, const struct counts *counts,
			 double seconds)
{
	fprintf(stderr, "minor faults  %lu\n", counts->min_flt - base->min_flt);
	fprintf(stderr, "major faults  %lu\n", counts->maj_flt - base->maj_flt);
	fprintf(stderr, "CPU           %.6f s\n", elapsed(base->cpu, counts->cpu));
	fprintf(stderr, "elapsed       %.3f s\n", seconds);
}

/* ---- The table: what each process did, from its records ---- */

/**
 * struct row - one process
 * @sum:      counts of all its records; the rest is the newest one's
 * @first_ns: time of the first of them, CLOCK_MONOTONIC
 */
struct row {
	struct mp3_record sum;
	__u64 first_ns;
};

/* In struct table's slots: a process whose records are not to be counted. */
#define FOREIGN (~0u)

/**
 * struct table - all processes that have records
 * @rows:  one each, of those that have ended, too
 * @nr:	   rows
 * @room:  rows that there is memory for
 * @slots: by process id: 1 + the row of the process that has this id now, 0
 *	   for none, or FOREIGN; untouched pages of it cost nothing
 * @only:  the one process whose records are counted, or 0 for all
 * @start_ns: CLOCK_MONOTONIC before anything was registered: a tick before that
 *	   is not ours
 * @total: counts of all rows
 */
struct table {
	struct row *rows;
	__u32 nr;
	__u32 room;
	__u32 *slots;
	__u32 only;
	__u64 start_ns;
	struct mp3_record total;
};

static void table_init(struct table *table)
{
	table->slots = calloc(PID_LIMIT, sizeof(*table->slots));
	if (!table->slots)
		err(1, "memory for the table");
}

static __u32 new_row(struct table *table, const struct mp3_record *record)
{
	if (table->nr == table->room) {
		table->room = table->room ? 2 * table->room : 256;
		table->rows = realloc(table->rows,
				      table->room * sizeof(*table->rows));
		if (!table->rows)
			err(1, "memory for the table");
	}
	table->rows[table->nr] = (struct row){ .first_ns = record->time_ns };

	return ++table->nr;
}

static void add_up(struct mp3_record *sum, const struct mp3_record *record)
{
	sum->min_flt += record->min_flt;
	sum->maj_flt += record->maj_flt;
	sum->cpu_ns += record->cpu_ns;
}

/*
 * @complete: no record was lost. Then one without MP3_FIRST of a process that
 * has no row is the last of one that had ended when we came: it was listed no
 * more.
 */
static void count_record(struct table *table, const struct mp3_record *record,
			 bool complete)
{
	struct row *row;
	__u32 *slot;

	if (record->pid >= PID_LIMIT ||
	    (table->only && record->pid != table->only))
		return;

	slot = &table->slots[record->pid];
	if (!*slot) {
		if (record->time_ns < table->start_ns ||
		    (complete && !(record->flags & MP3_FIRST)))
			return;
		*slot = new_row(table, record);
	}
	if (*slot != FOREIGN) {
		row = &table->rows[*slot - 1];
		row->sum.time_ns = record->time_ns;
		row->sum.pid = record->pid;
		row->sum.flags = record->flags;
		row->sum.rss_bytes = record->rss_bytes;
		memcpy(row->sum.comm, record->comm, sizeof(record->comm));
		add_up(&row->sum, record);
		add_up(&table->total, record);
	}
	/* The next one of this id is another process. */
	if (record->flags & MP3_LAST)
		*slot = 0;
}

static int compare_rows(const void *one, const void *other)
{
	const struct mp3_record *a = &((const struct row *)one)->sum;
	const struct mp3_record *b = &((const struct row *)other)->sum;
	__u64 a_faults = a->min_flt + a->maj_flt;
	__u64 b_faults = b->min_flt + b->maj_flt;

	if (a_faults != b_faults)
		return a_faults < b_faults ? 1 : -1;
	if (a->cpu_ns != b->cpu_ns)
		return a->cpu_ns < b->cpu_ns ? 1 : -1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

static void print_line(const char *label, const struct mp3_record *sum,
		       const char *lifetime)
{
	fprintf(stderr, "%-26s %12llu %8llu %11.3f s%s%*s\n", label,
		(unsigned long long)sum->min_flt,
		(unsigned long long)sum->maj_flt, (double)sum->cpu_ns / 1e9,
		lifetime[0] ? " " : "", lifetime[0] ? 12 : 0, lifetime);
}

static void print_row(const struct row *row, __u64 interval_ns, __u64 now_ns)
{
	const struct mp3_record *sum = &row->sum;
	bool last = sum->flags & MP3_LAST;
	char label[32], lifetime[32];
	__u64 end_ns = sum->time_ns;
	double seconds;
	size_t i;

	/* Who runs chooses the name, also one that does things to terminals. */
	memcpy(label, sum->comm, sizeof(sum->comm));
	label[sizeof(sum->comm) - 1] = '\0';
	for (i = 0; label[i]; i++)
		if (label[i] < ' ' || label[i] > '~')
			label[i] = '?';
	snprintf(label + i, sizeof(label) - i, "%*u", (int)(26 - i), sum->pid);

	/* The tick that told of it may have come after the end. */
	if (!last && end_ns < now_ns)
		end_ns = now_ns;
	seconds = (double)(end_ns - row->first_ns) / 1e9;
	if (!last || sum->rss_bytes)
		snprintf(lifetime, sizeof(lifetime), ">%.2f s", seconds);
	else if (sum->time_ns == row->first_ns)
		snprintf(lifetime, sizeof(lifetime), "<%g s",
			 (double)interval_ns / 1e9);
	else
		snprintf(lifetime, sizeof(lifetime), "%.2f s", seconds);

	print_line(label, sum, lifetime);
}

/* Sorts the rows: no record can be counted any more. */
static void print_table(struct table *table, __u32 rows, __u64 interval_ns,
			struct timespec begin, struct timespec end)
{
	__u64 now_ns = to_ns(end);
	struct mp3_record others = {};
	char label[32], lifetime[32];
	__u32 i;

	if (table->nr)
		qsort(table->rows, table->nr, sizeof(*table->rows), compare_rows);

	fprintf(stderr, "%-15s %10s %12s %8s %13s %12s\n", "process", "pid",
		"minor", "major", "CPU", "lifetime");
	for (i = 0; i < table->nr && i < rows; i++)
		print_row(&table->rows[i], interval_ns, now_ns);
	rows = table->nr - i;
	for (; i < table->nr; i++)
		add_up(&others, &table->rows[i].sum);
	if (rows) {
		snprintf(label, sizeof(label), "others (%u process%s)", rows,
			 rows == 1 ? "" : "es");
		print_line(label, &others, "");
	}
	snprintf(label, sizeof(label), "total (%u process%s)", table->nr,
		 table->nr == 1 ? "" : "es");
	snprintf(lifetime, sizeof(lifetime), "%.2f s", elapsed(begin, end));
	print_line(label, &table->total, lifetime);
}

/* ---- The tree: whom to unregister in the end ---- */

/**
 * enum owner - who had a registered process registered
 * @OWNER_NONE:	  not registered, as far as we know
 * @OWNER_BEFORE: was registered before we came
 * @OWNER_OTHER:  came meanwhile, but not from our tree, as far as we can tell
 * @OWNER_US:	  came by our following
 * @OWNER_DONE:	  the same, and unregistering it was tried
 * @OWNER_LISTED: a bit beside these, within one look
 */
enum owner {
	OWNER_NONE,
	OWNER_BEFORE,
	OWNER_OTHER,
	OWNER_US,
	OWNER_DONE,
	OWNER_LISTED = 0x80,
};

/**
 * struct tree - the registered processes, and which of them are ours
 * @top:    ours are this process' descendants and itself
 * @owners: enum owner by process id
 * @listed: process ids, as they were listed at the last look
 * @nr:     of them
 */
struct tree {
	pid_t top;
	unsigned char *owners;
	pid_t *listed;
	size_t nr;
};

/* Reads who is registered; the list is to be freed. */
static int read_listed(pid_t **listed, size_t *nr)
{
	FILE *file = fopen(MP3_STATUS_PATH, "re");
	size_t room = 0;
	int error = 0;
	pid_t pid;

	*listed = NULL;
	*nr = 0;
	if (!file)
		return -errno;
	while (fscanf(file, "%d", &pid) == 1) {
		if (pid < 1 || pid >= PID_LIMIT)
			continue;
		if (*nr == room) {
			room = room ? 2 * room : 256;
			*listed = realloc(*listed, room * sizeof(**listed));
			if (!*listed)
				err(1, "memory for the list");
		}
		(*listed)[(*nr)++] = pid;
	}
	if (ferror(file))
		error = -EIO;
	fclose(file);

	return error;
}

static int tree_init(struct tree *tree, pid_t top)
{
	int error = read_listed(&tree->listed, &tree->nr);
	size_t i;

	tree->top = top;
	tree->owners = calloc(PID_LIMIT, sizeof(*tree->owners));
	if (!tree->owners)
		err(1, "memory for the tree");
	for (i = 0; i < tree->nr; i++)
		tree->owners[tree->listed[i]] = OWNER_BEFORE;

	return error;
}

/* Whose is a process that has just come? Its nearest known ancestor's. */
static enum owner find_owner(const struct tree *tree, pid_t pid)
{
	enum owner owner;
	struct counts counts;
	pid_t parent;

	while (pid > 1 && pid < PID_LIMIT) {
		owner = tree->owners[pid];
		if (owner == OWNER_BEFORE || owner == OWNER_OTHER)
			return OWNER_OTHER;
		if (owner == OWNER_US || owner == OWNER_DONE || pid == tree->top)
			return OWNER_US;
		if (!read_stat(pid, &counts, &parent))
			break;
		pid = parent;
	}

	return OWNER_OTHER;
}

/*
 * Looks who is registered now. Often, as long as it matters: an orphan has
 * another parent, and cannot be told from somebody else's process any more.
 */
static int tree_look(struct tree *tree)
{
	unsigned char *owners = tree->owners;
	pid_t *listed;
	size_t nr, i;
	int error = read_listed(&listed, &nr);

	if (error) {
		free(listed);
		return error;
	}

	for (i = 0; i < nr; i++)
		owners[listed[i]] |= OWNER_LISTED;
	/* Who has gone leaves a process id that others will have. */
	for (i = 0; i < tree->nr; i++)
		if (!(owners[tree->listed[i]] & OWNER_LISTED))
			owners[tree->listed[i]] = OWNER_NONE;
	for (i = 0; i < nr; i++)
		owners[listed[i]] &= (unsigned char)~OWNER_LISTED;
	free(tree->listed);
	tree->listed = listed;
	tree->nr = nr;

	for (i = 0; i < nr; i++)
		if (owners[listed[i]] == OWNER_NONE)
			owners[listed[i]] = find_owner(tree, listed[i]);

	return 0;
}

/*
 * Unregisters what is ours; returns how many still run. Followed processes go
 * on forking meanwhile: it is done when a look finds none that is new.
 */
static unsigned int tree_detach(struct tree *tree)
{
	unsigned int stopped = 0;
	bool again = true;
	int round;
	size_t i;

	for (round = 0; again && round < DETACH_ROUNDS; round++) {
		again = false;
		if (tree_look(tree))
			break;
		for (i = 0; i < tree->nr; i++) {
			if (tree->owners[tree->listed[i]] != OWNER_US)
				continue;
			tree->owners[tree->listed[i]] = OWNER_DONE;
			stopped += !mp3_unregister(tree->listed[i]);
			again = true;
		}
	}

	return stopped;
}

/* How many run on and are registered, and were not when we came. */
static unsigned int tree_rest(struct tree *tree)
{
	unsigned int rest = 0;
	size_t i;

	if (tree_look(tree))
		return 0;
	for (i = 0; i < tree->nr; i++)
		rest += tree->owners[tree->listed[i]] != OWNER_BEFORE &&
			runs(tree->listed[i]);

	return rest;
}

/* ---- Watching a process, alone or with what it starts ---- */

/**
 * struct watch - what is known of a process that is profiled
 * @pid:     its process id
 * @follow:  its descendants are, too
 * @pidfd:   to poll for its end; -1 where there is none, and behind the end
 * @ended:   it has, says the pidfd
 * @signals: to poll for the signals that end the profiling, or -1
 * @records: the ring of records, open when there is no @missing
 * @missing: why the records cannot be read, or NULL
 * @dropped: the header's, before
 * @begin:   when it was registered
 * @end:     when it ended, or we
 * @table:   from the records
 * @tree:    when it is followed
 */
struct watch {
	pid_t pid;
	bool follow;
	int pidfd;
	bool ended;
	int signals;
	struct mp3_reader records;
	const char *missing;
	__u64 dropped;
	struct timespec begin;
	struct timespec end;
	struct table table;
	struct tree tree;
};

static const char *open_records(struct mp3_reader *reader)
{
	int error;

	if (!in_initial_pid_namespace())
		return "Its process ids are not those of this pid namespace";

	error = mp3_reader_open_records(reader, MP3_PROCS_PATH);
	return error ? mp3_strerror(error) : NULL;
}

/*
 * Before anything is registered. The head first: who is listed behind it has
 * its last record behind it, too. The clock last: who is gone from the list by
 * then is not in a record of a later time.
 */
static int watch_init(struct watch *watch, bool follow, pid_t top)
{
	struct timespec now;
	int error = 0;
	size_t i;

	*watch = (struct watch){ .follow = follow, .pidfd = -1, .signals = -1 };
	watch->missing = open_records(&watch->records);
	if (!watch->missing) {
		watch->records.next = mp3_reader_head(&watch->records);
		watch->dropped = __atomic_load_n(&watch->records.header->dropped,
						 __ATOMIC_RELAXED);
	}
	table_init(&watch->table);
	if (follow)
		error = tree_init(&watch->tree, top);
	for (i = 0; i < watch->tree.nr; i++)
		watch->table.slots[watch->tree.listed[i]] = FOREIGN;
	clock_gettime(CLOCK_MONOTONIC, &now);
	watch->table.start_ns = to_ns(now);

	return error;
}

static void watch_pid(struct watch *watch, pid_t pid)
{
	watch->pid = pid;
	if (!watch->follow)
		watch->table.only = (__u32)pid;
	watch->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
}

static void read_records(struct watch *watch)
{
	struct mp3_record record;

	while (!watch->missing &&
	       mp3_reader_next_record(&watch->records, &record))
		count_record(&watch->table, &record, !watch->records.lost);
}

/* Sleeps until there is something to look at; true when a signal came. */
static bool watch_wait(struct watch *watch)
{
	struct pollfd fds[] = {
		{ .fd = watch->pidfd, .events = POLLIN },
		{ .fd = watch->signals, .events = POLLIN },
		{ .fd = watch->missing ? -1 : watch->records.fd, .events = POLLIN },
	};
	struct signalfd_siginfo info;

	poll(fds, 3, LOOK_MS);
	read_records(watch);
	if (fds[0].revents) {
		watch->ended = true;
		close(watch->pidfd);
		watch->pidfd = -1;
	}

	return fds[1].revents &&
	       read(watch->signals, &info, sizeof(info)) == sizeof(info);
}

/*
 * Reads the records up to the last of what has ended or was unregistered: the
 * next tick writes it. One may be at work already, and the next but one is not.
 */
static void watch_collect(struct watch *watch)
{
	const struct mp3_header *header = watch->records.header;
	__u64 ticks;

	if (watch->missing)
		return;
	ticks = __atomic_load_n(&header->ticks, __ATOMIC_ACQUIRE);
	/* Pairs with the release store in mp3.c: at 0, all records are there. */
	while (__atomic_load_n(&header->processes, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&header->ticks, __ATOMIC_ACQUIRE) - ticks < 2 &&
	       !watch_wait(watch))
		;
	read_records(watch);
}

static void print_losses(const struct watch *watch)
{
	unsigned long long lost = watch->records.lost;
	unsigned long long dropped =
		__atomic_load_n(&watch->records.header->dropped,
				__ATOMIC_RELAXED) - watch->dropped;

	if (!dropped && !lost)
		fputs("nothing was dropped or lost\n", stderr);
	if (dropped)
		fprintf(stderr, "dropped: %llu processes, not profiled for want of memory\n",
			dropped);
	if (lost)
		fprintf(stderr, "lost: %llu records, overwritten before they were read\n",
			lost);
}

/* Ends the profiling, and says what the records told. */
static void watch_finish(struct watch *watch, __u32 rows)
{
	unsigned int stopped = 0, rest = 0;

	if (watch->follow)
		stopped = tree_detach(&watch->tree);
	else if (!watch->ended)
		mp3_unregister(watch->pid);
	watch_collect(watch);
	if (watch->follow)
		rest = tree_rest(&watch->tree);

	if (watch->missing)
		fprintf(stderr, "table         - %s: %s\n", MP3_PROCS_PATH,
			watch->missing);
	else
		print_table(&watch->table, rows,
			    watch->records.header->interval_ns, watch->begin,
			    watch->end);
	if (stopped)
		fprintf(stderr, "still running, but profiled no more: %u\n",
			stopped);
	if (rest)
		fprintf(stderr, "registered meanwhile, and not ours to stop: %u\n",
			rest);
	if (!watch->missing)
		print_losses(watch);
}

/* ---- Running a command ---- */

/**
 * enum stage - how far the child has come
 * @STAGE_START:    it runs
 * @STAGE_REGISTER: it registers itself
 * @STAGE_CHECK:    it looks whether it is listed
 * @STAGE_EXEC:	    it becomes the command
 */
enum stage {
	STAGE_START,
	STAGE_REGISTER,
	STAGE_CHECK,
	STAGE_EXEC,
};

/**
 * struct shared - what the child tells its parent, in memory that both see
 * @stage: how far it has come
 * @error: what went wrong there, a negative errno, or 0
 * @begin: when it was registered
 * @base:  what it had done until then
 */
struct shared {
	enum stage stage;
	int error;
	struct timespec begin;
	struct counts base;
};

/* Faults first: those of the calls behind it are the module's as well. */
static void take_base(struct shared *shared)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &shared->base.cpu);
	clock_gettime(CLOCK_MONOTONIC, &shared->begin);
	shared->base.min_flt = (unsigned long)usage.ru_minflt;
	shared->base.maj_flt = (unsigned long)usage.ru_majflt;
}

/* Registers itself and becomes the command; returns when it could not. */
static void run(struct shared *shared, char **command, bool follow)
{
	/*
	 * The module takes its base inside the call that registers, we take
	 * ours behind it, and between the two no page may fault: a refused
	 * command first touches all that the true one will.
	 */
	mp3_command(follow ? 'F' : 'R', 0);
	take_base(shared);

	shared->stage = STAGE_REGISTER;
	shared->error = mp3_command(follow ? 'F' : 'R', getpid());
	take_base(shared);
	if (shared->error)
		return;

	shared->stage = STAGE_CHECK;
	shared->error = mp3_registered(getpid());
	if (shared->error != 1) {
		shared->error = shared->error ? shared->error : -ESRCH;
		return;
	}

	shared->stage = STAGE_EXEC;
	shared->error = 0;
	execvp(command[0], command);
	shared->error = -errno;
}

/*
 * Waits until the module has collected the last of a process that has ended.
 * Each tick collects and then publishes. Of three samples the first may have
 * been there before, and the second begun before the end: not the third.
 */
static void wait_collected(const struct mp3_reader *reader, pid_t pid)
{
	__u64 interval_ms = reader->header->interval_ns / 1000000;
	int i;

	for (i = 0; i < 3 && mp3_registered(pid) == 1; i++)
		mp3_reader_wait(reader, (int)(2 * interval_ms + 1000));
}

/**
 * struct ring - the ring of samples, if it may be read
 * @reader: open when @error is 0
 * @error:  why it is not
 * @head:   its head before the command
 */
struct ring {
	struct mp3_reader reader;
	int error;
	__u64 head;
};

/* The command has ended, and is a zombie still: what the module goes by. */
static void report(const struct shared *shared, struct ring *ring, pid_t pid)
{
	struct counts counts;
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	if (!read_counts(pid, &counts)) {
		warnx("/proc does not say what process %d did", pid);
		return;
	}

	print_counts(&shared->base, &counts, elapsed(shared->begin, end));
	if (ring->error) {
		fprintf(stderr, "samples       - %s: %s\n", MP3_DEVICE_PATH,
			mp3_strerror(ring->error));
		return;
	}
	wait_collected(&ring->reader, pid);
	fprintf(stderr, "samples       %llu\n", (unsigned long long)
		(mp3_reader_head(&ring->reader) - ring->head));
}

/* Says in one line why the child failed; returns the status to end with. */
static int explain(const struct shared *shared, const char *command)
{
	if (shared->stage == STAGE_EXEC) {
		warnx("%s: %s", command, strerror(-shared->error));
		return shared->error == -ENOENT ? 127 : 126;
	}
	warnx("%s: %s", MP3_STATUS_PATH, shared->stage == STAGE_CHECK &&
	      shared->error == -ESRCH ? "does not list what was registered" :
					mp3_strerror(shared->error));
	return 1;
}

/* Reaps the orphans that have come to us; true once the command has ended. */
static bool reap(pid_t command, siginfo_t *info)
{
	for (;;) {
		info->si_pid = 0;
		if (waitid(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT) ||
		    !info->si_pid)
			return false;
		if (info->si_pid == command)
			return true;
		waitpid(info->si_pid, NULL, 0);
	}
}

/* The command's process, while a signal can be passed on to it, or 0. */
static volatile pid_t command_pid;

static void pass_on(int number)
{
	int error = errno;

	if (command_pid)
		kill(command_pid, number);
	errno = error;
}

/*
 * What is to end us is for the command, and its end for us. The keyboard's
 * signals it has got already.
 */
static void pass_signals(void)
{
	struct sigaction pass = { .sa_handler = pass_on, .sa_flags = SA_RESTART };

	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	sigaction(SIGTERM, &pass, NULL);
	if (!ignores_hangup())
		sigaction(SIGHUP, &pass, NULL);
}

static int run_command(char **command, bool follow, __u32 rows)
{
	struct watch watch = {};
	sigset_t all, mask;
	struct shared *shared;
	siginfo_t info;
	struct ring ring = {};
	pid_t pid;
	int status;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	ring.error = mp3_reader_open(&ring.reader, MP3_DEVICE_PATH, false);
	if (!ring.error)
		ring.head = mp3_reader_head(&ring.reader);
	if (follow) {
		/*
		 * So that what loses its parent is still known as the
		 * command's. An error here is the child's, too, to explain.
		 */
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		watch_init(&watch, true, getpid());
	}

	signal(SIGCHLD, SIG_DFL);
	/* One that comes meanwhile waits until it is known whom to pass it to. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &mask);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		sigprocmask(SIG_SETMASK, &mask, NULL);
		run(shared, command, follow);
		_exit(1);
	}
	command_pid = pid;
	pass_signals();
	sigprocmask(SIG_SETMASK, &mask, NULL);

	/* Not reaped yet: it keeps its counts, and its number. */
	if (follow) {
		watch_pid(&watch, pid);
		while (!reap(pid, &info))
			watch_wait(&watch);
	} else if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT)) {
		err(1, "waitid");
	}
	status = info.si_status;
	if (info.si_code != CLD_EXITED)
		status += 128;
	watch.begin = shared->begin;
	clock_gettime(CLOCK_MONOTONIC, &watch.end);
	if (shared->error)
		status = explain(shared, command[0]);
	else if (shared->stage == STAGE_EXEC && (!follow || watch.missing))
		report(shared, &ring, pid);
	if (follow && !shared->error && shared->stage == STAGE_EXEC)
		watch_finish(&watch, rows);
	command_pid = 0;
	waitpid(pid, NULL, 0);

	return status;
}

/* ---- Attaching to a process ---- */

static long parse_number(const char *what, const char *text, long min, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || value < min ||
	    value > max)
		errx(2, "'%s' is not a %s", text, what);

	return value;
}

/* Blocked signals wait to be read, also those that a shell has us ignore. */
static int open_signals(void)
{
	sigset_t set;
	int fd;

	ending_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		err(1, "signalfd");

	return fd;
}

static void register_or_exit(const struct watch *watch)
{
	int error;

	/* F would take it over: it would then be ours to stop, and is not. */
	if (watch->follow && watch->tree.owners[watch->pid] == OWNER_BEFORE)
		error = -EEXIST;
	else
		error = mp3_command(watch->follow ? 'F' : 'R', watch->pid);
	if (error == -ENOENT)
		check(error);
	if (error)
		errx(1, "%d: %s", watch->pid, mp3_strerror(error));
}

static int attach(pid_t pid, bool follow, __u32 rows)
{
	struct counts base = {}, counts, last;
	struct watch watch;
	bool known, stop;

	pid = process_of(pid);
	check(watch_init(&watch, follow, pid));
	watch.signals = open_signals();
	watch_pid(&watch, pid);
	register_or_exit(&watch);
	clock_gettime(CLOCK_MONOTONIC, &watch.begin);
	known = read_counts(pid, &base);
	last = base;
	fprintf(stderr, "process %d is profiled until it ends, or Ctrl-C\n", pid);
	if (follow)
		tree_look(&watch.tree);

	do {
		stop = watch_wait(&watch);
		if (follow)
			tree_look(&watch.tree);
		/* Once it is reaped, /proc tells no more: the last look counts. */
		if (read_counts(pid, &counts))
			last = counts;
	} while (!stop && !watch.ended && mp3_registered(pid) == 1);

	if (!stop && !watch.ended && runs(pid))
		warnx("%d was unregistered by somebody else", pid);
	clock_gettime(CLOCK_MONOTONIC, &watch.end);
	if (watch.missing && !known)
		warnx("/proc does not say what process %d did", pid);
	else if (watch.missing)
		print_counts(&base, &last, elapsed(watch.begin, watch.end));
	watch_finish(&watch, rows);

	return 0;
}

/* ---- Showing how it works ---- */

static bool listed(pid_t pid)
{
	int found = mp3_registered(pid);

	if (found < 0)
		check(found);
	return found == 1;
}

/* Touches new pages; returns how many. */
static size_t touch_pages(void)
{
	const size_t size = 4 << 20, page = (size_t)getpagesize();
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t at;

	if (memory == MAP_FAILED)
		err(1, "mmap");
	/* So that a page is a fault; a kernel without huge pages refuses. */
	madvise(memory, size, MADV_NOHUGEPAGE);
	for (at = 0; at < size; at += page)
		__atomic_store_n(&memory[at], 1, __ATOMIC_RELAXED);

	return size / page;
}

/* The protocol at work, a line for each step. */
static int demonstrate(void)
{
	pid_t pid = getpid();

	check(mp3_register(pid));
	printf("wrote \"R,%d\" to %s: this process is registered\n", pid,
	       MP3_STATUS_PATH);
	if (!listed(pid))
		errx(1, "%s: does not list %d", MP3_STATUS_PATH, pid);
	printf("read %s: it lists %d\n", MP3_STATUS_PATH, pid);

	printf("touched %zu new pages: as many minor faults and a few more\n",
	       touch_pages());

	check(mp3_unregister(pid));
	printf("wrote \"U,%d\": it is registered no more\n", pid);
	if (listed(pid))
		errx(1, "%s: still lists %d", MP3_STATUS_PATH, pid);
	printf("read %s: it lists %d no more; monitor prints what it did\n",
	       MP3_STATUS_PATH, pid);

	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "follow", no_argument, NULL, 'f' },
		{ "rows", required_argument, NULL, 'n' },
		{ "pid", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	bool follow = false;
	long rows = -1;
	pid_t pid = 0;
	int option;

	atexit(flush_output);
	/* +: the options behind the command are the command's. */
	while ((option = getopt_long(argc, argv, "+fn:p:hV", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			follow = true;
			break;
		case 'n':
			rows = parse_number("number of rows", optarg, 0, 1000000);
			break;
		case 'p':
			pid = (pid_t)parse_number("process id", optarg, 1,
						  PID_LIMIT - 1);
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			puts("userapp (mp3) " MP3_TOOLS_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (pid && argv[optind])
		errx(2, "either -p or a command");
	if (follow && !pid && !argv[optind])
		errx(2, "-f wants a command or -p");
	if (rows >= 0 && !pid && !follow)
		errx(2, "-n is for -f and -p");
	if (rows < 0)
		rows = 10;

	if (pid)
		return attach(pid, follow, (__u32)rows);
	if (argv[optind])
		return run_command(argv + optind, follow, (__u32)rows);

	return demonstrate();
}
