#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The tools below unshare(1) of util-linux, as users have reported it: in another
# pid namespace with the /proc of the first one, and in another time namespace.
#
# vm: -f /usr/bin/unshare

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

# The shell would prefer the unshare of busybox, which lacks --time.
unshare=/mp3/unshare

# failure: print the report of a failed check
failure() { sed 's/^/# /' errors; }

# column N FILE: print the sum of a column of samples
column() { awk -v n="$1" '!/^#/ { sum += $n } END { print sum + 0 }' "$2"; }

# reported NAME: print a number of a report in "errors"
reported() { sed -n "s/^$1 *//p" errors; }

# settle: wait until nothing is registered
settle() { readme-read >/dev/null; }

settle
monitor >/dev/null 2>&1
ends 0 $unshare --pid --fork userapp sort /mp3/monitor && mv errors report &&
	settle && ends 0 monitor && mv report errors &&
	[ "$(reported 'minor faults')" = "$(column 2 out)" ] &&
	[ "$(reported 'minor faults')" -gt 50 ]
ok "userapp reports the exact number of faults below unshare --pid --fork"
for mode in "" --mount-proc; do
	# shellcheck disable=SC2086	# no word
	ends 0 $unshare --pid --fork $mode mp3ctl run sh -c '(:); (:); :' &&
		grep -q '^total (3 processes)' errors &&
		grep -q '^nothing was dropped or lost' errors &&
		grep -q '^process ids are those of the initial pid namespace' errors
	ok "mp3ctl run prints its table below unshare --pid --fork${mode:+ $mode}"
done
refuses 1 $unshare --pid --fork mp3ctl attach -a && grep -q '/proc' errors
ok "mp3ctl attach -a is refused in one line without a /proc of its pid namespace"

for mode in --fork ""; do
	# shellcheck disable=SC2086	# no word
	ends 0 $unshare --time --monotonic 1000 $mode mp3ctl run sh -c '(:); (:); :' &&
		grep -q '^total (3 processes)' errors &&
		grep -q '^nothing was dropped or lost' errors
	ok "mp3ctl run prints its table below unshare --time --monotonic 1000${mode:+ $mode}"
done
# Its clock must not be negative: the guest has to have run for longer than that.
# shellcheck disable=SC2317	# called through until_true
has_run() { [ "$(cut -d . -f 1 /proc/uptime)" -ge 2 ]; }
until_true has_run
ends 0 $unshare --time --monotonic -1 --fork mp3ctl run sh -c '(:); (:); :' &&
	grep -q '^total (3 processes)' errors
ok "mp3ctl run prints its table in a time namespace with an earlier clock"

finish
