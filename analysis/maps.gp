# SPDX-License-Identifier: GPL-2.0
#
# What faultmap.gp and filemap.gp share: the terminal, positions of the panels,
# headings and the key. The caller sets format, output, title, panels and longest.

width = panels == 1 ? 1200 : 1600
height = 850
load 'figure.gp'
set datafile separator '\t'
unset grid
unset colorbox

# A line of a file, without its newline
line_of(file, n) = system(sprintf("sed -n %dp %s", n, file))

TOP = 0.83
BOTTOM = 0.085
set tmargin at screen TOP
set bmargin at screen BOTTOM
# A second of the points, in units of the axis
second = longest < 0.5 ? 1000 : 1
end = longest * second * 1.005
set xrange [0:end]
set xtics format '%g'
set label 6 (second == 1 ? 'seconds' : 'milliseconds').' since the first fault' \
	at screen (left_of(1) + right_of(panels)) / 2, screen 0.02 center textcolor rgb INK

# Fewer faults are drawn as larger points.
stats 'map.1' using 1 name 'points' nooutput
SIZE = (format ne 'png' ? 0.6 : 1) * \
	(points_records < 500 ? 0.7 : points_records < 5000 ? 0.45 : 0.28)
set style line 1 pointtype 7 pointsize SIZE linecolor rgb COLOR[1]
set style line 2 pointtype 9 pointsize SIZE + (format ne 'png' ? 0.25 : 0.45) linecolor rgb COLOR[2]
set style line 3 pointtype 7 pointsize (format ne 'png' ? 0.7 : 1.2) linecolor rgb COLOR[1]
set style line 4 pointtype 9 pointsize (format ne 'png' ? 0.8 : 1.3) linecolor rgb COLOR[2]
