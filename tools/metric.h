/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a run costs: the numbers that are limited, repeated and compared.
 */
#ifndef MP3_TOOLS_METRIC_H
#define MP3_TOOLS_METRIC_H

#include <stdbool.h>

#include "table.h"

/**
 * enum metric - what is measured
 * @METRIC_MINOR: minor faults
 * @METRIC_MAJOR: major faults
 * @METRIC_CPU:	  CPU time, nanoseconds
 * @METRIC_TIME:  elapsed time, nanoseconds
 * @METRIC_STALL: time for which faults have stalled the program, nanoseconds
 * @METRIC_RSS:	  largest resident memory of one process, bytes
 * @NR_METRICS:	  how many there are
 */
enum metric {
	METRIC_MINOR,
	METRIC_MAJOR,
	METRIC_CPU,
	METRIC_TIME,
	METRIC_STALL,
	METRIC_RSS,
	NR_METRICS,
};

/* Longest text of a value, with its NUL */
#define METRIC_TEXT 32

/**
 * struct metric_info - how a metric is named
 * @option: in --limit
 * @key:    in JSON and csv
 * @name:   in text
 */
struct metric_info {
	const char *option;
	const char *key;
	const char *name;
};

extern const struct metric_info metric_infos[NR_METRICS];

void metric_of_process(double values[NR_METRICS], const struct process *process);
void metric_text(char text[METRIC_TEXT], enum metric metric, double value,
		 double like);
bool metric_parse(enum metric metric, const char *text, double *value);

#endif /* MP3_TOOLS_METRIC_H */
