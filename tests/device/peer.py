"""A device under test, and peers of it that are this test: tests/lib/noise.py on UDP sockets.

The device is vprox, with a clock that the test moves; or DEVICE=PROGRAM, with the real one."""

import contextlib
import itertools
import os
import select
import socket
import struct
import time

import pytest

from clock import MovedClock, RealClock
from lib.noise import (INITIATION, KEEPALIVE_SIZE, RESPONSE, TRANSPORT, Initiator, KeyPair,
                       Responder, add_macs, timestamp)
from lib.packets import ipv4
from lib.wait import until
from net import INNER, OUTER, Device

OTHER = os.environ.get("DEVICE") or None
aged = pytest.mark.skipif(OTHER is not None, reason="the clock of another program cannot be moved")
PORT = 7000
ANSWER_S = 20  # for what must come, on a busy machine
HANDSHAKE_INTERVAL_S = 0.021  # a device answers no two initiations of a peer within 20 ms
LOAD_FORGOTTEN_S = 3600
EXPERIMENT = 253  # the protocol of packets that no kernel answers, and no device joins: RFC 3692
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, PACKET_OUTGOING = 0x0003, 0x0800, 0x86DD, 4


def kind_of(datagram):
    return struct.unpack("<I", datagram[:4])[0]


def inner4(number):
    return f"10.8.1.{number}"


def inner6(number):
    return f"fd08::1:{number}"


serials = itertools.count(1)


def packet4(source, destination, size=64):
    """Unlike any other."""
    return ipv4(source, destination, EXPERIMENT, struct.pack("!Q", next(serials)) +
                bytes(size - 28))


def packet6(source, destination, size=64):
    payload = struct.pack("!Q", next(serials)) + bytes(size - 48)
    return struct.pack("!IHBB", 6 << 28, len(payload), EXPERIMENT, 64) + \
        socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, destination) + payload


class Inner:
    """The device's interface: what it delivers, and what it is given to send."""

    NOBODY = "10.8.0.99", "fd08::99"  # routed to the device's host, and not its own: no answer

    def __init__(self, space, name):
        self.space, self.name = space, name
        self.socket = space.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((name, ETH_P_ALL))

    def send(self, packet):
        kind = ETH_P_IP if packet[0] >> 4 == 4 else ETH_P_IPV6
        self.socket.sendto(packet, (self.name, kind))

    def send_some_at_a_time(self, packets):
        """So that none is lost for want of room."""
        for i, packet in enumerate(packets):
            self.send(packet)
            if i % 20 == 0:
                time.sleep(0.0002)

    def count_read(self):
        """How many packets the device has read."""
        lines = self.space.read("/proc/thread-self/net/dev").split("\n")
        (counters,) = [line.split() for line in lines if line.strip().startswith(self.name + ":")]
        return int(counters[10])

    def send_all(self, packets):
        """Returns when the device has read them."""
        before = self.count_read()
        for packet in packets:
            self.send(packet)
        until(lambda: self.count_read() >= before + len(packets), what="packets read")

    def receive(self, seconds=ANSWER_S):
        """The next packet that was delivered; None if there is none."""
        end = time.monotonic() + seconds
        while select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
            try:
                data, address = self.socket.recvfrom(65536)
            except OSError:
                continue  # it is told once that the interface was down
            if address[2] != PACKET_OUTGOING:
                return data
        return None

    def before(self, packet):
        """Waits for a packet, and returns those that were delivered before it."""
        found = []
        while (data := self.receive()) != packet:
            assert data is not None, f"not delivered; but {found}"
            found.append(data)
        return found

    def drain(self):
        while self.receive(0):
            pass


class Subject:
    """The device under test."""

    def __init__(self, network, side="a"):
        self.network, self.side = network, side
        self.clock = RealClock() if OTHER else MovedClock()
        network.closers.append(self.clock.close)
        self.device = Device(network, side, "dp0", "go" if OTHER else "vprox",
                             environment=self.clock.environment())
        self.key = KeyPair()
        self.set(f"private_key={self.key.private.hex()}", f"listen_port={PORT}")
        self.addresses = INNER[side]
        self.device.address(f"{INNER[side][0]}/24", f"{INNER[side][1]}/64")
        self.inner = Inner(network[side], "dp0")
        self.numbers = itertools.count(1)
        # answers when all that came before from the same socket has been dealt with
        self.probe = KeyPair()
        self.set(f"public_key={self.probe.public.hex()}")

    def set(self, *lines):
        answer = self.device.values("\n".join(["set=1", *lines]) + "\n\n")
        assert answer["errno"] == "0", answer

    def state(self, peer):
        """What it tells of a peer: the first value of each key."""
        text = self.device.uapi("get=1\n\n")
        part = text.split(f"public_key={peer.key.public.hex()}\n")[1].split("public_key=")[0]
        values = {}
        for line in filter(None, part.split("\n")):
            values.setdefault(*line.split("=", 1))
        return values

    @contextlib.contextmanager
    def load(self):
        """Under which it is, as it believes, while the block lasts."""
        self.clock.set_load(True)
        other = Peer(self)
        other.answers()  # what that takes makes the load
        try:
            yield
        finally:
            other.close()
            self.clock.set_load(False)
            self.pass_time(LOAD_FORGOTTEN_S)

    def run(self):
        """Returns when it has done all that is due: it answers one question a turn, at its begin."""
        for _ in range(2):
            self.device.uapi("get=1\n\n")

    def pass_time(self, seconds):
        """Returns when it has done all that became due."""
        self.clock.move(seconds)
        self.run()

    def initiation(self, key, **kwargs):
        """Of the owner of a key pair: the handshake, and the message."""
        begun = Initiator(key, self.key.public, **kwargs)
        return begun, add_macs(begun.initiation(timestamp(self.clock.now_ns())), self.key.public)

    def socket(self, family=4, address=None):
        """At the other end of the outer network."""
        far = "b" if self.side == "a" else "a"
        made = self.network[far].socket(socket.AF_INET if family == 4 else socket.AF_INET6,
                                        socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        made.bind((address or OUTER[far][family == 6], 0))
        made.connect((OUTER[self.side][family == 6], PORT))
        return made


class Peer:
    """A peer of the device, with addresses inside and a socket outside. endpoint: whether the device
    is told where that is."""

    def __init__(self, subject, preshared=bytes(32), family=4, endpoint=True, keepalive=0,
                 key=None):
        self.subject, self.preshared = subject, preshared
        self.key = key or KeyPair()
        number = next(subject.numbers)
        self.addresses = inner4(number), inner6(number)
        self.socket = subject.socket(family)
        self.last = None
        lines = [f"public_key={self.key.public.hex()}", f"preshared_key={preshared.hex()}",
                 f"allowed_ip={self.addresses[0]}/32", f"allowed_ip={self.addresses[1]}/128"]
        if endpoint:
            lines.append(f"endpoint={self.endpoint}")
        if keepalive:
            lines.append(f"persistent_keepalive_interval={keepalive}")
        subject.set(*lines)

    def close(self):
        self.set("remove=true")
        self.socket.close()

    def set(self, *lines):
        self.subject.set(f"public_key={self.key.public.hex()}", *lines)

    @property
    def endpoint(self):
        return endpoint_of(self.socket)

    def to(self, family=4, size=64):
        """A packet from the device's host to this peer."""
        make = packet4 if family == 4 else packet6
        return make(self.subject.addresses[family == 6], self.addresses[family == 6], size)

    def of(self, family=4, size=64):
        """A packet that this peer may send."""
        make = packet4 if family == 4 else packet6
        return make(self.addresses[family == 6], Inner.NOBODY[family == 6], size)

    # Datagrams

    def send(self, datagram):
        self.socket.send(datagram)

    def receive(self, seconds=ANSWER_S):
        if not select.select([self.socket], [], [], seconds)[0]:
            return None
        return self.socket.recv(65536)

    def expect(self, kind):
        """The next datagram, which must be of that kind."""
        datagram = self.receive()
        assert datagram is not None, "no datagram"
        assert kind_of(datagram) == kind, datagram.hex()
        return datagram

    def until(self, kind):
        """Waits for a datagram of that kind, then in `last`, and returns those before it."""
        found = []
        while (datagram := self.receive()) is not None:
            if kind_of(datagram) == kind:
                self.last = datagram
                return found
            found.append(datagram)
        raise AssertionError(f"none of kind {kind}; but {found}")

    def arrived(self):
        """What has come so far."""
        found = []
        while datagram := self.receive(0):
            found.append(datagram)
        return found

    def answers(self, passing=HANDSHAKE_INTERVAL_S):
        """What comes until all handshake messages that were sent have been dealt with. passing: the
        time meanwhile."""
        self.subject.clock.move(passing)
        begun, message = self.subject.initiation(self.subject.probe)
        self.send(message)
        found = []
        while (datagram := self.receive()) is not None:
            if kind_of(datagram) == RESPONSE and datagram[8:12] == message[4:8]:
                break
            found.append(datagram)
        else:
            raise AssertionError("no answer to the probe")
        begun.consume(datagram)
        if OTHER:
            time.sleep(0.2)  # it may deal with several at once
        return found + self.arrived()

    # Handshakes

    def begin(self, **kwargs):
        return self.subject.initiation(self.key, preshared=self.preshared, **kwargs)

    def initiate(self):
        """A session that this peer began, and that it has not used yet."""
        self.subject.clock.move(HANDSHAKE_INTERVAL_S)
        begun, message = self.begin()
        self.send(message)
        return begun.consume(self.expect(RESPONSE))

    def connect(self):
        """A session that this peer began, and that both use."""
        session = self.initiate()
        self.deliver(session)
        self.subject.run()
        return session

    def called(self):
        """The device's initiation, opened."""
        opened = Responder(self.key, self.expect(INITIATION), self.preshared)
        assert opened.remote == self.subject.key.public
        return opened

    def respond(self, opened=None):
        """A session that the device began; what it sends first is still to come."""
        opened = opened or self.called()
        self.send(add_macs(opened.response(), self.subject.key.public))
        return opened.session

    def be_called(self):
        """A session that the device began as it had a packet to send. It has sent that."""
        packet = self.to()
        self.subject.inner.send(packet)
        session = self.respond()
        assert self.open(session) == packet
        self.subject.run()
        return session

    # Transport

    def open(self, session):
        """The packet of the next datagram."""
        return session.open(self.expect(TRANSPORT))[1]

    def deliver(self, session, counter=None, family=4):
        """Sends a packet and waits for it. Returns what was delivered before it."""
        packet = self.of(family)
        self.send(session.seal(packet, counter))
        return self.subject.inner.before(packet)

    def exchange(self, session):
        """A packet each way."""
        self.deliver(session)
        packet = self.to()
        self.subject.inner.send(packet)
        assert self.open(session) == packet


def endpoint_of(made):
    host, port = made.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_keepalive(datagram, session):
    return len(datagram) == KEEPALIVE_SIZE and session.open(datagram)[1] == b""
