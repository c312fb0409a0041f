// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "screen.h"
#include "util.h"

/* Last: they define "columns" and the like as macros. */
#ifdef MP3_HAVE_CURSES
#include <curses.h>
#include <term.h>
#endif

static bool is_terminal(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

#ifdef MP3_HAVE_CURSES

/* Color pairs */
enum {
	PAIR_MAJOR = 1,
	PAIR_STALL,
	PAIR_HISTORY,
};

/*
 * @is_replay:	a recording is shown
 * @has_colors:	the terminal has colors, and the user has not refused them
 * @has_help:	the help is shown in place of the rows
 * @first:	the first row that is shown
 */
static struct {
	bool is_replay;
	bool has_colors;
	bool has_help;
	size_t first;
} screen;

/* The last line: the first of these that it has space for. */
static const char *const footers[] = {
	"sort by: M major, m minor, r RSS, c CPU, p pid    ? help  q quit",
	"sort by: M major, m minor ? help q quit",
	"? help  q quit",
	"? help",
	"",
};

static const char *const replay_footers[] = {
	"space pause   left, right 1 s   + - speed   ? help   q quit",
	"space pause  + - speed  ? help  q quit",
	"? help  q quit",
	"? help",
	"",
};

static const char *const help[] = {
	"Any key closes this help.",
	"",
	"M m      sort by major, minor faults",
	"c r      sort by CPU time, memory",
	"p n s    sort by pid, name, stalled time",
	"t        tree: each process below its parent",
	"up down  scroll; also page up, page down",
	"q        quit",
	"",
	"MAJOR/s MINOR/s  faults per second",
	"CPU%     CPU time; 100: one CPU",
	"STALL%   stalled time; 100: one thread",
	"HISTORY  faults of the last minute",
	"TOUCH    first touch of anonymous memory",
	"SWAP DISK CACHE  read from swap, from a file, or mapped from its cache",
	"COPY CLEAN HINT  copy on write, write to a clean page, access flag",
};

static const char *const replay_help[] = {
	"Any key closes this help.",
	"",
	"space    pause, continue",
	"left right  one second back, forward",
	"< >      ten seconds back, forward",
	"Home End to the start, to the end",
	"+ -      double, halve the speed",
};

/* Closes the screen, which screen_open() has opened. */
void screen_close(void)
{
	if (isendwin())
		return;
	/* Without an alternate screen, the prompt of the shell is next, in this line. */
	move(LINES - 1, 0);
	clrtoeol();
	refresh();
	endwin();
}

/* Returns whether the terminal's type is known and has a movable cursor. */
static bool can_move_cursor(void)
{
	char capability[] = "cup", *value;
	int error;

	if (setupterm(NULL, STDOUT_FILENO, &error) != OK)
		return false;
	value = tigetstr(capability);

	return value && value != (char *)-1;
}

/* Uses colors, if the terminal has them and the user has not refused them. */
static void open_colors(void)
{
	const char *refused = getenv("NO_COLOR");

	if ((refused && refused[0]) || !has_colors() || start_color() == ERR ||
	    use_default_colors() == ERR)
		return;
	init_pair(PAIR_MAJOR, COLOR_RED, -1);
	init_pair(PAIR_STALL, COLOR_YELLOW, -1);
	init_pair(PAIR_HISTORY, COLOR_CYAN, -1);
	screen.has_colors = true;
}

/**
 * screen_open() - open the screen
 * @is_replay: a recording is shown
 *
 * Without one, the caller prints plain lines. If standard input and output are
 * a terminal, a warning explains why.
 *
 * Return: whether there is a screen.
 */
bool screen_open(bool is_replay)
{
	const char *type = getenv("TERM");

	if (!is_terminal())
		return false;
	if (!can_move_cursor() || !newterm(NULL, stdout, stdin)) {
		warnx("terminal type '%s' cannot show a screen: printing plain lines",
		      type ? type : "");
		return false;
	}
	atexit(screen_close);
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, true);
	nodelay(stdscr, true);
	open_colors();
	screen.is_replay = is_replay;

	return true;
}

/* Shows a text in a line, as far as there is space. */
static void show_text(int line, const char *text)
{
	if (line < LINES)
		mvaddnstr(line, 0, text, COLS);
}

static void show_footer(void)
{
	const char *const *footer = screen.is_replay ? replay_footers : footers;

	while ((int)strlen(*footer) > COLS)
		footer++;
	show_text(LINES - 1, *footer);
}

static void show_help(void)
{
	int line = 0;
	size_t i;

	if (screen.is_replay)
		for (i = 0; i < ARRAY_SIZE(replay_help); i++)
			show_text(line++, replay_help[i]);
	/* Both start with the same two lines. */
	for (i = screen.is_replay ? 2 : 0; i < ARRAY_SIZE(help); i++)
		show_text(line++, help[i]);
}

/* Changes how a cell is shown. */
static void mark_cell(const struct top_layout *layout, int line,
		      enum top_column column, attr_t attributes, short pair)
{
	size_t start, width;

	if (!top_find_cell(layout, column, &start, &width) ||
	    start >= (size_t)COLS)
		return;
	if (start + width > (size_t)COLS)
		width = (size_t)COLS - start;
	mvchgat(line, (int)start, (int)width, attributes, pair, NULL);
}

static void show_header(const struct top *top, const struct top_layout *layout,
			int line)
{
	char text[TOP_LINE];

	top_header(layout, text);
	attron(A_REVERSE);
	mvprintw(line, 0, "%-*.*s", COLS, COLS, text);
	attroff(A_REVERSE);
	mark_cell(layout, line, top->sort, A_REVERSE | A_UNDERLINE, 0);
}

static void show_row(const struct top *top, const struct top_layout *layout,
		     const struct top_row *row, int line)
{
	const double *rates = top_state(row->process)->rates;
	char text[TOP_LINE];

	top_row(top, layout, row, text);
	mvaddstr(line, 0, text);
	if (!screen.has_colors)
		return;
	if (rates[TOP_MAJOR] > 0)
		mark_cell(layout, line, TOP_MAJOR, A_BOLD, PAIR_MAJOR);
	if (rates[TOP_STALL] >= 1)
		mark_cell(layout, line, TOP_STALL, A_NORMAL, PAIR_STALL);
	mark_cell(layout, line, TOP_HISTORY, A_NORMAL, PAIR_HISTORY);
}

/* Returns how many rows there is space for. */
static size_t page_size(void)
{
	/* Next to the title: the header, and the last line */
	int rows = LINES - 1 - (LINES > 2) - (LINES > 3);

	return rows > 0 ? (size_t)rows : 0;
}

static void show_rows(const struct top *top)
{
	struct top_layout layout;
	char title[TOP_LINE];
	size_t i, rows = page_size();
	size_t last = top->nr_rows > rows ? top->nr_rows - rows : 0;
	int line = 0;

	top_title(top, (size_t)COLS, title);
	show_text(line++, title);
	top_layout(top, (size_t)COLS, &layout);
	if (LINES > 2)
		show_header(top, &layout, line++);
	if (screen.first > last)
		screen.first = last;
	for (i = screen.first; i < top->nr_rows && i < screen.first + rows; i++)
		show_row(top, &layout, &top->rows[i], line++);
	if (LINES > 3)
		show_footer();
}

/* Shows the rows, or the help. */
void screen_show(struct top *top)
{
	top_sort(top);
	erase();
	if (screen.has_help)
		show_help();
	else
		show_rows(top);
	refresh();
}

/* Scrolls by some rows. */
static void scroll_by(ssize_t rows)
{
	if (rows < 0 && screen.first < (size_t)-rows)
		screen.first = 0;
	else
		screen.first += (size_t)rows;
}

/* Does what a key stands for. Returns false if the key is the caller's. */
static bool handle_key(struct top *top, int key)
{
	if (key == KEY_RESIZE)
		return true;
	if (screen.has_help) {
		screen.has_help = false;
		return true;
	}
	switch (key) {
	case '?':
	case 'h':
		screen.has_help = true;
		return true;
	case 't':
		top->tree = !top->tree;
		return true;
	case KEY_UP:
	case KEY_DOWN:
		scroll_by(key == KEY_UP ? -1 : 1);
		return true;
	case KEY_PPAGE:
	case KEY_NPAGE:
		scroll_by((key == KEY_PPAGE ? -1 : 1) * (ssize_t)page_size());
		return true;
	}

	return top_sort_by(top, key);
}

/**
 * screen_read_key() - read the next key that was pressed
 * @top: the rows; some keys change how they are shown
 *
 * A new size of the terminal is a key, too.
 *
 * Return: a key for the caller, or SCREEN_NO_KEY after the last one.
 */
int screen_read_key(struct top *top)
{
	int key;

	while ((key = getch()) != ERR) {
		if (handle_key(top, key)) {
			screen_show(top);
			continue;
		}
		switch (key) {
		case KEY_LEFT:
			return SCREEN_LEFT;
		case KEY_RIGHT:
			return SCREEN_RIGHT;
		case KEY_HOME:
			return SCREEN_HOME;
		case KEY_END:
			return SCREEN_END;
		}
		if (key < 256)
			return key;
	}

	return SCREEN_NO_KEY;
}

#else

bool screen_open(bool is_replay)
{
	(void)is_replay;
	if (is_terminal())
		warnx("built without ncurses: printing plain lines");
	return false;
}

void screen_close(void)
{
}

void screen_show(struct top *top)
{
	(void)top;
}

int screen_read_key(struct top *top)
{
	(void)top;
	return SCREEN_NO_KEY;
}

#endif
