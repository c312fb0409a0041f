// SPDX-License-Identifier: GPL-2.0
/*
 * A whole build, followed and compared with wait4(2): make -j4 compiles half
 * of the project's own tests in the guest. compile.files lists the files that this
 * needs.
 *
 * vm: -m 2048
 */
#include "tree.h"

#define SOURCES	"/src/tests/guest"

/* Each C file there is a program. */
static const char makefile[] =
	"CFLAGS = -std=gnu11 -D_GNU_SOURCE -pthread\n"
	"programs := $(patsubst %.c,out/%,$(wildcard *.c))\n"
	"all: $(programs)\n"
	"	@echo $(words $(programs)) programs\n"
	"out/%: %.c\n"
	"	@mkdir -p out && $(CC) $(CFLAGS) -o $@ $<\n";

static void run_make(void)
{
	if (chdir(SOURCES))
		err(1, SOURCES);
	command_self('F');
	execlp("make", "make", "-s", "-j4", "-f", "/tmp/Makefile", "CC=gcc",
	       NULL);
	err(127, "make");
}

/* Count what ls lists for a directory or a pattern. */
static int count_files(const char *path)
{
	char line[200];
	FILE *pipe;
	int nr = 0;

	snprintf(line, sizeof(line), "ls %s 2>/dev/null | wc -l", path);
	pipe = popen(line, "r");
	if (!pipe || fscanf(pipe, "%d", &nr) != 1)
		err(1, "%s", line);
	pclose(pipe);

	return nr;
}

/*
 * Count the compilers among the last records. @wrong is the number of last records
 * with memory: an exited process has none.
 */
static unsigned int count_compilers(uint64_t from, unsigned int *wrong)
{
	uint64_t i, head = procs_head();
	unsigned int nr = 0;

	*wrong = 0;
	for (i = from; i < head; i++) {
		struct mp3_record record = record_at(i);
		bool last = record.flags & MP3_LAST;

		*wrong += last && record.rss_bytes;
		nr += last && !strcmp(record.comm, "cc1");
	}
	return nr;
}

int main(void)
{
	unsigned int compilers, wrong;
	struct expected_counts counts;
	int status, fd, programs;
	struct rusage usage;
	pid_t pid;

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	write_file(PID_MAX_PATH, "4194304");
	setenv("PATH", "/usr/bin:/bin", 1);
	open_rings();
	usage_log_create();
	fd = open("/tmp/Makefile", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, makefile, strlen(makefile)) < 0)
		err(1, "/tmp/Makefile");
	close(fd);

	expected_begin(&counts);
	fflush(stdout);
	pid = fork_child();
	if (!pid)
		run_make();
	if (wait4(pid, &status, 0, &usage) != pid)
		err(1, "wait4");
	log_usage(USAGE_WAITED, pid, getpid(), usage_of(&usage), false);
	/* Wait for orphans that make left, if any. */
	while (wait_and_log(-1, 0))
		;
	wait_idle(&ring);
	expected_finish(&counts);

	programs = count_files(SOURCES "/out");
	ok(status == 0 && programs > 10 &&
	   programs == count_files(SOURCES "/*.c"),
	   "make -j4 builds every program");
	/* The usage log has only make, which includes all that it waited for. */
	if (!ok(totals_match(&counts) && counts.total.min_flt > 10000,
		"samples and records match wait4 for a whole build"))
		diag("%ld minor faults", counts.total.min_flt);
	compilers = count_compilers(counts.first_record, &wrong);
	if (!ok((int)compilers == programs && !wrong,
		"each compiler of a build has a last record with its name"))
		diag("%u compilers, %u wrong", compilers, wrong);
	diag("%d programs, %ld faults, %lu samples, %lu records", programs,
	     counts.total.min_flt,
	     (unsigned long)(ring_head(&ring) - counts.first_sample),
	     (unsigned long)(procs_head() - counts.first_record));
	expected_free(&counts);

	return done();
}
