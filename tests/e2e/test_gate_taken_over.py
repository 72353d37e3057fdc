"""A gate that does what an attacker wants: it has the sockets of its clients, and nothing else."""

import os
import signal
import socket
import struct
import time

import pytest

from lab.taken_gate import (CONNECT_IPIP, CONNECT_WIREGUARD, DISCONNECT_IPIP, OK, READY, RELINQUISH, REQUEST, VERSION, TakenGate)
from lib import wait
from lib.netns import Namespace
from lib.process import open_files

PORT = 443
KEY = bytes(range(32))
EXPECTED = ["ending it", "gate .* killed by signal 9"]
REQUESTS_PER_SECOND, BURST, QUEUE = 5000, 500, 300  # server/gate_allowance.h, and the socket's


@pytest.fixture(name="taken")
def fixture_taken(host):
    """Of a server with a single gate, which is therefore the one that clients come to."""
    taken = TakenGate(host.start(gates=1, expected=EXPECTED).gates()[0])
    yield taken
    taken.close()


def connect(node, address):
    """A client, that has not sent a byte yet."""
    client = node.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(10)
    client.connect((address, PORT))
    return client


def assert_ended(host, taken):
    """The gate is gone, and another one is in its place."""
    server = host.servers[-1]
    wait.until(lambda: not os.path.exists(f"/proc/{taken.pid}"), what="the end of the gate")
    wait.until(lambda: server.gates() and taken.pid not in server.gates(), what="another gate")


def pair_in(namespace, address, port, source):
    """Both ends of a TCP connection inside a namespace."""
    def make():
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1)
        client = socket.create_connection((address, port), 5, source_address=(source, 0))
        return listener.accept()[0], client, listener
    return namespace.enter(make)


@pytest.fixture(name="elsewhere")
def fixture_elsewhere(world, host, other_client):
    """A namespace of the attacker's own, with the server's address and its clients' in it."""
    namespace = Namespace(world.prefix + "elsewhere")
    namespace.ip("link set lo up", f"addr add {host.address}/32 dev lo",
                 f"addr add {other_client.address}/32 dev lo")
    yield namespace
    namespace.remove()


def invented(what, host, taken, client, victim, elsewhere):
    """Sockets that are to speak for somebody, one way or the other."""
    in_host = host.ns.socket
    if what == "nothing":
        return []
    if what == "two clients":
        return [taken.accept(), taken.accept()]
    if what == "a UDP socket":
        sock = in_host(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((victim.address, 9))
        return [sock]
    if what == "a UNIX socket":
        return [socket.socketpair()[0]]
    if what == "the listener":
        return [taken.listener()]
    if what == "another port":
        return [pair_in(host.ns, host.address, 8443, host.address)[0]]
    if what == "another address":
        return [pair_in(host.ns, host.second, PORT, host.address)[0]]
    if what == "a client's end":
        return [client]
    assert what == "another machine's"
    return [pair_in(elsewhere, host.address, PORT, victim.address)[0]]


@pytest.mark.sanitize
@pytest.mark.parametrize("what", ["nothing", "two clients", "a UDP socket", "a UNIX socket", "the listener",
                                  "another port", "another address", "a client's end", "another machine's"])
def test_it_cannot_invent_a_client(host, taken, client, other_client, elsewhere, what):
    connections = [connect(client, host.address) for _ in range(2)]
    sockets = invented(what, host, taken, connections[0], other_client, elsewhere)
    assert taken.ask(CONNECT_IPIP, *sockets) is None
    assert_ended(host, taken)
    assert not host.holders()
    assert host.api(client).connect_ipip().status == 200


def test_it_cannot_name_a_client(host, taken, client, other_client):
    """As the messages once were: with an endpoint and a source address in them."""
    client_end, victim = connect(client, host.address), socket.inet_aton(other_client.address)
    old = struct.pack("=IHHQI32sI", VERSION, CONNECT_IPIP, 0, 1, int.from_bytes(victim, "big"), bytes(32), 0)
    taken.send(old, [taken.accept()])
    assert_ended(host, taken)
    assert not host.holders()
    client_end.close()


@pytest.mark.plane
def test_it_removes_no_tunnel_of_somebody_who_is_not_connected_to_it(host, client, other_client):
    server = host.start(gates=1, expected=EXPECTED)
    tunnel = host.tunnel("ipip", other_client).up()
    assert tunnel.ping()
    taken = TakenGate(server.gates()[0])
    with connect(client, host.address), taken.accept() as accepted:
        assert taken.ask(DISCONNECT_IPIP, accepted)[0] == OK
    assert host.holders() == {tunnel.inner: other_client.address}
    assert tunnel.ping()
    taken.close()


def peers(host):
    """Name and kind of each, as the server tells them."""
    return sorted((peer["name"] or "", peer["kind"]) for peer in host.shown_peers())


@pytest.mark.plane
def test_the_name_that_a_gate_tells_is_shown_logged_stored_and_survives_the_server(host, client, other_client):
    """Also where nothing but the store knows the peers any more: no device is left."""
    server = host.start(gates=1, expected=EXPECTED)
    taken = TakenGate(server.gates()[0])
    with connect(client, host.address), taken.accept() as accepted:
        assert taken.ask(CONNECT_WIREGUARD, accepted, key=KEY, name=b"oidc:ci")[0] == OK
    with connect(other_client, host.address), taken.accept() as accepted:
        assert taken.ask(CONNECT_IPIP, accepted, name=b"oidc:repo:a/b")[0] == OK
    taken.close()
    there = [("oidc:ci", "wireguard"), ("oidc:repo:a/b", "ipip")]
    assert peers(host) == there
    assert server.logged(r"WireGuard peer .* has a tunnel, address .* \(oidc:ci\)")
    assert "oidc:ci" in host.run("show")[1]
    server.kill()
    host.start(gates=1)
    assert peers(host) == there  # adopted
    host.reboot()
    host.start(gates=1, arguments="--idle-timeout=3s --reap-interval=1s")
    assert peers(host) == there  # restored
    host.servers[-1].expect("removed")
    wait.until(lambda: not peers(host), 20, "the end of idle peers")
    assert host.servers[-1].logged(r"removed IPIP peer .* \(oidc:repo:a/b\), address .* is free")


@pytest.mark.parametrize("name", [b"ci", b"token:", b"token:a\nb", b"token:\x1b[2J", b"token:" + 122 * b"x", b"\0token:ci"])
def test_a_name_that_is_none_ends_it(host, taken, client, name):
    connection = connect(client, host.address)
    assert taken.ask(CONNECT_WIREGUARD, taken.accept(), key=KEY, name=name) is None
    assert_ended(host, taken)
    assert not host.holders()
    connection.close()


def test_one_socket_is_good_for_one_request(host, taken, client):
    connection = connect(client, host.address)
    accepted = taken.accept()
    assert taken.ask(CONNECT_WIREGUARD, accepted, key=KEY)[0] == OK
    assert taken.ask(CONNECT_WIREGUARD, accepted, key=KEY[::-1]) is None
    assert_ended(host, taken)
    assert len(host.holders()) == 1
    connection.close()


def test_it_relinquishes_only_an_endpoint_that_a_client_has_come_to(host, client):
    server = host.start(ips=[host.address, host.second], block="10.100.0.0/16", gates=1,
                        arguments="--wg-block-per-ip=/24", expected=EXPECTED)
    taken = TakenGate(server.gates()[0])
    with connect(client, host.second), taken.accept(endpoint=1) as accepted:
        assert taken.ask(RELINQUISH, accepted)[0] == OK
    assert server.logged(f"endpoint {host.second}: relinquished")
    assert not server.logged(f"endpoint {host.address}: relinquished")
    taken.close()


def test_a_client_that_is_gone_cannot_be_asked_for(host, taken, client):
    connection = connect(client, host.address)
    accepted = taken.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    wait.until(lambda: reset(accepted), what="the reset")
    assert taken.ask(CONNECT_IPIP, accepted)[0] != OK
    assert not host.holders()


def reset(sock):
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_a_flood_of_descriptors_fills_nothing_and_keeps_nobody_out(host, client):
    server = host.start(gates=2, expected=EXPECTED)
    before = len(open_files(server.pid))
    taken = TakenGate(server.gates()[0])
    with socket.socket() as sock, pytest.raises(OSError):
        while True:
            taken.send(REQUEST.pack(VERSION, CONNECT_IPIP, 0, 1, bytes(32), b""), [sock] * 253)
            assert len(open_files(server.pid)) <= before + 1
    assert_ended(host, taken)
    wait.until(lambda: host.api(client).connect_ipip().status == 200)
    taken.close()


def test_it_is_heard_so_many_times_a_second_and_no_more(host, client):
    server = host.start(gates=2, expected=EXPECTED)
    taken = TakenGate(server.gates()[0])
    taken.broker.settimeout(1)
    n, began = 0, time.monotonic()
    while time.monotonic() < began + 2:
        taken.send(REQUEST.pack(VERSION, READY, 0, 1, bytes(32), b""))
        n += 1
    took = time.monotonic() - began
    assert n <= took * REQUESTS_PER_SECOND + BURST + QUEUE
    assert n >= REQUESTS_PER_SECOND / 2  # it was a flood
    taken.close()
    os.kill(taken.pid, 9)
    wait.until(lambda: host.api(client).connect_ipip().status == 200)


def test_what_it_asks_for_comes_to_no_more_than_its_clients(host, taken, client, other_client):
    """It may ask for tunnels for those that are connected, whatever they want themselves."""
    ends = [connect(client, host.address), connect(other_client, host.address)]
    accepted = [taken.accept(), taken.accept()]
    assert {taken.ask(CONNECT_IPIP, sock)[0] for sock in accepted} == {OK}
    assert set(host.holders().values()) == {client.address, other_client.address}
    for end in ends:
        end.close()


def test_it_cannot_keep_others_from_the_other_gates_by_as_much_as_it_may_count(host, client):
    """Of every source as many as one may have: among 131,072 connections, that is not too many."""
    sources, most = 8192, 16  # ipc/source_counts.h
    server = host.start(f"--max-connections={2 * sources * most} --max-connections-per-source={most}", gates=2)
    taken = TakenGate(server.gates()[0])
    taken.write_sheet(most)
    for _ in range(3):  # for longer than the broker takes to look at it
        assert host.api(client).connect_ipip(timeout=30).status == 200
        time.sleep(0.7)
    assert taken.pid in server.gates(), "it is within its limits"
    taken.close()
    os.kill(taken.pid, signal.SIGCONT)


def test_it_cannot_keep_others_from_the_other_gates_by_what_it_counts(host, client):
    server = host.start(gates=2, expected=EXPECTED)
    taken = TakenGate(server.gates()[0])
    taken.write_sheet(1000)
    assert_ended(host, taken)
    assert server.logged("it counts more connections than it may have")
    wait.until(lambda: host.api(client).connect_ipip().status == 200)
    taken.close()


def test_one_that_the_signer_does_not_serve_any_more_is_ended(host, taken, client):
    """Else it would serve nobody for as long as it lives."""
    with taken.signer() as signer:
        signer.send(b"nonsense")
    assert_ended(host, taken)
    assert host.servers[-1].logged("gate 0, process .*: its signer does not serve it any more: .*; ending it")
    assert host.api(client).connect_ipip().status == 200


def test_it_cannot_keep_others_from_the_other_gates_by_what_listeners_are_told(host, client):
    """Connections have it of the listener, which all gates have, and which outlives this one."""
    taken = TakenGate(host.start(gates=2, expected=EXPECTED).gates()[0])
    with taken.listener() as listener:  # what its filter of system calls lets it do
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 << 30)
    os.kill(taken.pid, signal.SIGKILL)
    assert_ended(host, taken)
    taken.close()
    assert host.api(client).get("/healthz").status == 200
