"""A network behind a client's machine, which forwards to it, as containers have one."""

import os

from lab.world import up
from lib.netns import Namespace

INSIDE, BRIDGE = "172.17.0.2", "172.17.0.1"
NETWORK, INTERFACE = "172.17.0.0/16", "docker0"


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
