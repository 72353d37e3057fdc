"""The MTU of a client's interface: by the way to the server, followed as that changes."""

import json

import pytest

from lab.echo import VISITED
from lab.world import MTU, ROUTER_TO_CLIENTS
from lib import wait

OVERHEAD = {"wireguard": 80, "ipip": 20}
PING_HEADERS = 28


def mtu_of(client):
    link, = json.loads(client.machine.ns.run(f"ip -j link show {client.device}"))
    return link["mtu"]


def has_mtu(client, mtu):
    wait.until(lambda: mtu_of(client) == mtu, 30, lambda: f"{mtu_of(client)}, not {mtu}:\n{client.log}")


def passes_whole(client, size):
    """Whether a packet of that size, which may not be put into fragments, gets through the tunnel."""
    return client.machine.ns.try_run(
        f"ping -n -q -M do -c 1 -W 3 -s {size - PING_HEADERS} -I {client.device} {VISITED}"
        ).returncode == 0


@pytest.fixture(name="no_fragments")
def fixture_no_fragments(world):
    """The Internet loses fragments."""
    world.internet.run(["nft", "table ip whole { chain c { type filter hook prerouting priority -450; "
                        "ip frag-off & 0x3fff != 0 drop; }; }"])
    yield
    world.internet.run("nft delete table ip whole")


@pytest.mark.plane
def test_the_largest_packet_of_a_tunnel_over_a_narrow_uplink_is_one_packet_outside(
        host, machine, kind, no_fragments):
    host.start()
    machine.narrow(1400)
    client = machine.connect(host.address, kind=kind).up()
    has_mtu(client, 1400 - OVERHEAD[kind])
    client.logged(f"the MTU is {1400 - OVERHEAD[kind]}, as the way to {host.address} has room for 1400")
    wait.until(lambda: passes_whole(client, 1400 - OVERHEAD[kind]), 20, "it passes")
    client.stop()


def test_over_ethernet_it_is_as_it_always_was(host, machine, kind):
    host.start()
    client = machine.connect(host.address, kind=kind).up()
    assert mtu_of(client) == MTU - OVERHEAD[kind]


def test_it_follows_the_uplink_the_route_and_what_the_path_has_told(world, host, machine):
    host.start()
    client = machine.connect(host.address).up()
    machine.ns.run(f"ip route change default via {ROUTER_TO_CLIENTS} dev eth0 onlink mtu lock 1460")
    has_mtu(client, 1380)
    machine.ns.run(f"ip route change default via {ROUTER_TO_CLIENTS} dev eth0 onlink")
    has_mtu(client, 1420)
    world.internet.run(f"ip link set {host.node.name} mtu 1450")
    machine.ns.try_run(f"ping -M do -c 1 -W 2 -s 1472 {host.address}")
    has_mtu(client, 1370)
    machine.narrow(1440)
    has_mtu(client, 1360)
    assert client.count("the tunnel is up") == 1, "nothing was interrupted"


def test_one_that_is_less_than_usual_is_warned_of(host, machine):
    host.start()
    machine.narrow(1300)
    client = machine.connect(host.address).up()
    has_mtu(client, 1220)
    client.logged(r"warning .*the MTU is 1220, less than 1280, as the way to \S+ has no room for more "
                  "than 1300 bytes")


def test_it_can_be_given_and_another_programs_choice_stays(host, machine):
    host.start()
    client = machine.connect(host.address, "--mtu=1333").up()
    has_mtu(client, 1333)
    machine.ns.run("ip link set vprox0 mtu 1300")
    machine.narrow(1400)
    machine.ns.run("ip link set vprox0 down")
    client.logged("gone or down")
    wait.until(lambda: client.visit(seconds=3) == host.address, 30, "it is back")
    assert mtu_of(client) == 1300
    for wrong in "575", "66000", "x":
        assert machine.run(f"{host.address} --mtu={wrong}")[0] == 2
