// SPDX-License-Identifier: GPL-2.0
/*
 * The command parser of mp3.c in user space, against a second parser that predicts
 * what each write does. Any difference aborts.
 *
 * The first line of an input defines the environment of the write, the rest is its
 * text. In the first line, a letter and, except after the first six, a number set a
 * field of struct environment:
 *
 *	a	absent		c	capture		w	waits
 *	n	no_follow	p	privileged	o	out_of_memory
 *	f70	fault		k2	killed		m2	removed
 *	x2	changed
 *
 * For example:
 *
 *	c f70 k2
 *	R,106
 *	L,16,8
 */
#include "kernel.h"
#include "libfuzzer.h"

/* Made by extract: the parser. */
#include "parser.h"

/* ---- The prediction, by the grammar in mp3_uapi.h ---- */

/* Longest line, without the newline or the NUL that ends it */
#define MAX_LINE 62

/* The parser reads the text in pieces of this size, from the start of a line on. */
#define PIECE 63

/**
 * struct words - what is left of a line
 * @at:	 the next byte
 * @end: after the last one
 */
struct words {
	const char *at;
	const char *end;
};

static bool is_next(const struct words *words, char first, char last)
{
	return words->at < words->end && *words->at >= first &&
	       *words->at <= last;
}

/* Skips blanks. Returns how many there were. */
static size_t skip_blanks(struct words *words)
{
	const char *start = words->at;

	while (is_next(words, ' ', ' ') || is_next(words, '\t', '\t'))
		words->at++;

	return (size_t)(words->at - start);
}

/* Skips one comma. Returns whether there was one. */
static bool skip_comma(struct words *words)
{
	bool comma = is_next(words, ',', ',');

	words->at += comma;

	return comma;
}

/* Takes a number of digits. Returns it, or -1 if there is none up to @max. */
static long long take_number(struct words *words, long long max)
{
	long long number = 0;

	if (!is_next(words, '0', '9'))
		return -1;
	for (; is_next(words, '0', '9'); words->at++)
		if (number <= max)
			number = number * 10 + (*words->at - '0');

	return number <= max ? number : -1;
}

/*
 * Predicts what interrupts R, F or U before it is executed, in line number @line: a
 * lack of memory, the removal of the module, a fatal signal, or a lost permission.
 */
static int predict_turns(char letter, int pid, size_t line)
{
	bool turns = letter != 'F' && turns_of(pid);
	bool large = letter != 'F' && PID_LARGE(pid) && !environment.privileged;

	if (letter != 'F' && !turns && !large)
		return 0;
	if (environment.out_of_memory)
		return -ENOMEM;
	if (environment.waits && environment.killed <= line + 1)
		return -EINTR;
	if (environment.removed <= line + 1)
		return -EIO;
	if (letter != 'F' && environment.killed <= line + 1)
		return -EINTR;

	return turns && PID_LEAVES(pid) ? -EPERM : 0;
}

/* Predicts R, F or U, with the process id in @words. */
static int predict_process(struct outcome *expected, char letter,
			   struct words words, size_t line)
{
	long long number = take_number(&words, 0x7fffffff);
	int pid = (int)number, err;

	if (number < 1 || words.at != words.end)
		return -EINVAL;
	if (letter == 'F' && environment.no_follow && !environment.privileged)
		return -EPERM;
	if (PID_NONE(pid))
		return -ESRCH;
	if (PID_KTHREAD(pid))
		return -EINVAL;
	err = permission(pid);
	if (!err)
		err = predict_turns(letter, pid, line);
	if (err)
		return err;
	expected->calls[expected->nr++] = (struct call){
		.letter = letter,
		.pid = pid,
	};

	return execution(pid);
}

/* Predicts L, with its numbers in @words. */
static int predict_location(struct outcome *expected, struct words words)
{
	long long n = take_number(&words, 65536), callers = 0, power = 1;

	if (words.at != words.end) {
		if (!skip_comma(&words) && !skip_blanks(&words))
			return -EINVAL;
		callers = take_number(&words, 8);
	}
	while (power < n)
		power *= 2;
	if ((n != 0 && n != power) || callers < 0 || words.at != words.end)
		return -EINVAL;
	expected->calls[expected->nr++] = (struct call){
		.letter = 'L',
		.n = (unsigned int)n,
		.callers = (unsigned int)callers,
	};

	return location((unsigned int)n);
}

/* Predicts line number @nr, which is not empty. Returns 0 or an errno. */
static int predict_line(struct outcome *expected, const char *line, size_t length,
			size_t nr)
{
	struct words words = { line + 1, line + length };

	if (length > MAX_LINE)
		return -EINVAL;
	if (!skip_comma(&words) && !skip_blanks(&words))
		return -EINVAL;
	switch (line[0]) {
	case 'R':
	case 'F':
	case 'U':
		return predict_process(expected, line[0], words, nr);
	case 'L':
		if (environment.capture)
			return predict_location(expected, words);
		break;
	}

	return -EINVAL;
}

/* Returns the length of the line at the start of a text. */
static size_t line_length(const char *text, size_t size)
{
	size_t length;

	for (length = 0; length < size; length++)
		if (text[length] == '\n' || text[length] == '\0')
			break;

	return length;
}

/* Predicts what a write of @text does. */
static void predict(struct outcome *expected, const char *text, size_t size)
{
	size_t nr_lines, at = 0, length, piece;
	bool executed = false;
	int err = 0;

	expected->nr = 0;
	if (size > PAGE_SIZE) {
		expected->result = -EINVAL;
		return;
	}
	for (nr_lines = 0; at < size && !err; nr_lines++) {
		length = line_length(text + at, size - at);
		piece = size - at < PIECE ? size - at : PIECE;
		if (nr_lines >= environment.killed)
			err = -EINTR;
		else if (nr_lines >= environment.removed)
			err = -EIO;
		else if (nr_lines + 1 >= environment.removed &&
			 (environment.absent || at + piece > environment.fault))
			err = -EIO;
		else if (at + piece > environment.fault)
			err = -EFAULT;
		else if (nr_lines >= environment.changed)
			err = -EINVAL;
		else if (length)
			err = predict_line(expected, text + at, length, nr_lines);
		if (err)
			break;
		executed = executed || length;
		at += length + 1;
	}
	if (at > size)
		at = size;
	if (executed || !size)
		expected->result = (ssize_t)at;
	else
		expected->result = err ? err : -EINVAL;
}

/* ---- The comparison ---- */

static void print_outcome(const char *what, const struct outcome *printed)
{
	size_t i;

	fprintf(stderr, "%s: returns %zd after", what, printed->result);
	for (i = 0; i < printed->nr; i++) {
		const struct call *call = &printed->calls[i];

		if (call->letter == 'L')
			fprintf(stderr, " L,%u,%u", call->n, call->callers);
		else
			fprintf(stderr, " %c,%d", call->letter, call->pid);
	}
	fprintf(stderr, "%s\n", printed->nr ? "" : " no call");
}

static bool is_same_call(const struct call *a, const struct call *b)
{
	return a->letter == b->letter && a->pid == b->pid && a->n == b->n &&
	       a->callers == b->callers;
}

static bool is_same(const struct outcome *a, const struct outcome *b)
{
	size_t i;

	for (i = 0; i < a->nr && i < b->nr; i++)
		if (!is_same_call(&a->calls[i], &b->calls[i]))
			return false;

	return a->result == b->result && a->nr == b->nr;
}

/* Takes the number after a letter of the first line. */
static size_t take_offset(struct words *words)
{
	long long number = take_number(words, 10000);

	return number < 0 ? SIZE_MAX : (size_t)number;
}

/* Fills the environment from the first line of an input. */
static void set_environment(const char *line, size_t length)
{
	struct words words = { line, line + length };

	environment = (struct environment){
		.fault = SIZE_MAX,
		.killed = SIZE_MAX,
		.changed = SIZE_MAX,
		.removed = SIZE_MAX,
	};
	while (words.at < words.end) {
		switch (*words.at++) {
		case 'a':
			environment.absent = true;
			break;
		case 'c':
			environment.capture = true;
			break;
		case 'w':
			environment.waits = true;
			break;
		case 'o':
			environment.out_of_memory = true;
			break;
		case 'n':
			environment.no_follow = true;
			break;
		case 'p':
			environment.privileged = true;
			break;
		case 'f':
			environment.fault = take_offset(&words);
			break;
		case 'k':
			environment.killed = take_offset(&words);
			break;
		case 'm':
			environment.removed = take_offset(&words);
			break;
		case 'x':
			environment.changed = take_offset(&words);
			break;
		}
	}
}

/* Compares the outcome of one input with its prediction. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *input = (const char *)data, *newline;
	static struct outcome expected;
	size_t first;
	char *copy;

	newline = size ? memchr(input, '\n', size) : NULL;
	first = newline ? (size_t)(newline - input) : size;
	set_environment(input, first);
	if (newline)
		first++;

	/* Of the exact size, so that access beyond it is detected. */
	written_size = size - first;
	copy = malloc(written_size);
	require(copy || !written_size);
	if (written_size)
		memcpy(copy, input + first, written_size);
	written = copy;
	nr_read = 0;
	nr_begun = 0;
	nr_held = 0;
	outcome.nr = 0;
	outcome.result = mp3_write_commands(&written_file, environment.capture ?
					    &written_capture : NULL, written,
					    written_size);
	predict(&expected, written, written_size);
	if (!is_same(&outcome, &expected)) {
		print_outcome("parser", &outcome);
		print_outcome("grammar", &expected);
		abort();
	}
	require(!nr_held && !pinned && !faults_disabled);
	free(copy);

	return 0;
}
