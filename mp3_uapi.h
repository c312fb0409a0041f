/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * mp3: the ABI between the module, the tools and the tests
 *
 * Registering: /proc/mp3/status (mode 0666, or the parameter user_mode)
 *
 * A write contains one command per line, and at most one page:
 *
 *	R,<pid>		profile this process from now on
 *	F,<pid>		the same, and follow it: its present descendants and
 *			every future one become registered processes of their
 *			own
 *	U,<pid>		stop profiling it, and stop following what it starts;
 *			its children stay as they are
 *
 * One comma or blanks separate the letter from the pid. A line has at most 62
 * bytes; a NUL ends it as a newline does, and the last newline is optional. A pid
 * is interpreted in the writer's pid namespace. The id of any thread names its
 * whole process. A process may always name itself. For any other, both the writer
 * and the opener of the file must have ptrace(2) read access to it
 * (PTRACE_MODE_READ_REALCREDS), or CAP_PERFMON: by default, the process has their
 * user and group ids, no capability that they lack, and is dumpable. F skips present
 * descendants to which they have no such access, together with everything below
 * them; a process that a followed process starts later is followed whatever its
 * credentials.
 *
 * A line that fails changes nothing. The lines before it have taken effect, and
 * write(2) returns how many bytes they were; if the first line fails, write(2)
 * fails with:
 *
 *	EINVAL	the line is malformed, its pid out of range, the process a
 *		kernel thread, or the write longer than a page
 *	ESRCH	no such process, one that has exited, or U of one that is not
 *		registered
 *	EEXIST	R of a registered process, or F of a followed one (F of a
 *		process registered by R follows it from now on)
 *	EPERM	the writer or the opener has no access to the process, or F if
 *		one of them lacks CAP_PERFMON and the parameter user_follow is
 *		not set
 *	ENOMEM	not enough memory, also for a command that waits for others
 *	EFAULT	the buffer cannot be read
 *	EIO	the module is being removed
 *
 * Without CAP_PERFMON, R and U take up to 50 ms if the same was done less than
 * 50 ms ago, and it would make another sample between two ticks, or another
 * record for the captures of others. Those of one user that take so long, or that
 * are for a process of more than 256 threads, are executed one after the other.
 *
 * A read returns the pids of the registered processes that the reader may
 * profile by the rule above, one per line, as the reader's pid namespace
 * numbers them, in no particular order. A process that exits is unregistered
 * automatically at the next tick.
 *
 * Reading: /dev/mp3 and /dev/mp3_procs (mode 0600, or ring_mode)
 *
 * Each is a ring. /dev/mp3 has samples: what all registered processes did in
 * one interval. Its data are MP3_DATA_PAGES pages, to be mapped shared, for
 * reading and writing. /dev/mp3_procs has records: what one process did in one
 * interval. Its data are as many pages as @capacity entries need, and can only
 * be read. mmap(2) at offset 0 maps the data, and at MP3_OFF_HEADER one
 * read-only page with struct mp3_header (even if the data extend that far).
 *
 * Entry number i is in slot i % capacity. A full ring overwrites its oldest
 * entry. A reader
 *
 *	1. loads @head with acquire: all entries below it are published;
 *	2. copies entry i; of /dev/mp3, word 0 last, after an acquire fence;
 *	3. after an acquire fence, loads @head again, and keeps the copy only if
 *	   i + capacity - 1 > head: otherwise the module may have overwritten it
 *	   during the copy;
 *	4. drops an entry of /dev/mp3 in which word 0 is -1: another reader has
 *	   consumed it.
 *
 * Simple readers of /dev/mp3 use no header. Every word of the ring is -1 when
 * the module is loaded, and word 0 of the slot after the newest entry is always
 * -1. A reader loads word 0 of an entry with acquire, before the others. It
 * consumes the entry by storing -1 in word 0 and, after a release fence, in the
 * others.
 *
 * Captures: /dev/mp3_capture (mode 0666, or user_mode)
 *
 * Each open(2) creates a capture: registrations that last as long as the open
 * file and its mappings do, and a private ring of their records, which can only
 * be read. write(2) executes the commands above for the capture. It has
 * capture_records entries (a parameter of the module), and they and its header
 * are charged to the memory cgroup of the opener, from Linux 5.11 on. A process
 * can be registered in any number of captures, and in the status file, at the
 * same time. When it joins or leaves a capture, its counters are read at once,
 * and each other capture that it is registered in gets a record of what has
 * changed.
 *
 * Unless the opener has CAP_PERFMON, the rule above is applied again before
 * each record. A process that has become another user's, more capable, or
 * undumpable, be it only for a moment by exec, is unregistered from the capture
 * without a last record, and counted in @denied.
 *
 * open(2) fails with EMFILE if the user, without CAP_PERFMON, has 8 captures
 * already, and with EBUSY if no capture is left: there are 63, and 16 of them
 * are reserved for CAP_PERFMON.
 *
 * Faults: a capture that locates
 *
 * One more command is for captures alone:
 *
 *	L,<n>		locate the faults of the processes in the capture: of
 *			each thread, one minor fault in n, and each major fault.
 *			n is a power of two, 1..65536; 0 stops locating
 *	L,<n>,<callers>	the same, with up to so many callers of the code that
 *			caused the fault, 0..8 (default 0)
 *
 * From the first L on, these can be mapped, for reading only:
 *
 *	MP3_OFF_FAULTS		the ring of faults: struct mp3_fault, capture_faults
 *				entries (a parameter of the module)
 *	MP3_OFF_FAULTS_HEADER	its header, one page with struct mp3_header
 *	MP3_OFF_FILES		the table of files: MP3_FILES times struct mp3_file
 *
 * Fault number i is in slot i % capacity, and its @seq is then i + 1. Threads on
 * several CPUs write at the same time. A reader
 *
 *	1. loads @head of the header with acquire: faults below it have a slot;
 *	2. loads @seq with acquire. If it is i + 1, the fault is complete; if it is
 *	   larger, but not MP3_FAULT_BUSY, the fault has been overwritten.
 *	   Otherwise it is being written or overwritten: try again later, and give
 *	   up if @seq is still not i + 1 after @processes has been loaded as 0 or
 *	   @ticks has advanced by two;
 *	3. copies the fault, and after an acquire fence loads @seq again: the copy
 *	   is good if it has not changed.
 *
 * @head is updated at each tick, before @processes. poll(2) reports it as entries
 * that were published.
 *
 * L fails with EINVAL if it is malformed or written to the status file, with
 * EPERM if the writer or the opener lacks CAP_PERFMON and the parameter
 * user_faults is not set, with ENOMEM, and with EOPNOTSUPP if the kernel lacks
 * the events. In a capture whose opener lacks CAP_PERFMON, the rule above is
 * applied again at each fault; here CAP_SYS_PTRACE does not help. If it fails, no
 * later fault of the process is recorded, and its next record is denied, unless the
 * opener has CAP_SYS_PTRACE: then the faults are counted, but not located.
 *
 * poll(2) reports a device readable if an entry was published since the last
 * poll of the same open file that reported it, or since its open. epoll_ctl(2)
 * also polls the file, and discards the result: check @head after it.
 */
#ifndef MP3_UAPI_H
#define MP3_UAPI_H

#include <linux/types.h>

/* The version of the whole project: written here and nowhere else */
#define MP3_VERSION	"0.2.0"

#define MP3_STATUS_PATH	"/proc/mp3/status"
#define MP3_DEVICE_PATH	"/dev/mp3"
#define MP3_PROCS_PATH	"/dev/mp3_procs"
#define MP3_CAPTURE_PATH "/dev/mp3_capture"

#define MP3_MAGIC	0x0033504d	/* "MP3" and a NUL, little-endian */
#define MP3_ABI_VERSION	2		/* changes with the layout of a ring */

#define MP3_MAJOR	423		/* of the devices, if it is free */
#define MP3_DATA_PAGES	128		/* pages of /dev/mp3's data */
#define MP3_SAMPLES	12000		/* capacity of /dev/mp3, in entries */

/* Offsets for mmap(2); the data of a ring of records or samples are at 0 */
#define MP3_OFF_HEADER		0x10000000	/* the header page */
#define MP3_OFF_FAULTS		0x20000000	/* a capture's ring of faults */
#define MP3_OFF_FAULTS_HEADER	0x30000000	/* its header page */
#define MP3_OFF_FILES		0x38000000	/* the table of files */

/* @flags of struct mp3_record */
#define MP3_FIRST	1u		/* first record since registration */
#define MP3_LAST	2u		/* process exited or unregistered */
#define MP3_IDENTITY	4u		/* an identity record, without counts */

/**
 * struct mp3_sample - what all registered processes did in one interval
 * @jiffies:	 when the sample was taken, in clock ticks of the kernel:
 *		 @base_jiffies, @base_ns and @hz of the header convert it to
 *		 CLOCK_MONOTONIC. Never -1 in a published entry. Source:
 *		 get_jiffies_64()
 * @min_flt:	 minor faults since the previous sample. Source: min_flt of
 *		 task_struct and signal_struct
 * @maj_flt:	 major faults since the previous sample. Source: maj_flt of both
 * @cpu_percent: CPU time since the previous sample, in percent of one CPU,
 *		 rounded: two busy processes on two CPUs give 200. The divisor
 *		 is the interval, or the time since the previous sample if that
 *		 is longer. Source: as @cpu_ns of struct mp3_record
 *
 * Each sample is the sum of the records since the previous one, and is
 * published after them. mp3 runs on 64-bit kernels only: each field is one
 * word of 8 bytes.
 *
 * @cpu_percent can exceed 100 times the number of CPUs when CPU time arrives
 * late; see @cpu_ns of struct mp3_record.
 *
 * When a field is added, also change:
 *
 * - MP3_ABI_VERSION
 * - mp3.c: the static_assert of the size, and mp3_emit_sample()
 * - mp3_client.h, monitor.c, python/mp3.py and tests/host/python_test
 * - tools/format.c: its table of fields
 * - man/mp3.4, man/mp3ctl.1, man/monitor.1 and docs/protocol.md
 * - analysis/: plot and the awk readers; bench/
 */
struct mp3_sample {
	unsigned long jiffies;
	unsigned long min_flt;
	unsigned long maj_flt;
	unsigned long cpu_percent;
};

/**
 * struct mp3_record - what one process did in one interval
 * @time_ns:   when the counters were read, in nanoseconds of CLOCK_MONOTONIC in
 *	       the initial time namespace; the same in all records of a tick.
 *	       Records in a ring never go back in time. Source: ktime_get_ns()
 * @pid:       process id (tgid) in the initial pid namespace
 * @flags:     MP3_FIRST, MP3_LAST, both, or 0; or MP3_IDENTITY alone
 * @min_flt:   minor faults since the previous record, or the registration.
 *	       Source: min_flt of task_struct and signal_struct
 * @maj_flt:   major faults in the same period. Source: maj_flt of both
 * @cpu_ns:    CPU time in the same period, in nanoseconds. Source:
 *	       sum_exec_runtime of each thread, sum_sched_runtime of the process
 * @rss_bytes: resident memory when the counters were read, in bytes, a multiple
 *	       of the page size; 0 if the process has exited. Source:
 *	       get_mm_rss(), which is inexact by some pages per CPU since Linux
 *	       6.2
 * @ppid:      with MP3_IDENTITY: process id of the parent, in the initial pid
 *	       namespace, when the process was registered or forked; 0 if it had
 *	       none. Source: real_parent
 * @uid:       with MP3_IDENTITY: real user id, in the initial user namespace
 * @start_ns:  with MP3_IDENTITY: when the process was forked, on the clock of
 *	       @time_ns. Source: start_time of its leader
 * @cgroup_id: with MP3_IDENTITY: id of its cgroup v2, the inode number of the
 *	       cgroup's directory; 0 if the kernel has no cgroups
 * @reserved:  with MP3_IDENTITY: 0
 * @comm:      name of the process, as in /proc/<pid>/comm, ends with a NUL. Any
 *	       bytes may precede the NUL. In a capture, zeros follow it
 *
 * A record with MP3_IDENTITY has no counts. One precedes each record with
 * MP3_FIRST, with the same @time_ns and @pid, so that a process can be placed
 * in its tree and its cgroup after it has exited.
 *
 * A tick publishes one record for each registered process with something to
 * report: a count that is not 0, or a flag. A capture that a process joins or
 * leaves publishes one in between. Of an exited process, the record with
 * MP3_LAST has the final counts.
 *
 * The sum of @cpu_ns over all records is exact. The scheduler updates the time
 * of a running thread at each clock tick: with a periodic tick, a record lags
 * by at most one tick per thread. On a nohz_full CPU, the time of a running
 * thread can lag by seconds and then arrive at once; a record can then report
 * more CPU time than has passed since the previous one.
 *
 * When a field is added, also change:
 *
 * - MP3_ABI_VERSION
 * - mp3.c: the static_assert of the size, and mp3_fill_record()
 * - mp3_client.h, python/mp3.py and tests/host/python_test
 * - tools/format.c: its table of fields
 * - man/mp3.4, man/mp3ctl.1 and docs/protocol.md
 * - analysis/: plot and the awk readers; bench/
 */
__extension__ struct mp3_record {
	__u64 time_ns;
	__u32 pid;
	__u32 flags;
	union {
		struct {
			__u64 min_flt;
			__u64 maj_flt;
			__u64 cpu_ns;
			__u64 rss_bytes;
		};
		struct {
			__u32 ppid;
			__u32 uid;
			__u64 start_ns;
			__u64 cgroup_id;
			__u64 reserved;
		};
	};
	char comm[16];
};

/**
 * struct mp3_header - the state of a ring and of the sampler
 * @magic:	  MP3_MAGIC
 * @version:	  MP3_ABI_VERSION; a reader must refuse any other
 * @entry_size:	  bytes of one entry
 * @capacity:	  number of slots
 * @head:	  number of entries ever published: entry i is in slot
 *		  i % @capacity. Never decreases while the module is loaded
 * @interval_ns:  sampling interval in nanoseconds, at least one clock tick and
 *		  at most 10 s. Source: the parameter interval_ms
 * @ticks:	  deadlines at which all processes were sampled
 * @missed:	  deadlines that passed without a sample
 * @cost_ns:	  time that sampling has taken so far, in nanoseconds
 * @dropped:	  descendants of followed processes that are not profiled for
 *		  lack of memory
 * @base_ns:	  CLOCK_MONOTONIC of the initial time namespace at
 *		  @base_jiffies, in nanoseconds, to within one clock tick
 * @base_jiffies: the clock tick at which the module was loaded
 * @hz:		  clock ticks per second of the kernel (CONFIG_HZ)
 * @processes:	  number of processes registered in the status file, or in the
 *		  capture. Once a reader has loaded 0 with acquire, @head is
 *		  final until the next registration
 * @denied:	  processes unregistered from the capture because its opener
 *		  lost the permission to profile them
 * @counted:	  faults in the records of the capture while it located faults
 * @located:	  of these, faults that were given a slot in its ring of faults
 *
 * In the header of a ring of faults, @head to @dropped, @processes and @denied have a
 * different meaning in part:
 *
 * - @head: faults that were given a slot, @located
 * - @missed: faults that were left out because n is not 1
 * - @cost_ns: 0
 * - @dropped: faults that were not written because the slot was busy, and faults
 *   that lack a file because the table of files was full
 * - @denied: processes that had a fault denied, after which none is located
 * - @processes: at 0, @head is final only if all processes have exited: a thread that
 *   handles a fault while its process is unregistered can be given a slot later
 *
 * At n = 1, @counted - @located is the number of faults without an event: those
 * that the kernel takes itself, without an access of the program, for mlock(2),
 * MAP_POPULATE, direct I/O, or the arguments of exec. In general, it is
 * @counted - @located - @missed. This is exact once @processes is 0, if @denied is
 * 0 in both headers, no CPU came online, and each process was registered before it
 * ran, or while it was stopped, and has exited, or was stopped when it was
 * unregistered. The faults of a process that was denied can be located without being
 * counted.
 *
 * The module updates @head to @dropped and @processes to @located while the page
 * is mapped, each by a single store. The other fields do not change.
 *
 * When a field is added, also change:
 *
 * - MP3_ABI_VERSION
 * - mp3.c: the static_assert of the size, and mp3_ring_alloc() (constants) or
 *   mp3_update_headers() (variables)
 * - mp3_client.h, monitor.c, tools/ and python/mp3.py, as far as they use it
 * - man/mp3.4 and docs/protocol.md
 * - analysis/header.c; bench/
 */
struct mp3_header {
	__u32 magic;
	__u32 version;
	__u32 entry_size;
	__u32 capacity;
	__u64 head;
	__u64 interval_ns;
	__u64 ticks;
	__u64 missed;
	__u64 cost_ns;
	__u64 dropped;
	__u64 base_ns;
	__u64 base_jiffies;
	__u32 hz;
	__u32 processes;
	__u64 denied;
	__u64 counted;
	__u64 located;
};

#define MP3_FRAMES	9		/* of a fault: the instruction, 8 callers */
#define MP3_FILES	1024		/* entries of a table of files */

/* Special values of struct mp3_fault */
#define MP3_FAULT_BUSY	(~0ULL)		/* @seq: being written */
#define MP3_NO_STALL	(~0ULL)		/* @stall_ns: unknown */
#define MP3_NO_FILE	0u		/* @file: anonymous memory */
#define MP3_UNKNOWN_FILE (~0u)		/* @file: unknown */

/* @flags of struct mp3_fault */
#define MP3_FAULT_MAJOR		0x001u	/* needed I/O */
#define MP3_FAULT_WRITE		0x002u	/* a write; see ACCESS_KNOWN */
#define MP3_FAULT_EXEC		0x004u	/* an instruction fetch; likewise */
#define MP3_FAULT_USER		0x008u	/* by the program, not the kernel for it */
#define MP3_FAULT_ACCESS_KNOWN	0x010u	/* WRITE, EXEC and PRESENT are valid */
#define MP3_FAULT_PRESENT	0x020u	/* the page was there, with less access:
					 * copy on write, dirty or access flag
					 */
#define MP3_FAULT_SHARED	0x040u	/* in a MAP_SHARED mapping */
#define MP3_FAULT_HEAP		0x080u	/* between start_brk and brk */
#define MP3_FAULT_STACK		0x100u	/* on the stack of the first thread */
#define MP3_FAULT_FRAMES(flags)	((flags) >> 28)	/* valid elements of @frames */

/* An element of @frames: the number of a file, and an offset in it */
#define MP3_FRAME_FILE(frame)	((__u32)((frame) >> 48))
#define MP3_FRAME_OFFSET(frame)	((frame) & 0xffffffffffffULL)

/**
 * struct mp3_fault - one page fault
 * @seq:      number of the fault plus one; MP3_FAULT_BUSY while it is written;
 *	      0 before the slot is first used
 * @time_ns:  when it was completed, on the clock of @time_ns of struct
 *	      mp3_record. Source: ktime_get_mono_fast_ns()
 * @pid:      process id (tgid) in the initial pid namespace
 * @tid:      thread id in the initial pid namespace
 * @address:  the address that was accessed
 * @stall_ns: time from the exception to the completion, in nanoseconds, or
 *	      MP3_NO_STALL. Includes the time of other tasks on the CPU
 * @offset:   of @address in the file or, in anonymous memory, in the mapping; in
 *	      bytes. 0 if @file is MP3_UNKNOWN_FILE and the mapping is unknown
 * @file:     number of the mapped file, MP3_NO_FILE or MP3_UNKNOWN_FILE. A
 *	      shared anonymous mapping has a file, "/dev/zero (deleted)"
 * @flags:    MP3_FAULT_*, and the number of valid @frames in bits 28..31
 * @frames:   @frames[0] is the user-mode instruction that caused the fault or, if
 *	      that was the kernel, the one after the system call; the others are
 *	      the return addresses of its callers, innermost first, found by frame
 *	      pointers. Each is the number of a file in bits 48..63 and an offset
 *	      in that file; or, with number 0, bits 0..47 of an address. No frame
 *	      is valid if the fault has no instruction in user mode, as during
 *	      exec. The contents of the others are undefined
 *
 * When a field is added, also change:
 *
 * - MP3_ABI_VERSION
 * - mp3.c: the static_assert of the size, and mp3_record_fault()
 * - mp3_client.h, python/mp3.py and tests/host/python_test
 * - tools/: recordings and the output of mp3ctl where
 * - man/mp3.4 and docs/protocol.md
 */
struct mp3_fault {
	__u64 seq;
	__u64 time_ns;
	__u32 pid;
	__u32 tid;
	__u64 address;
	__u64 stall_ns;
	__u64 offset;
	__u32 file;
	__u32 flags;
	__u64 frames[MP3_FRAMES];
};

/* @flags of struct mp3_file */
#define MP3_FILE_TRUNCATED	1u	/* @path lacks its beginning */

/**
 * struct mp3_file - one file that faults or frames of a capture refer to
 * @number:	number of the file, its index in the table plus one; 0 until the
 *		other fields are valid: load it with acquire
 * @flags:	MP3_FILE_TRUNCATED or 0
 * @device:	of its file system: st_dev of stat(2), except on those that make up
 *		devices, such as btrfs
 * @inode:	inode number
 * @generation:	distinguishes files that have had the same inode number
 * @path:	absolute path, as in /proc/<pid>/maps, with " (deleted)" if it has
 *		been unlinked, but without escapes: any bytes may precede the NUL at
 *		its end. Zeros follow it
 */
struct mp3_file {
	__u32 number;
	__u32 flags;
	__u64 device;
	__u64 inode;
	__u64 generation;
	char path[224];
};

#endif /* MP3_UAPI_H */
