// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl top FILE: plays a recording. It goes forward in steps of the interval, each
 * of which is a refresh; to go back, it starts again.
 */
#include <err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"
#include "names.h"
#include "output.h"
#include "progress.h"
#include "recording.h"
#include "screen.h"
#include "top_options.h"
#include "util.h"

/* How often the screen is updated, however fast or slowly a recording is played. */
#define FRAME_NS (NSEC_PER_SEC / 20)
#define MAX_WAIT_NS (3600 * NSEC_PER_SEC)

#define MIN_SPEED 0.125
#define MAX_SPEED 1024

/**
 * struct played_fault - what is needed of a fault
 * @time_ns:  see struct mp3_fault
 * @stall_ns: see struct mp3_fault
 * @pid:      see struct mp3_fault
 * @file:     see struct mp3_fault
 * @flags:    see struct mp3_fault
 */
struct played_fault {
	__u64 time_ns;
	__u64 stall_ns;
	__u32 pid;
	__u32 file;
	__u32 flags;
};

/**
 * struct replay - a recording that is played
 * @top:	 the rows
 * @records:	 its records, in order
 * @nr_records:	 how many
 * @max_records: how many @records has memory for
 * @faults:	 its faults, by time
 * @nr_faults:	 how many
 * @max_faults:	 how many @faults has memory for
 * @totals:	 the newest
 * @tick_ns:	 its sampling interval; not 0: a rate is over at least this time
 * @start_ns:	 its start; 0 if it is unknown
 * @end_ns:	 its end
 * @interval_ns: length of a step
 * @nr_steps:	 how many steps there are
 * @step:	 the last step that was made; 0 at the start
 * @next_record: the first record after it
 * @next_fault:	 the first fault after it
 * @position_ns: while it plays: the time since the start
 * @speed:	 how fast it plays
 * @paused:	 it does not play
 */
struct replay {
	struct top *top;
	struct mp3_record *records;
	size_t nr_records;
	size_t max_records;
	struct played_fault *faults;
	size_t nr_faults;
	size_t max_faults;
	struct mp3_recording_totals totals;
	__u64 tick_ns;
	__u64 start_ns;
	__u64 end_ns;
	__u64 interval_ns;
	__u64 nr_steps;
	__u64 step;
	size_t next_record;
	size_t next_fault;
	__u64 position_ns;
	double speed;
	bool paused;
};

/* ---- Loading ---- */

static void add_info(void *data, const char *key, const char *value)
{
	struct replay *replay = data;

	if (!strcmp(key, "n"))
		replay->top->every = (unsigned int)strtoul(value, NULL, 10);
	else if (!strcmp(key, "start_ns"))
		replay->start_ns = strtoull(value, NULL, 10);
	else if (!strcmp(key, "interval_ns"))
		replay->tick_ns = strtoull(value, NULL, 10) ?: replay->tick_ns;
}

/* Makes room for one more element. Exits if there is no memory. */
static void *grow_array(void *array, size_t nr, size_t *max, size_t size)
{
	if (nr < *max)
		return array;
	*max = *max ? 2 * *max : 1024;
	array = reallocarray(array, *max, size);
	if (!array)
		err(1, "recording");

	return array;
}

static void add_record(void *data, const struct mp3_record *record)
{
	struct replay *replay = data;

	replay->records = grow_array(replay->records, replay->nr_records,
				     &replay->max_records, sizeof(*record));
	replay->records[replay->nr_records++] = *record;
}

static void add_fault(void *data, const struct mp3_fault *fault)
{
	struct replay *replay = data;

	replay->faults = grow_array(replay->faults, replay->nr_faults,
				    &replay->max_faults,
				    sizeof(*replay->faults));
	replay->faults[replay->nr_faults++] = (struct played_fault){
		.time_ns = fault->time_ns,
		.stall_ns = fault->stall_ns,
		.pid = fault->pid,
		.file = fault->file,
		.flags = fault->flags,
	};
}

static void set_totals(void *data, const struct mp3_recording_totals *totals)
{
	struct replay *replay = data;

	replay->totals = *totals;
}

static int compare_times(const void *one, const void *other)
{
	const struct played_fault *a = one, *b = other;

	return (a->time_ns > b->time_ns) - (a->time_ns < b->time_ns);
}

/* Finds the start and the end, which a recording can lack. */
static void find_span(struct replay *replay)
{
	__u64 first_ns = MP3_NEVER, last_ns = replay->totals.end_ns;

	if (replay->nr_records) {
		first_ns = replay->records[0].time_ns;
		if (last_ns < replay->records[replay->nr_records - 1].time_ns)
			last_ns = replay->records[replay->nr_records - 1].time_ns;
	}
	if (replay->nr_faults) {
		if (first_ns > replay->faults[0].time_ns)
			first_ns = replay->faults[0].time_ns;
		if (last_ns < replay->faults[replay->nr_faults - 1].time_ns)
			last_ns = replay->faults[replay->nr_faults - 1].time_ns;
	}
	if (!replay->start_ns)
		replay->start_ns = first_ns;
	replay->end_ns = last_ns > replay->start_ns ? last_ns : replay->start_ns;
}

/* Reads a recording. Returns false after one line on standard error. */
static bool load(struct replay *replay, const char *path)
{
	static const struct recording_visitor visitor = {
		.info = add_info,
		.record = add_record,
		.fault = add_fault,
		.totals = set_totals,
		.name = names_add,
		.progress = progress,
	};
	__u64 length_ns;
	bool good;

	names_start();
	good = recording_read(path, &visitor, replay);
	progress_end();
	if (!good)
		return false;
	if (!replay->nr_records && !replay->nr_faults) {
		warnx("%s: contains no records", path);
		return false;
	}
	if (replay->nr_faults)
		qsort(replay->faults, replay->nr_faults,
		      sizeof(*replay->faults), compare_times);
	find_span(replay);
	if (!(replay->totals.flags & MP3_RECORDING_COMPLETE))
		warnx("%s: ends too early: its recorder was killed, or the disk was full",
		      path);

	length_ns = replay->end_ns - replay->start_ns;
	replay->nr_steps = length_ns / replay->interval_ns;
	if (!length_ns || length_ns % replay->interval_ns)
		replay->nr_steps++;

	return true;
}

/* ---- Steps ---- */

/* Returns the time at the end of a step. */
static __u64 step_end_ns(const struct replay *replay, __u64 step)
{
	__u64 length_ns = replay->end_ns - replay->start_ns;

	if (step > length_ns / replay->interval_ns)
		return replay->end_ns;
	return replay->start_ns + step * replay->interval_ns;
}

/* Counts the records and faults of a step. */
static void count_step(struct replay *replay, __u64 until_ns)
{
	bool last = until_ns == replay->end_ns, found = false;
	const struct played_fault *fault;
	struct top *top = replay->top;

	while (replay->next_record < replay->nr_records &&
	       (last ||
		replay->records[replay->next_record].time_ns <= until_ns))
		top_count(top, &replay->records[replay->next_record++]);
	/* A fault is counted by the tick after it. */
	while (replay->next_fault < replay->nr_faults &&
	       (last ||
		replay->faults[replay->next_fault].time_ns <= top->newest_ns)) {
		fault = &replay->faults[replay->next_fault++];
		top_count_fault(top, &(struct mp3_fault){
			.pid = fault->pid,
			.file = fault->file,
			.flags = fault->flags,
			.stall_ns = fault->stall_ns,
		});
		found = true;
	}
	/* The recorder was killed between the faults and their records. */
	if (found && !top->fresh) {
		top->newest_ns = until_ns;
		top->fresh = true;
	}
}

/* Makes a step: computes the rates in it. */
static void go_step(struct replay *replay)
{
	__u64 until_ns = step_end_ns(replay, ++replay->step);
	struct top *top = replay->top;

	count_step(replay, until_ns);
	if (until_ns == replay->end_ns) {
		top->lost = replay->totals.lost_records;
		top->lost_faults = replay->totals.lost_faults;
	}
	top_advance(top, replay->tick_ns, until_ns,
		    until_ns >= top->base_ns + replay->tick_ns);
}

/* Goes to the start, where the rows are the processes that are profiled already. */
static void go_to_start(struct replay *replay)
{
	struct top *top = replay->top;

	top_restart(top, replay->start_ns);
	top->lost = 0;
	top->lost_faults = 0;
	replay->step = 0;
	replay->next_record = 0;
	replay->next_fault = 0;
	count_step(replay, replay->start_ns);
	top->fresh = false;
}

/* Returns the step that contains the next record. */
static __u64 next_step(const struct replay *replay)
{
	__u64 time_ns;

	if (replay->next_record == replay->nr_records)
		return replay->nr_steps;
	time_ns = replay->records[replay->next_record].time_ns;
	if (time_ns <= replay->start_ns)
		return 1;

	return (time_ns - replay->start_ns - 1) / replay->interval_ns + 1;
}

/* Goes to a step. */
static void go_to(struct replay *replay, __u64 step)
{
	__u64 next;

	if (step < replay->step)
		go_to_start(replay);
	while (replay->step < step) {
		next = next_step(replay);
		if (next > step)
			next = step;
		go_step(replay);
		/* Two steps without records are like many of them. */
		if (next <= replay->step + 3)
			continue;
		go_step(replay);
		replay->step = next - 2;
	}
}

/* ---- Playing ---- */

/* Sets what the title starts with. */
static void set_position(struct replay *replay)
{
	__u64 now_ns = step_end_ns(replay, replay->step);
	int digits = replay->interval_ns % (NSEC_PER_SEC / 10) ? 2 : 1;
	struct top *top = replay->top;
	char speed[16] = "";

	snprintf(top->position, sizeof(top->position), "%.*f of %.*f s",
		 digits, (double)(now_ns - replay->start_ns) / 1e9,
		 digits, (double)(replay->end_ns - replay->start_ns) / 1e9);
	if (replay->speed != 1)
		snprintf(speed, sizeof(speed), "x%g", replay->speed);
	snprintf(top->state, sizeof(top->state), "%s%s%s", speed,
		 speed[0] && replay->paused ? "  " : "",
		 replay->paused ? "paused" : "");
}

/* Prints the table after each step. */
static void print_steps(struct replay *replay)
{
	while (replay->step < replay->nr_steps) {
		go_step(replay);
		set_position(replay);
		if (!top_print(replay->top))
			return;
	}
}

/* Goes to a step, and continues there. */
static void jump(struct replay *replay, __u64 step)
{
	go_to(replay, step < replay->nr_steps ? step : replay->nr_steps);
	replay->position_ns = step_end_ns(replay, replay->step) -
			      replay->start_ns;
}

/* Goes back or forward by some seconds, but at least by one step. */
static void jump_by(struct replay *replay, int seconds)
{
	__u64 steps = (__u64)abs(seconds) * NSEC_PER_SEC / replay->interval_ns;

	if (!steps)
		steps = 1;
	if (seconds > 0)
		jump(replay, replay->step + steps);
	else
		jump(replay, replay->step > steps ? replay->step - steps : 0);
}

/* Handles a key. Returns false if the user quits. */
static bool handle_replay_key(struct replay *replay, int key)
{
	switch (key) {
	case 'q':
		return false;
	case ' ':
		replay->paused = !replay->paused;
		if (replay->step == replay->nr_steps) {
			replay->paused = false;
			jump(replay, 0);
		}
		break;
	case SCREEN_LEFT:
	case SCREEN_RIGHT:
		jump_by(replay, key == SCREEN_LEFT ? -1 : 1);
		break;
	case '<':
	case '>':
		jump_by(replay, key == '<' ? -10 : 10);
		break;
	case SCREEN_HOME:
		jump(replay, 0);
		break;
	case SCREEN_END:
		jump(replay, replay->nr_steps);
		break;
	case '+':
		if (replay->speed < MAX_SPEED)
			replay->speed *= 2;
		break;
	case '-':
		if (replay->speed > MIN_SPEED)
			replay->speed /= 2;
		break;
	default:
		return true;
	}
	set_position(replay);
	screen_show(replay->top);

	return true;
}

static bool is_playing(const struct replay *replay)
{
	return !replay->paused && replay->step < replay->nr_steps;
}

/* Returns the timeout for poll(2) until the next step, in milliseconds. */
static int step_timeout(const struct replay *replay)
{
	__u64 next_ns = step_end_ns(replay, replay->step + 1) - replay->start_ns;
	double wait_ns = ((double)next_ns - (double)replay->position_ns) /
			 replay->speed;

	if (!is_playing(replay))
		return -1;
	if (wait_ns < FRAME_NS)
		wait_ns = FRAME_NS;
	if (wait_ns > MAX_WAIT_NS)
		wait_ns = MAX_WAIT_NS;

	return (int)(wait_ns / 1e6) + 1;
}

/* Returns the step that the position is at the end of, or after. */
static __u64 current_step(const struct replay *replay)
{
	__u64 step = replay->position_ns / replay->interval_ns;

	if (replay->position_ns >= replay->end_ns - replay->start_ns ||
	    step > replay->nr_steps)
		return replay->nr_steps;
	return step;
}

/* Plays on the screen until the user quits. */
static void play(struct replay *replay, int signals)
{
	struct pollfd fds[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = STDOUT_FILENO },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	__u64 then_ns = clock_ns(CLOCK_MONOTONIC), now_ns;
	int key;

	set_position(replay);
	screen_show(replay->top);
	while (poll(fds, 3, step_timeout(replay)) >= 0 || errno == EINTR) {
		if (fds[0].revents || fds[1].revents ||
		    fds[2].revents & ~POLLIN)
			return;
		now_ns = clock_ns(CLOCK_MONOTONIC);
		if (is_playing(replay))
			replay->position_ns += (__u64)
				((double)(now_ns - then_ns) * replay->speed);
		then_ns = now_ns;
		while ((key = screen_read_key(replay->top)) != SCREEN_NO_KEY)
			if (!handle_replay_key(replay, key))
				return;
		if (current_step(replay) <= replay->step)
			continue;
		go_to(replay, current_step(replay));
		set_position(replay);
		screen_show(replay->top);
	}
}

/**
 * top_replay() - show a recording
 * @top:     without processes
 * @options: of the command
 *
 * Return: false after one line on standard error.
 */
bool top_replay(struct top *top, const struct top_options *options)
{
	struct replay replay = {
		.top = top,
		.tick_ns = NSEC_PER_SEC / 20,
		.interval_ns = options->interval_ns,
		.speed = 1,
	};
	int signals;

	if (!load(&replay, options->path))
		return false;
	if (top->sort == TOP_STALL && !top->every)
		errx(2, "'%s' contains no faults: --sort stall requires them",
		     options->path);
	if (options->columns)
		top_parse_columns(top, options->columns);
	if (options->count && options->count < replay.nr_steps)
		replay.nr_steps = options->count;
	output_open(-1);
	signals = catch_signals(NULL);
	output_open(signals);
	go_to_start(&replay);
	if (!options->batch && screen_open(true)) {
		if (!options->columns)
			top_default_columns(top, true);
		play(&replay, signals);
		screen_close();
	} else {
		if (!options->columns)
			top_default_columns(top, false);
		print_steps(&replay);
	}

	return true;
}
