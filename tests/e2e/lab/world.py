"""The lab's Internet: one namespace that routes between all others and has servers to visit, a
namespace for each client and each host that may run vprox. Every link is a veth pair, every address
a /32 that the Internet has a route to:

    client  192.0.2.11...     eth0 -- c<n>  internet  s<n> -- wan0  host  203.0.113.<8n>...
                                            198.51.100.80, to be visited
"""

import os

from lab.echo import VISITED, Echo
from lab.netns import Namespace

NEIGHBOUR = "192.0.2.130"  # on a link of its own with the host, lan0
NEIGHBOURS_GATEWAY = "192.0.2.129"
ROUTER_TO_CLIENTS = "192.0.2.1"
ROUTER_TO_HOSTS = "203.0.113.1"
FIRST_CLIENT = 10
ADDRESSES_PER_HOST = 4
MTU = 1500


class Node:
    """A namespace joined to the Internet, and its addresses there."""

    def __init__(self, world, name, device, gateway, addresses, idle=()):
        """idle: addresses that are routed here but that no interface has."""
        self.world = world
        self.name = name
        self.device = device
        self.addresses = list(addresses) + list(idle)
        self.address = self.addresses[0]
        self.ns = Namespace(world.prefix + name)
        internet = world.internet
        internet.run(f"ip link add {name} mtu {MTU} type veth peer name {device} mtu {MTU} "
                     f"netns {self.ns.name}")
        self.ns.ip("link set lo up",
                   f"link set {device} addrgenmode none up",
                   *[f"addr add {address}/32 dev {device}" for address in addresses],
                   f"route add default via {gateway} dev {device} onlink")
        internet.ip(f"link set {name} addrgenmode none up",
                    # An earlier node's may not be gone yet.
                    *[f"route replace {address}/32 dev {name}" for address in self.addresses])

    def remove(self):
        """The link goes with the namespace."""
        self.ns.remove()


class World:
    def __init__(self):
        self.prefix = f"e2e{os.getpid()}-"
        self.nodes = []
        self.taken = set()
        self.serial = 0
        self.internet = Namespace(self.prefix + "internet")
        self.internet.ip("link set lo up",
                         *[f"addr add {address}/32 dev lo"
                           for address in (ROUTER_TO_CLIENTS, ROUTER_TO_HOSTS, VISITED)])
        self.internet.sysctl(net__ipv4__ip_forward=1)
        self.echo = Echo(self.internet, VISITED)

    def close(self):
        for node in list(self.nodes):
            self.remove(node)
        self.echo.close()
        self.internet.remove()

    def _add(self, kind, make):
        """make(name, n): n is the lowest number that no node of this kind has; the name is
        nobody's ever again, as the kernel takes its time to clear up."""
        n = next(n for n in range(1, 1000) if (kind, n) not in self.taken)
        self.serial += 1
        node = make(f"{kind}{self.serial}", n)
        node.number = (kind, n)
        self.taken.add(node.number)
        self.nodes.append(node)
        return node

    def remove(self, node):
        self.nodes.remove(node)
        node.remove()
        self.taken.remove(node.number)

    def add_client(self, more_addresses=()):
        """A client with one address, or with these besides."""
        return self._add("c", lambda name, n: Node(
            self, name, "eth0", ROUTER_TO_CLIENTS,
            [f"192.0.2.{FIRST_CLIENT + n}", *more_addresses]))

    def add_host(self):
        """A host for a server. It has three addresses; one more is routed to it."""
        def make(name, n):
            own = [f"203.0.113.{8 * n + i}" for i in range(ADDRESSES_PER_HOST)]
            return Node(self, name, "wan0", ROUTER_TO_HOSTS, own[:-1], own[-1:])
        return self._add("s", make)

    def add_neighbour(self, host):
        """A machine on the host's own network, behind lan0, that uses it as its router."""
        neighbour = Namespace(f"{self.prefix}neighbour")
        host.ns.run(f"ip link add lan0 type veth peer name eth0 netns {neighbour.name}")
        host.ns.ip("link set lan0 addrgenmode none up", f"addr add {NEIGHBOURS_GATEWAY}/30 dev lan0")
        neighbour.ip("link set lo up", "link set eth0 addrgenmode none up",
                     f"addr add {NEIGHBOUR}/30 dev eth0",
                     f"route add default via {NEIGHBOURS_GATEWAY}")
        self.internet.ip(f"route replace {NEIGHBOUR}/32 via {host.address} "
                         f"dev {host.node.name} onlink")
        return neighbour
