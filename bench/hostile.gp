# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c hostile.gp OUTPUT
#
# Draws the data of bench/hostile in time: for each attack and its control, the longest
# time between two samples, and the longest R, U or F of the other user.

set terminal pngcairo noenhanced size 1100,520 font 'sans-serif,13'
set output ARG1
load 'style.gp'

# Those with another interval, or without a victim, are left out.
ROWS = "< awk '$2 == \"%s\" && NF > 10 && $1 != \"vfork-storm\" && $1 != \"wipe-samples\" { \
	longest = 0; \
	for (i = 6; i <= 8; i++) { \
		split($i, part, \"/\"); \
		if (part[2] > longest) longest = part[2]; \
	} \
	print $1, $5, longest }' hostile-time.data"

set yrange [14.6:-0.6]
set ytics nomirror
set grid xtics ytics linetype 1 linecolor rgb GRID
set xlabel 'ms' textcolor rgb INK
set key top right
set multiplot layout 1,2

set xrange [0:150]
set arrow 1 from 100, graph 0 to 100, graph 1 nohead linecolor rgb INK dashtype 2
set title 'longest time between two samples, at 50 ms' textcolor rgb INK
plot sprintf(ROWS, 'attack') using 2:0:ytic(1) with points pointtype 7 pointsize 1.3 \
		linecolor rgb COLOR[1] title 'attack', \
	sprintf(ROWS, 'control') using 2:0 with points pointtype 6 pointsize 1.6 \
		linewidth 2 linecolor rgb COLOR[2] title 'control'

set xrange [0:200]
set title 'longest command of another user' textcolor rgb INK
plot sprintf(ROWS, 'attack') using 3:0:ytic(1) with points pointtype 7 pointsize 1.3 \
		linecolor rgb COLOR[1] title 'attack', \
	sprintf(ROWS, 'control') using 3:0 with points pointtype 6 pointsize 1.6 \
		linewidth 2 linecolor rgb COLOR[2] title 'control'
unset multiplot
