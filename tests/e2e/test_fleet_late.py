"""A host of a fleet that etcd was away from: what has changed meanwhile it sees when etcd is back, and what etcd itself
has forgotten it does not."""

import shutil

import pytest

from lab.etcd import Etcd, make_fleet_key
from lab.fleet import BACK, Fleet, give_address, move_address, times_served, wait_served
from lab.tunnels import random_key
from lib import wait

AWAY = ["cannot write to etcd", "etcd cannot be asked"]
CLAIMED_BY_OTHER = r"host .* has claimed it: what is promised of it here is stored no more"


@pytest.fixture(name="own_fleet")
def fixture_own_fleet(node, options, tmp_path):
    """In an etcd that a test may put back."""
    etcd = Etcd(node).start()
    yield Fleet(etcd, make_fleet_key(options.vprox, tmp_path))
    etcd.close()


def follow(fleet, host, address, expected=()):
    return fleet.start(host, f"--follow={address}/32", ips=[], expected=[*AWAY, *expected])


def cut_off(host, node):
    """Nothing that the host sends comes to this node, and nobody says so."""
    host.ns.run("nft add table ip cut; add chain ip cut out { type filter hook output priority 0; }; "
                f"add rule ip cut out ip daddr {node.address} drop")


def join_again(host):
    host.ns.run("nft delete table ip cut")


def holders(host):
    return {who: inner for inner, who in host.holders().items()}


def test_who_only_etcd_knows_has_a_tunnel_when_a_late_claim_succeeds(own_fleet, node, host, other_host, client):
    """And those to whom the host has given an address meanwhile keep it."""
    address = host.absent
    first = follow(own_fleet, host, address)
    give_address(host, address)
    wait_served(first, address)
    keys = [random_key() for _ in range(3)]
    granted = {key: host.api(client, address).connect(key).inner for key in keys}
    own_fleet.wait_for_peers(3)
    second = follow(own_fleet, other_host, address)
    assert second.logged("3 peers are ready", BACK)
    cut_off(other_host, node)
    freed, *kept = keys
    assert host.api(client, address).disconnect(freed).status == 200
    only_in_etcd = [random_key() for _ in range(3)]
    granted.update({key: host.api(client, address).connect(key).inner for key in only_in_etcd})
    own_fleet.wait_for_peers(6)
    move_address(host, other_host, address)
    wait_served(second, address)
    assert not set(holders(other_host)) & set(only_in_etcd)
    new = random_key()
    given = other_host.api(client, address).connect(new).inner
    assert given in [granted[key] for key in only_in_etcd]
    join_again(other_host)
    assert second.logged(f"endpoint {address}: claimed in etcd, epoch 2", BACK)
    wait.until(lambda: set(holders(other_host)) >= {new, *kept, *(key for key in only_in_etcd if granted[key] != given)},
               BACK, lambda: f"all have their tunnels:\n{second.log}")
    assert {key: inner for key, inner in holders(other_host).items() if key in granted} == {
        key: inner for key, inner in granted.items() if key in holders(other_host)}
    assert holders(other_host)[new] == given
    # Data plane and store agree, also of the address that two were promised.
    wait.until(lambda: other_host.run("check --server")[0] == 0, BACK, lambda: f"all agree: {other_host.run('check --server')}")


def test_a_standby_that_was_cut_off_for_longer_than_etcds_history_has_nobody_who_is_promised_nothing_any_more(
        own_fleet, node, host, other_host, client):
    """What it reads needs no history: who has gone is told by a record in his place."""
    address = host.absent
    first = follow(own_fleet, host, address)
    give_address(host, address)
    wait_served(first, address)
    api = host.api(client, address)
    keys = [random_key() for _ in range(4)]
    for key in keys:
        api.connect(key)
    own_fleet.wait_for_peers(4)
    second = follow(own_fleet, other_host, address)
    assert second.logged("4 peers are ready", BACK)
    cut_off(other_host, node)
    own_fleet.etcd.compact(own_fleet.etcd.revision())
    for key in keys[:2]:
        assert api.disconnect(key).status == 200
    new = random_key()
    api.connect(new)
    own_fleet.wait_for_peers(5)
    own_fleet.etcd.compact(own_fleet.etcd.revision())
    assert set(holders(other_host)) == set(keys)
    join_again(other_host)
    wait.until(lambda: set(holders(other_host)) == {*keys[2:], new}, BACK, lambda: f"only these are ready:\n{second.log}")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_host_that_was_superseded_while_etcd_was_away_from_it_stops_when_it_is_back(
        own_fleet, node, host, other_host, restarted):
    """Also one that was started meanwhile, and has not claimed the address: it takes it from nobody."""
    address = host.absent
    first = follow(own_fleet, host, address, [CLAIMED_BY_OTHER])
    give_address(host, address)
    wait_served(first, address)
    assert first.logged(f"endpoint {address}: claimed in etcd, epoch 1", BACK)
    cut_off(host, node)
    if restarted:
        first.kill()
        first = follow(own_fleet, host, address, [CLAIMED_BY_OTHER])
    second = follow(own_fleet, other_host, address)
    give_address(other_host, address)
    wait_served(second, address)
    assert second.logged(f"endpoint {address}: claimed in etcd, epoch 2", BACK)
    join_again(host)
    assert first.logged(f"endpoint {address}: {CLAIMED_BY_OTHER}", BACK)
    assert first.logged(f"endpoint {address}: served no more", BACK)
    assert times_served(second, address) == 1 and "served no more" not in second.log
    assert "epoch 3" not in first.log


def keep(etcd):
    """What an operator's snapshot would have; etcd is stopped for it."""
    etcd.kill()
    member, = etcd.members
    shutil.copytree(member.folder, member.folder.with_suffix(".kept"))
    etcd.start()


def put_back(etcd):
    etcd.kill()
    member, = etcd.members
    shutil.rmtree(member.folder)
    shutil.copytree(member.folder.with_suffix(".kept"), member.folder)
    etcd.start()


def test_no_epoch_is_claimed_twice_when_etcd_is_put_back(own_fleet, host, client):
    """And what the host has in its copy, which is newer, holds."""
    fleet = own_fleet
    server = fleet.start(host, expected=AWAY)
    freed = random_key()
    host.api(client).connect(freed)
    fleet.wait_for_peers(1)
    server.kill()
    keep(fleet.etcd)
    server = fleet.start(host, expected=AWAY)
    assert server.logged("all records in etcd are of epoch 2", BACK)
    granted = {key: host.api(client).connect(key).inner for key in (random_key() for _ in range(3))}
    assert host.api(client).disconnect(freed).status == 200
    fleet.wait_for_peers(4)
    server.kill()
    host.reboot()
    put_back(fleet.etcd)
    server = fleet.start(host, expected=[*AWAY, "of an older epoch than this host has seen"])
    assert server.logged(f"etcd has 1 addresses of an older epoch than this host has seen, such as {host.address}: ")
    assert server.logged(f"endpoint {host.address}: claimed in etcd, epoch 3", BACK)
    assert holders(host) == granted
    fleet.wait_for_peers(4)


def test_what_was_promised_since_is_in_etcd_again_when_it_is_put_back_under_a_server(own_fleet, host, other_host, client):
    """Whose own record is there as it was. A standby, which has seen more than etcd has now, sees what comes next."""
    fleet, address = own_fleet, host.absent
    server = follow(fleet, host, address, ["etcd was put back"])
    give_address(host, address)
    wait_served(server, address)
    standby = follow(fleet, other_host, address, ["etcd was put back", "of an older epoch than this host has seen"])
    assert standby.logged("another host serves it", BACK)
    assert server.logged("all records in etcd are of epoch 1", BACK)
    keep(fleet.etcd)
    api = host.api(client, address)
    keys = [random_key() for _ in range(3)]
    for key in keys:
        api.connect(key)
    fleet.wait_for_peers(3)
    wait.until(lambda: set(holders(other_host)) == set(keys), BACK, lambda: f"the standby has them:\n{standby.log}")
    put_back(fleet.etcd)
    assert server.logged("etcd was put back to what it held before", BACK)
    assert server.logged(f"endpoint {address}: claimed in etcd, epoch 2", BACK)
    fleet.wait_for_peers(3)
    assert api.disconnect(keys[0]).status == 200
    new = random_key()
    api.connect(new)
    wait.until(lambda: set(holders(other_host)) == {*keys[1:], new}, BACK, lambda: f"the standby goes on:\n{standby.log}\n{server.log}")


def go_on(etcd):
    """Others write to it, more than there was."""
    for n in range(200):
        etcd.put(f"/others/{n}", "x")


def test_a_holder_that_sees_etcd_only_when_others_have_gone_on_in_it_finds_that_it_was_put_back(own_fleet, node, host, client):
    """etcd's revision is later than before; what the host wrote last is gone all the same."""
    fleet = own_fleet
    server = fleet.start(host, expected=[*AWAY, "etcd was put back"])
    assert server.logged("all records in etcd are of epoch 1", BACK)
    keep(fleet.etcd)
    granted = {key: host.api(client).connect(key).inner for key in (random_key() for _ in range(3))}
    fleet.wait_for_peers(3)
    cut_off(host, node)
    put_back(fleet.etcd)
    go_on(fleet.etcd)
    assert not fleet.records("peer")
    join_again(host)
    assert server.logged("etcd was put back to what it held before", BACK)
    fleet.wait_for_peers(3)
    assert {name.rsplit("/")[-1] for name in fleet.records("peer")} == set(granted.values())


def test_a_standby_that_saw_etcd_put_back_follows_a_holder_that_lost_nothing_by_it(
        own_fleet, node, host, other_host, client):
    """It is not waited for that such a holder claims anew: it has no reason to."""
    fleet, address = own_fleet, host.absent
    server = follow(fleet, host, address)
    give_address(host, address)
    wait_served(server, address)
    api, kept = host.api(client, address), random_key()
    api.connect(kept)
    standby = fleet.start(other_host, f"--follow={address}/32 --store-wait=30s",
                          expected=[*AWAY, "etcd was put back", "of an older epoch than this host has seen"])
    assert server.logged("all records in etcd are of epoch 1", BACK)
    assert standby.logged("1 peers are ready", BACK)
    cut_off(host, node)
    keep(fleet.etcd)
    go_on(fleet.etcd)
    # It has seen that etcd has gone on.
    other_host.api(client).connect(random_key())
    put_back(fleet.etcd)
    assert standby.logged("etcd was put back to what it held before", BACK)
    go_on(fleet.etcd)
    join_again(host)
    new = random_key()
    api.connect(new)
    wait.until(lambda: set(holders(other_host)) == {kept, new}, BACK,
               lambda: f"the standby goes on:\n{standby.log}\n{server.log}")
    assert "etcd was put back" not in server.log


def test_who_was_freed_stays_so_when_a_record_of_the_same_epoch_is_put_back(own_fleet, host, client):
    """The host was its holder all the time: what it has in its copy is newer, and says that nobody has the address."""
    fleet, etcd = own_fleet, own_fleet.etcd
    server = fleet.start(host, "--store-wait=30s", expected=AWAY)
    freed, kept = (random_key() for _ in range(2))
    api = host.api(client)
    inner = api.connect(freed).inner
    granted = {kept: api.connect(kept).inner}
    assert server.logged("all records in etcd are of epoch 1", BACK)
    name = f"/vprox/{fleet.name}/peer/{host.address}/{inner}"
    old = fleet.records("peer")[name]
    assert api.disconnect(freed).status == 200
    wait.until(lambda: fleet.records("peer")[name] != old, BACK, "etcd knows that it was freed")
    server.kill()
    host.reboot()
    etcd.put(name, old)
    server = fleet.start(host, "--store-wait=30s", expected=AWAY)
    assert server.logged("all records in etcd are of epoch 2", BACK)
    assert holders(host) == granted
    assert fleet.records("peer")[name] != old
