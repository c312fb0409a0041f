/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The formats of mp3ctl export.
 */
#ifndef MP3_TOOLS_EXPORT_H
#define MP3_TOOLS_EXPORT_H

#include "where_flame.h"

/**
 * struct export - a recording to export
 * @path:     the recording
 * @by:	      what the numbers of collapsed stacks are
 * @faults:   csv and JSON: located faults, not records
 * @identity: csv and JSON: identity records, too
 */
struct export {
	const char *path;
	enum flame_by by;
	bool faults;
	bool identity;
};

/*
 * What a format does: reads what it needs before the output is opened, then prints
 * to standard output. Each returns false after one line on standard error.
 */
bool export_trace_read(const struct export *export);
bool export_trace_print(const struct export *export);
bool export_records_read(const struct export *export);
bool export_records_print(const struct export *export, const char *format);

#endif /* MP3_TOOLS_EXPORT_H */
