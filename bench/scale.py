"""Measures whether a server with many peers keeps requests waiting: run it as root. A server with 100 peers and one with
--peers run at the same time, each in a namespace of its own, half of the peers of each kind. They are asked in turns, --rate
requests a second by clients that have their tunnels already, so that what disturbs the machine disturbs both alike; meanwhile
they look at their peers as they always do, and once a turn somebody reads the report that `vprox show` reads. A request's
time begins when it was to be sent, so that one that waits is not left out of those behind it.

It takes twice --seconds, and what making the peers takes; who has not answered all within three times that is given up, and
the figures are of those that have; so it is where timeout(1) ends it. With --plane=kernel it is for a guest (bench/run), whose processor is emulated: there
--rate is for what that can do."""

import os
import pathlib
import signal
import socket
import statistics
import struct
import threading
import time

from handshakes import Server, anonymous
from shared.options import bench_parser

FIRST_SOURCE = "198.18.0.1"
FEW = 100
AT_A_TIME = 16
THREADS = 4  # of the clients: one that waits does not keep the next one from asking
TURN_S = 5
PATHS = ("/connect", "/connect-ipip")
FILL_S = 600  # at the most, for the peers of one kind
SAID_S = 60  # between two words about how far it is


class Scaled:
    """A server and so many peers; the times of its requests in ms, in order."""

    def __init__(self, options, peers):
        self.storm, self.n, self.times = f"{options.build}/bench/storm", peers // 2, []
        self.reports = []  # how long each took, s, and its bytes
        self.server = Server(f"scale{peers}-{os.getpid()}", f"{options.build}/vprox", options.gates,
                             ["--store=none", f"--plane={options.plane}", "--idle-timeout=1h", "--connect-grace=1h",
                              f"--reap-interval={options.look}"])

    def fill(self):
        for path in PATHS:
            self.ask(path, self.n, "--threads", AT_A_TIME, seconds=FILL_S)

    def ask(self, path, count, *more, seconds):
        """The times of all of them."""
        key = ("--first-key", 0) if path == "/connect" else ()
        said = self.server.run_storm(self.storm, "--path", path, "--method", "POST", "--first-source", FIRST_SOURCE, "--each",
                                     "--clients", self.n, "--count", count, *key, *more, seconds=seconds)
        return [float(line.split("\t")[1]) for line in said.splitlines() if line.startswith("each\t")]

    def read_report(self):
        """As `vprox show` does, without what it makes of it."""
        began, size = time.monotonic(), 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(str(pathlib.Path(self.server.folder) / "run/vprox/control.sock"))
            sock.sendall(struct.pack("=II", 0, 0))
            while part := sock.recv(1 << 18):
                size += len(part)
        self.reports.append((time.monotonic() - began, size))

    def turn(self, rate):
        reader = threading.Timer(1, self.read_report)
        reader.start()
        for path in PATHS:
            self.times += self.ask(path, TURN_S * rate // 2, "--threads", THREADS, "--pace", rate,
                                   seconds=FILL_S)
        reader.join()

    def memory(self):
        """Of the broker, bytes."""
        return anonymous(self.server.process.pid)

    def figures(self):
        times = sorted(self.times)
        return {name: times[min(len(times) - 1, int(len(times) * part))]
                for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1))}


class Ended(Exception):
    """By a signal."""


def end(*_):
    raise Ended


def take_turns(servers, options):
    try:
        take_all_turns(servers, options)
    except Ended:
        print("ended by a signal: the figures are of what there is")


def take_all_turns(servers, options):
    began = said = time.monotonic()
    turns = max(1, options.seconds // TURN_S)
    for turn in range(turns):
        for scaled in servers if turn % 2 else servers[::-1]:
            scaled.turn(options.rate)
        now = time.monotonic()
        if now - said >= SAID_S:
            said = now
            print(f"{turn + 1} of {turns} turns; longest so far:",
                  "  ".join(f"{2 * scaled.n} peers {max(scaled.times):.1f} ms" for scaled in servers))
        if now - began > 3 * max(2 * options.seconds, SAID_S):
            print(f"it takes too long, given up after {turn + 1} of {turns} turns")
            break


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--peers", type=int, default=50000)
    parser.add_argument("--seconds", type=int, default=600, help="of requests to each of the two (%(default)s)")
    parser.add_argument("--rate", type=int, default=100, help="requests a second (%(default)s)")
    parser.add_argument("--gates", type=int, default=2)
    parser.add_argument("--plane", default="embedded", choices=("embedded", "kernel"))
    parser.add_argument("--look", default="5s", help="--reap-interval of both (%(default)s)")
    parser.add_argument("--tsv")
    options = parser.parse_args()
    if options.quick:
        options.peers, options.seconds = 2 * FEW, TURN_S
    servers = []
    signal.signal(signal.SIGTERM, end)
    try:
        for peers in (FEW, options.peers):
            servers.append(Scaled(options, peers))
            servers[-1].fill()
        take_turns(servers, options)
        figures = [scaled.figures() for scaled in servers]
        for scaled, found in zip(servers, figures):
            took, size = (statistics.median(column) for column in zip(*scaled.reports))
            print(f"{2 * scaled.n:>6} peers, {len(scaled.times)} requests:",
                  "  ".join(f"{name} {value:.2f} ms" for name, value in found.items()),
                  f"  a report of {size / 1e6:.2f} MB is read in {took * 1000:.0f} ms")
        print("ratios:", "  ".join(f"{name} {figures[1][name] / figures[0][name]:.2f}" for name in figures[0]),
              " (p99.9 to reach: 3)")
        few, many = servers
        a_peer = (many.memory() - few.memory()) / max(1, 2 * (many.n - few.n))
        print(f"memory of a peer in the broker: {a_peer:.0f} bytes (to reach: 300)")
        if options.tsv:
            pathlib.Path(options.tsv).parent.mkdir(parents=True, exist_ok=True)
            pathlib.Path(options.tsv).write_text("".join(
                f"scale.{2 * scaled.n}.{name}\t{value:.3f}\tms\n"
                for scaled, found in zip(servers, figures) for name, value in found.items()) +
                f"scale.{2 * many.n}.memory_of_a_peer\t{a_peer:.0f}\tbytes\n")
    finally:
        for scaled in servers:
            scaled.server.close()


if __name__ == "__main__":
    main()
