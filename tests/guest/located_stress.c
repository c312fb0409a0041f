// SPDX-License-Identifier: GPL-2.0
/*
 * Locating under load: 64 threads, captures that come and go, profilers that are
 * killed, CPUs that go offline and return, and the module unloaded, all while
 * processes fault as fast as they can. No fault of a control process is missing,
 * and nothing remains.
 *
 * Usage: located_stress [SECONDS [SEED]]
 *
 * 60 SECONDS are the long run.
 *
 * vm: -m 2560
 */
#include "located.h"

#define SECONDS		8
#define USER		1000
#define NR_STORMS	4	/* processes that fault and fork */
#define NR_PROFILERS	4
#define NR_THREADS	64
#define KILLS		30
#define UNLOADS		10
#define RETURNS		10	/* of CPU 1, when losses are measured */
#define ONLINE_MS	300	/* from a return until it goes offline again */
#define LOSS_MS		50	/* until its faults are located again, at most */
#define ONLINE_PATH	"/sys/devices/system/cpu/cpu1/online"

static struct ring ring;
static unsigned int seed = 1;

/* ---- The load ---- */

/* Fault in anonymous memory and in a file, and fork a child that does. */
static void __attribute__((noreturn)) storm_forever(void)
{
	int fd = open(program_path(), O_RDONLY | O_CLOEXEC);
	char *file;
	pid_t pid;

	for (;;) {
		touch(20);
		file = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			    fd, 0);
		if (file == MAP_FAILED)
			_exit(1);
		store_byte(file);
		load_byte(file + PAGE);
		munmap(file, 2 * PAGE);
		pid = fork();
		if (!pid) {
			touch(getpid() % 8);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

/* Start the processes. Returns their process group. */
static pid_t start_storm(pid_t *pids)
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
		become(USER, 0);
		/* Whatever acts on the load gets the CPU soon enough. */
		if (nice(19) < 0)
			_exit(1);
		storm_forever();
	}
	return pids[0];
}

static void end_storm(pid_t group)
{
	/* Processes may be forked while others are killed. */
	while (!kill(-group, SIGKILL))
		while (waitpid(-group, NULL, WNOHANG) > 0)
			;
}

/* ---- Threads ---- */

static void *touch_thread(void *pages)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		touch((size_t)pages);
	return NULL;
}

static void act_threads(void *arg)
{
	pthread_t threads[NR_THREADS];
	unsigned int i;

	for (i = 0; i < NR_THREADS; i++)
		if (pthread_create(&threads[i], NULL, touch_thread, arg))
			errx(1, "pthread_create");
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void test_threads(void)
{
	struct capture c = capture_open(), every = capture_open();
	uint64_t i, used, missing = 0, unknown = 0;
	struct fault_ring r, q;
	struct mp3_fault f;
	bool good;
	pid_t pid;

	locate_or_die(c.fd, 1, 8);
	locate_or_die(every.fd, 16, 0);
	r = fault_ring_map(c.fd);
	q = fault_ring_map(every.fd);
	pid = subject_start(NULL, act_threads, (void *)20);
	used = faults_of(pid);
	capture_command_or_die(&every, 'R', pid);
	subject_profile(&c, pid);
	capture_command_or_die(&every, 'U', pid);
	used = faults_of(pid) - used;
	good = counts_add_up(&c, &r, 0) && counts_add_up(&every, &q, 0);
	for (i = 0; i < fault_head(&r); i++) {
		missing += !fault_read(&r, i, &f);
		unknown += f.stall_ns == MP3_NO_STALL;
	}
	ok(good && r.header->counted == used && !missing,
	   "each fault of 64 threads is located");
	if (!ok(unknown <= used / 1000, "the faults of 64 threads have a stall"))
		diag("%lu of %lu have none", (unsigned long)unknown,
		     (unsigned long)used);
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	fault_ring_unmap(&q);
	capture_close(&c);
	capture_close(&every);
}

/* Many writers on a ring of 64: slots may be busy. */
static void test_small_ring(void)
{
	struct capture c = capture_open();
	const volatile struct mp3_header *h;
	uint64_t i, stale = 0;
	struct fault_ring r;
	struct mp3_fault f;
	pid_t pid;

	locate_or_die(c.fd, 1, 8);
	r = fault_ring_map(c.fd);
	h = r.header;
	pid = subject_start(NULL, act_threads, (void *)20);
	subject_profile(&c, pid);
	fault_ring_settle(&r);
	for (i = h->head - 64; i < h->head; i++)
		stale += !fault_read(&r, i, &f);
	diag("%lu faults, %lu dropped", (unsigned long)h->head,
	     (unsigned long)h->dropped);
	ok(h->counted == h->located && h->located == h->head &&
	   stale <= h->dropped,
	   "64 threads that lap a ring of 64 faults are counted exactly");
	kill_and_reap(pid);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- Captures that come and go ---- */

/* Open, locate with and close captures of these processes, forever. */
static void __attribute__((noreturn))
profile_forever(const pid_t *pids, pid_t control, unsigned int random, uid_t uid)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uid)
		become(uid, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = capture_try_open(), i, nr = 1 + rand_r(&random) % 6;
		struct fault_ring r = { 0 };
		struct mp3_fault f;
		uint64_t number;

		if (fd < 0)
			errx(1, "%s: %s", CAPTURE_PATH, strerror(-fd));
		for (i = 0; i < nr; i++) {
			pid_t pid = pids[rand_r(&random) % NR_STORMS];
			int n = rand_r(&random) % 8 - 1;

			if (control && rand_r(&random) % 4 == 0)
				pid = control;
			command_by_fd(fd, "RFU"[rand_r(&random) % 3], pid);
			/* 0, or 1 to 64 */
			locate_or_die(fd, n < 0 ? 0 : 1u << n,
				      rand_r(&random) % 9);
			if (!r.header && n >= 0)
				r = fault_ring_map(fd);
			usleep(rand_r(&random) % 5000);
		}
		/* Whatever is read must be complete. */
		if (r.header && fault_head(&r)) {
			number = fault_head(&r) - 1;
			if (fault_read(&r, number, &f) && !f.pid)
				errx(1, "an empty fault");
		}
		if (rand_r(&random) % 2)
			close(fd);
		if (r.header)
			fault_ring_unmap(&r);
		close(fd);
	}
}

static bool is_alive(pid_t pid)
{
	return !waitpid(pid, NULL, WNOHANG);
}

/* A subject that touches a page whenever it is continued, forever. */
static void act_control(void *arg)
{
	(void)arg;
	for (;;) {
		touch(16);
		stop_self();
	}
}

static void test_storm(int seconds)
{
	pid_t storms[NR_STORMS], profilers[NR_PROFILERS], group, control;
	struct capture c = capture_open();
	time_t end = time(NULL) + seconds;
	struct fault_ring r;
	uint64_t used;
	bool good = true;
	int i;

	set_interval("4");
	group = start_storm(storms);
	locate_or_die(c.fd, 1, 8);
	r = fault_ring_map(c.fd);
	control = subject_start(NULL, act_control, NULL);
	used = faults_of(control);
	capture_command_or_die(&c, 'R', control);
	fflush(stdout);
	for (i = 0; i < NR_PROFILERS; i++) {
		profilers[i] = fork_child();
		if (profilers[i])
			continue;
		/* What they inherit would keep the capture alive. */
		fault_ring_unmap(&r);
		capture_close(&c);
		profile_forever(storms, i % 2 ? control : 0, seed + i,
				i % 2 ? 0 : USER);
	}
	while (time(NULL) < end) {
		subject_continue(control);
		sleep_ms(5);
	}
	for (i = 0; i < NR_PROFILERS; i++) {
		good &= is_alive(profilers[i]);
		kill_and_reap(profilers[i]);
	}
	ok(good, "captures open, locate and close while processes fault and fork");
	used = faults_of(control) - used;
	capture_command_or_die(&c, 'U', control);
	good = counts_add_up(&c, &r, 0) && r.header->counted == used;
	if (!ok(good, "one capture locates all faults of a process while others come and go"))
		diag("%lu faults", (unsigned long)used);
	kill_and_reap(control);
	end_storm(group);
	fault_ring_unmap(&r);
	capture_close(&c);
	ok(sampler_stops(&ring), "nothing is registered after captures that located");
}

/* Profilers that are killed while they locate. */
static void test_kills(void)
{
	pid_t storms[NR_STORMS], group = start_storm(storms), pid;
	int i;

	set_interval("2");
	for (i = 0; i < KILLS; i++) {
		fflush(stdout);
		pid = fork_child();
		if (!pid)
			profile_forever(storms, 0, seed + i, i % 2 ? USER : 0);
		usleep(rand_r(&seed) % 60000);
		kill_and_reap(pid);
	}
	ok(sampler_stops(&ring),
	   "nothing is registered after profilers were killed that located");
	end_storm(group);
}

/* ---- CPU hotplug ---- */

/* Open a capture that locates the faults of the storms, which run already. */
static struct capture locate_storms(const pid_t *storms, struct fault_ring *r)
{
	struct capture c = capture_open();
	int i;

	locate_or_die(c.fd, 1, 0);
	*r = fault_ring_map(c.fd);
	for (i = 0; i < NR_STORMS; i++)
		capture_command_or_die(&c, 'F', storms[i]);
	return c;
}

static void prepare_control(void *arg)
{
	(void)arg;
	pin_to(0);
}

/* A process on CPU 0, and storms on both, while CPU 1 goes offline and returns. */
static void test_changes(int seconds)
{
	pid_t storms[NR_STORMS], group = start_storm(storms), control;
	struct capture c, control_capture = capture_open();
	time_t end = time(NULL) + seconds;
	uint64_t counted, located, used;
	struct fault_ring r, control_ring;
	int i;

	c = locate_storms(storms, &r);
	locate_or_die(control_capture.fd, 1, 8);
	control_ring = fault_ring_map(control_capture.fd);
	control = subject_start(prepare_control, act_control, NULL);
	used = faults_of(control);
	capture_command_or_die(&control_capture, 'R', control);
	for (i = 0; time(NULL) < end; i++) {
		write_file(ONLINE_PATH, i % 2 ? "1" : "0");
		subject_continue(control);
		usleep(rand_r(&seed) % 20000);
	}
	write_file(ONLINE_PATH, "1");
	used = faults_of(control) - used;
	capture_command_or_die(&control_capture, 'U', control);
	ok(counts_add_up(&control_capture, &control_ring, 0) &&
	   control_ring.header->counted == used,
	   "no fault on a CPU is lost while another goes offline and returns");
	kill_and_reap(control);
	end_storm(group);
	fault_ring_settle(&r);
	counted = r.header->counted;
	located = r.header->located;
	diag("%d changes: %lu of %lu faults located", i,
	     (unsigned long)located, (unsigned long)counted);
	/* The storms ran when they were registered: each may have been in a fault. */
	ok(located && located <= counted + NR_STORMS,
	   "no fault is located that is not counted while a CPU goes offline and returns");
	fault_ring_unmap(&control_ring);
	capture_close(&control_capture);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/*
 * A CPU that comes online has no events for some milliseconds. Both CPUs are busy, so
 * that half of the faults are on each of them.
 */
static void test_returns(void)
{
	pid_t storms[NR_STORMS], group = start_storm(storms);
	uint64_t counted, located, lost, start, online = 0;
	struct fault_ring r;
	struct capture c;
	int i;

	c = locate_storms(storms, &r);
	for (i = 0; i < RETURNS; i++) {
		write_file(ONLINE_PATH, "0");
		write_file(ONLINE_PATH, "1");
		start = now_ns();
		sleep_ms(ONLINE_MS);
		online += now_ns() - start;
	}
	end_storm(group);
	fault_ring_settle(&r);
	counted = r.header->counted;
	located = r.header->located;
	lost = counted > located ? counted - located : 0;
	diag("%d returns: %lu of %lu faults lost, %lu ms online", RETURNS,
	     (unsigned long)lost, (unsigned long)counted,
	     (unsigned long)(online / 1000000));
	ok(lost <= counted / 2 * LOSS_MS / ONLINE_MS,
	   "a CPU that comes online has its faults located %d ms later",
	   LOSS_MS);
	fault_ring_unmap(&r);
	capture_close(&c);
}

static void test_hotplug(int seconds)
{
	static const char name[] =
		"faults are located again after a CPU went offline and came back";
	struct fault_ring r;
	struct capture c;
	pid_t control;

	if (access(ONLINE_PATH, W_OK)) {
		skip(name, "CPU 1 cannot go offline");
		return;
	}
	set_interval("10");
	test_changes(seconds);
	test_returns();

	/* The work that follows a CPU's return has run by now. */
	sleep_ms(200);
	c = capture_open();
	locate_or_die(c.fd, 1, 0);
	r = fault_ring_map(c.fd);
	fflush(stdout);
	control = subject_start(NULL, act_threads, (void *)5);
	subject_profile(&c, control);
	ok(counts_add_up(&c, &r, 0), "%s", name);
	kill_and_reap(control);
	fault_ring_unmap(&r);
	capture_close(&c);
}

/* ---- Unloading ---- */

static void close_ring(void)
{
	munmap((void *)ring.samples, ring.data_size);
	munmap((void *)ring.header, PAGE);
	close(ring.fd);
}

static void test_unload(void)
{
	pid_t storms[NR_STORMS], group;
	struct capture c;
	int i, ret = 0;

	close_ring();
	group = start_storm(storms);
	for (i = 0; i < UNLOADS && !ret; i++) {
		c = capture_open();
		locate_or_die(c.fd, 1 << i % 5, i % 9);
		capture_command_or_die(&c, 'F', storms[i % NR_STORMS]);
		usleep(rand_r(&seed) % 100000);
		capture_close(&c);
		ret = unload();
		if (ret)
			diag("unload: %s", strerror(-ret));
		else
			load_or_die(i % 2 ? "" : "capture_faults=64");
	}
	ok(!ret, "the module can be unloaded while processes fault whose faults were located");
	end_storm(group);
	unload_or_die();
	load_or_die("capture_faults=64");
	ring = ring_open();
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : SECONDS;

	if (argc > 2)
		seed = strtoul(argv[2], NULL, 10);
	ring = ring_open();
	write_file(USER_FAULTS_PATH, "1");
	set_interval("10");
	test_threads();
	test_storm(seconds);
	test_kills();
	test_hotplug(seconds);
	test_unload();
	set_interval("10");
	test_small_ring();
	ok(sampler_stops(&ring), "nothing is registered at the end");

	return done();
}
