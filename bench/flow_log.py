"""Measures what the flow log costs, and whether it loses any: run it as root. Entries of clients are made in a namespace's
connection tracking by netlink and deleted every 50 ms, at a rate of so many a second; what the process of the log takes for them
is counted, and what the kernel takes for accounting and for telling of them: the time of who makes and deletes entries, with a
flow log and without, in turns. Prints the median of some rounds, and what was lost at each rate."""

import json
import os
import pathlib
import resource
import shlex
import socket
import statistics
import struct
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "bench"), str(REPOSITORY / "tests")]

from lib import conntrack  # noqa: E402
from lib.netns import enter  # noqa: E402
from lib.process import children, command_line  # noqa: E402
from reboot import Host, wait_for  # noqa: E402
from shared.options import bench_parser  # noqa: E402
from shared.place import ADDRESS  # noqa: E402

FAR = "198.51.100.80"
INNER = "10.100.0.2"
PIECE = 0.05  # seconds
BATCH = 100  # entries a datagram
NLM_F_ACK = 4
NAMES = ("nf_conntrack_acct", "nf_conntrack_timestamp", "nf_conntrack_events")
US = 1e6


class Side:
    """A server in a namespace, with a flow log or without."""

    def __init__(self, options, name, has_log):
        self.host = Host(options, f"flows-{os.getpid()}-{name}")
        self.path = self.host.folder / "flows.jsonl"
        self.run(f"ip address add {ADDRESS}/32 dev lo")
        self.host.start("--ip", ADDRESS, "--store=none", *([f"--flow-log={self.path}"] if has_log else []))
        self.host.wait_ready()
        if not has_log:
            self.run("sysctl -qw " + " ".join(f"net.netfilter.{each}=0" for each in NAMES))

    def run(self, command):
        return subprocess.run(["ip", "netns", "exec", self.host.ns, *shlex.split(command)], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    def process(self):
        for pid in children(self.host.server.pid):
            if command_line(pid)[1:2] == [b"flows"]:
                return pid
        return None

    def told(self):
        mount = f"mount --bind {self.host.folder}/run /run"
        return json.loads(self.run(f"unshare -m sh -c '{mount} && {self.host.options.vprox} show --json'"))["flow_log"]

    def close(self):
        self.host.close()


def processor_time(pid):
    """Seconds, of a process, by the nanosecond: /proc/PID/schedstat."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def used():
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_THREAD, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in (own, others))


def batches(numbers):
    """Datagrams that make entries of these numbers, without an answer to each."""
    made = [bytearray(conntrack.entry(number, INNER, FAR, ADDRESS)) for number in numbers]
    for each in made:
        struct.pack_into("=H", each, 6, struct.unpack_from("=H", each, 6)[0] & ~NLM_F_ACK)
    return [b"".join(made[start:start + BATCH]) for start in range(0, len(made), BATCH)]


def flow(side, rate, seconds):
    """Makes and ends so many flows; the seconds of processor time of that, and how many there were."""
    each, pieces = int(rate * PIECE), int(seconds / PIECE)
    datagrams = batches(range(each))
    with enter(side.host.ns, socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, conntrack.NETLINK_NETFILTER) as sock:
        sock.bind((0, 0))
        before, began = used(), time.monotonic()
        for piece in range(pieces):
            for datagram in datagrams:
                sock.send(datagram)
            side.run("conntrack -F")
            time.sleep(max(0, began + (piece + 1) * PIECE - time.monotonic()))
        return used() - before, pieces * each, time.monotonic() - began


def settle(side, n):
    wait_for(lambda: side.told()["flows"] + side.told()["lost"]["rate"] >= n, "all are told of")
    return side.told()


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--vprox", default=str(REPOSITORY / "build/vprox"))
    parser.add_argument("--plane", default="embedded")
    parser.add_argument("--rates", default="5000,20000")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tsv", help="write the figures there too")
    options = parser.parse_args()
    if options.quick:
        options.rates, options.seconds, options.rounds = "1000", 1, 1
    options.vprox = str(pathlib.Path(options.vprox).resolve())
    plain, logging = Side(options, "off", False), Side(options, "on", True)
    lines, total = [], 0
    try:
        for rate in map(int, options.rates.split(",")):
            kernel, process, reached = [], [], []
            lost = logging.told()["lost"]["rate"]
            for _ in range(options.rounds):
                without, n, _ = flow(plain, rate, options.seconds)
                before = processor_time(logging.process())
                with_log, n, took = flow(logging, rate, options.seconds)
                total += n
                settle(logging, total)
                process.append((processor_time(logging.process()) - before) / n)
                kernel.append((with_log - without) / n)
                reached.append(n / took)
            lost = logging.told()["lost"]["rate"] - lost
            kernel_us, process_us = (US * statistics.median(each) for each in (kernel, process))
            share = (kernel_us + process_us) * rate / US
            print(f"{rate} flows/s ({statistics.median(reached):.0f} reached): the kernel {kernel_us:.2f} us a flow, the "
                  f"process {process_us:.2f} us: {share:.0%} of a core; {lost} of {n * options.rounds} lost")
            lines += [f"flow_log.{rate}.kernel\t{kernel_us:.2f}\tus\n", f"flow_log.{rate}.process\t{process_us:.2f}\tus\n",
                      f"flow_log.{rate}.lost\t{lost}\tflows\n"]
        size = logging.path.stat().st_size / max(1, logging.told()["flows"])
        print(f"a line has {size:.0f} bytes")
        if options.tsv:
            pathlib.Path(options.tsv).write_text("".join(lines))
    finally:
        plain.close()
        logging.close()


if __name__ == "__main__":
    main()
