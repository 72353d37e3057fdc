"""A network behind a client's machine, which forwards to it, as containers have one."""

import os

from lab.world import up
from lib.netns import Namespace

INSIDE, BRIDGE = "172.17.0.2", "172.17.0.1"
NETWORK, INTERFACE = "172.17.0.0/16", "docker0"
INSIDE6, BRIDGE6, NETWORK6 = "fd00:17::2", "fd00:17::1", "fd00:17::/64"


def network_behind(machine):
    """Its only host, a Namespace, for the caller to remove."""
    inside = Namespace(f"e2e{os.getpid()}-behind")
    machine.ns.run(f"ip link add {INTERFACE} type veth peer name eth0 netns {inside.name}")
    inside.ip("link set lo up", *up("eth0"), f"addr add {INSIDE}/16 dev eth0",
              f"route add default via {BRIDGE}")
    machine.ns.ip(*up(INTERFACE), f"addr add {BRIDGE}/16 dev {INTERFACE}")
    machine.ns.sysctl(net__ipv4__ip_forward=1)
    return inside


def publish(machine, port):
    """As Docker does: a port of the machine's is the host's port 80, and its addresses are hidden."""
    machine.ns.run(["nft", "-f", "-"], input="table ip docker {\n"
                   "chain post { type nat hook postrouting priority srcnat;\n"
                   f"ip saddr {NETWORK} oifname != {INTERFACE} masquerade; }}\n"
                   "chain pre { type nat hook prerouting priority dstnat;\n"
                   f"iifname eth0 tcp dport {port} dnat to {INSIDE}:80; }}\n}}\n")


def over_ipv6(machine, inside, port):
    """That network has IPv6 too, and the port is published there too."""
    machine.ns.ip(f"addr add {BRIDGE6}/64 dev {INTERFACE} nodad")
    machine.ns.sysctl(net__ipv6__conf__all__forwarding=1)
    inside.ip(f"addr add {INSIDE6}/64 dev eth0 nodad", f"route add ::/0 via {BRIDGE6}")
    machine.ns.run(["nft", "-f", "-"], input="table ip6 docker {\n"
                   "chain post { type nat hook postrouting priority srcnat;\n"
                   f"ip6 saddr {NETWORK6} oifname != {INTERFACE} masquerade; }}\n"
                   "chain pre { type nat hook prerouting priority dstnat;\n"
                   f"iifname eth0 tcp dport {port} dnat to [{INSIDE6}]:80; }}\n}}\n")
