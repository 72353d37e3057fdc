"""Tunnels lead to the Internet, and neither to the host's services nor to the networks behind it, and
carry what an egress carries: attacks by clients that have a real tunnel."""

import contextlib
import json
import os
import re
import socket
import struct
import time

import pytest

from lab import echo
from lab.ends import ask
from lib import wait
from lib.capture import Capture, send, send_routed
from lib.netns import Namespace
from lib.packets import ICMP, IPIP, UDP, UNREACHABLE, checksum, ipv4, udp, udp_packet

pytestmark = pytest.mark.plane

SIX_IN_FOUR, GRE = 41, 47
FRAGMENTATION_NEEDED = 4
WG_PORT = 50227
HOST_PORT = 7001
# Private networks, and where clouds have their metadata services.
CLOSED = ["10.20.0.1", "172.16.3.1", "192.168.3.1", "100.100.100.200", "192.0.0.192",
          "168.63.129.16"]
WATCHED_SECONDS = 0.5  # for what must not arrive, once what is sent after it has


@pytest.fixture(scope="module", name="behind", autouse=True)
def fixture_behind(world):
    """The networks behind the host: they are there, and answer."""
    world.internet.ip(*[f"addr add {address}/32 dev lo" for address in CLOSED])
    yield
    world.internet.ip(*[f"addr del {address}/32 dev lo" for address in CLOSED])


@pytest.fixture(name="listener")
def fixture_listener(shared_host, server):
    """A service of the host's on all of its addresses, by TCP and UDP."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(shared_host.ns.socket(socket.AF_INET, kind))
                   for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        for sock in sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("0.0.0.0", HOST_PORT))
        sockets[0].listen()
        yield sockets[1]


@pytest.mark.old_kernel
def test_networks_behind_the_host_are_not_reached_and_clients_are_told_at_once(
        shared_host, tunnel):
    for address in CLOSED:
        assert shared_host.ns.try_run(f"ping -c1 -W5 {address}").returncode == 0, "it is there"
        assert not tunnel.ping(address, seconds=1)
        assert tunnel.connects(address, echo.HTTP_PORT) is ConnectionRefusedError
    assert tunnel.ping() and tunnel.visit() == shared_host.address


def test_the_hosts_services_are_not_reached_and_clients_are_told_at_once(
        shared_host, tunnel, listener):
    for address in tunnel.gateway, shared_host.address, shared_host.second:
        assert tunnel.connects(address, HOST_PORT) is ConnectionRefusedError
        send(tunnel.ns, tunnel.device,
             udp_packet(tunnel.inner, address, 4000, HOST_PORT, b"in"))
    assert not tunnel.ping(shared_host.address, seconds=1)
    assert tunnel.ping()
    listener.settimeout(WATCHED_SECONDS)
    with pytest.raises(TimeoutError):
        listener.recv(100)


def test_what_the_operator_opens_is_reached_and_what_he_closes_is_not(host, client, kind):
    server = host.start(f"--allow-to=192.168.3.0/24 --deny-to={echo.VISITED}/32 "
                        f"--allow-to-host={HOST_PORT}")
    assert server.logged(r"tunnels reach the Internet, and 192\.168\.3\.0/24; not 10\.0\.0\.0/8")
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.ping("192.168.3.1")
    assert not tunnel.ping("10.20.0.1", seconds=1)
    assert tunnel.connects(echo.VISITED, echo.HTTP_PORT) is ConnectionRefusedError
    with host.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("0.0.0.0", HOST_PORT))
        sock.listen()
        assert tunnel.connects(tunnel.gateway, HOST_PORT) is None
    tunnel.down()


DOCKER = """
    -P FORWARD DROP; -N DOCKER-USER; -N DOCKER; -A FORWARD -j DOCKER-USER
    -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A FORWARD -o docker0 -j DOCKER; -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
    -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp --dport 5433 -j ACCEPT
    -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
    -t nat -A PREROUTING ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:5433"""
UNPUBLISHED, PUBLISHED = 5432, 5433


@pytest.fixture(name="container")
def fixture_container(host):
    """Docker on the server's host, as it is up to version 27, with a container that has a port which
    is published (as 8080) and one which is not. Returns its address."""
    container = Namespace(f"{host.world.prefix}container")
    host.ns.run(f"ip link add docker0 type veth peer name eth0 netns {container.name}")
    host.ns.ip("link set docker0 up", "addr add 172.17.0.1/16 dev docker0")
    container.ip("link set lo up", "link set eth0 up", "addr add 172.17.0.2/16 dev eth0",
                 "route add default via 172.17.0.1")
    for rule in DOCKER.replace("\n", ";").split(";"):
        if rule.strip():
            host.ns.run(f"iptables-nft {rule}")
    with contextlib.ExitStack() as stack:
        for port in UNPUBLISHED, PUBLISHED:
            sock = stack.enter_context(container.socket(socket.AF_INET, socket.SOCK_STREAM))
            sock.bind(("0.0.0.0", port))
            sock.listen()
        yield "172.17.0.2"
    container.remove()


def test_a_containers_ports_are_not_reached_published_or_not(host, client, kind, container):
    server = host.start("--allow-to=172.17.0.0/16")
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.connects(container, UNPUBLISHED) is None, "it is there"
    server.stop()
    host.start()
    tunnel.down()
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.visit() == host.address
    for address, port in ((container, UNPUBLISHED), (container, PUBLISHED), (host.address, 8080)):
        assert tunnel.connects(address, port) is ConnectionRefusedError


def test_gre_and_6in4_are_not_carried(world, shared_host, tunnel):
    # Of a protocol without ports there is one flow between two addresses: it may be another's.
    shared_host.ns.try_run("conntrack -F")
    with Capture(world.internet) as wire:
        send(tunnel.ns, tunnel.device, *[
            ipv4(tunnel.inner, echo.VISITED, proto, bytes(40))
            for proto in (GRE, SIX_IN_FOUR, IPIP, 253)])
        assert tunnel.visit() == shared_host.address
        time.sleep(WATCHED_SECONDS)
        assert [p.proto for p in wire.look()
                if p.src == shared_host.address and p.dst == echo.VISITED
                and p.proto in (GRE, SIX_IN_FOUR, IPIP, 253)] == []


def too_big(source, destination, quoted, mtu=600):
    """ICMP's "fragmentation needed" about a packet."""
    rest = struct.pack("!HH", 0, mtu) + quoted[:48]
    head = struct.pack("!BB", UNREACHABLE, FRAGMENTATION_NEEDED)
    return ipv4(source, destination, ICMP,
                head + struct.pack("!H", checksum(head + b"\0\0" + rest)) + rest)


def path_mtu(host, address):
    """What the host believes, if it is not the interface's."""
    found = re.search(r" mtu (\d+)", host.ns.run(f"ip route get {address}"))
    return int(found.group(1)) if found else None


@pytest.mark.old_kernel
def test_no_client_changes_the_servers_path_to_another_client(shared_host, tunnel, other_client):
    """By an error about the server's outer packets to that one."""
    victim = shared_host.tunnel("wireguard", other_client).up(listen_port=51820)
    assert victim.ping()
    outer = ipv4(shared_host.address, other_client.address, UDP,
                 udp(WG_PORT, 51820, bytes(1000)), dont_fragment=True)
    ipip = ipv4(shared_host.address, other_client.address, IPIP,
                udp_packet("198.51.100.1", tunnel.inner, 1, 2, bytes(1000)), dont_fragment=True)
    for quoted in outer, ipip:
        send(tunnel.ns, tunnel.device, *[
            too_big(tunnel.inner, address, quoted)
            for address in (shared_host.address, tunnel.gateway)])
    assert tunnel.ping()  # so that the attack has been dealt with
    assert path_mtu(shared_host, other_client.address) is None


def test_no_client_speaks_of_errors_in_anothers_flow(world, shared_host, tunnel, other_client):
    victim = shared_host.tunnel("ipip", other_client, device="ipip1").up()
    seen = echo.ask_udp(victim.ns, victim.device, port=4100)
    assert seen and seen[0] == shared_host.address
    with Capture(world.internet) as wire:
        quoted = udp_packet(echo.VISITED, victim.inner, echo.UDP_PORT, 4100, bytes(30))
        send(tunnel.ns, tunnel.device, too_big(tunnel.inner, echo.VISITED, quoted))
        assert tunnel.visit() == shared_host.address
        time.sleep(WATCHED_SECONDS)
        assert not [p for p in wire.look() if p.proto == ICMP and p.icmp_type == UNREACHABLE
                    and p.dst == echo.VISITED]


def test_an_error_in_a_clients_own_flow_is_passed_on(world, shared_host, tunnel):
    assert echo.ask_udp(tunnel.ns, tunnel.device, port=4200)
    with Capture(world.internet) as wire:
        quoted = udp_packet(echo.VISITED, tunnel.inner, echo.UDP_PORT, 4200, bytes(30))
        send(tunnel.ns, tunnel.device, too_big(tunnel.inner, echo.VISITED, quoted))
        assert wire.wait(lambda p: p.proto == ICMP and p.icmp_type == UNREACHABLE
                         and p.dst == echo.VISITED and p.src == shared_host.address)


# What all need

@pytest.mark.old_kernel
def test_no_client_takes_all_source_ports_to_a_server_or_all_room_for_connections(
        shared_host, tunnel, other_client):
    """60,000 connections from one client to one server, where it may have 2,048."""
    whole = bytearray(udp_packet(tunnel.inner, echo.VISITED, 1, echo.UDP_PORT))
    whole[26:28] = b"\0\0"  # the checksum may be left out
    packets = []
    for port in range(1, 60001):
        whole[20:22] = port.to_bytes(2, "big")
        packets.append(bytes(whole))
    send(tunnel.ns, tunnel.device, *packets)
    victim = shared_host.tunnel("ipip", other_client, device="ipip1").up()
    assert echo.ask_udp(victim.ns, victim.device)[0] == shared_host.address
    assert victim.visit() == shared_host.address
    listed = shared_host.ns.run(f"conntrack -L -s {tunnel.inner}")
    assert listed.count(f"src={tunnel.inner} ") <= 2600, "half of 2,048 are only estimated"
    assert tunnel.ping() and shared_host.api(tunnel.node).get("/healthz").status == 200


def test_the_control_plane_takes_no_room_for_connections(shared_host, tunnel):
    assert tunnel.api.get("/healthz", device=tunnel.device).status == 200
    assert shared_host.api(tunnel.node).get("/healthz").status == 200
    assert tunnel.ping()
    listed = shared_host.ns.run("conntrack -L")
    assert "dport=443" not in listed and f"dst={tunnel.gateway}" not in listed


@pytest.mark.only("embedded", reason="the guest takes too long to fill the table")
def test_while_the_hosts_table_of_connections_is_nearly_full_tunnels_begin_none(
        world, host, client, other_client):
    server = host.start()
    tunnel = host.tunnel("wireguard", client).up()
    kept = echo.bound(tunnel.ns, socket.SOCK_DGRAM, tunnel.device, 0, 10)
    kept.sendto(b"?", (echo.VISITED, echo.UDP_PORT))
    assert kept.recv(100)
    most = int(host.ns.read("/proc/sys/net/netfilter/nf_conntrack_max"))
    fill(host, most * 4 // 5)
    assert server.logged("refusing new ones from tunnels", 30)
    assert tunnel.connects(echo.VISITED, echo.HTTP_PORT) is ConnectionRefusedError
    kept.sendto(b"?", (echo.VISITED, echo.UDP_PORT))
    assert kept.recv(100), "what is there goes on"
    kept.close()
    other = host.tunnel("ipip", other_client).up()
    assert other.ping() and tunnel.ping()
    host.ns.run("conntrack -F")
    assert server.logged("accepting new ones from tunnels again", 30)
    assert tunnel.visit() == host.address


def fill(host, n):
    """The host's own connections: UDP to n ports of itself, where nobody listens."""
    whole = bytearray(udp_packet("127.0.0.1", "127.9.0.0", 1, 1))
    with host.ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        for i in range(n):
            whole[19] = 1 + i // 60000
            whole[20:22] = (1 + i % 60000).to_bytes(2, "big")
            whole[26:28] = b"\0\0"
            sock.sendto(whole, (f"127.9.0.{whole[19]}", 0))


# IPv6


def ipv6_packet(source, destination, next_header, payload):
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, 255) + \
        socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, destination) + payload


def checked(source, destination, next_header, payload, at):
    """The packet with the checksum of its payload, which is `at` there."""
    pseudo = socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, destination) + \
        struct.pack("!II", len(payload), next_header)
    payload = payload[:at] + struct.pack("!H", checksum(pseudo + payload)) + payload[at + 2:]
    return ipv6_packet(source, destination, next_header, payload)


def advertisement():
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + \
        socket.inet_pton(socket.AF_INET6, "2001:db8:bad::")
    return checked("fe80::bad", "ff02::1", 58,
                   struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix, 2)


def datagram(payload):
    return checked("2001:db8::9", "2001:db8::1", UDP, udp(1, HOST_PORT, payload), 6)


def send_ipv6(tunnel, host, packet):
    """By the tunnel itself, and wrapped by hand as a hostile client's program would."""
    if tunnel.kind == "ipip":
        send_routed(tunnel.ns, *[ipv4(tunnel.node.address, host.address, proto, packet)
                                 for proto in (IPIP, SIX_IN_FOUR)])
        send(tunnel.ns, tunnel.device,
             ipv4(tunnel.inner, host.address, SIX_IN_FOUR, packet),
             ipv4(tunnel.inner, tunnel.gateway, SIX_IN_FOUR, packet))
        return
    tunnel.ns.run(f"wg set {tunnel.device} peer {server_key(tunnel)} allowed-ips 0.0.0.0/0,::/0")
    with tunnel.ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        sock.sendto(packet, (tunnel.device, 0x86DD, 0, 0, b""))


def server_key(tunnel):
    return tunnel.ns.run(f"wg show {tunnel.device} peers").strip()


def dropped(host):
    """Packets out of tunnels that were dropped, as far as somebody counts them: the tables, the
    interfaces, the embedded device, and the kernel (what is IPv6 in IPIP is a broken header to
    it)."""
    n = 0
    for counter in "ip6 vprox refused_ipv6", "ip vprox refused_protocol":
        n += int(re.search(r"packets (\d+)", host.ns.run(f"nft list counter {counter}")).group(1))
    names, values = re.findall(r"^Ip: (.*)$", host.ns.read("/proc/thread-self/net/snmp"), re.M)
    n += int(values.split()[names.split().index("InHdrErrors")])
    for link in json.loads(host.ns.run("ip -j -s -s link show")):
        if link["ifname"].startswith("vp"):
            n += link["stats64"]["rx"]["errors"] + link["stats64"]["rx"]["dropped"]
    path = host.devices / "vprox0.sock"
    if path.exists():
        n += sum(int(value) for name, value in ask(path, "get_drops=1\n\n")
                 if name in ("malformed", "spoofed"))
    return n


def test_ipv6_in_a_tunnel_reaches_nothing_and_is_counted(shared_host, tunnel):
    host = shared_host
    for link in "all", "vprox0":
        host.ns.sysctl(**{f"net__ipv6__conf__{link}__disable_ipv6": 0})
    host.ns.sysctl(net__ipv6__conf__vprox0__accept_ra=2)
    host.ns.run("ip -6 addr replace 2001:db8::1/64 dev vprox0 nodad")
    before = dropped(host)
    with host.ns.socket(socket.AF_INET6, socket.SOCK_DGRAM) as service:
        service.bind(("::", HOST_PORT))
        service.settimeout(WATCHED_SECONDS)
        assert tunnel.ping()
        send_ipv6(tunnel, host, datagram(os.urandom(8)))
        send_ipv6(tunnel, host, advertisement())
        assert tunnel.ping()
        with pytest.raises(TimeoutError):
            service.recv(100)
    assert "2001:db8:bad" not in host.ns.run("ip -6 route")
    assert wait.until(lambda: dropped(host) > before, what="it is counted")
    host.ns.run("ip -6 addr del 2001:db8::1/64 dev vprox0")


def test_no_client_keeps_others_fragments_from_being_put_together(shared_host, tunnel, other_client):
    """They wait for the others in memory that all share: by default there is room for 1,700."""
    victim = shared_host.tunnel("ipip", other_client, device="ipip1").up()
    lonely = [ipv4(tunnel.inner, echo.VISITED, UDP, bytes(1000), ident=i, more_fragments=True)
              for i in range(3000)]
    for i in range(0, len(lonely), 100):
        send(tunnel.ns, tunnel.device, *lonely[i:i + 100])
        time.sleep(0.005)  # no queue in between shall overflow
    assert victim.ping(echo.VISITED, options="-s 4000")
