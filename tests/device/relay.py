"""relay.py PORT HOST PORT: a UDP relay that loses one datagram in ten, doubles one in ten, and holds
back one in ten for a moment."""

import random
import select
import socket
import sys
import time

listen, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
random.seed(1)
near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
near.bind(("", listen))
far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
far.connect((host, port))
client = None
held = []  # (when, send, datagram)
print("ready", flush=True)
while True:
    wait = max(0, min((h[0] for h in held), default=time.monotonic() + 1) - time.monotonic())
    for source in select.select([near, far], [], [], wait)[0]:
        if source is near:
            datagram, client = near.recvfrom(65536)
            send = far.send
        else:
            try:
                datagram = far.recv(65536)
            except ConnectionRefusedError:
                continue
            send = lambda d: near.sendto(d, client) if client else None
        chance = random.random()
        if chance < 0.1:
            continue
        if chance < 0.3:
            held.append((time.monotonic() + random.uniform(0.001, 0.01), send, datagram))
        if chance >= 0.2:
            send(datagram)
    now = time.monotonic()
    for entry in [h for h in held if h[0] <= now]:
        held.remove(entry)
        entry[1](entry[2])
