# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by tests/run, which saves its result, and by tests/all, which writes the
# results to docs/releases.md. The caller has sourced tests/vm/lib.sh and changed to
# the top of the tree.
#
# build/tests/KERNEL/result has one line: the version of mp3, that of the kernel's
# package, how many tests were run, of how many, how many checks of them passed, failed
# and were skipped ("?": tests/run was aborted), and the commit that was tested.

readonly RELEASES=docs/releases.md

# tested_commit: print the commit that is checked out, and whether there are changes
# after it
tested_commit() {
	local name

	name=$(git rev-parse --short=12 HEAD 2>/dev/null) || name=unknown
	git diff --quiet HEAD -- . ":!$RELEASES" 2>/dev/null || name+=" with changes"
	echo "$name"
}

# save_result KERNEL RUN ALL PASSED FAILED SKIPPED COMMIT: save the result of a run. That
# of more tests of the same commit stays.
save_result() {
	local file=build/tests/$1/result linux run rest

	if read -r _ _ run rest 2>/dev/null <"$file" &&
			[[ $rest = *" $7" && $7 != *" with changes" ]] && ((run > $2)); then
		return
	fi
	# The name of a kernel in the cache ends with its version.
	find_kernel "$1"
	# shellcheck disable=SC2154	# set by find_kernel
	linux=$(readlink "$kernel_link") || linux=unknown
	mkdir -p "${file%/*}"
	echo "$(packaging/version) ${linux#"${kernel_link##*/}-"} ${*:2}" >"$file"
}
