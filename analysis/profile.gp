# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c profile.gp TERMINAL OUTPUT TABLE TITLE TOTALS
#
# Draws a profile: three panels, one below the other, over the same seconds.

table = ARG3
title = ARG4
totals = ARG5
WIDTH = 1200
# An SVG's font sizes are in pixels, a PNG's in points.
font(times) = sprintf('sans-serif,%d', (ARG1 eq 'svg' ? 17 : 13) * times)
if (ARG1 eq 'svg') {
	set terminal svg noenhanced size WIDTH,900 font font(1) background 'white'
} else {
	set terminal pngcairo noenhanced size WIDTH,900 font font(1)
}
set output ARG2
load 'style.gp'

# Of the whole picture: where the panels are.
LEFT = 0.09
RIGHT = 0.975
HEIGHT = 0.215
bottom_of(panel) = 0.635 - 0.28 * (panel - 1)

# More samples than the picture has pixels would be a blur of their extremes:
# then the averages stand alone.
stats table index 0 using 1 name 'from' nooutput
stats table index 0 using 2 name 'to' nooutput
block = from_records <= WIDTH ? 0 : 1

# Before any range is set, which would limit what stats looks at.
array HIGHEST[3]
do for [panel = 1:3] {
	stats table index block using column_of(panel) name 'rate' nooutput
	HIGHEST[panel] = rate_max
}

set xrange [from_min:to_max]
set lmargin at screen LEFT
set rmargin at screen RIGHT
set grid ytics linetype 1 linecolor rgb GRID
set style fill solid 1 noborder
set key at graph 1, 1.14 right center horizontal samplen 2 width 1 textcolor rgb INK

set label 1 title at screen LEFT, 0.965 left font font(1.5)
set label 2 totals at screen LEFT, 0.925 left textcolor rgb INK
set xtics format ''
set multiplot
do for [panel = 1:3] {
	column = column_of(panel)
	end = most(HIGHEST[panel], LEAST[panel])
	by = step(end, 4)
	set yrange [0:top(end, 4)]
	set ytics nomirror ()
	do for [i = 0:4] { set ytics add (short(i * by) i * by) }
	set bmargin at screen bottom_of(panel)
	set tmargin at screen bottom_of(panel) + HEIGHT
	set label 3 NAME[panel] at graph 0, 1.14 left \
		textcolor rgb COLOR[panel] font font(1.2)
	set label 4 UNIT[panel] at screen 0.025, \
		screen bottom_of(panel) + HEIGHT / 2 center rotate textcolor rgb INK
	set label 5 (HIGHEST[panel] == 0 ? NONE[panel] : '') \
		at graph 0.5, 0.5 center textcolor rgb INK
	if (panel == 3) {
		set xtics format '%g'
		set label 6 SECONDS at graph 0.5, screen 0.015 center \
			textcolor rgb INK
	}
	# The thin line keeps a spike in sight that is no pixel wide.
	plot table index block using 1:column with fillsteps \
			linecolor rgb TINT[panel] \
			title block ? '' : 'each sample', \
		'' index block using 1:column with steps \
			linewidth 1 linecolor rgb TINT[panel] notitle, \
		'' index 1 using 1:column with steps \
			linewidth (block ? 1.5 : 2.5) linecolor rgb COLOR[panel] \
			title 'average of each second'
	unset label 1
	unset label 2
}
unset multiplot
