// SPDX-License-Identifier: GPL-2.0
/*
 * A whole build, followed: make -j4 of this project's own programs, by the
 * compiler that is in the guest, against wait4(2). compile.files says what that
 * takes.
 *
 * vm: -m 2048
 */
#include "tree.h"

#define SOURCES	"/src/tests/guest"

/* Any C file there is a program; the rules are make's own. */
static const char makefile[] =
	"CFLAGS = -std=gnu11 -D_GNU_SOURCE -pthread\n"
	"programs := $(patsubst %.c,out/%,$(wildcard *.c))\n"
	"all: $(programs)\n"
	"	@echo $(words $(programs)) programs\n"
	"out/%: %.c\n"
	"	@mkdir -p out && $(CC) $(CFLAGS) -o $@ $<\n";

static void build(void)
{
	if (chdir(SOURCES))
		err(1, SOURCES);
	command_self('F');
	execlp("make", "make", "-s", "-j4", "-f", "/tmp/Makefile", "CC=gcc",
	       NULL);
	err(127, "make");
}

/* A build of each source is a program. */
static int count_programs(const char *path)
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

/* Each process's last record is of one that has no memory any more. */
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
	struct account account;
	int status, fd, programs;
	struct rusage usage;
	pid_t pid;

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	write_file(PID_MAX_PATH, "4194304");
	setenv("PATH", "/usr/bin:/bin", 1);
	open_rings();
	table_make();
	fd = open("/tmp/Makefile", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, makefile, strlen(makefile)) < 0)
		err(1, "/tmp/Makefile");
	close(fd);

	account_open(&account);
	fflush(stdout);
	pid = fork_child();
	if (!pid)
		build();
	if (wait4(pid, &status, 0, &usage) != pid)
		err(1, "wait4");
	note(BY_WAITER, pid, getpid(), &usage, false);
	/* Whom make has left, if anyone. */
	while (wait_noted(-1, 0))
		;
	wait_idle(&ring);
	account_close(&account);

	programs = count_programs(SOURCES "/out");
	ok(status == 0 && programs > 10 &&
	   programs == count_programs(SOURCES "/*.c"),
	   "make -j4 makes each program");
	/* The table knows of make alone, with all that it has waited for. */
	if (!ok(sums_agree(&account) && account.due.min_flt > 10000,
		"wait4, samples and records agree: a whole build"))
		diag("%ld minor faults", account.due.min_flt);
	compilers = count_compilers(account.from_record, &wrong);
	if (!ok((int)compilers == programs && !wrong,
		"each compiler that ran has its last record, by its name"))
		diag("%u compilers, %u wrong", compilers, wrong);
	diag("%d programs, %ld faults, %lu samples, %lu records", programs,
	     account.due.min_flt,
	     (unsigned long)(ring_head(&ring) - account.from_sample),
	     (unsigned long)(procs_head() - account.from_record));
	account_free(&account);

	return done();
}
