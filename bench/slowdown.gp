# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c slowdown.gp OUTPUT
#
# Draws the data of bench/slowdown: how much longer a load takes while it is profiled.

set terminal pngcairo noenhanced size 1200,480 font 'sans-serif,13'
set output ARG1
load 'style.gp'

array LOAD[3]  = ['faults', 'fork', 'cpu']
array TITLE[3] = ['a program that faults', 'a program that forks', 'a program that computes']

set style fill solid 1 noborder
set boxwidth 0.6
set xtics rotate by -35
set yrange [0.9:6]
set logscale y
set ytics (1, 1.5, 2, 3, 4, 5)
unset mytics
set grid ytics linetype 1 linecolor rgb GRID
set ylabel 'time relative to no profiler' textcolor rgb INK
unset key
set multiplot layout 1,3
do for [panel = 1:3] {
	set title TITLE[panel] textcolor rgb INK
	plot sprintf("< awk '$1 == \"#\" && $2 == \"%s\" { print $3, $5 }' slowdown.data", \
			LOAD[panel]) \
		using 0:2:xtic(1) with boxes linecolor rgb COLOR[panel], \
		'' using 0:($2 * 1.06):(sprintf('%.3f', $2)) with labels \
			font ',11' textcolor rgb INK
	unset ylabel
}
unset multiplot
