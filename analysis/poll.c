// SPDX-License-Identifier: GPL-2.0
/*
 * poll: print the uptime in seconds and /proc/<pid>/stat of every process, once
 * per second. Tools like top(1) read the same files, but their intervals drift;
 * poll keeps to a grid of whole seconds.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Print nothing for a process that has exited. */
static void print_stat(const char *pid)
{
	char path[300], text[1024];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	got = read(fd, text, sizeof(text));
	if (got > 0)
		fwrite(text, 1, got, stdout);
	close(fd);
}

int main(void)
{
	DIR *proc = opendir("/proc");
	struct timespec deadline;

	if (!proc)
		err(1, "/proc");
	clock_gettime(CLOCK_BOOTTIME, &deadline);
	for (;;) {
		struct dirent *entry;
		struct timespec now;

		clock_gettime(CLOCK_BOOTTIME, &now);
		printf("uptime %lld.%02ld\n", (long long)now.tv_sec,
		       now.tv_nsec / 10000000);
		rewinddir(proc);
		while ((entry = readdir(proc)))
			if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
				print_stat(entry->d_name);
		if (fflush(stdout))
			err(1, "standard output");

		/* Skip deadlines that have passed. */
		clock_gettime(CLOCK_BOOTTIME, &now);
		do {
			deadline.tv_sec++;
		} while (deadline.tv_sec < now.tv_sec ||
			 (deadline.tv_sec == now.tv_sec &&
			  deadline.tv_nsec <= now.tv_nsec));
		clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &deadline, NULL);
	}
}
