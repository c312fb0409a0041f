# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the tests of the packages: Debian roots in the cache, copies of them that
# last as long as the calling script, and what they contain. The caller is root in
# mount and pid namespaces of its own, and has sourced tests/vm/lib.sh.

readonly ROOTS=$CACHE/roots
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

# in_root ROOT COMMAND...: run a command in a root
in_root() {
	local root=$1
	shift

	mountpoint -q "$root/proc" || {
		mount --rbind /dev "$root/dev"
		mount -t proc proc "$root/proc"
		mount -t tmpfs tmpfs "$root/tmp"
		mkdir -p "$ROOTS/archives" "$root/var/cache/apt/archives"
		mount --bind "$ROOTS/archives" "$root/var/cache/apt/archives"
		cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	}
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
		LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot "$root" "$@" </dev/null
}

# leave ROOT: unmount what in_root has mounted
leave() {
	local folder

	for folder in dev proc tmp var/cache/apt/archives; do
		! mountpoint -q "$1/$folder" || umount -l "$1/$folder"
	done
}

# sources RELEASE: print the lines of sources.list for a release of Debian on the
# machine's mirrors. The machine runs Debian 12.
sources() {
	# shellcheck disable=SC2016	# expanded by apt-get
	apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' |
		grep -E ' bookworm(-updates|-security)? main$' | sort -u |
		sed "s/ bookworm/ $1/"
}

# cache_root NAME FROM [PACKAGE...]: make a root in the cache, unless it is there: a
# minimal one of the release FROM, or the packages added to the root FROM
cache_root() {
	local new=$ROOTS/.new

	[[ ! -e $ROOTS/$1 ]] || return 0
	note "making the root $1 in $ROOTS"
	rm -rf --one-file-system "$new"
	mkdir -p "$ROOTS"
	if [[ $# = 2 ]]; then
		debootstrap --variant=minbase "$2" "$new" \
			"$(sources "$2" | awk -v release="$2" '$3 == release { print $2 }')" \
			>"$ROOTS/log"
		sources "$2" >"$new/etc/apt/sources.list"
		# No package starts a daemon.
		printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"
		chmod +x "$new/usr/sbin/policy-rc.d"
		cat >"$new/etc/apt/apt.conf.d/90test" <<-'EOF'
			Binary::apt::APT::Keep-Downloaded-Packages "1";
			APT::Sandbox::User "root";
			APT::Install-Recommends "0";
		EOF
		in_root "$new" apt-get -qq update
		in_root "$new" apt-get -qq -y upgrade >>"$ROOTS/log"
	else
		cp -a "$ROOTS/$2" "$new"
		in_root "$new" apt-get -qq -y -o Dpkg::Use-Pty=0 install "${@:3}" \
			>"$ROOTS/log" 2>&1 || { tail "$ROOTS/log" >&2; return 1; }
	fi
	leave "$new"
	mv "$new" "$ROOTS/$1"
}

# copy_root NAME DIR: mount a copy of a root of the cache at DIR/root
copy_root() {
	mkdir -p "$2"/{upper,work,root}
	mount -t overlay overlay \
		-o "lowerdir=$ROOTS/$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
}

# contents ROOT: print the files of a root, with type, mode and owner, and the lines
# of the files that list users and groups
contents() {
	(
		cd "$1" || exit
		# What apt, dpkg and ldconfig keep of every package, and folders that
		# are mounted
		find . -xdev -regextype posix-extended -regex \
			'\./(dev|proc|run|tmp|var/(cache|log)|var/lib/(apt|dpkg)|etc/ld.so.cache)' \
			-prune -o ! -name '.wh*' -printf '%P %y %m %U:%G\n'
		sed 's/^/passwd /' etc/passwd
		sed 's/^/group /' etc/group
	) | sort
}

# cache_dkms: put the newest DKMS, that of sid, into the cache
cache_dkms() {
	local copy

	[[ ! -e $ROOTS/dkms.deb ]] || return 0
	note "fetching DKMS of Debian sid"
	copy=$(mktemp -d -p "$ROOTS")
	copy_root base "$copy"
	sources bookworm | awk '$3 == "bookworm" { print "deb", $2, "sid main" }' \
		>"$copy/root/etc/apt/sources.list"
	in_root "$copy/root" apt-get -qq -o Acquire::Check-Valid-Until=false update
	in_root "$copy/root" sh -c 'cd /root && apt-get -qq download dkms'
	cp "$copy"/root/root/dkms_*.deb "$ROOTS/dkms.deb"
	leave "$copy/root"
	umount "$copy/root"
	rm -rf --one-file-system "$copy"
}
