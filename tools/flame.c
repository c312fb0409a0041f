// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "flame.h"
#include "flame_script.h"
#include "json.h"
#include "util.h"

/* Sizes in the picture, in pixels. CHAR is the width of a character of a label. */
#define WIDTH	1200
#define MARGIN	12
#define ROW	19
#define LEGEND	54
#define FOOT	34
#define CHAR	7.25
/* Narrower boxes are left out: they cannot be seen, and zooming would not help. */
#define NARROWEST 0.02

/*
 * The palette of Okabe and Ito, as in analysis/style.gp, and a tint of each color.
 * Major faults have warm colors.
 */
static const struct {
	const char *color;
	const char *tint;
} colors[NR_KINDS] = {
	[KIND_FIRST_TOUCH] = { "#56B4E9", "#CBE7F8" },
	[KIND_SWAP_IN] = { "#D55E00", "#F3CDB0" },
	[KIND_PAGE_CACHE] = { "#2FB58E", "#BCE7DA" },
	[KIND_DISK] = { "#F0A30A", "#FBE1AE" },
	[KIND_COPY] = { "#CC79A7", "#EFD5E3" },
	[KIND_CLEAN] = { "#E5DA3C", "#F7F3BC" },
	[KIND_HINT] = { "#B09C7D", "#E3DBCE" },
	[KIND_UNKNOWN] = { "#A9A9A9", "#DDDDDD" },
};

/**
 * struct node - a box: a stack, from the root to here
 * @name:   its last element
 * @kind:   of the faults of a leaf, the mapping; NR_KINDS of other nodes
 * @count:  the faults of the leaves above it
 * @kinds:  the same by kind
 * @child:  its first child
 * @next:   its next sibling
 * @nr:     number of children
 * @index:  of its children, for tsearch(3)
 */
struct node {
	char *name;
	enum fault_kind kind;
	struct flame_count count;
	struct flame_count kinds[NR_KINDS];
	struct node *child;
	struct node *next;
	size_t nr;
	void *index;
};

/**
 * struct flame - a tree of stacks
 * @root:  has the name "all"
 * @depth: length of the longest stack
 */
struct flame {
	struct node root;
	size_t depth;
};

static void *allocate(size_t nr, size_t size)
{
	void *memory = calloc(nr, size);

	if (!memory)
		err(1, "flame graph");

	return memory;
}

/* Returns an empty tree. Exits if there is no memory, as the functions below do. */
struct flame *flame_new(void)
{
	struct flame *flame = allocate(1, sizeof(*flame));

	flame->root.kind = NR_KINDS;
	flame->root.name = strdup("all");
	if (!flame->root.name)
		err(1, "flame graph");

	return flame;
}

/* Frees nothing: an index refers to nodes that are freed with their list. */
static void keep_node(void *node)
{
	(void)node;
}

static void free_nodes(struct node *node)
{
	while (node) {
		struct node *next = node->next;

		free_nodes(node->child);
		tdestroy(node->index, keep_node);
		free(node->name);
		free(node);
		node = next;
	}
}

void flame_free(struct flame *flame)
{
	free_nodes(flame->root.child);
	tdestroy(flame->root.index, keep_node);
	free(flame->root.name);
	free(flame);
}

/* By name and kind */
static int compare_nodes(const void *a, const void *b)
{
	const struct node *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (int)x->kind - (int)y->kind;
}

/* Finds a child, or adds it. */
static struct node *get_child(struct node *parent, const char *name,
			      enum fault_kind kind)
{
	const struct node key = { .name = (char *)name, .kind = kind };
	struct node **found = tfind(&key, &parent->index, compare_nodes), *node;

	if (found)
		return *found;
	node = allocate(1, sizeof(*node));
	node->kind = kind;
	node->name = strdup(name);
	if (!node->name || !tsearch(node, &parent->index, compare_nodes))
		err(1, "flame graph");
	node->next = parent->child;
	parent->child = node;
	parent->nr++;

	return node;
}

static void add_count(struct flame_count *sum, const struct flame_count *count)
{
	sum->faults += count->faults;
	sum->major += count->major;
	sum->stall_ns += count->stall_ns;
}

/**
 * flame_add() - add faults that have the same stack
 * @flame: the tree
 * @stack: names, outermost first: the process, functions, the mapping
 * @depth: how many, at least one
 * @kind:  kind of the faults
 * @count: the faults
 */
void flame_add(struct flame *flame, const char *const *stack, size_t depth,
	       enum fault_kind kind, const struct flame_count *count)
{
	struct node *node = &flame->root;
	size_t i;

	add_count(&node->count, count);
	add_count(&node->kinds[kind], count);
	for (i = 0; i < depth; i++) {
		node = get_child(node, stack[i],
				 i == depth - 1 ? kind : NR_KINDS);
		add_count(&node->count, count);
		add_count(&node->kinds[kind], count);
	}
	if (flame->depth < depth)
		flame->depth = depth;
}

static __u64 value(const struct flame_count *count, enum flame_by by)
{
	return by == FLAME_BY_STALL ? count->stall_ns : count->faults;
}

/* Of two nodes, the one with more comes first; otherwise by name and kind. */
static int compare(const void *a, const void *b, void *by)
{
	const struct node *x = *(const struct node *const *)a;
	const struct node *y = *(const struct node *const *)b;
	__u64 x_value = value(&x->count, *(enum flame_by *)by);
	__u64 y_value = value(&y->count, *(enum flame_by *)by);

	if (x_value != y_value)
		return x_value < y_value ? 1 : -1;

	return compare_nodes(x, y);
}

static void sort_children(struct node *parent, enum flame_by by)
{
	struct node **sorted = allocate(parent->nr + 1, sizeof(*sorted));
	struct node *node;
	size_t i, nr = 0;

	for (node = parent->child; node; node = node->next)
		sorted[nr++] = node;
	qsort_r(sorted, nr, sizeof(*sorted), compare, &by);
	/* The last element is NULL. */
	for (i = 0; i < nr; i++)
		sorted[i]->next = sorted[i + 1];
	parent->child = sorted[0];
	free(sorted);
}

/* Prints a name as one element of a collapsed stack. */
static void print_element(FILE *file, const char *name)
{
	for (; *name; name++) {
		unsigned char byte = (unsigned char)*name;

		if (byte < ' ' || byte > '~' || byte == ';')
			fprintf(file, "\\x%02x", byte);
		else
			putc(byte, file);
	}
}

/**
 * struct leaves - what is done with the leaves of a tree
 * @by:	   the order of siblings, and the value of a leaf
 * @visit: called with a stack, whose last node is a leaf, and its value
 * @data:  passed to @visit
 */
struct leaves {
	enum flame_by by;
	void (*visit)(void *data, const struct node **stack, size_t depth,
		      __u64 sum);
	void *data;
};

/* Returns whether two nodes are leaves of one name: of different kinds. */
static bool same_leaf(const struct node *a, const struct node *b)
{
	return a->kind != NR_KINDS && b->kind != NR_KINDS &&
	       !strcmp(a->name, b->name);
}

/* Visits the leaves above a node. @path is the stack, with @depth elements. */
static void visit_leaves(struct node *parent, const struct node **path,
			 size_t depth, const struct leaves *leaves)
{
	struct node *node, *other;

	sort_children(parent, leaves->by);
	for (node = parent->child; node; node = node->next) {
		__u64 sum = value(&node->count, leaves->by);

		path[depth] = node;
		if (node->kind == NR_KINDS) {
			visit_leaves(node, path, depth + 1, leaves);
			continue;
		}
		/* One visit for all kinds, where the first of them comes. */
		for (other = parent->child; other != node; other = other->next)
			if (same_leaf(other, node))
				break;
		if (other != node)
			continue;
		for (other = node->next; other; other = other->next)
			if (same_leaf(other, node))
				sum += value(&other->count, leaves->by);
		if (sum)
			leaves->visit(leaves->data, path, depth + 1, sum);
	}
}

static void visit_tree(struct flame *flame, const struct leaves *leaves)
{
	const struct node **path = allocate(flame->depth + 1, sizeof(*path));

	visit_leaves(&flame->root, path, 0, leaves);
	free(path);
}

/* Returns whether a node is a mapping whose name needs brackets. */
static bool needs_brackets(const struct node *node)
{
	return node->kind != NR_KINDS && node->name[0] != '[';
}

static void print_line(void *data, const struct node **stack, size_t depth,
		       __u64 sum)
{
	FILE *file = data;
	size_t i;

	for (i = 0; i < depth; i++) {
		if (i)
			putc(';', file);
		if (needs_brackets(stack[i]))
			putc('[', file);
		print_element(file, stack[i]->name);
		if (needs_brackets(stack[i]))
			putc(']', file);
	}
	fprintf(file, " %llu\n", (unsigned long long)sum);
}

/**
 * flame_print_collapsed() - print a line for each stack: its elements, separated
 * by semicolons, a blank, and its faults or its stalled nanoseconds
 * @flame: the tree
 * @by:	   what to print
 * @file:  where to print it
 *
 * The mapping is in brackets. A semicolon, and a byte that is not printable
 * ASCII, become \xNN.
 */
void flame_print_collapsed(struct flame *flame, enum flame_by by, FILE *file)
{
	const struct leaves lines = {
		.by = by,
		.visit = print_line,
		.data = file,
	};

	visit_tree(flame, &lines);
}

/* ---- speedscope ---- */

/**
 * struct scope - a file for speedscope that is being written
 * @file:   where to print it
 * @frames: for tsearch(3): struct frame, by name
 * @nr:	    how many
 * @comma:  another element precedes the next one
 */
struct scope {
	FILE *file;
	void *frames;
	size_t nr;
	bool comma;
};

/**
 * struct frame - an element of stacks
 * @name:     its name, of a node
 * @brackets: the name has brackets
 * @number:   its index in the file
 */
struct frame {
	const char *name;
	bool brackets;
	size_t number;
};

static int compare_frames(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : x->brackets - y->brackets;
}

/* Prints a text of printable ASCII and tabs as a string of JSON. */
static void print_json(FILE *file, const char *text, bool brackets)
{
	fputs(brackets ? "\"[" : "\"", file);
	json_put_text(file, text);
	fputs(brackets ? "]\"" : "\"", file);
}

/* Prints the comma between two elements of an array, each on its own line. */
static void print_comma(struct scope *scope)
{
	fputs(scope->comma ? ",\n" : "\n", scope->file);
	scope->comma = true;
}

/* Returns the number of a node's frame. Prints it if it is the first of that name. */
static size_t get_frame(struct scope *scope, const struct node *node)
{
	struct frame *frame = allocate(1, sizeof(*frame)), **found;

	*frame = (struct frame){ node->name, needs_brackets(node), scope->nr };
	found = tsearch(frame, &scope->frames, compare_frames);
	if (!found)
		err(1, "flame graph");
	if (*found != frame) {
		free(frame);
		return (*found)->number;
	}
	print_comma(scope);
	fputs("{\"name\":", scope->file);
	print_json(scope->file, frame->name, frame->brackets);
	putc('}', scope->file);

	return scope->nr++;
}

static void print_frames(void *data, const struct node **stack, size_t depth,
			 __u64 sum)
{
	size_t i;

	(void)sum;
	for (i = 0; i < depth; i++)
		get_frame(data, stack[i]);
}

static void print_sample(void *data, const struct node **stack, size_t depth,
			 __u64 sum)
{
	struct scope *scope = data;
	size_t i;

	(void)sum;
	print_comma(scope);
	for (i = 0; i < depth; i++)
		fprintf(scope->file, "%c%zu", i ? ',' : '[',
			get_frame(scope, stack[i]));
	putc(']', scope->file);
}

static void print_weight(void *data, const struct node **stack, size_t depth,
			 __u64 sum)
{
	struct scope *scope = data;

	(void)stack;
	(void)depth;
	print_comma(scope);
	fprintf(scope->file, "%llu", (unsigned long long)sum);
}

static void print_profile(struct scope *scope, struct flame *flame,
			  enum flame_by by)
{
	struct leaves leaves = { by, print_sample, scope };
	bool stall = by == FLAME_BY_STALL;

	fprintf(scope->file,
		"{\"type\":\"sampled\",\"name\":\"%s\",\"unit\":\"%s\",\"startValue\":0,\"endValue\":%llu,\"samples\":[",
		stall ? "stalled time" : "page faults",
		stall ? "nanoseconds" : "none",
		(unsigned long long)value(&flame->root.count, by));
	scope->comma = false;
	visit_tree(flame, &leaves);
	fputs("\n],\"weights\":[", scope->file);
	scope->comma = false;
	leaves.visit = print_weight;
	visit_tree(flame, &leaves);
	fputs("\n]}", scope->file);
}

/**
 * flame_print_speedscope() - print the tree in the file format of speedscope, once
 * by faults and once by stalled time
 * @flame: the tree; its names are printable ASCII
 * @title: name of the file's contents, printable ASCII
 * @file:  where to print it
 */
void flame_print_speedscope(struct flame *flame, const char *title, FILE *file)
{
	struct leaves frames = { FLAME_BY_FAULTS, print_frames, NULL };
	struct scope scope = { .file = file };

	fputs("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"name\":",
	      file);
	print_json(file, title, false);
	fputs(",\"exporter\":\"mp3ctl " MP3_VERSION "\",\"activeProfileIndex\":0,",
	      file);
	fputs("\"shared\":{\"frames\":[", file);
	/* Faults of unknown stall have no weight in the second profile. */
	frames.data = &scope;
	visit_tree(flame, &frames);
	fputs("\n]},\"profiles\":[", file);
	print_profile(&scope, flame, FLAME_BY_FAULTS);
	fputs(",\n", file);
	print_profile(&scope, flame, FLAME_BY_STALL);
	fputs("]}\n", file);
	tdestroy(scope.frames, free);
}

/* Prints at most @size bytes of a text for XML, printable ASCII only. */
static void print_xml(FILE *file, const char *text, size_t size)
{
	for (; *text && size; text++, size--) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '&')
			fputs("&amp;", file);
		else if (byte == '<')
			fputs("&lt;", file);
		else if (byte == '>')
			fputs("&gt;", file);
		else if (byte == '"')
			fputs("&quot;", file);
		else if (byte < ' ' || byte > '~')
			fprintf(file, "\\x%02x", byte);
		else
			putc(byte, file);
	}
}

/* Prints a number with commas between groups of three digits. */
static void print_number(FILE *file, __u64 number)
{
	char digits[32];
	int i, size = snprintf(digits, sizeof(digits), "%llu",
			       (unsigned long long)number);

	for (i = 0; i < size; i++) {
		if (i && (size - i) % 3 == 0)
			putc(',', file);
		putc(digits[i], file);
	}
}

static void print_seconds(FILE *file, __u64 ns)
{
	if (ns >= NSEC_PER_SEC)
		fprintf(file, "%.2f s", (double)ns / 1e9);
	else if (ns >= 1000000)
		fprintf(file, "%.1f ms", (double)ns / 1e6);
	else
		fprintf(file, "%.1f us", (double)ns / 1e3);
}

static double percent(__u64 part, __u64 whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_counts(FILE *file, const struct flame_count *count,
			 const struct flame_count *total)
{
	print_number(file, count->faults);
	fprintf(file, " fault%s (%.1f %%), ", count->faults == 1 ? "" : "s",
		percent(count->faults, total->faults));
	print_number(file, count->major);
	fputs(" major, ", file);
	print_seconds(file, count->stall_ns);
	fprintf(file, " stalled (%.1f %%)",
		percent(count->stall_ns, total->stall_ns));
}

/* Returns the kind of most faults, or most of the stalled time, of a node. */
static enum fault_kind main_kind(const struct node *node, enum flame_by by)
{
	enum fault_kind kind, most = KIND_FIRST_TOUCH;

	for (kind = 0; kind < NR_KINDS; kind++)
		if (value(&node->kinds[kind], by) > value(&node->kinds[most], by))
			most = kind;

	return most;
}

/*
 * Returns the part of a name that the label of a box shows: the last element of
 * the path of a mapped file.
 */
static const char *label_of(const struct node *node)
{
	const char *slash = strrchr(node->name, '/');

	return node->kind != NR_KINDS && node->name[0] == '/' && slash[1] ?
		slash + 1 : node->name;
}

/* Prints a label, shortened to a width. */
static void print_label(FILE *file, const char *label, double width)
{
	size_t size = strlen(label);
	size_t fits = width > 8 ? (size_t)((width - 6) / CHAR) : 0;

	if (size <= fits) {
		print_xml(file, label, size);
	} else if (fits > 2) {
		print_xml(file, label, fits - 2);
		fputs("..", file);
	}
}

/**
 * struct picture - what drawing needs everywhere
 * @file:  where the picture goes
 * @by:	   what the widths mean
 * @total: faults of all boxes
 * @depth: rows above the root
 * @top:   pixels above the boxes
 */
struct picture {
	FILE *file;
	enum flame_by by;
	struct flame_count total;
	size_t depth;
	size_t top;
};

static void print_box(const struct picture *picture, const struct node *node,
		      size_t depth, __u64 start)
{
	double scale = (double)(WIDTH - 2 * MARGIN) /
		       (double)value(&picture->total, picture->by);
	double x = MARGIN + (double)start * scale;
	double width = (double)value(&node->count, picture->by) * scale;
	size_t y = picture->top + (picture->depth - depth) * ROW;
	enum fault_kind kind = main_kind(node, picture->by);
	FILE *file = picture->file;
	const char *color = colors[kind].tint, *label = label_of(node);

	if (depth < 2)
		color = depth ? "#E4E4E4" : "#EEEEEE";
	else if (node->kind != NR_KINDS)
		color = colors[kind].color;

	fprintf(file,
		"<g class=\"box\" data-x=\"%llu\" data-w=\"%llu\" data-d=\"%zu\" data-label=\"",
		(unsigned long long)start,
		(unsigned long long)value(&node->count, picture->by), depth);
	print_xml(file, label, strlen(label));
	fputs("\"><title>", file);
	print_xml(file, node->name, strlen(node->name));
	if (node->kind != NR_KINDS)
		fprintf(file, " (%s)", kind_text(node->kind));
	fputs(": ", file);
	print_counts(file, &node->count, &picture->total);
	fprintf(file,
		"</title><rect x=\"%.2f\" y=\"%zu\" width=\"%.2f\" height=\"%d\" fill=\"%s\"/>",
		x, y, width, ROW - 1, color);
	fprintf(file, "<text x=\"%.2f\" y=\"%zu\">", x + 3, y + 13);
	print_label(file, label, width);
	fputs("</text></g>\n", file);
}

/* Prints a node and those above it. */
static void print_boxes(const struct picture *picture, struct node *node,
			size_t depth, __u64 start)
{
	__u64 width = value(&node->count, picture->by);
	struct node *child;

	if ((double)width * (WIDTH - 2 * MARGIN) <
	    NARROWEST * (double)value(&picture->total, picture->by) || !width)
		return;

	print_box(picture, node, depth, start);
	sort_children(node, picture->by);
	for (child = node->child; child; child = child->next) {
		print_boxes(picture, child, depth + 1, start);
		start += value(&child->count, picture->by);
	}
}

/*
 * Prints the kinds that occur, with their colors and their share, unless @file is
 * NULL. Returns how many rows that takes.
 */
static size_t print_legend(FILE *file, enum flame_by by, const struct node *root)
{
	enum fault_kind kind;
	double x = MARGIN;
	size_t row = 0;

	for (kind = 0; kind < NR_KINDS; kind++) {
		__u64 part = value(&root->kinds[kind], by);
		double share = percent(part, value(&root->count, by));
		double width = 17 + CHAR * (double)(strlen(kind_text(kind)) + 7);

		if (!part)
			continue;
		if (x > MARGIN && x + width > WIDTH) {
			x = MARGIN;
			row++;
		}
		if (file) {
			fprintf(file,
				"<rect x=\"%.0f\" y=\"%zu\" width=\"12\" height=\"12\" fill=\"%s\"/>",
				x, LEGEND + row * ROW, colors[kind].color);
			fprintf(file, "<text x=\"%.0f\" y=\"%zu\">%s %.*f %%</text>\n",
				x + 17, LEGEND + 10 + row * ROW, kind_text(kind),
				share < 1, share);
		}
		x += width;
	}

	return row + 1;
}

/* Prints what is above the boxes. */
static void print_head(const struct picture *picture, const char *title,
		       size_t height)
{
	FILE *file = picture->file;

	fprintf(file, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %zu\" width=\"%d\" height=\"%zu\" font-family=\"monospace\" font-size=\"12\">\n<title>",
		WIDTH, height, WIDTH, height);
	print_xml(file, title, strlen(title));
	fprintf(file, "</title>\n<style>\n%s</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#FFFFFF\"/>\n"
		"<text id=\"heading\" x=\"%d\" y=\"24\">", flame_style, MARGIN);
	print_xml(file, title, strlen(title));
	fprintf(file, "</text>\n<text id=\"about\" x=\"%d\" y=\"43\">", MARGIN);
	print_counts(file, &picture->total, &picture->total);
	fprintf(file,
		". The width of a box is its share of %s; the top of each stack is the mapping.</text>\n",
		picture->by == FLAME_BY_STALL ? "the stalled time" : "the faults");
}

/* Prints what is below the boxes, and the script. */
static void print_foot(const struct picture *picture, size_t height)
{
	FILE *file = picture->file;

	fprintf(file, "<text id=\"details\" x=\"%d\" y=\"%zu\"> </text>\n",
		MARGIN, height - 12);
	fprintf(file,
		"<text id=\"found\" class=\"end\" x=\"%d\" y=\"%zu\"> </text>\n",
		WIDTH - MARGIN, height - 12);
	fprintf(file,
		"<text id=\"reset\" class=\"end button\" x=\"%d\" y=\"24\">reset zoom</text>\n",
		WIDTH - MARGIN - 130);
	fprintf(file,
		"<text id=\"search\" class=\"end button\" x=\"%d\" y=\"24\">search (Ctrl-F)</text>\n",
		WIDTH - MARGIN);
	fprintf(file, "<script><![CDATA[\n"
		"var total = %llu, margin = %d, width = %d, chars = %g;\n%s]]></script>\n",
		(unsigned long long)value(&picture->total, picture->by), MARGIN,
		WIDTH, CHAR, flame_script);
}

/**
 * flame_print_svg() - print a picture that needs no other file
 * @flame: the tree
 * @by:	   what the widths mean
 * @title: heading
 * @file:  where to print it
 *
 * A script in the picture shows the counts of a box below the mouse, zooms into a
 * box that is clicked, and searches. The picture is complete without the script.
 */
void flame_print_svg(struct flame *flame, enum flame_by by, const char *title,
		     FILE *file)
{
	struct picture picture = {
		.file = file,
		.by = by,
		.total = flame->root.count,
		.depth = flame->depth,
		.top = LEGEND + 5 + ROW * print_legend(NULL, by, &flame->root),
	};
	size_t height = picture.top + (flame->depth + 1) * ROW + FOOT;

	print_head(&picture, title, height);
	if (value(&picture.total, by)) {
		print_legend(file, by, &flame->root);
		print_boxes(&picture, &flame->root, 0, 0);
		print_foot(&picture, height);
	} else {
		fprintf(file, "<text x=\"%d\" y=\"%zu\">no %s</text>\n", MARGIN,
			picture.top, by == FLAME_BY_STALL ? "stalled time" : "faults");
	}
	fputs("</svg>\n", file);
}
