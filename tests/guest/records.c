// SPDX-License-Identifier: GPL-2.0
/*
 * The ring of records: the fields of a record and of an identity record, the
 * records of a tick, which add up to its sample whatever happens during it, and
 * what several readers get.
 *
 * Usage: records [SEED]
 *
 * With SEED, only the random run is made, with that seed.
 */
#include <poll.h>

#include "tree.h"

#define PAGE		((size_t)getpagesize())

/* The interval is 10 s: only an extremely slow machine gets to a tick. */
static void die_if_published(uint64_t from)
{
	if (ring_head(&ring) != from)
		errx(1, "a tick came between two commands");
}

/* ---- A ring right after load ---- */

/* Both headers describe one sampler: only the fields of the ring differ. */
static bool headers_agree(void)
{
	struct mp3_header samples = *(struct mp3_header *)ring.header;
	struct mp3_header records = *(struct mp3_header *)procs.header;

	return samples.ticks == records.ticks &&
	       samples.missed == records.missed &&
	       samples.cost_ns == records.cost_ns &&
	       samples.dropped == records.dropped &&
	       samples.interval_ns == records.interval_ns &&
	       samples.hz == records.hz &&
	       samples.processes == records.processes;
}

static void test_header(void)
{
	const volatile long *words = (const volatile long *)procs.records;
	size_t i, filled = 0;
	bool agree;

	reload("");
	ok_eq(procs.capacity, 65536,
	      "the ring of records has 65536 entries right after load");
	ok(procs.header->magic == MP3_MAGIC &&
	   procs.header->version == MP3_ABI_VERSION &&
	   procs.header->entry_size == sizeof(struct mp3_record) &&
	   !procs.header->head,
	   "the header of records is valid and empty right after load");
	for (i = 0; i < procs.data_size / sizeof(long); i++)
		filled += words[i] != -1;
	ok_eq(filled, 0, "all words of the records are -1 right after load");
	agree = headers_agree();

	set_interval("7");
	agree &= headers_agree() && procs.header->interval_ns >= 7000000;
	command_or_die('R', getpid());
	touch(10);
	wait_tick();
	set_interval("10000");
	agree &= headers_agree() && procs.header->ticks &&
		 procs.header->processes == 1 && procs.header->cost_ns;
	command_or_die('U', getpid());
	agree &= headers_agree() && !procs.header->processes;
	ok(agree, "the headers of both rings agree on the sampler's state");
}

/* ---- A record ---- */

static long rss_of(pid_t pid)
{
	char path[32];
	long size, resident;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%ld %ld", &size, &resident) != 2)
		err(1, "%s", path);
	fclose(file);

	return resident * PAGE;
}

/*
 * Copies a process' records from @from on, except identity records; returns how
 * many there are.
 */
static unsigned int records_of(pid_t pid, uint64_t from,
			       struct mp3_record *records,
			       unsigned int capacity)
{
	uint64_t i, head = procs_head();
	unsigned int nr = 0;

	for (i = from; i < head; i++) {
		struct mp3_record record = record_at(i);

		if (record.pid == (uint32_t)pid &&
		    record.flags != MP3_IDENTITY && nr < capacity)
			records[nr++] = record;
	}
	return nr;
}

/*
 * Observes a process of 10 MB, which acts only on request, through its first
 * record, ticks without a record, a record in between, and its last one.
 */
static void test_fields(void)
{
	const size_t size = 10 << 20;
	struct mp3_record records[8];
	uint64_t from, before, after, ticks;
	unsigned int nr;
	bool silent;
	long rss;
	char *memory;
	pid_t pid;

	set_interval("20");
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	from = procs_head();
	pid = start_actors();
	actor_request(0, 'm', 1);
	/* What it does on its way to sleep would add a second record. */
	wait_state(pid, 'S');
	before = now_ns();
	command_or_die('R', pid);
	wait_tick();
	after = now_ns();
	nr = records_of(pid, from, records, 8);
	rss = rss_of(pid);
	ok(nr == 1 && records[0].flags == MP3_FIRST,
	   "a newly registered process gets one record, with MP3_FIRST");
	if (!nr)
		errx(1, "no record of %d", pid);
	ok(records[0].time_ns > before && records[0].time_ns < after,
	   "a record's time_ns is from CLOCK_MONOTONIC");
	ok(!strcmp(records[0].comm, "actor"),
	   "a record's comm is the name of the process");
	/* Later kernels count per CPU, which only /proc adds up. */
	if (!ok(rss > (long)size / 2 &&
		labs((long)records[0].rss_bytes - rss) < (1 << 20),
		"a record's rss_bytes is within 1 MiB of /proc/<pid>/statm"))
		diag("rss_bytes is %lu, statm has %ld",
		     (unsigned long)records[0].rss_bytes, rss);

	ticks = procs.header->ticks;
	from = procs_head();
	while (procs.header->ticks < ticks + 5)
		sleep_ms(1);
	silent = procs_head() == from;
	ok(silent, "a tick in which a process does nothing makes no record");

	/* These faults, and those on its own stack, may span several ticks. */
	actor_request(0, 'm', 300);
	wait_tick();
	nr = records_of(pid, from, records, 8);
	ok(nr >= 1 && !records[0].flags && records[0].cpu_ns,
	   "a process that runs again gets a record with CPU time and no flag");

	from = procs_head();
	actor_request(0, 'x', 0);
	waitpid(pid, NULL, 0);
	wait_idle(&ring);
	nr = records_of(pid, from, records, 8);
	ok(nr >= 1 && records[nr - 1].flags == MP3_LAST &&
	   !records[nr - 1].rss_bytes && !strcmp(records[0].comm, "actor"),
	   "the last record of an exited process has MP3_LAST and rss_bytes 0");
	ok(procs_head() == from + nr, "only registered processes have records");
	end_actors(NULL, 0);
	munmap(memory, size);
}

/* A process whose user and cgroup are not those of the test. */
static void test_identity(void)
{
	const char *name =
		"an identity record has the parent, user, start time and cgroup of its process";
	uint64_t from = procs_head(), before, after;
	pid_t pids[2], parent;
	struct mp3_record identity, record;
	struct stat cgroup;
	int fds[2], status;

	set_interval("20");
	make_cgroup();
	if (stat(CGROUP, &cgroup) || pipe2(fds, O_CLOEXEC))
		err(1, "the cgroup");
	parent = fork_child();
	if (!parent) {
		enter_cgroup();
		pids[0] = getpid();
		before = now_ns();
		pids[1] = fork_child();
		if (!pids[1]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (setresuid(1000, 1001, 1002))
				_exit(1);
			for (;;)
				pause();
		}
		after = now_ns();
		if (write(fds[1], pids, sizeof(pids)) != sizeof(pids) ||
		    write(fds[1], &before, sizeof(before)) != sizeof(before) ||
		    write(fds[1], &after, sizeof(after)) != sizeof(after))
			_exit(1);
		waitpid(pids[1], NULL, 0);
		_exit(0);
	}
	if (read(fds[0], pids, sizeof(pids)) != sizeof(pids) ||
	    read(fds[0], &before, sizeof(before)) != sizeof(before) ||
	    read(fds[0], &after, sizeof(after)) != sizeof(after))
		errx(1, "no child");
	wait_state(pids[1], 'S');
	command_or_die('R', pids[1]);
	kill(pids[1], SIGKILL);
	waitpid(parent, &status, 0);
	wait_idle(&ring);
	identity = record_at(from);
	record = record_at(from + 1);
	if (!ok(!status && procs_head() >= from + 2 &&
		identity.flags == MP3_IDENTITY &&
		identity.pid == (uint32_t)pids[1] &&
		identity.ppid == (uint32_t)parent && identity.uid == 1000 &&
		identity.start_ns >= before && identity.start_ns <= after &&
		identity.cgroup_id == cgroup.st_ino && !identity.reserved &&
		identity.time_ns == record.time_ns &&
		!memcmp(identity.comm, record.comm, sizeof(record.comm)), "%s",
		name))
		diag("flags %u pid %u ppid %u uid %u start %llu of %llu..%llu cgroup %llu, %llu",
		     identity.flags, identity.pid, identity.ppid, identity.uid,
		     (unsigned long long)identity.start_ns,
		     (unsigned long long)before, (unsigned long long)after,
		     (unsigned long long)identity.cgroup_id,
		     (unsigned long long)cgroup.st_ino);
	close(fds[0]);
	close(fds[1]);
	rmdir(CGROUP);
}

/* What /tmp/renamed runs: it faults in each of several ticks. */
static int run_renamed(void)
{
	int i;

	for (i = 0; i < 4; i++) {
		touch(10);
		sleep_ms(100);
	}
	return 0;
}

static void *exec_renamed(void *path)
{
	execl(path, path, NULL);
	err(1, "exec");
}

/* The thread that calls exec becomes the leader, with the old leader's pid. */
static void test_exec(void)
{
	char path[] = "/tmp/renamed";
	struct mp3_record records[64];
	uint64_t from = procs_head();
	unsigned int i, nr, good = 0;
	pthread_t thread;
	pid_t pid;

	if (symlink("/proc/self/exe", path))
		err(1, "%s", path);
	set_interval("20");
	pid = fork_child();
	if (!pid) {
		command('R', getpid());
		wait_tick();
		if (pthread_create(&thread, NULL, exec_renamed, path))
			_exit(1);
		for (;;)
			pause();
	}
	waitpid(pid, NULL, 0);
	wait_idle(&ring);
	nr = records_of(pid, from, records, 64);
	for (i = 0; i < nr; i++)
		good += records[i].rss_bytes &&
			!strcmp(records[i].comm, "renamed");
	ok(nr && !strcmp(records[0].comm, "records") && good,
	   "records after exec in another thread have the new name and memory");
	unlink(path);
}

#define SPINNERS	3	/* busy processes on one processor */
#define SPIN_TICKS	8

/* A process that was preempted before a tick has run, and needs a record. */
static void test_preempted(void)
{
	struct mp3_record records[4 * SPIN_TICKS];
	unsigned int i, nr, fewest = -1;
	uint64_t from, sample;
	pid_t pids[SPINNERS];

	set_interval("400");
	from = procs_head();
	fflush(stdout);
	for (i = 0; i < SPINNERS; i++) {
		pids[i] = fork_child();
		if (!pids[i]) {
			pin_to(0);
			command('R', getpid());
			for (;;)
				;
		}
	}
	while (ring.header->processes < SPINNERS)
		sleep_ms(20);
	sample = ring_head(&ring);
	while (ring_head(&ring) < sample + SPIN_TICKS)
		sleep_ms(20);
	for (i = 0; i < SPINNERS; i++) {
		nr = records_of(pids[i], from, records, ARRAY_SIZE(records));
		if (nr < fewest)
			fewest = nr;
	}
	for (i = 0; i < SPINNERS; i++)
		kill_and_reap(pids[i]);
	set_interval("20");
	wait_idle(&ring);
	/* The first tick may come right after the last process is registered. */
	if (!ok(fewest + 1 >= SPIN_TICKS,
		"a process that shares its CPU has a record in each tick"))
		diag("%u records in %d ticks", fewest, SPIN_TICKS);
}

/*
 * U of the last process cancels the next tick. A delay replaces this call, so
 * that the tick starts, waits for U and then finds nothing registered. On a
 * slow machine an earlier tick may add a sample, but not in each of five
 * attempts.
 */
static void test_late_tick(void)
{
	const char *name = "a tick that starts in the last U makes no sample";
	uint64_t head, nr = 0;
	unsigned int i;
	pid_t pid;

	set_interval("500");
	pid = fork_child();
	if (!pid)
		for (;;)
			pause();
	for (i = 0; i < 5 && nr != 1; i++) {
		command_or_die('R', pid);
		wait_tick();
		if (!delay_once_busily(getpid(), "cancel_delayed_work", 1000)) {
			skip(name, "no kprobes");
			command_or_die('U', pid);
			kill_and_reap(pid);
			return;
		}
		head = ring_head(&ring);
		command_or_die('U', pid);
		fail_unload();
		sleep_ms(100);
		nr = ring_head(&ring) - head;
	}
	ok_eq(nr, 1, name);
	kill_and_reap(pid);
}

/* Registers and unregisters processes between two ticks. */
static void test_unregister(void)
{
	uint64_t from, sample;
	struct mp3_record records[4];
	unsigned int nr;
	pid_t pid;

	set_interval("10000");
	from = procs_head();
	sample = ring_head(&ring);
	command_or_die('R', getpid());
	touch(100);
	command_or_die('U', getpid());
	nr = records_of(getpid(), from, records, 4);
	ok(nr == 1 && procs_head() == from + 2 &&
	   records[0].flags == (MP3_FIRST | MP3_LAST) &&
	   records[0].min_flt >= 100 &&
	   ring_head(&ring) == sample + 1 &&
	   ring.samples[sample % MP3_SAMPLES].min_flt == records[0].min_flt,
	   "unregistering the last process makes its record at once");

	/* Keep one process registered, which does nothing. */
	pid = start_actors();
	actor_request(0, 'm', 1);
	from = procs_head();
	sample = ring_head(&ring);
	command_or_die('R', pid);
	command_or_die('R', getpid());
	touch(100);
	command_or_die('U', getpid());
	touch(1000);
	ok(procs_head() == from,
	   "unregistering one of two processes makes no record yet");
	command_or_die('R', getpid());
	touch(100);
	command_or_die('U', getpid());
	die_if_published(sample);
	set_interval("20");
	wait_tick();
	nr = records_of(getpid(), from, records, 4);
	ok(nr == 1 && records[0].flags == (MP3_FIRST | MP3_LAST) &&
	   records[0].min_flt >= 200 && records[0].min_flt < 1000,
	   "two registrations in one interval share a record at the next tick");
	command_or_die('U', pid);
	ok(ring_head(&ring) > sample && procs.header->processes == 0,
	   "nothing is registered after the remaining process is unregistered");
	kill_and_reap(pid);
	end_actors(NULL, 0);
}

/* ---- poll ---- */

static bool readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	if (poll(&pollfd, 1, 0) < 0)
		err(1, "poll");
	return pollfd.revents & POLLIN;
}

static void test_poll(void)
{
	int fd = open(MP3_PROCS_PATH, O_RDONLY | O_CLOEXEC), status;
	bool first, again, quiet;
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	uint64_t ticks;
	pid_t pid, idle;
	char byte;

	if (fd < 0)
		err(1, "%s", MP3_PROCS_PATH);
	ok(read(fd, &byte, 1) < 0 && errno == EINVAL,
	   "read(2) from the records is EINVAL");
	set_interval("10000");
	first = readable(fd);
	command_or_die('R', getpid());
	command_or_die('U', getpid());
	again = readable(fd);
	ok(!first && again && !readable(fd),
	   "poll reports a new record once");

	/* An idle process makes the sampler publish samples without records. */
	set_interval("20");
	idle = start_actors();
	actor_request(0, 'm', 1);
	command_or_die('R', idle);
	wait_tick();
	readable(fd);
	readable(ring.fd);
	ticks = ring.header->ticks;
	while (ring.header->ticks < ticks + 3)
		sleep_ms(1);
	quiet = !readable(fd) && readable(ring.fd);
	ok(quiet, "poll of the records does not report samples alone");

	pid = fork_child();
	if (!pid)
		_exit(poll(&pollfd, 1, -1) != 1);
	wait_state(pid, 'S');
	actor_request(0, 'm', 10);
	/* This hangs if the record does not wake the child. */
	waitpid(pid, &status, 0);
	ok_eq(status, 0, "a new record wakes a process that sleeps in poll");
	kill_and_reap(idle);
	end_actors(NULL, 0);
	wait_idle(&ring);
	close(fd);
}

/* ---- Several readers, one of which is too slow ---- */

#define SMALL_CAPACITY	64
#define READERS		4
#define REGISTRATIONS	1000
#define PUBLISHED	(2 * REGISTRATIONS)	/* with identity records */

/**
 * struct reader - a reader in a child, in shared memory
 * @next:   number of the next entry to read
 * @kept:   how many entries it kept
 * @lost:   how many were overwritten before it read them
 * @has:    which entries it kept
 * @copies: its copies of them
 */
struct reader {
	uint64_t next, kept, lost;
	bool has[PUBLISHED];
	struct mp3_record copies[PUBLISHED];
};

static struct shared {
	struct mp3_record published[PUBLISHED];
	struct reader readers[READERS];
	bool finished;
} *shared;

/* Reads a record as mp3_uapi.h describes. Returns false if there is none. */
static bool read_record(struct reader *reader)
{
	uint64_t i = reader->next, head = procs_head(), oldest;
	struct mp3_record copy;

	if (i == head)
		return false;
	copy = record_at(i);
	/* Pairs with the write barrier before the module overwrites a slot. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	head = procs_head();
	if (i + procs.capacity - 1 > head) {
		reader->copies[i] = copy;
		reader->has[i] = true;
		reader->kept++;
		__atomic_store_n(&reader->next, i + 1, __ATOMIC_RELEASE);
	} else {
		oldest = head + 2 - procs.capacity;
		reader->lost += oldest - i;
		__atomic_store_n(&reader->next, oldest, __ATOMIC_RELEASE);
	}
	return true;
}

static void read_all(struct reader *reader)
{
	bool finished;

	do {
		finished = __atomic_load_n(&shared->finished, __ATOMIC_ACQUIRE);
		while (read_record(reader))
			;
		sched_yield();
	} while (!finished);
}

/* Waits until all readers but the first, slow one have read up to @head. */
static void wait_for_readers(uint64_t head)
{
	int i, tries;

	for (i = 1; i < READERS; i++) {
		uint64_t *next = &shared->readers[i].next;

		for (tries = 0; __atomic_load_n(next, __ATOMIC_ACQUIRE) < head;
		     tries++) {
			if (tries == 60000)
				errx(1, "reader %d does not read", i);
			usleep(1000);
		}
	}
}

/*
 * Publishes an identity record and a record: unregistering the last process does
 * so at once.
 */
static void publish_records(unsigned int registration)
{
	unsigned int nr = 2 * registration;

	command_or_die('R', getpid());
	touch(registration % 7);
	command_or_die('U', getpid());
	if (procs_head() != nr + 2)
		errx(1, "head is %llu after record %u",
		     (unsigned long long)procs_head(), nr + 1);
	shared->published[nr] = record_at(nr);
	shared->published[nr + 1] = record_at(nr + 1);
	if (registration % 10 == 0)
		wait_for_readers(nr + 2);
}

static bool copies_are_right(const struct reader *reader)
{
	uint64_t i, kept = 0;

	for (i = 0; i < PUBLISHED; i++) {
		if (!reader->has[i])
			continue;
		kept++;
		if (memcmp(&reader->copies[i], &shared->published[i],
			   sizeof(struct mp3_record))) {
			diag("the copy of record %llu is wrong",
			     (unsigned long long)i);
			return false;
		}
	}
	if (kept == reader->kept && kept + reader->lost == PUBLISHED)
		return true;
	diag("%llu of %d kept, %llu lost", (unsigned long long)kept, PUBLISHED,
	     (unsigned long long)reader->lost);
	return false;
}

static void test_readers(void)
{
	pid_t readers[READERS];
	bool fast = true;
	unsigned int i;

	reload("records=64 interval_ms=10000");
	ok_eq(procs.header->capacity, SMALL_CAPACITY,
	      "records=64 makes a ring of 64 records");
	shared = shared_memory(sizeof(*shared));
	fflush(stdout);
	for (i = 0; i < READERS; i++) {
		readers[i] = fork_child();
		if (!readers[i]) {
			read_all(&shared->readers[i]);
			_exit(0);
		}
	}
	for (i = 0; i < REGISTRATIONS; i++) {
		/* Stop the first reader repeatedly, longer each time. */
		if (i % 100 == 10)
			kill(readers[0], SIGSTOP);
		else if (i % 100 == 20 + i / 100 * 7)
			kill(readers[0], SIGCONT);
		publish_records(i);
	}
	kill(readers[0], SIGCONT);
	__atomic_store_n(&shared->finished, true, __ATOMIC_RELEASE);
	for (i = 0; i < READERS; i++)
		waitpid(readers[i], NULL, 0);

	for (i = 1; i < READERS; i++)
		fast &= copies_are_right(&shared->readers[i]) &&
			!shared->readers[i].lost;
	ok(fast, "%d fast concurrent readers get each record", READERS - 1);
	diag("the slow reader: %llu kept, %llu lost",
	     (unsigned long long)shared->readers[0].kept,
	     (unsigned long long)shared->readers[0].lost);
	ok(copies_are_right(&shared->readers[0]) && shared->readers[0].lost,
	   "a slow reader computes exactly how many records it lost");
}

/* ---- A random run ---- */

#define RUN_RECORDS	"1000000"
#define RUN_MS		8000
#define RUN_MATCHES	100	/* samples with faults, at least */
#define ROOTS		6
#define MAX_ALIVE	60	/* processes */
#define COMMANDERS	3

/**
 * struct run - state of a random run
 * @roots:    processes that are registered and followed at random
 * @alive:    how many descendants they have
 * @finished: set at the end of the run
 */
static struct run {
	pid_t roots[ROOTS];
	int alive;
	bool finished;
} *run;

static bool run_is_finished(void)
{
	return __atomic_load_n(&run->finished, __ATOMIC_ACQUIRE);
}

/* Forks unless there are too many processes. Returns true in the child. */
static bool fork_limited(void)
{
	if (__atomic_load_n(&run->alive, __ATOMIC_RELAXED) >= MAX_ALIVE ||
	    fork_child())
		return false;
	__atomic_add_fetch(&run->alive, 1, __ATOMIC_RELAXED);
	return true;
}

/* Faults, sleeps, forks and, in descendants only, exits: all at random. */
static void __attribute__((noreturn)) run_process(unsigned int seed)
{
	bool is_root = true;

	while (!run_is_finished()) {
		switch (rand_r(&seed) % 6) {
		case 0:
			touch(rand_r(&seed) % 200);
			break;
		case 1:
			if (fork_limited()) {
				seed += getpid();
				is_root = false;
			}
			break;
		case 2:
			if (is_root || rand_r(&seed) % 3 == 0)
				break;
			__atomic_sub_fetch(&run->alive, 1, __ATOMIC_RELAXED);
			_exit(0);
		case 3:
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
			break;
		default:
			sleep_ms(rand_r(&seed) % 40);
		}
	}
	_exit(0);
}

/* Gives random commands for the roots, and changes the interval. */
static void __attribute__((noreturn)) run_commander(unsigned int seed)
{
	static const char letters[] = "RUUFF";

	while (!run_is_finished()) {
		char letter = letters[rand_r(&seed) % 5], ms[16];
		int ret = command(letter, run->roots[rand_r(&seed) % ROOTS]);

		if (ret && ret != -EEXIST && ret != -ESRCH)
			errx(1, "%c: %s", letter, strerror(-ret));
		if (rand_r(&seed) % 16 == 0) {
			snprintf(ms, sizeof(ms), "%d", 1 + rand_r(&seed) % 60);
			set_interval(ms);
		}
		sleep_ms(rand_r(&seed) % 20);
	}
	_exit(0);
}

/**
 * struct matcher - compares the two rings while they are written
 * @sample:     number of the next sample
 * @record:     number of the next record
 * @last_ns:    time of the last group of records
 * @idle:       samples without faults since the last one with faults
 * @busy:       those of @idle that have CPU time
 * @groups:     groups of records so far
 * @wrong:      samples that differ from the sum of their records
 * @misordered: groups that are not later than the one before
 * @matched:    samples with faults that equal the sum of their records
 * @same_time:  those of @matched whose records have the sample's time
 */
struct matcher {
	uint64_t sample, record, last_ns;
	unsigned long idle, busy, groups, wrong, misordered, matched, same_time;
};

/**
 * struct group - the records of one tick
 * @nr:      how many records, with identity records
 * @time_ns: the time in each of them
 * @cpu_ns:  sum of their CPU time
 * @min_flt: sum of their minor faults
 * @maj_flt: sum of their major faults
 */
struct group {
	uint64_t nr, time_ns, cpu_ns;
	unsigned long min_flt, maj_flt;
};

/* Returns the group that starts at record @from: all records of one time. */
static struct group read_group(uint64_t from, uint64_t head)
{
	struct group group = { 0 };

	while (from + group.nr < head) {
		struct mp3_record record = record_at(from + group.nr);

		if (group.nr && record.time_ns != group.time_ns)
			break;
		group.time_ns = record.time_ns;
		group.nr++;
		if (record.flags == MP3_IDENTITY)
			continue;
		group.min_flt += record.min_flt;
		group.maj_flt += record.maj_flt;
		group.cpu_ns += record.cpu_ns;
	}
	return group;
}

static struct mp3_sample sample_at(uint64_t number)
{
	return *(struct mp3_sample *)&ring.samples[number % MP3_SAMPLES];
}

/* A sample has the jiffies of the last clock tick, unless that tick is late. */
static bool has_time(const struct mp3_sample *sample, uint64_t time_ns)
{
	uint64_t tick = 1000000000 / ring.header->hz;
	uint64_t at = ring.header->base_ns +
		      (sample->jiffies - ring.header->base_jiffies) * tick;

	return time_ns + tick > at && time_ns < at + 2 * tick;
}

static void take_group(struct matcher *matcher, const struct group *group)
{
	matcher->misordered += group->time_ns <= matcher->last_ns;
	matcher->last_ns = group->time_ns;
	matcher->record += group->nr;
	matcher->groups++;
}

/*
 * Skips the groups without faults, which belong to the samples without faults:
 * each of those has a group if it has CPU time, and may have one otherwise. So
 * only the number of groups is checked. Returns the next group with faults.
 */
static struct group skip_idle_groups(struct matcher *matcher, uint64_t records)
{
	struct group group = read_group(matcher->record, records);
	unsigned long nr = 0;

	for (; group.nr && !group.min_flt && !group.maj_flt; nr++) {
		take_group(matcher, &group);
		group = read_group(matcher->record, records);
	}
	if (nr < matcher->busy || nr > matcher->idle) {
		diag("before sample %llu: %lu idle samples, %lu with CPU time; %lu groups",
		     (unsigned long long)matcher->sample, matcher->idle,
		     matcher->busy, nr);
		matcher->wrong++;
	}
	matcher->idle = 0;
	matcher->busy = 0;

	return group;
}

/* Matches each new sample with the records of its tick. */
static void match_rings(struct matcher *matcher)
{
	/* In this order: a sample is published after its records. */
	uint64_t samples = ring_head(&ring), records = procs_head();

	if (records - matcher->record > procs.capacity / 2 ||
	    samples - matcher->sample > MP3_SAMPLES / 2)
		errx(1, "this test is too slow for the rings");
	for (; matcher->sample < samples; matcher->sample++) {
		struct mp3_sample sample = sample_at(matcher->sample);
		struct group group;

		if (!sample.min_flt && !sample.maj_flt) {
			matcher->idle++;
			matcher->busy += !!sample.cpu_percent;
			continue;
		}
		group = skip_idle_groups(matcher, records);
		if (group.min_flt != sample.min_flt ||
		    group.maj_flt != sample.maj_flt) {
			if (!matcher->wrong++)
				diag("sample %llu: %lu and %lu faults, %llu records: %lu and %lu",
				     (unsigned long long)matcher->sample,
				     sample.min_flt, sample.maj_flt,
				     (unsigned long long)group.nr,
				     group.min_flt, group.maj_flt);
			continue;
		}
		matcher->matched++;
		matcher->same_time += has_time(&sample, group.time_ns);
		take_group(matcher, &group);
	}
}

/*
 * Returns whether each process has at most one record per tick, MP3_FIRST in
 * its first record and MP3_LAST in its last, and an identity record directly
 * before each with MP3_FIRST and nowhere else. If it is unregistered and
 * registered within one interval, one record has both flags, whose order is
 * then unknown.
 */
static bool flags_are_valid(uint64_t from)
{
	uint64_t i, j, head = procs_head(), start = from;
	unsigned int nr_open = 0, wrong = 0;
	bool *is_open = calloc(1 << 22, sizeof(*is_open));
	struct mp3_record record = { 0 }, before, other;

	if (!is_open)
		err(1, "calloc");
	for (i = from; i < head; i++) {
		bool first, last;

		before = record;
		record = record_at(i);
		first = record.flags & MP3_FIRST;
		last = record.flags & MP3_LAST;
		if (!identity_precedes(&before, &record) && !wrong++)
			diag("record %llu, flags %u, process %u follows flags %u, process %u",
			     (unsigned long long)i, record.flags, record.pid,
			     before.flags, before.pid);
		if (record.pid >= 1 << 22 || record.flags > MP3_IDENTITY) {
			wrong++;
			continue;
		}
		if (record.flags == MP3_IDENTITY)
			continue;
		if (!is_open[record.pid] && !first) {
			if (!wrong++)
				diag("process %u has records before MP3_FIRST",
				     record.pid);
		}
		nr_open += !last - is_open[record.pid];
		is_open[record.pid] = !last;
		if (record_at(start).time_ns != record.time_ns)
			start = i;
		for (j = start; j < i; j++) {
			other = record_at(j);
			if (other.pid == record.pid &&
			    other.flags != MP3_IDENTITY && !wrong++)
				diag("process %u has two records in one tick",
				     record.pid);
		}
	}
	wrong += record.flags == MP3_IDENTITY;
	if (nr_open)
		diag("%u processes have no record with MP3_LAST", nr_open);
	free(is_open);

	return !wrong && !nr_open;
}

static void test_random_run(unsigned int seed)
{
	struct matcher matcher = { 0 };
	uint64_t begin, ms;
	pid_t commanders[COMMANDERS];
	bool failed = false;
	int i, status;

	diag("a random run: seed %u", seed);
	reload("records=" RUN_RECORDS);
	run = shared_memory(sizeof(*run));
	fflush(stdout);
	for (i = 0; i < ROOTS; i++) {
		pid_t pid = fork_child();

		if (!pid)
			run_process(seed + i);
		run->roots[i] = pid;
	}
	for (i = 0; i < COMMANDERS; i++) {
		commanders[i] = fork_child();
		if (!commanders[i])
			run_commander(seed + ROOTS + i);
	}
	begin = now_ns();
	/* Give up after five minutes. */
	do {
		match_rings(&matcher);
		usleep(500);
		ms = (now_ns() - begin) / 1000000;
	} while (ms < RUN_MS || (matcher.matched < RUN_MATCHES && ms < 300000));
	__atomic_store_n(&run->finished, true, __ATOMIC_RELEASE);
	for (i = 0; i < COMMANDERS; i++) {
		waitpid(commanders[i], &status, 0);
		failed |= status;
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	wait_idle(&ring);
	match_rings(&matcher);
	skip_idle_groups(&matcher, procs_head());
	diag("%llu records in %lu ticks, %llu samples, in %llu ms",
	     (unsigned long long)procs_head(), matcher.groups,
	     (unsigned long long)matcher.sample, (unsigned long long)ms);
	diag("%llu deadlines served, %llu missed",
	     (unsigned long long)ring.header->ticks,
	     (unsigned long long)ring.header->missed);
	ok(!failed && matcher.matched >= RUN_MATCHES && !matcher.wrong &&
	   matcher.record == procs_head() &&
	   matcher.sample == ring_head(&ring),
	   "the records of a tick precede its sample and add up to it");
	ok(!matcher.misordered && matcher.same_time * 2 > matcher.matched,
	   "the records of a tick have its sample's time, later than the last");
	ok(flags_are_valid(0),
	   "a process has one record per tick, from MP3_FIRST, after an identity record, to MP3_LAST");
}

/* ---- CPU time ---- */

/*
 * A sample's percentage is the CPU time in its records over the time between
 * the ticks. On a busy machine, time may pass between reading the clock and the
 * counts: only half of the samples have to agree.
 */
static void test_percent(void)
{
	unsigned int good = 0, nr = 0;
	uint64_t from, record, i, last = 0;
	bool recorded = true;
	pid_t pid = fork_child();

	while (!pid)
		;
	set_interval("50");
	from = ring_head(&ring);
	record = procs_head();
	command_or_die('R', pid);
	while (ring_head(&ring) < from + 100)
		sleep_ms(10);
	command_or_die('U', pid);
	kill_and_reap(pid);
	for (i = from; i < ring_head(&ring); i++) {
		struct mp3_sample sample = sample_at(i);
		struct group group = read_group(record, procs_head());
		double percent, period = group.time_ns - last;

		if (period < ring.header->interval_ns)
			period = ring.header->interval_ns;
		percent = group.cpu_ns * 100.0 / period;
		/*
		 * If two ticks fall between two updates of the scheduler's
		 * clock, the second has no record, and its time is unknown.
		 */
		if (!sample.cpu_percent && percent >= 1.0) {
			recorded = false;
			continue;
		}
		record += group.nr;
		if (last && recorded) {
			nr++;
			good += percent > sample.cpu_percent - 1.0 &&
				percent < sample.cpu_percent + 1.0;
		}
		last = group.time_ns;
		recorded = true;
	}
	if (!ok(nr >= 30 && good * 2 >= nr && record == procs_head(),
		"a sample's cpu_percent is the CPU time of its records"))
		diag("%u of %u samples agree", good, nr);
}

int main(int argc, char **argv)
{
	unsigned int seed = time(NULL);

	if (!strcmp(argv[0], "/tmp/renamed"))
		return run_renamed();
	if (argc > 1)
		seed = strtoul(argv[1], NULL, 10);

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	write_file(PID_MAX_PATH, "4194304");
	open_rings();

	if (argc == 1) {
		test_header();
		test_fields();
		test_identity();
		test_exec();
		test_preempted();
		test_late_tick();
		test_unregister();
		test_poll();
		test_percent();
		test_readers();
	}
	test_random_run(seed);
	reload("");

	return done();
}
