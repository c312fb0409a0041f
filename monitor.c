// SPDX-License-Identifier: GPL-2.0
/*
 * monitor: prints the samples that are in the ring, oldest first, and takes
 * them out. Or follows them as they come, or those of each process, which it
 * leaves to others; shows a live table; runs a command when a rate holds.
 */
#include <err.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>

#include "mp3_client.h"
#include "mp3_tools.h"
#include "monitor_top.h"

/* Entries that are written before they are consumed. */
#define CHUNK 256

/* More bytes than a line of output has. */
#define LINE_SIZE 512

/* Between two runs of an alert's command. */
#define ALERT_PAUSE (60 * NSEC_PER_SEC)

static const char help[] =
	"usage: monitor [OPTION]... > profile.data\n"
	"       monitor --top [OPTION]...\n"
	"       monitor --alert CONDITION [OPTION]... -- COMMAND [ARGUMENT]...\n"
	"Prints the samples that are in mp3's ring, oldest first, and takes them out.\n"
	"A line is: jiffies min_flt maj_flt cpu_percent\n"
	"\n"
	"  -d, --device DEVICE   ring to read (default " MP3_DEVICE_PATH ", or\n"
	"                        " MP3_PROCS_PATH " for records)\n"
	"  -f, --follow          go on, print what comes, take nothing out\n"
	"      --until-idle      follow, and end when nothing is registered\n"
	"  -k, --keep            take nothing out\n"
	"      --processes       records, of each process by itself, not samples\n"
	"      --pid PID         records of this process only\n"
	"      --format FORMAT   text (the default), csv with a header line, or json\n"
	"      --time CLOCK      load: seconds since the module's load; wall: date and time\n"
	"      --since SECONDS   leave out what is older\n"
	"      --for SECONDS     end so long after that, or after the start\n"
	"      --top             a live table of processes\n"
	"      --alert CONDITION run a command when a rate has held for some time:\n"
	"                        major=100/s:2s, minor=5000/s:1s, cpu=90%:10s\n"
	"  -h, --help            show this help\n"
	"  -V, --version         show the version\n";

/**
 * struct entry - a sample or a record
 * @number:  its number in the ring
 * @time_ns: when it was taken, CLOCK_MONOTONIC
 * @sample:  one of the two
 * @record:  the other one
 */
struct entry {
	__u64 number;
	__u64 time_ns;
	union {
		struct mp3_sample sample;
		struct mp3_record record;
	};
};

enum { METRIC_MAJOR, METRIC_MINOR, METRIC_CPU, METRICS };

/**
 * struct metric - what an alert can be of
 * @name:  as the user calls it
 * @unit:  likewise, of its rate
 * @scale: what is counted in a second at a rate of one unit
 */
static const struct metric {
	const char *name;
	const char *unit;
	double scale;
} metrics[METRICS] = {
	[METRIC_MAJOR] = { "major", "/s", 1 },
	[METRIC_MINOR] = { "minor", "/s", 1 },
	[METRIC_CPU] = { "cpu", "%", 1e7 },	/* nanoseconds */
};

/**
 * struct alert - a condition, and how far it is from being met
 * @text:     as the user gave it
 * @metric:   of which rate; NULL without an alert
 * @rate:     what is counted, a second
 * @seconds:  how long it has to hold
 * @surplus:  what was counted beyond that rate
 * @count:    what was counted since it holds
 * @since_ns: since when it holds
 * @last_ns:  the tick of the entry before
 * @quiet_ns: until when nothing is run
 */
struct alert {
	const char *text;
	const struct metric *metric;
	double rate;
	double seconds;
	double surplus;
	double count;
	__u64 since_ns;
	__u64 last_ns;
	__u64 quiet_ns;
};

/**
 * enum clock - what tells the time in the output
 * @TIME_ENTRY: a sample's jiffies, a record's seconds since load
 * @TIME_LOAD:  seconds since load
 * @TIME_WALL:  date and time
 */
enum clock {
	TIME_ENTRY,
	TIME_LOAD,
	TIME_WALL,
};

struct format;

/**
 * struct monitor - what is asked for, and how far it is
 * @device:	ring, NULL for the default one
 * @format:	of the output
 * @clock:	of the output
 * @follow:	print what comes
 * @until_idle:	end when nothing is registered
 * @consume:	take out what was printed
 * @records:	read records, not samples
 * @pid:	whose alone, 0 for all
 * @from_ns:	nothing before, CLOCK_MONOTONIC
 * @to_ns:	nothing after
 * @alert:	condition to run @command
 * @command:	its words, and a NULL
 * @top:	table, NULL for none
 * @show_ns:	when to show it
 * @reader:	ring
 * @wall_ns:	what CLOCK_REALTIME is ahead of CLOCK_MONOTONIC
 * @signals:	signalfd of those that end it, -1 where they do so by themselves
 * @stopped:	one of these has come
 * @mask:	signal mask that it was started with
 * @begun_ns:	when it began, CLOCK_MONOTONIC
 * @start:	number of the oldest entry then
 * @seen:	entries read
 * @count:	entries printed
 * @older:	entries before @start, if all of these may be lost
 * @told:	lost entries that were told of
 * @missed:	ticks that the module had missed before a live one began
 */
struct monitor {
	const char *device;
	const struct format *format;
	enum clock clock;
	bool follow;
	bool until_idle;
	bool consume;
	bool records;
	__u32 pid;
	__u64 from_ns;
	__u64 to_ns;
	struct alert alert;
	char **command;
	struct top *top;
	__u64 show_ns;
	struct mp3_reader reader;
	__u64 wall_ns;
	int signals;
	bool stopped;
	sigset_t mask;
	__u64 begun_ns;
	__u64 start;
	__u64 seen;
	__u64 count;
	__u64 older;
	__u64 told;
	__u64 missed;
};

static __u64 clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (__u64)now.tv_sec * NSEC_PER_SEC + (__u64)now.tv_nsec;
}

/* Whether it goes on when it has read what is there. */
static bool is_live(const struct monitor *monitor)
{
	return monitor->follow || monitor->top || monitor->alert.metric;
}

/* An alert by itself prints nothing, and a table not its entries. */
static bool prints_entries(const struct monitor *monitor)
{
	return monitor->follow || !is_live(monitor);
}

/* ---- Output ---- */

/*
 * Goes out in pieces of whole lines and at most PIPE_BUF bytes: a pipe that is
 * writable takes so much without blocking, so that one who does not read keeps
 * nobody from ending monitor, and takes it in one, so that no line is torn.
 */
static struct {
	size_t size;
	unsigned int lines;
	char text[PIPE_BUF];
} out;

/* Appends to the line; there is room, see begin_line(). */
__attribute__((format(printf, 1, 2)))
static void put(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	out.size += (size_t)vsnprintf(out.text + out.size,
				      sizeof(out.text) - out.size, fmt, args);
	va_end(args);
}

/* Waits for room; false when it is time to end, and there is none. */
static bool wait_output(struct monitor *monitor)
{
	struct pollfd fds[] = {
		{ .fd = monitor->signals, .events = POLLIN },
		{ .fd = STDOUT_FILENO, .events = POLLOUT },
	};

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			err(1, "poll");
	monitor->stopped = fds[0].revents;

	return fds[1].revents;
}

/* Writes what was put; false when it is time to end. */
static bool flush(struct monitor *monitor)
{
	size_t done = 0;
	ssize_t size;

	while (done < out.size) {
		if (!wait_output(monitor))
			return false;
		size = write(STDOUT_FILENO, out.text + done, out.size - done);
		if (size < 0 && errno == EPIPE && is_live(monitor))
			return false;
		if (size < 0 && errno != EINTR && errno != EAGAIN)
			err(1, "standard output");
		if (size > 0)
			done += (size_t)size;
	}
	monitor->count += out.lines;
	out.size = 0;
	out.lines = 0;

	/* There may be a lot more to print, and each piece be slow. */
	return !monitor->stopped;
}

/* Makes room for a line; false when it is time to end. */
static bool begin_line(struct monitor *monitor)
{
	return sizeof(out.text) - out.size >= LINE_SIZE || flush(monitor);
}

/* ---- Formats ---- */

/**
 * struct row - an entry as it is printed
 * @nr:	    how many fields
 * @fields: each a @name, a @text, and whether that is text and no number
 */
struct row {
	unsigned int nr;
	struct field {
		const char *name;
		bool quoted;
		char text[COMM_ESCAPED];
	} fields[8];
};

/* Adds a field, whose text the caller fills. */
static char *add_field(struct row *row, const char *name, bool quoted)
{
	struct field *field = &row->fields[row->nr++];

	field->name = name;
	field->quoted = quoted;

	return field->text;
}

static void add_number(struct row *row, const char *name, __u64 value)
{
	sprintf(add_field(row, name, false), "%llu", (unsigned long long)value);
}

static void add_wall(struct row *row, __u64 ns)
{
	char *text = add_field(row, "time", true), date[32], zone[8];
	time_t seconds = (time_t)(ns / NSEC_PER_SEC);
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	snprintf(text, COMM_ESCAPED, "%s.%06u%s", date,
		 (unsigned int)(ns % NSEC_PER_SEC / 1000), zone);
}

static void add_time(struct row *row, const struct monitor *monitor,
		     const struct entry *entry)
{
	__u64 ns = entry->time_ns - monitor->reader.header->base_ns;

	if (monitor->clock == TIME_WALL)
		add_wall(row, entry->time_ns + monitor->wall_ns);
	else if (monitor->clock == TIME_LOAD || monitor->records)
		sprintf(add_field(row, "seconds", false), "%llu.%06u",
			(unsigned long long)(ns / NSEC_PER_SEC),
			(unsigned int)(ns % NSEC_PER_SEC / 1000));
	else
		add_number(row, "jiffies", entry->sample.jiffies);
}

static void fill_row(struct row *row, const struct monitor *monitor,
		     const struct entry *entry)
{
	static const char *const flags[] = { "-", "F", "L", "FL" };
	const struct mp3_sample *sample = &entry->sample;
	const struct mp3_record *record = &entry->record;

	row->nr = 0;
	add_time(row, monitor, entry);
	if (!monitor->records) {
		add_number(row, "min_flt", sample->min_flt);
		add_number(row, "maj_flt", sample->maj_flt);
		add_number(row, "cpu_percent", sample->cpu_percent);
		return;
	}
	add_number(row, "pid", record->pid);
	strcpy(add_field(row, "flags", true),
	       flags[record->flags & (MP3_FIRST | MP3_LAST)]);
	add_number(row, "min_flt", record->min_flt);
	add_number(row, "maj_flt", record->maj_flt);
	add_number(row, "cpu_ns", record->cpu_ns);
	add_number(row, "rss_bytes", record->rss_bytes);
	comm_escape(add_field(row, "comm", true), record->comm);
}

/* In quotes, with @escape before each of the characters in @special. */
static void put_quoted(const char *text, const char *special, char escape)
{
	put("\"");
	for (; *text; text++)
		if (strchr(special, *text))
			put("%c%c", escape, *text);
		else
			put("%c", *text);
	put("\"");
}

static void put_text(const struct row *row)
{
	for (unsigned int i = 0; i < row->nr; i++)
		put("%s%s", i ? " " : "", row->fields[i].text);
	put("\n");
}

static void put_csv_header(const struct row *row)
{
	for (unsigned int i = 0; i < row->nr; i++)
		put("%s%s", i ? "," : "", row->fields[i].name);
	put("\n");
}

static void put_csv(const struct row *row)
{
	for (unsigned int i = 0; i < row->nr; i++) {
		put("%s", i ? "," : "");
		if (row->fields[i].quoted)
			put_quoted(row->fields[i].text, "\"", '"');
		else
			put("%s", row->fields[i].text);
	}
	put("\n");
}

static void put_json(const struct row *row)
{
	for (unsigned int i = 0; i < row->nr; i++) {
		put("%s\"%s\":", i ? "," : "{", row->fields[i].name);
		if (row->fields[i].quoted)
			put_quoted(row->fields[i].text, "\"\\", '\\');
		else
			put("%s", row->fields[i].text);
	}
	put("}\n");
}

/**
 * struct format - how rows are printed
 * @name:   as the user calls it
 * @header: prints what comes before the first row, or NULL
 * @row:    prints one
 */
static const struct format {
	const char *name;
	void (*header)(const struct row *row);
	void (*row)(const struct row *row);
} formats[] = {
	{ "text", NULL, put_text },
	{ "csv", put_csv_header, put_csv },
	{ "json", NULL, put_json },
	{}
};

static void put_header(const struct monitor *monitor)
{
	const struct entry none = {
		.time_ns = monitor->reader.header->base_ns
	};
	struct row row;

	fill_row(&row, monitor, &none);
	monitor->format->header(&row);
}

static bool print_entry(struct monitor *monitor, const struct entry *entry)
{
	struct row row;

	if (!begin_line(monitor))
		return false;
	fill_row(&row, monitor, entry);
	monitor->format->row(&row);
	out.lines++;

	return true;
}

/* ---- Alerts ---- */

static void set_variable(const char *name, const char *fmt, double value)
{
	char text[32];

	snprintf(text, sizeof(text), fmt, value);
	setenv(name, text, true);
}

/* In the child. Nobody waits for it, and it must not write between rows. */
__attribute__((noreturn))
static void run_command(const struct monitor *monitor, double rate,
			double seconds)
{
	const struct alert *alert = &monitor->alert;

	sigprocmask(SIG_SETMASK, &monitor->mask, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	setenv("MP3_ALERT", alert->text, true);
	setenv("MP3_METRIC", alert->metric->name, true);
	set_variable("MP3_RATE", "%.1f", rate);
	set_variable("MP3_SECONDS", "%.2f", seconds);
	unsetenv("MP3_PID");
	if (monitor->pid)
		set_variable("MP3_PID", "%.0f", monitor->pid);
	execvp(monitor->command[0], monitor->command);
	warn("%s", monitor->command[0]);
	_exit(127);
}

static void run_alert(struct monitor *monitor, double seconds)
{
	const struct alert *alert = &monitor->alert;
	double rate = alert->count / seconds / alert->metric->scale;
	pid_t pid;

	warnx("%s: %.1f%s for %.2f s, running %s", alert->metric->name, rate,
	      alert->metric->unit, seconds, monitor->command[0]);
	pid = fork();
	if (pid < 0)
		warn("fork");
	else if (!pid)
		run_command(monitor, rate, seconds);
}

/* What the alert counts of an entry, after @ns without one. */
static double alert_count(const struct monitor *monitor,
			  const struct entry *entry, __u64 ns)
{
	__u64 interval_ns = monitor->reader.header->interval_ns;
	const struct mp3_sample *sample = &entry->sample;
	const struct mp3_record *record = &entry->record;

	switch (monitor->alert.metric - metrics) {
	case METRIC_MAJOR:
		return (double)(monitor->records ? record->maj_flt :
						   sample->maj_flt);
	case METRIC_MINOR:
		return (double)(monitor->records ? record->min_flt :
						   sample->min_flt);
	}
	if (monitor->records)
		return (double)record->cpu_ns;

	return (double)sample->cpu_percent / 100 *
		(double)(ns > interval_ns ? ns : interval_ns);
}

/*
 * All of the last tick is known: a rate holds as long as what was counted since
 * then keeps up with it, for faults come in bursts, and many an interval of them
 * has none. What a burst is ahead makes up for a pause of a second, or half of
 * what the rate has to hold if that is less, and not for a longer one.
 */
static void end_tick(struct alert *alert)
{
	double pause = alert->seconds / 2, most;

	most = alert->rate * (pause < 1 ? pause : 1);
	if (alert->surplus > most)
		alert->surplus = most;
	if (alert->surplus < 0) {
		alert->surplus = 0;
		alert->count = 0;
		alert->since_ns = alert->last_ns;
	}
}

/* Of the entries of one tick the first takes the time, and all are counted. */
static void check_alert(struct monitor *monitor, const struct entry *entry)
{
	struct alert *alert = &monitor->alert;
	double count, seconds;
	__u64 ns;

	if (!alert->last_ns) {
		alert->last_ns = entry->time_ns;
		alert->since_ns = entry->time_ns;
	}
	/* Before the first tick time does not count, nor does what was then. */
	if (entry->time_ns == alert->since_ns)
		return;
	ns = entry->time_ns - alert->last_ns;
	if (ns) {
		end_tick(alert);
		alert->surplus -= alert->rate * (double)ns / 1e9;
		alert->last_ns = entry->time_ns;
	}
	count = alert_count(monitor, entry, ns);
	alert->count += count;
	alert->surplus += count;
	if (alert->surplus < 0)
		return;

	seconds = (double)(entry->time_ns - alert->since_ns) / 1e9;
	if (seconds < alert->seconds || entry->time_ns < alert->quiet_ns)
		return;
	alert->quiet_ns = entry->time_ns + ALERT_PAUSE;
	run_alert(monitor, seconds);
}

/* ---- The ring ---- */

static void open_ring(struct monitor *monitor)
{
	struct mp3_reader *reader = &monitor->reader;
	const char *device = monitor->device;
	int error;

	if (!device)
		device = monitor->records ? MP3_PROCS_PATH : MP3_DEVICE_PATH;
	error = monitor->records ? mp3_reader_open_records(reader, device) :
				   mp3_reader_open(reader, device,
						   monitor->consume);
	if (error && reader->version && reader->version != MP3_ABI_VERSION)
		errx(1, "%s: has ABI version %u, this monitor reads version %u",
		     device, reader->version, MP3_ABI_VERSION);
	if (error)
		errx(1, "%s: %s", device, mp3_strerror(error));
}

static bool next_entry(struct monitor *monitor, struct entry *entry)
{
	struct mp3_reader *reader = &monitor->reader;

	if (monitor->records) {
		if (!mp3_reader_next_record(reader, &entry->record))
			return false;
		entry->time_ns = entry->record.time_ns;
	} else {
		if (!mp3_reader_next(reader, &entry->sample))
			return false;
		entry->time_ns = mp3_reader_time(reader, &entry->sample);
	}
	entry->number = reader->next - 1;
	monitor->seen++;

	return true;
}

static bool is_wanted(const struct monitor *monitor, const struct entry *entry)
{
	return entry->time_ns >= monitor->from_ns &&
	       entry->time_ns <= monitor->to_ns &&
	       (!monitor->pid || entry->record.pid == monitor->pid);
}

/**
 * struct chunk - entries that were read, and are not consumed yet
 * @nr:	     how many
 * @entries: what they are
 */
struct chunk {
	unsigned int nr;
	struct entry entries[CHUNK];
};

/* Reads up to a chunk of the entries below @end. */
static void read_chunk(struct monitor *monitor, __u64 end, struct chunk *chunk)
{
	struct mp3_reader *reader = &monitor->reader;
	struct entry entry;

	chunk->nr = 0;
	while (chunk->nr < CHUNK && reader->next < end &&
	       next_entry(monitor, &entry))
		if (is_wanted(monitor, &entry))
			chunk->entries[chunk->nr++] = entry;
}

/* False when it is time to end. */
static bool take_entry(struct monitor *monitor, const struct entry *entry)
{
	if (monitor->top)
		top_add(monitor->top, &entry->record);
	/* What was before is nothing to be alarmed about. */
	if (monitor->alert.metric && entry->time_ns >= monitor->begun_ns)
		check_alert(monitor, entry);

	return !prints_entries(monitor) || print_entry(monitor, entry);
}

/*
 * Takes the entries below @end, and consumes them only after they were written:
 * the rest stays in the ring. False when it is time to end.
 *
 * Entries that are overwritten meanwhile are lost for certain. Of those that
 * were overwritten before, nobody can tell which had been consumed: none is
 * lost if the oldest one left is consumed, for readers go from old to new, else
 * all of them may be.
 */
static bool drain(struct monitor *monitor, __u64 end)
{
	struct mp3_reader *reader = &monitor->reader;
	struct chunk chunk;
	unsigned int i;

	monitor->wall_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	for (read_chunk(monitor, end, &chunk); chunk.nr;
	     read_chunk(monitor, end, &chunk)) {
		if (monitor->consume && !monitor->count &&
		    chunk.entries[0].number - monitor->start <= reader->lost)
			monitor->older = monitor->start;
		for (i = 0; i < chunk.nr; i++)
			if (!take_entry(monitor, &chunk.entries[i]))
				return false;
		if (!flush(monitor))
			return false;
		for (i = 0; i < chunk.nr && monitor->consume; i++)
			mp3_reader_consume(reader, chunk.entries[i].number,
					   &chunk.entries[i].sample);
	}

	return true;
}

static const char *entries_name(const struct monitor *monitor)
{
	return monitor->records ? "records" : "samples";
}

static void summarize(const struct monitor *monitor)
{
	const struct mp3_reader *reader = &monitor->reader;
	__u64 passed = reader->next - monitor->start - reader->lost;
	__u64 missed = __atomic_load_n(&reader->header->missed,
				       __ATOMIC_RELAXED) - monitor->missed;

	fprintf(stderr, "monitor: %llu %s read, %s%llu lost",
		(unsigned long long)monitor->count, entries_name(monitor),
		monitor->older ? "at most " : "",
		(unsigned long long)(reader->lost + monitor->older));
	if (!monitor->consume && passed > monitor->seen)
		fprintf(stderr, ", %llu consumed by others",
			(unsigned long long)(passed - monitor->seen));
	if (missed)
		fprintf(stderr, ", %llu ticks missed",
			(unsigned long long)missed);
	fputs("\n", stderr);
}

/* ---- Following ---- */

static bool on_screen(const struct monitor *monitor)
{
	return monitor->top && monitor->top->screen;
}

/* From now on signals are for poll(2), and nobody waits for children. */
static void catch_signals(struct monitor *monitor)
{
	struct sigaction action = { .sa_handler = SIG_DFL,
				    .sa_flags = SA_NOCLDWAIT };
	sigset_t signals;

	sigaction(SIGCHLD, &action, NULL);
	ending_signals(&signals);
	/* It would leave the terminal without an echo. */
	if (monitor->top)
		sigaddset(&signals, SIGQUIT);
	sigprocmask(SIG_BLOCK, &signals, &monitor->mask);
	monitor->signals = signalfd(-1, &signals, SFD_CLOEXEC);
	if (monitor->signals < 0)
		err(1, "signalfd");
}

/* Milliseconds for poll(2), not less than it takes. */
static int timeout_ms(__u64 now, __u64 until)
{
	if (until == ~0ULL)
		return -1;
	if (until <= now)
		return 0;
	return (until - now) / 1000000 < 3600000 ?
		(int)((until - now + 999999) / 1000000) : 3600000;
}

/*
 * Sleeps until something was published, or it is time to look; false when it is
 * time to end, since a signal says so, or a key, or nobody reads the output.
 */
static bool wait_more(struct monitor *monitor)
{
	__u64 now = clock_ns(CLOCK_MONOTONIC);
	bool silent = !monitor->top && !monitor->follow;
	struct pollfd fds[] = {
		{ .fd = monitor->signals, .events = POLLIN },
		{ .fd = silent ? -1 : STDOUT_FILENO },
		{ .fd = on_screen(monitor) ? STDIN_FILENO : -1,
		  .events = POLLIN },
		{ .fd = monitor->reader.fd, .events = POLLIN },
	};
	__u64 until = monitor->to_ns;

	if (monitor->top && monitor->show_ns < until)
		until = monitor->show_ns;
	/* The last sample wakes before the count of processes is 0. */
	if (monitor->until_idle && now + NSEC_PER_SEC / 10 < until)
		until = now + NSEC_PER_SEC / 10;
	/* EINTR: the terminal's size has changed, which is a key as well. */
	if (poll(fds, 4, timeout_ms(now, until)) < 0) {
		if (errno != EINTR)
			err(1, "poll");
		return !on_screen(monitor) || screen_keys(monitor->top);
	}
	if (fds[0].revents || fds[1].revents || fds[2].revents & ~POLLIN)
		return false;

	return !on_screen(monitor) || screen_keys(monitor->top);
}

/* The table as plain lines; false when it is time to end. */
static bool print_table(struct monitor *monitor)
{
	struct top *top = monitor->top;
	char line[TOP_LINE];
	size_t i;

	top_sort(top);
	top_title(top, line);
	if (!begin_line(monitor))
		return false;
	put("%s\n%s\n", line, top_header);
	for (i = 0; i < top->nr; i++) {
		top_row(top->rows[i], line);
		if (!begin_line(monitor))
			return false;
		put("%s\n", line);
	}
	put("\n");

	return flush(monitor);
}

/* The table, each second; false when it is time to end. */
static bool show_table(struct monitor *monitor, __u64 now)
{
	top_refresh(monitor->top, &monitor->reader, now);
	monitor->show_ns += NSEC_PER_SEC;
	if (monitor->show_ns <= now)
		monitor->show_ns = now + NSEC_PER_SEC;
	if (!monitor->top->screen)
		return print_table(monitor);
	screen_show(monitor->top);

	return true;
}

static bool start_table(struct monitor *monitor)
{
	__u64 now = clock_ns(CLOCK_MONOTONIC);

	if (!drain(monitor, mp3_reader_head(&monitor->reader)))
		return false;
	top_start(monitor->top, &monitor->reader, now);
	monitor->show_ns = now + NSEC_PER_SEC;
	monitor->top->screen = screen_open();
	if (monitor->top->screen)
		screen_show(monitor->top);

	return true;
}

static void tell_lost(struct monitor *monitor)
{
	__u64 lost = monitor->reader.lost - monitor->told;

	if (lost && !monitor->top)
		warnx("%llu %s lost", (unsigned long long)lost,
		      entries_name(monitor));
	monitor->told += lost;
}

static void follow(struct monitor *monitor)
{
	struct mp3_reader *reader = &monitor->reader;
	bool more, idle;
	__u64 now;

	catch_signals(monitor);
	for (more = !monitor->top || start_table(monitor); more;
	     more = more && wait_more(monitor)) {
		/* Before the ring is read: what is older than these is in it. */
		now = clock_ns(CLOCK_MONOTONIC);
		idle = !__atomic_load_n(&reader->header->processes,
					__ATOMIC_ACQUIRE);
		more = drain(monitor, mp3_reader_head(reader));
		tell_lost(monitor);
		idle = idle && monitor->until_idle;
		if (more && monitor->top && (idle || now >= monitor->show_ns))
			more = show_table(monitor, now);
		more = more && !idle && now < monitor->to_ns;
	}
}

/* ---- The command line ---- */

/* Beyond the letters. */
enum {
	OPT_ALERT = 256,
	OPT_FOR,
	OPT_FORMAT,
	OPT_PID,
	OPT_PROCESSES,
	OPT_SINCE,
	OPT_TIME,
	OPT_TOP,
	OPT_UNTIL_IDLE,
};

static __u64 parse_seconds(const char *what, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0 && value <= 1e9))
		errx(2, "%s: '%s' is not a number of seconds", what, text);

	return (__u64)(value * 1e9);
}

static __u32 parse_pid(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || !value ||
	    value > INT_MAX)
		errx(2, "'%s' is not a process id", text);

	return (__u32)value;
}

static const struct format *parse_format(const char *text)
{
	const struct format *format;

	for (format = formats; format->name; format++)
		if (!strcmp(format->name, text))
			return format;
	errx(2, "'%s' is not a format: text, csv, json", text);
}

static enum clock parse_clock(const char *text)
{
	if (!strcmp(text, "load"))
		return TIME_LOAD;
	if (!strcmp(text, "wall"))
		return TIME_WALL;
	errx(2, "'%s' is not a clock: load, wall", text);
}

/* METRIC=RATE:SECONDSs, as in major=100/s:2s */
static struct alert parse_alert(const char *text)
{
	struct alert alert = { .text = text };
	char name[8] = "", unit[4] = "";
	int i, end = 0;
	bool whole;

	whole = sscanf(text, "%7[a-z]=%lf%3[/s%]:%lfs%n", name, &alert.rate,
		       unit, &alert.seconds, &end) == 4 && end && !text[end];
	for (i = 0; i < METRICS; i++)
		if (!strcmp(metrics[i].name, name) &&
		    !strcmp(metrics[i].unit, unit))
			alert.metric = &metrics[i];
	if (!whole || !alert.metric ||
	    !(alert.rate > 0 && alert.rate <= 1e12) ||
	    !(alert.seconds > 0 && alert.seconds <= 1e6))
		errx(2, "'%s' is not like major=100/s:2s, minor=5000/s:1s or cpu=90%%:10s",
		     text);
	alert.rate *= alert.metric->scale;

	return alert;
}

/**
 * struct arguments - what is only needed until all options are known
 * @keep:     --keep
 * @printing: options of how or what to print
 * @since:    --since's argument
 * @span:     --for's
 */
struct arguments {
	bool keep;
	bool printing;
	const char *since;
	const char *span;
};

/* From when to when: --for begins where --since does, or else now. */
static void set_times(struct monitor *monitor,
		      const struct arguments *arguments)
{
	__u64 since;

	monitor->begun_ns = clock_ns(CLOCK_MONOTONIC);
	monitor->to_ns = monitor->begun_ns;
	if (arguments->since) {
		since = parse_seconds("--since", arguments->since);
		if (since > monitor->begun_ns)
			since = monitor->begun_ns;
		monitor->from_ns = monitor->begun_ns - since;
		monitor->to_ns = monitor->from_ns;
	}
	if (arguments->span)
		monitor->to_ns += parse_seconds("--for", arguments->span);
	else
		monitor->to_ns = ~0ULL;
}

/* Refuses what does not go together, and completes the rest. */
static void complete(struct monitor *monitor,
		     const struct arguments *arguments, char **rest)
{
	monitor->command = rest;
	if (*rest && !monitor->alert.metric)
		errx(2, "'%s' is not expected", *rest);
	if (!*rest && monitor->alert.metric)
		errx(2, "--alert needs a command");
	if (monitor->top && (monitor->follow || monitor->alert.metric ||
			     arguments->keep || arguments->printing))
		errx(2, "--top goes with --device, --for and --until-idle only");
	if (monitor->until_idle && !is_live(monitor))
		monitor->follow = true;
	/* Nobody can consume these before they are seen. */
	if (!prints_entries(monitor))
		monitor->records = true;
	if (arguments->span && !arguments->since && !is_live(monitor))
		errx(2, "--for needs --follow or --since");
	monitor->consume = !arguments->keep && !monitor->records &&
			   !is_live(monitor);
	set_times(monitor, arguments);
}

static void parse_options(struct monitor *monitor, int argc, char **argv)
{
	static const struct option options[] = {
		{ "alert", required_argument, NULL, OPT_ALERT },
		{ "device", required_argument, NULL, 'd' },
		{ "follow", no_argument, NULL, 'f' },
		{ "for", required_argument, NULL, OPT_FOR },
		{ "format", required_argument, NULL, OPT_FORMAT },
		{ "help", no_argument, NULL, 'h' },
		{ "keep", no_argument, NULL, 'k' },
		{ "pid", required_argument, NULL, OPT_PID },
		{ "processes", no_argument, NULL, OPT_PROCESSES },
		{ "since", required_argument, NULL, OPT_SINCE },
		{ "time", required_argument, NULL, OPT_TIME },
		{ "top", no_argument, NULL, OPT_TOP },
		{ "until-idle", no_argument, NULL, OPT_UNTIL_IDLE },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	static struct top top;
	struct arguments arguments = {};
	int option;

	/* +: the options behind the command are the command's. */
	while ((option = getopt_long(argc, argv, "+d:fhkV", options,
				     NULL)) != -1) {
		switch (option) {
		case OPT_FORMAT:
			monitor->format = parse_format(optarg);
			arguments.printing = true;
			break;
		case OPT_TIME:
			monitor->clock = parse_clock(optarg);
			arguments.printing = true;
			break;
		case OPT_SINCE:
			arguments.since = optarg;
			arguments.printing = true;
			break;
		case OPT_PID:
			monitor->pid = parse_pid(optarg);
			monitor->records = true;
			arguments.printing = true;
			break;
		case OPT_PROCESSES:
			monitor->records = true;
			arguments.printing = true;
			break;
		case OPT_TOP:
			monitor->top = &top;
			break;
		case OPT_ALERT:
			monitor->alert = parse_alert(optarg);
			break;
		case OPT_FOR:
			arguments.span = optarg;
			break;
		case OPT_UNTIL_IDLE:
			monitor->until_idle = true;
			break;
		case 'd':
			monitor->device = optarg;
			break;
		case 'f':
			monitor->follow = true;
			break;
		case 'k':
			arguments.keep = true;
			break;
		case 'h':
			fputs(help, stdout);
			exit(0);
		case 'V':
			puts("monitor (mp3) " MP3_TOOLS_VERSION);
			exit(0);
		default:
			exit(2);
		}
	}
	complete(monitor, &arguments, argv + optind);
}

int main(int argc, char **argv)
{
	static struct monitor monitor = { .format = formats, .signals = -1 };

	atexit(flush_output);
	parse_options(&monitor, argc, argv);
	/* The ring must not be opened in its place. */
	if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
		err(1, "standard output");
	/* A closed pipe is an error of writing like any other. */
	signal(SIGPIPE, SIG_IGN);
	open_ring(&monitor);
	monitor.start = monitor.reader.next;
	if (is_live(&monitor))
		monitor.missed = __atomic_load_n(&monitor.reader.header->missed,
						 __ATOMIC_RELAXED);
	if (monitor.format->header && prints_entries(&monitor)) {
		put_header(&monitor);
		flush(&monitor);
	}
	if (is_live(&monitor))
		follow(&monitor);
	else
		drain(&monitor, mp3_reader_head(&monitor.reader));
	if (prints_entries(&monitor))
		summarize(&monitor);
	mp3_reader_close(&monitor.reader);

	return 0;
}
