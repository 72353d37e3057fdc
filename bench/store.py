"""Measures what the store costs a grant: run it as root. Servers with --store=none and --store=local run at the same time,
each in a namespace of its own, and are asked in turns, so that what disturbs the machine disturbs both alike. Prints grants a
second, p50 and p99 of one, and the processors' time that the server's processes took for each: medians over the turns, and
the medians of the ratios of one turn."""

import argparse
import os
import statistics

from handshakes import Server
from shared.options import bench_parser

AT_A_TIME = 16
ALONE = 40  # requests of a turn that are sent one by one
FIGURES = {"rate": "grants/s", "p50": "ms p50", "p99": "ms p99", "time": "ms of a processor each"}


# Of each kind: what grants and what takes back, and as whom the first client comes.
KINDS = {"wireguard": ("/connect", "/disconnect", ("--first-key", "0")),
         "ipip": ("/connect-ipip", "/disconnect-ipip", ("--first-source", "198.18.0.1"))}


def measure(server, storm, count, threads, kind="wireguard"):
    """The figures of as many new clients; they are gone afterwards."""
    grant, undo, first = KINDS[kind]
    figures = server.storm(storm, count, threads, grant, "--method", "POST", *first)
    server.storm(storm, count, AT_A_TIME, undo, "--method", "POST", *first)
    return figures


def take_turns(servers, storm, turns, count, kind="wireguard"):
    """Of each server the figures of all turns, with many at a time and with one; a first turn does not count."""
    together, alone = ({server: [] for server in servers} for _ in range(2))
    for turn in range(turns + 1):
        for server in servers if turn % 2 else servers[::-1]:
            found = (measure(server, storm, count, AT_A_TIME, kind), measure(server, storm, min(ALONE, count), 1, kind))
            if turn > 0:
                together[server].append(found[0])
                alone[server].append(found[1])
    return together, alone


def medians(turns, base):
    """Of each server its figures, and its rate against that of the base in the same turn."""
    return {server: {**{name: statistics.median(turn[name] for turn in figures) for name in FIGURES},
                     "ratio": statistics.median(turn["rate"] / other["rate"] for turn, other in zip(figures, turns[base]))}
            for server, figures in turns.items()}


def report(title, turns, base, tsv=None):
    """turns: of each server the figures of all turns. tsv: a file for them, or None."""
    print(f"{title}:")
    for server, figures in medians(turns, base).items():
        for name, unit in {**FIGURES, "ratio": f"of {base.name}"}.items() if tsv else ():
            print(f"{title}, {server.name}, {name}", f"{figures[name]:.3f}", unit, sep="\t", file=tsv)
        print(f"  {server.name:<12}", "  ".join(f"{figures[name]:8.2f} {unit}" for name, unit in FIGURES.items()),
              f"  rate against {base.name}: {figures['ratio']:.3f}")


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--tsv", type=argparse.FileType("w"), help="write the figures there too")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--count", type=int, default=400, help="grants a turn, 16 at a time")
    parser.add_argument("--folder", help="for the stores: on the disk that is to be measured (/tmp)")
    parser.add_argument("--memory", action="store_true", help="measure a store on /dev/shm too: what is not the disk's")
    options = parser.parse_args()
    if options.quick:
        options.turns, options.count = 1, AT_A_TIME
    storm, program = (f"{options.build}/{name}" for name in ("bench/storm", "vprox"))
    wanted = [("none", "none", None), ("local", "local", options.folder)]
    if options.memory:
        wanted.append(("memory", "local", "/dev/shm"))
    servers = []
    try:
        for name, store, folder in wanted:
            servers.append(Server(name, program, os.cpu_count(), [f"--store={store}"], folder))
        together, alone = take_turns(servers, storm, options.turns, options.count)
        report(f"{AT_A_TIME} at a time", together, servers[0], options.tsv)
        report("one at a time", alone, servers[0], options.tsv)
    finally:
        for server in servers:
            server.close()


if __name__ == "__main__":
    main()
