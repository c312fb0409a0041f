// SPDX-License-Identifier: GPL-2.0
/*
 * The ring of records: what a record says, that those of a tick add up to its
 * sample, whatever happens meanwhile, and what several readers get of it.
 *
 * Usage: records [SEED], which replays the random run.
 */
#include <poll.h>

#include "tree.h"

#define PAGE		((size_t)getpagesize())

static void must_publish_nothing(uint64_t from)
{
	if (ring_head(&ring) != from)
		errx(1, "no ten seconds may pass in between");
}

/* ---- A ring right after load ---- */

/* Both headers are of one sampler: but for the entries they say the same. */
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
	ok_eq(procs.capacity, 65536, "right after load: 65536 records");
	ok(procs.header->magic == MP3_MAGIC &&
	   procs.header->version == MP3_ABI_VERSION &&
	   procs.header->entry_size == sizeof(struct mp3_record) &&
	   !procs.header->head, "right after load: the header of records");
	for (i = 0; i < procs.data_size / sizeof(long); i++)
		filled += words[i] != -1;
	ok_eq(filled, 0, "right after load: all words of it are -1");
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
	ok(agree, "both headers say the same of the sampler");
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

/* The records of a process from @from on; how many they are. */
static unsigned int records_of(pid_t pid, uint64_t from,
			       struct mp3_record *records, unsigned int room)
{
	uint64_t i, head = procs_head();
	unsigned int nr = 0;

	for (i = from; i < head; i++) {
		struct mp3_record record = record_at(i);

		if (record.pid == (uint32_t)pid && nr < room)
			records[nr++] = record;
	}
	return nr;
}

/*
 * A process that has 10 MB, and does something only when it is told: it is
 * traced through its first record, a silence, one in between and its last.
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
	pid = open_stage();
	tell(0, 'm', 1);
	/* What it does on its way to sleep would be in a second record. */
	await_state(pid, 'S');
	before = now_ns();
	command_or_die('R', pid);
	wait_tick();
	after = now_ns();
	nr = records_of(pid, from, records, 8);
	rss = rss_of(pid);
	ok(nr == 1 && records[0].flags == MP3_FIRST,
	   "who is registered gets one record, with MP3_FIRST");
	if (!nr)
		errx(1, "no record of %d", pid);
	ok(records[0].time_ns > before && records[0].time_ns < after,
	   "its time is the monotonic clock's");
	ok(!strcmp(records[0].comm, "actor"), "its name is the process's");
	/* /proc adds up what each CPU keeps for itself in later kernels. */
	if (!ok(rss > (long)size / 2 &&
		labs((long)records[0].rss_bytes - rss) < (1 << 20),
		"its resident memory is what /proc says, to 1 MiB"))
		diag("%lu bytes, and /proc says %ld",
		     (unsigned long)records[0].rss_bytes, rss);

	ticks = procs.header->ticks;
	from = procs_head();
	silent = true;
	while (procs.header->ticks < ticks + 5)
		sleep_ms(1);
	silent = procs_head() == from;
	ok(silent, "a tick in which nothing happens has no record");

	/* The pages of its own are the memory's, the sockets' and the stack's. */
	tell(0, 'm', 300);
	wait_tick();
	nr = records_of(pid, from, records, 8);
	ok(nr >= 1 && !records[0].flags && records[0].cpu_ns,
	   "then it has one without a flag, and CPU time");

	from = procs_head();
	tell(0, 'x', 0);
	waitpid(pid, NULL, 0);
	wait_idle(&ring);
	nr = records_of(pid, from, records, 8);
	ok(nr >= 1 && records[nr - 1].flags == MP3_LAST &&
	   !records[nr - 1].rss_bytes && !strcmp(records[0].comm, "actor"),
	   "the last one has MP3_LAST, its name, and no memory");
	ok(procs_head() == from + nr, "and there is no other process's");
	close_stage(NULL, 0);
	munmap(memory, size);
}

/* What is run by the name of "renamed": it does something in several ticks. */
static int renamed(void)
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

/* Who execs in another thread than the leader becomes the leader. */
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
		good += records[i].rss_bytes && !strcmp(records[i].comm, "renamed");
	ok(nr && !strcmp(records[0].comm, "records") && good,
	   "who execs in another thread has its new name, and its new memory");
	unlink(path);
}

#define CROWD		3	/* busy processes on one processor */
#define CROWD_TICKS	8

/* Who is off the CPU at a tick only because others want it has run before. */
static void test_crowd(void)
{
	struct mp3_record records[4 * CROWD_TICKS];
	unsigned int i, nr, least = -1;
	uint64_t from, sample;
	pid_t pids[CROWD];

	set_interval("400");
	from = procs_head();
	sample = ring_head(&ring);
	fflush(stdout);
	for (i = 0; i < CROWD; i++) {
		pids[i] = fork_child();
		if (!pids[i]) {
			pin_to(0);
			command('R', getpid());
			for (;;)
				;
		}
	}
	while (ring_head(&ring) < sample + CROWD_TICKS)
		sleep_ms(20);
	for (i = 0; i < CROWD; i++) {
		nr = records_of(pids[i], from, records, ARRAY_SIZE(records));
		if (nr < least)
			least = nr;
	}
	for (i = 0; i < CROWD; i++)
		kill_and_reap(pids[i]);
	set_interval("20");
	wait_idle(&ring);
	/* The first tick may come before the last of them is registered. */
	if (!ok(least + 1 >= CROWD_TICKS,
		"who runs in each interval has a record of each"))
		diag("%u records in %d ticks", least, CROWD_TICKS);
}

/*
 * A tick begins while the last process is unregistered, and comes too late. One
 * that a slow machine makes before is no matter: it is not there each time.
 */
static void test_late_tick(void)
{
	const char *name = "a tick that is under way at the last U makes no sample";
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
		if (!delay_once(getpid(), "cancel_delayed_work", 1000)) {
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

/* Registered and unregistered between two ticks: it came and went. */
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
	ok(nr == 1 && procs_head() == from + 1 &&
	   records[0].flags == (MP3_FIRST | MP3_LAST) &&
	   records[0].min_flt >= 100 &&
	   ring_head(&ring) == sample + 1 &&
	   ring.samples[sample % MP3_SAMPLES].min_flt == records[0].min_flt,
	   "the last process unregistered has its record at once");

	/* One who stays, and is silent. */
	pid = open_stage();
	tell(0, 'm', 1);
	from = procs_head();
	sample = ring_head(&ring);
	command_or_die('R', pid);
	command_or_die('R', getpid());
	touch(100);
	command_or_die('U', getpid());
	touch(1000);
	ok(procs_head() == from, "with others registered it has none yet");
	command_or_die('R', getpid());
	touch(100);
	command_or_die('U', getpid());
	must_publish_nothing(sample);
	set_interval("20");
	wait_tick();
	nr = records_of(getpid(), from, records, 4);
	ok(nr == 1 && records[0].flags == (MP3_FIRST | MP3_LAST) &&
	   records[0].min_flt >= 200 && records[0].min_flt < 1000,
	   "but one of both times in the next tick");
	command_or_die('U', pid);
	ok(ring_head(&ring) > sample && procs.header->processes == 0,
	   "and so nothing is left");
	kill_and_reap(pid);
	close_stage(NULL, 0);
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
	pid_t pid, sleeper;
	char byte;

	if (fd < 0)
		err(1, "%s", MP3_PROCS_PATH);
	ok(read(fd, &byte, 1) < 0 && errno == EINVAL, "read(2): EINVAL");
	set_interval("10000");
	first = readable(fd);
	command_or_die('R', getpid());
	command_or_die('U', getpid());
	again = readable(fd);
	ok(!first && again && !readable(fd),
	   "poll: readable once after a record");

	/* Samples without records are the other ring's news. */
	set_interval("20");
	sleeper = open_stage();
	tell(0, 'm', 1);
	command_or_die('R', sleeper);
	wait_tick();
	readable(fd);
	readable(ring.fd);
	ticks = ring.header->ticks;
	while (ring.header->ticks < ticks + 3)
		sleep_ms(1);
	quiet = !readable(fd) && readable(ring.fd);
	ok(quiet, "poll: not readable where there are but samples");

	pid = fork_child();
	if (!pid)
		_exit(poll(&pollfd, 1, -1) != 1);
	await_state(pid, 'S');
	tell(0, 'm', 10);
	/* Only a poll that sleeps for ever takes long here. */
	waitpid(pid, &status, 0);
	ok_eq(status, 0, "poll: a record wakes who sleeps");
	kill_and_reap(sleeper);
	close_stage(NULL, 0);
	wait_idle(&ring);
	close(fd);
}

/* ---- Several readers, and one that is too slow ---- */

#define SMALL		64	/* slots */
#define READERS		4
#define PUBLISHED	1000

/**
 * struct reader - a reader in a process of its own, shared with the test
 * @next:   the next entry to be read
 * @kept:   how many it has
 * @lost:   how many were overwritten before
 * @has:    which ones it has
 * @copies: what they were
 */
struct reader {
	uint64_t next, kept, lost;
	bool has[PUBLISHED];
	struct mp3_record copies[PUBLISHED];
};

static struct audience {
	struct mp3_record published[PUBLISHED];
	struct reader readers[READERS];
	bool over;
} *audience;

/* As the comment of mp3_uapi.h has it. False when there is no entry. */
static bool read_record(struct reader *reader)
{
	uint64_t i = reader->next, head = procs_head(), oldest;
	struct mp3_record copy;

	if (i == head)
		return false;
	copy = record_at(i);
	/* Pairs with the writer's barrier before it overwrites. */
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
	bool over;

	do {
		over = __atomic_load_n(&audience->over, __ATOMIC_ACQUIRE);
		while (read_record(reader))
			;
		sched_yield();
	} while (!over);
}

/* No record is published before the fast readers have the one before it. */
static void await_readers(uint64_t head)
{
	int i, tries;

	for (i = 1; i < READERS; i++) {
		for (tries = 0; __atomic_load_n(&audience->readers[i].next,
						__ATOMIC_ACQUIRE) < head; tries++) {
			if (tries == 60000)
				errx(1, "reader %d does not read", i);
			usleep(1000);
		}
	}
}

/* Each of its own faults; with the last one unregistered it is there. */
static void publish_record(unsigned int nr)
{
	command_or_die('R', getpid());
	touch(nr % 7);
	command_or_die('U', getpid());
	if (procs_head() != nr + 1)
		errx(1, "record %u of %llu", nr,
		     (unsigned long long)procs_head());
	audience->published[nr] = record_at(nr);
	if (nr % 20 == 0)
		await_readers(nr + 1);
}

static bool is_right(const struct reader *reader)
{
	uint64_t i, kept = 0;

	for (i = 0; i < PUBLISHED; i++) {
		if (!reader->has[i])
			continue;
		kept++;
		if (memcmp(&reader->copies[i], &audience->published[i],
			   sizeof(struct mp3_record))) {
			diag("record %llu is another", (unsigned long long)i);
			return false;
		}
	}
	if (kept == reader->kept && kept + reader->lost == PUBLISHED)
		return true;
	diag("%llu kept, %llu lost", (unsigned long long)kept,
	     (unsigned long long)reader->lost);
	return false;
}

static void test_readers(void)
{
	pid_t readers[READERS];
	bool fast = true;
	unsigned int i;

	reload("records=64 interval_ms=10000");
	ok_eq(procs.header->capacity, SMALL, "a ring of 64 records");
	audience = shared_memory(sizeof(*audience));
	fflush(stdout);
	for (i = 0; i < READERS; i++) {
		readers[i] = fork_child();
		if (!readers[i]) {
			read_all(&audience->readers[i]);
			_exit(0);
		}
	}
	for (i = 0; i < PUBLISHED; i++) {
		/* The first of them sleeps now and then, ever longer. */
		if (i % 100 == 10)
			kill(readers[0], SIGSTOP);
		else if (i % 100 == 20 + i / 100 * 7)
			kill(readers[0], SIGCONT);
		publish_record(i);
	}
	kill(readers[0], SIGCONT);
	__atomic_store_n(&audience->over, true, __ATOMIC_RELEASE);
	for (i = 0; i < READERS; i++)
		waitpid(readers[i], NULL, 0);

	for (i = 1; i < READERS; i++)
		fast &= is_right(&audience->readers[i]) &&
			!audience->readers[i].lost;
	ok(fast, "%d readers who are fast enough get each record", READERS - 1);
	diag("the slow one: %llu kept, %llu lost",
	     (unsigned long long)audience->readers[0].kept,
	     (unsigned long long)audience->readers[0].lost);
	ok(is_right(&audience->readers[0]) && audience->readers[0].lost,
	   "one that is too slow knows to the record what it has lost");
}

/* ---- A random run ---- */

#define RUN_RECORDS	"1000000"
#define RUN_MS		8000
#define RUN_MATCHES	100	/* samples with faults that it takes at least */
#define ROOTS		6
#define MAX_ALIVE	60	/* processes */
#define COMMANDERS	3

/**
 * struct run - a random run
 * @roots: processes that anyone may register or follow at any time
 * @alive: how many there are, with those that they have forked
 * @over:  it is over
 */
static struct run {
	pid_t roots[ROOTS];
	int alive;
	bool over;
} *run;

static bool run_is_over(void)
{
	return __atomic_load_n(&run->over, __ATOMIC_ACQUIRE);
}

/* True in a child, if there are not too many yet. */
static bool is_forked(void)
{
	if (__atomic_load_n(&run->alive, __ATOMIC_RELAXED) >= MAX_ALIVE ||
	    fork_child())
		return false;
	__atomic_add_fetch(&run->alive, 1, __ATOMIC_RELAXED);
	return true;
}

/* Faults, computes, sleeps and forks, until the run is over. */
static void live(unsigned int seed)
{
	bool stays = true;

	while (!run_is_over()) {
		switch (rand_r(&seed) % 6) {
		case 0:
			touch(rand_r(&seed) % 200);
			break;
		case 1:
			if (is_forked()) {
				seed += getpid();
				stays = false;
			}
			break;
		case 2:
			/* Some end soon, and none of the first. */
			if (stays || rand_r(&seed) % 3 == 0)
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

/* Gives commands of all kinds, to whoever may be there. */
static void meddle(unsigned int seed)
{
	static const char letters[] = "RUUFF";

	while (!run_is_over()) {
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
 * struct follower - who compares the two rings while they are written
 * @sample:  the next sample
 * @record:  the next record
 * @last_ns: time of the last group of records
 * @idle:    samples without faults that were met since the last one with faults
 * @busy:    of these, those with CPU time
 * @groups:  groups of records, one of a tick, that were met
 * @wrong:   samples that are not what their records add up to
 * @late:    groups that are not later than the one before
 * @matched: samples with faults that have their records
 * @near:    of these, those whose records have their time
 */
struct follower {
	uint64_t sample, record, last_ns;
	unsigned long idle, busy, groups, wrong, late, matched, near;
};

/**
 * struct group - the records of a tick
 * @nr:      how many
 * @time_ns: their time
 * @cpu_ns:  what they add up to, with
 * @min_flt: and
 * @maj_flt: these
 */
struct group {
	uint64_t nr, time_ns, cpu_ns;
	unsigned long min_flt, maj_flt;
};

/* Those with the same time from @from on. */
static struct group read_group(uint64_t from, uint64_t head)
{
	struct group group = { 0 };

	while (from + group.nr < head) {
		struct mp3_record record = record_at(from + group.nr);

		if (group.nr && record.time_ns != group.time_ns)
			break;
		group.time_ns = record.time_ns;
		group.min_flt += record.min_flt;
		group.maj_flt += record.maj_flt;
		group.cpu_ns += record.cpu_ns;
		group.nr++;
	}
	return group;
}

static struct mp3_sample sample_at(uint64_t number)
{
	return *(struct mp3_sample *)&ring.samples[number % MP3_SAMPLES];
}

/* The clock tick of a sample is the clock's last one: where it is not late. */
static bool is_time_of(const struct mp3_sample *sample, uint64_t time_ns)
{
	uint64_t tick = 1000000000 / ring.header->hz;
	uint64_t at = ring.header->base_ns +
		      (sample->jiffies - ring.header->base_jiffies) * tick;

	return time_ns + tick > at && time_ns < at + 2 * tick;
}

/* Leaves a group behind. */
static void pass(struct follower *follower, const struct group *group)
{
	follower->late += group->time_ns <= follower->last_ns;
	follower->last_ns = group->time_ns;
	follower->record += group->nr;
	follower->groups++;
}

/*
 * Passes by groups without faults, which are those of the samples without: each
 * of these may have one, and must where it has CPU time. Which one is whose
 * does not matter, then.
 */
static struct group pass_idle(struct follower *follower, uint64_t records)
{
	struct group group = read_group(follower->record, records);
	unsigned long nr = 0;

	for (; group.nr && !group.min_flt && !group.maj_flt; nr++) {
		pass(follower, &group);
		group = read_group(follower->record, records);
	}
	if (nr < follower->busy || nr > follower->idle) {
		diag("up to sample %llu %lu have no faults, %lu CPU time, %lu records",
		     (unsigned long long)follower->sample, follower->idle,
		     follower->busy, nr);
		follower->wrong++;
	}
	follower->idle = 0;
	follower->busy = 0;

	return group;
}

/* Goes through the samples that are there, each with the records of its tick. */
static void follow_rings(struct follower *follower)
{
	/* In this order: the records of these samples are there. */
	uint64_t samples = ring_head(&ring), records = procs_head();

	if (records - follower->record > procs.capacity / 2 ||
	    samples - follower->sample > MP3_SAMPLES / 2)
		errx(1, "too slow for the rings");
	for (; follower->sample < samples; follower->sample++) {
		struct mp3_sample sample = sample_at(follower->sample);
		struct group group;

		if (!sample.min_flt && !sample.maj_flt) {
			follower->idle++;
			follower->busy += !!sample.cpu_percent;
			continue;
		}
		group = pass_idle(follower, records);
		if (group.min_flt != sample.min_flt ||
		    group.maj_flt != sample.maj_flt) {
			if (!follower->wrong++)
				diag("sample %llu: %lu, %lu faults; %llu records: %lu, %lu",
				     (unsigned long long)follower->sample,
				     sample.min_flt, sample.maj_flt,
				     (unsigned long long)group.nr,
				     group.min_flt, group.maj_flt);
			continue;
		}
		follower->matched++;
		follower->near += is_time_of(&sample, group.time_ns);
		pass(follower, &group);
	}
}

/*
 * From its first record to its last a process has at most one a tick, and in
 * the end it is over. Where commands come and go in one interval, both flags
 * are in one record, and so say little of the order: there is a first one at
 * least.
 */
static bool flags_are_sane(uint64_t from)
{
	uint64_t i, j, head = procs_head(), start = from;
	unsigned int open = 0, wrong = 0;
	bool *is_open = calloc(1 << 22, sizeof(*is_open));

	if (!is_open)
		err(1, "calloc");
	for (i = from; i < head; i++) {
		struct mp3_record record = record_at(i), other;
		bool first = record.flags & MP3_FIRST;
		bool last = record.flags & MP3_LAST;

		if (record.pid >= 1 << 22 || record.flags > 3) {
			wrong++;
			continue;
		}
		if (!is_open[record.pid] && !first) {
			if (!wrong++)
				diag("%u has a record, and had no first",
				     record.pid);
		}
		open += !last - is_open[record.pid];
		is_open[record.pid] = !last;
		if (record_at(start).time_ns != record.time_ns)
			start = i;
		for (j = start; j < i; j++) {
			other = record_at(j);
			if (other.pid == record.pid && !wrong++)
				diag("%u has two records in a tick", record.pid);
		}
	}
	if (open)
		diag("%u processes have no last record", open);
	free(is_open);

	return !wrong && !open;
}

static void test_random_run(unsigned int seed)
{
	struct follower follower = { 0 };
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
			live(seed + i);
		run->roots[i] = pid;
	}
	for (i = 0; i < COMMANDERS; i++) {
		commanders[i] = fork_child();
		if (!commanders[i])
			meddle(seed + ROOTS + i);
	}
	begin = now_ns();
	/* Only a hang lasts for five minutes. */
	do {
		follow_rings(&follower);
		usleep(500);
		ms = (now_ns() - begin) / 1000000;
	} while (ms < RUN_MS || (follower.matched < RUN_MATCHES && ms < 300000));
	__atomic_store_n(&run->over, true, __ATOMIC_RELEASE);
	for (i = 0; i < COMMANDERS; i++) {
		waitpid(commanders[i], &status, 0);
		failed |= status;
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	wait_idle(&ring);
	follow_rings(&follower);
	pass_idle(&follower, procs_head());
	diag("%llu records in %lu groups of %llu samples in %llu ms, seen as they came",
	     (unsigned long long)procs_head(), follower.groups,
	     (unsigned long long)follower.sample, (unsigned long long)ms);
	diag("%llu deadlines served, %llu missed", ring.header->ticks,
	     ring.header->missed);
	ok(!failed && follower.matched >= RUN_MATCHES && !follower.wrong &&
	   follower.record == procs_head() &&
	   follower.sample == ring_head(&ring),
	   "each tick's records are there with its sample, and add up to it");
	ok(!follower.late && follower.near * 2 > follower.matched,
	   "they have one time, later than the last, which is the sample's");
	ok(flags_are_sane(0),
	   "one record a tick, and first and last ones in their order");
}

/* ---- CPU time ---- */

/*
 * A sample's percentage is its records' CPU time over the time between ticks. A
 * tick is not one moment where the machine is busy: so of many, half.
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
		 * Two ticks may come between two looks of the scheduler: then
		 * the second has no record, and when it was is in none.
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
		"a sample's CPU time is that of its records"))
		diag("%u of %u agree", good, nr);
}

int main(int argc, char **argv)
{
	unsigned int seed = time(NULL);

	if (!strcmp(argv[0], "/tmp/renamed"))
		return renamed();
	if (argc > 1)
		seed = strtoul(argv[1], NULL, 10);

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	write_file(PID_MAX_PATH, "4194304");
	open_rings();

	if (argc == 1) {
		test_header();
		test_fields();
		test_exec();
		test_crowd();
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
