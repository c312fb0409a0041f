// SPDX-License-Identifier: GPL-2.0
#include <assert.h>
#include <err.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "cgroup.h"
#include "csv.h"
#include "fit.h"
#include "format.h"
#include "name.h"
#include "output.h"
#include "user.h"
#include "util.h"

/* ---- Fields ---- */

/* The type of a field, and how it is printed. */
enum type {
	TYPE_U32,
	TYPE_U64,
	TYPE_LOAD,
	TYPE_WALL,
	TYPE_FLAGS,
	TYPE_COMM,
	TYPE_USER,
	TYPE_CGROUP,
};

/* What a line is about: bits for the fields that it has. */
enum {
	IN_SAMPLE = 1,
	IN_PROCESS = 2,
	IN_TREE = 4,
	IN_NAME = 8,
	IN_USER = 16,
	IN_CGROUP = 32,

	/* A field from the identity of a process */
	IN_IDENTITY = 64,

	IN_PROCESSES = IN_PROCESS | IN_TREE,
	IN_GROUPS = IN_NAME | IN_USER | IN_CGROUP,
	IN_RECORDS = IN_PROCESSES | IN_GROUPS,
	IN_ALL = IN_SAMPLE | IN_RECORDS,
};

enum {
	F_JIFFIES,
	F_SECONDS,
	F_TIME,
	F_SAMPLE_MIN_FLT,
	F_SAMPLE_MAJ_FLT,
	F_CPU_PERCENT,
	F_PID,
	F_FLAGS,
	F_PROCESSES,
	F_MIN_FLT,
	F_MAJ_FLT,
	F_CPU_NS,
	F_RSS_BYTES,
	F_DEPTH,
	F_COMM,
	F_PPID,
	F_UID,
	F_USER,
	F_START_SECONDS,
	F_START_TIME,
	F_CGROUP_ID,
	F_CGROUP,
	NR_FIELDS,
};

/**
 * struct field - a field of a line
 * @name:   name of the column
 * @type:   type of the field
 * @offset: of the field in struct line
 * @in:     what lines have it; IN_IDENTITY
 */
struct field {
	const char *name;
	enum type type;
	size_t offset;
	unsigned int in;
};

#define AT(member) offsetof(struct line, member)

static_assert(sizeof(unsigned long) == sizeof(__u64), "a 64-bit machine");

/* A field that is added to a struct gets its line here, and its place below. */
static const struct field fields[NR_FIELDS] = {
	[F_JIFFIES] = { "jiffies", TYPE_U64, AT(entry.sample.jiffies),
			IN_SAMPLE },
	[F_SECONDS] = { "seconds", TYPE_LOAD, AT(entry.time_ns), IN_ALL },
	[F_TIME] = { "time", TYPE_WALL, AT(entry.time_ns), IN_ALL },
	[F_SAMPLE_MIN_FLT] = { "min_flt", TYPE_U64, AT(entry.sample.min_flt),
			       IN_SAMPLE },
	[F_SAMPLE_MAJ_FLT] = { "maj_flt", TYPE_U64, AT(entry.sample.maj_flt),
			       IN_SAMPLE },
	[F_CPU_PERCENT] = { "cpu_percent", TYPE_U64,
			    AT(entry.sample.cpu_percent), IN_SAMPLE },
	[F_PID] = { "pid", TYPE_U32, AT(entry.record.pid), IN_PROCESSES },
	[F_FLAGS] = { "flags", TYPE_FLAGS, AT(entry.record.flags),
		      IN_PROCESSES },
	[F_PROCESSES] = { "processes", TYPE_U64, AT(nr_processes), IN_GROUPS },
	[F_MIN_FLT] = { "min_flt", TYPE_U64, AT(entry.record.min_flt),
			IN_RECORDS },
	[F_MAJ_FLT] = { "maj_flt", TYPE_U64, AT(entry.record.maj_flt),
			IN_RECORDS },
	[F_CPU_NS] = { "cpu_ns", TYPE_U64, AT(entry.record.cpu_ns),
		       IN_RECORDS },
	[F_RSS_BYTES] = { "rss_bytes", TYPE_U64, AT(entry.record.rss_bytes),
			  IN_RECORDS },
	[F_DEPTH] = { "depth", TYPE_U32, AT(depth), IN_TREE },
	[F_COMM] = { "comm", TYPE_COMM, AT(entry.record.comm),
		     IN_PROCESSES | IN_NAME },
	[F_PPID] = { "ppid", TYPE_U32, AT(ppid), IN_PROCESSES | IN_IDENTITY },
	[F_UID] = { "uid", TYPE_U32, AT(uid),
		    IN_PROCESSES | IN_USER | IN_IDENTITY },
	[F_USER] = { "user", TYPE_USER, AT(uid),
		     IN_PROCESSES | IN_USER | IN_IDENTITY },
	[F_START_SECONDS] = { "start_seconds", TYPE_LOAD, AT(start_ns),
			      IN_PROCESSES | IN_IDENTITY },
	[F_START_TIME] = { "start_time", TYPE_WALL, AT(start_ns),
			   IN_PROCESSES | IN_IDENTITY },
	[F_CGROUP_ID] = { "cgroup_id", TYPE_U64, AT(cgroup_id),
			  IN_PROCESSES | IN_CGROUP | IN_IDENTITY },
	[F_CGROUP] = { "cgroup", TYPE_CGROUP, AT(cgroup_id),
		       IN_PROCESSES | IN_CGROUP | IN_IDENTITY },
};

/* The columns of a line after its time, in their order. NR_FIELDS ends each. */
static const unsigned char sample_columns[] = {
	F_SAMPLE_MIN_FLT, F_SAMPLE_MAJ_FLT, F_CPU_PERCENT, NR_FIELDS,
};

/*
 * Of records with MP3_IDENTITY. As many as the others have, so that each line has
 * the same number of columns; the flags show the kind of a line.
 */
static const unsigned char identity_columns[] = {
	F_PID, F_FLAGS, F_PPID, F_UID, F_START_SECONDS, F_CGROUP_ID, F_COMM,
	NR_FIELDS,
};

/* Of records, and of rows, which are sums of records, by enum report_by */
static const unsigned char record_columns[][9] = {
	[BY_PROCESS] = { F_PID, F_FLAGS, F_MIN_FLT, F_MAJ_FLT, F_CPU_NS,
			 F_RSS_BYTES, F_COMM, NR_FIELDS },
	[BY_NAME] = { F_PROCESSES, F_MIN_FLT, F_MAJ_FLT, F_CPU_NS, F_RSS_BYTES,
		      F_COMM, NR_FIELDS },
	[BY_USER] = { F_PROCESSES, F_MIN_FLT, F_MAJ_FLT, F_CPU_NS, F_RSS_BYTES,
		      F_USER, NR_FIELDS },
	[BY_CGROUP] = { F_PROCESSES, F_MIN_FLT, F_MAJ_FLT, F_CPU_NS,
			F_RSS_BYTES, F_CGROUP, NR_FIELDS },
	[BY_TREE] = { F_PID, F_FLAGS, F_MIN_FLT, F_MAJ_FLT, F_CPU_NS,
		      F_RSS_BYTES, F_DEPTH, F_COMM, NR_FIELDS },
};

/* Generations that are indented: deeper ones are not indented further. */
#define MAX_DEPTH 20

/* Bytes for the text of any field but names of users and cgroups. */
#define TEXT_SIZE NAME_SIZE

/* ---- Formats ---- */

/* What a text is. A name is printable, but it can be any word, or several. */
enum kind {
	IS_NUMBER,
	IS_STRING,
	IS_NAME,
};

/**
 * struct format - how lines are printed
 * @name:	  as the user gives it
 * @has_comments: comments may stand between the lines, and names be indented
 * @has_header:	  the first line names the columns
 * @end:	  ends a line
 * @escape:	  makes the name of a process safe
 * @put:	  prints a column: its number, 0 for the first one, its name, its
 *		  text, and what the text is
 */
struct format {
	const char *name;
	bool has_comments;
	bool has_header;
	const char *end;
	void (*escape)(char text[NAME_SIZE], const char comm[COMM_SIZE]);
	void (*put)(unsigned int column, const char *name, const char *text,
		    enum kind kind);
};

static void put_string(const char *text)
{
	output_put_text(text, strlen(text));
}

/*
 * Puts a string in quotes: @guard, then @text with @escape before each character in
 * @special.
 */
static void put_quoted(const char *guard, const char *text, const char *special,
		       char escape)
{
	size_t plain;

	output_put_text("\"", 1);
	put_string(guard);
	while (*text) {
		plain = strcspn(text, special);
		output_put_text(text, plain);
		text += plain;
		if (*text) {
			output_put_text(&escape, 1);
			output_put_text(text++, 1);
		}
	}
	output_put_text("\"", 1);
}

static void put_text(unsigned int column, const char *name, const char *text,
		     enum kind kind)
{
	(void)name;
	if (column)
		output_put_text(" ", 1);
	if (kind != IS_NAME || !strpbrk(text, " ,")) {
		put_string(text);
		return;
	}
	for (; *text; text++)
		output_put(*text == ' ' || *text == ',' ? "\\x%02x" : "%c", *text);
}

static void put_csv(unsigned int column, const char *name, const char *text,
		    enum kind kind)
{
	(void)name;
	if (column)
		output_put_text(",", 1);
	if (kind == IS_NUMBER)
		put_string(text);
	else
		put_quoted(kind == IS_NAME ? csv_guard(text) : "", text, "\"", '"');
}

static void put_json(unsigned int column, const char *name, const char *text,
		     enum kind kind)
{
	put_string(column ? ",\"" : "{\"");
	put_string(name);
	put_string("\":");
	if (kind == IS_NUMBER)
		put_string(text);
	else
		put_quoted("", text, "\"\\", '\\');
}

static const struct format formats[] = {
	{ "text", true, false, "\n", name_escape_word, put_text },
	{ "csv", false, true, "\n", name_escape, put_csv },
	{ "json", false, false, "}\n", name_escape, put_json },
};

/* Returns the format of a name, or NULL. */
const struct format *format_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(formats[i].name, name))
			return &formats[i];

	return NULL;
}

/* Returns whether lines that start with '#' may stand between others. */
bool format_has_comments(const struct layout *layout)
{
	return layout->format->has_comments && !layout->template;
}

/* ---- Lines ---- */

/* Fills @text with a date and time as in ISO 8601. */
static void wall_text(char text[TEXT_SIZE], __u64 ns)
{
	time_t seconds = (time_t)(ns / NSEC_PER_SEC);
	char date[32], zone[8];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	/* strftime(3) has no colon between hours and minutes. */
	snprintf(text, TEXT_SIZE, "%s.%06u%.3s:%s", date,
		 (unsigned int)(ns % NSEC_PER_SEC / 1000), zone, zone + 3);
}

/* Fills @text with seconds since the module's load, or before it if negative. */
static void load_text(char text[TEXT_SIZE], __u64 time_ns, __u64 base_ns)
{
	__u64 ns = time_ns - base_ns, fraction;
	size_t i;

	if (time_ns < base_ns) {
		ns = base_ns - time_ns;
		*text++ = '-';
	}
	text += number_text(text, ns / NSEC_PER_SEC);
	*text++ = '.';
	fraction = ns % NSEC_PER_SEC / 1000;
	for (i = 6; i--; fraction /= 10)
		text[i] = (char)('0' + fraction % 10);
	text[6] = '\0';
}

/* Returns how many blanks precede a name in a tree. */
static int indentation(const struct line *line)
{
	return 2 * (int)(line->depth < MAX_DEPTH ? line->depth : MAX_DEPTH);
}

/* Returns the text of a record's flags. */
static const char *flags_text(__u32 flags)
{
	static const char *const texts[] = { "-", "F", "L", "FL" };

	return flags & MP3_IDENTITY ? "I" :
	       texts[flags & (MP3_FIRST | MP3_LAST)];
}

/* Returns how many columns a name takes once put_text() has escaped it. */
static size_t escaped_width(const char *name)
{
	size_t width = fit_width(name);

	for (; (name = strpbrk(name, " ,")); name++)
		width += 3;

	return width;
}

/*
 * Returns the name of a cgroup, to be freed: on a terminal, such that its line, of which
 * it is the last column, does not wrap. Exits if there is no memory.
 */
static char *cgroup_text(const struct layout *layout, __u64 id)
{
	const char *name = cgroup_name(id);
	size_t rest, columns;
	char *text;

	if (!layout->columns || !format_has_comments(layout))
		return text_format("%s", name);
	rest = fit_rest(layout->columns, output_line_size() + 1);
	columns = rest;
	text = fit_path(name, columns);
	while (escaped_width(text) > rest) {
		free(text);
		text = fit_path(name, --columns);
	}

	return text;
}

static void put_field(const struct layout *layout, unsigned int column,
		      const struct field *field, const struct line *line)
{
	const void *at = (const char *)line + field->offset;
	const struct format *format = layout->format;
	enum kind kind = IS_NUMBER;
	char buffer[TEXT_SIZE], *cgroup = NULL;
	const char *text = buffer;

	switch (field->type) {
	case TYPE_U32:
		number_text(buffer, *(const __u32 *)at);
		break;
	case TYPE_U64:
		number_text(buffer, *(const __u64 *)at);
		break;
	case TYPE_LOAD:
		load_text(buffer, *(const __u64 *)at, layout->base_ns);
		break;
	case TYPE_WALL:
		wall_text(buffer, *(const __u64 *)at + layout->wall_ns);
		kind = IS_STRING;
		break;
	case TYPE_FLAGS:
		text = flags_text(*(const __u32 *)at);
		kind = IS_STRING;
		break;
	case TYPE_COMM:
		format->escape(buffer, at);
		kind = IS_NAME;
		if (line->depth && format_has_comments(layout))
			output_put("%*s", indentation(line), "");
		break;
	case TYPE_USER:
		number_text(buffer, line->uid);
		text = user_name(line->uid) ?: buffer;
		kind = IS_NAME;
		break;
	case TYPE_CGROUP:
		cgroup = cgroup_text(layout, line->cgroup_id);
		text = cgroup;
		kind = IS_NAME;
		break;
	}
	if (field->in & IN_IDENTITY && !line->identified)
		text = "unknown";
	format->put(column, field->name, text, kind);
	free(cgroup);
}

/* Returns the field of the first column. */
static unsigned int time_field(const struct layout *layout)
{
	if (layout->time == TIME_WALL)
		return F_TIME;
	if (layout->time == TIME_LOAD || layout->records)
		return F_SECONDS;
	return F_JIFFIES;
}

/* Returns the columns after the time of a line, or of an identity record. */
static const unsigned char *columns_of(const struct layout *layout,
				       bool identity)
{
	if (!layout->records)
		return sample_columns;

	return identity ? identity_columns : record_columns[layout->by];
}

/*
 * Returns the field of a column. The start of a process is on the same clock as the
 * first column.
 */
static const struct field *column_field(const struct layout *layout,
					unsigned int column)
{
	if (column == F_START_SECONDS && layout->time == TIME_WALL)
		column = F_START_TIME;

	return &fields[column];
}

static void put_header(const struct layout *layout, bool identity)
{
	const unsigned char *column = columns_of(layout, identity);

	output_put("%s", fields[time_field(layout)].name);
	for (; *column != NR_FIELDS; column++)
		output_put(",%s", column_field(layout, *column)->name);
	output_put("\n");
}

/*
 * Puts the line that names the columns, if the format has one, and a second line
 * for identity records, if they are printed. The caller has made room for a line,
 * and both fit in.
 */
void format_put_header(const struct layout *layout)
{
	if (!layout->format->has_header || layout->template)
		return;
	put_header(layout, false);
	if (layout->identity)
		put_header(layout, true);
}

/* ---- Templates ---- */

/**
 * struct piece - a piece of a template
 * @text:  what precedes the field
 * @field: the field, or NULL
 */
struct piece {
	char *text;
	const struct field *field;
};

/**
 * struct template - what a line consists of
 * @pieces: its pieces
 * @nr:     how many
 */
struct template {
	struct piece *pieces;
	size_t nr;
};

/* Returns the bit for what a line is about. */
static unsigned int line_bit(const struct layout *layout)
{
	static const unsigned int bits[] = {
		[BY_PROCESS] = IN_PROCESS,
		[BY_NAME] = IN_NAME,
		[BY_USER] = IN_USER,
		[BY_CGROUP] = IN_CGROUP,
		[BY_TREE] = IN_TREE,
	};

	return layout->records ? bits[layout->by] : IN_SAMPLE;
}

/* Returns the field with the name of @length bytes, or exits with status 2. */
static const struct field *find_field(const struct layout *layout,
				      const char *name, size_t length)
{
	const struct field *field = fields;
	size_t i;

	for (i = 0; i < NR_FIELDS; i++, field++)
		if (field->in & line_bit(layout) &&
		    strlen(field->name) == length &&
		    !memcmp(field->name, name, length))
			return field;
	errx(2, "--format: there is no field '{%.*s}' here: see FIELDS in mp3ctl(1)",
	     (int)length, name);
}

/*
 * Copies the text of a template up to a field or its end, without escapes. Sets
 * @text to the field or the end. Exits with status 2 if an escape is wrong.
 */
static char *copy_text(const char **text)
{
	char *copy = malloc(strlen(*text) + 1), *end = copy;
	const char *at;

	if (!copy)
		err(1, "--format");
	for (at = *text; *at && *at != '{'; at++) {
		if (*at != '\\')
			*end++ = *at;
		else if (*++at == 'n')
			*end++ = '\n';
		else if (*at == 't')
			*end++ = '\t';
		else if (*at == '\\' || *at == '{')
			*end++ = *at;
		else
			errx(2, "--format: a backslash precedes n, t, { or another backslash");
	}
	*end = '\0';
	*text = at;

	return copy;
}

/**
 * format_set_template() - parse a template
 * @layout: what lines are about; its format and template are set
 * @text:   texts with escapes, and names of fields in braces
 *
 * Exits with status 2 if the template is wrong.
 */
void format_set_template(struct layout *layout, const char *text)
{
	struct template *template = calloc(1, sizeof(*template));
	/* A piece has a brace, but the last one. */
	struct piece *piece = calloc(strlen(text) + 1, sizeof(*piece));
	const char *end;

	if (!template || !piece)
		err(1, "--format");
	template->pieces = piece;
	while (*text) {
		piece->text = copy_text(&text);
		if (*text) {
			end = strchr(text, '}');
			if (!end)
				errx(2, "--format: '%s' lacks a closing brace",
				     text);
			piece->field = find_field(layout, text + 1,
						  (size_t)(end - text - 1));
			text = end + 1;
		}
		piece++;
	}
	template->nr = (size_t)(piece - template->pieces);
	layout->format = format_find("text");
	layout->template = template;
}

static void put_template(const struct layout *layout, const struct line *line)
{
	const struct piece *piece = layout->template->pieces;
	size_t i;

	for (i = 0; i < layout->template->nr; i++, piece++) {
		put_string(piece->text);
		if (piece->field)
			put_field(layout, 0, piece->field, line);
	}
}

/* ---- Entries ---- */

/* Notes the identity of a process in a line about it. */
void line_identify(struct line *line, const struct process *process)
{
	line->identified = process->identified;
	line->ppid = process->ppid;
	line->uid = process->uid;
	line->start_ns = process->start_ns;
	line->cgroup_id = process->cgroup_id;
}

/* Puts a line. The caller has made room for it. */
void format_put_line(const struct layout *layout, const struct line *line)
{
	bool identity = layout->records &&
			line->entry.record.flags & MP3_IDENTITY;
	const unsigned char *columns = columns_of(layout, identity);
	unsigned int i;

	if (layout->template) {
		put_template(layout, line);
	} else {
		put_field(layout, 0, &fields[time_field(layout)], line);
		for (i = 0; columns[i] != NR_FIELDS; i++)
			put_field(layout, i + 1,
				  column_field(layout, columns[i]), line);
		put_string(layout->format->end);
	}
}

/**
 * format_put_entry() - put the line of a sample or a record
 * @layout:  how
 * @entry:   the entry; the caller has made room for its line
 * @process: the process of a record, or NULL
 */
void format_put_entry(const struct layout *layout, const struct entry *entry,
		      const struct process *process)
{
	struct line line = { .entry = *entry };
	const struct mp3_record *record = &entry->record;

	if (layout->records && record->flags & MP3_IDENTITY) {
		line.identified = true;
		line.ppid = record->ppid;
		line.uid = record->uid;
		line.start_ns = record->start_ns;
		line.cgroup_id = record->cgroup_id;
	} else if (process) {
		line_identify(&line, process);
	}
	format_put_line(layout, &line);
	output_end_entries(1);
}
