"""Which way packets take into a tunnel, out of it, and beside it. The phases of WireGuard's own
network-namespace tests that are about routes; tests/README.md lists them."""

import socket
import time

import pytest

from net import (HOPS, INNER, OUTER, ROUTED, SECOND, Device, add_router, at, connect, make_keys,
                 make_pair, ping, wait_until)

PORT, OTHER_PORT = 7000, 7200
MARK = 51820
FAR = ("192.168.99.7", "abab::1111")  # behind the tunnel, in no network of a's
LENGTHS = (32, 128)
FAMILIES = pytest.mark.parametrize("outer", [0, 1], ids=["outer4", "outer6"])
EVERYTHING = "0.0.0.0/0,::/0"


def both(addresses):
    """Allowed IPs, of these addresses of each family."""
    return ",".join(f"{one}/{length}" for one, length in zip(addresses, LENGTHS))


def sent(device):
    """Bytes to all peers."""
    return sum(int(line.split()[2]) for line in device.show("transfer").splitlines())


def endpoint(device):
    """Of a device's one peer."""
    return device.show("endpoints").split()[1]


@FAMILIES
def test_a_peer_is_followed_to_another_address(network, outer):
    _, b = make_pair(network, outer=outer)
    assert ping(network["a"], INNER["b"][0])
    length, moved = ((24, "10.9.0.77"), (64, "fd09::77"))[outer]
    network["a"].ip(f"addr del {OUTER['a'][outer]}/{length} dev {network.veth['a']}",
                    f"addr add {moved}/{length} dev {network.veth['a']} nodad")
    wait_until(lambda: ping(network["a"], INNER["b"][1], count=1, wait=1), what="new address")
    assert endpoint(b) == at(moved, PORT)
    assert ping(network["b"], INNER["a"][0])


@FAMILIES
def test_a_peer_is_followed_to_another_port(network, outer):
    a, b = make_pair(network, outer=outer)
    assert ping(network["a"], INNER["b"][0])
    a.set("listen-port", OTHER_PORT)
    assert ping(network["a"], INNER["b"][1])
    assert endpoint(b) == at(OUTER["a"][outer], OTHER_PORT)
    assert ping(network["b"], INNER["a"][0])


@FAMILIES
def test_a_peer_is_answered_from_the_address_that_it_wrote_to(network, outer):
    """Of several on the way to it, and of one that another interface has."""
    near, far, length = (("10.9.0.78", "10.50.0.1", 24), ("fd09::78", "fd50::1", 64))[outer]
    _, b = make_pair(network, outer=outer)
    network["a"].ip(f"addr add {near}/{length} dev {network.veth['a']} nodad",
                    f"addr add {far}/{(32, 128)[outer]} dev lo nodad")
    network["b"].ip(f"route add {far} via {OUTER['a'][outer]}")
    for address in near, OUTER["a"][outer], far, near:
        b.set("peer", b.show("peers").strip(), "endpoint", at(address, PORT))
        assert ping(network["b"], INNER["a"][0])
        assert endpoint(b) == at(address, PORT)


class Receiver:
    """What comes to a UDP port of a namespace."""

    def __init__(self, network, side, inner):
        family = socket.AF_INET6 if inner else socket.AF_INET
        self.socket = network[side].socket(family, socket.SOCK_DGRAM)
        network.closers.append(self.socket.close)
        self.socket.bind((INNER[side][inner], 1111))
        self.sender = network["b" if side == "a" else "a"].socket(family, socket.SOCK_DGRAM)
        network.closers.append(self.sender.close)

    def send(self):
        self.sender.sendto(b"X", self.socket.getsockname()[:2])

    def receive(self):
        self.socket.settimeout(30)
        return self.socket.recv(16)

    def has_nothing(self):
        self.socket.setblocking(False)
        try:
            return not self.socket.recv(16)
        except BlockingIOError:
            return True


@pytest.mark.parametrize("inner", [0, 1], ids=["inner4", "inner6"])
@FAMILIES
def test_a_source_that_is_another_peers_is_dropped_though_its_sender_is_followed(
        network, outer, inner):
    a, b = make_pair(network, outer=outer)
    a.set("peer", b.public_key, "allowed-ips", "10.8.0.0/24,fd08::/64")
    receiver = Receiver(network, "a", inner)
    receiver.send()
    assert receiver.receive() == b"X"
    more_specific = make_keys()[1]
    a.set("peer", more_specific, "allowed-ips", both(INNER["b"]))
    b.set("listen-port", OTHER_PORT)
    before = a.drops()["spoofed"]
    receiver.send()
    wait_until(lambda: a.drops()["spoofed"] > before, what="count")
    assert receiver.has_nothing()
    a.set("peer", more_specific, "remove")
    assert endpoint(a) == at(OUTER["b"][outer], OTHER_PORT)
    receiver.send()
    assert receiver.receive() == b"X"


@pytest.fixture(name="nested")
def fixture_nested(network, outer):
    """A pair of devices, and a second pair that is connected through it."""
    first = make_pair(network, outer=outer)
    second = Device(network, "a", "dp2"), Device(network, "b", "dp3")
    connect(*second, outer=outer, port=7001, ends=INNER, inner=SECOND)
    for device in second:
        device.space.ip(f"link set {device.name} mtu 1340")
    return *first, *second


@FAMILIES
def test_a_tunnel_leads_through_another_one(network, outer, nested):
    for inner in 0, 1:
        assert ping(network["a"], SECOND["b"][inner])
        assert ping(network["b"], SECOND["a"][inner])
        assert network["a"].try_run("ping", "-n", "-q", "-c", 3, "-i", "0.05", "-W", 10, "-s", 4000,
                                    SECOND["b"][inner]).returncode == 0
    assert endpoint(nested[3]) == at(INNER["a"][outer], 7001)


LOOP_BYTES = 70000  # that ten pings may become


@FAMILIES
@pytest.mark.parametrize("size", [56, 1380])
def test_a_route_that_leads_into_the_tunnel_itself_makes_no_storm(network, outer, size):
    """Whole, or in fragments, as the packet has become longer than the tunnel's MTU."""
    a, b = make_pair(network, outer=outer)
    assert ping(network["a"], INNER["b"][0])
    a.set("peer", b.public_key, "allowed-ips", EVERYTHING)
    network["a"].ip(f"route add {OUTER['b'][outer]} dev dp0")
    before = sent(a)
    assert network["a"].try_run("ping", "-n", "-q", "-c", 10, "-i", "0.02", "-W", 1, "-s", size,
                                INNER["b"][0]).returncode != 0
    assert a.drops()["looped"] >= 10
    assert sent(a) - before < LOOP_BYTES
    assert a.log_text().count("the route to a peer leads into dp0 itself") == 1
    network["a"].ip(f"route del {OUTER['b'][outer]} dev dp0")
    assert ping(network["a"], INNER["b"][0])


def test_ipip_that_is_routed_into_its_own_tunnel_makes_no_storm(network):
    a = Device(network, "a", "dp0", flags=["--no-bpf"])
    a.uapi(f"set=1\nipip_local={OUTER['a'][0]}\nipip_peer={OUTER['b'][0]}\nipip_inner=0.0.0.0\n\n")
    a.address("10.7.0.1/24")
    network["a"].ip(f"route add {OUTER['b'][0]} dev dp0 src {OUTER['a'][0]}")
    assert not ping(network["a"], "10.7.0.2", wait=1)
    assert a.drops()["looped"] == 3
    assert int(a.values("get_ipip=1\n\n")["tx_bytes"]) == 3 * 84


@FAMILIES
@pytest.mark.parametrize("inner", [0, 1], ids=["inner4", "inner6"])
def test_packets_that_are_bound_to_the_device_or_marked_get_through(network, outer, inner):
    make_pair(network, outer=outer)
    bound = "ping", "-n", "-q", "-c", 1, "-W", 10, "-I", "dp0", INNER["b"][inner]
    assert network["a"].try_run(*bound).returncode == 0
    network["a"].run("nft", "-f", "-", input="""
        table inet marks {
            chain out {
                type route hook output priority mangle;
                meta mark set 1
            }
        }""")
    assert ping(network["a"], INNER["b"][inner], count=1, wait=10)
    assert network["a"].try_run(*bound).returncode == 0


@FAMILIES
def test_a_default_route_into_the_tunnel_leaves_its_own_packets_out_by_their_mark(network, outer):
    """As wg-quick(8) does it."""
    add_router(network)
    a, b = make_pair(network, outer=outer, ends=ROUTED)
    a.set("fwmark", MARK, "peer", b.public_key, "allowed-ips", EVERYTHING)
    network["b"].ip(*(f"addr add {one}/{length} dev dp1" for one, length in zip(FAR, LENGTHS)))
    for family in "-4", "-6":
        for words in (f"route add default dev dp0 table {MARK}",
                      f"rule add not fwmark {MARK} table {MARK}",
                      "rule add table main suppress_prefixlength 0"):
            network["a"].run(f"ip {family} {words}")
    for address in FAR:
        flood = network["a"].try_run("ping", "-n", "-q", "-f", "-c", 100, "-W", 10, address)
        assert flood.returncode == 0, flood.stdout
    a.set("fwmark", 0)
    assert not ping(network["a"], FAR[0], count=1, wait=1)
    a.set("fwmark", MARK)
    assert ping(network["a"], FAR[0])


@FAMILIES
def test_an_onion_of_peers_of_one_device_works_and_one_that_bites_itself_does_no_harm(
        network, outer):
    """A packet is sealed for one peer, whose address is behind another one of the same device."""
    a, b = make_pair(network, outer=outer)
    assert ping(network["a"], INNER["b"][0])
    layer = Device(network, "b", "dp3")
    connect(a, b, outer=outer)
    key = layer.folder + "/key"
    with open(key, "w", encoding="ascii") as file:
        file.write(layer.private_key)
    layer.set("private-key", key, "listen-port", 7001, "peer", a.public_key,
              "allowed-ips", both(SECOND["a"]))
    layer.address(*(f"{one}/{length}" for one, length in zip(SECOND["b"], LENGTHS)))
    network["b"].ip(*(f"route add {one} dev dp3" for one in SECOND["a"]))
    network["a"].ip(*(f"addr add {one}/{n} dev dp0 nodad" for one, n in zip(SECOND["a"], (24, 64))))
    a.set("peer", layer.public_key, "allowed-ips", both(SECOND["b"]),
          "endpoint", at(INNER["b"][outer], 7001))
    for address in SECOND["b"]:
        assert ping(network["a"], address)
    layer.close()
    a.set("peer", layer.public_key, "endpoint", at(SECOND["b"][outer], 7001))
    before = sent(a)
    for address in SECOND["b"]:
        assert not ping(network["a"], address, count=1, wait=1)
    assert sent(a) - before < LOOP_BYTES
    a.set("peer", layer.public_key, "remove")
    assert ping(network["a"], INNER["b"][0])


NAT_SECONDS = 2  # until a mapping is forgotten


@pytest.fixture(name="nat")
def fixture_nat(network):
    """A router that hides a from b, and forgets soon."""
    router = add_router(network)
    router.run("nft", "-f", "-", input=f"""
        table inet nat {{
            chain out {{
                type nat hook postrouting priority srcnat;
                oifname "{network.veth['b']}" masquerade
            }}
        }}""")
    router.sysctl(net__netfilter__nf_conntrack_udp_timeout=NAT_SECONDS,
                  net__netfilter__nf_conntrack_udp_timeout_stream=NAT_SECONDS)
    return router


@FAMILIES
def test_keepalives_hold_a_mapping_open_that_is_forgotten_without_them(network, nat, outer):
    def mappings():
        return nat.run("conntrack", "-L", "-f", ("ipv4", "ipv6")[outer], "-p", "udp",
                       stderr=-3).strip()

    a, b = make_pair(network, outer=outer, ends=ROUTED)
    assert ping(network["a"], INNER["b"][0])
    assert endpoint(b) == at(HOPS["b"][outer], PORT)
    assert ping(network["b"], INNER["a"][0])
    wait_until(lambda: not mappings(), what="mapping forgotten")
    assert not ping(network["b"], INNER["a"][0], count=1, wait=1)
    a.set("peer", b.public_key, "persistent-keepalive", 1)
    wait_until(mappings, what="mapping")
    time.sleep(NAT_SECONDS + 1)
    wait_until(lambda: ping(network["b"], INNER["a"][0], count=1, wait=1), what="way in")
