# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c build.gp FORMAT OUTPUT TICKS TABLE
#
# Draws a build as recorded and as polled, with a common time axis. TICKS is the
# output of table.awk, TABLE that of build.awk, which has also written the files
# polls, lives and phases.

format = ARG1
output = ARG2
ticks = ARG3
table = ARG4
height = 1000
cell(what, n) = system(sprintf("awk '$1 == \"%s\" { print $%d }' %s", what, n + 1, table))
title = sprintf('A build of %s processes: polling every %.1f s sees %s of them', \
	cell('processes', 1), real(cell('polls', 2)), cell('processes', 2))
load 'figure.gp'

array PHASE[2] = ['compile', 'link']
array COLUMN[2] = [3, 5]
array HEADING[3] = ['Minor faults', 'CPU time', 'Processes in order of start']
array AXIS[3] = ['per second', '% of one CPU', 'one line each']
CPU_MAX = 300
stats 'lives' using 2 name 'end' nooutput
stats 'lives' using 3 name 'rows' nooutput
stats 'phases' using 1 name 'phase' nooutput
set xrange [0:end_max]
set key at graph 1, 1.1 right center horizontal
set multiplot
do for [panel = 1:3] {
	if (panel < 3) {
		stats [*:*] [*:*] ticks index 0 using COLUMN[panel] name 'y' nooutput
	}
	most_here = panel < 3 ? y_max : rows_max
	heading = HEADING[panel]
	# A late tick reports so much CPU time that the rest would be too small to see.
	if (panel == 2 && y_max > CPU_MAX) {
		stats ticks index 0 using ($5 > CPU_MAX ? $5 : NaN) name 'above' nooutput
		most_here = CPU_MAX
		heading = heading.sprintf(' (%d of %d ticks are higher, up to %d)', \
			above_records, y_records, above_max)
	}
	by = step(most_here, 4)
	set yrange [0:top(most_here, 4)]
	set ytics nomirror ()
	do for [i = 0:4] { set ytics add (short(i * by) i * by) }
	set tmargin at screen panel == 1 ? 0.87 : panel == 2 ? 0.61 : 0.35
	set bmargin at screen panel == 1 ? 0.69 : panel == 2 ? 0.43 : 0.08
	set label 2 heading at graph 0, 1.1 left font font(1.2)
	set ylabel AXIS[panel] textcolor rgb INK
	set xtics format panel == 3 ? '%g' : ''
	do for [i = 1:phase_records] {
		from = real(system(sprintf("awk 'NR == %d { print $1 }' phases", i)))
		to = real(system(sprintf("awk 'NR == %d { print $2 }' phases", i)))
		set arrow i from to, graph 0 to to, graph 1.0 nohead linecolor rgb INK dashtype 2
		phase = panel == 1 && i <= 2 ? PHASE[i] : ''
		set label 10 + i phase \
			at (from + to) / 2, graph 1.26 center font font(1.1)
		if (panel == 1) {
			set arrow 10 + i from from, graph 1.19 to to, graph 1.19 heads \
				size screen 0.006, 20 linecolor rgb INK
		} else {
			unset arrow 10 + i
		}
	}
	if (panel < 3) {
		plot ticks index 0 using 1:COLUMN[panel] with fillsteps \
				linecolor rgb TINT[1] title 'mp3, every 50 ms', \
			'' index 0 using 1:COLUMN[panel] with steps \
				linecolor rgb TINT[1] notitle, \
			'polls' using 1:COLUMN[panel] with steps linewidth 2.5 \
				linecolor rgb COLOR[2] title 'polled'
	} else {
		set xlabel SECONDS textcolor rgb INK
		plot 'lives' using ($4 == 1 ? $1 : NaN):3:($2 - $1):(0) with vectors nohead \
				linewidth 2.5 linecolor rgb COLOR[1] title 'seen by polling', \
			'' using ($4 == 1 ? NaN : $1):3:($2 - $1):(0) with vectors nohead \
				linewidth 2.5 linecolor rgb COLOR[2] title 'never seen by polling'
	}
	unset label 1
}
unset multiplot
