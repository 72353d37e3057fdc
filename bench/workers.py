"""Measures what a second worker brings: two peers send to one device, which stands still until all of it waits in its
sockets, and then opens it. So the senders take nothing from the two processors while the time is measured, which they
would share with a device that receives at the same time. In turns with one worker and with two; as root."""

import os
import signal
import socket
import statistics
import sys
import time

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests")
sys.path[:0] = [TESTS, os.path.join(TESTS, "device")]

import net  # noqa: E402
from lib.wait import until  # noqa: E402
from shared.options import bench_parser  # noqa: E402

UDP_SEGMENT = 103  # linux/udp.h
PAYLOAD, PACKETS = 1392, 43  # of a packet of 1420 bytes; what the interface takes as one super-packet
BURSTS = 70  # of each peer: what one socket's buffer holds of both
QUICK_BURSTS = 20  # and what an interface's queue holds as single packets, where the kernel has no super-packets of UDP
PORT, END_PORT = 7100, 9
WAIT = 5  # seconds


class Setup:
    """A device with so many workers at b, and its two peers at a."""

    def __init__(self, network, workers, octet, bursts):
        self.network, self.bursts = network, bursts
        self.device = net.Device(network, "b", f"dp{octet}", flags=["--workers", str(workers)], log_level="info")
        self.peers = [net.Device(network, "a", f"dp{octet}{i}", log_level="info") for i in range(2)]
        self.inner = [f"10.{octet}.{i}" for i in range(2)]
        self.set_key(self.device, PORT + octet)
        self.device.address(*(f"{inner}.2/24" for inner in self.inner))
        for i, peer in enumerate(self.peers):
            self.join(peer, self.inner[i], PORT + octet)

    @staticmethod
    def set_key(device, port):
        key = os.path.join(device.folder, "key")
        with open(key, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(device.private_key)
        device.set("private-key", key, "listen-port", port)

    def join(self, peer, inner, port):
        self.set_key(peer, 0)
        peer.set("peer", self.device.public_key, "endpoint", f"{net.OUTER['b'][0]}:{port}", "allowed-ips",
                 f"{inner}.0/24")
        self.device.set("peer", peer.public_key, "allowed-ips", f"{inner}.1/32")
        peer.address(f"{inner}.1/24")
        net.ping(self.network["a"], f"{inner}.2")

    def thread_times(self):
        """Of the workers, which are named by nothing: of all threads, in ticks."""
        folder = f"/proc/{self.device.process.pid}/task"
        times = {}
        for thread in os.listdir(folder):
            with open(f"{folder}/{thread}/schedstat", encoding="utf-8") as file:
                times[thread] = int(file.read().split()[0])
        return times

    def received(self):
        values = self.device.uapi("get=1\n\n")
        return sum(int(line.split("=")[1]) for line in values.split("\n") if line.startswith("rx_bytes="))

    def uses_workers(self, n):
        """Whether both peers' packets are dealt with by so many threads."""
        before = self.thread_times()
        self.fill_and_drain()
        took = sorted((t - before[thread] for thread, t in self.thread_times().items()), reverse=True)
        return n == 1 or took[1] > took[0] / 2

    def spread(self, n):
        """Gives the second peer another port until the kernel has its packets on another worker's socket."""
        for port in range(7200, 7232):
            if self.uses_workers(n):
                return
            self.peers[1].set("listen-port", port)
            net.ping(self.network["a"], f"{self.inner[1]}.2")
        raise AssertionError("all packets go to one worker")

    def send(self, i):
        """What the device opens, and then has the kernel throw away: there is no such address. The last packet is for
        us."""
        with self.network["a"].socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            segments = [(socket.SOL_UDP, UDP_SEGMENT, PAYLOAD.to_bytes(2, sys.byteorder))]
            for _ in range(self.bursts):
                sender.sendmsg([bytes(PAYLOAD * PACKETS)], segments, 0, (f"{self.inner[i]}.99", END_PORT))
            sender.sendto(b"end", (f"{self.inner[i]}.2", END_PORT))

    def fill(self):
        before = [peer.values("get=1\n\n")["tx_bytes"] for peer in self.peers]
        wanted = self.bursts * PACKETS * PAYLOAD
        for i in range(2):
            self.send(i)
        until(lambda: all(int(peer.values("get=1\n\n")["tx_bytes"]) - int(n) >= wanted
                          for peer, n in zip(self.peers, before)), WAIT, what="all of it sent")

    def fill_and_drain(self):
        """Returns bytes a second, of the outer packets without their headers."""
        before = self.received()
        with self.network["b"].socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.settimeout(WAIT)
            end.bind(("0.0.0.0", END_PORT))
            os.kill(self.device.process.pid, signal.SIGSTOP)
            try:
                self.fill()
            finally:
                began = time.monotonic()
                os.kill(self.device.process.pid, signal.SIGCONT)
            for _ in range(2):
                end.recv(16)
            took = time.monotonic() - began
        return (self.received() - before) / took


def measure(setups, rounds):
    """Of each number of workers: MB/s, of each round."""
    rates = {n: [] for n in setups}
    for _ in range(rounds):
        for n, setup in setups.items():
            rates[n].append(setup.fill_and_drain() / 1e6)
    return rates


def report(rates, tsv):
    lines = [f"{n} worker{'s' if n > 1 else ''}\t{statistics.median(values):.1f}\tMB/s" for n, values in rates.items()]
    ratios = sorted(two / one for one, two in zip(rates[1], rates[2]))
    lines.append(f"2 workers / 1 worker\t{statistics.median(ratios):.3f}\tx")
    for line in lines:
        print("{:24}{:>10} {}".format(*line.split("\t")))
    print(f"half of all rounds from {ratios[len(ratios) // 4]:.2f} to {ratios[-1 - len(ratios) // 4]:.2f}")
    os.makedirs(os.path.dirname(tsv), exist_ok=True)
    with open(tsv, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--tsv", default=os.path.join(net.ROOT, "build", "bench", "workers.tsv"))
    options = parser.parse_args()
    network = net.Network()
    try:
        bursts = QUICK_BURSTS if options.quick else BURSTS
        setups = {n: Setup(network, n, 40 + n, bursts) for n in (1, 2)}
        for n, setup in setups.items():
            setup.spread(n)
        report(measure(setups, 3 if options.quick else options.rounds), options.tsv)
    finally:
        network.close()


main()
