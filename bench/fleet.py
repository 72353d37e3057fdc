"""Measures what a store in etcd costs, beside one on the own disk and none: run it as root. A cluster of three, the servers
and their clients are in namespaces of one machine, on the embedded plane; the servers are asked in turns (bench/store.py).
Prints a table, and writes it as "name<TAB>value<TAB>unit" lines."""

import argparse
import base64
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import re
import statistics
import sys
import time
import types
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "tests/e2e"), str(REPOSITORY / "tests")]

from handshakes import Server  # noqa: E402
from lab.etcd import Etcd, make_fleet_key  # noqa: E402
from lib.netns import Namespace, enter  # noqa: E402
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
    records = cluster.etcd.records(f"/vprox/{FLEET}/peer/")
    table.add("bytes of a peer's record and its name", sum(len(name) + len(value) for name, value in records.items()) / len(records),
              "bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--tsv")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--count", type=int, default=400, help="grants a turn, 16 at a time")
    parser.add_argument("--peers", type=int, default=2000, help="clients that stay")
    parser.add_argument("--folder", help="for the stores: on the disk that is to be measured (/tmp)")
    parser.add_argument("--etcd", action="append", default=[], help="an option of etcd's members; may be repeated")
    options = parser.parse_args()
    options.vprox, options.storm = (f"{options.build}/{name}" for name in ("vprox", "bench/storm"))
    table = Table(options.tsv)
    cluster = Cluster(options)
    try:
        cluster.etcd.start()
        measure_etcd_itself(cluster, table)
        measure_grants(cluster, options, table)
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
