"""Tunnels of both kinds, as their clients see them: docs/api.md, "Behaviour" and "Names and numbers"."""

import concurrent.futures
import hashlib
import json
import pathlib
import time

import pytest

from lab import echo
from lab.api import Connection, request_bytes
from lab.tunnels import IpipTunnel, random_key
from lib import capture, packets, wait

pytestmark = pytest.mark.plane

GATEWAY = "10.100.0.1"
PARALLEL = 50


# Leaving the Internet with the server's address

@pytest.mark.interop
@pytest.mark.sanitize
def test_traffic_leaves_with_the_bind_address(tunnel, client, shared_host):
    assert client.ns.run(f"curl -sS http://{echo.VISITED}/").split()[0] == client.address
    assert tunnel.curl().split()[0] == shared_host.address
    assert echo.ask_udp(tunnel.ns, tunnel.device)[0] == shared_host.address
    assert tunnel.ping(echo.VISITED)


@pytest.mark.interop
def test_large_answers_come_through_whole(tunnel):
    assert tunnel.download() == hashlib.sha256(echo.DATA).hexdigest()


@pytest.mark.interop
def test_two_clients_of_each_kind_at_once_share_one_pool(shared_host, server, clients):
    nodes = clients(2)
    tunnels = [shared_host.tunnel(kind, node).up() for node in nodes
               for kind in ("wireguard", "ipip")]
    inner = [tunnel.inner for tunnel in tunnels]
    assert len(set(inner)) == 4 and GATEWAY not in inner
    assert set(shared_host.holders()) == set(inner)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda tunnel: tunnel.visit(), tunnels)) == [shared_host.address] * 4
        assert all(pool.map(lambda tunnel: tunnel.ping(), tunnels))
    for tunnel in tunnels:
        assert tunnel.disconnect().status == 200
    assert not shared_host.holders()


@pytest.mark.interop
@pytest.mark.sanitize
def test_the_inner_address_answers_ping(tunnel):
    assert tunnel.gateway == GATEWAY
    assert tunnel.ping(GATEWAY, count=3)


@pytest.mark.interop
def test_after_disconnecting_nothing_goes_through_any_more(kind, client, shared_host, server):
    tunnel = shared_host.tunnel(kind, client).up()
    assert tunnel.visit() == shared_host.address
    tunnel.disconnect()
    assert tunnel.visit(seconds=1) is None
    assert not tunnel.ping(seconds=1)


@pytest.mark.sanitize
def test_a_control_request_from_inside_the_tunnel_is_refused(tunnel, shared_host):
    def ask(method, path):
        return tunnel.api.request(method, path, device=tunnel.device)
    for method, path in [("POST", "/connect-ipip"), ("POST", "/connect"), ("GET", "/version"),
                         ("POST", "/disconnect-ipip"), ("POST", "/relinquish"),
                         ("GET", "/connect")]:
        response = ask(method, path)
        assert (response.status, response.text) == \
            (403, "control-plane requests must originate outside the VPN\n")
    assert ask("GET", "/nowhere").status == 404
    assert ask("GET", "/").status == 200
    assert ask("GET", "/healthz").status == 200


# What the plane is made of

@pytest.mark.only("kernel", reason="the embedded plane has one interface of another kind")
def test_the_wireguard_interface_is_as_promised(shared_host, server):
    link = shared_host.links()["vprox0"]
    assert link["linkinfo"]["info_kind"] == "wireguard"
    assert "UP" in link["flags"]
    assert link["ifalias"] == shared_host.address
    assert shared_host.ns.run("wg show vprox0 listen-port").strip() == "50227"
    addresses = json.loads(shared_host.ns.run("ip -j addr show dev vprox0"))[0]["addr_info"]
    assert [(a["local"], a["prefixlen"]) for a in addresses] == [(GATEWAY, 16)]


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_an_ipip_interface_is_as_promised(shared_host, server, client):
    tunnel = IpipTunnel(client, shared_host.address)
    inner = tunnel.request().inner
    name = f"vp0-{int(inner.split('.')[3]) - 1 + 256 * int(inner.split('.')[2])}"
    link = shared_host.links()[name]
    data = link["linkinfo"]["info_data"]
    assert link["linkinfo"]["info_kind"] == "ipip"
    assert "UP" in link["flags"]
    assert (data["local"], data["remote"]) == (shared_host.address, client.address)
    assert data["ttl"] in (0, "inherit") and data["pmtudisc"] is False
    assert json.loads(shared_host.ns.run(f"ip -j addr show dev {name}"))[0]["addr_info"] == []
    routes = json.loads(shared_host.ns.run(f"ip -j route show table all dev {name}"))
    assert [(r["dst"], r["scope"]) for r in routes] == [(inner, "link")]
    assert shared_host.ns.read(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").strip() == "1"
    tunnel.disconnect()
    assert name not in shared_host.links()


def test_what_is_not_there_yet_is_made_private(shared_host, server):
    run = shared_host.state / "run/vprox"
    assert run.stat().st_mode & 0o777 == 0o700
    assert (run / "server-key").stat().st_mode & 0o777 == 0o600
    key = (run / "server-key").read_text().strip()
    public = shared_host.ns.run("wg pubkey", input=key + "\n").strip()
    assert public == shared_host.ns.run("wg show vprox0 public-key").strip()


@pytest.mark.interop
@pytest.mark.parametrize("direction", ["from the client", "to the client"])
def test_the_segment_size_is_clamped_to_the_path(tunnel, world, direction):
    limit = {"wireguard": 1420, "ipip": 1480}[tunnel.kind] - 40
    # Both ends have room for more and say so: the client's own interface is made larger.
    tunnel.ns.run(f"ip link set {tunnel.device} mtu 1500")
    with capture.Capture(world.internet) as outside, \
            capture.Capture(tunnel.ns, tunnel.device) as inside:
        assert tunnel.visit()
        sniffer, flags = (outside, 0x02) if direction == "from the client" else (inside, 0x12)
        syn = sniffer.wait(lambda p: p.proto == packets.TCP and
                           p.payload[13] == flags and echo.HTTP_PORT in p.ports)
    assert syn is not None and syn.mss <= limit


@pytest.mark.parametrize("port", [443, *(pytest.param(port, marks=pytest.mark.only(
    "embedded", reason="it is the same for both planes")) for port in (50227, 50228, 60000, 65535))])
def test_source_ports_stay_clear_of_the_tunnels_and_the_control_plane(tunnel, shared_host, port):
    for seen in tunnel.visit_from_port(port), echo.ask_udp(tunnel.ns, tunnel.device, port):
        assert seen is not None
        assert seen[0] == shared_host.address
        assert seen[1] != 443 and seen[1] < 50227


# Asking again

@pytest.mark.sanitize
def test_the_same_client_gets_the_same_address_again(tunnel, shared_host):
    before = shared_host.holders()
    for _ in range(3):
        assert tunnel.request().inner == tunnel.inner
    assert shared_host.holders() == before
    assert tunnel.visit() == shared_host.address


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_asking_again_leaves_the_ipip_interface_alone(shared_host, server, client):
    tunnel = IpipTunnel(client, shared_host.address)
    tunnel.request()
    before = {name: link["ifindex"] for name, link in shared_host.ipip_links().items()}
    tunnel.request()
    assert {name: link["ifindex"] for name, link in shared_host.ipip_links().items()} == before


def test_connect_writes_a_peer_back_that_somebody_removed(shared_host, server, client):
    tunnel = shared_host.tunnel("wireguard", client).up()
    assert tunnel.ping()
    shared_host.ns.run(f"wg set vprox0 peer {tunnel.public_key} remove")
    assert not tunnel.ping(seconds=1)
    assert tunnel.request().inner == tunnel.inner
    assert shared_host.wireguard_peers()[tunnel.public_key] == tunnel.inner + "/32"
    # The client's end knows nothing of it, and still has a key that the server has forgotten.
    tunnel.ns.run(f"ip link del {tunnel.device}")
    tunnel.up()
    assert tunnel.ping(seconds=20)


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_a_vanished_ipip_interface_is_made_again_in_the_same_request(shared_host, server, client):
    tunnel = shared_host.tunnel("ipip", client).up()
    name, = shared_host.ipip_links()
    server.expect("the tunnel of .* has vanished")
    shared_host.ns.run(f"ip link del {name}")
    assert not tunnel.ping(seconds=1)
    assert tunnel.request().inner == tunnel.inner
    assert list(shared_host.ipip_links()) == [name]
    assert tunnel.ping() and tunnel.visit() == shared_host.address


# At the same time

def at_once(function, arguments):
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(function, arguments))


def send_together(node, address, requests):
    """Opens a connection for each request, and only then sends them all."""
    def opened(_):
        return Connection(node, address, timeout=30)
    connections = at_once(opened, requests)
    try:
        for connection, request in zip(connections, requests):
            connection.send(request)
        return [connection.receive() for connection in connections]
    finally:
        for connection in connections:
            connection.socket.close()


@pytest.mark.sanitize
def test_50_parallel_requests_from_one_source_give_one_ipip_tunnel(shared_host, server, client):
    requests = [request_bytes("POST", "/connect-ipip")] * PARALLEL
    answers = send_together(client, shared_host.address, requests)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.inner for answer in answers}) == 1
    assert list(shared_host.holders().values()) == [client.address]
    shared_host.api(client).disconnect_ipip()
    assert not shared_host.holders()


def test_50_parallel_requests_with_one_key_give_one_wireguard_peer(shared_host, server, client):
    key = random_key()
    requests = [request_bytes("POST", "/connect", {"PeerPublicKey": key})] * PARALLEL
    answers = send_together(client, shared_host.address, requests)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.inner for answer in answers}) == 1
    assert list(shared_host.holders().values()) == [key]
    shared_host.api(client).disconnect(key)


def test_50_parallel_clients_get_50_addresses(shared_host, server, client):
    keys = [random_key() for _ in range(PARALLEL)]
    answers = send_together(client, shared_host.address, [
        request_bytes("POST", "/connect", {"PeerPublicKey": key}) for key in keys])
    assert len({answer.inner for answer in answers}) == PARALLEL
    assert sorted(shared_host.holders().values()) == sorted(keys)
    answers = send_together(client, shared_host.address, [
        request_bytes("POST", "/disconnect", {"PeerPublicKey": key}) for key in keys])
    assert {answer.status for answer in answers} == {200}
    assert not shared_host.holders()


# When the kernel refuses

@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_a_foreign_ipip_interface_in_the_way_is_named_and_left_alone(shared_host, server, client):
    shared_host.ns.ip(f"link add foreign type ipip local {shared_host.address} "
                      f"remote {client.address}")
    before = shared_host.snapshot()
    server.expect(r"foreign")
    response = shared_host.api(client).connect_ipip()
    assert (response.status, response.text) == (500, "failed to create IPIP tunnel\n")
    assert server.logged(r"error .*foreign")
    shared_host.assert_same(before)
    shared_host.ns.run("ip link del foreign")
    assert shared_host.api(client).connect_ipip().status == 200
    shared_host.api(client).disconnect_ipip()


def test_a_wireguard_device_that_vanished_is_made_again_with_all_its_peers(host, clients):
    server = host.start()
    first, second = [host.tunnel("wireguard", node).up() for node in clients(2)]
    assert first.ping() and second.ping()
    server.expect("vprox0 has vanished")
    host.ns.run("ip link del vprox0")
    assert first.request().inner == first.inner
    assert server.logged("vprox0")
    assert set(host.wireguard_peers()) == {first.public_key, second.public_key}
    for tunnel in first, second:
        tunnel.down()
        tunnel.up()
        assert tunnel.ping(seconds=20) and tunnel.visit() == host.address


@pytest.mark.interop
def test_a_device_that_was_made_again_seeks_its_peers(host, client):
    """A client would ask for new keys only after 15 s of silence."""
    server = host.start("--reap-interval=100ms", expected=["vprox0 has vanished"])
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.ping()
    time.sleep(2)  # for a look, which sees where the client is
    with capture.Capture(client.ns, "eth0") as wire:
        host.ns.run("ip link del vprox0")
        assert server.logged("vprox0 is back", 20)
        first = wire.wait(is_handshake_initiation, 20)
        assert first is not None and first.src == host.address
    wait.until(lambda: tunnel.visit(seconds=1) == host.address, 20)


def is_handshake_initiation(packet):
    return packet.proto == packets.UDP and 50227 in packet.ports and \
        packet.payload[8:12] == b"\1\0\0\0"


@pytest.mark.only("kernel", reason="it puts something else in the place of the device")
def test_a_device_that_refuses_gives_500_and_keeps_no_address(host, client):
    server = host.start(block="10.100.0.0/30", expected=["vprox0", "cannot"])
    host.ns.ip("link add other type dummy", "link set vprox0 down", "link set vprox0 name gone",
               "link set other name vprox0", "link del gone")
    response = host.api(client).connect(random_key())
    assert (response.status, response.text) == (500, "failed to configure WireGuard peer\n")
    # The only address there is comes free once it is certain that the peer is not there.
    host.ns.ip("link del vprox0")
    wait.until(lambda: host.api(client).connect(random_key()).status == 200, 30)
    server.stop()


def test_no_process_is_started_to_serve_a_request(shared_host, server, client):
    def children():
        """Those that are there, and the page faults of those that have been."""
        return [(server.gates() if pid == server.pid else [], faults_of_children(pid))
                for pid in server.processes()]
    api = shared_host.api(client)
    before = children()
    for _ in range(20):
        assert api.connect_ipip().status == 200
        assert api.disconnect_ipip().status == 200
    assert children() == before


def faults_of_children(pid):
    """No program starts without any. man 5 proc: fields 11 and 13, by the end of the name."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return int(fields[11 - 3]), int(fields[13 - 3])
