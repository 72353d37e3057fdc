"""Tokens with allow-to=: their clients reach these destinations and no others, from before their first
packet on, whatever happens to server, table and names."""

import concurrent.futures
import itertools
import json
import signal
import socket

import pytest

from lab import echo
from lab.echo import UDP_PORT, VISITED
from lab.fleet import BACK, give_address, move_address, wait_served
from lab.tokens import Tokens, line, names, tunnel
from lab.tunnels import random_key
from lib import wait
from lib.capture import send
from lib.packets import UDP, udp_packet

pytestmark = pytest.mark.plane

OPEN, OTHER = "192.168.3.1", "10.20.0.1"  # private, behind the host
CI, SHOP = "a" * 40, "b" * 40
ALLOWED = "allow-to=192.168.3.0/24"
HOST_PORT = 7001
MANY = 250
HEALED_SECONDS = 30  # what is looked at every 5 s, on a busy machine


@pytest.fixture(scope="module", name="behind", autouse=True)
def fixture_behind(world):
    world.internet.ip(*[f"addr add {address}/32 dev lo" for address in (OPEN, OTHER)])
    yield
    world.internet.ip(*[f"addr del {address}/32 dev lo" for address in (OPEN, OTHER)])


def confined(host):
    """The inner addresses that the kernel confines."""
    listed = host.ns.try_run("nft -j list set ip vprox peers_confined")
    if listed.returncode != 0:
        return set()
    sets = [each["set"] for each in json.loads(listed.stdout)["nftables"] if "set" in each]
    return set(sets[0].get("elem", []))


def is_confined(each):
    """By packets: what is allowed passes, all else is refused."""
    return each.ping(OPEN) and not each.ping(VISITED, seconds=1) and not each.ping(OTHER, seconds=1)


def is_free(each):
    return each.ping(VISITED) and not each.ping(OPEN, seconds=1)


def test_a_token_reaches_its_destinations_and_no_others_and_opens_them_for_nobody_else(host, kind, clients, tokens):
    node, other = clients(2)
    tokens.start(line("ci", CI, ALLOWED), line("shop", SHOP), arguments="--deny-to=192.168.3.2/32")
    ci, shop = tunnel(host, kind, node, CI), tunnel(host, kind, other, SHOP)
    assert ci.ping() and is_confined(ci), "the gateway too"
    assert ci.connects(OPEN, echo.HTTP_PORT) is ConnectionRefusedError, "nobody listens there"
    assert ci.connects(VISITED, echo.HTTP_PORT) is ConnectionRefusedError
    assert is_free(shop) and shop.visit() == host.address
    assert confined(host) == {ci.inner}
    # A source that is another's is no way out, nor a way in there.
    with host.world.internet.socket(socket.AF_INET, socket.SOCK_RAW, UDP) as seen:
        seen.settimeout(15)
        send(ci.ns, ci.device, udp_packet(shop.inner, VISITED, 4000, UDP_PORT, b"false"))
        send(shop.ns, shop.device, udp_packet(ci.inner, OPEN, 4000, UDP_PORT, b"false"))
        send(shop.ns, shop.device, udp_packet(shop.inner, VISITED, 4000, UDP_PORT, b"true"))
        while b"true" not in (packet := seen.recv(2000)):
            assert b"false" not in packet


def test_other_destinations_hold_at_once_for_tunnels_that_are_there_and_their_flows_end(host, kind, client, tokens):
    tokens.start(line("ci", CI, "allow-to=198.51.100.0/24"))
    ci = tunnel(host, kind, client, CI)
    assert ci.visit() == host.address and not ci.ping(OPEN, seconds=1)
    with echo.bound(ci.ns, socket.SOCK_DGRAM, ci.device, 0, 15) as flow, \
            host.world.internet.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind((VISITED, 9999))
        far.settimeout(10)
        flow.sendto(b"begins", (VISITED, 9999))
        back = far.recvfrom(100)[1]
        far.sendto(b"answer", back)
        assert flow.recv(100) == b"answer"
        tokens.reload(line("ci", CI, f"{ALLOWED},10.20.0.0/30 allow-to=10.99.0.0/16"))
        assert ci.ping(OPEN) and ci.ping(OTHER) and not ci.ping(VISITED, seconds=1)
        far.sendto(b"goes on", back)
        flow.settimeout(1)
        with pytest.raises((TimeoutError, OSError)):
            assert flow.recv(100) != b"goes on"
            flow.recv(100)
    tokens.reload(line("ci", CI))
    assert is_free(ci) and not confined(host)
    tokens.reload(line("ci", CI, ALLOWED))
    assert is_confined(ci) and confined(host) == {ci.inner}


def test_whatever_the_server_does_and_whoever_knows_the_name_a_tunnel_stays_confined(host, kind, client, tokens):
    tokens.start(line("ci", CI, ALLOWED)).expect("the broker is gone")
    ci = tunnel(host, kind, client, CI)
    tokens.server.kill()
    assert is_confined(ci)
    tokens.start(line("ci", CI, "allow-to=10.20.0.0/16")).expect("the broker is gone")
    assert ci.ping(OTHER) and not ci.ping(VISITED, seconds=1) and not ci.ping(OPEN, seconds=1)
    tokens.server.kill()
    tokens.start(line("ci", CI), arguments="--store=none --on-exit=keep")
    assert names(host) == [None], "nobody has told it"
    assert ci.ping(OTHER) and not ci.ping(VISITED, seconds=1)
    host.ns.run("nft delete table ip vprox")
    tokens.server.expect("another program has changed or removed")
    wait.until(lambda: confined(host) == {ci.inner}, HEALED_SECONDS)
    host.ns.run("nft flush set ip vprox peers_confined")
    wait.until(lambda: confined(host) == {ci.inner}, HEALED_SECONDS)
    assert ci.ping(OTHER) and not ci.ping(VISITED, seconds=1)
    tokens.server.stop()
    assert ci.ping(OTHER) and not ci.ping(VISITED, seconds=1)
    tokens.start(line("ci", CI), arguments="--store=none")
    assert ci.request().inner == ci.inner
    assert is_free(ci) and not confined(host)


def test_after_a_reboot_it_is_confined_as_the_file_says_now(host, client, kind, tokens):
    tokens.start(line("ci", CI))
    ci = tunnel(host, kind, client, CI)
    assert ci.ping()
    if kind == "wireguard":
        wait.until(lambda: host.stored("SELECT 1 FROM peer WHERE outer_port > 0"))
    host.reboot()
    server = tokens.start(line("ci", CI, ALLOWED), arguments="--reap-interval=1h")
    assert server.logged("1 peers that were not there any more have their tunnels again")
    wait.until(lambda: ci.ping(seconds=1), 60)
    assert is_confined(ci)


def test_an_address_that_is_given_to_another_name_is_as_that_name_says(host, kind, clients, tokens):
    node, other = clients(2)
    tokens.start(line("ci", CI, ALLOWED), line("shop", SHOP), block="10.100.0.0/30")
    ci = tunnel(host, kind, node, CI)
    assert is_confined(ci)
    ci.down()
    assert ci.disconnect().status == 200
    shop = tunnel(host, kind, other, SHOP)
    assert shop.inner == ci.inner and is_free(shop) and not confined(host)
    shop.down()
    assert shop.disconnect().status == 200
    again = tunnel(host, kind, node, CI)
    assert again.inner == ci.inner and is_confined(again)
    again.down()
    again.disconnect()
    wait.until(lambda: not confined(host), what="what is kept of nobody's address goes")


def test_who_asks_again_by_another_token_has_what_that_one_reaches(host, client, tokens):
    """One that is not in use, as nobody else gets the others."""
    tokens.start(line("ci", CI, ALLOWED), line("shop", SHOP))
    key = random_key()
    for token, are_confined in ((CI, 1), (SHOP, 0), (CI, 1), (None, 0)):
        assert host.api(client).connect(key, **({"password": token} if token else {})).status == 200
        assert len(confined(host)) == are_confined


def test_between_peers_and_towards_the_host_it_holds_too(host, clients, tokens):
    node, other = clients(2)
    tokens.start(line("ci", CI, ALLOWED), line("shop", SHOP),
                 arguments=f"--allow-peer-to-peer --allow-to-host={HOST_PORT}")
    ci, shop = tunnel(host, "wireguard", node, CI), tunnel(host, "ipip", other, SHOP)
    with host.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("0.0.0.0", HOST_PORT))
        sock.listen()
        assert shop.connects(shop.gateway, HOST_PORT) is None
        assert ci.connects(ci.gateway, HOST_PORT) is ConnectionRefusedError
        assert not ci.ping(shop.inner, seconds=1) and not shop.ping(ci.inner, seconds=1)
        assert ci.ping() and host.api(node).get("/version", password=CI).status == 200
        tokens.reload(line("ci", CI, f"allow-to={ci.gateway}/32,{shop.inner}/32"), line("shop", SHOP))
        assert ci.connects(ci.gateway, HOST_PORT) is None
        assert ci.ping(shop.inner) and shop.ping(ci.inner) and not ci.ping(VISITED, seconds=1)


def peers_of(host):
    """The inner addresses of all peers that there are."""
    return {peer["inner"] for peer in host.shown_peers()}


def test_amid_grants_readings_of_the_file_and_kills_no_peer_is_there_that_is_not_confined(host, client, tokens):
    """The file says each time something else of the token, and never nothing. Without a store all that a server
    knows of the one before it is what the kernel has."""
    arguments = "--store=none"
    tokens.start(line("ci", CI, ALLOWED), arguments=arguments).expect(".")
    for reading in range(6):
        with concurrent.futures.ThreadPoolExecutor(10) as threads:
            asked = [threads.submit(host.api(client).connect, random_key(), password=CI) for _ in range(10)]
            if reading in (2, 4):
                concurrent.futures.wait(asked, return_when=concurrent.futures.FIRST_COMPLETED)
                tokens.server.kill()
                tokens.start(line("ci", CI, ALLOWED), arguments=arguments).expect(".")
            else:
                tokens.write(line("ci", CI, f"{ALLOWED},10.{reading}.0.0/16"))
                tokens.server.send_signal(signal.SIGHUP)
            concurrent.futures.wait(asked)
        assert peers_of(host) and peers_of(host) <= confined(host)


def reached(host, length):
    """The pairs of inner address and network of this length that the kernel lets through."""
    listed = host.ns.try_run(f"nft -j list set ip vprox peers_reach_{length}")
    if listed.returncode != 0:
        return set()
    sets = [each["set"] for each in json.loads(listed.stdout)["nftables"] if "set" in each]
    return {tuple(each["concat"]) for each in sets[0].get("elem", [])}


def networks(first):
    """As many as a token may have, so that a change of all of them takes a while."""
    return [f"10.{first}.{i}.0" for i in range(16)]


def ci_line(first):
    return line("ci", CI, "allow-to=" + ",".join(f"{network}/24" for network in networks(first)))


def test_another_list_is_in_force_for_hundreds_of_tunnels_when_it_is_said_and_the_last_one_wins(host, client, tokens):
    """They are changed one after the other, between requests."""
    server = tokens.start(ci_line(1), arguments="--store=none")
    with concurrent.futures.ThreadPoolExecutor(10) as threads:
        asked = [threads.submit(host.api(client).connect, random_key(), password=CI) for _ in range(MANY)]
        assert all(each.result().status == 200 for each in asked)
    inner = confined(host)
    assert len(inner) == MANY
    for first in (2, 3):
        tokens.reload(ci_line(first))
        assert reached(host, 24) == set(itertools.product(inner, networks(first)))
    # One that comes while another is under way waits for it.
    for first in (4, 5):
        tokens.write(ci_line(first))
        server.send_signal(signal.SIGHUP)
    wait.until(lambda: reached(host, 24) == set(itertools.product(inner, networks(5))), what=lambda: server.log)
    # A name that is gone reaches nothing. The line that says so comes after the one of what was waited for.
    tokens.reload(line("shop", SHOP))
    wait.until(lambda: not reached(host, 24), what=lambda: server.log)


def test_at_another_host_its_own_file_counts_from_before_the_address_comes(host, other_host, fleet, client):
    """Its firewall is ready with the peers."""
    address = host.absent
    for each, reaches in ((host, ALLOWED), (other_host, "allow-to=10.20.0.0/16")):
        file = Tokens(each)
        file.write(line("ci", CI, reaches))
        fleet.start(each, f"--follow={address}/32 --store-wait=30s --tokens={file.path}", ips=[],
                    expected=["cannot write to etcd", "etcd cannot be asked"])
    first, second = host.servers[-1], other_host.servers[-1]
    give_address(host, address)
    wait_served(first, address)
    ci = host.tunnel("wireguard", client, address)
    ci.password = CI
    ci.up()
    assert ci.ping(OPEN) and not ci.ping(OTHER, seconds=1)
    wait.until(lambda: confined(other_host) == {ci.inner}, BACK, lambda: second.log)
    move_address(host, other_host, address)
    wait_served(second, address)
    wait.until(lambda: ci.ping(seconds=1), BACK, lambda: second.log)
    assert ci.ping(OTHER) and not ci.ping(OPEN, seconds=1) and not ci.ping(VISITED, seconds=1)
