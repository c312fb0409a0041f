# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Completion of mp3ctl for bash. "make install" puts it where bash-completion finds
# it; without that, source this file.
#
# The sub-commands, their options and the words that these take come from the output
# of mp3ctl itself, so that they are always those of the installed version.

# _mp3ctl_options HELP: print a line "OPTION ARGUMENT" for each option in a help text;
# ARGUMENT, such as FILE, is missing if there is none
_mp3ctl_options() {
	awk '/^ +-/ {
		sub(/^ +/, "")
		sub(/  .*/, "")
		argument = ""
		if (match($0, /[ =][A-Z][A-Z]*$/))
			argument = substr($0, RSTART + 1)
		gsub(/[],|=[]/, " ")
		for (i = 1; i <= NF; i++)
			if ($i ~ /^--?[a-zA-Z]/)
				print $i, argument
	}' <<<"$1"
}

# _mp3ctl_argument HELP OPTION: set $argument to what an option takes, or to nothing
_mp3ctl_argument() {
	local option

	while read -r option argument; do
		[[ $option != "$2" ]] || return 0
	done < <(_mp3ctl_options "$1")
	argument=
}

# _mp3ctl_values PROGRAM COMMAND OPTION: print the words that an option takes. The
# message about a wrong one lists them: "'?' is not text, csv or json".
_mp3ctl_values() {
	"$1" "$2" "$3" '?' --help 2>&1 >/dev/null </dev/null |
		sed -nE "s/.*'\?'(: | is )(not|neither) //p" |
		sed -E 's/,? (or|nor) |, /\n/g' | grep -xE '[a-z][a-z_-]*'
}

# _mp3ctl_pids: complete the processes that the user may profile, by id or by name
_mp3ctl_pids() {
	local LC_ALL=C directory pid name

	COMPREPLY=()
	for directory in /proc/[0-9]*; do
		pid=${directory#/proc/}
		# Kernel threads have no executable.
		[[ ($EUID = 0 || -O $directory) && -e $directory/exe ]] || continue
		IFS= read -r name 2>/dev/null <"$directory/comm" || continue
		# A name can contain anything.
		name=${name//[^[:print:]]/?}
		[[ $pid = "$cur"* || $name = "$cur"* ]] || continue
		COMPREPLY+=("$pid  $name")
	done
	# Of several, bash lists the names, and inserts what the words have in common: for
	# ids that is right, and a blank keeps it from replacing a name.
	if [[ ${#COMPREPLY[@]} = 1 ]]; then
		COMPREPLY=("${COMPREPLY[0]%%  *}")
	elif [[ $cur = [!0-9]* && ${COMPREPLY[0]-} ]]; then
		COMPREPLY+=(" ")
	fi
}

# _mp3ctl_is FILE MAGIC: succeed if a regular file starts with MAGIC
_mp3ctl_is() {
	local start

	[[ -f $1 ]] && IFS= read -rN ${#2} start 2>/dev/null <"$1" && [[ $start = "$2" ]]
}

# _mp3ctl_files [MAGIC]: complete directories, and files that start with MAGIC
_mp3ctl_files() {
	local file

	compopt -o filenames 2>/dev/null
	while IFS= read -r file; do
		[[ ${1-} && ! -d $file ]] && ! _mp3ctl_is "$file" "$1" || COMPREPLY+=("$file")
	done < <(compgen -f -- "$cur")
}

# _mp3ctl_command INDEX: complete the command that starts at a word
_mp3ctl_command() {
	if declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif ((COMP_CWORD == $1)); then
		mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -c -- "$cur")
	else
		_mp3ctl_files
	fi
}

# _mp3ctl_scan: find out what the current word is. Sets $offset to the first word of a
# command if it belongs to one, or $option and $argument if it is the argument of an
# option of mp3ctl.
_mp3ctl_scan() {
	local i

	offset=0
	for ((i = 2; i < COMP_CWORD; i++)); do
		option=${COMP_WORDS[i]}
		argument=
		if [[ $option = -- ]]; then
			offset=$((i + 1))
			return
		elif [[ $option = -* ]]; then
			_mp3ctl_argument "$help" "$option"
			# bash splits --by=name into three words.
			if [[ ${COMP_WORDS[i + 1]} = "=" ]]; then
				((i += 2))
				((i <= COMP_CWORD)) || cur=
			elif [[ $argument ]]; then
				((i += 1))
			fi
			[[ ! $argument ]] || ((i < COMP_CWORD)) || return 0
		elif [[ $command = @(run|attach|record|where|diff) ]] && ! _mp3ctl_is "$option" MP3REC; then
			offset=$i
			return
		fi
	done
	argument=
}

# _mp3ctl_word: complete a word that is neither an option nor the argument of one
_mp3ctl_word() {
	case $command in
	report | top | watch | where | diff | export) _mp3ctl_files MP3REC ;;
	plot) _mp3ctl_files ;;
	esac
	case $command in
	run | attach | record | where | diff) _mp3ctl_command "$COMP_CWORD" ;;
	esac
}

_mp3ctl() {
	local program=${1/#~\//$HOME/} command=${COMP_WORDS[1]-}
	local cur=${COMP_WORDS[COMP_CWORD]} help option argument offset

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "--help --version $("$program" --help |
			awk '/^  [a-z]/ { print $1 }')" -- "$cur")
		return
	fi
	help=$("$program" "$command" --help 2>/dev/null) || return 0

	_mp3ctl_scan
	if ((offset)); then
		_mp3ctl_command "$offset"
		return
	fi
	case $argument in
	'')
		if [[ $cur = -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$(_mp3ctl_options "$help" |
				cut -d ' ' -f 1)" -- "$cur")
		else
			_mp3ctl_word
		fi
		;;
	PID) _mp3ctl_pids ;;
	USER) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
	FILE | DIR | DEVICE | SVG) _mp3ctl_files ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_mp3ctl_values "$program" "$command" "$option")" -- "$cur")
		;;
	esac
}

complete -F _mp3ctl mp3ctl
