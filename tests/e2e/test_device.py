"""The embedded plane's device process: it outlives the server, and the server outlives it."""

import os
import re
import signal
import socket
import threading
import time

import pytest

from lab.api import PASSWORD
from lab.tunnels import random_key
from lib import wait
from lib.process import open_files, stand_still, status

pytestmark = pytest.mark.only("embedded", reason="the kernel's plane has no process")

MANY = 200
LOOKS_OFTEN = "--reap-interval=100ms"
LATE = 5  # seconds; one question waits for 3
LOOKED = 2  # seconds until the server has surely seen where its clients are
BACK = 45  # seconds, on a machine that has much else to do


def pair(host, node):
    return [host.tunnel(kind, node).up() for kind in ("wireguard", "ipip")]


def kill_device(host, index=0):
    """Returns its pid."""
    host.servers[-1].expect("vprox. has vanished")
    pid, _ = host.device_processes(index)
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_for_another(host, pid, index=0):
    return wait.until(lambda: next(iter(set(host.device_processes(index)[:1]) - {pid}), None), BACK,
                      "a new device")


@pytest.mark.interop
@pytest.mark.sanitize
def test_a_device_that_dies_is_started_again_and_has_all_its_peers_back(host, clients):
    server = host.start(LOOKS_OFTEN)
    tunnels = [tunnel for node in clients(2) for tunnel in pair(host, node)]
    assert all(tunnel.ping() and tunnel.visit() == host.address for tunnel in tunnels)
    time.sleep(LOOKED)
    before, settings = host.holders(), host.links()["vprox0"]
    pid = kill_device(host)
    wait_for_another(host, pid)
    assert server.logged(r"vprox0 is back, 4 peers", BACK)
    assert host.holders() == before
    for name in "ifalias", "mtu", "flags":
        assert host.links()["vprox0"][name] == settings[name]
    for tunnel in tunnels:
        wait.until(lambda: tunnel.visit(seconds=1) == host.address, BACK, f"{tunnel.kind} works")
        assert tunnel.ping()
        assert tunnel.request().inner == tunnel.inner


def test_its_process_is_replaced_and_the_server_misses_nothing(host, clients):
    """Neither takes the server the change for a death, nor later a death for the change."""
    server = host.start(LOOKS_OFTEN)
    tunnels = [tunnel for node in clients(2) for tunnel in pair(host, node)]
    assert all(tunnel.ping() for tunnel in tunnels)
    before, pids = host.holders(), host.device_processes()
    process = host.ns.popen([host.options.vprox, "device", "--replace", "vprox0"], host.mounts)
    assert process.wait(30) == 0
    wait.until(lambda: not set(host.device_processes()) & set(pids), BACK, "the old one has ended")
    assert len(host.device_processes()) == 2
    assert all(tunnel.ping() and tunnel.visit() == host.address for tunnel in tunnels)
    assert host.holders() == before
    assert host.tunnel("wireguard", clients(1)[0]).up().ping(), "it takes new peers"
    assert not server.logged("vprox0 has vanished", seconds=0)
    wait_for_another(host, kill_device(host))
    assert server.logged("vprox0 is back", BACK)


def control_connections(host):
    """Of the device, by the inodes of its ends: unix(7), /proc/net/unix."""
    lines = [line.split() for line in host.ns.run(["cat", "/proc/net/unix"]).splitlines()]
    return {line[6] for line in lines if len(line) == 8 and line[5] == "03" and "/vprox0.sock" in line[7]}


def test_all_grants_go_over_one_control_connection_that_is_made_anew_with_the_device(host, client):
    """Also where the device has been replaced by another process, which takes the connection over."""
    server, api = host.start("--reap-interval=1h"), host.api(client)
    assert api.connect(random_key()).status == 200
    kept = control_connections(host)
    assert len(kept) == 1
    replaced = host.ns.popen([host.options.vprox, "device", "--replace", "vprox0"], host.mounts)
    assert replaced.wait(30) == 0
    assert api.connect(random_key()).status == 200 and api.connect_ipip().status == 200
    assert control_connections(host) == kept
    kill_device(host)
    assert server.logged("vprox0 is back, 3 peers", BACK)
    assert api.connect(random_key()).status == 200
    assert len(control_connections(host)) == 1 and control_connections(host) != kept
    assert len(host.holders()) == 4


def test_its_death_is_noticed_and_not_only_found_at_some_look(host, client):
    server = host.start("--reap-interval=1h")
    tunnel = host.tunnel("ipip", client).up()
    kill_device(host)
    assert server.logged(r"vprox0 is back, 1 peers", BACK)
    wait.until(lambda: tunnel.visit(seconds=1) == host.address, BACK)


def test_it_is_started_again_however_often_it_dies(host, client):
    server = host.start("--reap-interval=1h")
    tunnel = host.tunnel("ipip", client).up()
    for n in range(5):
        pid = kill_device(host)
        wait_for_another(host, pid)
        wait.until(lambda: len(re.findall("vprox0 is back", server.log)) == n + 1, BACK)
    wait.until(lambda: tunnel.visit(seconds=1) == host.address, BACK)
    assert os.path.exists(host.devices / "vprox0.sock")


def test_only_the_device_that_died_is_started_again(host, clients):
    server = host.start(f"--wg-block-per-ip=/24 {LOOKS_OFTEN}", ips=[host.address, host.second])
    first, second = clients(2)
    lost = host.tunnel("wireguard", first, host.address).up()
    kept = host.tunnel("wireguard", second, host.second).up()
    assert lost.ping() and kept.ping()
    time.sleep(LOOKED)
    others = host.device_processes(1)
    pid = kill_device(host, 0)
    wait_for_another(host, pid, 0)
    assert server.logged(r"vprox0 is back, 1 peers", BACK)
    assert host.device_processes(1) == others
    assert kept.ping() and kept.visit() == host.second
    wait.until(lambda: lost.visit(seconds=1) == host.address, BACK)


def test_all_of_many_peers_are_given_back(host, client):
    server = host.start("--reap-interval=1h")
    keys = [random_key() for _ in range(MANY)]
    for key in keys:
        assert host.api(client).connect(key).status == 200
    before = host.holders()
    kill_device(host)
    assert server.logged(rf"vprox0 is back, {MANY} peers", BACK)
    assert host.holders() == before


def test_requests_while_the_device_dies_are_answered_and_kept(host, clients):
    host.start("--reap-interval=1h")
    over = threading.Event()
    answered, failed = {}, []

    def storm(node):
        while not over.is_set():
            key = random_key()
            response = host.api(node).connect(key, timeout=30)
            if response.status == 200:
                answered[response.inner] = key
            else:
                failed.append(response)
    threads = [threading.Thread(target=storm, args=(node,)) for node in clients(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            wait_for_another(host, kill_device(host))
            n = len(answered)
            wait.until(lambda: len(answered) > n + 5, BACK, "it goes on")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert host.holders() == answered


def test_a_device_that_dies_while_there_is_no_server_is_made_anew(host, client):
    server = host.start()
    tunnels = pair(host, client)
    server.kill()
    kill_device(host)
    wait.until(lambda: not host.device_processes() and "vprox0" not in host.links(), BACK)
    host.start()
    for tunnel in tunnels:
        tunnel.down()
        tunnel.up()
        assert tunnel.ping() and tunnel.visit() == host.address


def test_the_next_server_takes_over_the_same_process(host, client):
    server = host.start()
    tunnels = pair(host, client)
    processes = host.device_processes()
    assert len(processes) == 2
    server.kill()
    assert host.device_processes() == processes
    server = host.start("--on-exit=keep")
    assert host.device_processes() == processes
    server.stop()
    assert host.device_processes() == processes
    assert all(tunnel.ping() and tunnel.visit() == host.address for tunnel in tunnels)
    host.start().stop()
    wait.until(lambda: not host.device_processes(), BACK)


def test_a_device_that_is_late_when_a_server_starts_keeps_its_peers(host, client):
    host.start("--on-exit=keep")
    tunnels = pair(host, client)
    host.servers[-1].stop()
    before, (pid, _) = host.holders(), host.device_processes()
    stand_still(pid)
    try:
        server = host.launch()
        time.sleep(LATE)
    finally:
        os.kill(pid, signal.SIGCONT)
    server.wait_ready()
    assert host.device_processes()[0] == pid and host.holders() == before
    assert all(tunnel.ping() for tunnel in tunnels)


class Pretender:
    """In the place of a device: says the same every half second, whatever it is asked."""

    def __init__(self, path, answer):
        self.path, self.answer = path, answer
        self.real = path.with_suffix(".real")
        path.rename(self.real)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        self.listener.settimeout(0.5)
        connections = []
        while not self.ended.is_set():
            try:
                connections.append(self.listener.accept()[0])
            except socket.timeout:
                pass
            for connection in list(connections):
                try:
                    connection.send(self.answer, socket.MSG_NOSIGNAL)
                except OSError:
                    connections.remove(connection)

    def close(self):
        self.ended.set()
        self.thread.join()
        self.listener.close()
        self.real.rename(self.path)


def test_a_device_that_drips_holds_the_server_up_for_so_long_and_no_longer(host, clients):
    """What is in its place; the device itself ends without its socket, and is made anew."""
    server = host.start("--reap-interval=1h",
                        expected=["cannot make a tunnel", "cannot", "has vanished"])
    first, second = clients(2)
    (pid, _) = host.device_processes()
    stand_still(pid)
    device = Pretender(host.devices / "vprox0.sock", b"x")
    try:
        response = host.api(first).connect(random_key(), timeout=30)
        assert response.status == 500, "it has given up, and says so"
        assert host.api(second).request("GET", "/healthz").status == 200
    finally:
        device.close()
        os.kill(pid, signal.SIGCONT)
    assert host.tunnel("ipip", second).up().visit() == host.address
    assert server.logged("Connection timed out")


@pytest.mark.parametrize("answer", [b"errno=98\n\n", b"errno=-98\n\n"], ids=["old", "new"])
def test_a_device_may_say_errno_with_a_sign_or_as_before_without(host, client, answer):
    """It may have been started by an earlier version."""
    server = host.start("--reap-interval=1h", expected=["cannot", "has vanished"])
    (pid, _) = host.device_processes()
    stand_still(pid)
    device = Pretender(host.devices / "vprox0.sock", answer)
    try:
        assert host.api(client).connect(random_key(), timeout=30).status == 500
        assert server.logged("Address already in use")
    finally:
        device.close()
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("kind", ["wireguard", "ipip"])
def test_who_was_refused_by_a_device_that_was_late_keeps_no_address(host, clients, kind):
    """It makes the peer when it goes on, long after the answer."""
    host.start("--reap-interval=1s", block="10.9.8.0/30", expected=["cannot"])
    first, second = clients(2)
    (device, _) = host.device_processes()
    stand_still(device)
    try:
        asked = host.api(first)
        refused = asked.connect(random_key(), timeout=30) if kind == "wireguard" \
            else asked.connect_ipip(timeout=30)
    finally:
        os.kill(device, signal.SIGCONT)
    assert refused.status == 500
    wait.until(lambda: not host.holders(), BACK, host.holders)
    tunnel = host.tunnel(kind, second).up()
    assert tunnel.inner == "10.9.8.2" and tunnel.ping()


def test_after_a_clean_stop_no_process_and_no_socket_is_left(host, client, kind):
    server = host.start()
    host.tunnel(kind, client).up()
    server.stop()
    wait.until(lambda: not host.ns.processes(), BACK, host.ns.processes)
    assert not list(host.devices.iterdir())


def test_it_has_no_right_and_nothing_of_the_servers(host, client):
    server = host.start()
    device, helper = host.device_processes()
    found = status(device)
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"
    servers = set(open_files(server.pid).values())
    for pid in device, helper:
        shared = {name for name in servers.intersection(open_files(pid).values()) if not name.startswith("/dev/")}
        assert not {name for name in shared if "anon_inode" not in name}
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert PASSWORD.encode() not in file.read()


def test_wg_shows_the_peers_of_an_embedded_device(host, client):
    host.start()
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.ping()
    shown = host.ns.run("wg show vprox0")
    assert "listening port: 50227" in shown and f"peer: {tunnel.public_key}" in shown
    assert f"allowed ips: {tunnel.inner}/32" in shown and "latest handshake" in shown
    assert re.search(rf"endpoint: {re.escape(client.address)}:\d+", shown)
