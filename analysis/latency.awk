# SPDX-License-Identifier: GPL-2.0
#
# Counts the stalls of faults for latency. Its input are the faults of one or more
# recordings, each line preceded by the number of the recording and a tab, as
# faults.awk prints them, sorted by recording, by major and by stall.
#
# Writes for recording P and major M (0 or 1):
#
#	stalls.P.M	start of a bin, its end, both in nanoseconds, and its faults
#	marks.P.M	a stall in nanoseconds and its name: p50, p90, p99 and max
#
# and stalls.totals, with a line for each P and M: its heading; and stalls.range: the
# shortest and the longest bin, and the most faults in a bin, of minor and of major
# faults. A bin is a tenth of a power of ten wide. Faults of unknown stall are counted
# in the heading only.
#
# Uses text.awk. Variable: panels is the number of recordings.

BEGIN {
	PER_DECADE = 10
	least = 1e99
}

# Returns the number of the bin of a stall.
function bin_of(ns) { return int(PER_DECADE * log(ns < 1 ? 1 : ns) / log(10) + 1e-9) }

function start_of(bin) { return 10 ^ (bin / PER_DECADE) }

{
	p = $1
	m = $8
	if ($9 < 0) {
		unknown[p, m] += $10
		next
	}
	n = ++stalls[p, m]
	stall[p, m, n] = $9
	# The faults up to this one
	running[p, m, n] = running[p, m, n - 1] + $10
	sum[p, m] += $9 * $10
	bin = bin_of($9)
	count[p, m, bin] += $10
	if (count[p, m, bin] > most[m])
		most[m] = count[p, m, bin]
	if (bin < least)
		least = bin
	if (bin > longest)
		longest = bin
}

# Returns the shortest stall that is at least as long as a share of all stalls.
function percentile(p, m, share,    low, high, middle, n)
{
	n = stalls[p, m]
	low = 1
	high = n
	while (low < high) {
		middle = int((low + high) / 2)
		if (running[p, m, middle] >= share * running[p, m, n])
			high = middle
		else
			low = middle + 1
	}
	return stall[p, m, low]
}

function write(p, m,    file, bin, n)
{
	file = "stalls." p "." m
	printf "" > file
	printf "" > ("marks." p "." m)
	n = stalls[p, m]
	for (bin = least; bin <= longest; bin++)
		if ((p, m, bin) in count)
			printf "%.6g\t%.6g\t%d\n", start_of(bin), start_of(bin + 1), count[p, m, bin] > file
	if (n) {
		split("0.5 0.9 0.99 1", shares, " ")
		split("p50 p90 p99 max", names, " ")
		for (bin = 1; bin <= 4; bin++) {
			printf "%.0f\t%s %s\n", percentile(p, m, shares[bin]), names[bin],
				time_text(percentile(p, m, shares[bin])) > ("marks." p "." m)
		}
	}
	heading = grouped(running[p, m, n] + unknown[p, m]) " faults"
	if (n)
		heading = heading ", stalled for " time_text(sum[p, m])
	if (unknown[p, m])
		heading = heading " (" grouped(unknown[p, m]) " of unknown stall)"
	print heading > "stalls.totals"
}

END {
	for (p = 1; p <= panels; p++)
		for (m = 0; m <= 1; m++)
			write(p, m)
	if (least > longest)
		least = longest = 30
	# gnuplot does not take 1e+07 for a number.
	printf "%.0f %.0f %d %d\n", start_of(least), start_of(longest + 1), most[0], most[1] > "stalls.range"
}
