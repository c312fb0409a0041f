// SPDX-License-Identifier: GPL-2.0
/*
 * The sample ring: its header, its words of -1, the readers who live by these
 * alone, and who writes where he should not.
 *
 * Usage: ring [MODULE]
 *
 * MODULE (/mp3/mp3.ko) is loaded anew whenever a fresh ring is wanted.
 */
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "test.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PAGE		((long)getpagesize())
#define LONGS		(4 * MP3_SAMPLES)
#define MAX_FAULTS	7
#define MAX_ENTRIES	(128 * 1024)	/* of one load of the module */
#define MAX_BEHIND	(MP3_SAMPLES / 2)

/*
 * What a reader in another process shares with the publisher. A reader by the
 * words alone sees no numbers: the order of the entries in a slot tells them.
 */
struct shared {
	struct mp3_sample published[MAX_ENTRIES]; /* as then found */
	struct mp3_sample printed[MAX_ENTRIES]; /* as a reader got them */
	uint64_t nr_published;
	uint64_t due[MP3_SAMPLES];	/* which entry comes next in a slot */
	uint64_t first;			/* the oldest that it has to meet */
	uint64_t nr_printed;
	unsigned int surplus;		/* printed, but never published */
	unsigned int misaligned;	/* starts that were not an entry's */
	bool publishing;		/* at the same time, that is */
};

static const char *module = "/mp3/mp3.ko";
static char *scratch;
static struct shared *shared;
static struct ring mp3;
static int status_fd = -1;
static unsigned int wrong_heads, wrong_gaps, wrong_entries;

static void ring_close(struct ring *ring)
{
	munmap((void *)ring->samples, ring->data_size);
	munmap((void *)ring->header, PAGE);
	close(ring->fd);
}

/* A fresh ring, and the default parameters. */
static void reload(void)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", module);
	if (mp3.header)
		ring_close(&mp3);
	close(status_fd);
	if (syscall(SYS_delete_module, "mp3", O_NONBLOCK))
		err(1, "unload");
	if (syscall(SYS_finit_module, fd, "", 0))
		err(1, "load %s", module);
	close(fd);

	mp3 = ring_open();
	status_fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	if (status_fd < 0)
		err(1, "%s", MP3_STATUS_PATH);
}

/*
 * Publishes a sample of so many minor faults: with the last process that is
 * unregistered it is in the ring when write(2) returns. An interval of 10 s
 * keeps the grid out of it; should it come nevertheless, it is counted.
 */
static void publish(unsigned int faults)
{
	uint64_t head = ring_head(&mp3), ticks = mp3.header->ticks;
	char add[16], del[16];
	int size = snprintf(add, sizeof(add), "R,%d", getpid());
	unsigned int i;

	snprintf(del, sizeof(del), "U,%d", getpid());
	madvise(scratch, MAX_FAULTS * PAGE, MADV_DONTNEED);
	if (write(status_fd, add, size) != size)
		err(1, "%s", add);
	for (i = 0; i < faults; i++)
		scratch[i * PAGE] = 1;
	if (write(status_fd, del, size) != size)
		err(1, "%s", del);
	wrong_heads += ring_head(&mp3) != head + 1 + mp3.header->ticks - ticks;
}

static struct mp3_sample entry(uint64_t number)
{
	volatile struct mp3_sample *s = &mp3.samples[number % MP3_SAMPLES];

	return (struct mp3_sample){ s->jiffies, s->min_flt, s->maj_flt,
				    s->cpu_percent };
}

static bool is_gap(uint64_t number)
{
	static const struct mp3_sample empty = { -1, -1, -1, -1 };
	struct mp3_sample got = entry(number);

	return !memcmp(&got, &empty, sizeof(got));
}

/*
 * Publishes entries that differ from their neighbours, records them, and looks
 * at the slot behind each.
 */
static void publish_recorded(unsigned int nr)
{
	uint64_t i = ring_head(&mp3);

	while (nr--) {
		unsigned long faults = i % MAX_FAULTS, sum;
		uint64_t head;

		publish(faults);
		head = ring_head(&mp3);
		if (head > MAX_ENTRIES)
			errx(1, "more entries than this test can record");
		for (sum = 0; i < head; i++) {
			shared->published[i] = entry(i);
			sum += shared->published[i].min_flt;
		}
		__atomic_store_n(&shared->nr_published, head, __ATOMIC_RELEASE);
		wrong_entries += sum != faults;
		wrong_gaps += !is_gap(head);
	}
}

static void all_right(const char *when)
{
	ok(!wrong_heads, "%s: each publication adds one to head", when);
	ok(!wrong_entries, "%s: the newest entry has the faults that were made",
	   when);
	ok(!wrong_gaps, "%s: the slot after the newest entry is -1", when);
	wrong_heads = 0;
	wrong_entries = 0;
	wrong_gaps = 0;
}

/* ---- The header ---- */

static void test_header(void)
{
	volatile struct mp3_header *header = mp3.header;
	const volatile long *words = (volatile long *)mp3.samples;
	size_t i, filled = 0;
	struct timespec tick;
	pid_t child;

	ok_eq(header->magic, MP3_MAGIC, "right after load: magic");
	ok_eq(header->version, MP3_ABI_VERSION, "right after load: version");
	ok_eq(header->entry_size, sizeof(struct mp3_sample),
	      "right after load: entry_size");
	ok_eq(header->capacity, MP3_SAMPLES, "right after load: capacity");
	ok_eq(header->interval_ns, 50000000, "right after load: interval_ns");
	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	ok_eq(header->hz, 1000000000 / tick.tv_nsec,
	      "right after load: hz is that of the coarse clock");
	ok(!header->head && !header->ticks && !header->missed &&
	   !header->cost_ns && !header->dropped && !header->processes,
	   "right after load: all that counts is 0");

	for (i = 0; i < mp3.data_size / sizeof(long); i++)
		filled += words[i] != -1;
	ok_eq(filled, 0, "right after load: all words of the 128 pages are -1");

	set_interval("10000");
	ok_eq(header->interval_ns, 10000000000,
	      "interval_ns follows the parameter");

	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	command('R', getpid());
	ok_eq(header->processes, 1, "processes: one registered");
	command('R', child);
	ok_eq(header->processes, 2, "processes: two registered");
	command('U', getpid());
	ok_eq(header->processes, 1, "processes: one of two unregistered");
	ok_eq(header->head, header->ticks,
	      "head stands still until the last one");
	command('U', child);
	ok_eq(header->processes, 0, "processes: none left");
	ok_eq(header->head, header->ticks + 1,
	      "the last one's sample is in the ring");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/*
 * Jiffies are never early: a sample is never from before its jiffies began. So
 * the moments at which samples are there give, counted back to base_jiffies,
 * the moment of that from above; the soonest of many is next to it.
 */
static bool base_agrees(void)
{
	long long base = mp3.header->base_jiffies, soonest = INT64_MAX, error;
	long long tick = 1000000000 / mp3.header->hz;
	struct timespec now;
	int i;

	for (i = 0; i < 1000; i++) {
		long long at;

		publish(0);
		clock_gettime(CLOCK_MONOTONIC, &now);
		at = now.tv_sec * 1000000000LL + now.tv_nsec - tick *
		     (long long)(entry(ring_head(&mp3) - 1).jiffies - base);
		if (at < soonest)
			soonest = at;
	}
	error = (long long)mp3.header->base_ns - soonest;
	if (llabs(error) > tick)
		diag("base_ns is off by %lld ns", error);

	return llabs(error) <= tick;
}

/* A machine too busy to load it at once spoils one load, but not each. */
static void test_base(void)
{
	bool agrees;
	int i;

	for (i = 0; i < 20; i++) {
		agrees = base_agrees();
		if (agrees)
			break;
		reload();
		set_interval("10000");
	}
	ok(agrees, "base_ns is the moment of base_jiffies, to one clock tick");
}

/* ---- Readers who live by the words alone ---- */

/* From here on entry @first is the oldest that a reader has to meet. */
static void expect_from(uint64_t first)
{
	uint64_t i;

	for (i = first; i < first + MP3_SAMPLES; i++)
		shared->due[i % MP3_SAMPLES] = i;
	for (i = first; i < MAX_ENTRIES; i++)
		shared->printed[i] = (struct mp3_sample){ 0 };
	shared->first = first;
	shared->nr_printed = 0;
	shared->surplus = 0;
	shared->misaligned = 0;
}

/*
 * Keeps what a reader got. Waits until the publisher has recorded it, who could
 * not once it is consumed; false when there is no such entry.
 */
static bool print(size_t slot, const struct mp3_sample *sample)
{
	uint64_t number = shared->due[slot];
	bool publishing;

	do {
		publishing = __atomic_load_n(&shared->publishing,
					     __ATOMIC_ACQUIRE);
		if (number < __atomic_load_n(&shared->nr_published,
					     __ATOMIC_ACQUIRE)) {
			shared->printed[number] = *sample;
			shared->due[slot] += MP3_SAMPLES;
			__atomic_store_n(&shared->nr_printed,
					 shared->nr_printed + 1,
					 __ATOMIC_RELEASE);
			return true;
		}
		sched_yield();
	} while (publishing);

	shared->surplus++;
	return false;
}

/* Each of the entries, the right ones, and nothing else. */
static bool printed_all(void)
{
	uint64_t i, nr = shared->nr_published - shared->first;

	for (i = shared->first; i < shared->nr_published; i++) {
		if (!memcmp(&shared->printed[i], &shared->published[i],
			    sizeof(struct mp3_sample)))
			continue;
		diag("entry %llu: min_flt %lu of %lu, jiffies %lu of %lu",
		     (unsigned long long)i, shared->printed[i].min_flt,
		     shared->published[i].min_flt, shared->printed[i].jiffies,
		     shared->published[i].jiffies);
		return false;
	}
	if (shared->nr_printed != nr || shared->surplus)
		diag("%llu of %llu printed, and %u that there are not",
		     (unsigned long long)shared->nr_printed,
		     (unsigned long long)nr, shared->surplus);
	return shared->nr_printed == nr && !shared->surplus;
}

static long word_acquire(const volatile long *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/*
 * One run of a consumer as the field writes them: scans the longs for the first
 * that is not -1, prints four at a time until the first of them is -1, wraps
 * at the end, stores -1 over what it has read. Returns how many it printed.
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
	 * A scan that meets the very entry that is being written can pass its
	 * first word, the last to come, and find the second. Where nobody
	 * writes this cannot be.
	 */
	shared->misaligned += pos % 4 != 0;
	pos -= pos % 4;

	while (word_acquire(&words[pos]) != -1) {
		for (i = 0; i < 4; i++)
			((long *)&sample)[i] = words[pos + i];
		if (!print(pos / 4, &sample))
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
 * Prints what comes behind the newest entry, and leaves the words alone. Where
 * an entry is, the word behind it is right at once.
 */
static void follow_while_published(volatile long *words)
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
			long behind = word_acquire(&words[4 * next]);
			struct mp3_sample sample = entry(slot);

			sample.jiffies = word;
			if (!print(slot, &sample))
				return;
			slot = next;
			word = behind;
		}
	} while (publishing);
}

/*
 * A process beside the publisher. What the fork has made copy-on-write is
 * copied at once, not by and by: that would be faults in samples.
 */
static pid_t fork_beside(void (*run)(volatile long *))
{
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (!child) {
		run((volatile long *)mp3.samples);
		_exit(0);
	}
	if (mlockall(MCL_CURRENT) || munlockall())
		err(1, "mlockall");

	return child;
}

/* Publishes while a reader reads in a process of its own, never far behind. */
static void publish_beside(void (*reader)(volatile long *), unsigned int nr)
{
	uint64_t first = ring_head(&mp3);
	int patience = 60000, status;
	pid_t child;

	expect_from(first);
	shared->publishing = true;
	child = fork_beside(reader);
	while (nr--) {
		publish_recorded(1);
		while (patience && ring_head(&mp3) - first > MAX_BEHIND +
		       __atomic_load_n(&shared->nr_printed, __ATOMIC_ACQUIRE)) {
			sleep_ms(1);
			patience--;
		}
	}
	__atomic_store_n(&shared->publishing, false, __ATOMIC_RELEASE);
	/* One who has waited so long waits for a reader that is lost. */
	if (!patience)
		kill(child, SIGKILL);
	waitpid(child, &status, 0);
	ok(WIFEXITED(status), "a reader beside the publisher gets to its end");
}

/* Publishes, has all of it consumed, and says whether it was. */
static bool round_trip(unsigned int nr)
{
	expect_from(ring_head(&mp3));
	publish_recorded(nr);
	consume_until_empty((volatile long *)mp3.samples);

	return printed_all() && !shared->misaligned;
}

static void test_words(void)
{
	static const unsigned int rounds[] = { 1, 2, 3, 997, 3000, 1, 4000 };
	size_t i, nr = ARRAY_SIZE(rounds);
	bool all = true;

	for (i = 0; i < nr; i++)
		all = round_trip(rounds[i]) && all;
	ok(ring_head(&mp3) < MP3_SAMPLES && all,
	   "before the wrap: a consumer gets each entry once");

	/* Up to each of the last and first slots, and then by leaps. */
	all = round_trip(MP3_SAMPLES - 6 - ring_head(&mp3));
	for (i = 0; i < 12; i++)
		all = round_trip(1) && all;
	for (i = 0; i < nr; i++)
		all = round_trip(rounds[i]) && all;
	ok(ring_head(&mp3) > MP3_SAMPLES && all,
	   "after the wrap: a consumer gets each entry once");
	all_right("with a consumer");
}

static void test_full(void)
{
	volatile unsigned char *bytes = (volatile unsigned char *)mp3.samples;
	size_t i, spoiled = 0, behind = MP3_SAMPLES * sizeof(struct mp3_sample);

	for (i = behind; i < mp3.data_size; i++)
		bytes[i] = (unsigned char)(i * 7);
	publish_recorded(30000);
	all_right("30,000 entries that nobody consumes");
	for (i = behind; i < mp3.data_size; i++)
		spoiled += bytes[i] != (unsigned char)(i * 7);
	ok_eq(spoiled, 0, "the bytes behind the last slot are never written");

	expect_from(ring_head(&mp3) - (MP3_SAMPLES - 1));
	consume_until_empty((volatile long *)mp3.samples);
	ok(printed_all() && !shared->misaligned,
	   "a consumer of a full ring gets the newest 11999 entries once");
}

static void test_beside(void)
{
	publish_beside(consume_while_published, MP3_SAMPLES + 500);
	ok(printed_all(),
	   "a consumer beside the publisher gets each entry once");

	/* With old entries everywhere only the gap tells it where to stop. */
	publish_recorded(MP3_SAMPLES);
	publish_beside(follow_while_published, MP3_SAMPLES + 500);
	ok(printed_all(),
	   "a follower in a full ring gets each entry once, and no old one");
	all_right("with readers beside");
}

/* ---- Writers ---- */

/* Over all pages: words at random, zeroes, -1, or -1 where an entry begins. */
static void scribble_once(volatile long *words, unsigned int how)
{
	const long begin = how % 4 < 2 ? 0 : -1, other = how % 4 == 2 ? -1 : 0;
	size_t i, nr = mp3.data_size / sizeof(long);
	unsigned long random = how;

	for (i = 0; i < nr; i++) {
		random = random * 6364136223846793005 + 1;
		words[i] = how % 4 ? i % 4 ? other : begin : (long)random;
	}
}

static void scribble(volatile long *words)
{
	unsigned int how;

	for (how = 0; ; how++)
		scribble_once(words, how);
}

static void test_scribbler(void)
{
	struct mp3_header before = *(struct mp3_header *)mp3.header, after;
	pid_t child = fork_beside(scribble);
	unsigned int i, faults;
	int status;

	for (i = 0; i < 20; i++) {
		struct mp3_sample got;

		for (faults = 0; faults < 610; faults++)
			publish(faults % MAX_FAULTS);
		kill(child, SIGSTOP);
		waitpid(child, &status, WUNTRACED);
		/* Not even the next slot is as the kernel has left it. */
		scribble_once((volatile long *)mp3.samples, i);
		publish(5);
		got = entry(ring_head(&mp3) - 1);
		wrong_entries += got.min_flt != 5 || got.maj_flt;
		wrong_gaps += !is_gap(ring_head(&mp3));
		kill(child, SIGCONT);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);

	all_right("who scribbles over the ring");
	after = *(struct mp3_header *)mp3.header;
	ok(ring_head(&mp3) - before.head >= 20 * 611 &&
	   !memcmp(&after, &before, offsetof(struct mp3_header, head)) &&
	   after.base_ns == before.base_ns && !after.processes,
	   "who scribbles over the ring: the header is as it should be");
}

/* Through another process, whose memory ptrace(2) writes by force. */
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

/* Whether each way to write it fails; says which did not. */
static bool is_read_only(volatile struct mp3_header *header)
{
	struct iovec from = { &(uint64_t){ 1 }, sizeof(uint64_t) };
	struct iovec to = { (void *)&header->head, sizeof(uint64_t) };
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct {
		const char *way;
		long ret;
	} tried[] = {
		{ "mprotect", mprotect((void *)header, PAGE,
				       PROT_READ | PROT_WRITE) },
		{ "read into it", read(zero, (void *)header, PAGE) },
		{ "process_vm_writev", process_vm_writev(getpid(), &from, 1,
							 &to, 1, 0) },
		{ "/proc/self/mem", pwrite(mem, from.iov_base, from.iov_len,
					   (uintptr_t)&header->head) },
		{ "ptrace", poke(header) },
	};
	bool all = mem >= 0 && zero >= 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tried); i++) {
		if (tried[i].ret == -1)
			continue;
		diag("%s: %ld", tried[i].way, tried[i].ret);
		all = false;
	}
	close(mem);
	close(zero);

	return all;
}

static void test_header_is_read_only(void)
{
	struct mp3_header before = *(struct mp3_header *)mp3.header, after;
	void *copy = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, mp3.fd,
			  MP3_OFF_HEADER);
	void *other = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, mp3.fd,
			   MP3_OFF_HEADER);

	if (copy == MAP_FAILED || other == MAP_FAILED)
		err(1, "mmap");
	ok(is_read_only(other), "no way to write the header is open");
	ok(is_read_only(copy), "nor through a private mapping of it");
	after = *(struct mp3_header *)mp3.header;
	ok(!memcmp(&before, &after, sizeof(before)),
	   "another mapping sees the header unchanged");
	munmap(copy, PAGE);
	munmap(other, PAGE);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		module = argv[1];
	scratch = mmap(NULL, MAX_FAULTS * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (scratch == MAP_FAILED || shared == MAP_FAILED)
		err(1, "mmap");

	reload();
	test_header();
	test_base();

	reload();
	set_interval("10000");
	test_words();
	test_full();
	test_beside();
	test_scribbler();
	test_header_is_read_only();

	reload();
	return done();
}
