#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: arch.sh
#
# Tests packaging/PKGBUILD with the tools that Debian has: builds the packages from the
# tarball of make dist with makepkg, installs them in a directory, and removes them.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../vm/lib.sh
. "$(dirname "$0")/../vm/lib.sh"
cd "$top"
# shellcheck disable=SC2046	# split into options
tests/vm/setup $(printf -- '--with %s ' fakeroot git libarchive-tools makepkg \
	pacman-package-manager xz-utils zstd)
# shellcheck source-path=SCRIPTDIR source=../host/lib.sh
. tests/host/lib.sh

# makepkg refuses to run as root, and pacman as anybody else.
if [[ $EUID != 0 ]]; then
	echo "1..0 # SKIP pacman needs root"
	exit
fi
as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
version=$(packaging/version)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root
log=$scratch/log
failure() { [[ ! -s $log ]] || tail -n 30 "$log" | sed 's/^/# /'; }

# in_root COMMAND...: run pacman's command on the root. It has no other packages.
in_root() {
	pacman --root "$root" --dbpath "$root/var/lib/pacman" --cachedir "$scratch/cache" \
		--hookdir "$scratch/hooks" --logfile "$scratch/pacman.log" \
		--config "$scratch/pacman.conf" --gpgdir "$scratch" --noconfirm -dd "$@" \
		>"$log" 2>&1
}

# files: print the files in the root, without pacman's database
files() { (cd "$root" && find . -path ./var -prune -o ! -type d -print | sort); }

builds() {
	mkdir "$scratch/build"
	tests/packages/tarball "$scratch/build" >"$log" 2>&1 &&
		cp packaging/PKGBUILD "$scratch/build" &&
		chmod 755 "$scratch" && chown -R 65534:65534 "$scratch/build" || return
	(
		cd "$scratch/build"
		HOME=$scratch/build PKGDEST='' "${as_user[@]}" makepkg --nodeps --noconfirm
	) >"$log" 2>&1 &&
		packages=("$scratch"/build/mp3-*.pkg.tar.*) &&
		equal "$(printf '%s\n' "${packages[@]##*/}" | sed 's/\.pkg.*//' | xargs)" \
			"mp3-dkms-$version-1-any mp3-tools-$version-1-x86_64"
}
check "makepkg builds the packages from the tarball of make dist" builds
[[ $failed = 0 ]] || { finish || exit; }

installs() {
	mkdir -p "$root/var/lib/pacman"
	printf '[options]\nSigLevel = Never\nLocalFileSigLevel = Never\n' >"$scratch/pacman.conf"
	in_root -U "${packages[@]}" &&
		equal "$("$root/usr/bin/mp3ctl" --version)" "mp3ctl $version" &&
		[[ -x $root/usr/lib/mp3/monitor && -e $root/usr/include/mp3_client.h &&
			-e $root/usr/lib/udev/rules.d/60-mp3.rules &&
			-e $root/usr/share/man/man1/work.1mp3.gz ]] &&
		equal "$(find "$root/usr/bin" -type f)" "$root/usr/bin/mp3ctl" &&
		grep -qx 'g mp3 -' "$root/usr/lib/sysusers.d/mp3.conf" &&
		! readelf -S "$root/usr/bin/mp3ctl" | grep '\.debug_info'
}
check "the packages can be installed, and mp3ctl runs" installs

# What the hook of dkms gets is enough to build the module.
compiles() {
	use_kernel "$DEFAULT_KERNEL"
	[[ -e $root/usr/src/mp3-$version/dkms.conf ]] &&
		cp -r "$root/usr/src/mp3-$version" "$scratch/module" &&
		make -C "$kernel_kdir" M="$scratch/module" modules >"$log" 2>&1 &&
		equal "$(modinfo -F version "$scratch/module/mp3.ko")" "$version"
}
check "the module builds from the sources that the package has for DKMS" compiles

removes() {
	in_root -R mp3-tools mp3-dkms && equal "$(files)" ""
}
check "removing the packages leaves no file" removes
finish
