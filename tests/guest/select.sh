#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The processes that mp3ctl watch, top and alert select: those of an ordinary user,
# of the whole machine, or named ones; and that none of them stays registered.
#
# vm: -t 1200 -f /usr/bin/unshare

# shellcheck disable=SC2317	# functions are called through until_true

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

chmod 755 /mp3
chmod 777 .

# as_user COMMAND: run a shell command as an ordinary user
as_user() { su user -c "$1"; }

# spin: start a process that faults all the time, and set $spin; it is registered
# nowhere
spin() {
	sh -c 'while :; do busybox true; done' &
	spin=$!
}

# user_spin: the same, as an ordinary user
user_spin() {
	rm -f pid
	su user -c 'echo $$ >pid; while :; do busybox true; done' &
	until_true test -s pid
	spin=$(cat pid)
}

# pids FILE: print the process ids of records
pids() { grep -v '^#' "$1" | cut -d ' ' -f 2 | sort -nu; }

# has FILE PID: succeed if there is a record of a process
has() { [ -e "$1" ] && pids "$1" | grep -qx "$2"; }

# sum FILE PID: print the minor faults of a process
sum() { awk -v pid="$2" '$2 == pid && $3 != "I" { sum += $4 } END { print sum + 0 }' "$1"; }

# user_tool ARGUMENT...: start mp3ctl as an ordinary user, and set $tool to its
# process and $waiter to one that this shell can wait for
user_tool() {
	rm -f tool
	su user -c "echo \$\$ >tool; exec mp3ctl $*" &
	waiter=$!
	until_true test -s tool
	tool=$(cat tool)
}

# until_has PID ARGUMENT...: run mp3ctl watch as root, and write its output to the
# file "out", until that contains a record of a process; it has to exit with 0
until_has() {
	wanted=$1
	shift
	rm -f out # the background shell is slow to truncate it
	mp3ctl watch "$@" >out 2>errors &
	waiter=$!
	until_true has out "$wanted" && kill $waiter && wait $waiter
}

# user_until_has PID ARGUMENT...: the same as an ordinary user
user_until_has() {
	wanted=$1
	shift
	user_tool watch "$@" >out 2>errors
	until_true has out "$wanted" && kill "$tool" && wait $waiter
}

asleep() { grep -qs "(mp3ctl) S" "/proc/$1/stat"; }

# unused: succeed if no capture exists and nothing is registered: the module is not
# in use, and it serves no ticks
unused() {
	[ "$(cat /sys/module/mp3/refcnt)" = 0 ] && idle || return
	ticks=$(header | grep served)
	sleep 1
	[ "$(header | grep served)" = "$ticks" ]
}

failure() { head -n 40 out | sed 's/^/# /'; }

# ---- What is selected by default ----

spin
of_root=$spin
user_spin
of_user=$spin

user_until_has "$of_user" --identity && ! has out "$of_root" && awk '$3 == "I" && $5 != 1000 { exit 1 }' out
ok "mp3ctl watch of an ordinary user prints the records of the user's own processes, and of no others"
! grep -q ' mp3ctl$' out
ok "mp3ctl watch prints no records of itself"
awk '$3 == "I" { known[$2] = 1; next } $3 ~ /F/ && !known[$2] { exit 1 }' out
ok "each first record that mp3ctl watch --identity prints follows an identity record"
user_until_has "$of_user" && ! grep -q ' I ' out
ok "mp3ctl watch prints no identity records by default"
ends 0 as_user "mp3ctl top --for 4.5 >table" && grep -q "^ *$of_user .* sh$" table && ! grep -q "^ *$of_root " table &&
	! grep -q " mp3ctl$" table
ok "mp3ctl top of an ordinary user shows the user's own processes without itself"
user_tool alert minor=1/s:0.5s -- touch fired 2>errors
until_true test -e fired && kill "$tool" && wait $waiter && [ "$(wc -l <errors)" = 1 ]
ok "mp3ctl alert of an ordinary user runs its command"

user_tool watch >login
until_true has login "$of_user"
user_spin
until_true has login "$spin" && kill "$tool" && wait $waiter
ok "mp3ctl watch finds a process of the user that another user's process has started later"
kill "$spin"

# user_sleep_as PID: start a process of the user that has this id, and is no child of
# another one
user_sleep_as() {
	for _ in $(seq 100); do
		echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid
		su user -c 'exec sleep 1000' &
		[ $! != "$1" ] || return 0
		kill $!
	done
	false
}

registered_twice() { [ "$(grep -c "^[0-9.]* $1 I " reuse)" = 2 ]; }

if [ -w /proc/sys/kernel/ns_last_pid ]; then
	su user -c 'exec sleep 1000' &
	reused=$!
	user_tool watch --identity >reuse
	until_true has reuse $reused
	kill $reused
	until_true grep -q "^[0-9.]* $reused F\?L " reuse
	user_sleep_as $reused && until_true registered_twice $reused
	ok "mp3ctl watch finds a process that has the id of one that has exited"
	kill "$tool" $reused
	wait $waiter
else
	true
	ok "mp3ctl watch finds a process that has the id of one that has exited # SKIP no ns_last_pid"
fi

for bad in "watch -a" "top -a" "alert -a minor=1/s:1s -- true"; do
	refuses 1 as_user "mp3ctl $bad" && grep -q 'root or CAP_PERFMON' errors
	ok "mp3ctl ${bad%% *} -a of an ordinary user fails with one line and status 1"
done
refuses 1 as_user "mp3ctl watch -p $of_root" && grep -q "process $of_root: .*ptrace" errors
ok "mp3ctl watch -p of another user's process fails with one line and status 1"
refuses 1 mp3ctl watch -p 2 && grep -q 'kernel thread' errors && refuses 1 mp3ctl top -p 4194303 &&
	grep -q 'No such process' errors
ok "mp3ctl watch and top refuse a kernel thread and a missing process with one line and status 1"
refuses 2 mp3ctl top -f && refuses 2 mp3ctl alert -a -p 1 minor=1/s:1s -- true && refuses 2 mp3ctl top -a -d /dev/mp3_procs
ok "mp3ctl top and alert refuse a contradictory selection with one line and status 2"

until_has "$of_root" -a && until_has "$of_user" -a
ok "mp3ctl watch -a prints records of the processes of all users"
until_has "$of_root" && until_has "$of_user"
ok "mp3ctl watch of root selects the whole machine by default"

# ---- Named processes ----

user_until_has "$of_user" -p "$of_user" && [ "$(pids out)" = "$of_user" ]
ok "mp3ctl watch -p prints the records of one process and not of its children"
mp3ctl watch -p "$of_user" -p "$of_root" -p "$of_user" >several &
tool=$!
until_true has several "$of_user" && until_true has several "$of_root" && kill $tool && wait $tool && [ "$(pids several | wc -l)" = 2 ]
ok "mp3ctl watch prints the records of each of several processes, one of which is given twice"
user_tool watch -f -p "$of_user" >out
until_true grep -q ' busybox$' out && has out "$of_user" && kill "$tool" && wait $waiter
ok "mp3ctl watch -f -p prints the records of a process and of its descendants"
ends 0 sh -c 'mp3ctl watch -f -p $$ --for 1; true' && ! grep -q ' mp3ctl$' out
ok "mp3ctl watch -f -p leaves itself out if it is a descendant"
idle
ok "mp3ctl watch, top and alert do not change the status file"

# A process that faults a known number of times on command.
mkfifo go
sh -c 'read -r _ <go; for _ in $(seq 50); do busybox true; done; (exit); exit' &
worker=$!
until_true grep -qs '(sh) S' /proc/$worker/stat
mp3ctl watch -p $worker --until-idle >first &
first=$!
mp3ctl watch -f -p $worker --until-idle >second &
second=$!
mp3ctl run -- mp3ctl watch -p $worker --until-idle >nested 2>run.errors &
nested=$!
mp3ctl top -p $worker --until-idle >table &
top=$!
for pid in $first $second $top; do until_true asleep "$pid"; done
# The other processes of mp3ctl are the run and the watch that it runs.
until_true sh -c "[ \$(grep -l '(mp3ctl) S' /proc/[0-9]*/stat 2>/dev/null | wc -l) -ge 5 ]"
sleep 1
echo "F $worker" >/proc/mp3/status
echo >go
wait $first && wait $second && wait $nested && wait $top
ok "mp3ctl watch, top and run that profile the same process at the same time all end with status 0"
[ "$(sum first $worker)" -gt 100 ] && [ "$(sum first $worker)" = "$(sum second $worker)" ] &&
	[ "$(sum first $worker)" = "$(sum nested $worker)" ]
ok "mp3ctl watches of the same process count the same faults"
tail -n 2 first | head -n 1 | grep -qE "^[0-9.]+ $worker F?L " && [ "$(pids second | wc -l)" -ge 51 ]
ok "mp3ctl watch --until-idle ends after the last record of its process, and with -f after those of its descendants"
! grep -q 'Already registered' run.errors && until_true idle
ok "no mp3ctl that profiles a process hinders another one"

sh -c 'sleep 16 & exec sleep 8' &
pid=$!
until_true grep -qs '(sleep)' /proc/$pid/stat
ends 0 mp3ctl watch -f -p $pid --until-idle && [ "$(grep -c ' F\?L ' out)" = 2 ]
ok "mp3ctl watch --until-idle waits for the descendants of a process that has exited"

# ---- Nothing stays registered ----

kill "$of_user" "$of_root"
until_true unused
ok "the module is unused after mp3ctl watch, top and alert have ended"

user_spin
for i in 1 2 3 4 5 6; do
	for command in "watch -f -p $spin" top "alert major=1/s:1s -- true"; do
		user_tool "$command" >/dev/null 2>errors
		usleep $((i * i * 10000))
		kill -KILL "$tool"
		wait $waiter
	done
done 2>/dev/null
[ "$(cat /sys/module/mp3/refcnt)" = 0 ] && idle && unused
ok "nothing stays registered after mp3ctl watch, top and alert are killed at any time"
bad=
for signal in HUP ALRM XCPU SEGV; do
	user_tool watch -f -p "$spin" >/dev/null 2>errors
	until_true asleep "$tool"
	kill -$signal "$tool"
	wait $waiter
	[ "$(cat /sys/module/mp3/refcnt)" = 0 ] || bad=$signal
done 2>/dev/null
[ -z "$bad" ] && unused
ok "nothing stays registered after mp3ctl watch was ended by any signal"
as_user "mp3ctl watch -f -p $spin | head -n 2 >/dev/null"
unused
ok "nothing stays registered after the reader of mp3ctl watch has ended"

# ---- Limits and privileges ----

tools=
for _ in 1 2 3 4 5 6 7 8; do
	user_tool watch -p "$spin" >/dev/null 2>errors
	until_true asleep "$tool"
	tools="$tools $tool"
done
for command in "watch" "top" "alert major=1/s:1s -- true"; do
	refuses 1 as_user "mp3ctl $command" &&
		grep -q '^mp3ctl [a-z]*: /dev/mp3_capture: Too many captures of this user (8)' errors
	ok "mp3ctl ${command%% *} reports that a user has too many captures with one line and status 1"
done
until_has "$spin"
ok "mp3ctl watch of root works when an ordinary user has too many captures"
# shellcheck disable=SC2086	# several words
kill $tools
kill "$spin"
until_true unused
ok "the module is unused after eight captures of a user have ended"

cp /bin/busybox busybox_setuid
chmod 4755 busybox_setuid
mkfifo become
rm -f pid
su user -c 'echo $$ >pid; read -r _ <become; exec ./busybox_setuid sleep 1000' &
until_true test -s pid
pid=$(cat pid)
su user -c "exec mp3ctl watch -p $pid --until-idle" >records 2>errors &
tool=$!
until_true has records "$pid"
echo >become
wait $tool && grep -qx 'mp3ctl watch: 1 process gained privileges and was unregistered' errors && ! grep -q ' L ' records
ok "mp3ctl watch reports a process that has gained privileges, and prints no record of it afterwards"
kill "$pid"

# ---- Another pid namespace, lost records, a missing module ----

spin
refuses 1 /mp3/unshare --pid --fork mp3ctl watch && grep -q 'mount-proc' errors
ok "mp3ctl watch without -p refuses a /proc of another pid namespace with one line and status 1"
# shellcheck disable=SC2016	# the other shell expands it
ends 0 /mp3/unshare --pid --fork sh -c 'sh -c "for _ in \$(seq 30); do busybox true; done" & mp3ctl watch -p $! --until-idle' &&
	[ "$(pids out | wc -l)" = 1 ] && [ "$(pids out)" -gt 50 ]
ok "mp3ctl watch -p takes process ids of its own pid namespace"
ends 0 /mp3/unshare --pid --fork --mount-proc sh -c 'sh -c "while :; do busybox true; done" & mp3ctl watch --for 4' &&
	! has out "$spin" && ! grep -q ' mp3ctl$' out && lines 2 out
ok "mp3ctl watch selects the processes of its own pid namespace, without itself"
kill "$spin"
until_true unused

# newest: print the rows of the newest table
newest() { tac table | awk '/PID/ { exit } { print }'; }
has_row() { newest | grep -q "^ *$1 "; }
has_no_row() { newest | grep -q . && ! has_row "$1"; }

reload capture_records=64
spin
sleep 1000 &
idle=$!
mp3ctl top -f -p "$spin" -p $idle >table &
tool=$!
until_true has_row $idle
kill -STOP $tool
kill $idle
wait $idle
# In this time the loop's processes have more than 64 records.
sleep 6
kill -CONT $tool
until_true grep -q ' records lost$' table && until_true has_no_row $idle && until_true has_row "$spin" &&
	kill $tool && wait $tool
ok "mp3ctl top removes a process whose last record was lost"
kill "$spin"
until_true unused

sleepers=
for _ in $(seq 60); do
	sleep 1000 &
	sleepers="$sleepers $!"
done
has_sleepers() { [ "$(newest | grep -c ' sleep$')" = 60 ]; }
mp3ctl top --name sleep >table &
tool=$!
until_true has_sleepers && kill $tool && wait $tool
ok "mp3ctl top shows processes whose first records were lost"
# shellcheck disable=SC2086	# several words
kill $sleepers
until_true unused

rmmod mp3
for command in watch top "alert major=1/s:1s -- true"; do
	# shellcheck disable=SC2086	# several words
	refuses 1 mp3ctl $command && grep -q 'is the module loaded' errors
	ok "mp3ctl ${command%% *} reports a missing module with one line and status 1"
done

finish
