/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * mp3: the ABI between the module, the tools and the tests.
 *
 * Who is profiled: /proc/mp3/status (mode 0666). One command a line, any
 * number of lines a write, at most one page:
 *
 *	R,<pid>		profile this process from now on
 *	F,<pid>		the same, and follow it: its present descendants and
 *			every future one, each a registered process of its own
 *	U,<pid>		stop profiling it, and following what it starts; its
 *			children are left as they are
 *
 * A pid is read in the writer's pid namespace; any thread's id names its
 * whole process. Of the present descendants, F takes those that the caller may
 * profile, and leaves out the others with what is below them; what a followed
 * process starts later is followed, whatever its rights.
 *
 * A failing line changes nothing; the lines before it have taken effect, and
 * write(2) returns how many bytes they were, or, when it is the first, fails
 * with:
 *
 *	EINVAL	malformed, out of range, a kernel thread, or too long a write
 *	ESRCH	no such process, one that has ended, or not registered (U)
 *	EEXIST	already registered (F: already followed; one that R registered is
 *		followed from then on)
 *	EPERM	neither the caller's own process nor one it may inspect
 *	ENOMEM	no memory
 *	EFAULT	the buffer cannot be read
 *
 * Reading the file gives the registered pids, one a line, as the reader's pid
 * namespace numbers them. A process that ends leaves by itself.
 *
 * What they did in all: /dev/mp3, a ring of samples. mmap(2) at offset 0 gives
 * the ring's data (MP3_DATA_PAGES pages, shared, read and write), at
 * MP3_OFF_HEADER one read-only page with struct mp3_header. What each did by
 * itself: /dev/mp3_procs, a ring of records of the same form, read only, whose
 * data are as many pages as header's capacity needs. (A mapping of one page at
 * MP3_OFF_HEADER is the header, also where the data reach so far.)
 *
 * Entry number i lies in slot i % capacity. A reader
 *
 *	1. loads head with acquire: the entries below it are published,
 *	2. copies entry i,
 *	3. after an acquire fence loads head again, and keeps its copy only
 *	   while i + capacity - 1 > head: else the writer may have been there,
 *	4. where others consume, too, copies word 0 after the fence, and drops
 *	   an entry in which it is -1: it has been consumed.
 *
 * Older and simpler readers live by the words alone: all words are -1 at
 * load, word 0 of the slot after the newest entry is always -1, and a reader
 * stores -1 over what it has read.
 *
 * poll(2) says readable when something was published since the last poll of
 * this open file that said so, or since its open. epoll_ctl(2) polls, too, and
 * keeps to itself what it was told: look at head after it.
 */
#ifndef MP3_UAPI_H
#define MP3_UAPI_H

#include <linux/types.h>

#define MP3_STATUS_PATH	"/proc/mp3/status"
#define MP3_DEVICE_PATH	"/dev/mp3"
#define MP3_PROCS_PATH	"/dev/mp3_procs"

#define MP3_MAGIC	0x0033504d	/* "MP3" and a NUL, little-endian */
#define MP3_ABI_VERSION	1

#define MP3_MAJOR	423		/* the default of the parameter major */
#define MP3_DATA_PAGES	128		/* pages of /dev/mp3's data */
#define MP3_SAMPLES	12000		/* capacity of /dev/mp3, entries */
#define MP3_OFF_HEADER	0x10000000	/* mmap offset of the header page */

/* Flags of a record */
#define MP3_FIRST	1u		/* registered since the record before */
#define MP3_LAST	2u		/* exited or unregistered */

/**
 * struct mp3_sample - what all registered processes did in one interval
 * @jiffies:	 kernel's clock tick at the moment of sampling; header's
 *		 base_jiffies, base_ns and hz turn it into a time
 * @min_flt:	 minor faults since the sample before, in all
 * @maj_flt:	 major faults since the sample before, in all
 * @cpu_percent: CPU time spent since the sample before, in percent of one
 *		 CPU, rounded: two busy processes on two CPUs make 200; of the
 *		 time since then, or of the interval if that is longer
 */
struct mp3_sample {
	unsigned long jiffies;
	unsigned long min_flt;
	unsigned long maj_flt;
	unsigned long cpu_percent;
};

/**
 * struct mp3_record - what one process did in one interval
 * @time_ns:   CLOCK_MONOTONIC at the moment of sampling: the same in all
 *	       records of a tick, which are published before its sample
 * @pid:       process id (tgid) in the initial pid namespace
 * @flags:     MP3_FIRST, MP3_LAST; both where it came and went in between
 * @min_flt:   minor faults since the last tick
 * @maj_flt:   major faults since the last tick
 * @cpu_ns:    CPU time since the last tick, nanoseconds
 * @rss_bytes: resident memory at that moment, as the kernel has it at hand
 *	       (since Linux 6.2 to some pages a CPU); 0 once it has ended
 * @comm:      name, as in /proc/<pid>/comm, ends with a NUL
 *
 * There is one for each registered process with something to tell: a count
 * that is not 0, or a flag. The records of a tick sum to its sample.
 */
struct mp3_record {
	__u64 time_ns;
	__u32 pid;
	__u32 flags;
	__u64 min_flt;
	__u64 maj_flt;
	__u64 cpu_ns;
	__u64 rss_bytes;
	char comm[16];
};

/**
 * struct mp3_header - what a reader must know of a ring
 * @magic:	  MP3_MAGIC
 * @version:	  MP3_ABI_VERSION; another one means another layout
 * @entry_size:	  bytes of one entry
 * @capacity:	  slots in the ring
 * @head:	  entries ever published: number i lies in slot i % capacity
 * @interval_ns:  length of the grid's interval
 * @ticks:	  deadlines of the grid that were served
 * @missed:	  deadlines that passed unserved
 * @cost_ns:	  time that sampling itself has taken so far
 * @dropped:	  followed children that could not be followed for want of
 *		  memory
 * @base_ns:	  CLOCK_MONOTONIC at the moment of @base_jiffies, to one tick
 * @base_jiffies: the clock tick at load
 * @hz:		  clock ticks a second
 * @processes:	  registered now. Once 0 is loaded with acquire, @head is
 *		  final until the next registration
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
};

#endif /* MP3_UAPI_H */
