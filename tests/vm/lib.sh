# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What the scripts of this folder share: the table of kernels, where a kernel
# is kept, and how a script complains. Sourced, never run.

# name	package of the image			package of the headers
readonly KERNELS='
6.1	linux-image-cloud-amd64		linux-headers-cloud-amd64
6.12	linux-image-6.12-cloud-amd64	linux-headers-6.12-cloud-amd64
'
readonly DEFAULT_KERNEL=6.1

# Outside the tree, so that a fresh clone or a "git clean" downloads nothing.
readonly CACHE=${MP3_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mp3}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly top

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }
usage_error() { say "$* (see --help)"; exit 2; }

# The comment at the top of a script, from its fourth line on, is its --help.
help() { sed -n '4,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0; }

# kernel_packages NAME: the packages of its image and its headers
kernel_packages() {
	local name image headers

	while read -r name image headers; do
		if [[ $name && $name = "$1" ]]; then
			echo "$image $headers"
			return
		fi
	done <<<"$KERNELS"
	usage_error "no kernel $1: there are $(cut -f 1 <<<"$KERNELS" | xargs)"
}

# use_kernel NAME: sets where that kernel lies
use_kernel() {
	kernel_packages "$1" >/dev/null
	[[ -e $CACHE/kernels/$1 ]] ||
		die "kernel $1 is not here yet: run tests/vm/setup $1"
	kernel_dir=$(readlink -f "$CACHE/kernels/$1")
	kernel_vmlinuz=$(echo "$kernel_dir"/boot/vmlinuz-*)
	kernel_release=${kernel_vmlinuz##*/vmlinuz-}
	kernel_modules=$kernel_dir/lib/modules/$kernel_release
	kernel_kdir=$kernel_dir/usr/src/linux-headers-$kernel_release
}
