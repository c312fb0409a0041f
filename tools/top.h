/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rows of mp3ctl top: rates of processes, computed from their records and
 * faults, and the lines that show them on a screen or elsewhere.
 *
 *	top_rows.c	processes and their rates
 *	top_faults.c	the rates of located faults
 *	top_order.c	which rows are shown, and their order
 *	top_columns.c	the lines
 *	top_replay.c	a recording in place of a capture
 */
#ifndef MP3_TOOLS_TOP_H
#define MP3_TOOLS_TOP_H

#include "set.h"
#include "source.h"
#include "spark.h"
#include "table.h"
#include "where_kind.h"

/* No line is longer, its NUL included. */
#define TOP_LINE 480

/* Columns. The first ones are rates of struct top_process. */
enum top_column {
	TOP_MAJOR,
	TOP_MINOR,
	TOP_CPU,
	TOP_STALL,
	TOP_KIND,	/* the first of enum fault_kind */
	TOP_RATES = TOP_KIND + NR_KINDS,
	TOP_RSS = TOP_RATES,
	TOP_PID,
	TOP_USER,
	TOP_HISTORY,
	TOP_NAME,
	TOP_COLUMNS
};

/**
 * struct top_process - what is shown of a process; it follows that in memory
 * @min_flt: minor faults when the rates were computed
 * @maj_flt: major faults when they were computed
 * @cpu_ns:  CPU time when they were computed
 * @rates:   faults per second; CPU time and stalled time in percent of the time
 * @history: faults per second in the last minute
 * @shown:   it was shown after it had exited
 * @visible: the filter accepts it
 * @parent:  in the tree: the closest ancestor that is visible, or NULL
 * @child:   in the tree: its first child, or NULL
 * @sibling: in the tree: the next child of its parent, or NULL
 */
struct top_process {
	__u64 min_flt;
	__u64 maj_flt;
	__u64 cpu_ns;
	double rates[TOP_RATES];
	struct spark history;
	bool shown;
	bool visible;
	struct process *parent;
	struct process *child;
	struct process *sibling;
};

/* Returns what is shown of a process of the rows' table. */
static inline struct top_process *top_state(const struct process *process)
{
	return (struct top_process *)(process + 1);
}

/**
 * struct top_filter - which processes are shown
 * @name:     glob(7) pattern of the name, or a part of it; NULL: any
 * @user:     name or number of a user; NULL: any
 * @cgroup:   path of a cgroup, or the number of one: it and those below it; NULL:
 *	      any
 */
struct top_filter {
	const char *name;
	const char *user;
	const char *cgroup;
};

/**
 * struct top_row - a row
 * @process: what it shows
 * @depth:   generations below a root of the tree; 0 if there is no tree
 */
struct top_row {
	struct process *process;
	unsigned int depth;
};

/**
 * struct top - the rows
 * @table:	the processes
 * @sort:	what the rows are sorted by
 * @tree:	put each process below its parent
 * @filter:	which processes are shown
 * @columns:	the columns to show, as far as there is space
 * @nr_columns:	how many
 * @unicode:	the terminal shows Unicode
 * @every:	one minor fault in this many is located; 0: none
 * @faults:	struct fault_sums: faults since the last refresh
 * @lost_faults: faults that were lost
 * @rows:	the processes to show, in order
 * @nr_rows:	how many
 * @capacity:	how many @rows has memory for
 * @position:	what the title starts with; empty: the time of day
 * @state:	what follows it, or empty
 * @base_ns:	the tick that the counts were shown up to, CLOCK_MONOTONIC of the
 *		initial time namespace
 * @newest_ns:	the tick of the newest record
 * @fresh:	there were records since the last refresh
 * @ticks:	that the module had served at the last refresh
 * @lost:	records that were lost up to the last refresh
 * @denied:	processes that were denied up to the last refresh
 */
struct top {
	struct table table;
	enum top_column sort;
	bool tree;
	struct top_filter filter;
	enum top_column columns[TOP_COLUMNS];
	size_t nr_columns;
	bool unicode;
	unsigned int every;
	struct set faults;
	__u64 lost_faults;
	struct top_row *rows;
	size_t nr_rows;
	size_t capacity;
	char position[48];
	char state[32];
	__u64 base_ns;
	__u64 newest_ns;
	bool fresh;
	__u64 ticks;
	__u64 lost;
	__u64 denied;
};

/**
 * struct top_layout - the columns that a line has space for
 * @columns: from left to right
 * @starts:  the first character of each
 * @widths:  how many characters each has
 * @nr:	     how many columns
 * @width:   characters of a line
 */
struct top_layout {
	enum top_column columns[TOP_COLUMNS];
	size_t starts[TOP_COLUMNS];
	size_t widths[TOP_COLUMNS];
	size_t nr;
	size_t width;
};

/* The width of a line without a limit */
#define TOP_UNLIMITED TOP_LINE

void top_init(struct top *top);
void top_count(struct top *top, const struct mp3_record *record);
void top_add(void *data, pid_t pid);
void top_start(struct top *top, const struct source *source, __u64 now_ns);
void top_restart(struct top *top, __u64 now_ns);
void top_refresh(struct top *top, const struct source *source, __u64 now_ns);
void top_advance(struct top *top, __u64 interval_ns, __u64 now_ns, bool ticked);

void top_count_fault(struct top *top, const struct mp3_fault *fault);
void top_take_faults(struct top *top, const struct process *process,
		     __u64 kinds[NR_KINDS], __u64 *stall_ns);
void top_forget_faults(struct top *top);

bool top_sort_by(struct top *top, int key);
enum top_column top_parse_sort(const char *text);
void top_sort(struct top *top);

void top_parse_columns(struct top *top, const char *text);
void top_default_columns(struct top *top, bool has_screen);
void top_layout(const struct top *top, size_t width, struct top_layout *layout);
bool top_find_cell(const struct top_layout *layout, enum top_column column,
		   size_t *start, size_t *width);
void top_title(const struct top *top, size_t width, char line[TOP_LINE]);
size_t top_header(const struct top_layout *layout, char line[TOP_LINE]);
size_t top_row(const struct top *top, const struct top_layout *layout,
	       const struct top_row *row, char line[TOP_LINE]);

#endif /* MP3_TOOLS_TOP_H */
