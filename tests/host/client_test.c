// SPDX-License-Identifier: GPL-2.0
/*
 * The reader in mp3_client.h, against a ring in a file. This program is the
 * writer and publishes as mp3_uapi.h requires; no module is needed.
 */
#include <pthread.h>
#include <sched.h>
#include <stddef.h>

#include "../guest/test.h"
#include "../../mp3_client.h"

#define FIRST_JIFFIES	4294892296UL	/* of a kernel that boots, at 250 Hz */

/**
 * struct fake - a ring and its writer
 * @fd:	    file with the data and, at MP3_OFF_HEADER, the header
 * @path:   name by which readers open it
 * @data:   slots, mapped
 * @header: header page, mapped
 * @head:   entries published
 */
struct fake {
	int fd;
	char path[32];
	unsigned long *data;
	struct mp3_header *header;
	__u64 head;
};

static void fake_open(struct fake *fake, __u32 capacity)
{
	size_t page = (size_t)getpagesize(), size = MP3_DATA_PAGES * page;

	*fake = (struct fake){ .fd = memfd_create("ring", MFD_CLOEXEC) };
	if (fake->fd < 0 || ftruncate(fake->fd, (off_t)(MP3_OFF_HEADER + page)))
		err(1, "memfd");
	snprintf(fake->path, sizeof(fake->path), "/proc/self/fd/%d", fake->fd);
	fake->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  fake->fd, 0);
	fake->header = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED,
			    fake->fd, MP3_OFF_HEADER);
	if (fake->data == MAP_FAILED || fake->header == MAP_FAILED)
		err(1, "mmap");
	memset(fake->data, 0xff, size);
	*fake->header = (struct mp3_header){
		.magic = MP3_MAGIC,
		.version = MP3_ABI_VERSION,
		.entry_size = sizeof(struct mp3_sample),
		.capacity = capacity,
		.hz = 250,
		.base_ns = 5000000000,
		.base_jiffies = FIRST_JIFFIES,
	};
}

static void fake_close(struct fake *fake)
{
	munmap(fake->data, MP3_DATA_PAGES * (size_t)getpagesize());
	munmap(fake->header, (size_t)getpagesize());
	close(fake->fd);
}

static unsigned long *fake_slot(const struct fake *fake, __u64 number)
{
	return fake->data + number % fake->header->capacity * MP3_WORDS;
}

/* Returns the contents of an entry: each word depends on the number. */
static struct mp3_sample fake_sample(__u64 number)
{
	return (struct mp3_sample){
		.jiffies = FIRST_JIFFIES + number,
		.min_flt = number * 3,
		.maj_flt = number ^ 0x5555,
		.cpu_percent = number + 100,
	};
}

/* The first half of publishing: changes the slots, but not yet the head. */
static void overwrite(struct fake *fake)
{
	unsigned long *gap = fake_slot(fake, fake->head + 1);
	unsigned long *slot = fake_slot(fake, fake->head);
	struct mp3_sample sample = fake_sample(fake->head);
	const unsigned long *words = (unsigned long *)&sample;
	unsigned int i;

	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (i = 0; i < MP3_WORDS; i++)
		__atomic_store_n(&gap[i], MP3_EMPTY, __ATOMIC_RELAXED);
	for (i = 1; i < MP3_WORDS; i++)
		__atomic_store_n(&slot[i], words[i], __ATOMIC_RELAXED);
	__atomic_store_n(&slot[0], words[0], __ATOMIC_RELEASE);
}

static void publish(struct fake *fake, __u64 nr)
{
	while (nr--) {
		overwrite(fake);
		__atomic_store_n(&fake->header->head, ++fake->head,
				 __ATOMIC_RELEASE);
	}
}

static struct mp3_reader reader_open(const struct fake *fake)
{
	struct mp3_reader reader;
	int error = mp3_reader_open(&reader, fake->path, true);

	if (error)
		errx(1, "%s: %s", fake->path, mp3_strerror(error));
	return reader;
}

static bool same(const struct mp3_sample *sample, __u64 number)
{
	struct mp3_sample expected = fake_sample(number);

	return !memcmp(sample, &expected, sizeof(expected));
}

/* Returns whether the next entries are @from to @to, and no others follow. */
static bool reads(struct mp3_reader *reader, __u64 from, __u64 to)
{
	struct mp3_sample sample;

	for (; from <= to; from++)
		if (!mp3_reader_next(reader, &sample) ||
		    reader->next - 1 != from || !same(&sample, from))
			return false;
	return !mp3_reader_next(reader, &sample);
}

static bool slot_is(const struct fake *fake, __u64 number, unsigned long word0,
		    unsigned long others)
{
	const unsigned long *slot = fake_slot(fake, number);

	return slot[0] == word0 && slot[1] == others && slot[2] == others &&
	       slot[3] == others;
}

/* Returns whether opening is refused, and @version is reported. */
static bool refused(const struct fake *fake, __u32 version)
{
	struct mp3_reader reader;

	return mp3_reader_open(&reader, fake->path, false) == -EPROTO &&
	       reader.version == version;
}

static void test_open(void)
{
	struct mp3_reader reader;
	struct mp3_header good;
	struct fake fake;

	ok_eq(mp3_reader_open(&reader, "/nonexistent", false), -ENOENT,
	      "opening a file that does not exist returns ENOENT");
	ok_eq(mp3_reader_open(&reader, "/dev/ptmx", false), -EPROTO,
	      "a device that cannot be mapped is refused as no ring");
	fake_open(&fake, 8);
	good = *fake.header;
	fake.header->magic++;
	ok(refused(&fake, 0), "a ring with another magic is refused");
	*fake.header = good;
	fake.header->version++;
	ok(refused(&fake, MP3_ABI_VERSION + 1),
	   "a ring of another ABI version is refused, and the version reported");
	fake.header->version = 1;
	ok(refused(&fake, 1), "a ring of ABI version 1 is refused");
	*fake.header = good;
	fake.header->entry_size *= 2;
	ok(refused(&fake, MP3_ABI_VERSION),
	   "a ring with entries of another size is refused");
	*fake.header = good;
	fake.header->capacity = 2;
	ok(refused(&fake, MP3_ABI_VERSION),
	   "a ring with too few slots is refused");
	fake.header->capacity = MP3_DATA_PAGES * (__u32)getpagesize() / 32;
	ok(!mp3_reader_open(&reader, fake.path, false),
	   "a ring whose slots fill all pages is accepted");
	mp3_reader_close(&reader);
	fake.header->capacity++;
	ok(refused(&fake, MP3_ABI_VERSION),
	   "a ring with more slots than its pages hold is refused");
	*fake.header = good;
	fake.header->hz = 0;
	ok(refused(&fake, MP3_ABI_VERSION),
	   "a ring with 0 clock ticks per second is refused");
	if (ftruncate(fake.fd, MP3_OFF_HEADER))
		err(1, "ftruncate");
	ok(refused(&fake, 0), "a file that ends before the header is refused");
	fake_close(&fake);
}

static void test_read(void)
{
	struct mp3_reader reader, late;
	struct mp3_sample sample;
	struct fake fake;

	fake_open(&fake, 8);
	reader = reader_open(&fake);
	ok(!mp3_reader_next(&reader, &sample),
	   "a reader finds nothing in an empty ring");
	publish(&fake, 5);
	ok(reads(&reader, 0, 4), "a reader gets all entries in order");
	publish(&fake, 2);
	ok(reads(&reader, 5, 6) && !reader.lost,
	   "a reader gets each new entry once");

	/* Head is 7: slot 7 is next, and the entry after it, 0, is given up. */
	late = reader_open(&fake);
	ok(reads(&late, 1, 6), "a new reader starts at the oldest entry");
	mp3_reader_close(&late);

	publish(&fake, 6);
	ok(reads(&reader, 7, 12) && !reader.lost,
	   "a reader that is capacity - 2 entries late loses nothing");
	publish(&fake, 7);
	ok(reads(&reader, 14, 19) && reader.lost == 1,
	   "a reader that is capacity - 1 entries late loses one");
	publish(&fake, 100);
	ok(reads(&reader, 114, 119) && reader.lost == 95,
	   "a reader that is many laps late counts all lost entries");

	late = reader_open(&fake);
	overwrite(&fake);
	ok(reads(&late, 114, 119),
	   "a reader gets all entries while the writer is in the middle of one");
	mp3_reader_close(&late);

	/* Slots 6 and 7 of one lap, and 0 to 3 of the next one. */
	publish(&fake, 4);
	ok(reads(&reader, 120, 123), "a reader gets the entries of a new lap");
	reader.next = 118;
	ok(reads(&reader, 118, 123) && reader.lost == 95,
	   "a reader that is moved back gets the same entries again");
	mp3_reader_close(&reader);
	fake_close(&fake);
}

static void test_consume(void)
{
	struct mp3_reader reader, other;
	struct mp3_sample sample;
	struct fake fake;

	fake_open(&fake, 256);
	publish(&fake, 3);
	reader = reader_open(&fake);
	mp3_reader_next(&reader, &sample);
	ok(mp3_reader_consume(&reader, 0, &sample) &&
	   slot_is(&fake, 0, MP3_EMPTY, MP3_EMPTY),
	   "consuming an entry sets all its words to -1");
	ok(!mp3_reader_consume(&reader, 0, &sample),
	   "an entry can be consumed only once");
	other = reader_open(&fake);
	ok(reads(&other, 1, 2) && !other.lost,
	   "a consumed entry does not count as lost for another reader");
	mp3_reader_close(&other);

	/* Entry 1 is read, then overwritten by entry 257, then consumed. */
	mp3_reader_next(&reader, &sample);
	publish(&fake, 255);
	ok(!mp3_reader_consume(&reader, 1, &sample) &&
	   same((struct mp3_sample *)fake_slot(&fake, 1), 257),
	   "consuming an overwritten entry leaves the new one alone");
	overwrite(&fake);
	sample = fake_sample(3);
	ok(!mp3_reader_consume(&reader, 3, &sample) &&
	   slot_is(&fake, 3, MP3_EMPTY, MP3_EMPTY),
	   "consuming an entry that was just cleared does nothing");
	mp3_reader_close(&reader);
	fake_close(&fake);

	fake_open(&fake, 256);
	fake.header->processes = 1;
	publish(&fake, 256 - MP3_CLEAR_DISTANCE);
	reader = reader_open(&fake);
	memset(fake_slot(&fake, 0) + 1, 0x11, 3 * sizeof(long));
	mp3_reader_next(&reader, &sample);
	ok(mp3_reader_consume(&reader, 0, &sample) &&
	   slot_is(&fake, 0, MP3_EMPTY, 0x1111111111111111),
	   "consuming an entry near the writer clears only its first word");
	mp3_reader_next(&reader, &sample);
	ok(mp3_reader_consume(&reader, 1, &sample) &&
	   slot_is(&fake, 1, MP3_EMPTY, MP3_EMPTY),
	   "consuming an entry far from the writer clears all its words");
	publish(&fake, 100);
	fake.header->processes = 0;
	mp3_reader_next(&reader, &sample);
	ok(mp3_reader_consume(&reader, reader.next - 1, &sample) &&
	   slot_is(&fake, reader.next - 1, MP3_EMPTY, MP3_EMPTY),
	   "consuming clears all words if nothing is registered");
	mp3_reader_close(&reader);
	fake_close(&fake);
}

/*
 * The classic consumer, which does not use the header: searches for the first
 * word that is not -1, and consumes four words at a time until the first of them
 * is -1. Returns whether these were the entries @from to @to.
 */
static bool classic_reads(const struct fake *fake, __u64 from, __u64 to)
{
	unsigned long *data = fake->data, words = 4UL * MP3_SAMPLES, at = 0;

	while (at < words && data[at] == MP3_EMPTY)
		at++;
	if (at == words)
		return from > to;
	for (; data[at] != MP3_EMPTY; at = (at + 4) % words) {
		if (from > to || !same((struct mp3_sample *)(data + at), from++))
			return false;
		memset(data + at, 0xff, 4 * sizeof(*data));
	}
	return from == to + 1;
}

/* Consumes up to @max entries. Returns how many, or 0 if one is wrong. */
static long long consume(struct mp3_reader *reader, long long max)
{
	struct mp3_sample sample;
	long long count = 0;

	while (count < max && mp3_reader_next(reader, &sample)) {
		count++;
		if (!same(&sample, reader->next - 1) ||
		    !mp3_reader_consume(reader, reader->next - 1, &sample))
			return 0;
	}
	return count;
}

static void test_classic(void)
{
	struct mp3_reader reader;
	struct fake fake;

	fake_open(&fake, MP3_SAMPLES);
	publish(&fake, 100);
	reader = reader_open(&fake);
	ok_eq(consume(&reader, 60), 60,
	      "mp3_reader_consume() takes 60 of 100 entries");
	ok(classic_reads(&fake, 60, 99),
	   "a classic consumer gets the entries that mp3_reader_consume() has left");
	ok_eq(consume(&reader, 100), 0,
	      "mp3_reader_consume() finds nothing after a classic consumer");

	publish(&fake, MP3_SAMPLES - 200);
	ok_eq(consume(&reader, MP3_SAMPLES), MP3_SAMPLES - 200,
	      "mp3_reader_consume() takes the entries up to the end of the ring");
	publish(&fake, 300);
	ok_eq(consume(&reader, 150), 150,
	      "mp3_reader_consume() takes entries across the end of the ring");
	ok(classic_reads(&fake, MP3_SAMPLES + 50, MP3_SAMPLES + 199),
	   "a classic consumer gets the entries after the wrap");
	ok(classic_reads(&fake, 1, 0),
	   "a classic consumer finds nothing in an emptied ring");
	ok_eq(consume(&reader, 100), 0,
	      "mp3_reader_consume() finds nothing in an emptied ring");
	ok_eq((long long)reader.lost, 0,
	      "entries that a classic consumer took do not count as lost");

	publish(&fake, 2ULL * MP3_SAMPLES);
	ok_eq(consume(&reader, MP3_SAMPLES), MP3_SAMPLES - 2,
	      "mp3_reader_consume() takes all but two entries of a full ring");
	/* The writer may be clearing it; a classic consumer does not check. */
	ok(classic_reads(&fake, fake.head + 1 - MP3_SAMPLES,
			 fake.head + 1 - MP3_SAMPLES),
	   "a classic consumer takes the entry that is overwritten next");
	mp3_reader_close(&reader);
	fake_close(&fake);
}

#define LAPPED_ENTRIES		500000
#define CONSUMED_ENTRIES	4000000	/* with fewer, a torn copy may not occur */

/**
 * struct race - a reader that races with the writer
 * @reader: the reader
 * @end:    it stops at this head
 * @count:  entries read; a writer may wait for it
 * @wrong:  entries whose contents did not match their number
 */
struct race {
	struct mp3_reader reader;
	__u64 end;
	__u64 count;
	__u64 wrong;
};

static cpu_set_t cpus;	/* the CPUs that this program may use */

/*
 * Moves a thread to the first or the last CPU. The scheduler often lets the two
 * threads of a race take turns on one CPU.
 */
static void move_to_cpu(pthread_t thread, bool last)
{
	int cpu, found = -1;
	cpu_set_t one;

	for (cpu = 0; cpu < CPU_SETSIZE && (last || found < 0); cpu++)
		if (CPU_ISSET(cpu, &cpus))
			found = cpu;
	CPU_ZERO(&one);
	CPU_SET(found, &one);
	pthread_setaffinity_np(thread, sizeof(one), &one);
}

static void *race_run(void *arg)
{
	struct race *race = arg;
	struct mp3_reader *reader = &race->reader;
	struct mp3_sample sample;
	unsigned int idle = 0;

	while (reader->next < __atomic_load_n(&race->end, __ATOMIC_ACQUIRE)) {
		if (!mp3_reader_next(reader, &sample)) {
			/* Rarely, so as not to miss the next one. */
			if (++idle % 256 == 0)
				sched_yield();
			continue;
		}
		race->wrong += !same(&sample, reader->next - 1);
		__atomic_store_n(&race->count, race->count + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static pthread_t race_start(struct race *arg, const struct fake *fake)
{
	pthread_t thread;

	arg->reader = reader_open(fake);
	arg->end = ~0ULL;
	if (pthread_create(&thread, NULL, race_run, arg))
		errx(1, "pthread_create");
	move_to_cpu(pthread_self(), false);
	move_to_cpu(thread, true);
	return thread;
}

static void race_end(struct race *race, const struct fake *fake,
		     pthread_t thread)
{
	__atomic_store_n(&race->end, fake->head, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

static __u64 race_count(const struct race *race)
{
	return __atomic_load_n(&race->count, __ATOMIC_ACQUIRE);
}

/* The writer laps the reader repeatedly, at various distances. */
static void test_writer_race(void)
{
	struct race lapped = {};
	unsigned int pause;
	pthread_t thread;
	struct fake fake;

	fake_open(&fake, 16);
	thread = race_start(&lapped, &fake);
	while (race_count(&lapped) < LAPPED_ENTRIES) {
		publish(&fake, 1 + fake.head % 7);
		for (pause = fake.head % 251; pause; pause--)
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
		/* For a machine with one CPU. */
		if (fake.head % 128 == 0)
			sched_yield();
	}
	race_end(&lapped, &fake, thread);
	diag("%llu read, %llu lost", (unsigned long long)lapped.count,
	     (unsigned long long)lapped.reader.lost);
	ok_eq((long long)lapped.wrong, 0,
	      "a reader that races with the writer keeps no torn entry");
	ok_eq((long long)(lapped.count + lapped.reader.lost),
	      (long long)fake.head,
	   "a reader that races with the writer reads or counts each entry");
	mp3_reader_close(&lapped.reader);
	fake_close(&fake);
}

/* One reader clears entries while another one copies them. */
static void test_consumer_race(void)
{
	struct mp3_reader consumer;
	struct race other = {};
	pthread_t thread;
	long long count = 0;
	struct fake fake;

	fake_open(&fake, 256);
	consumer = reader_open(&fake);
	thread = race_start(&other, &fake);
	while (fake.head < CONSUMED_ENTRIES) {
		publish(&fake, 8);
		count += consume(&consumer, 8);
	}
	race_end(&other, &fake, thread);
	diag("%lld consumed, %llu of them read by another reader before", count,
	     (unsigned long long)other.count);
	ok_eq(count, CONSUMED_ENTRIES,
	      "a consumer that keeps up gets every entry");
	ok_eq((long long)other.wrong, 0,
	      "a reader that races with a consumer keeps no torn entry");
	mp3_reader_close(&consumer);
	mp3_reader_close(&other.reader);
	fake_close(&fake);
}

/* Opens a ring of records. */
static void records_open(struct fake *fake, __u32 capacity)
{
	fake_open(fake, capacity);
	fake->header->entry_size = sizeof(struct mp3_record);
}

static struct mp3_record fake_record(__u64 number)
{
	struct mp3_record record = {
		.time_ns = 1000 + number,
		.pid = (__u32)(number * 7),
		.flags = number % 4,
		.min_flt = number * 3,
		.maj_flt = number ^ 0x5555,
		.cpu_ns = number << 20,
		.rss_bytes = number + 4096,
	};

	snprintf(record.comm, sizeof(record.comm), "%llu",
		 (unsigned long long)number);
	return record;
}

/* Publishes records. There are no words of -1: all readers use the header. */
static void publish_records(struct fake *fake, __u64 nr)
{
	while (nr--) {
		struct mp3_record record = fake_record(fake->head);
		unsigned long words[MP3_RECORD_WORDS];
		unsigned long *slot = fake->data + MP3_RECORD_WORDS *
			(fake->head % fake->header->capacity);

		memcpy(words, &record, sizeof(words));
		__atomic_thread_fence(__ATOMIC_RELEASE);
		for (unsigned int i = 0; i < MP3_RECORD_WORDS; i++)
			__atomic_store_n(&slot[i], words[i], __ATOMIC_RELAXED);
		__atomic_store_n(&fake->header->head, ++fake->head,
				 __ATOMIC_RELEASE);
	}
}

static struct mp3_reader records_reader(const struct fake *fake)
{
	struct mp3_reader reader;
	int error = mp3_reader_open_records(&reader, fake->path);

	if (error)
		errx(1, "%s: %s", fake->path, mp3_strerror(error));
	return reader;
}

static bool reads_records(struct mp3_reader *reader, __u64 from, __u64 to)
{
	struct mp3_record record, expected;

	for (; from <= to; from++) {
		expected = fake_record(from);
		if (!mp3_reader_next_record(reader, &record) ||
		    reader->next - 1 != from ||
		    memcmp(&record, &expected, sizeof(record)))
			return false;
	}
	return !mp3_reader_next_record(reader, &record);
}

static bool records_refused(const struct fake *fake)
{
	struct mp3_reader reader;

	return mp3_reader_open_records(&reader, fake->path) == -EPROTO;
}

static void test_records(void)
{
	__u32 most = MP3_DATA_PAGES * (__u32)getpagesize() / 64;
	struct mp3_reader reader, late;
	struct fake fake;

	records_open(&fake, 64);
	ok(refused(&fake, MP3_ABI_VERSION),
	   "a ring of records is refused as a ring of samples");
	reader = records_reader(&fake);
	publish_records(&fake, 62);
	ok(reads_records(&reader, 0, 61) && !reader.lost,
	   "a reader of records gets capacity - 2 entries in order");
	publish_records(&fake, 200);
	ok(reads_records(&reader, 200, 261) && reader.lost == 138,
	   "a reader of records counts overwritten entries as lost");
	late = records_reader(&fake);
	ok(reads_records(&late, 200, 261) && !late.lost,
	   "a second reader of records gets the same entries");
	mp3_reader_close(&late);
	mp3_reader_close(&reader);

	fake.header->capacity = 65;
	reader = records_reader(&fake);
	ok_eq((long long)reader.size, 2LL * getpagesize(),
	      "a ring of records is mapped to the end of its last page");
	mp3_reader_close(&reader);
	fake.header->capacity = most;
	fake.header->head = 0;
	fake.head = 0;
	reader = records_reader(&fake);
	publish_records(&fake, most - 2);
	ok(reads_records(&reader, 0, most - 3),
	   "a reader of records reads up to the last page");
	mp3_reader_close(&reader);

	fake.header->capacity = MP3_OFF_HEADER / 64 + 1;
	ok(records_refused(&fake),
	   "a ring of records that overlaps the header is refused");
	fake.header->capacity = 64;
	fake.header->version++;
	ok(records_refused(&fake),
	   "a ring of records of another ABI version is refused");
	fake_close(&fake);

	fake_open(&fake, 64);
	ok(records_refused(&fake),
	   "a ring of samples is refused as a ring of records");
	fake_close(&fake);
}

/* The layout of ABI version 2: offsets that programs have compiled in */
static void test_layout(void)
{
	ok(sizeof(struct mp3_header) == 112 &&
	   offsetof(struct mp3_header, head) == 16 &&
	   offsetof(struct mp3_header, dropped) == 56 &&
	   offsetof(struct mp3_header, processes) == 84 &&
	   offsetof(struct mp3_header, denied) == 88 &&
	   offsetof(struct mp3_header, located) == 104,
	   "the header has the layout of ABI version 2");
	ok(sizeof(struct mp3_record) == 64 &&
	   offsetof(struct mp3_record, min_flt) == 16 &&
	   offsetof(struct mp3_record, ppid) == 16 &&
	   offsetof(struct mp3_record, uid) == 20 &&
	   offsetof(struct mp3_record, start_ns) == 24 &&
	   offsetof(struct mp3_record, cgroup_id) == 32 &&
	   offsetof(struct mp3_record, comm) == 48,
	   "counts and identities have the layout of ABI version 2");
}

static void test_identity(void)
{
	struct mp3_record record, identity = {
		.time_ns = 1000,
		.pid = 4242,
		.flags = MP3_IDENTITY,
		.ppid = 4241,
		.uid = 1000,
		.start_ns = ~0ULL,
		.cgroup_id = ~0ULL - 1,
		.comm = "child",
	};
	struct mp3_reader reader;
	struct fake fake;

	records_open(&fake, 64);
	publish_records(&fake, 1);
	memcpy(fake.data + MP3_RECORD_WORDS, &identity, sizeof(identity));
	__atomic_store_n(&fake.header->head, ++fake.head, __ATOMIC_RELEASE);
	publish_records(&fake, 1);
	reader = records_reader(&fake);
	ok(mp3_reader_next_record(&reader, &record) && record.pid == 0 &&
	   mp3_reader_next_record(&reader, &record) &&
	   !memcmp(&record, &identity, sizeof(record)) &&
	   reads_records(&reader, 2, 2),
	   "a reader of records gets an identity in its place, unchanged");
	mp3_reader_close(&reader);
	fake_close(&fake);
}

/* Returns whether a command to a capture is this line, in one write. */
static bool writes(const char *line,
		   int (*write_command)(const struct mp3_reader *, pid_t))
{
	struct mp3_reader capture = {};
	char text[64] = "";
	int fds[2];
	bool same;

	if (pipe2(fds, O_CLOEXEC | O_DIRECT))
		err(1, "pipe");
	capture.fd = fds[1];
	same = write_command(&capture, 4242) == 0 &&
	       read(fds[0], text, sizeof(text) - 1) == (ssize_t)strlen(line) &&
	       !strcmp(text, line);
	close(fds[0]);
	close(fds[1]);

	return same;
}

static void test_capture(void)
{
	struct mp3_reader closed = { .fd = -1 };

	ok(writes("R,4242\n", mp3_capture_register) &&
	   writes("F,4242\n", mp3_capture_follow) &&
	   writes("U,4242\n", mp3_capture_unregister),
	   "the functions of a capture write R, F and U to it");
	ok_eq(mp3_capture_register(&closed, 4242), -EBADF,
	      "registering in a closed capture returns EBADF");
	mp3_capture_close(&closed);
	mp3_capture_close(&closed);
	ok(closed.fd == -1, "closing a capture twice has no effect");
	ok(strstr(mp3_strerror(-EMFILE), "captures of this user (8)") &&
	   strstr(mp3_strerror(-EBUSY), "No capture is left"),
	   "mp3_strerror() names the limits of captures");
	ok(strstr(mp3_strerror(-EPROTO), "version"),
	   "mp3_strerror() names the version as a cause of EPROTO");
	ok(strstr(mp3_strerror(-EPERM), "ptrace read access") &&
	   strstr(mp3_strerror(-EPERM), "CAP_PERFMON"),
	   "mp3_strerror() names both causes of EPERM");
}

static void test_time(void)
{
	struct mp3_sample sample = fake_sample(251);
	struct mp3_reader reader;
	struct fake fake;

	fake_open(&fake, 8);
	reader = reader_open(&fake);
	ok_eq((long long)mp3_reader_time(&reader, &sample), 6004000000,
	      "mp3_reader_time() converts 251 ticks at 250 Hz");
	/* 90 years of ticks: their product with 10^9 needs more than 64 bits. */
	sample = fake_sample(250ULL * 86400 * 365 * 90);
	ok_eq((long long)mp3_reader_time(&reader, &sample),
	      86400LL * 365 * 90 * 1000000000 + 5000000000,
	   "mp3_reader_time() does not overflow after 90 years");
	mp3_reader_close(&reader);
	fake_close(&fake);
}

/* ---- Faults ---- */

/* A slot that its writer completes when the reader looks at the count of ticks */
static struct mp3_fault late;
static void *late_page;

static void complete_late(int number)
{
	(void)number;
	late.stall_ns = 5;
	__atomic_store_n(&late.seq, 1, __ATOMIC_RELEASE);
	mprotect(late_page, (size_t)getpagesize(), PROT_READ);
}

static void test_late_fault(void)
{
	size_t page = (size_t)getpagesize();
	struct sigaction action = { .sa_handler = complete_late }, old;
	struct mp3_faults faults = { .data = &late, .capacity = 1 };
	struct mp3_header *header;
	struct mp3_fault fault;
	char *map;

	/* The ticks are in the page after that of the head. */
	map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		err(1, "mmap");
	late_page = map + page;
	header = (void *)(map + page - offsetof(struct mp3_header, ticks));
	header->head = 1;
	faults.header = header;
	sigaction(SIGSEGV, &action, &old);
	if (mprotect(late_page, page, PROT_NONE))
		err(1, "mprotect");
	ok(mp3_faults_next(&faults, &fault) == 1 && fault.stall_ns == 5 &&
	   !faults.lost && faults.next == 1,
	   "a fault that is completed while the reader gives it up is not lost");
	sigaction(SIGSEGV, &old, NULL);
	munmap(map, 2 * page);
}

int main(void)
{
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		err(1, "sched_getaffinity");
	test_open();
	test_read();
	test_consume();
	test_classic();
	test_records();
	test_layout();
	test_identity();
	test_capture();
	test_time();
	test_late_fault();
	test_writer_race();
	test_consumer_race();

	return done();
}
