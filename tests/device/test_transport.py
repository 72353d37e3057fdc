"""Transport messages of an implementation of its own, tests/lib/noise.py: replays, whose packets they
may be, and where their sender is (paper, 2, 5.4.6 and 6)."""

import contextlib
import os
import random
import socket
import struct

import pytest

from lib.noise import (KEEPALIVE_SIZE, REJECT_AFTER_MESSAGES, RESPONSE, KeyPair, Session, add_macs,
                       cookie_reply, pad)
from lib.wait import until
from net import INNER
from peer import HANDSHAKE_INTERVAL_S, OTHER, Inner, endpoint_of, packet4, packet6

# 8,192 counters with us, and up to 31 more, as it moves by words of 32; 8,128 with wireguard-go and
# the kernel (RFC 6479). The paper asks for about 2,000.
WINDOW_LEAST, WINDOW_MOST = 8128, 8192 + 32
UDP_SEGMENT = 103
BURST = 50  # datagrams that any socket has room for


class Receiver:
    """What a device should do with counters, by remembering all."""

    def __init__(self):
        self.greatest, self.seen = -1, set()

    def judges(self, counter):
        """True: deliver, False: drop, None: as it likes."""
        if counter in self.seen or counter >= REJECT_AFTER_MESSAGES:
            return False
        if self.greatest - counter >= WINDOW_MOST:
            return False
        return True if self.greatest - counter < WINDOW_LEAST else None

    def saw(self, counter):
        self.seen.add(counter)
        self.greatest = max(self.greatest, counter)


def check_counters(peer, session, counters):
    """Sends packets with these counters, and sees which are delivered."""
    receiver, wanted, either, delivered = Receiver(), [], [], []
    for i, counter in enumerate(counters):
        packet = peer.of()
        judgement = receiver.judges(counter)
        peer.send(session.seal(packet, counter))
        if judgement is not False:
            receiver.saw(counter)
            (wanted if judgement else either).append(packet)
        if i % BURST == BURST - 1 and wanted and wanted[-1] not in delivered:
            delivered += [*peer.subject.inner.before(wanted[-1]), wanted[-1]]
    delivered += peer.deliver(session, receiver.greatest + 1)
    assert [packet for packet in delivered if packet not in either] == wanted


ORDERS = {
    "in order": range(1, 300),
    "each twice": [n // 2 for n in range(2, 400)],
    "backwards": range(400, 0, -1),
    "over the edges of words": [31, 32, 33, 31, 32, 33, 63, 64, 65, 64, 127, 128, 129, 128, 127],
    "a window's end": [9000, 9000 - WINDOW_LEAST + 1, 9000 - WINDOW_LEAST + 1, 9000 - WINDOW_MOST,
                       9001, 9001 - WINDOW_LEAST + 1],
    "the first after a leap": [1, 2, 2 ** 20, 3, 1, 2 ** 20, 2 ** 20 - 1, 2 ** 20 - 1,
                               2 ** 20 - 8000, 2 ** 20 - 8300],
    "a whole ring": [5, 5 + 8224, 5, 5 + 8224, 6 + 8224, 5 + 2 * 8224, 5 + 8224],
    "far ahead": [1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 32, 1, 2 ** 40, 2 ** 32 + 2, 2 ** 40,
                  2 ** 40 - 1],
    "steps of a window": [n * 8192 for n in range(1, 30)] + [n * 8192 for n in range(1, 30)],
    "new and old in turns": [n for i in range(100, 200) for n in (100 * i, 100 * i - 7777)],
}


@pytest.mark.parametrize("counters", ORDERS.values(), ids=ORDERS)
def test_each_counter_is_taken_once_and_none_from_behind_the_window(peer, counters):
    check_counters(peer, peer.connect(), counters)


@pytest.mark.parametrize("seed", range(3))
def test_counters_in_any_order_are_judged_as_by_remembering_all(peer, seed):
    chosen, at, counters = random.Random(seed), 1, []
    for _ in range(500):
        at += chosen.choice([0, 1, 1, 2, 5, 31, 32, 100, 3000])
        counters.append(max(1, at - chosen.choice([0, 0, 1, 2, 30, 64, 1000, 8000, 8100, 8300])))
    check_counters(peer, peer.connect(), counters)


def stepping_stone(counter):
    """One on the way: ours refuses a leap of 2^44 at once, which nobody can have sent in the life of a
    key (replay.h). It is in the same word of a ring of 257 words of 32 counters."""
    return ((2 ** 31 - 1) * 257 + counter // 32 % 257) * 32


def test_the_last_counters_of_a_key_are_not_taken(peer):
    """6.2. That we send no more of them cannot be seen from outside: it takes 2^64 packets."""
    session, last = peer.connect(), REJECT_AFTER_MESSAGES - 1
    beyond = [last + 1, last + 2, last + 33, 2 ** 64 - 1]
    for counter in sorted({stepping_stone(counter) for counter in [last, *beyond]}):
        peer.deliver(session, counter)
    for counter in beyond:
        peer.send(session.seal(peer.of(), counter))
    assert peer.deliver(session, last) == []


def test_a_counter_that_was_not_authentic_is_not_used_up(peer):
    session = peer.connect()
    packet = peer.of()
    good = session.seal(packet, 5000)
    peer.send(good[:-1] + bytes([good[-1] ^ 1]))
    peer.send(good[:8] + struct.pack("<Q", 2 ** 50) + good[16:])
    peer.send(good)
    assert peer.subject.inner.before(packet) == []


@pytest.mark.parametrize("at", [0, 1, 3, 4, 8, 15, 16, 40, -17, -16, -1])
def test_a_transport_message_that_was_changed_is_dropped(peer, at):
    session = peer.connect()
    good = bytearray(session.seal(peer.of(), 50))
    good[at] ^= 1
    peer.send(bytes(good))
    assert peer.deliver(session) == []


@pytest.mark.parametrize("size", [4, 8, 15, 16, 17, 31])
def test_a_transport_message_that_is_too_short_is_dropped(peer, size):
    session = peer.connect()
    peer.send(session.seal()[:size])
    assert peer.deliver(session) == []


# Many at once: UDP_SEGMENT at the sender, UDP_GRO with us


def send_together(peer, datagrams):
    """With one system call, as one packet of the veth's: all but the last are equally long."""
    size = len(datagrams[0])
    peer.socket.sendmsg([b"".join(datagrams)], [
        (socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))])


# Short ones are opened one by one, longer ones several at a time.
@pytest.mark.parametrize("size", [64, 320, 1400])
def test_of_messages_that_come_together_each_is_judged_by_itself(subject, make_peer, size):
    peer, other = make_peer(), make_peer()
    session, second = peer.connect(), other.connect()
    good = [peer.of(size=size) for _ in range(8)]
    sealed = [session.seal(packet) for packet in good]
    forged = sealed[3][:-1] + bytes([sealed[3][-1] ^ 1])
    others = [other.of(size=size) for _ in range(2)]
    send_together(peer, [
        sealed[0], sealed[1], sealed[0], forged, sealed[2], second.seal(others[0]),
        session.seal(packet4("10.8.1.250", Inner.NOBODY[0], size)), sealed[3], second.seal(others[1]),
        os.urandom(len(sealed[0])), *sealed[4:], session.seal()])
    last = peer.of()
    peer.send(session.seal(last))
    delivered = subject.inner.before(last)
    assert [packet for packet in delivered if packet not in others] == good
    assert [packet for packet in delivered if packet in others] == others


def test_a_handshake_may_come_together_with_packets(subject, peer):
    session = peer.connect()
    subject.clock.move(HANDSHAKE_INTERVAL_S)
    begun, message = peer.begin()
    packets = [peer.of(size=len(message) - KEEPALIVE_SIZE) for _ in range(4)]
    send_together(peer, [session.seal(packets[0]), session.seal(packets[1]), message,
                         session.seal(packets[2]), session.seal(packets[3])])
    new = begun.consume(peer.expect(RESPONSE))
    assert subject.inner.before(packets[3]) == packets[:3]
    peer.exchange(new)


# What is inside


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("size", [48, 1420, 1421, 1500, 9000, 40000, 65000])
def test_a_packet_of_any_length_is_delivered(peer, family, size):
    """Longer ones than our own MTU too: the peer may have another."""
    session = peer.connect()
    packet = peer.of(family, size)
    peer.send(session.seal(packet))
    assert peer.subject.inner.before(packet) == []


WRONG_INSIDE = {
    "another's source": lambda p, own: packet4("10.8.1.250", Inner.NOBODY[0]),
    "another's IPv6 source": lambda p, own: packet6("fd08::1:fa", Inner.NOBODY[1]),
    "the device's source": lambda p, own: packet4(INNER["a"][0], Inner.NOBODY[0]),
    "no source": lambda p, own: packet4("0.0.0.0", Inner.NOBODY[0]),
    "version 0": lambda p, own: b"\x05" + p[1:], "version 5": lambda p, own: b"\x55" + p[1:],
    "version 6": lambda p, own: b"\x65" + p[1:], "version 15": lambda p, own: b"\xf5" + p[1:],
    "longer than it is": lambda p, own: p[:2] + struct.pack("!H", len(p) + 1) + p[4:],
    "much longer": lambda p, own: p[:2] + b"\xff\xff" + p[4:],
    "shorter than its header": lambda p, own: p[:2] + struct.pack("!H", 19) + p[4:],
    "no length": lambda p, own: p[:2] + b"\0\0" + p[4:],
    "half a header": lambda p, own: p[:16], "one byte": lambda p, own: p[:1],
    "zeros": lambda p, own: bytes(16), "more zeros": lambda p, own: bytes(1280),
    "half an IPv6 header": lambda p, own: packet6(own[1], Inner.NOBODY[1])[:32],
    "longer IPv6": lambda p, own: packet6(own[1], Inner.NOBODY[1])[:48],
}


@pytest.mark.parametrize("make", WRONG_INSIDE.values(), ids=WRONG_INSIDE)
def test_what_a_peer_may_not_send_is_not_delivered(peer, make):
    session = peer.connect()
    peer.send(session.seal(make(peer.of(), peer.addresses)))
    assert peer.deliver(session) == []


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("padding", [0, 1, 16, 100, 1000])
def test_what_is_behind_a_packet_is_taken_off(peer, family, padding):
    session = peer.connect()
    packet = peer.of(family)
    peer.send(session.seal(packet + bytes(padding)))
    assert peer.subject.inner.before(packet) == []


@pytest.mark.parametrize("size", [28, 63, 64, 65, 1000, 1403, 1404, 1405, 1419, 1420])
@pytest.mark.parametrize("family", [4, 6])
def test_what_it_sends_is_padded_with_zeros_to_16_bytes_within_the_mtu(subject, peer, family, size):
    session = peer.connect()
    packet = peer.to(family, max(size, 48 if family == 6 else 0))
    subject.inner.send(packet)
    assert peer.open(session) == pad(packet)[:max(len(packet), 1420)]


def test_the_longest_prefix_decides_whose_a_packet_is(subject, make_peer):
    wide, narrow = make_peer(), make_peer()
    wide.set("allowed_ip=172.20.0.0/16", "allowed_ip=fd20::/64")
    narrow.set("allowed_ip=172.20.5.0/24", "allowed_ip=fd20::5:0/112")
    sessions = {peer: peer.connect() for peer in (wide, narrow)}
    for make, family, source, owner, other in (
            (packet4, 0, "172.20.4.1", wide, narrow), (packet4, 0, "172.20.5.1", narrow, wide),
            (packet6, 1, "fd20::1", wide, narrow), (packet6, 1, "fd20::5:1", narrow, wide)):
        packet = make(source, Inner.NOBODY[family])
        other.send(sessions[other].seal(packet))
        assert other.deliver(sessions[other]) == []
        owner.send(sessions[owner].seal(packet))
        assert subject.inner.before(packet) == []
        back = make(INNER["a"][family], source)
        subject.inner.send(back)
        assert owner.open(sessions[owner]) == back


def test_a_prefix_that_is_given_to_another_peer_is_its_alone(subject, make_peer):
    first, second = make_peer(), make_peer()
    first.set("allowed_ip=172.21.0.0/16")
    second.set("allowed_ip=172.21.0.0/16")
    packet = packet4("172.21.0.1", Inner.NOBODY[0])
    session = first.connect()
    first.send(session.seal(packet))
    assert first.deliver(session) == []
    second.send(second.connect().seal(packet))
    assert subject.inner.before(packet) == []


def test_a_removed_peer_can_send_nothing(subject, make_peer):
    gone, other = make_peer(), make_peer()
    session = gone.connect()
    gone.set("remove=true")
    gone.socket.send(session.seal(gone.of()))
    # of the same socket, so that it is read after it
    with moved(other, gone.socket):
        assert other.deliver(other.initiate()) == []


def test_a_new_key_of_the_device_ends_all_sessions(subject, peer, new_key):
    session = peer.connect()
    new_key(KeyPair())
    packet = peer.to()
    subject.inner.send(packet)
    assert peer.open(peer.respond()) == packet
    # wireguard-go and the kernel still take what is on its way
    if not OTHER:
        peer.send(session.seal(peer.of()))
        assert peer.deliver(peer.initiate()) == []


# Where a peer is: 2.1


@contextlib.contextmanager
def moved(peer, where):
    """While the block lasts, the peer is at this socket."""
    before, peer.socket = peer.socket, where
    try:
        yield
    finally:
        peer.socket = before


def goes_to(subject, peer, session, where):
    """Whether what is sent to the peer comes to this socket."""
    packet = peer.to()
    subject.inner.send(packet)
    with moved(peer, where):
        return peer.open(session) == packet


@pytest.fixture(params=["port", "address", "family"])
def elsewhere(request, subject):
    """A socket at another place."""
    if request.param == "address":
        subject.network["b"].ip(f"addr replace 10.9.0.77/24 dev {subject.network.veth['b']}")
        made = subject.socket(address="10.9.0.77")
    else:
        made = subject.socket(6 if request.param == "family" else 4)
    yield made
    made.close()


MOVES = {
    "packet": lambda peer, session: session.seal(peer.of()),
    "keepalive": lambda peer, session: session.seal(),
    "packet of another's source": lambda peer, session: session.seal(
        packet4("10.8.1.250", Inner.NOBODY[0])),
    "later than others": lambda peer, session: session.seal(peer.of(), 200),
}


@pytest.mark.parametrize("make", MOVES.values(), ids=MOVES)
def test_an_authentic_message_says_where_its_peer_is(subject, peer, elsewhere, make):
    session = peer.connect()
    elsewhere.send(make(peer, session))
    until_endpoint(subject, peer, elsewhere)
    assert goes_to(subject, peer, session, elsewhere)


def until_endpoint(subject, peer, made):
    until(lambda: subject.state(peer)["endpoint"] == endpoint_of(made), what="endpoint")


def test_an_initiation_says_where_its_peer_is(subject, peer, elsewhere):
    peer.connect()
    subject.clock.move(HANDSHAKE_INTERVAL_S)
    begun, message = peer.begin()
    with moved(peer, elsewhere):
        peer.send(message)
        session = begun.consume(peer.expect(RESPONSE))
        assert subject.state(peer)["endpoint"] == endpoint_of(elsewhere)
        peer.deliver(session)
    assert goes_to(subject, peer, session, elsewhere)


def test_a_response_says_where_its_peer_is(subject, peer, elsewhere):
    packet = peer.to()
    subject.inner.send(packet)
    opened = peer.called()
    with moved(peer, elsewhere):
        peer.respond(opened)
        assert peer.open(opened.session) == packet


FALSE_MOVES = {
    "forged": lambda peer, session: session.seal(peer.of())[:-1] + b"\0",
    "forged keepalive": lambda peer, session: session.seal()[:-1] + b"\0",
    "replayed": lambda peer, session: session.seal(peer.of(), 0),
    "behind the window": lambda peer, session: session.seal(peer.of(), 1),
    "of no session": lambda peer, session: Session(os.urandom(32), b"", 0, session.remote_index,
                                                   b"").seal(peer.of()),
    "changed initiation": lambda peer, session: add_macs(
        peer.begin()[1][:100] + bytes(16), peer.subject.key.public),
    "old initiation": lambda peer, session: add_macs(
        peer.begin()[0].initiation(bytes(12)), peer.subject.key.public),
    "garbage": lambda peer, session: os.urandom(148),
    "cookie": lambda peer, session: cookie_reply(
        struct.pack("<II", RESPONSE, session.remote_index) + bytes(100), peer.key.public,
        bytes(16)),
}


@pytest.mark.parametrize("make", FALSE_MOVES.values(), ids=FALSE_MOVES)
def test_what_is_not_authentic_and_new_moves_no_peer(subject, peer, make):
    session = peer.connect()
    peer.deliver(session, 20000)
    other = subject.socket()
    other.send(make(peer, session))
    # from the same place, so that it has been dealt with: another peer's
    with moved(peer, other):
        peer.answers()
    assert subject.state(peer)["endpoint"] == peer.endpoint
    assert goes_to(subject, peer, session, peer.socket)
    other.close()


def test_a_peer_without_an_endpoint_is_sent_nothing_until_it_comes(subject, make_peer):
    peer = make_peer(endpoint=False)
    waiting = peer.to()
    subject.inner.send_all([waiting])
    assert peer.answers() == []
    assert "endpoint" not in subject.state(peer)
    session = peer.initiate()
    peer.send(session.seal())
    assert peer.open(session) == waiting
    peer.exchange(session)
