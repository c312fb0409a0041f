// SPDX-License-Identifier: GPL-2.0
/*
 * work: a load for the profiler, that touches memory at random or with
 * locality. Registers itself first and unregisters itself last.
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
#include "mp3_tools.h"

/* With locality: one access in JUMP jumps, the others go at most STEP on. */
#define JUMP 10
#define STEP 64

static const char help[] =
	"usage: work [options] <MB> <R|L|T> <accesses>\n"
	"Touches memory while mp3 profiles it.\n"
	"\n"
	"  MB                  size of the memory, 1..1024\n"
	"  R                   touch uniformly random bytes\n"
	"  L, T                walk on from the last one, jump now and then\n"
	"  accesses            how many in one iteration\n"
	"\n"
	"  --iterations N      iterations (default 20)\n"
	"  --pause SECONDS     between two iterations (default 1)\n"
	"  --seed N            the same seed makes the same accesses\n"
	"  -h, --help          show this help\n"
	"  -V, --version       show the version\n";

static unsigned long long parse_number(const char *what, const char *text,
				       unsigned long long min,
				       unsigned long long max)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	/* strtoull() takes blanks and signs, and turns -1 into a huge number */
	if (text[0] < '0' || text[0] > '9' || *end || errno || value < min ||
	    value > max)
		errx(2, "%s: '%s' is not a whole number from %llu to %llu",
		     what, text, min, max);

	return value;
}

static struct timespec parse_seconds(const char *text)
{
	char *end;
	double value = strtod(text, &end);
	struct timespec pause;

	if (end == text || *end || !(value >= 0 && value <= 3600))
		errx(2, "pause: '%s' is not a number of seconds from 0 to 3600",
		     text);

	pause.tv_sec = (time_t)value;
	pause.tv_nsec = (long)((value - (double)pause.tv_sec) * 1e9);

	return pause;
}

/* splitmix64: any seed will do, and every C library makes the same numbers. */
static unsigned long long next_random(unsigned long long *state)
{
	unsigned long long z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;

	return z ^ (z >> 31);
}

/**
 * struct load - the memory and where in it the next access goes
 * @memory:   what is touched
 * @size:     bytes of it
 * @local:    with locality
 * @at:	      offset of the last access
 * @random:   state of the random numbers
 * @checksum: of all offsets so far, in their order (FNV-1a, a word at a time)
 */
struct load {
	unsigned char *memory;
	size_t size;
	bool local;
	size_t at;
	unsigned long long random;
	unsigned long long checksum;
};

static void touch(struct load *load)
{
	unsigned long long random = next_random(&load->random);

	if (load->local && random % JUMP)
		load->at = (load->at + 1 + random / JUMP % STEP) % load->size;
	else
		load->at = random / JUMP % load->size;

	/* Nobody reads it: a plain store is one that compilers may leave out. */
	__atomic_store_n(&load->memory[load->at], (unsigned char)random,
			 __ATOMIC_RELAXED);
	load->checksum = (load->checksum ^ load->at) * 0x100000001b3;
}

static unsigned char *allocate(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "%zu MB of memory", size >> 20);
	/*
	 * A huge page is one fault for 512 pages, and whether there is one to
	 * be had differs from run to run. EINVAL: this kernel has none at all.
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
	while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
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
			puts("work (mp3) " MP3_TOOLS_VERSION);
			return 0;
		default:
			return 2;
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

	/* userapp, or whoever started this, may have registered it. */
	error = mp3_register(pid);
	if (error && error != -EEXIST)
		errx(1, MP3_STATUS_PATH ": %s", mp3_strerror(error));

	/* Into a pipe or a file, too, each line as it comes. */
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

	/* Whoever started this may have unregistered it. */
	error = mp3_unregister(pid);
	if (error && error != -ESRCH)
		errx(1, MP3_STATUS_PATH ": %s", mp3_strerror(error));

	return 0;
}
