"""stream.py receive ADDRESS PORT | send ADDRESS PORT BYTES: prints the SHA-256 of what went over."""

import hashlib
import os
import socket
import sys

operation, address, port = sys.argv[1:4]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
digest = hashlib.sha256()
if operation == "receive":
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, int(port)))
        listener.listen(1)
        print("listening", flush=True)
        connection, _ = listener.accept()
        while part := connection.recv(1 << 16):
            digest.update(part)
else:
    with socket.create_connection((address, int(port)), timeout=20) as connection:
        left = int(sys.argv[4])
        while left > 0:
            part = os.urandom(min(left, 1 << 16))
            connection.sendall(part)
            digest.update(part)
            left -= len(part)
print(digest.hexdigest())
