// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: sample_recording FILE [FAULTS [N]]
 *
 * Writes a recording for tests. Compile it together with tools/recording.c.
 */
#include "sample_recording.h"

int main(int argc, char **argv)
{
	if (argc < 2)
		errx(2, "usage: sample_recording FILE [FAULTS [N]]");
	sample_recording(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 10000,
			 argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 1);

	return 0;
}
