"""Starting: the data plane is the database. What is found is adopted, what does not match goes."""

import json
import re
import time

import pytest

from lab.go_server import lay_go_leftovers
from lab.tunnels import random_key
from lib import capture, packets, wait

pytestmark = pytest.mark.plane

OTHER_GROUP = 4711


def pair(host, client):
    """A tunnel of each kind."""
    return [host.tunnel(kind, client).up() for kind in ("wireguard", "ipip")]


def assert_traffic(host, tunnels):
    for tunnel in tunnels:
        assert tunnel.ping(), tunnel.kind
        assert tunnel.visit() == host.address, tunnel.kind


# Tunnels live on

@pytest.mark.interop
@pytest.mark.sanitize
def test_after_a_kill_both_kinds_go_on_and_keep_their_addresses(host, client, other_client):
    server = host.start()
    tunnels = pair(host, client)
    assert_traffic(host, tunnels)
    server.kill()
    assert_traffic(host, tunnels)
    server = host.start()
    assert_traffic(host, tunnels)
    assert server.logged(r"adopted 2 peers")
    # No new client is given an address that is held.
    held = {tunnel.inner for tunnel in tunnels}
    api = host.api(other_client)
    assert api.connect_ipip().inner not in held
    assert api.connect(random_key()).inner not in held
    for tunnel in tunnels:
        assert tunnel.request().inner == tunnel.inner
    assert_traffic(host, tunnels)


@pytest.mark.interop
def test_no_packet_is_lost_while_the_server_is_killed_and_started(host, client):
    server = host.start()
    tunnels = pair(host, client)
    assert_traffic(host, tunnels)
    pings = [client.ns.popen(f"ping -n -q -i 0.1 -w 300 -I {tunnel.device} 198.51.100.80",
                             stdout=-1, text=True) for tunnel in tunnels]
    time.sleep(0.5)
    server.kill()
    time.sleep(0.5)
    host.start()
    time.sleep(0.5)
    for process in pings:
        process.send_signal(2)
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received",
                                            process.communicate(timeout=60)[0]).groups())
        # The last one may have been on its way.
        assert received >= sent - 1 and sent > 10


def test_after_a_stop_with_keep_both_kinds_are_adopted(host, client):
    host.start("--on-exit=keep").stop()
    server = host.start("--on-exit=keep")
    tunnels = pair(host, client)
    assert_traffic(host, tunnels)
    server.stop()
    server = host.start()
    assert_traffic(host, tunnels)
    assert server.logged(r"adopted 2 peers")
    for tunnel in tunnels:
        assert tunnel.request().inner == tunnel.inner
    server.stop()
    assert "vprox0" not in host.links() and not host.ipip_links()


def test_after_adoption_a_clean_stop_leaves_the_host_as_it_was(host, client):
    before = host.snapshot()
    server = host.start()
    pair(host, client)
    server.kill()
    host.start().stop()
    host.assert_same(before)


def test_an_adopted_peers_idle_clock_starts_anew(host, client):
    server = host.start()
    tunnels = pair(host, client)
    assert_traffic(host, tunnels)
    server.kill()
    time.sleep(8)
    began = time.monotonic()
    host.start("--idle-timeout=8s --connect-grace=1s --reap-interval=200ms")
    wait.throughout(lambda: len(host.holders()) == 2, 7, since=began)
    wait.until(lambda: not host.holders())


def test_the_adopted_interfaces_are_the_same_ones(host, client):
    server = host.start()
    pair(host, client)

    def indexes():
        return {name: link["ifindex"] for name, link in host.links().items()}
    before = indexes()
    server.kill()
    host.start()
    assert indexes() == before


# Which endpoint is which

def test_another_order_of_the_addresses_swaps_nothing(host, client):
    flags = "--wg-block-per-ip=/24"
    server = host.start(flags, ips=[host.address, host.second])
    tunnel = host.tunnel("ipip", client, host.second).up()
    wireguard = host.tunnel("wireguard", client, host.address).up()
    assert tunnel.inner.startswith("10.100.1.") and wireguard.inner.startswith("10.100.0.")
    server.kill()
    host.start(flags, ips=[host.second, host.address])
    assert tunnel.ping() and tunnel.visit() == host.second
    assert wireguard.ping() and wireguard.visit() == host.address
    assert tunnel.request().inner == tunnel.inner
    assert host.api(client, host.second).connect(random_key()).json["ServerListenPort"] == 50228
    assert {name: link["ifalias"] for name, link in host.links().items()
            if re.fullmatch(r"vprox\d", name)} == {"vprox0": host.address, "vprox1": host.second}


def test_an_address_that_is_not_served_any_more_is_removed_and_its_index_used_again(host, client):
    flags = "--wg-block-per-ip=/24"
    server = host.start(flags, ips=[host.address, host.second])
    kept = host.tunnel("ipip", client, host.second).up()
    host.tunnel("wireguard", client, host.address).up()
    server.kill()
    server = host.start(flags, ips=[host.third, host.second])
    assert server.logged(rf"removing vprox0.*{re.escape(host.address)}")
    assert kept.ping() and kept.visit() == host.second
    assert host.links()["vprox0"]["ifalias"] == host.third
    assert not host.wireguard_peers("vprox0")
    answer = host.api(client, host.third).connect(random_key()).json
    assert answer["ServerListenPort"] == 50227


# What does not match

def test_another_block_removes_the_peers_and_says_so(host, client):
    server = host.start()
    tunnels = pair(host, client)
    server.kill()
    server = host.start(block="10.77.0.0/24")
    assert not host.holders() and not host.ipip_links()
    assert server.logged(r"warning .*10\.100\.")
    addresses = json.loads(host.ns.run("ip -j addr show dev vprox0"))[0]["addr_info"]
    assert [(a["local"], a["prefixlen"]) for a in addresses] == [("10.77.0.1", 24)]
    for tunnel in tunnels:
        tunnel.down()
    tunnels = pair(host, client)
    assert_traffic(host, tunnels)


def test_an_address_that_others_gave_the_interface_is_left_alone_and_so_are_the_peers(host, client):
    server = host.start()
    tunnels = pair(host, client)
    assert_traffic(host, tunnels)
    server.kill()
    index = host.links()["vprox0"]["ifindex"]
    host.ns.ip("addr add 192.0.2.77/32 dev vprox0")
    server = host.start()
    assert server.logged(r"adopted 2 peers")
    assert host.links()["vprox0"]["ifindex"] == index, "it is the same interface"
    addresses = json.loads(host.ns.run("ip -j -4 addr show dev vprox0"))[0]["addr_info"]
    assert {a["local"] for a in addresses} == {"10.100.0.1", "192.0.2.77"}
    for tunnel in tunnels:
        assert tunnel.request().inner == tunnel.inner
    assert_traffic(host, tunnels)


WRONG_PEERS = {
    "two addresses": "10.100.0.20/32,10.100.0.21/32",
    "no address": "",
    "a whole network": "10.100.64.0/24",
    "an address outside the block": "10.101.0.2/32",
    "the server's address": "10.100.0.1/32",
    "the broadcast address": "10.100.255.255/32",
    "an IPv6 address": "fd00::2/128",
}


def test_a_wireguard_peer_without_exactly_one_right_address_is_removed(host, client):
    server = host.start()
    tunnel = host.tunnel("wireguard", client).up()
    server.kill()
    wrong = {random_key(): allowed for allowed in WRONG_PEERS.values()}
    for key, allowed in wrong.items():
        host.ns.run(["wg", "set", "vprox0", "peer", key, "allowed-ips", allowed])
    server = host.start()
    assert list(host.wireguard_peers()) == [tunnel.public_key]
    for key in wrong:
        assert key in server.log, "it is said"
    assert tunnel.ping()


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_of_two_peers_with_one_address_one_is_removed(host, clients):
    first, second = clients(2)
    server = host.start()
    tunnel = host.tunnel("ipip", first).up()
    server.kill()
    host.ns.run(["wg", "set", "vprox0", "peer", random_key(), "allowed-ips", tunnel.inner + "/32"])
    host.start()
    assert len(host.holders()) == 1
    assert host.api(second).connect_ipip().inner != tunnel.inner


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_ipip_interfaces_that_do_not_match_are_removed(host, client):
    server = host.start()
    tunnel = host.tunnel("ipip", client).up()
    server.kill()
    host.ns.ip(
        # Another local address, a place outside the block, the gateway's, another kind.
        f"link add vp0-9 type ipip local {host.second} remote 192.0.2.200",
        f"link add vp0-70000 type ipip local {host.address} remote 192.0.2.201",
        f"link add vp0-0 type ipip local {host.address} remote 192.0.2.202",
        "link add vp0-12 type dummy")
    server = host.start()
    left = {name for name in host.links() if name.startswith("vp0-")}
    assert left <= {"vp0-1", "vp0-12"} and "vp0-1" in left
    assert server.logged(r"vp0-9\b") and server.logged(r"vp0-70000\b")
    assert tunnel.ping()


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_other_attributes_of_an_ipip_interface_are_no_mismatch(host, client):
    server = host.start()
    tunnel = host.tunnel("ipip", client).up()
    server.kill()
    host.ns.ip(f"link change vp0-1 type ipip local {host.address} remote {client.address} "
               "ttl 64 pmtudisc")
    index = host.links()["vp0-1"]["ifindex"]
    host.start()
    assert host.links()["vp0-1"]["ifindex"] == index
    assert tunnel.request().inner == tunnel.inner
    assert tunnel.ping() and tunnel.visit() == host.address


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_an_interface_without_its_route_is_given_it_again(host, client):
    """A crash between the two leaves this."""
    server = host.start()
    tunnel = host.tunnel("ipip", client).up()
    server.kill()
    host.ns.ip(f"route del {tunnel.inner}/32 dev vp0-1", "link set vp0-1 down")
    host.start()
    assert tunnel.request().inner == tunnel.inner
    assert tunnel.ping() and tunnel.visit() == host.address


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_an_interface_marked_for_removal_by_a_server_that_crashed_is_kept(host, clients):
    first, second = clients(2)
    server = host.start()
    tunnel, other = host.tunnel("ipip", first).up(), host.tunnel("ipip", second).up()
    server.kill()
    # Whatever number the server uses: it must not be the reason for a loss.
    host.ns.ip(f"link set vp0-1 group {OTHER_GROUP}", f"link set vp0-2 group {OTHER_GROUP}")
    host.start()
    assert tunnel.ping() and other.ping()
    other.disconnect()
    assert list(host.ipip_links()) == ["vp0-1"]
    assert tunnel.ping()


# What a Go server left

@pytest.mark.only("kernel", reason="the Go servers know no other")
@pytest.mark.parametrize("iptables", ["iptables-nft", "iptables-legacy"])
def test_what_a_go_server_left_is_adopted_and_cleared_up(host, client, iptables):
    tunnel = lay_go_leftovers(host, iptables, client)
    server = host.start()
    rules = host.ns.run(f"{iptables}-save")
    assert '"vprox ' not in rules and '"not vprox "' in rules
    assert server.logged(r"iptables.*vprox|vprox.*iptables")
    assert host.wireguard_peers() == {tunnel.public_key: "10.100.0.7/32"}
    assert host.links()["vprox0"]["ifalias"] == host.address
    assert "somebody has changed" not in server.log
    tunnel.up()
    assert tunnel.inner == "10.100.0.7"
    assert tunnel.ping() and tunnel.visit() == host.address
    server.stop()
    assert '"not vprox "' in host.ns.run(f"{iptables}-save")
    assert "vprox0" not in host.links()


# A start that fails

def test_a_start_that_fails_leaves_what_an_earlier_server_left(host, client):
    server = host.start()
    tunnels = pair(host, client)
    server.kill()
    host.free_port()
    before = host.snapshot()
    listener = host.ns.popen(["/usr/bin/python3", "-c", f"""
import socket, time
sock = socket.create_server(("{host.address}", 443))
print("there", flush=True)
time.sleep(60)"""], stdout=-1, text=True)
    assert listener.stdout.readline() == "there\n"
    server = host.launch(expected=["443"])
    assert server.wait() == 1
    assert re.search(rf"{re.escape(host.address)}.*443", server.log)
    host.assert_same(before)
    listener.kill()
    listener.communicate()
    assert_traffic(host, tunnels)


def test_a_second_server_on_the_host_is_refused_and_harms_nothing(host, client):
    host.start()
    tunnels = pair(host, client)
    before = host.snapshot()
    second = host.launch(ips=[host.second], expected=["another vprox"])
    assert second.wait() == 1
    assert "another vprox server" in second.log
    host.assert_same(before)
    assert_traffic(host, tunnels)


# The bind address

def address_info(host, address, device="wan0"):
    for info in json.loads(host.ns.run(f"ip -j addr show dev {device}"))[0]["addr_info"]:
        if info["local"] == address:
            return info
    return None


FOREVER = 2 ** 32 - 1


def test_an_address_that_no_interface_has_is_added_for_a_minute(host, client, kind):
    before = host.snapshot()
    server = host.start(ips=[host.absent])
    info = address_info(host, host.absent)
    assert info["prefixlen"] == 32 and 30 <= info["valid_life_time"] <= 60
    tunnel = host.tunnel(kind, client, host.absent).up()
    assert tunnel.ping() and tunnel.visit() == host.absent
    server.stop()
    host.assert_same(before)


def test_the_added_address_stays_for_good_on_a_stop_with_keep_and_is_taken_over(host, client):
    server = host.start("--on-exit=keep", ips=[host.absent])
    tunnel = host.tunnel("ipip", client, host.absent).up()
    server.stop()
    assert address_info(host, host.absent)["valid_life_time"] == FOREVER
    assert tunnel.visit() == host.absent
    server = host.start(ips=[host.absent])
    assert tunnel.visit() == host.absent


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_the_address_is_renewed_and_added_again(host, client):
    """Looked after every 15 s."""
    host.start(ips=[host.absent])
    host.ns.run(f"ip addr del {host.absent}/32 dev wan0")
    info = wait.until(lambda: address_info(host, host.absent), 45)
    assert info["prefixlen"] == 32 and 30 <= info["valid_life_time"] <= 60
    # Who asked for it while it was away is told so for some seconds: of a neighbour, as here, by ARP.
    wait.until(host.api(client, host.absent).is_served)


def test_an_address_that_is_there_is_left_as_it_is(host):
    before = address_info(host, host.address)
    assert before["valid_life_time"] == FOREVER
    server = host.start()
    assert address_info(host, host.address) == before
    server.stop()
    assert address_info(host, host.address) == before


def test_wireguard_answers_from_no_other_address(host, client):
    """When the bind address vanishes, the kernel would answer from another one, and clients would
    roam to it."""
    host.start()
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.ping()
    host.ns.run(f"ip addr del {host.address}/32 dev wan0")
    with capture.Capture(host.world.internet, host.node.name) as sniffer:
        # Routed here all the same: the host has it on another interface for a moment.
        host.ns.run(f"ip route add local {host.address}/32 dev lo")
        tunnel.ping(seconds=1)
        host.ns.run(["bash", "-c", f"ping -c1 -W1 -I vprox0 {tunnel.inner} || true"])
        sources = {packet.src for packet in sniffer.look()
                   if packet.proto == packets.UDP and 50227 in packet.ports
                   and packet.dst == client.address}
    assert sources <= {host.address}
    host.ns.run(f"ip route del local {host.address}/32 dev lo")
    host.ns.run(f"ip addr replace {host.address}/32 dev wan0")
    assert tunnel.ping(seconds=20)
    endpoint = client.ns.run("wg show wg0 endpoints").split()[1]
    assert endpoint == f"{host.address}:50227"


