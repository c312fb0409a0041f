// SPDX-License-Identifier: GPL-2.0
/*
 * F of a tree in which processes fork and exit all the time: each process that is
 * alive when F returns is registered, and each that is forked later is counted
 * from its first instruction. A load of forking processes is followed, stopped,
 * and compared with the list and with wait4(2). Delays in a fork and in
 * an exit cover the points where F could miss a process.
 *
 * Usage: adopt [SEED], which repeats the loads of that seed.
 */
#include <dirent.h>

#include "tree.h"

#define ROUNDS		25	/* of each kind of load, at most */
#define SECONDS		60	/* after which no other round begins */
#define MAX_ALIVE	80	/* processes of a load */
#define AT_END		10	/* pages that each process touches before it exits */

enum phase { FORKING, FOLLOWED, STOPPED };

/**
 * struct fork_load - what the processes of a load share with the test
 * @phase:      FOLLOWED once F has returned, STOPPED when forking has to end
 * @nr_alive:   approximate number of processes
 * @nr_waiting: number of processes that have stopped forking
 * @waiting:    their pids; in the end every process that is left
 */
static struct fork_load {
	enum phase phase;
	int nr_alive;
	unsigned int nr_waiting;
	pid_t waiting[4096];
} *fork_load;

/**
 * struct load_kind - a kind of load
 * @name:       what is special about it
 * @subreapers: the first process and others are subreapers: no orphan escapes
 * @threads:    the first process forks in threads that come and go
 * @nested:     a child of the first process is followed at the same time
 */
struct load_kind {
	const char *name;
	bool subreapers, threads, nested;
};

static int release_pipe[2];	/* closed when waiting processes may exit */

static enum phase phase(void)
{
	return __atomic_load_n(&fork_load->phase, __ATOMIC_ACQUIRE);
}

/* ---- Processes of a load ---- */

/* Stop forking, wait for the test, then touch some pages and exit. */
static void __attribute__((noreturn)) wait_release(void)
{
	char byte;

	fork_load->waiting[__atomic_fetch_add(&fork_load->nr_waiting, 1,
					      __ATOMIC_SEQ_CST)] = getpid();
	if (read(release_pipe[0], &byte, 1))
		_exit(1);
	touch(AT_END);
	_exit(0);
}

/* Exit, and make room for another process. */
static void __attribute__((noreturn)) exit_counted(void)
{
	__atomic_sub_fetch(&fork_load->nr_alive, 1, __ATOMIC_RELAXED);
	_exit(0);
}

/* Fork a child and log its birth. Returns -1 if there are enough processes. */
static pid_t fork_counted(void)
{
	bool after_follow = phase() >= FOLLOWED;
	pid_t pid, parent = getpid();

	if (__atomic_add_fetch(&fork_load->nr_alive, 1, __ATOMIC_RELAXED) >
	    MAX_ALIVE) {
		__atomic_sub_fetch(&fork_load->nr_alive, 1, __ATOMIC_RELAXED);
		sched_yield();
		return -1;
	}
	pid = fork_child();
	if (!pid)
		log_usage(USAGE_FORKED, getpid(), parent, (struct usage){ 0 },
			  after_follow);
	return pid;
}

/* Many files to close make an exit take long. */
static void open_many_files(void)
{
	int i;

	for (i = 0; i < 200; i++)
		dup(release_pipe[0]);
}

/* Fork, wait for some children but not for others, and exit at random. */
static void fork_loop(unsigned int seed, const struct load_kind *kind, bool ends)
{
	unsigned int steps;

again:
	seed += getpid();
	steps = 1 + rand_r(&seed) % 8;
	if (ends && rand_r(&seed) % 4 == 0)
		open_many_files();
	if (kind->subreapers && rand_r(&seed) % 8 == 0)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (!ends || steps--) {
		if (phase() == STOPPED)
			wait_release();
		if (!fork_counted()) {
			ends = true;
			if (rand_r(&seed) % 3)
				goto again;
			touch(rand_r(&seed) % 4);
			exit_counted();
		}
		if (rand_r(&seed) % 2)
			wait_and_log(-1, WNOHANG);
		if (rand_r(&seed) % 8 == 0)
			usleep(rand_r(&seed) % 2000);
	}
	exit_counted();
}

struct fork_batch {
	unsigned int seed;
	const struct load_kind *kind;
};

static void *fork_children(void *arg)
{
	struct fork_batch *batch = arg;
	int i;

	for (i = 0; i < 3; i++)
		if (!fork_counted())
			fork_loop(batch->seed + i, batch->kind, true);
	return NULL;
}

/* Fork in threads, so that children get another parent when a thread ends. */
static void fork_loop_by_threads(unsigned int seed, const struct load_kind *kind)
{
	struct fork_batch batch[2] = { { seed, kind }, { seed + 1, kind } };
	pthread_t threads[2];
	int i;

	while (phase() != STOPPED) {
		for (i = 0; i < 2; i++)
			if (pthread_create(&threads[i], NULL, fork_children,
					   &batch[i]))
				errx(1, "pthread_create");
		for (i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		while (wait_and_log(-1, WNOHANG))
			;
		seed += 2;
	}
	wait_release();
}

static pid_t start_fork_load(unsigned int seed, const struct load_kind *kind)
{
	pid_t pid;
	int i;

	memset(fork_load, 0, sizeof(*fork_load));
	if (pipe(release_pipe))
		err(1, "pipe");
	fflush(stdout);
	pid = fork_child();
	if (pid) {
		setpgid(pid, pid);
		close(release_pipe[0]);
		return pid;
	}
	setpgid(0, 0);
	close(release_pipe[1]);
	if (kind->subreapers)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (kind->threads)
		fork_loop_by_threads(seed, kind);
	for (i = 0; i < 3; i++)
		if (!fork_counted())
			fork_loop(seed + i, kind, false);
	fork_loop(seed + 3, kind, false);
	return 0;
}

/* ---- The state of a load ---- */

static bool is_waiting(pid_t pid)
{
	unsigned int i;

	for (i = 0; i < fork_load->nr_waiting; i++)
		if (fork_load->waiting[i] == pid)
			return true;
	return false;
}

/* Check that every process that stopped forking sleeps. */
static bool is_quiet(void)
{
	struct stat_line stat;
	unsigned int i;

	for (i = 0; i < fork_load->nr_waiting; i++)
		if (!stat_of(fork_load->waiting[i], &stat) || stat.state != 'S')
			return false;
	return true;
}

/* Count the processes of a process group, without zombies. */
static unsigned int count_group(pid_t group)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	struct stat_line stat;
	unsigned int nr = 0;

	if (!proc)
		err(1, "/proc");
	while ((entry = readdir(proc)))
		nr += atoi(entry->d_name) &&
		      stat_of(atoi(entry->d_name), &stat) &&
		      stat.group == group && !strchr("ZX", stat.state);
	closedir(proc);

	return nr;
}

/* Wait until every process that is left waits for the test. */
static void wait_quiet(pid_t root)
{
	int i;

	for (i = 0; i < 6000; i++) {
		/* Read this first: a process may fork just before it waits. */
		unsigned int nr = __atomic_load_n(&fork_load->nr_waiting,
						  __ATOMIC_SEQ_CST);

		if (count_group(root) == nr && is_quiet())
			return;
		sleep_ms(10);
	}
	errx(1, "%u of %u processes wait after a minute", fork_load->nr_waiting,
	     count_group(root));
}

/* Check in /proc that @pid descends from @root. */
static bool is_descendant(pid_t pid, pid_t root)
{
	struct stat_line stat;

	while (pid != root && pid > 1)
		pid = stat_of(pid, &stat) ? stat.parent : 0;
	return pid == root;
}

/*
 * Check that each descendant of @root is listed once, and that no process outside
 * of the load is. Orphans that escaped before F may or may not be listed. Notes in
 * @is_listed which of the waiting processes are.
 */
static bool check_list(pid_t root, bool *is_listed)
{
	char *text = status_text(), *line;
	unsigned int i, times, nr = 0, wrong = 0;
	pid_t pid;

	memset(is_listed, 0, fork_load->nr_waiting * sizeof(*is_listed));
	for (line = text; *line; line = strchr(line, '\n') + 1, nr++)
		if (!is_waiting(atoi(line)) && !wrong++)
			diag("%d is listed, but not part of the load", atoi(line));
	for (i = 0; i < fork_load->nr_waiting; i++) {
		pid = fork_load->waiting[i];
		times = 0;
		for (line = text; *line; line = strchr(line, '\n') + 1)
			times += atoi(line) == pid;
		is_listed[i] = times;
		if ((times == 1 || (!times && !is_descendant(pid, root))) || wrong++)
			continue;
		diag("%d is listed %u times", pid, times);
	}
	free(text);
	if (wrong)
		diag("%u wait, %u listed, %u are wrong", fork_load->nr_waiting, nr,
		     wrong);
	return !wrong;
}

/* ---- One round ---- */

/* Wait for 20 more forks, however slow the machine is. */
static void wait_forks(void)
{
	unsigned int nr = __atomic_load_n(&usage_log->nr, __ATOMIC_ACQUIRE);
	int i;

	for (i = 0; i < 5000 &&
	     __atomic_load_n(&usage_log->nr, __ATOMIC_ACQUIRE) < nr + 20;
	     i++)
		sleep_ms(1);
}

/* Wait for a logged child of @root, and return its pid. */
static pid_t find_child(pid_t root)
{
	unsigned int i;

	for (;;) {
		for (i = 0; i < __atomic_load_n(&usage_log->nr,
						__ATOMIC_ACQUIRE); i++) {
			const struct usage_entry *entry =
				&usage_log->entries[i];

			if (entry->source == USAGE_FORKED &&
			    entry->waiter == root)
				return entry->pid;
		}
		sleep_ms(1);
	}
}

/* Follow @root and, if nested, one of its children from another CPU. */
static bool follow_load(pid_t root, const struct load_kind *kind)
{
	pid_t child, other = 0;
	int ret, status = 0;

	if (kind->nested) {
		child = find_child(root);
		other = fork_child();
		if (!other) {
			pin_to(1);
			_exit(-command('F', child));
		}
		sched_yield();
	}
	ret = command('F', root);
	__atomic_store_n(&fork_load->phase, FOLLOWED, __ATOMIC_RELEASE);
	if (other)
		waitpid(other, &status, 0);
	/* The child may be registered already, or have exited. */
	if (!ret && (!status || WEXITSTATUS(status) == EEXIST ||
		     WEXITSTATUS(status) == ESRCH))
		return true;
	diag("F: %s, F of a child: %s", strerror(-ret),
	     strerror(WEXITSTATUS(status)));
	return false;
}

/* Minor faults of the listed processes and of the children they waited for. */
static long faults_of(const bool *is_listed, bool at_end)
{
	struct stat_line stat;
	unsigned int i, j;
	long sum = 0;

	for (i = 0; i < fork_load->nr_waiting; i++) {
		if (!is_listed[i])
			continue;
		if (!at_end && stat_of(fork_load->waiting[i], &stat))
			sum += stat.flt[0] + stat.flt[1];
		for (j = 0; at_end && j < usage_log->nr; j++)
			if (usage_log->entries[j].source == USAGE_WAITED &&
			    usage_log->entries[j].pid == fork_load->waiting[i])
				sum += usage_log->entries[j].usage.min_flt;
	}
	return sum;
}

static unsigned int nr_after_follow;	/* forked after F had returned */

/*
 * Check that each process with records has a first and a last one, and no more
 * faults than expected. A process that was forked after F had returned has to have
 * exactly those; if orphans escape, only if its parent has records.
 */
static bool check_counts(const struct expected_counts *counts, bool no_escape)
{
	unsigned int i, wrong = counts->unknown;
	struct process_counts *process, *parent;

	for (i = 0; i < counts->nr; i++) {
		process = &counts->processes[i];
		if (!process->records ||
		    (process->ordered && process->ended &&
		     process->first == 1 && process->last == 1 &&
		     process->recorded.min_flt <= process->expected.min_flt))
			continue;
		if (wrong++ < 5)
			process_diag(process);
	}
	for (i = 0; i < usage_log->nr; i++) {
		const struct usage_entry *entry = &usage_log->entries[i];

		if (entry->source != USAGE_FORKED || !entry->after_follow)
			continue;
		process = expected_find(counts, entry->pid);
		parent = expected_find(counts, entry->waiter);
		if (!no_escape && (!parent || !parent->records))
			continue;
		nr_after_follow++;
		if (!process_matches(process) && wrong++ < 5) {
			diag("forked after F by %d:", entry->waiter);
			process_diag(process);
		}
	}
	return !wrong;
}

static unsigned int nr_processes;	/* of all rounds */

static bool fork_load_round(unsigned int seed, const struct load_kind *kind)
{
	static bool is_listed[4096];
	struct expected_counts counts;
	struct totals window;
	uint64_t from;
	long expected;
	pid_t root;
	bool good;

	expected_begin(&counts);
	root = start_fork_load(seed, kind);
	while (__atomic_load_n(&fork_load->nr_alive, __ATOMIC_RELAXED) < 10)
		usleep(500);
	usleep(rand_r(&seed) % 5000);
	good = follow_load(root, kind);
	wait_forks();
	usleep(rand_r(&seed) % 10000);
	__atomic_store_n(&fork_load->phase, STOPPED, __ATOMIC_RELEASE);
	wait_quiet(root);
	/* Exited processes are unregistered now; later faults are known exactly. */
	wait_tick();
	good &= check_list(root, is_listed);
	from = ring_head(&ring);
	expected = -faults_of(is_listed, false);
	close(release_pipe[1]);
	while (wait_and_log(-1, 0))
		;
	wait_idle(&ring);
	expected += faults_of(is_listed, true);
	window = ring_sum(&ring, from);
	if (window.min_flt != (unsigned long)expected || expected < AT_END) {
		diag("minor faults at the end: samples %lu, expected %ld",
		     window.min_flt, expected);
		good = false;
	}
	expected_finish(&counts);
	good &= check_counts(&counts, kind->subreapers);
	good &= counts.recorded.min_flt == counts.sampled.min_flt &&
		counts.recorded.maj_flt == counts.sampled.maj_flt &&
		!procs.header->dropped;
	nr_processes += counts.nr;
	expected_free(&counts);

	return good;
}

static void test_fork_load(unsigned int first, const struct load_kind *kind)
{
	time_t end = time(NULL) + SECONDS;
	unsigned int i;
	bool all = true;

	nr_processes = 0;
	nr_after_follow = 0;
	for (i = 0; i < ROUNDS && (!nr_after_follow || time(NULL) < end); i++) {
		if (fork_load_round(first + i, kind))
			continue;
		diag("seed %u", first + i);
		all = false;
	}
	ok(all && nr_after_follow, "F of a forking tree registers every process: %s",
	   kind->name);
	diag("%u rounds, %u processes, %u of them forked after F", i, nr_processes,
	     nr_after_follow);
}

/* ---- F at one point of a fork or an exit ---- */

/*
 * F meets a process that exits: its memory is gone, but it still has children,
 * which F must not miss.
 */
static void test_exiting_parent(void)
{
	static const char name[] =
		"F registers the child of a process that is about to exit";
	pid_t pids[4];
	bool registered;
	int i;

	pids[0] = start_actors();
	actor_request(0, 's', 0);
	for (i = 1; i < 4; i++)
		pids[i] = actor_request(i - 1, 'f', i);
	if (!delay_once(pids[1], "exit_sem", 2000)) {
		skip(name, "no kprobes");
	} else {
		actor_request(1, 'x', 0);
		wait_state(pids[1], 'D');
		command_or_die('F', pids[0]);
		registered = listed(pids[2]) == 1 && listed(pids[3]) == 1;
		actor_request(0, 'w', pids[1]);
		wait_tick();
		ok(registered & LISTS(pids[0], pids[2], pids[3]), "%s", name);
		fail_unload();
	}
	end_actors(pids, 4);
	wait_idle(&ring);
}

/* One actor forks, and is delayed at @symbol while another is followed. */
static void test_fork_race(const char *symbol, const char *name)
{
	struct expected_counts counts;
	bool registered;
	pid_t pids[4];
	int i;

	expected_begin(&counts);
	pids[0] = start_actors();
	pids[1] = actor_request(0, 'f', 1);
	if (!delay_once(pids[1], symbol, 2000)) {
		skip(name, "no kprobes");
		end_actors(pids, 2);
		return;
	}
	actor_send(1, 'f', 2);
	wait_state(pids[1], 'D');
	command_or_die('F', pids[0]);
	pids[2] = actor_answer(1);
	fail_unload();
	registered = LISTS(pids[0], pids[1], pids[2]);
	pids[3] = actor_request(2, 'f', 3);
	actor_request(3, 'm', 50);
	registered &= lists(pids, 4);
	for (i = 3; i >= 0; i--)
		actor_request(i, 'x', 0);
	while (wait_and_log(-1, 0))
		;
	end_actors(NULL, 0);
	wait_idle(&ring);
	expected_finish(&counts);
	for (i = 2; i < 4; i++)
		registered &= process_matches(expected_find(&counts, pids[i]));
	ok(registered, "%s", name);
	expected_free(&counts);
}

/* ---- F against exits and other commands ---- */

/* Follow processes that exit at random, with children that do the same. */
static void test_exit_race(unsigned int seed)
{
	unsigned int i, j, nr_followed = 0, nr_exited = 0, wrong = 0;
	struct expected_counts counts;
	struct usage none = { 0 };
	pid_t pid, parent;
	int ret;

	expected_begin(&counts);
	fflush(stdout);
	for (i = 0; i < 300; i++) {
		pid = fork_child();
		if (!pid) {
			parent = getpid();
			for (j = 0; j < 4; j++) {
				if (fork_child())
					continue;
				log_usage(USAGE_FORKED, getpid(), parent, none, false);
				usleep(rand_r(&seed) % 2000);
				touch(3);
				_exit(0);
			}
			usleep(rand_r(&seed) % 2000);
			_exit(0);
		}
		usleep(rand_r(&seed) % 6000);
		ret = command('F', pid);
		nr_followed += !ret;
		nr_exited += ret == -ESRCH;
		wrong += ret && ret != -ESRCH;
		while (wait_and_log(-1, i % 10 ? WNOHANG : 0))
			;
	}
	while (wait_and_log(-1, 0))
		;
	wait_idle(&ring);
	expected_finish(&counts);
	diag("%u were followed, %u had exited before", nr_followed, nr_exited);
	ok(!wrong && nr_followed && check_counts(&counts, false) &&
	   counts.recorded.min_flt == counts.sampled.min_flt,
	   "F of a process that exits registers it or is ESRCH, and no process stays");
	expected_free(&counts);
}

static bool is_stopped(void)
{
	return phase() == STOPPED;
}

/* Write one command after another for processes of the load. */
static void write_commands(unsigned int seed, char letter, pid_t root)
{
	while (!is_stopped()) {
		unsigned int nr = __atomic_load_n(&usage_log->nr, __ATOMIC_ACQUIRE);
		pid_t pid = root;
		int ret;

		/* One of the last 50 that were forked, or the first of all. */
		if (nr > 50 && rand_r(&seed) % 4)
			pid = usage_log->entries[nr - 1 - rand_r(&seed) % 50].pid;
		ret = pid ? command(letter, pid) : 0;
		if (ret && ret != -EEXIST && ret != -ESRCH)
			_exit(-ret);
	}
	_exit(0);
}

/* Two processes write F, two write U and one writes R, for the same load. */
static void test_command_race(unsigned int seed)
{
	static const struct load_kind kind = { .subreapers = true };
	static const char letters[] = "FFUUR";
	pid_t pids[5], root;
	struct expected_counts counts;
	unsigned int i, failed = 0;
	bool sane = true;
	int status;

	expected_begin(&counts);
	root = start_fork_load(seed, &kind);
	for (i = 0; i < 5; i++) {
		pids[i] = fork_child();
		if (!pids[i])
			write_commands(seed + i, letters[i], root);
	}
	for (i = 0; i < 50; i++) {
		char *text = status_text(), *line, *other;

		for (line = text; *line; line = strchr(line, '\n') + 1)
			for (other = strchr(line, '\n') + 1; *other;
			     other = strchr(other, '\n') + 1)
				sane &= atoi(line) != atoi(other);
		free(text);
		sleep_ms(60);
	}
	__atomic_store_n(&fork_load->phase, STOPPED, __ATOMIC_RELEASE);
	for (i = 0; i < 5; i++) {
		waitpid(pids[i], &status, 0);
		failed += status != 0;
	}
	wait_quiet(root);
	status = command('F', root);
	failed += status && status != -EEXIST;
	close(release_pipe[1]);
	while (wait_and_log(-1, 0))
		;
	wait_idle(&ring);
	expected_finish(&counts);
	for (i = 0; i < counts.nr; i++) {
		struct process_counts *process = &counts.processes[i];

		/* Faults between U and F are not recorded. */
		if (process->records &&
		    (!process->first || !process->last || !process->ended ||
		     process->recorded.min_flt > process->expected.min_flt)) {
			process_diag(process);
			sane = false;
		}
	}
	ok(!failed && sane && !counts.unknown &&
	   counts.recorded.min_flt == counts.sampled.min_flt,
	   "concurrent F, U and R in a forking tree list no process twice and leave none");
	expected_free(&counts);
}

int main(int argc, char **argv)
{
	static const struct load_kind kinds[] = {
		{ "orphans stay in the tree", true, false, false },
		{ "orphans escape", false, false, false },
		{ "threads fork", true, true, false },
		{ "a child is followed at the same time", true, false, true },
	};
	unsigned int i, seed = time(NULL);

	if (argc > 1)
		seed = strtoul(argv[1], NULL, 10);

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	write_file(PID_MAX_PATH, "4194304");
	open_rings();
	usage_log_create();
	fork_load = shared_memory(sizeof(*fork_load));

	diag("fork loads: seed %u", seed);
	test_exiting_parent();
	test_fork_race("copy_semundo",
		       "F registers a child whose fork is not complete yet");
	test_fork_race("uprobe_copy_process",
		       "F registers a child that the fork probe has not seen yet exactly once");
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		test_fork_load(seed, &kinds[i]);
	test_exit_race(seed);
	test_command_race(seed);

	return done();
}
