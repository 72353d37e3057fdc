"""Two devices, and a peer of both that is the test, over a network that loses, doubles, holds back,
changes and repeats what they send, while handshakes begin, hours pass and peers are made anew: in
an order of chance. INTERLEAVING_SEED=N repeats a run, as far as three processes can be repeated."""

import heapq
import os
import random
import select
import socket
import struct
import time

import pytest

from lib.noise import (INITIATION, RESPONSE, TRANSPORT, Forged, Initiator, Responder, add_macs,
                       timestamp)
from net import OUTER, Network
from peer import PORT, Inner, Peer, Subject, aged, kind_of, packet4, packet6

SECONDS = 20
RECOVERY_S = 60
SEED = int(os.environ.get("INTERLEAVING_SEED", random.SystemRandom().randrange(10 ** 6)))
KEPT = 3000  # datagrams that may come once more
TURN_S = 0.002
PASSES = [0.03, 0.5, 5, 11, 16, 60, 126, 185, 600]  # seconds of the devices' time
ADDRESSES = {"a": ("10.8.9.1", "fd08::9:1"), "b": ("10.8.9.2", "fd08::9:2")}  # of nobody there

pytestmark = aged


class Ledger:
    """What was sent to whom, and what has arrived."""

    def __init__(self):
        self.sent, self.arrived = {}, {}

    def send(self, packet, path):
        self.sent[packet] = path
        return packet

    def receive(self, packet, receiver):
        path = self.sent.get(packet)
        assert path is not None, f"{receiver} was given what nobody has sent: {packet.hex()}"
        assert path[1] == receiver, f"{receiver} was given what was sent {path}"
        assert packet not in self.arrived, f"{receiver} was given a packet of {path} twice"
        self.arrived[packet] = path

    def count(self, path):
        return list(self.arrived.values()).count(path)


class Chaos:
    """The network: datagrams go in, and are delivered some turns later, or never, or often."""

    def __init__(self, chance):
        self.chance, self.calm = chance, False
        self.turn, self.number = 0, 0
        self.waiting, self.kept = [], []

    def take(self, datagram, deliver):
        if self.calm:
            deliver(datagram)
            return
        self.kept.append((datagram, deliver))
        del self.kept[:-KEPT]
        if self.chance.random() < 0.1:
            return
        for _ in range(self.chance.choice([1, 1, 1, 1, 1, 1, 2, 2, 5])):
            self.plan(datagram, deliver, self.chance.choice([0, 0, 0, 0, 1, 1, 3, 10, 100]))
        if self.chance.random() < 0.05:
            at = self.chance.randrange(len(datagram))
            self.plan(datagram[:at] + bytes([datagram[at] ^ 1 << self.chance.randrange(8)]) +
                      datagram[at + 1:], deliver, 0)

    def plan(self, datagram, deliver, turns):
        self.number += 1
        heapq.heappush(self.waiting, (self.turn + turns, self.number, datagram, deliver))

    def run(self):
        self.turn += 1
        if not self.calm and self.kept and self.chance.random() < 0.3:
            self.plan(*self.chance.choice(self.kept), 0)
        while self.waiting and (self.calm or self.waiting[0][0] <= self.turn):
            _, _, datagram, deliver = heapq.heappop(self.waiting)
            deliver(datagram)


class Third:
    """The peer of a device that is the test: what it has is what the paper says that a peer has."""

    def __init__(self, name, side, subject, chaos, ledger):
        self.name, self.side, self.chaos, self.ledger = name, side, chaos, ledger
        self.peer = Peer(subject)
        self.begun, self.sessions, self.current = None, {}, None
        self.latest, self.opened = bytes(12), {}

    def fileno(self):
        return self.peer.socket.fileno()

    def send(self, datagram):
        self.chaos.take(datagram, self.peer.send)

    def read(self):
        for datagram in self.peer.arrived():
            self.chaos.take(datagram, self.handle)

    def initiate(self):
        key = self.peer.subject.key.public
        self.begun = Initiator(self.peer.key, key)
        self.send(add_macs(self.begun.initiation(
            timestamp(self.peer.subject.clock.now_ns())), key))

    def add(self, session):
        self.sessions[session.index] = session
        for index in list(self.sessions)[:-4]:
            del self.sessions[index]

    def handle(self, datagram):
        try:
            {INITIATION: self.respond, RESPONSE: self.complete, TRANSPORT: self.open}.get(
                kind_of(datagram), lambda _: None)(datagram)
        except (Forged, ValueError, struct.error):
            pass  # it was changed on the way

    def respond(self, datagram):
        opened = Responder(self.peer.key, datagram)
        if opened.timestamp <= self.latest:
            return
        self.latest = opened.timestamp
        self.send(add_macs(opened.response(), opened.remote))
        self.add(opened.session)

    def complete(self, datagram):
        if self.begun:
            self.current = self.begun.consume(datagram)
            self.begun = None
            self.add(self.current)
            self.send(self.current.seal())

    def open(self, datagram):
        session = self.sessions.get(struct.unpack("<I", datagram[4:8])[0])
        if not session:
            return
        counter, plain = session.open(datagram)
        known = self.opened.setdefault((session.index, counter), plain)
        if known is not plain:
            assert known == plain, "two packets with one counter"
            return
        self.current = session
        if plain:
            length = struct.unpack("!H", plain[2:4])[0] if plain[0] >> 4 == 4 else \
                40 + struct.unpack("!H", plain[4:6])[0]
            self.ledger.receive(plain[:length], self.name)

    def pass_on(self, packet):
        if self.current:
            self.send(self.current.seal(packet))
        else:
            self.initiate()


class World:
    def __init__(self, chance):
        self.chance, self.ledger, self.chaos = chance, Ledger(), Chaos(chance)
        self.network = Network()
        try:
            self.subjects = {side: Subject(self.network, side) for side in "ab"}
            self.thirds = {side: Third(f"third of {side}", side, subject, self.chaos, self.ledger)
                           for side, subject in self.subjects.items()}
            self.relays = {side: self.relay(side) for side in "ab"}
            for side in "ab":
                self.make_peer(side)
        except BaseException:
            self.network.close()
            raise

    def relay(self, side):
        """Where a device sends what is for the other one, and gets that one's from."""
        made = self.network[side].socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((OUTER[side][0], 0))
        made.connect((OUTER[side][0], PORT))
        made.setblocking(False)
        return made

    def make_peer(self, side):
        far = "ab".replace(side, "")
        host, port = self.relays[side].getsockname()
        self.subjects[side].set(
            f"public_key={self.subjects[far].key.public.hex()}", f"endpoint={host}:{port}",
            *(f"allowed_ip={ip}/{n}" for ip, n in zip(ADDRESSES[far], (32, 128))))

    def paths(self):
        for side, far in ("ab", "ba"):
            yield side, far
            yield side, self.thirds[side].name
            yield self.thirds[side].name, side

    def send(self, path):
        """A packet, of either family and any size."""
        six = self.chance.random() < 0.3
        make, size = (packet6 if six else packet4), self.chance.choice([60, 64, 300, 1000, 1400])
        sender, receiver = path
        if sender in self.thirds:
            third = next((t for t in self.thirds.values() if t.name == receiver), None)
            far = third.peer.addresses if third else ADDRESSES[receiver]
            packet = make(ADDRESSES[sender][six], far[six], size)
            self.subjects[sender].inner.send(self.ledger.send(packet, path))
        else:
            third = self.thirds[receiver]
            packet = make(third.peer.addresses[six], Inner.NOBODY[six], size)
            third.pass_on(self.ledger.send(packet, path))

    def send_what_is_not_allowed(self, side):
        third = self.thirds[side]
        third.pass_on(packet4(self.chance.choice([ADDRESSES["a"][0], ADDRESSES["b"][0]]),
                              Inner.NOBODY[0]))

    def happen(self):
        """Something else, now and then."""
        side = self.chance.choice("ab")
        draw = self.chance.random()
        if draw < 0.01:
            self.thirds[side].initiate()
        elif draw < 0.03:
            seconds = self.chance.choice(PASSES)
            for subject in self.subjects.values():
                subject.clock.move(seconds)
        elif draw < 0.04:
            self.send_what_is_not_allowed(side)
        elif draw < 0.042:
            far = "ab".replace(side, "")
            self.subjects[side].set(f"public_key={self.subjects[far].key.public.hex()}",
                                    "remove=true")
            self.make_peer(side)

    def read(self):
        """Waits for a moment, and reads all that has come."""
        sources = [*self.relays.values(), *self.thirds.values(),
                   *(subject.inner.socket for subject in self.subjects.values())]
        ready = select.select(sources, [], [], TURN_S)[0]
        for side, subject in self.subjects.items():
            if subject.inner.socket in ready:
                while packet := subject.inner.receive(0):
                    self.ledger.receive(packet, side)
            if self.relays[side] in ready:
                self.forward(self.relays[side], self.relays["ab".replace(side, "")])
            if self.thirds[side] in ready:
                self.thirds[side].read()

    def forward(self, near, far):
        try:
            while True:
                self.chaos.take(near.recv(65536), far.send)
        except BlockingIOError:
            pass

    def turn(self):
        self.read()
        self.chaos.run()

    def close(self):
        self.network.close()


@pytest.fixture
def world():
    print(f"INTERLEAVING_SEED={SEED}")
    made = World(random.Random(SEED))
    yield made
    made.close()


def test_no_packet_is_delivered_twice_and_none_that_was_not_sent(world):
    paths, end = list(world.paths()), time.monotonic() + SECONDS
    while time.monotonic() < end:
        for _ in range(world.chance.randrange(4)):
            world.send(world.chance.choice(paths))
        world.happen()
        world.turn()
    for path in paths:
        assert world.ledger.count(path) > 10, f"{path}: the network let nothing through"

    # and when the network is itself again, so is all that it carries
    world.chaos.calm = True
    before = {path: world.ledger.count(path) for path in paths}
    end = time.monotonic() + RECOVERY_S
    while missing := [path for path in paths if world.ledger.count(path) == before[path]]:
        assert time.monotonic() < end, f"{missing} did not recover"
        for subject in world.subjects.values():
            subject.clock.move(1)
        for path in missing:
            world.send(path)
        for _ in range(20):
            world.turn()
