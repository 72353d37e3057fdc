"""What a gate has from the broker of issuers: struct content of src/ipc/issuer_sheet.c, in memory that both share."""

import mmap
import os
import struct
import time

ISSUERS_MAX, KEYS_MAX = 8, 32
ISSUER = struct.Struct("=256s256s64s33s3xI4096s")
KEY = struct.Struct("=III128s1024s")
PAGE = struct.Struct(f"=IIQQ{KEYS_MAX * KEY.size}s")
PAGES = 4 + ISSUERS_MAX * ISSUER.size + 4  # where they begin, aligned
SIZE = PAGES + ISSUERS_MAX * PAGE.size
RSA, P256 = 1, 2


def now_ms():
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)


class Issuers:
    """Of one issuer, whose keys it has told so many seconds ago."""

    URL = "https://issuer.example"
    AUDIENCE = "vprox"

    def __init__(self, rules=("sub:*",)):
        self.fd = os.memfd_create("issuers")
        os.ftruncate(self.fd, SIZE)
        self.memory = mmap.mmap(self.fd, SIZE)
        text = b"".join(rule.encode() + b"\0" for rule in rules)
        issuer = ISSUER.pack(self.URL.encode(), self.AUDIENCE.encode(), b"sub", b"", 0, text)
        self.memory[:4 + len(issuer)] = struct.pack("=I", 1) + issuer
        self.sequence = 0

    def write(self, *keys, seconds_ago=0):
        """Keys of lib.jwt."""
        told = now_ms() - int(seconds_ago * 1000)
        self.sequence += 2
        data = b"".join(self._packed(key) for key in keys)
        self.memory[PAGES:PAGES + PAGE.size] = PAGE.pack(self.sequence, len(keys), told, told, data)

    @staticmethod
    def _packed(key):
        public = key.private.public_key().public_numbers()
        if key.algorithm == "RS256":
            modulus = public.n.to_bytes(256, "big")
            return KEY.pack(RSA, len(modulus), public.e, key.kid.encode(), modulus)
        return KEY.pack(P256, 0, 0, key.kid.encode(), public.x.to_bytes(32, "big") + public.y.to_bytes(32, "big"))

    def token(self, key, **more):
        now = int(time.time())
        return key.token({"iss": self.URL, "aud": self.AUDIENCE, "sub": "robot", "iat": now, "exp": now + 300, **more})

    def close(self):
        self.memory.close()
        os.close(self.fd)
