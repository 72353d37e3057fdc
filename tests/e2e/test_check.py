"""`vprox check --server` says what does not agree of data plane, table, store and firewall, and
nothing of what is only under way."""

import json
import re
import sqlite3
import threading

import pytest

from lab.tunnels import random_key
from lib import wait

NEVER = "--reap-interval=1h"


def check(host, options=""):
    """(exit status, what it printed)"""
    return host.run(f"check --server {options}", seconds=90)


def check_soon(host, options=""):
    """Where something is to disagree for good."""
    return check(host, f"--wait=2s {options}")


def disagreements(host, look=None):
    status, said = (look or check)(host, "--json")
    answer = json.loads(said)
    assert (status == 0) == answer["agrees"] == (not answer["disagreements"]), said
    return answer["disagreements"]


def stored(host):
    return sqlite3.connect(host.state / "lib/vprox/store/store.db", isolation_level=None)


def remove_peer(host, key):
    host.ns.run(f"wg set vprox0 peer {key} remove")


@pytest.mark.plane
def test_a_server_and_its_host_agree(host, client):
    host.start()
    api = host.api(client)
    assert api.connect(random_key()).status == 200
    assert api.connect_ipip().status == 200
    status, said = check(host)
    assert status == 0, said
    assert said == "2 tunnels of 1 address are as they should be\n"
    answer = json.loads(check(host, "--json")[1])
    assert answer.pop("looks") >= 1  # a busy store may be late
    assert answer == {"agrees": True, "server_runs": True, "endpoints": 1, "tunnels": 2,
                      "in_table": 2, "stored": 2, "disagreements": []}


@pytest.mark.plane
def test_what_each_of_them_has_and_the_others_have_not_is_told(host, client):
    """All at once, since it looks for so long before it says so."""
    host.start(NEVER)
    api = host.api(client)
    gone, unstored, kept = (random_key() for _ in range(3))
    inner = {key: api.connect(key).inner for key in (gone, unstored, kept)}
    foreign, forgotten = random_key(), random_key()
    remove_peer(host, gone)
    host.ns.run(f"wg set vprox0 peer {foreign} allowed-ips 10.100.0.99/32")
    with stored(host) as database:
        database.execute("DELETE FROM peer WHERE public_key = ?", (unstored,))
        database.execute("INSERT INTO peer VALUES (?, '10.100.0.77', 'wireguard', ?, NULL, NULL, 0,"
                         " 0, 0, '')", (host.address, forgotten))
    status, said = check_soon(host)
    assert status == 1, said
    lines = sorted(said.splitlines())
    assert sorted(line.split(";")[0] for line in lines) == sorted([
        f"endpoint {host.address}: WireGuard peer {gone}, {inner[gone]}, is in the server's table, "
        "and has no such tunnel",
        f"endpoint {host.address}: WireGuard peer {foreign}, 10.100.0.99, has a tunnel that is not "
        "in the server's table",
        f"endpoint {host.address}: WireGuard peer {unstored}, {inner[unstored]}, is not in the "
        "store: a reboot would lose it",
        f"endpoint {host.address}: WireGuard peer {forgotten}, 10.100.0.77, is in the store, and "
        "not in the server's table"])
    assert all("; " in line for line in lines), "each says what to do"


@pytest.mark.plane
def test_an_interface_that_somebody_has_changed_is_told(host, client):
    host.start(NEVER)
    host.api(client).connect(random_key())
    host.ns.ip("link set vprox0 alias changed")
    assert [(one["subject"], one["fault"]) for one in disagreements(host, check_soon)] == \
        [("vprox0", "has not its alias, the public address")]


@pytest.mark.parametrize("change, told", [
    ("nft add rule ip vprox forward accept",
     "nftables table ip vprox is not as the server has loaded it; "),
    ("ip rule del pref 1", 'policy rule "1: to 10.100.0.0/16 lookup 254" is missing; ')])
def test_what_the_host_has_for_tunnels_is_told_until_it_is_put_right(host, client, change, told):
    host.start()
    host.api(client).connect(random_key())

    def is_told():
        """The server may have put it right before it was looked at."""
        host.ns.try_run(change)
        return told in check(host, "--wait=1ms")[1]
    wait.until(is_told, 60, told)
    assert disagreements(host) == []


def test_changes_under_way_are_no_disagreement(host, client):
    server = host.start("--reap-interval=1s")
    api = host.api(client)
    ends = threading.Event()

    def come_and_go():
        while not ends.is_set():
            key = random_key()
            api.connect(key)
            api.disconnect(key)
    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(3):
            assert disagreements(host) == [], server.log
    finally:
        ends.set()
        thread.join()


@pytest.mark.plane
def test_without_a_server_what_is_left_is_compared_with_what_is_promised(host, client):
    assert check(host) == (0, "no server runs, and no tunnels are left of one\n")
    host.start()
    keys = [random_key() for _ in range(3)]
    inner = [host.api(client).connect(key).inner for key in keys]
    host.servers[-1].kill()
    assert check(host) == (0, "no server runs; 3 tunnels of 1 address are as they should be\n")
    remove_peer(host, keys[1])
    status, said = check_soon(host)
    assert status == 1
    assert said.startswith(f"endpoint {host.address}: WireGuard peer {keys[1]}, {inner[1]}, is in "
                           "the store, and has no such tunnel; start the server")
    host.start()
    assert check(host)[0] == 0


def test_what_cannot_be_read_is_neither_agreement_nor_disagreement(host, client):
    host.start()
    host.api(client).connect(random_key())
    host.servers[-1].kill()
    with stored(host) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("ALTER TABLE peer RENAME TO peers")
    status, said = check_soon(host)
    assert status == 2, said
    assert "cannot be read" in said


def test_it_changes_nothing(host, client):
    host.start()
    host.api(client).connect(random_key())
    host.servers[-1].kill()
    before = host.snapshot()
    with stored(host) as database:
        rows = list(database.iterdump())
    assert check(host)[0] == 0
    host.assert_same(before)
    with stored(host) as database:
        assert list(database.iterdump()) == rows
    # What SQLite needs beside it to read it may stay.
    assert {path.name for path in (host.state / "lib/vprox/store").iterdir()} <= \
        {"store.db", "store.db-wal", "store.db-shm"}


def test_what_is_to_be_checked_must_be_said(host):
    status, said = host.run("check")
    assert status == 2
    assert "--server" in said


@pytest.mark.only("embedded", reason="the guest's kernel has it all")
def test_what_the_kernel_lacks_for_a_mode_of_ipip_is_told(host):
    if host.world.kernel_has_both:
        pytest.skip("this kernel has WireGuard and IPIP, so nothing is lacking")
    assert check_soon(host)[0] == 0
    status, said = check_soon(host, "--ipip-mode=shared")
    assert status == 1 and re.match(r"the kernel's data plane cannot be had: this kernel has no "
                                    r"(WireGuard|IPIP).*; until then no server starts with it\n", said), said
    told, = disagreements(host, lambda host, options: check_soon(host, f"{options} --ipip-mode=shared"))
    assert told["subject"] == "the kernel's data plane" and told["endpoint"] is None
