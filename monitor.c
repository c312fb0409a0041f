// SPDX-License-Identifier: GPL-2.0
/*
 * monitor: prints the samples that are in the ring, oldest first, and takes
 * them out.
 */
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>

#include "mp3_client.h"

/* Entries that are written before they are consumed. */
#define CHUNK 256

static const char help[] =
	"usage: monitor [-d DEVICE] > profile.data\n"
	"Prints the samples that are in mp3's ring, oldest first, and takes them out.\n"
	"A line is: jiffies min_flt maj_flt cpu_percent\n"
	"\n"
	"  -d, --device DEVICE   ring to read (default " MP3_DEVICE_PATH ")\n"
	"  -h, --help            show this help\n"
	"  -V, --version         show the version\n";

static void open_ring(struct mp3_reader *reader, const char *device)
{
	int error = mp3_reader_open(reader, device, true);

	if (error && reader->version && reader->version != MP3_ABI_VERSION)
		errx(1, "%s: has ABI version %u, this monitor reads version %u",
		     device, reader->version, MP3_ABI_VERSION);
	if (error)
		errx(1, "%s: %s", device, mp3_strerror(error));
}

/**
 * struct chunk - entries that were read, and are not consumed yet
 * @nr:	     how many
 * @numbers: their numbers
 * @samples: their contents
 */
struct chunk {
	unsigned int nr;
	__u64 numbers[CHUNK];
	struct mp3_sample samples[CHUNK];
};

/* Reads up to a chunk of the entries below @end. */
static void read_chunk(struct mp3_reader *reader, __u64 end,
		       struct chunk *chunk)
{
	unsigned int nr = 0;

	while (nr < CHUNK && reader->next < end &&
	       mp3_reader_next(reader, &chunk->samples[nr]))
		chunk->numbers[nr++] = reader->next - 1;
	chunk->nr = nr;
}

/* Consumes a chunk only after it was written: the rest stays in the ring. */
static void print_chunk(struct mp3_reader *reader, const struct chunk *chunk)
{
	unsigned int i;

	for (i = 0; i < chunk->nr; i++) {
		const struct mp3_sample *sample = &chunk->samples[i];

		printf("%lu %lu %lu %lu\n", sample->jiffies, sample->min_flt,
		       sample->maj_flt, sample->cpu_percent);
	}
	if (fflush(stdout))
		err(1, "standard output");

	for (i = 0; i < chunk->nr; i++)
		mp3_reader_consume(reader, chunk->numbers[i],
				   &chunk->samples[i]);
}

/*
 * Prints what has been published so far. Entries that are overwritten meanwhile
 * are lost for certain. Of those that were overwritten before, nobody can tell
 * which had been consumed: none is lost if the oldest one left is consumed, for
 * readers go from old to new, else all of them may be.
 */
static void print_ring(struct mp3_reader *reader)
{
	__u64 end = mp3_reader_head(reader), start = reader->next, older = 0;
	unsigned long long count = 0;
	struct chunk chunk;

	for (read_chunk(reader, end, &chunk); chunk.nr;
	     read_chunk(reader, end, &chunk)) {
		if (!count && chunk.numbers[0] - start <= reader->lost)
			older = start;
		print_chunk(reader, &chunk);
		count += chunk.nr;
	}
	fprintf(stderr, "monitor: %llu samples read, %s%llu lost\n", count,
		older ? "at most " : "",
		(unsigned long long)(reader->lost + older));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	const char *device = MP3_DEVICE_PATH;
	struct mp3_reader reader;
	int option;

	while ((option = getopt_long(argc, argv, "d:hV", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			device = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			puts("monitor (mp3) " MP3_TOOLS_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (optind < argc)
		errx(2, "'%s' is not expected", argv[optind]);

	/* A closed pipe is an error of writing like any other. */
	signal(SIGPIPE, SIG_IGN);
	open_ring(&reader, device);
	print_ring(&reader);
	mp3_reader_close(&reader);

	return 0;
}
