// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef MP3_HAVE_CURSES
#include <curses.h>
#include <term.h>
#endif

#include "screen.h"

static bool is_terminal(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

#ifdef MP3_HAVE_CURSES

static const char footer[] =
	"sort by: M major, m minor, r RSS, c CPU, p pid    q quit";

/* Closes the screen, which screen_open() has opened. */
void screen_close(void)
{
	if (!isendwin())
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

/**
 * screen_open() - open the screen
 *
 * Without one, the caller prints plain lines. If standard input and output are
 * a terminal, a warning explains why.
 *
 * Return: whether there is a screen.
 */
bool screen_open(void)
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

	return true;
}

/* Shows the rows. */
void screen_show(struct top *top)
{
	char line[TOP_LINE];
	size_t i;

	top_sort(top);
	erase();
	top_title(top, line);
	mvaddnstr(0, 0, line, COLS);
	attron(A_REVERSE);
	mvprintw(1, 0, "%-*.*s", COLS, COLS, top_header);
	attroff(A_REVERSE);
	for (i = 0; i < top->table.nr && (int)i + 3 < LINES; i++) {
		top_row(top->table.rows[i], line);
		mvaddnstr((int)i + 2, 0, line, COLS);
	}
	if (LINES > 2)
		mvaddnstr(LINES - 1, 0, footer, COLS);
	refresh();
}

/*
 * Does what the keys that were pressed stand for; a new size of the terminal is
 * one of them. Returns false if the user quits.
 */
bool screen_handle_keys(struct top *top)
{
	bool show = false;
	int key;

	for (key = getch(); key != ERR; key = getch()) {
		if (key == 'q')
			return false;
		if (top_sort_by(top, key) || key == KEY_RESIZE)
			show = true;
	}
	if (show)
		screen_show(top);

	return true;
}

#else

bool screen_open(void)
{
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

bool screen_handle_keys(struct top *top)
{
	(void)top;
	return true;
}

#endif
