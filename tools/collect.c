// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "capture.h"
#include "cgroup.h"
#include "collect.h"
#include "progress.h"
#include "user.h"
#include "util.h"

/* Time between two updates of the line on the terminal, or of the totals. */
#define LINE_NS		(NSEC_PER_SEC / 4)
#define TOTALS_NS	NSEC_PER_SEC

/* How long to wait at the end for faults and for paths that are being written. */
#define PATIENCE_NS	NSEC_PER_SEC

static const struct session_observer observer;

/**
 * struct known_name - a cgroup or a user whose name was looked up
 * @is_user: it is a user
 * @id:	     its id
 */
struct known_name {
	__u64 is_user;
	__u64 id;
};

/*
 * @options:	what to collect
 * @is_command: a command is started
 * @registers:	each process is registered before it runs
 * @faults:	the ring of faults, and the table of files; unused if none is located
 * @batch:	faults of this pass
 * @nr_batch:	how many
 * @records:	records of this pass, if they are recorded
 * @nr_records:	how many
 * @max_records: how many @records has memory for
 * @names:	struct known_name
 * @total_records: records so far
 * @total_faults: located faults so far
 * @processes:	processes so far: their identity records
 * @last_file:	largest number of a file in faults and frames
 * @data:	what is known of the capture
 * @count:	the faults, summed up
 * @recording:	the recording, if there is one
 * @old:	what a file that had its name has been renamed to, or NULL
 * @older:	what a file that had the name @old has been renamed to, or NULL
 * @shows_line:	a line on the terminal is updated
 * @line_ns:	when it was updated
 * @totals_ns:	when totals were recorded
 */
static struct {
	struct collect options;
	bool is_command;
	bool registers;
	struct mp3_faults faults;
	struct mp3_fault *batch;
	size_t nr_batch;
	struct mp3_record *records;
	size_t nr_records;
	size_t max_records;
	struct set names;
	__u64 total_records;
	__u64 total_faults;
	__u64 processes;
	__u32 last_file;
	struct where_data data;
	struct where_count count;
	struct recording recording;
	char *old;
	char *older;
	bool shows_line;
	__u64 line_ns;
	__u64 totals_ns;
} live;

/* ---- The start ---- */

static void start_locating(const struct mp3_reader *capture)
{
	capture_locate_or_exit(capture, live.options.every,
			       live.options.callers, &live.faults);
	live.batch = reallocarray(NULL, live.faults.capacity,
				  sizeof(*live.batch));
	if (!live.batch)
		err(1, "faults");
}

/* Appends a line of information to @text. Exits if there is no memory. */
__attribute__((format(printf, 3, 4)))
static void add_info(FILE *text, const char *key, const char *format, ...)
{
	char *value, *escaped;
	va_list args;
	int size;

	va_start(args, format);
	size = vasprintf(&value, format, args);
	va_end(args);
	if (size < 0)
		err(1, "recording");
	escaped = text_escape(value, "");
	fprintf(text, "%s=%s\n", key, escaped);
	free(escaped);
	free(value);
}

/* Returns words, separated by blanks, to be freed. Exits if there is no memory. */
static char *join(char **words)
{
	char *text = strdup(""), *longer;

	for (; text && *words; words++) {
		if (asprintf(&longer, "%s%s%s", text, text[0] ? " " : "",
			     *words) < 0)
			longer = NULL;
		free(text);
		text = longer;
	}
	if (!text)
		err(1, "command");

	return text;
}

/* Writes the first chunk of the recording. */
static void record_info(const struct mp3_header *header, const char *command,
			__u64 start_ns)
{
	__u64 time_ns = clock_ns(CLOCK_REALTIME);
	struct utsname system;
	char *info;
	size_t size;
	FILE *text;

	text = open_memstream(&info, &size);
	if (!text)
		err(1, "recording");
	uname(&system);
	add_info(text, "version", MP3_VERSION);
	add_info(text, "release", "%s", system.release);
	add_info(text, "machine", "%s", system.machine);
	add_info(text, "host", "%s", system.nodename);
	add_info(text, "page_size", "%d", getpagesize());
	add_info(text, "hz", "%u", header->hz);
	add_info(text, "interval_ns", "%llu",
		 (unsigned long long)header->interval_ns);
	add_info(text, "command", "%s", command);
	add_info(text, "start_ns", "%llu", (unsigned long long)start_ns);
	add_info(text, "start_time", "%llu.%09llu",
		 (unsigned long long)(time_ns / NSEC_PER_SEC),
		 (unsigned long long)(time_ns % NSEC_PER_SEC));
	add_info(text, "n", "%u", live.options.every);
	add_info(text, "callers", "%u", live.options.callers);
	add_info(text, "base_ns", "%llu", (unsigned long long)header->base_ns);
	add_info(text, "base_jiffies", "%llu",
		 (unsigned long long)header->base_jiffies);
	if (fclose(text))
		err(1, "recording");
	recording_write(&live.recording, MP3_RECORDING_INFO, info, size);
	free(info);
}

static bool is_regular(const char *path)
{
	struct stat info;

	return !lstat(path, &info) && S_ISREG(info.st_mode);
}

/*
 * Renames a file that has the name of the recording, and one that has the new name.
 * Exits with one line if that is impossible.
 */
static void keep_old(const char *path)
{
	char *old;

	if (!is_regular(path))
		return;
	old = text_format("%s.old", path);
	if (is_regular(old)) {
		live.older = text_format("%s~", old);
		if (rename(old, live.older))
			err(1, "%s", live.older);
	}
	if (rename(path, old)) {
		warn("%s", old);
		if (live.older)
			rename(live.older, old);
		exit(1);
	}
	live.old = old;
}

/*
 * Opens a capture. What is registered in the session from now on is collected. Exits
 * with one line if that is impossible.
 */
static void collect_open(const struct collect *options, struct session *session)
{
	live.options = *options;
	live.recording.fd = -1;
	live.names.item_size = sizeof(struct known_name);
	live.names.key_size = sizeof(struct known_name);
	session_open(session);
	session->observer = &observer;
	if (options->every)
		start_locating(&session->capture);
	session->report.start_ns = initial_monotonic_ns();
	data_init(&live.data);
	live.data.n = options->every;
	live.data.local = true;
	count_init(&live.count, options->callers);
}

/* Gives the files that keep_old() has renamed their names again. */
static void restore_old(const char *path)
{
	if (live.old && rename(live.old, path))
		warn("%s", live.old);
	else if (!live.old && live.options.keeps_old && is_regular(path))
		unlink(path);
	if (live.older && rename(live.older, live.old))
		warn("%s", live.older);
}

/* Removes the file that @live.old replaces: nothing has to be restored any longer. */
static void remove_older(void)
{
	if (live.older)
		unlink(live.older);
}

/*
 * Creates the recording: @command is the command or, in its place, what is profiled.
 * To be called before the first records are read. Exits with one line if that is
 * impossible.
 */
static void collect_start(struct session *session, const char *command)
{
	const char *path = live.options.output;

	live.data.start_ns = session->report.start_ns;
	if (path) {
		if (live.options.keeps_old)
			keep_old(path);
		if (!recording_create(&live.recording, path)) {
			restore_old(path);
			exit(1);
		}
		record_info(session->capture.header, command,
			    session->report.start_ns);
		if (!live.is_command)
			remove_older();
	}
	/* Not between the lines of a command on the same terminal */
	live.shows_line = live.options.report && isatty(STDERR_FILENO) &&
			  !(live.is_command && isatty(STDOUT_FILENO));
}

/* ---- Passes ---- */

/* Reads the faults, before the kernel overwrites them. */
static void read_faults(struct session *session)
{
	(void)session;
	live.nr_batch = 0;
	live.nr_records = 0;
	/* Without a ring of faults, its capacity is 0. */
	while (live.nr_batch < live.faults.capacity &&
	       mp3_faults_next(&live.faults, &live.batch[live.nr_batch]) > 0)
		live.nr_batch++;
}

/* Records the name of a cgroup or a user, unless it was recorded before. */
static void record_name(bool is_user, __u64 id)
{
	struct known_name key = { .is_user = is_user, .id = id };
	const char *name;
	char *line;
	bool added;

	/* A kernel without cgroups has none. */
	if (!is_user && !id)
		return;
	set_get(&live.names, &key, &added);
	if (!added)
		return;
	name = is_user ? user_name((__u32)id) : cgroup_name(id);
	if (!name)
		return;
	if (asprintf(&line, "%s\t%llu\t%s\n", is_user ? "user" : "cgroup",
		     (unsigned long long)id, name) < 0)
		err(1, "recording");
	recording_write(&live.recording, MP3_RECORDING_NAMES, line,
			strlen(line));
	free(line);
}

static void add_record(struct session *session, const struct mp3_record *record)
{
	(void)session;
	live.total_records++;
	if (live.options.every)
		data_record(&live.data, record);
	if (live.recording.fd < 0)
		return;
	if (record->flags & MP3_IDENTITY) {
		live.processes++;
		/* Look them up while they exist. */
		record_name(true, record->uid);
		record_name(false, record->cgroup_id);
	}
	if (live.nr_records == live.max_records) {
		live.max_records = live.max_records ? 2 * live.max_records : 64;
		live.records = reallocarray(live.records, live.max_records,
					    sizeof(*live.records));
		if (!live.records)
			err(1, "records");
	}
	live.records[live.nr_records++] = *record;
}

/* Reads the files that have been resolved since the last pass. */
static void read_files(void)
{
	const struct mp3_file *file;
	__u32 i = 0, first;

	if (!live.options.every)
		return;
	while (i < MP3_FILES && live.data.files[i].number)
		i++;
	/* They are resolved in the order of their numbers. */
	for (first = i; (file = mp3_faults_file(&live.faults, i + 1)); i++)
		data_file(&live.data, file);
	recording_write(&live.recording, MP3_RECORDING_FILES,
			&live.data.files[first],
			(i - first) * sizeof(struct mp3_file));
}

/* Notes the files whose paths have to be known at the end. */
static void note_files(const struct mp3_fault *fault)
{
	unsigned int i;

	if (fault->file <= MP3_FILES && fault->file > live.last_file)
		live.last_file = fault->file;
	for (i = 0; i < MP3_FAULT_FRAMES(fault->flags); i++)
		if (MP3_FRAME_FILE(fault->frames[i]) > live.last_file)
			live.last_file = MP3_FRAME_FILE(fault->frames[i]);
}

static __u64 load(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static __u64 larger(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

static void update_totals(const struct session *session, __u64 end_ns)
{
	static const struct mp3_header no_faults;
	const struct mp3_header *records = session->capture.header;
	const struct mp3_header *faults = live.options.every ?
					  live.faults.header : &no_faults;

	live.data.totals = (struct mp3_recording_totals){
		.end_ns = end_ns,
		.counted = load(&faults->counted),
		.located = load(&faults->located),
		.sampled_out = load(&faults->missed),
		.not_written = load(&faults->dropped),
		.lost_faults = live.faults.lost,
		.lost_records = session->capture.lost,
		.dropped = load(&records->dropped),
		/* A process can have its faults denied, but not its records. */
		.denied = larger(load(&records->denied), load(&faults->denied)),
		.running = __atomic_load_n(&records->processes,
					   __ATOMIC_RELAXED),
	};
}

static void record_totals(void)
{
	recording_write(&live.recording, MP3_RECORDING_TOTALS, &live.data.totals,
			sizeof(live.data.totals));
}

static void update_line(const struct session *session, __u64 now_ns)
{
	const struct sums *sums = &live.count.total;
	__u64 every = live.options.every;
	char line[160];

	snprintf(line, sizeof(line),
		 "%.1f s  %llu faults  %llu major  %.3f s stalled  %llu lost",
		 (double)(now_ns - session->report.start_ns) / 1e9,
		 (unsigned long long)(sums->minor * every + sums->major),
		 (unsigned long long)sums->major,
		 (double)(sums->minor_ns * every + sums->major_ns) / 1e9,
		 (unsigned long long)live.faults.lost);
	progress_line(line);
}

static bool has_exited(const struct process *process)
{
	return process->exited;
}

/* Adds up and records what was read. */
static void end_pass(struct session *session)
{
	__u64 now_ns = initial_monotonic_ns();
	size_t i;

	live.total_faults += live.nr_batch;
	for (i = 0; i < live.nr_batch; i++) {
		note_files(&live.batch[i]);
		count_fault(&live.count, &live.data, &live.batch[i]);
	}
	/* Nothing is printed of the processes in it. */
	table_sweep(&session->table, has_exited);
	read_files();
	recording_write(&live.recording, MP3_RECORDING_RECORDS, live.records,
			live.nr_records * sizeof(*live.records));
	recording_write(&live.recording, MP3_RECORDING_FAULTS, live.batch,
			live.nr_batch * sizeof(*live.batch));
	if (now_ns - live.totals_ns >= TOTALS_NS) {
		update_totals(session, now_ns);
		record_totals();
		live.totals_ns = now_ns;
	}
	if (live.shows_line && now_ns - live.line_ns >= LINE_NS) {
		update_line(session, now_ns);
		live.line_ns = now_ns;
	}
}

static const struct session_observer observer = {
	.before = read_faults,
	.record = add_record,
	.after = end_pass,
};

/* ---- The end ---- */

/* Returns whether faults or paths are still being written. */
static bool is_unfinished(void)
{
	return live.options.every &&
	       (live.faults.next < load(&live.faults.header->head) ||
		(live.last_file && !live.data.files[live.last_file - 1].number));
}

/* Reads what the capture contains, and ends it. */
static void collect(struct session *session)
{
	__u64 until_ns;

	/* Counts what was not counted yet: nothing is counted from here on. */
	if (live.options.every)
		mp3_capture_locate(&session->capture, 0, 0);
	session_collect(session);
	until_ns = initial_monotonic_ns() + PATIENCE_NS;
	while (is_unfinished() && initial_monotonic_ns() < until_ns &&
	       !session_wait(session))
		;
	update_totals(session, session->report.end_ns);
	if (live.options.every)
		live.data.totals.lost_faults +=
			load(&live.faults.header->head) - live.faults.next;
	live.data.totals.flags = MP3_RECORDING_COMPLETE;
	if (live.registers)
		live.data.totals.flags |= MP3_RECORDING_CLOSED;
	mp3_faults_close(&live.faults);
	mp3_capture_close(&session->capture);
}

/*
 * Resolves all code addresses, and records the result. After a signal of the user, the
 * rest stay addresses.
 */
static void record_symbols(const struct session *session)
{
	size_t size, i, j;
	char *symbols;
	FILE *text;

	for (i = 0; i < live.count.code.nr && !session_is_interrupted(session);
	     i++) {
		const struct code_sums *code = set_item(&live.count.code, i);

		progress("looking up functions",
			 (double)i / (double)live.count.code.nr);
		if (code->frame != CODE_KERNEL && code->frame != CODE_OTHER)
			frame_text(&live.data, code->frame, false);
	}
	for (i = 0; i < live.count.stacks.nr && !session_is_interrupted(session);
	     i++) {
		const struct stack_sums *stack = set_item(&live.count.stacks, i);

		for (j = 0; j < stack->nr; j++)
			frame_text(&live.data, stack->frames[j], j);
	}
	progress_end();

	text = open_memstream(&symbols, &size);
	if (!text)
		err(1, "symbols");
	for (i = 0; i < live.data.symbols.nr; i++) {
		const struct stored_symbol *symbol =
			set_item(&live.data.symbols, i);

		if (symbol->function || symbol->source)
			fprintf(text, "%llu\t%llx\t%s\t%s\t%u\n",
				(unsigned long long)symbol->file,
				(unsigned long long)symbol->offset,
				symbol->function ? symbol->function : "",
				symbol->source ? symbol->source : "",
				symbol->line);
	}
	if (fclose(text))
		err(1, "symbols");
	recording_write(&live.recording, MP3_RECORDING_SYMBOLS, symbols, size);
	free(symbols);
}

static void clear_line(void)
{
	progress_end();
	live.shows_line = false;
}

/* Prints what was recorded, and what is missing. */
static void print_summary(void)
{
	off_t size = live.recording.end;

	where_losses(stderr, &live.data.totals);
	fprintf(stderr, "[ mp3ctl record: %llu record%s",
		(unsigned long long)live.total_records,
		live.total_records == 1 ? "" : "s");
	if (live.options.every)
		fprintf(stderr, " and %llu fault%s",
			(unsigned long long)live.total_faults,
			live.total_faults == 1 ? "" : "s");
	fprintf(stderr, " of %llu process%s, %.1f %s in %s ]\n",
		(unsigned long long)live.processes,
		live.processes == 1 ? "" : "es",
		(double)size / (size < 1000000 ? 1e3 : 1e6),
		size < 1000000 ? "kB" : "MB", live.options.output);
}

/*
 * Stops profiling, completes the recording, and prints the report or the line about
 * the recording. Returns false if the recording is incomplete, after one line, or if
 * the report could not be written.
 */
static bool collect_finish(struct session *session)
{
	const struct where_report *report = live.options.report;
	bool good;

	collect(session);
	remove_older();
	clear_line();
	/* First: to find functions can take minutes, and may never end. */
	record_totals();
	if (live.options.output && live.options.every)
		record_symbols(session);
	if (report)
		where_report(report, &live.count, &live.data);
	if (report && !in_initial_pid_namespace())
		fputs("process ids are those of the initial pid namespace\n",
		      report->file);

	good = !live.options.output || recording_close(&live.recording);
	good = good && !(report && ferror(report->file));
	if (good && !report)
		print_summary();

	return good;
}

/*
 * Ends profiling without a report: the command could not be started. The files that
 * were renamed have their names again.
 */
static void collect_cancel(struct session *session)
{
	const char *path = live.options.output;

	clear_line();
	mp3_faults_close(&live.faults);
	mp3_capture_close(&session->capture);
	recording_close(&live.recording);
	restore_old(path);
}

/* ---- Commands and processes ---- */

/*
 * Waits until the command has exited, and ends the collection. Returns the exit
 * status.
 */
static int collect_until_exit(struct session *session, struct command *command)
{
	session_run_command(session, command);
	if (command_failed(command, MP3_CAPTURE_PATH))
		collect_cancel(session);
	else if (!collect_finish(session))
		command->status += !command->status;

	return command_finish(command);
}

/**
 * collect_command() - run a command and collect what it does
 * @options: what to collect
 * @session: initialized
 * @argv:    words of the command, ends with NULL
 *
 * Return: the exit status: that of the command or, if it was 0 and the recording is
 * incomplete, 1.
 */
int collect_command(const struct collect *options, struct session *session,
		    char **argv)
{
	struct command command;
	char *words = join(argv);

	live.is_command = true;
	live.registers = true;
	collect_open(options, session);
	collect_start(session, words);
	free(words);
	session_start_command(session, &command, argv);

	return collect_until_exit(session, &command);
}

/*
 * Returns what the recording contains in place of a command, to be freed. Exits if
 * there is no memory.
 */
static char *list_targets(const struct targets *targets, char **argv)
{
	size_t size, i;
	char *list, *words = join(argv);
	FILE *text = open_memstream(&list, &size);

	if (!text)
		err(1, "list of processes");
	if (targets->all)
		fputs("-a", text);
	for (i = 0; i < targets->nr; i++)
		fprintf(text, "%s-p %d", i ? " " : "", targets->pids[i]);
	if (words[0])
		fprintf(text, " -- %s", words);
	free(words);
	if (fclose(text))
		err(1, "list of processes");

	return list;
}

/**
 * collect_processes() - collect what running processes do
 * @options: what to collect
 * @session: initialized
 * @targets: the processes
 * @argv:    words of a command that is run for as long, ends with NULL; if there are
 *	     none, until the processes have exited or a signal arrives
 *
 * Return: the exit status: that of the command, if there is one, or, if it was 0 and
 * the recording is incomplete, 1.
 */
int collect_processes(const struct collect *options, struct session *session,
		      const struct targets *targets, char **argv)
{
	char *list = list_targets(targets, argv);
	struct command command;

	live.is_command = argv[0];
	collect_open(options, session);
	if (!live.is_command)
		session->signals = open_termination_signals();
	session_attach(session, targets);
	collect_start(session, list);
	free(list);
	if (live.is_command) {
		start_alongside(&command, argv);
		return collect_until_exit(session, &command);
	}
	session_wait_for_targets(session);

	return !collect_finish(session);
}
