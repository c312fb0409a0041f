#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# mp3ctl doctor in the guest, with the module: root, an ordinary user, captures that
# are used up, nodes that are closed, and an unloaded module. What it finds on other
# machines is in tests/host.

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

chmod 755 /mp3
chmod 777 .

# as_user COMMAND: run a shell command as an ordinary user
as_user() { su user -c "$1"; }

failure() { for file in out errors; do sed "s/^/# $file: /" $file; done; }

# prints LINE: succeed if this is a line of the output
prints() { grep -qxF "$1" out; }

# closed: wait until no capture is open; each has a reference to the module
closed() { until_true grep -qx 0 /sys/module/mp3/refcnt; }

ends 0 mp3ctl doctor && [ ! -s errors ] && ! grep '^problem' out &&
	prints "ok       captures: you can profile all processes" &&
	prints "ok       captures: 0 of 63 were open" &&
	prints "ok       locating: you can use where" &&
	prints "User root can use mp3 on this machine."
ok "mp3ctl doctor finds that root can use mp3"

ends 0 as_user "mp3ctl doctor" &&
	prints "ok       captures: you can profile your own processes" &&
	prints "note     locating: without CAP_PERFMON, you cannot use where" &&
	grep -q "^note     records: you may not open /dev/mp3_procs (mode 0600, group root)" out &&
	prints "User user can use mp3 on this machine."
ok "mp3ctl doctor finds that an ordinary user can use captures, and cannot use where"

# Once locating is allowed, the command in the output has worked.
sh -c "$(sed -n 's/^ *try: \(echo Y | \)sudo \(tee .*user_faults\)$/\1\2/p' out)" >/dev/null &&
	ends 0 as_user "mp3ctl doctor" && prints "ok       locating: you can use where"
ok "the command that mp3ctl doctor prints lets a user locate faults"

closed
as_user 'exec 3<>/dev/mp3_capture 4<>/dev/mp3_capture 5<>/dev/mp3_capture \
	6<>/dev/mp3_capture 7<>/dev/mp3_capture 8<>/dev/mp3_capture \
	9<>/dev/mp3_capture; (exec <>/dev/mp3_capture; touch opened; exec sleep 1000)' &
until_true test -e opened
ends 1 as_user "mp3ctl doctor" && grep -q '^problem  captures: you have as many ' out &&
	ends 0 mp3ctl doctor && prints "ok       captures: at most 8 of 63 were open"
ok "mp3ctl doctor finds that a user has as many captures as allowed"
kill "$(pidof sleep)"
closed

mv /dev/mp3_capture /dev/moved
ends 1 mp3ctl doctor && sh -c "$(tail -n 1 out)" &&
	ends 0 as_user "mp3ctl doctor"
ok "the command that mp3ctl doctor prints creates a missing device node"
mv /dev/moved /dev/mp3_capture

reload user_mode=0600
ends 0 mp3ctl doctor && ends 1 as_user "mp3ctl doctor" &&
	prints "problem  captures: you may not open /dev/mp3_capture (mode 0600, group root)"
ok "mp3ctl doctor finds that the module's user_mode is for root only"

mkdir old
mknod old/mp3 c 423 0
mknod old/mp3_capture c 423 2
rmmod mp3
insmod /mp3/taken.ko
insmod /mp3/mp3.ko
number=$(cat /sys/module/mp3/parameters/major)
ends 0 mp3ctl doctor && prints "note     major number: $number, and taken has 423: a client with a node of its own needs one for $number" &&
	ends 0 monitor -k && ends 0 mp3ctl run true
ok "mp3ctl doctor names the driver that has 423, and the clients of the nodes in /dev work"

rm /dev/mp3 /dev/mp3_capture
mv old/mp3 old/mp3_capture /dev
ends 1 mp3ctl doctor && prints "problem  captures: the device node /dev/mp3_capture is missing or outdated" &&
	prints "note     samples: the device node /dev/mp3 is outdated; monitor and watch --samples need them" &&
	sh -c "$(tail -n 1 out)" && sh -c "$(sed -n 's|^ *try: \(rm -f /dev/mp3 .*\)|\1|p' out)" &&
	ends 0 mp3ctl doctor && ! grep outdated out && ends 0 monitor -k
ok "the commands that mp3ctl doctor prints replace nodes with the number of another driver"
rmmod mp3
rmmod taken
# The kernel keeps nodes that it has not made.
rm /dev/mp3 /dev/mp3_capture

ends 1 mp3ctl doctor && grep -q '^problem  module: not loaded$' out
ok "mp3ctl doctor finds that the module is not loaded"
insmod /mp3/mp3.ko
finish
