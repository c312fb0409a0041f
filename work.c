// SPDX-License-Identifier: GPL-2.0
/*
 * work: a load for the profiler. Touches memory at random or with locality, in
 * several iterations with a pause between two of them. Registers itself first,
 * and unregisters itself last.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "mp3_client.h"
#include "tools/util.h"

/*
 * With locality, one access in JUMP is to a random byte; each of the others is
 * at most STEP bytes after the previous one.
 */
#define JUMP 10
#define STEP 64

static const char help[] =
	"usage: work [OPTION]... <MB> <R|L|T> <accesses>\n"
	"Touches memory while mp3 profiles it.\n"
	"\n"
	"  MB                  size of the memory, 1 to 1024\n"
	"  R                   touch bytes that are uniformly random\n"
	"  L, T                touch bytes near the previous one, and jump sometimes\n"
	"  accesses            accesses in each iteration\n"
	"\n"
	"  --iterations N      number of iterations (default 20)\n"
	"  --pause SECONDS     pause between two iterations (default 1)\n"
	"  --seed N            seed of the random numbers (default: the process id)\n"
	"  -h, --help          show this help\n"
	"  -V, --version       show the version\n";

/* Parses a number of seconds. Exits with status 2 if @text is none. */
static struct timespec parse_seconds(const char *text)
{
	double value = parse_decimal("pause", text, 0, 3600);
	struct timespec pause = { .tv_sec = (time_t)value };

	pause.tv_nsec = (long)((value - (double)pause.tv_sec) * 1e9);

	return pause;
}

/* splitmix64: accepts any seed, and does not depend on the C library. */
static unsigned long long next_random(unsigned long long *state)
{
	unsigned long long z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;

	return z ^ (z >> 31);
}

/**
 * struct load - the memory, and the state of the access pattern
 * @memory:   memory to touch
 * @size:     its size in bytes
 * @local:    accesses have locality
 * @offset:   offset of the previous access
 * @random:   state of the random numbers
 * @checksum: of all offsets so far, in their order (FNV-1a, a word at a time)
 */
struct load {
	unsigned char *memory;
	size_t size;
	bool local;
	size_t offset;
	unsigned long long random;
	unsigned long long checksum;
};

/* Makes the next access. */
static void touch(struct load *load)
{
	unsigned long long random = next_random(&load->random);

	if (load->local && random % JUMP)
		load->offset = (load->offset + 1 + random / JUMP % STEP) %
			       load->size;
	else
		load->offset = random / JUMP % load->size;

	/* Compilers may omit a plain store, since nothing reads it. */
	__atomic_store_n(&load->memory[load->offset], (unsigned char)random,
			 __ATOMIC_RELAXED);
	load->checksum = (load->checksum ^ load->offset) * 0x100000001b3;
}

/* Allocates memory whose pages are faulted in one by one. Exits on failure. */
static unsigned char *allocate(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "%zu MB of memory", size >> 20);
	/*
	 * A huge page is one fault instead of 512, and whether one is available
	 * differs from run to run. EINVAL: this kernel has no huge pages.
	 */
	if (madvise(memory, size, MADV_NOHUGEPAGE) && errno != EINVAL)
		err(1, "madvise");

	return memory;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "iterations", required_argument, NULL, 'i' },
		{ "pause", required_argument, NULL, 'p' },
		{ "seed", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	unsigned long long accesses, access, iterations = 20, iteration;
	struct load load = { .random = (unsigned long long)getpid() };
	struct timespec pause = { .tv_sec = 1 };
	pid_t pid = getpid();
	const char *mode;
	int option, error;

	atexit(flush_output);
	while ((option = next_option(argc, argv, "hV", options, "")) >= 0) {
		switch (option) {
		case 'i':
			iterations = parse_number("iterations", optarg, 1, 1000000);
			break;
		case 'p':
			pause = parse_seconds(optarg);
			break;
		case 's':
			load.random = parse_number("seed", optarg, 0, ~0ULL);
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			puts("work (mp3) " MP3_VERSION);
			return 0;
		}
	}
	if (argc - optind != 3)
		errx(2, "expected <MB> <R|L|T> <accesses> (see --help)");
	load.size = parse_number("MB", argv[optind], 1, 1024) << 20;
	mode = argv[optind + 1];
	if (!mode[0] || mode[1] || !strchr("RLT", mode[0]))
		errx(2, "'%s' is neither R nor L nor T", mode);
	load.local = mode[0] != 'R';
	accesses = parse_number("accesses", argv[optind + 2], 1, 1000000000000);

	/* userapp or mp3ctl may have registered this process already. */
	error = mp3_register(pid);
	if (error && error != -EEXIST)
		errx(1, MP3_STATUS_PATH ": %s", mp3_strerror(error));

	/* Write each line at once, even if it goes into a pipe or a file. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("A work process starts (configuration: %zu %s %llu)\n",
	       load.size >> 20, mode, accesses);

	load.memory = allocate(load.size);
	for (iteration = 0; iteration < iterations; iteration++) {
		if (iteration)
			nanosleep(&pause, NULL);
		printf("[%d] %llu iteration\n", pid, iteration);
		for (access = 0; access < accesses; access++)
			touch(&load);
	}
	printf("[%d] ends (checksum of the accesses: %016llx)\n", pid,
	       load.checksum);

	/* Another process may have unregistered this one. */
	error = mp3_unregister(pid);
	if (error && error != -ESRCH)
		errx(1, MP3_STATUS_PATH ": %s", mp3_strerror(error));

	return 0;
}
