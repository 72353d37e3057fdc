"""Who reads and writes a fleet's etcd, or answers in its place, can keep the fleet from storing; nobody waits for that,
and nothing else comes of it."""

import base64
import functools
import itertools
import json
import re
import time

import pytest

from lab.etcd import Etcd, encoded, make_fleet_key
from lab.false_etcd import FalseEtcd, ok
from lab.fleet import KEY_ID, PER_IP, move_address
from lab.tunnels import random_key
from lib import wait
from lib.process import status

BACK = 30
NOT_ASKED = "etcd cannot be asked"
NOT_WRITTEN = "cannot write to etcd|could not be stored"
FOREIGN = "what etcd has of it is sealed under another key: what is promised of it here is not stored there"
MOST_KIB = 64 * 1024


@pytest.fixture(name="false_etcd")
def fixture_false_etcd(node):
    etcd = FalseEtcd(node)
    yield etcd
    etcd.close()


def page(*keys, more=True, value="AAAA"):
    return ok(json.dumps({"kvs": [{"key": key, "value": value, "mod_revision": "1"} for key in keys], "more": more}).encode())


def first_key(body):
    """Of the names that are asked for."""
    return base64.b64decode(json.loads(body).get("key", "")).rstrip(b"\0")


def same_page_again(_, body):
    return page(encoded(first_key(body)[:first_key(body).rindex(b"/") + 1] + b"203.0.113.1"))


def page_behind_the_end(_, __):
    return page(encoded("/zzz/203.0.113.1"))


def endless_body(_, __):
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(600):
        yield b"1\r\n{\r\n"
        time.sleep(0.05)


def endless_answer(_, __):
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    for _ in range(2000):
        yield b'{"kvs": [' * 2000


def keep(begun, answer, path, body):
    """Keeps a question that asks for no further page."""
    key = base64.b64decode(json.loads(body).get("key", ""))
    if not key.endswith(b"\0"):
        begun.append(key)
    return answer(path, body) if callable(answer) else answer


ANSWERS = {
    "nothing": b"",
    "no HTTP": b"\0" * 1000,
    "no JSON": ok(b"<html>"),
    "no object": ok(b"[]"),
    "no end of brackets": ok(b'{"kvs":[' * 100000),
    "other types": ok(b'{"kvs": {"key": 1}, "more": true, "succeeded": "true"}'),
    "other types in a page": ok(b'{"kvs": [1, null, [], {"key": 5, "value": {}, "mod_revision": -1}], "more": true}'),
    "no base64": page("!!!!", "A", value="\xe9"),
    "the same page again and again": same_page_again,
    "names that were not asked for": page_behind_the_end,
    "another place": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    "an error without measure": b"HTTP/1.1 500 Oh\r\n\r\n" + json.dumps({"error": "\x1b[2J" * 10000}).encode(),
    "no record is there": ok(b'{"succeeded": false}'),
    "an answer that has no end": endless_answer,
    "all is well": ok(b'{"succeeded": true}'),
}
PAGES = ["no base64", "other types in a page", "the same page again and again", "names that were not asked for"]
BELIEVED_ONCE = ["no JSON", "other types", "no record is there", "the same page again and again"]


def copied(host):
    """The inner addresses that the store's own file knows of."""
    return {inner for inner, in host.stored("SELECT inner_address FROM peer")}


def test_what_lets_no_claim_succeed_keeps_the_copy_from_nothing(false_etcd, host, client, options, tmp_path):
    """At a start with endpoints of before; the copy is what a start without etcd has."""
    host.start(PER_IP).stop()
    false_etcd.answer = ANSWERS["no record is there"]
    key = make_fleet_key(options.vprox, tmp_path)
    server = host.start(f"--store=etcd://{false_etcd.address}/fleet --fleet-key={key} {PER_IP}",
                        expected=[NOT_ASKED, NOT_WRITTEN])
    inner = host.api(client).connect(random_key()).inner
    wait.until(lambda: inner in copied(host), BACK, lambda: f"it is in the copy:\n{server.log}")
    assert server.logged(NOT_ASKED, BACK)
    server.kill()


def test_whatever_answers_in_etcds_place_clients_get_tunnels(false_etcd, host, client, options, tmp_path):
    """Before it was believed once, and after. Nobody waits for it, and the store neither dies nor grows."""
    key = make_fleet_key(options.vprox, tmp_path)
    server = host.start(f"--store=etcd://{false_etcd.address}/fleet --fleet-key={key} {PER_IP}",
                        expected=[NOT_ASKED, NOT_WRITTEN])
    store, = server.stores()
    api = host.api(client)
    for name in [*ANSWERS, *BELIEVED_ONCE]:
        begun = []
        false_etcd.answer = functools.partial(keep, begun, ANSWERS[name])
        if name != "all is well":
            # Where pages could follow for ever, the second question tells that they did not.
            wait.until(lambda: len(begun) > (name in PAGES), BACK, lambda: f"it is asked again: {name}")
        assert api.connect(random_key()).status == 200, name
    false_etcd.answer = endless_body
    assert api.connect(random_key()).status == 200
    assert server.stores() == [store]
    assert int(status(store)["VmHWM"].split()[0]) < MOST_KIB
    assert "\x1b" not in server.log
    server.kill()


def test_revisions_that_go_back_and_forth_have_what_is_held_claimed_anew_every_few_seconds_at_most(
        false_etcd, host, client, options, tmp_path):
    """And not each time that something is written: who answers would fill the log."""
    revisions = itertools.cycle((2, 1))
    false_etcd.answer = lambda *_: ok(json.dumps({"succeeded": True, "header": {"revision": str(next(revisions))}}).encode())
    key, said, began = make_fleet_key(options.vprox, tmp_path), "etcd was put back", time.monotonic()
    server = host.start(f"--store=etcd://{false_etcd.address}/fleet --fleet-key={key} {PER_IP} --store-wait=30s",
                        expected=[NOT_ASKED, NOT_WRITTEN, said])
    assert server.logged(said, BACK)
    api = host.api(client)
    for _ in range(10):
        assert api.connect(random_key()).status == 200
    assert server.log.count(said) <= 1 + (time.monotonic() - began) / 10
    server.kill()


@pytest.fixture(name="etcd")
def fixture_etcd(node):
    etcd = Etcd(node).start()
    yield etcd
    etcd.close()


def put_all(etcd, names):
    """Garbage."""
    names = iter(names)
    while some := list(itertools.islice(names, 100)):
        etcd.ask("/v3/kv/txn", {"success": [{"request_put": {"key": encoded(name), "value": encoded("garbage")}} for name in some]})


def test_names_that_no_record_has_hold_nobody_up(etcd, host, other_host, client, options, tmp_path):
    """Whole pages of them: too long, and of no address; and one that ends as a record's does."""
    arguments = f"--store={etcd.store('fleet')} --fleet-key={make_fleet_key(options.vprox, tmp_path)} {PER_IP}"
    server = host.start(arguments + " --store-wait=30s")
    keys = [random_key() for _ in range(3)]
    before = {key: host.api(client).connect(key).inner for key in keys}
    server.kill()
    for kind in "holder", "endpoint", f"peer/{host.address}":
        put_all(etcd, [f"/vprox/fleet/{kind}/{'0' * 300}{n}" for n in range(1100)])
    put_all(etcd, [f"/vprox/fleet/{kind}/zzz/{host.address}" for kind in ("holder", "endpoint")])
    move_address(host, other_host)
    other = other_host.start(arguments, ips=[host.address])
    assert other.logged(f"endpoint {host.address}: claimed in etcd, epoch 2", BACK)
    assert {key: other_host.api(client, host.address).connect(key).inner for key in keys} == before


def under_another_key(value):
    return value[:KEY_ID.start] + b"\xff" * 4 + value[KEY_ID.stop:]


@pytest.mark.parametrize("runs", [False, True], ids=["at a start", "while it runs"])
def test_a_record_under_another_key_holds_up_no_other_address(etcd, host, client, options, tmp_path, runs):
    """Whoever writes to etcd can say that a record is sealed under a key that this host has not: that address is
    not claimed until the record is gone, and all others are, and are written."""
    arguments = f"--store={etcd.store('fleet')} --fleet-key={make_fleet_key(options.vprox, tmp_path)} {PER_IP}"
    holder = f"/vprox/fleet/holder/{host.address}"

    def start():
        return host.start(arguments, ips=[host.address, host.second], expected=[FOREIGN, NOT_WRITTEN])

    def wait_for_peer(address):
        inner = host.api(client, address).connect(random_key()).inner
        wait.until(lambda: f"/vprox/fleet/peer/{address}/{inner}" in etcd.records("/vprox/fleet/peer/"), BACK,
                   lambda: f"a peer of {address} is in etcd:\n{server.log}")
    server = start()
    for address in host.address, host.second:
        wait_for_peer(address)
    if not runs:
        server.kill()
    etcd.put(holder, under_another_key(etcd.records(holder)[holder]))
    if not runs:
        server = start()
    inner = host.api(client).connect(random_key()).inner
    wait_for_peer(host.second)
    assert server.logged(f"endpoint {host.address}: {FOREIGN}", BACK)
    # What its clients are given is kept until then.
    name = f"/vprox/fleet/peer/{host.address}/{inner}"
    assert name not in etcd.records(name)
    etcd.delete(holder)
    wait.until(lambda: name in etcd.records(name), BACK, lambda: f"it is claimed again:\n{server.log}")
    assert len(re.findall(FOREIGN, server.log)) == 1


def test_a_host_that_can_claim_nothing_of_its_own_is_ready_for_others_addresses(etcd, host, other_host, client, options, tmp_path):
    arguments = f"--store={etcd.store('fleet')} --fleet-key={make_fleet_key(options.vprox, tmp_path)} {PER_IP}"
    holder = f"/vprox/fleet/holder/{host.address}"
    server = host.start(f"{arguments} --follow={other_host.address}/32", expected=[NOT_WRITTEN])
    wait.until(lambda: holder in etcd.records(holder), BACK, "it is claimed")
    etcd.put(holder, under_another_key(etcd.records(holder)[holder]))
    host.api(client).connect(random_key())
    assert server.logged(NOT_WRITTEN, BACK)
    other = other_host.start(arguments)
    other_host.api(client).connect(random_key())
    assert server.logged(f"endpoint {other_host.address}: another host serves it", BACK), other.log


def test_what_is_granted_when_the_holders_record_has_gone_is_in_etcd_before_it_is_answered(etcd, host, client, options, tmp_path):
    server = host.start(f"--store={etcd.store('fleet')} --fleet-key={make_fleet_key(options.vprox, tmp_path)} {PER_IP} "
                        "--store-wait=30s")
    holder = f"/vprox/fleet/holder/{host.address}"
    # The holder's record is written with the last of them.
    assert server.logged("all records in etcd are of epoch 1", BACK)
    for _ in range(3):
        etcd.delete(holder)
        inner = host.api(client).connect(random_key()).inner
        assert f"/vprox/fleet/peer/{host.address}/{inner}" in etcd.records("/vprox/fleet/peer/")
    assert server.logged("its holder's record in etcd was changed by no host, and is claimed again", BACK)
    assert "etcd was put back" not in server.log, "only this record was removed"


def test_who_removes_the_holders_record_all_the_time_has_it_claimed_seldom(etcd, host, client, options, tmp_path):
    server = host.start(f"--store={etcd.store('fleet')} --fleet-key={make_fleet_key(options.vprox, tmp_path)} {PER_IP}",
                        expected=["was changed by no host", "has not answered"])
    holder, times = f"/vprox/fleet/holder/{host.address}", 12
    assert server.logged("all records in etcd are of epoch 1", BACK)
    for _ in range(times):
        etcd.delete(holder)
        last = host.api(client).connect(random_key())
        assert last.status == 200
        time.sleep(0.2)
    # Longer and longer pauses: at once, after 1 s, 2 s, 4 s.
    claims = len(re.findall("claimed in etcd, epoch", server.log))
    assert claims < times / 2, server.log
    name = f"/vprox/fleet/peer/{host.address}/{last.inner}"
    wait.until(lambda: name in etcd.records(name), BACK, lambda: f"it is claimed in the end:\n{server.log}")


def test_without_the_holders_record_nothing_older_than_the_endpoints_comes_back(etcd, host, other_host, client, options, tmp_path):
    """Who removes it would else bring back every record that there ever was."""
    arguments = f"--store={etcd.store('fleet')} --fleet-key={make_fleet_key(options.vprox, tmp_path)} {PER_IP} --store-wait=30s"
    server = host.start(arguments)
    inner = host.api(client).connect(random_key()).inner
    old, endpoint = etcd.records("/vprox/fleet/peer/"), etcd.records("/vprox/fleet/endpoint/")
    server.kill()
    server = host.start(arguments)
    assert server.logged("all records in etcd are of epoch 2", BACK)
    wait.until(lambda: etcd.records("/vprox/fleet/endpoint/") != endpoint, BACK, "the endpoint's record is of epoch 2")
    server.kill()
    etcd.delete(f"/vprox/fleet/holder/{host.address}")
    name = f"/vprox/fleet/peer/{host.address}/{inner}"
    etcd.put(name, old[name])
    move_address(host, other_host)
    other = other_host.start(arguments, ips=[host.address])
    assert other.logged(f"{host.address}: 1 records in etcd are ignored, the first is {name}: it is older than what holds")
    assert other.logged(f"endpoint {host.address}: claimed in etcd, epoch 3", BACK)


def test_an_endpoints_record_that_is_older_than_its_holders_floor_does_not_come_back(etcd, host, client, options, tmp_path):
    """It has an older floor for the timestamps of handshakes, and may have another key. What the copy has holds."""
    arguments = f"--store={etcd.store('fleet')} --fleet-key={make_fleet_key(options.vprox, tmp_path)} {PER_IP} --store-wait=30s"
    name, key = f"/vprox/fleet/endpoint/{host.address}", random_key()
    server = host.start(arguments)
    before = host.api(client).connect(key).json
    old = etcd.records(name)[name]
    server.kill()
    server = host.start(arguments)
    assert server.logged("all records in etcd are of epoch 2", BACK)
    server.kill()
    etcd.put(name, old)
    server = host.start(arguments)
    assert server.logged(f"1 records are ignored, the first is {name}: it is older than what holds of this address", BACK)
    assert server.logged(f"endpoint {host.address}: claimed in etcd, epoch 3", BACK)
    after = host.api(client).connect(key).json
    assert {field: after[field] for field in before} == before
    assert etcd.records(name)[name] != old
