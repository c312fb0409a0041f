/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A capture whose totals are exported, for mp3ctl export and serve.
 *
 *	exporter_start(&exporter, &options);
 *	do
 *		exporter_pass(&exporter);
 *	while (live_wait(&exporter.live, &wait));
 *	exporter_finish(&exporter);
 */
#ifndef MP3_TOOLS_EXPORTER_H
#define MP3_TOOLS_EXPORTER_H

#include <stdio.h>

#include "live.h"
#include "options.h"
#include "totals.h"

/* Help for the options of a live export */
#define EXPORTER_HELP \
	"  -a, --all             every process of the machine; requires root or\n" \
	"                        CAP_PERFMON\n" \
	"  -p, --pid PID         only this process; may be repeated\n" \
	"  -f, --follow          with -p: its descendants, too\n"
#define EXPORTER_ROWS_HELP \
	"      --names N         rows of names; all others share one (default 200)\n" \
	"      --cgroups N       rows of cgroups, likewise\n"

enum {
	OPT_LOCATE = OPT_OWN,
	OPT_NAMES,
	OPT_CGROUPS,
	OPT_EXPORTER_OWN,
};

/**
 * struct exporter_options - options of a live export
 * @ring:	-a, -f and -p
 * @every:	--faults: one minor fault in this many is located; 0: none
 * @nr_names:	--names
 * @nr_cgroups:	--cgroups
 */
struct exporter_options {
	struct ring_options ring;
	unsigned int every;
	size_t nr_names;
	size_t nr_cgroups;
};

/**
 * struct exporter - a capture, and the totals of its records and faults
 * @live:     the capture
 * @faults:   the ring of faults; unused if none is located
 * @totals:   what they add up to
 * @lost:     lost records when the processes were last compared with the capture
 * @denied:   denied processes then
 * @sweep_ns: when they can be compared again
 */
struct exporter {
	struct live live;
	struct mp3_faults faults;
	struct totals totals;
	__u64 lost;
	__u64 denied;
	__u64 sweep_ns;
};

void exporter_init(struct exporter_options *options);
void exporter_option(struct exporter_options *options, int option,
		     const char *help);
void exporter_start(struct exporter *exporter,
		    const struct exporter_options *options);
void exporter_pass(struct exporter *exporter);
void exporter_last_pass(struct exporter *exporter);
void exporter_print(const struct exporter *exporter, FILE *file,
		    bool openmetrics);
void exporter_finish(struct exporter *exporter);

#endif /* MP3_TOOLS_EXPORTER_H */
