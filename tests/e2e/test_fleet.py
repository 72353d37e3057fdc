"""Hosts with a common store, in etcd: what one has promised another keeps; only who has the fleet's key reads
or makes records; and an etcd that fails keeps nobody from a tunnel."""

import base64
import contextlib
import os
import re
import signal
import sqlite3
import statistics
import time

import pytest

from lab.authority import Authority
from lab.etcd import Etcd, SlowWay, make_fleet_key
from lab.fleet import PER_IP, Fleet, move_address
from lab.storm import Storm
from lab.tunnels import random_key
from lib import wait

BACK = 60
CANNOT_WRITE = "cannot write to etcd"
CANNOT_ASK = "etcd cannot be asked"


@pytest.fixture(name="slow_way")
def fixture_slow_way(node):
    """Returns a function that makes a way to an etcd on which every byte takes so many seconds: its address."""
    made = []

    def make(etcd, seconds):
        made.append(SlowWay(node, etcd.members[0], seconds))
        return made[-1].address
    yield make
    for way in made:
        way.close()


def ask_for(host, client, keys, address=None):
    api = host.api(client, address)
    return {key: api.connect(key).inner for key in keys}


def write_peers(host, n, address=None):
    """As if a server with a store of its own had promised them."""
    with contextlib.closing(sqlite3.connect(host.state / "lib/vprox/store/store.db")) as database, database:
        now = int(time.time())
        database.executemany(
            "INSERT INTO peer VALUES (?, ?, 'wireguard', ?, NULL, NULL, 0, ?, ?, '')",
            [(address or host.address, f"10.100.{i // 256}.{i % 256}", random_key(), now, now) for i in range(2, n + 2)])


def server_key(host, client, address=None):
    return host.api(client, address).connect(random_key()).json["ServerPublicKey"]


def test_a_grant_is_in_etcd_before_it_is_answered(host, client, fleet):
    fleet.start(host, "--store-wait=30s")
    api = host.api(client)
    for n in range(1, 4):
        inner = api.connect(random_key()).inner
        assert len(fleet.records("peer")) == n
        assert f"/vprox/{fleet.name}/peer/{host.address}/{inner}" in fleet.records("peer")


def test_what_one_host_promised_another_keeps(host, other_host, client, fleet):
    """The same inner addresses, the same key, and what was freed last comes last."""
    server = fleet.start(host, "--store-wait=30s")
    api = host.api(client)
    keys = [random_key() for _ in range(10)]
    before = ask_for(host, client, keys)
    for key in keys[:3]:
        assert api.disconnect(key).status == 200
    public_key = server_key(host, client)
    server.kill()
    move_address(host, other_host)
    fleet.start(other_host, ips=[host.address])
    after = ask_for(other_host, client, reversed(keys[3:]), host.address)
    assert after == {key: before[key] for key in keys[3:]}
    assert server_key(other_host, client, host.address) == public_key
    # Those that were freed are not given out as long as there are others.
    new = ask_for(other_host, client, [random_key()], host.address)
    assert not set(new.values()) & set(before.values())


def test_a_host_whose_address_another_has_claimed_changes_nothing(host, other_host, client, fleet):
    """It is told who has it, and goes on to give tunnels, which nobody is promised."""
    server = fleet.start(host, expected=["has claimed it"])
    ask_for(host, client, [random_key() for _ in range(3)])
    fleet.wait_for_peers(3)
    fleet.start(other_host, ips=[host.address])
    fleet.wait_for_peers(3)
    before = fleet.records("peer")
    ask_for(host, client, [random_key()])
    assert server.logged(f"{host.address}: host .* has claimed it", BACK)
    ask_for(host, client, [random_key()])
    assert server.stores()
    # All that has come since is of the other one, who seals it anew.
    assert set(fleet.records("peer")) == set(before)


def test_endpoints_of_a_fleet_have_different_numbers(host, other_host, client, fleet):
    fleet.start(host, ips=[host.address, host.second])
    fleet.wait_for("number", 2)
    fleet.start(other_host)
    fleet.wait_for("number", 3)
    first = [ask_for(host, client, [random_key()], address) for address in (host.address, host.second)]
    other = ask_for(other_host, client, [random_key()])
    thirds = {int(next(iter(given.values())).split(".")[2]) // 16 for given in [*first, other]}
    assert len(thirds) == 3
    fleet.wait_for_peers(3)


def test_a_host_that_joins_brings_its_clients(host, client, fleet):
    server = host.start(PER_IP)
    keys = [random_key() for _ in range(5)]
    before = ask_for(host, client, keys)
    server.kill()
    fleet.start(host)
    fleet.wait_for_peers(5)
    assert ask_for(host, client, keys) == before


def test_where_a_host_that_joins_knew_an_address_by_another_number_it_says_that_the_fleets_holds(host, other_host, fleet):
    other_host.start(PER_IP, ips=[host.address]).stop()
    server = fleet.start(host, ips=[host.second, host.address])
    fleet.wait_for("number", 2)
    server.kill()
    server = fleet.start(other_host, ips=[host.address], expected=["its fleet knows it by"])
    assert server.logged(f"endpoint {host.address}: its fleet knows it by number 1, block 10.100.16.0/20, which holds: "
                         "what this host has promised there under number 0 is given up", BACK)


def test_a_host_that_joins_with_what_is_anothers_does_not_start(host, other_host, client, fleet):
    other_host.start(PER_IP).stop()
    fleet.start(host)
    fleet.wait_for("number", 1)
    server = other_host.launch(fleet.arguments(), expected=["belongs to", "does not start"])
    assert server.wait() == 1
    assert server.logged(rf"{other_host.address}: number 0, block 10.100.0.0/20 belongs to {host.address}")


def test_of_two_new_hosts_that_took_one_number_the_later_has_another_when_it_is_started_again(host, other_host, client, fleet):
    """As when both start at the same moment, or while etcd is away."""
    said = ["etcd cannot be asked", "belongs to", "nobody was promised"]
    fleet.etcd.kill()
    servers = [fleet.start(each, expected=said) for each in (host, other_host)]
    fleet.etcd.start()
    collided = r"number 0, block 10\.100\.0\.0/20 belongs to"
    wait.until(lambda: any(re.search(collided, server.log) for server in servers), BACK, "one of them collides")
    late, = [each for each, server in zip((host, other_host), servers) if re.search(collided, server.log)]
    server = late.servers[-1]
    assert server.logged(f"endpoint {late.address}: nobody was promised an address there: when its server is started again")
    server.stop()
    server = fleet.start(late, more="--store-wait=30s")
    inner, = ask_for(late, client, [random_key()]).values()
    assert int(inner.split(".")[2]) // 16 == 1, "the next block"
    fleet.wait_for("number", 2)


def test_a_host_whose_number_another_has_taken_when_etcd_had_lost_all_keeps_what_it_promised(host, other_host, client, fleet):
    """It is for the operator to say which of the two gives its number up."""
    server = fleet.start(host, "--store-wait=2s", expected=["belongs to", "changed by no host", "was put back"])
    ask_for(host, client, [random_key() for _ in range(3)])
    fleet.wait_for_peers(3)
    store, = server.stores()
    os.kill(store, signal.SIGSTOP)
    fleet.etcd.make_room(f"/vprox/{fleet.name}/")
    fleet.start(other_host)
    fleet.wait_for("number", 1)
    os.kill(store, signal.SIGCONT)
    assert server.logged(f"{host.address}: number 0, block 10.100.0.0/20 belongs to {other_host.address}", BACK)
    assert "nobody was promised" not in server.log
    server.stop()
    assert host.stored("SELECT count(*) FROM peer") == [(3,)]


def test_a_host_that_collides_starts_after_renumber_and_its_clients_connect_once_more(host, other_host, client, fleet):
    """What does not collide stays, on both hosts."""
    other_host.start(f"{PER_IP} --on-exit=keep", ips=[other_host.address, other_host.second])
    keys = [random_key() for _ in range(3)]
    ask_for(other_host, client, keys)
    kept = ask_for(other_host, client, keys[:1], other_host.second)
    other_host.servers[-1].stop()
    fleet.start(host)
    fleet.wait_for("number", 1)
    first = ask_for(host, client, keys)
    both = [other_host.address, other_host.second]
    server = other_host.launch(fleet.arguments(), ips=both, expected=["belongs to", "does not start"])
    assert server.wait() == 1
    assert server.logged("the server does not start: `vprox fleet renumber`")
    status, said = other_host.run("fleet renumber --dry-run")
    assert status == 0 and f"{other_host.address}: number 0, block 10.100.0.0/20, which belongs to {host.address}" in said
    assert other_host.launch(fleet.arguments(), ips=both, expected=["belongs to", "does not start"]).wait() == 1
    status, said = other_host.run("fleet renumber")
    assert status == 0 and "is given up" in said and other_host.second not in said
    assert "nothing to renumber" in other_host.run("fleet renumber")[1]
    fleet.start(other_host, ips=both, more="--store-wait=30s")
    after = ask_for(other_host, client, keys)
    assert {int(inner.split(".")[2]) // 16 for inner in after.values()} == {2}
    assert ask_for(other_host, client, keys[:1], other_host.second) == kept
    assert ask_for(host, client, keys) == first
    # Nothing is left of what was given up, neither in etcd nor on the host.
    inner = {name.rsplit("/")[-1] for name in fleet.records("peer") if f"/{other_host.address}/" in name}
    assert inner == set(after.values())
    assert sorted(name for name in other_host.links() if name.startswith("vprox")) == ["vprox1", "vprox2"]


def test_a_host_that_joins_with_other_clients_at_an_address_of_the_fleet_does_not_start_until_they_are_given_up(
        host, other_host, client, fleet):
    """Also where it has served the address by the very numbers by which the fleet knows it."""
    other_host.start(PER_IP, ips=[host.address]).stop()
    write_peers(other_host, 3, host.address)
    server = fleet.start(host, "--store-wait=30s")
    kept = ask_for(host, client, [random_key() for _ in range(2)])
    server.kill()
    before = fleet.records("endpoint")
    move_address(host, other_host)
    refused = ["with another key and other clients", "does not start"]
    other = other_host.launch(fleet.arguments(), ips=[host.address], expected=refused)
    assert other.wait() == 1
    assert other.logged(f"endpoint {host.address}: number 0, block 10.100.0.0/20 is what its fleet knows it by too, but "
                        "with another key and other clients, of host ")
    assert fleet.records("endpoint") == before
    status, said = other_host.run("fleet renumber")
    assert status == 0 and f"endpoint {host.address}: number 0, block 10.100.0.0/20, with a key that its fleet does not know " \
        "there, is given up" in said
    other = fleet.start(other_host, ips=[host.address])
    assert ask_for(other_host, client, kept, host.address) == kept
    assert other.logged(f"endpoint {host.address}: claimed in etcd, epoch 2", BACK)


def test_a_host_that_joins_with_nobody_to_lose_at_an_address_of_the_fleet_starts(host, other_host, client, fleet):
    other_host.start(PER_IP, ips=[host.address]).stop()
    server = fleet.start(host, "--store-wait=30s")
    kept = ask_for(host, client, [random_key()])
    server.kill()
    move_address(host, other_host)
    fleet.start(other_host, ips=[host.address])
    assert ask_for(other_host, client, kept, host.address) == kept


def test_while_a_server_runs_nothing_is_renumbered(host, fleet):
    fleet.start(host)
    status, said = host.run("fleet renumber")
    assert status == 1 and "a vprox server runs on this host: stop it first" in said


def test_etcd_learns_of_no_client(host, client, fleet):
    server = fleet.start(host, "--store-wait=30s")
    keys = [random_key() for _ in range(3)]
    ask_for(host, client, keys)
    held = repr(sorted(fleet.etcd.records(f"/vprox/{fleet.name}/").items())).encode()
    raw = b"".join(fleet.etcd.records(f"/vprox/{fleet.name}/").values())
    for secret in [*keys, server_key(host, client)]:
        assert secret.encode() not in held and base64.b64decode(secret) not in raw
    assert client.address.encode() not in held
    sizes = {len(value) for value in fleet.records("peer").values()}
    assert len(sizes) == 1
    server.stop()


def test_records_that_cannot_be_are_ignored_and_named(host, other_host, client, fleet):
    """Garbage, another client's record under a client's name and under nobody's, and one that is older than what
    holds: they bring no client back, and take no other one's address."""
    server = fleet.start(host, "--store-wait=30s")
    keys = [random_key() for _ in range(4)]
    before = ask_for(host, client, keys)
    prefix = f"/vprox/{fleet.name}/peer/{host.address}/"
    old = fleet.records("peer")
    server.kill()
    # Sealed anew by the next holder: what there was before is older than its floor.
    server = fleet.start(host)
    assert server.logged("all records in etcd are of epoch 2", BACK)
    server.kill()
    now = fleet.records("peer")
    names = [prefix + before[key] for key in keys]
    fleet.etcd.put(names[0], "garbage")
    fleet.etcd.put(names[1], now[names[2]])
    fleet.etcd.put(names[3], old[names[3]])
    fleet.etcd.put(prefix + "10.100.0.99", now[names[2]])
    move_address(host, other_host)
    other = fleet.start(other_host, ips=[host.address])
    assert other.logged(rf"{host.address}: 4 records in etcd are ignored, the first is {prefix}")
    known = dict(zip(names, keys))[names[2]]
    assert ask_for(other_host, client, [known], host.address) == {known: before[known]}


def test_another_fleet_in_the_same_etcd_is_not_touched(host, other_host, client, fleet, etcd):
    stranger = Fleet(etcd, fleet.key, fleet.name + "-b")
    fleet.start(host)
    ask_for(host, client, [random_key()])
    fleet.wait_for_peers(1)
    before = etcd.records(f"/vprox/{fleet.name}/")
    stranger.start(other_host)
    ask_for(other_host, client, [random_key()])
    stranger.wait_for_peers(1)
    assert etcd.records(f"/vprox/{fleet.name}/") == before
    # The numbers of one are not the other's.
    assert set(stranger.records("number")) == {f"/vprox/{stranger.name}/number/0"}


def test_a_host_with_another_key_reads_nothing(host, other_host, client, fleet, options, tmp_path):
    server = fleet.start(host)
    key = random_key()
    ask_for(host, client, [key])
    fleet.wait_for_peers(1)
    server.kill()
    before = fleet.records("peer")
    move_address(host, other_host)
    (tmp_path / "other").mkdir()
    stranger = Fleet(fleet.etcd, make_fleet_key(options.vprox, tmp_path / "other"), fleet.name)
    server = stranger.start(other_host, ips=[host.address], expected=[CANNOT_ASK, "could not be stored"])
    assert server.logged("records are ignored, the first is .*: it is sealed under another key")
    assert server.logged("etcd cannot be asked, .*: what is there is sealed under another key", BACK)
    # It is another's: nothing of it is changed.
    assert ask_for(other_host, client, [key], host.address)
    assert fleet.records("peer") == before
    server.kill()


# An etcd that fails


@pytest.fixture(name="own_etcd")
def fixture_own_etcd(node):
    """Returns a function that starts one for this test alone."""
    made = []

    def start(*args, **kwargs):
        made.append(Etcd(node, *args, **kwargs))
        return made[-1].start()
    yield start
    for etcd in made:
        etcd.close()


@pytest.fixture(name="own_fleet")
def fixture_own_fleet(own_etcd, options, tmp_path):
    def start(*args, **kwargs):
        return Fleet(own_etcd(*args, **kwargs), make_fleet_key(options.vprox, tmp_path))
    return start


def test_a_start_without_etcd_keeps_what_it_held_last_and_catches_up(own_fleet, host, client):
    fleet = own_fleet()
    server = fleet.start(host, "--store-wait=30s")
    keys = [random_key() for _ in range(5)]
    before = ask_for(host, client, keys)
    server.kill()
    fleet.etcd.kill()
    host.reboot()
    server = fleet.start(host, "--reap-interval=1h", expected=[CANNOT_ASK])
    assert ask_for(host, client, reversed(keys)) == before
    more = ask_for(host, client, [random_key() for _ in range(3)])
    fleet.etcd.start()
    assert server.logged("etcd can be written again", BACK)
    fleet.wait_for_peers(8)
    assert {name.rsplit("/")[-1] for name in fleet.records("peer")} == {*before.values(), *more.values()}


def test_while_etcd_is_down_clients_get_tunnels_and_it_catches_up(own_fleet, host, client):
    fleet = own_fleet()
    server = fleet.start(host, expected=[CANNOT_WRITE])
    api = host.api(client)
    first, *keys = [random_key() for _ in range(20)]
    ask_for(host, client, [first])
    fleet.wait_for_peers(1)
    fleet.etcd.kill()
    given = ask_for(host, client, keys)
    assert api.disconnect(first).status == 200
    assert server.logged(CANNOT_WRITE, BACK)
    assert len(re.findall(CANNOT_WRITE, server.log)) == 1
    fleet.etcd.start()
    assert server.logged("etcd can be written again", BACK)
    fleet.wait_for_peers(20)
    wait.until(lambda: "0 changes" in host.run("show")[1] or " up" in host.run("show")[1], BACK)
    assert set(given.values()) <= {name.rsplit("/")[-1] for name in fleet.records("peer")}


def test_the_death_of_etcds_leader_is_a_pause(own_fleet, host, client):
    fleet = own_fleet(3)
    server = fleet.start(host, expected=[CANNOT_WRITE])
    leader = wait.until(fleet.etcd.leader, BACK)
    ask_for(host, client, [random_key()])
    leader.kill()
    given = ask_for(host, client, [random_key() for _ in range(10)])
    fleet.wait_for_peers(11)
    assert server.stores() and len(given) == 10


def test_a_slow_etcd_keeps_nobody_waiting(own_fleet, slow_way, host, client):
    fleet, seconds = own_fleet(), 0.5
    way = slow_way(fleet.etcd, seconds)
    fleet.start(host, store=f"etcd://{way}/{fleet.name}")
    took, given = [], {}
    for _ in range(10):
        began = time.monotonic()
        given |= ask_for(host, client, [random_key()])
        took.append(time.monotonic() - began)
    assert statistics.median(took) < 2 * seconds, "the way to etcd and back"
    fleet.wait_for_peers(10)
    assert len(given) == 10


def test_an_etcd_without_room_keeps_nobody_from_a_tunnel_and_is_caught_up_with(own_fleet, host, client):
    fleet = own_fleet(options=["--quota-backend-bytes=4194304"])
    with contextlib.suppress(OSError):
        for n in range(100):
            fleet.etcd.put(f"/stuffing/{n}", "x" * 65536)
    server = fleet.start(host, expected=[CANNOT_WRITE])
    assert len(ask_for(host, client, [random_key() for _ in range(3)])) == 3
    assert server.logged(f"{CANNOT_WRITE}.*database space exceeded", BACK)
    fleet.etcd.make_room("/stuffing/")
    assert server.logged("etcd can be written again", BACK)
    fleet.wait_for_peers(3)


def test_through_a_storm_of_connects_etcd_goes_and_comes_and_has_all_of_it(own_fleet, host, other_host, clients):
    """Nobody is told another address meanwhile, nor by the host that takes over then."""
    fleet = own_fleet()
    server = fleet.start(host, expected=[CANNOT_WRITE])
    nodes = clients(3)
    storm = Storm(host, nodes, leaving=0.2, at_most=15)

    def outage():
        wait.until(lambda: len(storm.granted) > 10, BACK, "the storm blows")
        fleet.etcd.kill()
        assert server.logged(CANNOT_WRITE, BACK)
        n_answered = storm.n_answered
        wait.until(lambda: storm.n_answered > n_answered + 30, BACK, "clients are answered")
        fleet.etcd.start()
        assert server.logged("etcd can be written again", BACK)
    storm.during(1, outage)
    wait.until(lambda: '"behind": 0' in host.run("show --json")[1], BACK, "all is stored")
    server.kill()
    move_address(host, other_host)
    fleet.start(other_host, ips=[host.address])
    granted = dict(storm.granted)
    owners = {node.address: node for node in nodes}
    for who, inner in granted.items():
        api = other_host.api(owners.get(who, nodes[0]), host.address)
        assert (api.connect_ipip() if who in owners else api.connect(who)).inner == inner
    assert len(set(granted.values())) == len(granted) > 10 and not storm.moved and not storm.shared


@pytest.fixture(name="tls")
def fixture_tls(tmp_path, node):
    """A folder with certificates for etcd, and for a host."""
    folder = tmp_path / "tls"
    folder.mkdir()
    Authority(folder).issue("etcd", node.address).issue("host", "192.0.2.1")
    return folder


def with_password(folder, password):
    (folder / "password").write_text(password + "\n")
    (folder / "password").chmod(0o600)
    return f"--etcd-ca={folder}/ca.pem --etcd-user=vprox --etcd-password-file={folder}/password"


def test_with_a_password_and_tokens_that_expire(own_fleet, host, client, tls):
    """Of the names in etcd the user may read and write those of the fleet alone."""
    fleet = own_fleet(options=["--auth-token-ttl=1"], tls=tls)
    fleet.etcd.ask_for_passwords(fleet.name, "vprox", "secret")
    fleet.start(host, with_password(tls, "secret") + " --store-wait=30s")
    ask_for(host, client, [random_key()])
    time.sleep(3)  # the token is none any more, unless somebody uses it
    ask_for(host, client, [random_key()])
    fleet.etcd.authenticate()
    assert len(fleet.records("peer")) == 2


def test_with_a_wrong_password_clients_get_tunnels(own_fleet, host, client, tls):
    fleet = own_fleet(tls=tls)
    fleet.etcd.ask_for_passwords(fleet.name, "vprox", "secret")
    server = fleet.start(host, with_password(tls, "wrong"), expected=[CANNOT_ASK, "could not be stored"])
    assert server.logged("etcd cannot be asked, .*authentication failed, invalid user ID or password")
    assert ask_for(host, client, [random_key()])
    assert "wrong" not in server.log
    server.kill()


def test_hosts_that_etcd_knows_by_a_certificate(own_fleet, host, client, tls):
    fleet = own_fleet(options=["--client-cert-auth", "--trusted-ca-file", tls / "ca.pem"], tls=tls)
    fleet.start(host, f"--etcd-ca={tls}/ca.pem --etcd-cert={tls}/host.pem --etcd-key={tls}/host.key --store-wait=30s")
    ask_for(host, client, [random_key()])
    assert len(fleet.records("peer")) == 1


def test_an_etcd_whose_certificate_has_expired_learns_nothing(own_fleet, host, client, tls, node):
    """Neither the password nor a record."""
    Authority(tls).issue("etcd", node.address, days=-1)
    fleet = own_fleet(tls=tls)
    server = fleet.start(host, with_password(tls, "secret"), expected=[CANNOT_ASK, "could not be stored"])
    assert server.logged("etcd cannot be asked, .*certificate")
    assert ask_for(host, client, [random_key()])
    assert not fleet.everything()
    server.kill()


def test_thousands_of_peers_are_read_in_pages(host, other_host, client, fleet):
    """More than a page has, and more than a transaction takes."""
    n = 1500
    host.start(PER_IP).stop(signal.SIGTERM)
    write_peers(host, n)
    server = fleet.start(host, "--idle-timeout=1h --connect-grace=1h --reap-interval=1h")
    fleet.wait_for_peers(n)
    server.kill()
    # At its end it frees them all, and waits 5 s for an etcd that shares its processor.
    other = fleet.start(other_host, "--idle-timeout=1h --connect-grace=1h --reap-interval=1h", ips=[host.address],
                        expected=["changes could not be stored"])
    assert other.logged(f"{n} peers that were not there any more have their tunnels again")
