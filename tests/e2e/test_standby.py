"""A host of a fleet makes ready what another one serves: its device and all peers are there before the address comes.
Until then it is silent, and promises nothing."""

import base64
import contextlib
import os
import signal
import socket

import pytest

from lab.fleet import BACK, give_address, move_address, wait_served, wait_works
from lab.server import Host
from lab.tunnels import random_key
from lib import noise, wait
from lib.capture import Capture
from lib.netns import CommandError, enter
from lib.packets import UDP

PORT = 50227  # of WireGuard, of the first endpoint
ANSWER_SECONDS = 1


def follow(fleet, host, address):
    """On a busy machine etcd is late now and then."""
    return fleet.start(host, f"--follow={address}/32 --store-wait=30s", ips=[],
                       expected=["cannot write to etcd", "etcd cannot be asked"])


@pytest.fixture(name="third_host")
def fixture_third_host(world, options):
    host = Host(world, options)
    yield host
    host.close()


def read_ready(host):
    if "vprox0" not in host.links():
        return set()
    if host.options.plane == "embedded":
        return set(host.holders().values())
    return set(host.wireguard_peers()) | {link["linkinfo"]["info_data"]["remote"] for link in host.ipip_links().values()}


def ready(host):
    """Who has a tunnel on a host, also where its interfaces are down: keys and outer addresses. Nobody, where they are
    just being removed."""
    with contextlib.suppress(OSError, CommandError):
        return read_ready(host)
    return set()


def is_silent(host):
    """Its interfaces are there, and none is up."""
    links = [link for name, link in host.links().items() if name.startswith(("vprox", "vp0-"))]
    return links and not any("UP" in link["flags"] for link in links)


def wait_ready(host, who):
    """Until a standby has just these peers."""
    wait.until(lambda: ready(host) == set(who) and is_silent(host), BACK,
               lambda: f"{who} are ready: {ready(host)}\n{host.servers[-1].log}")


def wait_holders(host, holders):
    """What a claim has brought that was not ready is made beside requests."""
    wait.until(lambda: host.holders() == holders, BACK, lambda: f"{holders}: {host.holders()}\n{host.servers[-1].log}")


@pytest.fixture(name="pair")
def fixture_pair(host, other_host, fleet):
    """Two servers that follow an address, which the first one has."""
    address = host.absent
    first, second = follow(fleet, host, address), follow(fleet, other_host, address)
    give_address(host, address)
    wait_served(first, address)
    return address, first, second


def make_tunnels(host, address, clients, n=1):
    kinds = ("wireguard", "ipip") * n
    return [host.tunnel(kind, node, address).up() for kind, node in zip(kinds, clients(len(kinds)))]


def identities(host):
    return set(host.holders().values())


@pytest.mark.plane
def test_peers_are_there_before_the_address_comes(host, other_host, pair, clients, client):
    """All that the first host has, and nobody whom it has freed; then they work at once, as they were."""
    address, first, second = pair
    api = host.api(client, address)
    freed, key = random_key(), random_key()
    api.connect(freed)
    inner = api.connect(key).inner
    tunnels = make_tunnels(host, address, clients)
    wait_ready(other_host, identities(host))
    assert len(identities(host)) == 4
    assert api.disconnect(freed).status == 200
    wait_ready(other_host, identities(host))
    assert freed not in ready(other_host)
    api.connect(freed)  # at another inner address
    wait_ready(other_host, identities(host))
    before = host.holders()
    standby = other_host.shown()["store"]["standby"]
    assert (standby["addresses"], standby["peers"]) == (1, 4)
    assert (standby["memory_bytes"] > 0) == (host.options.plane == "embedded")
    assert "standby: ready for 1 addresses with 4 peers" in other_host.run("show")[1]

    move_address(host, other_host, address)
    wait_served(second, address)
    assert second.logged("with 4 peers that were ready")
    for tunnel in tunnels:
        wait_works(tunnel, first, second)
        assert tunnel.visit() == address
    assert other_host.holders() == before
    assert other_host.api(client, address).connect(key).inner == inner
    assert "were not there any more" not in second.log
    # Now the first one is standby, for those of the second.
    wait_ready(host, before.values())


def begin(client, peer, server_key, address):
    """A handshake that a peer begins at this address: the answer, or nothing if none comes within a moment."""
    message = noise.add_macs(noise.Initiator(peer, server_key).initiation(noise.timestamp()), server_key)
    with enter(client.ns, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(ANSWER_SECONDS)
        udp.sendto(message, (address, PORT))
        try:
            return udp.recv(2048)
        except TimeoutError:
            return b""


@pytest.mark.plane
def test_a_standby_neither_answers_nor_sends(host, other_host, pair, client, world):
    """Whoever asks it at its own address is a peer, with the right key; and a packet for a peer is there to be sent."""
    address, _, _ = pair
    peer = noise.KeyPair()
    api = host.api(client, address)
    answer = api.connect(base64.b64encode(peer.public).decode())
    server_key = base64.b64decode(answer.json["ServerPublicKey"])
    api.connect_ipip()
    wait_ready(other_host, identities(host))
    wait.until(lambda: begin(client, peer, server_key, address), BACK, "the host that has the address answers")

    def ask_without_firewall():
        """It would drop the answer too."""
        other_host.ns.run("nft flush ruleset")
        return begin(client, peer, server_key, other_host.address)

    with Capture(world.internet, other_host.node.name) as sniffer:
        assert ask_without_firewall() == b""
        other_host.ns.try_run(f"ping -c 1 -W 1 {answer.inner}")
        other_host.ns.try_run(f"ping -c 1 -W 1 -I vprox0 {answer.inner}")
        sniffer.none(lambda p: p.src == address or (p.proto == UDP and p.payload[:2] == PORT.to_bytes(2, "big")))
    # The same with an interface that is up would be answered.
    other_host.ns.ip("link set vprox0 up")
    wait.until(ask_without_firewall, BACK, "an interface that is up answers")


def test_a_standby_that_is_killed_is_ready_again(host, other_host, fleet, pair, clients):
    address, first, second = pair
    tunnels = make_tunnels(host, address, clients)
    wait_ready(other_host, identities(host))
    second.kill()
    other_host.free_port()
    second = follow(fleet, other_host, address)
    assert second.logged(f"another host serves it; .* is ready", BACK)
    wait_ready(other_host, identities(host))
    move_address(host, other_host, address)
    wait_served(second, address)
    for tunnel in tunnels:
        wait_works(tunnel, first, second)


@pytest.mark.only("embedded", reason="the kernel's interfaces do not die")
def test_a_standby_whose_device_dies_makes_it_again(host, other_host, pair, clients):
    address, first, second = pair
    tunnels = make_tunnels(host, address, clients)
    wait_ready(other_host, identities(host))
    second.expect("vprox0 has vanished")
    for pid in other_host.device_processes():
        os.kill(pid, signal.SIGKILL)
    assert second.logged("vprox0 is back, 2 peers", BACK)
    wait_ready(other_host, identities(host))
    move_address(host, other_host, address)
    wait_served(second, address)
    for tunnel in tunnels:
        wait_works(tunnel, first, second)


def test_a_standby_whose_store_dies_hears_of_what_changed_meanwhile(host, other_host, pair, client):
    address, _, second = pair
    api = host.api(client, address)
    freed, kept = random_key(), random_key()
    for key in (freed, kept):
        api.connect(key)
    wait_ready(other_host, [freed, kept])
    store = second.stores()[0]
    second.expect("store 0, process .* killed")
    os.kill(store, signal.SIGSTOP)
    assert api.disconnect(freed).status == 200
    new = random_key()
    api.connect(new)
    os.kill(store, signal.SIGKILL)
    wait_ready(other_host, [kept, new])
    before = host.holders()
    move_address(host, other_host, address)
    wait_served(second, address)
    wait_holders(other_host, before)


def test_what_was_granted_last_is_known_to_the_next_host_when_the_holder_dies(host, other_host, pair, client):
    """The standby has not looked since: the claim reads what is new."""
    address, first, second = pair
    api = host.api(client, address)
    keys = [random_key() for _ in range(20)]
    granted = {key: api.connect(key).inner for key in keys[:10]}
    wait_ready(other_host, granted)
    granted.update({key: api.connect(key).inner for key in keys[10:]})
    api.disconnect(keys[0])
    del granted[keys[0]]
    first.expect("vprox0 has vanished")
    host.reboot()
    move_address(host, other_host, address)
    wait_served(second, address)
    wait_holders(other_host, {inner: who for who, inner in granted.items()})
    other = other_host.api(client, address)
    assert {key: other.connect(key).inner for key in reversed(granted)} == granted


def test_without_etcd_a_standby_serves_whom_it_is_ready_for(host, other_host, etcd, pair, clients):
    address, first, second = pair
    tunnels = make_tunnels(host, address, clients)
    wait_ready(other_host, identities(host))
    before = host.holders()
    for server in (first, second):
        server.expect("etcd")
    etcd.kill()
    try:
        move_address(host, other_host, address)
        wait_served(second, address)
        for tunnel in tunnels:
            wait_works(tunnel, first, second)
        assert other_host.holders() == before
    finally:
        etcd.members[0].start()
        etcd.wait()
    assert second.logged(f"endpoint {address}: claimed in etcd", BACK)


def test_a_standby_that_stops_leaves_nothing_and_promises_as_before(host, other_host, fleet, client):
    """Also one that keeps what is its own."""
    address = host.absent
    first = follow(fleet, host, address)
    give_address(host, address)
    wait_served(first, address)
    granted = {key: host.api(client, address).connect(key).inner for key in (random_key(), random_key())}
    before = other_host.links()
    second = fleet.start(other_host, f"--follow={address}/32 --on-exit=keep", ips=[],
                         expected=["cannot write to etcd", "etcd cannot be asked"])
    wait_ready(other_host, granted)
    second.stop()
    assert other_host.links().keys() == before.keys()
    api = host.api(client, address)
    assert {key: api.connect(key).inner for key in granted} == granted
    assert len(fleet.records("peer")) == 2


def test_two_hosts_are_standby_and_one_of_them_stays_so(host, other_host, third_host, fleet, pair, clients, client):
    address, first, second = pair
    third = follow(fleet, third_host, address)
    tunnels = make_tunnels(host, address, clients)
    for standby in (other_host, third_host):
        wait_ready(standby, identities(host))
    move_address(host, third_host, address)
    wait_served(third, address)
    for tunnel in tunnels:
        wait_works(tunnel, first, second, third)
    third_host.api(client, address).connect(random_key())
    for standby in (host, other_host):
        wait_ready(standby, identities(third_host))
    