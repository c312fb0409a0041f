/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The checks of mp3ctl doctor. Each prints a line, which begins with "ok", "problem"
 * or "note". A problem keeps this user from using mp3 now.
 */
#ifndef MP3_TOOLS_DOCTOR_H
#define MP3_TOOLS_DOCTOR_H

#include <stdbool.h>

/**
 * struct doctor - a diagnosis
 * @root:	 precedes the paths that are examined; "" for this system
 * @release:	 of the kernel, printable
 * @distribution: how to install packages
 * @container:	 this is a container
 * @loaded:	 the module is loaded
 * @installed:	 path of the module for modprobe, printable; or NULL
 * @nr_problems: how many were found
 * @next:	 the command for the first of them, or NULL
 */
struct doctor {
	const char *root;
	char *release;
	const struct distribution *distribution;
	bool container;
	bool loaded;
	char *installed;
	unsigned int nr_problems;
	char *next;
};

__attribute__((format(printf, 2, 3)))
void doctor_ok(const char *what, const char *format, ...);
__attribute__((format(printf, 3, 4)))
void doctor_note(const char *what, char *command, const char *format, ...);
__attribute__((format(printf, 4, 5)))
void doctor_problem(struct doctor *doctor, const char *what, char *command,
		    const char *format, ...);

const char *doctor_sudo(void);
char *doctor_path(const struct doctor *doctor, const char *path);
char *doctor_read(const struct doctor *doctor, const char *path);
bool doctor_has(const struct doctor *doctor, const char *path);
bool doctor_has_namespace(const struct doctor *doctor, const char *kind,
			  unsigned int initial);
bool doctor_has_program(const struct doctor *doctor, const char *name);

enum doctor_package { PACKAGE_HEADERS, PACKAGE_COMPILER, PACKAGE_GNUPLOT };

const struct distribution *doctor_distribution(const struct doctor *doctor);
char *doctor_install(const struct doctor *doctor, enum doctor_package package);
const char *doctor_debuginfod(const struct doctor *doctor);

void doctor_load(struct doctor *doctor);
void doctor_use(struct doctor *doctor);

#endif /* MP3_TOOLS_DOCTOR_H */
