// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: sample_recording FILE [FAULTS [N]]
 *        sample_recording FILE --code PATH OFFSET...
 *        sample_recording FILE --counts [CGROUP]
 *
 * Writes a recording for tests: the sample; faults of the code at offsets of a file,
 * as if they had been recorded on this machine; or counts without located faults, as
 * mp3ctl record writes them, of processes in a cgroup. Compile it together with
 * tools/recording.c.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
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
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	__u32 generation[2];
	struct stat info;

	if (fd < 0 || fstat(fd, &info))
		err(1, "%s", path);
	if (!ioctl(fd, FS_IOC_GETVERSION, generation))
		file.generation = generation[0];
	close(fd);
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

/*
 * Writes what a shell, two sorts and a daemon do in two seconds. The shell and the
 * daemon are still running at the end.
 */
static void record_counts(struct recording *recording, const char *cgroup)
{
	static const char info[] =
		"version=" MP3_VERSION "\nrelease=6.1.0\nmachine=x86_64\n"
		"host=sample\nhz=250\ninterval_ns=50000000\n"
		"command=sh build.sh\nstart_ns=100000000000\n"
		"start_time=1764201600.250000000\nn=0\ncallers=0\n"
		"base_ns=10000000000\nbase_jiffies=4294892296\n";
	static const char others[] = "user\t1000\tada\nplanet\t1\tMars\n";
	char names[512];
	static const __u64 second = 1000000000, start = SAMPLE_START_NS;
	const struct mp3_record records[] = {
		{ .time_ns = start, .pid = 10, .flags = MP3_IDENTITY, .ppid = 1,
		  .uid = 1000, .start_ns = start, .cgroup_id = 77, .comm = "sh" },
		{ .time_ns = start, .pid = 10, .flags = MP3_FIRST, .comm = "sh" },
		{ .time_ns = start, .pid = 9, .flags = MP3_IDENTITY, .ppid = 1,
		  .start_ns = 1, .cgroup_id = 78, .comm = "daemon" },
		{ .time_ns = start, .pid = 9, .flags = MP3_FIRST, .maj_flt = 1,
		  .cpu_ns = 3000000, .comm = "daemon" },
		{ .time_ns = start + second / 2, .pid = 11, .flags = MP3_IDENTITY,
		  .ppid = 10, .uid = 1000, .start_ns = start + 1,
		  .cgroup_id = 77, .comm = "sort" },
		{ .time_ns = start + second / 2, .pid = 11,
		  .flags = MP3_FIRST | MP3_LAST, .min_flt = 200,
		  .cpu_ns = 20000000, .comm = "sort" },
		{ .time_ns = start + second, .pid = 12, .flags = MP3_IDENTITY,
		  .ppid = 10, .uid = 1000, .start_ns = start + second / 2,
		  .cgroup_id = 77, .comm = "sort" },
		{ .time_ns = start + second, .pid = 12, .flags = MP3_FIRST,
		  .min_flt = 100, .maj_flt = 5, .cpu_ns = 400000000,
		  .rss_bytes = 1 << 20, .comm = "sort" },
		{ .time_ns = start + second, .pid = 10, .min_flt = 50,
		  .cpu_ns = 100000000, .rss_bytes = 1 << 20, .comm = "sh" },
		{ .time_ns = start + 3 * second / 2, .pid = 12, .flags = MP3_LAST,
		  .min_flt = 60, .cpu_ns = 100000000, .comm = "s\033[2Jt" },
	};
	const struct mp3_recording_totals totals = {
		.end_ns = start + 2 * second,
		.lost_records = 3,
		.running = 2,
		.flags = MP3_RECORDING_COMPLETE | MP3_RECORDING_CLOSED,
	};

	snprintf(names, sizeof(names), "cgroup\t77\t%s\n%s", cgroup, others);
	recording_write(recording, MP3_RECORDING_INFO, info, strlen(info));
	recording_write(recording, MP3_RECORDING_NAMES, names, strlen(names));
	recording_write(recording, MP3_RECORDING_RECORDS, records,
			sizeof(records));
	recording_write(recording, MP3_RECORDING_TOTALS, &totals,
			sizeof(totals));
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
	if (argc > 2 && !strcmp(argv[2], "--counts")) {
		if (!recording_create(&recording, argv[1]))
			return 1;
		record_counts(&recording, argc > 3 ? argv[3] : "/batch\\x0a");
		return !recording_close(&recording);
	}
	sample_recording(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 10000,
			 argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 1);

	return 0;
}
