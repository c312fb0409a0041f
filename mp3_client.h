/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * mp3: registering a process and reading the rings, for applications. Include
 * this file and keep mp3_uapi.h beside it: there is nothing to link.
 *
 *	mp3_register(getpid());		(mp3_follow(): with what it starts)
 *	...			what is to be profiled
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
 * What each process did by itself is read in the same way, with
 * mp3_reader_open_records(), mp3_reader_next_record() and a struct mp3_record.
 *
 * What fails returns a negative errno; mp3_strerror() puts it in words.
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
#include <unistd.h>

#include "mp3_uapi.h"

#define MP3_WORDS (sizeof(struct mp3_sample) / sizeof(unsigned long))
#define MP3_RECORD_WORDS (sizeof(struct mp3_record) / sizeof(unsigned long))

/* More records than any ring of them has. */
#define MP3_MAX_RECORDS (16 << 20)

/*
 * What the words of a sample's slot hold before it is used and once it is
 * consumed. A record's first word, a time, never is that.
 */
#define MP3_EMPTY (~0UL)

/* Entries; see mp3_reader_consume(). */
#define MP3_CLEAR_DISTANCE 64

/**
 * mp3_strerror() - words for an error of one of these functions
 * @err: negative errno
 */
static inline const char *mp3_strerror(int err)
{
	switch (-err) {
	case ENOENT:
	case ENXIO:
		return "No such file or directory (is the module loaded?)";
	case EACCES:
		return "Permission denied (root may, and whom a udev rule lets)";
	case EPERM:
		return "Operation not permitted (not yours, not to be traced, or refused here)";
	case EEXIST:
		return "Already registered";
	case EPROTO:
		return "Not a ring of mp3's, or one of another kind";
	default:
		return strerror(-err);
	}
}

/**
 * mp3_command() - give the module one command
 * @command: R to register, F to follow as well, U to unregister
 * @pid: any thread's id of the process, in the caller's pid namespace; it has
 *	 to be the caller's own or one that he may inspect
 *
 * Return: 0, -ENOENT without the module, or an error that mp3_uapi.h lists.
 */
static inline int mp3_command(char command, pid_t pid)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "%c,%d\n", command, (int)pid);
	int fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, line, (size_t)len) < 0)
		err = -errno;
	close(fd);

	return err;
}

/* Profiles a process from now on; -EEXIST when it is registered already. */
static inline int mp3_register(pid_t pid)
{
	return mp3_command('R', pid);
}

/*
 * The same, and each of its descendants; one that is registered already is
 * followed from now on, and -EEXIST says that it was.
 */
static inline int mp3_follow(pid_t pid)
{
	return mp3_command('F', pid);
}

/* Stops profiling a process; -ESRCH when it is not registered. */
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
 * Any process may call this.
 *
 * Return: 1 if it is registered, 0 if it is not, or a negative errno.
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

/**
 * struct mp3_reader - one reader of a ring
 * @header:   header page, mapped read-only
 * @data:     slots, mapped
 * @size:     bytes mapped at @data
 * @next:     number of the entry to look at next
 * @lost:     entries that were overwritten before they could be looked at
 * @capacity: slots
 * @words:    words of a slot
 * @version:  the device's ABI version, 0 if it has none; set even by an open
 *	      that refuses it
 * @fd:	      the open device, to poll
 */
struct mp3_reader {
	const struct mp3_header *header;
	unsigned long *data;
	size_t size;
	__u64 next;
	__u64 lost;
	__u32 capacity;
	__u32 words;
	__u32 version;
	int fd;
};

/* How many entries have ever been published. */
static inline __u64 mp3_reader_head(const struct mp3_reader *reader)
{
	/*
	 * Pairs with the release store of head in mp3.c's publish: the entries
	 * below it are there.
	 */
	return __atomic_load_n(&reader->header->head, __ATOMIC_ACQUIRE);
}

/* The first i for which i + capacity - 1 > head: none before it is safe. */
static inline __u64 mp3_reader_oldest(const struct mp3_reader *reader,
				      __u64 head)
{
	return head + 2 > reader->capacity ? head + 2 - reader->capacity : 0;
}

/* A second time, or after an open that failed, it does nothing. */
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

/*
 * Opens a ring of entries of @words words, at most @max of them; @pages are
 * its data's, 0 where the capacity says it.
 */
static inline int mp3_reader_map(struct mp3_reader *reader, const char *path,
				 bool writable, __u32 words, size_t pages,
				 size_t max)
{
	size_t page = (size_t)getpagesize(), size = words * sizeof(long);
	const struct mp3_header *header;
	struct stat stat;
	void *map;
	int err = -EPROTO;

	*reader = (struct mp3_reader){ .words = words };
	reader->fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (reader->fd < 0)
		goto fail_errno;

	/*
	 * Reading a mapping behind a file's end is a SIGBUS, not an error; and
	 * so it is with block devices and /dev/zero (major number 1).
	 */
	if (fstat(reader->fd, &stat))
		goto fail_errno;
	if (!S_ISREG(stat.st_mode) &&
	    (!S_ISCHR(stat.st_mode) || major(stat.st_rdev) == 1))
		goto fail;
	if (S_ISREG(stat.st_mode)) {
		if (stat.st_size < (off_t)(MP3_OFF_HEADER + page))
			goto fail;
		if (max > MP3_OFF_HEADER / size)
			max = MP3_OFF_HEADER / size;
	}

	map = mmap(NULL, page, PROT_READ, MAP_SHARED, reader->fd,
		   MP3_OFF_HEADER);
	if (map == MAP_FAILED)
		goto fail_errno;
	header = map;
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
	map = mmap(NULL, reader->size, PROT_READ | (writable ? PROT_WRITE : 0),
		   MAP_SHARED, reader->fd, 0);
	if (map == MAP_FAILED)
		goto fail_errno;
	reader->data = map;
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
 * @path:     MP3_DEVICE_PATH; its mode says who may
 * @writable: for mp3_reader_consume()
 *
 * Return: 0, -EPROTO where there is no ring of samples or one of another
 * version, or an error of open(2) or mmap(2).
 */
static inline int mp3_reader_open(struct mp3_reader *reader, const char *path,
				  bool writable)
{
	return mp3_reader_map(reader, path, writable, MP3_WORDS, MP3_DATA_PAGES,
			      MP3_DATA_PAGES * (size_t)getpagesize() /
			      sizeof(struct mp3_sample));
}

/**
 * mp3_reader_open_records() - open the ring of records at its oldest entry
 * @reader: filled; its entries are for mp3_reader_next_record() alone
 * @path:   MP3_PROCS_PATH; its mode says who may
 *
 * Return: 0, -EPROTO where there is no ring of records or one of another
 * version, or an error of open(2) or mmap(2).
 */
static inline int mp3_reader_open_records(struct mp3_reader *reader,
					  const char *path)
{
	return mp3_reader_map(reader, path, false, MP3_RECORD_WORDS, 0,
			      MP3_MAX_RECORDS);
}

/*
 * Copies the next entry that nobody has consumed, and returns 1, or 0 when
 * there is nothing new.
 */
static inline int mp3_reader_copy(struct mp3_reader *reader,
				  unsigned long *copy)
{
	__u64 head = mp3_reader_head(reader), oldest;
	const unsigned long *slot;
	unsigned int i;

	while (reader->next < head) {
		slot = reader->data +
		       reader->next % reader->capacity * reader->words;
		for (i = 1; i < reader->words; i++)
			copy[i] = __atomic_load_n(&slot[i], __ATOMIC_RELAXED);
		/*
		 * Pairs with the release fence in mp3_reader_consume(): if a
		 * word was cleared already, so is word 0. And, as the acquire
		 * of word 0 does for itself, with the write barrier before an
		 * overwrite in mp3.c's mp3_ring_begin(): if one is the writer's, the
		 * head loaded behind them says that the entry was given up.
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
 * mp3_reader_next() - read the next sample that nobody has consumed
 * @reader: open; @reader->next - 1 is then the number of the entry
 * @sample: filled
 *
 * Return: 1, or 0 when there is nothing new.
 */
static inline int mp3_reader_next(struct mp3_reader *reader,
				  struct mp3_sample *sample)
{
	return mp3_reader_copy(reader, (unsigned long *)sample);
}

/**
 * mp3_reader_next_record() - read the next record; nobody consumes these
 * @reader: open by mp3_reader_open_records(); @reader->next - 1 is then the
 *	    number of the entry
 * @record: filled
 *
 * Return: 1, or 0 when there is nothing new.
 */
static inline int mp3_reader_next_record(struct mp3_reader *reader,
					 struct mp3_record *record)
{
	unsigned long copy[MP3_RECORD_WORDS];

	if (!mp3_reader_copy(reader, copy))
		return 0;
	/* Not copied in place: __u64 is another type than unsigned long. */
	memcpy(record, copy, sizeof(copy));

	return 1;
}

/**
 * mp3_reader_consume() - take an entry out, so that no other reader finds it
 * @reader: open by mp3_reader_open(), writable
 * @number: the entry's
 * @sample: as mp3_reader_next() has filled it
 *
 * Readers that know no header go by the first word that is not -1, so all of
 * an entry's words become -1. The first one is compared, and an entry that the
 * kernel has just put there differs in it. The others cannot be: where the
 * kernel, at work, is about to overwrite them they are left to it, and
 * MP3_CLEAR_DISTANCE is there for a reader that loses the CPU between its look
 * at the head and its stores.
 *
 * Return: true, or false when it was consumed or overwritten already.
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
 * mp3_reader_wait() - sleep until something was published since the last wait
 * @reader:	open
 * @timeout_ms: milliseconds, -1 for ever
 *
 * Return: 1, 0 when the time was over, or a negative errno.
 */
static inline int mp3_reader_wait(const struct mp3_reader *reader,
				  int timeout_ms)
{
	struct pollfd pollfd = { .fd = reader->fd, .events = POLLIN };
	int ready = poll(&pollfd, 1, timeout_ms);

	return ready < 0 ? -errno : ready;
}

/**
 * mp3_reader_time() - when a sample was taken, to one clock tick
 * @reader: open
 * @sample: one of its entries
 *
 * Return: nanoseconds of CLOCK_MONOTONIC.
 */
static inline __u64 mp3_reader_time(const struct mp3_reader *reader,
				    const struct mp3_sample *sample)
{
	const struct mp3_header *header = reader->header;
	__u64 ticks = sample->jiffies - header->base_jiffies;

	/* In two parts, since ticks * 10^9 overflows in a few months. */
	return header->base_ns + ticks / header->hz * 1000000000 +
	       ticks % header->hz * 1000000000 / header->hz;
}

#endif /* MP3_CLIENT_H */
