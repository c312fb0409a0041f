/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A ring in a file, written by the test, and programs that read it, each in a
 * child process.
 */
#ifndef MP3_FAKE_RING_H
#define MP3_FAKE_RING_H

#include "../guest/test.h"

#define FAKE_HZ		250
#define FAKE_INTERVAL_NS 50000000ULL
#define FAKE_BASE_NS	5000000000ULL
#define FAKE_JIFFIES	4294892296UL	/* as a kernel begins, at 250 Hz */

/*
 * Offset in the file of a __u64, after the header: how often mp3ctl with fake_capture.c has
 * called poll(2)
 */
#define FAKE_OFF_POLLS	(MP3_OFF_HEADER + 2048)

/**
 * struct fake_ring - a ring in a file
 * @fd:	    file with the data and, at MP3_OFF_HEADER, the header
 * @path:   name of the file for readers
 * @data:   slots, mapped
 * @header: header page, mapped
 */
struct fake_ring {
	int fd;
	char path[32];
	char *data;
	struct mp3_header *header;
};

static inline void fake_open(struct fake_ring *ring, __u32 entry_size,
			     __u32 capacity)
{
	size_t page = (size_t)getpagesize(), size = MP3_DATA_PAGES * page;

	*ring = (struct fake_ring){ .fd = memfd_create("ring", 0) };
	if (ring->fd < 0 || ftruncate(ring->fd, (off_t)(MP3_OFF_HEADER + page)))
		err(1, "memfd");
	snprintf(ring->path, sizeof(ring->path), "/proc/self/fd/%d", ring->fd);
	ring->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  ring->fd, 0);
	ring->header = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED,
			    ring->fd, MP3_OFF_HEADER);
	if (ring->data == MAP_FAILED || ring->header == MAP_FAILED)
		err(1, "mmap");
	memset(ring->data, 0xff, size);
	*ring->header = (struct mp3_header){
		.magic = MP3_MAGIC,
		.version = MP3_ABI_VERSION,
		.entry_size = entry_size,
		.capacity = capacity,
		.interval_ns = FAKE_INTERVAL_NS,
		.base_ns = FAKE_BASE_NS,
		.base_jiffies = FAKE_JIFFIES,
		.hz = FAKE_HZ,
	};
}

static inline void fake_close(struct fake_ring *ring)
{
	munmap(ring->data, MP3_DATA_PAGES * (size_t)getpagesize());
	munmap(ring->header, (size_t)getpagesize());
	close(ring->fd);
}

/* Publishes an entry. As in the module, the slot after it becomes empty. */
static inline void fake_publish(struct fake_ring *ring, const void *entry)
{
	struct mp3_header *header = ring->header;
	size_t size = header->entry_size;
	__u64 next = header->head + 1;

	memset(ring->data + next % header->capacity * size, 0xff,
	       sizeof(unsigned long));
	memcpy(ring->data + header->head % header->capacity * size, entry,
	       size);
	__atomic_store_n(&header->head, next, __ATOMIC_RELEASE);
}

/* Publishes samples whose counts are their numbers. */
static inline void fake_publish_samples(struct fake_ring *ring, unsigned int nr)
{
	while (nr--) {
		struct mp3_sample sample = {
			.jiffies = FAKE_JIFFIES + ring->header->head,
			.min_flt = ring->header->head,
			.maj_flt = 5,
			.cpu_percent = 100,
		};

		fake_publish(ring, &sample);
	}
}

/* Publishes a record of a process, taken at a time. */
static inline void fake_publish_record(struct fake_ring *ring, __u64 time_ns,
				       __u32 pid, const char *name)
{
	struct mp3_record record = {
		.time_ns = time_ns,
		.pid = pid,
		.min_flt = ring->header->head,
	};

	strncpy(record.comm, name, sizeof(record.comm) - 1);
	fake_publish(ring, &record);
}

/**
 * struct run - a run of a program
 * @pid:    child process
 * @status: exit status, or 128 and the signal that ended it
 * @out:    what it wrote to standard output, ends with a NUL
 * @errors: what it wrote to standard error
 */
struct run {
	pid_t pid;
	int status;
	int fds[2];
	char out[1 << 20];
	char errors[4096];
};

static inline void read_back(int fd, char *text, size_t size)
{
	ssize_t got = pread(fd, text, size - 1, 0);

	if (got < 0)
		err(1, "pread");
	text[got] = '\0';
	close(fd);
}

#define MAX_ARGUMENTS 32

/*
 * Starts a program in a child, with the words of @arguments and, if @path is not
 * NULL, "-d" and that. Its output may have @limit bytes, as on a full disk. Its
 * children append to it, too: processes that share the offset of a memfd
 * overwrite each other's output.
 */
static inline void start_run(struct run *run, int (*program)(int, char **),
			     char *name, const char *arguments, char *path,
			     rlim_t limit)
{
	const struct rlimit rlimit = { limit, limit };
	char *words = strdup(arguments), *word, *argv[MAX_ARGUMENTS] = { name };
	int argc = 1;

	for (word = strtok(words, " "); word && argc < MAX_ARGUMENTS - 3;
	     word = strtok(NULL, " "))
		argv[argc++] = word;
	if (path) {
		argv[argc++] = "-d";
		argv[argc++] = path;
	}

	run->fds[0] = memfd_create("out", 0);
	run->fds[1] = memfd_create("errors", 0);
	if (fcntl(run->fds[0], F_SETFL, O_APPEND) ||
	    fcntl(run->fds[1], F_SETFL, O_APPEND))
		err(1, "memfd");
	run->pid = fork_child();
	if (!run->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGXFSZ, SIG_IGN);
		if (dup2(run->fds[0], STDOUT_FILENO) < 0 ||
		    dup2(run->fds[1], STDERR_FILENO) < 0 ||
		    setrlimit(RLIMIT_FSIZE, &rlimit))
			_exit(99);
		program_invocation_short_name = name;
		exit(program(argc, argv));
	}
	free(words);
}

/* Returns whether a run has not exited yet. */
static inline bool runs_still(const struct run *run)
{
	siginfo_t info = {};

	return !waitid(P_PID, (id_t)run->pid, &info,
		       WEXITED | WNOHANG | WNOWAIT) && !info.si_pid;
}

/*
 * Waits until a run has blocked SIGINT: it then ends at the signal by itself, and is about
 * to read its ring.
 */
static inline void wait_for_signals(const struct run *run)
{
	unsigned long long blocked = 0;
	char path[64], line[128];
	unsigned int tries;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", run->pid);
	for (tries = 0; !(blocked & 1ULL << (SIGINT - 1)) && runs_still(run);
	     tries++) {
		if (tries == 10000)
			errx(1, "the program does not block SIGINT");
		usleep(10000);
		file = fopen(path, "r");
		if (!file)
			err(1, "%s", path);
		while (fgets(line, sizeof(line), file))
			sscanf(line, "SigBlk: %llx", &blocked);
		fclose(file);
	}
}

static inline void finish_run(struct run *run)
{
	int status;

	if (waitpid(run->pid, &status, 0) < 0)
		err(1, "waitpid");
	run->status = WIFEXITED(status) ? WEXITSTATUS(status) :
					  128 + WTERMSIG(status);
	read_back(run->fds[0], run->out, sizeof(run->out));
	read_back(run->fds[1], run->errors, sizeof(run->errors));
}

#endif /* MP3_FAKE_RING_H */
