# SPDX-License-Identifier: GPL-2.0
#
# Parts the records that monitor --processes prints, as text or as CSV, into
# groups of processes, and makes samples of each, as table.awk reads them, with
# the millisecond as clock tick. Variables: by ("pid" or "name"), most (groups,
# beside one for all others), cut (whether the last line lacks its newline),
# out: OUT.total gets the samples of all, OUT.1 and so on those of a group.
#
# Prints the interval of sampling in seconds and the number of processes, and
# then a group's name a line. Groups come in the order of their faults. All have
# a sample for each tick, also one in which they did nothing.

BEGIN { wanted = 8 }

NR == 1 && /^time,/ { fail("line 1: it has dates, and seconds are wanted (monitor without --time wall)") }

NR == 1 && /,/ {
	csv = 1
	if ($0 != "seconds,pid,flags,min_flt,maj_flt,cpu_ns,rss_bytes,comm")
		fail("line 1: not the header of monitor --processes --format csv")
	next
}

{ line = $0 }

# The name comes last and may hold commas and blanks, and quotes twice.
csv {
	name = $0
	for (i = 1; i < 8; i++)
		sub(/^[^,]*,/, "", name)
	sub(/^"/, "", name)
	complete = sub(/"$/, "", name)
	gsub(/""/, "\"", name)
	columns = split($0, field, ",")
	gsub(/"/, "", field[3])
}

!csv {
	name = $0
	columns = split($0, field, " ")
	for (i = 1; i < 8; i++)
		sub(/^[^ ]* /, "", name)
	complete = 1
}

short { exit }

columns < wanted || !complete {
	short = NR
	fields = columns
	next
}

{
	for (i = 1; i <= 7; i++)
		if (i != 3 && (field[i] !~ (i == 1 ? "^[0-9]+([.][0-9]+)?$" : "^[0-9]+$") ||
			       length(field[i]) > 17))
			fail("line " NR ": column " i " is not a number")
	if (field[3] !~ /^(-|F|L|FL)$/)
		fail("line " NR ": column 3 is none of - F L FL")
	tick = int(field[1] * 1000 + 0.5)
	if (ticks && tick < time[ticks])
		fail("line " NR ": time goes backwards")
	if (!ticks || tick > time[ticks])
		time[++ticks] = tick

	# A process id that was used again is another process.
	pid = field[2]
	if (!(pid in process)) {
		process[pid] = ++processes
		pid_of[processes] = pid
	}
	p = process[pid]
	comm[p] = name
	if (field[3] ~ /L/)
		delete process[pid]

	records++
	at[records] = ticks
	who[records] = p
	minor[records] = field[4]
	major[records] = field[5]
	cpu[records] = field[6]
}

# The lower quartile of what is between two ticks: the rest may be idle.
function usual_interval(    i, delta, count, seen, longest)
{
	for (i = 2; i <= ticks; i++) {
		delta = time[i] - time[i - 1]
		count[delta]++
		longest = delta > longest ? delta : longest
	}
	for (delta = 1; delta <= longest; delta++) {
		seen += count[delta]
		if (seen >= (ticks - 1) / 4)
			return delta
	}
	return 50
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

# Joins ticks of which one comes soon after another, since that was late: the
# CPU time that the scheduler noted at its own tick would seem to be endless.
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
		# Without a record in between, nobody had anything to tell; or the
		# tick was late, and whoever ran has done so for that long.
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
	if (!records)
		fail("no records")
	usual = usual_interval()
	join_ticks()

	# A process goes by the last name that it had.
	for (p = 1; p <= processes; p++) {
		key[p] = by == "name" ? comm[p] : comm[p] " " pid_of[p] " " p
		if (!members[key[p]]++)
			order[++keys] = key[p]
		label[key[p]] = by == "name" ? comm[p] : comm[p] " " pid_of[p]
	}
	for (r = 1; r <= records; r++) {
		faults[key[who[r]]] += minor[r] + major[r]
		cpu_time[key[who[r]]] += cpu[r]
	}

	printf "%.3f %d\n", usual / 1000, processes
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
		print label[name] (members[name] > 1 ? " (" members[name] ")" : "")
	}
	groups = g - 1
	if (others) {
		groups++
		print "others (" others ")"
	}

	for (r = 1; r <= records; r++) {
		add("total", r)
		add(key[who[r]] in group ? group[key[who[r]]] : groups, r)
	}
	write_samples(out ".total", "total")
	for (g = 1; g <= groups; g++)
		write_samples(out "." g, g)
}
