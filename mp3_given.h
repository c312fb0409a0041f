/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the page faults and the CPU time of one process are read. Kernel side
 * only; the counters are read, never written.
 */
#ifndef MP3_GIVEN_H
#define MP3_GIVEN_H

#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seqlock.h>

/**
 * struct mp3_counts - what a process has done
 * @min_flt: minor faults
 * @maj_flt: major faults
 * @cpu_ns:  CPU time in nanoseconds, as of the scheduler's last look at each
 *	     thread (a running one is at most a clock tick ahead of it)
 */
struct mp3_counts {
	u64 min_flt;
	u64 maj_flt;
	u64 cpu_ns;
};

/* The totals of the threads that have ended, plus each that has not. */
static inline bool mp3_sum_threads(struct task_struct *task,
				   struct mp3_counts *counts)
{
	struct signal_struct *sig = task->signal;
	struct task_struct *thread;
	bool over = true;

	counts->min_flt = sig->min_flt;
	counts->maj_flt = sig->maj_flt;
	counts->cpu_ns = sig->sum_sched_runtime;
	for_each_thread(task, thread) {
		/*
		 * Before the thread's counts, so that they are its last, and
		 * before its link, so that a thread it has made is met. Pairs
		 * with exit_mm()'s unlocks, before exit_notify() locks and
		 * stores exit_state.
		 */
		if (!smp_load_acquire(&thread->exit_state))
			over = false;
		counts->min_flt += READ_ONCE(thread->min_flt);
		counts->maj_flt += READ_ONCE(thread->maj_flt);
		counts->cpu_ns += READ_ONCE(thread->se.sum_exec_runtime);
	}

	return over;
}

/**
 * mp3_read_counts() - what a process has done since its first instruction
 * @task:   any of its threads, pinned by a reference, dead or alive
 * @counts: filled with the totals of the whole thread group
 *
 * A thread that ends moves its counts into the totals of its signal_struct
 * and leaves the list of threads in one write section of stats_lock; so a
 * read section without a writer meets each thread exactly once, here or
 * there. The first pass takes no lock, the second shuts writers out, as the
 * kernel's thread_group_cputime() does.
 *
 * Context: process context. The process may have been reaped.
 *
 * Return: true when the process is over, that is, each of its threads has an
 * exit_state: it has left its memory, and @counts are its last.
 */
static inline bool mp3_read_counts(struct task_struct *task,
				   struct mp3_counts *counts)
{
	seqlock_t *stats_lock = &task->signal->stats_lock;
	unsigned long flags;
	unsigned int seq;
	bool over;

	rcu_read_lock();
	seq = read_seqbegin(stats_lock);
	over = mp3_sum_threads(task, counts);
	if (read_seqretry(stats_lock, seq)) {
		read_seqlock_excl_irqsave(stats_lock, flags);
		over = mp3_sum_threads(task, counts);
		read_sequnlock_excl_irqrestore(stats_lock, flags);
	}
	rcu_read_unlock();

	return over;
}

#endif /* MP3_GIVEN_H */
