"""flood.py ADDRESS/LENGTH HOST PORT PUBLIC_KEY RATE: sends so many datagrams a second from all over a
network of this host, until it is ended: initiations with a right mac1 and with a wrong one, transport
messages of nobody, garbage."""

import base64
import ipaddress
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib.noise import MACS, SIZES, INITIATION, add_macs  # noqa: E402

SOURCES = 100
BATCH = 20  # datagrams of a system call: the sender is to take little of the processor
SIZE = SIZES[INITIATION]
UDP_SEGMENT = 103

network, host, port, key, rate = sys.argv[1:6]
public_key = base64.b64decode(key)


def initiation():
    return b"\x01\0\0\0" + os.urandom(SIZE - MACS - 4)


KINDS = [lambda: add_macs(initiation(), public_key), lambda: initiation() + os.urandom(MACS),
         lambda: b"\x04\0\0\0" + os.urandom(SIZE - 4), lambda: os.urandom(SIZE)]


def source(address):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_UDP, UDP_SEGMENT, SIZE)
    made.bind((str(address), 0))
    made.connect((host, int(port)))
    made.setblocking(False)
    return made


addresses = list(ipaddress.ip_network(network).hosts())[:SOURCES]
sources = [(source(address), b"".join(KINDS[i % len(KINDS)]() for _ in range(BATCH)))
           for i, address in enumerate(addresses)]
print("ready", flush=True)
began, sent = time.monotonic(), 0
while True:
    while sent < (time.monotonic() - began) * int(rate):
        sender, datagrams = sources[sent // BATCH % len(sources)]
        try:
            sender.send(datagrams)
        except OSError:
            pass  # a full buffer, or somebody's answer
        sent += BATCH
    time.sleep(0.001)
