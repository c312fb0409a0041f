# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts of this folder share. Sourced, never run. Sets here, the path of
# this folder.

unset CDPATH
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
self=$0
# What precedes messages: mp3ctl plot sets its own name.
name_of_self=${MP3_NAME:-${self##*/}}

die() { hide_wait; echo "$name_of_self: $*" >&2; exit 1; }
usage_error() { echo "$name_of_self: $* (see --help)" >&2; exit 2; }

# help: print the comment at the top of the script, from its fourth line on
help() { sed -n '4,/^[^#]/s/^# \{0,1\}//p' "$self"; exit 0; }

need_gnuplot() {
	command -v gnuplot >/dev/null ||
		die "gnuplot is not installed (Debian: apt install gnuplot-nox)"
}

# Otherwise the next file that is opened takes the place of standard output.
need_output() { { : 3>&1; } 2>/dev/null || die "standard output is closed"; }

# show_wait: show on a terminal how long the script has been at work, from two seconds
# on. hide_wait has to precede other output.
show_wait() {
	local columns

	[[ -t 2 && ! ${wait_pid-} ]] || return 0
	columns=$(tput cols 2>/dev/null) || columns=80
	((columns < 80)) || columns=80
	(
		sleep 2
		while :; do
			printf '\r%.*s' $((columns - 1)) "$name_of_self: at work for $SECONDS s" >&2
			sleep 1
		done
		# Its last sleep must not keep a pipe open in place of the script.
	) >/dev/null &
	wait_columns=$columns
	wait_pid=$!
}

# hide_wait: remove that line
hide_wait() {
	[[ ${wait_pid-} ]] || return 0
	kill "$wait_pid" 2>/dev/null || true
	wait "$wait_pid" 2>/dev/null || true
	wait_pid=
	((SECONDS < 2)) || printf '\r%*s\r' $((wait_columns - 1)) '' >&2
}

# make_scratch: set scratch to a new folder that is removed at exit. gnuplot and
# awk run inside it with relative names: a name inside a script of theirs cannot
# be quoted safely.
make_scratch() {
	scratch=$(mktemp -d)
	trap 'hide_wait; rm -rf -- "$scratch"' EXIT
}

# run_awk ARGUMENT...: in the scratch folder; the C locale makes a byte a character
run_awk() { (cd -- "$scratch" && LC_ALL=C exec awk "$@"); }

# run_gnuplot SCRIPT ARGUMENT...: in the scratch folder
run_gnuplot() {
	(cd -- "$scratch" && GNUPLOT_LIB=$here exec gnuplot --default-settings \
		-c "$here/$1" "${@:2}")
}

# is_recording FILE: succeed if mp3ctl has recorded it
is_recording() { [[ $(head -c 6 -- "$1" | tr -d '\0') = MP3REC ]]; }

# export_recording FILE NAME OPTION...: write the csv that mp3ctl export prints of a
# recording to NAME in the scratch folder. Ends the script if that fails.
export_recording() {
	local mp3ctl=${MP3CTL:-$here/../mp3ctl}

	[[ -x $mp3ctl ]] || mp3ctl=$(command -v mp3ctl) ||
		die "mp3ctl is not built (run make tools)"
	"$mp3ctl" export --format csv "${@:3}" -- "$1" >"$scratch/$2" \
		2>"$scratch/$2.notes" || die "$(sed -n '$ { s/^mp3ctl export: //; p; }' "$scratch/$2.notes")"
}

# read_profile FILE NAME [HZ]: check a profile, or a recording, and write it to NAME in
# the scratch folder in the form that read.awk describes; its notes go to NAME.notes.
# Ends the script if the profile is broken.
read_profile() {
	local cut file=$1

	[[ -e $1 ]] || die "$1: no such file"
	[[ -f $1 ]] || die "$1: not a file"
	[[ -r $1 ]] || die "$1: cannot be read"
	[[ -s $1 ]] || die "$1: is empty"
	if is_recording "$1"; then
		export_recording "$1" "$2.csv"
		file=$scratch/$2.csv
	fi
	cut=$((1 - $(tail -c 1 -- "$file" | wc -l)))
	run_awk -v cut="$cut" -v hz="${3-}" -f "$here/read.awk" \
		<"$file" >"$scratch/$2" 2>"$scratch/$2.notes" ||
		die "$1: $(<"$scratch/$2.notes")"
}

# read_faults FILE NAME: write the faults of a recording, or of the csv that mp3ctl
# where prints of one, to NAME in the scratch folder in the form that faults.awk
# describes. Ends the script if there are none.
read_faults() {
	local cut

	[[ -e $1 ]] || die "$1: no such file"
	[[ -f $1 ]] || die "$1: not a file"
	[[ -r $1 ]] || die "$1: cannot be read"
	[[ -s $1 ]] || die "$1: is empty"
	if is_recording "$1"; then
		export_recording "$1" "$2.csv" --faults
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
	hide_wait
	echo "$2"
}

# picture_format FILE: print png, svg or html, as its suffix requires
picture_format() {
	case $1 in
	*.png) echo png ;;
	*.svg) echo svg ;;
	*.html) echo html ;;
	*) usage_error "-o: '$1' does not end in .png, .svg or .html" ;;
	esac
}

# What the mouse does in every page
ZOOM="The wheel zooms, dragging moves, F5 undoes both."

# page SVG HINT: make an HTML page of an interactive SVG in the scratch folder. HINT is
# a sentence about what the mouse does. Removes the toggles that gnuplot gives each
# curve, because hiding a curve would not move those stacked on it, and the titles
# of curves, which are gnuplot commands and would pop up under the mouse.
page() {
	sed "s/@HINT@/$2/" "$here/page.html"
	sed '/^<?xml/d; /^<title>Gnuplot/d
		s/_keyentry" visibility="visible" onclick="[^"]*"/"/
		s/\(<g id="gnuplot_plot_[^>]*>\)<title>[^<]*<\/title>/\1/' "$scratch/$1"
}

# draw_picture SCRIPT FILE ARGUMENT...: draw a picture with gnuplot, save it, and print
# its name.
draw_picture() {
	local format
	format=$(picture_format "$2") || exit

	run_gnuplot "$1" "$format" picture "${@:3}"
	if [[ $format = html ]]; then
		mv "$scratch/picture" "$scratch/picture.svg"
		page picture.svg "$ZOOM" >"$scratch/picture"
	fi
	save picture "$2"
}

# last_line NAME: of a file in the scratch folder
last_line() { tail -n 1 -- "$scratch/$1"; }

# process_samples NAME BY MOST COLUMNS: turn the records in NAME into tables of at most
# MOST groups of processes, NAME.1.table and so on, and NAME.total.table. Writes
# "interval processes groups" to NAME.head and the labels of the groups to NAME.names.
process_samples() {
	local interval group

	run_awk -v by="$2" -v most="$3" -v out="$1" -f "$here/records.awk" \
		-f "$here/processes.awk" "$1" \
		>"$scratch/$1.all"
	head -n 1 "$scratch/$1.all" >"$scratch/$1.head"
	sed 1d "$scratch/$1.all" >"$scratch/$1.names"
	read -r interval _ <"$scratch/$1.head"
	for group in $(seq "$(wc -l <"$scratch/$1.names")") total; do
		run_awk -v columns="$4" -v hz=1000 -v interval="$interval" -v what=tick \
			-f "$here/table.awk" "$1.$group" >"$scratch/$1.$group.table"
	done
}
