# SPDX-License-Identifier: GPL-2.0
#
# Makes curves for accumulated.gp of the samples or records that read.awk prints:
# "curves", with a block of seconds, minor and major faults for each curve, and "names".
# Curves are in the order of their faults. Uses records.awk.
#
# Variables: by is "pid" or "name"; most is the number of curves, apart from one for all
# other processes.

/^# samples/ { hz = $4 }
/^#/ { next }

{
	rows++
	at[rows] = $1
	if ($1 > at[rows - 1] || rows == 1)
		ticks_at[++nr_ticks] = $1
	minor[rows] = NF == 4 ? $2 : $4
	major[rows] = NF == 4 ? $3 : $5
}

NF == 4 { who[rows] = processes = 1 }

NF > 4 {
	# A pid that is used again is another process.
	if (!($2 in process)) {
		process[$2] = ++processes
		pid_of[processes] = $2
	}
	who[rows] = process[$2]
	comm[who[rows]] = $8
	if ($3 ~ /L/)
		delete process[$2]
}

function write(curve,    r, seconds, last)
{
	# From the start of the recording on
	print 0, 0, 0 > "curves"
	for (r = 1; r <= rows; r++) {
		if (curve_of[key[who[r]]] != curve)
			continue
		seconds = (at[r] - at[1]) / hz
		# Nothing happened in a longer gap but in its last interval.
		if (seconds - last > 4 * usual)
			print seconds - usual, 0, 0 > "curves"
		print seconds, minor[r], major[r] > "curves"
		last = seconds
	}
	printf "\n\n" > "curves"
}

END {
	samples = hz
	if (!hz)
		hz = 1
	for (ticks = 1; ticks <= nr_ticks; ticks++)
		time[ticks] = int(ticks_at[ticks] * 1000 / hz + 0.5)
	ticks = nr_ticks
	usual = usual_interval() / 1000

	# A process is listed under its last name.
	for (p = 1; p <= processes; p++) {
		key[p] = by == "name" ? comm[p] : comm[p] " " pid_of[p] " " p
		if (!members[key[p]]++)
			order[++keys] = key[p]
		label[key[p]] = displayed(comm[p]) (by == "name" ? "" : " " pid_of[p])
		if (samples)
			label[key[p]] = "all processes"
	}
	for (r = 1; r <= rows; r++)
		faults[key[who[r]]] += minor[r] + major[r]

	others = processes
	for (g = 1; g <= keys && g <= most; g++) {
		best = g
		for (i = g + 1; i <= keys; i++)
			if (faults[order[i]] > faults[order[best]])
				best = i
		name = order[best]
		order[best] = order[g]
		order[g] = name
		curve_of[name] = g
		others -= members[name]
		print label[name] (members[name] > 1 ? " (" members[name] ")" : "") > "names"
	}
	for (i = g; i <= keys; i++)
		curve_of[order[i]] = g
	if (others)
		print "others (" others ")" > "names"
	for (i = 1; i < g + (others > 0); i++)
		write(i)
}
