// SPDX-License-Identifier: GPL-2.0
/*
 * Captures: a descriptor of /dev/mp3_capture owns its registrations and has a
 * ring of its own. Every holder of a process gets exactly what happened while it
 * held it, and nothing remains of a capture after its last close.
 *
 * Usage: capture [SEED]
 *
 * SEED is that of the random joins.
 *
 * vm: -m 2048
 */
#include <poll.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "capture.h"

#define MAX_CAPTURES	63
#define KTHREADD	2
#define NO_PID		4194303

static struct ring ring;
static struct capture classic;

/* With an interval of 10 s, only an extremely slow machine gets to a tick. */
static void die_if_ticked(uint64_t ticks)
{
	if (ring.header->ticks != ticks)
		errx(1, "a tick came between two commands");
}

/* ---- Open, and a fresh ring ---- */

static bool all_bytes_are(const volatile void *memory, size_t size,
			  unsigned char want)
{
	const volatile unsigned char *bytes = memory;
	size_t i;

	for (i = 0; i < size; i++) {
		if (bytes[i] == want)
			continue;
		diag("byte %zu is %#x, not %#x", i, bytes[i], want);
		return false;
	}
	return true;
}

static int open_for_user(void *arg)
{
	return capture_try_open() < 0 || arg;
}

static void test_open(void)
{
	struct stat status;
	struct capture c;
	char byte;

	if (stat(CAPTURE_PATH, &status))
		err(1, CAPTURE_PATH);
	ok(status.st_mode == (S_IFCHR | 0666) && minor(status.st_rdev) == 2,
	   "/dev/mp3_capture has mode 0666 and minor number 2");
	ok(!run_as(1000, open_for_user, NULL),
	   "a user other than root can create a capture");
	c = capture_open();
	ok(c.header->magic == MP3_MAGIC && c.header->version == 2 &&
	   c.header->entry_size == 64 && c.header->hz == ring.header->hz &&
	   c.header->base_ns == ring.header->base_ns &&
	   c.header->base_jiffies == ring.header->base_jiffies &&
	   c.header->interval_ns == ring.header->interval_ns,
	   "the header of a new capture describes its ring and the sampler");
	ok(c.header->capacity == 16384 && !c.header->head &&
	   !c.header->processes && !c.header->denied && !c.header->dropped &&
	   !c.header->counted && !c.header->located,
	   "the header of a new capture has 16384 entries, none of them used");
	ok(all_bytes_are(c.records, c.data_size, 0xff),
	   "the data of a new capture are -1 in every byte");
	ok(all_bytes_are(c.header + 1, PAGE - sizeof(*c.header), 0),
	   "the header page of a new capture is zero after the header");
	ok(read(c.fd, &byte, 1) < 0 && errno == EINVAL,
	   "read(2) of a capture is EINVAL");
	capture_close(&c);
}

/* ---- Commands ---- */

static int write_text(const struct capture *c, const char *text)
{
	int ret = write(c->fd, text, strlen(text));

	return ret < 0 ? -errno : ret;
}

/* Write to a capture and to the status file. Both must return @want. */
static bool both_return(const struct capture *c, const char *text, int want)
{
	int got = write_text(c, text);
	int status = status_write(text, strlen(text));

	if (got == want && status == want)
		return true;
	diag("\"%.20s\": capture %d, status file %d, want %d", text, got,
	     status, want);
	return false;
}

static int command_is_eperm(void *arg)
{
	int fd = capture_try_open(), pid = *(int *)arg;

	return command_by_fd(fd, 'R', pid) != -EPERM ||
	       command_by_fd(fd, 'F', pid) != -EPERM ||
	       command_by_fd(fd, 'U', pid) != -EPERM;
}

static void test_commands(void)
{
	static const char * const malformed[] = {
		"R", "R,", "R,x", "R,0", "R,-1", "X,1", "r,1", "R,1x", "R,,1",
		"R 99999999999", "\n", "\n\n",
	};
	struct worker worker = worker_start(), other = worker_start();
	pid_t pid = worker.pid, zombie;
	struct capture c = capture_open();
	char text[200], page[8192];
	bool good = true;
	siginfo_t info;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(malformed); i++)
		good &= both_return(&c, malformed[i], -EINVAL);
	snprintf(text, sizeof(text), "R,%d", KTHREADD);
	good &= both_return(&c, text, -EINVAL);
	memset(page, '\n', sizeof(page));
	good &= write(c.fd, page, PAGE + 1) < 0 && errno == EINVAL;
	memset(text, '0', 100);
	snprintf(text + 100, 100, "\n");
	text[0] = 'R';
	text[1] = ',';
	good &= both_return(&c, text, -EINVAL);
	ok(good, "malformed commands and kernel threads are EINVAL for a capture");

	zombie = sleeper();
	kill(zombie, SIGKILL);
	waitid(P_PID, zombie, &info, WEXITED | WNOWAIT);
	good = capture_command(&c, 'R', NO_PID) == -ESRCH &&
	       capture_command(&c, 'F', NO_PID) == -ESRCH &&
	       capture_command(&c, 'R', zombie) == -ESRCH &&
	       capture_command(&c, 'F', zombie) == -ESRCH &&
	       capture_command(&c, 'U', pid) == -ESRCH;
	waitpid(zombie, NULL, 0);
	ok(good, "no process, an exited one, and U of an unregistered one are ESRCH for a capture");
	ok(!run_as(1001, command_is_eperm, &pid),
	   "R, F and U of another user's process are EPERM for a user's capture");
	ok(syscall(SYS_write, c.fd, 8, 5) < 0 && errno == EFAULT,
	   "a write to a capture from an invalid address is EFAULT");

	good = !capture_command(&c, 'R', pid) &&
	       capture_command(&c, 'R', pid) == -EEXIST &&
	       !capture_command(&c, 'F', pid) &&
	       capture_command(&c, 'F', pid) == -EEXIST &&
	       capture_command(&c, 'R', pid) == -EEXIST &&
	       !capture_command(&c, 'U', pid) &&
	       capture_command(&c, 'U', pid) == -ESRCH;
	ok(good, "a second R or F in a capture is EEXIST, but F after R follows");

	snprintf(text, sizeof(text), "R,%d\nR %d\nR,%d\nU,%d\n", pid,
		 other.pid, pid, pid);
	good = write_text(&c, text) ==
	       snprintf(page, sizeof(page), "R,%d\nR %d\n", pid, other.pid) &&
	       capture_processes(&c) == 2;
	snprintf(text, sizeof(text), "\nU\t%d\n\nU,%d", pid, other.pid);
	good &= write_text(&c, text) == (int)strlen(text) &&
		!capture_processes(&c);
	ok(good, "a write to a capture returns the bytes of the lines before one that fails");
	capture_close(&c);

	c = capture_open();
	snprintf(text, sizeof(text), "R,%d%cF,%d", pid, 0, other.pid);
	good = write(c.fd, text, strlen(text) + 1) ==
	       (ssize_t)strlen(text) + 1 && capture_processes(&c) == 1;
	ok(good, "a NUL ends a command to a capture");
	capture_close(&c);
	worker_end(&worker);
	worker_end(&other);
}

/* ---- Holders ---- */

/*
 * Two captures and the classic registry hold one process, each for a time of
 * its own. There are no ticks: joins and leaves alone collect.
 */
static void test_holders(void)
{
	struct worker w = worker_start();
	struct capture a = capture_open(), b = capture_open();
	uint64_t from = capture_head(&classic), sample = ring_head(&ring);
	struct usage u[6], total;
	struct history h;
	struct totals sum;
	uint64_t ticks;
	bool good;

	set_interval("10000");
	ticks = ring.header->ticks;
	u[0] = command_usage(a.fd, 'R', w.pid);
	worker_request(&w, 'm', 11);
	u[1] = command_usage(-1, 'R', w.pid);
	worker_request(&w, 'm', 102);
	u[2] = command_usage(b.fd, 'F', w.pid);
	worker_request(&w, 'm', 1003);
	u[3] = command_usage(a.fd, 'U', w.pid);
	worker_request(&w, 'm', 205);
	u[4] = command_usage(-1, 'U', w.pid);
	worker_request(&w, 'm', 307);
	u[5] = command_usage(b.fd, 'U', w.pid);
	worker_request(&w, 'm', 409);
	die_if_ticked(ticks);

	h = history_of(&a, w.pid);
	good = history_matches(&h, 1, usage_between(u[0], u[3]), "A");
	h = history_of(&b, w.pid);
	good &= history_matches(&h, 1, usage_between(u[2], u[5]), "B");
	h = history_from(&classic, from, w.pid);
	good &= history_matches(&h, 1, usage_between(u[1], u[4]), "classic");
	ok(good, "each holder's records are exact from its registration to its U");
	sum = ring_sum(&ring, sample);
	total = usage_between(u[1], u[4]);
	ok(sum.samples == 1 && sum.min_flt == (unsigned long)total.min_flt,
	   "the classic sample has what happened while the classic registry held the process");

	/* The same with an exit, which ticks have to collect. */
	set_interval("20");
	from = capture_head(&classic);
	u[0] = command_usage(b.fd, 'R', w.pid);
	worker_request(&w, 'm', 11);
	capture_close(&a);
	a = capture_open();
	u[1] = command_usage(a.fd, 'R', w.pid);
	worker_request(&w, 't', 50);
	u[2] = command_usage(-1, 'R', w.pid);
	worker_request(&w, 'm', 70);
	total = worker_end(&w);
	good = sampler_stops(&ring);
	h = history_of(&a, w.pid);
	good &= history_matches(&h, 1, usage_between(u[1], total), "A");
	h = history_from(&classic, from, w.pid);
	good &= history_matches(&h, 1, usage_between(u[2], total), "classic");
	h = history_of(&b, w.pid);
	good &= h.first == 2 && h.last == 2 && h.ordered && !h.empty;
	ok(good, "each holder's records of a process that exits are exact, and end with MP3_LAST");
	capture_close(&a);
	capture_close(&b);
}

/* A record that has nothing to report, of which another holder needs one. */
static void test_empty_records(void)
{
	struct worker w = worker_start();
	struct capture a = capture_open(), b = capture_open();
	uint64_t from = capture_head(&classic);
	struct history h[2];
	int i;

	set_interval("20");
	command_usage(a.fd, 'R', w.pid);
	command_or_die('R', w.pid);
	wait_ticks(&a);
	for (i = 0; i < 3; i++) {
		command_usage(b.fd, 'R', w.pid);
		wait_ticks(&a);
		command_usage(b.fd, 'U', w.pid);
	}
	h[0] = history_of(&a, w.pid);
	h[1] = history_from(&classic, from, w.pid);
	if (!ok(!h[0].empty && !h[1].empty,
		"a holder gets no record without a count or a flag when another joins or leaves"))
		diag("%u and %u empty records", h[0].empty, h[1].empty);
	worker_end(&w);
	sampler_stops(&ring);
	capture_close(&a);
	capture_close(&b);
}

/* ---- Random joins ---- */

#define NR_SLOTS	4	/* the last is the classic registry */
#define NR_TOGGLES	400

/* What a process has used while a holder held it; shared. */
static volatile struct slot {
	struct usage expected;
	unsigned int times;
	bool held;
} *slots;

/* Join and leave holders at random, and exit while some hold this process. */
static void __attribute__((noreturn))
toggle_randomly(const struct capture *captures, unsigned int seed)
{
	struct usage at, sum;
	int i, nr;

	for (i = 0; i < NR_TOGGLES; i++) {
		volatile struct slot *slot;

		nr = rand_r(&seed) % NR_SLOTS;
		slot = &slots[nr];
		touch(rand_r(&seed) % 8);
		if (rand_r(&seed) % 4 == 0)
			usleep(rand_r(&seed) % 6000);
		at = nr == NR_SLOTS - 1 ?
		     command_own_usage(slot->held ? 'U' : 'R') :
		     command_own_usage_by_fd(captures[nr].fd,
					     slot->held ? 'U' : 'R');
		sum = slot->expected;
		usage_add(&sum, at, slot->held ? 1 : -1);
		slot->expected = sum;
		slot->times += !slot->held;
		slot->held = !slot->held;
	}
	_exit(0);
}

static void test_random_joins(unsigned int seed)
{
	struct capture captures[NR_SLOTS - 1];
	uint64_t from = capture_head(&classic), sample = ring_head(&ring);
	struct usage total, want;
	struct totals sum;
	struct history h;
	bool good = true;
	pid_t pid;
	int i;

	slots = shared_memory(PAGE);
	set_interval("5");
	for (i = 0; i < NR_SLOTS - 1; i++)
		captures[i] = capture_open();
	diag("seed %u", seed);
	fflush(stdout);
	pid = fork_child();
	if (!pid)
		toggle_randomly(captures, seed);
	total = wait_usage(pid);
	good &= sampler_stops(&ring);
	for (i = 0; i < NR_SLOTS; i++) {
		want = slots[i].expected;
		if (slots[i].held)
			usage_add(&want, total, 1);
		if (i < NR_SLOTS - 1) {
			h = history_of(&captures[i], pid);
			good &= history_matches(&h, slots[i].times, want,
						"capture");
			capture_close(&captures[i]);
			continue;
		}
		/* R soon after U shares a record with what precedes U. */
		h = history_from(&classic, from, pid);
		sum = ring_sum(&ring, sample);
		if (h.counts.min_flt != want.min_flt ||
		    sum.min_flt != (unsigned long)want.min_flt || !h.ended) {
			diag("classic: records %ld, samples %lu, want %ld",
			     h.counts.min_flt, sum.min_flt, want.min_flt);
			good = false;
		}
	}
	ok(good, "holders that join and leave at random get exactly what happened in between");
	munmap((void *)slots, PAGE);
}

/* ---- Exits and threads ---- */

static void test_exits(void)
{
	struct capture c = capture_open();
	struct worker w = worker_start();
	struct stat_line before, after;
	struct usage total, base;
	struct history h;
	bool good = true;
	pid_t pid;
	int i;

	/* Long enough for many exits between two ticks. */
	set_interval("200");
	base = command_usage(c.fd, 'F', w.pid);
	for (i = 0; i < 20; i++) {
		wait_state(w.pid, 'S');
		stat_of(w.pid, &before);
		pid = worker_request(&w, 'f', 10 + i);
		stat_of(w.pid, &after);
		wait_ticks(&c);
		if (i > 3)
			set_interval("10");
		h = history_of(&c, pid);
		total = (struct usage){
			.min_flt = after.flt[1] - before.flt[1],
			.maj_flt = after.flt[3] - before.flt[3],
		};
		good &= history_matches(&h, 1, total, "child");
		good &= !h.latest.rss_bytes;
	}
	ok(good, "a child that exits and is reaped between two ticks is exact in a capture");

	worker_request(&w, 't', 100);
	wait_state(w.pid, 'S');
	stat_of(w.pid, &before);
	worker_request(&w, 'x', 0);
	total = wait_usage(w.pid);
	/* wait4 includes the children that the worker has waited for. */
	total.min_flt -= before.flt[1];
	total.maj_flt -= before.flt[3];
	good = capture_has(&c, 0);
	h = history_of(&c, w.pid);
	good &= history_matches(&h, 1, usage_between(base, total), "worker");
	ok(good, "a process with threads is exact in a capture");
	close(w.socket);
	capture_close(&c);
}

/* The id of any thread names the process. */
static void *pause_thread(void *fd)
{
	pid_t tid = gettid();

	if (write(*(int *)fd, &tid, sizeof(tid)) < 0)
		_exit(1);
	for (;;)
		pause();
}

static void test_thread_id(void)
{
	struct capture c = capture_open();
	int fds[2], i;
	pthread_t thread;
	pid_t pid, tid = 0;
	struct history h;

	set_interval("10");
	if (pipe(fds))
		err(1, "pipe");
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_create(&thread, NULL, pause_thread, &fds[1]);
		for (i = 0;; i++)
			sleep_ms(10);
	}
	if (read(fds[0], &tid, sizeof(tid)) != sizeof(tid))
		err(1, "read");
	capture_command_or_die(&c, 'R', tid);
	ok(capture_command(&c, 'R', pid) == -EEXIST && tid != pid,
	   "the id of a thread registers its process in a capture");
	wait_ticks(&c);
	h = history_of(&c, pid);
	ok(h.first == 1 && h.identity.ppid == (uint32_t)getpid(),
	   "the records of a process that a thread's id registered have its pid");
	kill_and_reap(pid);
	close(fds[0]);
	close(fds[1]);
	capture_close(&c);
}

/* ---- Many captures of one tree ---- */

#define NR_LONG		6	/* processes that live to the end */
#define NR_SHORT	64

/**
 * struct member - a process of the tree
 * @pid:   its pid
 * @birth: the first capture that is opened after its fork
 * @base:  what it had used when each capture followed it
 * @total: what it used in all
 */
struct member {
	pid_t pid;
	int birth;
	struct usage base[MAX_CAPTURES];
	struct usage total;
};

static struct member members[NR_LONG + NR_SHORT];

/* Have a worker fork a child that exits, and add that to the members. */
static void add_short_lived(const struct worker *w, struct member *member,
			    int birth, int pages)
{
	struct stat_line before, after;

	wait_state(w->pid, 'S');
	stat_of(w->pid, &before);
	member->pid = worker_request(w, 'f', pages);
	stat_of(w->pid, &after);
	member->birth = birth;
	member->total.min_flt = after.flt[1] - before.flt[1];
	member->total.maj_flt = after.flt[3] - before.flt[3];
}

/* Compare all members with one capture, number @nr. Prints the first five. */
static bool capture_matches(const struct capture *c, int nr, int nr_members,
			    unsigned int *nr_wrong)
{
	uint64_t entries = 0;
	bool good = true;
	char what[40];
	int i;

	for (i = 0; i < nr_members; i++) {
		const struct member *member = &members[i];
		struct usage want = member->total;
		struct history h = history_of(c, member->pid);

		entries += h.records + h.identities;
		if (i >= NR_LONG && member->birth <= nr) {
			good &= !h.records && !h.identities;
			continue;
		}
		snprintf(what, sizeof(what), "capture %d, process %d", nr, i);
		usage_add(&want, member->base[nr], -1);
		if (*nr_wrong < 5 && !history_matches(&h, 1, want, what)) {
			++*nr_wrong;
			good = false;
		}
	}
	if (entries != capture_head(c)) {
		diag("capture %d has %lu entries of other processes", nr,
		     (unsigned long)(capture_head(c) - entries));
		good = false;
	}
	return good;
}

static void test_many_captures(void)
{
	static struct capture captures[MAX_CAPTURES];
	struct worker workers[NR_LONG];
	int sockets[NR_LONG][2], i, j, nr_long = 1, nr = NR_LONG;
	unsigned int nr_wrong = 0;
	bool good = true;

	set_interval("20");
	for (i = 1; i < NR_LONG; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
			       sockets[i]))
			err(1, "socketpair");
		workers[i].socket = sockets[i][0];
	}
	workers[0] = worker_start();
	members[0].pid = workers[0].pid;
	for (i = 0; i < MAX_CAPTURES; i++) {
		int who = i % nr_long;

		for (j = 0; j < nr_long; j++)
			wait_state(workers[j].pid, 'S');
		captures[i] = capture_open();
		members[0].base[i] = command_usage(captures[i].fd, 'F',
						   workers[0].pid);
		for (j = 1; j < nr_long; j++)
			members[j].base[i] = usage_of_pid(workers[j].pid);
		if (nr_long < NR_LONG && i % 8 == 5) {
			/* A child of the newest, which forks further ones. */
			workers[nr_long].pid =
				worker_request(&workers[nr_long - 1], 'w',
					       sockets[nr_long][1]);
			members[nr_long].pid = workers[nr_long].pid;
			nr_long++;
		} else if (i % 2) {
			worker_request(&workers[who], 'm', i);
		} else {
			add_short_lived(&workers[who], &members[nr++], i + 1,
					i);
		}
	}
	/* Children first: a zombie's counts are final. */
	for (j = nr_long - 1; j >= 0; j--) {
		worker_request(&workers[j], 'x', 0);
		wait_state(workers[j].pid, 'Z');
		members[j].total = usage_of_pid(workers[j].pid);
	}
	waitpid(workers[0].pid, NULL, 0);
	for (i = 0; i < MAX_CAPTURES; i++)
		good &= capture_has(&captures[i], 0);
	for (i = 0; i < MAX_CAPTURES; i++) {
		good &= capture_matches(&captures[i], i, nr, &nr_wrong);
		capture_close(&captures[i]);
	}
	ok(good, "a followed tree is exact in each of 63 captures opened at different times");
	for (j = 0; j < nr_long; j++)
		close(workers[j].socket);
	for (i = 1; i < NR_LONG; i++)
		close(sockets[i][1]);
}

/* ---- Identity ---- */

static bool is_padded(const struct mp3_record *r)
{
	size_t i, length = strnlen(r->comm, sizeof(r->comm));

	for (i = length; i < sizeof(r->comm); i++)
		if (r->comm[i])
			return false;
	return length < sizeof(r->comm);
}

static void test_identity(void)
{
	static const char cgroup[] = CGROUPS "/mp3-identity";
	struct capture c = capture_open();
	uint64_t before, after, from = capture_head(&classic);
	struct worker w;
	struct history h, classic_history;
	struct mp3_record id;
	struct stat status;
	bool padded = true;
	char pid[20];
	uint64_t i;

	set_interval("10");
	before = now_ns();
	w = worker_start();
	after = now_ns();
	if (mkdir(cgroup, 0755) || stat(cgroup, &status))
		err(1, "%s", cgroup);
	snprintf(pid, sizeof(pid), "%d", w.pid);
	write_file(CGROUPS "/mp3-identity/cgroup.procs", pid);
	worker_request(&w, 'n', 0);
	command_or_die('R', w.pid);
	capture_command_or_die(&c, 'R', w.pid);
	wait_ticks(&c);
	worker_request(&w, 'm', 10);
	wait_ticks(&c);
	h = history_of(&c, w.pid);
	id = h.identity;
	ok(h.identities == 1 && id.flags == MP3_IDENTITY,
	   "one identity record precedes the records of a process in a capture");
	ok_eq(id.ppid, getpid(), "an identity record has the parent's pid");
	ok_eq(id.uid, 0, "an identity record of root's process has uid 0");
	ok(id.start_ns > before && id.start_ns < after,
	   "start_ns of an identity record is the time of the fork on CLOCK_MONOTONIC");
	ok_eq(id.cgroup_id, status.st_ino,
	      "cgroup_id of an identity record is the inode of the cgroup's directory");
	ok(!id.reserved && !strcmp(id.comm, "ab"),
	   "an identity record has the name of the process, and 0 in its reserved field");
	/* The kernel itself pads them, but not before Linux 5.17. */
	for (i = 0; i < capture_head(&c); i++) {
		struct mp3_record record = capture_at(&c, i);

		padded &= is_padded(&record);
	}
	ok(padded, "names in a capture are zero after their NUL, even after a longer name");
	classic_history = history_from(&classic, from, w.pid);
	ok(classic_history.ordered && classic_history.identities == 1 &&
	   classic_history.identity.ppid == id.ppid &&
	   classic_history.identity.start_ns == id.start_ns &&
	   classic_history.identity.cgroup_id == id.cgroup_id,
	   "an identity record precedes the first record in /dev/mp3_procs");
	worker_end(&w);
	sampler_stops(&ring);
	/* The cgroup is empty once the process has been reaped. */
	rmdir(cgroup);
	capture_close(&c);
}

static int register_self_as_user(void *arg)
{
	int fd = *(int *)arg;

	if (setresuid(1000, 1001, 1001))
		return 1;
	return -command_by_fd(fd, 'R', getpid());
}

static void test_identity_uid(void)
{
	struct capture c = capture_open();
	struct history h;
	int status;
	pid_t pid;

	set_interval("10");
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		status = register_self_as_user(&c.fd);
		sleep_ms(200);
		_exit(status);
	}
	waitpid(pid, &status, 0);
	capture_has(&c, 0);
	h = history_of(&c, pid);
	ok(!status && h.identities == 1 && h.identity.uid == 1000,
	   "uid of an identity record is the real one");
	capture_close(&c);
}

/* ---- poll ---- */

static bool readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	if (poll(&pollfd, 1, 0) < 0)
		err(1, "poll");
	return pollfd.revents & POLLIN;
}

/* Poll a capture of this user in each of some ticks, which all have a record. */
static int poll_ticks(void *unused)
{
	struct capture c = capture_open();
	struct pollfd pollfd = { .fd = c.fd, .events = POLLIN };
	bool woken = true;
	pid_t pid = fork_child();
	int i;

	(void)unused;
	while (!pid) {
		touch(1);
		sleep_ms(5);
	}
	capture_command_or_die(&c, 'R', pid);
	for (i = 0; i < 10; i++)
		woken = woken && poll(&pollfd, 1, 60000) == 1;
	kill_and_reap(pid);

	return !woken;
}

static void test_poll(void)
{
	struct capture a = capture_open(), b = capture_open();
	struct pollfd pollfd = { .fd = a.fd, .events = POLLIN };
	struct worker w = worker_start();
	int status;
	pid_t pid;
	bool first;

	set_interval("10000");
	first = readable(a.fd);
	capture_command_or_die(&a, 'R', w.pid);
	capture_command_or_die(&a, 'U', w.pid);
	ok(!first && readable(a.fd) && !readable(a.fd),
	   "poll reports a capture's new records once");
	ok(!readable(b.fd), "poll of a capture does not report another capture's records");
	set_interval("20");
	capture_command_or_die(&a, 'R', w.pid);
	capture_command_or_die(&b, 'R', w.pid);
	wait_ticks(&a);
	readable(a.fd);
	fflush(stdout);
	pid = fork_child();
	if (!pid)
		_exit(poll(&pollfd, 1, -1) != 1);
	wait_state(pid, 'S');
	worker_request(&w, 'm', 10);
	/* This hangs if the record does not wake the child. */
	waitpid(pid, &status, 0);
	ok_eq(status, 0, "a new record wakes a process that polls a capture");
	ok_eq(run_as(1000, poll_ticks, NULL), 0,
	      "new records wake a process of an ordinary user that polls its capture");
	worker_end(&w);
	sampler_stops(&ring);
	capture_close(&a);
	capture_close(&b);
}

/* ---- mmap ---- */

static int try_mmap(int fd, size_t size, int prot, int flags, off_t offset)
{
	void *got = mmap(NULL, size, prot, flags, fd, offset);

	if (got == MAP_FAILED)
		return -errno;
	munmap(got, size);
	return 0;
}

static void test_mmap(void)
{
	const size_t data = 16384 * 64, header = MP3_OFF_HEADER;
	const int ro = PROT_READ, rw = PROT_READ | PROT_WRITE;
	const int rx = PROT_READ | PROT_EXEC;
	const struct {
		const char *name;
		size_t size, offset;
		int prot, flags, want;
	} cases[] = {
		{ "mmap accepts all pages of a capture", data, 0, ro,
		  MAP_SHARED, 0 },
		{ "mmap accepts the last page of a capture", PAGE, data - PAGE,
		  ro, MAP_SHARED, 0 },
		{ "mmap accepts the header page of a capture", PAGE, header, ro,
		  MAP_SHARED, 0 },
		{ "mmap of a capture's pages and one more is EINVAL",
		  data + PAGE, 0, ro, MAP_SHARED, -EINVAL },
		{ "mmap of two pages from a capture's last page is EINVAL",
		  2 * PAGE, data - PAGE, ro, MAP_SHARED, -EINVAL },
		{ "mmap of the page after a capture's data is EINVAL", PAGE,
		  data, ro, MAP_SHARED, -EINVAL },
		{ "mmap of two pages at a capture's header is EINVAL", 2 * PAGE,
		  header, ro, MAP_SHARED, -EINVAL },
		{ "mmap of the page before a capture's header is EINVAL", PAGE,
		  header - PAGE, ro, MAP_SHARED, -EINVAL },
		{ "mmap of the page after a capture's header is EINVAL", PAGE,
		  header + PAGE, ro, MAP_SHARED, -EINVAL },
		{ "mmap 4 GiB past a capture's header is EINVAL", PAGE,
		  header + (1UL << 32), ro, MAP_SHARED, -EINVAL },
		{ "mmap of a capture's data with PROT_WRITE is EPERM", PAGE, 0,
		  rw, MAP_SHARED, -EPERM },
		{ "private mmap of a capture's data with PROT_WRITE is EPERM",
		  PAGE, 0, rw, MAP_PRIVATE, -EPERM },
		{ "mmap of a capture's data with PROT_EXEC is EPERM", PAGE, 0,
		  rx, MAP_SHARED, -EPERM },
		{ "mmap of a capture's header with PROT_WRITE is EPERM", PAGE,
		  header, rw, MAP_SHARED, -EPERM },
		{ "mmap of a capture's header with PROT_EXEC is EPERM", PAGE,
		  header, rx, MAP_SHARED, -EPERM },
	};
	struct capture c = capture_open();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		ok_eq(try_mmap(c.fd, cases[i].size, cases[i].prot,
			       cases[i].flags, cases[i].offset),
		      cases[i].want, cases[i].name);
	ok(mprotect((void *)c.records, PAGE, rw) && errno == EACCES &&
	   mprotect((void *)c.header, PAGE, rw) && errno == EACCES,
	   "mprotect of a capture to PROT_WRITE is EACCES");
	ok(mprotect((void *)c.records, PAGE, rx) && errno == EACCES &&
	   mprotect((void *)c.header, PAGE, rx) && errno == EACCES,
	   "mprotect of a capture to PROT_EXEC is EACCES");
	ok(mremap((void *)c.header, PAGE, 2 * PAGE, MREMAP_MAYMOVE) ==
	   MAP_FAILED && errno == EFAULT,
	   "mremap cannot enlarge a mapping of a capture");
	capture_close(&c);
}

/* ---- The classic registry ---- */

static void test_classic(void)
{
	struct worker w = worker_start(), other = worker_start();
	struct capture c = capture_open();
	uint64_t from = capture_head(&classic), sample = ring_head(&ring);
	char *list;
	struct usage base, total;
	struct totals sum;
	struct history h;
	uint64_t ticks;
	int i;

	set_interval("10");
	base = command_usage(c.fd, 'F', w.pid);
	worker_request(&w, 'm', 100);
	worker_request(&w, 'f', 10);
	list = status_text();
	ok(!*list, "the status file does not list the processes of a capture");
	free(list);
	/* Only a tick notices that the children have exited. */
	for (i = 0; i < 6000 && capture_processes(&c) != 1; i++)
		sleep_ms(10);
	ok(!ring.header->processes && !classic.header->processes &&
	   capture_processes(&c) == 1,
	   "the headers of the classic rings do not count the processes of a capture");
	ok(command('U', w.pid) == -ESRCH,
	   "U in the status file of a process that only a capture has is ESRCH");
	ticks = ring.header->ticks;
	wait_ticks(&c);
	ok(ring_head(&ring) == sample && capture_head(&classic) == from &&
	   ring.header->ticks > ticks,
	   "ticks make no classic sample or record while only captures have processes");
	ok(capture_command(&c, 'U', w.pid) == 0 &&
	   capture_command(&c, 'F', w.pid) == 0,
	   "U and F in a capture make no classic sample");

	/* Only the second process is in the classic registry. */
	base = command_usage(-1, 'R', other.pid);
	for (i = 0; i < 10; i++) {
		worker_request(&w, 'm', 50);
		worker_request(&other, 'm', 7);
		wait_ticks(&c);
	}
	ok(ring.header->processes == 1 && listed(other.pid) == 1 &&
	   listed(w.pid) == 0,
	   "the classic registry has its own processes alone next to a capture");
	total = worker_end(&other);
	worker_request(&w, 'm', 50);
	wait_ticks(&c);
	sum = ring_sum(&ring, sample);
	total = usage_between(base, total);
	h = history_from(&classic, from, other.pid);
	ok(history_matches(&h, 1, total, "classic") &&
	   sum.min_flt == (unsigned long)total.min_flt &&
	   h.records + h.identities == capture_head(&classic) - from,
	   "classic samples and records are those of the classic registry while a capture is at work");
	worker_end(&w);
	sampler_stops(&ring);
	capture_close(&c);
}

/*
 * U of the last process of the classic registry makes the records of all that
 * were unregistered since the tick, even if a capture has taken one of them.
 */
static void test_classic_last(void)
{
	struct worker w[3] = { worker_start(), worker_start(), worker_start() };
	struct capture c = capture_open();
	uint64_t from = capture_head(&classic), sample = ring_head(&ring);
	struct usage want = { 0 }, base[3];
	struct totals sum;
	struct history h;
	uint64_t ticks;
	bool good = true;
	int i;

	set_interval("10000");
	ticks = ring.header->ticks;
	for (i = 0; i < 3; i++) {
		base[i] = command_usage(-1, 'R', w[i].pid);
		worker_request(&w[i], 'm', 100 << i);
	}
	for (i = 0; i < 3; i++) {
		struct usage used = command_usage(-1, 'U', w[i].pid);

		usage_add(&want, usage_between(base[i], used), 1);
		if (i == 1)
			command_usage(c.fd, 'R', w[i].pid);
	}
	die_if_ticked(ticks);
	for (i = 0; i < 3; i++) {
		h = history_from(&classic, from, w[i].pid);
		good &= h.ordered && h.first == 1 && h.last == 1;
	}
	sum = ring_sum(&ring, sample);
	if (!ok(good && sum.min_flt == (unsigned long)want.min_flt,
		"the last classic sample is complete after a capture has joined"))
		diag("samples have %lu of %ld faults", sum.min_flt,
		     want.min_flt);
	for (i = 0; i < 3; i++)
		worker_end(&w[i]);
	set_interval("10");
	capture_close(&c);
}

/*
 * A user cannot fill the classic ring by commands: what U collects waits for
 * the next tick, also if a capture has the process.
 */
static void test_classic_flood(void)
{
	struct worker w = worker_start(), other = worker_start();
	struct capture c = capture_open();
	uint64_t from;
	int i;

	set_interval("10000");
	command_or_die('R', other.pid);
	capture_command_or_die(&c, 'R', w.pid);
	from = capture_head(&classic);
	for (i = 0; i < 100; i++) {
		command_or_die('R', w.pid);
		command_or_die('U', w.pid);
	}
	if (!ok(capture_head(&classic) - from <= 4,
		"R and U in a loop do not fill the classic ring if a capture has the process"))
		diag("%lu records",
		     (unsigned long)(capture_head(&classic) - from));
	worker_end(&w);
	worker_end(&other);
	set_interval("10");
	sampler_stops(&ring);
	capture_close(&c);
}

/* ---- F and U ---- */

static void test_unregister(void)
{
	int sockets[2][2];
	struct worker a, d = worker_start(), child;
	struct capture c = capture_open(), e;
	pid_t grandchild, forked;
	bool good;
	int i;

	set_interval("10");
	for (i = 0; i < 2; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
			       sockets[i]))
			err(1, "socketpair");
	a = worker_start();
	child.socket = sockets[0][0];
	child.pid = worker_request(&a, 'w', sockets[0][1]);
	capture_command_or_die(&c, 'F', a.pid);
	good = capture_processes(&c) == 2;
	ok(good, "F in a capture registers present descendants");
	capture_command_or_die(&c, 'U', child.pid);
	capture_command_or_die(&c, 'F', d.pid);
	ok(capture_command(&c, 'U', child.pid) == -ESRCH &&
	   capture_processes(&c) == 2,
	   "F of another tree does not bring back what U removed");
	grandchild = worker_request(&child, 'w', sockets[1][1]);
	ok(capture_command(&c, 'U', grandchild) == -ESRCH,
	   "a process that U removed is no longer followed");
	capture_close(&c);

	/* Followers are inherited one by one. */
	c = capture_open();
	e = capture_open();
	capture_command_or_die(&c, 'F', a.pid);
	capture_command_or_die(&e, 'R', a.pid);
	forked = worker_request(&a, 'f', 5);
	wait_ticks(&c);
	good = history_of(&c, forked).first == 1 && !history_of(&e, forked).first;
	ok(good, "a child is registered in the captures that follow its parent, and in no other");
	capture_close(&c);
	capture_close(&e);
	kill(grandchild, SIGKILL);
	kill(child.pid, SIGKILL);
	worker_end(&a);
	worker_end(&d);
	for (i = 0; i < 2; i++) {
		close(sockets[i][0]);
		close(sockets[i][1]);
	}
}

/* ---- Lifetime ---- */

static void __attribute__((noreturn)) program_main(void)
{
	for (;;)
		pause();
}

static void test_lifetime(void)
{
	struct worker w = worker_start();
	struct capture c = capture_open();
	uint64_t ticks;
	bool good;
	pid_t pid;

	set_interval("10");
	capture_command_or_die(&c, 'F', w.pid);
	close(c.fd);
	munmap((void *)c.header, PAGE);
	ticks = ring.header->ticks;
	wait_ticks(&(struct capture){ .header = ring.header });
	worker_request(&w, 'm', 5);
	ok(ring.header->ticks > ticks + 1 && c.records[0].pid == (uint32_t)w.pid,
	   "a closed capture lives as long as a mapping of it");
	munmap((void *)c.records, c.data_size);
	ok(sampler_stops(&ring), "the last munmap of a closed capture ends it");

	c = capture_open();
	capture_command_or_die(&c, 'R', w.pid);
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		capture_unmap(&c);
		program_main();
	}
	capture_close(&c);
	ticks = ring.header->ticks;
	wait_ticks(&(struct capture){ .header = ring.header });
	good = ring.header->ticks > ticks;
	kill_and_reap(pid);
	ok(good && sampler_stops(&ring),
	   "a capture lives until the last copy of its descriptor is closed");

	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		c = capture_open();
		capture_command_or_die(&c, 'F', w.pid);
		execl("/proc/self/exe", "capture", "pause", NULL);
		_exit(1);
	}
	sleep_ms(100);
	good = sampler_stops(&ring);
	ok(good && kill_and_reap(pid),
	   "exec ends a capture that was opened with O_CLOEXEC");

	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		c = capture_open();
		capture_command_or_die(&c, 'F', w.pid);
		program_main();
	}
	wait_state(pid, 'S');
	wait_ticks(&(struct capture){ .header = ring.header });
	good = kill_and_reap(pid);
	ok(good && sampler_stops(&ring), "SIGKILL of its process ends a capture");
	worker_end(&w);
}

static void fork_once(void *worker)
{
	worker_request(worker, 'f', 1);
}

static void test_probe(void)
{
	static const char name[] =
		"the fork probe is attached while a capture follows, and detached after its close";
	struct worker w = worker_start();
	struct capture c = capture_open();
	bool called;

	capture_command_or_die(&c, 'F', w.pid);
	if (probe_count_calls(w.pid, name)) {
		called = probe_is_called(fork_once, &w);
		capture_close(&c);
		ok(called && probe_is_detached(fork_once, &w), "%s", name);
		fail_unload();
	}
	worker_end(&w);
}

/* ---- Memory ---- */

static long read_number(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[200];
	long number = -1;

	if (!file)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), file) && number < 0)
		if (!strncmp(line, key, strlen(key)))
			number = strtol(line + strlen(key), NULL, 10);
	fclose(file);

	return number;
}

static long cgroup_memory(void)
{
	return read_number(CGROUP "/memory.current", "");
}

/*
 * Runs in the memory cgroup: a ring has 1 MiB. The kernel charges 64 pages in advance
 * on each CPU, so with large pages, more captures are needed to see it.
 */
static int use_memory(void *arg)
{
	struct worker *w = arg;
	long page = sysconf(_SC_PAGESIZE);
	long advance = 64 * (page - 4096), mib = 1 << 20;
	long before, during, after, rest;
	int i, nr = page / 4096;
	struct capture c, many[16];

	enter_cgroup();
	c = capture_open();
	capture_close(&c);
	before = cgroup_memory();
	for (i = 0; i < nr; i++)
		many[i] = capture_open();
	during = cgroup_memory();
	for (i = 0; i < nr; i++)
		capture_close(&many[i]);
	rest = before + mib + advance * sysconf(_SC_NPROCESSORS_ONLN);
	for (i = 0; i < 200; i++) {
		c = capture_open();
		capture_command_or_die(&c, 'F', w->pid);
		capture_close(&c);
	}
	/* Some of it is freed in the background. */
	for (i = 0; i < 100; i++) {
		after = cgroup_memory();
		if (after < rest)
			break;
		sleep_ms(100);
	}
	diag("memory of the cgroup: %ld before, %ld with captures of %d MiB, %ld after 200",
	     before, during, nr, after);
	return (during < before + nr * mib - advance) | (after >= rest) << 1;
}

/* A capture does not fit. */
static int lack_memory(void *arg)
{
	int ret;

	enter_cgroup();
	ret = capture_try_open();
	if (ret != -ENOMEM)
		diag("open: %s", strerror(ret < 0 ? -ret : 0));
	return ret != -ENOMEM || arg;
}

static bool is_logged(int kmsg)
{
	char line[8192];
	ssize_t size = read(kmsg, line, sizeof(line) - 1);

	if (size <= 0)
		return false;
	line[size] = '\0';
	diag("kernel log: %s", line);
	return true;
}

/* Whether the kernel can charge pages that user space maps: from 5.11 on. */
static bool charges_mapped_pages(void)
{
	struct utsname name;
	int major, minor;

	if (uname(&name) || sscanf(name.release, "%d.%d", &major, &minor) != 2)
		errx(1, "uname");
	return major > 5 || (major == 5 && minor >= 11);
}

static void test_memory(void)
{
	static const char charged[] =
		"the ring of a capture is charged to its opener's memory cgroup";
	static const char does_not_fit[] =
		"open of a capture that does not fit into the memory cgroup is ENOMEM";
	struct worker w = worker_start();
	long available = read_number("/proc/meminfo", "MemAvailable:");
	int kmsg, status, ret;
	struct capture c;
	pid_t pid;

	make_cgroup();
	/* A file that is opened for the first time allocates more. */
	ret = run_as(0, use_memory, &w);
	if (charges_mapped_pages())
		ok(!(ret & 1), charged);
	else
		skip(charged, "this kernel cannot map charged pages");
	ok(!(ret & 2) &&
	   read_number("/proc/meminfo", "MemAvailable:") > available - 65536,
	   "the memory of 200 captures comes back");

	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg < 0 || lseek(kmsg, 0, SEEK_END) < 0)
		err(1, "/dev/kmsg");
	write_file(CGROUP "/memory.max", "1000000");
	fflush(stdout);
	pid = fork_child();
	if (!pid)
		_exit(lack_memory(NULL));
	waitpid(pid, &status, 0);
	if (charges_mapped_pages())
		ok(!status, does_not_fit);
	else
		skip(does_not_fit, "this kernel cannot map charged pages");
	ok(!is_logged(kmsg) &&
	   !read_number(CGROUP "/memory.events", "oom_kill "),
	   "open of a capture that does not fit kills no process and logs nothing");
	write_file(CGROUP "/memory.max", "max");
	c = capture_open();
	ok(c.header->magic == MP3_MAGIC, "a capture can be opened after one that did not fit");
	capture_close(&c);
	close(kmsg);
	worker_end(&w);
	rmdir(CGROUP);
}

/* Open a capture in a child, in which one call of a function fails. */
static int open_failing(const char *symbols, int nth, long retval)
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
		ret = capture_try_open();
		_exit(ret < 0 ? -ret : 0);
	}
	ret = fail_call(pid, symbols, nth, retval, 0);
	if (ret)
		errx(1, "%s: %s", symbols, strerror(-ret));
	if (write(go[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid)
		err(1, "the child that opens a capture");
	fail_unload();
	close(go[0]);
	close(go[1]);

	return -WEXITSTATUS(status);
}

static void test_open_fails(void)
{
	static const char vmalloc[] = "__vmalloc_noprof __vmalloc";
	int fds[MAX_CAPTURES], i, nr;
	bool good = true;

	if (!have_kprobes()) {
		skip("open of a capture without memory is ENOMEM", "no kprobes");
		skip("a capture that could not be opened does not count", "no kprobes");
		return;
	}
	for (i = 0; i < 2; i++)
		for (nr = 1; nr <= 2; nr++)
			good &= open_failing(i ? vmalloc : SMALL_KMALLOC, nr,
					     0) == -ENOMEM;
	ok(good, "open of a capture without memory is ENOMEM");
	for (nr = 0; nr < MAX_CAPTURES; nr++) {
		fds[nr] = capture_try_open();
		if (fds[nr] < 0)
			break;
	}
	ok_eq(nr, MAX_CAPTURES, "a capture that could not be opened does not count");
	while (nr-- > 0)
		close(fds[nr]);
}

/* ---- Limits ---- */

/*
 * Open a capture as this user. Returns its descriptor or -errno. The process
 * remains able to become root again.
 */
static int open_as(uid_t uid)
{
	int fd;

	if (setresuid(uid, uid, 0))
		err(1, "setresuid");
	fd = capture_try_open();
	if (setresuid(0, 0, 0))
		err(1, "setresuid");

	return fd;
}

static void test_limits(void)
{
	int fds[MAX_CAPTURES], nr = 0, i, extra;
	bool good;

	while (nr < 8 && (fds[nr] = open_as(1000)) >= 0)
		nr++;
	ok(nr == 8, "a user can open 8 captures");
	ok_eq(open_as(1000), -EMFILE, "the ninth capture of a user is EMFILE");
	for (good = true; good && nr < 47; nr += good) {
		fds[nr] = open_as(1001 + (nr - 8) / 8);
		good = fds[nr] >= 0;
	}
	ok(nr == 47, "users can open 47 captures together");
	ok_eq(open_as(2000), -EBUSY, "the 48th capture of users is EBUSY");
	ok_eq(open_as(1000), -EMFILE,
	      "the ninth capture of a user is EMFILE when users have 47");
	for (good = true; good && nr < 63; nr += good) {
		fds[nr] = open_as(0);
		good = fds[nr] >= 0;
	}
	ok(nr == 63, "16 captures are reserved for root");
	ok(open_as(0) == -EBUSY && open_as(2000) == -EBUSY,
	   "the 64th capture is EBUSY");
	close(fds[0]);
	fds[0] = open_as(2000);
	ok(fds[0] >= 0, "a user can open a capture after another has closed one");
	close(fds[62]);
	ok_eq(open_as(2000), -EBUSY,
	      "a user cannot open a capture that is reserved for root");
	fds[62] = open_as(0);
	for (i = 0; i < nr; i++)
		close(fds[i]);

	for (i = 0, good = true; i < MAX_CAPTURES && good; i++) {
		fds[i] = open_as(0);
		good = fds[i] >= 0;
	}
	extra = open_as(1000);
	ok(good && extra == -EBUSY, "root can open 63 captures");
	while (i-- > 0)
		close(fds[i]);
}

/* ---- Unloading and parameters ---- */

static void close_rings(void)
{
	munmap((void *)ring.samples, ring.data_size);
	munmap((void *)ring.header, PAGE);
	close(ring.fd);
	capture_close(&classic);
}

static void open_rings(void)
{
	ring = ring_open();
	classic = classic_open();
}

static void test_unload(void)
{
	struct worker w;
	struct capture c;
	int ret;

	/* Before the worker could inherit them. */
	close_rings();
	w = worker_start();
	c = capture_open();
	capture_command_or_die(&c, 'F', w.pid);
	ret = unload();
	ok(ret == -EBUSY || ret == -EAGAIN,
	   "the module cannot be unloaded while a capture is open");
	close(c.fd);
	ret = unload();
	ok(ret == -EBUSY || ret == -EAGAIN,
	   "the module cannot be unloaded while a capture is mapped");
	capture_unmap(&c);
	ok_eq(unload(), 0, "the module can be unloaded right after a capture that followed");
	worker_end(&w);

	ok(load("capture_records=63") == -EINVAL &&
	   load("capture_records=4194305") == -EINVAL &&
	   load("capture_records=0") == -EINVAL &&
	   load("capture_records=-1") == -EINVAL,
	   "capture_records outside 64..4194304 is EINVAL");
	load_or_die("capture_records=64");
	open_rings();
}

/* A full ring overwrites its oldest entry; head counts on. */
static void test_overwrite(void)
{
	struct worker w = worker_start();
	struct capture c = capture_open();
	struct mp3_record newest;
	int i;

	set_interval("10000");
	ok_eq(c.capacity, 64, "capture_records=64 makes a capture of 64 entries");
	ok_eq(try_mmap(c.fd, 2 * PAGE, PROT_READ, MAP_SHARED, 0), -EINVAL,
	      "mmap of two pages of a capture of 64 entries is EINVAL");
	for (i = 0; i < 100; i++) {
		capture_command_or_die(&c, 'R', w.pid);
		capture_command_or_die(&c, 'U', w.pid);
	}
	newest = capture_at(&c, capture_head(&c) - 1);
	ok(capture_head(&c) == 200 &&
	   newest.flags == (MP3_FIRST | MP3_LAST) &&
	   newest.pid == (uint32_t)w.pid &&
	   *(volatile int64_t *)&c.records[200 % 64] == -1,
	   "a full capture overwrites its oldest entry, and word 0 after the newest is -1");
	capture_close(&c);
	set_interval("50");
	worker_end(&w);

	close_rings();
	unload_or_die();
	load_or_die("");
	open_rings();
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "pause"))
		program_main();

	open_rings();
	test_open();
	test_commands();
	test_holders();
	test_empty_records();
	test_random_joins(argc > 1 ? strtoul(argv[1], NULL, 10) : 1);
	test_exits();
	test_thread_id();
	test_many_captures();
	test_identity();
	test_identity_uid();
	test_poll();
	test_mmap();
	test_classic();
	test_classic_last();
	test_classic_flood();
	test_unregister();
	test_lifetime();
	test_probe();
	test_open_fails();
	test_limits();
	test_memory();
	test_unload();
	test_overwrite();

	return done();
}
