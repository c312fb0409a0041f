// SPDX-License-Identifier: GPL-2.0
/*
 * Following. Which processes F follows is checked with actors, which fork in every
 * way on request. That their counts are exact is checked with trees of processes,
 * however short they live: the samples, and the records of each process, have to
 * match wait4(2).
 *
 * Usage: follow [SEED [NR]], which runs NR (1) random trees, with seeds from SEED.
 *
 * vm: -s 128
 */
#include <linux/sched.h>
#include <spawn.h>
#include <sys/stat.h>

#include "tree.h"

#define NR_SHORT_LIVED	1000
#define NR_TREES	8
#define TREE_SIZE	120	/* processes of a random tree, at most */
#define EXEC_PAGES	"40"

static pid_t pids[NR_SHORT_LIVED];
static unsigned int *tree_size;	/* of a random tree, shared */

/* ---- A followed tree ---- */

/*
 * Run a tree and compare it with wait4(2). Its first process follows itself. The
 * test is a subreaper: it waits for each process that no other waits for.
 */
static bool run_tree(void (*behavior)(unsigned int), unsigned int seed,
		     struct expected_counts *counts)
{
	siginfo_t info = { 0 };
	pid_t pid;
	bool good;

	fflush(stdout);
	expected_begin(counts);
	pid = fork_child();
	if (!pid) {
		command_self('F');
		behavior(seed);
		_exit(0);
	}
	/* Check how it ended first: wait_and_log() only logs its usage. */
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	while (wait_and_log(-1, 0))
		;
	wait_idle(&ring);
	expected_finish(counts);
	good = info.si_code == CLD_EXITED && !info.si_status;
	if (!good)
		diag("the first process of the tree failed");
	if (procs.header->dropped)
		diag("%lu processes were dropped",
		     (unsigned long)procs.header->dropped);
	return good && !procs.header->dropped;
}

/* @processes and @faults are the least that the tree has to have. */
static void test_tree(const char *name, void (*behavior)(unsigned int),
		      unsigned int processes, long faults)
{
	struct expected_counts counts;
	bool good = run_tree(behavior, 1, &counts);

	if (!ok(totals_match(&counts) && good && counts.nr >= processes &&
		counts.total.min_flt >= faults,
		"samples and records match wait4 for %s", name))
		diag("%u processes with %ld faults, want %u and %ld",
		     counts.nr, counts.total.min_flt, processes, faults);
	ok(processes_match(&counts), "the records of each process match wait4 for %s",
	   name);
	expected_free(&counts);
}

/* ---- Behaviors of trees ---- */

/* Half of the children are waited for here, and half become orphans. */
static void short_lived(unsigned int seed)
{
	unsigned int i, ms, pages;

	for (i = 0; i < NR_SHORT_LIVED; i++) {
		ms = rand_r(&seed) % 41;
		pages = rand_r(&seed) % 30;
		pids[i] = fork_child();
		if (!pids[i]) {
			touch(pages / 2);
			sleep_ms(ms);
			touch(pages - pages / 2);
			_exit(0);
		}
	}
	for (i = 0; i < NR_SHORT_LIVED; i += 2)
		wait_and_log(pids[i], 0);
}

/* Fork twice, as daemons do: the child of a short-lived child becomes an orphan. */
static void double_forks(unsigned int seed)
{
	int i;

	for (i = 0; i < 100; i++) {
		pid_t pid = fork_child();

		if (!pid) {
			if (!fork_child()) {
				touch(rand_r(&seed) % 20);
				sleep_ms(rand_r(&seed) % 10);
				touch(5);
			}
			_exit(0);
		}
		if (i % 2)
			wait_and_log(pid, 0);
	}
}

/* Each process forks the next, and half of them outlive their parents. */
static void chain(unsigned int seed)
{
	int depth;

	(void)seed;
	for (depth = 0; depth < 60; depth++) {
		pid_t pid = fork_child();

		if (pid) {
			touch(2);
			if (depth % 2)
				wait_and_log(pid, 0);
			_exit(0);
		}
		touch(3);
	}
	sleep_ms(60);
}

static void *fork_20(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	int i;

	for (i = 0; i < 20; i++) {
		pid_t pid = fork_child();

		if (!pid) {
			touch(rand_r(&seed) % 20);
			_exit(0);
		}
		touch(1);
		if (i % 3)
			wait_and_log(pid, 0);
	}
	return NULL;
}

static void forking_threads(unsigned int seed)
{
	pthread_t threads[10];
	uintptr_t i;

	for (i = 0; i < 10; i++)
		if (pthread_create(&threads[i], NULL, fork_20,
				   (void *)(seed + i)))
			errx(1, "pthread_create");
	for (i = 0; i < 10; i++)
		pthread_join(threads[i], NULL);
}

/* Threads go on forking after the leader has exited. */
static void exiting_leader(unsigned int seed)
{
	pthread_t thread;
	uintptr_t i;

	for (i = 0; i < 4; i++)
		if (pthread_create(&thread, NULL, fork_20,
				   (void *)(seed + i)))
			errx(1, "pthread_create");
	syscall(SYS_exit, 0);
}

static void exec_touch(void)
{
	execl("/proc/self/exe", "follow", "touch", EXEC_PAGES, NULL);
	_exit(127);
}

/* The child borrows its parent's memory, in which its first faults occur. */
static pid_t vfork_child(bool executes)
{
	pid_t pid = vfork();

	if (pid < 0)
		err(1, "vfork");
	if (pid)
		return pid;
	if (executes)
		exec_touch();
	_exit(0);
}

static void vforks(unsigned int seed)
{
	static char *const argv[] = { "follow", "touch", EXEC_PAGES, NULL };
	pid_t pid;
	int i;

	(void)seed;
	for (i = 0; i < 60; i++) {
		if (i % 3)
			pid = vfork_child(i % 3 == 1);
		else if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv,
				     environ))
			errx(1, "posix_spawn");
		if (i % 4)
			wait_and_log(pid, 0);
	}
}

static void *exec_in_thread(void *arg)
{
	exec_touch();
	return arg;
}

static void *touch_forever(void *arg)
{
	for (;;)
		touch(8);
	return arg;
}

/* A thread takes over the leader's pid by exec, while other threads run. */
static void exec_by_threads(unsigned int seed)
{
	pthread_t thread;
	int i, j;

	(void)seed;
	for (i = 0; i < 10; i++) {
		if (fork_child())
			continue;
		for (j = 0; j < 3; j++)
			pthread_create(&thread, NULL, touch_forever, NULL);
		touch(10);
		pthread_create(&thread, NULL, exec_in_thread, NULL);
		pthread_join(thread, NULL);
		_exit(1);
	}
}

/* By CLONE_PARENT, followed processes fork children of one that is not followed. */
static void siblings(unsigned int seed)
{
	int i;

	(void)seed;
	for (i = 0; i < 40; i++) {
		if (i % 2 && fork_child())
			continue;
		if (!clone_with(CLONE_PARENT | SIGCHLD)) {
			touch(7);
			_exit(0);
		}
		if (i % 2)
			_exit(0);
	}
}

/* Clones with another exit signal or none, shared files, or new namespaces. */
static void unusual_clones(unsigned int seed)
{
	static const unsigned long flags[] = {
		0, SIGUSR1, SIGCHLD | CLONE_FILES | CLONE_FS,
		SIGCHLD | CLONE_NEWNS | CLONE_NEWPID, SIGCHLD | CLONE_IO,
		SIGCHLD | CLONE_UNTRACED,
	};
	size_t i;

	(void)seed;
	signal(SIGUSR1, SIG_IGN);
	for (i = 0; i < 60; i++) {
		if (!clone_with(flags[i % ARRAY_SIZE(flags)])) {
			/* The end of a pid namespace would kill the child. */
			if (getpid() != 1 && i % 2 && !fork_child()) {
				touch(3);
				_exit(0);
			}
			touch(6);
			_exit(0);
		}
	}
}

/* Children that are not waited for log their own usage. */
static void ignored_children(unsigned int seed)
{
	int i;

	signal(SIGCHLD, SIG_IGN);
	for (i = 0; i < 200; i++) {
		if (!fork_child()) {
			touch(rand_r(&seed) % 10);
			sleep_ms(rand_r(&seed) % 20);
			log_and_exit();
		}
	}
}

static void killed_children(unsigned int seed)
{
	int i;

	for (i = 0; i < 40; i++) {
		pids[i] = fork_child();
		if (!pids[i]) {
			if (i % 2)
				pthread_create(&(pthread_t){ 0 }, NULL,
					       touch_forever, NULL);
			touch_forever(NULL);
		}
	}
	for (i = 0; i < 40; i++) {
		sleep_ms(rand_r(&seed) % 10);
		kill(pids[i], SIGKILL);
	}
}

/* ---- Random trees ---- */

static void random_process(unsigned int seed, int depth);

struct fork_request {
	unsigned int seed;
	int depth;
};

static void *fork_random_processes(void *arg)
{
	struct fork_request *request = arg;
	int i;

	for (i = 0; i < 3; i++) {
		if (!fork_child()) {
			random_process(request->seed + i, request->depth + 1);
			_exit(0);
		}
	}
	free(request);
	return NULL;
}

static void start_forking_thread(unsigned int seed, int depth,
				 pthread_t *thread)
{
	struct fork_request *request = malloc(sizeof(*request));

	if (!request)
		err(1, "malloc");
	*request = (struct fork_request){ seed, depth };
	if (pthread_create(thread, NULL, fork_random_processes, request))
		errx(1, "pthread_create");
}

/* Count one more process. Returns false if the tree is large or deep enough. */
static bool claim_process(int depth)
{
	return depth < 12 && __atomic_add_fetch(tree_size, 1, __ATOMIC_RELAXED) <=
			     TREE_SIZE;
}

/*
 * A process of a random tree. If it is going to be killed, it waits for no child,
 * whose usage would be lost.
 */
static void random_process(unsigned int seed, int depth)
{
	bool dies = depth && rand_r(&seed) % 8 == 0;
	int i, steps = 2 + rand_r(&seed) % 6, nr_threads = 0;
	pthread_t threads[8];
	pid_t pid = 0;

	for (i = 0; i < steps; i++) {
		unsigned int below = rand_r(&seed);

		switch (rand_r(&seed) % 10) {
		case 0:
			sleep_ms(rand_r(&seed) % 30);
			break;
		case 1:
			if (claim_process(depth) && !dies)
				start_forking_thread(below, depth,
						     &threads[nr_threads++]);
			break;
		case 2:
			if (claim_process(depth))
				pid = vfork_child(true);
			break;
		case 3:
			if (pid > 0 && !dies)
				wait_and_log(pid, 0);
			pid = 0;
			break;
		case 4:
			/*
			 * This clone bypasses the C library: with other threads
			 * the child could find one of its locks held.
			 */
			if (nr_threads || !claim_process(depth))
				break;
			if (!clone_with(CLONE_PARENT | SIGCHLD)) {
				random_process(below, depth + 1);
				_exit(0);
			}
			break;
		case 5:
		case 6:
			if (!claim_process(depth))
				break;
			pid = fork_child();
			if (!pid) {
				random_process(below, depth + 1);
				_exit(0);
			}
			break;
		default:
			touch(rand_r(&seed) % 50);
		}
	}
	for (i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	if (dies)
		kill(getpid(), SIGKILL);
	else if (depth && rand_r(&seed) % 8 == 0)
		exec_touch();
}

static void random_tree(unsigned int seed)
{
	random_process(seed, 0);
}

static void test_random_trees(unsigned int first, unsigned int nr)
{
	unsigned int i, processes = 0;
	bool all = true;

	diag("random trees: seeds %u to %u", first, first + nr - 1);
	for (i = 0; i < nr; i++) {
		struct expected_counts counts;
		bool good;

		*tree_size = 0;
		good = run_tree(random_tree, first + i, &counts);
		good &= totals_match(&counts) & processes_match(&counts);
		processes += counts.nr;
		expected_free(&counts);
		if (good)
			continue;
		diag("seed %u", first + i);
		all = false;
	}
	ok(all, "samples and records match wait4 for %u random trees", nr);
	diag("%u processes in the random trees", processes);
}

/* ---- Which processes are followed ---- */

/* actor[i] is the pid of actor i. A child is registered when fork returns. */
static void test_future_children(void)
{
	pid_t actor[9];

	actor[0] = start_actors();
	command_or_die('F', actor[0]);
	actor[1] = actor_request(0, 'f', 1);
	ok(LISTS(actor[0], actor[1]), "a child of a followed process is registered");
	actor[2] = actor_request(1, 'f', 2);
	ok(lists(actor, 3), "a grandchild of a followed process is registered");
	actor[3] = actor_request(2, 't', 3);
	actor[4] = actor_request(0, 'e', 4);
	ok(lists(actor, 5),
	   "children forked by threads of followed processes are registered");
	actor[5] = actor_request(2, 'p', 5);
	actor[6] = actor_request(0, 'p', 6);
	ok(lists(actor, 7),
	   "children cloned by followed processes with CLONE_PARENT are registered");

	actor_request(1, 'x', 0);
	actor_request(0, 'w', actor[1]);
	wait_tick();
	actor[7] = actor_request(2, 'f', 7);
	ok(LISTS(actor[0], actor[2], actor[3], actor[4], actor[5], actor[6],
		 actor[7]),
	   "an orphan stays followed after its parent has exited and is unregistered");

	ok(command('F', actor[2]) == -EEXIST && command('R', actor[2]) == -EEXIST &&
	   command('F', actor[0]) == -EEXIST,
	   "F and R of a followed process are EEXIST");
	end_actors(actor, 8);
	wait_idle(&ring);
}

/* R does not follow, and U of a process does not affect its children. */
static void test_unregister(void)
{
	pid_t actor[9];

	actor[0] = start_actors();
	command_or_die('R', actor[0]);
	actor[1] = actor_request(0, 'f', 1);
	ok(LISTS(actor[0]),
	   "a child of a process registered by R is not registered");
	command_or_die('F', actor[0]);
	ok(LISTS(actor[0], actor[1]),
	   "F after R follows the process and registers its child");
	actor[2] = actor_request(1, 'f', 2);
	/* No tick comes in between: U alone has to end the following. */
	set_interval("10000");
	command_or_die('U', actor[0]);
	actor[3] = actor_request(0, 'f', 3);
	set_interval("50");
	ok(LISTS(actor[1], actor[2]),
	   "a child that a process forks after U is not registered");
	actor[4] = actor_request(1, 'f', 4);
	ok(LISTS(actor[1], actor[2], actor[4]),
	   "U of a process leaves its children registered and followed");
	command_or_die('U', actor[1]);
	command_or_die('R', actor[1]);
	actor[5] = actor_request(1, 'f', 5);
	ok(LISTS(actor[1], actor[2], actor[4]),
	   "a child forked after U and R of its parent is not registered");
	command_or_die('F', actor[1]);
	actor[6] = actor_request(1, 'f', 6);
	ok(LISTS(actor[1], actor[2], actor[4], actor[5], actor[6]),
	   "F after U and R registers the children forked in between");
	command_or_die('U', actor[6]);
	ok(LISTS(actor[1], actor[2], actor[4], actor[5]),
	   "U of a followed child leaves its parent registered");
	command_or_die('F', actor[0]);
	ok(lists(actor, 7),
	   "F of the first process registers all that were unregistered");
	end_actors(actor, 7);
	wait_idle(&ring);
}

/* Have the first actor fork. */
static void fork_once(void *unused)
{
	pid_t pid = actor_request(0, 'f', 1);

	(void)unused;
	actor_request(1, 'x', 0);
	actor_request(0, 'w', pid);
}

static void test_probe(void)
{
	static const char name[] =
		"the fork probe is attached while a process is followed, and detached soon after";
	pid_t pid = start_actors();
	bool called, detached, again;

	command_or_die('F', pid);
	if (probe_count_calls(pid, name)) {
		called = probe_is_called(fork_once, NULL);
		command_or_die('U', pid);
		detached = probe_is_detached(fork_once, NULL);
		command_or_die('F', pid);
		again = probe_is_called(fork_once, NULL);
		ok(called && detached && again, "%s", name);
		fail_unload();
	}
	end_actors(&pid, 1);
	wait_idle(&ring);
}

/* When F returns, exactly the descendants are registered. */
static void test_present_descendants(void)
{
	bool followed = true;
	pid_t actor[11];
	int i;

	actor[0] = start_actors();
	actor_request(0, 's', 0);
	actor[1] = actor_request(0, 'f', 1);
	actor[2] = actor_request(1, 'f', 2);
	actor[3] = actor_request(2, 't', 3);
	actor[4] = actor_request(3, 'e', 4);
	actor[5] = actor_request(4, 't', 5);
	actor[6] = actor_request(3, 'p', 6);
	/* Actor 2 becomes a child of actor 0. */
	actor_request(1, 'x', 0);
	actor_request(0, 'w', actor[1]);
	/* A sibling is not a descendant. */
	actor[7] = actor_request(0, 'p', 7);
	command_or_die('R', actor[4]);
	command_or_die('F', actor[0]);
	ok(LISTS(actor[0], actor[2], actor[3], actor[4], actor[5], actor[6]),
	   "F registers all descendants, but no sibling");

	for (i = 2; i <= 6; i++)
		followed &= command('F', actor[i]) == -EEXIST;
	ok(followed,
	   "F follows each descendant, even if R had registered it before");
	actor[8] = actor_request(4, 'f', 8);
	actor[9] = actor_request(5, 'e', 9);
	actor[10] = actor_request(7, 'f', 10);
	ok(LISTS(actor[0], actor[2], actor[3], actor[4], actor[5], actor[6],
		 actor[8], actor[9]),
	   "children that present descendants fork after F are registered");
	end_actors(actor, 11);
	wait_idle(&ring);
}

/* ---- Permissions and pid namespaces ---- */

#define PROGRAM	"/tmp/mp3-follow"	/* a copy of this program, setuid root */

/* Have an actor of the user start a setuid root program. Returns its pid. */
static pid_t fork_setuid(int actor)
{
	char path[32];
	struct stat stat;
	pid_t pid;

	copy_program(PROGRAM, 04755);
	pid = actor_request(actor, 'S', 0);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	/* It is a dumpable process of the user's until the program runs. */
	while (lstat(path, &stat) || stat.st_uid)
		sleep_ms(1);
	unlink(PROGRAM);

	return pid;
}

/* Actor 5 is the user that writes the commands. */
static void test_user(void)
{
	pid_t actor[10];

	actor[0] = start_actors();
	actor[5] = actor_request(0, 'p', 5);
	actor[1] = actor_request(0, 'f', 1);
	actor[2] = actor_request(0, 'f', 2);
	actor[3] = actor_request(2, 'f', 3);
	actor[4] = actor_request(1, 'f', 4);
	actor_request(5, 'u', 1000);
	ok(actor_request(5, 'F', actor[0]) == -EPERM && lists(NULL, 0),
	   "F of root's process by a user is EPERM and registers no descendant");
	/* All but actor 2 become the user's. */
	actor_request(0, 'u', 1000);
	actor_request(1, 'u', 1000);
	actor_request(3, 'u', 1000);
	actor_request(4, 'u', 1000);
	ok(actor_request(5, 'F', actor[0]) == 0 &&
	   LISTS(actor[0], actor[1], actor[4]),
	   "F by a user leaves out another's descendant and all processes below it");
	actor[6] = actor_request(3, 'f', 6);
	actor[7] = actor_request(4, 'f', 7);
	ok(LISTS(actor[0], actor[1], actor[4], actor[7]),
	   "children are followed after F by a user, but not below a left-out process");
	ok(actor_request(5, 'U', actor[2]) == -EPERM &&
	   actor_request(5, 'F', actor[2]) == -EPERM &&
	   actor_request(5, 'F', actor[1]) == -EEXIST,
	   "U and F of a left-out process are EPERM, F of a followed one EEXIST");

	actor[8] = fork_setuid(1);
	ok(LISTS(actor[0], actor[1], actor[4], actor[7], actor[8]) &&
	   actor_request(5, 'U', actor[8]) == -EPERM,
	   "a setuid program started by a followed process is followed");
	command_or_die('F', actor[2]);
	ok(LISTS(actor[0], actor[1], actor[2], actor[3], actor[4], actor[6],
		 actor[7], actor[8]),
	   "F by root of a left-out process registers it and all below it");
	end_actors(actor, 9);
	wait_idle(&ring);
}

static void test_pid_namespace(void)
{
	pid_t actor[5];

	actor[0] = start_actors();
	actor[1] = actor_request(0, 'n', 1);
	ok(actor_request(1, 'F', 1) == 0 && actor_request(1, 'f', 2) == 2 &&
	   actor_request(2, 'f', 3) == 3 && actor_request(1, 'l', 1) == 1 &&
	   actor_request(1, 'l', 3) == 1 && actor_request(3, 'l', 2) == 1,
	   "in a pid namespace F and the list use pids of the namespace");
	ok(actor_request(1, 'F', actor[0]) == -ESRCH,
	   "in a pid namespace F of a process outside is ESRCH");
	ok(listed(actor[1]) == 1 && !listed(1) && !listed(3) &&
	   becomes_registered(3),
	   "processes followed in a pid namespace are listed outside by other pids");
	command_or_die('F', actor[0]);
	ok(listed(actor[0]) == 1 && becomes_registered(4) &&
	   actor_request(3, 'l', actor[0]) == 0,
	   "F from outside of a pid namespace registers the processes in it");
	end_actors(actor, 2);
	wait_idle(&ring);
}

/* Faults of a descendant before F do not count. */
static void test_base_of_descendants(void)
{
	struct expected_counts counts;
	struct stat_line stat;
	struct usage usage = { 0 };
	pid_t actor[4];
	int i;

	expected_begin(&counts);
	actor[0] = start_actors();
	for (i = 1; i < 4; i++)
		actor[i] = actor_request(i - 1, 'f', i);
	for (i = 0; i < 4; i++)
		actor_request(i, 'm', 100 + i);
	for (i = 0; i < 4; i++) {
		/* Once it waits for a request, its counts do not change. */
		wait_state(actor[i], 'S');
		stat_of(actor[i], &stat);
		usage.min_flt = stat.flt[0];
		usage.maj_flt = stat.flt[2];
		log_usage(USAGE_REGISTERED, actor[i], 0, usage, false);
	}
	command_or_die('F', actor[0]);
	for (i = 0; i < 4; i++)
		actor_request(i, 'm', 200);
	for (i = 3; i >= 0; i--)
		actor_request(i, 'x', 0);
	while (wait_and_log(-1, 0))
		;
	end_actors(actor, 0);
	wait_idle(&ring);
	expected_finish(&counts);
	ok(totals_match(&counts) && counts.total.min_flt >= 800,
	   "samples and records match wait4 from F on for a tree that existed before");
	ok(processes_match(&counts),
	   "the records of each process match wait4 from F on for a tree that existed before");
	expected_free(&counts);
}

/* A process unregisters itself, while its children stay registered. */
static void unregistering_parent(unsigned int seed)
{
	int i;

	(void)seed;
	for (i = 0; i < 20; i++) {
		if (!fork_child()) {
			touch(10);
			sleep_ms(100);
			touch(10);
			_exit(0);
		}
	}
	touch(50);
	command_self('U');
	touch(70);
}

static void test_many_children(void)
{
	static const unsigned int nr = 800;
	volatile uint32_t *registered = shared_memory(sizeof(*registered));
	unsigned int i;
	pid_t pid;

	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		setpgid(0, 0);
		for (i = 0; i < nr; i++)
			while (!fork_child())
				pause();
		command_or_die('F', getpid());
		*registered = nr_registered();
		kill(0, SIGKILL);
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	wait_idle(&ring);
	ok_eq(*registered, nr + 1, "F registers 800 present children");
}

int main(int argc, char **argv)
{
	unsigned int first = time(NULL);

	if (argc == 2 && !strcmp(argv[1], "hold"))
		return pause();
	if (argc == 3 && !strcmp(argv[1], "touch")) {
		touch(atoi(argv[2]));
		return 0;
	}

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* No pid is used twice: pids identify processes in the usage log. */
	write_file(PID_MAX_PATH, "4194304");
	open_rings();
	usage_log_create();
	tree_size = shared_memory(sizeof(*tree_size));

	if (argc > 1) {
		test_random_trees(strtoul(argv[1], NULL, 10),
				  argc > 2 ? atoi(argv[2]) : 1);
		return done();
	}

	test_tree("1000 children that live up to 40 ms", short_lived,
		  NR_SHORT_LIVED + 1, 10000);
	test_tree("children that fork twice and become orphans", double_forks,
		  201, 1000);
	test_tree("a chain of 60 generations", chain, 61, 300);
	test_tree("threads that fork", forking_threads, 201, 1000);
	test_tree("threads that fork after the leader has exited", exiting_leader,
		  81, 400);
	test_tree("vfork, exec and posix_spawn", vforks, 61, 40 * 40);
	test_tree("an exec by one of several threads", exec_by_threads, 11, 400);
	test_tree("children cloned with CLONE_PARENT", siblings, 61, 40 * 7);
	test_tree("clones with unusual flags", unusual_clones, 81, 400);
	test_tree("children of a process that ignores SIGCHLD", ignored_children,
		  201, 1000);
	test_tree("children killed while they fault", killed_children, 41, 400);
	test_tree("children of a process that unregisters", unregistering_parent,
		  21, 450);
	test_random_trees(first, NR_TREES);

	test_future_children();
	test_unregister();
	test_probe();
	test_present_descendants();
	test_user();
	test_pid_namespace();
	test_base_of_descendants();
	test_many_children();

	return done();
}
