"""Stopping: what is cleared up, what stays, and what clients hear of it."""

import json
import signal
import threading
import time

import pytest

from lab.api import Connection, PASSWORD, is_refused, request_bytes
from lab.tunnels import random_key
from lib import wait

DRAINS = 10  # seconds: for requests in flight
SHUTTING_DOWN = (503, "server shutting down\n")


@pytest.mark.plane
@pytest.mark.sanitize
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_stop_leaves_the_host_byte_for_byte_as_it_was(host, clients, number):
    before = host.snapshot()
    server = host.start()
    tunnels = [host.tunnel(kind, node).up() for node in clients(2) for kind in ("wireguard", "ipip")]
    assert all(tunnel.visit() == host.address for tunnel in tunnels)
    host.api(tunnels[0].node).connect(random_key())
    assert host.snapshot() != before
    server.stop(number)
    host.assert_same(before)


@pytest.mark.plane
def test_what_other_programs_have_is_left_as_it_was(host, client):
    host.ns.run("nft add table ip other '{ chain c { type filter hook forward priority 5; "
                "policy accept; counter; }; }'")
    host.ns.run("iptables-nft -A INPUT -p tcp --dport 9 -m comment --comment other -j DROP")
    host.ns.run("iptables-legacy -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE")
    host.ns.ip("rule add from 172.17.0.0/16 lookup 77",
               "route add 172.17.0.0/16 dev lo table 77",
               "tuntap add vpn0 mode tun", "link add idle0 type veth peer name idle1")
    if host.world.kernel_has_both:
        host.ns.ip(f"link add ipip0 type ipip local {host.second} remote 198.51.100.9")
    before = host.snapshot()
    server = host.start()
    tunnel = host.tunnel("ipip", client).up()
    assert tunnel.visit() == host.address
    server.stop()
    host.assert_same(before)


def test_no_process_is_left(host):
    server = host.start(gates=3)
    pids = server.processes()
    assert len(pids) == 6, "broker, signer, store and gates"
    server.stop()
    wait.until(lambda: not any(is_there(pid) for pid in pids))


def is_there(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"vprox" in file.read()
    except OSError:
        return False


@pytest.mark.plane
def test_keep_leaves_the_data_plane_as_it_is(host, client, kind):
    server = host.start("--on-exit=keep")
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.visit() == host.address
    before = host.snapshot()
    server.stop()
    host.assert_same(before)
    assert tunnel.ping() and tunnel.visit() == host.address


@pytest.mark.plane
@pytest.mark.sanitize
def test_relinquish_keeps_this_endpoint_and_no_other(host, clients):
    server = host.start("--wg-block-per-ip=/24", ips=[host.address, host.second])
    first, second = clients(2)
    kept = host.tunnel("ipip", first).up()
    gone = host.tunnel("ipip", second, host.second).up()
    response = kept.api.post("/relinquish")
    assert (response.status, response.json) == (200, {"Status": "relinquished"})
    server.stop()
    links = host.links()
    assert "vprox0" in links and "vprox1" not in links
    assert host.holders() == {kept.inner: first.address}
    assert kept.ping() and kept.visit() == host.address
    assert not gone.ping(seconds=1)


def test_listeners_close_at_once(host, client):
    server = host.start()
    with Connection(client, host.address) as connection:
        # Half a request keeps it from going right away.
        connection.send(b"POST /connect-ipip HTTP/1.1\r\nHost: x\r\n")
        host.wait_until_read(connection)
        server.send_signal(signal.SIGTERM)
        wait.until(lambda: is_refused(client, host.address), DRAINS - 2)
        assert server.process.poll() is None


@pytest.mark.sanitize
@pytest.mark.parametrize("path", ["/connect", "/connect-ipip", "/disconnect", "/disconnect-ipip"])
def test_a_post_while_draining_is_answered_503(host, client, path):
    server = host.start()
    request = request_bytes("POST", path, {"PeerPublicKey": random_key()})
    with Connection(client, host.address) as connection:
        connection.send(request[:20])
        host.wait_until_read(connection)
        server.send_signal(signal.SIGTERM)
        # Nobody listens from when the broker has heard it; the gate is told then.
        wait.until(lambda: is_refused(client, host.address), DRAINS - 2)
        assert server.logged(r"gate.* draining: \d+ connections", DRAINS - 2)
        connection.send(request[20:])
        response = connection.receive()
    assert (response.status, response.text) == SHUTTING_DOWN
    began = time.monotonic()
    assert server.wait() == 0
    assert time.monotonic() - began < DRAINS - 2, "nothing was in flight any more"
    assert "vprox0" not in host.links()


def test_idle_connections_close_at_once(host, client):
    server = host.start()
    with Connection(client, host.address) as connection:
        host.wait_until_read(connection)
        server.send_signal(signal.SIGTERM)
        assert connection.closed_within(DRAINS - 2) is not None
    assert server.wait(DRAINS - 2) == 0


def test_a_request_that_does_not_finish_holds_the_stop_up_for_10_s_at_most(host, client):
    server = host.start()
    with Connection(client, host.address, timeout=30) as connection:
        connection.send(b"POST /connect-ipip HTTP/1.1\r\nHost: x\r\n")
        host.wait_until_read(connection)
        server.send_signal(signal.SIGTERM)
        assert server.wait(DRAINS + 10) == 0  # the client would stay for longer


def test_a_second_signal_ends_it_at_once(host, client):
    server = host.start()
    with Connection(client, host.address, timeout=30) as connection:
        connection.send(b"POST /connect-ipip HTTP/1.1\r\nHost: x\r\n")
        host.wait_until_read(connection)
        server.send_signal(signal.SIGTERM)
        assert server.logged("stopping", seconds=DRAINS - 2)
        server.send_signal(signal.SIGTERM)
        assert server.wait(DRAINS - 2) == 0


@pytest.mark.plane
def test_a_stop_amid_requests_leaves_nothing(host, clients):
    before = host.snapshot()
    server = host.start()
    over = threading.Event()

    def storm(node):
        while not over.is_set():
            try:
                host.api(node).connect_ipip(timeout=2)
                host.api(node).connect(random_key(), timeout=2)
            except (OSError, AssertionError):
                pass
    threads = [threading.Thread(target=storm, args=(node,)) for node in clients(4)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    server.send_signal(signal.SIGTERM)
    try:
        assert server.wait() == 0
    finally:
        over.set()
        for thread in threads:
            thread.join()
    host.assert_same(before)


@pytest.mark.only("kernel", reason="it is about the removal of many interfaces")
def test_stopping_with_many_ipip_peers_takes_no_time(world, host):
    crowd = [f"198.51.100.{n}" for n in range(100, 160)]
    before = host.snapshot()
    server = host.start("--wg-block-per-ip=/20", ips=[host.address, host.second])
    node = world.add_client(crowd)
    for server_address in host.address, host.second:
        for source in crowd:
            assert host.api(node, server_address).connect_ipip(source=source).status == 200
    assert len(host.holders(0)) + len(host.holders(1)) == 2 * len(crowd)  # more than one batch of removals
    began = time.monotonic()
    server.stop()
    took = time.monotonic() - began
    world.remove(node)
    host.assert_same(before)
    assert took < 3


@pytest.mark.plane
def test_a_start_after_each_stop_works(host, client):
    for number in signal.SIGTERM, signal.SIGKILL, signal.SIGINT:
        server = host.start()
        tunnel = host.tunnel("ipip", client).up()
        assert tunnel.visit() == host.address
        tunnel.down()  # it need not have the same address next time
        if number == signal.SIGKILL:
            server.kill()
        else:
            server.stop(number)


def test_the_password_is_not_to_be_seen(host):
    server = host.start()
    for pid in server.processes():
        for name in "cmdline", "environ":
            with open(f"/proc/{pid}/{name}", "rb") as file:
                assert PASSWORD.encode() not in file.read(), (pid, name)
    server.stop()
    assert PASSWORD not in server.log


def test_log_lines_are_json_objects_if_so_asked(host, client):
    server = host.start("--log-format=json")
    host.api(client).connect_ipip()
    server.send_signal(signal.SIGTERM)
    server.wait()
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert lines and all({"time", "level", "message"} <= set(line) for line in lines)
    assert all(line["level"] != "error" for line in lines)
