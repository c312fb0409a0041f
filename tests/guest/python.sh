#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The Python module and the examples in the guest: what they read of captures and rings
# is what the kernel has counted. Rings in files and recordings are in tests/host.
#
# vm: -t 1200

# shellcheck source-path=SCRIPTDIR source=results
. /mp3/results

chmod 755 /mp3
chmod 777 .
# Let each fault map one page only.
huge=/sys/kernel/mm/transparent_hugepage/enabled
[ ! -e $huge ] || echo never >$huge
failure() { sed 's/^/# /' out errors; }

# shellcheck disable=SC2317	# functions are called through ends

# as_user COMMAND: run a shell command as an ordinary user
as_user() { su user -c "$1"; }

# checks NAME: run a check of python_capture.py as root
checks() { ends 0 python3 -B /mp3/python_capture.py "$1" && [ ! -s errors ]; }

# user_checks NAME: the same as an ordinary user
user_checks() {
	ends 0 as_user "python3 -B /mp3/python_capture.py $1" && [ ! -s errors ]
}

user_checks counts
ok "a capture in Python counts the faults of an ordinary user's process"
user_checks follows
ok "a capture in Python follows children, and has an identity record of each"
checks waits
ok "wait() in Python returns when records are published"
checks locates
ok "a capture in Python locates each fault, with its address, access and file"
checks errors
ok "a command that fails raises OSError in Python with the likely cause"
user_checks denied
ok "what an ordinary user may not do raises PermissionError in Python"
checks classic
ok "the records in Python add up to the samples"

ends 0 as_user "python3 -B /mp3/example.py" && [ ! -s errors ] &&
	grep -q '^<svg ' faults.svg && grep -q '>4 processes, ' faults.svg
ok "the Python example draws four processes of an ordinary user"

# Each page of 16 MiB once, then none of them again, then those of the copy.
pages=$(pages 16777216)
ends 0 as_user measure && awk -v pages="$pages" '
	/^allocate/ { first = $(NF - 3) }
	/^fill/ { again = $(NF - 3) }
	/^copy/ { copied = $(NF - 3) }
	END { exit !(first + 0 >= pages && again + 0 < pages / 10 && copied + 0 >= pages) }' out
ok "the C++ example measures the faults of three functions"
finish
