"""`vprox connect` where not all that a tunnel needs gets through: what still counts as a tunnel, what
is said of the others, and when it gives up."""

import contextlib
import signal
import socket
import time

import pytest

from lab.client import NO_HANDSHAKE, REFUSED, UNREACHABLE, Machine
from lab.pretender import Pretender, answer, grant
from lab.server import pins_of
from lab.world import ROUTER_TO_HOSTS
from lib import wait


@contextlib.contextmanager
def translated(world, machine, address):
    """The machine has that address outside."""
    world.internet.run(["nft", "table ip nat { chain c { type nat hook postrouting priority 100; "
                        f"ip saddr {machine.node.address} snat to {address}; }}; }}"])
    try:
        yield
    finally:
        world.internet.run("nft delete table ip nat")


# What counts as a tunnel

@pytest.mark.plane
@pytest.mark.sanitize
def test_a_tunnel_without_echoes_is_up_as_a_connection_through_it_is_answered(host, machine, kind):
    host.ns.sysctl(net__ipv4__icmp_echo_ignore_all=1)
    server = host.start()
    client = machine.connect(host.address, kind=kind).up()
    client.logged("no echo of 10.100.0.1 comes back, but a connection through the tunnel")
    assert client.visit() == host.address
    time.sleep(12)  # the next round's connection, and the end of its time
    assert client.visit() == host.address
    assert client.count("no echo") == 1, client.log
    assert client.count("asking again") == 0, client.log
    client.stop()


@pytest.mark.plane
def test_a_tunnel_without_any_answer_is_up_by_its_handshake(host, machine, drop):
    drop(host.ns, "input", "iifname \"vp*\" ip protocol { icmp, tcp }")
    server = host.start()
    client = machine.connect(host.address).up()
    client.logged("no echo of 10.100.0.1 comes back, but the handshake is done")
    assert client.visit() == host.address
    time.sleep(6)  # another round
    assert client.count("the tunnel is up") == 1, client.log
    assert client.count("asking again") == 0, client.log
    client.stop()


def test_what_once_has_answered_is_renewed_when_it_does_not_any_more(host, machine):
    """Its handshake is of the last three minutes all the same."""
    host.ns.sysctl(net__ipv4__icmp_echo_ignore_all=1)
    server = host.start()
    client = machine.connect(host.address).up()
    server.stop()
    client.logged("no echo comes back", 60)
    host.start()
    client.up(times=2, seconds=60)
    client.works(host.address)


# What is said of one that is none

def test_a_filtered_udp_port_is_named(host, machine, drop):
    drop(host.ns, "prerouting", "udp dport 50227")
    host.start()
    before = machine.snapshot()
    client = machine.connect(host.address, "--timeout=7s")
    assert client.wait(40) == NO_HANDSHAKE, client.log
    assert client.count(f"is UDP port 50227 of {host.address} open") > 0, client.log
    assert client.count("there was no tunnel within 7 s: no echo comes back") == 1, client.log
    wait.until(lambda: machine.snapshot() == before, 10, "as it was before")


def test_the_tunnel_that_is_named_is_the_one_that_is_there(host, machine, drop):
    """Not another one that was granted in between, and could not be set up."""
    server = host.start()
    client = machine.connect(host.address, "--route 10.99.0.0/16 --insecure --json").up()
    client.process.send_signal(signal.SIGSTOP)  # until all has changed
    server.stop()
    drop(host.ns, "prerouting", "udp dport 50227")
    there = grant(AssignedAddr=f"{client.said[0]['address']}/16", ServerPublicKey=client.said[0]["server_key"])
    pretender = Pretender(host, {"/connect": grant(ServerListenPort=50228)})
    try:
        machine.ns.ip("link del vprox0", "link add vprox0 type veth peer name other")
        client.process.send_signal(signal.SIGCONT)
        client.logged("there is an interface vprox0 already", times=2)  # at its next look, and for the other tunnel
        pretender.answers["/connect"] = there
        machine.ns.ip("link del vprox0")
        client.logged(r"is UDP port \d+ of")
        assert "is UDP port 50227 of" in client.log, client.log
    finally:
        pretender.close()


def test_a_filtered_protocol_4_is_named(world, host, machine, drop):
    drop(world.internet, "forward", "ip protocol 4")
    host.start()
    client = machine.connect(host.address, "--timeout=7s", kind="ipip")
    assert client.wait(40) == NO_HANDSHAKE, client.log
    assert client.count(f"is IP protocol 4 open from {machine.node.address} to {host.address}"), \
        client.log


def test_a_nat_in_the_way_of_ipip_is_named(world, host, machine, drop):
    drop(world.internet, "forward", "ip protocol 4")
    with translated(world, machine, ROUTER_TO_HOSTS):
        host.start()
        client = machine.connect(host.address, "--timeout=9s", kind="ipip")
        assert client.wait(40) == NO_HANDSHAKE, client.log
        assert client.count(rf"{host.address} sees {ROUTER_TO_HOSTS}, not {machine.node.address}\)"
                            "; use --tunnel=wireguard"), client.log


@pytest.mark.plane
def test_of_two_clients_behind_one_nat_the_second_is_refused_over_ipip_until_the_first_has_gone(
        world, host, machine, clients, options):
    other = Machine(clients(1)[0], options)
    try:
        with translated(world, other, machine.node.address):
            host.start()
            first = machine.connect(host.address, kind="ipip").up()
            second = other.connect(host.address, kind="ipip")
            second.logged(r"another client has the tunnel to this address \(HTTP status 409\): over "
                          "IPIP an address, such as a NAT's, is good for one client")
            assert first.visit() == host.address
            # It stays itself over a crash, and its end leaves the other's tunnel alone.
            first.kill()
            first = machine.connect(host.address, kind="ipip").up()
            second.stop()
            assert first.visit() == host.address
            second = other.connect(host.address, kind="ipip")
            second.logged("HTTP status 409")
            first.stop()
            second.logged(r"has 10.100.0.\d+/16", 90)
    finally:
        other.close()


# When it gives up

@pytest.mark.parametrize("once", ["", "--once"])
def test_a_server_that_cannot_be_reached_in_time_ends_the_client(host, machine, once):
    before = machine.snapshot()
    client = machine.connect(host.address, f"--timeout=2s {once}")
    assert client.wait() == UNREACHABLE, client.log
    assert client.count("there was no tunnel within 2 s: cannot connect") == 1, client.log
    assert machine.snapshot() == before


def test_the_end_of_a_short_time_names_the_port_that_has_not_answered(host, machine, drop):
    """It comes before the connection has failed, which takes three seconds."""
    drop(host.ns, "prerouting", "tcp dport 443")
    host.start()
    client = machine.connect(host.address, "--timeout=1s")
    assert client.wait(40) == UNREACHABLE, client.log
    assert client.count(f"within 1 s: there is no TLS connection to {host.address}, TCP port 443"), client.log


def test_the_end_of_a_short_time_names_the_request_that_was_not_answered(host, machine):
    pretender = Pretender(host, {"*": lambda connection: connection.recv(1)})
    try:
        client = machine.connect(host.address, "--timeout=3s")
        assert client.wait(40) == UNREACHABLE, client.log
        assert client.count(f"within 3 s: {host.address} has been reached, but has not answered"), client.log
    finally:
        pretender.close()


def test_the_end_of_a_short_time_names_the_handshake_that_was_not_answered(host, machine, drop):
    """It comes before the first round of echoes has failed, which takes five seconds."""
    drop(host.ns, "prerouting", "udp dport 50227")
    host.start()
    client = machine.connect(host.address, "--timeout=4s")
    assert client.wait(40) == NO_HANDSHAKE, client.log
    assert client.count("within 4 s: no echo comes back through the tunnel, as there is no handshake: is UDP "
                        f"port 50227 of {host.address} open"), client.log


def test_a_server_that_refuses_for_all_the_time_ends_the_client(host, machine):
    pretender = Pretender(host, {"*": answer(503, b"full\n")})
    try:
        client = machine.connect(host.address, "--timeout=4s")
        assert client.wait() == REFUSED, client.log
        assert client.count(r"within 4 s: full \(HTTP status 503\)") == 1, client.log
    finally:
        pretender.close()


def test_the_time_is_that_of_the_first_tunnel_alone(host, machine):
    server = host.start()
    client = machine.connect(host.address, "--timeout=10s").up()
    server.stop()
    client.logged("no echo comes back")
    time.sleep(10)
    assert client.process.poll() is None, client.log
    host.start()
    client.up(times=2, seconds=60)


def test_once_gives_up_after_a_minute_by_itself(host, machine):
    client = machine.connect(host.address, "--once")
    client.logged("giving up if there is no tunnel within 60 s")
    client.kill()
    client = machine.connect(host.address)
    client.logged("cannot connect")
    assert "giving up" not in client.log


# A name with several addresses

NAME = "vpn.example"


@pytest.fixture(name="name")
def fixture_name(machine):
    """Gives the server's name these addresses, for clients of the machine."""
    def give(*addresses):
        path = machine.state / "hosts"
        path.write_text("".join(f"{address} {NAME}\n" for address in addresses))
        machine.mounts.append((path, "/etc/hosts"))
        only_there = machine.state / "resolv.conf"
        only_there.write_text("# no name server\n")
        machine.mounts.append((only_there, "/etc/resolv.conf"))
        return NAME
    return give


def test_addresses_that_are_dead_cost_a_moment_each(world, host, machine, name, drop):
    """Their packets vanish: a connection to one of them takes 3 s to fail."""
    drop(world.internet, "prerouting", "ip daddr 192.0.2.200-192.0.2.250")
    host.start()
    dead = [f"192.0.2.{200 + n}" for n in range(9)]
    client = machine.connect(name(*dead, host.address), "--timeout=9s").up()
    assert client.visit() == host.address
    assert "asking again" not in client.log, "it was one request"


def test_a_host_that_answers_but_shakes_no_hands_holds_nobody_up(host, other_host, machine, name):
    host.start()
    listener = other_host.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.bind((other_host.address, 443))
        listener.listen()
        machine.connect(name(other_host.address, host.address)).up()


def test_a_host_that_is_another_holds_nobody_up(host, other_host, machine, name):
    server = host.start()
    pretender = Pretender(other_host, {"*": answer(401)})
    try:
        [pin] = pins_of(server)
        for _ in range(5):  # on a busy machine the pretender may be too slow to be heard before the next one
            client = machine.connect(name(other_host.address, host.address), f"--pin {pin}").up()
            if "no --pin names" in client.log:
                break
            client.stop()
        assert "no --pin names" in client.log
        assert not pretender.requests, "it was told nothing"
    finally:
        pretender.close()


def test_a_host_that_takes_the_request_and_answers_nothing_holds_nobody_up(
        host, other_host, machine, name):
    host.start()
    pretender = Pretender(other_host, {"*": lambda connection: None})
    try:
        machine.connect(name(other_host.address, host.address), "--insecure").up()
    finally:
        pretender.close()


def test_a_host_that_grants_tunnels_that_do_not_get_through_is_left_for_the_next(
        world, host, other_host, machine, name, drop, kind):
    """Its TCP port answers first, each time. Silent for once, the one that worked is asked again."""
    drop(world.internet, "forward", f"ip daddr {other_host.address} ip protocol {{ udp, 4 }}")
    other_host.start()
    server = host.start()
    client = machine.connect(name(other_host.address, host.address), "--insecure", kind=kind).up(seconds=60)
    assert client.visit() == host.address
    assert client.count("no echo comes back") > 0, client.log
    server.stop()
    client.logged("no echo comes back through the tunnel;", 60)
    host.start()
    client.works(host.address)


def test_the_request_goes_to_the_one_that_has_won_alone(host, other_host, machine, name):
    pretenders = [Pretender(one, {"/connect": answer(503)}) for one in (host, other_host)]
    try:
        client = machine.connect(name(host.address, other_host.address), "--insecure")
        wait.until(lambda: sum(len(one.requests) for one in pretenders) >= 2, 40, "asked twice")
        client.kill()
        asked = client.count("request with|HTTP status 503")
        assert sum(len(one.requests) for one in pretenders) in (asked, asked + 1), client.log
    finally:
        for one in pretenders:
            one.close()


def test_a_name_without_an_ipv4_address_is_told_from_one_that_is_not_there(machine, name):
    client = machine.connect(name("2001:db8::1"), "--timeout=3s")
    assert client.wait() == UNREACHABLE
    assert f"{NAME} has IPv6 addresses alone: a vprox server is reached by IPv4" in client.log
