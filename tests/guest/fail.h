/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module in fail/, which has a call of a kernel function not happen: one at a
 * time.
 */
#ifndef MP3_FAIL_H
#define MP3_FAIL_H

#include <sys/syscall.h>

#include "test.h"

/* Has the nth call of a function by a process fail, or none for 0. */
static inline bool fail_load(pid_t pid, const char *symbol, int nth,
			     int delay_ms)
{
	int fd = open("/mp3/fail.ko", O_RDONLY | O_CLOEXEC), ret;
	char params[120];

	snprintf(params, sizeof(params), "symbol=%s pid=%d nth=%d delay_ms=%d",
		 symbol, pid, nth, delay_ms);
	ret = fd < 0 ? -1 : syscall(SYS_finit_module, fd, params, 0);
	close(fd);

	return !ret;
}

static inline void fail_unload(void)
{
	if (syscall(SYS_delete_module, "fail", O_NONBLOCK))
		err(1, "unload fail");
}

/* Where there are kprobes, a function that has none has changed its name. */
static inline bool no_kprobes(const char *symbol)
{
	if (!fail_load(getpid(), "cdev_add", 1, 0))
		return true;
	fail_unload();
	errx(1, "no kprobe at %s", symbol);
}

/*
 * Has a kernel function do nothing, once, in that process: it sleeps for
 * @delay_ms instead, until fail_unload(). False where there are no kprobes.
 */
static inline bool delay_once(pid_t pid, const char *symbol, int delay_ms)
{
	return fail_load(pid, symbol, 1, delay_ms) || !no_kprobes(symbol);
}

/* Has the nth small allocation of a process wait, and fail then; likewise. */
static inline bool fail_allocation(pid_t pid, int nth, int delay_ms)
{
	/* By the names that different kernels have for it */
	return fail_load(pid, "__kmalloc_cache_noprof", nth, delay_ms) ||
	       fail_load(pid, "kmalloc_trace", nth, delay_ms) ||
	       fail_load(pid, "kmem_cache_alloc_trace", nth, delay_ms) ||
	       !no_kprobes("any kmalloc");
}

#endif /* MP3_FAIL_H */
