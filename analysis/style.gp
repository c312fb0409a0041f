# SPDX-License-Identifier: GPL-2.0
#
# What the pictures share: the panels, their colours, axes and labels.

array NAME[3]  = ['Minor faults', 'Major faults', 'CPU time']
array UNIT[3]  = ['per second', 'per second', '% of one CPU']
array NONE[3]  = ['no minor faults', 'no major faults', 'no CPU time']
SECONDS = 'seconds since the first sample'
# What is in sight at least: one whole CPU.
array LEAST[3] = [1, 1, 100]

# Okabe and Ito's blue, vermilion and green, which the colour-blind can tell
# apart, and a tint of each for what lies in the background.
array COLOR[3] = ['#0072B2', '#D55E00', '#009E73']
array TINT[3]  = ['#A6CEE4', '#F0C6A6', '#A6DDCF']
# Processes that lie on top of each other: Okabe and Ito's others come first, so
# that none is the colour of the panel's name; the last is for all that remain.
array GROUP[8] = ['#56B4E9', '#E69F00', '#CC79A7', '#009E73', \
	'#0072B2', '#F0E442', '#D55E00', '#999999']
# Curves beside each other.
array CURVE[5] = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#000000']
INK = '#404040'
GRID = '#D8D8D8'

# The table's columns of a panel's rates.
column_of(panel) = panel + 2

# 40000 is 40k on an axis.
short(x) = x >= 1e9 ? sprintf('%gG', x / 1e9) : \
	   x >= 1e6 ? sprintf('%gM', x / 1e6) : \
	   x >= 1e3 ? sprintf('%gk', x / 1e3) : sprintf('%g', x)

# An axis leads from zero past x in at most n steps of 1, 2 or 5 times a power
# of ten.
most(a, b) = a > b ? a : b
power(x) = 10.0 ** floor(log10(x))
nice(x) = power(x) * (x <= power(x) ? 1 : x <= 2 * power(x) ? 2 : \
		      x <= 5 * power(x) ? 5 : 10)
step(x, n) = most(1, nice(1.0 * x / n))
top(x, n) = step(x, n) * ceil(x / step(x, n))

set border 3 linecolor rgb INK
set tics nomirror out scale 0.5 textcolor rgb INK
