/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loading and unloading of kernel modules, by the bare system calls.
 */
#ifndef MP3_TEST_MODULE_H
#define MP3_TEST_MODULE_H

#include <sys/syscall.h>

#include "test.h"

static const char *module_path = "/mp3/mp3.ko";

/* Load a module from a file. Returns 0 or -errno. */
static inline int load_file(const char *path, const char *params)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, params, 0) ? -errno : 0;
	close(fd);

	return ret;
}

/* Unload a module without waiting. Returns 0 or -errno. */
static inline int unload_name(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

/* Load mp3. Returns 0 or -errno. */
static inline int load(const char *params)
{
	return load_file(module_path, params);
}

/* Unload mp3. Returns 0 or -errno. */
static inline int unload(void)
{
	return unload_name("mp3");
}

static inline void load_or_die(const char *params)
{
	int ret = load(params);

	if (ret)
		errx(1, "load %s with \"%s\": %s", module_path, params,
		     strerror(-ret));
}

static inline void unload_or_die(void)
{
	int ret = unload();

	if (ret)
		errx(1, "unload mp3: %s", strerror(-ret));
}

#endif /* MP3_TEST_MODULE_H */
