// SPDX-License-Identifier: GPL-2.0
#include <stddef.h>
#include <string.h>

#include "cgroup.h"
#include "prometheus.h"
#include "util.h"

/**
 * struct metrics - a page of metrics that is being written
 * @file:	 written to; the caller checks whether that has failed
 * @openmetrics: in this format
 */
struct metrics {
	FILE *file;
	bool openmetrics;
};

/**
 * struct family - a metric with a value of a structure
 * @name:    without the prefix mp3_ and the suffix _total
 * @unit:    that @name ends with, or NULL
 * @help:    its description
 * @counter: it is a counter
 * @ns:	     the value is in nanoseconds, and is printed in seconds
 * @offset:  of the value in the structure
 */
struct family {
	const char *name;
	const char *unit;
	const char *help;
	bool counter;
	bool ns;
	size_t offset;
};

#define COUNT(structure, field, name, help) \
	{ name, NULL, help, true, false, offsetof(struct structure, field) }
#define TIME(structure, field, name, help) \
	{ name, "seconds", help, true, true, offsetof(struct structure, field) }

static const struct family row_families[] = {
	COUNT(total, min_flt, "minor_faults", "Minor page faults"),
	COUNT(total, maj_flt, "major_faults", "Major page faults"),
	TIME(total, cpu_ns, "cpu_seconds", "CPU time"),
	COUNT(total, started, "processes_started", "Processes started"),
	{ "resident_memory_bytes", "bytes", "Resident memory of processes when they last ran",
	  false, false, offsetof(struct total, rss_bytes) },
};

static const struct family stall_family =
	TIME(total, stall_ns, "stall_seconds",
	     "Time for which page faults have stalled threads");

/* What no recording contains */
static const struct family live_families[] = {
	COUNT(profiler, ticks, "ticks",
	      "Samples of all processes since the module was loaded"),
	COUNT(profiler, missed, "missed_ticks",
	      "Times since the module was loaded at which no sample was taken"),
	TIME(profiler, cost_ns, "sampling_seconds",
	     "Time that sampling has taken since the module was loaded"),
};

static const struct family profiler_families[] = {
	COUNT(profiler, dropped, "dropped_processes",
	      "Processes that are not profiled for lack of memory"),
	COUNT(profiler, denied, "denied_processes",
	      "Processes no longer profiled since they gained privileges"),
	COUNT(profiler, lost_records, "lost_records",
	      "Records that were overwritten before they were read"),
	{ "registered_processes", NULL, "Processes that are profiled", false,
	  false, offsetof(struct profiler, processes) },
	{ "interval_seconds", "seconds", "Sampling interval", false, true,
	  offsetof(struct profiler, interval_ns) },
};

static const struct family lost_faults_family =
	COUNT(profiler, lost_faults, "lost_faults",
	      "Located faults that were overwritten before they were read");

/**
 * struct table_of_rows - rows, and how their metrics are named
 * @rows:   the rows
 * @prefix: of the names, after mp3_
 * @label:  name of the label
 * @by:	    end of the description
 * @former: prefix for the sums over rows that were dropped
 * @of:	    end of their description
 */
struct table_of_rows {
	const struct total_rows *rows;
	const char *prefix;
	const char *label;
	const char *by;
	const char *former;
	const char *of;
};

/* Prints what precedes the values of a metric. */
static void begin(const struct metrics *metrics, const char *prefix,
		  const char *name, const char *type, const char *unit,
		  const char *help, const char *by)
{
	/* OpenMetrics names a counter without its suffix here. */
	const char *suffix = !strcmp(type, "counter") && !metrics->openmetrics ?
			     "_total" : "";

	fprintf(metrics->file, "# HELP mp3_%s%s%s %s%s.\n", prefix, name, suffix,
		help, by);
	fprintf(metrics->file, "# TYPE mp3_%s%s%s %s\n", prefix, name, suffix,
		type);
	if (unit && metrics->openmetrics)
		fprintf(metrics->file, "# UNIT mp3_%s%s %s\n", prefix, name,
			unit);
}

static void begin_family(const struct metrics *metrics, const char *prefix,
			 const struct family *family, const char *by)
{
	begin(metrics, prefix, family->name,
	      family->counter ? "counter" : "gauge", family->unit, family->help,
	      by);
}

/* Prints the start of a line: a label with its value, if there is one. */
static void put_name(const struct metrics *metrics, const char *prefix,
		     const struct family *family, const char *label,
		     const char *value)
{
	fprintf(metrics->file, "mp3_%s%s%s", prefix, family->name,
		family->counter ? "_total" : "");
	if (!label) {
		putc(' ', metrics->file);
		return;
	}
	fprintf(metrics->file, "{%s=\"", label);
	/* A label contains no newline. */
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putc('\\', metrics->file);
		putc(*value, metrics->file);
	}
	fputs("\"} ", metrics->file);
}

static void put_seconds(const struct metrics *metrics, __u64 ns)
{
	fprintf(metrics->file, "%llu.%09llu\n",
		(unsigned long long)(ns / NSEC_PER_SEC),
		(unsigned long long)(ns % NSEC_PER_SEC));
}

/* Prints the value of a metric in @structure. */
static void put_value(const struct metrics *metrics, const struct family *family,
		      const void *structure)
{
	__u64 value;

	memcpy(&value, (const char *)structure + family->offset, sizeof(value));
	if (family->ns)
		put_seconds(metrics, value);
	else
		fprintf(metrics->file, "%llu\n", (unsigned long long)value);
}

static void print_rows(const struct metrics *metrics,
		       const struct table_of_rows *table,
		       const struct family *family)
{
	const struct total *total;
	size_t i;

	begin_family(metrics, table->prefix, family, table->by);
	for (i = 0; i < table->rows->nr; i++) {
		total = &table->rows->rows[i];
		if (!total->label)
			continue;
		put_name(metrics, table->prefix, family, table->label,
			 total->label);
		put_value(metrics, family, total);
	}
}

/* Prints the sum over the rows that were dropped, whose metric is a counter. */
static void print_former(const struct metrics *metrics,
			 const struct table_of_rows *table,
			 const struct family *family)
{
	begin_family(metrics, table->former, family, table->of);
	put_name(metrics, table->former, family, NULL, NULL);
	put_value(metrics, family, &table->rows->former);
}

/* Prints the memory limits of the cgroups that have one. */
static void print_limits(const struct metrics *metrics,
			 const struct total_rows *cgroups)
{
	static const struct family family = {
		"memory_limit_bytes", "bytes",
		"Memory that the processes may use at most (memory.max)",
		false, false, 0,
	};
	__u64 limit;
	size_t i;

	begin_family(metrics, "cgroup_", &family, ", by cgroup");
	for (i = 1; i < cgroups->nr; i++) {
		if (!cgroups->rows[i].label ||
		    !cgroup_memory_limit(cgroups->rows[i].label, &limit))
			continue;
		put_name(metrics, "cgroup_", &family, "cgroup",
			 cgroups->rows[i].label);
		put_value(metrics, &family, &limit);
	}
}

/* Prints the histogram of one kind of fault. */
static void print_stalls(const struct metrics *metrics,
			 const struct stalls *stalls, const char *kind)
{
	/* As OpenMetrics wants them, and the same for all formats: a label. */
	static const char *const seconds[STALL_BUCKETS + 1] = {
		"1e-06", "3e-06", "1e-05", "3e-05", "0.0001", "0.0003", "0.001",
		"0.003", "0.01", "0.03", "0.1", "0.3", "1.0", "3.0", "10.0",
		"+Inf",
	};
	__u64 count = 0;
	size_t i;

	for (i = 0; i <= STALL_BUCKETS; i++) {
		count += stalls->buckets[i];
		fprintf(metrics->file,
			"mp3_fault_stall_seconds_bucket{kind=\"%s\",le=\"%s\"} %llu\n",
			kind, seconds[i], (unsigned long long)count);
	}
	fprintf(metrics->file, "mp3_fault_stall_seconds_count{kind=\"%s\"} %llu\n",
		kind, (unsigned long long)count);
	fprintf(metrics->file, "mp3_fault_stall_seconds_sum{kind=\"%s\"} ",
		kind);
	put_seconds(metrics, stalls->sum_ns);
}

static void print_profiler(const struct metrics *metrics,
			   const struct profiler *profiler,
			   const struct family *family)
{
	begin_family(metrics, "", family, "");
	put_name(metrics, "", family, NULL, NULL);
	put_value(metrics, family, profiler);
}

/**
 * prometheus_print() - print totals as a page of metrics
 * @file:	 printed to; the caller checks whether that has failed
 * @openmetrics: print OpenMetrics 1.0.0, not the text format 0.0.4
 * @totals:	 settled
 * @profiler:	 what is known of the profiler
 */
void prometheus_print(FILE *file, bool openmetrics, const struct totals *totals,
		      const struct profiler *profiler)
{
	const struct metrics metrics = { file, openmetrics };
	const struct table_of_rows tables[] = {
		{ &totals->names, "", "comm", ", by name", "former_",
		  " of names whose row was dropped" },
		{ &totals->cgroups, "cgroup_", "cgroup", ", by cgroup",
		  "former_cgroup_", " of cgroups whose row was dropped" },
	};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		for (j = 0; j < ARRAY_SIZE(row_families); j++)
			print_rows(&metrics, &tables[i], &row_families[j]);
		if (totals->every)
			print_rows(&metrics, &tables[i], &stall_family);
		/* The rows of a recording stay. */
		for (j = 0; profiler->live && j < ARRAY_SIZE(row_families); j++)
			if (row_families[j].counter)
				print_former(&metrics, &tables[i],
					     &row_families[j]);
		if (profiler->live && totals->every)
			print_former(&metrics, &tables[i], &stall_family);
	}
	if (profiler->live)
		print_limits(&metrics, &totals->cgroups);
	if (totals->every) {
		begin(&metrics, "", "fault_stall_seconds", "histogram", "seconds",
		      "Time for which a page fault has stalled its thread", "");
		print_stalls(&metrics, &totals->stalls[0], "minor");
		print_stalls(&metrics, &totals->stalls[1], "major");
		print_profiler(&metrics, profiler, &lost_faults_family);
	}
	if (profiler->live)
		for (i = 0; i < ARRAY_SIZE(live_families); i++)
			print_profiler(&metrics, profiler, &live_families[i]);
	for (i = 0; i < ARRAY_SIZE(profiler_families); i++)
		print_profiler(&metrics, profiler, &profiler_families[i]);
	begin(&metrics, "", "build_info", "gauge", NULL, "Version of mp3ctl", "");
	fprintf(file, "mp3_build_info{version=\"%s\"} 1\n", MP3_VERSION);
	if (openmetrics)
		fputs("# EOF\n", file);
}
