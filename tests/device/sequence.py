"""sequence.py receive ADDRESS PORT | send ADDRESS PORT A_SECOND: numbered datagrams. Each prints a line
when it has begun. The sender ends at a line of input, and prints how many it has sent; the receiver
is told that number then, and prints how many different ones have come."""

import select
import socket
import struct
import sys
import time

SILENCE_SECONDS = 10  # without any datagram: the others are lost

operation, address, port = sys.argv[1:4]
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
count = 0
if operation == "receive":
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    made.bind((address, int(port)))
    print("listening", flush=True)
    seen, expected = set(), None
    while len(seen) != expected:
        inputs = [made, sys.stdin] if expected is None else [made]
        ready = select.select(inputs, [], [], None if expected is None else SILENCE_SECONDS)[0]
        if made in ready:
            seen.add(made.recv(2048)[:8])
        elif sys.stdin in ready:
            expected = int(sys.stdin.readline())
        else:
            break
    count = len(seen)
else:
    made.connect((address, int(port)))
    begun = time.monotonic()
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        # no more than that: what a machine has missed is not sent at once
        for _ in range(min(20, int((time.monotonic() - begun) * int(sys.argv[4])) - count)):
            made.send(struct.pack("!Q", count) + bytes(100))
            if count == 0:
                print("sending", flush=True)
            count += 1
print(count, flush=True)
