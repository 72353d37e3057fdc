"""`vprox connect` and what a server may answer: a right one, one of the Go programs', a wrong one, or
none at all."""

import re
import time

import pytest

from lab.api import PASSWORD
from lab.client import REFUSED
from lab.pretender import GRANT, Pretender, answer, grant
from lib import wait

@pytest.fixture(name="pretend")
def fixture_pretend(host):
    made = []

    def make(answers, folder=None):
        pretender = Pretender(host, answers, folder)
        made.append(pretender)
        return pretender
    yield make
    for pretender in made:
        if pretender.is_open:
            pretender.close()


def drip(connection):
    for byte in answer(200, b"x" * 1000):
        connection.sendall(bytes([byte]))
        time.sleep(0.5)


def be_silent(connection):
    connection.recv(1)


def test_a_request_is_as_the_go_servers_want_it(host, machine, pretend):
    pretender = pretend({"*": answer(401)})
    client = machine.connect(host.address)
    assert client.wait() == REFUSED
    [(_, request)] = pretender.requests
    lines = request.split("\r\n")
    assert lines[0] == "POST /connect HTTP/1.1"
    assert {f"Host: {host.address}", f"Authorization: Bearer {PASSWORD}",
            "Content-Type: application/json", "Connection: close"} <= set(lines)
    assert re.search(r'\{"PeerPublicKey":"[A-Za-z0-9+/]{43}="\}$', request)
    assert pretender.protocols == ["http/1.1"], "h2 is not offered"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_answers_that_asking_again_cannot_change_end_a_client_that_starts(
        host, machine, pretend, status):
    pretender = pretend({"*": answer(status, b"because of this\nand that\n")})
    before = machine.snapshot()
    client = machine.connect(host.address)
    assert client.wait() == REFUSED
    assert f"because of this (HTTP status {status})" in client.log
    assert len(pretender.requests) == 1
    assert machine.snapshot() == before


OTHER_ANSWERS = {
    "too many": answer(429),
    "failed": answer(500, b"failed"),
    "full": answer(503),
    "moved": answer(302, b"", "Location: /"),
    "teapot": answer(418),
    "empty": answer(200),
    "no fields": answer(200, b"{}"),
    "null": answer(200, b"null"),
    "nothing": b"",
    "half a line": b"HTTP/1.1 200",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a long body": answer(200, b"x" * 70000),
    "deep JSON": answer(200, b"[" * 60000),
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000,
    "the loopback": grant(AssignedAddr="127.0.0.2/8"),
    "link-local": grant(AssignedAddr="169.254.169.9/16"),
    "a link-local gateway": grant(AssignedAddr="169.255.0.9/15"),
    "multicast": grant(AssignedAddr="224.1.1.2/8"),
    "reserved": grant(AssignedAddr="240.0.0.2/8"),
    "the Internet": grant(AssignedAddr="0.0.0.2/0"),
    "the server's own block": grant(AssignedAddr="203.0.113.200/24"),
    "no key": grant(ServerPublicKey=None),
    "no port": grant(ServerListenPort=0),
    "a huge port": grant(ServerListenPort=10**30),
    "a bad key": grant(ServerPublicKey="x"),
    "a key of low order": grant(ServerPublicKey="AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
}


@pytest.mark.parametrize("name", OTHER_ANSWERS)
def test_what_else_may_be_answered_is_asked_again(host, machine, pretend, name):
    what = OTHER_ANSWERS[name]
    pretender = pretend({"/connect": what})
    before = machine.snapshot()
    client = machine.connect(host.address)
    wait.until(lambda: len(pretender.requests) >= 3, 40, "asked three times")
    assert client.process.poll() is None, client.log
    assert machine.snapshot() == before
    client.stop()
    assert "broke off" not in client.log, client.log


@pytest.mark.parametrize("what", [drip, be_silent])
def test_a_server_that_does_not_finish_is_left_in_time(host, machine, pretend, what):
    pretender = pretend({"/connect": what})
    client = machine.connect(host.address)
    wait.until(lambda: len(pretender.requests) >= 2, 60, "asked again")
    assert client.count("no answer|silent") >= 1, client.log


def test_the_server_says_when_to_ask_again(host, machine, pretend):
    pretender = pretend({"/connect": answer(503, b"full\n", "Retry-After: 4")})
    machine.connect(host.address)
    wait.until(lambda: len(pretender.requests) >= 3, 60, "asked three times")
    times = [when for when, _ in pretender.requests]
    assert all(4 <= b - a for a, b in zip(times, times[1:])), times


def test_waits_grow_and_differ(host, machine, pretend):
    pretender = pretend({"/connect": answer(500)})
    machine.connect(host.address)
    wait.until(lambda: len(pretender.requests) >= 6, 60, "asked six times")
    times = [when for when, _ in pretender.requests]
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert all(0.2 <= gap for gap in gaps), gaps
    assert len({round(gap, 2) for gap in gaps}) > 1, gaps


def test_a_server_without_disconnect_does_not_keep_the_client(host, machine, pretend):
    pretender = pretend({"/connect": grant(), "*": answer(405)})
    client = machine.connect(host.address)
    client.logged("has 10.100.0.2/16")
    client.stop()
    assert [request.split(" ")[1] for _, request in pretender.requests][-1] == "/disconnect"


def test_a_server_that_is_gone_does_not_keep_the_client(host, machine, pretend):
    pretender = pretend({"/connect": grant(), "*": be_silent})
    client = machine.connect(host.address)
    client.logged("has 10.100.0.2/16")
    began = time.monotonic()
    client.stop()
    assert 1.5 < time.monotonic() - began < 10
    assert len(pretender.requests) == 2


def test_chunked_answers_are_read(host, machine, pretend):
    body = b'{"AssignedAddr":"10.100.0.9/16"}'
    pretend({"/connect-ipip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"})
    machine.connect(host.address, kind="ipip").logged("has 10.100.0.9/16")


def test_a_running_client_outlives_other_answers_but_a_wrong_password(host, machine, pretend):
    server = host.start()
    client = machine.connect(host.address).up()
    server.stop()
    pretender = pretend({"/connect": answer(404)}, host.state / "lib/vprox")
    wait.until(lambda: len(pretender.requests) >= 2, 60, "asked again")
    for status in 400, 403, 405:
        pretender.answers["/connect"] = answer(status)
        client.logged(rf"\(HTTP status {status}\)", 60)
    assert client.process.poll() is None
    pretender.answers["/connect"] = answer(401)
    assert client.wait(60) == REFUSED


def test_a_server_that_is_refused_is_told_nothing(host, machine, pretend):
    pretender = pretend({"*": answer(401)})
    client = machine.connect(host.address, "--pin sha256//" + "A" * 43 + "=")
    assert client.wait() == REFUSED
    wait.until(lambda: pretender.protocols, 10, "it has shaken hands")
    assert not pretender.requests


def test_a_server_that_changes_its_mind_is_followed(host, machine, pretend):
    """Its key, port and address are those of the last answer, and no others."""
    pretender = pretend({"/connect": grant()})
    client = machine.connect(host.address, "--json")
    client.logged("has 10.100.0.2/16")
    pretender.answers["/connect"] = grant(AssignedAddr="10.99.0.7/24", ServerListenPort=50300,
                                          ServerPublicKey=GRANT["ServerPublicKey"].replace(
                                              "AQ", "Ag"))
    client.logged("has 10.99.0.7/24", 60)
    addresses = machine.ns.run("ip -4 -o addr show vprox0")
    assert "10.99.0.7/32" in addresses and "10.100" not in addresses
    assert [said["server_port"] for said in client.said] == [50227, 50300]
