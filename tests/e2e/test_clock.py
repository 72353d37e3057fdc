"""A server whose clock is behind: a client drops a handshake that is not later than the latest it
has seen of the server's key."""

import re
import time

import pytest

from lab.clock import wrong_clock
from lab.tunnels import begun_by_server, known_place
from lib import wait

BACK = 60
AN_HOUR = 3600


@pytest.fixture
def late(tmp_path):
    """The environment of processes whose time of day is an hour behind."""
    return wrong_clock(tmp_path, -AN_HOUR)


def shown(host):
    endpoint, = host.shown()["endpoints"]
    return endpoint


@pytest.mark.only("embedded", reason="the kernel sends what its clock says")
def test_after_a_reboot_with_the_clock_an_hour_back_clients_are_served_at_once(host, client, late):
    host.start()
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.ping()
    wait.until(lambda: known_place(host), BACK)
    host.reboot()
    # The client has seen a handshake that the server began.
    host.start()
    wait.until(lambda: begun_by_server(host), BACK, "a handshake")
    host.reboot()
    server = host.start("--reap-interval=1h", environment=late)
    wait.until(lambda: begun_by_server(host), BACK, "a handshake")
    peer, = shown(host)["peers"]
    assert peer["last_handshake"] < time.time() - AN_HOUR / 2, "the device's clock is behind too"
    assert tunnel.ping()
    assert server.logged(r"the clock is 3[56]\d\d s behind the latest handshakes: its device goes on")
    assert AN_HOUR - 100 < shown(host)["clock_behind_s"] <= AN_HOUR + 100
    # And what it has sent now is kept in turn: a device that is made again is later still.
    server.expect("vprox. has vanished")
    host.ns.run("ip link del vprox0")
    wait.until(lambda: begun_by_server(host), BACK, "a handshake with the new device")
    assert tunnel.ping()


@pytest.mark.plane
def test_a_clock_that_is_behind_the_latest_handshakes_is_told(host, client, late):
    host.start()
    host.tunnel("wireguard", client).up()
    (before,), = host.stored("SELECT handshake_floor FROM endpoint")
    host.reboot()
    warned = host.options.plane == "kernel"
    server = host.start(environment=late, expected=["the clock is .* behind"] if warned else [])
    assert server.logged(r"warning .*the clock is 3\d\d\d s behind the latest handshakes: until it has "
                         "caught up, clients refuse" if warned else "its device goes on from these")
    assert AN_HOUR - 100 < shown(host)["clock_behind_s"] <= AN_HOUR + 100
    metrics = host.run("show --metrics")[1]
    assert f'vprox_clock_behind_seconds{{endpoint="{host.address}"}} 3' in metrics
    assert "behind the latest handshakes" in host.run("show")[1]
    (after,), = host.stored("SELECT handshake_floor FROM endpoint")
    assert after >= before, "what was used stays used"
    host.reboot()
    server = host.start()
    assert not server.logged("the clock is", 0)
    assert shown(host)["clock_behind_s"] == 0


def test_a_server_that_is_restarted_or_killed_does_not_run_ahead_of_its_clock(host, client):
    """What is reserved is given to a device that is new, not to one that was there."""
    host.start("--on-exit=keep")
    host.tunnel("wireguard", client).up()
    (first,), = host.stored("SELECT handshake_floor FROM endpoint")
    began = time.monotonic()
    for _ in range(3):
        host.servers[-1].kill()
        host.start("--on-exit=keep")
    (last,), = host.stored("SELECT handshake_floor FROM endpoint")
    assert last - first < 60 + time.monotonic() - began


def test_a_server_that_is_stopped_and_started_again_and_again_does_not_run_ahead_of_its_clock(host):
    """Its devices are new each time, and begin after all that those before may have sent."""
    for _ in range(4):
        server = host.start()
        server.stop()
    assert not any(server.logged("the clock is") for server in host.servers)
    (last,), = host.stored("SELECT handshake_floor FROM endpoint")
    assert last - time.time() < 30


@pytest.mark.plane
def test_a_client_whose_clock_went_back_is_heard_again_and_who_works_keeps_its_session(
        host, client, machine, late):
    """The server takes its handshakes for replays, until it makes the peer anew. A Go client that
    asks as often, since its echoes are lost, goes on with the session that it has."""
    server = host.start()
    works = host.tunnel("wireguard", client).up()
    assert works.ping()
    # A device of our own, whose clock can be moved, on either plane.
    arguments = "--json --plane=embedded"
    before = machine.connect(host.address, arguments).up()
    assigned = before.said[0]["address"]
    before.kill()
    machine.ns.run("ip link del vprox0")
    host.ns.run(["nft", "table ip deaf { chain c { type filter hook input priority -450; "
                 "iifname \"vp*\" icmp type echo-request drop; }; }"])
    session = handshake_of(works)
    back = machine.connect(host.address, arguments,
                           program=machine.script(f"export LD_PRELOAD={late['LD_PRELOAD']}"))
    end = time.monotonic() + 90
    while not server.logged("asks again, and was not heard for 30 s: made anew"):
        assert time.monotonic() < end, back.log
        assert works.request().status == 200
        time.sleep(2)
    back.up()
    assert back.said[0]["address"] == assigned, "it keeps its address"
    assert back.visit() == host.address
    assert len(re.findall("made anew", server.log)) == 1 and works.public_key not in re.search(
        ".*made anew", server.log).group()
    assert handshake_of(works) == session and works.visit() == host.address


def handshake_of(tunnel):
    return tunnel.ns.run(["wg", "show", tunnel.device, "latest-handshakes"])
