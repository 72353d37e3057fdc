"""Pings, streams and datagrams through a tunnel of each outer family, with an MTU as usual and a jumbo
one. The phases that WireGuard's own network-namespace tests begin with; tests/README.md lists them."""

import socket
import struct

import pytest

from net import INNER, Network, make_pair, ping, wait_until
from traffic import datagram_arrives, streams_arrive

JUMBO_OUTER, JUMBO_INNER = 34816, 34736
NARROW = 1300  # no multiple of 16
PORT = 7000
OVERHEAD = 32  # of a transport message: its header and its tag
STREAM_BYTES = 8 << 20  # of all streams of a run together
TIMEOUT = 60


@pytest.fixture(scope="module", params=[(0, 1420), (0, JUMBO_INNER), (1, 1420), (1, JUMBO_INNER)],
                ids=["outer4", "outer4-jumbo", "outer6", "outer6-jumbo"])
def tunnel(request):
    outer, mtu = request.param
    network = Network()
    try:
        a, b = make_pair(network, outer=outer)
        for device in a, b:
            if mtu > 1420:
                device.space.ip(f"link set {network.veth[device.side]} mtu {JUMBO_OUTER}")
            device.space.ip(f"link set {device.name} mtu {mtu}")
        yield network
    finally:
        network.close()


@pytest.mark.parametrize("inner", [0, 1], ids=["inner4", "inner6"])
@pytest.mark.parametrize("size", [56, 1300, 33000])
def test_pings_of_any_size_are_answered_both_ways(tunnel, size, inner):
    for here, there in ("a", "b"), ("b", "a"):
        assert tunnel[here].try_run("ping", "-n", "-q", "-c", 3, "-i", "0.05", "-W", 10, "-s", size,
                                    INNER[there][inner]).returncode == 0


@pytest.mark.parametrize("count, inner", [(4, 0), (5, 1), (50, 0)],
                         ids=["4-inner4", "5-inner6", "50-inner4"])
def test_many_streams_at_once_arrive_intact(tunnel, count, inner):
    assert streams_arrive(tunnel["a"], tunnel["b"], INNER["b"][inner], STREAM_BYTES // count, count)


@pytest.mark.parametrize("inner", [0, 1], ids=["inner4", "inner6"])
def test_datagrams_arrive_intact(tunnel, inner):
    for size in 0, 1, 1200, 1392, 9000, 60000:
        assert datagram_arrives(tunnel["a"], tunnel["b"], INNER["b"][inner], size)


class Sealed:
    """The UDP payloads of all transport messages that come to an interface, by their lengths."""

    def __init__(self, network):
        self.socket = network["b"].socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.socket.bind((network.veth["b"], 3))  # ETH_P_ALL
        self.socket.settimeout(TIMEOUT)
        network.closers.append(self.socket.close)

    def next(self):
        while True:
            data, (_, _, direction, *_) = self.socket.recvfrom(1 << 16)
            payload = data[(data[0] & 15) * 4 if data[0] >> 4 == 4 else 40:]
            if direction == socket.PACKET_HOST and struct.unpack("!H", payload[2:4])[0] == PORT \
                    and payload[8] == 4 and len(payload) > 8 + OVERHEAD:
                return len(payload) - 8


@pytest.mark.parametrize("outer", [0, 1], ids=["outer4", "outer6"])
def test_a_packet_is_padded_to_16_bytes_but_never_beyond_the_mtu(network, outer):
    a, b = make_pair(network, outer=outer)
    assert ping(network["a"], INNER["b"][0])
    for device in a, b:
        device.space.ip(f"link set {device.name} mtu {NARROW}")
    # once the new MTU is known, the longest packet is not padded at all
    wait_until(lambda: longest(network) == NARROW, what="MTU")
    sealed = Sealed(network)
    sender = network["a"].socket(socket.AF_INET, socket.SOCK_DGRAM)
    for length in 28, 29, 32, 33, 47, 48, 49, 1279, 1280, 1281, 1296, 1297, 1299, 1300:
        sender.sendto(bytes(length - 28), (INNER["b"][0], 9))
        assert sealed.next() == min((length + 15) // 16 * 16, NARROW) + OVERHEAD


def longest(network):
    """What becomes of a packet that fills the MTU, before it is sealed."""
    sealed = Sealed(network)
    with network["a"].socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(bytes(NARROW - 28), (INNER["b"][0], 9))
    return sealed.next() - OVERHEAD
