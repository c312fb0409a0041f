// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading: with work in flight, with parameters good and bad,
 * with each step of the load failing, and what is left afterwards: nothing.
 *
 * Usage: lifecycle [MP3.KO], by default /mp3/mp3.ko; fail.ko lies beside it.
 */
#include <dirent.h>
#include <libgen.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "test.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define MAJOR			"/sys/module/mp3/parameters/major"

static const char *mp3_ko = "/mp3/mp3.ko";
static char *fail_ko;

/* ---- Modules, by their bare system calls ---- */

static int load_file(const char *path, const char *params)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		err(1, "%s", path);
	ret = syscall(SYS_finit_module, fd, params, 0) ? -errno : 0;
	close(fd);

	return ret;
}

static int load(const char *params)
{
	return load_file(mp3_ko, params);
}

static int unload(void)
{
	return syscall(SYS_delete_module, "mp3", O_NONBLOCK) ? -errno : 0;
}

static bool unload_is_refused(void)
{
	int ret = unload();

	return ret == -EBUSY || ret == -EWOULDBLOCK;
}

static void must_load(const char *params)
{
	int ret = load(params);

	if (ret)
		errx(1, "load with \"%s\": %s", params, strerror(-ret));
}

static void must_unload(void)
{
	int ret = unload();

	if (ret)
		errx(1, "unload: %s", strerror(-ret));
}

#define NR_NAMES 3	/* of a function, at most: kernels differ */

/*
 * Has one of @symbols, names that different kernels have for the same, fail
 * once for a process: 0, or -errno where there is none or there are no kprobes.
 */
static int fail_load(pid_t pid, const char * const symbols[NR_NAMES], const char *how)
{
	char params[200];
	int i, ret = -ENOENT;

	for (i = 0; i < NR_NAMES && symbols[i] && ret == -ENOENT; i++) {
		snprintf(params, sizeof(params), "symbol=%s pid=%d %s",
			 symbols[i], pid, how);
		ret = load_file(fail_ko, params);
	}
	return ret;
}

static void fail_unload(void)
{
	if (syscall(SYS_delete_module, "fail", O_NONBLOCK))
		err(1, "unload fail");
}

static bool fail_is_possible(void)
{
	static const char * const any[NR_NAMES] = { "cdev_add" };

	if (access(fail_ko, F_OK) || fail_load(getpid(), any, ""))
		return false;
	fail_unload();
	return true;
}

/* ---- What a load leaves behind ---- */

/* How many lines of a file hold a text. */
static int lines_with(const char *path, const char *text)
{
	FILE *file = fopen(path, "re");
	char line[512];
	int count = 0;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		count += !!strstr(line, text);
	fclose(file);

	return count;
}

/* The thread that keeps the workqueue going without memory bears its name. */
static bool has_worker(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;
	char path[300];

	if (!proc)
		err(1, "/proc");
	while (!found && (entry = readdir(proc))) {
		if (!atoi(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		found = lines_with(path, "(mp3) ") ||
			lines_with(path, "(kworker/R-mp3) ");
	}
	closedir(proc);

	return found;
}

/* What an open of that device number says: 0 or -errno. */
static int open_number(unsigned int number)
{
	static const char path[] = "/dev/mp3-test";
	int fd, ret;

	if (mknod(path, S_IFCHR | 0600, makedev(number, 0)))
		err(1, "%s", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ret = fd < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	unlink(path);

	return ret;
}

/* Areas of memory made to be mapped: nothing else in the guest has any. */
static int user_areas(void)
{
	return lines_with("/proc/vmallocinfo", " user");
}

static bool nothing_left(void)
{
	static const char * const paths[] = {
		"/proc/mp3", "/dev/mp3", "/dev/mp3_procs", "/sys/class/mp3",
		"/sys/module/mp3",
	};
	const char *left = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (!access(paths[i], F_OK))
			left = paths[i];
	if (lines_with("/proc/devices", " mp3"))
		left = "its number";
	if (open_number(MP3_MAJOR) != -ENXIO)
		left = "its device";
	if (has_worker())
		left = "its workqueue";
	if (user_areas())
		left = "its memory";
	if (left)
		diag("left: %s", left);

	return !left;
}

/* ---- Processes ---- */

/* Memory that children share with their parent. */
static volatile void *shared(void)
{
	void *memory = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	return memory;
}

/* Ends a child; true when it was alive until then. */
static bool end(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

static bool file_is_on_its_way(int ret)
{
	return ret == -ENOENT || ret == -EIO;
}

/* Registers itself, lists, unregisters, for ever, loaded or not. */
static pid_t meddler(void)
{
	pid_t pid = fork();
	char buf[4096];

	if (pid)
		return pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd, ret = command('R', getpid());

		if (ret && !file_is_on_its_way(ret))
			errx(1, "R: %s", strerror(-ret));
		fd = open(MP3_STATUS_PATH, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			while (read(fd, buf, sizeof(buf)) > 0)
				;
			close(fd);
		}
		ret = command('U', getpid());
		if (ret && ret != -ESRCH && !file_is_on_its_way(ret))
			errx(1, "U: %s", strerror(-ret));
		usleep(500);
	}
}

/*
 * Uses whatever of a load is there to be used, as soon as it is: registers
 * itself, and opens the device, by a node that was there before.
 */
static pid_t early_user(volatile bool *opened)
{
	static const char path[] = "/dev/mp3-early";
	pid_t pid;

	unlink(path);
	if (mknod(path, S_IFCHR | 0600, makedev(MP3_MAJOR, 0)))
		err(1, "%s", path);
	*opened = false;
	pid = fork();
	if (pid)
		return pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd >= 0) {
			*opened = true;
			close(fd);
		}
		command('R', getpid());
		usleep(1000);
	}
}

/* Writes one interval after the other, for ever; counts those that took. */
static pid_t interval_writer(volatile long *taken)
{
	pid_t pid = fork();
	int ms;

	if (pid)
		return pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (ms = 1;; ms = ms % 20 + 1) {
		int fd = open(INTERVAL_PATH, O_WRONLY | O_CLOEXEC);

		usleep(100);
		if (fd < 0)
			continue;
		if (dprintf(fd, "%d", ms) > 0)
			++*taken;
		close(fd);
	}
}

/* ---- Unloading at work ---- */

static void test_rounds(void)
{
	const int rounds = 200;
	pid_t pids[8], other;
	bool good = true;
	int i, round;

	for (i = 0; i < 8; i++)
		pids[i] = sleeper();
	other = meddler();

	srand(1);
	for (round = 0; good && round < rounds; round++) {
		must_load("interval_ms=5");
		for (i = 0; i < 8; i++)
			good &= command('R', pids[i]) == 0;
		usleep(rand() % 15000);
		good &= unload() == 0;
	}
	ok(good, "%d loads and unloads with processes registered and a tick due",
	   rounds);
	for (i = 0; i < 8; i++)
		good &= end(pids[i]);
	good &= end(other);
	ok(good && nothing_left(), "nothing is left of them");
}

static void test_hundred(void)
{
	pid_t pids[100];
	bool good = true;
	int i;

	must_load("");
	for (i = 0; i < 100; i++) {
		pids[i] = sleeper();
		good &= command('R', pids[i]) == 0;
	}
	ok(good && !unload(), "unload with 100 processes registered");
	for (i = 0; i < 100; i++)
		good &= end(pids[i]);
	ok(good, "the 100 processes live on");
}

static void test_interval_writer(void)
{
	static const char * const last_step[NR_NAMES] = { "async_synchronize_full" };
	volatile long *taken = shared();
	pid_t pid = sleeper(), writer = interval_writer(taken);
	bool good = true;
	int i;

	for (i = 0; i < 50; i++) {
		must_load("");
		good &= command('R', pid) == 0;
		usleep(rand() % 5000);
		good &= unload() == 0;
	}
	ok(good && *taken, "50 more while another writes intervals in sysfs");

	/*
	 * The file in sysfs outlives the module's own exit by a moment. It is
	 * made a long one by putting off what unloading does in between.
	 */
	if (!fail_is_possible()) {
		skip("an interval written after the module's exit",
		     "no kprobes");
	} else {
		for (i = 0; i < 5; i++) {
			must_load("");
			if (fail_load(getpid(), last_step, "delay_ms=100"))
				errx(1, "no kprobe at %s", last_step[0]);
			good &= unload() == 0;
			fail_unload();
		}
		ok(good, "an interval written after the module's exit");
	}
	good &= end(pid);
	good &= end(writer);
	ok(good && nothing_left(), "nothing is left of that");
}

static void test_busy(void)
{
	long page = sysconf(_SC_PAGESIZE);
	pid_t pid;
	void *map;
	char byte;
	int fd;

	must_load("");
	fd = open(MP3_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, MP3_DEVICE_PATH);
	ok(unload_is_refused(), "an open device holds the module");
	map = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, MP3_OFF_HEADER);
	if (map == MAP_FAILED)
		err(1, "mmap");
	close(fd);
	ok(unload_is_refused(), "a mapping alone holds the module");
	pid = sleeper();
	munmap(map, page);
	ok(unload_is_refused(), "a mapping that a child inherited holds it");
	end(pid);

	fd = open(MP3_PROCS_PATH, O_RDONLY | O_CLOEXEC);
	ok(fd >= 0 && unload_is_refused(), "the other device holds it, too");
	close(fd);

	fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0 || command('R', getpid()) || read(fd, &byte, 1) != 1)
		err(1, MP3_STATUS_PATH);
	ok_eq(unload(), 0, "an open status file does not hold it");
	ok(read(fd, &byte, 1) < 0 && write(fd, "R,1", 3) < 0,
	   "reading and writing it fail from then on");
	must_load("");
	ok(read(fd, &byte, 1) < 0 && write(fd, "R,1", 3) < 0 && !listed(1),
	   "nor does the next load bring it back to life");
	close(fd);
	must_unload();
	ok(nothing_left(), "nothing is left of any of it");
}

/* ---- References ---- */

/*
 * A user namespace lives as long as any task of its own, a pid namespace as
 * long as any pid. Where only one of each is allowed, a new process in a new
 * pair can be had once nothing refers to the one before it any more.
 */
static bool limit_namespaces(const char *limit)
{
	static const char * const paths[] = {
		"/proc/sys/user/max_user_namespaces",
		"/proc/sys/user/max_pid_namespaces",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		int fd = open(paths[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			return false;
		if (write(fd, limit, strlen(limit)) < 0)
			err(1, "%s", paths[i]);
		close(fd);
	}
	return true;
}

/* Waits for what is left of the last one; -1 if that takes a minute. */
static pid_t namespaced(void)
{
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWPID,
		.exit_signal = SIGCHLD,
	};
	pid_t pid = -1;
	int i;

	for (i = 0; i < 6000 && pid < 0; i++) {
		pid = syscall(SYS_clone3, &args, sizeof(args));
		if (pid < 0)
			sleep_ms(10);
	}
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static bool is_let_go(void)
{
	pid_t pid = namespaced();

	return pid > 0 && end(pid);
}

/* Every command that can be refused, once each; ends with @pid registered. */
static bool refuse_all(pid_t pid)
{
	char line[40];
	int status;
	pid_t stranger;

	snprintf(line, sizeof(line), "R,%dx", pid);
	if (status_write(line, strlen(line)) != -EINVAL ||
	    command('U', pid) != -ESRCH || command('R', pid) ||
	    command('R', pid) != -EEXIST || command('U', pid) ||
	    command('F', pid) || command('F', pid) != -EEXIST ||
	    command('U', pid) || command('R', pid) || command('F', pid))
		return false;

	stranger = fork();
	if (!stranger) {
		if (setresuid(1001, 1001, 1001))
			_exit(2);
		_exit(command('R', pid) != -EPERM ||
		      command('F', pid) != -EPERM ||
		      command('U', pid) != -EPERM);
	}
	return waitpid(stranger, &status, 0) == stranger && !status;
}

static void test_references(void)
{
	siginfo_t info;
	bool good;
	pid_t pid;

	if (!limit_namespaces("1")) {
		skip("no command keeps hold of a process", "no namespaces");
		skip("unloading lets go of those registered", "no namespaces");
		return;
	}
	must_load("");
	pid = namespaced();
	if (pid < 0)
		err(1, "clone3");
	good = refuse_all(pid);
	kill(pid, SIGKILL);
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	good &= command('R', pid) == -ESRCH && command('U', pid) == -ESRCH &&
		command('F', pid) == -ESRCH;
	end(pid);
	ok(is_let_go() && good, "no command keeps hold of a process");

	limit_namespaces("2");
	pid = namespaced();
	if (pid < 0)
		err(1, "clone3");
	good = command('R', pid) == 0;
	must_unload();
	end(pid);
	limit_namespaces("1");
	ok(is_let_go() && good, "unloading lets go of those registered");
	limit_namespaces("1000");
}

/* ---- Parameters ---- */

static long parameter(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[32];

	if (!file || !fgets(text, sizeof(text), file))
		err(1, "%s", path);
	fclose(file);

	return atol(text);
}

static struct mp3_header header(void)
{
	struct ring ring = ring_open();
	struct mp3_header copy = *ring.header;

	munmap((void *)ring.header, sysconf(_SC_PAGESIZE));
	munmap((void *)ring.samples, ring.data_size);
	close(ring.fd);

	return copy;
}

static void test_bad_parameters(void)
{
	static const char * const bad[] = {
		"interval_ms=0", "interval_ms=10001", "interval_ms=-1",
		"interval_ms=abc", "interval_ms=5x", "interval_ms=",
		"major=512", "major=4294967295", "major=-1", "major=x",
		"records=63", "records=0", "records=16777217", "records=-1",
		"records=x", "records=",
	};
	bool good = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		int ret = load(bad[i]);

		if (ret == -EINVAL)
			continue;
		diag("%s: %s", bad[i], strerror(-ret));
		good = false;
		if (!ret)
			unload();
	}
	ok(good && nothing_left(), "a parameter out of range refuses to load");
}

static void test_intervals(void)
{
	static const char * const params[] = {
		"interval_ms=1", "interval_ms=7", "interval_ms=10000", "",
	};
	static const long ms[] = { 1, 7, 10000, 50 };
	bool good = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ms); i++) {
		uint64_t want = ms[i] * 1000000, tick;
		struct mp3_header seen;

		must_load(params[i]);
		seen = header();
		tick = 1000000000 / seen.hz;
		good &= parameter(INTERVAL_PATH) == ms[i];
		good &= seen.interval_ns == (want > tick ? want : tick);
		must_unload();
	}
	ok(good, "an interval given at load holds, and is in the header");
}

static void test_major(void)
{
	struct stat status;
	char entry[20];
	long number;

	ok_eq(load("major=1"), -EBUSY, "a major number that is taken is busy");
	ok(nothing_left() && !load("") && parameter(MAJOR) == MP3_MAJOR,
	   "and the next load works");
	must_unload();

	must_load("major=0");
	number = parameter(MAJOR);
	snprintf(entry, sizeof(entry), "%3ld mp3\n", number);
	ok(number > 0 && lines_with("/proc/devices", entry) == 1 &&
	   !stat(MP3_DEVICE_PATH, &status) &&
	   major(status.st_rdev) == number && header().magic == MP3_MAGIC,
	   "major=0 takes any that is free, and says which");
	must_unload();
	ok(nothing_left() && open_number(number) == -ENXIO,
	   "and gives it back");
}

/* ---- Loads that fail ---- */

/*
 * EXFULL is an errno that is nobody else's here. A /proc/mp3 that is taken
 * fails proc_mkdir() as here; but for real, proc itself gives a WARN, which no
 * test may leave in the kernel's log.
 */
static void test_steps(void)
{
	static const struct step {
		const char *name;
		const char *symbols[NR_NAMES];
		const char *params;
		long retval;
		int nth, error;
	} steps[] = {
		{ "the tracepoint", { "for_each_kernel_tracepoint" },
		  "", 0, 1, -ENOENT },
		{ "the ring", { "vmalloc_user_noprof", "vmalloc_user" },
		  "", 0, 1, -ENOMEM },
		{ "its header", { "vmalloc_user_noprof", "vmalloc_user" },
		  "", 0, 2, -ENOMEM },
		{ "the other ring", { "vmalloc_user_noprof", "vmalloc_user" },
		  "", 0, 3, -ENOMEM },
		{ "the other header", { "vmalloc_user_noprof", "vmalloc_user" },
		  "", 0, 4, -ENOMEM },
		{ "the workqueue", { "alloc_workqueue_noprof", "alloc_workqueue" },
		  "", 0, 1, -ENOMEM },
		{ "the device number", { "register_chrdev_region" },
		  "", -EXFULL, 1, -EXFULL },
		{ "any device number", { "alloc_chrdev_region" },
		  "major=0", -EXFULL, 1, -EXFULL },
		{ "the class", { "class_create", "__class_create" },
		  "", -EXFULL, 1, -EXFULL },
		{ "the proc directory", { "proc_mkdir" }, "", 0, 1, -ENOMEM },
		{ "the status file", { "proc_create" }, "", 0, 1, -ENOMEM },
		{ "the node", { "device_create" }, "", -EXFULL, 1, -EXFULL },
		{ "the other node", { "device_create" }, "", -EXFULL, 2, -EXFULL },
		{ "the device", { "cdev_add" }, "", -EXFULL, 1, -EXFULL },
	};
	volatile bool *opened = shared();
	const struct step *step;
	bool none_opened = true;
	char how[60];
	pid_t user;
	int ret;

	if (!fail_is_possible()) {
		skip("where any step fails, the load does", "no kprobes");
		return;
	}
	for (step = steps; step < steps + ARRAY_SIZE(steps); step++) {
		snprintf(how, sizeof(how), "nth=%d retval=%ld delay_ms=20",
			 step->nth, step->retval);
		ret = fail_load(getpid(), step->symbols, how);
		if (ret)
			errx(1, "%s: %s", step->symbols[0], strerror(-ret));
		user = early_user(opened);
		ret = load(step->params);
		end(user);
		none_opened &= !*opened;
		fail_unload();
		if (ret != step->error)
			diag("load: %s", strerror(-ret));
		if (!ok(ret == step->error && nothing_left() && !load(""),
			"where %s fails, the load does, and the next works",
			step->name) && ret)
			continue;
		must_unload();
	}
	/* An open file would be left without a module. */
	ok(none_opened, "until a load cannot fail, no one can open the device");
	unlink("/dev/mp3-early");
}

static int do_register(int fd)
{
	char line[20];
	int len = snprintf(line, sizeof(line), "R,%d", getpid());

	return write(fd, line, len) < 0 ? errno : 0;
}

static int do_follow(int fd)
{
	char line[20];
	int len = snprintf(line, sizeof(line), "F,%d", getpid());

	return write(fd, line, len) < 0 ? errno : 0;
}

static int do_open(int fd)
{
	return open(MP3_DEVICE_PATH, O_RDONLY | O_CLOEXEC) < 0 ? errno : fd < 0;
}

/* What a child's act comes to when one of the functions fails it. */
static int failing(const char * const symbols[NR_NAMES], const char *how,
		   int (*act)(int fd))
{
	int fd, go[2], ret, status;
	pid_t pid;

	/* Opened before: that allocates, too. */
	fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pipe2(go, O_CLOEXEC))
		err(1, MP3_STATUS_PATH);
	pid = fork();
	if (!pid) {
		if (read(go[0], &status, 1) != 1)
			_exit(1);
		_exit(act(fd));
	}
	ret = fail_load(pid, symbols, how);
	if (ret)
		errx(1, "%s: %s", symbols[0], strerror(-ret));
	if (write(go[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid)
		err(1, "a child");
	fail_unload();
	close(go[0]);
	close(go[1]);
	close(fd);

	return WEXITSTATUS(status);
}

/* Small allocations: the nth of them. */
static int without_memory(int nth, int (*act)(int fd))
{
	static const char * const kmalloc[NR_NAMES] = {
		"__kmalloc_cache_noprof", "kmalloc_trace",
		"kmem_cache_alloc_trace"
	};
	char how[20];

	snprintf(how, sizeof(how), "nth=%d", nth);
	return failing(kmalloc, how, act);
}

static void test_no_memory(void)
{
	static const char * const attach[NR_NAMES] = { "tracepoint_probe_register" };

	if (!fail_is_possible()) {
		skip("a registration without memory is ENOMEM", "no kprobes");
		skip("following without memory is ENOMEM", "no kprobes");
		skip("an open without memory is ENOMEM", "no kprobes");
		return;
	}
	must_load("");
	ok_eq(without_memory(1, do_register), ENOMEM,
	      "a registration without memory is ENOMEM");
	ok_eq(header().processes, 0, "and registers nothing");
	ok(without_memory(1, do_follow) == ENOMEM &&
	   without_memory(2, do_follow) == ENOMEM &&
	   without_memory(1000, do_follow) == ENOMEM &&
	   failing(attach, "retval=-12", do_follow) == ENOMEM,
	   "following without memory is ENOMEM");
	ok_eq(header().processes, 0, "and follows nobody");
	ok_eq(without_memory(1, do_open), ENOMEM,
	      "an open without memory is ENOMEM");
	ok_eq(unload(), 0, "and does not hold the module");
}

/* ---- Unloading amid forks ---- */

#define STORM_SECONDS	60	/* after which no other round begins */

/* Four at it: children that fork, wait, and end without, as fast as they can. */
static pid_t storm(void)
{
	pid_t pid = fork();
	int i;

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	setpgid(0, 0);
	for (i = 0; i < 3; i++)
		if (!fork())
			break;
	for (;;) {
		pid = fork();
		if (!pid) {
			/* Every other one leaves an orphan. */
			if (getpid() % 2 && !fork())
				usleep(1000);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void end_storm(pid_t pid)
{
	/* Some are born while the others are killed. */
	while (!kill(-pid, SIGKILL))
		while (waitpid(-pid, NULL, WNOHANG) > 0)
			;
}

/* Follows one after the other, for ever, loaded or not. */
static pid_t follower(pid_t whom)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int ret = command('F', whom);

		if (ret && ret != -EEXIST && !file_is_on_its_way(ret))
			errx(1, "F: %s", strerror(-ret));
		command('U', whom);
	}
}

static void test_storm(void)
{
	time_t end_time = time(NULL) + STORM_SECONDS;
	pid_t pid = storm(), other;
	bool good = true;
	int round;

	setpgid(pid, pid);
	for (round = 0; good && round < 50 && time(NULL) < end_time; round++) {
		must_load("interval_ms=5");
		good &= command('F', pid) == 0;
		usleep(rand() % 20000);
		good &= header().processes > 0;
		good &= unload() == 0;
	}
	diag("%d rounds", round);
	ok(good, "loads and unloads amid a storm of followed forks");

	other = follower(pid);
	end_time = time(NULL) + STORM_SECONDS;
	for (round = 0; good && round < 50 && time(NULL) < end_time; round++) {
		must_load("interval_ms=5");
		usleep(rand() % 10000);
		good &= unload() == 0;
	}
	good &= end(other);
	diag("%d rounds", round);
	ok(good, "and while another follows and lets go");

	must_load("");
	good = command('F', pid) == 0 && header().processes > 0;
	end_storm(pid);
	while (header().processes)
		sleep_ms(10);
	must_unload();
	ok(good && nothing_left(), "nothing is left of that");
}

int main(int argc, char **argv)
{
	char *path;

	if (argc > 1)
		mp3_ko = argv[1];
	path = strdup(mp3_ko);
	if (!path || asprintf(&fail_ko, "%s/fail.ko", dirname(path)) < 0)
		err(1, "fail.ko");

	/* Loaded it was, and loaded it must be left. */
	must_unload();
	ok(nothing_left(), "an unload leaves nothing");
	test_bad_parameters();
	test_intervals();
	test_major();
	test_busy();
	test_hundred();
	test_references();
	test_steps();
	test_no_memory();
	test_rounds();
	test_interval_writer();
	test_storm();
	must_load("");

	return done();
}
