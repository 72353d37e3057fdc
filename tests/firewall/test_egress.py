"""A tunnel leads to the Internet, and neither to the host's own services nor to the networks behind
it; it carries what an egress carries. Each attack succeeds without its rule."""

import contextlib
import os
import re
import select
import socket
import struct

import pytest
from attack import (BIND, BIND_1, GATEWAY, NO_IPIP, PEER_1, PEER_2, PEER_WG, PROTOCOLS, TO_HOST,
                    VICTIM, WEB, WG_PORT, arrives_outside, echo_is_answered, echo_leaves,
                    eventually, holds, listening, numbers, receives)
from conftest import INTERNET, SERVER, Tool, run_tool, sh
from lib.capture import Capture
from lib.netns import enter
from lib.packets import (ACK, ICMP, IPIP, RST, SYN, TCP, TIME_EXCEEDED, UDP, UNREACHABLE, checksum,
                         ipv4, tcp, udp)

FRAGMENTATION_NEEDED, ADMIN_PROHIBITED = 4, 13
LAN = "192.0.2.1"  # the server's own address on its other network
# One of each kind that is closed.
CLOSED = ["10.9.9.9", "172.31.7.7", "192.168.7.7", "100.100.100.200", "169.254.169.254",
          "192.0.0.192", "168.63.129.16"]
TO_NETWORK = "jump to_network"
ERRORS = "jump errors"


@pytest.fixture(scope="module", autouse=True)
def fixture_closed_networks(world):
    """They are on the Internet's side, and answer."""
    for address in CLOSED:
        sh(INTERNET, f"ip addr add {address}/32 dev lo", check=False)
    sh(SERVER, "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000")


def counted(name, family="ip"):
    """Packets that a counter of ours has seen."""
    listed = sh(SERVER, f"nft list counter {family} vprox {name}")
    return int(re.search(r"packets (\d+)", listed).group(1))


# Where a tunnel leads


@pytest.mark.parametrize("interface,peer", [("vp0-1", PEER_1), ("vprox0", PEER_WG)])
@pytest.mark.parametrize("address", CLOSED)
def test_networks_behind_the_host_are_not_reached(world, interface, peer, address):
    holds(world, lambda w: echo_leaves(w, interface, peer, dst=address), TO_NETWORK)
    assert counted("refused_destination") > 0


def test_one_that_is_opened_is_reached_and_no_other(world):
    world.load(flags=["--allow-to=192.168.7.0/24"])
    assert eventually(echo_leaves, world, "vp0-1", PEER_1, dst="192.168.7.7")
    assert not echo_leaves(world, "vp0-1", PEER_1, dst="10.9.9.9")


def test_one_that_is_closed_besides_is_not_reached(world):
    world.load(flags=[f"--deny-to={VICTIM}/32", f"--allow-to={VICTIM}/24"])
    assert not echo_leaves(world, "vp0-1", PEER_1, dst=VICTIM)
    assert eventually(echo_leaves, world, "vp0-1", PEER_1, dst=WEB)


def test_all_may_be_opened(world):
    world.load(flags=["--allow-to=0.0.0.0/0"])
    for address in CLOSED:
        assert eventually(echo_leaves, world, "vp0-1", PEER_1, dst=address)


def test_what_somebodys_nat_makes_of_the_destination_counts(world):
    """As for a container's published port."""
    sh(SERVER, "nft -f -", input='''table ip docker {
        chain p { type nat hook prerouting priority dstnat
        ip daddr 198.51.100.44 udp dport 8080 dnat to 172.31.7.7:80
        }
        }''')
    try:
        holds(world, lambda w: arrives_outside(
            w, "vp0-1", ipv4(PEER_1, "198.51.100.44", UDP, udp(next(numbers), 8080)),
            lambda p: p.proto == UDP and p.dst == "172.31.7.7"), TO_NETWORK)
    finally:
        sh(SERVER, "nft delete table ip docker")


# The host itself


@pytest.mark.parametrize("interface,peer", [("vp0-1", PEER_1), ("vprox0", PEER_WG)])
@pytest.mark.parametrize("address", [GATEWAY, BIND, BIND_1, LAN])
def test_the_hosts_services_are_not_reached(world, interface, peer, address):
    def attack(w):
        with listening(SERVER, "0.0.0.0", 7777) as s:
            w.tuns[interface].send(ipv4(peer, address, UDP, udp(next(numbers), 7777, b"in")))
            return receives(s)

    holds(world, attack, TO_HOST)
    assert counted("refused_host") > 0


@pytest.mark.parametrize("address", [BIND, LAN])
def test_of_the_hosts_addresses_the_gateway_alone_is_pinged(world, address):
    holds(world, lambda w: echo_is_answered(w, "vp0-1", PEER_1, address), TO_HOST)
    assert eventually(echo_is_answered, world, "vp0-1", PEER_1, GATEWAY)


@pytest.mark.parametrize("kind,proto", [(socket.SOCK_DGRAM, UDP), (socket.SOCK_STREAM, TCP)])
def test_a_service_that_is_opened_is_reached_and_no_other(world, kind, proto):
    def answered(port):
        with listening(SERVER, "0.0.0.0", port, kind) as s:
            if kind == socket.SOCK_STREAM:
                s.listen()
                w.tuns["vp0-1"].send(ipv4(PEER_1, GATEWAY, TCP, tcp(next(numbers), port)))
                return w.tuns["vp0-1"].find(
                    lambda p: p.proto == TCP and p.sport == port and p.flags == SYN | ACK)
            w.tuns["vp0-1"].send(ipv4(PEER_1, GATEWAY, UDP, udp(next(numbers), port, b"in")))
            return receives(s)

    w = world
    world.load(flags=["--allow-to-host=7778"])
    assert eventually(answered, 7778)
    assert not answered(7777)


def test_what_the_host_asks_of_a_client_is_answered(world):
    world.load()
    with listening(SERVER, GATEWAY, 7777) as s:
        s.sendto(b"?", (PEER_1, 9))
        asked = world.tuns["vp0-1"].first(lambda p: p.proto == UDP and p.dport == 9)
        world.tuns["vp0-1"].send(ipv4(PEER_1, GATEWAY, UDP, udp(9, asked.sport, b"!")))
        assert receives(s) == b"!"


# Who is refused is told so


@pytest.mark.parametrize("address", ["192.168.7.7", GATEWAY, LAN])
def test_a_refused_connection_is_reset_at_once(world, address):
    world.load()
    port = next(numbers)
    world.tuns["vp0-1"].send(ipv4(PEER_1, address, TCP, tcp(port, 22, SYN, 100)))
    world.tuns["vp0-1"].first(lambda p: p.proto == TCP and p.src == address and p.dport == port
                              and p.flags == RST | ACK)


@pytest.mark.parametrize("address", ["192.168.7.7", GATEWAY, LAN])
def test_of_a_refused_datagram_its_sender_is_told(world, address):
    world.load()
    port = next(numbers)
    world.tuns["vp0-1"].send(ipv4(PEER_1, address, UDP, udp(port, 53)))
    error = world.tuns["vp0-1"].first(lambda p: p.proto == ICMP and p.icmp_type == UNREACHABLE
                                      and p.inner.sport == port)
    assert (error.icmp_code, error.inner.dst) == (ADMIN_PROHIBITED, address)


def resets(world, interface, peer, n):
    tun = world.tuns[interface]
    tun.forget()
    for _ in range(n):
        tun.send(ipv4(peer, "192.168.7.7", TCP, tcp(next(numbers), 22)))
    tun.collect(0.5)
    return sum(p.proto == TCP and p.flags == RST | ACK for p in tun.packets)


def test_each_client_is_told_so_only_so_often(world):
    world.load()
    assert 40 <= resets(world, "vp0-1", PEER_1, 300) < 150
    assert resets(world, "vprox0", PEER_WG, 10) == 10, "another one is told all the same"


# What an egress carries


@pytest.mark.parametrize("interface,peer", [("vp0-1", PEER_1), ("vprox0", PEER_WG)])
@pytest.mark.parametrize("proto", [0, 2, 41, 47, 50, 89, 253])
def test_other_protocols_are_not_carried(world, interface, peer, proto):
    holds(world, lambda w: arrives_outside(w, interface, ipv4(peer, VICTIM, proto, bytes(40)),
                                           lambda p: p.proto == proto and p.dst == VICTIM),
          NO_IPIP, PROTOCOLS)
    assert counted("refused_protocol") > 0


def test_ipip_is_not_carried_whatever_is_allowed(world):
    inner = ipv4(WEB, PEER_2, UDP, udp(1, 2))
    flags = ["--allow-protocol=47"]
    holds(world, lambda w: arrives_outside(w, "vp0-1", ipv4(PEER_1, VICTIM, IPIP, inner),
                                           lambda p: p.proto == IPIP and p.dst == VICTIM),
          NO_IPIP, PROTOCOLS, flags=flags)


def test_a_protocol_that_is_allowed_is_carried(world):
    world.load(flags=["--allow-protocol=47"])
    gre = ipv4(PEER_1, VICTIM, 47, bytes(40))
    assert eventually(arrives_outside, world, "vp0-1", gre,
                      lambda p: p.proto == 47 and p.src == BIND)


def test_sctp_is_carried(world):
    world.load()
    init = bytes.fromhex("0100001400000001000100000001000100000001")
    header = struct.pack("!HHII", next(numbers), 80, 0, 0)
    packet = ipv4(PEER_1, VICTIM, 132, header[:8] + crc32c(header + init) + init)
    assert eventually(arrives_outside, world, "vp0-1", packet,
                      lambda p: p.proto == 132 and p.src == BIND)


def crc32c(data):
    """RFC 9260, appendix A: as SCTP's header has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return struct.pack("<I", crc ^ 0xFFFFFFFF)


def icmp(kind, code, rest, quoted):
    body = struct.pack("!I", rest) + quoted
    return struct.pack("!BBH", kind, code,
                       checksum(struct.pack("!BBH", kind, code, 0) + body)) + body


@pytest.mark.parametrize("kind", [4, 5, 9, 13, 17])
def test_other_kinds_of_icmp_are_not_carried(world, kind):
    quoted = ipv4(VICTIM, PEER_1, UDP, udp(1, 2))[:28]
    holds(world, lambda w: arrives_outside(w, "vp0-1", ipv4(PEER_1, VICTIM, ICMP,
                                                            icmp(kind, 0, 0, quoted)),
                                           lambda p: p.proto == ICMP and p.icmp_type == kind),
          "icmp type != { echo-request, echo-reply", ERRORS, "ip saddr 10.100.0.0/16 drop")


# Errors are about flows that the tunnel has


def path_mtu(address):
    found = re.search(r" mtu (\d+)", sh(SERVER, f"ip route get {address}"))
    return int(found.group(1)) if found else None


@pytest.mark.parametrize("interface,peer", [("vp0-1", PEER_1), ("vprox0", PEER_WG)])
def test_no_client_changes_the_servers_path_to_another(world, interface, peer):
    """The server sends its tunnels' outer packets to VICTIM by a socket; nobody tracks those."""
    def attack(w):
        with listening(SERVER, BIND, WG_PORT) as wireguard:
            wireguard.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
            wireguard.connect((VICTIM, 51820))
            wireguard.send(b"outer")
            quoted = ipv4(BIND, VICTIM, UDP, udp(WG_PORT, 51820, bytes(1000)), dont_fragment=True)
            w.tuns[interface].send(ipv4(peer, BIND, ICMP, icmp(
                UNREACHABLE, FRAGMENTATION_NEEDED, 600, quoted[:48])))
            with contextlib.suppress(OSError):
                wireguard.recv(1)
        mtu = path_mtu(VICTIM)
        sh(SERVER, "ip route flush cache")
        return mtu

    holds(world, attack, TO_HOST)
    assert counted("refused_error") > 0


def start_flow(world, interface, peer, port):
    """A flow to WEB; returns the source port that WEB sees."""
    with Capture(INTERNET, "eth0") as seen:
        world.tuns[interface].send(ipv4(peer, "198.51.100.50", UDP, udp(port, 53)))
        return seen.first(lambda p: not p.outgoing and p.dst == "198.51.100.50").sport


def error_leaves(world, interface, sender, about, kind=UNREACHABLE, code=FRAGMENTATION_NEEDED):
    """Whether the far end of a flow is told of an error, by an error about its packet to `about`."""
    quoted = ipv4("198.51.100.50", about[0], UDP, udp(53, about[1], bytes(8)))
    return arrives_outside(
        world, interface, ipv4(sender, "198.51.100.50", ICMP, icmp(kind, code, 600, quoted)),
        lambda p: p.proto == ICMP and p.icmp_type == kind and p.dst == "198.51.100.50")


def test_no_client_speaks_of_errors_in_anothers_flow(world):
    def attack(w):
        port = next(numbers)
        start_flow(w, "vprox0", PEER_WG, port)
        return error_leaves(w, "vp0-1", PEER_1, (PEER_WG, port))

    holds(world, attack, ERRORS)


@pytest.mark.parametrize("kind,code", [(UNREACHABLE, FRAGMENTATION_NEEDED), (UNREACHABLE, 3),
                                       (TIME_EXCEEDED, 1)])
def test_an_error_in_its_own_flow_is_passed_on(world, kind, code):
    world.load()
    port = next(numbers)
    start_flow(world, "vp0-1", PEER_1, port)
    assert eventually(error_leaves, world, "vp0-1", PEER_1, (PEER_1, port), kind, code)


# IPv6


def ipv6(source, destination, proto, payload):
    header = struct.pack("!IHBB", 6 << 28, len(payload), proto, 255)
    return header + socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, destination) + payload


def icmp6(source, destination, body):
    """body: the message, its checksum 0."""
    pseudo = socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, destination) + struct.pack("!II", len(body), 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return ipv6(source, destination, 58, body)


@pytest.fixture(name="with_ipv6")
def fixture_with_ipv6(world):
    """A host that has IPv6 on, and forwards it, where it does not belong."""
    links = ["all", "vprox0", "vp0-1", "eth0"]
    for link in links:
        sh(SERVER, f"sysctl -qw net.ipv6.conf.{link}.disable_ipv6=0")
    sh(SERVER, "sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.vprox0.accept_ra=2")
    for line in "2001:db8::1/64 dev vprox0 nodad", "2001:db8:1::1/64 dev eth0 nodad":
        sh(SERVER, f"ip -6 addr add {line}")
    sh(SERVER, "ip -6 neigh replace 2001:db8:1::2 dev eth0 lladdr 02:00:00:00:00:01")
    yield
    sh(SERVER, "sysctl -qw net.ipv6.conf.all.forwarding=0")
    for link in links:
        sh(SERVER, f"sysctl -qw net.ipv6.conf.{link}.disable_ipv6=1")


NO_IPV6 = "iifname @tunnels counter name refused_ipv6 drop"


@pytest.mark.usefixtures("with_ipv6")
def test_a_router_advertisement_out_of_a_tunnel_is_not_listened_to(world):
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + \
        socket.inet_pton(socket.AF_INET6, "2001:db8:bad::")
    advertisement = icmp6("fe80::bad", "ff02::1",
                          struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix)

    def attack(w):
        w.tuns["vprox0"].send(advertisement)
        try:
            return eventually(lambda: "2001:db8:bad" in sh(SERVER, "ip -6 route"))
        finally:
            sh(SERVER, "ip -6 route flush proto ra", check=False)
            sh(SERVER, "ip -6 route flush root 2001:db8:bad::/64", check=False)

    holds(world, attack, NO_IPV6)
    assert counted("refused_ipv6", "ip6") > 0


@pytest.mark.usefixtures("with_ipv6")
@pytest.mark.parametrize("interface", ["vprox0", "vp0-1"])
def test_ipv6_out_of_a_tunnel_reaches_neither_the_host_nor_the_network(world, interface):
    def to_host(w):
        with socket_of_ipv6(7777) as s:
            w.tuns[interface].send(udp6("2001:db8::9", "2001:db8::1", 7777))
            return receives(s)

    def to_network(w):
        before = transmitted("eth0")
        for _ in range(20):
            w.tuns[interface].send(udp6("2001:db8::9", "2001:db8:1::2", 7777))
        return transmitted("eth0") - before >= 20

    holds(world, to_host, NO_IPV6)
    holds(world, to_network, NO_IPV6)


@pytest.mark.usefixtures("with_ipv6")
def test_the_host_sends_no_ipv6_into_a_tunnel(world):
    def attack(w):
        sh(SERVER, "ping -6 -c1 -W1 2001:db8::9", check=False)
        return any(data[0] >> 4 == 6 for data in all_of(w.tuns["vprox0"]))

    holds(world, attack, "oifname @tunnels drop")


def socket_of_ipv6(port):
    s = enter(SERVER, socket.socket, socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind(("::", port))
    s.settimeout(0.3)
    return s


def udp6(source, destination, port):
    datagram = udp(1, port, b"in")
    pseudo = socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, destination) + struct.pack("!II", len(datagram), UDP)
    datagram = datagram[:6] + struct.pack("!H", checksum(pseudo + datagram)) + datagram[8:]
    return ipv6(source, destination, UDP, datagram)


def all_of(tun):
    """The packets that have gone into a tunnel, of any version."""
    while select.select([tun], [], [], 0)[0]:
        yield os.read(tun.fileno(), 65536)


def transmitted(interface):
    return int(sh(SERVER, f"cat /sys/class/net/{interface}/statistics/tx_packets"))


# The table


def test_what_packets_have_changed_is_no_reason_to_load_it_again(world):
    tool = Tool()
    tool.run("load")
    for packet in (tcp(next(numbers), 22), tcp(next(numbers), 23)):
        world.tuns["vp0-1"].send(ipv4(PEER_1, "192.168.7.7", TCP, packet))
    eventually(lambda: counted("refused_destination") == 2)
    sh(SERVER, "nft add table ip somebody")
    tool.run("reconcile")
    sh(SERVER, "nft delete table ip somebody")
    assert PEER_1 in sh(SERVER, "nft list set ip vprox refusals")
    assert counted("refused_destination") == 2
    assert "loading it again" not in tool.close()


def most_memory(tool):
    """What the process had at the most, in KB."""
    pid = int(sh(SERVER, f"pgrep -P {tool.process.pid}", check=False) or tool.process.pid)
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s*(\d+)", status.read()).group(1))


def test_what_is_noted_of_every_client_is_not_read_to_look_for_changes(world):
    """With 10,000 clients that took seconds, in which the server answered nobody."""
    tool = Tool()
    tool.run("load")
    tool.run("reconcile")
    before = most_memory(tool)
    clients = ", ".join(f"10.100.{i // 250}.{i % 250} timeout 1h" for i in range(8000))
    for name in "rates", "heavy", "over", "refusals":
        sh(SERVER, "nft -f -", input=f"add element ip vprox {name} {{ {clients} }}\n")
    sh(SERVER, "nft add table ip somebody")
    tool.run("reconcile")
    sh(SERVER, "nft delete table ip somebody")
    assert most_memory(tool) - before < 2000
    assert "loading it again" not in tool.close()


@pytest.mark.parametrize("command", ["delete element ip vprox closed_to { 10.0.0.0/8 }",
                                     "add element ip vprox allow_to { 10.0.0.0/8 }",
                                     "delete table ip6 vprox", "flush chain ip6 vprox prerouting",
                                     "flush chain ip vprox to_network"])
def test_what_somebody_has_opened_is_closed_again(world, command):
    tool = Tool()
    tool.run("load")
    listed = sh(SERVER, "nft -s list ruleset")
    sh(SERVER, ["nft", command])
    tool.run("reconcile")
    assert sh(SERVER, "nft -s list ruleset") == listed
    assert "loading it again" in tool.close()
    assert not echo_leaves(world, "vp0-1", PEER_1, dst="10.9.9.9")


def test_both_tables_go_at_the_end(world):
    world.load()
    run_tool("remove")
    assert sh(SERVER, "nft list tables") == ""
