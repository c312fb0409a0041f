// SPDX-License-Identifier: GPL-2.0
/*
 * The child process in which mp3ctl looks up functions: what a look-up that takes all
 * memory, never ends, or crashes costs, and Ctrl-C during one.
 */
#include "../../tools/lookup.c"
#include "../../tools/name.c"
#include "../../tools/util.c"
#include "../guest/test.h"

#define LARGE	(8ULL << 30)

/* What a look-up does, in place of an offset */
enum {
	FIND,
	FIND_NOTHING,
	FIND_LONG_NAME,
	CRASH,
	EXIT,
	LOOP,
	WAIT,
	TAKE_MEMORY,
	LOSE,
};

bool symbols_supported(void)
{
	return true;
}

/* Runs in the child. */
bool symbols_find(const struct mp3_file *file, __u64 offset,
		  struct symbol *symbol)
{
	char name[2 * sizeof(((struct reply *)NULL)->function)] = {};
	void *memory;

	*symbol = (struct symbol){};
	switch (offset) {
	case FIND:
		symbol->function = text_format("%s", file->path);
		symbol->source = text_format("source.c");
		symbol->line = 7;
		break;
	case FIND_LONG_NAME:
		memset(name, 'x', sizeof(name) - 1);
		symbol->function = text_format("%s", name);
		break;
	case CRASH:
		raise(SIGSEGV);
		break;
	case EXIT:
		errx(1, "the child exits");
	case LOOP:
		for (;;)
			__asm__ volatile("");
	case WAIT:
		pause();
		break;
	case TAKE_MEMORY:
		/* Without a limit, it is not used. */
		memory = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		symbol->function = text_format(memory == MAP_FAILED ?
					       "limited" : "unlimited");
		break;
	case LOSE:
		return false;
	}

	return true;
}

static struct mp3_file files[] = {
	{ .number = 1, .path = "/one" },
	{ .number = 2, .path = "/two" },
	{ .number = 3, .path = "/three" },
	{ .number = 4, .path = "/four" },
	{ .number = 5, .path = "/five" },
	{ .number = MP3_FILES, .path = "/last" },
};

/* Returns whether a look-up finds the function @want or, if that is NULL, nothing. */
static bool finds(const struct mp3_file *file, __u64 offset, const char *want)
{
	struct symbol symbol;
	bool same;

	lookup_symbol(file, offset, &symbol);
	same = want ? symbol.function && !strcmp(symbol.function, want) :
		      !symbol.function && !symbol.source && !symbol.line;
	if (!same)
		diag("got %s", symbol.function ? symbol.function : "nothing");
	free(symbol.function);
	free(symbol.source);

	return same;
}

static void test_names(void)
{
	struct symbol symbol;
	pid_t first;

	lookup_symbol(&files[0], FIND, &symbol);
	first = child;
	ok(symbol.function && !strcmp(symbol.function, "/one") &&
	   symbol.source && !strcmp(symbol.source, "source.c") &&
	   symbol.line == 7, "a look-up returns function, source and line");
	free(symbol.function);
	free(symbol.source);
	ok(finds(&files[0], FIND_NOTHING, NULL), "a look-up can find nothing");
	ok(finds(&files[5], FIND, "/last"),
	   "functions of the last file of the table are found");

	lookup_symbol(&files[0], FIND_LONG_NAME, &symbol);
	ok(symbol.function && strlen(symbol.function) == 16383,
	   "a name that is too long is cut");
	free(symbol.function);
	ok(finds(&files[0], TAKE_MEMORY, "limited"),
	   "the memory of a look-up is limited");
	ok(child == first, "one child looks up the functions of all files");
}

/* Tests a look-up that has no reply. */
static void test_failure(struct mp3_file *file, __u64 what, const char *name)
{
	ok(finds(file, what, NULL), "a look-up that %s finds nothing", name);
	ok(finds(file, FIND, NULL),
	   "after a look-up that %s, nothing of its file is looked up", name);
	ok(finds(&files[0], FIND, "/one"),
	   "after a look-up that %s, functions of other files are found", name);
}

static void test_failures(void)
{
	struct rlimit limit = { 1, 1 };
	__u64 start_ns;

	test_failure(&files[1], CRASH, "crashes");
	test_failure(&files[2], EXIT, "exits");
	test_failure(&files[3], LOSE, "cannot open its file");

	/* The child has the hard limit of its parent, which does not use it up. */
	setrlimit(RLIMIT_CPU, &limit);
	end_child();
	start_ns = clock_ns(CLOCK_MONOTONIC);
	test_failure(&files[4], LOOP, "never ends");
	ok(clock_ns(CLOCK_MONOTONIC) - start_ns < 60 * NSEC_PER_SEC,
	   "a look-up that never ends is ended");
}

static void test_signal(void)
{
	__u64 start_ns = clock_ns(CLOCK_MONOTONIC);
	pid_t sender, waiting;
	sigset_t pending, mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	lookup_symbol(&files[0], FIND, &(struct symbol){});
	waiting = child;
	sender = fork();
	if (!sender) {
		usleep(200000);
		kill(getppid(), SIGINT);
		_exit(0);
	}
	ok(finds(&files[0], WAIT, NULL), "Ctrl-C ends a look-up");
	ok(clock_ns(CLOCK_MONOTONIC) - start_ns < 10 * NSEC_PER_SEC,
	   "Ctrl-C ends a look-up at once");
	waitpid(sender, NULL, 0);
	waitpid(waiting, NULL, 0);
	ok(kill(waiting, 0) && !child, "Ctrl-C ends the child that looks up");
	ok(finds(&files[5], FIND, NULL) && !child,
	   "after Ctrl-C, nothing is looked up");
	sigpending(&pending);
	ok(sigismember(&pending, SIGINT),
	   "Ctrl-C during a look-up stays pending for others");
}

int main(void)
{
	char text[16];
	FILE *stream;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		err(1, "pipe");
	stream = fdopen(fds[1], "w");
	if (!stream)
		err(1, "pipe");
	fputs("buffered", stream);
	test_names();
	test_failures();
	ok(read(fds[0], text, sizeof(text)) < 0,
	   "a child that exits writes nothing that its parent has buffered");
	fclose(stream);
	test_signal();

	return done();
}
