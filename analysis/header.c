// SPDX-License-Identifier: GPL-2.0
/* header: print how punctual the profiler was, and what it cost. */
#include <err.h>

#include "mp3_client.h"

int main(void)
{
	struct mp3_reader reader;
	int error = mp3_reader_open(&reader, MP3_DEVICE_PATH, false);
	const struct mp3_header *header = reader.header;

	if (error)
		errx(1, MP3_DEVICE_PATH ": %s", mp3_strerror(error));
	printf("served %llu\n", (unsigned long long)header->ticks);
	printf("missed %llu\n", (unsigned long long)header->missed);
	printf("sampling_ns %llu\n", (unsigned long long)header->cost_ns);
	printf("dropped %llu\n", (unsigned long long)header->dropped);

	return 0;
}
