"""Compares two builds of vprox in handshakes a second: run it as root. Both servers run at the same time, each in a namespace
of its own, and are asked in turns, so that what disturbs the machine disturbs both alike; the figures are the medians of the
ratios of one turn: of the rates, and of the processors' time that the server's processes took, which says on a machine that
is busy with other things too how many it could do. Prints each server's memory as well."""

import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from shared.options import bench_parser
from shared.place import ADDRESS, NEIGHBOUR, PASSWORD

SOURCES = "198.18.0.0/15"  # addresses of clients, for storm's --first-source


def run(*command, read=False, seconds=None):
    """Returns what it prints, if that is to be read; an error if that takes longer than so many seconds."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE if read else None, timeout=seconds).stdout


def subcommand(pid):
    """Of a process of vprox's, or of vprox-store: store."""
    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return os.path.basename(words[0]).removeprefix("vprox-") if words[0].endswith("-store") else words[1]


def memory(ns):
    """Of all processes of a namespace, also of devices, by the subcommand: proportional KiB."""
    found = {}
    pids = subprocess.run(["ip", "netns", "pids", ns], stdout=subprocess.PIPE, text=True, check=True).stdout
    for pid in pids.split():
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        what = subcommand(pid)
        found[what] = found.get(what, 0) + next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found


def anonymous(pid):
    """What a process has that is of no file, its heap first of all: bytes."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) * 1024


class Server:
    """One program, its folders and its network."""

    def __init__(self, name, program, gates, arguments, where=None, join=None):
        """where: a folder for what it keeps in /var/lib, on the file system that is to be measured. join: is called with
        the server's namespace before it starts, to give it more of a network."""
        self.name = name
        # Not on a disk, where the log would wait for what others have written there.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vprox-bench-", dir="/dev/shm"))
        self.kept = pathlib.Path(tempfile.mkdtemp(prefix="vprox-bench-", dir=where))
        self.server_ns, self.client_ns = f"hs-{name}-server", f"hs-{name}-clients"
        for ns in (self.server_ns, self.client_ns):
            run("ip", "netns", "add", ns)
            run("ip", "-n", ns, "link", "set", "lo", "up")
        run("ip", "link", "add", "eth0", "netns", self.server_ns, "type", "veth",
            "peer", "name", "eth0", "netns", self.client_ns)
        for ns, address in ((self.server_ns, ADDRESS), (self.client_ns, NEIGHBOUR)):
            run("ip", "-n", ns, "address", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", ns, "link", "set", "eth0", "up")
        run("ip", "-n", self.server_ns, "route", "add", "default", "via", NEIGHBOUR)
        run("ip", "-n", self.client_ns, "route", "add", "local", SOURCES, "dev", "lo")
        if join:
            join(self.server_ns)
        self.log = open(self.folder / "log", "w+")
        self.start(program, gates, arguments)

    def start(self, program, gates, arguments):
        (self.folder / "run").mkdir()
        mount = f"mount --bind {self.folder}/run /run && mount --bind {self.kept} /var/lib"
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.server_ns, "unshare", "-m", "sh", "-c",
             f'{mount} && exec "$@"', "sh", program, "server", "--ip", ADDRESS, "--wg-block", "10.100.0.0/16",
             "--plane=embedded", f"--gates={gates}", *arguments],
            env={**os.environ, "VPROX_PASSWORD": PASSWORD}, stderr=self.log)
        end = time.monotonic() + 30
        while "ready" not in (self.folder / "log").read_text():
            assert time.monotonic() < end and self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def processes(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [str(self.process.pid), *children]

    def processor_s(self):
        """That all of them have taken."""
        return sum(int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in self.processes()) / 1e9

    def run_storm(self, program, *words, seconds=None):
        """Returns what it prints; an error if that takes longer than so many seconds."""
        return run("ip", "netns", "exec", self.client_ns, program, "--server", ADDRESS, "--password", PASSWORD,
                   *map(str, words), read=True, seconds=seconds)

    def storm(self, program, count, threads, path="/healthz", *more):
        """Returns the storm's figures, and the time of a processor for each request in ms: time."""
        before = self.processor_s()
        said = self.run_storm(program, "--path", path, "--count", count, "--threads", threads, *more)
        figures = {line.split("\t")[0]: float(line.split("\t")[1]) for line in said.splitlines()}
        return {**figures, "time": (self.processor_s() - before) / count * 1000}

    def memory(self):
        return memory(self.server_ns)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.folder)
        shutil.rmtree(self.kept)
        for ns in (self.server_ns, self.client_ns):
            run("ip", "netns", "delete", ns)


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("before", help="a program")
    parser.add_argument("after", help="another one")
    parser.add_argument("--storm", default="build/bench/storm")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--count", type=int, default=1000, help="handshakes a turn")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--gates", type=int, default=os.cpu_count())
    parser.add_argument("arguments", nargs="*", help="more for both servers, after --")
    options = parser.parse_args()
    if options.quick:
        options.turns, options.count = 1, options.threads
    servers = []
    try:
        for name in ("before", "after"):
            servers.append(Server(name, getattr(options, name), options.gates, options.arguments))
        figures = {server: [] for server in servers}
        for turn in range(options.turns + 1):
            for server in servers if turn % 2 else reversed(servers):
                figure = server.storm(options.storm, options.count, options.threads)
                if turn > 0:
                    figures[server].append((figure["rate"], figure["time"]))
        for server in servers:
            rate, time_ms = (statistics.median(column) for column in zip(*figures[server]))
            print(f"{server.name}: {rate:.0f} handshakes a second, {time_ms:.3f} ms of a processor each; memory:",
                  ", ".join(f"{what} {kib / 1024:.1f} MB" for what, kib in server.memory().items()))
        for column, what in enumerate(("rate", "time")):
            ratios = sorted(after[column] / before[column] for before, after in zip(*figures.values()))
            print(f"{what}, after / before: {statistics.median(ratios):.3f} (from {ratios[0]:.3f} to {ratios[-1]:.3f})")
    finally:
        for server in servers:
            server.close()


if __name__ == "__main__":
    main()
