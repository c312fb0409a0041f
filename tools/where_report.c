// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fit.h"
#include "proc.h"
#include "symbols.h"
#include "util.h"
#include "where_report.h"

/* Width of a bar of the histogram. */
#define BAR_WIDTH 20

/* Columns before the label of a row, and before a caller */
#define ROW_WIDTH 47
#define CALLER_WIDTH (ROW_WIDTH + 1)

/**
 * struct row - a row of a table
 * @sums:  faults
 * @index: of what they have in common
 */
struct row {
	struct sums sums;
	size_t index;
};

/* What the functions below use: comparisons have no other access to it. */
static struct where_report report;
static struct where_data *data;
static __u64 weight;
static size_t columns;		/* of the terminal */

/* Parses the argument of --sort. Exits with status 2 if it is none. */
enum where_sort parse_where_sort(const char *text)
{
	static const char *const names[] = {
		[SORT_STALL] = "stall",
		[SORT_FAULTS] = "faults",
		[SORT_MAJOR] = "major",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(text, names[i]))
			return i;
	errx(2, "--sort: '%s' is not stall, faults or major", text);
}

/* ---- Tables ---- */

static __u64 all_faults(const struct sums *sums)
{
	return sums->minor * weight + sums->major;
}

static __u64 stalled_ns(const struct sums *sums)
{
	return sums->minor_ns * weight + sums->major_ns;
}

/* Returns what rows are sorted by. */
static __u64 sort_value(const struct sums *sums)
{
	if (report.sort == SORT_MAJOR)
		return sums->major;

	return report.sort == SORT_FAULTS ? all_faults(sums) : stalled_ns(sums);
}

static int compare_values(__u64 a, __u64 b)
{
	return (a < b) - (a > b);
}

static int compare_sums(const struct sums *a, const struct sums *b)
{
	int order = compare_values(sort_value(a), sort_value(b));

	if (!order)
		order = compare_values(stalled_ns(a), stalled_ns(b));

	return order ? order : compare_values(all_faults(a), all_faults(b));
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *row = a, *other = b;
	int order = compare_sums(&row->sums, &other->sums);

	/* qsort(3) does not keep the order of equal rows. */
	return order ? order : compare_values(other->index, row->index);
}

static void print_heading(const char *what)
{
	fprintf(report.file, "\n%12s %9s %14s %7s  %s\n", "faults", "major",
		"stalled", "share", what);
}

/*
 * Prints a label after @used columns of a line. On a terminal, it stays in this line. Exits
 * if there is no memory.
 */
static void print_fitted(const char *label, size_t length, size_t used)
{
	char *text = text_format("%.*s", (int)length, label);
	char *fitted = fit_label(text, fit_rest(columns, used));

	fprintf(report.file, "%s\n", fitted);
	free(fitted);
	free(text);
}

/* Prints a row. A label with several lines is a call path. */
static void print_row(const struct sums *sums, const struct sums *total,
		      const char *label)
{
	__u64 of = sort_value(total);
	double share = of ? 100 * (double)sort_value(sums) / (double)of : 0;
	size_t length = strcspn(label, "\n");

	fprintf(report.file, "%12llu %9llu %12.6f s %6.1f%%  ",
		(unsigned long long)all_faults(sums),
		(unsigned long long)sums->major,
		(double)stalled_ns(sums) / 1e9, share);
	print_fitted(label, length, ROW_WIDTH);
	while (label[length]) {
		label += length + 1;
		length = strcspn(label, "\n");
		fprintf(report.file, "%*s", CALLER_WIDTH, "");
		print_fitted(label, length, CALLER_WIDTH);
	}
}

/*
 * Sorts the rows of a table, prints the first ones, and sums up the others. @label
 * returns the label of a row, to be freed.
 */
static void print_table(const char *what, struct row *rows, size_t nr,
			const struct sums *total,
			char *(*label)(const struct row *row))
{
	size_t limit = report.nr_rows, i;
	struct sums others = {};
	char text[64], *name;

	qsort(rows, nr, sizeof(*rows), compare_rows);
	print_heading(what);
	for (i = 0; i < nr; i++) {
		if (i >= limit) {
			sums_add(&others, &rows[i].sums);
			continue;
		}
		name = label(&rows[i]);
		print_row(&rows[i].sums, total, name);
		free(name);
	}
	if (nr <= limit)
		return;
	snprintf(text, sizeof(text), "others (%zu)", nr - limit);
	print_row(&others, total, text);
}

/* Returns memory for rows. Exits if there is none. */
static struct row *alloc_rows(size_t nr)
{
	struct row *rows = calloc(nr + 1, sizeof(*rows));

	if (!rows)
		err(1, "report");
	return rows;
}

/* Adds a row if there are faults. Returns how many rows there are. */
static size_t add_row(struct row *rows, size_t nr, size_t index,
		      const struct sums *sums)
{
	if (!sums->minor && !sums->major)
		return nr;
	rows[nr] = (struct row){ .sums = *sums, .index = index };

	return nr + 1;
}

/* ---- Mappings and processes ---- */

static char *mapping_label(const struct row *row)
{
	return mapping_name(data, (unsigned int)row->index);
}

static void print_mappings(const struct where_count *count)
{
	struct row *rows = alloc_rows(NR_MAPPINGS);
	size_t nr = 0, i;

	for (i = 0; i < NR_MAPPINGS; i++)
		nr = add_row(rows, nr, i, &count->mappings[i]);
	print_table("mapping", rows, nr, &count->total, mapping_label);
	free(rows);
}

static char *process_label(const struct row *row)
{
	const struct located_process *process = &data->processes[row->index];
	char name[NAME_SIZE];

	name_escape(name, process->comm);

	return text_format("%s %u", name, process->pid);
}

static void print_processes(const struct where_count *count)
{
	struct row *rows = alloc_rows(count->nr_processes);
	size_t nr = 0, i;

	for (i = 0; i < count->nr_processes; i++)
		nr = add_row(rows, nr, i, &count->processes[i]);
	print_table("process", rows, nr, &count->total, process_label);
	free(rows);
}

/* ---- Functions ---- */

/**
 * struct code - instructions, while they are summed up by their functions
 * @name:   of the function or the instruction
 * @file:   number of the file
 * @source: the source file of the instruction with most faults, or NULL
 * @line:   its line
 * @sums:   faults
 */
struct code {
	const char *name;
	__u32 file;
	const char *source;
	unsigned int line;
	struct sums sums;
};

/* The functions; rows refer to them by their index. */
static struct code *functions;

static int compare_names(const struct code *a, const struct code *b)
{
	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* By function; in a function, the instruction with most faults is the first. */
static int compare_code(const void *a, const void *b)
{
	const struct code *code = a, *other = b;
	int order = compare_names(code, other);

	return order ? order : compare_sums(&code->sums, &other->sums);
}

static struct code describe_code(const struct code_sums *item)
{
	struct code code = { .sums = item->sums };
	struct stored_symbol symbol;

	if (item->frame == CODE_KERNEL || item->frame == CODE_OTHER) {
		code.name = item->frame == CODE_OTHER ? "[other code]" :
							"[no user code]";
		return code;
	}
	code.name = frame_text(data, item->frame, false);
	code.file = MP3_FRAME_FILE(item->frame);
	if (code.file) {
		symbol = frame_symbol(data, item->frame, false);
		code.source = symbol.source;
		code.line = symbol.line;
	}

	return code;
}

/* Fills @functions. Returns how many there are. */
static size_t sum_functions(const struct where_count *count)
{
	size_t nr = count->code.nr, nr_functions = 0, i;

	functions = calloc(nr + 1, sizeof(*functions));
	if (!functions)
		err(1, "report");
	for (i = 0; i < nr; i++)
		functions[i] = describe_code(set_item(&count->code, i));
	qsort(functions, nr, sizeof(*functions), compare_code);
	for (i = 0; i < nr; i++) {
		if (nr_functions &&
		    !compare_names(&functions[nr_functions - 1], &functions[i]))
			sums_add(&functions[nr_functions - 1].sums,
				 &functions[i].sums);
		else
			functions[nr_functions++] = functions[i];
	}

	return nr_functions;
}

/* Returns the last part of a path. */
static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static char *function_label(const struct row *row)
{
	const struct code *code = &functions[row->index];
	char *path, *label;

	if (!code->file)
		return text_format("%s", code->name);
	path = mapping_name(data, code->file);
	label = code->source ?
		text_format("%s  %s:%u  %s", code->name,
			    last_part(code->source), code->line, path) :
		text_format("%s  %s", code->name, path);
	free(path);

	return label;
}

static void print_functions(const struct where_count *count)
{
	struct row *rows = alloc_rows(count->code.nr);
	size_t nr_functions = sum_functions(count), nr = 0, i;

	for (i = 0; i < nr_functions; i++)
		nr = add_row(rows, nr, i, &functions[i].sums);
	print_table("function", rows, nr, &count->total, function_label);
	free(functions);
	free(rows);
}

/* ---- Call paths ---- */

/**
 * struct path - a call path
 * @names: its frames, innermost first
 * @nr:	   how many; 0: no user-mode code
 * @sums:  faults
 */
struct path {
	const char *names[MP3_FRAMES];
	size_t nr;
	struct sums sums;
};

/* The call paths; rows refer to them by their index. */
static struct path *paths;

static int compare_paths(const void *a, const void *b)
{
	const struct path *path = a, *other = b;
	size_t i;
	int order;

	if (path->nr != other->nr)
		return path->nr < other->nr ? -1 : 1;
	for (i = 0; i < path->nr; i++) {
		order = strcmp(path->names[i], other->names[i]);
		if (order)
			return order;
	}

	return 0;
}

/* Fills @paths. Returns how many there are. */
static size_t sum_paths(const struct where_count *count)
{
	size_t nr = count->stacks.nr, nr_paths = 0, i, j;

	paths = calloc(nr + 1, sizeof(*paths));
	if (!paths)
		err(1, "report");
	for (i = 0; i < nr; i++) {
		const struct stack_sums *stack = set_item(&count->stacks, i);

		paths[i].nr = stack->nr;
		paths[i].sums = stack->sums;
		for (j = 0; j < stack->nr; j++)
			paths[i].names[j] = frame_text(data, stack->frames[j],
						       j);
	}
	qsort(paths, nr, sizeof(*paths), compare_paths);
	for (i = 0; i < nr; i++) {
		if (nr_paths && !compare_paths(&paths[nr_paths - 1], &paths[i]))
			sums_add(&paths[nr_paths - 1].sums, &paths[i].sums);
		else
			paths[nr_paths++] = paths[i];
	}
	paths[nr_paths].sums = count->other_stacks;

	return nr_paths;
}

static char *path_label(const struct row *row)
{
	const struct path *path = &paths[row->index];
	char *label, *longer;
	size_t i;

	label = text_format("%s", path->nr ? path->names[0] : "[no user code]");
	for (i = 1; i < path->nr; i++) {
		longer = text_format("%s\n%s", label, path->names[i]);
		free(label);
		label = longer;
	}

	return label;
}

static void print_paths(const struct where_count *count)
{
	struct row *rows = alloc_rows(count->stacks.nr);
	size_t nr_paths = sum_paths(count), nr = 0, i;

	for (i = 0; i < nr_paths; i++)
		nr = add_row(rows, nr, i, &paths[i].sums);
	print_table("call path, innermost first", rows, nr,
		    &count->total, path_label);
	if (count->other_stacks.minor || count->other_stacks.major)
		print_row(&count->other_stacks, &count->total,
			  "paths beyond the first million");
	free(paths);
	free(rows);
}

/* ---- Kinds, accesses and latencies ---- */

static void print_kinds(const struct where_count *count)
{
	const struct sums *sums;
	unsigned int i;

	print_heading("kind");
	for (i = 0; i < NR_KINDS; i++) {
		sums = &count->kinds[i];
		if (sums->minor || sums->major)
			print_row(sums, &count->total, kind_text(i));
	}
	print_heading("access");
	for (i = 0; i < NR_ACCESSES; i++) {
		sums = &count->accesses[i];
		if (sums->minor || sums->major)
			print_row(sums, &count->total, access_word(i));
	}
	sums = &count->by_kernel;
	if (sums->minor || sums->major)
		print_row(sums, &count->total,
			  "of these: in a system call");
}

/* Fills @text with a time, to three digits. */
static void format_time(char text[16], __u64 ns)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	unsigned int unit = 0;

	while (value >= 999.5 && unit < ARRAY_SIZE(units) - 1) {
		value /= 1000;
		unit++;
	}
	snprintf(text, 16, value >= 99.95 || !unit ? "%.0f %s" :
		 value >= 9.995 ? "%.1f %s" : "%.2f %s", value, units[unit]);
}

/* Prints a number and its bar, unless all of them are 0. */
static void print_bar(__u64 value, __u64 max)
{
	int width;

	if (!max)
		return;
	width = (int)((value * BAR_WIDTH + max - 1) / max);
	fprintf(report.file, " %10llu |%.*s%*s|", (unsigned long long)value,
		width, "####################", BAR_WIDTH - width, "");
}

static __u64 max_of(const __u64 values[64])
{
	__u64 max = 0;
	unsigned int i;

	for (i = 0; i < 64; i++)
		if (values[i] > max)
			max = values[i];

	return max;
}

static void print_quantiles(const char *what, const struct latency *latency)
{
	static const double quantiles[] = { 0.5, 0.9, 0.99 };
	char text[16];
	size_t i;

	if (!latency->nr)
		return;
	fprintf(report.file, "%-8s", what);
	for (i = 0; i < ARRAY_SIZE(quantiles); i++) {
		format_time(text, latency_quantile(latency, quantiles[i]));
		fprintf(report.file, " %10s", text);
	}
	format_time(text, latency->max_ns);
	fprintf(report.file, " %10s\n", text);
}

static void print_latencies(const struct where_count *count)
{
	__u64 minor[64], major[64], minor_max, major_max;
	unsigned int first = 64, last = 0, i;
	char text[16];

	if (count->no_stall)
		fprintf(report.file, "\nstalled time unknown: %llu faults\n",
			(unsigned long long)count->no_stall);
	latency_powers(&count->minor, minor);
	latency_powers(&count->major, major);
	for (i = 0; i < 64; i++) {
		minor[i] *= weight;
		if (!minor[i] && !major[i])
			continue;
		if (first > i)
			first = i;
		last = i;
	}
	if (first > last)
		return;

	minor_max = max_of(minor);
	major_max = max_of(major);
	fprintf(report.file, "\n%-8s %10s %10s %10s %10s\n", "stalled", "p50",
		"p90", "p99", "max");
	print_quantiles("minor", &count->minor);
	print_quantiles("major", &count->major);
	fprintf(report.file, "\n%-8s", "at least");
	if (minor_max)
		fprintf(report.file, " %10s", "minor");
	if (minor_max && major_max)
		fprintf(report.file, " %*s", BAR_WIDTH + 2, "");
	if (major_max)
		fprintf(report.file, " %10s", "major");
	fputc('\n', report.file);
	for (i = first; i <= last; i++) {
		format_time(text, i ? 1ULL << i : 0);
		fprintf(report.file, "%8s", text);
		print_bar(minor[i], minor_max);
		print_bar(major[i], major_max);
		fputc('\n', report.file);
	}
}

/* ---- The beginning and the end ---- */

static void print_summary(const struct where_count *count)
{
	const struct sums *total = &count->total;
	double seconds = 0;

	if (data->totals.end_ns > data->start_ns)
		seconds = (double)(data->totals.end_ns - data->start_ns) / 1e9;
	fprintf(report.file, "%llu minor and %llu major faults, %.6f s stalled, in %.2f s\n",
		(unsigned long long)(total->minor * weight),
		(unsigned long long)total->major,
		(double)stalled_ns(total) / 1e9, seconds);
	if (weight > 1)
		fprintf(report.file, "minor faults are estimates: one in %llu was located\n",
			(unsigned long long)weight);
}

/* Prints why the sum is not exact. */
static void print_inexact(FILE *file, const struct mp3_recording_totals *totals)
{
	if (!(totals->flags & MP3_RECORDING_COMPLETE))
		fputs("not exact: profiling has not ended\n", file);
	else if (totals->running)
		fprintf(file, "not exact: %u process%s still running\n",
			totals->running,
			totals->running == 1 ? " was" : "es were");
	else if (totals->denied)
		fputs("not exact: a process gained privileges or is another user's\n", file);
	else if (!(totals->flags & MP3_RECORDING_CLOSED))
		fputs("not exact: processes were running at the start\n",
		      file);
	else
		fputs("not exact: faults were counted twice\n", file);
}

static void print_loss(FILE *file, const char *what, __u64 nr,
		       const char *description)
{
	if (nr)
		fprintf(file, "%s: %llu %s\n", what, (unsigned long long)nr,
			description);
}

/**
 * where_losses() - print what a recording lacks
 * @file:   where to print
 * @totals: of the capture or the recording
 *
 * Return: whether records, faults or processes were lost. Those that were still
 * running or were denied are not lost.
 */
bool where_losses(FILE *file, const struct mp3_recording_totals *totals)
{
	print_loss(file, "lost", totals->lost_faults,
		   "faults, overwritten before they were read, or not written");
	print_loss(file, "not written", totals->not_written,
		   "faults whose slot was busy, or numbers of files");
	print_loss(file, "lost", totals->lost_records,
		   "records, overwritten before they were read");
	print_loss(file, "dropped", totals->dropped,
		   "processes, not followed for lack of memory");
	if (totals->running)
		fprintf(file, "still running (unregistered): %u\n",
			totals->running);
	if (totals->denied)
		fprintf(file,
			"%llu process%s gained privileges or %s another user's: faults are missing\n",
			(unsigned long long)totals->denied,
			totals->denied == 1 ? "" : "es",
			totals->denied == 1 ? "is" : "are");

	return totals->lost_faults || totals->not_written ||
	       totals->lost_records || totals->dropped;
}

/**
 * where_proof() - print that all faults are accounted for, or what is missing
 * @file:   where to print
 * @totals: of the capture or the recording
 */
void where_proof(FILE *file, const struct mp3_recording_totals *totals)
{
	bool exact = totals->flags & MP3_RECORDING_COMPLETE &&
		     totals->flags & MP3_RECORDING_CLOSED && !totals->running &&
		     !totals->denied;
	long long taken = (long long)(totals->counted - totals->located -
				      totals->sampled_out);

	fprintf(file, "\ncounted %llu = located %llu + taken by the kernel %lld",
		(unsigned long long)totals->counted,
		(unsigned long long)totals->located, taken);
	fprintf(file, " + sampled out %llu: ",
		(unsigned long long)totals->sampled_out);
	if (exact && taken >= 0)
		fputs("exact\n", file);
	else
		print_inexact(file, totals);
	if (!where_losses(file, totals))
		fputs("nothing was dropped or lost\n", file);
}

/* Prints what a recording is of. */
void where_title(FILE *file, const struct where_data *where)
{
	time_t seconds = where->time ? (time_t)strtoll(where->time, NULL, 10) : 0;
	char date[32];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(file, "recorded %s on %s, Linux %s: %s\n", date,
		where->host ? where->host : "an unknown machine",
		where->release ? where->release : "unknown",
		where->command ? where->command : "an unknown command");
}

/**
 * where_report() - print the report
 * @what:  what to print, and where
 * @count: the faults
 * @where: the rest of the capture or the recording
 *
 * Exits if there is no memory.
 */
void where_report(const struct where_report *what,
		  const struct where_count *count, struct where_data *where)
{
	report = *what;
	data = where;
	weight = data->n ? data->n : 1;
	columns = fit_columns(report.file);
	print_summary(count);
	if (count->total.minor || count->total.major) {
		print_mappings(count);
		print_functions(count);
		if (count->stacks_wanted)
			print_paths(count);
		print_processes(count);
		print_kinds(count);
		print_latencies(count);
	}
	where_proof(report.file, &data->totals);
	if (data->has_symbols)
		return;
	if (!symbols_supported())
		fputs("functions are unknown: mp3ctl was built without elfutils\n",
		      report.file);
	else if (!data->local)
		fputs("functions are unknown: recorded on another machine, and not complete\n",
		      report.file);
}
