#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# mp3ctl run with repeats, limits, a time-out and machine-readable reports, and mp3ctl
# diff of two commands, in the guest. The statistics, JSON and csv are checked in
# tests/host.
#
# vm: -t 1200

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

# shellcheck disable=SC2317	# functions are called through ends and refuses

failure() { for file in out errors; do sed "s/^/# $file: /" $file; done; }


# cell ROW METRIC COLUMN FILE: print a number of the csv of diff
cell() {
	awk -F , -v row="\"$1\"" -v metric="\"$2\"" -v column="$3" \
		'$1 == row && $4 == metric { print $column }' "$4"
}

mkdir -m 777 /tmp/shared
cd /tmp/shared || exit
cat >pages.sh <<'END'
work --iterations 1 --pause 0 --seed 1 "$1" R "$2" >/dev/null
END
small="sh pages.sh 8 $((20 * $(pages 8388608)))"
large="sh pages.sh 16 $((20 * $(pages 16777216)))"

# ---- Repeats ----

# shellcheck disable=SC2016	# the other shell expands it
ends 7 mp3ctl run -r 3 sh -c 'echo >>ran; [ $(wc -l <ran) != 2 ] || exit 7' &&
	[ "$(wc -l <ran)" = 3 ] && grep -qx '3 runs' errors
ok "mp3ctl run -r goes on after a run that has failed, and exits with its status"
grep -qE '^  minor faults +[0-9.]+ \+- [0-9.]+ +\( *[0-9.]+%\) +[0-9]+ +[0-9]+$' errors &&
	grep -qE '^  elapsed time .* ms? ' errors && grep -qx total errors && grep -qx sh errors &&
	grep -qx 'nothing was dropped or lost' errors
ok "mp3ctl run -r prints means, deviations, minima and maxima of the total and of each name"
ends 0 mp3ctl run -r 2 sh -c 'grep -E "^Sig(Blk|Ign)" /proc/self/status' && mv out two &&
	ends 0 sh -c 'grep -E "^Sig(Blk|Ign)" /proc/self/status' && cat out out | cmp - two
ok "mp3ctl run -r starts each command with the signals that mp3ctl was started with"
rm -f ran
# shellcheck disable=SC2016	# the other shell expands it
ends 0 mp3ctl run -r 100 sh -c 'echo >>ran; [ $(wc -l <ran) != 3 ] || kill -INT $PPID' &&
	[ "$(wc -l <ran)" = 3 ] && grep -qx '3 runs' errors
ok "mp3ctl run -r ends after the current run at Ctrl-C, and reports the runs until then"
rm -f ran
# shellcheck disable=SC2016	# the other shell expands it
ends 143 mp3ctl run -r 100 sh -c 'echo >>ran
		[ $(wc -l <ran) != 3 ] || { kill -TERM $PPID; exec sleep 1000; }' &&
	[ "$(wc -l <ran)" = 3 ] && grep -qx '2 runs' errors
ok "mp3ctl run -r leaves a run that SIGTERM has ended out of its statistics"
refuses 127 mp3ctl run -r 3 no-such-command
ok "mp3ctl run -r does not repeat a command that cannot be started"

# ---- Limits ----

minor=$(($(pages 33554432) / 2))
ends 3 mp3ctl run --limit minor=$minor --limit major=1e9 work --iterations 1 --pause 0 32 R 1000000 &&
	grep -qE "^mp3ctl run: minor faults: [0-9]+, limit $minor$" errors &&
	[ "$(grep -c limit errors)" = 1 ] && grep -q '^total ' errors
ok "mp3ctl run --limit exits with 3 after its report, and names the limit that was exceeded"
ends 0 mp3ctl run --limit minor=1e9 --limit rss=1G --limit time=100000 --limit cpu=1e5s \
	work --iterations 1 --pause 0 32 R 1000000 && ! grep -q limit errors
ok "mp3ctl run --limit exits with 0 if no limit was exceeded"
ends 5 mp3ctl run --limit minor=0 sh -c 'exit 5' && grep -q ', limit 0$' errors
ok "mp3ctl run --limit passes on the status of a command that has failed"
ends 3 mp3ctl run -r 2 --limit minor=0 true && [ "$(grep -c ', limit 0$' errors)" = 1 ]
ok "mp3ctl run -r compares the run with most with a limit"
ends 3 mp3ctl run -q --limit rss=16M work --iterations 1 --pause 0 32 R 1000000 &&
	grep -qE '^mp3ctl run: peak RSS: (3[2-9]|4[0-9])\.[0-9]M, limit 16.0M$' errors
ok "mp3ctl run --limit rss measures the memory that the command has touched"
# One tick after ten seconds: the records show no memory.
echo 10000 >/sys/module/mp3/parameters/interval_ms
ends 3 mp3ctl run -q --limit rss=16M work --iterations 1 --pause 0 32 R 1000000
ok "mp3ctl run --limit rss measures a command that has exited before the first tick"
echo 50 >/sys/module/mp3/parameters/interval_ms

ends 3 mp3ctl run -q --limit stall=1ns true &&
	grep -qE '^mp3ctl run: stalled time: [0-9.]+ (us|ms|s), limit 1 ns$' errors &&
	ends 0 mp3ctl run -q --limit stall=100000s true && [ ! -s errors ]
ok "mp3ctl run --limit stall locates the faults and measures the stalled time"
ends 0 mp3ctl run --stall sh -c 'seq 1000 | sort >/dev/null; true' &&
	grep -q ' stalled ' errors &&
	awk '/^sort / { good = $(NF - 3) > 0 } END { exit !good }' errors
ok "mp3ctl run --stall reports the stalled time of each process"
refuses 1 su user -c "mp3ctl run --limit stall=1s true" && grep -q user_faults errors
ok "mp3ctl run --limit stall names CAP_PERFMON and user_faults if the user may not locate"
sleep 1000 &
pid=$!
mp3ctl attach -q --limit time=1ms -p $pid 2>errors &
tool=$!
until_true grep -q '^profiling process' errors
usleep 20000
kill -INT $tool
wait $tool
[ $? = 3 ] && grep -q '^mp3ctl attach: elapsed time: ' errors && ! grep -q '^total' errors
ok "mp3ctl attach --limit exits with 3, and with -q without a report"
kill $pid

# ---- Time-outs ----

ends 124 mp3ctl run --timeout 0.5 sleep 1000 && grep -q '^mp3ctl run: timed out after 0.5 s$' errors &&
	grep -q '^total (1 process)' errors
ok "mp3ctl run --timeout ends the command, reports, and exits with 124"
# On a slow machine, SIGTERM may precede the trap.
ends 124 mp3ctl run --timeout 2 sh -c 'trap "echo ended; exit 0" TERM; echo >ready
		while :; do sleep 0.1; done' && { [ "$(cat out)" = ended ] || [ ! -e ready ]; }
ok "mp3ctl run --timeout lets the command end itself on SIGTERM"
cat >stubborn.sh <<'END'
trap '' TERM
echo $$ >stubborn
while :; do sleep 0.1; done
END
# shellcheck disable=SC2016	# the other shell expands it
ends 124 mp3ctl run --timeout 1 sh -c 'sh stubborn.sh & until [ -s stubborn ]; do :; done; wait' &&
	! kill -0 "$(cat stubborn)" 2>/dev/null && grep -q '^total ' errors &&
	! grep -q '^still running' errors
ok "mp3ctl run --timeout kills a descendant that ignores SIGTERM, though the command has exited"
ends 6 mp3ctl run --timeout 1000 sh -c 'exit 6' && ends 0 mp3ctl run --timeout 0 true
ok "mp3ctl run --timeout passes on the status of a command that ends in time"

# ---- Quiet and machine-readable ----

ends 4 mp3ctl run -q sh -c 'exit 4' && [ ! -s errors ]
ok "mp3ctl run -q prints nothing, and passes on the status"
ends 4 mp3ctl run --csv -o report.csv sh -c 'seq 10 | sort >/dev/null; exit 4' && [ ! -s errors ] &&
	awk -F , 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
		$1 == "\"process\"" { sum += $column["min_flt"]; nr++ }
		$1 == "\"total\"" { total = $column["min_flt"]; all = $column["processes"] }
		END { exit !(nr == 3 && all == 3 && sum > 0 && sum == total) }' report.csv
ok "mp3ctl run --csv -o writes all processes and their total to the file"
ends 4 mp3ctl run --json --by name -n 1 --limit minor=0 sh -c 'seq 10 | sort >/dev/null; exit 4' &&
	grep -q '^  "status": 4,$' errors && grep -q '"comm": "seq"' errors &&
	grep -q '"comm": "sort"' errors && grep -q '^    "min_flt"$' errors &&
	grep -q '^    "lost_records": 0,$' errors
ok "mp3ctl run --json has all names, the losses, the status and the exceeded limits"

# ---- diff ----

# shellcheck disable=SC2086	# several words
ends 0 mp3ctl diff -r 3 --csv -o diff.csv $small --vs $large && [ ! -s errors ] &&
	difference=$(cell name min_flt 13 diff.csv | sort -n | tail -n 1) &&
	awk -v got="$difference" -v want="$(pages 8388608)" \
		'BEGIN { exit !(got > want - 64 && got < want + 64) }' &&
	cell total min_flt 15 diff.csv | awk '{ good = $1 < 0.01 } END { exit !good }'
ok "mp3ctl diff finds that a command touches 8 MiB more, and that this is significant"
# shellcheck disable=SC2086	# several words
ends 0 mp3ctl diff -r 2 -- $large --vs $small &&
	grep -qE '^ .* -[0-9.]+ +-[0-9.]+% .*  better  work$' errors &&
	head -1 errors | grep -q '^A: sh pages.sh 16 [0-9]* (2 runs)$'
ok "mp3ctl diff shows the command with fewer faults as better"
ends 0 mp3ctl diff -r 3 sh -c 'printf A >>turns' --vs sh -c 'printf B >>turns' &&
	[ "$(cat turns)" = ABABAB ]
ok "mp3ctl diff runs its commands in turns"
ends 9 mp3ctl diff -r 2 true --vs sh -c 'exit 9' && grep -q '^B: .*(2 runs)$' errors &&
	refuses 127 mp3ctl diff -r 2 true --vs no-such-command
ok "mp3ctl diff passes on the status of a command that fails or cannot be started"
ends 0 mp3ctl diff -r 2 --stall true --vs true && grep -q 'stalled time' errors
ok "mp3ctl diff --stall compares the stalled times"
# shellcheck disable=SC2086	# several words
ends 0 mp3ctl where -o a.rec $small && ends 0 mp3ctl where -o b.rec $large &&
	ends 0 mp3ctl diff --csv a.rec b.rec && [ ! -s errors ] &&
	cell name min_flt 13 out | sort -n | tail -n 1 | awk -v want="$(pages 8388608)" \
		'{ good = $1 > want - 64 && $1 < want + 64 } END { exit !good }' &&
	cell function min_flt 13 out | sort -n | tail -n 1 | awk -v want="$(pages 8388608)" \
		'{ good = $1 > want - 64 && $1 < want + 64 } END { exit !good }'
ok "mp3ctl diff of two recordings finds 8 MiB more, in one name and in one function"
finish
