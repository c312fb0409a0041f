// SPDX-License-Identifier: GPL-2.0
/*
 * F leaves out the descendants of a process that its caller may not profile,
 * even those forked during the adoption.
 *
 * The bug: the fork probe saw an adoption in progress and added the child as
 * one that the adoption would authorize. The adoption had already made its last
 * check, and the child stayed registered. So did a child that was reaped before
 * it was checked, since its parent could not be determined afterwards.
 */
#include "../guest/tree.h"

#define BYSTANDERS	1000	/* F has to look at each, which takes a while */

static void become_user(void)
{
	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000) ||
	    prctl(PR_SET_DUMPABLE, 1))
		err(1, "change of ids");
}

/* Forks as the user without end; the children exit after 500 us, or at once. */
static void __attribute__((noreturn)) fork_as_user(bool delayed)
{
	become_user();
	for (;;) {
		pid_t pid = delayed ? fork_child() : vfork();

		if (!pid) {
			if (delayed)
				usleep(500);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

/* Starts three generations: the user's, root's, and the user's again. */
static pid_t start_mixed_tree(void)
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

/* Starts sleeping processes that are not in the tree. Returns their group. */
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

/* Counts the records of other processes, however short they were registered. */
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

static void test_below_denied(void)
{
	pid_t root = start_mixed_tree(), bystanders = start_bystanders(), pid;
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
		/* A late fork probe would register its child by now. */
		sleep_ms(10);
		if (command('U', root))
			wrong++;
	}
	kill(-root, SIGKILL);
	kill(-bystanders, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	wait_idle(&ring);
	wrong += records_of_others(root, from);
	if (!ok(!wrong,
		"F leaves out processes that fork below a denied one during F"))
		diag("%u processes were listed or recorded, or commands failed",
		     wrong);
}

int main(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	open_rings();
	test_below_denied();

	return done();
}
