/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module in fail/, which makes one call of a kernel function fail. It is
 * loaded for one failure at a time.
 */
#ifndef MP3_FAIL_H
#define MP3_FAIL_H

#include "module.h"
#include "test.h"

static const char *fail_module_path = "/mp3/fail.ko";

/* The names of the function behind kmalloc() of a small, fixed size. */
#define SMALL_KMALLOC							\
	"__kmalloc_cache_noprof kmalloc_trace kmem_cache_alloc_trace"

/**
 * fail_call_of - Make one call of a kernel function fail, until fail_unload()
 * @calls:    which calls are counted, as parameters of the module: "pid=123" or
 *            "caller=mp3_refill", those in functions with such a name; "": all
 * @symbols:  name of the function, or the names that it has in different
 *            kernels, separated by blanks: the first that exists is used
 * @nth:      which of the calls fails, from 1 on; 0: none, they are only counted
 * @retval:   what that call returns
 * @delay_ms: how long that call sleeps first
 *
 * Returns 0 or -errno: -ENOENT if no function has any of the names.
 */
static inline int fail_call_of(const char *calls, const char *symbols, int nth,
			       long retval, int delay_ms)
{
	int ret = -ENOENT, length;
	char params[200];

	for (; *symbols && ret == -ENOENT; symbols += length) {
		symbols += strspn(symbols, " ");
		length = strcspn(symbols, " ");
		snprintf(params, sizeof(params),
			 "symbol=%.*s %s nth=%d retval=%ld delay_ms=%d",
			 length, symbols, calls, nth, retval, delay_ms);
		ret = load_file(fail_module_path, params);
	}
	return ret;
}

/* The same for the calls of a process or, if @pid is 0, for all calls. */
static inline int fail_call(pid_t pid, const char *symbols, int nth,
			    long retval, int delay_ms)
{
	char calls[32];

	snprintf(calls, sizeof(calls), "pid=%d", pid);
	return fail_call_of(calls, symbols, nth, retval, delay_ms);
}

/* The same for a single name and a return value of 0. Returns false on errors. */
static inline bool fail_load(pid_t pid, const char *symbol, int nth,
			     int delay_ms)
{
	return !fail_call(pid, symbol, nth, 0, delay_ms);
}

/* Ends a delay, and returns after the call that has been replaced has. */
static inline void fail_unload(void)
{
	int ret = unload_name("fail");

	if (ret)
		errx(1, "unload fail: %s", strerror(-ret));
}

static inline bool have_kprobes(void)
{
	if (!fail_load(getpid(), "cdev_add", 1, 0))
		return false;
	fail_unload();
	return true;
}

/*
 * Return true if there are no kprobes, after a failure at @symbol. If there are,
 * the function has been renamed: die.
 */
static inline bool no_kprobes(const char *symbol)
{
	if (!have_kprobes())
		return true;
	errx(1, "no kprobe at %s", symbol);
}

/*
 * Replace one call of a kernel function by a sleep of @delay_ms, until
 * fail_unload(). Returns false if there are no kprobes.
 */
static inline bool delay_once(pid_t pid, const char *symbol, int delay_ms)
{
	return fail_load(pid, symbol, 1, delay_ms) || !no_kprobes(symbol);
}

/*
 * The same for a call of a process that cannot sleep there, and spins instead.
 */
static inline bool delay_once_busily(pid_t pid, const char *symbol,
				     int delay_ms)
{
	char calls[32];

	snprintf(calls, sizeof(calls), "pid=%d busy=1", pid);
	return !fail_call_of(calls, symbol, 1, 0, delay_ms) ||
	       !no_kprobes(symbol);
}

/*
 * Make the nth allocation of an entry for the reserve sleep and then fail, until
 * fail_unload(). Returns false if there are no kprobes.
 */
static inline bool fail_reserve(int nth, int delay_ms)
{
	return !fail_call_of("caller=mp3_fill_reserve", SMALL_KMALLOC, nth, 0,
			     delay_ms) || !no_kprobes(SMALL_KMALLOC);
}

/*
 * Count the calls of the fork probe by a process, until fail_unload(). Without
 * kprobes, skips @test and returns false.
 */
static inline bool probe_count_calls(pid_t pid, const char *test)
{
	if (fail_load(pid, "mp3_on_fork", 0, 0))
		return true;
	no_kprobes("mp3_on_fork");
	skip(test, "no kprobes");
	return false;
}

static inline int probe_calls(void)
{
	FILE *file = fopen("/sys/module/fail/parameters/calls", "re");
	int calls;

	if (!file || fscanf(file, "%d", &calls) != 1)
		err(1, "cannot read the number of probe calls");
	fclose(file);

	return calls;
}

/*
 * Return whether the fork probe was called while @fork_once(@arg) had the process
 * of probe_count_calls() fork.
 */
static inline bool probe_is_called(void (*fork_once)(void *arg), void *arg)
{
	int before = probe_calls();

	fork_once(arg);
	return probe_calls() != before;
}

/*
 * Wait until the fork probe is detached, a second or so after nothing is followed.
 * Returns false after a minute.
 */
static inline bool probe_is_detached(void (*fork_once)(void *arg), void *arg)
{
	int i;

	for (i = 0; i < 600; i++) {
		if (!probe_is_called(fork_once, arg))
			return true;
		sleep_ms(100);
	}
	return false;
}

#endif /* MP3_FAIL_H */
