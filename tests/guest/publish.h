/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Publishing samples one at a time, for the tests of the sample ring. A sample
 * is in the ring when the write(2) that unregisters the last process returns.
 * With an interval of 10 s, no tick adds samples of its own.
 */
#ifndef MP3_PUBLISH_H
#define MP3_PUBLISH_H

#include "process.h"

#define PAGE		((long)getpagesize())
#define MAX_FAULTS	7	/* in one sample */

static struct ring ring;
static int status_fd = -1;	/* open for writing */
static char *scratch;		/* MAX_FAULTS pages */

/* Opens what publish_faults() uses; again after each load of the module. */
static inline void publisher_open(void)
{
	ring = ring_open();
	status_fd = open(MP3_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	if (status_fd < 0)
		err(1, "%s", MP3_STATUS_PATH);
	if (scratch)
		return;
	scratch = mmap(NULL, MAX_FAULTS * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (scratch == MAP_FAILED)
		err(1, "mmap");
}

static inline void publisher_close(void)
{
	munmap((void *)ring.samples, ring.data_size);
	munmap((void *)ring.header, PAGE);
	close(ring.fd);
	close(status_fd);
}

/* Publishes a sample with exactly @faults minor faults, at most MAX_FAULTS. */
static inline void publish_faults(unsigned int faults)
{
	char line[16];
	int size = snprintf(line, sizeof(line), "R,%d", getpid());
	unsigned int i;

	madvise(scratch, MAX_FAULTS * PAGE, MADV_DONTNEED);
	if (write(status_fd, line, size) != size)
		err(1, "%s", line);
	line[0] = 'U';
	for (i = 0; i < faults; i++)
		scratch[i * PAGE] = 1;
	if (write(status_fd, line, size) != size)
		err(1, "%s", line);
}

static inline struct mp3_sample sample_at(uint64_t number)
{
	volatile struct mp3_sample *s = &ring.samples[number % MP3_SAMPLES];

	return (struct mp3_sample){ s->jiffies, s->min_flt, s->maj_flt,
				    s->cpu_percent };
}

/*
 * Forks, and copies the pages that the fork made copy-on-write: later, each
 * copy would be a minor fault in one of the parent's samples.
 */
static inline pid_t fork_unshared(void)
{
	pid_t pid = fork_child();

	if (pid && (mlockall(MCL_CURRENT) || munlockall()))
		err(1, "mlockall");
	return pid;
}

#endif /* MP3_PUBLISH_H */
