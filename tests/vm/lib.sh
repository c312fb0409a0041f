# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What the scripts of this folder share: the table of kernels, where a kernel
# is kept, and how a script complains. Sourced, never run.

# Slow is how many times longer than Debian's 6.1 a kernel may take. Last come
# the packages of image and headers; or, of a debug kernel, that of its source
# and the fragments of tests/vm/config that make its configuration.
#
# name	arch	suite		slow	made of
readonly KERNELS='
6.1	amd64	bookworm	1	linux-image-cloud-amd64 linux-headers-cloud-amd64
6.12	amd64	bookworm	1	linux-image-6.12-cloud-amd64 linux-headers-6.12-cloud-amd64
5.10	amd64	bullseye	1	linux-image-cloud-amd64 linux-headers-cloud-amd64
sid	amd64	sid		1	linux-image-cloud-amd64 linux-headers-cloud-amd64
6.1-rt	amd64	bookworm	2	linux-image-rt-amd64 linux-headers-rt-amd64
6.1-arm64	arm64	bookworm	2	linux-image-cloud-arm64:arm64 linux-headers-cloud-arm64:arm64
kasan	amd64	bookworm	4	linux-source-6.1 base debug kasan
kcsan	amd64	bookworm	4	linux-source-6.1 base debug kcsan
gcov	amd64	bookworm	1	linux-source-6.1 base gcov
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
# Where the script is has to be known before it goes elsewhere.
self=$(realpath "$0")
readonly self
help() { sed -n '4,/^[^#]/s/^# \{0,1\}//p' "$self"; exit 0; }

kernel_names() { awk 'NF { print $1 }' <<<"$KERNELS"; }

# qemu_amd64: which QEMU to run: the one in the cache, or else Debian 12's own.
# That is older than 8.1, and translates a guest's code without a lock on the
# page: what another processor patches just then it may go on to run as it was.
# One that traces forks then meets the int3 of a patch that is over: "Oops: int3".
qemu_amd64() {
	local qemu=$CACHE/qemu/usr/bin/qemu-system-x86_64

	[[ -x $qemu ]] && echo "$qemu" || echo qemu-system-x86_64
}

# parse_options ARGUMENT...: sets kernel by "-k KERNEL", and arguments to what
# comes behind the options
parse_options() {
	kernel=$DEFAULT_KERNEL
	while [[ ${1-} = -* ]]; do
		case $1 in
		--help) help ;;
		-k)
			[[ ${2-} ]] || usage_error "-k needs a kernel"
			kernel=$2
			shift
			;;
		*) usage_error "no such option: $1" ;;
		esac
		shift
	done
	arguments=("$@")
}

# find_kernel NAME: sets what the table says of it, and kernel_link, which leads
# to it once it is here. A debug kernel is another one when what it is built by
# has changed: two trees that differ there can share a cache.
find_kernel() {
	local file

	read -r kernel_name kernel_arch kernel_suite kernel_slow kernel_sources < <(
		awk -v name="$1" '$1 == name' <<<"$KERNELS") ||
		usage_error "no kernel $1: there are $(kernel_names | xargs)"
	kernel_link=$CACHE/kernels/$kernel_name
	kernel_fragments=()
	if [[ $kernel_sources = linux-source-* ]]; then
		for file in ${kernel_sources#* }; do
			kernel_fragments+=("$top/tests/vm/config/$file.config")
		done
		kernel_link+=-$(cat "${kernel_fragments[@]}" "$top/tests/vm/build_kernel" |
			sha256sum | cut -c 1-12)
	fi
}

# use_kernel NAME: sets where that kernel lies
use_kernel() {
	find_kernel "$1"
	[[ -e $kernel_link ]] ||
		die "kernel $1 is not here yet: run tests/vm/setup $1"
	kernel_dir=$(readlink -f "$kernel_link")
	kernel_vmlinuz=$(echo "$kernel_dir"/boot/vmlinuz-*)
	kernel_release=${kernel_vmlinuz##*/vmlinuz-}
	kernel_modules=$kernel_dir/lib/modules/$kernel_release
	kernel_kdir=$kernel_dir/usr/src/linux-headers-$kernel_release
	# Its guest's busybox, and the compiler of programs for it: what a foreign
	# processor runs is linked statically, its libraries are not here.
	kernel_busybox=/bin/busybox
	kernel_cc=(gcc)
	# How to build a module for it, before the words for make
	kernel_make=(make --no-print-directory -C "$kernel_kdir")
	# It is there to count which lines of the module are run.
	[[ $kernel_name != gcov ]] || kernel_make+=(GCOV_PROFILE=y)
	case $kernel_arch,$kernel_suite in
	arm64,*)
		kernel_busybox=$kernel_dir/bin/busybox
		kernel_cc=(aarch64-linux-gnu-gcc -static)
		kernel_make+=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-)
		;;
	# Its makefiles want a compiler that this machine does not have.
	*,bullseye) kernel_make+=(CC=gcc) ;;
	# A later Debian's compiler and kbuild want that Debian's libraries: make
	# runs where the kernel's own /usr is in place of this machine's.
	*,sid)
		# shellcheck disable=SC2016	# for the shell in there
		kernel_make=(unshare --mount --map-root-user sh -c
			'mount -o bind,ro "$0" /usr && exec "$@"' "$kernel_dir/usr"
			make --no-print-directory -C "/usr/${kernel_kdir#*/usr/}")
		;;
	esac
}
