// SPDX-License-Identifier: GPL-2.0
/*
 * How much memory the module uses, and how long it takes to load.
 *
 * Usage: memory ROUNDS PROCESSES
 *
 * Runs in a guest without the module, loads and unloads /mp3/mp3.ko ROUNDS times,
 * and then registers PROCESSES. Prints "what value unit".
 */
#include <sys/syscall.h>

#include "bench.h"

#define MAX_ROUNDS	101

static void load(void)
{
	int fd = open("/mp3/mp3.ko", O_RDONLY | O_CLOEXEC);

	if (syscall(SYS_finit_module, fd, "", 0))
		err(1, "mp3.ko");
	close(fd);
}

static void unload(void)
{
	if (syscall(SYS_delete_module, "mp3", 0))
		err(1, "delete_module");
}

/* Return the bytes in objects of the kmalloc caches. */
static double kmalloc_bytes(void)
{
	return number_by(SUM("/^kmalloc-/", "$2 * $4") "/proc/slabinfo");
}

/* Return the bytes of the vmalloc areas of the module, with their guard pages. */
static double ring_bytes(void)
{
	return number_by(SUM("/\\[mp3\\]/", "$2") "/proc/vmallocinfo");
}

int main(int argc, char **argv)
{
	static double load_us[MAX_ROUNDS], unload_us[MAX_ROUNDS];
	unsigned int rounds, nr, i;
	double bytes, rings;
	pid_t *pids;

	if (argc != 3)
		errx(2, "usage: memory ROUNDS PROCESSES");
	rounds = parse_number(argv[1]);
	nr = parse_number(argv[2]);
	if (rounds > MAX_ROUNDS)
		errx(2, "at most %d rounds", MAX_ROUNDS);
	describe();
	printf("# what value unit\n");
	rings = ring_bytes();
	for (i = 0; i < rounds; i++) {
		uint64_t start = now_ns(), loaded;

		load();
		loaded = now_ns();
		unload();
		load_us[i] = (loaded - start) / 1e3;
		unload_us[i] = (now_ns() - loaded) / 1e3;
	}
	sort(load_us, rounds);
	sort(unload_us, rounds);
	printf("load %.0f us\n", quantile(load_us, rounds, 0.5));
	printf("load_lowest %.0f us\n", load_us[0]);
	printf("load_highest %.0f us\n", load_us[rounds - 1]);
	printf("unload %.0f us\n", quantile(unload_us, rounds, 0.5));

	load();
	printf("module %.0f bytes\n", number_by("cat /sys/module/mp3/coresize"));
	printf("rings %.0f bytes\n", ring_bytes() - rings);
	pids = start_many(asleep, nr);
	bytes = kmalloc_bytes();
	for (i = 0; i < nr; i++)
		command_or_die('R', pids[i]);
	bytes = kmalloc_bytes() - bytes;
	printf("process %.1f bytes\n", bytes / nr);
	end_many(pids, nr);

	return 0;
}
