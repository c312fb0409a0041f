// SPDX-License-Identifier: GPL-2.0
#include <assert.h>
#include <stddef.h>
#include <time.h>

#include "format.h"
#include "name.h"
#include "output.h"
#include "util.h"

/* ---- Fields ---- */

/* The type of a field, and how it is printed. */
enum type {
	TYPE_U32,
	TYPE_U64,
	TYPE_LONG,
	TYPE_TIME,
	TYPE_FLAGS,
	TYPE_NAME,
};

/**
 * struct field - a field of a sample or a record
 * @name:   name of the column
 * @type:   type of the field
 * @offset: of the field in the struct
 */
struct field {
	const char *name;
	enum type type;
	size_t offset;
};

/*
 * The columns after the time, in their order. A field that is added to a struct
 * gets its line here.
 */
static const struct field sample_fields[] = {
	{ "min_flt", TYPE_LONG, offsetof(struct mp3_sample, min_flt) },
	{ "maj_flt", TYPE_LONG, offsetof(struct mp3_sample, maj_flt) },
	{ "cpu_percent", TYPE_LONG, offsetof(struct mp3_sample, cpu_percent) },
};

static const struct field record_fields[] = {
	{ "pid", TYPE_U32, offsetof(struct mp3_record, pid) },
	{ "flags", TYPE_FLAGS, offsetof(struct mp3_record, flags) },
	{ "min_flt", TYPE_U64, offsetof(struct mp3_record, min_flt) },
	{ "maj_flt", TYPE_U64, offsetof(struct mp3_record, maj_flt) },
	{ "cpu_ns", TYPE_U64, offsetof(struct mp3_record, cpu_ns) },
	{ "rss_bytes", TYPE_U64, offsetof(struct mp3_record, rss_bytes) },
	{ "comm", TYPE_NAME, offsetof(struct mp3_record, comm) },
};

/*
 * Of records with MP3_IDENTITY. As many as the others have, so that each line has
 * the same number of columns; the flags show the kind of a line.
 */
static const struct field identity_fields[] = {
	{ "pid", TYPE_U32, offsetof(struct mp3_record, pid) },
	{ "flags", TYPE_FLAGS, offsetof(struct mp3_record, flags) },
	{ "ppid", TYPE_U32, offsetof(struct mp3_record, ppid) },
	{ "uid", TYPE_U32, offsetof(struct mp3_record, uid) },
	{ "start", TYPE_TIME, offsetof(struct mp3_record, start_ns) },
	{ "cgroup_id", TYPE_U64, offsetof(struct mp3_record, cgroup_id) },
	{ "comm", TYPE_NAME, offsetof(struct mp3_record, comm) },
};

static_assert(ARRAY_SIZE(identity_fields) == ARRAY_SIZE(record_fields),
	      "rows of different width");

/* Bytes for the text of any field. */
#define TEXT_SIZE NAME_SIZE

/* ---- Formats ---- */

/**
 * struct format - how lines are printed
 * @name:	  as the user gives it
 * @has_comments: comments may stand between the lines
 * @has_header:	  the first line names the columns
 * @end:	  ends a line
 * @escape:	  makes the name of a process safe
 * @put:	  prints a column: its number, 0 for the first one, its name, its
 *		  text, and whether the text is a string, not a number
 */
struct format {
	const char *name;
	bool has_comments;
	bool has_header;
	const char *end;
	void (*escape)(char text[NAME_SIZE], const char comm[COMM_SIZE]);
	void (*put)(unsigned int column, const char *name, const char *text,
		    bool string);
};

/* Puts a string in quotes, with @escape before each character in @special. */
static void put_quoted(const char *text, const char *special, char escape)
{
	output_put("\"");
	for (; *text; text++) {
		if (strchr(special, *text))
			output_put("%c", escape);
		output_put("%c", *text);
	}
	output_put("\"");
}

static void put_text(unsigned int column, const char *name, const char *text,
		     bool string)
{
	(void)name;
	(void)string;
	output_put("%s%s", column ? " " : "", text);
}

static void put_csv(unsigned int column, const char *name, const char *text,
		    bool string)
{
	(void)name;
	output_put("%s", column ? "," : "");
	if (string)
		put_quoted(text, "\"", '"');
	else
		output_put("%s", text);
}

static void put_json(unsigned int column, const char *name, const char *text,
		     bool string)
{
	output_put("%s\"%s\":", column ? "," : "{", name);
	if (string)
		put_quoted(text, "\"\\", '\\');
	else
		output_put("%s", text);
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

/* Returns whether a format allows lines that start with '#'. */
bool format_has_comments(const struct format *format)
{
	return format->has_comments;
}

/* ---- Lines ---- */

static const char *time_name(const struct layout *layout)
{
	if (layout->time == TIME_WALL)
		return "time";
	if (layout->time == TIME_LOAD || layout->records)
		return "seconds";
	return "jiffies";
}

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
	bool before = time_ns < base_ns;
	__u64 ns = before ? base_ns - time_ns : time_ns - base_ns;

	snprintf(text, TEXT_SIZE, "%s%llu.%06u", before ? "-" : "",
		 (unsigned long long)(ns / NSEC_PER_SEC),
		 (unsigned int)(ns % NSEC_PER_SEC / 1000));
}

static void put_time(const struct layout *layout, const struct entry *entry)
{
	const char *name = time_name(layout);
	char text[TEXT_SIZE];

	if (layout->time == TIME_WALL)
		wall_text(text, entry->time_ns + layout->wall_ns);
	else if (layout->time == TIME_LOAD || layout->records)
		load_text(text, entry->time_ns, layout->base_ns);
	else
		snprintf(text, sizeof(text), "%lu", entry->sample.jiffies);
	layout->format->put(0, name, text, layout->time == TIME_WALL);
}

/* Returns the text of a record's flags. */
static const char *flags_text(__u32 flags)
{
	static const char *const texts[] = { "-", "F", "L", "FL" };

	return flags & MP3_IDENTITY ? "I" :
	       texts[flags & (MP3_FIRST | MP3_LAST)];
}

/*
 * Fills @name with the name of a column. That of a time ends like that of the
 * first column, since it is on the same clock.
 */
static void column_name(char name[TEXT_SIZE], const struct layout *layout,
			const struct field *field)
{
	if (field->type == TYPE_TIME)
		snprintf(name, TEXT_SIZE, "%s_%s", field->name,
			 time_name(layout));
	else
		strcpy(name, field->name);
}

static void put_field(const struct layout *layout, unsigned int column,
		      const struct field *field, const struct entry *entry)
{
	const void *at = (const char *)&entry->record + field->offset;
	const struct format *format = layout->format;
	char text[TEXT_SIZE] = "", name[TEXT_SIZE];
	bool string = false;

	switch (field->type) {
	case TYPE_U32:
		snprintf(text, sizeof(text), "%u", *(const __u32 *)at);
		break;
	case TYPE_U64:
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)*(const __u64 *)at);
		break;
	case TYPE_LONG:
		snprintf(text, sizeof(text), "%lu", *(const unsigned long *)at);
		break;
	case TYPE_TIME:
		string = layout->time == TIME_WALL;
		if (string)
			wall_text(text, *(const __u64 *)at + layout->wall_ns);
		else
			load_text(text, *(const __u64 *)at, layout->base_ns);
		break;
	case TYPE_FLAGS:
		strcpy(text, flags_text(*(const __u32 *)at));
		string = true;
		break;
	case TYPE_NAME:
		format->escape(text, at);
		string = true;
		break;
	}
	column_name(name, layout, field);
	format->put(column, name, text, string);
}

/*
 * Returns the fields of the entries, or of identity records, and sets @nr to how
 * many there are.
 */
static const struct field *fields_of(const struct layout *layout, bool identity,
				     unsigned int *nr)
{
	if (!layout->records) {
		*nr = ARRAY_SIZE(sample_fields);
		return sample_fields;
	}
	*nr = ARRAY_SIZE(record_fields);

	return identity ? identity_fields : record_fields;
}

static void put_header(const struct layout *layout, bool identity)
{
	const struct field *fields;
	char name[TEXT_SIZE];
	unsigned int i, nr;

	fields = fields_of(layout, identity, &nr);
	output_put("%s", time_name(layout));
	for (i = 0; i < nr; i++) {
		column_name(name, layout, &fields[i]);
		output_put(",%s", name);
	}
	output_put("\n");
}

/*
 * Puts the line that names the columns, if the format has one, and a second line
 * for identity records, if they are printed. The caller has made room for a line,
 * and both fit in.
 */
void format_put_header(const struct layout *layout)
{
	if (!layout->format->has_header)
		return;
	put_header(layout, false);
	if (layout->identity)
		put_header(layout, true);
}

/* Puts the line of an entry. The caller has made room for a line. */
void format_put_entry(const struct layout *layout, const struct entry *entry)
{
	const struct field *fields;
	unsigned int i, nr;
	bool identity;

	identity = layout->records && entry->record.flags & MP3_IDENTITY;
	put_time(layout, entry);
	fields = fields_of(layout, identity, &nr);
	for (i = 0; i < nr; i++)
		put_field(layout, i + 1, &fields[i], entry);
	output_put("%s", layout->format->end);
	output_end_entry();
}
