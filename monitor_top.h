/* SPDX-License-Identifier: GPL-2.0 */
/*
 * monitor --top: the table of processes, and the screen that shows it. Only
 * monitor.c includes this file.
 *
 * Records tell what each process did between two ticks. Their counts add up
 * until the table is refreshed, and are then divided by the time that passed
 * from tick to tick.
 */
#ifndef MONITOR_TOP_H
#define MONITOR_TOP_H

#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#ifdef MP3_HAVE_CURSES
#include <curses.h>
#endif

#include "mp3_client.h"
#include "mp3_tools.h"

#define NSEC_PER_SEC 1000000000ULL

#define COMM_SIZE sizeof(((struct mp3_record *)0)->comm)
#define COMM_ESCAPED (4 * COMM_SIZE)

/**
 * comm_escape() - make a process' name fit to be shown
 * @text: filled, ends with a NUL
 * @comm: name, of COMM_SIZE bytes; its process chose it
 *
 * Only what is printable in ASCII stays, so that no name does anything to a
 * terminal or to a line of output; \xNN is another byte, and \\ a backslash.
 */
static inline void comm_escape(char text[COMM_ESCAPED], const char *comm)
{
	size_t i, size = 0;

	for (i = 0; i < COMM_SIZE - 1 && comm[i]; i++) {
		unsigned char byte = (unsigned char)comm[i];

		if (byte == '\\')
			size += (size_t)sprintf(text + size, "\\\\");
		else if (byte < ' ' || byte > '~')
			size += (size_t)sprintf(text + size, "\\x%02x", byte);
		else
			text[size++] = (char)byte;
	}
	text[size] = '\0';
}

#define TOP_BUCKETS 1024
#define TOP_LINE 256		/* more bytes than a line of it has */

/* What a row shows, and can be sorted by. */
enum top_value {
	TOP_MAJOR,
	TOP_MINOR,
	TOP_RSS,
	TOP_CPU,
	TOP_PID,
	TOP_VALUES
};

/* The keys that sort by each of them. */
static const char top_keys[] = "Mmrcp";

/**
 * struct top_process - one row
 * @next:    in its bucket
 * @pid:     process id in the initial pid namespace
 * @ended:   its last record was read
 * @leaving: and was shown
 * @listed:  was in the status file, when that was last read
 * @comm:    name, ends with a NUL
 * @min_flt: minor faults since the table was refreshed
 * @maj_flt: major faults since then
 * @cpu_ns:  CPU time since then, nanoseconds
 * @values:  what is shown: faults a second, bytes, percent of one CPU, pid
 */
struct top_process {
	struct top_process *next;
	__u32 pid;
	bool ended;
	bool leaving;
	bool listed;
	char comm[COMM_SIZE];
	__u64 min_flt;
	__u64 maj_flt;
	__u64 cpu_ns;
	double values[TOP_VALUES];
};

/**
 * struct top - the table
 * @buckets:   its processes, by pid
 * @rows:      the same in the order in which they are shown
 * @nr:	       how many
 * @room:      for how many @rows has room
 * @sort:      what they are sorted by
 * @base_ns:   the tick up to which counts have been shown, CLOCK_MONOTONIC
 * @newest_ns: that of the newest record
 * @fresh:     there were records since the table was refreshed
 * @ticks:     served by the module when it was refreshed
 * @lost:      records that were overwritten unread
 * @screen:    it is shown on one
 */
struct top {
	struct top_process *buckets[TOP_BUCKETS];
	struct top_process **rows;
	size_t nr;
	size_t room;
	enum top_value sort;
	__u64 base_ns;
	__u64 newest_ns;
	bool fresh;
	__u64 ticks;
	__u64 lost;
	bool screen;
};

/* ---- The table ---- */

/* Finds a process' row, or makes it one. */
static struct top_process *top_process(struct top *top, __u32 pid)
{
	struct top_process **bucket = &top->buckets[pid % TOP_BUCKETS];
	struct top_process *process;

	for (process = *bucket; process; process = process->next)
		if (process->pid == pid)
			return process;

	if (top->nr == top->room) {
		top->room = top->room ? 2 * top->room : 64;
		top->rows = reallocarray(top->rows, top->room,
					 sizeof(struct top_process *));
		if (!top->rows)
			err(1, "table");
	}
	process = calloc(1, sizeof(*process));
	if (!process)
		err(1, "table");
	process->pid = pid;
	process->values[TOP_PID] = pid;
	process->next = *bucket;
	*bucket = process;
	top->rows[top->nr++] = process;

	return process;
}

static void top_add(struct top *top, const struct mp3_record *record)
{
	struct top_process *process = top_process(top, record->pid);

	memcpy(process->comm, record->comm, sizeof(process->comm));
	process->comm[sizeof(process->comm) - 1] = '\0';
	process->min_flt += record->min_flt;
	process->maj_flt += record->maj_flt;
	process->cpu_ns += record->cpu_ns;
	process->values[TOP_RSS] = (double)record->rss_bytes;
	/* A number that ended may come again. */
	process->ended = record->flags & MP3_LAST;
	process->leaving = false;
	top->newest_ns = record->time_ns;
	top->fresh = true;
}

static void top_remove(struct top *top, struct top_process *process)
{
	struct top_process **at = &top->buckets[process->pid % TOP_BUCKETS];

	while (*at != process)
		at = &(*at)->next;
	*at = process->next;
	free(process);
}

/* Takes the rows of processes that were @leaving out of the table. */
static void top_sweep(struct top *top)
{
	size_t i, nr = 0;

	for (i = 0; i < top->nr; i++) {
		if (top->rows[i]->leaving)
			top_remove(top, top->rows[i]);
		else
			top->rows[nr++] = top->rows[i];
	}
	top->nr = nr;
}

/* What /proc says of a process that has been idle for longer than the ring. */
static void top_look_up(struct top_process *process)
{
	char path[32];
	double pages;
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/comm", process->pid);
	file = fopen(path, "re");
	if (file) {
		/* It ends with a line's end, and may have others in it. */
		size = fread(process->comm, 1, sizeof(process->comm), file);
		process->comm[size ? size - 1 : 0] = '\0';
		fclose(file);
	}
	snprintf(path, sizeof(path), "/proc/%u/statm", process->pid);
	file = fopen(path, "re");
	if (file) {
		if (fscanf(file, "%*s %lf", &pages) == 1)
			process->values[TOP_RSS] = pages * getpagesize();
		fclose(file);
	}
}

/*
 * Goes by the status file, at the start and where records were lost: who came
 * and who went is not known from these then. That file has other numbers than
 * the records in a pid namespace but the first.
 */
static void top_synchronize(struct top *top)
{
	struct top_process *process;
	FILE *status;
	__u32 pid;
	size_t i;

	if (!in_initial_pid_namespace())
		return;
	status = fopen(MP3_STATUS_PATH, "re");
	if (!status)
		return;

	for (i = 0; i < top->nr; i++)
		top->rows[i]->listed = false;
	while (fscanf(status, "%u", &pid) == 1) {
		process = top_process(top, pid);
		process->listed = true;
		process->ended = false;
		if (!process->comm[0])
			top_look_up(process);
	}
	if (!ferror(status))
		for (i = 0; i < top->nr; i++)
			if (!top->rows[i]->listed)
				top->rows[i]->ended = true;
	fclose(status);
}

/* Makes rates of the counts, and begins to count anew. */
static void top_rates(struct top *top, double seconds)
{
	struct top_process *process;
	size_t i;

	for (i = 0; i < top->nr; i++) {
		process = top->rows[i];
		process->values[TOP_MINOR] = (double)process->min_flt / seconds;
		process->values[TOP_MAJOR] = (double)process->maj_flt / seconds;
		process->values[TOP_CPU] =
			(double)process->cpu_ns / seconds / 1e9 * 100;
		process->min_flt = 0;
		process->maj_flt = 0;
		process->cpu_ns = 0;
	}
}

/* Begins with what the ring holds, which tells who is there. */
static void top_start(struct top *top, const struct mp3_reader *reader,
		      __u64 now)
{
	size_t i;

	top_synchronize(top);
	for (i = 0; i < top->nr; i++)
		top->rows[i]->leaving = top->rows[i]->ended;
	top_sweep(top);
	top_rates(top, HUGE_VAL);
	top->fresh = false;
	top->ticks = __atomic_load_n(&reader->header->ticks, __ATOMIC_RELAXED);
	top->base_ns = top->newest_ns + NSEC_PER_SEC > now ? top->newest_ns : now;
}

/*
 * Rates are over the time between the last ticks of two refreshes, however
 * long that was. Without a tick in between there is nothing to say yet; one
 * without records says that all were idle until now.
 */
static void top_refresh(struct top *top, const struct mp3_reader *reader,
			__u64 now)
{
	__u64 ticks = __atomic_load_n(&reader->header->ticks, __ATOMIC_RELAXED);
	__u64 span = reader->header->interval_ns;
	size_t i;

	if (reader->lost != top->lost) {
		top->lost = reader->lost;
		top_synchronize(top);
	}
	top_sweep(top);
	if (top->fresh) {
		/* As the samples' CPU time: not less than the interval. */
		if (top->newest_ns > top->base_ns + span)
			span = top->newest_ns - top->base_ns;
		top_rates(top, (double)span / 1e9);
		top->base_ns = top->newest_ns;
	} else if (ticks != top->ticks) {
		top_rates(top, HUGE_VAL);
		top->base_ns = now;
	}
	top->fresh = false;
	top->ticks = ticks;
	for (i = 0; i < top->nr; i++)
		top->rows[i]->leaving = top->rows[i]->ended;
}

static int top_compare(const void *left, const void *right, void *arg)
{
	const double *a = (*(struct top_process * const *)left)->values;
	const double *b = (*(struct top_process * const *)right)->values;
	const struct top *top = arg;
	const enum top_value order[] = { top->sort, TOP_MAJOR, TOP_MINOR };
	size_t i;

	for (i = 0; i < 3 && top->sort != TOP_PID; i++)
		if (a[order[i]] != b[order[i]])
			return a[order[i]] < b[order[i]] ? 1 : -1;

	return a[TOP_PID] < b[TOP_PID] ? -1 : 1;
}

/* ---- Its lines, which both ways to show it share ---- */

/* Bytes in at most 6 characters. */
static void top_size(char text[16], double bytes)
{
	static const char units[] = "BKMGT";
	size_t unit = 0;

	while (bytes >= 1000 && units[unit + 1]) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, 16, "%.*f%c", unit && bytes < 100, bytes, units[unit]);
}

/* The sums of all processes. */
static void top_title(const struct top *top, char line[TOP_LINE])
{
	double major = 0, minor = 0, cpu = 0;
	time_t now = time(NULL);
	struct tm tm;
	char clock[16];
	int size;
	size_t i;

	for (i = 0; i < top->nr; i++) {
		major += top->rows[i]->values[TOP_MAJOR];
		minor += top->rows[i]->values[TOP_MINOR];
		cpu += top->rows[i]->values[TOP_CPU];
	}
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
	size = snprintf(line, TOP_LINE,
			"%s  %zu process%s  %.1f major/s  %.1f minor/s  CPU %.1f%%",
			clock, top->nr, top->nr == 1 ? "" : "es", major, minor, cpu);
	if (top->lost)
		snprintf(line + size, TOP_LINE - (size_t)size,
			 "  %llu records lost", (unsigned long long)top->lost);
}

static const char top_header[] =
	"    PID    MAJOR/s    MINOR/s    RSS    CPU%  COMMAND";

static void top_row(const struct top_process *process, char line[TOP_LINE])
{
	const double *values = process->values;
	char rss[16], comm[COMM_ESCAPED];

	top_size(rss, values[TOP_RSS]);
	comm_escape(comm, process->comm);
	snprintf(line, TOP_LINE, "%7u %10.1f %10.1f %6s %7.1f  %s", process->pid,
		 values[TOP_MAJOR], values[TOP_MINOR], rss, values[TOP_CPU],
		 comm);
}

static void top_sort(struct top *top)
{
	qsort_r(top->rows, top->nr, sizeof(top->rows[0]), top_compare, top);
}

/* ---- The screen ---- */

#ifdef MP3_HAVE_CURSES

static const char top_footer[] =
	"sort by: M major, m minor, r RSS, c CPU, p pid    q quit";

static void screen_close(void)
{
	endwin();
}

/* Takes the terminal, if both sides are one that it knows. */
static bool screen_open(void)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
	    !newterm(NULL, stdout, stdin))
		return false;
	atexit(screen_close);
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, true);
	nodelay(stdscr, true);

	return true;
}

static void screen_show(struct top *top)
{
	char line[TOP_LINE];
	size_t i;

	top_sort(top);
	erase();
	top_title(top, line);
	mvaddnstr(0, 0, line, COLS);
	attron(A_REVERSE);
	mvprintw(1, 0, "%-*.*s", COLS, COLS, top_header);
	attroff(A_REVERSE);
	for (i = 0; i < top->nr && (int)i + 3 < LINES; i++) {
		top_row(top->rows[i], line);
		mvaddnstr((int)i + 2, 0, line, COLS);
	}
	if (LINES > 2)
		mvaddnstr(LINES - 1, 0, top_footer, COLS);
	refresh();
}

/* Does what the keys say; a resized terminal is one of them. False: quit. */
static bool screen_keys(struct top *top)
{
	const char *sort;
	bool show = false;
	int key;

	for (key = getch(); key != ERR; key = getch()) {
		if (key == 'q')
			return false;
		sort = key < 128 ? strchr(top_keys, key) : NULL;
		if (sort && *sort)
			top->sort = (enum top_value)(sort - top_keys);
		show = show || (sort && *sort) || key == KEY_RESIZE;
	}
	if (show)
		screen_show(top);

	return true;
}

#else

static bool screen_open(void)
{
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		warnx("built without ncurses: no screen");
	return false;
}

static void screen_show(struct top *top)
{
	(void)top;
}

static bool screen_keys(struct top *top)
{
	(void)top;
	return true;
}

#endif

#endif /* MONITOR_TOP_H */
