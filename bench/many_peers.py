#!/usr/bin/python3
"""Measures a device with many peers at once: 200 WireGuard clients with a TCP stream each, against one of them with one
stream, in turns. Only the server's end is a device, and its processor time is what is counted; the clients
are one process (bench/many_clients.c), each with a key, a port and a session of its own. Prints Gbit/s, the device's
seconds of a processor a GB, how evenly the streams shared (Jain's index: 1 is evenly, 1/n is one for itself), the least
stream's part of an even share, how much lies in one super-packet, how often a sender saw that packets had come in another
order, and how many had to be sent again. As root: `/usr/bin/python3 bench/many_peers.py`."""

import collections
import json
import os
import pathlib
import selectors
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests/device")]

import net  # noqa: E402
from shared.options import bench_parser  # noqa: E402

PORT = 7300
STREAMS_PORT = 9300
FIRST_INNER = (10 << 24) + (50 << 16) + 1  # as in many_clients.c
SERVER = "10.50.255.254"
BLOCK = "10.50.0.0/16"
GSO_MAX = 62000  # so that a super-packet is sealed into one send, as the device sets it for itself
PIECE = 1 << 18
KEY_SECONDS = 120  # REKEY_AFTER_TIME
STALL_SECONDS = 60
SETTLE_SECONDS = 0.5  # before it counts
# Of struct tcp_info (linux/tcp.h): name, offset.
TOTAL_RETRANS = ("I", 100)
DATA_SEGS_OUT = ("I", 156)
REORD_SEEN = ("I", 220)
UNITS = {"rate": "Gbit/s", "cpu": "s/GB", "jain": "", "least": "of an even share", "reordered": "times",
         "batch": "kB a super-packet", "resent": "of 1000 packets"}


def address(i):
    value = FIRST_INNER + i
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def tcp_info(sock, field):
    """A counter of the kernel's; 0 if this kernel has it not."""
    form, offset = field
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from(form, raw, offset)[0] if len(raw) >= offset + 4 else 0


class Server:
    """A device with n peers, and the clients' process. kind: as net.Device has it."""

    def __init__(self, network, kind, n, build):
        self.n, self.network = n, network
        self.device = net.Device(network, "b", "dpm0", kind, log_level="info")
        keys = [net.make_keys() for _ in range(n)]
        own = pathlib.Path(self.device.folder, "key")
        own.touch(0o600)
        own.write_text(self.device.private_key, encoding="ascii")
        self.device.set("private-key", own, "listen-port", PORT)
        for i, (_, public) in enumerate(keys):
            self.device.set("peer", public, "allowed-ips", f"{address(i)}/32")
        self.device.address(f"{SERVER}/16")
        self.clients = self.start_clients("dpc0", [private for private, _ in keys], build)

    def start_clients(self, tun, keys, build):
        """The process; when this returns all clients have a session."""
        process = self.network["a"].popen(
            [build / "bench/many_clients", tun, net.OUTER["b"][0], PORT, self.device.public_key],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with process.stdin as pipe:
            pipe.write("".join(f"{key}\n" for key in keys))
        said = process.stdout.readline()
        assert said == "ready\n", said
        self.network["a"].ip(*(f"addr add {address(i)}/32 dev {tun}" for i in range(self.n)),
                             f"link set {tun} gso_max_size {GSO_MAX} up", f"route replace {BLOCK} dev {tun}")
        return process

    def cpu_seconds(self):
        with open(f"/proc/{self.device.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def traffic(self, back):
        """Bytes and super-packets that its socket has received, or sent: each crosses the veth as one."""
        found = json.loads(self.network["b"].run("ip", "-j", "-s", "link", "show", self.network.veth["b"]))
        side = found[0]["stats64"]["tx" if back else "rx"]
        return side["bytes"], side["packets"]

    def connect(self, n):
        """A stream of each of n clients: their ends, and the server's."""
        with self.network["b"].socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((SERVER, STREAMS_PORT))
            listener.listen(n)
            pairs = []
            for i in range(n):
                client = self.network["a"].socket()
                client.settimeout(30)
                client.bind((address(i), 0))
                client.connect((SERVER, STREAMS_PORT))
                server, peer = listener.accept()
                assert peer[0] == address(i), peer
                pairs.append((client, server))
        return pairs

    def close(self):
        self.clients.kill()
        self.clients.wait()
        self.clients.stdout.close()
        self.device.close()


def send_all_the_time(socks):
    """In a process of its own, until it is killed."""
    selector = selectors.EpollSelector()
    for sock in socks:
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_WRITE)
    data = bytes(PIECE)
    while True:
        for key, _ in selector.select():
            try:
                key.fileobj.send(data)
            except BlockingIOError:
                pass


def receive_for(socks, seconds):
    """The bytes that each has had; for longer if there were none at all, as on a machine that stood still."""
    selector = selectors.EpollSelector()
    for i, sock in enumerate(socks):
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, i)
    buffer, had = bytearray(PIECE), [0] * len(socks)
    end = time.monotonic() + seconds
    while time.monotonic() < (end if any(had) else end + STALL_SECONDS):
        for key, _ in selector.select(0.1):
            try:
                had[key.data] += key.fileobj.recv_into(buffer, 0, socket.MSG_TRUNC)
            except BlockingIOError:
                pass
    return had


def start_sender(socks):
    pid = os.fork()
    if pid == 0:
        try:
            send_all_the_time(socks)
        finally:
            os._exit(1)
    return pid


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def all_of(socks, field):
    return sum(tcp_info(sock, field) for sock in socks)


def judge(had, took, cpu):
    total = sum(had)
    return {"rate": total * 8 / took / 1e9, "cpu": cpu / (total / 1e9),
            "jain": total ** 2 / (len(had) * sum(each ** 2 for each in had)), "least": min(had) * len(had) / total}


def measure(server, n, back, seconds):
    """Streams of n clients, all one way; back: towards the clients."""
    pairs = server.connect(n)
    senders, receivers = ([pair[side] for pair in pairs] for side in ((1, 0) if back else (0, 1)))
    sender = start_sender(senders)
    try:
        receive_for(receivers, SETTLE_SECONDS)
        before, cpu, began = server.traffic(back), server.cpu_seconds(), time.monotonic()
        had = receive_for(receivers, seconds)
        took, cpu = time.monotonic() - began, server.cpu_seconds() - cpu
        figures = judge(had, took, cpu)
        octets, packets = (now - then for now, then in zip(server.traffic(back), before))
        figures["batch"] = octets / packets / 1000
        figures["reordered"] = all_of(senders, REORD_SEEN)
        figures["resent"] = all_of(senders, TOTAL_RETRANS) * 1000 / all_of(senders, DATA_SEGS_OUT)
        return figures
    finally:
        end(sender)
        for sock in (sock for pair in pairs for sock in pair):
            sock.close()


def print_all(found, levels, tsv):
    """found: (name, way, clients, figure) to values."""
    lines = []
    for (name, way, n, figure), values in found.items():
        clients = f"{n} client{'s' if n > 1 else ''}"
        lines.append((f"{name} {way}, {clients}, {figure}", statistics.median(values), UNITS[figure]))
    for name, way in dict.fromkeys(key[:2] for key in found):
        for figure in ("rate", "cpu"):
            few, many = (statistics.median(found[name, way, n, figure]) for n in levels)
            lines.append((f"{name} {way}, {levels[1]} clients of one, {figure}", many / few, "x"))
    for text, value, unit in lines:
        print(f"{text:48}{value:10.3f} {unit}")
    if tsv:
        pathlib.Path(tsv).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(tsv).write_text("".join(f"{text}\t{value:.4f}\t{unit}\n" for text, value, unit in lines))


def measure_kind(network, name, kind, levels, options, found):
    server = Server(network, kind, max(levels), options.build)
    try:
        for _ in range(options.rounds):
            for way in ("out", "back"):
                for n in levels:
                    for figure, value in measure(server, n, way == "back", options.seconds).items():
                        found[name, way, n, figure].append(value)
    finally:
        server.close()


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=REPOSITORY / "build")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--wireguard-go", metavar="PATH", default=shutil.which("wireguard-go"),
                        help="one to compare with (Debian's)")
    parser.add_argument("--tsv", help="write the figures there too")
    options = parser.parse_args()
    if options.quick:
        options.clients, options.rounds, options.seconds, options.wireguard_go = 12, 1, 1, None
    if options.rounds * 4 * (options.seconds + SETTLE_SECONDS) > KEY_SECONDS:
        parser.error(f"the clients keep their keys, which are good for {KEY_SECONDS} s")
    options.build = options.build.resolve()
    levels, found = (1, options.clients), collections.defaultdict(list)
    network = net.Network()
    try:
        measure_kind(network, "device", "vprox", levels, options, found)
        if options.wireguard_go:
            measure_kind(network, "wireguard-go", options.wireguard_go, levels, options, found)
        print_all(found, levels, options.tsv)
    finally:
        network.close()


if __name__ == "__main__":
    main()
