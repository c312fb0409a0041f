/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Limits of what a run may cost, for --limit.
 */
#ifndef MP3_TOOLS_LIMIT_H
#define MP3_TOOLS_LIMIT_H

#include "emit.h"
#include "metric.h"

/* Exit status if a limit was exceeded. */
#define LIMIT_STATUS 3

/**
 * struct limits - limits of one run
 * @given: there is one
 * @max:   the largest value that is allowed
 */
struct limits {
	bool given[NR_METRICS];
	double max[NR_METRICS];
};

void limits_parse(struct limits *limits, const char *text);
bool limits_given(const struct limits *limits);
bool limits_check(const struct limits *limits, const double values[NR_METRICS]);
void limits_emit(struct emitter *emitter, const struct limits *limits,
		 const double values[NR_METRICS]);

#endif /* MP3_TOOLS_LIMIT_H */
