"""What a server can do to the routes of a client's host by what it assigns: next to nothing. The
servers here are trusted, and answer anything."""

import json

import pytest

from lab.echo import VISITED
from lab.pretender import Pretender, grant
from lib import wait

PATHS = {"wireguard": "/connect", "ipip": "/connect-ipip"}


@pytest.fixture(name="hostile")
def fixture_hostile(host, kind):
    """A server that assigns what it is told to."""
    pretender = Pretender(host, {})

    def assign(address):
        pretender.answers[PATHS[kind]] = grant(AssignedAddr=address)
        return pretender
    yield assign
    pretender.close()


def way_to(machine, address):
    """The interface that a packet would leave by."""
    [route] = json.loads(machine.ns.run(f"ip -j route get {address}"))
    return route["dev"]


def addresses_of(machine, device="vprox0"):
    [link] = json.loads(machine.ns.run(f"ip -j -4 addr show {device}"))
    return [f"{one['local']}/{one['prefixlen']}" for one in link["addr_info"]]


@pytest.mark.sanitize
@pytest.mark.parametrize("address", [
    "198.51.100.90/8", pytest.param("198.51.100.90/24", marks=pytest.mark.plane), "198.51.100.82/30"])
def test_a_server_that_assigns_a_public_block_gets_none_of_its_traffic(
        host, machine, kind, hostile, address):
    hostile(address)
    client = machine.connect(host.address, kind=kind)
    client.logged(f"has {address}")
    assert machine.visit() == machine.node.address
    for other in VISITED, "198.51.100.81", "198.51.100.1", "198.0.0.1":
        assert way_to(machine, other) == "eth0"
    assert addresses_of(machine) == [address.split("/", maxsplit=1)[0] + "/32"]
    client.logged("is a public address")


@pytest.mark.plane
def test_of_the_block_the_gateway_alone_is_reached_through_the_tunnel(host, machine, kind):
    host.start()
    client = machine.connect(host.address, "--json", kind=kind).up()
    machine.ns.run("ping -c 1 -W 10 10.100.0.1")
    assert addresses_of(machine) == [client.said[0]["address"] + "/32"]
    assert way_to(machine, "10.100.0.1") == "vprox0"
    assert way_to(machine, "10.100.0.77") == "eth0"
    client.stop()
    client = machine.connect(host.address, "--route 10.100.0.0/16", kind=kind).up()
    assert way_to(machine, "10.100.0.77") == "vprox0"


@pytest.mark.parametrize("address, why", [
    ("10.77.0.5/16", "10.77.0.5 is this host's own address, of eth0"),
    ("10.77.0.9/16", "10.77.0.9 lies in 10.77.0.0/24, which this host is connected to by eth0"),
    ("10.77.9.9/16", "10.77.0.1 lies in 10.77.0.0/24"),
    ("10.78.0.9/24", "10.78.0.1 is this host's own address, of lo"),
    ("10.79.4.4/24", "10.79.4.4 lies in 10.79.0.0/16, which this host is connected to by eth0"),
])
def test_an_address_of_a_network_of_the_hosts_own_is_refused(
        host, machine, kind, hostile, address, why):
    machine.ns.ip("addr add 10.77.0.5/24 dev eth0", "addr add 10.78.0.1/32 dev lo",
                  "route add 10.79.0.0/16 dev eth0")
    before = machine.snapshot()
    pretender = hostile(address)
    client = machine.connect(host.address, kind=kind)
    client.logged("the address that it assigned, "
                  f"{address.replace('.', '[.]')}, is not taken: {why}")
    wait.until(lambda: len(pretender.requests) >= 2, 40, "asked again")
    assert machine.snapshot() == before


def test_a_tunnel_stays_as_it_is_when_the_next_address_is_refused(host, machine, kind, hostile):
    machine.ns.ip("addr add 10.77.0.5/24 dev eth0")
    hostile("10.100.0.2/16")
    client = machine.connect(host.address, kind=kind)
    client.logged("has 10.100.0.2/16")
    hostile("10.77.0.9/16")
    client.logged("is not taken", seconds=60)
    assert addresses_of(machine) == ["10.100.0.2/32"]
    hostile("10.101.0.2/16")
    client.logged("has 10.101.0.2/16", seconds=60)
    assert addresses_of(machine) == ["10.101.0.2/32"]
    assert way_to(machine, "10.100.0.1") == "eth0", "the former gateway's route is gone"
    assert way_to(machine, "10.101.0.1") == "vprox0"


def test_two_clients_of_servers_with_the_same_block_do_not_disturb_each_other(
        host, other_host, machine, kind):
    host.start()
    other_host.start()
    one = machine.connect(host.address, kind=kind).up()
    two = machine.connect(other_host.address, kind=kind, device="vprox1").up()
    one.works(host.address)
    two.works(other_host.address)
    for client in one, two:
        assert client.count("the tunnel is up") == 1, client.log
    one.stop()
    assert way_to(machine, "10.100.0.1") == "vprox1"


def test_what_an_earlier_version_has_set_is_taken_back(host, machine, kind):
    """It set the whole block."""
    host.start()
    client = machine.connect(host.address, "--json", kind=kind).up()
    inner = client.said[0]["address"]
    client.kill()
    machine.ns.ip("addr flush dev vprox0", f"addr add {inner}/16 dev vprox0")
    assert way_to(machine, "10.100.0.77") == "vprox0"
    machine.connect(host.address, kind=kind).up()
    assert addresses_of(machine) == [f"{inner}/32"]
    assert way_to(machine, "10.100.0.77") == "eth0"
