"""How long after a reboot of the server all its clients have their tunnels again: run it as root. The server, its store full of
clients, and all clients (bench/clients.c: one process that has all their keys) are in two namespaces joined by a veth. What is
counted begins when the device is there, that is with the endpoint's opening, and ends when each client's ping through its tunnel
was answered. One in ten clients was active last. Prints the median of some rounds."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time

from shared.options import bench_parser
from shared.place import ADDRESS, NEIGHBOUR, PASSWORD

WIREGUARD, IPIP, INNER = "10.64.", "10.96.", "10.100."  # as bench/clients.c has them
LOCAL = ("10.64.0.0/11", "10.96.0.0/16")
INNER_IPIP = 1 << 15
PORT = 51820
RECENT_SHARE = 10
READY_SECONDS = 60


def run(*command):
    subprocess.run(command, check=True)


def address(begin, number):
    return f"{begin}{number >> 8}.{number & 255}"


def wait_for(condition, what, process=None):
    end = time.monotonic() + READY_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end and (process is None or process.poll() is None), what
        time.sleep(0.0005)
    return found


def make_namespace(ns):
    run("ip", "netns", "add", ns)
    run("ip", "-n", ns, "link", "set", "lo", "up")


def in_namespace(ns, words, **kwargs):
    return subprocess.Popen(["ip", "netns", "exec", ns, *words], **kwargs)


class Host:
    """A namespace for a server, and the server's folders."""

    def __init__(self, options, ns):
        self.options, self.ns = options, ns
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vprox-bench-"))
        (self.folder / "lib").mkdir()
        make_namespace(ns)
        self.server = None

    def start(self, *arguments):
        (self.folder / "run").mkdir()
        mount = f"mount --bind {self.folder}/run /run && mount --bind {self.folder}/lib /var/lib"
        with open(self.folder / "log", "wb") as log:
            self.server = in_namespace(
                self.ns,
                ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", self.options.vprox, "server", *arguments,
                 "--wg-block", "10.100.0.0/16", f"--plane={self.options.plane}", "--gates=1", "--on-exit=keep"],
                env={**os.environ, "VPROX_PASSWORD": PASSWORD}, stderr=log)

    def log(self):
        return (self.folder / "log").read_text()

    def print_problems(self):
        for line in self.log().splitlines():
            if " error " in line or " warning " in line or "have their tunnels again" in line:
                print("  log:", line)

    def wait_ready(self):
        wait_for(lambda: "server: ready" in self.log(), "the server", self.server)

    def wait_device(self):
        """That it serves an address."""
        if self.options.plane == "embedded":
            wait_for((self.folder / "run/wireguard/vprox0.sock").exists, "the device", self.server)
        else:
            wait_for(lambda: subprocess.run(["ip", "-n", self.ns, "link", "show", "vprox0"], check=False,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0, "the device")

    def processes(self):
        """Of this server and its device."""
        found = subprocess.run(["ip", "netns", "pids", self.ns], stdout=subprocess.PIPE, text=True, check=True)
        return [int(pid) for pid in found.stdout.split()]

    def processor_s(self):
        """That the server's process, and its device's, have taken."""
        spent = {}
        for pid in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                what = words[1].decode() if len(words) > 2 else ""
                ticks = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                spent[what] = spent.get(what, 0) + (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
        return spent

    def drops(self):
        """What the device has dropped of handshakes."""
        if self.options.plane == "kernel":
            return {}
        with socket.socket(socket.AF_UNIX) as device:
            device.connect(str(self.folder / "run/wireguard/vprox0.sock"))
            device.sendall(b"get_drops=1\n\n")
            lines = device.recv(65536).decode().split()
        drops = dict(line.split("=") for line in lines)
        return {f"dropped: {name}": int(drops[name]) for name in ("handshakes", "limited", "cookies", "unsent", "no_session")}

    def kill(self):
        """All its processes at once."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.server:
            self.server.wait()
        wait_for(lambda: not self.processes(), "the end of the server")

    def reboot(self):
        """All is gone but the disk."""
        self.kill()
        for line in subprocess.run(["ip", "-n", self.ns, "-br", "link"], stdout=subprocess.PIPE, text=True,
                                   check=True).stdout.splitlines():
            name = line.split()[0].split("@")[0]
            if name.startswith(("vprox", "vp0-")):
                # a device's goes with its process, which is just going
                subprocess.run(["ip", "-n", self.ns, "link", "del", name], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "netns", "exec", self.ns, "nft", "flush", "ruleset"], check=True)
        shutil.rmtree(self.folder / "run")

    def database(self):
        return contextlib.closing(sqlite3.connect(self.folder / "lib/vprox/store/store.db"))

    def public_key(self):
        with self.database() as database:
            found = database.execute("SELECT private_key FROM endpoint").fetchone()
        if not found:
            return None
        (key,) = found
        return subprocess.run(["wg", "pubkey"], input=key, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def fill(self, n):
        keys = subprocess.run([self.options.clients, "--keys", "--count", str(n)], stdout=subprocess.PIPE, text=True,
                              check=True).stdout.split()
        now = int(time.time())
        with self.database() as database, database:
            database.execute("DELETE FROM peer")
            for number, key in enumerate(keys):
                active = now - 5 if number < n // RECENT_SHARE else now - 60 - number // 100
                database.execute("INSERT INTO peer VALUES (?, ?, 'wireguard', ?, NULL, ?, ?, ?, ?, '')",
                                 (ADDRESS, address(INNER, number + 2), key, address(WIREGUARD, number), PORT, now, active))
                database.execute("INSERT INTO peer VALUES (?, ?, 'ipip', NULL, ?, NULL, 0, ?, ?, '')",
                                 (ADDRESS, address(INNER, number + 2 + INNER_IPIP), address(IPIP, number), now, active))

    def close(self):
        self.kill()
        run("ip", "netns", "delete", self.ns)
        shutil.rmtree(self.folder)


class Clients:
    """The namespace of all clients: who sends to their addresses sends to NEIGHBOUR."""

    def __init__(self, options, ns):
        self.options, self.ns = options, ns
        make_namespace(ns)
        for prefix in LOCAL:
            run("ip", "-n", ns, "route", "add", "local", prefix, "dev", "lo")

    def start(self, n, server_key):
        """They wait for the server's handshakes."""
        clients = in_namespace(self.ns, [
            self.options.clients, "--count", str(n), "--server", ADDRESS, "--server-key", server_key,
            "--seconds", str(self.options.seconds)], stdout=subprocess.PIPE, text=True)
        assert clients.stdout.readline() == "ready\n"
        return clients

    @staticmethod
    def figures(clients, n, began):
        """When which of them were answered, in s since then."""
        said, _ = clients.communicate()
        figures = {}
        for line in said.splitlines():
            name, value, unit = line.split("\t")
            if unit == "ms":
                figures[name] = float(value) / 1000 - began if float(value) > 0 else float("inf")
            elif int(value) < n:
                print(f"only {value} of {n} {name} clients")
        return figures

    def close(self):
        run("ip", "netns", "delete", self.ns)


class Lab:
    """A server, and its clients at the other end of a veth."""

    def __init__(self, options):
        self.options = options
        self.host = Host(options, f"reboot-{os.getpid()}-server")
        self.clients = Clients(options, f"reboot-{os.getpid()}-clients")
        run("ip", "link", "add", "eth0", "netns", self.host.ns, "type", "veth", "peer", "name", "eth0", "netns", self.clients.ns)
        for ns, own in ((self.host.ns, ADDRESS), (self.clients.ns, NEIGHBOUR)):
            run("ip", "-n", ns, "address", "add", f"{own}/24", "dev", "eth0")
            run("ip", "-n", ns, "link", "set", "eth0", "up")
        run("ip", "-n", self.host.ns, "route", "add", "default", "via", NEIGHBOUR)

    def start(self):
        self.host.start("--ip", ADDRESS, *self.options.arguments)

    def round(self, n):
        """One reboot with n clients of each kind: what was measured, by name, in s."""
        self.host.fill(n)
        clients = self.clients.start(n, self.host.public_key())
        try:
            began = time.monotonic()
            self.start()
            self.host.wait_device()
            opened = time.monotonic()
            figures = {"start to opening": opened - began, **Clients.figures(clients, n, opened)}
        finally:
            clients.kill()
        self.host.wait_ready()
        self.host.print_problems()
        figures.update(self.host.drops())
        for what, seconds in self.host.processor_s().items():
            if what in ("server", "device"):
                figures[f"processor: {what}"] = seconds
        self.host.reboot()
        return figures

    def close(self):
        self.host.close()
        self.clients.close()


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--vprox", default="build/vprox")
    parser.add_argument("--clients", default="build/bench/clients")
    parser.add_argument("--plane", default="embedded", choices=("embedded", "kernel"))
    parser.add_argument("--count", type=int, action="append", help="clients of each kind; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=30, help="for the clients to come back in")
    parser.add_argument("arguments", nargs="*", help="more for the server, after --")
    options = parser.parse_args()
    if options.quick:
        options.count, options.rounds = [2], 1
    options.vprox, options.clients = os.path.abspath(options.vprox), os.path.abspath(options.clients)
    lab = Lab(options)
    try:
        lab.start()
        lab.host.wait_ready()
        wait_for(lab.host.public_key, "the endpoint in the store", lab.host.server)
        lab.host.reboot()
        for n in options.count or [1000]:
            rounds = [lab.round(n) for _ in range(options.rounds)]
            print(f"{n} WireGuard and {n} IPIP clients, s (median, from - to):")
            for name in rounds[0]:
                values = sorted(one[name] for one in rounds)
                print(f"  {name}: {statistics.median(values):.2f} ({values[0]:.2f} - {values[-1]:.2f})")
    finally:
        lab.close()


if __name__ == "__main__":
    main()
