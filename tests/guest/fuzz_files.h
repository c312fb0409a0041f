/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The operations of the fuzz test on the module's files: opening and passing them,
 * commands, reading, mappings, waiting, io_uring, and buffers whose copy blocks.
 */
#ifndef MP3_FUZZ_FILES_H
#define MP3_FUZZ_FILES_H

#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <setjmp.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "fuzz.h"

#define NR_FILES	6
#define NR_MAPS		10
#define TEST_RECORDS	262144	/* parameters of the module */
#define RELOADED_RECORDS 4096	/* fewer are loaded faster */
#define TEST_CAPTURE_RECORDS 4096
#define TEST_CAPTURE_FAULTS 1024

enum kind { NONE, STATUS, SAMPLES, RECORDS, CAPTURE };

static const char * const kind_paths[] = {
	NULL, MP3_STATUS_PATH, MP3_DEVICE_PATH, MP3_PROCS_PATH, CAPTURE_PATH,
};

/**
 * struct file - an open file of a worker
 * @fd:	    its descriptor
 * @kind:   what was opened, NONE if this is unused
 * @access: how: O_RDONLY, O_WRONLY or O_RDWR
 * @last:   its header when that was last checked
 */
struct file {
	int fd;
	enum kind kind;
	int access;
	struct mp3_header last;
};

/**
 * struct map - a mapping of a worker, or a part of one
 * @start:    first byte
 * @pages:    how many are mapped there, 0 if this is unused
 * @kind:     what is mapped
 * @writable: it is data of the ring of samples
 * @forked:   children inherit it, as far as is known
 */
struct map {
	char *start;
	size_t pages;
	enum kind kind;
	bool writable, forked;
};

static struct file files[NR_FILES];
static struct map maps[NR_MAPS];
static int epoll_fd = -1, pipe_fds[2] = { -1, -1 }, post[2];
static char *edge;	/* the end of two pages, which an inaccessible one follows */

/* ---- Files ---- */

static inline bool is_ring(enum kind kind)
{
	return kind >= SAMPLES;
}

/* Returns a random open file, or NULL. */
static inline struct file *pick_file(void)
{
	unsigned int i, first = below(NR_FILES);

	for (i = 0; i < NR_FILES; i++) {
		struct file *file = &files[(first + i) % NR_FILES];

		if (file->kind)
			return file;
	}
	return NULL;
}

/* Returns a random open ring, or NULL. */
static inline struct file *pick_ring(void)
{
	unsigned int i, first = below(NR_FILES);

	for (i = 0; i < NR_FILES; i++) {
		struct file *file = &files[(first + i) % NR_FILES];

		if (is_ring(file->kind))
			return file;
	}
	return NULL;
}

static inline void close_file(struct file *file)
{
	if (file->kind)
		close(file->fd);
	*file = (struct file){ .fd = -1 };
}

/* Keep a descriptor, in place of another one. */
static inline void keep_file(int fd, enum kind kind, int access)
{
	struct file *file = &files[below(NR_FILES)];

	close_file(file);
	*file = (struct file){ fd, kind, access, { 0 } };
}

static inline void op_open(void)
{
	static const int extra[] = {
		0, 0, O_NONBLOCK, O_APPEND, O_SYNC, O_NOFOLLOW, O_TRUNC, O_DIRECT,
		O_DIRECTORY, O_EXCL,
	};
	int access = chance(75) ? O_RDWR : (int)below(3);
	int flags = access | O_CLOEXEC;
	enum kind kind = chance(60) ? CAPTURE : STATUS;
	static const int errors[] = {
		EMFILE, EBUSY, ENOMEM, EINVAL, ENOTDIR, ENOENT, ELOOP, 0
	};
	static const int foreign_errors[] = {
		EACCES, ENOENT, ENOTDIR, EINVAL, ELOOP, 0
	};
	bool is_foreign;
	char path[40];
	long fd;

	if (chance(self.is_root ? 35 : 8))
		kind = chance(50) ? SAMPLES : RECORDS;
	snprintf(path, sizeof(path), "%s", kind_paths[kind]);
	if (chance(10)) {
		const struct file *file = pick_file();

		/* What an open of a descriptor opens is a new capture. */
		if (file) {
			kind = file->kind;
			snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
		}
	}
	is_foreign = (kind == SAMPLES || kind == RECORDS) && !self.is_root;
	flags |= pick(extra, ARRAY_SIZE(extra));
	fd = expect(path, result(open(path, flags)),
		    is_foreign ? foreign_errors : errors);
	if (fd < 0)
		return;
	if (is_foreign)
		complain("%s: opened by user %u", path, self.uid);
	keep_file(fd, kind, access);
}

static inline void op_close(void)
{
	struct file *file = pick_file();

	if (file)
		close_file(file);
}

static inline void op_dup(void)
{
	struct file *file = pick_file();
	int fd = file ? fcntl(file->fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (fd >= 0)
		keep_file(fd, file->kind, file->access);
}

/* Open as many captures as possible, and close them. */
static inline void op_exhaust(void)
{
	int fds[64], nr = 0;
	long fd;

	do {
		fd = expect(CAPTURE_PATH, capture_try_open(),
			    ERRORS(EMFILE, EBUSY, ENOMEM));
		if (fd >= 0)
			fds[nr++] = fd;
	} while (fd >= 0 && nr < 64);
	if (nr == 64 || (!self.is_privileged && nr > 8))
		complain("%d captures opened", nr);
	while (nr--)
		close(fds[nr]);
}

/* A message with an enum kind and, in @control, a descriptor. */
static inline struct msghdr passed_fd(struct iovec *iov, void *control,
				      size_t size)
{
	return (struct msghdr){
		.msg_iov = iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = size,
	};
}

/* Send a descriptor to whichever worker receives it. */
static inline void op_pass(void)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct file *file = pick_file();
	struct cmsghdr *cmsg;
	struct msghdr msg;
	struct iovec iov;

	if (!file || phase_now() == RELOADED)
		return;
	iov = (struct iovec){ file, offsetof(struct file, last) };
	msg = passed_fd(&iov, control.buffer, sizeof(control.buffer));
	cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &file->fd, sizeof(int));
	sendmsg(post[0], &msg, MSG_DONTWAIT);
}

/* Receive a descriptor. Returns false if none has been sent. */
static inline bool receive_file(struct file *file)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { file, offsetof(struct file, last) };
	struct msghdr msg = passed_fd(&iov, control.buffer,
				      sizeof(control.buffer));

	if (recvmsg(post[1], &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
		return false;
	file->fd = -1;
	if (CMSG_FIRSTHDR(&msg))
		memcpy(&file->fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return true;
}

static inline void op_receive(void)
{
	struct file file = { .fd = -1 };

	if (receive_file(&file) && file.fd >= 0)
		keep_file(file.fd, file.kind, file.access);
}

/* ---- Commands ---- */

static inline void count_write(enum kind kind)
{
	if (kind == STATUS || kind == CAPTURE)
		count_one(kind == CAPTURE ? CAPTURE_WRITES : STATUS_WRITES);
}

/*
 * Choose a file to write commands to, and set @kind. Returns its descriptor, which
 * the caller closes if @to_close is set, or -1.
 */
static inline int pick_commanded(enum kind *kind, bool *to_close)
{
	struct file *file = pick_file();

	*to_close = !file || chance(30);
	*kind = *to_close ? STATUS : file->kind;
	if (!*to_close)
		return file->fd;
	return open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
}

/*
 * Write commands, from a good buffer or from one whose end cannot be read. What
 * is accepted ends at the end of a line.
 */
static inline void op_write(void)
{
	static const int bad_buffer_errors[] = {
		EINVAL, ESRCH, EEXIST, EPERM, ENOMEM, EOPNOTSUPP, EFAULT, 0
	};
	static char text[MAX_TEXT];
	enum kind kind;
	bool to_close, is_bad;
	int fd = pick_commanded(&kind, &to_close);
	size_t size = compose(text, kind == CAPTURE), beyond = 0;
	char *start;
	long ret;

	if (fd < 0)
		return;
	if (chance(10))
		beyond = below(size < 70 ? size + 1 : 70);
	is_bad = beyond;
	start = edge - size + beyond;
	memcpy(start, text, size - beyond);
	if (chance(20))
		ret = result(pwrite(fd, start, size, random_bits() >> below(64)));
	else
		ret = result(write(fd, start, size));
	count_write(kind);
	/* A file that was opened for reading, or one without positions */
	if (ret != -EBADF && ret != -ESPIPE && ret != -EFBIG)
		expect("write of commands", ret,
		       is_bad ? bad_buffer_errors : command_errors);
	if (ret > (long)size || (ret >= 0 && size > PAGE))
		complain("write of %zu bytes: %ld", size, ret);
	else if (ret > 0 && ret < (long)size && text[ret - 1] &&
		 text[ret - 1] != '\n')
		complain("a write ended within a line, after %ld bytes", ret);
	if (to_close)
		close(fd);
}

/* Write commands with a vector: each of its parts is a write of its own. */
static inline void op_writev(void)
{
	static char text[2][MAX_TEXT];
	enum kind kind;
	bool to_close;
	int fd = pick_commanded(&kind, &to_close);
	struct iovec iov[2];
	unsigned int i;

	if (fd < 0)
		return;
	for (i = 0; i < 2; i++) {
		iov[i].iov_base = text[i];
		iov[i].iov_len = compose(text[i], kind == CAPTURE);
	}
	result(writev(fd, iov, 2));
	count_write(kind);
	if (to_close)
		close(fd);
}

/* L with every n, on a capture. */
static inline void op_locate(void)
{
	struct file *file = pick_ring();
	char line[40];
	long ret;
	int size;

	if (!file)
		return;
	size = snprintf(line, sizeof(line), "L,%u,%u",
			chance(25) ? 0 : 1u << below(17), below(9));
	ret = result(write(file->fd, line, size));
	count_one(CAPTURE_WRITES);
	if (ret != -EBADF && ret != -EINVAL)
		expect(line, ret, ERRORS(EPERM, ENOMEM, EOPNOTSUPP));
	if (ret == -EINVAL && file->kind == CAPTURE)
		complain("%s: refused", line);
}

/* A user's command for a process of root's is refused. */
static inline void op_foreign(void)
{
	pid_t pid = shared->root_bystander;
	char line[40], letter = "RFU"[below(3)];
	int size = snprintf(line, sizeof(line), "%c,%d", letter, pid), fd;
	enum kind kind;
	bool to_close;
	long ret;

	if (self.is_privileged || self.in_pid_ns || pid <= 0)
		return;
	fd = pick_commanded(&kind, &to_close);
	ret = result(write(fd, line, size));
	count_write(kind);
	if (kind != SAMPLES && kind != RECORDS && ret != -EPERM && ret != -EBADF)
		complain("%s of root's by user %u: %ld", line, self.uid, ret);
	if (to_close)
		close(fd);
}

/* ---- Reading ---- */

/* Check a part of a listing that begins with a line. */
static inline void check_listing(const char *text, size_t size)
{
	size_t i;
	long pid = 0;

	for (i = 0; i < size; i++) {
		if (isdigit((unsigned char)text[i])) {
			pid = 10 * pid + text[i] - '0';
			continue;
		}
		if (text[i] != '\n' || pid <= 0 || pid > 4194304) {
			complain("the listing has a byte %#x after %ld",
				 text[i], pid);
			return;
		}
		if (pid == shared->root_bystander && !self.is_privileged &&
		    !self.in_pid_ns)
			complain("user %u has root's process listed", self.uid);
		pid = 0;
	}
}

/* Read the listing, in pieces, or anywhere. */
static inline void op_list(void)
{
	static char text[65536];
	int fd = open(MP3_STATUS_PATH, O_RDONLY | O_CLOEXEC);
	size_t size = 0, piece = chance(50) ? sizeof(text) : 1 + below(300);
	long ret = 1;

	if (fd < 0)
		return;
	if (chance(30)) {
		ret = result(pread(fd, text, 1 + below(5000), below(100000)));
		expect("pread of the listing", ret, ERRORS(EINVAL));
		lseek(fd, below(2) ? 0 : below(5000), SEEK_SET);
		expect("read of the listing", result(read(fd, text, piece)),
		       ERRORS(ENOMEM));
		close(fd);
		return;
	}
	while (ret > 0 && size < sizeof(text)) {
		if (piece > sizeof(text) - size)
			piece = sizeof(text) - size;
		ret = expect("read of the listing",
			     result(read(fd, text + size, piece)),
			     ERRORS(ENOMEM));
		if (ret > 0)
			size += ret;
	}
	check_listing(text, size);
	close(fd);
}

/* Operations that the files do not have. */
static inline void op_misc(void)
{
	struct file *file = pick_file();
	char bytes[64];
	off_t offset = below(4096);
	long ret = 0;

	if (!file)
		return;
	switch (below(9)) {
	case 0:
		ret = result(read(file->fd, bytes, sizeof(bytes)));
		if (is_ring(file->kind) && ret >= 0)
			complain("read of a ring: %ld", ret);
		break;
	case 1:
		ret = result(ioctl(file->fd, random_bits(), bytes));
		break;
	case 2:
		result(lseek(file->fd, random_bits(), below(6)));
		break;
	case 3:
		result(ftruncate(file->fd, offset));
		break;
	case 4:
		result(fallocate(file->fd, below(4), 0, offset));
		break;
	case 5:
		result(sendfile(pipe_fds[1], file->fd, &offset, 64));
		break;
	case 6:
		result(splice(file->fd, NULL, pipe_fds[1], NULL, 64,
			      SPLICE_F_NONBLOCK));
		break;
	case 7:
		result(fcntl(file->fd, F_SETFL, chance(50) ? O_NONBLOCK : 0));
		break;
	default:
		result(fsync(file->fd));
	}
	if (ret > 0 && is_ring(file->kind))
		complain("a call that rings lack: %ld", ret);
}

/* ---- What is mapped ---- */

/**
 * struct region - a part of a ring that can be mapped
 * @first:   its first page, as an offset for mmap(2)
 * @pages:   how many there are
 * @located: it exists after L only
 */
struct region {
	unsigned long first, pages;
	bool located;
};

#define MAX_REGIONS	5

/* Fill @regions. Returns how many a kind of file has. The data come first. */
static inline unsigned int regions_of(enum kind kind, struct region *regions)
{
	size_t records = kind == CAPTURE ? TEST_CAPTURE_RECORDS :
			 shared->records;
	size_t data = kind == SAMPLES ? MP3_DATA_PAGES :
		      (records * sizeof(struct mp3_record) + PAGE - 1) / PAGE;

	if (!is_ring(kind))
		return 0;
	regions[0] = (struct region){ 0, data, false };
	regions[1] = (struct region){ MP3_OFF_HEADER / PAGE, 1, false };
	if (kind != CAPTURE)
		return 2;
	regions[2] = (struct region){ MP3_OFF_FAULTS_HEADER / PAGE, 1, true };
	regions[3] = (struct region){
		MP3_OFF_FAULTS / PAGE,
		(TEST_CAPTURE_FAULTS * sizeof(struct mp3_fault) + PAGE - 1) / PAGE,
		true
	};
	regions[4] = (struct region){ MP3_OFF_FILES / PAGE, FILES_SIZE / PAGE,
				      true };
	return MAX_REGIONS;
}

/* Returns the region that contains these pages, or NULL. */
static inline const struct region *
region_at(enum kind kind, unsigned long first, unsigned long pages)
{
	static struct region regions[MAX_REGIONS];
	unsigned int i, nr = regions_of(kind, regions);

	for (i = 0; i < nr; i++)
		if (first >= regions[i].first && pages <= regions[i].pages &&
		    first - regions[i].first <= regions[i].pages - pages)
			return &regions[i];
	return NULL;
}

/* ---- Headers and entries ---- */

static inline void check_header(const struct mp3_header *now,
				const struct mp3_header *last, uint32_t entry_size)
{
	if (now->magic != MP3_MAGIC || now->version != MP3_ABI_VERSION ||
	    now->entry_size != entry_size)
		complain("header: magic %#x, version %u, entry size %u",
			 now->magic, now->version, now->entry_size);
	if (now->head < last->head || now->ticks < last->ticks ||
	    now->missed < last->missed || now->cost_ns < last->cost_ns ||
	    now->dropped < last->dropped || now->denied < last->denied ||
	    now->counted < last->counted || now->located < last->located)
		complain("header: head %lu to %lu, ticks %lu to %lu, or another, goes back",
			 (long)last->head, (long)now->head, (long)last->ticks,
			 (long)now->ticks);
	if (!now->interval_ns || now->interval_ns > 10000000000 || !now->hz)
		complain("header: interval %lu, hz %u", (long)now->interval_ns,
			 now->hz);
}

/* Map one page, or more, of an open file for reading. Returns NULL on an error. */
static inline const volatile void *
map_region(const struct file *file, off_t offset, size_t size)
{
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, file->fd, offset);

	count_one(MAPPING_CALLS);
	return map == MAP_FAILED ? NULL : map;
}

static inline void unmap_region(const volatile void *map, size_t size)
{
	if (map)
		munmap((void *)map, size);
	count_one(MAPPING_CALLS);
}

/* No number in a header goes back, and its constants are right. */
static inline void op_header(void)
{
	struct file *file = pick_ring();
	const volatile struct mp3_header *header;
	struct mp3_header now;

	if (!file || file->access == O_WRONLY)
		return;
	header = map_region(file, MP3_OFF_HEADER, PAGE);
	if (!header)
		return;
	now = *(const struct mp3_header *)header;
	check_header(&now, &file->last, file->kind == SAMPLES ?
		     sizeof(struct mp3_sample) : sizeof(struct mp3_record));
	file->last = now;
	unmap_region(header, PAGE);
}

/* The newest records are complete. */
static inline void op_records(void)
{
	struct file *file = pick_ring();
	const volatile struct mp3_header *header;
	const struct region *region;
	const struct mp3_record *records;
	uint64_t i, head, capacity;
	size_t size;

	if (!file || file->kind == SAMPLES || file->access == O_WRONLY)
		return;
	region = region_at(file->kind, 0, 1);
	size = region->pages * PAGE;
	header = map_region(file, MP3_OFF_HEADER, PAGE);
	records = (const struct mp3_record *)map_region(file, 0, size);
	if (!header || !records)
		goto out;
	capacity = header->capacity;
	head = __atomic_load_n(&header->head, __ATOMIC_ACQUIRE);
	for (i = head > 20 ? head - 20 : 0; i < head; i++) {
		struct mp3_record r = records[i % capacity];

		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (i + capacity - 1 <= __atomic_load_n(&header->head,
							__ATOMIC_RELAXED))
			continue;
		if (!r.pid || r.flags > MP3_IDENTITY ||
		    r.comm[sizeof(r.comm) - 1])
			complain("record %lu: pid %u, flags %#x", (long)i, r.pid,
				 r.flags);
	}
out:
	unmap_region(header, PAGE);
	unmap_region(records, size);
}

/* The newest faults are complete. */
static inline void op_faults(void)
{
	const uint32_t known = MP3_FAULT_STACK * 2 - 1;
	struct file *file = pick_ring();
	struct fault_ring r = { .capacity = TEST_CAPTURE_FAULTS };
	uint64_t i, head;

	if (!file || file->kind != CAPTURE || file->access == O_WRONLY)
		return;
	r.size = region_at(CAPTURE, MP3_OFF_FAULTS / PAGE, 1)->pages * PAGE;
	r.header = map_region(file, MP3_OFF_FAULTS_HEADER, PAGE);
	r.data = map_region(file, MP3_OFF_FAULTS, r.size);
	r.files = map_region(file, MP3_OFF_FILES, FILES_SIZE);
	if (!r.header || !r.data || !r.files)
		goto out;
	check_header((const struct mp3_header *)r.header,
		     &(struct mp3_header){ 0 }, sizeof(struct mp3_fault));
	head = fault_head(&r);
	for (i = head > 20 ? head - 20 : 0; i < head; i++) {
		struct mp3_fault f;
		uint32_t frames;

		if (!fault_read(&r, i, &f))
			continue;
		frames = MP3_FAULT_FRAMES(f.flags);
		if (!f.pid || !f.tid || frames > MP3_FRAMES ||
		    f.flags & 0x0fffffff & ~known ||
		    (f.file > MP3_FILES && f.file != MP3_UNKNOWN_FILE))
			complain("fault %lu: pid %u, tid %u, file %u, flags %#x",
				 (long)i, f.pid, f.tid, f.file, f.flags);
	}
	for (i = 0; i < 8; i++) {
		uint32_t at = below(MP3_FILES);
		uint32_t number = __atomic_load_n(&r.files[at].number,
						  __ATOMIC_ACQUIRE);

		if (number && (number != at + 1 || r.files[at].path[223]))
			complain("file %u has number %u", at + 1, number);
	}
out:
	unmap_region(r.header, PAGE);
	unmap_region(r.data, r.size);
	unmap_region(r.files, FILES_SIZE);
}

/* ---- Mappings ---- */

static sigjmp_buf access_jump;
static volatile sig_atomic_t is_accessing;

static inline void handle_fault(int signal_nr)
{
	if (is_accessing)
		siglongjmp(access_jump, signal_nr);
	signal(signal_nr, SIG_DFL);
}

/* Load or store one byte. Returns 0, or the signal that it caused. */
static inline int try_access(volatile char *at, bool store)
{
	int caught = sigsetjmp(access_jump, 1);

	if (!caught) {
		is_accessing = 1;
		if (store)
			*at = (uintptr_t)at >> 3;
		else
			(void)*at;
	}
	is_accessing = 0;
	return caught;
}

/* Returns a random mapping, or NULL. */
static inline struct map *pick_map(void)
{
	unsigned int i, first = below(NR_MAPS);

	for (i = 0; i < NR_MAPS; i++) {
		struct map *map = &maps[(first + i) % NR_MAPS];

		if (map->pages)
			return map;
	}
	return NULL;
}

/* Choose pages of a mapping. Returns their address, and sets @size. */
static inline char *pick_range(const struct map *map, size_t *size)
{
	size_t first = chance(50) ? 0 : below(map->pages);
	size_t pages = chance(50) ? map->pages - first :
		       1 + below(map->pages - first);

	*size = pages * PAGE;
	return map->start + first * PAGE;
}

/* Note a new mapping, in place of another one. */
static inline void keep_map(struct map new)
{
	struct map *map = &maps[below(NR_MAPS)];

	if (map->pages)
		munmap(map->start, map->pages * PAGE);
	*map = new;
}

/* Map any part of a file, in any way. Only what the file allows succeeds. */
static inline void op_mmap(void)
{
	static const int extra[] = {
		MAP_POPULATE, MAP_LOCKED, MAP_NORESERVE, MAP_GROWSDOWN,
		MAP_HUGETLB, MAP_SYNC, MAP_STACK, MAP_DENYWRITE,
	};
	static const int errors[] = {
		EINVAL, EPERM, EACCES, ENOMEM, EAGAIN, EOVERFLOW, EOPNOTSUPP,
		ENODEV, EIO, 0
	};
	struct region regions[MAX_REGIONS], any = { 0, 1, false };
	int prot = chance(70) ? PROT_READ : (int)below(8), flags = MAP_SHARED;
	struct file *file = chance(95) ? pick_ring() : pick_file();
	const struct region *inside;
	unsigned long first, pages;
	bool plain = true, writable;
	unsigned int nr;
	struct map new;
	long offset, ret;

	if (!file)
		return;
	nr = regions_of(file->kind, regions);
	if (nr)
		any = regions[below(nr)];
	first = any.first + (chance(50) ? 0 : below(any.pages));
	pages = any.pages - (first - any.first);
	if (chance(50))
		pages = 1 + below(pages);
	if (chance(10))
		pages += 1 + below(3);
	if (chance(5))
		first += chance(50) ? 1 : -1;
	offset = first * PAGE;
	if (chance(5))
		offset = random_bits() >> below(64);
	if (chance(20))
		flags = chance(80) ? MAP_PRIVATE : MAP_SHARED_VALIDATE;
	if (chance(15)) {
		flags |= pick(extra, ARRAY_SIZE(extra));
		plain = false;
	}

	ret = expect("mmap", result((long)mmap(NULL, pages * PAGE, prot, flags,
					       file->fd, offset)), errors);
	count_one(MAPPING_CALLS);
	first = offset / PAGE;
	inside = offset % PAGE || offset < 0 ? NULL :
		 region_at(file->kind, first, pages);
	writable = inside && file->kind == SAMPLES && !inside->first;
	if (ret > 0) {
		if (!inside || prot & PROT_EXEC ||
		    (prot & PROT_WRITE && !writable))
			complain("mmap of %s: %lu pages at %#lx, prot %d, succeeds",
				 kind_paths[file->kind], pages, offset, prot);
		new = (struct map){
			(char *)ret, pages, file->kind, writable, true
		};
		keep_map(new);
		return;
	}
	if (inside && !inside->located && plain && ret != -ENOMEM &&
	    file->access == O_RDWR && !(prot & PROT_EXEC) &&
	    !(prot & PROT_WRITE && !writable))
		complain("mmap of %s: %lu pages at %#lx, prot %d, flags %#x: %s",
			 kind_paths[file->kind], pages, offset, prot, flags,
			 strerror(-ret));
}

/* Load from a mapping, or store to it. A store succeeds to samples only. */
static inline void op_touch(void)
{
	unsigned int i, times = 1 + below(8);
	struct map *map = pick_map();

	for (i = 0; map && i < times; i++) {
		char *at = map->start + below(map->pages) * PAGE + below(PAGE);
		bool store = chance(30);
		int caught = try_access(at, store);

		if (caught == SIGBUS)
			complain("SIGBUS within a mapping of %s",
				 kind_paths[map->kind]);
		if (store && !caught && !map->writable)
			complain("a store to %s succeeds", kind_paths[map->kind]);
	}
}

static inline void op_mprotect(void)
{
	int prot = chance(90) ? (int)below(8) :
		   (int)below(8) | PROT_GROWSDOWN;
	struct map *map = pick_map();
	size_t size;
	char *start;
	long ret;

	if (!map)
		return;
	start = pick_range(map, &size);
	ret = expect("mprotect", result(mprotect(start, size, prot)),
		     ERRORS(EACCES, EINVAL, ENOMEM));
	count_one(MAPPING_CALLS);
	if (!ret && (prot & PROT_EXEC || (prot & PROT_WRITE && !map->writable)))
		complain("mprotect of %s: prot %d succeeds", kind_paths[map->kind],
			 prot);
}

/* Remove the beginning, the end, the middle or all of a mapping. */
static inline void op_munmap(void)
{
	struct map *map = pick_map(), rest;
	size_t size, before, after;
	char *start;

	if (!map)
		return;
	start = pick_range(map, &size);
	munmap(start, size);
	count_one(MAPPING_CALLS);
	before = (start - map->start) / PAGE;
	after = map->pages - before - size / PAGE;
	rest = *map;
	rest.start = start + size;
	rest.pages = after;
	map->pages = before;
	if (!before)
		*map = rest;
	else if (after)
		keep_map(rest);
}

/* Shrink, move, and try to grow or to duplicate a mapping. */
static inline void op_mremap(void)
{
	static const int errors[] = { EFAULT, EINVAL, ENOMEM, EAGAIN, 0 };
	struct map *map = pick_map();
	size_t size, new_pages;
	char *hole;
	long ret;

	if (!map)
		return;
	size = map->pages * PAGE;
	count_one(MAPPING_CALLS);
	switch (below(4)) {
	case 0:
		new_pages = 1 + below(map->pages);
		ret = expect("mremap", result(syscall(SYS_mremap, map->start, size,
						      new_pages * PAGE, 0)),
			     errors);
		if (ret > 0)
			map->pages = new_pages;
		return;
	case 1:
		hole = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		if (hole == MAP_FAILED)
			return;
		ret = expect("mremap", result(syscall(SYS_mremap, map->start, size,
						      size, MREMAP_MAYMOVE |
						      MREMAP_FIXED, hole)),
			     errors);
		if (ret > 0)
			map->start = (char *)ret;
		else
			munmap(hole, size);
		return;
	case 2:
		ret = result(syscall(SYS_mremap, map->start, size,
				     size + (1 + below(4)) * PAGE,
				     chance(70) ? MREMAP_MAYMOVE : 0));
		break;
	default:
		/* A second mapping of the same pages, or an empty one here */
		ret = result(syscall(SYS_mremap, map->start, chance(50) ? 0 : size,
				     size + PAGE, MREMAP_MAYMOVE | 4));
	}
	if (expect("mremap", ret, errors) > 0)
		complain("mremap of %s beyond %zu bytes succeeds",
			 kind_paths[map->kind], size);
}

static inline void op_madvise(void)
{
	/* All but those that make the kernel abandon a page as broken. */
	static const int advice[] = {
		0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
		22, 23, 24, 25,
	};
	struct map *map = pick_map();
	int choice = pick(advice, ARRAY_SIZE(advice));
	size_t size;
	char *start;

	if (!map)
		return;
	start = pick_range(map, &size);
	count_one(MAPPING_CALLS);
	if (madvise(start, size, choice))
		return;
	if (choice == MADV_DONTFORK)
		map->forked = false;
	if (choice == MADV_DODUMP)
		complain("MADV_DODUMP of %s succeeds", kind_paths[map->kind]);
	if (choice == 23 && !map->writable)
		complain("MADV_POPULATE_WRITE of %s succeeds",
			 kind_paths[map->kind]);
}

/* Calls that lock, synchronize or look up pages, or map them in another order. */
static inline void op_pages(void)
{
	struct map *map = pick_map();
	unsigned char present[4096 + TEST_RECORDS / 32];
	struct region regions[MAX_REGIONS] = { { 0, 1, false } };
	unsigned long first;
	size_t size;
	char *start;

	if (!map)
		return;
	start = pick_range(map, &size);
	count_one(MAPPING_CALLS);
	switch (below(6)) {
	case 0:
		result(mlock(start, size));
		break;
	case 1:
		result(munlock(start, size));
		break;
	case 2:
		result(msync(start, size, 1 << below(3)));
		break;
	case 3:
		if (size / PAGE < sizeof(present))
			result(mincore(start, size, present));
		break;
	case 4:
		result(syscall(SYS_futex, start, FUTEX_WAKE, 1, NULL, NULL, 0));
		break;
	default:
		regions_of(map->kind, regions);
		first = regions[0].first + below(regions[0].pages + 2);
		if (syscall(SYS_remap_file_pages, start, size, 0, first, 0)) {
			/* It may have left a hole. */
			munmap(map->start, map->pages * PAGE);
			map->pages = 0;
		} else if (!region_at(map->kind, first, size / PAGE)) {
			complain("remap_file_pages of %s: %zu pages at %lu succeeds",
				 kind_paths[map->kind], size / PAGE, first);
		} else if (map->kind == SAMPLES) {
			/* Some of its pages are data now, if it was the header. */
			map->writable = true;
		}
	}
}

/* Accesses by the kernel for this process: they observe the same limits. */
static inline void op_memory(void)
{
	struct map *map = pick_map();
	struct iovec local, remote;
	char byte = 0;
	char *at;
	int fd;

	if (!map)
		return;
	at = map->start + below(map->pages) * PAGE + below(PAGE);
	local = (struct iovec){ &byte, 1 };
	remote = (struct iovec){ at, 1 };
	count_one(MAPPING_CALLS);
	switch (below(4)) {
	case 0:
		result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
		break;
	case 1:
		if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) > 0 &&
		    !map->writable)
			complain("process_vm_writev to %s succeeds",
				 kind_paths[map->kind]);
		break;
	case 2:
		/* Unlike a store, this ignores the present protection. */
		fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
		if (fd >= 0 && pwrite(fd, &byte, 1, (off_t)at) > 0 &&
		    !map->writable)
			complain("a write to %s by /proc/self/mem succeeds",
				 kind_paths[map->kind]);
		close(fd);
		break;
	default:
		/* Pin the page: it may outlive the mapping and the capture. */
		remote.iov_base = map->start + (at - map->start) / PAGE * PAGE;
		remote.iov_len = PAGE;
		result(vmsplice(pipe_fds[1], &remote, 1, SPLICE_F_NONBLOCK));
	}
}

/* Read some of what has been spliced. */
static inline void op_unpin(void)
{
	static char page[65536];

	result(read(pipe_fds[0], page, 1 + below(PAGE)));
}

/* No mapping of a ring is writable or executable that must not be, or too large. */
static inline void op_maps(void)
{
	FILE *stream = fopen("/proc/self/maps", "re");
	unsigned long start, end, offset;
	char line[512], perms[5];

	while (stream && fgets(line, sizeof(line), stream)) {
		const char *path = strstr(line, "/dev/mp3");
		enum kind kind;

		if (!path || strstr(path, "deleted"))
			continue;
		if (sscanf(line, "%lx-%lx %4s %lx", &start, &end, perms,
			   &offset) != 4)
			continue;
		kind = !strcmp(path, "/dev/mp3\n") ? SAMPLES :
		       !strcmp(path, "/dev/mp3_procs\n") ? RECORDS : CAPTURE;
		if (perms[2] == 'x' || (perms[1] == 'w' && kind != SAMPLES) ||
		    !region_at(kind, offset / PAGE, (end - start) / PAGE))
			complain("a mapping: %s", line);
	}
	if (stream)
		fclose(stream);
}

/* ---- Waiting ---- */

static inline void op_poll(void)
{
	struct pollfd fds[3];
	unsigned int i, nr = 0;
	enum kind kinds[3];

	for (i = 0; i < 3; i++) {
		const struct file *file = pick_file();

		if (!file)
			return;
		kinds[nr] = file->kind;
		fds[nr++] = (struct pollfd){
			file->fd, chance(80) ? POLLIN : random_bits(), 0
		};
	}
	expect("poll", result(poll(fds, nr, below(4))), ERRORS(EINTR));
	for (i = 0; i < nr; i++)
		if (is_ring(kinds[i]) && fds[i].revents & ~(POLLIN | POLLRDNORM))
			complain("poll of a ring: %#x", fds[i].revents);
}

static inline void op_epoll(void)
{
	static const int errors[] = {
		EEXIST, ENOENT, EPERM, EINVAL, ELOOP, ENOMEM, ENOSPC, EINTR, 0
	};
	struct file *file = pick_file();
	struct epoll_event events[4] = { {
		.events = EPOLLIN | (chance(40) ? EPOLLET : 0) |
			  (chance(20) ? EPOLLONESHOT : 0) |
			  (chance(10) ? EPOLLEXCLUSIVE : 0),
	} };

	if (!file)
		return;
	expect("epoll_ctl", result(epoll_ctl(epoll_fd, 1 + below(3), file->fd,
					     events)), errors);
	expect("epoll_wait", result(epoll_wait(epoll_fd, events, 4, below(3))),
	       errors);
	if (chance(3)) {
		close(epoll_fd);
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	}
}

/* ---- io_uring ---- */

#define URING_ENTRIES	16

/**
 * struct uring - the io_uring of a worker
 * @fd:	    its descriptor, 0 before the first use, -1 if there is none
 * @params: as returned by io_uring_setup(2)
 * @rings:  both queues
 * @sqes:   requests
 * @size:   bytes of @rings
 * @in_use: the requests that have not been completed
 * @texts:  their buffers
 */
static struct uring {
	int fd;
	struct io_uring_params params;
	char *rings;
	struct io_uring_sqe *sqes;
	size_t size;
	bool in_use[URING_ENTRIES];
	char texts[URING_ENTRIES][80];
} uring;

static inline unsigned int *uring_word(unsigned int offset)
{
	return (unsigned int *)(uring.rings + offset);
}

/* Returns false if the kernel, or a limit, does not permit io_uring. */
static inline bool uring_open(void)
{
	struct io_uring_params *p = &uring.params;
	size_t completions;

	memset(p, 0, sizeof(*p));
	if (chance(30)) {
		/* A thread of the kernel executes the requests. */
		p->flags = IORING_SETUP_SQPOLL;
		p->sq_thread_idle = 5;
	}
	uring.fd = syscall(SYS_io_uring_setup, URING_ENTRIES, p);
	if (uring.fd < 0 && p->flags) {
		memset(p, 0, sizeof(*p));
		uring.fd = syscall(SYS_io_uring_setup, URING_ENTRIES, p);
	}
	if (uring.fd < 0 || !(p->features & IORING_FEAT_SINGLE_MMAP))
		goto fail;
	uring.size = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	completions = p->cq_off.cqes +
		      p->cq_entries * sizeof(struct io_uring_cqe);
	if (completions > uring.size)
		uring.size = completions;
	uring.rings = mmap(NULL, uring.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   uring.fd, IORING_OFF_SQ_RING);
	uring.sqes = mmap(NULL, p->sq_entries * sizeof(struct io_uring_sqe),
			  PROT_READ | PROT_WRITE, MAP_SHARED, uring.fd,
			  IORING_OFF_SQES);
	if (uring.rings != MAP_FAILED && (void *)uring.sqes != MAP_FAILED)
		return true;
fail:
	if (uring.fd >= 0)
		close(uring.fd);
	uring.fd = -1;
	return false;
}

static inline void uring_close(void)
{
	if (uring.fd > 0) {
		munmap(uring.rings, uring.size);
		munmap(uring.sqes, uring.params.sq_entries *
		       sizeof(struct io_uring_sqe));
		close(uring.fd);
	}
	memset(&uring, 0, sizeof(uring));
}

/* Take the results that are there. */
static inline void uring_reap(void)
{
	static const int errors[] = {
		EINVAL, ESRCH, EEXIST, EPERM, ENOMEM, EOPNOTSUPP, ECANCELED,
		EBADF, EINTR, EAGAIN, EMFILE, EBUSY, ENOENT, EALREADY, EACCES, 0
	};
	struct io_cqring_offsets *off = &uring.params.cq_off;
	struct io_uring_cqe *cqes = (void *)(uring.rings + off->cqes);
	unsigned int mask = *uring_word(off->ring_mask);
	unsigned int head = *uring_word(off->head);

	while (head != __atomic_load_n(uring_word(off->tail), __ATOMIC_ACQUIRE)) {
		struct io_uring_cqe *cqe = &cqes[head++ & mask];
		unsigned int entry = cqe->user_data % URING_ENTRIES;

		uring.in_use[entry] = false;
		expect("a request to io_uring", cqe->res, errors);
		if (cqe->user_data >= URING_ENTRIES && cqe->res >= 0)
			keep_file(cqe->res, CAPTURE, O_RDWR);
		__atomic_store_n(uring_word(off->head), head, __ATOMIC_RELEASE);
	}
}

/* Fill a request with one for @file. */
static inline void uring_fill(struct io_uring_sqe *sqe, unsigned int entry,
			      const struct file *file)
{
	char *text = uring.texts[entry];

	memset(sqe, 0, sizeof(*sqe));
	sqe->fd = file->fd;
	sqe->user_data = entry;
	sqe->addr = (uintptr_t)text;
	sqe->flags = (chance(40) ? IOSQE_ASYNC : 0) |
		     (chance(10) ? IOSQE_IO_LINK : 0);
	switch (below(10)) {
	case 0:
	case 1:
		sqe->opcode = IORING_OP_POLL_ADD;
		sqe->addr = 0;
		sqe->poll_events = POLLIN;
		break;
	case 2:
		sqe->opcode = chance(50) ? IORING_OP_POLL_REMOVE :
			      IORING_OP_ASYNC_CANCEL;
		sqe->fd = -1;
		sqe->addr = below(URING_ENTRIES);
		break;
	case 3:
		sqe->opcode = IORING_OP_READ;
		sqe->len = sizeof(uring.texts[0]);
		break;
	case 4:
		sqe->opcode = IORING_OP_OPENAT;
		sqe->fd = AT_FDCWD;
		sqe->addr = (uintptr_t)CAPTURE_PATH;
		sqe->open_flags = O_RDWR | O_CLOEXEC;
		sqe->user_data = entry + URING_ENTRIES;
		break;
	default:
		sqe->opcode = IORING_OP_WRITE;
		sqe->len = compose_line(text, sizeof(uring.texts[0]),
					file->kind == CAPTURE);
		if (self.is_privileged && file->kind == STATUS)
			spare_bystander(text, sqe->len);
		count_write(file->kind);
	}
}

/* Submit a request or two, and take results. */
static inline void op_uring(void)
{
	unsigned int i, nr = 1 + below(2), tail, mask, to_submit = 0;
	struct io_sqring_offsets *off = &uring.params.sq_off;

	if (uring.fd < 0 || self.nested || (!uring.fd && !uring_open())) {
		count_one(NO_URING);
		return;
	}
	uring_reap();
	mask = *uring_word(off->ring_mask);
	for (i = 0; i < URING_ENTRIES && to_submit < nr; i++) {
		const struct file *file = pick_file();

		tail = *uring_word(off->tail);
		if (!file || uring.in_use[i] ||
		    tail - __atomic_load_n(uring_word(off->head),
					   __ATOMIC_ACQUIRE) > mask)
			continue;
		uring_fill(&uring.sqes[tail & mask], i, file);
		uring_word(off->array)[tail & mask] = tail & mask;
		uring.in_use[i] = true;
		__atomic_store_n(uring_word(off->tail), tail + 1,
				 __ATOMIC_RELEASE);
		to_submit++;
		count_one(URING_REQUESTS);
	}
	expect("io_uring_enter",
	       result(syscall(SYS_io_uring_enter, uring.fd, to_submit, 0,
			      IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS,
			      NULL, 0)),
	       ERRORS(EAGAIN, EBUSY, EINTR, ENOMEM, EINVAL, EBADF));
	uring_reap();
	/* Polls may never be completed. */
	if (i == URING_ENTRIES || chance(1))
		uring_close();
}

/* ---- A copy that blocks ---- */

struct blocked_write {
	int fd;
	char *buffer;
	long ret;
};

static inline void *blocked_writer(void *arg)
{
	struct blocked_write *write_args = arg;

	write_args->ret = result(write(write_args->fd, write_args->buffer, 64));
	return NULL;
}

/* The child: write from memory whose fault waits for this process. */
static inline void __attribute__((noreturn)) block_write(int fd, unsigned int end)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct blocked_write args = { .fd = fd };
	int faults = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK |
			     (self.is_root ? 0 : UFFD_USER_MODE_ONLY));
	pthread_t thread;

	args.buffer = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)args.buffer;
	reg.range.len = 2 * PAGE;
	if (faults < 0 || args.buffer == MAP_FAILED ||
	    ioctl(faults, UFFDIO_API, &api) ||
	    ioctl(faults, UFFDIO_REGISTER, &reg) ||
	    pthread_create(&thread, NULL, blocked_writer, &args))
		_exit(0);
	short_sleep(3000);
	if (end == 0)
		_exit(0);
	if (end == 1)
		kill(getpid(), SIGKILL);
	if (end == 2)
		munmap(args.buffer, 2 * PAGE);
	close(faults);
	pthread_join(thread, NULL);
	if (args.ret > 64)
		complain("a write that was blocked: %ld", args.ret);
	_exit(0);
}

/* A writer is blocked while its buffer is copied, and then ends in some way. */
static inline void op_block(void)
{
	unsigned int end = below(4);
	enum kind kind;
	bool to_close;
	int fd = pick_commanded(&kind, &to_close);
	pid_t pid;

	if (fd < 0)
		return;
	pid = try_fork();
	if (!pid)
		block_write(fd, end);
	if (pid > 0)
		reap(pid);
	count_write(kind);
	if (to_close)
		close(fd);
}

/* ---- A worker's files ---- */

/* Close and unmap everything that holds the module. */
static inline void release_own(void)
{
	unsigned int i;

	uring_close();
	for (i = 0; i < NR_MAPS; i++)
		if (maps[i].pages)
			munmap(maps[i].start, maps[i].pages * PAGE);
	memset(maps, 0, sizeof(maps));
	for (i = 0; i < NR_FILES; i++)
		files[i] = (struct file){ .fd = -1 };
	/* Also what io_uring has opened since: all but what open_post() did. */
	syscall(SYS_close_range, post[1] + 1, ~0U, 0);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK))
		err(1, "epoll_create1 or pipe2");
}

/* Open a file and map a part of it, if the worker has none. */
static inline void provide_own(void)
{
	if (!pick_ring())
		op_open();
	if (!pick_map())
		op_mmap();
}

/* Open what each worker has. */
static inline void open_own(void)
{
	struct sigaction action = { .sa_handler = handle_fault };
	char *area = mmap(NULL, MAX_TEXT + PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED || mprotect(area + MAX_TEXT, PAGE, PROT_NONE))
		err(1, "mmap");
	edge = area + MAX_TEXT;
	release_own();
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

#endif /* MP3_FUZZ_FILES_H */
