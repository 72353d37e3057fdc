"""A kernel that lacks, or refuses, what saves a device work. refuse.c is preloaded and does it."""

import mmap
import os
import struct
import tempfile

from net import DEVICE

LIBRARY = os.path.join(os.path.dirname(DEVICE), "tests", "device", "librefuse.so")
# in refuse.c's order
KINDS = ("UDP sends of many", "UDP sends of many, invalid", "UDP receives of many", "TUN offload",
         "TUN USO", "joined writes", "batch calls", "BPF programs")


class Refusal:
    """What one device is refused, from its start and until it is changed."""

    def __init__(self, *kinds):
        self.file = tempfile.NamedTemporaryFile(prefix="datapath-refuse-")
        self.file.truncate(8 + 8 * len(KINDS))
        self.map = mmap.mmap(self.file.fileno(), 0)
        self.change(*kinds)

    def environment(self, *others):
        """With those of other libraries that are preloaded."""
        both = {"LD_PRELOAD": LIBRARY, "REFUSE": self.file.name}
        for name, value in others:
            both[name] = f"{both[name]}:{value}" if name == "LD_PRELOAD" else value
        return list(both.items())

    def change(self, *kinds):
        self.map[:8] = struct.pack("=Q", sum(1 << KINDS.index(kind) for kind in kinds))

    def times(self, kind):
        """How often this was refused."""
        return struct.unpack_from("=Q", self.map, 8 + 8 * KINDS.index(kind))[0]
