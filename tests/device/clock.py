"""The clock of a device under test: it stands still but for what the test moves it. Of another
program than ours, which may not ask the C library for the time, it is the real one."""

import mmap
import os
import struct
import tempfile
import time

from net import DEVICE

LIBRARY = os.path.join(os.path.dirname(DEVICE), "tests", "device", "libmoved-clock.so")
NS = 10 ** 9


class MovedClock:
    """moved_clock.c reads it: three signed 64-bit numbers of ns."""

    movable = True

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="datapath-clock-")
        self.file.truncate(24)
        self.map = mmap.mmap(self.file.fileno(), 24)
        self.moved = 0
        self.slept = 0

    def environment(self):
        return [("LD_PRELOAD", LIBRARY), ("MOVED_CLOCK", self.file.name)]

    def move(self, seconds):
        self.moved += round(seconds * NS)
        self.map[:8] = struct.pack("<q", self.moved)

    def set_load(self, high):
        """Whether handshakes take all of a processor, as the device sees it."""
        self.map[8:16] = struct.pack("<q", NS if high else 0)

    def suspend(self, seconds):
        """As if the host had slept for so long. Nothing wakes the device for it."""
        self.slept += round(seconds * NS)
        self.map[16:] = struct.pack("<q", self.slept)

    def now_ns(self):
        """Since 1970."""
        return time.time_ns() + self.moved + self.slept

    def close(self):
        self.map.close()
        self.file.close()


class RealClock:
    movable = False

    def environment(self):
        return []

    def move(self, seconds):
        time.sleep(seconds)

    def now_ns(self):
        return time.time_ns()

    def close(self):
        pass
