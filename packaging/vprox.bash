# Bash completion for vprox(8). It asks the program itself, so that it knows what the program knows.

# Prints the commands, or the options of one: a line each, "--option<TAB>what its value is called".
_vprox_ask()
{
	local program=$1
	shift
	# Also what is called vprox-device answers as vprox, under that name.
	(exec -a vprox "$program" completion "$@") 2>/dev/null
}

# Proposes what may follow an option: "auto|kernel|embedded", "FILE", "USER", or nothing known.
_vprox_complete_value()
{
	local value=$1 current=$2

	case $value in
	*'|'*) mapfile -t COMPREPLY < <(compgen -W "${value//|/ }" -- "$current") ;;
	FILE)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		;;
	USER) mapfile -t COMPREPLY < <(compgen -u -- "$current") ;;
	esac
}

_vprox()
{
	local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]}
	local previous=${COMP_WORDS[COMP_CWORD - 1]} command=device first=1 with_equals= option value
	local -a options=()

	COMPREPLY=()
	if [[ ${program##*/} != vprox-device ]]; then
		if ((COMP_CWORD == 1)); then
			mapfile -t COMPREPLY < <(compgen -W "$(_vprox_ask "$program") --help --version" -- "$current")
			return
		fi
		command=${COMP_WORDS[1]}
		first=2
	fi

	# "--plane=k" comes as the three words --plane, =, k.
	if [[ $previous == = ]] && ((COMP_CWORD > first)); then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
		with_equals=1
	elif [[ $current == = ]]; then
		current=
		with_equals=1
	fi
	while IFS=$'\t' read -r option value; do
		options+=("$option")
		# A value in brackets may be left out, and never is a word of its own.
		if [[ $option == "$previous" && $value && ($with_equals || $value != \[*) ]] && ((COMP_CWORD > first)); then
			_vprox_complete_value "$value" "$current"
			return
		fi
	done < <(_vprox_ask "$program" "$command")
	mapfile -t COMPREPLY < <(compgen -W "${options[*]}" -- "$current")
}

complete -F _vprox vprox vprox-device
