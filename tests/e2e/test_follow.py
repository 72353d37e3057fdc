"""--follow: endpoints come and go with the host's addresses, and nobody else notices."""

import re
import signal

import pytest

from lab.echo import VISITED
from lib import wait
from lib.capture import Capture, send
from lib.packets import ACK, PSH, RST, TCP, ipv4, tcp
from lib.process import kill, stand_still

pytestmark = pytest.mark.plane

BACK = 60  # seconds for a tunnel to work again


def following(host, addresses=None):
    return " ".join(["--wg-block-per-ip=/24",
                     *(f"--follow={address}/32" for address in addresses or [host.absent])])


def gain(host, address):
    host.ns.ip(f"addr add {address}/32 dev wan0")


def lose(host, address):
    host.ns.ip(f"addr del {address}/32 dev wan0")


def is_served(host, client, address):
    try:
        return host.api(client, address).get("/healthz", timeout=2).status == 200
    except OSError:
        return False


def wait_served(host, server, client, address):
    wait.until(lambda: is_served(host, client, address), what=lambda: f"{address} is served:\n{server.log}")


def wait_closed(server, address, times=1):
    wait.until(lambda: len(re.findall(rf"endpoint {address}: closed", server.log)) == times,
               what=lambda: f"{address} is closed:\n{server.log}")


class Pings:
    """A ping through a tunnel that goes on meanwhile."""

    def __init__(self, tunnel):
        self.process = tunnel.ns.popen(
            ["ping", "-n", "-q", "-i", "0.1", "-I", tunnel.device, tunnel.gateway],
            text=True, stdout=-1, stderr=-2)

    def lost(self):
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=60)[0]
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", said).groups())
        assert received > 0, said
        # The last one may still be on its way.
        return max(0, sent - received - 1)


def connections_begun(host):
    """Out of tunnels, since the table was loaded."""
    return int(re.search(r"packets (\d+)", host.ns.run("nft list counter ip vprox new_leaving"))[1])


@pytest.mark.sanitize
def test_an_address_that_comes_and_goes_is_served_while_others_go_on(host, client, kind):
    server = host.start(following(host), gates=2)
    gates = server.gates()
    other = host.tunnel(kind, client, host.address, device="other").up()
    assert other.visit() == host.address
    devices = host.links()["vprox0"]["ifindex"]
    begun = connections_begun(host)
    assert begun > 0
    pings = Pings(other)

    gain(host, host.absent)
    wait_served(host, server, client, host.absent)
    tunnel = host.tunnel(kind, client, host.absent, device="followed").up()
    assert tunnel.inner.startswith("10.100.1.") and tunnel.visit() == host.absent
    assert host.links()["vprox1"]["ifalias"] == host.absent
    tunnel.down()
    lose(host, host.absent)
    wait_closed(server, host.absent)
    assert "vprox1" not in host.links()
    # The host's part is done next, on a busy machine a moment later.
    wait.until(lambda: host.absent not in host.ns.run("nft list ruleset"), what="no rule names it")

    assert pings.lost() == 0
    assert other.visit() == host.address
    assert server.gates() == gates and host.links()["vprox0"]["ifindex"] == devices
    # What packets have left in the tables stays there, too.
    assert connections_begun(host) > begun
    assert "loading the nftables table" not in server.log and "loading it again" not in server.log


def test_with_follow_alone_a_server_waits_for_its_first_address(host, client, kind):
    before = host.snapshot()
    server = host.start(following(host), ips=[])
    assert server.logged(rf"ready, waiting for an address inside {host.absent}/32")
    assert not is_served(host, client, host.address)
    gain(host, host.absent)
    wait_served(host, server, client, host.absent)
    tunnel = host.tunnel(kind, client, host.absent).up()
    assert tunnel.inner.startswith("10.100.0.") and tunnel.visit() == host.absent
    server.stop()
    assert host.absent in host.ns.run("ip addr")  # it was not ours to remove
    lose(host, host.absent)
    assert not host.difference(before)


def test_when_an_address_is_back_its_clients_find_all_as_it_was(host, client, kind):
    server = host.start(following(host), ips=[])
    gain(host, host.absent)
    wait_served(host, server, client, host.absent)
    tunnel = host.tunnel(kind, client, host.absent).up()
    assert tunnel.ping()
    lose(host, host.absent)
    wait_closed(server, host.absent)
    assert "vprox0" not in host.links()
    gain(host, host.absent)
    wait.until(tunnel.works, BACK, lambda: server.log)
    assert tunnel.visit() == host.absent and list(host.holders()) == [tunnel.inner]
    assert tunnel.request().json["AssignedAddr"].startswith(f"{tunnel.inner}/")


def test_where_an_address_has_just_come_connections_that_are_not_known_yet_are_not_reset(host, client, kind):
    """Another host may have been tracking them, and be about to tell this one of them."""
    server = host.start(following(host), ips=[])
    gain(host, host.absent)
    wait_served(host, server, client, host.absent)
    tunnel = host.tunnel(kind, client, host.absent).up()
    assert tunnel.ping()
    arrived = host.ns.run("nft list set ip vprox arrived")
    assert re.search(r"10\.100\.0\.0 expires \d", arrived), arrived

    def go_on():
        send(tunnel.ns, tunnel.device,
             ipv4(tunnel.inner, VISITED, TCP, tcp(4000, 5000, PSH | ACK, 1, 1, b"in the middle")))
    with Capture(tunnel.ns, tunnel.device) as seen:
        go_on()
        seen.none(lambda p: p.proto == TCP and not p.outgoing)
        host.ns.run("nft flush set ip vprox arrived")  # as when its time is over
        go_on()
        assert seen.wait(lambda p: p.proto == TCP and not p.outgoing).flags & RST


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_starts_without_the_address_keeps_what_was_promised_there(host, client, kind, how):
    server = host.start(following(host), ips=[])
    gain(host, host.absent)
    wait_served(host, server, client, host.absent)
    tunnel = host.tunnel(kind, client, host.absent).up()
    assert tunnel.ping()
    if how == "stop":
        lose(host, host.absent)
        wait_closed(server, host.absent)
        server.stop()
    else:
        server.kill()
        lose(host, host.absent)
    # Another address comes first, and gets neither its index nor its block.
    server = host.start(following(host, [host.absent, host.third]), ips=[])
    other = host.tunnel(kind, client, host.third, device="other")
    wait_served(host, server, client, host.third)
    assert other.up().inner.startswith("10.100.1.")
    assert "vprox0" not in host.links()
    gain(host, host.absent)
    wait.until(tunnel.works, BACK, lambda: server.log)
    assert tunnel.visit() == host.absent


def test_a_server_that_is_killed_finds_the_followed_address_and_its_tunnels_again(host, client, kind):
    gain(host, host.absent)
    server = host.start(following(host))
    tunnel = host.tunnel(kind, client, host.absent).up()
    assert tunnel.ping()
    pings = Pings(tunnel)
    server.kill()
    server = host.start(following(host))
    assert server.logged(rf"endpoint {host.absent}: adopted 1 peers")
    assert pings.lost() == 0
    assert tunnel.request().json["AssignedAddr"].startswith(f"{tunnel.inner}/")


@pytest.mark.only("embedded", reason="an emulated machine stands still for longer than an address may be away")
def test_an_address_that_flaps_costs_nothing(host, client, kind):
    server = host.start(following(host), ips=[])
    gain(host, host.absent)
    wait_served(host, server, client, host.absent)
    tunnel = host.tunnel(kind, client, host.absent).up()
    assert tunnel.ping()
    device = host.links()["vprox0"]["ifindex"]
    # It is there for longer than between two looks of the server, that not each of them finds it gone.
    host.ns.run(["bash", "-c", f"for i in $(seq 20); do ip addr del {host.absent}/32 dev wan0; "
                               f"sleep 0.02; ip addr add {host.absent}/32 dev wan0; sleep 0.1; done"])
    wait.until(tunnel.works, BACK, lambda: server.log)
    wait_served(host, server, client, host.absent)
    assert host.links()["vprox0"]["ifindex"] == device
    assert "served no more" not in server.log


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_a_gate_that_dies_while_an_address_comes_is_replaced_by_one_that_serves_it(host, client):
    server = host.start(following(host), gates=2)
    before = server.gates()
    server.expect("gate")
    for pid in before:
        stand_still(pid)  # they hear of nothing
    gain(host, host.absent)
    assert server.logged(rf"endpoint {host.absent}: served from now on", BACK)
    for pid in before:
        kill(pid)
    wait.until(lambda: len(server.gates()) == 2 and not set(before) & set(server.gates()))
    for address in host.address, host.absent:
        wait_served(host, server, client, address)
    lose(host, host.absent)
    wait_closed(server, host.absent)
    # No gate holds a socket of it open, which the next one would find taken.
    gain(host, host.absent)
    wait_served(host, server, client, host.absent)


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_more_addresses_than_blocks_are_said_and_the_others_served(host, client):
    server = host.start(following(host, [host.address, host.second, host.third]), ips=[],
                        block="10.100.0.0/23", expected=["is not served: all 2 blocks"])
    wait.until(lambda: server.logged("is not served: all 2 blocks"), what=lambda: server.log)
    wait.until(lambda: sum(is_served(host, client, address)
                           for address in (host.address, host.second, host.third)) == 2)


def test_many_addresses_at_once_are_all_served_and_all_closed(host, client):
    addresses = [f"198.18.0.{n}" for n in range(1, 13)]
    server = host.start("--follow=198.18.0.0/24 --wg-block-per-ip=/24", gates=2)
    host.ns.ip(*(f"addr add {address}/32 dev lo" for address in addresses))
    wait.until(lambda: len(re.findall("served from now on", server.log)) == len(addresses), 120,
               lambda: server.log)
    assert len({line for line in host.links() if line.startswith("vprox")}) == len(addresses) + 1
    host.ns.ip(*(f"addr del {address}/32 dev lo" for address in addresses))
    wait.until(lambda: len(re.findall(r": closed; 0 peers", server.log)) == len(addresses), 120,
               lambda: server.log)
    assert [name for name in host.links() if name.startswith("vprox")] == ["vprox0"]
    assert is_served(host, client, host.address)


@pytest.mark.only("embedded", reason="it is the same for both planes")
@pytest.mark.parametrize("arguments, complaint", [
    ("--follow=203.0.113.0/24", "--wg-block-per-ip is missing"),
    ("--follow=203.0.113.0 --wg-block-per-ip=/24", "not an IPv4 block"),
    ("--follow=0.0.0.0/0 --wg-block-per-ip=/24", "clients cannot reach"),
    ("--follow=10.100.5.0/24 --wg-block-per-ip=/24", "overlaps with --wg-block"),
])
def test_a_follow_that_cannot_be_meant_is_refused(host, arguments, complaint):
    status, said = host.run(f"server --wg-block=10.100.0.0/16 {arguments}",
                            {"VPROX_PASSWORD": "correct horse"})
    assert status == 2 and complaint in said
