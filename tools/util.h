/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbers, options, output, signals, clocks and namespaces, for mp3ctl and the
 * classic programs. Functions that fail print one line and exit: with status 2
 * for bad arguments, with status 1 otherwise.
 */
#ifndef MP3_TOOLS_UTIL_H
#define MP3_TOOLS_UTIL_H

#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include <linux/types.h>

struct option;

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define NSEC_PER_SEC 1000000000ULL

/* One more than any process id: the kernel's PID_MAX_LIMIT on 64 bits. */
#define PID_LIMIT (4u << 20)

__u64 parse_number(const char *what, const char *text, __u64 min, __u64 max);
double scan_decimal(const char *text, char **end);
double parse_decimal(const char *what, const char *text, double min, double max);
double parse_duration(const char *what, const char *text, double min, double max);
pid_t parse_pid(const char *text);
void parse_pids(const char *text, void (*add)(void *data, pid_t pid), void *data);

/* Returns what to use in place of an option that does not exist, or NULL; or is NULL */
extern const char *(*option_hint)(const char *option);
int next_option(int argc, char **argv, const char *letters,
		const struct option *options, const char *repeatable);

void open_standard_files(void);
void flush_output(void);

bool ignores_hangup(void);
void termination_signals(sigset_t *signals);

__u64 clock_ns(clockid_t clock);
__u64 initial_monotonic_ns(void);
bool in_initial_pid_namespace(void);

#endif /* MP3_TOOLS_UTIL_H */
