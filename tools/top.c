// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl top: shows a live table of processes, on a screen or as plain lines.
 */
#include <err.h>

#include "live.h"
#include "mp3ctl.h"
#include "output.h"
#include "screen.h"
#include "top.h"
#include "util.h"

static const char help[] =
	"usage: mp3ctl top [OPTION]...\n"
	"Shows the fault rates, memory and CPU time of every process that you may\n"
	"profile, and refreshes them every second. On a terminal, keys sort the table:\n"
	"\n"
	"  M major faults (default), m minor faults, r RSS, c CPU, p pid; q quits\n"
	"\n"
	"  -p, --pid PID         only this process; may be repeated\n"
	"  -f, --follow          with -p: its descendants, too\n"
	"  -a, --all             every process of the machine; requires root or\n"
	"                        CAP_PERFMON\n"
	"  -d, --device DEVICE   the processes registered in " MP3_STATUS_PATH ":\n"
	"                        their ring of records, " MP3_PROCS_PATH "\n"
	"      --for SECONDS     end this long after the start\n"
	"      --until-idle      end when all these processes have exited\n"
	"  -h, --help            show this help\n"
	"  -V, --version         show the version\n";

/* Prints the table as plain lines. Returns false if the command has to end. */
static bool print_table(struct top *top)
{
	char line[TOP_LINE];
	size_t i;

	top_sort(top);
	top_title(top, line);
	if (!output_begin_line())
		return false;
	output_put("%s\n%s\n", line, top_header);
	for (i = 0; i < top->table.nr; i++) {
		top_row(top->table.rows[i], line);
		if (!output_begin_line())
			return false;
		output_put("%s\n", line);
	}
	if (!output_begin_line())
		return false;
	output_put("\n");

	return output_flush();
}

static void count_records(struct top *top, struct live *live)
{
	struct entry entry;

	while (live_next(live, &entry))
		top_count(top, &entry.record);
}

/* Shows the table until the command has to end. */
static void follow(struct top *top, struct live *live, bool has_screen)
{
	struct wait wait = {
		.until_ns = live->now_ns + NSEC_PER_SEC,
		.input_fd = has_screen ? STDIN_FILENO : -1,
		.watch_output = true,
	};

	while (live_wait(live, &wait)) {
		if (has_screen && !screen_handle_keys(top))
			return;
		live_begin_pass(live);
		count_records(top, live);
		if (live->now_ns >= wait.until_ns ||
		    (live_is_over(live) && live->is_idle)) {
			top_refresh(top, &live->source, live->now_ns);
			wait.until_ns += NSEC_PER_SEC;
			if (wait.until_ns <= live->now_ns)
				wait.until_ns = live->now_ns + NSEC_PER_SEC;
			if (has_screen)
				screen_show(top);
			else if (!print_table(top))
				return;
		}
		if (live_is_over(live))
			return;
	}
}

static void parse_options(struct ring_options *parsed, int argc, char **argv)
{
	parse_ring_options(parsed, argc, argv, help);
	if (optind < argc)
		errx(2, "unexpected argument '%s'", argv[optind]);
	validate_ring_options(parsed);
	if (parsed->ring && parsed->nr_pids)
		errx(2, "-p selects processes of a capture: omit -d");
}

int cmd_top(int argc, char **argv)
{
	static struct ring_options options;
	static struct live live;
	static struct top top;
	bool has_screen;

	parse_options(&options, argc, argv);
	live_start(&live, &options, true);
	top_init(&top);
	/* What the ring holds shows which processes are registered. */
	live_begin_pass(&live);
	count_records(&top, &live);
	top_start(&top, &live.source, live.now_ns);
	has_screen = screen_open();
	if (has_screen)
		screen_show(&top);
	follow(&top, &live, has_screen);
	if (has_screen)
		screen_close();
	live_finish(&live);

	return 0;
}
