# SPDX-License-Identifier: GPL-2.0
#
# What the pictures share: the panels, their colors, axes and labels. If "kind" is
# set and is not "percent", column 4 of the samples is not a CPU percentage.

array NAME[3]  = ['Minor faults', 'Major faults', 'CPU time']
array UNIT[3]  = ['per second', 'per second', '% of one CPU']
array NONE[3]  = ['no minor faults', 'no major faults', 'no CPU time']
SECONDS = 'seconds since the first sample'
# The least height of the axes: one event per second, one CPU.
array LEAST[3] = [1, 1, 100]
if (exists('kind') && kind ne 'percent') {
	NAME[3] = kind eq 'cumulative' ? 'Column 4, cumulative' : 'Column 4'
	UNIT[3] = 'value, not %'
	LEAST[3] = 1
}

# Blue, vermilion and green of the palette of Okabe and Ito, which is safe for the
# color-blind, and a tint of each for the background.
array COLOR[3] = ['#0072B2', '#D55E00', '#009E73']
array TINT[3]  = ['#A6CEE4', '#F0C6A6', '#A6DDCF']
# Colors of stacked processes. The other colors of that palette come first, and
# the last one is for all remaining processes.
array GROUP[8] = ['#56B4E9', '#E69F00', '#CC79A7', '#009E73', \
	'#0072B2', '#F0E442', '#D55E00', '#999999']
# Colors of curves in one panel
array CURVE[5] = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#000000']
INK = '#404040'
GRID = '#D8D8D8'

# The column of a table that has the rates of a panel
column_of(panel) = panel + 2

# Numbers on an axis: 40000 is 40k.
short(x) = x >= 1e9 ? sprintf('%gG', x / 1e9) : \
	   x >= 1e6 ? sprintf('%gM', x / 1e6) : \
	   x >= 1e3 ? sprintf('%gk', x / 1e3) : sprintf('%g', x)

# An axis extends from 0 to top(x, n), at least x, in at most n steps of 1, 2 or 5
# times a power of ten.
most(a, b) = a > b ? a : b
power(x) = 10.0 ** floor(log10(x))
nice(x) = power(x) * (x <= power(x) ? 1 : x <= 2 * power(x) ? 2 : \
		      x <= 5 * power(x) ? 5 : 10)
step(x, n) = most(1, nice(1.0 * x / n))
top(x, n) = step(x, n) * ceil(x / step(x, n))

set border 3 linecolor rgb INK
set tics nomirror out scale 0.5 textcolor rgb INK
