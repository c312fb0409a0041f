// SPDX-License-Identifier: GPL-2.0
/*
 * mp3: a page-fault profiler
 *
 * The path of the data through this file:
 *
 *	write "R,<pid>" -> mp3_status_write() -> mp3_register()
 *		pins the process and saves its counts so far as the base
 *	write "F,<pid>" -> mp3_status_write() -> mp3_follow()
 *		the same; then mp3_adopt() adds its present descendants, and
 *		mp3_on_fork() each process that one of them starts later
 *	every interval: mp3_tick() -> mp3_handle_deadline() -> mp3_sample_all()
 *		mp3_read_counts() reads the counters of each process,
 *		mp3_emit_record() publishes changes and adds them to mp3_sum,
 *		mp3_emit_sample() publishes the sum
 *	mmap of /dev/mp3 or /dev/mp3_procs -> mp3_mmap() -> mp3_vm_fault()
 *		maps a ring's own pages: reading them takes no system call
 *
 * Locks, outermost first, and what they protect:
 *
 *	mp3_follow_mutex
 *		mp3_probe_attached, mp3_adopt_denied. Serializes F, the
 *		attaching and detaching of the fork probe, and the filling of
 *		mp3_reserve.
 *	mp3_sampler_mutex
 *		mp3_interval_ms, mp3_interval_ns, mp3_deadline, mp3_ticks,
 *		mp3_missed, mp3_cost_ns, mp3_sample_ns, mp3_sample_jiffies,
 *		mp3_sum, mp3_processes, mp3_nr_processes, mp3_last_follow_id,
 *		mp3_adopting_id; of each struct mp3_process: @task, @counts,
 *		@switches, @reported, @flags, and @list in mp3_processes; of
 *		each struct mp3_ring: @header, @slot, @head, and the contents
 *		of its pages. No entry leaves mp3_table without it. The tick
 *		sleeps on no other lock. Nests inside the kernel's lock for the
 *		parameters of this module.
 *	mp3_registry_lock (raw spinlock)
 *		mp3_table, mp3_pending, mp3_reserve, mp3_nr_reserve,
 *		mp3_nr_followed, mp3_dropped, the reset of mp3_adopting_id; of
 *		each struct mp3_process: @hash, @follow_id, @authorized, and
 *		@list in mp3_pending and mp3_reserve. The fork probe takes no
 *		other lock. Readers of mp3_table may use RCU instead.
 *	sig->stats_lock, task->alloc_lock (the kernel's, one per process, task)
 *		taken with or without mp3_sampler_mutex, never both at once,
 *		never inside mp3_registry_lock
 *	ring->wait.lock
 *		the pollers of a ring; the wake-up takes it inside
 *		mp3_sampler_mutex
 *
 * Memory is allocated outside mp3_sampler_mutex, so that a tick never waits for
 * it. Lifetimes: a registered process holds a reference to a task, which keeps
 * the signal_struct with the totals, and one to its struct pid; neither can be
 * reused before the last counts are read. An open file or a mapping pins the
 * module; the pages of the rings outlive both.
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

/* The ABI: before a change here, see the lists in mp3_uapi.h. */
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
 * @list:	links it into mp3_processes (mp3_sampler_mutex); before that,
 *		into mp3_pending or, while it is unused, into mp3_reserve
 *		(mp3_registry_lock)
 * @rcu:	frees it after the last probe that may have found it
 * @task:	one of its threads, pinned: the leader as of the last record.
 *		Keeps the signal_struct after the process has been reaped
 *		(mp3_sampler_mutex)
 * @counts:	totals when they were last collected (mp3_sampler_mutex)
 * @switches:	mp3_read_switches() right before @counts were collected if
 *		@task was the only thread, else 0 (mp3_sampler_mutex)
 * @reported:	the part of the totals that is in records already, or precedes
 *		the registration (mp3_sampler_mutex)
 * @signal:	identifies the process from its first thread to its last; never
 *		changes
 * @flags:	MP3_FIRST and MP3_LAST, for its next record. An entry with
 *		MP3_LAST is no longer registered and waits for that record.
 *		Written under mp3_sampler_mutex; MP3_LAST is cleared under
 *		mp3_registry_lock as well. mp3_follow_child() reads it under
 *		mp3_registry_lock alone: see there
 * @authorized:	false if the fork probe has followed it on behalf of an F in
 *		progress, which has not checked its permission yet. Written
 *		under mp3_registry_lock, and mp3_sampler_mutex once it is in
 *		mp3_processes; read under either
 * @follow_id:	the number of the F that follows it, 0 if none does
 *		(mp3_registry_lock; RCU readers use READ_ONCE())
 * @hash:	links it into mp3_table, by @signal (mp3_registry_lock, RCU)
 * @pid:	its tgid, pinned; never changes
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

/* The lock of the sampler and the registry: the tick sleeps on no other one. */
static DEFINE_MUTEX(mp3_sampler_mutex);

/* Protected by mp3_sampler_mutex */
static unsigned int mp3_interval_ms = 50;
static u64 mp3_interval_ns = 50 * NSEC_PER_MSEC;
static u64 mp3_deadline;	/* of the next tick, see mp3_grid_now() */
static u64 mp3_ticks;		/* see struct mp3_header */
static u64 mp3_missed;
static u64 mp3_cost_ns;
static u64 mp3_sample_ns;	/* time of the present or last sample */
static u64 mp3_sample_jiffies;
static struct mp3_counts mp3_sum;	/* records since the last sample */
static LIST_HEAD(mp3_processes);
static unsigned int mp3_nr_processes;	/* in mp3_processes, without MP3_LAST */
static u64 mp3_last_follow_id;

/*
 * The follow_id for which mp3_adopt() is scanning the processes, else 0.
 * Written under mp3_sampler_mutex, and reset to 0 under mp3_registry_lock, too.
 */
static u64 mp3_adopting_id;

/* The only lock that the fork probe takes: raw, since it cannot sleep. */
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
 * @data:	the entries, from vmalloc_user(); written, never read back
 * @header:	the header page, also from vmalloc_user(); mapped read-only.
 *		NULL before init and after exit (mp3_sampler_mutex)
 * @data_pages:	pages of @data
 * @writable:	whether user space may map @data for writing
 * @entry_size:	bytes of one entry, a multiple of 8
 * @capacity:	slots
 * @slot:	slot of the next entry (mp3_sampler_mutex)
 * @head:	entries ever published (mp3_sampler_mutex; mp3_poll() uses
 *		READ_ONCE())
 * @wait:	pollers
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

/* Indexed by the minor number of the device */
static struct mp3_ring mp3_rings[] = {
	{
		.data_pages = MP3_DATA_PAGES,
		.writable = true,
		.entry_size = sizeof(struct mp3_sample),
		.capacity = MP3_SAMPLES,
	},
	{
		.entry_size = sizeof(struct mp3_record),
		/* capacity and data_pages: see mp3_alloc_rings() */
	},
};

static struct mp3_ring *const mp3_sample_ring = &mp3_rings[0];
static struct mp3_ring *const mp3_record_ring = &mp3_rings[1];

/* Allocate the pages of a ring. Returns 0, or -ENOMEM with none allocated. */
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

	/* The interval can be set from here on: parameters precede init. */
	mutex_lock(&mp3_sampler_mutex);
	header->interval_ns = mp3_interval_ns;
	ring->header = header;
	mutex_unlock(&mp3_sampler_mutex);

	return 0;
}

static void mp3_ring_free(struct mp3_ring *ring)
{
	struct mp3_header *header = ring->header;

	/* The interval can be set until after exit. */
	mutex_lock(&mp3_sampler_mutex);
	ring->header = NULL;
	mutex_unlock(&mp3_sampler_mutex);
	vfree(header);
	vfree(ring->data);
}

/*
 * Begin an entry of @nr_words words: return its slot, and set the first @nr_gap
 * words of the slot after it to -1. The caller fills all words but word 0, and
 * passes the slot to mp3_ring_publish(). Caller holds mp3_sampler_mutex.
 *
 * In a full ring both slots hold entries that the present head has already
 * given up. Inline, so that the sizes are constants: each record of a tick
 * passes through here.
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
	 * A reader that sees a word of these two slots change also sees the
	 * head that gave them up. Pairs with the acquire fence between the copy
	 * and the second load of head in mp3_reader_copy() (mp3_client.h).
	 */
	smp_wmb();
	for (i = 0; i < nr_gap; i++)
		WRITE_ONCE(gap[i], -1);
	ring->slot = next;

	return slot;
}

/*
 * Append the entry at @slot, which mp3_ring_begin() returned, by storing its
 * word 0. Does not wake pollers: mp3_ring_wake() does, once for many entries.
 * Caller holds mp3_sampler_mutex.
 */
static __always_inline void mp3_ring_publish(struct mp3_ring *ring, void *slot,
					     u64 word0)
{
	lockdep_assert_held(&mp3_sampler_mutex);
	/*
	 * A reader that uses no header finds the entry complete, and word 0 of
	 * the next slot set to -1. Pairs with its acquire load of word 0, as in
	 * mp3_reader_copy() (mp3_client.h).
	 */
	smp_store_release((u64 *)slot, word0);
	WRITE_ONCE(ring->head, ring->head + 1);
	/* Pairs with the acquire load in mp3_reader_head() (mp3_client.h). */
	smp_store_release(&ring->header->head, ring->head);
}

/* Wake the pollers of a ring. */
static void mp3_ring_wake(struct mp3_ring *ring)
{
	wake_up_interruptible_poll(&ring->wait, EPOLLIN | EPOLLRDNORM);
}

/*
 * Copy the sampler's state, except the number of processes, to all headers.
 * Caller holds mp3_sampler_mutex.
 */
static void mp3_update_headers(void)
{
	unsigned int i;

	lockdep_assert_held(&mp3_sampler_mutex);
	for (i = 0; i < ARRAY_SIZE(mp3_rings); i++) {
		struct mp3_header *header = mp3_rings[i].header;

		/* NULL before init and after exit, while parameters exist. */
		if (!header)
			continue;
		WRITE_ONCE(header->interval_ns, mp3_interval_ns);
		WRITE_ONCE(header->ticks, mp3_ticks);
		WRITE_ONCE(header->missed, mp3_missed);
		WRITE_ONCE(header->cost_ns, mp3_cost_ns);
		WRITE_ONCE(header->dropped, READ_ONCE(mp3_dropped));
	}
}

/*
 * Copy the number of registered processes to all headers, after their heads.
 * Caller holds mp3_sampler_mutex.
 */
static void mp3_update_processes(void)
{
	unsigned int i;

	lockdep_assert_held(&mp3_sampler_mutex);
	for (i = 0; i < ARRAY_SIZE(mp3_rings); i++)
		/*
		 * A reader that finds no process registered also finds the
		 * last entries. Pairs with its acquire load of processes
		 * (struct mp3_header in mp3_uapi.h).
		 */
		smp_store_release(&mp3_rings[i].header->processes,
				  mp3_nr_processes);
}

/* ---- Table ---- */

/*
 * Return the entry of a process, or NULL. Caller is in an RCU read-side
 * section, or holds mp3_sampler_mutex or mp3_registry_lock: a removal takes
 * both.
 */
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

/*
 * Follow a process as part of @follow_id or, if that is 0, stop following it.
 * Caller holds mp3_registry_lock.
 */
static void mp3_set_follow_id(struct mp3_process *process, u64 follow_id)
{
	lockdep_assert_held(&mp3_registry_lock);
	WRITE_ONCE(mp3_nr_followed,
		   mp3_nr_followed + !!follow_id - !!process->follow_id);
	WRITE_ONCE(process->follow_id, follow_id);
}

/*
 * Bind an unused entry to the process of @task, with references that
 * mp3_process_free() drops. Returns false if the process has been reaped and
 * has no pid.
 */
static bool mp3_pin(struct mp3_process *process, struct task_struct *task)
{
	/* A reference to the task does not keep its pid: this uses RCU. */
	process->pid = get_task_pid(task, PIDTYPE_TGID);
	if (!process->pid)
		return false;

	process->task = get_task_struct(task);
	process->signal = task->signal;
	process->flags = MP3_FIRST;

	return true;
}

/* Free an entry that is in neither the table nor a list. */
static void mp3_process_free(struct mp3_process *process)
{
	put_task_struct(process->task);
	put_pid(process->pid);
	/* A fork probe may have found the entry and still be using it. */
	kfree_rcu(process, rcu);
}

/*
 * Add a process to mp3_table, where forks find it from now on, and to
 * mp3_pending. Caller holds mp3_registry_lock.
 */
static void mp3_hash_add(struct mp3_process *process, u64 follow_id,
			 bool authorized)
{
	lockdep_assert_held(&mp3_registry_lock);
	process->authorized = authorized;
	mp3_set_follow_id(process, follow_id);
	list_add_tail(&process->list, &mp3_pending);
	/* Publish the fields. Pairs with rcu_dereference in mp3_find(). */
	hash_add_rcu(mp3_table, &process->hash, (unsigned long)process->signal);
}

/*
 * Move the entries of mp3_pending to mp3_processes, and count them. The fork
 * probe adds an entry only if an ancestor of it is in mp3_table: a call after
 * the last process has been removed finds its last children, and no others
 * follow. Caller holds mp3_sampler_mutex.
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

/*
 * Stop following a process. Schedules the detaching of the fork probe if it was
 * the last one. Caller holds mp3_sampler_mutex.
 */
static void mp3_unfollow(struct mp3_process *process)
{
	bool last;

	lockdep_assert_held(&mp3_sampler_mutex);
	raw_spin_lock(&mp3_registry_lock);
	last = process->follow_id && mp3_nr_followed == 1;
	mp3_set_follow_id(process, 0);
	raw_spin_unlock(&mp3_registry_lock);
	/*
	 * Delay, so that users cannot make the kernel patch the tracepoint
	 * repeatedly.
	 */
	if (last)
		schedule_delayed_work(&mp3_detach_work, HZ);
}

/*
 * Remove a process from mp3_table and mp3_processes, and free its entry. The
 * caller holds mp3_sampler_mutex, and updates mp3_nr_processes.
 */
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
 * Return the time of the grid: nanoseconds that advance by whole clock ticks,
 * as the timer of delayed work sees them, and as fast as CLOCK_MONOTONIC.
 */
static u64 mp3_grid_now(void)
{
	return get_jiffies_64() * TICK_NSEC;
}

/*
 * Schedule mp3_tick() for the first clock tick at or after mp3_deadline, or for
 * a step towards it. Caller holds mp3_sampler_mutex.
 */
static void mp3_arm(void)
{
	u64 now = mp3_grid_now();
	unsigned long delay = 0;

	lockdep_assert_held(&mp3_sampler_mutex);
	if (mp3_deadline > now)
		delay = div_u64(mp3_deadline - now + TICK_NSEC - 1, TICK_NSEC);
	/*
	 * A timer fires at the clock tick after its expiry, so subtract one.
	 * For the next clock tick, use an expiry in the past: a delay of 0
	 * would queue the work at once, without a timer. The timer wheel rounds
	 * delays above 63 jiffies up by as much as 1/8, so approach distant
	 * deadlines in steps.
	 */
	if (delay > 63)
		delay -= delay / 8;
	else if (delay > 1)
		delay--;
	else if (delay == 1)
		delay = -1;
	mod_delayed_work(mp3_wq, &mp3_tick_work, delay);
}

/*
 * Restart the grid: the next deadline is one interval from now. Caller holds
 * mp3_sampler_mutex.
 */
static void mp3_start_grid(void)
{
	lockdep_assert_held(&mp3_sampler_mutex);
	mp3_deadline = mp3_grid_now() + mp3_interval_ns;
	mp3_arm();
}

/*
 * Set mp3_sample_ns and mp3_sample_jiffies to now: a sampling period ends, and
 * the next one begins. Caller holds mp3_sampler_mutex, or is init.
 */
static void mp3_stamp(void)
{
	mp3_sample_ns = ktime_get_ns();
	mp3_sample_jiffies = get_jiffies_64();
}

/*
 * Return the number of times that @task has left the CPU, plus one, or 0 if it
 * may be on a CPU. The counters of a task change only while it runs: if two
 * calls return the same nonzero value, they did not change in between. Loads
 * after a call see all changes that precede it.
 */
static u64 mp3_read_switches(const struct task_struct *task)
{
	u64 before = READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
	u64 after;

	/*
	 * A task takes the CPU before it counts that it leaves it. Pairs with
	 * the full barrier in __schedule().
	 */
	smp_rmb();
	/* Pairs with finish_task(): once off the CPU, the switch is counted. */
	if (mp3_is_on_cpu(task))
		return 0;
	after = READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);

	return before == after ? after + 1 : 0;
}

/*
 * Return true if a process cannot have run since its counts were last
 * collected, at the cost of reading two cache lines. Otherwise the caller must
 * collect them now. Caller holds mp3_sampler_mutex.
 */
static bool mp3_is_unchanged(struct mp3_process *process)
{
	struct task_struct *task = process->task;
	u64 switches = mp3_read_switches(task);

	lockdep_assert_held(&mp3_sampler_mutex);
	if (switches && switches == process->switches)
		return true;
	/*
	 * A single-threaded task that is off the CPU cannot gain threads until
	 * it runs.
	 */
	process->switches = mp3_is_single_threaded(task) ? switches : 0;

	return false;
}

/*
 * Replace the pinned task of a process by its present leader: after another
 * thread has called exec, that thread is the leader and has the new name.
 * Caller holds mp3_sampler_mutex and is in an RCU read-side section.
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

/*
 * Return the resident memory of @task in bytes, or 0 if it has released its
 * memory. Caller holds task_lock(@task).
 */
static u64 mp3_rss(const struct task_struct *task)
{
	lockdep_assert_held(&task->alloc_lock);
	return task->mm ? get_mm_rss(task->mm) << PAGE_SHIFT : 0;
}

/*
 * Return the resident memory in bytes of the process of @task, from the first
 * thread that still uses its memory. Caller is in an RCU read-side section.
 */
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

/*
 * Emit a record if any count or flag changed. Caller holds mp3_sampler_mutex
 * and is in an RCU read-side section.
 */
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
	/* The bytes after the name's NUL need not be zero. */
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

/*
 * Collect all processes: emit their records, and remove those that have exited
 * or been unregistered. Caller holds mp3_sampler_mutex.
 */
static void mp3_collect_all(void)
{
	struct mp3_process *process, *next;
	u64 head = mp3_record_ring->head;

	lockdep_assert_held(&mp3_sampler_mutex);
	/*
	 * One RCU section for all processes: one for each would be much of the
	 * cost.
	 */
	rcu_read_lock();
	list_for_each_entry_safe(process, next, &mp3_processes, list) {
		if (need_resched()) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
		/* Without a flag, all that was collected has been reported. */
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

/*
 * Emit a sample of mp3_sum, for the period from @since_ns to mp3_sample_ns, and
 * reset it. Caller holds mp3_sampler_mutex.
 */
static void mp3_emit_sample(u64 since_ns)
{
	u64 period = max(mp3_sample_ns - since_ns, mp3_interval_ns);
	struct mp3_sample *sample;

	lockdep_assert_held(&mp3_sampler_mutex);
	/*
	 * Clear the whole next slot: a reader that looks for the first word
	 * that is not -1 must not find an old one.
	 */
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

/*
 * Emit the records and the sample of everything since the last ones. Caller
 * holds mp3_sampler_mutex.
 */
static void mp3_sample_all(void)
{
	u64 since_ns = mp3_sample_ns;

	lockdep_assert_held(&mp3_sampler_mutex);
	mp3_stamp();
	mp3_splice_pending();
	mp3_collect_all();
	/* The processes just removed may have forked since. */
	mp3_splice_pending();
	mp3_update_headers();
	mp3_emit_sample(since_ns);
	mp3_update_processes();
}

/*
 * Handle the last deadline up to @now, and count those before it as missed.
 * Caller holds mp3_sampler_mutex.
 */
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

/* Work function: sample on the grid; rearm while a process is registered. */
static void mp3_tick(struct work_struct *work)
{
	u64 now;

	mutex_lock(&mp3_sampler_mutex);
	/*
	 * Before the deadline, this is a step towards a distant one, or the
	 * grid has been restarted since this run was due.
	 */
	now = mp3_grid_now();
	if (mp3_nr_processes && now >= mp3_deadline)
		mp3_handle_deadline(now);
	if (mp3_nr_processes)
		mp3_arm();
	mutex_unlock(&mp3_sampler_mutex);
}

/*
 * Set the sampling interval, at least one clock tick, and restart the grid.
 * Runs under the kernel's lock for the parameters of this module.
 */
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

/*
 * Return whether the opener of @file or, if that is NULL, the calling task has
 * capability @cap in @ns.
 */
static bool mp3_capable(const struct file *file, struct user_namespace *ns,
			int cap)
{
	return file ? file_ns_capable(file, ns, cap) :
			ns_capable_noaudit(ns, cap);
}

/*
 * Apply the rule of ptrace_may_access(@task, PTRACE_MODE_READ_REALCREDS), which
 * is not exported, without the security modules' hooks; or CAP_PERFMON instead.
 * @cred are the credentials of the opener of @file or, if that is NULL, of the
 * calling task. Returns 0, -EPERM, or -ESRCH if @cred suffice but the process
 * has released its memory.
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
	 * commit_creds() makes a process undumpable before it installs other
	 * credentials. Never combine the new credentials with the old flag.
	 * Pairs with the write barrier in commit_creds().
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

/*
 * Return whether the process of @task may be profiled through @file, as 0,
 * -EPERM or -ESRCH. Checks the credentials of both the calling task and the
 * opener: a passed descriptor grants nothing.
 */
static int mp3_may_profile(const struct file *file, struct task_struct *task)
{
	int err;

	if (same_thread_group(task, current))
		return 0;
	err = mp3_ptrace_may_read(current_cred(), NULL, task);
	/* The two usually share their credentials. */
	if (err || file->f_cred == current_cred())
		return err;
	return mp3_ptrace_may_read(file->f_cred, file, task);
}

/* ---- Registry ---- */

/*
 * Allocate an entry for the process of @task, charged to the memory cgroup of
 * the calling task. Returns an error pointer on failure: -ENOMEM, or -ESRCH if
 * the process has been reaped. May sleep: caller holds no lock.
 */
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

/*
 * Register a process again before its last record has been emitted; @base are
 * its counts now. Caller holds mp3_sampler_mutex and mp3_registry_lock.
 */
static void mp3_reregister(struct mp3_process *process,
			   const struct mp3_counts *base)
{
	struct mp3_counts *reported = &process->reported;

	lockdep_assert_held(&mp3_sampler_mutex);
	lockdep_assert_held(&mp3_registry_lock);
	/*
	 * Skip the counts since it was unregistered, and keep those that were
	 * collected then but not reported: the next record has them.
	 */
	reported->min_flt += base->min_flt - process->counts.min_flt;
	reported->maj_flt += base->maj_flt - process->counts.maj_flt;
	reported->cpu_ns += base->cpu_ns - process->counts.cpu_ns;
	WRITE_ONCE(process->flags, MP3_FIRST);
	mp3_nr_processes++;
}

/*
 * Register the process of @new from its present counts on, and follow it if
 * @follow_id is not 0. Sets @inserted if @new is now in the table; otherwise
 * the caller frees it. Caller holds mp3_sampler_mutex.
 *
 * Returns 0, -ESRCH if the process has exited, or -EEXIST if it is registered
 * and, with a @follow_id, followed already.
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

/*
 * Execute R: profile the process of @task from now on. Returns 0, -ENOMEM,
 * -ESRCH or -EEXIST.
 */
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

/*
 * Execute U: collect the counts of the process of @task one last time, and stop
 * profiling it. If no other process is registered, the last records and the
 * last sample are in the rings on return. Returns 0 or -ESRCH.
 */
static int mp3_unregister(struct task_struct *task)
{
	struct mp3_process *process;
	int err = -ESRCH;
	bool live;

	mutex_lock(&mp3_sampler_mutex);
	/* Include children that no tick has seen yet. */
	mp3_splice_pending();
	process = mp3_find(task->signal);
	rcu_read_lock();
	/* The next tick collects a process that has exited. */
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

/*
 * Drop all registrations. No new ones can appear: the proc file and the fork
 * probe are gone.
 */
static void mp3_unregister_all(void)
{
	struct mp3_process *process, *next;

	mutex_lock(&mp3_sampler_mutex);
	mp3_splice_pending();
	list_for_each_entry_safe(process, next, &mp3_processes, list)
		mp3_remove(process);
	mp3_nr_processes = 0;
	mutex_unlock(&mp3_sampler_mutex);
	/* With nothing registered, neither tick nor parameter arms it again. */
	cancel_delayed_work_sync(&mp3_tick_work);
	cancel_delayed_work_sync(&mp3_detach_work);
}

/* ---- Following ---- */

/*
 * The fork probe, mp3_on_fork(), is attached to the tracepoint
 * sched_process_fork. There, the child is in the kernel's list of processes but
 * has not run yet, so that its base is zero. The probe may be called with
 * preemption off: it neither allocates nor takes a sleeping lock. Its entries
 * come from mp3_reserve, which a work item refills.
 */
#define MP3_RESERVE_SIZE	4096	/* entries; refilled from half of it */
#define MP3_MAX_DEPTH	256	/* generations searched for an ancestor */

static struct tracepoint *mp3_fork_tracepoint;

/*
 * Fill the reserve. All users share it, so no memory cgroup is charged: at the
 * limit of its own, a caller would sleep here and block every other F. Caller
 * holds mp3_follow_mutex. Returns 0 or -ENOMEM.
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

/* Work function: refill the reserve while the fork probe is attached. */
static void mp3_refill(struct work_struct *work)
{
	mutex_lock(&mp3_follow_mutex);
	if (mp3_probe_attached)
		mp3_fill_reserve();
	mutex_unlock(&mp3_follow_mutex);
}

/*
 * Follow @task, a child of the followed process with @parent_sig, from its
 * counts @base on; @authorized is false if F still has to check its caller's
 * permission. Caller holds mp3_registry_lock.
 *
 * Returns 0, -ENOMEM if the reserve is empty, or -ESRCH if the parent is no
 * longer followed or @task has been reaped.
 */
static int mp3_follow_child(const struct signal_struct *parent_sig,
			    struct task_struct *task,
			    const struct mp3_counts *base, bool authorized)
{
	struct mp3_process *parent, *child;

	lockdep_assert_held(&mp3_registry_lock);
	/* Look it up again: only under the lock does it stay followed. */
	parent = mp3_find(parent_sig);
	if (!parent || !parent->follow_id)
		return -ESRCH;

	child = mp3_find(task->signal);
	if (child) {
		/*
		 * MP3_LAST is set before mp3_unfollow() takes this lock. If it
		 * is not visible here, mp3_unfollow() is still to run and will
		 * undo this.
		 */
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
	mp3_hash_add(child, parent->follow_id,
		     authorized && parent->authorized);

	return 0;
}

/*
 * Return the signal_struct of the nearest ancestor of @task that @follow_id
 * follows, or NULL. Caller is in an RCU read-side section.
 */
static struct signal_struct *mp3_find_ancestor(struct task_struct *task,
					       u64 follow_id)
{
	struct mp3_process *process;
	unsigned int depth;

	/*
	 * Each task on the way is the parent of one that was alive in this RCU
	 * section. It was therefore alive in it, too, and is not freed before
	 * its end.
	 */
	for (depth = 0; task->pid && depth < MP3_MAX_DEPTH; depth++) {
		task = rcu_dereference(task->real_parent);
		process = mp3_find(task->signal);
		if (process && READ_ONCE(process->follow_id) == follow_id)
			return task->signal;
	}
	return NULL;
}

/*
 * The fork probe: follow @child, which has not run yet, if @task is followed or
 * if an F in progress may be about to find @child.
 */
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
	 * Either this probe finds the parent followed or the F in progress, or
	 * mp3_adopt() finds the child. Pairs with the barrier in mp3_adopt().
	 */
	smp_mb();
	rcu_read_lock();
	/*
	 * If this is 0 after an F, all processes that it found are in the
	 * table. Pairs with the release store in mp3_adopt().
	 */
	adopting_id = smp_load_acquire(&mp3_adopting_id);
	process = mp3_find(task->signal);
	if (process && READ_ONCE(process->follow_id)) {
		parent_sig = task->signal;
	} else if (adopting_id) {
		/* The parent may exit before mp3_adopt() gets to @child. */
		parent_sig = mp3_find_ancestor(task, adopting_id);
		authorized = false;
	}
	rcu_read_unlock();
	if (!parent_sig)
		return;

	raw_spin_lock(&mp3_registry_lock);
	/*
	 * If that scan has ended since, only the parent matters: it has been
	 * followed, or skipped for good.
	 */
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

/*
 * Return whether F may follow the process of @task, and set mp3_adopt_denied if
 * it may not. Caller holds mp3_follow_mutex.
 */
static bool mp3_may_adopt(const struct file *file, struct task_struct *task)
{
	int err = mp3_may_profile(file, task);

	lockdep_assert_held(&mp3_follow_mutex);
	/*
	 * -ESRCH: the credentials suffice, but the process is exiting. It has
	 * released its memory, and is still the parent of its children.
	 */
	if (!err || err == -ESRCH)
		return true;
	mp3_adopt_denied = true;

	return false;
}

/*
 * Scan all processes once, and follow the descendants of those that @follow_id
 * follows. One pass finds them all: a parent, or a process that later becomes
 * the parent, is older than the child and precedes it in the kernel's list.
 * Caller holds mp3_follow_mutex and mp3_sampler_mutex.
 *
 * Returns 0, or -ENOMEM at the first process for which the reserve has no
 * entry; with @drop_on_enomem it counts such processes in mp3_dropped and
 * continues.
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
 * Return whether F has denied an ancestor of @task below the process that it
 * began with. A reaped process has no parent, and an orphan has lost its own:
 * for these, assume so if F has denied any process. Caller holds
 * mp3_follow_mutex.
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
 * Check the caller's permission for each process that the fork probe has
 * followed on behalf of F, and remove those that are denied; no tick has seen
 * them yet. Parents precede their children in the list. Caller holds
 * mp3_follow_mutex and mp3_sampler_mutex.
 */
static void mp3_authorize_pending(const struct file *file)
{
	struct mp3_process *process, *next;
	bool again;

	lockdep_assert_held(&mp3_sampler_mutex);
	do {
		again = false;
		/* Those checked in the last pass may have forked since. */
		mp3_splice_pending();
		list_for_each_entry_safe(process, next, &mp3_processes, list) {
			if (process->authorized)
				continue;
			again = true;
			if (!mp3_may_adopt(file, process->task) ||
			    mp3_below_denied(process->task,
					     process->follow_id)) {
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

/*
 * Follow the present descendants of the process that F has registered with
 * @follow_id, as far as the caller of F may profile them. Caller holds
 * mp3_follow_mutex.
 */
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
		 * Either this scan finds a child, or its fork finds this store
		 * and the table. Pairs with the barrier in mp3_on_fork().
		 */
		smp_mb();
		err = mp3_adopt_present(file, follow_id, drop_on_enomem);
		/*
		 * After this, the probe adds no unauthorized entry that
		 * mp3_authorize_pending() would miss.
		 */
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

/*
 * Fill the reserve, and attach the fork probe if it is not. Caller holds
 * mp3_follow_mutex. Returns 0 or a negative errno.
 */
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
	 * A fork that passed the tracepoint before the probe was attached had
	 * put its child on the list of processes by then. Wait until all such
	 * callers have left the tracepoint: mp3_adopt() then finds the child.
	 */
	tracepoint_synchronize_unregister();

	return 0;
}

/* Detach the fork probe and free the reserve. Caller holds mp3_follow_mutex. */
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
	/*
	 * No lock: the probe is not running, and mp3_fill_reserve() runs under
	 * mp3_follow_mutex.
	 */
	list_for_each_entry_safe(process, next, &mp3_reserve, list)
		kfree(process);
	INIT_LIST_HEAD(&mp3_reserve);
	mp3_nr_reserve = 0;
}

/* Work function: detach the fork probe, unless a process is followed again. */
static void mp3_detach(struct work_struct *work)
{
	mutex_lock(&mp3_follow_mutex);
	if (!READ_ONCE(mp3_nr_followed))
		mp3_detach_probe();
	mutex_unlock(&mp3_follow_mutex);
}

/*
 * Execute F: profile the process of @task from now on, its present descendants
 * that may be profiled through @file, and all future ones. Returns 0, -ENOMEM,
 * -ESRCH or -EEXIST, or the error of attaching the fork probe.
 */
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

/*
 * Detach the fork probe for good: without the proc file, no F can attach it
 * again.
 */
static void mp3_stop_following(void)
{
	mutex_lock(&mp3_follow_mutex);
	mp3_detach_probe();
	mutex_unlock(&mp3_follow_mutex);
	cancel_work_sync(&mp3_refill_work);
}

/* For for_each_kernel_tracepoint(): save the tracepoint called @name. */
static void mp3_find_tracepoint(struct tracepoint *tracepoint, void *name)
{
	if (!strcmp(tracepoint->name, name))
		mp3_fork_tracepoint = tracepoint;
}

/* ---- Status file ---- */

/*
 * Execute the command in @line: a letter, one comma or blanks, and a pid, with
 * no newline. Returns 0 or an error as listed in mp3_uapi.h.
 */
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
 * Copy and execute one line at a time, so that no allocation has a length
 * chosen by the user. A newline or a NUL ends a line. Empty lines are ignored,
 * but a write that contains nothing else is malformed.
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

		/*
		 * A page can hold hundreds of F, each of which scans all
		 * processes: let the writer be killed in between.
		 */
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
			err = -EINVAL;	/* too long */
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

/* Print the pid of each registered process that the reader's namespace has. */
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
		/*
		 * Skip processes outside the reader's pid namespace, and those
		 * that have been reaped: their number may be in use again.
		 */
		if (nr && pid_has_task(process->pid, PIDTYPE_TGID))
			seq_printf(seq, "%d\n", nr);
		if (seq_has_overflowed(seq))
			break;
	}
	mutex_unlock(&mp3_sampler_mutex);

	return 0;
}

/*
 * The list is printed in one piece, into a buffer that grows, so that no
 * process is missed or listed twice. A file that is only written allocates no
 * buffer.
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
 * struct mp3_ring_reader - an open file of a ring's device
 * @ring:   the ring, by the device's minor number
 * @polled: head of the ring at the last poll that reported it, or at open
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

/*
 * Report readable if an entry was published since the last poll of @file that
 * reported it, or since its open.
 */
static __poll_t mp3_poll(struct file *file, struct poll_table_struct *table)
{
	struct mp3_ring_reader *reader = file->private_data;
	u64 head;

	poll_wait(file, &reader->ring->wait, table);
	/*
	 * Load head after poll_wait() has taken the wait queue's lock. Pairs
	 * with mp3_ring_wake(), which takes it after head has been stored.
	 */
	head = READ_ONCE(reader->ring->head);
	if (head == READ_ONCE(reader->polled))
		return 0;
	/* Do not consume the event unless the caller requested EPOLLIN. */
	if (poll_requested_events(table) & (EPOLLIN | EPOLLRDNORM))
		WRITE_ONCE(reader->polled, head);

	return EPOLLIN | EPOLLRDNORM;
}

#define MP3_HEADER_PGOFF	(MP3_OFF_HEADER >> PAGE_SHIFT)

/* Map one page of a ring's data or header. */
static vm_fault_t mp3_vm_fault(struct vm_fault *vmf)
{
	struct mp3_ring_reader *reader = vmf->vma->vm_file->private_data;
	struct mp3_ring *ring = reader->ring;
	void *address;

	/* mp3_mmap() has checked the bounds: check the single page again. */
	if (vmf->vma->vm_private_data == ring->header) {
		if (vmf->pgoff != MP3_HEADER_PGOFF)
			return VM_FAULT_SIGBUS;
		address = ring->header;
	} else {
		if (vmf->pgoff >= ring->data_pages)
			return VM_FAULT_SIGBUS;
		address = (char *)ring->data + (vmf->pgoff << PAGE_SHIFT);
	}

	/* A reference of its own: a pinned page may outlive the mapping. */
	vmf->page = vmalloc_to_page(address);
	get_page(vmf->page);

	return 0;
}

static const struct vm_operations_struct mp3_vm_ops = {
	.fault = mp3_vm_fault,
};

/*
 * Map a ring's data, from offset 0 on, or the header page at MP3_OFF_HEADER.
 * Returns 0, -EINVAL for a range outside either, or -EPERM for a protection
 * that it does not allow.
 */
static int mp3_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mp3_ring_reader *reader = file->private_data;
	struct mp3_ring *ring = reader->ring;
	unsigned long forbidden = VM_EXEC;
	bool header;

	/* One page there is the header, even if the data extend that far. */
	header = vma->vm_pgoff == MP3_HEADER_PGOFF && vma_pages(vma) == 1;
	if (!header && (vma->vm_pgoff >= ring->data_pages ||
			vma_pages(vma) > ring->data_pages - vma->vm_pgoff))
		return -EINVAL;
	if (header || !ring->writable)
		forbidden |= VM_WRITE;
	if (vma->vm_flags & forbidden)
		return -EPERM;

	/* Keep mprotect() from granting later what is refused now. */
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP,
		     forbidden & VM_WRITE ? VM_MAYEXEC | VM_MAYWRITE : VM_MAYEXEC);
	/*
	 * Mark the region: after a partial munmap(), a mapping of the data may
	 * be reduced to a single page at the offset of the header.
	 */
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

/* Names in /dev, indexed by the minor number */
static const char *const mp3_device_names[] = { "mp3", "mp3_procs" };

static_assert(ARRAY_SIZE(mp3_device_names) == ARRAY_SIZE(mp3_rings));

/* Reserve the device numbers, and set mp3_major if it is 0. */
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

/* Allocate all rings. Returns 0, -EINVAL or, with none allocated, -ENOMEM. */
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

	/* Start right after a clock tick: base_ns is the time of that tick. */
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

	/* device_destroy() ignores a device that was not created. */
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

	/* The last step that can fail: an open file cannot be revoked. */
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

/* Undo mp3_init() in reverse. No file is open: it would pin the module. */
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
MODULE_VERSION(MP3_VERSION);
