# SPDX-License-Identifier: GPL-2.0
#
# Compares what polling saw of a build (from polled.awk, the first file) with the
# records of the same run (from read.awk, the second file). Prints a table of both
# and writes these files:
#
#	polls	from to min_flt/s maj_flt/s cpu_percent, one line per poll
#	lives	from to row seen, one line per process in order of start
#	phases	from to, one line per make
#
# Times are in seconds since the first record. Both sources are aligned at the
# start of the first process, which is exact to one sampling interval.

FNR == 1 { file++ }

/^#/ { next }

file == 1 {
	if ($1 != now) {
		polls++
		now = $1
		at[polls] = now
	}
	if (polls == 1 || $6 < first_start)
		first_start = $6
	minor[polls] += $3 - last_minor[$2]
	major[polls] += $4 - last_major[$2]
	cpu[polls] += $5 - last_cpu[$2]
	last_minor[$2] = $3
	last_major[$2] = $4
	last_cpu[$2] = $5
	next
}

{
	if (FNR == 1)
		zero = $1
	pid = $2
	if (!(pid in process)) {
		process[pid] = ++processes
		pid_of[processes] = pid
		begin[processes] = $1 - zero - 0.05
	}
	p = process[pid]
	end[p] = $1 - zero
	comm[p] = $8
	faults += $4
	minor_of[p] += $4
	majors += $5
	seconds += $6 / 1e9
	if (!(pid in last_minor)) {
		unseen_faults += $4
		unseen_seconds += $6 / 1e9
	}
	if ($3 ~ /L/)
		delete process[pid]
}

END {
	for (i = 1; i <= polls; i++) {
		to = at[i] - first_start / 100
		from = i == 1 ? 0 : at[i - 1] - first_start / 100
		if (to > from)
			printf "%.2f %.2f %.2f %.2f %.2f\n", from, to, minor[i] / (to - from),
				major[i] / (to - from), cpu[i] / (to - from) > "polls"
		poll_minor += minor[i]
		poll_major += major[i]
		poll_cpu += cpu[i] / 100
	}
	for (i = 2; i <= polls; i++)
		if (at[i] - at[i - 1] > longest)
			longest = at[i] - at[i - 1]
	for (p = 1; p <= processes; p++) {
		seen = pid_of[p] in last_minor
		seen_processes += seen
		# At least one whole second lies within its life.
		if (int(end[p]) >= begin[p])
			punctual++
		else
			punctual_unseen += minor_of[p]
		below[0.1] += end[p] - begin[p] <= 0.1
		below[1] += end[p] - begin[p] < 1
		printf "%.3f %.3f %d %d\n", begin[p], end[p], p, seen > "lives"
		if (comm[p] == "make" && end[p] - begin[p] > 0.5)
			printf "%.3f %.3f\n", begin[p], end[p] > "phases"
	}
	print "# what recorded polled"
	print "processes", processes, seen_processes
	print "minor_faults", faults, poll_minor
	print "major_faults", majors, poll_major
	printf "cpu_seconds %.2f %.2f\n", seconds, poll_cpu
	print "# processes that polling never saw: minor faults, CPU seconds"
	printf "unseen %d %.2f\n", unseen_faults, unseen_seconds
	print "# polls; mean and longest time between two polls, in seconds"
	printf "polls %d %.2f %.2f\n", polls, (at[polls] - at[1]) / (polls - 1), longest
	print "# an ideal poller, at every whole second: processes seen, minor faults of the others"
	printf "punctual %d %d\n", punctual, punctual_unseen
	print "# processes that lived at most 0.1 s, and less than 1 s"
	print "short_lived", below[0.1], below[1]
}
