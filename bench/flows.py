"""Measures what a pass over connection tracking costs (src/server/flow_purge.h): its time, and the longest that the
broker kept somebody waiting meanwhile. Natively, as root: `/usr/bin/python3 bench/flows.py [ENTRIES]`. The broker and
who asks it come before all else on the machine; the pass does not."""

import os
import pathlib
import re
import socket
import struct
import sys
import time
import types

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "tests/e2e"), str(REPOSITORY / "tests")]

from lab.echo import VISITED  # noqa: E402
from lab.server import Host  # noqa: E402
from lab.tunnels import random_key  # noqa: E402
from lab.world import World  # noqa: E402
from lib import conntrack, wait  # noqa: E402
from shared.options import bench_parser  # noqa: E402

ENTRIES = 180000
REPORT_VERSION = 1  # any will do: the answer tells its own
BASE_SECONDS = 3
QUICK_ENTRIES = 1000
PAUSE_SECONDS = 0.0003
DONE = r"deleted the tracked connections of freed addresses: (\d+) of (\d+), in (\d+) ms"


def ask(path):
    """Has the broker answer as `vprox show` does: the seconds that it took."""
    began = time.perf_counter()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(struct.pack("=II", REPORT_VERSION, 0))
        while sock.recv(65536):
            pass
    return time.perf_counter() - began


def ask_until(path, condition):
    """Asks again and again: all the times, sorted."""
    times = []
    while not condition():
        for _ in range(50):
            times.append(ask(path))
            time.sleep(PAUSE_SECONDS)
    return sorted(times)


def figures(name, times):
    print(f"{name}: {len(times)} answers of the broker, median {times[len(times) // 2] * 1e6:.0f} us, "
          f"99.9% {times[len(times) * 999 // 1000] * 1e3:.2f} ms, longest {times[-1] * 1e3:.2f} ms")


def come_first(*pids):
    for pid in pids:
        os.sched_setscheduler(pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def measure(host, client, arguments):
    entries, seconds = (QUICK_ENTRIES, 0.1) if arguments.quick else (arguments.entries, BASE_SECONDS)
    server = host.start()
    path = str(host.state / "run/vprox/control.sock")
    api, keys = host.api(client), [random_key() for _ in range(2)]
    inner = [api.connect(key).inner for key in keys]
    wait.until(lambda: re.search(DONE, server.log))
    half = entries // 2
    for i, address in enumerate(inner):
        conntrack.insert(host.ns, range(i * half, (i + 1) * half), address, VISITED, host.address)
    if not arguments.quick:
        come_first(0, server.pid)
    end = time.monotonic() + seconds
    figures("nothing else to do", ask_until(path, lambda: time.monotonic() > end))
    assert api.disconnect(keys[0]).status == 200
    figures("with a pass", ask_until(path, lambda: len(re.findall(DONE, server.log)) > 1))
    deleted, of, ms = re.findall(DONE, server.log)[-1]
    print(f"the pass: {deleted} of {of} entries deleted in {ms} ms")


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("entries", nargs="?", type=int, default=ENTRIES, help="of connection tracking (%(default)s)")
    arguments = parser.parse_args()
    options = types.SimpleNamespace(vprox=str(REPOSITORY / "build/vprox"), plane="embedded", ipip_mode="interface",
                                    clients=None, repository=REPOSITORY)
    world = World(options)
    host = Host(world, options)
    try:
        measure(host, world.add_client(), arguments)
    finally:
        host.close()
        world.close()


if __name__ == "__main__":
    main()
