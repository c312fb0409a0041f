/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The expressions of mp3ctl watch --filter.
 */
#ifndef MP3_TOOLS_FILTER_H
#define MP3_TOOLS_FILTER_H

#include "table.h"

/**
 * struct filters - expressions, all of which must hold
 * @all: the expressions
 * @nr:	 how many
 */
struct filters {
	struct filter *all;
	size_t nr;
};

void filter_add(struct filters *filters, const char *text);
void filter_check_users(const struct filters *filters);
bool filter_selects(const struct filters *filters,
		    const struct mp3_record *record,
		    const struct process *process);
bool filter_shows(const struct filters *filters,
		  const struct mp3_record *record);

#endif /* MP3_TOOLS_FILTER_H */
