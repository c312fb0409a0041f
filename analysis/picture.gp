# SPDX-License-Identifier: GPL-2.0
#
# What the pictures of a profile share: the terminal for a format (png, svg, or
# html, which is an interactive SVG), the positions of the three panels, and the
# labels around them.

WIDTH = 1200
# Font sizes are in pixels in an SVG, in points in a PNG.
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

# Positions of the panels, as fractions of the picture
LEFT = 0.09
RIGHT = 0.975
HEIGHT = 0.215
bottom_of(panel) = 0.635 - 0.28 * (panel - 1)

# The text that the mouse shows at an average.
tip(from, to, value, panel) = sprintf('%.2f to %.2f s: %.4g %s', from, to, value, UNIT[panel])

# If there are more samples than pixels, draw the averages only: the samples would
# blur into a band of their extremes.
stats table index 0 using 1 name 'from' nooutput
stats table index 0 using 2 name 'to' nooutput
block = from_records <= WIDTH ? 0 : 1

# Before any range is set, because that would limit the input of stats.
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
