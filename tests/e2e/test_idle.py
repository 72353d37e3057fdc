"""Idle peers go, and nobody else: docs/api.md, "Behaviour", with short times."""

import time

import pytest

from lab.server import SHARED
from lab.tunnels import random_key
from lib import capture, packets, wait

pytestmark = pytest.mark.plane

IDLE = 3
GRACE = 2
FLAGS = f"--idle-timeout={IDLE} --connect-grace={GRACE}s --reap-interval=200ms"
SLACK = 30  # for a look, a removal and a slow machine


@pytest.fixture(scope="module", name="server")
def fixture_server(shared_host):
    return shared_host.start(FLAGS)


def holds(host, tunnel):
    return tunnel.inner in host.holders()


def test_an_idle_ipip_peer_goes(shared_host, server, client):
    tunnel = shared_host.tunnel("ipip", client)
    began = time.monotonic()
    tunnel.inner = tunnel.request().inner
    wait.throughout(lambda: holds(shared_host, tunnel), IDLE - 1, "it is not idle yet", began)
    wait.until(lambda: not holds(shared_host, tunnel), 1 + SLACK)
    assert time.monotonic() - began >= IDLE
    assert not shared_host.ipip_links()


def test_a_wireguard_peer_without_a_handshake_goes_after_the_idle_timeout(
        shared_host, server, client):
    key = random_key()
    began = time.monotonic()
    shared_host.api(client).connect(key)
    # Longer than the grace, which is for those with a handshake.
    wait.throughout(lambda: key in shared_host.wireguard_peers(), IDLE - 0.5, since=began)
    wait.until(lambda: key not in shared_host.wireguard_peers(), 1 + SLACK)
    assert time.monotonic() - began >= IDLE


def test_a_wireguard_peer_whose_handshake_is_old_goes(shared_host, server, client):
    tunnel = shared_host.tunnel("wireguard", client).up()
    assert tunnel.ping()
    wait.until(lambda: not holds(shared_host, tunnel), IDLE + SLACK)


def test_a_recent_connect_keeps_a_wireguard_peer_whose_handshake_is_old(host, client):
    host.start("--idle-timeout=1s --connect-grace=5s --reap-interval=200ms")
    began = time.monotonic()
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.ping()
    wait.throughout(lambda: holds(host, tunnel), 4, "the grace is longer", began)
    wait.until(lambda: not holds(host, tunnel), 3 + SLACK)


def test_one_way_traffic_from_the_client_keeps_an_ipip_peer(shared_host, server, client):
    tunnel = shared_host.tunnel("ipip", client).up()

    def sends():
        capture.send(tunnel.ns, tunnel.device,
                     packets.udp_packet(tunnel.inner, "198.51.100.99", 4000, 9,
                                        b"nobody answers this"))
        return holds(shared_host, tunnel)
    wait.throughout(sends, 2 * IDLE)
    wait.until(lambda: not holds(shared_host, tunnel), IDLE + SLACK)


def test_one_way_traffic_to_the_client_keeps_an_ipip_peer(shared_host, server, client):
    tunnel = shared_host.tunnel("ipip", client)
    tunnel.inner = tunnel.request().inner  # it has no end of its own that could answer
    device, = shared_host.ipip_links() or [SHARED if SHARED in shared_host.links() else "vprox0"]

    def is_there():
        return holds(shared_host, tunnel)

    def sends():
        capture.send(shared_host.ns, device,
                     packets.udp_packet("10.100.0.1", tunnel.inner, 4000, 9,
                                        b"nobody answers this"))
        return is_there()
    wait.throughout(sends, 2 * IDLE)
    wait.until(lambda: not is_there(), IDLE + SLACK)


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_asking_again_sets_the_clock_back(shared_host, server, client):
    tunnel = shared_host.tunnel("ipip", client)
    tunnel.inner = tunnel.request().inner
    key = random_key()
    shared_host.api(client).connect(key)
    end = time.monotonic() + 2 * IDLE
    while time.monotonic() < end:
        time.sleep(IDLE / 6)
        assert tunnel.request().inner == tunnel.inner
        assert shared_host.api(client).connect(key).status == 200
    assert holds(shared_host, tunnel)
    assert key in shared_host.wireguard_peers()
    wait.until(lambda: not shared_host.holders(), IDLE + SLACK)


def test_who_went_may_come_again(shared_host, server, client, kind):
    tunnel = shared_host.tunnel(kind, client).up()
    wait.until(lambda: not holds(shared_host, tunnel), IDLE + SLACK)
    tunnel.down()
    tunnel.up()
    assert tunnel.ping() and tunnel.visit() == shared_host.address
