"""docs/decisions.md, "The firewall", point by point: attacks with real packets by clients that have a real
tunnel, and that what is right passes."""

import os
import signal
import socket
import time

import pytest

from lab import echo
from lab.tunnels import random_key
from lab.world import NEIGHBOUR
from lib import wait
from lib.capture import Capture, mac_of, send, send_routed
from lib.packets import (ACK, FIN, ICMP, IPIP, PSH, SYN, TCP, UDP, ipv4, syn_packet, tcp,
                         udp_packet)

pytestmark = pytest.mark.plane

HOST_PORT = 7001
LINK_LOCAL = "169.254.169.254"
WATCHED_SECONDS = 0.5  # for what must not arrive, once what is sent after it has


@pytest.fixture(scope="module", name="server")
def fixture_server(shared_host):
    """One that lets clients reach a service of the host, where the tests listen."""
    return shared_host.start(f"--reap-interval=1h --allow-to-host={HOST_PORT}",
                             gates=os.cpu_count())


@pytest.fixture(scope="module", name="neighbour")
def fixture_neighbour(world, shared_host):
    neighbour = world.add_neighbour(shared_host)
    yield neighbour
    neighbour.remove()


@pytest.fixture(name="other")
def fixture_other(shared_host, server, other_client):
    """Another client's tunnel: the victim."""
    tunnel = shared_host.tunnel("ipip", other_client).up()
    yield tunnel


class HostListener:
    """What UDP datagrams the host itself gets, on any address."""

    def __init__(self, host):
        self.socket = host.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.bind(("0.0.0.0", HOST_PORT))
        self.socket.setblocking(False)
        self.got = []

    def look(self):
        while True:
            try:
                self.got.append(self.socket.recv(2048))
            except BlockingIOError:
                return self.got


@pytest.fixture(name="listener")
def fixture_listener(shared_host, server):
    listener = HostListener(shared_host)
    yield listener
    listener.socket.close()


def marker(what):
    return b"%s-%s" % (what.encode(), os.urandom(6).hex().encode())


def arrived(world, payload):
    return any(data == payload for data, _ in world.echo.datagrams)


# 1. The inner source is the peer's own

def false_sources(host, own, other):
    return {
        "another peer's address": other.inner,
        "an address nobody holds": "10.100.200.200",
        "the server's inner address": own.gateway,
        "the server's outer address": host.address,
        "another address of the host": host.second,
        "a loopback address": "127.0.0.1",
        "the client's outer address": own.node.address,
        "the victim's outer address": other.node.address,
        "somebody on the Internet": "198.51.100.99",
        "the network's address": "10.100.0.0",
        "no address": "0.0.0.0",
        "everybody": "255.255.255.255",
        "a multicast address": "224.0.0.9",
    }


@pytest.mark.sanitize
def test_a_false_inner_source_is_dropped_in_transit_and_the_right_one_passes(
        world, shared_host, tunnel, other):
    sources = false_sources(shared_host, tunnel, other)
    sent = {what: marker("transit") for what in sources}
    right = marker("right")
    with Capture(world.internet) as sniffer:
        send(tunnel.ns, tunnel.device, *[
            udp_packet(source, echo.VISITED, 4000, echo.UDP_PORT, sent[what])
            for what, source in sources.items()])
        send(tunnel.ns, tunnel.device,
             udp_packet(tunnel.inner, echo.VISITED, 4000, echo.UDP_PORT, right))
        assert wait.until(lambda: arrived(world, right))
        time.sleep(WATCHED_SECONDS)
        # Outside of any tunnel; the outer packets of the tunnels themselves pass here too.
        clear = [p for p in sniffer.look() if p.proto == UDP
                 and echo.UDP_PORT in p.ports]
    passed = [what for what in sources if any(sent[what] in p.raw for p in clear)]
    assert passed == []


def test_false_inner_sources_are_dropped_before_they_reach_the_host(
        shared_host, tunnel, other, listener):
    sources = false_sources(shared_host, tunnel, other)
    sent = {(what, to): marker("host") for what in sources
            for to in (tunnel.gateway, shared_host.address)}
    send(tunnel.ns, tunnel.device, *[
        udp_packet(sources[what], to, 4000, HOST_PORT, payload)
        for (what, to), payload in sent.items()])
    right = {to: marker("right") for to in (tunnel.gateway, shared_host.address)}
    send(tunnel.ns, tunnel.device, *[
        udp_packet(tunnel.inner, to, 4000, HOST_PORT, payload) for to, payload in right.items()])
    assert wait.until(lambda: set(right.values()) <= set(listener.look()))
    time.sleep(WATCHED_SECONDS)
    assert [what for what, payload in sent.items() if payload in listener.look()] == []


@pytest.mark.interop
def test_false_inner_sources_are_dropped_in_fragments_too(world, shared_host, tunnel, other):
    evil, right = marker("fragment"), marker("fragment")
    with Capture(world.internet) as sniffer:
        for source, payload in ((other.inner, evil), (tunnel.inner, right)):
            whole = udp_packet(source, echo.VISITED, 4000, echo.UDP_PORT,
                               payload.ljust(24, b"."))[20:]
            send(tunnel.ns, tunnel.device, *[
                ipv4(source, echo.VISITED, UDP, whole[:16], more_fragments=True),
                ipv4(source, echo.VISITED, UDP, whole[16:], offset=16)])
        assert wait.until(lambda: any(data.startswith(right) for data, _ in world.echo.datagrams))
        assert not any(data.startswith(evil) for data, _ in world.echo.datagrams)
        assert not [p for p in sniffer.look() if p.src == other.inner and p.proto == UDP]


def test_a_clients_packets_do_not_reach_the_hosts_loopback_or_everybody(
        shared_host, tunnel, listener):
    # As on hosts with services that are forwarded to loopback.
    shared_host.ns.sysctl(net__ipv4__conf__all__route_localnet=1)
    targets = ["127.0.0.1", "127.1.2.3", "224.0.0.1", "255.255.255.255", "10.100.255.255"]
    sent = {to: marker("to") for to in targets}
    send(tunnel.ns, tunnel.device, *[
        udp_packet(tunnel.inner, to, 4000, HOST_PORT, payload) for to, payload in sent.items()])
    right = marker("right")
    send(tunnel.ns, tunnel.device,
         udp_packet(tunnel.inner, tunnel.gateway, 4000, HOST_PORT, right))
    assert wait.until(lambda: right in listener.look())
    assert [to for to, payload in sent.items() if payload in listener.look()] == []
    shared_host.ns.sysctl(net__ipv4__conf__all__route_localnet=0)


def test_an_address_outside_the_block_that_somebody_gave_a_peer_is_dropped(
        world, shared_host, server, client):
    tunnel = shared_host.tunnel("wireguard", client).up()
    shared_host.ns.run(f"wg set vprox0 peer {tunnel.public_key} "
                       f"allowed-ips {tunnel.inner}/32,198.51.100.99/32")
    evil, right = marker("outside"), marker("right")
    send(tunnel.ns, tunnel.device,
         udp_packet("198.51.100.99", echo.VISITED, 4000, echo.UDP_PORT, evil),
         udp_packet(tunnel.inner, echo.VISITED, 4000, echo.UDP_PORT, right))
    assert wait.until(lambda: arrived(world, right))
    time.sleep(WATCHED_SECONDS)
    assert not arrived(world, evil)


def test_a_hosts_own_policy_rules_do_not_break_the_check_of_sources(host, client, kind):
    host.ns.ip("route add default via 203.0.113.1 dev wan0 onlink table 100",
               "rule add from all lookup 100 pref 5000")
    host.start()
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.ping() and tunnel.visit() == host.address


# 2. A block source comes from a tunnel or nowhere

def test_a_neighbour_cannot_leave_with_the_servers_address(
        world, shared_host, server, neighbour, other):
    assert other.visit() == shared_host.address
    evil = [marker("neighbour") for _ in range(3)]
    right = marker("own")
    mac = mac_of(shared_host.ns, "lan0")
    send(neighbour, "eth0", *[
        udp_packet(source, echo.VISITED, 4000, echo.UDP_PORT, payload)
        for source, payload in zip([other.inner, "10.100.0.1", "10.100.9.9"], evil)], mac=mac)
    send(neighbour, "eth0", udp_packet(NEIGHBOUR, echo.VISITED, 4000, echo.UDP_PORT, right),
         mac=mac)
    assert wait.until(lambda: arrived(world, right)), "a neighbour's own traffic is forwarded"
    time.sleep(WATCHED_SECONDS)
    assert not any(arrived(world, payload) for payload in evil)


def test_a_neighbour_cannot_talk_to_the_host_as_a_client(shared_host, neighbour, other, listener):
    mac = mac_of(shared_host.ns, "lan0")
    evil, right = marker("neighbour"), marker("own")
    send(neighbour, "eth0",
         udp_packet(other.inner, "10.100.0.1", 4000, HOST_PORT, evil),
         udp_packet(NEIGHBOUR, "192.0.2.129", 4000, HOST_PORT, right), mac=mac)
    assert wait.until(lambda: right in listener.look())
    assert evil not in listener.look()


# 3. From outside, only answers reach tunnels

def test_nobody_outside_can_reach_into_a_tunnel(world, tunnel, shared_host, neighbour):
    with Capture(tunnel.ns, tunnel.device) as inside:
        evil = [marker("outside"), marker("outside")]
        neighbour.enter(send_datagram, tunnel.inner, evil[0])
        world.internet.ip(f"route replace {tunnel.inner}/32 via {shared_host.address} "
                          f"dev {shared_host.node.name} onlink")
        world.internet.enter(send_datagram, tunnel.inner, evil[1])
        assert echo.ask_udp(tunnel.ns, tunnel.device)[0] == shared_host.address
        assert not any(inside.saw(payload) for payload in evil)
    world.internet.ip(f"route del {tunnel.inner}/32")


def send_datagram(address, payload, port=4001):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(payload, (address, port))


def test_peers_do_not_reach_each_other(tunnel, other):
    with Capture(other.ns, other.device) as inside:
        evil = marker("peer")
        send(tunnel.ns, tunnel.device, udp_packet(tunnel.inner, other.inner, 4000, 4001, evil))
        assert not tunnel.ping(other.inner, seconds=1)
        assert not inside.saw(evil)


@pytest.mark.parametrize("kinds", ["ipip ipip", "ipip wireguard", "wireguard ipip",
                                   "wireguard wireguard"])
def test_peers_reach_each_other_where_it_is_allowed_and_keep_their_addresses(host, clients, kinds):
    host.start("--allow-peer-to-peer")
    first, second = [host.tunnel(kind, node).up() for kind, node in zip(kinds.split(), clients(2))]
    assert second.ping()  # a WireGuard peer must have been heard of to be found
    with Capture(second.ns, second.device) as inside:
        assert first.ping(second.inner)
        assert inside.wait(lambda p: p.src == first.inner and p.dst == second.inner)
    assert first.visit() == host.address


def link_local(world, host):
    """The metadata service of the host's cloud."""
    world.internet.run(f"ip addr add {LINK_LOCAL}/32 dev lo")
    host.ns.run(f"ip route add {LINK_LOCAL}/32 via 203.0.113.1 dev wan0 onlink")


@pytest.mark.parametrize("flag", ["", "--allow-link-local"])
def test_link_local_addresses_are_reached_only_where_it_is_allowed(world, host, client, kind, flag):
    link_local(world, host)
    try:
        host.start(flag)
        tunnel = host.tunnel(kind, client).up()
        assert host.ns.try_run(f"ping -c1 -W15 {LINK_LOCAL}").returncode == 0
        assert tunnel.ping()
        assert tunnel.ping(LINK_LOCAL, seconds=15 if flag else 2) == bool(flag)
        tunnel.down()
    finally:
        world.internet.run(f"ip addr del {LINK_LOCAL}/32 dev lo")


# 4. Peers cannot capture each other's outer traffic

def test_inner_ip_in_ip_captures_no_other_clients_tunnel(tunnel, other, shared_host):
    evil = marker("capture")
    victim = other.node
    with Capture(tunnel.ns, tunnel.device) as attacker, Capture(victim.ns, "eth0") as wire:
        inner = udp_packet("198.51.100.99", other.inner, 53, 4001, evil)
        send(tunnel.ns, tunnel.device, *[
            ipv4(tunnel.inner, victim.address, IPIP, inner)] * 3)
        assert tunnel.ping()  # so that the attack has been dealt with
        assert other.visit() == shared_host.address
        assert other.ping(count=3)
        assert not [p for p in attacker.look() if p.proto == IPIP and p.src == victim.address]
        assert not wire.saw(evil), "it did not even arrive"


def test_a_source_port_of_wireguard_captures_no_other_clients_tunnel(
        tunnel, clients, shared_host, server):
    victim_node, = clients(1)
    victim = shared_host.tunnel("wireguard", victim_node)
    port = 51820
    with Capture(victim_node.ns, "eth0") as wire, Capture(tunnel.ns, tunnel.device) as attacker:
        # As if the server itself talked to the victim, before the victim talks to the server.
        evil = marker("capture")
        send(tunnel.ns, tunnel.device, *[
            udp_packet(tunnel.inner, victim_node.address, 50227, port, evil)] * 3)
        assert wire.wait(lambda p: evil in p.raw), "this much is everybody's right"
        assert {p.ports[0] for p in wire.look() if evil in p.raw} & {443, 50227} == set()
        victim.up(listen_port=port)
        assert victim.ping(count=3) and victim.visit() == shared_host.address
        assert not [p for p in attacker.look() if p.src == victim_node.address
                    and p.proto == UDP]


def test_a_source_port_of_https_captures_no_control_connection(tunnel, clients, shared_host):
    victim, = clients(1)
    # Not one that an earlier client had at this address: the host may remember that connection, and
    # what answers it is dropped below.
    port = {"ipip": 40001, "wireguard": 40002}[tunnel.kind]
    # A host whose firewall does not answer what it did not ask for: the entry would stay.
    victim.ns.run("nft add table ip t '{ chain o { type filter hook output priority 0; "
                  "tcp flags rst drop; }; }'")
    with Capture(victim.ns, "eth0") as wire, Capture(tunnel.ns, tunnel.device) as attacker:
        send(tunnel.ns, tunnel.device, *[
            syn_packet(tunnel.inner, victim.address, 443, port)] * 3)
        syn = wire.wait(lambda p: p.src == shared_host.address and
                        p.proto == TCP and p.ports[1] == port)
        assert syn is not None and syn.ports[0] != 443
        assert from_port(victim, shared_host.address, port) == b"HTTP/1.1 200 OK"
        assert not [p for p in attacker.look() if p.proto == TCP
                    and p.src == victim.address and 443 in p.ports]


def from_port(node, address, port):
    """GET /healthz over TLS from this source port: the first line of the answer."""
    from lab.api import CONTEXT, PORT
    raw = node.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
    raw.bind(("0.0.0.0", port))
    raw.settimeout(15)
    raw.connect((address, PORT))
    with CONTEXT.wrap_socket(raw, server_hostname=address) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return sock.recv(4096).split(b"\r\n")[0]


def test_the_tunnels_own_packets_are_not_tracked(tunnel, other, shared_host):
    assert tunnel.visit() and other.visit()
    entries = shared_host.ns.run("conntrack -L")
    outer = [line for line in entries.splitlines()
             if ("dport=50227" in line or line.startswith("ipencap") or line.startswith("unknown"))
             and shared_host.address in line and "10.100." not in line]
    assert outer == []


# 5. and 8.

def test_every_way_out_has_the_bind_address(tunnel, shared_host, neighbour):
    with Capture(neighbour, "eth0") as wire:
        assert tunnel.ping(NEIGHBOUR)
        assert {p.src for p in wire.look() if p.dst == NEIGHBOUR
                and p.proto == ICMP} == {shared_host.address}


def test_when_the_route_moves_nothing_leaks_out_unmasked(world, shared_host, tunnel, neighbour):
    shared_host.ns.run(f"ip route add {echo.VISITED}/32 via {NEIGHBOUR} dev lan0")
    with Capture(neighbour, "eth0") as wire:
        send(tunnel.ns, tunnel.device, udp_packet(tunnel.inner, echo.VISITED, 4000, 4001, b"x"))
        assert wire.wait(lambda p: p.dst == echo.VISITED)
        assert {p.src for p in wire.look() if p.dst == echo.VISITED} == \
            {shared_host.address}
    shared_host.ns.run(f"ip route del {echo.VISITED}/32")


def test_a_client_without_a_tunnel_is_not_told_that_the_protocol_is_unreachable(
        shared_host, server, clients):
    stranger, = clients(1)
    with Capture(stranger.ns, "eth0") as wire:
        send_routed(stranger.ns, *[
            ipv4(stranger.address, shared_host.address, IPIP,
                 udp_packet("10.100.0.99", echo.VISITED, 1, 2, b"x"))] * 3)
        assert shared_host.api(stranger).get("/healthz").status == 200
        time.sleep(WATCHED_SECONDS)
        assert [p for p in wire.look() if p.proto == ICMP
                and p.src == shared_host.address] == []


# 8. What belongs to a connection that this host does not know of, another one may

UNKNOWN_PORT = 40123  # nobody listens there


def answers_to(stranger, host, *packets):
    """What the stranger gets for them, up to the answer to a SYN that was sent behind them."""
    last = 39999
    with Capture(stranger.ns, "eth0") as wire:
        send_routed(stranger.ns, *packets, syn_packet(stranger.address, host.address, last, 9))
        wire.wait(lambda p: p.proto == TCP and p.src == host.address and p.dport == last)
        return [p for p in wire.look() if p.src == host.address and p.proto in (TCP, ICMP)
                and not (p.proto == TCP and p.dport == last)]


@pytest.mark.parametrize("flags", [ACK, *(pytest.param(flags, marks=pytest.mark.only(
    "embedded", reason="it is the same for both planes")) for flags in (ACK | PSH, FIN | ACK, SYN | ACK, 0))])
def test_a_segment_of_an_unknown_connection_is_not_answered(shared_host, server, clients, flags):
    stranger, = clients(1)
    segment = ipv4(stranger.address, shared_host.address, TCP,
                   tcp(443, UNKNOWN_PORT, flags, seq=1000, ack=2000, data=b"x"))
    assert answers_to(stranger, shared_host, segment, segment) == []


def test_a_datagram_of_an_unknown_flow_is_not_answered(shared_host, server, clients):
    stranger, = clients(1)
    datagram = udp_packet(stranger.address, shared_host.address, 53, UNKNOWN_PORT, b"x")
    assert answers_to(stranger, shared_host, datagram, datagram) == []


def test_a_hosts_own_connections_are_reached_though_tracking_has_lost_them(
        shared_host, server, clients):
    """An operator's session that was there before connections were tracked; who outside speaks
    first."""
    stranger, = clients(1)
    with shared_host.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind((shared_host.address, UNKNOWN_PORT + 1))
        listening.listen()
        with stranger.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as session:
            session.settimeout(10)
            session.connect((shared_host.address, UNKNOWN_PORT + 1))
            inside, _ = listening.accept()
            with inside:
                inside.settimeout(10)
                shared_host.ns.run("conntrack -F")
                session.sendall(b"still there?")
                assert inside.recv(100) == b"still there?"


def test_a_hosts_own_datagram_service_is_reached(shared_host, listener, clients):
    stranger, = clients(1)
    payload = marker("question")
    stranger.ns.enter(send_datagram, shared_host.address, payload, HOST_PORT)
    assert wait.until(lambda: payload in listener.look())


# 9. Other programs' firewalls

# WireGuard's has the same name on both planes; IPIP has interfaces of its own on the kernel's.
BY_INTERFACE = ["ipip", pytest.param("wireguard", marks=pytest.mark.only(
    "embedded", reason="it is the same for both planes"))]
DROPS = {
    "iptables-nft": ["iptables-nft -P FORWARD DROP"],
    "iptables-legacy": ["iptables-legacy -P FORWARD DROP"],
    "nft": ["nft add table inet strict '{ chain forward { type filter hook forward priority 0; "
            "policy drop; }; }'"],
    "docker": ["iptables-nft -P FORWARD DROP", "iptables-nft -N DOCKER-USER",
               "iptables-nft -A FORWARD -j DOCKER-USER", "iptables-nft -A DOCKER-USER -j RETURN"],
    "a chain that rejects": [
        "iptables-nft -N RH", "iptables-nft -A INPUT -i nothing -j RH",
        "iptables-nft -A FORWARD -j RH",
        "iptables-nft -A RH -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "iptables-nft -A RH -j REJECT --reject-with icmp-host-prohibited"],
}


@pytest.mark.parametrize("kind", BY_INTERFACE)
@pytest.mark.parametrize("firewall", DROPS)
def test_another_firewall_that_drops_what_is_forwarded_lets_tunnels_through(
        host, client, kind, firewall):
    for command in DROPS[firewall]:
        host.ns.run(command)
    before = host.snapshot()
    server = host.start()
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.ping() and tunnel.visit() == host.address
    server.stop()
    host.assert_same(before)


@pytest.mark.parametrize("kind", BY_INTERFACE)
@pytest.mark.parametrize("iptables", ["iptables-nft", "iptables-legacy"])
def test_an_operators_drop_is_not_passed_by_before_or_after_the_start(
        host, client, kind, iptables):
    """The rule of an operator in DOCKER-USER, under Docker's policy of drop."""
    for command in "-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER":
        host.ns.run(f"{iptables} {command}")
    forbid = f"-d {echo.VISITED}/32 -j DROP"
    host.ns.run(f"{iptables} -A DOCKER-USER {forbid}")
    server = host.start()
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.ping() and not tunnel.visit(seconds=2)
    host.ns.run(f"{iptables} -D DOCKER-USER {forbid}")
    assert tunnel.visit() == host.address
    host.ns.run(f"{iptables} -A FORWARD {forbid}")  # behind all that is there
    wait.until(lambda: not tunnel.visit(seconds=1))
    host.ns.run(f"{iptables} -D FORWARD {forbid}")
    assert tunnel.visit() == host.address
    server.stop()


@pytest.mark.parametrize("iptables", ["iptables-nft", "iptables-legacy"])
def test_a_firewall_that_is_closed_after_the_start_lets_tunnels_through(host, client, iptables):
    server = host.start()
    tunnel = host.tunnel("ipip", client).up()
    assert tunnel.visit() == host.address
    host.ns.run(f"{iptables} -P FORWARD DROP")
    host.ns.run(f"{iptables} -A FORWARD -i docker0 -j ACCEPT")
    wait.until(lambda: "-A FORWARD -j VPROX" in host.ns.run(f"{iptables} -S FORWARD"))
    assert tunnel.visit() == host.address
    server.stop()
    assert "VPROX" not in host.ns.run(f"{iptables}-save")


# It waits until it may go on, and tells who waits.
SLOW = """#!/bin/sh
if [ -e {0}/slow ]; then
    echo $$ > {0}/new
    mv {0}/new {0}/waits
    while [ -e {0}/slow ]; do sleep 0.05; done
fi
PATH={1}
exec iptables-legacy-save "$@"
"""


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_nobody_waits_while_a_program_of_iptables_stands_still(host, client, tmp_path):
    path = os.environ["PATH"]
    program = tmp_path / "iptables-legacy-save"
    program.write_text(SLOW.format(tmp_path, path))
    program.chmod(0o755)
    slow, waits = tmp_path / "slow", tmp_path / "waits"
    host.ns.run("iptables-legacy -P FORWARD DROP")
    server = host.start(environment={"PATH": f"{tmp_path}:{path}"})
    tunnel = host.tunnel("ipip", client).up()
    assert tunnel.visit() == host.address
    slow.touch()
    host.ns.run("iptables-legacy -A FORWARD -i nothing -j ACCEPT")
    wait.until(waits.exists)
    assert host.api(client).connect(random_key()).status == 200
    assert host.run("show")[0] == 0
    assert os.path.exists(f"/proc/{waits.read_text().strip()}"), "it was waited for"
    slow.unlink()
    wait.until(lambda: host.ns.run("iptables-legacy -S FORWARD").endswith("-A FORWARD -j VPROX\n"))
    assert tunnel.visit() == host.address
    slow.touch()
    waits.unlink()
    host.ns.run("iptables-legacy -D FORWARD -i nothing -j ACCEPT")
    wait.until(waits.exists)
    server.send_signal(signal.SIGTERM)  # waits for it, and then takes VPROX away
    slow.unlink()
    assert server.wait() == 0
    assert "VPROX" not in host.ns.run("iptables-legacy-save")


def test_a_firewall_that_cannot_be_opened_without_overriding_a_rule_is_told(host):
    for command in DROPS["a chain that rejects"]:
        host.ns.run(command)
    host.ns.run(f"iptables-nft -I RH -d {echo.VISITED}/32 -j DROP")
    before = host.snapshot()
    server = host.start()
    assert server.logged(r'warning .*"FORWARD" .*cannot be changed .*add rules to it')
    server.stop()
    host.assert_same(before)


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_a_firewall_that_drops_tunnels_by_a_condition_is_told(host, client):
    """Nothing of it is overridden, whatever the condition is."""
    host.ns.run("nft add table ip strict '{ chain forward { type filter hook forward priority 0; "
                "ct state new drop; }; }'")
    server = host.start()
    tunnel = host.tunnel("ipip", client).up()

    def is_told():
        for _ in range(5):
            assert not tunnel.visit(seconds=0.2)
        return server.logged('none of the last .* the chain "forward" of the nftables table ip '
                             "strict. Add rules")
    wait.until(is_told)
    assert tunnel.ping()
    host.ns.run("nft delete table ip strict")
    assert tunnel.visit() == host.address
    assert server.logged("get past this host's other firewalls again", 30)


@pytest.mark.parametrize("firewall", ["iptables-nft", "nft"])
def test_when_it_is_flushed_the_way_is_made_again(host, client, firewall):
    for command in DROPS[firewall]:
        host.ns.run(command)
    before = host.snapshot()
    server = host.start()
    tunnel = host.tunnel("ipip", client).up()
    host.ns.run("iptables-nft -F FORWARD" if firewall == "iptables-nft"
                else "nft flush chain inet strict forward")
    wait.until(lambda: tunnel.visit(seconds=1) == host.address)
    server.stop()
    host.assert_same(before)


def test_after_a_kill_the_way_through_is_recognised_and_not_made_twice(host, client):
    for command in DROPS["iptables-nft"]:
        host.ns.run(command)
    before = host.snapshot()
    server = host.start()
    first = host.ruleset()
    server.kill()
    server = host.start()
    assert host.ruleset() == first
    server.stop()
    host.assert_same(before)


def test_a_firewall_that_drops_what_comes_in_is_told_what_must_be_open(host):
    host.ns.run("nft add table inet strict '{ chain input { type filter hook input priority 0; "
                "policy drop; ct state established,related accept; }; }'")
    server = host.start()
    assert server.logged(r"warning .*50227, TCP 443 and ICMP to ")


def test_when_our_table_is_deleted_it_is_made_again(host, client):
    host.start()
    tunnel = host.tunnel("ipip", client).up()
    ruleset = host.ruleset()
    host.ns.run("nft flush ruleset")
    wait.until(lambda: host.ruleset() == ruleset)
    assert tunnel.visit() == host.address


def test_a_restart_opens_no_hole_and_keeps_flows(host, client):
    """A connection through the tunnel lives on while the server is killed and started."""
    server = host.start()
    tunnel = host.tunnel("ipip", client).up()
    with echo.bound(tunnel.ns, socket.SOCK_STREAM, tunnel.device, 0, 15) as sock:
        sock.connect((echo.VISITED, echo.HTTP_PORT))
        server.kill()
        host.start()
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200" in sock.recv(4096)
