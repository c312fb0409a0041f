# SPDX-License-Identifier: GPL-2.0
#
# Prints the line of the table of study "lookup" for one run. Its input are the notes of
# the study and the faults of the run, as faults.awk prints them. Variable: advice is
# the kind of advice.
#
# The columns are:
#
# advice seconds minor major stalled_seconds waited waited_seconds marked
#
# "waited" refers to major faults that took as long as a request of the disk, "marked"
# to others that were MARK pages after one of these, where read-ahead leaves a mark.

BEGIN {
	REQUEST_NS = 0.95e6
	PAGE = 4096
	MARK = 8
}

FNR == NR {
	split($0, word, " ")
	if (word[1] == advice)
		seconds = word[6]
	next
}

{
	count[$7] += $9
	if ($8 >= 0)
		stall += $8
}

$7 && $8 >= REQUEST_NS {
	waited++
	waited_ns += $8
	has_waited[$5, int($6 / PAGE)] = 1
}

$7 && $8 < REQUEST_NS { marked += ($5, int($6 / PAGE) - MARK) in has_waited }

END {
	printf "%s %s %d %d %.4f %d %.4f %d\n", advice, seconds, count[0], count[1], stall / 1e9,
		waited, waited_ns / 1e9, marked
}
