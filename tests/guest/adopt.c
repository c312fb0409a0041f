// SPDX-License-Identifier: GPL-2.0
/*
 * F amid a storm: of a tree in which processes fork and end all the time, each
 * one that is alive when F returns is registered, and what is born from then on
 * is counted from its first instant.
 *
 * Usage: adopt [SEED], which replays the storms.
 */
#include <dirent.h>

#include "tree.h"

#define ROUNDS		25	/* of each kind of storm, at most */
#define SECONDS		60	/* after which no other round begins */
#define MAX_ALIVE	80	/* processes of a storm */
#define AT_END		10	/* pages that each of them touches at its end */

enum phase { BLOWING, FOLLOWED, STOPPED };

/**
 * struct storm - what the processes of a storm share with the test
 * @phase:     FOLLOWED once F has returned, STOPPED when they are to stay
 * @alive:     how many there are, about
 * @nr_parked: how many have stopped
 * @parked:    who they are: all that are left
 */
static struct storm {
	enum phase phase;
	int alive;
	unsigned int nr_parked;
	pid_t parked[4096];
} *storm;

/**
 * struct kind - of a storm
 * @name:       what is special
 * @subreapers: the first process, and others, adopt orphans: nobody escapes
 * @threads:    the first process forks by threads that come and go
 * @nested:     a child of the first is followed at the same time
 */
struct kind {
	const char *name;
	bool subreapers, threads, nested;
};

static int release[2];		/* a pipe that ends when they may go */

static enum phase phase(void)
{
	return __atomic_load_n(&storm->phase, __ATOMIC_ACQUIRE);
}

/* ---- Processes of a storm ---- */

/* Who stays is still there when the storm is over, and then does its part. */
static void __attribute__((noreturn)) park(void)
{
	char byte;

	storm->parked[__atomic_fetch_add(&storm->nr_parked, 1,
					 __ATOMIC_SEQ_CST)] = getpid();
	if (read(release[0], &byte, 1))
		_exit(1);
	touch(AT_END);
	_exit(0);
}

static void __attribute__((noreturn)) end(void)
{
	__atomic_sub_fetch(&storm->alive, 1, __ATOMIC_RELAXED);
	_exit(0);
}

/* A child that is counted, and knows whether its parent was followed by then. */
static pid_t fork_into_storm(void)
{
	struct rusage usage = { 0 };
	bool late = phase() >= FOLLOWED;
	pid_t pid, parent = getpid();

	if (__atomic_add_fetch(&storm->alive, 1, __ATOMIC_RELAXED) > MAX_ALIVE) {
		__atomic_sub_fetch(&storm->alive, 1, __ATOMIC_RELAXED);
		sched_yield();
		return -1;
	}
	pid = fork_child();
	if (!pid)
		note(AT_BIRTH, getpid(), parent, &usage, late);
	return pid;
}

/* Who has much to close takes long over its end. */
static void open_many(void)
{
	int i;

	for (i = 0; i < 200; i++)
		dup(release[0]);
}

/* Forks, waits for some and leaves others, and ends at some time. */
static void blow(unsigned int seed, const struct kind *kind, bool ends)
{
	unsigned int steps;

again:
	seed += getpid();
	steps = 1 + rand_r(&seed) % 8;
	if (ends && rand_r(&seed) % 4 == 0)
		open_many();
	if (kind->subreapers && rand_r(&seed) % 8 == 0)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (!ends || steps--) {
		if (phase() == STOPPED)
			park();
		if (!fork_into_storm()) {
			ends = true;
			if (rand_r(&seed) % 3)
				goto again;
			touch(rand_r(&seed) % 4);
			end();
		}
		if (rand_r(&seed) % 2)
			wait_noted(-1, WNOHANG);
		if (rand_r(&seed) % 8 == 0)
			usleep(rand_r(&seed) % 2000);
	}
	end();
}

struct gust {
	unsigned int seed;
	const struct kind *kind;
};

static void *fork_and_leave(void *arg)
{
	struct gust *gust = arg;
	int i;

	for (i = 0; i < 3; i++)
		if (!fork_into_storm())
			blow(gust->seed + i, gust->kind, true);
	return NULL;
}

/* Its children's parents are threads, and others when these end. */
static void blow_by_threads(unsigned int seed, const struct kind *kind)
{
	struct gust gust[2] = { { seed, kind }, { seed + 1, kind } };
	pthread_t threads[2];
	int i;

	while (phase() != STOPPED) {
		for (i = 0; i < 2; i++)
			if (pthread_create(&threads[i], NULL, fork_and_leave,
					   &gust[i]))
				errx(1, "pthread_create");
		for (i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		while (wait_noted(-1, WNOHANG))
			;
		seed += 2;
	}
	park();
}

static pid_t start_storm(unsigned int seed, const struct kind *kind)
{
	pid_t pid;
	int i;

	memset(storm, 0, sizeof(*storm));
	if (pipe(release))
		err(1, "pipe");
	fflush(stdout);
	pid = fork_child();
	if (pid) {
		setpgid(pid, pid);
		close(release[0]);
		return pid;
	}
	setpgid(0, 0);
	close(release[1]);
	if (kind->subreapers)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (kind->threads)
		blow_by_threads(seed, kind);
	for (i = 0; i < 3; i++)
		if (!fork_into_storm())
			blow(seed + i, kind, false);
	blow(seed + 3, kind, false);
	return 0;
}

/* ---- Who is there ---- */

static bool is_parked(pid_t pid)
{
	unsigned int i;

	for (i = 0; i < storm->nr_parked; i++)
		if (storm->parked[i] == pid)
			return true;
	return false;
}

/* All of them are parked, and sleep. */
static bool is_quiet(void)
{
	struct stat_line stat;
	unsigned int i;

	for (i = 0; i < storm->nr_parked; i++)
		if (!stat_of(storm->parked[i], &stat) || stat.state != 'S')
			return false;
	return true;
}

/* How many of a group live, zombies apart. */
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

/* Waits until all that are left do nothing, and will do nothing. */
static void await_quiet(pid_t root)
{
	int i;

	for (i = 0; i < 6000; i++) {
		/* Before the count: who parks behind it may have forked first. */
		unsigned int nr = __atomic_load_n(&storm->nr_parked,
						  __ATOMIC_SEQ_CST);

		if (count_group(root) == nr && is_quiet())
			return;
		sleep_ms(10);
	}
	errx(1, "%u of %u are parked after a minute", storm->nr_parked,
	     count_group(root));
}

/* A descendant, as /proc has it. */
static bool descends(pid_t pid, pid_t root)
{
	struct stat_line stat;

	while (pid != root && pid > 1)
		pid = stat_of(pid, &stat) ? stat.parent : 0;
	return pid == root;
}

/*
 * Each descendant is registered, once, and nobody who is no part of the storm.
 * Where orphans escape, those who did so before may be either.
 */
static bool listing_is_right(pid_t root, bool *is_listed)
{
	char *text = status_text(), *line;
	unsigned int i, times, nr = 0, wrong = 0;
	pid_t pid;

	memset(is_listed, 0, storm->nr_parked * sizeof(*is_listed));
	for (line = text; *line; line = strchr(line, '\n') + 1, nr++)
		if (!is_parked(atoi(line)) && !wrong++)
			diag("%d is listed", atoi(line));
	for (i = 0; i < storm->nr_parked; i++) {
		pid = storm->parked[i];
		times = 0;
		for (line = text; *line; line = strchr(line, '\n') + 1)
			times += atoi(line) == pid;
		is_listed[i] = times;
		if ((times == 1 || (!times && !descends(pid, root))) || wrong++)
			continue;
		diag("%d is listed %u times", pid, times);
	}
	free(text);
	if (wrong)
		diag("%u parked, %u listed, %u are wrong", storm->nr_parked, nr,
		     wrong);
	return !wrong;
}

/* ---- One round ---- */

/* Waits until some have been born since, however slow the machine is. */
static void await_births(void)
{
	unsigned int nr = __atomic_load_n(&table->nr, __ATOMIC_ACQUIRE);
	int i;

	for (i = 0; i < 5000 &&
	     __atomic_load_n(&table->nr, __ATOMIC_ACQUIRE) < nr + 20; i++)
		sleep_ms(1);
}

static pid_t some_child(pid_t root)
{
	unsigned int i;

	for (;;) {
		for (i = 0; i < __atomic_load_n(&table->nr, __ATOMIC_ACQUIRE);
		     i++) {
			const struct entry *entry = &table->entries[i];

			if (entry->source == AT_BIRTH && entry->waiter == root)
				return entry->pid;
		}
		sleep_ms(1);
	}
}

/* F of the first and, from another CPU, of one of its children. */
static bool follow_storm(pid_t root, const struct kind *kind)
{
	pid_t child, other = 0;
	int ret, status = 0;

	if (kind->nested) {
		child = some_child(root);
		other = fork_child();
		if (!other) {
			pin_to(1);
			_exit(-command('F', child));
		}
		sched_yield();
	}
	ret = command('F', root);
	__atomic_store_n(&storm->phase, FOLLOWED, __ATOMIC_RELEASE);
	if (other)
		waitpid(other, &status, 0);
	/* The child may have been taken already, or have ended. */
	if (!ret && (!status || WEXITSTATUS(status) == EEXIST ||
		     WEXITSTATUS(status) == ESRCH))
		return true;
	diag("F: %s, and of a child: %s", strerror(-ret),
	     strerror(WEXITSTATUS(status)));
	return false;
}

/* What the listed ones are known to have done, with whom they waited for. */
static long done_by(const bool *is_listed, bool at_end)
{
	struct stat_line stat;
	unsigned int i, j;
	long sum = 0;

	for (i = 0; i < storm->nr_parked; i++) {
		if (!is_listed[i])
			continue;
		if (!at_end && stat_of(storm->parked[i], &stat))
			sum += stat.flt[0] + stat.flt[1];
		for (j = 0; at_end && j < table->nr; j++)
			if (table->entries[j].source == BY_WAITER &&
			    table->entries[j].pid == storm->parked[i])
				sum += table->entries[j].min_flt;
	}
	return sum;
}

static unsigned int born_late;	/* processes, of whom all has to be told */

/*
 * Whoever has a record has a first and a last one, and no more faults than it
 * made. Whoever was born of such a parent when F had returned has all of them.
 */
static bool tallies_are_right(const struct account *account, bool no_escape)
{
	unsigned int i, wrong = account->unknown;
	struct tally *tally, *parent;

	for (i = 0; i < account->nr; i++) {
		tally = &account->tallies[i];
		if (!tally->records ||
		    (tally->ordered && tally->over && tally->first == 1 &&
		     tally->last == 1 &&
		     tally->seen.min_flt <= tally->due.min_flt))
			continue;
		if (wrong++ < 5)
			tally_diag(tally);
	}
	for (i = 0; i < table->nr; i++) {
		const struct entry *entry = &table->entries[i];

		if (entry->source != AT_BIRTH || !entry->late)
			continue;
		tally = account_find(account, entry->pid);
		parent = account_find(account, entry->waiter);
		if (!no_escape && (!parent || !parent->records))
			continue;
		born_late++;
		if (!tally_is_right(tally) && wrong++ < 5) {
			diag("born late, of %d:", entry->waiter);
			tally_diag(tally);
		}
	}
	return !wrong;
}

static unsigned int counted;	/* processes, for the reader's eyes */

static bool storm_round(unsigned int seed, const struct kind *kind)
{
	static bool is_listed[4096];
	struct account account;
	struct totals window;
	uint64_t from;
	long due;
	pid_t root;
	bool good;

	account_open(&account);
	root = start_storm(seed, kind);
	while (__atomic_load_n(&storm->alive, __ATOMIC_RELAXED) < 10)
		usleep(500);
	usleep(rand_r(&seed) % 5000);
	good = follow_storm(root, kind);
	await_births();
	usleep(rand_r(&seed) % 10000);
	__atomic_store_n(&storm->phase, STOPPED, __ATOMIC_RELEASE);
	await_quiet(root);
	/* Who has ended is out now, and what comes now is known to the fault. */
	wait_tick();
	good &= listing_is_right(root, is_listed);
	from = ring_head(&ring);
	due = -done_by(is_listed, false);
	close(release[1]);
	while (wait_noted(-1, 0))
		;
	wait_idle(&ring);
	due += done_by(is_listed, true);
	window = ring_sum(&ring, from);
	if (window.min_flt != (unsigned long)due || due < AT_END) {
		diag("samples %lu, due %ld at the end", window.min_flt, due);
		good = false;
	}
	account_close(&account);
	good &= tallies_are_right(&account, kind->subreapers);
	good &= account.records.min_flt == account.samples.min_flt &&
		account.records.maj_flt == account.samples.maj_flt &&
		!procs.header->dropped;
	counted += account.nr;
	account_free(&account);

	return good;
}

static void storms(unsigned int first, const struct kind *kind)
{
	time_t end = time(NULL) + SECONDS;
	unsigned int i;
	bool all = true;

	counted = 0;
	born_late = 0;
	for (i = 0; i < ROUNDS && (!born_late || time(NULL) < end); i++) {
		if (storm_round(first + i, kind))
			continue;
		diag("seed %u", first + i);
		all = false;
	}
	ok(all && born_late, "F amid rounds of a storm: %s", kind->name);
	diag("%u rounds, %u processes in them, %u born when F had returned", i,
	     counted, born_late);
}

/* ---- One moment at a time ---- */

/*
 * Its memory is gone, and its child is still its own: nobody's, if who ends is
 * taken for nobody.
 */
static void amid_exit(void)
{
	static const char name[] = "a child of one that is about to end is taken";
	pid_t who[4];
	bool taken;
	int i;

	who[0] = open_stage();
	tell(0, 's', 0);
	for (i = 1; i < 4; i++)
		who[i] = tell(i - 1, 'f', i);
	if (!delay_once(who[1], "exit_sem", 2000)) {
		skip(name, "no kprobes");
	} else {
		tell(1, 'x', 0);
		await_state(who[1], 'D');
		command_or_die('F', who[0]);
		taken = listed(who[2]) == 1 && listed(who[3]) == 1;
		tell(0, 'w', who[1]);
		wait_tick();
		ok(taken & LISTS(who[0], who[2], who[3]), "%s", name);
		fail_unload();
	}
	close_stage(who, 4);
	wait_idle(&ring);
}

/* One actor forks, and is stopped in the middle of it while another does F. */
static void amid_fork(const char *symbol, const char *name)
{
	struct {
		int letter, number;
	} order = { 'f', 2 };
	struct account account;
	bool taken;
	pid_t who[4];
	int answer;

	account_open(&account);
	who[0] = open_stage();
	who[1] = tell(0, 'f', 1);
	if (!delay_once(who[1], symbol, 2000)) {
		skip(name, "no kprobes");
		close_stage(who, 2);
		return;
	}
	if (write(stage[1][0], &order, sizeof(order)) < 0)
		err(1, "write");
	await_state(who[1], 'D');
	command_or_die('F', who[0]);
	if (read(stage[1][0], &answer, sizeof(answer)) != sizeof(answer))
		err(1, "read");
	who[2] = answer;
	fail_unload();
	taken = LISTS(who[0], who[1], who[2]);
	who[3] = tell(2, 'f', 3);
	tell(3, 'm', 50);
	taken &= lists(who, 4);
	for (answer = 3; answer >= 0; answer--)
		tell(answer, 'x', 0);
	while (wait_noted(-1, 0))
		;
	close_stage(NULL, 0);
	wait_idle(&ring);
	account_close(&account);
	for (answer = 2; answer < 4; answer++)
		taken &= tally_is_right(account_find(&account, who[answer]));
	ok(taken, "%s", name);
	account_free(&account);
}

/* ---- F against other commands, and against the end ---- */

/*
 * F of who ends at any moment, with children who do: it is taken, or it is
 * ESRCH, and in the end nobody is left.
 */
static void against_exits(unsigned int seed)
{
	unsigned int i, j, taken = 0, gone = 0, wrong = 0;
	struct account account;
	struct rusage none = { 0 };
	pid_t pid, parent;
	int ret;

	account_open(&account);
	fflush(stdout);
	for (i = 0; i < 300; i++) {
		pid = fork_child();
		if (!pid) {
			parent = getpid();
			for (j = 0; j < 4; j++) {
				if (fork_child())
					continue;
				note(AT_BIRTH, getpid(), parent, &none, false);
				usleep(rand_r(&seed) % 2000);
				touch(3);
				_exit(0);
			}
			usleep(rand_r(&seed) % 2000);
			_exit(0);
		}
		usleep(rand_r(&seed) % 6000);
		ret = command('F', pid);
		taken += !ret;
		gone += ret == -ESRCH;
		wrong += ret && ret != -ESRCH;
		while (wait_noted(-1, i % 10 ? WNOHANG : 0))
			;
	}
	while (wait_noted(-1, 0))
		;
	wait_idle(&ring);
	account_close(&account);
	diag("%u were followed, %u had gone", taken, gone);
	ok(!wrong && taken && tallies_are_right(&account, false) &&
	   account.records.min_flt == account.samples.min_flt,
	   "F against ends: it is taken or ESRCH, and nobody is left");
	account_free(&account);
}

/* ---- Against commands ---- */

static bool over(void)
{
	return phase() == STOPPED;
}

/* Gives one command after another to a storm's processes. */
static void give_commands(unsigned int seed, char letter, pid_t root)
{
	while (!over()) {
		unsigned int nr = __atomic_load_n(&table->nr, __ATOMIC_ACQUIRE);
		pid_t pid = root;
		int ret;

		/* One of the last that were born, or the first of all. */
		if (nr > 50 && rand_r(&seed) % 4)
			pid = table->entries[nr - 1 - rand_r(&seed) % 50].pid;
		ret = pid ? command(letter, pid) : 0;
		if (ret && ret != -EEXIST && ret != -ESRCH)
			_exit(-ret);
	}
	_exit(0);
}

/* Two that follow and two that unregister, all over each other. */
static void against_commands(unsigned int seed)
{
	static const struct kind kind = { .subreapers = true };
	static const char letters[] = "FFUUR";
	pid_t pids[5], root;
	struct account account;
	unsigned int i, failed = 0;
	bool sane = true;
	int status;

	account_open(&account);
	root = start_storm(seed, &kind);
	for (i = 0; i < 5; i++) {
		pids[i] = fork_child();
		if (!pids[i])
			give_commands(seed + i, letters[i], root);
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
	__atomic_store_n(&storm->phase, STOPPED, __ATOMIC_RELEASE);
	for (i = 0; i < 5; i++) {
		waitpid(pids[i], &status, 0);
		failed += status != 0;
	}
	await_quiet(root);
	status = command('F', root);
	failed += status && status != -EEXIST;
	close(release[1]);
	while (wait_noted(-1, 0))
		;
	wait_idle(&ring);
	account_close(&account);
	for (i = 0; i < account.nr; i++) {
		struct tally *tally = &account.tallies[i];

		/* Between U and F it may have done what nobody counts. */
		if (tally->records && (!tally->first || !tally->last ||
				       !tally->over ||
				       tally->seen.min_flt > tally->due.min_flt)) {
			tally_diag(tally);
			sane = false;
		}
	}
	ok(!failed && sane && !account.unknown &&
	   account.records.min_flt == account.samples.min_flt,
	   "F, U and R against each other in a storm: nobody is listed twice, or left");
	account_free(&account);
}

int main(int argc, char **argv)
{
	static const struct kind kinds[] = {
		{ "orphans stay", true, false, false },
		{ "orphans escape", false, false, false },
		{ "by threads", true, true, false },
		{ "and of a child at once", true, false, true },
	};
	unsigned int i, seed = time(NULL);

	if (argc > 1)
		seed = strtoul(argv[1], NULL, 10);

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	write_file(PID_MAX_PATH, "4194304");
	open_rings();
	table_make();
	storm = shared_memory(sizeof(*storm));

	diag("storms: seed %u", seed);
	amid_exit();
	amid_fork("copy_semundo", "a child that F meets half made is taken");
	amid_fork("uprobe_copy_process",
		  "a child that F meets before the probe does is taken once");
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		storms(seed, &kinds[i]);
	against_exits(seed);
	against_commands(seed);

	return done();
}
