"""Cookies (paper, 5.3 and 5.4.7), with an implementation of its own: tests/lib/noise.py."""

import os
import struct

import pytest

from lib.noise import (COOKIE, COOKIE_LIFETIME, INITIATION, MACS, REKEY_TIMEOUT, RESPONSE, Responder,
                       add_macs, cookie_reply, has_mac2, open_cookie_reply)
from peer import HANDSHAKE_INTERVAL_S, OTHER, aged, kind_of

LATER_S = REKEY_TIMEOUT + 1  # when an initiation has been sent again

loaded = pytest.mark.skipif(OTHER is not None, reason="the load of another program cannot be set")


@pytest.fixture
def under_load(subject):
    with subject.load():
        yield


def get_cookie(peer, message):
    peer.send(message)
    return open_cookie_reply(peer.expect(COOKIE), message, peer.subject.key.public)


def with_cookie(message, peer, cookie):
    return add_macs(message[:-MACS], peer.subject.key.public, cookie)


# The device as the one that is under load


@loaded
@pytest.mark.parametrize("family", [4, 6])
def test_under_load_a_cookie_is_asked_for_and_good(make_peer, under_load, family):
    peer = make_peer(family=family)
    begun, message = peer.begin()
    cookie = get_cookie(peer, message)
    peer.send(with_cookie(message, peer, cookie))
    peer.exchange(begun.consume(peer.expect(RESPONSE)))


@loaded
def test_a_reply_is_shorter_than_what_it_answers_and_never_twice_the_same(peer, under_load):
    _, message = peer.begin()
    replies = set()
    for _ in range(3):
        peer.send(message)
        replies.add(peer.expect(COOKIE))
    assert len(replies) == 3 and max(map(len, replies)) < len(message)


@loaded
def test_under_load_a_wrong_mac1_is_not_answered(peer, under_load):
    _, message = peer.begin()
    peer.send(message[:-MACS] + os.urandom(MACS))
    get_cookie(peer, message)
    assert peer.arrived() == []


@loaded
def test_a_cookie_is_for_one_port_and_address(subject, peer, under_load):
    _, message = peer.begin()
    cookie = get_cookie(peer, message)
    subject.network["b"].ip(f"addr replace 10.9.0.78/24 dev {subject.network.veth['b']}")
    for other in subject.socket(), subject.socket(address="10.9.0.78"):
        other.send(with_cookie(message, peer, cookie))
        assert kind_of(other.recv(1000)) == COOKIE
        other.close()


@loaded
def test_a_mac2_of_another_message_or_cookie_is_none(peer, under_load):
    _, message = peer.begin()
    _, other = peer.begin()
    cookie = get_cookie(peer, message)
    good = with_cookie(message, peer, cookie)
    peer.send(good[:-1] + bytes([good[-1] ^ 1]))
    assert kind_of(peer.receive()) == COOKIE
    peer.send(other[:-16] + good[-16:])
    assert kind_of(peer.receive()) == COOKIE
    peer.send(with_cookie(message, peer, os.urandom(16)))
    assert kind_of(peer.receive()) == COOKIE


@loaded
@aged
def test_a_cookie_is_good_for_two_minutes(subject, peer, under_load):
    subject.pass_time(COOKIE_LIFETIME)  # so that the next one is of a new secret
    subject.clock.set_load(True)
    cookie = get_cookie_anew(subject, peer)
    subject.clock.move(COOKIE_LIFETIME - 1)
    begun, message = peer.begin()
    assert get_cookie_anew(subject, peer) == cookie
    peer.send(with_cookie(message, peer, cookie))
    begun.consume(peer.expect(RESPONSE))
    subject.clock.move(1)
    _, message = peer.begin()
    assert get_cookie_anew(subject, peer) != cookie
    peer.send(with_cookie(message, peer, cookie))
    assert kind_of(peer.receive()) == COOKIE


def get_cookie_anew(subject, peer):
    """Though the load may have passed with the time: the first message makes it, if it is answered."""
    for _ in range(2):
        subject.clock.move(HANDSHAKE_INTERVAL_S)
        _, message = subject.initiation(subject.probe)
        peer.send(message)
        reply = peer.receive()
        if kind_of(reply) == COOKIE:
            return open_cookie_reply(reply, message, subject.key.public)
    raise AssertionError("no load")


@loaded
def test_under_load_the_first_response_to_an_initiation_needs_no_cookie(subject, peer, under_load):
    """A server that has begun many handshakes is loaded by their answers."""
    packet = peer.to()
    subject.inner.send(packet)
    assert peer.open(peer.respond()) == packet


@loaded
def test_a_further_response_is_asked_for_a_cookie_under_load(subject, peer, under_load):
    """The first one is of somebody who has seen the initiation, and knows the key."""
    packet = peer.to()
    subject.inner.send(packet)
    opened = peer.called()
    message = opened.response()
    peer.send(add_macs(message[:-1] + bytes([message[-1] ^ 1]), subject.key.public))
    response = add_macs(message, subject.key.public)
    cookie = get_cookie(peer, response)
    peer.send(with_cookie(response, peer, cookie))
    assert peer.open(opened.session) == packet


@loaded
def test_under_load_a_source_is_answered_5_times_at_once_and_20_times_a_second(
        subject, make_peer, under_load):
    """ratelimiter.h. Each initiation is of another peer, as one has 20 ms of its own."""
    source, *peers = [make_peer() for _ in range(16)]
    subject.clock.move(1)
    cookie = get_cookie(source, source.begin()[1])

    def answers(some):
        for peer in some:
            source.send(with_cookie(peer.begin()[1], source, cookie))
        source.send(source.begin()[1])
        return [kind_of(one) for one in source.until(COOKIE)]

    assert answers(peers[:8]) == [RESPONSE] * 5
    assert answers(peers[8:9]) == []
    subject.clock.move(0.1)
    assert answers(peers[9:]) == [RESPONSE] * 2


@loaded
def test_when_the_load_is_over_no_cookie_is_needed(subject, peer):
    with subject.load():
        begun, message = peer.begin()
        get_cookie(peer, message)
    peer.send(message)
    begun.consume(peer.expect(RESPONSE))


# The device as the one that is asked


def ask(peer, cookie):
    """Answers the device's initiation with a cookie reply."""
    message = peer.expect(INITIATION)
    peer.send(cookie_reply(message, peer.key.public, cookie))
    return message


def test_a_cookie_is_used_when_the_initiation_is_sent_again_and_not_at_once(subject, peer):
    cookie = os.urandom(16)
    packet = peer.to()
    subject.inner.send(packet)
    ask(peer, cookie)
    assert peer.answers() == []
    subject.pass_time(LATER_S)
    message = peer.expect(INITIATION)
    assert has_mac2(message, cookie)
    assert peer.open(peer.respond(Responder(peer.key, message))) == packet


@aged
def test_a_cookie_is_used_for_responses_too_and_not_longer_than_two_minutes(subject, peer):
    cookie = os.urandom(16)
    subject.inner.send(peer.to())
    ask(peer, cookie)
    peer.answers()

    def response():
        subject.clock.move(HANDSHAKE_INTERVAL_S)
        begun, message = peer.begin()
        peer.send(message)
        peer.until(RESPONSE)
        begun.consume(peer.last)
        return peer.last

    assert has_mac2(response(), cookie)
    subject.pass_time(COOKIE_LIFETIME / 2)
    assert has_mac2(response(), cookie)
    subject.pass_time(COOKIE_LIFETIME / 2)
    assert response()[-16:] == bytes(16)


WRONG_REPLIES = {
    "to another message": lambda m, key, cookie: cookie_reply(
        m[:-MACS] + os.urandom(MACS), key, cookie),
    "of another key": lambda m, key, cookie: cookie_reply(m, bytes(32), cookie),
    "changed": lambda m, key, cookie: cookie_reply(m, key, cookie)[:-1] + b"\0",
    "to another index": lambda m, key, cookie: cookie_reply(
        m[:4] + os.urandom(4) + m[8:], key, cookie),
    "short": lambda m, key, cookie: cookie_reply(m, key, cookie)[:-1],
    "long": lambda m, key, cookie: cookie_reply(m, key, cookie) + b"\0",
    "reserved": lambda m, key, cookie: struct.pack("<I", COOKIE | 1 << 8) + cookie_reply(
        m, key, cookie)[4:],
}


@pytest.mark.parametrize("make", WRONG_REPLIES.values(), ids=WRONG_REPLIES)
def test_a_cookie_reply_that_is_not_right_is_not_used(subject, peer, make):
    packet = peer.to()
    subject.inner.send(packet)
    message = peer.expect(INITIATION)
    peer.send(make(message, peer.key.public, os.urandom(16)))
    peer.answers()
    subject.pass_time(LATER_S)
    again = peer.expect(INITIATION)
    assert again[-16:] == bytes(16)
    assert peer.open(peer.respond(Responder(peer.key, again))) == packet
