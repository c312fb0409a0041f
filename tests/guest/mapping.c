// SPDX-License-Identifier: GPL-2.0
/*
 * What can be mapped of the device, and what a mapping can be made into: only
 * what lies inside one region, never executable, never larger, never in a core
 * dump, the header never writable; and pages that last as long as their users.
 *
 * Usage: mapping [MODULE]
 *
 * MODULE (/mp3/mp3.ko) is loaded anew when it has been shown that it can be
 * unloaded.
 *
 * vm: -m 2560
 */
#include <signal.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "test.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PAGE		((long)getpagesize())
#define RW		(PROT_READ | PROT_WRITE)
#define RX		(PROT_READ | PROT_EXEC)
#define DATA		(MP3_DATA_PAGES * PAGE)

static int device, read_only;
static struct ring mp3;

static void *map(int fd, size_t size, int prot, int flags, off_t offset)
{
	void *address = mmap(NULL, size, prot, flags, fd, offset);

	if (address == MAP_FAILED)
		err(1, "mmap");
	return address;
}

static void *map_data(void)
{
	return map(device, DATA, RW, MAP_SHARED, 0);
}

/* One result, of a call that should fail so; 0 for one that should not. */
static void ok_errno(bool failed, int want, const char *name)
{
	int got = failed ? errno : 0;

	if (!ok(got == want, "%s", name))
		diag("got \"%s\", want \"%s\"", strerror(got), strerror(want));
}

/* Each page has bytes of its own, so that a page in another's place shows. */
static unsigned char pattern(size_t at)
{
	return at * 13 + at / PAGE * 31 + 1;
}

static void fill_pattern(void)
{
	volatile unsigned char *bytes = (volatile unsigned char *)mp3.samples;
	size_t i;

	for (i = 0; i < (size_t)DATA; i++)
		bytes[i] = pattern(i);
}

/* Whether @map shows the ring's bytes from @from on. */
static bool has_pattern(const volatile void *map, size_t size, size_t from)
{
	const volatile unsigned char *bytes = map;
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

/* The kernel says EFAULT of memory that is not there. */
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

/* The last process to be unregistered leaves a sample. */
static void publish(void)
{
	if (command('R', getpid()) || command('U', getpid()))
		errx(1, "no sample can be made");
}

/* ---- Lengths and offsets ---- */

/*
 * A mapping lies in one region, or is refused: a page of the device that is no
 * page of the ring can then never be touched. The large numbers are right in
 * their lower 32 bits, and would pass where a page number is cut to that.
 */
static void test_regions(void)
{
	const size_t header = MP3_OFF_HEADER;
	const struct {
		const char *name;
		size_t size, offset;
		int want;
	} cases[] = {
		{ "mmap: one page", PAGE, 0, 0 },
		{ "mmap: one byte", 1, 0, 0 },
		{ "mmap: all data pages", DATA, 0, 0 },
		{ "mmap: some in the middle", 40 * PAGE, 17 * PAGE, 0 },
		{ "mmap: the last one", PAGE, DATA - PAGE, 0 },
		{ "mmap: the header", PAGE, header, 0 },
		{ "mmap: no byte", 0, 0, EINVAL },
		{ "mmap: one page too many", DATA + PAGE, 0, EINVAL },
		{ "mmap: one byte too many", DATA + 1, 0, EINVAL },
		{ "mmap: two from the last on", 2 * PAGE, DATA - PAGE, EINVAL },
		{ "mmap: all of them, one page further", DATA, PAGE, EINVAL },
		{ "mmap: behind the data", PAGE, DATA, EINVAL },
		{ "mmap: between data and header", PAGE, header / 2, EINVAL },
		{ "mmap: from data to header", header + PAGE, 0, EINVAL },
		{ "mmap: before the header", PAGE, header - PAGE, EINVAL },
		{ "mmap: up to the header", 2 * PAGE, header - PAGE, EINVAL },
		{ "mmap: behind the header", PAGE, header + PAGE, EINVAL },
		{ "mmap: two from the header on", 2 * PAGE, header, EINVAL },
		{ "mmap: the data + 4 GiB", PAGE, 1UL << 32, EINVAL },
		{ "mmap: the header + 4 GiB", PAGE, header + (1UL << 32),
		  EINVAL },
		{ "mmap: the data + 4 Gi pages", PAGE, PAGE << 32, EINVAL },
		{ "mmap: the header + 4 Gi pages", PAGE, header + (PAGE << 32),
		  EINVAL },
		{ "mmap: 4 GiB of data", 1UL << 32, 0, EINVAL },
		{ "mmap: 4 Gi pages of data, and one", PAGE + (PAGE << 32), 0,
		  EINVAL },
		{ "mmap: a negative offset", PAGE, -2 * PAGE, EINVAL },
		{ "mmap: the most negative offset", PAGE, 1UL << 63, EINVAL },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		void *got = mmap(NULL, cases[i].size, PROT_READ, MAP_SHARED,
				 device, cases[i].offset);

		ok_errno(got == MAP_FAILED, cases[i].want, cases[i].name);
		if (got != MAP_FAILED)
			munmap(got, cases[i].size);
	}
}

/* ---- Protections ---- */

/*
 * Refused when it is mapped, and when it is asked for later: a mapping keeps
 * for life what it may become. A private one would write to copies, and still
 * is refused for the header: who asks for it takes it for something else.
 */
static void test_protections(void)
{
	const struct {
		const char *name;
		int fd, prot, flags;
		off_t offset;
		int want;
	} maps[] = {
		{ "mmap: data, executable", device,
		  RX, MAP_SHARED, 0, EPERM },
		{ "mmap: data, executable, private", device,
		  RX, MAP_PRIVATE, 0, EPERM },
		{ "mmap: header, executable", device,
		  RX, MAP_SHARED, MP3_OFF_HEADER, EPERM },
		{ "mmap: header, writable", device,
		  RW, MAP_SHARED, MP3_OFF_HEADER, EPERM },
		{ "mmap: header, writable, private", device,
		  RW, MAP_PRIVATE, MP3_OFF_HEADER, EPERM },
		{ "mmap: data, writable, of a file that is not", read_only,
		  RW, MAP_SHARED, 0, EACCES },
		{ "mmap: data, of a file that is read-only", read_only,
		  PROT_READ, MAP_SHARED, 0, 0 },
	}, changes[] = {
		{ "mprotect: data to executable", device,
		  RX, MAP_SHARED, 0, EACCES },
		{ "mprotect: data to executable, private", device,
		  RX, MAP_PRIVATE, 0, EACCES },
		{ "mprotect: header to executable", device,
		  RX, MAP_SHARED, MP3_OFF_HEADER, EACCES },
		{ "mprotect: header to writable", device,
		  RW, MAP_SHARED, MP3_OFF_HEADER, EACCES },
		{ "mprotect: header to writable, private", device,
		  RW, MAP_PRIVATE, MP3_OFF_HEADER, EACCES },
		{ "mprotect: data to writable, of a file that is not",
		  read_only, RW, MAP_SHARED, 0, EACCES },
		{ "mprotect: data to writable", device, RW, MAP_SHARED, 0, 0 },
	};
	size_t i;
	void *got;

	for (i = 0; i < ARRAY_SIZE(maps); i++) {
		got = mmap(NULL, PAGE, maps[i].prot, maps[i].flags, maps[i].fd,
			   maps[i].offset);
		ok_errno(got == MAP_FAILED, maps[i].want, maps[i].name);
		if (got != MAP_FAILED)
			munmap(got, PAGE);
	}
	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		got = map(changes[i].fd, PAGE, PROT_READ, changes[i].flags,
			  changes[i].offset);
		ok_errno(mprotect(got, PAGE, changes[i].prot), changes[i].want,
			 changes[i].name);
		munmap(got, PAGE);
	}
}

/*
 * What the kernel says of the mapping that starts at @map: its flags, two
 * letters each, behind a space; to be freed.
 */
static char *vm_flags(const void *map)
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
			found = start == (unsigned long)map;
		else if (found && !strncmp(line, "VmFlags:", 8))
			flags = strdup(line + 8);
	}
	free(line);
	fclose(file);
	if (!flags)
		errx(1, "smaps: no flags of %p", map);

	return flags;
}

static bool has_flag(const void *map, const char *flag)
{
	char *flags = vm_flags(map);
	bool found = strstr(flags, flag);

	free(flags);
	return found;
}

/*
 * Core dumps and old programs' memory are what no call can be seen refused for:
 * the kernel's own flags of a mapping tell.
 */
static void test_flags(void)
{
	void *data = map_data();
	void *header = map(device, PAGE, PROT_READ, MAP_SHARED, MP3_OFF_HEADER);
	int old = personality(0xffffffff);
	void *implied;

	ok(has_flag(data, " dd") && has_flag(header, " dd"),
	   "neither data nor header is in a core dump");
	/* Nor can it be had back, as for ordinary memory. */
	ok_errno(madvise(data, DATA, MADV_DODUMP), EINVAL,
		 "madvise: data into a core dump");
	ok(has_flag(data, " de") && has_flag(header, " de"),
	   "neither data nor header can grow");
	ok(!has_flag(data, " ex") && !has_flag(header, " ex") &&
	   !has_flag(data, " me") && !has_flag(header, " me"),
	   "neither data nor header is or can be made executable");
	ok(!has_flag(header, " wr") && !has_flag(header, " mw"),
	   "the header is not and cannot be made writable");

	/* To old programs all that is readable is executable. */
	personality(old | READ_IMPLIES_EXEC);
	implied = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, 0);
	mprotect(data, DATA, PROT_READ);
	personality(old);
	ok(implied == MAP_FAILED || !has_flag(implied, " ex"),
	   "mmap: not executable where reading implies it");
	ok(!has_flag(data, " ex"),
	   "mprotect: not executable where reading implies it");

	if (implied != MAP_FAILED)
		munmap(implied, PAGE);
	munmap(header, PAGE);
	munmap(data, DATA);
}

/* ---- What becomes of a mapping ---- */

/*
 * A mapping that grew would have pages behind the region's last one, and a
 * second one made by mremap would never have been seen by the device.
 */
static void test_mremap(void)
{
	size_t half = DATA / 2;
	char *data = map(device, half, RW, MAP_SHARED, 0), *place, *moved;

	fill_pattern();
	/* There is room, so that the kernel has only our word to refuse by. */
	place = map(-1, DATA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	munmap(place, DATA);
	moved = mremap(data, half, half, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	ok(moved == place && has_pattern(moved, half, 0),
	   "mremap: moves, and the bytes are the same");
	if (moved != place)
		errx(1, "mremap: does not move");
	ok(mremap(moved, 0, half, MREMAP_MAYMOVE) == MAP_FAILED,
	   "mremap: makes no second mapping");
	ok(mremap(moved, half, half + PAGE, 0) == MAP_FAILED,
	   "mremap: does not grow in place");
	ok(mremap(moved, half, DATA + PAGE, MREMAP_MAYMOVE) == MAP_FAILED,
	   "mremap: does not grow elsewhere");

	/* Each part knows which pages it has, before and after they are met. */
	madvise(moved, half, MADV_DONTNEED);
	place += half;
	ok(mremap(moved + 10 * PAGE, 5 * PAGE, 5 * PAGE,
		  MREMAP_MAYMOVE | MREMAP_FIXED, place) == place &&
	   has_pattern(place, 5 * PAGE, 10 * PAGE) &&
	   has_pattern(moved, 10 * PAGE, 0) && !is_mapped(moved + 10 * PAGE) &&
	   has_pattern(moved + 15 * PAGE, half - 15 * PAGE, 15 * PAGE),
	   "mremap: moves a part, and the bytes are the same");
	ok(mremap(place, 5 * PAGE, 2 * PAGE, 0) == place &&
	   has_pattern(place, 2 * PAGE, 10 * PAGE) &&
	   !is_mapped(place + 2 * PAGE),
	   "mremap: shrinks");
	munmap(place, 2 * PAGE);
	munmap(moved, half);
}

/* The kernel makes a new mapping of it, and so asks the module again. */
static void test_remap_file_pages(void)
{
	const struct {
		const char *name;
		unsigned long page;
		int want;
	} cases[] = {
		{ "remap_file_pages: another data page", 5, 0 },
		{ "remap_file_pages: behind the data", MP3_DATA_PAGES, EINVAL },
		{ "remap_file_pages: the header, writable",
		  MP3_OFF_HEADER / PAGE, EPERM },
	};
	size_t i;

	fill_pattern();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		void *one = map(device, PAGE, RW, MAP_SHARED, 0);

		ok_errno(syscall(SYS_remap_file_pages, one, PAGE, 0,
				 cases[i].page, 0), cases[i].want,
			 cases[i].name);
		if (!cases[i].want)
			ok(has_pattern(one, PAGE, cases[i].page * PAGE),
			   "it is shown at once");
		munmap(one, PAGE);
	}
}

/* What is left of a mapping still finds its own pages, and no others. */
static void test_munmap(void)
{
	char *data = map_data();
	int status;

	fill_pattern();
	munmap(data + 40 * PAGE, 20 * PAGE);
	ok(has_pattern(data, 40 * PAGE, 0) && !is_mapped(data + 40 * PAGE) &&
	   !is_mapped(data + 60 * PAGE - 1) &&
	   has_pattern(data + 60 * PAGE, DATA - 60 * PAGE, 60 * PAGE),
	   "munmap in the middle: the rest is as it was");
	munmap(data, DATA);

	/* Twice as much room as is mapped, and nothing else in it. */
	data = map(-1, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	munmap(data, 4 * PAGE);
	if (mmap(data, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, device, 0) != data)
		err(1, "mmap");
	ok(has_pattern(data + 2 * PAGE - 1, 1, 2 * PAGE - 1),
	   "the last byte of a short mapping is there");
	if (!fork())
		_exit(*(volatile char *)(data + 2 * PAGE));
	wait(&status);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
	   "the first one behind it is not");
	munmap(data, 2 * PAGE);
}

/*
 * The kernel drops pages of a mapping, or does not copy it, when it is told to:
 * they come back by a fault, and have to be the same ones.
 */
static void test_madvise(void)
{
	char *data = map_data();
	bool granted;
	int status;

	fill_pattern();
	ok(!madvise(data, DATA, MADV_DONTNEED) && has_pattern(data, DATA, 0),
	   "madvise: what is not needed comes back the same");
	ok(!mlock(data, DATA) && has_pattern(data, DATA, 0) &&
	   !munlock(data, DATA), "mlock: the bytes are the same");

	madvise(data, DATA, MADV_DONTFORK);
	if (!fork())
		_exit(is_mapped(data));
	wait(&status);
	ok(!status, "madvise: not in a child");
	/* Later kernels grant that to no mapping that must not be expanded. */
	granted = !madvise(data, DATA, MADV_DOFORK);
	if (!fork())
		_exit(granted ? !has_pattern(data, DATA, 0) : is_mapped(data));
	wait(&status);
	ok(!status, "madvise: in a child again, where the kernel grants it");
	munmap(data, DATA);
}

/* What the child has of the mapping is the ring, not a copy as of the fork. */
static void test_fork(void)
{
	uint64_t head = ring_head(&mp3);
	volatile struct mp3_sample *next = &mp3.samples[head % MP3_SAMPLES];
	int status, pair[2];
	char byte = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		err(1, "socketpair");
	fill_pattern();
	if (!fork()) {
		bool same = has_pattern(mp3.samples, DATA, 0) &&
			write(pair[1], &byte, 1) == 1 &&
			read(pair[1], &byte, 1) == 1 &&
			ring_head(&mp3) > head && !next->maj_flt;
		/* And what it writes there is the parent's, too. */
		next->jiffies = 0;
		_exit(!same);
	}
	/* An end of the pair closed by a child that fails ends the wait. */
	close(pair[1]);
	if (read(pair[0], &byte, 1) == 1) {
		publish();
		if (write(pair[0], &byte, 1) != 1)
			err(1, "write");
	}
	wait(&status);

	ok(!status, "fork: the child sees the same bytes, and new samples");
	ok_eq(next->jiffies, 0, "fork: the parent sees what the child writes");
	close(pair[0]);
}

/* ---- Who else reads and writes the pages ---- */

/*
 * The pages are ordinary memory to the rest of the kernel, too, so that a
 * reader may hand them to any system call.
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
	   "two mappings are the same pages");

	private = map(device, DATA, RW, MAP_PRIVATE, 0);
	written = has_pattern(private, DATA, 0);
	memset(private, 0, DATA / 2);
	ok(written && has_pattern(one, DATA, 0) && !private[0] &&
	   has_pattern(private + DATA / 2, DATA / 2, DATA / 2),
	   "a private mapping is read, and what is written to it stays there");
	munmap(private, DATA);

	ok(write(file, one, DATA) == DATA &&
	   pread(file, copy.iov_base, DATA, 0) == DATA &&
	   has_pattern(copy.iov_base, DATA, 0),
	   "write(2) from a mapping takes its bytes");
	memset(copy.iov_base, 0, DATA);
	ok(process_vm_readv(getpid(), &copy, 1, &data, 1, 0) == DATA &&
	   has_pattern(copy.iov_base, DATA, 0),
	   "process_vm_readv takes its bytes");
	memset(copy.iov_base, 0, DATA);
	ok(process_vm_writev(getpid(), &copy, 1, &data, 1, 0) == DATA &&
	   !memcmp(other, copy.iov_base, DATA),
	   "process_vm_writev changes them for all");

	close(file);
	free(copy.iov_base);
	munmap(one, DATA);
	munmap(other, DATA);
}

/*
 * A page that was mapped and is not any more is still the ring's: memory that
 * is allocated right then must be other memory.
 */
static void test_pages_stay(void)
{
	size_t size = 64 * DATA;
	char *data, *memory;

	fill_pattern();
	data = map_data();
	has_pattern(data, DATA, 0);
	munmap(data, DATA);
	munmap((void *)mp3.samples, mp3.data_size);

	/* Small pages, as the ring's are. */
	memory = map(-1, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	madvise(memory, size, MADV_NOHUGEPAGE);
	memset(memory, 0xee, size);
	mp3.samples = map_data();
	ok(has_pattern(mp3.samples, DATA, 0),
	   "pages that are not mapped any more are still the ring's");
	munmap(memory, size);
}

static int unload(void)
{
	return syscall(SYS_delete_module, "mp3", O_NONBLOCK);
}

/*
 * A mapping keeps the module, whose code its next fault runs; a page that the
 * kernel has pinned keeps only itself, and needs no code.
 */
static void test_lifetimes(const char *module)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC), fds[2];
	struct iovec pinned[2];
	char *data, *header, *bytes = malloc(PAGE);

	if (fd < 0 || pipe(fds) || !bytes)
		err(1, "%s", module);
	fill_pattern();
	data = map_data();
	header = map(device, PAGE, PROT_READ, MAP_SHARED, MP3_OFF_HEADER);
	pinned[0] = (struct iovec){ data + 3 * PAGE, PAGE };
	pinned[1] = (struct iovec){ data + (MP3_DATA_PAGES - 1) * PAGE, PAGE };
	if (vmsplice(fds[1], pinned, 2, 0) != 2 * PAGE)
		err(1, "vmsplice");

	munmap(header, PAGE);
	munmap(data, DATA);
	ok(read(fds[0], bytes, PAGE) == PAGE &&
	   has_pattern(bytes, PAGE, 3 * PAGE),
	   "a page in a pipe outlives its mapping");

	/* One mapping, of one PAGE, is all that is left. */
	data = map(device, PAGE, PROT_READ, MAP_SHARED, PAGE);
	munmap((void *)mp3.samples, mp3.data_size);
	munmap((void *)mp3.header, PAGE);
	close(mp3.fd);
	close(read_only);
	close(device);
	ok(has_pattern(data, PAGE, PAGE), "a mapping outlives its file");
	ok_errno(unload(), EWOULDBLOCK, "a mapping holds the module");
	munmap(data, PAGE);
	ok_errno(unload(), 0, "without it the module can be unloaded");

	ok(read(fds[0], bytes, PAGE) == PAGE &&
	   has_pattern(bytes, PAGE, (MP3_DATA_PAGES - 1) * PAGE),
	   "a page in a pipe outlives the module");
	if (syscall(SYS_finit_module, fd, "", 0))
		err(1, "load %s", module);
	close(fd);
	close(fds[0]);
	close(fds[1]);
	free(bytes);
}

/* ---- The ring of records: read-only, and of any size ---- */

static void reload_records(const char *module, const char *params)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || unload() || syscall(SYS_finit_module, fd, params, 0))
		err(1, "load %s %s", module, params);
	close(fd);
	device = open(MP3_PROCS_PATH, O_RDWR | O_CLOEXEC);
	if (device < 0)
		err(1, "%s", MP3_PROCS_PATH);
}

/* What a page shows: the header, or data that nobody has written yet. */
static bool is_header(const void *page)
{
	return *(const volatile uint32_t *)page == MP3_MAGIC;
}

static bool is_unused(const void *page)
{
	const volatile long *words = page;
	size_t i;

	for (i = 0; i < PAGE / sizeof(*words); i++)
		if (words[i] != -1)
			return false;
	return true;
}

/* A mapping of the records: 0 or an errno. */
static int try_map(size_t size, size_t offset)
{
	void *got = mmap(NULL, size, PROT_READ, MAP_SHARED, device, offset);

	if (got == MAP_FAILED)
		return errno;
	munmap(got, size);
	return 0;
}

/* All that may be mapped, and nothing beyond, of so many pages. */
static bool has_regions(size_t pages)
{
	const size_t size = pages * PAGE, header = MP3_OFF_HEADER;
	const bool beyond = size > header;
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
		{ 2 * PAGE, header - PAGE, beyond ? 0 : EINVAL },
		{ 2 * PAGE, header, size > header + PAGE ? 0 : EINVAL },
		{ PAGE, header + PAGE, size > header + PAGE ? 0 : EINVAL },
	};
	bool all = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int got = try_map(cases[i].size, cases[i].offset);

		if (got == cases[i].want)
			continue;
		diag("%zu pages, %zx at %zx: \"%s\", want \"%s\"", pages,
		     cases[i].size, cases[i].offset, strerror(got),
		     strerror(cases[i].want));
		all = false;
	}
	return all;
}

static void test_record_sizes(const char *module)
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
	bool shown;

	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		reload_records(module, loads[i].params);
		pages = (loads[i].records * size + PAGE - 1) / PAGE;
		header = map(device, PAGE, PROT_READ, MAP_SHARED,
			     MP3_OFF_HEADER);
		data = map(device, pages * PAGE, PROT_READ, MAP_SHARED, 0);
		shown = is_header(header) &&
			header->capacity == loads[i].records &&
			header->entry_size == size && is_unused(data) &&
			is_unused(data + (pages - 1) * PAGE);
		munmap(header, PAGE);
		munmap(data, pages * PAGE);
		ok(shown && has_regions(pages),
		   "%u records: all can be mapped, and nothing beyond",
		   loads[i].records);
		close(device);
	}
}

/* The page that is the header's, where it is one of the data, too. */
static void test_records_beyond(const char *module)
{
	const size_t records = 5000000, header = MP3_OFF_HEADER;
	const size_t size = records * sizeof(struct mp3_record);
	char *data, *pair, *one;

	reload_records(module, "records=5000000");
	data = map(device, size, PROT_READ, MAP_SHARED, 0);
	ok(is_unused(data + header) && is_unused(data + header + PAGE),
	   "where the data go on beyond the header's offset they are data");
	pair = map(device, 2 * PAGE, PROT_READ, MAP_SHARED, header);
	one = map(device, PAGE, PROT_READ, MAP_SHARED, header);
	ok(is_unused(pair) && is_unused(pair + PAGE) && is_header(one),
	   "one page there is the header, and two are data");

	/* What is left of a mapping is of one page, and still of the data. */
	munmap(pair + PAGE, PAGE);
	madvise(pair, PAGE, MADV_DONTNEED);
	ok(is_unused(pair), "also if one page of them is left");
	munmap(data, header);
	munmap(data + header + PAGE, size - header - PAGE);
	madvise(data + header, PAGE, MADV_DONTNEED);
	ok(is_unused(data + header), "or of all");
	mprotect(one, PAGE, PROT_NONE);
	mprotect(one, PAGE, PROT_READ);
	madvise(one, PAGE, MADV_DONTNEED);
	ok(is_header(one), "the header stays what it is");
	munmap(one, PAGE);
	munmap(pair, PAGE);
	munmap(data + header, PAGE);
	close(device);
}

static void test_record_protections(const char *module)
{
	const struct {
		const char *name;
		int prot, flags;
		off_t offset;
		int want;
	} maps[] = {
		{ "mmap: records, writable", RW, MAP_SHARED, 0, EPERM },
		{ "mmap: records, writable, private", RW, MAP_PRIVATE, 0,
		  EPERM },
		{ "mmap: records, executable", RX, MAP_SHARED, 0, EPERM },
		{ "mmap: their header, writable", RW, MAP_SHARED,
		  MP3_OFF_HEADER, EPERM },
		{ "mmap: their header, executable", RX, MAP_SHARED,
		  MP3_OFF_HEADER, EPERM },
	}, changes[] = {
		{ "mprotect: records to writable", RW, MAP_SHARED, 0, EACCES },
		{ "mprotect: records to writable, private", RW, MAP_PRIVATE, 0,
		  EACCES },
		{ "mprotect: records to executable", RX, MAP_SHARED, 0, EACCES },
		{ "mprotect: their header to writable", RW, MAP_SHARED,
		  MP3_OFF_HEADER, EACCES },
	};
	struct iovec from = { &(uint64_t){ 1 }, sizeof(uint64_t) };
	int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	struct iovec to;
	size_t i;
	char *got;

	reload_records(module, "");
	for (i = 0; i < ARRAY_SIZE(maps); i++) {
		got = mmap(NULL, PAGE, maps[i].prot, maps[i].flags, device,
			   maps[i].offset);
		ok_errno(got == MAP_FAILED, maps[i].want, maps[i].name);
		if (got != MAP_FAILED)
			munmap(got, PAGE);
	}
	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		got = map(device, PAGE, PROT_READ, changes[i].flags,
			  changes[i].offset);
		ok_errno(mprotect(got, PAGE, changes[i].prot), changes[i].want,
			 changes[i].name);
		munmap(got, PAGE);
	}

	got = map(device, 1024 * PAGE, PROT_READ, MAP_SHARED, 0);
	ok(has_flag(got, " dd") && has_flag(got, " de") &&
	   !has_flag(got, " mw") && !has_flag(got, " me"),
	   "records: never dumped, grown, written or executed");
	to = (struct iovec){ got + 8, sizeof(uint64_t) };
	ok(process_vm_writev(getpid(), &from, 1, &to, 1, 0) < 0 &&
	   pwrite(memory, from.iov_base, 8, (uintptr_t)got + 8) < 0 &&
	   is_unused(got), "records: no other way to write them is open");
	ok(mremap(got, 1024 * PAGE, 1025 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED,
	   "records: mremap does not grow them");
	close(device);
	ok_errno(unload(), EWOULDBLOCK, "a mapping of records holds the module");
	munmap(got, 1024 * PAGE);
	close(memory);
	reload_records(module, "");
	close(device);
}

int main(int argc, char **argv)
{
	const char *module = argc > 1 ? argv[1] : "/mp3/mp3.ko";

	mp3 = ring_open();
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
	test_pages_stay();
	test_lifetimes(module);
	test_record_sizes(module);
	test_records_beyond(module);
	test_record_protections(module);

	return done();
}
