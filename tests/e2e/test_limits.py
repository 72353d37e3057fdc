"""Clients that are slow, silent or many."""

import concurrent.futures
import contextlib
import os
import resource
import signal
import socket
import time

import pytest

from lab.api import CONTEXT, PORT, Connection, request_bytes
from lib import wait
from lib.process import kill, stand_still

WHOLE_REQUEST = 10  # seconds, handshake and all
SLACK = 10  # for a machine that has much else to do
TRIES = 4
SERVED_IN = 5  # seconds: then the Go clients give up


@pytest.fixture(scope="module", autouse=True)
def fixture_many_files():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 16384), max(before[1], 16384)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def tcp(node, address, n, source=None):
    """n connections that say nothing; fewer if the server does not take them."""
    def connect():
        made = []
        for _ in range(n):
            sock = socket.socket()
            sock.settimeout(5)
            if source:
                sock.bind((source, 0))
            try:
                sock.connect((address, PORT))
            except OSError:
                sock.close()
                continue
            made.append(sock)
        return made
    return node.ns.enter(connect)


def close(sockets):
    for sock in sockets:
        sock.close()


def n_open(sockets):
    return sum(map(is_open, sockets))


def is_open(sock):
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def closed_after(sock, seconds):
    """How long until the server closed; None if it did not within these seconds."""
    began = time.monotonic()
    sock.settimeout(seconds)
    try:
        while sock.recv(4096):
            pass
    except socket.timeout:
        return None
    except OSError:
        pass
    return time.monotonic() - began


def drip(node, address, data, tls):
    """Sends a byte a second; returns how long the server stood it."""
    raw = node.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
    raw.settimeout(15)
    began = time.monotonic()
    raw.connect((address, PORT))
    sock = CONTEXT.wrap_socket(raw, server_hostname=address) if tls else raw
    with sock:
        for byte in data:
            try:
                sock.sendall(bytes([byte]))
            except OSError:
                return time.monotonic() - began
            if (waited := closed_after(sock, 1)) is not None and waited < 1:
                return time.monotonic() - began
    return None


# One at a time, but all at the same time, so that the 10 s pass once.

def test_slow_clients_are_dropped_after_10_s_in_all(shared_host, server, client):
    address = shared_host.address
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60)
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"x" * 60
    body = request_bytes("POST", "/connect-ipip", b"x" * 60)

    def silent(tls):
        began = time.monotonic()
        if tls:
            with Connection(client, address) as connection:
                waited = connection.closed_within(WHOLE_REQUEST + SLACK)
        else:
            sock, = tcp(client, address, 1)
            waited = closed_after(sock, WHOLE_REQUEST + SLACK)
            sock.close()
        return waited and time.monotonic() - began

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        tries = {
            "says nothing at all": pool.submit(silent, False),
            "says nothing after the handshake": pool.submit(silent, True),
            "drips its handshake": pool.submit(drip, client, address, hello, False),
            "drips its headers": pool.submit(drip, client, address, head, True),
            "drips its body": pool.submit(drip_body, client, address, body),
        }
        stood = {what: done.result() for what, done in tries.items()}
    for what, seconds in stood.items():
        assert seconds is not None, f"{what}: is still there"
        assert seconds < WHOLE_REQUEST + SLACK, f"{what}: {seconds}"


def drip_body(node, address, request):
    head, _, body = request.partition(b"\r\n\r\n")
    began = time.monotonic()
    with Connection(node, address) as connection:
        connection.send(head + b"\r\n\r\n")
        for byte in body:
            try:
                connection.send(bytes([byte]))
            except OSError:
                return time.monotonic() - began
            if connection.closed_within(1) is not None:
                return time.monotonic() - began
    return None


def test_a_client_that_never_reads_its_answer_is_dropped(shared_host, server, client):
    connection = Connection(client, shared_host.address)
    connection.send(request_bytes("GET", "/"))
    assert connection.closed_within(WHOLE_REQUEST + SLACK) is not None
    connection.socket.close()


def test_headers_without_end_are_cut_off_at_8_kib(shared_host, server, client):
    with Connection(client, shared_host.address) as connection:
        connection.send(b"GET / HTTP/1.1\r\nX: ")
        sent = 0
        try:
            while sent < 1 << 20:
                connection.send(b"x" * 1024)
                sent += 1024
                if sent == 16 << 10:
                    response = connection.receive()
                    assert response.status == 431
                    break
        except OSError:
            pass
        assert sent < 1 << 20


def in_time(host, node):
    """Whether nearly every request is: one may have had bad luck with the machine."""
    return sum(host.api(node).is_served(SERVED_IN) for _ in range(5)) >= 4


@pytest.mark.sanitize
def test_2000_silent_connections_of_one_source_keep_nobody_else_out(
        shared_host, server, client, other_client):
    silent = tcp(client, shared_host.address, 2000)
    try:
        assert in_time(shared_host, other_client)
        assert server.logged(f"{client.address}.*: refused, has 256 connections already")
        wait.until(lambda: n_open(silent) <= 256)
    finally:
        close(silent)
    wait.until(shared_host.api(client).is_served, what="its place is free again")


class TooSlow(Exception):
    """The machine was: the server has closed what was silent for as long as it may be."""


@contextlib.contextmanager
def in_their_time():
    """While connections that are made in here may be silent. Later, nothing is said by how many are open."""
    end = time.monotonic() + WHOLE_REQUEST
    try:
        yield
    except AssertionError:
        if time.monotonic() < end:
            raise
    if time.monotonic() >= end:
        raise TooSlow


def with_one_of(sources, attempt):
    """Calls attempt(source) until it was fast enough; each time with a source of which nothing is left."""
    for source in sources:
        try:
            return attempt(source)
        except TooSlow:
            continue
    raise AssertionError(f"it was {len(sources)} times too slow")


@pytest.fixture(name="crowd")
def fixture_crowd(world):
    """A node with a hundred addresses."""
    node = world.add_client([f"198.51.100.{n}" for n in range(100, 200)])
    yield node
    world.remove(node)


def test_the_limit_for_one_source_is_a_flag(host, crowd, client):
    host.start("--max-connections-per-source=5")

    def attempt(source):
        with in_their_time():
            silent = tcp(crowd, host.address, 5, source)
            # And by then all five are the gate's.
            assert not host.api(crowd).is_served(source=source)
            assert n_open(silent) == 5
        assert host.api(client).is_served()
        close(silent)
        assert wait.until(lambda: host.api(crowd).is_served(source=source))
    with_one_of(crowd.addresses[1:TRIES + 1], attempt)


@contextlib.contextmanager
def alone(server, gate):
    """With only this one of the server's gates running."""
    others = [pid for pid in server.gates() if pid != gate]
    try:
        for pid in others:
            stand_still(pid)
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def ten_at_each_gate(server, host, crowd, source, other_client):
    """Connections of a source, as many at each gate."""
    opened = []
    for pid in server.gates():
        with alone(server, pid):
            opened += tcp(crowd, host.address, 10, source)
            assert host.api(other_client).is_served()
    return opened


def test_the_limit_for_one_source_is_over_all_gates(host, crowd, client):
    """And a gate that dies leaves nothing counted."""
    server = host.start("--max-connections-per-source=40", gates=4, expected=["gate .* killed"])

    def attempt(source):
        pids = server.gates()
        with in_their_time():
            silent = ten_at_each_gate(server, host, crowd, source, client)
            assert n_open(silent) == 40
            more = tcp(crowd, host.address, 60, source)
            wait.until(lambda: n_open(more) == 0)
            assert n_open(silent) == 40
            for pid in pids:
                kill(pid)
        wait.until(lambda: len(server.gates()) == 4 and not set(server.gates()) & set(pids))
        wait.until(host.api(client).is_served)
        with in_their_time():
            again = ten_at_each_gate(server, host, crowd, source, client)
            assert n_open(again) == 40
        close(silent + more + again)
    with_one_of(crowd.addresses[1:TRIES + 1], attempt)


def test_2000_silent_connections_of_many_sources_keep_nobody_out(host, crowd, client):
    server = host.start("--max-connections=400")
    silent = []
    try:
        for address in crowd.addresses[1:]:
            silent += tcp(crowd, host.address, 20, source=address)
        assert in_time(host, client)
        assert server.logged("400 connections: the oldest has to go")
        wait.until(lambda: n_open(silent) <= 400)
        assert host.api(client).connect_ipip(timeout=30).status == 200
    finally:
        close(silent)


@pytest.mark.sanitize
def test_wrong_passwords_are_slowed_down_and_keep_no_right_one_out(shared_host, server, client):
    """All from one address, four a gate and second more than are checked."""
    n = (64 + 4) * len(server.gates())
    api = shared_host.api(client)
    assert api.get("/version", password="wrong", timeout=30).status == 401
    began = time.monotonic()
    wrong = [Connection(client, shared_host.address, timeout=30) for _ in range(n)]
    for connection in wrong:
        connection.send(request_bytes("GET", "/version", password="wrong"))
    assert api.connect_ipip(timeout=30).status == 200
    for connection in wrong:
        assert connection.receive().status == 401
        connection.socket.close()
    assert time.monotonic() - began > 1.9
    assert api.disconnect_ipip().status == 200


@pytest.mark.plane
def test_a_hundred_clients_at_once_are_all_served(host, crowd):
    """A reconnect storm: nobody may have to wait longer than the clients do."""
    host.start()
    longest = []
    while not longest or min(longest) >= SERVED_IN:
        assert len(longest) < 3, f"in each of three storms somebody had to wait: {longest}"
        longest.append(storm(host.api(crowd), crowd.addresses[1:]))


def storm(api, sources):
    """All ask, and go again. Returns how long the one waited who waited longest."""
    def connect(source):
        began = time.monotonic()
        response = api.connect_ipip(source=source, timeout=60)
        return response.inner, time.monotonic() - began
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        results = list(pool.map(connect, sources))
        assert len({inner for inner, _ in results}) == len(sources)
        list(pool.map(lambda source: api.disconnect_ipip(source=source, timeout=60), sources))
    return max(seconds for _, seconds in results)
