"""`--metrics`: what a server tells Prometheus, and the process that serves it to whoever asks."""

import contextlib
import ipaddress
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from lab.api import parse
from lab.echo import VISITED
from lab.tunnels import random_key
from lab.world import ROUTER_TO_CLIENTS
from lib import wait
from lib.capture import send
from lib.packets import udp_packet
from lib.process import kill, open_files, status

ADDRESS, PORT = "127.0.0.1", 9750
METRICS = f"--metrics={ADDRESS}:{PORT}"
PLACES = 32  # connections at a time: src/metrics/metrics.c
KILLED = ["metrics .* killed"]
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def connect(host):
    raw = host.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
    raw.settimeout(20)
    raw.connect((ADDRESS, PORT))
    return raw


def read_all(sock):
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def ask(host, request=b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
    """The whole answer, to the end of the connection."""
    with connect(host) as sock:
        sock.sendall(request)
        return read_all(sock)


def scrape(host):
    answer = parse(ask(host))
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def samples(text):
    """Name and labels as they are written, to value."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = SAMPLE.match(line).groups()
        key = f"{name}{{{labels}}}" if labels else name
        assert key not in found, f"twice: {line}"
        found[key] = float(value)
    return found


def wait_for(host, expected):
    """Until the metrics have these values: a page is half a second old at the most."""
    wait.until(lambda: all(samples(scrape(host)).get(name) == value for name, value in expected.items()),
               what=lambda: {name: samples(scrape(host)).get(name) for name in expected})


def test_without_the_option_there_is_no_such_process(host):
    server = host.start()
    assert not server.children_called("metrics")
    assert 'process="metrics"' not in host.run("show --metrics")[1]


@pytest.mark.sanitize
def test_requests_refusals_and_removals_are_counted_by_what_they_were(host, client):
    host.start(METRICS)
    api = host.api(client)
    key = random_key()
    assert api.connect(key).status == api.connect(key).status == 200
    assert api.connect_ipip().status == 200
    assert api.disconnect(key).status == 200
    assert api.get("/healthz").status == 200
    assert api.get("/version", password="wrong").status == 401
    assert api.get("/no-such-path").status == 404
    at = f'endpoint="{host.address}"'
    wait_for(host, {
        "vprox_broker_up": 1,
        'vprox_requests_total{path="/connect",status="200"}': 2,
        'vprox_requests_total{path="/connect-ipip",status="200"}': 1,
        'vprox_requests_total{path="/disconnect",status="200"}': 1,
        'vprox_requests_total{path="/healthz",status="200"}': 1,
        'vprox_requests_total{path="/version",status="401"}': 1,
        'vprox_requests_total{path="other",status="404"}': 1,
        'vprox_refusals_total{reason="password"}': 1,
        'vprox_refusals_total{reason="malformed"}': 1,
        'vprox_request_duration_seconds_count{path="/connect"}': 2,
        'vprox_request_duration_seconds_bucket{path="/connect",le="+Inf"}': 2,
        f'vprox_grants_total{{{at},kind="new"}}': 2,
        f'vprox_grants_total{{{at},kind="again"}}': 1,
        f'vprox_removals_total{{{at},reason="asked"}}': 1,
        f'vprox_peers{{{at},kind="wireguard"}}': 0,
        f'vprox_peers{{{at},kind="ipip"}}': 1,
        'vprox_plane_operation_duration_seconds_count{operation="add"}': 3,
        'vprox_process_up{process="metrics",number="0"}': 1,
    })
    assert abs(samples(scrape(host))["process_start_time_seconds"] - time.time()) < 600
    assert "no-such-path" not in scrape(host)


@pytest.mark.plane
def test_packets_are_counted_by_why_the_firewall_has_refused_them(host, client):
    host.start(METRICS)
    tunnel = host.tunnel("ipip", client).up()
    other = host.api(client).connect(random_key()).inner
    before = samples(scrape(host))
    send(tunnel.ns, tunnel.device, udp_packet(tunnel.inner, other, 1, 53))
    outside = client.ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    outside.sendto(udp_packet(other, host.address, 1, 53), (host.address, 0))
    client.ns.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"to no socket", (host.address, 9))
    names = [f'vprox_refused_packets_total{{reason="{reason}"}}' for reason in ("peers", "spoofed", "unknown")]
    wait.until(lambda: all(samples(scrape(host))[name] > before[name] for name in names),
               what=lambda: {name: samples(scrape(host))[name] - before[name] for name in names})


@pytest.mark.only("embedded", reason="it is the kernel's NAT with both")
def test_connections_that_nat_finds_no_port_for_are_counted(host):
    """Towards one destination; another one has the same ports once more."""
    few = range(2000, 2004)
    host.start(METRICS)
    name = "vprox_clashed_connections_total"
    before = samples(scrape(host))[name]

    def send_from(destination, ports):
        for port in ports:
            with host.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(PermissionError):
                sock.bind((host.address, port))
                sock.sendto(b"?", (destination, 9))
    host.ns.run(["nft", "-f", "-"], input="table ip few {\nchain c {\ntype nat hook postrouting priority 90\n"
                f"udp dport 9 snat to {host.address}:{few[0]}-{few[-1]}\n}}\n}}\n")
    try:
        send_from(VISITED, range(5000, 5010))
        send_from(ROUTER_TO_CLIENTS, range(5000, 5000 + len(few)))
        wait_for(host, {name: before + 10 - len(few)})
        send_from(VISITED, [5010])
        wait_for(host, {name: before + 11 - len(few)})
    finally:
        host.ns.run("nft delete table ip few")


@pytest.mark.only("embedded", reason="the kernel's plane counts nothing of it")
def test_packets_are_counted_by_why_the_device_has_dropped_them(host, client):
    host.start(METRICS + " --reap-interval=1s")
    tunnel = host.tunnel("wireguard", client).up()
    stranger = str(ipaddress.ip_address(tunnel.inner) + 1)
    reasons = {reason: f'vprox_device_dropped_packets_total{{endpoint="{host.address}",reason="{reason}"}}'
               for reason in ("malformed", "spoofed", "unknown_source", "unsent")}
    before = samples(scrape(host))
    assert all(before[name] == 0 for name in reasons.values())

    def went_up(reason, n):
        return lambda: samples(scrape(host))[reasons[reason]] == n
    send(tunnel.ns, tunnel.device, udp_packet(stranger, "198.51.100.1", 1, 53))
    wait.until(went_up("spoofed", 1))
    client.ns.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"no message", (host.address, 50227))
    wait.until(went_up("malformed", 1))
    assert samples(scrape(host))[reasons["spoofed"]] == 1
    assert "vprox_device_dropped_packets_total" in host.run("show --metrics")[1]


def test_what_gates_have_counted_outlives_them(host, client):
    server = host.start(METRICS, expected=["gate .* killed"])
    for _ in range(3):
        assert host.api(client).get("/healthz").status == 200
    before = server.gates()
    kill(before[0])
    wait.until(lambda: server.gates() and server.gates() != before)
    assert host.api(client).get("/healthz").status == 200
    wait_for(host, {'vprox_requests_total{path="/healthz",status="200"}': 4,
                    'vprox_gate_restarts_total{gate="0"}': 1})


def test_promtool_has_nothing_to_say_about_them(host, client):
    host.start(METRICS)
    assert host.api(client).connect(random_key()).status == 200
    for text in scrape(host), host.run("show --metrics")[1]:
        done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        assert (done.returncode, done.stdout) == (0, "")


def test_show_prints_the_same_metrics(host, client):
    """But for those of time that passes."""
    host.start(METRICS)
    assert host.api(client).connect(random_key()).status == 200

    def names(text):
        return {line for line in text.splitlines() if line.startswith("#")} | set(samples(text))
    assert names(host.run("show --metrics")[1]) == names(scrape(host))


def test_a_file_that_show_writes_says_when_no_server_has_answered(host):
    status_, said = host.run("show --metrics")
    assert status_ == 1 and "vprox_broker_up 0\n" in said
    assert "vprox_uptime_seconds" not in said


def test_a_broker_that_does_not_answer_is_told_of(host):
    server = host.start(METRICS)
    assert samples(scrape(host))["vprox_broker_up"] == 1
    time.sleep(1)  # the page before is not fresh any more
    server.send_signal(signal.SIGSTOP)
    try:
        assert samples(scrape(host)) == {"vprox_broker_up": 0}
    finally:
        server.send_signal(signal.SIGCONT)
    wait_for(host, {"vprox_broker_up": 1})


def test_it_is_served_at_its_address_alone_and_by_get_and_head(host):
    host.start(METRICS)
    head = ask(host, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n")
    for request, expected in [(b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405), (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
                              (b"GET /metrics\r\n\r\n", 400), (b"\x16\x03\x01\r\n\r\n", 400),
                              (b"GET /metrics HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000, 431)]:
        assert parse(ask(host, request)).status == expected, request[:40]
    assert parse(ask(host, b"GET /metrics?x=y HTTP/1.0\r\n\r\n")).status == 200
    assert f"{ADDRESS}:{PORT}" in host.ns.run("ss -ltnH")
    assert len(re.findall(rf":{PORT}\b", host.ns.run("ss -ltnH"))) == 1


@pytest.mark.sanitize
def test_clients_that_are_slow_or_many_or_say_too_much_keep_nobody_from_the_metrics(host):
    server = host.start(METRICS)
    slow = [connect(host) for _ in range(2 * PLACES)]
    for sock in slow[::2]:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
    assert samples(scrape(host))["vprox_broker_up"] == 1
    # Pipelined requests: one answer, and no other.
    answer = ask(host, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert parse(answer).status == 200
    # A body is not waited for.
    assert ask(host, b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    pid, = server.children_called("metrics")
    assert len(open_files(pid)) <= PLACES + 6
    for sock in slow:
        sock.close()


def test_the_broker_is_asked_twice_a_second_at_the_most_however_many_ask(host):
    host.start(METRICS)
    began = time.monotonic()
    pages = [samples(scrape(host))["vprox_uptime_seconds"] for _ in range(40)]
    assert len(set(pages)) <= 2 + 2 * (time.monotonic() - began)


def test_it_has_no_rights_and_is_replaced_when_it_dies(host):
    server = host.start(METRICS, expected=KILLED)
    scrape(host)  # it serves, and so is confined
    pid, = server.children_called("metrics")
    found = status(pid)
    assert found["Name"] == "vprox-metrics"
    assert found["NoNewPrivs"] == "1" and found["Seccomp"] == "2"
    for name in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
        assert int(found[name], 16) == 0, name
    users = set(found["Uid"].split())
    assert len(users) == 1 and "0" not in users
    assert users.isdisjoint(user for gate in server.gates() + server.signers() for user in status(gate)["Uid"].split())
    assert set(found["Gid"].split()) != {"0"} and found["Groups"].strip() == ""
    assert all(name.startswith("socket:") for fd, name in open_files(pid).items() if fd > 2)
    wait.until(lambda: time.time() - os.stat(f"/proc/{pid}").st_ctime > 1.5)
    kill(pid)
    wait.until(lambda: server.children_called("metrics") not in ([], [pid]))
    wait_for(host, {'vprox_process_restarts_total{process="metrics",number="0"}': 1,
                    'vprox_process_up{process="metrics",number="0"}': 1})


@pytest.mark.only("embedded", reason="the kernel's plane has no process of its own")
def test_every_process_is_there_and_one_that_dies_is_counted(host):
    server = host.start(METRICS, gates=2, expected=[*KILLED, "(gate|store|device) .* killed", "holder .* has ended",
                                                    "vprox0 has vanished"])
    kinds = [("gate", 0), ("gate", 1), ("signer", 0), ("store", 0), ("holder", 0), ("metrics", 0), ("device", 0)]

    def expected(restarts):
        found = {}
        for kind, number in kinds:
            found[f'vprox_process_up{{process="{kind}",number="{number}"}}'] = 1
            found[f'vprox_process_restarts_total{{process="{kind}",number="{number}"}}'] = restarts.get(kind, 0)
        return found
    wait_for(host, expected({}))
    assert len([name for name in samples(scrape(host)) if name.startswith("vprox_process_up")]) == len(kinds)
    kill(host.listener_holders()[0])
    kill(server.children_called("store")[0])
    kill(host.device_processes()[0])
    wait_for(host, expected({"store": 1, "holder": 1, "device": 1}))


def test_an_address_that_is_taken_keeps_no_tunnel_from_working(host, client):
    blocker = host.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
    blocker.bind((ADDRESS, PORT))
    blocker.listen()
    server = host.start(METRICS, expected=["cannot serve metrics"])
    assert host.api(client).connect(random_key()).status == 200
    assert server.logged(rf"cannot serve metrics at {ADDRESS}:{PORT}, will try again: Address already in use")
    blocker.close()
    wait.until(lambda: server.logged(f"metrics are served at {ADDRESS}:{PORT}"))
    assert samples(scrape(host))["vprox_broker_up"] == 1


def test_another_address_needs_a_restart(host):
    file = host.state / "server.conf"
    file.write_text(f"metrics={ADDRESS}:{PORT}\n")
    server = host.start(f"--config={file}")
    file.write_text("metrics=127.0.0.1:9751\n")
    server.send_signal(signal.SIGHUP)
    wait.until(lambda: server.logged("restart to change --metrics"))
    scrape(host)


def test_what_is_no_address_and_port_is_refused(host):
    for wrong in "9750", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "localhost:9750", "[::1]", "":
        status_, said = host.run(["server", f"--ip={host.address}", "--wg-block=10.1.0.0/16", f"--metrics={wrong}"])
        assert status_ == 2 and "--metrics" in said, wrong
