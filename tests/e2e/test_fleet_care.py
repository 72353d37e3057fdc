"""What operators do to a fleet that runs, and what it says of itself: its key is changed, clocks are wrong."""

import contextlib
import os
import re
import shutil
import subprocess
import threading
import time

import pytest

from lab.clock import wrong_clock
from lab.etcd import Etcd, make_fleet_key
from lab.fleet import KEY_ID, Fleet, move_address
from lab.tunnels import begun_by_server, known_place, random_key
from lib import wait
from lib.process import children, open_files, status

BACK = 60
AN_HOUR = 3600
IGNORED = "are ignored|another key"
BUSY = ["cannot write to etcd", "etcd cannot be asked"]  # of an etcd that a busy machine holds up


def shown(host):
    return host.shown()["store"]


class HostOfFleet:
    """A host with a copy of the key's file, and one client."""

    def __init__(self, fleet, host, client, folder):
        self.fleet, self.host, self.client = fleet, host, client
        self.copy = folder / f"key-of-{host.node.name}"
        self.key = random_key()
        self.bring_key()
        self.inner = None

    def bring_key(self):
        shutil.copy(self.fleet.key, self.copy)

    def start(self, ips=None):
        """Also again: with what is there, and nothing of it is unreadable."""
        if self.host.servers and self.host.servers[-1].process.poll() is None:
            self.host.servers[-1].stop()
        server = self.host.start(f"{self.fleet.arguments()} --on-exit=keep --fleet-key={self.copy}", ips=ips,
                                 expected=BUSY)
        inner = self.host.api(self.client).connect(self.key).inner
        assert self.inner in (None, inner)
        self.inner = inner
        assert not server.logged(IGNORED, 0)
        return server


def key_ids(fleet):
    return {value[KEY_ID] for value in fleet.everything().values()}


def test_a_key_or_password_that_others_can_read_is_told(host, fleet):
    fleet.key.chmod(0o640)
    server = fleet.start(host)
    assert server.logged(f"warning .*{fleet.key} is exposed: it should be root's, with mode 0600", 0)


def test_the_key_of_a_fleet_that_runs_is_changed(host, other_host, client, fleet, options, tmp_path):
    """At no step is a record unreadable or does a host refuse, and what is shown says when the old key can go."""
    hosts = [HostOfFleet(fleet, each, client, tmp_path) for each in (host, other_host)]
    hosts[0].start(ips=[host.address, host.second])
    hosts[1].start()
    wait.until(lambda: len(fleet.records("peer")) == 2, BACK)
    old, = key_ids(fleet)
    # An address that is not served any more has records too.
    hosts[0].start()

    def change(step):
        subprocess.run([options.vprox, "fleet-key", step, fleet.key], check=True)
        for each in hosts:
            each.bring_key()
            server = each.start()
        return server
    server = change("--add")
    assert server.logged("the fleet's key: no record needs the second key of its file", BACK)
    assert key_ids(fleet) == {old}
    server = change("--swap")
    assert server.logged(f"the fleet's key: of 3 addresses . have records under the second key of its file", BACK)
    wait.until(lambda: all(shown(each.host)["second_key"] == {"needed_by": 1, "addresses": 3} for each in hosts), BACK)
    assert f"second fleet key: needed by 1 of 3 addresses, such as {host.second}" in host.run("show")[1]
    assert "vprox_store_second_key_addresses 1\n" in host.run("show --metrics")[1]
    assert old in key_ids(fleet)
    server = hosts[0].start(ips=[host.address, host.second])
    assert server.logged("the fleet's key: no record needs the second key of its file", BACK)
    wait.until(lambda: all(shown(each.host)["second_key"]["needed_by"] == 0 for each in hosts), BACK)
    assert "second fleet key: not needed" in other_host.run("show")[1]
    # So it is: of no kind, of no address.
    assert len(key_ids(fleet)) == 1 and old not in key_ids(fleet)
    change("--drop")
    assert shown(host)["second_key"] is None
    # And what is under the new one moves.
    host.servers[-1].kill()
    move_address(host, other_host)
    other_host.servers[-1].stop()
    other_host.start(f"{fleet.arguments()} --fleet-key={hosts[1].copy}", ips=[host.address], expected=BUSY)
    assert other_host.api(client, host.address).connect(hosts[0].key).inner == hosts[0].inner


# Names


def give_names(host, folder, text):
    """Its own /etc/hosts, which is returned; and no name server that it would wait for."""
    (folder / "hosts").write_text(text)
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    host.mounts += [(folder / name, f"/etc/{name}") for name in ("hosts", "resolv.conf")
                    if os.path.exists(f"/etc/{name}")]
    return folder / "hosts"


def test_a_member_of_etcd_that_changes_its_address_is_found_while_the_server_runs(
        world, host, client, options, tmp_path):
    nodes = [world.add_client() for _ in range(2)]
    etcds = [Etcd(node) for node in nodes]
    hosts = give_names(host, tmp_path, f"{nodes[0].address} etcd.lab\n")
    fleet = Fleet(etcds[0].start(), make_fleet_key(options.vprox, tmp_path))
    port = etcds[0].members[0].port
    server = host.start(fleet.arguments(store=f"etcd://etcd.lab:{port}/{fleet.name}"), expected=["cannot write"])
    ask = host.api(client)
    ask.connect(random_key())
    fleet.wait_for_peers(1)
    # Who looks names up has no right, and no way to the broker.
    (store,) = server.stores()
    (helper,) = children(store)
    assert status(helper)["Uid"] == status(store)["Uid"] and status(helper)["Name"] == "vprox-names"
    assert int(status(helper)["CapBnd"], 16) == int(status(helper)["CapPrm"], 16) == 0
    assert len(open_files(helper)) == 4
    # The same member on another host.
    etcds[0].kill()
    etcds[0].node = nodes[1]
    etcds[0].start()
    ask.connect(random_key())
    assert server.logged("cannot write to etcd", BACK)
    hosts.write_text(f"{nodes[1].address} etcd.lab\n")
    assert server.logged(f"etcd's etcd.lab:{port} is at {nodes[1].address} now", BACK)
    assert server.logged("etcd can be written again", BACK)
    fleet.wait_for_peers(2)
    for etcd in etcds:
        etcd.close()
    server.expect("could not be stored")
    server.kill()
    for node in nodes:
        world.remove(node)


def test_a_member_of_etcd_whose_name_is_not_known_yet_is_found_later(host, client, fleet, tmp_path):
    hosts = give_names(host, tmp_path, "")
    address, port = fleet.etcd.members[0].address.split(":")
    server = host.start(fleet.arguments(store=f"etcd://later.lab:{port}/{fleet.name}"),
                        expected=["cannot be asked", "has no address"])
    host.api(client).connect(random_key())
    assert server.logged(f"etcd's later.lab:{port} has no address, and is left out as long: ", BACK)
    hosts.write_text(f"{address} later.lab\n")
    fleet.wait_for_peers(1)


# Clocks


@pytest.mark.only("embedded", reason="the kernel sends what its clock says")
def test_of_hosts_whose_clocks_are_an_hour_apart_each_serves_what_the_other_has_served(
        host, other_host, client, fleet, tmp_path):
    ahead = wrong_clock(tmp_path, AN_HOUR)
    server = host.start(fleet.arguments("--on-exit=keep"), environment=ahead)
    assert server.logged(r"warning .*the clock is 3[56]\d\d s ahead of the fleet's", 0)
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.ping()
    wait.until(lambda: AN_HOUR - 100 < shown(host)["clock_ahead_s"] <= AN_HOUR + 100, BACK)
    assert "ahead of the fleet's" in host.run("show")[1]
    fleet.wait_for_peers(1)
    wait.until(lambda: known_place(host), BACK)
    host.reboot()
    # The client sees a handshake that the server has begun, an hour ahead.
    host.start(fleet.arguments(), environment=ahead)
    wait.until(lambda: begun_by_server(host), BACK, "a handshake")
    host.reboot()
    move_address(host, other_host)
    # Its clock is right, and so behind all that the client has seen.
    server = other_host.start(fleet.arguments("--reap-interval=1h"), ips=[host.address])
    wait.until(lambda: begun_by_server(other_host), BACK, "a handshake")
    assert tunnel.ping()
    assert server.logged(r"the clock is 3[56]\d\d s behind the latest handshakes: its device goes on", 0)
    assert not server.logged("ahead of the fleet's", 0)
    assert shown(other_host)["clock_ahead_s"] == 0


def test_a_clock_that_is_right_is_not_told(host, fleet):
    server = fleet.start(host)
    assert shown(host)["clock_ahead_s"] == 0 and not server.logged("the clock is", 0)


# History

HISTORY = "--etcd-history=6s"
COMPACTED = r"etcd's history was compacted up to revision (\d+)"


def test_hosts_have_the_history_compacted_one_at_a_time_and_one_that_dies_is_replaced(
        host, other_host, client, fleet):
    """What was replaced longer ago than is to be kept is gone, and nothing that holds."""
    hosts = {each: fleet.start(each, HISTORY) for each in (host, other_host)}
    key = random_key()
    inner = {each: each.api(client).connect(key).inner for each in hosts}
    first = wait.until(lambda: next((each for each, server in hosts.items() if re.search(COMPACTED, server.log)), None),
                       BACK, "a compaction")
    assert len(set(revisions(hosts))) == len(revisions(hosts)), "each was asked for once"
    name = f"/vprox/{fleet.name}/compactor/"
    wait.until(lambda: name in fleet.everything(), BACK, "whose turn it is")
    hosts.pop(first).kill()
    (left, server), = hosts.items()
    left.api(client).connect(random_key())
    fleet.wait_for_peers(3)
    before = fleet.etcd.revision()
    wait.until(lambda: fleet.etcd.is_compacted(before - 1), BACK, "what there was when one died")
    assert server.logged(COMPACTED, BACK)
    assert left.api(client).connect(key).inner == inner[left]
    assert len(fleet.records("peer")) == 3


def revisions(servers):
    return [revision for server in servers.values() for revision in re.findall(COMPACTED, server.log)]


def test_where_others_see_to_it_nothing_is_compacted(host, client, fleet):
    server = fleet.start(host, "--etcd-history=none")
    before = fleet.etcd.revision()
    host.api(client).connect(random_key())
    fleet.wait_for_peers(1)
    time.sleep(5)
    assert not fleet.etcd.is_compacted(before) and not re.search(COMPACTED, server.log)


def test_a_compaction_at_any_moment_is_survived(host, other_host, client, fleet):
    """While hosts write, read all there is, and take over."""
    ended = threading.Event()

    def compact():
        while not ended.wait(0.02):
            with contextlib.suppress(OSError):
                fleet.etcd.compact(fleet.etcd.revision())
    compacting = threading.Thread(target=compact)
    compacting.start()
    try:
        server = fleet.start(host)
        keys = [random_key() for _ in range(20)]
        given = {key: host.api(client).connect(key).inner for key in keys}
        fleet.wait_for_peers(20)
        server.kill()
        move_address(host, other_host)
        fleet.start(other_host, ips=[host.address])
        assert {key: other_host.api(client, host.address).connect(key).inner for key in reversed(keys)} == given
    finally:
        ended.set()
        compacting.join()
