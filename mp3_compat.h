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
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/path.h>
#include <linux/perf_event.h>
#include <linux/prefetch.h>
#include <linux/ptrace.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "mp3_uapi.h"

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

/* Until 6.13, a worker starts when it is created. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#define kthread_run_worker	kthread_create_worker
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
 * Prefetch what shows whether @task has run: the number of its switches, with its counts
 * of faults next to it, and whether it is on a CPU. @task need not be a valid pointer.
 */
static inline void mp3_prefetch_task(const struct task_struct *task)
{
	prefetch(&task->nvcsw);
#ifdef CONFIG_SMP
	prefetch(&task->on_cpu);
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

/* ---- Locating faults ---- */

/* A local variable that CONFIG_INIT_STACK_ALL_ZERO need not zero */
#ifndef __uninitialized
#if __has_attribute(__uninitialized__)
#define __uninitialized		__attribute__((__uninitialized__))
#else
#define __uninitialized
#endif
#endif

/* Each fault holds mmap_lock when it is counted. */
#define MP3_FAULT_HOLDS_LOCK	(LINUX_VERSION_CODE < KERNEL_VERSION(6, 0, 0))

/*
 * mp3_find_vma() - return the VMA that contains @address, or NULL
 *
 * Caller holds mmap_lock, or is in an RCU read-side section if mp3_vmas_use_rcu().
 *
 * mp3_vmas_use_rcu() - return whether the tree of VMAs can be read under RCU
 */
static inline struct vm_area_struct *mp3_find_vma(struct mm_struct *mm,
						  unsigned long address)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
	struct vm_area_struct *vma = find_vma(mm, address);

	return vma && vma->vm_start <= address ? vma : NULL;
#else
	return mtree_load(&mm->mm_mt, address);
#endif
}

static inline bool mp3_vmas_use_rcu(struct mm_struct *mm)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
	return false;
#else
	return mt_in_rcu(&mm->mm_mt);
#endif
}

/*
 * struct mp3_mm_state - what changes whenever a mapping of a process does
 *
 * mp3_is_same_state() - set @state to that of @mm. Returns whether it was so already:
 * then @mm is the same memory, and has the same mappings. Caller holds mmap_lock for
 * reading.
 *
 * With CONFIG_PER_VMA_LOCK (6.4), a task that has changed a mapping increments
 * mm_lock_seq before it releases mmap_lock; not prctl(PR_SET_MM), which only changes
 * what counts as heap and stack. x86 never uses a ctx_id again.
 */
#if defined(CONFIG_X86) && defined(CONFIG_PER_VMA_LOCK)
#define MP3_HAS_MM_STATE	1

struct mp3_mm_state {
	u64 id;
	u32 seq;
};

static inline bool mp3_is_same_state(const struct mm_struct *mm,
				     struct mp3_mm_state *state)
{
	u64 id = mm->context.ctx_id;
	/* An int or, since 6.13 and in late 6.12, a seqcount_t, which begins so */
	u32 seq = *(const u32 *)&mm->mm_lock_seq;

	if (state->id == id && state->seq == seq)
		return true;
	state->id = id;
	state->seq = seq;

	return false;
}
#else
#define MP3_HAS_MM_STATE	0

struct mp3_mm_state {
};

static inline bool mp3_is_same_state(const struct mm_struct *mm,
				     struct mp3_mm_state *state)
{
	return false;
}
#endif

/*
 * Return @file with a reference, or NULL if it is being closed. It was open at
 * some time in the RCU read-side section that the caller is in.
 */
static inline struct file *mp3_get_file_rcu(struct file *file)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	return get_file_rcu(file) ? file : NULL;
#else
	return get_file_active(&file);
#endif
}

/*
 * Files whose memory is freed without an RCU grace period: from 6.7 to 6.12, those
 * that overlayfs and FUSE open in place of their own
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0) && \
	LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define MP3_FMODE_UNSAFE	FMODE_BACKING
#else
#define MP3_FMODE_UNSAFE	((fmode_t)0)
#endif

/*
 * struct mp3_file_ref keeps the path of a file.
 *
 * Not the file itself, where that is possible: that would keep it open for
 * writing, for example, so that nothing could execute it. But with PREEMPT_RT,
 * taking the path can sleep.
 *
 * mp3_ref_lock_t is the type of a lock that mp3_ref_file() may be called with, without
 * sleeping: elsewhere, it can take the spinlock of the dentry, and lockdep reports that
 * within a raw one.
 *
 * mp3_ref_file() - set @ref to @file, which the caller keeps open during the call.
 * Does not sleep
 *
 * mp3_file_path() - return the path, as in /proc/<pid>/maps
 *
 * mp3_put_file() - drop @ref. May sleep
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define mp3_user_path(file)	(&(file)->f_path)
#else
#define mp3_user_path(file)	file_user_path(file)
#endif

#ifdef CONFIG_PREEMPT_RT
#define mp3_ref_lock_t		raw_spinlock_t
#define mp3_ref_lock_init	raw_spin_lock_init
#define mp3_ref_lock		raw_spin_lock
#define mp3_ref_unlock		raw_spin_unlock

struct mp3_file_ref {
	struct file *file;
};

static inline void mp3_ref_file(struct mp3_file_ref *ref, struct file *file)
{
	ref->file = get_file(file);
}

static inline const struct path *mp3_file_path(const struct mp3_file_ref *ref)
{
	return mp3_user_path(ref->file);
}

static inline void mp3_put_file(struct mp3_file_ref *ref)
{
	fput(ref->file);
}
#else
#define mp3_ref_lock_t		spinlock_t
#define mp3_ref_lock_init	spin_lock_init
#define mp3_ref_lock		spin_lock
#define mp3_ref_unlock		spin_unlock

struct mp3_file_ref {
	struct path path;
};

static inline void mp3_ref_file(struct mp3_file_ref *ref, struct file *file)
{
	ref->path = *mp3_user_path(file);
	path_get(&ref->path);
}

static inline const struct path *mp3_file_path(const struct mp3_file_ref *ref)
{
	return &ref->path;
}

static inline void mp3_put_file(struct mp3_file_ref *ref)
{
	path_put(&ref->path);
}
#endif

/* Threads of a process that never run in user mode, and have no registers */
#ifdef PF_USER_WORKER
#define MP3_PF_WORKER	(PF_KTHREAD | PF_USER_WORKER | PF_IO_WORKER)
#else
#define MP3_PF_WORKER	(PF_KTHREAD | PF_IO_WORKER)
#endif

/* Return whether the calling task is in exec: its registers are older. */
static inline bool mp3_is_in_exec(void)
{
	return current->in_execve;
}

/*
 * mp3_frame_pointer() - return the frame pointer of a 64-bit task, else 0
 *
 * mp3_return_address() - return @address as it was before the processor signed it
 */
static inline unsigned long mp3_frame_pointer(const struct pt_regs *regs)
{
#if defined(CONFIG_X86)
	return regs->cs == __USER_CS ? regs->bp : 0;
#elif defined(CONFIG_ARM64)
	return compat_user_mode(regs) ? 0 : regs->regs[29];
#else
	return 0;
#endif
}

static inline u64 mp3_return_address(u64 address)
{
#ifdef CONFIG_ARM64
	return address & GENMASK_ULL(47, 0);
#else
	return address;
#endif
}

/*
 * The start of a fault: x86 has tracepoints, with the processor's error code.
 * Elsewhere it is an event, and arm64 still has the syndrome in a register.
 *
 * mp3_exception_flags() - return the MP3_FAULT_* of an error code of x86
 *
 * mp3_syndrome_flags() - return the MP3_FAULT_* of the exception that the calling
 * task has taken at @address, or 0 if they are unknown
 */
#define MP3_HAS_EXCEPTIONS	IS_ENABLED(CONFIG_X86)

#ifdef CONFIG_X86
#include <asm/trap_pf.h>

static inline u32 mp3_exception_flags(unsigned long error_code)
{
	return MP3_FAULT_ACCESS_KNOWN |
	       (error_code & X86_PF_PROT ? MP3_FAULT_PRESENT : 0) |
	       (error_code & X86_PF_WRITE ? MP3_FAULT_WRITE : 0) |
	       (error_code & X86_PF_INSTR ? MP3_FAULT_EXEC : 0);
}
#else
static inline u32 mp3_exception_flags(unsigned long error_code)
{
	return 0;
}
#endif

#ifdef CONFIG_ARM64
#include <asm/esr.h>
#include <asm/sysreg.h>

static inline u32 mp3_syndrome_flags(u64 address)
{
	u64 esr = read_sysreg(esr_el1);
	u32 class = ESR_ELx_EC(esr), flags = MP3_FAULT_ACCESS_KNOWN;

	/* A later exception has overwritten both registers. */
	if ((untagged_addr(read_sysreg(far_el1)) ^ address) & PAGE_MASK)
		return 0;
	if (class == ESR_ELx_EC_IABT_LOW)
		flags |= MP3_FAULT_EXEC;
	else if (class != ESR_ELx_EC_DABT_LOW && class != ESR_ELx_EC_DABT_CUR)
		return 0;
	else if (esr & ESR_ELx_WNR && !(esr & ESR_ELx_CM))
		flags |= MP3_FAULT_WRITE;
	/* Permission and access-flag faults: the page is there. */
	if ((esr & ESR_ELx_FSC_TYPE) == ESR_ELx_FSC_PERM ||
	    (esr & ESR_ELx_FSC_TYPE) == ESR_ELx_FSC_ACCESS)
		flags |= MP3_FAULT_PRESENT;

	return flags;
}
#else
static inline u32 mp3_syndrome_flags(u64 address)
{
	return 0;
}
#endif

/* Return the address that an event of a page fault has, or 0. */
static inline u64 mp3_event_address(const struct perf_sample_data *data)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
	return data->addr;
#else
	/* Not set if it is 0. */
	return data->sample_flags & PERF_SAMPLE_ADDR ? data->addr : 0;
#endif
}

#endif /* MP3_COMPAT_H */
