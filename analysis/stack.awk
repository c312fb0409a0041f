# SPDX-License-Identifier: GPL-2.0
#
# Stacks tables of table.awk that have the same times, in the order of the
# arguments. For each table it prints the first two blocks, which are the samples
# and the averages over each second:
#
#	from to min_flt/s maj_flt/s cpu_percent own_min_flt/s own_maj_flt/s own_cpu_percent
#
# Columns 3 to 5 are the sums of this table and all tables before it, columns 6 to
# 8 are of this table alone.

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
