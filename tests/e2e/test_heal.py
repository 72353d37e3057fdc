"""What other programs and people change under a running server is put right while it runs."""

import re

import pytest

from lib import wait

pytestmark = pytest.mark.plane

LOOK = "--reap-interval=1s"
SECONDS = 40  # for what is looked after every 5 s; a WireGuard session may have to begin anew


def pair(host, clients):
    """A tunnel of each kind, carrying traffic."""
    tunnels = [host.tunnel(kind, node).up() for kind, node in zip(("wireguard", "ipip"),
                                                                  clients(2))]
    for tunnel in tunnels:
        assert tunnel.ping() and tunnel.visit() == host.address
    return tunnels


def assert_put_right(host, tunnels, damage, said):
    """Runs commands that break something, and holds that the server says that it puts this right,
    that all is as it was, and that the tunnels carry traffic."""
    server = host.servers[-1]
    before = host.snapshot()
    indexes = {name: link["ifindex"] for name, link in host.links().items()}
    seen = len(server.log)
    host.ns.run(["bash", "-ec", damage])
    wait.until(lambda: re.search(said, server.log[seen:]), SECONDS, f"{damage}: {said}")
    # What is announced is done next: on a slow machine, a moment later.
    wait.until(lambda: host.difference(before) == "", SECONDS, lambda: host.difference(before))
    assert indexes == {name: link["ifindex"] for name, link in host.links().items()}
    for tunnel in tunnels:
        wait.until(lambda: tunnel.ping(seconds=1), SECONDS, f"{tunnel.kind} carries traffic again")
        assert tunnel.visit() == host.address


def test_an_interface_that_somebody_has_changed_is_put_right(host, clients):
    host.start(LOOK)
    tunnels = pair(host, clients)
    for damage, said in (("ip addr flush dev vprox0", "had not its address"),
                         ("ip route flush dev vprox0", "had not the route"),
                         ("ip link set vprox0 down", "was down")):
        assert_put_right(host, tunnels, damage, rf"warning .*vprox0: .*{said}")


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_an_ipip_interface_that_somebody_has_changed_is_put_right(host, clients):
    host.start(LOOK)
    tunnels = pair(host, clients)
    (name,) = host.ipip_links()
    for damage in (f"ip link set {name} down", f"ip route flush dev {name}",
                   f"ip link set {name} down; ip link set {name} up",
                   "ip route flush root 10.100.0.0/16"):
        assert_put_right(host, tunnels, damage, rf"warning .*{name}: .*put right")


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_policy_rules_that_are_flushed_come_back(host, clients):
    host.ns.ip("route add default via 203.0.113.1 dev wan0 onlink table 100",
               f"rule add from {host.address} lookup 100 pref 5000")
    host.start(LOOK)
    tunnels = pair(host, clients)
    assert "from 10.100.0.0/16 lookup 100" in host.ns.run("ip rule")
    # The host's own ones are not the server's to make again.
    assert_put_right(host, tunnels, f"""
        ip rule flush
        ip rule add lookup main pref 32766 protocol kernel
        ip rule add lookup default pref 32767 protocol kernel
        ip rule add from {host.address} lookup 100 pref 5000""",
        r"added the policy rule.*to 10\.100\.0\.0/16[^$]*added the policy rule.*from 10\.100\.0\.0")


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_a_firewall_that_is_flushed_comes_back(host, clients):
    host.start(LOOK)
    tunnels = pair(host, clients)
    for damage in "nft flush ruleset", "nft delete table ip vprox":
        assert_put_right(host, tunnels, damage, "warning .*table ip vprox")


def forwarding(host):
    """Whether each interface forwards, new ones, and the host."""
    names = ["all", "default", "wan0", *(name for name in host.links() if name.startswith("vp"))]
    return {host.ns.read(f"/proc/sys/net/ipv4/conf/{name}/forwarding").strip() for name in names}


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_forwarding_that_somebody_switches_off_is_switched_on_again(host, clients):
    server = host.start(LOOK)
    tunnels = pair(host, clients)
    for setting in ("ip_forward", "conf/all/forwarding", "conf/wan0/forwarding",
                    "conf/vprox0/forwarding", "conf/default/forwarding"):
        seen = len(server.log)
        host.ns.sysctl(**{f"net/ipv4/{setting}": 0})
        wait.until(lambda: re.search("changed .* from 0 to 1", server.log[seen:]), SECONDS, setting)
        wait.until(lambda: forwarding(host) == {"1"}, SECONDS, setting)
        for tunnel in tunnels:
            assert tunnel.ping() and tunnel.visit() == host.address


def test_what_others_have_is_left_as_it_is(host, clients):
    server = host.start(LOOK)
    tunnels = pair(host, clients)
    host.ns.ip("addr add 10.9.9.1/24 dev vprox0", "route add 10.100.200.0/24 dev wan0",
               "link add other type veth peer name another", "rule add from 10.9.9.0/24 lookup main pref 77")
    host.ns.run("nft add table ip other")
    before = host.snapshot()
    assert server.logged("vprox0") and not server.logged(" warning ", seconds=7)
    host.assert_same(before)
    for tunnel in tunnels:
        assert tunnel.ping() and tunnel.visit() == host.address
