// SPDX-License-Identifier: GPL-2.0
/*
 * The header of a capture has 0 processes once its last one has been denied, even if
 * a command for another capture found that, and no process is left to be sampled.
 *
 * The bug: R, U and L of one capture collect the process for the others, which may be
 * denied it then. The number in their headers was left to the next tick, which did
 * nothing if the process had also left the capture of the command: a reader that waits
 * for 0 processes waited forever.
 */
#include "../guest/capture.h"
#include "../guest/credentials.h"

#define ATTEMPTS	10	/* a tick may come first */

/* Start a process of the user that becomes undumpable when @socket has a byte. */
static pid_t start_user(int *socket)
{
	int sockets[2];
	char byte;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		err(1, "socketpair");
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		set_credentials(&user);
		close(sockets[0]);
		if (prctl(PR_SET_DUMPABLE, DUMPABLE) ||
		    write(sockets[1], "", 1) != 1 ||
		    read(sockets[1], &byte, 1) != 1 ||
		    prctl(PR_SET_DUMPABLE, !DUMPABLE) ||
		    write(sockets[1], "", 1) != 1)
			_exit(1);
		/* Until the other end is closed. */
		read(sockets[1], &byte, 1) ? _exit(1) : _exit(0);
	}
	close(sockets[1]);
	*socket = sockets[0];
	if (read(*socket, &byte, 1) != 1)
		errx(1, "a process of the user failed");

	return pid;
}

static void make_undumpable(int socket)
{
	char byte;

	if (write(socket, "", 1) != 1 || read(socket, &byte, 1) != 1)
		errx(1, "a process of the user failed");
}

/* Remove @pid from @root, and have that denied to the user's capture before. */
static void unregister(struct capture *root, pid_t pid)
{
	capture_command_or_die(root, 'U', pid);
}

static void register_and_close(struct capture *root, pid_t pid)
{
	struct capture other = capture_open();

	capture_command_or_die(&other, 'R', pid);
	capture_close(&other);
	capture_close(root);
}

/*
 * Have @act remove a process that has just become undumpable from root's captures.
 * Sets @good to whether the user's capture, which is denied it, has 0 processes then.
 * Returns false if a tick has denied it before.
 */
static bool attempt(void (*act)(struct capture *root, pid_t pid), bool *good)
{
	int socket, i;
	pid_t pid = start_user(&socket);	/* has none of the files below */
	struct capture denied = capture_map(open_as(&user, CAPTURE_PATH, O_RDWR));
	struct capture root = capture_open();
	uint64_t ticks;
	bool first;

	set_interval("10");
	capture_command_or_die(&root, 'R', pid);
	capture_command_or_die(&denied, 'R', pid);
	wait_ticks(&denied);
	set_interval("2000");
	ticks = denied.header->ticks;
	make_undumpable(socket);
	act(&root, pid);
	first = denied.header->ticks == ticks;
	for (i = 0; i < 1000 && capture_processes(&denied); i++)
		sleep_ms(10);
	*good = denied.header->denied == 1 && !capture_processes(&denied);
	if (!*good)
		diag("%lu denied, %u processes",
		     (unsigned long)denied.header->denied,
		     capture_processes(&denied));
	close(socket);
	waitpid(pid, NULL, 0);
	capture_close(&denied);
	if (act == unregister)
		capture_close(&root);

	return first;
}

static void test(void (*act)(struct capture *root, pid_t pid), const char *what)
{
	bool good = true, hit = false;
	int i;

	for (i = 0; i < ATTEMPTS && good && !hit; i++)
		hit = attempt(act, &good);
	ok(good && hit, "a capture that is denied its last process by %s has 0 processes",
	   what);
}

int main(void)
{
	test(unregister, "U of another");
	test(register_and_close, "R of another, which closes,");

	return done();
}
