# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c accumulated.gp FORMAT OUTPUT CURVES NAMES TITLE
#
# Draws faults as they add up. A curve's lines in CURVES are: seconds, minor and
# major faults; its name is a line of NAMES.

format = ARG1
output = ARG2
curves = ARG3
names = ARG4
title = ARG5
height = 700
load 'figure.gp'
name(i) = system(sprintf("sed -n %dp '%s'", i, names))

stats curves using 1 name 'time' nooutput
# An empty one follows the last.
nr = time_blocks - 1
stats curves using 3 name 'major' nooutput
set xrange [0:time_max]
set multiplot
do for [panel = 1:2] {
	set tmargin at screen panel == 1 ? 0.83 : 0.38
	set bmargin at screen panel == 1 ? 0.51 : 0.12
	set label 2 NAME[panel].', accumulated' at graph 0, 1.09 left font font(1.2)
	set ylabel 'faults so far' textcolor rgb INK
	set format y '%.0s%c'
	set yrange [0:*]
	set key at graph 0.98, 0.08 right bottom Right
	set xtics format panel == 1 ? '' : '%g'
	if (panel == 2) {
		set xlabel SECONDS textcolor rgb INK
		set key off
		if (major_max == 0) {
			set yrange [0:1]
			set ytics (0)
			set label 3 NONE[2].' in any of them' at graph 0.5, 0.5 center textcolor rgb INK
		}
	}
	plot for [i = 1:nr] curves index i - 1 using 1:1 + panel \
		smooth cumulative with lines linewidth 3 \
		linecolor rgb CURVE[i] title name(i)
	unset label 1
}
unset multiplot
