#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Usage: tests/vm/run -s 256 -f mp3ctl -f work -o DIR tests/host/data/metrics.sh
#
# Writes metrics-1.prom and, after 15 s in which a cgroup thrashes, metrics-2.prom.

cgroup=/sys/fs/cgroup
echo +memory >$cgroup/cgroup.subtree_control
mkdir $cgroup/batch $cgroup/web
echo 64M >$cgroup/batch/memory.max
echo 512M >$cgroup/web/memory.max

# in_cgroup NAME COMMAND...: run a command in a cgroup
in_cgroup() {
	echo 0 >"$cgroup/$1/cgroup.procs"
	shift
	exec "$@"
}

mp3ctl export --format prometheus -o mp3.prom -i 1 --faults=4 -a &
exporter=$!
in_cgroup batch work 128 R 20000 --iterations 1000 --pause 0 >/dev/null &
works=$!
in_cgroup web sh -c 'while :; do ls / >/dev/null; sleep 0.1; done' &
works="$works $!"
for part in 1 2; do
	sleep 15
	cp mp3.prom "/out/metrics-$part.prom"
done
# shellcheck disable=SC2086	# split into ids
kill $exporter $works
wait
