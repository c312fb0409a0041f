#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Usage: study-guest.sh [--poll] COMMAND...
#
# What "make study" runs in the guest: all commands at the same time. With --poll,
# a program runs next to them that reads /proc/<pid>/stat of every process once per
# second, as top(1) does. Leaves the samples, the records and the polled data in
# /out, and prints notes of the run. The rings are read after the run, so that only
# the commands use memory.

set -e

# machine WHEN: print what the kernel counts for the whole machine
machine() {
	# shellcheck disable=SC2046	# the numbers are words
	set -- "$1" $(head -n 1 /proc/stat)
	echo "$1 user_cs $3 system_cs $5 idle_cs $6 iowait_cs $7 $(
		grep -E '^(pswpin|pswpout|pgmajfault) ' /proc/vmstat | xargs)"
}

polling=
if [ "$1" = --poll ]; then
	shift
	poll >polled &
	polling=$!
fi

echo "kernel $(uname -srv)"
echo "memory_kib $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
echo "swap_kib $(sed -n 's/^SwapTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
echo "cpus $(grep -c '^processor' /proc/cpuinfo)"
machine before
pids=
for command; do
	# shellcheck disable=SC2086	# a command is words
	$command >/dev/null &
	pids="$pids $!"
done
# shellcheck disable=SC2086	# process ids are words
wait $pids
machine after
header
[ ! "$polling" ] || kill "$polling"
[ ! "$polling" ] || awk -f /mp3/polled.awk polled >/out/polled
mp3ctl watch --history >/out/records
monitor >/out/samples
# "# N records read, M lost, hz H", and the same of the samples
sed -n 's/^# \(.* lost, .*\)/\1/p' /out/records /out/samples
