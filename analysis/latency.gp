# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c latency.gp FORMAT OUTPUT TITLE PANELS
#
# Draws histograms of stalls: minor faults above, major faults below, a column for each
# recording. latency.awk has written the files; headings has a line per column.

format = ARG1
output = ARG2
title = ARG3
columns = int(ARG4)
width = columns == 1 ? 1200 : 1600
height = 900
load 'figure.gp'
set datafile separator '\t'

# A line of a file, without its newline
line_of(file, n) = system(sprintf("sed -n %dp %s", n, file))
range(n) = real(word(line_of('stalls.range', 1), n))

LEFT = columns == 1 ? 0.08 : 0.06
RIGHT = 0.965
GAP = 0.035
each = (RIGHT - LEFT - GAP * (columns - 1)) / columns
left_of(column) = LEFT + (column - 1) * (each + GAP)
array TOP[2] = [0.81, 0.40]
array MOST[2] = [range(3), range(4)]
array KIND[2] = ['Minor faults', 'Major faults']
PANEL = 0.31

set logscale xy
# Space for the label of the maximum
set xrange [range(1) / 2:range(2) * (columns == 1 ? 4 : 12)]
set y2range [0:1]
unset y2tics
set xtics add ('100 ns' 100, '1 us' 1e3, '10 us' 1e4, '100 us' 1e5, '1 ms' 1e6, \
	'10 ms' 1e7, '100 ms' 1e8, '1 s' 1e9, '10 s' 1e10, '100 s' 1e11)
unset mxtics
unset mytics
set key off
set style fill solid 1 noborder
set label 6 'stall of a fault, logarithmic' at screen (LEFT + RIGHT) / 2, screen 0.025 \
	center textcolor rgb INK
set multiplot
do for [column = 1:columns] {
	do for [kind = 1:2] {
		set lmargin at screen left_of(column)
		set rmargin at screen left_of(column) + each
		set tmargin at screen TOP[kind]
		set bmargin at screen TOP[kind] - PANEL
		file = sprintf('%d.%d', column, kind - 1)
		# An axis that starts at a half shows a bin with one fault. The labels of
		# the marks are above the bins, one below the other.
		set yrange [0.5:most(MOST[kind], 10) ** 1.5]
		set ytics nomirror ()
		do for [i = 0:9] {
			set ytics add ((column == 1 ? short(10.0 ** i) : '') 10.0 ** i)
		}
		set label 2 KIND[kind] at graph 0, 1.08 left font font(1.2) \
			textcolor rgb COLOR[kind]
		set label 3 line_of('stalls.totals', 2 * (column - 1) + kind) \
			at graph 1, 1.08 right textcolor rgb INK
		set label 5 column == 1 ? 'faults, logarithmic' : '' at screen 0.016, \
			screen TOP[kind] - PANEL / 2 center rotate textcolor rgb INK
		set label 7 kind == 1 ? line_of('headings', column) : '' at graph 0, 1.22 \
			left font font(1.3)
		# stats would leave out what is outside the axes.
		if (int(system('wc -l <stalls.'.file))) {
			set label 8 ''
			plot 'stalls.'.file using (sqrt($1 * $2)):3:1:2:(0.5):3 \
					with boxxyerror linecolor rgb TINT[kind], \
				'marks.'.file using 1:(0):(0):(0.95 - 0.09 * $0) axes x1y2 \
					with vectors nohead linewidth 1.5 linecolor rgb COLOR[kind], \
				'' using 1:(0.95 - 0.09 * $0):2 axes x1y2 with labels left \
					offset 0.5, 0 font font(0.9) textcolor rgb 'black'
		} else {
			set label 8 'no faults' at graph 0.5, 0.5 center textcolor rgb INK
			plot 0.1
		}
		unset label 1
		unset label 6
	}
}
unset multiplot
