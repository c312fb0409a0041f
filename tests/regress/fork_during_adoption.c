// SPDX-License-Identifier: GPL-2.0
/*
 * What is below a process that the caller of F may not profile is left out, also
 * if it forks just then.
 *
 * The bug: the probe saw that an adoption was under way, and entered the child
 * as one whose permission the adoption would ask; but that had asked for the
 * last time before, and the child stayed. And one that was reaped by the time it
 * was asked for stayed as well, since nobody knew any more below whom it was.
 */
#include "../guest/tree.h"

#define BYSTANDERS	1000	/* that F has to look at, which takes a while */

static void become_user(void)
{
	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000) ||
	    prctl(PR_SET_DUMPABLE, 1))
		err(1, "change of ids");
}

/* Forks on and on, as the user; the children live for a while, or end at once. */
static void __attribute__((noreturn)) fork_as_user(bool lives)
{
	become_user();
	for (;;) {
		pid_t pid = lives ? fork_child() : vfork();

		if (!pid) {
			if (lives)
				usleep(500);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

/* The user's, with a child that is root's, with children that are the user's. */
static pid_t start_mixed(void)
{
	char byte;
	int ready[2], i;
	pid_t pid;

	if (pipe(ready))
		err(1, "pipe");
	fflush(stdout);
	pid = fork_child();
	if (!pid) {
		setpgid(0, 0);
		if (!fork_child()) {
			for (i = 0; i < 4; i++)
				if (!fork_child())
					fork_as_user(i % 2);
			for (;;)
				pause();
		}
		become_user();
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		errx(1, "a child failed");
	close(ready[0]);

	return pid;
}

/* A group of processes that have nothing to do with it, and do nothing. */
static pid_t start_bystanders(void)
{
	pid_t pid, group = 0;
	int i;

	fflush(stdout);
	for (i = 0; i < BYSTANDERS; i++) {
		pid = fork_child();
		while (!pid)
			pause();
		setpgid(pid, group);
		if (!group)
			group = pid;
	}
	return group;
}

/* How many records there are of others, who were taken if but for an instant. */
static unsigned int records_of_others(pid_t pid, uint64_t from)
{
	uint64_t i, head = procs_head();
	unsigned int nr = 0;

	if (head - from > procs.capacity - 2)
		errx(1, "the ring of records has lapped");
	for (i = from; i < head; i++)
		nr += record_at(i).pid != (uint32_t)pid;
	return nr;
}

static void below_another(void)
{
	pid_t root = start_mixed(), pid, bystanders = start_bystanders();
	uint64_t from = procs_head();
	unsigned int i, wrong = 0;
	int status;

	sleep_ms(20);
	for (i = 0; i < 300; i++) {
		char *text, *line;

		pid = fork_child();
		if (!pid) {
			become_user();
			_exit(-command('F', root));
		}
		waitpid(pid, &status, 0);
		text = status_text();
		for (line = text; *line; line = strchr(line, '\n') + 1)
			wrong += atoi(line) != root;
		wrong += status != 0;
		free(text);
		/* A fork that is late enters its child now, if at all. */
		sleep_ms(10);
		/* And those that were wrongly taken go with the others. */
		if (command('U', root))
			wrong++;
	}
	kill(-root, SIGKILL);
	kill(-bystanders, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	wait_idle(&ring);
	wrong += records_of_others(root, from);
	if (!ok(!wrong, "what is below another's is left out, also if it forks just then"))
		diag("%u were listed, have a record, or failed", wrong);
}

int main(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	open_rings();
	below_another();

	return done();
}
