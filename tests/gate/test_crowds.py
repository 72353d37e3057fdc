"""What a gate does when many come at once: whose turn it is, who waits, and what they cost."""

import os
import select
import signal
import socket
import time

import pytest

import harness
from harness import SANITIZER, client_hello, head, post, read_answer, read_to_end

CHECKS = 64  # gate/connection.h
BODY = b'{"PeerPublicKey":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}'


def test_a_wrong_password_is_answered_after_a_second(gate):
    start = time.monotonic()
    assert gate.ask(post("/connect", BODY, bearer="x")).status == 401
    assert time.monotonic() - start > 0.95


def begin_guess(gate, source="127.0.0.1"):
    client = gate.tls(source=source)
    client.sendall(post("/connect-ipip", bearer="x"))
    return client


def test_one_source_can_try_so_many_passwords_a_second_and_no_more(gate):
    clients = [gate.tls() for _ in range(150)]
    for client in clients:
        client.sendall(post("/connect-ipip", bearer="x"))
    start = time.monotonic()
    answered = []
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLIN)
    while len(answered) < len(clients):
        for fd, _ in poll.poll(10000):
            poll.unregister(fd)
            answered.append(time.monotonic() - start)
    for i in range(len(clients) - CHECKS):
        assert answered[i + CHECKS] - answered[i] > 0.8, i
    for client in clients:
        assert read_answer(client).status == 401
        client.close()


def assert_not_held_up(gate, wrong, **options):
    """By a second, as those wrong ones are. What a busy machine delays is tried again."""
    def seconds():
        start = time.monotonic()
        assert gate.ask(post("/connect-ipip"), **options).status == 200
        took = time.monotonic() - start
        wrong.extend(begin_guess(gate) for _ in range(CHECKS // 8))
        return took
    assert any(seconds() < 0.9 for _ in range(5))


def test_a_right_password_is_never_refused_for_others_wrong_ones(gate):
    """Also where they come from the same address, and there are more of them than are checked."""
    gate.answer_all()
    wrong = [begin_guess(gate) for _ in range(CHECKS // 2)]
    assert_not_held_up(gate, wrong)
    wrong += [begin_guess(gate) for _ in range(2 * CHECKS)]
    assert gate.ask(post("/connect-ipip")).status == 200
    assert_not_held_up(gate, wrong, source="127.0.0.2")
    for client in wrong:
        client.close()


def test_who_says_nothing_takes_no_place_at_the_check_of_passwords(gate):
    gate.answer_all()
    wrong = [begin_guess(gate) for _ in range(CHECKS)]
    idle = [gate.tls() for _ in range(CHECKS)]
    assert gate.ask(post("/connect-ipip")).status == 200
    for client in wrong + idle:
        client.close()


def test_a_guess_whose_client_goes_away_counts_for_its_second(gate):
    clients, late = [gate.tls() for _ in range(CHECKS)], gate.tls()
    start = time.monotonic()
    for client in clients:
        client.sendall(post("/connect-ipip", bearer="x"))
        client.close()
    late.sendall(post("/connect-ipip", bearer="x"))
    assert read_answer(late).status == 401
    assert time.monotonic() - start > 1.9
    late.close()


def test_one_source_with_many_handshakes_does_not_keep_another_waiting(gate):
    hello = client_hello()
    os.kill(gate.pid, signal.SIGSTOP)
    crowd = [gate.connect(source="127.0.0.1") for _ in range(400)]
    for client in crowd:
        client.sendall(hello)
    other = gate.connect(source="127.0.0.2")
    other.sendall(hello)
    os.kill(gate.pid, signal.SIGCONT)
    assert other.recv(1) == b"\x16"
    served = len(select.select(crowd, [], [], 0)[0])
    assert served < 200
    for client in crowd + [other]:
        client.close()


def test_one_source_with_many_requests_does_not_keep_another_waiting(gate):
    """While the broker has as many as it is asked at once."""
    gate.answer_none()
    crowd = [gate.tls(source="127.0.0.1") for _ in range(150)]
    for client in crowd:
        client.sendall(post("/connect-ipip"))
    waiting = gate.requests(128)
    time.sleep(0.5)
    with gate.tls(source="127.0.0.2") as other:
        other.sendall(post("/relinquish"))
        time.sleep(0.5)
        for request in waiting[:2]:
            gate.answer(request)
        assert harness.RELINQUISH in [request.operation for request in gate.requests(130)[128:]]
    gate.answer_all()
    for request in gate.requests(130)[2:]:
        gate.answer(request)
    for client in crowd:
        assert read_answer(client).status == 200
        client.close()


def test_handshakes_that_wait_for_their_clients_make_room_for_others(make_gate):
    gate = make_gate(max_connections=400)
    crowd = [gate.connect() for _ in range(100)]
    for client in crowd:
        client.sendall(client_hello())
    assert gate.ask(head("GET", "/healthz")).status == 200
    assert "has to make room: TLS handshake" in gate.log()
    for client in crowd:
        client.close()


def test_clients_that_have_not_said_all_of_their_first_message_cost_no_memory(make_gate):
    gate = make_gate(max_connections=1000, max_per_source=1000)
    assert gate.ask(head("GET", "/healthz")).status == 200
    memory_before = gate.memory()
    hello = client_hello()
    crowd = [gate.connect() for _ in range(800)]
    for i, client in enumerate(crowd):
        client.sendall(hello[:-1] if i % 2 else b"\x16\x03\x01\x0f\x00\x01\x00\x0e\xfc" + bytes(3000))
    time.sleep(1)
    assert all(is_open(client) for client in crowd)
    assert SANITIZER or gate.memory() - memory_before < 1000
    for client in crowd:
        client.close()


def test_clients_that_say_nothing_behind_their_handshake_cost_little_memory(gate):
    """The library has 21 KB of buffers for each in the handshake, which do not stay."""
    assert gate.ask(head("GET", "/healthz")).status == 200
    memory_before = gate.memory()
    crowd = [gate.tls() for _ in range(300)]
    assert SANITIZER or gate.memory() - memory_before < 300 * 17
    for client in crowd:
        client.close()


def test_a_late_answer_makes_nothing_else_dearer(make_gate):
    """A gate that looked for it before it sleeps would do so again with each connection that it refuses meanwhile."""
    gate = make_gate(max_per_source=1)
    with gate.tls() as client:
        client.sendall(post("/connect-ipip"))
        request = gate.requests(1)[0]
        before = gate.processor_time()
        for _ in range(1000):
            with gate.connect() as refused:
                read_to_end(refused)
        assert SANITIZER or gate.processor_time() - before < 0.07
        gate.answer(request)
        assert read_answer(client).status == 200


def is_open(client):
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True


def test_a_client_that_hangs_up_amid_its_first_message_does_not_keep_the_gate_busy(gate):
    with gate.connect() as client:
        client.sendall(client_hello()[:-1])
        time.sleep(0.1)
        before = gate.processor_time()
        client.shutdown(socket.SHUT_WR)
        client.settimeout(5)
        with pytest.raises(ConnectionResetError):  # what it has sent was never read
            client.recv(1)
        assert gate.processor_time() - before < 0.1
