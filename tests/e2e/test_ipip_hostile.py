"""IPIP from those who would use another's address, and what happens to honest clients meanwhile: the
same whether each has an interface, all share one, or a device carries them."""

import concurrent.futures

import pytest

from lab.datagrams import assert_comes, datagram, has_come
from lib import capture, packets, wait

pytestmark = pytest.mark.plane

TWO = "--wg-block-per-ip=/24"
LOOK = "--reap-interval=1s"
SECONDS = 40
AT_ONCE = 10
ADDRESS_OF_ITS_OWN = "192.0.2.201"
NO_OPERATION, RECORD_ROUTE, END = 1, 7, 0
OPTIONS = bytes([NO_OPERATION, RECORD_ROUTE, 7, 4, 0, 0, 0, END])
NOTHING_BY_NOW = 1


@pytest.fixture(scope="module", name="server")
def fixture_server(shared_host):
    return shared_host.start(f"{TWO} --reap-interval=1h", ips=[shared_host.address, shared_host.second])


@pytest.fixture(name="pair")
def fixture_pair(shared_host, server, client, other_client):
    return shared_host.tunnel("ipip", client).up(), shared_host.tunnel("ipip", other_client).up()


def assert_none_come(world, wrong, right):
    """wrong: payload to (namespace, packets); right likewise with the address that it comes from: sent
    afterwards, so that what was to come has."""
    for namespace, *sent in wrong.values():
        capture.send_routed(namespace, *sent)
    payload, address, namespace, *sent = right
    assert_comes(world, address, namespace, payload, *sent)
    assert not [name for name in wrong if has_come(world, name)]


def test_options_of_the_outer_header_change_nothing_of_who_may_send_what(world, shared_host, pair):
    mine, other = pair

    def with_options(name, inner):
        return packets.ipv4(mine.node.address, shared_host.address, packets.IPIP,
                            datagram(inner, name), options=OPTIONS)
    assert_none_come(
        world, {b"another's, with options": (mine.ns, with_options(b"another's, with options", other.inner))},
        (b"mine, with options", shared_host.address, mine.ns,
         with_options(b"mine, with options", mine.inner)))


def test_ipip_in_ipip_comes_to_nothing(world, shared_host, pair):
    mine, other = pair
    home, own = shared_host.address, mine.node.address

    def nested(name, between, inner):
        return mine.ns, packets.ipip(own, home, packets.ipip(between, home, datagram(inner, name)))
    assert_none_come(world, {
        name: nested(name, *sources) for name, sources in {
            b"as its own twice": (mine.inner, mine.inner),
            b"as another's, in its own": (mine.inner, other.inner),
            b"as from another's machine": (other.node.address, other.inner),
            b"as from its own machine": (own, mine.inner)}.items()},
        (b"once", home, mine.ns, packets.ipip(own, home, datagram(mine.inner, b"once"))))


def test_one_machine_has_a_tunnel_to_each_address_and_each_its_own_source(world, shared_host, server, client):
    tunnels = [shared_host.tunnel("ipip", client, address, device=device).up()
               for address, device in ((shared_host.address, "ipip0"), (shared_host.second, "ipip1"))]
    addresses = [tunnel.server_address for tunnel in tunnels]
    for tunnel in tunnels:
        assert tunnel.ping() and tunnel.visit() == tunnel.server_address
    wrong = {name: (client.ns, packets.ipip(client.address, to, datagram(tunnel.inner, name)))
             for name, to, tunnel in ((b"the first one's, at the second", addresses[1], tunnels[0]),
                                      (b"the second one's, at the first", addresses[0], tunnels[1]))}
    for tunnel in tunnels:
        name = f"at {tunnel.server_address}".encode()
        assert_none_come(world, wrong, (name, tunnel.server_address, client.ns, packets.ipip(
            client.address, tunnel.server_address, datagram(tunnel.inner, name))))
    tunnels[0].disconnect()
    assert not tunnels[0].ping(seconds=NOTHING_BY_NOW) and tunnels[1].ping()


def test_a_machine_that_comes_from_another_address_does_not_get_the_former_one_s_tunnel(
        world, shared_host, server):
    """Nor does the former one lose it: who a client of IPIP is, its address tells."""
    node = world.add_client(more_addresses=[ADDRESS_OF_ITS_OWN])
    try:
        old = shared_host.tunnel("ipip", node).up()
        assert old.ping()
        old_address = node.address
        new = shared_host.api(node).connect_ipip(source=ADDRESS_OF_ITS_OWN)
        assert new.status == 200 and new.inner != old.inner
        home = shared_host.address
        assert_none_come(world, {
            name: (node.ns, packets.ipip(outer, home, datagram(inner, name)))
            for name, outer, inner in ((b"the new one's, from the old", old_address, new.inner),
                                       (b"the old one's, from the new", ADDRESS_OF_ITS_OWN, old.inner))},
            (b"the new one's", home, node.ns,
             packets.ipip(ADDRESS_OF_ITS_OWN, home, datagram(new.inner, b"the new one's"))))
        assert_comes(world, home, node.ns, b"the old one's",
                     packets.ipip(old_address, home, datagram(old.inner, b"the old one's")))
    finally:
        world.remove(node)


def test_ten_that_ask_while_the_server_is_killed_have_ten_addresses_afterwards(host, clients):
    server = host.start(LOOK, expected=["cannot", "has not its tunnel"])
    nodes = clients(AT_ONCE)
    tunnels = [host.tunnel("ipip", node) for node in nodes]

    def ask(tunnel):
        try:
            return tunnel.request()
        except (OSError, AssertionError):  # refused, or closed in the middle of an answer
            return None
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(ask, tunnel) for tunnel in tunnels]
        wait.until(lambda: any(one.done() for one in asked), what="the first has its answer")
        server.kill()
        told = [one.result() for one in asked]
    host.start(LOOK)
    for tunnel, answer in zip(tunnels, told):
        tunnel.up()
        assert not answer or answer.status != 200 or answer.inner == tunnel.inner
    assert len({tunnel.inner for tunnel in tunnels}) == AT_ONCE
    assert host.holders() == {tunnel.inner: tunnel.node.address for tunnel in tunnels}
    for tunnel in tunnels:
        wait.until(lambda t=tunnel: t.ping(seconds=1), SECONDS)
    status, said = host.run("check --server", seconds=90)
    assert status == 0, said


def test_a_ruleset_that_is_flushed_comes_back_and_with_it_who_may_send_what(world, host, clients):
    host.start(LOOK, expected=["firewall", "somebody has", "put right|loaded"])
    mine, other = [host.tunnel("ipip", node).up() for node in clients(2)]
    host.ns.run("nft flush ruleset")
    wait.until(lambda: mine.visit(seconds=2) == host.address, SECONDS, "it leaves with the address again")
    name = b"another's, after the flush"
    assert_none_come(
        world, {name: (mine.ns, packets.ipip(mine.node.address, host.address, datagram(other.inner, name)))},
        (b"mine, after the flush", host.address, mine.ns,
         packets.ipip(mine.node.address, host.address, datagram(mine.inner, b"mine, after the flush"))))
