# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c accumulated.gp FORMAT OUTPUT CURVES NAMES TITLE [WHERE]
#
# Draws accumulated faults. CURVES has one block per curve, with lines of seconds,
# minor faults and major faults; NAMES has the name of each curve. WHERE is "outside"
# if the names are to be next to the curves, where they hide none.

format = ARG1
output = ARG2
curves = ARG3
names = ARG4
title = ARG5
outside = ARG6 eq 'outside'
height = 700
load 'figure.gp'
name(i) = system(sprintf("sed -n %dp %s", i, names))

stats curves using 1 name 'time' nooutput
# An empty block follows the last one.
nr = time_blocks - 1
array MOST[2] = [1, 1]
do for [panel = 1:2] {
	do for [i = 1:nr] {
		stats curves index i - 1 using 1 + panel name 'faults' nooutput
		MOST[panel] = most(MOST[panel], faults_sum)
	}
}
set xrange [0:most(time_max, 1e-3)]
if (outside) { set rmargin at screen 0.78 }
set multiplot
do for [panel = 1:2] {
	set tmargin at screen panel == 1 ? 0.83 : 0.38
	set bmargin at screen panel == 1 ? 0.51 : 0.12
	set label 2 NAME[panel].', accumulated' at graph 0, 1.09 left font font(1.2)
	set ylabel 'faults so far' textcolor rgb INK
	by = step(MOST[panel], 4)
	set yrange [0:top(MOST[panel], 4)]
	set ytics nomirror ()
	do for [i = 0:4] { set ytics add (short(i * by) i * by) }
	set key at graph 0.98, 0.08 right bottom Right
	if (outside) { set key at graph 1.01, 1 left top Left reverse }
	set xtics format panel == 1 ? '' : '%g'
	if (panel == 2) {
		set xlabel SECONDS textcolor rgb INK
		set key off
		set label 3 (MOST[2] > 1 ? '' : NONE[2]) at graph 0.5, 0.5 center \
			textcolor rgb INK
	}
	plot for [i = 1:nr] curves index i - 1 using 1:1 + panel \
		smooth cumulative with lines linewidth 3 \
		linecolor rgb CURVE[i] title name(i)
	unset label 1
}
unset multiplot
