#compdef vprox vprox-device
# Zsh completion for vprox(8). It asks the program itself, so that it knows what the program knows.

# Prints the commands, or the options of one: a line each, "--option<TAB>what its value is called".
_vprox_ask()
{
	# Also what is called vprox-device answers as vprox, under that name.
	(exec -a vprox "$@[1]" completion "$@[2,-1]") 2>/dev/null
}

# Sets $REPLY to what _arguments(1) proposes for a value.
_vprox_action()
{
	case $1 in
	*'|'*) REPLY="(${${1//:/\\:}//|/ })" ;;
	FILE) REPLY=_files ;;
	USER) REPLY=_users ;;
	*) REPLY=' ' ;; # nothing known
	esac
}

_vprox()
{
	local program=${(Q)words[1]} command=device line option value REPLY
	local -a specs operands

	program=${~program}
	if [[ ${program:t} != vprox-device ]]; then
		if ((CURRENT == 2)); then
			compadd -- ${(f)"$(_vprox_ask $program)"} --help --version
			return
		fi
		command=$words[2]
		shift words
		((CURRENT--))
	fi

	for line in ${(f)"$(_vprox_ask $program $command)"}; do
		option=${line%%$'\t'*}
		value=${line#*$'\t'}
		_vprox_action ${value//[\[\]]/}
		case $option:$value in
		--*:) specs+=("*$option") ;;
		# A value in brackets may be left out, and never is a word of its own.
		--*:\[*) specs+=("*$option=-::${value//:/\\:}:$REPLY") ;;
		--*) specs+=("*$option=:${value//:/\\:}:$REPLY") ;;
		-*:) specs+=("*$option") ;;
		-*) specs+=("*$option+:${value//:/\\:}:$REPLY") ;;
		*) operands+=($option) ;;
		esac
	done
	((! $#operands)) || specs+=("*: :($operands)")
	((! $#specs)) || _arguments : $specs
}

_vprox "$@"
