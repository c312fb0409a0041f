/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The sub-commands of mp3ctl. Each takes its own argument vector, with its name
 * in argv[0], and returns the exit status.
 */
#ifndef MP3CTL_H
#define MP3CTL_H

int cmd_alert(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_plot(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_where(int argc, char **argv);

#endif /* MP3CTL_H */
