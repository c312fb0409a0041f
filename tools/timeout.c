// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <signal.h>

#include "timeout.h"
#include "util.h"

/* How long processes may take to exit after SIGTERM, and after SIGKILL */
#define TERM_NS	(5 * NSEC_PER_SEC)
#define KILL_NS	(2 * NSEC_PER_SEC)

/* Returns whether processes are left that a time-out has to end. */
bool timeout_is_pending(const struct session *session)
{
	return session->timed_out && !session_is_empty(session) &&
	       initial_monotonic_ns() < session->kill_ns + KILL_NS;
}

/*
 * Returns whether the process that has an id is registered in the capture. If its
 * last record was lost, the id in the table can be that of a stranger by now.
 */
static bool is_registered(const struct session *session, pid_t pid)
{
	int error = mp3_capture_follow(&session->capture, pid);

	if (!error)
		mp3_capture_unregister(&session->capture, pid);

	return error == -EEXIST;
}

/*
 * Sends a signal to the command, and to each process that it has started. The table
 * has the ids of the initial pid namespace: in another one, only the command receives
 * it, and without following, too.
 */
static void signal_all(const struct session *session,
		       const struct command *command, int number)
{
	const struct table *table = &session->table;
	size_t i;

	if (!command->exited)
		kill(command->pid, number);
	if (session->no_follow || !in_initial_pid_namespace())
		return;
	for (i = 0; i < table->nr; i++) {
		pid_t pid = (pid_t)table->rows[i]->pid;

		if (!table->rows[i]->exited && pid != command->pid &&
		    is_registered(session, pid))
			kill(pid, number);
	}
}

/*
 * Ends a command that has run for too long, and what it has started: with SIGTERM,
 * and five seconds later with SIGKILL. To be called again and again.
 */
void timeout_handle(struct session *session, const struct command *command)
{
	__u64 now_ns = initial_monotonic_ns();

	if (!session->timeout_ns)
		return;
	if (session->timed_out) {
		if (now_ns >= session->kill_ns)
			signal_all(session, command, SIGKILL);
		return;
	}
	if (command->exited ||
	    now_ns < session->report.start_ns + session->timeout_ns)
		return;
	session->timed_out = true;
	session->kill_ns = now_ns + TERM_NS;
	warnx("timed out after %g s", (double)session->timeout_ns / 1e9);
	signal_all(session, command, SIGTERM);
	/* A process that is stopped exits when it continues. */
	signal_all(session, command, SIGCONT);
}
