// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "where_count.h"

/* Initializes the sums of no faults. */
void count_init(struct where_count *count, bool stacks_wanted)
{
	memset(count, 0, sizeof(*count));
	count->stacks_wanted = stacks_wanted;
	count->code.item_size = sizeof(struct code_sums);
	count->code.key_size = sizeof(__u64);
	count->stacks.item_size = sizeof(struct stack_sums);
	count->stacks.key_size = (MP3_FRAMES + 1) * sizeof(__u64);
}

/* Adds sums to others. */
void sums_add(struct sums *sums, const struct sums *other)
{
	sums->minor += other->minor;
	sums->major += other->major;
	sums->minor_ns += other->minor_ns;
	sums->major_ns += other->major_ns;
}

/* Returns the sums of a process. Exits if there is no memory. */
static struct sums *process_sums(struct where_count *count, size_t index)
{
	size_t nr = count->nr_processes;

	if (index >= nr) {
		count->nr_processes = 2 * index + 16;
		count->processes = reallocarray(count->processes,
						count->nr_processes,
						sizeof(struct sums));
		if (!count->processes)
			err(1, "table of processes");
		memset(count->processes + nr, 0,
		       (count->nr_processes - nr) * sizeof(struct sums));
	}

	return &count->processes[index];
}

/* Returns the sums of the instruction that has caused a fault. */
static struct sums *code_sums(struct where_count *count,
			      const struct mp3_fault *fault)
{
	__u64 frame = MP3_FAULT_FRAMES(fault->flags) ? fault->frames[0] :
						       CODE_KERNEL;
	struct code_sums *code;

	if (count->code.nr >= MAX_PLACES && !set_find(&count->code, &frame))
		frame = CODE_OTHER;
	code = set_get(&count->code, &frame, NULL);

	return &code->sums;
}

/* Returns the sums of the call path of a fault. */
static struct sums *stack_sums(struct where_count *count,
			       const struct mp3_fault *fault)
{
	__u64 key[MP3_FRAMES + 1] = {}, nr = MP3_FAULT_FRAMES(fault->flags);
	struct stack_sums *stack;

	memcpy(key, fault->frames, nr * sizeof(key[0]));
	key[MP3_FRAMES] = nr;
	if (count->stacks.nr >= MAX_PLACES && !set_find(&count->stacks, key))
		return &count->other_stacks;
	stack = set_get(&count->stacks, key, NULL);

	return &stack->sums;
}

/* Adds a fault. Exits if there is no memory. */
void count_fault(struct where_count *count, struct where_data *data,
		 const struct mp3_fault *fault)
{
	bool major = fault->flags & MP3_FAULT_MAJOR;
	bool known = fault->stall_ns != MP3_NO_STALL;
	__u64 ns = known ? fault->stall_ns : 0;
	struct sums one = {
		.minor = !major,
		.major = major,
		.minor_ns = major ? 0 : ns,
		.major_ns = major ? ns : 0,
	};
	size_t process = data_process(data, fault->pid, fault->time_ns);

	sums_add(&count->total, &one);
	sums_add(&count->kinds[fault_kind(fault)], &one);
	sums_add(&count->accesses[fault_access(fault)], &one);
	if (!(fault->flags & MP3_FAULT_USER))
		sums_add(&count->by_kernel, &one);
	sums_add(&count->mappings[fault_mapping(fault)], &one);
	sums_add(process_sums(count, process), &one);
	sums_add(code_sums(count, fault), &one);
	if (count->stacks_wanted)
		sums_add(stack_sums(count, fault), &one);
	if (known)
		latency_add(major ? &count->major : &count->minor, ns);
	else
		count->no_stall++;
}
