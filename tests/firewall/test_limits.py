"""One client takes neither the source ports to a destination, nor the room for connections, nor the
processor's time, that all need. Each attack succeeds without its rule."""

import re
import socket
import time

import pytest
from attack import (BIND, GATEWAY, PEER_1, PEER_WG, VICTIM, WEB, arrives_outside,
                    echo_is_answered, eventually, holds, listening, numbers)
from conftest import INTERNET, SERVER, Tool, sh
from lib import wait
from lib.capture import Capture
from lib.packets import ACK, ICMP, RST, SYN, TCP, UDP, fragments, icmp_echo, ipv4, tcp, udp

SLICES = "ip saddr & 0.0.0.15 vmap"
ALL_PORTS = ("chain source_nat {",
             "chain source_nat {\n\t\tmeta l4proto { tcp, udp } snat to ip saddr map @bind_of : 1024-50226")
ALL_IDENTIFIERS = ("chain source_nat {", "chain source_nat {\n\t\tsnat to ip saddr map @bind_of")
RATE, COUNT = "update @rates", "\t\tgoto count"
# The same slice as PEER_1, 10.100.0.2; vprox0 may send for all of the block.
NEIGHBOUR_IN_SLICE = "10.100.0.18"
MANY = 60000
MOST_FLOWS = 2048
FORGOTTEN_SECONDS = 4  # fragments whose others have not come
FORGIVEN_SECONDS = 1.5  # who had too many begins none for a second
MOST_SAMPLED = 2600  # half of them are only estimated


def count(source):
    listed = sh(SERVER, f"conntrack -L -s {source}", check=False)
    return len(listed.splitlines())


def counted(name):
    return int(re.search(r"packets (\d+)", sh(SERVER, f"nft list counter ip vprox {name}")).group(1))


def flood(world, interface, packets):
    """Sends them, and waits until they have been dealt with."""
    tun = world.tuns[interface]
    for packet in packets:
        tun.send(packet)


def udp_flows(source, destination, n, first=1):
    """Flows to one address and port, of n source ports; the checksum may be left out."""
    whole = bytearray(ipv4(source, destination, UDP, udp(1, 53)))
    whole[26:28] = b"\0\0"
    for port in range(first, first + n):
        whole[20:22] = port.to_bytes(2, "big")
        yield bytes(whole)


def udp_leaves(world, source, destination):
    port = next(numbers)
    return arrives_outside(world, "vprox0", ipv4(source, destination, UDP, udp(port, 53, b"mine")),
                           lambda p: p.proto == UDP and p.dst == destination and p.data == b"mine")


# Memory for fragments


def half(source, destination, size, ident):
    """A fragment whose others never come."""
    return ipv4(source, destination, UDP, bytes(size), ident=ident, more_fragments=True)


def large_datagram_leaves(world, source, destination):
    whole = ipv4(source, destination, UDP, udp(next(numbers), 53, b"mine" * 200), ident=7)
    first, second = fragments(whole, 600)
    world.tuns["vprox0"].send(first)
    return arrives_outside(world, "vprox0", second,
                           lambda p: p.proto == UDP and p.dst == destination and b"mine" in p.raw)


def waiting_bytes():
    return int(sh(SERVER, "cat /proc/net/sockstat").split("memory")[1].split()[0])


def takes_all(world, sources, n, size, room):
    """Whether so many fragments leave no room for anybody else's."""
    sh(SERVER, f"sysctl -qw net.ipv4.ipfrag_high_thresh={room} net.ipv4.ipfrag_time={FORGOTTEN_SECONDS}")
    flood(world, "vp0-1", (half(sources[i % len(sources)], VICTIM, size, i // len(sources))
                           for i in range(n)))
    taken = not eventually(large_datagram_leaves, world, PEER_WG, VICTIM)
    wait.until(lambda: waiting_bytes() == 0, what="they are forgotten")
    return taken


@pytest.mark.parametrize("rule, n, size, room", [
    ("update @fragment_bytes", 1200, 60000, 64 << 20),
    ("update @fragment_rates", 40000, 16, 16 << 20)])
def test_no_client_takes_the_memory_that_all_fragments_wait_in(world, rule, n, size, room):
    holds(world, lambda w: takes_all(w, [PEER_1], n, size, room), rule)
    assert counted("refused_rate") > 0


def test_no_client_takes_it_in_the_name_of_others(world):
    others = [f"10.100.0.{i}" for i in range(20, 120)]
    holds(world, lambda w: takes_all(w, others, 1200, 60000, 64 << 20),
          "fib saddr . iif oif missing")


# Source ports


def test_no_client_takes_all_source_ports_to_a_destination(world):
    def attack(w):
        flood(w, "vp0-1", udp_flows(PEER_1, VICTIM, MANY))
        return not eventually(udp_leaves, w, PEER_WG, VICTIM)

    world.load(without=[RATE, COUNT, SLICES, ALL_PORTS])
    assert attack(world), "the attack does not succeed even without the rules"
    # The slices keep it from the others, the number of its connections from those in its slice.
    world.load(without=[RATE, COUNT])
    assert not attack(world)
    assert not eventually(udp_leaves, world, NEIGHBOUR_IN_SLICE, VICTIM)
    world.load()
    assert not attack(world)
    assert eventually(udp_leaves, world, NEIGHBOUR_IN_SLICE, VICTIM)


def test_no_client_takes_all_identifiers_of_echoes_to_a_destination(world):
    def attack(w):
        flood(w, "vp0-1", (ipv4(PEER_1, VICTIM, ICMP, icmp_echo(i)) for i in range(65536)))
        return not eventually(arrives_outside, w, "vprox0",
                              ipv4(PEER_WG, VICTIM, ICMP, icmp_echo(7, data=b"mine")),
                              lambda p: p.proto == ICMP and p.dst == VICTIM and p.data == b"mine")

    world.load(without=[RATE, COUNT, SLICES, ALL_IDENTIFIERS])
    assert attack(world), "the attack does not succeed even without the rules"
    world.load(without=[RATE, COUNT])
    assert not attack(world)


def test_addresses_one_after_the_other_have_different_slices(world):
    world.load()
    ports = set()
    for i in range(16):
        with Capture(INTERNET, "eth0") as seen:
            world.tuns["vprox0"].send(ipv4(f"10.100.0.{32 + i}", VICTIM, UDP, udp(80, 53)))
            ports.add((seen.first(lambda p: p.proto == UDP and p.dst == VICTIM).sport - 1024) // 3075)
    assert len(ports) == 16


@pytest.mark.parametrize("most,slices", [(2048, 16), (3075, 16), (3076, 8), (20000, 2), (50000, 1)])
def test_a_slice_has_room_for_what_one_client_may_have(world, most, slices):
    world.load(flags=[f"--max-flows-per-peer={most}"])
    assert len(re.findall("chain slice_", sh(SERVER, "nft list table ip vprox"))) == slices
    assert eventually(udp_leaves, world, PEER_WG, VICTIM)


# Connections


def test_no_client_has_more_connections_than_its_share(world):
    def attack(w):
        flood(w, "vp0-1", udp_flows(PEER_1, VICTIM, 3000))
        flood(w, "vp0-1", udp_flows(PEER_1, WEB, 3000))
        assert eventually(udp_leaves, w, PEER_WG, VICTIM)
        return count(PEER_1) > MOST_SAMPLED

    world.load(without=[RATE, COUNT])
    assert attack(world), "the attack does not succeed even without the rules"
    world.load(without=[RATE])
    assert not attack(world)
    assert count(PEER_1) > MOST_FLOWS / 2, "what it may have, it gets"
    assert counted("refused_flows") >= 6000 - MOST_SAMPLED
    world.load()
    assert not attack(world)


@pytest.mark.parametrize("most", [1, 10, 255])
def test_few_connections_are_counted_one_by_one(world, most):
    world.load(without=[RATE], flags=[f"--max-flows-per-peer={most}"])
    flood(world, "vp0-1", udp_flows(PEER_1, VICTIM, 600))
    assert count(PEER_1) == most


def test_who_has_had_too_many_connections_may_have_half_of_them_at_least_and_no_more(world):
    world.load(without=[RATE])
    flood(world, "vp0-1", udp_flows(PEER_1, VICTIM, 6000))
    assert count(PEER_1) <= MOST_SAMPLED
    sh(SERVER, f"conntrack -D -s {PEER_1}")
    time.sleep(FORGIVEN_SECONDS)
    flood(world, "vp0-1", udp_flows(PEER_1, WEB, 6000))
    assert MOST_FLOWS / 2 <= count(PEER_1) <= MOST_SAMPLED


def test_who_has_all_connections_that_he_may_have_gets_others_for_those_that_end(world):
    world.load(without=[RATE], flags=["--max-flows-per-peer=10"])
    flood(world, "vp0-1", udp_flows(PEER_1, VICTIM, 30))
    assert count(PEER_1) == 10
    sh(SERVER, f"conntrack -D -s {PEER_1}")
    time.sleep(FORGIVEN_SECONDS)
    flood(world, "vp0-1", udp_flows(PEER_1, VICTIM, 30, first=100))
    assert count(PEER_1) == 10


def test_a_connection_that_is_there_goes_on_whatever_else_its_client_does(world):
    world.load(flags=["--max-flows-per-peer=10"])
    mine = ipv4(PEER_1, VICTIM, UDP, udp(9000, 53, b"mine"))
    assert eventually(arrives_outside, world, "vp0-1", mine, lambda p: p.data == b"mine")
    flood(world, "vp0-1", udp_flows(PEER_1, WEB, 5000))
    for _ in range(3):
        assert eventually(arrives_outside, world, "vp0-1", mine, lambda p: p.data == b"mine")


def test_no_client_begins_more_connections_a_second_than_its_share(world):
    def attack(w):
        began = time.monotonic()
        flood(w, "vp0-1", udp_flows(PEER_1, VICTIM, 3000))
        flood(w, "vp0-1", udp_flows(PEER_1, WEB, 3000))
        took = time.monotonic() - began
        return count(PEER_1) > 200 + 100 * took + 100

    # A tenth of what is allowed, so that any machine is faster than the limit.
    allowed = ("1000/second burst 2000", "100/second burst 200")
    world.load(without=[RATE, COUNT, SLICES, ALL_PORTS])
    assert attack(world)
    world.load(without=[allowed, COUNT, SLICES, ALL_PORTS])
    assert not attack(world)
    assert counted("refused_rate") > 0


def test_refused_connections_are_reset_at_once(world):
    world.load(flags=["--max-flows-per-peer=1"])
    for port in 20000, 20001:
        world.tuns["vp0-1"].send(ipv4(PEER_1, VICTIM, TCP, tcp(port, 80)))
    world.tuns["vp0-1"].first(lambda p: p.proto == TCP and p.dport == 20001
                              and p.flags == RST | ACK)


# What needs no room


def test_the_control_plane_and_the_gateways_ping_are_not_tracked(world):
    world.load()
    with listening(SERVER, BIND, 443, socket.SOCK_STREAM) as server:
        server.listen()
        with Capture(INTERNET, "eth0") as seen:
            world.send_from_lan(ipv4(WEB, BIND, TCP, tcp(5555, 443, SYN)))
            seen.first(lambda p: p.proto == TCP and p.sport == 443 and p.flags == SYN | ACK)
        world.tuns["vp0-1"].send(ipv4(PEER_1, BIND, TCP, tcp(5556, 443, SYN)))
        world.tuns["vp0-1"].first(lambda p: p.proto == TCP and p.flags == SYN | ACK)
    assert eventually(echo_is_answered, world, "vp0-1", PEER_1, GATEWAY)
    tracked = sh(SERVER, "conntrack -L", check=False)
    assert "dport=443" not in tracked and f"dst={GATEWAY}" not in tracked, tracked


def test_while_the_table_is_full_only_what_is_there_goes_on(world):
    tool = Tool()
    tool.run("load")
    mine = ipv4(PEER_1, VICTIM, UDP, udp(9000, 53, b"mine"))
    assert eventually(arrives_outside, world, "vp0-1", mine, lambda p: p.data == b"mine")
    tool.run("close-new-flows")
    tool.run("close-new-flows")
    assert not udp_leaves(world, PEER_WG, VICTIM)
    assert counted("refused_full") > 0
    assert eventually(arrives_outside, world, "vp0-1", mine, lambda p: p.data == b"mine")
    assert eventually(echo_is_answered, world, "vp0-1", PEER_1, GATEWAY)
    with listening(SERVER, BIND, 443, socket.SOCK_STREAM) as server:
        server.listen()
        world.tuns["vp0-1"].send(ipv4(PEER_1, BIND, TCP, tcp(next(numbers), 443, SYN)))
        world.tuns["vp0-1"].first(lambda p: p.proto == TCP and p.flags == SYN | ACK)
    tool.run("open-new-flows")
    tool.run("open-new-flows")
    assert eventually(udp_leaves, world, PEER_WG, VICTIM)
    assert tool.run("reconcile") == ""
    assert "loading it again" not in tool.close()
