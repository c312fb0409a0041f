// SPDX-License-Identifier: GPL-2.0
/*
 * For bench/lines: has the plugin of QEMU (bench/plugin/lines.c) measure the passes
 * of mp3, of a bare loop that only loads the counters, and of the poller.
 *
 * Usage: lines PASSES KIND:N...
 *
 * Runs in a guest of one CPU with the module loaded. For N processes of each KIND
 * (idle, running) there is a phase "KIND N" of at least PASSES passes of each tool.
 */
#include <sys/syscall.h>

#include "bench.h"
#include "floor/mark.h"

#define OUTPUT	"/tmp/output"

static struct ring ring;
static unsigned int passes;

static void mark_mp3(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	char line[256], name[64], module[64];
	unsigned long address;

	if (!symbols)
		err(1, "/proc/kallsyms");
	while (fgets(line, sizeof(line), symbols)) {
		if (sscanf(line, "%lx %*c %63s [%63[^]]", &address, name, module) == 3 &&
		    !strcmp(name, "mp3_tick") && !strcmp(module, "mp3")) {
			fclose(symbols);
			mark(address, "mp3");
			return;
		}
	}
	errx(1, "/proc/kallsyms: no mp3_tick");
}

static void run_mp3(const pid_t *pids, unsigned int nr)
{
	uint64_t end;
	unsigned int i;

	for (i = 0; i < nr; i++)
		command_or_die('R', pids[i]);
	end = ring.header->ticks + passes;
	while (ring.header->ticks < end)
		sleep_ms(50);
	for (i = 0; i < nr; i++)
		command_or_die('U', pids[i]);
	wait_idle(&ring);
}

static void run_floor(void)
{
	int module = open("/mp3/floor.ko", O_RDONLY | O_CLOEXEC);
	char words[64];

	snprintf(words, sizeof(words), "parent=%d passes=%u", getpid(), passes);
	if (syscall(SYS_finit_module, module, words, 0) ||
	    syscall(SYS_delete_module, "floor", 0))
		err(1, "floor.ko");
	close(module);
}

static void run_poller(const char *list)
{
	pid_t poller = start_tool(OUTPUT, (const char *[]){ "/mp3/poller", list, NULL });

	wait_lines(poller, OUTPUT, passes);
	end(poller, SIGKILL);
}

static void run(const char *name, void (*body)(void), unsigned int nr)
{
	pid_t *pids = start_many(body, nr);
	char *list = join(pids, nr);
	char phase[32];

	sleep_ms(500);
	snprintf(phase, sizeof(phase), "%s %u", name, nr);
	mark(0, phase);
	run_mp3(pids, nr);
	run_floor();
	run_poller(list);
	mark(0, "between phases");
	end_many(pids, nr);
	free(list);
}

int main(int argc, char **argv)
{
	struct rlimit files = { 20000, 20000 };
	int i;

	if (argc < 3)
		errx(2, "usage: lines PASSES KIND:N...");
	passes = parse_number(argv[1]);
	if (setrlimit(RLIMIT_NOFILE, &files))
		err(1, "setrlimit");
	ring = ring_open();
	mark_mp3();
	for (i = 2; i < argc; i++) {
		bool idle = !strncmp(argv[i], "idle:", 5);

		run(idle ? "idle" : "running", idle ? asleep : running,
		    parse_number(strchr(argv[i], ':') + 1));
	}

	return 0;
}
