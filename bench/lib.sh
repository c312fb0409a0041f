# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the benchmarks' scripts share: their options, and how a program is run in
# a guest and its data kept. Sourced, never run.

# shellcheck source-path=SCRIPTDIR source=../tests/vm/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tests/vm/lib.sh"
cd "$top" || exit

full=
options=()
for argument; do
	[[ $argument = --full ]] && full=1 || options+=("$argument")
done
parse_options "${options[@]}"
[[ ! ${arguments[*]} ]] || usage_error "not expected: ${arguments[0]}"

# choose SHORT FULL: what the short and the full run take
choose() { [[ $full ]] && echo "$2" || echo "$1"; }

# prepare [PACKAGE]...: what is wanted of the host, and the module
prepare() {
	local package with=(--with gnuplot-nox)

	for package; do
		with+=(--with "$package")
	done
	tests/vm/setup "${with[@]}" "$kernel"
	tests/vm/build -k "$kernel" -- -s
	mkdir -p build/bench bench/results
}

# compile NAME...: bench/NAME.c to build/bench/NAME
compile() {
	local name

	for name; do
		gcc -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -pthread \
			-o "build/bench/$name" "bench/$name.c"
	done
}

# guest DATA OPTION... -- PROGRAM ARGUMENT...: runs it in a guest, and keeps what
# it prints as DATA when it has succeeded
guest() {
	local name=$1 options=()
	shift

	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	echo "# $name"
	tests/vm/run -k "$kernel" -t 3600 "${options[@]}" "build/bench/$2" "${@:3}" |
		tee "build/bench/$name.data"
	mv "build/bench/$name.data" "bench/results/$name.data"
}
