/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The screen of mp3ctl top, if it is built with ncurses (MP3_HAVE_CURSES).
 */
#ifndef MP3_TOOLS_SCREEN_H
#define MP3_TOOLS_SCREEN_H

#include "top.h"

bool screen_open(void);
void screen_close(void);
void screen_show(struct top *top);
bool screen_handle_keys(struct top *top);

#endif /* MP3_TOOLS_SCREEN_H */
