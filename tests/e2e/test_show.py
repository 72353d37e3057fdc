"""`vprox show`: what it tells is so, only root is told, and nobody who asks holds up the server."""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time

import pytest

from lab import echo
from lab.api import Connection
from lab.tunnels import random_key
from lib import wait
from lib.capture import send
from lib.netns import stop
from lib.packets import ipv4, udp_packet

CROWD = 50
FRESH_SECONDS = 15  # counters are a second old, and the machine may be slow
QUESTION = struct.pack("=II", 3, 0)  # REPORT_VERSION
PLACES = 8
DEADLINE = 10


def peers(report):
    """Inner address to peer, of all endpoints."""
    return {peer["inner"]: peer for endpoint in report["endpoints"] for peer in endpoint["peers"]}


def socket_path(host):
    return host.state / "run/vprox/control.sock"


def connection(host):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(socket_path(host)))
    sock.settimeout(3 * DEADLINE)
    return sock


# What it tells

def test_what_the_firewall_refuses_is_counted_by_reason(host, client):
    server = host.start("--max-flows-per-peer=5")
    tunnel = host.tunnel("ipip", client).up()
    before = host.shown()["refused_packets"]
    gre = ipv4(tunnel.inner, echo.VISITED, 47, bytes(40))
    send(tunnel.ns, tunnel.device, gre, gre,
         udp_packet(tunnel.inner, "192.168.3.1", 1, 53), udp_packet(tunnel.inner, tunnel.gateway, 1, 53),
         *[udp_packet(tunnel.inner, echo.VISITED, port, 53) for port in range(1, 11)])
    expected = {"protocol": 2, "destination": 1, "host": 1, "flows": 5}
    wait.until(lambda: all(host.shown()["refused_packets"][reason] == before[reason] + n
                           for reason, n in expected.items()), what=lambda: host.shown())
    assert re.search(r"refused packets: 1 destination, 1 host, 2 protocol, 5 flows",
                     host.run("show")[1])
    assert 'vprox_refused_packets_total{reason="flows"} 5\n' in host.run("show --metrics")[1]
    tracking = host.shown()["tracking"]
    assert 0 < tracking["connections"] < tracking["max"] and not tracking["full"]
    assert server.process.poll() is None


@pytest.mark.sanitize
def test_a_hundred_clients_are_all_told_of(world, host):
    sources = [f"198.51.100.{n}" for n in range(100, 100 + CROWD)]
    server = host.start("--wg-block-per-ip=/24", ips=[host.address, host.second])
    node = world.add_client(sources)
    expected = {}
    for n, source in enumerate(sources):
        api = host.api(node, (host.address, host.second)[n % 2])
        key = random_key()
        expected[api.connect_ipip(source=source).inner] = ("ipip", source, None)
        expected[api.connect(key).inner] = ("wireguard", None, key)
    report = host.shown()
    assert {inner: (peer["kind"], peer["outer"], peer["public_key"])
            for inner, peer in peers(report).items()} == expected
    assert (report["pid"], report["stopping"]) == (server.pid, False)
    assert [gate["pid"] for gate in report["gates"]] == server.gates()
    assert re.search(re.escape(report["tls_pin"]), server.log)
    assert [endpoint["address"] for endpoint in report["endpoints"]] == [host.address, host.second]
    for index, endpoint in enumerate(report["endpoints"]):
        assert endpoint["pool"] == {"capacity": 253, "taken": CROWD}
        assert (endpoint["interface"], endpoint["port"]) == (f"vprox{index}", 50227 + index)
        assert endpoint["block"] == f"10.100.{index}.0/24"
        assert endpoint["public_key"] == \
            host.ns.run(f"wg show {endpoint['interface']} public-key").strip()
    status, text = host.run("show")
    assert status == 0
    assert all(re.search(rf"^\s+{re.escape(inner)}\s", text, re.MULTILINE) for inner in expected)
    status, metrics = host.run("show --metrics")
    assert status == 0
    for address in host.address, host.second:
        for kind in "wireguard", "ipip":
            assert f'vprox_peers{{endpoint="{address}",kind="{kind}"}} {CROWD // 2}\n' in metrics
    world.remove(node)


@pytest.mark.plane
def test_what_it_says_of_a_wireguard_peer_is_what_wg_says(shared_host, server, client):
    tunnel = shared_host.tunnel("wireguard", client).up()
    assert tunnel.download()

    def agree():
        dump = shared_host.ns.run("wg show vprox0 dump").splitlines()[1:]
        _, _, outer, allowed, handshake, received, sent, _ = next(
            line.split("\t") for line in dump if line.startswith(tunnel.public_key))
        peer = peers(shared_host.shown())[allowed.removesuffix("/32")]
        return (peer["public_key"], peer["outer"], peer["last_handshake"],
                peer["received_bytes"], peer["sent_bytes"]) == (
                    tunnel.public_key, outer.split(":")[0], int(handshake), int(received),
                    int(sent))
    wait.until(agree, FRESH_SECONDS)
    peer = peers(shared_host.shown())[tunnel.inner]
    assert peer["outer"] == client.address and peer["sent_bytes"] > 2_000_000


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_what_it_says_of_an_ipip_peer_is_what_ip_says(shared_host, server, client):
    tunnel = shared_host.tunnel("ipip", client).up()
    assert tunnel.download()
    name = next(name for name, link in shared_host.ipip_links().items()
                if link["linkinfo"]["info_data"]["remote"] == client.address)

    def agree():
        stats = json.loads(shared_host.ns.run(f"ip -s -j link show {name}"))[0]["stats64"]
        peer = peers(shared_host.shown())[tunnel.inner]
        return (peer["received_bytes"], peer["sent_bytes"]) == (
            stats["rx"]["bytes"], stats["tx"]["bytes"])
    wait.until(agree, FRESH_SECONDS)
    assert peers(shared_host.shown())[tunnel.inner]["sent_bytes"] > 2_000_000


@pytest.mark.plane
@pytest.mark.sanitize
def test_traffic_is_told_as_bytes_as_a_rate_and_as_activity(shared_host, client, tunnel):
    endpoint = shared_host.shown()["endpoints"][0]
    ping = client.ns.popen(f"ping -q -n -i 0.05 -s 1000 -w 60 -I {tunnel.device} {tunnel.gateway}",
                           stdout=subprocess.DEVNULL)

    def moves():
        peer = peers(shared_host.shown())[tunnel.inner]
        return (peer["received_bytes_per_s"] > 1000 and peer["sent_bytes_per_s"] > 1000
                and peer["received_bytes"] > 1000 and peer["idle_ms"] < 60_000)
    wait.until(moves, FRESH_SECONDS)
    stop(ping)
    wait.until(lambda: peers(shared_host.shown())[tunnel.inner]["received_bytes_per_s"] == 0,
               FRESH_SECONDS)
    after = shared_host.shown()["endpoints"][0]
    assert after["received_bytes"] > endpoint["received_bytes"]
    assert after["sent_bytes"] > endpoint["sent_bytes"]


def test_only_what_was_chosen_is_told(host, client):
    host.start("--wg-block-per-ip=/24", ips=[host.address, host.second])
    key = random_key()
    first = host.api(client).connect(key).inner
    second = host.api(client, host.second).connect_ipip().inner
    assert set(peers(host.shown())) == {first, second}
    assert set(peers(host.shown(f"--endpoint {host.second}"))) == {second}
    for who, inner in (key, first), (client.address, second), (first, first):
        report = host.shown(f"--peer {who}")
        assert set(peers(report)) == {inner} and len(report["endpoints"]) == 1
    for arguments in "--peer 192.0.2.250", f"--endpoint {host.third}", f"--peer {random_key()}":
        status, said = host.run(f"show {arguments}")
        assert status == 1 and f"{arguments}: the server " in said


def test_a_gate_that_was_replaced_is_told(host):
    server = host.start(expected=["killed by signal"])
    pid = host.shown()["gates"][0]["pid"]
    os.kill(pid, signal.SIGKILL)

    def replaced():
        gate = host.shown()["gates"][0]
        return gate["ready"] and gate["pid"] != pid and gate["restarts"] == 1
    wait.until(replaced, FRESH_SECONDS)
    assert [gate["pid"] for gate in host.shown()["gates"]] == server.gates()


def test_a_server_that_drains_still_tells(host, client):
    server = host.start()
    with Connection(client, host.address, timeout=30) as held:
        # Half a request keeps it from going right away.
        held.send(b"POST /connect-ipip HTTP/1.1\r\nHost: x\r\n")
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        assert server.logged("stopping", 30)
        assert host.shown()["stopping"] is True
    assert server.wait() == 0


# Who is told

def run_as_nobody(host, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = shutil.copy(host.options.vprox, folder)
        process = host.ns.popen(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, *arguments],
            host.mounts, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = process.communicate(timeout=30)[0]
    return process.returncode, said


def test_only_root_is_told(host):
    server = host.start()
    assert oct(socket_path(host).stat().st_mode & 0o777) == "0o600"
    assert oct(socket_path(host).parent.stat().st_mode & 0o777) == "0o700"
    status, said = run_as_nobody(host, "show")
    assert status == 1 and "root" in said and host.address not in said
    # Also where somebody has opened the door.
    socket_path(host).chmod(0o666)
    socket_path(host).parent.chmod(0o755)
    status, said = run_as_nobody(host, "show", "--json")
    assert status == 1 and "root" in said and host.address not in said
    assert server.logged("refused a connection", 30)
    assert host.shown()["pid"] == server.pid


def test_without_a_server_it_says_so_and_what_to_do(host):
    def nobody():
        status, said = host.run("show --json")
        assert status == 1
        return "no vprox server runs on this host" in said and "vprox clean" in said
    assert nobody()
    server = host.start()
    server.kill()
    assert socket_path(host).exists() and nobody()
    server = host.start()
    assert host.shown()["pid"] == server.pid
    server.stop()
    assert not socket_path(host).exists() and nobody()


# Nobody holds up the server

def test_a_reader_that_stopped_does_not_stop_the_answers(host, client):
    server = host.start()
    stopped = [host.ns.popen([host.options.vprox, "show", "--watch=100ms"], host.mounts,
                             stdout=subprocess.PIPE) for _ in range(3)]
    for process in stopped:
        assert process.stdout.read(1)
        process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    for _ in range(3):
        assert host.shown()["pid"] == server.pid
        assert host.api(client).connect(random_key()).status == 200
    assert time.monotonic() - began < DEADLINE + FRESH_SECONDS
    for process in stopped:
        process.kill()
        stop(process)


@pytest.mark.sanitize
def test_connections_that_do_nothing_make_others_wait_for_a_while_only(host, client):
    host.start()
    silent = [connection(host) for _ in range(PLACES)]
    deaf = [connection(host) for _ in range(2)]
    for sock in deaf:
        sock.sendall(QUESTION)
    # Clients notice nothing.
    for _ in range(3):
        assert host.api(client).connect(random_key()).status == 200
    assert host.shown(seconds=3 * DEADLINE)
    assert all(sock.recv(1) == b"" for sock in silent)
    for sock in silent + deaf:
        sock.close()


def test_a_storm_of_questions_does_not_keep_clients_waiting(host, client):
    host.start()
    assert host.api(client).connect(random_key()).status == 200
    watchers = [host.ns.popen([host.options.vprox, "show", "--json", "--watch=100ms"], host.mounts,
                              stdout=subprocess.DEVNULL) for _ in range(2)]
    for _ in range(5):
        assert host.api(client).connect(random_key()).status == 200
    assert all(process.poll() is None for process in watchers)
    for process in watchers:
        stop(process)


# Watching

def test_watching_goes_on_when_the_server_is_started_again(host):
    first = host.start()
    watcher = host.ns.popen([host.options.vprox, "show", "--json", "--watch=200ms"], host.mounts,
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def next_pid():
        return json.loads(watcher.stdout.readline())["pid"]  # one object a line
    assert next_pid() == first.pid
    first.stop()
    assert "no vprox server runs" in watcher.stderr.readline()
    second = host.start()
    wait.until(lambda: next_pid() == second.pid, FRESH_SECONDS)
    stop(watcher)


def on_terminal(host, arguments, rows, columns, enough, **variables):
    """What `vprox show ARGUMENTS` writes to a terminal of that size, until enough(bytes)."""
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = host.ns.popen([host.options.vprox, "show", *arguments.split()], host.mounts,
                            env={**environment, "TERM": "xterm", **variables}, stdout=slave)
    os.close(slave)
    seen = b""
    try:
        while not enough(seen):
            seen += os.read(master, 65536)
    except OSError:
        pass  # EIO: it has ended
    stop(process)
    os.close(master)
    return seen.decode()


def plain(text):
    return re.sub(r"\033\[[0-9;]*[A-Za-z]", "", text)


def test_watching_on_a_terminal_draws_over_what_was_there(host, client):
    host.start()
    for _ in range(30):
        assert host.api(client).connect(random_key()).status == 200
    rows, columns = 20, 60
    seen = on_terminal(host, "--watch=100ms", rows, columns, lambda seen: seen.count(b"\033[H") >= 4)
    frames = seen.split("\033[H")[1:-1]
    assert len(frames) >= 3
    for frame in frames:
        lines = plain(frame).split("\r\n")
        assert 10 < len(lines) <= rows and all(len(line) <= columns for line in lines)
        assert lines[0].startswith("vprox") and lines[-1] == "..."


@pytest.mark.parametrize("arguments", ["", "--watch=100ms"])
def test_on_a_terminal_of_80_columns_rates_and_keys_are_there(host, client, arguments):
    host.start()
    key = random_key()
    inner = host.api(client).connect(key).inner
    seen = plain(on_terminal(host, arguments, 40, 80, lambda seen: seen.count(b"\033[H") >= 2))
    frame = seen.split("vprox ")[1]
    lines = frame.split("\r\n")
    assert all(len(line) <= 80 for line in lines), frame
    assert re.search(r"recv/s +sent/s +key", frame), frame
    assert re.search(rf"{re.escape(inner)} .* {re.escape(key[:4])}\S*\.\.\.\S*{re.escape(key[-4:])}$",
                     frame.replace("\r", ""), re.MULTILINE), frame


def test_only_a_terminal_gets_colour_and_what_fits_it(host, client):
    host.start()
    key = random_key()
    host.api(client).connect(key)

    def never(_seen):
        return False
    assert "\033[1m" in on_terminal(host, "", 40, 80, never)
    assert "\033[" not in on_terminal(host, "", 40, 80, never, NO_COLOR="1")
    assert "\033[" not in on_terminal(host, "", 40, 80, never, TERM="dumb")
    assert key in plain(on_terminal(host, "--wide", 40, 80, never))
    # A program's output does not depend on the terminal that it was started from.
    status, text = host.run("show", environment={"COLUMNS": "40", "TERM": "xterm"})
    assert status == 0 and "\033" not in text and key in text
    assert re.search(r"inner address +kind +outer address +handshake +active +received +sent +receiving "
                     r"+sending +public key$", text, re.MULTILINE)


@pytest.mark.parametrize("arguments, named", [
    ("--watch=soon", "--watch soon"), ("--watch=1ms", "--watch 1ms"),
    ("--endpoint=somewhere", "--endpoint somewhere"), ("--peer=me", "--peer me"),
    ("--json --metrics", "--metrics"), ("--json --wide", "--wide"), ("--metrics --peer=10.100.0.2", "--peer"), ("now", "now"), ("--frobnicate", "frobnicate"),
    ("--peer", "peer")])
def test_bad_input_is_named_and_ends_with_status_2(shared_host, arguments, named):
    status, said = shared_host.run("show " + arguments)
    assert status == 2 and named in said
