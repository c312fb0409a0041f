/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Attacks: what one user repeats in many processes, next to what another user does
 * at the same time, and what that costs the other user and the sampler.
 */
#ifndef MP3_ATTACK_H
#define MP3_ATTACK_H

#include <limits.h>
#include <linux/futex.h>

#include "hostile.h"

#define MAX_TIMES	50000
#define POLL_MS		50
#define SMALL_STACK	16384
#define FORKER		"forker"	/* name of the children of a victim */
#define CPU_GROUP	CGROUPS "/attacker"
#define NR_HOGS		4
#define USER_FAULTS	"/sys/module/mp3/parameters/user_faults"

enum operation { OP_R, OP_U, OP_F, OP_READ, OP_L, NR_OPERATIONS };

/**
 * struct shared - what the processes share
 * @go:      the measurement has begun; a futex
 * @stop:    it has ended
 * @ready:   processes that wait for @go
 * @rounds:  how often workers have completed what they repeat
 * @forks:   children of the victim that forks
 * @target:  a process of the attacker that root's capture is to hold, or 0
 * @nr:      completed operations of victims
 * @ms:      how long each took
 */
static struct shared {
	volatile uint32_t go;
	volatile bool stop;
	unsigned int ready;
	uint64_t rounds;
	volatile uint64_t forks;
	volatile pid_t target;
	unsigned int nr[NR_OPERATIONS];
	double ms[NR_OPERATIONS][MAX_TIMES];
} *shared;

static struct ring ring;
static struct capture records;
static unsigned int crowd_size = 8000;

static void wait_go(void)
{
	__atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELAXED);
	while (!shared->go)
		syscall(SYS_futex, &shared->go, FUTEX_WAIT, 0, NULL);
}

/* ---- Attacks ---- */

/**
 * struct attacker - what the leader knows, and a worker inherits or sets itself
 * @leader: the parent of all others
 * @crowd:  pids of its other children
 * @fd:     an open status file or capture
 * @page:   what a worker writes
 * @size:   bytes of @page
 */
static struct attacker {
	pid_t leader;
	pid_t *crowd;
	int fd;
	char page[COMMANDS_SIZE];
	size_t size;
} me;

static void gather_crowd(void)
{
	me.crowd = crowd_start(crowd_size);
}

static void gather_registered(void)
{
	gather_crowd();
	me.fd = status_open(O_WRONLY);
	command_many(me.fd, 'R', me.crowd, crowd_size);
	close(me.fd);
}

static void gather_followed(void)
{
	gather_crowd();
	command_or_die('F', me.leader);
}

static void *idle_thread(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* A process with as many threads as a crowd has processes. */
static void gather_threads(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	unsigned int i;
	int pipes[2];
	char byte;

	if (pipe(pipes))
		err(1, "pipe");
	me.crowd = calloc(1, sizeof(*me.crowd));
	*me.crowd = fork_child();
	if (*me.crowd) {
		if (read(pipes[0], &byte, 1) != 1)
			errx(1, "no threads");
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, SMALL_STACK);
	for (i = 0; i < crowd_size; i++)
		if (pthread_create(&thread, &attr, idle_thread, NULL))
			errx(1, "pthread_create %u", i);
	if (write(pipes[1], "", 1) != 1)
		err(1, "write");
	idle_thread(NULL);
}

static void prepare_reader(unsigned int worker)
{
	(void)worker;
	me.fd = status_open(O_RDONLY);
}

static void prepare_ru(unsigned int worker)
{
	(void)worker;
	me.fd = status_open(O_WRONLY);
	me.size = commands_in_turn(me.page, 'R', sleeper());
}

static void prepare_fu(unsigned int worker)
{
	(void)worker;
	me.fd = status_open(O_WRONLY);
	me.size = commands_in_turn(me.page, 'F', sleeper());
}

static void prepare_idle(void)
{
	struct sched_param param = { 0 };

	if (sched_setscheduler(0, SCHED_IDLE, &param))
		err(1, "sched_setscheduler");
}

/* The hogs, which are not idle, keep these workers from the CPU. */
static void prepare_idle_ru(unsigned int worker)
{
	prepare_ru(worker);
	prepare_idle();
}

static void prepare_idle_fu(unsigned int worker)
{
	prepare_fu(worker);
	prepare_idle();
}

static void prepare_threads(unsigned int worker)
{
	(void)worker;
	me.fd = status_open(O_WRONLY);
	me.size = commands_in_turn(me.page, 'R', *me.crowd);
}

/* F of the crowd's parent, after U of a part of the crowd. */
static void prepare_adopt(unsigned int worker)
{
	me.fd = status_open(O_WRONLY);
	commands_for(me.page, &me.size, 'U',
		     me.crowd + worker * 100 % (crowd_size / 2), 250);
}

static void prepare_capture(unsigned int worker)
{
	(void)worker;
	me.fd = capture_try_open();
	if (me.fd < 0)
		errx(1, "%s: %s", CAPTURE_PATH, strerror(-me.fd));
	command_many(me.fd, 'R', me.crowd, crowd_size / 8);
}

static void prepare_target(unsigned int worker)
{
	(void)worker;
	me.fd = capture_try_open();
	if (me.fd < 0)
		errx(1, "%s: %s", CAPTURE_PATH, strerror(-me.fd));
	shared->target = getpid();
}

static void prepare_storm(unsigned int worker)
{
	(void)worker;
	command_or_die('F', getpid());
}

/* The first worker follows; the others fork. */
static void prepare_chain(unsigned int worker)
{
	me.fd = worker ? -1 : status_open(O_WRONLY);
	me.size = snprintf(me.page, sizeof(me.page), "F,%d\nU,%d\n",
			   me.leader, me.leader);
}

static void read_list(void)
{
	static char text[1 << 16];
	off_t offset = 0;
	ssize_t got;

	do {
		got = pread(me.fd, text, sizeof(text), offset);
		if (got < 0)
			err(1, "read %s", MP3_STATUS_PATH);
		offset += got;
	} while (got && !shared->stop);
}

/* Errors are expected: several workers write commands for the same process. */
static void write_page(void)
{
	size_t done;
	ssize_t ret;

	for (done = 0; done < me.size && !shared->stop; done += ret) {
		ret = write(me.fd, me.page + done, me.size - done);
		if (ret < 0)
			ret = strcspn(me.page + done, "\n") + 1;
	}
}

static void adopt_crowd(void)
{
	command_by_fd(me.fd, 'U', me.leader);
	write_page();
	command_by_fd(me.fd, 'F', me.leader);
}

/* Errors are expected: a user may hold 8 captures. */
static void open_capture(void)
{
	int capture = capture_try_open();

	if (capture < 0)
		return;
	command_by_fd(capture, 'R', getpid());
	close(capture);
}

static void map_capture(void)
{
	int capture = capture_try_open(), i;
	char *header, *data;

	for (i = 0; i < 20 && capture >= 0; i++) {
		header = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, capture,
			      MP3_OFF_HEADER);
		data = mmap(NULL, 64 * PAGE, PROT_READ,
			    MAP_SHARED | MAP_POPULATE, capture, 0);
		munmap(header, PAGE);
		munmap(data, 64 * PAGE);
	}
	if (capture >= 0)
		close(capture);
}

static void locate(void)
{
	if (write(me.fd, "L,1", 3) < 0 || write(me.fd, "L,0", 3) < 0)
		err(1, "L");
}

/* Join and leave a capture, with something to report each time. */
static void join_capture(void)
{
	touch(1);
	command_by_fd(me.fd, 'R', getpid());
	touch(1);
	command_by_fd(me.fd, 'U', getpid());
}

static void vfork_child(void)
{
	pid_t pid = vfork();

	if (!pid) {
		/* The kernel keeps a scheduling group for each session. */
		syscall(SYS_setsid);
		syscall(SYS_exit_group, 0);
	}
	waitpid(pid, NULL, 0);
}

/* The child goes on in place of its parent, which exits. */
static void fork_chain(void)
{
	pid_t pid;

	if (me.fd >= 0) {
		write_page();
		return;
	}
	pid = fork();
	if (pid < 0)
		sleep_ms(1);
	if (pid > 0)
		_exit(0);
}

/**
 * struct attack - what the attacker does
 * @name:        its name
 * @workers:     processes that repeat @round
 * @gather:      what the leader does before it forks the workers, or NULL
 * @prepare:     what a worker does before the measurement, or NULL
 * @round:       what a worker repeats
 * @hogs:        processes that only use the CPU, in addition to the workers
 * @interval_ms: the sampling interval, 0: 50
 * @throttled:   the attacker may use 1 % of a CPU
 * @alone:       there are no victims: nothing else is registered
 * @forks:       workers fork, so that slab memory may grow by 64 MiB
 * @locates:     a victim repeats L
 */
static const struct attack {
	const char *name;
	unsigned int workers;
	void (*gather)(void);
	void (*prepare)(unsigned int worker);
	void (*round)(void);
	unsigned int hogs;
	unsigned int interval_ms;
	bool throttled, alone, forks, locates;
} attacks[] = {
	{ .name = "read-list", .workers = 64, .gather = gather_registered,
	  .prepare = prepare_reader, .round = read_list },
	{ .name = "write-ru", .workers = 64, .gather = gather_registered,
	  .prepare = prepare_ru, .round = write_page },
	{ .name = "write-ru-300", .workers = 300,
	  .prepare = prepare_ru, .round = write_page },
	{ .name = "write-fu", .workers = 64, .gather = gather_registered,
	  .prepare = prepare_fu, .round = write_page },
	{ .name = "adopt-crowd", .workers = 16, .gather = gather_followed,
	  .prepare = prepare_adopt, .round = adopt_crowd },
	{ .name = "open-captures", .workers = 64, .gather = gather_registered,
	  .round = open_capture },
	{ .name = "map-captures", .workers = 64, .gather = gather_registered,
	  .round = map_capture },
	{ .name = "locate", .workers = 8, .gather = gather_registered,
	  .prepare = prepare_capture, .round = locate, .locates = true },
	{ .name = "fork-chain", .workers = 9, .gather = gather_followed,
	  .prepare = prepare_chain, .round = fork_chain, .forks = true },
	{ .name = "threads", .workers = 64, .gather = gather_threads,
	  .prepare = prepare_threads, .round = write_page },
	{ .name = "idle-ru", .workers = 64, .gather = gather_registered,
	  .prepare = prepare_idle_ru, .round = write_page, .hogs = NR_HOGS },
	{ .name = "idle-fu", .workers = 64, .gather = gather_registered,
	  .prepare = prepare_idle_fu, .round = write_page, .hogs = NR_HOGS },
	{ .name = "throttled-ru", .workers = 4, .gather = gather_registered,
	  .prepare = prepare_ru, .round = write_page, .throttled = true },
	{ .name = "throttled-fu", .workers = 4, .gather = gather_registered,
	  .prepare = prepare_fu, .round = write_page, .throttled = true },
	{ .name = "vfork-storm", .workers = 4, .prepare = prepare_storm,
	  .round = vfork_child, .interval_ms = 10000, .forks = true },
	{ .name = "wipe-samples", .workers = 1,
	  .prepare = prepare_ru, .round = write_page, .alone = true },
	{ .name = "fill-rings", .workers = 1,
	  .prepare = prepare_target, .round = join_capture },
};

/* A worker of the attack or, if there is a control instead, one that spins. */
static void work(const struct attack *attack, bool control, unsigned int worker)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (attack->prepare && worker < attack->workers)
		attack->prepare(worker);
	wait_go();
	while (!shared->stop) {
		if (control || worker >= attack->workers)
			continue;
		attack->round();
		__atomic_fetch_add(&shared->rounds, 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

/* Start the attacker. Returns its leader, which is the parent of all others. */
static pid_t start_attacker(const struct attack *attack, bool control)
{
	pid_t pid = fork_child();
	unsigned int i;

	if (pid)
		return pid;
	/* The scheduler shares the CPUs between the users, not all processes. */
	write_file(CPU_GROUP "/cgroup.procs", "0");
	log_in(ATTACKER);
	/* Orphans stay below the leader, and leave no zombies. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGCHLD, SIG_IGN);
	me.leader = getpid();
	if (attack->gather)
		attack->gather();
	for (i = 0; i < attack->workers + attack->hogs; i++)
		if (!fork_child())
			work(attack, control, i);
	for (;;)
		pause();
}

/* ---- Victims ---- */

/* Note how long an operation of this victim has taken. */
static void note(enum operation operation, uint64_t start_ns)
{
	unsigned int nr = shared->nr[operation];

	if (nr < MAX_TIMES) {
		shared->ms[operation][nr] = (now_ns() - start_ns) / 1e6;
		shared->nr[operation]++;
	}
}

static void command_timed(enum operation operation, int fd, char letter,
			  pid_t pid)
{
	uint64_t start_ns = now_ns();
	int ret = command_by_fd(fd, letter, pid);

	if (ret)
		errx(1, "victim: %c,%d: %s", letter, pid, strerror(-ret));
	note(operation, start_ns);
}

static void victim_faults(void)
{
	command_or_die('F', getpid());
	wait_go();
	while (!shared->stop) {
		touch(1);
		sleep_ms(10);
	}
}

static void victim_forks(void)
{
	command_or_die('F', getpid());
	prctl(PR_SET_NAME, FORKER);
	wait_go();
	while (!shared->stop) {
		pid_t pid = fork_child();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
		shared->forks++;
		sleep_ms(2);
	}
}

static void victim_registers(void)
{
	int fd = status_open(O_WRONLY);
	pid_t pid = sleeper();

	wait_go();
	while (!shared->stop) {
		command_timed(OP_R, fd, 'R', pid);
		sleep_ms(10);
		command_timed(OP_U, fd, 'U', pid);
		sleep_ms(10);
	}
}

static void victim_follows(void)
{
	int fd = status_open(O_WRONLY);
	pid_t pid = sleeper();

	wait_go();
	while (!shared->stop) {
		command_timed(OP_F, fd, 'F', pid);
		sleep_ms(50);
		command_by_fd(fd, 'U', pid);
		sleep_ms(50);
	}
}

static void victim_reads(void)
{
	wait_go();
	while (!shared->stop) {
		uint64_t start_ns = now_ns();

		free(status_text());
		note(OP_READ, start_ns);
		sleep_ms(50);
	}
}

static void victim_locates(void)
{
	int fd = capture_try_open();

	if (fd < 0 || command_by_fd(fd, 'R', getpid()))
		errx(1, "victim: no capture");
	wait_go();
	while (!shared->stop) {
		uint64_t start_ns = now_ns();

		if (write(fd, "L,1", 3) < 0 || write(fd, "L,0", 3) < 0)
			err(1, "victim: L");
		note(OP_L, start_ns);
		sleep_ms(50);
	}
}

static void (*const victims[])(void) = {
	victim_faults, victim_forks, victim_registers, victim_follows,
	victim_reads, victim_locates,
};

/* Start the victims of an attack, below a parent. Returns the parent. */
static pid_t start_victims(unsigned int nr)
{
	pid_t pid = fork_child();
	unsigned int i;

	if (pid)
		return pid;
	log_in(STRANGER);
	for (i = 0; i < nr; i++)
		if (!fork_child()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			victims[i]();
			_exit(0);
		}
	/* The measurement includes an operation that is in progress at its end. */
	for (i = 0; i < nr; i++) {
		int status;

		if (wait(&status) < 0 || status)
			_exit(1);
	}
	_exit(0);
}

/* ---- Measurement ---- */

/**
 * struct result - what was measured
 * @deadlines:  of the sampler
 * @missed:     of these
 * @gap_ms:     longest time between samples
 * @slab_kib:   growth of slab memory
 * @dead:       exited processes that were held
 * @per_s:      entries per second in a ring that is not the attacker's, or -1
 * @median_ms:  of each operation of a victim; -1: none was completed
 * @longest_ms: the same
 * @forks:      children of the victim that forks
 * @ended:      of these, those with a last record
 * @lost:       records that were overwritten before they were counted
 */
struct result {
	uint64_t deadlines, missed;
	double gap_ms;
	long slab_kib, dead;
	double per_s;
	double median_ms[NR_OPERATIONS];
	double longest_ms[NR_OPERATIONS];
	uint64_t forks, ended, lost;
};

/* Return the longest time between samples from entry @from on, until now. */
static double longest_gap_ms(uint64_t from)
{
	const struct mp3_header *header = (const void *)ring.header;
	uint64_t i, head = ring_head(&ring);
	unsigned long tick, last, longest = 0;

	if (head - from > MP3_SAMPLES - 2)
		from = head - (MP3_SAMPLES - 2);
	if (from == head)
		return 0;
	last = ring.samples[from % MP3_SAMPLES].jiffies;
	for (i = from + 1; i <= head; i++) {
		if (i < head)
			tick = ring.samples[i % MP3_SAMPLES].jiffies;
		else
			tick = header->base_jiffies +
			       (now_ns() - header->base_ns) / 1e9 * header->hz;
		if (tick > last && tick - last > longest)
			longest = tick - last;
		last = tick;
	}
	return longest * 1000.0 / header->hz;
}

/*
 * Count the last records from entry @from on of the victim that forks, and of its
 * children. Returns where to continue.
 */
static uint64_t count_ended(uint64_t from, struct result *result)
{
	uint64_t head = capture_head(&records);

	if (head - from > records.capacity - 2) {
		result->lost += head - from - (records.capacity - 2);
		from = head - (records.capacity - 2);
	}
	for (; from < head; from++) {
		struct mp3_record record = capture_at(&records, from);

		result->ended += record.flags & MP3_LAST &&
				 !strcmp(record.comm, FORKER);
	}
	return from;
}

static void wait_ready(unsigned int nr)
{
	uint64_t start_ns = now_ns();

	while (__atomic_load_n(&shared->ready, __ATOMIC_RELAXED) < nr) {
		if (now_ns() - start_ns > 300000000000ULL)
			errx(1, "%u of %u processes are ready", shared->ready, nr);
		sleep_ms(20);
	}
	/* Let registrations and the start of all processes settle. */
	sleep_ms(1000);
}

static void end_victims(pid_t parent)
{
	int status;

	if (waitpid(parent, &status, 0) != parent || status)
		errx(1, "a victim failed");
	kill_user(STRANGER);
}

/* Kill the attacker, and wait until its memory is free. */
static void end_attacker(const struct attack *attack, pid_t attacker,
			 long slab_before)
{
	int i;

	if (attack->throttled)
		write_file(CPU_GROUP "/cpu.max", "max");
	kill_user(ATTACKER);
	waitpid(attacker, NULL, 0);
	wait_idle(&ring);
	for (i = 0; i < 200 && slab_kib() > slab_before + 2048; i++)
		sleep_ms(50);
	/* Let the fork probe be detached, too. */
	sleep_ms(1500);
}

/*
 * Measure for some time. @target is a capture with a process of the attacker, or
 * NULL. Returns the record to continue with count_ended() from.
 */
static uint64_t measure(struct result *result, const struct capture *target,
			unsigned int ms)
{
	uint64_t head = ring_head(&ring), record = capture_head(&records);
	uint64_t target_head = target ? capture_head(target) : 0;
	uint64_t ticks = ring.header->ticks, missed = ring.header->missed;
	uint64_t start_ns = now_ns(), elapsed_ns;
	long slab = slab_kib(), dead = dead_tasks(), growth;

	shared->go = true;
	syscall(SYS_futex, &shared->go, FUTEX_WAKE, INT_MAX);
	do {
		sleep_ms(POLL_MS);
		growth = slab_kib() - slab;
		if (growth > result->slab_kib)
			result->slab_kib = growth;
		growth = dead_tasks() - dead;
		if (growth > result->dead)
			result->dead = growth;
		record = count_ended(record, result);
		elapsed_ns = now_ns() - start_ns;
	} while (elapsed_ns < ms * 1000000ULL);
	result->missed = ring.header->missed - missed;
	result->deadlines = ring.header->ticks - ticks + result->missed;
	result->gap_ms = longest_gap_ms(head);
	head = target ? capture_head(target) - target_head :
			ring_head(&ring) - head;
	result->per_s = head / (elapsed_ns / 1e9);
	shared->stop = true;

	return record;
}

static int compare_ms(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/*
 * Measure an attack or its control, from when all processes are ready on. The last
 * records of the victims are counted after their end.
 */
static inline struct result attack_run(const struct attack *attack, bool control,
				       unsigned int ms)
{
	unsigned int nr_victims = attack->alone ? 0 :
		ARRAY_SIZE(victims) - !attack->locates, i, nr;
	struct result result = { .per_s = -1 };
	struct capture target = { .fd = -1 };
	pid_t attacker, parent = 0;
	long slab = slab_kib();
	char interval[16];
	uint64_t record;

	memset(shared, 0, sizeof(*shared));
	snprintf(interval, sizeof(interval), "%u", attack->interval_ms);
	set_interval(attack->interval_ms ? interval : "50");
	write_file(USER_FAULTS, attack->locates ? "Y" : "N");
	if (nr_victims)
		parent = start_victims(nr_victims);
	attacker = start_attacker(attack, control);
	wait_ready(nr_victims + attack->workers + attack->hogs);
	if (shared->target) {
		target = capture_open();
		capture_command_or_die(&target, 'R', shared->target);
	}
	if (attack->throttled)
		write_file(CPU_GROUP "/cpu.max", "1000 100000");

	record = measure(&result, shared->target ? &target : NULL, ms);
	if (!shared->target && !attack->alone)
		result.per_s = -1;
	if (nr_victims)
		end_victims(parent);
	if (shared->target)
		capture_close(&target);
	end_attacker(attack, attacker, slab);
	count_ended(record, &result);

	result.forks = shared->forks;
	/* The parent of the children has their name. */
	result.ended -= nr_victims && result.ended;
	for (i = 0; i < NR_OPERATIONS; i++) {
		nr = shared->nr[i];
		qsort(shared->ms[i], nr, sizeof(double), compare_ms);
		result.median_ms[i] = nr ? shared->ms[i][nr / 2] : -1;
		result.longest_ms[i] = nr ? shared->ms[i][nr - 1] : -1;
	}
	return result;
}

/* Return the longest of the times of all operations but L, which waits for its turn. */
static inline double largest_ms(const double ms[NR_OPERATIONS])
{
	double largest = 0;
	unsigned int i;

	for (i = 0; i < OP_L; i++)
		if (ms[i] > largest)
			largest = ms[i];
	return largest;
}

/* Return the attack with this name, or NULL. */
static inline const struct attack *attack_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(attacks); i++)
		if (!strcmp(attacks[i].name, name))
			return &attacks[i];
	return NULL;
}

/* Prepare this process, which is root, for attack_run(). */
static inline void attack_init(void)
{
	ring = ring_open();
	records = classic_open();
	shared = shared_memory(sizeof(*shared));
	raise_limits();
	write_file(CGROUPS "/cgroup.subtree_control", "+cpu");
	if (mkdir(CPU_GROUP, 0755))
		err(1, CPU_GROUP);
}

#endif /* MP3_ATTACK_H */
