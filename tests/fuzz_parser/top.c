// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl top FILE with a recording that was not written by mp3ctl: plays it forward,
 * to its end and back. Aborts if a line is not printable, or if the end lacks a record
 * or a fault.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "recordings.h"

#define warnx(...) ((void)0)

#include "../../tools/cgroup.c"
#define are_recorded users_are_recorded
#include "../../tools/user.c"
#undef are_recorded
#include "../../tools/names.c"
#include "../../tools/spark.c"
#include "../../tools/table.c"
#include "../../tools/top_columns.c"
#include "../../tools/top_faults.c"
#include "../../tools/top_order.c"
#include "../../tools/top_replay.c"
#include "../../tools/top_rows.c"

/* A recording has no capture. */
bool capture_has(const struct mp3_reader *capture, pid_t pid)
{
	(void)capture;
	(void)pid;
	return true;
}

/* Steps that are printed one by one */
#define NR_STEPS 5

static FILE *screen;

/* Prints all lines, as mp3ctl top without a terminal does. */
bool top_print(struct top *top)
{
	static const size_t widths[] = { TOP_UNLIMITED, 80, 20, 1 };
	struct top_layout layout;
	char line[TOP_LINE];
	size_t i, j;

	top_sort(top);
	for (i = 0; i < ARRAY_SIZE(widths); i++) {
		top_layout(top, widths[i], &layout);
		top_title(top, widths[i], line);
		fprintf(screen, "%s\n", line);
		top_header(&layout, line);
		fprintf(screen, "%s\n", line);
		for (j = 0; j < top->nr_rows; j++) {
			top_row(top, &layout, &top->rows[j], line);
			fprintf(screen, "%s\n", line);
		}
	}

	return true;
}

/* ---- What a recording that is played does not need ---- */

void screen_show(struct top *top)
{
	top_print(top);
}

bool screen_open(bool replays)
{
	return !replays;
}

void screen_close(void)
{
}

int screen_read_key(struct top *top)
{
	(void)top;
	return SCREEN_NO_KEY;
}

int catch_signals(sigset_t *mask)
{
	(void)mask;
	return -1;
}

void output_open(int fd)
{
	(void)fd;
}

bool in_initial_pid_namespace(void)
{
	return true;
}

__u64 source_ticks(const struct source *source)
{
	return source->nr_read;
}

__u64 source_denied(const struct source *source)
{
	return source->nr_read;
}

/* ---- Playing ---- */

/* Plays a recording that has been loaded. */
static void play_steps(struct replay *replay)
{
	size_t i;

	go_to_start(replay);
	for (i = 0; i < NR_STEPS && replay->step < replay->nr_steps; i++) {
		go_step(replay);
		set_position(replay);
		top_print(replay->top);
		require(step_timeout(replay) > 0 || !is_playing(replay));
	}
	replay->top->tree = true;
	handle_replay_key(replay, SCREEN_END);
	require(replay->step == replay->nr_steps);
	require(replay->next_record == replay->nr_records);
	require(replay->next_fault == replay->nr_faults);
	handle_replay_key(replay, SCREEN_LEFT);
	handle_replay_key(replay, '<');
	handle_replay_key(replay, '>');
	jump(replay, replay->nr_steps / 2);
	require(current_step(replay) >= replay->step);
	handle_replay_key(replay, SCREEN_HOME);
	require(!replay->step);
}

/* Plays a recording as mp3ctl top does. */
void play_recording(const char *path, __u64 interval_ns)
{
	struct top top;
	struct replay replay = {
		.top = &top,
		.tick_ns = NSEC_PER_SEC / 20,
		.interval_ns = interval_ns,
		.speed = 1,
	};
	size_t size;
	char *text;

	top_init(&top);
	screen = open_memstream(&text, &size);
	require(screen);
	if (load(&replay, path)) {
		top_default_columns(&top, true);
		play_steps(&replay);
	}
	fclose(screen);
	check_text(text, size);
	free(replay.records);
	free(replay.faults);
	free(top.rows);
	set_free(&top.faults);
	table_free(&top.table);
}
