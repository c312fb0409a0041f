# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c thrashing.gp FORMAT OUTPUT TABLE PROCESSES
#
# Draws time, faults and CPU time of N processes over N. TABLE is the output of
# thrashing.awk, PROCESSES has N and the CPU percentage of each process.

format = ARG1
output = ARG2
table = ARG3
processes = ARG4
height = 1000
title = 'More processes than fit in memory: time goes into faults, and the CPUs stay busy'
load 'figure.gp'

array PANEL[4] = ['Time until the last process exits', 'Faults of all processes', \
	'CPU time of all processes', 'CPU time of each process']
array AXIS[4] = ['seconds', 'faults', '% of one CPU', '% of one CPU']
stats table using 1 name 'n' nooutput
NUMBERS = system("sed '/^#/d; s/ .*//' ".table)
set key at graph 1, 1.12 right center horizontal
array MOST[4]
do for [panel = 1:4] {
	if (panel < 4) {
		stats table using (column(panel == 1 ? 2 : panel == 2 ? 7 : 3)) name 'y' nooutput
	} else {
		stats processes using 2 name 'y' nooutput
	}
	MOST[panel] = y_max
}
set xrange [0:n_max + 1]
set multiplot
do for [panel = 1:4] {
	set tmargin at screen 0.90 - (panel - 1) * 0.225
	set bmargin at screen 0.90 - (panel - 1) * 0.225 - 0.15
	set label 2 PANEL[panel] at graph 0, 1.12 left font font(1.2)
	set ylabel AXIS[panel] textcolor rgb INK
	by = step(MOST[panel], 4)
	set yrange [0:top(MOST[panel], 4)]
	set ytics nomirror ()
	do for [i = 0:4] { set ytics add (short(i * by) i * by) }
	set xtics ()
	do for [n in NUMBERS] { set xtics add ((panel == 4 ? n : '') int(n)) }
	if (panel == 4) {
		set xlabel 'N, concurrent processes' textcolor rgb INK
		plot processes using 1:2 with points pointtype 7 pointsize 0.8 \
			linecolor rgb CURVE[1] notitle
	}
	if (panel == 1) {
		plot table using 1:2 with linespoints linewidth 2.5 pointtype 7 \
			linecolor rgb CURVE[1] notitle
	}
	if (panel == 2) {
		plot table using 1:7 with linespoints linewidth 2.5 pointtype 7 \
				linecolor rgb COLOR[1] title 'minor', \
			'' using 1:8 with linespoints linewidth 2.5 pointtype 5 \
				linecolor rgb COLOR[2] title 'major'
	}
	if (panel == 3) {
		plot table using 1:3 with linespoints linewidth 2.5 pointtype 7 \
			linecolor rgb COLOR[3] notitle
	}
	unset label 1
}
unset multiplot
