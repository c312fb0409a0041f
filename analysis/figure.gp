# SPDX-License-Identifier: GPL-2.0
#
# What the figures of the studies share. The caller sets format (png, svg, or html,
# which is an interactive SVG), output (a file), height and title, and can set width.

if (!exists('width')) { width = 1200 }
font(times) = sprintf('sans-serif,%d', (format eq 'png' ? 13 : 17) * times)
if (format eq 'png') {
	set terminal pngcairo noenhanced size width,height font font(1)
}
if (format eq 'svg') {
	set terminal svg noenhanced size width,height font font(1) background 'white'
}
if (format eq 'html') {
	set terminal svg mouse standalone noenhanced size width,height font font(1) background 'white'
}
set output output
load 'style.gp'
set lmargin at screen 0.09
set rmargin at screen 0.975
set grid ytics linetype 1 linecolor rgb GRID
set style fill solid 1 noborder
set key textcolor rgb INK samplen 2
set label 1 title at screen 0.02, 1 - 35.0 / height left font font(1.5)
