"""What attacks on the firewall have in common: who is who in conftest.py's world, what each attack
must do without its rule and with it, and looking whether a packet arrives."""

import contextlib
import itertools
import socket

from conftest import INTERNET
from lib.capture import Capture
from lib.netns import enter
from lib.packets import ECHO_REPLY, ICMP, icmp_echo, ipv4

WEB, VICTIM, METADATA = "198.51.100.1", "198.51.100.7", "169.254.169.254"
BIND, BIND_1, OTHER = "203.0.113.1", "203.0.113.2", "203.0.113.9"
GATEWAY = "10.100.0.1"
PEER_1, PEER_2, PEER_WG, PEER_OTHER = "10.100.0.2", "10.100.0.3", "10.100.0.77", "10.100.16.2"
WG_PORT = 50227

# Lines that each keep tunnels from the host, and from speaking protocols that no egress carries.
TO_HOST = "\t\tjump to_host"
# Of clients among each other.
TO_TUNNEL = "oifname @tunnels counter name refused_peers drop"
NO_IPIP, PROTOCOLS = "ip protocol 4 counter", "meta l4proto != { tcp, udp, icmp, sctp"

OTHER_PEERS = [("vp0-2", PEER_2), ("vprox0", PEER_WG), ("vp1-1", PEER_OTHER)]

numbers = itertools.count(2000)


def holds(world, attack, *without, flags=()):
    world.load(without=without, flags=flags)
    assert eventually(attack, world), "the attack does not succeed even without the rule"
    world.load(flags=flags)
    assert not attack(world), "the attack succeeds"


def eventually(happens, *arguments, **options):
    """On a busy machine what does happen may take longer than a look at it."""
    return any(happens(*arguments, **options) for _ in range(5))


def arrives_outside(world, interface, packet, wanted, link="eth0"):
    """Whether a packet sent out of a tunnel comes out of the server on the Internet's side."""
    with Capture(INTERNET, link) as seen:
        world.tuns[interface].send(packet)
        return seen.find(lambda p: not p.outgoing and wanted(p)) is not None


def echo_leaves(world, interface, src, dst=WEB, **options):
    ident = next(numbers)
    mine = b"echo %d" % ident  # NAT may change the identifier
    return arrives_outside(
        world, interface, ipv4(src, dst, ICMP, icmp_echo(ident, data=mine)),
        lambda p: p.proto == ICMP and p.dst == dst and p.data == mine, **options)


def echo_is_answered(world, interface, src, dst, out=None):
    """Whether the server answers a ping out of a tunnel, into any tunnel."""
    ident = next(numbers)
    world.tuns[interface].send(ipv4(src, dst, ICMP, icmp_echo(ident)))
    answer = world.tuns[out or interface]
    return answer.find(lambda p: p.proto == ICMP and p.icmp_type == ECHO_REPLY and p.src == dst
                       and p.ident_of_echo == ident) is not None


@contextlib.contextmanager
def listening(namespace, address, port, kind=socket.SOCK_DGRAM):
    s = enter(namespace, socket.socket, socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.bind((address, port))
    s.settimeout(0.3)
    with s:
        yield s


def receives(sock):
    try:
        return sock.recv(2048)
    except TimeoutError:
        return None
