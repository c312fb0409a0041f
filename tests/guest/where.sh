#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# mp3ctl where in the guest: an ordinary user's command, running processes, the
# recording and its report, permissions. What it makes of faults that are made up is
# in tests/host.
#
# vm: -t 1200

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

# shellcheck disable=SC2317	# functions are called through ends and refuses

# as_user COMMAND: run a shell command as an ordinary user
as_user() { su user -c "$1"; }

# proof FILE: print the four numbers of the proof line
proof() {
	sed -nE 's/^counted ([0-9]+) = located ([0-9]+) \+ taken by the kernel ([0-9]+) \+ sampled out ([0-9]+): .*/\1 \2 \3 \4/p' "$1"
}

# adds_up FILE: succeed if the proof line is exact and its numbers add up
adds_up() {
	grep -q '^counted .*: exact$' "$1" && grep -qx 'nothing was dropped or lost' "$1" &&
		proof "$1" | awk '{ good = $1 > 0 && $1 == $2 + $3 + $4 } END { exit !good }'
}

# table HEADING FILE: print the rows of a table
table() {
	awk -v heading="$1" '$1 == "faults" { inside = $NF == heading; next }
		!NF { inside = 0 } inside' "$2"
}

# sum_of HEADING FILE: print the faults in a table
sum_of() { table "$1" "$2" | awk '{ sum += $1 } END { print sum + 0 }'; }

user_faults=/sys/module/mp3/parameters/user_faults

failure() { for file in out errors; do sed "s/^/# $file: /" $file; done; }

refuses 2 mp3ctl where && refuses 2 mp3ctl where --every 3 true &&
	refuses 2 mp3ctl where --every 131072 true && refuses 2 mp3ctl where --sort x true &&
	refuses 2 mp3ctl where -a -p 1 true && refuses 2 mp3ctl where --csv &&
	refuses 2 mp3ctl where -n -1 true && refuses 2 mp3ctl where -o a -o b true
ok "mp3ctl where refuses bad arguments with one line and status 2"

mkdir -m 777 /tmp/shared
cd /tmp/shared || exit
seq 60000 | awk '{ print ($1 * 7919) % 60013 }' >big.txt
echo N >$user_faults
refuses 1 as_user "mp3ctl where true" && grep -q CAP_PERFMON errors && grep -q user_faults errors
ok "mp3ctl where names the parameter user_faults and CAP_PERFMON if the user may not locate"

echo Y >$user_faults
ends 0 as_user "mp3ctl where -o sort.rec -- sort -n big.txt" && [ "$(wc -l <out)" = 60000 ] &&
	table mapping errors | grep -qE '\[heap\]|\[anon\]' &&
	table mapping errors | grep -q '/busybox$' &&
	table function errors | grep -q busybox &&
	table process errors | grep -qE 'sort [0-9]+$' &&
	sed -nE '1s/.* ([0-9.]+) s stalled, in .*/\1/p' errors | awk '{ good = $1 > 0 } END { exit !good }'
ok "mp3ctl where names the file, the code and the stalled time of an ordinary user's sort"
adds_up errors
ok "mp3ctl where accounts for each fault of a command exactly"
located=$(proof errors | cut -d ' ' -f 2)
for heading in mapping function process kind; do
	[ "$(sum_of $heading errors)" = "$located" ] || located="none: $heading"
done
[ "$(proof errors | cut -d ' ' -f 2)" = "$located" ]
ok "the tables of mp3ctl where have the faults that were located"

mv errors live
ends 0 as_user "mp3ctl where sort.rec" && [ ! -s errors ] && head -1 out | grep -q 'sort -n big.txt$' &&
	tail -n +2 out | cmp - live
ok "mp3ctl where reports a recording as it has reported the command"
ends 0 mp3ctl where --csv sort.rec && [ "$(($(wc -l <out) - 1))" = "$(proof live | cut -d ' ' -f 2)" ]
ok "mp3ctl where --csv prints a line for each located fault"

ends 0 as_user "mp3ctl where -- work --iterations 2 --pause 0 --seed 1 16 R 30000" && adds_up errors &&
	mv errors every1 && sum=$(proof every1 | cut -d ' ' -f 1)
ok "mp3ctl where accounts for each fault of work exactly"
if grep -q 'without elfutils' every1; then
	true
	ok "mp3ctl where names functions and lines # SKIP built without elfutils"
else
	table function every1 | grep -qE '  work\.c:[0-9]+  /mp3/work$'
	ok "mp3ctl where names functions and lines"
fi
ends 0 as_user "mp3ctl where -e 16 -- work --iterations 2 --pause 0 --seed 1 16 R 30000" && adds_up errors &&
	grep -q 'are estimates: one in 16 was located' errors &&
	proof errors | awk -v sum="$sum" '{ good = $4 > $2 && $1 > sum * 0.95 && $1 < sum * 1.05 } END { exit !good }'
ok "mp3ctl where -e 16 locates a part of the faults, and accounts for the others"
ends 0 as_user "mp3ctl where -- sh -c 'for i in 1 2 3 4 5; do seq 100 | sort >/dev/null; done'" &&
	adds_up errors && [ "$(table process errors | grep -cE ' (sort|seq) [0-9]+$')" -ge 5 ]
ok "mp3ctl where follows the processes that a command starts"
ends 0 as_user "mp3ctl where --no-follow -- sh -c 'seq 100 | sort >/dev/null; true'" && adds_up errors &&
	! table process errors | grep -qE ' (sort|seq) [0-9]+$'
ok "mp3ctl where --no-follow leaves out the processes that a command starts"

ends 3 mp3ctl where -- sh -c 'exit 3' && ends 143 mp3ctl where -- sh -c 'kill $$' &&
	refuses 127 mp3ctl where -- no-such-command && refuses 126 mp3ctl where -- /tmp
ok "mp3ctl where passes on the status of the command"
refuses 1 mp3ctl where -o /no/such/file true
ok "mp3ctl where does not start the command if the recording cannot be created"
status=0
mp3ctl where -o /dev/full true >out 2>errors || status=$?
[ $status = 1 ] && [ "$(wc -l <errors)" = 1 ]
ok "mp3ctl where refuses a full disk at the start with one line"

su user -c 'echo $$ >pid; while :; do busybox true; done' &
until_true test -s pid
pid=$(cat pid)
su user -c "echo \$\$ >tool; exec mp3ctl where -o attached.rec -p $pid" >out 2>errors &
until_true grep -q '^profiling process' errors
until_true test -s attached.rec
usleep 500000
kill -INT "$(cat tool)"
wait $! && [ "$(head -1 errors)" = "profiling process $pid until it exits (Ctrl-C to stop)" ] &&
	grep -q '^counted .*: not exact: ' errors && grep -q '^still running (unregistered): ' errors &&
	table process errors | grep -q busybox
ok "mp3ctl where -p reports what a running process and its children did until Ctrl-C"
kill "$pid"
ends 0 mp3ctl where attached.rec && grep -q ": -p $pid\$" out
ok "mp3ctl where reports a recording of a running process"

# shellcheck disable=SC2016	# the other shell expands it
ends 6 mp3ctl where -a -n 1000 -- sh -c 'seq 500 | sort >/dev/null; exit 6' &&
	table process errors | grep -qE 'sort [0-9]+$' &&
	grep -q '^counted .*: not exact: ' errors && grep -q '^still running (unregistered): ' errors
ok "mp3ctl where -a locates the faults of the machine while a command runs"

mp3ctl where -o killed.rec -- sh -c 'echo $$ >pid; while :; do busybox true; done' >out 2>errors &
pid=$!
until_true test -s killed.rec
usleep 2500000
kill -KILL $pid "$(cat pid)"
wait $pid
ends 0 mp3ctl where killed.rec && grep -q '^counted .*: not exact: profiling has not ended' out &&
	table process out | grep -q busybox
ok "mp3ctl where reports a recording whose recorder was killed"

# The smallest ring: most faults are overwritten before they are read.
until_true rmmod mp3 2>/dev/null
insmod /mp3/mp3.ko capture_faults=64 user_faults=1
ends 0 as_user "mp3ctl where -- work --iterations 1 --pause 0 --seed 1 16 R 30000" &&
	grep -q '^counted .*: exact$' errors && ! grep -q 'nothing was dropped or lost' errors &&
	lost=$(sed -n 's/^lost: \([0-9]*\) faults, .*/\1/p' errors) && [ "$lost" -gt 0 ] &&
	[ $(($(sum_of mapping errors) + lost)) = "$(proof errors | cut -d ' ' -f 2)" ]
ok "mp3ctl where reports exactly how many located faults it has lost"
finish
