# SPDX-License-Identifier: GPL-2.0
#
# What the pictures of a profile share: the format (png, svg, or html,
# which is an SVG that answers to the mouse) and the file output, where the three
# panels are, and the labels around them.

WIDTH = 1200
# An SVG's font sizes are in pixels, a PNG's in points.
font(times) = sprintf('sans-serif,%d', (format eq 'png' ? 13 : 17) * times)
if (format eq 'png') {
	set terminal pngcairo noenhanced size WIDTH,900 font font(1)
}
if (format eq 'svg') {
	set terminal svg noenhanced size WIDTH,900 font font(1) background 'white'
}
if (format eq 'html') {
	set terminal svg mouse standalone noenhanced size WIDTH,900 font font(1) background 'white'
}
set output output
load 'style.gp'

# Of the whole picture: where the panels are.
LEFT = 0.09
RIGHT = 0.975
HEIGHT = 0.215
bottom_of(panel) = 0.635 - 0.28 * (panel - 1)

# What the mouse finds at a second.
tip(from, to, value, panel) = sprintf('%.2f to %.2f s: %.4g %s', from, to, value, UNIT[panel])

# More samples than the picture has pixels would be a blur of their extremes:
# then the averages stand alone.
stats table index 0 using 1 name 'from' nooutput
stats table index 0 using 2 name 'to' nooutput
block = from_records <= WIDTH ? 0 : 1

# Before any range is set, which would limit what stats looks at.
array HIGHEST[3]
do for [panel = 1:3] {
	stats table index block using column_of(panel) name 'rate' nooutput
	HIGHEST[panel] = rate_max
}

set xrange [from_min:to_max]
set lmargin at screen LEFT
set grid ytics linetype 1 linecolor rgb GRID
set style fill solid 1 noborder
set label 1 title at screen LEFT, 0.965 left font font(1.5)
set label 2 totals at screen LEFT, 0.925 left textcolor rgb INK
set xtics format ''
