/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A flame graph of page faults: the stacks that caused them, merged into a tree
 * whose widths are faults or stalled time.
 */
#ifndef MP3_TOOLS_FLAME_H
#define MP3_TOOLS_FLAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <linux/types.h>

#include "where_kind.h"

/* What the width of a box means. */
enum flame_by {
	FLAME_BY_FAULTS,
	FLAME_BY_STALL,
};

/**
 * struct flame_count - what the faults of a box add up to
 * @faults:   how many
 * @major:    how many of them were major
 * @stall_ns: stalled time, as far as it is known
 */
struct flame_count {
	__u64 faults;
	__u64 major;
	__u64 stall_ns;
};

struct flame;

struct flame *flame_new(void);
void flame_free(struct flame *flame);
void flame_add(struct flame *flame, const char *const *stack, size_t depth,
	       enum fault_kind kind, const struct flame_count *count);
void flame_print_collapsed(struct flame *flame, enum flame_by by, FILE *file);
void flame_print_speedscope(struct flame *flame, const char *title, FILE *file);
void flame_print_svg(struct flame *flame, enum flame_by by, const char *title,
		     FILE *file);

#endif /* MP3_TOOLS_FLAME_H */
