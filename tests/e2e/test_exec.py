"""`vprox exec`: a command whose only way out is a tunnel, as who called it, and nothing left of it."""

import os
import pathlib
import shlex
import shutil
import signal
import socket
import socketserver
import struct
import threading

import pytest

from lab.api import PASSWORD
from lab.client import Client
from lab.echo import VISITED
from lib import wait

NAME_SERVER = VISITED
SECONDS = 60
NOBODY = 65534
# What curl on a minimal Debian would do: the image has no curl, but python3.
VISIT = f"""
import socket
with socket.create_connection(("{VISITED}", 80), 20) as sock:
    sock.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    answer = b""
    while data := sock.recv(4096):
        answer += data
print(answer.partition(b"\\r\\n\\r\\n")[2].decode().split()[0])
"""
# Sends packets as long as the interface's MTU, and says when that changes: SIOCGIFMTU.
FILL = f"""
import fcntl, socket, struct, time
sock, old = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), None
sock.setsockopt(socket.IPPROTO_IP, 10, 3)  # IP_MTU_DISCOVER: IP_PMTUDISC_PROBE
[name] = [name for _, name in socket.if_nameindex() if name.startswith("vprox")]
while True:
    new = struct.unpack("16xI20x", fcntl.ioctl(sock, 0x8921, struct.pack("16s24x", name.encode())))[0]
    if new != old:
        print("MTU", new, flush=True)
    old = new
    try:
        sock.sendto(bytes(new - 28), ("{VISITED}", 9))
    except OSError:
        pass
    time.sleep(0.1)
"""
PYTHON = ["/usr/bin/python3", "-B", "-c"]


class NameServer(socketserver.BaseRequestHandler):
    """Knows one answer to whatever it is asked: RFC 1035, 4.1."""

    def handle(self):
        request, sock = self.request
        self.server.asked_from.append(self.client_address[0])
        question = request[12:request.index(b"\0", 12) + 5]
        is_a = question[-4:-2] == b"\0\1"
        answer = struct.pack("!HHHIH4s", 0xc00c, 1, 1, 60, 4, bytes([198, 51, 100, 80]))
        sock.sendto(request[:2] + struct.pack("!HHHHH", 0x8180, 1, int(is_a), 0, 0) + question
                    + (answer if is_a else b""), self.client_address)


@pytest.fixture(name="names")
def fixture_names(world):
    """A name server on the Internet; .asked_from has who asked it."""
    server = world.internet.enter(socketserver.UDPServer, (NAME_SERVER, 53), NameServer)
    server.asked_from = []
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Exec(Client):
    def out(self):
        return self.out_path.read_text()

    def end(self, status=0):
        assert self.wait(SECONDS) == status, self.log + self.out()
        return self.out().strip()


def give_resolv_conf(machine):
    """There must be one to be replaced; a minimal machine may have none."""
    folder = machine.state / "etc"
    if os.path.exists("/etc/resolv.conf") or folder.exists():
        return
    shutil.copytree("/etc", folder, symlinks=True)
    (folder / "resolv.conf").unlink(missing_ok=True)
    (folder / "resolv.conf").touch()
    machine.mounts.append((folder, "/etc"))


def start(machine, host, command, arguments="--dns 198.51.100.80", kind="wireguard", password=PASSWORD,
          **variables):
    give_resolv_conf(machine)
    words = ["exec", f"--tunnel={kind}", f"--plane={machine.options.plane}", "--log-level=info",
             *shlex.split(arguments), host.address, "--",
             *(shlex.split(command) if isinstance(command, str) else command)]
    environment = machine.environment(password)
    environment.pop("SUDO_UID", None)
    client = Exec(machine, words, {**environment, **variables}, None)
    machine.clients.append(client)
    return client


def run(machine, host, command, **kwargs):
    return start(machine, host, command, **kwargs).end()


def nothing_is_left(machine, before):
    wait.until(lambda: not machine.processes(), 20, lambda: f"no process: {machine.processes()}")
    wait.until(lambda: machine.snapshot() == before, 20, "as it was before")
    assert not list((machine.state / "run/wireguard").glob("*.sock"))


@pytest.fixture(name="before")
def fixture_before(machine):
    return machine.snapshot()


@pytest.mark.plane
@pytest.mark.sanitize
def test_a_command_leaves_through_the_tunnel_alone_and_nothing_of_it_is_left(
        host, machine, before, kind):
    host.start()
    command = start(machine, host, [*PYTHON, VISIT], kind=kind)
    assert command.end() == host.address
    nothing_is_left(machine, before)
    assert not command.errors(), command.log
    assert machine.visit() == machine.node.address


@pytest.mark.plane
def test_the_host_and_its_other_ways_out_cannot_be_reached(host, machine, before):
    host.start()
    said = run(machine, host, "sh -c 'ip -o address; ip route; ip -6 route; ip rule'")
    assert machine.node.address not in said and "inet6" not in said, said
    assert "default dev vprox-exec0" in said
    assert not [line for line in said.splitlines() if " dev " in line and "vprox-exec0" not in line
                and " lo" not in line], said
    nothing_is_left(machine, before)


def test_it_sees_its_own_interfaces_in_sysfs_and_all_else_as_before(host, machine, kind):
    host.start()
    look = "sh -c 'ls /sys/class/net; cat /sys/class/net/vprox*/operstate; ls -A /sys /sys/fs/cgroup'"
    *own, state, there = run(machine, host, look, kind=kind).split("\n", 3)
    assert own == ["lo", "vprox-exec0" if kind == "wireguard" else "vprox-ipip0"] and state in ("unknown", "up"), (own, state)
    assert there == machine.ns.run("ls -A /sys /sys/fs/cgroup").strip()


def test_its_status_is_the_commands_and_of_its_own_if_it_did_not_run(host, machine):
    host.start("--announce-dns 198.51.100.80")
    start(machine, host, "sh -c 'exit 7'", arguments="").end(7)
    start(machine, host, "sh -c 'kill -9 $$'", arguments="").end(128 + 9)
    start(machine, host, "/nowhere/at-all", arguments="").end(127)
    start(machine, host, "/etc/passwd", arguments="").end(126)
    start(machine, host, "true", arguments="", password="wrong").end(125)
    start(machine, host, "true", arguments="--user nobody-of-this-name").end(125)


@pytest.mark.sanitize
def test_names_are_asked_for_through_the_tunnel(host, machine, names):
    host.start("--announce-dns 198.51.100.80")
    look_up = [*PYTHON, "import socket; print(socket.gethostbyname('some.name.example'))"]
    assert run(machine, host, look_up, arguments="") == VISITED
    assert set(names.asked_from) == {host.address}
    said = run(machine, host, "cat /etc/resolv.conf", arguments="--dns 9.9.9.9 --dns 149.112.112.112")
    assert said == "nameserver 9.9.9.9\nnameserver 149.112.112.112", "--dns comes before"


def test_without_a_name_server_it_does_not_run(host, machine, before):
    host.start()
    command = start(machine, host, "echo it ran", arguments="")
    assert command.end(125) == ""
    assert command.count("announces no name server .--announce-dns.: name one with --dns") == 1
    nothing_is_left(machine, before)


def test_services_that_would_look_names_up_past_the_tunnel_are_hidden(host, machine):
    host.start()
    for folder in "nscd", "systemd/resolve", "avahi-daemon":
        (machine.state / "run" / folder).mkdir(parents=True)
        (machine.state / "run" / folder / "socket").touch()
    said = run(machine, host, "sh -c 'ls -A /run/nscd /run/systemd/resolve /run/avahi-daemon; "
               "ls -A /run/vprox'")
    assert "socket" not in said and "key" not in said, said
    assert (machine.state / "run/nscd/socket").exists()


def identity(said):
    return dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)


@pytest.mark.parametrize("arguments, variables, uid", [
    ("", {"SUDO_UID": "65534", "SUDO_GID": "65534"}, NOBODY),
    ("--user nobody", {}, NOBODY), ("--user 4321", {}, 4321), ("", {}, 0)])
def test_it_runs_as_who_called_it_without_rights_and_without_the_password(
        host, machine, arguments, variables, uid):
    host.start()
    said = run(machine, host, ["sh", "-c", "cat /proc/self/status; env; echo \"pid:\t$$\""],
               arguments=f"--dns 9.9.9.9 {arguments}", VPROX_PASSWORD_PREVIOUS="older",
               VPROX_OIDC_TOKEN="not used", **variables)
    status = identity(said)
    assert set(status["Uid"].split()) == {str(uid)}
    assert all(int(status[name], 16) == 0
               for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")), said
    assert status["NoNewPrivs"] == "1"
    assert int(status["pid"]) < 10, "it has processes of its own"
    assert "VPROX_PASSWORD" not in said and "VPROX_OIDC_TOKEN" not in said
    if uid == NOBODY:
        assert "\nHOME=/nonexistent" in said and "\nUSER=nobody" in said
    assert int(status["SigBlk"], 16) == 0


@pytest.mark.plane
def test_two_run_side_by_side(host, machine, before):
    host.start()
    commands = [start(machine, host, ["sh", "-c", f"echo began; read go; exec {shlex.join([*PYTHON, VISIT])}"])
                for _ in range(2)]
    # Standard input is the test's: they go on at its end.
    for command in commands:
        assert command.end().splitlines() == ["began", host.address]
    nothing_is_left(machine, before)


def test_a_second_one_over_ipip_is_refused(host, machine):
    host.start()
    first = start(machine, host, "sh -c 'echo began; exec sleep 60'", kind="ipip")
    wait.until(lambda: "began" in first.out(), SECONDS, lambda: first.log)
    second = start(machine, host, "true", kind="ipip")
    second.end(125)
    assert second.count("another `vprox exec --tunnel=ipip` runs") == 1
    first.process.terminate()
    first.end(128 + signal.SIGTERM)


TRAP = "trap 'echo got it; exit 3' {}; echo began; while :; do sleep 0.1; done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_passed_on_and_the_command_decides(host, machine, before, number):
    host.start()
    command = start(machine, host, ["sh", "-c", TRAP.format(number.name.removeprefix("SIG"))])
    wait.until(lambda: "began" in command.out(), SECONDS, lambda: command.log)
    command.process.send_signal(number)
    assert command.end(3).splitlines() == ["began", "got it"]
    nothing_is_left(machine, before)


def test_a_signal_before_the_tunnel_is_up_ends_it(host, machine, before):
    command = start(machine, host, "echo it ran")  # no server runs
    assert command.logged("connects to")
    command.process.send_signal(signal.SIGINT)
    assert command.end(128 + signal.SIGINT) == ""
    nothing_is_left(machine, before)


def test_without_a_server_it_gives_up_in_time(host, machine, before):
    command = start(machine, host, "echo it ran", arguments="--dns 9.9.9.9 --timeout=1s")
    assert command.end(125) == ""
    assert command.count("there was no tunnel within 1 s") == 1
    nothing_is_left(machine, before)


def test_where_echoes_are_filtered_the_tunnel_counts_as_up(host, machine, kind):
    host.start()
    host.ns.sysctl(net__ipv4__icmp_echo_ignore_all=1)
    assert run(machine, host, [*PYTHON, VISIT], kind=kind) == host.address


def inside(machine, command):
    """The pids of all in the namespaces of the command's, the first one first."""
    own = os.stat(f"/proc/{command.process.pid}/ns/pid")
    children = pathlib.Path(f"/proc/{command.process.pid}/task/{command.process.pid}/children")
    first = [int(pid) for pid in children.read_text().split()
             if not os.path.samestat(os.stat(f"/proc/{pid}/ns/pid"), own)]
    assert len(first) == 1
    net = os.stat(f"/proc/{first[0]}/ns/net")
    others = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.samestat(os.stat(f"/proc/{entry}/ns/net"), net) and int(entry) != first[0]:
                others.append(int(entry))
        except OSError:
            pass
    return [*first, *others]


def gone(pids):
    return lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids)


@pytest.mark.plane
@pytest.mark.parametrize("victim", ["vprox", "command", "first"])
def test_when_either_is_killed_nothing_is_left(host, machine, before, victim):
    host.start()
    # One that leaves its parent, its session and its signals behind is ended too.
    command = start(machine, host, ["sh", "-c", "setsid sh -c 'trap \"\" TERM HUP; sleep 300' & "
                                    "echo began; exec sleep 301"])
    wait.until(lambda: "began" in command.out(), SECONDS, lambda: command.log)
    pids = inside(machine, command)
    wait.until(lambda: len(inside(machine, command)) >= 4, SECONDS, "all have begun")
    pids = inside(machine, command)
    [sleeper] = [pid for pid in pids
                 if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\0" b"301\0"]
    if victim == "vprox":
        command.process.kill()
        assert command.wait() == -signal.SIGKILL
    else:
        os.kill(sleeper if victim == "command" else pids[0], signal.SIGKILL)
        command.end(128 + signal.SIGKILL)
    wait.until(gone(pids), 20, "all that it has started has ended")
    nothing_is_left(machine, before)
    assert run(machine, host, [*PYTHON, VISIT]) == host.address


@pytest.mark.plane
def test_what_a_killed_one_had_not_moved_yet_is_taken_away_by_the_next(host, machine, before):
    host.start()
    machine.ns.run("ip tuntap add vprox-exec0 mode tun")
    run_folder = machine.state / "run/vprox"
    run_folder.mkdir(exist_ok=True)
    (run_folder / "client-creating-vprox-exec0").touch()
    assert run(machine, host, [*PYTHON, VISIT]) == host.address
    nothing_is_left(machine, before)


def test_the_tunnel_is_made_again_while_the_command_runs(host, machine):
    """Also by a server that does not announce any more which name servers it began with."""
    server = host.start("--announce-dns 198.51.100.80")
    loop = "import time\nfor _ in range(600):\n  try:\n" + "".join(
        f"    {line}\n" for line in VISIT.strip().replace(", 20)", ", 2)").splitlines()) + "  except OSError: pass\n" \
        "  import sys; sys.stdout.flush(); time.sleep(0.2)\n"
    command = start(machine, host, [*PYTHON, loop], arguments="")
    wait.until(lambda: host.address in command.out(), SECONDS, lambda: command.log)
    server.stop()
    seen = len(command.out())
    host.start()
    wait.until(lambda: len(command.out()) > seen + 100, 120, lambda: command.log)
    command.process.terminate()
    command.end(128 + signal.SIGTERM)


@pytest.mark.plane
def test_the_mtu_follows_the_way_to_the_server_while_the_command_runs(world, host, machine, kind):
    """Packets of that size are whole outside, and not padded beyond the MTU: WireGuard adds 60 bytes,
    as its header of IPv4 is 20 shorter than what the MTU leaves room for."""
    outside = {"wireguard": 1333 + 60, "ipip": 1393 + 20}[kind]
    host.start()
    command = start(machine, host, [*PYTHON, FILL], kind=kind)
    wait.until(lambda: "MTU 14" in command.out(), SECONDS, lambda: command.log)
    world.internet.run(["nft", "table ip count { counter whole {}; counter longer {}; "
                        "chain w { counter name whole; }; chain l { counter name longer; }; chain c { type filter hook prerouting priority -450; "
                        f"ip saddr {machine.node.address} ip protocol {{ udp, 4 }} "
                        f"ip length vmap {{ {outside} : jump w, {outside + 1}-65535 : jump l }}; }}; }}"])

    def count(name):
        found, = [int(line.split()[1]) for line in
                  world.internet.run(f"nft list counter ip count {name}").splitlines() if "packets" in line]
        return found
    try:
        machine.narrow(1413)
        wait.until(lambda: f"MTU {1333 if kind == 'wireguard' else 1393}" in command.out(), SECONDS,
                   lambda: command.log + command.out())
        wait.until(lambda: count("whole") > 0, SECONDS, "those that were on their way already have passed")
        world.internet.run("nft reset counters table ip count")
        wait.until(lambda: count("whole") >= 3, SECONDS, lambda: command.log)
        assert count("longer") == 0
    finally:
        world.internet.run("nft delete table ip count")
    command.process.terminate()
    command.end(128 + signal.SIGTERM)


@pytest.mark.only("embedded", reason="the kernel's interface has no process")
def test_a_device_that_is_killed_is_made_again_in_the_namespace(host, machine, kind):
    host.start()
    command = start(machine, host, ["sh", "-c", "echo began; sleep 1; read go; sleep 300"], kind=kind)
    wait.until(lambda: "began" in command.out(), SECONDS, lambda: command.log)
    devices = [pid for pid in machine.processes()
               if b"device\0vprox-" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert devices
    for pid in devices:
        os.kill(pid, signal.SIGKILL)
    command.logged("gone or down: making it again")
    wait.until(lambda: [pid for pid in machine.processes() if pid not in devices and b"device\0vprox-"
                        in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()], SECONDS, "a new one")
    command.process.terminate()
    command.end(128 + signal.SIGTERM)


@pytest.mark.parametrize("arguments, named", [
    ("", "SERVER is missing"), ("-- curl", "COMMAND is missing behind SERVER, curl"),
    ("--dns=127.0.0.53 203.0.113.7 -- true", "--dns 127.0.0.53"),
    ("--dns=name 203.0.113.7 -- true", "--dns name"),
    ("--interface=vprox0 203.0.113.7 -- true", "--interface"),
    ("--insecure --pin=sha256//l/gZ0l5n9lQzOeBX4r0DlXGyQkdT9M1u3hJr0eFfB9A= 203.0.113.7 -- true",
     "--insecure")])
def test_bad_input_is_named_and_ends_with_status_2(host, arguments, named):
    status, said = host.run("exec " + arguments)
    assert status == 2 and named in said


LISTEN = """
import socket
with socket.create_server(("0.0.0.0", 2222)) as listener:
    listener.settimeout(60)
    with open("/run/address", "w") as out, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("198.51.100.80", 9))
        out.write(sock.getsockname()[0] + "\\n")
    print(listener.accept()[1][0])
"""


@pytest.mark.parametrize("arguments", ["", "--allow-inbound"])
def test_what_the_command_listens_on_is_reached_only_where_that_is_allowed(
        host, machine, before, kind, arguments):
    host.start()
    told = machine.state / "run/address"
    client = start(machine, host, [*PYTHON, LISTEN], f"--dns 198.51.100.80 --user root {arguments}",
                   kind=kind)
    wait.until(lambda: told.exists() and told.read_text().endswith("\n"), SECONDS, lambda: client.log)
    address = told.read_text().strip()
    assert host.ns.try_run(f"ping -n -c 1 -W 10 {address}").returncode == 0, "an echo is answered"

    def connect():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(15 if arguments else 2)
            return sock.connect_ex((address, 2222))
    assert (host.ns.enter(connect) == 0) == bool(arguments)
    if arguments:
        assert client.end() == "10.100.0.1"
    else:
        client.process.terminate()
        client.wait(SECONDS)
    nothing_is_left(machine, before)
