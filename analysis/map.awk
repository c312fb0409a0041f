# SPDX-License-Identifier: GPL-2.0
#
# Places faults on the map that faultmap draws. Its input are the faults of one or
# two recordings, each line preceded by the number of the recording (1 or 2) and a
# tab, as faults.awk prints them, sorted by recording and address.
#
# Each mapping becomes a band of the vertical axis, which extends from 0 to 1; the
# space between mappings is left out. The height of a band depends on the root of its
# size or, if that is less, its faults; a band is at least as high as its label.
# Mappings of the same name have the same band in both recordings. If there are more
# than MOST bands, those with the fewest faults share the last one.
#
# Uses text.awk. Variables: longest is the time of the last fault; columns and rows are
# the resolution of a panel: of the points in the same cell, one is drawn. out is the
# start of the names of the files: OUT.1 and OUT.2 get the points (seconds, height, 1 if
# major), OUT.bands the bands (bottom, top, label, faults of the first and of the second
# recording).

BEGIN {
	FS = OFS = "\t"
	MOST = 18
	PAGE = 4096
	# Anonymous faults that are closer belong together, even if the mapping has
	# grown.
	NEAR = 1048576
	# Faults in a file that are closer belong together, even if segments have
	# different distances in the file and in memory.
	NEAR_FILE = 16777216
	LEAST = 0.027
	# What stays free at the edges of a band
	EDGE = 0.006
}

# Returns whether the fault of this line is in the same band as the last one.
function continues(    near)
{
	near = $6 ~ /^\// ? NEAR_FILE : NEAR
	return panel == $1 && name == $6 &&
		($5 - $7 == base || $5 - address <= near)
}

{
	if (!continues()) {
		mappings++
		panel_of[mappings] = $1
		name_of[mappings] = $6
		start[mappings] = $5
	}
	panel = $1
	name = $6
	address = $5
	base = $5 - $7

	faults++
	mapping_of[faults] = mappings
	# The same offset of a file has the same height in both recordings.
	at[faults] = name ~ /^\// ? $7 : $5
	seconds[faults] = $2
	major[faults] = $8
	weight[faults] = $10
	sum[mappings] += $10
}

# Finds the band of each mapping. Of mappings that have the same name, those with the
# most faults have the same band in both recordings.
function find_bands(    m, other, rank, key)
{
	for (m = 1; m <= mappings; m++) {
		rank = 1
		for (other = 1; other <= mappings; other++)
			if (panel_of[other] == panel_of[m] && name_of[other] == name_of[m] &&
			    (sum[other] > sum[m] || sum[other] == sum[m] && other < m))
				rank++
		key = name_of[m] SUBSEP rank
		if (!(key in band)) {
			band[key] = ++bands
			title[bands] = name_of[m]
			bottom_address[bands] = start[m]
			low[bands, 1] = low[bands, 2] = -1
		}
		band_of[m] = band[key]
	}
}

# Adds a fault to its band.
function count_fault(f,    b, p)
{
	b = band_of[mapping_of[f]]
	p = panel_of[mapping_of[f]]
	if (low[b, p] < 0 || at[f] < low[b, p])
		low[b, p] = at[f]
	if (at[f] > high[b, p])
		high[b, p] = at[f]
	count[b, p, major[f]] += weight[f]
	total[b] += weight[f]
}

function most(a, b) { return a > b ? a : b }

# Sets the lowest position of a band in each panel, and its size.
function measure(b,    p, span)
{
	if (title[b] ~ /^\// && low[b, 1] >= 0 && low[b, 2] >= 0)
		low[b, 1] = low[b, 2] = low[b, 1] < low[b, 2] ? low[b, 1] : low[b, 2]
	for (p = 1; p <= 2; p++) {
		if (low[b, p] < 0)
			continue
		low[b, p] -= low[b, p] % PAGE
		span = high[b, p] - low[b, p] + PAGE
		span -= span % PAGE
		size[b] = most(size[b], span)
	}
}

# Returns what the height of a band depends on.
function share(b,    root)
{
	root = sqrt(size[b] / PAGE)
	return root < total[b] ? root : total[b]
}

# Returns the last part of a path. In a table, quotes and backslashes are special to
# gnuplot.
function label(text)
{
	if (text ~ /^\/.*[^\/]$/)
		sub(/^.*\//, "", text)
	if (length(text) > 19)
		text = substr(text, 1, 17) ".."
	gsub(/"/, "'", text)
	gsub(/\\/, "&&", text)
	return text
}

# Sorts order[1..n] by a key, descending if sign is -1.
function sort(keys, n, sign,    i, j, moved)
{
	for (i = 2; i <= n; i++) {
		moved = order[i]
		for (j = i - 1; j >= 1 && sign * keys[order[j]] > sign * keys[moved]; j--)
			order[j + 1] = order[j]
		order[j + 1] = moved
	}
}

# Returns the minor and major faults of a band as text.
function counts(b, p,    text)
{
	if (count[b, p, 0])
		text = grouped(count[b, p, 0])
	if (count[b, p, 1])
		text = text (text ? " + " : "") grouped(count[b, p, 1]) " major"
	return text
}

END {
	find_bands()
	for (f = 1; f <= faults; f++)
		count_fault(f)
	for (b = 1; b <= bands; b++) {
		measure(b)
		order[b] = b
	}
	sort(total, bands, -1)
	shown = bands
	if (bands > MOST) {
		shown = MOST - 1
		for (i = MOST; i <= bands; i++)
			rest[order[i]] = i - MOST
		others = bands - shown
	}
	sort(bottom_address, shown, 1)

	for (i = 1; i <= shown; i++)
		weights += share(order[i])
	all = shown + (others > 0)
	free = 1 - all * LEAST
	y = 0
	for (i = 0; i <= shown; i++) {
		if (i == 0 && !others)
			continue
		b = i ? order[i] : 0
		bottom[b] = y
		height[b] = LEAST + (b ? free * share(b) / weights : 0)
		y += height[b]
	}
	for (f = 1; f <= faults; f++) {
		b = band_of[mapping_of[f]]
		p = panel_of[mapping_of[f]]
		if (b in rest) {
			part = (rest[b] + 0.5) / others
			b = 0
		} else {
			part = (at[f] - low[b, p]) / size[b]
		}
		place = bottom[b] + EDGE + (height[b] - 2 * EDGE) * part
		cell = p SUBSEP major[f] SUBSEP int(seconds[f] / longest * columns) \
			SUBSEP int(place * rows)
		if (!(cell in drawn))
			print seconds[f], place, major[f] > (out "." p)
		drawn[cell] = 1
	}
	for (b in rest)
		for (p = 1; p <= 2; p++)
			for (m = 0; m <= 1; m++)
				count[0, p, m] += count[b, p, m]
	for (i = 0; i <= shown; i++) {
		b = i ? order[i] : 0
		if (!(b in bottom))
			continue
		print bottom[b], bottom[b] + height[b],
			b ? label(title[b]) "  " size_text(size[b]) : others " others",
			counts(b, 1), counts(b, 2) > (out ".bands")
	}
}
