# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c filemap.gp FORMAT OUTPUT TITLE PANELS LONGEST
#
# Draws faults in one file by their offset over time. offsets.awk has written the files
# map.unit, map.1 and map.2; headings and totals have a line per panel.

format = ARG1
output = ARG2
title = ARG3
panels = int(ARG4)
longest = real(ARG5)
array LEFT[2] = [panels == 1 ? 0.09 : 0.07, 0.545]
array RIGHT[2] = [panels == 1 ? 0.975 : 0.505, 0.98]
left_of(panel) = LEFT[panel]
right_of(panel) = RIGHT[panel]
load 'maps.gp'

set grid linetype 1 linecolor rgb GRID
set yrange [0:real(system("cut -f 1 map.unit"))]
set label 5 'offset in the file, '.system("cut -f 2 map.unit") at screen 0.018, \
	screen (TOP + BOTTOM) / 2 center rotate textcolor rgb INK
set multiplot
do for [panel = 1:panels] {
	set lmargin at screen left_of(panel)
	set rmargin at screen right_of(panel)
	set label 2 line_of('headings', panel) at graph 0, 1.07 left font font(1.2)
	set label 3 line_of('totals', panel) at graph 0, 1.025 left textcolor rgb INK
	set key at screen 0.98, 0.955 right center horizontal samplen 1 width 1
	if (panel > 1) { unset key }
	plot 'map.'.panel using ($1 * second):($3 == 0 ? $2 : NaN) with points linestyle 1 notitle, \
		'' using ($1 * second):($3 == 1 ? $2 : NaN) with points linestyle 2 notitle, \
		keyentry with points linestyle 3 title 'minor fault', \
		keyentry with points linestyle 4 title 'major fault'
	unset label 1
	unset label 5
	unset label 6
}
unset multiplot
