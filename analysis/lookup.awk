# SPDX-License-Identifier: GPL-2.0
#
# Prints the line of the table of study "lookup" for one run: advice, seconds, minor and
# major faults, seconds of stall, and how many of the major faults took at least as
# long as a request of the disk. Its input are the notes of the study and the faults of
# the run, as faults.awk prints them. Variable: advice is the kind of advice.

BEGIN { REQUEST_NS = 1e6 }

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
	waited += $7 && $8 >= REQUEST_NS
}

END {
	printf "%s %s %d %d %.4f %d\n", advice, seconds, count[0], count[1], stall / 1e9, waited
}
