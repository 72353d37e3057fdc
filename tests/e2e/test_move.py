"""An address moves from host to host, and its clients with it: the hosts of a fleet follow it, and whoever gains it
claims it."""

import os
import signal
import time

import pytest

from lab.etcd import make_fleet_key
from lab.fleet import BACK, PER_IP, give_address, move_address, take_address, times_served, wait_served, wait_works
from lab.lan import SHARED, Lan
from lab.transfers import Transfers
from lab.tunnels import random_key
from lib import wait

BUSY = ["cannot write to etcd", "etcd cannot be asked"]  # of an etcd that a busy machine holds up
HAS_CLAIMED = r"host .* has claimed it: what is promised of it here is stored no more"


@pytest.fixture(name="fleet")
def fixture_fleet(request):
    """The name of the test's own."""
    return "".join(filter(str.isalnum, request.node.name))[-40:]


@pytest.fixture(name="start")
def fixture_start(etcd, fleet, options, tmp_path):
    """Returns a function that starts a server of the fleet, which follows an address."""
    key = make_fleet_key(options.vprox, tmp_path)

    def start(host, address, expected=()):
        return host.start(f"--store={etcd.store(fleet)} --fleet-key={key} {PER_IP} --follow={address}/32",
                          ips=[], expected=[*BUSY, *expected])
    return start


def wait_stored_places(host, n):
    """Until the store knows of n WireGuard peers where they are: the next host begins the handshakes there."""
    wait.until(lambda: host.stored("SELECT count(*) FROM peer WHERE outer_address IS NOT NULL") == [(n,)], BACK,
               "the store knows where the peers are")


def wait_for_more(transfers, servers, n=50000):
    """Until each transfer has gone on for so many bytes."""
    before = transfers.received()
    wait.until(lambda: transfers.errors or min(now - then for now, then in zip(transfers.received(), before)) > n,
               BACK, lambda: f"all go on: {transfers.received()}, {before}\n" + "\n".join(s.log for s in servers))
    assert transfers.errors == []


def question(fleet, address):
    return f"/vprox/{fleet}/asked/{address}/"


def is_asked(etcd, fleet, address):
    return question(fleet, address) in etcd.records(question(fleet, address))


@pytest.fixture(name="lan")
def fixture_lan(world, host, other_host):
    lan = Lan(world, [host, other_host])
    yield lan
    lan.close()


@pytest.fixture(name="transfers")
def fixture_transfers(world):
    transfers = Transfers(world)
    yield transfers
    transfers.close()


@pytest.mark.plane
def test_an_address_that_comes_to_a_host_brings_its_clients(host, other_host, start, clients, client):
    """There and back: what the other one has granted meanwhile is known too."""
    address = host.absent
    first, second = start(host, address), start(other_host, address)
    assert first.logged("warning .*nf_conntrack_tcp_be_liberal is 0")
    give_address(host, address)
    wait_served(first, address)
    tunnels = [host.tunnel(kind, node, address).up() for kind, node in zip(("wireguard", "ipip"), clients(2))]
    inner = [tunnel.inner for tunnel in tunnels]
    server_key = host.api(client, address).connect(random_key()).json["ServerPublicKey"]
    wait_stored_places(host, 1)

    move_address(host, other_host, address)
    wait_served(second, address)
    for tunnel in tunnels:
        wait_works(tunnel, first, second)
        assert tunnel.visit() == address
    key = random_key()
    answer = host.api(client, address).connect(key)
    assert answer.json["ServerPublicKey"] == server_key and answer.inner not in inner
    assert first.logged(f"info .*endpoint {address}: host .* has claimed it$", BACK)
    wait_stored_places(other_host, 1)

    move_address(other_host, host, address)
    wait_served(first, address, 2)
    for tunnel in tunnels:
        wait_works(tunnel, first, second)
    assert host.api(client, address).connect(key).inner == answer.inner
    assert set(inner) <= set(host.holders())
    assert second.logged(rf"endpoint {address}: closed; \d peers", BACK)


def test_of_two_hosts_with_an_address_the_later_one_serves_it(host, other_host, start, etcd, fleet, clients):
    """The other one says who has it, and leaves it alone as long as that one serves it, whatever becomes of its own
    store and whatever else is in etcd; and serves it again when that one does so no more."""
    address = host.absent
    # It would look like a question that nobody answers.
    etcd.put(question(fleet, address) + "x", "garbage")
    first = start(host, address, [HAS_CLAIMED])
    give_address(host, address)
    wait_served(first, address)
    tunnels = [host.tunnel(kind, node, address).up() for kind, node in zip(("wireguard", "ipip"), clients(2))]
    wait_stored_places(host, 1)

    second = start(other_host, address)
    give_address(other_host, address)
    wait_served(second, address)
    assert first.logged(f"endpoint {address}: {HAS_CLAIMED}", BACK)
    assert first.logged(f"endpoint {address}: served no more", BACK)
    for tunnel in tunnels:
        wait_works(tunnel, first, second)
    wait.until(lambda: "vprox0" not in host.links(), what="the first host has no tunnels of it")

    first.expect("store 0, process .* killed")
    os.kill(first.stores()[0], signal.SIGKILL)
    for _ in range(2):
        wait.until(lambda: is_asked(etcd, fleet, address), BACK, lambda: f"the first asks:\n{first.log}")
        wait.until(lambda: not is_asked(etcd, fleet, address), BACK, lambda: f"the second answers:\n{second.log}")
    assert times_served(first, address) == times_served(second, address) == 1
    wait_stored_places(other_host, 1)

    take_address(other_host, address)
    host.world.internet.ip(f"route replace {address}/32 dev {host.node.name}")
    wait_served(first, address, 2)
    for tunnel in tunnels:
        wait_works(tunnel, first, second)
        assert tunnel.visit() == address


def test_having_the_address_is_enough_without_etcd(host, start, etcd, client):
    address = host.absent
    server = start(host, address, ["etcd"])
    etcd.kill()
    try:
        give_address(host, address)
        wait_served(server, address)
        assert host.tunnel("ipip", client, address).up().visit() == address
    finally:
        etcd.members[0].start()
        etcd.wait()
    assert server.logged(f"endpoint {address}: claimed in etcd", BACK)


def test_what_a_store_says_late_is_made_up_for(host, other_host, start, client, clients):
    """The address is served meanwhile; what was granted then stays, and what was promised before comes back beside
    it."""
    address = host.absent
    first, second = start(host, address), start(other_host, address)
    give_address(host, address)
    wait_served(first, address)
    before = host.api(client, address).connect(random_key()).inner
    tunnel = host.tunnel("ipip", client, address).up()
    assert tunnel.ping()
    take_address(host, address)

    store = second.stores()[0]
    os.kill(store, signal.SIGSTOP)
    try:
        give_address(other_host, address)
        wait_served(second, address)
        assert second.logged("the store does not say what was promised")
        second.expect("the store")
        new = other_host.tunnel("ipip", clients(1)[0], address).up()
        assert new.inner != tunnel.inner and new.visit() == address
    finally:
        os.kill(store, signal.SIGCONT)
    wait_works(tunnel, first, second)
    # Who had asked before has it again, unless the new one got its address, as a host may that had not heard of it yet.
    wait.until(lambda: set(other_host.holders()) == {before, new.inner, tunnel.inner}, BACK,
               lambda: f"all have a tunnel: {other_host.holders()}\n{second.log}")
    assert new.visit() == address


def next_retransmission(seconds):
    """When TCP sends again what got no answer (RFC 6298), where its first timeout is the least that Linux has."""
    times = [0.2 * (2 ** n - 1) for n in range(1, 12)]
    return next(at for at in times if at >= seconds)


def test_connections_go_on_when_the_host_dies_that_has_the_address(lan, start, clients, transfers):
    """Real keepalived and conntrackd, in the shipped examples' words. The dead host comes back, and is standby."""
    one, two = lan.members
    servers = first, second = [start(member.host, SHARED) for member in lan.members]
    one.start()
    wait.until(one.has_shared, BACK, "the first host has the address")
    wait_served(first, SHARED)
    two.start()
    wait.until(lambda: two.said("keepalived", "Entering BACKUP STATE"), BACK, "the second host is standby")
    tunnels = [one.host.tunnel(kind, node, SHARED).up() for kind, node in zip(("wireguard", "ipip"), clients(2))]
    for tunnel in tunnels:
        transfers.add(tunnel, downloads=5, uploads=5, sessions=1)
    wait_stored_places(one.host, 1)
    wait_for_more(transfers, servers)
    wait.until(lambda: two.tracks() >= 22, BACK, lambda: f"the standby tracks them: {two.tracks()}")
    transfers.longest_pauses()

    died = time.monotonic()
    one.cut_off()
    wait.until(two.has_shared, BACK, "the second host has the address")
    gained = time.monotonic()
    wait_served(second, SHARED)
    is_served = time.monotonic()
    wait_for_more(transfers, servers)
    pauses = sorted(transfers.longest_pauses())
    print(f"the address was on the other host after {gained - died:.2f} s, and served {is_served - gained:.2f} s later; "
          f"TCP sends again {next_retransmission(is_served - died):.1f} s after the last answer; "
          f"connections paused for {pauses[0]:.2f} to {pauses[-1]:.2f} s")
    transfers.talk()
    assert transfers.errors == []
    assert not any("be_liberal" in server.log for server in servers)

    one.bring_back()
    assert first.logged(f"endpoint {SHARED}: served no more", BACK)
    wait.until(lambda: one.said("keepalived", "Entering BACKUP STATE", 2), BACK, "the first host is standby")
    wait.until(lambda: two.has_shared() and not one.has_shared(), BACK, "the second host alone has the address")
    wait_for_more(transfers, servers)
    transfers.end()
    wait.until(transfers.all_have_ended, BACK, lambda: f"all has arrived: {transfers.errors}")
    assert transfers.errors == []


def test_in_a_cloud_the_provider_is_asked_to_move_the_address(lan, start, client):
    """The same by the shipped script, with the provider's command filled in."""
    one, two = lan.members
    first, second = [start(member.host, SHARED) for member in lan.members]
    one.start(in_cloud=True)
    wait.until(one.provider_moves, BACK, "the first host asks for the address")
    wait_served(first, SHARED)
    two.start(in_cloud=True)
    tunnel = one.host.tunnel("ipip", client, SHARED).up()
    wait_works(tunnel, first, second)
    wait.until(lambda: two.said("keepalived", "Entering BACKUP STATE"), BACK, "the second host is standby")

    one.cut_off()
    wait.until(two.provider_moves, BACK, "the second host asks for the address")
    wait_served(second, SHARED)
    wait_works(tunnel, first, second)
    assert tunnel.visit() == SHARED
    assert first.logged(f"endpoint {SHARED}: closed", BACK)
    one.bring_back()
