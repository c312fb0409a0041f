# SPDX-License-Identifier: GPL-2.0
#
# Prints the line of the table of study "thrashing" for one run. Its input is the
# notes, the records (one per second) and the samples of the run, in this order,
# the last two as read.awk prints them. With each=1 it prints one line per process
# instead, "n cpu_percent".
#
# Variables: n is the number of processes, hz the number of ticks per second.
#
# CPU time is in seconds; "before" and "after" refer to the first major fault. The
# columns are:
#
# n seconds cpu_percent cpu_seconds least_percent most_percent minor major machine_user machine_system machine_idle machine_iowait served missed longest_gap_ms first_major_s minor_before cpu_percent_before cpu_percent_after

FNR == 1 { file++ }

file == 1 && $1 == "before" { for (i = 3; i <= 9; i += 2) before[$(i - 1)] = $i }
file == 1 && $1 == "after" { for (i = 3; i <= 9; i += 2) spent[$(i - 1)] = ($i - before[$(i - 1)]) / 100 }
file == 1 && $1 == "served" { served = $2 }
file == 1 && $1 == "missed" { missed = $2 }

/^#/ { next }

file == 2 {
	cpu[$2] += $6 / 1e9
	cpu_seconds += $6 / 1e9
	if (!($2 in first))
		first[$2] = $1
	last[$2] = $1
}

file == 3 {
	if (!start)
		start = tick = $1
	if ($1 - tick > longest)
		longest = $1 - tick
	if ($3 && !major) {
		first_major = $1 - start
		minor_before = minor
	}
	minor += $2
	major += $3
	# The percentage is relative to the interval of 50 ms, or to the gap if
	# that is longer.
	if (samples++)
		busy[major > 0] += $4 * ($1 - tick > hz / 20 ? $1 - tick : hz / 20)
	ticks[major > 0] += $1 - tick
	tick = $1
}

END {
	for (pid in cpu) {
		percent = 100 * cpu[pid] / (last[pid] - first[pid] + 1)
		if (least == "" || percent < least)
			least = percent
		if (percent > most)
			most = percent
		if (each)
			print n, percent
	}
	if (each)
		exit
	seconds = (tick - start) / hz
	printf "%d %.1f %.0f %.1f %.0f %.0f %d %d %.1f %.1f %.1f %.1f %d %d %d", n,
		seconds, 100 * cpu_seconds / seconds, cpu_seconds, least, most,
		minor, major, spent["user_cs"], spent["system_cs"],
		spent["idle_cs"], spent["iowait_cs"], served, missed, longest * 1000 / hz
	if (major)
		printf " %.1f %d %.0f %.0f\n", first_major / hz, minor_before,
			busy[0] / ticks[0], busy[1] / ticks[1]
	else
		print " - - - -"
}
