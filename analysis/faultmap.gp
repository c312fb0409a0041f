# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c faultmap.gp FORMAT OUTPUT TITLE PANELS LONGEST
#
# Draws faults by address over time, with a band for each mapping. map.awk has written
# the files map.bands, map.1 and map.2; headings and totals have a line per panel.

format = ARG1
output = ARG2
title = ARG3
panels = int(ARG4)
longest = real(ARG5)
array LEFT[2] = [panels == 1 ? 0.19 : 0.145, 0.57]
array RIGHT[2] = [panels == 1 ? 0.855 : 0.475, 0.90]
left_of(panel) = LEFT[panel]
right_of(panel) = RIGHT[panel]
load 'maps.gp'

set yrange [0:1]
set border 1
set ytics ('' 0)
set multiplot
do for [panel = 1:panels] {
	set lmargin at screen left_of(panel)
	set rmargin at screen right_of(panel)
	set label 2 line_of('headings', panel) at graph 0, 1.07 left font font(1.2)
	set label 3 line_of('totals', panel) at graph 0, 1.025 left textcolor rgb INK
	set label 4 'faults' at graph 1.01, 1.025 left textcolor rgb INK font font(0.85)
	set key at screen 0.98, 0.955 right center horizontal samplen 1 width 1
	if (panel > 1) { unset key }
	# Every other band has a background.
	plot 'map.bands' using (end / 2):(($1 + $2) / 2):(end / 2): \
			(int($0) % 2 ? 0 : ($2 - $1) / 2) with boxxyerror \
			fillcolor rgb '#F2F2F2' notitle, \
		'map.'.panel using ($1 * second):($3 == 0 ? $2 : NaN) with points linestyle 1 notitle, \
		'' using ($1 * second):($3 == 1 ? $2 : NaN) with points linestyle 2 notitle, \
		keyentry with points linestyle 3 title 'minor fault', \
		keyentry with points linestyle 4 title 'major fault'
	unset label 1
	unset label 6
}

# Names and numbers of the bands, in a panel as large as the picture
unset border
unset xtics
unset ytics
unset key
unset label
set lmargin at screen 0
set rmargin at screen 1
set tmargin at screen 1
set bmargin at screen 0
set xrange [0:1]
middle(bottom, top) = BOTTOM + (TOP - BOTTOM) * (bottom + top) / 2
plot 'map.bands' using (left_of(1) - 0.006):(middle($1, $2)):3 with labels right \
		font font(0.9) textcolor rgb INK, \
	for [panel = 1:panels] '' using (right_of(panel) + 0.006):(middle($1, $2)): \
		3 + panel with labels left font font(0.9) textcolor rgb INK
unset multiplot
