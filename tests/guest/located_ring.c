// SPDX-License-Identifier: GPL-2.0
/*
 * The ring of located faults: the command L and who may write it, the regions to
 * map, one fault in n, the table of files, loss, threads and children, and the
 * reader in mp3_client.h.
 *
 * Usage: located_ring [NAME]
 *
 * NAME is that of one test in the table at the end.
 *
 * vm: -m 2560
 */
#include "../../mp3_client.h"
#include "located.h"

#define USER		1000
#define NR_CHILDREN	200
#define NR_THREADS	4
#define THREAD_PAGES	50
#define SAMPLED_PAGES	4096
#define DIRECTORY	"/tmp/located-files"
#define MAX_FILES	4096
#define REPLACED	500
#define ALTERNATIONS	20
#define RACE_MS		5000

static struct ring ring;

/* Check that @got is @want, and print both if not. */
static bool is(long got, long want, const char *what)
{
	if (got == want)
		return true;
	diag("%s: %ld, want %ld", what, got, want);
	return false;
}

/* ---- L ---- */

static void test_commands(void)
{
	static const char * const malformed[] = {
		"L", "L,", "L,x", "L,3", "L,0x10", "L,131072", "L,-1", "L,+1",
		"L,1,9", "L,1,", "L,1,x", "L,1,-1", "L,1,2,3", "L,1 ,2", "L,1, 2",
		"L1",
		"l,1", "L,1x", "L,,1", "L,4294967297", "L,1,4294967296",
		"L,99999999999999999999",
	};
	static const char * const good[] = {
		"L,0", "L,1", "L 1", "L\t2", "L,65536,8", "L,4,0\n", "\nL,8\n\n",
		"L,1,8\nL,2\nL,0",
	};
	struct capture c = capture_open();
	bool refused = true, accepted = true, status = true;
	char line[64];
	pid_t pid;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(malformed); i++) {
		refused &= is(capture_write(c.fd, malformed[i]), -EINVAL,
			      malformed[i]);
		status &= is(status_write(malformed[i], strlen(malformed[i])),
			     -EINVAL, malformed[i]);
	}
	ok(refused, "a malformed L is EINVAL for a capture");
	ok(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, c.fd, MP3_OFF_FAULTS) ==
	   MAP_FAILED && errno == EINVAL,
	   "a malformed L does not make a ring of faults");
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		accepted &= is(capture_write(c.fd, good[i]), 0, good[i]);
		status &= is(status_write(good[i], strlen(good[i])), -EINVAL,
			     good[i]);
	}
	ok(accepted, "each n and each number of callers is valid in L");
	ok(status, "L is EINVAL for the status file");
	pid = sleeper();
	snprintf(line, sizeof(line), "L,1\nR,%d\nL,3\n", pid);
	ok(write(c.fd, line, strlen(line)) == (ssize_t)strlen(line) - 4 &&
	   capture_processes(&c) == 1,
	   "a write of several commands executes L, and stops at a malformed one");
	kill_and_reap(pid);
	capture_close(&c);
}

static void test_before(void)
{
	static const off_t offsets[] = {
		MP3_OFF_FAULTS, MP3_OFF_FAULTS_HEADER, MP3_OFF_FILES,
	};
	struct capture c = capture_open();
	bool good = true;
	size_t i;

	good &= is(locate(c.fd, 0, 0), 0, "L,0");
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		good &= mmap(NULL, PAGE, PROT_READ, MAP_SHARED, c.fd,
			     offsets[i]) == MAP_FAILED && errno == EINVAL;
	ok(good, "the faults of a capture cannot be mapped before it locates");
	locate_or_die(c.fd, 1, 0);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		munmap((void *)map_or_die(c.fd, PAGE, offsets[i]), PAGE);
	locate_or_die(c.fd, 0, 0);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		munmap((void *)map_or_die(c.fd, PAGE, offsets[i]), PAGE);
	ok(true, "the faults of a capture can be mapped while it locates and after L,0");
	capture_close(&c);
}

/* ---- Permissions ---- */

/* Write L to @fd, or to a capture of its own, as a user. Returns 0 or -errno. */
static int locate_as(uid_t uid, uint64_t caps, int fd, unsigned int n)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		become(uid, caps);
		_exit(-locate(fd < 0 ? capture_try_open() : fd, n, 0));
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		errx(1, "a child ended with status %#x", status);
	return -WEXITSTATUS(status);
}

/* Open a capture as a user, in a process that remains root's. */
static int open_as_user(void)
{
	int fd;

	if (setresuid(USER, USER, 0))
		err(1, "setresuid");
	fd = capture_try_open();
	if (setresuid(0, 0, 0) || fd < 0)
		err(1, "a capture of a user");
	prctl(PR_SET_DUMPABLE, 1);

	return fd;
}

static void test_permissions(void)
{
	int roots = capture_try_open(), users = open_as_user();

	ok_eq(locate_as(USER, 0, -1, 1), -EPERM,
	      "L of a user without CAP_PERFMON is EPERM");
	ok_eq(locate_as(USER, CAP(CAP_SYS_PTRACE), -1, 1), -EPERM,
	      "L of a user with CAP_SYS_PTRACE alone is EPERM");
	ok_eq(locate_as(USER, CAP(CAP_PERFMON), -1, 1), 0,
	      "a user with CAP_PERFMON can locate");
	ok_eq(locate_as(USER, 0, roots, 1), -EPERM,
	      "L of a user in root's capture is EPERM");
	ok_eq(locate(users, 1, 0), -EPERM, "L of root in a user's capture is EPERM");
	write_file(USER_FAULTS_PATH, "1");
	ok(!locate_as(USER, 0, -1, 1) && !locate_as(USER, 0, roots, 1) &&
	   !locate(users, 16, 8), "with user_faults=1, any user can locate");
	write_file(USER_FAULTS_PATH, "0");
	ok(locate_as(USER, 0, users, 1) == -EPERM &&
	   !locate_as(USER, 0, users, 0),
	   "after user_faults=0, a user cannot locate, but can stop");
	close(roots);
	close(users);
}

/* ---- Regions ---- */

static void test_regions(void)
{
	const size_t data = CAPTURE_FAULTS * sizeof(struct mp3_fault);
	const size_t faults = MP3_OFF_FAULTS, header = MP3_OFF_FAULTS_HEADER;
	const size_t files = MP3_OFF_FILES, table = FILES_SIZE;
	const int ro = PROT_READ, rw = PROT_READ | PROT_WRITE;
	const int rx = PROT_READ | PROT_EXEC;
	const struct {
		const char *name;
		size_t size, offset;
		int prot, flags, want;
	} cases[] = {
		{ "mmap accepts all pages of a ring of faults", data, faults, ro,
		  MAP_SHARED, 0 },
		{ "mmap accepts the last page of a ring of faults", PAGE,
		  faults + data - PAGE, ro, MAP_SHARED, 0 },
		{ "mmap accepts the header of a ring of faults", PAGE, header,
		  ro, MAP_SHARED, 0 },
		{ "mmap accepts the table of files", table, files, ro,
		  MAP_SHARED, 0 },
		{ "mmap accepts the last page of the table of files", PAGE,
		  files + table - PAGE, ro, MAP_SHARED, 0 },
		{ "mmap of a ring of faults and one page more is EINVAL",
		  data + PAGE, faults, ro, MAP_SHARED, -EINVAL },
		{ "mmap of two pages from the last page of a ring of faults is EINVAL",
		  2 * PAGE, faults + data - PAGE, ro, MAP_SHARED, -EINVAL },
		{ "mmap of the page before a ring of faults is EINVAL", PAGE,
		  faults - PAGE, ro, MAP_SHARED, -EINVAL },
		{ "mmap of the page after a ring of faults is EINVAL", PAGE,
		  faults + data, ro, MAP_SHARED, -EINVAL },
		{ "mmap of two pages at the header of a ring of faults is EINVAL",
		  2 * PAGE, header, ro, MAP_SHARED, -EINVAL },
		{ "mmap of the page before the header of a ring of faults is EINVAL",
		  PAGE, header - PAGE, ro, MAP_SHARED, -EINVAL },
		{ "mmap of the page after the header of a ring of faults is EINVAL",
		  PAGE, header + PAGE, ro, MAP_SHARED, -EINVAL },
		{ "mmap of the table of files and one page more is EINVAL",
		  table + PAGE, files, ro, MAP_SHARED, -EINVAL },
		{ "mmap of the page before the table of files is EINVAL", PAGE,
		  files - PAGE, ro, MAP_SHARED, -EINVAL },
		{ "mmap of the page after the table of files is EINVAL", PAGE,
		  files + table, ro, MAP_SHARED, -EINVAL },
		{ "mmap of everything from the faults to the files is EINVAL",
		  files - faults, faults, ro, MAP_SHARED, -EINVAL },
		{ "mmap 4 GiB past a ring of faults is EINVAL", PAGE,
		  faults + (1UL << 32), ro, MAP_SHARED, -EINVAL },
		{ "mmap 4 GiB past the table of files is EINVAL", PAGE,
		  files + (1UL << 32), ro, MAP_SHARED, -EINVAL },
		{ "mmap of a ring of faults with PROT_WRITE is EPERM", PAGE,
		  faults, rw, MAP_SHARED, -EPERM },
		{ "private mmap of a ring of faults with PROT_WRITE is EPERM",
		  PAGE, faults, rw, MAP_PRIVATE, -EPERM },
		{ "mmap of a ring of faults with PROT_EXEC is EPERM", PAGE,
		  faults, rx, MAP_SHARED, -EPERM },
		{ "mmap of the header of a ring of faults with PROT_WRITE is EPERM",
		  PAGE, header, rw, MAP_SHARED, -EPERM },
		{ "mmap of the header of a ring of faults with PROT_EXEC is EPERM",
		  PAGE, header, rx, MAP_SHARED, -EPERM },
		{ "mmap of the table of files with PROT_WRITE is EPERM", PAGE,
		  files, rw, MAP_SHARED, -EPERM },
		{ "mmap of the table of files with PROT_EXEC is EPERM", PAGE,
		  files, rx, MAP_SHARED, -EPERM },
	};
	struct capture c = capture_open();
	struct fault_ring r;
	const void *maps[3];
	bool good = true;
	size_t i;

	locate_or_die(c.fd, 1, 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		void *got = mmap(NULL, cases[i].size, cases[i].prot,
				 cases[i].flags, c.fd, cases[i].offset);

		ok_eq(got == MAP_FAILED ? -errno : 0, cases[i].want,
		      cases[i].name);
		if (got != MAP_FAILED)
			munmap(got, cases[i].size);
	}
	r = fault_ring_map(c.fd);
	maps[0] = (void *)r.header;
	maps[1] = (void *)r.data;
	maps[2] = (void *)r.files;
	for (i = 0; i < ARRAY_SIZE(maps); i++)
		good &= mprotect((void *)maps[i], PAGE, rw) && errno == EACCES &&
			mprotect((void *)maps[i], PAGE, rx) && errno == EACCES;
	ok(good, "mprotect of the faults of a capture to PROT_WRITE or PROT_EXEC is EACCES");
	for (i = 0; i < ARRAY_SIZE(maps); i++)
		good &= mremap((void *)maps[i], PAGE, 2 * PAGE,
			       MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT;
	ok(good, "mremap cannot enlarge a mapping of the faults of a capture");
	fault_ring_unmap(&r);
	capture_close(&c);
}

static bool is_zero(const volatile void *memory, size_t size)
{
	const volatile char *bytes = memory;
	size_t i;

	for (i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

static void test_fresh(void)
{
	struct capture c = capture_open();
	const volatile struct mp3_header *h;
	struct fault_ring r;

	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	h = r.header;
	ok(h->magic == MP3_MAGIC && h->version == MP3_ABI_VERSION &&
	   h->entry_size == sizeof(struct mp3_fault) &&
	   h->capacity == CAPTURE_FAULTS && h->hz == ring.header->hz &&
	   h->base_ns == ring.header->base_ns &&
	   h->base_jiffies == ring.header->base_jiffies &&
	   h->interval_ns == ring.header->interval_ns,
	   "the header of a new ring of faults describes its ring and the sampler");
	ok(!h->head && !h->missed && !h->cost_ns && !h->dropped &&
	   !h->processes && !h->denied && !h->counted && !h->located,
	   "the header of a new ring of faults counts no fault");
	ok(is_zero(r.data, r.size) && is_zero(r.files, FILES_SIZE) &&
	   is_zero(h + 1, PAGE - sizeof(*h)),
	   "the slots and files of a new ring of faults are 0 in every byte");
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- Threads ---- */

/* What a thread does; shared. */
static struct thread {
	pid_t tid;
	char *area;
} *threads;

static pthread_barrier_t barrier;

static void *thread_main(void *arg)
{
	struct thread *thread = arg;
	unsigned int i;

	thread->tid = gettid();
	pthread_barrier_wait(&barrier);
	for (i = 0; i < THREAD_PAGES; i++)
		store_byte(thread->area + i * PAGE);
	return NULL;
}

static void prepare_threads(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < NR_THREADS; i++)
		threads[i].area = map_anonymous(THREAD_PAGES);
	pthread_barrier_init(&barrier, NULL, NR_THREADS);
}

static void act_threads(void *arg)
{
	pthread_t ids[NR_THREADS];
	unsigned int i;

	(void)arg;
	for (i = 0; i < NR_THREADS; i++)
		if (pthread_create(&ids[i], NULL, thread_main, &threads[i]))
			errx(1, "pthread_create");
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(ids[i], NULL);
}

static void test_threads(void)
{
	struct capture c = capture_open();
	unsigned int i, next[NR_THREADS] = { 0 };
	struct fault_ring r;
	bool good, plain = true;
	uint64_t nr;
	pid_t pid;

	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare_threads, act_threads, NULL);
	subject_profile(&c, pid);
	good = counts_add_up(&c, &r, 0);
	for (nr = 0; nr < fault_head(&r); nr++) {
		struct mp3_fault f = fault_at(&r, nr);

		good &= f.pid == (uint32_t)pid;
		for (i = 0; i < NR_THREADS; i++) {
			uintptr_t area = (uintptr_t)threads[i].area;

			if (f.address - area >= THREAD_PAGES * PAGE)
				continue;
			good &= f.tid == (uint32_t)threads[i].tid &&
				f.address == area + next[i]++ * PAGE;
			plain &= !(f.flags & (MP3_FAULT_STACK |
					      MP3_FAULT_HEAP));
		}
	}
	for (i = 0; i < NR_THREADS; i++)
		good &= next[i] == THREAD_PAGES;
	ok(good, "the faults of threads are located with the id of the thread");
	ok(plain, "memory that a thread has mapped is neither heap nor stack");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- Children ---- */

/* A child that has been reaped; shared. */
static struct child {
	pid_t pid;
	uint64_t faults;
} *children;

static void act_children(void *arg)
{
	struct usage usage;
	unsigned int i;

	(void)arg;
	for (i = 0; i < NR_CHILDREN; i++) {
		pid_t pid = fork_child();

		if (!pid) {
			touch(i % 30);
			usleep(1000);
			_exit(0);
		}
		usage = wait_usage(pid);
		children[i] = (struct child){
			pid, usage.min_flt + usage.maj_flt
		};
	}
	_exit(0);
}

static void test_children(void)
{
	struct capture c = capture_open();
	unsigned int i, exact = 0;
	struct fault_ring r;
	uint64_t nr;
	pid_t pid;

	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(NULL, act_children, NULL);
	capture_command_or_die(&c, 'F', pid);
	if (subject_continue(pid))
		errx(1, "a subject stopped");
	ok(counts_add_up(&c, &r, 0),
	   "all faults of a process and its %d children are located",
	   NR_CHILDREN);
	for (i = 0; i < NR_CHILDREN; i++) {
		uint64_t faults = 0;

		for (nr = 0; nr < fault_head(&r); nr++)
			faults += fault_at(&r, nr).pid ==
				  (uint32_t)children[i].pid;
		exact += faults == children[i].faults;
		if (faults != children[i].faults)
			diag("child %d: %lu faults of %lu", children[i].pid,
			     (unsigned long)faults,
			     (unsigned long)children[i].faults);
	}
	ok_eq(exact, NR_CHILDREN,
	      "each short-lived child has as many located faults as wait4 reports");
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- Stopping ---- */

static char **pages;	/* shared: an area of its subject */

static void prepare_page(void *arg)
{
	(void)arg;
	*pages = map_anonymous(100);
}

static void act_pages(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < 4; i++) {
		for (unsigned int j = 0; j < 25; j++)
			store_byte(*pages + (25 * i + j) * PAGE);
		stop_self();
	}
}

static void test_stop(void)
{
	struct capture c = capture_open();
	uint64_t counted, head, used;
	struct fault_ring r;
	struct history h;
	bool good;
	pid_t pid;

	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare_page, act_pages, NULL);
	used = faults_of(pid);
	capture_command_or_die(&c, 'R', pid);
	subject_continue(pid);
	locate_or_die(c.fd, 0, 0);
	counted = r.header->counted;
	head = fault_head(&r);
	good = head >= 25 && counted == head;
	subject_continue(pid);
	wait_ticks(&c);
	ok(good && is(fault_head(&r), head, "head") &&
	   is(r.header->counted, counted, "counted") &&
	   is(c.header->counted, counted, "counted in the records' header"),
	   "L,0 ends the counting and the locating of faults");
	locate_or_die(c.fd, 1, 0);
	subject_continue(pid);
	capture_command_or_die(&c, 'U', pid);
	ok(counts_add_up(&c, &r, 0) && is(fault_head(&r), head + 25, "head"),
	   "L after L,0 goes on where locating had stopped");
	used = faults_of(pid) - used;
	h = history_of(&c, pid);
	ok_eq(h.counts.min_flt + h.counts.maj_flt, used,
	      "the records of a capture are complete whether it locates or not");
	head = fault_head(&r);
	subject_continue(pid);
	sleep_ms(50);
	ok_eq(fault_head(&r), head, "no fault of a process is located after U");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

#define NR_LOOP		64	/* so many that the tasks of the first are released */
#define LOOP_PAGES	5

/* When the pipe has a byte, fork in a loop, and wait for each child. */
static void fork_loop(int fd)
{
	unsigned int i;
	char byte;
	pid_t pid;

	if (read(fd, &byte, 1) != 1)
		_exit(1);
	for (i = 0; i < NR_LOOP; i++) {
		pid = fork_child();
		if (!pid) {
			touch(LOOP_PAGES);
			_exit(0);
		}
		if (waitpid(pid, NULL, 0) != pid)
			_exit(1);
	}
	stop_self();
}

/* L,0 for processes that have exited since the last tick. */
static void test_stop_exited(void)
{
	struct capture c = capture_open();
	struct fault_ring r;
	int pipes[2];
	pid_t pid;

	if (pipe(pipes))
		err(1, "pipe");
	set_interval("10000");
	pid = fork_child();
	if (!pid) {
		fork_loop(pipes[0]);
		_exit(0);
	}
	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	capture_command_or_die(&c, 'F', pid);
	if (write(pipes[1], "", 1) != 1)
		err(1, "write");
	wait_state(pid, 'T');
	sleep_ms(200);
	locate_or_die(c.fd, 0, 0);
	if (!ok(r.header->located >= NR_LOOP * LOOP_PAGES &&
		r.header->counted >= r.header->located,
		"L,0 counts the faults of processes that have exited since the last tick"))
		diag("counted %lu, located %lu",
		     (unsigned long)r.header->counted,
		     (unsigned long)r.header->located);
	set_interval("10");
	kill_and_reap(pid);
	close(pipes[0]);
	close(pipes[1]);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* L for a process that has been registered, and has faulted, before it. */
static void test_late(void)
{
	struct capture c = capture_open();
	struct fault_ring r;
	pid_t pid;

	/* No tick is to count the first faults before L does. */
	set_interval("10000");
	pid = subject_start(prepare_page, act_pages, NULL);
	capture_command_or_die(&c, 'R', pid);
	subject_continue(pid);
	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	subject_continue(pid);
	capture_command_or_die(&c, 'U', pid);
	set_interval("10");
	ok(counts_add_up(&c, &r, 0) && is(fault_head(&r), 25, "head"),
	   "faults before L are not counted as located ones");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* The record of the faults precedes the tick that makes them visible. */
static void test_poll(void)
{
	struct capture c = capture_open(), other = capture_open();
	struct pollfd pollfd = { .fd = c.fd, .events = POLLIN };
	struct fault_ring r;
	uint64_t start_ns;
	bool early;
	pid_t pid;

	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare_page, act_pages, NULL);
	capture_command_or_die(&c, 'R', pid);
	capture_command_or_die(&other, 'R', pid);
	/* The next tick is 10 s later. */
	set_interval("10000");
	subject_continue(pid);
	/* Until it no longer runs: else the tick has a record of it. */
	sleep_ms(500);
	/* Wakes pollers, other than R. */
	capture_command_or_die(&other, 'U', pid);
	early = poll(&pollfd, 1, 0) == 1 && !fault_head(&r);
	start_ns = now_ns();
	/* At the end of the time, poll(2) looks again, although nothing wakes it. */
	ok(early && poll(&pollfd, 1, 100000) == 1 && fault_head(&r) >= 25 &&
	   now_ns() - start_ns < 90000000000ULL,
	   "poll(2) reports faults whose record another capture has had published before");
	ok_eq(poll(&pollfd, 1, 0), 0, "poll(2) reports faults once");
	set_interval("10");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&other);
	capture_close(&c);
}

/* ---- One fault in n ---- */

static struct sampled {
	char *area;
	uint64_t before, after;		/* faults of the thread */
} *sampled;

static uint64_t thread_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

static void take_sampled(size_t nr)
{
	size_t i;

	sampled->before = thread_faults();
	for (i = 0; i < nr; i++)
		store_byte(sampled->area + i * PAGE);
	sampled->after = thread_faults();
}

static void prepare_sampled(void *arg)
{
	(void)arg;
	/* What this needs is present the second time. */
	sampled->area = map_anonymous(1);
	take_sampled(1);
	sampled->area = map_anonymous(SAMPLED_PAGES);
}

static void act_sampled(void *arg)
{
	(void)arg;
	take_sampled(SAMPLED_PAGES);
}

/*
 * Check that a ring has exactly those faults of the subject's memory that one in
 * @n selects: by the counters of the thread, and its id.
 */
static bool has_sampled(const struct fault_ring *r, unsigned int n, pid_t pid)
{
	uint64_t i, number = 0, found = 0;
	bool good = true;

	for (i = 0; i < fault_head(r); i++) {
		struct mp3_fault f = fault_at(r, i);
		uint64_t page = (f.address - (uintptr_t)sampled->area) / PAGE;

		if (page >= SAMPLED_PAGES)
			continue;
		/* Skip those that must not be there. */
		while ((sampled->before + number + 1 + pid) & (n - 1))
			number++;
		if (page != number) {
			diag("1 in %u: page %lu, want %lu", n,
			     (unsigned long)page, (unsigned long)number);
			return false;
		}
		number++;
		found++;
	}
	good &= found == SAMPLED_PAGES / n;
	if (!good)
		diag("1 in %u: %lu faults", n, (unsigned long)found);
	return good;
}

static void test_sampled(void)
{
	static const unsigned int ns[] = { 1, 16, 256 };
	struct fault_ring r[ARRAY_SIZE(ns)];
	struct capture c[ARRAY_SIZE(ns)];
	bool good = true, sum = true;
	size_t i;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(ns); i++) {
		c[i] = capture_open();
		locate_or_die(c[i].fd, ns[i], i);
		r[i] = fault_ring_map(c[i].fd);
	}
	pid = subject_start(prepare_sampled, act_sampled, NULL);
	for (i = 0; i < ARRAY_SIZE(ns); i++)
		capture_command_or_die(&c[i], 'R', pid);
	subject_continue(pid);
	for (i = 0; i < ARRAY_SIZE(ns); i++)
		capture_command_or_die(&c[i], 'U', pid);
	if (sampled->after - sampled->before != SAMPLED_PAGES)
		errx(1, "the subject took other faults");
	for (i = 0; i < ARRAY_SIZE(ns); i++) {
		good &= has_sampled(&r[i], ns[i], pid);
		sum &= counts_add_up(&c[i], &r[i], 0);
	}
	ok(good, "three captures of a process have exactly one fault in 1, in 16 and in 256");
	ok(sum, "counted is located and missed when one fault in n is located");
	kill_and_reap(pid);
	for (i = 0; i < ARRAY_SIZE(ns); i++) {
		fault_ring_unmap(&r[i]);
		capture_close(&c[i]);
	}
}

/* ---- Mappings that are replaced ---- */

static struct replaced {
	char *area;
	volatile bool done;
	volatile unsigned int turn;
	pid_t pids[2];
	int fds[2];
} *replaced;

static const char * const replaced_paths[] = { "/tmp/located-a", "/tmp/located-b" };

static void map_replaced(unsigned int i)
{
	/* The second file is mapped from its second page on. */
	if (mmap(replaced->area, PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED, replaced->fds[i % 2],
		 i % 2 * PAGE) == MAP_FAILED)
		err(1, "mmap");
}

static void prepare_replaced(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		replaced->fds[i] = open(replaced_paths[i],
					O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (replaced->fds[i] < 0 ||
		    ftruncate(replaced->fds[i], 2 * PAGE))
			err(1, "%s", replaced_paths[i]);
	}
	replaced->area = map_anonymous(1);
}

static void act_replaced(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < REPLACED; i++) {
		map_replaced(i);
		store_byte(replaced->area);
	}
}

static void *replace_forever(void *arg)
{
	unsigned int i;

	for (i = 0; !replaced->done; i++)
		map_replaced(i);
	return arg;
}

static void act_raced(void *arg)
{
	uint64_t end = now_ns() + RACE_MS * 1000000ULL;
	uint64_t faults = thread_faults() + 10 * REPLACED;
	pthread_t thread;

	(void)arg;
	map_replaced(0);
	if (pthread_create(&thread, NULL, replace_forever, NULL))
		errx(1, "pthread_create");
	while (now_ns() < end && thread_faults() < faults)
		store_byte(replaced->area);
	replaced->done = true;
	pthread_join(thread, NULL);
}

/*
 * Check the faults of the page. If @raced, each is in any of the two mappings, or
 * its mapping is unknown; else they alternate.
 */
static void test_replaced(bool raced)
{
	unsigned int nr = 0, unknown = 0, in_file[2] = { 0 };
	struct capture c = capture_open();
	struct fault_ring r;
	bool good;
	uint64_t i;
	pid_t pid;

	locate_or_die(c.fd, 1, 8);
	r = fault_ring_map(c.fd);
	replaced->done = false;
	pid = subject_start(prepare_replaced, raced ? act_raced : act_replaced,
			    NULL);
	subject_profile(&c, pid);
	fault_ring_settle(&r);
	for (i = 0, good = true; i < fault_head(&r); i++) {
		struct mp3_fault f = fault_at(&r, i);
		unsigned int which;

		if (f.address != (uintptr_t)replaced->area)
			continue;
		if (raced && f.file == MP3_UNKNOWN_FILE && !f.offset) {
			unknown++;
			continue;
		}
		which = raced ? !!f.offset : nr % 2;
		nr++;
		if (f.offset == which * PAGE &&
		    !strcmp(path_at(&r, f.file), replaced_paths[which])) {
			in_file[which]++;
			continue;
		}
		diag_fault("in the wrong file", &f);
		good = false;
	}
	diag("%u and %u faults in the files, %u in unknown ones", in_file[0],
	     in_file[1], unknown);
	if (raced)
		ok(good && in_file[0] && in_file[1],
		   "a fault in a mapping that another thread replaces has a file and the offset in that file");
	else
		ok(good && nr == REPLACED && counts_add_up(&c, &r, 0),
		   "a fault has the file of a mapping that was replaced at once after it");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/*
 * Write to the page @ALTERNATIONS times, in turn with another process, which has made
 * as many mappings. Nothing else faults until both have done so.
 */
static void take_turns(unsigned int which)
{
	unsigned int i;

	map_replaced(which);
	for (i = 0; i < ALTERNATIONS; i++) {
		while (replaced->turn != 2 * i + which)
			sched_yield();
		store_byte(replaced->area);
		if (madvise(replaced->area, PAGE, MADV_DONTNEED))
			_exit(1);
		replaced->turn++;
	}
	for (;;)
		pause();
}

static void prepare_turns(void *arg)
{
	unsigned int i;
	pid_t pid;

	prepare_replaced(arg);
	pin_to(0);
	replaced->turn = -1;
	for (i = 0; i < 2; i++) {
		pid = fork_child();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			take_turns(i);
		}
		replaced->pids[i] = pid;
	}
}

static void act_turns(void *arg)
{
	(void)arg;
	replaced->turn = 0;
	while (replaced->turn < 2 * ALTERNATIONS)
		sleep_ms(1);
}

static void test_turns(void)
{
	struct capture c = capture_open();
	unsigned int nr[2] = { 0 };
	struct fault_ring r;
	bool good = true;
	uint64_t i;
	pid_t pid;

	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare_turns, act_turns, NULL);
	capture_command_or_die(&c, 'F', pid);
	if (!subject_continue(pid))
		errx(1, "the subject has exited");
	kill_and_reap(pid);
	fault_ring_settle(&r);
	for (i = 0; i < fault_head(&r); i++) {
		struct mp3_fault f = fault_at(&r, i);
		unsigned int which = f.pid == (uint32_t)replaced->pids[1];

		if (f.address != (uintptr_t)replaced->area)
			continue;
		nr[which]++;
		if (f.offset == which * PAGE &&
		    !strcmp(path_at(&r, f.file), replaced_paths[which]))
			continue;
		diag_fault("in the file of the other process", &f);
		good = false;
	}
	if (!ok(good && nr[0] == ALTERNATIONS && nr[1] == ALTERNATIONS,
		"two processes that fault in turn at an address each have their own file there"))
		diag("%u and %u faults", nr[0], nr[1]);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- More files than the table has ---- */

static struct filed {
	unsigned int nr;
	char *area;
} *filed;

/* Map a page of a file, and take two faults in it. */
static void touch_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || mmap(filed->area, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED,
			   fd, 3 * PAGE) == MAP_FAILED)
		err(1, "%s", path);
	load_byte(filed->area + 5);
	if (madvise(filed->area, PAGE, MADV_DONTNEED))
		err(1, "madvise");
	load_byte(filed->area + 5);
	close(fd);
}

static const char *file_path(unsigned int i)
{
	static char path[64];

	snprintf(path, sizeof(path), DIRECTORY "/%u", i);
	return path;
}

static void prepare_filed(void *arg)
{
	(void)arg;
	filed->area = map_anonymous(1);
	touch_file(file_path(MAX_FILES));
}

static void act_filed(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < filed->nr; i++)
		touch_file(file_path(i));
}

static void create_files(void)
{
	unsigned int i;
	int fd;

	mkdir(DIRECTORY, 0755);
	for (i = 0; i <= MAX_FILES; i++) {
		fd = open(file_path(i), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, 4 * PAGE))
			err(1, "%s", file_path(i));
		close(fd);
	}
}

static void test_files(unsigned int nr_files)
{
	unsigned int nr = 0, unknown = 0, wrong = 0, others = 0;
	struct capture c = capture_open();
	struct fault_ring r;
	uint64_t i, rest;
	pid_t pid;

	filed->nr = nr_files;
	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare_filed, act_filed, NULL);
	subject_profile(&c, pid);
	fault_ring_settle(&r);
	for (i = 0; i < fault_head(&r); i++) {
		struct mp3_fault f = fault_at(&r, i);

		if (f.address != reported((uintptr_t)filed->area + 5)) {
			others += f.file == MP3_UNKNOWN_FILE;
			continue;
		}
		wrong += f.offset != reported(3 * PAGE + 5) ||
			 !(f.flags & MP3_FAULT_SHARED) ||
			 !frame_is(&r, f.frames[0], code_offset(load_byte));
		if (f.file == MP3_UNKNOWN_FILE)
			unknown++;
		else
			wrong += unknown ||
				 strcmp(path_at(&r, f.file), file_path(nr / 2));
		nr++;
	}
	/* The program itself has a number, too. */
	if (!ok(nr == 2 * nr_files && !wrong &&
		nr_files - unknown / 2 >= 1000 &&
		nr_files - unknown / 2 < MP3_FILES,
		"of %u files, as many have a number and a path as the table has entries",
		nr_files))
		diag("%u faults, %u wrong, %u in unknown files", nr, wrong,
		     unknown);
	rest = r.header->counted - r.header->located;
	ok(is(rest, 0, "not located") &&
	   is(r.header->dropped, unknown + others, "dropped"),
	   "faults in %u files are all located, and dropped counts those without a number",
	   nr_files);
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- Loss ---- */

static void close_rings(void)
{
	munmap((void *)ring.samples, ring.data_size);
	munmap((void *)ring.header, PAGE);
	close(ring.fd);
}

static void reload(const char *params)
{
	close_rings();
	unload_or_die();
	load_or_die(params);
	ring = ring_open();
	set_interval("10");
}

static void test_lapped(void)
{
	struct mp3_reader capture;
	struct mp3_faults faults;
	struct mp3_fault fault;
	uint64_t i, read = 0;
	struct fault_ring r;
	struct capture c;
	bool good;
	pid_t pid;

	close_rings();
	unload_or_die();
	good = load("capture_faults=63") == -EINVAL &&
	       load("capture_faults=0") == -EINVAL &&
	       load("capture_faults=-1") == -EINVAL;
	ok(good, "a capture_faults below 64 is EINVAL");
	load_or_die("capture_faults=64");
	ring = ring_open();
	set_interval("10");

	if (mp3_capture_open(&capture) || mp3_capture_locate(&capture, 1, 8) ||
	    mp3_faults_open(&faults, &capture))
		err(1, "mp3_faults_open");
	c = capture_map(capture.fd);
	r = fault_ring_map(capture.fd);
	ok_eq(r.capacity, 64, "capture_faults=64 makes a ring of 64 faults");
	ok(mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, c.fd, MP3_OFF_FAULTS) ==
	   MAP_FAILED && errno == EINVAL,
	   "mmap of three pages of a ring of 64 faults is EINVAL");
	pid = subject_start(prepare_sampled, act_sampled, NULL);
	subject_profile(&c, pid);
	ok(counts_add_up(&c, &r, 0) && fault_head(&r) >= SAMPLED_PAGES,
	   "a ring of 64 faults counts each fault that it overwrites");
	for (i = fault_head(&r) - 64, good = true; i < fault_head(&r); i++)
		good &= fault_read(&r, i, &fault);
	ok(good, "a ring of 64 faults has the newest 64 of them");
	while (mp3_faults_next(&faults, &fault))
		read++;
	ok(is(read, 64, "read") && is(faults.lost, fault_head(&r) - 64, "lost"),
	   "a reader that was lapped reads 64 faults, and counts the others as lost");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_unmap(&c);
	mp3_faults_close(&faults);
	mp3_capture_close(&capture);
}

/* A reader that is too slow for a process that faults all the time. */
static void test_slow_reader(void)
{
	struct mp3_reader capture;
	uint64_t last = 0, read = 0;
	struct mp3_faults faults;
	struct mp3_fault fault;
	struct fault_ring r;
	bool good = true;
	struct capture c;
	pid_t pid;

	if (mp3_capture_open(&capture) || mp3_capture_locate(&capture, 1, 8) ||
	    mp3_faults_open(&faults, &capture))
		err(1, "mp3_faults_open");
	c = capture_map(capture.fd);
	r = fault_ring_map(capture.fd);
	pid = subject_start(prepare_sampled, act_sampled, NULL);
	capture_command_or_die(&c, 'R', pid);
	kill(pid, SIGCONT);
	while (!waitpid(pid, NULL, WUNTRACED | WNOHANG)) {
		while (mp3_faults_next(&faults, &fault)) {
			read++;
			if (fault.address - (uintptr_t)sampled->area >=
			    SAMPLED_PAGES * PAGE)
				continue;
			/* Whole: in order, and each at its own instruction. */
			good &= fault.address > last && fault.offset ==
				fault.address - (uintptr_t)sampled->area &&
				fault.seq == faults.next &&
				fault.pid == (uint32_t)pid &&
				frame_is(&r, fault.frames[0],
					 code_offset(store_byte));
			last = fault.address;
			if (read % 50 == 0)
				usleep(2000);
		}
	}
	capture_command_or_die(&c, 'U', pid);
	fault_ring_settle(&r);
	while (mp3_faults_next(&faults, &fault))
		read++;
	diag("%lu faults read, %lu lost", (unsigned long)read,
	     (unsigned long)faults.lost);
	ok(good, "a reader that is lapped all the time reads no torn fault");
	ok(read && is(read + faults.lost, fault_head(&r), "read and lost"),
	   "a reader that is lapped all the time counts exactly what it has lost");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_unmap(&c);
	mp3_faults_close(&faults);
	mp3_capture_close(&capture);
}

/* ---- mp3_client.h ---- */

static void test_client(void)
{
	struct mp3_reader capture;
	struct mp3_faults faults;
	struct mp3_fault fault;
	const struct mp3_file *file = NULL;
	struct fault_ring r;
	struct capture c;
	bool good = true;
	uint64_t i = 0;
	pid_t pid;

	if (mp3_capture_open(&capture))
		err(1, "mp3_capture_open");
	ok(mp3_faults_open(&faults, &capture) == -EINVAL && !faults.header &&
	   !faults.data && !faults.files,
	   "mp3_faults_open() is EINVAL before the capture locates");
	ok(mp3_capture_locate(&capture, 3, 0) == -EINVAL &&
	   mp3_capture_locate(&capture, 1, 9) == -EINVAL &&
	   !mp3_capture_locate(&capture, 1, 2) &&
	   !mp3_faults_open(&faults, &capture),
	   "mp3_capture_locate() returns the errors of L");
	c = capture_map(capture.fd);
	r = fault_ring_map(capture.fd);
	pid = subject_start(prepare_sampled, act_sampled, NULL);
	subject_profile(&c, pid);
	while (mp3_faults_next(&faults, &fault)) {
		struct mp3_fault want = fault_at(&r, i++);

		good &= !memcmp(&fault, &want, sizeof(fault));
	}
	ok(good && is(i, fault_head(&r), "faults") && !faults.lost,
	   "mp3_faults_next() reads each fault");
	/* The program's own number, once it is resolved */
	for (i = 0; i < 10000 && !file; i++) {
		file = mp3_faults_file(&faults,
				       MP3_FRAME_FILE(fault.frames[0]));
		sleep_ms(1);
	}
	ok(file && !strcmp(file->path, program_path()) &&
	   !mp3_faults_file(&faults, 0) &&
	   !mp3_faults_file(&faults, MP3_FILES) &&
	   !mp3_faults_file(&faults, MP3_FILES + 1) &&
	   !mp3_faults_file(&faults, MP3_UNKNOWN_FILE),
	   "mp3_faults_file() finds a file by its number, and no other");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_unmap(&c);
	mp3_faults_close(&faults);
	mp3_capture_close(&capture);
}

/* ---- A copy that is overwritten ---- */

static char *torn_pages;		/* two: the slot begins in the first */
static struct mp3_fault *torn_slot;
static struct mp3_header *torn_header;

/* Returns a fault whose words all depend on its number. */
static struct mp3_fault torn_fault(uint64_t number)
{
	struct mp3_fault fault;

	memset(&fault, (int)number + 1, sizeof(fault));
	fault.seq = number + 1;

	return fault;
}

/* Publish a fault in the only slot. */
static void torn_publish(uint64_t number)
{
	struct mp3_fault fault = torn_fault(number);

	__atomic_store_n(&torn_slot->seq, MP3_FAULT_BUSY, __ATOMIC_SEQ_CST);
	fault.seq = MP3_FAULT_BUSY;
	memcpy(torn_slot, &fault, sizeof(fault));
	__atomic_store_n(&torn_slot->seq, number + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&torn_header->head, number + 1, __ATOMIC_RELEASE);
}

/* The copy has reached the second page: overwrite the fault, and let it go on. */
static void torn_overwrite(int signal)
{
	(void)signal;
	if (mprotect(torn_pages, 2 * PAGE, PROT_READ | PROT_WRITE))
		_exit(1);
	torn_publish(1);
}

/*
 * A fault that is overwritten while mp3_faults_next() copies it: in a ring with a
 * single slot, the second half of which cannot be read at first.
 */
static void test_torn(void)
{
	struct mp3_header header = { .processes = 1 };
	struct mp3_fault fault, want = torn_fault(1);
	struct mp3_faults faults;
	bool good;

	torn_pages = map_anonymous(2);
	torn_slot = (struct mp3_fault *)(torn_pages + PAGE -
					 sizeof(*torn_slot) / 2);
	torn_header = &header;
	faults = (struct mp3_faults){
		.header = &header, .data = torn_slot, .capacity = 1,
	};
	torn_publish(0);
	if (signal(SIGSEGV, torn_overwrite) == SIG_ERR ||
	    mprotect(torn_pages + PAGE, PAGE, PROT_NONE))
		err(1, "mprotect");
	good = !mp3_faults_next(&faults, &fault);
	signal(SIGSEGV, SIG_DFL);
	ok(good && faults.lost == 1 && header.head == 2,
	   "a fault that is overwritten while it is copied is lost");
	ok(mp3_faults_next(&faults, &fault) && faults.lost == 1 &&
	   !memcmp(&fault, &want, sizeof(fault)),
	   "mp3_faults_next() reads the fault that has overwritten another one");
	munmap(torn_pages, 2 * PAGE);
}

/* ---- Memory ---- */

/* Runs in the memory cgroup, where a ring of faults does not fit. */
static int lack_memory(int fd)
{
	enter_cgroup();
	return locate(fd, 1, 0) != -ENOMEM || locate(fd, 1, 0) != -ENOMEM;
}

static void test_memory(void)
{
	static const char name[] =
		"L of a ring that does not fit into the memory cgroup is ENOMEM";
	struct capture c = capture_open();
	int status;
	pid_t pid;

	make_cgroup();
	write_file(CGROUP "/memory.max", "4000000");
	fflush(stdout);
	pid = fork_child();
	if (!pid)
		_exit(lack_memory(c.fd));
	waitpid(pid, &status, 0);
	if (kernel_version() >= 511)
		ok(!status, "%s", name);
	else
		skip(name, "this kernel cannot map charged pages");
	ok(!locate(c.fd, 1, 0), "a capture can locate after memory was short");
	rmdir(CGROUP);
	capture_close(&c);
}

/* Write L in a child, in which one call of a function fails. */
static int locate_failing(int fd, const char *symbols, int nth)
{
	int go[2], ret, status;
	pid_t pid;
	char byte;

	if (pipe2(go, O_CLOEXEC))
		err(1, "pipe2");
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(-locate(fd, 1, 0));
	}
	ret = fail_call(pid, symbols, nth, 0, 0);
	if (ret)
		errx(1, "%s: %s", symbols, strerror(-ret));
	if (write(go[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid)
		err(1, "the child that locates");
	fail_unload();
	close(go[0]);
	close(go[1]);

	return -WEXITSTATUS(status);
}

static void test_allocations(void)
{
	static const char name[] = "L without memory is ENOMEM, and makes no ring";
	struct capture c = capture_open();
	bool good = true;
	int nth, ret = -ENOMEM;

	if (!have_kprobes()) {
		skip(name, "no kprobes");
		capture_close(&c);
		return;
	}
	for (nth = 1; nth <= 8 && ret; nth++) {
		ret = locate_failing(c.fd, "__vmalloc_noprof __vmalloc", nth);
		good &= ret == -ENOMEM || (!ret && nth > 3);
		good &= !ret || (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, c.fd,
				      MP3_OFF_FAULTS) == MAP_FAILED &&
				 errno == EINVAL);
	}
	ok(good && !ret, "%s", name);
	diag("%d allocations", nth - 2);
	capture_close(&c);
}

/* ---- Handlers ---- */

static int handler_calls(void)
{
	FILE *file = fopen("/sys/module/fail/parameters/calls", "re");
	int calls;

	if (!file || fscanf(file, "%d", &calls) != 1)
		err(1, "cannot read the number of calls");
	fclose(file);

	return calls;
}

/* Returns whether each fault of a process calls the handler. */
static bool faults_call_handler(const struct worker *w)
{
	int before = handler_calls();

	worker_request(w, 'm', 10);
	return handler_calls() >= before + 10;
}

/* A bystander's faults cost something only while a capture locates. */
static void test_handlers(void)
{
	static const char name[] =
		"handlers of faults are attached while a capture locates, and not for long after";
	struct worker w = worker_start();
	bool good = true, called;
	struct capture c;
	int i, tries;

	if (!fail_load(w.pid, "mp3_on_minor_fault", 0, 0)) {
		no_kprobes("mp3_on_minor_fault");
		skip(name, "no kprobes");
		worker_end(&w);
		return;
	}
	for (i = 0; i < 2; i++) {
		c = capture_open();
		locate_or_die(c.fd, 64, 0);
		called = faults_call_handler(&w);
		if (i)
			locate_or_die(c.fd, 0, 0);
		else
			capture_close(&c);
		for (tries = 0; tries < 600 && faults_call_handler(&w); tries++)
			sleep_ms(100);
		if (!called || tries == 600)
			diag("called %d, %d tries", called, tries);
		good &= called && tries < 600;
		if (i)
			capture_close(&c);
	}
	ok(good, "%s", name);
	fail_unload();
	worker_end(&w);
}

/* ---- Unloading ---- */

static void test_unload(void)
{
	struct fault_ring r;
	struct capture c;
	int ret;
	pid_t pid;

	close_rings();
	pid = subject_start(prepare_sampled, act_sampled, NULL);
	c = capture_open();
	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	capture_command_or_die(&c, 'R', pid);
	subject_continue(pid);
	capture_close(&c);
	ret = unload();
	ok(ret == -EBUSY || ret == -EAGAIN,
	   "the module cannot be unloaded while a ring of faults is mapped");
	fault_ring_unmap(&r);
	ok_eq(unload(), 0, "the module can be unloaded right after a capture that located");
	kill_and_reap(pid);
	load_or_die("");
	ring = ring_open();
	set_interval("10");
}

static void test_both_replaced(void)
{
	test_replaced(false);
	test_replaced(true);
	test_turns();
}

static void test_both_files(void)
{
	create_files();
	test_files(1100);
	test_files(MAX_FILES);
}

static const struct {
	const char *name;
	void (*function)(void);
} tests[] = {
	{ "before", test_before },
	{ "commands", test_commands },
	{ "permissions", test_permissions },
	{ "regions", test_regions },
	{ "fresh", test_fresh },
	{ "threads", test_threads },
	{ "children", test_children },
	{ "stop", test_stop },
	{ "stop-exited", test_stop_exited },
	{ "late", test_late },
	{ "poll", test_poll },
	{ "sampled", test_sampled },
	{ "replaced", test_both_replaced },
	{ "files", test_both_files },
	{ "client", test_client },
	{ "torn", test_torn },
	{ "memory", test_memory },
	{ "allocations", test_allocations },
	{ "handlers", test_handlers },
	{ "unload", test_unload },
	/* From here on, the rings have 64 faults. */
	{ "lapped", test_lapped },
	{ "slow", test_slow_reader },
};

int main(int argc, char **argv)
{
	bool small = false;
	size_t i;

	ring = ring_open();
	threads = shared_memory(NR_THREADS * sizeof(*threads));
	children = shared_memory(NR_CHILDREN * sizeof(*children));
	pages = shared_memory(sizeof(*pages));
	sampled = shared_memory(sizeof(*sampled));
	replaced = shared_memory(sizeof(*replaced));
	filed = shared_memory(sizeof(*filed));
	set_interval("10");
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (argc > 1 && strcmp(argv[1], tests[i].name))
			continue;
		small |= tests[i].function == test_lapped;
		if (tests[i].function == test_slow_reader && !small)
			reload("capture_faults=64");
		tests[i].function();
	}
	reload("");
	ok(sampler_stops(&ring), "nothing is registered at the end");

	return done();
}
