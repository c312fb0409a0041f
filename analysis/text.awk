# SPDX-License-Identifier: GPL-2.0
#
# Functions of the awk programs that draw faults: numbers as text.

# Returns a number with commas between groups of three digits.
function grouped(number,    text)
{
	number = sprintf("%d", number)
	while (length(number) > 3) {
		text = "," substr(number, length(number) - 2) text
		number = substr(number, 1, length(number) - 3)
	}
	return number text
}

# Returns a time in nanoseconds with a unit.
function time_text(ns)
{
	if (ns >= 1e9)
		return sprintf("%.3g s", ns / 1e9)
	if (ns >= 1e6)
		return sprintf("%.3g ms", ns / 1e6)
	return sprintf("%.3g us", ns / 1e3)
}

# Returns a size in bytes with a unit.
function size_text(bytes)
{
	if (bytes >= 1073741824)
		return sprintf("%.3g GiB", bytes / 1073741824)
	if (bytes >= 1048576)
		return sprintf("%.3g MiB", bytes / 1048576)
	return sprintf("%.0f KiB", bytes / 1024)
}
