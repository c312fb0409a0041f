// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations of several users at once: commands, captures, mappings, polls,
 * io_uring, passed descriptors, and processes that fork, exec, change their
 * credentials and exit while they are registered; CPUs go offline, workers are
 * killed, pids are reused, and the module is unloaded and loaded. Each result is
 * one that the module documents, bystanders stay exact, and nothing remains.
 *
 * Usage: fuzz [SEED [SECONDS [WORKER [OPERATION]]]]
 *
 * Operation i of worker w depends on SEED, w and i alone: the same SEED has each
 * worker do the same things in the same order. How the workers' operations
 * interleave, and so what becomes of them, differs between runs. With a WORKER that
 * is not -1, only that worker runs. With OPERATION, one or more names separated by
 * commas, the workers perform no other, each equally often, and the quick ones in
 * longer rows; "reload" is no operation, but has the module unloaded and loaded all
 * the time.
 *
 * If the guest has swap, processes use more memory than there is.
 *
 * "fuzz program" is what processes execute.
 *
 * vm: -m 2048 -t 1500 -a slub_debug=FZPU,kmalloc-*
 */
#include <assert.h>
#include <limits.h>

#include "fuzz_processes.h"
#include "hostile.h"

#define SECONDS		15
#define USER		1000
#define OTHER		1001
#define MIN_REUSES	10
#define MIN_LOADS	3
#define PID_MAX_PATH	"/proc/sys/kernel/pid_max"
#define SMALL_PID_MAX	"600"
#define MAX_CAPTURES	63
#define MARGIN_KB	4096	/* of slab memory that may have grown */
#define FREE_MARGIN_KB	32768	/* of all memory: CPUs keep free pages, too */

/* ---- The operations ---- */

#define ROOT_ONLY	1
#define FORKS		2	/* not in a child of a worker */
#define QUICK		4	/* several times in a row */
#define MAX_ROW		8
#define LONG_ROW	200	/* if others are not performed */

/**
 * struct operation - what a worker can do
 * @name:    in diagnostics
 * @perform: does it, with random arguments
 * @weight:  how often, relative to the others
 * @flags:   ROOT_ONLY, FORKS, QUICK
 */
static const struct operation {
	const char *name;
	void (*perform)(void);
	unsigned int weight;
	unsigned int flags;
} operations[] = {
	{ "open", op_open, 40, 0 },
	{ "close", op_close, 10, 0 },
	{ "dup", op_dup, 5, 0 },
	{ "exhaust captures", op_exhaust, 1, 0 },
	{ "pass", op_pass, 6, 0 },
	{ "receive", op_receive, 8, 0 },
	{ "write", op_write, 150, QUICK },
	{ "writev", op_writev, 20, QUICK },
	{ "locate", op_locate, 25, QUICK },
	{ "foreign process", op_foreign, 20, QUICK },
	{ "many writes", op_many_writes, 2, FORKS },
	{ "list", op_list, 20, 0 },
	{ "misc", op_misc, 15, 0 },
	{ "header", op_header, 30, QUICK },
	{ "records", op_records, 10, 0 },
	{ "faults", op_faults, 10, 0 },
	{ "mmap", op_mmap, 70, QUICK },
	{ "touch", op_touch, 60, QUICK },
	{ "mprotect", op_mprotect, 40, QUICK },
	{ "munmap", op_munmap, 20, 0 },
	{ "mremap", op_mremap, 25, QUICK },
	{ "madvise", op_madvise, 30, QUICK },
	{ "pages", op_pages, 25, QUICK },
	{ "memory", op_memory, 20, QUICK },
	{ "unpin", op_unpin, 10, 0 },
	{ "maps", op_maps, 3, 0 },
	{ "poll", op_poll, 15, QUICK },
	{ "epoll", op_epoll, 20, QUICK },
	{ "io_uring", op_uring, 60, QUICK },
	{ "blocked write", op_block, 4, FORKS },
	{ "inherit", op_inherit, 10, FORKS },
	{ "child", op_child, 15, FORKS },
	{ "race", op_race, 25, FORKS },
	{ "many races", op_many_races, 2, FORKS },
	{ "vfork", op_vfork, 5, FORKS },
	{ "threads", op_threads, 6, FORKS },
	{ "setuid", op_setuid, 7, FORKS },
	{ "namespaces", op_namespaces, 4, FORKS },
	{ "signals", op_signals, 4, FORKS },
	{ "tree", op_tree, 4, FORKS },
	{ "reuse", op_reuse, 6, FORKS },
	{ "timer", op_timer, 8, 0 },
	{ "parameters", op_parameters, 4, 0 },
	{ "cpu", op_cpu, 3, ROOT_ONLY },
	{ "module", op_module, 3, ROOT_ONLY },
};

static_assert(ARRAY_SIZE(operations) <= MAX_OPERATIONS);

static const char *only_operations;	/* the others are not performed */
static bool only_reload;		/* no phase but RELOADED */

/* Returns whether a name is in only_operations. */
static bool is_named(const char *name)
{
	const char *at = only_operations;
	size_t size = strlen(name);

	for (; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, name, size) && (!at[size] || at[size] == ','))
			return true;
	}
	return false;
}

static bool may_perform(const struct operation *operation)
{
	return !(only_operations && !self.nested && !is_named(operation->name)) &&
	       !(operation->flags & ROOT_ONLY && !self.is_root) &&
	       !(operation->flags & FORKS && self.nested);
}

static unsigned int weight_of(const struct operation *operation)
{
	if (!may_perform(operation))
		return 0;
	return only_operations ? 1 : operation->weight;
}

static bool may_perform_any(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		if (may_perform(&operations[i]))
			return true;
	return false;
}

/*
 * Choose an operation by its weight, or, for the first ones of a worker, one of each.
 * Returns its index.
 */
static unsigned int pick_operation(void)
{
	unsigned int i = (self.number + 7 * self.index) % ARRAY_SIZE(operations);
	unsigned int total = 0, choice;

	if (self.number < ARRAY_SIZE(operations) && !self.nested &&
	    may_perform(&operations[i]))
		return i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		total += weight_of(&operations[i]);
	choice = below(total);
	for (i = 0; choice >= weight_of(&operations[i]); i++)
		choice -= weight_of(&operations[i]);

	return i;
}

static void perform(unsigned int i)
{
	unsigned int row = only_operations ? LONG_ROW : MAX_ROW;
	unsigned int times = operations[i].flags & QUICK ? 1 + below(row) : 1;

	self.operation = operations[i].name;
	provide_own();
	while (times--) {
		operations[i].perform();
		__atomic_add_fetch(&shared->performed[i], 1, __ATOMIC_RELAXED);
	}
}

static void do_operations(unsigned int nr)
{
	while (nr--)
		perform(pick_operation());
}

/* ---- Workers ---- */

static const struct {
	const char *name;
	uid_t uid;
	uint64_t caps;	/* of a user */
	int namespaces;
} workers[] = {
	{ "root", 0, 0, 0 },
	{ "root in a pid namespace", 0, 0, CLONE_NEWPID },
	{ "a user", USER, 0, 0 },
	{ "the same user", USER, 0, 0 },
	{ "the same user in a user and a pid namespace", USER, 0,
	  CLONE_NEWUSER | CLONE_NEWPID },
	{ "another user", OTHER, 0, 0 },
	{ "another user with CAP_PERFMON", OTHER, CAP(CAP_PERFMON), 0 },
};

#define NR_WORKERS	ARRAY_SIZE(workers)

static_assert(NR_WORKERS <= MAX_WORKERS);

static uint64_t seed;
static int only_worker = -1;	/* the others do not run */
static pid_t worker_pids[NR_WORKERS];

/* Enter namespaces. In a new pid namespace, this process becomes pid 1. */
static void enter_namespaces(int namespaces, uid_t uid)
{
	char map[24];
	pid_t pid;

	if (unshare(namespaces))
		err(1, "unshare");
	if (namespaces & CLONE_NEWUSER) {
		snprintf(map, sizeof(map), "0 %u 1", uid);
		write_file("/proc/self/uid_map", map);
	}
	if (!(namespaces & CLONE_NEWPID))
		return;
	/* Pids may be scarce. */
	while ((pid = fork()) < 0)
		sleep_ms(1);
	if (pid) {
		reap(pid);
		_exit(0);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Do operations, one after the other, until the phase ends. */
static void __attribute__((noreturn)) work(void)
{
	uint64_t *next = &shared->next[self.index];

	while (phase_now() != STOP) {
		unsigned int i;

		if (__atomic_load_n(&shared->paused, __ATOMIC_RELAXED)) {
			release_own();
			sleep_ms(1);
			continue;
		}
		self.number = *next;
		random_start(seed, self.index, self.number);
		i = pick_operation();
		shared->operation[self.index] = i;
		perform(i);
		++*next;
		if (phase_now() == RELOADED)
			release_own();
		/* Orphans of what it has started */
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	_exit(0);
}

static void __attribute__((noreturn)) run_worker(int index)
{
	int namespaces = workers[index].namespaces;

	self = (struct self){
		.index = index,
		.uid = workers[index].uid,
		.in_pid_ns = namespaces & CLONE_NEWPID,
		.is_root = !workers[index].uid,
		.is_privileged = !workers[index].uid || workers[index].caps,
	};
	setpgid(0, 0);
	if (nice(10) < 0)
		err(1, "nice");
	if (self.uid)
		become(self.uid, workers[index].caps);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (self.in_pid_ns)
		memset(own_board(), 0, sizeof(struct board));
	if (namespaces)
		enter_namespaces(namespaces, self.uid);
	open_own();
	work();
}

static void start_worker(int index)
{
	pid_t pid;

	fflush(stdout);
	/* Pids may be scarce. */
	while ((pid = fork()) < 0)
		sleep_ms(1);
	if (!pid)
		run_worker(index);
	setpgid(pid, pid);
	worker_pids[index] = pid;
	shared->own_pids[index] = pid;
}

/* Kill a worker and all its children. */
static void end_worker(int index)
{
	pid_t group = worker_pids[index];

	/* Processes may be forked while others are killed. */
	while (group && !kill(-group, SIGKILL)) {
		while (waitpid(-group, NULL, WNOHANG) > 0)
			;
		usleep(1000);
	}
	worker_pids[index] = 0;
}

/* Returns whether what runs is all there is. */
static bool runs_all(void)
{
	return only_worker < 0 && !only_operations && !only_reload;
}

static bool is_to_run(int index)
{
	self.is_root = !workers[index].uid;
	return (only_worker < 0 || only_worker == index) && may_perform_any();
}

/* Restart a worker that has died, which it must not, and kill one sometimes. */
static void supervise_workers(void)
{
	unsigned int i, victim = below(50 * NR_WORKERS);

	for (i = 0; i < NR_WORKERS; i++) {
		if (!is_to_run(i))
			continue;
		if (waitpid(worker_pids[i], NULL, WNOHANG) > 0) {
			self.index = i;
			self.number = shared->next[i]++;
			self.operation = operations[shared->operation[i]].name;
			complain("the worker died");
		} else if (victim == i) {
			count_one(KILLED_WORKERS);
		} else {
			continue;
		}
		end_worker(i);
		start_worker(i);
	}
}

/* ---- Bystanders ---- */

/**
 * struct bystander - a process whose counts have to be exact
 * @worker:   the process
 * @capture:  a ring that has its records
 * @base:     what it had used when it was registered there
 * @next:     number of the next record in the ring
 * @history:  its records so far; if it is followed, those of its children, too
 * @followed: @history has only sums
 */
struct bystander {
	struct worker worker;
	struct capture capture;
	struct usage base;
	uint64_t next;
	struct history history;
	bool followed;
};

static struct ring ring;
static struct bystander classic, captured, located, followed;
static struct fault_ring located_faults;
static bool are_pids_scarce;	/* no bystander may fork */

/* Start a process of this user that acts on request. */
static struct worker start_bystander(uid_t uid)
{
	struct worker worker;
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		err(1, "socketpair");
	fflush(stdout);
	worker.pid = fork_child();
	if (!worker.pid) {
		if (uid)
			become_user(uid);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
		close(sockets[0]);
		worker_run(sockets[1]);
	}
	close(sockets[1]);
	worker.socket = sockets[0];
	/* What it faults at first, it does not fault later. */
	worker_request(&worker, 'm', 1);

	return worker;
}

static void become_for_a_moment(uid_t uid)
{
	if (uid ? setresgid(uid, uid, 0) || setresuid(uid, uid, 0) :
		  setresuid(0, 0, 0) || setresgid(0, 0, 0))
		err(1, "setresuid");
}

static void start_bystanders(void)
{
	classic.worker = start_bystander(0);
	captured.worker = classic.worker;
	classic.capture = classic_open();
	captured.capture = capture_open();
	classic.next = capture_head(&classic.capture);
	captured.base = command_usage(captured.capture.fd, 'R',
				      captured.worker.pid);
	classic.base = command_usage(-1, 'R', classic.worker.pid);
	shared->root_bystander = classic.worker.pid;

	/* On CPU 0, which stays online: no event is missing there. */
	located.capture = capture_open();
	locate_or_die(located.capture.fd, 1, 8);
	located_faults = fault_ring_map(located.capture.fd);
	located.worker = start_bystander(0);
	{
		cpu_set_t first;

		CPU_ZERO(&first);
		CPU_SET(0, &first);
		if (sched_setaffinity(located.worker.pid, sizeof(first), &first))
			err(1, "sched_setaffinity");
	}
	located.base = command_usage(located.capture.fd, 'R',
				     located.worker.pid);

	/* As root, with its capabilities, main() could not see a missing right. */
	followed.worker = start_bystander(USER);
	followed.followed = true;
	become_for_a_moment(USER);
	followed.capture = capture_open();
	followed.base = command_usage(followed.capture.fd, 'F',
				      followed.worker.pid);
	become_for_a_moment(0);
	classic.history.ordered = true;
	captured.history.ordered = true;
}

/* Add the new records of a bystander's ring. */
static void read_new(struct bystander *b)
{
	uint64_t head = capture_head(&b->capture);

	if (head - b->next > b->capture.capacity - 2)
		errx(1, "a bystander's ring has lapped");
	for (; b->next < head; b->next++) {
		struct mp3_record record = capture_at(&b->capture, b->next);
		struct mp3_record previous = { 0 };

		if (b->followed && record.flags != MP3_IDENTITY) {
			b->history.counts.min_flt += record.min_flt;
			b->history.counts.maj_flt += record.maj_flt;
		} else if (record.pid == (uint32_t)b->worker.pid) {
			if (b->next)
				previous = capture_at(&b->capture, b->next - 1);
			history_add(&b->history, &record, &previous);
		}
	}
}

static void check_main_header(void)
{
	static struct mp3_header last;
	struct mp3_header now = *(const struct mp3_header *)ring.header;

	self.operation = "the main process";
	check_header(&now, &last, sizeof(struct mp3_sample));
	last = now;
}

/* Have the bystanders fault, and read what the module has recorded of it. */
static void drive_bystanders(void)
{
	static unsigned int round;
	bool may_fork = !are_pids_scarce && ++round % 8 == 0;

	worker_request(&classic.worker, may_fork ? 't' : 'm', round % 13);
	worker_request(&located.worker, may_fork ? 't' : 'm', round % 11);
	worker_request(&followed.worker, may_fork ? 'f' : 'm', round % 7);
	read_new(&classic);
	read_new(&captured);
	read_new(&followed);
}

static void end_bystanders(void)
{
	struct usage total = worker_end(&classic.worker);
	struct usage want = usage_between(captured.base, total);
	bool good;

	shared->root_bystander = -1;
	good = capture_has(&captured.capture, 0);
	read_new(&captured);
	read_new(&classic);
	ok(history_matches(&classic.history, 1,
			   usage_between(classic.base, total), "status file"),
	   "a process of root's is exact in the status file throughout");
	ok(history_matches(&captured.history, 1, want, "capture") && good,
	   "a process of root's is exact in a capture throughout");

	total = worker_end(&located.worker);
	want = usage_between(located.base, total);
	good = counts_add_up(&located.capture, &located_faults, 0);
	if (!ok(good && located_faults.header->counted ==
		(uint64_t)(want.min_flt + want.maj_flt),
		"each fault of a process of root's is located throughout"))
		diag("%ld faults", want.min_flt + want.maj_flt);

	worker_request(&followed.worker, 'x', 0);
	total = wait_usage(followed.worker.pid);
	close(followed.worker.socket);
	want = usage_between(followed.base, total);
	good = capture_has(&followed.capture, 0);
	read_new(&followed);
	if (!ok(good && followed.history.counts.min_flt == want.min_flt &&
		followed.history.counts.maj_flt == want.maj_flt &&
		!followed.capture.header->dropped &&
		!followed.capture.header->denied,
		"a user's tree of processes is exact in the user's capture throughout"))
		diag("%ld of %ld minor faults, %lu dropped, %lu denied",
		     followed.history.counts.min_flt, want.min_flt,
		     (unsigned long)followed.capture.header->dropped,
		     (unsigned long)followed.capture.header->denied);

	fault_ring_unmap(&located_faults);
	capture_close(&classic.capture);
	capture_close(&captured.capture);
	capture_close(&located.capture);
	capture_close(&followed.capture);
}

/* ---- Phases ---- */

static bool has_performed_all(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		if (!shared->performed[i])
			return false;
	return true;
}

static bool has_reused_pids(void)
{
	return shared->counts[REUSED_PIDS] >= MIN_REUSES;
}

static bool has_loaded(void)
{
	return shared->counts[LOADS] >= MIN_LOADS;
}

static void load_module(unsigned int interval_ms)
{
	char params[120];

	snprintf(params, sizeof(params), LOAD_FORMAT, shared->records,
		 interval_ms);
	load_or_die(params);
}

/* Unload the module as soon as nothing holds it, and load it with so many @records. */
static void reload(unsigned int records)
{
	int tries = 0;
	long ret;

	while ((ret = unload()) == -EWOULDBLOCK) {
		/* While the workers pause, nothing does. */
		if (++tries == 20)
			__atomic_store_n(&shared->paused, true, __ATOMIC_RELAXED);
		sleep_ms(1);
	}
	if (ret)
		errx(1, "unload: %s", strerror(-ret));
	if (!access("/proc/mp3", F_OK))
		complain("/proc/mp3 exists after unloading");
	shared->records = records;
	load_module(1 + below(50));
	count_one(LOADS);
	__atomic_store_n(&shared->paused, false, __ATOMIC_RELAXED);
	sleep_ms(below(only_reload ? 5 : 30));
}

/* Take part in a phase: main()'s share of the work. */
static void take_part(enum phase phase)
{
	if (phase == RELOADED) {
		reload(RELOADED_RECORDS);
		return;
	}
	drive_bystanders();
	check_main_header();
	sleep_ms(20);
}

/* Receive and close what was sent and not received. */
static void empty_post(void)
{
	struct file file = { .fd = -1 };

	while (receive_file(&file))
		close(file.fd);
}

/*
 * If there is swap, start a process that uses more memory than there is. Returns its
 * pid, or 0.
 */
static pid_t start_thrashing(void)
{
	size_t kb = number_in("/proc/meminfo", "MemAvailable:"), pages;
	pid_t pid = 0;
	char *area;

	if (!number_in("/proc/meminfo", "SwapTotal:"))
		return 0;
	pages = (kb + kb / 4) / (PAGE / 1024);
	fflush(stdout);
	/* Pids may be scarce. */
	while ((pid = fork()) < 0)
		sleep_ms(1);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED || nice(10) < 0)
		err(1, "mmap or nice");
	for (;;)
		area[random_bits() % pages * PAGE]++;
}

/* Run the workers for some time, and longer until @is_enough; then kill them. */
static void run_phase(enum phase phase, int seconds, bool (*is_enough)(void))
{
	uint64_t end = now_ns() + seconds * 1000000000ull;
	pid_t thrasher = start_thrashing();
	unsigned int i;

	shared->phase = phase;
	for (i = 0; i < NR_WORKERS; i++)
		if (is_to_run(i))
			start_worker(i);
	do {
		take_part(phase);
		supervise_workers();
	} while (now_ns() < end ||
		 (runs_all() && is_enough && !is_enough()));
	shared->phase = STOP;
	for (i = 0; i < NR_WORKERS; i++)
		end_worker(i);
	if (thrasher)
		kill_child(thrasher);
	empty_post();
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	/* A worker may have been killed while the CPU was offline. */
	if (!access(ONLINE_PATH, W_OK))
		try_write(ONLINE_PATH, "1");
}

/* ---- What remains ---- */

/* Unregister all but the bystander from the status file. */
static void unregister_rest(void)
{
	char *text = status_text(), *line;

	for (line = text; *line; line = strchr(line, '\n') + 1)
		if (atoi(line) != shared->root_bystander)
			command('U', atoi(line));
	free(text);
}

/* The areas of vmalloc() that the module has: those of rings and headers. */
static int count_areas(void)
{
	FILE *file = fopen("/proc/vmallocinfo", "re");
	char line[300];
	int nr = 0;

	while (file && fgets(line, sizeof(line), file))
		nr += !!strstr(line, " [mp3] ");
	if (file)
		fclose(file);
	return nr;
}

/**
 * struct memory - what the kernel uses
 * @areas:   those of vmalloc() that the module has
 * @slab_kb: slab memory that is in use
 * @free_kb: all memory that is not
 */
struct memory {
	int areas;
	long slab_kb, free_kb;
};

static bool is_back(struct memory now, struct memory before)
{
	return now.areas == before.areas &&
	       now.slab_kb <= before.slab_kb + MARGIN_KB &&
	       now.free_kb >= before.free_kb - FREE_MARGIN_KB;
}

/*
 * Wait until only the bystanders are registered and have rings, and the kernel uses
 * no more memory than @before. Returns what it uses, at the latest after a minute.
 */
static struct memory settled_memory(struct memory before)
{
	struct memory now = { 0 };
	int i;

	set_interval("10");
	unregister_rest();
	for (i = 0; i < 60; i++) {
		sleep_ms(1000);
		now.slab_kb = slab_kb();
		now.free_kb = free_kib();
		now.areas = count_areas();
		/* What was freed in the last seconds needs time, too. */
		if (i >= 2 && is_back(now, before))
			break;
	}
	return now;
}

/* @before: what was in use before the operations. @after: of which kind they were */
static void test_memory(struct memory before, const char *after)
{
	bool is_kasan = !access(KMEMLEAK_PATH, F_OK);
	struct memory now, limit = before;
	char name[120];

	/* KASAN delays the frees; kmemleak reports what is lost. */
	if (is_kasan)
		limit = (struct memory){ before.areas, LONG_MAX / 2, 0 };
	now = settled_memory(limit);
	diag("slab: %ld kB, before %ld kB; free: %ld kB, before %ld kB",
	     now.slab_kb, before.slab_kb, now.free_kb, before.free_kb);
	snprintf(name, sizeof(name),
		 "the rings of captures that have ended are freed after %s", after);
	ok_eq(now.areas, before.areas, name);
	snprintf(name, sizeof(name),
		 "slab memory is back to where it was after %s, within 4 MiB", after);
	if (is_kasan)
		skip(name, "KASAN keeps freed memory");
	else
		ok(now.slab_kb <= before.slab_kb + MARGIN_KB, "%s", name);
	snprintf(name, sizeof(name),
		 "free memory is back to where it was after %s, within 32 MiB", after);
	if (is_kasan)
		skip(name, "KASAN keeps freed memory");
	else
		ok(now.free_kb >= before.free_kb - FREE_MARGIN_KB, "%s", name);
}

static void test_captures(void)
{
	int fds[MAX_CAPTURES], nr = 0;

	while (nr < MAX_CAPTURES && (fds[nr] = capture_try_open()) >= 0)
		nr++;
	ok_eq(nr, MAX_CAPTURES, "63 captures can be opened at the end");
	while (nr--)
		close(fds[nr]);
}

static void close_ring(void)
{
	munmap((void *)ring.samples, ring.data_size);
	munmap((void *)ring.header, PAGE);
	close(ring.fd);
}

/* ---- The test ---- */

static void print_counts(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		diag("%8lu %s", shared->performed[i], operations[i].name);
	for (i = 0; i < NR_COUNTS; i++)
		diag("%8lu %s", shared->counts[i], count_names[i]);
	for (i = 0; i < NR_WORKERS; i++)
		diag("worker %u, %s: %lu operations", i, workers[i].name,
		     (unsigned long)shared->next[i]);
	diag("%8ld major faults of the machine",
	     number_in("/proc/vmstat", "pgmajfault "));
}

static void check_complaints(void)
{
	unsigned int i;

	if (ok(!shared->nr_complaints,
	       "each result of each operation is one that the module documents"))
		return;
	for (i = 0; i < shared->nr_complaints && i < MAX_COMPLAINTS; i++) {
		const struct complaint *c = &shared->complaints[i];

		diag("worker %d, operation %lu, %s: %s", c->worker,
		     (unsigned long)c->number, c->operation, c->text);
	}
	diag("%u in all", shared->nr_complaints);
}

static void prepare(void)
{
	shared = shared_memory(sizeof(*shared));
	shared->root_bystander = -1;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, post))
		err(1, "socketpair");
	copy_program(PROGRAM, 0755);
	copy_program(SETUID_PROGRAM, 04755);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	unload_or_die();
	shared->records = TEST_RECORDS;
	load_module(50);
	ring = ring_open();
	write_file(USER_FAULTS_PATH, "1");
}

/* What processes execute. */
static int run_program(void)
{
	touch(8);
	usleep(getpid() % 4 * 500);
	return 0;
}

int main(int argc, char **argv)
{
	int seconds = argc > 2 ? atoi(argv[2]) : SECONDS;
	struct memory before, rest;
	char pid_max[16] = "";
	int areas, loaded, reloaded;
	FILE *file;

	if (argc > 1 && !strcmp(argv[1], "program"))
		return run_program();
	seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
	if (argc > 3)
		only_worker = atoi(argv[3]);
	if (argc > 4 && strcmp(argv[4], "reload"))
		only_operations = argv[4];
	only_reload = argc > 4 && !only_operations;
	reloaded = only_reload ? seconds : seconds / (only_operations ? 16 : 4);
	loaded = seconds - reloaded;
	diag("seed %lu, %d seconds", (unsigned long)seed, seconds);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	random_start(seed, MAX_WORKERS, 0);
	prepare();
	areas = count_areas();
	start_bystanders();
	before = (struct memory){ count_areas(), LONG_MAX / 2, 0 };

	/* The first part brings in what the kernel keeps. */
	run_phase(LOADED, loaded / 3, NULL);
	before = settled_memory(before);
	run_phase(LOADED, loaded / 2, has_performed_all);
	file = fopen(PID_MAX_PATH, "re");
	if (!file || !fgets(pid_max, sizeof(pid_max), file))
		err(1, PID_MAX_PATH);
	fclose(file);
	write_file(PID_MAX_PATH, SMALL_PID_MAX);
	/* The next pids wrap, to those that the other phases have used. */
	try_write(LAST_PID_PATH, SMALL_PID_MAX);
	are_pids_scarce = true;
	run_phase(LOADED, loaded / 6, has_reused_pids);
	write_file(PID_MAX_PATH, pid_max);

	test_memory(before, "the operations");
	end_bystanders();
	ok(sampler_stops(&ring) && !ring.header->processes,
	   "nothing is registered at the end");
	test_captures();
	close_ring();
	rest = (struct memory){ areas, before.slab_kb, before.free_kb };
	run_phase(RELOADED, reloaded, has_loaded);
	/* The kernel closes the last files of io_uring and of sockets later. */
	reload(TEST_RECORDS);
	test_memory(rest, "loading and unloading");
	ok(!command('R', getpid()) && listed(getpid()) == 1 &&
	   !command('U', getpid()),
	   "the module registers processes after it was loaded many times");

	print_counts();
	ok(!runs_all() || has_performed_all(),
	   "each operation was performed");
	check_complaints();

	return done();
}
