// SPDX-License-Identifier: GPL-2.0
/*
 * Recordings as mp3_client.h opens them, like rings: whole, truncated, broken.
 */
#include "../../tools/recording.c"
#include "../guest/test.h"

#define SECOND 1000000000ULL

/* The start of the recording, and the load of the module, at 250 Hz */
#define START_NS (100 * SECOND)
#define BASE_NS (10 * SECOND + 500)
#define BASE_JIFFIES 4294892296ULL

#define NR_RECORDS 7

static const char info[] =
	"hz=250\n"
	"command=sh -c \\xff\n"
	"interval_ns=50000000\n"
	"start_ns=100000000000\n"
	"base_ns=10000000500\n"
	"base_jiffies=4294892296\n";

static const struct mp3_record records[NR_RECORDS] = {
	{ .time_ns = START_NS, .pid = 7, .flags = MP3_IDENTITY, .ppid = 1,
	  .uid = 1000, .start_ns = START_NS, .comm = "sh" },
	{ .time_ns = START_NS, .pid = 7, .flags = MP3_FIRST, .comm = "sh" },
	/* One tick: half a CPU of the interval, then of the longer time */
	{ .time_ns = START_NS + 50000000, .pid = 7, .min_flt = 100, .maj_flt = 1,
	  .cpu_ns = 20000000, .comm = "sh" },
	{ .time_ns = START_NS + 50000000, .pid = 8, .flags = MP3_IDENTITY,
	  .ppid = 7, .start_ns = START_NS, .comm = "sort" },
	{ .time_ns = START_NS + 50000000, .pid = 8, .min_flt = 50, .maj_flt = 2,
	  .cpu_ns = 5000000, .comm = "sort" },
	{ .time_ns = START_NS + SECOND, .pid = 8, .flags = MP3_LAST,
	  .min_flt = 3, .cpu_ns = 475000000, .comm = "sort" },
	/* A registration between two ticks: relative to the interval */
	{ .time_ns = START_NS + SECOND + 1000000, .pid = 7, .min_flt = 1,
	  .cpu_ns = 1000000, .comm = "sh" },
};

static const struct mp3_recording_totals totals = {
	.end_ns = START_NS + 2 * SECOND,
	.counted = 30,
	.located = 20,
	.lost_records = 5,
	.dropped = 6,
	.denied = 7,
	.running = 8,
	.flags = MP3_RECORDING_COMPLETE,
};

/* ---- A file in memory ---- */

static int file_fd;
static char file_path[32];
static struct recording file;

static void file_begin(void)
{
	if (!recording_create(&file, file_path))
		exit(1);
}

static void file_add(__u32 type, const void *data, size_t bytes)
{
	if (!recording_write(&file, type, data, bytes))
		exit(1);
}

/* Writes the recording. Returns its size. */
static off_t file_write(void)
{
	file_begin();
	file_add(MP3_RECORDING_INFO, info, strlen(info));
	file_add(MP3_RECORDING_RECORDS, records, 2 * sizeof(*records));
	file_add(MP3_RECORDING_TOTALS, &(struct mp3_recording_totals){}, 48);
	file_add(1000, "unknown", 7);
	file_add(MP3_RECORDING_RECORDS, records + 2, 5 * sizeof(*records));
	file_add(MP3_RECORDING_TOTALS, &totals, sizeof(totals));
	recording_close(&file);

	return file.end;
}

static void file_patch(const void *data, size_t size, off_t at)
{
	if (pwrite(file_fd, data, size, at) != (ssize_t)size)
		err(1, "pwrite");
}

/* Returns the result of opening the file as records; closes it. */
static int file_open(void)
{
	struct mp3_reader reader;
	int error = mp3_reader_open_records(&reader, file_path);

	mp3_reader_close(&reader);
	return error;
}

/* ---- Whole recordings ---- */

static void test_records(void)
{
	const struct mp3_header *header;
	struct mp3_reader reader;
	struct mp3_record record;
	unsigned int i, same = 0;

	file_write();
	if (mp3_reader_open_records(&reader, file_path))
		errx(1, "%s", file_path);
	header = reader.header;
	ok(header->magic == MP3_MAGIC && header->version == MP3_ABI_VERSION &&
	   header->entry_size == sizeof(struct mp3_record) &&
	   header->hz == 250 && header->interval_ns == 50000000 &&
	   header->base_ns == BASE_NS && header->base_jiffies == BASE_JIFFIES,
	   "the header of a recording has what its text contains");
	ok(header->head == NR_RECORDS && !header->processes &&
	   header->dropped == 6 && header->denied == 7 &&
	   header->counted == 30 && header->located == 20 && reader.lost == 5,
	   "the header of a recording has the newest totals");
	ok(!reader.next && header->capacity == reader.capacity &&
	   reader.version == MP3_ABI_VERSION && reader.fd == -1,
	   "a reader of a recording starts at its first record, without a file");
	for (i = 0; i < NR_RECORDS; i++)
		same += mp3_reader_next_record(&reader, &record) == 1 &&
			reader.next == i + 1 &&
			!memcmp(&record, &records[i], sizeof(record));
	ok(same == NR_RECORDS && !mp3_reader_next_record(&reader, &record) &&
	   reader.lost == 5,
	   "a reader of a recording gets each record unchanged, in order");
	ok(!mp3_reader_wait(&reader, -1),
	   "waiting for a recording returns 0 at once");
	reader.next = 2;
	ok(mp3_reader_next_record(&reader, &record) && record.min_flt == 100,
	   "a reader of a recording can go back");
	mp3_reader_close(&reader);
	mp3_reader_close(&reader);
	ok(!reader.header && !reader.data,
	   "closing a reader of a recording twice has no effect");
}

static void test_samples(void)
{
	static const struct {
		__u64 time_ns;
		unsigned long min_flt, maj_flt, cpu_percent;
	} expected[] = {
		{ START_NS, 0, 0, 0 },
		{ START_NS + 50000000, 150, 3, 50 },
		{ START_NS + SECOND, 3, 0, 50 },
		{ START_NS + SECOND + 1000000, 1, 0, 2 },
	};
	struct mp3_reader reader;
	struct mp3_sample sample;
	unsigned int i, same = 0;
	__u64 age_ns;

	file_write();
	if (mp3_reader_open(&reader, file_path, true))
		errx(1, "%s", file_path);
	ok(reader.header->head == 4 && reader.lost == 5 &&
	   reader.header->entry_size == sizeof(struct mp3_sample),
	   "a recording has a sample for each time of its counts");
	for (i = 0; i < 4; i++) {
		if (!mp3_reader_next(&reader, &sample))
			break;
		age_ns = expected[i].time_ns - mp3_reader_time(&reader, &sample);
		same += sample.min_flt == expected[i].min_flt &&
			sample.maj_flt == expected[i].maj_flt &&
			sample.cpu_percent == expected[i].cpu_percent &&
			age_ns < SECOND / 250;
	}
	ok(same == 4, "a sample of a recording is the sum of the records of its tick");
	ok(!mp3_reader_next(&reader, &sample) && !mp3_reader_wait(&reader, -1),
	   "a recording has no sample after its last one");
	ok(mp3_reader_consume(&reader, 3, &(struct mp3_sample){
		.jiffies = sample.jiffies }),
	   "a sample of a recording can be consumed in memory");
	mp3_reader_close(&reader);
}

/* Without the load of the module, times are relative to the start. */
static void test_old_info(void)
{
	static const char old[] =
		"hz=250\ninterval_ns=50000000\nstart_ns=100000000000\n";
	struct mp3_reader reader;
	struct mp3_sample sample;

	file_begin();
	file_add(MP3_RECORDING_INFO, old, strlen(old));
	file_add(MP3_RECORDING_RECORDS, &records[5], sizeof(*records));
	recording_close(&file);
	ok(!mp3_reader_open(&reader, file_path, false) &&
	   mp3_reader_next(&reader, &sample) &&
	   reader.header->base_jiffies == 0 &&
	   mp3_reader_time(&reader, &sample) == START_NS + SECOND,
	   "jiffies count from the start of a recording without the time of the module's load");
	mp3_reader_close(&reader);
}

static void test_info_order(void)
{
	static const char first[] =
		"base_jiffies=4294892296\nbase_ns=10000000500\nhz=250\n";
	static const char second[] =
		"start_ns=100000000000\ninterval_ns=50000000\n";
	struct mp3_reader reader;

	file_begin();
	file_add(MP3_RECORDING_INFO, first, strlen(first));
	file_add(MP3_RECORDING_INFO, second, strlen(second));
	file_add(MP3_RECORDING_RECORDS, records, sizeof(*records));
	recording_close(&file);
	ok(!mp3_reader_open(&reader, file_path, false) &&
	   reader.header->base_ns == BASE_NS &&
	   reader.header->base_jiffies == BASE_JIFFIES &&
	   reader.header->hz == 250,
	   "the lines of a recording's information can have any order, in two chunks");
	mp3_reader_close(&reader);
}

/* ---- Broken recordings ---- */

/* Where the chunks with the first two, and with all records end */
#define FIRST_END ((off_t)(16 + 16 + (sizeof(info) - 1 + 7) / 8 * 8 + 16 + 128))

static void test_truncated(void)
{
	off_t whole = file_write(), first = FIRST_END, info_end = first - 144;
	off_t all = first + 16 + 48 + 16 + 8 + 16 + 5 * 64, size;
	unsigned int wrong = 0;
	struct mp3_reader reader;
	int error, expected;
	__u64 nr;

	for (size = whole; size >= 0; size--) {
		if (ftruncate(file_fd, size))
			err(1, "ftruncate");
		expected = size >= info_end ? 0 : size >= 16 ? -EBADMSG : -EPROTO;
		nr = size >= all ? NR_RECORDS : size >= first ? 2 : 0;
		error = mp3_reader_open_records(&reader, file_path);
		if (error != expected || (!error && reader.header->head != nr))
			wrong++;
		mp3_reader_close(&reader);
	}
	ok_eq(wrong, 0, "a recording that ends at any byte is read up to its last whole chunk");
}

static void test_refused(void)
{
	static const __u32 foreign = __builtin_bswap32(MP3_RECORDING_ORDER);
	static const __u32 newer = MP3_RECORDING_VERSION + 1, zero;
	static const char no_hz[] = "hz=0\ninterval_ns=50000000\n";
	static const char no_interval[] = "hz=250\ninterval_ns=0\n";
	struct mp3_reader reader;

	file_write();
	file_patch(&foreign, 4, 8);
	ok(file_open() == -EILSEQ &&
	   strstr(mp3_strerror(-EILSEQ), "byte order"),
	   "a recording of another byte order is refused, and the reason named");
	file_write();
	file_patch(&zero, 4, 8);
	ok(file_open() == -EBADMSG && strstr(mp3_strerror(-EBADMSG), "Broken"),
	   "a recording of no byte order is refused as broken");
	file_write();
	file_patch(&newer, 4, 12);
	ok(file_open() == -EPROTONOSUPPORT &&
	   strstr(mp3_strerror(-EPROTONOSUPPORT), "newer version"),
	   "a recording of a newer version is refused, and the reason named");
	file_write();
	file_patch(&zero, 4, 12);
	ok_eq(file_open(), -EBADMSG, "a recording of version 0 is refused");
	file_write();
	file_patch("X", 1, 0);
	ok(file_open() == -EPROTO && mp3_reader_open(&reader, file_path, false) == -EPROTO &&
	   strstr(mp3_strerror(-EPROTO), "ring or recording"),
	   "a file that is neither a ring nor a recording is refused");
	file_begin();
	file_add(MP3_RECORDING_INFO, no_hz, strlen(no_hz));
	ok_eq(file_open(), -EBADMSG, "a recording with 0 clock ticks per second is refused");
	file_begin();
	file_add(MP3_RECORDING_INFO, no_interval, strlen(no_interval));
	ok_eq(file_open(), -EBADMSG, "a recording with an interval of 0 is refused");
}

/* Returns the result of opening the file with another chunk in place of records. */
static int open_with(__u32 type, __u32 reserved, __u64 bytes)
{
	struct mp3_recording_chunk chunk = { type, reserved, bytes };

	file_write();
	file_patch(&chunk, sizeof(chunk), FIRST_END - 144);
	return file_open();
}

static void test_hostile(void)
{
	static const __u64 sizes[] = {
		1ULL << 20, 1ULL << 40, 1ULL << 63, ~0ULL, ~0ULL - 7, ~0ULL - 63,
	};
	struct mp3_recording_chunk chunk = { MP3_RECORDING_RECORDS, 0, 1ULL << 38 };
	struct mp3_record record = { .time_ns = ~0ULL, .cpu_ns = ~0ULL };
	unsigned int i, wrong = 0;
	struct mp3_reader reader;
	struct mp3_sample sample;

	ok(open_with(0, 0, 128) == -EBADMSG &&
	   open_with(MP3_RECORDING_RECORDS, 1, 128) == -EBADMSG &&
	   open_with(MP3_RECORDING_RECORDS, 0, 0) == -EBADMSG,
	   "a recording with a chunk of no type, a reserved number or no size is refused");
	ok_eq(open_with(MP3_RECORDING_RECORDS, 0, 127), -EBADMSG,
	      "a recording with a part of a record is refused");
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		wrong += open_with(MP3_RECORDING_RECORDS, 0, sizes[i]) != 0 ||
			 open_with(MP3_RECORDING_INFO, 0, sizes[i]) != 0;
	ok_eq(wrong, 0, "a chunk that is larger than the file is ignored as incomplete");

	file_write();
	file_patch(&chunk, sizeof(chunk), FIRST_END - 144);
	if (ftruncate(file_fd, FIRST_END + (1LL << 38)))
		err(1, "ftruncate");
	ok_eq(file_open(), -EFBIG, "a recording with 2^32 records is refused");

	file_begin();
	file_add(MP3_RECORDING_INFO, info, strlen(info));
	file_add(MP3_RECORDING_RECORDS, &record, sizeof(record));
	record.time_ns = 0;
	file_add(MP3_RECORDING_RECORDS, &record, sizeof(record));
	recording_close(&file);
	ok(!mp3_reader_open(&reader, file_path, false) &&
	   mp3_reader_next(&reader, &sample) && reader.header->head == 2,
	   "a recording with times that no clock has is read");
	mp3_reader_close(&reader);
	file_begin();
	file_add(MP3_RECORDING_INFO, info, strlen(info) - 1);
	ok(!file_open(), "a text that ends without a newline is read up to its end");

	memset(record.comm, 'x', sizeof(record.comm));
	file_begin();
	file_add(MP3_RECORDING_INFO, info, strlen(info));
	file_add(MP3_RECORDING_RECORDS, &record, sizeof(record));
	recording_close(&file);
	ok(!mp3_reader_open_records(&reader, file_path) &&
	   mp3_reader_next_record(&reader, &record) &&
	   strnlen(record.comm, sizeof(record.comm)) == sizeof(record.comm) - 1,
	   "a name that fills its field ends with a NUL");
	mp3_reader_close(&reader);
}

int main(void)
{
	file_fd = memfd_create("recording", MFD_CLOEXEC);
	if (file_fd < 0)
		err(1, "memfd");
	snprintf(file_path, sizeof(file_path), "/proc/self/fd/%d", file_fd);
	test_records();
	test_samples();
	test_old_info();
	test_info_order();
	test_truncated();
	test_refused();
	test_hostile();

	return done();
}
