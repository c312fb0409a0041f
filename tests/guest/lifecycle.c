// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading: with work in flight, open files and forking processes,
 * with good and bad parameters, and with each step of the load failing. Afterwards
 * nothing of the module may be left.
 *
 * Usage: lifecycle [MP3.KO], by default /mp3/mp3.ko; fail.ko and taken.ko are next
 * to it.
 */
#include <dirent.h>
#include <grp.h>
#include <libgen.h>
#include <linux/sched.h>
#include <sys/klog.h>
#include <sys/sysmacros.h>

#include "fail.h"
#include "module.h"
#include "process.h"
#include "test.h"

#define MAJOR_PATH	"/sys/module/mp3/parameters/major"

/* A module that has the default major number of mp3 */
static char *taken_path;

static bool unload_is_refused(void)
{
	int ret = unload();

	return ret == -EBUSY || ret == -EWOULDBLOCK;
}

/* ---- What a module leaves behind ---- */

/* Count the lines of a file that contain a text. */
static int count_lines(const char *path, const char *text)
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

/* Look for the thread that executes the tick. */
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
		found = count_lines(path, "(mp3) ");
	}
	closedir(proc);

	return found;
}

/* Open a device by its major number. Returns 0 or -errno. */
static int try_open_number(unsigned int number)
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

/*
 * Count the areas of memory that mp3 has allocated. After it has been unloaded,
 * their caller has no name: it is printed as a number.
 */
static int count_areas(void)
{
	return count_lines("/proc/vmallocinfo", " [mp3] ") +
	       count_lines("/proc/vmallocinfo", " 0x");
}

/*
 * Wait until the module has so many areas of memory. Returns false after a minute, which
 * only a leak takes.
 */
static bool wait_areas(int areas)
{
	unsigned int tries;

	for (tries = 0; count_areas() != areas; tries++) {
		if (tries == 6000) {
			diag("%d areas, want %d", count_areas(), areas);
			return false;
		}
		sleep_ms(10);
	}

	return true;
}

static bool nothing_left(void)
{
	static const char * const paths[] = {
		"/proc/mp3", "/dev/mp3", "/dev/mp3_procs", "/dev/mp3_capture",
		"/sys/class/mp3", "/sys/module/mp3",
	};
	const char *left = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (!access(paths[i], F_OK))
			left = paths[i];
	if (count_lines("/proc/devices", " mp3"))
		left = "its device number";
	if (try_open_number(MP3_MAJOR) != -ENXIO)
		left = "its character device";
	if (has_worker())
		left = "its thread";
	if (count_areas())
		left = "its memory";
	if (left)
		diag("left after unloading: %s", left);

	return !left;
}

/* ---- Processes ---- */

/* The errors of a status file while its module is loaded or unloaded. */
static bool is_transient(int ret)
{
	return ret == -ENOENT || ret == -EIO;
}

/* Register, list and unregister in a loop, whether the module is loaded or not. */
static pid_t start_commander(void)
{
	pid_t pid = fork_child();
	char buf[4096];

	if (pid)
		return pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd, ret = command('R', getpid());

		if (ret && !is_transient(ret))
			errx(1, "R: %s", strerror(-ret));
		fd = open(MP3_STATUS_PATH, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			while (read(fd, buf, sizeof(buf)) > 0)
				;
			close(fd);
		}
		ret = command('U', getpid());
		if (ret && ret != -ESRCH && !is_transient(ret))
			errx(1, "U: %s", strerror(-ret));
		usleep(500);
	}
}

/*
 * Use whatever exists of a module as soon as it does: register, and open the
 * device by a node that was made before.
 */
static pid_t start_early_user(volatile bool *opened)
{
	static const char path[] = "/dev/mp3-early";
	pid_t pid;

	unlink(path);
	if (mknod(path, S_IFCHR | 0600, makedev(MP3_MAJOR, 0)))
		err(1, "%s", path);
	*opened = false;
	pid = fork_child();
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

/* Write one interval after another, and count the writes that succeed. */
static pid_t start_interval_writer(volatile long *nr_written)
{
	pid_t pid = fork_child();
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
			++*nr_written;
		close(fd);
	}
}

/* ---- Unloading a module in use ---- */

static void test_rounds(void)
{
	const int rounds = 200;
	pid_t pids[8], commander;
	bool good = true;
	int i, round;

	for (i = 0; i < 8; i++)
		pids[i] = sleeper();
	commander = start_commander();

	srand(1);
	for (round = 0; good && round < rounds; round++) {
		load_or_die("interval_ms=5");
		for (i = 0; i < 8; i++)
			good &= command('R', pids[i]) == 0;
		usleep(rand() % 15000);
		good &= unload() == 0;
	}
	ok(good, "the module unloads %d times with processes registered and a tick due",
	   rounds);
	for (i = 0; i < 8; i++)
		good &= kill_and_reap(pids[i]);
	good &= kill_and_reap(commander);
	ok(good && nothing_left(),
	   "nothing is left of the module after %d loads and unloads", rounds);
}

static void test_hundred_processes(void)
{
	pid_t pids[100];
	bool good = true;
	int i;

	load_or_die("");
	for (i = 0; i < 100; i++) {
		pids[i] = sleeper();
		good &= command('R', pids[i]) == 0;
	}
	ok(good && !unload(),
	   "the module unloads with 100 processes registered");
	for (i = 0; i < 100; i++)
		good &= kill_and_reap(pids[i]);
	ok(good, "100 registered processes survive an unload");
}

static void test_interval_writer(void)
{
	static const char last_step[] = "async_synchronize_full";
	static const char name[] =
		"a write of interval_ms after the module's exit is harmless";
	volatile long *nr_written = shared_memory(sizeof(*nr_written));
	pid_t pid = sleeper(), writer = start_interval_writer(nr_written);
	bool good = true;
	int i;

	for (i = 0; i < 50; i++) {
		load_or_die("");
		good &= command('R', pid) == 0;
		usleep(rand() % 5000);
		good &= unload() == 0;
	}
	ok(good && *nr_written,
	   "the module unloads 50 times while a process writes intervals in sysfs");

	/*
	 * The file in sysfs exists for a moment longer than the module's exit.
	 * Prolong that by delaying what unloading does in between.
	 */
	if (!have_kprobes()) {
		skip(name, "no kprobes");
	} else {
		for (i = 0; i < 5; i++) {
			load_or_die("");
			if (!fail_load(getpid(), last_step, 1, 100))
				errx(1, "no kprobe at %s", last_step);
			good &= unload() == 0;
			fail_unload();
		}
		ok(good, "%s", name);
	}
	good &= kill_and_reap(pid);
	good &= kill_and_reap(writer);
	ok(good && nothing_left(),
	   "nothing is left of the module after writes of intervals");
}

static void test_busy(void)
{
	long page = sysconf(_SC_PAGESIZE);
	pid_t pid;
	void *map;
	char byte;
	int fd;

	load_or_die("");
	fd = open(MP3_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, MP3_DEVICE_PATH);
	ok(unload_is_refused(), "an open %s prevents unloading", MP3_DEVICE_PATH);
	map = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, MP3_OFF_HEADER);
	if (map == MAP_FAILED)
		err(1, "mmap");
	close(fd);
	ok(unload_is_refused(), "a mapping of a closed device prevents unloading");
	pid = sleeper();
	munmap(map, page);
	ok(unload_is_refused(), "a mapping that a child inherited prevents unloading");
	kill_and_reap(pid);

	fd = open(MP3_PROCS_PATH, O_RDONLY | O_CLOEXEC);
	ok(fd >= 0 && unload_is_refused(), "an open %s prevents unloading",
	   MP3_PROCS_PATH);
	close(fd);

	fd = open(MP3_CAPTURE_PATH, O_RDWR | O_CLOEXEC);
	ok(fd >= 0 && unload_is_refused(), "an open %s prevents unloading",
	   MP3_CAPTURE_PATH);
	map = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, MP3_OFF_HEADER);
	if (map == MAP_FAILED)
		err(1, "mmap");
	close(fd);
	ok(unload_is_refused(), "a mapping of a closed capture prevents unloading");
	munmap(map, page);

	fd = open(MP3_STATUS_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0 || command('R', getpid()) || read(fd, &byte, 1) != 1)
		err(1, MP3_STATUS_PATH);
	ok_eq(unload(), 0, "an open status file does not prevent unloading");
	ok(read(fd, &byte, 1) < 0 && write(fd, "R,1", 3) < 0,
	   "reads and writes of an open status file fail after unloading");
	load_or_die("");
	ok(read(fd, &byte, 1) < 0 && write(fd, "R,1", 3) < 0 && !listed(1),
	   "reads and writes of a status file opened before unloading fail after the next load");
	close(fd);
	unload_or_die();
	ok(nothing_left(),
	   "nothing is left of the module after unloading with an open file");
}

/* ---- References ---- */

/*
 * A user namespace lives as long as any of its tasks, and a pid namespace as long as
 * any of its pids. With a limit of one of each, a new process in a new pair can be
 * created only when nothing refers to the one before.
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

/* Start a process in new namespaces. Returns -1 if that fails for a minute. */
static pid_t start_namespaced(void)
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

static bool is_released(void)
{
	pid_t pid = start_namespaced();

	return pid > 0 && kill_and_reap(pid);
}

/* Write each command that is refused, once; @pid is registered afterwards. */
static bool write_refused_commands(pid_t pid)
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

	stranger = fork_child();
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
		skip("no command keeps a reference to a process", "no namespaces");
		skip("unloading drops the references to registered processes",
		     "no namespaces");
		return;
	}
	load_or_die("");
	pid = start_namespaced();
	if (pid < 0)
		err(1, "clone3");
	good = write_refused_commands(pid);
	kill(pid, SIGKILL);
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	good &= command('R', pid) == -ESRCH && command('U', pid) == -ESRCH &&
		command('F', pid) == -ESRCH;
	kill_and_reap(pid);
	ok(is_released() && good, "no command keeps a reference to a process");

	limit_namespaces("2");
	pid = start_namespaced();
	if (pid < 0)
		err(1, "clone3");
	good = command('R', pid) == 0;
	unload_or_die();
	kill_and_reap(pid);
	limit_namespaces("1");
	ok(is_released() && good,
	   "unloading drops the references to registered processes");
	limit_namespaces("1000");
}

/* ---- Parameters ---- */

static long read_parameter(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[32];

	if (!file || !fgets(text, sizeof(text), file))
		err(1, "%s", path);
	fclose(file);

	return atol(text);
}

static struct mp3_header read_header(void)
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
		"capture_records=63", "capture_records=0",
		"capture_records=4194305", "capture_records=-1",
		"capture_records=x", "capture_records=",
		"user_mode=0667", "user_mode=0777", "user_mode=04666",
		"user_mode=0", "user_mode=0466", "user_mode=0266",
		"user_mode=668", "user_mode=-1",
		"user_mode=rw", "user_mode=",
		"ring_mode=0601", "ring_mode=02600", "ring_mode=0",
		"ring_mode=0400", "ring_mode=x", "ring_mode=",
		"user_gid=4294967295", "user_gid=-1",
		"user_gid=mp3", "user_gid=",
		"ring_gid=4294967295", "ring_gid=-1", "ring_gid=x",
		"ring_gid=",
		"user_follow=2", "user_follow=x", "user_follow=",
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
	ok(good && nothing_left(),
	   "a load with an invalid parameter is EINVAL and leaves nothing");
}

/* Load mp3, and unload it again. Returns the areas of memory that it had. */
static int count_areas_of_load(void)
{
	int areas;

	load_or_die("");
	areas = count_areas();
	unload_or_die();

	return areas;
}

/* A capture's ring is allocated when it is opened, not at load. */
static void test_capture_records(void)
{
	static const char path[] =
		"/sys/module/mp3/parameters/capture_records";
	static const char * const params[] = {
		"capture_records=64", "capture_records=4194304", "",
	};
	static const long records[] = { 64, 4194304, 16384 };
	int areas = count_areas_of_load();
	/* At least the data and the header of each classic ring */
	bool good = areas >= 4;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(records); i++) {
		load_or_die(params[i]);
		good &= read_parameter(path) == records[i];
		good &= count_areas() == areas;
		unload_or_die();
	}
	ok(good && nothing_left(),
	   "a load accepts 64 to 4194304 capture_records, and allocates none of them");
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

		load_or_die(params[i]);
		seen = read_header();
		tick = 1000000000 / seen.hz;
		good &= read_parameter(INTERVAL_PATH) == ms[i];
		good &= seen.interval_ns == (want > tick ? want : tick);
		unload_or_die();
	}
	ok(good, "interval_ms given at load takes effect and is in the header");
}

static void test_major(void)
{
	struct stat status;
	char entry[20];
	long number;

	ok_eq(load("major=1"), -EBUSY, "a load with a major number in use is EBUSY");
	ok(nothing_left() && !load("") && read_parameter(MAJOR_PATH) == MP3_MAJOR,
	   "a load that is EBUSY leaves nothing, and the next load succeeds");
	unload_or_die();

	load_or_die("major=0");
	number = read_parameter(MAJOR_PATH);
	snprintf(entry, sizeof(entry), "%3ld mp3\n", number);
	ok(number > 0 && count_lines("/proc/devices", entry) == 1 &&
	   !stat(MP3_DEVICE_PATH, &status) &&
	   major(status.st_rdev) == number && read_header().magic == MP3_MAGIC,
	   "a load with major=0 takes a free number and reports it");
	unload_or_die();
	ok(nothing_left() && try_open_number(number) == -ENXIO,
	   "unloading frees the number taken with major=0");
}

/* Count the lines of the kernel's log about a major number that is taken. */
static int count_notices(void)
{
	static char log[1 << 20];
	const char *at = log;
	int count = 0, size = klogctl(3, log, sizeof(log) - 1);

	if (size < 0)
		err(1, "the kernel's log");
	log[size] = '\0';
	while ((at = strstr(at, "mp3: major 423 is taken"))) {
		at++;
		count++;
	}
	return count;
}

static void test_major_taken(void)
{
	int before = count_notices(), ret = load_file(taken_path, "");
	struct stat status;
	long number;

	if (ret)
		errx(1, "%s: %s", taken_path, strerror(-ret));
	load_or_die("");
	number = read_parameter(MAJOR_PATH);
	ok(number > 0 && number != MP3_MAJOR &&
	   count_lines("/proc/devices", "423 taken\n") == 1 &&
	   !stat(MP3_DEVICE_PATH, &status) &&
	   major(status.st_rdev) == number && read_header().magic == MP3_MAGIC,
	   "a load takes a free major number and reports it if another driver has 423");
	ok_eq(count_notices() - before, 1,
	      "a load that takes another major number than 423 logs one line about it");
	unload_or_die();
	ok(nothing_left() && try_open_number(number) == -ENXIO,
	   "unloading frees the number taken instead of 423");

	ok(load("major=423") == -EBUSY && nothing_left(),
	   "a load with major=423 is EBUSY if another driver has 423");
	ret = unload_name("taken");
	if (ret)
		errx(1, "unload taken: %s", strerror(-ret));
	load_or_die("");
	ok(read_parameter(MAJOR_PATH) == MP3_MAJOR &&
	   count_notices() - before == 1,
	   "a load takes 423 and logs nothing about it once the other driver is unloaded");
	unload_or_die();
}

/* ---- Modes and groups ---- */

static bool parameter_is(const char *name, const char *want)
{
	char path[80], text[32] = "";
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/mp3/parameters/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size > 0 && text[size - 1] == '\n')
		text[size - 1] = '\0';
	if (strcmp(text, want))
		diag("%s is %s, want %s", name, text, want);

	return !strcmp(text, want);
}

/* Compare the mode and the group of a file of root's, and print them if wrong. */
static bool file_is(const char *path, mode_t mode, gid_t gid)
{
	struct stat status;

	if (stat(path, &status))
		err(1, "%s", path);
	if ((status.st_mode & 07777) == mode && !status.st_uid &&
	    status.st_gid == gid)
		return true;
	diag("%s: mode %#o, user %u, group %u", path, status.st_mode,
	     status.st_uid, status.st_gid);
	return false;
}

/* Open a file as user 1000 of a group. Returns 0 or -errno. */
static int try_open_as(gid_t gid, const char *path)
{
	pid_t pid = fork_child();
	int status;

	if (!pid) {
		if (setgroups(0, NULL) || setresgid(gid, gid, gid) ||
		    setresuid(1000, 1000, 1000))
			_exit(255);
		_exit(open(path, O_RDWR) < 0 ? errno : 0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) == 255)
		errx(1, "a child ended with status %#x", status);
	return -WEXITSTATUS(status);
}

static bool only_group_opens(gid_t gid, const char *path)
{
	return !try_open_as(gid, path) && try_open_as(1000, path) == -EACCES;
}

static void test_modes(void)
{
	load_or_die("");
	ok(parameter_is("user_mode", "0666") && parameter_is("user_gid", "0") &&
	   parameter_is("ring_mode", "0600") && parameter_is("ring_gid", "0"),
	   "the parameters of modes and groups have their defaults");
	ok(file_is(MP3_STATUS_PATH, 0666, 0) &&
	   file_is(MP3_CAPTURE_PATH, 0666, 0) &&
	   file_is(MP3_DEVICE_PATH, 0600, 0) && file_is(MP3_PROCS_PATH, 0600, 0),
	   "by default, every user opens the status file and captures, and root the rings");
	unload_or_die();

	load_or_die("user_mode=0660 user_gid=2001 ring_mode=660 ring_gid=2002");
	ok(parameter_is("user_mode", "0660") &&
	   parameter_is("user_gid", "2001") &&
	   parameter_is("ring_mode", "0660") && parameter_is("ring_gid", "2002"),
	   "the parameters of modes and groups report what was given at load");
	ok(file_is(MP3_STATUS_PATH, 0660, 2001) &&
	   only_group_opens(2001, MP3_STATUS_PATH),
	   "user_mode and user_gid give the status file to a group");
	ok(file_is(MP3_CAPTURE_PATH, 0660, 2001) &&
	   only_group_opens(2001, MP3_CAPTURE_PATH),
	   "user_mode and user_gid give captures to a group");
	ok(file_is(MP3_DEVICE_PATH, 0660, 2002) &&
	   only_group_opens(2002, MP3_DEVICE_PATH) &&
	   file_is(MP3_PROCS_PATH, 0660, 2002) &&
	   only_group_opens(2002, MP3_PROCS_PATH),
	   "ring_mode and ring_gid give the classic rings to a group");
	unload_or_die();

	load_or_die("user_mode=0600 ring_mode=0644 ring_gid=4294967294");
	ok(file_is(MP3_STATUS_PATH, 0600, 0) &&
	   try_open_as(1000, MP3_STATUS_PATH) == -EACCES &&
	   file_is(MP3_CAPTURE_PATH, 0600, 0) &&
	   try_open_as(1000, MP3_CAPTURE_PATH) == -EACCES,
	   "user_mode=0600 closes the status file and captures to all but root");
	ok(file_is(MP3_DEVICE_PATH, 0644, 4294967294) &&
	   file_is(MP3_PROCS_PATH, 0644, 4294967294) &&
	   try_open_as(1000, MP3_DEVICE_PATH) == -EACCES,
	   "ring_mode=0644 lets no user write to the classic rings");
	unload_or_die();
	ok(nothing_left(),
	   "nothing is left of the module after loads with modes and groups");
}

/* ---- Loads that fail ---- */

/*
 * No other code returns EXFULL here. If /proc/mp3 already exists, proc_mkdir() fails
 * just as here; but then proc also issues a WARN, which no test may leave in the log.
 */
static void test_steps(void)
{
	static const struct step {
		const char *name;
		const char *symbols;
		const char *params;
		long retval;
		int nth, error;
	} steps[] = {
		{ "the tracepoint lookup", "for_each_kernel_tracepoint",
		  "", 0, 1, -ENOENT },
		{ "allocating the ring of samples",
		  "__vmalloc_noprof __vmalloc", "", 0, 1, -ENOMEM },
		{ "allocating the header of samples",
		  "__vmalloc_noprof __vmalloc", "", 0, 2, -ENOMEM },
		{ "allocating the ring of records",
		  "__vmalloc_noprof __vmalloc", "", 0, 3, -ENOMEM },
		{ "allocating the header of records",
		  "__vmalloc_noprof __vmalloc", "", 0, 4, -ENOMEM },
		{ "starting the thread of the tick",
		  "kthread_create_worker_on_node kthread_create_worker",
		  "", -ENOMEM, 1, -ENOMEM },
		{ "allocating the workqueue of F",
		  "alloc_workqueue_noprof alloc_workqueue", "", 0, 1, -ENOMEM },
		{ "allocating the workqueue that wakes pollers",
		  "alloc_workqueue_noprof alloc_workqueue", "", 0, 2, -ENOMEM },
		{ "registering the device number", "register_chrdev_region",
		  "", -EXFULL, 1, -EXFULL },
		{ "allocating a device number", "alloc_chrdev_region",
		  "major=0", -EXFULL, 1, -EXFULL },
		{ "creating the class", "class_create __class_create",
		  "", -EXFULL, 1, -EXFULL },
		{ "creating /proc/mp3", "proc_mkdir", "", 0, 1, -ENOMEM },
		{ "creating the status file", "proc_create",
		  "", 0, 1, -ENOMEM },
		{ "adding the callback for CPUs", "__cpuhp_setup_state",
		  "", -EXFULL, 1, -EXFULL },
		{ "naming " MP3_DEVICE_PATH, "dev_set_name",
		  "", -EXFULL, 1, -EXFULL },
		{ "creating " MP3_DEVICE_PATH, "device_add",
		  "", -EXFULL, 1, -EXFULL },
		{ "creating " MP3_PROCS_PATH, "device_add",
		  "", -EXFULL, 2, -EXFULL },
		{ "creating " MP3_CAPTURE_PATH, "device_add",
		  "", -EXFULL, 3, -EXFULL },
		{ "adding the character devices", "cdev_add",
		  "", -EXFULL, 1, -EXFULL },
	};
	volatile bool *opened = shared_memory(sizeof(*opened));
	const struct step *step;
	bool none_opened = true;
	pid_t user;
	int ret;

	if (!have_kprobes()) {
		skip("a load fails and leaves nothing if any step fails",
		     "no kprobes");
		return;
	}
	for (step = steps; step < steps + ARRAY_SIZE(steps); step++) {
		ret = fail_call(getpid(), step->symbols, step->nth,
				step->retval, 20);
		if (ret)
			errx(1, "%s: %s", step->symbols, strerror(-ret));
		user = start_early_user(opened);
		ret = load(step->params);
		kill_and_reap(user);
		none_opened &= !*opened;
		fail_unload();
		if (ret != step->error)
			diag("load: %s", strerror(-ret));
		if (!ok(ret == step->error && nothing_left() && !load(""),
			"a load fails and leaves nothing if %s fails, and the next succeeds",
			step->name) && ret)
			continue;
		unload_or_die();
	}
	/* A file that is open when the load fails would lose its module. */
	ok(none_opened,
	   "the device cannot be opened while the load can still fail");
	unlink("/dev/mp3-early");
}

static int do_register(int fd)
{
	return -command_by_fd(fd, 'R', getpid());
}

static int do_follow(int fd)
{
	return -command_by_fd(fd, 'F', getpid());
}

static int do_open(int fd)
{
	return open(MP3_DEVICE_PATH, O_RDONLY | O_CLOEXEC) < 0 ? errno : fd < 0;
}

static int do_open_capture(int fd)
{
	return open(MP3_CAPTURE_PATH, O_RDONLY | O_CLOEXEC) < 0 ? errno : fd < 0;
}

/*
 * Have a capture locate, which fails once, and check that it can do so afterwards.
 * Returns the errno, or 0; or EPROTO if the second attempt fails.
 */
static int do_locate(int fd)
{
	int capture = open(MP3_CAPTURE_PATH, O_RDWR | O_CLOEXEC), ret = 0;
	size_t page = getpagesize();

	if (capture < 0)
		return fd < 0 ? 0 : EPROTO;
	if (write(capture, "L,1,8", 5) != 5)
		ret = errno;
	if (write(capture, "L,1,8", 5) != 5 ||
	    mmap(NULL, page, PROT_READ, MAP_SHARED, capture,
		 MP3_OFF_FAULTS) == MAP_FAILED)
		ret = EPROTO;
	/* The mapping keeps the capture until the process exits. */
	close(capture);

	return ret;
}

/*
 * Have a child perform an action while a call of one of the functions fails: its
 * own or, unless NULL, one of @calls, as for fail_call_of(). Returns the action's
 * errno, or 0.
 */
static int perform_failing_of(const char *calls, const char *symbols, int nth,
			      long retval, int (*action)(int fd))
{
	int fd, go[2], ret, status;
	pid_t pid;

	/* Open the status file first: that allocates as well. */
	fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pipe2(go, O_CLOEXEC))
		err(1, MP3_STATUS_PATH);
	pid = fork_child();
	if (!pid) {
		if (read(go[0], &status, 1) != 1)
			_exit(1);
		_exit(action(fd));
	}
	ret = calls ? fail_call_of(calls, symbols, nth, retval, 0) :
		      fail_call(pid, symbols, nth, retval, 0);
	if (ret)
		errx(1, "%s: %s", symbols, strerror(-ret));
	if (write(go[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid)
		err(1, "the child that performs the action");
	fail_unload();
	close(go[0]);
	close(go[1]);
	close(fd);

	return WEXITSTATUS(status);
}

/* Have a child perform an action while a call of its own fails. */
static int perform_failing(const char *symbols, int nth, long retval,
			   int (*action)(int fd))
{
	return perform_failing_of(NULL, symbols, nth, retval, action);
}

/* Have a child perform an action whose nth small allocation fails. */
static int without_memory(int nth, int (*action)(int fd))
{
	return perform_failing(SMALL_KMALLOC, nth, 0, action);
}

#define RESERVE		"caller=mp3_fill_reserve"
#define NR_CAPTURES	63

/* Open captures until that fails, and close them. Returns how many there were. */
static int open_all_captures(void)
{
	int fds[NR_CAPTURES + 1], nr = 0, i;

	while (nr <= NR_CAPTURES &&
	       (fds[nr] = open(MP3_CAPTURE_PATH, O_RDONLY | O_CLOEXEC)) >= 0)
		nr++;
	for (i = 0; i < nr; i++)
		close(fds[i]);
	return nr;
}

/*
 * R and U of a user, each twice: the second U has to wait for its turn, unless the
 * machine is so slow that its turn has come.
 */
static int do_wait_for_turn(int fd)
{
	if (setresuid(1000, 1000, 1000) || command_by_fd(fd, 'R', getpid()) ||
	    command_by_fd(fd, 'U', getpid()) || command_by_fd(fd, 'R', getpid()))
		return -1;
	return -command_by_fd(fd, 'U', getpid());
}

/* Returns whether U that has to wait fails if one of some allocations does. */
static bool turn_needs_memory(void)
{
	int i;

	for (i = 0; i < 40; i++)
		if (without_memory(1 + i % 8, do_wait_for_turn) == ENOMEM)
			return true;
	return false;
}

static void test_no_memory(void)
{
	int areas;

	if (!have_kprobes()) {
		skip("R without memory is ENOMEM", "no kprobes");
		skip("F without memory is ENOMEM", "no kprobes");
		skip("open without memory is ENOMEM", "no kprobes");
		skip("opening a capture without memory is ENOMEM",
		     "no kprobes");
		return;
	}
	areas = count_areas_of_load();
	load_or_die("");
	ok_eq(without_memory(1, do_register), ENOMEM,
	      "R without memory is ENOMEM");
	ok_eq(read_header().processes, 0, "R without memory registers nothing");
	ok(without_memory(1, do_follow) == ENOMEM &&
	   without_memory(2, do_follow) == ENOMEM &&
	   without_memory(3, do_follow) == ENOMEM &&
	   perform_failing_of(RESERVE, SMALL_KMALLOC, 1, 0, do_follow) == ENOMEM &&
	   perform_failing_of(RESERVE, SMALL_KMALLOC, 999, 0,
			      do_follow) == ENOMEM &&
	   perform_failing_of("", "tracepoint_probe_register", 1, -ENOMEM,
			      do_follow) == ENOMEM,
	   "F without memory is ENOMEM");
	ok_eq(read_header().processes, 0, "F without memory registers nothing");
	ok(turn_needs_memory(),
	   "U that has to wait for its turn, without memory, is ENOMEM");
	ok_eq(without_memory(0, do_wait_for_turn), 0,
	      "U that has to wait for its turn, with memory, succeeds");
	ok_eq(without_memory(1, do_open), ENOMEM,
	      "open without memory is ENOMEM");
	ok(without_memory(1, do_open_capture) == ENOMEM &&
	   without_memory(2, do_open_capture) == ENOMEM &&
	   perform_failing("__vmalloc_noprof __vmalloc", 1, 0,
			   do_open_capture) == ENOMEM &&
	   perform_failing("__vmalloc_noprof __vmalloc", 2, 0,
			   do_open_capture) == ENOMEM,
	   "opening a capture without memory is ENOMEM");
	ok(count_areas() == areas && open_all_captures() == NR_CAPTURES,
	   "opening a capture without memory leaves none of it, and uses no number");
	ok_eq(unload(), 0, "open without memory does not prevent unloading");
}

/*
 * Each step of the first L fails once: the memory for the locator and the table of
 * files, for the ring and its header (after two allocations for the capture
 * itself), and what the worker creates.
 */
static void test_locate_failures(void)
{
	static const char *const vmalloc = "__vmalloc_noprof __vmalloc";
	static const char *const event = "perf_event_create_kernel_counter";
	bool good = true;
	int areas, nth;

	if (!have_kprobes()) {
		skip("L without memory is ENOMEM, and leaves nothing",
		     "no kprobes");
		skip("L fails and leaves nothing if an event cannot be created",
		     "no kprobes");
		return;
	}
	areas = count_areas_of_load();
	load_or_die("");
	for (nth = 3; nth <= 6; nth++)
		good &= perform_failing(vmalloc, nth, 0, do_locate) == ENOMEM;
	ok(good && wait_areas(areas),
	   "L without memory is ENOMEM, and leaves nothing");

	good = true;
	for (nth = 1; nth <= 4; nth++) {
		int error = perform_failing_of("", event, nth, -EXFULL,
					       do_locate);

		if (error != EXFULL)
			diag("event %d: %s", nth, strerror(error));
		/* Once the events have been released, so has the table of starts. */
		good &= error == EXFULL && wait_areas(areas);
	}
	ok(good, "L fails and leaves nothing if an event cannot be created");
#ifdef __x86_64__
	good &= perform_failing_of("", "tracepoint_probe_register", 2,
				   -EXFULL, do_locate) == EXFULL;
#endif
	ok_eq(unload(), 0, "a failed L does not prevent unloading");
	ok(good && nothing_left(), "a failed L leaves no probe behind");
}

/* ---- Unloading during forks ---- */

#define MAX_SECONDS	60	/* after which no other round begins */

/* Four processes fork as fast as they can; half of the children leave an orphan. */
static pid_t start_fork_load(void)
{
	pid_t pid = fork_child();
	int i;

	if (pid)
		return pid;
	setpgid(0, 0);
	for (i = 0; i < 3; i++)
		if (!fork())
			break;
	for (;;) {
		pid = fork();
		if (!pid) {
			/* Children with odd pids leave an orphan. */
			if (getpid() % 2 && !fork())
				usleep(1000);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void end_fork_load(pid_t pid)
{
	/* Processes may be forked while others are killed. */
	while (!kill(-pid, SIGKILL))
		while (waitpid(-pid, NULL, WNOHANG) > 0)
			;
}

/* Follow and unregister a process in a loop, whether the module is loaded or not. */
static pid_t start_follower(pid_t target)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int ret = command('F', target);

		if (ret && ret != -EEXIST && !is_transient(ret))
			errx(1, "F: %s", strerror(-ret));
		command('U', target);
	}
}

static void test_unload_during_forks(void)
{
	time_t end_time = time(NULL) + MAX_SECONDS;
	pid_t pid = start_fork_load(), follower;
	bool good = true;
	int round;

	setpgid(pid, pid);
	for (round = 0; good && round < 50 && time(NULL) < end_time; round++) {
		load_or_die("interval_ms=5");
		good &= command('F', pid) == 0;
		usleep(rand() % 20000);
		good &= read_header().processes > 0;
		good &= unload() == 0;
	}
	diag("%d rounds", round);
	ok(good, "the module loads and unloads while followed processes fork");

	follower = start_follower(pid);
	end_time = time(NULL) + MAX_SECONDS;
	for (round = 0; good && round < 50 && time(NULL) < end_time; round++) {
		load_or_die("interval_ms=5");
		usleep(rand() % 10000);
		good &= unload() == 0;
	}
	good &= kill_and_reap(follower);
	diag("%d rounds", round);
	ok(good,
	   "the module loads and unloads while a forking tree is followed and unregistered");

	load_or_die("");
	good = command('F', pid) == 0 && read_header().processes > 0;
	end_fork_load(pid);
	while (read_header().processes)
		sleep_ms(10);
	unload_or_die();
	ok(good && nothing_left(),
	   "nothing is left of the module after all followed processes were killed");
}

int main(int argc, char **argv)
{
	char *path, *directory, *fail_path;

	if (argc > 1)
		module_path = argv[1];
	path = strdup(module_path);
	if (!path)
		err(1, "%s", module_path);
	directory = dirname(path);
	if (asprintf(&fail_path, "%s/fail.ko", directory) < 0 ||
	    asprintf(&taken_path, "%s/taken.ko", directory) < 0)
		err(1, "%s", directory);
	fail_module_path = fail_path;

	/* The runner has loaded the module, and expects it to be loaded at the end. */
	unload_or_die();
	ok(nothing_left(), "unloading leaves nothing");
	test_bad_parameters();
	test_capture_records();
	test_intervals();
	test_major();
	test_major_taken();
	test_modes();
	test_busy();
	test_hundred_processes();
	test_references();
	test_steps();
	test_no_memory();
	test_locate_failures();
	test_rounds();
	test_interval_writer();
	test_unload_during_forks();
	load_or_die("");

	return done();
}
