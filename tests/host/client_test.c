// SPDX-License-Identifier: GPL-2.0
/*
 * The rings' reader, against a ring in a file whose writer is this program: it
 * publishes as mp3_uapi.h says. No module is needed.
 */
#include <pthread.h>
#include <sched.h>

#include "../guest/test.h"
#include "../../mp3_client.h"

#define FIRST_JIFFIES	4294892296UL	/* as a kernel begins, at 250 Hz */

/**
 * struct fake - a ring and what its writer knows
 * @fd:	    file with the data and, at MP3_OFF_HEADER, the header
 * @path:   its name for readers
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

/* What entry @number holds: each word says which entry it belongs to. */
static struct mp3_sample fake_sample(__u64 number)
{
	return (struct mp3_sample){
		.jiffies = FIRST_JIFFIES + number,
		.min_flt = number * 3,
		.maj_flt = number ^ 0x5555,
		.cpu_percent = number + 100,
	};
}

/* The first half of publishing: the slots change, the head does not yet. */
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

/* Whether the reader's next entries are @from to @to, and no other is there. */
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

/* Whether opening is refused, and the version that the reader then names. */
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
	      "open: no file");
	fake_open(&fake, 8);
	good = *fake.header;
	fake.header->magic++;
	ok(refused(&fake, 0), "open: another magic");
	*fake.header = good;
	fake.header->version++;
	ok(refused(&fake, MP3_ABI_VERSION + 1), "open: another version, named");
	*fake.header = good;
	fake.header->entry_size *= 2;
	ok(refused(&fake, MP3_ABI_VERSION), "open: another size of entry");
	*fake.header = good;
	fake.header->capacity = 2;
	ok(refused(&fake, MP3_ABI_VERSION), "open: too few slots");
	fake.header->capacity = MP3_DATA_PAGES * (__u32)getpagesize() / 32;
	ok(!mp3_reader_open(&reader, fake.path, false), "open: all pages full");
	mp3_reader_close(&reader);
	fake.header->capacity++;
	ok(refused(&fake, MP3_ABI_VERSION), "open: more slots than pages");
	*fake.header = good;
	fake.header->hz = 0;
	ok(refused(&fake, MP3_ABI_VERSION), "open: no clock tick");
	if (ftruncate(fake.fd, MP3_OFF_HEADER))
		err(1, "ftruncate");
	ok(refused(&fake, 0), "open: a file that ends before the header");
	fake_close(&fake);
}

static void test_read(void)
{
	struct mp3_reader reader, late;
	struct mp3_sample sample;
	struct fake fake;

	fake_open(&fake, 8);
	reader = reader_open(&fake);
	ok(!mp3_reader_next(&reader, &sample), "read: nothing in an empty ring");
	publish(&fake, 5);
	ok(reads(&reader, 0, 4), "read: all in order");
	publish(&fake, 2);
	ok(reads(&reader, 5, 6) && !reader.lost, "read: what is new, once");

	/* Head is 7: the entry behind slot 7 is given up, and that is 0. */
	late = reader_open(&fake);
	ok(reads(&late, 1, 6), "read: from the oldest entry on");
	mp3_reader_close(&late);

	publish(&fake, 6);
	ok(reads(&reader, 7, 12) && !reader.lost,
	   "read: capacity - 2 entries at once, nothing lost");
	publish(&fake, 7);
	ok(reads(&reader, 14, 19) && reader.lost == 1, "read: one more, one lost");
	publish(&fake, 100);
	ok(reads(&reader, 114, 119) && reader.lost == 95,
	   "read: many laps, all lost are counted");

	late = reader_open(&fake);
	overwrite(&fake);
	ok(reads(&late, 114, 119), "read: a writer stopped half-way changes nothing");
	mp3_reader_close(&late);
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
	   "consume: all words of the slot are -1");
	ok(!mp3_reader_consume(&reader, 0, &sample), "consume: only once");
	other = reader_open(&fake);
	ok(reads(&other, 1, 2) && !other.lost,
	   "consume: another reader gets the others, and misses nothing");
	mp3_reader_close(&other);

	/* Entry 1 is read, overwritten by entry 257, and then consumed. */
	mp3_reader_next(&reader, &sample);
	publish(&fake, 255);
	ok(!mp3_reader_consume(&reader, 1, &sample) &&
	   same((struct mp3_sample *)fake_slot(&fake, 1), 257),
	   "consume: not what took its place");
	overwrite(&fake);
	sample = fake_sample(3);
	ok(!mp3_reader_consume(&reader, 3, &sample) &&
	   slot_is(&fake, 3, MP3_EMPTY, MP3_EMPTY), "consume: not the gap");
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
	   "consume: near the writer only the first word");
	mp3_reader_next(&reader, &sample);
	ok(mp3_reader_consume(&reader, 1, &sample) &&
	   slot_is(&fake, 1, MP3_EMPTY, MP3_EMPTY), "consume: all again behind it");
	publish(&fake, 100);
	fake.header->processes = 0;
	mp3_reader_next(&reader, &sample);
	ok(mp3_reader_consume(&reader, reader.next - 1, &sample) &&
	   slot_is(&fake, reader.next - 1, MP3_EMPTY, MP3_EMPTY),
	   "consume: all where nothing is registered");
	mp3_reader_close(&reader);
	fake_close(&fake);
}

/*
 * The simple consumer: no header, the first word that is not -1, four at a
 * time until the first of them is -1. Returns whether that was @from to @to.
 */
static bool simple_reads(const struct fake *fake, __u64 from, __u64 to)
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

static void test_simple(void)
{
	struct mp3_reader reader;
	struct fake fake;

	fake_open(&fake, MP3_SAMPLES);
	publish(&fake, 100);
	reader = reader_open(&fake);
	ok_eq(consume(&reader, 60), 60, "simple: 60 of 100 consumed by ours");
	ok(simple_reads(&fake, 60, 99), "simple: a simple reader gets the rest");
	ok_eq(consume(&reader, 100), 0, "simple: nothing is left to ours");

	publish(&fake, MP3_SAMPLES - 200);
	ok_eq(consume(&reader, MP3_SAMPLES), MP3_SAMPLES - 200,
	      "simple: consumed nearly up to the end");
	publish(&fake, 300);
	ok_eq(consume(&reader, 150), 150, "simple: and beyond it");
	ok(simple_reads(&fake, MP3_SAMPLES + 50, MP3_SAMPLES + 199),
	   "simple: a simple reader gets the rest after the wrap");
	ok(simple_reads(&fake, 1, 0), "simple: and then nothing is left");
	ok_eq(consume(&reader, 100), 0, "simple: to neither");
	ok_eq((long long)reader.lost, 0, "simple: nothing was lost");

	publish(&fake, 2ULL * MP3_SAMPLES);
	ok_eq(consume(&reader, MP3_SAMPLES), MP3_SAMPLES - 2,
	      "simple: a full ring consumed");
	/* By its head the writer may be clearing it: a simple reader is bolder. */
	ok(simple_reads(&fake, fake.head + 1 - MP3_SAMPLES,
			fake.head + 1 - MP3_SAMPLES),
	   "simple: but for the entry that is the next to go");
	mp3_reader_close(&reader);
	fake_close(&fake);
}

#define LAPPED_ENTRIES		500000
#define CONSUMED_ENTRIES	4000000	/* fewer miss a torn copy too often */

/**
 * struct race - what one reader of a race has seen
 * @reader: the reader
 * @end:    the head that ends it, once it is known
 * @count:  entries read; a writer may wait for it
 * @wrong:  those of them that were not what their number says
 */
struct race {
	struct mp3_reader reader;
	__u64 end;
	__u64 count;
	__u64 wrong;
};

static cpu_set_t cpus;	/* what this program may use */

/*
 * Moves a thread to the first or the last CPU. Left to the scheduler, the two
 * of a race often share one and take turns.
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

static void *race(void *arg)
{
	struct race *race = arg;
	struct mp3_reader *reader = &race->reader;
	struct mp3_sample sample;
	unsigned int idle = 0;

	while (reader->next < __atomic_load_n(&race->end, __ATOMIC_ACQUIRE)) {
		if (!mp3_reader_next(reader, &sample)) {
			/* Rarely, to be there when the next one comes. */
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
	if (pthread_create(&thread, NULL, race, arg))
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

/* A writer that laps a reader again and again, now close, now far ahead. */
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
		/* For a machine of one CPU. */
		if (fake.head % 128 == 0)
			sched_yield();
	}
	race_end(&lapped, &fake, thread);
	diag("%llu read, %llu lost", (unsigned long long)lapped.count,
	     (unsigned long long)lapped.reader.lost);
	ok_eq((long long)lapped.wrong, 0, "race: no torn entry is kept");
	ok_eq((long long)(lapped.count + lapped.reader.lost),
	      (long long)fake.head, "race: each entry is read or counted as lost");
	mp3_reader_close(&lapped.reader);
	fake_close(&fake);
}

/* Entries are cleared while another reader copies them. */
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
	diag("%lld consumed, %llu of them read by another before", count,
	     (unsigned long long)other.count);
	ok_eq(count, CONSUMED_ENTRIES,
	      "race: a consumer that keeps up gets every entry");
	ok_eq((long long)other.wrong, 0,
	      "race: no entry is kept that a consumer was clearing");
	mp3_reader_close(&consumer);
	mp3_reader_close(&other.reader);
	fake_close(&fake);
}

/* A ring of records in place of one of samples, of the same slots. */
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

/* No word of it is -1 at any time: nobody goes by the words alone here. */
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
	   "records: their ring is refused as one of samples");
	reader = records_reader(&fake);
	publish_records(&fake, 62);
	ok(reads_records(&reader, 0, 61) && !reader.lost,
	   "records: all in order, capacity - 2 at once");
	publish_records(&fake, 200);
	ok(reads_records(&reader, 200, 261) && reader.lost == 138,
	   "records: what laps is counted as lost");
	late = records_reader(&fake);
	ok(reads_records(&late, 200, 261) && !late.lost,
	   "records: another reader gets the same");
	mp3_reader_close(&late);
	mp3_reader_close(&reader);

	fake.header->capacity = 65;
	reader = records_reader(&fake);
	ok_eq((long long)reader.size, 2LL * getpagesize(),
	      "records: a page begun is mapped");
	mp3_reader_close(&reader);
	fake.header->capacity = most;
	fake.header->head = 0;
	fake.head = 0;
	reader = records_reader(&fake);
	publish_records(&fake, most - 2);
	ok(reads_records(&reader, 0, most - 3), "records: up to the last page");
	mp3_reader_close(&reader);

	fake.header->capacity = MP3_OFF_HEADER / 64 + 1;
	ok(records_refused(&fake), "records: more than a file has before the header");
	fake.header->capacity = 64;
	fake.header->version++;
	ok(records_refused(&fake), "records: another version");
	fake_close(&fake);

	fake_open(&fake, 64);
	ok(records_refused(&fake), "records: a ring of samples is refused");
	fake_close(&fake);
}

static void test_time(void)
{
	struct mp3_sample sample = fake_sample(251);
	struct mp3_reader reader;
	struct fake fake;

	fake_open(&fake, 8);
	reader = reader_open(&fake);
	ok_eq((long long)mp3_reader_time(&reader, &sample), 6004000000,
	      "time: 251 ticks after the base, at 250 Hz");
	/* 90 years of ticks: as a plain product this is beyond 64 bits. */
	sample = fake_sample(250ULL * 86400 * 365 * 90);
	ok_eq((long long)mp3_reader_time(&reader, &sample),
	      86400LL * 365 * 90 * 1000000000 + 5000000000, "time: no overflow");
	mp3_reader_close(&reader);
	fake_close(&fake);
}

int main(void)
{
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		err(1, "sched_getaffinity");
	test_open();
	test_read();
	test_consume();
	test_simple();
	test_records();
	test_time();
	test_writer_race();
	test_consumer_race();

	return done();
}
