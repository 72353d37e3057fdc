"""The lab's Internet: one namespace that routes between all others and has servers to visit, a
namespace for each client and each host that may run vprox. Every link is a veth pair, every address
a /32 that the Internet has a route to:

    client  192.0.2.11...     eth0 -- c<n>  internet  s<n> -- wan0  host  203.0.113.<8n>...
                                            198.51.100.80, to be visited
"""

import ctypes
import fcntl
import os
import pathlib
import shutil
import socket
import struct
import tempfile

from lab.echo import VISITED, Echo
from lab.ends import ENDS
from lib import kernel, wait
from lib.netns import Namespace

NEIGHBOUR = "192.0.2.130"  # on a link of its own with the host, lan0
NEIGHBOURS_GATEWAY = "192.0.2.129"
ROUTER_TO_CLIENTS = "192.0.2.1"
ROUTER_TO_HOSTS = "203.0.113.1"
FIRST_CLIENT = 10
ADDRESSES_PER_HOST = 4
MTU = 1500
SIOCGIFFLAGS, SIOCETHTOOL = 0x8913, 0x8946  # linux/sockios.h
IFF_RUNNING = 0x40  # linux/if.h
ETHTOOL_SET_TX_CHECKSUMS = 0x17  # linux/ethtool.h, ETHTOOL_STXCSUM


def up(device):
    """The lines of `ip` that bring a device up without an IPv6 address, which would come and settle
    in the middle of a test."""
    return [f"link set {device} addrgenmode none", f"link set {device} up"]


def complete_checksums(name):
    """Has a veth pass on packets as a real wire does, each whole and with its checksums: a raw
    socket behind it would get what only the kernel knows how to complete."""
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_SET_TX_CHECKSUMS, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL,
                    struct.pack("16sP16x", name.encode(), ctypes.addressof(value)))


def wait_until_running(namespace, device):
    """The kernel notices a link's carrier some time after it was set up; addresses and routes look
    different until then."""
    def is_running():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            request = struct.pack("16s24x", device.encode())
            return struct.unpack("16xH22x", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[0] & IFF_RUNNING
    wait.until(lambda: namespace.enter(is_running), what=f"{device} runs")


class Node:
    """A namespace joined to the Internet, and its addresses there."""

    def __init__(self, world, name, device, gateway, addresses, idle=(), run_folder=None):
        """idle: addresses that are routed here but that no interface has. run_folder: see
        Namespace."""
        self.world = world
        self.name = name
        self.device = device
        self.addresses = list(addresses) + list(idle)
        self.address = self.addresses[0]
        self.ns = Namespace(world.prefix + name, run_folder)
        internet = world.internet
        internet.run(f"ip link add {name} mtu {MTU} type veth peer name {device} mtu {MTU} "
                     f"netns {self.ns.name}")
        self.ns.ip("link set lo up",
                   *up(f"{device}"),
                   *[f"addr add {address}/32 dev {device}" for address in addresses],
                   f"route add default via {gateway} dev {device} onlink")
        internet.ip(*up(f"{name}"),
                    # An earlier node's may not be gone yet.
                    *[f"route replace {address}/32 dev {name}" for address in self.addresses])
        wait_until_running(self.ns, device)
        wait_until_running(internet, name)

    def remove(self):
        """The link goes with the namespace."""
        self.ns.remove()


class World:
    def __init__(self, options):
        """options: conftest.py's."""
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
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vprox-e2e-"))
        self.has_userspace_devices = options.plane != "kernel"
        self.ends = self._choose_ends(options)

    def _choose_ends(self, options):
        self.kernel_has_both = kernel.has("wireguard") and kernel.has("ipip")
        kind = options.clients or ("kernel" if self.kernel_has_both else "independent")
        ends = ENDS[kind](options)
        self.has_userspace_devices |= ends.needs_run_folder
        return ends

    def close(self):
        for node in list(self.nodes):
            self.remove(node)
        shutil.rmtree(self.folder)
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

    def has(self, address):
        """Whether it is a node's."""
        return any(address in node.addresses for node in self.nodes)

    def add_client(self, more_addresses=()):
        """A client with one address, or with these besides."""
        def make(name, n):
            run_folder = None
            if self.ends.needs_run_folder:
                run_folder = self.folder / name
                run_folder.mkdir()
            node = Node(self, name, "eth0", ROUTER_TO_CLIENTS,
                        [f"192.0.2.{FIRST_CLIENT + n}", *more_addresses], run_folder=run_folder)
            if self.ends.needs_whole_packets:
                self.internet.enter(complete_checksums, name)
            return node
        return self._add("c", make)

    def add_host(self, run_folder):
        """A host for a server. It has three addresses; one more is routed to it. run_folder: where
        the server has its devices' control sockets, in the embedded plane."""
        def make(name, n):
            own = [f"203.0.113.{8 * n + i}" for i in range(ADDRESSES_PER_HOST)]
            return Node(self, name, "wan0", ROUTER_TO_HOSTS, own[:-1], own[-1:],
                        run_folder if self.has_userspace_devices else None)
        return self._add("s", make)

    def add_neighbour(self, host):
        """A machine on the host's own network, behind lan0, that uses it as its router."""
        neighbour = Namespace(f"{self.prefix}neighbour")
        host.ns.run(f"ip link add lan0 type veth peer name eth0 netns {neighbour.name}")
        host.ns.ip(*up("lan0"), f"addr add {NEIGHBOURS_GATEWAY}/30 dev lan0")
        neighbour.ip("link set lo up", *up("eth0"),
                     f"addr add {NEIGHBOUR}/30 dev eth0",
                     f"route add default via {NEIGHBOURS_GATEWAY}")
        wait_until_running(host.ns, "lan0")
        self.internet.ip(f"route replace {NEIGHBOUR}/32 via {host.address} "
                         f"dev {host.node.name} onlink")
        return neighbour
