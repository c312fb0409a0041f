# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts of the benchmarks share: their options, and functions that run a
# program in a guest and keep its data. Sourced, never run.

# shellcheck source-path=SCRIPTDIR source=../tests/vm/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tests/vm/lib.sh"
cd "$top" || exit

full=
options=()
for argument; do
	[[ $argument = --full ]] && full=1 || options+=("$argument")
done
parse_options "${options[@]}"
[[ ! ${arguments[*]} ]] || usage_error "unexpected argument '${arguments[0]}'"

# choose SHORT FULL: print the one that this run uses
choose() { [[ $full ]] && echo "$2" || echo "$1"; }

# prepare [PACKAGE]...: install packages on the host and build the module
prepare() {
	local package with=(--with gnuplot-nox)

	for package; do
		with+=(--with "$package")
	done
	tests/vm/setup "${with[@]}" "$kernel"
	tests/vm/build -k "$kernel" -- -s
	mkdir -p build/bench bench/results
}

# compile NAME...: compile bench/NAME.c to build/bench/NAME
compile() {
	local name

	for name; do
		gcc -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -pthread \
			-o "build/bench/$name" "bench/$name.c"
	done
}

# guest DATA OPTION... -- PROGRAM ARGUMENT...: run a program in a guest and, if it
# succeeds, keep its output as DATA
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
