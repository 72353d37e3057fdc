"""Tokens at the gate: who waits for a key that is fetched, and that nobody else does."""

import concurrent.futures
import json
import time

import pytest

from harness import PASSWORD, head, post, read_answer
from issuers import Issuers
from lib import wait
from lib.jwt import Key

BODY = json.dumps({"PeerPublicKey": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}).encode()
KNOWN, NEW = Key("known"), Key("new", "ES256")


@pytest.fixture(name="issuers")
def fixture_issuers():
    issuers = Issuers()
    issuers.write(KNOWN, seconds_ago=60)
    yield issuers
    issuers.close()


@pytest.fixture(name="gate")
def fixture_gate(make_gate, issuers):
    gate = make_gate(issuers_fd=issuers.fd)
    gate.answer_all()
    yield gate
    assert gate.stop(), "the gate did not drain and exit with 0"


def test_a_token_is_let_in_and_its_name_is_told(gate, issuers):
    assert gate.ask(post("/connect", BODY, bearer=issuers.token(KNOWN, sub="repo:octo/cat"))).status == 200
    assert gate.ask(post("/connect", BODY)).status == 200, "the password is good too"
    names = [request.name.rstrip(b"\0") for request in gate.requests(2)]
    assert names == [b"oidc:repo:octo/cat", b""]
    answer = gate.ask(post("/connect", BODY, bearer=issuers.token(Key("known"))))
    assert (answer.status, answer.body) == (401, "unauthorized\n")
    assert not gate.fetches


def test_a_token_of_a_new_key_waits_for_it_and_others_go_on(gate, issuers):
    with gate.tls() as client:
        client.sendall(post("/connect", BODY, bearer=issuers.token(NEW)))
        wait.until(lambda: gate.fetches == [0], what="the broker is asked for the keys")
        assert gate.ask(head("GET", "/version", bearer=issuers.token(KNOWN))).status == 200
        issuers.write(KNOWN, NEW)
        assert read_answer(client).status == 200


@pytest.mark.parametrize("behind", [0, 20, len(BODY)])
def test_what_has_come_with_the_head_is_not_lost_while_it_waits(gate, issuers, behind):
    request = post("/connect", BODY, bearer=issuers.token(NEW))
    where = len(request) - len(BODY) + behind
    with gate.tls() as client:
        client.sendall(request[:where])
        wait.until(lambda: gate.fetches == [0], what="the broker is asked for the keys")
        issuers.write(NEW)
        client.sendall(request[where:])
        assert read_answer(client).status == 200
    assert gate.requests(1)[0].key == bytes([1] * 32)


def test_a_client_that_waits_to_be_told_to_go_on_is_told_when_the_key_is_there(gate, issuers):
    with gate.tls() as client:
        client.sendall(head("POST", "/connect", f"Content-Length: {len(BODY)}", "Expect: 100-continue",
                            bearer=issuers.token(NEW)))
        wait.until(lambda: gate.fetches == [0], what="the broker is asked for the keys")
        issuers.write(NEW)
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(BODY)
        assert read_answer(client).status == 200


def test_a_key_that_does_not_come_is_waited_for_no_longer_than_a_second(gate, issuers):
    """And as many as there are of such tokens, the broker is asked seldom."""
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        bearers = [issuers.token(Key(f"made-up-{i}", "ES256")) for i in range(20)]
        answers = list(pool.map(lambda bearer: gate.ask(head("GET", "/version", bearer=bearer)), bearers))
    took = time.monotonic() - began
    assert {(answer.status, answer.body) for answer in answers} == {(401, "unauthorized\n")}
    assert took >= 1
    assert set(gate.fetches) == {0} and len(gate.fetches) <= took + 1


def test_for_a_key_that_an_issuer_has_just_not_told_it_is_not_asked(gate, issuers):
    issuers.write(KNOWN, seconds_ago=0)
    assert gate.ask(head("GET", "/version", bearer=issuers.token(NEW))).status == 401
    assert not gate.fetches


def test_a_client_that_goes_while_it_waits_takes_nothing_with_it(gate, issuers):
    for _ in range(5):
        with gate.tls() as client:
            client.sendall(post("/connect", BODY, bearer=issuers.token(NEW)))
            wait.until(lambda: gate.fetches, what="the broker is asked for the keys")
    assert gate.ask(head("GET", "/version", bearer=PASSWORD)).status == 200
