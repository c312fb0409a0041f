#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# monitor in the guest: following, consuming, and output that ends early. What it
# prints of a ring in a file is tested in tests/host/monitor_test.c.
#
# vm: -t 900

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

# data FILE: print the samples of monitor's output, without its last line
data() { grep -v '^#' "$1"; }

# summary NR FILE: check the last line: that many samples, and none lost
summary() { tail -n 1 "$2" | grep -qxE "# $1 samples read, 0 lost, hz [1-9][0-9]*"; }

refuses 2 monitor --processes && refuses 2 monitor --until-idle && refuses 2 monitor x &&
	refuses 2 monitor -d /dev/mp3 -d /dev/mp3
ok "monitor refuses bad arguments with one line and status 2"
refuses 1 monitor -d /dev/mp3_procs && refuses 1 monitor -d /no/such && refuses 1 monitor -d /dev/null
ok "monitor refuses what is no ring of samples with one line and status 1"
status=0
monitor >&- 2>errors || status=$?
[ $status = 1 ] && [ "$(wc -l <errors)" = 1 ] && grep -q 'standard output' errors
ok "monitor reports a closed standard output with one line and status 1"

load
begin one monitor --follow
until_true lines 3 one && end INT && summary "$(data one | wc -l)" one && [ ! -s one.errors ] &&
	! data one | grep -qvE '^[0-9]+ [0-9]+ [0-9]+ [0-9]+$'
ok "monitor --follow prints samples as they come, and ends on Ctrl-C with its last line"
begin one monitor -f
until_true lines 3 one && end TERM && summary "$(data one | wc -l)" one
ok "monitor --follow ends on SIGTERM with its last line"
mkfifo pipe
monitor --follow >pipe 2>errors &
pid=$!
head -n 3 <pipe >out
wait $pid && lines 3 out && [ ! -s errors ]
ok "monitor --follow ends with status 0 when the reader of its output ends"
kill $load
until_true idle

reload interval_ms=10000
mkfifo closing
monitor --follow >closing 2>errors &
pid=$!
exec 3<closing
publish 1
read -r line <&3
exec 3<&-
[ "$line" ] && wait $pid
ok "monitor --follow ends when its output closes while nothing is sampled"
monitor >/dev/null

publish 20
publish_as two
monitor --keep >first && monitor --keep >second && cmp first second && summary 21 first &&
	monitor >third && cmp first third && monitor >fourth && [ "$(wc -l <fourth)" = 1 ] &&
	summary 0 fourth
ok "monitor --keep leaves the samples for a monitor that consumes them"

publish 30
begin one monitor --follow
publish 200
until_true lines 230 one && end INT && monitor >all && cmp one all && summary 230 all
ok "monitor --follow prints what the ring held and each new sample, and consumes nothing"

# A page of 4 KiB holds about 250 samples, one of 64 KiB about 4,000.
publish $((600 * 16 / $(pages 65536)))
monitor --keep >all
mkdir small
mount -t tmpfs -o size=4k none small	# one page, whatever its size
status=0
monitor >small/data 2>errors || status=$?
monitor >rest
[ $status = 1 ] && [ "$(wc -l <errors)" = 1 ] && grep -q 'No space left' errors &&
	[ "$(wc -l <small/data)" -ge 100 ] &&
	{ head -n "$(wc -l <small/data)" small/data; data rest; } >both && data all | cmp - both
ok "after a full disk, monitor prints the samples that were not written, and no other"
umount small

# More than a pipe holds, and nobody reads it.
publish 5000
# shellcheck disable=SC2094	# opening it twice opens it
monitor --follow <>pipe >pipe 2>errors &
pid=$!
until_true grep -q "(monitor) S" /proc/$pid/stat
kill -INT $pid
wait $pid && [ ! -s errors ]
ok "monitor --follow ends on Ctrl-C while nobody reads its output"

finish
