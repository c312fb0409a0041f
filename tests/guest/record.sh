#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# mp3ctl record and report in the guest: an ordinary user's command, running
# processes, all processes, located faults, a full disk, a recorder that is killed.
# What report makes of recordings that are made up is in tests/host.
#
# vm: -t 1200

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

# shellcheck disable=SC2317	# functions are called through ends, refuses and until_true

# as_user COMMAND: run a shell command as an ordinary user
as_user() { su user -c "$1"; }

# total COLUMN FILE: print a number of the line with the total: 4 minor, 5 major
total() { awk -v n="$1" '$1 == "total" { print $n }' "$2"; }

# row NAME COLUMN FILE: print a number of the first row of a process: 2 its id, 3 minor
row() { awk -v name="$1" -v n="$2" '$1 == name { print $n; exit }' "$3"; }

# summarized FILE: succeed if the last of the errors is the line about a recording
summarized() {
	tail -1 errors | grep -qE "^\[ mp3ctl record: [0-9]+ records?( and [0-9]+ faults?)? of [0-9]+ process(es)?, [0-9]+\.[0-9] [kM]B in $1 \]$"
}

# minor_faults PID, major_faults PID: print what the kernel has counted
minor_faults() { cut -d ' ' -f 10 "/proc/$1/stat"; }
major_faults() { cut -d ' ' -f 12 "/proc/$1/stat"; }
# shellcheck disable=SC2317	# likewise
stopped() { [ "$(cut -d ' ' -f 3 "/proc/$1/stat")" = T ]; }

failure() { for file in out errors; do sed "s/^/# $file: /" $file; done; }

user_faults=/sys/module/mp3/parameters/user_faults

mkdir -m 777 /tmp/shared
cd /tmp/shared || exit

refuses 2 mp3ctl record && refuses 2 mp3ctl record -a -p 1 &&
	refuses 2 mp3ctl record -a -p 1 true && refuses 2 mp3ctl record -a --no-follow &&
	refuses 2 mp3ctl record --faults=3 true && refuses 2 mp3ctl record --faults=0 true &&
	refuses 2 mp3ctl record -o a -o b true && refuses 2 mp3ctl report a b &&
	refuses 2 mp3ctl report --by x && [ ! -e mp3.data ]
ok "mp3ctl record and report refuse bad arguments with one line and status 2"
refuses 1 mp3ctl report && grep -q '^mp3ctl report: mp3.data: No such file' errors
ok "mp3ctl report reports in one line that there is no recording"

echo N >$user_faults
ends 0 as_user "mp3ctl record sh -c 'seq 500 | sort >/dev/null; true'" && [ ! -s out ] &&
	[ "$(wc -l <errors)" = 1 ] && summarized mp3.data && grep -q ' of 3 processes, ' errors
ok "mp3ctl record records a command of an ordinary user without privileges in mp3.data"
ends 0 as_user "mp3ctl report" && [ ! -s errors ] &&
	head -1 out | grep -q "^recorded 20.* on $(uname -n), Linux $(uname -r): sh -c seq 500 | sort >/dev/null; true$" &&
	grep -q '^total (3 processes) ' out && [ "$(row sort 3 out)" -ge 10 ] &&
	grep -qx 'nothing was dropped or lost' out
ok "mp3ctl report prints the processes of a recording and what it is of"
ends 0 mp3ctl report --by tree && grep -q '^  sort ' out &&
	ends 0 mp3ctl report --by user && grep -qE '^user +3 ' out &&
	ends 0 mp3ctl report --by name -n 1 && grep -q '^others (2 processes)' out
ok "mp3ctl report --by shows the tree, users and names of a recording"
sum=$(total 4 out)
ends 0 monitor -k -d mp3.data && [ "$(awk '!/^#/ { sum += $2 } END { print sum }' out)" = "$sum" ]
ok "the samples that monitor reads from a recording have the faults that mp3ctl report prints"
refuses 1 mp3ctl where mp3.data && grep -q 'record --faults' errors
ok "mp3ctl where reports in one line that a recording has no located faults"

cp mp3.data before
refuses 1 as_user "mp3ctl record --faults true" && grep -q CAP_PERFMON errors &&
	grep -q user_faults errors && cmp -s before mp3.data && [ ! -e mp3.data.old ]
ok "mp3ctl record --faults of a user who may not locate leaves the last recording in place"
refuses 127 as_user "mp3ctl record no-such-command" && refuses 126 mp3ctl record /tmp &&
	cmp -s before mp3.data && [ ! -e mp3.data.old ]
ok "mp3ctl record leaves the last recording in place if the command cannot be started"
echo older >mp3.data.old
refuses 127 mp3ctl record no-such-command && refuses 126 mp3ctl record /tmp &&
	cmp -s before mp3.data && [ "$(cat mp3.data.old)" = older ] && [ ! -e mp3.data.old~ ]
ok "mp3ctl record leaves the recording before the last one in place if the command cannot be started"
ends 3 as_user "mp3ctl record sh -c 'exit 3'" && cmp -s before mp3.data.old && [ ! -e mp3.data.old~ ] &&
	ends 0 mp3ctl report && head -1 out | grep -q ': sh -c exit 3$'
ok "mp3ctl record renames the last recording to mp3.data.old"
# shellcheck disable=SC2016	# the other shell expands it
ends 3 mp3ctl record -o status sh -c 'exit 3' && ends 143 mp3ctl record -o status sh -c 'kill $$'
ok "mp3ctl record passes on the status of the command"

# A process that is stopped at both ends: its counts cannot change there.
# shellcheck disable=SC2016	# the other shell expands it
as_user 'echo $$ >pid; while :; do kill -STOP $$; (true); text=0123456789abcdef
	while [ ${#text} -lt 1000000 ]; do text=$text$text; done; done' &
until_true test -s pid
pid=$(cat pid)
until_true stopped "$pid"
minor=$(minor_faults "$pid")
major=$(major_faults "$pid")
as_user "echo \$\$ >tool; exec mp3ctl record -o attached -p $pid" >out 2>errors &
tool=$!
until_true grep -q '^profiling process' errors
kill -CONT "$pid"
usleep 100000
until_true stopped "$pid"
kill -INT "$(cat tool)"
wait $tool && summarized attached && grep -q '^still running (unregistered): 1$' errors &&
	ends 0 mp3ctl report attached && head -1 out | grep -q ": -p $pid\$" &&
	[ "$(awk -v pid="$pid" '$2 == pid { print $3 }' out)" = $(($(minor_faults "$pid") - minor)) ] &&
	[ "$(awk -v pid="$pid" '$2 == pid { print $4 }' out)" = $(($(major_faults "$pid") - major)) ] &&
	grep -q '^total (2 processes)' out && [ $(($(minor_faults "$pid") - minor)) -gt 50 ]
ok "mp3ctl report prints the faults of a running process that the kernel has counted"
kill -KILL "$pid"

sleep 1000 &
pid=$!
mp3ctl record -o last -p $pid >out 2>errors &
tool=$!
until_true grep -q '^profiling process' errors
kill $pid
wait $tool && summarized last && ! grep -q 'still running' errors
ok "mp3ctl record -p ends with the last process"

refuses 1 as_user "mp3ctl record -o all -a" && grep -q CAP_PERFMON errors
ok "mp3ctl record -a of an ordinary user is refused in one line"
mp3ctl record -o all -a >out 2>errors &
tool=$!
until_true grep -q '^profiling all processes' errors
as_user "seq 500 | sort >/dev/null"
kill -INT $tool
wait $tool && summarized all && ends 0 mp3ctl report --by tree -n 1000 all &&
	[ "$(row sort 3 out)" -ge 10 ] && grep -q '^init ' out &&
	ends 0 mp3ctl report --by user all && grep -q '^root ' out && grep -q '^user ' out
ok "mp3ctl record -a records the processes of all users"

# The command has another process work, and waits for that.
mkfifo begin end
chmod 666 begin end
su user -c 'read -r line <begin; seq 500 | sort >/dev/null; echo >end' &
bystander=$!
# shellcheck disable=SC2016	# the other shell expands it
ends 5 mp3ctl record -o all -a -- sh -c 'echo >begin; read -r line <end; exit 5' && summarized all &&
	[ "$(wc -l <errors)" -le 2 ] && ! grep -q '^profiling' errors &&
	ends 0 mp3ctl report --by tree -n 1000 all &&
	head -1 out | grep -q ': -a -- sh -c echo >begin; read -r line <end; exit 5$' &&
	[ "$(row sort 3 out)" -ge 10 ] && grep -q '^init ' out && grep -qE '^ *sh ' out
ok "mp3ctl record -a records the machine while a command runs, and passes on its status"
wait $bystander

sleep 1000 &
pid=$!
ends 0 mp3ctl record -o last -p $pid true && ends 0 mp3ctl report last &&
	grep -qE "^sleep +$pid " out && ! grep -q '^true ' out && grep -q '^total (1 process)' out
ok "mp3ctl record -p with a command records the process, not the command"
kill $pid
cp all before
refuses 127 mp3ctl record -o all -a no-such-command && cmp -s all before && [ ! -e all.old.old ]
ok "mp3ctl record -a leaves the last recording in place if its command cannot be started"

mkdir /sys/fs/cgroup/batch
# The shell itself is in the cgroup if the first tick finds it there.
# shellcheck disable=SC2016	# the other shell expands it
ends 0 mp3ctl record -o grouped sh -c \
	'echo $$ >/sys/fs/cgroup/batch/cgroup.procs; (true); sleep 1; true' &&
	until_true rmdir /sys/fs/cgroup/batch 2>/dev/null && ends 0 mp3ctl report --by cgroup grouped &&
	grep -qE '^/batch +[23] ' out
ok "mp3ctl report names a cgroup that has been removed since it was recorded"

echo Y >$user_faults
ends 0 as_user "mp3ctl record --stacks -o located sh -c 'seq 500 | sort >/dev/null; true'" &&
	summarized located && faults=$(sed -nE 's/^\[ .* and ([1-9][0-9]*) faults of 3 processes, .*/\1/p' errors) &&
	ends 0 mp3ctl report located &&
	grep -qx "$faults faults were located: see mp3ctl where located" out && mv out reported &&
	ends 0 mp3ctl where --stacks located && grep -q '^counted .*: exact$' out &&
	grep -q ' call path, innermost first$' out &&
	[ "$(total 4 reported)" -gt 0 ] &&
	[ "$(($(total 4 reported) + $(total 5 reported)))" = "$(sed -nE 's/^counted ([0-9]+) = .*/\1/p' out)" ]
ok "mp3ctl record --stacks locates the faults that its records count"
ends 0 as_user "mp3ctl record --faults=16 -o located work --iterations 1 --pause 0 16 R 30000" &&
	ends 0 mp3ctl where located && grep -q 'one in 16 was located' out
ok "mp3ctl record --faults=16 locates one minor fault in 16"
# The functions are the last chunk. It is incomplete here, as if the recorder had been
# killed while it was looking for them.
if grep -q 'without elfutils' out; then
	ok "a recording is complete before its functions are found # SKIP built without elfutils"
else
	head -c $(($(stat -c %s located) - 8)) located >shortened
	ends 0 mp3ctl report shortened && grep -q 'end is missing' errors && ! grep -q 'not completed' out
	ok "a recording is complete before its functions are found"
fi

# shellcheck disable=SC2016	# the other shell expands it
mp3ctl record -o killed sh -c 'echo $$ >pid; while :; do busybox true; done' >out 2>errors &
tool=$!
until_true test -s killed
usleep 2500000
kill -KILL $tool "$(cat pid)"
wait $tool
ends 0 mp3ctl report --by name killed && [ ! -s errors ] &&
	grep -qx 'the end is missing: the recording was not completed' out &&
	[ "$(row busybox 2 out)" -ge 5 ] &&
	awk '$1 == "total" { good = $(NF - 1) > 1 } END { exit !good }' out
ok "a recording whose recorder was killed is readable up to its end"

mkdir full
mount -t tmpfs -o size=64k none full
ends 1 mp3ctl record -o full/mp3.data sh -c \
	'seq 1500 | while read -r _; do (:); done; echo end' && [ "$(cat out)" = end ] &&
	[ "$(wc -l <errors)" = 1 ] && grep -q 'full/mp3.data: No space left on device; the recording ends here' errors
ok "mp3ctl record reports a full disk in one line and status 1 after the command has ended"
size=$(stat -c %s full/mp3.data)
ends 0 mp3ctl report full/mp3.data && [ ! -s errors ] && [ $((size % 8)) = 0 ] && [ "$size" -gt 32768 ] &&
	[ "$(awk '$1 == "total" { print substr($2, 2) }' out)" -gt 100 ] &&
	grep -q '^the end is missing' out
ok "a recording on a full disk is readable up to its last whole chunk"
mkdir tiny
mount -t tmpfs -o size=4k none tiny
echo earlier >tiny/mp3.data
refuses 1 mp3ctl record -o tiny/mp3.data true && grep -q 'No space left on device' errors &&
	[ "$(cat tiny/mp3.data)" = earlier ] && [ "$(ls tiny)" = mp3.data ]
ok "mp3ctl record leaves the last recording in place if the disk is full at the start"
refuses 1 mp3ctl record -o /no/such/file true
ok "mp3ctl record does not start the command if the recording cannot be created"

# The tool is stopped while 300 processes come and go.
reload capture_records=64
# shellcheck disable=SC2016	# the other shell expands it
ends 0 mp3ctl record -o lost sh -c 'kill -STOP $PPID; seq 300 | while read -r _; do (:); done
		sleep 1; kill -CONT $PPID' &&
	lost=$(grep '^lost: [1-9][0-9]* records' errors) && ends 0 mp3ctl report lost &&
	grep -qx "$lost" out && ! grep -q '^nothing was' out
ok "mp3ctl report reports the records that the recorder has lost"
finish
