/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The formats of mp3ctl export.
 */
#ifndef MP3_TOOLS_EXPORT_H
#define MP3_TOOLS_EXPORT_H

#include "exporter.h"
#include "where_flame.h"

/**
 * struct export - what to export
 * @path:     the recording
 * @output:   -o, or NULL
 * @by:	      what the numbers of collapsed stacks are
 * @faults:   --faults was given. csv and JSON: located faults, not records
 * @identity: csv and JSON: identity records, too
 * @live:     prometheus: options without a recording, and limits of rows
 * @interval_ns: prometheus: time between two files, without a recording
 */
struct export {
	const char *path;
	const char *output;
	enum flame_by by;
	bool faults;
	bool identity;
	struct exporter_options live;
	__u64 interval_ns;
};

/*
 * What a format does: reads what it needs before the output is opened, then prints
 * to standard output. Each returns false after one line on standard error.
 */
bool export_trace_read(const struct export *export);
bool export_trace_print(const struct export *export);
bool export_records_read(const struct export *export);
bool export_records_print(const struct export *export, const char *format);
bool export_prometheus_read(const struct export *export);
bool export_prometheus_print(const struct export *export);

bool export_prometheus_replace(const struct export *export);
int export_prometheus_live(const struct export *export);

#endif /* MP3_TOOLS_EXPORT_H */
