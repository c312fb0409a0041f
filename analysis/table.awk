# SPDX-License-Identifier: GPL-2.0
#
# Makes the table that gnuplot draws out of the samples that monitor prints.
# Follows lines.awk. Variables: hz (clock ticks a second), columns (of the chart in the terminal),
# cut (whether the last line lacks its newline). Samples that processes.awk has
# made have the interval, in seconds, and what they are called; the CPU percent
# of these are of the time since the sample before, and those of monitor of the
# interval of sampling, if that is longer.
#
# The first line is a comment, the totals. Three blocks follow, two blank lines
# apart: the samples themselves, the averages of each second, and those of each
# column of the terminal. A line of a block is
#
#	from to min_flt/s maj_flt/s cpu_percent
#
# in seconds from the first sample, and holds for the whole of from..to. Where
# nothing was sampled for a while (nothing was registered), a blank line parts
# the first two blocks. Each part of these ends in a line without length (from
# is to), because a step that gnuplot draws is ended by the next one.

BEGIN { wanted = 4 }

# The older monitors close with a line like "read 12000 profiled data".
/^[A-Za-z]/ {
	if (!text)
		text = NR
	next
}

text { fail("line " text ": text where a sample should be") }

short { exit }

NF != wanted {
	short = NR
	fields = NF
	next
}

{
	# Numbers of up to 15 digits add up exactly.
	for (i = 1; i <= 4; i++)
		if ($i !~ (i == 4 ? "^[0-9]+([.][0-9]+)?$" : "^[0-9]+$") ||
		    length($i) > 15)
			fail("line " NR ": column " i " is not a number")

	tick = $1 + 0
	if (rows && tick < last)
		fail("line " NR ": time goes backwards")
	samples++
	minor += $2
	major += $3

	# A sample may come within the tick of the one before (U collects at
	# any moment): no time to divide by, so the two make one row.
	if (!rows || tick > last) {
		if (rows++ && ++seen[tick - last] > seen[usual])
			usual = tick - last
	}
	to[rows] = last = tick
	min_flt[rows] += $2
	maj_flt[rows] += $3
	cpu[rows] += $4
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

# Adds what row @i did in @time seconds of it. Its CPU percent are of @period: in
# sum they are right by that alone. By itself a row has those of the sample, since
# what the scheduler noted just before a short one could be more than its time.
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

# Averages over whole rows that make about @seconds together. What is left of a
# stretch joins the average before it when it is less than half as long.
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

# Averages over equal parts of the whole time, whatever the rows' length.
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

# The interval of sampling, in clock ticks: it need not be a whole number of them.
# Where a sample is late, the next one comes the sooner.
function usual_interval(    delta, count, sum)
{
	for (delta = int(usual / 2) + 1; delta < 1.5 * usual; delta++) {
		count += seen[delta]
		sum += delta * seen[delta]
	}
	return sum / count
}

END {
	if (!rows)
		fail("no samples")

	# The first sample of a stretch has none before it: it covers the usual
	# time. A stretch ends where nothing was sampled for more than a second.
	usual = interval ? interval : usual ? usual_interval() / hz : 0.05
	longest = most(1, 3 * usual)
	start = to[1]
	for (i = 1; i <= rows; i++) {
		to[i] = (to[i] - start) / hz
		begins[i] = i == 1 || to[i] - to[i - 1] > longest
		gaps += begins[i]
		from[i] = begins[i] ? to[i] - usual : to[i - 1]
		period[i] = to[i] - from[i]
		time += period[i]
		if (!interval)
			period[i] = most(period[i], usual)
		cpu_time += cpu[i] * period[i]
	}
	gaps--
	for (i = rows; i >= 1; i--)
		end[i] = i == rows || begins[i + 1] ? to[i] : end[i + 1]

	printf "# %s in %.1f s%s: %s, %s, CPU %.0f %% on average\n",
		counted(samples, what ? what : "sample"), time,
		gaps ? " (" counted(gaps, "gap") ")" : "",
		counted(minor, "minor fault"), counted(major, "major fault"),
		cpu_time / time
	averages(0)
	averages(1)
	resampled(columns)
}
