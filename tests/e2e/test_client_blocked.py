"""What --route names goes into the tunnel or nowhere, whatever happens to the tunnel; and IPv6, which
no tunnel carries, goes nowhere where all of IPv4 is routed."""

import errno
import signal
import socket

import pytest

from lab.client import ALL
from lab.dual import OWN6, ROUTER_LINK, VISITED6, pings
from lib import wait


def connect(machine, address):
    """What connect() fails with, over TCP and IPv6."""
    def inside():
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.settimeout(20)
            return sock.connect_ex((address, 9))
    return machine.ns.enter(inside)


def is_seen_as(machine, address):
    wait.until(lambda: machine.visit(seconds=3) == address, 60, f"seen as {address}")


# IPv6

@pytest.mark.plane
def test_ipv6_is_blocked_where_all_of_ipv4_is_routed(host, dual, kind):
    host.start()
    before = dual.ns.run("ip -6 rule show")
    client = dual.connect(host.address, ALL, kind=kind).up()
    is_seen_as(dual, host.address)
    assert connect(dual, VISITED6) == errno.ENETUNREACH, "at once, so that IPv4 is tried"
    assert not pings(dual, VISITED6, 3) and not pings(dual, f"-I eth0 {VISITED6}", 3)
    for address in "::1", f"{ROUTER_LINK}%eth0", OWN6:
        assert pings(dual, address), address
    client.logged("IPv6 is blocked")
    client.stop()
    assert pings(dual, VISITED6) and dual.ns.run("ip -6 rule show") == before


@pytest.mark.parametrize("arguments", [f"{ALL} --ipv6=leave", "--route 198.51.100.0/24"])
def test_ipv6_is_left_alone_otherwise(host, dual, arguments):
    host.start()
    client = dual.connect(host.address, arguments).up()
    is_seen_as(dual, host.address)
    assert pings(dual, VISITED6)
    assert client.count("IPv6 goes on beside the tunnel") == ("leave" in arguments)


def test_the_block_of_ipv6_outlives_a_kill_and_other_programs(host, dual):
    host.start()
    client = dual.connect(host.address, ALL).up()
    for line in dual.ns.run("ip -6 rule show").splitlines():
        if "unreachable" in line:
            dual.ns.run(f"ip -6 rule del priority {line.split(':')[0]}")
    wait.until(lambda: connect(dual, VISITED6) == errno.ENETUNREACH, 30, "it is put back")
    client.kill()
    assert connect(dual, VISITED6) == errno.ENETUNREACH
    dual.connect(host.address, "--route 198.51.100.0/24").up()
    assert pings(dual, VISITED6)


# IPv4

@pytest.mark.sanitize
def test_a_password_that_is_changed_blocks_what_is_routed(host, machine, kind):
    server = host.start()
    client = machine.connect(host.address, ALL, kind=kind).up()
    is_seen_as(machine, host.address)
    server.stop()
    server = host.start(environment={"VPROX_PASSWORD": "another"})
    client.logged("what --route names stays blocked", 60)
    assert machine.visit(seconds=3) is None
    assert client.process.poll() is None, client.log
    server.stop()
    host.start()
    client.up(times=2, seconds=90)
    is_seen_as(machine, host.address)
    client.stop()
    assert machine.visit() == machine.node.address


@pytest.mark.plane
def test_without_its_interface_nothing_that_is_routed_goes_another_way(host, machine, kind):
    host.start()
    client = machine.connect(host.address, "--route 198.51.100.0/24", kind=kind).up()
    is_seen_as(machine, host.address)
    client.process.send_signal(signal.SIGSTOP)
    machine.ns.run("ip link del vprox0")
    assert machine.visit(seconds=3) is None
    client.process.send_signal(signal.SIGCONT)
    is_seen_as(machine, host.address)


def test_an_interface_that_another_program_takes_opens_nothing(host, machine, kind):
    host.start()
    client = machine.connect(host.address, ALL, kind=kind).up()
    client.process.send_signal(signal.SIGSTOP)
    machine.ns.run("ip link del vprox0")
    wait.until(lambda: not machine.has("vprox0"), 30, "it is gone")
    machine.ns.ip("link add vprox0 type veth peer name other0")
    client.process.send_signal(signal.SIGCONT)
    client.logged("not this client's", 60)
    assert client.process.poll() is None
    assert machine.visit(seconds=3) is None
    machine.ns.run("ip link del vprox0")
    is_seen_as(machine, host.address)
