/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mp3: the differences between kernel versions and configurations, and nothing
 * else. mp3.c is written for the newest kernel; this file adds what older ones
 * lack.
 */
#ifndef MP3_COMPAT_H
#define MP3_COMPAT_H

#include <linux/version.h>

/* With -Wfatal-errors (Kbuild), the first of these ends the compilation. */
#ifndef CONFIG_64BIT
#error "mp3 needs a 64-bit kernel: build it for one that has CONFIG_64BIT"
#endif
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 10, 0)
#error "mp3 needs Linux 5.10 or newer: set KDIR to the headers of such a kernel"
#endif

#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/user_namespace.h>

/*
 * Flags for pages that are charged to a memory cgroup and mapped by user space.
 * Before 5.11, a charged page has a type, which excludes a mapping.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
#define MP3_GFP_CHARGED		GFP_KERNEL
#else
#define MP3_GFP_CHARGED		GFP_KERNEL_ACCOUNT
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define mp3_const_device	struct device
#else
#define mp3_const_device	const struct device
#endif

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
 * Return whether @task is on a CPU, with acquire semantics. A kernel for one
 * processor has no such field: there, only the caller is.
 */
static inline bool mp3_is_on_cpu(const struct task_struct *task)
{
#ifdef CONFIG_SMP
	/* Pairs with the release store in finish_task(). */
	return smp_load_acquire(&task->on_cpu);
#else
	return task == current;
#endif
}

/*
 * mp3_cgroup_id() - return the cgroup v2 id of @task, or 0 without cgroups
 *
 * Caller is in an RCU read-side section. A task keeps its css_set until it is
 * freed.
 */
static inline u64 mp3_cgroup_id(struct task_struct *task)
{
#ifdef CONFIG_CGROUPS
	return cgroup_id(task_dfl_cgroup(task));
#else
	return 0;
#endif
}

/*
 * mp3_current_is_dumpable() - return whether the owner of the calling task may
 * inspect it. Takes no lock.
 *
 * mp3_get_dumpable() - read whether a process is dumpable
 * @task: any of its threads, pinned by a reference
 * @dumpable: set to whether its owner may inspect it
 *
 * Returns the user namespace in which CAP_SYS_PTRACE lets others inspect it,
 * with a reference for put_user_ns(); or NULL, and leaves @dumpable unset, if
 * the process has released its memory. Linux 7.2 keeps both per task, until the
 * task is freed, and renames SUID_DUMP_USER.
 */
#ifndef SUID_DUMP_USER
#include <linux/sched/exec_state.h>

static inline bool mp3_current_is_dumpable(void)
{
	struct task_exec_state *state;
	bool dumpable;

	rcu_read_lock();
	state = rcu_dereference(current->exec_state);
	dumpable = state && READ_ONCE(state->dumpable) == TASK_DUMPABLE_OWNER;
	rcu_read_unlock();

	return dumpable;
}

static inline struct user_namespace *mp3_get_dumpable(struct task_struct *task,
						      bool *dumpable)
{
	struct user_namespace *ns = NULL;
	struct task_exec_state *state;

	rcu_read_lock();
	state = rcu_dereference(task->exec_state);
	/* Freed, with its reference to the namespace, after a grace period. */
	if (state) {
		*dumpable = READ_ONCE(state->dumpable) == TASK_DUMPABLE_OWNER;
		ns = get_user_ns(state->user_ns);
	}
	rcu_read_unlock();

	return ns;
}
#else
static inline bool mp3_current_is_dumpable(void)
{
	return current->mm && get_dumpable(current->mm) == SUID_DUMP_USER;
}

static inline struct user_namespace *mp3_get_dumpable(struct task_struct *task,
						      bool *dumpable)
{
	struct user_namespace *ns = NULL;
	struct task_struct *thread;

	rcu_read_lock();
	/* An exiting thread has no mm while others still do: find one. */
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
