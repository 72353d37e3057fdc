"""Packets made by hand, sent and caught in network namespaces: what a hostile client needs.

    with in_namespace("client"):           # sockets belong to the namespace they are made in
        ...
    Sender("client", "vprox0").send(ipv4(src, dst, UDP, udp(1234, 53, b"hello")))
    with Capture("internet", "eth0") as seen:
        ...
        packet = seen.first(lambda p: p.proto == ICMP and p.src == "203.0.113.1")
        seen.none(lambda p: p.src == "10.100.0.2")

Sender puts a packet straight onto an interface: past the sender's own routes, firewall and checks
of addresses. On a tunnel (ipip, wireguard, TUN) it then takes the way of any inner packet; on
Ethernet the receiver's MAC is needed. RawSender writes whole IP packets, outer header included, and
lets the kernel route them. Capture sees what an interface carries, both ways.
"""

import contextlib
import ctypes
import dataclasses
import fcntl
import os
import select
import socket
import struct
import time

ICMP, IPIP, TCP, UDP = 1, 4, 6, 17
ECHO_REPLY, UNREACHABLE, REDIRECT, ECHO, TIME_EXCEEDED = 0, 3, 5, 8, 11
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

ETH_P_IP, ETH_P_ALL = 0x0800, 0x0003
PACKET_OUTGOING = 4
CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000

# How long a packet that must not arrive is waited for, and one that must.
ABSENCE_S = 0.3
PRESENCE_S = 3.0


@contextlib.contextmanager
def in_namespace(name):
    """Run the block in a namespace that `ip netns add` made; None is the one we are in."""
    if name is None:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if libc.setns(other, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")
        yield
    finally:
        libc.setns(own, CLONE_NEWNET)
        os.close(own)
        os.close(other)


# Making packets


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(src, dst, proto, payload=b"", ttl=64, ident=1, more_fragments=False, offset=0,
         dont_fragment=False):
    """An IP packet; offset in bytes, a multiple of 8. A checksum of TCP or UDP that is 0 is filled
    in."""
    if proto in (TCP, UDP) and offset == 0 and not more_fragments:
        payload = _with_checksum(src, dst, proto, payload)
    fragment = offset // 8 | (0x2000 if more_fragments else 0) | (0x4000 if dont_fragment else 0)
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, fragment, ttl, proto, 0,
        socket.inet_aton(src), socket.inet_aton(dst),
    )
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def _with_checksum(src, dst, proto, payload):
    at = 16 if proto == TCP else 6
    if payload[at : at + 2] != b"\0\0":
        return payload
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst)
    pseudo += struct.pack("!BBH", 0, proto, len(payload))
    filled = struct.pack("!H", checksum(pseudo + payload) or 0xFFFF)
    return payload[:at] + filled + payload[at + 2 :]


def udp(sport, dport, data=b""):
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def tcp(sport, dport, flags=SYN, seq=1, ack=0, data=b"", mss=None):
    options = struct.pack("!BBH", 2, 4, mss) if mss else b""
    offset = (20 + len(options)) // 4 << 4
    header = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, offset, flags, 65535, 0, 0)
    return header + options + data


def icmp_echo(ident=1, sequence=1, data=b"vprox", kind=ECHO):
    body = struct.pack("!HH", ident, sequence) + data
    return struct.pack("!BBH", kind, 0, checksum(struct.pack("!BBH", kind, 0, 0) + body)) + body


def ipip(outer_src, outer_dst, inner):
    """RFC 2003: a whole packet inside another one."""
    return ipv4(outer_src, outer_dst, IPIP, inner)


def fragments(packet, size=24):
    """The packet in pieces of that many bytes (a multiple of 8)."""
    p = parse(packet)
    payload = packet[20:]
    return [
        ipv4(p.src, p.dst, p.proto, payload[i : i + size], ident=p.ident, offset=i,
             more_fragments=i + size < len(payload))
        for i in range(0, len(payload), size)
    ]


# Reading packets


@dataclasses.dataclass
class Packet:
    src: str
    dst: str
    proto: int
    ident: int
    ttl: int
    payload: bytes  # behind the IP header
    outgoing: bool = False  # of a Capture: sent by the machine it runs on

    @property
    def sport(self):
        return struct.unpack("!H", self.payload[0:2])[0]

    @property
    def dport(self):
        return struct.unpack("!H", self.payload[2:4])[0]

    @property
    def data(self):
        """Behind the header of UDP, TCP or ICMP."""
        return self.payload[(self.payload[12] >> 4) * 4 if self.proto == TCP else 8 :]

    @property
    def icmp_type(self):
        return self.payload[0]

    @property
    def icmp_code(self):
        return self.payload[1]

    @property
    def ident_of_echo(self):
        return struct.unpack("!H", self.payload[4:6])[0]

    @property
    def flags(self):
        return self.payload[13]

    @property
    def seq(self):
        return struct.unpack("!I", self.payload[4:8])[0]

    @property
    def mss(self):
        """The TCP option; None if there is none."""
        options = self.payload[20 : (self.payload[12] >> 4) * 4]
        while options and options[0] != 0:
            if options[0] == 1:
                options = options[1:]
            elif options[0] == 2:
                return struct.unpack("!H", options[2:4])[0]
            else:
                options = options[options[1] :]
        return None

    @property
    def inner(self):
        """The packet inside an IPIP packet, or the one an ICMP error quotes."""
        return parse(self.payload if self.proto == IPIP else self.payload[8:])


def parse(data, outgoing=False):
    header = (data[0] & 15) * 4
    length, ident = struct.unpack("!HH", data[2:6])
    return Packet(
        src=socket.inet_ntoa(data[12:16]), dst=socket.inet_ntoa(data[16:20]), proto=data[9],
        ident=ident, ttl=data[8], payload=bytes(data[header:length]), outgoing=outgoing,
    )


# Sending


def mac_of(namespace, interface):
    with in_namespace(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return fcntl.ioctl(s, 0x8927, struct.pack("256s", interface.encode()))[18:24]


class Sender:
    """Puts packets onto an interface as they are. mac: the receiver's, on Ethernet."""

    def __init__(self, namespace, interface, mac=b""):
        self.interface, self.mac = interface, mac
        with in_namespace(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)

    def send(self, packet):
        self.socket.sendto(packet, (self.interface, ETH_P_IP, 0, 0, self.mac))

    def close(self):
        self.socket.close()


class RawSender:
    """Sends whole IP packets of any source address along the namespace's routes."""

    def __init__(self, namespace):
        with in_namespace(namespace):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, packet):
        self.socket.sendto(packet, (parse(packet).dst, 0))

    def close(self):
        self.socket.close()


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
            packet = self.read()
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

    def first(self, wanted, seconds=PRESENCE_S):
        packet = self.find(wanted, seconds)
        assert packet, f"no such packet in {seconds} s; seen: {self.packets}"
        return packet

    def none(self, unwanted, seconds=ABSENCE_S):
        packet = self.find(unwanted, seconds)
        assert not packet, f"got {packet}"

    def forget(self):
        self.collect(0)
        self.packets.clear()


class Capture(Catcher):
    """All IPv4 packets of an interface, both ways."""

    def __init__(self, namespace, interface):
        super().__init__()
        with in_namespace(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            # Only a socket for all protocols sees what goes out.
            self.socket.bind((interface, ETH_P_ALL))

    def fileno(self):
        return self.socket.fileno()

    def read(self):
        data, address = self.socket.recvfrom(65536)
        if address[1] != ETH_P_IP:
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
        with in_namespace(namespace):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, proto)

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


class Tun(Catcher):
    """A TUN interface whose other end is the test: send() arrives from the tunnel, and what goes
    into the tunnel is read here."""

    def __init__(self, namespace, interface):
        super().__init__()
        self.namespace, self.interface = namespace, interface
        with in_namespace(namespace):
            self.fd = os.open("/dev/net/tun", os.O_RDWR)
            request = struct.pack("16sH", interface.encode(), IFF_TUN | IFF_NO_PI)
            fcntl.ioctl(self.fd, TUNSETIFF, request)

    def fileno(self):
        return self.fd

    def read(self):
        data = os.read(self.fd, 65536)
        return parse(data) if data[0] >> 4 == 4 else None

    def send(self, packet):
        os.write(self.fd, packet)

    def close(self):
        os.close(self.fd)
