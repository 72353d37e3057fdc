"""The pool of inner addresses, by blocks small enough to use up."""

import pytest

from lab.tunnels import IpipTunnel, random_key
from lib import wait

ALL_FROM_ONE_SOURCE = "--max-peers-per-source=1000"
TOO_MANY = (429, "too many peers from this address\n")
USED_UP = (503, "no more IP addresses available\n")


def said(response):
    return response.status, response.text


@pytest.mark.sanitize
def test_a_block_of_4_addresses_runs_out_and_recovers(host, clients):
    host.start(block="10.9.8.0/30")
    first, second = clients(2)
    api, other = host.api(first), host.api(second)
    key = random_key()
    assert api.connect(key).json["AssignedAddr"] == "10.9.8.2/30"
    assert said(other.connect(random_key())) == USED_UP
    assert said(other.connect_ipip()) == USED_UP
    assert api.connect(key).inner == "10.9.8.2"  # who has one keeps it
    assert list(host.holders()) == ["10.9.8.2"] and not host.ipip_links()
    api.disconnect(key)
    assert other.connect_ipip().inner == "10.9.8.2"
    assert said(api.connect(key)) == USED_UP


def test_network_broadcast_and_gateway_are_never_given_out(host, client):
    host.start(ALL_FROM_ONE_SOURCE, block="10.9.8.0/29")
    api = host.api(client)
    given = [api.connect(random_key()).inner for _ in range(5)]
    assert given == [f"10.9.8.{n}" for n in range(2, 7)]
    assert said(api.connect(random_key())) == USED_UP


def test_lowest_never_used_first_then_the_one_freed_longest_ago(host, client):
    host.start(ALL_FROM_ONE_SOURCE, block="10.9.8.0/29")
    api = host.api(client)
    keys = [random_key() for _ in range(5)]
    assert [api.connect(key).inner for key in keys[:3]] == ["10.9.8.2", "10.9.8.3", "10.9.8.4"]
    api.disconnect(keys[1])
    api.disconnect(keys[0])
    assert api.connect(random_key()).inner == "10.9.8.5"
    assert api.connect(random_key()).inner == "10.9.8.6"
    assert api.connect(random_key()).inner == "10.9.8.3"
    assert api.connect(random_key()).inner == "10.9.8.2"


@pytest.mark.plane
def test_the_last_addresses_are_not_for_a_source_that_has_half_of_all(host, clients):
    """Of five; who has a tunnel keeps it, and so it is after a restart."""
    server = host.start("--on-exit=keep", block="10.9.8.0/29")
    greedy, other = clients(2)
    keys = [random_key() for _ in range(4)]
    given = [host.api(greedy).connect(key).inner for key in keys]
    refused = host.api(greedy).connect(random_key())
    assert said(refused) == TOO_MANY and int(refused.headers["retry-after"]) > 0
    assert said(host.api(greedy).connect_ipip()) == TOO_MANY
    assert [host.api(greedy).connect(key).inner for key in keys] == given
    server.stop()
    host.start(block="10.9.8.0/29")
    assert [host.api(greedy).connect(key).inner for key in keys] == given
    assert said(host.api(greedy).connect(random_key())) == TOO_MANY
    assert host.api(other).connect_ipip().status == 200
    assert said(host.api(other).connect(random_key())) == USED_UP
    assert len(host.holders()) == 5


def test_how_many_a_source_may_have_is_a_flag(host, client):
    host.start("--max-peers-per-source=1", block="10.9.8.0/29")
    api = host.api(client)
    assert [api.connect(random_key()).status for _ in range(5)] == [200] * 4 + [429]


@pytest.mark.plane
def test_an_address_whose_peer_disconnected_is_not_kept_by_either_kind(host, client):
    host.start(block="10.9.8.0/30")
    api = host.api(client)
    for _ in range(3):
        key = random_key()
        assert api.connect(key).status == 200
        assert api.disconnect(key).status == 200
        assert api.connect_ipip().status == 200
        assert api.disconnect_ipip().status == 200
    assert not host.holders()


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_the_address_of_a_vanished_interface_is_free_at_the_next_look(host, clients):
    server = host.start("--reap-interval=300ms", block="10.9.8.0/30")
    first, second = clients(2)
    IpipTunnel(first, host.address).up()
    host.ns.run("ip link del vp0-1")
    assert server.logged(rf"{first.address}.*vanished", seconds=30)
    assert wait.until(lambda: host.api(second).connect_ipip().status == 200)


def test_host_bits_of_the_block_are_masked_off(host, client):
    host.start(block="10.9.8.77/24")
    assert host.api(client).connect_ipip().json["AssignedAddr"] == "10.9.8.2/24"


@pytest.mark.plane
def test_a_block_inside_240_0_0_0_slash_4_works(host, client, kind):
    host.start(block="240.1.0.0/16")
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.inner == "240.1.0.2"
    assert tunnel.ping() and tunnel.visit() == host.address
