"""Packets that no honest client sends, and looking at what arrives."""

import socket
import struct
import time

ETH_P_IP = 0x0800
ETH_P_ALL = 0x0003
PROTOCOL_ICMP, PROTOCOL_IPIP, PROTOCOL_TCP, PROTOCOL_UDP = 1, 4, 6, 17
ICMP_ECHO_REPLY, ICMP_UNREACHABLE, ICMP_ECHO = 0, 3, 8
ICMP_PROTOCOL_UNREACHABLE = 2
TCP_SYN = 0x02


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(source, destination, protocol, payload, ttl=64, fragment=0):
    """fragment: the flags and offset field."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0x1234, fragment, ttl, protocol,
                       0, socket.inet_aton(source), socket.inet_aton(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def pseudo_header(source, destination, protocol, length):
    return socket.inet_aton(source) + socket.inet_aton(destination) + \
        struct.pack("!BBH", 0, protocol, length)


def udp(source, destination, source_port, destination_port, payload):
    length = 8 + len(payload)
    head = struct.pack("!HHH", source_port, destination_port, length)
    total = checksum(pseudo_header(source, destination, PROTOCOL_UDP, length) + head +
                     b"\0\0" + payload)
    return ipv4(source, destination, PROTOCOL_UDP, head + struct.pack("!H", total or 0xffff) +
                payload)


def tcp_syn(source, destination, source_port, destination_port, sequence=1, mss=1460):
    options = struct.pack("!BBH", 2, 4, mss)
    head = struct.pack("!HHIIBBH", source_port, destination_port, sequence, 0, 6 << 4, TCP_SYN,
                       65535)
    total = checksum(pseudo_header(source, destination, PROTOCOL_TCP, 24) + head +
                     b"\0\0\0\0" + options)
    return ipv4(source, destination, PROTOCOL_TCP,
                head + struct.pack("!HH", total, 0) + options)


def echo(source, destination, number=1, payload=b"vprox"):
    body = struct.pack("!HH", number, 1) + payload
    head = struct.pack("!BB", ICMP_ECHO, 0)
    return ipv4(source, destination, PROTOCOL_ICMP,
                head + struct.pack("!H", checksum(head + b"\0\0" + body)) + body)


def send(namespace, device, *packets):
    """Puts IPv4 packets onto a tunnel without asking the stack, so that none is corrected."""
    with namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as sock:
        for packet in packets:
            sock.sendto(packet, (device, ETH_P_IP))


def send_to(namespace, device, hardware_address, *packets):
    """The same on a device that has link addresses."""
    with namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as sock:
        for packet in packets:
            sock.sendto(packet, (device, ETH_P_IP, 0, 0,
                                 bytes.fromhex(hardware_address.replace(":", ""))))


def send_routed(namespace, *packets):
    """Sends IPv4 packets by the namespace's own routes."""
    with namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        for packet in packets:
            sock.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))


class Packet:
    """An IPv4 packet that was seen."""

    def __init__(self, data):
        self.data = data
        self.header_length = (data[0] & 15) * 4
        self.protocol = data[9]
        self.source = socket.inet_ntoa(data[12:16])
        self.destination = socket.inet_ntoa(data[16:20])
        self.payload = data[self.header_length:]

    @property
    def ports(self):
        return struct.unpack("!HH", self.payload[:4])

    @property
    def inner(self):
        """What is in it, of a packet of IP in IP."""
        return Packet(self.payload)

    @property
    def mss(self):
        """The maximum segment size that a TCP packet announces, or None."""
        options = self.payload[20:(self.payload[12] >> 4) * 4]
        while options and options[0]:
            if options[0] == 1:
                options = options[1:]
            elif options[0] == 2:
                return struct.unpack("!H", options[2:4])[0]
            else:
                options = options[max(options[1], 2):]
        return None

    def __repr__(self):
        ports = " {}->{}".format(*self.ports) \
            if self.protocol in (PROTOCOL_UDP, PROTOCOL_TCP) and len(self.payload) >= 4 else ""
        return (f"<{self.source} -> {self.destination} protocol {self.protocol}{ports} "
                f"{self.payload[:48].hex()}>")


class Sniffer:
    """Sees all IPv4 packets that pass a device, in either direction."""

    def __init__(self, namespace, device=None):
        """device: None for all of them."""
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                                       socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if device:
            self.socket.bind((device, ETH_P_ALL))
        self.socket.setblocking(False)
        self.packets = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def look(self):
        """Everything since the beginning, as list of Packet."""
        while True:
            try:
                data, (_, protocol, *_) = self.socket.recvfrom(65536)
            except BlockingIOError:
                return self.packets
            except OSError:
                continue  # the device was taken down
            if protocol == ETH_P_IP and len(data) >= 20:
                self.packets.append(Packet(data))

    def wait(self, matches, seconds=15):
        """The first packet that matches, or None after so long."""
        end = time.monotonic() + seconds
        seen = 0
        while True:
            packets = self.look()
            for packet in packets[seen:]:
                if matches(packet):
                    return packet
            seen = len(packets)
            if time.monotonic() > end:
                return None
            time.sleep(0.02)

    def saw(self, marker):
        """Whether any packet had these bytes in it."""
        return any(marker in packet.data for packet in self.look())
