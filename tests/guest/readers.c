// SPDX-License-Identifier: GPL-2.0
/*
 * Readers of the sample ring that use the header: which entries they keep while
 * the writer overwrites the ring under them, and what poll(2), select(2) and
 * epoll(7) report to them.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "publish.h"

#define MAX_ENTRIES	(128 * 1024)	/* in one run of this test */
#define OLDEST(head)	((head) + 2 - MP3_SAMPLES)	/* entry to be kept */
#define NR_THREADS	4

/* A reader in a child, in shared memory. Entry i has index i % MAX_ENTRIES. */
struct reader {
	uint64_t first, next, lost, nr_kept;
	struct mp3_sample kept[MAX_ENTRIES];
	bool has[MAX_ENTRIES];
	bool ready;
};

static struct shared {
	struct mp3_sample published[MAX_ENTRIES]; /* read at rest */
	bool publishing;
	struct reader readers[4];
	struct {
		unsigned int started, finished;	/* rounds */
		uint64_t head;		/* read when processes was 0 */
	} watch;
} *shared;

/*
 * Saves the entries from @from on for the comparison. Nothing is registered, so
 * that they stay as they are until the next publication.
 */
static void save_published(uint64_t from)
{
	uint64_t i, head = ring_head(&ring);

	for (i = from; i < head; i++)
		shared->published[i % MAX_ENTRIES] = sample_at(i);
}

/* Publishes a sample unlike its neighbors and the one that it overwrites. */
static void publish(void)
{
	uint64_t head = ring_head(&ring);

	publish_faults(head % MAX_FAULTS);
	save_published(head);
}

static void publish_many(unsigned int nr)
{
	while (nr--)
		publish();
}

/* Waits until @condition holds for @arg. Returns false after a minute. */
static bool wait_until(bool (*condition)(const void *), const void *arg)
{
	int i;

	for (i = 0; i < 60000; i++) {
		if (condition(arg))
			return true;
		sleep_ms(1);
	}
	diag("a condition did not become true in a minute");
	return false;
}

/* ---- Readers concurrent with the writer ---- */

/*
 * Reads the next entry as mp3_uapi.h describes: copies an entry below head, and
 * keeps the copy only if the writer cannot have overwritten it during that
 * time. Calls @mid_copy in the middle of the copy. Returns false if there is no
 * entry.
 */
static bool read_entry(struct reader *reader,
		       void (*mid_copy)(struct reader *))
{
	uint64_t i = reader->next, head = ring_head(&ring);
	volatile struct mp3_sample *slot = &ring.samples[i % MP3_SAMPLES];
	struct mp3_sample copy;

	if (i == head)
		return false;

	copy.jiffies = slot->jiffies;
	copy.min_flt = slot->min_flt;
	if (mid_copy)
		mid_copy(reader);
	copy.maj_flt = slot->maj_flt;
	copy.cpu_percent = slot->cpu_percent;

	/* Pairs with the write barrier before the module overwrites a slot. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	head = ring_head(&ring);
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

static void reader_init(struct reader *reader, uint64_t first)
{
	memset(reader, 0, sizeof(*reader));
	reader->first = first;
	reader->next = first;
}

static void set_ready(struct reader *reader)
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

/* Reads until the writer has ended and nothing is left to read. */
static void read_all(struct reader *reader, void (*mid_copy)(struct reader *))
{
	bool more;

	set_ready(reader);
	do {
		more = publishing();
		while (read_entry(reader, mid_copy))
			;
	} while (more);
}

/* Always reads the newest entry: one published before it is complete shows. */
static void read_fast(struct reader *reader)
{
	read_all(reader, NULL);
}

/* Waits until the writer is close; every third time, until it is too late. */
static void wait_for_writer(struct reader *reader)
{
	uint64_t i = reader->next;
	bool late = (i - reader->first) % 3 == 0;

	while (publishing() && ring_head(&ring) < i + MP3_SAMPLES - 2 + late)
		sched_yield();
}

/* Always copies the oldest entry: one overwritten too early shows. */
static void read_slowly(struct reader *reader)
{
	read_all(reader, wait_for_writer);
}

static pid_t fork_reader(void (*run)(struct reader *), struct reader *reader)
{
	pid_t child = fork_unshared();

	if (!child) {
		run(reader);
		_exit(0);
	}
	if (!wait_until(is_ready, reader))
		errx(1, "a reader does not start");

	return child;
}

/* Returns whether the kept entry @i equals the published one. */
static bool copy_is_right(const struct reader *reader, uint64_t i)
{
	const struct mp3_sample *got = &reader->kept[i % MAX_ENTRIES];
	const struct mp3_sample *want = &shared->published[i % MAX_ENTRIES];
	bool right = !memcmp(got, want, sizeof(*got));

	if (!right)
		diag("entry %llu: min_flt %lu, want %lu; jiffies %lu, want %lu",
		     (unsigned long long)i, got->min_flt, want->min_flt,
		     got->jiffies, want->jiffies);
	return right;
}

static void ok_reader(const struct reader *reader, const char *subject)
{
	uint64_t i, kept = 0, head = ring_head(&ring);
	bool right = true;

	for (i = reader->first; i < head && right; i++) {
		if (!reader->has[i % MAX_ENTRIES])
			continue;
		kept++;
		right = copy_is_right(reader, i);
	}
	diag("%s: %llu published, %llu kept, %llu lost", subject,
	     (unsigned long long)(head - reader->first),
	     (unsigned long long)reader->nr_kept,
	     (unsigned long long)reader->lost);
	ok(right, "%s keeps only complete entries, as published", subject);
	ok(reader->next == head && kept == reader->nr_kept &&
	   kept + reader->lost == head - reader->first,
	   "%s either keeps an entry or counts it as lost", subject);
}

/* Runs @publisher and two readers; the slow one starts at @slow_first. */
static void race(void (*publisher)(void), uint64_t slow_first,
		 const char *where)
{
	struct reader *fast = &shared->readers[0], *slow = &shared->readers[1];
	char subject[64];

	reader_init(fast, ring_head(&ring));
	reader_init(slow, slow_first);
	shared->publishing = true;
	fork_reader(read_fast, fast);
	fork_reader(read_slowly, slow);
	publisher();
	__atomic_store_n(&shared->publishing, false, __ATOMIC_RELEASE);
	while (wait(NULL) > 0)
		;

	snprintf(subject, sizeof(subject), "%s, a fast reader", where);
	ok_reader(fast, subject);
	snprintf(subject, sizeof(subject), "%s, a slow reader", where);
	ok_reader(slow, subject);
	ok(slow->lost && slow->nr_kept, "%s loses entries and goes on",
	   subject);
}

static void publish_laps(void)
{
	publish_many(3 * MP3_SAMPLES);
}

static void fault_repeatedly(struct reader *self)
{
	int i;

	set_ready(self);
	for (;;) {
		madvise(scratch, MAX_FAULTS * PAGE, MADV_DONTNEED);
		for (i = 0; i < MAX_FAULTS; i++)
			scratch[i * PAGE] = 1;
		sleep_ms(1);
	}
}

static bool has_500_more(const void *old_head)
{
	return ring_head(&ring) >= *(const uint64_t *)old_head + 500;
}

/* Lets the finest grid publish one entry per clock tick. */
static void publish_by_ticks(void)
{
	struct reader *faulter = &shared->readers[2];
	uint64_t head = ring_head(&ring);
	pid_t child;

	set_interval("1");
	reader_init(faulter, 0);
	child = fork_reader(fault_repeatedly, faulter);
	command('R', child);
	if (!wait_until(has_500_more, &head))
		errx(1, "the grid publishes nothing");
	command('U', child);
	kill(child, SIGKILL);
	save_published(head);
	set_interval("10000");
}

static void test_race(void)
{
	race(publish_laps, ring_head(&ring), "over three laps");
	/* The slow reader starts where the next tick writes. */
	race(publish_by_ticks, OLDEST(ring_head(&ring)), "on the finest grid");
}

static void stop_once(struct reader *reader)
{
	if (is_ready(reader))
		return;
	set_ready(reader);
	raise(SIGSTOP);
}

static void read_and_stop(struct reader *reader)
{
	read_entry(reader, stop_once);
}

/*
 * Stops each reader in the middle of a copy and continues it nearly a lap
 * later. By then the slot that it was copying is still safe, the next one to
 * become the gap, the gap itself, or overwritten.
 */
static void test_stopped(void)
{
	uint64_t head = ring_head(&ring), last = head + MP3_SAMPLES - 5;
	const struct {
		const char *name;
		uint64_t entry;
		bool kept;
	} cases[] = {
		{ "a reader stopped in a copy keeps an entry that is safe",
		  OLDEST(last), true },
		{ "a reader stopped in a copy drops an entry overwritten next",
		  OLDEST(last) - 1, false },
		{ "a reader stopped in a copy drops an entry in the gap",
		  OLDEST(last) - 2, false },
		{ "a reader stopped in a copy drops an overwritten entry",
		  OLDEST(head), false },
	};
	size_t i, nr = ARRAY_SIZE(cases);
	pid_t children[ARRAY_SIZE(cases)];
	struct reader *reader = shared->readers;
	int status;

	for (i = 0; i < nr; i++) {
		reader_init(&reader[i], cases[i].entry);
		children[i] = fork_reader(read_and_stop, &reader[i]);
		waitpid(children[i], &status, WUNTRACED);
	}
	publish_many(last - head);
	if (ring_head(&ring) != last)
		errx(1, "a tick of 10 s came in between");
	for (i = 0; i < nr; i++) {
		kill(children[i], SIGCONT);
		waitpid(children[i], NULL, 0);
		ok(reader[i].nr_kept == cases[i].kept &&
		   reader[i].lost == OLDEST(last) - cases[i].entry &&
		   (!cases[i].kept ||
		    copy_is_right(&reader[i], cases[i].entry)),
		   "%s", cases[i].name);
	}
}

/* ---- The last sample ---- */

#define ROUNDS 500

/* Loads head as soon as processes has dropped to 0. */
static void watch_processes(struct reader *self)
{
	volatile __u32 *processes = &ring.header->processes;
	unsigned int i;

	set_ready(self);
	for (i = 1; i <= ROUNDS; i++) {
		while (!__atomic_load_n(processes, __ATOMIC_ACQUIRE))
			sched_yield();
		__atomic_store_n(&shared->watch.started, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(processes, __ATOMIC_ACQUIRE))
			;
		shared->watch.head = ring_head(&ring);
		__atomic_store_n(&shared->watch.finished, i, __ATOMIC_RELEASE);
	}
}

static bool round_started(const void *round)
{
	return __atomic_load_n(&shared->watch.started, __ATOMIC_ACQUIRE) ==
		*(const unsigned int *)round;
}

static bool round_finished(const void *round)
{
	return __atomic_load_n(&shared->watch.finished, __ATOMIC_ACQUIRE) ==
		*(const unsigned int *)round;
}

/*
 * Once processes is 0, head is final, and a reader need not wait for another
 * sample. The module's two stores follow each other closely: try many rounds.
 */
static void test_last_sample(void)
{
	unsigned int i, late = 0;
	pid_t child;

	reader_init(shared->readers, 0);
	child = fork_reader(watch_processes, shared->readers);
	for (i = 1; i <= ROUNDS; i++) {
		command('R', getpid());
		if (!wait_until(round_started, &i))
			break;
		command('U', getpid());
		if (!wait_until(round_finished, &i))
			break;
		late += shared->watch.head != ring_head(&ring);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ok(i > ROUNDS && !late,
	   "a reader that finds nothing registered finds the final head");
}

/* ---- poll ---- */

static int open_device(int flags)
{
	int fd = open(MP3_DEVICE_PATH, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		err(1, "%s", MP3_DEVICE_PATH);
	return fd;
}

/* Returns the events that poll(2) reports without waiting. */
static int poll_events(int fd, int events)
{
	struct pollfd pollfd = { .fd = fd, .events = events };

	if (poll(&pollfd, 1, 0) < 0)
		err(1, "poll");
	return pollfd.revents;
}

static bool readable(int fd)
{
	return poll_events(fd, POLLIN);
}

static bool readable_once(int fd)
{
	bool first = readable(fd);

	return first && !readable(fd);
}

static void test_poll(void)
{
	int one = open_device(0), other, copy, status;
	char byte;

	ok(!readable(one), "poll does not report old entries after open");
	publish();
	ok_eq(poll_events(one, POLLIN | POLLRDNORM | POLLOUT | POLLPRI),
	      POLLIN | POLLRDNORM,
	      "poll reports POLLIN and POLLRDNORM after a publication");
	ok(!readable(one), "poll reports a publication only once");
	publish_many(3);
	ok(readable_once(one), "poll reports three publications as one event");

	publish();
	poll_events(one, POLLOUT);
	ok(readable(one), "a poll without POLLIN does not consume the event");

	other = open_device(O_NONBLOCK);
	publish();
	ok(readable_once(one) && readable_once(other),
	   "poll reports a publication to each open file");

	/* The state belongs to the open file, which descriptors share. */
	copy = dup(one);
	publish();
	ok(readable(copy) && !readable(one),
	   "poll treats a duplicated descriptor as the same open file");
	publish();
	if (!fork())
		_exit(readable(copy) && readable(other));
	wait(&status);
	ok(WIFEXITED(status) && WEXITSTATUS(status) && !readable(one) &&
	   !readable(other),
	   "poll treats a child's descriptor as the same open file");

	ok(read(one, &byte, 1) < 0 && errno == EINVAL,
	   "read(2) from the device is EINVAL");
	close(copy);
	copy = open(MP3_DEVICE_PATH, O_WRONLY | O_CLOEXEC);
	ok(write(copy, "", 1) < 0 && errno == EINVAL,
	   "write(2) to the device is EINVAL");
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

/* select and epoll, too, report a publication once, not until it is read. */
static void test_select_and_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int one = open_device(0), epoll = epoll_create1(EPOLL_CLOEXEC);
	int first, second;

	publish();
	first = selected(one);
	second = selected(one);
	ok(first && !second, "select reports a publication only once");

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, one, &event))
		err(1, "epoll");
	ok_eq(epoll_wait(epoll, &event, 1, 0), 0,
	      "epoll_wait reports nothing before a publication");
	publish();
	event.events = 0;
	first = epoll_wait(epoll, &event, 1, 0);
	second = epoll_wait(epoll, &event, 1, 0);
	ok(first == 1 && event.events == EPOLLIN && second == 0,
	   "epoll_wait reports a publication only once");
	publish();
	ok_eq(epoll_wait(epoll, &event, 1, 0), 1,
	      "epoll_wait reports the second publication as well");
	close(epoll);
	close(one);
}

/* These wait without a timeout. They return the number of ready files, 1. */
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

/* These children sleep nowhere but in poll(2). */
static bool is_asleep(const void *pid)
{
	struct stat_line stat;

	return stat_of(*(const pid_t *)pid, &stat) && stat.state == 'S';
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

/* Children wait without a timeout, each on a file of its own, until @wake. */
static void test_blocking(void (*wake)(void), const char *event_name)
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
	ok(slept, "poll, select and epoll sleep until %s", event_name);

	wake();
	for (i = 0; i < nr; i++) {
		woken = woken && wait_until(has_ended, &children[i]);
		kill(children[i], SIGKILL);
		waitpid(children[i], &status, 0);
		woken = woken && WIFEXITED(status) && WEXITSTATUS(status) == 1;
	}
	ok(woken, "%s wakes poll, select and epoll", event_name);
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

/* The newest head that a thread loaded after its poll returned. */
static uint64_t polled_head;
static unsigned int nr_threads;
static bool stop;

static void *keep_polling(void *fd)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		if (wait_poll(*(int *)fd) != 1)
			err(1, "poll");
		__atomic_store_n(&polled_head, ring_head(&ring),
				 __ATOMIC_RELEASE);
	}
	__atomic_sub_fetch(&nr_threads, 1, __ATOMIC_RELEASE);

	return NULL;
}

static bool is_reported(const void *head)
{
	return __atomic_load_n(&polled_head, __ATOMIC_ACQUIRE) >=
		*(const uint64_t *)head;
}

static bool has_fewer_threads(const void *nr)
{
	return __atomic_load_n(&nr_threads, __ATOMIC_ACQUIRE) <
		*(const unsigned int *)nr;
}

/*
 * Which of the threads a publication wakes is a race. If it woke none, no
 * thread would read the sample before the next one.
 */
static void test_threads(void)
{
	int i, fd = open_device(0);
	pthread_t threads[NR_THREADS];
	unsigned int nr = NR_THREADS;
	bool reported = true;
	uint64_t head;

	nr_threads = NR_THREADS;
	for (i = 0; i < NR_THREADS; i++)
		if (pthread_create(&threads[i], NULL, keep_polling, &fd))
			errx(1, "pthread_create");
	for (i = 0; i < 500 && reported; i++) {
		publish();
		head = ring_head(&ring);
		reported = wait_until(is_reported, &head);
	}
	ok(reported,
	   "each publication wakes one of several threads that poll one file");

	/* Each further publication makes at least one more thread see @stop. */
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	while (reported && nr) {
		publish();
		reported = wait_until(has_fewer_threads, &nr);
		nr = __atomic_load_n(&nr_threads, __ATOMIC_ACQUIRE);
	}
	ok(reported, "publications wake every thread that polls one file");
	if (!reported)
		exit(1);
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	close(fd);
}

int main(void)
{
	publisher_open();
	shared = shared_memory(sizeof(*shared));

	/* Keep ticks out of the tests that publish by themselves. */
	set_interval("10000");
	test_race();
	test_stopped();
	test_last_sample();
	test_poll();
	test_select_and_epoll();
	test_blocking(publish, "a publication");
	set_interval("1");
	test_blocking(register_self, "a tick");
	command('U', getpid());
	set_interval("10000");
	test_threads();

	set_interval("50");
	return done();
}
