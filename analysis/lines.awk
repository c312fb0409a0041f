# SPDX-License-Identifier: GPL-2.0
#
# What readers of data share, before them on awk's command line: how broken data
# is refused. They set "wanted", the columns of a line, and at a line that has
# another number "short" to its number and "fields" to that: only the last line
# may have been cut (variable cut: it lacks its newline), so it is judged at
# the line after it, or here.

function fail(message)
{
	print message > "/dev/stderr"
	failed = 1
	exit 1
}

END {
	if (failed)
		exit 1
	if (short && short == NR && cut)
		fail("line " short ": the file ends in mid-line")
	if (short)
		fail("line " short ": " fields " columns, not " wanted)
}
