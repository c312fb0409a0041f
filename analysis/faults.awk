# SPDX-License-Identifier: GPL-2.0
#
# Reads the faults that "mp3ctl where --csv" prints, checks them, and prints them
# for the other scripts, separated by tabs:
#
#	seconds pid comm address mapping offset major stall_ns faults
#
# Seconds are since the first fault, address and offset are decimal, major is 0 or
# 1, stall_ns is -1 if it is unknown, faults is the number of faults that the line
# stands for. Names are printable ASCII. Lines are in the order of the input.
#
# Variable: cut is 1 if the last line lacks its newline. Prints one line to stderr
# and exits with status 1 if the input is broken.

BEGIN {
	HEADER = "time_ns,pid,tid,comm,address,mapping,offset,kind,major,access,stall_ns,faults,frames"
	fields = split(HEADER, names, ",")
	for (i = 0; i < 16; i++)
		digit[substr("0123456789abcdef", i + 1, 1)] = i
	OFS = "\t"
}

# Returns a text for a terminal, in one column of a table. mp3ctl prints no other bytes,
# but the file need not be its own.
function printable(text)
{
	gsub(/[^ -~]/, "?", text)
	return text
}

function fail(message)
{
	print message > "/dev/stderr"
	failed = 1
	exit 1
}

function fail_line(message) { fail("line " NR ": " printable(message)) }

# Splits a line of csv into field[]. Returns the number of fields, or 0 if the line
# is malformed.
function split_csv(line,    n, at, text)
{
	for (;;) {
		if (line ~ /^"/) {
			text = ""
			do {
				line = substr(line, 2)
				at = index(line, "\"")
				if (!at)
					return 0
				# Two quotes are one quote of the text.
				text = text substr(line, 1, at - (substr(line, at + 1, 1) != "\""))
				line = substr(line, at + 1)
			} while (line ~ /^"/)
		} else {
			match(line, /^[^,]*/)
			text = substr(line, 1, RLENGTH)
			line = substr(line, RLENGTH + 1)
		}
		field[++n] = text
		if (line == "")
			return n
		if (line !~ /^,/)
			return 0
		line = substr(line, 2)
		# A line that ends with a comma has an empty last field.
		if (line == "") {
			field[++n] = ""
			return n
		}
	}
}

function number(i)
{
	if (field[i] !~ /^[0-9]+$/ || length(field[i]) > 20)
		fail_line(names[i] ": '" field[i] "' is not a number")
	return field[i] + 0
}

function hexadecimal(text,    i, value)
{
	if (text !~ /^0x[0-9a-f]+$/ || length(text) > 18)
		fail_line("address: '" text "' is not a hexadecimal number")
	for (i = 3; i <= length(text); i++)
		value = 16 * value + digit[substr(text, i, 1)]
	return value
}

NR == 1 {
	if ($0 != HEADER)
		fail("not a recording, and not the output of mp3ctl where --csv")
	next
}

{
	if (split_csv($0) != fields)
		fail_line("not " fields " fields")
	time = number(1)
	if (!faults)
		first = time
	# Threads write at the same time, so times can go back a little. A fault that
	# was completed before the first one counts as simultaneous.
	seconds = time > first ? (time - first) / 1e9 : 0
	# It precedes a name that a spreadsheet would execute.
	sub(/^'/, "", field[4])
	field[4] = printable(field[4])
	field[6] = printable(field[6])
	if (field[9] !~ /^[01]$/)
		fail_line("major: '" field[9] "' is not 0 or 1")
	printf "%.6f\t%d\t%s\t%.0f\t%s\t%.0f\t%d\t%.0f\t%d\n", seconds, number(2),
		field[4], hexadecimal(field[5]), field[6], number(7), field[9],
		field[11] == "" ? -1 : number(11), number(12)
	faults++
}

END {
	if (failed)
		exit 1
	if (cut && NR)
		fail("line " NR ": the file ends in mid-line")
	if (!faults)
		fail("contains no faults")
}
