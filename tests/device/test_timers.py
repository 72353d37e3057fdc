"""What a device sends, gives up and forgets by itself (paper, 6), seen by an implementation of its own,
tests/lib/noise.py. The device's clock stands still but for what a test moves it, so that minutes pass
at once and a busy machine changes nothing.

DEVICE=PROGRAM is tested in real time, where that takes no longer than half a minute."""

import os

import pytest

from lib.noise import (INITIATION, JITTER, KEEPALIVE_TIMEOUT, REJECT_AFTER_TIME, REKEY_AFTER_TIME,
                       REKEY_ATTEMPT_TIME, REKEY_TIMEOUT, RESPONSE, TRANSPORT, KeyPair, Responder,
                       pad)
from lib.wait import until
from peer import HANDSHAKE_INTERVAL_S, OTHER, aged, is_keepalive, kind_of

SOON = 0.1  # before or after a moment
UNANSWERED = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT  # 6.2
FORGET = 3 * REJECT_AFTER_TIME  # 6.1


def send_keepalive(peer, session):
    """Returns when the device has it."""
    before = int(peer.subject.state(peer)["rx_bytes"])
    peer.send(session.seal())
    until(lambda: int(peer.subject.state(peer)["rx_bytes"]) > before, what="keepalive received")
    peer.subject.run()


def be_quiet(peer, session):
    """Exchanges packets after which neither side waits for anything."""
    peer.exchange(session)
    send_keepalive(peer, session)


def is_silent(peer, seconds):
    """Lets the time pass; whether the device sends nothing to the peer."""
    peer.subject.pass_time(seconds)
    return peer.arrived() == []


def sends(peer, session):
    """A packet of the device, under this session; what comes with it by now, before or after it."""
    packet = peer.to()
    peer.subject.inner.send(packet)
    others = peer.until(TRANSPORT)
    assert session.open(peer.last)[1] == packet
    peer.subject.run()
    return others + peer.arrived()


# Keepalives: 6.5


def test_data_is_answered_by_one_keepalive_after_10_s(subject, peer):
    session = peer.connect()
    assert is_silent(peer, KEEPALIVE_TIMEOUT - SOON * 4)
    subject.clock.move(SOON * 5)
    assert is_keepalive(peer.receive(), session)
    assert is_silent(peer, 3 * SOON if OTHER else 100)


def test_data_that_was_answered_by_data_needs_no_keepalive(peer):
    session = peer.connect()
    peer.exchange(session)
    assert is_silent(peer, KEEPALIVE_TIMEOUT + SOON)


def test_a_keepalive_is_not_answered(peer):
    session = peer.connect()
    be_quiet(peer, session)
    assert is_silent(peer, KEEPALIVE_TIMEOUT + 2 if OTHER else 100)


def test_persistent_keepalives_come_that_long_after_the_last_packet(subject, make_peer):
    seconds = 5
    peer = make_peer(keepalive=seconds)
    session = peer.respond()
    assert is_keepalive(peer.receive(), session)
    for _ in range(1 if OTHER else 12):
        assert is_silent(peer, seconds - 2 * SOON)
        subject.clock.move(3 * SOON)
        assert is_keepalive(peer.receive(), session)
    be_quiet(peer, session)
    assert is_silent(peer, seconds - 2 * SOON)
    subject.clock.move(3 * SOON)
    assert is_keepalive(peer.receive(), session)


def test_a_responder_that_nobody_has_confirmed_sends_no_keepalive(peer):
    peer.initiate()
    assert is_silent(peer, KEEPALIVE_TIMEOUT + UNANSWERED if OTHER else 400)


# A handshake that is not answered: 6.4


def initiations(peer, seconds, step=SOON):
    """Lets the time pass. Returns the initiations that come, and when."""
    found = []
    for i in range(round(seconds / step)):
        peer.subject.pass_time(step)
        found += [(i * step, one) for one in peer.arrived()]
    assert all(kind_of(one) == INITIATION for _, one in found)
    return found


@aged
def test_an_initiation_is_sent_again_every_5_s_for_90_s(subject, peer):
    """wireguard-go and the kernel count 18 tries instead, which take up to 96 s."""
    subject.inner.send(peer.to())
    first = peer.expect(INITIATION)
    found = [(0, first)] + initiations(peer, 4 * REKEY_ATTEMPT_TIME)
    times = [when for when, _ in found]
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert min(gaps) >= REKEY_TIMEOUT - SOON and max(gaps) <= REKEY_TIMEOUT + JITTER + 2 * SOON
    assert REKEY_ATTEMPT_TIME - REKEY_TIMEOUT - JITTER - SOON <= times[-1] <= REKEY_ATTEMPT_TIME
    # each by itself: another time, index and key
    opened = [Responder(peer.key, message) for _, message in found]
    stamps = [one.timestamp for one in opened]
    assert stamps == sorted(set(stamps))
    assert len({one.remote_index for one in opened}) == len({one.remote_ephemeral for one in
                                                              opened}) == len(found)


@aged
def test_the_gaps_between_initiations_are_not_all_the_same(subject, peer):
    subject.inner.send(peer.to())
    peer.expect(INITIATION)
    times = [when for when, _ in initiations(peer, REKEY_ATTEMPT_TIME, 0.02)]
    assert len({round(b - a, 2) for a, b in zip(times, times[1:])}) > 3


@aged
def test_data_that_is_to_be_sent_keeps_the_attempt_going(subject, peer):
    subject.inner.send(peer.to())
    peer.expect(INITIATION)
    initiations(peer, 60)
    subject.inner.send_all([peer.to()])
    subject.run()
    times = [60 + when for when, _ in initiations(peer, 200)]
    assert 150 - REKEY_TIMEOUT - 2 * JITTER - SOON <= times[-1] <= 150 + SOON


@aged
def test_what_waited_is_dropped_when_the_attempt_is_given_up(subject, peer):
    subject.inner.send_all([peer.to() for _ in range(3)])
    initiations(peer, 2 * REKEY_ATTEMPT_TIME)
    session = peer.be_called()  # has sent what was new, and nothing before it
    assert peer.arrived() == []
    peer.exchange(session)


def test_a_response_to_an_initiation_that_was_sent_again_is_too_late(subject, peer):
    packet = peer.to()
    subject.inner.send(packet)
    late = peer.called()
    subject.pass_time(REKEY_TIMEOUT + JITTER + SOON)
    opened = peer.called()
    peer.respond(late)
    assert peer.answers() == []
    assert peer.open(peer.respond(opened)) == packet


def test_timestamps_do_not_tell_the_time_exactly(subject, peer):
    """To about 17 ms, as the other implementations'."""
    subject.inner.send(peer.to())
    assert peer.called().timestamp[-3:] == bytes(3)


# When a session is renewed: 6.2


@aged
def test_data_that_nobody_answers_begins_a_handshake_after_15_s(subject, peer):
    session = peer.be_called()
    assert is_silent(peer, UNANSWERED - SOON)
    subject.clock.move(SOON + JITTER)
    new = peer.respond()
    assert is_keepalive(peer.receive(), new)
    peer.exchange(new)
    peer.deliver(session)  # what is still on its way


@aged
@pytest.mark.parametrize("answer", [lambda peer, session: send_keepalive(peer, session),
                                    lambda peer, session: peer.deliver(session)],
                         ids=["keepalive", "data"])
def test_any_answer_is_one(peer, answer):
    session = peer.be_called()
    peer.subject.pass_time(UNANSWERED - 1)
    answer(peer, session)
    peer.subject.pass_time(60)
    assert INITIATION not in [kind_of(one) for one in peer.arrived()]


@aged
def test_an_initiator_that_sends_renews_after_120_s(subject, peer):
    session = peer.be_called()
    be_quiet(peer, session)
    assert is_silent(peer, REKEY_AFTER_TIME - SOON)
    assert sends(peer, session) == []
    subject.pass_time(2 * SOON)
    assert [kind_of(one) for one in sends(peer, session)] == [INITIATION]
    assert sends(peer, session) == []  # once


@aged
def test_until_the_response_comes_the_old_key_is_used(subject, peer):
    session = peer.be_called()
    be_quiet(peer, session)
    subject.pass_time(REKEY_AFTER_TIME + SOON)
    (message,) = sends(peer, session)
    assert sends(peer, session) == []
    new = peer.respond(Responder(peer.key, message))
    assert is_keepalive(peer.receive(), new)
    peer.exchange(new)


@aged
def test_a_responder_does_not_renew_by_age(subject, peer):
    session = peer.connect()
    be_quiet(peer, session)
    subject.pass_time(REJECT_AFTER_TIME - 1)
    assert sends(peer, session) == []
    assert peer.deliver(session) == []
    subject.run()
    assert peer.arrived() == []


@aged
def test_an_initiator_that_only_receives_renews_after_165_s(subject, peer):
    session = peer.be_called()
    be_quiet(peer, session)
    assert is_silent(peer, REJECT_AFTER_TIME - UNANSWERED - SOON)
    peer.deliver(session)
    assert is_silent(peer, 0)
    subject.clock.move(2 * SOON)
    peer.deliver(session)
    assert peer.called()


@aged
@pytest.mark.parametrize("role", ["connect", "be_called"])
def test_after_180_s_nothing_is_received(subject, peer, role):
    session = getattr(peer, role)()
    be_quiet(peer, session)
    subject.pass_time(REJECT_AFTER_TIME - SOON)
    peer.deliver(session)
    subject.clock.move(2 * SOON)
    peer.send(session.seal(peer.of()))
    peer.send(session.seal())
    peer.answers()
    subject.clock.move(HANDSHAKE_INTERVAL_S)
    begun, message = peer.begin()
    peer.send(message)
    peer.until(RESPONSE)
    assert peer.deliver(begun.consume(peer.last)) == []


@aged
@pytest.mark.parametrize("role", ["connect", "be_called"])
def test_after_180_s_nothing_is_sent_but_an_initiation_and_then_what_waits(subject, peer, role):
    session = getattr(peer, role)()
    be_quiet(peer, session)
    subject.pass_time(REJECT_AFTER_TIME + SOON)
    packets = [peer.to() for _ in range(3)]
    subject.inner.send_all(packets)
    new = peer.respond()
    assert [peer.open(new) for _ in packets] == packets


@aged
def test_a_peer_that_is_quiet_is_sent_nothing(subject, peer):
    be_quiet(peer, peer.be_called())
    for _ in range(20):
        assert is_silent(peer, 60)


# What is forgotten: 6.3


def memory_of(pid):
    """All that the process can write."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            span, rights = line.split()[:2]
            begin, end = (int(n, 16) for n in span.split("-"))
            if rights.startswith("rw"):
                mem.seek(begin)
                found.append(mem.read(end - begin))
    return b"\n".join(found)


def part_of(secret):
    """What memory keeps that was freed and not wiped, whose beginning is written over; and without the
    last byte, which private keys are given another of (RFC 7748, 5)."""
    return secret[len(secret) // 2:-1]


def held(subject, secrets):
    """The names of those that the device has in its memory."""
    memory = memory_of(subject.device.status("Pid"))
    return {name for name, secret in secrets.items() if part_of(secret) in memory}


def secrets_of(session):
    return {"send": session.send_key, "receive": session.receive_key}


def use(peer, session):
    """Keys are copied for longer packets."""
    for size in 64, 1400, 1400:
        packet = peer.of(size=size)
        peer.send(session.seal(packet))
        assert peer.subject.inner.before(packet) == []
        packet = peer.to(size=size)
        peer.subject.inner.send(packet)
        assert peer.open(session) == pad(packet)
    send_keepalive(peer, session)


def used_session(peer):
    session = peer.connect()
    use(peer, session)
    return session


def check_wiped(subject, secrets):
    """Workers let go of what they have used when they have had nothing to do for 5 s, and what they
    may still hold is freed soon after."""
    subject.pass_time(6)

    def wiped():
        subject.pass_time(SOON)
        return not held(subject, secrets)
    until(wiped, what=lambda: held(subject, secrets))


@aged
@pytest.mark.parametrize("role", ["connect", "be_called"])
def test_keys_are_wiped_after_540_s(subject, peer, role):
    session = getattr(peer, role)()
    use(peer, session)
    assert held(subject, secrets_of(session)) == {"send", "receive"}
    subject.pass_time(FORGET + SOON)
    check_wiped(subject, secrets_of(session))


@aged
def test_keys_that_nobody_has_confirmed_are_wiped_after_540_s_too(subject, peer):
    session = peer.initiate()
    assert held(subject, secrets_of(session)) == {"send", "receive"}
    subject.pass_time(FORGET + SOON)
    check_wiped(subject, secrets_of(session))


@aged
@pytest.mark.parametrize("role", ["connect", "be_called"])
def test_what_the_keys_are_made_of_is_wiped_at_once(subject, peer, role):
    """The chaining key: who has it has both keys."""
    session = getattr(peer, role)()
    assert held(subject, {"chain": session.chain, **secrets_of(session)}) == {"send", "receive"}


@aged
def test_keys_of_the_session_before_the_last_are_wiped(subject, peer):
    oldest, old, new = (used_session(peer) for _ in range(3))
    check_wiped(subject, secrets_of(oldest))
    for session in old, new:
        assert held(subject, secrets_of(session)) == {"send", "receive"}


@aged
def test_keys_of_a_removed_peer_are_wiped(subject, make_peer):
    peer = make_peer(preshared=bytes(range(100, 132)))
    session = peer.connect()
    use(peer, session)
    secrets = {"preshared": peer.preshared, **secrets_of(session)}
    assert held(subject, secrets) == set(secrets)
    peer.set("remove=true")
    check_wiped(subject, secrets)


def copies_of_told_keys(subject, secrets):
    """How many there are in memory, once there is none as it is written: an answer is wiped when it
    has been read."""
    def read():
        memory = memory_of(subject.device.status("Pid"))
        written = [secret.hex()[32:].encode() in memory for secret in secrets.values()]
        return not any(written) and {
            name: memory.count(part_of(secret)) for name, secret in secrets.items()}
    return until(read, what="no key as it is written")


@aged
def test_keys_that_it_was_told_are_in_memory_where_they_are_used_and_while_they_are_set(
        subject, make_peer, new_key):
    key = KeyPair()
    new_key(key)
    peer = make_peer(preshared=os.urandom(32))
    secrets = {"private": key.private, "preshared": peer.preshared,
               "agreement": key.exchange(peer.key.public)}
    subject.device.uapi("get=1\n\n")
    # the private key as it is told to others who ask, and in the library
    assert copies_of_told_keys(subject, secrets) == {"private": 2, "preshared": 1, "agreement": 0}
    peer.initiate()  # what first needs the agreement of the static keys
    assert copies_of_told_keys(subject, secrets) == {"private": 2, "preshared": 1, "agreement": 1}
    peer.set("remove=true")
    subject.run()
    assert copies_of_told_keys(subject, secrets) == {"private": 2, "preshared": 0, "agreement": 0}
    new_key(KeyPair())
    assert not held(subject, secrets)


@aged
def test_an_initiation_from_before_all_was_forgotten_is_not_answered(subject, peer):
    begun, message = peer.begin()
    peer.send(message)
    begun.consume(peer.expect(RESPONSE))
    subject.pass_time(2 * FORGET)
    peer.send(message)
    assert peer.answers() == []
