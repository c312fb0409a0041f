# SPDX-License-Identifier: GPL-2.0
#
# Makes a line of the table of study "thrashing" of one run: n, and its notes,
# records (of a second) and samples, in this order. CPU time is in seconds. With
# each=1: a line of n and CPU percent for each process instead. "Before" and
# "after" are of the first major fault.
#
# n seconds cpu_percent cpu_seconds least_percent most_percent minor major machine_user machine_system machine_idle machine_iowait served missed longest_gap_ms first_major_s minor_before cpu_percent_before cpu_percent_after

FNR == 1 { file++ }

file == 1 && $1 == "before" { for (i = 3; i <= 9; i += 2) before[$(i - 1)] = $i }
file == 1 && $1 == "after" { for (i = 3; i <= 9; i += 2) spent[$(i - 1)] = ($i - before[$(i - 1)]) / 100 }
file == 1 && $1 == "served" { served = $2 }
file == 1 && $1 == "missed" { missed = $2 }

file == 2 {
	cpu[$2] += $6 / 1e9
	cpu_seconds += $6 / 1e9
	if (!($2 in first))
		first[$2] = $1
	last[$2] = $1
}

file == 3 && /^[0-9]/ {
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
	# Percent of the interval of 12.5 clock ticks, or of what took longer.
	if (samples++)
		busy[major > 0] += $4 * ($1 - tick > 12.5 ? $1 - tick : 12.5)
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
	seconds = (tick - start) / 250
	printf "%d %.1f %.0f %.1f %.0f %.0f %d %d %.1f %.1f %.1f %.1f %d %d %d", n,
		seconds, 100 * cpu_seconds / seconds, cpu_seconds, least, most,
		minor, major, spent["user_cs"], spent["system_cs"],
		spent["idle_cs"], spent["iowait_cs"], served, missed, longest * 4
	if (major)
		printf " %.1f %d %.0f %.0f\n", first_major / 250, minor_before,
			busy[0] / ticks[0], busy[1] / ticks[1]
	else
		print " - - - -"
}
