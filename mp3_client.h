/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * mp3: the client side, for applications. Registers processes and reads the
 * rings. Include this file and keep mp3_uapi.h next to it; there is nothing to
 * link. It compiles as C99 (with _GNU_SOURCE), C++11 and later.
 *
 * A capture registers processes for this program alone, and needs no privilege
 * for its user's own processes:
 *
 *	struct mp3_reader capture;
 *	struct mp3_record record;
 *
 *	if (mp3_capture_open(&capture) == 0) {
 *		mp3_capture_register(&capture, getpid());
 *		...		the code to profile
 *		mp3_capture_unregister(&capture, getpid());
 *		while (mp3_reader_next_record(&capture, &record))
 *			if (!(record.flags & MP3_IDENTITY))
 *				printf("%llu\n", record.min_flt);
 *		mp3_capture_close(&capture);
 *	}
 *
 * The status file registers processes for all readers of the classic rings, which
 * only root can read:
 *
 *	mp3_register(getpid());		(mp3_follow(): descendants, too)
 *	...			the code to profile
 *	mp3_unregister(getpid());
 *
 *	struct mp3_reader reader;
 *	struct mp3_sample sample;
 *
 *	if (mp3_reader_open(&reader, MP3_DEVICE_PATH, false) == 0) {
 *		do {
 *			while (mp3_reader_next(&reader, &sample))
 *				printf("%lu\n", sample.min_flt);
 *		} while (mp3_reader_wait(&reader, -1) > 0);
 *		mp3_reader_close(&reader);
 *	}
 *
 * The records of the individual processes are read in the same way, with
 * mp3_reader_open_records(), mp3_reader_next_record() and a struct mp3_record.
 *
 * Functions that fail return a negative errno, which mp3_strerror() describes.
 */
#ifndef MP3_CLIENT_H
#define MP3_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

#include "mp3_uapi.h"

#define MP3_WORDS (sizeof(struct mp3_sample) / sizeof(unsigned long))
#define MP3_RECORD_WORDS (sizeof(struct mp3_record) / sizeof(unsigned long))

/* An upper limit for the capacity of a ring of records. */
#define MP3_MAX_RECORDS (16 << 20)

/*
 * The words of a sample's slot before it is used and after it was consumed. The
 * first word of a record is a time and never has this value.
 */
#define MP3_EMPTY (~0UL)

/* A number of entries; see mp3_reader_consume(). */
#define MP3_CLEAR_DISTANCE 64

/**
 * mp3_strerror() - describe an error of one of these functions
 * @err: negative errno
 *
 * Return: a text that names the likely cause where there is one.
 */
static inline const char *mp3_strerror(int err)
{
	switch (-err) {
	case ENOENT:
	case ENXIO:
		return "No such file or directory (is the module loaded?)";
	case ENODEV:
		return "No such device node, but the module is loaded (run mp3ctl doctor)";
	case EACCES:
		return "Permission denied (only root, or users allowed by the udev rule)";
	case EPERM:
		return "Operation not permitted (needs ptrace read access, or CAP_PERFMON)";
	case EINVAL:
		return "Invalid argument (kernel threads cannot be profiled)";
	case ESRCH:
		return "No such process (it has exited, or is not registered)";
	case EEXIST:
		return "Already registered";
	case EMFILE:
		return "Too many captures of this user (8), or too many open files";
	case EBUSY:
		return "No capture is left (of 63; 16 are reserved for CAP_PERFMON)";
	case EPROTO:
		return "Not an mp3 ring or recording, or one of another type or version";
	case EBADMSG:
		return "Broken recording";
	case EILSEQ:
		return "Recorded on a machine of another byte order";
	case EPROTONOSUPPORT:
		return "Recorded by a newer version of mp3";
	default:
		return strerror(-err);
	}
}

/* Writes one command to an open file. Returns 0 or a negative errno. */
static inline int mp3_write_command(int fd, char command, pid_t pid)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "%c,%d\n", command, (int)pid);

	return write(fd, line, (size_t)len) < 0 ? -errno : 0;
}

/**
 * mp3_command() - write one command to the status file
 * @command: R to register, F to register and follow, U to unregister
 * @pid: the id of any thread of the process, in the caller's pid namespace
 *
 * The process must be the caller's own, or one that the caller may inspect as
 * ptrace(2) defines it.
 *
 * Return: 0, -ENOENT if the module is not loaded, or an error that mp3_uapi.h
 * lists.
 */
static inline int mp3_command(char command, pid_t pid)
{
	int fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = mp3_write_command(fd, command, pid);
	close(fd);

	return err;
}

/* Profiles a process from now on. Returns -EEXIST if it is registered already. */
static inline int mp3_register(pid_t pid)
{
	return mp3_command('R', pid);
}

/*
 * Profiles a process and all its descendants from now on. Returns -EEXIST if
 * the process is followed already, and -EPERM without CAP_PERFMON if the module's
 * parameter user_follow is not set.
 */
static inline int mp3_follow(pid_t pid)
{
	return mp3_command('F', pid);
}

/* Stops profiling a process. Returns -ESRCH if it is not registered. */
static inline int mp3_unregister(pid_t pid)
{
	return mp3_command('U', pid);
}

/**
 * mp3_list() - list the registered processes
 * @pids: set to their process ids, in the caller's pid namespace; to be passed
 *	  to free(3), whatever is returned
 * @nr:	  set to how many there are
 *
 * The list contains the processes that the caller may profile.
 *
 * Return: 0, or a negative errno.
 */
static inline int mp3_list(pid_t **pids, size_t *nr)
{
	FILE *file = fopen(MP3_STATUS_PATH, "re");
	size_t capacity = 0;
	pid_t *larger;
	int pid, err = 0;

	*pids = NULL;
	*nr = 0;
	if (!file)
		return -errno;
	while (fscanf(file, "%d", &pid) == 1) {
		if (*nr == capacity) {
			capacity = capacity ? 2 * capacity : 64;
			larger = (pid_t *)realloc(*pids, capacity * sizeof(pid_t));
			if (!larger) {
				err = -ENOMEM;
				break;
			}
			*pids = larger;
		}
		(*pids)[(*nr)++] = (pid_t)pid;
	}
	if (!err && ferror(file))
		err = -EIO;
	fclose(file);

	return err;
}

/**
 * mp3_registered() - check whether a process is registered
 * @pid: its process id, in the caller's pid namespace
 *
 * As mp3_list(), it finds only processes that the caller may profile.
 *
 * Return: 1 if it is registered, 0 if it is not found, or a negative errno.
 */
static inline int mp3_registered(pid_t pid)
{
	int err, found = 0;
	pid_t *pids;
	size_t nr;

	err = mp3_list(&pids, &nr);
	while (!found && nr)
		found = pids[--nr] == pid;
	free(pids);

	return err ? err : found;
}

/*
 * Recordings: what a capture has published, in one file.
 *
 * A recording starts with struct mp3_recording_header. Chunks follow: each is a
 * struct mp3_recording_chunk, @bytes bytes of contents, and zeros up to a
 * multiple of 8 bytes. All numbers have the byte order of the machine that has
 * recorded.
 *
 *	MP3_RECORDING_INFO	text, lines of KEY=VALUE: see below
 *	MP3_RECORDING_RECORDS	struct mp3_record[]: records and identity records,
 *				in the order of the ring
 *	MP3_RECORDING_FAULTS	struct mp3_fault[]: faults, in the order of the ring
 *	MP3_RECORDING_FILES	struct mp3_file[]: files that faults and frames
 *				refer to by number; a file can follow its first
 *				fault
 *	MP3_RECORDING_TOTALS	struct mp3_recording_totals; each replaces the
 *				previous one
 *	MP3_RECORDING_SYMBOLS	text, a line for each code address that was resolved
 *				on the machine that has recorded: see below
 *	MP3_RECORDING_NAMES	text, a line for each cgroup and each user: see
 *				below
 *
 * A chunk is written by one system call, and the file ends with a whole chunk
 * unless the machine or the recorder has crashed. A reader
 *
 *	1. refuses a file with another magic, byte order or a newer version;
 *	2. ignores an incomplete last chunk;
 *	3. skips a chunk of an unknown type: a type can be added without a new
 *	   version. A change of what a chunk contains needs one, except that
 *	   MP3_RECORDING_TOTALS can grow;
 *	4. refuses contents that are not a multiple of their element's size;
 *	5. refuses text with a byte that is not printable ASCII, a tab or a newline:
 *	   printed, it could control a terminal;
 *	6. refuses a fault with more than MP3_FRAMES frames, and a file whose number
 *	   is not in 1..MP3_FILES. Names and paths of a broken recording may lack
 *	   their NUL, and those of any may contain what controls a terminal.
 *
 * The keys of MP3_RECORDING_INFO; a reader ignores others. Values are printable
 * ASCII: a backslash is \\, any other byte \xNN.
 *
 *	version		MP3_VERSION of the recorder
 *	release		of the kernel, as uname -r prints it
 *	machine		its architecture, as uname -m prints it
 *	host		its name, as uname -n prints it
 *	page_size	bytes
 *	hz		clock ticks per second of the kernel
 *	interval_ns	sampling interval
 *	command		its words, separated by blanks; or -p and the process ids
 *	start_ns	start, on the clock of records and faults
 *	start_time	the same in seconds since 1970, with a fraction
 *	n		one minor fault in n was located; 0: none was
 *	callers		callers requested per fault
 *	base_ns		@base_ns of struct mp3_header
 *	base_jiffies	@base_jiffies of struct mp3_header
 *
 * A line of MP3_RECORDING_SYMBOLS has five fields, separated by tabs, escaped as
 * above, and a semicolon in the function is \x3b: the number of the file; the
 * offset in it, hexadecimal; the function, empty if it is unknown; the source
 * file, empty if it is unknown; and the line, 0 if it is unknown. A return address
 * is looked up one byte before: at the call.
 *
 * A line of MP3_RECORDING_NAMES has three fields, separated and escaped likewise:
 * "cgroup" or "user", the id, and the path below the root of the hierarchy of
 * cgroups v2, or the name.
 */
#define MP3_RECORDING_MAGIC	"MP3REC\r\n"	/* 8 bytes, without the NUL */
#define MP3_RECORDING_ORDER	0x01020304u
#define MP3_RECORDING_VERSION	1

/**
 * struct mp3_recording_header - the start of a recording
 * @magic:   MP3_RECORDING_MAGIC
 * @order:   MP3_RECORDING_ORDER, as the recorder's machine stores it
 * @version: MP3_RECORDING_VERSION
 */
struct mp3_recording_header {
	char magic[8];
	__u32 order;
	__u32 version;
};

/* @type of struct mp3_recording_chunk */
enum {
	MP3_RECORDING_INFO = 1,
	MP3_RECORDING_RECORDS,
	MP3_RECORDING_FAULTS,
	MP3_RECORDING_FILES,
	MP3_RECORDING_TOTALS,
	MP3_RECORDING_SYMBOLS,
	MP3_RECORDING_NAMES,
};

/**
 * struct mp3_recording_chunk - precedes the contents of a chunk
 * @type:     MP3_RECORDING_*
 * @reserved: 0
 * @bytes:    size of the contents, without the zeros after them
 */
struct mp3_recording_chunk {
	__u32 type;
	__u32 reserved;
	__u64 bytes;
};

/* @flags of struct mp3_recording_totals */
#define MP3_RECORDING_COMPLETE	1u	/* profiling has ended */
#define MP3_RECORDING_CLOSED	2u	/* each process was registered before it ran
					 * and has exited: the counts are exact
					 */

/**
 * struct mp3_recording_totals - what the headers of the capture contain
 * @end_ns:	 when profiling ended, or when this was written; on the clock of
 *		 records
 * @counted:	 of struct mp3_header
 * @located:	 of struct mp3_header
 * @sampled_out: @missed of the header of faults: left out because n is not 1
 * @not_written: @dropped of the header of faults
 * @lost_faults: faults that were overwritten before they were read, or not
 *		 written
 * @lost_records: records that were overwritten before they were read
 * @dropped:	 @dropped of the header of records: processes
 * @denied:	 the larger @denied of the headers of records and of faults: processes
 * @running:	 processes that were still registered at the end
 * @flags:	 MP3_RECORDING_COMPLETE and MP3_RECORDING_CLOSED
 */
struct mp3_recording_totals {
	__u64 end_ns;
	__u64 counted;
	__u64 located;
	__u64 sampled_out;
	__u64 not_written;
	__u64 lost_faults;
	__u64 lost_records;
	__u64 dropped;
	__u64 denied;
	__u32 running;
	__u32 flags;
};

/**
 * struct mp3_reader - one reader of a ring, or of a recording
 * @header:   header page, mapped read-only; of a recording, a page in memory
 * @data:     slots, mapped
 * @size:     bytes mapped at @data
 * @next:     number of the next entry to read
 * @lap:      number of the entry in slot 0 in the lap that was read last
 * @lost:     entries that were overwritten before they were read
 * @capacity: slots
 * @words:    words in a slot
 * @version:  ABI version of the device, 0 if it has none; set even if opening
 *	      fails because of it
 * @fd:	      the open device, for poll(2); -1 for a recording
 */
struct mp3_reader {
	const struct mp3_header *header;
	unsigned long *data;
	size_t size;
	__u64 next;
	__u64 lap;
	__u64 lost;
	__u32 capacity;
	__u32 words;
	__u32 version;
	int fd;
};

/* Returns how many entries have ever been published. */
static inline __u64 mp3_reader_head(const struct mp3_reader *reader)
{
	/*
	 * Pairs with the release store of head in mp3.c: all entries below it
	 * are complete.
	 */
	return __atomic_load_n(&reader->header->head, __ATOMIC_ACQUIRE);
}

/*
 * Returns the number of the oldest entry that the writer cannot be overwriting:
 * the first i for which i + capacity - 1 > head.
 */
static inline __u64 mp3_reader_oldest(const struct mp3_reader *reader,
				      __u64 head)
{
	return head + 2 > reader->capacity ? head + 2 - reader->capacity : 0;
}

/*
 * Closes a reader. Does nothing if it is closed already or could not be opened.
 */
static inline void mp3_reader_close(struct mp3_reader *reader)
{
	if (reader->data)
		munmap(reader->data, reader->size);
	if (reader->header)
		munmap((void *)reader->header, (size_t)getpagesize());
	if (reader->fd >= 0)
		close(reader->fd);
	reader->data = NULL;
	reader->header = NULL;
	reader->fd = -1;
}

/* Sets @number if @line of a recording's text contains the value of @key. */
static inline void mp3_recording_number(const char *line, const char *key,
					__u64 *number)
{
	size_t length = strlen(key);

	if (!strncmp(line, key, length) && line[length] == '=')
		*number = strtoull(line + length + 1, NULL, 10);
}

/* Reads what the header contains of a recording's text of @bytes bytes. */
static inline void mp3_recording_info(struct mp3_header *header, FILE *file,
				      __u64 bytes)
{
	char *line = NULL;
	size_t size = 0;
	__u64 hz = header->hz, start_ns = 0;
	ssize_t length;

	for (; bytes; bytes -= (__u64)length) {
		length = getline(&line, &size, file);
		if (length <= 0 || (__u64)length > bytes)
			break;
		mp3_recording_number(line, "hz", &hz);
		mp3_recording_number(line, "interval_ns", &header->interval_ns);
		mp3_recording_number(line, "start_ns", &start_ns);
		mp3_recording_number(line, "base_ns", &header->base_ns);
		mp3_recording_number(line, "base_jiffies", &header->base_jiffies);
	}
	free(line);
	header->hz = (__u32)hz;
	/* The start takes the place of what older recorders leave out. */
	if (!header->base_ns)
		header->base_ns = start_ns;
}

/* Appends @bytes of records to those in memory. Returns 0 or a negative errno. */
static inline int mp3_recording_append(struct mp3_reader *reader, FILE *file,
				       __u64 bytes)
{
	struct mp3_header *header = (struct mp3_header *)reader->header;
	size_t used = header->head * sizeof(struct mp3_record), size;
	struct mp3_record *records;
	void *map;
	__u64 i;

	if (bytes % sizeof(struct mp3_record))
		return -EBADMSG;
	/* The capacity, head + 2, has 32 bits. */
	if (bytes / sizeof(struct mp3_record) > 0xfffffffd - header->head)
		return -EFBIG;
	for (size = reader->size; size < used + bytes; size *= 2)
		;
	map = mremap(reader->data, reader->size, size, MREMAP_MAYMOVE);
	if (map == MAP_FAILED)
		return -errno;
	reader->data = (unsigned long *)map;
	reader->size = size;
	if (fread((char *)map + used, 1, bytes, file) != bytes)
		return -EIO;
	records = (struct mp3_record *)map;
	for (i = header->head; i < (used + bytes) / sizeof(*records); i++)
		records[i].comm[sizeof(records[i].comm) - 1] = '\0';
	header->head = i;

	return 0;
}

/* Reads the newest totals. Returns 0 or a negative errno. */
static inline int mp3_recording_totals(struct mp3_reader *reader, FILE *file,
				       __u64 bytes)
{
	struct mp3_header *header = (struct mp3_header *)reader->header;
	struct mp3_recording_totals totals;

	memset(&totals, 0, sizeof(totals));
	if (bytes > sizeof(totals))
		bytes = sizeof(totals);
	if (fread(&totals, 1, bytes, file) != bytes)
		return -EIO;
	reader->lost = totals.lost_records;
	header->dropped = totals.dropped;
	header->denied = totals.denied;
	header->counted = totals.counted;
	header->located = totals.located;

	return 0;
}

/* Reads the whole chunks of a recording. Returns 0 or a negative errno. */
static inline int mp3_recording_chunks(struct mp3_reader *reader, FILE *file,
				       __u64 size)
{
	__u64 at = sizeof(struct mp3_recording_header), left;
	struct mp3_recording_chunk chunk;
	int err = 0;

	while (!err && at + sizeof(chunk) <= size) {
		if (fseeko(file, (off_t)at, SEEK_SET) ||
		    fread(&chunk, sizeof(chunk), 1, file) != 1)
			return -EIO;
		at += sizeof(chunk);
		left = size - at;
		if (!chunk.type || chunk.reserved || !chunk.bytes)
			return -EBADMSG;
		if (chunk.bytes > left || (chunk.bytes + 7) / 8 * 8 > left)
			break;
		at += (chunk.bytes + 7) / 8 * 8;
		if (chunk.type == MP3_RECORDING_INFO)
			mp3_recording_info((struct mp3_header *)reader->header,
					   file, chunk.bytes);
		else if (chunk.type == MP3_RECORDING_RECORDS)
			err = mp3_recording_append(reader, file, chunk.bytes);
		else if (chunk.type == MP3_RECORDING_TOTALS)
			err = mp3_recording_totals(reader, file, chunk.bytes);
	}

	return err;
}

/* Replaces the records in memory by samples: the sums of those of one tick. */
static inline void mp3_recording_sum(struct mp3_reader *reader)
{
	struct mp3_header *header = (struct mp3_header *)reader->header;
	__u64 i, nr = 0, time_ns = 0, period_ns = 0, cpu_ns = 0, age_ns;
	struct mp3_record record;
	struct mp3_sample sample;

	for (i = 0; i < header->head; i++) {
		memcpy(&record, reader->data + i * MP3_RECORD_WORDS,
		       sizeof(record));
		if (record.flags & MP3_IDENTITY)
			continue;
		if (!nr || record.time_ns != time_ns) {
			period_ns = nr ? record.time_ns - time_ns : 0;
			if (period_ns < header->interval_ns)
				period_ns = header->interval_ns;
			time_ns = record.time_ns;
			/* In two parts, since the product overflows. */
			age_ns = time_ns - header->base_ns;
			memset(&sample, 0, sizeof(sample));
			sample.jiffies = header->base_jiffies +
				age_ns / 1000000000 * header->hz +
				age_ns % 1000000000 * header->hz / 1000000000;
			cpu_ns = 0;
			nr++;
		}
		sample.min_flt += record.min_flt;
		sample.maj_flt += record.maj_flt;
		cpu_ns += record.cpu_ns;
		sample.cpu_percent = (100 * cpu_ns + period_ns / 2) / period_ns;
		memcpy(reader->data + (nr - 1) * MP3_WORDS, &sample,
		       sizeof(sample));
	}
	header->head = nr;
}

/*
 * Reads a recording of @size bytes into memory, and closes @reader->fd. Returns 0
 * or a negative errno.
 */
static inline int mp3_reader_load(struct mp3_reader *reader,
				  const struct mp3_recording_header *start,
				  __u64 size)
{
	struct mp3_header *header;
	FILE *file;
	void *map;
	int err;

	if (start->order == __builtin_bswap32(MP3_RECORDING_ORDER))
		return -EILSEQ;
	if (start->order != MP3_RECORDING_ORDER || !start->version)
		return -EBADMSG;
	if (start->version > MP3_RECORDING_VERSION)
		return -EPROTONOSUPPORT;

	reader->size = (size_t)getpagesize();
	map = mmap(NULL, reader->size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -errno;
	header = (struct mp3_header *)map;
	reader->header = header;
	map = mmap(NULL, reader->size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -errno;
	reader->data = (unsigned long *)map;
	file = fdopen(reader->fd, "r");
	if (!file)
		return -errno;
	reader->fd = -1;
	err = mp3_recording_chunks(reader, file, size);
	fclose(file);
	if (!err && (!header->hz || !header->interval_ns))
		err = -EBADMSG;
	if (err)
		return err;

	if (reader->words == MP3_WORDS)
		mp3_recording_sum(reader);
	reader->version = MP3_ABI_VERSION;
	reader->capacity = (__u32)header->head + 2;
	header->magic = MP3_MAGIC;
	header->version = MP3_ABI_VERSION;
	header->entry_size = reader->words * (__u32)sizeof(long);
	header->capacity = reader->capacity;

	return 0;
}

/*
 * Opens a ring with the @flags of open(2), and maps its data with @protection.
 * Its entries have @words words, its capacity is at most @max, and
 * its data take @pages pages, or as many as the capacity requires if that is 0.
 * Reads a recording into memory. Returns 0 or a negative errno.
 */
static inline int mp3_reader_map(struct mp3_reader *reader, const char *path,
				 int flags, int protection, __u32 words,
				 size_t pages, size_t max)
{
	size_t page = (size_t)getpagesize(), size = words * sizeof(long);
	struct mp3_recording_header start;
	const struct mp3_header *header;
	struct stat info;
	void *map;
	int err = -EPROTO;

	memset(reader, 0, sizeof(*reader));
	reader->words = words;
	reader->fd = open(path, flags | O_CLOEXEC);
	if (reader->fd < 0) {
		err = -errno;
		if ((err == -ENOENT || err == -ENXIO) &&
		    !access(MP3_STATUS_PATH, F_OK))
			err = -ENODEV;
		goto fail;
	}

	/*
	 * Reading a mapping past the end of a file raises SIGBUS, and so does a
	 * mapping of a block device or of /dev/zero (major number 1).
	 */
	if (fstat(reader->fd, &info))
		goto fail_errno;
	if (!S_ISREG(info.st_mode) &&
	    (!S_ISCHR(info.st_mode) || major(info.st_rdev) == 1))
		goto fail;
	if (S_ISREG(info.st_mode)) {
		if (pread(reader->fd, &start, sizeof(start), 0) == sizeof(start) &&
		    !memcmp(start.magic, MP3_RECORDING_MAGIC, sizeof(start.magic))) {
			err = mp3_reader_load(reader, &start, (__u64)info.st_size);
			if (err)
				goto fail;
			return 0;
		}
		if (info.st_size < (off_t)(MP3_OFF_HEADER + page))
			goto fail;
		if (max > MP3_OFF_HEADER / size)
			max = MP3_OFF_HEADER / size;
	}

	map = mmap(NULL, page, PROT_READ, MAP_SHARED, reader->fd,
		   MP3_OFF_HEADER);
	if (map == MAP_FAILED) {
		/* ENODEV: the device cannot be mapped at all. */
		if (errno == ENODEV)
			goto fail;
		goto fail_errno;
	}
	header = (const struct mp3_header *)map;
	reader->header = header;
	reader->capacity = header->capacity;
	if (header->magic == MP3_MAGIC)
		reader->version = header->version;
	if (reader->version != MP3_ABI_VERSION || !header->hz ||
	    header->entry_size != size || reader->capacity < 3 ||
	    reader->capacity > max)
		goto fail;

	if (!pages)
		pages = (reader->capacity * size + page - 1) / page;
	reader->size = pages * page;
	map = mmap(NULL, reader->size, protection, MAP_SHARED, reader->fd, 0);
	if (map == MAP_FAILED)
		goto fail_errno;
	reader->data = (unsigned long *)map;
	reader->next = mp3_reader_oldest(reader, mp3_reader_head(reader));

	return 0;

fail_errno:
	err = -errno;
fail:
	mp3_reader_close(reader);
	/* Never 0: callers divide by a capacity that only success has checked. */
	return err ? err : -EIO;
}

/**
 * mp3_reader_open() - open the ring of samples at its oldest entry
 * @reader:   filled
 * @path:     MP3_DEVICE_PATH; its file mode restricts access. Or a recording:
 *	      each of its samples is the sum of the records of a tick
 * @writable: required by mp3_reader_consume()
 *
 * Return: 0, -EPROTO if @path is neither a ring of samples of this ABI version
 * nor a recording, -ENODEV if the module is loaded but has no device node there,
 * an error of open(2) or mmap(2), or one of mp3_reader_open_records().
 */
static inline int mp3_reader_open(struct mp3_reader *reader, const char *path,
				  bool writable)
{
	return mp3_reader_map(reader, path, writable ? O_RDWR : O_RDONLY,
			      PROT_READ | (writable ? PROT_WRITE : 0),
			      MP3_WORDS, MP3_DATA_PAGES,
			      MP3_DATA_PAGES * (size_t)getpagesize() /
			      sizeof(struct mp3_sample));
}

/**
 * mp3_reader_open_records() - open the ring of records at its oldest entry
 * @reader: filled; only mp3_reader_next_record() can read its entries
 * @path:   MP3_PROCS_PATH; its file mode restricts access. Or a recording
 *
 * A recording is read into memory, up to its last whole chunk. Afterwards the
 * header contains the number of records (head), what is known of dropped and
 * denied, and 0 processes; @reader->lost are the records that the recorder has
 * lost.
 *
 * Return: 0, -EPROTO if @path is neither a ring of records of this ABI version nor
 * a recording, -ENODEV if the module is loaded but has no device node there, or an
 * error of open(2) or mmap(2). Of a recording also -EILSEQ if it has another byte
 * order, -EPROTONOSUPPORT if its version is newer, -EBADMSG if it is broken, or
 * -EFBIG if it has 2^32 records.
 */
static inline int mp3_reader_open_records(struct mp3_reader *reader,
					  const char *path)
{
	return mp3_reader_map(reader, path, O_RDONLY, PROT_READ,
			      MP3_RECORD_WORDS, 0, MP3_MAX_RECORDS);
}

/**
 * mp3_capture_open() - create a capture, and open its ring of records
 * @reader: filled; mp3_reader_next_record() reads its records,
 *	    mp3_reader_wait() waits for them
 *
 * No privilege is needed for the caller's own processes. What is registered in
 * the capture stays so until mp3_capture_close(), or until the calling process
 * ends, in whatever way. Children that are forked in between share the capture
 * until they exit or call exec.
 *
 * Return: 0, -EMFILE if the user has as many captures as allowed, -EBUSY if no
 * capture is left, or any other error of mp3_reader_open_records().
 */
static inline int mp3_capture_open(struct mp3_reader *reader)
{
	return mp3_reader_map(reader, MP3_CAPTURE_PATH, O_RDWR, PROT_READ,
			      MP3_RECORD_WORDS, 0, MP3_MAX_RECORDS);
}

/**
 * mp3_capture_command() - write one command to a capture
 * @capture: opened by mp3_capture_open()
 * @command: as for mp3_command()
 * @pid: as for mp3_command()
 *
 * Other captures and the status file are not affected.
 *
 * Return: 0, or an error that mp3_uapi.h lists.
 */
static inline int mp3_capture_command(const struct mp3_reader *capture,
				      char command, pid_t pid)
{
	return mp3_write_command(capture->fd, command, pid);
}

/*
 * Profiles a process from now on. Returns -EEXIST if it is registered in the
 * capture already.
 */
static inline int mp3_capture_register(const struct mp3_reader *capture,
				       pid_t pid)
{
	return mp3_capture_command(capture, 'R', pid);
}

/*
 * Profiles a process and all its descendants from now on. Returns -EEXIST if
 * the capture follows it already, and -EPERM as mp3_follow().
 */
static inline int mp3_capture_follow(const struct mp3_reader *capture,
				     pid_t pid)
{
	return mp3_capture_command(capture, 'F', pid);
}

/*
 * Stops profiling a process. On return, its last record is in the ring. Returns
 * -ESRCH if it is not registered in the capture.
 */
static inline int mp3_capture_unregister(const struct mp3_reader *capture,
					 pid_t pid)
{
	return mp3_capture_command(capture, 'U', pid);
}

/*
 * Ends a capture: unregisters its processes and frees its ring. The capture lasts
 * until mp3_faults_close() if its faults are still open.
 */
static inline void mp3_capture_close(struct mp3_reader *capture)
{
	mp3_reader_close(capture);
}

/**
 * mp3_capture_locate() - locate the faults of the processes in a capture
 * @capture: opened by mp3_capture_open()
 * @n: locate one minor fault in @n, a power of two up to 65536, and all major
 *     ones; 0 to stop
 * @callers: addresses of callers to record with each, 0..8
 *
 * Return: 0, -EPERM without CAP_PERFMON unless the module's parameter
 * user_faults is set, -EOPNOTSUPP if the kernel lacks the events, -EINVAL or
 * -ENOMEM.
 */
static inline int mp3_capture_locate(const struct mp3_reader *capture,
				     unsigned int n, unsigned int callers)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "L,%u,%u\n", n, callers);

	return write(capture->fd, line, (size_t)len) < 0 ? -errno : 0;
}

/**
 * struct mp3_faults - a reader of the faults of a capture
 * @header: header page of the ring of faults, mapped
 * @data: slots of the ring, mapped
 * @files: table of files, mapped
 * @size: bytes mapped at @data
 * @next: number of the next fault to read
 * @lost: faults that were overwritten before they were read, or not written
 * @capacity: slots
 * @awaited_ticks: ticks when fault @next was first found unfinished
 * @awaits: whether that is so
 */
struct mp3_faults {
	const struct mp3_header *header;
	const struct mp3_fault *data;
	const struct mp3_file *files;
	size_t size;
	__u64 next;
	__u64 lost;
	__u64 awaited_ticks;
	__u32 capacity;
	bool awaits;
};

/*
 * Closes a reader of faults, not the capture. Does nothing if it is closed
 * already or could not be opened.
 */
static inline void mp3_faults_close(struct mp3_faults *faults)
{
	if (faults->header)
		munmap((void *)faults->header, (size_t)getpagesize());
	if (faults->data)
		munmap((void *)faults->data, faults->size);
	if (faults->files)
		munmap((void *)faults->files,
		       MP3_FILES * sizeof(struct mp3_file));
	memset(faults, 0, sizeof(*faults));
}

/**
 * mp3_faults_open() - map the faults of a capture
 * @faults: filled
 * @capture: opened by mp3_capture_open(), and mp3_capture_locate() has succeeded
 *
 * Return: 0, -EINVAL if the capture has not located yet, -EPROTO if the ring has
 * another ABI version, or an error of mmap(2).
 */
static inline int mp3_faults_open(struct mp3_faults *faults,
				  const struct mp3_reader *capture)
{
	size_t page = (size_t)getpagesize();
	void *map;
	int err;

	memset(faults, 0, sizeof(*faults));
	map = mmap(NULL, page, PROT_READ, MAP_SHARED, capture->fd,
		   MP3_OFF_FAULTS_HEADER);
	if (map == MAP_FAILED)
		return -errno;
	faults->header = (const struct mp3_header *)map;
	faults->capacity = faults->header->capacity;
	if (faults->header->magic != MP3_MAGIC ||
	    faults->header->version != MP3_ABI_VERSION ||
	    faults->header->entry_size != sizeof(struct mp3_fault) ||
	    !faults->capacity) {
		mp3_faults_close(faults);
		return -EPROTO;
	}

	faults->size = (faults->capacity * sizeof(struct mp3_fault) +
			page - 1) / page * page;
	map = mmap(NULL, faults->size, PROT_READ, MAP_SHARED, capture->fd,
		   MP3_OFF_FAULTS);
	if (map == MAP_FAILED)
		goto fail;
	faults->data = (const struct mp3_fault *)map;

	map = mmap(NULL, MP3_FILES * sizeof(struct mp3_file), PROT_READ,
		   MAP_SHARED, capture->fd, MP3_OFF_FILES);
	if (map == MAP_FAILED)
		goto fail;
	faults->files = (const struct mp3_file *)map;

	return 0;

fail:
	err = -errno;
	mp3_faults_close(faults);
	return err;
}

/*
 * Returns whether a fault that is unfinished will stay so: its slot was busy, or
 * its writer has been held up for longer than a reader waits.
 */
static inline bool mp3_faults_gave_up(struct mp3_faults *faults)
{
	__u64 ticks = __atomic_load_n(&faults->header->ticks, __ATOMIC_RELAXED);

	if (!__atomic_load_n(&faults->header->processes, __ATOMIC_ACQUIRE))
		return true;
	if (!faults->awaits) {
		faults->awaits = true;
		faults->awaited_ticks = ticks;
	}

	return ticks - faults->awaited_ticks >= 2;
}

/**
 * mp3_faults_next() - read the next fault
 * @faults: opened by mp3_faults_open(); afterwards the fault's number is
 *	    @faults->next - 1
 * @fault: filled
 *
 * Return: 1, or 0 if there is none yet: mp3_reader_wait() for the capture also
 * waits for faults.
 */
static inline int mp3_faults_next(struct mp3_faults *faults,
				  struct mp3_fault *fault)
{
	/* Pairs with the release store of head in mp3_update_fault_header(). */
	__u64 head = __atomic_load_n(&faults->header->head, __ATOMIC_ACQUIRE);
	__u64 seq;

	if (faults->next + faults->capacity < head) {
		faults->lost += head - faults->capacity - faults->next;
		faults->next = head - faults->capacity;
		faults->awaits = false;
	}
	while (faults->next < head) {
		const struct mp3_fault *slot =
			&faults->data[faults->next % faults->capacity];

		/* Pairs with the release store of seq in mp3_fault_publish(). */
		seq = __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE);
		if (seq == faults->next + 1) {
			memcpy(fault, slot, sizeof(*fault));
			/* Pairs with the exchange of seq in mp3_fault_begin(). */
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			seq = __atomic_load_n(&slot->seq, __ATOMIC_RELAXED);
			if (seq == faults->next + 1) {
				faults->next++;
				faults->awaits = false;
				return 1;
			}
		}
		/* Unless it has been overwritten, it is being written. */
		if (seq <= faults->next || seq == MP3_FAULT_BUSY) {
			if (!mp3_faults_gave_up(faults))
				return 0;
			/* It may have been completed since it was looked at. */
			if (__atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE) ==
			    faults->next + 1)
				continue;
		}
		faults->lost++;
		faults->next++;
		faults->awaits = false;
	}

	return 0;
}

/**
 * mp3_faults_file() - find a file by its number
 * @faults: opened by mp3_faults_open()
 * @number: from a fault or a frame
 *
 * Return: the file, or NULL if it has no number, or its path is not known yet:
 * that is so for some milliseconds after the first fault in it.
 */
static inline const struct mp3_file *
mp3_faults_file(const struct mp3_faults *faults, __u32 number)
{
	const struct mp3_file *file;

	if (number < 1 || number > MP3_FILES)
		return NULL;
	file = &faults->files[number - 1];
	/* Pairs with the release store in mp3_resolve_files(), mp3.c. */
	return __atomic_load_n(&file->number, __ATOMIC_ACQUIRE) == number ?
		file : NULL;
}

/*
 * Copies the next entry that has not been consumed. It has @words words, a
 * constant, so that the compiler can unroll the copy. Returns 1, or 0 if there is
 * none yet.
 */
static inline int mp3_reader_copy(struct mp3_reader *reader,
				  unsigned long *copy, size_t words)
{
	__u64 head = mp3_reader_head(reader), oldest;
	const unsigned long *slot;
	size_t i;

	while (reader->next < head) {
		/* Divide in a new lap only: it takes longer than the copy. */
		if (reader->next - reader->lap >= reader->capacity)
			reader->lap = reader->next -
				      reader->next % reader->capacity;
		slot = reader->data + (reader->next - reader->lap) * words;
/* clang unrolls the loop without this, and worse with it. */
#if __GNUC__ >= 8 && !defined(__clang__)
#pragma GCC unroll 8
#endif
		for (i = 1; i < words; i++)
			copy[i] = __atomic_load_n(&slot[i], __ATOMIC_RELAXED);
		/*
		 * Pairs with the release fence in mp3_reader_consume(): if a
		 * copied word had been cleared, word 0 is seen cleared as well.
		 * Also pairs with the write barrier before an overwrite in
		 * mp3.c's mp3_ring_begin(), as the acquire load of word 0 does:
		 * if a copied word is from the next entry, the head loaded below
		 * shows that this one was given up.
		 */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		copy[0] = __atomic_load_n(&slot[0], __ATOMIC_ACQUIRE);
		head = mp3_reader_head(reader);
		oldest = mp3_reader_oldest(reader, head);
		if (reader->next < oldest) {
			reader->lost += oldest - reader->next;
			reader->next = oldest;
			continue;
		}
		reader->next++;
		if (copy[0] != MP3_EMPTY)
			return 1;
	}

	return 0;
}

/**
 * mp3_reader_next() - read the next sample that has not been consumed
 * @reader: opened by mp3_reader_open(); afterwards the entry's number is
 *	    @reader->next - 1
 * @sample: filled
 *
 * Return: 1, or 0 if there is none yet.
 */
static inline int mp3_reader_next(struct mp3_reader *reader,
				  struct mp3_sample *sample)
{
	return mp3_reader_copy(reader, (unsigned long *)sample, MP3_WORDS);
}

/**
 * mp3_reader_next_record() - read the next record; records are never consumed
 * @reader: opened by mp3_reader_open_records() or mp3_capture_open(); afterwards
 *	    the entry's number is @reader->next - 1
 * @record: filled; without counts if its flags contain MP3_IDENTITY
 *
 * Return: 1, or 0 if there is none yet.
 */
static inline int mp3_reader_next_record(struct mp3_reader *reader,
					 struct mp3_record *record)
{
	unsigned long copy[MP3_RECORD_WORDS];

	if (!mp3_reader_copy(reader, copy, MP3_RECORD_WORDS))
		return 0;
	/* A copy, since __u64 and unsigned long may not alias each other. */
	memcpy(record, copy, sizeof(copy));

	return 1;
}

/**
 * mp3_reader_consume() - remove an entry, so that no other reader finds it
 * @reader: opened by mp3_reader_open() as writable
 * @number: the entry's number
 * @sample: its contents, as filled by mp3_reader_next()
 *
 * Readers that do not use the header look for the first word that is not -1, so
 * all words of the entry become -1. The first one is compared and exchanged,
 * which fails if the kernel has just put another entry there. The others are
 * cleared without a comparison, unless entries are being published and the
 * kernel is about to overwrite them: it then does so itself. MP3_CLEAR_DISTANCE
 * leaves time for a reader that is preempted after it has loaded the head.
 *
 * Return: true, or false if the entry was already consumed or overwritten.
 */
static inline bool mp3_reader_consume(struct mp3_reader *reader, __u64 number,
				      const struct mp3_sample *sample)
{
	unsigned long *slot = reader->data + number % reader->capacity * MP3_WORDS;
	unsigned long jiffies = sample->jiffies;

	if (!__atomic_compare_exchange_n(&slot[0], &jiffies, MP3_EMPTY, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return false;

	if (!__atomic_load_n(&reader->header->processes, __ATOMIC_RELAXED) ||
	    mp3_reader_head(reader) + MP3_CLEAR_DISTANCE <
	    number + reader->capacity) {
		/* Pairs with the acquire fence in mp3_reader_copy(). */
		__atomic_thread_fence(__ATOMIC_RELEASE);
		for (unsigned int i = 1; i < MP3_WORDS; i++)
			__atomic_store_n(&slot[i], MP3_EMPTY, __ATOMIC_RELAXED);
	}

	return true;
}

/**
 * mp3_reader_wait() - sleep until an entry is published
 * @reader:	open
 * @timeout_ms: milliseconds, -1 for no limit
 *
 * Returns at once if an entry was published since the last wait returned 1.
 *
 * Return: 1, 0 if the time has elapsed or @reader is a recording, or a negative
 * errno.
 */
static inline int mp3_reader_wait(const struct mp3_reader *reader,
				  int timeout_ms)
{
	struct pollfd pollfd;
	int ready;

	/* A recording has no more entries than those in memory. */
	if (reader->fd < 0)
		return 0;
	pollfd.fd = reader->fd;
	pollfd.events = POLLIN;
	ready = poll(&pollfd, 1, timeout_ms);

	return ready < 0 ? -errno : ready;
}

/**
 * mp3_reader_time() - compute when a sample was taken, to one clock tick
 * @reader: open
 * @sample: one of its entries
 *
 * In another time namespace, clock_gettime(2) adds the namespace's offset to
 * CLOCK_MONOTONIC (see time_namespaces(7)); this function does not.
 *
 * Return: nanoseconds of CLOCK_MONOTONIC in the initial time namespace.
 */
static inline __u64 mp3_reader_time(const struct mp3_reader *reader,
				    const struct mp3_sample *sample)
{
	const struct mp3_header *header = reader->header;
	__u64 ticks = sample->jiffies - header->base_jiffies;

	/* In two parts, since ticks * 10^9 overflows within a few months. */
	return header->base_ns + ticks / header->hz * 1000000000 +
	       ticks % header->hz * 1000000000 / header->hz;
}

#endif /* MP3_CLIENT_H */
