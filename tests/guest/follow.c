// SPDX-License-Identifier: GPL-2.0
/*
 * Followed processes: who is one, and that of all of them, however short they
 * live, the samples, and each one's records, say what wait4(2) says.
 *
 * Usage: follow [SEED [NR]], which runs NR (1) of the random trees, from SEED on.
 *
 * vm: -s 128
 */
#include <linux/sched.h>
#include <spawn.h>
#include <sys/stat.h>

#include "tree.h"

#define MIXED		1000
#define TREES		8
#define TREE_SIZE	120	/* processes of a random tree, at most */
#define EXEC_PAGES	"40"

static pid_t pids[MIXED];
static unsigned int *tree_size;	/* of a random tree, shared */

/* ---- A followed tree ---- */

/*
 * The first of a tree follows itself; the test waits for it and, since orphans
 * go to the test, for all whom nobody else waits for.
 */
static bool grow(void (*body)(unsigned int), unsigned int seed,
		 struct account *account)
{
	siginfo_t info = { 0 };
	pid_t pid;
	bool good;

	fflush(stdout);
	account_open(account);
	pid = fork_child();
	if (!pid) {
		command_self('F');
		body(seed);
		_exit(0);
	}
	/* How it ended is told apart, and what it did is noted. */
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	while (wait_noted(-1, 0))
		;
	wait_idle(&ring);
	account_close(account);
	good = info.si_code == CLD_EXITED && !info.si_status;
	if (!good)
		diag("the first of them failed");
	if (procs.header->dropped)
		diag("%llu could not be followed", procs.header->dropped);
	return good && !procs.header->dropped;
}

/* @processes and @faults: as many that there must have been at least. */
static void tree(const char *name, void (*body)(unsigned int),
		 unsigned int processes, long faults)
{
	struct account account;
	bool good = grow(body, 1, &account);

	if (!ok(sums_agree(&account) && good && account.nr >= processes &&
		account.due.min_flt >= faults,
		"wait4, samples and records agree: %s", name))
		diag("%u processes with %ld faults, wanted %u and %ld",
		     account.nr, account.due.min_flt, processes, faults);
	ok(each_agrees(&account), "and for each process by itself: %s", name);
	account_free(&account);
}

/* ---- Bodies ---- */

/* Half of them are waited for here, and the rest by who adopts them. */
static void mixed(unsigned int seed)
{
	unsigned int i, ms, pages;

	for (i = 0; i < MIXED; i++) {
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
	for (i = 0; i < MIXED; i += 2)
		wait_noted(pids[i], 0);
}

/* As daemons do: nobody who could tell of the grandchild lives for long. */
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
			wait_noted(pid, 0);
	}
}

/* Each is the last one's child, and half of them outlive their parents. */
static void chain(unsigned int seed)
{
	int depth;

	(void)seed;
	for (depth = 0; depth < 60; depth++) {
		pid_t pid = fork_child();

		if (pid) {
			touch(2);
			if (depth % 2)
				wait_noted(pid, 0);
			_exit(0);
		}
		touch(3);
	}
	sleep_ms(60);
}

static void *fork_some(void *arg)
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
			wait_noted(pid, 0);
	}
	return NULL;
}

static void threads_fork(unsigned int seed)
{
	pthread_t threads[10];
	uintptr_t i;

	for (i = 0; i < 10; i++)
		if (pthread_create(&threads[i], NULL, fork_some,
				   (void *)(seed + i)))
			errx(1, "pthread_create");
	for (i = 0; i < 10; i++)
		pthread_join(threads[i], NULL);
}

/* Threads that go on forking when the first one has left them. */
static void leader_leaves(unsigned int seed)
{
	pthread_t thread;
	uintptr_t i;

	for (i = 0; i < 4; i++)
		if (pthread_create(&thread, NULL, fork_some,
				   (void *)(seed + i)))
			errx(1, "pthread_create");
	syscall(SYS_exit, 0);
}

static void execute(void)
{
	execl("/proc/self/exe", "follow", "touch", EXEC_PAGES, NULL);
	_exit(127);
}

/* The child borrows its parent's memory, and its first faults are there. */
static pid_t vfork_child(bool executes)
{
	pid_t pid = vfork();

	if (pid < 0)
		err(1, "vfork");
	if (pid)
		return pid;
	if (executes)
		execute();
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
			wait_noted(pid, 0);
	}
}

static void *thread_executes(void *arg)
{
	execute();
	return arg;
}

static void *touch_for_ever(void *arg)
{
	for (;;)
		touch(8);
	return arg;
}

/* A thread takes the first one's place, pid and all, amid others. */
static void threads_exec(unsigned int seed)
{
	pthread_t thread;
	int i, j;

	(void)seed;
	for (i = 0; i < 10; i++) {
		if (fork_child())
			continue;
		for (j = 0; j < 3; j++)
			pthread_create(&thread, NULL, touch_for_ever, NULL);
		touch(10);
		pthread_create(&thread, NULL, thread_executes, NULL);
		pthread_join(thread, NULL);
		_exit(1);
	}
}

static pid_t clone_with(unsigned long flags)
{
	pid_t pid = syscall(SYS_clone, flags, 0, 0, 0, 0);

	if (pid < 0)
		err(1, "clone");
	return pid;
}

/* Children of followed processes that are not the children of any. */
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

/* Whose end is no SIGCHLD, or no signal at all; who shares files and names. */
static void odd_clones(unsigned int seed)
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
			/* A pid namespace would take its children with it. */
			if (getpid() != 1 && i % 2 && !fork_child()) {
				touch(3);
				_exit(0);
			}
			touch(6);
			_exit(0);
		}
	}
}

/* Nobody can wait for their children: they say themselves what they did. */
static void ignoring(unsigned int seed)
{
	int i;

	signal(SIGCHLD, SIG_IGN);
	for (i = 0; i < 200; i++) {
		if (!fork_child()) {
			touch(rand_r(&seed) % 10);
			sleep_ms(rand_r(&seed) % 20);
			exit_noted();
		}
	}
}

static void killed(unsigned int seed)
{
	int i;

	for (i = 0; i < 40; i++) {
		pids[i] = fork_child();
		if (!pids[i]) {
			if (i % 2)
				pthread_create(&(pthread_t){ 0 }, NULL,
					       touch_for_ever, NULL);
			touch_for_ever(NULL);
		}
	}
	for (i = 0; i < 40; i++) {
		sleep_ms(rand_r(&seed) % 10);
		kill(pids[i], SIGKILL);
	}
}

/* ---- Random trees ---- */

static void twig(unsigned int seed, int depth);

struct fork_order {
	unsigned int seed;
	int depth;
};

static void *thread_twigs(void *arg)
{
	struct fork_order *order = arg;
	int i;

	for (i = 0; i < 3; i++) {
		if (!fork_child()) {
			twig(order->seed + i, order->depth + 1);
			_exit(0);
		}
	}
	free(order);
	return NULL;
}

static void fork_in_thread(unsigned int seed, int depth, pthread_t *thread)
{
	struct fork_order *order = malloc(sizeof(*order));

	if (!order)
		err(1, "malloc");
	*order = (struct fork_order){ seed, depth };
	if (pthread_create(thread, NULL, thread_twigs, order))
		errx(1, "pthread_create");
}

/* One more, as long as the tree is not too large. */
static bool may_fork(int depth)
{
	return depth < 12 && __atomic_add_fetch(tree_size, 1, __ATOMIC_RELAXED) <=
			     TREE_SIZE;
}

/*
 * A process of a random tree. Who will be killed waits for nobody, lest what it
 * has been told is lost.
 */
static void twig(unsigned int seed, int depth)
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
			if (may_fork(depth) && !dies)
				fork_in_thread(below, depth,
					       &threads[nr_threads++]);
			break;
		case 2:
			if (may_fork(depth))
				pid = vfork_child(true);
			break;
		case 3:
			if (pid > 0 && !dies)
				wait_noted(pid, 0);
			pid = 0;
			break;
		case 4:
			/* The C library does not know, and would lock itself out. */
			if (nr_threads || !may_fork(depth))
				break;
			if (!clone_with(CLONE_PARENT | SIGCHLD)) {
				twig(below, depth + 1);
				_exit(0);
			}
			break;
		case 5:
		case 6:
			if (!may_fork(depth))
				break;
			pid = fork_child();
			if (!pid) {
				twig(below, depth + 1);
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
		execute();
}

static void random_tree(unsigned int seed)
{
	twig(seed, 0);
}

static void random_trees(unsigned int first, unsigned int nr)
{
	unsigned int i, processes = 0;
	bool all = true;

	diag("random trees: seeds %u to %u", first, first + nr - 1);
	for (i = 0; i < nr; i++) {
		struct account account;
		bool good;

		*tree_size = 0;
		good = grow(random_tree, first + i, &account);
		good &= sums_agree(&account) & each_agrees(&account);
		processes += account.nr;
		account_free(&account);
		if (good)
			continue;
		diag("seed %u", first + i);
		all = false;
	}
	ok(all, "wait4, samples and records agree: %u random trees", nr);
	diag("%u processes in them", processes);
}

/* ---- Who is followed ---- */

/* who[i] is actor i's pid. Every kind of child is there when fork returns. */
static void children_to_come(void)
{
	pid_t who[9];

	who[0] = open_stage();
	command_or_die('F', who[0]);
	who[1] = tell(0, 'f', 1);
	ok(LISTS(who[0], who[1]), "a child of a followed process is registered");
	who[2] = tell(1, 'f', 2);
	ok(lists(who, 3), "so is a child of that");
	who[3] = tell(2, 't', 3);
	who[4] = tell(0, 'e', 4);
	ok(lists(who, 5), "so are children of threads");
	who[5] = tell(2, 'p', 5);
	who[6] = tell(0, 'p', 6);
	ok(lists(who, 7), "so are those made for the parent");

	tell(1, 'x', 0);
	tell(0, 'w', who[1]);
	wait_tick();
	who[7] = tell(2, 'f', 7);
	ok(LISTS(who[0], who[2], who[3], who[4], who[5], who[6], who[7]),
	   "an orphan stays followed, and who has ended is gone");

	ok(command('F', who[2]) == -EEXIST && command('R', who[2]) == -EEXIST &&
	   command('F', who[0]) == -EEXIST, "F and R of a followed one are EEXIST");
	close_stage(who, 8);
	wait_idle(&ring);
}

/* R says nothing of children, and U of a process nothing of those it has. */
static void until_unregistered(void)
{
	pid_t who[9];

	who[0] = open_stage();
	command_or_die('R', who[0]);
	who[1] = tell(0, 'f', 1);
	ok(LISTS(who[0]), "a child of one that R registered is not");
	command_or_die('F', who[0]);
	ok(LISTS(who[0], who[1]), "F after R follows, and takes the child");
	who[2] = tell(1, 'f', 2);
	/* Before a tick takes it out: it is followed no more from U on. */
	set_interval("10000");
	command_or_die('U', who[0]);
	who[3] = tell(0, 'f', 3);
	set_interval("50");
	ok(LISTS(who[1], who[2]), "an unregistered one has no followed child");
	who[4] = tell(1, 'f', 4);
	ok(LISTS(who[1], who[2], who[4]), "but its children go on, and have");
	command_or_die('U', who[1]);
	command_or_die('R', who[1]);
	who[5] = tell(1, 'f', 5);
	ok(LISTS(who[1], who[2], who[4]), "registered anew by R, it has none");
	command_or_die('F', who[1]);
	who[6] = tell(1, 'f', 6);
	ok(LISTS(who[1], who[2], who[4], who[5], who[6]),
	   "and by F it has, those of the time between, too");
	command_or_die('U', who[6]);
	ok(LISTS(who[1], who[2], who[4], who[5]), "a child can leave by itself");
	command_or_die('F', who[0]);
	ok(lists(who, 7), "F of the first takes all of those who had left");
	close_stage(who, 7);
	wait_idle(&ring);
}

static int probe_calls(void)
{
	FILE *file = fopen("/sys/module/fail/parameters/calls", "re");
	int calls;

	if (!file || fscanf(file, "%d", &calls) != 1)
		err(1, "calls of the probe");
	fclose(file);

	return calls;
}

/* Has the actor fork: whether the probe was called. */
static bool fork_is_watched(void)
{
	int before = probe_calls();
	pid_t pid = tell(0, 'f', 1);

	tell(1, 'x', 0);
	tell(0, 'w', pid);
	return probe_calls() != before;
}

static void watched_while_followed(void)
{
	static const char name[] =
		"forks are watched while one is followed, and not for long after";
	pid_t pid = open_stage();
	bool watched, again;
	int i;

	command_or_die('F', pid);
	if (!fail_load(pid, "mp3_on_fork", 0, 0)) {
		no_kprobes("mp3_on_fork");
		skip(name, "no kprobes");
	} else {
		watched = fork_is_watched();
		command_or_die('U', pid);
		/* Only a probe that stays is there after a minute. */
		for (i = 0; i < 600 && fork_is_watched(); i++)
			sleep_ms(100);
		command_or_die('F', pid);
		again = fork_is_watched();
		ok(watched && i < 600 && again, "%s", name);
		fail_unload();
	}
	close_stage(&pid, 1);
	wait_idle(&ring);
}

/* A tree as it is found: registered when F returns, and nobody else. */
static void present_descendants(void)
{
	bool followed = true;
	pid_t who[11];
	int i;

	who[0] = open_stage();
	tell(0, 's', 0);
	who[1] = tell(0, 'f', 1);
	who[2] = tell(1, 'f', 2);
	who[3] = tell(2, 't', 3);
	who[4] = tell(3, 'e', 4);
	who[5] = tell(4, 't', 5);
	who[6] = tell(3, 'p', 6);
	/* Actor 2 is the child of 0 from then on. */
	tell(1, 'x', 0);
	tell(0, 'w', who[1]);
	/* A sibling is no descendant. */
	who[7] = tell(0, 'p', 7);
	command_or_die('R', who[4]);
	command_or_die('F', who[0]);
	ok(LISTS(who[0], who[2], who[3], who[4], who[5], who[6]),
	   "F takes all descendants, and no sibling");

	for (i = 2; i <= 6; i++)
		followed &= command('F', who[i]) == -EEXIST;
	ok(followed, "each of them is followed, and who was registered by R, too");
	who[8] = tell(4, 'f', 8);
	who[9] = tell(5, 'e', 9);
	who[10] = tell(7, 'f', 10);
	ok(LISTS(who[0], who[2], who[3], who[4], who[5], who[6], who[8], who[9]),
	   "and so are their children to come");
	close_stage(who, 11);
	wait_idle(&ring);
}

/* ---- Whose processes, and as whom ---- */

#define PROGRAM	"/tmp/mp3-follow"	/* a copy of this one, setuid root */

/* A child of the user's that runs as root from then on. */
static pid_t fork_setuid(int actor)
{
	char line[80], path[32];
	struct stat stat;
	pid_t pid;

	snprintf(line, sizeof(line), "cp -f /proc/%d/exe " PROGRAM, getpid());
	if (system(line) || chown(PROGRAM, 0, 0) || chmod(PROGRAM, 04755))
		errx(1, "%s", line);
	pid = tell(actor, 'S', 0);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	/* A process that is not dumpable is root's, too; but this one was. */
	while (lstat(path, &stat) || stat.st_uid)
		sleep_ms(1);
	unlink(PROGRAM);

	return pid;
}

/* Actor 5 is the user who asks. */
static void of_a_user(void)
{
	pid_t who[10];

	who[0] = open_stage();
	who[5] = tell(0, 'p', 5);
	who[1] = tell(0, 'f', 1);
	who[2] = tell(0, 'f', 2);
	who[3] = tell(2, 'f', 3);
	who[4] = tell(1, 'f', 4);
	tell(5, 'u', 1000);
	ok(tell(5, 'F', who[0]) == -EPERM && lists(NULL, 0),
	   "F of root's by a user is EPERM, whoever is below");
	/* All are the user's, but 2. */
	tell(0, 'u', 1000);
	tell(1, 'u', 1000);
	tell(3, 'u', 1000);
	tell(4, 'u', 1000);
	ok(tell(5, 'F', who[0]) == 0 && LISTS(who[0], who[1], who[4]),
	   "F by a user leaves out what is not his, and what is below it");
	who[6] = tell(3, 'f', 6);
	who[7] = tell(4, 'f', 7);
	ok(LISTS(who[0], who[1], who[4], who[7]),
	   "and what these start, but not what his own do");
	ok(tell(5, 'U', who[2]) == -EPERM && tell(5, 'F', who[2]) == -EPERM &&
	   tell(5, 'F', who[1]) == -EEXIST, "and errors are those of each");

	who[8] = fork_setuid(1);
	ok(LISTS(who[0], who[1], who[4], who[7], who[8]) &&
	   tell(5, 'U', who[8]) == -EPERM,
	   "what a followed one starts is followed, whatever its rights");
	command_or_die('F', who[2]);
	ok(LISTS(who[0], who[1], who[2], who[3], who[4], who[6], who[7], who[8]),
	   "root may add the rest");
	close_stage(who, 9);
	wait_idle(&ring);
}

static void in_a_pid_namespace(void)
{
	pid_t who[5];

	who[0] = open_stage();
	who[1] = tell(0, 'n', 1);
	ok(tell(1, 'F', 1) == 0 && tell(1, 'f', 2) == 2 &&
	   tell(2, 'f', 3) == 3 && tell(1, 'l', 1) == 1 &&
	   tell(1, 'l', 3) == 1 && tell(3, 'l', 2) == 1,
	   "in a pid namespace F and its list are by its own numbers");
	ok(tell(1, 'F', who[0]) == -ESRCH, "outside's are none of them");
	ok(listed(who[1]) == 1 && !listed(1) && !listed(3) &&
	   becomes_registered(3), "outside they have other numbers");
	command_or_die('F', who[0]);
	ok(listed(who[0]) == 1 && becomes_registered(4) &&
	   tell(3, 'l', who[0]) == 0, "F from outside takes them, too");
	close_stage(who, 2);
	wait_idle(&ring);
}

/* What the present descendants had done by then is not counted. */
static void base_of_descendants(void)
{
	struct account account;
	struct stat_line stat;
	struct rusage usage = { 0 };
	pid_t who[4];
	int i;

	account_open(&account);
	who[0] = open_stage();
	for (i = 1; i < 4; i++)
		who[i] = tell(i - 1, 'f', i);
	for (i = 0; i < 4; i++)
		tell(i, 'm', 100 + i);
	for (i = 0; i < 4; i++) {
		/* It sleeps once it reads, and does nothing any more. */
		await_state(who[i], 'S');
		stat_of(who[i], &stat);
		usage.ru_minflt = stat.flt[0];
		usage.ru_majflt = stat.flt[2];
		note(AT_BASE, who[i], 0, &usage, false);
	}
	command_or_die('F', who[0]);
	for (i = 0; i < 4; i++)
		tell(i, 'm', 200);
	for (i = 3; i >= 0; i--)
		tell(i, 'x', 0);
	while (wait_noted(-1, 0))
		;
	close_stage(who, 0);
	wait_idle(&ring);
	account_close(&account);
	ok(sums_agree(&account) && account.due.min_flt >= 800,
	   "wait4, samples and records agree: since F, of a tree that was there");
	ok(each_agrees(&account), "and for each process by itself");
	account_free(&account);
}

/* It leaves, and they go on: what is counted of each is its own part. */
static void leaving_alone(unsigned int seed)
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

static void many_at_once(void)
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
	ok_eq(*registered, nr + 1, "F takes 800 children at once");
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
	/* No pid comes twice: it is a process's name here. */
	write_file(PID_MAX_PATH, "4194304");
	open_rings();
	table_make();
	tree_size = shared_memory(sizeof(*tree_size));

	if (argc > 1) {
		random_trees(strtoul(argv[1], NULL, 10),
			     argc > 2 ? atoi(argv[2]) : 1);
		return done();
	}

	tree("1000 children that live 0 to 40 ms", mixed, MIXED + 1, 10000);
	tree("double forks", double_forks, 201, 1000);
	tree("a chain of 60 generations", chain, 61, 300);
	tree("threads that fork", threads_fork, 201, 1000);
	tree("threads that fork without their leader", leader_leaves, 81, 400);
	tree("vfork, exec and posix_spawn", vforks, 61, 40 * 40);
	tree("exec by a thread amid others", threads_exec, 11, 400);
	tree("CLONE_PARENT", siblings, 61, 40 * 7);
	tree("odd clones", odd_clones, 81, 400);
	tree("children of who ignores SIGCHLD", ignoring, 201, 1000);
	tree("SIGKILL amid faults", killed, 41, 400);
	tree("unregistered amid its children", leaving_alone, 21, 450);
	random_trees(first, TREES);

	children_to_come();
	until_unregistered();
	watched_while_followed();
	present_descendants();
	of_a_user();
	in_a_pid_namespace();
	base_of_descendants();
	many_at_once();

	return done();
}
