# Bash completion for vprox(8). It asks the program itself, so that it knows what the program knows.

# The program's or a subcommand's help.
_vprox_help()
{
	"$@" --help 2>/dev/null
}

# Prints the options that a help text names, wherever it does.
_vprox_options()
{
	grep -oE -e '(^|[^[:alnum:]/_-])--?[a-zA-Z][a-zA-Z0-9-]*' | grep -oE -e '--?[a-zA-Z].*' | sort -u
}

_vprox_commands()
{
	sed -n '/^Commands:/,/^$/ s/^ \{2,\}\([a-z][a-z-]*\).*/\1/p'
}

# Prints what may follow an option: "auto|kernel|embedded", "FILE", or nothing.
_vprox_argument()
{
	sed -n "/^ \{2,\}-/ {
		s/^/ /
		s/.*[ ,]$1[ =]\([A-Za-z/|][A-Za-z/|]*\).*/\1/p
	}" | head -n 1
}

_vprox_complete_argument()
{
	local argument=$1 current=$2

	case $argument in
	*'|'*) mapfile -t COMPREPLY < <(compgen -W "${argument//|/ }" -- "$current") ;;
	FILE)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		;;
	USER) mapfile -t COMPREPLY < <(compgen -u -- "$current") ;;
	IFNAME | INTERFACE | NAME) ;;
	esac
}

_vprox()
{
	local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]}
	local previous=${COMP_WORDS[COMP_CWORD - 1]} first=1 argument
	local -a command=("$program")

	COMPREPLY=()
	if [[ ${program##*/} != vprox-device ]]; then
		if ((COMP_CWORD == 1)); then
			mapfile -t COMPREPLY < <(compgen -W "$(_vprox_help "$program" | _vprox_commands)
				--help --version" -- "$current")
			return
		fi
		command+=("${COMP_WORDS[1]}")
		first=2
	fi

	# "--plane=k" comes as the three words --plane, =, k.
	if [[ $previous == = ]] && ((COMP_CWORD > first)); then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	elif [[ $current == = ]]; then
		current=
	fi
	if [[ $previous == --* ]] && ((COMP_CWORD > first)); then
		argument=$(_vprox_help "${command[@]}" | _vprox_argument "$previous")
		# What is no option's argument in capitals or a choice is its description.
		if [[ $argument =~ ^[A-Z/]+$ || $argument == *'|'* ]]; then
			_vprox_complete_argument "$argument" "$current"
			return
		fi
	fi
	mapfile -t COMPREPLY < <(compgen -W "$(_vprox_help "${command[@]}" | _vprox_options)" -- "$current")
}

complete -F _vprox vprox vprox-device
