# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the shell tests that run on the host: KTAP output and comparisons.
# Sourcing it prints the KTAP version line; finish prints the plan.

nr=0
failed=0
echo "KTAP version 1"

# failure: print diagnostics after a failed check; a test may redefine it
failure() { :; }

# check NAME COMMAND...: print a result, which passes if COMMAND succeeds
check() {
	local name=$1
	shift

	nr=$((nr + 1))
	if "$@"; then
		echo "ok $nr $name"
	else
		failure
		echo "not ok $nr $name"
		failed=$((failed + 1))
	fi
}

# equal GOT WANT: compare strings, and print both if they differ
equal() {
	[[ $1 = "$2" ]] || { printf '# got %q, want %q\n' "$1" "$2"; return 1; }
}

# finish: print the plan; fails if a check failed
finish() {
	echo "1..$nr"
	[[ $failed = 0 ]]
}

# sum: print the sum of the first column of standard input
sum() { awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }
