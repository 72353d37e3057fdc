"""Measures the embedded device against the bare veth and wireguard-go, in two network namespaces on
this machine: a table for people, and the same figures as tab-separated values. As root.

All of it in one run, in rounds, and the median of the rounds is what counts: on a machine that others
use too, only the ratios mean anything."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests")
sys.path[:0] = [TESTS, os.path.join(TESTS, "device")]

import net  # noqa: E402
from shared.options import bench_parser  # noqa: E402

WAYS = ["veth", "wireguard-go", "other-go", "device", "device-ipip", "device-ipip-raw"]
UDP_SIZE = 100  # bytes of payload
IDLE_PEERS = 10000


class Way:
    """One way from a to b: the address to send to, and the processes that carry it."""

    def __init__(self, name, target, back, devices=()):
        self.name, self.target, self.back, self.devices = name, target, back, devices
        self.figures = {}

    def note(self, figure, value, unit):
        self.figures.setdefault((figure, unit), []).append(value)

    def cpu_seconds(self):
        ticks = 0
        for device in self.devices:
            with open(f"/proc/{device.process.pid}/stat", encoding="utf-8") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident(self):
        return max((int(d.status("VmRSS").split()[0]) for d in self.devices), default=0) / 1024


def own_addresses(devices, octet):
    """Both ends get inner addresses of their own, beside those of other devices."""
    for device in devices:
        n = 1 if device.side == "a" else 2
        device.address(f"10.{octet}.0.{n}/24")
    return f"10.{octet}.0.2", f"10.{octet}.0.1"


def wireguard(network, kind, octet, port):
    a = net.Device(network, "a", f"dp{octet}a", kind, log_level="info")
    b = net.Device(network, "b", f"dp{octet}b", kind, log_level="info")
    for me, other in ((a, b), (b, a)):
        key = os.path.join(me.folder, "key")
        with open(key, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(me.private_key)
        me.set("private-key", key, "listen-port", port, "peer", other.public_key, "endpoint",
               f"{net.OUTER[other.side][0]}:{port}", "allowed-ips", f"10.{octet}.0.0/24")
    name = {"go": "wireguard-go", "vprox": "device"}.get(kind, "other-go")
    return Way(name, *own_addresses((a, b), octet), (a, b))


def ipip(network, name, octet, flags, address):
    """IPIP of each kind has outer addresses of its own: a raw socket sees all that is for its."""
    outer = {"a": f"10.9.{address}.1", "b": f"10.9.{address}.2"}
    for side in "ab":
        network[side].ip(f"addr add {outer[side]}/24 dev {network.veth[side]}")
    a = net.Device(network, "a", f"dp{octet}a", flags=flags, log_level="info")
    b = net.Device(network, "b", f"dp{octet}b", flags=flags, log_level="info")
    target, back = own_addresses((a, b), octet)
    for me, other, inner in ((a, b, target), (b, a, back)):
        answer = me.values(f"set=1\nipip_local={outer[me.side]}\nipip_peer={outer[other.side]}\n"
                           f"ipip_inner={inner}\n\n")
        assert answer["errno"] == "0", answer
    return Way(name, target, back, (a, b))


def iperf(network, way, seconds, *flags):
    result = network["a"].try_run("iperf3", "-c", way.target, "-t", seconds, "-J",
                                  "--connect-timeout", 5000, *flags, timeout=seconds + 60,
                                  stderr=subprocess.DEVNULL)
    try:
        return json.loads(result.stdout)["end"]
    except (json.JSONDecodeError, KeyError):
        return None


def measure_tcp(network, way, seconds):
    for streams in (1, 8):
        for direction, flags in (("out", ()), ("back", ("-R",))):
            cpu = way.cpu_seconds()
            end = iperf(network, way, seconds, "-P", streams, *flags)
            if not end or "sum_received" not in end:
                continue
            way.note(f"tcp{streams} {direction}", end["sum_received"]["bits_per_second"] / 1e9,
                     "Gbit/s")
            gigabytes = end["sum_received"]["bytes"] / 1e9
            if way.devices and streams == 1 and direction == "out" and gigabytes > 0:
                way.note("cpu", (way.cpu_seconds() - cpu) / gigabytes, "s/GB")


def measure_udp(network, way, seconds):
    for direction, flags in (("out", ()), ("back", ("-R",))):
        end = iperf(network, way, seconds, "-u", "-b", 0, "-l", UDP_SIZE, *flags)
        if end and "sum" in end:
            total = end["sum"]
            arrived = (total["packets"] - total["lost_packets"]) / total["seconds"]
            way.note(f"udp {direction}", max(0, arrived) / 1e3, "kpackets/s")


def measure_rtt(network, way):
    output = network["a"].try_run("ping", "-n", "-c", 400, "-i", "0.005", "-W", 1,
                                  way.target).stdout
    times = sorted(float(line.split("time=")[1].split()[0]) * 1000
                   for line in output.splitlines() if "time=" in line)
    if times:
        way.note("rtt p50", times[len(times) // 2], "us")
        way.note("rtt p99", times[len(times) * 99 // 100], "us")


def measure_idle_peers(network):
    """Bytes that each of many peers takes that has never been heard of."""
    device = net.Device(network, "a", "dp99", log_level="info")

    def resident_with(first, end):
        request = "set=1\n" + "".join(
            f"public_key={i + 1:064x}\nallowed_ip=10.{i >> 8 & 255}.{i & 255}.0/32\n"
            for i in range(first, end))
        assert device.values(request + "\n")["errno"] == "0"
        return int(device.status("VmRSS").split()[0]) * 1024

    # the first few also bring in the code that makes them, and the memory for a request
    step = 1000
    before = resident_with(0, step)
    for first in range(step, step + IDLE_PEERS, step):
        after = resident_with(first, first + step)
    device.close()
    return (after - before) / IDLE_PEERS


def median(way, figure):
    for (name, unit), values in way.figures.items():
        if name == figure:
            return statistics.median(values), unit
    return None, ""


def compare(ways):
    """What the issue asks for: ratios within this run."""
    by_name = {way.name: way for way in ways}
    rows = []

    def ratio(text, a, b, figure, unit="x"):
        if a in by_name and b in by_name:
            x, _ = median(by_name[a], figure)
            y, _ = median(by_name[b], figure)
            if x and y:
                rows.append((text, x / y, unit))

    ratio("device / wireguard-go, tcp1 out", "device", "wireguard-go", "tcp1 out")
    ratio("device / wireguard-go, tcp1 back", "device", "wireguard-go", "tcp1 back")
    ratio("device / wireguard-go, tcp8 out", "device", "wireguard-go", "tcp8 out")
    for figure in ("tcp1 out", "tcp1 back", "tcp8 out", "tcp8 back"):
        ratio(f"device / other-go, {figure}", "device", "other-go", figure)
    ratio("device-ipip / veth, tcp1 out", "device-ipip", "veth", "tcp1 out")
    ratio("device-ipip / veth, tcp1 back", "device-ipip", "veth", "tcp1 back")
    for name in ("device", "device-ipip"):
        for figure in ("rtt p50", "rtt p99"):
            if name in by_name:
                x, y = median(by_name[name], figure)[0], median(by_name["veth"], figure)[0]
                if x and y:
                    rows.append((f"{name} adds to veth, {figure}", x - y, "us"))
    return rows


def report(ways, idle, tsv):
    figures = []
    for way in ways:
        figures += [key for key in way.figures if key not in figures]
    lines = []
    width = max(len(w.name) for w in ways) + 2
    print(f"{'':20}" + "".join(f"{w.name:>{width}}" for w in ways))
    for figure, unit in figures:
        cells = ""
        for way in ways:
            value, _ = median(way, figure)
            cells += f"{'-' if value is None else f'{value:.2f}':>{width}}"
            if value is not None:
                lines.append(f"{way.name} {figure}\t{value:.4f}\t{unit}")
        print(f"{figure + ' ' + unit:20}{cells}")
    print()
    for text, value, unit in compare(ways):
        print(f"{text:40}{value:8.2f} {unit}")
        lines.append(f"{text}\t{value:.4f}\t{unit}")
    if idle is not None:
        print(f"{'memory of an idle peer':40}{idle:8.0f} bytes")
        lines.append(f"memory of an idle peer\t{idle:.0f}\tbytes")
    os.makedirs(os.path.dirname(tsv), exist_ok=True)
    with open(tsv, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--tsv", default=os.path.join(net.ROOT, "build", "bench", "device.tsv"))
    parser.add_argument("--wireguard-go", metavar="PATH", help="one to compare with beside Debian's: its newest")
    options = parser.parse_args()
    wanted = options.ways.split(",")
    if options.quick:
        options.rounds, options.seconds, wanted = 1, 1, ["veth", "device"]
    if "wireguard-go" in wanted and not shutil.which("wireguard-go"):
        wanted.remove("wireguard-go")
        print("no wireguard-go to compare with")
    network = net.Network()
    try:
        ways = [Way("veth", net.OUTER["b"][0], net.OUTER["a"][0])]
        if "wireguard-go" in wanted:
            ways.append(wireguard(network, "go", 21, 7021))
        if "other-go" in wanted and options.wireguard_go:
            ways.append(wireguard(network, os.path.abspath(options.wireguard_go), 25, 7025))
        if "device" in wanted:
            ways.append(wireguard(network, "vprox", 22, 7022))
        if "device-ipip" in wanted:
            ways.append(ipip(network, "device-ipip", 23, [], 123))
        if "device-ipip-raw" in wanted:
            ways.append(ipip(network, "device-ipip-raw", 24, ["--no-bpf"], 124))
        server = network["b"].popen("iperf3 -s", stdout=-3, stderr=-3)
        network.closers.append(lambda: (server.terminate(), server.wait()))
        time.sleep(0.5)
        for way in ways:
            net.ping(network["a"], way.target)
            if way.devices:
                way.note("resident", way.resident(), "MB")
        for i in range(options.rounds):
            print(f"round {i + 1} of {options.rounds}", file=sys.stderr)
            for measure in (
                    lambda w: measure_tcp(network, w, options.seconds),
                    lambda w: measure_udp(network, w, options.seconds),
                    lambda w: measure_rtt(network, w)):
                for way in ways:
                    measure(way)
        idle = measure_idle_peers(network) if "device" in wanted else None
        report(ways, idle, options.tsv)
    finally:
        network.close()


main()
