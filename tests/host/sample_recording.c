// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: sample_recording FILE [FAULTS [N]]
 *        sample_recording FILE --code PATH OFFSET...
 *
 * Writes a recording for tests: the sample, or faults of the code at offsets of a
 * file, as if they had been recorded on this machine. Compile it together with
 * tools/recording.c.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "sample_recording.h"

/* Writes faults of the code at @offsets of a file. */
static void record_code(struct recording *recording, const char *path,
			char **offsets)
{
	struct mp3_file file = { .number = 1 };
	struct mp3_fault fault = {
		.time_ns = 1,
		.pid = 1,
		.tid = 1,
		.stall_ns = 1000,
		.flags = SAMPLE_USER | 1u << 28,
	};
	struct stat info;

	if (stat(path, &info))
		err(1, "%s", path);
	file.device = info.st_dev;
	file.inode = info.st_ino;
	strncpy(file.path, path, sizeof(file.path) - 1);
	recording_write(recording, MP3_RECORDING_FILES, &file, sizeof(file));
	for (; *offsets; offsets++) {
		fault.frames[0] = SAMPLE_FRAME(1, strtoull(*offsets, NULL, 0));
		recording_write(recording, MP3_RECORDING_FAULTS, &fault,
				sizeof(fault));
	}
}

int main(int argc, char **argv)
{
	struct recording recording;
	char info[512] = "n=1\nhost=";

	if (argc < 2)
		errx(2, "usage: sample_recording FILE [FAULTS [N]]");
	if (argc > 4 && !strcmp(argv[2], "--code")) {
		gethostname(info + strlen(info), 256);
		strcat(info, "\n");
		if (!recording_create(&recording, argv[1]))
			return 1;
		recording_write(&recording, MP3_RECORDING_INFO, info, strlen(info));
		record_code(&recording, argv[3], argv + 4);
		return !recording_close(&recording);
	}
	sample_recording(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 10000,
			 argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 1);

	return 0;
}
