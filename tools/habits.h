/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Options and commands of perf, pidstat, time, hyperfine, strace and top that mp3ctl
 * does not have, and what it has in their place.
 */
#ifndef MP3_TOOLS_HABITS_H
#define MP3_TOOLS_HABITS_H

const char *habit_of_option(const char *option);
const char *habit_of_command(const char *word);

#endif /* MP3_TOOLS_HABITS_H */
