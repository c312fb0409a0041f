/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A line on the terminal that shows how far a long operation is.
 */
#ifndef MP3_TOOLS_PROGRESS_H
#define MP3_TOOLS_PROGRESS_H

void progress_line(const char *text);
void progress(const char *what, double done);
void progress_end(void);

#endif /* MP3_TOOLS_PROGRESS_H */
