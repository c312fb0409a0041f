// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: ring_server records|samples CAPACITY
 *
 * Makes a ring in a file for tests of readers in other languages, and prints the path
 * of the file. Then it executes lines of standard input, and answers each with a line:
 *
 *	publish N	publish N entries: of entry number i, each count is i
 *	consume I	consume sample I, as another reader does
 *	fault I SEQ	write fault I, with SEQ in place of its number
 *	file I PATH	write an entry of the table of files
 *	head N, ticks N, processes N
 *			set a field of the header of faults
 *	version N	set the ABI version
 *	pass		wait until mp3ctl, with fake_capture.c, has read what is published
 *
 * A ring of records also has the parts of a capture that locates, with 64 faults. It
 * ends with its input.
 */
#include "../../mp3_client.h"
#include "fake_ring.h"

#define FAULTS 64

static struct mp3_fault *faults;
static struct mp3_header *fault_header;
static struct mp3_file *files;

/* Maps a part of the file. */
static void *map_part(const struct fake_ring *ring, off_t offset, size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 ring->fd, offset);

	if (map == MAP_FAILED)
		err(1, "mmap");
	return map;
}

static void add_faults(struct fake_ring *ring)
{
	size_t size = MP3_FILES * sizeof(struct mp3_file);

	if (ftruncate(ring->fd, (off_t)(MP3_OFF_FILES + size)))
		err(1, "ftruncate");
	faults = map_part(ring, MP3_OFF_FAULTS, FAULTS * sizeof(*faults));
	fault_header = map_part(ring, MP3_OFF_FAULTS_HEADER,
				(size_t)getpagesize());
	files = map_part(ring, MP3_OFF_FILES, size);
	*fault_header = *ring->header;
	fault_header->entry_size = sizeof(*faults);
	fault_header->capacity = FAULTS;
	fault_header->processes = 1;
}

/* Publishes a record: an identity record if its number is a multiple of 5. */
static void publish_record(struct fake_ring *ring)
{
	__u64 i = ring->header->head;
	struct mp3_record record = {
		.time_ns = FAKE_BASE_NS + i,
		.pid = (__u32)i,
		.flags = i % 3,
		.min_flt = i,
		.maj_flt = i,
		.cpu_ns = i,
		.rss_bytes = i,
	};

	if (i % 5 == 0) {
		record.flags = MP3_IDENTITY;
		record.ppid = (__u32)i + 1;
		record.uid = (__u32)i + 2;
		record.start_ns = i + 3;
		record.cgroup_id = i + 4;
		record.reserved = 0;
	}
	snprintf(record.comm, sizeof(record.comm), "n\xc3\xa9 %llu",
		 (unsigned long long)i);
	fake_publish(ring, &record);
}

static void write_fault(__u64 i, __u64 seq)
{
	struct mp3_fault *fault = &faults[i % FAULTS];

	*fault = (struct mp3_fault){
		.time_ns = FAKE_BASE_NS + i,
		.pid = (__u32)i + 1,
		.tid = (__u32)i + 2,
		.address = i + 3,
		.stall_ns = i % 2 ? i + 4 : MP3_NO_STALL,
		.offset = i + 5,
		.file = (__u32)i % 3,
		.flags = MP3_FAULT_USER | (__u32)(i % 10) << 28,
	};
	for (i = 0; i < MP3_FRAMES; i++)
		fault->frames[i] = i << 48 | (i + 0x1000);
	__atomic_store_n(&fault->seq, seq, __ATOMIC_RELEASE);
}

/* Returns how often mp3ctl has polled: it does so after each pass over the ring. */
static __u64 load_polls(const struct fake_ring *ring)
{
	const char *page = (const char *)ring->header;

	return __atomic_load_n((const __u64 *)(page + FAKE_OFF_POLLS -
					       MP3_OFF_HEADER),
			       __ATOMIC_ACQUIRE);
}

/* Waits for the pass after the present one, which may not read the newest entries. */
static void wait_pass(const struct fake_ring *ring)
{
	__u64 polls = load_polls(ring) + 2;
	unsigned int tries;

	for (tries = 0; load_polls(ring) < polls; tries++) {
		if (tries == 60000)
			errx(1, "mp3ctl does not read the ring");
		usleep(1000);
	}
}

static void execute(struct fake_ring *ring, const char *line)
{
	unsigned long long i, value;
	char path[sizeof(files->path)];

	if (sscanf(line, "publish %llu", &i) == 1) {
		while (i--) {
			if (faults)
				publish_record(ring);
			else
				fake_publish_samples(ring, 1);
		}
	} else if (sscanf(line, "consume %llu", &i) == 1) {
		memset(ring->data + i % ring->header->capacity *
		       sizeof(struct mp3_sample), 0xff, sizeof(struct mp3_sample));
	} else if (sscanf(line, "fault %llu %llu", &i, &value) == 2) {
		write_fault(i, value);
	} else if (sscanf(line, "file %llu %223s", &i, path) == 2) {
		strcpy(files[i - 1].path, path);
		files[i - 1].inode = i;
		__atomic_store_n(&files[i - 1].number, (__u32)i,
				 __ATOMIC_RELEASE);
	} else if (sscanf(line, "head %llu", &i) == 1) {
		__atomic_store_n(&fault_header->head, i, __ATOMIC_RELEASE);
	} else if (sscanf(line, "ticks %llu", &i) == 1) {
		fault_header->ticks = i;
	} else if (sscanf(line, "processes %llu", &i) == 1) {
		fault_header->processes = (__u32)i;
	} else if (sscanf(line, "version %llu", &i) == 1) {
		ring->header->version = (__u32)i;
	} else if (!strcmp(line, "pass\n")) {
		wait_pass(ring);
	} else {
		errx(2, "unknown line: %s", line);
	}
}

int main(int argc, char **argv)
{
	bool records = argc == 3 && !strcmp(argv[1], "records");
	struct fake_ring ring;
	char line[300];

	if (argc != 3)
		errx(2, "usage: ring_server records|samples CAPACITY");
	fake_open(&ring, records ? sizeof(struct mp3_record) :
				   sizeof(struct mp3_sample),
		  (__u32)strtoul(argv[2], NULL, 10));
	if (records)
		add_faults(&ring);
	printf("/proc/%d/fd/%d\n", getpid(), ring.fd);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		execute(&ring, line);
		puts("done");
		fflush(stdout);
	}

	return 0;
}
