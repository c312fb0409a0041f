/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The progress of reading a recording while output is printed, for struct
 * recording_visitor. progress_end() ends it.
 */
#ifndef MP3_TOOLS_PRINT_PROGRESS_H
#define MP3_TOOLS_PRINT_PROGRESS_H

void print_progress(const char *path, double done);

#endif /* MP3_TOOLS_PRINT_PROGRESS_H */
