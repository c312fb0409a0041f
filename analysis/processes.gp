# SPDX-License-Identifier: GPL-2.0
#
# Usage: gnuplot -c processes.gp TERMINAL OUTPUT TABLE TITLE TOTALS STACK NAMES
#
# Draws what each process did on top of what the others did: three panels, one
# below the other, over the same seconds. STACK is what stack.awk prints, NAMES
# has a line for each of its groups.

format = ARG1
output = ARG2
table = ARG3
title = ARG4
totals = ARG5
stack = ARG6
names = system("cat '".ARG7."'")
load 'picture.gp'
# Colours are for processes here.
array COLOR[3] = [INK, INK, INK]

groups = 0
# Blanks are in the names, too.
array NAMES[9]
while (strlen(names)) {
	at = strstrt(names, "\n")
	groups = groups + 1
	NAMES[groups] = at ? names[1:at - 1] : names
	names = at ? names[at + 1:*] : ''
}

# The stack as corners of its steps: one area a group, not one for each sample.
corners = stack.'.corners'
system sprintf("awk '{ print; if (NF) { $1 = $2; print } }' '%s' >'%s'", stack, corners)
color_of(g) = NAMES[g][1:8] eq 'others (' ? GROUP[8] : GROUP[g]
set rmargin at screen 0.795
set key off
# gnuplot's own would go on in a second column.
do for [g = 1:groups] {
	y = bottom_of(1) + HEIGHT - 0.012 - 0.032 * (groups - g)
	set object g rectangle from screen 0.81, y - 0.008 to screen 0.83, y + 0.008 \
		fillcolor rgb color_of(g) front
	set label 10 + g NAMES[g] at screen 0.84, y left textcolor rgb INK
}
set multiplot
do for [panel = 1:3] {
	load 'panel.gp'
	# Each from the top of those below it to its own.
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
