"""Entries in a namespace's connection tracking, made and counted by netlink: as many as a test
needs, without a packet for each."""

import socket
import struct

from lib.netns import enter

NETLINK_NETFILTER = 12
CTNETLINK_NEW = 1 << 8
FLAGS = 0x1 | 0x4 | 0x200 | 0x400  # REQUEST, ACK, EXCL, CREATE
TUPLE_ORIG, TUPLE_REPLY, STATUS, TIMEOUT = 1, 2, 3, 7
TUPLE_IP, TUPLE_PROTO = 1, 2
NESTED = 0x8000
SEEN_REPLY_ASSURED_CONFIRMED = 0x2 | 0x4 | 0x8
LIFETIME_S = 600
BATCH = 100  # messages in a datagram
FIRST_PORT, PORTS = 1024, 50000


def attribute(kind, value):
    padding = b"\0" * (-len(value) % 4)
    return struct.pack("=HH", len(value) + 4, kind) + value + padding


def nest(kind, *parts):
    return attribute(kind | NESTED, b"".join(parts))


def conntrack_tuple(kind, source, destination, source_port, destination_port):
    return nest(kind,
                nest(TUPLE_IP, attribute(1, socket.inet_aton(source)),
                     attribute(2, socket.inet_aton(destination))),
                nest(TUPLE_PROTO, attribute(1, bytes([socket.IPPROTO_UDP])),
                     attribute(2, struct.pack("!H", source_port)),
                     attribute(3, struct.pack("!H", destination_port))))


def entry(number, source, destination, seen_as):
    """A UDP flow from an inner address that leaves as seen_as: the number makes it another one than
    all others."""
    port, peer_port = FIRST_PORT + number % PORTS, FIRST_PORT + number // PORTS
    body = (conntrack_tuple(TUPLE_ORIG, source, destination, port, peer_port)
            + conntrack_tuple(TUPLE_REPLY, destination, seen_as, peer_port, port)
            + attribute(STATUS, struct.pack("!I", SEEN_REPLY_ASSURED_CONFIRMED))
            + attribute(TIMEOUT, struct.pack("!I", LIFETIME_S)))
    header = struct.pack("=IHHIIBBH", 20 + len(body), CTNETLINK_NEW, FLAGS, number, 0,
                         socket.AF_INET, 0, 0)
    return header + body


def insert(namespace, numbers, source, destination, seen_as):
    """Makes entries of these numbers."""
    with enter(namespace, socket.socket, socket.AF_NETLINK, socket.SOCK_RAW,
               NETLINK_NETFILTER) as sock:
        sock.bind((0, 0))
        numbers = list(numbers)
        for start in range(0, len(numbers), BATCH):
            batch = numbers[start:start + BATCH]
            sock.send(b"".join(entry(n, source, destination, seen_as) for n in batch))
            for _ in batch:
                error = struct.unpack_from("=i", sock.recv(4096), 16)[0]
                assert error == 0, f"conntrack: errno {-error}"


def count(namespace, address):
    """The entries that have the address in any place."""
    listed = namespace.run("conntrack -L").splitlines()
    return sum(f"={address} " in line for line in listed)
