// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "filter.h"
#include "user.h"
#include "util.h"

/* What an expression compares. Those from KEY_MIN_FLT on compare counts. */
enum key {
	KEY_NAME,
	KEY_USER,
	KEY_CGROUP,
	KEY_PID,
	KEY_UID,
	KEY_MIN_FLT,
	KEY_MAJ_FLT,
	KEY_CPU_NS,
	KEY_RSS_BYTES,
};

/* By enum key: its name. Those up to KEY_CGROUP are texts. */
static const char *const keys[] = {
	"name", "user", "cgroup", "pid", "uid", "min_flt", "maj_flt", "cpu_ns",
	"rss_bytes",
};

/* The results of a comparison that an operator accepts */
enum {
	LESS = 1,
	EQUAL = 2,
	GREATER = 4,
};

/* Those of two characters come first. */
static const struct {
	const char *text;
	unsigned int accepts;
} operators[] = {
	{ ">=", GREATER | EQUAL },
	{ "<=", LESS | EQUAL },
	{ "!=", LESS | GREATER },
	{ ">", GREATER },
	{ "<", LESS },
	{ "=", EQUAL },
};

/**
 * struct filter - an expression
 * @key:     what it compares
 * @accepts: the results of the comparison that it accepts
 * @text:    what a text is compared with
 * @number:  what a number is compared with
 */
struct filter {
	enum key key;
	unsigned int accepts;
	const char *text;
	__u64 number;
};

static void __attribute__((noreturn)) refuse_expression(const char *text)
{
	errx(2, "--filter: '%s' is not an expression such as name=GLOB or min_flt>0",
	     text);
}

/* Returns the key that an expression starts with. */
static enum key find_key(const char *text)
{
	size_t length = strcspn(text, "<>=!"), i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i]) == length && !memcmp(keys[i], text, length))
			return i;
	refuse_expression(text);
}

/* Returns the index of the operator of an expression, which is at @at. */
static size_t find_operator(const char *text, const char *at)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(operators); i++)
		if (!strncmp(at, operators[i].text, strlen(operators[i].text)))
			return i;
	refuse_expression(text);
}

/* Parses an expression. Exits with status 2 if it is none. */
static struct filter parse_filter(const char *text)
{
	enum key key = find_key(text);
	const char *at = text + strlen(keys[key]);
	size_t operator = find_operator(text, at);
	unsigned int accepts = operators[operator].accepts;

	if (key <= KEY_CGROUP && accepts != EQUAL && accepts != (LESS | GREATER))
		errx(2, "--filter: %s is a text: compare it with = or !=",
		     keys[key]);

	return (struct filter){
		.key = key,
		.accepts = accepts,
		.text = at + strlen(operators[operator].text),
	};
}

/* Adds an expression, which the caller keeps. Exits with status 2 if it is none. */
void filter_add(struct filters *filters, const char *text)
{
	struct filter filter = parse_filter(text);

	if (filter.key > KEY_CGROUP)
		filter.number = parse_number(keys[filter.key], filter.text, 0,
					     ~0ULL);
	filters->all = reallocarray(filters->all, filters->nr + 1,
				    sizeof(filter));
	if (!filters->all)
		err(1, "--filter");
	filters->all[filters->nr++] = filter;
}

/* Exits with status 2 if an expression names a user that this machine lacks. */
void filter_check_users(const struct filters *filters)
{
	const struct filter *filter = filters->all;
	size_t i;

	for (i = 0; i < filters->nr; i++, filter++)
		if (filter->key == KEY_USER && !user_exists(filter->text))
			errx(2, "--filter: there is no user '%s'", filter->text);
}

static unsigned int compare_texts(const char *pattern, const char *text)
{
	return fnmatch(pattern, text, 0) ? LESS : EQUAL;
}

/* A path of a cgroup, as it is or as it is printed */
static unsigned int compare_cgroup(const char *pattern, __u64 id)
{
	const char *name = cgroup_name(id);
	char *original = text_original(name);
	unsigned int result = compare_texts(pattern, original);

	if (result != EQUAL)
		result = compare_texts(pattern, name);
	free(original);

	return result;
}

static unsigned int compare_numbers(__u64 one, __u64 other)
{
	return one < other ? LESS : one > other ? GREATER : EQUAL;
}

/*
 * Returns the result of the comparison of a process, or 0 if it is unknown. Counts
 * are not compared: the result is one that the expression accepts.
 */
static unsigned int compare_process(const struct filter *filter,
				    const struct mp3_record *record,
				    const struct process *process)
{
	char name[sizeof(record->comm) + 1] = "";

	switch (filter->key) {
	case KEY_NAME:
		memcpy(name, record->comm, sizeof(record->comm));
		return compare_texts(filter->text, name);
	case KEY_PID:
		return compare_numbers(record->pid, filter->number);
	case KEY_USER:
	case KEY_UID:
	case KEY_CGROUP:
		break;
	default:
		return filter->accepts;
	}
	if (!process || !process->identified)
		return 0;
	if (filter->key == KEY_USER)
		return user_is(process->uid, filter->text) ? EQUAL : LESS;
	if (filter->key == KEY_UID)
		return compare_numbers(process->uid, filter->number);
	return compare_cgroup(filter->text, process->cgroup_id);
}

/**
 * filter_selects() - check whether a process is selected
 * @filters: expressions
 * @record:  a record of the process
 * @process: its identity; NULL if unknown
 *
 * Return: whether all expressions about processes hold.
 */
bool filter_selects(const struct filters *filters,
		    const struct mp3_record *record,
		    const struct process *process)
{
	size_t i;

	for (i = 0; i < filters->nr; i++)
		if (!(compare_process(&filters->all[i], record, process) &
		      filters->all[i].accepts))
			return false;

	return true;
}

/**
 * filter_shows() - check whether a line is shown
 * @filters: expressions
 * @record:  the counts in the line
 *
 * Return: whether all expressions about counts hold.
 */
bool filter_shows(const struct filters *filters,
		  const struct mp3_record *record)
{
	const __u64 counts[] = {
		[KEY_MIN_FLT] = record->min_flt,
		[KEY_MAJ_FLT] = record->maj_flt,
		[KEY_CPU_NS] = record->cpu_ns,
		[KEY_RSS_BYTES] = record->rss_bytes,
	};
	const struct filter *filter;
	size_t i;

	for (i = 0; i < filters->nr; i++) {
		filter = &filters->all[i];
		if (filter->key >= KEY_MIN_FLT &&
		    !(compare_numbers(counts[filter->key], filter->number) &
		      filter->accepts))
			return false;
	}

	return true;
}
