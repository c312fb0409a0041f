/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of located faults share: the ring of faults and the table of
 * files of a capture, mapped; instructions at known addresses that access memory
 * or call the kernel; and subjects, which are processes that stop before and
 * after what they are to do, so that they can be registered and unregistered
 * without a fault in between.
 */
#ifndef MP3_LOCATED_H
#define MP3_LOCATED_H

#include <grp.h>
#include <linux/capability.h>
#include <sys/utsname.h>

#include "capture.h"

#define CAP(cap)	(1ull << (cap))
#define FILES_SIZE	(MP3_FILES * sizeof(struct mp3_file))
#define USER_FAULTS_PATH "/sys/module/mp3/parameters/user_faults"
#define CAPTURE_FAULTS	65536	/* default of the parameter capture_faults */

/* ---- Code ---- */

/*
 * Leaf functions whose first instruction, or the one before a label, is the only
 * one that faults. store_with() loads the frame pointer first.
 */
void store_byte(volatile char *address);
void load_byte(const volatile char *address);
void store_with(volatile char *address, uintptr_t frame_pointer);
long call_kernel(long nr, long a, long b, long c, long d, long e, long f);
extern char store_with_store[], call_kernel_return[], recurse_store[];

/* Global: GNU ld for arm64 mixes local ones up in its GOT. */
__asm__(".globl store_byte, load_byte, store_with, store_with_store\n"
	".globl call_kernel, call_kernel_return\n");
#ifdef __x86_64__
#define SYSCALL_SIZE	2
#define RETURN		"\xc3"
#define STORE		"movb $0, (%0)"
#define BASE		"r"	/* the constraint of its operand */
__asm__(".text\n"
	"store_byte:\n"
	"	movb $0, (%rdi)\n"
	"	ret\n"
	"load_byte:\n"
	"	movb (%rdi), %al\n"
	"	ret\n"
	"store_with:\n"
	"	mov %rbp, %rax\n"
	"	mov %rsi, %rbp\n"
	"store_with_store:\n"
	"	movb $0, (%rdi)\n"
	"	mov %rax, %rbp\n"
	"	ret\n"
	"call_kernel:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"call_kernel_return:\n"
	"	ret\n");
#elif defined(__aarch64__)
#define SYSCALL_SIZE	4
#define RETURN		"\xc0\x03\x5f\xd6"
#define STORE		"strb wzr, [%0]"
#define BASE		"r"
__asm__(".text\n"
	".balign 4\n"
	"store_byte:\n"
	"	strb wzr, [x0]\n"
	"	ret\n"
	"load_byte:\n"
	"	ldrb w1, [x0]\n"
	"	ret\n"
	"store_with:\n"
	"	mov x9, x29\n"
	"	mov x29, x1\n"
	"store_with_store:\n"
	"	strb wzr, [x0]\n"
	"	mov x29, x9\n"
	"	ret\n"
	"call_kernel:\n"
	"	mov x8, x0\n"
	"	mov x0, x1\n"
	"	mov x1, x2\n"
	"	mov x2, x3\n"
	"	mov x3, x4\n"
	"	mov x4, x5\n"
	"	mov x5, x6\n"
	"	svc #0\n"
	"call_kernel_return:\n"
	"	ret\n");
#elif defined(__powerpc64__)
#define SYSCALL_SIZE	4
#define RETURN		"\x20\x00\x80\x4e"
#define STORE		"stb 1, 0(%0)"
#define BASE		"b"
__asm__(".text\n"
	".balign 4\n"
	"store_byte:\n"
	"	stb 3, 0(3)\n"
	"	blr\n"
	"load_byte:\n"
	"	lbz 4, 0(3)\n"
	"	blr\n"
	"store_with:\n"
	"	mr 9, 31\n"
	"	mr 31, 4\n"
	"store_with_store:\n"
	"	stb 3, 0(3)\n"
	"	mr 31, 9\n"
	"	blr\n"
	"call_kernel:\n"
	"	mr 0, 3\n"
	"	mr 3, 4\n"
	"	mr 4, 5\n"
	"	mr 5, 6\n"
	"	mr 6, 7\n"
	"	mr 7, 8\n"
	"	mr 8, 9\n"
	"	sc\n"
	"call_kernel_return:\n"
	"	bnslr\n"
	"	neg 3, 3\n"
	"	blr\n");
#elif defined(__riscv)
#define SYSCALL_SIZE	4
#define RETURN		"\x67\x80\x00\x00"
#define STORE		"sb zero, 0(%0)"
#define BASE		"r"
__asm__(".text\n"
	".balign 4\n"
	"store_byte:\n"
	"	sb zero, 0(a0)\n"
	"	ret\n"
	"load_byte:\n"
	"	lb a1, 0(a0)\n"
	"	ret\n"
	"store_with:\n"
	"	mv t0, s0\n"
	"	mv s0, a1\n"
	"store_with_store:\n"
	"	sb zero, 0(a0)\n"
	"	mv s0, t0\n"
	"	ret\n"
	"call_kernel:\n"
	"	mv a7, a0\n"
	"	mv a0, a1\n"
	"	mv a1, a2\n"
	"	mv a2, a3\n"
	"	mv a3, a4\n"
	"	mv a4, a5\n"
	"	mv a5, a6\n"
	"	ecall\n"
	"call_kernel_return:\n"
	"	ret\n");
#elif defined(__s390x__)
#define SYSCALL_SIZE	2
#define RETURN		"\x07\xfe"
#define STORE		"mvi 0(%0), 0"
#define BASE		"a"
/* The processor reports the page of an access. */
#define ADDRESS_MASK	(-PAGE)
#define HUGE_SIZE	((size_t)1 << 20)
__asm__(".text\n"
	".balign 4\n"
	"store_byte:\n"
	"	mvi 0(%r2), 0\n"
	"	br %r14\n"
	"load_byte:\n"
	"	llgc %r1, 0(%r2)\n"
	"	br %r14\n"
	"store_with:\n"
	"	lgr %r1, %r11\n"
	"	lgr %r11, %r3\n"
	"store_with_store:\n"
	"	mvi 0(%r2), 0\n"
	"	lgr %r11, %r1\n"
	"	br %r14\n"
	"call_kernel:\n"
	"	stmg %r6, %r7, 48(%r15)\n"
	"	lgr %r1, %r2\n"
	"	lgr %r2, %r3\n"
	"	lgr %r3, %r4\n"
	"	lgr %r4, %r5\n"
	"	lgr %r5, %r6\n"
	"	lg %r6, 160(%r15)\n"
	"	lg %r7, 168(%r15)\n"
	"	svc 0\n"
	"call_kernel_return:\n"
	"	lmg %r6, %r7, 48(%r15)\n"
	"	br %r14\n");
#else
#error "add the instructions of this architecture"
#endif

/*
 * What the module knows of a fault on other architectures than x86 and arm64: not
 * the access, and no callers.
 */
#if defined(__x86_64__) || defined(__aarch64__)
#define HAVE_ACCESS	1
#define HAVE_CALLERS	1
#else
#define HAVE_ACCESS	0
#define HAVE_CALLERS	0
#endif
#define ACCESS_FLAGS	(MP3_FAULT_ACCESS_KNOWN | MP3_FAULT_WRITE | \
			 MP3_FAULT_EXEC | MP3_FAULT_PRESENT)

#ifndef ADDRESS_MASK
#define ADDRESS_MASK	(~(size_t)0)
#endif

/* Return what the module records of an address. */
static inline uint64_t reported(uint64_t address)
{
	return address & ADDRESS_MASK;
}

/* ---- The ring of faults ---- */

/**
 * struct fault_ring - the faults of a capture, mapped
 * @header:   header page of the ring of faults
 * @data:     its slots
 * @files:    the table of files
 * @size:     bytes mapped at @data
 * @capacity: slots
 */
struct fault_ring {
	const volatile struct mp3_header *header;
	const volatile struct mp3_fault *data;
	const volatile struct mp3_file *files;
	size_t size;
	uint32_t capacity;
};

/* Write a text to a capture. Returns 0 or -errno. */
static inline int capture_write(int fd, const char *text)
{
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static inline int locate(int fd, unsigned int n, unsigned int callers)
{
	char line[40];

	snprintf(line, sizeof(line), "L,%u,%u\n", n, callers);
	return capture_write(fd, line);
}

static inline void locate_or_die(int fd, unsigned int n, unsigned int callers)
{
	int ret = locate(fd, n, callers);

	if (ret)
		errx(1, "L,%u,%u: %s", n, callers, strerror(-ret));
}

static inline const volatile void *map_or_die(int fd, size_t size, off_t offset)
{
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, offset);

	if (map == MAP_FAILED)
		err(1, "mmap of %zu bytes at %#lx", size, (unsigned long)offset);
	return map;
}

static inline struct fault_ring fault_ring_map(int fd)
{
	struct fault_ring r;

	r.header = map_or_die(fd, PAGE, MP3_OFF_FAULTS_HEADER);
	r.capacity = r.header->capacity;
	r.size = (r.capacity * sizeof(struct mp3_fault) + PAGE - 1) / PAGE * PAGE;
	r.data = map_or_die(fd, r.size, MP3_OFF_FAULTS);
	r.files = map_or_die(fd, FILES_SIZE, MP3_OFF_FILES);

	return r;
}

static inline void fault_ring_unmap(struct fault_ring *r)
{
	munmap((void *)r->header, PAGE);
	munmap((void *)r->data, r->size);
	munmap((void *)r->files, FILES_SIZE);
}

static inline uint64_t fault_head(const struct fault_ring *r)
{
	return __atomic_load_n(&r->header->head, __ATOMIC_ACQUIRE);
}

/* Wait until the capture has no process: its counts are then final. */
static inline void fault_ring_settle(const struct fault_ring *r)
{
	int i;

	for (i = 0; i < 60000; i++) {
		if (!__atomic_load_n(&r->header->processes, __ATOMIC_ACQUIRE))
			return;
		sleep_ms(1);
	}
	errx(1, "%u processes are still registered after a minute",
	     r->header->processes);
}

/* Copy a fault. Returns false if it is not complete, or has been overwritten. */
static inline bool fault_read(const struct fault_ring *r, uint64_t number,
			      struct mp3_fault *fault)
{
	const volatile struct mp3_fault *slot = &r->data[number % r->capacity];

	if (__atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE) != number + 1)
		return false;
	memcpy(fault, (const void *)slot, sizeof(*fault));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);

	return __atomic_load_n(&slot->seq, __ATOMIC_RELAXED) == number + 1;
}

static inline struct mp3_fault fault_at(const struct fault_ring *r,
					uint64_t number)
{
	struct mp3_fault fault;

	if (!fault_read(r, number, &fault))
		errx(1, "fault %lu of %lu is missing", (unsigned long)number,
		     (unsigned long)fault_head(r));
	return fault;
}

/* Find a file by its number; wait until its path is there. NULL after 10 s. */
static inline const struct mp3_file *file_at(const struct fault_ring *r,
					     uint32_t number)
{
	const volatile struct mp3_file *file = &r->files[number - 1];
	int i;

	if (!number || number > MP3_FILES)
		return NULL;
	for (i = 0; i < 10000; i++) {
		if (__atomic_load_n(&file->number, __ATOMIC_ACQUIRE) == number)
			return (const struct mp3_file *)file;
		sleep_ms(1);
	}
	return NULL;
}

static inline const char *path_at(const struct fault_ring *r, uint32_t number)
{
	const struct mp3_file *file = file_at(r, number);

	return file ? file->path : "";
}

static inline void diag_fault(const char *what, const struct mp3_fault *f)
{
	diag("%s: address %#lx offset %#lx file %u flags %#x stall %ld frame %#lx",
	     what, (unsigned long)f->address, (unsigned long)f->offset, f->file,
	     f->flags, (long)f->stall_ns, (unsigned long)f->frames[0]);
}

/* Check @counted = @located + @missed + @rest, in both headers. Prints why not. */
static inline bool counts_add_up(const struct capture *c,
				 const struct fault_ring *r, uint64_t rest)
{
	const volatile struct mp3_header *h = r->header;

	fault_ring_settle(r);
	if (h->counted == h->located + h->missed + rest && !h->dropped &&
	    h->head == h->located && c->header->counted == h->counted &&
	    c->header->located == h->located)
		return true;
	diag("counted %lu, located %lu, missed %lu, want %lu without an event",
	     (unsigned long)h->counted, (unsigned long)h->located,
	     (unsigned long)h->missed, (unsigned long)rest);
	diag("dropped %lu, head %lu; the capture has counted %lu, located %lu",
	     (unsigned long)h->dropped, (unsigned long)h->head,
	     (unsigned long)c->header->counted,
	     (unsigned long)c->header->located);
	return false;
}

/* ---- Mappings of this process ---- */

/**
 * struct mapping - a line of /proc/self/maps
 * @start:  first address
 * @end:    first address after it
 * @offset: of @start in the file
 * @path:   file or name in brackets, "" if there is none
 */
struct mapping {
	uintptr_t start, end;
	unsigned long offset;
	char path[256];
};

/* Find the mapping of an address or, if @name is not NULL, the one so named. */
static inline bool find_mapping(uintptr_t address, const char *name,
				struct mapping *m)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	bool found = false;
	char line[512];

	if (!maps)
		err(1, "/proc/self/maps");
	while (!found && fgets(line, sizeof(line), maps)) {
		m->path[0] = '\0';
		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %255[^\n]", &m->start,
			   &m->end, &m->offset, m->path) < 3)
			continue;
		found = name ? !strcmp(m->path, name) :
			       m->start <= address && address < m->end;
	}
	fclose(maps);

	return found;
}

/* Returns the offset of a function of this program in its file. */
static inline uint64_t code_offset(const void *code)
{
	struct mapping m;

	if (!find_mapping((uintptr_t)code, NULL, &m))
		errx(1, "no mapping of %p", code);
	return (uintptr_t)code - m.start + m.offset;
}

/* The path of this program, as the kernel reports it. */
static inline const char *program_path(void)
{
	static char path[256];

	if (!*path && readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		err(1, "/proc/self/exe");
	return path;
}

/* Returns whether a frame is at this offset of this program. */
static inline bool frame_is(const struct fault_ring *r, uint64_t frame,
			    uint64_t offset)
{
	return MP3_FRAME_OFFSET(frame) == offset && MP3_FRAME_FILE(frame) &&
	       !strcmp(path_at(r, MP3_FRAME_FILE(frame)), program_path());
}

/* Of a transparent huge page, and of the default huge page of hugetlbfs */
#ifndef HUGE_SIZE
#define HUGE_SIZE	((size_t)2 << 20)
#endif

/*
 * Map memory that is aligned to HUGE_SIZE and does not merge with other mappings: the
 * pages before and after it are inaccessible.
 */
static inline char *map_alone(size_t size, int prot, int flags, int fd,
			      off_t offset)
{
	char *hole = mmap(NULL, size + 3 * HUGE_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *area;

	if (hole == MAP_FAILED)
		err(1, "mmap");
	area = (char *)(((uintptr_t)hole + 2 * HUGE_SIZE) & ~(HUGE_SIZE - 1));
	area = mmap(area, size, prot, flags | MAP_FIXED, fd, offset);
	if (area == MAP_FAILED)
		err(1, "mmap");

	return area;
}

static inline char *map_anonymous(size_t pages)
{
	return map_alone(pages * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* ---- Subjects ---- */

/* Stop this process until it is continued. */
static inline void stop_self(void)
{
	call_kernel(SYS_kill, getpid(), SIGSTOP, 0, 0, 0, 0);
}

/* Wait until a child has stopped. Returns false if it has exited instead. */
static inline bool wait_stopped(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WUNTRACED) != pid)
		err(1, "waitpid");
	if (WIFSTOPPED(status))
		return true;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		errx(1, "a subject ended with status %#x", status);
	return false;
}

/* Continue a subject until it stops again, or exits: then returns false. */
static inline bool subject_continue(pid_t pid)
{
	kill(pid, SIGCONT);
	return wait_stopped(pid);
}

/*
 * Start a process that calls @prepare, stops, calls @act when it is continued, and
 * stops again. Stopping and continuing it does not fault. Returns when it has
 * stopped for the first time.
 */
static inline pid_t subject_start(void (*prepare)(void *arg),
				  void (*act)(void *arg), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
		if (prepare)
			prepare(arg);
		/* The first time brings in the pages that stopping needs. */
		stop_self();
		stop_self();
		act(arg);
		stop_self();
		_exit(0);
	}
	if (!wait_stopped(pid) || !subject_continue(pid))
		errx(1, "a subject has exited");

	return pid;
}

/* What a process has used so far, minor and major faults together. */
static inline uint64_t faults_of(pid_t pid)
{
	struct usage usage = usage_of_pid(pid);

	return usage.min_flt + usage.maj_flt;
}

/* Register a subject that has stopped, have it act, and unregister it. */
static inline void subject_profile(const struct capture *c, pid_t pid)
{
	capture_command_or_die(c, 'R', pid);
	if (!subject_continue(pid))
		errx(1, "a subject has exited");
	capture_command_or_die(c, 'U', pid);
}

/* Returns the version of the kernel: 601 for 6.1. */
static inline int kernel_version(void)
{
	struct utsname name;
	int major, minor;

	if (uname(&name) || sscanf(name.release, "%d.%d", &major, &minor) != 2)
		errx(1, "uname");
	return 100 * major + minor;
}

/* ---- Users ---- */

/* Become a user with these capabilities, permitted and effective, and dumpable. */
static inline void become(uid_t uid, uint64_t caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .permitted = caps, .effective = caps },
		{ .permitted = caps >> 32, .effective = caps >> 32 },
	};

	if (setgroups(0, NULL) || prctl(PR_SET_KEEPCAPS, 1) ||
	    setresgid(uid, uid, uid) || setresuid(uid, uid, uid) ||
	    syscall(SYS_capset, &header, data) || prctl(PR_SET_DUMPABLE, 1))
		err(1, "cannot change credentials");
}

#endif /* MP3_LOCATED_H */
