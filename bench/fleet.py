"""Measures what a store in etcd costs, beside one on the own disk and none, and how long a move from host to host takes: run it
as root. A cluster of three, the hosts and their clients are in namespaces of one machine; the servers are asked for grants in
turns (bench/store.py); in a move one host dies and another one, which runs already, gains its address, with all clients in one
process (bench/reboot.py). On the kernel's plane (--plane=kernel, in the guest) moves alone are measured, and what the bare calls
take that make the same: `ip -batch` and `wg setconf`. Prints a table, and writes it as "name<TAB>value<TAB>unit" lines."""

import base64
import concurrent.futures
import contextlib
import datetime
import http.client
import itertools
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import types
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "tests/e2e"), str(REPOSITORY / "tests")]

from handshakes import Server, memory  # noqa: E402
from lab.etcd import Etcd, make_fleet_key  # noqa: E402
from lib.netns import Namespace, enter  # noqa: E402
from reboot import (  # noqa: E402
    INNER, INNER_IPIP, IPIP, PORT, WIREGUARD, Clients, Host, address, make_namespace, run, wait_for)
from shared.options import bench_parser  # noqa: E402
from shared.place import ADDRESS, NEIGHBOUR  # noqa: E402
from store import AT_A_TIME, medians, take_turns  # noqa: E402

MEMBERS = 3
NETWORK = "10.9.0."
FLEET = "bench"
ITSELF_SECONDS = 2
# Of etcd's own: puts, transactions that went through its log, and how long its disk took.
PUTS = "etcd_debugging_mvcc_put_total"
COMMITTED = "etcd_server_proposals_applied_total"
SYNC_SECONDS, SYNCS = "etcd_disk_wal_fsync_duration_seconds_sum", "etcd_disk_wal_fsync_duration_seconds_count"


PROCESSOR = "of all members, s"


def processor_s(pid):
    """That all threads of a process have taken."""
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Table:
    """What was measured: printed as it comes, and written line by line."""

    def __init__(self, path):
        self.tsv = open(path, "w") if path else None

    def title(self, text, *columns):
        print(f"\n{text:<48}", *(f"{column:>14}" for column in columns), flush=True)

    def row(self, name, values, more=""):
        """values: of each column, in its order, what it is, the value, and its unit."""
        print(f"  {name:<46}", *(f"{value:>9.2f} {unit:<4}" for _, value, unit in values), more, flush=True)
        for what, value, unit in values if self.tsv else ():
            print(f"{name}{what and f': {what}'}", f"{value:.3f}", unit, sep="\t", file=self.tsv, flush=True)

    def add(self, name, value, unit):
        self.row(name, [("", value, unit)])


class Cluster:
    """etcd, on a bridge that hosts can be joined to."""

    def __init__(self, options):
        self.ns = Namespace(f"fleet-{os.getpid()}-etcd")
        self.ns.ip("link set lo up", "link add br0 type bridge", f"addr add {NETWORK}1/24 dev br0", "link set br0 up")
        self.n_joined = 0
        self.etcd = Etcd(types.SimpleNamespace(ns=self.ns, address=f"{NETWORK}1"), MEMBERS, options.etcd)
        self.key = make_fleet_key(options.vprox, self.etcd.folder)

    def join(self, namespace):
        self.n_joined += 1
        end = f"host{self.n_joined}"
        self.ns.ip(f"link add {end} type veth peer name etcd0 netns {namespace}", f"link set {end} master br0 up")
        for words in (f"addr add {NETWORK}{self.n_joined + 1}/24 dev etcd0", "link set etcd0 up"):
            self.ns.run(f"ip -n {namespace} {words}")

    def store(self, fleet=FLEET):
        return [f"--store={self.etcd.store(fleet)}", f"--fleet-key={self.key}"]

    def metrics(self):
        """Of the first member, by name: all do the same writes. The processor's time is that of all."""
        def read():
            with urllib.request.urlopen(f"http://127.0.0.1:{self.etcd.members[0].own_port}/metrics") as answer:
                return answer.read().decode()
        found = {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", enter(self.ns, read), re.MULTILINE)}
        return {**found, PROCESSOR: self.processor_s()}

    def processor_s(self):
        """That all members have taken."""
        return sum(processor_s(member.process.pid) for member in self.etcd.members)

    def bytes_in_use(self):
        """Of its file, once what was replaced is gone."""
        revision = self.etcd.ask("/v3/kv/range", {"key": base64.b64encode(b"x").decode()})["header"]["revision"]
        self.etcd.ask("/v3/kv/compaction", {"revision": revision, "physical": True})
        return int(self.etcd.members[0].ask("/v3/maintenance/status", {})["dbSizeInUse"])

    def close(self):
        self.etcd.close()
        self.ns.remove()


def ask_again_and_again(cluster, member, key, seconds):
    """Transactions that compare one key and write it, over a connection that stays: the time of each, in s."""
    question = json.dumps({"compare": [{"key": key, "target": "VERSION", "result": "GREATER", "version": "-1"}],
                           "success": [{"request_put": {"key": key, "value": base64.b64encode(os.urandom(200)).decode()}}]})
    connection = http.client.HTTPConnection("127.0.0.1", member.own_port)
    enter(cluster.ns, connection.connect)
    times, end = [], time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        connection.request("POST", "/v3/kv/txn", question)
        connection.getresponse().read()
        times.append(time.monotonic() - begin)
    connection.close()
    return times


def measure_etcd_itself(cluster, table):
    """What any client of its gateway has of it: the limit of what a store can do that asks for each grant by itself."""
    table.title("etcd by itself, transactions with one key", "rate", "p50", "p99")
    for n in (1, AT_A_TIME):
        keys = [base64.b64encode(f"/bench/{i}".encode()).decode() for i in range(n)]
        with concurrent.futures.ThreadPoolExecutor(n) as threads:
            times = sorted(itertools.chain.from_iterable(threads.map(
                lambda key: ask_again_and_again(cluster, cluster.etcd.members[0], key, ITSELF_SECONDS), keys)))
        table.row(f"etcd by itself, {n} at a time", [
            ("rate", len(times) / ITSELF_SECONDS, "/s"), ("p50", 1000 * times[len(times) // 2], "ms"),
            ("p99", 1000 * times[len(times) * 99 // 100], "ms")])


class StoringServer(Server):
    """Knows what etcd's members, which are on these processors too, have taken for its clients."""

    def __init__(self, cluster, *args, **kwargs):
        self.cluster = cluster
        super().__init__(*args, join=cluster.join, **kwargs)

    def storm(self, program, count, *args):
        before = self.cluster.processor_s()
        figures = super().storm(program, count, *args)
        members_s = self.cluster.processor_s() - before
        # As if they were elsewhere.
        return {**figures, "elsewhere": count / (count / figures["rate"] - members_s / os.cpu_count())}


def measure_grants(cluster, options, table):
    wanted = {"none": ("--store=none", None), "local": ("--store=local", options.folder), "etcd": (None, options.folder)}
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, (store, folder) in wanted.items():
            arguments = [store] if store else cluster.store()
            servers[name] = StoringServer(cluster, name, options.vprox, os.cpu_count(), [*arguments, "--wg-block-per-ip=/18"],
                                          folder)
            stack.callback(servers[name].close)
        turns = take_turns(list(servers.values()), options.storm, options.turns, options.count)
        for title, some in zip((f"{AT_A_TIME} at a time", "one at a time"), turns):
            report_grants(title, some, servers["none"], table)
        measure_writes(cluster, options, servers["etcd"], table)


def report_grants(title, turns, none, table):
    table.title(f"grants, {title}", "rate", "p50", "p99", "processors", "of none's", "etcd elsewhere")
    for server, figures in medians(turns, none).items():
        elsewhere = statistics.median(turn["elsewhere"] / other["elsewhere"] for turn, other in zip(turns[server], turns[none]))
        table.row(f"--store={server.name}, {title}", [
            ("rate", figures["rate"], "/s"), ("p50", figures["p50"], "ms"), ("p99", figures["p99"], "ms"),
            ("processors' time", figures["time"], "ms"), ("rate, of none's", 100 * figures["ratio"], "%"),
            ("rate, of none's, etcd elsewhere", 100 * elsewhere, "%")])


def measure_writes(cluster, options, server, table):
    """What clients that stay leave in etcd, and in the server's memory."""
    size, before = cluster.bytes_in_use(), cluster.metrics()
    server.storm(options.storm, options.peers, AT_A_TIME, "/connect", "--method", "POST", "--first-key", "1000000")
    after = cluster.metrics()
    table.title(f"etcd, {options.peers} grants, {AT_A_TIME} at a time")
    table.add("records written for a grant", (after[PUTS] - before[PUTS]) / options.peers, "")
    table.add("grants in one transaction", options.peers / (after[COMMITTED] - before[COMMITTED]), "")
    table.add("processors' time of all members for a grant", 1000 * (after[PROCESSOR] - before[PROCESSOR]) / options.peers, "ms")
    table.add("fdatasync of its log", 1000 * (after[SYNC_SECONDS] - before[SYNC_SECONDS]) / (after[SYNCS] - before[SYNCS]), "ms")
    table.add("bytes of its file a peer", (cluster.bytes_in_use() - size) / options.peers, "bytes")
    for what in ("server", "store", "device"):
        table.add(f"memory of the {what}, {options.peers} WireGuard peers", server.memory()[what] / 1024, "MB")
    before = cluster.metrics()[PUTS]
    time.sleep(options.idle)
    table.add("records written an hour for an address by itself", (cluster.metrics()[PUTS] - before) * 3600 / options.idle, "")
    records = cluster.etcd.records(f"/vprox/{FLEET}/peer/")
    table.add("bytes of a peer's record and its name", sum(len(name) + len(value) for name, value in records.items()) / len(records),
              "bytes")


def give(host, clients):
    """The address is this host's from now on, and its neighbours know: when that was."""
    began = time.monotonic()
    run("ip", "-n", host.ns, "address", "add", f"{ADDRESS}/32", "dev", "eth0")
    run("ip", "-n", clients.ns, "neighbour", "flush", "dev", "eth0")
    return began


def served_at(host):
    """When a host has begun to serve the address, by its log: what its own part in a move is. In s since 1970. Its clients may
    have been answered before it says so."""
    said = wait_for(lambda: re.search(r"^(\S+) .* served from now on$", host.log(), re.MULTILINE), "it serves the address")
    return datetime.datetime.fromisoformat(said[1]).timestamp()


class Move:
    """Two hosts that follow one address, and its clients, on a network of their own."""

    def __init__(self, cluster, options):
        self.cluster, self.options = cluster, options
        self.made = contextlib.ExitStack()
        self.hosts = [self.made.enter_context(contextlib.closing(Host(options, f"fleet-{os.getpid()}-host{n}"))) for n in (1, 2)]
        self.clients = self.made.enter_context(contextlib.closing(Clients(options, f"fleet-{os.getpid()}-clients")))
        cluster.ns.ip("link add lan0 type bridge", "link set lan0 up")
        for n, ns in enumerate([self.clients.ns, *(host.ns for host in self.hosts)]):
            cluster.ns.ip(f"link add lan{n + 1} type veth peer name eth0 netns {ns}", f"link set lan{n + 1} master lan0 up")
            run("ip", "-n", ns, "address", "add", f"{NEIGHBOUR if n == 0 else NEIGHBOUR + str(n)}/24", "dev", "eth0")
            run("ip", "-n", ns, "link", "set", "eth0", "up")
        for host in self.hosts:
            run("ip", "-n", host.ns, "route", "add", "default", "via", NEIGHBOUR)
            cluster.join(host.ns)

    def start(self, host, fleet):
        host.start("--follow", f"{ADDRESS}/32", *self.cluster.store(fleet), "--wg-block-per-ip=/16", "--idle-timeout=1h",
                   "--connect-grace=1h", "--log-level=debug")
        host.wait_ready()

    def fill(self, n, fleet):
        """The first host holds the address, its clients have their tunnels, and etcd has all that was promised."""
        first = self.hosts[0]
        give(first, self.clients)
        self.start(first, fleet)
        first.wait_device()
        key = wait_for(first.public_key, "the endpoint's key")
        first.reboot()
        first.fill(n)
        clients = self.clients.start(n, key)
        try:
            self.start(first, fleet)
            Clients.figures(clients, n, 0)
        finally:
            clients.kill()
            first.print_problems()
        wait_for(lambda: "all records in etcd are of epoch 2" in first.log(), "etcd has all")
        return key

    def round(self, n):
        """The first host dies, and the second one gains the address: when its clients are back, in s."""
        fleet = f"move{n}"
        key = self.fill(n, fleet)
        first, second = self.hosts
        self.start(second, fleet)
        if not self.options.cold:
            wait_for(lambda: f"{2 * n} peers are ready" in second.log(), "the second host is ready")
        first.reboot()
        clients = self.clients.start(n, key)
        try:
            run("ip", "-n", first.ns, "address", "delete", f"{ADDRESS}/32", "dev", "eth0")
            given_at = time.time()
            began = give(second, self.clients)
            figures = Clients.figures(clients, n, began)
            figures["served"] = served_at(second) - given_at
        finally:
            clients.kill()
            second.print_problems()
        figures.update({f"memory {what}": kib / 1024 for what, kib in memory(second.ns).items()})
        return figures

    def close(self):
        self.made.close()
        self.cluster.ns.run("ip link del lan0")


def bare_calls(n, keys):
    """What makes n peers of each kind on the kernel's plane: for `ip -batch`, and for `wg setconf`."""
    links = ["link add vprox0 type wireguard", "link set vprox0 up"]
    for number in range(n):
        links += [f"link add ipip{number} type ipip local {ADDRESS} remote {address(IPIP, number)}", f"link set ipip{number} up",
                  f"route add {address(INNER, number + 2 + INNER_IPIP)} dev ipip{number}",
                  f"route add {address(INNER, number + 2)} dev vprox0"]
    peers = [f"[Interface]\nListenPort={PORT}\n"]
    for number, key in enumerate(keys):
        peers.append(f"[Peer]\nPublicKey={key}\nEndpoint={address(WIREGUARD, number)}:{PORT}\n"
                     f"AllowedIPs={address(INNER, number + 2)}/32\n")
    return "\n".join(links), "".join(peers)


def measure_bare(n, options):
    """How long these calls take, in s."""
    keys = subprocess.run([options.clients, "--keys", "--count", str(n)], stdout=subprocess.PIPE, text=True, check=True).stdout
    ns = f"fleet-{os.getpid()}-bare"
    make_namespace(ns)
    with contextlib.ExitStack() as made, tempfile.TemporaryDirectory() as folder:
        made.callback(run, "ip", "netns", "delete", ns)
        files = [pathlib.Path(folder) / name for name in ("links", "peers")]
        for file, text in zip(files, bare_calls(n, keys.split())):
            file.write_text(text)
        began = time.monotonic()
        run("ip", "-n", ns, "-batch", files[0])
        run("ip", "netns", "exec", ns, "wg", "setconf", "vprox0", files[1])
        return time.monotonic() - began


def measure_moves(cluster, options, table):
    for n in options.move:
        with contextlib.closing(Move(cluster, options)) as move:
            figures = move.round(n)
        table.title(f"a move with {n} WireGuard and {n} IPIP clients")
        for name in ("served", "first handshake", "recent wireguard", "recent ipip", "all wireguard", "all ipip"):
            table.add(f"a move with {n} of each: {name}", figures[name], "s")
        for what in ("server", "store", "device"):
            if f"memory {what}" in figures:
                table.add(f"a move with {n} of each: memory of the {what}", figures[f"memory {what}"], "MB")
        if options.plane == "kernel":
            bare = measure_bare(n, options)
            table.add(f"{n} of each made by bare calls", bare, "s")
            slowest = max(figures["all wireguard"], figures["all ipip"])
            table.add(f"a move with {n} of each: all, to bare calls", slowest / bare, "")
            table.add(f"a move with {n} of each: served, to bare calls", figures["served"] / bare, "")


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--tsv")
    parser.add_argument("--plane", default="embedded", choices=("embedded", "kernel"))
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--count", type=int, default=400, help="grants a turn, 16 at a time")
    parser.add_argument("--peers", type=int, default=2000, help="clients that stay")
    parser.add_argument("--idle", type=int, default=50, help="seconds in which nobody asks for anything")
    parser.add_argument("--move", type=int, action="append", help="clients of each kind that move; may be repeated (100, 1000)")
    parser.add_argument("--cold", action="store_true", help="the host that an address moves to was not given time to be ready")
    parser.add_argument("--seconds", type=int, default=30, help="for them to come back in")
    parser.add_argument("--folder", help="for the stores: on the disk that is to be measured (/tmp)")
    parser.add_argument("--etcd", action="append", default=[], help="an option of etcd's members; may be repeated")
    options = parser.parse_args()
    if options.quick:
        options.turns, options.count, options.peers, options.idle, options.move = 1, AT_A_TIME, 20, 1, [2]
    options.vprox, options.storm, options.clients = (
        os.path.abspath(f"{options.build}/{name}") for name in ("vprox", "bench/storm", "bench/clients"))
    options.move = options.move or [100, 1000]
    table = Table(options.tsv)
    cluster = Cluster(options)
    try:
        cluster.etcd.start()
        if options.plane == "embedded":
            measure_etcd_itself(cluster, table)
            measure_grants(cluster, options, table)
        measure_moves(cluster, options, table)
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
