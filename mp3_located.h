/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mp3: locating one page fault of the calling task: when it began, the mapping
 * it is in, and the code that caused it. Kernel side only.
 *
 * The functions run where the kernel counts a fault: in the task that has taken
 * it, with at least preemption disabled. They take no sleeping lock and allocate
 * nothing.
 */
#ifndef MP3_LOCATED_H
#define MP3_LOCATED_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/kdev_t.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "mp3_compat.h"
#include "mp3_uapi.h"

/* ---- The start of a fault ---- */

#define MP3_START_BITS	10	/* log2 of the sets */
#define MP3_START_WAYS	4	/* entries of a set */
#define MP3_START_SIZE	(sizeof(struct mp3_start) * MP3_START_WAYS << \
			 MP3_START_BITS)

/**
 * struct mp3_start - a fault that has begun
 * @owner:   the task in the fault, or 0; with bit 0 set while a task accesses the
 *	     other fields. The acquire and release of that bit protect them
 * @time_ns: when it began; 0 if it has been completed
 * @address: the address that was accessed
 * @flags:   MP3_FAULT_* that are known at the start
 *
 * An entry remains in the table, and the next fault of the task replaces it. So
 * does a fault of another task that finds no free entry in its set, if this is the
 * oldest there.
 */
struct mp3_start {
	unsigned long owner;
	u64 time_ns;
	u64 address;
	u32 flags;
};

static inline struct mp3_start *mp3_start_set(struct mp3_start *starts)
{
	return starts + MP3_START_WAYS * hash_ptr(current, MP3_START_BITS);
}

/* Lock the entry of the calling task in @set. Returns NULL if it has none. */
static inline struct mp3_start *mp3_lock_start(struct mp3_start *set)
{
	unsigned long owner = (unsigned long)current;
	unsigned int i;

	for (i = 0; i < MP3_START_WAYS; i++)
		if (READ_ONCE(set[i].owner) == owner &&
		    cmpxchg(&set[i].owner, owner, owner | 1) == owner)
			return &set[i];
	return NULL;
}

/*
 * Lock a free entry in @set or, if there is none, the oldest one: that of a fault
 * that has been completed, if there is one. Returns NULL if another task has just
 * taken it.
 */
static inline struct mp3_start *mp3_claim_start(struct mp3_start *set)
{
	struct mp3_start *oldest = NULL;
	unsigned long owner = 0;
	unsigned int i;

	for (i = 0; i < MP3_START_WAYS; i++) {
		unsigned long other = READ_ONCE(set[i].owner);

		if (!other && !cmpxchg(&set[i].owner, 0,
				       (unsigned long)current | 1))
			return &set[i];
		if (other & 1 || (oldest && READ_ONCE(set[i].time_ns) >=
					    READ_ONCE(oldest->time_ns)))
			continue;
		oldest = &set[i];
		owner = other;
	}
	if (!oldest || cmpxchg(&oldest->owner, owner,
			       (unsigned long)current | 1) != owner)
		return NULL;

	return oldest;
}

/**
 * mp3_start_fault() - remember that the calling task begins a fault
 * @starts:  table of MP3_START_SIZE bytes, zeroed before its first use
 * @address: the address that was accessed
 * @flags:   MP3_FAULT_* that are known
 */
static inline void mp3_start_fault(struct mp3_start *starts, u64 address,
				   u32 flags)
{
	struct mp3_start *set = mp3_start_set(starts);
	struct mp3_start *start = mp3_lock_start(set);

	if (!start)
		start = mp3_claim_start(set);
	if (!start)
		return;
	start->address = address;
	start->flags = flags;
	WRITE_ONCE(start->time_ns, ktime_get_mono_fast_ns());
	/* Pairs with the cmpxchg() that locks the entry. */
	smp_store_release(&start->owner, (unsigned long)current);
}

/**
 * mp3_end_fault() - find the start of a fault that the calling task completes
 * @starts:  as for mp3_start_fault()
 * @address: the address that was accessed
 * @flags:   the flags passed to mp3_start_fault() are added
 *
 * Return: the time of the start in nanoseconds of CLOCK_MONOTONIC, or 0 if it is
 * unknown.
 */
static inline u64 mp3_end_fault(struct mp3_start *starts, u64 address,
				u32 *flags)
{
	struct mp3_start *start = mp3_lock_start(mp3_start_set(starts));
	u64 time_ns = 0;

	if (!start)
		return 0;
	if (start->address == address && start->time_ns) {
		time_ns = start->time_ns;
		*flags |= start->flags;
	}
	WRITE_ONCE(start->time_ns, 0);
	/* Pairs with the cmpxchg() that locks the entry. */
	smp_store_release(&start->owner, (unsigned long)current);

	return time_ns;
}

/* ---- Mappings ---- */

/* What keeps the mappings of the calling task in place */
enum mp3_hold {
	MP3_HOLD_NONE,		/* nothing: they cannot be read */
	MP3_HOLD_RCU,		/* nothing: what is read may be changing */
	MP3_HOLD_FAULT,		/* the fault itself, which has taken mmap_lock */
	MP3_HOLD_LOCK,		/* mmap_lock, taken by mp3_hold_mappings() */
};

/*
 * mp3_hold_mappings() - prepare for reading the mappings of the calling task
 *
 * Caller is in an RCU read-side section, and calls mp3_release_mappings() before
 * the end of that.
 *
 * Up to 5.19, a fault still holds mmap_lock when it is counted. Since 6.0, a write
 * to a shared mapping of a file may have released it, to wait for the disk. Since
 * 6.4, a fault may hold only the lock of its own mapping.
 */
static inline enum mp3_hold mp3_hold_mappings(struct mm_struct *mm)
{
	if (MP3_FAULT_HOLDS_LOCK)
		return MP3_HOLD_FAULT;
	/* On PREEMPT_RT, it cannot be released with preemption disabled. */
	if (!IS_ENABLED(CONFIG_PREEMPT_RT) && mmap_read_trylock(mm))
		return MP3_HOLD_LOCK;

	return mp3_vmas_use_rcu(mm) ? MP3_HOLD_RCU : MP3_HOLD_NONE;
}

static inline void mp3_release_mappings(struct mm_struct *mm,
					enum mp3_hold hold)
{
	if (hold == MP3_HOLD_LOCK)
		mmap_read_unlock(mm);
}

/**
 * struct mp3_file_id - what identifies a file
 * @inode:	its inode, never dereferenced: it may have been freed. Distinguishes
 *		the subvolumes of a file system
 * @number:	its inode number
 * @device:	of its file system
 * @generation:	distinguishes files that have had the same inode number
 */
struct mp3_file_id {
	const void *inode;
	u64 number;
	dev_t device;
	u32 generation;
};

static inline bool mp3_is_same_file(const struct mp3_file_id *a,
				    const struct mp3_file_id *b)
{
	return a->inode == b->inode && a->number == b->number &&
	       a->device == b->device && a->generation == b->generation;
}

/* Set @id to the identity of a file with @inode. Returns false if that is NULL. */
static inline bool mp3_identify_inode(const struct inode *inode,
				      struct mp3_file_id *id)
{
	if (!inode)
		return false;
	id->inode = inode;
	id->number = inode->i_ino;
	id->device = inode->i_sb->s_dev;
	id->generation = inode->i_generation;

	return true;
}

/* The same for a file: false if it is just being closed. */
static inline bool mp3_identify_file(const struct file *file,
				     struct mp3_file_id *id)
{
	return mp3_identify_inode(READ_ONCE(file->f_inode), id);
}

/**
 * struct mp3_mapping - one mapping
 * @start:	first address
 * @end:	first address after it
 * @offset:	of @start in the file, in bytes; 0 if it is anonymous
 * @flags:	MP3_FAULT_SHARED, MP3_FAULT_HEAP, MP3_FAULT_STACK
 * @file:	the file, or NULL if it is anonymous. Without a reference: see
 *		mp3_get_file()
 * @id:		its identity
 */
struct mp3_mapping {
	u64 start;
	u64 end;
	u64 offset;
	u32 flags;
	struct file *file;
	struct mp3_file_id id;
};

/* Fill @mapping from @vma, in @mm, except its @id. */
static inline void mp3_copy_vma(const struct mm_struct *mm,
				const struct vm_area_struct *vma,
				struct mp3_mapping *mapping)
{
	mapping->start = vma->vm_start;
	mapping->end = vma->vm_end;
	mapping->offset = 0;
	/* VM_SHARED is not set if the file was opened for reading only. */
	mapping->flags = vma->vm_flags & VM_MAYSHARE ? MP3_FAULT_SHARED : 0;
	mapping->file = vma->vm_file;
	if (mapping->file)
		mapping->offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	else if (mapping->start <= READ_ONCE(mm->brk) &&
		 mapping->end >= mm->start_brk)
		mapping->flags |= MP3_FAULT_HEAP;
	else if (mapping->start <= mm->start_stack &&
		 mapping->end >= mm->start_stack)
		mapping->flags |= MP3_FAULT_STACK;
}

/*
 * Return whether @vma is in the tree of @mm at @address, and is still as it was
 * when @copy was made of it.
 */
static inline bool mp3_is_unchanged_vma(struct mm_struct *mm, u64 address,
					const struct vm_area_struct *vma,
					const struct vm_area_struct *copy)
{
	struct vm_area_struct now;

	/* Pairs with the barriers of the tree, when a mapping is removed. */
	smp_rmb();

	return mp3_find_vma(mm, address) == vma &&
	       !copy_from_kernel_nofault(&now, vma, sizeof(now)) &&
	       now.vm_start == copy->vm_start && now.vm_end == copy->vm_end &&
	       now.vm_pgoff == copy->vm_pgoff &&
	       now.vm_flags == copy->vm_flags && now.vm_file == copy->vm_file;
}

/*
 * mp3_hold_file_mappings() - prevent changes of the mappings of a file, by its @pages
 *
 * Other tasks change the start of a file's mapping and its offset one after the
 * other, with i_mmap_rwsem held for writing. Caller is in an RCU read-side section.
 * Returns false if they do; else the caller calls mp3_release_file_mappings().
 *
 * On PREEMPT_RT, the lock cannot be released with preemption disabled: there, only
 * return whether nobody holds it now.
 */
static inline bool mp3_hold_file_mappings(struct address_space *pages)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return !rwsem_is_locked(&pages->i_mmap_rwsem);
	return down_read_trylock(&pages->i_mmap_rwsem);
}

static inline void mp3_release_file_mappings(struct address_space *pages)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		up_read(&pages->i_mmap_rwsem);
}

/*
 * Fill @mapping from the VMA at @address, which other tasks may be changing or
 * freeing. Caller is in an RCU read-side section. Returns false if they do.
 *
 * A VMA that is still in the tree, with the same fields, was valid when they were
 * copied. But its file may have been closed since: its memory can be free, or that of
 * another file. So what is read of it counts only if the VMA is in the tree still after
 * that: then the file was open. Both can have been replaced only on a kernel that frees
 * VMAs and files at once; from 6.7 to 6.12, VMAs are freed after an RCU grace period.
 *
 * Until the end of the RCU section, the memory of its inode, and of the inode whose
 * pages it has, remains an inode: the kernel's file systems free these after an RCU grace
 * period. If the VMA is still in the tree, with the same fields, while nothing can
 * change them, it was the right one.
 */
static noinline bool mp3_peek_vma(struct mm_struct *mm, u64 address,
				  struct mp3_mapping *mapping)
{
	const struct vm_area_struct *vma = mp3_find_vma(mm, address);
	struct address_space *pages;
	struct vm_area_struct copy;
	struct inode *inode;
	fmode_t mode;
	bool same;

	if (!vma || copy_from_kernel_nofault(&copy, vma, sizeof(copy)) ||
	    !mp3_is_unchanged_vma(mm, address, vma, &copy))
		return false;
	mp3_copy_vma(mm, &copy, mapping);
	if (!mapping->file)
		return true;

	if (get_kernel_nofault(pages, &mapping->file->f_mapping) ||
	    get_kernel_nofault(inode, &mapping->file->f_inode) ||
	    get_kernel_nofault(mode, &mapping->file->f_mode) ||
	    !mp3_is_unchanged_vma(mm, address, vma, &copy) ||
	    mode & MP3_FMODE_UNSAFE)
		return false;
	if (!pages || !mp3_hold_file_mappings(pages))
		return false;
	same = mp3_identify_inode(inode, &mapping->id) &&
	       mp3_is_unchanged_vma(mm, address, vma, &copy);
	mp3_release_file_mappings(pages);

	return same;
}

/**
 * mp3_read_mapping() - read the mapping at an address of the calling task
 * @mm:	     its memory
 * @address: the address
 * @hold:    result of mp3_hold_mappings(), not MP3_HOLD_NONE
 * @mapping: filled
 *
 * Return: true, or false if there is none, or if another task is changing it.
 */
static inline bool mp3_read_mapping(struct mm_struct *mm, u64 address,
				    enum mp3_hold hold,
				    struct mp3_mapping *mapping)
{
	const struct vm_area_struct *vma;

	if (hold == MP3_HOLD_RCU)
		return mp3_peek_vma(mm, address, mapping);
	vma = mp3_find_vma(mm, address);
	if (!vma)
		return false;
	mp3_copy_vma(mm, vma, mapping);

	return !mapping->file ||
	       mp3_identify_file(mapping->file, &mapping->id);
}

/*
 * Set @ref to the file of a mapping, for mp3_put_file(). Returns false if it has
 * been closed. @hold is that of mp3_read_mapping(), and still in force.
 */
static inline bool mp3_get_file(struct mp3_file_ref *ref,
				const struct mp3_mapping *mapping,
				enum mp3_hold hold)
{
	struct mp3_file_id id;
	struct file *file;
	bool same;

	if (hold != MP3_HOLD_RCU) {
		mp3_ref_file(ref, mapping->file);
		return true;
	}
	file = mp3_get_file_rcu(mapping->file);
	if (!file)
		return false;
	/* It may be another file in the same memory, or one that fails to open. */
	same = READ_ONCE(file->f_mode) & FMODE_OPENED &&
	       mp3_identify_file(file, &id) &&
	       mp3_is_same_file(&id, &mapping->id);
	if (same)
		mp3_ref_file(ref, file);
	fput(file);

	return same;
}

/* ---- Code ---- */

/*
 * Return the user-mode registers of the calling task, whose fault has @regs, or
 * NULL if it has none that mean anything: a worker thread of the kernel, and a
 * task that executes a new program.
 */
static inline struct pt_regs *mp3_user_regs(struct pt_regs *regs)
{
	if (user_mode(regs))
		return regs;
	if (current->flags & MP3_PF_WORKER || mp3_is_in_exec())
		return NULL;
	return task_pt_regs(current);
}

/*
 * Read the two words of a stack frame: the frame pointer of the caller, and the
 * return address. Caller has disabled page faults. Returns false if they cannot
 * be read. Does what copy_from_user_nofault() does, at a fifth of its cost.
 */
static inline bool mp3_read_frame(unsigned long pointer, unsigned long *frame)
{
	const unsigned long __user *words = (void __user *)pointer;

	if (!user_read_access_begin(words, 2 * sizeof(*words)))
		return false;
	unsafe_get_user(frame[0], &words[0], fault);
	unsafe_get_user(frame[1], &words[1], fault);
	user_read_access_end();

	return true;

fault:
	user_read_access_end();
	return false;
}

/**
 * mp3_read_frames() - read the call chain of the calling task
 * @regs:   its user-mode registers
 * @frames: filled with addresses: the instruction, and its callers as long as
 *	    frame pointers lead to them
 * @max:    length of @frames
 *
 * Return: how many there are, at least 1.
 */
static inline unsigned int mp3_read_frames(struct pt_regs *regs, u64 *frames,
					   unsigned int max)
{
	unsigned long frame[2], next, pointer = mp3_frame_pointer(regs);
	unsigned long last;
	unsigned int nr = 0;

	frames[nr++] = instruction_pointer(regs);
	if (nr == max)
		return nr;
	/* TASK_SIZE depends on the task: do not compute it for each frame. */
	last = TASK_SIZE - sizeof(frame);
	pagefault_disable();
	for (; nr < max; pointer = next) {
		if (!pointer || pointer % sizeof(long) ||
		    pointer > last || !mp3_read_frame(pointer, frame))
			break;
		next = frame[0];
		/* An address in the first page is no return address. */
		if (mp3_return_address(frame[1]) < PAGE_SIZE)
			break;
		frames[nr++] = mp3_return_address(frame[1]);
		/* The stack grows down: callers are above. */
		if (next <= pointer)
			break;
	}
	pagefault_enable();

	return nr;
}

#endif /* MP3_LOCATED_H */
