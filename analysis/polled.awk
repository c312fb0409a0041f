# SPDX-License-Identifier: GPL-2.0
#
# Selects the descendants of mp3ctl from the output of poll, which is
# /proc/<pid>/stat of every process. Prints one line per poll and process:
#
#	uptime pid min_flt maj_flt cpu_cs start_cs comm

function flush(    pid, parent)
{
	for (pid in line) {
		for (parent = parent_of[pid]; parent in line; parent = parent_of[parent])
			if (name[parent] == "(mp3ctl)") {
				print line[pid]
				break
			}
	}
	split("", line)
}

$1 == "uptime" {
	flush()
	now = $2
	next
}

# The name is in parentheses and can contain blanks and parentheses.
{
	pid = $1
	rest = $0
	sub(/^.*\) /, "", rest)
	name[pid] = $0
	sub(/^[0-9]* /, "", name[pid])
	sub(/\) [^)]*$/, ")", name[pid])
	split(rest, field, " ")
	parent_of[pid] = field[2]
	line[pid] = now " " pid " " field[8] " " field[10] " " field[12] + field[13] \
		" " field[20] " " substr(name[pid], 2, length(name[pid]) - 2)
}

END { flush() }
