"""sequence.py receive ADDRESS PORT | send ADDRESS PORT A_SECOND: numbered datagrams until the input
ends; prints how many were sent, and how many different ones have come."""

import select
import socket
import struct
import sys
import time

operation, address, port = sys.argv[1:4]
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
count = 0
if operation == "receive":
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    made.bind((address, int(port)))
    print("listening", flush=True)
    seen = set()
    while True:
        ready = select.select([made, sys.stdin], [], [])[0]
        if made in ready:
            seen.add(made.recv(2048)[:8])
        elif sys.stdin in ready:
            break  # and nothing is left in the socket
    count = len(seen)
else:
    made.connect((address, int(port)))
    begun = time.monotonic()
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        # no more than that: what a machine has missed is not sent at once
        for _ in range(min(20, int((time.monotonic() - begun) * int(sys.argv[4])) - count)):
            made.send(struct.pack("!Q", count) + bytes(100))
            count += 1
print(count, flush=True)
