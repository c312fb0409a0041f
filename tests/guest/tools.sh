#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The tools as a user has them: what they print, how they end, and that their
# numbers are the module's. Run with work, userapp, monitor and the README's
# two programs in PATH.

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

# column N FILE: its sum
column() { awk -v n="$1" '{ sum += $n } END { print sum + 0 }' "$2"; }

# said NAME: a number of userapp's report
said() { sed -n "s/^$1 *//p" errors; }

once() { work --iterations 1 --pause 0 "$@"; }

# idle: waits until nothing is registered; who has been reaped may still be, up to
# the next tick, and is not listed
idle() { monitor --until-idle >/dev/null; }

refuses 2 work && refuses 2 work 0 R 10 && refuses 2 work 1025 R 10 &&
	refuses 2 work 10 X 10 && refuses 2 work 10 R -1 &&
	refuses 2 work 10 R 1x && refuses 2 work --seed 10 R 10 &&
	refuses 2 work --pause -1 10 R 10 && refuses 2 work --what 10 R 10
ok "work: bad usage is one line and status 2"

monitor >/dev/null 2>&1
ends 0 once --seed 1 4 R 50000 && mv out first &&
	ends 0 monitor && [ "$(column 2 out)" -ge 1024 ]
ok "work: 50,000 random accesses touch each page of 4 MB"
ends 0 once --seed 1 4 R 50000 &&
	[ "$(sed 's/.*checksum//p' first | tail -1)" = "$(sed 's/.*checksum//p' out | tail -1)" ]
ok "work: the same seed makes the same accesses"
ends 0 once --seed 2 4 R 50000 &&
	[ "$(sed 's/.*checksum//p' first | tail -1)" != "$(sed 's/.*checksum//p' out | tail -1)" ]
ok "work: another seed makes others"
monitor >/dev/null 2>&1
ends 0 once --seed 1 64 R 3000 && ends 0 monitor && random=$(column 2 out) &&
	ends 0 once --seed 1 64 L 3000 && ends 0 monitor &&
	[ "$(column 2 out)" -gt 100 ] && [ $(($(column 2 out) * 2)) -lt "$random" ]
ok "work: with locality, fewer pages are touched"
ends 0 once --seed 1 4 L 1000 && mv out first && ends 0 once --seed 1 4 T 1000 &&
	[ "$(tail -1 first | sed 's/.*checksum//')" = "$(tail -1 out | sed 's/.*checksum//')" ]
ok "work: T is taken for L"
work --iterations 3 --pause 30 4 R 10 >/dev/null &
pid=$!
while ! listed $pid; do usleep 10000; done
[ "$(wc -l </proc/mp3/status)" = 1 ]
ok "work: it registers itself"
kill $pid
wait $pid
idle
# Who has ended has no memory any more in its last record; a few pages, too, the
# kernel may not have counted yet.
ends 0 once 4 R 10000 && pid=$(sed -n 's/^\[\([0-9]*\)\].*/\1/p' out | head -1) && idle &&
	monitor --processes --pid "$pid" 2>errors | awk '$3 ~ /L/ && $7 { found = 1 } END { exit !found }'
ok "work: it unregisters itself"
work --iterations 2 --pause 0.3 1 R 1 >out 2>errors &
pid=$!
until_true listed $pid
echo "U $pid" >/proc/mp3/status
wait $pid && [ "$(wc -l <out)" = 4 ] && [ ! -s errors ]
ok "work: that somebody else has done so is no failure"
once 4 R 10 2>errors >/dev/full
[ $? = 1 ] && [ "$(wc -l <errors)" = 1 ]
ok "work: what it cannot print is one line and status 1"
idle

refuses 2 userapp -x && refuses 2 userapp -p && refuses 2 userapp -p 1x
ok "userapp: bad usage is one line and status 2"
refuses 1 userapp -p 999999 && refuses 127 userapp ./no-such-command &&
	refuses 126 userapp /proc/mp3/status
ok "userapp: no process, no command: one line, and the status says which"
ends 7 userapp sh -c 'exit 7' && ends 143 userapp sh -c 'kill $$'
ok "userapp: it ends as its command did"
for signal in TERM HUP; do
	rm -f ready
	userapp sh -c "trap 'exit 7' $signal; echo >ready; while :; do usleep 10000; done" 2>errors &
	tool=$!
	until_true test -e ready
	kill -$signal $tool
	wait $tool
	[ $? = 7 ] && grep -q '^minor faults  *[1-9]' errors
	ok "userapp: SIG$signal is passed on to the command, whose report follows"
done
rm ready
userapp -f sh -c 'sleep 1000 & echo >ready; wait' 2>errors &
tool=$!
until_true test -e ready
kill $tool
wait $tool
[ $? = 143 ] && grep -q '^total (2 processes)' errors && grep -q 'no more: 1$' errors && idle
ok "userapp: and with -f, what the command has started is unregistered"
killall sleep
ends 0 userapp sh -c 'grep -x $$ /proc/mp3/status; echo $$' &&
	[ "$(wc -l <out)" = 2 ] && [ "$(uniq out | wc -l)" = 1 ]
ok "userapp: the command's own process is the registered one"
idle
monitor >/dev/null 2>&1
ends 0 userapp sort /mp3/monitor && mv errors report && ends 0 monitor &&
	mv report errors &&
	[ "$(said 'minor faults')" = "$(column 2 out)" ] &&
	[ "$(said 'major faults')" = "$(column 3 out)" ] &&
	[ "$(said samples)" = "$(wc -l <out)" ] && [ "$(said 'minor faults')" -gt 50 ]
ok "userapp: its numbers are the samples' sums"
ends 0 userapp && [ "$(wc -l <out)" -ge 4 ]
ok "userapp: without arguments it shows the protocol"
sleep 1000 &
pid=$!
userapp -p $pid 2>errors &
tool=$!
while ! listed $pid && kill -0 $tool; do usleep 10000; done
kill -INT $tool
wait $tool && ! listed $pid && kill -0 $pid && grep -q "^sleep  *$pid " errors
ok "userapp: -p profiles a process that runs already, until Ctrl-C"
kill $pid
idle

ends 0 monitor
once 64 R 100000 >/dev/null
ends 0 monitor && [ -s out ] && ! grep -qvE '^[0-9]+ [0-9]+ [0-9]+ [0-9]+$' out &&
	awk '$1 < last { exit 1 } { last = $1 }' out
ok "monitor: four columns, oldest first"
ends 0 monitor && [ ! -s out ]
ok "monitor: what it has read is consumed"
once 4 R 10 >/dev/null
! monitor >/dev/full 2>errors && [ "$(wc -l <errors)" = 1 ] && ends 0 monitor && [ -s out ]
ok "monitor: what it cannot write stays in the ring"
monitor >&- 2>errors
[ $? = 1 ] && [ "$(wc -l <errors)" = 1 ]
ok "monitor: without a standard output it says so"
refuses 2 monitor extra && refuses 1 monitor -d /dev/null &&
	refuses 1 monitor -d /dev/zero &&
	refuses 1 monitor -d /no/such && grep -q 'is the module loaded' errors
ok "monitor: a wrong device is one line and status 1"
chmod 755 /mp3
refuses 1 su user -c "/mp3/monitor" && grep -qi permission errors
ok "monitor: without permission it says so"
ends 0 su user -c "work --iterations 1 --pause 0 4 R 10"
ok "work: anyone may register himself"

monitor >/dev/null 2>&1
ends 0 readme-register && readme-read >read.out &&
	grep -q ' 0 major faults' read.out && [ "$(awk '{ sum += $3 } END { print sum }' read.out)" -ge 256 ]
ok "the README's programs: 256 pages are 256 minor faults"

rmmod mp3
refuses 1 work 4 R 10 && refuses 1 userapp true && refuses 1 userapp &&
	refuses 1 monitor && refuses 1 readme-register && refuses 1 readme-read
ok "without the module each says so in one line, and does nothing"
insmod /mp3/mp3.ko records=64
# It stands still while they come and go.
# shellcheck disable=SC2016	# it is the other shell's parent
ends 0 userapp -f sh -c 'kill -STOP $PPID; seq 300 | while read -r _; do (:); done
		sleep 1; kill -CONT $PPID' &&
	grep -q '^lost: [1-9]' errors && ! grep -q '^nothing was' errors
ok "userapp: records that were lost are told of"
rmmod mp3
insmod /mp3/mp3.ko

work 1 R 1 >iterations &
pid=$!
begin=$(cut -d . -f 1 /proc/uptime)
for tool in work userapp monitor; do
	ends 0 $tool --help && grep -q "^usage: $tool" out &&
		ends 0 $tool --version && grep -q "^$tool.*[0-9]\.[0-9]" out
	ok "$tool: --help and --version"
	! $tool --help 2>errors >/dev/full && [ "$(wc -l <errors)" = 1 ]
	ok "$tool: --help that cannot be printed is one line and a failure"
done
wait $pid && [ "$(grep -c iteration iterations)" = 20 ] &&
	[ $(($(cut -d . -f 1 /proc/uptime) - begin)) -ge 18 ]
ok "work: without options, 20 iterations a second apart"

finish
