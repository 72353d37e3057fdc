"""--cloud aws: the addresses that the instance has by its metadata service are served, as long as it has them."""

import re
import time

import pytest

from lab.metadata import MACS, Metadata
from lab.web import answer
from lib import wait
from lib.process import status

pytestmark = pytest.mark.plane

CLOUD = "--cloud=aws --wg-block-per-ip=/24"
FAILS = "cannot ask the metadata service for this instance's addresses, all stays as it is: "
ROUND = 60  # seconds for what takes one or two looks, 5 s apart


def mac_of(host, interface):
    return host.links()[interface]["address"]


@pytest.fixture(name="metadata")
def fixture_metadata(host):
    """It tells of one address. The host has a network, as it has one in a cloud."""
    host.ns.ip(f"addr add {host.third}/29 dev wan0 noprefixroute")
    service = Metadata(host, {mac_of(host, "wan0"): [host.address], "02:00:00:00:00:99": None})
    yield service
    service.close()


def tell(metadata, host, *addresses):
    metadata.interfaces = {mac_of(host, "wan0"): list(addresses)}


def wait_served(server, address, times=1):
    wait.until(lambda: len(re.findall(rf"endpoint {address}: served from now on", server.log)) == times, ROUND,
               lambda: server.log)


def wait_closed(server, address, times=1):
    wait.until(lambda: len(re.findall(rf"endpoint {address}: closed", server.log)) == times, ROUND,
               lambda: server.log)


def test_an_address_that_appears_is_served_and_one_that_goes_is_closed(host, client, kind, metadata):
    before = host.snapshot()
    server = host.start(CLOUD, ips=[])
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.visit() == host.address
    tell(metadata, host, host.address, host.absent)
    wait_served(server, host.absent)
    assert f"{host.absent}/32" in host.ns.run("ip addr show dev wan0"), "it is added, where the host lacks it"
    other = host.tunnel(kind, client, host.absent, device="other").up()
    assert other.visit() == host.absent
    tell(metadata, host, host.absent)
    wait_closed(server, host.address)
    assert other.visit() == host.absent
    assert f"inet {host.address}/" in host.ns.run("ip addr show dev wan0"), "it was not ours"
    # Its clients are known still.
    inner = tunnel.inner
    tell(metadata, host, host.address)
    wait_served(server, host.address)
    wait.until(tunnel.works, ROUND, lambda: server.log)
    assert tunnel.request().json["AssignedAddr"].startswith(f"{inner}/")
    wait_closed(server, host.absent)
    server.stop()
    host.assert_same(before)


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_an_error_changes_nothing_and_is_said_once(host, client, metadata):
    server = host.start(CLOUD, ips=[], expected=[FAILS])
    tunnel = host.tunnel("wireguard", client).up()

    def endless(_):
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        while True:
            yield b"400\r\n" + b"02:00:00:00:00:01/\n" * 53 + b"0" * 17 + b"\r\n"

    def slow(_):
        for byte in answer(200, "02:00:00:00:00:01/"):
            yield bytes([byte])
            time.sleep(0.5)

    def of_addresses(said):
        return lambda request: said if request.path.startswith(MACS + "0") or "local" in request.path else None
    faults = [
        (lambda _: answer(500), "HTTP status 500|it gives no token: HTTP status 500"),
        (lambda _: answer(401), "it gives no token: HTTP status 401"),
        (lambda request: answer(404) if request.path == MACS else None, "HTTP status 404"),
        (lambda request: answer(200, b"<html>\0garbage") if request.path == MACS else None,
         "what it lists as an interface is none"),
        (of_addresses(answer(200, "\n".join(f"203.0.{i // 250}.{i % 250}" for i in range(1500)))),
         "it lists more addresses than 1024"),
        (endless, "the answer is too long|what it gives is no token"),
        (slow, "there was no answer in time"),
    ]
    for fault, reason in faults:
        metadata.fault = fault
        wait.until(lambda: server.logged(FAILS + f"({reason})"), ROUND, lambda: server.log)  # pylint: disable=W0640
    # The last one lasts, and is not said again.
    since, n = len(metadata.requests), server.log.count(FAILS)
    wait.until(lambda: len(metadata.requests) >= since + 2, ROUND)
    assert server.log.count(FAILS) == n
    assert tunnel.ping() and "closed" not in server.log
    metadata.fault = lambda request: None
    wait.until(lambda: server.logged("the metadata service answers again"), ROUND)
    # A token that is not good any more is replaced without a word.
    metadata.expire()
    tell(metadata, host, host.address, host.second)
    wait_served(server, host.second)
    assert server.log.count(FAILS) == n


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_one_answer_that_leaves_an_address_out_closes_nothing(host, client, metadata):
    server = host.start(CLOUD, ips=[])
    tunnel = host.tunnel("wireguard", client).up()
    asked = []

    def once_without(request):
        if request.path != f"{MACS}{mac_of(host, 'wan0')}/local-ipv4s":
            return None
        asked.append(request.path)
        return answer(404) if len(asked) == 1 else None
    metadata.fault = once_without
    wait.until(lambda: len(asked) == 3, ROUND, lambda: server.log)
    assert tunnel.ping() and "closed" not in server.log


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_what_cannot_be_this_hosts_is_not_served_and_said_once(host, metadata):
    elsewhere, router = "198.51.100.77", "203.0.113.1"
    host.ns.ip(f"addr add {router.rpartition('.')[0]}.77/24 dev wan0 noprefixroute")
    refused = ["127.0.0.1", "0.0.0.0", "224.0.0.1", "169.254.169.254", "10.100.0.9", elsewhere, router]
    tell(metadata, host, host.address, *refused)
    server = host.start(CLOUD, ips=[])
    for address in refused[:5]:
        assert server.logged(rf"the cloud's address {address} is not served: clients cannot reach such an address|"
                             r"and \d+ more like it")
    before = server.log.count("is not served")
    since = len(metadata.requests)
    tell(metadata, host, *refused, host.second)
    wait_served(server, host.second)
    wait_closed(server, host.address)
    assert server.log.count("is not served") == before
    since = len(metadata.requests)
    wait.until(lambda: len(metadata.requests) > since + 2, ROUND)
    addresses = host.ns.run("ip addr show dev wan0")
    assert not [address for address in refused if f"inet {address}/" in addresses]


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_of_several_interfaces_one_can_be_chosen(host, metadata):
    host.ns.ip("link add eth1 link wan0 type macvlan mode bridge", "link set eth1 up")
    metadata.interfaces = {mac_of(host, "eth1"): [host.second], mac_of(host, "wan0"): [host.address]}
    server = host.start(CLOUD, ips=[])
    assert {host.address, host.second} <= set(re.findall(r"endpoint ([\d.]+): ", server.log))
    server.stop()
    server = host.start(CLOUD + " --cloud-interface=wan0", ips=[])
    assert host.second not in re.findall(r"endpoint ([\d.]+): ", server.log)
    assert server.logged(f"the cloud's address {host.second} is not served: it is not in a network of that interface")


def test_a_server_that_is_killed_goes_on_though_the_cloud_says_nothing(host, client, kind, metadata):
    server = host.start(CLOUD, ips=[])
    tunnel = host.tunnel(kind, client).up()
    server.kill()
    metadata.fault = lambda request: answer(503)
    server = host.start(CLOUD, ips=[], expected=[FAILS])
    assert server.logged(rf"endpoint {host.address}: adopted 1 peers")
    assert tunnel.ping() and tunnel.visit() == host.address
    server.stop()
    # What a stop has taken down is the cloud's to tell.
    server = host.start(CLOUD, ips=[], expected=[FAILS])
    assert server.logged("ready, waiting for an address of the cloud's")
    metadata.fault = lambda request: None
    wait_served(server, host.address)


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_who_asks_the_cloud_has_no_rights_and_is_replaced(host, metadata):
    server = host.start(CLOUD, ips=[], expected=["cloud 0, process"])
    wait.until(lambda: 'vprox_process_up{process="cloud",number="0"} 1\n' in host.run("show --metrics")[1])
    asker, = server.children_called("cloud")
    found = status(asker)
    assert found["NoNewPrivs"] == "1" and found["Seccomp"] == "2"
    assert {found[name] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert "0" not in found["Uid"].split() and found["Uid"] != status(server.gates()[0])["Uid"]
    host.ns.run(f"kill -9 {asker}")
    tell(metadata, host, host.address, host.second)
    wait_served(server, host.second)
