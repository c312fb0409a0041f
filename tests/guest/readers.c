// SPDX-License-Identifier: GPL-2.0
/*
 * Readers who go by the header: what they keep while the writer overwrites the
 * ring under them, and what poll(2) tells them.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "test.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PAGE		((long)getpagesize())
#define MAX_FAULTS	7
#define MAX_ENTRIES	(128 * 1024)	/* of one run of this test */
#define OLDEST(head)	((head) + 2 - MP3_SAMPLES)	/* that is kept */
#define NR_THREADS	4

/*
 * A reader in a process of its own; all of it is shared with the test. Entry i
 * is kept in place i % MAX_ENTRIES.
 */
struct reader {
	uint64_t first, next, lost, nr_kept;
	struct mp3_sample kept[MAX_ENTRIES];
	bool has[MAX_ENTRIES];
	bool ready;
};

static struct shared {
	struct mp3_sample published[MAX_ENTRIES]; /* as found at rest */
	bool publishing;
	struct reader readers[4];
	struct {
		unsigned int begun, over;	/* rounds */
		uint64_t head;		/* seen when nothing was registered */
	} watch;
} *shared;

static char *scratch;
static struct ring mp3;
static int status_fd;

/* What is there when nothing is registered stays until the next publication. */
static void record(uint64_t from)
{
	uint64_t i, head = ring_head(&mp3);

	for (i = from; i < head; i++) {
		volatile struct mp3_sample *s = &mp3.samples[i % MP3_SAMPLES];

		shared->published[i % MAX_ENTRIES] = (struct mp3_sample){
			s->jiffies, s->min_flt, s->maj_flt, s->cpu_percent };
	}
}

/*
 * Publishes a sample that differs from its neighbours, and from the one that it
 * overwrites: with the last process that is unregistered it is in the ring when
 * write(2) returns.
 */
static void publish(void)
{
	uint64_t i, head = ring_head(&mp3);
	char line[16];
	int size = snprintf(line, sizeof(line), "R,%d", getpid());

	madvise(scratch, MAX_FAULTS * PAGE, MADV_DONTNEED);
	if (write(status_fd, line, size) != size)
		err(1, "%s", line);
	line[0] = 'U';
	for (i = 0; i < head % MAX_FAULTS; i++)
		scratch[i * PAGE] = 1;
	if (write(status_fd, line, size) != size)
		err(1, "%s", line);
	record(head);
}

static void publish_many(unsigned int nr)
{
	while (nr--)
		publish();
}

/* Waits for @fulfilled, and only a hang makes it give up. */
static bool wait_until(bool (*fulfilled)(const void *), const void *of)
{
	int i;

	for (i = 0; i < 60000; i++) {
		if (fulfilled(of))
			return true;
		sleep_ms(1);
	}
	diag("waited in vain for a minute");
	return false;
}

/* ---- Readers beside the writer ---- */

/*
 * Reads the next entry as the comment of mp3_uapi.h has it: copies what lies
 * below head, and keeps it only while the writer cannot have been there. False
 * when there is none. @pause is called in the middle of the copy.
 */
static bool read_entry(struct reader *reader, void (*pause)(struct reader *))
{
	uint64_t i = reader->next, head = ring_head(&mp3);
	volatile struct mp3_sample *slot = &mp3.samples[i % MP3_SAMPLES];
	struct mp3_sample copy;

	if (i == head)
		return false;

	copy.jiffies = slot->jiffies;
	copy.min_flt = slot->min_flt;
	if (pause)
		pause(reader);
	copy.maj_flt = slot->maj_flt;
	copy.cpu_percent = slot->cpu_percent;

	/* Pairs with the writer's barrier before it overwrites. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	head = ring_head(&mp3);
	if (i + MP3_SAMPLES - 1 > head) {
		reader->kept[i % MAX_ENTRIES] = copy;
		reader->has[i % MAX_ENTRIES] = true;
		reader->nr_kept++;
		reader->next++;
	} else {
		reader->lost += OLDEST(head) - i;
		reader->next = OLDEST(head);
	}
	return true;
}

static void start_reader(struct reader *reader, uint64_t first)
{
	memset(reader, 0, sizeof(*reader));
	reader->first = first;
	reader->next = first;
}

static void get_ready(struct reader *reader)
{
	__atomic_store_n(&reader->ready, true, __ATOMIC_RELEASE);
}

static bool is_ready(const void *reader)
{
	return __atomic_load_n(&((const struct reader *)reader)->ready,
			       __ATOMIC_ACQUIRE);
}

static bool publishing(void)
{
	return __atomic_load_n(&shared->publishing, __ATOMIC_ACQUIRE);
}

/* Reads until the writer has ended, and then all that is left. */
static void read_all(struct reader *reader, void (*pause)(struct reader *))
{
	bool more;

	get_ready(reader);
	do {
		more = publishing();
		while (read_entry(reader, pause))
			;
	} while (more);
}

/*
 * Is always at the newest entry: one that was published before it was whole
 * would show.
 */
static void read_fast(struct reader *reader)
{
	read_all(reader, NULL);
}

/* Until the writer is close: every third time until it is too late. */
static void wait_for_writer(struct reader *reader)
{
	uint64_t i = reader->next;
	bool late = (i - reader->first) % 3 == 0;

	while (publishing() && ring_head(&mp3) < i + MP3_SAMPLES - 2 + late)
		sched_yield();
}

/*
 * Is always at the oldest entry, in the middle of a copy: one that was
 * overwritten before head gave it up would show.
 */
static void read_slowly(struct reader *reader)
{
	read_all(reader, wait_for_writer);
}

/*
 * What the fork has made copy-on-write is copied at once, not by and by: that
 * would be faults in samples.
 */
static pid_t fork_reader(void (*run)(struct reader *), struct reader *reader)
{
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (!child) {
		run(reader);
		_exit(0);
	}
	if (mlockall(MCL_CURRENT) || munlockall())
		err(1, "mlockall");
	if (!wait_until(is_ready, reader))
		errx(1, "a reader does not start");

	return child;
}

/* Whether entry @i, which was kept, is as it was published. */
static bool is_right(const struct reader *reader, uint64_t i)
{
	const struct mp3_sample *got = &reader->kept[i % MAX_ENTRIES];
	const struct mp3_sample *want = &shared->published[i % MAX_ENTRIES];
	bool right = !memcmp(got, want, sizeof(*got));

	if (!right)
		diag("entry %llu: min_flt %lu of %lu, jiffies %lu of %lu",
		     (unsigned long long)i, got->min_flt, want->min_flt,
		     got->jiffies, want->jiffies);
	return right;
}

static void ok_reader(const struct reader *reader, const char *who)
{
	uint64_t i, kept = 0, head = ring_head(&mp3);
	bool right = true;

	for (i = reader->first; i < head && right; i++) {
		if (!reader->has[i % MAX_ENTRIES])
			continue;
		kept++;
		right = is_right(reader, i);
	}
	diag("%s: %llu published, %llu kept, %llu lost", who,
	     (unsigned long long)(head - reader->first),
	     (unsigned long long)reader->nr_kept,
	     (unsigned long long)reader->lost);
	ok(right, "%s keeps what was published, nothing torn", who);
	ok(reader->next == head && kept == reader->nr_kept &&
	   kept + reader->lost == head - reader->first,
	   "%s has kept the rest of what it says is lost", who);
}

/* Runs a writer beside two readers; the slow one starts where it is told. */
static void race(void (*writer)(void), uint64_t slow_first, const char *name)
{
	struct reader *fast = &shared->readers[0], *slow = &shared->readers[1];
	char who[64];

	start_reader(fast, ring_head(&mp3));
	start_reader(slow, slow_first);
	shared->publishing = true;
	fork_reader(read_fast, fast);
	fork_reader(read_slowly, slow);
	writer();
	__atomic_store_n(&shared->publishing, false, __ATOMIC_RELEASE);
	while (wait(NULL) > 0)
		;

	snprintf(who, sizeof(who), "%s: a fast reader", name);
	ok_reader(fast, who);
	snprintf(who, sizeof(who), "%s: a slow reader", name);
	ok_reader(slow, who);
	ok(slow->lost && slow->nr_kept, "%s was overtaken, and went on", who);
}

static void write_laps(void)
{
	publish_many(3 * MP3_SAMPLES);
}

static void fault_now_and_then(struct reader *none)
{
	int i;

	get_ready(none);
	for (;;) {
		madvise(scratch, MAX_FAULTS * PAGE, MADV_DONTNEED);
		for (i = 0; i < MAX_FAULTS; i++)
			scratch[i * PAGE] = 1;
		sleep_ms(1);
	}
}

static bool has_500_more(const void *head)
{
	return ring_head(&mp3) >= *(const uint64_t *)head + 500;
}

/* The grid at its finest, one entry a clock tick. */
static void write_grid(void)
{
	struct reader *faulty = &shared->readers[2];
	uint64_t head = ring_head(&mp3);
	pid_t child;

	set_interval("1");
	start_reader(faulty, 0);
	child = fork_reader(fault_now_and_then, faulty);
	command('R', child);
	if (!wait_until(has_500_more, &head))
		errx(1, "the grid does not come");
	command('U', child);
	kill(child, SIGKILL);
	record(head);
	set_interval("10000");
}

static void test_race(void)
{
	race(write_laps, ring_head(&mp3), "three laps");
	/* The slow one starts where the grid writes next: no lap is needed. */
	race(write_grid, OLDEST(ring_head(&mp3)), "on the grid");
}

static void stop_once(struct reader *reader)
{
	if (is_ready(reader))
		return;
	get_ready(reader);
	raise(SIGSTOP);
}

static void read_stopped(struct reader *reader)
{
	read_entry(reader, stop_once);
}

/*
 * Readers are stopped in the middle of a copy, and go on nearly a lap later:
 * each at another distance from the writer, who has come to the last that is
 * safe, to the next, and beyond.
 */
static void test_stopped(void)
{
	uint64_t head = ring_head(&mp3), last = head + MP3_SAMPLES - 5;
	const struct {
		const char *name;
		uint64_t entry;
		bool kept;
	} cases[] = {
		{ "stopped in a copy: what is not overwritten is kept",
		  OLDEST(last), true },
		{ "stopped in a copy: what may be overwritten is not kept",
		  OLDEST(last) - 1, false },
		{ "stopped in a copy: what is overwritten by -1 is not kept",
		  OLDEST(last) - 2, false },
		{ "stopped in a copy: what is overwritten is not kept",
		  OLDEST(head), false },
	};
	size_t i, nr = ARRAY_SIZE(cases);
	pid_t children[ARRAY_SIZE(cases)];
	struct reader *reader = shared->readers;
	int status;

	for (i = 0; i < nr; i++) {
		start_reader(&reader[i], cases[i].entry);
		children[i] = fork_reader(read_stopped, &reader[i]);
		waitpid(children[i], &status, WUNTRACED);
	}
	publish_many(last - head);
	if (ring_head(&mp3) != last)
		errx(1, "a tick of 10 s came in between");
	for (i = 0; i < nr; i++) {
		kill(children[i], SIGCONT);
		waitpid(children[i], NULL, 0);
		ok(reader[i].nr_kept == cases[i].kept &&
		   reader[i].lost == OLDEST(last) - cases[i].entry &&
		   (!cases[i].kept || is_right(&reader[i], cases[i].entry)),
		   "%s", cases[i].name);
	}
}

/* ---- The last sample ---- */

#define ROUNDS 500

/* Looks at head as soon as nothing is registered any more. */
static void watch_processes(struct reader *none)
{
	volatile __u32 *processes = &mp3.header->processes;
	unsigned int i;

	get_ready(none);
	for (i = 1; i <= ROUNDS; i++) {
		while (!__atomic_load_n(processes, __ATOMIC_ACQUIRE))
			sched_yield();
		__atomic_store_n(&shared->watch.begun, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(processes, __ATOMIC_ACQUIRE))
			;
		shared->watch.head = ring_head(&mp3);
		__atomic_store_n(&shared->watch.over, i, __ATOMIC_RELEASE);
	}
}

static bool has_begun(const void *round)
{
	return __atomic_load_n(&shared->watch.begun, __ATOMIC_ACQUIRE) ==
		*(const unsigned int *)round;
}

static bool is_over(const void *round)
{
	return __atomic_load_n(&shared->watch.over, __ATOMIC_ACQUIRE) ==
		*(const unsigned int *)round;
}

/*
 * Nobody need wait for a sample that might still come: when processes is 0,
 * head is final. There is little time between the two stores: so, many rounds.
 */
static void test_last_sample(void)
{
	unsigned int i, late = 0;
	pid_t child;

	start_reader(shared->readers, 0);
	child = fork_reader(watch_processes, shared->readers);
	for (i = 1; i <= ROUNDS; i++) {
		command('R', getpid());
		if (!wait_until(has_begun, &i))
			break;
		command('U', getpid());
		if (!wait_until(is_over, &i))
			break;
		late += shared->watch.head != ring_head(&mp3);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ok(i > ROUNDS && !late,
	   "a reader who finds nothing registered finds the last sample");
}

/* ---- poll ---- */

static int open_device(int flags)
{
	int fd = open(MP3_DEVICE_PATH, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		err(1, "%s", MP3_DEVICE_PATH);
	return fd;
}

/* What poll says now. */
static int polled(int fd, int events)
{
	struct pollfd pollfd = { .fd = fd, .events = events };

	if (poll(&pollfd, 1, 0) < 0)
		err(1, "poll");
	return pollfd.revents;
}

static bool readable(int fd)
{
	return polled(fd, POLLIN);
}

/* It is, and is not any more when it has said so. */
static bool readable_once(int fd)
{
	bool said = readable(fd);

	return said && !readable(fd);
}

static void test_poll(void)
{
	int one = open_device(0), other, copy, status;
	char byte;

	ok(!readable(one), "poll: not readable after open, though full");
	publish();
	ok_eq(polled(one, POLLIN | POLLRDNORM | POLLOUT | POLLPRI),
	      POLLIN | POLLRDNORM, "poll: readable after a publication");
	ok(!readable(one), "poll: it says so once");
	publish_many(3);
	ok(readable_once(one),
	   "poll: it says once that there were three");

	/* A poll that is not told of it must leave it to the next one. */
	publish();
	polled(one, POLLOUT);
	ok(readable(one),
	   "poll: who asks for something else takes nothing away");

	other = open_device(O_NONBLOCK);
	publish();
	ok(readable_once(one) && readable_once(other),
	   "poll: each file is told by itself");

	/* What was said is remembered of a file, whoever has it open. */
	copy = dup(one);
	publish();
	ok(readable(copy) && !readable(one),
	   "poll: a duplicate is the same file");
	publish();
	if (!fork())
		_exit(readable(copy) && readable(other));
	wait(&status);
	ok(WIFEXITED(status) && WEXITSTATUS(status) && !readable(one) &&
	   !readable(other), "poll: so is a child's");

	ok(read(one, &byte, 1) < 0 && errno == EINVAL, "read(2): EINVAL");
	close(copy);
	copy = open(MP3_DEVICE_PATH, O_WRONLY | O_CLOEXEC);
	ok(write(copy, "", 1) < 0 && errno == EINVAL, "write(2): EINVAL");
	close(copy);
	close(one);
	close(other);
}

static bool selected(int fd)
{
	struct timeval now = { 0 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	if (select(fd + 1, &set, NULL, NULL, &now) < 0)
		err(1, "select");
	return FD_ISSET(fd, &set);
}

/*
 * To both a publication is an event, not a state: they do not say so until the
 * ring is empty, which it never is.
 */
static void test_others(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int one = open_device(0), epoll = epoll_create1(EPOLL_CLOEXEC);
	int first, second;

	publish();
	first = selected(one);
	second = selected(one);
	ok(first && !second, "select: says so once");

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, one, &event))
		err(1, "epoll");
	ok_eq(epoll_wait(epoll, &event, 1, 0), 0, "epoll: nothing, at first");
	publish();
	event.events = 0;
	first = epoll_wait(epoll, &event, 1, 0);
	second = epoll_wait(epoll, &event, 1, 0);
	ok(first == 1 && event.events == EPOLLIN && second == 0,
	   "epoll: says so once");
	publish();
	ok_eq(epoll_wait(epoll, &event, 1, 0), 1,
	      "epoll: and of the next publication again");
	close(epoll);
	close(one);
}

/* Each waits for ever, and returns how many files are ready: one. */
static int wait_poll(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, -1);
}

static int wait_select(int fd)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, NULL);
}

static int wait_epoll(int epoll)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, -1);
}

/* A child of these has nothing to sleep in but its poll. */
static bool is_asleep(const void *pid)
{
	char path[32], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", *(const pid_t *)pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		err(1, "%s", path);
	fclose(file);

	return state == 'S';
}

static bool has_ended(const void *pid)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, *(const pid_t *)pid, &info,
		       WEXITED | WNOWAIT | WNOHANG) && info.si_pid;
}

static void register_self(void)
{
	command('R', getpid());
}

/* Processes with a file each wait for ever, until @wake. */
static void test_blocking(void (*wake)(void), const char *name)
{
	int fds[] = { open_device(0), open_device(0), open_device(0),
		      open_device(O_NONBLOCK), epoll_create1(EPOLL_CLOEXEC) };
	const struct {
		int (*wait)(int fd);
		int fd;
	} waits[] = {
		{ wait_poll, fds[0] },
		{ wait_select, fds[1] },
		{ wait_epoll, fds[4] },
		{ wait_poll, fds[3] },
	};
	struct epoll_event event = { .events = EPOLLIN };
	size_t i, nr = ARRAY_SIZE(waits);
	pid_t children[ARRAY_SIZE(waits)];
	bool slept = true, woken = true;
	int status;

	if (epoll_ctl(fds[4], EPOLL_CTL_ADD, fds[2], &event))
		err(1, "epoll");
	for (i = 0; i < nr; i++) {
		children[i] = fork();
		if (!children[i])
			_exit(waits[i].wait(waits[i].fd));
	}
	for (i = 0; i < nr; i++)
		slept = slept && wait_until(is_asleep, &children[i]);
	ok(slept, "%s: poll, select and epoll sleep until then", name);

	wake();
	for (i = 0; i < nr; i++) {
		woken = woken && wait_until(has_ended, &children[i]);
		kill(children[i], SIGKILL);
		waitpid(children[i], &status, 0);
		woken = woken && WIFEXITED(status) && WEXITSTATUS(status) == 1;
	}
	ok(woken, "%s: poll, select and epoll are woken", name);
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

/* The newest head that a thread saw after it was told. */
static uint64_t told_head;
static unsigned int nr_threads;
static bool stop;

static void *keep_polling(void *fd)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		if (wait_poll(*(int *)fd) != 1)
			err(1, "poll");
		__atomic_store_n(&told_head, ring_head(&mp3), __ATOMIC_RELEASE);
	}
	__atomic_sub_fetch(&nr_threads, 1, __ATOMIC_RELEASE);

	return NULL;
}

static bool is_told(const void *head)
{
	return __atomic_load_n(&told_head, __ATOMIC_ACQUIRE) >=
		*(const uint64_t *)head;
}

static bool has_fewer_threads(const void *nr)
{
	return __atomic_load_n(&nr_threads, __ATOMIC_ACQUIRE) <
		*(const unsigned int *)nr;
}

/*
 * Which of them is told is a race; that none is would be a sample that nobody
 * reads until the next one.
 */
static void test_threads(void)
{
	int i, fd = open_device(0);
	pthread_t threads[NR_THREADS];
	unsigned int nr = NR_THREADS;
	bool told = true;
	uint64_t head;

	nr_threads = NR_THREADS;
	for (i = 0; i < NR_THREADS; i++)
		if (pthread_create(&threads[i], NULL, keep_polling, &fd))
			errx(1, "pthread_create");
	for (i = 0; i < 500 && told; i++) {
		publish();
		head = ring_head(&mp3);
		told = wait_until(is_told, &head);
	}
	ok(told, "threads that poll one file: one at least is told each time");

	/* Each publication has one more of them see that it is over. */
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	while (told && nr) {
		publish();
		told = wait_until(has_fewer_threads, &nr);
		nr = __atomic_load_n(&nr_threads, __ATOMIC_ACQUIRE);
	}
	ok(told, "threads that poll one file: each is told in the end");
	if (!told)
		exit(1);
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	close(fd);
}

int main(void)
{
	mp3 = ring_open();
	status_fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	if (status_fd < 0)
		err(1, "%s", MP3_STATUS_PATH);
	scratch = mmap(NULL, MAX_FAULTS * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (scratch == MAP_FAILED || shared == MAP_FAILED)
		err(1, "mmap");

	/* The grid stays away, but where it is asked for. */
	set_interval("10000");
	test_race();
	test_stopped();
	test_last_sample();
	test_poll();
	test_others();
	test_blocking(publish, "a publication");
	set_interval("1");
	test_blocking(register_self, "a tick");
	command('U', getpid());
	set_interval("10000");
	test_threads();

	set_interval("50");
	return done();
}
