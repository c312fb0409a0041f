# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c terminal.gp WIDTH TABLE KIND
#
# Draws a profile in plain text: three panels, one above the other, with a common
# time axis. Each line of the last block of TABLE is a column of text.

width = int(ARG1)
table = ARG2
kind = ARG3
load 'style.gp'

# Rows of text of a panel with its heading, and of the whole chart. Counted from
# the bottom, the axis of a panel is in row axis_of(panel), and its heading is
# PANEL - 1 rows above.
PANEL = 8
ROWS = 3 * PANEL + 2
axis_of(panel) = (3 - panel) * PANEL + 2
screen_of(row) = 1.0 * row / (ROWS - 1)

stats table index 2 using 1 name 'from' nooutput
stats table index 2 using 2 name 'to' nooutput
array HIGHEST[3]
do for [panel = 1:3] {
	stats table index 2 using column_of(panel) name 'rate' nooutput
	HIGHEST[panel] = rate_max
}

set terminal dumb noenhanced mono size width, ROWS
set xrange [from_min:to_max]
# The space between the axis and the right edge has one column per line of TABLE.
set lmargin 6
set rmargin 1
set border 3
set tics scale 0
set key off
set xtics format ''
set multiplot
do for [panel = 1:3] {
	column = column_of(panel)
	end = most(HIGHEST[panel], LEAST[panel])
	by = step(end, 3)
	row = top(end, 3) / (PANEL - 2)
	set yrange [0:top(end, 3)]
	set ytics nomirror ()
	do for [i = 0:3] { set ytics add (short(i * by) i * by) }
	set bmargin at screen screen_of(axis_of(panel))
	set tmargin at screen screen_of(axis_of(panel) + PANEL - 2)
	set label 1 NAME[panel].' ('.UNIT[panel].')' at screen 0, \
		screen screen_of(axis_of(panel) + PANEL - 1)
	set label 2 (HIGHEST[panel] == 0 ? NONE[panel] : '') \
		at graph 0.5, 0.5 center
	if (panel == 3) {
		set xtics format '%g'
		set label 3 SECONDS at graph 0.5, screen 0 center
	}
	# A value that is too small for a star is drawn as a dot.
	plot table index 2 using (($1 + $2) / 2):column with impulses, \
		'' index 2 using (($1 + $2) / 2): \
			(column(column) > 0 && column(column) < row / 2 ? row : NaN) \
			with points pointtype '.'
}
unset multiplot
