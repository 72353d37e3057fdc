"""--region us-west: tunnels reach a network behind the host, by its interface and with the bind address."""

import pytest

from lab.world import up
from lib.capture import Capture, send_routed
from lib.netns import Namespace
from lib.packets import ICMP, UDP, udp_packet

pytestmark = pytest.mark.plane

OWN, INSIDE, ELSEWHERE = "10.0.0.1", "10.0.0.2", "10.0.0.77"
REGION = "--region=us-west"


@pytest.fixture(name="inside")
def fixture_inside(host):
    """A machine on the internal network. The host is on it by eth1, which comes last of its interfaces, and is
    of a kind that hardware could be."""
    inside = Namespace(f"{host.world.prefix}inside")
    try:
        host.ns.run(f"ip link add veth9 type veth peer name eth0 netns {inside.name}")
        host.ns.ip(*up("veth9"), "addr add 10.9.0.1/24 dev veth9")
        for number, name in enumerate(("docker9", "aux9", "eth0", "eth1"), 1):
            host.ns.ip(f"link add {name} link veth9 type macvlan mode bridge",
                       f"addr add 10.9.{number}.1/24 dev {name}", *(up(name) if name != "eth0" else []))
        host.ns.ip(f"addr add {OWN}/24 dev eth1")
        inside.ip("link set lo up", *up("eth0"), f"addr add {INSIDE}/24 dev eth0",
                  f"route add default via {OWN}")
        yield inside
    finally:
        inside.remove()


def test_tunnels_reach_it_with_the_bind_address_and_it_does_not_reach_into_them(host, client, kind, inside):
    server = host.start(REGION)
    assert server.logged(r"tunnels reach the internal network 10\.0\.0\.0/24 by eth1")
    tunnel = host.tunnel(kind, client).up()
    with Capture(inside, "eth0") as seen:
        assert tunnel.ping(INSIDE)
        assert seen.first(lambda p: p.proto == ICMP and p.dst == INSIDE).src == host.address
    with Capture(tunnel.ns, tunnel.device) as seen:
        send_routed(inside, udp_packet(INSIDE, tunnel.inner, 4000, 4001, b"in"))
        seen.none(lambda p: p.proto == UDP and p.src == INSIDE)
    assert not tunnel.ping("10.20.0.1", seconds=1), "no other private network"
    assert tunnel.visit() == host.address


def test_it_is_reached_by_its_interface_alone(host, client, kind, inside):
    """The way to the Internet may lead to the same addresses, somewhere else."""
    host.world.internet.ip(f"addr add {ELSEWHERE}/32 dev lo")
    try:
        host.ns.ip(f"route add {ELSEWHERE}/32 via 203.0.113.1 dev wan0 onlink")
        # The bind address's own routes know only that way.
        host.ns.ip("route add default via 203.0.113.1 dev wan0 onlink table 77",
                   f"rule add from {host.address} lookup 77 pref 77")
        host.start(REGION)
        tunnel = host.tunnel(kind, client).up()
        assert host.ns.try_run(f"ping -c1 -W5 {ELSEWHERE}").returncode == 0, "it is there"
        assert tunnel.ping(INSIDE)
        assert not tunnel.ping(ELSEWHERE, seconds=1)
        status, said = host.run("check --server")
        assert status == 0, said
    finally:
        host.world.internet.ip(f"addr del {ELSEWHERE}/32 dev lo")


def test_without_the_region_and_where_it_is_denied_it_is_not_reached(host, client, kind, inside):
    for arguments in "--internal-network-cidr=10.0.0.0/24", f"{REGION} --deny-to={INSIDE}/32":
        server = host.start(arguments)
        tunnel = host.tunnel(kind, client).up()
        assert not tunnel.ping(INSIDE, seconds=1)
        tunnel.down()
        server.stop()


def test_another_network_is_named(host, client, kind, inside):
    host.start(f"{REGION} --internal-network-cidr={INSIDE}/32")
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.ping(INSIDE)
    assert not tunnel.ping(OWN, seconds=1)


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_without_an_interface_that_could_lead_there_it_does_not_start(host):
    before = host.snapshot()
    server = host.launch(REGION, expected=["--region us-west"])
    assert server.wait() == 1
    assert server.logged("--region us-west: no interface that is up has a private address")
    host.assert_same(before)
