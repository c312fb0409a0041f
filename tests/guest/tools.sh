#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The tools as a user runs them: what they print, how they exit, and that their
# numbers are the module's. Needs work, userapp, monitor, mp3ctl and the three
# documented programs in PATH.

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

# column N FILE: print the sum of a column of samples
column() { awk -v n="$1" '!/^#/ { sum += $n } END { print sum + 0 }' "$2"; }

# samples FILE: print how many samples a file of monitor's contains
samples() { grep -vc '^#' "$1"; }

# reported NAME: print a number of a report in "errors"
reported() { sed -n "s/^$1 *//p" errors; }

# checksum FILE: print the checksum that work has printed
checksum() { sed -n 's/.*checksum of the accesses: \(.*\))/\1/p' "$1"; }

# one_line: check that "errors" is one line
one_line() { [ "$(wc -l <errors)" = 1 ]; }

once() { work --iterations 1 --pause 0 "$@"; }

# closed: wait until no capture is open; each has a reference to the module
closed() { until_true grep -qx 0 /sys/module/mp3/refcnt; }

# settle: wait until nothing is registered; the status file does not list a process
# that was reaped since the last tick, but the header counts it
settle() { readme-read >/dev/null; }

refuses 2 work && refuses 2 work 0 R 10 && refuses 2 work 1025 R 10 &&
	refuses 2 work 10 X 10 && refuses 2 work 10 R -1 &&
	refuses 2 work 10 R 1x && refuses 2 work --seed 10 R 10 &&
	refuses 2 work --pause -1 10 R 10 && refuses 2 work --what 10 R 10 &&
	refuses 2 work --seed 1 --seed 2 10 R 10
ok "work refuses bad arguments with one line and status 2"

monitor >/dev/null 2>&1
ends 0 once --seed 1 4 R 50000 && mv out first &&
	ends 0 monitor && [ "$(column 2 out)" -ge "$(pages 4194304)" ]
ok "work touches each page of 4 MB with 50,000 random accesses"
ends 0 once --seed 1 4 R 50000 && [ "$(checksum first)" = "$(checksum out)" ]
ok "work makes the same accesses with the same seed"
ends 0 once --seed 2 4 R 50000 && [ "$(checksum first)" != "$(checksum out)" ]
ok "work makes other accesses with another seed"
monitor >/dev/null 2>&1
ends 0 once --seed 1 64 R 3000 && ends 0 monitor && random=$(column 2 out) &&
	ends 0 once --seed 1 64 L 3000 && ends 0 monitor &&
	[ "$(column 2 out)" -gt 100 ] && [ $(($(column 2 out) * 2)) -lt "$random" ]
ok "work touches fewer pages with locality"
ends 0 once --seed 1 4 L 1000 && mv out first && ends 0 once --seed 1 4 T 1000 &&
	[ "$(checksum first)" = "$(checksum out)" ]
ok "work takes T for L"
work --iterations 3 --pause 30 4 R 10 >/dev/null &
pid=$!
until_true listed $pid
[ "$(wc -l </proc/mp3/status)" = 1 ]
ok "work registers itself"
kill $pid
wait $pid
settle
# The last record of a process that has exited shows no memory; the kernel may also
# have left a few pages uncounted.
ends 0 once 4 R 10000 && pid=$(sed -n 's/^\[\([0-9]*\)\].*/\1/p' out | head -1) && settle &&
	mp3ctl watch --history -p "$pid" 2>errors |
	awk '$3 ~ /L/ && $7 { found = 1 } END { exit !found }'
ok "work unregisters itself"
work --iterations 2 --pause 0.3 1 R 1 >out 2>errors &
pid=$!
until_true listed $pid
echo "U $pid" >/proc/mp3/status
wait $pid && [ "$(wc -l <out)" = 4 ] && [ ! -s errors ]
ok "work succeeds if another process has unregistered it"
once 4 R 10 2>errors >/dev/full
[ $? = 1 ] && one_line
ok "work fails with one line if its output cannot be written"
settle

refuses 2 userapp -x && refuses 2 userapp -f && refuses 2 userapp -p 1
ok "userapp refuses bad arguments with one line and status 2"
refuses 127 userapp ./no-such-command && refuses 126 userapp /proc/mp3/status
ok "userapp exits with 127 or 126 and one line if its command cannot be started"
ends 7 userapp sh -c 'exit 7' && ends 143 userapp sh -c 'kill $$'
ok "userapp exits with the status of its command"
for signal in TERM HUP; do
	rm -f ready
	userapp sh -c "trap 'exit 7' $signal; echo >ready; while :; do usleep 10000; done" 2>errors &
	tool=$!
	until_true test -e ready
	kill -$signal $tool
	wait $tool
	[ $? = 7 ] && grep -q '^minor faults  *[1-9]' errors
	ok "userapp forwards SIG$signal to its command and reports afterwards"
done
rm ready
mp3ctl run sh -c 'sleep 1000 & echo >ready; wait' 2>errors &
tool=$!
until_true test -e ready
kill $tool
wait $tool
[ $? = 143 ] && grep -q '^total (2 processes)' errors && grep -q '(unregistered): 1$' errors &&
	settle && closed
ok "mp3ctl run forwards SIGTERM and unregisters what its command has started"
killall sleep
# shellcheck disable=SC2016	# the other shell expands it
ends 0 userapp sh -c 'grep -x $$ /proc/mp3/status; echo $$' &&
	[ "$(wc -l <out)" = 2 ] && [ "$(uniq out | wc -l)" = 1 ]
ok "userapp registers the process of its command"
settle
monitor >/dev/null 2>&1
ends 0 userapp sort /mp3/monitor && mv errors report && ends 0 monitor &&
	mv report errors &&
	[ "$(reported 'minor faults')" = "$(column 2 out)" ] &&
	[ "$(reported 'major faults')" = "$(column 3 out)" ] &&
	[ "$(reported samples)" = "$(samples out)" ] &&
	[ "$(reported 'minor faults')" -gt "$(pages 204800)" ]
ok "userapp reports the faults that the samples add up to"
settle
monitor >/dev/null 2>&1
# The table also contains what the command did before userapp registered it.
ends 0 mp3ctl run --by tree userapp sort /mp3/monitor &&
	faults=$(reported 'minor faults') && grep -q '^  sort ' errors &&
	[ "$(awk '/^  sort / { print $3 }' errors)" -ge "$faults" ] && mv errors report &&
	ends 0 monitor && mv report errors && [ "$faults" = "$(column 2 out)" ]
ok "mp3ctl run and the classic registry profile a process at the same time"
ends 0 userapp && [ "$(wc -l <out)" -ge 4 ]
ok "userapp without arguments demonstrates the protocol"

sleep 1000 &
pid=$!
mp3ctl attach -p $pid 2>errors &
tool=$!
until_true grep -q "^profiling process $pid " errors
! listed $pid && kill -INT $tool
wait $tool && closed && kill -0 $pid && grep -q "^sleep  *$pid " errors
ok "mp3ctl attach profiles a running process until Ctrl-C"
kill $pid
settle

ends 0 monitor
once 64 R 100000 >/dev/null
ends 0 monitor && [ "$(samples out)" -gt 0 ] &&
	! grep -qvE '^([0-9]+ [0-9]+ [0-9]+ [0-9]+|#.*)$' out &&
	grep -v '^#' out | awk '$1 < last { exit 1 } { last = $1 }' &&
	tail -n 1 out | grep -q "^# $(samples out) samples read, "
ok "monitor prints four columns, oldest first, and a last line"
ends 0 monitor && [ "$(samples out)" = 0 ]
ok "monitor consumes what it has printed"
once 4 R 10 >/dev/null
! monitor >/dev/full 2>errors && one_line && ends 0 monitor && [ "$(samples out)" -gt 0 ]
ok "monitor leaves in the ring what it cannot write"
refuses 2 monitor extra && refuses 1 monitor -d /dev/null && refuses 1 monitor -d /dev/zero
ok "monitor refuses a device that is no ring with one line and status 1"
chmod 755 /mp3
refuses 1 su user -c "/mp3/monitor" && grep -q Permission errors && grep -q udev errors
ok "monitor reports a missing permission and its remedy in one line"
ends 0 su user -c "work --iterations 1 --pause 0 4 R 10"
ok "work registers itself as an ordinary user"

mv /dev/mp3 /dev/kept
refuses 1 monitor && grep -q 'device node' errors && ! grep -q 'is the module' errors &&
	ends 0 userapp true && grep -q '^samples .*device node' errors
ok "monitor and userapp report a missing device node while the module is loaded"
mv /dev/kept /dev/mp3

monitor >/dev/null 2>&1
ends 0 readme-register && readme-read >read.out &&
	grep -q ' 0 major faults' read.out &&
	[ "$(awk '{ sum += $3 } END { print sum }' read.out)" -ge "$(pages 1048576)" ]
ok "the documented programs count each page of 1 MiB as a minor fault"
ends 0 su user -c /mp3/readme-capture && faults=$(cut -d ' ' -f 1 out) &&
	new=$((faults - $(pages 1048576))) && [ "$new" -ge 0 ] && [ "$new" -lt 44 ] &&
	grep -q ' 0 records lost$' out
ok "the documented program counts its own pages, 1 MiB, as an ordinary user"
ends 0 su user -c "/mp3/mp3ctl run sh -c '(:); :'" && grep -q '^total (2 processes)' errors
ok "mp3ctl run prints its table as an ordinary user"
user_follow=/sys/module/mp3/parameters/user_follow
echo N >$user_follow
for tool in "run true" "attach -p 1" "where true" watch "watch -f -p 1" top; do
	refuses 1 su user -c "/mp3/mp3ctl $tool" && grep -q CAP_PERFMON errors &&
		grep -q user_follow errors
	ok "mp3ctl $tool names the parameter user_follow and CAP_PERFMON if the user may not follow"
done
ends 0 su user -c "/mp3/mp3ctl run --no-follow true" && grep -q '^total ' errors &&
	ends 0 mp3ctl run true
ok "with user_follow=0, a user can profile without following, and root can follow"
echo Y >$user_follow
mv /dev/mp3_capture /dev/kept
refuses 1 mp3ctl run true && grep -q 'device node' errors
ok "mp3ctl run reports a missing device node while the module is loaded"
mv /dev/kept /dev/mp3_capture

rmmod mp3
for tool in "work 4 R 10" "userapp true" userapp monitor "mp3ctl run true" \
	"mp3ctl attach -p 1" "mp3ctl attach -a" readme-register readme-read \
	readme-capture; do
	# shellcheck disable=SC2086	# several words
	refuses 1 $tool && grep -q 'is the module loaded' errors
	ok "$tool reports a missing module in one line"
done
insmod /mp3/mp3.ko capture_records=64
# The tool is stopped while 300 processes come and go.
# shellcheck disable=SC2016	# the other shell expands it
ends 0 mp3ctl run sh -c 'kill -STOP $PPID; seq 300 | while read -r _; do (:); done
		sleep 1; kill -CONT $PPID' &&
	grep -q '^lost: [1-9]' errors && ! grep -q '^nothing was' errors
ok "mp3ctl run reports records that were lost"
rmmod mp3
insmod /mp3/mp3.ko

work 1 R 1 >iterations &
pid=$!
begin=$(cut -d . -f 1 /proc/uptime)
for tool in work userapp monitor mp3ctl; do
	ends 0 $tool --help && grep -q "^usage: $tool" out &&
		ends 0 $tool --version && grep -q "^$tool.*[0-9]\.[0-9]" out
	ok "$tool prints its help and its version"
	! $tool --help 2>errors >/dev/full && one_line
	ok "$tool fails with one line if its help cannot be written"
done
for command in run attach top watch alert; do
	ends 0 mp3ctl $command --help && grep -q "^usage: mp3ctl $command" out &&
		ends 0 mp3ctl $command --version && grep -q '^mp3ctl 0' out
	ok "mp3ctl $command prints its help and its version"
done
refuses 2 mp3ctl nonsense && ends 2 mp3ctl && grep -q '^usage:' errors && [ ! -s out ]
ok "mp3ctl refuses a missing or an unknown sub-command with status 2"
wait $pid && [ "$(grep -c iteration iterations)" = 20 ] &&
	[ $(($(cut -d . -f 1 /proc/uptime) - begin)) -ge 18 ]
ok "work makes 20 iterations a second apart by default"

finish
