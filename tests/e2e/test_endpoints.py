"""Several addresses on one host."""

import pytest

from lab.tunnels import random_key
from lab.world import up
from lib import capture, packets, wait

pytestmark = pytest.mark.plane

FLAGS = "--wg-block-per-ip=/24"


@pytest.fixture(scope="module", name="server")
def fixture_server(shared_host):
    return shared_host.start(FLAGS, ips=[shared_host.address, shared_host.second])


@pytest.mark.interop
@pytest.mark.sanitize
def test_two_addresses_serve_two_blocks_each_leaving_with_its_own(shared_host, server, client, kind):
    first = shared_host.tunnel(kind, client, shared_host.address, device="first").up()
    second = shared_host.tunnel(kind, client, shared_host.second, device="second").up()
    assert first.inner.startswith("10.100.0.") and first.gateway == "10.100.0.1"
    assert second.inner.startswith("10.100.1.") and second.gateway == "10.100.1.1"
    assert first.visit() == shared_host.address
    assert second.visit() == shared_host.second
    assert first.ping() and second.ping()


def test_each_has_its_interface_port_and_key(shared_host, server, client):
    ports = [shared_host.api(client, address).connect(random_key()).json
             for address in (shared_host.address, shared_host.second)]
    assert [answer["ServerListenPort"] for answer in ports] == [50227, 50228]
    assert ports[0]["AssignedAddr"].endswith("/24")
    links = shared_host.links()
    assert links["vprox0"]["ifalias"] == shared_host.address
    assert links["vprox1"]["ifalias"] == shared_host.second


def test_get_root_names_the_address_that_was_asked(shared_host, server, client):
    for address in shared_host.address, shared_host.second:
        assert shared_host.api(client, address).get("/").text.endswith(f"-> {address}:443\n")


def test_a_tunnel_of_either_endpoint_is_no_way_to_the_others_control_plane(
        shared_host, server, client, kind):
    tunnel = shared_host.tunnel(kind, client).up()
    api = shared_host.api(client, shared_host.second)
    response = api.post("/connect-ipip", device=tunnel.device)
    assert (response.status, response.text) == \
        (403, "control-plane requests must originate outside the VPN\n")


def test_a_peer_of_one_endpoint_cannot_use_the_others_addresses(shared_host, server, clients, world):
    first, second = clients(2)
    mine = shared_host.tunnel("ipip", first, shared_host.address).up()
    other = shared_host.tunnel("ipip", second, shared_host.second).up()
    capture.send(mine.ns, mine.device,
                 packets.udp_packet(other.inner, "198.51.100.80", 4000, 7777, b"spoofed-endpoint"),
                 packets.udp_packet(mine.inner, "198.51.100.80", 4000, 7777, b"right-endpoint"))
    assert seen(world, b"right-endpoint") == shared_host.address
    assert seen(world, b"spoofed-endpoint", seconds=0.3) is None


def seen(world, payload, seconds=15):
    """Where the Internet got a datagram from, or None."""
    try:
        return wait.until(lambda: next((address for data, (address, _) in world.echo.datagrams
                                        if data == payload), None), seconds)
    except AssertionError:
        return None


def test_the_same_client_has_a_place_at_each_endpoint(shared_host, server, client):
    for address in shared_host.address, shared_host.second:
        assert shared_host.api(client, address).connect_ipip().status == 200
    assert len([who for index in (0, 1) for who in shared_host.holders(index).values()
                if who == client.address]) == 2
    assert shared_host.api(client, shared_host.address).disconnect_ipip().status == 200
    assert client.address not in shared_host.holders(0).values()
    assert client.address in shared_host.holders(1).values()
    shared_host.api(client, shared_host.second).disconnect_ipip()


def test_with_several_uplinks_each_address_leaves_by_its_own(world, host, client, kind):
    """The host has a second uplink, and routes what comes from its second address there."""
    world.internet.run(f"ip link add u{host.node.name} type veth peer name wan1 "
                       f"netns {host.ns.name}")
    world.internet.ip(*up(f"u{host.node.name}"))
    host.ns.ip(f"addr del {host.second}/32 dev wan0", f"addr add {host.second}/32 dev wan1",
               *up("wan1"), "route add default via 203.0.113.1 dev wan1 onlink table 100",
               f"rule add from {host.second} lookup 100")
    world.internet.run(f"ip route replace {host.second}/32 dev u{host.node.name}")
    before = host.snapshot()
    server = host.start(FLAGS, ips=[host.address, host.second])
    tunnel = host.tunnel(kind, client, host.second).up()
    first = host.tunnel(kind, client, host.address, device="first").up()
    with capture.Capture(host.ns, "wan1") as second_uplink, \
            capture.Capture(host.ns, "wan0") as first_uplink:
        assert tunnel.ping()
        assert tunnel.visit() == host.second
        assert first.visit() == host.address

        def left(sniffer, source):
            return any(p.src == source and p.dst == "198.51.100.80"
                       for p in sniffer.look())
        assert left(second_uplink, host.second) and not left(first_uplink, host.second)
        assert left(first_uplink, host.address) and not left(second_uplink, host.address)
    server.stop()
    host.assert_same(before)
