# SPDX-License-Identifier: GPL-2.0
#
# Divides the records that read.awk prints into groups of processes, and makes
# samples of each group for table.awk, in ticks of a millisecond.
#
# Variables: by is "pid" or "name"; most is the number of groups, apart from one
# for all other processes; out is the start of the names of the files: OUT.total
# gets the samples of all processes, OUT.1 and so on those of each group.
#
# Prints the sampling interval in seconds, the number of processes, and the number
# of groups without that of the other processes; then the label of each group, one
# per line. Groups are in the order of their faults. Every group has a sample for
# each tick, even if its processes did nothing then. Uses records.awk.

/^#/ { next }

{
	tick = int($1 * 1000 + 0.5)
	if (!ticks || tick > time[ticks])
		time[++ticks] = tick

	# A pid that is used again is another process.
	pid = $2
	if (!(pid in process)) {
		process[pid] = ++processes
		pid_of[processes] = pid
	}
	p = process[pid]
	comm[p] = $8
	if ($3 ~ /L/)
		delete process[pid]

	records++
	at[records] = ticks
	who[records] = p
	minor[records] = $4
	major[records] = $5
	cpu[records] = $6
}

function add(g, r)
{
	sum_min[g, row_of[at[r]]] += minor[r]
	sum_maj[g, row_of[at[r]]] += major[r]
	sum_cpu[g, row_of[at[r]]] += cpu[r]
	if (cpu[r] / 1e6 > longest[row_of[at[r]]])
		longest[row_of[at[r]]] = int(cpu[r] / 1e6)
}

function write(file, tick, interval, min_flt, maj_flt, cpu_ns)
{
	printf "%d %.0f %.0f %.3f\n", tick, min_flt, maj_flt,
		cpu_ns / 1e4 / interval > file
}

# Joins a tick with the next if that follows soon, because the first one was late.
# Otherwise the CPU time that the scheduler accounts at its own tick would be
# divided by almost no time.
function join_ticks(    i)
{
	for (i = 1; i <= ticks; i++) {
		if (!rows || time[i] - time[i - 1] >= usual / 2)
			rows++
		row_of[i] = rows
		row_time[rows] = time[i]
	}
}

function write_samples(file, g,    i, interval)
{
	for (i = 1; i <= rows; i++) {
		interval = i == 1 ? usual : row_time[i] - row_time[i - 1]
		# Either no process did anything since the previous record, or the
		# tick was late and a process ran for up to that long.
		if (interval > 4 * usual && interval > longest[i]) {
			interval = longest[i] > usual ? longest[i] : usual
			write(file, row_time[i] - interval, interval, 0, 0, 0)
		}
		write(file, row_time[i], interval, sum_min[g, i], sum_maj[g, i],
		      sum_cpu[g, i])
	}
	close(file)
}

END {
	usual = usual_interval()
	join_ticks()

	# A process is listed under its last name.
	for (p = 1; p <= processes; p++) {
		key[p] = by == "name" ? comm[p] : comm[p] " " pid_of[p] " " p
		if (!members[key[p]]++)
			order[++keys] = key[p]
		label[key[p]] = displayed(comm[p]) (by == "name" ? "" : " " pid_of[p])
	}
	for (r = 1; r <= records; r++) {
		faults[key[who[r]]] += minor[r] + major[r]
		cpu_time[key[who[r]]] += cpu[r]
	}

	others = processes
	for (g = 1; g <= keys && g <= most; g++) {
		best = g
		for (i = g + 1; i <= keys; i++)
			if (faults[order[i]] > faults[order[best]] ||
			    (faults[order[i]] == faults[order[best]] &&
			     cpu_time[order[i]] > cpu_time[order[best]]))
				best = i
		name = order[best]
		order[best] = order[g]
		group[name] = g
		others -= members[name]
		line[g] = label[name] (members[name] > 1 ? " (" members[name] ")" : "")
	}
	named = groups = g - 1
	if (others)
		line[++groups] = "others (" others ")"

	printf "%.3f %d %d\n", usual / 1000, processes, named
	for (g = 1; g <= groups; g++)
		print line[g]
	for (r = 1; r <= records; r++) {
		add("total", r)
		add(key[who[r]] in group ? group[key[who[r]]] : groups, r)
	}
	write_samples(out ".total", "total")
	for (g = 1; g <= groups; g++)
		write_samples(out "." g, g)
}
