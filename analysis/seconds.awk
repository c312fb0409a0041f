# SPDX-License-Identifier: GPL-2.0
#
# Sums the records that "mp3ctl watch" prints to one per second and process, in
# the same columns. The sums are exact. A record counts for the second that ends at
# or after its time. The resident memory and the name of a sum are those of its
# last record, and it has every flag that one of its records has.

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

/^#/ {
	summary = $0
	next
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
}

END {
	flush()
	if (summary)
		print summary
}
