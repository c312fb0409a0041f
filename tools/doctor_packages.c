// SPDX-License-Identifier: GPL-2.0
/* How distributions install packages, for mp3ctl doctor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "name.h"
#include "util.h"

/**
 * struct distribution - a family of distributions
 * @id:		a word of ID or ID_LIKE in os-release(5)
 * @install:	command that installs packages
 * @headers:	package with the headers of a kernel: %r is its release, %f its
 *		flavor with a dash before it
 * @compiler:	packages with make and a C compiler
 * @debuginfod:	server with debug information
 */
static const struct distribution {
	const char *id;
	const char *install;
	const char *headers;
	const char *compiler;
	const char *debuginfod;
} distributions[] = {
	{ "ubuntu", "apt install", "linux-headers-%r", "build-essential",
	  "https://debuginfod.ubuntu.com" },
	{ "debian", "apt install", "linux-headers-%r", "build-essential",
	  "https://debuginfod.debian.net" },
	{ "fedora", "dnf install", "kernel-devel-%r", "gcc make",
	  "https://debuginfod.fedoraproject.org" },
	{ "rhel", "dnf install", "kernel-devel-%r", "gcc make", NULL },
	{ "suse", "zypper install", "kernel%f-devel", "gcc make",
	  "https://debuginfod.opensuse.org" },
	{ "arch", "pacman -S", "linux%f-headers", "base-devel",
	  "https://debuginfod.archlinux.org" },
};

/* Returns whether one of the blank-separated words of a value is @word. */
static bool has_word(char *value, const char *word)
{
	char *rest = value, *next;

	while ((next = strsep(&rest, " \"'\n")))
		if (!strcmp(next, word))
			return true;
	return false;
}

/* Returns whether os-release(5) has a word in ID, or else in ID_LIKE. */
static bool has_id(const struct doctor *doctor, const char *key, const char *id)
{
	char *path = doctor_path(doctor, "/etc/os-release"), *line = NULL;
	FILE *file = fopen(path, "re");
	size_t size = 0, length = strlen(key);
	bool found = false;

	while (file && !found && getline(&line, &size, file) > 0)
		found = !strncmp(line, key, length) && line[length] == '=' &&
			has_word(line + length + 1, id);
	if (file)
		fclose(file);
	free(line);
	free(path);

	return found;
}

/* Returns how this distribution installs packages, or NULL if that is unknown. */
const struct distribution *doctor_distribution(const struct doctor *doctor)
{
	static const char *const keys[] = { "ID", "ID_LIKE" };
	size_t key, i;

	for (key = 0; key < ARRAY_SIZE(keys); key++)
		for (i = 0; i < ARRAY_SIZE(distributions); i++)
			if (has_id(doctor, keys[key], distributions[i].id))
				return &distributions[i];
	return NULL;
}

/*
 * Returns the flavor in the release of a kernel, with its dash: "-lts" of
 * "6.6.36-1-lts"; "" if its last part is a number.
 */
static const char *flavor(const char *release)
{
	const char *dash = strrchr(release, '-');

	return dash && (dash[1] < '0' || dash[1] > '9') ? dash : "";
}

/* Returns the package with the headers of the kernel, to be freed. */
static char *headers_package(const struct doctor *doctor)
{
	const char *pattern = doctor->distribution->headers;
	size_t percent = strcspn(pattern, "%");

	return text_format("%.*s%s%s", (int)percent, pattern,
			   pattern[percent + 1] == 'r' ? doctor->release :
							 flavor(doctor->release),
			   pattern + percent + 2);
}

/* Returns the command that installs a package, to be freed. */
char *doctor_install(const struct doctor *doctor, enum doctor_package package)
{
	const struct distribution *distribution = doctor->distribution;
	char *name, *command;

	if (!distribution && package == PACKAGE_HEADERS)
		return text_format("install the headers of kernel %s",
				   doctor->release);
	if (!distribution)
		return text_format("install %s", package == PACKAGE_GNUPLOT ?
				   "gnuplot" : "make and a C compiler");

	if (package == PACKAGE_HEADERS)
		name = headers_package(doctor);
	else
		name = text_format("%s", package == PACKAGE_GNUPLOT ?
				   "gnuplot" : distribution->compiler);
	command = text_format("%s%s %s", doctor_sudo(), distribution->install,
			      name);
	free(name);

	return command;
}

/* Returns a server with the debug information of this distribution. */
const char *doctor_debuginfod(const struct doctor *doctor)
{
	if (doctor->distribution && doctor->distribution->debuginfod)
		return doctor->distribution->debuginfod;
	return "https://debuginfod.elfutils.org";
}
