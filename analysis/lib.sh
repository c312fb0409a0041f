# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts of this folder share. Sourced, never run. Sets here, the path of
# this folder.

unset CDPATH
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
self=$0

die() { echo "${self##*/}: $*" >&2; exit 1; }
usage_error() { echo "${self##*/}: $* (see --help)" >&2; exit 2; }

# help: print the comment at the top of the script, from its fourth line on
help() { sed -n '4,/^[^#]/s/^# \{0,1\}//p' "$self"; exit 0; }

need_gnuplot() {
	command -v gnuplot >/dev/null ||
		die "gnuplot is not installed (Debian: apt install gnuplot-nox)"
}

# Otherwise the next file that is opened takes the place of standard output.
need_output() { { : 3>&1; } 2>/dev/null || die "standard output is closed"; }

# make_scratch: set scratch to a new folder that is removed at exit. gnuplot and
# awk run inside it with relative names: a name inside a script of theirs cannot
# be quoted safely.
make_scratch() {
	scratch=$(mktemp -d)
	trap 'rm -rf -- "$scratch"' EXIT
}

# run_awk ARGUMENT...: in the scratch folder; the C locale makes a byte a character
run_awk() { (cd -- "$scratch" && LC_ALL=C exec awk "$@"); }

# run_gnuplot SCRIPT ARGUMENT...: in the scratch folder
run_gnuplot() {
	(cd -- "$scratch" && GNUPLOT_LIB=$here exec gnuplot --default-settings \
		-c "$here/$1" "${@:2}")
}

# read_profile FILE NAME [HZ]: check a profile and write it to NAME in the scratch
# folder in the form that read.awk describes; its notes go to NAME.notes. Ends
# the script if the profile is broken.
read_profile() {
	local cut

	[[ -e $1 ]] || die "$1: no such file"
	[[ -f $1 ]] || die "$1: not a file"
	[[ -r $1 ]] || die "$1: cannot be read"
	[[ -s $1 ]] || die "$1: is empty"
	cut=$((1 - $(tail -c 1 -- "$1" | wc -l)))
	run_awk -v cut="$cut" -v hz="${3-}" -f "$here/read.awk" \
		<"$1" >"$scratch/$2" 2>"$scratch/$2.notes" ||
		die "$1: $(<"$scratch/$2.notes")"
}

# read_faults FILE NAME: write the faults of a recording, or of the csv that mp3ctl
# where prints of one, to NAME in the scratch folder in the form that faults.awk
# describes. Ends the script if there are none.
read_faults() {
	local cut mp3ctl=$here/../mp3ctl

	[[ -e $1 ]] || die "$1: no such file"
	[[ -f $1 ]] || die "$1: not a file"
	[[ -r $1 ]] || die "$1: cannot be read"
	[[ -s $1 ]] || die "$1: is empty"
	if [[ $(head -c 6 -- "$1" | tr -d '\0') = MP3REC ]]; then
		[[ -x $mp3ctl ]] || mp3ctl=$(command -v mp3ctl) ||
			die "mp3ctl is not built (run make tools)"
		"$mp3ctl" where --csv "$1" >"$scratch/$2.csv" 2>"$scratch/$2.notes" ||
			die "$(tail -n 1 "$scratch/$2.notes")"
	else
		cp -- "$1" "$scratch/$2.csv"
	fi
	cut=$((1 - $(tail -c 1 "$scratch/$2.csv" | wc -l)))
	run_awk -v cut="$cut" -f "$here/faults.awk" "$2.csv" \
		>"$scratch/$2" 2>"$scratch/$2.notes" ||
		die "$1: $(<"$scratch/$2.notes")"
}

# save NAME FILE: copy a picture from the scratch folder, and print its name
save() {
	local message

	message=$(cp -- "$scratch/$1" "$2" 2>&1) || die "$message"
	echo "$2"
}

# picture_format FILE: print png or svg, as its suffix requires
picture_format() {
	case $1 in
	*.png) echo png ;;
	*.svg) echo svg ;;
	*) usage_error "-o: '$1' does not end in .png or .svg" ;;
	esac
}

# last_line NAME: of a file in the scratch folder
last_line() { tail -n 1 -- "$scratch/$1"; }

# process_samples NAME BY MOST COLUMNS: turn the records in NAME into tables of at most
# MOST groups of processes, NAME.1.table and so on, and NAME.total.table. Writes
# "interval processes groups" to NAME.head and the labels of the groups to NAME.names.
process_samples() {
	local interval group

	run_awk -v by="$2" -v most="$3" -v out="$1" -f "$here/processes.awk" "$1" \
		>"$scratch/$1.all"
	head -n 1 "$scratch/$1.all" >"$scratch/$1.head"
	sed 1d "$scratch/$1.all" >"$scratch/$1.names"
	read -r interval _ <"$scratch/$1.head"
	for group in $(seq "$(wc -l <"$scratch/$1.names")") total; do
		run_awk -v columns="$4" -v hz=1000 -v interval="$interval" -v what=tick \
			-f "$here/table.awk" "$1.$group" >"$scratch/$1.$group.table"
	done
}
