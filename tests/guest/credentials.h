/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of permissions share: processes with other credentials, programs
 * that they execute, files that another process has opened, and user namespaces.
 */
#ifndef MP3_CREDENTIALS_H
#define MP3_CREDENTIALS_H

#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "process.h"
#include "test.h"

#define CAP(cap)	(1ull << (cap))
#define ALL_CAPS	(~0ull)
#define DUMPABLE	1
#define PROGRAM		"/tmp/mp3-program"	/* a copy of this program */

/**
 * struct credentials - credentials of a process
 * @uid:       real, effective and saved user id
 * @gid:       real, effective and saved group id
 * @effective: effective capabilities, which are permitted as well
 * @permitted: capabilities that are permitted only
 */
struct credentials {
	uid_t uid[3];
	gid_t gid[3];
	uint64_t effective, permitted;
};

static const struct credentials root = {
	.effective = ALL_CAPS,
}, user = {
	.uid = { 1000, 1000, 1000 }, .gid = { 1000, 1000, 1000 },
}, stranger = {
	.uid = { 1001, 1001, 1001 }, .gid = { 1001, 1001, 1001 },
};

/* ---- Processes ---- */

/* Keep these capabilities, as far as this process has them. */
static inline void set_caps(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2], now[2];
	int i;

	if (syscall(SYS_capget, &header, now))
		err(1, "capget");
	for (i = 0; i < 2; i++) {
		data[i].permitted = now[i].permitted & (permitted >> 32 * i);
		data[i].effective = now[i].permitted & (effective >> 32 * i);
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data))
		err(1, "capset");
}

static inline void set_credentials(const struct credentials *cred)
{
	if (setgroups(0, NULL) || prctl(PR_SET_KEEPCAPS, 1) ||
	    setresgid(cred->gid[0], cred->gid[1], cred->gid[2]) ||
	    setresuid(cred->uid[0], cred->uid[1], cred->uid[2]))
		err(255, "cannot change ids");
	set_caps(cred->effective | cred->permitted, cred->effective);
}

/* Fork a child with a pipe to this process, for report_ready(). */
static inline pid_t fork_with_pipe(int ready[2])
{
	pid_t pid;

	fflush(stdout);
	if (pipe(ready))
		err(1, "pipe");
	pid = fork_child();
	return pid;
}

/* Report to the parent, and sleep until killed. */
static inline void report_ready(int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* Wait for report_ready() in the child. */
static inline void wait_ready(int ready[2])
{
	char byte;

	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		errx(1, "a child exited before it was ready");
	close(ready[0]);
}

static inline pid_t start_target(const struct credentials *cred, int dumpable)
{
	int ready[2];
	pid_t pid = fork_with_pipe(ready);

	if (!pid) {
		set_credentials(cred);
		if (prctl(PR_SET_DUMPABLE, dumpable))
			err(1, "prctl");
		report_ready(ready[1]);
	}
	wait_ready(ready);
	return pid;
}

/* ---- Programs ---- */

/* Report the effective user id, and sleep until killed. */
static inline int program_main(bool dumpable)
{
	int euid = geteuid();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!dumpable)
		prctl(PR_SET_DUMPABLE, !DUMPABLE);
	if (write(1, &euid, sizeof(euid)) != sizeof(euid))
		return 1;
	for (;;)
		pause();
}

/* Execute a program that calls program_main(), which writes to @euid_fd. */
static inline void __attribute__((noreturn))
execute_program(const char *path, const char *how, int euid_fd)
{
	dup2(euid_fd, 1);
	execl(path, path, how, NULL);
	_exit(1);
}

/* Wait for program_main() in a child. @want is its effective user id then. */
static inline void wait_program(int euid_pipe[2], uid_t want)
{
	uid_t euid;

	close(euid_pipe[1]);
	if (read(euid_pipe[0], &euid, sizeof(euid)) != sizeof(euid) ||
	    euid != want)
		errx(1, "a program does not run as user %u", want);
	close(euid_pipe[0]);
}

/* Run a program that calls program_main() with other credentials. */
static inline pid_t run_program(const char *path, const struct credentials *cred,
				uid_t want, const char *how)
{
	int euid_pipe[2];
	pid_t pid = fork_with_pipe(euid_pipe);

	if (!pid) {
		set_credentials(cred);
		execute_program(path, how, euid_pipe[1]);
	}
	wait_program(euid_pipe, want);

	return pid;
}

/* ---- Passed descriptors ---- */

/*
 * Have a child open a file with other credentials. Returns its descriptor, or
 * -errno if it cannot be opened.
 */
static inline int open_as(const struct credentials *cred, const char *path,
			  int flags)
{
	int error_pipe[2], error, pidfd, fd;
	pid_t pid = fork_with_pipe(error_pipe);

	if (!pid) {
		set_credentials(cred);
		fd = open(path, flags);
		error = fd < 0 ? -errno : 0;
		if (!error && dup2(fd, 100) != 100)
			_exit(1);
		if (write(error_pipe[1], &error, sizeof(error)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(error_pipe[1]);
	if (read(error_pipe[0], &error, sizeof(error)) != sizeof(error))
		errx(1, "the child that opens %s failed", path);
	close(error_pipe[0]);
	fd = error;
	if (!error) {
		pidfd = pidfd_open(pid, 0);
		fd = pidfd_getfd(pidfd, 100, 0);
		if (fd < 0)
			err(1, "pidfd_getfd");
		close(pidfd);
	}
	kill_and_reap(pid);

	return fd;
}

/* Count how often a pid is listed in an open status file. Exits on errors. */
static inline int listed_by_fd(int fd, pid_t pid)
{
	char text[65536], *line;
	int times = 0;
	ssize_t size;

	if (lseek(fd, 0, SEEK_SET))
		err(255, "lseek");
	size = read(fd, text, sizeof(text) - 1);
	if (size < 0)
		err(255, "read %s", MP3_STATUS_PATH);
	text[size] = '\0';
	for (line = text; *line; line = strchr(line, '\n') + 1)
		times += atoi(line) == pid;

	return times;
}

/* ---- Namespaces ---- */

/* Map user and group 0 and 1 of a process' user namespace to @first and @second. */
static inline void write_maps(pid_t pid, uid_t first, uid_t second)
{
	static const char * const names[] = { "uid_map", "gid_map" };
	char path[40], text[60];
	size_t i;

	snprintf(text, sizeof(text), "0 %u 1\n1 %u 1\n", first, second);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, names[i]);
		write_file(path, text);
	}
}

/* Mount /proc for the pid namespace of this process, in its mount namespace. */
static inline void mount_proc(void)
{
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", 0, NULL))
		err(1, "mount");
}

#endif /* MP3_CREDENTIALS_H */
