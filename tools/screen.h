/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The screen of mp3ctl top, if it is built with ncurses (MP3_HAVE_CURSES).
 */
#ifndef MP3_TOOLS_SCREEN_H
#define MP3_TOOLS_SCREEN_H

#include "top.h"

/* Keys without a character */
enum {
	SCREEN_NO_KEY = 0,
	SCREEN_LEFT = 256,
	SCREEN_RIGHT,
	SCREEN_HOME,
	SCREEN_END,
};

bool screen_open(bool is_replay);
void screen_close(void);
void screen_show(struct top *top);
int screen_read_key(struct top *top);

#endif /* MP3_TOOLS_SCREEN_H */
