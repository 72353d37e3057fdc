"""Marks of congestion go through a tunnel as RFC 6040 has it."""

import re
import subprocess

import pytest

from lib.capture import send_routed
from lib.packets import IPIP, echo_packet, ipv4
from net import (INNER, IPIP_INNER, OUTER, Device, connect_ipip, has_fast_path, make_pair, ping,
                 wait_until)

NONE, ECT1, ECT0, CE = 0, 1, 2, 3
TIMEOUT = 30  # seconds for a packet
EXPEDITED = 0xb8  # a DSCP that is somebody's secret


class Capture:
    """The TOS bytes or traffic classes of the packets of a namespace that fit a filter."""

    def __init__(self, space, interface, expression):
        self.process = space.popen(["timeout", TIMEOUT, "tcpdump", "-n", "-v", "-l", "-i", interface,
                                    expression], text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        while "listening on" not in self.process.stderr.readline():
            assert self.process.poll() is None

    def take(self, n):
        found = []
        try:
            while len(found) < n:
                line = self.process.stdout.readline()
                assert line, "no packet"
                if re.search(r"\bIP6? \(", line):
                    field = re.search(r"\b(?:tos|class) (0x[0-9a-f]+)", line)
                    found.append(int(field.group(1), 16) if field else 0)
        finally:
            self.close()
        return found

    def close(self):
        self.process.terminate()
        self.process.communicate()


def mark(network, field):
    """All that leaves namespace a from now on has this outer ECN field."""
    rules = [f"{family} ecn set {field}" for family in ("ip", "ip6")]
    network["a"].run("nft", "-f", "-", input=f"""
        table netdev path {{
            chain out {{
                type filter hook egress device "{network.veth['a']}" priority 0;
                {chr(10).join(rules)}
            }}
        }}""")


def send(network, address, tos, count=1, wait=15):
    return network["a"].try_run("ping", "-n", "-q", "-c", count, "-i", "0.2", "-W", wait, "-Q", tos,
                                address)


ECHO_REQUEST = "icmp[0] == 8 or (ip6 and ip6[40] == 128)"
TRANSPORT = "udp port 7000 and (udp[8] == 4 or (ip6 and ip6[48] == 4))"
HANDSHAKE = "udp port 7000 and (udp[8] < 3 or (ip6 and ip6[48] < 3))"


@pytest.fixture(params=[0, 1], ids=["outer4", "outer6"])
def wireguard(network, request):
    a, b = make_pair(network, outer=request.param)
    handshake = Capture(network["b"], network.veth["b"], HANDSHAKE)
    assert ping(network["a"], INNER["b"][0])
    assert set(handshake.take(2)) == {0x88}
    return a, b


@pytest.mark.parametrize("inner", [0, 1], ids=["inner4", "inner6"])
def test_wireguard_shows_the_inner_field_and_no_more(network, wireguard, inner):
    for field in ECT0, ECT1, NONE:
        capture = Capture(network["b"], network.veth["b"], f"({TRANSPORT}) and src host "
                          f"{OUTER['a'][0]} or src host {OUTER['a'][1]} and ({TRANSPORT})")
        send(network, INNER["b"][inner], EXPEDITED | field)
        assert capture.take(1) == [field]


@pytest.mark.parametrize("inner", [0, 1], ids=["inner4", "inner6"])
def test_wireguard_carries_a_mark_over(network, wireguard, inner):
    _, b = wireguard
    mark(network, "ce")
    capture = Capture(network["b"], "dp1", ECHO_REQUEST)
    assert send(network, INNER["b"][inner], EXPEDITED | ECT0).returncode == 0
    assert capture.take(1) == [EXPEDITED | CE]
    before = b.drops()["congested"]
    assert send(network, INNER["b"][inner], NONE, count=2, wait=1).returncode != 0
    assert b.drops()["congested"] == before + 2


@pytest.fixture(params=["short", "raw"])
def ipip(network, request):
    flags = ["--no-bpf"] if request.param == "raw" else []
    a, b = Device(network, "a", "dp0", flags=flags), Device(network, "b", "dp1", flags=flags)
    connect_ipip(a, b)
    if not has_fast_path(a):
        pytest.skip("this kernel has no fast path")
    assert ping(network["a"], IPIP_INNER["b"], count=1)
    return a, b


def test_ipip_shows_the_inner_field(network, ipip):
    for field in ECT0, ECT1, CE, NONE:
        capture = Capture(network["b"], network.veth["b"],
                          f"ip proto 4 and src host {OUTER['a'][0]}")
        send(network, IPIP_INNER["b"], EXPEDITED | field)
        assert capture.take(1) == [EXPEDITED | field]


def test_ipip_shows_the_inner_field_in_fragments(network, ipip):
    network["a"].ip("link set dp0 mtu 1500")
    capture = Capture(network["b"], network.veth["b"],
                      f"ip proto 4 and src host {OUTER['a'][0]} and ip[6] & 0x3f != 0")
    network["a"].try_run("ping", "-n", "-q", "-c", 1, "-W", 5, "-M", "dont", "-s", 1470, "-Q",
                         EXPEDITED | ECT0, IPIP_INNER["b"])
    assert capture.take(1) == [EXPEDITED | ECT0]


SIZE = 84  # of such a packet


def received(device):
    return int(device.values("get_ipip=1\n\n")["rx_bytes"])


def arrive(network, outer, inner):
    """What the path makes of a packet from namespace a."""
    send_routed(network["a"], ipv4(
        OUTER["a"][0], OUTER["b"][0], IPIP,
        echo_packet(IPIP_INNER["a"], IPIP_INNER["b"], tos=EXPEDITED | inner), tos=outer))


def test_ipip_carries_a_mark_over(network, ipip):
    """RFC 6040, figure 4."""
    _, b = ipip
    before, already = b.drops()["congested"], received(b)
    capture = Capture(network["b"], "dp1", ECHO_REQUEST)
    wanted = []
    for inner in NONE, ECT0, ECT1, CE:
        for outer in NONE, ECT0, ECT1, CE:
            arrive(network, outer, inner)
            if inner != NONE and outer == CE or (outer, inner) == (ECT1, ECT0):
                wanted.append(EXPEDITED | outer)
            elif outer != CE:
                wanted.append(EXPEDITED | inner)
            wait_until(lambda: received(b) == already + SIZE * len(wanted), what="arrival")
    assert capture.take(len(wanted)) == wanted
    assert b.drops()["congested"] == before + 1
