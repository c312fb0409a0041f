// SPDX-License-Identifier: GPL-2.0
/* Stands in for sub-commands that are not on this branch yet. */
#include <err.h>

#include "mp3ctl.h"

#define STUB(name)						\
	__attribute__((weak)) int name(int argc, char **argv)	\
	{							\
		(void)argc;					\
		errx(1, "%s: not built", argv[0]);		\
	}

STUB(cmd_alert)
STUB(cmd_top)
STUB(cmd_watch)
