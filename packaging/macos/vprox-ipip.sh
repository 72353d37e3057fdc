#!/bin/sh
# Joins an IPIP tunnel to a vprox server from a Mac, with what macOS ships. docs/macos.md has the
# commands it runs, one by one.
set -u

usage() {
	cat <<'END'
Usage: vprox-ipip.sh join [OPTION...] SERVER
       vprox-ipip.sh leave | status | health

  join    ask SERVER, an IPv4 address, for a tunnel and set it up; once more: heal it
  leave   take the tunnel down and tell the server
  status  print what there is; exit status 1 if there is no tunnel
  health  ping the server's inner address; exit status 1 if no answer comes

Options of join:
  --pin sha256//BASE64  the server's key, which it says at its start; several, joined by ;
  --cacert FILE         or a file of certificates to check the server's with
  --route CIDR          send this through the tunnel; several times if need be
  --password-file FILE  holds the password (default: VPROX_PASSWORD in the environment)
  --interface NAME      the tunnel's interface (default: gif0; it is made if there is none)
  --help                print this

A program uses the tunnel if it binds to the inner address that `status` prints, as in
`curl --interface ADDRESS`, or if it goes to a --route. Must be run as root.
END
}

STATE_FOLDER=${VPROX_STATE_FOLDER:-/var/run/vprox-ipip}
STATE=$STATE_FOLDER/state
# pf.conf as macOS ships it evaluates all anchors of this form.
ANCHOR=com.apple/vprox
MTU=1480 # 1500 less an IPv4 header

die() {
	echo "vprox-ipip: $*" >&2
	exit 1
}

wrong_usage() {
	echo "vprox-ipip: $*" >&2
	echo "See vprox-ipip.sh --help." >&2
	exit 2
}

need_root() {
	[ "$(id -u)" = 0 ] || die "must be run as root"
}

is_number_up_to() {
	case $1 in
	'' | *[!0-9]* | ????* | 0?*) return 1 ;;
	esac
	[ "$1" -le "$2" ]
}

is_address() (
	case $1 in
	*[!0-9.]* | .* | *. | *..*) exit 1 ;;
	esac
	IFS=.
	# The words are wanted.
	# shellcheck disable=SC2086
	set -- $1
	[ $# = 4 ] || exit 1
	for octet; do
		is_number_up_to "$octet" 255 || exit 1
	done
)

is_block() {
	case $1 in
	*/*) is_address "${1%/*}" && is_number_up_to "${1##*/}" 32 ;;
	*) return 1 ;;
	esac
}

# The first host address of a block, which is the server's: `gateway_of 10.100.0.3/16`.
gateway_of() {
	echo "$1" | awk -F '[./]' '{
		address = (($1 * 256 + $2) * 256 + $3) * 256 + $4
		size = 1
		for (bit = $5; bit < 32; bit++)
			size *= 2
		address = address - address % size + 1
		printf "%d.%d.%d.%d\n", int(address / 16777216) % 256, int(address / 65536) % 256,
			int(address / 256) % 256, address % 256
	}'
}

# Whether a block contains an address.
contains() {
	[ "$(gateway_of "$1")" = "$(gateway_of "$2/${1##*/}")" ]
}

# The assigned address and length, out of the server's answer.
assigned_in() {
	sed -n 's|.*"AssignedAddr"[ ]*:[ ]*"\([0-9.]*/[0-9]*\)".*|\1|p'
}

# Quotes a value for curl's --config.
quoted() {
	printf '%s' "$1" | sed 's/[\\"]/\\&/g'
}

read_password() {
	if [ -n "$password_file" ]; then
		IFS= read -r password <"$password_file" || [ -n "$password" ] ||
			die "no password in $password_file"
	else
		password=${VPROX_PASSWORD-}
	fi
	# Not for the programs that are started from here.
	unset VPROX_PASSWORD
	[ -n "$password" ] || die "no password: set VPROX_PASSWORD, or use --password-file"
	case $password in
	*[[:cntrl:]]*) die "the password has a control character in it, which cannot be sent" ;;
	esac
}

# POSTs to a path of the server. What is secret goes to curl's standard input: the command line is for all to
# see. Prints the answer, the local address and the status, a line each.
post() {
	{
		printf 'header = "Authorization: Bearer %s"\n' "$(quoted "$password")"
		printf 'url = "https://%s/%s"\n' "$server" "$1"
		if [ -n "$pin" ]; then
			printf 'pinnedpubkey = "%s"\ninsecure\n' "$(quoted "$pin")"
		else
			printf 'cacert = "%s"\n' "$(quoted "$cacert")"
		fi
	} | curl --config - --silent --show-error --ipv4 --noproxy '*' --request POST \
		--max-time "$2" --write-out '\n%{local_ip}\n%{http_code}\n'
}

# What is needed to leave and to heal; the password is not in it. `read` takes it in: nothing in it is run.
save_state() {
	(
		umask 077
		mkdir -p "$STATE_FOLDER" || exit 1
		{
			printf 'server %s\ninterface %s\nmade %s\nouter %s\n' "$server" "$interface" "$made" "$outer"
			printf 'assigned %s\ngateway %s\n' "$assigned" "$gateway"
			[ -z "$pin" ] || printf 'pin %s\n' "$pin"
			[ -z "$cacert" ] || printf 'cacert %s\n' "$cacert"
			[ -z "$password_file" ] || printf 'password_file %s\n' "$password_file"
			[ -z "$token" ] || printf 'token %s\n' "$token"
			for route in $routes; do
				printf 'route %s\n' "$route"
			done
		} >"$STATE.new" && mv "$STATE.new" "$STATE"
	) || return 1
}

# Fails if there is none.
load_state() {
	[ -f "$STATE" ] || return 1
	routes=
	while read -r name value; do
		case $name in
		server) server=$value ;;
		interface) interface=$value ;;
		made) made=$value ;;
		outer) outer=$value ;;
		assigned) assigned=$value ;;
		gateway) gateway=$value ;;
		pin) pin=$value ;;
		cacert) cacert=$value ;;
		password_file) password_file=$value ;;
		token) token=$value ;;
		route) routes="$routes $value" ;;
		esac
	done <"$STATE"
}

make_interface() {
	if ! ifconfig "$interface" >/dev/null 2>&1; then
		ifconfig "$interface" create || return 1
		made=yes
	fi
	ifconfig "$interface" tunnel "$outer" "$server" &&
		ifconfig "$interface" inet "${assigned%/*}" "$gateway" netmask 255.255.255.255 &&
		ifconfig "$interface" mtu "$MTU" up
}

add_routes() {
	for route in $routes; do
		route -n delete -net "$route" -interface "$interface" >/dev/null 2>&1
		route -n add -net "$route" -interface "$interface" >/dev/null || return 1
	done
}

# Packets from the inner address leave by the tunnel, wherever the routes point.
load_rules() {
	printf 'pass out quick on ! %s route-to (%s %s) inet from %s to any no state\n' \
		"$interface" "$interface" "$gateway" "${assigned%/*}" |
		pfctl -q -a "$ANCHOR" -f - || return 1
	# pf stays enabled for as long as anybody holds a token.
	if [ -z "$token" ]; then
		token=$(pfctl -E 2>&1 | sed -n 's/^Token *: *\([0-9][0-9]*\).*/\1/p')
		[ -n "$token" ] || return 1
	fi
}

# Takes down all that there is, and goes on where something is gone already.
take_down() {
	pfctl -q -a "$ANCHOR" -F all >/dev/null 2>&1
	[ -z "$token" ] || pfctl -q -X "$token" >/dev/null 2>&1
	for route in $routes; do
		route -n delete -net "$route" -interface "$interface" >/dev/null 2>&1
	done
	if [ "$made" = yes ]; then
		ifconfig "$interface" destroy 2>/dev/null
	elif [ -n "$assigned" ]; then
		ifconfig "$interface" inet "${assigned%/*}" delete 2>/dev/null
		ifconfig "$interface" deletetunnel 2>/dev/null
	fi
	rm -f "$STATE"
}

parse_join() {
	while [ $# -gt 0 ]; do
		case $1 in
		--pin | --cacert | --route | --password-file | --interface)
			[ $# -ge 2 ] || wrong_usage "$1 needs a value"
			;;
		esac
		case $1 in
		--pin) pin=$2 ;;
		--cacert) cacert=$2 ;;
		--route)
			is_block "$2" || wrong_usage "--route $2: not a block such as 192.0.2.0/24"
			routes="$routes $2"
			;;
		--password-file) password_file=$2 ;;
		--interface)
			case $2 in
			gif | gif*[!0-9]* | [!g]* | g[!i]* | gi[!f]*) wrong_usage "--interface $2: must be gif0, gif1, ..." ;;
			esac
			interface=$2
			;;
		--help)
			usage
			exit 0
			;;
		-*) wrong_usage "$1: not an option" ;;
		*)
			[ -z "$server" ] || wrong_usage "$1: there is a server already"
			is_address "$1" || wrong_usage "$1: not an IPv4 address"
			server=$1
			shift
			continue
			;;
		esac
		shift 2
	done
	case $password_file in
	'' | /*) ;;
	*) password_file=$PWD/$password_file ;;
	esac
	[ -n "$server" ] || wrong_usage "join needs the server's address"
	case $pin in
	'') [ -n "$cacert" ] || wrong_usage "who is the server? Give --pin or --cacert" ;;
	sha256//*) ;;
	*) wrong_usage "--pin $pin: must begin with sha256//" ;;
	esac
	for route in $routes; do
		! contains "$route" "$server" ||
			wrong_usage "--route $route: would take in the tunnel's own packets to $server"
	done
}

# Joined already: what was made is used again, what is not wanted any more goes.
take_over() {
	wanted="$server $interface" wanted_routes=$routes
	wanted_pin=$pin wanted_cacert=$cacert wanted_file=$password_file
	load_state
	[ "$wanted" = "$server $interface" ] ||
		die "there is a tunnel to $server by $interface already; leave it first"
	for route in $routes; do
		case " $wanted_routes " in
		*" $route "*) ;;
		*) route -n delete -net "$route" -interface "$interface" >/dev/null 2>&1 ;;
		esac
	done
	old_assigned=$assigned
	pin=$wanted_pin cacert=$wanted_cacert password_file=$wanted_file routes=$wanted_routes
}

join() {
	parse_join "$@"
	need_root
	read_password
	if [ -f "$STATE" ]; then
		take_over
	elif ifconfig "$interface" 2>/dev/null | grep -q 'tunnel inet'; then
		die "$interface is somebody else's tunnel; choose another --interface"
	fi

	answer=$(post connect-ipip 10) || die "no answer from $server"
	status=$(printf '%s\n' "$answer" | tail -n 1)
	outer=$(printf '%s\n' "$answer" | tail -n 2 | head -n 1)
	if [ "$status" != 200 ]; then
		die "$server answers $status: $(printf '%s\n' "$answer" | head -n 1)"
	fi
	assigned=$(printf '%s\n' "$answer" | assigned_in)
	if ! is_block "$assigned" || ! is_address "$outer"; then
		die "cannot understand the answer of $server"
	fi
	gateway=$(gateway_of "$assigned")

	if [ -n "$old_assigned" ] && [ "$old_assigned" != "$assigned" ]; then
		ifconfig "$interface" inet "${old_assigned%/*}" delete 2>/dev/null
	fi
	if ! make_interface || ! add_routes || ! load_rules || ! save_state; then
		take_down
		post disconnect-ipip 2 >/dev/null 2>&1
		die "cannot set up $interface"
	fi
	echo "$interface: ${assigned%/*}, to $server from $outer"
}

leave() {
	need_root
	load_state || die "there is no tunnel"
	# The server notices by itself if it cannot be told.
	if [ -n "${VPROX_PASSWORD-}" ] || [ -r "$password_file" ]; then
		(read_password && post disconnect-ipip 2) >/dev/null 2>&1
	fi
	take_down
	echo "$interface: gone"
}

status() {
	load_state || {
		echo "no tunnel"
		exit 1
	}
	echo "interface: $interface"
	echo "server: $server"
	echo "local address: $outer"
	echo "inner address: $assigned"
	echo "gateway: $gateway"
	for route in $routes; do
		echo "route: $route"
	done
	ifconfig "$interface" >/dev/null 2>&1 || {
		echo "the interface is gone; join again"
		exit 1
	}
}

# One of three echoes is enough.
health() {
	load_state || die "there is no tunnel"
	if ping -c 3 -t 5 -S "${assigned%/*}" "$gateway" >/dev/null 2>&1; then
		echo "healthy"
	else
		die "no answer from $gateway"
	fi
}

server='' interface=gif0 made=no outer='' assigned='' gateway='' old_assigned=''
pin='' cacert='' password_file='' password='' token='' routes=''
command=${1-}
[ $# = 0 ] || shift
case $command in
join) join "$@" ;;
leave | status | health)
	[ $# = 0 ] || wrong_usage "$1: $command takes no options"
	"$command"
	;;
--help | help) usage ;;
'')
	usage >&2
	exit 2
	;;
*) wrong_usage "$command: no such command" ;;
esac
