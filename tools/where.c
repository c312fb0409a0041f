// SPDX-License-Identifier: GPL-2.0
/* mp3ctl where: locates the faults of a command or of running processes. */
#include <err.h>
#include <string.h>

#include "mp3ctl.h"
#include "where_csv.h"

int cmd_where(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--csv"))
		return !where_csv(argv[2]);
	errx(2, "usage: mp3ctl where --csv FILE");
}
