// SPDX-License-Identifier: GPL-2.0
/*
 * mp3: a page-fault profiler
 *
 * The data's way through this file, top to bottom:
 *
 *	write "R,<pid>" -> mp3_status_write() -> mp3_register()
 *		pins the process and takes its counts so far as the base
 *	write "F,<pid>" -> mp3_follow()
 *		the same, then mp3_adopt() for its present descendants, and
 *		mp3_on_fork() for each that one of them starts from then on
 *	every interval: mp3_tick()
 *		mp3_read_counts() reads what each process has done,
 *		mp3_emit_record() makes a record of what is new and adds it to mp3_sum,
 *		mp3_emit_sample() makes one sample of the sum,
 *		mp3_ring_publish() puts both into their rings
 *	mmap of /dev/mp3, /dev/mp3_procs -> mp3_mmap() -> mp3_vm_fault()
 *		the ring's own pages, in user space: reading is no system call
 *
 * Locks, outer ones first:
 *
 *	mp3_follow_mutex
 *		whether forks are watched, and one F at a time
 *	mp3_sampler_mutex
 *		all state of the sampler and the registry, and who may publish.
 *		The tick sleeps on nothing else. Taken inside the kernel's lock
 *		of this module's parameters.
 *	mp3_registry_lock
 *		what the probe in the fork path shares with the others: who is
 *		in the table, what was born, the reserve. It never sleeps; the
 *		table is read by RCU, too.
 *	sig->stats_lock, task->alloc_lock (the kernel's, of one process)
 *		taken inside mp3_sampler_mutex (counts, names) and outside of it
 *		(permission), never together, never inside mp3_registry_lock
 *	ring->wait.lock
 *		inside mp3_sampler_mutex, by the wake-up of poll
 *
 * Allocations are made outside of mp3_sampler_mutex, so that a tick never waits for
 * memory. Lifetimes: a registered process holds a reference on a task, and
 * through it the signal_struct with the totals, and one on its struct pid; so
 * neither can be reused before the last counts are read. An open file or a
 * mapping holds the module; the rings' pages outlive both.
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
#include <linux/rculist.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "mp3_compat.h"
#include "mp3_given.h"
#include "mp3_uapi.h"

static_assert(sizeof(struct mp3_sample) == 32);
static_assert(sizeof(struct mp3_record) == 64);
static_assert(sizeof_field(struct mp3_record, comm) == TASK_COMM_LEN);
static_assert(sizeof(struct mp3_header) == 88);
static_assert(MP3_SAMPLES * sizeof(struct mp3_sample) <=
	      MP3_DATA_PAGES * PAGE_SIZE);

/* ---- Parameters and state ---- */

static unsigned int mp3_major = MP3_MAJOR;
module_param_named(major, mp3_major, uint, 0444);
MODULE_PARM_DESC(major, "major number of the device, 0 for any (default 423)");

static unsigned int mp3_record_capacity = 65536;
module_param_named(records, mp3_record_capacity, uint, 0444);
MODULE_PARM_DESC(records, "entries of /dev/mp3_procs, 64..16777216 (default 65536)");

/**
 * struct mp3_process - one registered process
 * @list:   in mp3_processes, what the sampler walks (mp3_sampler_mutex); before that
 *	    in mp3_pending or, still without a process, in mp3_reserve (mp3_registry_lock)
 * @rcu:    for its end: the probe may be looking at it
 * @task:   a thread of it, its leader when a record was last made, pinned:
 *	    holds the signal_struct after it is reaped
 * @counts: as they were last collected
 * @switches: what mp3_read_switches() said before that, if @task is all of it
 * @reported:   what of @counts is in records, or came before it was registered
 * @signal: its identity, from the first thread to the last
 * @flags:  those of its next record. With MP3_LAST it is registered no more,
 *	    and waits here for that record
 * @authorized:  false while it is followed, but nobody has asked yet whether the
 *	    caller of F may (mp3_registry_lock)
 * @follow_id:   number of the F that it is followed by, 0: not followed (mp3_registry_lock)
 * @hash:   in mp3_table, by @signal (mp3_registry_lock)
 * @pid:    its tgid, pinned: the number that each pid namespace knows it by
 */
struct mp3_process {
	union {
		struct list_head list;
		struct rcu_head rcu;
	};
	struct task_struct *task;
	struct mp3_counts counts;
	u64 switches;
	struct mp3_counts reported;
	struct signal_struct *signal;
	u32 flags;
	bool authorized;
	u64 follow_id;
	struct hlist_node hash;
	struct pid *pid;
};

/*
 * Serializes F, the attaching and detaching of the fork probe, and the filling
 * of the reserve.
 */
static DEFINE_MUTEX(mp3_follow_mutex);

/* Protected by mp3_follow_mutex */
static bool mp3_probe_attached;
static bool mp3_adopt_denied;	/* the F in progress skipped a process */

/* The sampler's lock: the tick sleeps on no other one. */
static DEFINE_MUTEX(mp3_sampler_mutex);

/* Protected by mp3_sampler_mutex */
static unsigned int mp3_interval_ms = 50;
static u64 mp3_interval_ns = 50 * NSEC_PER_MSEC;
static u64 mp3_deadline;	/* of the next tick, on the clock of mp3_grid_now() */
static u64 mp3_ticks;		/* see struct mp3_header */
static u64 mp3_missed;
static u64 mp3_cost_ns;
static u64 mp3_sample_ns;	/* time of the current sample, or the last one */
static u64 mp3_sample_jiffies;
static struct mp3_counts mp3_sum;	/* of the records since the last sample */
static LIST_HEAD(mp3_processes);
static unsigned int mp3_nr_processes;	/* in mp3_processes, without MP3_LAST */
static u64 mp3_last_follow_id;

/*
 * The follow_id that mp3_adopt() is at work for, else 0. Written under
 * mp3_sampler_mutex, and set to 0 under mp3_registry_lock as well.
 */
static u64 mp3_adopting_id;

/* What the fork probe shares with the rest: raw, since the probe cannot sleep. */
static DEFINE_RAW_SPINLOCK(mp3_registry_lock);

/* Protected by mp3_registry_lock */
static DEFINE_HASHTABLE(mp3_table, 14);	/* RCU for readers */
static LIST_HEAD(mp3_pending);	/* in mp3_table, not yet in mp3_processes */
static LIST_HEAD(mp3_reserve);	/* preallocated entries for the fork probe */
static unsigned int mp3_nr_reserve;
static unsigned int mp3_nr_followed;	/* in mp3_table, with a follow_id */
static u64 mp3_dropped;		/* see struct mp3_header */

static struct workqueue_struct *mp3_wq;
static void mp3_tick(struct work_struct *work);
static DECLARE_DELAYED_WORK(mp3_tick_work, mp3_tick);
static void mp3_refill(struct work_struct *work);
static DECLARE_WORK(mp3_refill_work, mp3_refill);
static void mp3_detach(struct work_struct *work);
static DECLARE_DELAYED_WORK(mp3_detach_work, mp3_detach);

/* ---- Rings ---- */

/**
 * struct mp3_ring - entries in pages that user space maps
 * @data:	the entries, vmalloc'ed; written here, never read back
 * @header:	the header page, likewise; mapped read only
 * @data_pages: pages of @data
 * @writable:	whether user space may map @data for writing
 * @entry_size: bytes of one entry, a multiple of 8
 * @capacity:	slots
 * @slot:	where the next entry goes (mp3_sampler_mutex)
 * @head:	entries ever published (mp3_sampler_mutex; poll reads it without)
 * @wait:	who polls
 */
struct mp3_ring {
	u64 *data;
	struct mp3_header *header;
	unsigned long data_pages;
	bool writable;
	u32 entry_size;
	u32 capacity;
	u32 slot;
	u64 head;
	wait_queue_head_t wait;
};

/* By the minor number of their device */
static struct mp3_ring mp3_rings[] = {
	{
		.data_pages = MP3_DATA_PAGES,
		.writable = true,
		.entry_size = sizeof(struct mp3_sample),
		.capacity = MP3_SAMPLES,
	},
	{
		.entry_size = sizeof(struct mp3_record),
		/* the rest by the parameter "records" */
	},
};

static struct mp3_ring *const mp3_sample_ring = &mp3_rings[0];
static struct mp3_ring *const mp3_record_ring = &mp3_rings[1];

/* Leaves nothing behind when it fails. */
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
		ring->data = NULL;
		return -ENOMEM;
	}
	header->magic = MP3_MAGIC;
	header->version = MP3_ABI_VERSION;
	header->entry_size = ring->entry_size;
	header->capacity = ring->capacity;
	header->base_jiffies = mp3_sample_jiffies;
	header->base_ns = mp3_sample_ns;
	header->hz = HZ;
	init_waitqueue_head(&ring->wait);

	/* The interval may be set by now: parameters come before init. */
	mutex_lock(&mp3_sampler_mutex);
	header->interval_ns = mp3_interval_ns;
	ring->header = header;
	mutex_unlock(&mp3_sampler_mutex);

	return 0;
}

static void mp3_ring_free(struct mp3_ring *ring)
{
	struct mp3_header *header = ring->header;

	/* And it may be set until after exit. */
	mutex_lock(&mp3_sampler_mutex);
	ring->header = NULL;
	mutex_unlock(&mp3_sampler_mutex);
	vfree(header);
	vfree(ring->data);
}

/*
 * Returns the slot of the next entry, of @nr_words words, that of the oldest one where
 * the ring is full, and makes the first @nr_gap words of the slot behind it -1.
 * All but word 0 is the caller's to fill. Inline, so that the numbers are known:
 * each record of a tick comes by here.
 */
static __always_inline void *mp3_ring_begin(struct mp3_ring *ring,
					    size_t nr_words,
					    size_t nr_gap)
{
	size_t i;
	u32 next = ring->slot + 1 == ring->capacity ? 0 : ring->slot + 1;
	u64 *slot = ring->data + (size_t)ring->slot * nr_words;
	u64 *gap = ring->data + (size_t)next * nr_words;

	lockdep_assert_held(&mp3_sampler_mutex);

	/*
	 * Who sees a word of these two slots change sees the head that gave
	 * them up as well. Pairs with a reader's acquire fence between its copy
	 * and its second load of head.
	 */
	smp_wmb();
	for (i = 0; i < nr_gap; i++)
		WRITE_ONCE(gap[i], -1);
	ring->slot = next;

	return slot;
}

/*
 * Stores @word0 of the slot at @slot, and so appends it. Who polls is told by
 * mp3_ring_wake(), once for all that belongs together.
 */
static __always_inline void mp3_ring_publish(struct mp3_ring *ring, void *slot,
					     u64 word0)
{
	lockdep_assert_held(&mp3_sampler_mutex);
	/*
	 * Pairs with the acquire load of word 0 by a reader that lives by the
	 * words alone: it finds the entry whole, and the gap behind it.
	 */
	smp_store_release((u64 *)slot, word0);
	WRITE_ONCE(ring->head, ring->head + 1);
	/* Pairs with a reader's first, acquire load of head. */
	smp_store_release(&ring->header->head, ring->head);
}

static void mp3_ring_wake(struct mp3_ring *ring)
{
	wake_up_interruptible_poll(&ring->wait, EPOLLIN | EPOLLRDNORM);
}

/* What every header says alike, but for @processes. */
static void mp3_update_headers(void)
{
	unsigned int i;

	lockdep_assert_held(&mp3_sampler_mutex);
	for (i = 0; i < ARRAY_SIZE(mp3_rings); i++) {
		struct mp3_header *header = mp3_rings[i].header;

		/* None before load, nor after unload: parameters outlive both. */
		if (!header)
			continue;
		WRITE_ONCE(header->interval_ns, mp3_interval_ns);
		WRITE_ONCE(header->ticks, mp3_ticks);
		WRITE_ONCE(header->missed, mp3_missed);
		WRITE_ONCE(header->cost_ns, mp3_cost_ns);
		WRITE_ONCE(header->dropped, READ_ONCE(mp3_dropped));
	}
}

static void mp3_update_processes(void)
{
	unsigned int i;

	lockdep_assert_held(&mp3_sampler_mutex);
	for (i = 0; i < ARRAY_SIZE(mp3_rings); i++)
		/*
		 * After the heads, so that a reader who finds nothing
		 * registered finds the last entries, too. Pairs with its
		 * acquire load of processes.
		 */
		smp_store_release(&mp3_rings[i].header->processes,
				  mp3_nr_processes);
}

/* ---- Table ---- */

/* By RCU, or with mp3_sampler_mutex held: nobody is removed without it. */
static struct mp3_process *mp3_find(const struct signal_struct *signal)
{
	struct mp3_process *process;

	hash_for_each_possible_rcu(mp3_table, process, hash,
				   (unsigned long)signal,
				   lockdep_is_held(&mp3_sampler_mutex) ||
				   lockdep_is_held(&mp3_registry_lock))
		if (process->signal == signal)
			return process;
	return NULL;
}

static void mp3_set_follow_id(struct mp3_process *process, u64 follow_id)
{
	lockdep_assert_held(&mp3_registry_lock);
	WRITE_ONCE(mp3_nr_followed,
		   mp3_nr_followed + !!follow_id - !!process->follow_id);
	WRITE_ONCE(process->follow_id, follow_id);
}

/*
 * Gives an empty entry its process; references that mp3_process_free() puts. False when
 * it has been reaped: then it has no number any more.
 */
static bool mp3_pin(struct mp3_process *process, struct task_struct *task)
{
	/* By RCU: a reference on the task does not keep its number. */
	process->pid = get_task_pid(task, PIDTYPE_TGID);
	if (!process->pid)
		return false;

	process->task = get_task_struct(task);
	process->signal = task->signal;
	process->flags = MP3_FIRST;

	return true;
}

static void mp3_process_free(struct mp3_process *process)
{
	put_task_struct(process->task);
	put_pid(process->pid);
	/* A probe may have found it, and be looking at it. */
	kfree_rcu(process, rcu);
}

/* Enters a process: from here on forks find it. */
static void mp3_hash_add(struct mp3_process *process, u64 follow_id,
			 bool authorized)
{
	lockdep_assert_held(&mp3_registry_lock);
	process->authorized = authorized;
	mp3_set_follow_id(process, follow_id);
	list_add_tail(&process->list, &mp3_pending);
	/* With release: a probe that finds it finds its fields. */
	hash_add_rcu(mp3_table, &process->hash, (unsigned long)process->signal);
}

/*
 * Takes those into the list that were born since the last call. Births need a
 * registered parent: after the last one was taken out, this finds its last
 * children, and no more come.
 */
static void mp3_splice_pending(void)
{
	struct mp3_process *process;
	LIST_HEAD(pending);

	lockdep_assert_held(&mp3_sampler_mutex);
	raw_spin_lock(&mp3_registry_lock);
	list_splice_init(&mp3_pending, &pending);
	raw_spin_unlock(&mp3_registry_lock);
	list_for_each_entry(process, &pending, list)
		mp3_nr_processes++;
	list_splice_tail(&pending, &mp3_processes);
}

/* Follows a process no more; forks are watched as long as there is another. */
static void mp3_unfollow(struct mp3_process *process)
{
	bool last;

	lockdep_assert_held(&mp3_sampler_mutex);
	raw_spin_lock(&mp3_registry_lock);
	last = process->follow_id && mp3_nr_followed == 1;
	mp3_set_follow_id(process, 0);
	raw_spin_unlock(&mp3_registry_lock);
	/* Not at once, or users could have the kernel patched all the time. */
	if (last)
		schedule_delayed_work(&mp3_detach_work, HZ);
}

/* Takes a process out. */
static void mp3_remove(struct mp3_process *process)
{
	lockdep_assert_held(&mp3_sampler_mutex);
	mp3_unfollow(process);
	raw_spin_lock(&mp3_registry_lock);
	hash_del_rcu(&process->hash);
	raw_spin_unlock(&mp3_registry_lock);
	list_del(&process->list);
	mp3_process_free(process);
}

/* ---- Sampler ---- */

/*
 * The grid's clock: nanoseconds that pass by whole clock ticks, as the timer
 * behind the delayed work sees them. It keeps step with CLOCK_MONOTONIC.
 */
static u64 mp3_grid_now(void)
{
	return get_jiffies_64() * TICK_NSEC;
}

/* Has the tick run at the first clock tick that is not before the deadline. */
static void mp3_arm(void)
{
	u64 now = mp3_grid_now();
	unsigned long delay = 0;

	lockdep_assert_held(&mp3_sampler_mutex);
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
	mod_delayed_work(mp3_wq, &mp3_tick_work, delay);
}

/* Starts the grid anew: the first deadline is one interval from now. */
static void mp3_start_grid(void)
{
	lockdep_assert_held(&mp3_sampler_mutex);
	mp3_deadline = mp3_grid_now() + mp3_interval_ns;
	mp3_arm();
}

/* A new interval of what is sampled begins; the one before ends now. */
static void mp3_stamp(void)
{
	mp3_sample_ns = ktime_get_ns();
	mp3_sample_jiffies = get_jiffies_64();
}

/*
 * How often @task has left the CPU, plus one; 0 while it may be on it. All that
 * a task counts it counts while it runs. So with the same answer as before it
 * has done nothing in between; and what is counted by the time of an answer is
 * seen after it.
 */
static u64 mp3_read_switches(const struct task_struct *task)
{
	u64 before = READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
	u64 after;

	/* It takes the CPU before it counts that it leaves it. */
	smp_rmb();
	/* Pairs with finish_task(): whoever is off the CPU has counted it. */
	if (mp3_is_on_cpu(task))
		return 0;
	after = READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);

	return before == after ? after + 1 : 0;
}

/*
 * Whether a process has done nothing since its counts were last collected: two
 * cache lines tell. If it may have, they are to be collected now.
 */
static bool mp3_is_unchanged(struct mp3_process *process)
{
	struct task_struct *task = process->task;
	u64 switches = mp3_read_switches(task);

	lockdep_assert_held(&mp3_sampler_mutex);
	if (switches && switches == process->switches)
		return true;
	/* Who is alone and off the CPU stays alone until it runs. */
	process->switches = mp3_is_single_threaded(task) ? switches : 0;

	return false;
}

/*
 * The leader may have become another thread, by exec, and have its name. In an
 * RCU read section.
 */
static void mp3_pin_leader(struct mp3_process *process)
{
	struct task_struct *leader = pid_task(process->pid, PIDTYPE_TGID);

	lockdep_assert_held(&mp3_sampler_mutex);
	if (!leader || leader == process->task)
		return;
	get_task_struct(leader);
	put_task_struct(process->task);
	process->task = leader;
	process->switches = 0;
}

/* Resident memory in bytes, 0 when @task has left it; its alloc_lock is held. */
static u64 mp3_rss(const struct task_struct *task)
{
	lockdep_assert_held(&task->alloc_lock);
	return task->mm ? get_mm_rss(task->mm) << PAGE_SHIFT : 0;
}

/* Of a process whose leader has ended before it. In an RCU read section. */
static u64 mp3_rss_of_threads(struct task_struct *task)
{
	struct task_struct *thread;
	u64 bytes = 0;

	for_each_thread(task, thread) {
		task_lock(thread);
		bytes = mp3_rss(thread);
		task_unlock(thread);
		if (bytes)
			break;
	}

	return bytes;
}

/* Makes a record of what was collected, if that is news. In an RCU read section. */
static void mp3_emit_record(struct mp3_process *process)
{
	u64 min_flt = process->counts.min_flt - process->reported.min_flt;
	u64 maj_flt = process->counts.maj_flt - process->reported.maj_flt;
	u64 cpu_ns = process->counts.cpu_ns - process->reported.cpu_ns;
	struct mp3_record *record;
	u64 rss_bytes;

	lockdep_assert_held(&mp3_sampler_mutex);
	if (!(min_flt | maj_flt | cpu_ns | process->flags))
		return;

	if (!thread_group_leader(process->task))
		mp3_pin_leader(process);
	record = mp3_ring_begin(mp3_record_ring, sizeof(*record) / 8, 1);
	record->pid = pid_nr(process->pid);
	record->flags = process->flags;
	record->min_flt = min_flt;
	record->maj_flt = maj_flt;
	record->cpu_ns = cpu_ns;
	task_lock(process->task);
	rss_bytes = mp3_rss(process->task);
	/* It may hold more than the name, behind the end of that. */
	memcpy(record->comm, process->task->comm, sizeof(record->comm));
	task_unlock(process->task);
	if (!rss_bytes && !(process->flags & MP3_LAST))
		rss_bytes = mp3_rss_of_threads(process->task);
	record->rss_bytes = rss_bytes;
	mp3_ring_publish(mp3_record_ring, record, mp3_sample_ns);

	mp3_sum.min_flt += min_flt;
	mp3_sum.maj_flt += maj_flt;
	mp3_sum.cpu_ns += cpu_ns;
	process->reported = process->counts;
	if (process->flags & MP3_FIRST)
		WRITE_ONCE(process->flags, process->flags & ~MP3_FIRST);
}

/* Makes a record of each process that has something to tell. */
static void mp3_collect_all(void)
{
	struct mp3_process *process, *next;
	u64 head = mp3_record_ring->head;

	lockdep_assert_held(&mp3_sampler_mutex);
	/* One section for them all: for each it would be much of the cost. */
	rcu_read_lock();
	list_for_each_entry_safe(process, next, &mp3_processes, list) {
		if (need_resched()) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
		/* Without a flag all that was collected is told already. */
		if (!process->flags && mp3_is_unchanged(process))
			continue;
		if (!(process->flags & MP3_LAST) &&
		    mp3_read_counts(process->task, &process->counts)) {
			WRITE_ONCE(process->flags, process->flags | MP3_LAST);
			mp3_nr_processes--;
		}
		mp3_emit_record(process);
		if (process->flags & MP3_LAST)
			mp3_remove(process);
	}
	rcu_read_unlock();
	if (mp3_record_ring->head != head)
		mp3_ring_wake(mp3_record_ring);
}

/* Makes a sample of the sum, for the time since the moment @since_ns. */
static void mp3_emit_sample(u64 since_ns)
{
	u64 period = max(mp3_sample_ns - since_ns, mp3_interval_ns);
	struct mp3_sample *sample;

	lockdep_assert_held(&mp3_sampler_mutex);
	/* Who scans for the first word that is not -1 must not meet old ones. */
	sample = mp3_ring_begin(mp3_sample_ring, sizeof(*sample) / 8,
				sizeof(*sample) / 8);
	sample->min_flt = mp3_sum.min_flt;
	sample->maj_flt = mp3_sum.maj_flt;
	sample->cpu_percent = div64_u64(mp3_sum.cpu_ns * 100 + period / 2,
					period);
	mp3_ring_publish(mp3_sample_ring, sample, mp3_sample_jiffies);
	mp3_ring_wake(mp3_sample_ring);
	mp3_sum = (struct mp3_counts){};
}

/* Records and a sample of all that was done since the last ones. */
static void mp3_sample_all(void)
{
	u64 since_ns = mp3_sample_ns;

	lockdep_assert_held(&mp3_sampler_mutex);
	mp3_stamp();
	mp3_splice_pending();
	mp3_collect_all();
	/* Children of those that have just left, maybe. */
	mp3_splice_pending();
	mp3_update_headers();
	mp3_emit_sample(since_ns);
	mp3_update_processes();
}

/* Serves the last deadline up to @now; those before it were missed. */
static void mp3_handle_deadline(u64 now)
{
	u64 start = ktime_get_ns();
	u64 missed = div64_u64(now - mp3_deadline, mp3_interval_ns);

	lockdep_assert_held(&mp3_sampler_mutex);
	mp3_deadline += (missed + 1) * mp3_interval_ns;
	mp3_missed += missed;
	mp3_ticks++;
	mp3_sample_all();
	mp3_cost_ns += ktime_get_ns() - start;
	mp3_update_headers();
}

static void mp3_tick(struct work_struct *work)
{
	u64 now;

	mutex_lock(&mp3_sampler_mutex);
	/*
	 * Before the deadline this is a step on a long way, or was late for a
	 * grid that has been started anew since.
	 */
	now = mp3_grid_now();
	if (mp3_nr_processes && now >= mp3_deadline)
		mp3_handle_deadline(now);
	if (mp3_nr_processes)
		mp3_arm();
	mutex_unlock(&mp3_sampler_mutex);
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

	mutex_lock(&mp3_sampler_mutex);
	mp3_interval_ms = ms;
	mp3_interval_ns = max_t(u64, ms * NSEC_PER_MSEC, TICK_NSEC);
	mp3_update_headers();
	if (mp3_nr_processes)
		mp3_start_grid();
	mutex_unlock(&mp3_sampler_mutex);

	return 0;
}

static const struct kernel_param_ops mp3_interval_ops = {
	.set = mp3_set_interval,
	.get = param_get_uint,
};
module_param_cb(interval_ms, &mp3_interval_ops, &mp3_interval_ms, 0644);
MODULE_PARM_DESC(interval_ms, "sampling interval, 1..10000 ms (default 50)");

/* ---- Permissions ---- */

/* Of who opened the file, or, without one, of who is calling. */
static bool mp3_capable(const struct file *file, struct user_namespace *ns,
			int cap)
{
	return file ? file_ns_capable(file, ns, cap) :
			ns_capable_noaudit(ns, cap);
}

/*
 * ptrace_may_access(task, PTRACE_MODE_READ_REALCREDS), which modules cannot
 * call, less the security modules' say; or CAP_PERFMON.
 */
static int mp3_ptrace_may_read(const struct cred *cred, const struct file *file,
			       struct task_struct *task)
{
	const struct cred *tcred;
	struct user_namespace *ns;
	bool owner, allowed, dumpable;
	int err = 0;

	rcu_read_lock();
	tcred = __task_cred(task);
	owner = uid_eq(cred->uid, tcred->uid) &&
		uid_eq(cred->uid, tcred->euid) &&
		uid_eq(cred->uid, tcred->suid) &&
		gid_eq(cred->gid, tcred->gid) &&
		gid_eq(cred->gid, tcred->egid) &&
		gid_eq(cred->gid, tcred->sgid);
	allowed = owner || mp3_capable(file, tcred->user_ns, CAP_SYS_PTRACE);
	rcu_read_unlock();
	if (!owner && mp3_capable(file, &init_user_ns, CAP_PERFMON))
		return 0;
	if (!allowed)
		return -EPERM;

	/*
	 * A process that changes its credentials first becomes undumpable:
	 * the old ones with the old flag are fine, the new ones with the old
	 * flag must not be seen. Pairs with the write barrier in
	 * commit_creds().
	 */
	smp_rmb();
	ns = mp3_get_dumpable(task, &dumpable);
	if (!ns)
		return -ESRCH;
	if (!dumpable && !mp3_capable(file, ns, CAP_SYS_PTRACE) &&
	    !mp3_capable(file, &init_user_ns, CAP_PERFMON))
		err = -EPERM;
	put_user_ns(ns);

	return err;
}

/* Who writes and who opened the file: nobody lends another his rights. */
static int mp3_may_profile(const struct file *file, struct task_struct *task)
{
	int err;

	if (same_thread_group(task, current))
		return 0;
	err = mp3_ptrace_may_read(current_cred(), NULL, task);
	/* Mostly both are the same. */
	if (err || file->f_cred == current_cred())
		return err;
	return mp3_ptrace_may_read(file->f_cred, file, task);
}

/* ---- Registry ---- */

/* Returns an error pointer when it fails. */
static struct mp3_process *mp3_process_alloc(struct task_struct *task)
{
	struct mp3_process *process;

	process = kzalloc(sizeof(*process), GFP_KERNEL_ACCOUNT);
	if (!process)
		return ERR_PTR(-ENOMEM);
	if (!mp3_pin(process, task)) {
		kfree(process);
		return ERR_PTR(-ESRCH);
	}

	return process;
}

/* Registers a process again whose last record is still to come. */
static void mp3_reregister(struct mp3_process *process,
			   const struct mp3_counts *base)
{
	struct mp3_counts *reported = &process->reported;

	lockdep_assert_held(&mp3_sampler_mutex);
	lockdep_assert_held(&mp3_registry_lock);
	/* What was not told by then is still to be, with what comes. */
	reported->min_flt += base->min_flt - process->counts.min_flt;
	reported->maj_flt += base->maj_flt - process->counts.maj_flt;
	reported->cpu_ns += base->cpu_ns - process->counts.cpu_ns;
	WRITE_ONCE(process->flags, MP3_FIRST);
	mp3_nr_processes++;
}

/*
 * Registers the process of @new, and has it followed where @follow_id is not 0.
 * Returns true in @inserted when @new itself is in the table.
 */
static int mp3_insert(struct mp3_process *new, u64 follow_id, bool *inserted)
{
	struct mp3_process *found;
	bool exited;
	int err = 0;

	lockdep_assert_held(&mp3_sampler_mutex);
	*inserted = false;
	rcu_read_lock();
	exited = mp3_read_counts(new->task, &new->reported);
	rcu_read_unlock();
	if (exited)
		return -ESRCH;

	if (!mp3_nr_processes) {
		mp3_stamp();
		mp3_start_grid();
	}
	raw_spin_lock(&mp3_registry_lock);
	found = mp3_find(new->signal);
	if (!found) {
		mp3_hash_add(new, follow_id, true);
		*inserted = true;
	} else if (found->flags & MP3_LAST) {
		mp3_reregister(found, &new->reported);
		mp3_set_follow_id(found, follow_id);
	} else if (follow_id && !found->follow_id) {
		mp3_set_follow_id(found, follow_id);
	} else {
		err = -EEXIST;
	}
	raw_spin_unlock(&mp3_registry_lock);
	mp3_splice_pending();
	mp3_update_processes();

	return err;
}

/* Profiles the process of @task from now on. */
static int mp3_register(struct task_struct *task)
{
	struct mp3_process *process = mp3_process_alloc(task);
	bool inserted;
	int err;

	if (IS_ERR(process))
		return PTR_ERR(process);

	mutex_lock(&mp3_sampler_mutex);
	err = mp3_insert(process, 0, &inserted);
	mutex_unlock(&mp3_sampler_mutex);
	if (!inserted)
		mp3_process_free(process);

	return err;
}

/* Collects the last of a process; the last of all is in the ring on return. */
static int mp3_unregister(struct task_struct *task)
{
	struct mp3_process *process;
	int err = -ESRCH;
	bool live;

	mutex_lock(&mp3_sampler_mutex);
	/* Also a child that no tick has met yet. */
	mp3_splice_pending();
	process = mp3_find(task->signal);
	rcu_read_lock();
	/* One that is over is the next tick's to collect: it has ended. */
	live = process && !(process->flags & MP3_LAST) &&
	       !mp3_read_counts(process->task, &process->counts);
	rcu_read_unlock();
	if (live) {
		err = 0;
		WRITE_ONCE(process->flags, process->flags | MP3_LAST);
		mp3_nr_processes--;
		mp3_unfollow(process);
		mp3_splice_pending();
		if (!mp3_nr_processes) {
			cancel_delayed_work(&mp3_tick_work);
			mp3_sample_all();
		}
		mp3_update_processes();
	}
	mutex_unlock(&mp3_sampler_mutex);

	return err;
}

/* Lets go of everything; nobody can register any more, and nothing is born. */
static void mp3_unregister_all(void)
{
	struct mp3_process *process, *next;

	mutex_lock(&mp3_sampler_mutex);
	mp3_splice_pending();
	list_for_each_entry_safe(process, next, &mp3_processes, list)
		mp3_remove(process);
	mp3_nr_processes = 0;
	mutex_unlock(&mp3_sampler_mutex);
	/* With nothing registered neither tick nor parameter arms it again. */
	cancel_delayed_work_sync(&mp3_tick_work);
	cancel_delayed_work_sync(&mp3_detach_work);
}

/* ---- Following ---- */

/*
 * Forks are watched by a probe on the tracepoint sched_process_fork. The child
 * is in the kernel's list of processes by then, has not run yet and has done
 * nothing: its base is zero. The probe may run with preemption off, so that it
 * neither allocates nor takes a lock that sleeps: its entries come from a
 * reserve, which a work fills up.
 */
#define MP3_RESERVE_SIZE	4096	/* entries; at half of it the work is called */
#define MP3_MAX_DEPTH	256	/* generations that the probe looks back */

static struct tracepoint *mp3_fork_tracepoint;

/*
 * Fills the reserve. It is everybody's, so that nobody is charged for it: at
 * the limit of his memory cgroup one would wait in here, and all others for him.
 */
static int mp3_fill_reserve(void)
{
	struct mp3_process *process;

	lockdep_assert_held(&mp3_follow_mutex);
	while (READ_ONCE(mp3_nr_reserve) < MP3_RESERVE_SIZE) {
		process = kzalloc(sizeof(*process), GFP_KERNEL);
		if (!process)
			return -ENOMEM;
		raw_spin_lock(&mp3_registry_lock);
		list_add(&process->list, &mp3_reserve);
		WRITE_ONCE(mp3_nr_reserve, mp3_nr_reserve + 1);
		raw_spin_unlock(&mp3_registry_lock);
	}
	return 0;
}

static void mp3_refill(struct work_struct *work)
{
	mutex_lock(&mp3_follow_mutex);
	if (mp3_probe_attached)
		mp3_fill_reserve();
	mutex_unlock(&mp3_follow_mutex);
}

/*
 * Follows @task, a child of a process of the tree of @parent_sig, from its counts @base
 * on. Returns -ENOMEM when the reserve is empty, -ESRCH when @parent_sig is followed no
 * more, or @task was reaped.
 */
static int mp3_follow_child(const struct signal_struct *parent_sig,
			    struct task_struct *task,
			    const struct mp3_counts *base, bool authorized)
{
	struct mp3_process *parent, *child;

	lockdep_assert_held(&mp3_registry_lock);
	/* Asked again: only now it stays so. */
	parent = mp3_find(parent_sig);
	if (!parent || !parent->follow_id)
		return -ESRCH;

	child = mp3_find(task->signal);
	if (child) {
		if (!(READ_ONCE(child->flags) & MP3_LAST))
			mp3_set_follow_id(child, parent->follow_id);
		return 0;
	}
	if (list_empty(&mp3_reserve))
		return -ENOMEM;
	child = list_first_entry(&mp3_reserve, struct mp3_process, list);
	if (!mp3_pin(child, task))
		return -ESRCH;
	list_del(&child->list);
	WRITE_ONCE(mp3_nr_reserve, mp3_nr_reserve - 1);
	child->reported = *base;
	mp3_hash_add(child, parent->follow_id, authorized && parent->authorized);

	return 0;
}

/* The nearest ancestor of @task that is in the tree, or NULL. By RCU. */
static struct signal_struct *mp3_find_ancestor(struct task_struct *task,
					       u64 follow_id)
{
	struct mp3_process *process;
	unsigned int depth;

	/*
	 * Who is met has a child that was alive in this section, and so is no
	 * older than it itself: none of them is freed before the end of it.
	 */
	for (depth = 0; task->pid && depth < MP3_MAX_DEPTH; depth++) {
		task = rcu_dereference(task->real_parent);
		process = mp3_find(task->signal);
		if (process && READ_ONCE(process->follow_id) == follow_id)
			return task->signal;
	}
	return NULL;
}

/* The probe: a process has made another, which has not run yet. */
static void mp3_on_fork(void *data, struct task_struct *task,
			struct task_struct *child)
{
	static const struct mp3_counts zero;
	struct signal_struct *parent_sig = NULL;
	struct mp3_process *process;
	bool authorized = true;
	u64 adopting_id;

	if (child->signal == task->signal)
		return;		/* a thread */

	/*
	 * Either we see who is followed, or mp3_adopt() sees the child. Pairs
	 * with the barrier there.
	 */
	smp_mb();
	rcu_read_lock();
	/* Pairs with the end of mp3_adopt(): without it, all it found is there. */
	adopting_id = smp_load_acquire(&mp3_adopting_id);
	process = mp3_find(task->signal);
	if (process && READ_ONCE(process->follow_id)) {
		parent_sig = task->signal;
	} else if (adopting_id) {
		/* Its parent may be gone before mp3_adopt() comes to it. */
		parent_sig = mp3_find_ancestor(task, adopting_id);
		authorized = false;
	}
	rcu_read_unlock();
	if (!parent_sig)
		return;

	raw_spin_lock(&mp3_registry_lock);
	/* Over meanwhile, it has the parent, or has left it out for good. */
	if (!authorized && mp3_adopting_id != adopting_id) {
		parent_sig = task->signal;
		authorized = true;
	}
	if (mp3_follow_child(parent_sig, child, &zero, authorized) == -ENOMEM)
		WRITE_ONCE(mp3_dropped, mp3_dropped + 1);
	raw_spin_unlock(&mp3_registry_lock);
	if (READ_ONCE(mp3_nr_reserve) < MP3_RESERVE_SIZE / 2)
		queue_work(system_highpri_wq, &mp3_refill_work);
}

/* Whether F may take a process; that it may not is remembered. */
static bool mp3_may_adopt(const struct file *file, struct task_struct *task)
{
	int err = mp3_may_profile(file, task);

	lockdep_assert_held(&mp3_follow_mutex);
	/*
	 * -ESRCH: his, and on its way out. It has left its memory, and still is
	 * the parent of its children.
	 */
	if (!err || err == -ESRCH)
		return true;
	mp3_adopt_denied = true;

	return false;
}

/*
 * One look at all processes for descendants of the tree. A parent is older than
 * its child, and so is whoever becomes its parent later: it comes before it in
 * the list. Returns -ENOMEM at the first that the reserve has no entry for,
 * or, when it @drop_on_enomem, counts it as dropped and goes on.
 */
static int mp3_adopt_present(const struct file *file, u64 follow_id,
			     bool drop_on_enomem)
{
	struct mp3_process *process;
	struct signal_struct *parent_sig;
	struct mp3_counts base;
	struct task_struct *task;
	int err = 0;

	lockdep_assert_held(&mp3_sampler_mutex);
	rcu_read_lock();
	for_each_process(task) {
		parent_sig = rcu_dereference(task->real_parent)->signal;
		process = mp3_find(parent_sig);
		if (!process || READ_ONCE(process->follow_id) != follow_id)
			continue;
		process = mp3_find(task->signal);
		if (process && READ_ONCE(process->follow_id) == follow_id)
			continue;
		if (!mp3_may_adopt(file, task) || mp3_read_counts(task, &base))
			continue;

		raw_spin_lock(&mp3_registry_lock);
		if (process && process->flags & MP3_LAST)
			mp3_reregister(process, &base);
		err = mp3_follow_child(parent_sig, task, &base, true);
		if (err == -ENOMEM && drop_on_enomem) {
			WRITE_ONCE(mp3_dropped, mp3_dropped + 1);
			err = 0;
		}
		raw_spin_unlock(&mp3_registry_lock);
		if (err == -ENOMEM)
			break;
	}
	rcu_read_unlock();

	return err == -ENOMEM ? err : 0;
}

/*
 * Whether between @task and the tree there is one that F has left out. Of one
 * that was reaped, and has no parent any more, and of an orphan nobody knows:
 * where anybody is left out, they are.
 */
static bool mp3_below_denied(struct task_struct *task, u64 follow_id)
{
	struct signal_struct *ancestor_sig = NULL;
	bool denied = mp3_adopt_denied;

	lockdep_assert_held(&mp3_follow_mutex);
	rcu_read_lock();
	if (pid_alive(task))
		ancestor_sig = mp3_find_ancestor(task, follow_id);
	if (ancestor_sig)
		denied = ancestor_sig !=
			 rcu_dereference(task->real_parent)->signal;
	rcu_read_unlock();

	return denied;
}

/*
 * Asks of those who were followed by the probe on behalf of F whether its
 * caller may; no tick has met them yet. Parents come before their children.
 */
static void mp3_authorize_pending(const struct file *file)
{
	struct mp3_process *process, *next;
	bool again;

	lockdep_assert_held(&mp3_sampler_mutex);
	do {
		again = false;
		/* They have had children meanwhile, maybe. */
		mp3_splice_pending();
		list_for_each_entry_safe(process, next, &mp3_processes, list) {
			if (process->authorized)
				continue;
			again = true;
			if (!mp3_may_adopt(file, process->task) ||
			    mp3_below_denied(process->task, process->follow_id)) {
				mp3_remove(process);
				mp3_nr_processes--;
				continue;
			}
			raw_spin_lock(&mp3_registry_lock);
			process->authorized = true;
			raw_spin_unlock(&mp3_registry_lock);
		}
	} while (again);
}

/* Follows the present descendants of the process that @follow_id begins with. */
static void mp3_adopt(const struct file *file, u64 follow_id)
{
	bool drop_on_enomem = false;
	int err;

	lockdep_assert_held(&mp3_follow_mutex);
	mp3_adopt_denied = false;
	for (;;) {
		mutex_lock(&mp3_sampler_mutex);
		WRITE_ONCE(mp3_adopting_id, follow_id);
		/*
		 * Either we see a child, or its fork sees who is followed.
		 * Pairs with the barrier in mp3_on_fork().
		 */
		smp_mb();
		err = mp3_adopt_present(file, follow_id, drop_on_enomem);
		/* What mp3_authorize_pending() does not find is not entered any more. */
		raw_spin_lock(&mp3_registry_lock);
		/* Pairs with the acquire load in mp3_on_fork(). */
		smp_store_release(&mp3_adopting_id, 0);
		raw_spin_unlock(&mp3_registry_lock);
		mp3_authorize_pending(file);
		mp3_update_processes();
		mutex_unlock(&mp3_sampler_mutex);
		if (!err)
			return;
		drop_on_enomem = mp3_fill_reserve() < 0;
	}
}

/* Has forks watched. */
static int mp3_attach_probe(void)
{
	int err;

	lockdep_assert_held(&mp3_follow_mutex);
	err = mp3_fill_reserve();
	if (err || mp3_probe_attached)
		return err;

	err = tracepoint_probe_register(mp3_fork_tracepoint, mp3_on_fork, NULL);
	if (err)
		return err;
	mp3_probe_attached = true;
	/*
	 * A fork that has passed by before the probe was there has put its
	 * child into the list of processes, and is seen to have done so once
	 * the tracepoint's callers of that time are through.
	 */
	tracepoint_synchronize_unregister();

	return 0;
}

/* Has nobody's fork watched. */
static void mp3_detach_probe(void)
{
	struct mp3_process *process, *next;

	lockdep_assert_held(&mp3_follow_mutex);
	if (mp3_probe_attached) {
		tracepoint_probe_unregister(mp3_fork_tracepoint, mp3_on_fork,
					    NULL);
		tracepoint_synchronize_unregister();
		mp3_probe_attached = false;
	}
	/* No probe runs any more, and the work fills it only for one. */
	list_for_each_entry_safe(process, next, &mp3_reserve, list)
		kfree(process);
	INIT_LIST_HEAD(&mp3_reserve);
	mp3_nr_reserve = 0;
}

/* Some time after the last one was followed. */
static void mp3_detach(struct work_struct *work)
{
	mutex_lock(&mp3_follow_mutex);
	if (!READ_ONCE(mp3_nr_followed))
		mp3_detach_probe();
	mutex_unlock(&mp3_follow_mutex);
}

/* Profiles the process of @task from now on, and all that it starts. */
static int mp3_follow(const struct file *file, struct task_struct *task)
{
	struct mp3_process *process = mp3_process_alloc(task);
	bool inserted = false;
	u64 follow_id = 0;
	int err;

	if (IS_ERR(process))
		return PTR_ERR(process);

	mutex_lock(&mp3_follow_mutex);
	err = mp3_attach_probe();
	if (!err) {
		mutex_lock(&mp3_sampler_mutex);
		follow_id = ++mp3_last_follow_id;
		err = mp3_insert(process, follow_id, &inserted);
		mutex_unlock(&mp3_sampler_mutex);
	}
	if (!err)
		mp3_adopt(file, follow_id);
	else
		schedule_delayed_work(&mp3_detach_work, HZ);
	mutex_unlock(&mp3_follow_mutex);
	if (!inserted)
		mp3_process_free(process);

	return err;
}

/* Follows nobody any more; nobody can ask for it again. */
static void mp3_stop_following(void)
{
	mutex_lock(&mp3_follow_mutex);
	mp3_detach_probe();
	mutex_unlock(&mp3_follow_mutex);
	cancel_work_sync(&mp3_refill_work);
}

static void mp3_find_tracepoint(struct tracepoint *tracepoint, void *name)
{
	if (!strcmp(tracepoint->name, name))
		mp3_fork_tracepoint = tracepoint;
}

/* ---- Status file ---- */

/* One command, without its end of line: the letter, one comma or blanks, pid */
static int mp3_status_command(const struct file *file, const char *line)
{
	struct task_struct *task;
	const char *digits;
	struct pid *pid;
	int nr, err;

	if (!line[0] || !strchr("RFU", line[0]))
		return -EINVAL;
	digits = line[1] == ',' ? line + 2 : line + 1 + strspn(line + 1, " \t");
	if (digits == line + 1 || !isdigit(*digits) ||
	    kstrtoint(digits, 10, &nr) || nr == 0)
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
		      line[0] == 'F' ? mp3_follow(file, task) :
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
	bool executed = false;
	size_t done = 0;
	int err = 0;

	if (count > PAGE_SIZE)
		return -EINVAL;

	while (done < count) {
		char line[64];
		size_t size = min(count - done, sizeof(line) - 1);
		size_t len;

		/* A page has room for hundreds of F, each a look at all. */
		err = -EINTR;
		if (fatal_signal_pending(current))
			break;
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
			err = mp3_status_command(file, line);
		if (err)
			break;
		executed = executed || len;
		done = min(done + len + 1, count);
	}
	if (executed || !count)
		return done;

	return err ? err : -EINVAL;
}

static int mp3_status_show(struct seq_file *seq, void *v)
{
	struct mp3_process *process;
	pid_t nr;

	mutex_lock(&mp3_sampler_mutex);
	mp3_splice_pending();
	list_for_each_entry(process, &mp3_processes, list) {
		if (process->flags & MP3_LAST)
			continue;
		nr = pid_vnr(process->pid);
		/* Not the reader's to see, or gone, and maybe another's now. */
		if (nr && pid_has_task(process->pid, PIDTYPE_TGID))
			seq_printf(seq, "%d\n", nr);
		if (seq_has_overflowed(seq))
			break;
	}
	mutex_unlock(&mp3_sampler_mutex);

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

/* ---- Devices ---- */

/**
 * struct mp3_ring_reader - an open file
 * @ring:   what it reads, by its minor number
 * @polled: the head that poll last reported, or that of the open
 */
struct mp3_ring_reader {
	struct mp3_ring *ring;
	u64 polled;
};

static int mp3_open(struct inode *inode, struct file *file)
{
	struct mp3_ring_reader *reader;

	reader = kzalloc(sizeof(*reader), GFP_KERNEL_ACCOUNT);
	if (!reader)
		return -ENOMEM;
	reader->ring = &mp3_rings[iminor(inode)];
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
	struct mp3_ring_reader *reader = file->private_data;
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

static vm_fault_t mp3_vm_fault(struct vm_fault *vmf)
{
	struct mp3_ring_reader *reader = vmf->vma->vm_file->private_data;
	struct mp3_ring *ring = reader->ring;
	void *address;

	/* mmap has seen to the bounds; asked again where a page is handed out. */
	if (vmf->vma->vm_private_data == ring->header) {
		if (vmf->pgoff != MP3_HEADER_PGOFF)
			return VM_FAULT_SIGBUS;
		address = ring->header;
	} else {
		if (vmf->pgoff >= ring->data_pages)
			return VM_FAULT_SIGBUS;
		address = (char *)ring->data + (vmf->pgoff << PAGE_SHIFT);
	}

	/* The mapping's reference: it may outlive the mapping (a pinned page). */
	vmf->page = vmalloc_to_page(address);
	get_page(vmf->page);

	return 0;
}

static const struct vm_operations_struct mp3_vm_ops = {
	.fault = mp3_vm_fault,
};

static int mp3_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mp3_ring_reader *reader = file->private_data;
	struct mp3_ring *ring = reader->ring;
	unsigned long forbidden = VM_EXEC;
	bool header;

	/* Where the data reach as far, one page there is still the header. */
	header = vma->vm_pgoff == MP3_HEADER_PGOFF && vma_pages(vma) == 1;
	if (!header && (vma->vm_pgoff >= ring->data_pages ||
			vma_pages(vma) > ring->data_pages - vma->vm_pgoff))
		return -EINVAL;
	if (header || !ring->writable)
		forbidden |= VM_WRITE;
	if (vma->vm_flags & forbidden)
		return -EPERM;

	/* What is forbidden now cannot be had by mprotect later. */
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP,
		     forbidden & VM_WRITE ? VM_MAYEXEC | VM_MAYWRITE : VM_MAYEXEC);
	/* Which of them, also for what is left of the mapping later. */
	vma->vm_private_data = header ? (void *)ring->header : ring->data;
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

/* ---- Init and exit ---- */

static struct cdev mp3_cdev;
static struct class *mp3_class;
static struct proc_dir_entry *mp3_proc_dir;

/* What /dev calls them, by their minor numbers */
static const char *const mp3_device_names[] = { "mp3", "mp3_procs" };

static_assert(ARRAY_SIZE(mp3_device_names) == ARRAY_SIZE(mp3_rings));

static int __init mp3_get_major(void)
{
	dev_t dev = MKDEV(mp3_major, 0);
	int err;

	if (mp3_major >= CHRDEV_MAJOR_MAX)
		return -EINVAL;
	if (mp3_major)
		return register_chrdev_region(dev, ARRAY_SIZE(mp3_rings), "mp3");

	err = alloc_chrdev_region(&dev, 0, ARRAY_SIZE(mp3_rings), "mp3");
	mp3_major = MAJOR(dev);
	return err;
}

static void mp3_free_rings(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mp3_rings); i++)
		mp3_ring_free(&mp3_rings[i]);
}

static int __init mp3_alloc_rings(void)
{
	unsigned int i;
	int err = 0;

	if (mp3_record_capacity < 64 || mp3_record_capacity > 1 << 24)
		return -EINVAL;
	mp3_record_ring->capacity = mp3_record_capacity;
	mp3_record_ring->data_pages =
		DIV_ROUND_UP((unsigned long)mp3_record_capacity *
			     sizeof(struct mp3_record), PAGE_SIZE);

	/* Right after a clock tick, the time now is the time of that tick. */
	schedule_timeout_uninterruptible(1);
	mp3_stamp();
	for (i = 0; i < ARRAY_SIZE(mp3_rings) && !err; i++)
		err = mp3_ring_alloc(&mp3_rings[i]);
	if (err)
		mp3_free_rings();

	return err;
}

static void mp3_destroy_devices(void)
{
	unsigned int minor;

	/* Of one that was not made nothing is found. */
	for (minor = 0; minor < ARRAY_SIZE(mp3_device_names); minor++)
		device_destroy(mp3_class, MKDEV(mp3_major, minor));
}

static int __init mp3_create_devices(void)
{
	struct device *device;
	unsigned int minor;

	for (minor = 0; minor < ARRAY_SIZE(mp3_device_names); minor++) {
		device = device_create(mp3_class, NULL, MKDEV(mp3_major, minor),
				       NULL, "%s", mp3_device_names[minor]);
		if (IS_ERR(device)) {
			mp3_destroy_devices();
			return PTR_ERR(device);
		}
	}
	return 0;
}

static int __init mp3_init(void)
{
	dev_t dev;
	int err;

	for_each_kernel_tracepoint(mp3_find_tracepoint, "sched_process_fork");
	if (!mp3_fork_tracepoint)
		return -ENOENT;

	err = mp3_alloc_rings();
	if (err)
		return err;

	err = -ENOMEM;
	mp3_wq = alloc_ordered_workqueue("mp3", WQ_HIGHPRI | WQ_MEM_RECLAIM);
	if (!mp3_wq)
		goto free_rings;

	err = mp3_get_major();
	if (err)
		goto destroy_wq;
	dev = MKDEV(mp3_major, 0);

	mp3_class = mp3_class_create("mp3");
	err = PTR_ERR_OR_ZERO(mp3_class);
	if (err)
		goto put_major;

	err = -ENOMEM;
	mp3_proc_dir = proc_mkdir("mp3", NULL);
	if (!mp3_proc_dir)
		goto destroy_class;
	if (!proc_create("status", 0666, mp3_proc_dir, &mp3_status_ops))
		goto remove_proc;

	err = mp3_create_devices();
	if (err)
		goto remove_proc;

	/* The last step that may fail: a file once open cannot be revoked. */
	cdev_init(&mp3_cdev, &mp3_fops);
	mp3_cdev.owner = THIS_MODULE;
	err = cdev_add(&mp3_cdev, dev, ARRAY_SIZE(mp3_rings));
	if (err)
		goto destroy_devices;

	pr_info("ready, major %u\n", mp3_major);
	return 0;

destroy_devices:
	mp3_destroy_devices();
remove_proc:
	proc_remove(mp3_proc_dir);
	mp3_stop_following();
	mp3_unregister_all();
destroy_class:
	class_destroy(mp3_class);
put_major:
	unregister_chrdev_region(dev, ARRAY_SIZE(mp3_rings));
destroy_wq:
	destroy_workqueue(mp3_wq);
free_rings:
	mp3_free_rings();
	return err;
}

/* The mirror of init. No file is open any more: it would hold the module. */
static void __exit mp3_exit(void)
{
	dev_t dev = MKDEV(mp3_major, 0);

	cdev_del(&mp3_cdev);
	mp3_destroy_devices();
	proc_remove(mp3_proc_dir);
	mp3_stop_following();
	mp3_unregister_all();
	class_destroy(mp3_class);
	unregister_chrdev_region(dev, ARRAY_SIZE(mp3_rings));
	destroy_workqueue(mp3_wq);
	mp3_free_rings();
}

module_init(mp3_init);
module_exit(mp3_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("page-fault profiler: exact counts, absolute grid, mapped ring");
MODULE_VERSION("0.1.0");
