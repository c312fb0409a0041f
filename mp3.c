// SPDX-License-Identifier: GPL-2.0
/*
 * mp3: a page-fault profiler
 *
 * The path of the data through this file:
 *
 *	write "R,<pid>" -> mp3_write_commands() -> mp3_register()
 *		pins the process and saves its counts so far as the base
 *	write "F,<pid>" -> mp3_write_commands() -> mp3_follow()
 *		the same; then mp3_adopt() adds its present descendants, and
 *		mp3_on_fork() each process that one of them starts later
 *	every interval: mp3_tick() -> mp3_handle_deadline() -> mp3_sample_all()
 *		mp3_read_thread() or mp3_read_counts() reads the counters of
 *		each process that has run,
 *		mp3_emit_record() or, with captures, mp3_emit_to() publishes
 *		what changed, and adds it to mp3_sum,
 *		mp3_emit_sample() publishes the sum
 *	write "L,<n>" -> mp3_write_commands() -> mp3_locate()
 *		has mp3_on_minor_fault() and mp3_on_major_fault() called where
 *		the kernel counts a fault; mp3_record_fault() publishes it
 *	mmap of a device -> mp3_mmap() -> mp3_vm_fault()
 *		maps a ring's own pages: reading them takes no system call
 *
 * What is written to /proc/mp3/status belongs to the classic registry, whose
 * rings are /dev/mp3 and /dev/mp3_procs; what is written to an open file of
 * /dev/mp3_capture belongs to that capture, which has a ring of its own and
 * ends with the file. Registry and captures are the holders of a process: it
 * has one entry, is sampled once per tick, and its record goes to the ring of
 * each.
 *
 * Locks, outermost first, and what they protect:
 *
 *	gate->follow, gate->turn (one struct mp3_gate for each user)
 *		Make the commands of a user that take long wait for each other.
 *	capture->locate_mutex
 *		Serializes L of a capture.
 *	mp3_follow_mutex
 *		mp3_probe_attached, mp3_adopt_denied, mp3_adopting_id,
 *		mp3_adopting_holder. Serializes F, the attaching and detaching
 *		of the fork probe, and the filling of mp3_reserve. Only work
 *		items take it, and init and exit.
 *	mp3_exec_mutex
 *		mp3_exec_probe_attached, mp3_exec_err. Serializes the attaching
 *		and detaching of the exec probe, like mp3_follow_mutex.
 *	mp3_sampler_lock (spinlock)
 *		mp3_interval_ms, mp3_interval_ns, mp3_deadline, mp3_ticks,
 *		mp3_missed, mp3_cost_ns, mp3_sample_ns, mp3_sample_jiffies,
 *		mp3_last_jiffies, mp3_sum, mp3_processes, mp3_sample_due,
 *		mp3_ticking, mp3_cursor, mp3_walk_last, mp3_handled,
 *		mp3_last_follow_id, mp3_captures, mp3_unprivileged,
 *		mp3_locating, mp3_nr_locating, mp3_holder_rings,
 *		mp3_fault_rings, mp3_exec_probe_attached; of
 *		each struct mp3_process: @task, @uid, @mm, @switches, @start_ns,
 *		@ended, @seq, @reported, @captured, @remains, @signal,
 *		@collected, and @list in mp3_processes; of each struct mp3_ring:
 *		@header, @slot, @woken, and the contents of its pages; of each
 *		struct mp3_capture: @denied; of each struct mp3_fault_ring:
 *		@counted. No entry leaves mp3_table without it. Each holder, the
 *		tick included, keeps it for a bounded number of processes. Nests
 *		inside the kernel's lock for the parameters of this module.
 *	mp3_registry_lock (raw spinlock)
 *		mp3_table, mp3_pending, mp3_unauthorized, mp3_reserve,
 *		mp3_nr_reserve, mp3_nr_added, mp3_nr_base, mp3_nr_processes,
 *		mp3_nr_followed, mp3_nr_held, mp3_closing, mp3_dropped,
 *		mp3_locating, the reset of mp3_adopting_id; of each struct
 *		mp3_process: @hash, @holders, @first, @followers, @secure,
 *		@follow_id, @located, @unregistered, @unauthorized, and @list in
 *		mp3_pending and mp3_reserve. The probes take no other lock.
 *		Readers of mp3_table may use RCU instead. What both locks
 *		protect is written under both, and read under either.
 *	sig->stats_lock, task->alloc_lock (the kernel's, one per process, task)
 *		taken with or without mp3_sampler_lock, never both at once,
 *		never inside mp3_registry_lock
 *	mp3_gates_lock (spinlock)
 *		mp3_gates and @nr_users of each struct mp3_gate. Taken with no
 *		other lock of this module
 *	locator->files_lock (spinlock; raw with PREEMPT_RT)
 *		the numbering of a capture's files. Taken by the handlers of
 *		faults, with no other lock of this module
 *	ring->wait.lock
 *		the pollers of a ring; a wake-up takes it, also inside
 *		mp3_sampler_lock
 *
 * Memory is allocated outside these spinlocks, so that a tick never waits for it.
 * Lifetimes: a registered process holds a reference to a task, which keeps
 * the signal_struct with the totals, and one to its struct pid; neither can be
 * reused before the last counts are read. Once they are, the task may be released
 * before the process is unregistered: see mp3_keep_remains(). A third reference, to
 * the memory descriptor as of its last collection, does not keep the memory. An open
 * file or a mapping pins the module, and a capture lasts as long as its file; the
 * pages of a ring outlive both. The handlers of faults run in RCU read-side
 * sections: a capture that has located waits for them before it ends. A gate lasts
 * as long as the commands that use it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/binfmts.h>
#include <linux/cdev.h>
#include <linux/completion.h>
#include <linux/cpuhotplug.h>
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/perf_event.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/proc_fs.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/semaphore.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include <asm/word-at-a-time.h>

#include "mp3_compat.h"
#include "mp3_given.h"
#include "mp3_located.h"
#include "mp3_uapi.h"

/* The ABI: before a change here, see the lists in mp3_uapi.h. */
static_assert(sizeof(struct mp3_sample) == 32);
static_assert(sizeof(struct mp3_record) == 64);
static_assert(sizeof_field(struct mp3_record, comm) == TASK_COMM_LEN);
static_assert(sizeof(struct mp3_header) == 112);
static_assert(sizeof(struct mp3_fault) == 128);
static_assert(sizeof(struct mp3_file) == 256);
static_assert(MP3_SAMPLES * sizeof(struct mp3_sample) <=
	      MP3_DATA_PAGES * PAGE_SIZE);

/* ---- Parameters and state ---- */

static unsigned int mp3_major = MP3_MAJOR;
static bool mp3_major_is_given;

/* A number that is given is exact, even if it is the default. */
static int mp3_set_major(const char *val, const struct kernel_param *kp)
{
	mp3_major_is_given = true;
	return param_set_uint(val, kp);
}

static const struct kernel_param_ops mp3_major_ops = {
	.set = mp3_set_major,
	.get = param_get_uint,
};

module_param_cb(major, &mp3_major_ops, &mp3_major, 0444);
__MODULE_PARM_TYPE(major, "uint");
MODULE_PARM_DESC(major, "major number of the devices, 0 for any (default 423 if it is free, else any)");

static unsigned int mp3_record_capacity = 65536;
module_param_named(records, mp3_record_capacity, uint, 0444);
MODULE_PARM_DESC(records, "entries of /dev/mp3_procs, 64..16777216 (default 65536)");

static unsigned int mp3_capture_capacity = 16384;
module_param_named(capture_records, mp3_capture_capacity, uint, 0444);
MODULE_PARM_DESC(capture_records, "entries of a capture, 64..4194304 (default 16384)");
#define MP3_MAX_CAPTURE_RECORDS	4194304

static unsigned int mp3_fault_capacity = 65536;
module_param_named(capture_faults, mp3_fault_capacity, uint, 0444);
MODULE_PARM_DESC(capture_faults, "faults of a capture, 64..2097152 (default 65536)");
#define MP3_MAX_CAPTURE_FAULTS	2097152

static bool mp3_user_faults;
module_param_named(user_faults, mp3_user_faults, bool, 0644);
MODULE_PARM_DESC(user_faults, "let users without CAP_PERFMON locate faults (default N)");

static bool mp3_user_follow = true;
module_param_named(user_follow, mp3_user_follow, bool, 0644);
MODULE_PARM_DESC(user_follow, "let users without CAP_PERFMON follow processes (default Y)");

/*
 * Set the mode of a file. Its owner, which is root, always reads and writes: the
 * kernel would replace a mode of 0 by its own default.
 */
static int mp3_set_mode(const char *val, const struct kernel_param *kp)
{
	u16 mode;
	int err;

	err = kstrtou16(val, 8, &mode);
	if (err)
		return err;
	if ((mode & ~0666) || (mode & 0600) != 0600)
		return -EINVAL;
	*(u16 *)kp->arg = mode;

	return 0;
}

static int mp3_get_mode(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "%#o\n", *(u16 *)kp->arg);
}

static const struct kernel_param_ops mp3_mode_ops = {
	.set = mp3_set_mode,
	.get = mp3_get_mode,
};

/* Set the group of a file, by its id in the initial user namespace. */
static int mp3_set_gid(const char *val, const struct kernel_param *kp)
{
	unsigned int nr;
	kgid_t gid;
	int err;

	err = kstrtouint(val, 10, &nr);
	if (err)
		return err;
	gid = make_kgid(&init_user_ns, nr);
	if (!gid_valid(gid))
		return -EINVAL;
	*(kgid_t *)kp->arg = gid;

	return 0;
}

static int mp3_get_gid(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "%u\n",
			 from_kgid(&init_user_ns, *(kgid_t *)kp->arg));
}

static const struct kernel_param_ops mp3_gid_ops = {
	.set = mp3_set_gid,
	.get = mp3_get_gid,
};

static u16 mp3_user_mode = 0666;
module_param_cb(user_mode, &mp3_mode_ops, &mp3_user_mode, 0444);
MODULE_PARM_DESC(user_mode, "mode of the status file and /dev/mp3_capture (default 0666)");

static kgid_t mp3_user_gid = GLOBAL_ROOT_GID;
module_param_cb(user_gid, &mp3_gid_ops, &mp3_user_gid, 0444);
MODULE_PARM_DESC(user_gid, "group of the status file and /dev/mp3_capture (default 0)");

static u16 mp3_ring_mode = 0600;
module_param_cb(ring_mode, &mp3_mode_ops, &mp3_ring_mode, 0444);
MODULE_PARM_DESC(ring_mode, "mode of /dev/mp3 and /dev/mp3_procs (default 0600)");

static kgid_t mp3_ring_gid = GLOBAL_ROOT_GID;
module_param_cb(ring_gid, &mp3_gid_ops, &mp3_ring_gid, 0444);
MODULE_PARM_DESC(ring_gid, "group of /dev/mp3 and /dev/mp3_procs (default 0)");

/*
 * The holders of a process receive its records: the classic registry, and each
 * capture that the process is registered in. A set of holders is a mask.
 */
#define MP3_CLASSIC		0	/* its number as a holder */
#define MP3_CLASSIC_MASK	BIT_ULL(MP3_CLASSIC)
#define MP3_NR_HOLDERS		64

/*
 * What users can have the module do or hold. A command that makes a record
 * outside the grid, in a ring that others read, waits until the last one is
 * MP3_TURN old.
 */
#define MP3_TURN		(HZ / 20 ?: 1)	/* in jiffies */
/* Processes held, about, with their kernel stacks in less than 64 MiB */
#define MP3_MAX_EXITED		(PAGE_SHIFT < 16 ? 1024 : 768)
#define MP3_MAX_RETIRED		8192	/* entries that wait for RCU, about */
#define MP3_BATCH		256	/* processes or threads handled without a pause */
#define MP3_MANY_THREADS	256	/* a process with more is large */
#define MP3_RESCHED_BATCH	16	/* quick ones without need_resched() */
#define MP3_RECENT		64	/* processes looked at when half are new */

/**
 * struct mp3_remains - what the only record of an exited process contains
 * @counts:	all its counts
 * @cgroup_id:	see struct mp3_record
 * @comm:	its name
 */
struct mp3_remains {
	struct mp3_counts counts;
	u64 cgroup_id;
	char comm[TASK_COMM_LEN];
};

/**
 * struct mp3_process - one registered process
 * @list:	links it into mp3_processes (mp3_sampler_lock); before that,
 *		into mp3_pending or, while it is unused, into mp3_reserve
 *		(mp3_registry_lock)
 * @rcu:	frees it after the last reader that may have found it
 * @task:	one of its threads, pinned: the leader as of the last record.
 *		Keeps the signal_struct after the process has been reaped
 *		(mp3_sampler_lock)
 * @uid:	with @remains instead: its real user id
 * @switches:	mp3_read_switches() right before the totals were last collected
 *		if @task was the only thread and was off the CPU afterwards, else
 *		0: see mp3_has_run() (mp3_sampler_lock)
 * @start_ns:	with @remains instead: see struct mp3_record
 * @reported:	the part of the totals that is in classic records already, or
 *		precedes the classic registration, less @ended; if @unregistered
 *		is set, what the last classic record will contain
 *		(mp3_sampler_lock)
 * @captured:	the part of the totals that is in the records of all captures
 *		among @holders, or precedes the registration in the last one,
 *		less @ended (mp3_sampler_lock)
 * @ended:	counts of those of its threads that had ended when the sequence
 *		number of stats_lock was @seq (mp3_sampler_lock)
 * @seq:	see @ended; 1 before these are first read (mp3_sampler_lock)
 * @mm:	what @task->mm was when it was last compared with this: pinned, so
 *		that the kernel can count its pages without a lock
 *		(mp3_sampler_lock)
 * @remains:	instead of @reported, which was 0, and @ended, once
 *		mp3_keep_remains() has released @task (mp3_sampler_lock)
 * @signal:	identifies the process from its first thread to its last. NULL
 *		with @remains (mp3_sampler_lock; others use READ_ONCE())
 * @holders:	which holders it is registered in. Written under
 *		mp3_registry_lock, and mp3_sampler_lock unless by the fork
 *		probe; mp3_emit_to() gets it as loaded with acquire
 * @first:	which of @holders have no record of it yet: written like
 *		@holders, and before it
 * @followers:	which of @holders follow it: its children inherit these
 *		(mp3_registry_lock; RCU readers use READ_ONCE())
 * @secure:	in which of @holders it, or the ancestor that it has inherited them
 *		from, has executed a program with privileges of its own, or was
 *		denied a fault: their openers need CAP_SYS_PTRACE over it. Written
 *		under mp3_registry_lock
 * @follow_id:	the number of the last F that has found it, or that of its
 *		parent; identifies the tree of the F in progress
 *		(mp3_registry_lock; RCU readers use READ_ONCE())
 * @tgid:	its process id in the initial pid namespace; never changes
 * @ppid:	tgid of its parent when the entry was bound to it
 * @unregistered: flags of its last classic record if U has unregistered it,
 *		and that record is due at the next tick; else 0. Written under
 *		both locks
 * @hash:	links it into mp3_table, by @signal (mp3_registry_lock, RCU)
 * @pid:	its tgid, pinned; never changes
 * @located:	in which of @holders its faults are located (mp3_registry_lock;
 *		handlers of faults use READ_ONCE())
 * @collected:	when R or U last had it collected for captures of others, as
 *		get_jiffies_64(), or 0 (mp3_sampler_lock)
 * @unauthorized: links it into mp3_unauthorized if the fork probe has followed it
 *		on behalf of an F in progress, which has not checked its
 *		permission yet (mp3_registry_lock)
 */
struct mp3_process {
	/* The first cache line: all that a tick needs of an idle process */
	union {
		struct list_head list;
		struct rcu_head rcu;
	};
	union {
		struct task_struct *task;
		u32 uid;
	};
	union {
		u64 switches;
		u64 start_ns;
	};
	u64 first;
	u64 holders;
	struct signal_struct *signal;
	struct mm_struct *mm;
	/* The second one: what else it needs of one that has run */
	union {
		struct {
			struct mp3_counts reported;
			struct mp3_counts ended;
			unsigned int seq;
		};
		struct mp3_remains remains;
	};
	u32 tgid;
	u32 ppid;
	/* The third one: what captures and following add */
	struct mp3_counts captured;
	u64 located;
	u64 followers;
	u64 secure;
	u64 follow_id;
	u8 unregistered;
	/* The fourth one */
	struct pid *pid;
	struct hlist_node hash;
	struct list_head unauthorized;
	u64 collected;
};

static_assert(offsetof(struct mp3_process, reported) <= 64);
static_assert(offsetof(struct mp3_process, captured) <= 128);
static_assert(offsetof(struct mp3_process, pid) <= 192);
static_assert(sizeof(struct mp3_process) <= 256);

/*
 * Serializes the attaching and detaching of the fork probe, the filling of the
 * reserve, and F with both. Only work items take it: no user can keep it.
 */
static DEFINE_MUTEX(mp3_follow_mutex);

/* Protected by mp3_follow_mutex */
static bool mp3_probe_attached;		/* to sched_process_fork */
static bool mp3_adopt_denied;	/* the F in progress skipped a process */

/* Serializes the attaching and detaching of the exec probe. */
static DEFINE_MUTEX(mp3_exec_mutex);

/* Protected by mp3_exec_mutex */
static bool mp3_exec_probe_attached;	/* to sched_process_exec; written under
					 * mp3_sampler_lock, too
					 */
static int mp3_exec_err;	/* of the last attempt; openers use READ_ONCE() */

/*
 * The lock of the sampler and the registry. A spinlock, so that a holder cannot
 * be preempted or throttled: a task that waits for it waits for at most one holder
 * per CPU. All walks through many processes are made in pieces.
 */
static DEFINE_SPINLOCK(mp3_sampler_lock);

/* Protected by mp3_sampler_lock */
static unsigned int mp3_interval_ms = 50;
static u64 mp3_interval_ns = 50 * NSEC_PER_MSEC;
static u64 mp3_deadline;	/* of the next tick, see mp3_grid_now() */
static u64 mp3_ticks;		/* see struct mp3_header */
static u64 mp3_missed;
static u64 mp3_cost_ns;
static u64 mp3_sample_ns;	/* time of the present or last sample */
static u64 mp3_sample_jiffies;
static u64 mp3_last_jiffies;	/* of the last sample that U has made */
static struct mp3_counts mp3_sum;	/* records since the last sample */

/*
 * The head of the list of processes, in which those unregistered come first. It is an
 * entry without a task, so that a walk may prefetch for what follows any entry.
 */
static struct mp3_process mp3_processes = {
	.list = LIST_HEAD_INIT(mp3_processes.list),
};

static bool mp3_sample_due;	/* records have been emitted without their sample */
static bool mp3_ticking;	/* a tick is at work, perhaps in a pause */
static struct list_head *mp3_cursor;	/* where a pause of a walk ends, or NULL */
static struct list_head *mp3_walk_last;	/* where the walk ends, or NULL */
static unsigned int mp3_handled;	/* processes and threads since the last pause */
static u64 mp3_last_follow_id;
static u64 mp3_captures;	/* the holders that are captures */
static u64 mp3_unprivileged;	/* those of them that lack CAP_PERFMON; the
				 * exec probe uses READ_ONCE()
				 */
static u64 mp3_locating;	/* those of them that locate the faults of new
				 * processes (written under both locks)
				 */
static unsigned int mp3_nr_locating;	/* captures that locate */

/*
 * The follow_id for which mp3_adopt() is scanning the processes, else 0, and
 * its holder. Written under mp3_follow_mutex; the reset to 0 also takes
 * mp3_registry_lock.
 */
static u64 mp3_adopting_id;
static unsigned int mp3_adopting_holder;

/* The only lock that the probes take: raw, since they cannot sleep. */
static DEFINE_RAW_SPINLOCK(mp3_registry_lock);

/* Protected by mp3_registry_lock */
static DEFINE_HASHTABLE(mp3_table, 14);	/* RCU for readers */
static LIST_HEAD(mp3_pending);	/* in mp3_table, not yet in mp3_processes */
static LIST_HEAD(mp3_unauthorized);	/* in mp3_table; oldest first */
static LIST_HEAD(mp3_reserve);	/* preallocated entries for the fork probe */
static unsigned int mp3_nr_reserve;
static u64 mp3_nr_added;	/* entries ever added to mp3_table */
static unsigned int mp3_nr_base;	/* see mp3_hash_add() */
static unsigned int mp3_nr_processes;	/* in mp3_table, with a holder */
static unsigned int mp3_nr_followed;	/* in mp3_table, with a follower */
static unsigned int mp3_nr_held[MP3_NR_HOLDERS];
static u64 mp3_closing;		/* holders that children no longer inherit */
static u64 mp3_dropped[MP3_NR_HOLDERS];	/* see struct mp3_header */

/* Set by mp3_kick() until the next walk through mp3_processes */
static bool mp3_kicked;

/* Removed entries that RCU readers may still use */
static atomic_t mp3_nr_retired = ATOMIC_INIT(0);

/*
 * A thread of the module's own executes the tick. The workers of a workqueue are
 * shared: when all of them are busy, with an F for example, a work waits until
 * another one has been created, which takes memory.
 */
static struct kthread_worker *mp3_worker;
static void mp3_tick(struct kthread_work *work);
static DEFINE_KTHREAD_DELAYED_WORK(mp3_tick_work, mp3_tick);
static DEFINE_KTHREAD_WORK(mp3_kick_work, mp3_tick);
static void mp3_release_exited(struct kthread_work *work);
static DEFINE_KTHREAD_WORK(mp3_release_work, mp3_release_exited);

static struct workqueue_struct *mp3_follow_wq;
static struct workqueue_struct *mp3_wake_wq;
static void mp3_refill(struct work_struct *work);
static DECLARE_WORK(mp3_refill_work, mp3_refill);
static void mp3_attach_exec_probe(struct work_struct *work);
static DECLARE_WORK(mp3_exec_work, mp3_attach_exec_probe);
static void mp3_detach(struct work_struct *work);
static DECLARE_DELAYED_WORK(mp3_detach_work, mp3_detach);

/* ---- Rings ---- */

/**
 * struct mp3_ring - entries in pages that user space maps
 * @data:	the entries, from vmalloc(); written, never read back if user
 *		space may write them
 * @header:	the header page, also from vmalloc(); mapped read-only.
 *		NULL before init and after exit (mp3_sampler_lock)
 * @data_pages:	pages of @data
 * @writable:	whether user space may map @data for writing
 * @entry_size:	bytes of one entry, a multiple of 8
 * @capacity:	slots
 * @slot:	slot of the next entry (mp3_sampler_lock)
 * @end:	end of the last slot
 * @woken:	@header->head when pollers were last woken, or MP3_WAKE to wake them
 *		again (mp3_sampler_lock)
 * @wait:	pollers
 * @wake_work:	wakes them, for a capture without CAP_PERFMON
 */
struct mp3_ring {
	u64 *data;
	struct mp3_header *header;
	unsigned long data_pages;
	bool writable;
	u32 entry_size;
	u32 capacity;
	u64 *slot;
	u64 *end;
	u64 woken;
	wait_queue_head_t wait;
	struct work_struct wake_work;
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

/* The ring of records of each holder (mp3_sampler_lock) */
static struct mp3_ring *mp3_holder_rings[MP3_NR_HOLDERS] = {
	[MP3_CLASSIC] = &mp3_rings[1],
};

/* Faults that a CPU has not written, see struct mp3_header */
struct mp3_fault_counts {
	u64 missed;
	u64 dropped;
};

/**
 * struct mp3_fault_ring - a ring that tasks write into from all CPUs at once
 * @ring:	its pages; @slot and @wait are not used
 * @head:	faults that were given a slot
 * @nr:		counts of each CPU
 * @counted:	faults in the records of the capture (mp3_sampler_lock)
 * @denied:	processes that had a fault denied (written under mp3_registry_lock)
 */
struct mp3_fault_ring {
	struct mp3_ring ring;
	atomic64_t head;
	struct mp3_fault_counts __percpu *nr;
	u64 counted;
	u64 denied;
};

/*
 * The ring of faults of each holder that has located, and still can (written
 * under mp3_sampler_lock; handlers of faults use RCU)
 */
static struct mp3_fault_ring __rcu *mp3_fault_rings[MP3_NR_HOLDERS];

/* Return the ring of faults of a holder, or NULL. */
static struct mp3_fault_ring *mp3_fault_ring_of(unsigned int holder)
{
	return rcu_dereference_check(mp3_fault_rings[holder],
				     lockdep_is_held(&mp3_sampler_lock));
}

/*
 * Set the capacity of a ring. Returns 0, or -EINVAL if it is not in 64..@max.
 */
static int mp3_ring_set_capacity(struct mp3_ring *ring, u32 capacity, u32 max)
{
	if (capacity < 64 || capacity > max)
		return -EINVAL;
	ring->capacity = capacity;
	ring->data_pages = DIV_ROUND_UP((unsigned long)capacity *
					ring->entry_size, PAGE_SIZE);

	return 0;
}

/* Work function: wake the pollers of a ring, however many there are. */
static void mp3_wake_pollers(struct work_struct *work)
{
	struct mp3_ring *ring = container_of(work, struct mp3_ring, wake_work);

	wake_up_interruptible_poll(&ring->wait, EPOLLIN | EPOLLRDNORM);
}

/*
 * Allocate the pages of a ring, with all bytes of the data set to @fill.
 * @base_ns and @base_jiffies are the same moment on two clocks. Returns 0, or
 * -ENOMEM with none allocated.
 */
static int mp3_ring_alloc(struct mp3_ring *ring, gfp_t gfp, u8 fill,
			  u64 base_ns, u64 base_jiffies)
{
	struct mp3_header *header;

	ring->data = __vmalloc(ring->data_pages * PAGE_SIZE, gfp);
	if (!ring->data)
		return -ENOMEM;
	memset(ring->data, fill, ring->data_pages * PAGE_SIZE);
	ring->slot = ring->data;
	ring->end = ring->data + (size_t)ring->capacity * ring->entry_size / 8;

	header = __vmalloc(PAGE_SIZE, gfp | __GFP_ZERO);
	if (!header) {
		vfree(ring->data);
		ring->data = NULL;
		return -ENOMEM;
	}
	header->magic = MP3_MAGIC;
	header->version = MP3_ABI_VERSION;
	header->entry_size = ring->entry_size;
	header->capacity = ring->capacity;
	header->base_jiffies = base_jiffies;
	header->base_ns = base_ns;
	header->hz = HZ;
	init_waitqueue_head(&ring->wait);
	INIT_WORK(&ring->wake_work, mp3_wake_pollers);

	/* The interval can be set from here on: parameters precede init. */
	spin_lock(&mp3_sampler_lock);
	header->interval_ns = mp3_interval_ns;
	ring->header = header;
	spin_unlock(&mp3_sampler_lock);

	return 0;
}

static void mp3_ring_free(struct mp3_ring *ring)
{
	struct mp3_header *header = ring->header;

	/* The interval can be set until after exit. */
	spin_lock(&mp3_sampler_lock);
	ring->header = NULL;
	spin_unlock(&mp3_sampler_lock);
	vfree(header);
	vfree(ring->data);
}

/*
 * Begin an entry of @nr_words words: return its slot, and set the first @nr_gap
 * words of the slot after it to -1. The caller fills all words but word 0, and
 * passes the slot to mp3_ring_publish(). Caller holds mp3_sampler_lock.
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
	u64 *slot = ring->slot;
	u64 *gap = slot + nr_words == ring->end ? ring->data : slot + nr_words;

	lockdep_assert_held(&mp3_sampler_lock);

	/*
	 * A reader that sees a word of these two slots change also sees the
	 * head that gave them up. Pairs with the acquire fence between the copy
	 * and the second load of head in mp3_reader_copy() (mp3_client.h).
	 */
	smp_wmb();
	for (i = 0; i < nr_gap; i++)
		WRITE_ONCE(gap[i], -1);
	ring->slot = gap;

	return slot;
}

/*
 * Append the entry at @slot, which mp3_ring_begin() returned, by storing its
 * word 0. Does not wake pollers: mp3_ring_wake() does, once for many entries.
 * Caller holds mp3_sampler_lock.
 */
static __always_inline void mp3_ring_publish(struct mp3_ring *ring, void *slot,
					     u64 word0)
{
	struct mp3_header *header = ring->header;

	lockdep_assert_held(&mp3_sampler_lock);
	/*
	 * A reader that uses no header finds the entry complete, and word 0 of
	 * the next slot set to -1. Pairs with its acquire load of word 0, as in
	 * mp3_reader_copy() (mp3_client.h).
	 */
	smp_store_release((u64 *)slot, word0);
	/* Pairs with the acquire load in mp3_reader_head() (mp3_client.h). */
	smp_store_release(&header->head, header->head + 1);
}

/* Append a copy of a record. Caller holds mp3_sampler_lock. */
static __always_inline void mp3_ring_append(struct mp3_ring *ring,
					    const struct mp3_record *record)
{
	u64 *slot = mp3_ring_begin(ring, sizeof(*record) / 8, 1);
	const u64 *words = (const u64 *)record;

	/* Neither memcpy() nor a loop: each would double the cost. */
	slot[1] = words[1];
	slot[2] = words[2];
	slot[3] = words[3];
	slot[4] = words[4];
	slot[5] = words[5];
	slot[6] = words[6];
	slot[7] = words[7];
	mp3_ring_publish(ring, slot, record->time_ns);
}

/*
 * Begin a fault in a ring of faults. Returns its slot, to be filled in place and
 * passed to mp3_fault_publish() with @seq, which is set here. The caller sets all
 * fields but the slot's @seq and the frames that are not valid: those keep what an
 * earlier fault has left. Any number of tasks may do so at the same time, with
 * at least preemption disabled.
 *
 * Returns NULL, and counts the fault as dropped, if the slot is busy: the writer of
 * an earlier entry has not finished while the others have filled the whole ring.
 */
static __always_inline struct mp3_fault *
mp3_fault_begin(struct mp3_fault_ring *ring, u64 *seq)
{
	u64 number = atomic64_inc_return_relaxed(&ring->head) - 1;
	struct mp3_fault *slot = (struct mp3_fault *)ring->ring.data +
				 number % ring->ring.capacity;
	u64 old = READ_ONCE(slot->seq);

	/*
	 * A reader that sees a word of the slot change also sees this. Pairs
	 * with the acquire fence in mp3_faults_next() (mp3_client.h).
	 */
	if (old > number || cmpxchg(&slot->seq, old, MP3_FAULT_BUSY) != old) {
		this_cpu_inc(ring->nr->dropped);
		return NULL;
	}
	*seq = number + 1;

	return slot;
}

/* Publish the fault in a slot that mp3_fault_begin() has returned with @seq. */
static __always_inline void mp3_fault_publish(struct mp3_fault *slot, u64 seq)
{
	/* Pairs with the acquire load in mp3_faults_next() (mp3_client.h). */
	smp_store_release(&slot->seq, seq);
}

#define MP3_WAKE	U64_MAX

/*
 * Wake the pollers of a ring if entries were published since the last call, or faults
 * of its capture; if @later, by a work item. Caller holds mp3_sampler_lock.
 *
 * A work item that is still pending finds the entries and the pollers of this call,
 * too. One that is running is queued again.
 */
static __always_inline void mp3_ring_wake(struct mp3_ring *ring,
					  bool later)
{
	lockdep_assert_held(&mp3_sampler_lock);
	if (ring->woken == ring->header->head)
		return;
	ring->woken = ring->header->head;
	/* Its barrier pairs with the one in mp3_poll(). */
	if (!wq_has_sleeper(&ring->wait))
		return;
	if (later)
		queue_work(mp3_wake_wq, &ring->wake_work);
	else
		wake_up_interruptible_poll(&ring->wait, EPOLLIN | EPOLLRDNORM);
}

/*
 * Wake the pollers of all rings. Those of captures without CAP_PERFMON are woken by a
 * work item: any user can open these, and thousands of threads, or epoll instances,
 * would make the tick long, and all that wait for it. Caller holds mp3_sampler_lock.
 */
static void mp3_wake_all(void)
{
	u64 captures;

	mp3_ring_wake(mp3_sample_ring, false);
	mp3_ring_wake(mp3_record_ring, false);
	for (captures = mp3_captures; captures; captures &= captures - 1) {
		unsigned int holder = __ffs64(captures);

		mp3_ring_wake(mp3_holder_rings[holder],
			      mp3_unprivileged & BIT_ULL(holder));
	}
}

/*
 * Copy the state of a ring of faults to its header, and to that of @ring, which has
 * the records of its capture, and the pollers.
 */
static void mp3_update_fault_header(struct mp3_fault_ring *faults,
				    struct mp3_ring *ring)
{
	struct mp3_header *header = faults->ring.header;
	struct mp3_header *records = ring->header;
	u64 head = atomic64_read(&faults->head);
	u64 missed = 0, dropped = 0;
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		missed += READ_ONCE(per_cpu_ptr(faults->nr, cpu)->missed);
		dropped += READ_ONCE(per_cpu_ptr(faults->nr, cpu)->dropped);
	}
	WRITE_ONCE(header->interval_ns, mp3_interval_ns);
	WRITE_ONCE(header->ticks, mp3_ticks);
	WRITE_ONCE(header->missed, missed);
	WRITE_ONCE(header->dropped, dropped);
	WRITE_ONCE(header->denied, READ_ONCE(faults->denied));
	WRITE_ONCE(header->counted, faults->counted);
	WRITE_ONCE(header->located, head);
	WRITE_ONCE(records->counted, faults->counted);
	WRITE_ONCE(records->located, head);
	/* The records of these faults may have been published before. */
	if (header->head != head)
		ring->woken = MP3_WAKE;
	/* Pairs with the acquire load in mp3_faults_next() (mp3_client.h). */
	smp_store_release(&header->head, head);
}

/* Copy the sampler's state to the header of a ring of @holder. */
static void mp3_update_header(struct mp3_ring *ring, unsigned int holder)
{
	struct mp3_header *header = ring->header;

	/* NULL before init and after exit, while parameters exist. */
	if (!header)
		return;
	WRITE_ONCE(header->interval_ns, mp3_interval_ns);
	WRITE_ONCE(header->ticks, mp3_ticks);
	WRITE_ONCE(header->missed, mp3_missed);
	WRITE_ONCE(header->cost_ns, mp3_cost_ns);
	WRITE_ONCE(header->dropped, READ_ONCE(mp3_dropped[holder]));
}

/*
 * Copy the sampler's state, except the number of processes, to all headers.
 * Caller holds mp3_sampler_lock.
 */
static void mp3_update_headers(void)
{
	u64 captures;

	lockdep_assert_held(&mp3_sampler_lock);
	mp3_update_header(mp3_sample_ring, MP3_CLASSIC);
	mp3_update_header(mp3_record_ring, MP3_CLASSIC);
	for (captures = mp3_captures; captures; captures &= captures - 1) {
		unsigned int holder = __ffs64(captures);

		mp3_update_header(mp3_holder_rings[holder], holder);
	}
}

/* Copy mp3_cost_ns to all headers. Caller holds mp3_sampler_lock. */
static void mp3_update_costs(void)
{
	u64 captures;

	lockdep_assert_held(&mp3_sampler_lock);
	WRITE_ONCE(mp3_sample_ring->header->cost_ns, mp3_cost_ns);
	WRITE_ONCE(mp3_record_ring->header->cost_ns, mp3_cost_ns);
	for (captures = mp3_captures; captures; captures &= captures - 1)
		WRITE_ONCE(mp3_holder_rings[__ffs64(captures)]->header->cost_ns,
			   mp3_cost_ns);
}

/* Copy the number of processes of @holder to the header of a ring of it. */
static void mp3_publish_to(struct mp3_ring *ring, unsigned int holder)
{
	/*
	 * A reader that finds no process registered also finds the last
	 * entries. Pairs with its acquire load of processes (struct mp3_header
	 * in mp3_uapi.h).
	 */
	smp_store_release(&ring->header->processes,
			  READ_ONCE(mp3_nr_held[holder]));
}

/*
 * Copy the number of registered processes of @holder to its headers, after their
 * heads; that of its ring of faults is copied here, too. Caller holds
 * mp3_sampler_lock.
 */
static void mp3_publish_processes(unsigned int holder)
{
	struct mp3_ring *ring = mp3_holder_rings[holder];
	struct mp3_fault_ring *faults;

	lockdep_assert_held(&mp3_sampler_lock);
	if (holder == MP3_CLASSIC) {
		/* The last sample comes first. */
		if (mp3_sample_due)
			return;
		mp3_publish_to(mp3_sample_ring, holder);
	} else {
		faults = mp3_fault_ring_of(holder);
		if (faults) {
			mp3_update_fault_header(faults, ring);
			mp3_publish_to(&faults->ring, holder);
		}
	}
	mp3_publish_to(ring, holder);
}

/* The same for all holders. Caller holds mp3_sampler_lock. */
static void mp3_publish_all_processes(void)
{
	u64 captures;

	lockdep_assert_held(&mp3_sampler_lock);
	mp3_publish_processes(MP3_CLASSIC);
	for (captures = mp3_captures; captures; captures &= captures - 1)
		mp3_publish_processes(__ffs64(captures));
}

/* ---- Table ---- */

/*
 * Return the entry of a process, or NULL. Caller is in an RCU read-side
 * section, or holds mp3_sampler_lock or mp3_registry_lock: a removal takes
 * both.
 */
static struct mp3_process *mp3_find(const struct signal_struct *signal)
{
	struct mp3_process *process;

	hash_for_each_possible_rcu(mp3_table, process, hash,
				   (unsigned long)signal,
				   lockdep_is_held(&mp3_sampler_lock) ||
				   lockdep_is_held(&mp3_registry_lock))
		/* Pairs with the store in mp3_keep_remains(). */
		if (READ_ONCE(process->signal) == signal)
			return process;
	return NULL;
}

/*
 * Register a process in @holders, all of which it is not in yet, from the
 * counts on that have been reported. Caller holds mp3_registry_lock.
 */
static void mp3_hold(struct mp3_process *process, u64 holders)
{
	u64 rest;

	lockdep_assert_held(&mp3_registry_lock);
	for (rest = holders; rest; rest &= rest - 1) {
		unsigned int holder = __ffs64(rest);

		WRITE_ONCE(mp3_nr_held[holder], mp3_nr_held[holder] + 1);
	}
	if (holders && !process->holders)
		WRITE_ONCE(mp3_nr_processes, mp3_nr_processes + 1);
	WRITE_ONCE(process->located,
		   process->located | (holders & mp3_locating));
	WRITE_ONCE(process->first, process->first | holders);
	/* Pairs with the acquire loads before mp3_emit_to(): first is there. */
	smp_store_release(&process->holders, process->holders | holders);
}

/*
 * Let a process be followed by @followers, which are holders of it. Caller
 * holds mp3_registry_lock.
 */
static void mp3_add_followers(struct mp3_process *process, u64 followers)
{
	lockdep_assert_held(&mp3_registry_lock);
	if (followers && !process->followers)
		WRITE_ONCE(mp3_nr_followed, mp3_nr_followed + 1);
	WRITE_ONCE(process->followers, process->followers | followers);
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
	process->tgid = pid_nr(process->pid);
	/* Not even, so that the first mp3_read_thread() updates it. */
	process->seq = 1;
	rcu_read_lock();
	if (pid_alive(task))
		process->ppid = rcu_dereference(task->real_parent)->tgid;
	rcu_read_unlock();

	return true;
}

/* Free an entry that has never been in the table. */
static void mp3_process_free(struct mp3_process *process)
{
	put_task_struct(process->task);
	put_pid(process->pid);
	kfree(process);
}

static void mp3_process_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct mp3_process, rcu));
	atomic_dec(&mp3_nr_retired);
}

/*
 * Free an entry that has been removed from the table and from all lists: probes,
 * handlers of faults and readers of the status file may still be using it.
 */
static void mp3_process_retire(struct mp3_process *process)
{
	if (process->mm)
		mmdrop(process->mm);
	/* Else mp3_keep_remains() has. */
	if (process->signal)
		put_task_struct(process->task);
	put_pid(process->pid);
	atomic_inc(&mp3_nr_retired);
	call_rcu(&process->rcu, mp3_process_free_rcu);
}

/*
 * Take a process out of mp3_processes, where a walk of the tick may be about to
 * continue or end with it. Caller holds mp3_sampler_lock.
 */
static void mp3_unlink(struct mp3_process *process)
{
	lockdep_assert_held(&mp3_sampler_lock);
	if (mp3_cursor == &process->list)
		mp3_cursor = mp3_walk_last == &process->list ?
			     &mp3_processes.list : process->list.next;
	if (mp3_walk_last == &process->list)
		mp3_walk_last = process->list.prev;
	list_del(&process->list);
}

/*
 * Add a process to mp3_table, where forks find it from now on, and to
 * mp3_pending. Caller holds mp3_registry_lock, and has set the fields. Returns
 * true if there are so many more than when it last did, or than at any time since,
 * that mp3_kick() is due. Those that are registered and unregistered in turns do not
 * count.
 */
static bool mp3_hash_add(struct mp3_process *process)
{
	lockdep_assert_held(&mp3_registry_lock);
	list_add_tail(&process->list, &mp3_pending);
	/* Publish the fields. Pairs with rcu_dereference in mp3_find(). */
	hash_add_rcu(mp3_table, &process->hash, (unsigned long)process->signal);

	mp3_nr_added++;
	if (mp3_nr_processes < mp3_nr_base)
		mp3_nr_base = mp3_nr_processes;
	if (mp3_nr_processes - mp3_nr_base < MP3_MAX_EXITED / 2)
		return false;
	mp3_nr_base = mp3_nr_processes;

	return true;
}

/*
 * Have the tick collect the processes that have exited, soon: most of those that
 * were added since the last time may have.
 */
static void mp3_kick(void)
{
	WRITE_ONCE(mp3_kicked, true);
	/* Not the delayed work: the fork probe must not wait for its timer. */
	kthread_queue_work(mp3_worker, &mp3_kick_work);
}

/*
 * Move the entries of mp3_pending to mp3_processes. The fork probe adds an
 * entry only if an ancestor of it is in mp3_table: a call after the last
 * process has been removed finds its last children, and no others follow.
 * Caller holds mp3_sampler_lock.
 */
static void mp3_splice_pending(void)
{
	lockdep_assert_held(&mp3_sampler_lock);
	raw_spin_lock(&mp3_registry_lock);
	list_splice_tail_init(&mp3_pending, &mp3_processes.list);
	raw_spin_unlock(&mp3_registry_lock);
}

/*
 * Unregister a process from @holders, as far as it is registered in them, and
 * stop following it on their behalf. An entry without a holder, and without a
 * record that is due, leaves mp3_table and mp3_processes and is freed.
 * Schedules the detaching of the fork probe once no process is followed. Caller
 * holds mp3_sampler_lock. Returns true if the entry has been freed.
 */
static bool mp3_unhold(struct mp3_process *process, u64 holders)
{
	bool was_followed, remove;
	u64 rest;

	lockdep_assert_held(&mp3_sampler_lock);
	raw_spin_lock(&mp3_registry_lock);
	holders &= process->holders;
	for (rest = holders; rest; rest &= rest - 1) {
		unsigned int holder = __ffs64(rest);

		WRITE_ONCE(mp3_nr_held[holder], mp3_nr_held[holder] - 1);
	}
	was_followed = process->followers;
	WRITE_ONCE(process->holders, process->holders & ~holders);
	WRITE_ONCE(process->first, process->first & ~holders);
	WRITE_ONCE(process->followers, process->followers & ~holders);
	WRITE_ONCE(process->located, process->located & ~holders);
	/*
	 * A handler of faults that finds this bit cleared finds that the
	 * process has no such holder. Pairs with the barrier in
	 * mp3_locate_fault().
	 */
	smp_wmb();
	WRITE_ONCE(process->secure, process->secure & ~holders);
	if (holders && !process->holders)
		WRITE_ONCE(mp3_nr_processes, mp3_nr_processes - 1);
	if (was_followed && !process->followers)
		WRITE_ONCE(mp3_nr_followed, mp3_nr_followed - 1);
	else
		was_followed = false;
	/* In the same section: the fork probe may give it a holder. */
	remove = !process->holders && !process->unregistered;
	if (remove) {
		hash_del_rcu(&process->hash);
		list_del_init(&process->unauthorized);
	}
	raw_spin_unlock(&mp3_registry_lock);

	if (remove) {
		mp3_unlink(process);
		mp3_process_retire(process);
	}
	/*
	 * Delay, so that users cannot make the kernel patch the tracepoint
	 * repeatedly.
	 */
	if (was_followed && !READ_ONCE(mp3_nr_followed))
		queue_delayed_work(mp3_follow_wq, &mp3_detach_work, HZ);

	return remove;
}

/*
 * Call @function with each process that @holder has, and with the mask of that
 * holder: first for those that are registered now. Caller holds no lock, which is
 * held for one bucket of mp3_table at a time.
 */
static void mp3_for_each_held(unsigned int holder,
			      void (*function)(struct mp3_process *process,
					       u64 mask))
{
	struct mp3_process *process;
	u64 mask = BIT_ULL(holder);
	unsigned int i;

	for (i = 0; i < HASH_SIZE(mp3_table); i++) {
		if (hlist_empty(&mp3_table[i]))
			continue;
		spin_lock(&mp3_sampler_lock);
		mp3_splice_pending();
		/* What is removed from the table keeps its link to the next. */
		rcu_read_lock();
		hlist_for_each_entry_rcu(process, &mp3_table[i], hash)
			/* Pairs with mp3_hold(): what was stored before is seen. */
			if (smp_load_acquire(&process->holders) & mask)
				function(process, mask);
		rcu_read_unlock();
		spin_unlock(&mp3_sampler_lock);
		cond_resched();
	}
}

/* ---- Permissions ---- */

/**
 * struct mp3_caller - the process that has written a command
 * @file:	the file that it was written to, for its opener's credentials
 * @signal:	identifies the process that has written it
 * @early:	NULL, or set if other captures have records outside the grid
 *
 * The writer's credentials are those of the current task: a work item that
 * executes the command takes them on.
 */
struct mp3_caller {
	struct file *file;
	const struct signal_struct *signal;
	bool *early;
};

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
 * Return whether @cred, without any capability, suffice to inspect a dumpable
 * process with the credentials @tcred.
 */
static bool mp3_is_owner(const struct cred *cred, const struct cred *tcred)
{
	return uid_eq(cred->uid, tcred->uid) &&
	       uid_eq(cred->uid, tcred->euid) &&
	       uid_eq(cred->uid, tcred->suid) &&
	       gid_eq(cred->gid, tcred->gid) &&
	       gid_eq(cred->gid, tcred->egid) &&
	       gid_eq(cred->gid, tcred->sgid) &&
	       cred->user_ns == tcred->user_ns &&
	       cap_issubset(tcred->cap_permitted, cred->cap_permitted);
}

/**
 * struct mp3_target - what decides who may inspect a process, loaded once
 * @cred:	its credentials
 * @ns:		user namespace of its memory, pinned, or NULL: it has released it
 * @dumpable:	valid if @ns is not NULL
 */
struct mp3_target {
	const struct cred *cred;
	struct user_namespace *ns;
	bool dumpable;
};

/*
 * Load what decides about the process of @task, for mp3_target_put(). Caller is in an
 * RCU read-side section until then. This takes long if a tracer keeps thousands of
 * threads that have exited: they are searched for one that has memory.
 */
static void mp3_target_get(struct mp3_target *target, struct task_struct *task)
{
	target->cred = __task_cred(task);
	/*
	 * commit_creds() makes a process undumpable before it installs other
	 * credentials. Never combine the new credentials with the old flag.
	 * Pairs with the write barrier in commit_creds().
	 */
	smp_rmb();
	target->ns = mp3_get_dumpable(task, &target->dumpable);
}

static void mp3_target_put(const struct mp3_target *target)
{
	if (target->ns)
		put_user_ns(target->ns);
}

/*
 * Apply the rule of ptrace_may_access(task, PTRACE_MODE_READ_REALCREDS), which
 * is not exported, without the security modules' hooks; or CAP_PERFMON instead.
 * @cred are the credentials of the opener of @file or, if that is NULL, of the
 * calling task. Returns 0, -EPERM, or -ESRCH if @cred suffice but the process
 * has released its memory.
 */
static int mp3_ptrace_may_read(const struct cred *cred, const struct file *file,
			       const struct mp3_target *target)
{
	if (!mp3_is_owner(cred, target->cred) &&
	    !mp3_capable(file, target->cred->user_ns, CAP_SYS_PTRACE))
		return mp3_capable(file, &init_user_ns, CAP_PERFMON) ? 0 : -EPERM;
	if (!target->ns)
		return -ESRCH;
	if (!target->dumpable &&
	    !mp3_capable(file, target->ns, CAP_SYS_PTRACE) &&
	    !mp3_capable(file, &init_user_ns, CAP_PERFMON))
		return -EPERM;

	return 0;
}

/**
 * struct mp3_capture - an open file of /dev/mp3_capture
 * @ring:	its records
 * @file:	the file, for the opener's credentials
 * @opener:	the opener's tgid, pinned
 * @holder:	its number as a holder, 1..63
 * @privileged:	the opener has CAP_PERFMON
 * @denied:	see struct mp3_header (mp3_sampler_lock)
 * @locate_mutex: serializes L
 * @locator:	its faults, or NULL before the first L. Written under
 *		@locate_mutex; mp3_region() uses acquire
 */
struct mp3_capture {
	struct mp3_ring ring;
	const struct file *file;
	struct pid *opener;
	unsigned int holder;
	bool privileged;
	u64 denied;
	struct mutex locate_mutex;	/* L */
	struct mp3_locator *locator;
};

static struct mp3_capture *mp3_capture_of(unsigned int holder)
{
	return container_of(mp3_holder_rings[holder], struct mp3_capture, ring);
}

/*
 * Return whether a capture may have a record of a process: by the rule, and
 * always of its opener. If the process has released its memory, credentials
 * alone decide. @target is that of the process. Caller holds mp3_sampler_lock.
 */
static bool mp3_may_deliver(const struct mp3_capture *capture,
			    const struct mp3_process *process,
			    const struct mp3_target *target)
{
	const struct file *file = capture->file;

	/* It may look like an ordinary process again. */
	if (READ_ONCE(process->secure) & BIT_ULL(capture->holder))
		return mp3_capable(file, file->f_cred->user_ns, CAP_SYS_PTRACE);
	/* The opener itself, unless it has executed a program since. */
	if (process->pid == capture->opener && target->cred == file->f_cred)
		return true;
	return mp3_ptrace_may_read(file->f_cred, file, target) != -EPERM;
}

/*
 * Return the holders out of @holders that must not receive a record of a
 * process, and count them in their headers. To be called after the last load of
 * what the record contains: if it succeeds, so it would have before. Caller
 * holds mp3_sampler_lock and is in an RCU read-side section.
 */
static u64 mp3_deny(const struct mp3_process *process, u64 holders)
{
	u64 rest = holders & mp3_unprivileged, denied = 0;
	struct mp3_target target;

	lockdep_assert_held(&mp3_sampler_lock);
	if (!rest)
		return 0;
	/*
	 * Load credentials after the counts that they decide about. Pairs with
	 * the barriers in commit_creds().
	 */
	smp_rmb();
	mp3_target_get(&target, process->task);
	for (; rest; rest &= rest - 1) {
		struct mp3_capture *capture = mp3_capture_of(__ffs64(rest));

		if (mp3_may_deliver(capture, process, &target))
			continue;
		denied |= BIT_ULL(capture->holder);
		WRITE_ONCE(capture->ring.header->denied, ++capture->denied);
	}
	mp3_target_put(&target);

	return denied;
}

/*
 * Return whether a capture whose opener lacks CAP_PERFMON may have a fault of the
 * calling task, which belongs to @process. The rule of mp3_may_deliver(), without
 * what sleeps: capabilities over other users' processes do not count. Caller is
 * in an RCU read-side section.
 */
static bool mp3_may_locate(const struct mp3_capture *capture,
			   const struct mp3_process *process)
{
	const struct cred *opener = capture->file->f_cred;
	const struct cred *cred = __task_cred(current);

	if (process->pid == capture->opener && cred == opener)
		return true;
	return mp3_is_owner(opener, cred) && mp3_current_is_dumpable();
}

/*
 * Return whether the process of @task may be profiled by @caller, as 0, -EPERM
 * or -ESRCH. Checks the credentials of both the writer and the opener: a passed
 * descriptor grants nothing.
 */
static int mp3_may_profile(const struct mp3_caller *caller,
			   struct task_struct *task)
{
	const struct file *file = caller->file;
	struct mp3_target target;
	int err;

	if (task->signal == caller->signal)
		return 0;
	rcu_read_lock();
	mp3_target_get(&target, task);
	err = mp3_ptrace_may_read(current_cred(), NULL, &target);
	/* The two usually share their credentials. */
	if (!err && file->f_cred != current_cred())
		err = mp3_ptrace_may_read(file->f_cred, file, &target);
	mp3_target_put(&target);
	rcu_read_unlock();

	return err;
}

/*
 * Return whether both the calling task and the opener of @file have CAP_PERFMON.
 */
static bool mp3_is_privileged(const struct file *file)
{
	return mp3_capable(NULL, &init_user_ns, CAP_PERFMON) &&
	       mp3_capable(file, &init_user_ns, CAP_PERFMON);
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
 * a step towards it. Caller holds mp3_sampler_lock.
 */
static void mp3_arm(void)
{
	u64 now = mp3_grid_now();
	unsigned long delay = 0;

	lockdep_assert_held(&mp3_sampler_lock);
	if (mp3_deadline > now)
		delay = div_u64(mp3_deadline - now + TICK_NSEC - 1, TICK_NSEC);
	/*
	 * For mp3_collect_exited(): all of them may exit at once. When there are
	 * MP3_MAX_EXITED, the last mp3_kick() has found half of them.
	 */
	if (READ_ONCE(mp3_nr_processes) >= MP3_MAX_EXITED / 2)
		delay = min_t(unsigned long, delay, MP3_TURN);
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
	kthread_mod_delayed_work(mp3_worker, &mp3_tick_work, delay);
}

/*
 * Restart the grid: the next deadline is one interval from now. Caller holds
 * mp3_sampler_lock.
 */
static void mp3_start_grid(void)
{
	lockdep_assert_held(&mp3_sampler_lock);
	mp3_deadline = mp3_grid_now() + mp3_interval_ns;
	mp3_arm();
}

/*
 * Set mp3_sample_ns and mp3_sample_jiffies to now, @now_ns: a sampling period
 * ends, and the next one begins. In a pause of a tick, they remain those of the
 * tick. Caller holds mp3_sampler_lock, or is init.
 */
static void mp3_stamp(u64 now_ns)
{
	if (mp3_ticking)
		return;
	mp3_sample_ns = now_ns;
	mp3_sample_jiffies = get_jiffies_64();
}

/* Return the number of times that @task has left the CPU, plus one. */
static __always_inline u64 mp3_read_switches(const struct task_struct *task)
{
	return READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw) + 1;
}

/*
 * Return false if @task, the pinned one of a process, has not run since the totals of
 * the process were last collected: the counters of a task change only while it runs.
 * Otherwise, @switches is what @process->switches is to be once they have been read:
 * 0 if the task may be on a CPU, else the number of its switches. Loads after the call
 * then see what it did before the last of these. If it has run again since, the number
 * is too low, and the next call returns true. Caller holds mp3_sampler_lock.
 */
static __always_inline bool mp3_has_run(const struct mp3_process *process,
					const struct task_struct *task,
					u64 *switches)
{
	u64 before = mp3_read_switches(task);

	lockdep_assert_held(&mp3_sampler_lock);
	/*
	 * A task takes the CPU before it counts that it leaves it. Pairs with
	 * the full barrier in __schedule().
	 */
	smp_rmb();
	/* Pairs with finish_task(): once off the CPU, the switch is counted. */
	if (mp3_is_on_cpu(task)) {
		*switches = 0;
		return true;
	}
	*switches = before;

	/* It may have left the CPU between the two loads above. */
	if (likely(before == process->switches &&
		   mp3_read_switches(task) == before))
		return false;
	return true;
}

/*
 * Replace the pinned task of a process by its present leader: after another
 * thread has called exec, that thread is the leader and has the new name.
 * Caller holds mp3_sampler_lock and is in an RCU read-side section.
 */
static void mp3_pin_leader(struct mp3_process *process)
{
	struct task_struct *leader = pid_task(process->pid, PIDTYPE_TGID);

	lockdep_assert_held(&mp3_sampler_lock);
	if (!leader || leader == process->task)
		return;
	get_task_struct(leader);
	put_task_struct(process->task);
	process->task = leader;
	process->switches = 0;
}

static __always_inline u64 mp3_rss(struct mm_struct *mm)
{
	return mm ? get_mm_rss(mm) << PAGE_SHIFT : 0;
}

/*
 * Pin the present memory descriptor of the pinned task of a process, and no
 * longer an older one. Caller holds mp3_sampler_lock.
 */
static noinline void mp3_pin_mm(struct mp3_process *process)
{
	struct mm_struct *old = process->mm;

	lockdep_assert_held(&mp3_sampler_lock);
	task_lock(process->task);
	process->mm = process->task->mm;
	if (process->mm)
		mmgrab(process->mm);
	task_unlock(process->task);
	if (old)
		mmdrop(old);
}

/* The same, if it is another one. */
static __always_inline void mp3_update_mm(struct mp3_process *process)
{
	/* As long as it is pinned, no other one has its address. */
	if (unlikely(READ_ONCE(process->task->mm) != process->mm))
		mp3_pin_mm(process);
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
		bytes = mp3_rss(thread->mm);
		task_unlock(thread);
		if (bytes)
			break;
	}

	return bytes;
}

/*
 * Fill a record with the counts @delta, and with what its process has now; only
 * its time and flags are left to the caller. @task is its pinned task, and @mm its
 * pinned memory descriptor, the present one. @exited: the process has released it.
 * Caller is in an RCU read-side section.
 */
static __always_inline void mp3_fill_record(struct mp3_record *record,
					    struct mp3_process *process,
					    struct task_struct *task,
					    struct mm_struct *mm,
					    const struct mp3_counts *delta,
					    bool exited)
{
	u64 rss_bytes;

	lockdep_assert_held(&mp3_sampler_lock);
	record->pid = process->tgid;
	record->min_flt = delta->min_flt;
	record->maj_flt = delta->maj_flt;
	record->cpu_ns = delta->cpu_ns;
	/* No lock: a name that is just being set may lack its NUL. */
	data_race(memcpy(record->comm, task->comm, sizeof(record->comm)));
	record->comm[sizeof(record->comm) - 1] = '\0';
	rss_bytes = mp3_rss(mm);
	/* Rare: the leader has exited before other threads. */
	if (unlikely(!rss_bytes) && !exited)
		rss_bytes = mp3_rss_of_threads(task);
	record->rss_bytes = rss_bytes;
}

/*
 * Set the bytes of a name after its NUL, which it has, to 0: a reader of a capture
 * must not see what is left of an older name.
 */
static __always_inline void mp3_pad_name(char name[TASK_COMM_LEN])
{
	const struct word_at_a_time constants = WORD_AT_A_TIME_CONSTANTS;
	unsigned long *word = (unsigned long *)name;
	unsigned long bits;

	BUILD_BUG_ON(TASK_COMM_LEN != 2 * sizeof(*word));
	/* As strscpy_pad() does, which is not inline */
	if (has_zero(word[0], &bits, &constants))
		word[1] = 0;
	else
		has_zero(*++word, &bits, &constants);
	bits = create_zero_mask(prep_zero_mask(*word, bits, &constants));
	*word &= zero_bytemask(bits);
}

/* Fill the identity record of a process. Caller is in an RCU read section. */
static void mp3_fill_identity(struct mp3_record *record,
			      const struct mp3_process *process)
{
	struct task_struct *task = process->task;

	record->flags = MP3_IDENTITY;
	record->ppid = process->ppid;
	record->uid = from_kuid(&init_user_ns, __task_cred(task)->uid);
	record->start_ns = task->start_time;
	record->cgroup_id = mp3_cgroup_id(task);
	record->reserved = 0;
}

/* Add to the next sample. Caller holds mp3_sampler_lock. */
static void mp3_add_to_sum(const struct mp3_counts *delta)
{
	mp3_sum.min_flt += delta->min_flt;
	mp3_sum.maj_flt += delta->maj_flt;
	mp3_sum.cpu_ns += delta->cpu_ns;
}

static __always_inline struct mp3_counts
mp3_subtract(const struct mp3_counts *counts, const struct mp3_counts *base)
{
	return (struct mp3_counts){
		.min_flt = counts->min_flt - base->min_flt,
		.maj_flt = counts->maj_flt - base->maj_flt,
		.cpu_ns = counts->cpu_ns - base->cpu_ns,
	};
}

static bool mp3_is_zero(const struct mp3_counts *counts)
{
	/* First what a process that has run nearly always has. */
	return !counts->cpu_ns && !counts->min_flt && !counts->maj_flt;
}

/*
 * Read the totals of a process, less @process->ended: only differences matter.
 * Returns true if it has exited. Caller holds mp3_sampler_lock and is in an RCU
 * read-side section.
 */
static bool mp3_read_totals(const struct mp3_process *process,
			    struct mp3_counts *counts)
{
	bool exited = mp3_read_counts(process->task, counts);

	lockdep_assert_held(&mp3_sampler_lock);
	*counts = mp3_subtract(counts, &process->ended);

	return exited;
}

/*
 * Append a record with the counts @delta to the ring of @holder, after
 * @identity if @flags have MP3_FIRST. @record has what is the same for all
 * holders. Caller holds mp3_sampler_lock.
 */
static void mp3_append_record(unsigned int holder, struct mp3_record *record,
			      const struct mp3_record *identity,
			      const struct mp3_counts *delta, u32 flags)
{
	struct mp3_ring *ring = mp3_holder_rings[holder];

	if (flags & MP3_FIRST)
		mp3_ring_append(ring, identity);
	record->flags = flags;
	record->min_flt = delta->min_flt;
	record->maj_flt = delta->maj_flt;
	record->cpu_ns = delta->cpu_ns;
	mp3_ring_append(ring, record);
}

/*
 * Emit a record of what is in @counts and not reported yet to each of @holders
 * that has something to report, with MP3_LAST to those in @last. Returns those
 * that are denied theirs. @exited: the process has released its memory. Caller
 * holds mp3_sampler_lock and is in an RCU read-side section.
 */
static noinline u64 mp3_emit_to(struct mp3_process *process,
				const struct mp3_counts *counts, u64 holders,
				u64 last, u64 time_ns, bool exited)
{
	struct mp3_record record __uninitialized, identity __uninitialized;
	struct mp3_counts classic __uninitialized, delta __uninitialized;
	u64 first = READ_ONCE(process->first) & holders;
	u64 flagged = first | last, denied, rest;

	lockdep_assert_held(&mp3_sampler_lock);
	if (unlikely(first)) {
		raw_spin_lock(&mp3_registry_lock);
		WRITE_ONCE(process->first, process->first & ~first);
		raw_spin_unlock(&mp3_registry_lock);
	}

	classic = mp3_subtract(counts, &process->reported);
	delta = mp3_subtract(counts, &process->captured);
	if (holders & MP3_CLASSIC_MASK)
		process->reported = *counts;
	process->captured = *counts;
	if (mp3_is_zero(&classic) && !(flagged & MP3_CLASSIC_MASK))
		holders &= ~MP3_CLASSIC_MASK;
	if (mp3_is_zero(&delta))
		holders &= flagged | MP3_CLASSIC_MASK;
	if (!holders)
		return 0;

	record.time_ns = time_ns;
	record.flags = 0;
	mp3_fill_record(&record, process, process->task, process->mm, &delta,
			exited);
	mp3_pad_name(record.comm);
	if (unlikely(first)) {
		identity = record;
		mp3_fill_identity(&identity, process);
	}
	denied = mp3_deny(process, holders);
	if (holders & MP3_CLASSIC_MASK)
		mp3_add_to_sum(&classic);
	holders &= ~denied;
	for (rest = holders & READ_ONCE(process->located); rest;
	     rest &= rest - 1)
		mp3_fault_ring_of(__ffs64(rest))->counted += delta.min_flt +
							     delta.maj_flt;
	/* Most holders get the same record, without a flag. */
	for (rest = holders & ~(flagged | MP3_CLASSIC_MASK); rest;
	     rest &= rest - 1)
		mp3_ring_append(mp3_holder_rings[__ffs64(rest)], &record);
	for (rest = holders & (flagged | MP3_CLASSIC_MASK); rest;
	     rest &= rest - 1) {
		unsigned int holder = __ffs64(rest);
		u32 flags = 0;

		if (first & BIT_ULL(holder))
			flags |= MP3_FIRST;
		if (last & BIT_ULL(holder))
			flags |= MP3_LAST;
		mp3_append_record(holder, &record, &identity,
				  holder == MP3_CLASSIC ? &classic : &delta,
				  flags);
	}

	return denied;
}

/*
 * Emit a record of what is in @counts and not reported yet of a process that
 * only the classic registry holds, if any count changed, or if it has @exited;
 * @task and @mm as for mp3_fill_record(). Not its first one. Caller holds
 * mp3_sampler_lock and is in an RCU read-side section.
 */
static __always_inline void mp3_emit_record(struct mp3_process *process,
					    struct task_struct *task,
					    struct mm_struct *mm,
					    const struct mp3_counts *counts,
					    bool exited)
{
	struct mp3_counts delta = mp3_subtract(counts, &process->reported);
	struct mp3_record *record;

	lockdep_assert_held(&mp3_sampler_lock);
	if (mp3_is_zero(&delta) && !exited)
		return;

	/* First, so that no register holds a count across the calls below. */
	process->reported = *counts;
	mp3_add_to_sum(&delta);
	record = mp3_ring_begin(mp3_record_ring, sizeof(*record) / 8, 1);
	record->flags = exited ? MP3_LAST : 0;
	mp3_fill_record(record, process, task, mm, &delta, exited);
	mp3_ring_publish(mp3_record_ring, record, mp3_sample_ns);
}

/*
 * Emit the last classic record of a process that U has unregistered. The caller
 * holds mp3_sampler_lock, and removes the entry if it has no holder; it is no
 * longer among the first ones.
 */
static void mp3_emit_unregistered(struct mp3_process *process, u64 time_ns)
{
	struct mp3_record record = { .time_ns = time_ns }, identity;

	lockdep_assert_held(&mp3_sampler_lock);
	rcu_read_lock();
	if (!thread_group_leader(process->task))
		mp3_pin_leader(process);
	mp3_update_mm(process);
	mp3_fill_record(&record, process, process->task, process->mm,
			&process->reported, false);
	identity = record;
	mp3_fill_identity(&identity, process);
	rcu_read_unlock();
	mp3_append_record(MP3_CLASSIC, &record, &identity, &process->reported,
			  process->unregistered);
	mp3_add_to_sum(&process->reported);
	raw_spin_lock(&mp3_registry_lock);
	process->unregistered = 0;
	raw_spin_unlock(&mp3_registry_lock);
	mp3_unlink(process);
	list_add_tail(&process->list, &mp3_processes.list);
}

/*
 * Return the time of a record that is emitted outside a tick; in a pause of a
 * tick, that of the tick, since records of it may still follow. Caller holds
 * mp3_sampler_lock.
 */
static u64 mp3_time_now(void)
{
	lockdep_assert_held(&mp3_sampler_lock);
	return mp3_ticking ? mp3_sample_ns : ktime_get_ns();
}

/*
 * Emit a record of a process outside a tick to its captures, except those in
 * @except, with MP3_LAST to those in @last. For all of them, its @counts, which
 * have just been read, are reported then. Returns the captures to unregister it
 * from. Caller holds mp3_sampler_lock.
 */
static u64 mp3_emit_now(struct mp3_process *process,
			const struct mp3_counts *counts, u64 except, u64 last)
{
	/* Pairs with the release store in mp3_hold(). */
	u64 captures = smp_load_acquire(&process->holders) & ~MP3_CLASSIC_MASK;
	u64 gone;

	lockdep_assert_held(&mp3_sampler_lock);
	rcu_read_lock();
	if (!thread_group_leader(process->task))
		mp3_pin_leader(process);
	mp3_update_mm(process);
	gone = last | mp3_emit_to(process, counts, captures & ~except, last,
				  mp3_time_now(), false);
	rcu_read_unlock();
	mp3_wake_all();

	return gone;
}

/*
 * Collect a process outside a tick: as mp3_emit_now() with its present counts
 * and without MP3_LAST. Caller holds mp3_sampler_lock.
 */
static u64 mp3_collect_now(struct mp3_process *process, u64 except)
{
	struct mp3_counts counts;

	rcu_read_lock();
	mp3_read_totals(process, &counts);
	rcu_read_unlock();

	return mp3_emit_now(process, &counts, except, 0);
}

/*
 * Emit the only record of a process that has exited, from its remains, to those of
 * @holders that have it, and unregister it from them. Caller holds mp3_sampler_lock.
 */
static void mp3_emit_remains(struct mp3_process *process, u64 holders,
			     u64 time_ns)
{
	const struct mp3_remains *remains = &process->remains;
	struct mp3_record record = {
		.time_ns = time_ns,
		.pid = process->tgid,
	}, identity;
	u64 rest;

	lockdep_assert_held(&mp3_sampler_lock);
	strscpy_pad(record.comm, remains->comm, sizeof(record.comm));
	identity = record;
	identity.flags = MP3_IDENTITY;
	identity.ppid = process->ppid;
	identity.uid = process->uid;
	identity.start_ns = process->start_ns;
	identity.cgroup_id = remains->cgroup_id;
	holders &= READ_ONCE(process->holders);
	if (holders & MP3_CLASSIC_MASK)
		mp3_add_to_sum(&remains->counts);
	for (rest = holders; rest; rest &= rest - 1) {
		unsigned int holder = __ffs64(rest);

		if (READ_ONCE(process->located) & BIT_ULL(holder))
			mp3_fault_ring_of(holder)->counted +=
				remains->counts.min_flt +
				remains->counts.maj_flt;
		mp3_append_record(holder, &record, &identity, &remains->counts,
				  MP3_FIRST | MP3_LAST);
	}
	mp3_unhold(process, holders);
}

/*
 * Read the totals of a process, whose pinned task is its leader afterwards, and
 * pin its memory descriptor. Returns true if it has exited: @counts are final.
 * Inline: a call would be a sixth of the cost of a process with eight threads.
 * Caller holds mp3_sampler_lock and is in an RCU read-side section.
 */
static __always_inline bool mp3_read_threads(struct mp3_process *process,
					     struct mp3_counts *counts)
{
	bool exited = mp3_read_totals(process, counts);

	lockdep_assert_held(&mp3_sampler_lock);
	mp3_handled += READ_ONCE(process->signal->nr_threads);
	process->switches = 0;
	if (!thread_group_leader(process->task))
		mp3_pin_leader(process);
	mp3_update_mm(process);

	return exited;
}

/*
 * Set @process->ended from the signal_struct, and @process->seq to @seq. Of each
 * count, @ended and what was reported together stay the same: what a writer of
 * stats_lock makes this read is harmless until mp3_read_thread() finds its sequence
 * number. Caller holds mp3_sampler_lock.
 */
static noinline void mp3_update_ended(struct mp3_process *process,
				      unsigned int seq)
{
	const struct signal_struct *signal = process->signal;
	const struct mp3_counts ended = {
		.min_flt = READ_ONCE(signal->min_flt),
		.maj_flt = READ_ONCE(signal->maj_flt),
		.cpu_ns = READ_ONCE(signal->sum_sched_runtime),
	};
	struct mp3_counts growth = mp3_subtract(&ended, &process->ended);

	lockdep_assert_held(&mp3_sampler_lock);
	process->ended = ended;
	process->seq = seq;
	process->reported = mp3_subtract(&process->reported, &growth);
	process->captured = mp3_subtract(&process->captured, &growth);
}

/*
 * Do what mp3_read_totals() does, from half as many cache lines, for a process whose
 * single thread is its pinned @task and that still has @mm, its pinned memory
 * descriptor, so that it had not exited; mp3_has_run() has returned @switches.
 * Otherwise, or if a writer of stats_lock is at work, returns false: use
 * mp3_read_threads(). Caller holds mp3_sampler_lock and is in an RCU read-side section.
 */
static __always_inline bool mp3_read_thread(struct mp3_process *process,
					    const struct task_struct *task,
					    const struct mm_struct *mm,
					    u64 switches,
					    struct mp3_counts *counts)
{
	struct signal_struct *signal = process->signal;
	unsigned int seq;

	lockdep_assert_held(&mp3_sampler_lock);
	/* A task in exit gives it up before it sets exit_state. */
	if (unlikely(!mm || mm != READ_ONCE(task->mm)))
		return false;
	seq = read_seqbegin(&signal->stats_lock);
	/*
	 * A thread is counted before it is linked, and both end in one write
	 * section. After exec by another thread, @task is not linked.
	 */
	if (unlikely(READ_ONCE(signal->nr_threads) != 1 ||
		     READ_ONCE(signal->thread_head.next) != &task->thread_node)) {
		/* Every read section ends so, for KCSAN. */
		read_seqretry(&signal->stats_lock, seq);
		return false;
	}
	if (unlikely(seq != process->seq))
		mp3_update_ended(process, seq);
	counts->min_flt = READ_ONCE(task->min_flt);
	counts->maj_flt = READ_ONCE(task->maj_flt);
	counts->cpu_ns = READ_ONCE(task->se.sum_exec_runtime);
	if (read_seqretry(&signal->stats_lock, seq))
		return false;
	/* A single thread that is off the CPU cannot create others. */
	process->switches = switches;

	return true;
}

/*
 * Collect a process with any holders, with a first record due, or with a last
 * classic one, in records of @time_ns; unregister it where it has exited or is
 * denied. @switches are those of its task. Caller holds mp3_sampler_lock and is
 * in an RCU read-side section.
 */
static noinline void mp3_collect_shared(struct mp3_process *process,
					u64 switches, u64 time_ns)
{
	struct mp3_counts counts __uninitialized;
	bool exited = false;
	u64 holders, last;

	lockdep_assert_held(&mp3_sampler_lock);
	if (!process->signal) {
		mp3_emit_remains(process, ~0ULL, time_ns);
		return;
	}
	if (unlikely(process->unregistered)) {
		mp3_emit_unregistered(process, time_ns);
		if (mp3_unhold(process, 0))
			return;
		/* Its pinned task may be another one now. */
		switches = 0;
	}
	if (!mp3_read_thread(process, process->task, process->mm, switches,
			     &counts))
		exited = mp3_read_threads(process, &counts);
	/* Pairs with the release store in mp3_hold(). */
	holders = smp_load_acquire(&process->holders);
	/* F is about to authorize it, or to leave it out. */
	if (unlikely(!list_empty(&process->unauthorized))) {
		process->switches = 0;
		return;
	}
	last = exited ? holders : 0;
	last |= mp3_emit_to(process, &counts, holders, last, time_ns, exited);
	if (unlikely(last))
		mp3_unhold(process, last);
}

/*
 * Interrupt a walk of the tick through mp3_processes, which continues with @next.
 * Returns the element to continue with: @next, or the one after it if @next has
 * been removed.
 */
static struct list_head *mp3_pause(struct list_head *next)
	__must_hold(&mp3_sampler_lock) __must_hold(RCU)
{
	mp3_cursor = next;
	rcu_read_unlock();
	spin_unlock(&mp3_sampler_lock);
	cond_resched();
	spin_lock(&mp3_sampler_lock);
	rcu_read_lock();
	next = mp3_cursor;
	mp3_cursor = NULL;

	return next;
}

/*
 * Have @collect collect each process that is in mp3_processes now; it returns true
 * if that was quick. @prefetch: @collect calls mp3_has_run(), so prefetch what that
 * reads. Only the tick walks. Caller holds mp3_sampler_lock, which is released in
 * between.
 */
static __always_inline void
mp3_walk(bool (*collect)(struct mp3_process *process), bool prefetch)
	__must_hold(&mp3_sampler_lock)
{
	struct list_head *at, *next = mp3_processes.list.next, *last;
	unsigned int left;
	bool quick;

	lockdep_assert_held(&mp3_sampler_lock);
	WRITE_ONCE(mp3_kicked, false);
	mp3_walk_last = mp3_processes.list.prev;
	last = mp3_walk_last;
	/*
	 * One RCU section for many processes: one for each would be much of the
	 * cost.
	 */
	rcu_read_lock();
	while (next != &mp3_processes.list) {
		left = MP3_RESCHED_BATCH;
		do {
			at = next;
			next = at->next;
			if (prefetch)
				mp3_prefetch_task(list_entry(next,
							     struct mp3_process,
							     list)->task);
			quick = collect(list_entry(at, struct mp3_process,
						   list));
		} while (quick && --left && at != last);
		if (at == last)
			break;
		/* One that was not quick has not been counted down. */
		mp3_handled += MP3_RESCHED_BATCH - left + !quick;
		if (mp3_handled < MP3_BATCH && !need_resched())
			continue;
		next = mp3_pause(next);
		last = mp3_walk_last;
		mp3_handled = 0;
	}
	rcu_read_unlock();
	mp3_walk_last = NULL;
}

/*
 * Collect a process that only the classic registry holds, and that has several
 * threads or has exited. Caller holds mp3_sampler_lock and is in an RCU
 * read-side section.
 */
static noinline void mp3_collect_threads(struct mp3_process *process)
{
	struct mp3_counts counts __uninitialized;
	bool exited = mp3_read_threads(process, &counts);

	lockdep_assert_held(&mp3_sampler_lock);
	mp3_emit_record(process, process->task, process->mm, &counts, exited);
	if (exited)
		mp3_unhold(process, MP3_CLASSIC_MASK);
}

/*
 * Collect a process at a tick: emit its record, and remove it if it has exited or
 * been unregistered. Returns true if that was quick: at most one record of one
 * thread. Caller holds mp3_sampler_lock and is in an RCU read-side section.
 */
static __always_inline bool mp3_collect(struct mp3_process *process)
{
	struct mp3_counts counts __uninitialized;
	struct task_struct *task;
	struct mm_struct *mm;
	u64 switches;

	lockdep_assert_held(&mp3_sampler_lock);
	/* Only then is all collected reported, and is there always a task. */
	if (unlikely(READ_ONCE(process->first))) {
		mp3_collect_shared(process, 0, mp3_sample_ns);
		return false;
	}
	task = process->task;
	if (!mp3_has_run(process, task, &switches))
		return true;
	if (READ_ONCE(process->holders) != MP3_CLASSIC_MASK) {
		mp3_collect_shared(process, switches, mp3_sample_ns);
		return false;
	}
	mm = process->mm;
	if (likely(mp3_read_thread(process, task, mm, switches, &counts))) {
		mp3_emit_record(process, task, mm, &counts, false);
		return true;
	}
	mp3_collect_threads(process);

	return false;
}

/*
 * Collect a process between two deadlines if it has exited. The last classic one
 * waits for the sample that it belongs to. Returns as mp3_collect(). Caller holds
 * mp3_sampler_lock and is in an RCU read-side section.
 */
static __always_inline bool mp3_collect_if_exited(struct mp3_process *process)
{
	struct mp3_counts counts;

	lockdep_assert_held(&mp3_sampler_lock);
	if (process->signal) {
		if (atomic_read(&process->signal->live))
			return true;
		/* Its threads are read at each walk until all have exited. */
		mp3_handled += READ_ONCE(process->signal->nr_threads);
		if (!mp3_read_counts(process->task, &counts))
			return false;
	}
	if (READ_ONCE(process->holders) & MP3_CLASSIC_MASK &&
	    READ_ONCE(mp3_nr_held[MP3_CLASSIC]) == 1)
		return false;
	mp3_collect_shared(process, 0, mp3_time_now());

	return false;
}

/*
 * Return whether so many processes may have exited that they are collected before
 * the deadline, unless that is near. Caller holds mp3_sampler_lock.
 */
static bool mp3_may_many_have_exited(u64 now)
{
	lockdep_assert_held(&mp3_sampler_lock);
	return mp3_deadline - now > MP3_TURN * TICK_NSEC &&
	       (READ_ONCE(mp3_nr_processes) >= MP3_MAX_EXITED / 2 ||
		READ_ONCE(mp3_kicked));
}

/*
 * Collect the processes that have exited, between two deadlines: until then, they
 * hold memory. Caller holds mp3_sampler_lock, which is released in between.
 */
static void mp3_collect_exited(void)
	__must_hold(&mp3_sampler_lock)
{
	u64 start = ktime_get_ns();

	lockdep_assert_held(&mp3_sampler_lock);
	mp3_splice_pending();
	mp3_walk(mp3_collect_if_exited, false);
	mp3_cost_ns += ktime_get_ns() - start;
	mp3_update_headers();
	mp3_publish_all_processes();
	mp3_wake_all();
}

/*
 * If a process has been reaped before its first record, keep what its records will
 * contain, and release its task: with it, the kernel frees about 8 KiB, which the next
 * process can use. From then on, mp3_find() does not find the entry, since the next
 * process may also have the same signal_struct. Caller holds mp3_sampler_lock and is
 * in an RCU read-side section.
 */
static void mp3_keep_remains(struct mp3_process *process)
{
	struct task_struct *task = process->task;
	/* Pairs with the release store in mp3_hold(). */
	u64 holders = smp_load_acquire(&process->holders);
	struct mp3_remains remains;
	u64 denied;

	lockdep_assert_held(&mp3_sampler_lock);
	if (!process->signal || atomic_read(&process->signal->live))
		return;
	/* Not if a base is needed, or U or F has something to do first. */
	if (READ_ONCE(process->first) != holders || process->unregistered ||
	    !list_empty(&process->unauthorized) ||
	    !mp3_is_zero(&process->reported) ||
	    !mp3_is_zero(&process->captured) || process->seq != 1)
		return;
	/* Until each thread has been reaped, counts can grow. */
	if (!list_empty(&process->signal->thread_head))
		return;
	mp3_read_counts(task, &remains.counts);
	memcpy(remains.comm, task->comm, sizeof(remains.comm));
	remains.cgroup_id = mp3_cgroup_id(task);
	denied = mp3_deny(process, holders);
	if (denied && mp3_unhold(process, denied))
		return;

	/* F may have found that it was denied, which pins it. @task is @uid below. */
	mp3_update_mm(process);
	process->remains = remains;
	process->start_ns = task->start_time;
	process->uid = from_kuid(&init_user_ns, __task_cred(task)->uid);
	/* Before it can be freed. Pairs with the load in mp3_find(). */
	WRITE_ONCE(process->signal, NULL);
	put_task_struct(task);
}

/*
 * Work function: keep the remains of those of the last processes registered that have
 * been reaped. Of processes that a loop forks and waits for, these are most.
 */
static void mp3_release_exited(struct kthread_work *work)
{
	unsigned int budget = MP3_RECENT;
	struct list_head *at;
	u64 start;

	spin_lock(&mp3_sampler_lock);
	start = ktime_get_ns();
	mp3_splice_pending();
	rcu_read_lock();
	for (at = mp3_processes.list.prev;
	     at != &mp3_processes.list && budget; budget--) {
		struct mp3_process *process =
			list_entry(at, struct mp3_process, list);

		at = at->prev;
		mp3_keep_remains(process);
		if (need_resched())
			break;
	}
	rcu_read_unlock();
	mp3_cost_ns += ktime_get_ns() - start;
	/* The last one may have been denied, and the next tick be far away. */
	if (!READ_ONCE(mp3_nr_processes)) {
		mp3_publish_all_processes();
		mp3_wake_all();
	}
	spin_unlock(&mp3_sampler_lock);
}

/*
 * Emit a sample of mp3_sum, for the period from @since_ns to mp3_sample_ns, and
 * reset it. Caller holds mp3_sampler_lock.
 */
static void mp3_emit_sample(u64 since_ns)
{
	u64 period = max(mp3_sample_ns - since_ns, mp3_interval_ns);
	struct mp3_sample *sample;

	lockdep_assert_held(&mp3_sampler_lock);
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
	mp3_sum = (struct mp3_counts){};
	mp3_sample_due = false;
}

/*
 * Emit the last records and the last sample of the classic registry: U has
 * unregistered the last process. Caller holds mp3_sampler_lock, which is released
 * in between.
 */
static void mp3_sample_last(void)
	__must_hold(&mp3_sampler_lock)
{
	u64 since_ns = mp3_sample_ns;
	unsigned int budget = MP3_BATCH;
	struct mp3_process *process;

	lockdep_assert_held(&mp3_sampler_lock);
	mp3_stamp(ktime_get_ns());
	mp3_sample_due = true;
	while (!list_empty(&mp3_processes.list)) {
		process = list_first_entry(&mp3_processes.list, struct mp3_process,
					   list);
		if (!process->unregistered)
			break;
		mp3_emit_unregistered(process, mp3_sample_ns);
		mp3_unhold(process, 0);
		if (--budget)
			continue;
		budget = MP3_BATCH;
		spin_unlock(&mp3_sampler_lock);
		cond_resched();
		spin_lock(&mp3_sampler_lock);
		/* The next tick makes the sample if one has been registered. */
		if (READ_ONCE(mp3_nr_held[MP3_CLASSIC]))
			return;
	}
	mp3_update_headers();
	mp3_emit_sample(since_ns);
	mp3_last_jiffies = get_jiffies_64();
}

/*
 * The same if the classic registry is empty and has such records left: they wait for
 * a tick, and none may follow. Caller holds mp3_sampler_lock, which is released in
 * between.
 */
static void mp3_sample_leftover(void)
	__must_hold(&mp3_sampler_lock)
{
	struct mp3_process *process =
		list_first_entry_or_null(&mp3_processes.list, struct mp3_process,
					 list);

	lockdep_assert_held(&mp3_sampler_lock);
	if (process && process->unregistered &&
	    !READ_ONCE(mp3_nr_held[MP3_CLASSIC]))
		mp3_sample_last();
}

/*
 * Emit the records and the sample of everything since the last ones, up to now,
 * @now_ns. Without a process in the classic registry, there is no sample. Caller
 * holds mp3_sampler_lock, which is released in between.
 */
static void mp3_sample_all(u64 now_ns)
	__must_hold(&mp3_sampler_lock)
{
	u64 since_ns = mp3_sample_ns;

	lockdep_assert_held(&mp3_sampler_lock);
	mp3_stamp(now_ns);
	if (!list_empty(&mp3_pending))
		mp3_splice_pending();
	if (READ_ONCE(mp3_nr_held[MP3_CLASSIC]))
		mp3_sample_due = true;
	mp3_ticking = true;
	mp3_walk(mp3_collect, true);
	mp3_ticking = false;
	/* The processes just removed may have forked before. */
	if (!list_empty(&mp3_pending))
		mp3_splice_pending();
	mp3_ticks++;
	mp3_update_headers();
	/* Not if U of the last process has made it in a pause. */
	if (mp3_sample_due)
		mp3_emit_sample(since_ns);
	/* U in a pause precedes the walk, which may have found the others exited. */
	mp3_sample_leftover();
	mp3_publish_all_processes();
	mp3_wake_all();
}

/*
 * Handle the last deadline up to @now, and count those before it as missed.
 * Caller holds mp3_sampler_lock, which is released in between.
 */
static void mp3_handle_deadline(u64 now)
	__must_hold(&mp3_sampler_lock)
{
	u64 start = ktime_get_ns();
	u64 missed = div64_u64(now - mp3_deadline, mp3_interval_ns);

	lockdep_assert_held(&mp3_sampler_lock);
	mp3_deadline += (missed + 1) * mp3_interval_ns;
	mp3_missed += missed;
	mp3_sample_all(start);
	mp3_cost_ns += ktime_get_ns() - start;
	mp3_update_costs();
}

/*
 * Work function: sample on the grid; rearm while a process is registered. When a
 * command removes the last one, one more run follows.
 */
static void mp3_tick(struct kthread_work *work)
{
	u64 now;

	spin_lock(&mp3_sampler_lock);
	/*
	 * Before the deadline, this is a step towards a distant one, many
	 * processes may have exited, or the grid has been restarted since this
	 * run was due.
	 */
	now = mp3_grid_now();
	if (READ_ONCE(mp3_nr_processes)) {
		if (now >= mp3_deadline)
			mp3_handle_deadline(now);
		else if (mp3_may_many_have_exited(now))
			mp3_collect_exited();
	}
	/*
	 * Commands and closed captures publish only their own holder. The last
	 * process may have been denied to another one.
	 */
	if (READ_ONCE(mp3_nr_processes)) {
		mp3_arm();
	} else {
		mp3_publish_all_processes();
		mp3_wake_all();
	}
	spin_unlock(&mp3_sampler_lock);
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

	spin_lock(&mp3_sampler_lock);
	mp3_interval_ms = ms;
	mp3_interval_ns = max_t(u64, ms * NSEC_PER_MSEC, TICK_NSEC);
	mp3_update_headers();
	if (READ_ONCE(mp3_nr_processes))
		mp3_start_grid();
	spin_unlock(&mp3_sampler_lock);

	return 0;
}

static const struct kernel_param_ops mp3_interval_ops = {
	.set = mp3_set_interval,
	.get = param_get_uint,
};
module_param_cb(interval_ms, &mp3_interval_ops, &mp3_interval_ms, 0644);
MODULE_PARM_DESC(interval_ms, "sampling interval, 1..10000 ms (default 50)");

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
	INIT_LIST_HEAD(&process->unauthorized);
	if (!mp3_pin(process, task)) {
		kfree(process);
		return ERR_PTR(-ESRCH);
	}

	return process;
}

/*
 * Register a process that is in the table in @holder, and follow it if
 * @follow_id is not 0. In the classic registry it starts from its present counts;
 * in a capture, from those at the mp3_authorize() that must follow. Returns 0;
 * 1 if it was registered and is followed from now on, too; or -EEXIST if it is
 * registered and, with a @follow_id, followed already. Caller holds
 * mp3_sampler_lock.
 */
static int mp3_join(struct mp3_process *process, unsigned int holder,
		    u64 follow_id)
{
	u64 mask = BIT_ULL(holder);
	struct mp3_counts base;
	bool held = READ_ONCE(process->holders) & mask;

	lockdep_assert_held(&mp3_sampler_lock);
	if (held && (!follow_id || READ_ONCE(process->followers) & mask))
		return -EEXIST;

	if (!held && holder == MP3_CLASSIC) {
		rcu_read_lock();
		mp3_read_totals(process, &base);
		rcu_read_unlock();
		/*
		 * The next record also has what was collected for an earlier
		 * registration and not reported yet.
		 */
		if (process->unregistered) {
			process->reported = mp3_subtract(&base,
							 &process->reported);
			mp3_unlink(process);
			list_add_tail(&process->list, &mp3_processes.list);
		} else {
			process->reported = base;
		}
	}

	raw_spin_lock(&mp3_registry_lock);
	if (holder == MP3_CLASSIC)
		process->unregistered = 0;
	if (!held)
		mp3_hold(process, mask);
	if (follow_id) {
		mp3_add_followers(process, mask);
		WRITE_ONCE(process->follow_id, follow_id);
	}
	raw_spin_unlock(&mp3_registry_lock);

	return held;
}

/* Return the captures that have a process, except @holder. */
static u64 mp3_others_than(const struct mp3_process *process,
			   unsigned int holder)
{
	return READ_ONCE(process->holders) &
	       ~(BIT_ULL(holder) | MP3_CLASSIC_MASK);
}

/*
 * Complete a registration in @holder that was made with the permission checked
 * before. For a capture, check it again: the process may have executed a
 * privileged program in between; from here on, the exec probe notes that. If it
 * is denied, unregister it. Otherwise let it start from its present counts; its
 * other captures receive a record of what precedes. Returns false if it is
 * denied. Caller holds mp3_sampler_lock.
 */
static bool mp3_authorize(const struct mp3_caller *caller,
			  unsigned int holder, struct task_struct *task)
{
	struct mp3_process *process;
	u64 mask = BIT_ULL(holder);
	bool denied;

	lockdep_assert_held(&mp3_sampler_lock);
	if (holder == MP3_CLASSIC)
		return true;
	process = mp3_find(task->signal);
	/* It is removed from mp3_processes if it is denied. */
	mp3_splice_pending();
	if (!process)
		return true;
	denied = (mp3_unprivileged & mask) &&
		 mp3_may_profile(caller, task) == -EPERM;
	if (denied) {
		mp3_unhold(process, mask);
		return false;
	}
	if (caller->early && mp3_others_than(process, holder))
		*caller->early = true;
	mp3_unhold(process, mp3_collect_now(process, mask));

	return true;
}

/*
 * Register the process of @new in @holder from its present counts on, and
 * follow it if @follow_id is not 0. Sets @inserted if @new is now in the table;
 * otherwise the caller frees it. Caller holds mp3_sampler_lock.
 *
 * Returns 0, -ESRCH if the process has exited, -EEXIST if it is registered and,
 * with a @follow_id, followed already, or -EPERM if it may not be profiled
 * by @caller any longer.
 */
static int mp3_insert(const struct mp3_caller *caller, struct mp3_process *new,
		      unsigned int holder, u64 follow_id, bool *inserted)
{
	struct mp3_process *found;
	bool exited, many = false;
	int err = 0;

	lockdep_assert_held(&mp3_sampler_lock);
	*inserted = false;
	rcu_read_lock();
	exited = mp3_read_counts(new->task, &new->reported);
	rcu_read_unlock();
	if (exited)
		return -ESRCH;

	if (!READ_ONCE(mp3_nr_processes))
		mp3_start_grid();
	if (holder == MP3_CLASSIC && !READ_ONCE(mp3_nr_held[MP3_CLASSIC]))
		mp3_stamp(ktime_get_ns());
	raw_spin_lock(&mp3_registry_lock);
	found = mp3_find(new->signal);
	if (!found) {
		new->captured = new->reported;
		new->follow_id = follow_id;
		mp3_hold(new, BIT_ULL(holder));
		if (follow_id)
			mp3_add_followers(new, BIT_ULL(holder));
		many = mp3_hash_add(new);
		*inserted = true;
	}
	raw_spin_unlock(&mp3_registry_lock);
	if (many)
		mp3_kick();
	if (found)
		err = mp3_join(found, holder, follow_id);
	mp3_splice_pending();
	if (!err && !mp3_authorize(caller, holder, new->task))
		err = -EPERM;
	mp3_publish_processes(holder);

	return err < 0 ? err : 0;
}

/*
 * Return whether R or U of @holder may have a process collected for its other
 * captures now: not before F has authorized it for them; and at most once per
 * turn, since users could fill the rings of others otherwise, or if it is the
 * caller's @turn. Caller holds mp3_sampler_lock.
 */
static bool mp3_may_collect_now(struct mp3_process *process,
				unsigned int holder, bool turn)
{
	u64 now = get_jiffies_64();

	lockdep_assert_held(&mp3_sampler_lock);
	if (holder == MP3_CLASSIC || !mp3_others_than(process, holder))
		return true;
	if (!list_empty(&process->unauthorized))
		return false;
	if (!turn && time_before64(now, process->collected + MP3_TURN))
		return false;
	process->collected = now;

	return true;
}

/*
 * Execute R: profile the process of @task in @holder from now on. Unless it is
 * the caller's @turn, it may be too early. Returns 0, -EAGAIN if it is, -ENOMEM,
 * or an error of mp3_insert().
 */
static int mp3_register(const struct mp3_caller *caller, unsigned int holder,
			struct task_struct *task, bool turn)
{
	struct mp3_process *process = mp3_process_alloc(task);
	struct mp3_process *found;
	bool inserted = false;
	int err;

	if (IS_ERR(process))
		return PTR_ERR(process);

	spin_lock(&mp3_sampler_lock);
	found = mp3_find(task->signal);
	if (found && !(READ_ONCE(found->holders) & BIT_ULL(holder)) &&
	    !mp3_may_collect_now(found, holder, turn))
		err = -EAGAIN;
	else
		err = mp3_insert(caller, process, holder, 0, &inserted);
	spin_unlock(&mp3_sampler_lock);
	if (!inserted)
		mp3_process_free(process);

	return err;
}

/*
 * Unregister a process, whose @counts have just been read, from @holder. Its
 * captures have its record at once. The classic record waits for the next tick,
 * so that users cannot fill that ring at will. Caller holds mp3_sampler_lock.
 */
static void mp3_leave(struct mp3_process *process,
		      const struct mp3_counts *counts, unsigned int holder)
{
	u64 mask = BIT_ULL(holder);
	u8 flags = MP3_LAST;

	lockdep_assert_held(&mp3_sampler_lock);
	if (holder != MP3_CLASSIC) {
		mp3_unhold(process, mp3_emit_now(process, counts, 0, mask));
		return;
	}
	process->reported = mp3_subtract(counts, &process->reported);
	/* Have the next tick meet it, and mp3_sample_last() before others. */
	process->switches = 0;
	mp3_unlink(process);
	list_add(&process->list, &mp3_processes.list);
	raw_spin_lock(&mp3_registry_lock);
	if (process->first & mask)
		flags |= MP3_FIRST;
	process->unregistered = flags;
	raw_spin_unlock(&mp3_registry_lock);
	mp3_unhold(process, mask);
}

/*
 * Return whether U of @holder may make a sample now, if it unregisters the last
 * process in the classic registry: at most once per turn, since users could
 * overwrite all samples in no time otherwise, or if it is the caller's @turn.
 * Caller holds mp3_sampler_lock.
 */
static bool mp3_may_sample_now(unsigned int holder, bool turn)
{
	lockdep_assert_held(&mp3_sampler_lock);
	return holder != MP3_CLASSIC || turn ||
	       READ_ONCE(mp3_nr_held[MP3_CLASSIC]) > 1 ||
	       time_after_eq64(get_jiffies_64(), mp3_last_jiffies + MP3_TURN);
}

/*
 * Return whether U of @holder may remove an entry now: not if too many wait to be
 * freed by RCU, or if it is the caller's @turn.
 */
static bool mp3_may_retire_now(unsigned int holder, bool turn)
{
	return holder == MP3_CLASSIC || turn ||
	       atomic_read(&mp3_nr_retired) < MP3_MAX_RETIRED;
}

/*
 * Execute U: collect the counts of the process of @task one last time for
 * @holder, and stop profiling it there. On return, the last records are in a
 * capture's ring and, if no other process is in the classic registry, in the
 * classic rings with the last sample. Unless it is the caller's @turn, it may be
 * too early. Returns 0, -EAGAIN if it is, or -ESRCH.
 */
static int mp3_unregister(unsigned int holder, struct task_struct *task,
			  bool turn)
{
	struct mp3_process *process;
	struct mp3_counts counts;
	int err = -ESRCH;
	bool live;

	spin_lock(&mp3_sampler_lock);
	process = mp3_find(task->signal);
	/* It may be a child that no tick has seen yet. */
	mp3_splice_pending();
	rcu_read_lock();
	/* The next tick collects a process that has exited. */
	live = process && READ_ONCE(process->holders) & BIT_ULL(holder) &&
	       !mp3_read_totals(process, &counts);
	rcu_read_unlock();
	if (live && (!mp3_may_sample_now(holder, turn) ||
		     !mp3_may_retire_now(holder, turn) ||
		     !mp3_may_collect_now(process, holder, turn))) {
		err = -EAGAIN;
	} else if (live) {
		err = 0;
		mp3_leave(process, &counts, holder);
		mp3_splice_pending();
		if (holder == MP3_CLASSIC &&
		    !READ_ONCE(mp3_nr_held[MP3_CLASSIC]))
			mp3_sample_last();
		mp3_publish_processes(holder);
		mp3_wake_all();
	}
	spin_unlock(&mp3_sampler_lock);

	return err;
}

/* Unregister a process from the holder @mask, without a record. */
static void mp3_drop(struct mp3_process *process, u64 mask)
{
	mp3_unhold(process, mask);
}

/*
 * Drop all registrations of @holder: without records, since nothing can read
 * them. No F is at work for it. Caller holds no lock.
 */
static void mp3_unregister_all(unsigned int holder)
{
	raw_spin_lock(&mp3_registry_lock);
	mp3_closing |= BIT_ULL(holder);
	raw_spin_unlock(&mp3_registry_lock);
	mp3_for_each_held(holder, mp3_drop);
	spin_lock(&mp3_sampler_lock);
	raw_spin_lock(&mp3_registry_lock);
	mp3_closing &= ~BIT_ULL(holder);
	raw_spin_unlock(&mp3_registry_lock);
	spin_unlock(&mp3_sampler_lock);
}

/*
 * Stop sampling. No new registrations can appear: the proc file, captures and
 * the fork probe are gone.
 */
static void mp3_stop_sampling(void)
{
	mp3_unregister_all(MP3_CLASSIC);
	/* Entries without a holder may have a record due. */
	spin_lock(&mp3_sampler_lock);
	mp3_sample_last();
	spin_unlock(&mp3_sampler_lock);
	/* With nothing registered, neither tick nor parameter arms it again. */
	kthread_cancel_work_sync(&mp3_kick_work);
	kthread_cancel_delayed_work_sync(&mp3_tick_work);
	cancel_delayed_work_sync(&mp3_detach_work);
	rcu_barrier();
}

/* ---- Gates ---- */

/* The gates of the users that have a command which needs one */
static DEFINE_SPINLOCK(mp3_gates_lock);
static DEFINE_HASHTABLE(mp3_gates, 8);	/* protected by mp3_gates_lock */

/**
 * struct mp3_gate - what makes the commands of one user wait for each other
 * @hash:	links it into mp3_gates
 * @ns:		the user namespace that counts as the user, or &init_user_ns
 * @uid:	the user, in which case @ns is &init_user_ns
 * @nr_users:	the commands, and the pauses of F, that use it (mp3_gates_lock)
 * @follow:	taken by F until it has been executed and its pause is over
 * @turn:	held by R or U while it waits for its turn, or reads many threads
 */
struct mp3_gate {
	struct hlist_node hash;
	const struct user_namespace *ns;
	kuid_t uid;
	unsigned int nr_users;
	struct semaphore follow;	/* F */
	struct mutex turn;		/* R, U */
};

/*
 * Return the gate of the calling user, for mp3_gate_put(), or NULL if there is no
 * memory. There is one as long as a command of that user, or its pause, needs it. In
 * a user namespace, a user may have any number of ids: there, the owner of the namespace
 * counts or, if root has created it, the namespace. The credentials of each caller
 * pin the namespace, so no other one can have its address while the gate exists.
 */
static struct mp3_gate *mp3_gate_get(void)
{
	struct mp3_gate *new = kmalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	const struct user_namespace *ns = current_user_ns();
	kuid_t uid = current_uid();
	struct mp3_gate *gate;
	unsigned long key;

	if (!new)
		return NULL;
	if (ns != &init_user_ns) {
		while (ns->parent != &init_user_ns)
			ns = ns->parent;
		uid = ns->owner;
		if (!uid_eq(uid, GLOBAL_ROOT_UID))
			ns = &init_user_ns;
	}
	new->ns = ns;
	new->uid = uid;
	new->nr_users = 0;
	sema_init(&new->follow, 1);
	mutex_init(&new->turn);

	key = (unsigned long)ns + __kuid_val(uid);
	spin_lock(&mp3_gates_lock);
	hash_for_each_possible(mp3_gates, gate, hash, key)
		if (gate->ns == ns && uid_eq(gate->uid, uid))
			break;
	if (!gate) {
		gate = new;
		new = NULL;
		hash_add(mp3_gates, &gate->hash, key);
	}
	gate->nr_users++;
	spin_unlock(&mp3_gates_lock);
	kfree(new);

	return gate;
}

/*
 * Free a gate if no other command uses it. A caller counts until mutex_unlock() or
 * up() has returned, so the next holder cannot free the gate under it.
 */
static void mp3_gate_put(struct mp3_gate *gate)
{
	bool last;

	spin_lock(&mp3_gates_lock);
	last = !--gate->nr_users;
	if (last)
		hash_del(&gate->hash);
	spin_unlock(&mp3_gates_lock);
	if (!last)
		return;
	mutex_destroy(&gate->turn);
	kfree(gate);
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
#define MP3_MAX_RESTARTS	4	/* of a scan, before it goes on without pauses */

static struct tracepoint *mp3_fork_tracepoint;
static struct tracepoint *mp3_exec_tracepoint;
static struct tracepoint *mp3_exception_tracepoints[2];	/* user, kernel */

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
		INIT_LIST_HEAD(&process->unauthorized);
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
 * Register @task in @followers, which follow its parent, from its counts @base
 * on, and let them follow it; @secure is that of its parent. @authorized is
 * false if F still has to check its caller's permission. Caller holds
 * mp3_registry_lock.
 *
 * Returns 0, with @many set to whether mp3_kick() is due; 1 if it was registered
 * already; -ENOMEM if the reserve is empty; or -ESRCH if @task has been reaped.
 */
static int mp3_follow_child(struct task_struct *task, u64 followers, u64 secure,
			    u64 follow_id, const struct mp3_counts *base,
			    bool authorized, bool *many)
{
	struct mp3_process *child;

	lockdep_assert_held(&mp3_registry_lock);
	child = mp3_find(task->signal);
	if (child) {
		/*
		 * It was registered after it had appeared in the kernel's list
		 * of processes, and has not run: all holders have the same
		 * base. If U has unregistered it, it stays so.
		 */
		if (child->unregistered)
			followers &= ~MP3_CLASSIC_MASK;
		/* First: mp3_collect_shared() loads it after the holders. */
		if (!authorized)
			list_move_tail(&child->unauthorized, &mp3_unauthorized);
		mp3_hold(child, followers & ~child->holders);
		mp3_add_followers(child, followers);
		WRITE_ONCE(child->secure, child->secure | (secure & followers));
		return 1;
	}
	if (list_empty(&mp3_reserve))
		return -ENOMEM;
	child = list_first_entry(&mp3_reserve, struct mp3_process, list);
	if (!mp3_pin(child, task))
		return -ESRCH;
	list_del(&child->list);
	WRITE_ONCE(mp3_nr_reserve, mp3_nr_reserve - 1);
	child->reported = *base;
	child->captured = *base;
	if (!authorized)
		list_add_tail(&child->unauthorized, &mp3_unauthorized);
	child->follow_id = follow_id;
	child->secure = secure & followers;
	mp3_hold(child, followers);
	mp3_add_followers(child, followers);
	*many = mp3_hash_add(child);

	return 0;
}

/* Count a process that @followers could not follow. */
static void mp3_count_dropped(u64 followers)
{
	lockdep_assert_held(&mp3_registry_lock);
	for (; followers; followers &= followers - 1) {
		unsigned int holder = __ffs64(followers);

		WRITE_ONCE(mp3_dropped[holder], mp3_dropped[holder] + 1);
	}
}

/*
 * Return whether F in progress, @follow_id of @holder, follows a process.
 * Caller is in an RCU read-side section, or holds a lock as for mp3_find().
 */
static bool mp3_is_adopted(const struct mp3_process *process,
			   unsigned int holder, u64 follow_id)
{
	return process && READ_ONCE(process->follow_id) == follow_id &&
	       READ_ONCE(process->followers) & BIT_ULL(holder);
}

/*
 * Return the nearest ancestor of @task that F, @follow_id of @holder, follows,
 * or NULL. Caller is in an RCU read-side section.
 */
static struct task_struct *mp3_find_ancestor(struct task_struct *task,
					     unsigned int holder, u64 follow_id)
{
	unsigned int depth;

	/*
	 * Each task on the way is the parent of one that was alive in this RCU
	 * section. It was therefore alive in it, too, and is not freed before
	 * its end.
	 */
	for (depth = 0; task->pid && depth < MP3_MAX_DEPTH; depth++) {
		task = rcu_dereference(task->real_parent);
		if (mp3_is_adopted(mp3_find(task->signal), holder, follow_id))
			return task;
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
	struct mp3_process *process;
	u64 followers, mask, adopting_id, follow_id = 0, secure = 0;
	bool authorized = true;
	bool adopted = false;
	bool many = false, release;
	int err = -ESRCH;

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
	followers = process ? READ_ONCE(process->followers) : 0;
	/* The parent may exit before mp3_adopt() gets to @child. */
	if (unlikely(adopting_id))
		adopted = mp3_find_ancestor(task, READ_ONCE(mp3_adopting_holder),
					    adopting_id);
	rcu_read_unlock();
	if (!followers && !adopted)
		return;

	raw_spin_lock(&mp3_registry_lock);
	/* Look again: only under the lock does the parent stay followed. */
	process = mp3_find(task->signal);
	if (process) {
		followers = process->followers & ~mp3_closing;
		follow_id = process->follow_id;
		authorized = list_empty(&process->unauthorized);
		secure = process->secure;
	} else {
		followers = 0;
	}
	/*
	 * If that scan has ended since, only the parent matters: it has been
	 * followed, or skipped for good.
	 */
	mask = BIT_ULL(READ_ONCE(mp3_adopting_holder));
	if (adopted && READ_ONCE(mp3_adopting_id) == adopting_id &&
	    !(followers & mask)) {
		followers |= mask;
		follow_id = adopting_id;
		authorized = false;
	}
	if (followers)
		err = mp3_follow_child(child, followers, secure, follow_id,
				       &zero, authorized, &many);
	if (err == -ENOMEM)
		mp3_count_dropped(followers);
	release = !err && mp3_nr_added % (MP3_RECENT / 2) == 0;
	raw_spin_unlock(&mp3_registry_lock);
	if (release)
		kthread_queue_work(mp3_worker, &mp3_release_work);
	if (READ_ONCE(mp3_nr_reserve) < MP3_RESERVE_SIZE / 2)
		queue_work(system_highpri_wq, &mp3_refill_work);
	if (unlikely(many))
		mp3_kick();
}

/*
 * Return whether F may follow the process of @task, and set mp3_adopt_denied if
 * it may not. Caller holds mp3_follow_mutex.
 */
static bool mp3_may_adopt(const struct mp3_caller *caller,
			  struct task_struct *task)
{
	int err = mp3_may_profile(caller, task);

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
 * Follow the process of @task for F, @follow_id of @holder, if it follows its
 * parent and the caller may profile it. Caller holds mp3_follow_mutex and
 * mp3_sampler_lock, and is in an RCU read-side section. Returns 0, or -ENOMEM if
 * the reserve has no entry for it.
 */
static int mp3_adopt_one(const struct mp3_caller *caller,
			 struct task_struct *task, unsigned int holder,
			 u64 follow_id)
{
	struct mp3_process *parent, *process;
	struct mp3_counts base;
	bool many = false;
	int ret;

	lockdep_assert_held(&mp3_sampler_lock);
	parent = mp3_find(rcu_dereference(task->real_parent)->signal);
	process = mp3_find(task->signal);
	if (!mp3_is_adopted(parent, holder, follow_id) ||
	    mp3_is_adopted(process, holder, follow_id) ||
	    !mp3_may_adopt(caller, task) || mp3_read_counts(task, &base))
		return 0;

	if (process) {
		ret = mp3_join(process, holder, follow_id);
	} else {
		raw_spin_lock(&mp3_registry_lock);
		ret = mp3_follow_child(task, BIT_ULL(holder), 0, follow_id,
				       &base,
				       list_empty(&parent->unauthorized),
				       &many);
		raw_spin_unlock(&mp3_registry_lock);
		if (many)
			mp3_kick();
	}
	if (ret == -EEXIST) {
		/* Followed already, by an earlier F: go on below it. */
		raw_spin_lock(&mp3_registry_lock);
		WRITE_ONCE(process->follow_id, follow_id);
		raw_spin_unlock(&mp3_registry_lock);
	}
	if (!ret && !mp3_authorize(caller, holder, task))
		mp3_adopt_denied = true;

	return ret == -ENOMEM ? ret : 0;
}

/*
 * Interrupt a scan of the kernel's list of processes at @task. Returns false if it
 * has left the list, and the scan must begin again. Caller is in an RCU read-side
 * section, which is interrupted, too.
 */
static bool mp3_pause_scan(struct task_struct *task)
	__must_hold(RCU)
{
	bool listed;

	get_task_struct(task);
	rcu_read_unlock();
	cond_resched();
	rcu_read_lock();
	/* After an exec, another thread may be the leader, and in its place. */
	listed = pid_alive(task) && thread_group_leader(task);
	put_task_struct(task);

	return listed;
}

/*
 * Scan all processes once, and follow the descendants of those that F,
 * @follow_id of @holder, follows. One pass finds them all: a parent, or a task
 * that later becomes the parent, is older than the child and precedes it in the
 * kernel's list. Caller holds mp3_follow_mutex.
 *
 * Returns 0, or -ENOMEM at the first process for which the reserve has no
 * entry; with @drop_on_enomem it counts such processes as dropped and
 * continues.
 */
static int mp3_adopt_present(const struct mp3_caller *caller,
			     unsigned int holder, u64 follow_id,
			     bool drop_on_enomem)
{
	unsigned int budget = MP3_BATCH, restarts = 0;
	struct mp3_process *parent;
	struct task_struct *task;
	int err = 0;

	lockdep_assert_held(&mp3_follow_mutex);
	rcu_read_lock();
restart:
	for_each_process(task) {
		if (!--budget) {
			budget = MP3_BATCH;
			if (restarts < MP3_MAX_RESTARTS &&
			    !mp3_pause_scan(task)) {
				restarts++;
				goto restart;
			}
		}
		parent = mp3_find(rcu_dereference(task->real_parent)->signal);
		if (!mp3_is_adopted(parent, holder, follow_id) ||
		    mp3_is_adopted(mp3_find(task->signal), holder, follow_id))
			continue;

		spin_lock(&mp3_sampler_lock);
		err = mp3_adopt_one(caller, task, holder, follow_id);
		spin_unlock(&mp3_sampler_lock);
		if (err && drop_on_enomem) {
			raw_spin_lock(&mp3_registry_lock);
			mp3_count_dropped(BIT_ULL(holder));
			raw_spin_unlock(&mp3_registry_lock);
			err = 0;
		}
		if (err)
			break;
	}
	rcu_read_unlock();

	return err;
}

/*
 * Return whether F, @follow_id of @holder, has denied an ancestor of @task
 * below the process that it began with. A reaped process has no parent, and an
 * orphan has lost its own: for these, assume so if F has denied any process.
 * Caller holds mp3_follow_mutex.
 */
static bool mp3_below_denied(struct task_struct *task, unsigned int holder,
			     u64 follow_id)
{
	struct task_struct *ancestor = NULL;
	bool denied = mp3_adopt_denied;

	lockdep_assert_held(&mp3_follow_mutex);
	rcu_read_lock();
	if (pid_alive(task))
		ancestor = mp3_find_ancestor(task, holder, follow_id);
	if (ancestor)
		denied = ancestor->signal !=
			 rcu_dereference(task->real_parent)->signal;
	rcu_read_unlock();

	return denied;
}

/*
 * Check the caller's permission for a process that the fork probe has followed
 * on behalf of F, and unregister it from @holder if it is denied: no tick has
 * collected it there yet. Caller holds mp3_follow_mutex and mp3_sampler_lock.
 */
static void mp3_authorize_one(const struct mp3_caller *caller,
			      unsigned int holder, struct mp3_process *process)
{
	lockdep_assert_held(&mp3_sampler_lock);
	if ((!mp3_may_adopt(caller, process->task) ||
	     mp3_below_denied(process->task, holder, process->follow_id)) &&
	    mp3_unhold(process, BIT_ULL(holder)))
		return;
	raw_spin_lock(&mp3_registry_lock);
	list_del_init(&process->unauthorized);
	raw_spin_unlock(&mp3_registry_lock);
}

/*
 * Authorize all processes that are not, or unregister them from @holder. Caller
 * holds mp3_follow_mutex, and has reset mp3_adopting_id.
 *
 * This ends, however fast the processes fork. With mp3_adopting_id reset, the
 * probe leaves a child unauthorized only if the process that forks it is. The
 * oldest comes first; once none is left, no process could fork another one. The
 * reserve bounds the number: it is not refilled under mp3_follow_mutex.
 */
static void mp3_authorize_all(const struct mp3_caller *caller,
			      unsigned int holder)
{
	struct mp3_process *process;

	lockdep_assert_held(&mp3_follow_mutex);
	do {
		spin_lock(&mp3_sampler_lock);
		/* It is removed from mp3_processes if it is denied. */
		mp3_splice_pending();
		raw_spin_lock(&mp3_registry_lock);
		process = list_first_entry_or_null(&mp3_unauthorized,
						   struct mp3_process,
						   unauthorized);
		raw_spin_unlock(&mp3_registry_lock);
		if (process)
			mp3_authorize_one(caller, holder, process);
		spin_unlock(&mp3_sampler_lock);
		cond_resched();
	} while (process);
}

/*
 * Follow the present descendants of the process that F has registered in
 * @holder with @follow_id, as far as the caller of F may profile them. Caller
 * holds mp3_follow_mutex.
 */
static void mp3_adopt(const struct mp3_caller *caller, unsigned int holder,
		      u64 follow_id)
{
	bool drop_on_enomem = false;
	int err;

	lockdep_assert_held(&mp3_follow_mutex);
	mp3_adopt_denied = false;
	for (;;) {
		WRITE_ONCE(mp3_adopting_holder, holder);
		/* Pairs with the acquire load in mp3_on_fork(). */
		smp_store_release(&mp3_adopting_id, follow_id);
		/*
		 * Either this scan finds a child, or its fork finds this store
		 * and the table. Pairs with the barrier in mp3_on_fork().
		 */
		smp_mb();
		err = mp3_adopt_present(caller, holder, follow_id,
					drop_on_enomem);
		/*
		 * After this, the probe adds no unauthorized entry that
		 * mp3_authorize_all() would miss.
		 */
		raw_spin_lock(&mp3_registry_lock);
		/* Pairs with the acquire load in mp3_on_fork(). */
		smp_store_release(&mp3_adopting_id, 0);
		raw_spin_unlock(&mp3_registry_lock);
		mp3_authorize_all(caller, holder);
		if (!err)
			break;
		drop_on_enomem = mp3_fill_reserve() < 0;
	}
	spin_lock(&mp3_sampler_lock);
	/*
	 * All that were registered before may have gone since, with the tick, and
	 * the probe may have added one on behalf of this F later; or that one may
	 * just have been denied, after U of the last other one.
	 */
	if (READ_ONCE(mp3_nr_processes))
		mp3_arm();
	mp3_sample_leftover();
	mp3_publish_processes(holder);
	mp3_wake_all();
	spin_unlock(&mp3_sampler_lock);
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

/*
 * The exec probe: at the end of exec, note that @task has got privileges with
 * the program, for the captures that it is registered in. At the next tick it
 * may have dropped them again.
 */
static void mp3_on_exec(void *data, struct task_struct *task, pid_t old_pid,
			struct linux_binprm *bprm)
{
	struct mp3_process *process;

	if (!bprm->secureexec && mp3_current_is_dumpable())
		return;
	raw_spin_lock(&mp3_registry_lock);
	process = mp3_find(task->signal);
	if (process)
		WRITE_ONCE(process->secure, process->secure |
			   (process->holders & READ_ONCE(mp3_unprivileged)));
	raw_spin_unlock(&mp3_registry_lock);
}

/* Work function: attach the exec probe if it is not. */
static void mp3_attach_exec_probe(struct work_struct *work)
{
	int err = 0;

	mutex_lock(&mp3_exec_mutex);
	if (!mp3_exec_probe_attached)
		err = tracepoint_probe_register(mp3_exec_tracepoint,
						mp3_on_exec, NULL);
	spin_lock(&mp3_sampler_lock);
	mp3_exec_probe_attached = !err;
	spin_unlock(&mp3_sampler_lock);
	WRITE_ONCE(mp3_exec_err, err);
	mutex_unlock(&mp3_exec_mutex);
}

/*
 * Detach the exec probe if no capture needs it. From then on, an opener does not
 * find it attached.
 */
static void mp3_detach_exec_probe(void)
{
	bool detach;

	mutex_lock(&mp3_exec_mutex);
	spin_lock(&mp3_sampler_lock);
	detach = mp3_exec_probe_attached && !mp3_unprivileged;
	if (detach)
		mp3_exec_probe_attached = false;
	spin_unlock(&mp3_sampler_lock);
	if (detach) {
		tracepoint_probe_unregister(mp3_exec_tracepoint, mp3_on_exec,
					    NULL);
		tracepoint_synchronize_unregister();
	}
	mutex_unlock(&mp3_exec_mutex);
}

/* Work function: detach the probes that are not needed any longer. */
static void mp3_detach(struct work_struct *work)
{
	mutex_lock(&mp3_follow_mutex);
	if (!READ_ONCE(mp3_nr_followed))
		mp3_detach_probe();
	mutex_unlock(&mp3_follow_mutex);
	mp3_detach_exec_probe();
}

/**
 * struct mp3_follow_request - an F that waits for its turn, is at work, or rests
 * @work:	executes it
 * @rest:	ends it, after a pause
 * @early:	other captures have records outside the grid
 * @refs:	one of the works, and one of the caller, who may be killed
 * @gate:	of the caller, which has been taken
 * @done:	it has been executed, and as much time left to others
 * @killed:	set if the caller was killed: the work need not begin
 * @caller:	the process that has written it; @file is pinned
 * @task:	the caller, pinned
 * @cred:	its credentials, pinned
 * @holder:	where to register
 * @process:	unused entry of the process to follow
 * @inserted:	set if @process is now in the table
 * @duration:	set to how long it has taken, in jiffies
 * @pause:	set to how much later the next F of the user may begin, in jiffies
 * @err:	set to the result
 */
struct mp3_follow_request {
	struct work_struct work;
	struct work_struct rest;
	bool early;
	struct kref refs;
	struct mp3_gate *gate;
	struct completion done;
	bool killed;
	struct mp3_caller caller;
	struct task_struct *task;
	const struct cred *cred;
	unsigned int holder;
	struct mp3_process *process;
	bool inserted;
	long duration;
	long pause;
	int err;
};

static void mp3_follow_request_free(struct kref *refs)
{
	kfree(container_of(refs, struct mp3_follow_request, refs));
}

/*
 * Work function: end an F that has been executed. Leave as much time to others; then
 * let the caller continue and, after the pause, also if the caller was killed, the next
 * F of the same user begin.
 */
static void mp3_rest(struct work_struct *work)
{
	struct mp3_follow_request *request =
		container_of(work, struct mp3_follow_request, rest);

	if (request->duration)
		schedule_timeout_idle(request->duration);
	complete(&request->done);
	if (request->pause > request->duration)
		schedule_timeout_idle(request->pause - request->duration);
	up(&request->gate->follow);
	mp3_gate_put(request->gate);
	/* They have pinned the namespace of the gate. */
	put_cred(request->cred);
	kref_put(&request->refs, mp3_follow_request_free);
}

/* Work function: execute an F. */
static void mp3_execute_follow(struct work_struct *work)
{
	struct mp3_follow_request *request =
		container_of(work, struct mp3_follow_request, work);
	const struct mp3_caller *caller = &request->caller;
	u64 start = get_jiffies_64(), follow_id = 0;
	const struct cred *cred;
	long pause = 0;
	int err = -EINTR;

	if (READ_ONCE(request->killed))
		goto done;

	cred = override_creds(request->cred);
	mutex_lock(&mp3_follow_mutex);
	/* Its writer may have left, and the removal of the module not waited. */
	if (READ_ONCE(request->killed))
		goto unlock;
	/* Again: it may have been long ago. */
	err = mp3_may_profile(caller, request->process->task) ?:
	      mp3_attach_probe();
	if (!err) {
		spin_lock(&mp3_sampler_lock);
		follow_id = ++mp3_last_follow_id;
		err = mp3_insert(caller, request->process, request->holder,
				 follow_id, &request->inserted);
		spin_unlock(&mp3_sampler_lock);
	}
	if (!err)
		mp3_adopt(caller, request->holder, follow_id);
	else
		queue_delayed_work(mp3_follow_wq, &mp3_detach_work, HZ);
	/* Every other turn is left to R and U, which make records, too. */
	if (request->early && !mp3_is_privileged(caller->file))
		pause = 2 * MP3_TURN;
unlock:
	mutex_unlock(&mp3_follow_mutex);
	revert_creds(cred);
done:
	if (!request->inserted)
		mp3_process_free(request->process);
	put_task_struct(request->task);
	/* The capture of a caller that was killed closes now. */
	fput(request->caller.file);
	request->err = err;
	request->duration = get_jiffies_64() - start;
	request->pause = max(pause, request->duration);
	/* Not on the queue of F, where the next one would have to wait. */
	if (request->pause)
		queue_work(mp3_wake_wq, &request->rest);
	else
		mp3_rest(&request->rest);
}

/*
 * Execute F: profile the process of @task in @holder from now on, its present
 * descendants that @caller may profile, and all future ones. A work item does so,
 * one F at a time: a caller could be preempted or throttled in the middle of it,
 * with all others waiting. It and its pause end before the next one of the same
 * user begins. Puts @gate. Returns 0, -EINTR if the caller was killed, -EIO if the
 * module is being removed, -ENOMEM, or an error of mp3_insert() or of attaching the
 * fork probe.
 */
static int mp3_follow(const struct mp3_caller *caller, unsigned int holder,
		      struct task_struct *task, struct mp3_gate *gate)
{
	struct mp3_follow_request *request;
	struct mp3_process *process;
	int err = -EINTR;

	if (down_killable(&gate->follow))
		goto put_gate;
	err = -EIO;
	if (!module_is_live(THIS_MODULE))
		goto up;
	process = mp3_process_alloc(task);
	err = PTR_ERR_OR_ZERO(process);
	if (err)
		goto up;
	request = kzalloc(sizeof(*request), GFP_KERNEL_ACCOUNT);
	if (!request) {
		mp3_process_free(process);
		err = -ENOMEM;
		goto up;
	}
	INIT_WORK(&request->work, mp3_execute_follow);
	INIT_WORK(&request->rest, mp3_rest);
	kref_init(&request->refs);
	request->gate = gate;
	init_completion(&request->done);
	request->caller = *caller;
	request->caller.early = &request->early;
	get_file(request->caller.file);
	request->task = get_task_struct(current);
	request->cred = get_current_cred();
	request->holder = holder;
	request->process = process;

	kref_get(&request->refs);
	queue_work(mp3_follow_wq, &request->work);
	err = wait_for_completion_killable(&request->done);
	if (err) {
		WRITE_ONCE(request->killed, true);
		err = -EINTR;
	} else {
		err = request->err;
	}
	kref_put(&request->refs, mp3_follow_request_free);

	return err;

up:
	up(&gate->follow);
put_gate:
	mp3_gate_put(gate);
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
	mp3_detach_exec_probe();
	cancel_work_sync(&mp3_refill_work);
	kthread_cancel_work_sync(&mp3_release_work);
}

/* For for_each_kernel_tracepoint(): save the tracepoints of the probes. */
static void mp3_find_tracepoint(struct tracepoint *tracepoint, void *data)
{
	if (!strcmp(tracepoint->name, "sched_process_fork"))
		mp3_fork_tracepoint = tracepoint;
	if (!strcmp(tracepoint->name, "sched_process_exec"))
		mp3_exec_tracepoint = tracepoint;
	if (!strcmp(tracepoint->name, "page_fault_user"))
		mp3_exception_tracepoints[0] = tracepoint;
	if (!strcmp(tracepoint->name, "page_fault_kernel"))
		mp3_exception_tracepoints[1] = tracepoint;
}

/* ---- Locating ---- */

/*
 * A fault is counted at its end, and there its location is recorded, by the
 * handlers of two events of perf on each CPU. Its start is found by tracepoints
 * or, on architectures without them, by a third event. Events and probes exist
 * while a capture locates, and for a second after it. A work item creates and
 * releases them: perf checks the permission of the calling task, and neither is
 * possible in a callback for a CPU that comes online.
 */
#define MP3_NR_EVENTS		(MP3_HAS_EXCEPTIONS ? 2 : 3)
#define MP3_NO_EVENTS		1	/* instead of an errno */
#define MP3_FILE_BITS		11	/* log2 of the keys: twice MP3_FILES */
static_assert(MP3_FILES * 2 == 1 << MP3_FILE_BITS);

/**
 * struct mp3_file_key - a file that has a number
 * @id:		the file
 * @number:	its number, stored last; 0 if the key is unused
 */
struct mp3_file_key {
	struct mp3_file_id id;
	u32 number;
};

/**
 * struct mp3_location - a mapping with the number of its file
 * @mapping: the mapping
 * @file:    number of the file, or a special value of it
 */
struct mp3_location {
	struct mp3_mapping mapping;
	u32 file;
};

#define MP3_NR_KNOWN	(MP3_HAS_MM_STATE ? 4 : 1)

/**
 * struct mp3_known - the mappings that a CPU has looked up last
 * @state:     they are those of the memory in this state
 * @nr:	       how many have been looked up since they were last forgotten: the last
 *	       MP3_NR_KNOWN of them are known
 * @no_room:   whether a file had no number because the table is full
 * @locations: the mappings
 *
 * Only handlers of faults use it, with at least preemption disabled, and those do not
 * nest.
 */
struct mp3_known {
	struct mp3_mm_state state;
	u32 nr;
	bool no_room;
	struct mp3_location locations[MP3_NR_KNOWN];
};

/**
 * struct mp3_locator - what locates the faults of a capture
 * @faults:	ring of faults
 * @capture:	the capture
 * @mask:	of each thread, locate faults whose number has none of these bits:
 *		n - 1. Written under @locate_mutex of the capture; handlers use
 *		READ_ONCE()
 * @callers:	how many callers to record; the same
 * @active:	whether it counts in mp3_nr_locating (@locate_mutex)
 * @toggled:	when it was last started or stopped, as get_jiffies_64(), or 0
 *		(@locate_mutex)
 * @known:	of each CPU
 * @files_lock:	protects the addition to @keys and @refs
 * @nr_files:	files that have a number
 * @nr_resolved: those of them that are in @files (@files_work)
 * @files:	the table of files, mapped by user space
 * @files_work:	resolves the paths of new files
 * @keys:	hash table with linear probing; nothing is removed
 * @refs:	by number minus one: the file, until its path has been resolved
 * @path:	buffer of @files_work
 */
struct mp3_locator {
	struct mp3_fault_ring faults;
	struct mp3_capture *capture;
	u32 mask;
	u32 callers;
	bool active;
	u64 toggled;
	struct mp3_known __percpu *known;
	mp3_ref_lock_t files_lock;
	u32 nr_files;
	u32 nr_resolved;
	struct mp3_file *files;
	struct work_struct files_work;
	struct mp3_file_key keys[1 << MP3_FILE_BITS];
	struct mp3_file_ref refs[MP3_FILES];
	char path[PATH_MAX];
};

/* The events of one CPU; NULL if they do not exist */
struct mp3_cpu_events {
	struct perf_event *events[MP3_NR_EVENTS];
};

/* Only the work item uses these. */
static DEFINE_PER_CPU(struct mp3_cpu_events, mp3_events);
static bool mp3_exception_probes_attached;

/* CPUs that have come online since their events were created */
static struct cpumask mp3_stale_cpus;
/* Faults that have begun; allocated while events exist */
static struct mp3_start *mp3_starts;
/*
 * 0 while the events exist, an errno if they could not be created, or MP3_NO_EVENTS,
 * which is set under mp3_sampler_lock while no capture locates
 */
static int mp3_events_err = MP3_NO_EVENTS;

static enum cpuhp_state mp3_cpuhp_state;

static void mp3_update_events(struct work_struct *work);
static DECLARE_DELAYED_WORK(mp3_events_work, mp3_update_events);

/* Work function: resolve the paths of files that have got a number. */
static void mp3_resolve_files(struct work_struct *work)
{
	struct mp3_locator *locator = container_of(work, struct mp3_locator,
						   files_work);
	/* Pairs with the release store in mp3_add_file(). */
	u32 nr_files = smp_load_acquire(&locator->nr_files);

	for (; locator->nr_resolved < nr_files; locator->nr_resolved++) {
		struct mp3_file_ref *ref = &locator->refs[locator->nr_resolved];
		struct mp3_file *entry = &locator->files[locator->nr_resolved];
		const struct inode *inode = d_inode(mp3_file_path(ref)->dentry);
		const char *path = d_path(mp3_file_path(ref), locator->path,
					  sizeof(locator->path));
		size_t size = IS_ERR(path) ? 0 : strlen(path);

		if (size >= sizeof(entry->path)) {
			path += size - (sizeof(entry->path) - 1);
			size = sizeof(entry->path) - 1;
			entry->flags = MP3_FILE_TRUNCATED;
		}
		if (size)
			memcpy(entry->path, path, size);
		/* A file system may have made it negative. */
		if (inode) {
			entry->device = new_encode_dev(inode->i_sb->s_dev);
			entry->inode = inode->i_ino;
			entry->generation = inode->i_generation;
		}
		/* Pairs with the acquire in mp3_faults_file() (mp3_client.h). */
		smp_store_release(&entry->number, locator->nr_resolved + 1);
		mp3_put_file(ref);
		cond_resched();
	}
}

/*
 * Return the key of a file, or the unused one where it belongs, and set @number to
 * the number of the file, or to 0. There is always one: the table has twice as many
 * keys as files. Without @files_lock, another file may get an unused key at any
 * time. Inline, because each located fault passes through here.
 */
static __always_inline struct mp3_file_key *
mp3_find_key(struct mp3_locator *locator, const struct mp3_mapping *mapping,
	     u32 *number)
{
	/* By the address: a file system may choose its inode numbers. */
	u32 i = hash_ptr(mapping->id.inode, MP3_FILE_BITS);
	struct mp3_file_key *key = &locator->keys[i];

	for (;;) {
		/* Pairs with the release store in mp3_add_file(). */
		*number = smp_load_acquire(&key->number);
		if (!*number || mp3_is_same_file(&key->id, &mapping->id))
			return key;
		if (++key == locator->keys + ARRAY_SIZE(locator->keys))
			key = locator->keys;
	}
}

/*
 * Give the next number to the file of a mapping, and have its path resolved.
 * Returns its number, or MP3_UNKNOWN_FILE if the table is full or the file is
 * being closed.
 */
static noinline u32 mp3_add_file(struct mp3_locator *locator,
				 const struct mp3_mapping *mapping,
				 enum mp3_hold hold)
{
	struct mp3_file_key *key;
	bool added = false;
	u32 number;

	if (READ_ONCE(locator->nr_files) == MP3_FILES)
		return MP3_UNKNOWN_FILE;

	mp3_ref_lock(&locator->files_lock);
	/* Another task may have added it. */
	key = mp3_find_key(locator, mapping, &number);
	if (!number && locator->nr_files < MP3_FILES)
		added = mp3_get_file(&locator->refs[locator->nr_files],
				     mapping, hold);
	if (added) {
		number = locator->nr_files + 1;
		key->id = mapping->id;
		/* Pairs with the acquire load in mp3_find_key(). */
		smp_store_release(&key->number, number);
		/* Pairs with the acquire load in mp3_resolve_files(). */
		smp_store_release(&locator->nr_files, number);
	}
	mp3_ref_unlock(&locator->files_lock);
	if (added)
		queue_work(system_highpri_wq, &locator->files_work);

	return number ?: MP3_UNKNOWN_FILE;
}

/* Return the number of the file of a mapping, or a special value of it. */
static u32 mp3_number_file(struct mp3_locator *locator,
			   const struct mp3_mapping *mapping,
			   enum mp3_hold hold)
{
	u32 number;

	if (!mapping->file)
		return MP3_NO_FILE;
	mp3_find_key(locator, mapping, &number);

	return number ?: mp3_add_file(locator, mapping, hold);
}

/*
 * Set @location to that of @address. Returns it, or NULL if there is no mapping; it
 * then contains nothing.
 */
static noinline const struct mp3_location *
mp3_look_up_address(struct mp3_locator *locator, u64 address,
		    enum mp3_hold hold, struct mp3_location *location)
{
	if (!mp3_read_mapping(current->mm, address, hold, &location->mapping)) {
		location->mapping.end = 0;
		return NULL;
	}
	location->file = mp3_number_file(locator, &location->mapping, hold);
	if (location->file == MP3_UNKNOWN_FILE &&
	    READ_ONCE(locator->nr_files) == MP3_FILES)
		this_cpu_ptr(locator->known)->no_room = true;

	return location;
}

static __always_inline bool mp3_contains(const struct mp3_location *location,
					 u64 address)
{
	return address >= location->mapping.start &&
	       address < location->mapping.end;
}

/* Return the offset of @address, which is there, in the file or the mapping. */
static __always_inline u64 mp3_offset_in(const struct mp3_location *location,
					 u64 address)
{
	return address - location->mapping.start + location->mapping.offset;
}

/*
 * Return the location of @address in the memory of the calling task, or NULL. It is
 * valid until the next call, which has it as @last: most frames are in the mapping of
 * their callers. @hold is not MP3_HOLD_NONE.
 */
static __always_inline const struct mp3_location *
mp3_locate_address(struct mp3_locator *locator, struct mp3_known *known,
		   const struct mp3_location *last, u64 address,
		   enum mp3_hold hold)
{
	unsigned int i, nr;

	if (last && mp3_contains(last, address))
		return last;
	nr = min_t(unsigned int, known->nr, MP3_NR_KNOWN);
	for (i = 0; MP3_NR_KNOWN > 1 && i < nr; i++)
		if (mp3_contains(&known->locations[i], address))
			return &known->locations[i];
	i = known->nr++ % MP3_NR_KNOWN;

	return mp3_look_up_address(locator, address, hold,
				   &known->locations[i]);
}

/*
 * Return the element of struct mp3_fault's @frames for @address, which is in
 * @location, or NULL: the file and the offset in it, as far as they are known.
 */
static __always_inline u64
mp3_frame_in(const struct mp3_location *location, u64 address)
{
	if (location && location->file != MP3_NO_FILE &&
	    location->file != MP3_UNKNOWN_FILE) {
		u64 offset = mp3_offset_in(location, address);

		if (offset == MP3_FRAME_OFFSET(offset))
			return (u64)location->file << 48 | offset;
	}

	return MP3_FRAME_OFFSET(address);
}

/*
 * Fill in the mapping of @fault, and replace the @nr addresses in its frames.
 * Caller is in an RCU read-side section, with at least preemption disabled.
 */
static void mp3_fill_location(struct mp3_locator *locator,
			      struct mp3_fault *fault, unsigned int nr)
{
	struct mp3_known *known = this_cpu_ptr(locator->known);
	const struct mp3_location *location = NULL;
	struct mm_struct *mm = current->mm;
	enum mp3_hold hold = mp3_hold_mappings(mm);
	unsigned int i;

	if (hold != MP3_HOLD_LOCK)
		known->state = (struct mp3_mm_state){ };
	if (hold != MP3_HOLD_LOCK || !mp3_is_same_state(mm, &known->state))
		known->nr = 0;
	if (hold != MP3_HOLD_NONE)
		location = mp3_locate_address(locator, known, NULL,
					      fault->address, hold);
	fault->file = MP3_UNKNOWN_FILE;
	fault->offset = 0;
	if (location) {
		fault->file = location->file;
		fault->offset = mp3_offset_in(location, fault->address);
		fault->flags |= location->mapping.flags;
	}
	for (i = 0; i < nr; i++) {
		u64 address = fault->frames[i];

		if (hold != MP3_HOLD_NONE)
			location = mp3_locate_address(locator, known, location,
						      address, hold);
		fault->frames[i] = mp3_frame_in(location, address);
	}
	mp3_release_mappings(mm, hold);
	if (known->no_room) {
		/* Look these up again: each such fault counts. */
		known->no_room = false;
		known->state = (struct mp3_mm_state){ };
		this_cpu_inc(locator->faults.nr->dropped);
	}
}

/*
 * Record a fault of the calling task. @regs are its user-mode registers, or NULL.
 * Caller is in an RCU read-side section, with at least preemption disabled.
 */
static __always_inline void
mp3_record_fault(struct mp3_locator *locator, u64 time_ns, u64 stall_ns,
		 u64 address, u32 flags, struct pt_regs *regs)
{
	struct mp3_fault *fault;
	unsigned int nr = 0;
	u64 seq;

	fault = mp3_fault_begin(&locator->faults, &seq);
	if (!fault)
		return;
	fault->time_ns = time_ns;
	fault->pid = current->tgid;
	fault->tid = current->pid;
	fault->address = address;
	fault->stall_ns = stall_ns;
	if (regs)
		nr = mp3_read_frames(regs, fault->frames,
				     READ_ONCE(locator->callers) + 1);
	fault->flags = flags | nr << 28;
	mp3_fill_location(locator, fault, nr);
	mp3_fault_publish(fault, seq);
}

/*
 * Note that a capture was denied a fault of a process, so that no later one is
 * recorded, even if the capture would be allowed to have it. Unless its opener has
 * CAP_SYS_PTRACE, the next record is denied, too, and the process is unregistered.
 */
static noinline void mp3_deny_faults(struct mp3_process *process,
				     struct mp3_locator *locator)
{
	u64 denied = BIT_ULL(locator->capture->holder);

	raw_spin_lock(&mp3_registry_lock);
	/* Not if it has left the capture, or a fault of another thread was denied, too. */
	denied &= process->holders & ~process->secure;
	if (denied) {
		WRITE_ONCE(process->secure, process->secure | denied);
		WRITE_ONCE(locator->faults.denied, locator->faults.denied + 1);
	}
	raw_spin_unlock(&mp3_registry_lock);
}

/*
 * The calling task, of @process, has taken a fault at @address: record it for
 * each capture out of @holders that locates it. Caller is in an RCU read-side
 * section, with at least preemption disabled.
 */
static noinline void mp3_locate_fault(struct mp3_process *process,
				      u64 holders, struct pt_regs *regs,
				      u64 address, u32 flags)
{
	/* Of this thread, with this one: no counter is shared or written. */
	u32 number = current->min_flt + current->maj_flt + current->pid;
	u64 start_ns, secure, time_ns = 0, stall_ns = MP3_NO_STALL;

	start_ns = mp3_end_fault(mp3_starts, address, &flags);
	if (user_mode(regs))
		flags |= MP3_FAULT_USER;
	regs = mp3_user_regs(regs);

	secure = READ_ONCE(process->secure);
	/* Pairs with the barrier in mp3_unhold(). */
	smp_rmb();
	holders &= READ_ONCE(process->holders) & ~secure;
	for (; holders; holders &= holders - 1) {
		struct mp3_fault_ring *ring;
		struct mp3_locator *locator;

		ring = rcu_dereference(mp3_fault_rings[__ffs64(holders)]);
		if (!ring)
			continue;
		locator = container_of(ring, struct mp3_locator, faults);
		if (!locator->capture->privileged &&
		    !mp3_may_locate(locator->capture, process)) {
			mp3_deny_faults(process, locator);
			continue;
		}
		if (number & READ_ONCE(locator->mask) &&
		    !(flags & MP3_FAULT_MAJOR)) {
			this_cpu_inc(ring->nr->missed);
			continue;
		}
		/* Not before: most faults are left out if n is large. */
		if (!time_ns) {
			time_ns = ktime_get_mono_fast_ns();
			if (start_ns)
				stall_ns = time_ns - start_ns;
		}
		mp3_record_fault(locator, time_ns, stall_ns, address, flags,
				 regs);
	}
}

/*
 * Return the process of the calling task, and set @holders to the captures that
 * locate its faults, if there are any; else return NULL. Caller is in an RCU
 * read-side section.
 */
static __always_inline struct mp3_process *mp3_find_located(u64 *holders)
{
	struct mp3_process *process = mp3_find(current->signal);

	if (!process)
		return NULL;
	*holders = READ_ONCE(process->located);

	return *holders ? process : NULL;
}

/*
 * Handle a fault of the calling task that the kernel has just counted. Caller is in
 * an RCU read-side section: perf calls the handlers of its software events in one,
 * that of do_perf_sw_event(). There, preemption is disabled and, since 7.0 and stable
 * updates such as 6.1.167 and 6.12.77, so are interrupts.
 */
static __always_inline void mp3_on_fault(struct perf_sample_data *data,
					 struct pt_regs *regs, u32 flags)
{
	struct mp3_process *process;
	u64 holders;

	process = mp3_find_located(&holders);
	if (process)
		mp3_locate_fault(process, holders, regs,
				 mp3_event_address(data), flags);
}

static void mp3_on_minor_fault(struct perf_event *event,
			       struct perf_sample_data *data,
			       struct pt_regs *regs)
{
	mp3_on_fault(data, regs, 0);
}

static void mp3_on_major_fault(struct perf_event *event,
			       struct perf_sample_data *data,
			       struct pt_regs *regs)
{
	mp3_on_fault(data, regs, MP3_FAULT_MAJOR);
}

/*
 * Handle a fault that the calling task begins. Caller is in an RCU read-side
 * section, with at least preemption disabled.
 */
static __always_inline void mp3_on_start(u64 address, u32 flags)
{
	u64 holders;

	if (mp3_find_located(&holders))
		mp3_start_fault(mp3_starts, address, flags);
}

/* On architectures without tracepoints for it */
static void mp3_on_start_event(struct perf_event *event,
			       struct perf_sample_data *data,
			       struct pt_regs *regs)
{
	u64 address = mp3_event_address(data);

	mp3_on_start(address, mp3_syndrome_flags(address));
}

/*
 * The probe of x86's tracepoints page_fault_user and page_fault_kernel. Interrupts
 * are still disabled there, which makes it an RCU read-side section.
 */
static void mp3_on_exception(void *data, unsigned long address,
			     struct pt_regs *regs, unsigned long error_code)
{
	/* First, since this is all that most other processes pay for. */
	if (hlist_empty(&mp3_table[hash_min((unsigned long)current->signal,
					    HASH_BITS(mp3_table))]))
		return;
	/* Not of the kernel itself, nor where it tolerates a failure. */
	if (!user_mode(regs) &&
	    (address >= TASK_SIZE || pagefault_disabled()))
		return;
	mp3_on_start(address, mp3_exception_flags(error_code));
}

/* Release the events of a CPU, as far as they exist. */
static void mp3_release_events(unsigned int cpu)
{
	struct perf_event **events = per_cpu(mp3_events, cpu).events;
	unsigned int i;

	for (i = 0; i < MP3_NR_EVENTS; i++) {
		if (events[i])
			perf_event_release_kernel(events[i]);
		events[i] = NULL;
	}
}

/*
 * Create the events of a CPU. Returns 0, also if the CPU is offline, or a
 * negative errno with none created.
 */
static int mp3_create_events(unsigned int cpu)
{
	static const struct {
		u64 config;
		perf_overflow_handler_t handler;
	} kinds[] = {
		{ PERF_COUNT_SW_PAGE_FAULTS_MIN, mp3_on_minor_fault },
		{ PERF_COUNT_SW_PAGE_FAULTS_MAJ, mp3_on_major_fault },
		{ PERF_COUNT_SW_PAGE_FAULTS, mp3_on_start_event },
	};
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.sample_period = 1,
		/* Nobody reads it, but perf then delivers the event sooner. */
		.sample_type = PERF_SAMPLE_PERIOD,
		.pinned = 1,
	};
	struct perf_event **events = per_cpu(mp3_events, cpu).events;
	unsigned int i;

	for (i = 0; i < MP3_NR_EVENTS; i++) {
		struct perf_event *event;

		attr.config = kinds[i].config;
		event = perf_event_create_kernel_counter(&attr, cpu, NULL,
							 kinds[i].handler,
							 NULL);
		if (IS_ERR(event)) {
			mp3_release_events(cpu);
			/* It has just gone offline. */
			return PTR_ERR(event) == -ENODEV ? 0 : PTR_ERR(event);
		}
		events[i] = event;
	}

	return 0;
}

/* Attach the probe to x86's tracepoints. Returns 0 or a negative errno. */
static int mp3_attach_exception_probes(void)
{
	unsigned int i;
	int err = 0;

	if (!MP3_HAS_EXCEPTIONS || mp3_exception_probes_attached)
		return 0;
	for (i = 0; i < ARRAY_SIZE(mp3_exception_tracepoints); i++)
		if (!mp3_exception_tracepoints[i])
			return -EOPNOTSUPP;
	for (i = 0; i < ARRAY_SIZE(mp3_exception_tracepoints) && !err; i++)
		err = tracepoint_probe_register(mp3_exception_tracepoints[i],
						mp3_on_exception, NULL);
	/* Only the second one can have failed with the first attached. */
	if (err && i == ARRAY_SIZE(mp3_exception_tracepoints))
		tracepoint_probe_unregister(mp3_exception_tracepoints[0],
					    mp3_on_exception, NULL);
	mp3_exception_probes_attached = !err;

	return err;
}

static void mp3_detach_exception_probes(void)
{
	unsigned int i;

	if (!mp3_exception_probes_attached)
		return;
	for (i = 0; i < ARRAY_SIZE(mp3_exception_tracepoints); i++)
		tracepoint_probe_unregister(mp3_exception_tracepoints[i],
					    mp3_on_exception, NULL);
	mp3_exception_probes_attached = false;
}

/* Detach all that handles faults, and wait until no handler runs. */
static void mp3_stop_events(void)
{
	unsigned int cpu;

	mp3_detach_exception_probes();
	for_each_possible_cpu(cpu)
		mp3_release_events(cpu);
	tracepoint_synchronize_unregister();
	/* The same for handlers: since 7.0, the line above need not wait for RCU. */
	synchronize_rcu();
	vfree(mp3_starts);
	mp3_starts = NULL;
}

/*
 * Attach what handles faults, on all CPUs that are online, as far as it is not
 * attached. Returns 0 or a negative errno.
 */
static int mp3_start_events(void)
{
	unsigned int cpu;
	int err;

	if (!mp3_starts)
		mp3_starts = vzalloc(MP3_START_SIZE);
	if (!mp3_starts)
		return -ENOMEM;
	err = mp3_attach_exception_probes();
	for_each_online_cpu(cpu) {
		/* The events that a CPU had before it went offline are dead. */
		if (cpumask_test_and_clear_cpu(cpu, &mp3_stale_cpus))
			mp3_release_events(cpu);
		if (!err && !per_cpu(mp3_events, cpu).events[0])
			err = mp3_create_events(cpu);
	}

	return err;
}

/* Work function: bring the events into line with mp3_nr_locating. */
static void mp3_update_events(struct work_struct *work)
{
	bool needed;
	int err;

	spin_lock(&mp3_sampler_lock);
	needed = mp3_nr_locating;
	/* Each L either finds this, or has been counted. */
	if (!needed)
		WRITE_ONCE(mp3_events_err, MP3_NO_EVENTS);
	spin_unlock(&mp3_sampler_lock);

	if (!needed) {
		if (mp3_starts)
			mp3_stop_events();
		return;
	}
	err = mp3_start_events();
	WRITE_ONCE(mp3_events_err, err);
	/* Of a CPU that came online, say, there may be events later. */
	if (err)
		schedule_delayed_work(&mp3_events_work, HZ);
}

/* Callback for a CPU that comes online */
static int mp3_cpu_online(unsigned int cpu)
{
	cpumask_set_cpu(cpu, &mp3_stale_cpus);
	schedule_delayed_work(&mp3_events_work, 0);

	return 0;
}

/*
 * Add @change to the number of captures that locate. A work item that is pending
 * already stays as it is: a start flushes it, and so need not wait for its timer.
 */
static void mp3_count_locating(int change)
{
	spin_lock(&mp3_sampler_lock);
	mp3_nr_locating += change;
	/* Delay, as in mp3_unhold(). */
	schedule_delayed_work(&mp3_events_work, mp3_nr_locating ? 0 : HZ);
	spin_unlock(&mp3_sampler_lock);
}

/*
 * Locate the faults of processes that are registered in @holder from now on, or
 * do not.
 */
static void mp3_locate_new(unsigned int holder, bool locate)
{
	u64 mask = BIT_ULL(holder);

	spin_lock(&mp3_sampler_lock);
	raw_spin_lock(&mp3_registry_lock);
	mp3_locating = locate ? mp3_locating | mask : mp3_locating & ~mask;
	raw_spin_unlock(&mp3_registry_lock);
	spin_unlock(&mp3_sampler_lock);
}

/*
 * Locate the faults of a process for the holder @mask, or stop. What precedes is
 * reported to each capture that has it: faults count from here on, or up to here.
 */
static void mp3_toggle_located(struct mp3_process *process, u64 mask,
			       bool locate)
{
	u64 denied = 0;

	lockdep_assert_held(&mp3_sampler_lock);
	if (!!(READ_ONCE(process->located) & mask) == locate)
		return;
	/* No record of it may be emitted before F has authorized it. */
	if (list_empty(&process->unauthorized))
		denied = mp3_collect_now(process, 0);
	raw_spin_lock(&mp3_registry_lock);
	WRITE_ONCE(process->located, process->located ^ mask);
	raw_spin_unlock(&mp3_registry_lock);
	mp3_unhold(process, denied);
}

static void mp3_start_located(struct mp3_process *process, u64 mask)
{
	/* Else all its faults precede, as they do below. */
	if (process->signal)
		mp3_toggle_located(process, mask, true);
}

static void mp3_stop_located(struct mp3_process *process, u64 mask)
{
	if (process->signal)
		mp3_toggle_located(process, mask, false);
	else
		mp3_emit_remains(process, mask & READ_ONCE(process->located),
				 mp3_time_now());
}

/* Publish what L of @holder has changed. */
static void mp3_publish_located(unsigned int holder)
{
	spin_lock(&mp3_sampler_lock);
	mp3_publish_processes(holder);
	mp3_wake_all();
	spin_unlock(&mp3_sampler_lock);
}

/*
 * Starting and stopping has records emitted, also to captures of others: wait until
 * the last one is a turn old. Returns 0, or -EINTR if the caller was killed.
 */
static int mp3_wait_for_turn(struct mp3_locator *locator)
{
	u64 now = get_jiffies_64();

	lockdep_assert_held(&locator->capture->locate_mutex);
	if (time_before64(now, locator->toggled + MP3_TURN))
		schedule_timeout_killable(locator->toggled + MP3_TURN - now);
	locator->toggled = get_jiffies_64();

	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* Have all faults of the capture's processes handled. Returns 0 or an errno. */
static int mp3_start_locating(struct mp3_locator *locator)
{
	unsigned int holder = locator->capture->holder;
	int err;

	lockdep_assert_held(&locator->capture->locate_mutex);
	mp3_count_locating(1);
	/* While another task is queueing the work, a flush does not wait for it. */
	do {
		flush_delayed_work(&mp3_events_work);
		err = READ_ONCE(mp3_events_err);
	} while (err == MP3_NO_EVENTS);
	if (err) {
		/* The work runs again, and releases what it has created. */
		mp3_count_locating(-1);
		return err;
	}
	locator->active = true;
	mp3_locate_new(holder, true);
	mp3_for_each_held(holder, mp3_start_located);
	mp3_publish_located(holder);

	return 0;
}

/*
 * Stop what mp3_start_locating() has started, if it has. With @report, the faults
 * up to here are counted.
 */
static void mp3_stop_locating(struct mp3_locator *locator, bool report)
{
	unsigned int holder = locator->capture->holder;

	lockdep_assert_held(&locator->capture->locate_mutex);
	if (!locator->active)
		return;
	locator->active = false;
	mp3_locate_new(holder, false);
	if (report) {
		mp3_for_each_held(holder, mp3_stop_located);
		mp3_publish_located(holder);
	}
	mp3_count_locating(-1);
}

/* Free a locator that no handler can find. */
static void mp3_locator_free(struct mp3_locator *locator)
{
	u32 i;

	cancel_work_sync(&locator->files_work);
	for (i = locator->nr_resolved; i < locator->nr_files; i++)
		mp3_put_file(&locator->refs[i]);
	vfree(locator->files);
	if (locator->faults.ring.header)
		mp3_ring_free(&locator->faults.ring);
	free_percpu(locator->faults.nr);
	free_percpu(locator->known);
	vfree(locator);
}

/*
 * Create the locator of a capture, charged to the memory cgroup of the calling
 * task. Returns it, or NULL if there is not enough memory.
 */
static struct mp3_locator *mp3_locator_alloc(struct mp3_capture *capture)
{
	const struct mp3_header *records = capture->ring.header;
	gfp_t gfp = MP3_GFP_CHARGED | __GFP_NORETRY | __GFP_NOWARN;
	struct mp3_locator *locator;
	struct mp3_ring *ring;

	locator = __vmalloc(sizeof(*locator), gfp | __GFP_ZERO);
	if (!locator)
		return NULL;
	locator->capture = capture;
	mp3_ref_lock_init(&locator->files_lock);
	INIT_WORK(&locator->files_work, mp3_resolve_files);
	ring = &locator->faults.ring;
	ring->entry_size = sizeof(struct mp3_fault);
	mp3_ring_set_capacity(ring, mp3_fault_capacity,
			      MP3_MAX_CAPTURE_FAULTS);
	locator->faults.nr = alloc_percpu_gfp(struct mp3_fault_counts,
					      GFP_KERNEL_ACCOUNT |
					      __GFP_NOWARN);
	locator->known = alloc_percpu_gfp(struct mp3_known,
					  GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	locator->files = __vmalloc(MP3_FILES * sizeof(*locator->files),
				   gfp | __GFP_ZERO);
	if (!locator->faults.nr || !locator->known || !locator->files ||
	    mp3_ring_alloc(ring, gfp, 0, records->base_ns,
			   records->base_jiffies)) {
		mp3_locator_free(locator);
		return NULL;
	}

	return locator;
}

/* Let handlers, the sampler and mp3_region() find the locator of a capture. */
static void mp3_install_locator(struct mp3_capture *capture,
				struct mp3_locator *locator)
{
	lockdep_assert_held(&capture->locate_mutex);
	spin_lock(&mp3_sampler_lock);
	rcu_assign_pointer(mp3_fault_rings[capture->holder], &locator->faults);
	mp3_publish_processes(capture->holder);
	spin_unlock(&mp3_sampler_lock);
	/* Pairs with the acquire load in mp3_region(). */
	smp_store_release(&capture->locator, locator);
}

/*
 * Execute L: locate the faults of the processes in @capture, one minor fault in
 * @n, with so many @callers, or stop if @n is 0. Returns 0, -EPERM, -ENOMEM,
 * -EINTR if the caller was killed, or an error of creating the events.
 */
static int mp3_locate(struct mp3_capture *capture, unsigned int n,
		      unsigned int callers)
{
	struct mp3_locator *locator;
	int err = 0;

	if (n && !READ_ONCE(mp3_user_faults) &&
	    !mp3_is_privileged(capture->file))
		return -EPERM;

	if (mutex_lock_killable(&capture->locate_mutex))
		return -EINTR;
	if (n && !capture->locator) {
		locator = mp3_locator_alloc(capture);
		if (locator)
			mp3_install_locator(capture, locator);
		else
			err = -ENOMEM;
	}
	locator = capture->locator;
	if (!err && locator && locator->active != !!n)
		err = mp3_wait_for_turn(locator);
	if (!err && n) {
		WRITE_ONCE(locator->mask, n - 1);
		WRITE_ONCE(locator->callers, callers);
		if (!locator->active)
			err = mp3_start_locating(locator);
	} else if (!err && locator) {
		mp3_stop_locating(locator, true);
	}
	mutex_unlock(&capture->locate_mutex);

	return err;
}

/* Free the locator of a capture that has no process any longer. */
static void mp3_end_locating(struct mp3_capture *capture)
{
	mutex_lock(&capture->locate_mutex);
	mp3_stop_locating(capture->locator, false);
	mutex_unlock(&capture->locate_mutex);
	spin_lock(&mp3_sampler_lock);
	RCU_INIT_POINTER(mp3_fault_rings[capture->holder], NULL);
	spin_unlock(&mp3_sampler_lock);
	/*
	 * Wait for the handlers that have found the locator, or a process with
	 * this holder, before the number is free.
	 */
	synchronize_rcu();
	mp3_locator_free(capture->locator);
}

/* Release the events for good: no capture exists any longer. */
static void mp3_stop_handling_faults(void)
{
	cpuhp_remove_state_nocalls(mp3_cpuhp_state);
	cancel_delayed_work_sync(&mp3_events_work);
	mp3_stop_events();
}

/* ---- Captures ---- */

#define MP3_MAX_CAPTURES	63	/* at once: holders 1..63 */
#define MP3_MAX_UNPRIVILEGED	47	/* of them without CAP_PERFMON */
#define MP3_MAX_PER_USER	8	/* of these of one user */

/*
 * Return a free holder number for an opener of @file, or -EBUSY if there is
 * none left for it, or -EMFILE if its user has as many captures as allowed.
 * Caller holds mp3_sampler_lock.
 */
static int mp3_find_holder(const struct file *file, bool privileged)
{
	unsigned int holder, nr_unprivileged = 0, nr_own = 0;
	int found = -EBUSY;

	lockdep_assert_held(&mp3_sampler_lock);
	for (holder = 1; holder <= MP3_MAX_CAPTURES; holder++) {
		const struct mp3_capture *capture;

		if (!mp3_holder_rings[holder]) {
			found = holder;
			continue;
		}
		capture = mp3_capture_of(holder);
		if (capture->privileged)
			continue;
		nr_unprivileged++;
		nr_own += uid_eq(capture->file->f_cred->uid, file->f_cred->uid);
	}
	if (!privileged && nr_own >= MP3_MAX_PER_USER)
		return -EMFILE;
	if (!privileged && nr_unprivileged >= MP3_MAX_UNPRIVILEGED)
		return -EBUSY;

	return found;
}

/* End a capture: unregister its processes, and free it. May sleep. */
static void mp3_capture_free(struct mp3_capture *capture)
{
	u64 mask = BIT_ULL(capture->holder);

	mp3_unregister_all(capture->holder);
	if (capture->locator)
		mp3_end_locating(capture);

	spin_lock(&mp3_sampler_lock);
	mp3_holder_rings[capture->holder] = NULL;
	mp3_captures &= ~mask;
	WRITE_ONCE(mp3_unprivileged, mp3_unprivileged & ~mask);
	spin_unlock(&mp3_sampler_lock);
	/* Delay, as in mp3_unhold(). */
	if (!capture->privileged)
		queue_delayed_work(mp3_follow_wq, &mp3_detach_work, HZ);
	/* No poller is left, and mp3_wake_all() does not find the ring. */
	cancel_work_sync(&capture->ring.wake_work);
	mp3_ring_free(&capture->ring);
	put_pid(capture->opener);
	kfree(capture);
}

/*
 * Create the capture of @file, charged to the memory cgroup of the calling
 * task. Returns an error pointer on failure: -ENOMEM, or as mp3_find_holder().
 */
static struct mp3_capture *mp3_capture_alloc(const struct file *file)
{
	const struct mp3_header *classic = mp3_sample_ring->header;
	struct mp3_capture *capture;
	int holder, err;
	bool attached;

	capture = kzalloc(sizeof(*capture), GFP_KERNEL_ACCOUNT);
	if (!capture)
		return ERR_PTR(-ENOMEM);
	capture->file = file;
	capture->privileged = mp3_capable(file, &init_user_ns, CAP_PERFMON);
	mutex_init(&capture->locate_mutex);
	capture->ring.entry_size = sizeof(struct mp3_record);
	mp3_ring_set_capacity(&capture->ring, mp3_capture_capacity,
			      MP3_MAX_CAPTURE_RECORDS);

	/* Reserve the number first: the limits also bound what is allocated. */
	spin_lock(&mp3_sampler_lock);
	holder = mp3_find_holder(file, capture->privileged);
	if (holder > 0)
		mp3_holder_rings[holder] = &capture->ring;
	spin_unlock(&mp3_sampler_lock);
	if (holder < 0) {
		kfree(capture);
		return ERR_PTR(holder);
	}
	capture->opener = get_task_pid(current, PIDTYPE_TGID);
	capture->holder = holder;

	err = mp3_ring_alloc(&capture->ring,
			     MP3_GFP_CHARGED | __GFP_NORETRY | __GFP_NOWARN,
			     0xff, classic->base_ns, classic->base_jiffies);
	spin_lock(&mp3_sampler_lock);
	if (err) {
		mp3_holder_rings[holder] = NULL;
		spin_unlock(&mp3_sampler_lock);
		put_pid(capture->opener);
		kfree(capture);
		return ERR_PTR(err);
	}
	mp3_captures |= BIT_ULL(holder);
	if (!capture->privileged)
		WRITE_ONCE(mp3_unprivileged,
			   mp3_unprivileged | BIT_ULL(holder));
	raw_spin_lock(&mp3_registry_lock);
	mp3_dropped[holder] = 0;
	raw_spin_unlock(&mp3_registry_lock);
	mp3_update_headers();
	/* Now that the bit is set, mp3_detach() leaves the probe attached. */
	attached = mp3_exec_probe_attached;
	spin_unlock(&mp3_sampler_lock);

	if (capture->privileged || attached)
		return capture;
	queue_work(system_highpri_wq, &mp3_exec_work);
	flush_work(&mp3_exec_work);
	err = READ_ONCE(mp3_exec_err);
	if (err) {
		mp3_capture_free(capture);
		return ERR_PTR(err);
	}

	return capture;
}

/* ---- Commands and the status file ---- */

/*
 * Execute L for @capture, with the numbers in @args. Returns 0, -EINVAL if they
 * are malformed or out of range, or an error of mp3_locate().
 */
static int mp3_locate_command(struct mp3_capture *capture, char *args)
{
	char *second = args + strcspn(args, ", \t");
	unsigned int n, callers = 0;

	if (*second) {
		size_t gap = *second == ',' ? 1 : strspn(second, " \t");

		*second = '\0';
		second += gap;
		if (!isdigit(*second) || kstrtouint(second, 10, &callers))
			return -EINVAL;
	}
	if (!isdigit(*args) || kstrtouint(args, 10, &n) || n > 65536 ||
	    (n && !is_power_of_2(n)) || callers >= MP3_FRAMES)
		return -EINVAL;

	return mp3_locate(capture, n, callers);
}

/*
 * Return whether R and U of the process of @task hold mp3_sampler_lock for long,
 * since they read the counts of all its threads.
 */
static bool mp3_is_large(const struct task_struct *task)
{
	return READ_ONCE(task->signal->nr_threads) > MP3_MANY_THREADS;
}

/*
 * Execute R or U for the process of @task. Unless it is the caller's @turn, it may
 * be too early. Returns 0, -EAGAIN if it is, or an errno.
 */
static int mp3_execute_now(const struct mp3_caller *caller, unsigned int holder,
			   char letter, struct task_struct *task, bool turn)
{
	if (letter == 'R')
		return mp3_register(caller, holder, task, turn);

	return mp3_unregister(holder, task, turn);
}

/*
 * Execute a command, which is R, F or U, for the process of @task. Those that
 * take long, or make records outside the grid, are executed one at a time for
 * each user, so that they delay only their own. A caller with CAP_PERFMON need not
 * wait for a turn. Returns 0 or an errno.
 */
static int mp3_execute(const struct mp3_caller *caller, unsigned int holder,
		       char letter, struct task_struct *task)
{
	bool privileged = mp3_is_privileged(caller->file);
	bool tried = letter != 'F' && (privileged || !mp3_is_large(task));
	struct mp3_gate *gate;
	int err = -EAGAIN;

	if (tried)
		err = mp3_execute_now(caller, holder, letter, task, privileged);
	if (err != -EAGAIN)
		return err;

	gate = mp3_gate_get();
	if (!gate)
		return -ENOMEM;
	if (letter == 'F')
		return mp3_follow(caller, holder, task, gate);
	if (mutex_lock_killable(&gate->turn)) {
		err = -EINTR;
		goto put_gate;
	}
	while (err == -EAGAIN) {
		if (tried && module_is_live(THIS_MODULE))
			schedule_timeout_killable(MP3_TURN);
		if (!module_is_live(THIS_MODULE))
			err = -EIO;
		else if (fatal_signal_pending(current))
			err = -EINTR;
		else
			err = mp3_may_profile(caller, task) ?:
			      mp3_execute_now(caller, holder, letter, task,
					      tried);
		tried = true;
	}
	mutex_unlock(&gate->turn);
put_gate:
	mp3_gate_put(gate);

	return err;
}

/*
 * Execute the command in @line for @capture or, if that is NULL, for the classic
 * registry: a letter, one comma or blanks, and a pid, with no newline; or L with
 * its numbers. Returns 0 or an error as listed in mp3_uapi.h.
 */
static int mp3_command(struct file *file, struct mp3_capture *capture,
		       char *line)
{
	unsigned int holder = capture ? capture->holder : MP3_CLASSIC;
	struct mp3_caller caller = { file, current->signal };
	struct task_struct *task;
	struct pid *pid;
	char *digits;
	int nr, err;

	if (!line[0] || !strchr(capture ? "RFUL" : "RFU", line[0]))
		return -EINVAL;
	digits = line[1] == ',' ? line + 2 : line + 1 + strspn(line + 1, " \t");
	if (digits == line + 1)
		return -EINVAL;
	if (line[0] == 'L')
		return mp3_locate_command(capture, digits);
	if (!isdigit(*digits) || kstrtoint(digits, 10, &nr) || nr == 0)
		return -EINVAL;

	if (line[0] == 'F' && !READ_ONCE(mp3_user_follow) &&
	    !mp3_is_privileged(file))
		return -EPERM;

	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return -ESRCH;

	if (task->flags & PF_KTHREAD)
		err = -EINVAL;
	else
		err = mp3_may_profile(&caller, task);
	if (!err)
		err = mp3_execute(&caller, holder, line[0], task);
	put_task_struct(task);

	return err;
}

/*
 * Copy a line from user space. A fault there may take forever, if a user handles
 * it. The module is pinned for that time, since its removal would wait for the
 * writer. Most lines are copied without a fault, and without that. Returns 0,
 * -EFAULT, or -EIO if the module is being removed.
 */
static int mp3_copy_line(char *line, const char __user *buffer, size_t size)
{
	unsigned long left;

	pagefault_disable();
	left = copy_from_user(line, buffer, size);
	pagefault_enable();
	if (!left)
		return 0;

	if (!try_module_get(THIS_MODULE))
		return -EIO;
	left = copy_from_user(line, buffer, size);
	module_put(THIS_MODULE);

	return left ? -EFAULT : 0;
}

/*
 * Execute the commands that are written to @file, for @capture or, if that is
 * NULL, for the classic registry. Copy and execute one line at a time, so that no
 * allocation has a length chosen by the user. A newline or a NUL ends a line.
 * Empty lines are ignored, but a write that contains nothing else is malformed.
 */
static ssize_t mp3_write_commands(struct file *file,
				  struct mp3_capture *capture,
				  const char __user *buffer, size_t count)
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
		 * processes: let the writer be killed in between, and others
		 * have the CPU.
		 */
		err = -EINTR;
		if (fatal_signal_pending(current))
			break;
		/* Its removal waits for this. */
		err = -EIO;
		if (!module_is_live(THIS_MODULE))
			break;
		cond_resched();
		err = mp3_copy_line(line, buffer + done, size);
		if (err)
			break;
		line[size] = '\0';
		len = strcspn(line, "\n");
		line[len] = '\0';

		err = 0;
		if (len == sizeof(line) - 1)
			err = -EINVAL;	/* too long */
		else if (len)
			err = mp3_command(file, capture, line);
		if (err)
			break;
		executed = executed || len;
		done = min(done + len + 1, count);
	}
	if (executed || !count)
		return done;

	return err ? err : -EINVAL;
}

/*
 * The list of processes is read without a lock that the tick waits for, one bucket
 * of mp3_table after the other, in no order that means anything. A process stays
 * in its bucket: one that is registered all the time is listed exactly once.
 */
static void *mp3_status_start(struct seq_file *seq, loff_t *pos)
{
	for (; *pos < HASH_SIZE(mp3_table); ++*pos)
		if (!hlist_empty(&mp3_table[*pos]))
			return &mp3_table[*pos];
	return NULL;
}

static void *mp3_status_next(struct seq_file *seq, void *bucket, loff_t *pos)
{
	cond_resched();
	++*pos;

	return mp3_status_start(seq, pos);
}

static void mp3_status_stop(struct seq_file *seq, void *bucket)
{
}

/*
 * Return the pid of a process in the classic registry, with a reference, or NULL.
 * Caller is in an RCU read-side section.
 */
static struct pid *mp3_get_classic_pid(const struct mp3_process *process)
{
	struct pid *pid = NULL;

	/* Under the lock, an entry with a holder keeps its pid. */
	raw_spin_lock(&mp3_registry_lock);
	if (process->holders & MP3_CLASSIC_MASK)
		pid = get_pid(process->pid);
	raw_spin_unlock(&mp3_registry_lock);

	return pid;
}

/*
 * Print the pid of each process of a bucket that is in the classic registry, that
 * the reader's pid namespace has, and that the reader may profile. One that has
 * been reaped is left out: its number may be in use again.
 */
static int mp3_status_show(struct seq_file *seq, void *bucket)
{
	struct mp3_caller caller = { seq->private, current->signal };
	struct mp3_process *process;

	rcu_read_lock();
	hlist_for_each_entry_rcu(process, (struct hlist_head *)bucket, hash) {
		struct pid *pid = mp3_get_classic_pid(process);
		struct task_struct *task = pid_task(pid, PIDTYPE_TGID);
		pid_t nr = pid_vnr(pid);

		if (task && nr && mp3_may_profile(&caller, task) != -EPERM)
			seq_printf(seq, "%d\n", nr);
		put_pid(pid);
	}
	rcu_read_unlock();

	return 0;
}

static const struct seq_operations mp3_status_seq_ops = {
	.start = mp3_status_start,
	.next = mp3_status_next,
	.stop = mp3_status_stop,
	.show = mp3_status_show,
};

/* A file that is only written allocates no buffer. */
static int mp3_status_open(struct inode *inode, struct file *file)
{
	struct seq_file *seq;
	int err;

	err = seq_open(file, &mp3_status_seq_ops);
	if (err)
		return err;
	seq = file->private_data;
	seq->private = file;

	return 0;
}

static ssize_t mp3_status_write(struct file *file, const char __user *buffer,
				size_t count, loff_t *ppos)
{
	return mp3_write_commands(file, NULL, buffer, count);
}

/* As mp3_copy_line(), the buffer may have faults that do not end. */
static ssize_t mp3_status_read(struct file *file, char __user *buffer,
			       size_t count, loff_t *ppos)
{
	ssize_t ret;

	pagefault_disable();
	ret = seq_read(file, buffer, count, ppos);
	pagefault_enable();
	if (ret != -EFAULT)
		return ret;

	if (!try_module_get(THIS_MODULE))
		return -EIO;
	ret = seq_read(file, buffer, count, ppos);
	module_put(THIS_MODULE);

	return ret;
}

static const struct proc_ops mp3_status_ops = {
	.proc_open = mp3_status_open,
	.proc_read = mp3_status_read,
	.proc_write = mp3_status_write,
	.proc_lseek = seq_lseek,
	.proc_release = seq_release,
};

/* ---- Devices ---- */

#define MP3_CAPTURE_MINOR	2	/* after those of mp3_rings */
#define MP3_NR_MINORS		3

/**
 * struct mp3_ring_reader - an open file of a device
 * @ring:    the ring, by the device's minor number
 * @capture: the capture that the file has created, or NULL
 * @polled:  mp3_published() at the last poll that reported more, or at open
 */
struct mp3_ring_reader {
	struct mp3_ring *ring;
	struct mp3_capture *capture;
	u64 polled;
};

static int mp3_open(struct inode *inode, struct file *file)
{
	struct mp3_ring_reader *reader;
	struct mp3_capture *capture;

	reader = kzalloc(sizeof(*reader), GFP_KERNEL_ACCOUNT);
	if (!reader)
		return -ENOMEM;
	if (iminor(inode) == MP3_CAPTURE_MINOR) {
		capture = mp3_capture_alloc(file);
		if (IS_ERR(capture)) {
			kfree(reader);
			return PTR_ERR(capture);
		}
		reader->capture = capture;
		reader->ring = &capture->ring;
	} else {
		reader->ring = &mp3_rings[iminor(inode)];
	}
	reader->polled = READ_ONCE(reader->ring->header->head);
	file->private_data = reader;

	return 0;
}

/* The last close, with no mapping left: a capture ends. */
static int mp3_release(struct inode *inode, struct file *file)
{
	struct mp3_ring_reader *reader = file->private_data;

	if (reader->capture)
		mp3_capture_free(reader->capture);
	kfree(reader);

	return 0;
}

/* Execute commands for a capture. The other devices take none. */
static ssize_t mp3_write(struct file *file, const char __user *buffer,
			 size_t count, loff_t *ppos)
{
	struct mp3_ring_reader *reader = file->private_data;

	if (!reader->capture)
		return -EINVAL;
	return mp3_write_commands(file, reader->capture, buffer, count);
}

/* Return how many entries have been published, located faults of a capture included. */
static u64 mp3_published(const struct mp3_ring_reader *reader)
{
	u64 head = READ_ONCE(reader->ring->header->head);
	const struct mp3_locator *locator = NULL;

	if (reader->capture) {
		/* Pairs with the release store in mp3_install_locator(). */
		locator = smp_load_acquire(&reader->capture->locator);
	}
	if (locator)
		head += READ_ONCE(locator->faults.ring.header->head);

	return head;
}

/*
 * Report readable if an entry was published since the last poll of @file that
 * reported it, or since its open.
 */
static __poll_t mp3_poll(struct file *file, struct poll_table_struct *table)
{
	struct mp3_ring_reader *reader = file->private_data;
	u64 published;

	poll_wait(file, &reader->ring->wait, table);
	/*
	 * Load heads after poll_wait() has added the caller to the wait queue.
	 * Pairs with mp3_ring_wake(), which looks there after heads have been
	 * stored.
	 */
	smp_mb();
	published = mp3_published(reader);
	if (published == READ_ONCE(reader->polled))
		return 0;
	/* Do not consume the event unless the caller requested EPOLLIN. */
	if (poll_requested_events(table) & (EPOLLIN | EPOLLRDNORM))
		WRITE_ONCE(reader->polled, published);

	return EPOLLIN | EPOLLRDNORM;
}

/**
 * struct mp3_region - a part of a device that can be mapped
 * @address:	its pages, from vmalloc()
 * @pgoff:	offset of the first page, for mmap(2)
 * @nr_pages:	how many there are
 * @writable:	whether user space may map it for writing
 */
struct mp3_region {
	void *address;
	unsigned long pgoff;
	unsigned long nr_pages;
	bool writable;
};

#define MP3_NR_REGIONS	5

/*
 * Return region @i, 0..MP3_NR_REGIONS - 1, of an open file; without pages if the
 * file does not have it. Headers come first: one page at their offset is the
 * header, even if the data extend that far.
 */
static struct mp3_region mp3_region(const struct mp3_ring_reader *reader,
				    unsigned int i)
{
	struct mp3_ring *ring = reader->ring;
	struct mp3_locator *locator = NULL;

	if (reader->capture) {
		/* Pairs with the release store in mp3_install_locator(). */
		locator = smp_load_acquire(&reader->capture->locator);
	}
	if (i == 0)
		return (struct mp3_region){
			ring->header, MP3_OFF_HEADER >> PAGE_SHIFT, 1, false,
		};
	if (i == 1)
		return (struct mp3_region){
			ring->data, 0, ring->data_pages, ring->writable,
		};
	if (!locator)
		return (struct mp3_region){ };
	ring = &locator->faults.ring;
	if (i == 2)
		return (struct mp3_region){
			ring->header, MP3_OFF_FAULTS_HEADER >> PAGE_SHIFT, 1,
			false,
		};
	if (i == 3)
		return (struct mp3_region){
			ring->data, MP3_OFF_FAULTS >> PAGE_SHIFT,
			ring->data_pages, false,
		};
	return (struct mp3_region){
		locator->files, MP3_OFF_FILES >> PAGE_SHIFT,
		MP3_FILES * sizeof(struct mp3_file) / PAGE_SIZE, false,
	};
}

/* Map one page of a region. */
static vm_fault_t mp3_vm_fault(struct vm_fault *vmf)
{
	const struct mp3_ring_reader *reader = vmf->vma->vm_file->private_data;
	struct mp3_region region;
	unsigned int i = 0;

	do {
		region = mp3_region(reader, i++);
	} while (region.address != vmf->vma->vm_private_data &&
		 i < MP3_NR_REGIONS);
	/* mp3_mmap() has checked the bounds: check the single page again. */
	if (region.address != vmf->vma->vm_private_data ||
	    vmf->pgoff < region.pgoff ||
	    vmf->pgoff - region.pgoff >= region.nr_pages)
		return VM_FAULT_SIGBUS;

	/* A reference of its own: a pinned page may outlive the mapping. */
	vmf->page = vmalloc_to_page((char *)region.address +
				    ((vmf->pgoff - region.pgoff) << PAGE_SHIFT));
	get_page(vmf->page);

	return 0;
}

static const struct vm_operations_struct mp3_vm_ops = {
	.fault = mp3_vm_fault,
};

/*
 * Map a part of a region. Returns 0, -EINVAL for a range that is in no region, or
 * -EPERM for a protection that the region does not allow.
 */
static int mp3_mmap(struct file *file, struct vm_area_struct *vma)
{
	const struct mp3_ring_reader *reader = file->private_data;
	unsigned long forbidden = VM_EXEC, skipped;
	struct mp3_region region;
	unsigned int i;

	for (i = 0; i < MP3_NR_REGIONS; i++) {
		region = mp3_region(reader, i);
		skipped = vma->vm_pgoff - region.pgoff;
		if (vma->vm_pgoff >= region.pgoff &&
		    skipped < region.nr_pages &&
		    vma_pages(vma) <= region.nr_pages - skipped)
			break;
	}
	if (i == MP3_NR_REGIONS)
		return -EINVAL;
	if (!region.writable)
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
	vma->vm_private_data = region.address;
	vma->vm_ops = &mp3_vm_ops;

	return 0;
}

static const struct file_operations mp3_fops = {
	.owner = THIS_MODULE,
	.open = mp3_open,
	.release = mp3_release,
	.write = mp3_write,
	.poll = mp3_poll,
	.mmap = mp3_mmap,
	.llseek = noop_llseek,
};

/* ---- Init and exit ---- */

static struct cdev mp3_cdev;
static struct class *mp3_class;
static struct proc_dir_entry *mp3_proc_dir;

/* Names in /dev, indexed by the minor number */
static const char *const mp3_device_names[] = {
	"mp3", "mp3_procs", "mp3_capture",
};

static_assert(ARRAY_SIZE(mp3_device_names) == MP3_NR_MINORS);
static_assert(ARRAY_SIZE(mp3_rings) == MP3_CAPTURE_MINOR);

/* By default, captures are for every user, and the classic rings for root. */
static char *mp3_devnode(mp3_const_device *device, umode_t *mode, kuid_t *uid,
			 kgid_t *gid)
{
	bool is_capture = MINOR(device->devt) == MP3_CAPTURE_MINOR;

	/* All three are NULL if only the name is wanted. */
	if (mode)
		*mode = is_capture ? mp3_user_mode : mp3_ring_mode;
	if (gid)
		*gid = is_capture ? mp3_user_gid : mp3_ring_gid;
	return NULL;
}

static void mp3_release_device(struct device *device)
{
	kfree(device);
}

/* A device needs a type to have a group: a class has none. */
static const struct device_type mp3_device_type = {
	.devnode = mp3_devnode,
	.release = mp3_release_device,
};

/*
 * Reserve the device numbers, and set mp3_major if it is 0, or if it is the default
 * and another driver has that. Returns 0 or an errno.
 */
static int __init mp3_get_major(void)
{
	dev_t dev = MKDEV(mp3_major, 0);
	int err;

	if (mp3_major >= CHRDEV_MAJOR_MAX)
		return -EINVAL;
	if (mp3_major) {
		err = register_chrdev_region(dev, MP3_NR_MINORS, "mp3");
		if (err != -EBUSY || mp3_major_is_given)
			return err;
	}

	err = alloc_chrdev_region(&dev, 0, MP3_NR_MINORS, "mp3");
	if (err)
		return err;
	if (mp3_major)
		pr_notice("major %u is taken: for clients that need it, unload the driver that has it in /proc/devices, and reload mp3\n",
			  mp3_major);
	mp3_major = MAJOR(dev);

	return 0;
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
	int err;

	if (mp3_capture_capacity < 64 ||
	    mp3_capture_capacity > MP3_MAX_CAPTURE_RECORDS ||
	    mp3_fault_capacity < 64 ||
	    mp3_fault_capacity > MP3_MAX_CAPTURE_FAULTS)
		return -EINVAL;
	err = mp3_ring_set_capacity(mp3_record_ring, mp3_record_capacity,
				    1 << 24);
	if (err)
		return err;

	/* Start right after a clock tick: base_ns is the time of that tick. */
	schedule_timeout_uninterruptible(1);
	mp3_stamp(ktime_get_ns());
	for (i = 0; i < ARRAY_SIZE(mp3_rings) && !err; i++)
		err = mp3_ring_alloc(&mp3_rings[i], GFP_KERNEL, 0xff,
				     mp3_sample_ns, mp3_sample_jiffies);
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

static int __init mp3_create_device(unsigned int minor)
{
	struct device *device = kzalloc(sizeof(*device), GFP_KERNEL);
	int err;

	if (!device)
		return -ENOMEM;
	device_initialize(device);
	device->class = mp3_class;
	device->type = &mp3_device_type;
	device->devt = MKDEV(mp3_major, minor);
	err = dev_set_name(device, "%s", mp3_device_names[minor]);
	if (!err)
		err = device_add(device);
	if (err)
		put_device(device);

	return err;
}

static int __init mp3_create_devices(void)
{
	unsigned int minor;
	int err;

	for (minor = 0; minor < ARRAY_SIZE(mp3_device_names); minor++) {
		err = mp3_create_device(minor);
		if (err) {
			mp3_destroy_devices();
			return err;
		}
	}
	return 0;
}

static int __init mp3_init(void)
{
	struct proc_dir_entry *status;
	dev_t dev;
	int err;

	for_each_kernel_tracepoint(mp3_find_tracepoint, NULL);
	if (!mp3_fork_tracepoint || !mp3_exec_tracepoint)
		return -ENOENT;

	err = mp3_alloc_rings();
	if (err)
		return err;

	mp3_worker = kthread_run_worker(0, "mp3");
	err = PTR_ERR_OR_ZERO(mp3_worker);
	if (err)
		goto free_rings;
	set_user_nice(mp3_worker->task, MIN_NICE);
	err = -ENOMEM;
	mp3_wake_wq = alloc_workqueue("mp3_wake", WQ_UNBOUND | WQ_MEM_RECLAIM,
				      0);
	if (!mp3_wake_wq)
		goto destroy_worker;
	mp3_follow_wq = alloc_ordered_workqueue("mp3_follow", WQ_HIGHPRI);
	if (!mp3_follow_wq)
		goto destroy_wake_wq;

	err = mp3_get_major();
	if (err)
		goto destroy_follow_wq;
	dev = MKDEV(mp3_major, 0);

	mp3_class = mp3_class_create("mp3");
	err = PTR_ERR_OR_ZERO(mp3_class);
	if (err)
		goto put_major;

	err = -ENOMEM;
	mp3_proc_dir = proc_mkdir("mp3", NULL);
	if (!mp3_proc_dir)
		goto destroy_class;
	status = proc_create("status", mp3_user_mode, mp3_proc_dir,
			     &mp3_status_ops);
	if (!status)
		goto remove_proc;
	proc_set_user(status, GLOBAL_ROOT_UID, mp3_user_gid);

	err = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "mp3:online",
					mp3_cpu_online, NULL);
	if (err < 0)
		goto remove_proc;
	mp3_cpuhp_state = err;

	err = mp3_create_devices();
	if (err)
		goto remove_cpu_callback;

	/* The last step that can fail: an open file cannot be revoked. */
	cdev_init(&mp3_cdev, &mp3_fops);
	mp3_cdev.owner = THIS_MODULE;
	err = cdev_add(&mp3_cdev, dev, MP3_NR_MINORS);
	if (err)
		goto destroy_devices;

	pr_info("ready, major %u\n", mp3_major);
	return 0;

destroy_devices:
	mp3_destroy_devices();
remove_cpu_callback:
	mp3_stop_handling_faults();
remove_proc:
	proc_remove(mp3_proc_dir);
	mp3_stop_following();
	mp3_stop_sampling();
destroy_class:
	class_destroy(mp3_class);
put_major:
	unregister_chrdev_region(dev, MP3_NR_MINORS);
destroy_follow_wq:
	destroy_workqueue(mp3_follow_wq);
destroy_wake_wq:
	destroy_workqueue(mp3_wake_wq);
destroy_worker:
	kthread_destroy_worker(mp3_worker);
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
	mp3_stop_handling_faults();
	proc_remove(mp3_proc_dir);
	mp3_stop_following();
	mp3_stop_sampling();
	class_destroy(mp3_class);
	unregister_chrdev_region(dev, MP3_NR_MINORS);
	destroy_workqueue(mp3_follow_wq);
	destroy_workqueue(mp3_wake_wq);
	kthread_destroy_worker(mp3_worker);
	mp3_free_rings();
}

module_init(mp3_init);
module_exit(mp3_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("page-fault profiler: exact counts, absolute grid, mapped ring");
MODULE_VERSION(MP3_VERSION);
