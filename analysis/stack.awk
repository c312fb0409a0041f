# SPDX-License-Identifier: GPL-2.0
#
# Puts tables of table.awk that have the same times on top of each other, in the
# order in which they come. Prints of each the first two blocks, the samples and
# the averages of each second; what it did by itself follows in columns of its own:
#
#	from to min_flt/s maj_flt/s cpu_percent own_min_flt/s own_maj_flt/s own_cpu_percent
#
# in sums of this table's and all before it.

FNR == 1 {
	block = line = empty = 0
	next
}

!NF {
	if (++empty == 2)
		block++
	if (block < 2 || (block == 2 && empty == 2))
		print ""
	next
}

{
	empty = 0
	if (block > 1)
		next
	line++
	for (i = 3; i <= 5; i++)
		sum[line, i] += $i
	printf "%s %s %.6f %.6f %.6f %s %s %s\n", $1, $2, sum[line, 3],
		sum[line, 4], sum[line, 5], $3, $4, $5
}
