// SPDX-License-Identifier: GPL-2.0
/* The rates of located faults, for mp3ctl top. */
#include <string.h>

#include "top.h"

/**
 * struct fault_sums - the faults of a process since the last refresh
 * @pid:      process id
 * @kept:     they are from before the last refresh, and were not taken then
 * @taken:    top_take_faults() has returned them
 * @stall_ns: stalled time
 * @kinds:    faults, by enum fault_kind
 */
struct fault_sums {
	__u32 pid;
	bool kept;
	bool taken;
	__u64 stall_ns;
	__u64 kinds[NR_KINDS];
};

/* Adds a fault to those of its process, which may have no record yet. */
void top_count_fault(struct top *top, const struct mp3_fault *fault)
{
	__u64 weight = fault->flags & MP3_FAULT_MAJOR ? 1 : top->every;
	struct fault_sums *sums;

	top->faults.item_size = sizeof(*sums);
	top->faults.key_size = sizeof(sums->pid);
	sums = set_get(&top->faults, &fault->pid, NULL);
	sums->kinds[fault_kind(fault)] += weight;
	if (fault->stall_ns != MP3_NO_STALL)
		sums->stall_ns += weight * fault->stall_ns;
}

/**
 * top_take_faults() - find the faults since the last refresh, once
 * @top:      the rows
 * @process:  process
 * @kinds:    filled, or unchanged if there are no faults
 * @stall_ns: likewise
 */
void top_take_faults(struct top *top, const struct process *process,
		     __u64 kinds[NR_KINDS], __u64 *stall_ns)
{
	struct fault_sums *sums = set_find(&top->faults, &process->pid);

	if (!sums || sums->taken)
		return;
	memcpy(kinds, sums->kinds, sizeof(sums->kinds));
	*stall_ns = sums->stall_ns;
	sums->taken = true;
}

/*
 * Forgets the faults since the last refresh, except those of processes that have
 * no record yet: these are kept once.
 */
void top_forget_faults(struct top *top)
{
	struct set old = top->faults;
	const struct fault_sums *sums;
	struct fault_sums *copy;
	size_t i;

	if (!old.nr)
		return;
	top->faults = (struct set){
		.item_size = old.item_size,
		.key_size = old.key_size,
	};
	for (i = 0; i < old.nr; i++) {
		sums = set_item(&old, i);
		if (sums->taken || sums->kept)
			continue;
		copy = set_get(&top->faults, &sums->pid, NULL);
		*copy = *sums;
		copy->kept = true;
	}
	set_free(&old);
}
