"""What --route leaves as it is: what the host is connected to, and --except."""

import json
import os

import pytest

from lab.world import ROUTER_TO_CLIENTS, up, wait_until_running
from lib import wait
from lib.netns import Namespace

LAN = "198.51.100.128/25"  # beside what the tests visit, which is in the same /24
OWN, NEIGHBOUR = "198.51.100.130", "198.51.100.131"
DETOUR = "198.51.100.64/26"  # has what the tests visit


class Lan:
    """A network of the machine's own, with a neighbour in it."""

    def __init__(self, machine):
        self.machine = machine
        self.neighbour = Namespace(f"e2e{os.getpid()}-lan")
        machine.ns.run(f"ip link add lan0 type veth peer name eth0 netns {self.neighbour.name}")
        self.neighbour.ip("link set lo up", *up("eth0"), f"addr add {NEIGHBOUR}/25 dev eth0",
                          f"route add default via {OWN}")
        machine.ns.ip(*up("lan0"))
        wait_until_running(machine.ns, "lan0")

    def join(self):
        self.machine.ns.ip(f"addr add {OWN}/25 dev lan0")

    def works(self):
        self.machine.ns.run(f"ping -c 1 -W 10 {NEIGHBOUR}")
        self.neighbour.run(f"ping -c 1 -W 10 {OWN}")


@pytest.fixture(name="lan")
def fixture_lan(machine):
    lan = Lan(machine)
    yield lan
    lan.neighbour.remove()


def way_to(machine, address):
    """The interface that a packet would leave by."""
    [route] = json.loads(machine.ns.run(f"ip -j route get {address}"))
    return route["dev"]


def goes_by(machine, address, device):
    wait.until(lambda: way_to(machine, address) == device, 30, f"{address} goes by {device}")


@pytest.mark.sanitize
@pytest.mark.parametrize("route", ["198.0.0.0/8",
                                   pytest.param("0.0.0.0/0", marks=pytest.mark.plane)])
def test_the_networks_of_the_host_stay_as_they_are(host, machine, lan, kind, route):
    lan.join()
    host.start()
    before = machine.snapshot()
    client = machine.connect(host.address, f"--route {route}", kind=kind).up()
    wait.until(lambda: machine.visit(seconds=3) == host.address, 40, "through the tunnel")
    lan.works()
    client.logged(f"not through the tunnel: .*{LAN}")
    client.stop()
    wait.until(lambda: machine.snapshot() == before, 10, "as it was before")


def test_a_network_that_comes_and_goes_is_followed(host, machine, lan, kind):
    host.start()
    machine.connect(host.address, "--route 198.0.0.0/8", kind=kind).up()
    assert way_to(machine, NEIGHBOUR) == "vprox0"
    lan.join()
    goes_by(machine, NEIGHBOUR, "lan0")
    lan.works()
    machine.ns.ip(f"addr del {OWN}/25 dev lan0")
    goes_by(machine, NEIGHBOUR, "vprox0")


def test_a_way_by_a_gateway_stays_if_it_leads_to_a_private_network(host, machine, lan, kind):
    lan.join()
    host.start()
    machine.ns.ip(f"route add 10.9.0.0/16 via {NEIGHBOUR}")
    client = machine.connect(host.address, "--route 0.0.0.0/0 --route 10.9.8.0/24",
                             kind=kind).up()
    goes_by(machine, "10.9.1.1", "lan0")
    assert way_to(machine, "10.9.8.1") == "vprox0", "the longer prefix decides"
    assert "does not count" not in client.log


@pytest.mark.plane
def test_other_routes_however_specific_take_nothing_out_of_the_tunnel(host, machine, kind):
    """As somebody who answers DHCP could set them, at the start or later."""
    machine.ns.ip(f"route add {DETOUR} via {ROUTER_TO_CLIENTS} dev eth0 onlink proto dhcp")
    host.start()
    client = machine.connect(host.address, "--route 0.0.0.0/0", kind=kind).up()
    client.logged(f"this host's route to {DETOUR} by {ROUTER_TO_CLIENTS} does not count")
    wait.until(lambda: machine.visit(seconds=3) == host.address, 40, "through the tunnel")
    machine.ns.ip(f"route add 128.0.0.0/1 via {ROUTER_TO_CLIENTS} dev eth0 onlink proto dhcp")
    client.logged("this host's route to 128.0.0.0/1 ")
    assert machine.visit() == host.address
    client.stop()
    assert machine.visit() == machine.node.address


def test_an_exception_takes_out_of_the_tunnel(host, machine, kind):
    host.start()
    machine.connect(host.address, f"--route 198.51.100.0/24 --except {DETOUR}", kind=kind).up()
    assert way_to(machine, "198.51.100.1") == "vprox0"
    assert machine.visit() == machine.node.address


def test_a_clouds_metadata_service_is_left_out_unless_it_is_said_otherwise(host, machine):
    services = "169.254.169.254", "168.63.129.16"
    host.start()
    client = machine.connect(host.address, "--route 0.0.0.0/0").up()
    assert [way_to(machine, service) for service in services] == ["eth0", "eth0"]
    client.stop()
    machine.connect(host.address, "--route 0.0.0.0/0 --except=none").up()
    assert [way_to(machine, service) for service in services] == ["vprox0", "vprox0"]


def test_routes_that_are_flushed_come_back(host, machine):
    host.start()
    machine.connect(host.address, "--route 198.0.0.0/8 --except 198.18.0.0/15").up()
    machine.ns.run("bash", "-c", "ip route show table all | sed -n 's/.* table \\([0-9]\\{8,\\}\\).*/\\1/p'"
                   " | sort -u | xargs -n 1 ip route flush table")
    goes_by(machine, "198.51.100.80", "vprox0")
    goes_by(machine, "198.18.0.1", "eth0")
