// SPDX-License-Identifier: GPL-2.0
/*
 * lookup: look rows of a table up in random order, as a database does that maps its
 * file. The rows do not depend on the run.
 *
 * Usage: lookup FILE ROWS [none|once|pieces]
 *
 * Before the first look-up, the kernel is advised to read the file: not at all, with
 * one call, or with one call for each piece of the file.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define ROW_BYTES 256

/* The default of read_ahead_kb: Linux reads at most this much for one advice */
#define PIECE ((size_t)128 << 10)

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static __attribute__((noinline)) unsigned long look_up(const char *row)
{
	unsigned long sum = 0;
	size_t i;

	for (i = 0; i < ROW_BYTES; i++)
		sum += (unsigned char)row[i];

	return sum;
}

static void advise(char *table, size_t size, size_t piece)
{
	size_t at;

	for (at = 0; at < size; at += piece)
		if (madvise(table + at, size - at < piece ? size - at : piece,
			    MADV_WILLNEED))
			err(1, "madvise");
}

int main(int argc, char **argv)
{
	unsigned long rows, sum = 0, state = 1, i;
	double start = seconds();
	struct stat info;
	char *table;
	int fd;

	if (argc < 3)
		errx(2, "usage: lookup FILE ROWS [none|once|pieces]");
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || fstat(fd, &info))
		err(1, "%s", argv[1]);
	table = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (table == MAP_FAILED)
		err(1, "%s", argv[1]);
	if (argc > 3 && !strcmp(argv[3], "once"))
		advise(table, (size_t)info.st_size, (size_t)info.st_size);
	if (argc > 3 && !strcmp(argv[3], "pieces"))
		advise(table, (size_t)info.st_size, PIECE);

	rows = strtoul(argv[2], NULL, 10);
	for (i = 0; i < rows; i++) {
		state = state * 6364136223846793005UL + 1442695040888963407UL;
		sum += look_up(table + (state >> 33) %
			       ((size_t)info.st_size / ROW_BYTES) * ROW_BYTES);
	}
	printf("%lu rows, sum %lu, %.3f seconds\n", rows, sum, seconds() - start);

	return 0;
}
