#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The screen of monitor --top, in a terminal: what it shows, its keys, another
# size, and how it leaves. The terminal is tmux's.
#
# vm: -f /usr/bin/tmux -f /lib/terminfo:/lib/terminfo -f /usr/lib/locale/C.utf8:/usr/lib/locale/C.utf8

export LC_ALL=C.UTF-8
# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

failure() { screen | sed 's/^/# |/'; }
screen() { tmux capture-pane -p 2>/dev/null; }
key() { tmux send-keys "$1"; }

# shellcheck disable=SC2317	# these are called through until_true
{
# row PATTERN: a row of it is there
row() { screen | grep -qE "$1"; }
no_monitor() { ! grep -qs "(monitor) [^Z]" "/proc/$monitor/stat"; }
no_row() { ! row "$1"; }
# order PID...: the first column of all rows
order() { [ "$(screen | awk '$1 ~ /^[0-9]+$/ { print $1 }' | xargs)" = "$*" ]; }
}

# start NAME COMMAND...: a registered process of that name, its pid in $pid
start() {
	name=$1
	shift
	name=$name sh -c 'printf %s "$name" >/proc/$$/comm
		echo "R $$" >/proc/mp3/status; '"$*" &
	pid=$!
	until_true listed $pid
}

# run_top: in the terminal, whose shell, not hurt by Ctrl-C and Ctrl-\, says how it ended
run_top() {
	tmux respawn-pane -k \
		'trap : INT QUIT; monitor --top 2>errors; echo "ended $?"; cat errors; exec sleep 1000'
}

# Sizes and rates of these differ by more than any machine is slow.
start "$(printf 'e\033[7m"il')" 'while :; do busybox true; done'
busy=$pid
mkfifo never
start idle 'read -r line <>never'
idle=$pid
start middle 'while :; do usleep 300000; done'
middle=$pid

tmux -f /dev/null new-session -d -x 80 -y 12 'exec sleep 1000'
run_top
until_true row "^ *$busy +[0-9.]+ +[1-9][0-9.]+ +[0-9.]+[KM] +[0-9.]+ +e\\\\x1b\\[7m\"il\$" &&
	row "^ *PID +MAJOR/s +MINOR/s +RSS +CPU% +COMMAND" && row "sort by: .* q quit"
ok "a row a process, with its rates; its name does nothing to the terminal"
row "^ *$idle +0\.0 +0\.0 +[0-9.]+[KM] +0\.0 +idle\$"
ok "one that is idle is shown"
row "^[0-9:]{8}  3 processes "
ok "the title has their number"
until_true order $busy $middle $idle
ok "by faults at first"
key p && until_true order $busy $idle $middle
ok "p: by process id"
key m && until_true order $busy $middle $idle
ok "m: by minor faults"
key p && until_true order $busy $idle $middle && key c && until_true order $busy $middle $idle
ok "c: by CPU time"
key p && until_true order $busy $idle $middle && key M && until_true order $busy $middle $idle
ok "M: by major faults, then minor ones"
before=$(screen | head -n 1)
until_true no_row "^$before\$"
ok "it is refreshed by itself"

tmux resize-window -x 40 -y 5 && until_true order $busy $middle &&
	[ "$(screen | wc -l)" = 5 ] && screen | tail -n 1 | grep -q "sort by: M major"
ok "a small terminal has the first rows"
tmux resize-window -x 100 -y 30 && until_true order $busy $middle $idle &&
	screen | tail -n 1 | grep -q "q quit"
ok "a large one has them all"
start new 'while :; do usleep 300000; done'
until_true row "^ *$pid .* new\$" && row "  4 processes  "
ok "a new process comes"
kill $pid
until_true no_row "^ *$pid "
ok "one that ended leaves"
key q && until_true row "^ended 0\$" && no_row "PID|error" && [ ! -s errors ]
ok "q: ends well, and gives the terminal back"

for signal in C-c "C-\\" TERM; do
	run_top
	until_true row "^ *$idle "
	if [ $signal = TERM ]; then
		kill "$(pidof monitor)"
	else
		key $signal
	fi
	until_true row "^ended 0\$" && no_row "PID|error"
	ok "$signal: ends well, and gives the terminal back"
done
run_top
until_true row "^ *$idle "
monitor=$(pidof monitor)
tmux kill-server
until_true no_monitor
ok "ends when the terminal goes away"

finish
