"""Handshakes with an implementation of its own, tests/lib/noise.py: what is answered, and what is not
(paper, 5)."""

import concurrent.futures
import os
import struct

import pytest

from lib.noise import (COOKIE, INITIATION, LOW_ORDER, MACS, RESPONSE, TRANSPORT, Initiator, KeyPair,
                       LowOrderPair, Responder, Session, add_macs, timestamp)
from peer import HANDSHAKE_INTERVAL_S, OTHER, is_keepalive, kind_of

PRESHARED = [bytes(32), bytes(range(1, 33))]


def changed(message, at):
    return message[:at] + bytes([message[at] ^ 1]) + message[at + 1:]


def with_macs_anew(message, receiver):
    return add_macs(message[:-MACS], receiver)


# Both roles


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("preshared", PRESHARED, ids=["plain", "psk"])
def test_an_initiation_is_answered_and_packets_go_both_ways(make_peer, preshared, family):
    peer = make_peer(preshared=preshared, family=family, endpoint=False)
    peer.exchange(peer.initiate())


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("preshared", PRESHARED, ids=["plain", "psk"])
def test_a_packet_begins_a_handshake_and_goes_when_it_is_answered(make_peer, preshared, family):
    peer = make_peer(preshared=preshared, family=family)
    peer.exchange(peer.be_called())


def test_an_initiation_of_the_device_has_a_mac1_and_no_mac2(subject, peer):
    subject.inner.send(peer.to())
    message = peer.expect(INITIATION)
    Responder(peer.key, message)
    assert message[-16:] == bytes(16)


def test_both_may_begin_at_once(subject, peer):
    packet = peer.to()
    subject.inner.send(packet)
    peer.called()
    session = peer.initiate()
    peer.deliver(session)
    assert peer.open(session) == packet


# What is not answered


@pytest.mark.parametrize("at", range(4, 132, 16))
def test_an_initiation_that_was_changed_is_not_answered(peer, at):
    _, message = peer.begin()
    peer.send(changed(message, at))
    assert peer.answers() == []


@pytest.mark.parametrize("at", [8, 39, 40, 87, 88, 115])
def test_an_initiation_that_was_changed_under_a_right_mac1_is_not_answered(subject, peer, at):
    _, message = peer.begin()
    peer.send(with_macs_anew(changed(message, at), subject.key.public))
    assert peer.answers() == []


def test_an_initiation_without_mac1_is_not_answered(peer):
    _, message = peer.begin()
    peer.send(message[:-MACS] + bytes(MACS))
    assert peer.answers() == []


def test_a_mac1_for_another_responder_is_none(peer):
    _, message = peer.begin()
    peer.send(with_macs_anew(message, KeyPair().public))
    assert peer.answers() == []


def test_an_initiation_of_nobody_is_not_answered(subject, peer):
    peer.send(subject.initiation(KeyPair())[1])
    assert peer.answers() == []


def test_an_initiation_of_the_device_itself_is_not_answered(subject, peer):
    peer.send(subject.initiation(subject.key)[1])
    assert peer.answers() == []


def test_a_peer_whose_key_the_device_is_given_is_none(peer, new_key):
    new_key(peer.key)
    peer.send(peer.subject.initiation(peer.key)[1])
    assert peer.answers() == []


def test_another_preshared_key_makes_no_session(subject, make_peer):
    peer = make_peer(preshared=os.urandom(32))
    subject.inner.send(peer.to())
    opened = peer.called()
    opened.preshared = bytes(32)
    peer.respond(opened)
    peer.send(opened.session.seal(peer.of()))
    assert peer.answers() == []
    assert subject.inner.receive(0) is None


@pytest.mark.parametrize("public", LOW_ORDER, ids=lambda key: key.hex()[:8])
def test_an_ephemeral_key_of_low_order_is_not_answered(peer, public):
    """Everybody knows the secret of it."""
    _, message = peer.begin(ephemeral=LowOrderPair(public))
    peer.send(message)
    assert peer.answers() == []


@pytest.mark.parametrize("public", LOW_ORDER, ids=lambda key: key.hex()[:8])
def test_a_peer_with_a_key_of_low_order_gets_no_session(subject, make_peer, public):
    peer = make_peer(key=LowOrderPair(public))
    peer.send(subject.initiation(peer.key)[1])
    subject.inner.send_all([peer.to()])
    subject.run()
    assert [kind_of(one) for one in peer.answers()] == []


# mix_dh() of the kernel's drivers/net/wireguard/noise.c refuses it, as we do.
@pytest.mark.skipif(OTHER is not None, reason="wireguard-go of 2022 takes it")
@pytest.mark.parametrize("public", LOW_ORDER, ids=lambda key: key.hex()[:8])
def test_a_response_with_a_key_of_low_order_is_not_taken_and_the_right_one_is(
        subject, peer, public):
    packet = peer.to()
    subject.inner.send(packet)
    message = peer.expect(INITIATION)
    false = Responder(peer.key, message)
    # both agreements of a response are with this key
    peer.send(add_macs(false.response(ephemeral=LowOrderPair(public)), subject.key.public))
    assert peer.answers() == []
    assert peer.open(peer.respond(Responder(peer.key, message))) == packet


NONSENSE = {
    "short initiation": lambda m: m[:-1], "long initiation": lambda m: m + b"\0",
    "reserved": lambda m: m[:1] + b"\1" + m[2:], "last reserved": lambda m: m[:3] + b"\1" + m[4:],
    "type 0": lambda m: b"\0" + m[1:], "type 5": lambda m: b"\5" + m[1:],
    "type 255": lambda m: b"\xff" + m[1:], "type 4": lambda m: b"\4" + m[1:],
    "type only": lambda m: m[:1], "nothing": lambda m: b"", "header only": lambda m: m[:8],
}


@pytest.mark.parametrize("change", NONSENSE.values(), ids=NONSENSE)
def test_what_is_no_message_is_not_answered(subject, peer, change):
    begun, message = peer.begin()
    wrong = change(message)
    if len(wrong) > MACS + 8:
        wrong = with_macs_anew(wrong, subject.key.public)
    peer.send(wrong)
    assert peer.answers() == []
    subject.clock.move(HANDSHAKE_INTERVAL_S)
    peer.send(message)
    begun.consume(peer.expect(RESPONSE))


@pytest.mark.parametrize("change", [lambda m: m[:-1], lambda m: m + b"\0",
                                    lambda m: m[:2] + b"\1" + m[3:]],
                         ids=["short", "long", "reserved"])
def test_a_response_of_wrong_form_is_not_taken(subject, peer, change):
    packet = peer.to()
    subject.inner.send(packet)
    opened = peer.called()
    response = opened.response()
    wrong = change(add_macs(response, subject.key.public))
    peer.send(with_macs_anew(wrong, subject.key.public))
    assert peer.answers() == []
    peer.send(add_macs(response, subject.key.public))
    assert peer.open(opened.session) == packet


def test_a_device_that_is_down_answers_nothing_and_one_that_comes_up_begins_anew(subject, peer):
    session = peer.connect()
    interface = subject.inner.name
    subject.network["a"].ip(f"link set {interface} down")
    try:
        subject.run()
        _, message = peer.begin()
        peer.send(message)
        peer.send(session.seal(peer.of()))
    finally:
        subject.network["a"].ip(f"link set {interface} up")
    subject.run()
    assert peer.answers() == []
    peer.exchange(peer.initiate())


# Each message once


def test_an_initiation_is_answered_once(subject, peer):
    begun, message = peer.begin()
    peer.send(message)
    begun.consume(peer.expect(RESPONSE))
    subject.clock.move(HANDSHAKE_INTERVAL_S)
    peer.send(message)
    assert peer.answers() == []


def test_an_initiation_that_is_not_later_is_not_answered(subject, peer):
    peer.initiate()
    now = subject.clock.now_ns()
    for when in now - 10 ** 12, now - 10 ** 10, 0:
        subject.clock.move(HANDSHAKE_INTERVAL_S)
        peer.send(add_macs(Initiator(peer.key, subject.key.public).initiation(timestamp(when)),
                           subject.key.public))
    assert peer.answers() == []


def test_an_initiation_of_the_same_time_is_not_answered(subject, peer):
    now = timestamp(subject.clock.now_ns())
    first, second = (Initiator(peer.key, subject.key.public) for _ in range(2))
    peer.send(add_macs(first.initiation(now), subject.key.public))
    first.consume(peer.expect(RESPONSE))
    subject.clock.move(HANDSHAKE_INTERVAL_S)
    peer.send(add_macs(second.initiation(now), subject.key.public))
    assert peer.answers() == []


def test_a_replayed_initiation_of_another_address_takes_nothing_over(subject, peer):
    begun, message = peer.begin()
    peer.send(message)
    session = begun.consume(peer.expect(RESPONSE))
    other = subject.socket()
    subject.clock.move(HANDSHAKE_INTERVAL_S)
    other.send(message)
    peer.answers()
    peer.exchange(session)
    other.close()


@pytest.mark.skipif(OTHER is not None, reason="20 ms of the real clock may be over")
def test_of_a_peer_one_initiation_in_20_ms_is_answered(subject, peer):
    subject.clock.move(HANDSHAKE_INTERVAL_S)
    started = [peer.begin() for _ in range(10)]
    for _, message in started:
        peer.send(message)
    answered = peer.answers(passing=0)
    assert len(answered) == 1
    started[0][0].consume(answered[0])


def test_a_response_is_taken_once(subject, peer):
    subject.inner.send(peer.to())
    opened = peer.called()
    response = add_macs(opened.response(), subject.key.public)
    peer.send(response)
    peer.open(opened.session)
    peer.send(response)
    assert peer.answers() == []
    peer.exchange(opened.session)


def test_a_response_of_another_peer_is_not_taken(subject, make_peer):
    peer, other = make_peer(), make_peer()
    packet = peer.to()
    subject.inner.send(packet)
    message = peer.expect(INITIATION)
    opened = Responder(peer.key, message)
    false = Responder(peer.key, message)
    # all that the other one knows of it: the initiation, and its own key
    false.transcript.mix_agreement(other.key.exchange(subject.key.public))
    peer.send(add_macs(false.response(), subject.key.public))
    assert peer.answers() == []
    assert peer.open(peer.respond(opened)) == packet


def test_a_response_to_an_index_that_was_not_sent_is_not_taken(subject, peer):
    packet = peer.to()
    subject.inner.send(packet)
    opened = peer.called()
    response = opened.response()
    peer.send(add_macs(response[:8] + os.urandom(4) + response[12:], subject.key.public))
    assert peer.answers() == []
    peer.send(add_macs(response, subject.key.public))
    assert peer.open(opened.session) == packet


# Indices and keys of sessions


def test_each_session_has_an_index_of_its_own(peer):
    indices = {peer.connect().remote_index for _ in range(16)}
    assert len(indices) == 16
    # not counted up
    assert max(indices) - min(indices) > 2 ** 20


def test_the_session_before_is_still_received_and_the_one_before_that_is_not(subject, peer):
    oldest, old, new = (peer.connect() for _ in range(3))
    peer.send(oldest.seal(peer.of()))
    peer.deliver(old)
    assert peer.deliver(new) == []


@pytest.mark.parametrize("index", [0, 1, 2 ** 32 - 1])
def test_a_peer_may_choose_any_index_also_one_that_another_has(make_peer, index):
    sessions = {}
    for peer in make_peer(), make_peer():
        begun, message = peer.begin(index=index)
        peer.send(message)
        sessions[peer] = begun.consume(peer.expect(RESPONSE))
    for _ in range(2):
        for peer, session in sessions.items():
            peer.exchange(session)


def test_a_key_goes_with_its_index_alone(make_peer):
    one, other = make_peer(), make_peer()
    first, second = one.connect(), other.connect()
    crossed = Session(first.send_key, b"", 0, second.remote_index, b"")
    one.send(crossed.seal(one.of(), 100))
    one.send(crossed.seal(other.of(), 101))
    one.send(Session(first.send_key, b"", 0, first.remote_index ^ 1, b"").seal(one.of(), 102))
    assert one.deliver(first) == []


def test_what_it_does_not_know_it_answers_to_nobody(subject, peer):
    for kind in INITIATION, RESPONSE, COOKIE, TRANSPORT:
        for size in 148, 92, 64, 1000:
            body = struct.pack("<I", kind) + os.urandom(size - 4 - MACS)
            peer.send(add_macs(body, subject.key.public))
        peer.send(body[:32])
    assert peer.answers() == []


# Who may use a session first: 5.4.6, 6.5


def test_the_responder_sends_nothing_before_the_initiator_has(subject, peer):
    session = peer.initiate()
    packet = peer.to()
    subject.inner.send_all([packet])
    subject.run()
    assert TRANSPORT not in [kind_of(one) for one in peer.answers()]
    peer.send(session.seal())
    peer.until(TRANSPORT)  # it may have begun a handshake of its own
    assert session.open(peer.last)[1] == packet


def test_a_new_session_is_not_used_for_sending_before_the_initiator_has(subject, peer):
    old = peer.connect()
    new = peer.initiate()
    packet = peer.to()
    subject.inner.send(packet)
    assert peer.open(old) == packet
    peer.exchange(new)


def test_an_initiator_without_data_confirms_the_session_with_a_keepalive(subject, make_peer):
    peer = make_peer(keepalive=25)
    session = peer.respond()
    assert is_keepalive(peer.receive(), session)


# What waits for the handshake


def test_what_waits_is_sent_after_the_handshake_oldest_first(subject, peer):
    packets = [peer.to() for _ in range(100)]
    subject.inner.send_all(packets)
    session = peer.respond()
    opened = [session.open(peer.expect(TRANSPORT)) for _ in packets]
    assert [packet for _, packet in opened] == packets
    assert [counter for counter, _ in opened] == list(range(100))


def test_of_a_peer_128_packets_wait_and_the_oldest_go_first(subject, peer):
    packets = [peer.to() for _ in range(300)]
    subject.inner.send(packets[0])
    opened = peer.called()
    subject.inner.send_all(packets[1:])
    session = peer.respond(opened)
    assert [peer.open(session) for _ in range(128)] == packets[-128:]
    peer.exchange(session)


def test_what_waits_is_not_overtaken_by_what_comes_when_there_is_a_key(subject, make_peer):
    for _ in range(40):
        peer = make_peer()
        packets = [peer.to() for _ in range(600)]
        subject.inner.send(packets[0])
        opened = peer.called()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            sender = pool.submit(subject.inner.send_some_at_a_time, packets[1:])
            session = peer.respond(opened)
            sender.result()
        last = peer.to()
        subject.inner.send(last)
        # with a keepalive, if a worker was first; and the oldest may have been dropped
        arrived = list(filter(None, iter(lambda: peer.open(session), last)))
        assert len(arrived) > 100 and arrived == sorted(arrived, key=packets.index)


def test_what_waits_goes_also_if_the_peer_begins(subject, peer):
    packets = [peer.to() for _ in range(5)]
    subject.inner.send_all(packets)
    peer.called()
    session = peer.initiate()
    peer.send(session.seal())
    assert [peer.open(session) for _ in packets] == packets
