"""The script that joins from a Mac. Its logic is run here with stand-ins for what macOS ships and Linux has
not: they write down how they were called, and remember what interfaces and rules there are."""

import http.server
import pathlib
import re
import shutil
import ssl
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "packaging/macos/vprox-ipip.sh"
SHELLS = [["dash"], ["bash", "--posix"]]  # macOS has both, and sh is one of them
SERVER = "203.0.113.7"
PIN = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
PASSWORD = 'a "quoted" \\ secret $(date) %s'

# $WORLD is the folder they remember things in.
STAND_INS = {
    "id": "echo 0",
    "ifconfig": r"""
        echo "ifconfig $*" >>"$WORLD/calls"
        interface=$WORLD/interface-$1
        [ ! -e "$WORLD/fail-ifconfig" ] || ! grep -qx "$2" "$WORLD/fail-ifconfig" || exit 1
        [ "${2-}" = create ] || [ -e "$interface" ] || exit 1
        case ${2-} in
        create) touch "$interface" ;;
        destroy) rm "$interface" ;;
        tunnel) echo "tunnel inet $3 --> $4" >>"$interface" ;;
        deletetunnel) : >"$interface" ;;
        '') cat "$interface" ;;
        esac""",
    "route": r"""
        echo "route $*" >>"$WORLD/calls"
        case $2 in
        add) touch "$WORLD/route-$(echo "$4" | tr / _)" ;;
        delete) rm "$WORLD/route-$(echo "$4" | tr / _)" ;;
        esac""",
    "pfctl": r"""
        echo "pfctl $*" >>"$WORLD/calls"
        case " $* " in
        *' -f - '*) cat >"$WORLD/rules" ;;
        *' -F all '*) rm -f "$WORLD/rules" ;;
        *' -E '*)
            echo "pf enabled" >&2
            echo "Token : 12345" >&2
            touch "$WORLD/token-12345"
            ;;
        *' -X '*) rm "$WORLD/token-$3" ;;
        esac""",
    "ping": r"""
        echo "ping $*" >>"$WORLD/calls"
        [ ! -e "$WORLD/silent" ]""",
    "curl": r"""
        echo "curl $*" >>"$WORLD/calls"
        env >>"$WORLD/environment"
        cat >"$WORLD/config"
        path=$(sed -n 's|^url = "https://[^/]*/\(.*\)"|\1|p' "$WORLD/config")
        echo "$path" >>"$WORLD/asked"
        [ ! -e "$WORLD/unreachable" ] || exit 7
        cat "$WORLD/answer-$path"
        """,
}


class Mac:
    def __init__(self, folder, shell):
        self.world = folder / "world"
        self.bin = folder / "bin"
        self.world.mkdir()
        self.bin.mkdir()
        self.shell = [shutil.which(shell[0]), *shell[1:]]
        for name, text in STAND_INS.items():
            self.stand_in(name, text)
        self.answer("connect-ipip", '{"AssignedAddr":"10.100.0.3/16"}')
        self.answer("disconnect-ipip", '{"Status":"success"}')
        self.environment = {"PATH": f"{self.bin}:/usr/bin:/bin", "WORLD": str(self.world),
                            "VPROX_STATE_FOLDER": str(folder / "state"),
                            "VPROX_PASSWORD": PASSWORD}

    def stand_in(self, name, text):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def answer(self, path, body, status=200, local="198.51.100.9"):
        (self.world / f"answer-{path}").write_text(f"{body}\n{local}\n{status}\n")

    def run(self, *arguments, check=True):
        done = subprocess.run([*self.shell, SCRIPT, *arguments], env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              stdin=subprocess.DEVNULL, timeout=60)
        assert not check or done.returncode == 0, done.stdout
        return done

    def join(self, *arguments, check=True):
        return self.run("join", "--pin", PIN, *arguments, SERVER, check=check)

    def calls(self):
        path = self.world / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def asked(self):
        path = self.world / "asked"
        return path.read_text().split() if path.exists() else []

    def left(self):
        """What there is of interfaces, routes, rules, and the state."""
        names = {path.name for path in self.world.iterdir()}
        kept = {name for name in names if name.startswith(("interface-", "route-", "token-"))}
        if (self.world / "rules").exists():
            kept.add("rules")
        state = pathlib.Path(self.environment["VPROX_STATE_FOLDER"])
        return kept | ({"state"} if state.exists() and any(state.iterdir()) else set())


@pytest.fixture(name="mac", params=SHELLS, ids=lambda shell: shell[0])
def fixture_mac(request, tmp_path):
    return Mac(tmp_path, request.param)


@pytest.fixture(name="one_mac")
def fixture_one_mac(tmp_path):
    return Mac(tmp_path, SHELLS[0])


def test_shellcheck_has_nothing_to_say():
    subprocess.run(["shellcheck", "--shell=sh", SCRIPT], check=True)


def test_it_uses_only_what_macos_ships():
    """Words at the beginning of a command that are no functions and no builtins."""
    text = re.sub(r"cat <<'END'.*?\nEND\n", "", SCRIPT.read_text(), flags=re.DOTALL)
    known = set("awk cat curl grep head id ifconfig mkdir mv pfctl ping rm route sed sudo tail".split())
    used = set(re.findall(r"(?:^|[|&;(!]|\bif|\bthen)\s*(gawk|ip|python3?|jq|perl|realpath|readlink|"
                          r"stat|timeout|tac|seq|mktemp|nc|openssl|wg)\s", text, re.MULTILINE))
    assert not used - known


def test_join_sets_everything_up(mac):
    said = mac.join("--route", "192.0.2.0/24").stdout
    assert said == f"gif0: 10.100.0.3, to {SERVER} from 198.51.100.9\n"
    calls = mac.calls()
    in_order = ["ifconfig gif0 create", f"ifconfig gif0 tunnel 198.51.100.9 {SERVER}",
                "ifconfig gif0 inet 10.100.0.3 10.100.0.1 netmask 255.255.255.255",
                "ifconfig gif0 mtu 1480 up", "route -n add -net 192.0.2.0/24 -interface gif0",
                "pfctl -q -a com.apple/vprox -f -", "pfctl -E"]
    assert [call for call in calls if call in in_order] == in_order
    assert (mac.world / "rules").read_text() == (
        "pass out quick on ! gif0 route-to (gif0 10.100.0.1) inet from 10.100.0.3 to any no state\n")


def test_leave_takes_everything_down_and_tells_the_server(mac):
    mac.join("--route", "192.0.2.0/24", "--route", "198.18.0.0/15")
    assert mac.left() == {"interface-gif0", "route-192.0.2.0_24", "route-198.18.0.0_15",
                          "token-12345", "rules", "state"}
    assert mac.run("leave").stdout == "gif0: gone\n"
    assert mac.left() == set()
    assert mac.asked() == ["connect-ipip", "disconnect-ipip"]


def test_leave_works_without_the_server_and_without_a_password(mac):
    mac.join()
    (mac.world / "unreachable").touch()
    mac.run("leave")
    assert mac.left() == set()
    (mac.world / "unreachable").unlink()
    mac.join()
    del mac.environment["VPROX_PASSWORD"]
    mac.run("leave")
    assert mac.left() == set()


def test_an_interface_that_was_there_stays(one_mac):
    (one_mac.world / "interface-gif0").touch()
    one_mac.join()
    one_mac.run("leave")
    assert one_mac.left() == {"interface-gif0"}
    assert "ifconfig gif0 deletetunnel" in one_mac.calls()
    assert "ifconfig gif0 destroy" not in one_mac.calls()


def test_somebody_elses_tunnel_is_left_alone(one_mac):
    (one_mac.world / "interface-gif0").write_text("tunnel inet 192.0.2.1 --> 192.0.2.2\n")
    done = one_mac.join(check=False)
    assert done.returncode == 1 and "somebody else's" in done.stdout
    assert one_mac.asked() == []
    one_mac.join("--interface", "gif1")


def test_joining_again_heals(mac):
    mac.join("--route", "192.0.2.0/24", "--route", "198.18.0.0/15")
    (mac.world / "interface-gif0").unlink()
    (mac.world / "rules").unlink()
    mac.answer("connect-ipip", '{"AssignedAddr":"10.100.0.9/16"}')
    mac.join("--route", "198.18.0.0/15")
    assert mac.left() == {"interface-gif0", "route-198.18.0.0_15", "token-12345", "rules", "state"}
    assert "from 10.100.0.9 " in (mac.world / "rules").read_text()
    assert mac.calls().count("pfctl -E") == 1, "each takes a token, which nobody gives back"
    assert "ifconfig gif0 inet 10.100.0.3 delete" in mac.calls()
    mac.run("leave")
    assert mac.left() == set()


def test_a_tunnel_to_another_server_is_not_replaced(one_mac):
    one_mac.join()
    done = one_mac.run("join", "--pin", PIN, "203.0.113.8", check=False)
    assert done.returncode == 1 and "there is a tunnel to 203.0.113.7 by gif0" in done.stdout
    assert one_mac.asked() == ["connect-ipip"]


@pytest.mark.parametrize("step", ["create", "tunnel", "inet", "mtu"])
def test_a_join_that_fails_leaves_nothing_and_tells_the_server(one_mac, step):
    (one_mac.world / "fail-ifconfig").write_text(f"{step}\n")
    done = one_mac.join("--route", "192.0.2.0/24", check=False)
    assert done.returncode == 1 and "cannot set up gif0" in done.stdout
    assert one_mac.left() == set()
    assert one_mac.asked() == ["connect-ipip", "disconnect-ipip"]


@pytest.mark.parametrize("body, status, expected", [
    ("unauthorized", 401, "answers 401: unauthorized"),
    ("no more IP addresses available", 503, "answers 503: no more IP addresses available"),
    ("nonsense", 200, "cannot understand"),
    ('{"AssignedAddr":"10.100.0.300/16"}', 200, "cannot understand"),
    ('{"AssignedAddr":"10.100.0.3/33"}', 200, "cannot understand"),
    ('{"AssignedAddr":"$(touch /tmp/x)/16"}', 200, "cannot understand"),
    ("", 200, "cannot understand"),
])
def test_an_answer_that_is_none_is_said_and_changes_nothing(one_mac, body, status, expected):
    one_mac.answer("connect-ipip", body, status)
    done = one_mac.join(check=False)
    assert done.returncode == 1 and expected in done.stdout
    assert one_mac.left() == set()


@pytest.mark.parametrize("assigned, gateway", [
    ("10.100.0.3/16", "10.100.0.1"), ("10.100.200.77/20", "10.100.192.1"),
    ("240.0.0.6/30", "240.0.0.5"), ("255.1.2.3/8", "255.0.0.1"), ("10.0.0.129/25", "10.0.0.129"),
])
def test_the_gateway_is_the_first_host_of_the_block(mac, assigned, gateway):
    mac.answer("connect-ipip", f'{{"AssignedAddr" : "{assigned}"}}')
    mac.join()
    assert f"gateway: {gateway}" in mac.run("status").stdout.splitlines()


def test_the_password_reaches_curl_on_its_standard_input_alone(mac):
    mac.join()
    config = (mac.world / "config").read_text()
    escaped = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    assert f'header = "Authorization: Bearer {escaped}"\n' in config
    assert f'pinnedpubkey = "{PIN}"\n' in config
    for text in "\n".join(mac.calls()), (mac.world / "environment").read_text():
        assert "secret" not in text
    state = pathlib.Path(mac.environment["VPROX_STATE_FOLDER"])
    assert "secret" not in (state / "state").read_text()
    assert (state / "state").stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700


def test_the_password_may_come_from_a_file(mac, tmp_path):
    (tmp_path / "password").write_text("from a file\n")
    mac.join("--password-file", str(tmp_path / "password"))
    assert "Bearer from a file\"" in (mac.world / "config").read_text()
    del mac.environment["VPROX_PASSWORD"]
    mac.run("leave")
    assert mac.asked() == ["connect-ipip", "disconnect-ipip"]


@pytest.mark.parametrize("password", ["", "with\na break", "with\ra return"])
def test_a_password_that_cannot_be_sent_is_refused(one_mac, password):
    one_mac.environment["VPROX_PASSWORD"] = password
    assert one_mac.join(check=False).returncode == 1
    assert one_mac.asked() == []


def test_health_asks_the_gateway_from_the_inner_address(mac):
    assert mac.run("health", check=False).returncode == 1
    mac.join()
    assert mac.run("health").stdout == "healthy\n"
    assert mac.calls()[-1] == "ping -c 3 -t 5 -S 10.100.0.3 10.100.0.1"
    (mac.world / "silent").touch()
    assert mac.run("health", check=False).returncode == 1


def test_status_says_what_there_is(mac):
    done = mac.run("status", check=False)
    assert (done.returncode, done.stdout) == (1, "no tunnel\n")
    mac.join("--route", "192.0.2.0/24")
    lines = mac.run("status").stdout.splitlines()
    assert lines == ["interface: gif0", f"server: {SERVER}", "local address: 198.51.100.9",
                     "inner address: 10.100.0.3/16", "gateway: 10.100.0.1", "route: 192.0.2.0/24"]
    (mac.world / "interface-gif0").unlink()
    done = mac.run("status", check=False)
    assert done.returncode == 1 and "is gone" in done.stdout


@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["status", "--pin", PIN], ["join"], ["join", SERVER],
    ["join", "--pin"], ["join", "--pin", PIN], ["join", "--pin", "md5//x", SERVER],
    ["join", "--pin", PIN, "example.com"], ["join", "--pin", PIN, "203.0.113"],
    ["join", "--pin", PIN, "203.0.113.256"], ["join", "--pin", PIN, "203.0.113.07"],
    ["join", "--pin", PIN, "203.0.113.7 x"], ["join", "--pin", PIN, SERVER, SERVER],
    ["join", "--pin", PIN, "--route", "192.0.2.0", SERVER],
    ["join", "--pin", PIN, "--route", "192.0.2.0/33", SERVER],
    ["join", "--pin", PIN, "--route", "0.0.0.0/0", SERVER],
    ["join", "--pin", PIN, "--route", "203.0.113.0/24", SERVER],
    ["join", "--pin", PIN, "--interface", "en0", SERVER],
    ["join", "--pin", PIN, "--interface", "gif", SERVER],
    ["join", "--pin", PIN, "--nonsense", SERVER],
])
def test_a_wrong_command_line_changes_nothing(one_mac, arguments):
    assert one_mac.run(*arguments, check=False).returncode == 2
    assert one_mac.asked() == [] and one_mac.left() == set()


def test_help_names_every_option(one_mac):
    said = one_mac.run("--help").stdout
    options = set(re.findall(r"^\t\t(--[a-z-]+)\)", SCRIPT.read_text(), re.MULTILINE))
    assert len(options) >= 5
    assert one_mac.run("join", "--help").stdout == said
    for option in options:
        assert option in said


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        good = self.headers["Authorization"] == f"Bearer {PASSWORD}"
        body = b'{"AssignedAddr":"10.100.0.3/16"}' if good else b"unauthorized\n"
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.paths.append(self.path)

    def log_message(self, *_):
        pass


@pytest.fixture(name="https")
def fixture_https(tmp_path):
    """A server with a certificate of its own: (port, pin, the file, the paths asked for)."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=vprox", "-addext", f"subjectAltName=IP:{SERVER}"],
                   check=True, capture_output=True)
    pin = subprocess.run(
        f"openssl pkey -in {key} -pubout -outform der | openssl dgst -sha256 -binary | base64",
        shell=True, check=True, text=True, capture_output=True).stdout.strip()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.paths = []
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], f"sha256//{pin}", certificate, server.paths
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(name="mac_with_curl")
def fixture_mac_with_curl(tmp_path, https):
    """With the real curl, led to the server here."""
    (tmp_path / "mac").mkdir()
    mac = Mac(tmp_path / "mac", SHELLS[0])
    mac.stand_in("curl", f'exec {shutil.which("curl")} --connect-to ::127.0.0.1:{https[0]} "$@"')
    return mac


def test_the_real_curl_understands_it(mac_with_curl, https):
    _, pin, certificate, paths = https
    for who in ["--pin", f"{PIN};{pin}"], ["--cacert", str(certificate)]:
        mac_with_curl.run("join", *who, SERVER)
        assert "ifconfig gif0 tunnel 127.0.0.1 203.0.113.7" in mac_with_curl.calls()
        mac_with_curl.run("leave")
    assert paths == ["/connect-ipip", "/disconnect-ipip"] * 2


def test_the_password_is_not_sent_to_a_server_with_another_key(mac_with_curl, https):
    done = mac_with_curl.join(check=False)
    assert done.returncode == 1 and "no answer" in done.stdout
    assert https[3] == [] and mac_with_curl.left() == set()


def test_a_wrong_password_is_said(mac_with_curl, https):
    mac_with_curl.environment["VPROX_PASSWORD"] = "wrong"
    done = mac_with_curl.run("join", "--pin", https[1], SERVER, check=False)
    assert done.returncode == 1 and "answers 401: unauthorized" in done.stdout
