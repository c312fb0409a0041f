/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What proc(5) reports of a process, for mp3ctl and userapp. Process ids are
 * those of the caller's pid namespace, whichever one /proc was mounted for.
 */
#ifndef MP3_TOOLS_PROC_H
#define MP3_TOOLS_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#include <linux/types.h>

/**
 * struct counts - what a process has done since its first instruction
 * @min_flt: minor faults
 * @maj_flt: major faults
 * @cpu_ns:  CPU time, nanoseconds
 */
struct counts {
	__u64 min_flt;
	__u64 maj_flt;
	__u64 cpu_ns;
};

bool proc_is_own(void);
pid_t process_of(pid_t thread);
bool is_running(pid_t pid);
bool read_counts(pid_t pid, struct counts *counts);

#endif /* MP3_TOOLS_PROC_H */
