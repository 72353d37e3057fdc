"""What came from outside is answered the way it came, and not into the tunnel: sessions to the host's
own addresses, and to what it forwards to. Nothing else leaves that way."""

import contextlib
import errno
import json
import socket

import pytest

from lab.behind import INSIDE6, network_behind, over_ipv6, publish
from lab.client import ALL
from lab.dual import OWN6, VISITED6, pings
from lab.echo import VISITED
from lib import wait

PORT, PUBLISHED = 2222, 8080


class Service:
    """Says what it is told, to whoever comes; and listens for a connection at a time."""

    def __init__(self, namespace, port, family=socket.AF_INET, visitor=VISITED):
        self.family, self.visitor = family, visitor
        self.listener = namespace.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("", port))
        self.listener.listen(5)
        self.listener.settimeout(30)

    def session(self, internet, address, port):
        """Somebody outside comes: both ends."""
        def inside():
            sock = socket.socket(self.family, socket.SOCK_STREAM)
            sock.settimeout(15)
            sock.bind((self.visitor, 0))
            sock.connect((address, port))
            return sock
        outside = internet.enter(inside)
        here, _ = self.listener.accept()
        here.settimeout(30)
        return outside, here

    def close(self):
        self.listener.close()


def speaks(one, other):
    """Both ways, the other first. TCP tries again what was lost."""
    other.send(b"question")
    if one.recv(100) != b"question":
        return False
    one.send(b"answer")
    return other.recv(100) == b"answer"


@pytest.fixture(name="service")
def fixture_service(machine):
    service = Service(machine.ns, PORT)
    yield service
    service.close()


@pytest.fixture(name="container")
def fixture_container(machine):
    """A network behind the machine, with a port that is published, as Docker does it."""
    inside = network_behind(machine)
    publish(machine, PUBLISHED)
    yield inside
    inside.remove()


def is_seen_as(machine, address):
    wait.until(lambda: machine.visit(seconds=3) == address, 60, f"seen as {address}")


@pytest.mark.plane
@pytest.mark.sanitize
@pytest.mark.parametrize("tracked", [False, True])
def test_a_session_that_was_there_lives_on_and_new_ones_come(host, machine, kind, service, tracked):
    """Also where the kernel has not tracked connections before."""
    internet = machine.node.world.internet
    if tracked:
        machine.ns.run(["nft", "-f", "-"],
                       input="table ip t { chain i { type filter hook input priority 0;\n"
                             "ct state invalid counter; }\nchain o { type filter hook output priority 0;\n"
                             "ct state invalid counter; }\n}\n")
    outside, here = service.session(internet, machine.node.address, PORT)
    host.start()
    client = machine.connect(host.address, ALL, kind=kind).up()
    is_seen_as(machine, host.address)
    with outside, here:
        assert speaks(here, outside)
    outside, here = service.session(internet, machine.node.address, PORT)
    with outside, here:
        assert speaks(here, outside)
    assert internet.try_run(f"ping -n -c 1 -W 10 -I {VISITED} {machine.node.address}").returncode == 0
    client.stop()


@pytest.mark.plane
@pytest.mark.parametrize("tracked", [False, True])
def test_so_it_is_over_ipv6_and_nothing_that_begins_here_leaves_that_way(host, dual, kind, tracked):
    """Neither what leaves its address open, nor what is bound to the one that sessions come to."""
    internet = dual.node.world.internet
    service = Service(dual.ns, PORT, socket.AF_INET6, VISITED6)
    if tracked:
        dual.ns.run(["nft", "table inet t { chain i { type filter hook input priority 0; ct state invalid counter; }; "
                     "chain o { type filter hook output priority 0; ct state invalid counter; }; }"])
    outside, here = service.session(internet, OWN6, PORT)
    begun = dual.ns.socket(socket.AF_INET6, socket.SOCK_STREAM)
    far = internet.socket(socket.AF_INET6, socket.SOCK_STREAM)
    far.bind((VISITED6, 9))
    far.listen()
    begun.connect((VISITED6, 9))
    far_end, _ = far.accept()
    host.start()
    client = dual.connect(host.address, ALL, kind=kind).up()
    is_seen_as(dual, host.address)
    internet.run(["nft", f"table ip6 begun {{ chain c {{ type filter hook prerouting priority 0; ip6 saddr {OWN6} "
                  f"tcp sport {begun.getsockname()[1]} counter; ip6 saddr {OWN6} tcp flags syn / syn,ack counter; "
                  f"ip6 saddr {OWN6} meta l4proto udp counter; }}; }}"])
    try:
        with outside, here:
            assert speaks(here, outside)
        outside, here = service.session(internet, OWN6, PORT)
        with outside, here:
            assert speaks(here, outside)
        assert internet.try_run(f"ping -n -c 1 -W 10 -I {VISITED6} {OWN6}").returncode == 0
        far_end.send(b"is anybody there?")
        begun.settimeout(1)
        with contextlib.suppress(OSError):
            begun.send(b"yes")
            begun.recv(100)
        for port in 0, 99, 40000:
            for bound in "::", OWN6:
                with dual.ns.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
                    sock.bind((bound, port))
                    sock.settimeout(20)
                    assert sock.connect_ex((VISITED6, 9)) in (errno.ENETUNREACH, errno.EHOSTUNREACH), (bound, port)
                with dual.ns.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
                    sock.bind((bound, port))
                    sock.sendto(b"out", (VISITED6, 9))
        assert not pings(dual, VISITED6, 3)
        left = internet.run("nft list table ip6 begun")
        assert left.count("packets 0 bytes 0") == 3, left
    finally:
        internet.run("nft delete table ip6 begun")
    client.stop()
    for sock in begun, far, far_end:
        sock.close()
    service.close()


@pytest.mark.plane
@pytest.mark.parametrize("strict", [False, True])
def test_a_containers_published_port_is_answered(host, machine, kind, container, strict):
    """Also where the kernel is strict about the way that packets come."""
    internet = machine.node.world.internet
    for name in "all", "eth0", "docker0":
        machine.ns.run(["sysctl", "-w", f"net.ipv4.conf.{name}.rp_filter={int(strict)}"])
    host.start()
    machine.connect(host.address, ALL, kind=kind).up()
    service = Service(container, 80)
    outside, here = service.session(internet, machine.node.address, PUBLISHED)
    with outside, here:
        assert speaks(here, outside)
    service.close()

    def seen_as():
        """What the container begins goes through the tunnel."""
        with socket.create_connection((VISITED, 80), 15) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return sock.makefile().read().split("\n")[-2].split()[0]
    assert container.enter(seen_as) == host.address


@pytest.mark.plane
def test_a_containers_published_port_is_answered_over_ipv6_and_it_begins_nothing(host, dual, container):
    over_ipv6(dual, container, PUBLISHED)
    wait.until(lambda: pings(dual, INSIDE6, 2), 30, "the container has IPv6 too")
    internet = dual.node.world.internet
    service = Service(container, 80, socket.AF_INET6, VISITED6)
    far = Service(internet, 9, socket.AF_INET6)

    def begins():
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.settimeout(20)
            return sock.connect_ex((VISITED6, 9))
    before = service.session(internet, OWN6, PUBLISHED)
    assert container.enter(begins) == 0
    host.start()
    dual.connect(host.address, ALL).up()
    is_seen_as(dual, host.address)
    for outside, here in before, service.session(internet, OWN6, PUBLISHED):
        with outside, here:
            assert speaks(here, outside)
    assert container.enter(begins) in (errno.ENETUNREACH, errno.EHOSTUNREACH)
    far.close()
    service.close()


def test_addresses_are_followed_as_they_come_and_go(host, machine, service):
    internet = machine.node.world.internet
    host.start()
    machine.connect(host.address, ALL).up()

    def rules():
        return [rule["src"] for rule in json.loads(machine.ns.run("ip -j rule show"))
                if rule.get("src", "all") != "all"]
    assert rules() == [machine.node.address]
    machine.ns.ip("addr add 192.0.2.77/32 dev eth0")
    wait.until(lambda: len(rules()) == 2, 30, "the new address has a rule")
    internet.ip(f"route add 192.0.2.77/32 dev {machine.node.name}")
    outside, here = service.session(internet, "192.0.2.77", PORT)
    with outside, here:
        assert speaks(here, outside)
    machine.ns.ip("addr del 192.0.2.77/32 dev eth0")
    wait.until(lambda: rules() == [machine.node.address], 30, "its rule is gone")


def test_a_program_that_binds_to_an_own_address_gets_nothing_out(host, machine):
    """An own address alone is no answer."""
    host.start()
    machine.connect(host.address, ALL).up()

    def gets_out(proto):
        with socket.socket(socket.AF_INET, proto) as sock:
            sock.bind((machine.node.address, 0))
            sock.settimeout(5)
            try:
                sock.connect((VISITED, 80 if proto == socket.SOCK_STREAM else 7777))
                sock.send(b"x")
                return proto == socket.SOCK_STREAM or bool(sock.recv(100))
            except OSError:
                return False
    for proto in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        assert not machine.ns.enter(gets_out, proto)


def test_a_connection_that_has_begun_here_is_no_answer_whatever_the_far_end_sends(host, machine):
    """From before the client's start, on a host that did not track connections then."""
    internet = machine.node.world.internet
    listener = Service(internet, PORT)

    def go():
        sock = socket.create_connection((VISITED, PORT), 15)
        sock.settimeout(3)
        return sock
    here = machine.ns.enter(go)
    there, _ = listener.listener.accept()
    with here, there:
        there.settimeout(3)
        machine.connect(host.address, ALL).logged("cannot connect|no answer")
        there.send(b"pushed")
        with pytest.raises(TimeoutError):
            here.recv(100)
        here.send(b"leaked")
        with pytest.raises(TimeoutError):
            there.recv(100)
    listener.close()
