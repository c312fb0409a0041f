// SPDX-License-Identifier: GPL-2.0
/*
 * The sample ring: its header, the slots of -1 by which classic readers find
 * their way, such readers before and after the ring wraps, and processes that
 * write where they should not.
 *
 * Usage: ring [MODULE]
 *
 * MODULE (/mp3/mp3.ko) is loaded again wherever a test needs a fresh ring.
 */
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "module.h"
#include "publish.h"

#define LONGS		(4 * MP3_SAMPLES)
#define MAX_ENTRIES	(128 * 1024)	/* in one load of the module */
#define MAX_LAG		(MP3_SAMPLES / 2)

/*
 * Memory shared by the publisher and a reader in another process. A classic
 * reader sees no entry numbers: the test derives them from the order in which
 * it receives the entries of one slot.
 */
struct shared {
	struct mp3_sample published[MAX_ENTRIES]; /* as the publisher saw it */
	struct mp3_sample received[MAX_ENTRIES]; /* as the reader got it */
	uint64_t nr_published;
	uint64_t next_number[MP3_SAMPLES]; /* of the next entry in each slot */
	uint64_t first;			/* oldest entry to be received */
	uint64_t nr_received;
	unsigned int nr_unpublished;	/* received, but never published */
	unsigned int misaligned;	/* scans that ended inside an entry */
	bool publishing;		/* the publisher is still running */
};

static struct shared *shared;
static unsigned int wrong_heads, wrong_gaps, wrong_entries;

/* Loads the module again, with default parameters. */
static void reload(void)
{
	if (ring.header)
		publisher_close();
	unload_or_die();
	load_or_die("");
	publisher_open();
}

/* Checks, too, that head grows by this sample and those of the ticks only. */
static void publish(unsigned int faults)
{
	uint64_t head = ring_head(&ring), ticks = ring.header->ticks;

	publish_faults(faults);
	wrong_heads += ring_head(&ring) !=
		       head + 1 + ring.header->ticks - ticks;
}

static bool is_gap(uint64_t number)
{
	static const struct mp3_sample empty = { -1, -1, -1, -1 };
	struct mp3_sample got = sample_at(number);

	return !memcmp(&got, &empty, sizeof(got));
}

/*
 * Publishes @nr entries, each different from its neighbors, saves them for the
 * comparison, and checks the slot after each.
 */
static void publish_saved(unsigned int nr)
{
	uint64_t i = ring_head(&ring);

	while (nr--) {
		unsigned long faults = i % MAX_FAULTS, sum;
		uint64_t head;

		publish(faults);
		head = ring_head(&ring);
		if (head > MAX_ENTRIES)
			errx(1, "more entries than this test can save");
		for (sum = 0; i < head; i++) {
			shared->published[i] = sample_at(i);
			sum += shared->published[i].min_flt;
		}
		__atomic_store_n(&shared->nr_published, head, __ATOMIC_RELEASE);
		wrong_entries += sum != faults;
		wrong_gaps += !is_gap(head);
	}
}

/* Three results for everything published since the last call. */
static void ok_publications(const char *when)
{
	ok(!wrong_heads, "%s, each publication adds 1 to head", when);
	ok(!wrong_entries, "%s, the newest entry counts the faults exactly",
	   when);
	ok(!wrong_gaps, "%s, the slot after the newest entry is -1", when);
	wrong_heads = 0;
	wrong_entries = 0;
	wrong_gaps = 0;
}

/* ---- The header ---- */

static void test_header(void)
{
	volatile struct mp3_header *header = ring.header;
	const volatile long *words = (volatile long *)ring.samples;
	size_t i, filled = 0;
	struct timespec tick;
	pid_t child;

	ok_eq(header->magic, MP3_MAGIC, "magic is MP3_MAGIC right after load");
	ok_eq(header->version, MP3_ABI_VERSION,
	      "version is MP3_ABI_VERSION right after load");
	ok_eq(header->entry_size, sizeof(struct mp3_sample),
	      "entry_size is that of struct mp3_sample right after load");
	ok_eq(header->capacity, MP3_SAMPLES,
	      "capacity is MP3_SAMPLES right after load");
	ok_eq(header->interval_ns, 50000000,
	      "interval_ns is 50 ms right after load");
	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	ok_eq(header->hz, 1000000000 / tick.tv_nsec,
	      "hz is the coarse clock's frequency right after load");
	ok(!header->head && !header->ticks && !header->missed &&
	   !header->cost_ns && !header->dropped && !header->processes,
	   "all counters in the header are 0 right after load");

	for (i = 0; i < ring.data_size / sizeof(long); i++)
		filled += words[i] != -1;
	ok_eq(filled, 0,
	      "all words of the 128 data pages are -1 right after load");

	set_interval("10000");
	ok_eq(header->interval_ns, 10000000000,
	      "interval_ns follows the module parameter");

	child = sleeper();
	command('R', getpid());
	ok_eq(header->processes, 1, "processes is 1 with one registered");
	command('R', child);
	ok_eq(header->processes, 2, "processes is 2 with two registered");
	command('U', getpid());
	ok_eq(header->processes, 1,
	      "processes is 1 after one of two is unregistered");
	ok_eq(header->head, header->ticks,
	      "unregistering one of two processes publishes nothing");
	command('U', child);
	ok_eq(header->processes, 0,
	      "processes is 0 after the last process is unregistered");
	ok_eq(header->head, header->ticks + 1,
	      "unregistering the last process publishes a sample");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/*
 * A sample is never taken before its clock tick begins. So the time at which a
 * sample is found, minus the ticks since base_jiffies, is an upper bound of the
 * time of base_jiffies, and the least of many such bounds is close to it.
 */
static bool base_is_exact(void)
{
	long long base = ring.header->base_jiffies, earliest = INT64_MAX, error;
	long long tick = 1000000000 / ring.header->hz;
	struct timespec now;
	int i;

	for (i = 0; i < 1000; i++) {
		uint64_t newest;
		long long at;

		publish(0);
		newest = ring_head(&ring) - 1;
		clock_gettime(CLOCK_MONOTONIC, &now);
		at = now.tv_sec * 1000000000LL + now.tv_nsec - tick *
		     (long long)(sample_at(newest).jiffies - base);
		if (at < earliest)
			earliest = at;
	}
	error = (long long)ring.header->base_ns - earliest;
	if (llabs(error) > tick)
		diag("base_ns is off by %lld ns", error);

	return llabs(error) <= tick;
}

/* On a busy machine a load may be late, but not 20 loads in a row. */
static void test_base(void)
{
	bool exact;
	int i;

	for (i = 0; i < 20; i++) {
		exact = base_is_exact();
		if (exact)
			break;
		reload();
		set_interval("10000");
	}
	ok(exact, "base_ns is the time of base_jiffies to within a clock tick");
}

/* ---- Classic readers, which do not use the header ---- */

/* Starts a comparison: entry @first is the oldest one to be received. */
static void expect_from(uint64_t first)
{
	uint64_t i;

	for (i = first; i < first + MP3_SAMPLES; i++)
		shared->next_number[i % MP3_SAMPLES] = i;
	for (i = first; i < MAX_ENTRIES; i++)
		shared->received[i] = (struct mp3_sample){ 0 };
	shared->first = first;
	shared->nr_received = 0;
	shared->nr_unpublished = 0;
	shared->misaligned = 0;
}

/*
 * Saves what a reader found in @slot. Waits until the publisher has saved the
 * entry, which it could not do once the reader has consumed it. Returns false
 * if the publisher ends without such an entry.
 */
static bool receive(size_t slot, const struct mp3_sample *sample)
{
	uint64_t number = shared->next_number[slot];
	bool publishing;

	do {
		publishing = __atomic_load_n(&shared->publishing,
					     __ATOMIC_ACQUIRE);
		if (number < __atomic_load_n(&shared->nr_published,
					     __ATOMIC_ACQUIRE)) {
			shared->received[number] = *sample;
			shared->next_number[slot] += MP3_SAMPLES;
			__atomic_store_n(&shared->nr_received,
					 shared->nr_received + 1,
					 __ATOMIC_RELEASE);
			return true;
		}
		sched_yield();
	} while (publishing);

	shared->nr_unpublished++;
	return false;
}

/* Returns whether the reader got each entry, unchanged, and nothing else. */
static bool received_all(void)
{
	uint64_t i, nr = shared->nr_published - shared->first;

	for (i = shared->first; i < shared->nr_published; i++) {
		if (!memcmp(&shared->received[i], &shared->published[i],
			    sizeof(struct mp3_sample)))
			continue;
		diag("entry %llu: min_flt %lu, want %lu; jiffies %lu, want %lu",
		     (unsigned long long)i, shared->received[i].min_flt,
		     shared->published[i].min_flt, shared->received[i].jiffies,
		     shared->published[i].jiffies);
		return false;
	}
	if (shared->nr_received != nr || shared->nr_unpublished)
		diag("received %llu of %llu entries, and %u never published",
		     (unsigned long long)shared->nr_received,
		     (unsigned long long)nr, shared->nr_unpublished);
	return shared->nr_received == nr && !shared->nr_unpublished;
}

static long word_acquire(const volatile long *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/*
 * One pass of a consumer as existing clients have it: scan the longs for the
 * first that is not -1, take four at a time until the first of them is -1, wrap
 * at the end, and store -1 over each entry. Returns how many entries it took.
 */
static uint64_t consume(volatile long *words)
{
	struct mp3_sample sample;
	uint64_t nr = 0;
	size_t pos = 0;
	int i;

	while (pos < LONGS && words[pos] == -1)
		pos++;
	if (pos == LONGS)
		return 0;
	/*
	 * Word 0 of an entry is stored last. A scan that meets an entry while
	 * it is being written can pass word 0 and find word 1; without a
	 * concurrent publisher this cannot happen.
	 */
	shared->misaligned += pos % 4 != 0;
	pos -= pos % 4;

	while (word_acquire(&words[pos]) != -1) {
		for (i = 0; i < 4; i++)
			((long *)&sample)[i] = words[pos + i];
		if (!receive(pos / 4, &sample))
			return 0;
		for (i = 0; i < 4; i++)
			words[pos + i] = -1;
		pos = (pos + 4) % LONGS;
		nr++;
	}
	return nr;
}

static void consume_until_empty(volatile long *words)
{
	while (consume(words))
		;
}

static void consume_while_published(volatile long *words)
{
	bool publishing;

	do {
		publishing = __atomic_load_n(&shared->publishing,
					     __ATOMIC_ACQUIRE);
		consume_until_empty(words);
	} while (publishing);
}

/*
 * Takes each entry that appears after the newest one, and consumes nothing.
 * Once an entry's word 0 is set, word 0 of the slot after it is valid.
 */
static void tail_while_published(volatile long *words)
{
	size_t slot = shared->first % MP3_SAMPLES;
	bool publishing;

	do {
		long word;

		publishing = __atomic_load_n(&shared->publishing,
					     __ATOMIC_ACQUIRE);
		word = word_acquire(&words[4 * slot]);
		while (word != -1) {
			size_t next = (slot + 1) % MP3_SAMPLES;
			long next_word = word_acquire(&words[4 * next]);
			struct mp3_sample sample = sample_at(slot);

			sample.jiffies = word;
			if (!receive(slot, &sample))
				return;
			slot = next;
			word = next_word;
		}
	} while (publishing);
}

static pid_t fork_running(void (*run)(volatile long *))
{
	pid_t child = fork_unshared();

	if (!child) {
		run((volatile long *)ring.samples);
		_exit(0);
	}
	return child;
}

/* Publishes at most MAX_LAG entries ahead of @reader, which runs in a child. */
static void publish_to_reader(void (*reader)(volatile long *), unsigned int nr,
			      const char *name)
{
	uint64_t first = ring_head(&ring);
	int tries_left = 60000, status;
	pid_t child;

	expect_from(first);
	shared->publishing = true;
	child = fork_running(reader);
	while (nr--) {
		publish_saved(1);
		while (tries_left && ring_head(&ring) - first >
		       MAX_LAG + __atomic_load_n(&shared->nr_received,
						 __ATOMIC_ACQUIRE)) {
			sleep_ms(1);
			tries_left--;
		}
	}
	__atomic_store_n(&shared->publishing, false, __ATOMIC_RELEASE);
	/* After this long the reader must have lost its way. */
	if (!tries_left)
		kill(child, SIGKILL);
	waitpid(child, &status, 0);
	ok(WIFEXITED(status), "a concurrent %s reads to the end", name);
}

/*
 * Publishes and consumes @nr entries. Returns whether each was received once.
 */
static bool round_trip(unsigned int nr)
{
	expect_from(ring_head(&ring));
	publish_saved(nr);
	consume_until_empty((volatile long *)ring.samples);

	return received_all() && !shared->misaligned;
}

static void test_wrap(void)
{
	static const unsigned int rounds[] = { 1, 2, 3, 997, 3000, 1, 4000 };
	size_t i, nr = ARRAY_SIZE(rounds);
	bool all = true;

	for (i = 0; i < nr; i++)
		all = round_trip(rounds[i]) && all;
	ok(ring_head(&ring) < MP3_SAMPLES && all,
	   "a consumer gets each entry once before the ring wraps");

	/* Stop at each of the last and first slots, then take larger steps. */
	all = round_trip(MP3_SAMPLES - 6 - ring_head(&ring));
	for (i = 0; i < 12; i++)
		all = round_trip(1) && all;
	for (i = 0; i < nr; i++)
		all = round_trip(rounds[i]) && all;
	ok(ring_head(&ring) > MP3_SAMPLES && all,
	   "a consumer gets each entry once after the ring wraps");
	ok_publications("with a consumer");
}

static void test_full(void)
{
	volatile unsigned char *bytes = (volatile unsigned char *)ring.samples;
	size_t i, changed = 0, slots = MP3_SAMPLES * sizeof(struct mp3_sample);

	for (i = slots; i < ring.data_size; i++)
		bytes[i] = (unsigned char)(i * 7);
	publish_saved(30000);
	ok_publications("in a ring that nothing consumes");
	for (i = slots; i < ring.data_size; i++)
		changed += bytes[i] != (unsigned char)(i * 7);
	ok_eq(changed, 0, "the bytes after the last slot are never written");

	expect_from(ring_head(&ring) - (MP3_SAMPLES - 1));
	consume_until_empty((volatile long *)ring.samples);
	ok(received_all() && !shared->misaligned,
	   "a consumer of a full ring gets the newest 11999 entries once");
}

static void test_concurrent_readers(void)
{
	publish_to_reader(consume_while_published, MP3_SAMPLES + 500,
			  "consumer");
	ok(received_all(), "a concurrent consumer gets each entry once");

	/* In a ring full of old entries, only the gap marks the newest one. */
	publish_saved(MP3_SAMPLES);
	publish_to_reader(tail_while_published, MP3_SAMPLES + 500,
			  "reader that consumes nothing");
	ok(received_all(),
	   "a concurrent reader of a full ring gets each new entry once");
	ok_publications("with concurrent readers");
}

/* ---- Writers ---- */

/* Fills all data pages: random words, zeros, -1, or -1 where entries begin. */
static void scribble_once(volatile long *words, unsigned int pattern)
{
	const long begin = pattern % 4 < 2 ? 0 : -1;
	const long other = pattern % 4 == 2 ? -1 : 0;
	size_t i, nr = ring.data_size / sizeof(long);
	unsigned long random = pattern;

	for (i = 0; i < nr; i++) {
		random = random * 6364136223846793005 + 1;
		words[i] = pattern % 4 ? i % 4 ? other : begin : (long)random;
	}
}

static void scribble(volatile long *words)
{
	unsigned int pattern;

	for (pattern = 0; ; pattern++)
		scribble_once(words, pattern);
}

static void test_scribbler(void)
{
	struct mp3_header before = *(struct mp3_header *)ring.header, after;
	pid_t child = fork_running(scribble);
	unsigned int i, faults;
	int status;

	for (i = 0; i < 20; i++) {
		struct mp3_sample got;

		for (faults = 0; faults < 610; faults++)
			publish(faults % MAX_FAULTS);
		kill(child, SIGSTOP);
		waitpid(child, &status, WUNTRACED);
		/* Overwrite the gap, too. */
		scribble_once((volatile long *)ring.samples, i);
		publish(5);
		got = sample_at(ring_head(&ring) - 1);
		wrong_entries += got.min_flt != 5 || got.maj_flt;
		wrong_gaps += !is_gap(ring_head(&ring));
		kill(child, SIGCONT);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);

	ok_publications("while a process scribbles over the ring");
	after = *(struct mp3_header *)ring.header;
	ok(ring_head(&ring) - before.head >= 20 * 611 &&
	   !memcmp(&after, &before, offsetof(struct mp3_header, head)) &&
	   after.base_ns == before.base_ns && !after.processes,
	   "the header stays correct while a process scribbles over the ring");
}

/* Writes the header through a traced child. Returns what ptrace(2) returned. */
static long poke(volatile struct mp3_header *header)
{
	pid_t child = fork();
	long ret, seen;

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		kill(getpid(), SIGSTOP);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	seen = ptrace(PTRACE_PEEKDATA, child, &header->head, 0);
	ret = ptrace(PTRACE_POKEDATA, child, &header->head, seen + 1);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);

	return ret;
}

/* Returns whether each way to write the header fails. */
static bool is_read_only(volatile struct mp3_header *header)
{
	struct iovec from = { &(uint64_t){ 1 }, sizeof(uint64_t) };
	struct iovec to = { (void *)&header->head, sizeof(uint64_t) };
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct {
		const char *method;
		long ret;
	} attempts[] = {
		{ "mprotect", mprotect((void *)header, PAGE,
				       PROT_READ | PROT_WRITE) },
		{ "read(2) into it", read(zero, (void *)header, PAGE) },
		{ "process_vm_writev", process_vm_writev(getpid(), &from, 1,
							 &to, 1, 0) },
		{ "/proc/self/mem", pwrite(mem, from.iov_base, from.iov_len,
					   (uintptr_t)&header->head) },
		{ "ptrace", poke(header) },
	};
	bool all = mem >= 0 && zero >= 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(attempts); i++) {
		if (attempts[i].ret == -1)
			continue;
		diag("%s returned %ld", attempts[i].method, attempts[i].ret);
		all = false;
	}
	close(mem);
	close(zero);

	return all;
}

static void test_header_is_read_only(void)
{
	struct mp3_header before = *(struct mp3_header *)ring.header, after;
	void *copy = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ring.fd,
			  MP3_OFF_HEADER);
	void *other = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ring.fd,
			   MP3_OFF_HEADER);

	if (copy == MAP_FAILED || other == MAP_FAILED)
		err(1, "mmap");
	ok(is_read_only(other), "a shared header mapping cannot be written");
	ok(is_read_only(copy), "a private header mapping cannot be written");
	after = *(struct mp3_header *)ring.header;
	ok(!memcmp(&before, &after, sizeof(before)),
	   "attempts to write the header leave it unchanged");
	munmap(copy, PAGE);
	munmap(other, PAGE);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		module_path = argv[1];
	shared = shared_memory(sizeof(*shared));

	reload();
	test_header();
	test_base();

	reload();
	set_interval("10000");
	test_wrap();
	test_full();
	test_concurrent_readers();
	test_scribbler();
	test_header_is_read_only();

	reload();
	return done();
}
