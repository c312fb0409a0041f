# SPDX-License-Identifier: GPL-2.0
#
# Sums the records that monitor --processes prints to one a second for each
# process, in the same columns: what they count stays as it is, to the fault. A
# record holds for the second that ends at its time; the last one's resident
# memory and name stand for it, and so do the flags of all.

function flush(    i, pid)
{
	for (i = 1; i <= nr; i++) {
		pid = pids[i]
		printf "%d %d %s %.0f %.0f %.0f %s %s\n", second, pid,
			first[pid] last[pid] == "" ? "-" : first[pid] last[pid],
			minor[pid], major[pid], cpu[pid], rss[pid], comm[pid]
		delete seen[pid]
		delete minor[pid]
		delete major[pid]
		delete cpu[pid]
		delete first[pid]
		delete last[pid]
	}
	nr = 0
}

{
	now = int($1)
	now += now < $1
	if (now != second)
		flush()
	second = now
	if (!($2 in seen)) {
		seen[$2] = 1
		pids[++nr] = $2
	}
	if ($3 ~ /F/)
		first[$2] = "F"
	if ($3 ~ /L/)
		last[$2] = "L"
	minor[$2] += $4
	major[$2] += $5
	cpu[$2] += $6
	rss[$2] = $7
	comm[$2] = $8
	for (i = 9; i <= NF; i++)
		comm[$2] = comm[$2] " " $i
}

END { flush() }
