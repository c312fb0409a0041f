// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of the devices: mmap accepts only what lies inside one region, and
 * no mapping can become executable, larger, part of a core dump or, for the
 * header and the records, writable. The pages stay valid as long as anything
 * uses them. The ring is filled with a pattern, so that a wrong page shows.
 *
 * Usage: mapping [MODULE]
 *
 * MODULE (/mp3/mp3.ko) is unloaded and loaded again several times.
 *
 * vm: -m 2560
 */
#include <signal.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "module.h"
#include "process.h"

#define PAGE		((long)getpagesize())
#define RW		(PROT_READ | PROT_WRITE)
#define RX		(PROT_READ | PROT_EXEC)
#define DATA		(MP3_DATA_PAGES * PAGE)

static int device;		/* the device under test, opened O_RDWR */
static int read_only;		/* /dev/mp3, opened O_RDONLY */
static struct ring ring;

static void *mmap_or_die(int fd, size_t size, int prot, int flags, off_t offset)
{
	void *address = mmap(NULL, size, prot, flags, fd, offset);

	if (address == MAP_FAILED)
		err(1, "mmap");
	return address;
}

static void *map_data(void)
{
	return mmap_or_die(device, DATA, RW, MAP_SHARED, 0);
}

static void *map_header(void)
{
	return mmap_or_die(device, PAGE, PROT_READ, MAP_SHARED, MP3_OFF_HEADER);
}

/* Checks that a call failed with errno @want, or that it succeeded for 0. */
static void ok_errno(bool failed, int want, const char *name)
{
	int got = failed ? errno : 0;

	if (!ok(got == want, "%s", name))
		diag("got \"%s\", want \"%s\"", strerror(got), strerror(want));
}

/* Pages differ, so that a page in the wrong place shows. */
static unsigned char pattern(size_t at)
{
	return at * 13 + at / PAGE * 31 + 1;
}

static void fill_pattern(void)
{
	volatile unsigned char *bytes = (volatile unsigned char *)ring.samples;
	size_t i;

	for (i = 0; i < (size_t)DATA; i++)
		bytes[i] = pattern(i);
}

/* Returns whether @mapping shows the pattern from byte @from of the ring. */
static bool has_pattern(const volatile void *mapping, size_t size, size_t from)
{
	const volatile unsigned char *bytes = mapping;
	size_t i;

	for (i = 0; i < size; i++) {
		if (bytes[i] != pattern(from + i)) {
			diag("byte %zu is %02x, not %02x", i, bytes[i],
			     pattern(from + i));
			return false;
		}
	}
	return true;
}

/* write(2) fails with EFAULT where nothing is mapped. */
static bool is_mapped(const void *address)
{
	int fds[2];
	bool mapped;

	if (pipe(fds))
		err(1, "pipe");
	mapped = write(fds[1], address, 1) == 1;
	close(fds[0]);
	close(fds[1]);

	return mapped;
}

/* Publishes one sample: unregistering the last process does so at once. */
static void publish(void)
{
	if (command('R', getpid()) || command('U', getpid()))
		errx(1, "cannot register and unregister this process");
}

/* ---- Lengths and offsets ---- */

/*
 * A mapping that does not lie inside one region is refused, so that no fault is
 * ever for a page that the ring does not have. The large offsets and lengths
 * are valid in their lower 32 bits: a truncated page number would let them
 * pass.
 */
static void test_regions(void)
{
	const size_t header = MP3_OFF_HEADER;
	const struct {
		const char *name;
		size_t size, offset;
		int want;
	} cases[] = {
		{ "mmap accepts one data page", PAGE, 0, 0 },
		{ "mmap accepts one byte of data", 1, 0, 0 },
		{ "mmap accepts all data pages", DATA, 0, 0 },
		{ "mmap accepts 40 pages in the middle of the data", 40 * PAGE,
		  17 * PAGE, 0 },
		{ "mmap accepts the last data page", PAGE, DATA - PAGE, 0 },
		{ "mmap accepts the header page", PAGE, header, 0 },
		{ "mmap of length 0 is EINVAL", 0, 0, EINVAL },
		{ "mmap of the data and one page more is EINVAL",
		  DATA + PAGE, 0, EINVAL },
		{ "mmap of the data and one byte more is EINVAL", DATA + 1, 0,
		  EINVAL },
		{ "mmap of two pages from the last data page is EINVAL",
		  2 * PAGE, DATA - PAGE, EINVAL },
		{ "mmap of the data's length from its second page is EINVAL",
		  DATA, PAGE, EINVAL },
		{ "mmap of the page after the data is EINVAL", PAGE, DATA,
		  EINVAL },
		{ "mmap of a page between data and header is EINVAL", PAGE,
		  header / 2, EINVAL },
		{ "mmap of everything from the data to the header is EINVAL",
		  header + PAGE, 0, EINVAL },
		{ "mmap of the page before the header is EINVAL", PAGE,
		  header - PAGE, EINVAL },
		{ "mmap of the header and the page before it is EINVAL",
		  2 * PAGE, header - PAGE, EINVAL },
		{ "mmap of the page after the header is EINVAL", PAGE,
		  header + PAGE, EINVAL },
		{ "mmap of the header and the page after it is EINVAL",
		  2 * PAGE, header, EINVAL },
		{ "mmap 4 GiB past the data's offset is EINVAL", PAGE,
		  1UL << 32, EINVAL },
		{ "mmap 4 GiB past the header's offset is EINVAL", PAGE,
		  header + (1UL << 32), EINVAL },
		{ "mmap 4 Gi pages past the data's offset is EINVAL", PAGE,
		  PAGE << 32, EINVAL },
		{ "mmap 4 Gi pages past the header's offset is EINVAL", PAGE,
		  header + (PAGE << 32), EINVAL },
		{ "mmap of 4 GiB from the data's offset is EINVAL", 1UL << 32,
		  0, EINVAL },
		{ "mmap of 4 Gi pages and one from the data's offset is EINVAL",
		  PAGE + (PAGE << 32), 0, EINVAL },
		{ "mmap at a negative offset is EINVAL", PAGE, -2 * PAGE,
		  EINVAL },
		{ "mmap at the most negative offset is EINVAL", PAGE,
		  1UL << 63, EINVAL },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		void *got, *hint = NULL;

		/* ppc64el has room above 128 TiB if the hint is there. */
		if (cases[i].size >> 47)
			hint = (void *)(1UL << 48);
		got = mmap(hint, cases[i].size, PROT_READ, MAP_SHARED, device,
			   cases[i].offset);
		ok_errno(got == MAP_FAILED, cases[i].want, cases[i].name);
		if (got != MAP_FAILED)
			munmap(got, cases[i].size);
	}
}

/* ---- Protections ---- */

/* A protection that a mapping gets from mmap or, later, from mprotect. */
struct protection {
	const char *name;
	int fd, prot, flags;
	off_t offset;
	int want;
};

static void check_mmap(const struct protection *cases, size_t nr)
{
	void *got;
	size_t i;

	for (i = 0; i < nr; i++) {
		got = mmap(NULL, PAGE, cases[i].prot, cases[i].flags,
			   cases[i].fd, cases[i].offset);
		ok_errno(got == MAP_FAILED, cases[i].want, cases[i].name);
		if (got != MAP_FAILED)
			munmap(got, PAGE);
	}
}

/* The mapping is read-only at first. */
static void check_mprotect(const struct protection *cases, size_t nr)
{
	void *got;
	size_t i;

	for (i = 0; i < nr; i++) {
		got = mmap_or_die(cases[i].fd, PAGE, PROT_READ, cases[i].flags,
				  cases[i].offset);
		ok_errno(mprotect(got, PAGE, cases[i].prot), cases[i].want,
			 cases[i].name);
		munmap(got, PAGE);
	}
}

/*
 * The driver clears VM_MAYEXEC and VM_MAYWRITE when a mapping is made, so that
 * mprotect cannot grant later what mmap refuses. A private writable mapping
 * would only write to copies; for the header it is refused all the same, since
 * a caller that wants one is mistaken about what it maps.
 */
static void test_protections(void)
{
	const struct protection maps[] = {
		{ "mmap of the data with PROT_EXEC is EPERM",
		  device, RX, MAP_SHARED, 0, EPERM },
		{ "private mmap of the data with PROT_EXEC is EPERM",
		  device, RX, MAP_PRIVATE, 0, EPERM },
		{ "mmap of the header with PROT_EXEC is EPERM",
		  device, RX, MAP_SHARED, MP3_OFF_HEADER, EPERM },
		{ "mmap of the header with PROT_WRITE is EPERM",
		  device, RW, MAP_SHARED, MP3_OFF_HEADER, EPERM },
		{ "private mmap of the header with PROT_WRITE is EPERM",
		  device, RW, MAP_PRIVATE, MP3_OFF_HEADER, EPERM },
		{ "mmap of a read-only descriptor with PROT_WRITE is EACCES",
		  read_only, RW, MAP_SHARED, 0, EACCES },
		{ "mmap of a read-only descriptor with PROT_READ succeeds",
		  read_only, PROT_READ, MAP_SHARED, 0, 0 },
	}, changes[] = {
		{ "mprotect of the data to PROT_EXEC is EACCES",
		  device, RX, MAP_SHARED, 0, EACCES },
		{ "mprotect of privately mapped data to PROT_EXEC is EACCES",
		  device, RX, MAP_PRIVATE, 0, EACCES },
		{ "mprotect of the header to PROT_EXEC is EACCES",
		  device, RX, MAP_SHARED, MP3_OFF_HEADER, EACCES },
		{ "mprotect of the header to PROT_WRITE is EACCES",
		  device, RW, MAP_SHARED, MP3_OFF_HEADER, EACCES },
		{ "mprotect of a privately mapped header to PROT_WRITE is EACCES",
		  device, RW, MAP_PRIVATE, MP3_OFF_HEADER, EACCES },
		{ "mprotect to PROT_WRITE is EACCES for a read-only descriptor",
		  read_only, RW, MAP_SHARED, 0, EACCES },
		{ "mprotect of the data to PROT_WRITE succeeds",
		  device, RW, MAP_SHARED, 0, 0 },
	};

	check_mmap(maps, ARRAY_SIZE(maps));
	check_mprotect(changes, ARRAY_SIZE(changes));
}

/*
 * Returns the VmFlags in smaps of the mapping that starts at @mapping: two
 * letters each, with a blank before each. The caller frees them.
 */
static char *vm_flags(const void *mapping)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char *line = NULL, *flags = NULL;
	unsigned long start, end;
	bool found = false;
	size_t size = 0;

	if (!file)
		err(1, "smaps");
	while (!flags && getline(&line, &size, file) > 0) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			found = start == (unsigned long)mapping;
		else if (found && !strncmp(line, "VmFlags:", 8))
			flags = strdup(line + 8);
	}
	free(line);
	fclose(file);
	if (!flags)
		errx(1, "smaps: no flags of %p", mapping);

	return flags;
}

static bool has_flag(const void *mapping, const char *flag)
{
	char *flags = vm_flags(mapping);
	bool found = strstr(flags, flag);

	free(flags);
	return found;
}

/*
 * No failing call shows that a mapping is left out of core dumps, cannot grow,
 * or is not executable under READ_IMPLIES_EXEC: its flags in smaps do.
 */
static void test_flags(void)
{
	void *data = map_data();
	void *header = map_header();
	int old = personality(0xffffffff);
	void *implied;

	ok(has_flag(data, " dd") && has_flag(header, " dd"),
	   "neither data nor header is included in core dumps");
	ok_errno(madvise(data, DATA, MADV_DODUMP), EINVAL,
		 "madvise(MADV_DODUMP) on the data is EINVAL");
	ok(has_flag(data, " de") && has_flag(header, " de"),
	   "neither data nor header can be expanded");
	ok(!has_flag(data, " ex") && !has_flag(header, " ex") &&
	   !has_flag(data, " me") && !has_flag(header, " me"),
	   "neither data nor header is or can become executable");
	ok(!has_flag(header, " wr") && !has_flag(header, " mw"),
	   "the header neither is nor can become writable");

	/* With this personality, PROT_READ implies PROT_EXEC. */
	personality(old | READ_IMPLIES_EXEC);
	implied = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, 0);
	mprotect(data, DATA, PROT_READ);
	personality(old);
	ok(implied == MAP_FAILED || !has_flag(implied, " ex"),
	   "mmap under READ_IMPLIES_EXEC gives no executable mapping");
	ok(!has_flag(data, " ex"),
	   "mprotect under READ_IMPLIES_EXEC makes no mapping executable");

	if (implied != MAP_FAILED)
		munmap(implied, PAGE);
	munmap(header, PAGE);
	munmap(data, DATA);
}

/* ---- Changes to a mapping ---- */

/*
 * A mapping that grew would reach past the region's last page, and a second one
 * made by mremap would bypass the driver's mmap.
 */
static void test_mremap(void)
{
	size_t half = DATA / 2;
	char *data = mmap_or_die(device, half, RW, MAP_SHARED, 0);
	char *target, *moved;

	fill_pattern();
	/* Nothing follows the target: only the driver's flags stop growth. */
	target = mmap_or_die(-1, DATA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			     0);
	munmap(target, DATA);
	moved = mremap(data, half, half, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	ok(moved == target && has_pattern(moved, half, 0),
	   "mremap moves a mapping, which shows the same bytes");
	if (moved != target)
		errx(1, "mremap: the mapping was not moved");
	ok(mremap(moved, 0, half, MREMAP_MAYMOVE) == MAP_FAILED,
	   "mremap with an old size of 0 makes no second mapping");
	ok(mremap(moved, half, half + PAGE, 0) == MAP_FAILED,
	   "mremap does not grow a mapping in place");
	ok(mremap(moved, half, DATA + PAGE, MREMAP_MAYMOVE) == MAP_FAILED,
	   "mremap does not grow a mapping by moving it");

	/* Drop the pages, so that each part has to fault in its own ones. */
	madvise(moved, half, MADV_DONTNEED);
	target += half;
	ok(mremap(moved + 10 * PAGE, 5 * PAGE, 5 * PAGE,
		  MREMAP_MAYMOVE | MREMAP_FIXED, target) == target &&
	   has_pattern(target, 5 * PAGE, 10 * PAGE) &&
	   has_pattern(moved, 10 * PAGE, 0) && !is_mapped(moved + 10 * PAGE) &&
	   has_pattern(moved + 15 * PAGE, half - 15 * PAGE, 15 * PAGE),
	   "mremap moves part of a mapping, and all parts show the same bytes");
	ok(mremap(target, 5 * PAGE, 2 * PAGE, 0) == target &&
	   has_pattern(target, 2 * PAGE, 10 * PAGE) &&
	   !is_mapped(target + 2 * PAGE),
	   "mremap shrinks a mapping");
	munmap(target, 2 * PAGE);
	munmap(moved, half);
}

/* The kernel emulates remap_file_pages by a new mmap of the device. */
static void test_remap_file_pages(void)
{
	const struct {
		const char *name;
		unsigned long page;
		int want;
	} cases[] = {
		{ "remap_file_pages to another data page succeeds", 5, 0 },
		{ "remap_file_pages past the data is EINVAL", MP3_DATA_PAGES,
		  EINVAL },
		{ "remap_file_pages to a writable header is EPERM",
		  MP3_OFF_HEADER / PAGE, EPERM },
	};
	size_t i;

	fill_pattern();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		void *one = mmap_or_die(device, PAGE, RW, MAP_SHARED, 0);

		ok_errno(syscall(SYS_remap_file_pages, one, PAGE, 0,
				 cases[i].page, 0), cases[i].want,
			 cases[i].name);
		if (!cases[i].want)
			ok(has_pattern(one, PAGE, cases[i].page * PAGE),
			   "remap_file_pages shows the other page at once");
		munmap(one, PAGE);
	}
}

/* What is left after munmap still shows its own pages, and no others. */
static void test_munmap(void)
{
	char *data = map_data();
	int status;

	fill_pattern();
	munmap(data + 40 * PAGE, 20 * PAGE);
	ok(has_pattern(data, 40 * PAGE, 0) && !is_mapped(data + 40 * PAGE) &&
	   !is_mapped(data + 60 * PAGE - 1) &&
	   has_pattern(data + 60 * PAGE, DATA - 60 * PAGE, 60 * PAGE),
	   "munmap in the middle leaves the rest of the mapping as it was");
	munmap(data, DATA);

	/* Map two pages where the two after them are free. */
	data = mmap_or_die(-1, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			   0);
	munmap(data, 4 * PAGE);
	if (mmap(data, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, device, 0) != data)
		err(1, "mmap");
	ok(has_pattern(data + 2 * PAGE - 1, 1, 2 * PAGE - 1),
	   "the last byte of a two-page mapping is readable");
	if (!fork())
		_exit(*(volatile char *)(data + 2 * PAGE));
	wait(&status);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
	   "the first byte after a two-page mapping faults with SIGSEGV");
	munmap(data, 2 * PAGE);
}

/* Pages that madvise drops, or keeps from a child, fault in again unchanged. */
static void test_madvise(void)
{
	char *data = map_data();
	bool granted;
	int status;

	fill_pattern();
	ok(!madvise(data, DATA, MADV_DONTNEED) && has_pattern(data, DATA, 0),
	   "data pages show the same bytes after madvise(MADV_DONTNEED)");
	ok(!mlock(data, DATA) && has_pattern(data, DATA, 0) &&
	   !munlock(data, DATA), "data pages show the same bytes under mlock");

	madvise(data, DATA, MADV_DONTFORK);
	if (!fork())
		_exit(is_mapped(data));
	wait(&status);
	ok(!status, "a child does not inherit a mapping with MADV_DONTFORK");
	/* Later kernels refuse this for a mapping with VM_DONTEXPAND. */
	granted = !madvise(data, DATA, MADV_DOFORK);
	if (!fork())
		_exit(granted ? !has_pattern(data, DATA, 0) : is_mapped(data));
	wait(&status);
	ok(!status,
	   "a child inherits a mapping again only if MADV_DOFORK is granted");
	munmap(data, DATA);
}

/* A child inherits the ring itself, not a copy as of the fork. */
static void test_fork(void)
{
	uint64_t head = ring_head(&ring);
	volatile struct mp3_sample *next = &ring.samples[head % MP3_SAMPLES];
	int status, pair[2];
	char byte = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		err(1, "socketpair");
	fill_pattern();
	if (!fork()) {
		bool same = has_pattern(ring.samples, DATA, 0) &&
			write(pair[1], &byte, 1) == 1 &&
			read(pair[1], &byte, 1) == 1 &&
			ring_head(&ring) > head && !next->maj_flt;
		/* The parent has to see this store. */
		next->jiffies = 0;
		_exit(!same);
	}
	/* If the child fails, its end closes, and read returns 0. */
	close(pair[1]);
	if (read(pair[0], &byte, 1) == 1) {
		publish();
		if (write(pair[0], &byte, 1) != 1)
			err(1, "write");
	}
	wait(&status);

	ok(!status, "a child sees the ring's bytes and new samples");
	ok_eq(next->jiffies, 0,
	      "a parent sees what its child writes to the ring");
	close(pair[0]);
}

/* ---- The pages in other system calls ---- */

/*
 * The ring's pages are ordinary memory: a reader may pass them to any system
 * call.
 */
static void test_sharing(void)
{
	char *one = map_data(), *other = map_data(), *private;
	struct iovec data = { one, DATA }, copy = { malloc(DATA), DATA };
	int file = syscall(SYS_memfd_create, "copy", 0);
	bool written;

	if (file < 0 || !copy.iov_base)
		err(1, "memfd_create");
	fill_pattern();
	ok(has_pattern(one, DATA, 0) && has_pattern(other, DATA, 0),
	   "two shared mappings show the same pages");

	private = mmap_or_die(device, DATA, RW, MAP_PRIVATE, 0);
	written = has_pattern(private, DATA, 0);
	memset(private, 0, DATA / 2);
	ok(written && has_pattern(one, DATA, 0) && !private[0] &&
	   has_pattern(private + DATA / 2, DATA / 2, DATA / 2),
	   "writes to a private mapping do not reach the ring");
	munmap(private, DATA);

	ok(write(file, one, DATA) == DATA &&
	   pread(file, copy.iov_base, DATA, 0) == DATA &&
	   has_pattern(copy.iov_base, DATA, 0),
	   "write(2) accepts a mapping as its buffer");
	memset(copy.iov_base, 0, DATA);
	ok(process_vm_readv(getpid(), &copy, 1, &data, 1, 0) == DATA &&
	   has_pattern(copy.iov_base, DATA, 0),
	   "process_vm_readv reads a mapping");
	memset(copy.iov_base, 0, DATA);
	ok(process_vm_writev(getpid(), &copy, 1, &data, 1, 0) == DATA &&
	   !memcmp(other, copy.iov_base, DATA),
	   "process_vm_writev changes the bytes in every mapping");

	close(file);
	free(copy.iov_base);
	munmap(one, DATA);
	munmap(other, DATA);
}

/*
 * Unmapping a page must not free it: memory allocated right afterwards, far
 * more than the ring has, must not overwrite the ring's pages.
 */
static void test_pages_kept(void)
{
	size_t size = 64 * DATA;
	char *data, *memory;

	fill_pattern();
	data = map_data();
	has_pattern(data, DATA, 0);
	munmap(data, DATA);
	munmap((void *)ring.samples, ring.data_size);

	/* Pages of the same size as the ring's. */
	memory = mmap_or_die(-1, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	madvise(memory, size, MADV_NOHUGEPAGE);
	memset(memory, 0xee, size);
	ring.samples = map_data();
	ok(has_pattern(ring.samples, DATA, 0),
	   "the ring keeps its pages after they have been unmapped");
	munmap(memory, size);
}

/*
 * A mapping pins the module, whose fault handler it needs. A page that the
 * kernel has pinned elsewhere keeps only itself, and needs no code of the
 * module.
 */
static void test_lifetimes(void)
{
	struct iovec pinned[2];
	char *data, *header, *bytes = malloc(PAGE);
	int fds[2];

	if (pipe(fds) || !bytes)
		err(1, "pipe or malloc");
	fill_pattern();
	data = map_data();
	header = map_header();
	pinned[0] = (struct iovec){ data + 3 * PAGE, PAGE };
	pinned[1] = (struct iovec){ data + (MP3_DATA_PAGES - 1) * PAGE, PAGE };
	if (vmsplice(fds[1], pinned, 2, 0) != 2 * PAGE)
		err(1, "vmsplice");

	munmap(header, PAGE);
	munmap(data, DATA);
	ok(read(fds[0], bytes, PAGE) == PAGE &&
	   has_pattern(bytes, PAGE, 3 * PAGE),
	   "a page spliced into a pipe outlives its mapping");

	/* Leave a single mapping, of one page. */
	data = mmap_or_die(device, PAGE, PROT_READ, MAP_SHARED, PAGE);
	munmap((void *)ring.samples, ring.data_size);
	munmap((void *)ring.header, PAGE);
	close(ring.fd);
	close(read_only);
	close(device);
	ok(has_pattern(data, PAGE, PAGE), "a mapping outlives its descriptor");
	ok_eq(unload(), -EWOULDBLOCK, "a mapping pins the module");
	munmap(data, PAGE);
	ok_eq(unload(), 0, "the module can be unloaded without a mapping");

	ok(read(fds[0], bytes, PAGE) == PAGE &&
	   has_pattern(bytes, PAGE, (MP3_DATA_PAGES - 1) * PAGE),
	   "a page spliced into a pipe outlives the module");
	load_or_die("");
	close(fds[0]);
	close(fds[1]);
	free(bytes);
}

/* ---- The ring of records: read-only, and of variable size ---- */

static void reload_records(const char *params)
{
	unload_or_die();
	load_or_die(params);
	device = open(MP3_PROCS_PATH, O_RDWR | O_CLOEXEC);
	if (device < 0)
		err(1, "%s", MP3_PROCS_PATH);
}

/* Returns whether a mapped page is the header. */
static bool is_header(const void *page)
{
	return *(const volatile uint32_t *)page == MP3_MAGIC;
}

/* Returns whether a mapped page is data that were never written. */
static bool is_unused(const void *page)
{
	const volatile long *words = page;
	size_t i;

	for (i = 0; i < PAGE / sizeof(*words); i++)
		if (words[i] != -1)
			return false;
	return true;
}

/* Maps records and unmaps them again. Returns 0 or the errno of mmap. */
static int try_map(size_t size, size_t offset)
{
	void *got = mmap(NULL, size, PROT_READ, MAP_SHARED, device, offset);

	if (got == MAP_FAILED)
		return errno;
	munmap(got, size);
	return 0;
}

/*
 * Returns whether mmap accepts exactly what lies inside a region, for data of
 * @pages pages. Data that reach past MP3_OFF_HEADER may be mapped there, too.
 */
static bool regions_are_exact(size_t pages)
{
	const size_t size = pages * PAGE, header = MP3_OFF_HEADER;
	const bool overlaps = size > header;
	const struct {
		size_t size, offset;
		int want;
	} cases[] = {
		{ size, 0, 0 }, { PAGE, size - PAGE, 0 }, { PAGE, header, 0 },
		{ size + PAGE, 0, EINVAL }, { size + 1, 0, EINVAL },
		{ 2 * PAGE, size - PAGE, EINVAL },
		{ PAGE, size, size == header ? 0 : EINVAL },
		{ size, PAGE, EINVAL }, { PAGE, size + (PAGE << 32), EINVAL },
		{ PAGE, PAGE << 32, EINVAL }, { 1UL << 44, 0, EINVAL },
		{ PAGE, header - PAGE, size >= header ? 0 : EINVAL },
		{ 2 * PAGE, header - PAGE, overlaps ? 0 : EINVAL },
		{ 2 * PAGE, header, size > header + PAGE ? 0 : EINVAL },
		{ PAGE, header + PAGE, size > header + PAGE ? 0 : EINVAL },
	};
	bool exact = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int got = try_map(cases[i].size, cases[i].offset);

		if (got == cases[i].want)
			continue;
		diag("%zu pages: %#zx bytes at %#zx: got \"%s\", want \"%s\"",
		     pages, cases[i].size, cases[i].offset, strerror(got),
		     strerror(cases[i].want));
		exact = false;
	}
	return exact;
}

static void test_record_sizes(void)
{
	static const struct {
		const char *params;
		unsigned int records;
	} loads[] = {
		{ "records=64", 64 }, { "records=65", 65 },
		{ "records=128", 128 }, { "", 65536 },
		{ "records=4194304", 4194304 }, { "records=4194305", 4194305 },
		{ "records=16777216", 16777216 },
	};
	const size_t size = sizeof(struct mp3_record);
	struct mp3_header *header;
	size_t i, pages;
	char *data;
	bool right;

	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		reload_records(loads[i].params);
		pages = (loads[i].records * size + PAGE - 1) / PAGE;
		header = map_header();
		data = mmap_or_die(device, pages * PAGE, PROT_READ, MAP_SHARED,
				   0);
		right = is_header(header) &&
			header->capacity == loads[i].records &&
			header->entry_size == size && is_unused(data) &&
			is_unused(data + (pages - 1) * PAGE);
		munmap(header, PAGE);
		munmap(data, pages * PAGE);
		ok(right && regions_are_exact(pages),
		   "a ring of %u records can be mapped whole, and no further",
		   loads[i].records);
		close(device);
	}
}

/* Data that reach past MP3_OFF_HEADER: one page mapped there is the header. */
static void test_records_past_header(void)
{
	const size_t records = 5000000, header = MP3_OFF_HEADER;
	const size_t size = records * sizeof(struct mp3_record);
	char *data, *pair, *one;

	reload_records("records=5000000");
	data = mmap_or_die(device, size, PROT_READ, MAP_SHARED, 0);
	ok(is_unused(data + header) && is_unused(data + header + PAGE),
	   "records past the header's offset show up in a mapping of all data");
	pair = mmap_or_die(device, 2 * PAGE, PROT_READ, MAP_SHARED, header);
	one = mmap_or_die(device, PAGE, PROT_READ, MAP_SHARED, header);
	ok(is_unused(pair) && is_unused(pair + PAGE) && is_header(one),
	   "at the header's offset one page is the header, two pages are data");

	/* A mapping that shrinks to this one page still shows data. */
	munmap(pair + PAGE, PAGE);
	madvise(pair, PAGE, MADV_DONTNEED);
	ok(is_unused(pair),
	   "two data pages at the header's offset stay data when cut to one");
	munmap(data, header);
	munmap(data + header + PAGE, size - header - PAGE);
	madvise(data + header, PAGE, MADV_DONTNEED);
	ok(is_unused(data + header),
	   "all data stay data when cut to the page at the header's offset");
	mprotect(one, PAGE, PROT_NONE);
	mprotect(one, PAGE, PROT_READ);
	madvise(one, PAGE, MADV_DONTNEED);
	ok(is_header(one), "the header page stays the header after mprotect");
	munmap(one, PAGE);
	munmap(pair, PAGE);
	munmap(data + header, PAGE);
	close(device);
}

static void check_record_protections(void)
{
	const struct protection maps[] = {
		{ "mmap of the records with PROT_WRITE is EPERM",
		  device, RW, MAP_SHARED, 0, EPERM },
		{ "private mmap of the records with PROT_WRITE is EPERM",
		  device, RW, MAP_PRIVATE, 0, EPERM },
		{ "mmap of the records with PROT_EXEC is EPERM",
		  device, RX, MAP_SHARED, 0, EPERM },
		{ "mmap of the records' header with PROT_WRITE is EPERM",
		  device, RW, MAP_SHARED, MP3_OFF_HEADER, EPERM },
		{ "mmap of the records' header with PROT_EXEC is EPERM",
		  device, RX, MAP_SHARED, MP3_OFF_HEADER, EPERM },
	}, changes[] = {
		{ "mprotect of the records to PROT_WRITE is EACCES",
		  device, RW, MAP_SHARED, 0, EACCES },
		{ "mprotect of privately mapped records to PROT_WRITE is EACCES",
		  device, RW, MAP_PRIVATE, 0, EACCES },
		{ "mprotect of the records to PROT_EXEC is EACCES",
		  device, RX, MAP_SHARED, 0, EACCES },
		{ "mprotect of the records' header to PROT_WRITE is EACCES",
		  device, RW, MAP_SHARED, MP3_OFF_HEADER, EACCES },
	};

	check_mmap(maps, ARRAY_SIZE(maps));
	check_mprotect(changes, ARRAY_SIZE(changes));
}

static void test_record_protections(void)
{
	struct iovec from = { &(uint64_t){ 1 }, sizeof(uint64_t) };
	int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	/* All data, at the default of the parameter records */
	const size_t size = 65536 * sizeof(struct mp3_record);
	struct iovec to;
	char *got;

	reload_records("");
	check_record_protections();

	got = mmap_or_die(device, size, PROT_READ, MAP_SHARED, 0);
	ok(has_flag(got, " dd") && has_flag(got, " de") &&
	   !has_flag(got, " mw") && !has_flag(got, " me"),
	   "records cannot be dumped, expanded, made writable or executable");
	to = (struct iovec){ got + 8, sizeof(uint64_t) };
	ok(process_vm_writev(getpid(), &from, 1, &to, 1, 0) < 0 &&
	   pwrite(memory, from.iov_base, 8, (uintptr_t)got + 8) < 0 &&
	   is_unused(got),
	   "neither process_vm_writev nor /proc/self/mem writes the records");
	ok(mremap(got, size, size + PAGE, MREMAP_MAYMOVE) == MAP_FAILED,
	   "mremap does not grow a mapping of records");
	close(device);
	ok_eq(unload(), -EWOULDBLOCK, "a mapping of records pins the module");
	munmap(got, size);
	close(memory);
	reload_records("");
	close(device);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		module_path = argv[1];
	ring = ring_open();
	device = open(MP3_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	read_only = open(MP3_DEVICE_PATH, O_RDONLY | O_CLOEXEC);
	if (device < 0 || read_only < 0)
		err(1, "%s", MP3_DEVICE_PATH);

	test_regions();
	test_protections();
	test_flags();
	test_mremap();
	test_remap_file_pages();
	test_munmap();
	test_madvise();
	test_fork();
	test_sharing();
	test_pages_kept();
	test_lifetimes();
	test_record_sizes();
	test_records_past_header();
	test_record_protections();

	return done();
}
