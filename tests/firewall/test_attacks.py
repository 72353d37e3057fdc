"""Every attack succeeds without the rule that is there against it, and fails with it."""

import contextlib
import socket

import pytest
from attack import (BIND, BIND_1, GATEWAY, METADATA, NO_IPIP, OTHER, OTHER_PEERS, PEER_1, PEER_2,
                    PEER_OTHER, PEER_WG, PROTOCOLS, TO_HOST, TO_TUNNEL, VICTIM, WEB, WG_PORT,
                    arrives_outside, echo_is_answered, echo_leaves, eventually, holds, listening,
                    numbers, receives)
from conftest import INTERNET, SERVER, sh
from lib.capture import Capture, RawReceiver, Tun, send_routed
from lib.packets import (ACK, ECHO_REPLY, FIN, ICMP, IPIP, SYN, TCP, UDP, UNREACHABLE, fragments,
                         icmp_echo, ipip, ipv4, tcp, udp)

# 1. The inner source is the peer's own


def test_a_peers_own_source_passes_to_the_internet_and_to_the_server(world):
    world.load()
    assert eventually(echo_leaves, world, "vp0-1", PEER_1)
    assert eventually(echo_leaves, world, "vprox0", PEER_WG)
    assert eventually(echo_is_answered, world, "vp0-1", PEER_1, GATEWAY)
    assert eventually(echo_is_answered, world, "vprox0", PEER_WG, GATEWAY)


def test_another_peers_source_is_dropped_in_transit(world):
    holds(world, lambda w: echo_leaves(w, "vp0-1", PEER_2), "fib saddr . iif oif missing")


def test_a_wireguard_peers_source_is_dropped_from_an_ipip_tunnel(world):
    holds(world, lambda w: echo_leaves(w, "vp0-1", PEER_WG), "fib saddr . iif oif missing")


def test_another_peers_source_is_dropped_on_the_way_to_the_server(world):
    holds(world, lambda w: echo_is_answered(w, "vp0-1", PEER_2, GATEWAY, out="vp0-2"),
          "fib saddr . iif oif missing")


def test_spoofed_fragments_are_dropped(world):
    def attack(w):
        data = bytes(64)
        with Capture(INTERNET, "eth0") as seen:
            for piece in fragments(ipv4(PEER_2, WEB, UDP, udp(next(numbers), 53, data))):
                w.tuns["vp0-1"].send(piece)
            return seen.find(lambda p: not p.outgoing and p.dst == WEB)

    holds(world, attack, "fib saddr . iif oif missing")


def test_a_default_routed_source_is_dropped_from_an_ipip_tunnel(world):
    holds(world, lambda w: echo_leaves(w, "vp0-1", "8.8.8.8"),
          "fib saddr . iif oif missing", "ip saddr != 10.100.0.0/20 counter")


def test_a_source_outside_the_block_is_dropped_from_a_wireguard_tunnel(world):
    holds(world, lambda w: echo_leaves(w, "vprox0", "8.8.8.8"), "ip saddr != 10.100.0.0/20 counter")


def test_a_source_of_another_endpoints_block_is_dropped(world):
    holds(world, lambda w: echo_leaves(w, "vprox0", PEER_OTHER), "ip saddr != 10.100.0.0/20 counter")


# As src/plane/names.h has them.
SHARED, MARK, PEER_SHARED = "vprox-ipip", "0x76707270", "10.100.0.50"


@pytest.fixture(name="shared")
def fixture_shared(world):
    """The interface that IPIP peers share, with one peer; and a rule that marks what comes from
    that address or a fragment, as the interface's filters do."""
    world.tuns[SHARED] = Tun(SERVER, SHARED)
    sh(SERVER, f"ip link set {SHARED} mtu 1420 up")
    sh(SERVER, f"ip route add {PEER_SHARED}/32 dev {SHARED} scope link")
    yield f"table ip marks {{ chain c {{ type filter hook prerouting priority -460; iifname {SHARED} meta mark set {MARK}; }}; }}"
    sh(SERVER, "nft delete table ip marks", check=False)
    world.tuns.pop(SHARED).close()


def echo_of_shared_leaves(world, source=PEER_SHARED):
    return echo_leaves(world, SHARED, source)


def test_what_no_filter_has_marked_is_dropped_from_the_shared_interface(world, shared):
    mode = ["--ipip-mode=shared"]
    unmarked = f"meta mark != {MARK} counter"
    holds(world, echo_of_shared_leaves, unmarked, flags=mode)
    sh(SERVER, ["nft", shared])
    assert eventually(echo_of_shared_leaves, world)


def test_a_marked_packet_needs_the_source_of_a_peer_and_is_marked_no_more(world, shared):
    mode = ["--ipip-mode=shared"]
    sh(SERVER, ["nft", shared])
    holds(world, lambda w: echo_of_shared_leaves(w, PEER_1), "fib saddr . iif oif missing", flags=mode)
    # A policy rule of somebody's that goes by this mark.
    sh(SERVER, f"ip rule add fwmark {MARK} unreachable pref 50")
    try:
        assert eventually(echo_of_shared_leaves, world)
        world.load(flags=mode, without=["meta mark set 0x00000000"])
        assert not echo_of_shared_leaves(world)
    finally:
        sh(SERVER, "ip rule del pref 50")


def test_unmarked_fragments_are_not_put_together(world, shared):
    mode = ["--ipip-mode=shared"]

    def attack(w):
        with Capture(INTERNET, "eth0") as seen:
            for piece in fragments(ipv4(PEER_SHARED, WEB, UDP, udp(next(numbers), 53, bytes(64)))):
                w.tuns[SHARED].send(piece)
            return seen.find(lambda p: not p.outgoing and p.dst == WEB)
    holds(world, attack, f"meta mark != {MARK}", flags=mode)
    sh(SERVER, ["nft", shared])
    assert eventually(attack, world)


def test_without_the_mode_nothing_comes_in_by_an_interface_of_that_name(world, shared):
    world.load()
    sh(SERVER, ["nft", shared])
    assert not echo_of_shared_leaves(world)


@pytest.mark.parametrize("source", [GATEWAY, BIND, "127.0.0.1", "0.0.0.0"])
def test_the_servers_own_addresses_are_no_source(world, source):
    # accept_local and route_localnet: else the kernel drops these by itself.
    for key in "accept_local", "route_localnet":
        sh(SERVER, f"sysctl -qw net.ipv4.conf.vp0-1.{key}=1")
    try:
        world.load()
        assert not echo_leaves(world, "vp0-1", source)
        with listening(SERVER, "0.0.0.0", 7777) as s:
            world.tuns["vp0-1"].send(ipv4(source, GATEWAY, UDP, udp(1, 7777, b"spoofed")))
            assert receives(s) is None
            if source in (GATEWAY, BIND):
                world.load(without=["fib saddr . iif oif missing", TO_HOST,
                                    "ip saddr != 10.100.0.0/20 counter"])
                world.tuns["vp0-1"].send(ipv4(source, GATEWAY, UDP, udp(1, 7777, b"spoofed")))
                assert receives(s) == b"spoofed"
    finally:
        for key in "accept_local", "route_localnet":
            sh(SERVER, f"sysctl -qw net.ipv4.conf.vp0-1.{key}=0")


def test_a_hosts_own_rule_for_the_block_does_not_break_the_check(world):
    """What policy_rules.h is there for: shown here by hand."""
    world.load()
    sh(SERVER, "ip route add default via 192.0.2.254 table 7")
    sh(SERVER, "ip rule add to 10.0.0.0/8 lookup 7 pref 1000")
    try:
        assert not echo_leaves(world, "vp0-1", PEER_1)
        sh(SERVER, "ip rule add to 10.100.0.0/16 lookup main pref 100")
        assert eventually(echo_leaves, world, "vp0-1", PEER_1)
    finally:
        sh(SERVER, "ip rule del pref 1000", check=False)
        sh(SERVER, "ip rule del pref 100", check=False)
        sh(SERVER, "ip route flush table 7")


def test_a_device_that_checks_its_peers_itself_may_send_for_all_of_its_block(world):
    world.load()
    assert eventually(echo_leaves, world, "vprox0", PEER_1)
    assert eventually(echo_is_answered, world, "vprox0", PEER_WG, GATEWAY)
    assert not echo_leaves(world, "vprox0", "8.8.8.8")


@pytest.mark.parametrize("interface,source", [("vp0-1", PEER_1), ("vprox0", PEER_WG)])
def test_the_hosts_loopback_cannot_be_reached(world, interface, source):
    def attack(w):
        with listening(SERVER, "127.0.0.1", 7777) as s:
            w.tuns[interface].send(ipv4(source, "127.0.0.1", UDP, udp(1, 7777, b"in")))
            return receives(s)

    sh(SERVER, f"sysctl -qw net.ipv4.conf.{interface}.route_localnet=1")
    holds(world, attack, ("127.0.0.0/8, ", ""), TO_HOST)


@pytest.mark.parametrize("destination", ["255.255.255.255", "203.0.113.255", "10.100.15.255"])
def test_broadcasts_from_tunnels_reach_nobody(world, destination):
    def attack(w):
        with listening(SERVER, "0.0.0.0", 7777) as s:
            w.tuns["vp0-1"].send(ipv4(PEER_1, destination, UDP, udp(1, 7777, b"in")))
            return receives(s)

    holds(world, attack, "fib daddr type { broadcast, multicast } drop", (", 255.255.255.255", ""),
          TO_HOST)


def test_multicast_from_tunnels_reaches_nobody(world):
    def attack(w):
        with listening(SERVER, "0.0.0.0", 5353) as s:
            index = sh(SERVER, "cat /sys/class/net/vp0-1/ifindex")
            group = socket.inet_aton("224.0.0.251") + bytes(4) + int(index).to_bytes(4, "little")
            s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            w.tuns["vp0-1"].send(ipv4(PEER_1, "224.0.0.251", UDP, udp(1, 5353, b"in")))
            return receives(s)

    holds(world, attack, "fib daddr type { broadcast, multicast } drop", ("224.0.0.0/4, ", ""),
          TO_HOST)


# 2. A source of the block comes from a tunnel or nowhere


def test_a_neighbour_cannot_use_the_servers_address(world):
    def attack(w):
        ident = next(numbers)
        with Capture(INTERNET, "eth0") as seen:
            w.send_from_lan(ipv4("10.100.0.9", WEB, ICMP, icmp_echo(ident, data=b"%d" % ident)))
            return seen.find(lambda p: p.src == BIND and p.proto == ICMP
                             and p.data == b"%d" % ident)

    holds(world, attack, 'iifname != "lo" ip saddr 10.100.0.0/16 counter')


def test_a_neighbour_cannot_speak_to_the_server_as_a_peer(world):
    def attack(w):
        with listening(SERVER, "0.0.0.0", 7777) as s:
            w.send_from_lan(ipv4("10.100.0.9", BIND, UDP, udp(1, 7777, b"in")))
            return receives(s)

    holds(world, attack, 'iifname != "lo" ip saddr 10.100.0.0/16 counter')


def test_the_server_reaches_its_own_inner_address(world):
    world.load()
    sh(SERVER, f"ping -c1 -W1 {GATEWAY}")
    sh(SERVER, f"ping -c1 -W1 -I {GATEWAY} {BIND}")


# 3. From outside only answers reach tunnels


def test_answers_reach_the_tunnel_that_asked(world):
    world.load()
    world.tuns["vp0-1"].send(ipv4(PEER_1, WEB, ICMP, icmp_echo(77)))
    answer = world.tuns["vp0-1"].first(lambda p: p.proto == ICMP and p.icmp_type == ECHO_REPLY)
    assert (answer.src, answer.dst) == (WEB, PEER_1)


def test_an_error_about_a_flow_reaches_its_tunnel(world):
    world.load()
    world.tuns["vp0-1"].send(ipv4(PEER_1, WEB, UDP, udp(3333, 9)))
    error = world.tuns["vp0-1"].first(lambda p: p.proto == ICMP and p.icmp_type == UNREACHABLE)
    assert (error.inner.src, error.inner.dst) == (PEER_1, WEB)


@pytest.mark.parametrize("interface,peer", [("vp0-1", PEER_1), ("vprox0", PEER_WG)])
def test_nobody_outside_opens_a_flow_into_a_tunnel(world, interface, peer):
    def attack(w):
        w.send_from_lan(ipv4(WEB, peer, UDP, udp(next(numbers), 22)))
        return w.tuns[interface].find(lambda p: p.dst == peer and p.proto == UDP)

    holds(world, attack, "ct state != { established, related } counter")


@pytest.mark.parametrize("out,other", OTHER_PEERS)
def test_peers_do_not_reach_each_other(world, out, other):
    def attack(w):
        w.tuns["vp0-1"].send(ipv4(PEER_1, other, UDP, udp(next(numbers), 22)))
        return w.tuns[out].find(lambda p: p.dst == other and p.proto == UDP)

    # All addresses of tunnels are private ones, too.
    holds(world, attack, TO_TUNNEL, "jump to_network")


@pytest.mark.parametrize("out,other", OTHER_PEERS)
def test_where_peers_may_reach_each_other_they_do_so_by_their_own_addresses(world, out, other):
    world.load(flags=["--allow-peer-to-peer"])
    world.tuns["vp0-1"].send(ipv4(PEER_1, other, UDP, udp(next(numbers), 22)))
    assert world.tuns[out].first(lambda p: p.dst == other).src == PEER_1


def test_the_hosts_credentials_cannot_be_reached(world):
    def attack(w):
        return echo_leaves(w, "vp0-1", PEER_1, dst=METADATA)

    holds(world, attack, (", 169.254.0.0/16", ""))
    world.load(flags=["--allow-link-local"])
    assert eventually(attack, world)


# 4. Peers cannot capture each other's outer traffic

PLAIN_SNAT = ("chain source_nat {",
              "chain source_nat {\n\t\tsnat to ip saddr map @bind_of")


@pytest.mark.parametrize("proto,port", [(UDP, WG_PORT), (UDP, WG_PORT + 1), (UDP, 65535),
                                        (TCP, 443), (TCP, WG_PORT)])
def test_no_peers_flow_has_a_source_port_of_the_servers(world, proto, port):
    def attack(w):
        payload = udp(port, 51820) if proto == UDP else tcp(port, 51820)
        return arrives_outside(w, "vp0-1", ipv4(PEER_1, VICTIM, proto, payload),
                               lambda p: p.proto == proto and p.src == BIND and p.sport == port)

    holds(world, attack, PLAIN_SNAT)


def test_other_source_ports_are_kept_where_they_are_free(world):
    world.load()
    assert eventually(arrives_outside, world, "vp0-1", ipv4(PEER_1, VICTIM, UDP, udp(8000, 51820)),
                      lambda p: p.proto == UDP and p.sport == 8000)
    other = ipv4("10.100.0.18", VICTIM, UDP, udp(8000, 51820))  # with the same ones to have
    assert eventually(arrives_outside, world, "vprox0", other,
                      lambda p: p.proto == UDP and 1024 <= p.sport <= 50226 and p.sport != 8000)


def test_a_victims_wireguard_packets_are_not_handed_to_a_peer(world):
    def attack(w):
        port = next(numbers)
        with Capture(INTERNET, "eth0") as seen:
            w.tuns["vp0-1"].send(ipv4(PEER_1, VICTIM, UDP, udp(WG_PORT, port)))
            seen.find(lambda p: p.dst == VICTIM and p.proto == UDP)
        w.send_from_lan(ipv4(VICTIM, BIND, UDP, udp(port, WG_PORT, b"secret")))
        return w.tuns["vp0-1"].find(lambda p: p.proto == UDP and p.data == b"secret")

    # Each of the two rules is enough by itself.
    world.load(without=[PLAIN_SNAT, "ip daddr . udp dport @listeners notrack"])
    assert eventually(attack, world)
    holds_with = [[PLAIN_SNAT], ["ip daddr . udp dport @listeners notrack"], []]
    for without in holds_with:
        world.load(without=without)
        with listening(SERVER, BIND, WG_PORT) as wireguard:
            assert not attack(world)
            assert receives(wireguard) == b"secret"


def test_a_victims_ipip_packets_are_not_handed_to_a_peer(world):
    inner = ipv4("10.100.0.3", WEB, UDP, udp(1, 2, b"secret"))

    def attack(w):
        w.tuns["vp0-1"].send(ipv4(PEER_1, VICTIM, IPIP, inner))
        w.send_from_lan(ipip(VICTIM, BIND, inner))
        return w.tuns["vp0-1"].find(lambda p: p.src == VICTIM and p.proto == IPIP)

    notrack = "ip daddr @binds ip protocol 4 notrack"
    world.load(without=[notrack, NO_IPIP, PROTOCOLS])
    assert eventually(attack, world)
    for without in [notrack], [NO_IPIP, PROTOCOLS], [NO_IPIP], [PROTOCOLS], []:
        world.load(without=without)
        with RawReceiver(SERVER, IPIP) as ipip_device:
            assert not attack(world)
            ipip_device.first(lambda p: p.src == VICTIM)


def test_no_peer_speaks_ipip_to_a_victim_as_the_server(world):
    inner = ipv4(WEB, "10.100.0.3", UDP, udp(1, 2, b"forged"))
    holds(world, lambda w: arrives_outside(w, "vp0-1", ipv4(PEER_1, VICTIM, IPIP, inner),
                                           lambda p: p.src == BIND and p.proto == IPIP),
          NO_IPIP, PROTOCOLS)


def test_no_outer_packet_comes_out_of_a_tunnel(world):
    """A WireGuard peer whose packets come through another tunnel could make one chase the other."""
    def attack(w):
        with listening(SERVER, "0.0.0.0", WG_PORT) as wireguard:
            w.tuns["vp0-1"].send(ipv4(PEER_1, BIND, UDP, udp(1, WG_PORT, b"nested")))
            return receives(wireguard)

    holds(world, attack, "ip daddr . udp dport @listeners drop", TO_HOST)


def test_outer_packets_are_not_tracked_in_either_direction(world):
    world.load()
    with listening(SERVER, BIND, WG_PORT) as wireguard:
        world.send_from_lan(ipv4(VICTIM, BIND, UDP, udp(9, WG_PORT, b"in")))
        assert receives(wireguard) == b"in"
        wireguard.sendto(b"out", (VICTIM, 9))
    send_routed(SERVER, ipip(BIND, VICTIM, ipv4("10.100.0.1", "10.100.0.3", ICMP, icmp_echo())))
    tracked = sh(SERVER, "conntrack -L", check=False)
    assert VICTIM not in tracked


# 5. Source NAT


def test_each_endpoints_traffic_leaves_with_its_own_address(world):
    world.load(flags=["--allow-protocol=47"])
    for interface, peer, bind in (("vp0-1", PEER_1, BIND), ("vprox0", PEER_WG, BIND),
                                  ("vp1-1", PEER_OTHER, BIND_1)):
        # A protocol without ports has one flow between two addresses: to each its own destination.
        to = peer.replace("10.100", "198.51")
        for payload, proto in ((udp(5000, 53), UDP), (tcp(5000, 80), TCP), (icmp_echo(5), ICMP),
                               (b"\0" * 8, 47)):
            assert eventually(arrives_outside, world, interface, ipv4(peer, to, proto, payload),
                              lambda p: p.dst == to and p.proto == proto and p.src == bind)


def test_the_address_stays_the_same_when_the_route_moves(world):
    world.load()
    sh(SERVER, f"ip route add {WEB} via 192.0.2.254")
    try:
        assert eventually(arrives_outside, world, "vp0-1", ipv4(PEER_1, WEB, UDP, udp(5001, 53)),
                          lambda p: p.src == BIND and p.dst == WEB, link="eth1")
    finally:
        sh(SERVER, f"ip route del {WEB}")


def test_another_tables_masquerade_does_not_come_first(world):
    world.load()
    sh(SERVER, "nft -f -", input='''table ip other { chain post {
        type nat hook postrouting priority srcnat; oifname "eth0" snat to 203.0.113.9
        }
        }''')
    try:
        assert eventually(arrives_outside, world, "vp0-1", ipv4(PEER_1, WEB, UDP, udp(5002, 53)),
                          lambda p: p.src == BIND and p.dst == WEB)
    finally:
        sh(SERVER, "nft delete table ip other")


def test_what_nat_leaves_alone_does_not_leave(world):
    """Connection tracking calls such a packet invalid."""
    def attack(w):
        impossible = ipv4(PEER_1, WEB, TCP, tcp(next(numbers), 80, SYN | FIN))
        return arrives_outside(w, "vp0-1", impossible, lambda p: p.src == PEER_1)

    holds(world, attack, "ip saddr 10.100.0.0/16 drop")


def test_while_a_new_tables_sets_are_not_filled_yet_nothing_comes_out_of_a_tunnel(world):
    """As the kernel fills those of intervals last, for some microseconds when it replaces a table.
    A first packet that passed then would leave with its inner address, and so would not be
    changed later: its connection could not be made."""
    world.load(without=[
        ('elements = { "vprox0", "vp0-*", "vprox1", "vp1-*" }', ""),
        ("elements = { 10.100.0.0/20, 10.100.16.0/20 }", ""),
        ("elements = { 10.100.0.0/20 : 203.0.113.1, 10.100.16.0/20 : 203.0.113.2 }", ""),
        ('elements = { "vprox0" : goto device_0, "vp0-*" : goto ipip_0, '
         '"vprox1" : goto device_1, "vp1-*" : goto ipip_1 }', "")])
    assert not echo_leaves(world, "vp0-1", PEER_1)
    assert not echo_is_answered(world, "vp0-1", PEER_1, BIND)
    world.load()
    assert eventually(echo_leaves, world, "vp0-1", PEER_1)


# 6. MSS


@pytest.mark.parametrize("interface,peer,mtu", [("vp0-1", PEER_1, 1400), ("vprox0", PEER_WG, 1420)])
def test_the_mss_is_clamped_in_both_directions(world, interface, peer, mtu):
    sh(SERVER, "ip link set vp0-1 mtu 1400")

    def outward(w):
        syn = ipv4(peer, WEB, TCP, tcp(next(numbers), 80, SYN, mss=1460))
        return arrives_outside(w, interface, syn,
                               lambda p: p.proto == TCP and p.flags == SYN and p.mss != mtu - 40)

    def inward(w):
        port = next(numbers)
        with Capture(INTERNET, "eth0") as seen:
            w.tuns[interface].send(ipv4(peer, "198.51.100.50", TCP, tcp(port, 80, SYN, mss=1000)))
            syn = seen.first(lambda p: p.dst == "198.51.100.50")
        answer = tcp(80, syn.sport, SYN | ACK, 9, syn.seq + 1, mss=1460)
        w.send_from_lan(ipv4("198.51.100.50", BIND, TCP, answer))
        answer = w.tuns[interface].first(lambda p: p.proto == TCP and p.sport == 80)
        return answer.mss != mtu - 40

    holds(world, outward, "tcp option maxseg size set rt mtu")
    holds(world, inward, "tcp option maxseg size set rt mtu")


def test_a_small_mss_is_left_as_it_is(world):
    world.load()
    syn = ipv4(PEER_1, WEB, TCP, tcp(next(numbers), 80, SYN, mss=900))
    assert eventually(arrives_outside, world, "vp0-1", syn,
                      lambda p: p.proto == TCP and p.mss == 900)


# 7. WireGuard answers from its own address


def test_wireguard_does_not_answer_from_another_address(world):
    def attack(w, address=OTHER, port=WG_PORT):
        with Capture(INTERNET, "eth0") as seen, listening(SERVER, address, port) as wireguard:
            with contextlib.suppress(PermissionError):
                wireguard.sendto(b"answer", (VICTIM, 9))
            return seen.find(lambda p: p.src == address and p.sport == port)

    source = "udp sport @ports ip saddr . udp sport != @listeners ip saddr set"
    drop = "udp sport @ports ip saddr . udp sport != @listeners drop"
    holds(world, attack, source, drop)
    world.load(without=[source])
    assert not attack(world), "what has not its source set is dropped"
    world.load()
    assert eventually(attack, world, BIND), "it may speak from its own"
    assert eventually(attack, world, BIND_1, WG_PORT + 1)
    assert not attack(world, BIND_1), "the port is the other endpoint's"
    assert eventually(attack, world, OTHER, 4000), "other programs are left alone"


def test_what_wireguard_sends_from_the_routes_address_gets_its_own(world):
    """As the handshake that gives a peer back to a new device, which nothing has come before of."""
    def leaves(w, address=BIND, port=WG_PORT):
        with Capture(INTERNET, "eth0") as seen, listening(SERVER, OTHER, port) as wireguard:
            with contextlib.suppress(PermissionError):
                wireguard.sendto(b"handshake", (VICTIM, 9))
            return seen.find(lambda p: p.src == address and p.sport == port)

    world.load(without=["ip saddr set udp sport map"])
    assert not leaves(world)
    world.load()
    assert eventually(leaves, world)
    assert eventually(leaves, world, BIND_1, WG_PORT + 1)
    sh(SERVER, f"ip addr del {BIND_1}/32 dev eth0")
    try:
        # The address has gone to another host.
        holds(world, lambda w: leaves(w, BIND_1, WG_PORT + 1), ("fib saddr type != local drop", ""))
    finally:
        sh(SERVER, f"ip addr add {BIND_1}/32 broadcast + dev eth0")


# 8. No news that nobody listens for protocol 4


def test_nobody_learns_that_protocol_4_is_not_listened_to(world):
    def attack(w, destination=BIND, proto=IPIP):
        with Capture(INTERNET, "eth0") as seen:
            w.send_from_lan(
                ipv4(VICTIM, destination, proto, ipv4("10.100.0.3", GATEWAY, ICMP, icmp_echo())))
            return seen.find(lambda p: p.proto == ICMP and p.icmp_type == UNREACHABLE
                             and p.inner.proto == proto)

    sh(SERVER, "sysctl -qw net.ipv4.icmp_ratelimit=0")
    holds(world, attack, "icmp type destination-unreachable")
    assert eventually(attack, world, OTHER), "other addresses are left alone"
    assert eventually(attack, world, BIND, 47), "other protocols are left alone"


# The control plane, and the firewall as a whole


def test_the_control_plane_can_be_reached_out_of_a_tunnel(world):
    """It answers 403 there: the address it sees is the inner one."""
    world.load()
    with listening(SERVER, BIND, 443, socket.SOCK_STREAM) as server:
        server.listen()
        port = next(numbers)
        world.tuns["vp0-1"].send(ipv4(PEER_1, BIND, TCP, tcp(port, 443, SYN, 100)))
        answer = world.tuns["vp0-1"].first(lambda p: p.proto == TCP and p.flags == SYN | ACK)
        world.tuns["vp0-1"].send(ipv4(PEER_1, BIND, TCP, tcp(port, 443, ACK, 101, answer.seq + 1)))
        connection, source = server.accept()
        connection.close()
        assert source == (PEER_1, port)


def test_names_that_only_look_like_a_tunnels_are_none(world):
    sh(SERVER, "ip tuntap add vp0x mode tun")
    try:
        world.load()
        sh(SERVER, "ip link set vp0x up")
        sh(SERVER, "ip route add 10.200.0.1/32 dev vp0x")
        with Capture(SERVER, "vp0x") as seen:
            world.tuns["vp0-1"].send(ipv4(PEER_1, "10.200.0.1", UDP, udp(1, 2)))
            # Sent by the server, and no tunnel: as any other interface.
            assert not seen.find(lambda p: p.src == PEER_1)
    finally:
        sh(SERVER, "ip link del vp0x")
