// SPDX-License-Identifier: GPL-2.0
/*
 * Captures that come and go while the processes that they follow fork as fast as
 * they can, and profilers that are killed at random instants: afterwards nothing
 * is registered or followed, and a control process has been exact throughout.
 *
 * Usage: capture_stress [SECONDS [KILLS [SEED]]]
 *
 * 60 SECONDS are the long run.
 *
 * vm: -m 2048
 */
#include "capture.h"

#define SECONDS		8
#define KILLS		200
#define USER		1000
#define NR_STORMS	4	/* processes that fork */
#define MAX_CAPTURES	63

static struct ring ring;
static volatile bool *started;	/* shared: the newest profiler is at work */
static struct capture classic;
static unsigned int seed = 1;

/* ---- Fork load ---- */

/* Start processes of a user that fork; half of the children leave an orphan. */
static pid_t start_fork_load(pid_t *pids)
{
	int i;

	fflush(stdout);
	for (i = 0; i < NR_STORMS; i++) {
		pids[i] = fork_child();
		if (pids[i]) {
			setpgid(pids[i], pids[0]);
			continue;
		}
		setpgid(0, i ? pids[0] : 0);
		become_user(USER);
		/* Profilers get the CPU soon enough to be killed at work. */
		if (nice(19) < 0)
			_exit(1);
		for (;;) {
			pid_t pid = fork();

			if (!pid) {
				touch(getpid() % 4);
				/* Children with odd pids leave an orphan. */
				if (getpid() % 2 && !fork())
					usleep(1000);
				_exit(0);
			}
			waitpid(pid, NULL, 0);
		}
	}
	return pids[0];
}

static void end_fork_load(pid_t group)
{
	/* Processes may be forked while others are killed. */
	while (!kill(-group, SIGKILL))
		while (waitpid(-group, NULL, WNOHANG) > 0)
			;
}

/* ---- Profilers ---- */

/* Open, use and close captures of these processes and of @control, forever. */
static void __attribute__((noreturn))
profile_forever(const pid_t *pids, pid_t control, unsigned int random,
		uid_t uid)
{
	static const char letters[] = "RFFU";

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uid)
		become_user(uid);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = capture_try_open(), i, nr = rand_r(&random) % 8;
		void *data, *header;

		if (fd < 0)
			errx(1, "%s: %s", CAPTURE_PATH, strerror(-fd));
		*started = true;
		header = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd,
			      MP3_OFF_HEADER);
		for (i = 0; i < nr; i++) {
			char letter = letters[rand_r(&random) % 4];
			pid_t pid = pids[rand_r(&random) % NR_STORMS];

			if (control && rand_r(&random) % 4 == 0)
				pid = control;
			command_by_fd(fd, letter, pid);
			if (rand_r(&random) % 4 == 0)
				usleep(rand_r(&random) % 5000);
		}
		data = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		if (header == MAP_FAILED || data == MAP_FAILED)
			err(1, "mmap");
		if (rand_r(&random) % 2)
			usleep(rand_r(&random) % 10000);
		/* In either order: the last of the three ends it. */
		if (rand_r(&random) % 2)
			close(fd);
		munmap(data, PAGE);
		munmap(header, PAGE);
		close(fd);
	}
}

/* Write R, F and U of these processes to the status file, forever. */
static void __attribute__((noreturn))
command_forever(const pid_t *pids, pid_t control, unsigned int random)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int nr = rand_r(&random) % (NR_STORMS + 1);

		command("RFU"[rand_r(&random) % 3],
			nr == NR_STORMS ? control : pids[nr]);
		usleep(rand_r(&random) % 3000);
	}
}

static bool is_alive(pid_t pid)
{
	return !waitpid(pid, NULL, WNOHANG);
}

/* ---- Captures during forks ---- */

/* Add new entries of a ring that has one process only. */
static void read_new(const struct capture *c, uint64_t *next, pid_t pid,
		     struct history *h)
{
	uint64_t head = capture_head(c);

	if (head - *next > c->capacity - 2)
		errx(1, "the ring has lapped");
	for (; *next < head; ++*next) {
		struct mp3_record record = capture_at(c, *next);
		struct mp3_record previous = { 0 };

		if (*next)
			previous = capture_at(c, *next - 1);
		if (record.pid != (uint32_t)pid)
			errx(1, "a record of process %u", record.pid);
		history_add(h, &record, &previous);
	}
}

static void test_storm(int seconds)
{
	pid_t storms[NR_STORMS], profilers[4], group;
	struct worker control = worker_start();
	struct history h = { .ordered = true };
	struct capture c = capture_open();
	time_t end = time(NULL) + seconds;
	struct usage base, total;
	bool good = true;
	uint64_t next = 0;
	int i;

	set_interval("4");
	group = start_fork_load(storms);
	base = command_usage(c.fd, 'R', control.pid);
	fflush(stdout);
	for (i = 0; i < 4; i++) {
		profilers[i] = fork_child();
		if (profilers[i])
			continue;
		/* What they inherit would keep the capture alive. */
		close(c.fd);
		if (i == 3)
			command_forever(storms, control.pid, seed + i);
		profile_forever(storms, i ? control.pid : 0, seed + i,
				i ? 0 : USER);
	}
	while (time(NULL) < end) {
		worker_request(&control, 'm', next % 16);
		read_new(&c, &next, control.pid, &h);
		sleep_ms(10);
	}
	for (i = 0; i < 4; i++) {
		good &= is_alive(profilers[i]);
		kill_and_reap(profilers[i]);
	}
	ok(good, "captures open, follow and close while the processes that they follow fork");
	end_fork_load(group);
	total = worker_end(&control);
	good = capture_has(&c, 0);
	read_new(&c, &next, control.pid, &h);
	good &= history_matches(&h, 1, usage_between(base, total), "control");
	ok(good, "a process stays exact in one capture while others join and leave it");
	capture_close(&c);
	ok(sampler_stops(&ring) && !ring.header->processes &&
	   !classic.header->processes,
	   "nothing is registered after captures of a fork load have ended");
}

/* ---- Killed profilers ---- */

/* The processes of the load fork by themselves. */
static void fork_once(void *unused)
{
	(void)unused;
	sleep_ms(200);
}

static void test_probe(pid_t pid)
{
	static const char name[] =
		"the fork probe is detached soon after the last profiler was killed";

	if (!probe_count_calls(pid, name))
		return;
	ok(probe_is_detached(fork_once, NULL), "%s", name);
	fail_unload();
}

static void test_kills(int kills)
{
	static const int signals[] = { SIGKILL, SIGALRM, SIGPIPE, SIGSEGV };
	pid_t storms[NR_STORMS], group = start_fork_load(storms), pid;
	int i, fds[MAX_CAPTURES], nr, left = 0, used = 0;

	set_interval("1");
	for (i = 0; i < kills && !left; i++) {
		uid_t uid = i % 2 ? USER : 0;
		uint64_t ticks = ring.header->ticks;

		*started = false;
		fflush(stdout);
		pid = fork_child();
		if (!pid)
			profile_forever(storms, 0, seed + i, uid);
		while (!*started && is_alive(pid))
			usleep(100);
		usleep(rand_r(&seed) % 20000);
		kill(pid, signals[i % ARRAY_SIZE(signals)]);
		waitpid(pid, NULL, 0);
		used += ring.header->ticks != ticks;
		left += !comes_to_rest(&ring, 12);
	}
	diag("%d of %d profilers had a process at a tick", used, i);
	if (!ok(used && !left,
		"nothing is registered after a profiler was killed at a random instant"))
		diag("after profiler %d of %d", i, kills);
	test_probe(storms[0]);
	ok(comes_to_rest(&ring, 12), "nothing is followed after profilers were killed");
	end_fork_load(group);
	for (nr = 0; nr < MAX_CAPTURES; nr++) {
		fds[nr] = capture_try_open();
		if (fds[nr] < 0)
			break;
	}
	ok_eq(nr, MAX_CAPTURES, "63 captures can be opened after profilers were killed");
	while (nr-- > 0)
		close(fds[nr]);
}

/* ---- A control process ---- */

static void test_control(void)
{
	struct capture c = capture_open();
	uint64_t from = capture_head(&classic), sample = ring_head(&ring);
	struct worker w = worker_start();
	struct usage base[2], total;
	struct stat_line stat;
	struct totals sum;
	struct history h;
	bool good;

	set_interval("10");
	base[0] = command_usage(c.fd, 'F', w.pid);
	base[1] = command_usage(-1, 'R', w.pid);
	worker_request(&w, 'm', 100);
	worker_request(&w, 'f', 20);
	worker_request(&w, 't', 30);
	wait_state(w.pid, 'S');
	stat_of(w.pid, &stat);
	total = worker_end(&w);
	/* wait4 includes the child that the worker has waited for. */
	total.min_flt -= stat.flt[1];
	total.maj_flt -= stat.flt[3];
	good = sampler_stops(&ring);
	h = history_of(&c, w.pid);
	good &= history_matches(&h, 1, usage_between(base[0], total), "capture");
	h = history_from(&classic, from, w.pid);
	good &= history_matches(&h, 1, usage_between(base[1], total), "classic");
	sum = ring_sum(&ring, sample);
	good &= sum.min_flt == (unsigned long)h.counts.min_flt;
	ok(good, "a process is exact in a capture and in the classic rings after all that");
	capture_close(&c);
}

int main(int argc, char **argv)
{
	if (argc > 3)
		seed = strtoul(argv[3], NULL, 10);
	started = shared_memory(PAGE);
	ring = ring_open();
	classic = classic_open();
	test_storm(argc > 1 ? atoi(argv[1]) : SECONDS);
	test_kills(argc > 2 ? atoi(argv[2]) : KILLS);
	test_control();
	ok(sampler_stops(&ring), "nothing is registered at the end");

	return done();
}
