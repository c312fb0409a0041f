# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c complete.gp OUTPUT
#
# Draws the data of bench/complete: the share of the faults that each tool reports.

set terminal pngcairo noenhanced size 800,420 font 'sans-serif,13'
set output ARG1
load 'style.gp'

set style fill solid 1 noborder
set boxwidth 0.6
set xtics rotate by -20
set yrange [0:115]
set grid ytics linetype 1 linecolor rgb GRID
set ylabel '% of the faults counted by wait4' textcolor rgb INK
set title 'Faults of processes that live for 1 to 40 ms' textcolor rgb INK
unset key
plot 'complete.data' using 0:3:xtic(1) with boxes linecolor rgb COLOR[1], \
	'' using 0:($3 + 5):(sprintf('%.1f', $3)) with labels textcolor rgb INK
