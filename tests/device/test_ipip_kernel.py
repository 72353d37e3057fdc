"""IPIP between our device, by its fast path and by the raw socket, and the kernel's ipip, over what a
host may have underneath."""

import os
import signal
import socket

import pytest

from lib import kernel
from lib.capture import Capture, send_routed
from lib.netns import Namespace
from lib.packets import IPIP, UDP, ipv4, udp
from net import OUTER, Device, Network, has_fast_path, ping, run, set_addresses, wait_until
from traffic import datagram_arrives, streams_arrive

pytestmark = pytest.mark.skipif(not kernel.has("ipip"), reason="no IPIP in the kernel")

INNER = {"a": "10.7.0.1", "b": "10.7.0.2"}
BEHIND, BEHIND_HOP = "10.5.0.2", "10.5.0.1"  # a host that a forwards to
UPPER = "dpu"
HEADER = 20
STREAM_BYTES = 200_000
OFFLOADS = "tx rx sg tso gso gro".split()
NOPS = b"\1" * 4

UNDERLAYS = {  # what is between the veth and the address; where both ends need it, True
    "veth": ([], False),
    "macvlan": (["link add {upper} link {link} type macvlan mode bridge"], False),
    "bridge": (["link add {upper} type bridge", "link set {link} master {upper}"], False),
    "bond": (["link add {upper} type bond mode active-backup miimon 100", "link set {link} down",
              "link set {link} master {upper}", "link set {link} up"], False),
    "vlan": (["link add {upper} link {link} type vlan id 5"], True),
}


class Lab:
    """Our device in a, the kernel's tunnel in b; behind a there is a host c."""

    def __init__(self, network, short):
        self.network, self.short = network, short
        self.space = {"a": network["a"], "b": network["b"],
                      "c": Namespace(f"{network['a'].name}-c")}
        network.closers.append(self.space["c"].remove)
        self.upper, self.mtu, self.offloads = dict(network.veth), None, None
        self.quiet()
        self.put_behind()
        self.device = Device(network, "a", "dp0", flags=[] if short else ["--no-bpf"])
        self.set_up_tunnel()

    def put_under(self, underlay):
        """Moves the outer addresses to what is made of the veth."""
        steps, both = UNDERLAYS[underlay]
        for side in ("ab" if both else "a") if steps else "":
            link = self.network.veth[side]
            self.space[side].ip(f"addr flush dev {link}",
                                *(step.format(link=link, upper=UPPER) for step in steps))
            self.upper[side] = UPPER
            set_addresses(self.space[side], UPPER, [f"{OUTER[side][0]}/24"])
        self.forget()

    def remove_under(self):
        for side in "ab":
            if self.upper[side] == UPPER:
                self.space[side].ip(f"link del {UPPER}")
                set_addresses(self.space[side], self.network.veth[side], [f"{OUTER[side][0]}/24"])
        self.upper = dict(self.network.veth)
        self.forget()

    def forget(self):
        """There are other interfaces, with other MAC addresses, now."""
        self.mtu, self.offloads = None, None
        for side in "ab":
            self.space[side].ip(f"neigh flush dev {self.upper[side]}")

    def quiet(self):
        """As both ends are in one kernel, its IPIP also sees what comes to a, and says that nobody
        wants it: that must not reach b (the server's firewall sees to that where it matters)."""
        self.space["a"].run("nft", "-f", "-", input="""
            table ip quiet {
                chain out {
                    type filter hook output priority 0;
                    icmp type destination-unreachable icmp code { 2, 3 } drop
                }
            }""")

    def put_behind(self):
        run("ip", "link", "add", "dpc", "netns", self.space["a"].name, "type", "veth",
            "peer", "name", "dpc", "netns", self.space["c"].name)
        set_addresses(self.space["a"], "dpc", [f"{BEHIND_HOP}/24"])
        set_addresses(self.space["c"], "dpc", [f"{BEHIND}/24"])
        self.space["c"].ip(f"route add default via {BEHIND_HOP}")
        self.space["a"].sysctl(net__ipv4__ip_forward=1)

    def set_up_tunnel(self):
        assert self.device.values(
            f"set=1\nipip_local={OUTER['a'][0]}\nipip_peer={OUTER['b'][0]}\n"
            f"ipip_inner={INNER['b']}\n\n")["errno"] == "0"
        self.device.address(f"{INNER['a']}/24")
        self.space["b"].ip(f"link add dp1 type ipip local {OUTER['b'][0]} remote {OUTER['a'][0]}")
        set_addresses(self.space["b"], "dp1", [f"{INNER['b']}/24"])
        self.space["b"].ip(f"route add {BEHIND} dev dp1")

    def set_mtu(self, mtu):
        """Of the path; the tunnel's fits it."""
        if mtu == self.mtu:
            return
        self.mtu = mtu
        for side in "ab":
            links = dict.fromkeys([self.network.veth[side], self.upper[side]])
            self.space[side].ip(*(f"link set {link} mtu {mtu}" for link in links))
        self.space["a"].ip(f"link set dp0 mtu {mtu - HEADER}", f"link set dpc mtu {mtu}")
        self.space["b"].ip(f"link set dp1 mtu {mtu - HEADER}")
        self.space["c"].ip(f"link set dpc mtu {mtu}")

    def set_offloads(self, state):
        if state == self.offloads:
            return
        self.offloads = state
        for side, links in (("a", [self.network.veth["a"], self.upper["a"], "dpc"]),
                            ("b", [self.network.veth["b"], self.upper["b"], "dp1"]),
                            ("c", ["dpc"])):
            for link in dict.fromkeys(links):
                self.space[side].try_run("ethtool", "-K", link,
                                         *(word for one in OFFLOADS for word in (one, state)))

    def way(self, sender, receiver, address):
        return self.space[sender], self.space[receiver], address


@pytest.fixture(scope="module", name="ends", params=["short", "raw"])
def fixture_ends(request):
    network = Network()
    try:
        made = Lab(network, request.param == "short")
        if not has_fast_path(made.device):
            pytest.skip("this kernel has no fast path")
        yield made
    finally:
        network.close()


@pytest.fixture(scope="module", params=UNDERLAYS)
def lab(ends, request):
    """The same ends; what is under them changes while they run."""
    ends.put_under(request.param)
    yield ends
    ends.remove_under()


WAYS = [("a", "b", INNER["b"]), ("b", "a", INNER["a"]), ("c", "b", INNER["b"]),
        ("b", "c", BEHIND)]


@pytest.mark.parametrize("offloads, mtu", [("on", 1400), ("on", 9000), ("off", 9000)])
def test_datagrams_and_streams_arrive_at_hosts_and_behind_them(lab, offloads, mtu):
    lab.set_mtu(mtu)
    lab.set_offloads(offloads)
    for way in WAYS:
        for size in 1, mtu - 2 * HEADER - 8, 3 * mtu:
            assert datagram_arrives(*lab.way(*way), size), (way, size)
        assert streams_arrive(*lab.way(*way), STREAM_BYTES), way


def test_the_fast_path_needs_no_process_and_the_raw_socket_does(lab):
    def carries_while_stopped():
        assert ping(lab.space["b"], BEHIND, count=1)
        os.kill(lab.device.process.pid, signal.SIGSTOP)
        try:
            return ping(lab.space["b"], BEHIND, count=1, wait=2 if lab.short else 0.3)
        finally:
            os.kill(lab.device.process.pid, signal.SIGCONT)

    if lab.short:  # at the latest when it has heard of what is underneath now
        wait_until(carries_while_stopped, what="packets by the fast path")
    else:
        assert not carries_while_stopped()


def test_a_packet_with_options_in_its_inner_header_arrives(lab):
    for way in WAYS[:2]:
        assert datagram_arrives(*lab.way(*way), 100, NOPS)
        assert streams_arrive(*lab.way(*way), STREAM_BYTES, options=NOPS)


def test_a_packet_with_options_in_its_outer_header_arrives_at_both_ends(lab):
    marker = os.urandom(16)
    for sender, receiver, interface in ("b", "a", "dp0"), ("a", "b", "dp1"):
        inner = ipv4(INNER[sender], INNER[receiver], UDP, udp(1, 9, marker))
        with Capture(lab.space[receiver], interface) as seen:
            send_routed(lab.space[sender], ipv4(OUTER[sender][0], OUTER[receiver][0], IPIP, inner,
                                                options=NOPS * 2))
            found = seen.wait(lambda p: not p.outgoing and marker in p.raw)
            assert found and found.raw == inner


def test_a_packet_longer_than_the_path_goes_in_fragments_of_the_outer_one(lab):
    """The kernel's tunnel never does that: by default it sets DF."""
    lab.set_mtu(1400)
    lab.space["a"].ip("link set dp0 mtu 1500")
    try:
        assert datagram_arrives(*lab.way(*WAYS[0]), 1460)
    finally:
        lab.mtu = None


NONE, ECT1, ECT0, CE = FIELDS = 0, 1, 2, 3
EXPEDITED = 0xb8  # a DSCP
# RFC 6040, figure 4, by inner and outer field.
COMES_OUT = {(inner, outer): outer if inner == ECT0 and outer == ECT1 or inner != NONE and outer == CE
             else inner
             for inner in FIELDS for outer in FIELDS if (inner, outer) != (NONE, CE)}
ECN_PORT = 1000


def test_marks_of_congestion_are_carried_over_at_both_ends(lab):
    before = lab.device.drops()["congested"]
    for sender, receiver, interface in ("b", "a", "dp0"), ("a", "b", "dp1"):
        with Capture(lab.space[receiver], interface) as seen:
            send_routed(lab.space[sender], *(
                ipv4(OUTER[sender][0], OUTER[receiver][0], IPIP,
                     ipv4(INNER[sender], INNER[receiver], UDP,
                          udp(9, ECN_PORT + 4 * inner + outer), tos=EXPEDITED | inner), tos=outer)
                for inner in FIELDS for outer in FIELDS))

            def found():
                return {(p.dport - ECN_PORT >> 2, p.dport - ECN_PORT & 3): p.raw[1]
                        for p in seen.look() if p.proto == UDP and not p.outgoing}
            wait_until(lambda: len(found()) >= len(COMES_OUT), what=found)
            if receiver == "a":
                wait_until(lambda: lab.device.drops()["congested"] == before + 1, what="count")
            assert found() == {key: EXPEDITED | field for key, field in COMES_OUT.items()}


def test_the_field_of_a_packet_shows_in_the_outer_header(lab):
    with Capture(lab.space["b"], lab.upper["b"]) as seen, \
            lab.space["a"].socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        for field in FIELDS:
            source.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, EXPEDITED | field)
            source.sendto(b"", (INNER["b"], ECN_PORT + field))
            packet = seen.wait(lambda p, port=ECN_PORT + field: p.proto == IPIP and not p.outgoing
                               and p.inner.proto == UDP and p.inner.dport == port)
            assert packet and packet.raw[1] == EXPEDITED | field
