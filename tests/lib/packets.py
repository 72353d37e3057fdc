"""IPv4 packets, made by hand and read: what a hostile client needs. lib/capture.py sends and
catches them.

    ipv4(src, dst, UDP, udp(1234, 53, b"hello"))      from the inside out
    udp_packet(src, dst, 1234, 53, b"hello")          the same
"""

import dataclasses
import socket
import struct

ICMP, IPIP, TCP, UDP = 1, 4, 6, 17
ECHO_REPLY, UNREACHABLE, REDIRECT, ECHO, TIME_EXCEEDED = 0, 3, 5, 8, 11
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(src, dst, proto, payload=b"", ttl=64, ident=1, more_fragments=False, offset=0,
         dont_fragment=False, tos=0, options=b""):
    """An IP packet; offset in bytes, a multiple of 8. A checksum of TCP or UDP that is 0 is filled
    in."""
    if proto in (TCP, UDP) and offset == 0 and not more_fragments:
        payload = _with_checksum(src, dst, proto, payload)
    fragment = offset // 8 | (0x2000 if more_fragments else 0) | (0x4000 if dont_fragment else 0)
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45 + len(options) // 4, tos, 20 + len(options) + len(payload), ident,
        fragment, ttl, proto, 0, socket.inet_aton(src), socket.inet_aton(dst),
    ) + options
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


def udp_packet(src, dst, sport, dport, data=b""):
    return ipv4(src, dst, UDP, udp(sport, dport, data))


def syn_packet(src, dst, sport, dport, mss=1460):
    return ipv4(src, dst, TCP, tcp(sport, dport, mss=mss))


def echo_packet(src, dst, size=56, tos=0):
    return ipv4(src, dst, ICMP, icmp_echo(data=bytes(size)), tos=tos)


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
    raw: bytes  # all of it
    outgoing: bool = False  # of a Capture: sent by the machine it runs on

    @property
    def ports(self):
        """Of UDP or TCP: the source's and the destination's."""
        return struct.unpack("!HH", self.payload[:4])

    @property
    def sport(self):
        return self.ports[0]

    @property
    def dport(self):
        return self.ports[1]

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
                options = options[max(options[1], 2) :]
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
        ident=ident, ttl=data[8], payload=bytes(data[header:length]), raw=bytes(data[:length]),
        outgoing=outgoing,
    )
