# SPDX-License-Identifier: GPL-2.0
#
# Everything in a panel except its curves.

column = column_of(panel)
end = most(HIGHEST[panel], LEAST[panel])
by = step(end, 4)
set yrange [0:top(end, 4)]
set ytics nomirror ()
do for [i = 0:4] { set ytics add (short(i * by) i * by) }
set bmargin at screen bottom_of(panel)
set tmargin at screen bottom_of(panel) + HEIGHT
set label 3 NAME[panel] at graph 0, 1.14 left \
	textcolor rgb COLOR[panel] font font(1.2)
set label 4 UNIT[panel] at screen 0.025, \
	screen bottom_of(panel) + HEIGHT / 2 center rotate textcolor rgb INK
set label 5 (HIGHEST[panel] == 0 ? NONE[panel] : '') \
	at graph 0.5, 0.5 center textcolor rgb INK
if (panel == 3) {
	set xtics format '%g'
	set label 6 SECONDS at graph 0.5, screen 0.015 center \
		textcolor rgb INK
}
