# SPDX-License-Identifier: GPL-2.0
#
# Places faults in one file by their offset. Its input is that of map.awk. Writes
# map.1 and map.2, the points (seconds, offset in KiB or MiB, 1 if major), and map.unit,
# the largest offset and the unit.
#
# Variables: longest is the time of the last fault; columns and rows are the resolution of
# a panel: of the points in the same cell, one is drawn.

BEGIN { OFS = "\t" }

{
	panel[NR] = $1
	seconds[NR] = $2
	offset[NR] = $7
	major[NR] = $8
	if ($7 > largest)
		largest = $7
}

END {
	unit = largest > 4 * 1048576 ? 1048576 : 1024
	for (f = 1; f <= NR; f++) {
		cell = panel[f] SUBSEP major[f] SUBSEP int(seconds[f] / longest * columns) \
			SUBSEP int(offset[f] / (largest + 1) * rows)
		if (!(cell in drawn))
			print seconds[f], offset[f] / unit, major[f] > ("map." panel[f])
		drawn[cell] = 1
	}
	print (largest + 4096) / unit, unit == 1024 ? "KiB" : "MiB" > "map.unit"
}
