# SPDX-License-Identifier: GPL-2.0
#
# Functions for records, for pictures: names of processes, and the sampling interval. The
# array time has the milliseconds of each of the ticks.

# Returns printable text for an escaped name. Bytes that are not printable ASCII
# stay escaped; a name that would be invisible is described.
function displayed(name,    text, at, code)
{
	while ((at = index(name, "\\"))) {
		text = text substr(name, 1, at - 1)
		name = substr(name, at)
		code = substr(name, 1, 4)
		if (code in character) {
			text = text character[code]
			name = substr(name, 5)
		} else {
			text = text "\\"
			name = substr(name, name ~ /^\\\\/ ? 3 : 2)
		}
	}
	text = text name
	if (text == "")
		return "(no name)"
	if (text ~ /^ +$/)
		return "(" length(text) (length(text) == 1 ? " blank)" : " blanks)")
	return text
}

BEGIN {
	for (i = 32; i < 127; i++)
		character[sprintf("\\x%02x", i)] = sprintf("%c", i)
	character["\\x00"] = ""
}

# Returns how many gaps between ticks have at most so many milliseconds.
function short_gaps(most,    i, nr)
{
	for (i = 2; i <= ticks; i++)
		nr += time[i] > time[i - 1] && time[i] - time[i - 1] <= most
	return nr
}

# Returns the sampling interval in milliseconds: the lower quartile of the gaps
# between ticks, since longer gaps may be idle. Bisects: a gap can have days.
function usual_interval(    i, low, high, middle)
{
	for (i = 2; i <= ticks; i++)
		if (time[i] - time[i - 1] > high)
			high = time[i] - time[i - 1]
	if (!high || short_gaps(high) < (ticks - 1) / 4)
		return 50
	low = 1
	while (low < high) {
		middle = int((low + high) / 2)
		if (short_gaps(middle) >= (ticks - 1) / 4)
			high = middle
		else
			low = middle + 1
	}
	return low
}
