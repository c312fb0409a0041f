#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The screen of mp3ctl top in a terminal, which is tmux's: what it shows, its keys,
# other sizes, colors, located faults, a recording, how it ends, and terminals that
# have no screen.
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
# row PATTERN: succeed if a line of the screen matches
row() { screen | grep -qE "$1"; }
no_top() { ! grep -qs "(mp3ctl) [^Z]" "/proc/$top/stat"; }
no_row() { ! row "$1"; }
# order PID...: succeed if these are the rows
order() { [ "$(screen | awk '$1 ~ /^[0-9]+$/ { print $1 }' | xargs)" = "$*" ]; }
# colors NUMBER: succeed if something on the screen has this color
colors() { tmux capture-pane -e -p | grep -q "$(printf '\033')\[[0-9;]*$1[;m]"; }
no_colors() { ! colors "3[0-7]"; }
# located: succeed if the row of $busy has stalled time, and faults of some kinds
located() {
	screen | awk -v pid="$busy" '$1 == pid && $7 > 0 && $8 + $9 + $10 + $11 + $12 > 0 { found = 1 }
		END { exit !found }'
}
}

# start NAME COMMAND...: start a registered process of that name, and set $pid
start() {
	name=$1
	shift
	name=$name sh -c 'printf %s "$name" >/proc/$$/comm
		echo "R $$" >/proc/mp3/status; '"$*" &
	pid=$!
	until_true listed $pid
}

# The processes that top shows: those that the status file lists
selection="-d /dev/mp3_procs"

# run_top [TERM [OPTION]...]: start top in the terminal; the shell there, which
# ignores Ctrl-C and Ctrl-\, prints how it ended, and writes that to the file "ended"
run_top() {
	type=${1:-screen}
	[ $# = 0 ] || shift
	rm -f ended
	tmux respawn-pane -k "trap : INT QUIT; export TERM=$type
		mp3ctl top $selection $*"' 2>errors; echo "ended $?" | tee ended; cat errors; exec sleep 1000'
}

# The sizes and rates of these differ by more than a slow machine changes them.
start "$(printf 'e\033[7m"il')" 'while :; do busybox true; done'
busy=$pid
mkfifo never
start idle 'read -r line <>never'
idle=$pid
start middle 'while :; do usleep 300000; done'
middle=$pid

tmux -f /dev/null new-session -d -x 80 -y 12 'exec sleep 1000'
run_top
until_true row "^ *$busy +root +[0-9.]+ +[1-9][0-9.]+ +[0-9.]+[KM] +[0-9.]+ .* e\\\\x1b\\[7m\"il\$" &&
	row "^ *PID +USER +MAJOR/s +MINOR/s +RSS +CPU% +HISTORY +COMMAND" && row "sort by: .* q quit"
ok "top shows a row for each process, whose name does no harm to the terminal"
row "^ *$idle +root +0\.0 +0\.0 +[0-9.]+[KM] +0\.0 .* idle\$"
ok "top shows an idle process with rates of 0"
row "^[0-9:]{8}  3 processes "
ok "the title of top counts the processes"
until_true order $busy $middle $idle
ok "top sorts by faults at first"
key p && until_true order $busy $idle $middle
ok "key p sorts top by process id"
key m && until_true order $busy $middle $idle
ok "key m sorts top by minor faults"
key p && until_true order $busy $idle $middle && key c && until_true order $busy $middle $idle
ok "key c sorts top by CPU time"
key p && until_true order $busy $idle $middle && key M && until_true order $busy $middle $idle
ok "key M sorts top by major faults, then by minor ones"
key n && until_true order $busy $idle $middle && key M && until_true order $busy $middle $idle
ok "key n sorts top by name"
until_true row "^ *$busy .* [▁▂▃▄▅▆▇]*█[▁▂▃▄▅▆▇]* .*il\$"
ok "top draws the faults of the last minute in a row with blocks"
colors 36
ok "top uses colors"
key '?' && until_true row "^Any key closes" && row "tree: " && no_row "^ *$busy " &&
	key x && until_true order $busy $middle $idle
ok "key ? shows the keys of top until the next key"
before=$(screen | head -n 1)
until_true no_row "^$before\$"
ok "top refreshes its screen by itself"

tmux resize-window -x 40 -y 5 && until_true order $busy $middle &&
	[ "$(screen | wc -l)" = 5 ] && screen | tail -n 1 | grep -q "sort by: M major"
ok "top shows the first rows in a small terminal"
for size in "20 5" "10 2" "3 1" "1 1"; do
	# shellcheck disable=SC2086	# split into columns and rows
	set -- $size
	tmux resize-window -x "$1" -y "$2" && sleep 0.3
done
tmux resize-window -x 20 -y 5 && until_true row "^ *MAJOR/s  COMMAND" && until_true row "  middle\$" && row "q quit\$"
ok "top shows what it sorts by, and names, in a terminal that is 20 wide, after one of 1x1"
tmux resize-window -x 100 -y 30 && until_true order $busy $middle $idle &&
	screen | tail -n 1 | grep -q "q quit"
ok "top shows all rows in a large terminal"
start new 'while :; do usleep 300000; done'
until_true row "^ *$pid .* new\$" && row "  4 processes  "
ok "top shows a new process"
kill $pid
until_true no_row "^ *$pid "
ok "top removes a process that has exited"
key q && until_true row "^ended 0\$" && no_row "PID|error" && [ ! -s errors ]
ok "key q ends top with status 0 and restores the terminal"

for signal in C-c "C-\\" TERM; do
	run_top
	until_true row "^ *$idle "
	if [ $signal = TERM ]; then
		kill "$(pidof mp3ctl)"
	else
		key $signal
	fi
	until_true row "^ended 0\$" && no_row "PID|error"
	ok "$signal ends top with status 0 and restores the terminal"
done
for type in dumb unknown-type; do
	run_top $type --for 2.5
	until_true test -s ended && grep -qx "ended 0" ended &&
		grep -qx "mp3ctl top: terminal type '$type' cannot show a screen: printing plain lines" errors &&
		[ "$(wc -l <errors)" = 1 ] && row "^ *$idle .* idle\$" && row "^[0-9:]{8}  3 processes "
	ok "top prints plain lines, and a warning, on a terminal of type $type"
done
run_top screen --sort pid --name "'[im]*'"
until_true order $idle $middle
ok "top shows the processes of --name in the order of --sort"
run_top screen -i 0.2 --count 2
until_true row "^ended 0\$"
ok "top ends after the refreshes of --count"
run_top "screen; export NO_COLOR=1 LC_ALL=C"
until_true row "^ *$busy .*# .*il\$" && no_colors && no_row "█"
ok "top uses no colors with NO_COLOR, and ASCII in a locale without UTF-8"

start parent 'sleep 1000 & echo $! >child; wait'
until_true test -s child
child=$(cat child)
selection="-f -p $pid"
run_top screen --tree --columns pid,name
until_true row "^ *$pid  parent\$" && until_true row "^ *$child    (parent|sleep|busybox)\$" &&
	key t && until_true row "^ *$child  (parent|sleep|busybox)\$"
ok "top --tree puts a process below its parent, and key t ends that"
selection="-p $busy"
tmux resize-window -x 170 -y 12
run_top screen --faults
until_true located && row "STALL%  TOUCH/s  SWAP/s  CACHE/s  DISK/s"
ok "top --faults shows stalled time and the kinds of faults"
refuses 1 su user -c "mp3ctl top --faults" && grep -q CAP_PERFMON errors && grep -q user_faults errors
ok "top --faults names CAP_PERFMON and the parameter user_faults if a user may not locate"

mp3ctl where -o top.rec -- sh -c 'for i in 1 2 3 4 5 6; do true; usleep 400000; done' 2>errors
selection=top.rec
tmux resize-window -x 80 -y 12
run_top
until_true row "^2\.0 of [0-9.]+ s  " && row "STALL%" && row "space pause"
ok "top plays a recording on the screen"
key End && until_true row "^([0-9.]+) of \1 s  " && key Home && key Space &&
	until_true row "  paused  " && key Home && until_true row "^0\.0 of .*  paused  "
ok "keys End and Home go to the end and the start of a recording, and space pauses it"
key Right && until_true row "^1\.0 of " && key Left && until_true row "^0\.0 of " &&
	key + && until_true row "  x2  paused"
ok "keys right and left go a second forward and back in a recording, and + doubles its speed"
key q && until_true row "^ended 0\$"
ok "key q ends the replay of a recording with status 0"
ends 0 mp3ctl top top.rec && [ ! -s errors ] && grep -q "^1\.0 of " out && grep -q " sh\$" out &&
	[ "$(grep -c "COMMAND\$" out)" = "$(grep -c " of .* stalled " out)" ]
ok "top prints a table for each second of a recording where there is no terminal"

selection="-p $middle -p $idle"
run_top
until_true row "  2 processes  " && until_true order $middle $idle
ok "top -p shows only these processes on the screen"
top=$(pidof mp3ctl)
tmux kill-server
until_true no_top
ok "top ends when the terminal disappears"

finish
