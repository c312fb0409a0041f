# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c profile.gp FORMAT OUTPUT TABLE TITLE TOTALS KIND
#
# Draws a profile: three panels, one above the other, with a common time axis.

format = ARG1
output = ARG2
table = ARG3
title = ARG4
totals = ARG5
kind = ARG6
load 'picture.gp'

set rmargin at screen RIGHT
set key at graph 1, 1.14 right center horizontal samplen 2 width 1 textcolor rgb INK
set multiplot
do for [panel = 1:3] {
	load 'panel.gp'
	# The thin line keeps a spike visible that is less than a pixel wide.
	plot table index block using 1:column with fillsteps \
			linecolor rgb TINT[panel] \
			title block ? '' : 'each sample', \
		'' index block using 1:column with steps \
			linewidth 1 linecolor rgb TINT[panel] notitle, \
		'' index 1 using 1:column with steps \
			linewidth (block ? 1.5 : 2.5) linecolor rgb COLOR[panel] \
			title 'average of each second', \
		'' index 1 using (format eq 'html' && $2 > $1 ? ($1 + $2) / 2 : NaN):column: \
			(tip($1, $2, column(column), panel)) \
			with labels hypertext point pointtype 7 pointsize 0.3 \
			linecolor rgb COLOR[panel] notitle
	unset label 1
	unset label 2
}
unset multiplot
