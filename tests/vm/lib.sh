# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# Shared by the scripts of tests/ and bench/: the table of kernels, the location
# of a kernel in the cache, option parsing and messages. Sourced, never run.

# "slow" multiplies the timeouts that suit Debian's 6.1. The last column lists the
# packages with the image and the headers or, for a debug kernel, the package with
# its source and the fragments in tests/vm/config that make up its configuration.
#
# name		arch	suite		slow	packages
readonly KERNELS='
6.1	amd64	bookworm	1	linux-image-cloud-amd64 linux-headers-cloud-amd64
6.12	amd64	bookworm	1	linux-image-6.12-cloud-amd64 linux-headers-6.12-cloud-amd64
5.10	amd64	bullseye	1	linux-image-cloud-amd64 linux-headers-cloud-amd64
sid	amd64	sid		1	linux-image-cloud-amd64 linux-headers-cloud-amd64
6.1-rt	amd64	bookworm	2	linux-image-rt-amd64 linux-headers-rt-amd64
6.1-arm64	arm64	bookworm	2	linux-image-cloud-arm64:arm64 linux-headers-cloud-arm64:arm64
6.1-ppc64el	ppc64el	bookworm	4	linux-image-powerpc64le:ppc64el linux-headers-powerpc64le:ppc64el
6.1-s390x	s390x	bookworm	4	linux-image-s390x:s390x linux-headers-s390x:s390x
sid-riscv64	riscv64	sid		4	linux-image-riscv64:riscv64 linux-headers-riscv64:riscv64
kasan	amd64	bookworm	4	linux-source-6.1 base debug kasan
kcsan	amd64	bookworm	4	linux-source-6.1 base debug kcsan
gcov	amd64	bookworm	1	linux-source-6.1 base gcov
'
readonly DEFAULT_KERNEL=6.1

# Outside the tree, so that neither a fresh clone nor "git clean" causes a download.
readonly CACHE=${MP3_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mp3}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly top

note() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { note "$@"; exit 1; }
usage_error() { note "$* (see --help)"; exit 2; }

# --help prints the comment at the top of the script, from line 4 on. Resolve the
# script's path now: the script may change directory later.
self=$(realpath "$0")
readonly self
help() { sed -n '4,/^[^#]/s/^# \{0,1\}//p' "$self"; exit 0; }

kernel_names() { awk 'NF { print $1 }' <<<"$KERNELS"; }

# qemu_amd64: print the QEMU to run: the one in the cache if there is one, else
# Debian 12's own. QEMU before 8.1 translates guest code without locking its page,
# so a CPU can keep executing code that another CPU has just patched. A guest that
# attaches to tracepoints then hits the int3 of a completed patch ("Oops: int3").
qemu_amd64() {
	local qemu=$CACHE/qemu/usr/bin/qemu-system-x86_64

	[[ -x $qemu ]] && echo "$qemu" || echo qemu-system-x86_64
}

# unpacked_dir PACKAGE: print where "setup --unpack" unpacks a package
unpacked_dir() { echo "$CACHE/unpacked/$1"; }

# parse_options ARGUMENT...: set $kernel from "-k KERNEL", and the array
# "arguments" to what follows the options
parse_options() {
	kernel=$DEFAULT_KERNEL
	while [[ ${1-} = -* ]]; do
		case $1 in
		--help) help ;;
		-k)
			[[ ${2-} ]] || usage_error "-k requires a kernel"
			kernel=$2
			shift
			;;
		*) usage_error "unknown option: $1" ;;
		esac
		shift
	done
	arguments=("$@")
}

# find_kernel NAME: set kernel_name to kernel_packages from its row of the table,
# and kernel_link, the symlink to it in the cache, which setup creates. The link of
# a debug kernel contains a hash of what it is built from, so that trees with
# different configurations can share a cache.
find_kernel() {
	local file

	read -r kernel_name kernel_arch kernel_suite kernel_slow kernel_packages < <(
		awk -v name="$1" '$1 == name' <<<"$KERNELS") ||
		usage_error "no kernel $1: there are $(kernel_names | xargs)"
	kernel_link=$CACHE/kernels/$kernel_name
	kernel_fragments=()
	if [[ $kernel_packages = linux-source-* ]]; then
		for file in ${kernel_packages#* }; do
			kernel_fragments+=("$top/tests/vm/config/$file.config")
		done
		kernel_link+=-$(cat "${kernel_fragments[@]}" "$top/tests/vm/build_kernel" |
			sha256sum | cut -c 1-12)
	fi
}

# set_cross ARCH: set how Linux names an architecture of Debian, the prefix of its
# cross compiler's names, and the packages with that and with QEMU
set_cross() {
	case $1 in
	arm64) cross_kernel_arch=arm64 cross_prefix=aarch64-linux-gnu- cross_qemu=arm ;;
	ppc64el) cross_kernel_arch=powerpc cross_prefix=powerpc64le-linux-gnu- cross_qemu=ppc ;;
	riscv64) cross_kernel_arch=riscv cross_prefix=riscv64-linux-gnu- cross_qemu=misc ;;
	s390x) cross_kernel_arch=s390 cross_prefix=s390x-linux-gnu- cross_qemu=misc ;;
	esac
	cross_packages=("qemu-system-$cross_qemu" "gcc-${cross_prefix%-}" "libc6-dev-$1-cross")
}

# use_kernel NAME: set the paths of a kernel in the cache, and how to build for it
use_kernel() {
	find_kernel "$1"
	[[ -e $kernel_link ]] ||
		die "kernel $1 is not in the cache: run tests/vm/setup $1"
	kernel_dir=$(readlink -f "$kernel_link")
	# ppc64el has vmlinux, which is not compressed.
	kernel_vmlinuz=$(echo "$kernel_dir"/boot/vmlinu[xz]-*)
	kernel_release=${kernel_vmlinuz##*/vmlinu?-}
	kernel_modules=$kernel_dir/lib/modules/$kernel_release
	kernel_kdir=$kernel_dir/usr/src/linux-headers-$kernel_release
	# The guest's busybox, and the compiler for guest programs, with strip for
	# modules. Programs for a foreign architecture are static: this machine lacks
	# the libraries.
	kernel_busybox=/bin/busybox
	kernel_cc=(gcc)
	kernel_strip=(strip)
	# The command that builds a module, up to the arguments of make
	kernel_make=(make --no-print-directory -C)
	# sid's compiler and kbuild need sid's libraries: run make in a mount
	# namespace with the /usr from sid's packages.
	# shellcheck disable=SC2016	# expanded by the inner shell
	if [[ $kernel_suite = sid ]]; then
		kernel_make=(unshare --mount --map-root-user sh -c
			'mount -o bind,ro "$0" /usr && exec "$@"' "$kernel_dir/usr"
			"${kernel_make[@]}" "${kernel_kdir#"$kernel_dir"}")
	else
		kernel_make+=("$kernel_kdir")
	fi
	# Debian 11's makefiles name a compiler that Debian 12 does not have.
	[[ $kernel_suite != bullseye ]] || kernel_make+=(CC=gcc)
	# Instrument the module only; the kernel itself is not profiled.
	[[ $kernel_name != gcov ]] || kernel_make+=(GCOV_PROFILE=y)
	if [[ $kernel_arch != amd64 ]]; then
		set_cross "$kernel_arch"
		kernel_busybox=$kernel_dir/bin/busybox
		kernel_cc=("${cross_prefix}gcc" -static)
		kernel_strip=("${cross_prefix}strip")
		# Otherwise, its __u64 does not match %llu.
		[[ $kernel_arch != ppc64el ]] ||
			kernel_cc+=(-D__SANE_USERSPACE_TYPES__)
		kernel_make+=(ARCH="$cross_kernel_arch" CROSS_COMPILE="$cross_prefix")
	fi
}

# unpack_modules DIR NAME...: copy modules of the kernel of use_kernel to DIR, unpacked,
# and print the paths of the copies; print nothing if the kernel lacks one of them
unpack_modules() {
	local dir=$1 name module

	mkdir -p "$dir"
	for name in "${@:2}"; do
		module=$(find -L "$kernel_modules/" -name "$name.ko*" -print -quit)
		case $module in
		*.ko) cp "$module" "$dir" ;;
		*.ko.xz) xz -dc "$module" >"$dir/$name.ko" ;;
		*) return 0 ;;
		esac
	done
	printf '%s\n' "$dir"/*.ko
}
