#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# mp3ctl serve, and mp3ctl export --format prometheus without a recording, in the guest:
# against what the kernel has counted, of an ordinary user and of all processes.
#
# vm: -t 900

# shellcheck disable=SC2317	# functions are called through until_true

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

export LD_LIBRARY_PATH=/mp3
chmod 755 /mp3
chmod 777 .
ip link set lo up 2>/dev/null || ifconfig lo up

failure() { grep -hvE '^# |_bucket| 0$|0\.000000000$' served page 2>/dev/null | sed 's/^/# /'; }

# serve ARGUMENT...: start mp3ctl serve, and set $server
serve() {
	rm -f served
	mp3ctl serve --listen 127.0.0.1:10423 "$@" >served 2>&1 &
	server=$!
	until_true grep -q ^serving served
}

# get: fetch the page into the file "page"
get() { wget -q -O page http://127.0.0.1:10423/metrics 2>/dev/null; }

# value NAME [LABEL]: print a value of the page
value() {
	key=$1
	[ $# = 1 ] || key="$1{$2}"
	awk -v key="$key" '$1 == key { print $2 }' page
}

# sum NAME: print the sum over the rows of a metric
sum() { awk -v name="$1{" 'index($0, name) == 1 { sum += $NF } END { printf "%d\n", sum }' page; }

# faults_of PID: print the minor and major faults that the kernel has counted
faults_of() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $8, $10 }'; }

stopped() { grep -q ') T ' "/proc/$1/stat"; }

# stopping_load: start a process that stops before and after each round of faults
stopping_load() {
	# shellcheck disable=SC2016	# the other shell expands it
	sh -c 'echo $$ >pid; while :; do kill -STOP $$; text=0123456789abcdef
		while [ ${#text} -lt 500000 ]; do text=$text$text; done; done' &
	until_true test -s pid
	load=$(cat pid)
	rm pid
	until_true stopped "$load"
}

# round: have the load take faults once; print how many the kernel has counted
round() {
	before=$(faults_of "$load")
	kill -CONT "$load"
	usleep 100000
	until_true stopped "$load"
	after=$(faults_of "$load")
	echo $((${after% *} - ${before% *} + ${after#* } - ${before#* }))
}

has_faults() {
	get && [ $(($(sum mp3_minor_faults_total) + $(sum mp3_major_faults_total))) = "$1" ] &&
		[ $(($(sum mp3_cgroup_minor_faults_total) + $(sum mp3_cgroup_major_faults_total))) = "$1" ]
}

stopping_load
serve -p "$load"
faults=$(round)
[ "$faults" -gt 50 ] && until_true has_faults "$faults" &&
	[ "$(sum mp3_processes_started_total)" = 0 ] && [ "$(value mp3_lost_records_total)" = 0 ] &&
	[ "$(value mp3_registered_processes)" = 1 ] && [ "$(sum mp3_resident_memory_bytes)" -gt 100000 ]
ok "mp3ctl serve serves the faults of a process that the kernel has counted"
get && ticks=$(value mp3_ticks_total) && sleep 1 && get && [ "$(value mp3_ticks_total)" -gt "$ticks" ] &&
	[ "$(value mp3_sampling_seconds_total)" != 0.000000000 ]
ok "mp3ctl serve serves the ticks and the cost of the profiler"
kill "$server"
wait "$server"
ok "mp3ctl serve ends with status 0 on SIGTERM"

serve -p "$load" --faults
faults=$(round)
stalls() {
	has_faults "$1" && [ "$(sum mp3_fault_stall_seconds_count)" -gt 0 ] &&
		[ "$(awk '/^mp3_stall_seconds_total/ { a += $2 } /^mp3_fault_stall_seconds_sum/ { b += $2 }
			END { print (a > 0 && a - b < 1e-6 && b - a < 1e-6) }' page)" = 1 ]
}
until_true stalls "$faults" && [ "$(sum mp3_fault_stall_seconds_count)" -le "$faults" ] &&
	[ "$(value mp3_lost_faults_total)" = 0 ]
ok "mp3ctl serve --faults serves the stalled time of the faults that it counts"
kill "$server"
wait "$server"
kill -KILL "$load"

mkdir /sys/fs/cgroup/limited
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
echo 64M >/sys/fs/cgroup/limited/memory.max
ends 1 su user -c "mp3ctl serve -a" && [ "$(wc -l <errors)" = 1 ] && grep -q 'CAP_PERFMON' errors
ok "mp3ctl serve -a of an ordinary user is refused in one line"
serve -a
sh -c 'echo $$ >/sys/fs/cgroup/limited/cgroup.procs; for i in $(seq 30); do busybox true; done'
# A process that a tick finds before its exec is counted with the name of the shell.
started() { get && [ "$(value mp3_cgroup_processes_started_total 'cgroup="/limited"')" -ge 31 ]; }
until_true started && [ "$(sum mp3_processes_started_total)" -ge 31 ] &&
	[ "$(value mp3_minor_faults_total 'comm="busybox"')" -gt 100 ] &&
	[ "$(value mp3_cgroup_memory_limit_bytes 'cgroup="/limited"')" = 67108864 ] &&
	[ "$(value mp3_resident_memory_bytes 'comm="busybox"')" = 0 ]
ok "mp3ctl serve -a serves the totals of short processes, by name and by cgroup, and the limits of cgroups"

# ---- Cost ----

sleepers=
i=0
while [ $i -lt 1000 ]; do
	sleep 100000 &
	sleepers="$sleepers $!"
	i=$((i + 1))
done
registered() { get && [ "$(value mp3_registered_processes)" -gt 1000 ]; }
until_true registered
used() { sed 's/.*) //' "/proc/$server/stat" | awk '{ print $12, $13 }'; }
before=$(used)
start=$(date +%s)
i=0
while [ $i -lt 10 ]; do
	get
	sleep 1
	i=$((i + 1))
done
after=$(used)
seconds=$(($(date +%s) - start))
get && [ "$(value mp3_lost_records_total)" = 0 ]
ok "mp3ctl serve loses no record of 1,000 processes"
echo "# 1,000 idle processes, 10 scrapes in $seconds s: $((${after% *} - ${before% *})) ticks of user time," \
	"$((${after#* } - ${before#* })) of system time (100 per second)"
kill "$server"
wait "$server"
# shellcheck disable=SC2086	# words
kill $sleepers

# ---- An ordinary user, and the textfile ----

su user -c 'exec mp3ctl serve --listen 127.0.0.1:10423' >served 2>&1 &
server=$!
until_true grep -q ^serving served
# A new login is found within a second: until then, its processes do not count.
su user -c 'until [ -e seen ]; do busybox true; done' &
login=$!
own() { get && [ "$(sum mp3_processes_started_total)" -ge 20 ]; }
until_true own && ! grep -q '"init"' page && [ "$(value mp3_registered_processes)" -lt 1000 ]
ok "mp3ctl serve of an ordinary user serves the processes of that user"
touch seen
wait $login
kill "$(grep -ls '^Name:.mp3ctl' /proc/[0-9]*/status | head -n 1 | cut -d / -f 3)"
wait $server

mkdir text
mp3ctl export --format prometheus -o text/mp3.prom -i 0.5 -a 2>errors &
pid=$!
until_true test -s text/mp3.prom
sh -c 'echo $$ >/sys/fs/cgroup/limited/cgroup.procs
	i=0; while [ $i -lt 40 ]; do busybox true; i=$((i + 1)); done'
# A tick that follows the signal publishes the last ones of these processes.
kill $pid
wait $pid && [ ! -s errors ] && [ "$(ls text)" = mp3.prom ] && cp text/mp3.prom page &&
	[ "$(value mp3_cgroup_processes_started_total 'cgroup="/limited"')" -ge 40 ] &&
	[ "$(stat -c %a text/mp3.prom)" = 644 ]
ok "mp3ctl export writes a whole file for the textfile collector, the last time at its end"
until_true idle
finish
