"""How fast this machine's time stamp counter counts, which qemu hands on to an emulated guest."""

import ctypes
import mmap
import platform
import time

# rdtsc; shl $32, %rdx; or %rdx, %rax; ret (Intel SDM, volume 2: RDTSC)
READ = bytes.fromhex("0f31 48c1e220 4809d0 c3")
ROUNDS = 5
ROUND_SECONDS = 0.02


def khz():
    """Kilohertz, or None where it cannot be told. A round in which somebody else had the processor
    is off, so that the middle one of some counts."""
    if platform.machine() != "x86_64":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return None
    page.write(READ)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
    found = []
    for _ in range(ROUNDS):
        ticks, began = read(), time.monotonic_ns()
        time.sleep(ROUND_SECONDS)
        found.append((read() - ticks) * 1_000_000 // (time.monotonic_ns() - began))
    return sorted(found)[ROUNDS // 2]
