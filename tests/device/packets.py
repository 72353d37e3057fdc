"""IPv4 packets made by hand, and sent."""

import socket
import struct


def raw_packet(source, destination, protocol, payload, identification=0, fragment=0, options=b"",
               tos=0):
    header = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, tos,
                         20 + len(options) + len(payload), identification, fragment, 64, protocol,
                         0, socket.inet_aton(source), socket.inet_aton(destination)) + options
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    return header[:10] + struct.pack("!H", ~total & 0xffff) + header[12:] + payload


def echo_request(source, destination, size=56, tos=0):
    body = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + bytes(size)
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = (total & 0xffff) + (total >> 16)
    return raw_packet(source, destination, 1,
                      body[:2] + struct.pack("!H", ~total & 0xffff) + body[4:], tos=tos)


def send(space, *packets):
    """Sends whole IPv4 packets from a namespace."""
    text = ";".join(p.hex() for p in packets)
    space.run("/usr/bin/python3", "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for packet in {text!r}.split(";"):
    p = bytes.fromhex(packet)
    s.sendto(p, (socket.inet_ntoa(p[16:20]), 0))
""")
