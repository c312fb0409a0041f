/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Adding up located faults, without keeping them: memory is needed for each place
 * that faults come from, not for each fault.
 */
#ifndef MP3_TOOLS_WHERE_COUNT_H
#define MP3_TOOLS_WHERE_COUNT_H

#include "latency.h"
#include "where_data.h"
#include "where_kind.h"

/* Different call paths, or instructions, that are kept apart */
#define MAX_PLACES	(1024 * 1024)

/* Key of faults without user-mode code, and of those beyond MAX_PLACES */
#define CODE_KERNEL	(~0ULL)
#define CODE_OTHER	(~0ULL - 1)

/**
 * struct sums - faults of one place, as they were located
 * @minor:    minor faults
 * @major:    major faults
 * @minor_ns: known stalled time of the minor faults
 * @major_ns: known stalled time of the major faults
 */
struct sums {
	__u64 minor;
	__u64 major;
	__u64 minor_ns;
	__u64 major_ns;
};

/**
 * struct code_sums - faults of one instruction
 * @frame: see struct mp3_fault; or CODE_*
 * @sums:  its faults
 */
struct code_sums {
	__u64 frame;
	struct sums sums;
};

/**
 * struct stack_sums - faults of one call path
 * @frames: see struct mp3_fault; elements that are not valid are 0
 * @nr:	    valid elements
 * @sums:   its faults
 */
struct stack_sums {
	__u64 frames[MP3_FRAMES];
	__u64 nr;
	struct sums sums;
};

/**
 * struct where_count - the faults of a capture or a recording
 * @stacks_wanted: add up call paths, too
 * @total:	  all faults
 * @kinds:	  by enum fault_kind
 * @accesses:	  by enum fault_access
 * @by_kernel:	  those of accesses by the kernel for the program
 * @mappings:	  by fault_mapping()
 * @processes:	  by the index of the process; @nr_processes of them
 * @nr_processes: how many
 * @code:	  struct code_sums
 * @stacks:	  struct stack_sums
 * @other_stacks: call paths beyond MAX_PLACES
 * @minor:	  stalled times of minor faults
 * @major:	  stalled times of major faults
 * @no_stall:	  faults of which the stalled time is unknown
 */
struct where_count {
	bool stacks_wanted;
	struct sums total;
	struct sums kinds[NR_KINDS];
	struct sums accesses[NR_ACCESSES];
	struct sums by_kernel;
	struct sums mappings[NR_MAPPINGS];
	struct sums *processes;
	size_t nr_processes;
	struct set code;
	struct set stacks;
	struct sums other_stacks;
	struct latency minor;
	struct latency major;
	__u64 no_stall;
};

void count_init(struct where_count *count, bool stacks_wanted);
void count_fault(struct where_count *count, struct where_data *data,
		 const struct mp3_fault *fault);
void sums_add(struct sums *sums, const struct sums *other);

#endif /* MP3_TOOLS_WHERE_COUNT_H */
