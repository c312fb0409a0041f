# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c gaps.gp FORMAT OUTPUT GAPS TABLE
#
# Draws how punctual the profiler was. GAPS has one block per run, with lines of
# milliseconds and the share of the gaps between samples that are at least as long.

format = ARG1
output = ARG2
gaps = ARG3
table = ARG4
height = 600
title = 'Punctuality of the profiler: gaps between samples, and missed deadlines'
load 'figure.gp'

stats gaps using 1 name 'gap' nooutput
# An empty block follows the last one.
nr = gap_blocks - 1
label(i) = system(sprintf("LC_ALL=C awk '!/^#/ && ++row == %d " \
	."{ printf \"N = %%d: %%d of %%d\", $1, $14, $13 + $14 }' %s", i, table))
set tmargin at screen 0.88
set bmargin at screen 0.14
set logscale x
set xrange [4:most(1000, gap_max)]
set xtics (4, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
set logscale y
set yrange [0.0001:1]
set ytics ('100 %%' 1, '10 %%' 0.1, '1 %%' 0.01, '0.1 %%' 0.001, '0.01 %%' 0.0001)
set xlabel 'milliseconds from one sample to the next' textcolor rgb INK
set ylabel 'share of gaps at least as long' textcolor rgb INK
set key left bottom Left reverse title 'missed deadlines' left
set arrow 1 from 50, graph 0 to 50, graph 1 nohead linecolor rgb GRID linewidth 2
plot for [i = 1:nr] gaps index i - 1 using 1:2 with steps linewidth 2.5 \
	linecolor rgb CURVE[i] title label(i)
