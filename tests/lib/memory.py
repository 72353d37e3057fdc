"""Looking for a secret in the memory of processes, as root can."""

import re
import subprocess

PIECE = 1 << 24


def private_number(path):
    """The number of an EC private key, which is all there is to know of it, as 32 bytes."""
    text = subprocess.run(["openssl", "pkey", "-noout", "-text", "-in", str(path)],
                          capture_output=True, text=True, check=True).stdout
    digits = re.search(r"priv:([0-9a-f:\s]+)pub:", text).group(1)
    return bytes.fromhex(re.sub(r"[^0-9a-f]", "", digits))[-32:].rjust(32, b"\0")


def regions(pid):
    """Where a process has memory that it can read: the first address and the one after the last."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        for line in maps:
            addresses, rights = line.split()[:2]
            if rights.startswith("r") and "[v" not in line:
                yield [int(address, 16) for address in addresses.split("-")]


def holds(pid, secret):
    """Whether a process has these bytes in memory, forwards or, as numbers are kept, backwards."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in regions(pid):
            overlap = b""
            while start < end:
                memory.seek(start)
                piece = memory.read(min(PIECE, end - start))
                if not piece:
                    break
                if secret in overlap + piece or secret[::-1] in overlap + piece:
                    return True
                overlap = piece[-len(secret):]
                start += len(piece)
    return False
