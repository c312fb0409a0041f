#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Usage: lookup-guest.sh MIB ROWS
#
# What "make study" runs in the guest for study "lookup": looks ROWS rows up in a table
# of MIB MiB, with each kind of advice, each time with a cold page cache. The table is
# on a disk of null_blk, which takes a millisecond for each request. Leaves the
# recordings in /out, and prints notes of the run. Finally records store, for a flame
# graph, with a table of a quarter of the size.

set -e

cold() {
	umount /table
	echo 3 >/proc/sys/vm/drop_caches
	mount -t ext4 /dev/nullb0 /table
}

echo "kernel $(uname -srv)"
echo "memory_kib $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
echo "cpus $(grep -c '^processor' /proc/cpuinfo)"
[ ! -e /mp3/configfs.ko ] || insmod /mp3/configfs.ko
# irqmode=2: complete requests by a timer
insmod /mp3/null_blk.ko nr_devices=1 gb=1 memory_backed=1 irqmode=2 completion_nsec=1000000
for name in read_ahead_kb max_sectors_kb; do
	echo "$name $(cat /sys/block/nullb0/queue/$name)"
done
mke2fs /dev/nullb0 >/dev/null 2>&1
mkdir /table
mount -t ext4 /dev/nullb0 /table
dd if=/dev/urandom of=/table/rows bs=1M count="$1" 2>/dev/null
for advice in none once pieces; do
	cold
	# Read the programs, so that only the table is cold.
	lookup /table/rows 0 none >/dev/null
	echo "$advice $(mp3ctl where -o /out/$advice.rec \
		lookup /table/rows "$2" $advice 2>/dev/null)"
done
dd if=/table/rows of=/table/items bs=256k count="$1" 2>/dev/null
cold
mp3ctl where --stacks -o /out/store.rec store /table/items /table/snapshot >/dev/null 2>&1
umount /table
rmmod null_blk
