# SPDX-License-Identifier: GPL-2.0
#
# Reads a profile in any form that monitor or "mp3ctl watch" writes (samples or
# records, text or CSV), checks it, and prints it in one form for the other
# scripts. A sample is
#
#	tick min_flt maj_flt cpu
#
# and a record is
#
#	seconds pid flags min_flt maj_flt cpu_ns rss_bytes name
#
# with the name escaped to one word: \x20 is a blank, \x2c a comma, \x00 stands
# for an empty name. Identity records, which "mp3ctl watch --identity" adds, have
# the flag I and no counts: they are skipped. The last line is "# samples hz HZ cpu KIND" or "# records".
# HZ is the number of ticks per second; KIND is "percent", or, if column 4 cannot
# be a CPU percentage, "value" or "cumulative".
#
# Variables: hz overrides the tick rate of the profile; cut is 1 if the last line
# lacks its newline. Prints one line to stderr and exits with status 1 if the
# profile is broken. A note on stderr with status 0 means that it is usable.

BEGIN {
	DEFAULT_HZ = 250
	# 8192 CPUs, the most that Linux supports on x86
	MAX_PERCENT = 819200
	# Seconds become milliseconds.
	SECONDS_HZ = 1000
	WATCH = "mp3ctl watch --format csv"

	csv_kind["jiffies,min_flt,maj_flt,cpu_percent"] = "samples"
	csv_kind["seconds,min_flt,maj_flt,cpu_percent"] = "samples"
	csv_kind["seconds,pid,flags,min_flt,maj_flt,cpu_ns,rss_bytes,comm"] = "records"
	identity_header = "seconds,pid,flags,ppid,uid,start_seconds,cgroup_id,comm"
}

function note(message) { print message > "/dev/stderr" }

function fail(message)
{
	note(message)
	failed = 1
	exit 1
}

function fail_line(message) { fail("line " NR ": " message) }

# Splits a line of CSV into field[]. Returns the number of fields, or 0 if a
# quoted field has no end.
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
			fail_line("text follows a closing quote")
		line = substr(line, 2)
	}
}

# Splits a record in text form into field[]. The name is all that follows the
# seventh blank: older versions did not escape blanks, nor empty names.
function split_record(line,    n)
{
	n = split(line, field, " ")
	if (n < 7 || n == 7 && line !~ /[ \t]$/)
		return n
	for (n = 1; n <= 7; n++)
		sub(/^[ \t]*[^ \t]+[ \t]/, "", line)
	field[8] = line
	return 8
}

# Sets "kind" to what the first line of data shows.
function detect_kind()
{
	if (!csv && /^[0-9.]+,/)
		fail("line " (heading ? heading : NR) ": not the header of " WATCH)
	if (substr($0, 1, 1) == "{")
		fail_line("JSON is not supported; use --format text or csv")
	if (/^[0-9]+-[0-9]+-[0-9]+T/)
		fail_line("it has dates; seconds are required (" \
			  "mp3ctl watch without --time wall)")
	if (!csv)
		kind = NF >= 8 || $3 ~ /^(-|F|L|FL)$/ ? "records" : "samples"
	wanted = kind == "records" ? 8 : 4
}

function is_number(text, digits, fraction)
{
	return length(text) <= digits && (text ~ /^[0-9]+$/ || \
		fraction && text ~ /^[0-9]+[.][0-9]+$/)
}

function check_time(time)
{
	if (rows && time < last_time)
		fail_line("time goes backwards; if the file holds two runs, split it" \
			  " here: head -n " NR - 1 ", tail -n +" NR)
	last_time = time
	rows++
}

function skip_zeros()
{
	if (!zeros++)
		first_zero = NR
}

# Numbers of up to 15 digits add up exactly; column 4 need not add up.
function read_sample(    i, fraction, cpu)
{
	for (i = 1; i <= 4; i++) {
		fraction = i == 4 || i == 1 && (!rows || in_seconds)
		if (!is_number(field[i], i == 4 ? 19 : 15, fraction))
			fail_line("column " i " is not a number")
	}
	if (!(field[1] + 0 || field[2] + 0 || field[3] + 0 || field[4] + 0)) {
		skip_zeros()
		return
	}
	if (!rows)
		in_seconds = field[1] ~ /[.]/
	check_time(field[1] + 0)

	cpu = field[4] + 0
	if (rows > 1) {
		rises += cpu > last_cpu
		falls += cpu < last_cpu
	}
	last_cpu = cpu
	if (cpu > highest) {
		highest = cpu
		highest_text = field[4]
		highest_line = NR
	}
	if (in_seconds)
		field[1] = sprintf("%.0f", field[1] * SECONDS_HZ)
	print field[1], field[2], field[3], field[4]
}

function read_record(    i, name)
{
	for (i = 1; i <= 7; i++)
		if (i != 3 && !is_number(field[i], 17, i == 1))
			fail_line("column " i " is not a number")
	if (field[3] !~ /^(-|F|L|FL)$/)
		fail_line("column 3 is none of - F L FL")
	check_time(field[1] + 0)

	name = field[8]
	# It precedes a name that a spreadsheet would execute.
	if (csv)
		sub(/^'/, "", name)
	gsub(/ /, "\\x20", name)
	gsub(/,/, "\\x2c", name)
	print field[1], field[2], field[3], field[4], field[5], field[6], field[7],
		(name == "" ? "\\x00" : name)
}

# What column 4 holds. A counter that only grows, apart from a fall now and then
# when a process exits, is not a percentage, and neither is a value that no
# machine has enough CPUs for.
function cpu_kind()
{
	if (rises >= 10 && rises >= 20 * falls && highest > 100)
		return "cumulative"
	return highest > MAX_PERCENT ? "value" : "percent"
}

{ sub(/\r$/, "") }

/^#/ {
	if (match($0, /, hz [1-9][0-9]*$/))
		file_hz = substr($0, RSTART + 5)
	next
}

!rows && $0 in csv_kind {
	csv = 1
	kind = csv_kind[$0]
	next
}

/^[0-9.]+[ ,][0-9]+[ ,]"?I"?[ ,]/ || !rows && $0 == identity_header { next }

!rows && /^time,[a-z]/ {
	fail_line("it has dates; seconds are required (mp3ctl watch without --time wall)")
}

# Text before the data is a heading. Other programs of this kind end with a line
# like "read 12000 profiled data".
/^[ \t]*["A-Za-z]/ {
	if (rows && !text)
		text = NR
	if (!rows)
		heading = NR
	next
}

text { fail("line " text ": text where a sample should be") }

# Only the last line can have been cut, so a short line is reported at the line
# after it, or at the end.
short { exit }

!wanted { detect_kind() }

{
	if (csv)
		columns = split_csv($0)
	else if (kind == "records")
		columns = split_record($0)
	else
		columns = split($0, field, " ")
	if (columns != wanted) {
		short = NR
		next
	}
	if (kind == "records")
		read_record()
	else
		read_sample()
}

END {
	if (failed)
		exit 1
	if (short && short == NR && cut && columns < wanted) {
		if (kind != "samples" || !/^[0 ]+$/)
			fail("line " short ": the file ends in mid-line")
		skip_zeros()
		short = 0
	}
	if (short && !columns && csv)
		fail("line " short ": a quote is not closed")
	if (short)
		fail("line " short ": " columns (columns == 1 ? " column" : " columns") \
		     ", not " wanted)
	if (!rows)
		fail(kind == "records" ? "no records" : "no samples")
	if (kind == "records") {
		print "# records"
		exit
	}

	if (zeros)
		note("skipped " zeros (zeros == 1 ? " row" : " rows") \
		     " of zeros, the first in line " first_zero)
	if (cpu_kind() != "percent")
		note("column 4 is not a CPU percentage (" highest_text " in line " \
		     highest_line "); it is drawn as it is")
	if (!hz)
		hz = file_hz ? file_hz : DEFAULT_HZ
	print "# samples hz", (in_seconds ? SECONDS_HZ : hz), "cpu", cpu_kind()
}
