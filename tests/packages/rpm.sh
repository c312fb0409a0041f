#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: rpm.sh
#
# Tests packaging/mp3.spec with the tools that Debian has: builds the packages from the
# tarball of make dist, installs them in a directory, upgrades and removes them. What
# their scripts call, as dkms, is replaced by a script that writes its arguments down.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../vm/lib.sh
. "$(dirname "$0")/../vm/lib.sh"
cd "$top"
tests/vm/setup --with git --with rpm --with rpmlint --with xz-utils
# shellcheck source-path=SCRIPTDIR source=../host/lib.sh
. tests/host/lib.sh

if [[ $EUID != 0 ]]; then
	echo "1..0 # SKIP rpm --root needs root"
	exit
fi
version=$(packaging/version)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root
log=$scratch/log
failure() { [[ ! -s $log ]] || tail -n 30 "$log" | sed 's/^/# /'; }

# build RELEASE DIR: build the packages in DIR
build() {
	sed "s/^Release: .*/Release: $1/" "$scratch/mp3-$version/packaging/mp3.spec" \
		>"$scratch/mp3.spec"
	rpmbuild -bb --nodeps --define "_topdir $2" --define "_sourcedir $scratch" \
		"$scratch/mp3.spec" >"$log" 2>&1
}

# in_root COMMAND...: run rpm's command on the root. Debian's rpm has no packages of
# its own, so it knows no dependencies.
in_root() { rpm --root "$root" --force-debian --nodeps "$@" >"$log" 2>&1; }

# The programs that scripts call, below a shell
make_root() {
	local name

	mkdir -p "$root"/{bin,dev,usr/sbin}
	touch "$root/dev/null"
	cp /bin/busybox "$root/bin/sh"
	for name in dkms getent groupadd systemctl udevadm; do
		printf '#!/bin/sh\necho %s "$@" >>/calls\n[ %s != getent ]\n' $name $name \
			>"$root/usr/sbin/$name"
		chmod +x "$root/usr/sbin/$name"
	done
	ln -s usr/sbin "$root/sbin"
	rpm --root "$root" --initdb >"$log" 2>&1
}

# files: print the files in the root, without rpm's database
files() { (cd "$root" && find . -path ./var -prune -o ! -type d ! -path ./calls -print | sort); }

builds() {
	tests/packages/tarball "$scratch" >"$scratch/tarball" 2>"$log" &&
		rpmbuild -ta --nodeps --define "_topdir $scratch/one" \
			"$(<"$scratch/tarball")" >"$log" 2>&1 &&
		tar -xf "$(<"$scratch/tarball")" -C "$scratch" &&
		packages=("$scratch"/one/RPMS/*/*.rpm) &&
		equal "$(rpm -qp --qf '%{name}-%{version} ' "${packages[@]}" 2>/dev/null)" \
			"mp3-devel-$version mp3-dkms-$version mp3-exporter-$version mp3-tools-$version "
}
check "rpmbuild builds the packages from the tarball of make dist" builds
[[ $failed = 0 ]] || { finish || exit; }

lints() {
	rpmlint -c tests/packages/rpmlint.toml "${packages[@]}" packaging/mp3.spec >"$log" 2>&1 &&
		grep -q ' 0 errors, 0 warnings' "$log"
}
check "rpmlint has nothing to report about the packages and the spec" lints

installs() {
	make_root && files >"$scratch/before" && in_root -i "${packages[@]}" &&
		equal "$("$root/usr/bin/mp3ctl" --version)" "mp3ctl $version" &&
		[[ -x $root/usr/lib/mp3/monitor && -e $root/usr/include/mp3_client.h &&
			-e $root/usr/lib/udev/rules.d/60-mp3.rules &&
			-e $root/usr/share/man/man1/work.1mp3 ]] &&
		equal "$(find "$root/usr/bin" -type f)" "$root/usr/bin/mp3ctl"
}
check "the packages can be installed, and mp3ctl runs" installs

scripts() {
	# The group exists before udev reads the rule that names it. rpm orders packages.
	grep -v -e ^dkms -e ^systemctl "$root/calls" >"$log"
	grep ^dkms "$root/calls" >>"$log"
	diff "$log" - <<-END
		getent group mp3
		groupadd --system mp3
		udevadm control --reload
		dkms add -m mp3 -v $version -q --rpm_safe_upgrade
		dkms build -m mp3 -v $version -q
		dkms install -m mp3 -v $version -q --force
	END
}
check "installing the packages creates the group and has DKMS build the module" scripts

units="mp3-exporter.service mp3-textfile.service"
unit_calls() { grep ^systemctl "$root/calls" | diff - <(printf 'systemctl %s\n' "$@") >"$log"; }
check "installing the exporter enables what the presets of the system do" \
	unit_calls "--no-reload preset $units mp3-exporter.socket"

# What DKMS gets is enough to build the module.
compiles() {
	use_kernel "$DEFAULT_KERNEL"
	cp -r "$root/usr/src/mp3-$version" "$scratch/module" &&
		make -C "$kernel_kdir" M="$scratch/module" modules >"$log" 2>&1 &&
		equal "$(modinfo -F version "$scratch/module/mp3.ko")" "$version"
}
check "the module builds from the sources that the package has for DKMS" compiles

upgrades() {
	rm "$root/calls"
	build 2 "$scratch/two" && in_root -U "$scratch"/two/RPMS/*/*.rpm &&
		equal "$("$root/usr/bin/mp3ctl" --version)" "mp3ctl $version" &&
		equal "$(grep -c rpm_safe_upgrade "$root/calls")" 2
}
check "an upgrade of the packages is one that DKMS recognizes as such" upgrades

check "an upgrade restarts the exporter if it runs, and stops nothing else" \
	unit_calls daemon-reload "try-restart $units"

removes() {
	rm "$root/calls"
	in_root -e mp3-tools mp3-devel mp3-dkms mp3-exporter &&
		equal "$(grep ^dkms "$root/calls")" \
			"dkms remove -m mp3 -v $version -q --all --rpm_safe_upgrade" &&
		files | diff - "$scratch/before" >"$log" &&
		! find "$root/usr" -name '*mp3*' | grep .
}
check "removing the packages leaves no file, and has DKMS remove the module" removes
check "removing the exporter stops and disables its units" unit_calls \
	"--no-reload disable --now $units mp3-exporter.socket" daemon-reload
finish
