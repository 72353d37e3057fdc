"""What is asked of a device's control socket, and what is right to answer: by the cross-platform
specification (wireguard.com/xplatform), and where that says nothing, as wg(8) needs it. Where
wireguard-go (0.0.20220316, Debian 12's) answers otherwise, `reference` says how, and `reason` why
ours is meant to differ.

In texts, $A, $B, $PUB are public keys, $KEY a private one (that of $PUB), $PSK a preshared one."""

from typing import NamedTuple, Optional

PORT = 7000  # the device's, before each request
TAKEN = 7001  # somebody else's

KEYS = {
    "$A": "a1" * 31 + "0a", "$B": "b2" * 31 + "0b", "$PSK": "c3" * 32,
    "$KEY": "e8f5b4e36b5f6d5ac7d8c4d6e7a1e9d0c8b7a6958473625140f1e2d3c4b5a649",
}
INVALID, PROTOCOL, IN_USE, NO_DEVICE = -22, -71, -98, -19


class Request(NamedTuple):
    """One connection: what is sent, in parts, and what comes back."""

    name: str
    parts: tuple
    answers: tuple = (0,)  # errno of each
    state: str = ""  # what get=1 says afterwards, but for what is usual
    closed: bool = False  # by the device
    ends: bool = False  # the asker sends no more
    waits: bool = False  # for the answer to each part
    reference: Optional[tuple] = None  # (answers, state) of wireguard-go
    reason: str = ""


def lines(*items):
    return "".join(f"{item}\n" for item in items)


def one(name, text, answer=0, state="", reference=None, reason="", **kwargs):
    """A request in one part, and its one answer."""
    if reference is not None and not isinstance(reference[0], tuple):
        reference = ((reference[0],), reference[1])
    return Request(name, (text,), (answer,), state, reference=reference, reason=reason, **kwargs)


def in_turn(name, *requests, state=""):
    """Requests that each wait for the answer to the one before."""
    return Request(name, tuple(lines("set=1", *items, "") for items in requests),
                   (0,) * len(requests), state, waits=True)


def of_device(name, line, *args, **kwargs):
    return one(name, lines("set=1", line, ""), *args, **kwargs)


def of_peer(name, line, answer=0, state="", **kwargs):
    return one(name, lines("set=1", "public_key=$A", line, ""), answer,
               f"public_key=$A {state}".strip(), **kwargs)


def of_values(key, good, rewritten, bad):
    """A peer's key with values that are taken, that are told in another way, and that are refused."""
    for text, shown in {**dict(zip(good, good)), **rewritten}.items():
        yield of_peer(f"{key} {text}", f"{key}={text}", 0, f"{key}={shown}")
    for text in bad:
        yield of_peer(f"no {key}: {text[:40] or 'empty'}", f"{key}={text}", INVALID)


ZONES = "wireguard-go 0.0.20220316 forgets the zone; the newest gives the name, which another \
interface may have later: ours gives the ifindex, which wg(8) shows as the name"

# --- Numbers: each key that has one, with its greatest value ---

NUMBERS = {
    "fwmark": 2 ** 32 - 1,
    "listen_port": 2 ** 16 - 1,
    "persistent_keepalive_interval": 2 ** 16 - 1,
}
GOOD_NUMBERS = ["0", "1", "7", "00", "007", "0" * 300 + "9", "10", "443", "7000", "65534", "65535"]
BAD_NUMBERS = ["-1", "-0", "+1", " 1", "1 ", "\t1", "1\t", "1\v", "1.0", "1e3", "1_000", "1,000",
               "one", "0b1", "0o7", "0X1F", "1F", "1h", "0x", "0x 1", "0x-1", "0x+1", "0x0x1",
               "0xg", "=1", "1=", "4294967296", "18446744073709551616", "18446744073709551617",
               "-4294967295", "9" * 100, "\u0661", "off", "true", "NaN", "1/2", "'1'"]


def value_of(key, number):
    """What get=1 says: zero is usual, but for the port, which is then any."""
    if key == "listen_port":
        return {0: "listen_port=?", PORT: ""}.get(number, f"listen_port={number}")
    return f"{key}={number}" if number else ""


def numbers():
    for key, most in NUMBERS.items():
        make = of_peer if key == "persistent_keepalive_interval" else of_device
        for text in GOOD_NUMBERS + [str(most)]:
            yield make(f"{key} is {text[:20]}", f"{key}={text}", 0, value_of(key, int(text)))
        for text in BAD_NUMBERS + [str(most + 1)]:
            yield make(f"{key} is not {text[:20]}", f"{key}={text}", INVALID)
        if key != "fwmark":
            for text in "", "0x10", "0x1f":
                yield make(f"{key} is not {text or 'empty'}", f"{key}={text}", INVALID)
    hexadecimal = "wg(8) takes 0x for a mark, and vprox always did"
    for text in "0x1", "0x1f", "0x1F", "0xffffffff", "0x00000010":
        yield of_device(f"fwmark is {text}", f"fwmark={text}", 0, f"fwmark={int(text, 16)}",
                        reference=(INVALID, ""), reason=hexadecimal)
    yield of_device("fwmark is no hexadecimal number of 33 bits", "fwmark=0x100000000", INVALID)
    yield one("an empty fwmark removes it", lines("set=1", "fwmark=5", "fwmark=", ""), 0, "",
              reference=(INVALID, "fwmark=5"), reason="promised to programs since 0.1")


def ports():
    yield of_device("a port that is taken", f"listen_port={TAKEN}", IN_USE, "",
                    reference=(IN_USE, "listen_port=none"),
                    reason="the old port stays, so that the tunnels do")
    yield one("a port is kept when the next one is taken",
              lines("set=1", "listen_port=7005", f"listen_port={TAKEN}", ""), IN_USE,
              "listen_port=7005", reference=(IN_USE, "listen_port=none"),
              reason="the old port stays, so that the tunnels do")
    yield of_device("the port that it has", f"listen_port={PORT}")
    yield one("the last of two ports", lines("set=1", "listen_port=7002", "listen_port=7003", ""),
              0, "listen_port=7003")
    yield one("the last of two marks", lines("set=1", "fwmark=1", "fwmark=2", ""), 0, "fwmark=2")


# --- Keys ---

ZERO = "0" * 64
BAD_KEYS = ["", "0", "c3" * 31, "c3" * 31 + "c", "c3" * 33, "c3" * 32 + " ",
            " " + "c3" * 32, "0x" + "c3" * 31, "g" * 64, "c3" * 31 + "g0", "-" + "c" * 63,
            "c3" * 31 + "=3", "w8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8M=", "c3:" * 31 + "c3",
            "\u00e9" * 32, "true"]


def keys():
    for key, make in (("private_key", of_device), ("public_key", of_device),
                      ("preshared_key", of_peer)):
        for text in BAD_KEYS:
            yield make(f"{key} is not {text[:24] or 'empty'}, {len(text)} digits",
                       f"{key}={text}", INVALID)
    yield of_device("a private key", "private_key=$KEY", 0, "private_key=$KEY")
    yield one("a private key in upper case", lines("set=1", "private_key=" + KEYS["$KEY"].upper(), ""),
              0, "private_key=$KEY")
    yield of_device("a private key is told clamped", "private_key=" + "ff" * 32, 0,
                    "private_key=f8" + "ff" * 30 + "7f")
    yield of_device("a private key of free bits alone is one", "private_key=07" + "00" * 31, 0,
                    "private_key=" + "00" * 31 + "40")
    yield one("a private key of zeros is none", lines("set=1", "private_key=$KEY",
                                                      "private_key=" + ZERO, ""))
    yield one("the last of two private keys", lines("set=1", "private_key=" + "ff" * 32,
                                                    "private_key=$KEY", ""), 0, "private_key=$KEY")
    yield one("the same private key again", lines("set=1", "private_key=$KEY", "private_key=$KEY",
                                                  ""), 0, "private_key=$KEY")
    yield of_device("a public key", "public_key=$A", 0, "public_key=$A")
    yield one("a public key in upper case", lines("set=1", "public_key=" + KEYS["$A"].upper(), ""),
              0, "public_key=$A")
    yield one("a public key twice is one peer", lines("set=1", "public_key=$A", "public_key=$A", ""),
              0, "public_key=$A")
    yield one("two public keys", lines("set=1", "public_key=$A", "public_key=$B", ""),
              0, "public_key=$A public_key=$B")
    for name, text in {"one": "01" + "00" * 31, "p": "ed" + "ff" * 30 + "7f",
                       "p and the bit that does not count": "ed" + "ff" * 31}.items():
        yield of_device(f"a public key of low order: {name}", f"public_key={text}", 0,
                        f"public_key={text}")
    yield of_peer("a preshared key", "preshared_key=$PSK", 0, "preshared_key=$PSK")
    yield of_peer("a preshared key in upper case", "preshared_key=" + ("c3" * 32).upper(), 0,
                  "preshared_key=$PSK")
    yield of_peer("a preshared key is not clamped", "preshared_key=" + "ff" * 32, 0,
                  "preshared_key=" + "ff" * 32)
    yield of_peer("a preshared key of zeros is none",
                  "preshared_key=$PSK\npreshared_key=" + ZERO)
    yield of_peer("the last of two preshared keys",
                  "preshared_key=" + "01" * 32 + "\npreshared_key=$PSK", 0, "preshared_key=$PSK")


# --- Truths ---

BAD_TRUTHS = ["", "false", "True", "TRUE", "1", "yes", "true ", " true", "truee", "t"]


def truths():
    for text in BAD_TRUTHS:
        shown = text or "empty"
        yield of_device(f"replace_peers is not {shown!r}", f"replace_peers={text}", INVALID)
        for key in "remove", "update_only", "replace_allowed_ips":
            yield of_peer(f"{key} is not {shown!r}", f"{key}={text}", INVALID)
    yield in_turn("replace_peers removes all", ["public_key=$A", "public_key=$B"],
                  ["replace_peers=true"])
    yield in_turn("replace_peers makes room for others", ["public_key=$A"],
                  ["replace_peers=true", "public_key=$B"], state="public_key=$B")
    yield one("remove", lines("set=1", "public_key=$A", "remove=true", ""))
    yield in_turn("remove of one of two", ["public_key=$A", "public_key=$B"],
                  ["public_key=$A", "remove=true"], state="public_key=$B")
    yield one("a removed peer can be made anew",
              lines("set=1", "public_key=$A", "preshared_key=$PSK", "remove=true",
                    "public_key=$A", ""), 0, "public_key=$A")
    yield in_turn("update_only of a peer that is there", ["public_key=$A"],
                  ["public_key=$A", "update_only=true", "persistent_keepalive_interval=7"],
                  state="public_key=$A persistent_keepalive_interval=7")
    yield one("update_only makes no peer", lines("set=1", "public_key=$A", "update_only=true", ""))
    yield one("update_only concerns its own peer alone",
              lines("set=1", "public_key=$A", "update_only=true", "public_key=$B", ""), 0,
              "public_key=$B")
    yield one("replace_allowed_ips",
              lines("set=1", "public_key=$A", "allowed_ip=10.0.0.0/8", "allowed_ip=fd00::/8",
                    "replace_allowed_ips=true", "allowed_ip=192.0.2.0/24", ""), 0,
              "public_key=$A allowed_ip=192.0.2.0/24")
    yield of_peer("protocol_version is 1", "protocol_version=1")
    for text in "", "0", "2", "01", "1 ", "-1", "true":
        yield of_peer(f"protocol_version is not {text or 'empty'}", f"protocol_version={text}",
                      INVALID)


# --- Lines of a peer that is passed over ---

PASSED_OVER = {
    "a removed peer": lines("public_key=$A", "remove=true"),
    "a missed update": lines("public_key=$A", "update_only=true"),
    "ourselves": lines("private_key=$KEY", "public_key=$PUB"),
}
PEER_LINES = {
    "endpoint": ("192.0.2.1:1", "bad"),
    "allowed_ip": ("10.0.0.0/8", "bad"),
    "preshared_key": ("$PSK", "c3"),
    "persistent_keepalive_interval": ("5", "0x5"),
    "replace_allowed_ips": ("true", "false"),
    "remove": ("true", "1"),
    "update_only": ("true", ""),
    "protocol_version": ("1", "2"),
}


def passed_over():
    for what, beginning in PASSED_OVER.items():
        state = "private_key=$KEY" if "private" in beginning else ""
        for key, (good, bad) in PEER_LINES.items():
            yield one(f"{what}: {key}", f"set=1\n{beginning}{key}={good}\n\n", 0, state)
            yield one(f"{what}: a bad {key}", f"set=1\n{beginning}{key}={bad}\n\n", INVALID, state)
        yield one(f"{what}: an unknown key", f"set=1\n{beginning}foo=1\n\n", INVALID, state)
        yield one(f"{what}: no key", f"set=1\n{beginning}foo\n\n", PROTOCOL, state)
        yield one(f"{what}: the next peer counts",
                  f"set=1\n{beginning}public_key=$B\nallowed_ip=10.0.0.0/8\n\n", 0,
                  f"{state} public_key=$B allowed_ip=10.0.0.0/8".strip())
    yield in_turn("a private key removes the peer that we are then",
                  ["public_key=$PUB", "public_key=$B"], ["private_key=$KEY"],
                  state="private_key=$KEY public_key=$B")


# --- Endpoints ---

GOOD_ENDPOINTS = ["192.0.2.1:51820", "192.0.2.1:1", "192.0.2.1:65535", "0.0.0.0:1",
                  "255.255.255.255:1", "224.0.0.1:1", "127.0.0.1:1", "[2001:db8::1]:51820",
                  "[::1]:1", "[::]:1", "[ff02::1]:1", "[fe80::1]:1",
                  "[::ffff:192.0.2.1]:5", "192.0.2.1:0", "[2001:db8::1]:0"]
REWRITTEN_ENDPOINTS = {
    "[2001:DB8::A]:5": "[2001:db8::a]:5", "[2001:0db8:0:0:0:0:0:1]:5": "[2001:db8::1]:5",
    "192.0.2.1:00005": "192.0.2.1:5", "[1:2:3:4:5:6:1.2.3.4]:5": "[1:2:3:4:5:6:102:304]:5",
}
BAD_ENDPOINTS = ["", ":", ":5", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1",
                 "192.0.2.1:+1", "192.0.2.1: 1", "192.0.2.1:1 ", "192.0.2.1:0x10", "192.0.2.1:a",
                 "192.0.2:1", "192.0.2.256:1", "192.0.2.01:1", "192.0.2.1.1:1", "0x7f.0.0.1:1",
                 "3221225985:1", " 192.0.2.1:1", "192.0.2.1:1:2", "2001:db8::1:51820",
                 "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:", "[2001:db8::1]51820",
                 "[2001:db8::1:51820", "2001:db8::1]:51820", "[192.0.2.1]:5", "[]:5", "[:5", "]:5",
                 "[2001:db8::g]:5", "[2001:db8:::1]:5", "[1:2:3:4:5:6:7:8:9]:5", "[fe80::1%]:5",
                 "192.0.2.1%1:5", "example.com:5", "localhost:5", "[::1]:99999", "(none)",
                 "[" + "1" * 200 + "]:5"]


def endpoints():
    yield from of_values("endpoint", GOOD_ENDPOINTS, REWRITTEN_ENDPOINTS, BAD_ENDPOINTS)
    yield of_peer("the last of two endpoints", "endpoint=192.0.2.1:1\nendpoint=192.0.2.2:2", 0,
                  "endpoint=192.0.2.2:2")
    yield of_peer("a bad endpoint leaves the good one", "endpoint=192.0.2.1:1\nendpoint=bad",
                  INVALID, "endpoint=192.0.2.1:1")
    yield of_peer("an endpoint with an interface's name", "endpoint=[fe80::1%$VETH]:5", 0,
                  "endpoint=[fe80::1%$INDEX]:5",
                  reference=(0, "public_key=$A endpoint=[fe80::1]:5"), reason=ZONES)
    for number in "$INDEX", "1", "4294967295":
        yield of_peer(f"an endpoint with an interface's number, {number}",
                      f"endpoint=[fe80::1%{number}]:5", 0, f"endpoint=[fe80::1%{number}]:5",
                      reference=(0, "public_key=$A endpoint=[fe80::1]:5"), reason=ZONES)
    yield of_peer("an endpoint with an interface that is not there", "endpoint=[fe80::1%nosuch]:5",
                  NO_DEVICE, reference=(INVALID, "public_key=$A"),
                  reason="wg(8) then says `No such device`")
    yield of_peer("an endpoint with a name that is none", "endpoint=[fe80::1%sixteen-characte]:5",
                  INVALID)
    yield of_peer("an endpoint with a number that is none", "endpoint=[fe80::1%4294967296]:5",
                  NO_DEVICE, reference=(INVALID, "public_key=$A"),
                  reason="wg(8) then says `No such device`")


# --- Allowed IPs ---

GOOD_PREFIXES = ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32", "128.0.0.0/1", "192.0.2.0/31",
                 "255.255.255.255/32", "::/0", "fd00::/8", "2001:db8::1/128", "8000::/1",
                 "2001:db8::/127", "fe80::/10", "224.0.0.0/4", "ff00::/8"]
REWRITTEN_PREFIXES = {
    "10.1.2.3/8": "10.0.0.0/8", "192.0.2.255/31": "192.0.2.254/31", "1.2.3.4/0": "0.0.0.0/0",
    "2001:DB8::1/32": "2001:db8::/32", "::1/0": "::/0", "fd00:0:0:0:0:0:0:1/128": "fd00::1/128",
}
BAD_PREFIXES = ["", "/", "/8", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
                "10.0.0.0/ 8", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/0x8",
                "10.0.0.0/255.0.0.0", "10.0.0.0/8/8", "10.0.0/8", "10/8", "10.0.0.256/32",
                "010.0.0.0/8", "10.0.0.0/256", "10.0.0.0/4294967304", "10.0.0.0/a", "::", "::/",
                "::/129", "::/-1", "::/0x8", ":::/8", "fd00::g/8", "[fd00::]/8", "fe80::1%1/64",
                "fe80::1%lo/64", "1:2:3:4:5:6:7:8:9/128", "10.0.0.0/8,192.0.2.0/24",
                "10.0.0.0/8 192.0.2.0/24", "+10.0.0.0/8", "--10.0.0.0/8", "-", "- 10.0.0.0/8",
                "-10.0.0.0", "-bad", "example.com/32", "1" * 200 + "/8", "10.0.0.0/" + "9" * 100]


def prefixes():
    yield from of_values("allowed_ip", GOOD_PREFIXES, REWRITTEN_PREFIXES, BAD_PREFIXES)
    for text, shown in {"10.0.0.0/+8": "10.0.0.0/8", "10.0.0.0/08": "10.0.0.0/8", "::/008": "::/8",
                        "10.0.0.0/00": "0.0.0.0/0"}.items():
        yield of_peer(f"no allowed_ip: {text}", f"allowed_ip={text}", INVALID,
                      reference=(0, f"public_key=$A allowed_ip={shown}"),
                      reason="as the newest wireguard-go, by its library's netip.ParsePrefix()")
    yield of_peer("an allowed_ip twice is one", "allowed_ip=10.0.0.0/8\nallowed_ip=10.0.0.0/8", 0,
                  "allowed_ip=10.0.0.0/8")
    yield of_peer("the same allowed_ip of another host is one",
                  "allowed_ip=10.0.0.1/8\nallowed_ip=10.0.0.2/8", 0, "allowed_ip=10.0.0.0/8")
    yield of_peer("allowed_ips of both families", "allowed_ip=10.0.0.0/8\nallowed_ip=fd00::/8", 0,
                  "allowed_ip=10.0.0.0/8 allowed_ip=fd00::/8")
    yield of_peer("allowed_ips in each other", "allowed_ip=10.0.0.0/8\nallowed_ip=10.0.0.0/9", 0,
                  "allowed_ip=10.0.0.0/8 allowed_ip=10.0.0.0/9")
    yield of_peer("a bad allowed_ip leaves the good ones", "allowed_ip=10.0.0.0/8\nallowed_ip=bad",
                  INVALID, "allowed_ip=10.0.0.0/8")
    yield one("an allowed_ip moves to the peer that is given it last",
              lines("set=1", "public_key=$A", "allowed_ip=10.0.0.0/8", "public_key=$B",
                    "allowed_ip=10.0.0.0/8", ""), 0,
              "public_key=$A public_key=$B allowed_ip=10.0.0.0/8")
    yield one("an allowed_ip of a removed peer is nobody's",
              lines("set=1", "public_key=$A", "allowed_ip=10.0.0.0/8", "remove=true",
                    "public_key=$B", ""), 0, "public_key=$B")
    removal = "what wireguard-go 0.0.20250522 and wg 1.0.20250521 have, Debian 12's have not yet"
    for name, text, state in [
            ("is taken away", "allowed_ip=10.0.0.0/8\nallowed_ip=-10.0.0.0/8", ""),
            ("is taken away by another host of it", "allowed_ip=10.0.0.0/8\nallowed_ip=-10.1.2.3/8", ""),
            ("of IPv6 is taken away", "allowed_ip=fd00::/8\nallowed_ip=-fd00::/8", ""),
            ("that is not there is taken away", "allowed_ip=-10.0.0.0/8", ""),
            ("stays when one in it is taken away", "allowed_ip=10.0.0.0/8\nallowed_ip=-10.0.0.0/9",
             "allowed_ip=10.0.0.0/8")]:
        before = text.split("\n", maxsplit=1)[0] if "\n" in text else ""
        yield of_peer(f"an allowed_ip {name}", text, 0, state,
                      reference=(INVALID, f"public_key=$A {before}".strip()), reason=removal)
    yield one("an allowed_ip of another peer is not taken away",
              lines("set=1", "public_key=$A", "allowed_ip=10.0.0.0/8", "public_key=$B",
                    "allowed_ip=-10.0.0.0/8", ""), 0,
              "public_key=$A allowed_ip=10.0.0.0/8 public_key=$B",
              reference=(INVALID, "public_key=$A allowed_ip=10.0.0.0/8 public_key=$B"),
              reason=removal)


# --- Keys that are not there, and where they are not allowed ---

def unknown():
    for line in "foo=1", "=", "=1", "foo=", "Listen_port=1", "LISTEN_PORT=1", " listen_port=1", \
            "listen_port =1", "listen-port=1", "set=1", "get=1", "errno=0", "allowed_ip=10.0.0.0/8", \
            "endpoint=192.0.2.1:1", "remove=true", "update_only=true", "preshared_key=" + "c3" * 32, \
            "persistent_keepalive_interval=1", "replace_allowed_ips=true", "protocol_version=1", \
            "tx_bytes=1", "rx_bytes=1", "last_handshake_time_sec=1":
        yield of_device(f"a device has no {line[:40]!r}", line, INVALID)
    for line in "foo=1", "=", "Allowed_ip=10.0.0.0/8", "private_key=$KEY", "listen_port=7002", \
            "fwmark=1", "replace_peers=true", "tx_bytes=1", "rx_bytes=1", \
            "last_handshake_time_sec=1", "last_handshake_time_nsec=1", "get=1", "errno=0":
        yield of_peer(f"a peer has no {line[:40]!r}", line, INVALID)
    for line in "foo", "listen_port", "true", "public_key $A", " ", "\t", "#comment", ".":
        yield of_device(f"{line!r} is no line", line, PROTOCOL)
    yield one("what was done before an error stays",
              lines("set=1", "fwmark=5", "foo=1", "fwmark=6", ""), INVALID, "fwmark=5")
    yield one("the first error counts", lines("set=1", "foo", "foo=1", ""), PROTOCOL)
    yield one("nothing after an error is carried out",
              lines("set=1", "foo=1", "public_key=$A", ""), INVALID)
    yield one("nothing is asked for", lines("set=1", ""))


# --- Lines, and their ends ---

def framing():
    crlf = "its first line may end in CRLF too"
    unknown_operation = "an answer says more than a closed connection"
    cut = "half a line may be another one: 10.0.0.0/2 of 10.0.0.0/24"
    yield one("get", "get=1\n\n")
    yield Request("get in single bytes", tuple("get=1\n\n"))
    yield Request("set in single bytes", tuple("set=1\nfwmark=5\n\n"), (0,), "fwmark=5")
    yield Request("a line in two parts", ("set=1\nfwm", "ark=5\n\n"), (0,), "fwmark=5")
    yield Request("an empty line that comes later", ("set=1\nfwmark=5\n", "\n"), (0,), "fwmark=5")
    yield Request("three requests, one after the other",
                  ("set=1\nfwmark=5\n\n", "get=1\n\n", "set=1\nfwmark=6\n\n"), (0, 0, 0),
                  "fwmark=6", waits=True)
    yield Request("two requests in one part", ("set=1\nfwmark=5\n\nset=1\nfwmark=6\n\n",), (0, 0),
                  "fwmark=6", reference=((0,), "fwmark=5"),
                  reason="wireguard-go loses what it has read beyond the end of a set")
    yield Request("get and set in one part", ("get=1\n\nset=1\nfwmark=6\n\n",), (0, 0), "fwmark=6")
    yield Request("a request after one that failed", ("set=1\nfwmark=-1\n\nset=1\nfwmark=6\n\n",),
                  (INVALID, 0), "fwmark=6", reference=((INVALID,), ""),
                  reason="wireguard-go takes what is left of the first for the second")
    yield one("lines that end in CRLF", "set=1\nfwmark=5\r\n\r\n", 0, "fwmark=5")
    yield one("one line that ends in CRLF", "set=1\nfwmark=5\r\n\n", 0, "fwmark=5")
    yield one("an empty line that ends in CRLF", "set=1\nfwmark=5\n\r\n", 0, "fwmark=5")
    yield one("all lines end in CRLF", "set=1\r\nfwmark=5\r\n\r\n", 0, "fwmark=5",
              reference=((), ""), reason=crlf)
    yield one("get with CRLF", "get=1\r\n\r\n", reference=((), ""), reason=crlf)
    yield one("two CRs are no end", "set=1\nfwmark=5\r\r\n\n", INVALID)
    yield one("a CR alone is no end", "set=1\nfwmark=5\rfwmark=6\n\n", INVALID)
    yield one("set ends with the input", "set=1\nfwmark=5\n", 0, "fwmark=5", ends=True, closed=True)
    yield one("a peer ends with the input", "set=1\npublic_key=$A\nallowed_ip=10.0.0.0/8\n", 0,
              "public_key=$A allowed_ip=10.0.0.0/8", ends=True, closed=True)
    yield one("set of nothing ends with the input", "set=1\n", 0, ends=True, closed=True)
    yield one("an error, and the end of the input", "set=1\nfwmark=-1\n", INVALID, ends=True,
              closed=True)
    yield one("a line is cut off by the end of the input", "set=1\nfwmark=5\nfwmark=6", PROTOCOL,
              "fwmark=5", ends=True, closed=True, reference=(0, "fwmark=6"), reason=cut)
    yield one("get ends with the input", "get=1\n", ends=True, closed=True, reference=((), ""),
              reason="as set does")
    yield one("the input ends after a request", "set=1\nfwmark=5\n\n", 0, "fwmark=5", ends=True,
              closed=True)
    for text in "", "s", "set=1", "get=1":
        yield Request(f"the input ends after {text!r}", (text,), (), ends=True, closed=True)
    for line in "set=2", "set=0", "set=", "set", "SET=1", " set=1", "set=1 ", "set=true", "get=2", \
            "get=0", "get", "GET=1", "foo=1", "foo", "=", "fwmark=5", "list=1", "\x00":
        yield one(f"{line!r} is no operation", lines(line, ""), INVALID, reference=((), ""),
                  reason=unknown_operation)
    yield one("lines of an unknown operation", "foo=1\nfwmark=5\n\n", INVALID, reference=((), ""),
              reason=unknown_operation)
    yield one("empty lines before a request", "\n\nset=1\nfwmark=5\n\n", 0, "fwmark=5",
              reference=((), ""), reason="what is left of a request that failed is no fault")
    yield one("get has no further lines", "get=1\nfwmark=5\n\n", INVALID)
    yield one("get has no further lines without a key", "get=1\nfoo\n\n", INVALID)
    yield one("get is not asked for twice at once", "get=1\nget=1\n\n", INVALID)
    yield one("a NUL in a value", "set=1\nfwmark=5\x006\n\n", INVALID)
    yield one("a NUL at the end of a value", "set=1\nfwmark=5\x00\n\n", INVALID)
    yield one("a NUL in a key", "set=1\nfw\x00mark=5\n\n", INVALID)
    yield one("a NUL before the line", "set=1\n\x00fwmark=5\n\n", INVALID)
    yield one("bytes that are no text", "set=1\n\x80\xfe=\xff\n\n", INVALID)
    yield one("the longest line", "set=1\nfwmark=" + "0" * 1015 + "5\n\n", 0, "fwmark=5")
    long = "a line has at most 1,023 bytes; the longest that is needed has 80"
    for length in 1024, 5000, 200000:
        yield one(f"a line of {length} bytes", "set=1\nfwmark=" + "0" * (length - 8) + "5\n\n",
                  INVALID, closed=True, reason=long,
                  reference=(0, "fwmark=5") if length < 65536 else (-5, ""))
    yield one("a first line of 5000 bytes", "x" * 5000 + "\n\n", INVALID, closed=True, reason=long,
              reference=((), ""))
    yield one("a line without end", "x" * 5000, INVALID, closed=True, ends=False, reason=long,
              reference=((), ""))
    yield one("a thousand lines", lines("set=1", *(f"fwmark={n}" for n in range(1, 1001)), ""), 0,
              "fwmark=1000")
    yield one("a hundred prefixes", lines("set=1", "public_key=$A", *(
        f"allowed_ip=10.0.{n}.0/24" for n in range(100)), "replace_allowed_ips=true", ""), 0,
        "public_key=$A")


TABLE = [*numbers(), *ports(), *keys(), *truths(), *passed_over(), *endpoints(), *prefixes(),
         *unknown(), *framing()]
