#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# mp3ctl watch and alert, and the plain lines of mp3ctl top, in the guest. The
# screen of top is tested in top.sh; which processes they select, in select.sh; formats, times and conditions, by entries
# that are made up, in tests/host.
#
# vm: -t 1200 -f /usr/bin/unshare

# shellcheck disable=SC2317	# functions are called through until_true

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

uptime_ms() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }

# data FILE: print the entries of text output, without its last line
data() { grep -v '^#' "$1"; }

# counts FILE: print the numbers of entries read and lost from its last line
counts() { sed -nE '$s/^# ([0-9]+) [a-z]+ read, ([0-9]+) lost, hz [0-9]+$/\1 \2/p' "$1"; }

# history ARGUMENT...: print the records in the ring
history() { mp3ctl watch --history "$@" 2>errors | grep -v '^#'; }

# The ring of the processes that the status file lists
procs=/dev/mp3_procs

# asleep PID: succeed if a process of mp3ctl waits
asleep() { grep -qs "(mp3ctl) S" "/proc/$1/stat"; }

refuses 1 mp3ctl watch -d /dev/mp3 && refuses 1 mp3ctl watch --samples -d /dev/mp3_procs &&
	refuses 1 mp3ctl watch -d /no/such && refuses 1 mp3ctl top -d /dev/null &&
	refuses 1 mp3ctl alert -d /dev/mp3 major=1/s:1s -- true
ok "mp3ctl watch, top and alert refuse the wrong kind of ring with one line and status 1"
refuses 2 mp3ctl top --format csv && refuses 2 mp3ctl top x y && refuses 2 mp3ctl top --for 1 --for 2
ok "mp3ctl top refuses bad arguments with one line and status 2"
bad=
for command in watch top "alert major=1/s:1s -- true"; do
	status=0
	# shellcheck disable=SC2086	# words
	mp3ctl $command >&- 2>errors || status=$?
	[ $status = 1 ] && [ "$(wc -l <errors)" = 1 ] && grep -q 'standard output' errors || bad=$command
done
[ -z "$bad" ]
ok "mp3ctl watch, top and alert report a closed standard output with one line and status 1"

# ---- Alerts ----

# Two alerts run next to all other tests, since their pause is a minute; one of
# them is stopped for that minute.
cat >alarm.sh <<'END'
cat /proc/uptime >>fired
env | grep ^MP3_ >environment
exec sleep 1000
END
load
mp3ctl alert -p $load minor=1/s:1s -- sh alarm.sh >alarm.out 2>alarm.errors &
alarm=$!
mp3ctl alert -d $procs minor=1/s:1s -- sh -c 'echo >>fired_late' 2>late.errors &
late=$!
until_true asleep $late
kill -STOP $late
sleep 1000 &
sleeper=$!
until_true grep -q "(sleep) S" /proc/$sleeper/stat
echo "R $sleeper" >/proc/mp3/status
mp3ctl alert -p $sleeper minor=1/s:0.1s -- touch alarmed 2>quiet.errors &
quiet=$!
mp3ctl alert minor=1000000000/s:0.1s cpu=1000000%:0.1s -- touch alarmed 2>high.errors &
high=$!
until_true test -s environment && [ "$(wc -l <fired)" = 1 ] &&
	grep -qx 'MP3_ALERT=minor=1/s:1s' environment &&
	grep -qx 'MP3_METRIC=minor' environment &&
	grep -qx "MP3_PID=$load" environment &&
	grep -qE '^MP3_SECONDS=[1-9][0-9]*\.[0-9]+$' environment &&
	awk -F= '$1 == "MP3_RATE" && $2 >= 1 { found = 1 } END { exit !found }' environment
ok "mp3ctl alert runs its command with the reason in its environment"
[ ! -s alarm.out ] && [ "$(wc -l <alarm.errors)" = 1 ]
ok "mp3ctl alert prints one line on standard error"
# shellcheck disable=SC2016	# for the command's shell
mp3ctl alert minor=1/s:0.1s cpu=0.001%:0.1s -- sh -c 'echo "metric $MP3_METRIC"' >noise 2>noise.errors &
noise=$!
until_true grep -qsx 'metric minor' noise.errors && until_true grep -qsx 'metric cpu' noise.errors &&
	! grep -qs "^[0-9]* (.*) Z $noise " /proc/[0-9]*/stat && kill $noise && wait $noise &&
	[ ! -s noise ]
ok "mp3ctl alert runs its command for each condition, prints its output on standard error, and leaves no zombie"
mp3ctl alert minor=1/s:0.1s -- /no/such 2>broken.errors &
broken=$!
until_true grep -qs 'no/such: No such file' broken.errors && until_true asleep $broken &&
	kill $broken && wait $broken
ok "mp3ctl alert reports a command that does not exist, and continues"
kill $quiet $high
wait $quiet && wait $high && [ ! -e alarmed ]
ok "mp3ctl alert ignores other processes and lower rates"

# ---- The plain lines of top ----

status=0
mp3ctl top --for 3.5 >table || status=$?
[ $status = 0 ] && [ "$(grep -c COMMAND table)" -ge 1 ] &&
	awk -v pid=$load '$1 == pid { found = found || $3 > 0 && $4 ~ /[KM]$/ && $6 == "sh" }
		END { exit !found }' table
ok "mp3ctl top prints a table each second where it has no terminal"
awk -v pid=$sleeper '$1 == pid && NF == 6 { found = $2 == 0 && $3 == 0 && $5 == 0 && $6 == "sleep" }
	END { exit !found }' table
ok "mp3ctl top shows an idle process with rates of 0"

# ---- Namespaces ----

publish_as recent
there() { /mp3/unshare -T --monotonic 100000 --fork "$@"; }
there mp3ctl watch --history --since 300 2>errors | grep -q ' recent$'
ok "mp3ctl watch --since is right in a time namespace with a later clock"
/mp3/unshare -T --monotonic -1 --fork mp3ctl watch --history --since 300 2>errors | grep -q ' recent$'
ok "mp3ctl watch --since is right in a time namespace with an earlier clock"
/mp3/unshare -T --monotonic 100000 mp3ctl watch --history --since 300 2>errors | grep -q ' recent$'
ok "mp3ctl watch --since is right in a process that unshared its time namespace without a fork"
there mp3ctl watch --for 0.5 --since 0 >out && [ "$(data out | wc -l)" -ge 1 ]
ok "mp3ctl watch --for is right in another time namespace"
shown=$(there mp3ctl watch --history --time wall 2>errors |
	sed -n 's/^\([0-9-]*\)T\([0-9:]*\).* recent$/\1 \2/p' | tail -n 1)
shown=$(date -u -d "$shown" +%s) && [ "$shown" -le "$(date +%s)" ] && [ "$shown" -ge $(($(date +%s) - 300)) ]
ok "mp3ctl watch --time wall is right in another time namespace"
there mp3ctl alert -d $procs --until-idle minor=1/s:0.5s -- touch there_fired 2>there.errors &
there=$!
until_true test -e there_fired
ok "mp3ctl alert runs its command in another time namespace"
refuses 1 /mp3/unshare --pid --fork mp3ctl watch --history -p 1 &&
	refuses 1 /mp3/unshare --pid --fork mp3ctl alert -d $procs -p 1 minor=1/s:1s -- true &&
	ends 0 /mp3/unshare --pid --fork mp3ctl watch --history && grep -q ' recent$' out
ok "mp3ctl watch and alert refuse -p with a ring in another pid namespace, where other process ids are in use"

# ---- Watching ----

begin three mp3ctl watch
until_true lines 3 three && end INT && [ "$(counts three)" = "$(data three | wc -l) 0" ] &&
	data three | awk 'NF != 8 { exit 1 }'
ok "mp3ctl watch prints records as they come, and ends on Ctrl-C with its last line"
begin three mp3ctl watch --samples
until_true lines 3 three && end TERM && [ "$(counts three)" = "$(data three | wc -l) 0" ] &&
	data three | awk 'NF != 4 { exit 1 }'
ok "mp3ctl watch --samples prints samples, and ends on SIGTERM with its last line"
end=$(($(uptime_ms) + 1000))
mp3ctl watch --for 1 >out 2>errors && [ "$(uptime_ms)" -ge $end ] && lines 2 out
ok "mp3ctl watch --for ends by itself, and not earlier"
mp3ctl watch --samples --since 0 --for 0.5 --format json >out 2>errors && [ -s out ] &&
	! grep -qvE '^\{"jiffies":[0-9]+,"min_flt":[0-9]+,"maj_flt":[0-9]+,"cpu_percent":[0-9]+\}$' out &&
	grep -qE '^mp3ctl watch: [0-9]+ samples read, 0 lost, hz [0-9]+$' errors
ok "mp3ctl watch --format json prints an object per sample, and its summary on standard error"
end=$(($(uptime_ms) + 1500))
mp3ctl watch -p $load -i 0.5 3 >out 2>errors && [ "$(uptime_ms)" -ge $end ] &&
	[ "$(data out | awk -v pid=$load '$2 == pid && $4 > 0' | wc -l)" -ge 1 ] &&
	[ "$(data out | wc -l)" -le 3 ] && [ -z "$(data out | awk '{ print $1 }' | uniq -d)" ]
ok "mp3ctl watch -i prints at most one line for a process and interval, and ends after a count of intervals"
mp3ctl watch 1 2 --by tree --filter 'min_flt>0' --format '{depth} {pid} {ppid} {user} {comm}\n' >out 2>errors &&
	awk -v pid=$$ '$1 == 0 { root = $2 } $1 == 1 && $3 != root { wrong = 1 }
		$2 == pid { found = ($4 == "root" || $4 == 0) && $5 == "watch.sh" } END { exit wrong || !found }' out
ok "mp3ctl watch --by tree prints each process below its parent, with the fields of a template"
mp3ctl record -o recording sh -c 'sleep 0.2 & ls / >/dev/null; wait' >out 2>errors &&
	total=$(mp3ctl report recording | awk '$1 == "total" { print $4 }') && [ "$total" -gt 0 ] &&
	[ "$(mp3ctl watch recording | awk '!/^#/ { sum += $4 } END { print sum }')" = "$total" ] &&
	[ "$(mp3ctl watch recording 0.1 | awk '!/^#/ { sum += $4 } END { print sum }')" = "$total" ] &&
	[ "$(mp3ctl watch recording --by tree -i 60 --format '{depth}{comm}\n' 2>/dev/null |
		sort | tr '\n' ' ')" = "0sh 1ls 1sleep " ]
ok "mp3ctl watch prints the sums and the tree of a recording"
mkfifo pipe
mp3ctl watch >pipe 2>errors &
pid=$!
head -n 3 <pipe >out
wait $pid && lines 3 out
ok "mp3ctl watch ends with status 0 when the reader of its output ends"

until_true lines 2 fired && awk 'NR == 1 { first = $1 } NR == 2 { exit !($1 >= first + 40) }' fired
ok "mp3ctl alert runs its command a second time only a minute later"
kill -INT $alarm
wait $alarm
ok "mp3ctl alert ends with status 0 on Ctrl-C"
# The stopped one has records of more than a minute to read.
kill -CONT $late
until_true test -e fired_late && sleep 2 && [ "$(wc -l <fired_late)" = 1 ] && kill $late && wait $late
ok "mp3ctl alert runs its command once after it was stopped for more than a minute"
kill $load $sleeper
until_true idle
wait $there
ok "mp3ctl alert --until-idle ends when nothing is registered"

# ---- Entries that only this script publishes ----

reload interval_ms=10000
mkfifo closing
mp3ctl watch -d $procs >closing 2>errors &
pid=$!
exec 3<closing
publish 1
read -r line <&3
exec 3<&-
[ "$line" ] && wait $pid
ok "mp3ctl watch ends when its output closes while nothing is published"

mp3ctl watch -d $procs --until-idle >recorded &
pid=$!
until_true asleep $pid
publish_as workload
wait $pid && grep -q ' workload$' recorded && [ "$(counts recorded)" = "2 0" ]
ok "mp3ctl watch -d --until-idle that is started before the workload records it"
echo "R $$" >/proc/mp3/status
begin followed mp3ctl watch --samples --until-idle
echo "U $$" >/proc/mp3/status
wait $pid && mp3ctl watch --history --samples >all && lines 4 all && cmp all followed
ok "mp3ctl watch --until-idle ends when nothing is registered, with the last sample"

monitor >/dev/null
publish 20
mp3ctl watch --history --samples >first && mp3ctl watch --history --samples >second &&
	cmp first second && [ "$(counts first)" = "20 0" ] && monitor >third && cmp first third
ok "mp3ctl watch --history leaves the samples for a monitor that consumes them"
mp3ctl watch --samples --for 0 >out 2>errors && [ "$(counts out)" = "0 0" ] &&
	grep -qx 'mp3ctl watch: 23 samples consumed by other readers' errors
ok "mp3ctl watch --samples reports samples that others have consumed"
publish_as two
mp3ctl watch --history --format csv >out 2>errors && [ "$(head -n 1 out)" = \
	seconds,pid,flags,min_flt,maj_flt,cpu_ns,rss_bytes,comm ] &&
	! sed 1d out | grep -qvE '^[0-9]+\.[0-9]{6},[0-9]+,"[FL-]+",[0-9]+,[0-9]+,[0-9]+,[0-9]+,"[a-z0-9.]+"$' &&
	[ "$(grep -c ",$$,.*,\"watch.sh\"$" out)" -ge 21 ] && grep -q '"two"$' out
ok "mp3ctl watch --format csv prints a header line and records, and consumes none"
own=$(history | awk -v pid=$$ '$2 == pid' | wc -l)
two=$(history | awk '$8 == "two" { print $2 }')
history -p $$ >out && [ "$(wc -l <out)" = "$own" ] && [ "$(awk '{ print $2 }' out | uniq)" = $$ ] &&
	[ "$(history -p $$ -p "$two" | wc -l)" = $((own + 1)) ]
ok "mp3ctl watch -p prints only the records of one or several processes"

# sum COLUMN ARGUMENT...: print the sum of a column of the records in the ring
sum() {
	column=$1
	shift
	history "$@" | awk -v column="$column" '{ sum += $column } END { print sum + 0 }'
}
[ "$(sum 4)" -gt 0 ] && [ "$(sum 4 -i 1)" = "$(sum 4)" ] && [ "$(sum 4 -i 0.01)" = "$(sum 4)" ] &&
	[ "$(sum 3 --by name)" = "$(sum 4)" ] && [ "$(sum 3 --by cgroup -i 1000)" = "$(sum 4)" ] &&
	[ "$(sum 6 -i 3)" = "$(sum 6)" ] && [ "$(sum 4 --filter name=two -i 5)" = "$(sum 4 --filter name=two)" ]
ok "the sums of mp3ctl watch -i and --by are those of the records"

publish_as 'a" \\,\033[31m'
history | tail -n 1 | grep -qF ' a"\x20\\\x2c\x1b[31m' &&
	history --format csv | tail -n 1 | grep -qF ',"a"" \\,\x1b[31m"' &&
	history --format json --time wall >out && tail -n 1 out | grep -qF ',"comm":"a\" \\\\,\\x1b[31m"}' &&
	! tr -d '\n -~' <out | grep -q .
ok "a process name does no harm to a terminal, nor to text, csv and json"
publish_as '\000' && publish_as '  ' && publish_as "a b,c"
[ "$(history | tail -n 3 | awk '{ printf "%s %s ", NF, $8 }')" = '8 \x00 8 \x20\x20 8 a\x20b\x2cc ' ]
ok "each record of mp3ctl watch has eight words, whatever the process is called"
history --format json --time wall >out
! grep -qvE '^\{"time":"20[0-9-]+T[0-9:]{8}\.[0-9]{6}\+00:00","pid":[0-9]+,"flags":"[FL-]+","min_flt":[0-9]+,"maj_flt":[0-9]+,"cpu_ns":[0-9]+,"rss_bytes":[0-9]+,"comm":"([^"\\]|\\["\\])*"\}$' out
ok "mp3ctl watch --format json --time wall prints an object per record, with its time in ISO 8601"

# Three at once: each sees all of it, and as it was.
monitor >/dev/null
publish 1
begin one mp3ctl watch --samples
one=$pid
begin two mp3ctl watch --samples --format csv
two=$pid
begin three mp3ctl watch --samples --time load
three=$pid
publish 300
mp3ctl watch --samples --history >all
for file in one three; do until_true lines 301 $file || break; done
until_true lines 302 two
kill $one $two $three
wait $one && wait $two && wait $three && [ "$(counts all)" = "301 0" ] && [ "$(data one)" = "$(data all)" ] &&
	[ "$(sed '1d;s/,/ /g' two)" = "$(data all)" ] &&
	[ "$(data three | cut -d ' ' -f 2-)" = "$(data all | cut -d ' ' -f 2-)" ]
ok "each of several watches at the same time prints every sample"
[ "$(counts one) $(counts three)" = "301 0 301 0" ] && grep -q ' 301 samples read, 0 lost' two.errors
ok "each of several watches at the same time loses nothing"

# More than a pipe holds, and nobody reads it.
publish 1000
# shellcheck disable=SC2094	# opening it twice opens it
mp3ctl watch --samples --format json <>pipe >pipe 2>errors &
pid=$!
until_true asleep $pid
kill -INT $pid
wait $pid && grep -q 'samples read' errors
ok "mp3ctl watch ends on Ctrl-C while nobody reads its output"

# Of 200 records that are published while it is stopped, and as many identity
# records, 62 are left.
reload interval_ms=10000 records=64
publish 10
begin behind mp3ctl watch -d $procs
until_true lines 10 behind
kill -STOP $pid
publish 199
publish_as newest
kill -CONT $pid
until_true grep -q newest behind && end INT && [ "$(counts behind)" = "41 338" ] &&
	[ "$(data behind | wc -l)" = 41 ] && grep -qx 'mp3ctl watch: 338 records lost' behind.errors
ok "mp3ctl watch reports exactly how many records it lost after it was stopped"
mp3ctl watch --history >out && grep -qx '# 31 records read, at most 358 lost, hz [0-9]*' out
ok "mp3ctl watch --history reports what was overwritten, and may not have been read"

# So many that the ring of records no longer holds the oldest ones.
sleep 1000 &
sleeper=$!
until_true grep -q "(sleep) S" /proc/$sleeper/stat
publish 1
echo "R $sleeper" >/proc/mp3/status
echo 1 >/sys/module/mp3/parameters/interval_ms
load
until_true sh -c "! mp3ctl watch --history 2>/dev/null | grep -q ' $sleeper F'"
mp3ctl top -d $procs --for 1.5 >table
awk -v pid=$sleeper '$1 == pid { found = $3 == 0 && $4 ~ /[KM]$/ && $6 == "sleep" }
	END { exit !found }' table
ok "mp3ctl top -d shows an idle process that has no record in the ring"
begin table mp3ctl top -d $procs
until_true grep -q "^ *$load " table
kill $load
until_true sh -c "tail -n 4 table | grep -q '^ *$sleeper ' && ! tail -n 4 table | grep -q '^ *$load '" &&
	end TERM
ok "mp3ctl top -d removes a process that has exited"
mp3ctl top -d $procs --until-idle >table &
pid=$!
until_true asleep $pid
kill $sleeper
wait $pid && until_true idle && tail -n 2 table | grep -q "^ *$sleeper .* sleep$"
ok "mp3ctl top -d --until-idle ends when nothing is registered, with the last process"

finish
