# SPDX-License-Identifier: GPL-2.0
#
# Turns samples, as read.awk prints them, into the table that gnuplot draws.
#
# Variables: columns is the width of the chart in the terminal. Samples that
# processes.awk makes lack the last line of read.awk: for these, hz is the number
# of ticks per second, interval the sampling interval in seconds, and what their
# name in the totals.
#
# The CPU percentage that the module reports is relative to the sampling interval
# or, if that is longer, to the time since the previous sample; that of
# processes.awk is always relative to the time since the previous sample.
#
# The first line of the table is a comment: "# cpu KIND: TOTALS", with KIND as
# read.awk prints it. Three blocks follow, separated by two blank lines: the
# samples, the averages over each second, and the averages over each column of the
# terminal. A line of a block is
#
#	from to min_flt/s maj_flt/s cpu_percent
#
# in seconds since the first sample, and holds for all of from..to. A blank line
# divides the first two blocks where nothing was sampled for a while (nothing was
# registered). Each part of these ends with a line of zero length (from equals
# to), because gnuplot ends a step at the next point.

/^#/ {
	hz = $4
	kind = $6
	next
}

{
	tick = $1
	samples++
	minor += $2
	major += $3
	if ($4 > highest)
		highest = $4

	# Two samples can have the same tick, because U collects at any time.
	# There is no time to divide by, so the two make one row.
	if (!rows || tick > last) {
		if (rows++ && ++seen[tick - last] > seen[usual])
			usual = tick - last
	}
	to[rows] = last = tick
	min_flt[rows] += $2
	maj_flt[rows] += $3
	cpu[rows] += $4
	value[rows] = $4
}

function grouped(n,    digits, rest)
{
	digits = sprintf("%.0f", n)
	while (length(digits) > 3) {
		rest = "," substr(digits, length(digits) - 2) rest
		digits = substr(digits, 1, length(digits) - 3)
	}
	return digits rest
}

function counted(n, what) { return grouped(n) " " what (n == 1 ? "" : "s") }

function least(a, b) { return a < b ? a : b }
function most(a, b) { return a > b ? a : b }

function clear() { sum_min = sum_maj = sum_cpu = sum_time = 0 }

# Adds what row @i counted during @time seconds of it. Its CPU percentage is
# relative to @period seconds, so only the product of the two adds up to CPU time.
# A row alone keeps the percentage of its sample: CPU time that the scheduler
# accounted just before a short row could exceed the length of that row.
function add(i, time, period,    share)
{
	share = time / (to[i] - from[i])
	sum_min += min_flt[i] * share
	sum_maj += maj_flt[i] * share
	sum_cpu += cpu[i] * period * share
	sum_time += time
}

function write(from, to)
{
	printf "%.6f %.6f %.6f %.6f %.6f\n", from, to, sum_min / sum_time,
		sum_maj / sum_time, sum_cpu / sum_time
}

# Prints averages over whole rows that span about @seconds, or each row if that is
# 0. If less than half of @seconds remains of a stretch, the last average includes
# the remainder.
function averages(seconds,    i, begin)
{
	clear()
	for (i = 1; i <= rows; i++) {
		if (!sum_time)
			begin = from[i]
		add(i, to[i] - from[i], seconds ? period[i] : to[i] - from[i])
		if (to[i] < end[i] && (sum_time < seconds - usual / 2 ||
				       end[i] - to[i] < seconds / 2))
			continue
		write(begin, to[i])
		if (to[i] == end[i]) {
			write(to[i], to[i])
			print ""
		}
		clear()
	}
	print ""
}

# Prints averages over @parts equal parts of the whole time.
function resampled(parts,    i, j, k, begin, stop, width, overlap)
{
	width = (to[rows] - from[1]) / parts
	i = 1
	for (k = 0; k < parts; k++) {
		begin = from[1] + k * width
		stop = begin + width
		clear()
		while (i < rows && to[i] <= begin)
			i++
		for (j = i; j <= rows && from[j] < stop; j++) {
			overlap = least(to[j], stop) - most(from[j], begin)
			if (overlap > 0)
				add(j, overlap, period[j])
		}
		if (sum_time)
			write(begin, stop)
	}
}

# Returns the sampling interval in ticks, which need not be a whole number: it is
# the mean of the gaps near the most frequent one. A late sample makes the next
# gap shorter, so the two cancel out.
function usual_interval(    delta, count, sum)
{
	# Not of each number of ticks: a gap can have days.
	for (delta in seen)
		if (delta + 0 > int(usual / 2) && delta + 0 < 1.5 * usual) {
			count += seen[delta]
			sum += delta * seen[delta]
		}
	return sum / count
}

END {
	# The first sample of a stretch has no predecessor and covers one usual
	# interval. A stretch ends where nothing was sampled for over a second.
	usual = interval ? interval : usual ? usual_interval() / hz : 0.05
	longest = most(1, 3 * usual)
	is_percent = !kind || kind == "percent"
	start = to[1]
	for (i = 1; i <= rows; i++) {
		to[i] = (to[i] - start) / hz
		begins[i] = i == 1 || to[i] - to[i - 1] > longest
		gaps += begins[i]
		from[i] = begins[i] ? to[i] - usual : to[i - 1]
		period[i] = to[i] - from[i]
		time += period[i]
		if (!is_percent)
			cpu[i] = value[i]
		else if (!interval)
			period[i] = most(period[i], usual)
		cpu_time += cpu[i] * period[i]
	}
	gaps--
	for (i = rows; i >= 1; i--)
		end[i] = i == rows || begins[i + 1] ? to[i] : end[i + 1]

	printf "# cpu %s: %s in %.1f s%s: %s, %s, ",
		is_percent ? "percent" : kind,
		counted(samples, what ? what : "sample"), time,
		gaps ? " (" counted(gaps, "gap") ")" : "",
		counted(minor, "minor fault"), counted(major, "major fault")
	if (is_percent)
		printf "CPU %.0f %% on average\n", cpu_time / time
	else
		print "column 4 up to " grouped(highest)
	averages(0)
	averages(1)
	resampled(columns)
}
