// SPDX-License-Identifier: GPL-2.0
/*
 * A fault can be located while another thread unmaps and closes the file of a caller, a
 * file of overlayfs.
 *
 * The bug: without mmap_lock, mp3 read the fields of a file that could have been closed
 * since. From Linux 6.7 to 6.12, overlayfs' files are freed at once: the fields were
 * those of other memory, and the kernel crashed.
 *
 * Freed memory is poisoned, so that its use is seen.
 *
 * vm: -a slub_debug=FPZ,kmalloc-256
 */
#include <sys/mount.h>

#include "../guest/located.h"

#define DIR		"/tmp/located_overlay"
#define MERGED		DIR "/merged"
#define FILE_PATH	MERGED "/file"
#define PAGES		512	/* that fault between two looks at the changes */
#define CHANGES		3000
#define CALLER		16	/* offset of the return address in the file */

static struct {
	char *region;	/* PAGES of anonymous memory */
	char *code;	/* one page, of the file at times */
} area;

/* Changes of the mapping so far; only the subject's own count is used. */
static unsigned int changes;
static bool stop;

/* Load overlayfs, and mount it with a file. Returns false if there is none. */
static bool mount_overlay(void)
{
	static const char *const dirs[] = {
		DIR "/lower", DIR "/lowest", MERGED,
	};
	int ret = load_file("/mp3/overlay.ko", "");
	unsigned int i;
	int fd;

	if (ret && ret != -ENOENT)
		errx(1, "load overlay: %s", strerror(-ret));
	if (mkdir(DIR, 0755) || mount("none", DIR, "tmpfs", 0, NULL))
		err(1, "%s", DIR);
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdir(dirs[i], 0755))
			err(1, "%s", dirs[i]);
	fd = open(DIR "/lower/file", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, PAGE))
		err(1, "file");
	close(fd);
	if (!mount("none", MERGED, "overlay", 0,
		   "lowerdir=" DIR "/lower:" DIR "/lowest"))
		return true;
	if (errno != ENODEV)
		err(1, "mount overlay");
	return false;
}

static void map_code(void)
{
	int fd = open(FILE_PATH, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || mmap(area.code, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED,
			   fd, 0) != area.code)
		err(1, "%s", FILE_PATH);
	close(fd);
}

/* Map the file and unmap it, which closes it, until @stop is set. */
static void *change(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		map_code();
		if (munmap(area.code, PAGE))
			err(1, "munmap");
		__atomic_add_fetch(&changes, 1, __ATOMIC_RELAXED);
	}
	return arg;
}

/* Fault in each page of the region, with a caller in the page of code. */
static void fault_region(void)
{
	uintptr_t frame[2] = { 0, (uintptr_t)area.code + CALLER };
	size_t i;

	if (madvise(area.region, PAGES * PAGE, MADV_DONTNEED))
		err(1, "madvise");
	for (i = 0; i < PAGES; i++)
		store_with(area.region + i * PAGE, (uintptr_t)frame);
}

/* Fault next to the changes, and once more after the last one. */
static void act(void *arg)
{
	pthread_t thread;

	(void)arg;
	if (pthread_create(&thread, NULL, change, NULL))
		errx(1, "pthread_create");
	while (__atomic_load_n(&changes, __ATOMIC_RELAXED) < CHANGES)
		fault_region();
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	map_code();
	fault_region();
}

static bool in_region(const struct mp3_fault *f)
{
	return f->address >= (uintptr_t)area.region &&
	       f->address < (uintptr_t)area.region + PAGES * PAGE;
}

static bool has_mapping(const struct mp3_fault *f)
{
	return f->file == MP3_NO_FILE &&
	       f->offset == f->address - (uintptr_t)area.region;
}

/* Return whether the fault has its caller, with the file. */
static bool has_file(const struct fault_ring *r, const struct mp3_fault *f)
{
	return MP3_FAULT_FRAMES(f->flags) == 2 &&
	       MP3_FRAME_OFFSET(f->frames[1]) == CALLER &&
	       MP3_FRAME_FILE(f->frames[1]) &&
	       !strcmp(path_at(r, MP3_FRAME_FILE(f->frames[1])), FILE_PATH);
}

/* Return whether the fault has its caller as a bare address. */
static bool has_address(const struct mp3_fault *f)
{
	return MP3_FAULT_FRAMES(f->flags) == 2 &&
	       f->frames[1] == (uintptr_t)area.code + CALLER;
}

/* Check the faults in the region that are in the ring still. */
static void check_faults(const struct fault_ring *r)
{
	unsigned int nr = 0, mapped = 0, with_file = 0, bare = 0, last = 0;
	uint64_t head = fault_head(r);
	uint64_t i = head > r->capacity ? head - r->capacity : 0;

	for (; i < head; i++) {
		struct mp3_fault f = fault_at(r, i);

		if (!in_region(&f))
			continue;
		nr++;
		mapped += has_mapping(&f);
		if (has_file(r, &f)) {
			with_file++;
			last++;
		} else {
			bare += has_address(&f);
			last = 0;
		}
	}
	diag("of the callers of %u faults, %u have a file", nr, with_file);
	ok_eq(mapped, nr,
	      "each fault next to changes of another mapping has its mapping");
	ok_eq(with_file + bare, nr,
	      "each caller in a mapping that changes has its file or its address");
	ok(last >= PAGES, "each caller in a mapping that stays has its file");
}

int main(void)
{
	struct capture c = capture_open();
	struct fault_ring r;
	pid_t pid;

	if (!mount_overlay()) {
		skip("faults next to closed files of overlayfs", "no overlayfs");
		return done();
	}
	area.region = map_anonymous(PAGES);
	area.code = map_anonymous(1);
	locate_or_die(c.fd, 1, 1);
	r = fault_ring_map(c.fd);
	pid = subject_start(NULL, act, NULL);
	subject_profile(&c, pid);
	ok(counts_add_up(&c, &r, 0) && r.header->located >= PAGES,
	   "each fault next to %u closes of an overlayfs file is located", CHANGES);
	check_faults(&r);
	kill_and_reap(pid);

	return done();
}
