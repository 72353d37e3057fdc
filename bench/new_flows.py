"""Measures what the limits on new connections cost (src/host/firewall_flows.h): how many UDP flows a second pass from a
tunnel to the Internet, with the table as it is and without its limits, with a client beside that is at its limit.
Natively, as root, in namespaces of its own: `/usr/bin/python3 bench/new_flows.py`. Each flow is one packet, written to
the tunnel's interface by one thread, whose processor time counts; the tables take turns, so that what disturbs the
machine disturbs them alike."""

import os
import pathlib
import statistics
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "tests/firewall"), str(REPOSITORY / "tests")]

from conftest import SERVER, Tool, World, sh  # noqa: E402
from lib.packets import UDP, ipv4, udp  # noqa: E402
from shared.options import bench_parser  # noqa: E402

ENDPOINT = "0,203.0.113.1,10.100.0.0/16,50227"
FIRST_PEER = (10 << 24) + (100 << 16) + 2
GREEDY = "10.100.255.254"
MOST_FLOWS = 2048
LEVELS = {10: 900, 10000: 9}  # peers, and flows of each: below their limits
GREEDY_SHARE = 10  # one packet of so many is the greedy client's
ROUNDS = 5
# Lines of the table; without them it is as it was before there were limits and a policy.
LIMITS = ("jump new_flow", "counter name new_leaving", "ip daddr @blocks drop", "jump to_network",
          "jump errors", "ip saddr & 0.0.0.15 vmap")
PLAIN = ("\tchain source_nat {\n",
         "\tchain source_nat {\n\t\tmeta l4proto { tcp, udp } snat to ip saddr map @bind_of : 1024-50226\n")


def address(value):
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def flows(source, n, destination):
    """The first packets of n flows; UDP may leave out the checksum."""
    whole = bytearray(ipv4(source, destination, UDP, udp(2000, 53)))
    whole[26:28] = b"\0\0"
    for i in range(n):
        whole[20:22] = (2000 + i % 30000).to_bytes(2, "big")
        whole[22:24] = (1 + i // 30000).to_bytes(2, "big")
        yield bytes(whole)


def workload(n_peers, each):
    """Packets of all peers in turn, and those of the greedy client among them."""
    peers = [list(flows(address(FIRST_PEER + i), each, f"198.51.102.{i // 16 % 250}"))
             for i in range(n_peers)]
    mixed = [packets[i] for i in range(each) for packets in peers]
    greedy = flows(GREEDY, len(mixed) + 2 * MOST_FLOWS, "198.51.103.1")
    before = [next(greedy) for _ in range(2 * MOST_FLOWS)]
    result = []
    for i, packet in enumerate(mixed):
        result.append(packet)
        if i % (GREEDY_SHARE - 1) == 0:
            result.append(next(greedy))
    return before, result, len(mixed)


def texts(other):
    """The table as it is; and without its limits, or what is in the file."""
    tool = Tool(endpoints=[ENDPOINT])
    whole = tool.run("text")
    tool.close()
    if other:
        return {"with limits": whole, "without": "table ip vprox\ndelete table ip vprox\n" + other.read_text()}
    plain = "".join(line for line in whole.splitlines(True)
                    if not any(part in line for part in LIMITS))
    assert PLAIN[0] in plain
    return {"with limits": whole, "without": plain.replace(*PLAIN)}


def passed(world):
    """How many of the flows of others than the greedy client the kernel has an entry of."""
    listed = sh(SERVER, "conntrack -L -p udp", check=False)
    return sum(f"src={GREEDY}" not in line for line in listed.splitlines())


def measure(world, text, load):
    before, packets, expected = load
    sh(SERVER, "nft -f -", input=text)
    sh(SERVER, "conntrack -F", check=False)
    fd, write = world.tuns["vprox0"].fileno(), os.write
    for packet in before:
        write(fd, packet)
    time.sleep(2.1)  # its burst is there again
    began = time.thread_time()
    for packet in packets:
        write(fd, packet)
    took = time.thread_time() - began
    there = passed(world)
    assert there >= expected * 0.99, f"{there} of {expected} flows passed"
    return expected / took


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--tsv", help="write the figures there too")
    parser.add_argument("--against", type=pathlib.Path, help="a table to compare with, in nft's language")
    arguments = parser.parse_args()
    levels, rounds = ({10: 90}, 1) if arguments.quick else (LEVELS, ROUNDS)
    world = World()
    try:
        sh(SERVER, "ip route replace 10.100.0.0/16 dev vprox0")
        tables = texts(arguments.against)
        lines = []
        for n_peers, each in levels.items():
            load = workload(n_peers, each)
            rates = {name: [] for name in tables}
            for _ in range(rounds):
                for name, text in tables.items():
                    rates[name].append(measure(world, text, load))
            median = {name: statistics.median(found) for name, found in rates.items()}
            ratio = median["with limits"] / median["without"]
            print(f"{n_peers} peers: {median['with limits']:.0f} new flows/s, "
                  f"{median['without']:.0f} without: {ratio:.0%}")
            lines += [f"new_flows.{n_peers}.{name.replace(' ', '_')}\t{rate:.0f}\tper s\n"
                      for name, rate in median.items()]
        if arguments.tsv:
            pathlib.Path(arguments.tsv).write_text("".join(lines))
    finally:
        world.delete()


if __name__ == "__main__":
    main()
