# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the tests of scripts share: their results, as KTAP.

nr=0
failed=0

# check NAME COMMAND...: it passes when COMMAND succeeds
check() {
	local name=$1
	shift

	nr=$((nr + 1))
	if "$@"; then
		echo "ok $nr $name"
	else
		echo "not ok $nr $name"
		failed=$((failed + 1))
	fi
}

# equal GOT WANT
equal() {
	[[ $1 = "$2" ]] || { printf '# got %q, want %q\n' "$1" "$2"; return 1; }
}

# finish: the plan; false if something failed
finish() {
	echo "1..$nr"
	[[ $failed = 0 ]]
}

sum() { awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }
