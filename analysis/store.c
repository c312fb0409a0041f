// SPDX-License-Identifier: GPL-2.0
/*
 * store: a small store of rows, for a flame graph with faults of several kinds. Loads
 * a table from disk, indexes it, sorts the index, and changes rows while a child
 * process writes a snapshot, as some databases do.
 *
 * Usage: store TABLE SNAPSHOT
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROW_BYTES 256

struct row {
	char data[ROW_BYTES];
};

static size_t nr_rows;
static struct row *rows;
static struct row **index_by_data, **sorted;

static void copy_row(struct row *to, const struct row *from)
{
	size_t i;

	for (i = 0; i < ROW_BYTES; i++)
		to->data[i] = from->data[i];
}

/* Copies the table from the page cache to memory. */
static void load_table(const char *path)
{
	const struct row *table;
	struct stat info;
	size_t i;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &info))
		err(1, "%s", path);
	nr_rows = (size_t)info.st_size / ROW_BYTES;
	table = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (table == MAP_FAILED)
		err(1, "%s", path);
	rows = malloc(nr_rows * sizeof(*rows));
	if (!rows)
		err(1, "malloc");
	for (i = 0; i < nr_rows; i++)
		copy_row(&rows[i], &table[i]);
}

/* Sorts from..to by merging, from one array to the other. */
static void merge_sort(struct row **from, struct row **to, size_t nr)
{
	size_t half = nr / 2, left = 0, right = half, i;

	if (nr < 2)
		return;
	merge_sort(to, from, half);
	merge_sort(to + half, from + half, nr - half);
	for (i = 0; i < nr; i++)
		to[i] = right == nr || (left < half &&
			memcmp(from[left], from[right], ROW_BYTES) <= 0) ?
			from[left++] : from[right++];
}

static void build_index(void)
{
	size_t i;

	index_by_data = malloc(nr_rows * sizeof(*index_by_data));
	sorted = malloc(nr_rows * sizeof(*sorted));
	if (!index_by_data || !sorted)
		err(1, "malloc");
	for (i = 0; i < nr_rows; i++) {
		index_by_data[i] = &rows[i];
		sorted[i] = &rows[i];
	}
	merge_sort(index_by_data, sorted, nr_rows);
}

static void write_snapshot(const char *path)
{
	FILE *file = fopen(path, "w");
	size_t i;

	if (!file)
		err(1, "%s", path);
	for (i = 0; i < nr_rows; i++)
		if (!fwrite(sorted[i], ROW_BYTES, 1, file))
			err(1, "%s", path);
	fclose(file);
}

/* Changes each eighth row. */
static void change_rows(void)
{
	size_t i;

	for (i = 0; i < nr_rows; i += 8)
		rows[i].data[0]++;
}

int main(int argc, char **argv)
{
	pid_t child;

	if (argc != 3)
		errx(2, "usage: store TABLE SNAPSHOT");
	load_table(argv[1]);
	build_index();
	child = fork();
	if (!child) {
		write_snapshot(argv[2]);
		_exit(0);
	}
	change_rows();
	if (child < 0 || waitpid(child, NULL, 0) < 0)
		err(1, "snapshot");

	return 0;
}
