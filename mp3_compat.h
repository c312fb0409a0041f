/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between kernel versions, and nothing else: mp3.c is written
 * for the newest kernel, and what an older one lacks is made up for here.
 */
#ifndef MP3_COMPAT_H
#define MP3_COMPAT_H

#include <linux/version.h>

/* Kbuild's -Wfatal-errors makes these the only thing that is said. */
#ifndef CONFIG_64BIT
#error "mp3 needs a 64-bit kernel: its counters are words of 64 bits"
#endif
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 10, 0)
#error "mp3 needs Linux 5.10 or newer"
#endif

#include <linux/cred.h>
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/user_namespace.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_mod(struct vm_area_struct *vma,
				unsigned long set, unsigned long clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define mp3_class_create(name)	class_create(THIS_MODULE, name)
#else
#define mp3_class_create(name)	class_create(name)
#endif

/*
 * mp3_is_on_cpu() - whether a task is running, with acquire
 *
 * A kernel for one processor has no such field: none but the caller is.
 */
static inline bool mp3_is_on_cpu(const struct task_struct *task)
{
#ifdef CONFIG_SMP
	/* Pairs with the release by finish_task(). */
	return smp_load_acquire(&task->on_cpu);
#else
	return task == current;
#endif
}

/*
 * mp3_get_dumpable() - who may look into a process
 * @task: a thread of the process
 * @dumpable: set to whether its owner may, as the process is dumpable
 *
 * Returns the user namespace in which CAP_SYS_PTRACE lets everyone else look,
 * for put_user_ns(); NULL if the process has no memory any more. Linux 7.2 keeps
 * it by task, to the end of that, and has another name for the value.
 */
#ifndef SUID_DUMP_USER
#include <linux/sched/exec_state.h>

static inline struct user_namespace *mp3_get_dumpable(struct task_struct *task,
						      bool *dumpable)
{
	struct user_namespace *ns = NULL;
	struct task_exec_state *state;

	rcu_read_lock();
	state = rcu_dereference(task->exec_state);
	/* It is freed, and puts its namespace, after an RCU grace period. */
	if (state) {
		*dumpable = READ_ONCE(state->dumpable) == TASK_DUMPABLE_OWNER;
		ns = get_user_ns(state->user_ns);
	}
	rcu_read_unlock();

	return ns;
}
#else
static inline struct user_namespace *mp3_get_dumpable(struct task_struct *task,
						      bool *dumpable)
{
	struct user_namespace *ns = NULL;
	struct task_struct *thread;

	rcu_read_lock();
	/* Any thread of it may have left the memory that others still use. */
	for_each_thread(task, thread) {
		task_lock(thread);
		if (thread->mm) {
			*dumpable = get_dumpable(thread->mm) == SUID_DUMP_USER;
			ns = get_user_ns(thread->mm->user_ns);
		}
		task_unlock(thread);
		if (ns)
			break;
	}
	rcu_read_unlock();

	return ns;
}
#endif

#endif /* MP3_COMPAT_H */
