// SPDX-License-Identifier: GPL-2.0
/*
 * mp3: a page-fault profiler
 *
 * The data's way through this file, top to bottom:
 *
 *	write "R,<pid>" -> mp3_status_write() -> mp3_register()
 *		pins the process and takes its counts so far as the base
 *	every interval: mp3_tick()
 *		mp3_collect() adds what each process has done since to mp3_sum,
 *		mp3_emit() makes one sample of the sum,
 *		mp3_ring_publish() puts it into the ring
 *	mmap of /dev/mp3 -> mp3_mmap() -> mp3_fault()
 *		the ring's own pages, in user space: reading is no system call
 *
 * Locks:
 *
 *	mp3_mutex	all state of the sampler and the registry, and who may
 *			publish. The tick sleeps on nothing else. Taken inside
 *			the kernel's lock of this module's parameters.
 *	sig->stats_lock, task->alloc_lock (the kernel's, of one process)
 *			taken inside mp3_mutex (counts) and outside of it
 *			(permission), never together.
 *	ring->wait.lock	inside mp3_mutex, by the wake-up of poll.
 *
 * Allocations are made outside of mp3_mutex, so that a tick never waits for
 * memory. Lifetimes: a registered process holds a reference on a task, and
 * through it the signal_struct with the totals, and one on its struct pid; so
 * neither can be reused before the last counts are read. An open file or a
 * mapping holds the module; the ring's pages outlive both.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cdev.h>
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/proc_fs.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "mp3_compat.h"
#include "mp3_given.h"
#include "mp3_uapi.h"

static_assert(sizeof(struct mp3_sample) == 32);
static_assert(sizeof(struct mp3_header) == 88);
static_assert(MP3_SAMPLES * sizeof(struct mp3_sample) <=
	      MP3_DATA_PAGES * PAGE_SIZE);

/* ---- Parameters and state ---- */

static unsigned int mp3_major = MP3_MAJOR;
module_param_named(major, mp3_major, uint, 0444);
MODULE_PARM_DESC(major, "major number of the device, 0 for any (default 423)");

/**
 * struct mp3_process - one registered process
 * @list: in mp3_processes, what the sampler walks
 * @hash: in mp3_table, by the address of its signal_struct
 * @task: any thread of it, pinned: holds the signal_struct after it is reaped
 * @pid:  its tgid, pinned: the number that each pid namespace knows it by
 * @last: its counts when they were last collected
 */
struct mp3_process {
	struct list_head list;
	struct hlist_node hash;
	struct task_struct *task;
	struct pid *pid;
	struct mp3_counts last;
};

static DEFINE_MUTEX(mp3_mutex);	/* guards everything from here on ... */

static unsigned int mp3_interval_ms = 50;
static u64 mp3_interval_ns = 50 * NSEC_PER_MSEC;
static u64 mp3_deadline;	/* of the next tick, on the clock of mp3_now() */
static u64 mp3_ticks;		/* as in struct mp3_header */
static u64 mp3_missed;
static u64 mp3_cost_ns;
static u64 mp3_emitted_ns;	/* when the interval being collected began */
static struct mp3_counts mp3_sum;	/* collected since then */

static LIST_HEAD(mp3_processes);
static DEFINE_HASHTABLE(mp3_table, 14);
static unsigned int mp3_nr_processes;	/* ... to here */

static struct workqueue_struct *mp3_wq;
static void mp3_tick(struct work_struct *work);
static DECLARE_DELAYED_WORK(mp3_work, mp3_tick);

/* ---- The ring: the one place that knows slots and barriers ---- */

/**
 * struct mp3_ring - entries in pages that user space maps
 * @data:	the entries, vmalloc'ed; written here, never read back
 * @header:	the header page, likewise; mapped read only
 * @data_pages: pages of @data
 * @entry_size: bytes of one entry, a multiple of 8
 * @capacity:	slots
 * @slot:	where the next entry goes (mp3_mutex)
 * @head:	entries ever published (mp3_mutex; poll reads it without)
 * @wait:	who polls
 */
struct mp3_ring {
	u64 *data;
	struct mp3_header *header;
	unsigned long data_pages;
	u32 entry_size;
	u32 capacity;
	u32 slot;
	u64 head;
	wait_queue_head_t wait;
};

static struct mp3_ring mp3_samples = {
	.data_pages = MP3_DATA_PAGES,
	.entry_size = sizeof(struct mp3_sample),
	.capacity = MP3_SAMPLES,
	.wait = __WAIT_QUEUE_HEAD_INITIALIZER(mp3_samples.wait),
};

static int mp3_ring_alloc(struct mp3_ring *ring)
{
	struct mp3_header *header;

	ring->data = vmalloc_user(ring->data_pages * PAGE_SIZE);
	if (!ring->data)
		return -ENOMEM;
	memset(ring->data, 0xff, ring->data_pages * PAGE_SIZE);

	header = vmalloc_user(PAGE_SIZE);
	if (!header) {
		vfree(ring->data);
		return -ENOMEM;
	}
	header->magic = MP3_MAGIC;
	header->version = MP3_ABI_VERSION;
	header->entry_size = ring->entry_size;
	header->capacity = ring->capacity;
	header->hz = HZ;

	/* Right after a clock tick, the time now is the time of that tick. */
	schedule_timeout_uninterruptible(1);
	header->base_jiffies = get_jiffies_64();
	header->base_ns = ktime_get_ns();

	/* The interval may be set by now: parameters come before init. */
	mutex_lock(&mp3_mutex);
	header->interval_ns = mp3_interval_ns;
	ring->header = header;
	mutex_unlock(&mp3_mutex);

	return 0;
}

static void mp3_ring_free(struct mp3_ring *ring)
{
	struct mp3_header *header = ring->header;

	/* And it may be set until after exit. */
	mutex_lock(&mp3_mutex);
	ring->header = NULL;
	mutex_unlock(&mp3_mutex);
	vfree(header);
	vfree(ring->data);
}

static u64 *mp3_ring_slot(struct mp3_ring *ring, u32 slot)
{
	return (u64 *)((char *)ring->data + (size_t)slot * ring->entry_size);
}

/* Appends @entry, in place of the oldest one where the ring is full. */
static void mp3_ring_publish(struct mp3_ring *ring, const void *entry)
{
	const u64 *words = entry;
	unsigned int i, nr = ring->entry_size / sizeof(u64);
	u32 next = ring->slot + 1 == ring->capacity ? 0 : ring->slot + 1;
	u64 *slot = mp3_ring_slot(ring, ring->slot);
	u64 *gap = mp3_ring_slot(ring, next);

	lockdep_assert_held(&mp3_mutex);

	/*
	 * The head that gave these two slots up is seen before they change.
	 * Pairs with a reader's acquire fence between its copy and its second
	 * load of head.
	 */
	smp_wmb();
	for (i = 0; i < nr; i++)
		WRITE_ONCE(gap[i], -1);
	for (i = 1; i < nr; i++)
		WRITE_ONCE(slot[i], words[i]);
	/*
	 * Pairs with the acquire load of word 0 by a reader that lives by the
	 * words alone: it finds the entry whole, and the gap behind it.
	 */
	smp_store_release(&slot[0], words[0]);
	ring->slot = next;
	WRITE_ONCE(ring->head, ring->head + 1);
	/* Pairs with a reader's first, acquire load of head. */
	smp_store_release(&ring->header->head, ring->head);

	wake_up_interruptible_poll(&ring->wait, EPOLLIN | EPOLLRDNORM);
}

/* ---- The sampler ---- */

/*
 * The grid's clock: nanoseconds that pass by whole clock ticks, as the timer
 * behind the delayed work sees them. It keeps step with CLOCK_MONOTONIC.
 */
static u64 mp3_now(void)
{
	return get_jiffies_64() * TICK_NSEC;
}

/* Has the tick run at the first clock tick that is not before the deadline. */
static void mp3_arm(void)
{
	u64 now = mp3_now();
	unsigned long delay = 0;

	lockdep_assert_held(&mp3_mutex);
	if (mp3_deadline > now)
		delay = div_u64(mp3_deadline - now + TICK_NSEC - 1, TICK_NSEC);
	/*
	 * A timer fires at the clock tick after its expiry; for the next one
	 * it has to be past already, since no delay at all means no timer.
	 * From 64 on it is rounded up by an eighth at most: a long way is made
	 * in steps.
	 */
	if (delay > 63)
		delay -= delay / 8;
	else if (delay > 1)
		delay--;
	else if (delay == 1)
		delay = -1;
	mod_delayed_work(mp3_wq, &mp3_work, delay);
}

/* Starts the grid anew: the first deadline is one interval from now. */
static void mp3_start_grid(void)
{
	mp3_deadline = mp3_now() + mp3_interval_ns;
	mp3_arm();
}

/*
 * Adds what a process has done since the last time to the sum. Returns true
 * when it is over, and was collected for the last time.
 */
static bool mp3_collect(struct mp3_process *process)
{
	struct mp3_counts counts;
	bool over = mp3_read_counts(process->task, &counts);

	lockdep_assert_held(&mp3_mutex);
	mp3_sum.min_flt += counts.min_flt - process->last.min_flt;
	mp3_sum.maj_flt += counts.maj_flt - process->last.maj_flt;
	mp3_sum.cpu_ns += counts.cpu_ns - process->last.cpu_ns;
	process->last = counts;

	return over;
}

/* Takes a process out; what was collected of it stays in the sum. */
static void mp3_remove(struct mp3_process *process)
{
	lockdep_assert_held(&mp3_mutex);
	hash_del(&process->hash);
	list_del(&process->list);
	mp3_nr_processes--;
	put_task_struct(process->task);
	put_pid(process->pid);
	kfree(process);
}

/* Makes a sample of the sum, and starts the next interval. */
static void mp3_emit(void)
{
	u64 now = ktime_get_ns();
	u64 period = max(now - mp3_emitted_ns, mp3_interval_ns);
	struct mp3_sample sample = {
		.jiffies = jiffies,
		.min_flt = mp3_sum.min_flt,
		.maj_flt = mp3_sum.maj_flt,
		.cpu_percent = div64_u64(mp3_sum.cpu_ns * 100 + period / 2,
					 period),
	};

	lockdep_assert_held(&mp3_mutex);
	mp3_sum = (struct mp3_counts){};
	mp3_emitted_ns = now;
	mp3_ring_publish(&mp3_samples, &sample);
	/*
	 * After the head, so that a reader who finds nothing registered finds
	 * the last sample too. Pairs with its acquire load of processes.
	 */
	smp_store_release(&mp3_samples.header->processes, mp3_nr_processes);
}

/* Serves the last deadline up to @now; those before it were missed. */
static void mp3_serve(u64 now)
{
	struct mp3_header *header = mp3_samples.header;
	u64 start = ktime_get_ns();
	u64 missed = div64_u64(now - mp3_deadline, mp3_interval_ns);
	struct mp3_process *process, *next;

	list_for_each_entry_safe(process, next, &mp3_processes, list) {
		if (mp3_collect(process))
			mp3_remove(process);
		cond_resched();
	}

	mp3_deadline += (missed + 1) * mp3_interval_ns;
	mp3_missed += missed;
	WRITE_ONCE(header->missed, mp3_missed);
	WRITE_ONCE(header->ticks, ++mp3_ticks);
	mp3_emit();
	mp3_cost_ns += ktime_get_ns() - start;
	WRITE_ONCE(header->cost_ns, mp3_cost_ns);
}

static void mp3_tick(struct work_struct *work)
{
	u64 now;

	mutex_lock(&mp3_mutex);
	/*
	 * Before the deadline this is a step on a long way, or was late for a
	 * grid that has been started anew since.
	 */
	now = mp3_now();
	if (!list_empty(&mp3_processes) && now >= mp3_deadline)
		mp3_serve(now);
	if (!list_empty(&mp3_processes))
		mp3_arm();
	mutex_unlock(&mp3_mutex);
}

/* A new interval holds from now on; no finer than a clock tick. */
static int mp3_set_interval(const char *val, const struct kernel_param *kp)
{
	unsigned int ms;
	int err;

	err = kstrtouint(val, 10, &ms);
	if (err)
		return err;
	if (ms < 1 || ms > 10000)
		return -EINVAL;

	mutex_lock(&mp3_mutex);
	mp3_interval_ms = ms;
	mp3_interval_ns = max_t(u64, ms * NSEC_PER_MSEC, TICK_NSEC);
	if (mp3_samples.header)
		WRITE_ONCE(mp3_samples.header->interval_ns, mp3_interval_ns);
	if (!list_empty(&mp3_processes))
		mp3_start_grid();
	mutex_unlock(&mp3_mutex);

	return 0;
}

static const struct kernel_param_ops mp3_interval_ops = {
	.set = mp3_set_interval,
	.get = param_get_uint,
};
module_param_cb(interval_ms, &mp3_interval_ops, &mp3_interval_ms, 0644);
MODULE_PARM_DESC(interval_ms, "sampling interval, 1..10000 ms (default 50)");

/* ---- The registry ---- */

static struct mp3_process *mp3_find(struct task_struct *task)
{
	struct mp3_process *process;

	lockdep_assert_held(&mp3_mutex);
	hash_for_each_possible(mp3_table, process, hash,
			       (unsigned long)task->signal)
		if (same_thread_group(process->task, task))
			return process;
	return NULL;
}

static int mp3_insert(struct mp3_process *process)
{
	lockdep_assert_held(&mp3_mutex);
	if (mp3_read_counts(process->task, &process->last))
		return -ESRCH;
	if (mp3_find(process->task))
		return -EEXIST;

	if (list_empty(&mp3_processes)) {
		mp3_emitted_ns = ktime_get_ns();
		mp3_start_grid();
	}
	hash_add(mp3_table, &process->hash,
		 (unsigned long)process->task->signal);
	list_add_tail(&process->list, &mp3_processes);
	mp3_nr_processes++;
	WRITE_ONCE(mp3_samples.header->processes, mp3_nr_processes);

	return 0;
}

/* Profiles the process of @task from now on. */
static int mp3_register(struct task_struct *task)
{
	struct mp3_process *process;
	int err;

	process = kzalloc(sizeof(*process), GFP_KERNEL_ACCOUNT);
	if (!process)
		return -ENOMEM;
	process->task = get_task_struct(task);
	process->pid = get_task_pid(task, PIDTYPE_TGID);

	mutex_lock(&mp3_mutex);
	err = mp3_insert(process);
	mutex_unlock(&mp3_mutex);

	if (err) {
		put_pid(process->pid);
		put_task_struct(process->task);
		kfree(process);
	}
	return err;
}

/* Collects the last of a process; the last of all is in the ring on return. */
static int mp3_unregister(struct task_struct *task)
{
	struct mp3_process *process;
	int err = -ESRCH;

	mutex_lock(&mp3_mutex);
	process = mp3_find(task);
	/* One that is over is the next tick's to collect: it has ended. */
	if (process && !mp3_collect(process)) {
		err = 0;
		mp3_remove(process);
		if (list_empty(&mp3_processes)) {
			cancel_delayed_work(&mp3_work);
			mp3_emit();
		}
		WRITE_ONCE(mp3_samples.header->processes, mp3_nr_processes);
	}
	mutex_unlock(&mp3_mutex);

	return err;
}

/* Lets go of everything; nobody can register any more. */
static void mp3_stop(void)
{
	struct mp3_process *process, *next;

	mutex_lock(&mp3_mutex);
	list_for_each_entry_safe(process, next, &mp3_processes, list)
		mp3_remove(process);
	mutex_unlock(&mp3_mutex);
	/* With nothing registered neither tick nor parameter arms it again. */
	cancel_delayed_work_sync(&mp3_work);
}

/* ---- The status file: who is profiled ---- */

/* The memory of a process, to look at and to mmdrop(); NULL if it has none. */
static struct mm_struct *mp3_grab_mm(struct task_struct *task)
{
	struct mm_struct *mm = NULL;
	struct task_struct *thread;

	rcu_read_lock();
	/* Any thread of it may have left the memory that others still use. */
	for_each_thread(task, thread) {
		task_lock(thread);
		mm = thread->mm;
		if (mm)
			mmgrab(mm);
		task_unlock(thread);
		if (mm)
			break;
	}
	rcu_read_unlock();

	return mm;
}

/* Of who opened the file, or, without one, of who is calling. */
static bool mp3_capable(const struct file *opened, struct user_namespace *ns,
			int cap)
{
	return opened ? file_ns_capable(opened, ns, cap) :
			ns_capable_noaudit(ns, cap);
}

/*
 * ptrace_may_access(task, PTRACE_MODE_READ_REALCREDS), which modules cannot
 * call, less the security modules' say; or CAP_PERFMON.
 */
static int mp3_entitled(const struct cred *cred, const struct file *opened,
			struct task_struct *task)
{
	const struct cred *tcred;
	struct mm_struct *mm;
	bool owner, able;
	int err = 0;

	rcu_read_lock();
	tcred = __task_cred(task);
	owner = uid_eq(cred->uid, tcred->uid) &&
		uid_eq(cred->uid, tcred->euid) &&
		uid_eq(cred->uid, tcred->suid) &&
		gid_eq(cred->gid, tcred->gid) &&
		gid_eq(cred->gid, tcred->egid) &&
		gid_eq(cred->gid, tcred->sgid);
	able = owner || mp3_capable(opened, tcred->user_ns, CAP_SYS_PTRACE);
	rcu_read_unlock();
	if (!owner && mp3_capable(opened, &init_user_ns, CAP_PERFMON))
		return 0;
	if (!able)
		return -EPERM;

	/*
	 * A process that changes its credentials first becomes undumpable:
	 * the old ones with the old flag are fine, the new ones with the old
	 * flag must not be seen. Pairs with the write barrier in
	 * commit_creds().
	 */
	smp_rmb();
	mm = mp3_grab_mm(task);
	if (!mm)
		return -ESRCH;
	if (get_dumpable(mm) != SUID_DUMP_USER &&
	    !mp3_capable(opened, mm->user_ns, CAP_SYS_PTRACE) &&
	    !mp3_capable(opened, &init_user_ns, CAP_PERFMON))
		err = -EPERM;
	mmdrop(mm);

	return err;
}

/* Who writes and who opened the file: nobody lends another his rights. */
static int mp3_may_profile(const struct file *file, struct task_struct *task)
{
	int err;

	if (same_thread_group(task, current))
		return 0;
	err = mp3_entitled(current_cred(), NULL, task);
	if (err)
		return err;
	return mp3_entitled(file->f_cred, file, task);
}

/* One command, without its end of line: the letter, one comma or blanks, pid */
static int mp3_command(const struct file *file, const char *line)
{
	struct task_struct *task;
	const char *number;
	struct pid *pid;
	int nr, err;

	if (line[0] != 'R' && line[0] != 'U')
		return -EINVAL;
	number = line[1] == ',' ? line + 2 : line + 1 + strspn(line + 1, " \t");
	if (number == line + 1 || !isdigit(*number) ||
	    kstrtoint(number, 10, &nr) || nr == 0)
		return -EINVAL;

	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return -ESRCH;

	if (task->flags & PF_KTHREAD)
		err = -EINVAL;
	else
		err = mp3_may_profile(file, task);
	if (!err)
		err = line[0] == 'R' ? mp3_register(task) :
				       mp3_unregister(task);
	put_task_struct(task);

	return err;
}

/*
 * Each line is copied and carried out by itself, so that no length of the
 * user's is ever allocated. A newline or a NUL ends one; empty ones count for
 * nothing, and a write of nothing else is malformed.
 */
static ssize_t mp3_status_write(struct file *file, const char __user *buffer,
				size_t count, loff_t *ppos)
{
	bool any = false;
	size_t done = 0;
	int err = 0;

	if (count > PAGE_SIZE)
		return -EINVAL;

	while (done < count) {
		char line[64];
		size_t size = min(count - done, sizeof(line) - 1);
		size_t len;

		err = -EFAULT;
		if (copy_from_user(line, buffer + done, size))
			break;
		line[size] = '\0';
		len = strcspn(line, "\n");
		line[len] = '\0';

		err = 0;
		if (len == sizeof(line) - 1)
			err = -EINVAL;	/* no end in sight */
		else if (len)
			err = mp3_command(file, line);
		if (err)
			break;
		any = any || len;
		done = min(done + len + 1, count);
	}
	if (any || !count)
		return done;

	return err ? err : -EINVAL;
}

static int mp3_status_show(struct seq_file *seq, void *v)
{
	struct mp3_process *process;
	pid_t nr;

	mutex_lock(&mp3_mutex);
	list_for_each_entry(process, &mp3_processes, list) {
		nr = pid_vnr(process->pid);
		/* Not the reader's to see, or gone, and maybe another's now. */
		if (nr && pid_has_task(process->pid, PIDTYPE_TGID))
			seq_printf(seq, "%d\n", nr);
		if (seq_has_overflowed(seq))
			break;
	}
	mutex_unlock(&mp3_mutex);

	return 0;
}

/*
 * The whole list at once, by a buffer that grows: a process is neither missed
 * nor met twice, and who only writes pays nothing for it.
 */
static int mp3_status_open(struct inode *inode, struct file *file)
{
	return single_open(file, mp3_status_show, NULL);
}

static const struct proc_ops mp3_status_ops = {
	.proc_open = mp3_status_open,
	.proc_read = seq_read,
	.proc_write = mp3_status_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

/* ---- The device: the ring in user space ---- */

/**
 * struct mp3_file - an open file
 * @ring:   what it reads
 * @polled: the head that poll last reported, or that of the open
 */
struct mp3_file {
	struct mp3_ring *ring;
	u64 polled;
};

static int mp3_open(struct inode *inode, struct file *file)
{
	struct mp3_file *reader = kzalloc(sizeof(*reader), GFP_KERNEL_ACCOUNT);

	if (!reader)
		return -ENOMEM;
	reader->ring = &mp3_samples;
	reader->polled = READ_ONCE(reader->ring->head);
	file->private_data = reader;

	return 0;
}

static int mp3_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static __poll_t mp3_poll(struct file *file, struct poll_table_struct *table)
{
	struct mp3_file *reader = file->private_data;
	u64 head;

	poll_wait(file, &reader->ring->wait, table);
	/* After the wait queue's lock; pairs with the wake-up, which takes it. */
	head = READ_ONCE(reader->ring->head);
	if (head == READ_ONCE(reader->polled))
		return 0;
	/* Who asks for something else is not told, and has it still to come. */
	if (poll_requested_events(table) & (EPOLLIN | EPOLLRDNORM))
		WRITE_ONCE(reader->polled, head);

	return EPOLLIN | EPOLLRDNORM;
}

#define MP3_HEADER_PGOFF	(MP3_OFF_HEADER >> PAGE_SHIFT)

/* How many pages lie from @pgoff on to the end of its region; 0: in none. */
static unsigned long mp3_pages_from(const struct mp3_ring *ring,
				    unsigned long pgoff)
{
	if (pgoff < ring->data_pages)
		return ring->data_pages - pgoff;
	return pgoff == MP3_HEADER_PGOFF;
}

static vm_fault_t mp3_fault(struct vm_fault *vmf)
{
	struct mp3_file *reader = vmf->vma->vm_file->private_data;
	struct mp3_ring *ring = reader->ring;
	void *address = ring->header;

	/* mmap has seen to it; asked again where a page is handed out. */
	if (!mp3_pages_from(ring, vmf->pgoff))
		return VM_FAULT_SIGBUS;
	if (vmf->pgoff < ring->data_pages)
		address = (char *)ring->data + (vmf->pgoff << PAGE_SHIFT);

	/* The mapping's reference: it may outlive the mapping (a pinned page). */
	vmf->page = vmalloc_to_page(address);
	get_page(vmf->page);

	return 0;
}

static const struct vm_operations_struct mp3_vm_ops = {
	.fault = mp3_fault,
};

static int mp3_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mp3_file *reader = file->private_data;
	unsigned long forbidden = VM_EXEC;

	if (vma_pages(vma) > mp3_pages_from(reader->ring, vma->vm_pgoff))
		return -EINVAL;
	if (vma->vm_pgoff == MP3_HEADER_PGOFF)
		forbidden |= VM_WRITE;
	if (vma->vm_flags & forbidden)
		return -EPERM;

	/* What is forbidden now cannot be had by mprotect later. */
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP,
		     forbidden & VM_WRITE ? VM_MAYEXEC | VM_MAYWRITE : VM_MAYEXEC);
	vma->vm_ops = &mp3_vm_ops;

	return 0;
}

static const struct file_operations mp3_fops = {
	.owner = THIS_MODULE,
	.open = mp3_open,
	.release = mp3_release,
	.poll = mp3_poll,
	.mmap = mp3_mmap,
	.llseek = noop_llseek,
};

/* ---- Load and unload ---- */

static struct cdev mp3_cdev;
static struct class *mp3_class;
static struct proc_dir_entry *mp3_proc;

static int __init mp3_get_major(void)
{
	dev_t dev = MKDEV(mp3_major, 0);
	int err;

	if (mp3_major >= CHRDEV_MAJOR_MAX)
		return -EINVAL;
	if (mp3_major)
		return register_chrdev_region(dev, 1, "mp3");

	err = alloc_chrdev_region(&dev, 0, 1, "mp3");
	mp3_major = MAJOR(dev);
	return err;
}

static int __init mp3_init(void)
{
	struct device *device;
	dev_t dev;
	int err;

	err = mp3_ring_alloc(&mp3_samples);
	if (err)
		return err;

	err = -ENOMEM;
	mp3_wq = alloc_ordered_workqueue("mp3", WQ_HIGHPRI | WQ_MEM_RECLAIM);
	if (!mp3_wq)
		goto free_ring;

	err = mp3_get_major();
	if (err)
		goto destroy_wq;
	dev = MKDEV(mp3_major, 0);

	mp3_class = mp3_class_create("mp3");
	err = PTR_ERR_OR_ZERO(mp3_class);
	if (err)
		goto put_major;

	err = -ENOMEM;
	mp3_proc = proc_mkdir("mp3", NULL);
	if (!mp3_proc)
		goto destroy_class;
	if (!proc_create("status", 0666, mp3_proc, &mp3_status_ops))
		goto remove_proc;

	device = device_create(mp3_class, NULL, dev, NULL, "mp3");
	err = PTR_ERR_OR_ZERO(device);
	if (err)
		goto remove_proc;

	/* The last step that may fail: a file once open cannot be revoked. */
	cdev_init(&mp3_cdev, &mp3_fops);
	mp3_cdev.owner = THIS_MODULE;
	err = cdev_add(&mp3_cdev, dev, 1);
	if (err)
		goto destroy_device;

	pr_info("ready, major %u\n", mp3_major);
	return 0;

destroy_device:
	device_destroy(mp3_class, dev);
remove_proc:
	proc_remove(mp3_proc);
	mp3_stop();
destroy_class:
	class_destroy(mp3_class);
put_major:
	unregister_chrdev_region(dev, 1);
destroy_wq:
	destroy_workqueue(mp3_wq);
free_ring:
	mp3_ring_free(&mp3_samples);
	return err;
}

/* The mirror of init. No file is open any more: it would hold the module. */
static void __exit mp3_exit(void)
{
	dev_t dev = MKDEV(mp3_major, 0);

	cdev_del(&mp3_cdev);
	device_destroy(mp3_class, dev);
	proc_remove(mp3_proc);
	mp3_stop();
	class_destroy(mp3_class);
	unregister_chrdev_region(dev, 1);
	destroy_workqueue(mp3_wq);
	mp3_ring_free(&mp3_samples);
}

module_init(mp3_init);
module_exit(mp3_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("page-fault profiler: exact counts, absolute grid, mapped ring");
MODULE_VERSION("0.1.0");
