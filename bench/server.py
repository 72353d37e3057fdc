"""Measures a vprox server on the kernel's data plane: run it as root on a machine that may be disturbed (bench/run does so in
a guest), or natively with --plane=embedded. Every request has its own TCP connection, TLS handshake and, for IPIP, source address."""

import os
import pathlib
import statistics
import shutil
import subprocess
import sys
import tempfile
import time

from handshakes import subcommand
from shared.options import bench_parser
from shared.place import ADDRESS

SERVER, CLIENTS = "bench-server", "bench-clients"
SOURCES = "198.18.0.0/15"
FIRST_SOURCE = (198 << 24) + (18 << 16) + 1
PASSWORD = "bench"
LEVELS = (100, 1000)
ROUNDS = 5
SAMPLES = 30  # requests of one kind in a round
STORM_THREADS = 16
STORM_REQUESTS = 400
PROBE_NUMBER = 100000  # clients from here on come and go, those below stay


def run(*command):
    subprocess.run(command, check=True)


def ipv4(value):
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


class Bench:
    def __init__(self, options):
        self.build = pathlib.Path(options.build)
        self.tsv = open(options.tsv, "w") if options.tsv else None
        self.plane = options.plane
        self.levels, self.rounds, self.samples, self.requests = (
            ((5, 10), 1, 3, 16) if options.quick else (LEVELS, ROUNDS, SAMPLES, STORM_REQUESTS))
        self.server = None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vprox-bench-"))
        for name in ("run", "lib"):
            (self.folder / name).mkdir()

    def figure(self, name, value, unit):
        if self.tsv:
            print(name, f"{value:.3f}", unit, sep="\t", file=self.tsv, flush=True)

    def make_network(self):
        for name in (SERVER, CLIENTS):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", "bench0", "netns", SERVER, "type", "veth",
            "peer", "name", "bench1", "netns", CLIENTS)
        run("ip", "-n", SERVER, "address", "add", f"{ADDRESS}/24", "dev", "bench0")
        run("ip", "-n", CLIENTS, "address", "add", "203.0.113.2/24", "dev", "bench1")
        run("ip", "-n", SERVER, "link", "set", "bench0", "up")
        run("ip", "-n", CLIENTS, "link", "set", "bench1", "up")
        run("ip", "-n", SERVER, "route", "add", "default", "via", "203.0.113.2")
        run("ip", "-n", CLIENTS, "route", "add", "local", SOURCES, "dev", "lo")

    def start(self):
        self.log = open(self.folder / "log", "w+")
        mount = f"mount --bind {self.folder}/run /run && mount --bind {self.folder}/lib /var/lib"
        self.server = subprocess.Popen(
            ["ip", "netns", "exec", SERVER, "unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh",
             str(self.build / "vprox"), "server", "--ip", ADDRESS, f"--plane={self.plane}", "--wg-block", "10.64.0.0/10", "--idle-timeout", "1h", "--connect-grace", "1h"],
            env={**os.environ, "VPROX_PASSWORD": PASSWORD}, stderr=self.log)
        for _ in range(300):
            if self.server.poll() is not None or "ready" in pathlib.Path(self.log.name).read_text():
                break
            time.sleep(0.1)
        self.storm("/", "GET", 2)

    def storm(self, path, method, count, number=0, threads=1):
        """Sends count requests as the clients from number on; returns the figures."""
        command = ["ip", "netns", "exec", CLIENTS, str(self.build / "bench/storm"),
                   "--server", ADDRESS, "--password", PASSWORD, "--path", path, "--method", method,
                   "--count", str(count), "--threads", str(threads),
                   "--first-source", ipv4(FIRST_SOURCE + number)]
        if path in ("/connect", "/disconnect"):
            command += ["--first-key", str(number)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if result.returncode != 0:
            sys.exit(f"{path}: requests failed\n{result.stdout}"
                     f"{pathlib.Path(self.log.name).read_text()[-4000:]}")
        return {line.split("\t")[0]: float(line.split("\t")[1])
                for line in result.stdout.splitlines()}

    def fill(self, first, last):
        for path in ("/connect", "/connect-ipip"):
            self.storm(path, "POST", last - first, number=first, threads=STORM_THREADS)

    def measure_one_by_one(self, level):
        """The three requests take turns, so that what disturbs the machine disturbs them alike."""
        rounds = {"/": [], "/connect": [], "/connect-ipip": []}
        for _ in range(self.rounds):
            rounds["/"].append(self.storm("/", "GET", self.samples))
            for path, undo in (("/connect", "/disconnect"), ("/connect-ipip", "/disconnect-ipip")):
                rounds[path].append(self.storm(path, "POST", self.samples, PROBE_NUMBER))
                self.storm(undo, "POST", self.samples, PROBE_NUMBER, STORM_THREADS)
        return {path: {name: statistics.median(figures[name] for figures in all_figures)
                       for name in ("rate", "p50", "p99")} for path, all_figures in rounds.items()}

    def measure_storm(self):
        figures = {"/": self.storm("/", "GET", self.requests, threads=STORM_THREADS)}
        for path, undo in (("/connect", "/disconnect"), ("/connect-ipip", "/disconnect-ipip")):
            figures[path] = self.storm(
                path, "POST", self.requests, PROBE_NUMBER, threads=STORM_THREADS)
            self.storm(undo, "POST", self.requests, PROBE_NUMBER, threads=STORM_THREADS)
        return figures

    def memory(self, level):
        """Proportional set size: what is shared among the processes counts once."""
        total = 0
        for pid in subprocess.check_output(["ip", "netns", "pids", SERVER], text=True).split():
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kib = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            rss = next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
            command = subcommand(pid)
            name = "broker" if command == "server" else f"{command}.{pid}"
            print(f"  memory: {name.split('.')[0]:<7} {kib / 1024:6.1f} MB proportional, "
                  f"{rss / 1024:6.1f} MB resident")
            self.figure(f"memory.{level}.{name}", kib / 1024, "MB")
            total += kib
        print(f"  memory: together {total / 1024:5.1f} MB")
        self.figure(f"memory.{level}.total", total / 1024, "MB")

    def report(self, level, title, results):
        for path, figures in results.items():
            print(f"  {path:<15} {title:<12} {figures['rate']:8.1f} /s   p50 {figures['p50']:7.2f} ms"
                  f"   p99 {figures['p99']:7.2f} ms")
            for name, unit in (("rate", "per s"), ("p50", "ms"), ("p99", "ms")):
                self.figure(f"{title.replace(' ', '_')}.{level}.{path}.{name}", figures[name], unit)

    def stop(self, what, name):
        start = time.monotonic()
        self.server.terminate()
        self.server.wait(60)
        duration = time.monotonic() - start
        print(f"stopping with {what}: {duration:.2f} s")
        self.figure(f"stop.{name}", duration, "s")
        self.server = None
        links = subprocess.check_output(["ip", "-n", SERVER, "-br", "link"], text=True)
        if "vp" in links:
            sys.exit(f"interfaces are left behind:\n{links}")

    def compare(self, results):
        small, large = (results[level] for level in self.levels)
        for name, value, limit in (
                ("/connect-ipip against GET /, p50", large["/connect-ipip"]["p50"] / large["/"]["p50"], 1.5),
                (f"/connect-ipip at {self.levels[1]} against {self.levels[0]} peers, p50",
                 large["/connect-ipip"]["p50"] / small["/connect-ipip"]["p50"], 1.2)):
            print(f"{name}: {value:.2f} (to reach: {limit})")
            self.figure(name.replace(" ", "_"), value, "ratio")

    def main(self):
        results, filled = {}, 0
        self.make_network()
        self.start()
        for level in self.levels:
            self.fill(filled, level)
            filled = level
            print(f"{level} WireGuard and {level} IPIP peers:")
            results[level] = self.measure_one_by_one(level)
            self.report(level, "one by one", results[level])
            self.report(level, f"{STORM_THREADS} at a time", self.measure_storm())
            self.memory(level)
        self.compare(results)
        self.stop(f"{filled} peers of each kind (to reach: 2)", "both")
        self.start()
        self.storm("/connect-ipip", "POST", filled, threads=STORM_THREADS)
        self.stop(f"{filled} IPIP peers (to reach: 3)", "ipip")

    def clean_up(self):
        if self.server:
            self.server.kill()
        for name in (SERVER, CLIENTS):
            subprocess.run(["ip", "netns", "delete", name])
        shutil.rmtree(self.folder)


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--tsv")
    parser.add_argument("--plane", default="kernel", choices=("embedded", "kernel"))
    options = parser.parse_args()
    bench = Bench(options)
    try:
        bench.main()
    finally:
        bench.clean_up()


if __name__ == "__main__":
    main()
