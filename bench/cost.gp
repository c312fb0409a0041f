# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c cost.gp OUTPUT
#
# Draws the data of bench/cost: the cost of a tick per process with N idle processes,
# in instructions and in time.

set terminal pngcairo size 1200,520 font 'sans-serif,13'
set output ARG1
load 'style.gp'

array TOOL[5]  = ['pidstat', 'poller', 'perf-stat', 'mp3', 'floor']
array LABEL[5] = ['pidstat 1', 'poller of /proc', 'perf stat -I 50', 'mp3', 'floor']
array PEN[5]   = [COLOR[2], COLOR[1], '#CC79A7', COLOR[3], INK]
array FILE[2]  = ['cost-instructions', 'cost-time']
array TITLE[2] = ['Instructions per process and pass', 'Nanoseconds per process and pass, under QEMU TCG']

set logscale xy
set xlabel 'idle processes registered' textcolor rgb INK
set xrange [0.8:12500]
set yrange [10:1e8]
set format y '10^{%L}'
set grid ytics linetype 1 linecolor rgb GRID
set key top right vertical maxrows 3 samplen 1 textcolor rgb INK
set multiplot layout 1,2
do for [panel = 1:2] {
	set title TITLE[panel] textcolor rgb INK
	if (panel == 2) { unset key }
	plot for [i = 1:5] sprintf("< awk '$1 == \"idle\" && $3 == \"%s\"' %s.data", \
			TOOL[i], FILE[panel]) \
		using 2:5:6:7 with yerrorlines linewidth 2 pointtype 7 \
		linecolor rgb PEN[i] title LABEL[i]
}
unset multiplot
