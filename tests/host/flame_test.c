// SPDX-License-Identifier: GPL-2.0
/*
 * The flame graph of mp3ctl where: collapsed stacks and the picture, from stacks
 * that are made up. xmllint decides whether the picture is well-formed.
 */
#include "../../tools/flame.c"
#include "../../tools/json.c"
#include "../../tools/where_kind.c"
#include "../guest/test.h"

#define BOXES 64

/**
 * struct box - a box of the picture, as its attributes describe it
 * @x:	   where it starts, in faults or nanoseconds
 * @w:	   how wide it is
 * @depth: row, from 0
 * @left:  where its rectangle starts, in pixels
 * @width: how wide its rectangle is
 * @label: text in it, with XML entities
 */
struct box {
	unsigned long long x;
	unsigned long long w;
	unsigned int depth;
	double left;
	double width;
	char label[256];
};

static void add(struct flame *flame, enum fault_kind kind, __u64 faults,
		__u64 major, __u64 stall_ns, const char *stack)
{
	struct flame_count count = { faults, major, stall_ns };
	char text[256], *rest = text;
	const char *names[16];
	size_t depth = 0;

	snprintf(text, sizeof(text), "%s", stack);
	while (rest)
		names[depth++] = strsep(&rest, "|");
	flame_add(flame, names, depth, kind, &count);
}

/* The sample whose output the tests below have computed by hand. */
static struct flame *sample(void)
{
	struct flame *flame = flame_new();

	add(flame, KIND_PAGE_CACHE, 30, 0, 300, "sort|main|compare|/lib/libc.so.6");
	add(flame, KIND_FIRST_TOUCH, 500, 0, 2000, "sort|main|read_line|[heap]");
	add(flame, KIND_DISK, 20, 20, 9000, "sort|main|compare|/lib/libc.so.6");
	add(flame, KIND_FIRST_TOUCH, 100, 0, 700, "sort|main|read_line|[anon]");
	add(flame, KIND_FIRST_TOUCH, 50, 0, 0, "sh|main|[heap]");
	add(flame, KIND_FIRST_TOUCH, 100, 0, 300, "sort|main|read_line|[heap]");

	return flame;
}

/* Returns what a function prints, to be freed. */
static char *printed(struct flame *flame, enum flame_by by, const char *title)
{
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		err(1, "memory");
	if (title)
		flame_print_svg(flame, by, title, file);
	else
		flame_print_collapsed(flame, by, file);
	fclose(file);

	return text;
}

static bool collapses(struct flame *flame, enum flame_by by, const char *expected)
{
	char *text = printed(flame, by, NULL);
	bool same = !strcmp(text, expected);

	if (!same)
		diag("got %s", text);
	free(text);

	return same;
}

static void test_collapsed(void)
{
	struct flame *flame = sample();

	ok(collapses(flame, FLAME_BY_FAULTS,
		     "sort;main;read_line;[heap] 600\n"
		     "sort;main;read_line;[anon] 100\n"
		     "sort;main;compare;[/lib/libc.so.6] 50\n"
		     "sh;main;[heap] 50\n"),
	   "collapsed stacks have the faults of all kinds, the most first");
	ok(collapses(flame, FLAME_BY_STALL,
		     "sort;main;compare;[/lib/libc.so.6] 9300\n"
		     "sort;main;read_line;[heap] 2300\n"
		     "sort;main;read_line;[anon] 700\n"),
	   "collapsed stacks by stalled time omit those without any");
	flame_free(flame);

	flame = flame_new();
	add(flame, KIND_COPY, 1, 0, 0, "a;b c|\n\xff|/x;y");
	ok(collapses(flame, FLAME_BY_FAULTS, "a\\x3bb c;\\x0a\\xff;[/x\\x3by] 1\n"),
	   "a name cannot add an element or a line to collapsed stacks");
	flame_free(flame);
}

/* Reads the boxes of a picture. Returns how many there are. */
static size_t read_boxes(const char *svg, struct box *boxes)
{
	const char *at = svg;
	size_t nr = 0;

	while ((at = strstr(at, "<g class=\"box\""))) {
		struct box *box = &boxes[nr++];
		const char *rect = strstr(at, "<rect"), *text = strstr(at, "<text");

		if (nr > BOXES || !rect || !text ||
		    sscanf(at, "<g class=\"box\" data-x=\"%llu\" data-w=\"%llu\" data-d=\"%u\"",
			   &box->x, &box->w, &box->depth) != 3 ||
		    sscanf(rect, "<rect x=\"%lf\" y=\"%*d\" width=\"%lf\"",
			   &box->left, &box->width) != 2)
			errx(1, "box %zu is malformed: %.80s", nr, at);
		text = strchr(text, '>') + 1;
		snprintf(box->label, sizeof(box->label), "%.*s",
			 (int)strcspn(text, "<"), text);
		at++;
	}

	return nr;
}

/* Returns whether the boxes on each box fill it, up to what the leaves take. */
static bool widths_add_up(const struct box *boxes, size_t nr)
{
	size_t i, j;

	for (i = 0; i < nr; i++) {
		unsigned long long sum = 0, end = boxes[i].x;

		for (j = i + 1; j < nr && boxes[j].depth > boxes[i].depth; j++) {
			if (boxes[j].depth != boxes[i].depth + 1)
				continue;
			if (boxes[j].x != end)
				return false;
			sum += boxes[j].w;
			end = boxes[j].x + boxes[j].w;
		}
		if (sum && sum != boxes[i].w)
			return false;
		/* 1176 pixels are the whole. */
		if (boxes[i].width < 1176.0 * boxes[i].w / boxes[0].w - 0.01 ||
		    boxes[i].width > 1176.0 * boxes[i].w / boxes[0].w + 0.01)
			return false;
	}

	return nr > 1;
}

static bool is_well_formed(const char *svg)
{
	FILE *pipe = popen("xmllint --noout --nonet -", "w");

	if (!pipe)
		err(1, "xmllint");
	fputs(svg, pipe);

	return !pclose(pipe);
}

/* Returns the box with a label, or NULL. */
static const struct box *find(const struct box *boxes, size_t nr, const char *label)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!strcmp(boxes[i].label, label))
			return &boxes[i];
	return NULL;
}

/* Returns whether a box has this text for the mouse. */
static bool has_title(const char *svg, const char *name, const char *counts)
{
	char title[256];

	snprintf(title, sizeof(title), "<title>%s: %s</title>", name, counts);
	return strstr(svg, title);
}

static void test_picture(void)
{
	struct flame *flame = sample();
	struct box boxes[BOXES];
	char *svg = printed(flame, FLAME_BY_FAULTS, "sort");
	size_t nr = read_boxes(svg, boxes);
	const struct box *heap;

	ok(is_well_formed(svg), "the picture is well-formed XML");
	ok(nr == 12 && boxes[0].w == 800 && widths_add_up(boxes, nr),
	   "the boxes on a box are together as wide as it, in faults and pixels");
	heap = find(boxes, nr, "[heap]");
	ok(heap && heap->w == 600 && heap->depth == 4 && heap->x == 0,
	   "the widest stack comes first, with the mapping on top");
	ok(has_title(svg, "[heap] (first touch of anonymous memory)",
		     "600 faults (75.0 %), 0 major, 2.3 us stalled (18.7 %)") &&
	   has_title(svg, "/lib/libc.so.6 (file read from disk)",
		     "20 faults (2.5 %), 20 major, 9.0 us stalled (73.2 %)") &&
	   has_title(svg, "sort",
		     "750 faults (93.8 %), 20 major, 12.3 us stalled (100.0 %)"),
	   "each box has its faults, major faults and stalled time");
	ok(strstr(svg, "first touch of anonymous memory 94 %") &&
	   strstr(svg, "file mapped from the page cache 4 %") &&
	   strstr(svg, "file read from disk 2 %") && !strstr(svg, "swap-in"),
	   "the legend has the kinds that occur, and their share");
	ok(!strstr(svg, "href") && !strstr(svg, "src=") && !strstr(svg, "@import") &&
	   !strstr(svg, "url("), "the picture refers to no other file");
	free(svg);

	svg = printed(flame, FLAME_BY_STALL, "sort");
	nr = read_boxes(svg, boxes);
	ok(boxes[0].w == 12300 && widths_add_up(boxes, nr) && !find(boxes, nr, "sh") &&
	   find(boxes, nr, "libc.so.6")->w == 9000,
	   "by stalled time, the widths are nanoseconds");
	free(svg);
	flame_free(flame);
}

static void test_names(void)
{
	struct flame *flame = flame_new();
	struct box boxes[BOXES];
	char *svg;
	size_t nr;

	add(flame, KIND_COPY, 1, 0, 0,
	    "<&\"'>|]]></script><script>|\x1b\xff\n|/tmp/a<b/c&d");
	svg = printed(flame, FLAME_BY_FAULTS, "<&\"'>]]>");
	nr = read_boxes(svg, boxes);
	ok(is_well_formed(svg) && nr == 5 &&
	   !strcmp(boxes[1].label, "&lt;&amp;&quot;'&gt;") &&
	   !strcmp(boxes[2].label, "]]&gt;&lt;/script&gt;&lt;script&gt;") &&
	   !strcmp(boxes[3].label, "\\x1b\\xff\\x0a") &&
	   !strcmp(boxes[4].label, "c&amp;d") &&
	   strstr(svg, "<title>/tmp/a&lt;b/c&amp;d (copy on write): "),
	   "a name is text in the picture, whatever its bytes are");
	free(svg);
	flame_free(flame);
}

static void test_empty(void)
{
	struct flame *flame = flame_new();
	char *svg = printed(flame, FLAME_BY_FAULTS, "nothing");

	ok(is_well_formed(svg) && strstr(svg, ">no faults<") &&
	   collapses(flame, FLAME_BY_FAULTS, ""),
	   "without faults, the picture contains a note and no stack is printed");
	free(svg);
	add(flame, KIND_FIRST_TOUCH, 5, 0, 0, "a|[heap]");
	svg = printed(flame, FLAME_BY_STALL, "unknown");
	ok(is_well_formed(svg) && strstr(svg, ">no stalled time<"),
	   "without stalled time, a picture by stalled time contains a note");
	free(svg);
	flame_free(flame);
}

/* Many siblings, and a box that is too narrow to be seen. */
static void test_large(void)
{
	struct flame *flame = flame_new();
	char stack[64], *svg, *text;
	size_t lines = 0;
	int i;

	for (i = 0; i < 30000; i++) {
		snprintf(stack, sizeof(stack), "a|f%d|[anon]", i % 1000);
		add(flame, KIND_FIRST_TOUCH, i % 1000 ? 1 : 1000000, 0, 0, stack);
	}
	text = printed(flame, FLAME_BY_FAULTS, NULL);
	for (i = 0; text[i]; i++)
		lines += text[i] == '\n';
	svg = printed(flame, FLAME_BY_FAULTS, "many");
	ok(lines == 1000 && strstr(text, "a;f999;[anon] 30\n") &&
	   strstr(svg, ">f0<") && !strstr(svg, "f999") && strstr(svg, "30,029,970 faults"),
	   "boxes that are too narrow to be seen are left out, their faults are not");
	free(text);
	free(svg);
	flame_free(flame);
}

/* Instructions of code without names are as many siblings. */
static void test_siblings(void)
{
	struct flame *flame = flame_new();
	clock_t start = clock();
	char stack[64];
	int i;

	for (i = 0; i < 50000; i++) {
		snprintf(stack, sizeof(stack), "a|%#x|[anon]", i);
		add(flame, KIND_FIRST_TOUCH, 1, 0, 0, stack);
	}
	ok(clock() - start < 10 * CLOCKS_PER_SEC,
	   "the time for a stack does not grow with the number of its siblings");
	flame_free(flame);
}

int main(void)
{
	test_collapsed();
	test_picture();
	test_names();
	test_empty();
	test_large();
	test_siblings();

	return done();
}
