"""Sending packets that lib/packets.py makes, and catching what arrives, in network namespaces. A
namespace is a Namespace, the name of one, or None for the one we are in.

    send(client, "vprox0", packet)           straight onto an interface
    with Capture(internet, "eth0") as seen:
        ...
        packet = seen.first(lambda p: p.proto == ICMP and p.src == "203.0.113.1")
        seen.none(lambda p: p.src == "10.100.0.2")
"""

import fcntl
import os
import select
import socket
import struct
import time

from lib.netns import enter
from lib.packets import parse

ETH_P_IP, ETH_P_ALL = 0x0800, 0x0003
PACKET_OUTGOING = 4
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
SIOCGIFHWADDR = 0x8927
RECEIVE_BUFFER = 4 << 20

# How long a packet that must not arrive is waited for, and one that must.
ABSENCE_S = 0.3
TIMEOUT_S = 15


def mac_of(namespace, interface):
    with enter(namespace, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as s:
        return fcntl.ioctl(s, SIOCGIFHWADDR, struct.pack("256s", interface.encode()))[18:24]


# Sending


def send(namespace, interface, *packets, mac=b""):
    """Puts packets onto an interface as they are: past the sender's own routes, firewall and checks
    of addresses. On a tunnel (ipip, wireguard, TUN) they then take the way of any inner packet; on
    Ethernet the receiver's MAC is needed."""
    with enter(namespace, socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, 0) as s:
        for packet in packets:
            s.sendto(packet, (interface, ETH_P_IP, 0, 0, mac))


def send_routed(namespace, *packets):
    """Sends whole packets of any source address along the namespace's routes."""
    with enter(namespace, socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        for packet in packets:
            s.sendto(packet, (parse(packet).dst, 0))


# Catching


class Catcher:
    """What came out of a descriptor, packet by packet. To be read by first() and none()."""

    def __init__(self):
        self.packets = []

    def fileno(self):
        raise NotImplementedError

    def read(self):
        """One packet, or None if it is none of interest."""
        raise NotImplementedError

    def collect(self, seconds, enough=lambda p: False):
        """Reads for that long, or until a packet is enough. Returns that packet or None."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if not select.select([self.fileno()], [], [], max(0, left))[0]:
                return None
            try:
                packet = self.read()
            except OSError:
                # The interface was taken down.
                if left > 0:
                    continue
                return None
            if packet:
                self.packets.append(packet)
                if enough(packet):
                    return packet

    def find(self, wanted, seconds=ABSENCE_S):
        """The first packet that is wanted, None if there is none in time."""
        for packet in self.packets:
            if wanted(packet):
                return packet
        return self.collect(seconds, wanted)

    def wait(self, wanted, seconds=TIMEOUT_S):
        """The same of one that should come, but on a busy machine may be late."""
        return self.find(wanted, seconds)

    def first(self, wanted, seconds=TIMEOUT_S):
        packet = self.find(wanted, seconds)
        assert packet, f"no such packet in {seconds} s; seen: {self.packets}"
        return packet

    def none(self, unwanted, seconds=ABSENCE_S):
        packet = self.find(unwanted, seconds)
        assert not packet, f"got {packet}"

    def look(self):
        """All that has come since the beginning."""
        self.collect(0)
        return self.packets

    def saw(self, marker):
        """Whether any packet had these bytes in it."""
        return any(marker in packet.raw for packet in self.look())

    def forget(self):
        self.collect(0)
        self.packets.clear()


class Capture(Catcher):
    """All IPv4 packets of an interface, or of all of them, both ways."""

    def __init__(self, namespace, interface=None):
        super().__init__()
        # Only a socket for all protocols sees what goes out.
        self.socket = enter(namespace, socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM,
                            0 if interface else socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if interface:
            self.socket.bind((interface, ETH_P_ALL))

    def fileno(self):
        return self.socket.fileno()

    def read(self):
        data, address = self.socket.recvfrom(65536)
        if address[1] != ETH_P_IP or len(data) < 20:
            return None
        return parse(data, outgoing=address[2] == PACKET_OUTGOING)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RawReceiver(Catcher):
    """What arrives for a protocol at the namespace's own addresses, as a raw socket sees it."""

    def __init__(self, namespace, proto):
        super().__init__()
        self.socket = enter(namespace, socket.socket, socket.AF_INET, socket.SOCK_RAW, proto)

    def fileno(self):
        return self.socket.fileno()

    def read(self):
        return parse(self.socket.recv(65536))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def open_tun(interface):
    """The descriptor of a new TUN interface, without headers of its own."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


class Tun(Catcher):
    """A TUN interface whose other end is the test: send() arrives from the tunnel, and what goes
    into the tunnel is read here."""

    def __init__(self, namespace, interface):
        super().__init__()
        self.namespace, self.interface = namespace, interface
        self.fd = enter(namespace, open_tun, interface)

    def fileno(self):
        return self.fd

    def read(self):
        data = os.read(self.fd, 65536)
        return parse(data) if data[0] >> 4 == 4 else None

    def send(self, packet):
        os.write(self.fd, packet)

    def close(self):
        os.close(self.fd)
