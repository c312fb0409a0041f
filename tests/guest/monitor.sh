#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What monitor can beyond printing what is there: following, formats, records,
# times, alarms; the table's plain form, too. The screen is top.sh's.
#
# vm: -t 1200

# shellcheck disable=SC2317	# functions are called through until_true

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

idle() { [ -z "$(cat /proc/mp3/status)" ]; }
lines() { [ -e "$2" ] && [ "$(wc -l <"$2")" -ge "$1" ]; }
uptime_ms() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }

# publish NR: makes so many samples, and as many records of this shell: with
# nothing else registered, each registration that ends is one
publish() {
	left=$1
	while [ "$left" -gt 0 ]; do
		echo "R $$" >/proc/mp3/status
		echo "U $$" >/proc/mp3/status
		left=$((left - 1))
	done
}

# publish_as NAME: one of each of another process, of that name
publish_as() {
	name=$1 sh -c 'printf %s "$name" >/proc/$$/comm
		echo "R $$" >/proc/mp3/status
		echo "U $$" >/proc/mp3/status'
}

# begin FILE ARGUMENT...: starts a monitor, and waits until it has printed
begin() {
	file=$1
	shift
	rm -f "$file"	# the shell in the background is slow to empty it
	monitor "$@" >"$file" 2>"$file.errors" &
	pid=$!
	until_true test -s "$file"
}

# end SIGNAL: ends the monitor begun last; true if it ends well
end() {
	kill "-$1" $pid
	wait $pid
}

# said FILE: the numbers of its last line, read and lost
said() { sed -n '$s/^monitor: \([0-9]*\) [a-z]* read, \([0-9]*\) lost.*/\1 \2/p' "$1.errors"; }

# load: a process that faults all the time, which sets $load
load() {
	sh -c 'echo "R $$" >/proc/mp3/status; while :; do busybox true; done' &
	load=$!
	until_true listed $load
}

# reload PARAMETER...: the module anew, empty
reload() {
	until_true rmmod mp3 2>/dev/null
	insmod /mp3/mp3.ko "$@"
}

refuses 2 monitor --format xml && refuses 2 monitor --time never &&
	refuses 2 monitor --since x && refuses 2 monitor --since -1 &&
	refuses 2 monitor --for 3 && refuses 2 monitor --pid 0 &&
	refuses 2 monitor --pid 1x && refuses 2 monitor --top --follow &&
	refuses 2 monitor --top --format csv && refuses 2 monitor --top --processes &&
	refuses 2 monitor --what
ok "bad usage is one line and status 2"
taken=
for condition in major major=100 major=100/s major=100/s:2 major=100/s:2sx \
	major=100%:2s cpu=9/s:2s rss=9/s:2s major=-1/s:2s major=0/s:2s \
	major=nan/s:2s major=1/s:0s "major=1/s:infs" =1/s:2s ""; do
	refuses 2 monitor --alert "$condition" -- true || taken="'$condition'"
done
[ -z "$taken" ] && refuses 2 monitor --alert major=1/s:1s && refuses 2 monitor -- true
ok "alert: bad conditions, and no command, are one line and status 2"
refuses 1 monitor --processes -d /dev/mp3 && refuses 1 monitor -d /dev/mp3_procs &&
	refuses 1 monitor --follow -d /no/such && refuses 1 monitor --top -d /dev/null
ok "a ring of another kind is one line and status 1"

# An alarm that goes on beside all other tests: a minute is long.
cat >alarm.sh <<'END'
cat /proc/uptime >>fired
env | grep ^MP3_ >environment
exec sleep 1000
END
load
monitor --alert minor=1/s:1s --pid $load -- sh alarm.sh >alarm.out 2>alarm.errors &
alarm=$!
sleep 1000 &
sleeper=$!
until_true grep -q "(sleep) S" /proc/$sleeper/stat
echo "R $sleeper" >/proc/mp3/status
begin quiet --follow --alert minor=1/s:0.1s --pid $sleeper -- touch alarmed
quiet=$pid
begin high --follow --alert minor=1000000000/s:0.1s -- touch alarmed
high=$pid
until_true test -s environment && [ "$(wc -l <fired)" = 1 ] &&
	grep -qx 'MP3_ALERT=minor=1/s:1s' environment &&
	grep -qx 'MP3_METRIC=minor' environment &&
	grep -qx "MP3_PID=$load" environment &&
	grep -qE '^MP3_SECONDS=[1-9][0-9]*\.[0-9]+$' environment &&
	awk -F= '$1 == "MP3_RATE" && $2 >= 1 { found = 1 } END { exit !found }' environment
ok "alert: the command runs, and its environment says why"
[ ! -s alarm.out ] && [ "$(wc -l <alarm.errors)" = 1 ]
ok "alert: nothing is printed by it, but one line on standard error"
kill $quiet $high
wait $quiet && wait $high && [ ! -e alarmed ]
ok "alert: not for another process, not below the rate"

begin plain --follow --alert minor=1/s:0.1s -- sh -c 'echo noise; touch ran'
until_true test -e ran && size=$(wc -l <plain) && until_true lines $((size + 3)) plain &&
	! grep -q noise plain && grep -q noise plain.errors &&
	! grep -qs "^[0-9]* (.*) Z $pid " /proc/[0-9]*/stat && end TERM
ok "alert: following goes on, no zombie is left, the command's output is apart"
begin broken --follow --alert minor=1/s:0.1s -- /no/such
until_true grep -q 'no/such: No such file' broken.errors && size=$(wc -l <broken) &&
	until_true lines $((size + 3)) broken && end TERM
ok "alert: a command that is not there is said, and following goes on"

monitor --top --for 3.5 >table
status=$?
[ $status = 0 ] && [ "$(grep -c COMMAND table)" -ge 1 ] &&
	awk -v pid=$load '$1 == pid { found = found || $3 > 0 && $4 ~ /[KM]$/ && $6 == "sh" }
		END { exit !found }' table
ok "top: a table each second, with what a process does"
awk -v pid=$sleeper '$1 == pid && NF == 6 { found = $2 == 0 && $3 == 0 && $5 == 0 && $6 == "sleep" }
	END { exit !found }' table
ok "top: one that is idle is shown, at rates of 0"

# All but the alarm's own are ended; it has a second one to give in a minute.
begin three --processes --follow
until_true lines 3 three && end INT && [ "$(said three)" = "$(wc -l <three) 0" ] &&
	awk 'NF != 8 { exit 1 }' three
ok "follow: prints records as they come, ends well on Ctrl-C, and says how many"
begin three --follow
until_true lines 3 three && end TERM && [ "$(said three)" = "$(wc -l <three) 0" ]
ok "follow: samples, too, and ends well on SIGTERM"
end=$(($(uptime_ms) + 1000))
monitor --follow --for 1 >out 2>errors && [ "$(uptime_ms)" -ge $end ] && [ -s out ]
ok "for: ends by itself, and not before"
monitor --follow --since 0 --for 0.5 --format json >out 2>errors && [ -s out ] &&
	! grep -qvE '^\{"jiffies":[0-9]+,"min_flt":[0-9]+,"maj_flt":[0-9]+,"cpu_percent":[0-9]+\}$' out
ok "json: samples"

mkfifo pipe
monitor --follow >pipe 2>errors &
pid=$!
head -n 3 <pipe >out
wait $pid && lines 3 out
ok "follow: ends well when its output closes"

until_true lines 2 fired && awk 'NR == 1 { first = $1 } NR == 2 { exit !($1 >= first + 40) }' fired
ok "alert: a second time only a minute later"
kill -INT $alarm
wait $alarm
ok "alert: ends well on Ctrl-C"
kill $load $sleeper
until_true idle

# From here on nothing happens but what is asked for.
reload interval_ms=10000
mkfifo closing
monitor --follow >closing 2>errors &
pid=$!
exec 3<closing
publish 1
read -r line <&3
exec 3<&-
[ "$line" ] && wait $pid
ok "follow: ends when its output closes while nothing comes"
monitor >/dev/null 2>&1

publish 20
publish_as two
monitor --keep >first 2>errors && monitor --keep >second 2>errors &&
	cmp first second && lines 21 first && monitor >third 2>errors && cmp first third &&
	monitor >fourth 2>errors && [ ! -s fourth ]
ok "keep: the same again, until it is consumed"
monitor --follow --for 0 >out 2>errors && [ ! -s out ] &&
	grep -qx 'monitor: 0 samples read, 0 lost, [0-9]* consumed by others' errors
ok "follow: what was consumed before is said"
monitor --processes --format csv >out 2>errors && [ "$(head -n 1 out)" = \
	seconds,pid,flags,min_flt,maj_flt,cpu_ns,rss_bytes,comm ] &&
	! sed 1d out | grep -qvE '^[0-9]+\.[0-9]{6},[0-9]+,"FL",[0-9]+,[0-9]+,[0-9]+,[0-9]+,"[a-z0-9.]+"$' &&
	[ "$(grep -c ",$$,.*,\"monitor.sh\"$" out)" = 21 ] && grep -q '"two"$' out
ok "csv: a header line, records; reading does not consume them"
monitor --processes --pid $$ >out 2>errors && [ "$(wc -l <out)" = 21 ] &&
	[ "$(awk '{ print $2 }' out | uniq)" = $$ ]
ok "pid: the records of one process"

publish_as "$(printf 'a"\\,\033[31m')"
monitor --processes >out 2>errors && tail -n 1 out | grep -qF ' a"\\,\x1b[31m' &&
	monitor --processes --format csv >out 2>errors &&
	tail -n 1 out | grep -qF ',"a""\\,\x1b[31m"' &&
	monitor --processes --format json --time wall >out 2>errors &&
	tail -n 1 out | grep -qF ',"comm":"a\"\\\\,\\x1b[31m"}' &&
	! tr -d '\n -~' <out | grep -q .
ok "a process' name does no harm to a terminal, nor to csv and json"
! grep -qvE '^\{"time":"20[0-9-]+T[0-9:]{8}\.[0-9]{6}\+0000","pid":[0-9]+,"flags":"FL","min_flt":[0-9]+,"maj_flt":[0-9]+,"cpu_ns":[0-9]+,"rss_bytes":[0-9]+,"comm":"([^"\\]|\\["\\])*"\}$' out
ok "json: an object a line"
monitor --processes --format json --time wall 2>errors | tail -n 1 >out
shown=$(date -u -d "$(sed 's/.*"time":"\([0-9-]*\)T\([0-9:]*\).*/\1 \2/' out)" +%s)
[ "$shown" -le "$(date +%s)" ] && [ "$shown" -ge $(($(date +%s) - 300)) ]
ok "time: by the wall clock it was just now"

# Three at once: each sees all of it, and as it was.
monitor >/dev/null 2>&1
publish 1
begin one --follow
one=$pid
begin two --follow --format csv
two=$pid
begin three --follow --time load
three=$pid
publish 300
monitor --keep >all 2>errors
for file in one three; do until_true lines 301 $file || break; done
until_true lines 302 two
kill $one $two $three
wait $one && wait $two && wait $three && lines 301 all && cmp all one &&
	[ "$(sed '1d;s/,/ /g' two)" = "$(cat all)" ] &&
	[ "$(cut -d ' ' -f 2- three)" = "$(cut -d ' ' -f 2- all)" ]
ok "several at once: each sees everything"
[ "$(for file in one two three; do said $file; done | xargs)" = "301 0 301 0 301 0" ]
ok "several at once: and nothing is lost"

echo "R $$" >/proc/mp3/status
begin followed --until-idle
echo "U $$" >/proc/mp3/status
wait $pid && monitor >all 2>errors && lines 302 all && cmp all followed
ok "until-idle: ends when nothing is registered, with the last sample"

# More than a pipe holds, and nobody who reads it.
publish 1000
# shellcheck disable=SC2094	# it is for opening it that it is opened twice
monitor --follow --format json <>pipe >pipe 2>errors &
pid=$!
until_true grep -q "(monitor) S" /proc/$pid/stat
kill -INT $pid
wait $pid && [ "$(wc -l <errors)" = 1 ]
ok "follow: ends on Ctrl-C, too, while nobody reads what it prints"

# Of 200 records that are published while it is stopped, 62 are left.
reload interval_ms=10000 records=64
publish 10
begin behind --processes --follow
until_true lines 10 behind
kill -STOP $pid
publish 199
publish_as newest
kill -CONT $pid
until_true grep -q newest behind && end INT && [ "$(said behind)" = "72 138" ] &&
	[ "$(wc -l <behind)" = 72 ] && grep -qx 'monitor: 138 records lost' behind.errors
ok "several at once: one that falls behind says exactly how many it lost"

# So many that the ring of records does not hold the oldest ones' any more.
sleep 1000 &
sleeper=$!
until_true grep -q "(sleep) S" /proc/$sleeper/stat
publish 1
echo "R $sleeper" >/proc/mp3/status
echo 1 >/sys/module/mp3/parameters/interval_ms
load
until_true sh -c "! monitor --processes 2>/dev/null | grep -q ' $sleeper F'"
monitor --top --for 1.5 >table
awk -v pid=$sleeper '$1 == pid { found = $3 == 0 && $4 ~ /[KM]$/ && $6 == "sleep" }
	END { exit !found }' table
ok "top: one that no record tells of any more is known"
begin table --top
until_true grep -q "^ *$load " table
kill $load
until_true sh -c "tail -n 4 table | grep -q '^ *$sleeper ' && ! tail -n 4 table | grep -q '^ *$load '" &&
	end TERM
ok "top: one that has ended leaves"
kill $sleeper
until_true idle
monitor --top --until-idle >table && [ "$(sed -n 1p table | cut -d ' ' -f 3-4)" = "0 processes" ]
ok "top: ends when nothing is registered"

finish
