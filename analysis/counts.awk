# SPDX-License-Identifier: GPL-2.0
#
# Prints what the faults of a recording add up to, for a heading. Its input is that
# of map.awk, in any order. Uses text.awk. Variable: panel is the number of the
# recording.

$1 == panel {
	count[$8] += $10
	if ($9 >= 0)
		stall += $9 * $10
}

END {
	print grouped(count[0]) " minor, " grouped(count[1]) " major, stalled for " \
		time_text(stall)
}
