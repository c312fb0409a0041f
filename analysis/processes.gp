# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c processes.gp FORMAT OUTPUT TABLE TITLE TOTALS KIND STACK NAMES GROUPS
#
# Draws a profile with the processes stacked: three panels, one above the other,
# with a common time axis. STACK is the output of stack.awk, NAMES has one line
# per group in it. The first GROUPS of them have a color of their own; one that
# follows combines all other processes.

format = ARG1
output = ARG2
table = ARG3
title = ARG4
totals = ARG5
kind = ARG6
stack = ARG7
names = system("cat ".ARG8)
named = int(ARG9)
load 'picture.gp'
# Colors stand for processes here, not for panels.
array COLOR[3] = [INK, INK, INK]

groups = 0
# Names can contain blanks, so word() cannot split them.
array NAMES[9]
while (strlen(names)) {
	at = strstrt(names, "\n")
	groups = groups + 1
	NAMES[groups] = at ? names[1:at - 1] : names
	names = at ? names[at + 1:*] : ''
}

# The corners of the steps of the stack, which make one area per group instead of
# one per sample.
corners = stack.'.corners'
system sprintf("awk '{ print; if (NF) { $1 = $2; print } }' %s >%s", stack, corners)
color_of(g) = g > named ? GROUP[8] : GROUP[g]
set rmargin at screen 0.795
set key off
# gnuplot's own key would continue in a second column.
do for [g = 1:groups] {
	y = bottom_of(1) + HEIGHT - 0.012 - 0.032 * (groups - g)
	set object g rectangle from screen 0.81, y - 0.008 to screen 0.83, y + 0.008 \
		fillcolor rgb color_of(g) front
	set label 10 + g NAMES[g] at screen 0.84, y left textcolor rgb INK
}
set multiplot
do for [panel = 1:3] {
	load 'panel.gp'
	# Each area extends from the top of the areas below it.
	plot for [g = groups:1:-1] corners index 2 * (g - 1) + block \
			using 1:(column(column) - column(column + 3)):column \
			with filledcurves linecolor rgb color_of(g), \
		for [g = groups:1:-1] stack index 2 * (g - 1) + 1 using \
			(format eq 'html' && $2 > $1 && column(column + 3) > 0 ? ($1 + $2) / 2 : NaN): \
			column:(NAMES[g].', '.tip($1, $2, column(column + 3), panel)) \
			with labels hypertext point pointtype 7 pointsize 0.3 \
			linecolor rgb INK
	unset label 1
	unset label 2
	do for [g = 1:groups] {
		unset label 10 + g
		unset object g
	}
}
unset multiplot
