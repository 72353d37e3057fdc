"""IPIP peers that share one interface (--ipip-mode=shared): who may send and get what, what others
change of it, and servers of the other mode before and after."""

import re
import signal

import pytest

from lab.datagrams import datagram, has_come
from lab.echo import VISITED
from lab.server import SHARED
from lib import capture, packets, wait

SHARES = pytest.mark.only("shared", reason="IPIP peers share no interface")

TWO = "--wg-block-per-ip=/24"
LOOK = "--reap-interval=1s"
SECONDS = 40
N_FORGED = 10


@pytest.fixture(scope="module", name="server")
def fixture_server(shared_host):
    return shared_host.start(TWO, ips=[shared_host.address, shared_host.second])


@pytest.fixture(name="pair")
def fixture_pair(shared_host, server, client, other_client):
    """A peer of each of the two addresses."""
    return (shared_host.tunnel("ipip", client, shared_host.address).up(),
            shared_host.tunnel("ipip", other_client, shared_host.second).up())


@SHARES
def test_peers_of_all_addresses_share_one_interface(shared_host, pair):
    assert not shared_host.ipip_links() and SHARED in shared_host.links()
    for tunnel, address in zip(pair, (shared_host.address, shared_host.second)):
        assert tunnel.ping() and tunnel.visit() == address
        assert tunnel.download()
    assert shared_host.sharers(0) == [(pair[0].inner, pair[0].node.address)]
    assert shared_host.sharers(1) == [(pair[1].inner, pair[1].node.address)]
    assert shared_host.ns.read(f"/proc/sys/net/ipv6/conf/{SHARED}/disable_ipv6").strip() == "1"


def forged(pair, shared_host):
    """By name: from whose machine what is sent, with a payload of that name."""
    mine, other = pair
    node, own, home = mine.node, mine.node.address, shared_host.address

    def ipip(name, outer, to, inner):
        return node, packets.ipip(outer, to, datagram(inner, name))
    sent = {
        b"another's inner": ipip(b"another's inner", own, home, other.inner),
        b"another's inner, at its address": ipip(b"another's inner, at its address", own,
                                                 shared_host.second, other.inner),
        b"mine, at the other address": ipip(b"mine, at the other address", own, shared_host.second,
                                            mine.inner),
        b"another's outer": ipip(b"another's outer", other.node.address, home, mine.inner),
        b"nobody's outer": ipip(b"nobody's outer", "192.0.2.250", home, mine.inner),
        b"nobody's inner": ipip(b"nobody's inner", own, home, "10.100.0.200"),
        b"the gateway's": ipip(b"the gateway's", own, home, mine.gateway),
        b"outside of the block": ipip(b"outside of the block", own, home, "10.7.7.7"),
        b"the server's own": ipip(b"the server's own", own, home, shared_host.address),
    }
    name = b"an outer packet in fragments"
    whole = packets.ipip(own, home, datagram(other.inner, name))
    sent[name] = (node, *packets.fragments(whole))
    name = b"an inner packet in fragments"
    sent[name] = (node, *(packets.ipip(own, home, part)
                          for part in packets.fragments(datagram(other.inner, name))))
    return sent


@SHARES
def test_only_a_peers_own_inner_address_from_its_own_outer_one_gets_through(
        world, shared_host, pair):
    mine, _ = pair
    right = {b"right": [packets.ipip(mine.node.address, shared_host.address,
                                     datagram(mine.inner, b"right"))],
             b"right, outer in fragments": packets.fragments(packets.ipip(
                 mine.node.address, shared_host.address,
                 datagram(mine.inner, b"right, outer in fragments"))),
             b"right, inner in fragments": [
                 packets.ipip(mine.node.address, shared_host.address, part) for part in
                 packets.fragments(datagram(mine.inner, b"right, inner in fragments"))]}
    wrong = forged(pair, shared_host)
    with capture.Capture(world.internet) as wire:
        for node, *parts in wrong.values():
            capture.send_routed(node.ns, *parts)
        for payload, parts in right.items():
            capture.send_routed(mine.ns, *parts)
            wait.until(lambda p=payload: has_come(world, p) == shared_host.address,
                       what=payload.decode())
        assert not [name for name in wrong if has_come(world, name)]
        assert not [p for p in wire.look() if p.proto == packets.UDP and p.dst == VISITED and
                    p.src.startswith("10.")]


@SHARES
def test_ipv6_in_protocol_41_or_4_comes_to_nothing(shared_host, pair):
    mine, _ = pair
    inner6 = bytes([0x60, 0, 0, 0, 0, 8, 59, 64]) + bytes(15) + b"\1" + bytes(15) + b"\2" + bytes(8)


    def dropped():
        shown = shared_host.ns.run(f"tc -s filter show dev {SHARED} ingress chain 1")
        return int(re.search(r"matchall.*\(dropped (\d+),", shown, re.DOTALL)[1])
    before = dropped()
    for proto in 41, 4:
        capture.send_routed(mine.ns, packets.ipv4(mine.node.address, shared_host.address, proto, inner6))
    wait.until(lambda: dropped() == before + 1, what="what came by protocol 4 is no peer's")
    assert mine.visit() == shared_host.address


@SHARES
def test_peers_do_not_reach_each_other(pair):
    mine, other = pair
    assert not mine.ping(other.inner, seconds=1)


@SHARES
def test_who_is_gone_gets_and_sends_nothing_more(world, shared_host, server, clients):
    (node,) = clients(1)
    tunnel = shared_host.tunnel("ipip", node).up()
    assert tunnel.visit() == shared_host.address
    tunnel.disconnect()
    assert tunnel.inner not in shared_host.holders()
    with capture.Capture(node.ns, "eth0") as wire:
        shared_host.ns.try_run(f"ping -c1 -W1 {tunnel.inner}")
        capture.send_routed(node.ns, packets.ipip(node.address, shared_host.address,
                                                  datagram(tunnel.inner, b"after the end")))
        assert not [p for p in wire.look() if p.proto == 4 and p.src == shared_host.address]
    assert not tunnel.ping(seconds=1) and has_come(world, b"after the end") is None


@SHARES
def test_while_the_filters_are_gone_nothing_comes_in(world, host, client):
    """Also nothing of a peer: that it is one, only these know."""
    server = host.start(LOOK, expected=["somebody has", "has vanished"])
    tunnel = host.tunnel("ipip", client).up()
    assert tunnel.ping()
    server.process.send_signal(signal.SIGSTOP)
    try:
        host.ns.run(f"tc qdisc del dev {SHARED} clsact")
        capture.send_routed(client.ns,
                            packets.ipip("192.0.2.250", host.address, datagram(tunnel.inner, b"unfiltered")),
                            packets.ipip(client.address, host.address, datagram(tunnel.inner, b"unmarked")))
        assert not tunnel.ping(seconds=1)
        assert has_come(world, b"unfiltered") is None and has_come(world, b"unmarked") is None
    finally:
        server.process.send_signal(signal.SIGCONT)
    wait.until(lambda: tunnel.ping(seconds=1), SECONDS)


@SHARES
@pytest.mark.parametrize("damage", [
    f"ip link del {SHARED}",
    f"ip link set {SHARED} down",
    f"ip route flush dev {SHARED}",
    f"tc qdisc del dev {SHARED} clsact",
    f"tc filter del dev {SHARED} ingress chain 1",
    f"tc filter del dev {SHARED} egress chain 1",
    f"tc filter del dev {SHARED} ingress chain 0; tc filter del dev {SHARED} egress chain 0"])
def test_what_somebody_takes_away_is_made_again(host, clients, damage):
    host.start(LOOK, expected=["somebody has", "has vanished"])
    tunnels = [host.tunnel("ipip", node).up() for node in clients(2)]
    before = host.holders()
    assert all(tunnel.ping() for tunnel in tunnels)
    host.ns.run(["bash", "-ec", damage])
    for tunnel in tunnels:
        wait.until(lambda t=tunnel: t.ping(seconds=1), SECONDS, damage)
        assert tunnel.visit() == host.address
    wait.until(lambda: host.holders() == before, SECONDS)


@SHARES
def test_servers_of_either_mode_take_over_the_others_peers(host, clients):
    tunnels = []
    server = host.start("--ipip-mode=interface")
    nodes = clients(3)
    tunnels = [host.tunnel(kind, node).up() for kind, node in zip(("ipip", "ipip", "wireguard"), nodes)]
    before = host.holders()
    for mode in "shared", "interface":
        server.kill()
        server = host.start(f"--ipip-mode={mode}")
        assert server.logged(r"info .*2 IPIP peers")
        assert host.holders() == before
        assert len(host.ipip_links()) == (2 if mode == "interface" else 0)
        assert (SHARED in host.links()) == (mode == "shared")
        for tunnel in tunnels:
            wait.until(lambda t=tunnel: t.ping(seconds=1), SECONDS, f"{tunnel.kind}, {mode}")
            assert tunnel.visit() == host.address
        assert tunnels[0].request().inner == tunnels[0].inner


@SHARES
def test_a_clean_stop_leaves_nothing_and_a_killed_server_is_cleaned_up(host, client):
    before = host.snapshot()
    server = host.start()
    tunnel = host.tunnel("ipip", client).up()
    assert tunnel.ping()
    server.stop()
    host.assert_same(before)
    tunnel.down()
    server = host.start()
    assert tunnel.up().ping()
    server.kill()
    status, said = host.run("clean", seconds=60)
    assert status == 0, said
    assert SHARED not in host.links()


@SHARES
def test_one_address_that_goes_takes_its_peers_and_leaves_the_others(host, clients):
    server = host.start(TWO, ips=[host.address, host.second])
    first, second = clients(2)
    mine = host.tunnel("ipip", first, host.address).up()
    gone = host.tunnel("ipip", second, host.second).up()
    assert mine.ping() and gone.ping()
    server.kill()
    host.start(TWO)
    assert not host.sharers(1) and list(host.holders()) == [mine.inner]
    assert mine.ping() and not gone.ping(seconds=1)
    assert gone.inner not in host.ns.run(f"ip route show dev {SHARED}")


def refused(host):
    return host.shown()["refused_packets"]["spoofed"]


@SHARES
def test_another_s_inner_address_is_counted_as_spoofed(world, host, clients):
    """Once each, also by the next server, which begins at nought."""
    server = host.start()
    mine, other = [host.tunnel("ipip", node).up() for node in clients(2)]
    forged = [packets.ipip(mine.node.address, host.address, datagram(other.inner, b"%d" % i))
              for i in range(N_FORGED)]
    assert mine.ping() and refused(host) == 0
    capture.send_routed(mine.ns, *forged)
    wait.until(lambda: refused(host) == N_FORGED, what=lambda: f"{refused(host)} are counted")
    assert mine.ping() and refused(host) == N_FORGED
    server.kill()
    host.start()
    before = refused(host)
    assert before in (0, N_FORGED)
    capture.send_routed(mine.ns, forged[0])
    wait.until(lambda: refused(host) == before + 1, what=lambda: f"{refused(host)} are counted")


@SHARES
def test_an_external_interface_of_somebody_else_is_named(host):
    host.ns.ip("link add foreign type ipip external")
    server = host.launch(expected=["foreign"])
    assert server.process.wait(60) != 0
    assert server.logged(r"error .*foreign is an external ipip interface.*--ipip-mode=interface")
    host.ns.run("ip link del foreign")


@pytest.mark.only("embedded", reason="it is for the kernel's plane")
def test_the_embedded_plane_refuses_the_mode_and_says_what_to_do(host):
    if host.world.kernel_has_both:
        pytest.skip("this kernel has WireGuard and IPIP, so that --plane=auto would take it")
    server = host.launch("--ipip-mode=shared --plane=auto", expected=["--ipip-mode"])
    assert server.process.wait(60) == 1, "where the plane is named the command line is wrong: test_command_line.py"
    assert server.logged(r"error .*--ipip-mode=shared is for --plane=kernel: leave it out")
    assert not host.links().keys() & {SHARED, "vprox0"}
