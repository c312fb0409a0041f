// SPDX-License-Identifier: GPL-2.0
/*
 * Located faults: what is recorded of each kind of fault. A process takes faults
 * whose address, access, mapping and instruction are known; the capture has to
 * have exactly these, and has to count those that have no event.
 *
 * Usage: located [KIND]
 *
 * KIND is the name of one kind of fault, to check it alone.
 *
 * vm: -m 2048 -s 128 --numa
 */
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "located.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

#define NR		8	/* faults of each kind */
#define MAX_PAGE	65536	/* the largest page of an architecture */
#define MAX_EXPECTED	64
#define AROUND		(65536 / PAGE)	/* pages that a read of a file maps at once */
#define DELAY_MS	50	/* of a page that userfaultfd delivers */
#define FILE_PAGES	(4 + NR * AROUND)
#define TMPFS_FILE	"/tmp/located-file"
#define EXT4_FILE	"/mnt/located-file"
#define EXEC_FILE	"/tmp/located-program"
#define SWAP_FILE	"/mnt/located-swap"
#define BALANCING	"/proc/sys/kernel/numa_balancing"

/* Access by the program, and by the kernel for it. */
#define KNOWN		MP3_FAULT_ACCESS_KNOWN
#define READ		(MP3_FAULT_USER | KNOWN)
#define WRITE		(MP3_FAULT_USER | KNOWN | MP3_FAULT_WRITE)
#define EXEC		(MP3_FAULT_USER | KNOWN | MP3_FAULT_EXEC)
#define KERNEL_READ	KNOWN
#define KERNEL_WRITE	(KNOWN | MP3_FAULT_WRITE)
#define PRESENT		MP3_FAULT_PRESENT
#define MAJOR		MP3_FAULT_MAJOR
#define SHARED		MP3_FAULT_SHARED

static struct ring ring;
static char swap_device[64];
static bool have_ext4;

/* ---- Scenes ---- */

/**
 * struct expected - a fault that a capture must have
 * @address: the address
 * @offset:  in the file or the mapping
 * @flags:   without the number of frames
 */
struct expected {
	uintptr_t address;
	uint64_t offset;
	uint32_t flags;
};

/**
 * struct scene - what a subject does; shared with it
 * @area:     the memory that it accesses; faults elsewhere are not compared
 * @size:     bytes of @area
 * @fd:       a file that it uses
 * @faults:   what the capture must have, in order
 * @nr:       number of @faults
 * @rest:     faults without an event
 * @path:     the file that is mapped, "" for anonymous memory
 * @kernel:   the instruction is the system call
 * @fetch:    the instruction is at the address itself
 * @worker:   a worker of the kernel takes them: there is no instruction
 * @stall:    the shortest stall that is plausible
 * @reason:   why the scene is impossible here, or ""
 * @start:    when it began
 * @end:      when it ended
 */
struct scene {
	char *area;
	size_t size;
	int fd;
	struct expected faults[MAX_EXPECTED];
	unsigned int nr;
	uint64_t rest;
	char path[256];
	bool kernel, fetch, worker;
	uint64_t stall;
	char reason[80];
	uint64_t start, end;
};

/**
 * struct kind - one kind of fault
 * @name:    for the command line
 * @what:    the faults, as the subject of a sentence
 * @prepare: prepares a scene, in the subject, before it is located
 * @act:     takes the faults
 * @ignored: flags that depend on the kernel
 */
struct kind {
	const char *name, *what;
	void (*prepare)(struct scene *s);
	void (*act)(struct scene *s);
	uint32_t ignored;
};

static struct scene *scene;

static void expect(struct scene *s, uintptr_t address, uint64_t offset,
		   uint32_t flags)
{
	if (s->nr == MAX_EXPECTED)
		errx(1, "too many faults");
	s->faults[s->nr++] = (struct expected){ address, offset, flags };
}

/* Addresses differ in their offset in the page. */
static size_t byte_in_page(unsigned int i)
{
	return 8 * i + 3;
}

/*
 * Expect NR accesses of one page in @stride, the mapping of which begins at offset
 * @from of its file.
 */
static void expect_strided(struct scene *s, unsigned int stride, uint64_t from,
			   uint32_t flags)
{
	unsigned int i;

	for (i = 0; i < NR; i++) {
		size_t at = i * stride * PAGE + byte_in_page(i);

		expect(s, (uintptr_t)s->area + at, from + at, flags);
	}
}

/* Access what is expected, in order. */
static void access_all(struct scene *s)
{
	unsigned int i;

	for (i = 0; i < s->nr; i++) {
		char *address = (char *)s->faults[i].address;

		if (s->faults[i].flags & MP3_FAULT_WRITE)
			store_byte(address);
		else
			load_byte(address);
	}
}

static void set_area(struct scene *s, char *area, size_t size)
{
	s->area = area;
	s->size = size;
}

static void give_up(struct scene *s, const char *reason)
{
	snprintf(s->reason, sizeof(s->reason), "%s", reason);
}

/* ---- Anonymous memory ---- */

static void prepare_anonymous(struct scene *s, uint32_t flags)
{
	set_area(s, map_anonymous(NR), NR * PAGE);
	expect_strided(s, 1, 0, flags);
}

static void prepare_read(struct scene *s)
{
	prepare_anonymous(s, READ);
}

static void prepare_write(struct scene *s)
{
	prepare_anonymous(s, WRITE);
}

static void prepare_zero_page(struct scene *s)
{
	unsigned int i;

	prepare_anonymous(s, WRITE | PRESENT);
	for (i = 0; i < NR; i++)
		load_byte(s->area + i * PAGE);
}

static void prepare_shared(struct scene *s)
{
	set_area(s, map_alone(NR * PAGE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0), NR * PAGE);
	strcpy(s->path, "/dev/zero (deleted)");
	expect_strided(s, 1, 0, WRITE | SHARED);
}

static void prepare_copy_on_write(struct scene *s)
{
	unsigned int i;

	prepare_anonymous(s, WRITE | PRESENT);
	for (i = 0; i < NR; i++)
		store_byte(s->area + i * PAGE);
	sleeper();
}

static void prepare_heap(struct scene *s)
{
	char *heap = sbrk(0);
	struct mapping m;

	/* Up to the end of a page: nothing else is to use it. */
	heap += -(uintptr_t)heap % PAGE;
	if (brk(heap + NR * PAGE) || !find_mapping((uintptr_t)heap, NULL, &m))
		err(1, "brk");
	set_area(s, heap, NR * PAGE);
	expect_strided(s, 1, (uintptr_t)heap - m.start,
		       WRITE | MP3_FAULT_HEAP);
}

/* Next to the heap, if addresses are not random */
static void prepare_bss(struct scene *s)
{
	static char bss[(NR + 1) * MAX_PAGE];
	char *area = bss + -(uintptr_t)bss % PAGE;
	struct mapping m;

	if (!find_mapping((uintptr_t)area, NULL, &m))
		errx(1, "no mapping of %p", area);
	set_area(s, area, NR * PAGE);
	expect_strided(s, 1, area - (char *)m.start, WRITE);
}

/* The lowest pages of the stack's mapping, and then those below it. */
static void prepare_stack(struct scene *s)
{
	struct mapping m;
	unsigned int i;

	if (!find_mapping(0, "[stack]", &m))
		errx(1, "no stack");
	/* It has 128 KiB at first, which are 2 of the largest pages. */
	if (m.end - m.start < 3 * NR * PAGE) {
		char *lowest = (char *)m.start - 3 * NR * PAGE;

		store_byte(lowest);
		if (madvise(lowest, PAGE, MADV_DONTNEED) ||
		    !find_mapping(0, "[stack]", &m))
			err(1, "stack");
	}
	set_area(s, (char *)m.start - NR * PAGE, 2 * NR * PAGE);
	for (i = 0; i < NR; i++) {
		size_t at = i * PAGE + byte_in_page(i);

		expect(s, m.start + at, at, WRITE | MP3_FAULT_STACK);
	}
	for (i = 0; i < NR; i++)
		expect(s, m.start - (i + 1) * PAGE + byte_in_page(i),
		       byte_in_page(i), WRITE | MP3_FAULT_STACK);
}

/* An access that is not allowed until a signal handler has allowed it. */
static void allow_page(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	sleep_ms(DELAY_MS);
	mprotect((void *)((uintptr_t)info->si_addr & ~(PAGE - 1)), PAGE,
		 PROT_READ | PROT_WRITE);
}

static void prepare_segv(struct scene *s)
{
	struct sigaction action = {
		.sa_sigaction = allow_page,
		.sa_flags = SA_SIGINFO,
	};

	set_area(s, map_anonymous(NR), NR * PAGE);
	if (sigaction(SIGSEGV, &action, NULL) ||
	    mprotect(s->area, s->size, PROT_NONE))
		err(1, "mprotect");
	expect(s, (uintptr_t)s->area + 5, 5, WRITE);
}

/* ---- Pages that are there, but have to be touched ---- */

static long vm_counter(const char *name)
{
	FILE *file = fopen("/proc/vmstat", "re");
	char line[128], key[64];
	long value, found = -1;

	if (!file)
		err(1, "/proc/vmstat");
	while (found < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %ld", key, &value) == 2 &&
		    !strcmp(key, name))
			found = value;
	fclose(file);

	return found;
}

/*
 * Have the kernel make pages inaccessible, to find out which node uses them: pages of
 * one node, when this process has moved to the other and used the CPU for a second.
 * The kernel does so in one go, on the way back to user space.
 */
static void prepare_numa(struct scene *s)
{
	uint64_t end = now_ns() + 60000000000ULL;
	long updates = vm_counter("numa_pte_updates");
	unsigned int i;

	prepare_anonymous(s, READ);
	if (updates < 0 || access("/sys/devices/system/node/node1", F_OK) ||
	    try_write(BALANCING, "1")) {
		give_up(s, "no NUMA balancing, or one node");
		return;
	}
	pin_to(1);
	for (i = 0; i < NR; i++)
		store_byte(s->area + i * PAGE);
	pin_to(0);
	while (vm_counter("numa_pte_updates") < updates + NR &&
	       now_ns() < end)
		;
	if (vm_counter("numa_pte_updates") < updates + NR)
		give_up(s, "NUMA balancing does not scan");
	write_file(BALANCING, "0");
}

static void prepare_access_flag(struct scene *s)
{
	unsigned int i;

	prepare_anonymous(s, READ | PRESENT);
#ifndef __aarch64__
	give_up(s, "the processor sets the access flag");
	return;
#endif
	for (i = 0; i < NR; i++)
		store_byte(s->area + i * PAGE);
	/* Of anonymous memory; mprotect() then flushes the TLB. */
	if (try_write("/proc/self/clear_refs", "2"))
		give_up(s, "no /proc/self/clear_refs");
	if (mprotect(s->area, s->size, PROT_READ))
		err(1, "mprotect");
}

/* ---- Files ---- */

static void create_file(struct scene *s, const char *path, size_t pages)
{
	char *page = calloc(1, PAGE);
	size_t i;

	s->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (!page || s->fd < 0)
		err(1, "%s", path);
	for (i = 0; i < pages; i++)
		if (write(s->fd, page, PAGE) != (ssize_t)PAGE)
			err(1, "write to %s", path);
	free(page);
	strcpy(s->path, path);
}

/* Map a file from its third page on. */
static void prepare_file(struct scene *s, const char *path, int flags, int prot)
{
	create_file(s, path, FILE_PAGES);
	set_area(s, map_alone((FILE_PAGES - 2) * PAGE, prot, flags, s->fd,
			      2 * PAGE), (FILE_PAGES - 2) * PAGE);
}

static void prepare_private_read(struct scene *s)
{
	prepare_file(s, TMPFS_FILE, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	/* Each read maps the aligned AROUND pages. */
	expect_strided(s, AROUND, 2 * PAGE, READ);
}

static void prepare_private_write(struct scene *s)
{
	prepare_file(s, TMPFS_FILE, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	expect_strided(s, 1, 2 * PAGE, WRITE);
}

static void prepare_private_change(struct scene *s)
{
	unsigned int i;

	prepare_file(s, TMPFS_FILE, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	for (i = 0; i < NR; i++)
		load_byte(s->area + i * PAGE);
	expect_strided(s, 1, 2 * PAGE, WRITE | PRESENT);
}

static void prepare_tmpfs_shared(struct scene *s)
{
	prepare_file(s, TMPFS_FILE, MAP_SHARED, PROT_READ | PROT_WRITE);
	expect_strided(s, AROUND, 2 * PAGE, WRITE | SHARED);
}

static void prepare_unlinked(struct scene *s)
{
	prepare_tmpfs_shared(s);
	unlink(TMPFS_FILE);
	strcat(s->path, " (deleted)");
}

/* A path that is longer than the table of files can hold. */
static void prepare_long(struct scene *s)
{
	char path[sizeof(s->path)], *end;

	strcpy(path, "/tmp/");
	memset(path + 5, 'd', 120);
	path[125] = '\0';
	if (mkdir(path, 0755) && errno != EEXIST)
		err(1, "mkdir");
	end = path + 125;
	*end++ = '/';
	memset(end, 'f', 120);
	end[120] = '\0';
	prepare_file(s, path, MAP_SHARED, PROT_READ | PROT_WRITE);
	expect_strided(s, AROUND, 2 * PAGE, WRITE | SHARED);
}

static void prepare_memfd(struct scene *s)
{
	s->fd = memfd_create("located", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, NR * PAGE))
		err(1, "memfd_create");
	set_area(s, map_alone(NR * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			      s->fd, 0), NR * PAGE);
	strcpy(s->path, "/memfd:located (deleted)");
	expect_strided(s, 1, 0, WRITE | SHARED);
}

/* Pages with one instruction, which returns. */
static void prepare_fetch(struct scene *s)
{
	unsigned int i;

	create_file(s, TMPFS_FILE, FILE_PAGES);
	for (i = 0; i < NR; i++)
		if (pwrite(s->fd, RETURN, sizeof(RETURN) - 1,
			   (2 + i * AROUND) * PAGE + 8 * i) < 0)
			err(1, "pwrite");
	set_area(s, map_alone((FILE_PAGES - 2) * PAGE, PROT_READ | PROT_EXEC,
			      MAP_PRIVATE, s->fd, 2 * PAGE),
		 (FILE_PAGES - 2) * PAGE);
	for (i = 0; i < NR; i++) {
		size_t at = i * AROUND * PAGE + 8 * i;

		expect(s, (uintptr_t)s->area + at, 2 * PAGE + at, EXEC);
	}
	s->fetch = true;
}

static void act_fetch(struct scene *s)
{
	unsigned int i;

	for (i = 0; i < s->nr; i++)
		((void (*)(void))s->faults[i].address)();
}

/* ---- Disks ---- */

static void prepare_ext4(struct scene *s, int flags)
{
	if (!have_ext4) {
		give_up(s, "no ext4");
		create_file(s, TMPFS_FILE, 1);
		return;
	}
	prepare_file(s, EXT4_FILE, flags, PROT_READ | PROT_WRITE);
	if (fsync(s->fd))
		err(1, "fsync");
}

static void prepare_ext4_read(struct scene *s)
{
	prepare_ext4(s, MAP_PRIVATE);
	if (*s->reason)
		return;
	if (posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED) ||
	    madvise(s->area, s->size, MADV_RANDOM))
		err(1, "madvise");
	expect_strided(s, AROUND, 2 * PAGE, READ | MAJOR);
}

static void prepare_ext4_shared(struct scene *s)
{
	prepare_ext4(s, MAP_SHARED);
	if (!*s->reason)
		expect_strided(s, AROUND, 2 * PAGE, WRITE | SHARED);
}

static void prepare_ext4_change(struct scene *s)
{
	unsigned int i;

	prepare_ext4(s, MAP_SHARED);
	if (*s->reason)
		return;
	for (i = 0; i < NR; i++)
		load_byte(s->area + i * AROUND * PAGE);
	expect_strided(s, AROUND, 2 * PAGE, WRITE | SHARED | PRESENT);
}

static bool is_resident(const struct scene *s)
{
	unsigned char pages[NR];
	unsigned int i;

	if (mincore(s->area, s->size, pages))
		err(1, "mincore");
	for (i = 0; i < NR; i++)
		if (pages[i] & 1)
			return true;
	return false;
}

static void page_out(struct scene *s)
{
	unsigned int i, tries;

	for (i = 0; i < NR; i++)
		store_byte(s->area + i * PAGE);
	/*
	 * A page that was just written to the disk stays in the swap cache. When
	 * it has come back and leaves again unchanged, it is gone.
	 */
	for (tries = 0; tries < 1000; tries++) {
		if (madvise(s->area, s->size, MADV_PAGEOUT))
			err(1, "MADV_PAGEOUT");
		if (!is_resident(s))
			return;
		sleep_ms(1);
		for (i = 0; i < NR; i++)
			load_byte(s->area + i * PAGE);
	}
	give_up(s, "pages do not leave the swap cache");
}

static void prepare_swap(struct scene *s)
{
	prepare_anonymous(s, READ | MAJOR);
	if (*swap_device)
		page_out(s);
	else
		give_up(s, "no swap");
}

/* The file remains in use until the file system is unmounted. */
static void prepare_swap_file(struct scene *s)
{
	prepare_anonymous(s, READ | MAJOR);
	if (!have_ext4) {
		give_up(s, "no ext4");
		return;
	}
	if (system("dd if=/dev/zero of=" SWAP_FILE " bs=64k count=128 2>/dev/null") ||
	    system("mkswap " SWAP_FILE " >/dev/null") || swapon(SWAP_FILE, 0))
		give_up(s, "no swap file");
	else
		page_out(s);
}

/* ---- Huge pages ---- */

static void prepare_huge(struct scene *s, char *area)
{
	unsigned int i;

	set_area(s, area, 4 * HUGE_SIZE);
	for (i = 0; i < 4; i++) {
		size_t at = i * (HUGE_SIZE + 7 * PAGE) + byte_in_page(i);

		expect(s, (uintptr_t)s->area + at, at, WRITE);
	}
}

static void prepare_thp(struct scene *s)
{
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	prepare_huge(s, map_anonymous(4 * HUGE_SIZE / PAGE));
	if (try_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise") ||
	    madvise(s->area, s->size, MADV_HUGEPAGE))
		give_up(s, "no transparent huge pages");
}

/* One fault for each huge page, wherever it is accessed next. */
static void act_thp(struct scene *s)
{
	unsigned int i;

	access_all(s);
	for (i = 0; i < 4 * HUGE_SIZE / PAGE; i++)
		load_byte(s->area + i * PAGE);
}

static void prepare_hugetlb(struct scene *s)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
	char *area;

	if (try_write("/proc/sys/vm/nr_hugepages", "8")) {
		give_up(s, "no huge pages");
		return;
	}
	area = mmap(NULL, 4 * HUGE_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (area == MAP_FAILED) {
		give_up(s, "too few huge pages");
		return;
	}
	prepare_huge(s, area);
	strcpy(s->path, "/anon_hugepage (deleted)");
}

/* ---- userfaultfd ---- */

static int uffd;

/* Deliver pages, each after DELAY_MS. */
static void *deliver_pages(void *page)
{
	struct uffd_msg message;
	struct uffdio_copy copy;

	while (read(uffd, &message, sizeof(message)) == sizeof(message)) {
		sleep_ms(DELAY_MS);
		copy = (struct uffdio_copy){
			.dst = message.arg.pagefault.address & ~(PAGE - 1),
			.src = (uintptr_t)page,
			.len = PAGE,
		};
		if (ioctl(uffd, UFFDIO_COPY, &copy))
			_exit(1);
	}
	return NULL;
}

static void prepare_userfaultfd(struct scene *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range;
	pthread_t thread;
	char *page;

	prepare_anonymous(s, WRITE | MAJOR);
	page = map_anonymous(1);
	store_byte(page);
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0) {
		give_up(s, "no userfaultfd");
		return;
	}
	range = (struct uffdio_register){
		.range = { (uintptr_t)s->area, s->size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	if (ioctl(uffd, UFFDIO_API, &api) ||
	    ioctl(uffd, UFFDIO_REGISTER, &range) ||
	    pthread_create(&thread, NULL, deliver_pages, page))
		err(1, "userfaultfd");
	s->stall = DELAY_MS * 1000000;
}

/* ---- Accesses by the kernel ---- */

static void prepare_copy_to_user(struct scene *s)
{
	unsigned int i;

	s->fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	set_area(s, map_anonymous(NR), NR * PAGE);
	for (i = 0; i < NR; i++)
		expect(s, (uintptr_t)s->area + i * PAGE, i * PAGE,
		       KERNEL_WRITE);
	s->kernel = true;
}

static void act_copy_to_user(struct scene *s)
{
	if (call_kernel(SYS_read, s->fd, (long)s->area, s->size, 0, 0, 0) !=
	    (long)s->size)
		errx(1, "read");
}

static void prepare_copy_from_user(struct scene *s)
{
	unsigned int i;

	s->fd = memfd_create("sink", MFD_CLOEXEC);
	prepare_anonymous(s, KERNEL_READ);
	for (i = 0; i < NR; i++) {
		s->faults[i].address = (uintptr_t)s->area + i * PAGE;
		s->faults[i].offset = i * PAGE;
	}
	s->kernel = true;
}

static void act_copy_from_user(struct scene *s)
{
	unsigned int i;

	for (i = 0; i < NR; i++)
		if (call_kernel(SYS_write, s->fd, s->faults[i].address, 8, 0, 0,
				0) != 8)
			errx(1, "write");
}

/* ---- Workers of io_uring ---- */

/* A ring for one request, whose only entries are these. */
static struct uring {
	int fd;
	unsigned int *tail;
	const struct io_uring_cqe *result;
} uring;

/* Create the ring, with an entry to fill. Returns NULL if there is no io_uring. */
static struct io_uring_sqe *create_uring(void)
{
	struct io_uring_params params = { 0 };
	struct io_uring_sqe *sqe;
	size_t size;
	char *rings;

	uring.fd = syscall(SYS_io_uring_setup, 1, &params);
	if (uring.fd < 0)
		return NULL;
	/* Both rings are in one mapping. */
	size = params.cq_off.cqes +
	       params.cq_entries * sizeof(struct io_uring_cqe);
	if (size < params.sq_off.array + params.sq_entries * sizeof(int))
		size = params.sq_off.array + params.sq_entries * sizeof(int);
	rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, uring.fd,
		     IORING_OFF_SQ_RING);
	sqe = mmap(NULL, params.sq_entries * sizeof(*sqe),
		   PROT_READ | PROT_WRITE, MAP_SHARED, uring.fd,
		   IORING_OFF_SQES);
	if (rings == MAP_FAILED || sqe == MAP_FAILED)
		err(1, "mmap of io_uring");
	uring.tail = (unsigned int *)(rings + params.sq_off.tail);
	uring.result = (struct io_uring_cqe *)(rings + params.cq_off.cqes);

	return sqe;
}

/*
 * Have a worker read into the memory. It is a thread of the process, but has no
 * registers of its own: what its stack has in their place is from its creator.
 *
 * A kernel thread that borrows the memory of a process, as that of vhost up to 6.3, is
 * no thread of it. The kernel counts its faults elsewhere, so they are not located.
 */
static void prepare_worker(struct scene *s)
{
	struct io_uring_sqe *sqe = create_uring();
	unsigned int i;

	s->fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	set_area(s, map_anonymous(NR), NR * PAGE);
	for (i = 0; i < NR; i++)
		expect(s, (uintptr_t)s->area + i * PAGE, i * PAGE,
		       KERNEL_WRITE);
	s->worker = true;
	if (!sqe) {
		give_up(s, "no io_uring");
		return;
	}
	*sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_READ,
		.flags = IOSQE_ASYNC,
		.fd = s->fd,
		.addr = (uintptr_t)s->area,
		.len = s->size,
	};
}

static void act_worker(struct scene *s)
{
	if (*s->reason)
		return;
	/* Pairs with the acquire load in the kernel. */
	__atomic_store_n(uring.tail, 1, __ATOMIC_RELEASE);
	if (call_kernel(SYS_io_uring_enter, uring.fd, 1, 1,
			IORING_ENTER_GETEVENTS, 0, 0) != 1 ||
	    uring.result->res != (int)s->size)
		errx(1, "io_uring: %d", uring.result->res);
}

/* ---- Faults without an event ---- */

static void prepare_rest(struct scene *s)
{
	set_area(s, map_anonymous(NR), NR * PAGE);
	s->rest = NR;
}

static void act_process_vm(struct scene *s)
{
	static char from[NR * MAX_PAGE];
	struct iovec local = { from, s->size };
	struct iovec remote = { s->area, s->size };

	if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) !=
	    (ssize_t)s->size)
		err(1, "process_vm_writev");
}

static void act_mlock(struct scene *s)
{
	if (mlock(s->area, s->size))
		err(1, "mlock");
}

static void prepare_populate(struct scene *s)
{
	prepare_rest(s);
	munmap(s->area, s->size);
}

static void act_populate(struct scene *s)
{
	if (mmap(s->area, s->size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		err(1, "MAP_POPULATE");
}

static void prepare_madvise(struct scene *s)
{
	prepare_rest(s);
	if (kernel_version() < 514)
		give_up(s, "no MADV_POPULATE_WRITE");
}

static void act_madvise(struct scene *s)
{
	if (!*s->reason && madvise(s->area, s->size, MADV_POPULATE_WRITE))
		err(1, "MADV_POPULATE_WRITE");
}

static void prepare_direct(struct scene *s)
{
	prepare_rest(s);
	s->fd = open(swap_device, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (s->fd < 0)
		give_up(s, "no disk");
}

static void act_direct(struct scene *s)
{
	if (!*s->reason && read(s->fd, s->area, s->size) != (ssize_t)s->size)
		err(1, "direct I/O");
}

static const struct kind kinds[] = {
	{ "read", "reads of anonymous memory", prepare_read, access_all, 0 },
	{ "write", "writes to anonymous memory", prepare_write, access_all, 0 },
	{ "zero-page", "writes to anonymous memory that was read before",
	  prepare_zero_page, access_all, 0 },
	/*
	 * Linux 5.10 repeats a fault that makes the page of a file dirty, and
	 * counts it as a major one.
	 */
	{ "shared", "writes to shared anonymous memory", prepare_shared,
	  access_all, MAJOR },
	{ "cow", "writes to anonymous memory after fork", prepare_copy_on_write,
	  access_all, 0 },
	{ "heap", "writes to the heap", prepare_heap, access_all, 0 },
	{ "bss", "writes to variables that are 0 at first", prepare_bss,
	  access_all, 0 },
	{ "stack", "writes to the stack and below it", prepare_stack,
	  access_all, 0 },
	{ "segv", "a write that succeeds after SIGSEGV", prepare_segv,
	  access_all, 0 },
	/* Its pages are not present for the processor. */
	{ "numa", "reads of pages that NUMA balancing has made inaccessible",
	  prepare_numa, access_all, 0 },
	{ "access-flag", "reads of pages whose access flag was cleared",
	  prepare_access_flag, access_all, 0 },
	{ "private-read", "reads of a private mapping of a file",
	  prepare_private_read, access_all, 0 },
	{ "private-write", "writes to a private mapping of a file",
	  prepare_private_write, access_all, 0 },
	{ "private-change", "writes to private pages of a file that were read before",
	  prepare_private_change, access_all, 0 },
	{ "tmpfs", "writes to a shared mapping of a file on tmpfs",
	  prepare_tmpfs_shared, access_all, 0 },
	{ "unlinked", "writes to a shared mapping of an unlinked file",
	  prepare_unlinked, access_all, 0 },
	{ "long", "writes to a file with a long path", prepare_long, access_all,
	  0 },
	{ "memfd", "writes to a shared mapping of a memfd", prepare_memfd,
	  access_all, MAJOR },
	{ "fetch", "instruction fetches from a file", prepare_fetch, act_fetch,
	  0 },
	{ "swap", "reads of memory that was swapped out", prepare_swap,
	  access_all, 0 },
	{ "thp", "writes to transparent huge pages", prepare_thp, act_thp, 0 },
	{ "hugetlb", "writes to pages of hugetlbfs", prepare_hugetlb,
	  access_all, 0 },
	/* Linux counts them as major faults, but not with VMA locks (6.4). */
	{ "userfaultfd", "writes to pages that userfaultfd delivers",
	  prepare_userfaultfd, access_all, MAJOR },
	{ "copy-to-user", "writes by read(2)", prepare_copy_to_user,
	  act_copy_to_user, 0 },
	{ "copy-from-user", "reads by write(2)", prepare_copy_from_user,
	  act_copy_from_user, 0 },
	{ "io-worker", "writes by a worker of io_uring", prepare_worker,
	  act_worker, 0 },
	{ "process-vm", "writes by process_vm_writev(2)", prepare_rest,
	  act_process_vm, 0 },
	{ "mlock", "pages brought in by mlock(2)", prepare_rest, act_mlock, 0 },
	{ "populate", "pages brought in by MAP_POPULATE", prepare_populate,
	  act_populate, 0 },
	{ "madvise", "pages brought in by MADV_POPULATE_WRITE", prepare_madvise,
	  act_madvise, 0 },
	{ "direct", "pages brought in by direct I/O", prepare_direct,
	  act_direct, 0 },
	{ "ext4-read", "reads of a file on ext4 from the disk",
	  prepare_ext4_read, access_all, 0 },
	{ "ext4-write", "writes to a shared mapping of a file on ext4",
	  prepare_ext4_shared, access_all, MAJOR },
	{ "ext4-change", "writes to shared pages of a file on ext4 that were read before",
	  prepare_ext4_change, access_all, MAJOR },
	{ "ext4-swap", "reads of memory that was swapped out to a file",
	  prepare_swap_file, access_all, 0 },
};

static const struct kind *current_kind;

static void prepare_current(void *arg)
{
	current_kind->prepare(arg);
}

static void act_current(void *arg)
{
	struct scene *s = arg;

	s->start = now_ns();
	current_kind->act(s);
	s->end = now_ns();
}

/* Returns whether the file of a fault is the one that the scene maps. */
static bool file_matches(const struct fault_ring *r, const struct scene *s,
			 const struct mp3_fault *f)
{
	const size_t max = sizeof(((struct mp3_file *)0)->path) - 1;
	size_t length = strlen(s->path);
	const struct mp3_file *file;
	const char *path = s->path;
	uint32_t flags = 0;
	struct stat status;

	if (!length)
		return f->file == MP3_NO_FILE;
	if (length > max) {
		path += length - max;
		flags = MP3_FILE_TRUNCATED;
	}
	file = file_at(r, f->file);
	if (!file || strcmp(file->path, path) || file->flags != flags) {
		diag("path \"%s\", want \"%s\"", file ? file->path : "",
		     path);
		return false;
	}
	if (stat(s->path, &status))
		return true;
	if (file->device == status.st_dev && file->inode == status.st_ino)
		return true;
	diag("device %#lx inode %lu, want %#lx and %lu",
	     (unsigned long)file->device, (unsigned long)file->inode,
	     (unsigned long)status.st_dev, (unsigned long)status.st_ino);
	return false;
}

static bool instruction_matches(const struct fault_ring *r,
				const struct scene *s,
				const struct expected *want,
				const struct mp3_fault *f)
{
	uint64_t frame = f->frames[0], end = code_offset(call_kernel_return);

	if (s->worker)
		return !MP3_FAULT_FRAMES(f->flags);
	if (MP3_FAULT_FRAMES(f->flags) != 1)
		return false;
	if (s->fetch)
		return MP3_FRAME_FILE(frame) == f->file &&
		       MP3_FRAME_OFFSET(frame) == want->offset;
	/* The kernel returns to the next instruction. */
	if (s->kernel)
		return frame_is(r, frame, end) ||
		       frame_is(r, frame, end - SYSCALL_SIZE);
	if (want->flags & MP3_FAULT_WRITE)
		return frame_is(r, frame, code_offset(store_byte));
	return frame_is(r, frame, code_offset(load_byte));
}

static bool stall_is_plausible(const struct scene *s, const struct mp3_fault *f)
{
	return f->stall_ns && f->stall_ns != MP3_NO_STALL &&
	       f->stall_ns >= s->stall && f->time_ns >= s->start &&
	       f->time_ns <= s->end && f->stall_ns <= f->time_ns - s->start;
}

/* Compare the faults in the scene's memory with what it expects. */
static void check_scene(const struct kind *kind, const struct fault_ring *r,
			const struct scene *s, pid_t pid)
{
	uint32_t mask = 0xfffffff & ~kind->ignored;
	uint32_t unknown = HAVE_ACCESS ? 0 : ACCESS_FLAGS;
	bool good = true, instruction = true, plausible = true;
	uint64_t i, previous = 0;
	unsigned int nr = 0;

	for (i = 0; i < fault_head(r); i++) {
		struct mp3_fault f = fault_at(r, i);
		const struct expected *want = &s->faults[nr];

		good &= f.pid == (uint32_t)pid && f.time_ns >= previous;
		previous = f.time_ns;
		if (f.address - (uintptr_t)s->area >= s->size)
			continue;
		if (nr++ >= s->nr) {
			diag_fault("unexpected", &f);
			good = false;
			continue;
		}
		good &= (f.tid == (uint32_t)pid) == !s->worker;
		if (f.address != reported(want->address) ||
		    f.offset != reported(want->offset) ||
		    ((f.flags ^ (want->flags & ~unknown)) & mask) ||
		    !file_matches(r, s, &f)) {
			diag_fault("got", &f);
			diag("want: address %#lx offset %#lx flags %#x",
			     (unsigned long)want->address,
			     (unsigned long)want->offset, want->flags);
			good = false;
		}
		if (!instruction_matches(r, s, want, &f)) {
			diag_fault("instruction", &f);
			instruction = false;
		}
		if (!stall_is_plausible(s, &f)) {
			diag_fault("stall", &f);
			plausible = false;
		}
	}
	if (nr < s->nr)
		diag("%u faults, want %u", nr, s->nr);
	good &= nr == s->nr;
	if (!s->nr) {
		ok(good, "%s are not located", kind->what);
		return;
	}
	ok(good, "located: %s, each with its address, access and mapping",
	   kind->what);
	ok(instruction, s->worker ?
	   "located: %s, with neither an instruction nor callers" :
	   "located: %s, each with its instruction", kind->what);
	ok(plausible, "located: %s, each with a plausible stall", kind->what);
}

/* Of the pages that were swapped out, all are located whatever n is. */
static void test_majors(void)
{
	static const char name[] =
		"each major fault is located, even with one minor fault in 65536";
	unsigned int nr = 0, minor = 0;
	struct fault_ring r;
	struct capture c;
	uint64_t i;
	pid_t pid;

	memset(scene, 0, sizeof(*scene));
	current_kind = kinds;
	while (current_kind->prepare != prepare_swap)
		current_kind++;
	c = capture_open();
	locate_or_die(c.fd, 65536, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare_current, act_current, scene);
	if (*scene->reason) {
		skip(name, scene->reason);
	} else {
		subject_profile(&c, pid);
		fault_ring_settle(&r);
		for (i = 0; i < fault_head(&r); i++) {
			struct mp3_fault f = fault_at(&r, i);

			minor += !(f.flags & MAJOR);
			nr += f.address == reported(scene->faults[nr].address);
		}
		ok(counts_add_up(&c, &r, 0) && nr == NR && minor <= 1, "%s",
		   name);
	}
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

static void test_kind(const struct kind *kind)
{
	struct fault_ring r;
	struct capture c;
	uint64_t used;
	bool good;
	pid_t pid;

	memset(scene, 0, sizeof(*scene));
	current_kind = kind;
	c = capture_open();
	pid = subject_start(prepare_current, act_current, scene);
	/* A worker seems to have callers, if its registers are used. */
	locate_or_die(c.fd, 1, scene->worker ? MP3_FRAMES - 1 : 0);
	r = fault_ring_map(c.fd);
	if (*scene->reason) {
		skip(kind->what, scene->reason);
	} else {
		used = faults_of(pid);
		subject_profile(&c, pid);
		used = faults_of(pid) - used;
		good = counts_add_up(&c, &r, scene->rest);
		check_scene(kind, &r, scene, pid);
		if (r.header->counted != used) {
			diag("counted %lu faults of %lu",
			     (unsigned long)r.header->counted,
			     (unsigned long)used);
			good = false;
		}
		ok(good, scene->rest ? "%s are counted, and all other faults are located" :
		   "the process that takes %s has all its faults located",
		   kind->what);
	}
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- exec ---- */

/* The new program: it touches memory, and ends. */
static int exec_main(void)
{
	char *area = map_anonymous(NR);
	unsigned int i;

	for (i = 0; i < NR; i++)
		store_byte(area + i * PAGE);
	return 0;
}

/* Not by the C library, the code of which may fault. */
static void act_exec(void *arg)
{
	static const char * const argv[] = { EXEC_FILE, "exec", NULL };

	(void)arg;
	call_kernel(SYS_execve, (long)EXEC_FILE, (long)argv, (long)environ, 0,
		    0, 0);
	err(1, EXEC_FILE);
}

static void test_exec(void)
{
	struct capture c = capture_open();
	unsigned int fetches = 0, stores = 0, framed = 0, unframed = 0;
	bool begun = false, good = true;
	struct fault_ring r;
	uint64_t i, rest;
	pid_t pid;

	copy_program(EXEC_FILE, 0755);
	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(NULL, act_exec, NULL);
	capture_command_or_die(&c, 'R', pid);
	if (subject_continue(pid))
		errx(1, "the program stopped");
	fault_ring_settle(&r);
	for (i = 0; i < fault_head(&r); i++) {
		struct mp3_fault f = fault_at(&r, i);
		uint32_t frame = MP3_FRAME_FILE(f.frames[0]);
		unsigned int frames = MP3_FAULT_FRAMES(f.flags);
		bool new_file = !strcmp(path_at(&r, f.file), EXEC_FILE);
		bool at_itself = frames && frame == f.file &&
			reported(MP3_FRAME_OFFSET(f.frames[0])) == f.offset;
		bool fetch = HAVE_ACCESS ? f.flags & MP3_FAULT_EXEC : at_itself;

		/* The first instruction of the new program, or of its loader */
		if (fetch && strcmp(path_at(&r, f.file), program_path()))
			begun = true;
		if (!begun && new_file && frames) {
			diag_fault("during exec", &f);
			framed++;
		}
		unframed += !begun && new_file && !frames;
		good &= !begun || frames == 1;
		if (new_file && fetch) {
			fetches++;
			good &= f.flags & MP3_FAULT_USER && at_itself;
		}
		stores += !strcmp(path_at(&r, frame), EXEC_FILE) &&
			  MP3_FRAME_OFFSET(f.frames[0]) ==
			  code_offset(store_byte);
	}
	ok(good && fetches && stores == NR,
	   "faults after exec have the instructions of the new program");
	if (!ok(!framed, "faults that the kernel takes during exec have no frame"))
		diag("%u have a frame, %u have none", framed, unframed);
	rest = r.header->counted - r.header->located;
	/* The pages of the arguments and the environment, at the end of the stack */
	if (!ok(rest >= 1 && rest <= 4 && !r.header->missed && !r.header->dropped,
		"the faults of exec are located, except those of its arguments"))
		diag("%lu without an event", (unsigned long)rest);
	unlink(EXEC_FILE);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- Frames ---- */

#define DEPTH	12

/* What a subject does to have frames; shared. */
static struct frames {
	uintptr_t returns[DEPTH];	/* of each depth */
	unsigned int depth;
	char *area;
	uintptr_t pointers[16];		/* bad frame pointers */
	unsigned int nr;
} *frames;

/*
 * A function that has a frame, at each depth. At depth 0, it stores to @address;
 * the compiler must not copy the label there.
 */
static void __attribute__((noinline, noclone,
			   optimize("no-omit-frame-pointer",
				    "no-optimize-sibling-calls")))
recurse(unsigned int depth, char *address)
{
	frames->returns[depth] = (uintptr_t)__builtin_return_address(0);
	if (depth)
		recurse(depth - 1, address);
	else
		__asm__ volatile(".globl recurse_store\nrecurse_store: " STORE
				 : : BASE(address) : "memory");
	__asm__ volatile("");
}

static void prepare_frames(void *arg)
{
	(void)arg;
	frames->area = map_anonymous(1);
	/* Bring in the stack and the code. */
	recurse(frames->depth, frames->area);
	madvise(frames->area, PAGE, MADV_DONTNEED);
}

static void act_frames(void *arg)
{
	(void)arg;
	recurse(frames->depth, frames->area);
}

/* Find the only fault of a page. */
static bool find_fault(const struct fault_ring *r, const char *page,
		       struct mp3_fault *f)
{
	unsigned int nr = 0;
	uint64_t i;

	for (i = 0; i < fault_head(r); i++) {
		struct mp3_fault fault = fault_at(r, i);

		if (fault.address - (uintptr_t)page >= PAGE)
			continue;
		*f = fault;
		nr++;
	}
	if (nr != 1)
		diag("%u faults of the page", nr);
	return nr == 1;
}

static void test_callers(unsigned int depth, unsigned int callers)
{
	struct capture c = capture_open();
	struct mp3_fault f = { 0 };
	unsigned int i, nr;
	struct fault_ring r;
	bool good;
	pid_t pid;

	frames->depth = depth;
	locate_or_die(c.fd, 1, callers);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare_frames, act_frames, NULL);
	subject_profile(&c, pid);
	good = counts_add_up(&c, &r, 0) && find_fault(&r, frames->area, &f);
	nr = MP3_FAULT_FRAMES(f.flags);
	good &= nr == (HAVE_CALLERS ? callers + 1 : 1) &&
		frame_is(&r, f.frames[0], code_offset(recurse_store));
	for (i = 1; i < nr && i <= callers; i++)
		good &= frame_is(&r, f.frames[i],
				 code_offset((void *)frames->returns[i - 1]));
	if (!(HAVE_CALLERS ?
	      ok(good, "L,1,%u records the instruction and its %u callers",
		 callers, callers) :
	      ok(good, "L,1,%u records the instruction, of which callers are unknown here",
		 callers))) {
		diag("%u frames", nr);
		for (i = 0; i < nr && i < MP3_FRAMES; i++)
			diag("frame %u: %u+%#lx, want %#lx", i,
			     MP3_FRAME_FILE(f.frames[i]),
			     (unsigned long)MP3_FRAME_OFFSET(f.frames[i]),
			     (unsigned long)code_offset(i ?
				(void *)frames->returns[i - 1] : recurse_store));
	}
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

#define LOOP	12	/* of the pointers below, the first that can be read */

/* One page for each bad frame pointer, to which it is stored. */
static void prepare_bad_frames(void *arg)
{
	uintptr_t *frame = (void *)map_anonymous(4);
	uintptr_t fresh = (uintptr_t)frame + PAGE;
	uintptr_t code = (uintptr_t)store_byte;
	const uintptr_t pointers[] = {
		0, 1, 8, 0x1234567, (uintptr_t)frame + 4,
		/* not canonical, in the kernel, at the end of the address space */
		0xdeadbeefdeadbeef, 0x8000000000000000, 0xffff888000001000,
		0xfffffffffffffff8, 0x7ffffffffff8,
		/* not there yet: alone, and only its second half */
		fresh, fresh - 8,
		/* frames that point to themselves, and to each other */
		(uintptr_t)&frame[0], (uintptr_t)&frame[4],
		/* a return address that is none */
		(uintptr_t)&frame[16],
	};

	(void)arg;
	frame[0] = (uintptr_t)&frame[0];
	frame[1] = code;
	frame[4] = (uintptr_t)&frame[8];
	frame[5] = code;
	frame[8] = (uintptr_t)&frame[4];
	frame[9] = code;
	frame[16] = (uintptr_t)&frame[20];
	frame[17] = 0xdeadbeefdeadbeef;
	frames->nr = ARRAY_SIZE(pointers);
	memcpy(frames->pointers, pointers, sizeof(pointers));
	frames->area = map_anonymous(frames->nr);
	madvise((void *)fresh, PAGE, MADV_DONTNEED);
}

static void act_bad_frames(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < frames->nr; i++)
		store_with(frames->area + i * PAGE, frames->pointers[i]);
}

static void test_bad_frames(void)
{
	struct capture c = capture_open();
	bool good, numbered = true;
	unsigned int i, j, nr;
	bool ends = true;
	struct fault_ring r;
	struct mp3_fault f;
	pid_t pid;

	locate_or_die(c.fd, 1, 8);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare_bad_frames, act_bad_frames, NULL);
	subject_profile(&c, pid);
	good = counts_add_up(&c, &r, 0);
	for (i = 0; i < frames->nr; i++) {
		if (!find_fault(&r, frames->area + i * PAGE, &f)) {
			good = false;
			continue;
		}
		nr = MP3_FAULT_FRAMES(f.flags);
		/* The last ones have frames that can be read. */
		good &= nr >= 1 && nr <= MP3_FRAMES &&
			frame_is(&r, f.frames[0],
				 code_offset(store_with_store));
		if (i < LOOP)
			good &= nr == 1;
		/* The frame itself, and the next one above it */
		if (i == LOOP)
			ends &= nr == (HAVE_CALLERS ? 2 : 1);
		if (i == LOOP + 1)
			ends &= nr == (HAVE_CALLERS ? 3 : 1);
		if (!good)
			diag("frame pointer %#lx: %u frames",
			     frames->pointers[i], nr);
		for (j = 0; j < nr && j < MP3_FRAMES; j++) {
			uint32_t file = MP3_FRAME_FILE(f.frames[j]);

			if (!file || file_at(&r, file))
				continue;
			diag("frame pointer %#lx: frame %u has file %u",
			     frames->pointers[i], j, file);
			numbered = false;
		}
	}
	ok(good, "a bad frame pointer ends the frames, and brings in no page");
	ok(ends, "frame pointers in a loop end the frames");
	ok(numbered, "a return address that is none does not become the number of a file");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- Writes to a file while other threads hold mmap_lock ---- */

#define PASSES		256
#define PASS_PAGES	16
#define NR_OFFSETS	4

/* In pass i, the mapping begins at this offset of the file. */
static uint64_t pass_offset(unsigned int i)
{
	return (i % NR_OFFSETS + 1) * PASS_PAGES * PAGE;
}

/* Take mmap_lock for writing again and again, without a fault. */
static void *map_and_unmap(void *arg)
{
	char *page;

	for (;;) {
		page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		if (page == MAP_FAILED || munmap(page, PAGE))
			_exit(1);
	}
	return arg;
}

/* Split the mapping of the file after its first page, which nothing accesses. */
static void *split_mapping(void *arg)
{
	struct scene *s = arg;

	for (;;)
		if (mprotect(s->area, PAGE, PROT_READ) ||
		    mprotect(s->area, PAGE, PROT_READ | PROT_WRITE))
			_exit(1);
	return arg;
}

static void prepare_contended(void *arg)
{
	struct scene *s = arg;
	pthread_t threads[2];

	create_file(s, EXT4_FILE, (NR_OFFSETS + 1) * PASS_PAGES);
	if (fsync(s->fd))
		err(1, "fsync");
	set_area(s, map_alone(PASS_PAGES * PAGE, PROT_READ | PROT_WRITE,
			      MAP_SHARED, s->fd, 0), PASS_PAGES * PAGE);
	if (pthread_create(&threads[0], NULL, map_and_unmap, NULL) ||
	    pthread_create(&threads[1], NULL, split_mapping, s))
		errx(1, "pthread_create");
}

/* Map another part of the file for each pass. */
static void act_contended(void *arg)
{
	struct scene *s = arg;
	unsigned int i, j;

	for (i = 0; i < PASSES; i++) {
		if (mmap(s->area, s->size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, s->fd, pass_offset(i)) ==
		    MAP_FAILED)
			err(1, "mmap");
		for (j = 1; j < PASS_PAGES; j++)
			store_byte(s->area + j * PAGE + byte_in_page(j));
	}
}

/*
 * Compare the fault of number @nr with what it must be: its mapping may be unknown, but
 * not wrong.
 */
static bool contended_matches(const struct fault_ring *r, const struct scene *s,
			      unsigned int nr, const struct mp3_fault *f)
{
	unsigned int page = nr % (PASS_PAGES - 1) + 1;
	size_t at = page * PAGE + byte_in_page(page);
	uint64_t offset = pass_offset(nr / (PASS_PAGES - 1)) + at;
	uint32_t flags = HAVE_ACCESS ? WRITE : MP3_FAULT_USER;
	uint64_t frame = f->frames[0], code = (uintptr_t)store_byte;
	bool good;

	good = f->address == reported((uintptr_t)s->area + at) &&
	       MP3_FAULT_FRAMES(f->flags) == 1 &&
	       (frame == MP3_FRAME_OFFSET(code) ||
		frame_is(r, frame, code_offset(store_byte)));
	if (f->file == MP3_UNKNOWN_FILE)
		good &= !f->offset;
	else
		good &= f->offset == reported(offset) && file_matches(r, s, f);
	if (f->file != MP3_UNKNOWN_FILE)
		flags |= SHARED;
	good &= !(((f->flags ^ flags) & 0xfffffff) & ~MAJOR);
	if (!good) {
		diag_fault("got", f);
		diag("want: address %#lx offset %#lx flags %#x",
		     (unsigned long)(s->area + at), (unsigned long)offset, flags);
	}
	return good;
}

/*
 * Since 6.0, the kernel has released mmap_lock when it counts a write to a shared page
 * of ext4. Other threads hold it then, and change the mapping: on 6.1, the handler found
 * it taken in 3,264 of 3,840 writes. Before it took i_mmap_rwsem, two of these had the
 * start of the changed mapping with the offset of the old one.
 */
static void test_contended(void)
{
	static const char name[] =
		"writes to ext4 are located exactly while other threads change mappings";
	struct capture c = capture_open();
	unsigned int nr = 0, unknown = 0;
	struct fault_ring r;
	bool good = true;
	uint64_t i, used;
	pid_t pid;

	if (!have_ext4) {
		skip(name, "no ext4");
		capture_close(&c);
		return;
	}
	memset(scene, 0, sizeof(*scene));
	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare_contended, act_contended, scene);
	used = faults_of(pid);
	subject_profile(&c, pid);
	used = faults_of(pid) - used;
	ok(counts_add_up(&c, &r, 0) && r.header->counted == used,
	   "each write to ext4 is located while other threads change mappings");
	for (i = 0; i < fault_head(&r); i++) {
		struct mp3_fault f = fault_at(&r, i);

		if (f.tid != (uint32_t)pid ||
		    f.address - (uintptr_t)scene->area >= scene->size)
			continue;
		good &= contended_matches(&r, scene, nr++, &f);
		unknown += f.file == MP3_UNKNOWN_FILE;
	}
	diag("%u writes, of which %u are in a mapping that is unknown", nr,
	     unknown);
	ok(good && nr == PASSES * (PASS_PAGES - 1), "%s", name);
	ok(unknown <= nr / 4,
	   "most mappings are known although other threads hold the lock");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- Generations of an inode ---- */

/* Create a file of one page in the only inode that is free, once it is. */
static int create_in_inode(void)
{
	int i, fd = -1;

	for (i = 0; i < 10000 && fd < 0; i++) {
		fd = open(EXT4_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			sleep_ms(1);
	}
	if (fd < 0 || ftruncate(fd, PAGE))
		err(1, EXT4_FILE);

	return fd;
}

/* Use up all inodes but one: ext4 then takes that again at once. */
static void prepare_generations(void *arg)
{
	char path[64];
	int i, fd = 0;

	(void)arg;
	unlink(EXT4_FILE);
	for (i = 0; i < 10000 && fd >= 0; i++) {
		snprintf(path, sizeof(path), "/mnt/filler-%d", i);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		close(fd);
	}
	unlink("/mnt/filler-0");
	close(create_in_inode());
	unlink(EXT4_FILE);
}

static void act_generations(void *arg)
{
	struct scene *s = arg;
	int i, fd, generation;
	char *area;

	for (i = 0; i < 2; i++) {
		fd = create_in_inode();
		if (ioctl(fd, FS_IOC_GETVERSION, &generation))
			err(1, "FS_IOC_GETVERSION");
		area = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		if (area == MAP_FAILED)
			err(1, "mmap");
		load_byte(area);
		expect(s, (uintptr_t)area, generation, 0);
		munmap(area, PAGE);
		close(fd);
		unlink(EXT4_FILE);
	}
}

static void test_generations(void)
{
	static const char name[] =
		"files that had the same inode number one after the other have two numbers";
	struct capture c = capture_open();
	const struct mp3_file *file[2];
	struct mp3_fault f[2] = { 0 };
	unsigned int nr = 0;
	struct fault_ring r;
	uint64_t i;
	pid_t pid;

	if (!have_ext4) {
		skip(name, "no ext4");
		capture_close(&c);
		return;
	}
	memset(scene, 0, sizeof(*scene));
	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare_generations, act_generations, scene);
	subject_profile(&c, pid);
	fault_ring_settle(&r);
	for (i = 0; i < fault_head(&r) && nr < 2; i++) {
		f[nr] = fault_at(&r, i);
		nr += f[nr].address == scene->faults[nr].address;
	}
	file[0] = file_at(&r, f[0].file);
	file[1] = file_at(&r, f[1].file);
	if (nr < 2 || !file[0] || !file[1])
		ok(false, "%s", name);
	else if (file[0]->inode != file[1]->inode)
		skip(name, "the inode number was not used again");
	else
		ok(file[0] != file[1] &&
		   (uint32_t)file[0]->generation ==
		   (uint32_t)scene->faults[0].offset &&
		   (uint32_t)file[1]->generation ==
		   (uint32_t)scene->faults[1].offset, "%s", name);
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- Disks of the guest ---- */

static void find_swap(void)
{
	FILE *swaps = fopen("/proc/swaps", "re");
	char line[256];

	while (swaps && fgets(line, sizeof(line), swaps))
		if (sscanf(line, "/%63s", swap_device + 1) == 1)
			*swap_device = '/';
	if (swaps)
		fclose(swaps);
	if (*swap_device)
		write_file("/proc/sys/vm/page-cluster", "0");
}

/* From the first call on, the disk is not for swap, but has a file system. */
static void mount_ext4(void)
{
	static bool called;
	char line[200];

	if (called || !*swap_device)
		return;
	called = true;
	snprintf(line, sizeof(line), "swapoff %s && mke2fs -i 4194304 %s >/dev/null 2>&1",
		 swap_device, swap_device);
	if (system(line))
		errx(1, "%s", line);
	mkdir("/mnt", 0755);
	have_ext4 = !mount(swap_device, "/mnt", "ext4", 0, "");
}

/* A file is in use until its path has been resolved. */
static void unmount_ext4(void)
{
	int tries;

	swapoff(SWAP_FILE);
	for (tries = 0; tries < 10000 && umount("/mnt"); tries++)
		sleep_ms(1);
	ok(tries < 10000,
	   "a file system can be unmounted after faults in its files were located");
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc > 1 && !strcmp(argv[1], "exec"))
		return exec_main();

	ring = ring_open();
	scene = shared_memory(sizeof(*scene));
	frames = shared_memory(sizeof(*frames));
	set_interval("10");
	find_swap();
	/* Until prepare_numa(): no test expects such faults. */
	try_write(BALANCING, "0");
	if (argc < 2 || !strcmp(argv[1], "majors"))
		test_majors();
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strncmp(kinds[i].name, "ext4", 4))
			mount_ext4();
		if (argc < 2 || !strcmp(argv[1], kinds[i].name))
			test_kind(&kinds[i]);
	}
	if (argc < 2 || !strcmp(argv[1], "exec-faults"))
		test_exec();
	if (argc < 2 || !strcmp(argv[1], "frames")) {
		test_callers(DEPTH - 1, 0);
		test_callers(DEPTH - 1, 1);
		test_callers(DEPTH - 1, 8);
		test_callers(3, 3);
		test_bad_frames();
	}
	if (argc < 2 || !strcmp(argv[1], "contended"))
		test_contended();
	if (argc < 2 || !strcmp(argv[1], "generations"))
		test_generations();
	if (have_ext4)
		unmount_ext4();
	ok(sampler_stops(&ring), "nothing is registered at the end");

	return done();
}
