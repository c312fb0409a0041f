# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c punctual.gp OUTPUT
#
# Draws the data of bench/punctual: the share of the gaps between two samples that
# are longer than a given time.

set terminal pngcairo noenhanced size 1200,760 font 'sans-serif,13'
set output ARG1
load 'style.gp'

array TOOL[3]  = ['perf-stat', 'poller', 'mp3']
array PEN[3]   = ['#CC79A7', COLOR[1], COLOR[3]]
array STATE[3] = ['idle', 'cpu-bound', 'thrashing']
array FILE[2]  = ['punctual-icount', 'punctual-time']
array WHERE[2] = ['instruction clock', 'real time']

set xlabel 'milliseconds between two samples' textcolor rgb INK
set yrange [0:100]
set grid ytics linetype 1 linecolor rgb GRID
set multiplot layout 2,3
do for [file = 1:2] {
	do for [panel = 1:3] {
		set title sprintf('%s, %s', STATE[panel], WHERE[file]) \
			textcolor rgb INK
		# One key is enough. Here it covers no curve.
		if (file == 2 && panel == 3) {
			set key left center Left reverse samplen 2 textcolor rgb INK
		} else {
			unset key
		}
		if (file == 1) {
			set xrange [45:55]
		} else {
			set xrange [0:*]
		}
		set ylabel (panel == 1 ? '% of gaps longer than that' : '') \
			textcolor rgb INK
		plot for [i = 1:3] sprintf("< awk '$1 == \"%s\" && $2 == \"%s\" && NF == 4' %s.data", \
				STATE[panel], TOOL[i], FILE[file]) \
			using 4:(100 - 100 * $3) with steps linewidth 2 \
			linecolor rgb PEN[i] title TOOL[i]
	}
}
unset multiplot
