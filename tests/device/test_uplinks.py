"""Two uplinks: from which address a peer is spoken to when the way to it changes.

a has two uplinks to b, each with an address of its own, and each drops what has the other one's
address, as an Internet provider does. b is to be reached at an address that belongs to neither.
"""

import re

import pytest

import net
from clock import MovedClock
from net import INNER, Device, connect, ping, wait_until

PORT = 7000
MARK = 7  # and the table of what is marked


class Family:
    def __init__(self, version, host, first, second, added, length):
        self.version, self.host, self.length = version, host, length
        self.first, self.second = first, second  # an uplink's addresses at a, at b, its network
        self.added = added  # one more of the first
        self.protocol = "ip" if version == 4 else "ip6"

    def at(self, address):
        return f"{address}:{PORT}" if self.version == 4 else f"[{address}]:{PORT}"


FAMILIES = {
    "IPv4": Family(4, "10.9.9.9", ("10.9.0.1", "10.9.0.2", "10.9.0.0/24"),
                   ("10.9.5.1", "10.9.5.2", "10.9.5.0/24"), "10.9.0.11", 24),
    "IPv6": Family(6, "fd09:9::9", ("fd09::1", "fd09::2", "fd09::/64"),
                   ("fd09:5::1", "fd09:5::2", "fd09:5::/64"), "fd09::11", 64),
}
# what a provider drops: on its interface, the other one's network
PROVIDERS = """
table inet providers {
    chain arriving {
        type filter hook prerouting priority raw;
        iifname dpw-b meta protocol ip ip saddr 10.9.0.0/24 drop
        iifname dpw-b meta protocol ip6 ip6 saddr fd09:0::/64 drop
        iifname dpv-b meta protocol ip ip saddr 10.9.5.0/24 drop
        iifname dpv-b meta protocol ip6 ip6 saddr fd09:5::/64 drop
    }
}
"""


class Uplinks:
    """The two namespaces, joined by a second veth, with devices that are each other's peers."""

    def __init__(self, network, family, environment=()):
        self.network, self.family = network, family
        self.a, self.b = network["a"], network["b"]
        net.run("ip", "link", "add", "dpw-a", "netns", self.a.name, "type", "veth",
                "peer", "name", "dpw-b", "netns", self.b.name)
        self.a.ip(f"addr add {family.second[0]}/{family.length} dev dpw-a nodad",
                  "link set dpw-a up")
        self.b.ip("link set dpw-b up",
                  f"addr add {family.host}/{32 if family.version == 4 else 128} dev lo nodad",
                  f"addr del {family.first[1]}/{family.length} dev dpv-b")
        for space in self.a, self.b:
            space.sysctl(net__ipv4__conf__all__rp_filter=0)
        # b speaks from its own address wherever it sends
        for interface, (_, address, prefix) in ("dpv-b", family.first), ("dpw-b", family.second):
            self.b.ip(f"addr add {address}/{family.length} dev {interface} nodad noprefixroute",
                      f"route add {prefix} dev {interface} src {family.host}")
        self.b.run(["nft", "-f", "-"], input=PROVIDERS)
        self.route("dpv-a", family.first, metric=20)
        self.near = Device(network, "a", "dp0", environment=environment)
        self.far = Device(network, "b", "dp1")
        connect(self.near, self.far, outer=0 if family.version == 4 else 1, port=PORT)
        self.near.set("peer", self.far.public_key, "endpoint", family.at(family.host))

    def route(self, interface, uplink, metric, *more):
        self.a.run("ip", f"-{self.family.version}", "route", "add", self.family.host, "via",
                   uplink[1], "dev", interface, "onlink", "src", uplink[0], "metric", metric, *more)

    def speaks_from(self, uplink):
        """Whether b has last heard a at its address of this uplink."""
        return self.family.at(uplink[0]) in self.far.show("endpoints")

    def lost(self, count=10):
        """How many of so many pings have no answer."""
        text = self.a.try_run("ping", "-n", "-q", "-c", count, "-i", "0.2", "-W", 1,
                              INNER["b"][0]).stdout
        return count - int(re.search(r"(\d+) received", text).group(1))

    @staticmethod
    def begin_anew(device, other):
        """Has a device forget its keys, and where the other one is."""
        device.set("peer", other.public_key, "remove")
        device.set("peer", other.public_key, "allowed-ips",
                   f"{INNER[other.side][0]}/32,{INNER[other.side][1]}/128")

    def begin(self):
        wait_until(lambda: ping(self.a, INNER["b"][0], count=1), what="tunnel")
        assert self.speaks_from(self.family.first)


@pytest.fixture(params=FAMILIES)
def uplinks(request, network):
    return Uplinks(network, FAMILIES[request.param])


def test_a_better_route_takes_the_tunnel_along(uplinks):
    """The old address stays, and so does its route."""
    uplinks.begin()
    uplinks.route("dpw-a", uplinks.family.second, metric=10)
    assert uplinks.lost() <= 3
    assert uplinks.speaks_from(uplinks.family.second)
    uplinks.a.run("ip", f"-{uplinks.family.version}", "route", "del", uplinks.family.host,
                  "metric", 10)
    assert uplinks.lost() <= 3
    assert uplinks.speaks_from(uplinks.family.first)


def test_when_the_address_goes_another_one_is_used(uplinks):
    first = uplinks.family.first
    uplinks.begin()
    uplinks.a.run(f"ip addr del {first[0]}/{uplinks.family.length} dev dpv-a")
    uplinks.a.try_run(f"ip -{uplinks.family.version} route del {uplinks.family.host} metric 20")
    uplinks.route("dpw-a", uplinks.family.second, metric=10)
    assert uplinks.lost() <= 3
    assert uplinks.speaks_from(uplinks.family.second)


@pytest.mark.parametrize("what", ["mark", "port"])
def test_a_new_mark_or_port_may_lead_elsewhere(uplinks, what):
    family = uplinks.family
    uplinks.begin()
    uplinks.route("dpw-a", family.second, 10, "table", MARK)
    selector = f"fwmark {MARK}" if what == "mark" else "ipproto udp sport 7001"
    uplinks.a.run(f"ip -{family.version} rule add {selector} table {MARK}")
    assert uplinks.lost(3) == 0
    assert uplinks.speaks_from(family.first)
    uplinks.near.set(*(("fwmark", MARK) if what == "mark" else ("listen-port", 7001)))
    assert uplinks.lost() <= 3
    assert family.second[0] in uplinks.far.show("endpoints")


@pytest.mark.parametrize("policy", [False, True], ids=["alone", "with a rule for its address"])
def test_who_comes_in_by_one_uplink_is_answered_by_the_other_from_its_address(uplinks, policy):
    """Unless a rule of the host leads the answer back to where the packet came from."""
    family = uplinks.family
    if policy:
        uplinks.route("dpw-a", family.second, 10, "table", MARK)
        uplinks.a.run(f"ip -{family.version} rule add from {family.second[0]} table {MARK}")
    uplinks.begin_anew(uplinks.near, uplinks.far)
    uplinks.begin_anew(uplinks.far, uplinks.near)
    uplinks.far.set("peer", uplinks.near.public_key, "endpoint", family.at(family.second[0]))
    wait_until(lambda: ping(uplinks.b, INNER["a"][0], count=1), what="tunnel")
    assert uplinks.speaks_from(family.second if policy else family.first)


def test_a_device_with_a_serving_address_sends_from_nothing_else(network):
    uplinks = Uplinks(network, FAMILIES["IPv4"])
    first = uplinks.family.first
    uplinks.near.uapi(f"set=1\nipip_local={first[0]}\n\n")
    uplinks.begin()
    uplinks.b.run("nft delete table inet providers")
    uplinks.route("dpw-a", uplinks.family.second, metric=10)
    assert uplinks.lost() <= 3
    assert uplinks.speaks_from(first)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_source_that_gets_no_answer_is_given_up_after_15_seconds(network, name):
    """Nothing has changed in this host: the network has begun to drop one of its two addresses."""
    clock = MovedClock()
    network.closers.append(clock.close)
    uplinks = Uplinks(network, FAMILIES[name], clock.environment())
    uplinks.begin()
    family, added = uplinks.family, uplinks.family.added
    uplinks.a.ip(f"addr add {added}/{family.length} dev dpv-a nodad")
    uplinks.far.set("peer", uplinks.near.public_key, "endpoint", family.at(added))
    assert ping(uplinks.b, INNER["a"][0], count=1)
    assert family.at(added) in uplinks.far.show("endpoints")
    uplinks.begin_anew(uplinks.far, uplinks.near)  # what it sends would count as an answer
    uplinks.b.run("nft", "add", "rule", "inet", "providers", "arriving", "meta", "protocol",
                  family.protocol, family.protocol, "saddr", added, "drop")
    assert not ping(uplinks.a, INNER["b"][0], count=1, wait=1)
    clock.move(16)
    wait_until(lambda: ping(uplinks.a, INNER["b"][0], count=1), what="other source")
    assert uplinks.speaks_from(family.first)
